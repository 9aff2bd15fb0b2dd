/* test_indexed_reopen.c - what an indexed log says when it is opened again: after a clean end, a crash, damage, a full disk.
 *
 * Crashes are abandoned handles on a simulated disk, or files as a crash left them; all states of a crash are the affair of
 * test_indexed_model.c. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "io/sim.h"
#include "tests/lib/indexed_bench.h"
#include "tests/lib/indexed_model.h"
#include "tests/lib/io_fault.h"

static void file_name(char *name, size_t size, const char *file)
{
    snprintf(name, size, "%s/%s", dw_log_kit_path, file);
}

static void overwrite(const char *file, off_t offset, size_t size)
{
    char name[sizeof dw_log_kit_path + 64];
    static const char zeros[8192];
    file_name(name, sizeof name, file);
    int fd = open(name, O_WRONLY);
    assert_true(fd >= 0 && size <= sizeof zeros);
    assert_int_equal(pwrite(fd, zeros, size, offset), size);
    close(fd);
}

/* ---- R1 to R5 ---- */

static void R1_open_needs_a_log_and_sweeps_leftovers(void **state)
{
    (void)state;
    char name[sizeof dw_log_kit_path + 64];
    dwal_indexed *log;
    assert_int_equal(dwal_indexed_open(dw_log_kit_path, NULL, &log), DWAL_ENOLOG);
    log = dw_indexed_kit_create();
    dw_indexed_kit_store(log, 1, 500, 0, 50);
    dw_indexed_kit_close(log);
    file_name(name, sizeof name, "0000000099.vol"); /* never claimed: of a claim that a crash interrupted */
    int fd = open(name, O_WRONLY | O_CREAT, 0600);
    assert_true(fd >= 0);
    assert_int_equal(ftruncate(fd, 256 << 10), 0);
    close(fd);
    log = dw_indexed_kit_open();
    dw_indexed_kit_expect_all(log, 1, 500, 0, 0);
    struct stat about;
    assert_int_equal(stat(name, &about), -1);
    dw_indexed_kit_close(log);
}

/* In the original an unsealed segment before the tail ends the open. Here a table is a shortcut: without it the volume is
 * scanned, and everything is there. */
static void R2_a_volume_that_lost_its_table_is_scanned(void **state)
{
    (void)state;
    dwal_indexed *log = dw_indexed_kit_create();
    dw_indexed_kit_store(log, 1, 2900, 0, 100); /* the last volume has room for what a close writes */
    dw_indexed_kit_close(log);
    log = dw_indexed_kit_open();
    assert_int_equal(dw_indexed_kit_stats(log).records_scanned, 0);
    dw_indexed_kit_close(log);
    overwrite("0000000002.vol", (256 << 10) - 4096, 4096);
    log = dw_indexed_kit_open();
    assert_in_range(dw_indexed_kit_stats(log).records_scanned, 100, 2000); /* that one, and not all */
    dw_indexed_kit_expect_all(log, 1, 2900, 0, 0);
    dw_indexed_kit_store(log, 2901, 3500, 0, 100);
    dw_indexed_kit_close(log);
    log = dw_indexed_kit_open();
    dw_indexed_kit_expect_all(log, 1, 3500, 0, 0);
    dw_indexed_kit_close(log);
}

/* The original makes an empty tail, whether or not the lost one held acknowledged entries. */
static void R3_a_lost_tail_is_refused_and_not_replaced_by_an_empty_one(void **state)
{
    (void)state;
    char name[sizeof dw_log_kit_path + 64];
    dwal_indexed *log = dw_indexed_kit_create();
    dw_indexed_kit_store(log, 1, 1500, 0, 100);
    uint32_t tail = dw_indexed_kit_base()->blanks;
    struct dwal_volume volume = {.size = sizeof volume};
    uint64_t durable = dwal_durable(dwal_indexed_base(log));
    for (uint32_t number = 0; dwal_volume_from(dwal_indexed_base(log), number, &volume) == 0;
         number = volume.number + 1)
        if (volume.begin < durable)
            tail = volume.number;
    dw_indexed_kit_close(log);
    snprintf(name, sizeof name, "%s/%010u.vol", dw_log_kit_path, tail);
    assert_int_equal(unlink(name), 0);
    assert_int_equal(dwal_indexed_open(dw_log_kit_path, NULL, &log), DWAL_ELOST);
    assert_null(log);
}

