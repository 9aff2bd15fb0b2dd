/* test_raft_front.c - the front of a Raft log and its space: release and purge, volumes made ahead, no space, many threads. The
 * letter and number of each test is the line of the checklist of etcd's wal that it shows. */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/layers/raft.h"
#include "core/log/log.h"
#include "tests/lib/crash_check.h"
#include "tests/lib/crash_disk.h"
#include "tests/lib/raft_kit.h"
#include "tests/lib/shell.h"

static size_t count_entries(uint64_t index, uint64_t term)
{
    dwal_raft *raft = dw_raft_kit_open_to_read(index, term);
    struct dwal_raft_content *content = dw_raft_kit_read(raft);
    size_t count = content->entry_count;
    dwal_raft_content_free(content);
    dw_raft_kit_close(raft);
    return count;
}

/* ---- the front ---- */

static void make_segments(dwal_raft *raft, uint64_t count)
{
    for (uint64_t i = 1; i < count; i++) { /* indexes 0, 1, 2, ... as in the original's test */
        assert_int_equal(dwal_raft_cut(raft), 0);
        dw_raft_kit_save(raft, i, i, 1);
    }
}

static struct dwal_raft_stats stats_of(dwal_raft *raft)
{
    struct dwal_raft_stats stats = {.size = sizeof stats};
    assert_int_equal(dwal_raft_get_stats(raft, &stats), 0);
    return stats;
}

static void E20_release_keeps_the_largest_segment_below_the_index(void **state)
{
    (void)state;
    dwal_raft *raft = dw_raft_kit_create();
    make_segments(raft, 11); /* 0 to 10 */
    assert_int_equal(dwal_raft_release(raft, 5), 0);
    assert_int_equal(stats_of(raft).segments, 7); /* 4 to 10 */
    assert_int_equal(stats_of(raft).segments_dropped, 4);
    assert_int_equal(dwal_raft_release(raft, 5), 0); /* again: nothing */
    assert_int_equal(dwal_raft_release(raft, 3), 0); /* lower: nothing */
    assert_int_equal(dwal_raft_release(raft, 0), 0);
    assert_int_equal(stats_of(raft).segments, 7);
    assert_int_equal(dwal_raft_release(raft, 1000), 0); /* above all: the last one stays */
    assert_int_equal(stats_of(raft).segments, 1);
    assert_int_equal(dwal_raft_release(raft, 1000), 0);
    assert_int_equal(stats_of(raft).segments, 1);
    dw_raft_kit_save_snapshot(raft, 10, 1);
    dw_raft_kit_save(raft, 11, 12, 1);
    dw_raft_kit_close(raft);
    assert_int_equal(count_entries(10, 1), 2);
}

static void E20_what_is_released_gives_its_volumes_back(void **state)
{
    (void)state;
    dwal_raft *raft = dw_raft_kit_create();
    for (uint64_t i = 0; i < 10; i++) {
        dw_raft_kit_save(raft, i * 1000 + 1, i * 1000 + 1000, 1);
        assert_int_equal(dwal_raft_cut(raft), 0);
    }
    struct dwal_options plain = {.size = sizeof plain};
    struct dwal_info before = {.size = sizeof before}, after = {.size = sizeof after};
    assert_int_equal(dwal_get_info(dw_log_kit_path, &plain, &before), 0);
    assert_int_equal(dwal_raft_release(raft, 9500), 0);
    for (int i = 0; i < 2000; i++) {
        assert_int_equal(dwal_get_info(dw_log_kit_path, &plain, &after), 0);
        if (after.volumes < before.volumes - 4)
            break;
        usleep(1000);
    }
    assert_true(after.volumes < before.volumes - 4);
    dw_raft_kit_close(raft);
}

static void E21_purge_drops_the_oldest_beyond_a_number_and_stops_at_what_is_held(void **state)
{
    (void)state;
    struct dwal_raft_options options = dw_raft_kit_options();
    options.segments_kept = UINT32_MAX; /* release alone drops nothing */
    dwal_raft *raft;
    assert_int_equal(dwal_raft_create(dw_log_kit_path, NULL, 0, &options, &raft), 0);
    make_segments(raft, 11);
    uint32_t dropped = 7;
    assert_int_equal(dwal_raft_purge(raft, 0, &dropped), 0);
    assert_int_equal(dropped, 0); /* all are held */
    assert_int_equal(dwal_raft_release(raft, 5), 0);
    assert_int_equal(stats_of(raft).segments, 11);
    assert_int_equal(stats_of(raft).segments_held, 7);
    assert_int_equal(dwal_raft_purge(raft, 9, &dropped), 0);
    assert_int_equal(dropped, 2); /* down to nine */
    assert_int_equal(dwal_raft_purge(raft, 3, &dropped), 0);
    assert_int_equal(dropped, 2); /* down to seven, where those begin that are held */
    assert_int_equal(stats_of(raft).segments, 7);
    dw_raft_kit_close(raft);
}

/* ---- space ---- */

static void E18_volumes_are_made_ahead_and_left_overs_go(void **state)
{
    (void)state;
    dwal_raft *raft = dw_raft_kit_create();
    dw_raft_kit_settle(); /* blanks are ready, and the next volume is claimed */
    dw_raft_kit_save(raft, 1, 1000, 1);
    dw_raft_kit_close(raft);
    dw_shell_good("test -z \"$(ls %s | grep tmp)\"", dw_log_kit_path); /* nothing unfinished stays */
    dw_shell_good("echo unfinished > %s/dwal.tmp.blank", dw_log_kit_path);
    raft = dw_raft_kit_open(0, 0);
    dw_shell_good("test \"$(head -c 10 %s/dwal.tmp.blank 2>/dev/null)\" != unfinished", dw_log_kit_path);
    dw_raft_kit_ready(raft);
    dw_raft_kit_close(raft);
}

