/* run.h - all of one measurement: the target, the engines, the contenders, the rounds.
 *
 * Owns: everything in struct dw_bench_run. Called by: the main thread; the lanes are threads of one slice each.
 * Happy path: open -> rounds of slices, interleaved -> close. Failure: an engine that was asked for by name and cannot
 * run ends the run before it begins; one that fails later stops alone, and what it did before is reported. A signal ends
 * the slice: what was measured by then is reported. */
#ifndef DW_TOOLS_BENCH_RUN_H
#define DW_TOOLS_BENCH_RUN_H

#include "tools/bench/bench.h"
#include "tools/bench/machine.h"
#include "tools/bench/target.h"

#define DW_BENCH_ENGINES 5u

struct dw_bench_run {
    /* The plan. */
    struct dw_bench_target target;
    uint32_t rounds;
    uint64_t slice_ns, warm_up_ns;
    uint64_t slice_count; /* recorded operations of a slice; 0: by time */
    uint64_t seed;
    uint64_t trace_ns;   /* name the culprit of operations that take longer; 0: no tracing */
    uint64_t trace_lost; /* pages before which the kernel dropped events */
    bool is_quiet;

    struct dw_bench_engine engines[DW_BENCH_ENGINES];
    struct dw_bench_contender *contenders[DW_BENCH_CONTENDERS_MAX];
    uint32_t contender_count;
    uint32_t baseline; /* its slices are halved, to see how much is noise */
    bool has_baseline; /* there is more than one contender */
    uint32_t rounds_done;
    bool was_interrupted;
    struct dw_bench_machine machine;
    uint64_t start_ns, end_ns; /* CLOCK_MONOTONIC */
    uint64_t start_time_ns;    /* CLOCK_REALTIME */
};

/* The engine by its name; NULL: none is called so. */
struct dw_bench_engine *dw_bench_run_engine(struct dw_bench_run *run, const char *name, size_t size);
void dw_bench_run_init(struct dw_bench_run *run);
/* Add a contender. NULL: no memory, or too many (told). */
struct dw_bench_contender *dw_bench_run_add(struct dw_bench_run *run, struct dw_bench_engine *engine,
                                            const struct dw_bench_load *load, const char *group);
/* Target, engines, labels. 0 or -1, told. `may_drop`: engines that cannot run here are left out instead. */
int dw_bench_run_open(struct dw_bench_run *run, bool may_drop);
/* All rounds. */
void dw_bench_run_rounds(struct dw_bench_run *run);
void dw_bench_run_close(struct dw_bench_run *run);
/* How noisy the run was: median ratio of the baseline's second half slices to its first ones; 0: unknown. */
double dw_bench_run_noise(const struct dw_bench_run *run);
/* Beside whom a contender is told: the first bare engine under the same load. NULL: there is none, or it is the one. */
const struct dw_bench_contender *dw_bench_run_beside(const struct dw_bench_run *run,
                                                     const struct dw_bench_contender *contender);
/* Metric by metric, the contender beside that one. */
struct dw_bench_ratio;
void dw_bench_run_ratio(const struct dw_bench_run *run, const struct dw_bench_contender *contender,
                        enum dw_bench_metric metric, struct dw_bench_ratio *ratio);
const char *dw_bench_metric_name(enum dw_bench_metric metric);

#endif
