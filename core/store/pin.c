/* pin.c - readers' hold on a volume, and the small cache of open files behind it.
 *
 * Called by: readers on any thread (never on the commit path), under `mutex`; the maker gives files back to the cache.
 * Happy path: find the row -> open its file if it is not open -> count. At most DW_OPEN_FILES_MAX files that nobody has
 * pinned stay open. In a read-only store a pin is also a shared lock that keeps the writer's process from retiring the
 * volume, and after taking it the header is read again: only then the file is known to be still that volume. Who reads on into the
 * next volume has the header among what it reads anyway, and brings it: one read less, for which nobody has to wait.
 * Failure: DWAL_ETRIMMED when the volume is being retired or gone, DWAL_EDEVICE and the like from opening it.
 * Closing: a store may be closed only when nothing is pinned. */
#include "core/store/state.h"

/* ---- open files ---- */

void dw_row_shut(struct dw_store *store, struct dw_row *row)
{
    if (!row->volume.file)
        return;
    store->places->ops->shut(store->places, &row->place, row->volume.file);
    row->volume.file = NULL;
    row->is_writable = false;
    row->is_held = false;
    row->is_pin_locked = false;
    row->is_proven = false;
    store->open_count--;
}

static struct dw_row *least_recently_used(const struct dw_store *store, uint32_t *idle_count)
{
    struct dw_row *oldest = NULL;
    *idle_count = 0;
    for (size_t i = 0; i < store->row_count; i++) {
        struct dw_row *row = store->rows[i];
        if (!row->volume.file || row->is_held || row->volume.pins != 0 || row->state == DW_ROW_RETIRING)
            continue;
        (*idle_count)++;
        if (!oldest || row->used_at < oldest->used_at)
            oldest = row;
    }
    return oldest;
}

/* Called when a file became idle: at most one too many is open. */
static void trim_cache(struct dw_store *store)
{
    if (store->open_count <= DW_OPEN_FILES_MAX)
        return;
    uint32_t idle_count;
    struct dw_row *oldest = least_recently_used(store, &idle_count);
    if (idle_count > DW_OPEN_FILES_MAX)
        dw_row_shut(store, oldest);
}

int dw_row_open(struct dw_store *store, struct dw_row *row)
{
    row->used_at = ++store->tick;
    if (row->volume.file)
        return 0;
    int result = store->places->ops->open(store->places, &row->place, DW_OPEN_READ, &row->volume.file);
    if (result != 0)
        row->volume.file = NULL;
    else
        store->open_count++;
    return result;
}

void dw_row_let_go(struct dw_store *store, struct dw_row *row)
{
    pthread_mutex_lock(&store->mutex);
    row->is_held = false;
    row->used_at = ++store->tick;
    if (row->volume.pins == 0)
        dw_row_shut(store, row);
    else if (row->volume.file) /* readers go on with the same file; if the lock stays, it stays until they end */
        (void)store->places->ops->lock(store->places, &row->place, row->volume.file, DW_LOCK_WRITER, DW_LOCK_NONE);
    pthread_mutex_unlock(&store->mutex);
}

/* ---- pins ---- */

static int refuse_pin(const struct dw_store *store, uint32_t number)
{
    bool is_before_all = store->row_count > 0 && number < store->rows[0]->volume.number;
    if (is_before_all || dw_end_lsn_of_volume(dw_store_geometry(store), number) <= dw_store_first(store))
        return dw_fail_at(DWAL_ETRIMMED, number, DWAL_NO_LSN, DWAL_NO_LSN, "volume %u of %s was trimmed away", number,
                          store->disk->path);
    return dw_fail_at(DWAL_ENOTFOUND, number, DWAL_NO_LSN, DWAL_NO_LSN, "there is no volume %u in %s", number,
                      store->disk->path);
}

static int refuse_retired(const struct dw_store *store, uint32_t number)
{
    return dw_fail_at(DWAL_ETRIMMED, number, DWAL_NO_LSN, DWAL_NO_LSN, "volume %u of %s was trimmed away by its writer",
                      number, store->disk->path);
}

/* Read-only stores: keep other processes from retiring it. */
static int lock_pin(struct dw_store *store, struct dw_row *row)
{
    const struct dw_places_ops *ops = store->places->ops;
    uint32_t number = row->volume.number;
    int result = ops->lock(store->places, &row->place, row->volume.file, DW_LOCK_PIN, DW_LOCK_SHARED);
    if (result == -EAGAIN)
        return refuse_retired(store, number);
    if (result != 0)
        return dw_fail_system_at(result, number, DWAL_NO_LSN, DWAL_NO_LSN, "%s/%s cannot be locked", store->disk->path,
                                 row->place.name);
    row->is_pin_locked = true;
    return 0;
}

