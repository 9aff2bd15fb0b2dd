/* statistics.c - see statistics.h. Bounded memory: at most DW_BENCH_ROUNDS_MAX values of each side. */
#include "tools/bench/statistics.h"

#include <stdlib.h>
#include <string.h>

#include "tools/bench/bench.h"
#include "tools/bench/lane.h"

enum { RESAMPLES = 2000 };

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

double dw_bench_median(double *values, uint32_t count)
{
    if (count == 0)
        return 0;
    qsort(values, count, sizeof *values, compare);
    return count % 2 ? values[count / 2] : (values[count / 2 - 1] + values[count / 2]) / 2;
}

static double resampled_median(const double *values, uint32_t count, uint64_t *random, double *room)
{
    for (uint32_t i = 0; i < count; i++)
        room[i] = values[(dw_bench_random(random) >> 20) % count];
    return dw_bench_median(room, count);
}

static void take_interval(struct dw_bench_ratio *ratio, double *resampled)
{
    qsort(resampled, RESAMPLES, sizeof *resampled, compare);
    ratio->low = resampled[RESAMPLES * 25 / 1000];
    ratio->high = resampled[RESAMPLES * 975 / 1000 - 1];
    ratio->is_known = true;
}

struct dw_bench_ratio dw_bench_ratio_paired(const double *a, const double *b, uint32_t count)
{
    struct dw_bench_ratio ratio = {0};
    double each[DW_BENCH_ROUNDS_MAX], room[DW_BENCH_ROUNDS_MAX], resampled[RESAMPLES];
    uint32_t known = 0;
    for (uint32_t i = 0; i < count && i < DW_BENCH_ROUNDS_MAX; i++)
        if (a[i] > 0 && b[i] > 0)
            each[known++] = b[i] / a[i];
    if (known == 0)
        return ratio;
    uint64_t random = 20260101;
    for (int i = 0; i < RESAMPLES; i++)
        resampled[i] = resampled_median(each, known, &random, room);
    ratio.value = dw_bench_median(each, known);
    take_interval(&ratio, resampled);
    return ratio;
}

struct dw_bench_ratio dw_bench_ratio_apart(const double *a, uint32_t a_count, const double *b, uint32_t b_count)
{
    struct dw_bench_ratio ratio = {0};
    double sorted[DW_BENCH_ROUNDS_MAX], room[DW_BENCH_ROUNDS_MAX], resampled[RESAMPLES];
    a_count = a_count < DW_BENCH_ROUNDS_MAX ? a_count : DW_BENCH_ROUNDS_MAX;
    b_count = b_count < DW_BENCH_ROUNDS_MAX ? b_count : DW_BENCH_ROUNDS_MAX;
    memcpy(sorted, a, a_count * sizeof *a);
    double of_a = dw_bench_median(sorted, a_count);
    memcpy(sorted, b, b_count * sizeof *b);
    double of_b = dw_bench_median(sorted, b_count);
    if (of_a <= 0 || of_b <= 0)
        return ratio;
    uint64_t random = 20260101;
    for (int i = 0; i < RESAMPLES; i++) {
        double below = resampled_median(a, a_count, &random, room);
        double above = resampled_median(b, b_count, &random, room);
        resampled[i] = below > 0 ? above / below : 0;
    }
    ratio.value = of_b / of_a;
    take_interval(&ratio, resampled);
    return ratio;
}

bool dw_bench_ratio_is_noise(const struct dw_bench_ratio *ratio)
{
    return !ratio->is_known || (ratio->low <= 1 && ratio->high >= 1);
}
