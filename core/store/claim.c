/* claim.c - a blank gets a number and becomes a volume, before anybody needs it.
 *
 * Called by: the maker (one volume ahead of the head), settle (the volume after a cut) and create (volume 0).
 * Happy path: open the blank, take the writer's lock on it -> header and its copy, durable -> the volume's name -> file and
 * names synced -> row. The caller then makes the superblock know it; only after that may anything be written into it.
 * Failure: a blank on which a late reader in another process still holds a pin is passed over. An error leaves a file
 * under the volume's or the blank's name: recovery abandons the one, the next claim overwrites the other. */
#include <string.h>

#include "core/store/state.h"

void dw_row_reset_content(struct dw_row *row)
{
    struct dw_volume *volume = &row->volume;
    volume->first_lsn = DWAL_NO_LSN;
    volume->last_start_block = DWAL_NO_LSN;
    volume->entry_count = 0;
    volume->time_first = volume->time_last = 0;
    volume->is_spilling = false;
}

static int open_and_lock(struct dw_store *store, const struct dw_place *place, struct dw_file **file)
{
    const struct dw_places_ops *ops = store->places->ops;
    int result = ops->open(store->places, place, DW_OPEN_WRITE, file);
    if (result != 0) {
        *file = NULL;
        return result;
    }
    result = ops->lock(store->places, place, *file, DW_LOCK_WRITER, DW_LOCK_EXCLUSIVE);
    if (result != 0) {
        ops->shut(store->places, place, *file);
        *file = NULL;
    }
    return result;
}

int dw_row_open_writable(struct dw_store *store, struct dw_row *row)
{
    if (row->is_writable) {
        row->is_held = true;
        return 0;
    }
    struct dw_file *file;
    int result = open_and_lock(store, &row->place, &file);
    if (result == -EAGAIN)
        return dw_fail_at(DWAL_EBUSY, row->volume.number, DWAL_NO_LSN, DWAL_NO_LSN,
                          "writes of another process to %s/%s are not finished", store->disk->path, row->place.name);
    if (result != 0)
        return dw_fail_system_at(result, row->volume.number, DWAL_NO_LSN, DWAL_NO_LSN,
                                 "%s/%s cannot be opened for writing", store->disk->path, row->place.name);
    pthread_mutex_lock(&store->mutex);
    dw_assert(row->volume.pins == 0);
    dw_row_shut(store, row);
    row->volume.file = file;
    row->is_writable = row->is_held = true;
    store->open_count++;
    pthread_mutex_unlock(&store->mutex);
    return 0;
}

/* Take a blank that nobody reads any more out of the list, open and locked. A reader that opened the file under its old
 * name just before it was recycled may hold a pin; it goes on until the reader ends. NULL file: there is none. */
static int take_blank(struct dw_store *store, struct dw_place *place, struct dw_file **file)
{
    const struct dw_places_ops *ops = store->places->ops;
    *file = NULL;
    for (uint32_t i = 0; i < store->blank_count; i++) {
        *place = store->blanks[i];
        int result = open_and_lock(store, place, file);
        if (result != 0)
            return result;
        result = ops->lock(store->places, place, *file, DW_LOCK_PIN, DW_LOCK_EXCLUSIVE);
        if (result != 0) {
            ops->shut(store->places, place, *file);
            *file = NULL;
        }
        if (result == -EAGAIN)
            continue;
        if (result != 0)
            return result;
        pthread_mutex_lock(&store->mutex);
        dw_blanks_drop_at(store, i);
        pthread_mutex_unlock(&store->mutex);
        return 0;
    }
    return 0;
}

static int write_header(struct dw_store *store, const struct dw_volume_info *info, const struct dw_place *place,
                        struct dw_file *file)
{
    const struct dw_geometry *geometry = dw_store_geometry(store);
    uint32_t block_size = geometry->block_size;
    uint8_t *blocks = dw_work_blocks(store);
    dw_volume_header_encode(geometry, &store->superblock.identity, info, blocks);
    memcpy(blocks + block_size, blocks, block_size);
    /* On a device the header is what makes a slot a volume, so one copy must be whole whenever a crash comes. A file is still
     * a blank by its name, and whatever lies in a blank is overwritten: there both go out together. */
    size_t piece = place->slot != 0 ? block_size : (size_t)DW_VOLUME_HEADER_BLOCKS * block_size;
    for (size_t done = 0; done < (size_t)DW_VOLUME_HEADER_BLOCKS * block_size; done += piece) {
        int result = dw_file_write_durable(file, blocks + done, piece, place->base + done);
        if (result != 0)
            return result;
    }
    return 0;
}

