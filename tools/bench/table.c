/* table.c - a run as text on standard output; see report.h.
 *
 * A percentile with fewer than 10/(1-p) samples behind it is marked with '?' and faint on a terminal: it is one or two
 * lucky samples, not a percentile. */
#include <inttypes.h>
#include <string.h>
#include <unistd.h>

#include "tools/bench/live.h"
#include "tools/bench/report.h"
#include "tools/bench/statistics.h"
#include "tools/message.h"
#include "tools/output.h"

#define NOISE_LIMIT 0.03

const double dw_bench_percents[DW_BENCH_PERCENTS] = {50, 90, 99, 99.9, 99.99, 99.999, 100};
const char *const dw_bench_percent_names[DW_BENCH_PERCENTS] = {"p50",    "p90",     "p99", "p99.9",
                                                               "p99.99", "p99.999", "max"};

void dw_bench_load_text(const struct dw_bench_load *load, char *text, size_t size)
{
    char entries[96] = "";
    for (uint32_t i = 0; i < load->mix.count; i++) {
        size_t at = strlen(entries);
        (void)snprintf(entries + at, sizeof entries - at, "%s%u", i ? "/" : "", load->mix.sizes[i]);
    }
    int n = snprintf(text, size, "entries of %s B, %u thread%s", entries, load->threads, load->threads > 1 ? "s" : "");
    if (n > 0 && (size_t)n < size && load->batch > 1)
        n += snprintf(text + n, size - (size_t)n, ", batches of %u", load->batch);
    if (n > 0 && (size_t)n < size && load->outstanding > 1)
        n += snprintf(text + n, size - (size_t)n, ", %u outstanding", load->outstanding);
    if (n > 0 && (size_t)n < size && load->rate > 0)
        (void)snprintf(text + n, size - (size_t)n, ", open loop %.0f/s %s", load->rate,
                       load->is_poisson ? "Poisson" : "fixed");
    else if (n > 0 && (size_t)n < size)
        (void)snprintf(text + n, size - (size_t)n, ", closed loop");
}

bool dw_bench_stage_shares(const struct dw_bench_record *record, double from_percent, double to_percent,
                           double shares[DW_BENCH_STAGES], double *mean_ns)
{
    double count = 0, sums[DW_BENCH_STAGES] = {0}, all = 0, seen = 0, taken = 0;
    for (uint32_t row = 0; row < DW_BENCH_ROWS; row++)
        count += (double)record->rows[row].count;
    double from = count * from_percent / 100, to = count * to_percent / 100;
    for (uint32_t row = 0; row < DW_BENCH_ROWS; row++) {
        double here = (double)record->rows[row].count, low = seen, high = seen + here;
        seen = high;
        double inside = (high < to ? high : to) - (low > from ? low : from);
        if (here <= 0 || inside <= 0)
            continue;
        taken += inside;
        for (int stage = 0; stage < DW_BENCH_STAGES; stage++)
            sums[stage] += (double)record->rows[row].stage_ns[stage] * inside / here;
    }
    for (int stage = 0; stage < DW_BENCH_STAGES; stage++)
        all += sums[stage];
    for (int stage = 0; stage < DW_BENCH_STAGES; stage++)
        shares[stage] = all > 0 ? sums[stage] / all : 0;
    *mean_ns = taken > 0 ? all / taken : 0;
    return taken > 0 && all > 0;
}

/* ---- percentiles -----------------------------------------------------------------------------------------------------*/

static int label_width(const struct dw_bench_run *run)
{
    size_t width = 10;
    for (uint32_t i = 0; i < run->contender_count; i++)
        width = strlen(run->contenders[i]->label) > width ? strlen(run->contenders[i]->label) : width;
    return (int)width;
}

static double median_of(const struct dw_bench_contender *contender, enum dw_bench_metric metric)
{
    double values[DW_BENCH_ROUNDS_MAX];
    for (uint32_t i = 0; i < contender->round_count; i++)
        values[i] = contender->rounds[i].values[metric];
    return dw_bench_median(values, contender->round_count);
}

