/* judge.c - compares a recovered log with what was acknowledged: see judge.h. */
#include "tests/vm/judge.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <dwal/inspect.h>

#include "tests/proof/kill.h"
#include "tests/vm/marks.h"

struct demand {                    /* at one cut */
    size_t known;                  /* entries [0, known) of the model may be there: all */
    size_t last;                   /* entries before it must be there */
    uint64_t first_min, first_max; /* the trim point */
};

enum { TOLD_MAX = 20 };
#define AFTER_TEXT "written after the power cut"

static int by_lsn(const void *left, const void *right)
{
    const struct judge_entry *a = left;
    const struct judge_entry *b = right;
    if (a->lsn != b->lsn)
        return a->lsn < b->lsn ? -1 : 1;
    return a->mark < b->mark ? -1 : a->mark > b->mark;
}

/* The text of the mark at `i` when it is one of this log, else "". */
static const char *mark_at(const struct judge *judge, size_t i)
{
    const char *text = judge->log->entries[i].mark;
    size_t length = strlen(judge->name);
    return strncmp(text, judge->name, length) == 0 && text[length] == '/' ? text + length + 1 : "";
}

void judge_init(struct judge *judge, const struct write_log *log, const char *backend, const char *name)
{
    *judge = (struct judge){.log = log, .backend = backend, .name = name, .created = log->count};
    judge->entries = calloc(log->count + 1, sizeof *judge->entries);
    if (!judge->entries)
        abort();
    for (size_t i = 0; i < log->count; i++) {
        const char *mark = mark_at(judge, i);
        unsigned lane;
        unsigned long long sequence, lsn;
        if (sscanf(mark, VM_MARK_ACK, &lane, &sequence, &lsn) == 3)
            judge->entries[judge->count++] =
                (struct judge_entry){.lane = lane, .sequence = sequence, .lsn = lsn, .mark = i};
        else if (strcmp(mark, VM_MARK_CREATED) == 0)
            judge->created = i;
    }
    qsort(judge->entries, judge->count, sizeof *judge->entries, by_lsn);
    size_t kept = 0; /* of an entry that was told again by a later turn the first mark counts */
    for (size_t i = 0; i < judge->count; i++)
        if (kept == 0 || judge->entries[kept - 1].lsn != judge->entries[i].lsn)
            judge->entries[kept++] = judge->entries[i];
    judge->count = kept;
}

void judge_free(struct judge *judge)
{
    free(judge->entries);
}

static struct demand demand_at(const struct judge *judge, size_t cut)
{
    struct demand demand = {0};
    for (size_t i = 0; i < judge->count; i++)
        if (judge->entries[i].mark < cut)
            demand.last = i + 1;
    for (size_t i = 0; i < cut; i++) {
        unsigned long long lsn;
        if (sscanf(mark_at(judge, i), VM_MARK_TRIMMING, &lsn) == 1)
            demand.first_max = lsn;
        else if (sscanf(mark_at(judge, i), VM_MARK_TRIMMED, &lsn) == 1)
            demand.first_min = lsn;
    }
    return demand;
}

static void tell(struct judge *judge, uint64_t *counter, const char *what, uint64_t lsn)
{
    ++*counter;
    if (judge->is_quiet || judge->lost + judge->invented + judge->refused > TOLD_MAX)
        return;
    printf("%s: %s", judge->image, what);
    if (lsn != DWAL_NO_LSN)
        printf(" (lsn %llu)", (unsigned long long)lsn);
    printf("\n");
}

static bool is_right(const struct dwal_record *record, const struct judge_entry *entry)
{
    static unsigned char wanted[KILL_DATA_MAX + 8];
    struct kill_label label = kill_label_of(entry->lane, entry->sequence);
    if (record->lsn != entry->lsn || record->metadata_size != sizeof label ||
        memcmp(record->metadata, &label, sizeof label) != 0 || record->data_size != label.data_size)
        return false;
    kill_data_of(&label, wanted);
    return label.data_size == 0 || memcmp(record->data, wanted, label.data_size) == 0;
}

/* The first entry of the model at or after `lsn`. */
static size_t entry_at(const struct judge *judge, uint64_t lsn)
{
    size_t i = 0;
    while (i < judge->count && judge->entries[i].lsn < lsn)
        i++;
    return i;
}

