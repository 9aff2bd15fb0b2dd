/* append.c - the appender's side: check, reserve, copy, publish.
 *
 * Called by: any number of threads, without locks. Happy path: one atomic add on the tail gives the lsn; the record's
 * checksums are made from the caller's own buffers (end to end); header, metadata and data are copied straight into the
 * ring's blocks, stepping over the tags (core/write/pen.h); one atomic add per block publishes.
 * Failure: everything that can refuse an entry is looked at before the reservation, since that cannot be given back.
 * No ring room is a counted wait; no space in claimed volumes waits for the maker, or is DWAL_ENOSPACE when it has none.
 * An entry larger than half the ring reserves first and waits for room block by block while it copies. */
#include <stddef.h>
#include <string.h>

#include "base/assert.h"
#include "core/base/error.h"
#include "core/format/crc32c.h"
#include "core/write/append.h"
#include "core/write/pen.h"
#include "core/write/writer.h"

/* ---- reserving ---------------------------------------------------------------------------------------------------- */

/* Space in claimed volumes for lsns before `end`: 0, or why not. Waits for the maker unless told not to. */
static DW_NODISCARD int wait_for_space(struct dw_writer *writer, uint64_t end, enum dw_append_flags flags)
{
    struct dw_store *store = writer->store;
    dw_count(&writer->counts.space_waits, 1);
    for (;;) {
        uint32_t key = dw_event_prepare(&writer->room);
        /* Only now: the maker forgets what was demanded whenever it runs out of space, and then notifies. */
        dw_store_demand(store, end);
        int result = 1;
        if (dw_store_space(store) >= end)
            result = 0;
        else if (dw_durable_failure(&writer->durable) != 0)
            result = dw_fail(DWAL_EFAILED, "the log stopped at an earlier error");
        else if (dw_store_is_exhausted(store))
            result = dw_fail(DWAL_EEXHAUSTED, "all volume numbers of this log are used up");
        else if (dw_store_is_out_of_space(store))
            result = dw_fail_at(DWAL_ENOSPACE, DWAL_NO_VOLUME, DWAL_NO_LSN, dw_store_space(store),
                                "no volume is ready and none can be made: the log's space ends at lsn %llu",
                                (unsigned long long)dw_store_space(store));
        else if (flags == DW_APPEND_NO_WAIT || writer->options.is_single_stepped)
            result = DWAL_EFULL;
        if (result <= 0) {
            dw_event_cancel(&writer->room);
            return result;
        }
        dw_event_wait(&writer->room, key, UINT64_MAX);
    }
}

/* The careful way: exact against the log's space, with waits. */
static DW_COLD DW_NODISCARD int reserve_slow(struct dw_writer *writer, uint64_t size, enum dw_append_flags flags,
                                             uint64_t *lsn)
{
    struct dw_ring *ring = &writer->ring;
    if (!ring->bytes)
        return dw_fail(DWAL_EREADONLY, "this log is open read-only");
    uint64_t tail = atomic_load_explicit(&ring->tail, memory_order_relaxed);
    for (;;) {
        if (dw_durable_failure(&writer->durable) != 0)
            return dw_fail(DWAL_EFAILED, "the log stopped at an earlier error");
        uint64_t end;
        if (dw_add_overflows(tail, size, &end))
            return dw_fail(DWAL_EEXHAUSTED, "the log's positions are used up");
        if (end > dw_store_space(writer->store)) {
            int result = wait_for_space(writer, end, flags);
            if (result < 0)
                return result;
        }
        uint64_t last = dw_block_of_lsn(&ring->geometry, end - 1);
        bool is_streaming = size > ring->bytes_size / 2;
        if (!is_streaming && last >= atomic_load_explicit(&ring->room_end, memory_order_acquire)) {
            if (flags == DW_APPEND_NO_WAIT || writer->options.is_single_stepped)
                return DWAL_EFULL;
            if (!dw_pen_wait_for_room(writer, last))
                continue; /* it failed: the head of the loop says so */
        }
        uint64_t seen = tail;
        /* acq_rel; pairs: RING-OVERWRITE. A failed exchange means that somebody got in: look again at everything. */
        if (atomic_compare_exchange_strong_explicit(&ring->tail, &tail, end, memory_order_acq_rel,
                                                    memory_order_relaxed)) {
            *lsn = seen;
            return 0;
        }
    }
}

