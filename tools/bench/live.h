/* live.h - how it goes, while it goes: on a terminal a line that is rewritten (rate, percentiles, a strip of the last
 * slices); else a plain line for each round. On standard error. Called by: the main thread. */
#ifndef DW_TOOLS_BENCH_LIVE_H
#define DW_TOOLS_BENCH_LIVE_H

#include "tools/bench/run.h"

/* While a slice runs; the records are read while their lanes write them. */
void dw_bench_live_show(struct dw_bench_run *run, const struct dw_bench_contender *contender, uint32_t round,
                        struct dw_bench_record *const *records, uint32_t count);
/* A round of a contender is over. */
void dw_bench_live_round(const struct dw_bench_run *run, const struct dw_bench_contender *contender, uint32_t round);
/* Wipe the line. */
void dw_bench_live_end(void);
/* "85.3 us": three digits and a unit. */
const char *dw_bench_time_text(char text[16], double time_ns);

#endif
