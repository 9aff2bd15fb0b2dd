/* histogram.c - merging, and what is read from the counts; see histogram.h. */
#include "tools/bench/histogram.h"

#include <math.h>

void dw_bench_histogram_clear(struct dw_bench_histogram *histogram)
{
    dw_bench_set(&histogram->count, 0);
    dw_bench_set(&histogram->sum, 0);
    dw_bench_set(&histogram->min, 0);
    dw_bench_set(&histogram->max, 0);
    dw_bench_set(&histogram->over, 0);
    for (uint32_t i = 0; i < DW_BENCH_BUCKETS; i++)
        dw_bench_set(&histogram->buckets[i], 0);
}

void dw_bench_histogram_merge(struct dw_bench_histogram *total, const struct dw_bench_histogram *part)
{
    if (dw_bench_get(&part->count) == 0)
        return;
    dw_bench_add(&total->count, dw_bench_get(&part->count));
    dw_bench_add(&total->sum, dw_bench_get(&part->sum));
    dw_bench_add(&total->over, dw_bench_get(&part->over));
    if (dw_bench_get(&part->max) > dw_bench_get(&total->max))
        dw_bench_set(&total->max, dw_bench_get(&part->max));
    if (dw_bench_get(&part->min) - 1 < dw_bench_get(&total->min) - 1)
        dw_bench_set(&total->min, dw_bench_get(&part->min));
    for (uint32_t i = 0; i < DW_BENCH_BUCKETS; i++)
        if (dw_bench_get(&part->buckets[i]) != 0)
            dw_bench_add(&total->buckets[i], dw_bench_get(&part->buckets[i]));
}

uint64_t dw_bench_histogram_smallest(const struct dw_bench_histogram *histogram)
{
    uint64_t min = dw_bench_get(&histogram->min);
    return min ? min - 1 : 0;
}

uint64_t dw_bench_percentile(const struct dw_bench_histogram *histogram, double percent)
{
    uint64_t count = 0, max = dw_bench_get(&histogram->max), min = dw_bench_histogram_smallest(histogram);
    for (uint32_t i = 0; i < DW_BENCH_BUCKETS; i++) /* `count` itself may be one ahead while somebody records */
        count += dw_bench_get(&histogram->buckets[i]);
    if (count == 0)
        return 0;
    /* A hair below, so that 99.9 % of 1000, which floating point makes 999.0000000000001, stays 999. */
    double exact = ceil(percent / 100 * (double)count * (1 - 1e-12));
    uint64_t wanted = exact < 1 ? 1 : (uint64_t)exact;
    if (wanted >= count)
        return max;
    uint64_t seen = 0;
    for (uint32_t i = 0; i < DW_BENCH_BUCKETS; i++) {
        seen += dw_bench_get(&histogram->buckets[i]);
        if (seen >= wanted) {
            uint64_t middle = dw_bench_bucket_middle(i);
            return middle > max ? max : middle < min ? min : middle;
        }
    }
    return max;
}

double dw_bench_mean(const struct dw_bench_histogram *histogram)
{
    uint64_t count = dw_bench_get(&histogram->count);
    return count ? (double)dw_bench_get(&histogram->sum) / (double)count : 0;
}

double dw_bench_deviation(const struct dw_bench_histogram *histogram)
{
    double mean = dw_bench_mean(histogram), sum = 0;
    uint64_t count = dw_bench_get(&histogram->count);
    for (uint32_t i = 0; i < DW_BENCH_BUCKETS; i++) {
        uint64_t here = dw_bench_get(&histogram->buckets[i]);
        double off = (double)dw_bench_bucket_middle(i) - mean;
        if (here)
            sum += off * off * (double)here;
    }
    return count ? sqrt(sum / (double)count) : 0;
}

int dw_bench_is_firm(const struct dw_bench_histogram *histogram, double percent)
{
    double beyond = 1 - percent / 100;
    if (beyond <= 0)
        return dw_bench_get(&histogram->count) > 0;
    return (double)dw_bench_get(&histogram->count) >= 10 / beyond * (1 - 1e-9);
}

uint64_t dw_bench_count_above(const struct dw_bench_histogram *histogram, uint64_t value_ns)
{
    uint64_t sum = 0;
    for (uint32_t i = dw_bench_bucket_of(value_ns) + 1; i < DW_BENCH_BUCKETS; i++)
        sum += dw_bench_get(&histogram->buckets[i]);
    return sum;
}
