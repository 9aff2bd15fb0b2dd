/* ring.h - the in-memory ring of blocks that appenders fill and the flusher writes out.
 *
 * Owns: the block memory, one slot of bookkeeping per block, the tail. Block b lives in slot b % slot_count.
 * Called by: appenders (reserve, copy, publish: any thread, no lock), the holder of the flush role (seal, release), readers
 * (copy out). Who may touch what:
 *
 *   thing          written by                         read by                    guard
 *   tail           appenders (add or CAS), role (CAS) all                        the word itself
 *   room_end       role                               appenders                  pairs: RING-ROOM
 *   fast_limit     role, maker (dw_ring_update_limit) appenders                  pairs: RING-ROOM
 *   block bytes    the reserver of the range; role    role; readers (checked)    pairs: BLOCK-FILLED, RING-ROOM
 *   slot.filled    appenders (add), role (add, reset) role                       pairs: BLOCK-FILLED
 *   slot.others    whoever covers the place; role     role after filled == P     pairs: BLOCK-FILLED
 *
 * Happy path: reserve = one atomic add; copy; publish = one atomic add per block touched. Nothing is zeroed.
 * Failure: none here; no room is a counted wait of the appender (core/write/append.c). */
#ifndef DW_CORE_WRITE_RING_H
#define DW_CORE_WRITE_RING_H

#include <stdalign.h>
#include <stdatomic.h>

#include "core/format/codec.h"

/* One per block, on a cache line of its own: neighbours in the ring are filled by different threads. */
struct dw_arena;

struct dw_slot {
    /* Low 32 bits: payload bytes filled so far (P: complete). High 32 bits: records that start in the block. One add
     * publishes both. Stale reads only make the flusher look again. Reset by the role when the slot is released. */
    alignas(DW_CACHE_LINE) _Atomic uint64_t filled;
    uint8_t *bytes;        /* of the block; never changes */
    uint8_t *end;          /* behind its last byte; never changes */
    uint64_t lsn;          /* of the block's first payload byte; set when the slot is released */
    uint32_t tag;          /* sector tag of the block that owns the slot; set when the slot is released */
    uint32_t first_record; /* 0, a record at the start, until whoever runs on into the block says otherwise */
    uint32_t fill;         /* P, or less once the role sealed the block */
    bool is_record_end;    /* a record ends exactly at the block's end (by whoever covers the last payload byte) */
    bool is_marker;        /* by the role */
};
#define DW_SLOT_RECORD (UINT64_C(1) << 32)

struct dw_ring {
    /* Appenders: lsn at which the next reservation starts. Only grows. acq_rel so that a reader that saw the old tail
     * after its copy has seen no byte of a later reservation (pairs: RING-OVERWRITE). First, so that an append has its address. */
    alignas(DW_CACHE_LINE) _Atomic uint64_t tail;

    /* Read-mostly. */
    alignas(DW_CACHE_LINE) struct dw_geometry geometry;
    struct dw_identity identity;
    uint8_t *bytes;
    struct dw_slot *slots;
    size_t bytes_size;
    bool is_borrowed;     /* bytes and slots belong to an arena */
    uint64_t first_block; /* the ring never held a block before it */
    uint32_t slot_count;  /* a power of two */
    uint32_t slot_mask;
    uint64_t slot_at_mask;      /* the same for a slot's distance from the first, in bytes */
    uint64_t block_payload;     /* geometry.payload_size, as wide as an lsn */
    size_t sector_mask;         /* bytes of a sector, minus 1 */
    uint64_t sector_reciprocal; /* q * it >> 32 == q / payload bytes between two tags, for q below a block's size */
    uint32_t kick_mask; /* appenders call the flusher when they enter a block whose number has these bits zero */

    /* The role: first block that may not be written into the ring yet. release; pairs: RING-ROOM. */
    alignas(DW_CACHE_LINE) _Atomic uint64_t room_end;
    /* Below it an append of at most DW_RING_FAST_MAX bytes may add to the tail without further question: there is
     * room in the ring and, with slack for everybody who asks at the same time, space in claimed volumes. 0: closed, by
     * a failure, or never opened for writing. */
    _Atomic uint64_t fast_limit;
};

#define DW_RING_FAST_MAX   65536u
#define DW_RING_SLACK_SIZE (256u * DW_RING_FAST_MAX) /* 256 threads may overtake the limit between look and add */
#define DW_RING_SLOTS_MIN  8u

