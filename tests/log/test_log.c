/* test_log.c - a log as its user sees it: the public calls on a real directory, both backends, with reopening in between. */
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/lib/log_kit.h"

/* ---- life ------------------------------------------------------------------------------------------------------------- */

static void what_was_committed_is_there_after_reopening(void **state)
{
    (void)state;
    dwal *log = dw_log_kit_create();
    dw_log_kit_append(log, 0, 5000); /* several volumes */
    dw_log_kit_check(log, 0, 5000);
    assert_int_equal(dwal_close(log), 0);
    log = dw_log_kit_open();
    struct dwal_report report = {.size = sizeof report};
    assert_int_equal(dwal_get_report(log, &report), 0);
    assert_int_equal(report.verdict, DWAL_VERDICT_CLEAN);
    dw_log_kit_check(log, 0, 5000);
    dw_log_kit_append(log, 5000, 6000);
    dw_log_kit_check(log, 0, 6000);
    assert_int_equal(dwal_close(log), 0);
    log = dw_log_kit_open();
    dw_log_kit_check(log, 0, 6000);
    assert_int_equal(dwal_close(log), 0);
}

static void empty_log_opens_and_closes_again_and_again(void **state)
{
    (void)state;
    dwal *log = dw_log_kit_create();
    for (int i = 0; i < 5; i++) {
        dw_log_kit_check(log, 0, 0);
        assert_int_equal(dwal_close(log), 0);
        log = dw_log_kit_open();
    }
    struct dwal_info info = {.size = sizeof info};
    assert_int_equal(dwal_close(log), 0);
    assert_int_equal(dwal_get_info(dw_log_kit_path, NULL, &info), 0);
    assert_true(info.claimed <= 1); /* reopening burns no volumes */
}

static void second_writer_gets_busy(void **state)
{
    (void)state;
    dwal *log = dw_log_kit_create(), *second;
    struct dwal_options options = dw_log_kit_options();
    options.volume_size = 0;
    assert_int_equal(dwal_open(dw_log_kit_path, &options, &second), DWAL_EBUSY);
    assert_null(second);
    assert_int_equal(dwal_close(log), 0);
    log = dw_log_kit_open();
    assert_int_equal(dwal_close(log), 0);
}

static void create_refuses_what_is_there_and_bad_options(void **state)
{
    (void)state;
    struct dwal_options options = dw_log_kit_options();
    assert_int_equal(dwal_close(dw_log_kit_create()), 0);
    assert_int_equal(dwal_create(dw_log_kit_path, &options), DWAL_EEXIST);
    assert_int_equal(dwal_create(NULL, &options), DWAL_EARGUMENT);
    char other[sizeof dw_log_kit_path + 32];
    snprintf(other, sizeof other, "%s/x", dw_log_kit_directory);
    options.sector_size = 1000;
    assert_int_equal(dwal_create(other, &options), DWAL_EARGUMENT);
    options = dw_log_kit_options();
    options.volume_size = 5000;
    assert_int_equal(dwal_create(other, &options), DWAL_EARGUMENT);
    options = dw_log_kit_options();
    options.blanks = 256;
    assert_int_equal(dwal_create(other, &options), DWAL_EARGUMENT);
    options = dw_log_kit_options();
    options.size = 100000;
    assert_int_equal(dwal_create(other, &options), DWAL_EARGUMENT);
    assert_int_equal(access(other, F_OK), -1); /* nothing is left of a create that failed */
    snprintf(other, sizeof other, "%s/no/such/parent", dw_log_kit_directory);
    options = dw_log_kit_options();
    assert_int_equal(dwal_create(other, &options), DWAL_EARGUMENT);
    assert_int_equal(dwal_last_error()->system_code, ENOENT);
}

