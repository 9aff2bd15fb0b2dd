/* closed.c - after a clean close: believe it, with two reads.
 *
 * The superblock says CLEAN and where the log ends, the head's TOC says the same and holds the counts, and every volume
 * before has its TOC. Then the block before the end must check and the block behind must show nothing of this log.
 * Anything else is left to the scan, which then has the clean end as a witness. */
#include "core/read/recovery.h"

static int look(struct dw_recovery *r, uint64_t block, struct dw_block_look *look_at)
{
    struct dw_block_view view;
    int result = dw_source_get(&r->source, block, &view);
    if (result == 0)
        dw_block_look_at(r->geometry, r->identity, &view, look_at);
    return result;
}

/* The volume that holds the clean end: the last, or the one before a volume that was claimed ahead. */
static size_t find_head(const struct dw_recovery *r)
{
    for (size_t i = r->count; i > 0 && i + 2 > r->count; i--)
        if (r->row[i - 1].number == r->superblock->head)
            return i - 1;
    return DW_NO_LINK;
}

static bool is_recorded(const struct dw_recovery *r, size_t head)
{
    if (head == DW_NO_LINK)
        return false;
    const struct dw_volume *volume = r->links[head].volume;
    for (size_t i = 0; i < head; i++)
        if (!r->links[i].is_final)
            return false;
    if (head + 1 < r->count && !r->row[head + 1].is_running)
        return false;
    return volume->toc_verdict == DW_DECODED_OK && (volume->toc.flags & DW_TOC_OPEN) != 0 &&
           dw_recovery_block_behind(r, volume->toc.end) == dw_recovery_block_behind(r, r->superblock->clean_end);
}

static void take_counts(struct dw_recovery *r, size_t head)
{
    struct dw_link *link = &r->links[head];
    const struct dw_toc_info *toc = &link->volume->toc;
    link->kept = (struct dw_tally){.first_lsn = DWAL_NO_LSN, .last_lsn = DWAL_NO_LSN, .count = toc->entry_count};
    if (toc->first_lsn < toc->end) {
        link->kept.first_lsn = toc->first_lsn;
        link->kept.last_lsn = toc->last_lsn;
    }
    link->is_spilling = (toc->flags & DW_TOC_SPILL) != 0;
    link->is_scanned = true;
    for (size_t i = head + 1; i < r->count; i++) {
        r->links[i].kept = (struct dw_tally){.first_lsn = DWAL_NO_LSN, .last_lsn = DWAL_NO_LSN};
        r->links[i].is_scanned = true;
    }
}

int dw_recovery_close_holds(struct dw_recovery *r, bool *holds)
{
    struct dw_block_look block;
    size_t head = find_head(r);
    *holds = false;
    if (!dw_recovery_has(r, DW_FACT_CLOSED) || r->options->is_full || !is_recorded(r, head))
        return 0;
    uint64_t first = dw_first_block_of_volume(r->geometry, r->row[head].number);
    uint64_t behind = first + r->geometry->data_blocks;
    uint64_t end = dw_recovery_block_behind(r, r->superblock->clean_end);
    /* A witness of more than the clean end (a marker behind it) wants to be held against the blocks. */
    if (end < first || end > behind || r->witness.block > end)
        return 0;
    if (end > first) {
        int result = look(r, end - 1, &block);
        if (result || block.state != DW_BLOCK_SOUND || dw_block_is_odd(r->geometry, &block))
            return result;
    }
    if (end < behind || head + 1 < r->count) {
        int result = look(r, end, &block);
        if (result || dw_block_is_current(&block) || block.state == DW_BLOCK_UNREADABLE || block.tags.alien > 0)
            return result;
    }
    take_counts(r, head);
    r->stop = (struct dw_break){.block = end,
                                .link = end < behind ? head : head + 1,
                                .is_end = end == behind && head + 1 == r->count,
                                .cut = dw_lsn_of_block(r->geometry, end)};
    r->is_clean_quick = true;
    *holds = true;
    return 0;
}
