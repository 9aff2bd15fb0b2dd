/* beyond.c - what lies at P and behind it: the evidence that tells a torn tail from damage.
 *
 * Looks at every block from P to the end of the chain (or as far as `look_ahead` allows), each by itself: tags, place,
 * watermark. Nothing here is content any more. Failure: what cannot be read is a fact of its own. */
#include <inttypes.h>

#include "core/read/recovery.h"

/* L of all who may have written there: the claims' and the last writer's. */
static uint64_t most_in_flight(const struct dw_recovery *r)
{
    uint64_t most = r->superblock->in_flight_blocks;
    for (size_t i = r->stop.link < r->count ? r->stop.link : r->count; i < r->count; i++)
        most = dw_max_u64(most, r->links[i].volume->header.in_flight_blocks);
    return most;
}

/* A sound header of another place. A block that an earlier use of this file left lies at its own index under a smaller number
 * that is not in use any more; everything else came here by a wrong address. */
static bool is_misdirected(const struct dw_recovery *r, const struct dw_block_look *look)
{
    uint32_t belongs = dw_volume_of_block(r->geometry, look->info.block);
    bool is_same_index = look->info.block % r->geometry->data_blocks == look->block % r->geometry->data_blocks;
    if (belongs >= look->volume || !is_same_index)
        return true;
    for (size_t i = 0; i < r->count; i++)
        if (r->row[i].number == belongs)
            return true;
    return false;
}

static void judge_break(struct dw_recovery *r, const struct dw_block_look *look)
{
    bool shows_unwritten = look->tags.blank + look->tags.old > 0;
    if (look->state == DW_BLOCK_UNREADABLE)
        return;
    /* What else the block shows says nothing of a record that is written in all its sectors. */
    if (r->stop.is_record && r->stop.record.is_written)
        dw_recovery_find(r, DW_FACT_SUSPECT, look->volume, look->block, r->stop.cut,
                         "the record at lsn %" PRIu64 " %s, and all of its sectors are written", r->stop.record.lsn,
                         dw_record_state_text(r->stop.record.state));
    else if (!shows_unwritten || look->tags.alien > 0)
        dw_recovery_find(r, DW_FACT_SUSPECT, look->volume, look->block, r->stop.cut,
                         "block %" PRIu64 " does not check and shows %" PRIu32 " current, %" PRIu32
                         " unwritten and %" PRIu32 " alien sectors",
                         look->block, look->tags.current, look->tags.blank + look->tags.old, look->tags.alien);
}

static void judge_beyond(struct dw_recovery *r, const struct dw_block_look *look, uint64_t distance)
{
    struct dwal_report *report = &r->recovered->report;
    if (look->state == DW_BLOCK_UNREADABLE)
        dw_recovery_find(r, DW_FACT_UNREADABLE, look->volume, look->block, dw_lsn_of_block(r->geometry, look->block),
                         "block %" PRIu64 " cannot be read at byte %" PRIu64 " (errno %d)", look->block,
                         look->unreadable_place, -look->system_code);
    if (look->state == DW_BLOCK_IMPOSSIBLE)
        dw_recovery_find(r, DW_FACT_CONTRADICTION, look->volume, look->block, dw_lsn_of_block(r->geometry, look->block),
                         "block %" PRIu64 " checks and yet is impossible", look->block);
    if (look->state == DW_BLOCK_MISPLACED && is_misdirected(r, look))
        dw_recovery_find(r, DW_FACT_MISDIRECTED, look->volume, look->block, dw_lsn_of_block(r->geometry, look->block),
                         "block %" PRIu64 " lies in the place of block %" PRIu64, look->info.block, look->block);
    r->is_alien_beyond = r->is_alien_beyond || look->tags.alien > 0;
    if (!dw_block_is_current(look))
        return;
    report->dropped_blocks++;
    if (look->state == DW_BLOCK_SOUND)
        report->dropped_bytes += look->info.fill;
    dw_recovery_find(r, DW_FACT_LEFTOVER, look->volume, look->block, dw_lsn_of_block(r->geometry, look->block),
                     "block %" PRIu64 " was being written", look->block);
    if (distance >= r->in_flight)
        dw_recovery_find(r, DW_FACT_FAR, look->volume, look->block, dw_lsn_of_block(r->geometry, look->block),
                         "block %" PRIu64 " was written %" PRIu64 " blocks beyond, and only %" PRIu64
                         " may be in flight",
                         look->block, distance, r->in_flight);
}

