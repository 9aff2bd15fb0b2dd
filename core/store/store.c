/* store.c - the store as the rest of the log sees it: making and releasing one, looking at it, the flusher's four calls.
 *
 * Called by: open and close (one thread); the flusher and the appenders (head, next, advance, space: atomics only);
 * readers (find, successor, first_from: under the mutex).
 * Failure: the first failed write or sync stops the store (dw_store_stop): it is told once, nothing is written any more.
 * Closing: when asked to and nothing failed: TOCs that are due, the head's open TOC, then the superblock CLEAN, in this
 * order. Then every file, lock and byte of memory is released, whatever happened. */
#include "core/store/store.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "alloc/arena.h"
#include "base/bits.h"
#include "core/store/state.h"

/* ---- making ---- */

struct dw_store *dw_store_new(struct dw_disk *disk, const struct dw_store_options *options)
{
    struct dw_store *store = dw_alloc_io(sizeof *store, DW_BLOCK_SIZE_MIN); /* aligned for its cache lines */
    if (!store)
        return NULL;
    store->disk = disk;
    store->options = *options;
    if (!store->options.clock)
        store->options.clock = &dw_clock_system;
    store->last_number = DW_VOLUME_NUMBER_NONE;
    pthread_mutex_init(&store->mutex, NULL);
    pthread_mutex_init(&store->superblock_mutex, NULL);
    store->arena = options->arena ? options->arena : dw_arena_open(0, DW_STORE_MEMORY_MAX);
    store->blanks = dw_alloc(DW_BLANKS_MAX * sizeof *store->blanks);
    store->strangers = dw_alloc(DW_STRANGERS_MAX * sizeof *store->strangers);
    bool has_rows = dw_pool_init(&store->row_pool, sizeof(struct dw_row), DW_ROWS_AT_ONCE) == 0;
    int result = disk->is_device ? dw_places_device_open(disk, disk->part, store->arena, &store->places)
                                 : dw_places_directory_open(disk, &store->places);
    if (!has_rows || !store->arena || !store->blanks || !store->strangers || result != 0) {
        (void)dw_store_close(store, false, 0);
        return NULL;
    }
    store->places->load_threads = options->load_threads;
    store->places->is_reading_plainly = options->is_reading_plainly;
    return store;
}

int dw_store_allocate_work(struct dw_store *store)
{
    if (store->work)
        return 0;
    const struct dw_geometry *geometry = dw_store_geometry(store);
    uint32_t kept = (uint32_t)dw_min_u64(store->options.table_keep, geometry->toc_length);
    uint32_t kept_at_once = kept > 0 ? (DW_TABLES_AT_ONCE + kept - 1) / kept : 0;
    if (kept > 0 && dw_pool_init(&store->table_pool, kept, kept_at_once) < 0)
        return dw_fail(DWAL_EMEMORY, "no memory for the tables of the log in %s", store->disk->path);
    size_t size = dw_toc_area_size(geometry) + (size_t)2 * geometry->block_size;
    if (!store->options.is_read_only)
        size += dw_align_up((uint64_t)geometry->toc_length + 1, geometry->block_size);
    store->work = dw_arena_take(store->arena, size, geometry->block_size);
    if (store->work && !store->options.is_read_only) {
        store->superblock_block = dw_arena_take(store->arena, geometry->block_size, geometry->block_size);
        store->zeros = dw_arena_take(store->arena, DW_FILL_CHUNK, geometry->block_size);
        if (store->superblock_block && store->zeros)
            return 0;
    } else if (store->work) {
        return 0;
    }
    return dw_fail(DWAL_EMEMORY, "no memory for the buffers of the log in %s", store->disk->path);
}

/* ---- failing and telling ---- */

bool dw_store_is_stopped(struct dw_store *store)
{
    return atomic_load_explicit(&store->is_failed, memory_order_acquire); /* pairs: STORE-FAILED */
}

int dw_store_stop(struct dw_store *store, int code)
{
    bool was_failed = atomic_exchange_explicit(&store->is_failed, true, memory_order_acq_rel); /* pairs: STORE-FAILED */
    if (!was_failed && store->options.hooks.on_failure) {
        struct dwal_error error = *dwal_last_error();
        store->options.hooks.on_failure(store->options.hooks.context, &error);
    }
    return code;
}

