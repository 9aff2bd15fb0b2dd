/* measure.h - the instruments of the load programs: a clock, a histogram, the CPU time of this process, one JSON line.
 *
 * Independent of the library on purpose: what is measured does not measure itself. C11 and C++17, header only.
 * Owns: nothing. Each thread has its own histogram; they are added up when the threads have ended.
 * Histogram: log-linear, 128 buckets for each power of two: a percentile is right within 0.8 %. */
#ifndef DW_PERF_MEASURE_H
#define DW_PERF_MEASURE_H

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

static inline uint64_t perf_now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * UINT64_C(1000000000) + (uint64_t)now.tv_nsec;
}

static inline void perf_sleep_ns(uint64_t duration_ns)
{
    struct timespec wait;
    wait.tv_sec = (time_t)(duration_ns / UINT64_C(1000000000));
    wait.tv_nsec = (long)(duration_ns % UINT64_C(1000000000));
    while (nanosleep(&wait, &wait) != 0)
        ;
}

#define PERF_SUB_BITS 7u
#define PERF_BUCKETS  ((64u - PERF_SUB_BITS) << PERF_SUB_BITS)

struct perf_histogram {
    uint64_t count, sum, max;
    uint64_t buckets[PERF_BUCKETS];
};

static inline uint32_t perf_histogram_index(uint64_t value)
{
    if (value < (1u << PERF_SUB_BITS))
        return (uint32_t)value;
    uint32_t exponent = 63u - (uint32_t)__builtin_clzll(value);
    return ((exponent - PERF_SUB_BITS + 1) << PERF_SUB_BITS) +
           (uint32_t)((value >> (exponent - PERF_SUB_BITS)) & ((1u << PERF_SUB_BITS) - 1));
}
/* The middle of a bucket. */
static inline uint64_t perf_histogram_value(uint32_t index)
{
    if (index < (1u << PERF_SUB_BITS))
        return index;
    uint32_t shift = (index >> PERF_SUB_BITS) - 1;
    return ((uint64_t)((index & ((1u << PERF_SUB_BITS) - 1)) + (1u << PERF_SUB_BITS)) << shift) +
           ((UINT64_C(1) << shift) >> 1);
}
static inline void perf_histogram_add(struct perf_histogram *histogram, uint64_t value)
{
    histogram->count++;
    histogram->sum += value;
    if (value > histogram->max)
        histogram->max = value;
    histogram->buckets[perf_histogram_index(value)]++;
}
static inline void perf_histogram_merge(struct perf_histogram *total, const struct perf_histogram *part)
{
    total->count += part->count;
    total->sum += part->sum;
    if (part->max > total->max)
        total->max = part->max;
    for (uint32_t i = 0; i < PERF_BUCKETS; i++)
        total->buckets[i] += part->buckets[i];
}
static inline double perf_histogram_us(const struct perf_histogram *histogram, double percent)
{
    uint64_t wanted = (uint64_t)(percent / 100 * (double)histogram->count + 0.5);
    uint64_t seen = 0;
    if (wanted < 1)
        wanted = 1;
    for (uint32_t i = 0; i < PERF_BUCKETS; i++) {
        seen += histogram->buckets[i];
        if (seen >= wanted) {
            uint64_t value = perf_histogram_value(i);
            return (double)(value < histogram->max ? value : histogram->max) / 1e3;
        }
    }
    return (double)histogram->max / 1e3;
}
/* "p50_us":...,"max_us":... without braces. */
static inline void perf_histogram_print(const struct perf_histogram *histogram)
{
    printf("\"p50_us\":%.1f,\"p99_us\":%.1f,\"p999_us\":%.1f,\"max_us\":%.1f", perf_histogram_us(histogram, 50),
           perf_histogram_us(histogram, 99), perf_histogram_us(histogram, 99.9), (double)histogram->max / 1e3);
}

static inline double perf_seconds_of(struct timeval time)
{
    return (double)time.tv_sec + (double)time.tv_usec / 1e6;
}
/* CPU time of this process, user and system. What kernel threads do for it is not in it. */
static inline double perf_cpu_s(void)
{
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    return perf_seconds_of(usage.ru_utime) + perf_seconds_of(usage.ru_stime);
}

/* Bytes without pattern, so that no layer below can compress them. */
static inline void perf_fill_random(void *bytes, size_t size, uint64_t seed)
{
    unsigned char *at = (unsigned char *)bytes;
    uint64_t x = seed * UINT64_C(0x9e3779b97f4a7c15) + UINT64_C(88172645463325252);
    for (size_t i = 0; i < size; i++) {
        x ^= x << 13;
        x ^= x >> 7;
        x ^= x << 17;
        at[i] = (unsigned char)(x >> 24);
    }
}

#endif
