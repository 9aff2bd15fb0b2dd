/* test_indexed_readers.c - readers beside the writer: what they see, what they cost, and that they hold nobody up. */
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "tests/lib/indexed_kit.h"
#include "tests/lib/watchdog.h"

enum { READERS = 3, RUN_MS = 1500 };

struct scene {
    dwal_indexed *log;
    _Atomic bool is_over;
    _Atomic uint64_t reads, cursor_reads, wrong, undurable;
};

static uint64_t random_step(uint64_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return *state;
}

/* The entry says itself what it must be. */
static void check(struct scene *scene, uint64_t index, const struct dwal_indexed_record *record)
{
    uint8_t expected[DW_INDEXED_KIT_SIZE_MAX];
    uint32_t generation;
    if (record->index != index || record->size < 16) {
        scene->wrong++;
        return;
    }
    memcpy(&generation, (const uint8_t *)record->data + 8, sizeof generation);
    size_t size = dw_indexed_kit_bytes(index, generation, expected);
    if (size != record->size || memcmp(record->data, expected, size) != 0)
        scene->wrong++;
    if (record->lsn >= dwal_durable(dwal_indexed_base(scene->log)))
        scene->undurable++;
}

static void read_by_index(struct scene *scene, uint64_t *random)
{
    uint8_t buffer[DW_INDEXED_KIT_SIZE_MAX];
    struct dwal_indexed_record record;
    uint64_t first, last;
    if (dwal_indexed_bounds(scene->log, &first, &last) < 0 || last == 0)
        return;
    uint64_t index = first + random_step(random) % (last - first + 1);
    int result = dwal_indexed_get(scene->log, index, buffer, sizeof buffer, &record);
    if (result == 0)
        check(scene, index, &record);
    else if (result != DWAL_EINDEX_NONE) /* truncated between the two calls */
        scene->wrong++;
    scene->reads++;
}

static void read_in_order(struct scene *scene, uint64_t *random)
{
    struct dwal_indexed_record record;
    dwal_indexed_cursor *cursor;
    uint64_t first, last;
    if (dwal_indexed_bounds(scene->log, &first, &last) < 0 || last == 0)
        return;
    uint64_t index = first + random_step(random) % (last - first + 1);
    if (dwal_indexed_cursor_open(scene->log, index, &cursor) < 0) {
        scene->wrong++;
        return;
    }
    for (uint64_t i = 0; i < 200; i++) {
        int result = dwal_indexed_cursor_next(cursor, &record);
        if (result == DWAL_EEND || result == DWAL_EINDEX_NONE)
            break;
        if (result < 0)
            scene->wrong++;
        else
            check(scene, index++, &record);
        scene->cursor_reads++;
    }
    dwal_indexed_cursor_close(cursor);
}

static void *reader(void *context)
{
    struct scene *scene = context;
    uint64_t random = 88172645463325252u ^ (uint64_t)(uintptr_t)&random;
    while (!scene->is_over) {
        if (random_step(&random) % 8)
            read_by_index(scene, &random);
        else
            read_in_order(scene, &random);
    }
    return NULL;
}

static uint64_t now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

/* Stores of many sizes, truncations at both ends, resets. */
static void write_for(dwal_indexed *log, uint64_t duration_ms)
{
    uint64_t random = 42, end = now_ms() + duration_ms, first, last;
    uint32_t generation = 0;
    while (now_ms() < end) {
        assert_int_equal(dwal_indexed_bounds(log, &first, &last), 0);
        uint64_t count = last ? last - first + 1 : 0, kind = random_step(&random) % 100;
        generation++;
        if (kind < 2 && count > 100)
            assert_int_equal(dwal_indexed_truncate_back(log, last - random_step(&random) % (count / 2)), 0);
        else if (kind < 6 && count > 2000)
            assert_int_equal(dwal_indexed_truncate_front(log, first + count / 2), 0);
        else if (kind == 99 && count > 500 && generation % 7 == 0)
            assert_int_equal(dwal_indexed_reset(log), 0);
        else
            dw_indexed_kit_store(log, last + 1, last + 1 + random_step(&random) % 80, generation, 40);
    }
}

static void R13_readers_see_durable_entries_only_while_all_is_changed(void **state)
{
    (void)state;
    pthread_t threads[READERS];
    struct scene scene = {.log = dw_indexed_kit_create()};
    for (int i = 0; i < READERS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, reader, &scene), 0);
    write_for(scene.log, RUN_MS);
    scene.is_over = true;
    for (int i = 0; i < READERS; i++)
        pthread_join(threads[i], NULL);
    assert_int_equal(scene.wrong, 0);
    assert_int_equal(scene.undurable, 0);
    assert_true(scene.reads > 100 && scene.cursor_reads > 100);
    dw_indexed_kit_close(scene.log);
}

