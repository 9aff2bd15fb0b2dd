/* test_indexed_cut.c - opening an indexed log with volumes that a crash left without a table, or cut short. */
#include <inttypes.h>

#include "tests/lib/crash_disk.h"
#include "tests/lib/indexed_bench.h"
#include "tests/lib/io_fault.h"

/* A log that was closed clean, went on in the same volume and in the next one, and crashed before the first one had its table:
 * what is known of that one is of the close before. Returns the last index. */
static uint64_t leave_a_volume_without_table(struct dw_indexed_bench *bench, struct dw_disk *disk)
{
    dw_indexed_bench_create(bench, disk);
    dw_indexed_bench_store(bench, 1, 200);
    dw_indexed_kit_close(bench->log); /* an index and a state are its last records */
    dw_indexed_bench_open(bench);
    dw_indexed_bench_pump(bench); /* the next volume is claimed */
    uint64_t last = 200;
    for (; dw_indexed_volume_of(bench->log, dwal_end(bench->base)) == 0; last += 7)
        dw_indexed_bench_store(bench, last + 1, last + 7);
    assert_int_equal(dw_indexed_bench_volumes(bench->base, true), 0);
    return last;
}

static void a_volume_before_the_trim_point_is_passed_over(void **state)
{
    (void)state;
    struct dw_indexed_bench bench;
    (void)leave_a_volume_without_table(&bench, dw_indexed_bench_sim());
    assert_int_equal(dwal_indexed_reset(bench.log), 0);
    assert_int_equal(dw_indexed_volume_of(bench.log, dwal_first(bench.base)), 1); /* and volume 0 is still there */
    dw_indexed_bench_crash(&bench);
    dw_indexed_bench_open(&bench);
    dw_indexed_kit_close(bench.log);
    dw_indexed_bench_open(&bench);
    dw_indexed_kit_expect_all(bench.log, 0, 0, 0, 0);
    dw_indexed_bench_store(&bench, 7, 9);
    dw_indexed_kit_expect_all(bench.log, 7, 9, 0, 0);
    dw_indexed_kit_close(bench.log);
    bench.disk->ops->close(bench.disk);
}

/* What an open cost: calls of read of the device, and records looked at. */
struct cost {
    uint64_t reads, scanned;
};

static struct cost open_and_count(struct dw_indexed_bench *bench)
{
    uint64_t before = dw_fault_count(bench->disk, DW_FAULT_READ);
    dw_indexed_bench_open(bench);
    return (struct cost){.reads = dw_fault_count(bench->disk, DW_FAULT_READ) - before,
                         .scanned = dw_indexed_kit_stats(bench->log).records_scanned};
}

static struct dw_disk *counting_sim(void)
{
    struct dw_disk *disk;
    assert_int_equal(dw_fault_open(dw_indexed_bench_sim(), true, &disk), 0);
    return disk;
}

/* The same entries, and nothing ever went wrong. */
static struct cost cost_of_a_clean_open(uint64_t last)
{
    struct dw_indexed_bench bench;
    dw_indexed_bench_create(&bench, counting_sim());
    for (uint64_t index = 1; index <= last; index += 7) {
        dw_indexed_bench_store(&bench, index, index + 6 < last ? index + 6 : last);
        dw_indexed_bench_pump(&bench);
    }
    dw_indexed_kit_close(bench.log);
    struct cost cost = open_and_count(&bench);
    dw_indexed_kit_close(bench.log);
    bench.disk->ops->close(bench.disk);
    return cost;
}

static void the_second_open_after_a_crash_costs_what_a_clean_one_does(void **state)
{
    (void)state;
    struct dw_indexed_bench bench;
    uint64_t last = leave_a_volume_without_table(&bench, counting_sim());
    struct cost clean = cost_of_a_clean_open(last);
    dw_indexed_bench_crash(&bench);
    struct cost first = open_and_count(&bench);
    dw_indexed_kit_expect_all(bench.log, 1, last, 0, 0);
    dw_indexed_kit_close(bench.log);
    struct cost second = open_and_count(&bench);
    dw_indexed_kit_expect_all(bench.log, 1, last, 0, 0);
    assert_int_equal(dwal_indexed_truncate_back(bench.log, last - 3), 0);
    assert_int_equal(dwal_indexed_truncate_front(bench.log, 5), 0);
    dw_indexed_kit_close(bench.log);
    struct cost third = open_and_count(&bench);
    dw_indexed_kit_expect_all(bench.log, 5, last - 3, 0, 0);
    print_message("reads and records scanned: clean %" PRIu64 ", %" PRIu64 "; after the crash %" PRIu64 ", %" PRIu64
                  "; then %" PRIu64 ", %" PRIu64 "; then %" PRIu64 ", %" PRIu64 "\n",
                  clean.reads, clean.scanned, first.reads, first.scanned, second.reads, second.scanned, third.reads,
                  third.scanned);
    assert_true(first.scanned > 300);
    assert_true(clean.scanned <= 2);
    assert_int_equal(second.scanned, 0);
    assert_int_equal(third.scanned, 0);
    assert_true(second.reads <= clean.reads + 4 && third.reads <= clean.reads + 4);
    dw_indexed_kit_close(bench.log);
    bench.disk->ops->close(bench.disk);
}

