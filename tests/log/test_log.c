/* test_log.c - a log as its user sees it: the public calls on a real directory, both backends, with reopening in between. */
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include <dwal/dwal.h>
#include <dwal/inspect.h>

#include "tests/lib/tmpdir.h"

static char directory[DW_TMPDIR_SIZE];
static char path[DW_TMPDIR_SIZE + 8];
static const char *backend = "sync";

static int set_up(void **state)
{
    (void)state;
    dw_tmpdir_make(directory, "log");
    snprintf(path, sizeof path, "%s/log", directory);
    return 0;
}
static int tear_down(void **state)
{
    (void)state;
    dw_tmpdir_remove(directory);
    return 0;
}

static struct dwal_options small(void)
{
    struct dwal_options options = DWAL_OPTIONS_INIT;
    options.volume_size = 256 << 10;
    options.ring_size = 256 << 10;
    options.write_size_max = 32 << 10;
    options.blanks = 2;
    options.backend = backend;
    return options;
}

static dwal *open_with(const struct dwal_options *options)
{
    dwal *log = NULL;
    int result = dwal_open(path, options, &log);
    if (result < 0)
        fail_msg("open: %s", dwal_last_error()->text);
    return log;
}

static dwal *open_small(void)
{
    struct dwal_options options = small();
    options.volume_size = 0;
    options.blanks = 0;
    return open_with(&options);
}

static dwal *create_small(void)
{
    struct dwal_options options = small();
    if (dwal_create(path, &options) < 0)
        fail_msg("create: %s", dwal_last_error()->text);
    return open_small();
}

static struct dwal_entry entry_of(const void *bytes, size_t size, struct iovec *part)
{
    *part = (struct iovec){.iov_base = (void *)(uintptr_t)bytes, .iov_len = size};
    return (struct dwal_entry){.data = part, .data_count = 1};
}

static uint64_t append_text(dwal *log, const char *text, uint64_t *end)
{
    struct iovec part;
    struct dwal_entry entry = entry_of(text, strlen(text), &part);
    uint64_t lsn;
    assert_int_equal(dwal_append(log, &entry, &lsn, end), 0);
    return lsn;
}

/* Entry `i` is its number, spread over a size of its own. */
static size_t numbered(uint64_t i, char *bytes)
{
    size_t size = 8 + (size_t)(i * 131 % 900);
    memset(bytes, (int)(i % 251), size);
    memcpy(bytes, &i, sizeof i);
    return size;
}

static void append_numbered(dwal *log, uint64_t from, uint64_t to)
{
    char bytes[1024];
    struct iovec part;
    uint64_t end = 0;
    for (uint64_t i = from; i < to; i++) {
        struct dwal_entry entry = entry_of(bytes, numbered(i, bytes), &part);
        if (dwal_append(log, &entry, NULL, &end) < 0)
            fail_msg("append: %s", dwal_last_error()->text);
    }
    assert_int_equal(dwal_sync(log, end), 0);
}

static void check_numbered(dwal *log, uint64_t from, uint64_t to)
{
    dwal_cursor *cursor;
    char expected[1024];
    struct dwal_record record;
    uint64_t i = from;
    assert_int_equal(dwal_cursor_open(log, 0, &cursor), 0);
    int result;
    while ((result = dwal_cursor_next(cursor, &record)) == 0) {
        size_t size = numbered(i, expected);
        if (record.data_size != size || memcmp(record.data, expected, size) != 0)
            fail_msg("entry %llu differs", (unsigned long long)i);
        i++;
    }
    assert_int_equal(result, DWAL_EEND);
    assert_int_equal(i, to);
    dwal_cursor_close(cursor);
}

/* ---- life ------------------------------------------------------------------------------------------------------------- */

static void what_was_committed_is_there_after_reopening(void **state)
{
    (void)state;
    dwal *log = create_small();
    append_numbered(log, 0, 5000); /* several volumes */
    check_numbered(log, 0, 5000);
    assert_int_equal(dwal_close(log), 0);
    log = open_small();
    struct dwal_report report = {.size = sizeof report};
    assert_int_equal(dwal_get_report(log, &report), 0);
    assert_int_equal(report.verdict, DWAL_VERDICT_CLEAN);
    check_numbered(log, 0, 5000);
    append_numbered(log, 5000, 6000);
    check_numbered(log, 0, 6000);
    assert_int_equal(dwal_close(log), 0);
    log = open_small();
    check_numbered(log, 0, 6000);
    assert_int_equal(dwal_close(log), 0);
}

