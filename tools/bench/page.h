/* page.h - between the parts of the page: the file that is written, a plot's frame, scales and colours.
 *
 * The page is one file: styles in its head, plots as inline SVG, nothing from elsewhere, no script. Colours are CSS
 * variables with a light and a dark set, chosen by the reader's system. Hovering uses the titles of SVG. */
#ifndef DW_TOOLS_BENCH_PAGE_H
#define DW_TOOLS_BENCH_PAGE_H

#include <stdio.h>

#include "tools/bench/report.h"

#define DW_PAGE_COLOURS 8u

/* A plot with linear room between margins; x and y are mapped from [from, to], by logarithm if so. */
struct dw_page_axis {
    double from, to;
    bool is_log;
};
struct dw_page_plot {
    FILE *file;
    int width, height, left, right, top, bottom;
    struct dw_page_axis x, y;
};
void dw_page_text(FILE *file, const char *text); /* escaped */
void dw_page_styles(FILE *file);
void dw_page_plot_begin(const struct dw_page_plot *plot, const char *what);
void dw_page_plot_end(const struct dw_page_plot *plot);
double dw_page_x(const struct dw_page_plot *plot, double value);
double dw_page_y(const struct dw_page_plot *plot, double value);
/* Gridlines and labels of a y axis of times; `title` stands above it. */
void dw_page_time_axis(const struct dw_page_plot *plot, const char *title);
/* Counts or rates, linear, from 0. */
void dw_page_count_axis(const struct dw_page_plot *plot, const char *title);
void dw_page_x_label(const struct dw_page_plot *plot, double x, const char *text, bool has_line);
void dw_page_x_title(const struct dw_page_plot *plot, const char *text);
/* Widen [from, to] to whole decades that hold all values given so far. */
void dw_page_widen(struct dw_page_axis *axis, double value);
void dw_page_round_out(struct dw_page_axis *axis);
/* A legend of lines: names with the colours 0, 1, ... */
void dw_page_legend(FILE *file, const char *const *names, uint32_t count, bool is_line);
/* The line of series `index`: its class and dash pattern as attributes. */
void dw_page_line_style(FILE *file, uint32_t index);

/* The plots: page_plots.c, page_heat.c. */
void dw_page_percentiles(FILE *file, const struct dw_bench_run *run);
void dw_page_scaling(FILE *file, const struct dw_bench_run *run);
void dw_page_offered(FILE *file, const struct dw_bench_run *run);
void dw_page_stages(FILE *file, const struct dw_bench_run *run);
void dw_page_heat(FILE *file, const struct dw_bench_run *run);

#endif
