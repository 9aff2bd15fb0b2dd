/* test_store_manners.c - what the maker does to commits beside it: the pace of filling, and the quiet while a volume begins. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "io/sim.h"
#include "tests/lib/io_fault.h"
#include "tests/lib/store_kit.h"

static struct dw_disk *disk;
static struct dw_kit kit;

static void finish(void)
{
    dw_kit_abandon(&kit);
    disk->ops->close(disk);
}

/* ---- pace ---- */

enum { MIB = 1 << 20, PACE_VOLUME = 4 * MIB };

static uint32_t wanted_blanks; /* 0: as the kit has them */

static void start_paced(void)
{
    struct dw_sim_options options = {.is_history_off = true};
    struct dw_disk *sim;
    assert_int_equal(dw_sim_open(&options, &sim), 0);
    assert_int_equal(dw_fault_open(sim, true, &disk), 0);
    dw_kit_init(&kit, disk, 0);
    const char *why;
    assert_int_equal(dw_geometry_init(&kit.create.geometry, 4096, 512, PACE_VOLUME, 0, &why), 0);
    kit.options.fill_bytes_per_second = 64 * MIB;
    if (wanted_blanks > 0)
        kit.create.blanks = wanted_blanks;
    assert_int_equal(dw_kit_create(&kit), 0);
    assert_int_equal(dw_kit_start(&kit), 0);
    uint64_t wait_ns;
    while (!dw_store_next(kit.store)) { /* nothing is ready: full speed */
        assert_int_equal(dw_store_step(kit.store, &wait_ns), DW_STEP_WORKED);
        assert_int_equal(wait_ns, 0);
    }
}

/* Step until there are `wanted` blanks; each step `blocks` more are durable. Answers the writes. */
static uint64_t make_blanks(uint32_t wanted, uint64_t blocks)
{
    uint64_t writes = dw_fault_count(disk, DW_FAULT_WRITE), wait_ns;
    while (dw_kit_counts(&kit).blanks_ready < wanted) {
        uint64_t before = dw_fault_count(disk, DW_FAULT_WRITE);
        kit.durable_block += blocks;
        if (dw_store_step(kit.store, &wait_ns) == DW_STEP_IDLE) {
            assert_true(wait_ns > 0 && wait_ns <= 1000000000 / 64 + 1);
            kit.now_ns += wait_ns;
        }
        assert_true(dw_fault_count(disk, DW_FAULT_WRITE) - before <= 1); /* at most one chunk a step */
    }
    return dw_fault_count(disk, DW_FAULT_WRITE) - writes;
}

static void filling_beside_commits_keeps_its_pace_in_small_chunks(void **state)
{
    (void)state;
    start_paced();
    kit.now_ns += 100000000;
    (void)make_blanks(1, 0);
    kit.durable_block = kit.create.geometry.data_blocks - 130; /* nearly full when the blank is made */
    uint64_t begun = kit.now_ns;
    assert_int_equal(make_blanks(2, 1), PACE_VOLUME / (64 << 10));
    uint64_t took = kit.now_ns - begun;
    /* The megabyte that went before at full speed is waited for, too. */
    assert_true(took >= 1000000000ull * 9 / 128 && took <= 1000000000ull * 11 / 128);
    finish();
}

/* Step for 15 ms, the log not idle and yet going nowhere: what is filled then? */
static uint64_t filled_by_now(void)
{
    uint64_t writes = dw_fault_count(disk, DW_FAULT_WRITE), wait_ns;
    for (uint64_t end = kit.now_ns + 15000000; kit.now_ns < end;) {
        if (dw_store_step(kit.store, &wait_ns) != DW_STEP_WORKED)
            kit.now_ns += dw_min_u64(wait_ns, 1000000);
    }
    return (dw_fault_count(disk, DW_FAULT_WRITE) - writes) * (64 << 10);
}

