/* test_raft_life.c - a Raft log over its life: torn ends and repair, valid snapshots, verify, format
 * version, scan. The letter and number of each test is the line of the checklist of etcd's wal that it shows. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/layers/raft.h"
#include "tests/lib/raft_kit.h"
#include "tests/lib/shell.h"

static void save_text(dwal_raft *raft, uint64_t index, const char *text)
{
    struct dwal_raft_entry entry = {.index = index, .term = 1, .data = text, .size = strlen(text)};
    assert_int_equal(dwal_raft_save(raft, NULL, &entry, 1), 0);
}

static size_t count_entries(uint64_t index, uint64_t term)
{
    dwal_raft *raft = dw_raft_kit_open_to_read(index, term);
    struct dwal_raft_content *content = dw_raft_kit_read(raft);
    size_t count = content->entry_count;
    dwal_raft_content_free(content);
    dw_raft_kit_close(raft);
    return count;
}

static int verify_at(uint64_t index, uint64_t term, struct dwal_raft_state *hard)
{
    struct dwal_raft_options options = dw_raft_kit_options();
    struct dwal_raft_snapshot snapshot = {.index = index, .term = term};
    return dwal_raft_verify(dw_log_kit_path, &snapshot, &options, hard);
}

/* ---- the end ---- */

static void E12_a_torn_tail_is_accepted_by_readers_and_cut_by_a_writer(void **state)
{
    (void)state;
    dwal_raft *raft = dw_raft_kit_create();
    dw_raft_kit_save(raft, 1, 5, 1);
    dw_raft_kit_settle();
    save_text(raft, 6, "the write that the crash cut short");
    dw_raft_kit_crash(raft);
    dw_raft_kit_tear("the write that", 14);
    assert_int_equal(count_entries(0, 0), 5);
    assert_int_equal(count_entries(0, 0), 5); /* reading changed nothing */
    raft = dw_raft_kit_open(0, 0);
    struct dwal_report report = {.size = sizeof report};
    assert_int_equal(dwal_get_report(dwal_raft_log(raft), &report), 0);
    assert_int_equal(report.verdict, DWAL_VERDICT_TORN); /* told, not hidden */
    struct dwal_raft_content *content = dw_raft_kit_read(raft);
    dw_raft_kit_check(content, 1, 5, 1);
    dwal_raft_content_free(content);
    dw_raft_kit_save(raft, 6, 8, 1);
    dw_raft_kit_close(raft);
    assert_int_equal(count_entries(0, 0), 8);
}

static void E13_what_was_cut_off_never_comes_back(void **state)
{
    (void)state;
    dwal_raft *raft = dw_raft_kit_create();
    dw_raft_kit_save(raft, 1, 3, 1);
    dw_raft_kit_settle();
    save_text(raft, 4, "torn");
    save_text(raft, 5, "stale bytes behind the tear"); /* whole, but behind a hole */
    dw_raft_kit_crash(raft);
    dw_raft_kit_tear("torn", 4);
    /* Blocks behind the hole witness it: that is no crash, and is refused. */
    assert_int_equal(dw_raft_kit_try_open(0, 0, &raft), DWAL_ECORRUPT);
    dw_raft_kit_tear("stale bytes", 11); /* now both are torn */
    raft = dw_raft_kit_open(0, 0);
    dw_raft_kit_ready(raft);
    dw_raft_kit_close(raft); /* nothing new was written over the place */
    for (uint64_t i = 0; i < 5; i++) {
        raft = dw_raft_kit_open(0, 0);
        struct dwal_raft_content *content = dw_raft_kit_read(raft);
        dw_raft_kit_check(content, 1, 3 + i, 1);
        dwal_raft_content_free(content);
        dw_raft_kit_save(raft, 4 + i, 4 + i, 1);
        dw_raft_kit_close(raft);
    }
    assert_int_equal(verify_at(0, 0, NULL), 0);
}