static void R13_a_slow_reader_holds_up_neither_truncation_nor_store(void **state)
{
    (void)state;
    dwal_indexed *log = dw_indexed_kit_create();
    dwal_indexed_cursor *slow;
    struct dwal_indexed_record record;
    dw_indexed_kit_store(log, 1, 2000, 0, 100);
    assert_int_equal(dwal_indexed_cursor_open(log, 1, &slow), 0);
    assert_int_equal(dwal_indexed_cursor_next(slow, &record), 0); /* it stands in the first volume, and stays there */
    uint64_t last = 2000;
    for (int round = 0; round < 6; round++) {
        assert_int_equal(dwal_indexed_truncate_front(log, last - 10), 0);
        dw_indexed_kit_store(log, last + 1, last + 1000, 0, 100);
        last += 1000;
    }
    dw_indexed_kit_expect_all(log, last - 1010, last, 0, 0);
    assert_memory_equal((const uint8_t *)record.data, "\1\0\0\0\0\0\0\0", 8); /* what it holds is still there */
    assert_int_equal(dwal_indexed_cursor_next(slow, &record), DWAL_EINDEX_NONE);
    dwal_indexed_cursor_close(slow);
    dw_indexed_kit_close(log);
}

static void *stop(void *context)
{
    struct timespec pause = {.tv_nsec = 100000000};
    nanosleep(&pause, NULL);
    assert_int_equal(dwal_indexed_stop(context), 0);
    return NULL;
}

static void *read_until_closed(void *context)
{
    uint8_t buffer[DW_INDEXED_KIT_SIZE_MAX];
    struct dwal_indexed_record record;
    uint64_t random = 7;
    int result = 0;
    while (result == 0)
        result = dwal_indexed_get(context, 1 + random_step(&random) % 1000, buffer, sizeof buffer, &record);
    assert_int_equal(result, DWAL_EINDEX_CLOSED);
    return NULL;
}

static void R6_readers_inside_finish_when_the_log_is_stopped(void **state)
{
    (void)state;
    pthread_t threads[READERS + 1];
    dwal_indexed *log = dw_indexed_kit_create();
    dw_indexed_kit_store(log, 1, 1000, 0, 100);
    for (int i = 0; i < READERS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, read_until_closed, log), 0);
    assert_int_equal(pthread_create(&threads[READERS], NULL, stop, log), 0);
    struct dwal_indexed_entry entry = {.index = 1001, .data = "x", .size = 1};
    int result = 0;
    while (result == 0) {
        result = dwal_indexed_store(log, &entry, 1);
        entry.index++;
    }
    assert_int_equal(result, DWAL_EINDEX_CLOSED);
    for (int i = 0; i <= READERS; i++)
        pthread_join(threads[i], NULL);
    uint64_t last = entry.index - 2;
    dw_indexed_kit_close(log);
    log = dw_indexed_kit_open();
    assert_int_equal(dwal_indexed_last(log), last); /* every store that returned 0 */
    dw_indexed_kit_close(log);
}

/* ---- what a read costs ---- */

static void a_recent_entry_costs_no_device_read_and_an_old_one_one_or_two(void **state)
{
    (void)state;
    dwal_indexed *log = dw_indexed_kit_create();
    dw_indexed_kit_store(log, 1, 8000, 0, 100); /* about 12 volumes; the ring holds the last of them */
    uint64_t before = dw_indexed_kit_device_reads(log);
    for (uint64_t index = 7900; index <= 8000; index++)
        dw_indexed_kit_expect(log, index, 0);
    assert_int_equal(dw_indexed_kit_device_reads(log) - before, 0);
    dw_indexed_kit_close(log);
    log = dw_indexed_kit_open(); /* nothing is recent now */
    assert_int_equal(dw_indexed_kit_stats(log).records_scanned, 0);
    for (uint64_t index = 1; index < 8000; index += 97) {
        before = dw_indexed_kit_device_reads(log);
        dw_indexed_kit_expect(log, index, 0);
        assert_in_range(dw_indexed_kit_device_reads(log) - before, 0, 2); /* it may run on into the next block */
    }
    assert_in_range(dw_indexed_kit_stats(log).table_reads, 5, 14); /* one for each old volume */
    dw_indexed_kit_close(log);
}

