/* record.c - what a lane has seen: merging, the slowest, the names of the stages; and the real clock. See bench.h. */
#include <errno.h>
#include <string.h>
#include <time.h>

#include "tools/bench/bench.h"

/* Nearer than this the clock is looked at instead of slept on: a timer comes some microseconds late. Short, because a
 * spinning thread takes a CPU from what it measures. */
#define SPIN_NS UINT64_C(12000)

const char *dw_bench_stage_name(enum dw_bench_stage stage)
{
    static const char *const names[DW_BENCH_STAGES] = {
        [DW_BENCH_LATE] = "late start",         [DW_BENCH_RESERVE_WAIT] = "reserve wait", [DW_BENCH_COPY] = "copy",
        [DW_BENCH_PUBLISH_GAP] = "publish gap", [DW_BENCH_QUEUE_WAIT] = "queue wait",     [DW_BENCH_SUBMIT] = "submit",
        [DW_BENCH_DEVICE] = "device",           [DW_BENCH_HOP] = "completion hop",        [DW_BENCH_WAKE] = "wake-up",
    };
    return (unsigned)stage < DW_BENCH_STAGES ? names[stage] : "unknown";
}

/* ---- the real clock ------------------------------------------------------------------------------------------------*/

static uint64_t real_now(void *context)
{
    (void)context;
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (uint64_t)time.tv_sec * UINT64_C(1000000000) + (uint64_t)time.tv_nsec;
}

static void real_sleep_until(void *context, uint64_t time_ns)
{
    uint64_t wake_ns = time_ns > SPIN_NS ? time_ns - SPIN_NS : 0;
    struct timespec wake = {.tv_sec = (time_t)(wake_ns / 1000000000u), .tv_nsec = (long)(wake_ns % 1000000000u)};
    if (real_now(context) < wake_ns && clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &wake, NULL) == EINTR)
        return;
    while (real_now(context) < time_ns)
        __builtin_ia32_pause();
}

const struct dw_bench_clock dw_bench_real_clock = {.now = real_now, .sleep_until = real_sleep_until};

/* ---- records -------------------------------------------------------------------------------------------------------*/

void dw_bench_record_clear(struct dw_bench_record *record)
{
    dw_bench_histogram_clear(&record->issue);
    dw_bench_histogram_clear(&record->intended);
    dw_bench_histogram_clear(&record->crossing);
    memset(record->heat, 0, sizeof record->heat);
    memset(record->rows, 0, sizeof record->rows);
    memset(record->slow, 0, sizeof record->slow);
    record->bytes = record->entries = record->slow_floor_ns = 0;
    record->slow_count = 0;
}

void dw_bench_record_slow(struct dw_bench_record *record, const struct dw_bench_slow *slow)
{
    uint32_t at = record->slow_count;
    if (at == DW_BENCH_SLOWEST) {
        if (slow->latency_ns <= record->slow[at - 1].latency_ns)
            return;
        at--;
    } else {
        record->slow_count++;
    }
    for (; at > 0 && record->slow[at - 1].latency_ns < slow->latency_ns; at--)
        record->slow[at] = record->slow[at - 1];
    record->slow[at] = *slow;
    if (record->slow_count == DW_BENCH_SLOWEST)
        record->slow_floor_ns = record->slow[DW_BENCH_SLOWEST - 1].latency_ns;
}

void dw_bench_record_merge(struct dw_bench_record *total, const struct dw_bench_record *part)
{
    dw_bench_histogram_merge(&total->issue, &part->issue);
    dw_bench_histogram_merge(&total->intended, &part->intended);
    dw_bench_histogram_merge(&total->crossing, &part->crossing);
    total->bytes += part->bytes;
    total->entries += part->entries;
    for (uint32_t column = 0; column < DW_BENCH_COLUMNS; column++)
        for (uint32_t row = 0; row < DW_BENCH_ROWS; row++)
            total->heat[column][row] += part->heat[column][row];
    for (uint32_t row = 0; row < DW_BENCH_ROWS; row++) {
        total->rows[row].count += part->rows[row].count;
        for (int stage = 0; stage < DW_BENCH_STAGES; stage++)
            total->rows[row].stage_ns[stage] += part->rows[row].stage_ns[stage];
    }
    for (uint32_t i = 0; i < part->slow_count; i++)
        dw_bench_record_slow(total, &part->slow[i]);
}
