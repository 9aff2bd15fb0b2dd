/* verifier.c - running sums over what is stored, checkpoints, and reading ranges back: see dwal/verifier.h.
 *
 * Owns: the running sum (the storing thread's), one range that waits to be read back (under `mutex`), counters.
 * Called by: one storing thread, one verifying thread. Happy path: store -> sum -> a checkpoint closes the range -> the range
 * waits -> run reads it with a cursor, compares, reports. Failure: what cannot be read is a report too. Closing: nothing waits. */
#include <dwal/verifier.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "core/layers/indexed/indexed.h"

struct range {
    uint64_t first, last, expected_sum, written_sum;
    bool is_written_known;
};

struct dwal_verifier {
    dwal_indexed *log;
    struct dwal_verifier_options options;
    /* of the storing thread */
    uint64_t first, next, sum; /* entries first..next-1 were summed; next 0: nothing yet */
    bool is_known;             /* first is where a range begins */
    /* under mutex */
    pthread_mutex_t mutex;
    pthread_cond_t has_range;
    bool is_waiting; /* until it was reported */
    struct range range;
    uint64_t skipped_first, skipped_last;
    struct dwal_verifier_stats stats;
};

const char *dwal_verifier_fault_name(enum dwal_verifier_fault fault)
{
    static const char *const names[] = {"sound", "in flight", "storage", "either", "range", "read"};
    return (size_t)fault < DW_COUNT_OF(names) ? names[fault] : "unknown";
}

/* ---- the sum ---- */

static uint64_t mix(uint64_t sum, uint64_t word)
{
    sum ^= word * UINT64_C(0x9e3779b97f4a7c15);
    sum = (sum << 29) | (sum >> 35);
    return sum * UINT64_C(0xbf58476d1ce4e5b9) + UINT64_C(0x94d049bb133111eb);
}

uint64_t dwal_verifier_sum(uint64_t sum, uint64_t index, const void *data, size_t size)
{
    const uint8_t *at = data;
    sum = mix(mix(sum, index), size);
    for (; size >= sizeof(dw_le64); at += sizeof(dw_le64), size -= sizeof(dw_le64)) {
        dw_le64 word;
        memcpy(&word, at, sizeof word);
        sum = mix(sum, dw_get64(word));
    }
    dw_le64 rest = dw_le64_of(0);
    if (size > 0)
        memcpy(&rest, at, size);
    sum = mix(sum, dw_get64(rest));
    return sum ^ (sum >> 31);
}

/* ---- storing ---- */

static void drop(struct dwal_verifier *verifier, const struct range *range)
{
    verifier->stats.dropped++;
    if (verifier->skipped_first == 0)
        verifier->skipped_first = range->first;
    verifier->skipped_last = range->last;
}

static void hand_over(struct dwal_verifier *verifier, const struct range *range)
{
    pthread_mutex_lock(&verifier->mutex);
    verifier->stats.checkpoints++;
    if (verifier->is_waiting) {
        drop(verifier, range);
    } else {
        verifier->range = *range;
        verifier->is_waiting = true;
        pthread_cond_signal(&verifier->has_range);
    }
    pthread_mutex_unlock(&verifier->mutex);
}

static void see_checkpoint(struct dwal_verifier *verifier, uint64_t index, const struct dwal_checkpoint *checkpoint)
{
    struct range range = {
        .first = checkpoint->first,
        .last = index - 1,
        .expected_sum = checkpoint->sum,
        .written_sum = verifier->sum,
        .is_written_known = verifier->is_known && verifier->first == checkpoint->first && verifier->next == index,
    };
    if (checkpoint->first < index)
        hand_over(verifier, &range);
    verifier->first = verifier->next = index;
    verifier->sum = 0;
    verifier->is_known = true;
}

static void see(struct dwal_verifier *verifier, const struct dwal_indexed_entry *entry)
{
    struct dwal_checkpoint checkpoint = {0};
    if (verifier->next != entry->index) { /* the log was truncated, or this is the first entry that we see */
        verifier->first = verifier->next = entry->index;
        verifier->sum = 0;
        verifier->is_known = false;
    }
    if (verifier->options.read_checkpoint(verifier->options.context, entry, &checkpoint))
        see_checkpoint(verifier, entry->index, &checkpoint);
    verifier->sum = dwal_verifier_sum(verifier->sum, entry->index, entry->data, entry->size);
    verifier->next = entry->index + 1;
}

int dwal_verifier_store(dwal_verifier *verifier, const struct dwal_indexed_entry *entries, size_t count)
{
    int result = dwal_indexed_store(verifier->log, entries, count);
    for (size_t i = 0; i < count && result == 0; i++)
        see(verifier, &entries[i]);
    return result;
}

bool dwal_verifier_checkpoint(dwal_verifier *verifier, struct dwal_checkpoint *checkpoint)
{
    uint64_t next = dwal_indexed_last(verifier->log) + 1;
    bool is_known = verifier->is_known && verifier->next == next;
    *checkpoint =
        (struct dwal_checkpoint){.first = is_known ? verifier->first : next, .sum = is_known ? verifier->sum : 0};
    return is_known;
}

/* ---- reading back ---- */

static uint64_t now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static int sum_range(struct dwal_verifier *verifier, const struct range *range, uint64_t *sum)
{
    dwal_indexed_cursor *cursor;
    struct dwal_indexed_record record;
    *sum = 0;
    int result = dwal_indexed_cursor_open(verifier->log, range->first, &cursor);
    if (result < 0)
        return result;
    for (uint64_t index = range->first; index <= range->last && result == 0; index++) {
        result = dwal_indexed_cursor_next(cursor, &record);
        if (result == 0)
            *sum = dwal_verifier_sum(*sum, index, record.data, record.size);
    }
    dwal_indexed_cursor_close(cursor);
    return result;
}

