/* scan.c - walk the volumes that no TOC covers, and find P: the first place where the row of blocks breaks.
 *
 * Happy path: after a clean close two blocks are read; else the tail is walked from the last record that starts in the last
 * volume with a TOC (it may run on into the tail, and tells whether a batch is open). A volume in the middle that has lost
 * its TOC is walked too. Counts the records on the way, for the TOCs that are still to be written.
 * Failure: what breaks the row is left in `stop`; damage that costs nothing is told at once. If a batch is incomplete and
 * began before the walk did, the walk is done again from further back. */
#include <inttypes.h>

#include "base/assert.h"
#include "core/read/recovery.h"

static const struct dw_tally no_records = {.first_lsn = DWAL_NO_LSN, .last_lsn = DWAL_NO_LSN};

/* ---- counting ---- */

static void count_record(struct dw_tally *tally, uint64_t lsn, uint64_t trim)
{
    if (tally->count++ == 0)
        tally->first_lsn = lsn;
    tally->last_lsn = lsn;
    tally->trimmed += lsn < trim;
}

static void keep(struct dw_link *link)
{
    if (link->open.count == 0)
        return;
    if (link->kept.count == 0)
        link->kept.first_lsn = link->open.first_lsn;
    link->kept.last_lsn = link->open.last_lsn;
    link->kept.count += link->open.count;
    link->kept.trimmed += link->open.trimmed;
    link->open = no_records;
}

/* Volumes that the record goes beyond run on into the next one. */
static void mark_spills(struct dw_recovery *r, const struct dw_walk_record *record)
{
    for (size_t i = record->stretch; i < r->count; i++) {
        if (record->end <= dw_end_lsn_of_volume(r->geometry, r->row[i].number))
            return;
        r->links[i].is_spilling = true;
    }
}

/* Whatever ended in a sound way since the last batch boundary is kept when that batch is complete. */
static void take_record(struct dw_recovery *r, const struct dw_walk_record *record)
{
    count_record(&r->links[record->stretch].open, record->lsn, r->superblock->trim);
    mark_spills(r, record);
    if (r->batch_start == DWAL_NO_LSN) {
        r->batch_start = record->lsn;
        r->batch_link = record->stretch;
    }
    if ((record->info.flags & DW_RECORD_MORE) != 0)
        return;
    for (size_t i = r->batch_link; i <= record->stretch; i++)
        keep(&r->links[i]);
    r->batch_start = DWAL_NO_LSN;
    r->is_batch_known = true;
    r->kept_end = record->end;
}

/* ---- harmless damage ---- */

static void tell_odd(struct dw_recovery *r, uint64_t before)
{
    if (r->odd_block == DWAL_NO_LSN)
        return;
    if (r->odd_block < before)
        dw_recovery_tell(r, DWAL_VERDICT_CORRUPT, true, dw_volume_of_block(r->geometry, r->odd_block), r->odd_block,
                         r->odd_count, dw_lsn_of_block(r->geometry, r->odd_block),
                         "a tag or padding is damaged in block %" PRIu64 "; its records are sound", r->odd_block);
    r->odd_block = DWAL_NO_LSN;
    r->odd_count = 0;
}

static void take_block(struct dw_recovery *r)
{
    const struct dw_block_look *look = &r->walk.block;
    if (!r->walk.is_inside)
        tell_odd(r, look->block);
    if (look->state != DW_BLOCK_SOUND)
        return;
    dw_recovery_witness(r, look->info.watermark, "the header of block %" PRIu64, look->block);
    if (!dw_block_is_odd(r->geometry, look))
        return;
    if (r->odd_block == DWAL_NO_LSN)
        r->odd_block = look->block;
    r->odd_count++;
}

/* ---- the walk ---- */

static size_t link_of_block(const struct dw_recovery *r, uint64_t block)
{
    for (size_t i = 0; i < r->count; i++)
        if (dw_first_block_of_volume(r->geometry, r->row[i].number) <= block &&
            block < dw_first_block_of_volume(r->geometry, r->row[i].number) + r->geometry->data_blocks)
            return i;
    return r->count;
}

