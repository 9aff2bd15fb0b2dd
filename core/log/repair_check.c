/* repair_check.c - prove that a log may be cut where the caller says; see repair.h.
 *
 * Everything that stays is read once, in order, by the same walk as recovery's. The first thing that does not check ends
 * the walk: it may be the cut itself, never lie before it. On the way the records are counted for the TOCs that are
 * missing. Nothing is written. */
#include <inttypes.h>

#include "base/bits.h"
#include "core/base/error.h"
#include "core/log/repair.h"

enum { READ_AHEAD = 1 << 20 };

struct check {
    struct dw_repair_plan *plan;
    struct dw_source source;
    struct dw_walk walk;
    uint64_t trim;
    uint64_t batch_start; /* of the batch that is open; DWAL_NO_LSN: none */
    size_t batch_from;    /* stretch in which it starts */
    bool is_found;        /* the cut is a record's start or end */
};

static int fail_damaged(const struct check *check, uint64_t block, uint64_t lsn)
{
    return dw_fail_at(DWAL_ECORRUPT, dw_volume_of_block(check->plan->geometry, block), block, lsn,
                      "there is damage before the cut: cut at or before lsn %" PRIu64, lsn);
}

/* ---- counting -------------------------------------------------------------------------------------------------------*/

static void close_batch(struct check *check, size_t to)
{
    struct dw_repair_tally *tallies = check->plan->tallies;
    for (size_t i = check->batch_from; i <= to; i++) {
        struct dw_repair_tally *tally = &tallies[i];
        if (tally->open_count > 0) {
            tally->first_lsn = tally->count > 0 ? tally->first_lsn : tally->open_first;
            tally->last_lsn = tally->open_last;
            tally->count += tally->open_count;
        }
        tally->open_count = 0;
    }
    check->batch_start = DWAL_NO_LSN;
}

static void count_record(struct check *check, const struct dw_walk_record *record)
{
    struct dw_repair_plan *plan = check->plan;
    if (check->batch_start == DWAL_NO_LSN) {
        check->batch_start = record->lsn;
        check->batch_from = record->stretch;
    }
    struct dw_repair_tally *tally = &plan->tallies[record->stretch];
    if (tally->open_count++ == 0)
        tally->open_first = record->lsn;
    tally->open_last = record->lsn;
    for (size_t i = record->stretch; i + 1 < plan->kept_count && plan->kept[i + 1].is_running; i++)
        if (record->end > plan->kept[i].end &&
            record->end > dw_first_lsn_of_volume(plan->geometry, plan->kept[i + 1].number))
            plan->tallies[i].is_spilling = true;
    if ((record->info.flags & DW_RECORD_MORE) == 0)
        close_batch(check, record->stretch);
}

/* A batch that an earlier recovery cut off does not go on behind that cut. */
static void forget_cut_batch(struct check *check)
{
    if (check->batch_start == DWAL_NO_LSN || check->walk.stretch <= check->batch_from ||
        check->plan->kept[check->walk.stretch].is_running)
        return;
    for (size_t i = check->batch_from; i < check->walk.stretch; i++)
        check->plan->tallies[i].open_count = 0;
    check->batch_start = DWAL_NO_LSN;
}

/* ---- judging --------------------------------------------------------------------------------------------------------*/

static int find_boundary(struct check *check)
{
    uint64_t cut = check->plan->asked;
    if (check->batch_start != DWAL_NO_LSN)
        return dw_fail_at(DWAL_EARGUMENT, DWAL_NO_VOLUME, DWAL_NO_LSN, cut,
                          "lsn %" PRIu64 " lies inside the batch that starts at lsn %" PRIu64 ": cut there", cut,
                          check->batch_start);
    check->is_found = true;
    return 0;
}

static int fail_not_found(const struct check *check)
{
    uint64_t cut = check->plan->asked;
    return dw_fail_at(DWAL_ENOTFOUND, dw_volume_of_lsn(check->plan->geometry, cut), DWAL_NO_LSN, cut,
                      "no record starts or ends at lsn %" PRIu64, cut);
}

static int judge_record(struct check *check)
{
    const struct dw_walk_record *record = &check->walk.record;
    uint64_t cut = check->plan->asked;
    if (record->lsn >= cut)
        return record->lsn == cut ? find_boundary(check) : fail_not_found(check);
    bool is_crossing = record->state == DW_RECORD_SOUND ? record->end > cut : record->state == DW_RECORD_UNFINISHED;
    if (record->state != DW_RECORD_SOUND && !is_crossing)
        return record->lsn < check->trim ? 0 : fail_damaged(check, record->bad_block, record->lsn);
    if (is_crossing)
        return dw_fail_at(DWAL_ENOTFOUND, DWAL_NO_VOLUME, DWAL_NO_LSN, cut,
                          "lsn %" PRIu64 " lies inside the record that starts at lsn %" PRIu64, cut, record->lsn);
    count_record(check, record);
    return record->end == cut ? find_boundary(check) : 0;
}

