/* tick.h - for programs that write as dwal does but without dwal: a timer ahead keeps the processor's tick (core/write/tick.h tells why).
 *
 * Owns: one timer. Called by: the one thread that writes, before each durable write. C11. Failure: none; without a timer writes take longer. */
#ifndef DW_PERF_TICK_H
#define DW_PERF_TICK_H

#include <sched.h>
#include <sys/timerfd.h>

#include "perf/measure.h"

#define PERF_TICK_AHEAD_NS   2500000u /* HZ=250: a tick is 4 ms */
#define PERF_TICK_RESERVE_NS 250000u

struct perf_tick {
    int timer, cpu;
    uint64_t expires_ns;
};

static inline struct perf_tick perf_tick_make(void)
{
    return (struct perf_tick){.timer = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC), .cpu = -1};
}

static inline void perf_tick_keep(struct perf_tick *tick, uint64_t now_ns)
{
    int cpu = sched_getcpu();
    if (cpu == tick->cpu && now_ns + PERF_TICK_RESERVE_NS < tick->expires_ns)
        return;
    tick->cpu = cpu;
    tick->expires_ns = now_ns + PERF_TICK_AHEAD_NS;
    struct itimerspec when = {.it_value = {.tv_sec = (time_t)(tick->expires_ns / 1000000000u),
                                           .tv_nsec = (long)(tick->expires_ns % 1000000000u)}};
    (void)timerfd_settime(tick->timer, TFD_TIMER_ABSTIME, &when, NULL);
}

#endif
