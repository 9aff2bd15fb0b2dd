/* role.c - who flushes: a lone committer by itself, or the flusher's thread for everybody.
 *
 * Called by: committers (dw_writer_sync, dw_writer_flush), the flusher's thread (dw_flusher_run), the store's hooks.
 * Happy path, one committer: raise `want`, take the role, one durable write, release: no hand-off, one system call.
 * Happy path, several: the role is taken, so raise `want` and sleep in the bucket of the own block; the holder of the role
 * sees `want` when it lets go (pairs: ROLE-WANT) and calls the flusher's thread, which stays until nothing is wanted.
 * ROLE-WANT: a committer raises `want` (seq_cst), then tries the role (seq_cst); a holder frees the role (seq_cst), then
 * reads `want` (seq_cst). So either the committer gets the role, or the holder sees what it wants.
 * Failure: see flush.c; waiting answers DWAL_EFAILED. */
#include <errno.h>
#include <sched.h>
#include <time.h>

#include "base/assert.h"
#include "base/cancel.h"
#include "core/base/error.h"
#include "core/write/flush.h"

#define MARKER_BACKOFF_MAX 8u

bool dw_flush_try_role(struct dw_writer *writer)
{
    uint32_t is_free = 0;
    /* seq_cst, both; pairs: ROLE, ROLE-WANT. The look alone, where it is held: many ask, and each write would fetch its line. */
    return atomic_load_explicit(&writer->role, memory_order_seq_cst) == 0 &&
           atomic_compare_exchange_strong_explicit(&writer->role, &is_free, 1, memory_order_seq_cst,
                                                   memory_order_seq_cst);
}

bool dw_flush_is_wanted(struct dw_writer *writer)
{
    return atomic_load_explicit(&writer->want, memory_order_seq_cst) >
           dw_durable_lsn(&writer->durable); /* pairs: ROLE-WANT */
}

static void call_flusher(struct dw_writer *writer)
{
    dw_event_notify(&writer->work);
}

void dw_flush_release_role(struct dw_writer *writer)
{
    dw_assert(writer->flush.flight_count == 0);
    atomic_store_explicit(&writer->role, 0, memory_order_seq_cst); /* pairs: ROLE, ROLE-WANT */
}

/* Raise `want`, to the end of a block, since a block is what is written: most who ask find that somebody in the same block asked
 * before them, and write nothing. true: it grew. */
static bool raise_want(struct dw_writer *writer, uint64_t end)
{
    const struct dw_geometry *g = &writer->ring.geometry;
    uint64_t want = atomic_load_explicit(&writer->want, memory_order_seq_cst); /* pairs: ROLE-WANT */
    if (want >= end)
        return false;
    end = dw_lsn_of_block(g, dw_block_of_lsn(g, end + g->payload_size - 1));
    while (want < end) {
        if (atomic_compare_exchange_weak_explicit(&writer->want, &want, end, memory_order_seq_cst,
                                                  memory_order_relaxed)) /* pairs: ROLE-WANT */
            return true;
    }
    return false;
}

/* `since_ns`: 0: now. Most find that somebody asked before them. */
static void note_request(struct dw_writer *writer, uint64_t since_ns)
{
    uint64_t none = 0;
    if (atomic_load_explicit(&writer->want_since_ns, memory_order_relaxed) != 0)
        return;
    uint64_t now_ns = since_ns ? since_ns : dw_writer_now(writer);
    atomic_compare_exchange_strong_explicit(&writer->want_since_ns, &none, now_ns, memory_order_relaxed,
                                            memory_order_relaxed);
}

void dw_writer_flush(struct dw_writer *writer, uint64_t end)
{
    if (!raise_want(writer, end) || writer->options.is_single_stepped)
        return;
    /* If somebody holds the role, it will see `want` when it lets go. */
    if (atomic_load_explicit(&writer->role, memory_order_seq_cst) == 0)
        call_flusher(writer);
}

void dw_flush_wait_for_copy(struct dw_writer *writer)
{
    uint64_t start_ns = dw_writer_now(writer);
    dw_count(&writer->counts.publish_gaps, 1);
    for (uint32_t round = 0; round < 64; round++) {
        if (round < 16) {
            sched_yield(); /* the appender has all but one of the CPUs' attention already: let it run here too */
        } else {
            struct timespec pause = {.tv_nsec = 20000};
            nanosleep(&pause, NULL);
        }
        if (dw_flush_can_write(writer) || dw_durable_failure(&writer->durable) != 0)
            break;
    }
    uint64_t gap_ns = dw_writer_now(writer) - start_ns;
    writer->flush.gap_ns += gap_ns; /* ours: the caller holds the role */
    dw_histogram_record(&writer->stages[DWAL_STAGE_PUBLISH_GAP], gap_ns);
}