static int judge_block(struct check *check)
{
    const struct dw_block_look *look = &check->walk.block;
    uint64_t cut = check->plan->asked;
    uint64_t lsn = dw_lsn_of_block(check->plan->geometry, look->block);
    forget_cut_batch(check);
    if (look->state == DW_BLOCK_SOUND || lsn + check->plan->geometry->payload_size <= check->trim)
        return 0;
    if (lsn >= cut) /* the row breaks here: right at the cut, or somewhere behind it */
        return lsn == cut ? find_boundary(check) : fail_not_found(check);
    return fail_damaged(check, look->block, dw_max_u64(lsn, check->trim));
}

/* The end of what stays was reached without a fault. */
static int judge_end(struct check *check)
{
    const struct dw_repair_plan *plan = check->plan;
    if (check->walk.error)
        return check->walk.error;
    bool is_volume_end = plan->cut == dw_end_lsn_of_volume(plan->geometry, plan->kept[plan->kept_count - 1].number);
    return is_volume_end || plan->cut != plan->asked ? find_boundary(check) : fail_not_found(check);
}

static int walk_kept(struct check *check)
{
    int result = 0;
    while (result == 0 && !check->is_found) {
        switch (dw_walk_next(&check->walk)) {
        case DW_WALK_BLOCK:
            result = judge_block(check);
            break;
        case DW_WALK_RECORD:
            result = judge_record(check);
            break;
        case DW_WALK_END:
            result = judge_end(check);
            if (result == 0 && !check->is_found)
                return 0;
            break;
        }
    }
    return result;
}

/* ---- tables of contents ---------------------------------------------------------------------------------------------*/

static void plan_tocs(struct dw_repair_plan *plan)
{
    for (size_t i = 0; i < plan->kept_count; i++) {
        const struct dw_volume *volume = dw_store_find(plan->store, plan->kept[i].number);
        bool is_tail = i + 1 == plan->kept_count;
        bool is_toc_sound = volume->toc_verdict == DW_DECODED_OK || volume->toc_verdict == DW_DECODED_BAD_TAG;
        if (!is_tail && volume->is_sealed && is_toc_sound)
            continue;
        const struct dw_repair_tally *tally = &plan->tallies[i];
        uint64_t end = is_tail ? plan->cut : plan->kept[i].end;
        struct dw_settle_toc *toc = &plan->tocs[plan->toc_count++];
        *toc = (struct dw_settle_toc){.number = volume->number};
        toc->toc = (struct dw_toc_info){
            .first_lsn = tally->count > 0 ? tally->first_lsn : end,
            .last_lsn = tally->count > 0 ? tally->last_lsn : end,
            .end = end,
            .entry_count = tally->count,
            .time_first = is_toc_sound ? volume->toc.time_first : volume->header.claim_time,
            .time_last = is_toc_sound ? volume->toc.time_last : volume->header.claim_time,
        };
        if (is_tail || !plan->kept[i + 1].is_running)
            toc->toc.flags = DW_TOC_CUT;
        else if (tally->is_spilling)
            toc->toc.flags = DW_TOC_SPILL;
    }
}

int dw_repair_check(struct dw_repair_plan *plan)
{
    struct check check = {.plan = plan, .trim = dw_store_first(plan->store), .batch_start = DWAL_NO_LSN};
    struct dw_stretch *tail = &plan->kept[plan->kept_count - 1];
    uint64_t start = dw_max_u64(check.trim, dw_first_lsn_of_volume(plan->geometry, plan->kept[0].number));
    if (plan->cut > start) {
        const struct dw_volume *first = dw_store_find(plan->store, plan->kept[0].number);
        int result = dw_source_open(&check.source, plan->store, READ_AHEAD);
        if (result)
            return result;
        /* Walk on behind the cut: the record that starts there shows that it is one. */
        if (plan->cut == plan->asked)
            tail->end = dw_end_lsn_of_volume(plan->geometry, tail->number);
        dw_walk_start(&check.walk, &check.source, plan->kept, plan->kept_count, 0,
                      first->header.predecessor_end != DW_PREDECESSOR_RUNS_ON);
        result = walk_kept(&check);
        tail->end = plan->cut;
        dw_source_close(&check.source);
        if (result)
            return result;
    }
    plan_tocs(plan);
    return 0;
}