static void empty_log_opens_and_closes_again_and_again(void **state)
{
    (void)state;
    dwal *log = create_small();
    for (int i = 0; i < 5; i++) {
        check_numbered(log, 0, 0);
        assert_int_equal(dwal_close(log), 0);
        log = open_small();
    }
    struct dwal_info info = {.size = sizeof info};
    assert_int_equal(dwal_close(log), 0);
    assert_int_equal(dwal_get_info(path, NULL, &info), 0);
    assert_true(info.claimed <= 1); /* reopening burns no volumes */
}

static void second_writer_gets_busy(void **state)
{
    (void)state;
    dwal *log = create_small(), *second;
    struct dwal_options options = small();
    options.volume_size = 0;
    assert_int_equal(dwal_open(path, &options, &second), DWAL_EBUSY);
    assert_null(second);
    assert_int_equal(dwal_close(log), 0);
    log = open_small();
    assert_int_equal(dwal_close(log), 0);
}

static void create_refuses_what_is_there_and_bad_options(void **state)
{
    (void)state;
    struct dwal_options options = small();
    assert_int_equal(dwal_close(create_small()), 0);
    assert_int_equal(dwal_create(path, &options), DWAL_EEXIST);
    assert_int_equal(dwal_create(NULL, &options), DWAL_EARGUMENT);
    char other[sizeof path + 32];
    snprintf(other, sizeof other, "%s/x", directory);
    options.sector_size = 1000;
    assert_int_equal(dwal_create(other, &options), DWAL_EARGUMENT);
    options = small();
    options.volume_size = 5000;
    assert_int_equal(dwal_create(other, &options), DWAL_EARGUMENT);
    options = small();
    options.blanks = 256;
    assert_int_equal(dwal_create(other, &options), DWAL_EARGUMENT);
    options = small();
    options.size = 100000;
    assert_int_equal(dwal_create(other, &options), DWAL_EARGUMENT);
    assert_int_equal(access(other, F_OK), -1); /* nothing is left of a create that failed */
    snprintf(other, sizeof other, "%s/no/such/parent", directory);
    options = small();
    assert_int_equal(dwal_create(other, &options), DWAL_EDEVICE);
    assert_int_equal(dwal_last_error()->system_code, ENOENT);
}

static void open_tells_what_is_wrong(void **state)
{
    (void)state;
    dwal *log;
    struct dwal_options options = DWAL_OPTIONS_INIT;
    assert_int_equal(dwal_open(path, NULL, &log), DWAL_ENOLOG);
    assert_int_equal(dwal_open(directory, NULL, &log), DWAL_ENOLOG);
    assert_int_equal(dwal_open(NULL, NULL, &log), DWAL_EARGUMENT);
    assert_int_equal(dwal_open("/dev/shm", NULL, &log), DWAL_EUNSUPPORTED);
    struct dwal_options with_magic = small();
    with_magic.magic_number = 0x1234;
    assert_int_equal(dwal_create(path, &with_magic), 0);
    options.magic_number = 0x4321;
    assert_int_equal(dwal_open(path, &options, &log), DWAL_EMAGIC);
    options.magic_number = 0x1234;
    options.volume_size = 1 << 20;
    assert_int_equal(dwal_open(path, &options, &log), DWAL_EARGUMENT);
    assert_non_null(strstr(dwal_last_error()->text, "volume_size"));
    options.volume_size = 0;
    options.ring_size = 5000;
    assert_int_equal(dwal_open(path, &options, &log), DWAL_EARGUMENT);
    options.ring_size = 0;
    options.in_flight_writes = 9;
    assert_int_equal(dwal_open(path, &options, &log), DWAL_EARGUMENT);
    options.in_flight_writes = 0;
    options.backend = "telepathy";
    assert_int_equal(dwal_open(path, &options, &log), DWAL_EARGUMENT);
    options.backend = NULL;
    options.write_size_max = 5000;
    assert_int_equal(dwal_open(path, &options, &log), DWAL_EARGUMENT);
    options.write_size_max = 0;
    assert_int_equal(dwal_open(path, &options, &log), 0);
    assert_int_equal(dwal_close(log), 0);
}

