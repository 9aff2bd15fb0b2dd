/* tables.c - what the callers wrote into the tables of contents of the volumes, and what else the tables tell, for those who
 * ask: see dwal_volume_from and dwal_volume_table.
 *
 * Owns: the beginnings of tables that are kept with the rows. Called by: readers on any thread; dw_table_keep by whoever has
 * just read or written a table.
 * Happy path: the answer is in memory, under `mutex`; else the TOC area is read and checked as a whole.
 * Failure: a table that does not check is DWAL_ECORRUPT; the log's content does not depend on it. */
#include <string.h>

#include "base/bits.h"
#include "core/format/ondisk.h"
#include "core/store/state.h"

void dw_table_forget(struct dw_store *store, struct dw_row *row)
{
    dw_pool_put(&store->table_pool, row->volume.table);
    row->volume.table = NULL;
    row->volume.table_kept = 0;
}

void dw_table_keep(struct dw_store *store, struct dw_row *row, const void *table, uint32_t length)
{
    uint32_t size =
        (uint32_t)dw_min_u64(dw_min_u64(length, store->options.table_keep), dw_store_geometry(store)->toc_length);
    if (size == 0)
        dw_table_forget(store, row);
    else if (!row->volume.table)
        row->volume.table = dw_pool_get(&store->table_pool);
    row->volume.table_kept = 0;
    if (!row->volume.table)
        return; /* there is nothing to keep; or no memory, and it will be read when somebody asks */
    memcpy(row->volume.table, table, size);
    row->volume.table_kept = size;
}

static bool has_toc(const struct dw_row *row)
{
    return row->volume.toc_verdict == DW_DECODED_OK || row->volume.toc_verdict == DW_DECODED_BAD_TAG;
}

int dw_store_describe(struct dw_store *store, uint32_t number, struct dwal_volume *volume)
{
    int result = DWAL_EEND;
    size_t size = volume->size;
    pthread_mutex_lock(&store->mutex);
    for (size_t i = dw_table_lower_bound(store, number); i < store->row_count && result != 0; i++) {
        const struct dw_row *row = store->rows[i];
        const struct dw_toc_info *toc = &row->volume.toc;
        if (!row->is_in_chain)
            continue;
        uint64_t end = dw_table_end(store, row);
        bool is_counted = has_toc(row);
        *volume = (struct dwal_volume){
            .size = size,
            .number = row->volume.number,
            .is_full = row->volume.is_sealed,
            .is_counted = is_counted,
            .table_length = row->volume.is_sealed ? toc->table_length : 0,
            .begin = dw_first_lsn_of_volume(dw_store_geometry(store), row->volume.number),
            .end = end,
            .first = is_counted ? toc->first_lsn : 0,
            .last = is_counted ? toc->last_lsn : 0,
            .entries = is_counted ? toc->entry_count : 0,
            .payload_size = dw_store_geometry(store)->payload_size,
            .data_blocks = dw_store_geometry(store)->data_blocks,
            .time_first = is_counted ? toc->time_first : 0,
            .time_last = is_counted ? toc->time_last : 0,
        };
        result = 0;
    }
    pthread_mutex_unlock(&store->mutex);
    return result;
}

/* From memory. false: more than is kept was asked for. */
static bool copy_kept(const struct dw_row *row, uint32_t from, void *buffer, size_t size, uint32_t *length)
{
    uint32_t all = row->volume.toc.table_length;
    size_t left = from < all ? all - from : 0;
    size_t copied = dw_min_size(left, size);
    if (copied > 0 && from + copied > row->volume.table_kept)
        return false;
    if (copied > 0)
        memcpy(buffer, row->volume.table + from, copied);
    *length = all;
    return true;
}

static int refuse_missing(const struct dw_store *store, uint32_t number)
{
    bool is_trimmed = dw_end_lsn_of_volume(dw_store_geometry(store), number) <= dw_store_first(store);
    return dw_fail_at(is_trimmed ? DWAL_ETRIMMED : DWAL_ENOTFOUND, number, DWAL_NO_LSN, DWAL_NO_LSN,
                      "volume %u of %s %s", number, store->disk->path,
                      is_trimmed ? "was trimmed away" : "has no table of contents (yet)");
}

static int read_area(struct dw_store *store, const struct dw_volume *volume, uint8_t *area, uint32_t from, void *buffer,
                     size_t size, uint32_t *length)
{
    const struct dw_geometry *geometry = dw_store_geometry(store);
    size_t area_size = dw_toc_area_size(geometry), done;
    struct dw_toc_info toc;
    int result = dw_load_read(store, volume->file, area, area_size, volume->base + dw_place_of_toc(geometry), &done);
    if (result != 0)
        return dw_fail_system_at(result, volume->number, DWAL_NO_LSN, DWAL_NO_LSN,
                                 "the table of contents of %s/%s cannot be read", store->disk->path, volume->name);
    enum dw_decoded verdict = DW_DECODED_BAD_CRC;
    if (done == area_size)
        verdict = dw_toc_decode(geometry, &store->superblock.identity, area, area_size, volume->number, &toc);
    if (verdict != DW_DECODED_OK && verdict != DW_DECODED_BAD_TAG)
        return dw_fail_at(DWAL_ECORRUPT, volume->number, DWAL_NO_LSN, DWAL_NO_LSN,
                          "the table of contents of %s/%s does not check", store->disk->path, volume->name);
    *length = toc.table_length;
    size_t left = from < toc.table_length ? toc.table_length - from : 0;
    if (left > 0 && size > 0)
        memcpy(buffer, area + DW_TOC_SIZE + from, dw_min_size(left, size));
    return 0;
}

int dw_store_read_table(struct dw_store *store, uint32_t number, uint32_t from, void *buffer, size_t size,
                        uint32_t *length)
{
    pthread_mutex_lock(&store->mutex);
    struct dw_row *row = dw_table_find(store, number);
    bool has_table = row && row->is_in_chain && row->volume.is_sealed;
    bool is_kept = has_table && copy_kept(row, from, buffer, size, length);
    pthread_mutex_unlock(&store->mutex);
    if (!has_table)
        return refuse_missing(store, number);
    if (is_kept)
        return 0;
    struct dw_volume *volume;
    int result = dw_store_pin(store, number, &volume);
    if (result != 0)
        return result;
    const struct dw_geometry *geometry = dw_store_geometry(store);
    uint8_t *area = dw_alloc_io(dw_toc_area_size(geometry), geometry->block_size);
    if (area)
        result = read_area(store, volume, area, from, buffer, size, length);
    else
        result = dw_fail(DWAL_EMEMORY, "no memory for a table of contents");
    dw_free_io(area);
    dw_store_unpin(store, volume);
    return result;
}