static double rate_of(const struct dw_bench_contender *contender)
{
    uint64_t count = dw_bench_get(&contender->record.issue.count);
    return contender->measured_ns ? (double)count * 1e9 / (double)contender->measured_ns : 0;
}

static void print_row(const struct dw_bench_contender *contender, int width, const struct dw_bench_histogram *latency)
{
    char text[16];
    double seconds = (double)contender->measured_ns / 1e9, busy[DW_BENCH_ROUNDS_MAX];
    double cpu_ns = median_of(contender, DW_BENCH_CPU);
    dw_output_format("%-*s %10.0f %8.2f", width, contender->label, rate_of(contender),
                     seconds > 0 ? (double)contender->record.bytes / seconds / (1 << 20) : 0);
    for (uint32_t i = 0; i < DW_BENCH_PERCENTS; i++) {
        bool is_firm = dw_bench_is_firm(latency, dw_bench_percents[i]);
        dw_output_format(" %s%8s%s%s", is_firm ? "" : dw_message_colour(STDOUT_FILENO, DW_COLOUR_FAINT),
                         dw_bench_time_text(text, (double)dw_bench_percentile(latency, dw_bench_percents[i])),
                         is_firm ? " " : "?", is_firm ? "" : dw_message_colour(STDOUT_FILENO, DW_COLOUR_NONE));
    }
    dw_output_format(" %10" PRIu64, dw_bench_get(&latency->count));
    for (uint32_t i = 0; i < contender->round_count; i++)
        busy[i] = contender->rounds[i].busy;
    dw_output_format(" %8s %6.0f %%\n", cpu_ns > 0 ? dw_bench_time_text(text, cpu_ns) : "-",
                     100 * dw_bench_median(busy, contender->round_count));
}

static void print_head(const char *what, int width)
{
    dw_output_format("\n%-*s %10s %8s", width, what, "ops/s", "MiB/s");
    for (uint32_t i = 0; i < DW_BENCH_PERCENTS; i++)
        dw_output_format(" %8s ", dw_bench_percent_names[i]);
    dw_output_format(" %10s %8s %8s\n", "samples", "CPU/op", "all CPUs");
}

static void print_percentiles(const struct dw_bench_run *run)
{
    int width = label_width(run);
    bool has_open = false, has_closed = false;
    for (uint32_t i = 0; i < run->contender_count; i++) {
        has_open |= run->contenders[i]->load.rate > 0;
        has_closed |= !(run->contenders[i]->load.rate > 0);
    }
    if (has_open) {
        print_head("intended start to durable", width > 25 ? width : 25);
        for (uint32_t i = 0; i < run->contender_count; i++) {
            const struct dw_bench_contender *c = run->contenders[i];
            if (c->load.rate > 0)
                print_row(c, width > 25 ? width : 25, &c->record.intended);
        }
    }
    print_head("issue to durable", width > 16 ? width : 16);
    for (uint32_t i = 0; i < run->contender_count; i++) {
        const struct dw_bench_contender *c = run->contenders[i];
        print_row(c, width > 16 ? width : 16, &c->record.issue);
    }
    dw_output_text("values are right to within 0.4 %; '?': fewer than 10/(1-p) samples, not to be relied on\n");
    if (run->slice_ns * run->rounds < UINT64_C(60000000000))
        dw_output_text("less than 60 s for each: what a device does when its cache is full is not in it\n");
    if (has_closed)
        dw_output_text("a closed loop hides what a stall does to those who would have come meanwhile: its tails are a "
                       "lower bound (--rate gives an open loop)\n");
}

/* ---- ratios ------------------------------------------------------------------------------------------------------------*/