/* ---- entries ------------------------------------------------------------------------------------------------------------ */

static void metadata_data_and_user_bits_come_back(void **state)
{
    (void)state;
    dwal *log = create_small();
    struct iovec metadata[2] = {{(void *)(uintptr_t) "me", 2}, {(void *)(uintptr_t) "ta", 2}};
    struct iovec data[3] = {{(void *)(uintptr_t) "da", 2}, {NULL, 0}, {(void *)(uintptr_t) "ta!", 3}};
    struct dwal_entry entry = {
        .metadata = metadata, .metadata_count = 2, .data = data, .data_count = 3, .user = 0xbeef};
    uint64_t lsn, end, empty;
    assert_int_equal(dwal_commit(log, &entry, &lsn, &end), 0);
    assert_true(dwal_durable(log) >= end);
    struct dwal_entry nothing = {0};
    assert_int_equal(dwal_commit(log, &nothing, &empty, &end), 0);
    char buffer[16];
    struct dwal_record record;
    assert_int_equal(dwal_read(log, lsn, buffer, sizeof buffer, &record), 0);
    assert_int_equal(record.metadata_size, 4);
    assert_memory_equal(record.metadata, "meta", 4);
    assert_int_equal(record.data_size, 5);
    assert_memory_equal(record.data, "data!", 5);
    assert_int_equal(record.user, 0xbeef);
    assert_int_equal(dwal_read(log, empty, buffer, sizeof buffer, &record), 0);
    assert_int_equal(record.metadata_size + record.data_size, 0);
    assert_int_equal(dwal_read(log, lsn, buffer, 8, &record), DWAL_EBUFFER);
    assert_int_equal(record.data_size, 5);
    assert_int_equal(dwal_read(log, lsn + 1, buffer, sizeof buffer, &record), DWAL_ENOTFOUND);
    assert_int_equal(dwal_read(log, dwal_end(log), buffer, sizeof buffer, &record), DWAL_EEND);
    assert_int_equal(dwal_close(log), 0);
}

static void batch_has_lsns_of_its_own_and_is_marked(void **state)
{
    (void)state;
    dwal *log = create_small();
    struct iovec parts[10];
    struct dwal_entry entries[10];
    char bytes[10][1024];
    for (uint64_t i = 0; i < 10; i++)
        entries[i] = entry_of(bytes[i], numbered(i, bytes[i]), &parts[i]);
    uint64_t lsns[10], end;
    assert_int_equal(dwal_append_batch(log, entries, 0, lsns, &end), DWAL_EARGUMENT);
    assert_int_equal(dwal_append_batch(log, entries, 10, lsns, &end), 0);
    assert_int_equal(dwal_sync(log, end), 0);
    dwal_cursor *cursor;
    struct dwal_record record;
    assert_int_equal(dwal_cursor_open(log, 0, &cursor), 0);
    for (int i = 0; i < 10; i++) {
        assert_int_equal(dwal_cursor_next(cursor, &record), 0);
        assert_int_equal(record.lsn, lsns[i]);
        assert_int_equal(record.more_of_batch, i < 9);
    }
    assert_int_equal(record.end, end);
    dwal_cursor_close(cursor);
    check_numbered(log, 0, 10);
    assert_int_equal(dwal_close(log), 0);
}

static void entry_larger_than_ring_and_volume_survives(void **state)
{
    (void)state;
    dwal *log = create_small();
    size_t size = 3 << 20; /* 12 rings, 12 volumes */
    char *bytes = malloc(size), *back = malloc(size);
    for (size_t i = 0; i < size; i++)
        bytes[i] = (char)(i * 2654435761u >> 24);
    struct iovec part;
    struct dwal_entry entry = entry_of(bytes, size, &part);
    uint64_t end, lsn;
    append_text(log, "before", &end);
    assert_int_equal(dwal_commit(log, &entry, &lsn, &end), 0);
    append_text(log, "after", &end);
    assert_int_equal(dwal_sync(log, end), 0);
    struct dwal_record record;
    for (int round = 0; round < 2; round++) {
        assert_int_equal(dwal_read(log, lsn, back, size, &record), 0);
        assert_int_equal(record.data_size, size);
        assert_memory_equal(record.data, bytes, size);
        assert_int_equal(dwal_close(log), 0);
        log = open_small();
    }
    free(bytes);
    free(back);
    assert_int_equal(dwal_close(log), 0);
}

