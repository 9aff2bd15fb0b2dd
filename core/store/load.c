/* load.c - what is there: superblock, names, and of each volume the header and the TOC. Reads only.
 *
 * Called by: dw_store_load, dw_store_lock (again, when it had to wait) and dw_store_refresh; one thread, or under `mutex`.
 * Happy path: superblock -> names -> headers and TOCs (fetch.c) -> chain.
 * Failure: damage is a verdict in the row, a device error a `read_error` in the row; only what stops the whole look
 * (no superblock, no memory, no descriptors, a directory that cannot be listed) fails. */
#include <string.h>

#include "base/bits.h"
#include "core/store/state.h"

enum { READER_ATTEMPTS = 4 };

/* ---- names ---- */

static int add_stranger(struct dw_store *store, const char *name, const char *why)
{
    if (!store->is_loaded) /* said once; and a refresh runs under the mutex, where no hook is called */
        dw_store_tell(store, DWAL_EVENT_WARNING, "%s/%s is none of this log's files (%s): it is left alone",
                      store->disk->path, name, why);
    if (store->stranger_count == DW_STRANGERS_MAX)
        return 0;
    size_t size = strlen(name) + 1;
    char *copy = dw_alloc(size);
    if (!copy)
        return -ENOMEM;
    memcpy(copy, name, size);
    store->strangers[store->stranger_count++] = copy;
    return 0;
}

static int take_note(void *context, enum dw_place_kind kind, uint32_t number, const char *name,
                     const struct dw_place *place)
{
    struct dw_store *store = context;
    switch (kind) {
    case DW_PLACE_VOLUME: {
        struct dw_row *row = dw_table_find(store, number);
        if (!row)
            row = dw_table_add(store, number, place);
        if (!row)
            return -ENOMEM;
        row->is_seen = true;
        row->place.size = place->size;
        row->volume.file_size = place->base + place->size;
        return 0;
    }
    case DW_PLACE_BLANK:
        if (place->size != dw_store_geometry(store)->volume_size)
            return add_stranger(store, name, "wrong size");
        dw_blanks_push(store, place);
        return 0;
    case DW_PLACE_STRANGER:
        return add_stranger(store, name, "wrong digits");
    case DW_PLACE_TEMPORARY:
        store->has_leftovers = true;
        break;
    case DW_PLACE_SUPERBLOCK:
        break;
    }
    return 0;
}

static int list_names(struct dw_store *store)
{
    for (size_t i = 0; i < store->row_count; i++)
        store->rows[i]->is_seen = false;
    store->blank_count = 0;
    store->has_leftovers = false;
    while (store->stranger_count > 0)
        dw_free(store->strangers[--store->stranger_count]);
    int result = store->places->ops->list(store->places, take_note, store);
    if (result == -ENOMEM)
        return dw_fail(DWAL_EMEMORY, "no memory for the table of volumes of %s", store->disk->path);
    if (result != 0)
        return dw_store_fail_places(store, result, "%s cannot be listed", store->disk->path);
    return 0;
}

/* ---- rows ---- */

static int load_rows(struct dw_store *store)
{
    int result = dw_fetch_rows(store);
    if (result != 0)
        return result;
    for (size_t i = store->row_count; i > 0; i--) {
        struct dw_row *row = store->rows[i - 1];
        if (!row->is_seen && row->volume.pins == 0)
            dw_table_remove(store, row);
    }
    dw_table_link(store);
    return 0;
}

/* ---- all ---- */

struct presence {
    bool has_volume, has_superblock;
};

static int note_presence(void *context, enum dw_place_kind kind, uint32_t number, const char *name,
                         const struct dw_place *place)
{
    struct presence *presence = context;
    (void)number;
    (void)name;
    (void)place;
    if (kind == DW_PLACE_VOLUME)
        presence->has_volume = true;
    if (kind == DW_PLACE_SUPERBLOCK)
        presence->has_superblock = true;
    return 0;
}

static int refuse_without_superblock(struct dw_store *store)
{
    struct presence presence = {0};
    const char *path = store->disk->path;
    int result = store->places->ops->list(store->places, note_presence, &presence);
    if (result != 0)
        return dw_fail_system(result, "%s cannot be listed", path);
    bool is_unfinished = false;
    if (presence.has_volume) {
        result = dw_create_is_unfinished(store->places, &is_unfinished);
        if (result != 0)
            return dw_fail_system(result, "the volumes of %s cannot be read", path);
    }
    if (is_unfinished)
        return dw_fail(DWAL_ENOLOG, "the creation of a log in %s was interrupted: create it again", path);
    if (presence.has_volume)
        return dw_fail(DWAL_ELOST, "%s has volumes but no superblock file dwal.super", path);
    return dw_fail(DWAL_ENOLOG, "there is no log in %s", path);
}

static int open_superblock(struct dw_store *store)
{
    bool is_writing = !store->options.is_read_only;
    int result = store->places->ops->super_open(store->places, is_writing);
    if (result == -ENOENT && store->places->why[0] == '\0')
        return refuse_without_superblock(store);
    if (result != 0)
        return dw_store_fail_places(store, result, "the superblock of the log in %s cannot be opened",
                                    store->disk->path);
    if (!is_writing)
        return 0;
    /* Taken before anything is read, so that what is read cannot be changed by a writer that is about to end. When
     * somebody has it, dw_store_lock waits for it and has everything read again. */
    result = store->places->ops->super_lock(store->places, DW_LOCK_EXCLUSIVE);
    if (result != 0 && result != -EAGAIN)
        return dw_store_fail_places(store, result, "the superblock of the log in %s cannot be locked",
                                    store->disk->path);
    store->is_locked = result == 0;
    return 0;
}

int dw_load_all(struct dw_store *store)
{
    int result = store->is_loaded ? 0 : open_superblock(store);
    /* Asked before as well: one that ends while we look has changed as much as one that lives. */
    bool had_writer = result == 0 && store->options.is_read_only && dw_store_has_writer(store);
    if (result == 0)
        result = dw_superblock_load(store);
    if (result == 0)
        result = dw_store_allocate_work(store);
    uint64_t sequence = 0;
    for (int attempt = 0; result == 0 && attempt < READER_ATTEMPTS; attempt++) {
        sequence = store->superblock.sequence;
        result = list_names(store);
        if (result == 0)
            result = load_rows(store);
        if (result != 0 || !store->options.is_read_only || !(had_writer || dw_store_has_writer(store)))
            break;
        /* A live writer may have claimed or trimmed meanwhile: names and superblock should be of one moment. */
        result = dw_superblock_load(store);
        if (result == 0)
            dw_table_link(store);
        if (store->superblock.sequence == sequence)
            break;
    }
    store->is_loaded = result == 0 || store->is_loaded;
    return result;
}

int dw_store_load(struct dw_disk *disk, const struct dw_store_options *options, struct dw_store **store)
{
    *store = NULL;
    struct dw_store *made = dw_store_new(disk, options);
    if (!made)
        return dw_fail(DWAL_EMEMORY, "no memory to load the log in %s", disk->path);
    int result = dw_load_all(made);
    if (result != 0) {
        (void)dw_store_close(made, false, 0);
        return result;
    }
    *store = made;
    return 0;
}

int dw_store_refresh(struct dw_store *store)
{
    dw_assert(store->options.is_read_only);
    pthread_mutex_lock(&store->mutex);
    int result = dw_load_all(store);
    pthread_mutex_unlock(&store->mutex);
    return result;
}
