/* read.c - the reading half of the public calls: cursors, reads by lsn, waiting for more.
 *
 * Called by: the user's threads; one thread at a time for each cursor. Happy path: a reader of core/read over the store,
 * with the ring for what is recent. dwal_read borrows one of a few readers that the handle keeps, so that a read by lsn
 * does not set one up each time. Failure: codes of core/read, handed on. */
#include <string.h>
#include <time.h>

#include "alloc/alloc.h"
#include "base/bits.h"
#include "core/base/error.h"
#include "core/log/handle.h"

#define CURSOR_READ_AHEAD (UINT64_C(256) << 10)
#define POINT_READ_MAX    (UINT64_C(64) << 10) /* at once, for a single record */
#define FOLLOW_PAUSE_NS   UINT64_C(2000000)

struct dwal_cursor {
    dwal *log;
    struct dw_reader *reader;
    uint64_t limit; /* as the reader knows it */
};

static bool copy_block(void *context, uint64_t block, void *target)
{
    struct dwal *log = context;
    return dw_writer_copy_block(&log->writer, block, target);
}

static uint64_t durable_block(void *context)
{
    struct dwal *log = context;
    if (log->is_writer)
        return dw_durable_block(&log->writer.durable);
    return atomic_load_explicit(&log->visible_block, memory_order_acquire); /* pairs: VISIBLE */
}

/* A log that is only read may end inside a block, where a crash left a record unfinished. */
static uint64_t visible_end(struct dwal *log)
{
    return log->is_writer ? UINT64_MAX
                          : atomic_load_explicit(&log->visible_end, memory_order_acquire); /* pairs: VISIBLE-END */
}

static void limit_cursor(dwal_cursor *cursor)
{
    uint64_t limit = visible_end(cursor->log);
    if (limit == cursor->limit)
        return;
    cursor->limit = limit;
    dw_reader_limit(cursor->reader, limit);
}

/* A batch is reserved in one piece, so the log's end at any moment is no batch's middle. */
static uint64_t complete_lsn(void *context)
{
    struct dwal *log = context;
    uint64_t boundary = atomic_load_explicit(&log->boundary_lsn, memory_order_relaxed);
    if (boundary <= dw_durable_lsn(&log->writer.durable)) {
        uint64_t known = atomic_load_explicit(&log->complete_lsn, memory_order_relaxed);
        while (known < boundary && !atomic_compare_exchange_weak_explicit(&log->complete_lsn, &known, boundary,
                                                                          memory_order_relaxed, memory_order_relaxed))
            ;
        uint64_t tail = atomic_load_explicit(&log->writer.ring.tail, memory_order_relaxed);
        atomic_store_explicit(&log->boundary_lsn, tail, memory_order_relaxed);
    }
    return atomic_load_explicit(&log->complete_lsn, memory_order_relaxed);
}

struct dw_recent dw_log_recent(struct dwal *log)
{
    return (struct dw_recent){
        .context = log,
        .copy_block = log->is_writer ? copy_block : NULL,
        .durable_block = durable_block,
        .complete_lsn = log->is_writer ? complete_lsn : NULL,
    };
}

static void count_reads(struct dwal *log, struct dw_reader *reader)
{
    struct dw_reader_stats stats;
    dw_reader_take_stats(reader, &stats);
    if (stats.ring_reads > 0)
        dw_count(&log->ring_reads, stats.ring_reads);
    if (stats.device_reads > 0) {
        dw_count(&log->device_reads, stats.device_reads);
        dw_count(&log->device_read_bytes, stats.device_read_bytes);
    }
}

static void reader_release(struct dwal *log, struct dw_reader *reader)
{
    count_reads(log, reader);
    dw_reader_close(reader);
}

/* ---- cursors --------------------------------------------------------------------------------------------------------- */

int dwal_cursor_open(dwal *log, uint64_t lsn, dwal_cursor **out)
{
    if (!out)
        return dw_fail(DWAL_EARGUMENT, "cursor is NULL");
    *out = NULL;
    dwal_cursor *cursor = dw_alloc(sizeof *cursor);
    if (!cursor)
        return dw_fail(DWAL_EMEMORY, "no memory for a cursor");
    struct dw_recent recent = dw_log_recent(log);
    cursor->log = log;
    cursor->limit = UINT64_MAX;
    int result = dw_reader_create(log->store, &recent, CURSOR_READ_AHEAD, &cursor->reader);
    if (result == 0)
        limit_cursor(cursor);
    if (result == 0)
        result = dw_reader_seek(cursor->reader, dw_max_u64(lsn, dw_store_first(log->store)));
    if (result < 0) {
        dw_reader_close(cursor->reader);
        dw_free(cursor);
        return result;
    }
    *out = cursor;
    return 0;
}

