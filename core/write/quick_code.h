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

/* No canaries on the stack of these: the one array is small, and written within bounds that stand beside it. */
#if defined(__clang__)
#define QUICK_OUT_OF_LINE static __attribute__((noinline, no_stack_protector))
#else /* gcc would pass more arguments than there are registers for, and could not jump there any more */
#define QUICK_OUT_OF_LINE static __attribute__((noipa, no_stack_protector))
#endif

/* A record of any length at its reserved place, which has room, with a tag or a block's end in its header or right behind. */
QUICK_OUT_OF_LINE int put_record(struct dw_writer *writer, const struct dwal_entry *entry, uint32_t data_crc,
                                 uint64_t lsn)
{
    const struct iovec *part = entry->data;
    struct dw_pen pen;
    bool is_good = dw_pen_open(&pen, writer, lsn, true);
    uint8_t header[DW_RECORD_HEADER_SIZE];
    dw_record_header_put(header, &writer->ring.identity, lsn, data_crc, (uint32_t)part->iov_len, entry->user);
    pen.record_left = sizeof header + part->iov_len;
    pen.unpublished = DW_SLOT_RECORD;
    is_good = is_good && dw_pen_put(&pen, header, sizeof header) && dw_pen_put(&pen, part->iov_base, part->iov_len);
    dw_assert(is_good); /* nothing was waited for */
    dw_pen_end_record(&pen);
    dw_pen_publish(&pen);
    return 0;
}

/* A record whose header is whole in its sector, and has room there behind it unless the block ends with it. It may reach the end of
 * the block, or go on behind it. */
QUICK_OUT_OF_LINE int put_over_blocks(struct dw_writer *writer, const struct dwal_entry *entry, uint32_t data_crc,
                                      uint64_t lsn, struct dw_slot *slot, uint8_t *at)
{
    struct dw_ring *ring = &writer->ring;
    const uint8_t *from = entry->data->iov_base;
    size_t left = entry->data->iov_len, room = ring->block_payload - lsn % ring->block_payload;
    dw_record_header_put(at, &ring->identity, lsn, data_crc, (uint32_t)left, entry->user);
    at += DW_RECORD_HEADER_SIZE;
    uint64_t next = lsn + room, fills = DW_SLOT_RECORD + DW_RECORD_HEADER_SIZE; /* beside the data */
    for (room -= DW_RECORD_HEADER_SIZE; left >= room; room = ring->block_payload, next += room) {
        (void)dw_copy_over_tags(at, from, room, slot->tag, ring->sector_mask);
        from += room;
        left -= room;
        if (left == 0)
            slot->is_record_end = true;
        /* release; pairs: BLOCK-FILLED. */
        atomic_fetch_add_explicit(&slot->filled, fills + room, memory_order_release);
        if (left == 0)
            return 0;
        slot = dw_ring_next_slot(ring, slot);
        slot->first_record = left < ring->block_payload ? (uint32_t)left : DW_FIRST_RECORD_NONE;
        if (DW_UNLIKELY(((size_t)(slot - ring->slots) & ring->kick_mask) == 0)) /* as a pen does */
            dw_writer_flush(writer, next);
        at = slot->bytes + DW_BLOCK_HEADER_SIZE;
        fills = 0;
    }
    at = dw_copy_over_tags(at, from, left, slot->tag, ring->sector_mask);
    if (((uintptr_t)at & ring->sector_mask) == 0)
        memcpy(at, &slot->tag, DW_TAG_SIZE);
    /* release; pairs: BLOCK-FILLED. */
    atomic_fetch_add_explicit(&slot->filled, fills + left, memory_order_release);
    return 0;
}

