/* engine_sync.c - bare durable writes by pwritev2 with RWF_DSYNC, one at a time for each lane: the floor of blocking I/O.
 *
 * Owns: nothing; the file is the target's. Each operation is one write, rounded up to whole pages, of the next place in
 * the file. Failure: -errno; a short write is -EIO. */
#include <errno.h>
#include <sys/uio.h>

#include "tools/bench/bench.h"
#include "tools/bench/engine_bare.h"
#include "tools/bench/target.h"

static int open_engine(struct dw_bench_engine *engine)
{
    (void)engine;
    return 0;
}
static void close_engine(struct dw_bench_engine *engine)
{
    (void)engine;
}
static int open_lane(struct dw_bench_engine *engine, uint32_t outstanding, void **lane)
{
    (void)outstanding;
    *lane = engine;
    return 0;
}
static void close_lane(void *lane)
{
    (void)lane;
}

static bool issue(void *lane, struct dw_bench_op *op, const uint8_t *payload)
{
    struct dw_bench_engine *engine = lane;
    size_t size = dw_bench_bare_size(op);
    struct iovec part = dw_bench_part(payload, size);
    op->place = dw_bench_target_place(engine->target, size);
    ssize_t n = pwritev2(engine->target->bare_fd, &part, 1, (off_t)op->place, RWF_DSYNC);
    op->result = n < 0 ? -errno : (size_t)n == size ? 0 : -EIO;
    op->done_ns = engine->clock->now(engine->clock->context);
    op->stage_ns[DW_BENCH_DEVICE] = op->done_ns - op->issue_ns;
    return true;
}
static struct dw_bench_op *reap(void *lane, uint64_t until_ns)
{
    (void)lane;
    (void)until_ns;
    return NULL; /* nothing is ever under way */
}

const struct dw_bench_engine_ops dw_bench_engine_sync = {
    .name = "sync",
    .is_blocking = true,
    .open = open_engine,
    .close = close_engine,
    .lane_open = open_lane,
    .lane_close = close_lane,
    .issue = issue,
    .reap = reap,
};
