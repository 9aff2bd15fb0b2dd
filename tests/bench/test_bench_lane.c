/* test_bench_lane.c - the loops of one thread of load, in model time: schedules, stalls, overload, failure. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <errno.h>

#include <cmocka.h>

#include "tools/bench/model.h"

#define SECOND UINT64_C(1000000000)

static struct dw_bench_record record;
static struct dw_bench_lane lane;
static struct dw_bench_model model;

static struct dw_bench_load load_of(double rate, uint32_t outstanding)
{
    return (struct dw_bench_load){
        .mix = {1, {128}, {1}}, .threads = 1, .outstanding = outstanding, .batch = 1, .rate = rate};
}
static uint64_t above(const struct dw_bench_histogram *histogram, uint64_t limit_ns)
{
    return dw_bench_count_above(histogram, limit_ns);
}

static void one_stall_is_seen_by_all_who_would_have_come_meanwhile(void **state)
{
    (void)state;
    struct dw_bench_load load = load_of(10000, 1);
    dw_bench_model_init(&model, 100);
    model.stall_at = 3000;
    model.stall_ns = SECOND / 10;
    dw_bench_model_run(&model, &load, SECOND, &record, &lane);
    uint64_t late = above(&record.intended, 1000000);
    if (late < 985 || late > 995)
        fail_msg("%llu samples above 1 ms", (unsigned long long)late);
    assert_int_equal(dw_bench_get(&record.intended.count), 10000); /* none was dropped */
    assert_int_equal(above(&record.issue, 1000000), 1);            /* what most tools show */
    assert_int_equal(lane.unissued, 0);
}

static void the_same_stall_is_seen_with_poisson_arrivals(void **state)
{
    (void)state;
    struct dw_bench_load load = load_of(10000, 1);
    load.is_poisson = true;
    dw_bench_model_init(&model, 100);
    model.stall_at = 3000;
    model.stall_ns = SECOND / 10;
    dw_bench_model_run(&model, &load, SECOND, &record, &lane);
    uint64_t late = above(&record.intended, 1000000);
    assert_true(late > 880 && late < 1100); /* as many as arrive in 99 ms, give or take three deviations */
}

static void a_stall_is_seen_with_many_outstanding(void **state)
{
    (void)state;
    struct dw_bench_load load = load_of(10000, 64);
    dw_bench_model_init(&model, 100);
    model.stall_at = 3000;
    model.stall_ns = SECOND / 10;
    dw_bench_model_run(&model, &load, SECOND, &record, &lane);
    uint64_t late = above(&record.intended, 1000000);
    assert_true(late >= 985 && late <= 995);
    assert_int_equal(dw_bench_get(&record.intended.count), 10000);
}

static void fixed_arrivals_are_evenly_spaced_and_start_when_they_are_due(void **state)
{
    (void)state;
    struct dw_bench_load load = load_of(3000, 1); /* a gap that is no whole number of nanoseconds */
    dw_bench_model_init(&model, 1000);
    dw_bench_model_run(&model, &load, 10 * SECOND, &record, &lane);
    assert_int_equal(dw_bench_get(&record.intended.count), 30000);
    assert_int_equal(dw_bench_get(&record.intended.max), 1000);
}

static void poisson_arrivals_keep_the_rate_and_vary(void **state)
{
    (void)state;
    struct dw_bench_load load = load_of(5000, 1);
    load.is_poisson = true;
    dw_bench_model_init(&model, 1000);
    dw_bench_model_run(&model, &load, 10 * SECOND, &record, &lane);
    uint64_t count = dw_bench_get(&record.intended.count);
    assert_true(count > 50000 - 3 * 224 && count < 50000 + 3 * 224); /* three standard deviations */
    /* With gaps of 200 us in the mean some two must come within one service time, and wait. */
    assert_true(dw_bench_get(&record.intended.max) > 1000);
    assert_true(above(&record.intended, 1100) < count / 100);
}

static void a_late_sleeper_is_charged_to_the_start(void **state)
{
    (void)state;
    struct dw_bench_load load = load_of(1000, 1);
    dw_bench_model_init(&model, 1000);
    model.sleep_late_ns = 50000;
    dw_bench_model_run(&model, &load, SECOND, &record, &lane);
    assert_int_equal(dw_bench_get(&record.intended.count), 1000);
    assert_int_equal(dw_bench_get(&record.intended.max), 51000);
    assert_int_equal(dw_bench_get(&record.issue.max), 1000);
    uint64_t late_ns = 0;
    for (uint32_t row = 0; row < DW_BENCH_ROWS; row++)
        late_ns += record.rows[row].stage_ns[DW_BENCH_LATE];
    assert_true(late_ns >= 998 * 50000);
}

