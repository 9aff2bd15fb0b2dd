/* report.h - what a run is told as. Each function only reads the run; 0 or -errno. Called by: the main thread. */
#ifndef DW_TOOLS_BENCH_REPORT_H
#define DW_TOOLS_BENCH_REPORT_H

#include <stdio.h>

#include "tools/bench/run.h"

/* The percentiles that reports show. */
#define DW_BENCH_PERCENTS 7u
extern const double dw_bench_percents[DW_BENCH_PERCENTS];           /* 50 .. 99.999, 100 */
extern const char *const dw_bench_percent_names[DW_BENCH_PERCENTS]; /* "p50" .. "p99.999", "max" */

/* For people, on standard output. `slowest`: how many of the slowest to list for each contender. */
void dw_bench_report_text(const struct dw_bench_run *run, uint32_t slowest);
int dw_bench_report_json(const struct dw_bench_run *run, uint32_t slowest, const char *path);
/* HdrHistogram's percentile text: one file for each contender; a '%' in the path takes its label. */
int dw_bench_report_hgrm(const struct dw_bench_run *run, const char *path);
/* HdrHistogram's log, all contenders in one file, each line tagged with its label. */
int dw_bench_report_log(const struct dw_bench_run *run, const char *path);
/* A page for a browser. */
int dw_bench_report_page(const struct dw_bench_run *run, uint32_t slowest, const char *path);

/* Part of the time of the samples between two percentiles that each stage took, 0..1; their mean latency in *mean_ns.
 * False: no samples there. */
bool dw_bench_stage_shares(const struct dw_bench_record *record, double from_percent, double to_percent,
                           double shares[DW_BENCH_STAGES], double *mean_ns);
/* "128 B entries, 1 thread, closed loop". */
void dw_bench_load_text(const struct dw_bench_load *load, char *text, size_t size);

#endif
