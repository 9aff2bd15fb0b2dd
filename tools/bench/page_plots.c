/* page_plots.c - the page's curves and bars: percentiles, scaling over threads, latency over offered load, stages. See
 * page.h. */
#include <inttypes.h>
#include <math.h>
#include <string.h>

#include "tools/bench/live.h"
#include "tools/bench/page.h"
#include "tools/bench/statistics.h"

static struct dw_page_plot wide_plot(FILE *file, int height)
{
    return (struct dw_page_plot){
        .file = file, .width = 1040, .height = height, .left = 74, .right = 24, .top = 28, .bottom = 52};
}

static bool has_samples(const struct dw_bench_contender *contender)
{
    return dw_bench_get(&contender->record.issue.count) > 0;
}

static void begin_section(FILE *file, const char *title, const char *about)
{
    fprintf(file, "<section><h2>%s</h2><p>%s</p>\n", title, about);
}

static void contender_legend(FILE *file, const struct dw_bench_run *run)
{
    const char *names[DW_BENCH_CONTENDERS_MAX];
    for (uint32_t i = 0; i < run->contender_count; i++)
        names[i] = run->contenders[i]->label;
    dw_page_legend(file, names, run->contender_count, true);
}

/* A point with a title that shows when the pointer is over it. */
static void dot(FILE *file, double x, double y, uint32_t colour, const char *label, const char *text)
{
    fprintf(file, "<circle class=\"dot f%u\" cx=\"%.1f\" cy=\"%.1f\" r=\"4\"><title>", colour % DW_PAGE_COLOURS, x, y);
    dw_page_text(file, label);
    fprintf(file, ": %s</title></circle>", text);
}

/* ---- percentiles -----------------------------------------------------------------------------------------------------*/

/* The axis of nines: each step of the same length has a tenth of the samples beyond it. */
static double nines_of(double percent)
{
    return -log10(1 - percent / 100);
}

static void percentile_line(const struct dw_page_plot *plot, const struct dw_bench_contender *contender, uint32_t index)
{
    const struct dw_bench_histogram *latency = dw_bench_latency(contender);
    double count = (double)dw_bench_get(&latency->count), limit = log10(count) < plot->x.to ? log10(count) : plot->x.to;
    fputs("<path", plot->file);
    dw_page_line_style(plot->file, index);
    fputs(" d=\"", plot->file);
    char command = 'M';
    for (double nines = 0; nines <= limit; nines += 0.05) {
        double percent = 100 * (1 - pow(10, -nines));
        fprintf(plot->file, "%c%.1f %.1f", command, dw_page_x(plot, nines),
                dw_page_y(plot, (double)dw_bench_percentile(latency, percent)));
        command = 'L';
    }
    fprintf(plot->file, "L%.1f %.1f\"/>\n", dw_page_x(plot, limit),
            dw_page_y(plot, (double)dw_bench_get(&latency->max)));
    for (uint32_t p = 0; p + 1 < DW_BENCH_PERCENTS; p++) {
        char time[16], text[64];
        if (nines_of(dw_bench_percents[p]) > limit)
            break;
        double value = (double)dw_bench_percentile(latency, dw_bench_percents[p]);
        bool is_firm = dw_bench_is_firm(latency, dw_bench_percents[p]);
        (void)snprintf(text, sizeof text, "%s %s%s", dw_bench_percent_names[p], dw_bench_time_text(time, value),
                       is_firm ? "" : " (too few samples)");
        dot(plot->file, dw_page_x(plot, nines_of(dw_bench_percents[p])), dw_page_y(plot, value), index,
            contender->label, text);
    }
}

static void tick_line(const struct dw_page_plot *plot, const struct dw_bench_run *run)
{
    double tick = (double)run->machine.tick_ns;
    if (tick <= plot->y.from || tick >= plot->y.to)
        return;
    double y = dw_page_y(plot, tick);
    char text[16];
    fprintf(plot->file, "<path class=\"tick\" d=\"M%d %.1fH%d\"/>", plot->left, y, plot->width - plot->right);
    fprintf(plot->file, "<text class=\"ticktext\" x=\"%d\" y=\"%.1f\" text-anchor=\"end\">timer tick, %s</text>\n",
            plot->width - plot->right - 6, y - 6, dw_bench_time_text(text, tick));
}

