/* model.h - an engine and a clock for tests: time is a number that operations and sleeps move on, so that a stall of 100 ms
 * takes no time and gives the same answer each time.
 *
 * Owns: nothing; the struct is its user's. Called by: one thread. */
#ifndef DW_TOOLS_BENCH_MODEL_H
#define DW_TOOLS_BENCH_MODEL_H

#include "tools/bench/lane.h"

struct dw_bench_model {
    struct dw_bench_engine engine;
    struct dw_bench_clock clock;
    uint64_t time_ns;
    uint64_t service_ns;         /* what each operation takes */
    uint64_t stall_at, stall_ns; /* operation number stall_at takes so much instead */
    uint64_t fail_at;            /* this one fails; UINT64_MAX: none */
    uint64_t sleep_late_ns;      /* how late a sleep wakes */
    uint64_t operations;
    uint64_t busy_until_ns; /* several outstanding are served one after another */
    struct dw_bench_op *first, **last;
};
void dw_bench_model_init(struct dw_bench_model *model, uint64_t service_ns);
/* Run one lane for `duration_ns` of model time; the record is cleared first. The lane tells what was left undone. */
void dw_bench_model_run(struct dw_bench_model *model, const struct dw_bench_load *load, uint64_t duration_ns,
                        struct dw_bench_record *record, struct dw_bench_lane *lane);
/* The honesty of the recorder: one completion is 100 ms late at 10,000/s. Prints what is recorded; true when it is what a
 * caller would have seen. Also measures what recording costs. */
bool dw_bench_self_test(void);

#endif