static inline int reserve(struct dw_writer *writer, uint64_t size, enum dw_append_flags flags, uint64_t *lsn,
                          bool *is_roomy)
{
    struct dw_ring *ring = &writer->ring;
    uint64_t limit = atomic_load_explicit(&ring->fast_limit, memory_order_acquire); /* pairs: RING-ROOM */
    uint64_t tail = atomic_load_explicit(&ring->tail, memory_order_relaxed);
    if (DW_LIKELY(size <= DW_RING_FAST_MAX && tail + size <= limit)) {
        *lsn = atomic_fetch_add_explicit(&ring->tail, size, memory_order_acq_rel); /* pairs: RING-OVERWRITE */
        *is_roomy = *lsn + size <= limit;
        return 0;
    }
    *is_roomy = false;
    return reserve_slow(writer, size, flags, lsn);
}

/* ---- records ------------------------------------------------------------------------------------------------------- */

static DW_NODISCARD bool sum_parts(const struct iovec *parts, int count, uint32_t *size)
{
    uint64_t sum = 0;
    if (count < 0 || (count > 0 && !parts))
        return false;
    for (int i = 0; i < count; i++) {
        if (parts[i].iov_len > DWAL_PART_SIZE_MAX)
            return false;
        sum += parts[i].iov_len;
        if (sum > DWAL_PART_SIZE_MAX)
            return false;
    }
    *size = (uint32_t)sum;
    return true;
}

static uint32_t crc_of_parts(uint32_t crc, const struct iovec *parts, int count)
{
    for (int i = 0; i < count; i++)
        crc = dw_crc32c(crc, parts[i].iov_base, parts[i].iov_len);
    return crc;
}

static DW_NODISCARD bool put_parts(struct dw_pen *pen, const struct iovec *parts, int count)
{
    for (int i = 0; i < count; i++)
        if (!dw_pen_put(pen, parts[i].iov_base, parts[i].iov_len))
            return false;
    return true;
}

/* Measure one entry and make the checksum of its data: the long part, done before anything is reserved. */
static bool measure(const struct dwal_entry *entry, bool is_last, struct dw_record_info *info)
{
    if (DW_UNLIKELY(!sum_parts(entry->metadata, entry->metadata_count, &info->metadata_size) ||
                    !sum_parts(entry->data, entry->data_count, &info->data_size)))
        return false;
    info->data_crc = crc_of_parts(0, entry->data, entry->data_count);
    info->type = DW_RECORD_ENTRY;
    info->flags = (uint8_t)(is_last ? 0 : DW_RECORD_MORE);
    info->user = entry->user;
    return true;
}

static bool put_record(struct dw_pen *pen, const struct dwal_entry *entry, const struct dw_record_info *info,
                       uint64_t lsn)
{
    struct dw_record_header header;
    dw_record_header_encode(info, &header);
    uint32_t crc = dw_record_crc_begin(&pen->writer->ring.identity, lsn, &header);
    header.crc = dw_le32_of(crc_of_parts(crc, entry->metadata, entry->metadata_count));
    if (!dw_pen_begin_record(pen, dw_record_size(info)) || !dw_pen_put(pen, &header, sizeof header) ||
        !put_parts(pen, entry->metadata, entry->metadata_count) || !put_parts(pen, entry->data, entry->data_count))
        return false;
    dw_pen_end_record(pen);
    return true;
}

