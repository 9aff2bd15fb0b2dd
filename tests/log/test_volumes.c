/* test_volumes.c - what a user learns of volumes and their own tables, and reads that search: dwal_volume_from,
 * dwal_volume_table, dwal_read_match. */
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "tests/lib/log_kit.h"

enum { TABLE_SIZE = 3000 };

/* The table of volume n is n, over and over. */
static uint64_t write_table(void *context, uint32_t volume, uint64_t first, uint64_t end, bool spill, void *table,
                            uint32_t capacity)
{
    (void)first, (void)end, (void)spill;
    uint32_t *calls = context;
    (*calls)++;
    assert_true(capacity >= TABLE_SIZE);
    memset(table, (int)(volume + 1), TABLE_SIZE);
    return TABLE_SIZE;
}

static dwal *open_with_tables(uint32_t keep, uint32_t *calls, bool is_new)
{
    struct dwal_options options = dw_log_kit_options();
    options.toc_length = TABLE_SIZE;
    if (is_new)
        assert_int_equal(dwal_create(dw_log_kit_path, &options), 0);
    options.volume_size = 0;
    options.blanks = 0;
    options.table = write_table;
    options.context = calls;
    options.table_keep = keep;
    return dw_log_kit_open_with(&options);
}

static uint64_t count_device_reads(dwal *log)
{
    static struct dwal_stats stats;
    stats.size = sizeof stats;
    assert_int_equal(dwal_get_stats(log, &stats), 0);
    return stats.device_reads;
}

static uint32_t check_tables(dwal *log)
{
    uint8_t bytes[TABLE_SIZE], expected[TABLE_SIZE];
    uint32_t full = 0, length;
    struct dwal_volume volume = {.size = sizeof volume};
    for (uint32_t number = 0; dwal_volume_from(log, number, &volume) == 0; number = volume.number + 1) {
        assert_true(volume.number >= number);
        if (!volume.is_full) {
            assert_int_equal(dwal_volume_table(log, volume.number, 0, bytes, 1, &length), DWAL_ENOTFOUND);
            continue;
        }
        full++;
        assert_true(volume.is_counted && volume.entries > 0 && volume.begin <= volume.first);
        assert_true(volume.first <= volume.last && volume.last < volume.end);
        assert_true(volume.time_first > 0 && volume.time_first <= volume.time_last);
        assert_int_equal(volume.table_length, TABLE_SIZE);
        memset(expected, (int)(volume.number + 1), sizeof expected);
        memset(bytes, 0, sizeof bytes);
        assert_int_equal(dwal_volume_table(log, volume.number, 0, bytes, sizeof bytes, &length), 0);
        assert_int_equal(length, TABLE_SIZE);
        assert_memory_equal(bytes, expected, sizeof bytes);
        memset(bytes, 0, sizeof bytes);
        assert_int_equal(dwal_volume_table(log, volume.number, TABLE_SIZE - 5, bytes, sizeof bytes, &length), 0);
        assert_memory_equal(bytes, expected, 5);
        assert_int_equal(bytes[5], 0);
    }
    return full;
}

static void tables_are_read_back_from_memory_and_from_the_device(void **state)
{
    (void)state;
    uint32_t calls = 0;
    dwal *log = open_with_tables(16, &calls, true);
    dw_log_kit_append(log, 0, 3000);
    assert_int_equal(dwal_close(log), 0);
    assert_true(calls >= 4);
    for (uint32_t keep = 0; keep <= TABLE_SIZE; keep += TABLE_SIZE / 2) {
        log = open_with_tables(keep, &calls, false);
        assert_true(check_tables(log) >= 4);
        assert_int_equal(dwal_close(log), 0);
    }
}

