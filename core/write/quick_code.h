/* quick_code.h - the shortest way of an append: one piece of data without metadata, into a ring with room.
 *
 * Called by: dwal_append and dwal_commit, any thread, no lock, no system call; included by quick.c and by quick_wide.c, which
 * compile it for two kinds of processor. It is the path that sets how many entries a second one producer can hand over, so it is
 * counted in instructions (perf/instructions), and does nothing that can be known beforehand: the ring keeps the reciprocal of
 * the sector's payload and the address of each block, a stopped log or one open for reading has a limit of 0.
 * Happy path: room? one atomic add gives the lsn; copy with the checksum on the way; header; one atomic add publishes.
 * Data that is longer than one pass is good for has its checksum made before the reservation. Where a tag lies in the way the
 * record is written as if there were none, and what is behind it moves on by a tag's size: all that is the record's own place.
 * Everything else goes to append.c: metadata, several pieces, a lack of room. All ways write the same bytes. */
#ifndef DW_CORE_WRITE_QUICK_CODE_H
#define DW_CORE_WRITE_QUICK_CODE_H

#include "core/write/append.h"
#include "core/write/copy.h"
#include "core/write/pen.h"

/* No canaries on the stack of these: the one array is written by constant sizes, all else lies in the ring. */
#define QUICK_OUT_OF_LINE static __attribute__((noinline, no_stack_protector))

/* A record of any length at its reserved place, which has room: over blocks, or with a header that is cut. */
QUICK_OUT_OF_LINE int put_record(struct dw_writer *writer, const struct dwal_entry *entry, uint32_t data_crc,
                                 uint64_t lsn)
{
    const struct iovec *part = entry->data;
    struct dw_pen pen;
    bool is_good = dw_pen_open(&pen, writer, lsn, true);
    if (DW_LIKELY((~(uintptr_t)pen.at & writer->ring.sector_mask) >= DW_RECORD_HEADER_SIZE)) {
        dw_record_header_put(pen.at, &writer->ring.identity, lsn, data_crc, (uint32_t)part->iov_len, entry->user);
        pen.at += DW_RECORD_HEADER_SIZE;
        pen.room -= DW_RECORD_HEADER_SIZE;
        pen.record_left = part->iov_len;
        pen.unpublished = DW_SLOT_RECORD + DW_RECORD_HEADER_SIZE;
    } else {
        uint8_t header[DW_RECORD_HEADER_SIZE];
        dw_record_header_put(header, &writer->ring.identity, lsn, data_crc, (uint32_t)part->iov_len, entry->user);
        pen.record_left = sizeof header + part->iov_len;
        pen.unpublished = DW_SLOT_RECORD;
        is_good = is_good && dw_pen_put(&pen, header, sizeof header);
    }
    is_good = is_good && dw_pen_put(&pen, part->iov_base, part->iov_len);
    dw_assert(is_good); /* nothing was waited for */
    dw_pen_end_record(&pen);
    dw_pen_publish(&pen);
    return 0;
}

/* Long data: the checksum before the reservation, so that nobody waits for it. */
QUICK_OUT_OF_LINE int append_long(struct dw_writer *writer, const struct dwal_entry *entry, uint64_t *lsn_out,
                                  uint64_t *end_out)
{
    struct dw_ring *ring = &writer->ring;
    const struct iovec *part = entry->data;
    if (DW_UNLIKELY(part->iov_len > DW_RING_FAST_MAX - DW_RECORD_HEADER_SIZE))
        return dw_writer_append(writer, entry, 1, DW_APPEND_WAIT, lsn_out, end_out);
    uint32_t data_crc = dw_crc32c(0, part->iov_base, part->iov_len);
    uint64_t size = DW_RECORD_HEADER_SIZE + part->iov_len;
    uint64_t limit = atomic_load_explicit(&ring->fast_limit, memory_order_acquire); /* pairs: RING-ROOM */
    if (DW_UNLIKELY(atomic_load_explicit(&ring->tail, memory_order_relaxed) + size > limit))
        return dw_writer_append(writer, entry, 1, DW_APPEND_WAIT, lsn_out, end_out);
    uint64_t lsn = atomic_fetch_add_explicit(&ring->tail, size, memory_order_acq_rel); /* pairs: RING-OVERWRITE */
    if (lsn_out)
        *lsn_out = lsn;
    if (end_out)
        *end_out = lsn + size;
    if (DW_UNLIKELY(lsn + size > limit))
        return dw_append_reserved(writer, entry, data_crc, lsn, false);
    struct dw_ring_place place = dw_ring_place_of(ring, lsn);
    /* The header not cut, and the block not full behind it. */
    if (DW_UNLIKELY(size >= place.room || (~place.byte & ring->sector_mask) < DW_RECORD_HEADER_SIZE))
        return put_record(writer, entry, data_crc, lsn);
    struct dw_slot *slot = dw_ring_slot(ring, place.block);
    uint8_t *at = slot->bytes + place.byte;
    dw_record_header_put(at, &ring->identity, lsn, data_crc, (uint32_t)part->iov_len, entry->user);
    at = dw_copy_over_tags(at + DW_RECORD_HEADER_SIZE, part->iov_base, part->iov_len, slot->tag, ring->sector_mask);
    if (((uintptr_t)at & ring->sector_mask) == 0)
        memcpy(at, &slot->tag, DW_TAG_SIZE);
    /* release; pairs: BLOCK-FILLED. */
    atomic_fetch_add_explicit(&slot->filled, DW_SLOT_RECORD | size, memory_order_release);
    return 0;
}

