/* trial.c - lend a free slot of a device for trial writes, before the maker starts. See store.h.
 *
 * Called by: open, after settle, while nobody else of this process uses the store. A slot that is taken is marked as
 * unfinished, so that other logs on the device leave it alone, and a crash leaves it to the next settle.
 * Failure: dw_store_trial_begin answers -errno (-EOPNOTSUPP in a directory: open has better there); nothing is taken then. */
#include <errno.h>

#include "core/store/state.h"

#define BLOCKS_MIN 4u /* a slot with fewer tells nothing */

int dw_store_trial_begin(struct dw_store *store, struct dw_store_trial *trial)
{
    *trial = (struct dw_store_trial){.file = NULL};
    const struct dw_geometry *geometry = dw_store_geometry(store);
    if (!store->disk->is_device)
        return -EOPNOTSUPP;
    if (geometry->volume_size / geometry->block_size < BLOCKS_MIN)
        return -ENOSPC;
    int result = store->places->ops->make_begin(store->places, &trial->place, &trial->file);
    if (result != 0) {
        trial->file = NULL;
        return result;
    }
    /* Not the headers at its start: they say whose it is. */
    trial->from = trial->place.base + trial->place.head_size;
    trial->size = geometry->volume_size - trial->place.head_size;
    return 0;
}

int dw_store_trial_end(struct dw_store *store, struct dw_store_trial *trial)
{
    if (!trial->file)
        return 0;
    store->places->ops->shut(store->places, &trial->place, trial->file);
    trial->file = NULL;
    return store->places->ops->remove(store->places, &trial->place);
}
