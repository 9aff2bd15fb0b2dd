/* page_plot.c - frame, axes, legend and styles of the page's plots; see page.h. */
#include <math.h>
#include <string.h>

#include "tools/bench/live.h"
#include "tools/bench/page.h"

void dw_page_text(FILE *file, const char *text)
{
    for (; *text; text++) {
        if (*text == '<')
            fputs("&lt;", file);
        else if (*text == '>')
            fputs("&gt;", file);
        else if (*text == '&')
            fputs("&amp;", file);
        else if (*text == '"')
            fputs("&quot;", file);
        else
            fputc(*text, file);
    }
}

/* ---- styles ------------------------------------------------------------------------------------------------------------*/

void dw_page_styles(FILE *file)
{
    fputs("<style>\n"
          ":root{color-scheme:light dark;--page:#f9f9f7;--card:#ffffff;--ink:#16181d;--soft:#5a6069;--grid:#e3e5e8;"
          "--axis:#8a9099;--tick:#c2410c;--bad:#b91c1c;\n"
          "--c0:#1d62c4;--c1:#c2570c;--c2:#0f8a62;--c3:#8b3fb5;--c4:#b5206b;--c5:#6b7000;--c6:#0b7f94;--c7:#5b5f66;\n"
          "--s0:#9aa0a8;--s1:#8b3fb5;--s2:#0f8a62;--s3:#b5206b;--s4:#d99a00;--s5:#0b9bb4;--s6:#1d62c4;--s7:#c2570c;"
          "--s8:#6b7000;\n"
          "--h1:#a9c8ee;--h2:#8db5e6;--h3:#6f9fdc;--h4:#5388cf;--h5:#3a70bd;--h6:#2559a3;--h7:#153f7f;--h8:#081f47}\n"
          "@media(prefers-color-scheme:dark){:root{--page:#121417;--card:#1b1e23;--ink:#eceef1;--soft:#a4abb5;"
          "--grid:#30353c;--axis:#7b838e;--tick:#fb923c;--bad:#f87171;\n"
          "--c0:#6ea8fe;--c1:#f59e5b;--c2:#4cc79b;--c3:#c792ea;--c4:#f472b6;--c5:#c5cc4b;--c6:#4fd1e8;--c7:#aab0b9;\n"
          "--s0:#747b85;--s1:#c792ea;--s2:#4cc79b;--s3:#f472b6;--s4:#f2c14e;--s5:#4fd1e8;--s6:#5b97f5;--s7:#f59e5b;"
          "--s8:#c5cc4b;\n"
          "--h1:#2f5288;--h2:#35629f;--h3:#3d74b8;--h4:#4a88d0;--h5:#629fe2;--h6:#86b8ef;--h7:#b3d3f8;--h8:#ecf5ff}}\n"
          "*{box-sizing:border-box}body{margin:0;background:var(--page);color:var(--ink);"
          "font:15px/1.5 system-ui,sans-serif}\n"
          "main{max-width:1160px;margin:0 auto;padding:28px 20px 60px}h1{font-size:24px;margin:0 0 4px}"
          "h2{font-size:18px;margin:0 0 4px}p{margin:4px 0 10px;color:var(--soft)}\n"
          "section{background:var(--card);border:1px solid var(--grid);border-radius:10px;padding:18px 20px;"
          "margin:18px 0;overflow-x:auto}\n"
          "table{border-collapse:collapse;font-variant-numeric:tabular-nums;font-size:13.5px;white-space:nowrap}"
          "td,th{padding:4px 10px;text-align:right;border-bottom:1px solid var(--grid)}"
          "th{color:var(--soft);font-weight:600}td:first-child,th:first-child{text-align:left;padding-left:0}\n"
          "td.left,th.left{text-align:left;white-space:normal}td.few{color:var(--soft);font-style:italic}"
          "td.near{text-align:left}td.noise{color:var(--soft)}td.few::after{content:\" "
          "?\"}.bad{color:var(--bad);font-weight:600}\n"
          "svg{display:block;width:100%;height:auto;max-width:1120px}"
          "svg text{fill:var(--soft);font:12.5px system-ui,sans-serif}svg text.title{fill:var(--ink);font-weight:600}\n"
          ".grid{stroke:var(--grid);stroke-width:1}.axis{stroke:var(--axis);stroke-width:1}"
          ".tick{stroke:var(--tick);stroke-width:1.5;stroke-dasharray:6 4}svg "
          "text.ticktext{fill:var(--tick);paint-order:stroke;stroke:var(--card);stroke-width:4px}\n"
          ".line{fill:none;stroke-width:2.25;stroke-linejoin:round}.dot{stroke:var(--card);stroke-width:1.5}"
          ".hit{fill:transparent}.hit:hover{fill:var(--ink);fill-opacity:.25}\n",
          file);
    for (unsigned i = 0; i < DW_PAGE_COLOURS; i++)
        fprintf(file, ".l%u{stroke:var(--c%u)}.f%u{fill:var(--c%u)}.b%u{background:var(--c%u)}", i, i, i, i, i, i);
    for (unsigned i = 0; i < DW_BENCH_STAGES; i++)
        fprintf(file, ".s%u{fill:var(--s%u)}.t%u{background:var(--s%u)}", i, i, i, i);
    for (unsigned i = 1; i <= 8; i++)
        fprintf(file, ".h%u{fill:var(--h%u)}", i, i);
    fputs("\n.legend{display:flex;flex-wrap:wrap;gap:4px 18px;margin:2px 0 10px;font-size:13.5px}"
          ".legend i{display:inline-block;width:14px;height:14px;border-radius:3px;margin-right:7px;"
          "vertical-align:-2px}.legend svg{display:inline-block;width:30px;height:12px;margin-right:7px;"
          "vertical-align:-1px}\n"
          "</style>\n",
          file);
}

