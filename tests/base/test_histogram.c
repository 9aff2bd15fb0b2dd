/* test_histogram.c - buckets without gaps, the error bound over the whole range, percentiles against sorted values. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <math.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/histogram.h"

static uint64_t random_state = 1;
static uint64_t random_u64(void)
{
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return random_state;
}

static void buckets_follow_one_another_without_gap(void **state)
{
    (void)state;
    assert_int_equal(dw_histogram_low(0), 0);
    for (uint32_t i = 0; i < DWAL_HISTOGRAM_BUCKETS; i++) {
        uint64_t low = dw_histogram_low(i), high = dw_histogram_high(i);
        assert_true(low <= high);
        assert_int_equal(dw_histogram_index(low), i);
        assert_int_equal(dw_histogram_index(high), i);
        if (i + 1 < DWAL_HISTOGRAM_BUCKETS)
            assert_int_equal(dw_histogram_low(i + 1), high + 1);
        /* The error bound: a bucket is at most 1/64 of its smallest value wide. */
        assert_true((high - low) * 64 < low || high == low);
    }
    assert_int_equal(dw_histogram_high(DWAL_HISTOGRAM_BUCKETS - 1), DW_HISTOGRAM_RANGE - 1);
}

static void range_is_at_least_a_hundred_seconds(void **state)
{
    (void)state;
    assert_true(DW_HISTOGRAM_RANGE >= UINT64_C(100000000000));
    assert_int_equal(DW_HISTOGRAM_RANGE, UINT64_C(1) << 37);
    assert_int_equal(dw_histogram_index(DW_HISTOGRAM_RANGE), DWAL_HISTOGRAM_BUCKETS - 1);
    assert_int_equal(dw_histogram_index(UINT64_MAX), DWAL_HISTOGRAM_BUCKETS - 1);
    for (uint64_t value = 0; value < 128; value++)
        assert_int_equal(dw_histogram_index(value), value); /* exact below 128 */
}

static int compare_u64(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return x < y ? -1 : x > y;
}

static void percentiles_are_within_one_sixty_fourth(void **state)
{
    (void)state;
    static struct dw_histogram histogram;
    static struct dwal_histogram copy;
    static uint64_t values[5000];
    for (int round = 0; round < 50; round++) {
        memset(&histogram, 0, sizeof histogram);
        size_t count = 1 + random_u64() % 5000;
        uint64_t sum = 0;
        for (size_t i = 0; i < count; i++) {
            values[i] = (random_u64() >> 27) >> random_u64() % 37; /* below 2^37, all magnitudes */
            sum += values[i];
            if (round % 2 == 0)
                dw_histogram_record(&histogram, values[i]);
            else
                dw_histogram_record_alone(&histogram, values[i]);
        }
        qsort(values, count, sizeof values[0], compare_u64);
        dw_histogram_copy(&histogram, &copy);
        assert_int_equal(copy.count, count);
        assert_int_equal(copy.sum, sum);
        assert_int_equal(copy.max, values[count - 1]);
        for (double percent = 0; percent <= 100; percent += 0.37) {
            double exact = percent * (double)count / 100;
            size_t rank = (size_t)exact + ((double)(size_t)exact < exact ? 1 : 0);
            uint64_t truth = values[rank == 0 ? 0 : rank - 1];
            uint64_t answer = dwal_histogram_percentile(&copy, percent);
            assert_true(answer >= truth);
            assert_true((answer - truth) * 64 <= truth);
        }
        assert_int_equal(dwal_histogram_percentile(&copy, 100), values[count - 1]);
    }
}

static void percentiles_of_few_values_are_those_values(void **state)
{
    (void)state;
    static struct dw_histogram histogram;
    static struct dwal_histogram copy;
    memset(&histogram, 0, sizeof histogram);
    dw_histogram_copy(&histogram, &copy);
    assert_int_equal(dwal_histogram_percentile(&copy, 50), 0); /* empty */
    for (uint64_t value = 1; value <= 100; value++)
        dw_histogram_record(&histogram, value);
    dw_histogram_copy(&histogram, &copy);
    assert_int_equal(dwal_histogram_percentile(&copy, -1), 1);
    assert_int_equal(dwal_histogram_percentile(&copy, 0), 1);
    assert_int_equal(dwal_histogram_percentile(&copy, (double)NAN), 1);
    for (int percent = 1; percent <= 100; percent++)
        assert_int_equal(dwal_histogram_percentile(&copy, percent), percent);
    assert_int_equal(dwal_histogram_percentile(&copy, 99.01), 100);
    assert_int_equal(dwal_histogram_percentile(&copy, 1000), 100);
}

static void value_beyond_the_range_is_counted_and_told_by_max(void **state)
{
    (void)state;
    static struct dw_histogram histogram;
    static struct dwal_histogram copy;
    memset(&histogram, 0, sizeof histogram);
    dw_histogram_record(&histogram, 5);
    dw_histogram_record(&histogram, UINT64_C(1) << 40);
    dw_histogram_copy(&histogram, &copy);
    assert_int_equal(copy.count, 2);
    assert_int_equal(dwal_histogram_percentile(&copy, 50), 5);
    assert_int_equal(dwal_histogram_percentile(&copy, 99), UINT64_C(1) << 40);
}

static void copy_taken_before_its_maximum_still_answers(void **state)
{
    (void)state;
    static struct dwal_histogram copy;
    memset(&copy, 0, sizeof copy);
    copy.count = 3;
    copy.buckets[200] = 3; /* max is still 0 */
    assert_int_equal(dwal_histogram_percentile(&copy, 50), dw_histogram_high(200));
    copy.max = dw_histogram_low(200);
    assert_int_equal(dwal_histogram_percentile(&copy, 50), copy.max);
}

enum { THREADS = 4, RECORDS = 100000 };
static struct dw_histogram shared;

static void *record_many(void *context)
{
    uint64_t start = (uint64_t)(uintptr_t)context;
    for (uint64_t i = 0; i < RECORDS; i++)
        dw_histogram_record(&shared, start * RECORDS + i);
    return NULL;
}
static void threads_may_record_at_once(void **state)
{
    (void)state;
    pthread_t threads[THREADS];
    for (uintptr_t i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, record_many, (void *)i), 0);
    static struct dwal_histogram copy;
    for (int round = 0; round < 20; round++) { /* copies taken meanwhile hold together */
        dw_histogram_copy(&shared, &copy);
        assert_true(copy.count <= (uint64_t)THREADS * RECORDS);
        assert_true(dwal_histogram_percentile(&copy, 50) <= dwal_histogram_percentile(&copy, 99));
    }
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    dw_histogram_copy(&shared, &copy);
    const uint64_t count = (uint64_t)THREADS * RECORDS;
    assert_int_equal(copy.count, count);
    assert_int_equal(copy.sum, count * (count - 1) / 2);
    assert_int_equal(copy.max, count - 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(buckets_follow_one_another_without_gap),
        cmocka_unit_test(range_is_at_least_a_hundred_seconds),
        cmocka_unit_test(percentiles_are_within_one_sixty_fourth),
        cmocka_unit_test(percentiles_of_few_values_are_those_values),
        cmocka_unit_test(value_beyond_the_range_is_counted_and_told_by_max),
        cmocka_unit_test(copy_taken_before_its_maximum_still_answers),
        cmocka_unit_test(threads_may_record_at_once),
    };
    return cmocka_run_group_tests_name("histogram", tests, NULL, NULL);
}
