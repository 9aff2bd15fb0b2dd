/* tick.c - make, set and close the timer. See tick.h. */
#include "core/write/tick.h"

#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#define NS_PER_S    UINT64_C(1000000000)
#define TICK_NS_MAX UINT64_C(20000000) /* HZ=100 gives 10 ms; what is longer is no tick */

/* The coarse clock goes on once in a tick. 0: unknown. */
static uint64_t tick_period_ns(void)
{
    struct timespec period;
    if (clock_getres(CLOCK_MONOTONIC_COARSE, &period) != 0 || period.tv_sec != 0)
        return 0;
    return (uint64_t)period.tv_nsec <= TICK_NS_MAX ? (uint64_t)period.tv_nsec : 0;
}

void dw_tick_init(struct dw_tick *tick, bool is_wanted)
{
    uint64_t period_ns = is_wanted ? tick_period_ns() : 0;
    *tick = (struct dw_tick){.fd = -1, .cpu = -1, .ahead_ns = period_ns / 4 * 3, .reserve_ns = period_ns / 16};
    if (period_ns > 0)
        tick->fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
}

void dw_tick_close(struct dw_tick *tick)
{
    if (tick->fd >= 0)
        close(tick->fd);
    tick->fd = -1;
}

void dw_tick_set(struct dw_tick *tick, int cpu, uint64_t now_ns)
{
    tick->cpu = cpu;
    tick->expires_ns = now_ns + tick->ahead_ns;
    struct itimerspec when = {
        .it_value = {.tv_sec = (time_t)(tick->expires_ns / NS_PER_S), .tv_nsec = (long)(tick->expires_ns % NS_PER_S)}};
    if (timerfd_settime(tick->fd, TFD_TIMER_ABSTIME, &when, NULL) != 0)
        dw_tick_close(tick); /* a sandbox that allows only the one call: without */
}
