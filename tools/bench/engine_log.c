/* engine_log.c - the log itself, through its public calls alone, as a program would use it.
 *
 * Owns: the log (made in the scratch directory, or the user's own) and the ring of flush times that its callback fills.
 * One outstanding: append, then dwal_sync by the same thread. More, closed loop: append until all are under way, then
 * dwal_sync the newest: the caller may write by itself. Open loop: dwal_flush each, and dwal_sync_for the oldest.
 * Attribution: the library tells the times of each durable write (options.written) before the durable lsn advances over
 * it; an operation that is done finds the write that covers its last byte and splits its own time along those stamps, so
 * that the parts add up to the whole.
 * Failure: the library's code. Closing: dwal_close. */
#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <dwal/dwal.h>
#include <dwal/inspect.h>

#include "tools/bench/bench.h"
#include "tools/bench/engine_bare.h"
#include "tools/bench/target.h"
#include "tools/message.h"

enum { TIMES = 4096, TIMES_USED = TIMES - 64 }; /* the oldest may be overwritten while it is read */
#define KEPT_BYTES      (UINT64_C(512) << 20)   /* of payload, while a slice runs */
#define BLANKS_PATIENCE 500                     /* looks of 5 ms without a new one */

/* One durable write. Written by the holder of the flush role, read by the lanes: relaxed, and `head` (release, acquire)
 * says which are whole. */
struct times {
    _Atomic uint64_t first, end, gap_ns, start_ns, submitted_ns, completed_ns, durable_ns;
};
struct state {
    dwal *log;
    uint64_t volume_lsns; /* lsns of one volume */
    _Atomic uint64_t head;
    struct times times[TIMES];
};
struct lane {
    struct dw_bench_engine *engine;
    dwal *log;
    uint64_t volume;                    /* of the last operation; UINT64_MAX: none yet */
    uint32_t outstanding, first, count; /* queue[first..first+count), round the array, in order of lsn */
    struct queued {
        struct dw_bench_op *op;
        uint64_t end;
    } queue[];
};

static uint64_t now(const struct dw_bench_engine *engine)
{
    return engine->clock->now(engine->clock->context);
}

/* ---- flush times ---------------------------------------------------------------------------------------------------*/

static void note_written(void *context, const struct dwal_written *written)
{
    struct state *state = context;
    uint64_t head = dw_bench_get(&state->head);
    struct times *times = &state->times[head % TIMES];
    dw_bench_set(&times->first, written->first);
    dw_bench_set(&times->end, written->end);
    dw_bench_set(&times->gap_ns, written->gap_ns);
    dw_bench_set(&times->start_ns, written->start_ns);
    dw_bench_set(&times->submitted_ns, written->submitted_ns);
    dw_bench_set(&times->completed_ns, written->completed_ns);
    dw_bench_set(&times->durable_ns, written->durable_ns);
    atomic_store_explicit(&state->head, head + 1, memory_order_release);
}

static const struct times *find_written(struct state *state, uint64_t lsn)
{
    uint64_t head = atomic_load_explicit(&state->head, memory_order_acquire);
    for (uint64_t i = 1; i <= TIMES_USED && i <= head; i++) {
        const struct times *times = &state->times[(head - i) % TIMES];
        if (dw_bench_get(&times->first) <= lsn)
            return dw_bench_get(&times->end) > lsn ? times : NULL;
    }
    return NULL;
}

/* The time from *at to `until_ns`; *at moves on, never back. */
static uint64_t step_to(uint64_t *at, uint64_t until_ns, uint64_t limit_ns)
{
    uint64_t to = until_ns < limit_ns ? until_ns : limit_ns;
    uint64_t step = to > *at ? to - *at : 0;
    *at += step;
    return step;
}

static void attribute(struct state *state, struct dw_bench_op *op, uint64_t end)
{
    uint64_t at = op->issue_ns + op->stage_ns[DW_BENCH_RESERVE_WAIT] + op->stage_ns[DW_BENCH_COPY];
    const struct times *times = find_written(state, end - 1);
    if (!times) { /* too long ago: nobody else keeps it */
        op->stage_ns[DW_BENCH_DEVICE] = op->done_ns > at ? op->done_ns - at : 0;
        return;
    }
    uint64_t start_ns = dw_bench_get(&times->start_ns), gap_ns = dw_bench_get(&times->gap_ns);
    op->stage_ns[DW_BENCH_QUEUE_WAIT] = step_to(&at, start_ns > gap_ns ? start_ns - gap_ns : 0, op->done_ns);
    op->stage_ns[DW_BENCH_PUBLISH_GAP] = step_to(&at, start_ns, op->done_ns);
    op->stage_ns[DW_BENCH_SUBMIT] = step_to(&at, dw_bench_get(&times->submitted_ns), op->done_ns);
    op->stage_ns[DW_BENCH_DEVICE] = step_to(&at, dw_bench_get(&times->completed_ns), op->done_ns);
    op->stage_ns[DW_BENCH_HOP] = step_to(&at, dw_bench_get(&times->durable_ns), op->done_ns);
    op->stage_ns[DW_BENCH_WAKE] = step_to(&at, op->done_ns, op->done_ns);
}