/* Does the header say that this is another volume by now? */
static bool is_another(const struct dw_store *store, const struct dw_row *row, const uint8_t *blocks)
{
    const struct dw_geometry *geometry = dw_store_geometry(store);
    struct dw_volume_info info;
    bool is_misplaced = false;
    for (size_t i = 0; i < DW_VOLUME_HEADER_BLOCKS; i++) {
        enum dw_decoded verdict = dw_volume_header_decode(geometry, &store->superblock.identity,
                                                          blocks + i * geometry->block_size, row->volume.number, &info);
        /* One copy is enough: the other may have been overwritten by a misdirected write. */
        if (verdict == DW_DECODED_OK || verdict == DW_DECODED_BAD_TAG)
            return false;
        is_misplaced |= verdict == DW_DECODED_MISPLACED;
        /* A slot of a device says by its header that it is a blank now, nobody's, or another log's. */
        is_misplaced |= row->place.slot != 0 && (verdict == DW_DECODED_FOREIGN || verdict == DW_DECODED_BAD_MAGIC);
    }
    return is_misplaced;
}

/* Make sure that the locked volume still is what its name said. */
static int prove_pin(struct dw_store *store, struct dw_row *row)
{
    size_t done, size = (size_t)DW_VOLUME_HEADER_BLOCKS * dw_store_geometry(store)->block_size;
    uint8_t *blocks = dw_work_blocks(store);
    /* Not sound: nothing to compare with, and whoever reads damaged volumes checks every block anyway. */
    if (dw_row_is_sound(row)) {
        int result = dw_load_read(store, row->volume.file, blocks, size, row->volume.base, &done);
        /* Unreadable is not retired; the reader meets it by itself. */
        if (result == 0 && done == size && is_another(store, row, blocks))
            return refuse_retired(store, row->volume.number);
    }
    row->is_proven = true;
    return 0;
}

static void unlock_pin(struct dw_store *store, struct dw_row *row)
{
    if (!row->is_pin_locked)
        return;
    row->is_pin_locked = row->is_proven = false;
    int result = store->places->ops->lock(store->places, &row->place, row->volume.file, DW_LOCK_PIN, DW_LOCK_NONE);
    if (result != 0)
        dw_row_shut(store, row); /* a closed file holds no lock */
}

static int pin_row(struct dw_store *store, struct dw_row *row, bool is_unread)
{
    int result = dw_row_open(store, row);
    if (result == -ENOENT && store->options.is_read_only)
        return refuse_retired(store, row->volume.number);
    if (result != 0)
        return dw_fail_system_at(result, row->volume.number, DWAL_NO_LSN, DWAL_NO_LSN, "%s/%s cannot be opened",
                                 store->disk->path, row->place.name);
    if (store->options.is_read_only && row->volume.pins == 0)
        result = lock_pin(store, row);
    if (result == 0 && store->options.is_read_only && !is_unread && !row->is_proven)
        result = prove_pin(store, row);
    if (result == 0)
        row->volume.pins++;
    else if (row->volume.pins == 0)
        dw_row_shut(store, row);
    return result;
}

static int pin(struct dw_store *store, uint32_t number, bool is_unread, struct dw_volume **volume)
{
    *volume = NULL;
    pthread_mutex_lock(&store->mutex);
    struct dw_row *row = dw_table_find(store, number);
    int result;
    if (!row || row->state == DW_ROW_RETIRING)
        result = refuse_pin(store, number);
    else
        result = pin_row(store, row, is_unread);
    if (result == 0)
        *volume = &row->volume;
    pthread_mutex_unlock(&store->mutex);
    return result;
}

int dw_store_pin(struct dw_store *store, uint32_t number, struct dw_volume **volume)
{
    return pin(store, number, false, volume);
}

int dw_store_pin_unread(struct dw_store *store, uint32_t number, struct dw_volume **volume)
{
    return pin(store, number, true, volume);
}

bool dw_store_prove(struct dw_store *store, struct dw_volume *volume, const uint8_t *header)
{
    struct dw_row *row = dw_row_of(volume);
    pthread_mutex_lock(&store->mutex);
    dw_assert(volume->pins > 0);
    /* A writer's own volumes cannot go while they are pinned. What was proven once stays so until it is unpinned. */
    if (store->options.is_read_only && !row->is_proven)
        row->is_proven = !dw_row_is_sound(row) || !is_another(store, row, header);
    bool is_good = row->is_proven || !store->options.is_read_only;
    pthread_mutex_unlock(&store->mutex);
    return is_good;
}

void dw_store_unpin(struct dw_store *store, struct dw_volume *volume)
{
    struct dw_row *row = dw_row_of(volume);
    pthread_mutex_lock(&store->mutex);
    dw_assert(volume->pins > 0);
    volume->pins--;
    bool is_idle = volume->pins == 0;
    bool is_trimmed = is_idle && dw_table_end(store, row) <= dw_store_first(store);
    if (is_idle) {
        unlock_pin(store, row);
        row->used_at = ++store->tick;
        trim_cache(store);
    }
    pthread_mutex_unlock(&store->mutex);
    if (is_trimmed && !store->options.is_read_only) {
        atomic_store_explicit(&store->is_retire_due, true, memory_order_release); /* pairs: STORE-RETIRE */
        dw_store_maker_wake(store);
    }
}
