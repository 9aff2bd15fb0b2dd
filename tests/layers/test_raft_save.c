/* test_raft_save.c - what the Raft log writes: create, records, save and its sync rule, snapshots, cut. The letter and number
 * of each test is the line of the checklist of etcd's wal that it shows. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/lib/raft_kit.h"
#include "tests/lib/shell.h"

static void E1_create_refuses_a_place_with_a_log(void **state)
{
    (void)state;
    dw_raft_kit_close(dw_raft_kit_create());
    struct dwal_raft_options options = dw_raft_kit_options();
    dwal_raft *raft;
    dw_shell_good("find %s -type f -exec sha256sum {} + | sort > %s/sums", dw_log_kit_path, dw_log_kit_directory);
    assert_int_equal(dwal_raft_create(dw_log_kit_path, "x", 1, &options, &raft), DWAL_EEXIST);
    assert_null(raft);
    /* Nothing was touched. */
    dw_shell_good("find %s -type f -exec sha256sum {} + | sort | cmp - %s/sums", dw_log_kit_path, dw_log_kit_directory);
    raft = dw_raft_kit_open(0, 0);
    dw_raft_kit_ready(raft);
    assert_int_equal(dwal_raft_create(dw_log_kit_path, "x", 1, &options, &(dwal_raft *){NULL}), DWAL_EEXIST);
    dw_raft_kit_close(raft);
    char lone[sizeof dw_log_kit_path + 32];
    snprintf(lone, sizeof lone, "%s/dwal.super", dw_log_kit_path);
    assert_int_equal(unlink(lone), 0); /* a volume is left: somebody's log */
    assert_int_equal(dwal_raft_create(dw_log_kit_path, "x", 1, &options, &raft), DWAL_EEXIST);
}

static void E1_create_refuses_a_log_that_is_not_a_raft_log(void **state)
{
    (void)state;
    struct dwal_options plain = dw_log_kit_options();
    assert_int_equal(dwal_create(dw_log_kit_path, &plain), 0);
    struct dwal_raft_options options = dw_raft_kit_options();
    dwal_raft *raft;
    assert_int_equal(dwal_raft_create(dw_log_kit_path, "x", 1, &options, &raft), DWAL_EEXIST);
    assert_int_equal(dw_raft_kit_try_open(0, 0, &raft), DWAL_EMAGIC);
}

static void E1_an_interrupted_creation_is_no_log_and_the_next_create_finishes_it(void **state)
{
    (void)state;
    struct dwal_options empty = dw_log_kit_options();
    empty.magic_number = DWAL_RAFT_MAGIC;
    assert_int_equal(dwal_create(dw_log_kit_path, &empty), 0); /* as far as a crash let it come */
    dwal_raft *raft;
    assert_int_equal(dw_raft_kit_try_open(0, 0, &raft), DWAL_ENOLOG);
    assert_null(raft);
    raft = dw_raft_kit_create();
    dw_raft_kit_save(raft, 1, 3, 1);
    dw_raft_kit_close(raft);
    raft = dw_raft_kit_open(0, 0);
    struct dwal_raft_content *content = dw_raft_kit_read(raft);
    dw_raft_kit_check(content, 1, 3, 1);
    dwal_raft_content_free(content);
    dw_raft_kit_close(raft);
}

static void E1_create_leaves_directory_and_files_to_their_owner_alone(void **state)
{
    (void)state;
    dw_raft_kit_close(dw_raft_kit_create());
    struct stat facts;
    assert_int_equal(stat(dw_log_kit_path, &facts), 0);
    assert_int_equal(facts.st_mode & 0777, 0700);
    char file[sizeof dw_log_kit_path + 32];
    snprintf(file, sizeof file, "%s/0000000000.vol", dw_log_kit_path);
    assert_int_equal(stat(file, &facts), 0);
    assert_int_equal(facts.st_mode & 0777, 0600);
}

static void E3_the_segment_size_is_soft_what_is_saved_is_written_first(void **state)
{
    (void)state;
    struct dwal_raft_options options = dw_raft_kit_options();
    options.segment_size = 20000;
    dwal_raft *raft;
    assert_int_equal(dwal_raft_create(dw_log_kit_path, NULL, 0, &options, &raft), 0);
    char *large = calloc(1, 100000);
    assert_non_null(large);
    struct dwal_raft_entry entry = {.index = 1, .term = 1, .data = large, .size = 100000};
    assert_int_equal(dwal_raft_save(raft, NULL, &entry, 1), 0); /* five times the size, in one piece */
    struct dwal_raft_stats stats = {.size = sizeof stats};
    assert_int_equal(dwal_raft_get_stats(raft, &stats), 0);
    assert_int_equal(stats.cuts, 1);
    assert_int_equal(stats.segment_sequence, 1);
    assert_int_equal(stats.segment_index, 2);
    entry.index = 2;
    entry.size = 10;
    assert_int_equal(dwal_raft_save(raft, NULL, &entry, 1), 0);
    assert_int_equal(dwal_raft_get_stats(raft, &stats), 0);
    assert_int_equal(stats.cuts, 1);
    free(large);
    dw_raft_kit_close(raft);
}