void dw_store_tell(struct dw_store *store, enum dwal_event_level level, const char *format, ...)
{
    if (!store->options.hooks.on_event)
        return;
    char text[700];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    store->options.hooks.on_event(store->options.hooks.context, level, text);
}

int dw_store_fail_places(struct dw_store *store, int result, const char *format, ...)
{
    if (store->places->why[0] != '\0')
        return dw_fail(store->places->code, "%s", store->places->why);
    char text[300];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    return dw_fail_system(result, "%s", text);
}

uint64_t dw_store_durable_block(struct dw_store *store)
{
    if (!store->options.hooks.durable_block)
        return store->superblock.watermark;
    return store->options.hooks.durable_block(store->options.hooks.context);
}

/* ---- looking ---- */

bool dw_store_may_start_threads(const struct dw_store *store)
{
    return store->options.load_threads > 1;
}

bool dw_store_reads_plainly(const struct dw_store *store)
{
    return store->options.is_reading_plainly;
}

const struct dw_superblock_info *dw_store_superblock(const struct dw_store *store)
{
    return &store->superblock;
}

uint32_t dw_store_superblock_copies(const struct dw_store *store)
{
    /* A damaged copy of the device's own superblock is told like one of the log's: both are mended by the next writer. */
    bool is_maimed = atomic_load_explicit(&store->places->is_superblock_maimed, memory_order_relaxed);
    return is_maimed && store->superblock_copies > 1 ? 1 : store->superblock_copies;
}

struct dw_disk *dw_store_disk(const struct dw_store *store)
{
    return store->disk;
}

struct dw_arena *dw_store_arena(const struct dw_store *store)
{
    return store->arena;
}

size_t dw_store_volume_count(const struct dw_store *store)
{
    return store->row_count;
}

struct dw_volume *dw_store_volume_at(const struct dw_store *store, size_t index)
{
    dw_assert(index < store->row_count);
    return &store->rows[index]->volume;
}

static struct dw_store *unlocked(const struct dw_store *store)
{
    union {
        const struct dw_store *read;
        struct dw_store *write;
    } both = {.read = store}; /* the mutex is not part of what const promises */
    return both.write;
}

struct dw_volume *dw_store_find(const struct dw_store *store, uint32_t number)
{
    pthread_mutex_lock(&unlocked(store)->mutex);
    struct dw_row *row = dw_table_find(store, number);
    pthread_mutex_unlock(&unlocked(store)->mutex);
    return row ? &row->volume : NULL;
}

uint64_t dw_store_read_count(const struct dw_store *store)
{
    return atomic_load_explicit(&store->read_count, memory_order_relaxed) +
           atomic_load_explicit(&store->places->read_count, memory_order_relaxed);
}

size_t dw_store_stranger_count(const struct dw_store *store)
{
    return store->stranger_count;
}

const char *dw_store_stranger_at(const struct dw_store *store, size_t index)
{
    dw_assert(index < store->stranger_count);
    return store->strangers[index];
}

bool dw_store_has_writer(struct dw_store *store)
{
    bool is_held = false;
    int result = store->places->ops->super_lock_test(store->places, &is_held);
    return result == 0 && is_held; /* where locks cannot be tested they cannot be taken */
}

uint32_t dw_store_successor(struct dw_store *store, uint32_t number, uint64_t *end)
{
    pthread_mutex_lock(&store->mutex);
    const struct dw_row *row = dw_table_find(store, number);
    const struct dw_row *successor = dw_table_successor(store, number);
    uint32_t answer = successor ? successor->volume.number : DW_VOLUME_NUMBER_NONE;
    *end = UINT64_MAX;
    if (successor)
        *end = dw_table_end_by(store, number, successor);
    else if (row)
        *end = dw_table_end(store, row);
    pthread_mutex_unlock(&store->mutex);
    return answer;
}