static void R4_a_damaged_head_of_a_volume_is_refused(void **state)
{
    (void)state;
    dwal_indexed *log = dw_indexed_kit_create();
    dw_indexed_kit_store(log, 1, 1500, 0, 100);
    dw_indexed_kit_close(log);
    overwrite("0000000001.vol", 0, 4096); /* one copy is enough */
    log = dw_indexed_kit_open();
    dw_indexed_kit_expect_all(log, 1, 1500, 0, 0);
    dw_indexed_kit_close(log);
    overwrite("0000000001.vol", 0, 8192);
    assert_int_equal(dwal_indexed_open(dw_log_kit_path, NULL, &log), DWAL_ECORRUPT);
}

static void R5_an_empty_log_begins_anywhere_and_numbers_are_never_used_again(void **state)
{
    (void)state;
    struct dw_indexed_bench bench;
    dw_indexed_bench_create(&bench, dw_indexed_bench_sim());
    uint32_t highest = 0;
    uint64_t index = 1;
    for (int round = 0; round < 5; round++) {
        dw_indexed_kit_store(bench.log, index, index + 5, 0, 3);
        struct dwal_volume volume = {.size = sizeof volume};
        uint64_t lsn = dwal_durable(bench.base) - 1;
        uint32_t newest = 0;
        for (uint32_t number = 0; dwal_volume_from(bench.base, number, &volume) == 0 && volume.begin <= lsn;
             number = volume.number + 1)
            newest = volume.number;
        assert_true(newest >= highest);
        highest = newest;
        uint64_t end;
        struct dwal_indexed_entry entry = {.index = index + 6, .data = "never durable", .size = 13};
        assert_int_equal(dwal_indexed_append(bench.log, &entry, 1, &end), 0);
        dw_indexed_bench_crash(&bench);
        dw_indexed_bench_open(&bench);
        dw_indexed_kit_expect_all(bench.log, index, index + 5, 0, 0);
        assert_int_equal(dwal_indexed_reset(bench.log), 0);
        index += 100;
    }
    dw_indexed_kit_close(bench.log);
    bench.disk->ops->close(bench.disk);
}

/* ---- R8 to R12 ---- */

static void R8_a_flipped_bit_is_told_with_its_place(void **state)
{
    (void)state;
    uint8_t buffer[DW_INDEXED_KIT_SIZE_MAX];
    struct dwal_indexed_record record;
    dwal_indexed *log = dw_indexed_kit_create();
    dw_indexed_kit_store(log, 1, 2000, 0, 100);
    assert_int_equal(dwal_indexed_get(log, 20, buffer, sizeof buffer, &record), 0);
    uint64_t block = record.lsn / 4036;
    char name[sizeof dw_log_kit_path + 64];
    file_name(name, sizeof name, "0000000000.vol");
    int fd = open(name, O_RDWR);
    uint8_t byte;
    off_t at = (off_t)((2 + block) * 4096 + 32 + 28 + 40); /* inside a record of that block */
    assert_int_equal(pread(fd, &byte, 1, at), 1);
    byte ^= 4;
    assert_int_equal(pwrite(fd, &byte, 1, at), 1);
    close(fd);
    uint32_t damaged = 0;
    for (uint64_t index = 1; index <= 100; index++)
        if (dwal_indexed_get(log, index, buffer, sizeof buffer, &record) < 0) {
            damaged++;
            assert_int_equal(dwal_last_error()->code, DWAL_ECORRUPT);
            assert_int_equal(dwal_last_error()->volume, 0);
            assert_true(dwal_last_error()->lsn != DWAL_NO_LSN);
        }
    assert_in_range(damaged, 1, 12); /* those whose way leads over it, and no others */
    dw_indexed_kit_expect(log, 1500, 0);
    assert_int_equal(dwal_indexed_close(log), 0);
}

static void R9_what_was_not_acknowledged_is_kept_or_dropped_whole(void **state)
{
    (void)state;
    struct dw_indexed_model_counts counts;
    dw_indexed_model_run(909, 20000, &counts); /* batches, truncations, values; crashes at any event */
    assert_true(counts.crashes > 100 && counts.unacked_lost > 0 && counts.unacked_kept > 0);
}