/* Let the role go and see to it that nobody is left behind. true: the flusher was called. */
static bool leave_role(struct dw_writer *writer)
{
    dw_flush_release_role(writer);
    if (dw_flush_is_wanted(writer) && dw_durable_failure(&writer->durable) == 0) {
        call_flusher(writer);
        return true;
    }
    /* A parked flusher has no timer running: let it look for idleness from now on (one call for each idle period).
     * seq_cst; pairs: PARKED: it sets the flag, then looks at the durable block; we moved that block, then look here. */
    if (atomic_load_explicit(&writer->is_parked, memory_order_seq_cst) != 0 &&
        atomic_exchange_explicit(&writer->is_parked, 0, memory_order_acq_rel) != 0) {
        call_flusher(writer);
        return true;
    }
    return false;
}

/* The caller holds the role and writes until `end` is durable or the log failed. Returns when the last write was durable, if nobody
 * was woken since: then that is now; else 0. A thread that were cancelled here would keep the role for ever. The write itself is no
 * cancellation point (io/posix_file.c); what may be one, here and below, is held off (dw_cancel_hold). */
static uint64_t flush_alone(struct dw_writer *writer, uint64_t end)
{
    dw_count_in_role(&writer->counts.lone_commits, 1);
    while (dw_durable_lsn(&writer->durable) < end && dw_durable_failure(&writer->durable) == 0) {
        if (!dw_flush_write_one(writer)) {
            int cancel = dw_cancel_hold();
            dw_flush_wait_for_copy(writer);
            dw_cancel_release(cancel);
        }
    }
    uint64_t over_ns = writer->flush.over_ns;
    return leave_role(writer) ? 0 : over_ns;
}

static int sync_single_stepped(struct dw_writer *writer, uint64_t end)
{
    while (dw_durable_lsn(&writer->durable) < end && dw_durable_failure(&writer->durable) == 0) {
        uint64_t before = dw_durable_lsn(&writer->durable);
        if (!dw_flush_step(writer, true))
            break;
        if (dw_durable_lsn(&writer->durable) == before && writer->options.step_maker)
            writer->options.step_maker(writer->options.step_context); /* the next volume may be its to hand over */
    }
    if (dw_durable_lsn(&writer->durable) >= end)
        return 0;
    return DWAL_EFAILED;
}

static struct dw_caller_stages *callers_part(struct dw_writer *writer)
{
    return &writer->callers[(unsigned)sched_getcpu() % DW_CALLER_PARTS];
}

static void record_wake(struct dw_writer *writer, uint64_t now_ns)
{
    uint64_t published = atomic_load_explicit(&writer->durable.advance_time_ns, memory_order_relaxed);
    if (now_ns > published)
        dw_histogram_record(&callers_part(writer)->wake, now_ns - published);
}

/* `since_ns`: when the caller's wish began, or 0. *over_ns: the time at the return where it is known, else 0: one look at the
 * clock serves all that is counted. */
static int sync_since(struct dw_writer *writer, uint64_t end, uint64_t timeout_ns, uint64_t since_ns, uint64_t *over_ns)
{
    *over_ns = 0;
    if (dw_durable_lsn(&writer->durable) >= end)
        return 0;
    raise_want(writer, end);
    if (writer->options.is_single_stepped)
        return sync_single_stepped(writer, end);
    if (timeout_ns == UINT64_MAX && dw_flush_try_role(writer)) {
        *over_ns = flush_alone(writer, end);
        return dw_durable_lsn(&writer->durable) >= end ? 0 : DWAL_EFAILED;
    }
    note_request(writer, since_ns);
    if (atomic_load_explicit(&writer->role, memory_order_seq_cst) == 0)
        call_flusher(writer);
    int result = dw_durable_wait(&writer->durable, end, timeout_ns);
    if (result == 0) {
        *over_ns = dw_writer_now(writer);
        record_wake(writer, *over_ns);
    }
    return result;
}

