/* ring.c - set-up of the ring and the parts of it that are not on the appenders' path. See ring.h for who may touch what.
 *
 * A reader's copy races with appenders by design (a reader never blocks the writer): the copy is made by code that the
 * compiler cannot see into and is thrown away unless the tail shows that nobody can have written to the slot meanwhile. */
#include "core/write/ring.h"

#include <errno.h>
#include <string.h>

#include "alloc/alloc.h"
#include "alloc/arena.h"
#include "base/assert.h"
#include "base/bits.h"

/* fast_limit before any room was told. */
#define LIMIT_NONE   1u
#define LIMIT_CLOSED 0u

static void slot_prepare(struct dw_ring *ring, uint64_t block)
{
    struct dw_slot *slot = dw_ring_slot(ring, block);
    slot->lsn = dw_lsn_of_block(&ring->geometry, block);
    slot->tag = dw_tag_of_volume(&ring->identity, dw_volume_of_block(&ring->geometry, block));
    slot->first_record = 0;
    slot->fill = ring->geometry.payload_size;
    slot->is_record_end = false;
    slot->is_marker = false;
    /* relaxed: published to appenders by room_end (pairs: RING-ROOM). */
    atomic_store_explicit(&slot->filled, 0, memory_order_relaxed);
}

static bool take_memory(struct dw_ring *ring, struct dw_arena *arena)
{
    size_t slots_size = sizeof(struct dw_slot) * ring->slot_count;
    ring->is_borrowed = arena != NULL;
    ring->bytes = arena ? dw_arena_claim_front(arena) : dw_map(ring->bytes_size);
    ring->slots = arena ? dw_arena_take(arena, slots_size, DW_CACHE_LINE) : dw_alloc_io(slots_size, DW_CACHE_LINE);
    return ring->bytes && ring->slots;
}

int dw_ring_init(struct dw_ring *ring, const struct dw_geometry *geometry, const struct dw_identity *identity,
                 struct dw_arena *arena, uint64_t size, uint64_t next_block)
{
    dw_assert(dw_is_power_of_two(size / geometry->block_size));
    dw_assert(size / geometry->block_size >= DW_RING_SLOTS_MIN);
    dw_assert(size / geometry->block_size * geometry->block_size == size);
    memset(ring, 0, sizeof *ring);
    ring->geometry = *geometry;
    ring->identity = *identity;
    ring->first_block = next_block;
    ring->slot_count = (uint32_t)(size / geometry->block_size);
    ring->slot_mask = ring->slot_count - 1;
    ring->slot_at_mask = (uint64_t)ring->slot_mask * sizeof(struct dw_slot);
    ring->block_payload = geometry->payload_size;
    ring->sector_mask = geometry->sector_size - 1;
    ring->sector_reciprocal = (UINT64_C(1) << 32) / (geometry->sector_size - DW_TAG_SIZE) + 1;
    ring->kick_mask = ring->slot_count / 4 - 1;
    ring->bytes_size = size;
    if (!take_memory(ring, arena)) {
        dw_ring_destroy(ring);
        return -ENOMEM;
    }
    dw_assert(((uintptr_t)ring->bytes & ring->sector_mask) == 0);
    for (uint32_t i = 0; i < ring->slot_count; i++) {
        ring->slots[i].bytes = ring->bytes + (size_t)i * geometry->block_size;
        ring->slots[i].end = ring->slots[i].bytes + geometry->block_size;
    }
    for (uint64_t block = next_block; block < next_block + ring->slot_count; block++)
        slot_prepare(ring, block);
    atomic_init(&ring->tail, dw_lsn_of_block(geometry, next_block));
    atomic_init(&ring->room_end, next_block + ring->slot_count);
    atomic_init(&ring->fast_limit, LIMIT_NONE);
    return 0;
}

void dw_ring_destroy(struct dw_ring *ring)
{
    if (!ring->is_borrowed) {
        dw_unmap(ring->bytes, ring->bytes_size);
        dw_free_io(ring->slots);
    }
    ring->bytes = NULL;
    ring->slots = NULL;
}

/* Zero payload [offset, P) of a block and stamp the tags behind its sectors; whoever filled a sector to its end has stamped
 * the tag there. */
static void pad_block(struct dw_ring *ring, uint64_t block, uint32_t offset)
{
    const struct dw_geometry *g = &ring->geometry;
    uint8_t *bytes = dw_ring_block(ring, block);
    uint32_t tag = dw_ring_slot(ring, block)->tag;
    uint32_t at = dw_byte_of_payload(g, offset);
    memset(bytes + at, 0, g->block_size - at);
    for (uint32_t sector = at / g->sector_size + 1; sector < g->sector_count; sector++)
        memcpy(bytes + sector * g->sector_size, &tag, DW_TAG_SIZE);
}

