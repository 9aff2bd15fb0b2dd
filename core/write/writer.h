/* writer.h - from a caller's entry to a durable lsn: ring, appenders, flush role, durable lsn as one thing.
 *
 * Owns: the ring, the flush role and what it guards, the durable lsn, the counters. Called by: the facade in core/log
 * (append, sync, flush: any thread), the flusher's thread (dw_flusher_*), the store's hooks (space, failure).
 *
 *   appenders --reserve, copy, publish--> ring --seal--> role holder --one durable write--> volume
 *        ^                                                   |
 *        +---------------- durable block, wake --------------+
 *
 * The flush role is a try-lock. A lone committer takes it and writes by itself; otherwise the flusher's thread holds it,
 * with up to in_flight_writes writes in flight. Everything in struct dw_flush is the role's.
 * Failure: the first failed write stops the log for good (core/write/durable.h).
 * Closing: sync all, stop the flusher, then dw_writer_destroy. */
#ifndef DW_CORE_WRITE_WRITER_H
#define DW_CORE_WRITE_WRITER_H

#include <dwal/dwal.h>

#include "core/base/event.h"
#include "core/base/histogram.h"
#include "core/format/crc32c.h"
#include "core/store/store.h"
#include "core/write/durable.h"
#include "core/write/ring.h"
#include "core/write/tick.h"

#define DW_IN_FLIGHT_MAX 4u

struct dw_writer_options {
    uint64_t ring_size;        /* bytes */
    struct dw_arena *arena;    /* its front is the ring; outlives the writer. NULL: the ring maps memory of its own */
    uint32_t in_flight_writes; /* 1..DW_IN_FLIGHT_MAX */
    uint32_t write_blocks_max; /* largest single write, in blocks */
    uint64_t marker_delay_ns;  /* UINT64_MAX: no markers */
    uint64_t stall_report_ns;
    const char *queue_kind; /* NULL: sync */
    const struct dw_clock *clock;
    bool is_single_stepped;
    bool lets_tick_stop;               /* no timer beside durable writes; see core/write/tick.h */
    void (*step_maker)(void *context); /* single-stepped: what a wait for the maker's thread would be; may be NULL */
    void *step_context;
    dwal_durable_fn *durable_callback;
    void *durable_context;
    dwal_written_fn *written_callback; /* may be NULL */
    void *written_context;
    /* Blocks from here on are written; all before are durable. */
    uint64_t next_block;
};

/* One durable write in flight. */
struct dw_flight {
    struct dw_request request;
    uint64_t from, to; /* blocks [from, to) */
    uint64_t start_ns, submitted_ns, completed_ns;
    uint64_t gap_ns; /* what the role waited for copies right before it */
    bool is_finished;
};

/* What the holder of the flush role owns. Others see it only after taking the role (acquire; pairs: ROLE). */
struct dw_flush {
    uint64_t next_block;   /* first block not yet handed to the device */
    uint64_t marker_block; /* block behind the last marker: no second one right after it */
    uint64_t run_blocks;   /* of the last write that began with nothing in flight */
    uint64_t foreseen_end; /* last block of the volume whose end the maker was told of, plus 1 */
    struct dw_flight flights[DW_IN_FLIGHT_MAX];
    uint64_t over_ns;                    /* when the last write was durable, if nobody was woken for it; else 0 */
    uint64_t gap_ns;                     /* waited for copies since the last write began */
    uint32_t flight_first, flight_count; /* in issue order, round the array */
    struct dw_queue *queue;              /* made by the flusher's thread; NULL until then */
    struct dw_tick tick;
    bool is_queue_for_all; /* a lone committer writes through it too; else it is the flusher's thread's alone */
};

/* What every caller counts, many at once: each processor into a part of its own, or its line would go from one to the other in
 * every commit. */
#define DW_CALLER_PARTS 8u
struct dw_caller_stages {
    struct dw_histogram wake, commit;
};

struct dw_writer_counts { /* relaxed: statistics only */
    _Atomic uint64_t records, batches, syncs, payload_bytes, written_bytes, writes, blocks, padded_blocks, markers,
        lone_commits, reserve_waits, publish_gaps, space_waits, stalls;
};

struct dw_writer;
/* Append one entry, waiting for room where there is none. `lsn`, `end` may be NULL. */
typedef int dw_append_one_fn(struct dw_writer *writer, const struct dwal_entry *entry, uint64_t *lsn, uint64_t *end);

struct dw_writer {
    struct dw_ring ring; /* first: see its tail */
    /* Set before any thread starts. Of a log that is open for reading too: it refuses. */
    dw_append_one_fn *append_one;
    dw_append_one_fn *commit_one; /* of at most DW_COMMIT_SHORT bytes, by who has just slept and will sleep again */
    struct dw_durable durable;
    struct dw_store *store;
    struct dw_writer_options options;

