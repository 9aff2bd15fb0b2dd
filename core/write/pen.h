/* pen.h - writes payload into the ring from an lsn on, over tags, blocks and volumes: the long way of an append.
 *
 * Owns: nothing but its own place; the reservation it writes into is the caller's. Called by: core/write/append.c, any
 * number of threads, each with a pen of its own.
 * Happy path: open at the reserved lsn -> for each record begin, put, put, end -> publish.
 * Failure: no room in the ring is a counted wait; false only when the log failed meanwhile: then nothing is published any
 * more and recovery drops what was begun. */
#ifndef DW_CORE_WRITE_PEN_H
#define DW_CORE_WRITE_PEN_H

#include "core/write/writer.h"

struct dw_pen {
    struct dw_writer *writer;
    uint8_t *at;         /* next byte to write */
    uint8_t *sector_end; /* end of the sector that `at` is in, or `at` itself when that one is full */
    uint8_t *block_end;
    struct dw_slot *slot;
    uint64_t block;
    uint64_t unpublished; /* what to add to slot->filled */
    uint64_t record_left; /* bytes of the running record still to be written */
    bool is_roomy;        /* all blocks of the reservation are known to have room */
};

/* Stand at `lsn`. is_roomy: all blocks of the reservation are known to have room. */
DW_NODISCARD bool dw_pen_open(struct dw_pen *pen, struct dw_writer *writer, uint64_t lsn, bool is_roomy);
/* A record of `size` bytes starts here. */
DW_NODISCARD bool dw_pen_begin_record(struct dw_pen *pen, uint64_t size);
DW_NODISCARD bool dw_pen_put(struct dw_pen *pen, const void *source, size_t size);
void dw_pen_end_record(struct dw_pen *pen);
/* Count what was written into the current block as filled. release; pairs: BLOCK-FILLED. */
void dw_pen_publish(struct dw_pen *pen);
/* Wait until the ring may be written at `block`. false: the log failed. */
DW_NODISCARD bool dw_pen_wait_for_room(struct dw_writer *writer, uint64_t block);

#endif