static void wrong_calls_are_refused(void **state)
{
    (void)state;
    dwal *log = create_small();
    uint64_t end, lsn = 0;
    char byte = 1;
    struct iovec huge = {&byte, (size_t)DWAL_PART_SIZE_MAX + 1};
    struct dwal_entry entry = {.data = &huge, .data_count = 1};
    assert_int_equal(dwal_append(log, &entry, &lsn, &end), DWAL_ETOOBIG);
    assert_int_equal(dwal_append(log, NULL, &lsn, &end), DWAL_EARGUMENT);
    entry = (struct dwal_entry){.data_count = 1};
    assert_int_equal(dwal_append(log, &entry, &lsn, &end), DWAL_EARGUMENT);
    assert_int_equal(dwal_sync(log, 1000000), DWAL_EARGUMENT);
    assert_int_equal(dwal_flush(log, 1000000), DWAL_EARGUMENT);
    assert_int_equal(dwal_trim(log, 1000000), DWAL_EARGUMENT);
    assert_int_equal(dwal_cursor_open(log, 0, NULL), DWAL_EARGUMENT);
    assert_int_equal(dwal_read(log, 0, NULL, 10, NULL), DWAL_EARGUMENT);
    struct dwal_stats *stats = calloc(1, sizeof *stats);
    assert_int_equal(dwal_get_stats(log, stats), DWAL_EARGUMENT);
    free(stats);
    assert_int_equal(dwal_wait(log, dwal_durable(log), 1000000), DWAL_ETIMEOUT);
    assert_int_equal(dwal_close(log), 0);
    assert_int_equal(dwal_close(NULL), 0);
}

/* ---- durability without waiting --------------------------------------------------------------------------------------------- */

struct heard {
    pthread_mutex_t mutex;
    uint64_t durable;
    int calls;
};

static void on_durable(void *context, uint64_t durable, int failure)
{
    struct heard *heard = context;
    assert_int_equal(failure, 0);
    pthread_mutex_lock(&heard->mutex);
    assert_true(durable > heard->durable);
    heard->durable = durable;
    heard->calls++;
    pthread_mutex_unlock(&heard->mutex);
}

static void flush_tells_by_callback_and_eventfd(void **state)
{
    (void)state;
    struct heard heard = {.mutex = PTHREAD_MUTEX_INITIALIZER};
    struct dwal_options options = small();
    assert_int_equal(dwal_create(path, &options), 0);
    options.durable = on_durable;
    options.context = &heard;
    dwal *log = open_with(&options);
    int fd;
    assert_int_equal(dwal_eventfd(log, &fd), 0);
    uint64_t end;
    append_text(log, "hello", &end);
    assert_true(dwal_durable(log) < end);
    assert_int_equal(dwal_flush(log, end), 0);
    while (dwal_durable(log) < end) {
        struct pollfd poller = {.fd = fd, .events = POLLIN};
        assert_int_equal(poll(&poller, 1, 5000), 1);
        uint64_t count;
        assert_int_equal(read(fd, &count, sizeof count), sizeof count);
    }
    assert_int_equal(dwal_sync_for(log, end, 1), 0);
    assert_int_equal(dwal_close(log), 0);
    assert_true(heard.calls >= 1);
    assert_true(heard.durable >= end);
}

static void idle_log_gets_one_marker(void **state)
{
    (void)state;
    dwal *log = create_small();
    uint64_t end;
    append_text(log, "x", &end);
    assert_int_equal(dwal_sync(log, end), 0);
    struct dwal_stats *stats = calloc(1, sizeof *stats);
    stats->size = sizeof *stats;
    for (int i = 0; i < 300 && stats->markers == 0; i++) {
        usleep(10000);
        assert_int_equal(dwal_get_stats(log, stats), 0);
    }
    assert_int_equal(stats->markers, 1);
    usleep(100000);
    assert_int_equal(dwal_get_stats(log, stats), 0);
    assert_int_equal(stats->markers, 1);
    assert_int_equal(stats->appends, 1);
    append_text(log, "y", &end); /* a parked flusher is called again */
    assert_int_equal(dwal_sync(log, end), 0);
    for (int i = 0; i < 300 && stats->markers == 1; i++) {
        usleep(10000);
        assert_int_equal(dwal_get_stats(log, stats), 0);
    }
    assert_int_equal(stats->markers, 2);
    assert_int_equal(stats->lone_commits, 2);
    free(stats);
    assert_int_equal(dwal_close(log), 0);
}

