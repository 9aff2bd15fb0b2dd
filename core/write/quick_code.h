/* quick_code.h - the shortest way of an append: one piece of data without metadata, into a ring with room.
 *
 * Called by: dwal_append and dwal_commit, any thread, no lock, no system call; included by quick.c and by quick_wide.c, which
 * compile it for two kinds of processor. It is the path that sets how many entries a second one producer can hand over, so it is
 * counted in instructions (perf/instructions), and does nothing that can be known beforehand: the ring keeps the reciprocal of
 * the sector's payload and the address of each block, a stopped log or one open for reading has a limit of 0.
 * Happy path: room? one atomic add gives the lsn; copy with the checksum on the way; header; one atomic add publishes.
 * Data that is longer than one pass is good for has its checksum made before the reservation. Where a sector ends in short data
 * that is written as if none did, and then the smaller side where it belongs: both are in the record's own place.
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

/* Of a record with fewer bytes than these in front of a sector's end no more stands there than its header and 32 bytes. With as many,
 * one of short data does not get to the end of the next sector, nor has it fewer than 32 bytes. */
#define QUICK_LEFT_MIN (DW_RECORD_HEADER_SIZE + 32 + 1)

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

/* Copy to `at` in one block, stepping over the tags and stamping them, up to the end of `left` bytes or to the end of the block, which
 * has room for `room` bytes in front of the next tag. Returns NULL when all is copied and does not reach the block's end; else where
 * the rest begins. `sector_mask` is known beforehand for sectors of 512 bytes. */
DW_INLINE const uint8_t *copy_to_end(const struct dw_slot *slot, uint8_t *at, const uint8_t *from, size_t room,
                                     size_t *left, size_t sector_mask)
{
    if (*left >= room) {
        dw_copy_any(at, from, room, sector_mask);
        for (;;) {
            at += room;
            from += room;
            *left -= room;
            __asm__("" : "+r"(*left)); /* or else it is kept in two registers, before and after */
            if (at == slot->end)
                return from;
            memcpy(at, &slot->tag, DW_TAG_SIZE);
            at += DW_TAG_SIZE;
            room = sector_mask + 1 - DW_TAG_SIZE;
            if (*left < room)
                break;
            dw_copy_payload(at, from, sector_mask);
        }
    }
    dw_copy_any(at, from, *left, sector_mask);
    return NULL;
}

/* A quarter of the ring was filled, up to the lsn `end`: let the flusher go on beside us. */
QUICK_OUT_OF_LINE int call_flusher(struct dw_writer *writer, uint64_t end)
{
    dw_writer_flush(writer, end);
    return 0;
}

/* Is the block behind it the first of a quarter of the ring, at whose start the flusher is called? So it is at the ring's start. */
DW_INLINE bool begins_quarter(const struct dw_ring *ring, const struct dw_slot *slot)
{
    return ((size_t)(slot + 1 - ring->slots) & ring->kick_mask) == 0;
}

/* A record has got to the end of the block of `slot`: publish that and go on with the `left` bytes of its data at `from` in the next ones. */
DW_INLINE int go_on(struct dw_writer *writer, const struct dwal_entry *entry, struct dw_slot *slot, const uint8_t *from,
                    size_t left, size_t sector_mask)
{
    struct dw_ring *ring = &writer->ring;
    uint64_t fills = (DW_SLOT_RECORD | (DW_RECORD_HEADER_SIZE + entry->data->iov_len)) - left, kick = 0;
    for (;;) {
        if (left == 0)
            slot->is_record_end = true;
        /* release; pairs: BLOCK-FILLED. */
        atomic_fetch_add_explicit(&slot->filled, fills, memory_order_release);
        if (left == 0)
            break;
        if (DW_UNLIKELY(begins_quarter(ring, slot))) {
            slot = dw_ring_next_slot(ring, slot);
            kick = slot->lsn;
        } else {
            slot++;
        }
        slot->first_record = DW_LIKELY(left < ring->block_payload) ? (uint32_t)left : DW_FIRST_RECORD_NONE;
        fills = left;
        from = copy_to_end(slot, slot->bytes + DW_BLOCK_HEADER_SIZE, from, sector_mask + 1 - DW_BLOCK_HEADER_SIZE,
                           &left, sector_mask);
        if (!from) {
            /* release; pairs: BLOCK-FILLED. */
            atomic_fetch_add_explicit(&slot->filled, fills, memory_order_release);
            break;
        }
        fills -= left;
    }
    dw_copy_end();
    return DW_UNLIKELY(kick != 0) ? call_flusher(writer, kick) : 0;
}
QUICK_OUT_OF_LINE int go_on_near(struct dw_writer *writer, const struct dwal_entry *entry, struct dw_slot *slot,
                                 const uint8_t *from, size_t left)
{
    return go_on(writer, entry, slot, from, left, DW_COPY_SECTOR_MASK);
}
QUICK_OUT_OF_LINE int go_on_far(struct dw_writer *writer, const struct dwal_entry *entry, struct dw_slot *slot,
                                const uint8_t *from, size_t left)
{
    return go_on(writer, entry, slot, from, left, writer->ring.sector_mask);
}