void dw_page_percentiles(FILE *file, const struct dw_bench_run *run)
{
    struct dw_page_plot plot = wide_plot(file, 420);
    double most = 1;
    plot.y.is_log = true;
    for (uint32_t i = 0; i < run->contender_count; i++) {
        const struct dw_bench_histogram *latency = dw_bench_latency(run->contenders[i]);
        double count = (double)dw_bench_get(&latency->count);
        if (count < 1)
            continue;
        dw_page_widen(&plot.y, (double)dw_bench_percentile(latency, 1));
        dw_page_widen(&plot.y, (double)dw_bench_get(&latency->max));
        most = count > most ? count : most;
    }
    dw_page_round_out(&plot.y);
    plot.x = (struct dw_page_axis){.from = 0, .to = log10(most) < 2 ? 2 : log10(most) > 6 ? 6 : log10(most)};
    begin_section(
        file, "Latency by percentile",
        "Each step to the right leaves a tenth of the samples beyond it. A line ends where one sample is left; "
        "the last step before its end has fewer than ten and is not to be relied on. Open loops count from the "
        "intended start.");
    contender_legend(file, run);
    dw_page_plot_begin(&plot, "latency by percentile");
    static const char *const labels[] = {"0 %", "90 %", "99 %", "99.9 %", "99.99 %", "99.999 %", "99.9999 %"};
    for (int nines = 0; nines <= 6 && nines <= plot.x.to; nines++)
        dw_page_x_label(&plot, dw_page_x(&plot, nines), labels[nines], true);
    dw_page_x_label(&plot, dw_page_x(&plot, nines_of(50)), "50 %", true);
    dw_page_time_axis(&plot, "latency");
    tick_line(&plot, run);
    for (uint32_t i = 0; i < run->contender_count; i++)
        if (has_samples(run->contenders[i]))
            percentile_line(&plot, run->contenders[i], i);
    dw_page_x_title(&plot, "percentile");
    dw_page_plot_end(&plot);
    fputs("</section>\n", file);
}

/* ---- families: the same engine under loads that differ in one thing ------------------------------------------------------*/

enum dimension { BY_THREADS, BY_RATE };

static double value_of(const struct dw_bench_contender *contender, enum dimension dimension)
{
    return dimension == BY_RATE ? contender->load.rate : (double)contender->load.threads;
}

static bool is_family(const struct dw_bench_contender *a, const struct dw_bench_contender *b, enum dimension dimension)
{
    struct dw_bench_load x = a->load, y = b->load;
    if (dimension == BY_RATE)
        x.rate = y.rate = 1;
    else
        x.threads = y.threads = 1;
    bool same_rate = !(x.rate < y.rate) && !(x.rate > y.rate);
    return a->engine == b->engine && strcmp(a->group, b->group) == 0 && same_rate && x.threads == y.threads &&
           x.outstanding == y.outstanding && x.batch == y.batch && memcmp(&x.mix, &y.mix, sizeof x.mix) == 0;
}

struct families {
    uint32_t count;
    struct family {
        char name[128];
        uint32_t count;
        const struct dw_bench_contender *members[DW_BENCH_CONTENDERS_MAX];
    } families[DW_BENCH_CONTENDERS_MAX];
};

static void add_member(struct family *family, const struct dw_bench_contender *contender, enum dimension dimension)
{
    uint32_t at = family->count++;
    for (; at > 0 && value_of(family->members[at - 1], dimension) > value_of(contender, dimension); at--)
        family->members[at] = family->members[at - 1];
    family->members[at] = contender;
}

/* Families with at least two members. */
static const struct families *find_families(const struct dw_bench_run *run, enum dimension dimension)
{
    static struct families found;
    found.count = 0;
    for (uint32_t i = 0; i < run->contender_count; i++) {
        const struct dw_bench_contender *contender = run->contenders[i];
        if (!has_samples(contender) || (dimension == BY_RATE && !(contender->load.rate > 0)))
            continue;
        uint32_t f = 0;
        while (f < found.count && !is_family(found.families[f].members[0], contender, dimension))
            f++;
        if (f == found.count) {
            found.families[found.count++].count = 0;
            (void)snprintf(found.families[f].name, sizeof found.families[f].name, "%s%s%s", contender->group,
                           contender->group[0] ? " " : "", contender->engine->ops->name);
        }
        add_member(&found.families[f], contender, dimension);
    }
    uint32_t kept = 0;
    for (uint32_t f = 0; f < found.count; f++)
        if (found.families[f].count > 1)
            found.families[kept++] = found.families[f];
    found.count = kept;
    return &found;
}

static void family_legend(FILE *file, const struct families *families)
{
    const char *names[DW_BENCH_CONTENDERS_MAX];
    for (uint32_t f = 0; f < families->count; f++)
        names[f] = families->families[f].name;
    dw_page_legend(file, names, families->count, true);
}

static double rate_of(const struct dw_bench_contender *contender)
{
    uint64_t count = dw_bench_get(&contender->record.issue.count);
    return contender->measured_ns ? (double)count * 1e9 / (double)contender->measured_ns : 0;
}

/* ---- scaling over threads --------------------------------------------------------------------------------------------------*/