/* `size`: bytes, a power of two of blocks, at least DW_RING_SLOTS_MIN. The first block to be written is `next_block`. `arena`: its front,
 * of that size, becomes the ring; NULL: the ring has memory of its own. -ENOMEM. */
DW_NODISCARD int dw_ring_init(struct dw_ring *ring, const struct dw_geometry *geometry,
                              const struct dw_identity *identity, struct dw_arena *arena, uint64_t size,
                              uint64_t next_block);
void dw_ring_destroy(struct dw_ring *ring);

static inline struct dw_slot *dw_ring_slot(struct dw_ring *ring, uint64_t block)
{
    return (struct dw_slot *)(void *)((uint8_t *)ring->slots + (block * sizeof(struct dw_slot) & ring->slot_at_mask));
}
/* That of the block behind. */
static inline struct dw_slot *dw_ring_next_slot(struct dw_ring *ring, struct dw_slot *slot)
{
    uint64_t at = (uint64_t)((uint8_t *)(slot + 1) - (uint8_t *)ring->slots);
    return (struct dw_slot *)(void *)((uint8_t *)ring->slots + (at & ring->slot_at_mask));
}
static inline uint8_t *dw_ring_block(struct dw_ring *ring, uint64_t block)
{
    return dw_ring_slot(ring, block)->bytes;
}
/* Where an lsn lies: the block, the byte in it, the payload bytes from there to the block's end. On the append path: one division, one multiplication. */
struct dw_ring_place {
    uint64_t block;
    size_t byte, room;
};
DW_INLINE struct dw_ring_place dw_ring_place_of(const struct dw_ring *ring, uint64_t lsn)
{
    uint64_t offset = lsn % ring->block_payload;
    uint64_t sector = (offset + (DW_BLOCK_HEADER_SIZE - DW_TAG_SIZE)) * ring->sector_reciprocal >> 32;
    return (struct dw_ring_place){.block = lsn / ring->block_payload,
                                  .byte = offset + DW_BLOCK_HEADER_SIZE + DW_TAG_SIZE * sector,
                                  .room = ring->block_payload - offset};
}
static inline uint32_t dw_slot_filled_bytes(uint64_t filled)
{
    return (uint32_t)filled;
}
static inline uint32_t dw_slot_records(uint64_t filled)
{
    return (uint32_t)(filled >> 32);
}

/* Where a reservation of `size` bytes, at most DW_RING_FAST_MAX, may start at the latest to need no further question; in front of
 * all lsns when there is no such place. Lsns are below 2^63. */
DW_INLINE int64_t dw_ring_last_start(const struct dw_ring *ring, uint64_t size)
{
    uint64_t limit = atomic_load_explicit(&ring->fast_limit, memory_order_acquire); /* pairs: RING-ROOM */
    return (int64_t)(limit - size);
}

/* ---- the role's side ---- */
/* Close the block that the tail stands in, if it is partly filled: move the tail to the next block, zero the rest, stamp
 * its tags, count it as filled. True when it sealed one. */
bool dw_ring_seal(struct dw_ring *ring);
/* Take the blocks [from, to) whole, each for a MARKER, if the tail stands exactly at the start of `from`. Pre: they have room. */
bool dw_ring_take_markers(struct dw_ring *ring, uint64_t from, uint64_t to);
/* Bring the memory of the blocks that appenders fill next near this processor: a ring is larger than the cache. */
void dw_ring_prefetch(struct dw_ring *ring, uint64_t block, uint64_t count);
/* Is every payload byte of the block there? Acquire; pairs: BLOCK-FILLED. */
static inline bool dw_ring_is_complete(struct dw_ring *ring, uint64_t block)
{
    uint64_t filled = atomic_load_explicit(&dw_ring_slot(ring, block)->filled, memory_order_acquire);
    return dw_slot_filled_bytes(filled) == ring->geometry.payload_size;
}
/* Blocks [from, to) are durable: their slots may be filled again. */
void dw_ring_release(struct dw_ring *ring, uint64_t from, uint64_t to);
/* Room or space changed: `space` is the lsn behind the last claimed volume. */
void dw_ring_update_limit(struct dw_ring *ring, uint64_t space);
/* Nothing may be added any more without asking why: the log failed. Any thread; for good. */
void dw_ring_close(struct dw_ring *ring);

/* ---- readers ---- */
/* Copy block `block`, known to be durable, out of the ring. false: it was overwritten meanwhile, or never here. */
bool dw_ring_copy_block(struct dw_ring *ring, uint64_t block, void *target);

#endif