static void E4_every_kind_of_record_comes_back_at_every_length(void **state)
{
    (void)state;
    dwal_raft *raft = dw_raft_kit_create();
    static char data[9000];
    for (size_t i = 0; i < sizeof data; i++)
        data[i] = (char)(i * 7);
    uint64_t index = 0;
    for (size_t size = 0; size <= sizeof data; size = size < 40 ? size + 1 : size + 331) {
        struct dwal_raft_entry entry = {.index = ++index, .term = size, .data = data, .size = size, .type = UINT32_MAX};
        struct dwal_raft_state hard = {size + 1, size * 3, size * 5};
        assert_int_equal(dwal_raft_save(raft, &hard, &entry, 1), 0);
    }
    dw_raft_kit_close(raft);
    raft = dw_raft_kit_open(0, 0);
    struct dwal_raft_content *content = dw_raft_kit_read(raft);
    assert_int_equal(content->entry_count, index);
    for (size_t i = 0; i < content->entry_count; i++) {
        const struct dwal_raft_entry *entry = &content->entries[i];
        assert_int_equal(entry->index, i + 1);
        assert_int_equal(entry->term, entry->size);
        assert_int_equal(entry->type, UINT32_MAX);
        assert_memory_equal(entry->data, data, entry->size);
    }
    assert_int_equal(content->state.term, content->entries[index - 1].size + 1);
    dwal_raft_content_free(content);
    dw_raft_kit_close(raft);
}

static void E16_nothing_to_save_writes_nothing(void **state)
{
    (void)state;
    dwal_raft *raft = dw_raft_kit_create();
    uint64_t writes = dw_raft_kit_writes(raft), end = dwal_end(dwal_raft_log(raft));
    struct dwal_raft_state empty = {0, 0, 0};
    assert_int_equal(dwal_raft_save(raft, &empty, NULL, 0), 0);
    assert_int_equal(dwal_raft_save(raft, NULL, NULL, 0), 0);
    assert_int_equal(dw_raft_kit_writes(raft), writes);
    assert_int_equal(dwal_end(dwal_raft_log(raft)), end);
    dw_raft_kit_close(raft);
}

static void E16_entries_term_and_vote_are_synced(void **state)
{
    (void)state;
    dwal_raft *raft = dw_raft_kit_create();
    dwal *log = dwal_raft_log(raft);
    uint64_t writes = dw_raft_kit_writes(raft);
    dw_raft_kit_save(raft, 1, 5, 1); /* entries: five of them in one write */
    assert_int_equal(dw_raft_kit_writes(raft), ++writes);
    assert_true(dwal_durable(log) >= dwal_end(log));
    dw_raft_kit_save_state(raft, 1, 0, 0); /* a new term */
    assert_int_equal(dw_raft_kit_writes(raft), ++writes);
    dw_raft_kit_save_state(raft, 1, 7, 0); /* a vote */
    assert_int_equal(dw_raft_kit_writes(raft), ++writes);
    dw_raft_kit_save_state(raft, 2, 0, 0); /* both */
    assert_int_equal(dw_raft_kit_writes(raft), ++writes);
    assert_true(dwal_durable(log) >= dwal_end(log));
    dw_raft_kit_close(raft);
}

static void E16_commit_only_change_is_not_synced(void **state)
{
    (void)state;
    dwal_raft *raft = dw_raft_kit_create();
    dwal *log = dwal_raft_log(raft);
    dw_raft_kit_save_state(raft, 3, 1, 0);
    uint64_t writes = dw_raft_kit_writes(raft);
    for (uint64_t commit = 1; commit <= 50; commit++)
        dw_raft_kit_save_state(raft, 3, 1, commit);
    dw_raft_kit_save_state(raft, 3, 1, 50); /* and no change at all */
    assert_int_equal(dw_raft_kit_writes(raft), writes);
    assert_true(dwal_durable(log) < dwal_end(log));
    assert_int_equal(dwal_raft_sync(raft), 0);
    assert_int_equal(dw_raft_kit_writes(raft), writes + 1);
    assert_true(dwal_durable(log) >= dwal_end(log));
    dw_raft_kit_close(raft);
    /* The rule looks at the state that was read, too. */
    raft = dw_raft_kit_open(0, 0);
    struct dwal_raft_content *content = dw_raft_kit_read(raft);
    dw_raft_kit_check_state(content, 3, 1, 50);
    dwal_raft_content_free(content);
    writes = dw_raft_kit_writes(raft);
    dw_raft_kit_save_state(raft, 3, 1, 51);
    assert_int_equal(dw_raft_kit_writes(raft), writes);
    dw_raft_kit_close(raft);
}

