/* test_store_space.c - a full disk is no failure: blanks in reserve are used up, appenders are told, and it heals. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "io/sim.h"
#include "tests/lib/io_fault.h"
#include "tests/lib/store_kit.h"

struct subject {
    struct dw_disk *sim, *disk;
    struct dw_kit kit;
};

static void make(struct subject *subject, uint64_t volumes)
{
    struct dw_sim_options options = {.is_history_off = true,
                                     .capacity = volumes ? volumes * DW_KIT_VOLUME_SIZE + 4u * 4096 : 0};
    assert_int_equal(dw_sim_open(&options, &subject->sim), 0);
    assert_int_equal(dw_fault_open(subject->sim, true, &subject->disk), 0);
    dw_kit_init(&subject->kit, subject->disk, 0);
    assert_int_equal(dw_kit_create(&subject->kit), 0);
    assert_int_equal(dw_kit_start(&subject->kit), 0);
}

static void drop(struct subject *subject)
{
    dw_kit_abandon(&subject->kit);
    subject->disk->ops->close(subject->disk);
}

static void fill_and_advance(struct dw_kit *kit)
{
    assert_int_equal(dw_kit_fill(kit, 0, kit->create.geometry.data_blocks, 3), 0);
    dw_store_advance(kit->store);
}

static bool has_temporary(struct subject *subject)
{
    return dw_sim_peek(subject->sim, "dwal.tmp.blank", 0, NULL, 0);
}

static void the_reserve_is_used_before_appenders_are_told(void **state)
{
    (void)state;
    struct subject subject;
    struct dw_kit *kit = &subject.kit;
    make(&subject, 4); /* the head, one ahead, two blanks */
    dw_kit_settle_down(kit);
    assert_int_equal(dw_kit_counts(kit).blanks_ready, 2);
    assert_false(dw_store_is_out_of_space(kit->store));
    for (int left = 1; left >= 0; left--) {
        fill_and_advance(kit);
        dw_kit_settle_down(kit);
        assert_non_null(dw_store_next(kit->store));
        assert_int_equal(dw_kit_counts(kit).blanks_ready, left);
        assert_int_equal(dw_store_is_out_of_space(kit->store), left == 0);
    }
    assert_true(dw_store_is_out_of_space(kit->store)); /* nothing behind the claimed one: asked only beyond its end */
    fill_and_advance(kit);
    uint32_t space_calls = kit->space_calls;
    dw_kit_settle_down(kit);
    assert_null(dw_store_next(kit->store));
    assert_true(dw_store_is_out_of_space(kit->store));
    assert_int_equal(kit->space_calls, space_calls); /* they knew */
    assert_int_equal(kit->failure_calls, 0);
    assert_false(has_temporary(&subject));
    assert_string_not_equal(kit->event, "");
    assert_int_equal(dw_kit_fill(kit, 0, kit->create.geometry.data_blocks, 3), 0); /* the head itself is all there */
    drop(&subject);
}

static void a_trim_heals_it_at_once(void **state)
{
    (void)state;
    struct subject subject;
    struct dw_kit *kit = &subject.kit;
    make(&subject, 4);
    dw_kit_settle_down(kit);
    for (int i = 0; i < 3; i++) {
        fill_and_advance(kit);
        dw_kit_settle_down(kit);
    }
    assert_null(dw_store_next(kit->store));
    uint32_t space_calls = kit->space_calls;
    uint64_t space = dw_store_space(kit->store);
    assert_int_equal(dw_store_trim(kit->store, dw_end_lsn_of_volume(&kit->create.geometry, 0)), 0);
    uint64_t now = kit->now_ns;
    dw_kit_settle_down(kit);
    assert_int_equal(kit->now_ns, now); /* no waiting for the next try */
    assert_non_null(dw_store_next(kit->store));
    assert_true(dw_store_space(kit->store) > space);
    assert_true(kit->space_calls > space_calls);
    assert_int_equal(kit->failure_calls, 0);
    assert_int_equal(dw_kit_counts(kit).recycled, 1);
    drop(&subject);
}

static void space_that_comes_back_by_itself_is_found_within_100_ms(void **state)
{
    (void)state;
    static const int errors[] = {-ENOSPC, -EDQUOT, -EFBIG};
    static const unsigned kinds[] = {DW_FAULT_OPEN, DW_FAULT_WRITE, DW_FAULT_SYNC, DW_FAULT_RENAME};
    for (size_t e = 0; e < DW_COUNT_OF(errors); e++) {
        for (size_t k = 0; k < DW_COUNT_OF(kinds); k++) {
            struct subject subject;
            struct dw_kit *kit = &subject.kit;
            make(&subject, 0);
            struct dw_fault_rule rule = {
                .kinds = kinds[k], .at = 1, .is_sticky = true, .error = errors[e], .name_start = "dwal.tmp."};
            dw_fault_add(subject.disk, &rule);
            dw_kit_settle_down(kit);
            assert_true(dw_store_is_out_of_space(kit->store));
            assert_int_equal(kit->failure_calls, 0);
            assert_false(has_temporary(&subject));
            uint64_t wait_ns;
            assert_int_equal(dw_store_step(kit->store, &wait_ns), DW_STEP_IDLE);
            assert_true(wait_ns > 0 && wait_ns <= 100000000);
            dw_fault_clear(subject.disk);
            assert_int_equal(dw_store_step(kit->store, &wait_ns), DW_STEP_IDLE); /* not yet */
            kit->now_ns += 100000000;
            dw_kit_settle_down(kit);
            assert_false(dw_store_is_out_of_space(kit->store));
            assert_non_null(dw_store_next(kit->store));
            assert_int_equal(dw_kit_counts(kit).blanks_ready, 2);
            drop(&subject);
        }
    }
}