/* Reads everything. `after`: a last entry that the judge itself appended is expected. Returns the number of entries. */
static size_t compare(struct judge *judge, dwal *log, const struct demand *demand, bool is_after)
{
    uint64_t first = dwal_first(log);
    if (first < demand->first_min)
        tell(judge, &judge->invented, "what was trimmed is back", first);
    if (first > demand->first_max)
        tell(judge, &judge->lost, "trimmed too far", first);
    size_t next = entry_at(judge, first);
    size_t count = 0;
    bool is_batch_open = false, has_after = false;
    dwal_cursor *cursor = NULL;
    struct dwal_record record;
    int result = dwal_cursor_open(log, 0, &cursor);
    while (result == 0 && (result = dwal_cursor_next(cursor, &record)) == 0) {
        if (is_after && record.data_size == sizeof AFTER_TEXT &&
            memcmp(record.data, AFTER_TEXT, record.data_size) == 0) {
            has_after = true;
            continue;
        }
        if (has_after || next == judge->count || !is_right(&record, &judge->entries[next]))
            tell(judge, &judge->invented, "an entry that does not belong there", record.lsn);
        is_batch_open = record.more_of_batch;
        next++;
        count++;
    }
    if (result != DWAL_EEND)
        tell(judge, &judge->refused, dwal_last_error()->text, DWAL_NO_LSN);
    dwal_cursor_close(cursor);
    if (next < demand->last)
        tell(judge, &judge->lost, "acknowledged and not there", judge->entries[next].lsn);
    if (is_batch_open)
        tell(judge, &judge->invented, "half a batch", DWAL_NO_LSN);
    if (is_after && !has_after)
        tell(judge, &judge->lost, "what was committed after recovery is not there", DWAL_NO_LSN);
    return count;
}

static int open_log(const struct judge *judge, const char *path, enum dwal_mode mode, dwal **log)
{
    struct dwal_options options = DWAL_OPTIONS_INIT;
    options.mode = mode;
    options.ring_size = VM_RING_SIZE;
    options.write_size_max = VM_WRITE_SIZE_MAX;
    options.backend = judge->backend;
    return dwal_open(path, &options, log);
}

static void look_again(struct judge *judge, const char *path, const struct demand *demand, size_t count)
{
    dwal *log = NULL;
    if (open_log(judge, path, DWAL_READ_ONLY, &log) != 0) {
        tell(judge, &judge->refused, dwal_last_error()->text, DWAL_NO_LSN);
        return;
    }
    if (compare(judge, log, demand, true) != count)
        tell(judge, &judge->lost, "another number of entries at the second look", DWAL_NO_LSN);
    dwal_close(log);
}

void judge_path(struct judge *judge, const char *path, size_t cut)
{
    judge->images++;
    struct demand demand = demand_at(judge, cut);
    dwal *log = NULL;
    int result = open_log(judge, path, DWAL_WRITE, &log);
    if (result == DWAL_ENOLOG && cut <= judge->created) {
        judge->empty++;
        return;
    }
    if (result != 0) {
        tell(judge, &judge->refused, dwal_last_error()->text, DWAL_NO_LSN);
        return;
    }
    struct dwal_report report = {.size = sizeof report};
    if (dwal_get_report(log, &report) == 0 && report.verdict == DWAL_VERDICT_TORN)
        judge->torn++;
    size_t count = compare(judge, log, &demand, false);
    size_t first = entry_at(judge, dwal_first(log));
    judge->acknowledged += demand.last > first ? demand.last - first : 0;
    judge->unacknowledged += first + count > demand.last ? first + count - demand.last : 0;

    struct iovec text = {.iov_base = AFTER_TEXT, .iov_len = sizeof AFTER_TEXT};
    struct dwal_entry entry = {.data = &text, .data_count = 1};
    if (dwal_commit(log, &entry, NULL, NULL) != 0)
        tell(judge, &judge->refused, dwal_last_error()->text, DWAL_NO_LSN);
    if (dwal_close(log) != 0)
        tell(judge, &judge->refused, dwal_last_error()->text, DWAL_NO_LSN);
    look_again(judge, path, &demand, count);
}

void judge_refused(struct judge *judge, const char *why)
{
    judge->images++;
    tell(judge, &judge->refused, why, DWAL_NO_LSN);
}
