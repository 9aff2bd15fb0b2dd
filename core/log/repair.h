/* repair.h - what the parts of dwal_repair share: the plan, made by repair_plan.c, proven by repair_check.c, secured by
 * repair_save.c and carried out by repair.c. */
#ifndef DW_CORE_LOG_REPAIR_H
#define DW_CORE_LOG_REPAIR_H

#include "core/read/walk.h"
#include "core/store/store.h"

/* Records that start in one kept volume. */
struct dw_repair_tally {
    uint64_t first_lsn, last_lsn, count;        /* of whole batches; the lsns hold when count > 0 */
    uint64_t open_first, open_last, open_count; /* of the batch that is not complete yet */
    bool is_spilling;                           /* its content runs on into the next volume in the middle of a record */
};

struct dw_repair_plan {
    struct dw_store *store;
    const struct dw_geometry *geometry;
    uint64_t asked; /* where to cut, as the caller said */
    uint64_t cut;   /* lsn at which the last kept volume ends: `asked`, or where it ended before */
    /* The volumes that stay, in order; the last one is the tail. */
    struct dw_stretch *kept;
    struct dw_repair_tally *tallies;
    size_t kept_count;
    /* All others become blanks. */
    uint32_t *abandoned;
    size_t abandoned_count;
    uint32_t next_number; /* of the volume whose header will say where the tail ends */
    struct dw_settle_toc *tocs;
    size_t toc_count;
};

/* Which volumes stay, by following predecessors back from the one that holds the cut. Reads nothing but the rows.
 * DWAL_ETRIMMED, DWAL_ENOTFOUND, DWAL_ELOST, DWAL_EFOREIGN, DWAL_EVERSION, DWAL_EROLLBACK, DWAL_EEXHAUSTED. */
DW_NODISCARD int dw_repair_plan(struct dw_store *store, uint64_t cut, struct dw_repair_plan *plan);
void dw_repair_plan_free(struct dw_repair_plan *plan); /* zeroed or half made is fine */
/* Read all that stays: everything before the cut has to check, and the cut has to be a record's start or end, outside a
 * batch. Fills in the tallies and the TOCs. DWAL_EARGUMENT, DWAL_ENOTFOUND, DWAL_ECORRUPT. */
DW_NODISCARD int dw_repair_check(struct dw_repair_plan *plan);
/* Copy every file that will change to the new directory `save`; all is on stable storage when this returns. A sector that
 * cannot be read is zero in the copy; *unreadable counts the bytes. */
DW_NODISCARD int dw_repair_save(const struct dw_repair_plan *plan, const char *path, const char *save,
                                uint64_t *unreadable);

#endif