static void a_volume_that_was_closed_clean_tells_its_last_record(void **state)
{
    (void)state;
    dwal *log = dw_log_kit_create();
    dw_log_kit_append(log, 0, 10);
    uint64_t end, lsn = dw_log_kit_append_text(log, "the last", &end);
    assert_int_equal(dwal_close(log), 0);
    log = dw_log_kit_open();
    struct dwal_volume volume = {.size = sizeof volume};
    assert_int_equal(dwal_volume_from(log, 0, &volume), 0);
    assert_false(volume.is_full);
    assert_true(volume.is_counted);
    assert_int_equal(volume.last, lsn);
    assert_int_equal(volume.entries, 11);
    volume.size = 1;
    assert_int_equal(dwal_volume_from(log, 0, &volume), DWAL_EARGUMENT);
    volume.size = sizeof volume;
    assert_int_equal(dwal_volume_from(log, 1000, &volume), DWAL_EEND);
    assert_int_equal(dwal_volume_table(log, 1000, 0, NULL, 0, NULL), DWAL_ENOTFOUND);
    assert_int_equal(dwal_volume_table(log, 0, 0, NULL, 1, NULL), DWAL_EARGUMENT);
    assert_int_equal(dwal_close(log), 0);
}

static void a_damaged_table_is_refused_and_nothing_else(void **state)
{
    (void)state;
    uint32_t calls = 0;
    dwal *log = open_with_tables(0, &calls, true);
    dw_log_kit_append(log, 0, 1500);
    struct dwal_volume volume = {.size = sizeof volume};
    assert_int_equal(dwal_volume_from(log, 0, &volume), 0);
    assert_int_equal(dwal_close(log), 0);
    log = open_with_tables(0, &calls, false);
    char name[sizeof dw_log_kit_path + 16];
    snprintf(name, sizeof name, "%s/0000000000.vol", dw_log_kit_path);
    FILE *file = fopen(name, "r+");
    assert_non_null(file);
    assert_int_equal(fseek(file, (256 << 10) - 4096 + 1000, SEEK_SET), 0); /* inside the table */
    assert_int_equal(fputc(0x5a, file), 0x5a);
    assert_int_equal(fclose(file), 0);
    uint8_t byte;
    assert_int_equal(dwal_volume_table(log, 0, 0, &byte, 1, NULL), DWAL_ECORRUPT);
    assert_int_equal(dwal_last_error()->volume, 0);
    dw_log_kit_check(log, 0, 1500);
    assert_int_equal(dwal_close(log), 0);
}

struct wanted {
    uint64_t number;
    uint32_t looks;
};

static bool is_wanted(void *context, const struct dwal_record *record)
{
    struct wanted *wanted = context;
    wanted->looks++;
    return record->user == (uint16_t)wanted->number;
}

static void append_tagged(dwal *log, uint16_t from, uint16_t to, uint64_t *lsns)
{
    char bytes[1024];
    uint64_t end = 0;
    for (uint16_t i = from; i < to; i++) {
        struct iovec part;
        struct dwal_entry entry = dw_log_kit_entry(bytes, dw_log_kit_numbered(i, bytes), &part);
        entry.user = i;
        assert_int_equal(dwal_append(log, &entry, &lsns[i], &end), 0);
    }
    assert_int_equal(dwal_sync(log, end), 0);
}

static void a_search_finds_the_first_match_in_its_range(void **state)
{
    (void)state;
    static uint64_t lsns[3000];
    char buffer[1024], expected[1024];
    struct dwal_record record;
    dwal *log = dw_log_kit_create();
    append_tagged(log, 0, 3000, lsns);
    for (uint16_t i = 0; i < 2990; i += 37) {
        struct wanted wanted = {.number = i + 5u};
        assert_int_equal(
            dwal_read_match(log, lsns[i] + 1, UINT64_MAX, is_wanted, &wanted, buffer, sizeof buffer, &record), 0);
        assert_int_equal(wanted.looks, 5);
        assert_int_equal(record.lsn, lsns[i + 5]);
        size_t size = dw_log_kit_numbered(i + 5u, expected);
        assert_int_equal(record.data_size, size);
        assert_memory_equal(record.data, expected, size);
        assert_int_equal(dwal_read_match(log, lsns[i], lsns[i + 5], is_wanted, &wanted, buffer, sizeof buffer, &record),
                         DWAL_ENOTFOUND);
    }
    struct wanted none = {.number = 5000};
    assert_int_equal(dwal_read_match(log, lsns[2990], UINT64_MAX, is_wanted, &none, buffer, sizeof buffer, &record),
                     DWAL_EEND);
    struct wanted last = {.number = 2999};
    assert_int_equal(dwal_read_match(log, lsns[2999], UINT64_MAX, is_wanted, &last, buffer, 3, &record), DWAL_EBUFFER);
    assert_int_equal(dwal_read_match(log, 0, 1, NULL, &last, buffer, 3, &record), DWAL_EARGUMENT);
    assert_int_equal(dwal_trim(log, lsns[2900]), 0);
    assert_int_equal(dwal_read_match(log, 0, UINT64_MAX, is_wanted, &last, buffer, sizeof buffer, &record),
                     DWAL_ETRIMMED);
    assert_int_equal(dwal_close(log), 0);
}