bool dw_ring_seal(struct dw_ring *ring)
{
    const struct dw_geometry *g = &ring->geometry;
    uint64_t tail = atomic_load_explicit(&ring->tail, memory_order_relaxed);
    for (;;) {
        uint64_t block = dw_block_of_lsn(g, tail);
        uint32_t offset = (uint32_t)(tail - dw_lsn_of_block(g, block));
        /* A reservation larger than the ring may end in a block that has no room yet: then there is nothing to seal. */
        if (offset == 0 || block >= atomic_load_explicit(&ring->room_end, memory_order_relaxed))
            return false;
        /* A failed exchange means that somebody appended meanwhile: look again. */
        if (atomic_compare_exchange_weak_explicit(&ring->tail, &tail, dw_lsn_of_block(g, block + 1),
                                                  memory_order_acq_rel, memory_order_relaxed)) {
            struct dw_slot *slot = dw_ring_slot(ring, block);
            slot->fill = offset;
            pad_block(ring, block, offset);
            /* relaxed: the role itself reads it; the appenders' bytes come with their own release. */
            atomic_fetch_add_explicit(&slot->filled, g->payload_size - offset, memory_order_relaxed);
            return true;
        }
    }
}

void dw_ring_prefetch(struct dw_ring *ring, uint64_t block, uint64_t count)
{
    for (uint64_t end = block + count; block < end; block++) {
        const uint8_t *bytes = dw_ring_block(ring, block);
        __builtin_prefetch(dw_ring_slot(ring, block), 1);
        for (uint32_t at = 0; at < ring->geometry.block_size; at += DW_CACHE_LINE)
            __builtin_prefetch(bytes + at, 0, 2);
    }
}

bool dw_ring_take_markers(struct dw_ring *ring, uint64_t from, uint64_t to)
{
    const struct dw_geometry *g = &ring->geometry;
    dw_assert(to <= atomic_load_explicit(&ring->room_end, memory_order_relaxed));
    uint64_t tail = dw_lsn_of_block(g, from);
    if (!atomic_compare_exchange_strong_explicit(&ring->tail, &tail, dw_lsn_of_block(g, to), memory_order_acq_rel,
                                                 memory_order_relaxed))
        return false;
    for (uint64_t block = from; block < to; block++) {
        struct dw_slot *slot = dw_ring_slot(ring, block);
        slot->fill = 0;
        slot->is_marker = true;
        slot->first_record = DW_FIRST_RECORD_NONE;
        pad_block(ring, block, 0);
        atomic_fetch_add_explicit(&slot->filled, g->payload_size, memory_order_relaxed);
    }
    return true;
}

void dw_ring_release(struct dw_ring *ring, uint64_t from, uint64_t to)
{
    for (uint64_t block = from; block < to; block++)
        slot_prepare(ring, block + ring->slot_count);
    /* release: whoever sees the new end sees the slots prepared (pairs: RING-ROOM). */
    atomic_store_explicit(&ring->room_end, to + ring->slot_count, memory_order_release);
}

void dw_ring_update_limit(struct dw_ring *ring, uint64_t space)
{
    uint64_t seen = atomic_load_explicit(&ring->fast_limit, memory_order_relaxed);
    for (;;) {
        uint64_t room_end = atomic_load_explicit(&ring->room_end, memory_order_acquire); /* pairs: RING-ROOM */
        uint64_t limit = space > DW_RING_SLACK_SIZE ? space - DW_RING_SLACK_SIZE : 0;
        limit = dw_min_u64(limit, dw_lsn_of_block(&ring->geometry, room_end));
        /* Only grows: an older caller must not take back what a newer one gave. */
        if (limit <= seen || seen == LIMIT_CLOSED)
            return;
        /* release: hands on the prepared slots (pairs: RING-ROOM). */
        if (atomic_compare_exchange_weak_explicit(&ring->fast_limit, &seen, limit, memory_order_acq_rel,
                                                  memory_order_relaxed))
            return;
    }
}

void dw_ring_close(struct dw_ring *ring)
{
    /* relaxed: it hands on nothing; those who see it look at the failure itself. */
    atomic_store_explicit(&ring->fast_limit, LIMIT_CLOSED, memory_order_relaxed);
}

/* A copy that neither the compiler nor a race detector looks into, complete before the next load. */
static void copy_opaque(void *target, const void *source, size_t size)
{
#if defined(__x86_64__)
    __asm__ volatile("rep movsb" : "+D"(target), "+S"(source), "+c"(size) : : "memory");
#elif defined(__aarch64__)
    uint64_t scratch;
    __asm__ volatile("1: ldr %3, [%1], #8\n str %3, [%0], #8\n subs %2, %2, #8\n b.ne 1b\n dmb ishld"
                     : "+r"(target), "+r"(source), "+r"(size), "=&r"(scratch)
                     :
                     : "memory", "cc");
#else
// cppcheck-suppress preprocessorErrorDirective ; the two processors above are those that dwal runs on
#error "a copy that is complete before the next load is needed for this processor"
#endif
}

bool dw_ring_copy_block(struct dw_ring *ring, uint64_t block, void *target)
{
    if (block < ring->first_block)
        return false;
    /* The slot belongs to `block` until the tail passes the start of block + slot_count. */
    uint64_t limit = dw_lsn_of_block(&ring->geometry, block + ring->slot_count);
    if (atomic_load_explicit(&ring->tail, memory_order_acquire) > limit)
        return false;
    copy_opaque(target, dw_ring_block(ring, block), ring->geometry.block_size);
    /* acquire; pairs: RING-OVERWRITE. The processor did the copy's loads before this one. */
    return atomic_load_explicit(&ring->tail, memory_order_acquire) <= limit;
}
