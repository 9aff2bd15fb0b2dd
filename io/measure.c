/* measure.c - the trials; see measure.h.
 *
 * What is timed is what the flusher does: hand one durable write to the queue and wait for it (synchronous: the one system
 * call). Samples are kept whole and sorted at the end, so percentiles are exact. The very first round warms up and is not
 * counted. */
#include "io/measure.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "alloc/alloc.h"
#include "base/assert.h"
#include "base/bits.h"
#include "io/posix.h"

static const char *const kinds[] = {"sync", "uring", "aio", "nvme", "nvme-poll"};
#define KIND_COUNT DW_COUNT_OF(kinds)

struct trials {
    struct dw_measure *measure;
    unsigned char *payload;
    struct dw_queue *queues[KIND_COUNT];
    uint32_t *samples; /* rounds_max of each row: nanoseconds */
    uint64_t at;       /* next place in the written file */
    uint64_t unwritten_at;
    uint64_t random;
    uint64_t start_ns;
};

static uint64_t now_of(const struct dw_measure *measure)
{
    return measure->clock->monotonic_ns(measure->clock->context);
}

static size_t kind_of(const char *backend)
{
    for (size_t i = 0; i < KIND_COUNT; i++)
        if (strcmp(kinds[i], backend) == 0)
            return i;
    dw_assert(!"an unknown backend in a row");
    return 0;
}

/* ---- set up ---- */

static void open_queues(struct trials *trials)
{
    struct dw_measure *measure = trials->measure;
    for (size_t kind = 0; kind < KIND_COUNT; kind++) {
        struct dw_queue_options options = {
            .kind = kinds[kind], .depth = 1, .ring_memory = trials->payload, .ring_size = DW_MEASURE_SIZE_MAX};
        struct dw_disk *disk = measure->scratch->disk;
        int result = -ENODATA; /* no row asks for it */
        for (size_t row = 0; row < measure->row_count; row++) {
            struct dwal_timing *timing = &measure->rows[row].timing;
            if (kind_of(timing->backend) != kind)
                continue;
            if (result == -ENODATA)
                result = disk->ops->queue_create(disk, &options, &trials->queues[kind]);
            timing->system_error = -result;
        }
    }
}

static int set_up(struct trials *trials)
{
    struct dw_measure *measure = trials->measure;
    dw_assert(measure->rounds_max >= 1 && measure->rounds_max <= DW_MEASURE_TRIALS_MAX);
    trials->random = UINT64_C(0x2545f4914f6cdd1d);
    trials->payload = dw_alloc_io(DW_MEASURE_SIZE_MAX, 4096);
    trials->samples = dw_alloc(measure->row_count * measure->rounds_max * sizeof *trials->samples);
    if (!trials->payload || !trials->samples)
        return -ENOMEM;
    if (!measure->scratch->is_zeros)
        dw_scratch_payload(trials->payload, DW_MEASURE_SIZE_MAX);
    open_queues(trials);
    for (size_t i = 0; i < measure->row_count; i++) {
        struct dwal_timing *timing = &measure->rows[i].timing;
        dw_assert(timing->size > 0 && timing->size <= DW_MEASURE_SIZE_MAX && timing->size <= measure->scratch->size);
        timing->count = 0;
        if (timing->is_unwritten && !measure->scratch->unwritten && timing->system_error == 0)
            timing->system_error = EOPNOTSUPP;
    }
    return 0;
}

/* ---- one trial ---- */

/* Where this trial goes; makes the unwritten file unwritten again when it is used up (untimed). */
static int place_trial(struct trials *trials, const struct dwal_timing *timing, struct dw_request *request)
{
    struct dw_scratch *scratch = trials->measure->scratch;
    uint64_t *at = timing->is_unwritten ? &trials->unwritten_at : &trials->at;
    uint64_t limit = timing->is_unwritten ? scratch->unwritten_size : scratch->size;
    if (*at + timing->size > limit) {
        *at = 0;
        int result = timing->is_unwritten ? dw_scratch_renew_unwritten(scratch) : 0;
        if (result < 0)
            return result;
    }
    request->file = timing->is_unwritten ? scratch->unwritten : scratch->file;
    request->offset = (timing->is_unwritten ? 0 : scratch->from) + *at;
    *at += timing->size;
    return 0;
}