/* Long data: the checksum before the reservation, so that nobody waits for it. */
QUICK_OUT_OF_LINE int append_long(struct dw_writer *writer, const struct dwal_entry *entry, uint64_t *lsn_out,
                                  uint64_t *end_out)
{
    struct dw_ring *ring = &writer->ring;
    const struct iovec *part = entry->data;
    size_t length = part->iov_len;
    if (DW_UNLIKELY(length > DW_RING_FAST_MAX - DW_RECORD_HEADER_SIZE))
        return dw_writer_append(writer, entry, 1, DW_APPEND_WAIT, lsn_out, end_out);
    uint32_t data_crc = dw_crc32c(0, part->iov_base, length);
    uint64_t size = DW_RECORD_HEADER_SIZE + length;
    int64_t last_start = dw_ring_last_start(ring, size);
    if (DW_UNLIKELY((int64_t)atomic_load_explicit(&ring->tail, memory_order_relaxed) > last_start))
        return dw_writer_append(writer, entry, 1, DW_APPEND_WAIT, lsn_out, end_out);
    uint64_t lsn = atomic_fetch_add_explicit(&ring->tail, size, memory_order_acq_rel); /* pairs: RING-OVERWRITE */
    if (lsn_out)
        *lsn_out = lsn;
    if (end_out)
        *end_out = lsn + size;
    if (DW_UNLIKELY((int64_t)lsn > last_start))
        return dw_append_reserved(writer, entry, data_crc, lsn, false);
    struct dw_ring_place place = dw_ring_place_of(ring, lsn);
    struct dw_slot *slot = dw_ring_slot(ring, place.block);
    uint8_t *at = slot->bytes + place.byte;
    if (DW_UNLIKELY((~(uintptr_t)at & ring->sector_mask) < DW_RECORD_HEADER_SIZE)) /* a tag in it, or right behind */
        return put_record(writer, entry, data_crc, lsn);
    if (size >= place.room || ring->sector_mask != DW_COPY_SECTOR + DW_TAG_SIZE - 1)
        return put_over_blocks(writer, entry, data_crc, lsn, slot, at);
    dw_record_header_put(at, &ring->identity, lsn, data_crc, (uint32_t)length, entry->user);
    at = dw_copy_over_near_tags(at + DW_RECORD_HEADER_SIZE, part->iov_base, length, slot->tag);
    if (((uintptr_t)at & (DW_COPY_SECTOR + DW_TAG_SIZE - 1)) == 0)
        memcpy(at, &slot->tag, DW_TAG_SIZE);
    /* release; pairs: BLOCK-FILLED. */
    atomic_fetch_add_explicit(&slot->filled, DW_SLOT_RECORD | size, memory_order_release);
    return 0;
}

/* A record of fewer than 32 bytes in front of its sector's end, its header begun with the checksum `head`. */
QUICK_OUT_OF_LINE int put_few(struct dw_slot *slot, uint64_t head, size_t length, const uint8_t *from, uint8_t *at)
{
    dw_record_head_end(at, head, dw_copy_few_with_crc(at + DW_RECORD_HEADER_SIZE, from, length));
    /* release; pairs: BLOCK-FILLED. */
    atomic_fetch_add_explicit(&slot->filled, DW_SLOT_RECORD + DW_RECORD_HEADER_SIZE + length, memory_order_release);
    return 0;
}

/* Data of at least 32 bytes, or none, right behind its header at `at`, which is begun with the checksum `head`. Returns the end, and
 * that of what it copied in `from_end`. */
DW_INLINE uint8_t *put_data(uint8_t *at, uint64_t head, const uint8_t *from, size_t length, const uint8_t **from_end)
{
    uint64_t crc = UINT32_MAX;
    __asm__("" : "+r"(crc)); /* or else each word starts with code of its own for a crc that is known */
    if (length % 32 != 0)
        crc = dw_copy_odd_with_crc(at + DW_RECORD_HEADER_SIZE, from, length, crc);
    __asm__("" : "+r"(length)); /* or else the ends are computed before, and there are too few registers */
    uint8_t *end = at + (DW_RECORD_HEADER_SIZE + length);
    *from_end = from + length;
    crc = dw_copy_words_with_crc(end, *from_end, length / 8, crc);
    dw_record_head_end(at, head, ~(uint32_t)crc);
    return end;
}

/* Short data whose record reaches the end of its block, or goes on behind it. */
QUICK_OUT_OF_LINE int put_at_end(struct dw_writer *writer, const struct dwal_entry *entry, uint64_t lsn,
                                 struct dw_slot *slot, uint8_t *at)
{
    uint32_t data_crc = dw_crc32c_short(0, entry->data->iov_base, entry->data->iov_len);
    if (DW_UNLIKELY((size_t)(slot->end - at) < DW_RECORD_HEADER_SIZE))
        return put_record(writer, entry, data_crc, lsn);
    return put_over_blocks(writer, entry, data_crc, lsn, slot, at);
}

