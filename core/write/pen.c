/* pen.c - what a pen does once in many appends: wait for room, go on into the next block. See pen.h. */
#include "core/write/pen.h"

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

bool dw_pen_next_block(struct dw_pen *pen, size_t size)
{
    struct dw_ring *ring = &pen->writer->ring;
    uint64_t left = pen->record_left + size; /* of the running record; 0: the next one starts there */
    pen->unpublished -= size;
    dw_pen_publish(pen);
    pen->unpublished = size;
    uint64_t block = pen->block + 1;
    if (!pen->is_roomy && !dw_pen_wait_for_room(pen->writer, block))
        return false;
    dw_pen_stand(pen, block, DW_BLOCK_HEADER_SIZE, ring->geometry.payload_size);
    pen->slot->first_record = left < ring->geometry.payload_size ? (uint32_t)left : DW_FIRST_RECORD_NONE;
    if ((block & ring->kick_mask) == 0) /* a quarter of the ring was filled: let the flusher go on beside us */
        dw_writer_flush(pen->writer, dw_lsn_of_block(&ring->geometry, block));
    return true;
}
