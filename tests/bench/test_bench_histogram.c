/* test_bench_histogram.c - the benchmark's histogram beside the exact answer, and the statistics of rounds. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <math.h>

#include <cmocka.h>

#include "tools/bench/histogram.h"
#include "tools/bench/lane.h"
#include "tools/bench/statistics.h"

enum { SAMPLES = 100000 };

/* Anything from nanoseconds to 100 seconds, every power of two equally often. */
static uint64_t draw(uint64_t *random)
{
    uint64_t bits = dw_bench_random(random);
    uint64_t value = (bits >> 8) >> (64 - 8 - (bits % 37));
    return value > DW_BENCH_LONGEST ? DW_BENCH_LONGEST : value;
}

static int compare(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

static void each_value_lies_in_its_bucket_and_buckets_follow_one_another(void **state)
{
    (void)state;
    for (uint32_t i = 0; i + 1 < DW_BENCH_BUCKETS; i++) {
        assert_true(dw_bench_bucket_low(i) <= dw_bench_bucket_high(i));
        assert_int_equal(dw_bench_bucket_high(i) + 1, dw_bench_bucket_low(i + 1));
    }
    uint64_t random = 7;
    for (int i = 0; i < SAMPLES; i++) {
        uint64_t value = draw(&random);
        uint32_t bucket = dw_bench_bucket_of(value);
        assert_true(bucket < DW_BENCH_BUCKETS);
        assert_true(dw_bench_bucket_low(bucket) <= value && value <= dw_bench_bucket_high(bucket));
    }
}

static void told_values_are_within_the_stated_error(void **state)
{
    (void)state;
    uint64_t random = 11;
    for (int i = 0; i < SAMPLES; i++) {
        uint64_t value = draw(&random), told = dw_bench_bucket_middle(dw_bench_bucket_of(value));
        double off = value ? fabs((double)told - (double)value) / (double)value : (double)told;
        if (off > 0.004)
            fail_msg("%llu is told as %llu", (unsigned long long)value, (unsigned long long)told);
    }
}

static void percentiles_agree_with_sorting(void **state)
{
    (void)state;
    static struct dw_bench_histogram histogram;
    static uint64_t values[SAMPLES];
    static const double percents[] = {0, 1, 10, 50, 90, 99, 99.9, 99.99, 99.999, 100};
    for (uint64_t seed = 1; seed <= 20; seed++) {
        uint64_t random = seed * 77 + 1;
        size_t count = seed == 1 ? 1 : seed == 2 ? 2 : seed == 3 ? 1000 : SAMPLES / seed;
        dw_bench_histogram_clear(&histogram);
        for (size_t i = 0; i < count; i++)
            dw_bench_record(&histogram, values[i] = draw(&random));
        qsort(values, count, sizeof values[0], compare);
        for (size_t p = 0; p < sizeof percents / sizeof percents[0]; p++) {
            double rank = ceil(percents[p] / 100 * (double)count - 1e-6);
            uint64_t exact = values[rank < 1 ? 0 : (size_t)rank - 1];
            uint64_t told = dw_bench_percentile(&histogram, percents[p]);
            if (fabs((double)told - (double)exact) > 0.004 * (double)exact)
                fail_msg("p%g of %zu: exact %llu, told %llu", percents[p], count, (unsigned long long)exact,
                         (unsigned long long)told);
        }
        assert_int_equal(dw_bench_get(&histogram.max), values[count - 1]);
        assert_int_equal(dw_bench_histogram_smallest(&histogram), values[0]);
    }
}

static void merging_is_the_same_as_recording_into_one(void **state)
{
    (void)state;
    static struct dw_bench_histogram one, parts[3], total;
    uint64_t random = 5;
    for (int i = 0; i < SAMPLES; i++) {
        uint64_t value = draw(&random);
        dw_bench_record(&one, value);
        dw_bench_record(&parts[i % 2 ? 0 : i % 3], value);
    }
    for (int i = 0; i < 3; i++)
        dw_bench_histogram_merge(&total, &parts[i]);
    assert_memory_equal(&one, &total, sizeof one);
}

static void nothing_and_too_much_are_told_as_such(void **state)
{
    (void)state;
    static struct dw_bench_histogram histogram;
    assert_int_equal(dw_bench_percentile(&histogram, 99), 0);
    assert_int_equal(dw_bench_histogram_smallest(&histogram), 0);
    assert_false(dw_bench_is_firm(&histogram, 50));
    dw_bench_record(&histogram, 3 * DW_BENCH_LONGEST);
    assert_int_equal(dw_bench_get(&histogram.over), 1);
    assert_int_equal(dw_bench_get(&histogram.max), 3 * DW_BENCH_LONGEST);
    assert_int_equal(dw_bench_percentile(&histogram, 50), 3 * DW_BENCH_LONGEST);
}

static void a_percentile_is_firm_from_ten_samples_beyond_it_on(void **state)
{
    (void)state;
    static struct dw_bench_histogram histogram;
    for (int i = 0; i < 9999; i++)
        dw_bench_record(&histogram, 1000);
    assert_true(dw_bench_is_firm(&histogram, 99));
    assert_false(dw_bench_is_firm(&histogram, 99.9));
    dw_bench_record(&histogram, 1000);
    assert_true(dw_bench_is_firm(&histogram, 99.9));
    assert_false(dw_bench_is_firm(&histogram, 99.99));
}

static void samples_above_a_limit_are_counted(void **state)
{
    (void)state;
    static struct dw_bench_histogram histogram;
    for (uint64_t us = 1; us <= 1000; us++)
        dw_bench_record(&histogram, us * 1000);
    uint64_t above = dw_bench_count_above(&histogram, 500000);
    assert_true(above >= 496 && above <= 500); /* to within the bucket of 0.5 ms */
}

/* ---- rounds ------------------------------------------------------------------------------------------------------------*/

static double noisy(uint64_t *random, double value)
{
    return value * (0.9 + 0.2 * (double)(dw_bench_random(random) >> 40) / (double)(1 << 24));
}

static void equal_sides_are_noise_and_unequal_ones_are_not(void **state)
{
    (void)state;
    uint64_t random = 3;
    double a[30], b[30], c[30];
    for (int i = 0; i < 30; i++) {
        a[i] = noisy(&random, 100);
        b[i] = noisy(&random, 100);
        c[i] = noisy(&random, 130);
    }
    struct dw_bench_ratio same = dw_bench_ratio_apart(a, 30, b, 30), other = dw_bench_ratio_apart(a, 30, c, 30);
    assert_true(dw_bench_ratio_is_noise(&same));
    assert_false(dw_bench_ratio_is_noise(&other));
    assert_true(other.low <= other.value && other.value <= other.high);
    assert_true(other.value > 1.2 && other.value < 1.4);
    struct dw_bench_ratio none = dw_bench_ratio_apart(a, 0, b, 30);
    assert_true(dw_bench_ratio_is_noise(&none));
    assert_false(none.is_known);
}

static void a_slow_minute_falls_on_both_halves_of_a_paired_ratio(void **state)
{
    (void)state;
    double a[10], b[10];
    for (int i = 0; i < 10; i++) {
        double minute = i < 5 ? 1 : 7; /* the machine is seven times slower in half of the rounds */
        a[i] = 100 * minute;
        b[i] = 110 * minute;
    }
    struct dw_bench_ratio ratio = dw_bench_ratio_paired(a, b, 10);
    assert_true(ratio.value > 1.0999 && ratio.value < 1.1001);
    assert_false(dw_bench_ratio_is_noise(&ratio));
}

static void the_median_is_the_middle(void **state)
{
    (void)state;
    double odd[] = {9, 1, 5}, even[] = {4, 1, 3, 2};
    assert_true(dw_bench_median(odd, 3) > 4.9 && dw_bench_median(odd, 3) < 5.1);
    assert_true(dw_bench_median(even, 4) > 2.4 && dw_bench_median(even, 4) < 2.6);
    assert_true(dw_bench_median(NULL, 0) < 0.1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_value_lies_in_its_bucket_and_buckets_follow_one_another),
        cmocka_unit_test(told_values_are_within_the_stated_error),
        cmocka_unit_test(percentiles_agree_with_sorting),
        cmocka_unit_test(merging_is_the_same_as_recording_into_one),
        cmocka_unit_test(nothing_and_too_much_are_told_as_such),
        cmocka_unit_test(a_percentile_is_firm_from_ten_samples_beyond_it_on),
        cmocka_unit_test(samples_above_a_limit_are_counted),
        cmocka_unit_test(equal_sides_are_noise_and_unequal_ones_are_not),
        cmocka_unit_test(a_slow_minute_falls_on_both_halves_of_a_paired_ratio),
        cmocka_unit_test(the_median_is_the_middle),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
