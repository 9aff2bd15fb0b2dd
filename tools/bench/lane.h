/* lane.h - one thread of load: when to start the next operation, and what it took.
 *
 * Owns: the operations' slots and the record. Called by: the run, one lane for each thread of a load; the self-test and
 * the tests with a clock and an engine of their own. */
#ifndef DW_TOOLS_BENCH_LANE_H
#define DW_TOOLS_BENCH_LANE_H

#include "tools/bench/bench.h"

struct dw_bench_lane {
    struct dw_bench_engine *engine;
    const struct dw_bench_clock *clock;
    const struct dw_bench_load *load;
    const uint8_t *payload;
    uint32_t index, round;
    uint64_t seed;

    /* The slice. Operations that were to start in [start_ns, measure_ns) warm up and are not recorded. */
    uint64_t start_ns, measure_ns, end_ns;
    uint64_t drain_ns;  /* an overloaded open loop is given up here */
    uint64_t trace_ns;  /* longer operations are noted for the trace; 0: none */
    int32_t thread;     /* id of the thread that runs it */
    uint64_t count_max; /* recorded operations; 0: until end_ns */
    uint32_t column_first, column_count;
    const atomic_bool *stop;

    struct dw_bench_record *record;
    /* Out. */
    uint64_t unissued;           /* intended and never started */
    uint64_t finished, recorded; /* all, and those that were not warm-up */
    uint64_t last_done_ns;       /* of the recorded ones */
    int failure;
    char failure_text[256];

    /* The lane's own. */
    void *engine_lane;
    struct dw_bench_op *ops, *free_ops;
    uint32_t under_way;
    uint64_t random, next_intended_ns, scheduled, issued;
    double next_exact; /* the same as next_intended_ns, without rounding, from start_ns on */
};

/* Make the slots and the engine's side, in the thread that will run it. 0, or failure and failure_text. */
int dw_bench_lane_open(struct dw_bench_lane *lane);
/* Run the slice. */
void dw_bench_lane_run(struct dw_bench_lane *lane);
void dw_bench_lane_close(struct dw_bench_lane *lane);

/* 64 random bits (xorshift64*); *state is never 0. */
uint64_t dw_bench_random(uint64_t *state);

#endif
