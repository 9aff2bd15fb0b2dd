/* lane.c - the loop of one thread of load; see lane.h.
 *
 * Open loop: the intended starts are fixed before anything is measured, and an operation whose time has passed is started
 * late, never dropped: what a stall did to those behind it is in their latency from the intended start. Closed loop: the
 * next one starts when a slot is free. Both stamp the real start as well.
 * Failure: the first failed operation ends the lane; what was recorded before stands. */
#include "tools/bench/lane.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <dwal/error.h>

#include "tools/bench/trace.h"

#define DRAIN_LOOK 256u /* an overloaded lane looks at the clock's limit every so many operations */

uint64_t dw_bench_random(uint64_t *state)
{
    uint64_t x = *state;
    x ^= x >> 12;
    x ^= x << 25;
    x ^= x >> 27;
    *state = x;
    return x * UINT64_C(0x2545F4914F6CDD1D);
}

static uint64_t now(const struct dw_bench_lane *lane)
{
    return lane->clock->now(lane->clock->context);
}

/* ---- the schedule ----------------------------------------------------------------------------------------------------*/

static double poisson_gap_ns(struct dw_bench_lane *lane)
{
    /* (0, 1]: 53 random bits and one more, so that the logarithm is finite. */
    double uniform = (double)((dw_bench_random(&lane->random) >> 11) + 1) * 0x1p-53;
    return -log(uniform) * 1e9 * lane->load->threads / lane->load->rate;
}

/* The next intended start. Reckoned from the slice's start in full precision: rounding must not change the rate. Evenly
 * spaced lanes take turns. */
static void schedule_next(struct dw_bench_lane *lane)
{
    if (lane->load->is_poisson)
        lane->next_exact += poisson_gap_ns(lane);
    else
        lane->next_exact = 1e9 * (double)(lane->scheduled * lane->load->threads + lane->index) / lane->load->rate;
    lane->scheduled++;
    lane->next_intended_ns = lane->start_ns + (uint64_t)(lane->next_exact + 0.5);
}

/* ---- one operation -----------------------------------------------------------------------------------------------------*/

static uint32_t draw_size(struct dw_bench_lane *lane)
{
    const struct dw_bench_mix *mix = &lane->load->mix;
    if (mix->count == 1)
        return mix->sizes[0];
    uint64_t sum = 0;
    for (uint32_t i = 0; i < mix->count; i++)
        sum += mix->weights[i];
    if (sum == 0)
        return mix->sizes[0];
    uint64_t drawn = (dw_bench_random(&lane->random) >> 16) % sum;
    for (uint32_t i = 0; i < mix->count; i++) {
        if (drawn < mix->weights[i])
            return mix->sizes[i];
        drawn -= mix->weights[i];
    }
    return mix->sizes[0];
}

static struct dw_bench_op *prepare(struct dw_bench_lane *lane)
{
    struct dw_bench_op *op = lane->free_ops;
    lane->free_ops = op->next;
    op->next = NULL;
    op->result = 0;
    op->is_crossing = false;
    op->bytes = 0;
    op->entry_count = lane->load->batch;
    for (uint32_t i = 0; i < op->entry_count; i++) {
        op->entry_sizes[i] = draw_size(lane);
        op->bytes += op->entry_sizes[i];
    }
    op->payload_shift = (uint32_t)(dw_bench_random(&lane->random) >> 32) % DW_BENCH_SHIFTS;
    memset(op->stage_ns, 0, sizeof op->stage_ns);
    return op;
}

static uint32_t column_of(const struct dw_bench_lane *lane, uint64_t time_ns)
{
    if (lane->count_max) /* by count: time has no end to measure by */
        return lane->column_first +
               (uint32_t)((lane->recorded < lane->count_max ? lane->recorded : lane->count_max - 1) *
                          lane->column_count / lane->count_max);
    uint64_t whole = lane->end_ns > lane->measure_ns ? lane->end_ns - lane->measure_ns : 1;
    uint64_t at = time_ns > lane->measure_ns ? time_ns - lane->measure_ns : 0;
    uint64_t column = at >= whole ? lane->column_count - 1 : at * lane->column_count / whole;
    return lane->column_first + (uint32_t)column;
}

