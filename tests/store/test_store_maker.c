/* test_store_maker.c - the maker's steps: order of its calls, pace, sleep and wake, exhaustion; and all of it under threads. */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "alloc/alloc.h"
#include "core/base/worker.h"
#include "io/sim.h"
#include "tests/lib/io_fault.h"
#include "tests/lib/store_kit.h"

static struct dw_disk *disk;
static struct dw_kit kit;

static void start(const struct dw_sim_options *options)
{
    struct dw_disk *sim;
    assert_int_equal(dw_sim_open(options, &sim), 0);
    assert_int_equal(dw_fault_open(sim, true, &disk), 0);
    dw_kit_init(&kit, disk, 0);
    assert_int_equal(dw_kit_create(&kit), 0);
    assert_int_equal(dw_kit_start(&kit), 0);
}

static void finish(void)
{
    dw_kit_abandon(&kit);
    disk->ops->close(disk);
}

/* ---- the order of the calls ---- */

static char calls[4000];

static void write_down(void *context, enum dw_fault_kind kind, const char *name, uint64_t offset, size_t size)
{
    (void)context;
    (void)size;
    static const struct {
        enum dw_fault_kind kind;
        const char *word;
    } words[] = {{DW_FAULT_WRITE, "write"},   {DW_FAULT_WRITE_DURABLE, "durable"}, {DW_FAULT_SYNC, "sync"},
                 {DW_FAULT_RENAME, "rename"}, {DW_FAULT_UNLINK, "unlink"},         {DW_FAULT_SYNC_NAMES, "names"},
                 {DW_FAULT_READ, "read"},     {DW_FAULT_ALLOCATE, "allocate"}};
    for (size_t i = 0; i < DW_COUNT_OF(words); i++) {
        if (words[i].kind != kind)
            continue;
        size_t used = strlen(calls);
        snprintf(calls + used, sizeof calls - used, "%s %s %u;", words[i].word, name, (unsigned)(offset / 4096));
    }
}

static void expect_step(const char *wanted)
{
    uint64_t wait_ns;
    calls[0] = 0;
    dw_fault_watch(disk, write_down, NULL);
    assert_int_equal(dw_store_step(kit.store, &wait_ns), DW_STEP_WORKED);
    dw_fault_watch(disk, NULL, NULL);
    assert_string_equal(calls, wanted);
}

static void each_step_does_its_calls_in_the_order_that_a_crash_survives(void **state)
{
    (void)state;
    start(NULL);
    kit.options.hooks.table = NULL;
    expect_step("");                        /* begin */
    expect_step("write dwal.tmp.blank 0;"); /* one chunk: the volume is smaller */
    expect_step("sync dwal.tmp.blank 0;rename dwal.tmp.blank 0;names  0;");
    expect_step("durable 000.bvl 0;rename 000.bvl 0;sync 000.bvl 0;names  0;"
                "durable dwal.super 0;durable dwal.super 2;");
    assert_int_equal(dw_kit_fill(&kit, 0, kit.create.geometry.data_blocks, 3), 0);
    uint64_t space = dw_store_space(kit.store);
    dw_store_advance(kit.store);
    assert_int_equal(dw_store_space(kit.store), space);
    expect_step("read 0000000000.vol 14;durable 0000000000.vol 15;"); /* no blank: the TOC comes before filling one */
    assert_int_equal(dw_store_trim(kit.store, dw_end_lsn_of_volume(&kit.create.geometry, 0)), 0);
    expect_step("rename 0000000000.vol 0;names  0;");
    expect_step("durable 000.bvl 0;rename 000.bvl 0;sync 000.bvl 0;names  0;"
                "durable dwal.super 0;durable dwal.super 2;");
    finish();
}

static void trim_is_durable_before_anything_goes(void **state)
{
    (void)state;
    start(NULL);
    assert_int_equal(dw_kit_roll(&kit), 0);
    calls[0] = 0;
    dw_fault_watch(disk, write_down, NULL);
    assert_int_equal(dw_store_trim(kit.store, dw_end_lsn_of_volume(&kit.create.geometry, 0)), 0);
    assert_true(strcmp(calls, "durable dwal.super 0;durable dwal.super 2;") == 0 ||
                strcmp(calls, "durable dwal.super 1;durable dwal.super 3;") == 0);
    calls[0] = 0;
    assert_int_equal(dw_store_trim(kit.store, 5), 0); /* backwards: nothing */
    assert_string_equal(calls, "");
    assert_int_equal(dw_store_first(kit.store), dw_end_lsn_of_volume(&kit.create.geometry, 0));
    dw_fault_watch(disk, NULL, NULL);
    finish();
}

