/* compare.c - dwal bench compare; see compare.h.
 *
 * Happy path: two JSON files -> contenders of the same label -> for each metric the ratio of the medians of the rounds and
 * its interval by resampling -> one line in words. Two runs are not interleaved: what the machine became in between is in
 * every ratio. So where both runs hold bare writes under the same load, the judgement is of the ratio to those, round by
 * round, in which the machine falls out. A difference smaller than the noise that the runs found in themselves (the
 * baseline beside itself) is noise, and so is one whose interval holds 1. */
#include "tools/bench/compare.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "tools/bench/json_read.h"
#include "tools/bench/live.h"
#include "tools/bench/statistics.h"
#include "tools/message.h"
#include "tools/options.h"
#include "tools/output.h"
#include "tools/tool.h"

enum { LABEL_SIZE = 300, ROUNDS_FEW = 5 };

static const struct {
    const char *field, *name;
    bool is_time, is_more_better, is_judged;
} metrics[] = {
    {"p50", "p50", true, false, true},      {"p90", "p90", true, false, false},   {"p99", "p99", true, false, true},
    {"p99_9", "p99.9", true, false, false}, {"rate", "ops/s", false, true, true}, {"cpu", "CPU/op", true, false, false},
};
enum { METRICS = sizeof metrics / sizeof metrics[0] };

struct side {
    const char *path;
    struct dw_bench_json json;
    double noise; /* part by which its baseline differs from itself */
};

/* ---- reading -------------------------------------------------------------------------------------------------------------*/

static int open_side(struct side *side, const char *path)
{
    char format[64];
    side->path = path;
    int result = dw_bench_json_open(&side->json, path);
    if (result < 0) {
        dw_message_error("give files that dwal bench --json wrote", "%s: %s", path,
                         result == -EBADMSG ? "this is no JSON" : strerror(-result));
        return -1;
    }
    uint32_t field = dw_bench_json_field(&side->json, 0, "format");
    if (strcmp(dw_bench_json_text(&side->json, field, format, sizeof format), "dwal-bench-1") != 0) {
        dw_message_error("give files that dwal bench --json wrote", "%s: this is no result of dwal bench", path);
        return -1;
    }
    double itself = dw_bench_json_number(&side->json, dw_bench_json_field(&side->json, 0, "baseline_beside_itself"));
    side->noise = itself > 0 ? fabs(itself - 1) : 0;
    return 0;
}

static uint32_t find_contender(const struct side *side, const char *label)
{
    uint32_t list = dw_bench_json_field(&side->json, 0, "contenders");
    for (uint32_t at = list ? dw_bench_json_first(&side->json, list) : 0; at;
         at = dw_bench_json_next(&side->json, list, at)) {
        char text[LABEL_SIZE];
        uint32_t field = dw_bench_json_field(&side->json, at, "label");
        if (strcmp(dw_bench_json_text(&side->json, field, text, sizeof text), label) == 0)
            return at;
    }
    return 0;
}

static uint32_t read_rounds(const struct side *side, uint32_t contender, const char *field, double *values)
{
    uint32_t count = 0, list = dw_bench_json_field(&side->json, contender, "rounds");
    for (uint32_t at = list ? dw_bench_json_first(&side->json, list) : 0; at && count < DW_BENCH_ROUNDS_MAX;
         at = dw_bench_json_next(&side->json, list, at))
        values[count++] = dw_bench_json_number(&side->json, dw_bench_json_field(&side->json, at, field));
    return count;
}

/* The contender's rounds over those of the bare writes under its load; 0: the run has none. */
static uint32_t read_beside(const struct side *side, uint32_t contender, const char *field, double *values)
{
    char label[LABEL_SIZE];
    uint32_t beside = dw_bench_json_field(&side->json, contender, "beside");
    uint32_t name = beside ? dw_bench_json_field(&side->json, beside, "label") : 0;
    uint32_t bare = name ? find_contender(side, dw_bench_json_text(&side->json, name, label, sizeof label)) : 0;
    if (!bare)
        return 0;
    double below[DW_BENCH_ROUNDS_MAX], above[DW_BENCH_ROUNDS_MAX];
    uint32_t bare_count = read_rounds(side, bare, field, below), kept = 0;
    uint32_t count = read_rounds(side, contender, field, above);
    for (uint32_t i = 0; i < count && i < bare_count; i++)
        if (below[i] > 0 && above[i] > 0)
            values[kept++] = above[i] / below[i];
    return kept;
}

/* ---- judging -------------------------------------------------------------------------------------------------------------*/

static const char *judge(const struct dw_bench_ratio *ratio, double noise, bool is_more_better, bool is_enough,
                         bool *is_worse)
{
    *is_worse = false;
    if (!ratio->is_known)
        return "not measured in both";
    if (!is_enough)
        return "too few rounds to tell";
    if (dw_bench_ratio_is_noise(ratio))
        return "no difference shown: noise";
    if (fabs(ratio->value - 1) <= noise)
        return "smaller than the noise of the runs themselves";
    *is_worse = (ratio->value > 1) != is_more_better;
    return *is_worse ? "WORSE" : "better";
}