static const char *dash_of(uint32_t index)
{
    static const char *const dashes[] = {"", "7 4", "2 3", "9 3 2 3"};
    return dashes[index / DW_PAGE_COLOURS % 4];
}

void dw_page_line_style(FILE *file, uint32_t index)
{
    fprintf(file, " class=\"line l%u\"", index % DW_PAGE_COLOURS);
    if (dash_of(index)[0])
        fprintf(file, " stroke-dasharray=\"%s\"", dash_of(index));
}

void dw_page_legend(FILE *file, const char *const *names, uint32_t count, bool is_line)
{
    fputs("<div class=\"legend\">", file);
    for (uint32_t i = 0; i < count; i++) {
        fputs("<span>", file);
        if (is_line) {
            fputs("<svg viewBox=\"0 0 30 12\"><path d=\"M0 6H30\"", file);
            dw_page_line_style(file, i);
            fputs("/></svg>", file);
        } else {
            fprintf(file, "<i class=\"t%u\"></i>", i);
        }
        dw_page_text(file, names[i]);
        fputs("</span>", file);
    }
    fputs("</div>\n", file);
}

/* ---- scales --------------------------------------------------------------------------------------------------------------*/

static double part_of(const struct dw_page_axis *axis, double value)
{
    double part;
    if (axis->is_log)
        part = value > 0 ? log(value / axis->from) / log(axis->to / axis->from) : 0;
    else
        part = (value - axis->from) / (axis->to - axis->from);
    return part < 0 ? 0 : part > 1 ? 1 : part;
}

double dw_page_x(const struct dw_page_plot *plot, double value)
{
    return plot->left + part_of(&plot->x, value) * (plot->width - plot->left - plot->right);
}
double dw_page_y(const struct dw_page_plot *plot, double value)
{
    return plot->height - plot->bottom - part_of(&plot->y, value) * (plot->height - plot->top - plot->bottom);
}

void dw_page_widen(struct dw_page_axis *axis, double value)
{
    if (value <= 0 && axis->is_log)
        return;
    if (axis->to <= 0 && axis->from <= 0) {
        axis->from = axis->to = value;
        return;
    }
    axis->from = value < axis->from ? value : axis->from;
    axis->to = value > axis->to ? value : axis->to;
}

