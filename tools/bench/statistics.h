/* statistics.h - medians and bootstrap intervals. Pure functions; the random numbers are the same each time. */
#ifndef DW_TOOLS_BENCH_STATISTICS_H
#define DW_TOOLS_BENCH_STATISTICS_H

#include <stdbool.h>
#include <stdint.h>

struct dw_bench_ratio {
    double value, low, high; /* 95 % interval */
    bool is_known;           /* there were values to compare */
};

/* The median; `values` is sorted by it. 0 of none. */
double dw_bench_median(double *values, uint32_t count);
/* Rounds that were run side by side: the median of b[i]/a[i], its interval by resampling the rounds. */
struct dw_bench_ratio dw_bench_ratio_paired(const double *a, const double *b, uint32_t count);
/* Two runs that were not: median of b over median of a, its interval by resampling the rounds of each. */
struct dw_bench_ratio dw_bench_ratio_apart(const double *a, uint32_t a_count, const double *b, uint32_t b_count);
/* Nothing is shown: the interval holds 1, or there were too few rounds to have one. */
bool dw_bench_ratio_is_noise(const struct dw_bench_ratio *ratio);

#endif