static void E14_a_length_beyond_the_rest_is_damage_with_its_place(void **state)
{
    (void)state;
    dwal_raft *raft = dw_raft_kit_create();
    save_text(raft, 1, "before the damage");
    /* The metadata of entry 2 stands right behind its record header. */
    struct dw_raft_entry_disk disk = {.index = dw_le64_of(2), .term = dw_le64_of(1)};
    save_text(raft, 2, "the damaged one");
    save_text(raft, 3, "behind it");
    dw_raft_kit_close(raft);
    dw_raft_kit_damage(&disk, sizeof disk);
    struct dwal_raft_content *content = NULL;
    raft = dw_raft_kit_open_to_read(0, 0);
    assert_int_equal(dwal_raft_read_all(raft, &content), DWAL_ECORRUPT);
    assert_null(content);
    const struct dwal_error *error = dwal_last_error();
    assert_true(error->lsn != DWAL_NO_LSN && error->block != DWAL_NO_LSN && error->volume == 0);
    dw_raft_kit_close(raft);
}

static void E15_blank_sectors_are_a_torn_write_and_all_else_is_damage(void **state)
{
    (void)state;
    dwal_raft *raft = dw_raft_kit_create();
    dw_raft_kit_save(raft, 1, 3, 1);
    dw_raft_kit_settle();
    char *large = malloc(3000);
    assert_non_null(large);
    memset(large, 'x', 3000);
    memcpy(large + 2500, "sixth sector", 12);
    struct dwal_raft_entry entry = {.index = 4, .term = 1, .data = large, .size = 3000};
    assert_int_equal(dwal_raft_save(raft, NULL, &entry, 1), 0);
    free(large);
    dw_raft_kit_crash(raft);
    dw_shell_good("cp -r %s %s.whole", dw_log_kit_path, dw_log_kit_path);
    dw_raft_kit_tear("sixth sector", 12); /* one of its sectors was never written: torn */
    assert_int_equal(count_entries(0, 0), 3);
    dw_shell_good("rm -r %s && mv %s.whole %s", dw_log_kit_path, dw_log_kit_path, dw_log_kit_path);
    dw_raft_kit_damage("sixth sector", 12); /* all were written, and one is wrong: no torn write does that */
    assert_int_equal(dw_raft_kit_try_open(0, 0, &raft), DWAL_EUNCERTAIN);
}

/* The unwritten sector reads as zeros, and the end of an entry of zeros in it is right by chance; the entry behind is not. */
static void E15_zeros_in_a_sector_that_was_never_written_are_no_damage(void **state)
{
    (void)state;
    static const char zeros[700];
    dwal_raft *raft = dw_raft_kit_create();
    dw_raft_kit_save(raft, 1, 3, 1);
    dw_raft_kit_settle();
    struct dwal_raft_entry two[2] = {{.index = 4, .term = 1, .data = zeros, .size = sizeof zeros},
                                     {.index = 5, .term = 1, .data = "behind the zeros", .size = 16}};
    assert_int_equal(dwal_raft_save(raft, NULL, two, 2), 0);
    dw_raft_kit_crash(raft);
    dw_raft_kit_tear("behind the zeros", 16);
    raft = dw_raft_kit_open(0, 0);
    struct dwal_raft_content *content = dw_raft_kit_read(raft);
    dw_raft_kit_check(content, 1, 3, 1);
    dwal_raft_content_free(content);
    dw_raft_kit_close(raft);
}

