/* toc.c - a volume's table of contents: asked of the caller, completed from the device, written once all is durable.
 *
 * Called by: settle (full or cut volumes of a crashed writer), the maker (a volume left behind), close (the head); one thread.
 * Happy path: what the flusher gathered, plus the last record, which is found by reading the one block in which it
 * starts -> the caller's table -> one durable write of the TOC area.
 * Failure: a table longer than toc_length is DWAL_ETABLE; a block that does not read back as it was written is
 * DWAL_ECORRUPT: the log stops. The hook is called without a lock held: it may read from the log. */
#include "core/store/state.h"

/* ---- the last record that starts in a block ---- */

static int complain(struct dw_store *store, const struct dw_row *row, uint64_t block, uint64_t lsn, const char *what)
{
    return dw_fail_at(DWAL_ECORRUPT, row->volume.number, block, lsn, "%s: block %llu of %s/%s was durable and %s",
                      "the table of contents cannot be made", (unsigned long long)block, store->disk->path,
                      row->place.name, what);
}

/* A record that ends inside the block is checked whole (header and metadata); the last one may run on and is not needed. */
static bool record_checks(const struct dw_store *store, const uint8_t *block, uint32_t offset, uint64_t lsn,
                          const struct dw_record_header *header, const struct dw_record_info *info)
{
    const struct dw_geometry *geometry = dw_store_geometry(store);
    uint32_t crc = dw_record_crc_begin(&store->superblock.identity, lsn, header);
    uint8_t piece[256];
    for (uint32_t done = 0; done < info->metadata_size;) {
        uint32_t size = info->metadata_size - done;
        size = size < sizeof piece ? size : (uint32_t)sizeof piece;
        dw_payload_read(geometry, block, offset + DW_RECORD_HEADER_SIZE + done, piece, size);
        crc = dw_crc32c(crc, piece, size);
        done += size;
    }
    return crc == info->crc;
}

static int read_start_block(struct dw_store *store, struct dw_row *row, uint64_t number, struct dw_block_info *info)
{
    const struct dw_geometry *geometry = dw_store_geometry(store);
    uint8_t *block = dw_work_blocks(store);
    size_t done;
    int result = dw_load_read(store, row->volume.file, block, geometry->block_size,
                              row->volume.base + dw_place_of_block(geometry, number), &done);
    if (result != 0)
        return dw_fail_system_at(result, row->volume.number, number, DWAL_NO_LSN, "%s/%s cannot be read",
                                 store->disk->path, row->place.name);
    if (done != geometry->block_size)
        return complain(store, row, number, DWAL_NO_LSN, "is missing");
    if (dw_block_header_decode(geometry, &store->superblock.identity, block, number, info) != DW_DECODED_OK)
        return complain(store, row, number, DWAL_NO_LSN, "does not check");
    if (info->first_record == DW_FIRST_RECORD_NONE)
        return complain(store, row, number, DWAL_NO_LSN, "has no record");
    return 0;
}

static int find_last_record(struct dw_store *store, struct dw_row *row, uint64_t *last_lsn)
{
    const struct dw_geometry *geometry = dw_store_geometry(store);
    uint64_t number = row->volume.last_start_block;
    struct dw_block_info info;
    int result = read_start_block(store, row, number, &info);
    if (result != 0)
        return result;
    const uint8_t *block = dw_work_blocks(store);
    uint32_t offset = info.first_record;
    for (;;) {
        uint64_t lsn = dw_lsn_of_block(geometry, number) + offset;
        *last_lsn = lsn;
        if (info.fill - offset < DW_RECORD_HEADER_SIZE)
            return 0; /* its header runs on */
        struct dw_record_header header;
        struct dw_record_info record;
        dw_payload_read(geometry, block, offset, &header, sizeof header);
        if (!dw_record_header_decode(&header, &record))
            return complain(store, row, number, lsn, "has a damaged record");
        uint64_t size = dw_record_size(&record);
        if (size >= info.fill - offset)
            return 0; /* it ends with the block or runs on */
        if (!record_checks(store, block, offset, lsn, &header, &record))
            return complain(store, row, number, lsn, "has a damaged record");
        offset += (uint32_t)size;
    }
}

/* ---- writing ---- */