static void judge(const struct range *range, int result, struct dwal_verifier_report *report)
{
    bool is_written_right = report->written_sum == report->expected_sum;
    if (range->is_written_known && !is_written_right)
        report->fault = DWAL_VERIFIER_IN_FLIGHT;
    else if (result == DWAL_EINDEX_NONE || result == DWAL_EEND)
        report->fault = DWAL_VERIFIER_RANGE;
    else if (result < 0)
        report->fault = DWAL_VERIFIER_READ;
    else if (report->read_sum != report->expected_sum)
        report->fault = range->is_written_known ? DWAL_VERIFIER_STORAGE : DWAL_VERIFIER_EITHER;
    else
        report->fault = DWAL_VERIFIER_SOUND;
    report->result = report->fault == DWAL_VERIFIER_SOUND   ? 0
                     : report->fault == DWAL_VERIFIER_RANGE ? DWAL_EINDEX_NONE
                     : report->fault == DWAL_VERIFIER_READ  ? result
                                                            : DWAL_EINDEX_SUM;
    if (report->result == DWAL_EINDEX_SUM)
        (void)dw_indexed_fail(DWAL_EINDEX_SUM, DWAL_NO_LSN, "entries %llu to %llu: the fault is %s",
                              (unsigned long long)report->first, (unsigned long long)report->last,
                              dwal_verifier_fault_name(report->fault));
}

static int wait_for_range(struct dwal_verifier *verifier, uint64_t timeout_ns, struct range *range)
{
    uint64_t until = now_ns();
    until = timeout_ns > UINT64_MAX / 4 ? UINT64_MAX / 4 : until + timeout_ns;
    struct timespec deadline = {.tv_sec = (time_t)(until / 1000000000u), .tv_nsec = (long)(until % 1000000000u)};
    int waited = 0;
    pthread_mutex_lock(&verifier->mutex);
    while (!verifier->is_waiting && waited != ETIMEDOUT)
        waited = pthread_cond_timedwait(&verifier->has_range, &verifier->mutex, &deadline);
    bool is_there = verifier->is_waiting;
    *range = verifier->range; /* stays the one that waits until it was reported */
    pthread_mutex_unlock(&verifier->mutex);
    return is_there ? 0 : dw_indexed_fail(DWAL_ETIMEOUT, DWAL_NO_LSN, "no checkpoint was stored in the time given");
}

static void count(struct dwal_verifier *verifier, struct dwal_verifier_report *report)
{
    pthread_mutex_lock(&verifier->mutex);
    report->skipped_first = verifier->skipped_first;
    report->skipped_last = verifier->skipped_last;
    verifier->skipped_first = verifier->skipped_last = 0;
    verifier->is_waiting = false;
    verifier->stats.verified++;
    verifier->stats.in_flight_faults += report->fault == DWAL_VERIFIER_IN_FLIGHT;
    verifier->stats.storage_faults += report->fault == DWAL_VERIFIER_STORAGE;
    verifier->stats.other_faults += report->fault > DWAL_VERIFIER_STORAGE;
    pthread_mutex_unlock(&verifier->mutex);
}

int dwal_verifier_run(dwal_verifier *verifier, uint64_t timeout_ns)
{
    struct range range;
    int result = wait_for_range(verifier, timeout_ns, &range);
    if (result < 0)
        return result;
    uint64_t begin_ns = now_ns();
    struct dwal_verifier_report report = {.first = range.first,
                                          .last = range.last,
                                          .expected_sum = range.expected_sum,
                                          .written_sum = range.is_written_known ? range.written_sum : 0,
                                          .is_written_known = range.is_written_known};
    result = sum_range(verifier, &range, &report.read_sum);
    judge(&range, result, &report);
    report.elapsed_ns = now_ns() - begin_ns;
    count(verifier, &report);
    if (verifier->options.report)
        verifier->options.report(verifier->options.context, &report);
    return 0;
}

/* ---- life ---- */

int dwal_verifier_create(dwal_indexed *log, const struct dwal_verifier_options *options, dwal_verifier **out)
{
    if (!log || !out || !options || options->size != sizeof *options || !options->read_checkpoint)
        return dw_indexed_fail(DWAL_EARGUMENT, DWAL_NO_LSN, "log, options.size or options.read_checkpoint is missing");
    dwal_verifier *verifier = calloc(1, sizeof *verifier);
    *out = verifier;
    if (!verifier)
        return dw_indexed_fail_memory();
    verifier->log = log;
    verifier->options = *options;
    pthread_mutex_init(&verifier->mutex, NULL);
    pthread_condattr_t attributes;
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(&verifier->has_range, &attributes);
    pthread_condattr_destroy(&attributes);
    return 0;
}

void dwal_verifier_close(dwal_verifier *verifier)
{
    if (!verifier)
        return;
    pthread_cond_destroy(&verifier->has_range);
    pthread_mutex_destroy(&verifier->mutex);
    free(verifier);
}

int dwal_verifier_get_stats(dwal_verifier *verifier, struct dwal_verifier_stats *stats)
{
    if (!stats || stats->size != sizeof *stats)
        return dw_indexed_fail(DWAL_EARGUMENT, DWAL_NO_LSN, "stats.size must be sizeof(struct dwal_verifier_stats)");
    pthread_mutex_lock(&verifier->mutex);
    *stats = verifier->stats;
    pthread_mutex_unlock(&verifier->mutex);
    stats->size = sizeof *stats;
    return 0;
}