static void print_ratio(const struct dw_bench_run *run, const struct dw_bench_contender *contender,
                        enum dw_bench_metric metric)
{
    struct dw_bench_ratio ratio;
    char text[48] = "-";
    dw_bench_run_ratio(run, contender, metric, &ratio);
    if (ratio.is_known)
        (void)snprintf(text, sizeof text, "%.3g (%.3g..%.3g)%s", ratio.value, ratio.low, ratio.high,
                       dw_bench_ratio_is_noise(&ratio) ? " ~" : "  ");
    dw_output_format(" %22s", text);
}

static void print_ratio_rows(const struct dw_bench_run *run, int width)
{
    bool has_head = false;
    for (uint32_t i = 0; i < run->contender_count; i++) {
        const struct dw_bench_contender *other = dw_bench_run_beside(run, run->contenders[i]);
        if (!other)
            continue;
        if (!has_head)
            dw_output_format(
                "\nbeside bare writes under the same load: median of the ratios of each round, 95 %% interval; "
                "~: the interval holds 1\n%-*s %-*s %22s %22s %22s %22s\n",
                width, "", width + 7, "", "p50  ", "p99  ", "p99.9  ", "ops/s  ");
        has_head = true;
        dw_output_format("%-*s beside %-*s", width, run->contenders[i]->label, width, other->label);
        print_ratio(run, run->contenders[i], DW_BENCH_P50);
        print_ratio(run, run->contenders[i], DW_BENCH_P99);
        print_ratio(run, run->contenders[i], DW_BENCH_P999);
        print_ratio(run, run->contenders[i], DW_BENCH_RATE);
        dw_output_text("\n");
    }
}

static void print_ratios(const struct dw_bench_run *run)
{
    double noise = dw_bench_run_noise(run);
    bool is_noisy = noise > 1 + NOISE_LIMIT || noise < 1 - NOISE_LIMIT;
    print_ratio_rows(run, label_width(run));
    if (noise > 0)
        dw_output_format("\nnoise: %s beside itself, before and after the others: %.3f%s\n",
                         run->contenders[run->baseline]->label, noise,
                         is_noisy ? ": MORE THAN 3 % OFF, so this run proves nothing; try again on a quiet machine"
                                  : ": quiet enough");
}

/* ---- where the time went ---------------------------------------------------------------------------------------------------*/

/* A column for each stage in which anybody spent time. */
static void find_used_stages(const struct dw_bench_run *run, bool is_used[DW_BENCH_STAGES])
{
    for (int stage = 0; stage < DW_BENCH_STAGES; stage++) {
        is_used[stage] = stage == DW_BENCH_DEVICE;
        for (uint32_t i = 0; i < run->contender_count; i++)
            for (uint32_t row = 0; row < DW_BENCH_ROWS; row++)
                is_used[stage] |= run->contenders[i]->record.rows[row].stage_ns[stage] > 0;
    }
}

static void print_shares(const struct dw_bench_run *run)
{
    static const struct {
        const char *name;
        double from, to;
    } bands[] = {{"all", 0, 100}, {"slowest 1 %", 99, 100}, {"slowest 0.1 %", 99.9, 100}};
    int width = label_width(run) > 19 ? label_width(run) : 19;
    bool is_used[DW_BENCH_STAGES];
    find_used_stages(run, is_used);
    dw_output_format("\n%-*s %-13s %9s", width, "where the time went", "", "mean");
    for (int stage = 0; stage < DW_BENCH_STAGES; stage++)
        if (is_used[stage])
            dw_output_format(" %14s", dw_bench_stage_name((enum dw_bench_stage)stage));
    dw_output_text("\n");
    for (uint32_t i = 0; i < run->contender_count; i++) {
        const struct dw_bench_contender *c = run->contenders[i];
        for (size_t band = 0; band < sizeof bands / sizeof bands[0]; band++) {
            double shares[DW_BENCH_STAGES], mean_ns;
            char text[16];
            if (!dw_bench_stage_shares(&c->record, bands[band].from, bands[band].to, shares, &mean_ns))
                continue;
            dw_output_format("%-*s %-13s %9s", width, band ? "" : c->label, bands[band].name,
                             dw_bench_time_text(text, mean_ns));
            for (int stage = 0; stage < DW_BENCH_STAGES; stage++)
                if (is_used[stage])
                    dw_output_format(" %12.1f %%", shares[stage] * 100);
            dw_output_text("\n");
        }
    }
}

