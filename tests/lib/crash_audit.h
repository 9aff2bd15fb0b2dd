/* crash_audit.h - what the writer owes to recovery, checked on the event log of a simulated disk.
 *
 * Recovery's rule holds only if the writer keeps its side: never a block at L or more beyond the durable prefix; a
 * watermark that is the contiguous durable prefix; each place written once per number; everything in its order: header, name,
 * superblock, blocks, TOC; a volume given up, or wiped, only when the trim point is durable; given up, where wiping is asked
 * for, only when the wipe of it is whole and synced. The device's own log is the witness, so
 * nothing that the writer believes is taken from it.
 * Owns: nothing. Called by: the crash tests, on one life of a fresh log without a recovery in between. */
#ifndef DW_TESTS_LIB_CRASH_AUDIT_H
#define DW_TESTS_LIB_CRASH_AUDIT_H

#include "tests/lib/crash_story.h"

struct dw_crash_audit_counts {
    uint64_t blocks, tocs, superblocks, volumes, retired, wiped; /* seen */
    uint64_t broken;                                             /* rules */
    bool is_quiet;                                               /* count only */
    bool is_wiping; /* of this life: what is given up has to be overwritten, all of it, and synced */
};
/* Rules that were broken are printed (the first few) with `name` and counted. */
void dw_crash_audit(struct dw_disk *disk, uint64_t name, struct dw_crash_audit_counts *counts);

#endif
