/* page_heat.c - the page's maps of latency over time and its bars of stages; see page.h. */
#include <math.h>

#include "tools/bench/live.h"
#include "tools/bench/page.h"

enum { LEVELS = 8, MAPS_MAX = 16 };

/* ---- latency over time -----------------------------------------------------------------------------------------------*/

static double row_low(uint32_t row)
{
    return (double)dw_bench_bucket_low(row << DW_BENCH_ROW_SHIFT);
}

/* The scale of all maps is the same: what holds all but the fastest thousandth. */
static void find_scale(const struct dw_bench_run *run, struct dw_page_axis *axis, uint32_t *most)
{
    axis->is_log = true;
    *most = 1;
    for (uint32_t i = 0; i < run->contender_count; i++) {
        const struct dw_bench_contender *c = run->contenders[i];
        const struct dw_bench_histogram *latency = dw_bench_latency(c);
        if (dw_bench_get(&latency->count) == 0)
            continue;
        dw_page_widen(axis, (double)dw_bench_percentile(latency, 0.1));
        dw_page_widen(axis, (double)dw_bench_get(&latency->max));
        for (uint32_t column = 0; column < DW_BENCH_COLUMNS; column++)
            for (uint32_t row = 0; row < DW_BENCH_ROWS; row++)
                *most = c->record.heat[column][row] > *most ? c->record.heat[column][row] : *most;
    }
    dw_page_round_out(axis);
}

static int level_of(uint32_t count, uint32_t most)
{
    if (count == 0)
        return 0;
    int level = most > 1 ? 1 + (int)(log(count) / log(most) * (LEVELS - 1) + 0.5) : LEVELS;
    return level > LEVELS ? LEVELS : level;
}

/* One path for each colour: neighbours in time of the same colour are one rectangle. */
static void draw_level(const struct dw_page_plot *plot, const struct dw_bench_contender *contender, uint32_t most,
                       int level)
{
    uint32_t columns = contender->columns_used ? contender->columns_used : 1;
    double width = (double)(plot->width - plot->left - plot->right) / columns;
    fprintf(plot->file, "<path class=\"h%d\" d=\"", level);
    for (uint32_t row = 1; row + 1 < DW_BENCH_ROWS; row++) {
        if (row_low(row + 1) <= plot->y.from || row_low(row) >= plot->y.to)
            continue;
        double bottom = dw_page_y(plot, row_low(row)), top = dw_page_y(plot, row_low(row + 1));
        for (uint32_t column = 0; column < columns; column++) {
            if (level_of(contender->record.heat[column][row], most) != level)
                continue;
            uint32_t from = column;
            while (column + 1 < columns && level_of(contender->record.heat[column + 1][row], most) == level)
                column++;
            double x = plot->left + from * width, w = (column + 1 - from) * width;
            fprintf(plot->file, "M%.1f %.1fh%.1fv%.1fh-%.1fz", x, top, w, fmax(bottom - top + 0.2, 2.4), w);
        }
    }
    fputs("\"/>\n", plot->file);
}

static void time_labels(const struct dw_page_plot *plot, const struct dw_bench_run *run,
                        const struct dw_bench_contender *contender)
{
    /* Columns are intended starts: what an overloaded open loop took longer is not on the axis. */
    double planned = (double)run->slice_ns * run->rounds * contender->columns_used / DW_BENCH_COLUMNS;
    double seconds = (run->slice_count ? (double)contender->measured_ns : planned) / 1e9;
    for (int i = 0; i <= 5; i++) {
        char text[24];
        (void)snprintf(text, sizeof text, "%.3g s", seconds * i / 5);
        dw_page_x_label(plot, plot->left + (plot->width - plot->left - plot->right) * i / 5.0, text, false);
    }
}

static void draw_map(FILE *file, const struct dw_bench_run *run, const struct dw_bench_contender *contender,
                     const struct dw_page_axis *axis, uint32_t most)
{
    struct dw_page_plot plot = {
        .file = file, .width = 1040, .height = 270, .left = 74, .right = 24, .top = 28, .bottom = 30, .y = *axis};
    dw_page_plot_begin(&plot, contender->label);
    char escaped[256];
    size_t n = 0;
    for (const char *at = contender->label; *at && n + 1 < sizeof escaped; at++)
        escaped[n++] = (char)(*at == '<' || *at == '&' ? ' ' : *at);
    escaped[n] = 0;
    dw_page_time_axis(&plot, escaped);
    for (int level = 1; level <= LEVELS; level++)
        draw_level(&plot, contender, most, level);
    double tick = (double)run->machine.tick_ns;
    if (tick > axis->from && tick < axis->to) {
        char text[16];
        double y = dw_page_y(&plot, tick);
        fprintf(file, "<path class=\"tick\" d=\"M%d %.1fH%d\"/>", plot.left, y, plot.width - plot.right);
        fprintf(file, "<text class=\"ticktext\" x=\"%d\" y=\"%.1f\" text-anchor=\"end\">timer tick, %s</text>\n",
                plot.width - plot.right - 6, y - 6, dw_bench_time_text(text, tick));
    }
    time_labels(&plot, run, contender);
    dw_page_plot_end(&plot);
}

