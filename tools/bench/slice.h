/* slice.h - one slice: the lanes' threads, the wait for them, and what they recorded.
 *
 * Owns: the lanes and their records, kept from slice to slice. Called by: the main thread. */
#ifndef DW_TOOLS_BENCH_SLICE_H
#define DW_TOOLS_BENCH_SLICE_H

#include "tools/bench/run.h"

struct dw_bench_slice {
    struct dw_bench_contender *contender;
    uint32_t round;
    uint64_t duration_ns, count;
    uint32_t column_first, column_count;
};
/* Run it; add what it recorded to `part` (not cleared), and its time to *measured_ns. */
void dw_bench_slice_run(struct dw_bench_run *run, const struct dw_bench_slice *slice, struct dw_bench_record *part,
                        struct dw_bench_round *round, uint64_t *measured_ns);
void dw_bench_slice_free(void);

#endif
