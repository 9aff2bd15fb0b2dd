/* blank.c - making blanks: a volume's worth of space, filled once so that every later write is a pure overwrite.
 *
 * Called by: the maker, settle and create, one thread at a time. Owns the unfinished blank (store->making).
 * Happy path: begin (temporary name, allocate when asked to) -> chunks of zeros without DSYNC -> one fsync -> the name of a
 * blank -> names synced. Each call does one of these, so the caller can pace it.
 * Failure: whatever fails, the temporary file is removed and -errno is answered; when after a shortage even the removal
 * fails, that error is, because nobody would free the space before the next open.
 * Closing: a clean close removes the unfinished one; after a crash the next settle does. */
#include <string.h>

#include "base/bits.h"
#include "core/store/state.h"

void dw_blanks_push(struct dw_store *store, const struct dw_place *place)
{
    dw_assert(store->blank_count < DW_BLANKS_MAX);
    store->blanks[store->blank_count++] = *place;
}

void dw_blanks_drop_at(struct dw_store *store, uint32_t index)
{
    dw_assert(index < store->blank_count);
    store->blank_count--;
    memmove(&store->blanks[index], &store->blanks[index + 1], (store->blank_count - index) * sizeof store->blanks[0]);
}

static int drop_file(struct dw_store *store)
{
    struct dw_making *making = &store->making;
    store->places->ops->shut(store->places, &making->place, making->file);
    making->file = NULL;
    making->filled = 0;
    return store->places->ops->remove(store->places, &making->place);
}

int dw_blank_unmake(struct dw_store *store)
{
    if (!store->making.file)
        return 0;
    int result = drop_file(store);
    if (result != 0 && result != -EAGAIN) /* a device that another process is changing: the next settle gives it back */
        return dw_fail_system(result, "the unfinished %s/%s cannot be removed", store->disk->path,
                              store->making.place.name);
    return 0;
}

static bool is_filled_with_zeros(const struct dw_store *store)
{
    return store->superblock.fill_mode != DWAL_FILL_ALLOCATE;
}

static int begin(struct dw_store *store)
{
    struct dw_making *making = &store->making;
    const struct dw_geometry *geometry = dw_store_geometry(store);
    int result = store->places->ops->make_begin(store->places, &making->place, &making->file);
    if (result != 0) {
        making->file = NULL;
        return result;
    }
    making->filled = making->place.head_size;
    if (making->file->alignment > geometry->block_size)
        return -EINVAL; /* blocks of this log cannot be written here */
    if (store->superblock.fill_mode != DWAL_FILL_ALLOCATE && store->superblock.fill_mode != DWAL_FILL_ALLOCATE_ZERO)
        return 0;
    result = making->file->disk->ops->allocate(making->file, geometry->volume_size);
    if (result == 0 && !is_filled_with_zeros(store))
        making->filled = geometry->volume_size;
    return result == -EOPNOTSUPP ? 0 : result; /* zeros do as well, they only take longer */
}

static int fill_chunk(struct dw_store *store, size_t chunk)
{
    struct dw_making *making = &store->making;
    uint64_t left = dw_store_geometry(store)->volume_size - making->filled;
    size_t size = (size_t)dw_min_u64(left, chunk);
    uint64_t offset = making->place.base + making->filled;
    const struct dw_disk_ops *ops = making->file->disk->ops;
    int result = ops->zero ? ops->zero(making->file, offset, size) : -EOPNOTSUPP;
    if (result == -EOPNOTSUPP)
        result = dw_file_write(making->file, store->zeros, size, offset);
    if (result == 0)
        making->filled += size;
    return result;
}

static int finish(struct dw_store *store, bool *is_made)
{
    struct dw_making *making = &store->making;
    int result = dw_file_sync(making->file);
    if (result == 0)
        result = store->places->ops->make_end(store->places, &making->place);
    if (result == 0)
        result = store->places->ops->sync_names(store->places);
    if (result != 0)
        return result;
    store->places->ops->shut(store->places, &making->place, making->file);
    making->file = NULL;
    making->place.size = dw_store_geometry(store)->volume_size;
    pthread_mutex_lock(&store->mutex);
    dw_blanks_push(store, &making->place);
    pthread_mutex_unlock(&store->mutex);
    atomic_fetch_add_explicit(&store->blanks_made, 1, memory_order_relaxed);
    *is_made = true;
    return 0;
}

int dw_blank_make(struct dw_store *store, size_t chunk, bool *is_made)
{
    struct dw_making *making = &store->making;
    *is_made = false;
    int result;
    if (!making->file)
        result = begin(store);
    else if (making->filled < dw_store_geometry(store)->volume_size)
        result = fill_chunk(store, chunk);
    else
        result = finish(store, is_made);
    if (result != 0 && making->file) {
        int removal = drop_file(store);
        if (removal != 0 && removal != -EAGAIN && dw_is_shortage(result))
            return removal;
    }
    return result;
}
