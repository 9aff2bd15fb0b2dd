/* compare.h - two runs beside each other: what differs, and what is noise. */
#ifndef DW_TOOLS_BENCH_COMPARE_H
#define DW_TOOLS_BENCH_COMPARE_H

/* `dwal bench compare A.json B.json`. The exit status: 0: nothing is worse in B than noise explains; 3: something is; 1:
 * wrong use. Called by: the main thread. */
enum { DW_BENCH_EXIT_WORSE = 3 };
int dw_bench_compare(int argument_count, char **arguments);

#endif
