/* bench.h - the words of the benchmark: load, operation, engine, lane's record, contender, run.
 *
 * A *contender* is one engine under one load. A *round* gives each contender one *slice* of time; a slice is run by as many
 * *lanes* (threads) as the load asks for. A lane issues *operations*, an engine makes them durable, the lane records them.
 * Everything here is plain data; who owns it: the main thread, except a lane and its record, which are the lane's own
 * thread's while a slice runs. */
#ifndef DW_TOOLS_BENCH_BENCH_H
#define DW_TOOLS_BENCH_BENCH_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "tools/bench/histogram.h"
#include "tools/bench/trace.h"

/* ---- load ----------------------------------------------------------------------------------------------------------*/

#define DW_BENCH_MIX_MAX     8u
#define DW_BENCH_BATCH_MAX   64u
#define DW_BENCH_THREADS_MAX 256u

struct dw_bench_mix { /* entry sizes and how often each comes */
    uint32_t count;
    uint32_t sizes[DW_BENCH_MIX_MAX];
    uint32_t weights[DW_BENCH_MIX_MAX];
};
struct dw_bench_load {
    struct dw_bench_mix mix;
    uint32_t threads;
    uint32_t outstanding; /* operations of one thread under way at once; 1: it waits for each */
    uint32_t batch;       /* entries of one operation */
    double rate;          /* operations a second of all threads together; 0: closed loop */
    bool is_poisson;      /* else evenly spaced */
};

/* ---- where the time of one operation went --------------------------------------------------------------------------*/

enum dw_bench_stage {
    DW_BENCH_LATE,         /* from the intended start to the real one: the generator was held up */
    DW_BENCH_RESERVE_WAIT, /* no room in the log's ring */
    DW_BENCH_COPY,         /* checksum, place and copy */
    DW_BENCH_PUBLISH_GAP,  /* somebody before it had reserved and not yet copied */
    DW_BENCH_QUEUE_WAIT,   /* behind a write in flight, or waiting for the flusher to notice */
    DW_BENCH_SUBMIT,       /* the system call that hands the write over */
    DW_BENCH_DEVICE,       /* the write itself */
    DW_BENCH_HOP,          /* finished, but not yet known to be, or an earlier write was not */
    DW_BENCH_WAKE,         /* durable, and the caller not yet running again */
    DW_BENCH_STAGES
};
const char *dw_bench_stage_name(enum dw_bench_stage stage);

/* ---- operations and engines ----------------------------------------------------------------------------------------*/

struct dw_bench_op {
    uint64_t intended_ns, issue_ns, done_ns;
    uint64_t stage_ns[DW_BENCH_STAGES]; /* by the engine; zero where it cannot tell; not LATE */
    uint64_t place;                     /* by the engine: lsn, or byte in the file */
    uint64_t bytes;                     /* of its entries */
    uint32_t entry_sizes[DW_BENCH_BATCH_MAX];
    uint32_t entry_count;
    uint32_t slot;          /* 0..outstanding-1: room of its own in the engine */
    bool is_crossing;       /* by the engine: its last byte lies in another volume than that of the one before */
    uint32_t payload_shift; /* by how many pages it looks into the random payload */
    int result;             /* 0, a dwal code or -errno */
    struct dw_bench_op *next;
};

/* Time, so that a test can bring its own. */
struct dw_bench_clock {
    uint64_t (*now)(void *context);
    void (*sleep_until)(void *context, uint64_t time_ns); /* may wake early; the caller looks again */
    void *context;
};
extern const struct dw_bench_clock dw_bench_real_clock; /* CLOCK_MONOTONIC */

struct dw_bench_target;
struct dw_bench_engine {
    const struct dw_bench_engine_ops *ops;
    const struct dw_bench_clock *clock;
    struct dw_bench_target *target;
    void *state;   /* the engine's own */
    char why[256]; /* after a failed open or lane_open: what is missing */
};
/* Results are 0, a code of dwal/error.h or -errno. open and close: main thread. The others: the lane's own thread. */
struct dw_bench_engine_ops {
    const char *name;
    bool is_log;      /* writes through dwal */
    bool is_blocking; /* issue returns with the operation done, whatever `outstanding` says */
    int (*open)(struct dw_bench_engine *engine);
    void (*close)(struct dw_bench_engine *engine);
    int (*lane_open)(struct dw_bench_engine *engine, uint32_t outstanding, void **lane);
    void (*lane_close)(void *lane);
    /* Start it. True: it is done already (or failed). */
    bool (*issue)(void *lane, struct dw_bench_op *op, const uint8_t *payload);
    /* The operations that are done, linked by `next`. Waits for the first one, at most until `until_ns`. */
    struct dw_bench_op *(*reap)(void *lane, uint64_t until_ns);
    /* Main thread: leave the place as the next slice wants it; called now and then while one runs, too. May be NULL. */
    void (*tidy)(struct dw_bench_engine *engine, bool is_running);
};
extern const struct dw_bench_engine_ops dw_bench_engine_log, dw_bench_engine_sync, dw_bench_engine_uring,
    dw_bench_engine_aio, dw_bench_engine_nvme;

