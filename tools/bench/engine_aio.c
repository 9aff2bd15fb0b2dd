/* engine_aio.c - bare durable writes through libaio with RWF_DSYNC: a context for each lane.
 *
 * Each operation is submitted by itself; waiting takes whatever has come. Failure: -errno; a short write is -EIO. */
#include "tools/bench/bench.h"

#ifdef DW_HAVE_AIO
#include <errno.h>
#include <libaio.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tools/bench/engine_bare.h"
#include "tools/bench/target.h"

enum { EVENTS = 64 };

struct lane {
    struct dw_bench_engine *engine;
    io_context_t context;
    struct io_event events[EVENTS];
    struct iocb blocks[]; /* one for each slot */
};

static int open_lane(struct dw_bench_engine *engine, uint32_t outstanding, void **made)
{
    struct lane *lane = calloc(1, sizeof *lane + outstanding * sizeof lane->blocks[0]);
    if (!lane)
        return -ENOMEM;
    lane->engine = engine;
    int result = io_setup((int)outstanding, &lane->context);
    if (result < 0) {
        free(lane);
        return result;
    }
    *made = lane;
    return 0;
}

static void close_lane(void *given)
{
    struct lane *lane = given;
    io_destroy(lane->context);
    free(lane);
}

static int open_engine(struct dw_bench_engine *engine)
{
    void *lane;
    int result = open_lane(engine, 1, &lane);
    if (result < 0)
        (void)snprintf(engine->why, sizeof engine->why, "the kernel refuses aio: %s", strerror(-result));
    else
        close_lane(lane);
    return result;
}
static void close_engine(struct dw_bench_engine *engine)
{
    (void)engine;
}

static bool issue(void *given, struct dw_bench_op *op, const uint8_t *payload)
{
    struct lane *lane = given;
    struct dw_bench_engine *engine = lane->engine;
    size_t size = dw_bench_bare_size(op);
    struct iocb *block = &lane->blocks[op->slot];
    op->place = dw_bench_target_place(engine->target, size);
    io_prep_pwrite(block, engine->target->bare_fd, dw_bench_part(payload, size).iov_base, size, (long long)op->place);
    block->aio_rw_flags = RWF_DSYNC;
    block->data = op;
    int result;
    do {
        result = io_submit(lane->context, 1, &block);
    } while (result == -EAGAIN || result == -EINTR);
    op->result = result < 0 ? result : 0;
    op->done_ns = engine->clock->now(engine->clock->context);
    op->stage_ns[DW_BENCH_SUBMIT] = op->done_ns - op->issue_ns;
    return result < 0;
}

static struct dw_bench_op *reap(void *given, uint64_t until_ns)
{
    struct lane *lane = given;
    const struct dw_bench_clock *clock = lane->engine->clock;
    struct timespec wait = {0};
    if (until_ns != UINT64_MAX) {
        uint64_t time_ns = clock->now(clock->context), wait_ns = until_ns > time_ns ? until_ns - time_ns : 0;
        wait = (struct timespec){.tv_sec = (time_t)(wait_ns / 1000000000u), .tv_nsec = (long)(wait_ns % 1000000000u)};
    }
    int count;
    do {
        count = io_getevents(lane->context, 1, EVENTS, lane->events, until_ns == UINT64_MAX ? NULL : &wait);
    } while (count == -EINTR);
    uint64_t done_ns = clock->now(clock->context);
    struct dw_bench_op *first = NULL, **last = &first;
    for (int i = 0; i < count; i++) {
        struct dw_bench_op *op = lane->events[i].data;
        long moved = (long)lane->events[i].res;
        op->result = moved < 0 ? (int)moved : (size_t)moved == dw_bench_bare_size(op) ? 0 : -EIO;
        op->done_ns = done_ns;
        op->stage_ns[DW_BENCH_DEVICE] = done_ns - op->issue_ns - op->stage_ns[DW_BENCH_SUBMIT];
        op->next = NULL;
        *last = op;
        last = &op->next;
    }
    return first;
}

const struct dw_bench_engine_ops dw_bench_engine_aio = {
    .name = "aio",
    .open = open_engine,
    .close = close_engine,
    .lane_open = open_lane,
    .lane_close = close_lane,
    .issue = issue,
    .reap = reap,
};
#else
#include <errno.h>
#include <stdio.h>

static int open_engine(struct dw_bench_engine *engine)
{
    (void)snprintf(engine->why, sizeof engine->why, "built without libaio");
    return -ENOSYS;
}
const struct dw_bench_engine_ops dw_bench_engine_aio = {.name = "aio", .open = open_engine};
#endif