static void E16_save_refuses_what_could_not_be_read_back(void **state)
{
    (void)state;
    dwal_raft *raft = dw_raft_kit_create();
    dw_raft_kit_save(raft, 1, 3, 1);
    uint64_t end = dwal_end(dwal_raft_log(raft));
    struct dwal_raft_entry two[2] = {{.index = 4, .term = 1}, {.index = 6, .term = 1}};
    assert_int_equal(dwal_raft_save(raft, NULL, two, 2), DWAL_EARGUMENT);
    two[1].index = 4;
    assert_int_equal(dwal_raft_save(raft, NULL, two, 2), DWAL_EARGUMENT);
    two[0].index = 5;
    assert_int_equal(dwal_raft_save(raft, NULL, two, 1), DWAL_ERAFT_GAP);
    two[0].index = 0;
    assert_int_equal(dwal_raft_save(raft, NULL, two, 1), DWAL_EARGUMENT);
    two[0].index = UINT64_MAX;
    assert_int_equal(dwal_raft_save(raft, NULL, two, 1), DWAL_EARGUMENT);
    two[0] = (struct dwal_raft_entry){.index = 4, .data = two, .size = (size_t)DWAL_PART_SIZE_MAX + 1};
    assert_int_equal(dwal_raft_save(raft, NULL, two, 1), DWAL_ETOOBIG);
    assert_int_equal(dwal_end(dwal_raft_log(raft)), end);
    dw_raft_kit_save(raft, 4, 4, 1); /* a refused save does no harm */
    dw_raft_kit_close(raft);
}

static void E17_cut_starts_a_segment_with_metadata_and_state(void **state)
{
    (void)state;
    dwal_raft *raft = dw_raft_kit_create();
    dw_raft_kit_save(raft, 1, 10, 2);
    dw_raft_kit_save_state(raft, 2, 3, 9);
    uint64_t writes = dw_raft_kit_writes(raft);
    assert_int_equal(dwal_raft_cut(raft), 0);
    assert_int_equal(dw_raft_kit_writes(raft), writes + 1); /* durable, in one write */
    assert_true(dwal_durable(dwal_raft_log(raft)) >= dwal_end(dwal_raft_log(raft)));
    dw_raft_kit_save_snapshot(raft, 10, 2);
    assert_int_equal(dwal_raft_release(raft, 12), 0); /* all before the head is gone */
    struct dwal_raft_stats stats = {.size = sizeof stats};
    assert_int_equal(dwal_raft_get_stats(raft, &stats), 0);
    assert_int_equal(stats.segments, 1);
    assert_int_equal(stats.segment_sequence, 1);
    assert_int_equal(stats.segment_index, 11);
    dw_raft_kit_save(raft, 11, 12, 2);
    dw_raft_kit_close(raft);
    assert_int_equal(dw_raft_kit_try_open(9, 2, &raft), DWAL_ERAFT_RELEASED);
    raft = dw_raft_kit_open(10, 2);
    struct dwal_raft_content *content = dw_raft_kit_read(raft);
    dw_raft_kit_check(content, 11, 12, 2);
    dw_raft_kit_check_state(content, 2, 3, 9);
    dwal_raft_content_free(content);
    dw_raft_kit_close(raft);
}

/* The original forgets the state between an open and the next save of a state: a cut in between starts a file without it. */
static void E17_a_cut_after_a_reopen_keeps_the_state_that_was_read(void **state)
{
    (void)state;
    dwal_raft *raft = dw_raft_kit_create();
    dw_raft_kit_save(raft, 1, 4, 1);
    dw_raft_kit_save_state(raft, 1, 2, 4);
    dw_raft_kit_close(raft);
    raft = dw_raft_kit_open(0, 0);
    dw_raft_kit_ready(raft);
    dw_raft_kit_save(raft, 5, 6, 1); /* entries alone */
    assert_int_equal(dwal_raft_cut(raft), 0);
    dw_raft_kit_save_snapshot(raft, 6, 1);
    dw_raft_kit_save(raft, 7, 8, 1);
    assert_int_equal(dwal_raft_release(raft, 7), 0);
    assert_int_equal(dwal_raft_release(raft, 8), 0);
    dw_raft_kit_close(raft);
    raft = dw_raft_kit_open(6, 1);
    struct dwal_raft_content *content = dw_raft_kit_read(raft);
    dw_raft_kit_check(content, 7, 8, 1);
    dw_raft_kit_check_state(content, 1, 2, 4);
    dwal_raft_content_free(content);
    dw_raft_kit_close(raft);
}

