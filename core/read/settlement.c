/* settlement.c - from "where does the log end" to "what is to be made durable before anybody sees it". A value only.
 *
 * Nothing of this log's number at P or behind, nothing dropped: the log goes on in place; where the last volume is full to
 * its end, in the one that the maker claims next. Else it goes on in a new volume
 * with a number above all that was ever claimed or seen, and its header says where the old one was cut.
 * Failure: no memory. */
#include <string.h>

#include "alloc/alloc.h"
#include "core/base/error.h"
#include "core/read/recovery.h"

static int allocate(struct dw_recovery *r)
{
    struct dw_recovered *recovered = r->recovered;
    size_t links = r->count + 1, rows = dw_store_volume_count(r->store) + 1;
    recovered->tocs = dw_alloc(links * sizeof *recovered->tocs);
    recovered->read_volumes = dw_alloc(links * sizeof *recovered->read_volumes);
    recovered->abandoned = dw_alloc(rows * sizeof *recovered->abandoned);
    if (!recovered->tocs || !recovered->read_volumes || !recovered->abandoned)
        return dw_fail(DWAL_EMEMORY, "no memory to settle a log of %zu volumes", links);
    recovered->settlement.tocs = recovered->tocs;
    recovered->settlement.read_volumes = recovered->read_volumes;
    recovered->settlement.abandoned = recovered->abandoned;
    return 0;
}

/* Something of the numbers in use may be at P or behind it, or not everything behind it was seen. */
static bool is_hindered(const struct dw_recovery *r)
{
    uint32_t hindrances = DW_FACT_BIT(DW_FACT_LEFTOVER) | DW_FACT_BIT(DW_FACT_UNREADABLE) |
                          DW_FACT_BIT(DW_FACT_SUSPECT) | DW_FACT_BIT(DW_FACT_LIVE);
    return (r->facts & hindrances) != 0 || r->is_look_limited || r->is_alien_beyond || r->has_unfinished_claim;
}

/* May block P be written under the number that its volume has? At most one volume may have been claimed ahead. */
static bool may_continue(const struct dw_recovery *r)
{
    if (is_hindered(r))
        return false;
    return r->stop.link < r->count && r->count - r->stop.link <= 2;
}

/* The log ends where its last volume does, and the number that follows was never used: the row runs on as soon as the maker has
 * a volume for it. So a log that fills its disk to the last byte opens, and can be trimmed. */
static bool may_run_on(const struct dw_recovery *r)
{
    if (r->count == 0 || r->stop.link != r->count || !r->stop.is_end || is_hindered(r))
        return false;
    const struct dw_link *last = &r->links[r->count - 1];
    return r->number_seen == last->volume->number && (last->is_scanned || !last->is_final) &&
           r->stop.block == dw_first_block_of_volume(r->geometry, last->volume->number) + r->geometry->data_blocks &&
           r->stop.cut == dw_lsn_of_block(r->geometry, r->stop.block);
}

/* The last volume with content before `cut`, and where it ends: a cut at the first byte of a volume is the end of the one
 * before. */
static size_t find_tail(const struct dw_recovery *r, uint64_t *cut)
{
    for (size_t i = r->count; i > 1; i--)
        if (dw_first_lsn_of_volume(r->geometry, r->row[i - 1].number) < *cut) {
            *cut = dw_min_u64(*cut, r->row[i - 1].end);
            return i - 1;
        }
    *cut = dw_min_u64(*cut, r->row[0].end);
    return 0;
}

static uint64_t last_time(const struct dw_recovery *r, size_t link)
{
    uint64_t claimed = r->links[link].volume->header.claim_time;
    uint64_t next = link + 1 < r->count ? r->links[link + 1].volume->header.claim_time : r->superblock->write_time;
    return dw_max_u64(claimed, next);
}

static void add_toc(struct dw_recovery *r, size_t at, uint64_t end, bool is_cut)
{
    struct dw_settlement *settlement = &r->recovered->settlement;
    const struct dw_link *link = &r->links[at];
    struct dw_settle_toc *entry = &r->recovered->tocs[settlement->toc_count++];
    bool is_none = link->kept.count == 0;
    *entry = (struct dw_settle_toc){.number = link->volume->number};
    entry->toc = (struct dw_toc_info){
        .number = link->volume->number,
        .flags = is_cut              ? DW_TOC_CUT
                 : link->is_spilling ? DW_TOC_SPILL
                                     : 0,
        .first_lsn = is_none ? end : link->kept.first_lsn,
        .last_lsn = is_none ? end : link->kept.last_lsn,
        .end = end,
        .entry_count = link->kept.count,
        .time_first = link->volume->header.claim_time,
        .time_last = last_time(r, at),
    };
}

