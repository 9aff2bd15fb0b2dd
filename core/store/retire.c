/* retire.c - the front of the log goes: trim point first, then the volumes before it, each to a blank or to nothing.
 *
 * Called by: dw_store_trim on any thread; the rest by the maker and by settle (volumes that recovery abandoned).
 * Happy path: superblock with the new trim point, durable -> the maker finds a volume that ends at or before it, is not
 * being written, owes no TOC and has no reader here or (PIN lock) in another process -> renamed to a blank while fewer than
 * `blanks` are ready, else unlinked -> names synced, and only then the blank may be used.
 * Where wiping is asked for, the volume's entries are overwritten first, a piece for each step, and synced; nobody can pin it
 * meanwhile. A crash there leaves it before the trim point, with its headers: it goes again.
 * Failure: a pinned volume, or one on a device that another process is changing, is tried again later. A file whose header says that it is another log's is left alone. */
#include <string.h>

#include "base/bits.h"
#include "core/store/state.h"

/* ---- trim ---- */

int dw_store_trim(struct dw_store *store, uint64_t before)
{
    if (store->options.is_read_only)
        return dw_fail(DWAL_EREADONLY, "the log in %s is open read-only: it cannot be trimmed", store->disk->path);
    dw_assert(store->is_settled);
    pthread_mutex_lock(&store->superblock_mutex);
    int result = 0;
    bool is_stopped = dw_store_is_stopped(store);
    bool is_new = before > store->superblock.trim;
    if (!is_stopped && is_new) {
        struct dw_superblock_info info = store->superblock;
        info.trim = before;
        result = dw_superblock_write(store, &info);
        if (result == 0)
            atomic_store_explicit(&store->trim, before, memory_order_release); /* pairs: STORE-TRIM */
    }
    pthread_mutex_unlock(&store->superblock_mutex);
    if (is_stopped)
        return dw_fail(DWAL_EFAILED, "the log in %s stopped at an earlier error: it cannot be trimmed",
                       store->disk->path);
    if (result != 0)
        return dw_store_stop(store, result);
    if (is_new) {
        atomic_store_explicit(&store->is_retire_due, true, memory_order_release); /* pairs: STORE-RETIRE */
        dw_store_maker_wake(store);
    }
    return 0;
}

/* ---- retire ---- */

static bool is_ours(const struct dw_row *row)
{
    switch (row->volume.header_verdict) {
    case DW_DECODED_FOREIGN:
    case DW_DECODED_VERSION:
    case DW_DECODED_MISPLACED:
    case DW_DECODED_IMPOSSIBLE:
        return false;
    case DW_DECODED_OK:
    case DW_DECODED_BAD_TAG:
    case DW_DECODED_BAD_CRC: /* damaged, or the claim was interrupted: the name says that it is ours */
    case DW_DECODED_BAD_MAGIC:
        break;
    }
    return true;
}

/* Open for writing and take the PIN lock that no reader must hold. A file that is open for reading is of no use for that. */
static int take_from_readers(struct dw_store *store, struct dw_row *row)
{
    const struct dw_places_ops *ops = store->places->ops;
    if (!row->is_writable) {
        struct dw_file *file;
        int result = ops->open(store->places, &row->place, DW_OPEN_WRITE, &file);
        if (result != 0)
            return result;
        pthread_mutex_lock(&store->mutex);
        dw_row_shut(store, row);
        row->volume.file = file;
        row->is_writable = true;
        store->open_count++;
        pthread_mutex_unlock(&store->mutex);
    }
    return ops->lock(store->places, &row->place, row->volume.file, DW_LOCK_PIN, DW_LOCK_EXCLUSIVE);
}

/* Rename or unlink. *is_recycled: it is a blank now, at *place. */
static int take_name(struct dw_store *store, const struct dw_row *row, struct dw_place *place, bool *is_recycled)
{
    const struct dw_places_ops *ops = store->places->ops;
    bool is_whole = row->place.size == dw_store_geometry(store)->volume_size;
    bool is_wanted = store->options.keep_retired || store->blank_count < store->superblock.blanks;
    *place = row->place;
    *is_recycled = false;
    int result = -EEXIST;
    if (is_whole && is_wanted && store->blank_count < DW_BLANKS_MAX)
        result = ops->recycle(store->places, place);
    if (result == 0)
        *is_recycled = true;
    else if (result == -EEXIST || dw_is_no_space(result)) /* not wanted, or no name is left for one more blank */
        result = ops->remove(store->places, place);
    if (result == 0)
        result = ops->sync_names(store->places);
    return result;
}

/* Readers may come back: nothing was done. */
static void give_back(struct dw_store *store, struct dw_row *row, enum dw_row_state state)
{
    pthread_mutex_lock(&store->mutex);
    row->state = state;
    row->retry_ns = dw_store_now(store) + DW_RETIRE_RETRY_NS;
    dw_row_shut(store, row);
    pthread_mutex_unlock(&store->mutex);
}

static void drop_row(struct dw_store *store, struct dw_row *row, const struct dw_place *place, bool is_recycled)
{
    pthread_mutex_lock(&store->mutex);
    dw_table_remove(store, row);
    if (is_recycled)
        dw_blanks_push(store, place);
    pthread_mutex_unlock(&store->mutex);
    atomic_fetch_add_explicit(is_recycled ? &store->recycled : &store->unlinked, 1, memory_order_relaxed);
}