/* Random bytes, made before anything is timed: of this size, from a page boundary on, at any shift. */
#define DW_BENCH_PAGE         4096u
#define DW_BENCH_SHIFTS       64u
#define DW_BENCH_OP_BYTES_MAX (4u << 20)

/* ---- what a lane records -------------------------------------------------------------------------------------------*/

#define DW_BENCH_ROW_SHIFT 4u /* 16 buckets of the histogram are one row: eight rows for each power of two */
#define DW_BENCH_ROWS      (DW_BENCH_BUCKETS >> DW_BENCH_ROW_SHIFT)
#define DW_BENCH_COLUMNS   160u
#define DW_BENCH_SLOWEST   32u
#define DW_BENCH_THEN_SIZE 160u

struct dw_bench_slow {
    uint64_t latency_ns; /* of an open loop: from the intended start */
    uint64_t intended_ns, issue_ns, done_ns;
    uint64_t stage_ns[DW_BENCH_STAGES];
    uint64_t place, bytes;
    uint32_t lane, round;
    char then[DW_BENCH_THEN_SIZE];    /* what the machine did meanwhile */
    char culprit[DW_BENCH_THEN_SIZE]; /* named by the kernel's tracepoints */
};
struct dw_bench_record {
    struct dw_bench_histogram issue;    /* from the real start to durable */
    struct dw_bench_histogram intended; /* from the intended start to durable; open loops only */
    struct dw_bench_histogram crossing; /* of `issue`: those that were the first of their lane in a new volume */
    uint64_t bytes, entries;
    uint32_t heat[DW_BENCH_COLUMNS][DW_BENCH_ROWS];
    struct {
        uint64_t count, stage_ns[DW_BENCH_STAGES];
    } rows[DW_BENCH_ROWS];
    uint32_t slow_count;
    uint64_t slow_floor_ns; /* shorter ones need not apply */
    struct dw_bench_slow slow[DW_BENCH_SLOWEST];
};
void dw_bench_record_clear(struct dw_bench_record *record);
void dw_bench_record_merge(struct dw_bench_record *total, const struct dw_bench_record *part);
void dw_bench_record_slow(struct dw_bench_record *record, const struct dw_bench_slow *slow);

/* ---- contenders and the run ----------------------------------------------------------------------------------------*/

enum dw_bench_metric {
    DW_BENCH_P50,
    DW_BENCH_P90,
    DW_BENCH_P99,
    DW_BENCH_P999,
    DW_BENCH_MAX,
    DW_BENCH_RATE, /* operations a second */
    DW_BENCH_CPU,  /* CPU time of callers and library for one operation, ns; kernel threads are not in it */
    DW_BENCH_METRICS
};
struct dw_bench_round { /* one contender in one round */
    double values[DW_BENCH_METRICS];
    uint64_t count;
    double busy; /* part of all CPUs that was in use, by anybody */
    double steal;
};

#define DW_BENCH_ROUNDS_MAX     400u
#define DW_BENCH_CONTENDERS_MAX 64u

struct dw_bench_contender {
    char label[256];
    char group[64]; /* of the plan: its section; else empty */
    struct dw_bench_engine *engine;
    struct dw_bench_load load;
    struct dw_bench_record record;
    struct dw_bench_round rounds[DW_BENCH_ROUNDS_MAX];
    uint32_t round_count;
    uint64_t measured_ns;
    uint64_t unissued; /* intended and, at the very end, never started */
    double first_half_p50[DW_BENCH_ROUNDS_MAX], second_half_p50[DW_BENCH_ROUNDS_MAX]; /* of the baseline: A and A */
    uint64_t culprits[DW_BENCH_CULPRITS]; /* of the operations above the trace's limit */
    uint32_t columns_used;
    int failure; /* 0, or why it stopped */
    char failure_text[512];
};

static inline const struct dw_bench_histogram *dw_bench_latency(const struct dw_bench_contender *contender)
{
    return contender->load.rate > 0 ? &contender->record.intended : &contender->record.issue;
}

#endif