static void E25_repair_cuts_a_torn_end_after_saving_a_copy(void **state)
{
    (void)state;
    dwal_raft *raft = dw_raft_kit_create();
    dw_raft_kit_save(raft, 1, 5, 1);
    dw_raft_kit_settle();
    save_text(raft, 6, "damaged at the end");
    dw_raft_kit_crash(raft);
    struct dwal_raft_options options = dw_raft_kit_options();
    dw_raft_kit_damage("damaged at", 10);
    assert_int_equal(dw_raft_kit_try_open(0, 0, &raft), DWAL_EUNCERTAIN);
    bool is_changed = false;
    char save[sizeof dw_log_kit_path + 16];
    snprintf(save, sizeof save, "%s.broken", dw_log_kit_path);
    assert_int_equal(dwal_raft_repair(dw_log_kit_path, &options, save, &is_changed), 0);
    assert_true(is_changed);
    dw_shell_good("test -s %s/0000000000.vol -a -s %s/dwal.super", save, save);
    raft = dw_raft_kit_open(0, 0);
    struct dwal_raft_content *content = dw_raft_kit_read(raft);
    dw_raft_kit_check(content, 1, 5, 1);
    dwal_raft_content_free(content);
    dw_raft_kit_save(raft, 6, 6, 1);
    dw_raft_kit_close(raft);
    /* A clean log: good, and nothing changed. Once more: the same. */
    assert_int_equal(dwal_raft_repair(dw_log_kit_path, &options, NULL, &is_changed), 0);
    assert_false(is_changed);
    /* Without a name the copy lies beside the log. */
    raft = dw_raft_kit_open(0, 0);
    dw_raft_kit_ready(raft);
    dw_raft_kit_settle();
    save_text(raft, 7, "once more at the end");
    dw_raft_kit_crash(raft);
    dw_raft_kit_damage("once more", 9);
    assert_int_equal(dwal_raft_repair(dw_log_kit_path, &options, NULL, &is_changed), 0);
    assert_true(is_changed);
    dw_shell_good("test -s $(ls -d %s.broken.[0-9]*)/dwal.super", dw_log_kit_path);
    assert_int_equal(count_entries(0, 0), 6);
}

static void E25_repair_refuses_damage_that_is_no_torn_end(void **state)
{
    (void)state;
    dwal_raft *raft = dw_raft_kit_create();
    save_text(raft, 1, "damaged in the middle");
    dw_raft_kit_save(raft, 2, 50, 1);
    dw_raft_kit_close(raft);
    dw_raft_kit_damage("damaged in", 10);
    struct dwal_raft_options options = dw_raft_kit_options();
    bool is_changed = true;
    dw_shell_good("find %s -type f -exec sha256sum {} + | sort > %s/sums", dw_log_kit_path, dw_log_kit_directory);
    assert_int_equal(dwal_raft_repair(dw_log_kit_path, &options, NULL, &is_changed), DWAL_ECORRUPT);
    assert_false(is_changed);
    dw_shell_good("find %s -type f -exec sha256sum {} + | sort | cmp - %s/sums", dw_log_kit_path, dw_log_kit_directory);
    assert_int_equal(dwal_raft_repair("/nowhere", &options, NULL, &is_changed), DWAL_ENOLOG);
}

/* ---- looking ---- */

static void E23_valid_snapshots_are_those_up_to_the_last_commit_in_order(void **state)
{
    (void)state;
    dwal_raft *raft = dw_raft_kit_create();
    dw_raft_kit_save(raft, 1, 9, 1);
    dw_raft_kit_save_snapshot(raft, 2, 1);
    assert_int_equal(dwal_raft_cut(raft), 0);
    dw_raft_kit_save_snapshot(raft, 5, 1);
    dw_raft_kit_save_snapshot(raft, 8, 1); /* was stored, and is not committed */
    dw_raft_kit_save_state(raft, 1, 1, 7);
    dw_raft_kit_settle();
    save_text(raft, 10, "torn off at the end");
    dw_raft_kit_crash(raft);
    dw_raft_kit_tear("torn off", 8);
    struct dwal_raft_options options = dw_raft_kit_options();
    struct dwal_raft_snapshots *snapshots;
    assert_int_equal(dwal_raft_get_snapshots(dw_log_kit_path, &options, &snapshots), 0);
    assert_int_equal(snapshots->count, 3);
    assert_int_equal(snapshots->snapshots[0].index, 0);
    assert_int_equal(snapshots->snapshots[1].index, 2);
    assert_int_equal(snapshots->snapshots[2].index, 5);
    assert_int_equal(snapshots->snapshots[2].term, 1);
    assert_int_equal(snapshots->snapshots[2].members_size, 3);
    assert_memory_equal(snapshots->snapshots[2].members, "abc", 3);
    assert_int_equal(snapshots->state.commit, 7);
    dwal_raft_snapshots_free(snapshots);
    dwal_raft_snapshots_free(NULL);
    assert_int_equal(dwal_raft_get_snapshots("/nowhere", &options, &snapshots), DWAL_ENOLOG);
    assert_null(snapshots);
}

