/* lock.c - the writer's lock, on the very descriptors that carry its writes.
 *
 * Called by: open, right after load; one thread. Owns nothing: the superblock's file and the files of the volumes that may
 * still be written carry the locks, and closing them gives the locks up.
 * Happy path: load got the superblock's lock already -> lock every volume from the superblock's head on.
 * Failure: DWAL_EBUSY after 250 ms. When it had to wait for another writer, everything is loaded again. */
#include <time.h>

#include "core/store/state.h"

enum { LOCK_ATTEMPTS = 26, LOCK_PAUSE_NS = 10000000 };

static void pause_for_lock(void)
{
    struct timespec pause = {.tv_nsec = LOCK_PAUSE_NS};
    nanosleep(&pause, NULL); /* the kernel's clock on purpose: locks are held by real processes */
}

static int lock_superblock(struct dw_store *store, int *attempts)
{
    int result = -EAGAIN;
    for (; *attempts > 0 && result == -EAGAIN; (*attempts)--) {
        pause_for_lock();
        result = store->places->ops->super_lock(store->places, DW_LOCK_EXCLUSIVE);
    }
    if (result == -EAGAIN)
        return dw_fail(DWAL_EBUSY, "another writer has the log in %s", store->disk->path);
    if (result != 0)
        return dw_store_fail_places(store, result, "the superblock of the log in %s cannot be locked",
                                    store->disk->path);
    store->is_locked = true;
    return 0;
}

/* A killed writer's asynchronous writes hold its files, and so their locks, until they end. */
static int lock_volume(struct dw_store *store, struct dw_row *row, int *attempts)
{
    int result = dw_row_open_writable(store, row);
    while (result == DWAL_EBUSY && *attempts > 0) {
        (*attempts)--;
        pause_for_lock();
        result = dw_row_open_writable(store, row);
    }
    return result;
}

int dw_store_lock(struct dw_store *store)
{
    dw_assert(!store->options.is_read_only);
    int attempts = LOCK_ATTEMPTS;
    if (!store->is_locked) {
        int result = lock_superblock(store, &attempts);
        if (result == 0) {
            dw_table_clear(store); /* the writer that we waited for changed it under us */
            result = dw_load_all(store);
        }
        if (result != 0)
            return result;
    }
    /* Those below `head` were complete and durable before the superblock said so. */
    for (size_t i = dw_table_lower_bound(store, store->superblock.head); i < store->row_count; i++) {
        if (store->rows[i]->volume.read_error != 0)
            continue; /* recovery says what that means */
        int result = lock_volume(store, store->rows[i], &attempts);
        if (result != 0)
            return result;
    }
    return 0;
}