/* Short data with a tag in the way, after `left` bytes, in the header or in fewer than 32 bytes. */
QUICK_OUT_OF_LINE int put_cut(struct dw_writer *writer, const struct dwal_entry *entry, uint64_t lsn,
                              struct dw_slot *slot, uint8_t *at, size_t left)
{
    uint8_t whole[DW_RECORD_HEADER_SIZE + 32]; /* what stands on both sides of the tag */
    size_t length = entry->data->iov_len, whole_size = DW_RECORD_HEADER_SIZE;
    uint64_t head = dw_record_head_begin(whole, &writer->ring.identity, lsn, length, entry->user);
    uint32_t data_crc;
    if (length < 32) {
        data_crc = dw_copy_few_with_crc(whole + whole_size, entry->data->iov_base, length);
        whole_size += length;
    } else {
        data_crc = dw_copy_with_crc(at + whole_size + DW_TAG_SIZE, entry->data->iov_base, length);
    }
    dw_record_head_end(whole, head, data_crc);
    dw_copy_64(at, whole, left);
    memcpy(at + left, &slot->tag, DW_TAG_SIZE);
    dw_copy_64(at + left + DW_TAG_SIZE, whole + left, whole_size - left);
    dw_copy_end();
    /* release; pairs: BLOCK-FILLED. */
    atomic_fetch_add_explicit(&slot->filled, DW_SLOT_RECORD + DW_RECORD_HEADER_SIZE + length, memory_order_release);
    return 0;
}

/* Short data whose record reaches the end of its sector, or goes on behind it. */
QUICK_OUT_OF_LINE int put_across(struct dw_writer *writer, const struct dwal_entry *entry, uint64_t lsn,
                                 struct dw_slot *slot, uint8_t *at)
{
    struct dw_ring *ring = &writer->ring;
    const struct iovec *part = entry->data;
    size_t left = (~(uintptr_t)at & ring->sector_mask) + 1;
    uint8_t *tag = at + left;
    if (DW_UNLIKELY(tag == slot->end))
        return put_at_end(writer, entry, lsn, slot, at);
    size_t length = part->iov_len;
    if (DW_UNLIKELY(left < DW_RECORD_HEADER_SIZE || length < 32))
        return put_cut(writer, entry, lsn, slot, at, left);
    const uint8_t *from = part->iov_base;
    uint64_t head = dw_record_head_begin(at, &ring->identity, lsn, length, entry->user);
    uint8_t *end = put_data(at, head, from, length, &from);
    __asm__("" : "+r"(end)); /* or else it is kept in three registers: where it is, and how far behind two places */
    size_t behind = (size_t)(end - tag);
    dw_copy_behind(tag + DW_TAG_SIZE, from - behind, behind);
    memcpy(tag, &slot->tag, DW_TAG_SIZE);
    dw_copy_end();
    /* release; pairs: BLOCK-FILLED. */
    atomic_fetch_add_explicit(&slot->filled, DW_SLOT_RECORD + (size_t)(end - at), memory_order_release);
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
    int64_t last_start = dw_ring_last_start(ring, size);
    if (DW_UNLIKELY((int64_t)atomic_load_explicit(&ring->tail, memory_order_relaxed) > last_start))
        return dw_writer_append(writer, entry, 1, DW_APPEND_WAIT, lsn_out, end_out);
    uint64_t lsn = atomic_fetch_add_explicit(&ring->tail, size, memory_order_acq_rel); /* pairs: RING-OVERWRITE */
    if (lsn_out)
        *lsn_out = lsn;
    if (end_out)
        *end_out = lsn + size;
    if (DW_UNLIKELY((int64_t)lsn > last_start))
        return put_late(writer, entry, lsn);
    struct dw_ring_place place = dw_ring_place_of(ring, lsn);
    struct dw_slot *slot = dw_ring_slot(ring, place.block);
    uint8_t *at = slot->bytes + place.byte;
    if (DW_UNLIKELY(size > (~(uintptr_t)at & ring->sector_mask))) /* it reaches the sector's last byte */
        return put_across(writer, entry, lsn, slot, at);
    const uint8_t *from = entry->data->iov_base;
    uint64_t head = dw_record_head_begin(at, &ring->identity, lsn, length, entry->user);
    if (length % 32 != 0 && length < 32)
        return put_few(slot, head, length, from, at);
    (void)put_data(at, head, from, length, &from);
    dw_copy_end();
    /* release; pairs: BLOCK-FILLED. */
    atomic_fetch_add_explicit(&slot->filled, DW_SLOT_RECORD | size, memory_order_release);
    return 0;
}

#endif