/* Open what a crash at `event` left and read all that it says it has. Returns the last index. */
static uint64_t last_after_crash(struct dw_disk *disk, uint64_t event, uint64_t seed)
{
    struct dw_sim_crash *walker;
    struct dw_indexed_bench bench = {0};
    assert_int_equal(dw_sim_crash_create(disk, &(struct dw_sim_crash_options){0}, &walker), 0);
    assert_int_equal(dw_sim_crash_seek(walker, event), 0);
    uint32_t *picks = calloc(dw_sim_crash_choice_count(walker) + 1, sizeof *picks);
    assert_non_null(picks);
    dw_sim_crash_picks_of_seed(walker, seed, picks);
    assert_int_equal(dw_sim_crash_image(walker, picks, seed, &bench.disk), 0);
    dw_indexed_bench_open(&bench);
    uint64_t first = dwal_indexed_first(bench.log), last = dwal_indexed_last(bench.log);
    assert_int_equal(first, 1);
    for (uint64_t index = first; index <= last; index++)
        dw_indexed_kit_expect(bench.log, index, 0);
    dw_indexed_kit_expect_none(bench.log, last + 1);
    dw_indexed_kit_close(bench.log);
    bench.disk->ops->close(bench.disk);
    free(picks);
    dw_sim_crash_close(walker);
    return last;
}

/* The original's issue 10: after a crash in the middle of an append its last index was one that could not be read. */
static void R9_the_last_index_is_one_that_can_be_read_after_a_crash_in_mid_append(void **state)
{
    (void)state;
    struct dw_indexed_bench bench;
    dw_indexed_bench_create(&bench, dw_indexed_bench_sim());
    dw_indexed_kit_store(bench.log, 1, 10, 0, 5);
    uint64_t before = dw_sim_event_count(bench.disk), torn = 0, whole = 0;
    dw_indexed_kit_store(bench.log, 11, 60, 0, 50); /* one store over several blocks */
    uint64_t after = dw_sim_event_count(bench.disk);
    for (uint64_t event = before; event <= after; event++)
        for (uint64_t seed = 1; seed <= 20; seed++) {
            uint64_t last = last_after_crash(bench.disk, event, seed);
            assert_true(last == 10 || last == 60); /* all of the store or nothing */
            torn += last == 10;
            whole += last == 60;
        }
    assert_true(torn > 0 && whole > 0);
    dw_indexed_kit_close(bench.log);
    bench.disk->ops->close(bench.disk);
}

static void R10_the_limit_of_a_volume_is_none_for_an_entry(void **state)
{
    (void)state;
    size_t size = 900 << 10;
    uint8_t *bytes = malloc(size), *buffer = malloc(size);
    assert_true(bytes && buffer);
    dwal_indexed *log = dw_indexed_kit_create(); /* volumes of 256 KiB */
    struct dwal_indexed_record record;
    for (uint64_t index = 1; index <= 4; index++) {
        memset(bytes, (int)index, size);
        struct dwal_indexed_entry entries[2] = {{2 * index - 1, bytes, size}, {2 * index, "small", 5}};
        assert_int_equal(dwal_indexed_store(log, entries, 2), 0);
    }
    for (int round = 0; round < 2; round++) {
        for (uint64_t index = 1; index <= 4; index++) {
            memset(bytes, (int)index, size);
            assert_int_equal(dwal_indexed_get(log, 2 * index - 1, buffer, size, &record), 0);
            assert_memory_equal(buffer, bytes, size);
            assert_int_equal(dwal_indexed_get(log, 2 * index, buffer, size, &record), 0);
            assert_int_equal(record.size, 5);
        }
        dw_indexed_kit_close(log);
        log = dw_indexed_kit_open();
    }
    dw_indexed_kit_close(log);
    free(bytes);
    free(buffer);
}

/* In the original a crash between the sealing of a segment and the record of it in the meta store leaves a tail that no store
 * gets into any more ("sealed"). */
static void R11_a_volume_that_was_full_at_the_crash_does_not_stop_the_next_store(void **state)
{
    (void)state;
    struct dw_indexed_bench bench;
    dw_indexed_bench_create(&bench, dw_indexed_bench_sim());
    uint64_t index = 1;
    for (int i = 0; i < 1000; i++)
        dw_log_step_maker(bench.base); /* the next volume is claimed ahead */
    while (dw_indexed_bench_volumes(bench.base, true) == 0 &&
           dwal_durable(bench.base) < 63 * 4036) { /* its TOC is the maker's */
        dw_indexed_kit_store(bench.log, index, index, 0, 1);
        index++;
    }
    assert_int_equal(dw_indexed_bench_volumes(bench.base, true), 0);
    dw_indexed_bench_crash(&bench);
    dw_indexed_bench_open(&bench);
    dw_indexed_kit_expect_all(bench.log, 1, index - 1, 0, 0);
    for (int i = 0; i < 1000; i++)
        dw_log_step_maker(bench.base);
    dw_indexed_kit_store(bench.log, index, index + 50, 0, 10);
    dw_indexed_kit_expect_all(bench.log, 1, index + 50, 0, 0);
    dw_indexed_kit_close(bench.log);
    dw_indexed_bench_open(&bench);
    dw_indexed_kit_expect_all(bench.log, 1, index + 50, 0, 0);
    dw_indexed_kit_close(bench.log);
    bench.disk->ops->close(bench.disk);
}