static void scaling_line(const struct dw_page_plot *plot, const struct family *family, uint32_t index)
{
    fputs("<path", plot->file);
    dw_page_line_style(plot->file, index);
    fputs(" d=\"", plot->file);
    for (uint32_t i = 0; i < family->count; i++)
        fprintf(plot->file, "%c%.1f %.1f", i ? 'L' : 'M', dw_page_x(plot, family->members[i]->load.threads),
                dw_page_y(plot, rate_of(family->members[i])));
    fputs("\"/>\n", plot->file);
    for (uint32_t i = 0; i < family->count; i++) {
        char text[64];
        (void)snprintf(text, sizeof text, "%u threads, %.0f/s", family->members[i]->load.threads,
                       rate_of(family->members[i]));
        dot(plot->file, dw_page_x(plot, family->members[i]->load.threads), dw_page_y(plot, rate_of(family->members[i])),
            index, family->name, text);
    }
}

void dw_page_scaling(FILE *file, const struct dw_bench_run *run)
{
    const struct families *families = find_families(run, BY_THREADS);
    if (families->count == 0)
        return;
    struct dw_page_plot plot = wide_plot(file, 340);
    plot.x.is_log = true;
    for (uint32_t f = 0; f < families->count; f++)
        for (uint32_t i = 0; i < families->families[f].count; i++) {
            dw_page_widen(&plot.x, families->families[f].members[i]->load.threads);
            dw_page_widen(&plot.y, rate_of(families->families[f].members[i]));
        }
    dw_page_round_out(&plot.y);
    begin_section(file, "Scaling over threads", "Durable operations a second against callers at once.");
    family_legend(file, families);
    dw_page_plot_begin(&plot, "operations a second by threads");
    dw_page_count_axis(&plot, "operations/s");
    for (uint32_t threads = 1; threads <= plot.x.to; threads *= 2) {
        char text[16];
        (void)snprintf(text, sizeof text, "%u", threads);
        if (threads >= plot.x.from)
            dw_page_x_label(&plot, dw_page_x(&plot, threads), text, true);
    }
    for (uint32_t f = 0; f < families->count; f++)
        scaling_line(&plot, &families->families[f], f);
    dw_page_x_title(&plot, "threads");
    dw_page_plot_end(&plot);
    fputs("</section>\n", file);
}

/* ---- latency over offered load -----------------------------------------------------------------------------------------------*/

static void offered_line(const struct dw_page_plot *plot, const struct family *family, uint32_t index, double percent,
                         const char *name)
{
    fprintf(plot->file, "<path class=\"line l%u\"%s d=\"", index % DW_PAGE_COLOURS,
            percent > 60 ? " stroke-dasharray=\"6 4\"" : "");
    for (uint32_t i = 0; i < family->count; i++)
        fprintf(plot->file, "%c%.1f %.1f", i ? 'L' : 'M', dw_page_x(plot, family->members[i]->load.rate),
                dw_page_y(plot, (double)dw_bench_percentile(&family->members[i]->record.intended, percent)));
    fputs("\"/>\n", plot->file);
    for (uint32_t i = 0; i < family->count; i++) {
        const struct dw_bench_contender *c = family->members[i];
        double value = (double)dw_bench_percentile(&c->record.intended, percent);
        char text[96], time[16];
        (void)snprintf(text, sizeof text, "%s %s at %.0f/s offered, %.0f/s served", name,
                       dw_bench_time_text(time, value), c->load.rate, rate_of(c));
        dot(plot->file, dw_page_x(plot, c->load.rate), dw_page_y(plot, value), index, family->name, text);
    }
}

void dw_page_offered(FILE *file, const struct dw_bench_run *run)
{
    const struct families *families = find_families(run, BY_RATE);
    if (families->count == 0)
        return;
    struct dw_page_plot plot = wide_plot(file, 380);
    plot.y.is_log = true;
    for (uint32_t f = 0; f < families->count; f++)
        for (uint32_t i = 0; i < families->families[f].count; i++) {
            const struct dw_bench_contender *c = families->families[f].members[i];
            dw_page_widen(&plot.x, c->load.rate);
            dw_page_widen(&plot.y, (double)dw_bench_percentile(&c->record.intended, 50));
            dw_page_widen(&plot.y, (double)dw_bench_percentile(&c->record.intended, 99));
        }
    dw_page_round_out(&plot.y);
    plot.x.from = 0;
    dw_page_round_out(&plot.x);
    begin_section(
        file, "Latency by offered load",
        "Open loop, from the intended start: solid p50, dashed p99. Where a line turns up, more is asked for than "
        "can be served.");
    family_legend(file, families);
    dw_page_plot_begin(&plot, "latency by offered load");
    dw_page_time_axis(&plot, "latency");
    for (int i = 0; i <= 5; i++) {
        char text[24];
        (void)snprintf(text, sizeof text, "%.5g", plot.x.to * i / 5);
        dw_page_x_label(&plot, dw_page_x(&plot, plot.x.to * i / 5), text, true);
    }
    tick_line(&plot, run);
    for (uint32_t f = 0; f < families->count; f++) {
        offered_line(&plot, &families->families[f], f, 50, "p50");
        offered_line(&plot, &families->families[f], f, 99, "p99");
    }
    dw_page_x_title(&plot, "operations offered a second");
    dw_page_plot_end(&plot);
    fputs("</section>\n", file);
}
