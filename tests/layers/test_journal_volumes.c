/* test_journal_volumes.c - the journal of volumes line by line: names, blanks, options, appends, tables of contents. What reads it at rest is
 * in test_journal_scan.c, atomic files in test_atomic_file.c. Functions carry the number of the line. */
#include <dirent.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/layers/journal_kit.h"

static bool has_file(const char *name)
{
    char file[DW_TMPDIR_SIZE + 64];
    (void)snprintf(file, sizeof file, "%s/%s", path, name);
    return access(file, F_OK) == 0;
}

static void D1_volumes_are_named_by_number_and_an_entry_may_span_several(void **state)
{
    (void)state;
    dwal *log = create(0, 0);
    static char large[5 * JOURNAL_VOLUME / 2];
    memset(large, 'x', sizeof large);
    uint64_t lsn = commit(log, "meta", large, sizeof large);
    assert_int_equal(dwal_close(log), 0);
    assert_true(has_file("0000000000.vol") && has_file("0000000001.vol") && has_file("0000000002.vol"));
    log = open_again();
    expect_entry(log, lsn, "meta", large, sizeof large);
    assert_int_equal(dwal_close(log), 0);
}

static void D2_blanks_are_kept_by_a_maker_and_leftovers_are_removed(void **state)
{
    (void)state;
    dwal *log = create(0, 0);
    wait_for_blanks(log, 2);
    assert_true(has_file("000.bvl") && has_file("001.bvl"));
    assert_int_equal(dwal_close(log), 0);
    char leftover[DW_TMPDIR_SIZE + 64];
    (void)snprintf(leftover, sizeof leftover, "%s/dwal.tmp.blank", path);
    assert_int_equal(close(open(leftover, O_CREAT | O_WRONLY, 0600)), 0);
    log = open_again();
    uint64_t lsn = commit(log, NULL, "x", 1);
    wait_for_blanks(log, 2);
    expect_entry(log, lsn, NULL, "x", 1);
    assert_int_equal(dwal_close(log), 0);
    struct stat facts;
    assert_true(stat(leftover, &facts) != 0 || facts.st_size == JOURNAL_VOLUME); /* gone, or a new one in the making */
}

static void D3_options_that_cannot_be_are_refused(void **state)
{
    (void)state;
    struct dwal_options options = journal_options(0);
    options.volume_size = (UINT64_C(1) << 32) + 4096;
    assert_int_equal(dwal_create(path, &options), DWAL_EARGUMENT);
    options = journal_options(0);
    options.sector_size = 1 << 17;
    assert_int_equal(dwal_create(path, &options), DWAL_EARGUMENT);
    /* A table of contents without who writes it does no harm. */
    options = journal_options(0);
    options.toc_length = 100;
    assert_int_equal(dwal_create(path, &options), 0);
    dwal *log;
    options.table = NULL;
    assert_int_equal(dwal_open(path, &options, &log), 0); /* as the command does: then nothing is written as a table */
    uint64_t lsn = commit(log, NULL, "x", 1);
    expect_entry(log, lsn, NULL, "x", 1);
    assert_int_equal(dwal_close(log), 0);
}

static void D4_open_checks_volume_size_table_length_and_sector_size(void **state)
{
    (void)state;
    assert_int_equal(dwal_close(create(64, 0)), 0);
    for (int which = 0; which < 3; which++) {
        struct dwal_options options = journal_options(0);
        options.volume_size = which == 0 ? 2 * JOURNAL_VOLUME : 0;
        options.toc_length = which == 1 ? 128 : 0;
        options.sector_size = which == 2 ? 4096 : 0;
        dwal *log;
        assert_int_equal(dwal_open(path, &options, &log), DWAL_EARGUMENT);
    }
    assert_int_equal(dwal_close(open_again()), 0);
}

static void D5_blanks_can_be_made_in_three_ways(void **state)
{
    (void)state;
    for (enum dwal_fill fill = DWAL_FILL_ZERO; fill <= DWAL_FILL_ALLOCATE_ZERO; fill++) {
        char other[DW_TMPDIR_SIZE + 64];
        (void)snprintf(other, sizeof other, "%s-%d", path, (int)fill);
        struct dwal_options options = journal_options(0);
        options.fill = fill;
        dwal *log;
        assert_int_equal(dwal_create(other, &options), 0);
        assert_int_equal(dwal_open(other, &options, &log), 0);
        static char bytes[JOURNAL_VOLUME];
        uint64_t lsn = commit(log, NULL, bytes, sizeof bytes); /* into a volume that was a blank */
        expect_entry(log, lsn, NULL, bytes, sizeof bytes);
        assert_int_equal(dwal_close(log), 0);
        struct dwal_info info = {.size = sizeof info};
        assert_int_equal(dwal_get_info(other, NULL, &info), 0);
        assert_int_equal(info.fill, fill);
    }
}

