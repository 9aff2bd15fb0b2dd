/* engine_nvme.c - bare durable writes past the block layer: io_uring passthrough on a generic NVMe device. */
#include <errno.h>
#include <stdio.h>

#include "tools/bench/bench.h"

static int open_engine(struct dw_bench_engine *engine)
{
    (void)snprintf(engine->why, sizeof engine->why, "not there yet");
    return -ENOSYS;
}
const struct dw_bench_engine_ops dw_bench_engine_nvme = {.name = "nvme", .open = open_engine};