/* The data of a record of any length, with `room` bytes in front of the next tag. */
DW_INLINE int put_rest(struct dw_writer *writer, const struct dwal_entry *entry, struct dw_slot *slot, uint8_t *at,
                       const uint8_t *from, size_t left, size_t room, size_t sector_mask)
{
    from = copy_to_end(slot, at, from, room, &left, sector_mask);
    if (from)
        return (sector_mask == DW_COPY_SECTOR_MASK ? go_on_near : go_on_far)(writer, entry, slot, from, left);
    dw_copy_end();
    __asm__("" : "+r"(entry)); /* or else the size is kept in a register that has to be saved */
    /* release; pairs: BLOCK-FILLED. */
    atomic_fetch_add_explicit(&slot->filled, DW_SLOT_RECORD | (DW_RECORD_HEADER_SIZE + entry->data->iov_len),
                              memory_order_release);
    return 0;
}

/* A record of any length whose sector of 512 bytes ends in its header. */
QUICK_OUT_OF_LINE int put_headless(struct dw_writer *writer, const struct dwal_entry *entry, struct dw_slot *slot,
                                   uint8_t *at, uint64_t lsn, uint32_t data_crc)
{
    uint8_t header[DW_RECORD_HEADER_SIZE];
    size_t left = (~(uintptr_t)at & DW_COPY_SECTOR_MASK) + 1;
    if (at + left == slot->end)
        return put_record(writer, entry, data_crc, lsn);
    dw_record_header_put(header, &writer->ring.identity, lsn, data_crc, (uint32_t)entry->data->iov_len, entry->user);
    dw_copy_few(at, header, left);
    memcpy(at + left, &slot->tag, DW_TAG_SIZE);
    dw_copy_few(at + left + DW_TAG_SIZE, header + left, DW_RECORD_HEADER_SIZE - left);
    return put_rest(writer, entry, slot, at + DW_RECORD_HEADER_SIZE + DW_TAG_SIZE, entry->data->iov_base,
                    entry->data->iov_len, DW_COPY_SECTOR - DW_RECORD_HEADER_SIZE + left, DW_COPY_SECTOR_MASK);
}

/* A record of any length whose sector of 512 bytes ends in its header or near it. */
QUICK_OUT_OF_LINE int put_close(struct dw_writer *writer, const struct dwal_entry *entry, struct dw_slot *slot,
                                uint8_t *at, uint64_t lsn, uint32_t data_crc)
{
    size_t left = (~(uintptr_t)at & DW_COPY_SECTOR_MASK) + 1;
    if (left < DW_RECORD_HEADER_SIZE)
        return put_headless(writer, entry, slot, at, lsn, data_crc);
    dw_record_header_put(at, &writer->ring.identity, lsn, data_crc, (uint32_t)entry->data->iov_len, entry->user);
    return put_rest(writer, entry, slot, at + DW_RECORD_HEADER_SIZE, entry->data->iov_base, entry->data->iov_len,
                    left - DW_RECORD_HEADER_SIZE, DW_COPY_SECTOR_MASK);
}

/* A record of any length in sectors of another size than 512 bytes. */
QUICK_OUT_OF_LINE int put_far(struct dw_writer *writer, const struct dwal_entry *entry, struct dw_slot *slot,
                              uint8_t *at, uint64_t lsn, uint32_t data_crc)
{
    size_t sector_mask = writer->ring.sector_mask, left = (~(uintptr_t)at & sector_mask) + 1;
    if (left < DW_RECORD_HEADER_SIZE)
        return put_record(writer, entry, data_crc, lsn);
    dw_record_header_put(at, &writer->ring.identity, lsn, data_crc, (uint32_t)entry->data->iov_len, entry->user);
    return put_rest(writer, entry, slot, at + DW_RECORD_HEADER_SIZE, entry->data->iov_base, entry->data->iov_len,
                    left - DW_RECORD_HEADER_SIZE, sector_mask);
}

