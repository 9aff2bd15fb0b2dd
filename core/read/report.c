/* report.c - say what was found: findings, the caller's damage callback, the report and its sentence.
 *
 * Pure but for the callback. Texts name the file, the block and the lsn, what is wrong, why it is refused or dropped, and
 * (through the error's action) what to do. */
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "core/base/error.h"
#include "core/read/recovery.h"

static const enum dwal_verdict verdict_of_fact[DW_FACT_COUNT] = {
    [DW_FACT_FOREIGN] = DWAL_VERDICT_FOREIGN,   [DW_FACT_VERSION] = DWAL_VERDICT_VERSION,
    [DW_FACT_DARK] = DWAL_VERDICT_UNREADABLE,   [DW_FACT_NEWER] = DWAL_VERDICT_ROLLBACK,
    [DW_FACT_MISSING] = DWAL_VERDICT_LOST,      [DW_FACT_CONTRADICTION] = DWAL_VERDICT_CORRUPT,
    [DW_FACT_COVERED] = DWAL_VERDICT_CORRUPT,   [DW_FACT_GONE] = DWAL_VERDICT_LOST,
    [DW_FACT_FAR] = DWAL_VERDICT_CORRUPT,       [DW_FACT_MISDIRECTED] = DWAL_VERDICT_MISDIRECTED,
    [DW_FACT_LEFTOVER] = DWAL_VERDICT_TORN,     [DW_FACT_UNREADABLE] = DWAL_VERDICT_UNREADABLE,
    [DW_FACT_SUSPECT] = DWAL_VERDICT_UNCERTAIN,
};

static void name_file(const struct dw_recovery *r, uint32_t volume, char *name, size_t size)
{
    const struct dw_volume *row = volume == DWAL_NO_VOLUME ? NULL : dw_store_find(r->store, volume);
    snprintf(name, size, "%s", row ? row->name : "");
}

static void tell(struct dw_recovery *r, struct dwal_damage *damage)
{
    r->recovered->report.findings++;
    if (damage->is_repairable)
        r->recovered->report.is_repairable = true;
    if (!r->options->damage)
        return;
    name_file(r, damage->volume, damage->file, sizeof damage->file);
    if (damage->block != DWAL_NO_LSN)
        damage->offset = dw_place_of_block(r->geometry, damage->block);
    r->options->damage(r->options->damage_context, damage);
}

void dw_recovery_tell(struct dw_recovery *r, enum dwal_verdict verdict, bool is_repairable, uint32_t volume,
                      uint64_t block, uint64_t blocks, uint64_t lsn, const char *format, ...)
{
    struct dwal_damage damage = {.verdict = verdict,
                                 .is_repairable = is_repairable,
                                 .volume = volume,
                                 .block = block,
                                 .blocks = blocks,
                                 .lsn = lsn};
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(damage.text, sizeof damage.text, format, arguments);
    va_end(arguments);
    tell(r, &damage);
}

void dw_recovery_find(struct dw_recovery *r, enum dw_fact fact, uint32_t volume, uint64_t block, uint64_t lsn,
                      const char *format, ...)
{
    struct dw_finding *finding = &r->findings[fact];
    if (dw_recovery_has(r, fact))
        return; /* the first one is told */
    dw_recovery_set(r, fact, true);
    finding->volume = volume;
    finding->block = block;
    finding->lsn = lsn;
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(finding->text, sizeof finding->text, format, arguments);
    va_end(arguments);
    /* What the chain shows is damage by itself; what the blocks show is judged when all is known. */
    if ((DW_FACTS_OF_CHAIN & DW_FACT_BIT(fact)) != 0)
        dw_recovery_tell(r, verdict_of_fact[fact], false, volume, block, block == DWAL_NO_LSN ? 0 : 1, lsn, "%s",
                         finding->text);
}

/* ---- the sentence ---- */