static void R12_a_store_that_fills_a_volume_returns_before_its_table_is_written(void **state)
{
    (void)state;
    struct dw_indexed_bench bench;
    dw_indexed_bench_create(&bench, dw_indexed_bench_sim());
    uint64_t index = 1;
    for (int i = 0; i < 1000; i++)
        dw_log_step_maker(bench.base); /* the next volume is claimed ahead */
    while (dwal_durable(bench.base) < 70 * 4036) {
        dw_indexed_kit_store(bench.log, index, index, 0, 1);
        index++;
    }
    assert_int_equal(dw_indexed_bench_volumes(bench.base, true), 0); /* nobody stepped the maker */
    dw_indexed_kit_expect_all(bench.log, 1, index - 1, 0, 0);
    /* A truncation does not have to wait for the table either. */
    assert_int_equal(dwal_indexed_truncate_back(bench.log, index - 5), 0);
    assert_int_equal(dwal_indexed_truncate_front(bench.log, 3), 0);
    dw_indexed_kit_expect_all(bench.log, 3, index - 5, 0, 0);
    for (int i = 0; i < 1000; i++)
        dw_log_step_maker(bench.base);
    assert_int_equal(dw_indexed_bench_volumes(bench.base, true), 1);
    dw_indexed_kit_close(bench.log);
    bench.disk->ops->close(bench.disk);
}

/* ---- R17, R18 ---- */

static void R17_a_store_that_met_no_space_can_be_repeated(void **state)
{
    (void)state;
    struct dw_disk *disk;
    assert_int_equal(dw_sim_open(&(struct dw_sim_options){.capacity = 2 << 20, .is_history_off = true}, &disk), 0);
    struct dw_indexed_bench bench;
    dw_indexed_bench_create(&bench, disk);
    uint8_t bytes[DW_INDEXED_KIT_SIZE_MAX];
    uint64_t index = 1;
    int result = 0;
    for (int steps = 0; result != DWAL_ENOSPACE && steps < 1000000;) {
        struct dwal_indexed_entry entry = {
            .index = index, .data = bytes, .size = dw_indexed_kit_bytes(index, 0, bytes)};
        result = dwal_indexed_store(bench.log, &entry, 1);
        index += result == 0;
        for (int i = 0; result == DWAL_EFULL && i < 10; i++, steps++)
            dw_log_step_maker(bench.base);
        assert_true(result == 0 || result == DWAL_EFULL || result == DWAL_ENOSPACE);
    }
    assert_int_equal(result, DWAL_ENOSPACE);
    dw_indexed_kit_expect_all(bench.log, 1, index - 1, 0, 0);
    /* The front goes away though there is no space for a record that says so, and then the same store succeeds. */
    for (int i = 0; i < 100 && (result = dwal_indexed_truncate_front(bench.log, index - 100)) != 0; i++)
        for (int step = 0; step < 100; step++)
            dw_log_step_maker(bench.base);
    assert_int_equal(result, 0);
    for (int step = 0; step < 1000; step++)
        dw_log_step_maker(bench.base);
    dw_indexed_kit_store(bench.log, index, index + 20, 0, 1);
    dw_indexed_kit_expect_all(bench.log, index - 100, index + 20, 0, 0);
    dw_indexed_kit_close(bench.log);
    dw_indexed_bench_open(&bench);
    dw_indexed_kit_expect_all(bench.log, index - 100, index + 20, 0, 0);
    dw_indexed_kit_close(bench.log);
    disk->ops->close(disk);
}