/* Long data: the checksum before the reservation, so that nobody waits for it. is_single: see append_quick. */
DW_INLINE int append_in_two(struct dw_writer *writer, const struct dwal_entry *entry, uint64_t *lsn_out,
                            uint64_t *end_out, bool is_single)
{
    struct dw_ring *ring = &writer->ring;
    size_t length = entry->data->iov_len;
    if (DW_UNLIKELY(length > DW_RING_FAST_MAX - DW_RECORD_HEADER_SIZE))
        return dw_writer_append(writer, entry, 1, DW_APPEND_WAIT, lsn_out, end_out);
    uint32_t data_crc =
        is_single ? dw_crc32c_by_words(entry->data->iov_base, length) : dw_crc32c(0, entry->data->iov_base, length);
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
    size_t last = ~(uintptr_t)at & ring->sector_mask; /* how far the sector's last byte is */
    if (!is_single && DW_UNLIKELY(ring->sector_mask != DW_COPY_SECTOR_MASK))
        return put_far(writer, entry, slot, at, lsn, data_crc);
    if (DW_UNLIKELY(last < QUICK_LEFT_MIN - 1))
        return put_close(writer, entry, slot, at, lsn, data_crc);
    length = entry->data->iov_len;
    if (last > DW_COPY_SECTOR_MASK || (is_single && length <= DW_QUICK_MAX))
        __builtin_unreachable(); /* so that the compiler does not ask again */
    dw_record_head_end(at, dw_record_head_begin(at, &ring->identity, lsn, length, entry->user), data_crc);
    __asm__("" : "+r"(entry)); /* or else one more register has to be saved */
    const uint8_t *from = entry->data->iov_base;
    return put_rest(writer, entry, slot, at + DW_RECORD_HEADER_SIZE, from, length, last + 1 - DW_RECORD_HEADER_SIZE,
                    DW_COPY_SECTOR_MASK);
}
QUICK_OUT_OF_LINE int append_long(struct dw_writer *writer, const struct dwal_entry *entry, uint64_t *lsn_out,
                                  uint64_t *end_out)
{
    return append_in_two(writer, entry, lsn_out, end_out, false);
}
QUICK_OUT_OF_LINE int append_long_by_words(struct dw_writer *writer, const struct dwal_entry *entry, uint64_t *lsn_out,
                                           uint64_t *end_out)
{
    return append_in_two(writer, entry, lsn_out, end_out, true);
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
DW_INLINE uint8_t *put_data(uint8_t *at, uint64_t head, const uint8_t *from, size_t length, size_t step,
                            const uint8_t **from_end)
{
    uint8_t *to = at + DW_RECORD_HEADER_SIZE + step;
    uint64_t crc = UINT32_MAX;
    __asm__("" : "+r"(crc)); /* or else each word starts with code of its own for a crc that is known */
    if (length % 32 != 0)
        crc = dw_copy_odd_with_crc(to, from, length, crc);
    uint8_t *end = at + (DW_RECORD_HEADER_SIZE + step + length);
    *from_end = from + length;
    crc = dw_copy_words_with_crc(end, *from_end, length / 8, crc);
    dw_record_head_end(at, head, ~(uint32_t)crc);
    return end;
}

/* Short data over a tag and the end of a block, or into a new quarter of the ring: as if it were long. */
QUICK_OUT_OF_LINE int put_rarely(struct dw_writer *writer, const struct dwal_entry *entry, struct dw_slot *slot,
                                 uint8_t *at, uint64_t lsn)
{
    uint32_t data_crc = dw_crc32c_short(0, entry->data->iov_base, entry->data->iov_len);
    if (writer->ring.sector_mask != DW_COPY_SECTOR_MASK)
        return put_far(writer, entry, slot, at, lsn, data_crc);
    return put_close(writer, entry, slot, at, lsn, data_crc);
}

/* Publish a record of which `left` bytes are in front of its block's end, and `behind` behind it. */
DW_INLINE int publish_both(struct dw_slot *slot, size_t left, size_t behind)
{
    slot->is_record_end = behind == 0;
    /* release; pairs: BLOCK-FILLED. */
    atomic_fetch_add_explicit(&slot->filled, DW_SLOT_RECORD | left, memory_order_release);
    if (behind > 0) {
        slot++;
        slot->first_record = (uint32_t)behind;
        /* release; pairs: BLOCK-FILLED. */
        atomic_fetch_add_explicit(&slot->filled, behind, memory_order_release);
    }
    return 0;
}

/* Short data whose record reaches the end of its block, or goes on behind it: as over a tag. */
QUICK_OUT_OF_LINE int put_at_end(struct dw_writer *writer, const struct dwal_entry *entry, size_t last,
                                 struct dw_slot *slot, uint8_t *at, uint64_t lsn)
{
    const uint8_t *from = entry->data->iov_base;
    size_t length = entry->data->iov_len, behind = DW_RECORD_HEADER_SIZE + length - last - 1;
    if (begins_quarter(&writer->ring, slot))
        return put_rarely(writer, entry, slot, at, lsn);
    uint64_t head = dw_record_head_begin(at, &writer->ring.identity, lsn, length, entry->user);
    (void)put_data(at, head, from, length, 0, &from);
    dw_copy_short(at + last + 1 + DW_BLOCK_HEADER_SIZE, from - behind, behind);
    dw_copy_end();
    return publish_both(slot, last + 1, behind);
}

/* Short data with the end of a sector, or of its block, in its header or near it: all of it is written where the rest belongs, and what
 * is in front of the end is put together on the stack. */
QUICK_OUT_OF_LINE int put_cut(struct dw_writer *writer, const struct dwal_entry *entry, size_t last,
                              struct dw_slot *slot, uint8_t *at, uint64_t lsn)
{
    uint8_t whole[QUICK_LEFT_MIN - 1]; /* what stands in front of the tag, and with fewer than 32 bytes all */
    const uint8_t *from = entry->data->iov_base;
    size_t length = entry->data->iov_len, whole_size = DW_RECORD_HEADER_SIZE, step = DW_TAG_SIZE;
    size_t left = last + 1, behind = whole_size + length - left;
    uint8_t *tag = at + left, *again = tag + writer->ring.sector_mask + 1;
    if (tag == slot->end)
        step = DW_BLOCK_HEADER_SIZE;
    uint8_t *resume = tag + step, *end = resume + behind;
    if ((tag == slot->end && begins_quarter(&writer->ring, slot)) || (end >= again && again == slot->end))
        return put_rarely(writer, entry, slot, at, lsn);
    uint64_t head = dw_record_head_begin(whole, &writer->ring.identity, lsn, length, entry->user);
    uint32_t data_crc;
    if (length < 32) {
        data_crc = dw_copy_few_with_crc(whole + whole_size, from, length);
        whole_size += length;
    } else {
        data_crc = dw_copy_with_crc(end - length, from, length);
        dw_copy_32(whole + whole_size, from);
        if (end >= again) {
            size_t few = (size_t)(end - again);
            dw_copy_64(again + DW_TAG_SIZE, from + length - few, few);
            memcpy(again, tag == slot->end ? &slot[1].tag : &slot->tag, DW_TAG_SIZE);
        }
    }
    dw_record_head_end(whole, head, data_crc);
    dw_copy_64(at, whole, left);
    if (left < whole_size)
        dw_copy_64(resume, whole + left, whole_size - left);
    dw_copy_end();
    if (tag == slot->end)
        return publish_both(slot, left, behind);
    memcpy(tag, &slot->tag, DW_TAG_SIZE);
    /* release; pairs: BLOCK-FILLED. */
    atomic_fetch_add_explicit(&slot->filled, DW_SLOT_RECORD | (left + behind), memory_order_release);
    return 0;
}

/* Short data most of which lies behind the end of its sector: written as if all did, and then what is in front of it. */
QUICK_OUT_OF_LINE int put_behind(struct dw_writer *writer, const struct dwal_entry *entry, size_t last,
                                 struct dw_slot *slot, uint8_t *at, uint64_t lsn)
{
    size_t length = entry->data->iov_len;
    const uint8_t *from = entry->data->iov_base;
    uint64_t head = dw_record_head_begin(at, &writer->ring.identity, lsn, length, entry->user);
    uint8_t *end = put_data(at, head, from, length, DW_TAG_SIZE, &from);
    __asm__("" : "+r"(end), "+r"(from)); /* or else the length is kept in one more register */
    size_t size = (size_t)(end - at) - DW_TAG_SIZE;
    dw_copy_behind(at + DW_RECORD_HEADER_SIZE, from - (size - DW_RECORD_HEADER_SIZE), last + 1 - DW_RECORD_HEADER_SIZE);
    memcpy(at + last + 1, &slot->tag, DW_TAG_SIZE);
    dw_copy_end();
    /* release; pairs: BLOCK-FILLED. */
    atomic_fetch_add_explicit(&slot->filled, DW_SLOT_RECORD | size, memory_order_release);
    return 0;
}

/* Short data most of which lies in front of the end of its sector: written as if all did, and then what is behind it. */
QUICK_OUT_OF_LINE int put_before(struct dw_writer *writer, const struct dwal_entry *entry, size_t last,
                                 struct dw_slot *slot, uint8_t *at, uint64_t lsn)
{
    size_t length = entry->data->iov_len;
    const uint8_t *from = entry->data->iov_base;
    uint64_t head = dw_record_head_begin(at, &writer->ring.identity, lsn, length, entry->user);
    uint8_t *end = put_data(at, head, from, length, 0, &from), *tag = at + last + 1;
    __asm__("" : "+r"(end)); /* or else it is kept in three registers: where it is, and how far behind two places */
    size_t behind = (size_t)(end - tag);
    dw_copy_behind(tag + DW_TAG_SIZE, from - behind, behind);
    memcpy(tag, &slot->tag, DW_TAG_SIZE);
    dw_copy_end();
    /* release; pairs: BLOCK-FILLED. */
    atomic_fetch_add_explicit(&slot->filled, DW_SLOT_RECORD | (size_t)(end - at), memory_order_release);
    return 0;
}

/* Short data whose record reaches the last byte of its sector, `last` bytes behind its own first, or goes on behind it. All these ways
 * have the same arguments in the same places. */
DW_INLINE int put_across(struct dw_writer *writer, const struct dwal_entry *entry, size_t length, size_t last,
                         struct dw_slot *slot, uint8_t *at, uint64_t lsn)
{
    if (DW_UNLIKELY(last < QUICK_LEFT_MIN - 1))
        return put_cut(writer, entry, last, slot, at, lsn);
    if (DW_UNLIKELY(at + last + 1 == slot->end))
        return put_at_end(writer, entry, last, slot, at, lsn);
    if (length > 2 * (last + 1 - DW_RECORD_HEADER_SIZE))
        return put_behind(writer, entry, last, slot, at, lsn);
    return put_before(writer, entry, last, slot, at, lsn);
}

/* There was room before the addition, and now there is not: others came in between. */
QUICK_OUT_OF_LINE int put_late(struct dw_writer *writer, const struct dwal_entry *entry, uint64_t lsn)
{
    uint32_t data_crc = dw_crc32c(0, entry->data->iov_base, entry->data->iov_len);
    return dw_append_reserved(writer, entry, data_crc, lsn, false);
}

/* is_single: by the crc32 instruction alone, in sectors of 512 bytes; else dw_crc32c is better for all but short data. */
DW_INLINE int append_quick(struct dw_writer *writer, const struct dwal_entry *entry, uint64_t *lsn_out,
                           uint64_t *end_out, bool is_single)
{
    struct dw_ring *ring = &writer->ring;
    const struct iovec *part = entry->data;
    if (DW_UNLIKELY(entry->metadata_count != 0 || entry->data_count != 1 || part == NULL))
        return dw_writer_append(writer, entry, 1, DW_APPEND_WAIT, lsn_out, end_out);
    size_t length = part->iov_len;
    if (!is_single && length > DW_CRC32C_SHORT)
        return append_long(writer, entry, lsn_out, end_out);
    if (is_single && length > DW_QUICK_MAX)
        return append_long_by_words(writer, entry, lsn_out, end_out);
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
    size_t last = ~(uintptr_t)at & ring->sector_mask;
    if (DW_UNLIKELY(size > last)) /* it reaches the sector's last byte */
        return put_across(writer, entry, length, last, slot, at, lsn);
    const uint8_t *from = entry->data->iov_base;
    uint64_t head = dw_record_head_begin(at, &ring->identity, lsn, length, entry->user);
    if (length % 32 != 0 && length < 32)
        return put_few(slot, head, length, from, at);
    (void)put_data(at, head, from, length, 0, &from);
    dw_copy_end();
    /* release; pairs: BLOCK-FILLED. */
    atomic_fetch_add_explicit(&slot->filled, DW_SLOT_RECORD | size, memory_order_release);
    return 0;
}

#endif
