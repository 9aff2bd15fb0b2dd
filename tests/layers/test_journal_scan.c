/* test_journal_scan.c - the journal of volumes at rest, line by line: scans, tears and damage, one volume piece by piece, names, tables of
 * contents. Functions carry the number of the line. */
#include <fcntl.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/layers/journal_kit.h"
#include "tests/lib/shell.h"

/* ---- what a scan tells ---- */

static struct {
    uint32_t entries, datas, volumes[64], volume_count, stop_after;
    uint64_t data_bytes;
    bool skips_odd;
} scanned;

static bool on_metadata(void *context, const struct dwal_record *record)
{
    (void)context;
    assert_int_equal(record->lsn, lsns[scanned.entries]);
    assert_null(record->data); /* not read yet */
    scanned.entries++;
    return !scanned.skips_odd || scanned.entries % 2 == 0;
}

static void on_data(void *context, const struct dwal_record *record)
{
    (void)context;
    assert_int_equal(record->lsn, lsns[scanned.entries - 1]); /* right after metadata said so */
    scanned.datas++;
    scanned.data_bytes += record->data_size;
}

static void on_volume(void *context, uint32_t number, uint64_t first, uint64_t end)
{
    (void)context;
    assert_true(first <= end);
    scanned.volumes[scanned.volume_count++ % 64] = number;
}

static bool on_stop(void *context)
{
    (void)context;
    return scanned.stop_after != 0 && scanned.entries >= scanned.stop_after;
}

static struct dwal_scan scan_of(void)
{
    memset(&scanned, 0, sizeof scanned);
    return (struct dwal_scan){.size = sizeof(struct dwal_scan),
                              .magic_number = JOURNAL_MAGIC,
                              .metadata = on_metadata,
                              .data = on_data,
                              .volume = on_volume,
                              .stop = on_stop};
}

/* A log killed in the middle of its life, so that it has an end that nobody closed. */
static void make_killed_log(void)
{
    pid_t child = fork();
    if (child == 0) {
        dwal *log = create(64, 0);
        for (int i = 0; i < 40; i++)
            commit(log, "m", "0123456789", 10);
        _exit(0); /* no close */
    }
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
}

/* Change bytes of volume 0. Returns what was there. */
static uint8_t change(uint64_t place, uint8_t with)
{
    char file[DW_TMPDIR_SIZE + 64];
    uint8_t before;
    assert_int_equal(dwal_volume_path(path, 0, file, sizeof file), 0);
    int open_file = open(file, O_RDWR);
    assert_int_equal(pread(open_file, &before, 1, (off_t)place), 1);
    uint8_t after = (uint8_t)(before ^ with);
    assert_int_equal(pwrite(open_file, &after, 1, (off_t)place), 1);
    close(open_file);
    return before;
}

/* ---- lines ---- */

static void D13_a_torn_end_is_told_apart_from_damage(void **state)
{
    (void)state;
    make_killed_log();
    struct dwal_report report = {.size = sizeof report};
    struct dwal_scan scan = {.size = sizeof scan};
    assert_int_equal(dwal_scan_log(path, &scan, &report), 0);
    assert_int_equal(report.entries, 40);
    uint64_t blocks = 40 + 1; /* a commit a block, and the marker perhaps */
    /* Half of a block behind the end: bytes of a write that was cut off. */
    char file[DW_TMPDIR_SIZE + 64];
    assert_int_equal(dwal_volume_path(path, 0, file, sizeof file), 0);
    int open_file = open(file, O_RDWR);
    uint8_t sectors[1024];
    assert_int_equal(pread(open_file, sectors, sizeof sectors, 8192), sizeof sectors);
    assert_int_equal(pwrite(open_file, sectors + 512, 512, (off_t)(8192 + (blocks + 1) * 4096 + 512)), 512);
    close(open_file);
    assert_int_equal(dwal_scan_log(path, &scan, &report), 0);
    assert_int_equal(report.verdict, DWAL_VERDICT_TORN);
    assert_int_equal(report.entries, 40);
    /* A byte of an entry in the middle: damage, whatever follows. */
    change(8192 + 10 * 4096 + 60, 0x01);
    assert_int_equal(dwal_scan_log(path, &scan, &report), DWAL_ECORRUPT);
    assert_true(report.entries < 40);
}

static void D14_a_scan_takes_the_volumes_from_one_to_another(void **state)
{
    (void)state;
    dwal *log = create(0, 0);
    fill_volumes(log, 4, 900);
    assert_int_equal(dwal_close(log), 0);
    struct dwal_scan scan = scan_of();
    scan.metadata = NULL; /* entries of a part do not begin at lsns[0] */
    scan.data = NULL;
    scan.volume_from = 1;
    scan.volume_to = 3;
    assert_int_equal(dwal_scan_log(path, &scan, NULL), 0);
    assert_int_equal(scanned.volume_count, 2);
    assert_int_equal(scanned.volumes[0], 1);
    assert_int_equal(scanned.volumes[1], 2);
}

