/* page.c - a run as a page for a browser: its head, its tables, and the order of its plots; see page.h and report.h. */
#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <time.h>

#include "tools/bench/file.h"
#include "tools/bench/live.h"
#include "tools/bench/page.h"
#include "tools/bench/statistics.h"

static double rate_of(const struct dw_bench_contender *contender)
{
    uint64_t count = dw_bench_get(&contender->record.issue.count);
    return contender->measured_ns ? (double)count * 1e9 / (double)contender->measured_ns : 0;
}

/* ---- tables ------------------------------------------------------------------------------------------------------------*/

static void percentile_row(FILE *file, const char *label, const struct dw_bench_histogram *latency, double rate)
{
    fputs("<tr><td>", file);
    dw_page_text(file, label);
    fprintf(file, "</td><td>%.0f</td>", rate);
    for (uint32_t p = 0; p < DW_BENCH_PERCENTS; p++) {
        char time[16];
        fprintf(file, "<td%s>%s</td>", dw_bench_is_firm(latency, dw_bench_percents[p]) ? "" : " class=\"few\"",
                dw_bench_time_text(time, (double)dw_bench_percentile(latency, dw_bench_percents[p])));
    }
    fprintf(file, "<td>%" PRIu64 "</td></tr>\n", dw_bench_get(&latency->count));
}

static void percentile_head(FILE *file, const char *what)
{
    fprintf(file, "<table><tr><th>%s</th><th>ops/s</th>", what);
    for (uint32_t p = 0; p < DW_BENCH_PERCENTS; p++)
        fprintf(file, "<th>%s</th>", dw_bench_percent_names[p]);
    fputs("<th>samples</th></tr>\n", file);
}

static void percentile_tables(FILE *file, const struct dw_bench_run *run)
{
    bool has_open = false;
    for (uint32_t i = 0; i < run->contender_count; i++)
        has_open |= run->contenders[i]->load.rate > 0;
    fputs("<section><h2>Results</h2><p>Times are right to within 0.4 %. A value marked with ? has fewer than 10/(1-p) "
          "samples behind it and is not to be relied on.</p>\n",
          file);
    if (has_open) {
        percentile_head(file, "intended start to durable");
        for (uint32_t i = 0; i < run->contender_count; i++)
            if (run->contenders[i]->load.rate > 0)
                percentile_row(file, run->contenders[i]->label, &run->contenders[i]->record.intended,
                               rate_of(run->contenders[i]));
        fputs("</table><br>\n", file);
    }
    percentile_head(file, "issue to durable");
    for (uint32_t i = 0; i < run->contender_count; i++)
        percentile_row(file, run->contenders[i]->label, &run->contenders[i]->record.issue, rate_of(run->contenders[i]));
    fputs("</table></section>\n", file);
}

static void ratio_cell(FILE *file, const struct dw_bench_run *run, const struct dw_bench_contender *contender,
                       enum dw_bench_metric metric)
{
    struct dw_bench_ratio ratio;
    dw_bench_run_ratio(run, contender, metric, &ratio);
    if (!ratio.is_known)
        fputs("<td>-</td>", file);
    else
        fprintf(file, "<td%s>%.3g (%.3g&hairsp;..&hairsp;%.3g)%s</td>",
                dw_bench_ratio_is_noise(&ratio) ? " class=\"noise\"" : "", ratio.value, ratio.low, ratio.high,
                dw_bench_ratio_is_noise(&ratio) ? " ~" : "");
}

static void ratio_rows(FILE *file, const struct dw_bench_run *run)
{
    for (uint32_t i = 0; i < run->contender_count; i++) {
        const struct dw_bench_contender *other = dw_bench_run_beside(run, run->contenders[i]);
        if (!other)
            continue;
        fputs("<tr><td>", file);
        dw_page_text(file, run->contenders[i]->label);
        fputs("</td><td class=\"near\">", file);
        dw_page_text(file, other->label);
        fputs("</td>", file);
        ratio_cell(file, run, run->contenders[i], DW_BENCH_P50);
        ratio_cell(file, run, run->contenders[i], DW_BENCH_P99);
        ratio_cell(file, run, run->contenders[i], DW_BENCH_P999);
        ratio_cell(file, run, run->contenders[i], DW_BENCH_RATE);
        ratio_cell(file, run, run->contenders[i], DW_BENCH_CPU);
        fputs("</tr>\n", file);
    }
}