static void say_end(const struct dw_recovery *r, const struct dw_decision *decision, char *text, size_t size)
{
    const struct dwal_report *report = &r->recovered->report;
    const char *about = r->findings[decision->about].text;
    switch (decision->verdict) {
    case DWAL_VERDICT_CLEAN:
        snprintf(text, size, "closed cleanly at lsn %" PRIu64, report->end);
        return;
    case DWAL_VERDICT_END:
        snprintf(text, size, "%s; the log ends at lsn %" PRIu64 "%s",
                 report->has_live_writer ? "a writer is at work" : "not closed", report->end,
                 report->has_live_writer ? " for now" : " and nothing is unfinished behind it");
        return;
    case DWAL_VERDICT_TORN:
        snprintf(text, size,
                 "cut at lsn %" PRIu64 ": %s; the row of blocks breaks at block %" PRIu64 " of volume %" PRIu32
                 "; never acknowledged: %" PRIu64 " blocks, %" PRIu64 " bytes",
                 report->end, about, r->stop.block, report->break_volume, report->dropped_blocks,
                 report->dropped_bytes);
        return;
    default:
        if (decision->is_refused)
            snprintf(text, size, "%s", about);
        else
            snprintf(text, size, "%s; cut at lsn %" PRIu64 ", as asked", about, report->end);
        return;
    }
}

static void place_break(struct dw_recovery *r)
{
    struct dwal_report *report = &r->recovered->report;
    report->break_block = r->stop.block;
    report->break_volume = dw_volume_of_block(r->geometry, r->stop.block);
}

static uint64_t count_entries(const struct dw_recovery *r)
{
    uint64_t entries = 0;
    for (size_t i = 0; i < r->count; i++)
        entries += r->links[i].kept.count - r->links[i].kept.trimmed;
    return entries;
}

/* With a verdict about the chain no block was looked at: readable is what lies before the volume it is about. */
static uint64_t end_of_readable(const struct dw_recovery *r, const struct dw_decision *decision)
{
    if ((r->facts & DW_FACTS_OF_CHAIN) == 0 || r->stop.cut > 0)
        return r->stop.cut;
    uint32_t volume = r->findings[decision->about].volume;
    return volume == DWAL_NO_VOLUME ? 0 : dw_first_lsn_of_volume(r->geometry, volume);
}

void dw_recovery_report(struct dw_recovery *r, const struct dw_decision *decision)
{
    struct dw_recovered *recovered = r->recovered;
    struct dwal_report *report = &recovered->report;
    const struct dw_finding *about = &r->findings[decision->about];
    report->verdict = decision->verdict;
    report->row = decision->row;
    report->has_live_writer = r->options->has_live_writer;
    recovered->end = end_of_readable(r, decision);
    recovered->end_block = recovered->settlement.is_continued ? recovered->settlement.next_block
                                                              : dw_recovery_block_behind(r, recovered->end);
    report->first = dw_min_u64(r->superblock->trim, recovered->end);
    report->end = recovered->end;
    report->durable = dw_min_u64(dw_lsn_of_block(r->geometry, r->witness.block), recovered->end);
    report->entries = count_entries(r);
    report->volumes = dw_store_volume_count(r->store);
    report->blocks_read = r->source.blocks_read;
    place_break(r);
    if (r->stop.is_in_record && !decision->is_refused) {
        uint64_t at = dw_lsn_of_block(r->geometry, r->stop.block);
        report->dropped_bytes += at > r->stop.cut ? at - r->stop.cut : 0;
        report->dropped_blocks += r->stop.block - dw_min_u64(r->stop.block, dw_block_of_lsn(r->geometry, r->stop.cut));
    }
    say_end(r, decision, report->text, sizeof report->text);
    bool is_cut_as_asked = !decision->is_refused && decision->verdict == DWAL_VERDICT_UNCERTAIN;
    if (decision->is_refused || is_cut_as_asked || decision->verdict == DWAL_VERDICT_TORN) {
        if ((DW_FACTS_OF_CHAIN & DW_FACT_BIT(decision->about)) == 0)
            dw_recovery_tell(r, decision->verdict, false, about->volume, about->block, 1, about->lsn, "%s",
                             report->text);
    }
    if (!decision->is_refused)
        return;
    dw_fail_at(decision->error, about->volume, about->block, about->lsn, "%s", report->text);
    recovered->error = *dwal_last_error();
}