/* ---- appending -----------------------------------------------------------------------------------------------------*/

static int append_batch(struct lane *lane, const struct dw_bench_op *op, const uint8_t *payload, uint64_t *end)
{
    struct iovec parts[DW_BENCH_BATCH_MAX];
    struct dwal_entry entries[DW_BENCH_BATCH_MAX];
    for (uint32_t i = 0; i < op->entry_count; i++) {
        parts[i] = dw_bench_part(payload, op->entry_sizes[i]);
        entries[i] = (struct dwal_entry){.data = &parts[i], .data_count = 1};
    }
    uint64_t lsns[DW_BENCH_BATCH_MAX];
    return dwal_append_batch(lane->log, entries, op->entry_count, lsns, end);
}

/* Append, and tell waiting for room from copying. */
static int append(struct lane *lane, struct dw_bench_op *op, const uint8_t *payload, uint64_t *end)
{
    uint64_t begin_ns = op->issue_ns;
    int result;
    if (op->entry_count > 1) {
        result = append_batch(lane, op, payload, end);
        op->place = *end;
    } else {
        struct iovec part = dw_bench_part(payload, op->entry_sizes[0]);
        struct dwal_entry entry = {.data = &part, .data_count = 1};
        result = dwal_try_append(lane->log, &entry, &op->place, end);
        if (result == DWAL_EFULL) {
            result = dwal_append(lane->log, &entry, &op->place, end);
            uint64_t room_ns = now(lane->engine);
            op->stage_ns[DW_BENCH_RESERVE_WAIT] = room_ns - begin_ns; /* its copy is in it: little beside the wait */
            return result;
        }
    }
    op->stage_ns[DW_BENCH_COPY] = now(lane->engine) - begin_ns;
    return result;
}

static bool issue(void *given, struct dw_bench_op *op, const uint8_t *payload)
{
    struct lane *lane = given;
    struct state *state = lane->engine->state;
    uint64_t end = 0;
    op->result = append(lane, op, payload, &end);
    if (op->result == 0) {
        uint64_t volume = (end - 1) / state->volume_lsns;
        op->is_crossing = lane->volume != UINT64_MAX && volume != lane->volume;
        lane->volume = volume;
    }
    if (op->result == 0 && lane->outstanding == 1)
        op->result = dwal_sync(lane->log, end);
    if (op->result < 0 || lane->outstanding == 1) {
        op->done_ns = now(lane->engine);
        if (op->result == 0)
            attribute(state, op, end);
        return true;
    }
    lane->queue[(lane->first + lane->count++) % lane->outstanding] = (struct queued){op, end};
    return false;
}

/* Wait until the oldest is durable; 0 or a code. */
static int wait_for_oldest(struct lane *lane, uint64_t until_ns)
{
    const struct queued *oldest = &lane->queue[lane->first];
    const struct queued *newest = &lane->queue[(lane->first + lane->count - 1) % lane->outstanding];
    if (until_ns == UINT64_MAX)
        return dwal_sync(lane->log, newest->end);
    uint64_t time_ns = now(lane->engine);
    int result = dwal_flush(lane->log, newest->end);
    if (result == 0 && until_ns > time_ns)
        result = dwal_sync_for(lane->log, oldest->end, until_ns - time_ns);
    return result == DWAL_ETIMEOUT ? 0 : result;
}

static struct dw_bench_op *reap(void *given, uint64_t until_ns)
{
    struct lane *lane = given;
    int result = 0;
    if (lane->count > 0 && dwal_durable(lane->log) < lane->queue[lane->first].end)
        result = wait_for_oldest(lane, until_ns);
    uint64_t durable = dwal_durable(lane->log), done_ns = now(lane->engine);
    struct dw_bench_op *first = NULL, **last = &first;
    while (lane->count > 0 && (lane->queue[lane->first].end <= durable || result < 0)) {
        struct queued queued = lane->queue[lane->first];
        lane->first = (lane->first + 1) % lane->outstanding;
        lane->count--;
        queued.op->done_ns = done_ns;
        queued.op->result = queued.end <= durable ? 0 : result;
        queued.op->next = NULL;
        if (queued.op->result == 0)
            attribute(lane->engine->state, queued.op, queued.end);
        *last = queued.op;
        last = &queued.op->next;
    }
    return first;
}

