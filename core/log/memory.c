/* memory.c - how much memory a log may hold: the formula of the public header. Called by: any thread. Pure.
 *
 * An upper bound, not an estimate: every part is rounded up. Its fixed part covers the handle and the store (0.5 MiB), the buffers
 * of superblock, headers and tables with blocks of 64 KiB (0.5 MiB), the zeros of blanks (1 MiB), the loading of TOCs (4 MiB) or,
 * after it, what recovery reads into and ahead (less), and the rounding to huge pages (2 MiB). */
#include <stddef.h>

#include "base/bits.h"
#include "core/log/handle.h"

#define FIXED_SIZE       (UINT64_C(10) << 20)
#define VOLUME_SIZE      UINT64_C(1024) /* a row of the store and what recovery notes of it */
#define RING_SHARE_SHIFT 6              /* a slot of 64 bytes for each block of 4096 */

static uint64_t add(uint64_t a, uint64_t b)
{
    uint64_t sum;
    return dw_add_overflows(a, b, &sum) ? UINT64_MAX : sum;
}

static uint64_t multiply(uint64_t a, uint64_t b)
{
    uint64_t product;
    return __builtin_mul_overflow(a, b, &product) ? UINT64_MAX : product;
}

DW_EXPORT uint64_t dwal_memory_bound(const struct dwal_options *options, uint64_t volumes)
{
    struct dwal_options resolved;
    if (dw_options_resolve(options, &resolved) < 0)
        return UINT64_MAX;
    uint64_t ring = resolved.mode == DWAL_WRITE ? add(resolved.ring_size, resolved.ring_size >> RING_SHARE_SHIFT) : 0;
    uint64_t tables = add(multiply(resolved.toc_length, 2), resolved.table_keep);
    uint64_t rows = multiply(volumes, add(VOLUME_SIZE, resolved.table_keep));
    return add(add(ring, tables), add(rows, FIXED_SIZE));
}