static int try_once(struct trials *trials, const struct dwal_timing *timing, uint64_t *took_ns)
{
    struct dw_queue *queue = trials->queues[kind_of(timing->backend)];
    struct dw_request request = {
        .bytes = trials->payload, .size = timing->size, .is_durable = timing->way == DWAL_WAY_DSYNC};
    int result = place_trial(trials, timing, &request);
    if (result < 0)
        return result;
    uint64_t start_ns = now_of(trials->measure);
    queue->ops->submit(queue, &request);
    while (!queue->ops->reap(queue, true))
        ;
    result = request.result;
    if (result == 0 && timing->way == DWAL_WAY_FLUSH)
        result = dw_posix_flush(request.file);
    *took_ns = now_of(trials->measure) - start_ns;
    return result;
}

static void try_row(struct trials *trials, size_t index, bool is_counted)
{
    struct dwal_timing *timing = &trials->measure->rows[index].timing;
    uint64_t took_ns = 0;
    int result = try_once(trials, timing, &took_ns);
    if (result < 0) {
        timing->system_error = -result;
        return;
    }
    if (!is_counted)
        return;
    uint32_t *samples = trials->samples + index * trials->measure->rounds_max;
    samples[timing->count++] = (uint32_t)dw_min_u64(took_ns, UINT32_MAX);
    timing->max_ns = dw_max_u64(timing->max_ns, took_ns);
}

/* ---- rounds ---- */

static uint64_t next_random(struct trials *trials)
{
    trials->random ^= trials->random << 13;
    trials->random ^= trials->random >> 7;
    trials->random ^= trials->random << 17;
    return trials->random;
}

static bool is_over(const struct trials *trials)
{
    const struct dw_measure *measure = trials->measure;
    return now_of(measure) - trials->start_ns >= measure->time_ns ||
           (measure->is_stopped && measure->is_stopped(measure->context));
}

/* Every row once, in a new order. false: the time is over. */
static bool run_round(struct trials *trials, uint64_t round, uint16_t *order)
{
    struct dw_measure *measure = trials->measure;
    for (size_t i = 0; i < measure->row_count; i++) {
        size_t other = i + (size_t)(next_random(trials) % (measure->row_count - i));
        uint16_t index = order[other];
        order[other] = order[i];
        order[i] = index;
        const struct dw_measure_row *row = &measure->rows[index];
        if (row->timing.system_error != 0 || (row->every > 1 && round % row->every != 0))
            continue;
        if (is_over(trials))
            return false;
        try_row(trials, index, round > 0);
    }
    return true;
}

static int compare_samples(const void *a, const void *b)
{
    uint32_t left = *(const uint32_t *)a, right = *(const uint32_t *)b;
    return (left > right) - (left < right);
}

/* The smallest sample that at least `percent` of all do not exceed. */
static uint64_t percentile_of(const uint32_t *sorted, uint32_t count, uint32_t percent)
{
    uint64_t rank = ((uint64_t)count * percent + 99) / 100;
    return sorted[rank > 0 ? rank - 1 : 0];
}

static void sum_up(struct trials *trials)
{
    for (size_t i = 0; i < trials->measure->row_count; i++) {
        struct dwal_timing *timing = &trials->measure->rows[i].timing;
        uint32_t *samples = trials->samples + i * trials->measure->rounds_max;
        if (timing->count == 0)
            continue;
        qsort(samples, timing->count, sizeof *samples, compare_samples);
        timing->p50_ns = percentile_of(samples, timing->count, 50);
        timing->p90_ns = percentile_of(samples, timing->count, 90);
        timing->p99_ns = percentile_of(samples, timing->count, 99);
    }
}

int dw_measure_run(struct dw_measure *measure)
{
    enum { ROWS_MAX = DWAL_TIMINGS_MAX };
    dw_assert(measure->row_count > 0 && measure->row_count <= ROWS_MAX);
    struct trials trials = {.measure = measure};
    uint16_t order[ROWS_MAX];
    for (size_t i = 0; i < measure->row_count; i++)
        order[i] = (uint16_t)i;
    int result = set_up(&trials);
    measure->rounds = 0;
    trials.start_ns = now_of(measure);
    for (uint64_t round = 0; result == 0 && round <= measure->rounds_max; round++) {
        if (!run_round(&trials, round, order))
            break;
        measure->rounds = round;
    }
    measure->elapsed_ns = now_of(measure) - trials.start_ns;
    if (result == 0)
        sum_up(&trials);
    for (size_t kind = 0; kind < KIND_COUNT; kind++)
        if (trials.queues[kind])
            trials.queues[kind]->ops->close(trials.queues[kind]);
    dw_free(trials.samples);
    dw_free_io(trials.payload);
    return result;
}