static void keep_slow(struct dw_bench_lane *lane, const struct dw_bench_op *op, uint64_t latency_ns)
{
    struct dw_bench_slow slow = {
        .latency_ns = latency_ns,
        .intended_ns = op->intended_ns,
        .issue_ns = op->issue_ns,
        .done_ns = op->done_ns,
        .place = op->place,
        .bytes = op->bytes,
        .lane = lane->index,
        .round = lane->round,
    };
    memcpy(slow.stage_ns, op->stage_ns, sizeof slow.stage_ns);
    dw_bench_record_slow(lane->record, &slow);
}

static void record(struct dw_bench_lane *lane, struct dw_bench_op *op)
{
    struct dw_bench_record *record = lane->record;
    uint64_t from_issue_ns = op->done_ns - op->issue_ns;
    uint64_t latency_ns = op->done_ns - op->intended_ns;
    op->stage_ns[DW_BENCH_LATE] = op->issue_ns - op->intended_ns;
    dw_bench_record(&record->issue, from_issue_ns);
    if (lane->load->rate > 0)
        dw_bench_record(&record->intended, latency_ns);
    if (__builtin_expect(op->is_crossing, 0))
        dw_bench_record(&record->crossing, from_issue_ns);
    uint32_t row = dw_bench_bucket_of(latency_ns) >> DW_BENCH_ROW_SHIFT;
    record->heat[column_of(lane, op->intended_ns)][row]++;
    record->rows[row].count++;
    for (int stage = 0; stage < DW_BENCH_STAGES; stage++)
        record->rows[row].stage_ns[stage] += op->stage_ns[stage];
    record->bytes += op->bytes;
    record->entries += op->entry_count;
    if (__builtin_expect(latency_ns > record->slow_floor_ns, 0))
        keep_slow(lane, op, latency_ns);
    if (__builtin_expect(lane->trace_ns && from_issue_ns >= lane->trace_ns, 0))
        dw_bench_trace_note(lane->thread, op->issue_ns, op->done_ns);
    lane->recorded++;
    lane->last_done_ns = op->done_ns;
}

static void fail(struct dw_bench_lane *lane, const struct dw_bench_op *op)
{
    if (lane->failure)
        return;
    lane->failure = op->result;
    const char *text = dwal_last_error()->code == op->result ? dwal_last_error()->text : dwal_error_meaning(op->result);
    (void)snprintf(lane->failure_text, sizeof lane->failure_text, "%.250s",
                   op->result > -1000 ? strerror(-op->result) : text);
}

static void finish(struct dw_bench_lane *lane, struct dw_bench_op *op)
{
    if (op->result < 0)
        fail(lane, op);
    else if (op->intended_ns >= lane->measure_ns)
        record(lane, op);
    op->next = lane->free_ops;
    lane->free_ops = op;
    lane->finished++;
    lane->under_way--;
}

static void issue(struct dw_bench_lane *lane, uint64_t intended_ns)
{
    struct dw_bench_op *op = prepare(lane);
    lane->under_way++;
    op->issue_ns = now(lane);
    op->intended_ns = intended_ns ? intended_ns : op->issue_ns;
    lane->issued += op->intended_ns >= lane->measure_ns;
    if (lane->engine->ops->issue(lane->engine_lane, op, lane->payload + (size_t)op->payload_shift * DW_BENCH_PAGE))
        finish(lane, op);
}

static void reap(struct dw_bench_lane *lane, uint64_t until_ns)
{
    struct dw_bench_op *done = lane->engine->ops->reap(lane->engine_lane, until_ns);
    while (done) {
        struct dw_bench_op *next = done->next;
        finish(lane, done);
        done = next;
    }
}

