/* histogram.h - durations, 1 ns to 100 s, counted log-linearly.
 *
 * Owns: nothing; it lies where its user puts it (zeroed = empty). Called by: one writer (a lane's thread), and any thread
 * that looks on; merged by the main thread when the lanes have ended.
 * Buckets: values below 128 ns have one each; from there each power of two has 128 of equal width, so a bucket is at most
 * 1/128 of its values wide and its middle is off by at most 1/256 (0.39 %). That is the layout of HdrHistogram with two
 * digits: the counts go out into its formats without loss.
 * Longer than 100 s: counted in the bucket of 100 s; `max` and `sum` are exact, and `over` tells how many.
 * The writer's counts are relaxed and its own alone: each is a plain load, add and store; a reader may be one sample late. */
#ifndef DW_TOOLS_BENCH_HISTOGRAM_H
#define DW_TOOLS_BENCH_HISTOGRAM_H

#include <stdatomic.h>
#include <stdint.h>

#define DW_BENCH_SUB_BITS 7u
#define DW_BENCH_SUB      (1u << DW_BENCH_SUB_BITS)
#define DW_BENCH_LONGEST  UINT64_C(100000000000)
#define DW_BENCH_BUCKETS  3968u /* as many as HdrHistogram has for this range; 100 s is in the 3899th */

struct dw_bench_histogram {
    _Atomic uint64_t count, sum, min, max, over; /* min: of what was recorded, plus one; 0: nothing was */
    _Atomic uint64_t buckets[DW_BENCH_BUCKETS];
};

static inline uint32_t dw_bench_bucket_of(uint64_t value_ns)
{
    if (value_ns < DW_BENCH_SUB)
        return (uint32_t)value_ns;
    if (value_ns > DW_BENCH_LONGEST)
        value_ns = DW_BENCH_LONGEST;
    uint32_t shift = 63u - (uint32_t)__builtin_clzll(value_ns) - DW_BENCH_SUB_BITS;
    return (shift << DW_BENCH_SUB_BITS) + (uint32_t)(value_ns >> shift);
}
/* Smallest and largest value of a bucket, and what is told for those in it. */
static inline uint64_t dw_bench_bucket_low(uint32_t bucket)
{
    if (bucket < DW_BENCH_SUB)
        return bucket;
    uint32_t shift = (bucket >> DW_BENCH_SUB_BITS) - 1;
    return ((uint64_t)(bucket & (DW_BENCH_SUB - 1)) + DW_BENCH_SUB) << shift;
}
static inline uint64_t dw_bench_bucket_high(uint32_t bucket)
{
    return dw_bench_bucket_low(bucket + 1) - 1;
}
static inline uint64_t dw_bench_bucket_middle(uint32_t bucket)
{
    uint64_t low = dw_bench_bucket_low(bucket);
    return low + (dw_bench_bucket_high(bucket) - low) / 2;
}

static inline uint64_t dw_bench_get(const _Atomic uint64_t *value)
{
    return atomic_load_explicit(value, memory_order_relaxed);
}
static inline void dw_bench_set(_Atomic uint64_t *value, uint64_t to)
{
    atomic_store_explicit(value, to, memory_order_relaxed);
}
static inline void dw_bench_add(_Atomic uint64_t *value, uint64_t by) /* by the one writer */
{
    dw_bench_set(value, dw_bench_get(value) + by);
}

static inline void dw_bench_record(struct dw_bench_histogram *histogram, uint64_t value_ns)
{
    dw_bench_add(&histogram->buckets[dw_bench_bucket_of(value_ns)], 1);
    dw_bench_add(&histogram->count, 1);
    dw_bench_add(&histogram->sum, value_ns);
    if (__builtin_expect(value_ns > dw_bench_get(&histogram->max), 0))
        dw_bench_set(&histogram->max, value_ns);
    if (__builtin_expect(value_ns < dw_bench_get(&histogram->min) - 1, 0)) /* 0 - 1: the largest number */
        dw_bench_set(&histogram->min, value_ns + 1);
    if (__builtin_expect(value_ns > DW_BENCH_LONGEST, 0))
        dw_bench_add(&histogram->over, 1);
}

void dw_bench_histogram_clear(struct dw_bench_histogram *histogram);
/* Add `part` to `total`. The result is what recording everything into one would have given. */
void dw_bench_histogram_merge(struct dw_bench_histogram *total, const struct dw_bench_histogram *part);
uint64_t dw_bench_histogram_smallest(const struct dw_bench_histogram *histogram);
/* The value that `percent` of the samples do not exceed: the smallest value with at least ceil(percent/100 x count)
 * samples at or below it, told to within 1/256; 100 gives `max`; 0 when there are no samples. */
uint64_t dw_bench_percentile(const struct dw_bench_histogram *histogram, double percent);
double dw_bench_mean(const struct dw_bench_histogram *histogram);
double dw_bench_deviation(const struct dw_bench_histogram *histogram);
/* Are there enough samples for this percentile to mean something: 10/(1-p)? */
int dw_bench_is_firm(const struct dw_bench_histogram *histogram, double percent);
/* How many samples are longer than `value_ns`, to within its bucket. */
uint64_t dw_bench_count_above(const struct dw_bench_histogram *histogram, uint64_t value_ns);

#endif