/* ---- life ------------------------------------------------------------------------------------------------------------*/

static int open_engine(struct dw_bench_engine *engine)
{
    struct dw_bench_target *target = engine->target;
    struct state *state = calloc(1, sizeof *state);
    if (!state)
        return -ENOMEM;
    struct dwal_options options = DWAL_OPTIONS_INIT;
    options.is_unsafe_buffered = target->is_unsafe;
    options.event = dw_message_event;
    int result = 0;
    if (target->is_log_made) {
        struct dwal_options create = options;
        create.volume_size = target->volume_size;
        create.is_forced = target->kind == DW_BENCH_AT_DEVICE && target->may_destroy;
        result = dwal_create(target->log_path, &create);
    }
    options.backend = target->backend;
    options.written = note_written;
    options.context = state;
    if (result == 0)
        result = dwal_open(target->log_path, &options, &state->log);
    if (result < 0) {
        (void)snprintf(engine->why, sizeof engine->why, "%.250s", dwal_last_error()->text);
        free(state);
        return result;
    }
    engine->state = state;
    struct dwal_info info = {.size = sizeof info};
    if (dwal_get_info(target->log_path, &options, &info) == 0)
        state->volume_lsns = (uint64_t)info.payload_size * info.data_blocks;
    if (state->volume_lsns == 0)
        state->volume_lsns = UINT64_MAX; /* then nothing crosses */
    const char *backend = dwal_backend(state->log, NULL);
    (void)snprintf(target->log_backend, sizeof target->log_backend, "%s", backend ? backend : "unknown");
    return 0;
}

static void close_engine(struct dw_bench_engine *engine)
{
    struct state *state = engine->state;
    if (!state)
        return;
    (void)dwal_close(state->log); /* a failure was met and told before */
    free(state);
    engine->state = NULL;
}

static int open_lane(struct dw_bench_engine *engine, uint32_t outstanding, void **made)
{
    struct lane *lane = calloc(1, sizeof *lane + outstanding * sizeof lane->queue[0]);
    if (!lane)
        return -ENOMEM;
    lane->engine = engine;
    lane->log = ((struct state *)engine->state)->log;
    lane->outstanding = outstanding;
    lane->volume = UINT64_MAX;
    *made = lane;
    return 0;
}
static void close_lane(void *lane)
{
    free(lane);
}

/* Until all blanks are there (one of them is claimed), or no more of them come: the disk may be full. */
static void wait_for_blanks(const struct dw_bench_target *target)
{
    struct dwal_options options = DWAL_OPTIONS_INIT;
    options.is_unsafe_buffered = target->is_unsafe;
    uint32_t ready = 0;
    for (int look = 0; look < BLANKS_PATIENCE; look++) {
        struct dwal_info info = {.size = sizeof info};
        if (dwal_get_info(target->log_path, &options, &info) != 0 || info.blanks_ready + 1 >= info.blanks)
            return;
        if (info.blanks_ready != ready)
            look = 0;
        ready = info.blanks_ready;
        struct timespec pause = {.tv_nsec = 5000000};
        nanosleep(&pause, NULL);
    }
}

/* Between slices: give the space back, and wait until the maker has its blanks again, so that no slice begins in the
 * shadow of the one before. While one runs: only when much is held, as a program would that trims. */
static void tidy(struct dw_bench_engine *engine, bool is_running)
{
    struct state *state = engine->state;
    if (!state || !engine->target->is_log_made || dwal_failure(state->log, NULL) != 0)
        return;
    uint64_t durable = dwal_durable(state->log);
    if (is_running && durable - dwal_first(state->log) < KEPT_BYTES)
        return;
    if (durable > dwal_first(state->log))
        (void)dwal_trim(state->log, durable); /* a failure shows in the next append */
    if (!is_running)
        wait_for_blanks(engine->target);
}

const struct dw_bench_engine_ops dw_bench_engine_log = {
    .name = "dwal",
    .is_log = true,
    .open = open_engine,
    .close = close_engine,
    .lane_open = open_lane,
    .lane_close = close_lane,
    .issue = issue,
    .reap = reap,
    .tidy = tidy,
};