/* ---- trim -------------------------------------------------------------------------------------------------------------------- */

static uint64_t nth_lsn(dwal *log, uint64_t n)
{
    dwal_cursor *cursor;
    struct dwal_record record;
    assert_int_equal(dwal_cursor_open(log, 0, &cursor), 0);
    for (uint64_t i = 0; i <= n; i++)
        assert_int_equal(dwal_cursor_next(cursor, &record), 0);
    dwal_cursor_close(cursor);
    return record.lsn;
}

static void trim_drops_the_front_for_good_and_recycles(void **state)
{
    (void)state;
    dwal *log = create_small();
    append_numbered(log, 0, 3000);
    uint64_t lsn = nth_lsn(log, 2000), old = nth_lsn(log, 10);
    assert_int_equal(dwal_trim(log, lsn), 0);
    assert_int_equal(dwal_first(log), lsn);
    check_numbered(log, 2000, 3000);
    char buffer[1024];
    struct dwal_record record;
    assert_int_equal(dwal_read(log, old, buffer, sizeof buffer, &record), DWAL_ETRIMMED);
    struct dwal_stats *stats = calloc(1, sizeof *stats);
    stats->size = sizeof *stats;
    for (int i = 0; i < 500 && stats->volumes_recycled + stats->volumes_unlinked < 3; i++) {
        usleep(10000);
        assert_int_equal(dwal_get_stats(log, stats), 0);
    }
    assert_true(stats->volumes_recycled + stats->volumes_unlinked >= 3);
    free(stats);
    assert_int_equal(dwal_trim(log, old), 0); /* a smaller one does nothing */
    assert_int_equal(dwal_first(log), lsn);
    append_numbered(log, 3000, 5000); /* into recycled volumes */
    assert_int_equal(dwal_close(log), 0);
    log = open_small();
    assert_int_equal(dwal_first(log), lsn);
    check_numbered(log, 2000, 5000);
    assert_int_equal(dwal_trim(log, dwal_durable(log)), 0); /* everything */
    check_numbered(log, 0, 0);
    append_numbered(log, 0, 100);
    assert_int_equal(dwal_close(log), 0);
    log = open_small();
    check_numbered(log, 0, 100);
    assert_int_equal(dwal_close(log), 0);
}

/* ---- readers ----------------------------------------------------------------------------------------------------------------- */

static void *follow(void *context)
{
    dwal *log = context;
    dwal_cursor *cursor;
    struct dwal_record record;
    char expected[1024];
    assert_int_equal(dwal_cursor_open(log, 0, &cursor), 0);
    for (uint64_t i = 0; i < 4000;) {
        int result = dwal_cursor_next(cursor, &record);
        if (result == DWAL_EEND) {
            result = dwal_wait(log, dwal_durable(log), UINT64_C(20000000));
            assert_true(result == 0 || result == DWAL_ETIMEOUT);
            continue;
        }
        if (result < 0)
            fail_msg("follow: %s", dwal_last_error()->text);
        size_t size = numbered(i, expected);
        assert_int_equal(record.data_size, size);
        assert_memory_equal(record.data, expected, size);
        assert_true(record.end <= dwal_durable(log));
        i++;
    }
    dwal_cursor_close(cursor);
    return NULL;
}

static void cursor_follows_the_live_tail(void **state)
{
    (void)state;
    dwal *log = create_small();
    pthread_t threads[2];
    for (int i = 0; i < 2; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, follow, log), 0);
    for (uint64_t i = 0; i < 4000; i += 10)
        append_numbered(log, i, i + 10);
    for (int i = 0; i < 2; i++)
        pthread_join(threads[i], NULL);
    assert_int_equal(dwal_close(log), 0);
}