/* The row breaks at `block`; `record`: the one that fails, or NULL. */
static void stop_at(struct dw_recovery *r, uint64_t block, const struct dw_walk_record *record, bool is_end)
{
    struct dw_break *stop = &r->stop;
    bool is_of_block = !record && !is_end;
    *stop = (struct dw_break){.block = block, .link = link_of_block(r, block), .is_end = is_end};
    stop->state = is_of_block ? r->walk.block.state : DW_BLOCK_SOUND;
    stop->cut = dw_lsn_of_block(r->geometry, block);
    if (record) {
        stop->is_record = true;
        stop->record = *record;
        stop->cut = record->lsn;
    }
    if (r->batch_start != DWAL_NO_LSN)
        stop->cut = r->batch_start;
    stop->is_in_record = record != NULL || r->batch_start != DWAL_NO_LSN;
    stop->is_batch_unknown = !r->is_batch_known;
    tell_odd(r, block);
}

/* Walk until something fails or the row ends. True: something failed (or the end is the end of all). */
static bool walk_to_break(struct dw_recovery *r)
{
    for (;;) {
        switch (dw_walk_next(&r->walk)) {
        case DW_WALK_BLOCK:
            take_block(r);
            if (r->walk.block.state != DW_BLOCK_SOUND) {
                stop_at(r, r->walk.block.block, NULL, false);
                return true;
            }
            break;
        case DW_WALK_RECORD:
            if (r->walk.record.state != DW_RECORD_SOUND) {
                stop_at(r, r->walk.record.bad_block, &r->walk.record, false);
                return true;
            }
            take_record(r, &r->walk.record);
            break;
        case DW_WALK_END:
            stop_at(r, r->walk.next_block, NULL, true);
            return false;
        }
    }
}

/* Does the first volume of the chain continue one that was trimmed away? Then its first bytes may belong to a record that
 * began there: they are no part of the log any more. */
static bool is_fresh(const struct dw_recovery *r, size_t link)
{
    if (link > 0)
        return !r->row[link].is_running;
    return r->links[0].volume->header.predecessor_end != DW_PREDECESSOR_RUNS_ON;
}

static void forget_counts(struct dw_recovery *r, size_t from, size_t first_scanned)
{
    for (size_t i = from; i < r->count; i++) {
        r->links[i].kept = r->links[i].open = no_records;
        r->links[i].is_spilling = false;
        r->links[i].is_scanned = i >= first_scanned;
    }
    r->batch_start = r->odd_block = DWAL_NO_LSN;
    r->odd_count = 0;
}

/* Begin at the first block of a volume. */
static void start_at_link(struct dw_recovery *r, size_t link)
{
    forget_counts(r, link, link);
    dw_walk_start(&r->walk, &r->source, r->row, r->count, link, is_fresh(r, link));
    r->is_batch_known = link == 0 || is_fresh(r, link);
}

/* Begin so that all that runs on into volume `link` is seen; returns the volume in which that is. */
static size_t start_before(struct dw_recovery *r, size_t link)
{
    size_t at = link;
    while (at > 0 && (at == r->count || r->row[at].is_running)) {
        const struct dw_link *before = &r->links[at - 1];
        const struct dw_toc_info *toc = &before->volume->toc;
        at--;
        if (!before->is_final)
            break;
        if (toc->last_lsn < toc->end && dw_volume_of_lsn(r->geometry, toc->last_lsn) == toc->number) {
            forget_counts(r, at, at + 1);
            dw_walk_start_at(&r->walk, &r->source, r->row, r->count, at, toc->last_lsn);
            r->is_batch_known = false;
            return at;
        }
    }
    start_at_link(r, at);
    return at;
}

/* Walk volumes [link, end), whatever it takes; DW_NO_LINK: to the end of the chain. */
static int walk_links(struct dw_recovery *r, size_t link, size_t end, bool *is_broken)
{
    size_t at = start_before(r, link);
    bool is_whole = r->links[at].is_scanned;
    for (;;) {
        r->walk.stop_block = end < r->count ? dw_first_block_of_volume(r->geometry, r->row[end].number) : UINT64_MAX;
        *is_broken = walk_to_break(r);
        if (r->walk.error)
            return r->walk.error;
        if (end < r->count && !*is_broken) {
            for (size_t i = at; i < end; i++)
                keep(&r->links[i]); /* a batch that is open here ends in a volume that has its TOC */
            return 0;
        }
        if (!r->stop.is_batch_unknown)
            return 0;
        if (is_whole && at > 0)
            at--;
        is_whole = true;
        start_at_link(r, at);
    }
}

