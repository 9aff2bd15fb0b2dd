/* plan.h - what to measure, from the command line and from a plan file, into contenders.
 *
 * A plan is text: `key = value` lines, `#` comments, `[name]` sections. The keys are those of the command line. Lines
 * before the first section hold for all sections; each section adds the combinations of its lists as contenders.
 * Owns: the texts of the settings. Called by: the main thread. Failure: one message that names the line and what is
 * allowed. */
#ifndef DW_TOOLS_BENCH_PLAN_H
#define DW_TOOLS_BENCH_PLAN_H

#include "tools/bench/run.h"

struct dw_bench_settings { /* as given; lists are comma-separated; NULL: not given */
    const char *engines, *threads, *size, *batch, *outstanding, *rate, *arrival;
    const char *duration, *rounds, *count, *warm_up, *settle;
};

/* Add the contenders of one section to the run. 0 or -1, told. `where`: "--" for the command line, or the file. */
int dw_bench_plan_add(struct dw_bench_run *run, const struct dw_bench_settings *settings, const char *where,
                      const char *group);
/* Rounds, times and counts of the run. 0 or -1, told. */
int dw_bench_plan_times(struct dw_bench_run *run, const struct dw_bench_settings *settings, const char *where);
/* Read the file at `path` over the settings of the command line, and do both of the above. */
int dw_bench_plan_read(struct dw_bench_run *run, const struct dw_bench_settings *given, const char *path);
/* "500us", "100ms", "1.5s", "2m" -> nanoseconds. */
bool dw_bench_time_parse(const char *text, uint64_t *time_ns);
/* "128" or "64:50,4KiB:50". */
bool dw_bench_mix_parse(const char *text, struct dw_bench_mix *mix);

#endif