static void value_text(char text[24], double value, bool is_time)
{
    char time[16];
    if (is_time)
        (void)snprintf(text, 24, "%s", dw_bench_time_text(time, value));
    else
        (void)snprintf(text, 24, "%.0f", value);
}

static void print_ratio(const char *what, const struct dw_bench_ratio *ratio)
{
    char interval[48];
    (void)snprintf(interval, sizeof interval, "(%.3g..%.3g)", ratio->low, ratio->high);
    dw_output_format(" %s %6.3g %-15s", what, ratio->value, interval);
}

static bool compare_metric(const struct side *a, uint32_t in_a, const struct side *b, uint32_t in_b, int metric)
{
    double of_a[DW_BENCH_ROUNDS_MAX], of_b[DW_BENCH_ROUNDS_MAX];
    const char *field = metrics[metric].field;
    uint32_t a_count = read_rounds(a, in_a, field, of_a), b_count = read_rounds(b, in_b, field, of_b);
    struct dw_bench_ratio plain = dw_bench_ratio_apart(of_a, a_count, of_b, b_count), judged = plain;
    char before[24], after[24];
    value_text(before, dw_bench_median(of_a, a_count), metrics[metric].is_time);
    value_text(after, dw_bench_median(of_b, b_count), metrics[metric].is_time);
    uint32_t a_beside = read_beside(a, in_a, field, of_a), b_beside = read_beside(b, in_b, field, of_b);
    bool is_beside = a_beside > 0 && b_beside > 0;
    if (is_beside) {
        judged = dw_bench_ratio_apart(of_a, a_beside, of_b, b_beside);
        a_count = a_beside;
        b_count = b_beside;
    }
    bool is_worse;
    double noise = a->noise > b->noise ? a->noise : b->noise;
    const char *verdict = judge(&judged, noise, metrics[metric].is_more_better,
                                a_count >= ROUNDS_FEW && b_count >= ROUNDS_FEW, &is_worse);
    dw_output_format("  %-7s %10s -> %-10s", metrics[metric].name, before, after);
    print_ratio("", &plain);
    if (is_beside)
        print_ratio("beside bare writes", &judged);
    dw_output_format("  %s\n", verdict);
    return is_worse && metrics[metric].is_judged;
}

static bool compare_contenders(const struct side *a, const struct side *b, uint32_t *compared)
{
    bool is_worse = false;
    uint32_t list = dw_bench_json_field(&a->json, 0, "contenders");
    for (uint32_t at = list ? dw_bench_json_first(&a->json, list) : 0; at;
         at = dw_bench_json_next(&a->json, list, at)) {
        char label[LABEL_SIZE];
        (void)dw_bench_json_text(&a->json, dw_bench_json_field(&a->json, at, "label"), label, sizeof label);
        uint32_t other = find_contender(b, label);
        if (!other) {
            dw_output_format("%s\n  only in ", label);
            dw_output_path(a->path);
            dw_output_text("\n");
            continue;
        }
        dw_output_format("%s\n", label);
        ++*compared;
        for (int metric = 0; metric < METRICS; metric++)
            is_worse |= compare_metric(a, at, b, other, metric);
    }
    return is_worse;
}

static void tell_noise(const struct side *side)
{
    if (side->noise <= 0.03)
        return;
    dw_output_path(side->path);
    dw_output_format(": its baseline is %.0f %% off itself: a noisy run, smaller differences are not believed\n",
                     side->noise * 100);
}

static int compare_sides(struct side *a, struct side *b)
{
    uint32_t compared = 0;
    dw_output_text("A: ");
    dw_output_path(a->path);
    dw_output_text("\nB: ");
    dw_output_path(b->path);
    dw_output_text("\nratios are B to A, medians of the rounds, with 95 % intervals\n\n");
    tell_noise(a);
    tell_noise(b);
    bool is_worse = compare_contenders(a, b, &compared);
    if (compared == 0) {
        dw_message_error("measure the same loads in both", "%s and %s have no contender in common", a->path, b->path);
        return DW_EXIT_WRONG;
    }
    dw_output_text(is_worse ? "\nB is worse than A.\n" : "\nNothing is worse in B than noise explains.\n");
    return is_worse ? DW_BENCH_EXIT_WORSE : DW_EXIT_GOOD;
}

int dw_bench_compare(int argument_count, char **arguments)
{
    if (argument_count == 1 && (strcmp(arguments[0], "--help") == 0 || strcmp(arguments[0], "-h") == 0)) {
        dw_output_text("usage: dwal bench compare A.json B.json\n\n"
                       "Tell what differs between two runs that dwal bench --json wrote, and what is noise.\n"
                       "Exit status: 0 nothing is worse in B (p50, p99, ops/s), 3 something is, 1 wrong use.\n");
        return DW_EXIT_GOOD;
    }
    if (argument_count != 2) {
        dw_message_error("see dwal bench compare --help", "compare needs two files, %d were given", argument_count);
        return DW_EXIT_WRONG;
    }
    static struct side a, b;
    int status = DW_EXIT_WRONG;
    if (open_side(&a, arguments[0]) == 0 && open_side(&b, arguments[1]) == 0)
        status = compare_sides(&a, &b);
    dw_bench_json_close(&a.json);
    dw_bench_json_close(&b.json);
    return status;
}
