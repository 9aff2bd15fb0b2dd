/* ring.h - waiting for completions of an io_uring, for the bare engines that have one. Called by: each lane's own thread. */
#ifndef DW_TOOLS_BENCH_RING_H
#define DW_TOOLS_BENCH_RING_H

#include <errno.h>
#include <liburing.h>

#include "tools/bench/bench.h"

/* The next completion, awaited until `until_ns` of the engine's clock (UINT64_MAX: for ever). NULL: none came in time. */
static inline struct io_uring_cqe *dw_bench_ring_wait(struct io_uring *ring, const struct dw_bench_engine *engine,
                                                      uint64_t until_ns)
{
    struct io_uring_cqe *cqe = NULL;
    if (until_ns == UINT64_MAX) {
        while (io_uring_wait_cqe(ring, &cqe) == -EINTR)
            ;
        return cqe;
    }
    uint64_t time_ns = engine->clock->now(engine->clock->context);
    uint64_t wait_ns = until_ns > time_ns ? until_ns - time_ns : 0;
    struct __kernel_timespec wait = {.tv_sec = (long long)(wait_ns / 1000000000u),
                                     .tv_nsec = (long long)(wait_ns % 1000000000u)};
    return io_uring_wait_cqe_timeout(ring, &cqe, &wait) < 0 ? NULL : cqe;
}

#endif