static const char *longest_stage(const struct dw_bench_slow *slow)
{
    int longest = 0;
    for (int stage = 1; stage < DW_BENCH_STAGES; stage++)
        if (slow->stage_ns[stage] > slow->stage_ns[longest])
            longest = stage;
    return dw_bench_stage_name((enum dw_bench_stage)longest);
}

static void print_slowest(const struct dw_bench_run *run, uint32_t slowest)
{
    if (slowest == 0)
        return;
    dw_output_text(
        "\nslowest: took, in which stage most, when (s from the start), round, thread, lsn or byte; what the "
        "machine did then\n");
    for (uint32_t i = 0; i < run->contender_count; i++) {
        const struct dw_bench_contender *c = run->contenders[i];
        for (uint32_t s = 0; s < c->record.slow_count && s < slowest; s++) {
            const struct dw_bench_slow *slow = &c->record.slow[s];
            char took[16];
            dw_output_format("%-*s %9s  %-14s %9.3f %4u %3u %14" PRIu64 "  %s%s%s\n", label_width(run),
                             s ? "" : c->label, dw_bench_time_text(took, (double)slow->latency_ns), longest_stage(slow),
                             (double)(slow->intended_ns - run->start_ns) / 1e9, slow->round + 1, slow->lane,
                             slow->place, slow->culprit, slow->culprit[0] ? "; " : "", slow->then);
        }
    }
}

static void print_culprits(const struct dw_bench_run *run)
{
    char limit[16];
    int width = label_width(run) > 26 ? label_width(run) : 26;
    if (run->trace_ns == 0)
        return;
    (void)dw_bench_time_text(limit, (double)run->trace_ns);
    dw_output_format("\nculprits of those above %-8s", limit);
    for (int i = 0; i < DW_BENCH_CULPRITS; i++)
        dw_output_format(" %21s", dw_bench_culprit_name((enum dw_bench_culprit)i));
    dw_output_text("\n");
    for (uint32_t i = 0; i < run->contender_count; i++) {
        dw_output_format("%-*s      ", width, run->contenders[i]->label);
        for (int culprit = 0; culprit < DW_BENCH_CULPRITS; culprit++)
            dw_output_format(" %21" PRIu64, run->contenders[i]->culprits[culprit]);
        dw_output_text("\n");
    }
    if (run->trace_lost > 0)
        dw_output_format("events came faster than they were read %" PRIu64
                         " times: some culprits are guessed from a part\n",
                         run->trace_lost);
    dw_output_text("a traced run pays for the tracing: its absolute times are not to be quoted\n");
}

/* ---- the rest ------------------------------------------------------------------------------------------------------------*/

static void print_machine(const struct dw_bench_run *run)
{
    const struct dw_bench_machine *m = &run->machine;
    dw_output_text("\nmachine\n");
    for (uint32_t i = 0; i < m->fact_count; i++)
        dw_output_format("  %-19s %s\n", m->facts[i].name, m->facts[i].value);
    uint64_t all = m->after.cpu_all - m->before.cpu_all;
    if (all > 0)
        dw_output_format("  %-19s CPU %.0f %% in use, %.1f %% stolen, %.1f %% waiting for I/O\n", "meanwhile",
                         (double)(m->after.cpu_busy - m->before.cpu_busy) * 100 / (double)all,
                         (double)(m->after.cpu_steal - m->before.cpu_steal) * 100 / (double)all,
                         (double)(m->after.cpu_wait - m->before.cpu_wait) * 100 / (double)all);
    dw_output_format("  %-19s some waited %.2f s for CPUs, %.2f s for I/O, %.2f s for memory\n", "pressure meanwhile",
                     (double)(m->after.pressure_cpu_us - m->before.pressure_cpu_us) / 1e6,
                     (double)(m->after.pressure_io_us - m->before.pressure_io_us) / 1e6,
                     (double)(m->after.pressure_memory_us - m->before.pressure_memory_us) / 1e6);
    dw_output_format("  %-19s %" PRIu64 " writes of %" PRIu64 " MiB, %" PRIu64 " flushes, %" PRIu64 " reads\n",
                     "disk meanwhile", m->after.disk_writes - m->before.disk_writes,
                     (m->after.disk_write_sectors - m->before.disk_write_sectors) / 2048,
                     m->after.disk_flushes - m->before.disk_flushes, m->after.disk_reads - m->before.disk_reads);
    if (m->is_virtual)
        dw_output_text("  a virtual machine: a flush may never reach a device; ratios count, not absolute times\n");
}