static void a_slow_log_is_filled_as_slowly(void **state)
{
    (void)state;
    start_paced();
    kit.now_ns += 100000000;
    (void)make_blanks(1, 0);
    kit.now_ns += 100000000; /* so that the pace is none */
    uint64_t wait_ns, filled = 0, blocks = kit.create.geometry.data_blocks;
    (void)dw_store_step(kit.store, &wait_ns); /* the log was idle: one piece at full speed */
    for (uint64_t part = 1; part <= 8; part++) {
        kit.durable_block = blocks * part / 16;
        filled += filled_by_now();
        uint64_t used = PACE_VOLUME / 16 * part;
        assert_in_range(filled, used > MIB ? used - MIB : 0, used + (64 << 10));
    }
    assert_true(filled > 0);
    assert_int_equal(dw_kit_counts(&kit).blanks_ready, 1);
    finish();
}

static void one_blank_of_four_may_be_missing(void **state)
{
    (void)state;
    wanted_blanks = 4;
    start_paced();
    wanted_blanks = 0;
    kit.now_ns += 100000000;
    (void)make_blanks(3, 0);
    kit.durable_block = kit.create.geometry.data_blocks / 2;
    assert_int_equal(filled_by_now(), 0);
    kit.now_ns += 100000000;
    (void)make_blanks(4, 0); /* an idle log has them all */
    finish();
}

static void filling_of_an_idle_log_runs_at_full_speed_in_large_chunks(void **state)
{
    (void)state;
    start_paced();
    kit.now_ns += 100000000; /* nothing has become durable for a while */
    uint64_t begun = kit.now_ns;
    assert_int_equal(make_blanks(2, 0), 2 * PACE_VOLUME / MIB);
    assert_int_equal(kit.now_ns, begun);
    finish();
}

static void a_log_that_outruns_the_pace_is_filled_as_fast_as_it_is_used(void **state)
{
    (void)state;
    start_paced();
    kit.durable_block = kit.create.geometry.data_blocks / 2;
    uint64_t begun = kit.now_ns, volume = PACE_VOLUME, piece = 256 << 10;
    /* Half of the head is written and no blank is begun: half a blank without a pause, in longer pieces. */
    uint64_t writes = dw_fault_count(disk, DW_FAULT_WRITE), wait_ns;
    do
        kit.durable_block++;
    while (dw_store_step(kit.store, &wait_ns) == DW_STEP_WORKED);
    uint64_t done = dw_fault_count(disk, DW_FAULT_WRITE) - writes;
    assert_true(done >= volume / 2 / piece && done <= volume / 2 / piece + 1);
    assert_int_equal(kit.now_ns, begun);
    assert_true(wait_ns > 0 && wait_ns <= 10000000); /* then the pace again, but not without looking now and then */
    finish();
}

/* ---- crossing ---- */

/* Fill the head, let the flusher move on, and step: the claim that is due comes only after `quiet_ns`. */
static void cross_and_expect_quiet(uint64_t quiet_ns)
{
    uint32_t claimed = dw_store_superblock(kit.store)->claimed;
    uint64_t wait_ns;
    assert_int_equal(dw_kit_fill(&kit, 0, kit.create.geometry.data_blocks, 3), 0);
    dw_store_advance(kit.store);
    uint64_t io = dw_fault_count(disk, DW_FAULT_ANY);
    assert_int_equal(dw_store_step(kit.store, &wait_ns), DW_STEP_IDLE);
    assert_int_equal(wait_ns, quiet_ns);
    kit.now_ns += quiet_ns - 1;
    assert_int_equal(dw_store_step(kit.store, &wait_ns), DW_STEP_IDLE);
    assert_int_equal(wait_ns, 1);
    assert_int_equal(dw_fault_count(disk, DW_FAULT_ANY), io);
    kit.now_ns += 1;
    assert_int_equal(dw_store_step(kit.store, &wait_ns), DW_STEP_WORKED);
    assert_int_equal(dw_store_superblock(kit.store)->claimed, claimed + 1);
    dw_kit_settle_down(&kit);
}

static void start_with_crossings(void)
{
    struct dw_disk *sim;
    assert_int_equal(dw_sim_open(NULL, &sim), 0);
    assert_int_equal(dw_fault_open(sim, true, &disk), 0);
    dw_kit_init(&kit, disk, 0);
    kit.options.crossing_ns = 2000000;
    assert_int_equal(dw_kit_create(&kit), 0);
    assert_int_equal(dw_kit_start(&kit), 0);
    dw_kit_settle_down(&kit);
    kit.now_ns += 1000000000;
}

