/* test_store_fault.c - every I/O call of a log's life fails once, or fails for ever; every allocation too. Whatever is answered,
 * nothing crashes, nothing leaks, the error is told, and what is on the disk loads again. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "alloc/alloc.h"
#include "io/sim.h"
#include "tests/lib/io_fault.h"
#include "tests/lib/store_kit.h"

/* One life: create, settle, roll and trim so that volumes are claimed, sealed and recycled, close; cut and close again.
 * Stops at the first answer that is not 0. */
static int work(struct dw_kit *kit)
{
    const struct dw_geometry *geometry = &kit->create.geometry;
    for (uint32_t number = 0; number < 3; number++) {
        int result = dw_kit_roll(kit);
        if (result != 0 || kit->failure_calls != 0)
            return result != 0 ? result : kit->failure.code;
        result = dw_store_trim(kit->store, dw_end_lsn_of_volume(geometry, number));
        if (result != 0)
            return result;
        dw_kit_settle_down(kit);
        struct dw_volume *volume;
        result = dw_store_pin(kit->store, number + 1, &volume);
        if (result != 0)
            return result;
        dw_store_unpin(kit->store, volume);
    }
    return kit->failure_calls != 0 ? kit->failure.code : 0;
}

static int close_clean(struct dw_kit *kit, uint32_t blocks)
{
    int result = dw_kit_fill(kit, 0, blocks, 3);
    uint64_t end = dw_lsn_of_block(&kit->create.geometry, kit->durable_block);
    int closing = dw_store_close(kit->store, result == 0, end);
    kit->store = NULL;
    return result != 0 ? result : closing;
}

static int live(struct dw_kit *kit)
{
    int result = dw_kit_create(kit);
    if (result == 0)
        result = dw_kit_start(kit);
    if (result == 0)
        result = work(kit);
    if (result == 0)
        result = close_clean(kit, 2);
    if (result == 0)
        result = dw_kit_load(kit);
    uint32_t abandoned = 4;
    if (result == 0)
        result = dw_kit_cut(kit, 3, dw_lsn_of_block(&kit->create.geometry, kit->durable_block - 1), 5, &abandoned, 1);
    if (result == 0) {
        dw_kit_settle_down(kit);
        result = kit->failure_calls != 0 ? kit->failure.code : 0;
    }
    if (result == 0)
        result = close_clean(kit, 1);
    dw_kit_abandon(kit);
    return result;
}

/* What a failure left must load, unless the log was not made yet. */
static void check_loads(struct dw_disk *disk)
{
    struct dw_kit kit;
    dw_kit_init(&kit, disk, 64);
    int result = dw_kit_load(&kit);
    if (result == DWAL_ENOLOG) {
        assert_int_equal(dw_kit_create(&kit), 0);
        result = dw_kit_load(&kit);
    }
    if (result != 0)
        fail_msg("does not load: %s", dwal_last_error()->text);
    const struct dw_superblock_info *superblock = dw_store_superblock(kit.store);
    for (uint32_t number = superblock->head; number <= superblock->claimed; number++) {
        struct dw_volume *volume = dw_store_find(kit.store, number);
        if (number == superblock->head)
            assert_non_null(volume);
        if (volume)
            assert_int_equal(volume->header_verdict, DW_DECODED_OK);
    }
    dw_kit_abandon(&kit);
}

struct run {
    int result;
    uint64_t calls, fired;
};

static struct run run_with(const struct dw_fault_rule *rule, uint64_t alloc_at)
{
    struct dw_disk *sim, *disk;
    struct dw_sim_options options = {.is_history_off = true};
    uint64_t before = dw_alloc_bytes();
    assert_int_equal(dw_sim_open(&options, &sim), 0);
    assert_int_equal(dw_fault_open(sim, false, &disk), 0);
    struct dw_kit kit;
    dw_kit_init(&kit, disk, 64);
    if (rule)
        dw_fault_add(disk, rule);
    dw_alloc_fail_at(alloc_at, false);
    struct run run = {.result = live(&kit)};
    dw_alloc_fail_at(0, false);
    run.calls = dw_fault_count(disk, DW_FAULT_ANY);
    run.fired = dw_fault_fired(disk);
    disk->ops->close(disk);
    check_loads(sim);
    sim->ops->close(sim);
    assert_int_equal(dw_alloc_bytes(), before);
    return run;
}

static void a_life_without_faults_is_good(void **state)
{
    (void)state;
    struct run run = run_with(NULL, 0);
    assert_int_equal(run.result, 0);
    printf("%llu calls\n", (unsigned long long)run.calls);
}

static void sweep(bool is_sticky, enum dw_fault_action action, int error)
{
    uint64_t calls = run_with(NULL, 0).calls;
    uint64_t good = 0;
    for (uint64_t at = 1; at <= calls; at++) {
        struct dw_fault_rule rule = {
            .kinds = DW_FAULT_ANY, .at = at, .is_sticky = is_sticky, .action = action, .error = error, .bytes = 4096};
        struct run run = run_with(&rule, 0);
        assert_true(run.fired > 0);
        if (run.result == 0)
            good++;
        else if (run.result > 0 || run.result < -1100 || run.result > -1001)
            fail_msg("call %llu: answer %d is no dwal code", (unsigned long long)at, run.result);
    }
    printf("%llu calls, %llu survived the fault\n", (unsigned long long)calls, (unsigned long long)good);
}

static void every_call_may_fail_once(void **state)
{
    (void)state;
    sweep(false, DW_FAULT_BEFORE, -EIO);
}

static void every_call_may_fail_for_ever(void **state)
{
    (void)state;
    sweep(true, DW_FAULT_BEFORE, -EIO);
}

static void every_call_may_fail_half_way(void **state)
{
    (void)state;
    sweep(false, DW_FAULT_HALF_WAY, -EIO);
}

static void every_call_may_fail_though_it_was_done(void **state)
{
    (void)state;
    sweep(false, DW_FAULT_AFTER, -EIO);
}

static void every_call_may_meet_no_space(void **state)
{
    (void)state;
    sweep(false, DW_FAULT_BEFORE, -ENOSPC);
}

static void every_allocation_may_fail(void **state)
{
    (void)state;
    uint64_t before = dw_alloc_count();
    assert_int_equal(run_with(NULL, 0).result, 0);
    uint64_t count = dw_alloc_count() - before;
    for (uint64_t at = 1; at <= count; at++)
        (void)run_with(NULL, at);
    printf("%llu allocations\n", (unsigned long long)count);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_life_without_faults_is_good),
        cmocka_unit_test(every_call_may_fail_once),
        cmocka_unit_test(every_call_may_fail_for_ever),
        cmocka_unit_test(every_call_may_fail_half_way),
        cmocka_unit_test(every_call_may_fail_though_it_was_done),
        cmocka_unit_test(every_call_may_meet_no_space),
        cmocka_unit_test(every_allocation_may_fail),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