static void D6_either_part_may_be_empty_and_neither_too_long(void **state)
{
    (void)state;
    dwal *log = create(0, 0);
    uint64_t none = commit(log, NULL, NULL, 0), meta = commit(log, "m", NULL, 0), data = commit(log, NULL, "d", 1);
    expect_entry(log, none, NULL, NULL, 0);
    expect_entry(log, meta, "m", NULL, 0);
    expect_entry(log, data, NULL, "d", 1);
    static char byte;
    struct iovec part = {.iov_base = &byte, .iov_len = (size_t)DWAL_PART_SIZE_MAX + 1}; /* never looked at */
    struct dwal_entry long_data = {.data = &part, .data_count = 1},
                      long_meta = {.metadata = &part, .metadata_count = 1};
    assert_int_equal(dwal_append(log, &long_data, NULL, NULL), DWAL_ETOOBIG);
    assert_int_equal(dwal_append(log, &long_meta, NULL, NULL), DWAL_ETOOBIG);
    assert_int_equal(dwal_close(log), 0);
}

static void D7_flush_asks_and_sync_waits(void **state)
{
    (void)state;
    dwal *log = create(0, 0);
    uint64_t end = append(log, NULL, "one", 3);
    assert_int_equal(dwal_flush(log, end), 0); /* asks; no order of calls to remember: sync alone is enough */
    assert_int_equal(dwal_sync(log, end), 0);
    assert_true(dwal_durable(log) >= end);
    end = append(log, NULL, "two", 3);
    assert_int_equal(dwal_sync(log, end), 0);
    assert_true(dwal_durable(log) >= end);
    assert_int_equal(dwal_close(log), 0);
}

static void D8_close_writes_the_table_and_ends_the_maker(void **state)
{
    (void)state;
    dwal *log = create(64, 0);
    commit(log, NULL, "x", 1);
    assert_int_equal(dwal_close(log), 0);
    DIR *tasks = opendir("/proc/self/task");
    unsigned threads = 0;
    assert_non_null(tasks);
    for (struct dirent *entry; (entry = readdir(tasks)) != NULL;)
        threads += entry->d_name[0] != '.';
    closedir(tasks);
#ifndef DW_SANITIZED /* a sanitizer keeps a thread of its own */
    assert_int_equal(threads, 1);
#endif
    struct dwal_info info = {.size = sizeof info};
    assert_int_equal(dwal_get_info(path, NULL, &info), 0);
    assert_true(info.is_clean);
    log = open_again(); /* the newest volume's table was written: its entries are counted without a scan */
    struct dwal_volume volume = {.size = sizeof volume};
    assert_int_equal(dwal_volume_from(log, 0, &volume), 0);
    assert_true(volume.is_counted);
    assert_int_equal(volume.entries, 1);
    assert_int_equal(dwal_close(log), 0);
}

static void D9_the_table_is_asked_for_once_a_volume_and_may_not_be_too_long(void **state)
{
    (void)state;
    dwal *log = create(64, 0);
    fill_volumes(log, 3, 1000);
    assert_int_equal(dwal_close(log), 0);
    assert_true(calls >= 3);
    for (uint32_t i = 0; i < 3; i++)
        assert_int_equal(told[i].volume, i); /* in order, once each */
    char table[100];
    uint32_t length;
    assert_int_equal(dwal_read_table(path, 1, table, sizeof table, &length, NULL), 0);
    assert_int_equal(length, strlen("table of 1"));
    assert_memory_equal(table, "table of 1", length);
    table_excess = 1000; /* from now on longer than toc_length */
    log = open_again();
    int result = 0;
    static char bytes[1000];
    struct iovec part = {.iov_base = bytes, .iov_len = sizeof bytes};
    struct dwal_entry entry = {.data = &part, .data_count = 1};
    for (int i = 0; result == 0 && i < 100000; i++)
        result = dwal_commit(log, &entry, NULL, NULL);
    assert_int_equal(result, DWAL_EFAILED);
    assert_int_equal(dwal_failure(log, NULL), DWAL_ETABLE);
    assert_int_equal(dwal_close(log), DWAL_EFAILED);
    table_excess = 0;
    assert_int_equal(dwal_close(open_again()), 0); /* all entries are safe */
    /* Without toc_length nobody is asked. */
    (void)snprintf(path, sizeof path, "%s/none", directory);
    calls = 0;
    log = create(0, 0);
    fill_volumes(log, 2, 1000);
    assert_int_equal(dwal_close(log), 0);
    assert_int_equal(calls, 0);
}

/* Where entry `lsn` of `size` bytes in all lies: the volumes of its first and its last byte. */
static void volumes_of(uint64_t lsn, uint64_t end, uint32_t *first, uint32_t *last)
{
    struct dwal_info info = {.size = sizeof info};
    assert_int_equal(dwal_get_info(path, NULL, &info), 0);
    uint64_t span = (uint64_t)info.payload_size * info.data_blocks;
    *first = (uint32_t)(lsn / span);
    *last = (uint32_t)((end - 1) / span);
}