/* ---- the two loops -------------------------------------------------------------------------------------------------------*/

static bool is_told_to_stop(const struct dw_bench_lane *lane)
{
    return lane->failure || atomic_load_explicit(lane->stop, memory_order_relaxed);
}

static bool is_counted_out(const struct dw_bench_lane *lane)
{
    return lane->count_max && lane->issued >= lane->count_max;
}

static void run_closed(struct dw_bench_lane *lane)
{
    while (!is_told_to_stop(lane) && !is_counted_out(lane) && now(lane) < lane->end_ns) {
        while (lane->free_ops && !is_told_to_stop(lane) && !is_counted_out(lane)) {
            issue(lane, 0);
            if (lane->engine->ops->is_blocking || lane->load->outstanding == 1)
                break;
        }
        if (lane->under_way > 0)
            reap(lane, UINT64_MAX);
    }
}

static void run_open(struct dw_bench_lane *lane)
{
    schedule_next(lane);
    uint64_t looked = 0;
    while (lane->next_intended_ns < lane->end_ns && !is_told_to_stop(lane) && !is_counted_out(lane)) {
        uint64_t time_ns = now(lane);
        if (lane->free_ops && lane->next_intended_ns <= time_ns) {
            if (time_ns > lane->end_ns && looked++ % DRAIN_LOOK == 0 && time_ns > lane->drain_ns)
                break; /* far behind: what was not started is counted, not forgotten */
            issue(lane, lane->next_intended_ns);
            schedule_next(lane);
        } else if (lane->under_way > 0) {
            reap(lane, lane->free_ops ? lane->next_intended_ns : UINT64_MAX);
        } else {
            uint64_t until_ns =
                lane->next_intended_ns < time_ns + 50000000 ? lane->next_intended_ns : time_ns + 50000000;
            lane->clock->sleep_until(lane->clock->context, until_ns);
        }
    }
    /* Told to stop: only what was due by now counts as never started. */
    uint64_t due_ns = now(lane) < lane->end_ns ? now(lane) : lane->end_ns;
    for (; lane->next_intended_ns < due_ns && !is_counted_out(lane); schedule_next(lane))
        lane->unissued += lane->next_intended_ns >= lane->measure_ns;
}

void dw_bench_lane_run(struct dw_bench_lane *lane)
{
    lane->clock->sleep_until(lane->clock->context, lane->start_ns);
    if (lane->load->rate > 0)
        run_open(lane);
    else
        run_closed(lane);
    while (lane->under_way > 0)
        reap(lane, UINT64_MAX);
}

/* ---- life ------------------------------------------------------------------------------------------------------------------*/

int dw_bench_lane_open(struct dw_bench_lane *lane)
{
    uint32_t count = lane->load->outstanding;
    lane->random = lane->seed | 1;
    lane->ops = calloc(count, sizeof *lane->ops);
    if (!lane->ops)
        return lane->failure = -ENOMEM;
    for (uint32_t i = 0; i < count; i++) {
        lane->ops[i].slot = i;
        lane->ops[i].next = lane->free_ops;
        lane->free_ops = &lane->ops[i];
    }
    int result = lane->engine->ops->lane_open(lane->engine, count, &lane->engine_lane);
    if (result < 0) {
        lane->failure = result;
        (void)snprintf(lane->failure_text, sizeof lane->failure_text, "%.250s",
                       result > -1000 ? strerror(-result) : dwal_last_error()->text);
    }
    return result;
}

void dw_bench_lane_close(struct dw_bench_lane *lane)
{
    if (lane->engine_lane)
        lane->engine->ops->lane_close(lane->engine_lane);
    free(lane->ops);
    lane->engine_lane = NULL;
    lane->ops = NULL;
    lane->free_ops = NULL;
}