static void a_crash_after_a_crash_scans_the_newest_volume_alone(void **state)
{
    (void)state;
    struct dw_indexed_bench bench;
    uint64_t last = leave_a_volume_without_table(&bench, counting_sim());
    for (int crashes = 0; crashes < 3; crashes++) {
        dw_indexed_bench_crash(&bench);
        struct cost cost = open_and_count(&bench);
        assert_true(crashes == 0 ? cost.scanned > 300 : cost.scanned < 60);
        dw_indexed_bench_store(&bench, last + 1, last + 3);
        last += 3;
        dw_indexed_kit_expect_all(bench.log, 1, last, 0, 0);
    }
    dw_indexed_kit_close(bench.log);
    struct cost cost = open_and_count(&bench);
    assert_int_equal(cost.scanned, 0);
    dw_indexed_kit_expect_all(bench.log, 1, last, 0, 0);
    dw_indexed_kit_close(bench.log);
    bench.disk->ops->close(bench.disk);
}

/* Open what a power cut may leave of writes under way, again and again; true: a volume was cut by it. */
static bool open_after_power_cut(struct dw_sim_crash *crash, uint64_t event, uint64_t seed, uint64_t least)
{
    struct dw_indexed_bench bench = {.disk = dw_crash_image(crash, event, seed, true)};
    struct dwal_volume volume = {.size = sizeof volume};
    dw_indexed_bench_open(&bench);
    uint64_t last = dwal_indexed_last(bench.log);
    assert_true(last >= least);
    dw_indexed_bench_store(&bench, last + 1, last + 2);
    dw_indexed_kit_close(bench.log);
    dw_indexed_bench_open(&bench);
    dw_indexed_kit_expect_all(bench.log, 1, last + 2, 0, 0);
    assert_int_equal(dw_indexed_kit_stats(bench.log).records_scanned, 0);
    assert_int_equal(dwal_volume_from(bench.base, 0, &volume), 0);
    bool is_cut = volume.end < bench.log->volume_span;
    dw_indexed_kit_close(bench.log);
    dw_crash_drop(bench.disk);
    return is_cut;
}

static void a_volume_that_was_cut_is_scanned_once(void **state)
{
    (void)state;
    struct dw_indexed_bench bench;
    uint8_t bytes[DW_INDEXED_KIT_SIZE_MAX];
    struct dw_sim_crash *crash;
    uint32_t cuts = 0;
    uint64_t end;
    dw_indexed_bench_create(&bench, dw_crash_disk(&(struct dw_sim_options){.seed = 3}));
    dw_indexed_bench_store(&bench, 1, 150);
    for (uint64_t index = 151; index < 250; index++) {
        struct dwal_indexed_entry entry = {
            .index = index, .data = bytes, .size = dw_indexed_kit_bytes(index, 0, bytes)};
        assert_int_equal(dwal_indexed_append(bench.log, &entry, 1, NULL), 0);
    }
    uint64_t before = dw_sim_event_count(bench.disk);
    assert_int_equal(dwal_indexed_append(bench.log, NULL, 0, &end), 0);
    assert_int_equal(dwal_indexed_sync(bench.log, end), 0);
    uint64_t after = dw_sim_event_count(bench.disk);
    dw_indexed_bench_crash(&bench);
    assert_int_equal(dw_sim_crash_create(bench.disk, NULL, &crash), 0);
    for (uint64_t event = before; event <= after; event++)
        for (uint64_t seed = 0; seed < 6; seed++)
            cuts += open_after_power_cut(crash, event, seed, 150);
    print_message("%u of %" PRIu64 " power cuts cut the volume\n", cuts, 6 * (after - before + 1));
    assert_true(cuts > 0);
    dw_sim_crash_close(crash);
    dw_crash_drop(bench.disk);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        DW_LOG_KIT_TEST(a_volume_before_the_trim_point_is_passed_over),
        DW_LOG_KIT_TEST(the_second_open_after_a_crash_costs_what_a_clean_one_does),
        DW_LOG_KIT_TEST(a_crash_after_a_crash_scans_the_newest_volume_alone),
        DW_LOG_KIT_TEST(a_volume_that_was_cut_is_scanned_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