void dw_page_round_out(struct dw_page_axis *axis)
{
    static const double steps[] = {1, 1.2, 1.5, 2, 2.5, 3, 4, 5, 6, 8, 10};
    static const double log_steps[] = {1, 2, 5};
    if (axis->to <= 0)
        axis->to = axis->is_log ? 1000 : 1;
    double decade = pow(10, floor(log10(axis->to)));
    for (size_t i = 0; i < sizeof steps / sizeof steps[0]; i++) {
        if (decade * steps[i] >= axis->to * 0.9999) {
            axis->to = decade * steps[i];
            break;
        }
    }
    if (!axis->is_log) {
        axis->from = 0;
        return;
    }
    if (axis->from <= 0)
        axis->from = axis->to / 10;
    decade = pow(10, floor(log10(axis->from)));
    double from = decade;
    for (size_t i = 0; i < sizeof log_steps / sizeof log_steps[0]; i++)
        if (decade * log_steps[i] <= axis->from * 1.0001)
            from = decade * log_steps[i];
    axis->from = from;
    if (axis->to < axis->from * 10)
        axis->to = axis->from * 10;
}

/* ---- frame and axes ------------------------------------------------------------------------------------------------------*/

void dw_page_plot_begin(const struct dw_page_plot *plot, const char *what)
{
    fprintf(plot->file, "<svg viewBox=\"0 0 %d %d\" role=\"img\" aria-label=\"", plot->width, plot->height);
    dw_page_text(plot->file, what);
    fputs("\">\n", plot->file);
}

void dw_page_plot_end(const struct dw_page_plot *plot)
{
    fprintf(plot->file, "<path class=\"axis\" d=\"M%d %dH%d\"/></svg>\n", plot->left, plot->height - plot->bottom,
            plot->width - plot->right);
}

static void y_line(const struct dw_page_plot *plot, double value, const char *label)
{
    double y = dw_page_y(plot, value);
    fprintf(plot->file, "<path class=\"grid\" d=\"M%d %.1fH%d\"/>", plot->left, y, plot->width - plot->right);
    fprintf(plot->file, "<text x=\"%d\" y=\"%.1f\" text-anchor=\"end\">%s</text>\n", plot->left - 8, y + 4, label);
}

void dw_page_time_axis(const struct dw_page_plot *plot, const char *title)
{
    static const double marks[] = {1, 2, 5};
    char label[16];
    double decades = log10(plot->y.to / plot->y.from);
    for (double decade = pow(10, floor(log10(plot->y.from) + 1e-9)); decade <= plot->y.to * 1.0001; decade *= 10)
        for (int i = 0; i < (decades > 3.5 ? 1 : 3); i++) {
            double value = decade * marks[i];
            if (value >= plot->y.from * 0.9999 && value <= plot->y.to * 1.0001)
                y_line(plot, value, dw_bench_time_text(label, value));
        }
    fprintf(plot->file, "<text class=\"title\" x=\"4\" y=\"14\">%s</text>\n", title);
}

static void count_text(char *text, size_t size, double value)
{
    if (value >= 1e6)
        (void)snprintf(text, size, "%.3g M", value / 1e6);
    else if (value >= 1e4)
        (void)snprintf(text, size, "%.3g k", value / 1e3);
    else
        (void)snprintf(text, size, "%.4g", value);
}

void dw_page_count_axis(const struct dw_page_plot *plot, const char *title)
{
    for (int i = 0; i <= 5; i++) {
        char label[32];
        double value = plot->y.to * i / 5;
        count_text(label, sizeof label, value);
        y_line(plot, value, label);
    }
    fprintf(plot->file, "<text class=\"title\" x=\"4\" y=\"14\">%s</text>\n", title);
}

void dw_page_x_label(const struct dw_page_plot *plot, double x, const char *text, bool has_line)
{
    int floor_y = plot->height - plot->bottom;
    if (has_line)
        fprintf(plot->file, "<path class=\"grid\" d=\"M%.1f %dV%d\"/>", x, plot->top, floor_y);
    fprintf(plot->file, "<text x=\"%.1f\" y=\"%d\" text-anchor=\"middle\">%s</text>\n", x, floor_y + 18, text);
}

void dw_page_x_title(const struct dw_page_plot *plot, const char *text)
{
    fprintf(plot->file, "<text class=\"title\" x=\"%d\" y=\"%d\" text-anchor=\"middle\">%s</text>\n",
            (plot->left + plot->width - plot->right) / 2, plot->height - 6, text);
}