static void read_only_handle_sees_a_live_writer_and_writes_nothing(void **state)
{
    (void)state;
    dwal *log = create_small();
    append_numbered(log, 0, 1500);
    struct dwal_options options = small();
    options.mode = DWAL_READ_ONLY;
    options.volume_size = options.blanks = 0;
    dwal *reader = open_with(&options);
    uint64_t before = dwal_durable(reader);
    uint64_t end;
    assert_int_equal(dwal_append(reader, &(struct dwal_entry){0}, NULL, &end), DWAL_EREADONLY);
    assert_int_equal(dwal_trim(reader, 0), DWAL_EREADONLY);
    assert_int_equal(dwal_sync(reader, 0), DWAL_EREADONLY);
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, follow, reader), 0);
    for (uint64_t i = 1500; i < 4000; i += 10)
        append_numbered(log, i, i + 10);
    pthread_join(thread, NULL); /* the marker or the next write shows it the last entries */
    assert_true(dwal_durable(reader) > before);
    assert_int_equal(dwal_close(reader), 0);
    assert_int_equal(dwal_close(log), 0);
    reader = open_with(&options);
    check_numbered(reader, 0, 4000);
    assert_int_equal(dwal_close(reader), 0);
}

static void skipped_data_is_not_read_and_can_be_asked_for(void **state)
{
    (void)state;
    dwal *log = create_small();
    append_numbered(log, 0, 200);
    dwal_cursor *cursor;
    struct dwal_record record;
    char expected[1024];
    assert_int_equal(dwal_cursor_open(log, 0, &cursor), 0);
    for (uint64_t i = 0; i < 200; i++) {
        assert_int_equal(dwal_cursor_next_metadata(cursor, &record), 0);
        if (i % 3 != 0)
            continue;
        assert_int_equal(dwal_cursor_data(cursor, &record), 0);
        size_t size = numbered(i, expected);
        assert_int_equal(record.data_size, size);
        assert_memory_equal(record.data, expected, size);
    }
    assert_int_equal(dwal_cursor_next(cursor, &record), DWAL_EEND);
    dwal_cursor_close(cursor);
    assert_int_equal(dwal_close(log), 0);
}

/* ---- the caller's table ---------------------------------------------------------------------------------------------------------- */

struct tables {
    uint32_t calls, answer;
    uint32_t volumes[64];
    uint64_t first[64], end[64];
};

static uint64_t make_table(void *context, uint32_t volume, uint64_t first, uint64_t end, bool spill, void *table,
                           uint32_t capacity)
{
    struct tables *tables = context;
    (void)spill;
    assert_int_equal(capacity, 100);
    tables->volumes[tables->calls] = volume;
    tables->first[tables->calls] = first;
    tables->end[tables->calls] = end;
    tables->calls++;
    memset(table, (int)volume, capacity);
    return tables->answer;
}

static void table_is_asked_once_for_each_volume_in_order(void **state)
{
    (void)state;
    struct tables tables = {.answer = 100};
    struct dwal_options options = small();
    options.toc_length = 100;
    assert_int_equal(dwal_create(path, &options), 0);
    options.table = make_table;
    options.context = &tables;
    dwal *log = open_with(&options);
    append_numbered(log, 0, 3000);
    assert_int_equal(dwal_close(log), 0);
    assert_true(tables.calls >= 4);
    for (uint32_t i = 0; i < tables.calls; i++) {
        assert_int_equal(tables.volumes[i], i);
        assert_true(tables.first[i] < tables.end[i]);
        if (i > 0)
            assert_true(tables.first[i] >= tables.end[i - 1]);
    }
}

static void table_that_is_too_long_stops_the_log_and_loses_nothing(void **state)
{
    (void)state;
    struct tables tables = {.answer = 101};
    struct dwal_options options = small();
    options.toc_length = 100;
    assert_int_equal(dwal_create(path, &options), 0);
    options.table = make_table;
    options.context = &tables;
    dwal *log = open_with(&options);
    char bytes[1024];
    struct iovec part;
    int result = 0;
    uint64_t end, count = 0;
    while (result == 0) {
        struct dwal_entry entry = entry_of(bytes, numbered(count, bytes), &part);
        result = dwal_commit(log, &entry, NULL, &end);
        count += result == 0;
    }
    assert_int_equal(result, DWAL_EFAILED);
    struct dwal_error error;
    assert_int_equal(dwal_failure(log, &error), DWAL_ETABLE);
    assert_int_equal(error.volume, 0);
    assert_int_equal(dwal_close(log), DWAL_EFAILED);
    tables = (struct tables){.answer = 10};
    log = open_with(&options);
    assert_true(tables.calls >= 1); /* asked again for the volume that had no table */
    struct dwal_record record;
    dwal_cursor *cursor;
    uint64_t found = 0;
    assert_int_equal(dwal_cursor_open(log, 0, &cursor), 0);
    while (dwal_cursor_next(cursor, &record) == 0)
        found++;
    assert_true(found >= count);
    dwal_cursor_close(cursor);
    assert_int_equal(dwal_close(log), 0);
}