static void settle_decides_only_with_the_superblock(void **state)
{
    (void)state;
    start(NULL);
    dw_kit_settle_down(&kit);
    assert_int_equal(dw_kit_fill(&kit, 0, 2, 3), 0);
    dw_kit_abandon(&kit);
    assert_int_equal(dw_kit_load(&kit), 0);
    uint32_t abandoned = 1;
    calls[0] = 0;
    dw_fault_watch(disk, write_down, NULL);
    assert_int_equal(dw_kit_cut(&kit, 0, 300, 2, &abandoned, 1), 0);
    dw_fault_watch(disk, NULL, NULL);
    assert_string_equal(calls, "sync 0000000000.vol 0;sync dwal.super 0;names  0;"
                               "durable 0000000000.vol 15;"
                               "durable 000.bvl 0;rename 000.bvl 0;sync 000.bvl 0;names  0;"
                               "durable dwal.super 1;durable dwal.super 3;"
                               "rename 0000000001.vol 0;names  0;");
    finish();
}

/* ---- ways to fill ---- */

static void allocated_blanks_are_not_written(void **state)
{
    (void)state;
    static const struct {
        enum dwal_fill fill;
        const char *wanted;
    } cases[] = {
        {DWAL_FILL_DEFAULT, "write dwal.tmp.blank 0;sync dwal.tmp.blank 0;rename dwal.tmp.blank 0;names  0;"},
        {DWAL_FILL_ZERO, "write dwal.tmp.blank 0;sync dwal.tmp.blank 0;rename dwal.tmp.blank 0;names  0;"},
        {DWAL_FILL_ALLOCATE, "allocate dwal.tmp.blank 0;sync dwal.tmp.blank 0;rename dwal.tmp.blank 0;names  0;"},
        {DWAL_FILL_ALLOCATE_ZERO, "allocate dwal.tmp.blank 0;write dwal.tmp.blank 0;sync dwal.tmp.blank 0;"
                                  "rename dwal.tmp.blank 0;names  0;"},
    };
    for (size_t i = 0; i < DW_COUNT_OF(cases); i++) {
        struct dw_disk *sim;
        assert_int_equal(dw_sim_open(NULL, &sim), 0);
        assert_int_equal(dw_fault_open(sim, true, &disk), 0);
        dw_kit_init(&kit, disk, 0);
        kit.create.fill_mode = cases[i].fill;
        assert_int_equal(dw_kit_create(&kit), 0);
        assert_int_equal(dw_kit_start(&kit), 0);
        calls[0] = 0;
        dw_fault_watch(disk, write_down, NULL);
        uint64_t wait_ns;
        while (dw_kit_counts(&kit).blanks_ready == 0)
            (void)dw_store_step(kit.store, &wait_ns);
        dw_fault_watch(disk, NULL, NULL);
        assert_string_equal(calls, cases[i].wanted);
        finish();
    }
}

static void where_allocation_is_not_supported_zeros_are_written(void **state)
{
    (void)state;
    start(NULL);
    dw_kit_abandon(&kit);
    disk->ops->close(disk);
    struct dw_disk *sim;
    assert_int_equal(dw_sim_open(NULL, &sim), 0);
    assert_int_equal(dw_fault_open(sim, true, &disk), 0);
    struct dw_fault_rule rule = {.kinds = DW_FAULT_ALLOCATE, .at = 1, .is_sticky = true, .error = -95};
    dw_fault_add(disk, &rule);
    dw_kit_init(&kit, disk, 0);
    kit.create.fill_mode = DWAL_FILL_ALLOCATE;
    assert_int_equal(dw_kit_create(&kit), 0);
    assert_int_equal(dw_kit_start(&kit), 0);
    dw_kit_settle_down(&kit);
    assert_int_equal(dw_kit_counts(&kit).blanks_ready, 2);
    finish();
}

/* ---- the flusher's side ---- */

static void advance_allocates_nothing_and_touches_no_file(void **state)
{
    (void)state;
    start(NULL);
    dw_kit_settle_down(&kit);
    assert_int_equal(dw_kit_fill(&kit, 0, kit.create.geometry.data_blocks, 3), 0);
    uint64_t allocations = dw_alloc_count(), io = dw_fault_count(disk, DW_FAULT_ANY);
    struct dw_volume *next = dw_store_next(kit.store);
    assert_non_null(next->file);
    dw_store_advance(kit.store);
    assert_ptr_equal(dw_store_head(kit.store), next);
    assert_null(dw_store_next(kit.store));
    assert_int_equal(dw_alloc_count(), allocations);
    assert_int_equal(dw_fault_count(disk, DW_FAULT_ANY), io);
    finish();
}

