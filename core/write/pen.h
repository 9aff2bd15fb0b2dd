/* pen.h - writes payload into the ring from an lsn on, over tags, blocks and volumes.
 *
 * Owns: nothing but its own place; the reservation it writes into is the caller's. Called by: core/write/append.c and
 * quick_code.h, any number of threads, each with a pen of its own. What every append does is inline here; what only one in
 * many does is in pen.c.
 * Happy path: open at the reserved lsn -> for each record begin, put, put, end -> publish.
 * Whoever covers the last payload byte of a sector stamps the tag behind it; of a block, notes whether a record ends there.
 * Whoever goes on into a block writes its first_record.
 * Failure: no room in the ring is a counted wait; false only when the log failed meanwhile: then nothing is published any
 * more and recovery drops what was begun. */
#ifndef DW_CORE_WRITE_PEN_H
#define DW_CORE_WRITE_PEN_H

#include "base/assert.h"
#include "core/write/copy.h"
#include "core/write/writer.h"

struct dw_pen {
    struct dw_writer *writer;
    uint8_t *at; /* next byte to write; of no meaning when the block is full */
    size_t room; /* payload bytes from there to the block's end */
    struct dw_slot *slot;
    uint64_t block;
    uint64_t unpublished; /* what to add to slot->filled */
    uint64_t record_left; /* bytes of the running record still to be put */
    bool is_roomy;        /* all blocks of the reservation are known to have room */
};

/* Wait until the ring may be written at `block`. false: the log failed. */
DW_NODISCARD bool dw_pen_wait_for_room(struct dw_writer *writer, uint64_t block);
/* Publish the block that is full, all but `size` bytes that were counted already, and go on at the start of the next. */
DW_NODISCARD bool dw_pen_next_block(struct dw_pen *pen, size_t size);

/* Stand at byte `byte` of `block`, in front of its last `room` payload bytes. */
DW_INLINE void dw_pen_stand(struct dw_pen *pen, uint64_t block, size_t byte, size_t room)
{
    pen->slot = dw_ring_slot(&pen->writer->ring, block);
    pen->block = block;
    pen->at = pen->slot->bytes + byte;
    pen->room = room;
}

/* Stand at `lsn`. is_roomy: all blocks of the reservation are known to have room. */
DW_NODISCARD DW_INLINE bool dw_pen_open(struct dw_pen *pen, struct dw_writer *writer, uint64_t lsn, bool is_roomy)
{
    struct dw_ring_place place = dw_ring_place_of(&writer->ring, lsn);
    pen->writer = writer;
    pen->unpublished = 0;
    pen->record_left = 0;
    pen->is_roomy = is_roomy;
    if (DW_UNLIKELY(!is_roomy) && !dw_pen_wait_for_room(writer, place.block))
        return false;
    dw_pen_stand(pen, place.block, place.byte, place.room);
    return true;
}

/* A record of `size` bytes starts here. */
DW_NODISCARD DW_INLINE bool dw_pen_begin_record(struct dw_pen *pen, uint64_t size)
{
    if (DW_UNLIKELY(pen->room == 0) && !dw_pen_next_block(pen, 0))
        return false;
    pen->record_left = size;
    pen->unpublished += DW_SLOT_RECORD;
    return true;
}

DW_NODISCARD DW_INLINE bool dw_pen_put(struct dw_pen *pen, const void *source, size_t size)
{
    const uint8_t *from = source;
    size_t sector_mask = pen->writer->ring.sector_mask;
    pen->unpublished += size;
    pen->record_left -= size;
    while (size >= pen->room) { /* so the block gets full */
        (void)dw_copy_over_tags(pen->at, from, pen->room, pen->slot->tag, sector_mask);
        from += pen->room;
        size -= pen->room;
        pen->room = 0;
        if (size == 0)
            return true;
        if (!dw_pen_next_block(pen, size))
            return false;
    }
    pen->at = dw_copy_over_tags(pen->at, from, size, pen->slot->tag, sector_mask);
    pen->room -= size;
    if (((uintptr_t)pen->at & sector_mask) == 0) {
        memcpy(pen->at, &pen->slot->tag, DW_TAG_SIZE);
        pen->at += DW_TAG_SIZE;
    }
    return true;
}

DW_INLINE void dw_pen_end_record(struct dw_pen *pen)
{
    dw_debug_assert(pen->record_left == 0);
    if (pen->room == 0)
        pen->slot->is_record_end = true;
}

/* Count what was written into the current block as filled. */
DW_INLINE void dw_pen_publish(struct dw_pen *pen)
{
    /* release: the bytes, tags and slot fields before it; pairs: BLOCK-FILLED. */
    atomic_fetch_add_explicit(&pen->slot->filled, pen->unpublished, memory_order_release);
}

#endif