static void E19_a_snapshot_needs_members_and_is_always_durable(void **state)
{
    (void)state;
    dwal_raft *raft = dw_raft_kit_create();
    struct dwal_raft_snapshot snapshot = {.index = 5, .term = 1};
    assert_int_equal(dwal_raft_save_snapshot(raft, &snapshot), DWAL_EARGUMENT);
    assert_int_equal(dwal_raft_save_snapshot(raft, NULL), DWAL_EARGUMENT);
    snapshot = (struct dwal_raft_snapshot){.index = UINT64_MAX, .members = "a", .members_size = 1};
    assert_int_equal(dwal_raft_save_snapshot(raft, &snapshot), DWAL_EARGUMENT);
    uint64_t writes = dw_raft_kit_writes(raft);
    dw_raft_kit_save_snapshot(raft, 100, 4);
    assert_int_equal(dw_raft_kit_writes(raft), writes + 1);
    /* It raises the last index: what follows it may be saved, what would leave a hole may not. */
    struct dwal_raft_stats stats = {.size = sizeof stats};
    assert_int_equal(dwal_raft_get_stats(raft, &stats), 0);
    assert_int_equal(stats.last_index, 100);
    struct dwal_raft_entry entry = {.index = 102, .term = 4};
    assert_int_equal(dwal_raft_save(raft, NULL, &entry, 1), DWAL_ERAFT_GAP);
    dw_raft_kit_save(raft, 101, 103, 4);
    dw_raft_kit_save_snapshot(raft, 50, 3); /* an older one lowers nothing */
    assert_int_equal(dwal_raft_get_stats(raft, &stats), 0);
    assert_int_equal(stats.last_index, 103);
    dw_raft_kit_close(raft);
    raft = dw_raft_kit_open(100, 4);
    struct dwal_raft_content *content = dw_raft_kit_read(raft);
    dw_raft_kit_check(content, 101, 103, 4);
    dwal_raft_content_free(content);
    dw_raft_kit_close(raft);
}

static void E26_close_makes_durable_what_was_not_synced(void **state)
{
    (void)state;
    dwal_raft *raft = dw_raft_kit_create();
    dw_raft_kit_save(raft, 1, 2, 1);
    dw_raft_kit_save_state(raft, 1, 1, 1);
    dw_raft_kit_save_state(raft, 1, 1, 2); /* not synced */
    dw_raft_kit_close(raft);
    assert_int_equal(dwal_raft_close(NULL), 0);
    raft = dw_raft_kit_open(0, 0);
    struct dwal_raft_content *content = dw_raft_kit_read(raft);
    dw_raft_kit_check_state(content, 1, 1, 2);
    dwal_raft_content_free(content);
    dw_raft_kit_save_snapshot(raft, 2, 1);
    struct dwal_raft_snapshot at = {.index = 2, .term = 1};
    assert_int_equal(dwal_raft_reopen(&raft, &at), 0); /* and again, at a snapshot */
    content = dw_raft_kit_read(raft);
    assert_int_equal(content->entry_count, 0);
    assert_null(content->entries);
    dwal_raft_content_free(content);
    dw_raft_kit_save(raft, 3, 4, 1);
    dw_raft_kit_close(raft);
}

static int slow_reports;
static void count_reports(void *context, enum dwal_event_level level, const char *text)
{
    (void)context;
    slow_reports += level == DWAL_EVENT_WARNING && strstr(text, "sync of the Raft log") != NULL;
}

static void E26_a_slow_sync_is_counted_and_told(void **state)
{
    (void)state;
    struct dwal_raft_options options = dw_raft_kit_options();
    options.sync_report_us = 1; /* every one is slow */
    dw_raft_kit_log.event = count_reports;
    dwal_raft *raft;
    assert_int_equal(dwal_raft_create(dw_log_kit_path, NULL, 0, &options, &raft), 0);
    slow_reports = 0;
    dw_raft_kit_save(raft, 1, 1, 1);
    struct dwal_raft_stats stats = {.size = sizeof stats};
    assert_int_equal(dwal_raft_get_stats(raft, &stats), 0);
    assert_int_equal(stats.slow_syncs, 1);
    assert_int_equal(slow_reports, 1);
    dw_raft_kit_close(raft);
}