static void open_tells_what_is_wrong(void **state)
{
    (void)state;
    dwal *log;
    struct dwal_options options = DWAL_OPTIONS_INIT;
    assert_int_equal(dwal_open(dw_log_kit_path, NULL, &log), DWAL_ENOLOG);
    assert_int_equal(dwal_open(dw_log_kit_directory, NULL, &log), DWAL_ENOLOG);
    assert_int_equal(dwal_open(NULL, NULL, &log), DWAL_EARGUMENT);
    assert_int_equal(dwal_open("/dev/shm", NULL, &log), DWAL_EUNSUPPORTED);
    struct dwal_options with_magic = dw_log_kit_options();
    with_magic.magic_number = 0x1234;
    assert_int_equal(dwal_create(dw_log_kit_path, &with_magic), 0);
    options.magic_number = 0x4321;
    assert_int_equal(dwal_open(dw_log_kit_path, &options, &log), DWAL_EMAGIC);
    options.magic_number = 0x1234;
    options.volume_size = 1 << 20;
    assert_int_equal(dwal_open(dw_log_kit_path, &options, &log), DWAL_EARGUMENT);
    assert_non_null(strstr(dwal_last_error()->text, "volume_size"));
    options.volume_size = 0;
    options.ring_size = 5000;
    assert_int_equal(dwal_open(dw_log_kit_path, &options, &log), DWAL_EARGUMENT);
    options.ring_size = 0;
    options.in_flight_writes = 9;
    assert_int_equal(dwal_open(dw_log_kit_path, &options, &log), DWAL_EARGUMENT);
    options.in_flight_writes = 0;
    options.backend = "telepathy";
    assert_int_equal(dwal_open(dw_log_kit_path, &options, &log), DWAL_EARGUMENT);
    options.backend = NULL;
    options.write_size_max = 5000;
    assert_int_equal(dwal_open(dw_log_kit_path, &options, &log), DWAL_EARGUMENT);
    options.write_size_max = 0;
    assert_int_equal(dwal_open(dw_log_kit_path, &options, &log), 0);
    assert_int_equal(dwal_close(log), 0);
}

/* ---- entries ------------------------------------------------------------------------------------------------------------ */

static void metadata_data_and_user_bits_come_back(void **state)
{
    (void)state;
    dwal *log = dw_log_kit_create();
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
    dwal *log = dw_log_kit_create();
    struct iovec parts[10];
    struct dwal_entry entries[10];
    char bytes[10][1024];
    for (uint64_t i = 0; i < 10; i++)
        entries[i] = dw_log_kit_entry(bytes[i], dw_log_kit_numbered(i, bytes[i]), &parts[i]);
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
    dw_log_kit_check(log, 0, 10);
    assert_int_equal(dwal_close(log), 0);
}

static void entry_larger_than_ring_and_volume_survives(void **state)
{
    (void)state;
    dwal *log = dw_log_kit_create();
    size_t size = 3 << 20; /* 12 rings, 12 volumes */
    char *bytes = malloc(size), *back = malloc(size);
    for (size_t i = 0; i < size; i++)
        bytes[i] = (char)(i * 2654435761u >> 24);
    struct iovec part;
    struct dwal_entry entry = dw_log_kit_entry(bytes, size, &part);
    uint64_t end, lsn;
    dw_log_kit_append_text(log, "before", &end);
    assert_int_equal(dwal_commit(log, &entry, &lsn, &end), 0);
    dw_log_kit_append_text(log, "after", &end);
    assert_int_equal(dwal_sync(log, end), 0);
    struct dwal_record record;
    for (int round = 0; round < 2; round++) {
        assert_int_equal(dwal_read(log, lsn, back, size, &record), 0);
        assert_int_equal(record.data_size, size);
        assert_memory_equal(record.data, bytes, size);
        assert_int_equal(dwal_close(log), 0);
        log = dw_log_kit_open();
    }
    free(bytes);
    free(back);
    assert_int_equal(dwal_close(log), 0);
}