/* Why was it not measured? */
static DW_COLD int refuse(const struct dwal_entry *entry)
{
    if (entry->metadata_count < 0 || entry->data_count < 0 || (entry->metadata_count > 0 && !entry->metadata) ||
        (entry->data_count > 0 && !entry->data))
        return dw_fail(DWAL_EARGUMENT, "the entry has a negative count, or a count without parts");
    return dw_fail(DWAL_ETOOBIG, "the metadata or the data is longer than %u bytes", DWAL_PART_SIZE_MAX);
}

static DW_COLD int append_batch(struct dw_writer *writer, const struct dwal_entry *entries, size_t count,
                                enum dw_append_flags flags, uint64_t *lsns, uint64_t *end)
{
    uint64_t total = 0;
    struct dw_record_info info;
    for (size_t i = 0; i < count; i++) {
        uint32_t metadata_size, data_size;
        if (!sum_parts(entries[i].metadata, entries[i].metadata_count, &metadata_size) ||
            !sum_parts(entries[i].data, entries[i].data_count, &data_size))
            return refuse(&entries[i]);
        total += (uint64_t)DW_RECORD_HEADER_SIZE + metadata_size + data_size;
    }
    uint64_t lsn;
    bool is_roomy;
    int result = reserve(writer, total, flags, &lsn, &is_roomy);
    if (result < 0)
        return result;
    struct dw_pen pen;
    bool is_good = dw_pen_open(&pen, writer, lsn, is_roomy);
    for (size_t i = 0; is_good && i < count; i++) {
        bool is_measured = measure(&entries[i], i + 1 == count, &info);
        dw_assert(is_measured); /* it was above; the caller must not change its buffers meanwhile */
        if (lsns)
            lsns[i] = lsn;
        is_good = put_record(&pen, &entries[i], &info, lsn);
        lsn += dw_record_size(&info);
    }
    if (!is_good)
        return dw_fail(DWAL_EFAILED, "the log stopped while a batch streamed into it: recovery will drop the batch");
    dw_pen_publish(&pen);
    dw_count(&writer->counts.batches, 1);
    if (end)
        *end = lsn;
    return 0;
}

static DW_NODISCARD int put_entry(struct dw_writer *writer, const struct dwal_entry *entry,
                                  const struct dw_record_info *info, uint64_t lsn, bool is_roomy)
{
    struct dw_pen pen;
    if (!dw_pen_open(&pen, writer, lsn, is_roomy) || !put_record(&pen, entry, info, lsn))
        return dw_fail(DWAL_EFAILED, "the log stopped while an entry streamed into it: recovery will drop the entry");
    dw_pen_publish(&pen);
    return 0;
}

int dw_append_reserved(struct dw_writer *writer, const struct dwal_entry *entry, uint32_t data_crc, uint64_t lsn,
                       bool is_roomy)
{
    struct dw_record_info info = {.data_crc = data_crc, .type = DW_RECORD_ENTRY, .user = entry->user};
    bool is_measured = sum_parts(entry->metadata, entry->metadata_count, &info.metadata_size) &&
                       sum_parts(entry->data, entry->data_count, &info.data_size);
    dw_assert(is_measured); /* it was a moment ago */
    return put_entry(writer, entry, &info, lsn, is_roomy);
}

int dw_writer_append(struct dw_writer *writer, const struct dwal_entry *entries, size_t count,
                     enum dw_append_flags flags, uint64_t *lsns, uint64_t *end)
{
    if (DW_UNLIKELY(count != 1))
        return append_batch(writer, entries, count, flags, lsns, end);
    struct dw_record_info info;
    if (!measure(entries, true, &info))
        return refuse(entries);
    uint64_t lsn;
    bool is_roomy;
    int result = reserve(writer, dw_record_size(&info), flags, &lsn, &is_roomy);
    if (DW_UNLIKELY(result < 0))
        return result;
    if (lsns)
        *lsns = lsn;
    if (end)
        *end = lsn + dw_record_size(&info);
    return put_entry(writer, entries, &info, lsn, is_roomy);
}
