/* engine_uring.c - bare durable writes through io_uring: a ring for each lane, made in its own thread, with the registered
 * file and, where the memory limit allows, the registered payload. The newest flags that the kernel takes.
 *
 * One outstanding: one system call submits and waits. More: one to submit each, then the completions.
 * Failure: -errno; a short write is -EIO. */
#include "tools/bench/bench.h"

#ifdef DW_HAVE_URING
#include <errno.h>
#include <liburing.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tools/bench/engine_bare.h"
#include "tools/bench/ring.h"
#include "tools/bench/target.h"

#ifndef IORING_SETUP_SINGLE_ISSUER
#define IORING_SETUP_SINGLE_ISSUER (1U << 12)
#endif
#ifndef IORING_SETUP_DEFER_TASKRUN
#define IORING_SETUP_DEFER_TASKRUN (1U << 13)
#endif

struct lane {
    struct dw_bench_engine *engine;
    struct io_uring ring;
    bool is_fixed_file, is_fixed_payload, waits_at_once;
};

static int open_lane(struct dw_bench_engine *engine, uint32_t outstanding, void **made)
{
    static const unsigned flags[] = {IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN,
                                     IORING_SETUP_SINGLE_ISSUER, 0};
    struct lane *lane = calloc(1, sizeof *lane);
    if (!lane)
        return -ENOMEM;
    int result = -EINVAL;
    for (size_t i = 0; i < sizeof flags / sizeof flags[0] && result == -EINVAL; i++)
        result = io_uring_queue_init(outstanding, &lane->ring, flags[i]);
    if (result < 0) {
        free(lane);
        return result;
    }
    lane->engine = engine;
    lane->waits_at_once = outstanding == 1;
    lane->is_fixed_file = io_uring_register_files(&lane->ring, &engine->target->bare_fd, 1) == 0;
    struct iovec payload =
        dw_bench_part(engine->target->payload, DW_BENCH_OP_BYTES_MAX + (size_t)DW_BENCH_SHIFTS * DW_BENCH_PAGE);
    lane->is_fixed_payload = io_uring_register_buffers(&lane->ring, &payload, 1) == 0;
    *made = lane;
    return 0;
}

static void close_lane(void *given)
{
    struct lane *lane = given;
    io_uring_queue_exit(&lane->ring);
    free(lane);
}

/* Is io_uring allowed here at all? */
static int open_engine(struct dw_bench_engine *engine)
{
    void *lane;
    int result = open_lane(engine, 1, &lane);
    if (result < 0)
        (void)snprintf(engine->why, sizeof engine->why, "the kernel refuses io_uring: %s", strerror(-result));
    else
        close_lane(lane);
    return result;
}
static void close_engine(struct dw_bench_engine *engine)
{
    (void)engine;
}

static int judge(const struct dw_bench_op *op, int result)
{
    return result < 0 ? result : (size_t)result == dw_bench_bare_size(op) ? 0 : -EIO;
}

static bool issue(void *given, struct dw_bench_op *op, const uint8_t *payload)
{
    struct lane *lane = given;
    struct dw_bench_engine *engine = lane->engine;
    size_t size = dw_bench_bare_size(op);
    struct io_uring_sqe *sqe = io_uring_get_sqe(&lane->ring); /* never NULL: as many as operations */
    op->place = dw_bench_target_place(engine->target, size);
    int file = lane->is_fixed_file ? 0 : engine->target->bare_fd;
    if (lane->is_fixed_payload)
        io_uring_prep_write_fixed(sqe, file, payload, (unsigned)size, op->place, 0);
    else
        io_uring_prep_write(sqe, file, payload, (unsigned)size, op->place);
    sqe->rw_flags = RWF_DSYNC;
    if (lane->is_fixed_file)
        sqe->flags |= IOSQE_FIXED_FILE;
    io_uring_sqe_set_data(sqe, op);
    return dw_bench_ring_push(&lane->ring, engine, judge, op, lane->waits_at_once);
}

static struct dw_bench_op *reap(void *given, uint64_t until_ns)
{
    struct lane *lane = given;
    return dw_bench_ring_reap(&lane->ring, lane->engine, judge, until_ns);
}

const struct dw_bench_engine_ops dw_bench_engine_uring = {
    .name = "uring",
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
    (void)snprintf(engine->why, sizeof engine->why, "built without io_uring");
    return -ENOSYS;
}
const struct dw_bench_engine_ops dw_bench_engine_uring = {.name = "uring", .open = open_engine};
#endif