static void one_old_record_costs_few_device_reads(void **state)
{
    (void)state;
    static char large[50000], buffer[sizeof large];
    struct dwal_record record;
    dwal *log = dw_log_kit_create();
    struct iovec part;
    uint64_t lsn, end, small;
    struct dwal_entry entry = dw_log_kit_entry(large, sizeof large, &part);
    memset(large, 'x', sizeof large);
    assert_int_equal(dwal_append(log, &entry, &lsn, &end), 0);
    part.iov_len = 200;
    assert_int_equal(dwal_commit(log, &entry, &small, &end), 0);
    dw_log_kit_append(log, 0, 3000); /* out of the ring */
    uint64_t before = count_device_reads(log);
    assert_int_equal(dwal_read(log, lsn, buffer, sizeof buffer, &record), 0);
    assert_memory_equal(record.data, large, sizeof large);
    assert_in_range(count_device_reads(log) - before, 0, 2);
    assert_int_equal(dwal_read(log, dwal_durable(log) - 1, buffer, sizeof buffer, &record), DWAL_ENOTFOUND);
    before = count_device_reads(log);
    assert_int_equal(dwal_read(log, small, buffer, sizeof buffer, &record), 0);
    assert_in_range(count_device_reads(log) - before, 0, 1);
    assert_int_equal(dwal_close(log), 0);
}

/* Everything before the log's end at some durable moment is whole batches: no record of them is looked at beside the one. */
static void an_old_record_of_a_large_batch_is_read_alone(void **state)
{
    (void)state;
    enum { COUNT = 800 };
    static uint64_t lsns[COUNT];
    static struct dwal_entry entries[COUNT];
    char bytes[200], buffer[400];
    memset(bytes, 'b', sizeof bytes);
    struct iovec part = {bytes, sizeof bytes};
    for (uint32_t i = 0; i < COUNT; i++)
        entries[i] = (struct dwal_entry){.data = &part, .data_count = 1};
    struct dwal_record record;
    uint64_t end;
    dwal *log = dw_log_kit_create();
    assert_int_equal(dwal_append_batch(log, entries, COUNT, lsns, &end), 0);
    assert_int_equal(dwal_sync(log, end), 0);
    dw_log_kit_append(log, 0, 3000);
    assert_int_equal(dwal_read(log, lsns[0], buffer, sizeof buffer, &record), 0);
    assert_int_equal(dwal_read(log, lsns[0], buffer, sizeof buffer, &record), 0);
    uint64_t before = count_device_reads(log);
    assert_int_equal(dwal_read(log, lsns[COUNT / 2], buffer, sizeof buffer, &record), 0);
    assert_in_range(count_device_reads(log) - before, 0, 1);
    assert_int_equal(dwal_close(log), 0);
}

/* A reader of the log's own, idle after a read by lsn, keeps no volume that was trimmed away. */
static void idle_readers_pin_nothing_that_is_trimmed(void **state)
{
    (void)state;
    static struct dwal_stats stats;
    char buffer[1024];
    struct dwal_record record;
    dwal *log = dw_log_kit_create();
    dw_log_kit_append(log, 0, 3000);
    dwal_cursor *cursor;
    assert_int_equal(dwal_cursor_open(log, 0, &cursor), 0);
    assert_int_equal(dwal_cursor_next(cursor, &record), 0);
    uint64_t first = record.lsn;
    dwal_cursor_close(cursor);
    assert_int_equal(dwal_read(log, first, buffer, sizeof buffer, &record), 0);
    assert_int_equal(dwal_trim(log, dwal_durable(log)), 0);
    struct dwal_volume volume = {.size = sizeof volume};
    for (uint32_t round = 0; round < 1000; round++) {
        struct timespec pause = {.tv_nsec = 10000000};
        if (dwal_volume_from(log, 0, &volume) == 0 && volume.number > 0)
            break;
        nanosleep(&pause, NULL);
    }
    assert_true(volume.number > 0);
    stats.size = sizeof stats;
    assert_int_equal(dwal_get_stats(log, &stats), 0);
    assert_int_equal(dwal_close(log), 0);
}

