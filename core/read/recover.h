/* recover.h - what a crash left: read the evidence, decide, change nothing.
 *
 * The one decision table lives in core/read/recover.c; its rows are those of core/FORMAT.md. Called by open, verify, scan and
 * the tests, on one thread. Answers a value; settling it is the store's work. */
#ifndef DW_CORE_READ_RECOVER_H
#define DW_CORE_READ_RECOVER_H

#include <dwal/inspect.h>

#include "core/store/store.h"

struct dw_recover_options {
    bool is_tolerant;
    bool is_full;           /* verify: scan every block of every volume instead of trusting TOCs */
    bool has_live_writer;   /* the end is the highest watermark seen; what lies beyond is not judged. A volume that the
                             * writer retires meanwhile looks LOST: refresh the store and recover again */
    uint64_t min_lsn;       /* the caller's witness */
    int64_t look_ahead;     /* bytes to read beyond P; negative: all that remain */
    dwal_damage_fn *damage; /* may be NULL */
    void *damage_context;
};

struct dw_recovered {
    struct dwal_report report;       /* verdict, row, places, text */
    struct dw_settlement settlement; /* valid when dwal_verdict_error(report.verdict) == 0, or UNCERTAIN and tolerant */
    uint64_t end;                    /* lsn at which readable content ends */
    uint64_t end_block;              /* first block after it: where a continued log writes next */
    struct dwal_error error;         /* for a refusing verdict: what dwal_open answers */
    /* memory behind the settlement's arrays, owned by this struct */
    struct dw_settle_toc *tocs;
    uint32_t *read_volumes;
    uint32_t *abandoned;
};

/* Returns 0 when a verdict was reached, whatever it is; DWAL_EMEMORY when there was no memory to reach one. Device errors are
 * verdicts (UNREADABLE). Memory: bounded by the number of volumes plus a few MiB. */
DW_NODISCARD int dw_recover(struct dw_store *store, const struct dw_recover_options *options,
                            struct dw_recovered *recovered);
/* The same; with has_live_writer a refusal is looked at again, after dw_store_refresh, before it counts. */
DW_NODISCARD int dw_recover_beside(struct dw_store *store, const struct dw_recover_options *options,
                                   struct dw_recovered *recovered);
void dw_recovered_free(struct dw_recovered *recovered);

#endif
