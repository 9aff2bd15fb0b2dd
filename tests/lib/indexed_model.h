/* indexed_model.h - an indexed log on a simulated disk beside the simplest thing that should do the same, call by call.
 *
 * A life is a run of random calls on one disk, from an open to a crash, a close or an abandoned handle. The model keeps what
 * the log should hold after each call and when that call was acknowledged; after a crash at any event of the life the log must
 * be as after one of the calls between the last acknowledged one and the last begun one. The next life goes on with a copy of
 * what the crash left.
 * Owns: disk, log and model. Called by: one test thread. Failure: a message that names the seed and the life; abort. */
#ifndef DW_TESTS_LIB_INDEXED_MODEL_H
#define DW_TESTS_LIB_INDEXED_MODEL_H

#include <stdint.h>

struct dw_indexed_model_counts {
    uint64_t operations, lives, crashes, clean, abandoned, entries, truncations, volumes, restored, scanned,
        unacked_kept, unacked_lost, refused, failed;
};
/* Run calls until `operations` of them are done. */
void dw_indexed_model_run(uint64_t seed, uint64_t operations, struct dw_indexed_model_counts *counts);

#endif