int dw_writer_sync(struct dw_writer *writer, uint64_t end, uint64_t timeout_ns)
{
    uint64_t over_ns;
    return sync_since(writer, end, timeout_ns, 0, &over_ns);
}

int dw_writer_commit(struct dw_writer *writer, uint64_t end, uint64_t start_ns)
{
    uint64_t over_ns;
    int result = sync_since(writer, end, UINT64_MAX, start_ns, &over_ns);
    if (over_ns == 0)
        over_ns = dw_writer_now(writer);
    dw_histogram_record(&callers_part(writer)->commit, over_ns > start_ns ? over_ns - start_ns : 0);
    return result;
}

/* ---- the flusher's thread ------------------------------------------------------------------------------------------- */

struct marker_timer {
    uint64_t seen_block; /* durable block at the last look */
    uint64_t seen_space; /* end of the claimed space when a marker was last tried: without room there is none */
    uint32_t backoff;    /* the log is busy without us: look less often */
};

/* How long to sleep. UINT64_MAX parks: a marker stands at the end, or markers are off. */
static uint64_t marker_wait(struct dw_writer *writer, const struct marker_timer *timer)
{
    if (writer->options.marker_delay_ns == UINT64_MAX || dw_durable_failure(&writer->durable) != 0)
        return UINT64_MAX;
    return writer->options.marker_delay_ns * timer->backoff;
}

/* The timer went off: a marker if nothing happened since the last look, then park. */
static void marker_tick(struct dw_writer *writer, struct marker_timer *timer)
{
    uint64_t block = dw_durable_block(&writer->durable);
    bool is_idle = block == timer->seen_block;
    timer->seen_block = block;
    if (!is_idle) {
        if (timer->backoff < MARKER_BACKOFF_MAX)
            timer->backoff *= 2;
        return;
    }
    timer->backoff = 1;
    if (!dw_flush_try_role(writer))
        return;
    timer->seen_space = dw_store_space(writer->store);
    dw_flush_marker(writer);
    timer->seen_block = dw_durable_block(&writer->durable);
    dw_flush_release_role(writer);
    /* seq_cst; pairs: PARKED. Whoever commits from now on sees the flag and calls. */
    atomic_store_explicit(&writer->is_parked, 1, memory_order_seq_cst);
}

/* Parked, and between the last look and the flag nobody committed, and no room came for the marker that found none? Called
 * behind dw_event_prepare: what comes later calls. */
static bool stays_parked(struct dw_writer *writer, const struct marker_timer *timer)
{
    if (atomic_load_explicit(&writer->is_parked, memory_order_relaxed) == 0)
        return false;
    if (atomic_load_explicit(&writer->durable.block, memory_order_seq_cst) == timer->seen_block && /* pairs: PARKED */
        dw_store_space(writer->store) == timer->seen_space)
        return true;
    atomic_store_explicit(&writer->is_parked, 0, memory_order_relaxed);
    return false;
}

static bool flusher_works(struct dw_writer *writer)
{
    if (!dw_flush_is_wanted(writer) || dw_durable_failure(&writer->durable) != 0 || !dw_flush_try_role(writer))
        return false;
    while (dw_flush_step(writer, true))
        ;
    dw_flush_release_role(writer);
    return true;
}

void dw_flusher_run(void *context)
{
    struct dw_writer *writer = context;
    struct marker_timer timer = {.seen_block = dw_durable_block(&writer->durable), .backoff = 1};
    for (;;) {
        if (flusher_works(writer))
            continue;
        uint32_t key = dw_event_prepare(&writer->work);
        bool is_free = atomic_load_explicit(&writer->role, memory_order_seq_cst) == 0;
        bool is_failed = dw_durable_failure(&writer->durable) != 0;
        bool is_wanted = dw_flush_is_wanted(writer) && !is_failed;
        bool is_stopping = atomic_load_explicit(&writer->is_stopping, memory_order_acquire);
        if ((is_wanted && is_free) || (is_stopping && !is_wanted)) {
            dw_event_cancel(&writer->work);
            if (is_wanted)
                continue;
            return;
        }
        uint64_t wait_ns = stays_parked(writer, &timer) ? UINT64_MAX : marker_wait(writer, &timer);
        if (dw_event_wait(&writer->work, key, wait_ns) == -ETIMEDOUT)
            marker_tick(writer, &timer);
        else
            atomic_store_explicit(&writer->is_parked, 0, memory_order_relaxed);
    }
}
