/* histogram.c - copy a histogram out, and read percentiles from the copy. See histogram.h for the buckets. */
#include "core/base/histogram.h"

#include <string.h>

_Static_assert(DWAL_HISTOGRAM_BUCKETS % DW_HISTOGRAM_SUB == 0, "whole powers of two");
_Static_assert(DW_HISTOGRAM_RANGE > UINT64_C(100) * 1000 * 1000 * 1000, "reaches 100 s at least");

void dw_histogram_add(const struct dw_histogram *histogram, struct dwal_histogram *copy)
{
    for (uint32_t i = 0; i < DWAL_HISTOGRAM_BUCKETS; i++) {
        uint64_t count = atomic_load_explicit(&histogram->buckets[i], memory_order_relaxed);
        copy->buckets[i] += count;
        copy->count += count;
    }
    copy->sum += atomic_load_explicit(&histogram->sum, memory_order_relaxed);
    uint64_t max = atomic_load_explicit(&histogram->max, memory_order_relaxed);
    if (max > copy->max)
        copy->max = max;
}

void dw_histogram_copy(const struct dw_histogram *histogram, struct dwal_histogram *copy)
{
    memset(copy, 0, sizeof *copy);
    dw_histogram_add(histogram, copy);
}

/* How many values must be at or below the answer: percent of `count`, rounded up, at least 1. */
static uint64_t rank_of(uint64_t count, double percent)
{
    if (!(percent > 0)) /* also when it is no number */
        return 1;
    if (percent >= 100)
        return count;
    double exact = percent * (double)count / 100;
    uint64_t rank = (uint64_t)exact;
    if ((double)rank < exact)
        rank++;
    return rank < 1 ? 1 : rank > count ? count : rank;
}

uint64_t dwal_histogram_percentile(const struct dwal_histogram *histogram, double percent)
{
    if (histogram->count == 0)
        return 0;
    const uint64_t rank = rank_of(histogram->count, percent);
    uint64_t seen = 0;
    for (uint32_t i = 0; i + 1 < DWAL_HISTOGRAM_BUCKETS; i++) {
        seen += histogram->buckets[i];
        if (seen >= rank) {
            uint64_t high = dw_histogram_high(i);
            /* `max` is 0 in a copy that was taken between a count and its maximum. */
            return high < histogram->max || histogram->max == 0 ? high : histogram->max;
        }
    }
    return histogram->max;
}