static void E24_verify_reads_every_byte_and_takes_no_lock(void **state)
{
    (void)state;
    struct dwal_raft_state hard = {0};
    dwal_raft *raft = dw_raft_kit_create();
    save_text(raft, 1, "an old one that nobody reads");
    dw_raft_kit_save(raft, 2, 9, 1);
    dw_raft_kit_save_snapshot(raft, 5, 1);
    dw_raft_kit_save_state(raft, 1, 2, 5);
    assert_int_equal(verify_at(0, 0, &hard), 0); /* beside the writer, which goes on */
    dw_raft_kit_save(raft, 10, 11, 1);
    dw_raft_kit_close(raft);
    assert_int_equal(verify_at(5, 1, &hard), 0);
    assert_int_equal(hard.term, 1);
    assert_int_equal(hard.vote, 2);
    assert_int_equal(hard.commit, 5);
    assert_int_equal(verify_at(5, 2, NULL), DWAL_ERAFT_SNAPSHOT);
    assert_int_equal(verify_at(6, 1, &hard), DWAL_ERAFT_NO_SNAPSHOT);
    dw_raft_kit_damage("an old one", 10);
    assert_int_equal(verify_at(5, 1, NULL), DWAL_ECORRUPT);
}

static void E29_the_format_version_that_is_needed_comes_from_the_records(void **state)
{
    (void)state;
    struct dwal_raft_options options = dw_raft_kit_options();
    struct dwal_raft_info info = {.size = sizeof info};
    dwal_raft *raft = dw_raft_kit_create();
    dw_raft_kit_save(raft, 1, 9, 1);
    dw_raft_kit_save(raft, 5, 6, 2);
    dw_raft_kit_save_state(raft, 2, 1, 4);
    dw_raft_kit_save_snapshot(raft, 4, 1);
    dw_raft_kit_close(raft);
    assert_int_equal(dwal_raft_get_info(dw_log_kit_path, &options, &info), 0);
    assert_int_equal(info.format_version, 1);
    assert_int_equal(info.first_index, 1);
    assert_int_equal(info.last_index, 6);
    assert_int_equal(info.entries, 11);
    assert_int_equal(info.states, 1);
    assert_int_equal(info.snapshots, 2);
    assert_int_equal(info.snapshot_index, 4);
    assert_int_equal(info.state.commit, 4);
    assert_int_equal(info.metadata_size, strlen(dw_raft_kit_metadata));
    /* A newer layer went on with the log: whoever does not know its format must not. */
    raft = dw_raft_kit_open(0, 0);
    dw_raft_kit_ready(raft);
    struct dw_raft_head_disk head = {
        .format_version = dw_le32_of(2), .sequence = dw_le64_of(1), .index = dw_le64_of(7)};
    dw_raft_kit_append_raw(raft, DWAL_RAFT_HEAD, &head, sizeof head, dw_raft_kit_metadata,
                           strlen(dw_raft_kit_metadata));
    dw_raft_kit_close(raft);
    assert_int_equal(dwal_raft_get_info(dw_log_kit_path, &options, &info), DWAL_EVERSION);
    raft = dw_raft_kit_open(0, 0);
    struct dwal_raft_content *content;
    assert_int_equal(dwal_raft_read_all(raft, &content), DWAL_EVERSION);
    assert_non_null(strstr(dwal_last_error()->text, "version 2"));
    dw_raft_kit_close(raft);
}

/* ---- scan ---- */

struct seen {
    uint64_t kinds[5], last_index, limit;
};
static bool see(void *context, const struct dwal_raft_record *record)
{
    struct seen *seen = context;
    seen->kinds[record->kind]++;
    if (record->kind == DWAL_RAFT_ENTRY)
        seen->last_index = record->index;
    assert_true(record->size == 0 || record->data != NULL);
    return --seen->limit > 0;
}
static bool want_snapshots(void *context, const struct dwal_raft_record *record)
{
    (void)context;
    return record->kind == DWAL_RAFT_SNAPSHOT;
}

