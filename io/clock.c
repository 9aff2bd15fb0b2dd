/* clock.c - the system's two clocks behind the injected contract of io.h.
 *
 * Called by: every room, on any thread, also on the commit path: both are vDSO reads (no system call; about 20 ns for the monotonic one).
 * The time of day is for people who read headers and tables: as of the last timer tick it is good enough, and costs a few ns.
 * Failure: none; Linux always has both clocks. */
#include <time.h>

#include "base/assert.h"
#include "io/io.h"

static uint64_t read_clock(clockid_t id)
{
    struct timespec now;
    int result = clock_gettime(id, &now);
    dw_assert(result == 0);
    return (uint64_t)now.tv_sec * UINT64_C(1000000000) + (uint64_t)now.tv_nsec;
}

static uint64_t monotonic_ns(void *context)
{
    (void)context;
    return read_clock(CLOCK_MONOTONIC);
}

static uint64_t realtime_ns(void *context)
{
    (void)context;
    return read_clock(CLOCK_REALTIME_COARSE);
}

const struct dw_clock dw_clock_system = {.monotonic_ns = monotonic_ns, .realtime_ns = realtime_ns};