static void demand_claims_several_ahead_and_hands_them_over_in_order(void **state)
{
    (void)state;
    start(NULL);
    const struct dw_geometry *geometry = &kit.create.geometry;
    dw_store_demand(kit.store, dw_end_lsn_of_volume(geometry, 3) - 5);
    dw_kit_settle_down(&kit);
    assert_int_equal(dw_store_space(kit.store), dw_end_lsn_of_volume(geometry, 3));
    assert_int_equal(dw_store_superblock(kit.store)->claimed, 3);
    for (uint32_t number = 1; number <= 4; number++) {
        assert_int_equal(dw_store_next(kit.store)->number, number);
        assert_int_equal(dw_kit_fill(&kit, 0, geometry->data_blocks, 1), 0);
        dw_store_advance(kit.store);
        dw_kit_settle_down(&kit);
    }
    assert_int_equal(dw_store_superblock(kit.store)->claimed, 5); /* one ahead again */
    assert_int_equal(kit.failure_calls, 0);
    finish();
}

static void all_that_was_claimed_ahead_is_kept_when_the_tail_goes_on(void **state)
{
    (void)state;
    start(NULL);
    const struct dw_geometry *geometry = &kit.create.geometry;
    dw_store_demand(kit.store, dw_end_lsn_of_volume(geometry, 3));
    dw_kit_settle_down(&kit);
    assert_int_equal(dw_kit_fill(&kit, 0, 1, 1), 0);
    dw_kit_abandon(&kit);
    assert_int_equal(dw_kit_load(&kit), 0);
    assert_int_equal(dw_kit_recover(&kit, false), 0);
    assert_int_equal(dw_store_space(kit.store), dw_end_lsn_of_volume(geometry, 3));
    for (uint32_t number = 1; number <= 4; number++) {
        assert_int_equal(dw_store_next(kit.store)->number, number);
        dw_store_advance(kit.store);
        dw_kit_settle_down(&kit);
    }
    assert_int_equal(kit.failure_calls, 0);
    finish();
}

static void a_tail_that_goes_on_before_a_missing_claimed_volume_is_refused(void **state)
{
    (void)state;
    start(NULL);
    dw_kit_settle_down(&kit);
    dw_kit_abandon(&kit);
    assert_int_equal(disk->ops->unlink(disk, "0000000001.vol"), 0);
    assert_int_equal(dw_kit_load(&kit), 0);
    assert_int_equal(dw_kit_continue(&kit, 0, 0), DWAL_ELOST);
    finish();
}

static uint64_t now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static void a_wake_before_the_sleep_is_not_lost(void **state)
{
    (void)state;
    start(NULL);
    dw_kit_settle_down(&kit);
    uint64_t begun = now_ns(), wait_ns;
    assert_int_equal(dw_store_step(kit.store, &wait_ns), DW_STEP_IDLE);
    assert_true(wait_ns == UINT64_MAX);
    dw_store_maker_wake(kit.store);
    dw_store_maker_sleep(kit.store, wait_ns); /* would last for ever */
    assert_int_equal(dw_store_step(kit.store, &wait_ns), DW_STEP_IDLE);
    dw_store_maker_sleep(kit.store, 20000000);
    assert_true(now_ns() - begun >= 20000000);
    finish();
}

static void volume_numbers_end_at_the_limit(void **state)
{
    (void)state;
    start(NULL);
    dw_kit_abandon(&kit);
    assert_int_equal(dw_kit_load(&kit), 0);
    assert_int_equal(dw_kit_cut(&kit, 0, 0, DW_VOLUME_NUMBER_MAX - 1, NULL, 0), 0);
    dw_kit_settle_down(&kit);
    assert_int_equal(dw_store_next(kit.store)->number, DW_VOLUME_NUMBER_MAX);
    assert_false(dw_store_is_exhausted(kit.store));
    assert_int_equal(dw_kit_fill(&kit, 0, kit.create.geometry.data_blocks, 1), 0);
    uint64_t space = dw_store_space(kit.store);
    assert_true(space == dw_end_lsn_of_volume(&kit.create.geometry, DW_VOLUME_NUMBER_MAX));
    dw_store_advance(kit.store);
    uint32_t space_calls = kit.space_calls;
    dw_kit_settle_down(&kit);
    assert_true(dw_store_is_exhausted(kit.store));
    assert_int_equal(kit.space_calls, space_calls + 1);
    assert_null(dw_store_next(kit.store));
    assert_int_equal(dw_store_space(kit.store), space);
    assert_int_equal(kit.failure_calls, 0);
    dw_kit_abandon(&kit);
    assert_int_equal(dw_kit_load(&kit), 0);
    assert_int_equal(dw_kit_cut(&kit, DW_VOLUME_NUMBER_MAX,
                                dw_first_lsn_of_volume(&kit.create.geometry, DW_VOLUME_NUMBER_MAX),
                                DW_VOLUME_NUMBER_MAX + 1u, NULL, 0),
                     DWAL_EEXHAUSTED);
    finish();
}

/* ---- threads ---- */

