/* crash_check.c - see crash_check.h. */
#include "tests/lib/crash_check.h"

#include <stdio.h>
#include <string.h>

#include "base/bits.h"
#include "core/log/log.h"

static uint64_t tick(void *context)
{
    static _Thread_local uint64_t now;
    (void)context;
    return ++now;
}
const struct dw_clock dw_crash_clock = {.monotonic_ns = tick, .realtime_ns = tick};

void dw_crash_options(struct dwal_options *options)
{
    *options = (struct dwal_options)DWAL_OPTIONS_INIT;
    options->ring_size = 8 * 4096;
    options->marker_delay_ms = UINT32_MAX;
    options->backend = "sim";
}

/* ---- looking ---- */
static bool is_same(const struct dwal_record *record, const struct dw_crash_entry *entry)
{
    return record->lsn == entry->lsn && record->end == entry->end && record->user == entry->user && record->type == 1 &&
           record->more_of_batch == entry->is_more && record->metadata_size == entry->metadata_size &&
           record->data_size == entry->data_size &&
           memcmp(record->metadata_size ? record->metadata : "", entry->bytes, entry->metadata_size) == 0 &&
           memcmp(record->data_size ? record->data : "", entry->bytes + entry->metadata_size, entry->data_size) == 0;
}

static void tell_wrong(const struct dwal_record *record, const struct dw_crash_story *story,
                       struct dw_crash_outcome *outcome)
{
    outcome->is_wrong = true;
    for (size_t i = 0; i < story->dropped_count && !outcome->is_returned; i++)
        outcome->is_returned = is_same(record, &story->dropped[i]);
    snprintf(outcome->text, sizeof outcome->text, "record %zu at lsn %llu (metadata %u, data %u bytes) %s",
             outcome->found, (unsigned long long)record->lsn, record->metadata_size, record->data_size,
             outcome->is_returned ? "was dropped by an earlier recovery" : "is not what was appended");
}

static void read_records(dwal_cursor *cursor, const struct dw_crash_story *story, struct dw_crash_outcome *outcome)
{
    struct dwal_record record;
    bool is_first = true;
    int code;
    while ((code = dwal_cursor_next(cursor, &record)) == 0) {
        if (is_first) { /* the log may begin anywhere in the story: it was trimmed */
            while (outcome->found < story->count && story->entries[outcome->found].lsn < record.lsn)
                outcome->found++;
            outcome->first = outcome->found;
            is_first = false;
        }
        if (outcome->found == story->count || !is_same(&record, &story->entries[outcome->found])) {
            tell_wrong(&record, story, outcome);
            return;
        }
        outcome->found++;
    }
    if (code != DWAL_EEND) {
        outcome->read_code = code;
        snprintf(outcome->text, sizeof outcome->text, "%s", dwal_last_error()->text);
    }
}

void dw_crash_read_log(int code, struct dwal *log, const struct dw_crash_story *story, struct dw_crash_outcome *outcome)
{
    *outcome = (struct dw_crash_outcome){.verdict = DWAL_VERDICT_COUNT, .code = code};
    if (code < 0) {
        snprintf(outcome->text, sizeof outcome->text, "%s", dwal_last_error()->text);
        return;
    }
    struct dwal_report report = {.size = sizeof report};
    if (dwal_get_report(log, &report) == 0) {
        outcome->verdict = report.verdict;
        outcome->row = report.row;
        outcome->end = report.end;
    }
    dwal_cursor *cursor;
    code = dwal_cursor_open(log, dwal_first(log), &cursor);
    if (code == 0) {
        read_records(cursor, story, outcome);
        dwal_cursor_close(cursor);
    } else {
        outcome->read_code = code == DWAL_EEND ? 0 : code;
        snprintf(outcome->text, sizeof outcome->text, "no cursor: %s", dwal_last_error()->text);
    }
    if (outcome->found == 0) { /* nothing left to read: everything before the end was trimmed, or nothing was there */
        while (outcome->found < story->count && story->entries[outcome->found].end <= dwal_first(log))
            outcome->found++;
        outcome->first = outcome->found;
    }
}

void dw_crash_look_at(struct dw_disk *image, const struct dw_crash_story *story, const struct dw_crash_look *look,
                      struct dw_crash_outcome *outcome)
{
    struct dw_log_setup setup = {
        .disk = image, .clock = &dw_crash_clock, .is_disk_borrowed = true, .is_single_stepped = true};
    struct dwal_options options;
    dwal *log = NULL;
    dw_crash_options(&options);
    options.mode = look->how == DW_CRASH_READ_ONLY ? DWAL_READ_ONLY : DWAL_WRITE;
    options.recovery = look->is_tolerant ? DWAL_TOLERANT : DWAL_STRICT;
    options.min_lsn = look->min_lsn;
    int code = dw_log_open_on(&setup, &options, &log);
    dw_crash_read_log(code, log, story, outcome);
    if (log)
        dw_log_abandon(log);
}

/* ---- judging ---- */
const char *dw_crash_fault_name(enum dw_crash_fault fault)
{
    static const char *const names[DW_CRASH_FAULTS] = {"fine",     "falsely refused", "LOST",      "INVENTED",
                                                       "RETURNED", "HALF A BATCH",    "untrimmed", "mislabeled"};
    return names[fault];
}

static bool is_label_right(const struct dw_crash_facts *facts, const struct dw_crash_outcome *outcome)
{
    switch (outcome->verdict) {
    case DWAL_VERDICT_CLEAN:
        return facts->is_closing || (!facts->is_opened && facts->appended == 0);
    case DWAL_VERDICT_END:
    case DWAL_VERDICT_TORN:
    case DWAL_VERDICT_UNCERTAIN: /* opened all the same: TOLERANT */
        return !facts->is_closed;
    default:
        return false;
    }
}

enum dw_crash_fault dw_crash_judge(const struct dw_crash_facts *facts, const struct dw_crash_story *story,
                                   const struct dw_crash_outcome *outcome)
{
    size_t least = dw_crash_facts_least(facts, story);
    if (outcome->code < 0)
        return DW_CRASH_REFUSED;
    if (outcome->is_returned)
        return DW_CRASH_RETURNED;
    if (outcome->is_wrong || outcome->found > facts->appended)
        return DW_CRASH_INVENTED;
    if (outcome->read_code < 0 || (outcome->found < least && least > 0))
        return DW_CRASH_LOST;
    if (outcome->first < outcome->found && outcome->first > 0 &&
        story->entries[outcome->first - 1].end > facts->trimming)
        return DW_CRASH_LOST;
    if (outcome->first < outcome->found && story->entries[outcome->first].lsn < facts->trimmed)
        return DW_CRASH_UNTRIMMED;
    if (outcome->found > 0 && story->entries[outcome->found - 1].is_more)
        return DW_CRASH_HALF_BATCH;
    return is_label_right(facts, outcome) ? DW_CRASH_FINE : DW_CRASH_MISLABELED;
}