static void ratio_table(FILE *file, const struct dw_bench_run *run)
{
    if (!run->has_baseline)
        return;
    double noise = dw_bench_run_noise(run);
    fputs("<section><h2>Beside bare writes under the same load</h2><p>Median of the ratios of each round, with the "
          "interval "
          "that holds it in 95 of 100 resamplings; ~: the interval holds 1, so no difference is shown. ",
          file);
    dw_page_text(file, run->contenders[run->baseline]->label);
    fprintf(file, " beside itself, before and after the others: %.3f%s</p>", noise,
            noise > 1.03 || noise < 0.97 ? "; <span class=\"bad\">more than 3 % off, so this run proves nothing</span>."
                                         : ", quiet enough.");
    fputs("<table><tr><th></th><th class=\"left\">beside</th><th>p50</th><th>p99</th><th>p99.9</th><th>ops/s</th>"
          "<th>CPU/op</th></tr>\n",
          file);
    ratio_rows(file, run);
    fputs("</table></section>\n", file);
}

static const char *longest_stage(const struct dw_bench_slow *slow)
{
    int longest = 0;
    for (int stage = 1; stage < DW_BENCH_STAGES; stage++)
        if (slow->stage_ns[stage] > slow->stage_ns[longest])
            longest = stage;
    return dw_bench_stage_name((enum dw_bench_stage)longest);
}

static void slow_table(FILE *file, const struct dw_bench_run *run, uint32_t slowest)
{
    if (slowest == 0)
        return;
    fputs("<section><h2>The slowest</h2><table><tr><th></th><th>took</th><th class=\"left\">mostly</th><th>at</th>"
          "<th>round</th><th>thread</th><th>lsn or byte</th><th class=\"left\">meanwhile</th></tr>\n",
          file);
    for (uint32_t i = 0; i < run->contender_count; i++) {
        const struct dw_bench_record *record = &run->contenders[i]->record;
        for (uint32_t s = 0; s < record->slow_count && s < slowest; s++) {
            const struct dw_bench_slow *slow = &record->slow[s];
            char took[16];
            fputs("<tr><td>", file);
            dw_page_text(file, s ? "" : run->contenders[i]->label);
            fprintf(file,
                    "</td><td>%s</td><td class=\"left\">%s</td><td>%.3f s</td><td>%u</td><td>%u</td><td>%" PRIu64
                    "</td><td class=\"left\">",
                    dw_bench_time_text(took, (double)slow->latency_ns), longest_stage(slow),
                    (double)(slow->intended_ns - run->start_ns) / 1e9, slow->round + 1, slow->lane, slow->place);
            if (slow->culprit[0]) {
                fputs("<b>", file);
                dw_page_text(file, slow->culprit);
                fputs("</b>; ", file);
            }
            dw_page_text(file, slow->then);
            fputs("</td></tr>\n", file);
        }
    }
    fputs("</table></section>\n", file);
}

static void culprit_table(FILE *file, const struct dw_bench_run *run)
{
    char limit[16];
    if (run->trace_ns == 0)
        return;
    fprintf(
        file,
        "<section><h2>Culprits of operations above %s</h2><p>From the kernel's tracepoints: what took two fifths of "
        "such an operation or more. A traced run pays for the tracing.</p><table><tr><th></th>",
        dw_bench_time_text(limit, (double)run->trace_ns));
    for (int i = 0; i < DW_BENCH_CULPRITS; i++)
        fprintf(file, "<th>%s</th>", dw_bench_culprit_name((enum dw_bench_culprit)i));
    fputs("</tr>\n", file);
    for (uint32_t i = 0; i < run->contender_count; i++) {
        fputs("<tr><td>", file);
        dw_page_text(file, run->contenders[i]->label);
        fputs("</td>", file);
        for (int culprit = 0; culprit < DW_BENCH_CULPRITS; culprit++)
            fprintf(file, "<td>%" PRIu64 "</td>", run->contenders[i]->culprits[culprit]);
        fputs("</tr>\n", file);
    }
    fputs("</table></section>\n", file);
}

