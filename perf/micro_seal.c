/* micro_seal.c - what the flusher does between the appenders' copy and its write, on a ring without a log: see micro_rooms.h.
 *
 * Owns: one ring. Called by one thread of the micro-benchmarks. The appender's part is done here in the shortest way: the
 * counter of the block says that its payload is there, whatever the bytes are. */
#include "base/assert.h"
#include "core/write/ring.h"
#include "perf/micro_rooms.h"

#define RING_SIZE (8u << 20)

static struct dw_ring ring;
static uint64_t next_block;

void micro_seal_open(void)
{
    static const uint8_t log_id[16] = {1};
    struct dw_geometry geometry;
    struct dw_identity identity;
    const char *why = NULL;
    dw_assert(dw_geometry_init(&geometry, MICRO_BLOCK_SIZE, 512, 64u << 20, 0, &why) == 0);
    dw_identity_init(&identity, log_id, 0x80000001u);
    next_block = 0;
    dw_assert(dw_ring_init(&ring, &geometry, &identity, NULL, RING_SIZE, next_block) == 0);
}

void micro_seal_close(void)
{
    dw_ring_destroy(&ring);
}

/* As stamp_run of the flusher does. */
static void write_headers(uint64_t from, uint64_t to)
{
    for (uint64_t block = from; block < to; block++) {
        const struct dw_slot *slot = dw_ring_slot(&ring, block);
        const struct dw_block_info info = {
            .block = block, .watermark = from, .fill = slot->fill, .first_record = slot->first_record};
        dw_assert(dw_ring_is_complete(&ring, block));
        dw_block_header_encode(&ring.identity, &info, dw_volume_of_block(&ring.geometry, block),
                               dw_ring_block(&ring, block));
    }
}

uint64_t micro_seal_padded(uint32_t size)
{
    uint32_t filled = size + DW_RECORD_HEADER_SIZE;
    struct dw_slot *slot = dw_ring_slot(&ring, next_block);
    slot->first_record = 0;
    atomic_fetch_add_explicit(&slot->filled, filled | DW_SLOT_RECORD, memory_order_relaxed);
    atomic_fetch_add_explicit(&ring.tail, filled, memory_order_relaxed);
    dw_assert(dw_ring_seal(&ring));
    write_headers(next_block, next_block + 1);
    dw_ring_release(&ring, next_block, next_block + 1);
    return next_block++;
}

uint64_t micro_seal_full(uint32_t count)
{
    uint64_t from = next_block, to = from + count;
    for (uint64_t block = from; block < to; block++) {
        struct dw_slot *slot = dw_ring_slot(&ring, block);
        slot->first_record = 0;
        atomic_fetch_add_explicit(&slot->filled, ring.geometry.payload_size | DW_SLOT_RECORD, memory_order_relaxed);
    }
    atomic_fetch_add_explicit(&ring.tail, (uint64_t)count * ring.geometry.payload_size, memory_order_relaxed);
    write_headers(from, to);
    dw_ring_release(&ring, from, to);
    next_block = to;
    return from;
}