static void another_error_while_making_a_blank_stops_the_log_once(void **state)
{
    (void)state;
    struct subject subject;
    struct dw_kit *kit = &subject.kit;
    make(&subject, 0);
    struct dw_fault_rule rule = {.kinds = DW_FAULT_SYNC, .at = 1, .is_sticky = true, .name_start = "dwal.tmp."};
    dw_fault_add(subject.disk, &rule);
    dw_kit_settle_down(kit);
    assert_int_equal(kit->failure_calls, 1);
    assert_int_equal(kit->failure.code, DWAL_EDEVICE);
    assert_int_equal(kit->failure.system_code, EIO);
    uint64_t changes = dw_fault_count(subject.disk, DW_FAULT_ANY_CHANGE), wait_ns;
    assert_int_equal(dw_store_step(kit->store, &wait_ns), DW_STEP_IDLE);
    assert_true(wait_ns == UINT64_MAX);
    assert_int_equal(dw_store_trim(kit->store, 10), DWAL_EFAILED);
    assert_int_equal(dw_store_close(kit->store, true, 0), DWAL_EFAILED);
    kit->store = NULL;
    assert_int_equal(kit->failure_calls, 1);
    assert_int_equal(dw_fault_count(subject.disk, DW_FAULT_ANY_CHANGE),
                     changes); /* nothing is written after a failure */
    drop(&subject);
}

static void a_temporary_that_cannot_be_removed_is_a_failure(void **state)
{
    (void)state;
    struct subject subject;
    struct dw_kit *kit = &subject.kit;
    make(&subject, 0);
    struct dw_fault_rule no_space = {.kinds = DW_FAULT_WRITE, .at = 1, .error = -ENOSPC, .name_start = "dwal.tmp."};
    struct dw_fault_rule no_unlink = {.kinds = DW_FAULT_UNLINK, .at = 1, .error = -EROFS};
    dw_fault_add(subject.disk, &no_space);
    dw_fault_add(subject.disk, &no_unlink);
    dw_kit_settle_down(kit);
    assert_int_equal(kit->failure_calls, 1);
    assert_int_equal(kit->failure.code, DWAL_EPERMISSION);
    drop(&subject);
}

static void no_space_at_creation_leaves_an_empty_directory(void **state)
{
    (void)state;
    struct dw_sim_options options = {.capacity = DW_KIT_VOLUME_SIZE / 2};
    struct dw_disk *sim;
    struct dw_kit kit;
    assert_int_equal(dw_sim_open(&options, &sim), 0);
    uint64_t empty = dw_sim_fingerprint(sim);
    dw_kit_init(&kit, sim, 0);
    assert_int_equal(dw_kit_create(&kit), DWAL_ENOSPACE);
    assert_true(dw_sim_fingerprint(sim) == empty);
    sim->ops->close(sim);
}

/* The watermark is asked for in the middle of each claim: there the flusher takes `next` once. */
static uint32_t claims_until_advance;

static uint64_t advance_in_a_claim(void *context)
{
    struct dw_kit *kit = context;
    if (claims_until_advance > 0 && --claims_until_advance == 0)
        dw_store_advance(kit->store);
    return kit->durable_block;
}

static void volumes_claimed_on_demand_come_in_order_whatever_the_flusher_does_meanwhile(void **state)
{
    (void)state;
    struct dw_sim_options options = {.is_history_off = true};
    struct dw_disk *sim;
    struct dw_kit kit;
    assert_int_equal(dw_sim_open(&options, &sim), 0);
    dw_kit_init(&kit, sim, 0);
    kit.options.hooks.durable_block = advance_in_a_claim;
    assert_int_equal(dw_kit_create(&kit), 0);
    assert_int_equal(dw_kit_start(&kit), 0);
    dw_kit_settle_down(&kit);
    assert_int_equal(dw_store_next(kit.store)->number, 1);
    assert_int_equal(dw_kit_fill(&kit, 0, kit.create.geometry.data_blocks, 3), 0);
    dw_store_demand(kit.store, dw_end_lsn_of_volume(&kit.create.geometry, 4));
    claims_until_advance = 2;
    dw_kit_settle_down(&kit);
    assert_int_equal(claims_until_advance, 0);
    assert_int_equal(dw_store_head(kit.store)->number, 1);
    assert_int_equal(dw_store_next(kit.store)->number, 2);
    assert_true(dw_store_space(kit.store) >= dw_end_lsn_of_volume(&kit.create.geometry, 4));
    dw_kit_abandon(&kit);
    sim->ops->close(sim);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_reserve_is_used_before_appenders_are_told),
        cmocka_unit_test(a_trim_heals_it_at_once),
        cmocka_unit_test(space_that_comes_back_by_itself_is_found_within_100_ms),
        cmocka_unit_test(another_error_while_making_a_blank_stops_the_log_once),
        cmocka_unit_test(a_temporary_that_cannot_be_removed_is_a_failure),
        cmocka_unit_test(no_space_at_creation_leaves_an_empty_directory),
        cmocka_unit_test(volumes_claimed_on_demand_come_in_order_whatever_the_flusher_does_meanwhile),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
