/* engine_nvme.c - bare durable writes past the block layer: io_uring passthrough on the generic device of an NVMe namespace,
 * each one write command with the FUA bit.
 *
 * Owns: the generic device's descriptor, a ring of 128-byte entries for each lane. The block device stays open with O_EXCL
 * beside it, so that nobody mounts what is written here; both must name the same controller and namespace, since a write
 * through the generic device is checked by nobody.
 * Failure: -errno; a command that the device refused is -EIO. */
#include "tools/bench/bench.h"

#ifdef DW_HAVE_URING
#include <errno.h>
#include <fcntl.h>
#include <liburing.h>
#include <limits.h>
#include <linux/fs.h>
#include <linux/nvme_ioctl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "tools/bench/engine_bare.h"
#include "tools/bench/ring.h"
#include "tools/bench/target.h"

#ifndef IORING_SETUP_SINGLE_ISSUER
#define IORING_SETUP_SINGLE_ISSUER (1U << 12)
#endif
#define WRITE_COMMAND     0x01
#define FORCE_UNIT_ACCESS (1u << 30)

struct state {
    int generic_fd;
    uint32_t namespace_id, block_size;
    size_t size_max; /* of one command */
};
struct lane {
    struct dw_bench_engine *engine;
    const struct state *state;
    struct io_uring ring;
    bool waits_at_once;
};

/* ---- the device --------------------------------------------------------------------------------------------------------*/

static const char *base_name(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

/* Do both nodes belong to the same controller? */
static bool is_same_controller(const struct dw_bench_target *target)
{
    char path[PATH_MAX], of_generic[PATH_MAX], of_block[PATH_MAX];
    (void)snprintf(path, sizeof path, "/sys/class/nvme-generic/%.60s/device", base_name(target->generic_path));
    if (!realpath(path, of_generic))
        return false;
    (void)snprintf(path, sizeof path, "/sys/block/%.60s/device", base_name(target->bare_path));
    return realpath(path, of_block) && strcmp(of_generic, of_block) == 0;
}

static int open_generic(struct dw_bench_target *target, struct state *state)
{
    state->generic_fd = open(target->generic_path, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
    if (state->generic_fd < 0)
        return -errno;
    int of_block = ioctl(target->bare_fd, NVME_IOCTL_ID), of_generic = ioctl(state->generic_fd, NVME_IOCTL_ID);
    int block_size = 0;
    unsigned short sectors = 0;
    if (of_block < 0 || of_block != of_generic || !is_same_controller(target))
        return -ESTALE;
    if (ioctl(target->bare_fd, BLKSSZGET, &block_size) != 0 || block_size < 512 ||
        ioctl(target->bare_fd, BLKSECTGET, &sectors) != 0)
        return -errno;
    state->namespace_id = (uint32_t)of_block;
    state->block_size = (uint32_t)block_size;
    state->size_max = (size_t)sectors * 512;
    return 0;
}

static void close_engine(struct dw_bench_engine *engine)
{
    struct state *state = engine->state;
    if (state && state->generic_fd >= 0)
        close(state->generic_fd);
    free(state);
    engine->state = NULL;
}

/* ---- lanes -------------------------------------------------------------------------------------------------------------*/

static int open_lane(struct dw_bench_engine *engine, uint32_t outstanding, void **made)
{
    struct lane *lane = calloc(1, sizeof *lane);
    if (!lane)
        return -ENOMEM;
    lane->engine = engine;
    lane->state = engine->state;
    lane->waits_at_once = outstanding == 1;
    unsigned wide = IORING_SETUP_SQE128 | IORING_SETUP_CQE32;
    int result = io_uring_queue_init(outstanding, &lane->ring, wide | IORING_SETUP_SINGLE_ISSUER);
    if (result == -EINVAL)
        result = io_uring_queue_init(outstanding, &lane->ring, wide);
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
    io_uring_queue_exit(&lane->ring);
    free(lane);
}

static int open_engine(struct dw_bench_engine *engine)
{
    struct state *state = calloc(1, sizeof *state);
    if (!state)
        return -ENOMEM;
    state->generic_fd = -1;
    engine->state = state;
    void *lane;
    int result = open_generic(engine->target, state);
    if (result == 0)
        result = open_lane(engine, 1, &lane);
    if (result == 0) {
        close_lane(lane);
        return 0;
    }
    (void)snprintf(engine->why, sizeof engine->why, "%s: %s", engine->target->generic_path,
                   result == -ESTALE ? "this is not the namespace of the block device" : strerror(-result));
    close_engine(engine);
    return result;
}

/* ---- operations --------------------------------------------------------------------------------------------------------*/

static int judge(const struct dw_bench_op *op, int result)
{
    (void)op;
    return result > 0 ? -EIO : result; /* above 0: the device's status */
}

static void prepare(const struct lane *lane, struct io_uring_sqe *sqe, const struct dw_bench_op *op,
                    const uint8_t *payload, size_t size)
{
    const struct state *state = lane->state;
    uint64_t block = op->place / state->block_size;
    memset(sqe, 0, 2 * sizeof *sqe); /* an entry of this ring is twice as long */
    sqe->opcode = IORING_OP_URING_CMD;
    sqe->fd = state->generic_fd;
    sqe->off = NVME_URING_CMD_IO; /* its lower half is cmd_op */
    struct nvme_uring_cmd command = {
        .opcode = WRITE_COMMAND,
        .nsid = state->namespace_id,
        .addr = (uint64_t)(uintptr_t)payload,
        .data_len = (uint32_t)size,
        .cdw10 = (uint32_t)block,
        .cdw11 = (uint32_t)(block >> 32),
        .cdw12 = (uint32_t)(size / state->block_size - 1) | FORCE_UNIT_ACCESS,
    };
    memcpy((uint8_t *)sqe + 48, &command, sizeof command);
}

static bool issue(void *given, struct dw_bench_op *op, const uint8_t *payload)
{
    struct lane *lane = given;
    struct dw_bench_engine *engine = lane->engine;
    size_t size = dw_bench_bare_size(op);
    op->done_ns = op->issue_ns;
    op->result = size > lane->state->size_max ? -EFBIG : 0;
    if (op->result < 0)
        return true;
    op->place = dw_bench_target_place(engine->target, size);
    struct io_uring_sqe *sqe = io_uring_get_sqe(&lane->ring);
    if (!sqe) { /* never: there are as many as operations */
        op->result = -EAGAIN;
        return true;
    }
    prepare(lane, sqe, op, payload, size);
    io_uring_sqe_set_data(sqe, op);
    return dw_bench_ring_push(&lane->ring, engine, judge, op, lane->waits_at_once);
}

static struct dw_bench_op *reap(void *given, uint64_t until_ns)
{
    struct lane *lane = given;
    return dw_bench_ring_reap(&lane->ring, lane->engine, judge, until_ns);
}

const struct dw_bench_engine_ops dw_bench_engine_nvme = {
    .name = "nvme",
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
const struct dw_bench_engine_ops dw_bench_engine_nvme = {.name = "nvme", .open = open_engine};
#endif