static void machine_table(FILE *file, const struct dw_bench_run *run)
{
    const struct dw_bench_machine *m = &run->machine;
    fputs("<section><h2>Machine</h2><table>\n", file);
    for (uint32_t i = 0; i < m->fact_count; i++) {
        fputs("<tr><td>", file);
        dw_page_text(file, m->facts[i].name);
        fputs("</td><td class=\"left\">", file);
        dw_page_text(file, m->facts[i].value);
        fputs("</td></tr>\n", file);
    }
    double all = (double)(m->after.cpu_all - m->before.cpu_all) / 100;
    if (all > 0)
        fprintf(file, "<tr><td>meanwhile</td><td class=\"left\">CPU %.0f %% in use, %.1f %% stolen</td></tr>\n",
                (double)(m->after.cpu_busy - m->before.cpu_busy) / all,
                (double)(m->after.cpu_steal - m->before.cpu_steal) / all);
    fprintf(file,
            "<tr><td>disk meanwhile</td><td class=\"left\">%" PRIu64 " writes of %" PRIu64 " MiB, %" PRIu64
            " flushes, %" PRIu64 " reads</td></tr>\n</table>",
            m->after.disk_writes - m->before.disk_writes,
            (m->after.disk_write_sectors - m->before.disk_write_sectors) / 2048,
            m->after.disk_flushes - m->before.disk_flushes, m->after.disk_reads - m->before.disk_reads);
    if (m->is_virtual)
        fputs("<p>A virtual machine: a flush may never reach a device. Ratios count, not absolute times.</p>", file);
    fputs("</section>\n", file);
}

/* ---- the page ------------------------------------------------------------------------------------------------------------*/

static void head(FILE *file, const struct dw_bench_run *run)
{
    char when[64] = "", slice[16], warm_up[16];
    time_t seconds = (time_t)(run->start_time_ns / 1000000000u);
    struct tm parts;
    if (gmtime_r(&seconds, &parts))
        (void)strftime(when, sizeof when, "%Y-%m-%d %H:%M:%S UTC", &parts);
    fputs("<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">"
          "<meta name=\"viewport\" content=\"width=device-width,initial-scale=1\"><title>dwal bench: ",
          file);
    dw_page_text(file, run->target.path);
    fputs("</title>\n", file);
    dw_page_styles(file);
    fputs("</head><body><main>\n<h1>Latency of durable writes: ", file);
    dw_page_text(file, run->target.path);
    fprintf(file, "</h1>\n<p>%s. %u interleaved round%s, %s a slice after a warm-up of %s.</p>\n", when, run->rounds,
            run->rounds > 1 ? "s" : "",
            run->slice_count ? "a count for" : dw_bench_time_text(slice, (double)run->slice_ns),
            dw_bench_time_text(warm_up, (double)run->warm_up_ns));
    if (run->was_interrupted)
        fprintf(file, "<p class=\"bad\">Interrupted: %u of %u rounds are whole.</p>\n", run->rounds_done, run->rounds);
}

static void loads(FILE *file, const struct dw_bench_run *run)
{
    fputs("<section><h2>Contenders</h2><table>\n", file);
    for (uint32_t i = 0; i < run->contender_count; i++) {
        const struct dw_bench_contender *c = run->contenders[i];
        char load[192];
        dw_bench_load_text(&c->load, load, sizeof load);
        fputs("<tr><td>", file);
        dw_page_text(file, c->label);
        fprintf(file, "</td><td class=\"left\">%s", load);
        if (c->failure) {
            fprintf(file, " <span class=\"bad\">stopped in round %u: ", c->round_count);
            dw_page_text(file, c->failure_text);
            fputs("</span>", file);
        }
        if (c->unissued > 0)
            fprintf(file, " <span class=\"bad\">overloaded: %" PRIu64 " were due and never started</span>",
                    c->unissued);
        fputs("</td></tr>\n", file);
    }
    fputs("</table></section>\n", file);
}

int dw_bench_report_page(const struct dw_bench_run *run, uint32_t slowest, const char *path)
{
    FILE *file = dw_bench_file_open(path);
    if (!file)
        return -errno;
    head(file, run);
    loads(file, run);
    percentile_tables(file, run);
    ratio_table(file, run);
    dw_page_percentiles(file, run);
    dw_page_offered(file, run);
    dw_page_scaling(file, run);
    dw_page_heat(file, run);
    dw_page_stages(file, run);
    culprit_table(file, run);
    slow_table(file, run, slowest);
    machine_table(file, run);
    fputs("</main></body></html>\n", file);
    return dw_bench_file_close(file);
}
