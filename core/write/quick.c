/* quick.c - the shortest way of an append: one short piece of data, into a block with room.
 *
 * Called by: dwal_append and dwal_commit, any thread, no lock, no system call, no call of any function on the straight
 * way. It is the path that sets how many entries a second one producer can hand over, so it is counted in instructions
 * (perf/instructions), and does nothing that can be known beforehand: the ring keeps the reciprocal of the sector's
 * payload, a stopped log or one open for reading has a limit of 0, and checksum and copy are one pass over the bytes.
 * Happy path: room? one atomic add gives the lsn; copy with the checksum on the way; header; one atomic add publishes.
 * Everything else goes to append.c: metadata, several pieces, long data and a lack of room before the reservation, a tag
 * or a block's end in the way after it. Both ways write the same bytes. */
#include <string.h>

#include "core/format/crc32c.h"
#include "core/write/append.h"

/* Positions here count payload from the end of a block's first tag, so that sectors are alike: this is payload byte 0. */
#define FIRST_Q (DW_BLOCK_HEADER_SIZE - DW_TAG_SIZE)

/* Copy and checksum `size` bytes, few of them, in one pass. */
DW_INLINE uint32_t copy_with_crc(uint8_t *to, const uint8_t *from, size_t size)
{
#if DW_CRC32C_INSTRUCTION
    uint64_t crc = UINT32_MAX;
    const uint8_t *stop = from + (size & ~(size_t)63);
    for (; from != stop; from += 64, to += 64) {
#pragma GCC unroll 8
        for (unsigned at = 0; at < 64; at += 8)
            crc = DW_CRC32C_8(crc, dw_crc32c_load(from + at));
        memcpy(to, from, 64);
    }
    stop += size & 56;
    for (; from != stop; from += 8, to += 8) {
        uint64_t word = dw_crc32c_load(from);
        crc = DW_CRC32C_8(crc, word);
        memcpy(to, &word, sizeof word);
    }
    uint32_t last = (uint32_t)crc;
    stop += size & 7;
    for (; from != stop; from++, to++) {
        *to = *from;
        last = DW_CRC32C_1(last, *to);
    }
    return ~last;
#else
    memcpy(to, from, size);
    return dw_crc32c(0, from, size);
#endif
}

/* Nearly as short: a tag lies in the record's way, or it starts or ends a block. At most one tag: `size` is below the payload
 * of a sector. */
static __attribute__((noinline, no_stack_protector)) int put_across(struct dw_ring *ring,
                                                                    const struct dwal_entry *entry, uint32_t data_crc,
                                                                    uint64_t lsn, uint64_t block, uint64_t q)
{
    const struct iovec *part = entry->data;
    struct dw_slot *slot = dw_ring_slot(ring, block);
    uint64_t sector = q * ring->sector_reciprocal >> 32;
    size_t left = (sector + 1) * ring->sector_payload - q; /* of this sector */
    size_t size = DW_RECORD_HEADER_SIZE + part->iov_len;
    uint8_t *at = dw_ring_block(ring, block) + q + DW_TAG_SIZE + DW_TAG_SIZE * sector;
    const uint8_t *from = part->iov_base;
    if (left == ring->sector_payload)
        memcpy(at - DW_TAG_SIZE, &slot->tag, DW_TAG_SIZE);
    if (q == FIRST_Q)
        slot->first_record = 0;
    if (q + size == ring->payload_limit)
        slot->is_record_end = true;
    if (left < size)
        memcpy(at + left, &slot->tag, DW_TAG_SIZE);
    if (DW_LIKELY(left >= DW_RECORD_HEADER_SIZE)) {
        size_t first = left < size ? left - DW_RECORD_HEADER_SIZE : part->iov_len;
        dw_record_header_put(at, &ring->identity, lsn, data_crc, (uint32_t)part->iov_len, entry->user);
        memcpy(at + DW_RECORD_HEADER_SIZE, from, first);
        memcpy(at + DW_RECORD_HEADER_SIZE + first + DW_TAG_SIZE, from + first, part->iov_len - first);
    } else {
        uint8_t header[DW_RECORD_HEADER_SIZE];
        dw_record_header_put(header, &ring->identity, lsn, data_crc, (uint32_t)part->iov_len, entry->user);
        memcpy(at, header, left);
        memcpy(at + left + DW_TAG_SIZE, header + left, sizeof header - left);
        memcpy(at + sizeof header + DW_TAG_SIZE, from, part->iov_len);
    }
    /* release; pairs: BLOCK-FILLED. */
    atomic_fetch_add_explicit(&slot->filled, DW_SLOT_RECORD + size, memory_order_release);
    return 0;
}