/* ---- many threads -------------------------------------------------------------------------------------------------------------------- */

static dwal *shared_log;

static void *commit_some(void *context)
{
    char bytes[64];
    uint64_t id = (uint64_t)(uintptr_t)context, last = 0;
    for (int i = 0; i < 150; i++) {
        int size = snprintf(bytes, sizeof bytes, "%llu:%d", (unsigned long long)id, i);
        struct iovec part;
        struct dwal_entry entry = entry_of(bytes, (size_t)size, &part);
        uint64_t lsn, end;
        assert_int_equal(dwal_commit(shared_log, &entry, &lsn, &end), 0);
        assert_true(lsn >= last);
        assert_true(dwal_durable(shared_log) >= end);
        last = end;
    }
    return NULL;
}

static void threads_commit_together_in_one_order(void **state)
{
    (void)state;
    shared_log = create_small();
    pthread_t threads[8];
    for (uintptr_t i = 0; i < 8; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, commit_some, (void *)i), 0);
    for (int i = 0; i < 8; i++)
        pthread_join(threads[i], NULL);
    struct dwal_stats *stats = calloc(1, sizeof *stats);
    stats->size = sizeof *stats;
    assert_int_equal(dwal_get_stats(shared_log, stats), 0);
    assert_int_equal(stats->commits, 1200);
    assert_int_equal(stats->stages[DWAL_STAGE_COMMIT].count, 1200);
    assert_true(stats->writes < 1200);
    free(stats);
    assert_int_equal(dwal_close(shared_log), 0);
    dwal *log = open_small();
    int next[8] = {0}, total = 0;
    dwal_cursor *cursor;
    struct dwal_record record;
    assert_int_equal(dwal_cursor_open(log, 0, &cursor), 0);
    while (dwal_cursor_next(cursor, &record) == 0) {
        char text[64] = {0};
        unsigned id;
        int n;
        memcpy(text, record.data, record.data_size);
        assert_int_equal(sscanf(text, "%u:%d", &id, &n), 2);
        assert_int_equal(n, next[id]++);
        total++;
    }
    assert_int_equal(total, 1200);
    dwal_cursor_close(cursor);
    assert_int_equal(dwal_close(log), 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(what_was_committed_is_there_after_reopening),
        TEST(empty_log_opens_and_closes_again_and_again),
        TEST(second_writer_gets_busy),
        TEST(create_refuses_what_is_there_and_bad_options),
        TEST(open_tells_what_is_wrong),
        TEST(metadata_data_and_user_bits_come_back),
        TEST(batch_has_lsns_of_its_own_and_is_marked),
        TEST(entry_larger_than_ring_and_volume_survives),
        TEST(wrong_calls_are_refused),
        TEST(flush_tells_by_callback_and_eventfd),
        TEST(idle_log_gets_one_marker),
        TEST(trim_drops_the_front_for_good_and_recycles),
        TEST(cursor_follows_the_live_tail),
        TEST(read_only_handle_sees_a_live_writer_and_writes_nothing),
        TEST(skipped_data_is_not_read_and_can_be_asked_for),
        TEST(table_is_asked_once_for_each_volume_in_order),
        TEST(table_that_is_too_long_stops_the_log_and_loses_nothing),
        TEST(threads_commit_together_in_one_order),
    };
    int failed = 0;
    static const char *const backends[] = {"sync", "uring"};
    for (int i = 0; i < 2; i++) {
        backend = backends[i];
        failed += _cmocka_run_group_tests(backend, tests, sizeof tests / sizeof tests[0], NULL, NULL);
    }
    return failed;
}