static void tiny_entries_and_a_small_table_make_a_coarser_index(void **state)
{
    (void)state;
    enum { COUNT = 60000, BATCH = 1000 };
    struct dwal_indexed_options options = dw_indexed_kit_options();
    dwal_indexed *log;
    dw_indexed_kit_base()->toc_length = 40 + 3 * 24 + 8; /* a few counts only for 61 blocks with 140 entries each */
    options.tables = 1;
    assert_int_equal(dwal_indexed_create(dw_log_kit_path, &options), 0);
    assert_int_equal(dwal_indexed_open(dw_log_kit_path, &options, &log), 0);
    static struct dwal_indexed_entry entries[BATCH];
    static uint8_t bytes[BATCH];
    for (uint64_t index = 1; index <= COUNT;) {
        for (size_t i = 0; i < BATCH; i++, index++) {
            bytes[i] = (uint8_t)(index % 251);
            entries[i] = (struct dwal_indexed_entry){.index = index, .data = &bytes[i], .size = index % 3 == 0};
        }
        assert_int_equal(dwal_indexed_store(log, entries, BATCH), 0);
    }
    dw_indexed_kit_close(log);
    assert_int_equal(dwal_indexed_open(dw_log_kit_path, &options, &log), 0);
    for (uint64_t index = 1; index <= COUNT; index += 211) {
        uint8_t buffer[1];
        struct dwal_indexed_record record;
        assert_int_equal(dwal_indexed_get(log, index, buffer, 1, &record), 0);
        assert_int_equal(record.size, index % 3 == 0);
        if (record.size)
            assert_int_equal(buffer[0], index % 251);
    }
    dw_indexed_kit_close(log);
}

/* Catching up reads the device in large pieces, not block by block. */
static void a_cursor_reads_ahead(void **state)
{
    (void)state;
    static struct dwal_stats stats;
    dwal_indexed *log = dw_indexed_kit_create();
    dw_indexed_kit_store(log, 1, 8000, 0, 100);
    dw_indexed_kit_close(log);
    log = dw_indexed_kit_open();
    dwal_indexed_cursor *cursor;
    struct dwal_indexed_record record;
    uint64_t count = 0;
    assert_int_equal(dwal_indexed_cursor_open(log, 1, &cursor), 0);
    while (dwal_indexed_cursor_next(cursor, &record) == 0)
        count++;
    dwal_indexed_cursor_close(cursor);
    assert_int_equal(count, 8000);
    stats.size = sizeof stats;
    assert_int_equal(dwal_get_stats(dwal_indexed_base(log), &stats), 0);
    assert_true(stats.device_reads > 0);
    assert_true(stats.device_read_bytes > stats.device_reads * (64 << 10));
    dw_indexed_kit_close(log);
}

static void a_cursor_meets_what_was_stored_anew_behind_a_truncation(void **state)
{
    (void)state;
    dwal_indexed *log = dw_indexed_kit_create();
    dw_indexed_kit_store(log, 1, 100, 0, 10);
    dwal_indexed_cursor *cursor;
    struct dwal_indexed_record record;
    uint8_t expected[DW_INDEXED_KIT_SIZE_MAX];
    assert_int_equal(dwal_indexed_cursor_open(log, 40, &cursor), 0);
    for (uint64_t index = 40; index < 60; index++)
        assert_int_equal(dwal_indexed_cursor_next(cursor, &record), 0);
    assert_int_equal(dwal_indexed_truncate_back(log, 70), 0);
    dw_indexed_kit_store(log, 71, 80, 1, 5);
    for (uint64_t index = 60; index <= 80; index++) {
        assert_int_equal(dwal_indexed_cursor_next(cursor, &record), 0);
        size_t size = dw_indexed_kit_bytes(index, index > 70, expected);
        assert_int_equal(record.index, index);
        assert_int_equal(record.size, size);
        assert_memory_equal(record.data, expected, size);
    }
    assert_int_equal(dwal_indexed_cursor_next(cursor, &record), DWAL_EEND);
    dw_indexed_kit_store(log, 81, 81, 0, 1);
    assert_int_equal(dwal_indexed_cursor_next(cursor, &record), 0);
    assert_int_equal(record.index, 81);
    dwal_indexed_cursor_close(cursor);
    assert_int_equal(dwal_indexed_cursor_open(log, 0, &cursor), DWAL_EARGUMENT);
    dw_indexed_kit_close(log);
}

int main(void)
{
    dw_watchdog_install("test_indexed_readers", NULL);
    const struct CMUnitTest tests[] = {
        DW_LOG_KIT_TEST(R13_readers_see_durable_entries_only_while_all_is_changed),
        DW_LOG_KIT_TEST(R13_a_slow_reader_holds_up_neither_truncation_nor_store),
        DW_LOG_KIT_TEST(R6_readers_inside_finish_when_the_log_is_stopped),
        DW_LOG_KIT_TEST(a_recent_entry_costs_no_device_read_and_an_old_one_one_or_two),
        DW_LOG_KIT_TEST(tiny_entries_and_a_small_table_make_a_coarser_index),
        DW_LOG_KIT_TEST(a_cursor_reads_ahead),
        DW_LOG_KIT_TEST(a_cursor_meets_what_was_stored_anew_behind_a_truncation),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