static void D15_another_magic_number_is_an_error(void **state)
{
    (void)state;
    assert_int_equal(dwal_close(create(0, 0)), 0);
    struct dwal_scan scan = scan_of();
    scan.magic_number = 0x12345678;
    assert_int_equal(dwal_scan_log(path, &scan, NULL), DWAL_EMAGIC);
    scan.magic_number = 0;
    assert_int_equal(dwal_scan_log(path, &scan, NULL), 0);
}

static void D16_a_suspected_tear_is_looked_behind_as_far_as_asked(void **state)
{
    (void)state;
    make_killed_log();
    struct dwal_report near = {.size = sizeof near}, far = {.size = sizeof far};
    struct dwal_scan scan = {.size = sizeof scan, .look_ahead = -1};
    assert_int_equal(dwal_scan_log(path, &scan, &far), 0);
    scan.look_ahead = 4096;
    assert_int_equal(dwal_scan_log(path, &scan, &near), 0);
    assert_int_equal(near.entries, far.entries);
    assert_true(near.blocks_read < far.blocks_read);
}

static void D17_expected_sizes_are_no_limits(void **state)
{
    (void)state;
    dwal *log = create(0, 0);
    static char large[JOURNAL_VOLUME];
    memset(large, 'y', sizeof large);
    commit(log, "m", "small", 5);
    commit(log, "a longer piece of metadata", large, sizeof large); /* no size is announced anywhere */
    assert_int_equal(dwal_close(log), 0);
    struct dwal_scan scan = scan_of();
    assert_int_equal(dwal_scan_log(path, &scan, NULL), 0);
    assert_int_equal(scanned.datas, 2);
    assert_int_equal(scanned.data_bytes, 5 + sizeof large);
}

static void D18_callbacks_skip_data_and_stop(void **state)
{
    (void)state;
    dwal *log = create(0, 0);
    fill_volumes(log, 2, 1500);
    assert_int_equal(dwal_close(log), 0);
    struct dwal_scan scan = scan_of();
    assert_int_equal(dwal_scan_log(path, &scan, NULL), 0);
    assert_int_equal(scanned.entries, lsn_count);
    assert_int_equal(scanned.datas, lsn_count);
    assert_true(scanned.volume_count >= 3);
    scan = scan_of();
    scanned.skips_odd = true;
    assert_int_equal(dwal_scan_log(path, &scan, NULL), 0);
    assert_int_equal(scanned.entries, lsn_count);
    assert_int_equal(scanned.datas, lsn_count / 2);
    scan = scan_of();
    scanned.stop_after = 7;
    assert_int_equal(dwal_scan_log(path, &scan, NULL), 0); /* no error */
    assert_int_equal(scanned.entries, 7);
}

/* ---- one volume ---- */

static struct {
    uint32_t number, entries, nexts, tables;
    uint64_t bytes, last_offset;
} piece;

static void on_entry(void *context, const struct dwal_record *record, uint64_t offset)
{
    (void)context;
    (void)record;
    assert_true(offset > piece.last_offset);
    piece.last_offset = offset;
    piece.entries++;
}

/* The first byte of the segment lies where it is said to. */
static void on_segment(void *context, bool is_metadata, const void *bytes, size_t size, uint64_t offset)
{
    (void)context;
    char file[DW_TMPDIR_SIZE + 64];
    uint8_t byte;
    assert_false(is_metadata);
    assert_true(offset > piece.last_offset || piece.entries == 0);
    assert_int_equal(dwal_volume_path(path, piece.number, file, sizeof file), 0);
    int open_file = open(file, O_RDONLY);
    assert_int_equal(pread(open_file, &byte, 1, (off_t)offset), 1);
    close(open_file);
    assert_int_equal(byte, *(const uint8_t *)bytes);
    piece.last_offset = offset;
    piece.bytes += size;
}

static void on_next(void *context, uint64_t offset)
{
    (void)context;
    assert_true(offset > piece.last_offset);
    piece.nexts++;
}

static void on_table(void *context, const void *bytes, size_t size, uint64_t offset)
{
    (void)context;
    char expected[32];
    assert_int_equal(size, snprintf(expected, sizeof expected, "table of %u", piece.number));
    assert_memory_equal(bytes, expected, size);
    assert_true(offset > piece.last_offset);
    piece.tables++;
}

static void D19_one_volume_is_taken_apart_with_the_place_of_each_piece(void **state)
{
    (void)state;
    dwal *log = create(64, 0);
    fill_volumes(log, 3, 1300);
    assert_int_equal(dwal_close(log), 0);
    struct dwal_volume_scan scan = {
        .size = sizeof scan, .entry = on_entry, .segment = on_segment, .next_volume = on_next, .table = on_table};
    uint64_t entries = 0, bytes = 0;
    uint32_t number = 0;
    for (;; number++) {
        memset(&piece, 0, sizeof piece);
        piece.number = number;
        int result = dwal_scan_volume(path, number, &scan);
        if (result == DWAL_ENOTFOUND)
            break;
        assert_int_equal(result, 0);
        entries += piece.entries;
        bytes += piece.bytes;
        assert_true(number >= 3 || (piece.nexts == 1 && piece.tables == 1));
    }
    assert_true(number >= 4);
    assert_int_equal(entries, lsn_count);      /* each starts in one volume */
    assert_int_equal(bytes, lsn_count * 1300); /* and no byte is given twice or left out, spills among them */
    scan.size = 0;
    assert_int_equal(dwal_scan_volume(path, 0, &scan), DWAL_EARGUMENT);
}