static void commits_that_begin_a_volume_have_the_device_to_themselves(void **state)
{
    (void)state;
    start_with_crossings();
    cross_and_expect_quiet(2000000);
    kit.now_ns += 1600000;
    cross_and_expect_quiet((1600000 + 2000000) / 16); /* short-lived volumes are left alone for less */
    finish();
}

static void demand_ends_the_quiet_of_a_crossing(void **state)
{
    (void)state;
    start_with_crossings();
    assert_int_equal(dw_kit_fill(&kit, 0, kit.create.geometry.data_blocks, 3), 0);
    dw_store_advance(kit.store);
    uint64_t wait_ns;
    assert_int_equal(dw_store_step(kit.store, &wait_ns), DW_STEP_IDLE);
    dw_store_demand(kit.store, dw_store_space(kit.store) + 1);
    assert_int_equal(dw_store_step(kit.store, &wait_ns), DW_STEP_WORKED);
    assert_non_null(dw_store_next(kit.store));
    finish();
}

static struct dw_file *touched;
static uint32_t touches;
static int touch_result;

static int note_touch(struct dw_file *file)
{
    touched = file;
    touches++;
    return touch_result;
}

/* A disk whose files can be touched. */
static void start_with_touches(struct dw_disk_ops *ops)
{
    start_with_crossings();
    *ops = *disk->ops;
    ops->touch = note_touch;
    disk->ops = ops;
    touches = 0;
    touch_result = 0;
}

static void the_next_volume_is_touched_before_its_first_commit_comes(void **state)
{
    (void)state;
    struct dw_disk_ops ops;
    start_with_touches(&ops);
    uint64_t wait_ns;
    assert_int_equal(dw_kit_fill(&kit, 0, kit.create.geometry.data_blocks, 3), 0);
    uint64_t io = dw_fault_count(disk, DW_FAULT_ANY);
    dw_store_foresee(kit.store);
    assert_int_equal(dw_store_step(kit.store, &wait_ns), DW_STEP_WORKED);
    assert_int_equal(touches, 1);
    assert_ptr_equal(touched, dw_store_next(kit.store)->file);
    assert_int_equal(dw_store_step(kit.store, &wait_ns), DW_STEP_IDLE); /* and then nothing more */
    assert_true(wait_ns <= 2000000);
    dw_store_advance(kit.store);
    assert_int_equal(dw_store_step(kit.store, &wait_ns), DW_STEP_IDLE);
    dw_store_foresee(kit.store); /* too late: there is no next one now */
    assert_int_equal(dw_store_step(kit.store, &wait_ns), DW_STEP_IDLE);
    assert_int_equal(touches, 1);
    assert_int_equal(dw_fault_count(disk, DW_FAULT_ANY), io);
    finish();
}

static void a_touch_that_fails_stops_the_store(void **state)
{
    (void)state;
    struct dw_disk_ops ops;
    start_with_touches(&ops);
    touch_result = -EIO;
    uint64_t wait_ns;
    dw_store_foresee(kit.store);
    assert_int_equal(dw_store_step(kit.store, &wait_ns), DW_STEP_IDLE);
    assert_int_equal(kit.failure_calls, 1);
    finish();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(filling_beside_commits_keeps_its_pace_in_small_chunks),
        cmocka_unit_test(a_slow_log_is_filled_as_slowly),
        cmocka_unit_test(one_blank_of_four_may_be_missing),
        cmocka_unit_test(filling_of_an_idle_log_runs_at_full_speed_in_large_chunks),
        cmocka_unit_test(a_log_that_outruns_the_pace_is_filled_as_fast_as_it_is_used),
        cmocka_unit_test(commits_that_begin_a_volume_have_the_device_to_themselves),
        cmocka_unit_test(demand_ends_the_quiet_of_a_crossing),
        cmocka_unit_test(the_next_volume_is_touched_before_its_first_commit_comes),
        cmocka_unit_test(a_touch_that_fails_stops_the_store),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