void dw_page_heat(FILE *file, const struct dw_bench_run *run)
{
    struct dw_page_axis axis = {0};
    uint32_t most, drawn = 0;
    find_scale(run, &axis, &most);
    fputs("<section><h2>Latency over time</h2><p>Each column is a moment of the contender's own time, each cell holds "
          "the "
          "samples of that latency: the darker (in dark mode: the brighter), the more, on a logarithmic scale. What "
          "gathers at the timer tick waited for a CPU, not for the disk.</p>\n",
          file);
    for (uint32_t i = 0; i < run->contender_count && drawn < MAPS_MAX; i++) {
        if (dw_bench_get(&run->contenders[i]->record.issue.count) == 0)
            continue;
        draw_map(file, run, run->contenders[i], &axis, most);
        drawn++;
    }
    if (run->contender_count > MAPS_MAX)
        fprintf(file, "<p>The first %d contenders are shown.</p>", MAPS_MAX);
    fputs("</section>\n", file);
}

/* ---- stages --------------------------------------------------------------------------------------------------------------*/

static const struct {
    const char *name;
    double from, to;
} bands[] = {{"all", 0, 100}, {"fastest half", 0, 50}, {"slowest 1 %", 99, 100}, {"slowest 0.1 %", 99.9, 100}};
enum { BANDS = sizeof bands / sizeof bands[0], BAR_HEIGHT = 19, BAR_STEP = 24, GROUP_GAP = 12 };

static void draw_bar(FILE *file, const struct dw_bench_contender *contender, int band, double y, double left,
                     double width)
{
    double shares[DW_BENCH_STAGES], mean_ns, at = left;
    if (!dw_bench_stage_shares(&contender->record, bands[band].from, bands[band].to, shares, &mean_ns))
        return;
    fprintf(file, "<text x=\"%.0f\" y=\"%.1f\" text-anchor=\"end\">%s</text>", left - 8, y + 14, bands[band].name);
    for (int stage = 0; stage < DW_BENCH_STAGES; stage++) {
        double part = shares[stage] * width;
        char time[16];
        if (part < 0.05)
            continue;
        fprintf(file, "<rect class=\"s%d\" x=\"%.1f\" y=\"%.1f\" width=\"%.1f\" height=\"%d\"><title>%s: %.1f %%, %s",
                stage, at, y, part > 1 ? part - 0.7 : part, BAR_HEIGHT, dw_bench_stage_name((enum dw_bench_stage)stage),
                shares[stage] * 100, dw_bench_time_text(time, shares[stage] * mean_ns));
        fputs("</title></rect>", file);
        at += part;
    }
    char mean[16];
    fprintf(file, "<text x=\"%.0f\" y=\"%.1f\">%s</text>\n", left + width + 8, y + 14,
            dw_bench_time_text(mean, mean_ns));
}

/* A bare engine that knows only the device needs no more than one bar. */
static int bands_of(const struct dw_bench_contender *contender)
{
    double shares[DW_BENCH_STAGES], mean_ns;
    bool is_device_alone =
        dw_bench_stage_shares(&contender->record, 0, 100, shares, &mean_ns) && shares[DW_BENCH_DEVICE] > 0.9999;
    return is_device_alone ? 1 : BANDS;
}

static void stage_legend(FILE *file)
{
    const char *names[DW_BENCH_STAGES];
    for (int stage = 0; stage < DW_BENCH_STAGES; stage++)
        names[stage] = dw_bench_stage_name((enum dw_bench_stage)stage);
    dw_page_legend(file, names, DW_BENCH_STAGES, false);
}

void dw_page_stages(FILE *file, const struct dw_bench_run *run)
{
    int height = 8;
    for (uint32_t i = 0; i < run->contender_count; i++)
        if (dw_bench_get(&run->contenders[i]->record.issue.count) > 0)
            height += bands_of(run->contenders[i]) * BAR_STEP + GROUP_GAP + 20;
    fputs("<section><h2>Where the time went</h2><p>The mean operation of each band, and the part of its time in each "
          "stage. Bare engines know the device and, when they are asynchronous, the submission; what their completion "
          "waited for is in the device's part.</p>\n",
          file);
    stage_legend(file);
    fprintf(file, "<svg viewBox=\"0 0 1040 %d\" role=\"img\" aria-label=\"stages\">\n", height);
    double y = 4;
    for (uint32_t i = 0; i < run->contender_count; i++) {
        if (dw_bench_get(&run->contenders[i]->record.issue.count) == 0)
            continue;
        fprintf(file, "<text class=\"title\" x=\"4\" y=\"%.1f\">", y + 12);
        dw_page_text(file, run->contenders[i]->label);
        fputs("</text>\n", file);
        y += 20;
        for (int band = 0; band < bands_of(run->contenders[i]); band++, y += BAR_STEP)
            draw_bar(file, run->contenders[i], band, y, 110, 850);
        y += GROUP_GAP;
    }
    fputs("</svg></section>\n", file);
}
