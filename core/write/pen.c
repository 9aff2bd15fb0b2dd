/* pen.c - see pen.h.
 *
 * Whoever covers the first payload byte of a sector stamps its tag; of a block, writes first_record; the last payload byte of a
 * block, notes whether a record ends there. So a tag is stamped, and a block entered, only when a byte is to be put behind. */
#include "core/write/pen.h"

#include <string.h>

#include "base/assert.h"
#include "base/bits.h"

bool dw_pen_wait_for_room(struct dw_writer *writer, uint64_t block)
{
    struct dw_ring *ring = &writer->ring;
    if (DW_LIKELY(block < atomic_load_explicit(&ring->room_end, memory_order_acquire))) /* pairs: RING-ROOM */
        return true;
    uint64_t start_ns = dw_writer_now(writer);
    dw_count(&writer->counts.reserve_waits, 1);
    for (;;) {
        /* Never more than is reserved: the flusher would look for it in vain. */
        uint64_t tail = atomic_load_explicit(&ring->tail, memory_order_relaxed);
        dw_writer_flush(writer, dw_min_u64(dw_lsn_of_block(&ring->geometry, block), tail));
        if (writer->options.is_single_stepped) {
            while (block >= atomic_load_explicit(&ring->room_end, memory_order_acquire) &&
                   dw_durable_failure(&writer->durable) == 0) {
                uint64_t before = dw_durable_block(&writer->durable);
                dw_flush_step(writer, true);
                if (dw_durable_block(&writer->durable) == before && writer->options.step_maker)
                    writer->options.step_maker(writer->options.step_context); /* it may have a volume to hand over */
            }
        }
        uint32_t key = dw_event_prepare(&writer->room);
        bool has_room = block < atomic_load_explicit(&ring->room_end, memory_order_acquire);
        if (has_room || dw_durable_failure(&writer->durable) != 0) {
            dw_event_cancel(&writer->room);
            dw_histogram_record(&writer->stages[DWAL_STAGE_RESERVE_WAIT], dw_writer_now(writer) - start_ns);
            return has_room;
        }
        dw_event_wait(&writer->room, key, UINT64_MAX);
    }
}

void dw_pen_publish(struct dw_pen *pen)
{
    /* release: the bytes, tags and slot fields before it; pairs: BLOCK-FILLED. */
    atomic_fetch_add_explicit(&pen->slot->filled, pen->unpublished, memory_order_release);
    pen->unpublished = 0;
}

static void pen_stand(struct dw_pen *pen, uint64_t block, uint32_t byte)
{
    struct dw_ring *ring = &pen->writer->ring;
    uint8_t *bytes = dw_ring_block(ring, block);
    pen->block = block;
    pen->slot = dw_ring_slot(ring, block);
    pen->at = bytes + byte;
    pen->sector_end = bytes + (byte | (ring->geometry.sector_size - 1)) + 1;
    pen->block_end = bytes + ring->geometry.block_size;
}

/* Publish the block that is full and go on at the start of the next. */
static DW_NODISCARD bool pen_next_block(struct dw_pen *pen, uint32_t first_record)
{
    struct dw_ring *ring = &pen->writer->ring;
    dw_pen_publish(pen);
    uint64_t block = pen->block + 1;
    if (!pen->is_roomy && !dw_pen_wait_for_room(pen->writer, block))
        return false;
    pen_stand(pen, block, DW_BLOCK_HEADER_SIZE);
    pen->slot->first_record = first_record;
    if ((block & ring->kick_mask) == 0) /* a quarter of the ring was filled: let the flusher go on beside us */
        dw_writer_flush(pen->writer, dw_lsn_of_block(&ring->geometry, block));
    return true;
}

static void pen_stamp_tag(struct dw_pen *pen)
{
    memcpy(pen->at, &pen->slot->tag, DW_TAG_SIZE);
    pen->at += DW_TAG_SIZE;
    pen->sector_end = pen->at + (pen->writer->ring.geometry.sector_size - DW_TAG_SIZE);
}

bool dw_pen_open(struct dw_pen *pen, struct dw_writer *writer, uint64_t lsn, bool is_roomy)
{
    const struct dw_geometry *g = &writer->ring.geometry;
    uint64_t block = dw_block_of_lsn(g, lsn);
    uint32_t offset = (uint32_t)(lsn - dw_lsn_of_block(g, block));
    pen->writer = writer;
    pen->unpublished = 0;
    pen->is_roomy = is_roomy;
    if (!is_roomy && !dw_pen_wait_for_room(writer, block))
        return false;
    uint32_t byte = dw_byte_of_payload(g, offset);
    pen_stand(pen, block, byte);
    if (offset == 0) {
        pen->slot->first_record = 0;
    } else if ((byte & (g->sector_size - 1)) == DW_TAG_SIZE) {
        pen->at -= DW_TAG_SIZE;
        pen_stamp_tag(pen);
    }
    return true;
}

bool dw_pen_begin_record(struct dw_pen *pen, uint64_t size)
{
    pen->record_left = size;
    if (pen->at == pen->block_end && !pen_next_block(pen, 0))
        return false;
    pen->unpublished += DW_SLOT_RECORD;
    return true;
}

bool dw_pen_put(struct dw_pen *pen, const void *source, size_t size)
{
    const uint8_t *from = source;
    while (size > 0) {
        if (pen->at == pen->sector_end) {
            if (pen->at != pen->block_end) {
                pen_stamp_tag(pen);
            } else {
                uint64_t left = pen->record_left;
                bool ends_inside = left < pen->writer->ring.geometry.payload_size;
                if (!pen_next_block(pen, ends_inside ? (uint32_t)left : DW_FIRST_RECORD_NONE))
                    return false;
            }
        }
        size_t chunk = (size_t)(pen->sector_end - pen->at);
        if (chunk > size)
            chunk = size;
        memcpy(pen->at, from, chunk);
        pen->at += chunk;
        from += chunk;
        size -= chunk;
        pen->unpublished += chunk;
        pen->record_left -= chunk;
    }
    return true;
}

void dw_pen_end_record(struct dw_pen *pen)
{
    dw_debug_assert(pen->record_left == 0);
    if (pen->at == pen->block_end)
        pen->slot->is_record_end = true;
}