/* Header first: a file never carries a volume's name without its header. *is_blank: it is still under a blank's name. */
static int make_volume(struct dw_store *store, const struct dw_volume_info *info, struct dw_place *place,
                       struct dw_file *file, bool *is_blank)
{
    const struct dw_places_ops *ops = store->places->ops;
    *is_blank = false;
    int result = write_header(store, info, place, file);
    if (result == 0) {
        result = ops->claim(store->places, place, info->number);
        *is_blank = result != 0;
    }
    if (result == 0)
        result = dw_file_sync(file); /* nothing of the inode is left to a later DSYNC write */
    if (result == 0)
        result = ops->sync_names(store->places);
    if (result == 0)
        result = ops->lock(store->places, place, file, DW_LOCK_PIN, DW_LOCK_NONE);
    return result;
}

/* A shortage that left the blank a blank may heal. Any other one of a file that was written before is the device's failure,
 * whatever its errno says elsewhere. */
static int refuse_claim(struct dw_store *store, uint32_t number, bool is_blank, int result)
{
    const char *path = store->disk->path;
    store->is_claim_blocked = is_blank && dw_is_shortage(result);
    if (!is_blank && dw_is_shortage(result))
        return dw_fail_device_at(result, number, DWAL_NO_LSN, DWAL_NO_LSN,
                                 "making volume %u of %s out of a blank failed", number, path);
    return dw_fail_system_at(result, number, DWAL_NO_LSN, DWAL_NO_LSN, "making volume %u of %s out of a blank failed",
                             number, path);
}

static struct dw_row *add_claimed_row(struct dw_store *store, const struct dw_volume_info *info,
                                      const struct dw_place *place, struct dw_file *file)
{
    pthread_mutex_lock(&store->mutex);
    struct dw_row *row = dw_table_add(store, info->number, place);
    dw_assert(row != NULL); /* it was reserved */
    row->volume.header = *info;
    row->volume.header_verdict = DW_DECODED_OK;
    row->volume.is_header_doubled = true;
    row->volume.file = file;
    row->is_writable = row->is_held = true;
    row->is_in_chain = true;
    row->state = DW_ROW_ACTIVE;
    store->open_count++;
    pthread_mutex_unlock(&store->mutex);
    return row;
}

/* A longer name may need one more block of the directory, which a full disk does not have. */
static void keep_blank(struct dw_store *store, const struct dw_place *place)
{
    pthread_mutex_lock(&store->mutex);
    dw_blanks_push(store, place);
    pthread_mutex_unlock(&store->mutex);
}

int dw_claim_volume(struct dw_store *store, const struct dw_volume_info *wanted, struct dw_row **row)
{
    struct dw_volume_info made = *wanted, *info = &made;
    struct dw_place place;
    struct dw_file *file;
    *row = NULL;
    pthread_mutex_lock(&store->mutex);
    bool has_row = dw_table_reserve(store);
    pthread_mutex_unlock(&store->mutex);
    int result = has_row ? take_blank(store, &place, &file) : -ENOMEM;
    if (result != 0)
        return refuse_claim(store, info->number, true, result);
    store->is_claim_blocked = false;
    if (!file)
        return 0;
    info->slot = place.slot;
    info->slot_uses = place.slot != 0 ? place.uses + 1 : 0;
    bool is_blank;
    result = make_volume(store, info, &place, file, &is_blank);
    if (result != 0) {
        store->places->ops->shut(store->places, &place, file);
        if (is_blank)
            keep_blank(store, &place);
        return refuse_claim(store, info->number, is_blank, result);
    }
    *row = add_claimed_row(store, info, &place, file);
    store->last_number = info->number;
    atomic_fetch_add_explicit(&store->claimed, 1, memory_order_relaxed);
    return 0;
}

void dw_claim_publish_space(struct dw_store *store, const struct dw_row *row)
{
    uint64_t end = dw_end_lsn_of_volume(dw_store_geometry(store), row->volume.number);
    dw_assert(end > atomic_load_explicit(&store->space, memory_order_relaxed));
    atomic_store_explicit(&store->space, end, memory_order_release); /* pairs: STORE-SPACE */
}

void dw_claim_publish(struct dw_store *store, struct dw_row *row)
{
    dw_assert(atomic_load_explicit(&store->next, memory_order_relaxed) == NULL); /* only we set it */
    atomic_store_explicit(&store->next, row, memory_order_release);              /* pairs: STORE-NEXT */
    dw_claim_publish_space(store, row);
}
