/* histogram.h - counts durations into the buckets of struct dwal_histogram, from any number of threads, without locks.
 *
 * Owns: nothing; a struct dw_histogram lies where its user puts it (zeroed = empty) and needs no closing.
 * Called by: any thread, on the commit path; copied out by dwal_get_stats.
 * Buckets: values below 64 ns have one each. From there each power of two has 64 of equal width, so a bucket is at most
 * 1/64 of its values wide. The last bucket ends at 2^37-1 ns (137 s); longer ones are counted in it as well, and `max`
 * tells the longest. A percentile answers the upper edge of its bucket (never more than `max`): it is never below the
 * true value and above it by less than 1/64 (1.6 %), up to 2^37-1. */
#ifndef DW_CORE_BASE_HISTOGRAM_H
#define DW_CORE_BASE_HISTOGRAM_H

#include <dwal/dwal.h>
#include <stdatomic.h>

#include "base/compiler.h"

#define DW_HISTOGRAM_SUB_BITS 6u /* 64 buckets for each power of two */
#define DW_HISTOGRAM_SUB      (1u << DW_HISTOGRAM_SUB_BITS)
/* First value that is beyond the last bucket's own range. */
#define DW_HISTOGRAM_RANGE (UINT64_C(1) << (DWAL_HISTOGRAM_BUCKETS / DW_HISTOGRAM_SUB + DW_HISTOGRAM_SUB_BITS - 1))

struct dw_histogram {
    /* All relaxed: each is a count of its own that orders nothing. */
    _Atomic uint64_t sum, max;
    _Atomic uint64_t buckets[DWAL_HISTOGRAM_BUCKETS];
};

static inline uint32_t dw_histogram_index(uint64_t value_ns)
{
    if (DW_UNLIKELY(value_ns >= DW_HISTOGRAM_RANGE))
        return DWAL_HISTOGRAM_BUCKETS - 1;
    if (value_ns < DW_HISTOGRAM_SUB)
        return (uint32_t)value_ns;
    uint32_t shift = 63u - (uint32_t)__builtin_clzll(value_ns) - DW_HISTOGRAM_SUB_BITS;
    return (shift << DW_HISTOGRAM_SUB_BITS) + (uint32_t)(value_ns >> shift);
}
/* Smallest and largest value of a bucket. */
static inline uint64_t dw_histogram_low(uint32_t index)
{
    if (index < DW_HISTOGRAM_SUB)
        return index;
    uint32_t shift = (index >> DW_HISTOGRAM_SUB_BITS) - 1;
    return ((uint64_t)(index & (DW_HISTOGRAM_SUB - 1)) + DW_HISTOGRAM_SUB) << shift;
}
static inline uint64_t dw_histogram_high(uint32_t index)
{
    return index + 1 < DWAL_HISTOGRAM_BUCKETS ? dw_histogram_low(index + 1) - 1 : DW_HISTOGRAM_RANGE - 1;
}

static inline void dw_histogram_record(struct dw_histogram *histogram, uint64_t value_ns)
{
    atomic_fetch_add_explicit(&histogram->buckets[dw_histogram_index(value_ns)], 1, memory_order_relaxed);
    atomic_fetch_add_explicit(&histogram->sum, value_ns, memory_order_relaxed);
    uint64_t max = atomic_load_explicit(&histogram->max, memory_order_relaxed);
    while (DW_UNLIKELY(value_ns > max) &&
           !atomic_compare_exchange_weak_explicit(&histogram->max, &max, value_ns, memory_order_relaxed,
                                                  memory_order_relaxed))
        ;
}

/* The same where only one thread at a time records into this histogram, and hands it on to the next in order. */
static inline void dw_histogram_record_alone(struct dw_histogram *histogram, uint64_t value_ns)
{
    _Atomic uint64_t *bucket = &histogram->buckets[dw_histogram_index(value_ns)];
    atomic_store_explicit(bucket, atomic_load_explicit(bucket, memory_order_relaxed) + 1, memory_order_relaxed);
    uint64_t sum = atomic_load_explicit(&histogram->sum, memory_order_relaxed);
    atomic_store_explicit(&histogram->sum, sum + value_ns, memory_order_relaxed);
    if (value_ns > atomic_load_explicit(&histogram->max, memory_order_relaxed))
        atomic_store_explicit(&histogram->max, value_ns, memory_order_relaxed);
}

/* A copy taken while others may be counting: `count` is the sum of the copied buckets, so that percentiles are
 * consistent; `sum` and `max` may be of a moment earlier or later. */
void dw_histogram_copy(const struct dw_histogram *histogram, struct dwal_histogram *copy);
/* The same, added to what the copy holds. */
void dw_histogram_add(const struct dw_histogram *histogram, struct dwal_histogram *copy);

#endif