/* Every volume before `tail` that lacks its TOC, and `tail` itself when it is cut at `cut` and its TOC does not say so. */
static void list_tocs(struct dw_recovery *r, size_t tail, bool is_cut, uint64_t cut)
{
    for (size_t i = 0; i < tail; i++)
        if (!r->links[i].is_final)
            add_toc(r, i, r->row[i].end, !r->row[i + 1].is_running);
    if (!is_cut)
        return;
    const struct dw_link *link = &r->links[tail];
    const struct dw_toc_info *toc = &link->volume->toc;
    bool is_told = link->is_final && toc->end <= cut && (toc->flags & DW_TOC_SPILL) == 0;
    if (!is_told)
        add_toc(r, tail, cut, true);
}

static bool is_linked(const struct dw_recovery *r, uint32_t number)
{
    for (size_t i = r->count; i > 0; i--)
        if (r->row[i - 1].number <= number)
            return r->row[i - 1].number == number;
    return false;
}

/* Volumes that are not part of the log (any more). Those before the trim point are the maker's affair. */
static void list_abandoned(struct dw_recovery *r, bool is_cut, size_t tail)
{
    struct dw_settlement *settlement = &r->recovered->settlement;
    uint32_t trim = dw_volume_of_lsn(r->geometry, r->superblock->trim);
    for (size_t i = 0; i < dw_store_volume_count(r->store); i++) {
        uint32_t number = dw_store_volume_at(r->store, i)->number;
        bool is_behind = is_cut && number > r->row[tail].number;
        bool is_unlinked = number > trim && !is_linked(r, number);
        if (is_behind || is_unlinked)
            r->recovered->abandoned[settlement->abandoned_count++] = number;
    }
}

/* What was read and may still sit in a volatile cache. */
static void list_read(struct dw_recovery *r, size_t tail)
{
    struct dw_settlement *settlement = &r->recovered->settlement;
    if (r->is_clean_quick)
        return;
    for (size_t i = 0; i <= tail; i++)
        if (!r->links[i].is_final)
            r->recovered->read_volumes[settlement->read_volume_count++] = r->row[i].number;
}

static void go_on_in_place(struct dw_recovery *r, size_t tail)
{
    struct dw_settlement *settlement = &r->recovered->settlement;
    const struct dw_link *link = &r->links[tail];
    settlement->is_continued = true;
    settlement->tail = r->row[tail].number;
    settlement->next_block = r->stop.block;
    settlement->durable_block = r->stop.block;
    settlement->tail_first_lsn = link->kept.count ? link->kept.first_lsn : DWAL_NO_LSN;
    settlement->tail_last_start_block =
        link->kept.count ? dw_block_of_lsn(r->geometry, link->kept.last_lsn) : DWAL_NO_LSN;
    settlement->tail_entry_count = link->kept.count;
    settlement->tail_time_first = link->volume->header.claim_time;
    settlement->tail_time_last = last_time(r, tail);
    list_tocs(r, tail, false, 0);
    list_read(r, tail);
    list_abandoned(r, false, tail);
}

static void go_on_elsewhere(struct dw_recovery *r)
{
    struct dw_settlement *settlement = &r->recovered->settlement;
    uint64_t cut = r->stop.cut;
    size_t tail = find_tail(r, &cut);
    settlement->tail = r->row[tail].number;
    settlement->cut = cut;
    settlement->durable_block = dw_block_of_lsn(r->geometry, cut);
    settlement->tail_first_lsn = settlement->tail_last_start_block = DWAL_NO_LSN;
    list_tocs(r, tail, true, cut);
    list_read(r, tail);
    list_abandoned(r, true, tail);
}

int dw_recovery_settle(struct dw_recovery *r)
{
    struct dw_settlement *settlement = &r->recovered->settlement;
    int result = allocate(r);
    if (result)
        return result;
    settlement->tail = DW_VOLUME_NUMBER_NONE;
    settlement->next_number = r->number_seen == DW_VOLUME_NUMBER_NONE ? 0 : r->number_seen + 1;
    if (may_continue(r))
        go_on_in_place(r, r->stop.link);
    else if (may_run_on(r))
        go_on_in_place(r, r->count - 1);
    else
        go_on_elsewhere(r);
    return 0;
}