    alignas(DW_CACHE_LINE) _Atomic uint32_t
        role;                   /* 1: held. acquire / release; pairs: ROLE; seq_cst with want: ROLE-WANT */
    _Atomic uint32_t is_parked; /* the flusher sleeps without a timer: whoever commits must arm it */
    alignas(DW_CACHE_LINE) _Atomic uint64_t
        want;                       /* all before this lsn, a block's end, was asked to be durable. Only grows */
    _Atomic uint64_t want_since_ns; /* when the oldest unserved request came; 0: none */
    struct dw_event work;           /* the flusher sleeps here */
    struct dw_event room;           /* appenders wait here for ring room or space */
    _Atomic bool is_stopping;
    _Atomic uint64_t write_started_ns; /* 0: no write in flight; for the stall report */
    _Atomic uint64_t stall_counted_ns; /* start of the newest write that was counted as stalled; relaxed */
    struct dw_flush flush;
    struct dw_writer_counts counts;
    struct dw_histogram stages[DWAL_STAGE_WAKE]; /* all but WAKE and COMMIT, which come last */
    struct dw_caller_stages callers[DW_CALLER_PARTS];
};

/* `error codes` everywhere: dwal codes, with dwal_last_error set where a text helps. */
DW_NODISCARD int dw_writer_init(struct dw_writer *writer, struct dw_store *store, const struct dw_geometry *geometry,
                                const struct dw_identity *identity, const struct dw_writer_options *options);
void dw_writer_destroy(struct dw_writer *writer);
/* All that a log that is open for reading has of a writer, zeros otherwise: the ways of an append, which refuse it. */
void dw_writer_init_ways(struct dw_writer *writer, uint32_t sector_size);

/* ---- appenders (core/write/append.c) ---- */
enum dw_append_flags { DW_APPEND_WAIT = 0, DW_APPEND_NO_WAIT = 1 };
/* Append `count` entries under one reservation; all but the last carry DW_RECORD_MORE. `lsns` may be NULL. */
DW_NODISCARD int dw_writer_append(struct dw_writer *writer, const struct dwal_entry *entries, size_t count,
                                  enum dw_append_flags flags, uint64_t *lsns, uint64_t *end);
/* Longest data that is copied and summed in one pass. */
#define DW_QUICK_MAX 512
/* A thread that comes out of the kernel for a moment only pays for widest registers more than they save, up to so many bytes. */
#define DW_COMMIT_SHORT 1024u
/* The shortest way of one entry that this processor has (core/write/quick.c); it waits for room where there is none. is_for_sleepers:
 * without the widest registers. */
dw_append_one_fn *dw_append_quickest(uint32_t sector_size, bool is_for_sleepers);

/* ---- durability (core/write/flush.c) ---- */
/* Raise `want` and wake the flusher if nobody holds the role. */
void dw_writer_flush(struct dw_writer *writer, uint64_t end);
/* Wait until `end` is durable; a lone caller writes by itself. */
DW_NODISCARD int dw_writer_sync(struct dw_writer *writer, uint64_t end, uint64_t timeout_ns);
/* The same as the end of a commit that began at `start_ns`, and counted as one. */
DW_NODISCARD int dw_writer_commit(struct dw_writer *writer, uint64_t end, uint64_t start_ns);
/* A stage for dwal_get_stats. */
void dw_writer_copy_stage(const struct dw_writer *writer, enum dwal_stage stage, struct dwal_histogram *copy);
/* Stop the log (hook of the store as well). */
void dw_writer_fail(struct dw_writer *writer, const struct dwal_error *error);
/* Space changed (hook of the store): new limit, wake those who wait for it. */
void dw_writer_on_space(struct dw_writer *writer);

/* ---- the flusher's thread ---- */
/* Make the queue in the calling thread. */
DW_NODISCARD int dw_flusher_start(struct dw_writer *writer);
void dw_flusher_finish(struct dw_writer *writer);
/* One bounded piece of work under the role: reap, issue, publish, wake. false: nothing to do. may_wait: block for a completion
 * or for an appender's copy. The caller holds the role. */
bool dw_flush_step(struct dw_writer *writer, bool may_wait);
bool dw_flush_try_role(struct dw_writer *writer);
void dw_flush_release_role(struct dw_writer *writer);
/* Is something asked for that is not durable yet? seq_cst; pairs: ROLE-WANT. */
bool dw_flush_is_wanted(struct dw_writer *writer);
/* Write one MARKER if the log is idle and none stands at its end. The caller holds the role. */
bool dw_flush_marker(struct dw_writer *writer);
/* The thread: until is_stopping and nothing is wanted. */
void dw_flusher_run(void *writer);

/* ---- readers ---- */
bool dw_writer_copy_block(void *writer, uint64_t block, void *target);
uint64_t dw_writer_durable_block(void *writer);

static inline void dw_count(_Atomic uint64_t *counter, uint64_t by)
{
    atomic_fetch_add_explicit(counter, by, memory_order_relaxed);
}
/* By the holder of the role, for what nobody else counts: the role hands the count on with everything else (pairs: ROLE). */
static inline void dw_count_in_role(_Atomic uint64_t *counter, uint64_t by)
{
    atomic_store_explicit(counter, atomic_load_explicit(counter, memory_order_relaxed) + by, memory_order_relaxed);
}
/* A write that began at `start_ns` takes too long: counted once, while it is still out or when it comes back. true: now. */
bool dw_writer_count_stall(struct dw_writer *writer, uint64_t start_ns);
static inline uint64_t dw_writer_now(const struct dw_writer *writer)
{
    return writer->options.clock->monotonic_ns(writer->options.clock->context);
}

#endif