/* A break that a TOC of a later volume covers needs no look beyond: it is refused whatever lies there. */
static bool is_in_middle(const struct dw_recovery *r)
{
    for (size_t i = r->stop.link; i < r->count; i++)
        if (r->links[i].is_final || (i > r->stop.link && !r->row[i].is_running))
            return true;
    return false;
}

/* Blocks to look at, P included. */
static uint64_t look_limit(const struct dw_recovery *r)
{
    if (is_in_middle(r))
        return 1;
    if (r->options->look_ahead < 0)
        return UINT64_MAX;
    return (uint64_t)r->options->look_ahead / r->geometry->block_size + 1;
}

int dw_recovery_look_beyond(struct dw_recovery *r)
{
    bool is_live = r->options->has_live_writer;
    uint64_t left = look_limit(r), distance = 0;
    r->in_flight = most_in_flight(r);
    for (size_t i = r->stop.link; i < r->count; i++) {
        uint64_t first = dw_first_block_of_volume(r->geometry, r->row[i].number);
        uint64_t end = first + r->geometry->data_blocks;
        for (uint64_t block = i == r->stop.link ? r->stop.block : first; block < end; block++, distance++) {
            struct dw_block_view view;
            struct dw_block_look look;
            if (left-- == 0) {
                r->is_look_limited = true;
                return 0;
            }
            int result = dw_source_get(&r->source, block, &view);
            if (result)
                return result;
            dw_block_look_at(r->geometry, r->identity, &view, &look);
            if (look.state == DW_BLOCK_SOUND)
                dw_recovery_witness(r, look.info.watermark, "the header of block %" PRIu64, block);
            if (is_live)
                continue;
            if (distance == 0)
                judge_break(r, &look);
            judge_beyond(r, &look, distance);
        }
    }
    return 0;
}

int dw_recovery_look_for_content(struct dw_recovery *r, const struct dw_volume *volume, bool *is_current)
{
    uint64_t first = dw_first_block_of_volume(r->geometry, volume->number);
    *is_current = false;
    for (uint64_t block = first; block < first + r->geometry->data_blocks && !*is_current; block++) {
        struct dw_block_view view;
        struct dw_block_look look;
        int result = dw_source_get(&r->source, block, &view);
        if (result)
            return result;
        if (view.is_absent)
            return 0;
        dw_block_look_at(r->geometry, r->identity, &view, &look);
        *is_current = dw_block_is_current(&look);
    }
    return 0;
}

/* ---- the rest of the damage ---- */

struct run { /* blocks in a row that do not check */
    uint64_t first, count;
};

static void tell_run(struct dw_recovery *r, struct run *run)
{
    if (run->count > 0)
        dw_recovery_tell(r, DWAL_VERDICT_CORRUPT, false, dw_volume_of_block(r->geometry, run->first), run->first,
                         run->count, dw_lsn_of_block(r->geometry, run->first),
                         "%" PRIu64 " block%s from block %" PRIu64 " on do%s not check", run->count,
                         run->count == 1 ? "" : "s", run->first, run->count == 1 ? "es" : "");
    run->count = 0;
}

int dw_recovery_tell_rest(struct dw_recovery *r)
{
    struct run run = {0};
    struct dw_walk *walk = &r->walk;
    walk->error = dw_walk_resume(walk);
    while (walk->error == 0) {
        enum dw_walk_event event = dw_walk_next(walk);
        if (event == DW_WALK_END || walk->next_block > r->witness.block)
            break;
        if (event == DW_WALK_RECORD) {
            if (walk->record.state != DW_RECORD_SOUND && walk->record.bad_block != r->stop.block)
                dw_recovery_tell(r, DWAL_VERDICT_CORRUPT, false, r->row[walk->record.stretch].number,
                                 walk->record.bad_block, 1, walk->record.lsn, "the record at lsn %" PRIu64 " %s",
                                 walk->record.lsn, dw_record_state_text(walk->record.state));
            continue;
        }
        if (walk->block.state == DW_BLOCK_SOUND || walk->block.block == r->stop.block) {
            tell_run(r, &run);
            continue;
        }
        if (run.count++ == 0)
            run.first = walk->block.block;
    }
    tell_run(r, &run);
    return walk->error;
}