/* A log on a simulated disk that has room for few volumes; its workers are stepped by hand. */
static dwal_raft *create_on_small_disk(struct dw_disk **disk)
{
    static const uint8_t log_id[16] = {7};
    static struct dwal_options options;
    struct dwal_raft_options raft_options = DWAL_RAFT_OPTIONS_INIT;
    dwal *log;
    dwal_raft *raft;
    dw_crash_options(&options);
    options.volume_size = 64 << 10;
    options.ring_size = 64 << 10;
    options.blanks = 1;
    options.backend = "sync";
    raft_options.log = &options;
    *disk = dw_crash_disk(&(struct dw_sim_options){.capacity = 8 * (64 << 10), .is_history_off = true});
    assert_int_equal(dw_log_create_on(*disk, &dw_crash_clock, log_id, 0x87654321u, &options), 0);
    struct dw_log_setup setup = {
        .disk = *disk, .clock = &dw_crash_clock, .is_disk_borrowed = true, .is_single_stepped = true};
    assert_int_equal(dw_log_open_on(&setup, &options, &log), 0);
    assert_int_equal(dw_raft_create_on(log, "m", 1, &raft_options, &raft), 0);
    return raft;
}

static int save_stepped(dwal_raft *raft, uint64_t index)
{
    static char data[2000];
    struct dwal_raft_entry entry = {.index = index, .term = 1, .data = data, .size = sizeof data};
    int result = DWAL_EFULL;
    for (int i = 0; i < 1000 && result == DWAL_EFULL; i++) {
        result = dwal_raft_save(raft, NULL, &entry, 1);
        (void)dw_log_step_maker(dwal_raft_log(raft));
        (void)dw_log_step_flusher(dwal_raft_log(raft));
    }
    return result;
}

static void E18_no_space_is_told_to_the_save_and_a_release_mends_it(void **state)
{
    (void)state;
    struct dw_disk *disk;
    dwal_raft *raft = create_on_small_disk(&disk);
    uint64_t index = 1;
    int result = 0;
    for (; index < 1000 && result == 0; index++) {
        result = save_stepped(raft, index);
        if (index % 20 == 0 && result == 0)
            (void)dwal_raft_cut(raft);
    }
    assert_int_equal(result, DWAL_ENOSPACE);
    uint64_t last = stats_of(raft).last_index;
    assert_int_equal(last, index - 2); /* what was refused is not saved */
    assert_int_equal(save_stepped(raft, last + 1), DWAL_ENOSPACE);
    assert_int_equal(dwal_raft_release(raft, last), 0);
    for (int i = 0; i < 1000; i++)
        (void)dw_log_step_maker(dwal_raft_log(raft));
    for (uint64_t more = 1; more <= 20; more++)
        assert_int_equal(save_stepped(raft, last + more), 0);
    dw_raft_kit_close(raft);
    disk->ops->close(disk);
}

/* ---- threads ---- */

static void *use_the_log(void *context)
{
    dwal_raft *raft = context;
    for (uint64_t i = 1; i <= 60; i++) {
        struct dwal_raft_state hard = {i, 1, 0};
        struct dwal_raft_snapshot snapshot = {.index = i, .term = 1, .members = "m", .members_size = 1};
        assert_int_equal(dwal_raft_save(raft, &hard, NULL, 0), 0);
        assert_int_equal(dwal_raft_save_snapshot(raft, &snapshot), 0);
        (void)stats_of(raft);
        if (i % 10 == 0) {
            assert_int_equal(dwal_raft_cut(raft), 0);
            assert_int_equal(dwal_raft_release(raft, i), 0);
            assert_int_equal(dwal_raft_sync(raft), 0);
        }
    }
    return NULL;
}

static void E26_every_call_may_come_from_any_thread(void **state)
{
    (void)state;
    pthread_t threads[4];
    dwal_raft *raft = dw_raft_kit_create();
    for (int i = 0; i < 4; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, use_the_log, raft), 0);
    for (int i = 0; i < 4; i++)
        pthread_join(threads[i], NULL);
    struct dwal_raft_stats stats = stats_of(raft);
    assert_int_equal(stats.snapshots, 240);
    assert_int_equal(stats.states, 240);
    assert_int_equal(stats.cuts, 24);
    assert_int_equal(stats.last_index, 60);
    dw_raft_kit_close(raft);
    raft = dw_raft_kit_open(60, 1);
    dw_raft_kit_ready(raft);
    dw_raft_kit_close(raft);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        DW_RAFT_KIT_TEST(E20_release_keeps_the_largest_segment_below_the_index),
        DW_RAFT_KIT_TEST(E20_what_is_released_gives_its_volumes_back),
        DW_RAFT_KIT_TEST(E21_purge_drops_the_oldest_beyond_a_number_and_stops_at_what_is_held),
        DW_RAFT_KIT_TEST(E18_volumes_are_made_ahead_and_left_overs_go),
        DW_RAFT_KIT_TEST(E18_no_space_is_told_to_the_save_and_a_release_mends_it),
        DW_RAFT_KIT_TEST(E26_every_call_may_come_from_any_thread),
    };
    return DW_LOG_KIT_RUN(tests);
}