static void E26_the_unsafe_switch_waits_for_nothing(void **state)
{
    (void)state;
    struct dwal_raft_options options = dw_raft_kit_options();
    options.is_unsafe_unsynced = true;
    dwal_raft *raft;
    assert_int_equal(dwal_raft_create(dw_log_kit_path, NULL, 0, &options, &raft), 0);
    uint64_t writes = dw_raft_kit_writes(raft);
    dw_raft_kit_save(raft, 1, 3, 1);
    dw_raft_kit_save_snapshot(raft, 3, 1);
    assert_int_equal(dwal_raft_sync(raft), 0);
    assert_int_equal(dw_raft_kit_writes(raft), writes);
    dw_raft_kit_close(raft);
}

static void E27_statistics_count_what_was_done(void **state)
{
    (void)state;
    dwal_raft *raft = dw_raft_kit_create();
    char data[300];
    struct dwal_raft_entry entry = dw_raft_kit_entry(1, 1, data);
    dw_raft_kit_save(raft, 1, 1, 1);
    dw_raft_kit_save_state(raft, 1, 1, 1);
    dw_raft_kit_save_snapshot(raft, 1, 1);
    assert_int_equal(dwal_raft_save(raft, NULL, NULL, 0), 0);
    assert_int_equal(dwal_raft_cut(raft), 0);
    struct dwal_raft_stats stats = {.size = sizeof stats};
    assert_int_equal(dwal_raft_get_stats(raft, &stats), 0);
    assert_int_equal(stats.saves, 2);
    assert_int_equal(stats.empty_saves, 1);
    assert_int_equal(stats.entries, 1);
    assert_int_equal(stats.states, 1);
    assert_int_equal(stats.snapshots, 1);
    assert_int_equal(stats.cuts, 1);
    assert_int_equal(stats.data_bytes, entry.size + 3);
    assert_int_equal(stats.syncs, 4);
    assert_true(stats.sync_ns > 0 && stats.sync_max_ns > 0 && stats.sync_ns >= stats.sync_max_ns);
    assert_int_equal(stats.last_index, 1);
    struct dwal_stats log = {.size = sizeof log}; /* write latency, bytes written */
    assert_int_equal(dwal_get_stats(dwal_raft_log(raft), &log), 0);
    assert_true(log.written_bytes > 0 && log.stages[DWAL_STAGE_DEVICE].count > 0);
    stats.size = 0;
    assert_int_equal(dwal_raft_get_stats(raft, &stats), DWAL_EARGUMENT);
    dw_raft_kit_close(raft);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        DW_RAFT_KIT_TEST(E1_create_refuses_a_place_with_a_log),
        DW_RAFT_KIT_TEST(E1_create_refuses_a_log_that_is_not_a_raft_log),
        DW_RAFT_KIT_TEST(E1_an_interrupted_creation_is_no_log_and_the_next_create_finishes_it),
        DW_RAFT_KIT_TEST(E1_create_leaves_directory_and_files_to_their_owner_alone),
        DW_RAFT_KIT_TEST(E3_the_segment_size_is_soft_what_is_saved_is_written_first),
        DW_RAFT_KIT_TEST(E4_every_kind_of_record_comes_back_at_every_length),
        DW_RAFT_KIT_TEST(E16_nothing_to_save_writes_nothing),
        DW_RAFT_KIT_TEST(E16_entries_term_and_vote_are_synced),
        DW_RAFT_KIT_TEST(E16_commit_only_change_is_not_synced),
        DW_RAFT_KIT_TEST(E16_save_refuses_what_could_not_be_read_back),
        DW_RAFT_KIT_TEST(E17_cut_starts_a_segment_with_metadata_and_state),
        DW_RAFT_KIT_TEST(E17_a_cut_after_a_reopen_keeps_the_state_that_was_read),
        DW_RAFT_KIT_TEST(E19_a_snapshot_needs_members_and_is_always_durable),
        DW_RAFT_KIT_TEST(E26_close_makes_durable_what_was_not_synced),
        DW_RAFT_KIT_TEST(E26_a_slow_sync_is_counted_and_told),
        DW_RAFT_KIT_TEST(E26_the_unsafe_switch_waits_for_nothing),
        DW_RAFT_KIT_TEST(E27_statistics_count_what_was_done),
    };
    return DW_LOG_KIT_RUN(tests);
}