/* ---- the parts of the chain ---- */

static size_t first_of_tail(const struct dw_recovery *r)
{
    size_t at = r->count;
    while (at > 0 && !r->links[at - 1].is_final)
        at--;
    return r->options->is_full ? 0 : at;
}

/* Volumes in the middle without a TOC; a later one with a TOC proves that they were durable. */
static int walk_middle(struct dw_recovery *r, size_t tail, bool *is_broken)
{
    *is_broken = false;
    for (size_t i = 0; i < tail && !*is_broken; i++) {
        size_t end = i;
        while (end < tail && !r->links[end].is_final)
            end++;
        if (end == i)
            continue;
        int result = walk_links(r, i, end, is_broken);
        if (result)
            return result;
        i = end;
    }
    return 0;
}

/* verify: does each TOC tell what is there? */
static void compare_tocs(struct dw_recovery *r)
{
    for (size_t i = 0; i < r->count && i < r->stop.link; i++) {
        const struct dw_link *link = &r->links[i];
        const struct dw_toc_info *toc = &link->volume->toc;
        if (!link->is_final || !link->is_scanned)
            continue;
        if (r->stop.cut < r->row[i].end) /* the TOC counts what runs on to the break and was never whole */
            continue;
        uint64_t first = link->kept.count ? link->kept.first_lsn : toc->end;
        uint64_t last = link->kept.count ? link->kept.last_lsn : toc->end;
        if (toc->entry_count != link->kept.count || toc->first_lsn != first || toc->last_lsn != last)
            dw_recovery_find(r, DW_FACT_CONTRADICTION, link->volume->number, DWAL_NO_LSN, first,
                             "the TOC of %s tells of %" PRIu64 " entries from lsn %" PRIu64 " to %" PRIu64
                             ", and there are %" PRIu64 " from %" PRIu64 " to %" PRIu64,
                             link->volume->name, toc->entry_count, toc->first_lsn, toc->last_lsn, link->kept.count,
                             first, last);
    }
}

/* Beside a writer: what the highest watermark covers must check; what lies beyond is not looked at. First find the
 * watermark, then walk again up to it: a block that was being written under our eyes is read once more. */
static int walk_live(struct dw_recovery *r, size_t tail)
{
    bool is_broken;
    int result = walk_links(r, tail, DW_NO_LINK, &is_broken);
    if (result == 0)
        result = dw_recovery_look_beyond(r);
    if (result)
        return result;
    /* A volume that was claimed ahead says nothing; one behind a cut says where the volume before it ends. */
    while (r->count > 1 && r->row[r->count - 1].is_running &&
           dw_first_block_of_volume(r->geometry, r->row[r->count - 1].number) >= r->witness.block)
        r->count--;
    struct dw_stretch *last = &r->row[r->count - 1];
    last->end = dw_min_u64(last->end, dw_lsn_of_block(r->geometry, r->witness.block));
    if (tail >= r->count)
        tail = r->count - 1;
    dw_source_forget(&r->source);
    return walk_links(r, tail, DW_NO_LINK, &is_broken);
}

int dw_recovery_scan(struct dw_recovery *r)
{
    dw_assert(r->count > 0);
    bool is_broken = false, is_held = false;
    size_t tail = first_of_tail(r);
    int result = dw_recovery_close_holds(r, &is_held);
    if (result || is_held)
        return result;
    result = walk_middle(r, tail, &is_broken);
    if (result || is_broken)
        return result;
    if (r->options->has_live_writer)
        return walk_live(r, tail);
    result = walk_links(r, tail, DW_NO_LINK, &is_broken);
    if (result == 0 && r->options->is_full)
        compare_tocs(r);
    return result;
}