static void D10_the_entry_after_a_full_volume_lies_in_the_next_alone(void **state)
{
    (void)state;
    dwal *log = create(64, 0);
    fill_volumes(log, 4, 777);
    assert_int_equal(dwal_close(log), 0);
    for (uint32_t i = 0; i < calls && i < 3; i++) {
        uint32_t first, last;
        size_t at = 0; /* the first entry that starts at or behind the volume's end */
        while (lsns[at] < told[i].end)
            at++;
        volumes_of(lsns[at], ends[at], &first, &last);
        assert_int_equal(first, told[i].volume + 1);
    }
}

static void D11_spill_says_whether_the_last_entry_runs_on(void **state)
{
    (void)state;
    for (uint32_t size = 700; size < 712; size++) { /* one of them ends exactly at a volume's end, or near it */
        (void)snprintf(path, sizeof path, "%s/log-%u", directory, size);
        calls = 0;
        lsn_count = 0;
        dwal *log = create(64, 0);
        fill_volumes(log, 3, size);
        assert_int_equal(dwal_close(log), 0);
        for (uint32_t i = 0; i < calls && i < 2; i++) {
            size_t at = 0;
            uint32_t first, last;
            while (at + 1 < lsn_count && lsns[at + 1] < told[i].end)
                at++;
            volumes_of(lsns[at], ends[at], &first, &last); /* e2: the last that starts in the volume */
            assert_int_equal(first, told[i].volume);
            assert_int_equal(last > told[i].volume, told[i].spill);
            volumes_of(lsns[at - 1], ends[at - 1], &first, &last); /* e1 */
            assert_int_equal(last, told[i].volume);
        }
    }
}

static void D12_every_sector_begins_with_a_tag_and_the_size_is_free_up_to_the_devices(void **state)
{
    (void)state;
    for (uint32_t sector = 512; sector <= 4096; sector *= 8) {
        (void)snprintf(path, sizeof path, "%s/log-%u", directory, sector);
        dwal *log = create(0, sector);
        static char bytes[20000];
        commit(log, NULL, bytes, sizeof bytes);
        assert_int_equal(dwal_close(log), 0);
        char file[DW_TMPDIR_SIZE + 64];
        (void)snprintf(file, sizeof file, "%s/0000000000.vol", path);
        int open_file = open(file, O_RDONLY);
        uint32_t tag, first = 0;
        for (uint32_t at = 0; at < 16384; at += sector) {
            assert_int_equal(pread(open_file, &tag, 4, 8192 + at), 4);
            first = at == 0 ? tag : first;
            assert_int_not_equal(tag, 0);
            assert_int_equal(tag, first); /* the volume's, unlike any blank's or any other log's */
        }
        close(open_file);
    }
}

static unsigned heard[4];
static void hear(void *context, enum dwal_event_level level, const char *text)
{
    (void)context;
    assert_non_null(text);
    heard[level]++;
}

static void D25_events_have_levels_and_defaults_are_usable(void **state)
{
    (void)state;
    struct dwal_options options = DWAL_OPTIONS_INIT; /* nothing set but what a test can afford */
    options.volume_size = JOURNAL_VOLUME;
    options.event = hear;
    dwal *log;
    assert_int_equal(DWAL_EVENT_ERROR, 0);
    assert_int_equal(DWAL_EVENT_WARNING, 1);
    assert_int_equal(DWAL_EVENT_INFO, 2);
    assert_int_equal(DWAL_EVENT_DEBUG, 3);
    assert_int_equal(dwal_create(path, &options), 0);
    assert_int_equal(dwal_open(path, &options, &log), 0);
    expect_entry(log, commit(log, "m", "d", 1), "m", "d", 1);
    assert_int_equal(dwal_close(log), 0); /* what a close meets is its result, and never lost */
    assert_int_equal(heard[DWAL_EVENT_ERROR], 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        JOURNAL_TEST(D1_volumes_are_named_by_number_and_an_entry_may_span_several),
        JOURNAL_TEST(D2_blanks_are_kept_by_a_maker_and_leftovers_are_removed),
        JOURNAL_TEST(D3_options_that_cannot_be_are_refused),
        JOURNAL_TEST(D4_open_checks_volume_size_table_length_and_sector_size),
        JOURNAL_TEST(D5_blanks_can_be_made_in_three_ways),
        JOURNAL_TEST(D6_either_part_may_be_empty_and_neither_too_long),
        JOURNAL_TEST(D7_flush_asks_and_sync_waits),
        JOURNAL_TEST(D8_close_writes_the_table_and_ends_the_maker),
        JOURNAL_TEST(D9_the_table_is_asked_for_once_a_volume_and_may_not_be_too_long),
        JOURNAL_TEST(D10_the_entry_after_a_full_volume_lies_in_the_next_alone),
        JOURNAL_TEST(D11_spill_says_whether_the_last_entry_runs_on),
        JOURNAL_TEST(D12_every_sector_begins_with_a_tag_and_the_size_is_free_up_to_the_devices),
        JOURNAL_TEST(D25_events_have_levels_and_defaults_are_usable),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