int dwal_cursor_next_metadata(dwal_cursor *cursor, struct dwal_record *record)
{
    limit_cursor(cursor);
    return dw_reader_next(cursor->reader, record);
}

int dwal_cursor_data(dwal_cursor *cursor, struct dwal_record *record)
{
    return dw_reader_data(cursor->reader, record, NULL);
}

int dwal_cursor_next(dwal_cursor *cursor, struct dwal_record *record)
{
    limit_cursor(cursor);
    int result = dw_reader_next(cursor->reader, record);
    return result < 0 ? result : dw_reader_data(cursor->reader, record, NULL);
}

void dwal_cursor_close(dwal_cursor *cursor)
{
    if (!cursor)
        return;
    reader_release(cursor->log, cursor->reader);
    dw_free(cursor);
}

/* ---- reading by lsn ---------------------------------------------------------------------------------------------------- */

static int borrow_reader(struct dwal *log, struct dw_reader **reader)
{
    *reader = NULL;
    pthread_mutex_lock(&log->readers_mutex);
    for (uint32_t i = 0; i < DW_READERS_KEPT && !*reader; i++) {
        *reader = log->readers[i];
        log->readers[i] = NULL;
    }
    pthread_mutex_unlock(&log->readers_mutex);
    int result = 0;
    if (!*reader) {
        struct dw_recent recent = dw_log_recent(log);
        result = dw_reader_create(log->store, &recent, POINT_READ_MAX, reader);
    }
    if (result == 0)
        dw_reader_want(*reader, 1);
    return result;
}

/* What was trimmed away is not kept by a reader that nobody uses. */
static void let_go(struct dwal *log, struct dw_reader *reader)
{
    uint32_t number = dw_reader_volume(reader);
    if (number != DW_VOLUME_NUMBER_NONE && dw_end_lsn_of_volume(&log->geometry, number) <= dw_store_first(log->store))
        dw_reader_release(reader);
}

void dw_log_readers_let_go(struct dwal *log)
{
    pthread_mutex_lock(&log->readers_mutex);
    for (uint32_t i = 0; i < DW_READERS_KEPT; i++)
        if (log->readers[i])
            let_go(log, log->readers[i]);
    pthread_mutex_unlock(&log->readers_mutex);
}

static void give_back_reader(struct dwal *log, struct dw_reader *reader)
{
    count_reads(log, reader);
    pthread_mutex_lock(&log->readers_mutex);
    let_go(log, reader);
    for (uint32_t i = 0; i < DW_READERS_KEPT && reader; i++) {
        if (!log->readers[i]) {
            log->readers[i] = reader;
            reader = NULL;
        }
    }
    pthread_mutex_unlock(&log->readers_mutex);
    if (reader)
        reader_release(log, reader);
}

void dw_log_readers_close(struct dwal *log)
{
    for (uint32_t i = 0; i < DW_READERS_KEPT; i++) {
        if (log->readers[i])
            reader_release(log, log->readers[i]);
        log->readers[i] = NULL;
    }
}

static int refuse_buffer(struct dwal_record *record, uint64_t need, size_t size)
{
    record->metadata = record->data = NULL;
    return dw_fail_at(DWAL_EBUFFER, record->volume, DWAL_NO_LSN, record->lsn,
                      "the record at lsn %llu needs %llu bytes, the buffer has %zu", (unsigned long long)record->lsn,
                      (unsigned long long)need, size);
}

static int read_into(struct dw_reader *reader, uint64_t lsn, uint8_t *buffer, size_t size, struct dwal_record *record)
{
    int result = dw_reader_seek_exact(reader, lsn);
    if (result == 0)
        result = dw_reader_next(reader, record);
    if (result < 0)
        return result;
    uint64_t need = (uint64_t)record->metadata_size + record->data_size;
    if (need > size)
        return refuse_buffer(record, need, size);
    if (record->metadata_size > 0 && buffer) /* without a buffer both are empty */
        memcpy(buffer, record->metadata, record->metadata_size);
    record->metadata = buffer;
    /* `target` NULL means the reader's own buffer, which an empty record does not need either. */
    result = dw_reader_data(reader, record, record->data_size > 0 ? buffer + record->metadata_size : NULL);
    record->metadata = buffer;
    if (result == 0)
        record->data = buffer + record->metadata_size;
    return result;
}