/* The original (and its fork more so) may write on after a failed sync. */
static void R17_after_a_failed_write_nothing_more_is_acknowledged(void **state)
{
    (void)state;
    struct dw_indexed_bench bench;
    struct dw_disk *inner = dw_indexed_bench_sim(), *disk;
    assert_int_equal(dw_fault_open(inner, true, &disk), 0);
    dw_indexed_bench_create(&bench, disk);
    dw_indexed_kit_store(bench.log, 1, 10, 0, 5);
    dw_fault_add(disk, &(struct dw_fault_rule){.kinds = DW_FAULT_ANY_WRITE, .at = 1, .error = -EIO});
    struct dwal_indexed_entry entry = {.index = 11, .data = "x", .size = 1};
    assert_int_equal(dwal_indexed_store(bench.log, &entry, 1), DWAL_EFAILED);
    dw_indexed_kit_expect_all(bench.log, 1, 10, 0, 0); /* and what was acknowledged can be read */
    entry.index = 12;
    assert_int_equal(dwal_indexed_store(bench.log, &entry, 1), DWAL_EFAILED);
    assert_int_equal(dwal_indexed_truncate_back(bench.log, 5), DWAL_EFAILED);
    assert_int_equal(dwal_indexed_truncate_front(bench.log, 5), DWAL_EFAILED);
    assert_int_equal(dwal_indexed_set_u64(bench.log, "k", 1, 1), DWAL_EFAILED);
    dw_indexed_kit_expect_all(bench.log, 1, 10, 0, 0);
    assert_int_equal(dwal_indexed_close(bench.log), DWAL_EFAILED);
    dw_fault_clear(disk);
    dw_indexed_bench_open(&bench);
    assert_in_range(dwal_indexed_last(bench.log), 10, 11);
    dw_indexed_kit_expect(bench.log, 10, 0);
    dw_indexed_kit_close(bench.log);
    disk->ops->close(disk);
}

/* At every acknowledgement all names that were made or changed so far are durable. */
static void R18_names_are_durable_before_the_first_acknowledgement_in_a_volume(void **state)
{
    (void)state;
    struct dw_indexed_bench bench;
    dw_indexed_bench_create(&bench, dw_indexed_bench_sim());
    uint64_t checked = 0, next_event = 0, unsynced = 0;
    for (uint64_t index = 1; index < 1500; index++) {
        dw_indexed_kit_store(bench.log, index, index, 0, 1);
        for (uint64_t end = dw_sim_event_count(bench.disk); next_event < end; next_event++) {
            const struct dw_sim_event *event = dw_sim_event_at(bench.disk, next_event);
            bool is_volume = event->other_name && strstr(event->other_name, ".vol");
            if (event->kind == DW_SIM_RENAME && is_volume)
                unsynced++;
            if (event->kind == DW_SIM_SYNC_NAMES)
                unsynced = 0;
        }
        assert_int_equal(unsynced, 0);
        checked++;
        for (int i = 0; i < 3; i++)
            dw_log_step_maker(bench.base);
    }
    assert_true(checked > 1000);
    dw_indexed_kit_close(bench.log);
    bench.disk->ops->close(bench.disk);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        DW_LOG_KIT_TEST(R1_open_needs_a_log_and_sweeps_leftovers),
        DW_LOG_KIT_TEST(R2_a_volume_that_lost_its_table_is_scanned),
        DW_LOG_KIT_TEST(R3_a_lost_tail_is_refused_and_not_replaced_by_an_empty_one),
        DW_LOG_KIT_TEST(R4_a_damaged_head_of_a_volume_is_refused),
        DW_LOG_KIT_TEST(R5_an_empty_log_begins_anywhere_and_numbers_are_never_used_again),
        DW_LOG_KIT_TEST(R8_a_flipped_bit_is_told_with_its_place),
        DW_LOG_KIT_TEST(R9_what_was_not_acknowledged_is_kept_or_dropped_whole),
        DW_LOG_KIT_TEST(R9_the_last_index_is_one_that_can_be_read_after_a_crash_in_mid_append),
        DW_LOG_KIT_TEST(R10_the_limit_of_a_volume_is_none_for_an_entry),
        DW_LOG_KIT_TEST(R11_a_volume_that_was_full_at_the_crash_does_not_stop_the_next_store),
        DW_LOG_KIT_TEST(R12_a_store_that_fills_a_volume_returns_before_its_table_is_written),
        DW_LOG_KIT_TEST(R17_a_store_that_met_no_space_can_be_repeated),
        DW_LOG_KIT_TEST(R17_after_a_failed_write_nothing_more_is_acknowledged),
        DW_LOG_KIT_TEST(R18_names_are_durable_before_the_first_acknowledgement_in_a_volume),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