uint32_t dw_store_first_from(struct dw_store *store, uint32_t number)
{
    uint32_t answer = DW_VOLUME_NUMBER_NONE;
    pthread_mutex_lock(&store->mutex);
    for (size_t i = dw_table_lower_bound(store, number); i < store->row_count; i++)
        if (store->rows[i]->is_in_chain) {
            answer = store->rows[i]->volume.number;
            break;
        }
    pthread_mutex_unlock(&store->mutex);
    return answer;
}

uint64_t dw_store_first(const struct dw_store *store)
{
    return atomic_load_explicit(&store->trim, memory_order_acquire); /* pairs: STORE-TRIM */
}

void dw_store_get_counts(struct dw_store *store, struct dw_store_counts *counts)
{
    counts->claimed = atomic_load_explicit(&store->claimed, memory_order_relaxed);
    counts->recycled = atomic_load_explicit(&store->recycled, memory_order_relaxed);
    counts->unlinked = atomic_load_explicit(&store->unlinked, memory_order_relaxed);
    counts->blanks_made = atomic_load_explicit(&store->blanks_made, memory_order_relaxed);
    counts->tocs_written = atomic_load_explicit(&store->tocs_written, memory_order_relaxed);
    pthread_mutex_lock(&store->mutex);
    counts->blanks_ready = store->blank_count;
    pthread_mutex_unlock(&store->mutex);
}

/* ---- the flusher's side ---- */

struct dw_volume *dw_store_head(struct dw_store *store)
{
    struct dw_row *row = atomic_load_explicit(&store->head, memory_order_acquire); /* pairs: STORE-HEAD */
    return row ? &row->volume : NULL;
}

struct dw_volume *dw_store_next(struct dw_store *store)
{
    struct dw_row *row = atomic_load_explicit(&store->next, memory_order_acquire); /* pairs: STORE-NEXT */
    return row ? &row->volume : NULL;
}

void dw_store_advance(struct dw_store *store)
{
    struct dw_row *old = atomic_load_explicit(&store->head, memory_order_relaxed); /* only we write it */
    struct dw_row *row = atomic_load_explicit(&store->next, memory_order_acquire); /* pairs: STORE-NEXT */
    dw_assert(old != NULL);
    dw_assert(row != NULL);
    atomic_store_explicit(&store->head, row, memory_order_release); /* pairs: STORE-HEAD */
    struct dw_row *top = atomic_load_explicit(&store->full, memory_order_relaxed);
    do
        old->next_full = top;
    while (!atomic_compare_exchange_weak_explicit(&store->full, &top, old, memory_order_release, /* pairs: STORE-FULL */
                                                  memory_order_relaxed));
    /* Last: the maker that sees it empty sees the new head and the full volume too. */
    atomic_store_explicit(&store->next, NULL, memory_order_release); /* pairs: STORE-TAKEN */
    dw_store_maker_wake(store);
}

void dw_store_foresee(struct dw_store *store)
{
    if (!store->disk->ops->touch || !atomic_load_explicit(&store->next, memory_order_relaxed))
        return;
    atomic_store_explicit(&store->is_crossing_due, true, memory_order_release); /* pairs: STORE-CROSSING */
    dw_store_maker_wake(store);
}

uint64_t dw_store_space(const struct dw_store *store)
{
    return atomic_load_explicit(&store->space, memory_order_acquire); /* pairs: STORE-SPACE */
}

void dw_store_demand(struct dw_store *store, uint64_t end)
{
    uint64_t demand = atomic_load_explicit(&store->demand, memory_order_relaxed);
    while (demand < end) {
        /* release; pairs: STORE-DEMAND. The wake below orders it before the maker's next look. */
        if (atomic_compare_exchange_weak_explicit(&store->demand, &demand, end, memory_order_release,
                                                  memory_order_relaxed)) {
            dw_store_maker_wake(store);
            return;
        }
    }
}

bool dw_store_is_out_of_space(const struct dw_store *store)
{
    return atomic_load_explicit(&store->is_out_of_space, memory_order_acquire); /* pairs: STORE-OUT */
}

bool dw_store_is_exhausted(const struct dw_store *store)
{
    return atomic_load_explicit(&store->is_exhausted, memory_order_acquire); /* pairs: STORE-EXHAUSTED */
}