static void D20_names_and_numbers_of_volumes_go_both_ways(void **state)
{
    (void)state;
    char name[DWAL_VOLUME_NAME_SIZE], file[64];
    static const uint32_t numbers[] = {0, 7, 1234567890, DWAL_VOLUME_NUMBER_MAX};
    for (size_t i = 0; i < 4; i++) {
        uint32_t number;
        size_t length;
        assert_int_equal(dwal_volume_name(numbers[i], name), 0);
        assert_int_equal(dwal_volume_parse(name, &number, &length), 0);
        assert_int_equal(number, numbers[i]);
        assert_int_equal(length, 0);
        assert_int_equal(dwal_volume_path("/some/where", numbers[i], file, sizeof file), 0);
        assert_int_equal(dwal_volume_parse(file, &number, &length), 0);
        assert_int_equal(number, numbers[i]);
        assert_int_equal(length, strlen("/some/where"));
    }
    assert_string_equal(name, "2147483647.vol");
    assert_int_equal(dwal_volume_name(DWAL_VOLUME_NUMBER_MAX + 1u, name), DWAL_EARGUMENT);
    assert_int_equal(dwal_volume_path("", 0, file, sizeof file), DWAL_EARGUMENT);
    assert_int_equal(dwal_volume_path("/some/where", 0, file, 10), DWAL_EBUFFER);
    static const char *const wrong[] = {"",
                                        "7.vol",
                                        "0000000007.bvl",
                                        "0000000007.vol.tmp",
                                        "x000000007.vol",
                                        "000.bvl",
                                        "00000000007.vol",
                                        "2147483648.vol",
                                        "/dir/",
                                        "0000000007",
                                        "9999999999.vol"};
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++)
        assert_int_equal(dwal_volume_parse(wrong[i], NULL, NULL), DWAL_EARGUMENT);
    assert_int_equal(dwal_volume_parse(NULL, NULL, NULL), DWAL_EARGUMENT);
}

static void D21_a_table_is_read_into_the_callers_buffer_and_none_is_no_error(void **state)
{
    (void)state;
    dwal *log = create(64, 0);
    fill_volumes(log, 2, 1000);
    assert_int_equal(dwal_close(log), 0);
    char table[64] = "";
    uint32_t length = 0, magic = 0;
    assert_int_equal(dwal_read_table(path, 1, table, sizeof table, &length, &magic), 0);
    assert_int_equal(length, 10);
    assert_memory_equal(table, "table of 1", 10);
    assert_int_equal(magic, JOURNAL_MAGIC);
    memset(table, 0, sizeof table);
    assert_int_equal(dwal_read_table(path, 1, table, 5, &length, NULL), 0); /* as far as it goes */
    assert_int_equal(length, 10);
    assert_string_equal(table, "table");
    assert_int_equal(dwal_read_table(path, 77, table, sizeof table, &length, NULL), DWAL_ENOTFOUND);
    (void)snprintf(path, sizeof path, "%s/none", directory);
    lsn_count = 0;
    log = create(0, 0);
    commit(log, NULL, "x", 1);
    assert_int_equal(dwal_close(log), 0);
    assert_int_equal(dwal_read_table(path, 0, NULL, 0, &length, &magic), 0);
    assert_int_equal(length, 0);
    assert_int_equal(magic, JOURNAL_MAGIC);
}

static void D22_the_command_prints_one_volume(void **state)
{
    (void)state;
    dwal *log = create(64, 0);
    fill_volumes(log, 2, 1000);
    assert_int_equal(dwal_close(log), 0);
    const char *text = dw_shell_good("%s dump %s/0000000001.vol --records", dw_shell_setting("DWAL_COMMAND"), path);
    assert_non_null(strstr(text, " record "));
    assert_non_null(strstr(text, " spill "));
    assert_non_null(strstr(text, " toc "));
    assert_non_null(strstr(text, " table "));
    assert_null(strstr(text, "0000000000.vol"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        JOURNAL_TEST(D13_a_torn_end_is_told_apart_from_damage),
        JOURNAL_TEST(D14_a_scan_takes_the_volumes_from_one_to_another),
        JOURNAL_TEST(D15_another_magic_number_is_an_error),
        JOURNAL_TEST(D16_a_suspected_tear_is_looked_behind_as_far_as_asked),
        JOURNAL_TEST(D17_expected_sizes_are_no_limits),
        JOURNAL_TEST(D18_callbacks_skip_data_and_stop),
        JOURNAL_TEST(D19_one_volume_is_taken_apart_with_the_place_of_each_piece),
        JOURNAL_TEST(D20_names_and_numbers_of_volumes_go_both_ways),
        JOURNAL_TEST(D21_a_table_is_read_into_the_callers_buffer_and_none_is_no_error),
        JOURNAL_TEST(D22_the_command_prints_one_volume),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
