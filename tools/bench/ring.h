/* ring.h - pushing operations into an io_uring and waiting for their completions, for the bare engines that have one. Called by:
 * each lane's own thread. Failure: in the operation's result. */
#ifndef DW_TOOLS_BENCH_RING_H
#define DW_TOOLS_BENCH_RING_H

#include <errno.h>
#include <liburing.h>
#include <stdbool.h>

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

/* What a completion's result says of the operation: 0, or a negative errno. */
typedef int dw_bench_judge_fn(const struct dw_bench_op *op, int result);

static inline struct dw_bench_op *dw_bench_ring_take(struct io_uring *ring, const struct dw_bench_engine *engine,
                                                     dw_bench_judge_fn *judge, struct io_uring_cqe *cqe)
{
    struct dw_bench_op *op = io_uring_cqe_get_data(cqe);
    op->result = judge(op, cqe->res);
    io_uring_cqe_seen(ring, cqe);
    op->next = NULL;
    op->done_ns = engine->clock->now(engine->clock->context);
    op->stage_ns[DW_BENCH_DEVICE] = op->done_ns - op->issue_ns - op->stage_ns[DW_BENCH_SUBMIT];
    return op;
}

/* Push the entry that was prepared for `op`. True: it is over, done when `waits_at_once`, or failed. */
static inline bool dw_bench_ring_push(struct io_uring *ring, const struct dw_bench_engine *engine,
                                      dw_bench_judge_fn *judge, struct dw_bench_op *op, bool waits_at_once)
{
    int result;
    do {
        result = waits_at_once ? io_uring_submit_and_wait(ring, 1) : io_uring_submit(ring);
    } while (result == -EINTR || result == -EAGAIN);
    struct io_uring_cqe *cqe;
    if (waits_at_once && result >= 0 && io_uring_wait_cqe(ring, &cqe) == 0) {
        (void)dw_bench_ring_take(ring, engine, judge, cqe);
        return true;
    }
    op->result = result < 0 ? result : 0;
    op->stage_ns[DW_BENCH_SUBMIT] = engine->clock->now(engine->clock->context) - op->issue_ns;
    return result < 0;
}

/* All that has completed, at least one unless `until_ns` came first. */
static inline struct dw_bench_op *dw_bench_ring_reap(struct io_uring *ring, const struct dw_bench_engine *engine,
                                                     dw_bench_judge_fn *judge, uint64_t until_ns)
{
    struct io_uring_cqe *cqe = dw_bench_ring_wait(ring, engine, until_ns);
    struct dw_bench_op *first = NULL, **last = &first;
    while (cqe) {
        *last = dw_bench_ring_take(ring, engine, judge, cqe);
        last = &(*last)->next;
        if (io_uring_peek_cqe(ring, &cqe) != 0)
            cqe = NULL;
    }
    return first;
}

#endif