static void overload_is_worked_off_and_never_dropped(void **state)
{
    (void)state;
    struct dw_bench_load load = load_of(2000, 1);
    dw_bench_model_init(&model, 1000000); /* 1000/s is what it can do */
    dw_bench_model_run(&model, &load, SECOND, &record, &lane);
    assert_int_equal(dw_bench_get(&record.intended.count), 2000);
    assert_true(dw_bench_get(&record.intended.max) > SECOND * 99 / 100); /* the last one was due a second before */
    assert_int_equal(lane.unissued, 0);
}

static void hopeless_overload_ends_and_is_told(void **state)
{
    (void)state;
    struct dw_bench_load load = load_of(100000, 1);
    dw_bench_model_init(&model, 1000000);
    dw_bench_model_run(&model, &load, SECOND, &record, &lane);
    assert_int_equal(dw_bench_get(&record.intended.count) + lane.unissued, 100000);
    assert_true(lane.unissued > 80000);
}

static void a_closed_loop_keeps_as_many_under_way_as_asked(void **state)
{
    (void)state;
    struct dw_bench_load load = load_of(0, 16);
    dw_bench_model_init(&model, 1000); /* one after another */
    dw_bench_model_run(&model, &load, SECOND / 10, &record, &lane);
    assert_int_equal(dw_bench_percentile(&record.issue, 50), 16000); /* 16 in the queue */
    assert_int_equal(dw_bench_get(&record.issue.max), 16000);
    assert_int_equal(dw_bench_get(&record.intended.count), 0);
}

static void stages_add_up_to_the_latency(void **state)
{
    (void)state;
    struct dw_bench_load load = load_of(0, 16);
    dw_bench_model_init(&model, 1000);
    dw_bench_model_run(&model, &load, SECOND / 10, &record, &lane);
    uint64_t sum = 0;
    for (uint32_t row = 0; row < DW_BENCH_ROWS; row++)
        for (int stage = 0; stage < DW_BENCH_STAGES; stage++)
            sum += record.rows[row].stage_ns[stage];
    assert_int_equal(sum, dw_bench_get(&record.issue.sum));
}

static void the_slowest_are_kept_in_order(void **state)
{
    (void)state;
    struct dw_bench_load load = load_of(0, 1);
    dw_bench_model_init(&model, 1000);
    model.stall_at = 77;
    model.stall_ns = 5000000;
    dw_bench_model_run(&model, &load, SECOND / 100, &record, &lane);
    assert_int_equal(record.slow[0].latency_ns, 5000000);
    assert_int_equal(record.slow[0].place, 77);
    assert_int_equal(record.slow_count, DW_BENCH_SLOWEST);
    for (uint32_t i = 1; i < record.slow_count; i++)
        assert_true(record.slow[i - 1].latency_ns >= record.slow[i].latency_ns);
}

static void a_failed_operation_ends_the_lane_and_keeps_what_was_measured(void **state)
{
    (void)state;
    struct dw_bench_load load = load_of(0, 4);
    dw_bench_model_init(&model, 1000);
    model.fail_at = 100;
    dw_bench_model_run(&model, &load, SECOND, &record, &lane);
    assert_int_equal(lane.failure, -EIO);
    assert_non_null(strstr(lane.failure_text, strerror(EIO)));
    assert_int_equal(dw_bench_get(&record.issue.count), 100);
}

static void sizes_are_drawn_by_their_weights(void **state)
{
    (void)state;
    struct dw_bench_load load = load_of(0, 1);
    load.mix = (struct dw_bench_mix){2, {64, 4096}, {90, 10}};
    dw_bench_model_init(&model, 1000);
    dw_bench_model_run(&model, &load, SECOND / 10, &record, &lane);
    double mean = (double)record.bytes / (double)record.entries;
    assert_true(mean > 430 && mean < 505); /* 467 */
}

static void the_self_test_is_content(void **state)
{
    (void)state;
    assert_true(dw_bench_self_test());
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_stall_is_seen_by_all_who_would_have_come_meanwhile),
        cmocka_unit_test(the_same_stall_is_seen_with_poisson_arrivals),
        cmocka_unit_test(a_stall_is_seen_with_many_outstanding),
        cmocka_unit_test(fixed_arrivals_are_evenly_spaced_and_start_when_they_are_due),
        cmocka_unit_test(poisson_arrivals_keep_the_rate_and_vary),
        cmocka_unit_test(a_late_sleeper_is_charged_to_the_start),
        cmocka_unit_test(overload_is_worked_off_and_never_dropped),
        cmocka_unit_test(hopeless_overload_ends_and_is_told),
        cmocka_unit_test(a_closed_loop_keeps_as_many_under_way_as_asked),
        cmocka_unit_test(stages_add_up_to_the_latency),
        cmocka_unit_test(the_slowest_are_kept_in_order),
        cmocka_unit_test(a_failed_operation_ends_the_lane_and_keeps_what_was_measured),
        cmocka_unit_test(sizes_are_drawn_by_their_weights),
        cmocka_unit_test(the_self_test_is_content),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