static void wrong_calls_are_refused(void **state)
{
    (void)state;
    dwal *log = dw_log_kit_create();
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
    struct dwal_options options = dw_log_kit_options();
    assert_int_equal(dwal_create(dw_log_kit_path, &options), 0);
    options.durable = on_durable;
    options.context = &heard;
    dwal *log = dw_log_kit_open_with(&options);
    int fd;
    assert_int_equal(dwal_eventfd(log, &fd), 0);
    uint64_t end;
    dw_log_kit_append_text(log, "hello", &end);
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
    dwal *log = dw_log_kit_create();
    uint64_t end;
    dw_log_kit_append_text(log, "x", &end);
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
    dw_log_kit_append_text(log, "y", &end); /* a parked flusher is called again */
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
    dwal *log = dw_log_kit_create();
    dw_log_kit_append(log, 0, 3000);
    uint64_t lsn = nth_lsn(log, 2000), old = nth_lsn(log, 10);
    assert_int_equal(dwal_trim(log, lsn), 0);
    assert_int_equal(dwal_first(log), lsn);
    dw_log_kit_check(log, 2000, 3000);
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
    dw_log_kit_append(log, 3000, 5000); /* into recycled volumes */
    assert_int_equal(dwal_close(log), 0);
    log = dw_log_kit_open();
    assert_int_equal(dwal_first(log), lsn);
    dw_log_kit_check(log, 2000, 5000);
    assert_int_equal(dwal_trim(log, dwal_durable(log)), 0); /* everything */
    dw_log_kit_check(log, 0, 0);
    dw_log_kit_append(log, 0, 100);
    assert_int_equal(dwal_close(log), 0);
    log = dw_log_kit_open();
    dw_log_kit_check(log, 0, 100);
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
    struct dwal_options options = dw_log_kit_options();
    options.toc_length = 100;
    assert_int_equal(dwal_create(dw_log_kit_path, &options), 0);
    options.table = make_table;
    options.context = &tables;
    dwal *log = dw_log_kit_open_with(&options);
    dw_log_kit_append(log, 0, 3000);
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
    struct dwal_options options = dw_log_kit_options();
    options.toc_length = 100;
    assert_int_equal(dwal_create(dw_log_kit_path, &options), 0);
    options.table = make_table;
    options.context = &tables;
    dwal *log = dw_log_kit_open_with(&options);
    char bytes[1024];
    struct iovec part;
    int result = 0;
    uint64_t end, count = 0;
    while (result == 0) {
        struct dwal_entry entry = dw_log_kit_entry(bytes, dw_log_kit_numbered(count, bytes), &part);
        result = dwal_commit(log, &entry, NULL, &end);
        count += result == 0;
    }
    assert_int_equal(result, DWAL_EFAILED);
    struct dwal_error error;
    assert_int_equal(dwal_failure(log, &error), DWAL_ETABLE);
    assert_int_equal(error.volume, 0);
    assert_int_equal(dwal_close(log), DWAL_EFAILED);
    tables = (struct tables){.answer = 10};
    log = dw_log_kit_open_with(&options);
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        DW_LOG_KIT_TEST(what_was_committed_is_there_after_reopening),
        DW_LOG_KIT_TEST(empty_log_opens_and_closes_again_and_again),
        DW_LOG_KIT_TEST(second_writer_gets_busy),
        DW_LOG_KIT_TEST(create_refuses_what_is_there_and_bad_options),
        DW_LOG_KIT_TEST(open_tells_what_is_wrong),
        DW_LOG_KIT_TEST(metadata_data_and_user_bits_come_back),
        DW_LOG_KIT_TEST(batch_has_lsns_of_its_own_and_is_marked),
        DW_LOG_KIT_TEST(entry_larger_than_ring_and_volume_survives),
        DW_LOG_KIT_TEST(wrong_calls_are_refused),
        DW_LOG_KIT_TEST(flush_tells_by_callback_and_eventfd),
        DW_LOG_KIT_TEST(idle_log_gets_one_marker),
        DW_LOG_KIT_TEST(trim_drops_the_front_for_good_and_recycles),
        DW_LOG_KIT_TEST(table_is_asked_once_for_each_volume_in_order),
        DW_LOG_KIT_TEST(table_that_is_too_long_stops_the_log_and_loses_nothing),
    };
    return DW_LOG_KIT_RUN(tests);
}