static void E28_scan_tells_every_record_and_goes_on_behind_damage_if_asked(void **state)
{
    (void)state;
    struct dwal_raft_options options = dw_raft_kit_options();
    dwal_raft *raft = dw_raft_kit_create();
    dw_raft_kit_save(raft, 1, 100, 1);
    save_text(raft, 101, "first damage");
    dw_raft_kit_save(raft, 102, 200, 1);
    save_text(raft, 201, "second damage");
    dw_raft_kit_save(raft, 202, 300, 1);
    dw_raft_kit_save_state(raft, 1, 1, 3);
    dw_raft_kit_close(raft);
    struct seen seen = {.limit = UINT64_MAX};
    struct dwal_raft_scan scan = {.size = sizeof scan, .context = &seen, .record = see};
    assert_int_equal(dwal_raft_scan(dw_log_kit_path, &options, &scan), 0);
    assert_int_equal(seen.kinds[DWAL_RAFT_HEAD], 1);
    assert_int_equal(seen.kinds[DWAL_RAFT_ENTRY], 300);
    assert_int_equal(seen.kinds[DWAL_RAFT_STATE], 1);
    assert_int_equal(seen.kinds[DWAL_RAFT_SNAPSHOT], 1);
    seen = (struct seen){.limit = 10}; /* stops when told */
    assert_int_equal(dwal_raft_scan(dw_log_kit_path, &options, &scan), 0);
    assert_int_equal(seen.kinds[DWAL_RAFT_ENTRY], 8);
    seen = (struct seen){.limit = UINT64_MAX};
    scan.wanted = want_snapshots;
    assert_int_equal(dwal_raft_scan(dw_log_kit_path, &options, &scan), 0);
    assert_int_equal(seen.kinds[DWAL_RAFT_ENTRY] + seen.kinds[DWAL_RAFT_HEAD], 0);
    assert_int_equal(seen.kinds[DWAL_RAFT_SNAPSHOT], 1);
    dw_raft_kit_damage("first damage", 12);
    dw_raft_kit_damage("second damage", 13);
    scan.wanted = NULL;
    seen = (struct seen){.limit = UINT64_MAX};
    assert_int_equal(dwal_raft_scan(dw_log_kit_path, &options, &scan), DWAL_ECORRUPT);
    assert_int_equal(seen.last_index, 100);
    scan.is_raw = true;
    seen = (struct seen){.limit = UINT64_MAX};
    assert_int_equal(dwal_raft_scan(dw_log_kit_path, &options, &scan), DWAL_ECORRUPT); /* told once, at the end */
    assert_int_equal(scan.passed_over, 2);
    assert_int_equal(seen.kinds[DWAL_RAFT_ENTRY], 298);
    assert_int_equal(seen.last_index, 300);
    assert_int_equal(seen.kinds[DWAL_RAFT_STATE], 1);
    assert_string_equal(dwal_raft_kind_name(DWAL_RAFT_SNAPSHOT), "snapshot");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        DW_RAFT_KIT_TEST(E12_a_torn_tail_is_accepted_by_readers_and_cut_by_a_writer),
        DW_RAFT_KIT_TEST(E13_what_was_cut_off_never_comes_back),
        DW_RAFT_KIT_TEST(E14_a_length_beyond_the_rest_is_damage_with_its_place),
        DW_RAFT_KIT_TEST(E15_blank_sectors_are_a_torn_write_and_all_else_is_damage),
        DW_RAFT_KIT_TEST(E15_zeros_in_a_sector_that_was_never_written_are_no_damage),
        DW_RAFT_KIT_TEST(E23_valid_snapshots_are_those_up_to_the_last_commit_in_order),
        DW_RAFT_KIT_TEST(E24_verify_reads_every_byte_and_takes_no_lock),
        DW_RAFT_KIT_TEST(E25_repair_cuts_a_torn_end_after_saving_a_copy),
        DW_RAFT_KIT_TEST(E25_repair_refuses_damage_that_is_no_torn_end),
        DW_RAFT_KIT_TEST(E28_scan_tells_every_record_and_goes_on_behind_damage_if_asked),
        DW_RAFT_KIT_TEST(E29_the_format_version_that_is_needed_comes_from_the_records),
    };
    return DW_LOG_KIT_RUN(tests);
}