/* Overwrite one more piece. *is_done: all of it, durably. The header blocks hold nothing of the user's. */
static int wipe_piece(struct dw_store *store, struct dw_row *row, bool *is_done)
{
    const struct dw_geometry *geometry = dw_store_geometry(store);
    uint64_t headers = (uint64_t)DW_VOLUME_HEADER_BLOCKS * geometry->block_size;
    uint64_t left = geometry->volume_size - headers - row->wiped;
    size_t size = (size_t)dw_min_u64(left, DW_FILL_CHUNK_BUSY);
    int result = 0;
    if (size > 0)
        result = dw_file_write(row->volume.file, store->zeros, size, row->volume.base + headers + row->wiped);
    else
        result = dw_file_sync(row->volume.file);
    row->wiped += size;
    *is_done = result == 0 && size == 0;
    uint64_t rate = store->options.fill_bytes_per_second;
    store->wiping.not_before_ns = rate == 0 ? 0 : dw_store_now(store) + (uint64_t)((double)size * 1e9 / (double)rate);
    store->wiping.row = *is_done ? NULL : row;
    return result;
}

static bool is_to_wipe(const struct dw_store *store, const struct dw_row *row)
{
    return store->options.is_wiping && row->place.size == dw_store_geometry(store)->volume_size;
}

int dw_retire_row(struct dw_store *store, struct dw_row *row, bool *is_retired)
{
    *is_retired = false;
    pthread_mutex_lock(&store->mutex);
    enum dw_row_state state = row->state;
    bool is_pinned = row->volume.pins != 0;
    if (!is_pinned)
        row->state = DW_ROW_RETIRING; /* from here on nobody in this process can pin it */
    pthread_mutex_unlock(&store->mutex);
    if (is_pinned)
        return 0;
    int result = take_from_readers(store, row);
    if (result == -EAGAIN || dw_is_shortage(result)) { /* a reader elsewhere, or no descriptor or memory for now */
        give_back(store, row, state);
        return 0;
    }
    struct dw_place place;
    bool is_recycled = false, is_wiped = true;
    if (result == 0 && is_to_wipe(store, row))
        result = wipe_piece(store, row, &is_wiped);
    if (result == 0 && !is_wiped)
        return 0;
    if (result == 0)
        result = take_name(store, row, &place, &is_recycled);
    /* Another process has the device's superblock, and takes long: the volume stays what it is. */
    if (result == -EAGAIN) {
        give_back(store, row, state);
        return 0;
    }
    if (dw_is_no_space(result)) /* giving space back needs none: the device's failure */
        return dw_fail_device_at(result, row->volume.number, DWAL_NO_LSN, DWAL_NO_LSN, "%s/%s cannot be retired",
                                 store->disk->path, row->place.name);
    if (result != 0)
        return dw_fail_system_at(result, row->volume.number, DWAL_NO_LSN, DWAL_NO_LSN, "%s/%s cannot be retired",
                                 store->disk->path, row->place.name);
    drop_row(store, row, &place, is_recycled);
    *is_retired = true;
    return 0;
}

/* ---- the maker's part ---- */

static bool is_free(const struct dw_store *store, const struct dw_row *row, uint64_t trim)
{
    if (row->state == DW_ROW_ABANDONED)
        return true;
    if (row->state != DW_ROW_SETTLED || !is_ours(row))
        return false;
    if (row->is_in_chain)
        return dw_table_end(store, row) <= trim;
    return dw_end_lsn_of_volume(dw_store_geometry(store), row->volume.number) <= trim;
}

/* The first volume that may go now. *is_waiting: one may go, but not yet. */
static struct dw_row *find_free(struct dw_store *store, bool *is_waiting)
{
    uint64_t now = dw_store_now(store), trim = dw_store_first(store);
    struct dw_row *found = NULL;
    *is_waiting = false;
    pthread_mutex_lock(&store->mutex);
    for (size_t i = 0; i < store->row_count && !found; i++) {
        struct dw_row *row = store->rows[i];
        bool is_abandoned = row->state == DW_ROW_ABANDONED;
        if (!is_abandoned && dw_first_lsn_of_volume(dw_store_geometry(store), row->volume.number) >= trim)
            continue;
        if (!is_free(store, row, trim) || row->volume.pins != 0)
            continue; /* the last unpin tells us */
        if (now < row->retry_ns)
            *is_waiting = true;
        else
            found = row;
    }
    pthread_mutex_unlock(&store->mutex);
    return found;
}

int dw_retire_step(struct dw_store *store, bool *is_worked, uint64_t *wait_ns)
{
    *is_worked = false;
    if (store->wiping.row) {
        uint64_t now = dw_store_now(store);
        if (now < store->wiping.not_before_ns) {
            *wait_ns = dw_min_u64(*wait_ns, store->wiping.not_before_ns - now);
            return 0;
        }
        *is_worked = true;
        bool is_retired;
        return dw_retire_row(store, store->wiping.row, &is_retired);
    }
    /* Cleared before looking, so that what happens while we look is not missed. */
    if (!atomic_exchange_explicit(&store->is_retire_due, false, memory_order_acq_rel)) /* pairs: STORE-RETIRE */
        return 0;
    bool is_waiting = false;
    struct dw_row *row = find_free(store, &is_waiting);
    if (!row && !is_waiting)
        return 0;
    atomic_store_explicit(&store->is_retire_due, true, memory_order_release); /* pairs: STORE-RETIRE */
    if (row) {
        *is_worked = true;
        bool is_retired;
        return dw_retire_row(store, row, &is_retired);
    }
    *wait_ns = dw_min_u64(*wait_ns, DW_RETIRE_RETRY_NS);
    return 0;
}