/* One entry in each block: so each volume begins with an entry, and none runs on from one volume into the next. */
static void append_blocks(dwal *log, uint32_t count, uint64_t *lsns)
{
    static char bytes[3000];
    struct iovec part;
    struct dwal_entry entry = dw_log_kit_entry(bytes, sizeof bytes, &part);
    uint64_t end;
    for (uint32_t i = 0; i < count; i++) {
        assert_int_equal(dwal_append(log, &entry, &lsns[i], &end), 0);
        assert_int_equal(dwal_sync(log, end), 0);
    }
}

static void wait_until_gone(dwal *log, uint32_t number)
{
    struct dwal_volume volume = {.size = sizeof volume};
    struct timespec pause = {.tv_nsec = 1000000};
    for (int i = 0; i < 5000; i++) {
        assert_int_equal(dwal_volume_from(log, number, &volume), 0);
        if (volume.number != number)
            return;
        nanosleep(&pause, NULL);
    }
    fail_msg("volume %u is still there", number);
}

static void a_cursor_whose_next_volumes_were_trimmed_says_so(void **state)
{
    (void)state;
    enum { COUNT = 300 };
    static uint64_t lsns[COUNT];
    dwal *log = dw_log_kit_create();
    append_blocks(log, COUNT, lsns);
    struct dwal_volume volume = {.size = sizeof volume};
    assert_int_equal(dwal_volume_from(log, 3, &volume), 0);
    assert_int_equal(volume.number, 3);
    uint64_t trim = volume.begin;
    dwal_cursor *cursor;
    struct dwal_record record = {0};
    assert_int_equal(dwal_cursor_open(log, 0, &cursor), 0);
    uint32_t count = 0;
    do {
        assert_int_equal(dwal_cursor_next(cursor, &record), 0);
        assert_int_equal(record.lsn, lsns[count]);
        assert_int_equal(record.volume, 0);
        count++;
        assert_int_equal(dwal_volume_from(log, 1, &volume), 0);
    } while (lsns[count] < volume.begin);
    assert_int_equal(dwal_trim(log, trim), 0);
    wait_until_gone(log, 1); /* volume 0 is pinned: what follows it goes nevertheless */
    wait_until_gone(log, 2);
    for (int i = 0; i < 2; i++)
        assert_int_equal(dwal_cursor_next(cursor, &record), DWAL_ETRIMMED); /* and not the first entry of volume 3 */
    assert_true(dwal_last_error()->volume == 1 || dwal_last_error()->volume == 0);
    dwal_cursor_close(cursor);
    assert_int_equal(dwal_cursor_open(log, 0, &cursor), 0);
    assert_int_equal(dwal_cursor_next(cursor, &record), 0);
    assert_int_equal(record.lsn, trim);
    dwal_cursor_close(cursor);
    assert_int_equal(dwal_close(log), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        DW_LOG_KIT_TEST(tables_are_read_back_from_memory_and_from_the_device),
        DW_LOG_KIT_TEST(a_volume_that_was_closed_clean_tells_its_last_record),
        DW_LOG_KIT_TEST(a_damaged_table_is_refused_and_nothing_else),
        DW_LOG_KIT_TEST(a_search_finds_the_first_match_in_its_range),
        DW_LOG_KIT_TEST(one_old_record_costs_few_device_reads),
        DW_LOG_KIT_TEST(an_old_record_of_a_large_batch_is_read_alone),
        DW_LOG_KIT_TEST(idle_readers_pin_nothing_that_is_trimmed),
        DW_LOG_KIT_TEST(a_cursor_whose_next_volumes_were_trimmed_says_so),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
