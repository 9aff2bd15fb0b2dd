/* close.c - the end of a store: what a clean close writes, and releasing all.
 *
 * Called by: dw_store_close, when flusher and maker are gone; one thread.
 * Happy path: the TOCs that are due -> the unfinished blank is removed -> the head's open TOC -> the superblock CLEAN.
 * Failure: the first error is answered and nothing more is written: the next open finds the log OPEN and recovers.
 * A half-made store is fine: load uses this to clean up. */
#include "alloc/arena.h"
#include "core/store/state.h"

static int write_clean_superblock(struct dw_store *store, uint64_t end)
{
    const struct dw_geometry *geometry = dw_store_geometry(store);
    struct dw_row *head = atomic_load_explicit(&store->head, memory_order_acquire); /* pairs: STORE-HEAD */
    pthread_mutex_lock(&store->superblock_mutex);
    struct dw_superblock_info info = store->superblock;
    info.state = DW_SUPERBLOCK_CLEAN;
    info.clean_end = end;
    info.head = head->volume.number;
    info.watermark = dw_block_of_lsn(geometry, end) + (dw_offset_of_lsn(geometry, end) != 0);
    int result = dw_superblock_write(store, &info);
    pthread_mutex_unlock(&store->superblock_mutex);
    return result;
}

static int write_clean(struct dw_store *store, uint64_t end)
{
    if (dw_store_is_stopped(store))
        return dw_fail(DWAL_EFAILED, "the log in %s stopped at an earlier error: it is not closed clean",
                       store->disk->path);
    int result = 0;
    for (struct dw_row *row = dw_toc_waiting(store); row && result == 0; row = dw_toc_waiting(store))
        result = dw_toc_write_waiting(store, row);
    if (result == 0)
        result = dw_blank_unmake(store);
    if (result == 0)
        result =
            dw_toc_write_open(store, atomic_load_explicit(&store->head, memory_order_acquire), /* pairs: STORE-HEAD */
                              end);
    if (result == 0)
        result = write_clean_superblock(store, end);
    return result;
}

int dw_store_close(struct dw_store *store, bool is_clean, uint64_t end)
{
    if (!store)
        return 0;
    int result = 0;
    if (is_clean && store->is_settled)
        result = write_clean(store, end);
    if (store->making.file)
        store->places->ops->shut(store->places, &store->making.place,
                                 store->making.file); /* its file is swept by the next open */
    dw_table_clear(store);
    dw_pool_destroy(&store->row_pool);
    dw_pool_destroy(&store->table_pool);
    dw_places_close(store->places);
    while (store->stranger_count > 0)
        dw_free(store->strangers[--store->stranger_count]);
    dw_free(store->strangers);
    dw_free(store->blanks);
    if (!store->options.arena)
        dw_arena_close(store->arena);
    pthread_mutex_destroy(&store->mutex);
    pthread_mutex_destroy(&store->superblock_mutex);
    dw_free_io(store);
    return result;
}