enum { THREAD_VOLUMES = 60 };
static atomic_bool is_over;
static _Atomic uint64_t shared_durable;

static uint64_t read_durable(void *context)
{
    (void)context;
    return atomic_load_explicit(&shared_durable, memory_order_acquire);
}

static uint64_t real_ns(void *context)
{
    (void)context;
    return now_ns();
}

static void ignore_space(void *context)
{
    (void)context;
}

static void run_maker(void *context)
{
    struct dw_store *store = context;
    while (!atomic_load_explicit(&is_over, memory_order_acquire)) {
        uint64_t wait_ns;
        (void)dw_store_step(store, &wait_ns);
        dw_store_maker_sleep(store, wait_ns < 1000000 ? wait_ns : 1000000);
    }
}

static void run_reader(void *context)
{
    struct dw_store *store = context;
    uint32_t number = 0;
    while (!atomic_load_explicit(&is_over, memory_order_acquire)) {
        struct dw_volume *volume;
        number = dw_store_first_from(store, number);
        if (number == DW_VOLUME_NUMBER_NONE) {
            number = 0;
            continue;
        }
        if (dw_store_pin(store, number, &volume) == 0) {
            if (volume->number != number)
                abort();
            dw_store_unpin(store, volume);
        }
        uint64_t end;
        number = dw_store_successor(store, number, &end);
        if (number == DW_VOLUME_NUMBER_NONE)
            number = 0;
    }
}

static void flusher_maker_readers_and_trim_run_together(void **state)
{
    (void)state;
    struct dw_sim_options options = {.is_history_off = true};
    assert_int_equal(dw_sim_open(&options, &disk), 0);
    dw_kit_init(&kit, disk, 0);
    static const struct dw_clock clock = {.monotonic_ns = real_ns, .realtime_ns = real_ns};
    kit.options.clock = &clock;
    kit.options.hooks.durable_block = read_durable;
    kit.options.hooks.on_space = ignore_space;
    const struct dw_geometry *geometry = &kit.create.geometry;
    assert_int_equal(dw_kit_create(&kit), 0);
    assert_int_equal(dw_kit_start(&kit), 0);
    atomic_store_explicit(&is_over, false, memory_order_release);
    struct dw_worker maker = {0}, reader = {0};
    assert_int_equal(dw_worker_start(&maker, "test-maker", run_maker, kit.store), 0);
    assert_int_equal(dw_worker_start(&reader, "test-reader", run_reader, kit.store), 0);
    for (uint32_t i = 0; i < THREAD_VOLUMES; i++) {
        assert_int_equal(dw_kit_fill(&kit, 0, geometry->data_blocks, 3), 0);
        atomic_store_explicit(&shared_durable, kit.durable_block, memory_order_release);
        while (dw_store_space(kit.store) <= dw_lsn_of_block(geometry, kit.durable_block)) {
            struct timespec pause = {.tv_nsec = 20000};
            nanosleep(&pause, NULL);
        }
        assert_non_null(dw_store_next(kit.store));
        dw_store_advance(kit.store);
        if (i >= 3)
            assert_int_equal(dw_store_trim(kit.store, dw_end_lsn_of_volume(geometry, i - 3)), 0);
    }
    atomic_store_explicit(&is_over, true, memory_order_release);
    dw_store_maker_wake(kit.store);
    dw_worker_stop(&maker);
    dw_worker_stop(&reader);
    assert_int_equal(kit.failure_calls, 0);
    uint64_t end = dw_lsn_of_block(geometry, kit.durable_block);
    assert_int_equal(dw_store_close(kit.store, true, end), 0);
    kit.store = NULL;
    assert_int_equal(dw_kit_load(&kit), 0);
    assert_int_equal(dw_store_superblock(kit.store)->head, THREAD_VOLUMES);
    assert_int_equal(dw_store_superblock(kit.store)->clean_end, end);
    finish();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_step_does_its_calls_in_the_order_that_a_crash_survives),
        cmocka_unit_test(trim_is_durable_before_anything_goes),
        cmocka_unit_test(settle_decides_only_with_the_superblock),
        cmocka_unit_test(allocated_blanks_are_not_written),
        cmocka_unit_test(where_allocation_is_not_supported_zeros_are_written),
        cmocka_unit_test(advance_allocates_nothing_and_touches_no_file),
        cmocka_unit_test(demand_claims_several_ahead_and_hands_them_over_in_order),
        cmocka_unit_test(all_that_was_claimed_ahead_is_kept_when_the_tail_goes_on),
        cmocka_unit_test(a_tail_that_goes_on_before_a_missing_claimed_volume_is_refused),
        cmocka_unit_test(a_wake_before_the_sleep_is_not_lost),
        cmocka_unit_test(volume_numbers_end_at_the_limit),
        cmocka_unit_test(flusher_maker_readers_and_trim_run_together),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