/* The commits of the log that were the first of their thread in a new volume, beside all. */
static void print_crossings(const struct dw_bench_run *run)
{
    bool has_head = false;
    for (uint32_t i = 0; i < run->contender_count; i++) {
        const struct dw_bench_histogram *crossing = &run->contenders[i]->record.crossing;
        char p50[16], p99[16], max[16];
        if (dw_bench_get(&crossing->count) == 0)
            continue;
        if (!has_head)
            dw_output_text("\nthe first of each thread in a new volume\n");
        has_head = true;
        dw_output_format(
            "%-*s %" PRIu64 " of them: p50 %s, p99 %s%s, max %s\n", label_width(run), run->contenders[i]->label,
            dw_bench_get(&crossing->count), dw_bench_time_text(p50, (double)dw_bench_percentile(crossing, 50)),
            dw_bench_time_text(p99, (double)dw_bench_percentile(crossing, 99)),
            dw_bench_is_firm(crossing, 99) ? "" : "?", dw_bench_time_text(max, (double)dw_bench_get(&crossing->max)));
    }
}

static void print_troubles(const struct dw_bench_run *run)
{
    if (run->was_interrupted)
        dw_output_format("\nINTERRUPTED: %u of %u rounds are whole; what was measured by then is here\n",
                         run->rounds_done, run->rounds);
    for (uint32_t i = 0; i < run->contender_count; i++) {
        const struct dw_bench_contender *c = run->contenders[i];
        if (c->failure)
            dw_output_format("\n%s STOPPED in round %u: %s\n", c->label, c->round_count, c->failure_text);
        if (c->unissued > 0)
            dw_output_format("\n%s: OVERLOADED: %" PRIu64
                             " operations were due and never started; their latencies are not in the figures\n",
                             c->label, c->unissued);
    }
}

void dw_bench_report_text(const struct dw_bench_run *run, uint32_t slowest)
{
    char slice[16], warm_up[16], settle[16];
    dw_output_text("dwal bench ");
    dw_output_path(run->target.path);
    dw_output_format(": %u round%s, %s a slice after a warm-up of %s; prefilled %" PRIu64 " MiB, settled %s\n",
                     run->rounds, run->rounds > 1 ? "s" : "",
                     run->slice_count ? "by count" : dw_bench_time_text(slice, (double)run->slice_ns),
                     dw_bench_time_text(warm_up, (double)run->warm_up_ns), run->target.bare_size >> 20,
                     dw_bench_time_text(settle, (double)run->target.settle_ns));
    for (uint32_t i = 0; i < run->contender_count; i++) {
        char load[192];
        dw_bench_load_text(&run->contenders[i]->load, load, sizeof load);
        bool is_log = run->contenders[i]->engine->ops->is_log;
        dw_output_format("  %-*s %s%s%s\n", label_width(run), run->contenders[i]->label, load,
                         is_log ? ", backend " : "", is_log ? run->target.log_backend : "");
    }
    print_troubles(run);
    print_percentiles(run);
    print_ratios(run);
    print_crossings(run);
    print_shares(run);
    print_culprits(run);
    print_slowest(run, slowest);
    print_machine(run);
}