static int ask_table(struct dw_store *store, struct dw_toc_info *info)
{
    const struct dw_store_hooks *hooks = &store->options.hooks;
    uint32_t capacity = dw_store_geometry(store)->toc_length;
    info->table_length = 0;
    if (!hooks->table || capacity == 0 || (info->flags & DW_TOC_OPEN) != 0)
        return 0;
    uint64_t length = hooks->table(hooks->table_context, info->number, info->first_lsn, info->end,
                                   (info->flags & DW_TOC_SPILL) != 0, dw_work_table(store), capacity);
    if (length > capacity)
        return dw_fail_at(DWAL_ETABLE, info->number, DWAL_NO_LSN, info->first_lsn,
                          "the table of volume %u has %llu bytes, more than the %u that the log was created for",
                          info->number, (unsigned long long)length, capacity);
    info->table_length = (uint32_t)length;
    info->flags |= DW_TOC_TABLE;
    return 0;
}

int dw_toc_write(struct dw_store *store, struct dw_row *row, struct dw_toc_info *info, uint64_t watermark)
{
    const struct dw_geometry *geometry = dw_store_geometry(store);
    dw_assert(row->is_writable);
    int result = ask_table(store, info);
    if (result != 0)
        return result;
    info->watermark = watermark;
    uint8_t *area = dw_work_area(store);
    dw_toc_encode(geometry, &store->superblock.identity, info, dw_work_table(store), area);
    result = dw_file_write_durable(row->volume.file, area, dw_toc_area_size(geometry),
                                   row->volume.base + dw_place_of_toc(geometry));
    if (result != 0)
        return dw_fail_device_at(result, info->number, DWAL_NO_LSN, DWAL_NO_LSN,
                                 "the table of contents of %s/%s cannot be written", store->disk->path,
                                 row->place.name);
    pthread_mutex_lock(&store->mutex);
    row->volume.toc = *info;
    row->volume.toc_verdict = DW_DECODED_OK;
    row->volume.is_sealed = (info->flags & DW_TOC_OPEN) == 0;
    dw_table_keep(store, row, area + DW_TOC_SIZE, info->table_length);
    pthread_mutex_unlock(&store->mutex);
    atomic_fetch_add_explicit(&store->tocs_written, 1, memory_order_relaxed);
    return 0;
}

/* What the flusher gathered, and the last record. */
static int gather(struct dw_store *store, struct dw_row *row, uint64_t end, struct dw_toc_info *info)
{
    const struct dw_volume *volume = &row->volume;
    *info = (struct dw_toc_info){
        .number = volume->number,
        .first_lsn = volume->first_lsn == DWAL_NO_LSN ? end : volume->first_lsn,
        .last_lsn = end,
        .end = end,
        .entry_count = volume->entry_count,
        .time_first = volume->time_first,
        .time_last = volume->time_last,
    };
    if (volume->last_start_block == DWAL_NO_LSN)
        return 0;
    return find_last_record(store, row, &info->last_lsn);
}

int dw_toc_write_full(struct dw_store *store, struct dw_row *row)
{
    struct dw_toc_info info;
    int result = gather(store, row, dw_end_lsn_of_volume(dw_store_geometry(store), row->volume.number), &info);
    if (result != 0)
        return result;
    if (row->volume.is_spilling)
        info.flags |= DW_TOC_SPILL;
    return dw_toc_write(store, row, &info, dw_store_durable_block(store));
}

int dw_toc_write_open(struct dw_store *store, struct dw_row *row, uint64_t end)
{
    const struct dw_geometry *geometry = dw_store_geometry(store);
    if (end <= dw_first_lsn_of_volume(geometry, row->volume.number))
        return 0;
    struct dw_toc_info info;
    int result = gather(store, row, end, &info);
    if (result != 0)
        return result;
    info.flags = DW_TOC_OPEN;
    uint64_t watermark = dw_block_of_lsn(geometry, end) + (dw_offset_of_lsn(geometry, end) != 0);
    return dw_toc_write(store, row, &info, watermark);
}

/* ---- the queue of full volumes ---- */

struct dw_row *dw_toc_waiting(struct dw_store *store)
{
    if (store->full_list)
        return store->full_list;
    struct dw_row *row = atomic_exchange_explicit(&store->full, NULL, memory_order_acquire); /* pairs: STORE-FULL */
    while (row) { /* the newest is on top of the stack, the oldest comes first in the list */
        struct dw_row *below = row->next_full;
        row->next_full = store->full_list;
        store->full_list = row;
        row = below;
    }
    return store->full_list;
}

int dw_toc_write_waiting(struct dw_store *store, struct dw_row *row)
{
    dw_assert(row == store->full_list);
    int result = dw_toc_write_full(store, row);
    if (result != 0)
        return result;
    store->full_list = row->next_full;
    pthread_mutex_lock(&store->mutex);
    row->state = DW_ROW_SETTLED;
    pthread_mutex_unlock(&store->mutex);
    dw_row_let_go(store, row);
    atomic_store_explicit(&store->is_retire_due, true, memory_order_release); /* pairs: STORE-RETIRE */
    return 0;
}