/* Short data at `to`, its record's header at `at`. What can be known of the header before the data is: fewer registers are held. */
DW_INLINE void put_with_crc(uint8_t *at, uint8_t *to, const struct dw_ring *ring, const struct dwal_entry *entry,
                            const uint8_t *from, size_t length, uint64_t lsn)
{
    struct dw_record_head head = dw_record_head_begin(at, &ring->identity, lsn, length, entry->user);
    dw_record_head_end(at, head, dw_copy_with_crc(to, from, length));
}

/* Short data whose header is cut by a tag, after `left` bytes. */
QUICK_OUT_OF_LINE int put_cut(struct dw_ring *ring, const struct dwal_entry *entry, uint64_t lsn, struct dw_slot *slot,
                              uint8_t *at, size_t left)
{
    uint8_t header[DW_RECORD_HEADER_SIZE];
    put_with_crc(header, at + sizeof header + DW_TAG_SIZE, ring, entry, entry->data->iov_base, entry->data->iov_len,
                 lsn);
    dw_copy_few(at, header, left);
    memcpy(at + left, &slot->tag, DW_TAG_SIZE);
    dw_copy_few(at + left + DW_TAG_SIZE, header + left, sizeof header - left);
    /* release; pairs: BLOCK-FILLED. */
    atomic_fetch_add_explicit(&slot->filled, DW_SLOT_RECORD + sizeof header + entry->data->iov_len,
                              memory_order_release);
    return 0;
}

/* Short data whose record reaches the end of its sector, or goes on behind it. */
QUICK_OUT_OF_LINE int put_across(struct dw_writer *writer, const struct dwal_entry *entry, uint64_t lsn, uint64_t block,
                                 size_t byte)
{
    struct dw_ring *ring = &writer->ring;
    const struct iovec *part = entry->data;
    const uint8_t *from = part->iov_base;
    size_t size = DW_RECORD_HEADER_SIZE + part->iov_len;
    size_t sector_end = (byte | ring->sector_mask) + 1;
    size_t left = sector_end - byte;
    if (DW_UNLIKELY(sector_end == ring->geometry.block_size))
        return put_record(writer, entry, dw_crc32c_short(0, part->iov_base, part->iov_len), lsn);
    struct dw_slot *slot = dw_ring_slot(ring, block);
    uint8_t *at = slot->bytes + byte;
    if (DW_UNLIKELY(left < DW_RECORD_HEADER_SIZE))
        return put_cut(ring, entry, lsn, slot, at, left);
    put_with_crc(at, at + DW_RECORD_HEADER_SIZE, ring, entry, from, size - DW_RECORD_HEADER_SIZE, lsn);
    uint8_t *tag = at + left;
    dw_copy_short(tag + DW_TAG_SIZE, from + (left - DW_RECORD_HEADER_SIZE), size - left);
    memcpy(tag, &slot->tag, DW_TAG_SIZE);
    /* release; pairs: BLOCK-FILLED. */
    atomic_fetch_add_explicit(&slot->filled, DW_SLOT_RECORD | size, memory_order_release);
    return 0;
}

/* There was room before the addition, and now there is not: others came in between. */
QUICK_OUT_OF_LINE int put_late(struct dw_writer *writer, const struct dwal_entry *entry, uint64_t lsn)
{
    uint32_t data_crc = dw_crc32c(0, entry->data->iov_base, entry->data->iov_len);
    return dw_append_reserved(writer, entry, data_crc, lsn, false);
}

DW_INLINE int append_quick(struct dw_writer *writer, const struct dwal_entry *entry, uint64_t *lsn_out,
                           uint64_t *end_out)
{
    struct dw_ring *ring = &writer->ring;
    const struct iovec *part = entry->data;
    if (DW_UNLIKELY(entry->metadata_count != 0 || entry->data_count != 1 || part == NULL))
        return dw_writer_append(writer, entry, 1, DW_APPEND_WAIT, lsn_out, end_out);
    size_t length = part->iov_len;
    if (length > writer->one_pass_max)
        return append_long(writer, entry, lsn_out, end_out);
    uint64_t size = DW_RECORD_HEADER_SIZE + length;
    uint64_t limit = atomic_load_explicit(&ring->fast_limit, memory_order_acquire); /* pairs: RING-ROOM */
    if (DW_UNLIKELY(atomic_load_explicit(&ring->tail, memory_order_relaxed) + size > limit))
        return dw_writer_append(writer, entry, 1, DW_APPEND_WAIT, lsn_out, end_out);
    uint64_t lsn = atomic_fetch_add_explicit(&ring->tail, size, memory_order_acq_rel); /* pairs: RING-OVERWRITE */
    uint64_t end = lsn + size;
    if (lsn_out)
        *lsn_out = lsn;
    if (end_out)
        *end_out = end;
    if (DW_UNLIKELY(end > limit))
        return put_late(writer, entry, lsn);
    struct dw_ring_place place = dw_ring_place_of(ring, lsn);
    if (DW_UNLIKELY(size > (~place.byte & ring->sector_mask))) /* it reaches the sector's last byte */
        return put_across(writer, entry, lsn, place.block, place.byte);
    struct dw_slot *slot = dw_ring_slot(ring, place.block);
    uint8_t *at = slot->bytes + place.byte;
    put_with_crc(at, at + DW_RECORD_HEADER_SIZE, ring, entry, part->iov_base, length, lsn);
    /* release; pairs: BLOCK-FILLED. */
    atomic_fetch_add_explicit(&slot->filled, DW_SLOT_RECORD | size, memory_order_release);
    return 0;
}

#endif
