/* table.c - the rows of the volumes in use, in rising order of number, and which of them form the log.
 *
 * Called by: every file of core/store, under the store's mutex. Memory: one row per volume, one array of pointers.
 * The order of the log are the predecessor links in the headers, not the numbers: a number between two linked volumes
 * belongs to a volume that recovery abandoned. Links are followed back from the newest volume that the superblock knows;
 * a volume above `claimed` was never part of the log.
 * Failure: no memory for a row. Closing: dw_table_clear closes what is open and frees all. */
#include <string.h>

#include "core/store/state.h"

size_t dw_table_lower_bound(const struct dw_store *store, uint32_t number)
{
    size_t low = 0, high = store->row_count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (store->rows[middle]->volume.number < number)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

struct dw_row *dw_table_find(const struct dw_store *store, uint32_t number)
{
    size_t at = dw_table_lower_bound(store, number);
    if (at == store->row_count || store->rows[at]->volume.number != number)
        return NULL;
    return store->rows[at];
}

static bool make_room(struct dw_store *store)
{
    if (store->row_count < store->row_capacity)
        return true;
    size_t capacity = store->row_capacity == 0 ? DW_ROWS_AT_ONCE : store->row_capacity * 2;
    struct dw_row **rows = dw_realloc(store->rows, capacity * sizeof(struct dw_row *));
    if (!rows)
        return false;
    store->rows = rows;
    store->row_capacity = capacity;
    return true;
}

bool dw_table_reserve(struct dw_store *store)
{
    if (!make_room(store))
        return false;
    if (!store->spare_row)
        store->spare_row = dw_pool_get(&store->row_pool);
    return store->spare_row != NULL;
}

struct dw_row *dw_table_add(struct dw_store *store, uint32_t number, const struct dw_place *place)
{
    if (!dw_table_reserve(store))
        return NULL;
    struct dw_row *row = store->spare_row;
    store->spare_row = NULL;
    size_t at = dw_table_lower_bound(store, number);
    dw_assert(at == store->row_count || store->rows[at]->volume.number != number);
    memmove(&store->rows[at + 1], &store->rows[at], (store->row_count - at) * sizeof(struct dw_row *));
    store->rows[at] = row;
    store->row_count++;
    row->place = *place;
    row->end_known = UINT64_MAX;
    row->volume.number = number;
    row->volume.base = place->base;
    row->volume.file_size = place->base + place->size;
    memcpy(row->volume.name, place->name, sizeof row->volume.name);
    row->volume.header_verdict = DW_DECODED_BAD_MAGIC;
    row->volume.toc_verdict = DW_DECODED_BAD_MAGIC;
    dw_row_reset_content(row);
    return row;
}

/* What only the header of a row that goes away tells: where the volume before it ends. */
static void remember_end(struct dw_store *store, const struct dw_row *row)
{
    struct dw_row *predecessor = dw_table_find(store, row->volume.header.predecessor);
    if (row->is_in_chain && predecessor && predecessor->is_in_chain)
        predecessor->end_known = dw_table_end(store, predecessor);
}

void dw_table_remove(struct dw_store *store, struct dw_row *row)
{
    remember_end(store, row);
    size_t at = dw_table_lower_bound(store, row->volume.number);
    dw_assert(at < store->row_count && store->rows[at] == row);
    dw_assert(row->volume.pins == 0);
    dw_row_shut(store, row);
    store->row_count--;
    memmove(&store->rows[at], &store->rows[at + 1], (store->row_count - at) * sizeof(struct dw_row *));
    dw_table_forget(store, row);
    dw_pool_put(&store->row_pool, row);
}

void dw_table_clear(struct dw_store *store)
{
    for (size_t i = 0; i < store->row_count; i++) {
        dw_row_shut(store, store->rows[i]);
        dw_table_forget(store, store->rows[i]);
        dw_pool_put(&store->row_pool, store->rows[i]);
    }
    dw_pool_put(&store->row_pool, store->spare_row);
    dw_free(store->rows);
    store->spare_row = NULL;
    store->rows = NULL;
    store->row_count = store->row_capacity = 0;
}

bool dw_row_is_sound(const struct dw_row *row)
{
    return row->volume.header_verdict == DW_DECODED_OK || row->volume.header_verdict == DW_DECODED_BAD_TAG;
}

void dw_table_link(struct dw_store *store)
{
    uint32_t claimed = store->superblock.claimed;
    uint32_t wanted = DW_VOLUME_NUMBER_NONE; /* NONE: any sound one will do */
    for (size_t i = store->row_count; i > 0; i--) {
        struct dw_row *row = store->rows[i - 1];
        row->is_in_chain = false;
        if (!dw_row_is_sound(row) || row->state == DW_ROW_ABANDONED || claimed == DW_VOLUME_NUMBER_NONE ||
            row->volume.number > claimed)
            continue;
        /* A link that leads nowhere (damage, or trimmed away): go on with the next one, for those who read damaged logs. */
        if (wanted != DW_VOLUME_NUMBER_NONE && row->volume.number > wanted)
            continue;
        row->is_in_chain = true;
        wanted = row->volume.header.predecessor;
        if (wanted == DW_VOLUME_NUMBER_NONE)
            wanted = 0; /* the first of all: only volume 0 could come before it, and it does not */
    }
}

struct dw_row *dw_table_successor(const struct dw_store *store, uint32_t number)
{
    if (number == DW_VOLUME_NUMBER_NONE)
        return NULL;
    for (size_t i = dw_table_lower_bound(store, number + 1); i < store->row_count; i++) {
        struct dw_row *row = store->rows[i];
        if (row->is_in_chain)
            return row->volume.header.predecessor == number ? row : NULL;
    }
    return NULL;
}

uint64_t dw_table_end_by(const struct dw_store *store, uint32_t number, const struct dw_row *successor)
{
    if (successor->volume.header.predecessor_end == DW_PREDECESSOR_CUT)
        return successor->volume.header.cut;
    return dw_end_lsn_of_volume(dw_store_geometry(store), number);
}

static bool has_later(const struct dw_store *store, uint32_t number)
{
    for (size_t i = dw_table_lower_bound(store, number + 1); i < store->row_count; i++)
        if (store->rows[i]->is_in_chain)
            return true;
    return false;
}

uint64_t dw_table_end(const struct dw_store *store, const struct dw_row *row)
{
    const struct dw_volume *volume = &row->volume;
    const struct dw_row *successor = dw_table_successor(store, volume->number);
    if (successor)
        return dw_table_end_by(store, volume->number, successor);
    if (!has_later(store, volume->number))
        return UINT64_MAX;
    /* The successor was retired before this one, which a reader held. */
    if (row->end_known != UINT64_MAX)
        return row->end_known;
    bool is_cut = volume->is_sealed && (volume->toc.flags & DW_TOC_CUT) != 0;
    return is_cut ? volume->toc.end : dw_end_lsn_of_volume(dw_store_geometry(store), volume->number);
}