/* The straight way. is_short is a constant where this is used: each length gets code without the other's calls. */
DW_INLINE int append_straight(struct dw_writer *writer, const struct dwal_entry *entry, uint64_t *lsn_out,
                              uint64_t *end_out, bool is_short)
{
    struct dw_ring *ring = &writer->ring;
    const struct iovec *part = entry->data;
    uint64_t size = DW_RECORD_HEADER_SIZE + part->iov_len;
    uint64_t limit = atomic_load_explicit(&ring->fast_limit, memory_order_acquire); /* pairs: RING-ROOM */
    if (DW_UNLIKELY(atomic_load_explicit(&ring->tail, memory_order_relaxed) + size > limit))
        return dw_writer_append(writer, entry, 1, DW_APPEND_WAIT, lsn_out, end_out);
    uint32_t data_crc = is_short ? 0 : dw_crc32c(0, part->iov_base, part->iov_len);
    uint64_t lsn = atomic_fetch_add_explicit(&ring->tail, size, memory_order_acq_rel); /* pairs: RING-OVERWRITE */
    uint64_t end = lsn + size;
    if (lsn_out)
        *lsn_out = lsn;
    if (end_out)
        *end_out = end;
    uint64_t block = lsn / ring->geometry.payload_size;
    uint64_t q = lsn % ring->geometry.payload_size + FIRST_Q;
    uint64_t sector = q * ring->sector_reciprocal >> 32;
    uint64_t within = q - sector * ring->sector_payload;
    /* Strictly inside of one sector's payload, that is: no tag to stamp, no first record or record's end to note. */
    if (DW_UNLIKELY(end > limit || q == FIRST_Q || within - 1 >= ring->sector_payload - size - 1)) {
        if (is_short)
            data_crc = dw_crc32c_short(0, part->iov_base, part->iov_len);
        if (DW_UNLIKELY(end > limit || q + size > ring->payload_limit))
            return dw_append_reserved(writer, entry, data_crc, lsn, end <= limit);
        return put_across(ring, entry, data_crc, lsn, block, q);
    }
    struct dw_slot *slot = dw_ring_slot(ring, block);
    uint8_t *at = dw_ring_block(ring, block) + q + DW_TAG_SIZE + DW_TAG_SIZE * sector;
    if (is_short)
        data_crc = copy_with_crc(at + DW_RECORD_HEADER_SIZE, part->iov_base, part->iov_len);
    else
        memcpy(at + DW_RECORD_HEADER_SIZE, part->iov_base, part->iov_len);
    dw_record_header_put(at, &ring->identity, lsn, data_crc, (uint32_t)part->iov_len, entry->user);
    /* release; pairs: BLOCK-FILLED. */
    atomic_fetch_add_explicit(&slot->filled, DW_SLOT_RECORD + size, memory_order_release);
    return 0;
}

/* No canaries on the stack: there is no array here, and everything written to is in the ring. */
__attribute__((no_stack_protector)) int dw_append_short(struct dw_writer *writer, const struct dwal_entry *entry,
                                                        uint64_t *lsn, uint64_t *end)
{
    return append_straight(writer, entry, lsn, end, true);
}

__attribute__((no_stack_protector)) int dw_append_longer(struct dw_writer *writer, const struct dwal_entry *entry,
                                                         uint64_t *lsn, uint64_t *end)
{
    return append_straight(writer, entry, lsn, end, false);
}