int dwal_read(dwal *log, uint64_t lsn, void *buffer, size_t size, struct dwal_record *record)
{
    if (!record || (!buffer && size > 0))
        return dw_fail(DWAL_EARGUMENT, "record or buffer is NULL");
    struct dw_reader *reader;
    int result = borrow_reader(log, &reader);
    if (result < 0)
        return result;
    dw_reader_limit(reader, visible_end(log));
    result = read_into(reader, lsn, buffer, size, record);
    give_back_reader(log, reader);
    return result;
}

static int match_into(struct dw_reader *reader, uint64_t from, uint64_t before, dwal_match_fn *match, void *context,
                      uint8_t *buffer, size_t size, struct dwal_record *record)
{
    bool is_exact = before == from + 1;
    int result = is_exact ? dw_reader_seek_exact(reader, from) : dw_reader_seek(reader, from);
    while (result == 0) {
        result = dw_reader_next(reader, record);
        if (result == 0 && record->lsn < before && match(context, record))
            break;
        if (result == 0 && (is_exact || record->lsn >= before))
            return dw_fail_at(DWAL_ENOTFOUND, record->volume, DWAL_NO_LSN, from,
                              "no record that matches starts in lsns %llu to %llu", (unsigned long long)from,
                              (unsigned long long)before);
    }
    if (result < 0)
        return result;
    if (record->data_size > size)
        return refuse_buffer(record, record->data_size, size);
    result = dw_reader_data(reader, record, record->data_size > 0 ? buffer : NULL);
    record->metadata = NULL; /* the reader's own */
    record->data = buffer;
    return result;
}

int dwal_read_match(dwal *log, uint64_t from, uint64_t before, dwal_match_fn *match, void *context, void *buffer,
                    size_t size, struct dwal_record *record)
{
    if (!record || !match || (!buffer && size > 0))
        return dw_fail(DWAL_EARGUMENT, "record, match or buffer is NULL");
    if (from < dw_store_first(log->store))
        return dw_fail_at(DWAL_ETRIMMED, DWAL_NO_VOLUME, DWAL_NO_LSN, from, "lsn %llu is before the trim point",
                          (unsigned long long)from);
    struct dw_reader *reader;
    int result = borrow_reader(log, &reader);
    if (result < 0)
        return result;
    dw_reader_limit(reader, visible_end(log));
    result = match_into(reader, from, before, match, context, buffer, size, record);
    give_back_reader(log, reader);
    return result;
}

/* ---- waiting for more ---------------------------------------------------------------------------------------------------- */

static int follow_until(struct dwal *log, uint64_t beyond, uint64_t timeout_ns)
{
    uint64_t deadline = log->clock->monotonic_ns(log->clock->context);
    if (dw_add_overflows(deadline, timeout_ns, &deadline))
        deadline = UINT64_MAX;
    for (;;) {
        bool has_grown = false;
        pthread_mutex_lock(&log->follow_mutex);
        int result = dwal_durable(log) > beyond ? 0 : dw_follow(log, &has_grown);
        pthread_mutex_unlock(&log->follow_mutex);
        if (result < 0 || dwal_durable(log) > beyond)
            return result;
        uint64_t now = log->clock->monotonic_ns(log->clock->context);
        if (now >= deadline)
            return dw_fail(DWAL_ETIMEOUT, "nothing new became durable in the time given");
        struct timespec pause = {.tv_nsec = (long)dw_min_u64(FOLLOW_PAUSE_NS, deadline - now)};
        nanosleep(&pause, NULL);
    }
}

int dwal_wait(dwal *log, uint64_t beyond, uint64_t timeout_ns)
{
    if (!log->is_writer)
        return follow_until(log, beyond, timeout_ns);
    if (beyond == UINT64_MAX)
        return dw_fail(DWAL_EARGUMENT, "no lsn is above %llu", (unsigned long long)beyond);
    int result = dw_durable_wait(&log->writer.durable, beyond + 1, timeout_ns);
    return result < 0 ? dw_fail(result, "%s", dwal_error_meaning(result)) : 0;
}
