/* engine_bare.h - what the engines of bare writes share. */
#ifndef DW_TOOLS_BENCH_ENGINE_BARE_H
#define DW_TOOLS_BENCH_ENGINE_BARE_H

#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#include "tools/bench/bench.h"

/* The least that a bare engine can write for the entries of `op` without writing a page twice. */
static inline size_t dw_bench_bare_size(const struct dw_bench_op *op)
{
    size_t pages = (size_t)(op->bytes + DW_BENCH_PAGE - 1) / DW_BENCH_PAGE;
    return (pages ? pages : 1) * DW_BENCH_PAGE;
}

/* iovec has no const; the kernel only reads. */
static inline struct iovec dw_bench_part(const void *bytes, size_t size)
{
    union {
        const void *given;
        void *wanted;
    } pointer = {bytes};
    return (struct iovec){pointer.wanted, size};
}

#endif
