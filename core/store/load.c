/* load.c - what is there: superblock, names, and of each volume the header and the TOC. Reads only.
 *
 * Called by: dw_store_load, dw_store_lock (again, when it had to wait) and dw_store_refresh; one thread, or under `mutex`.
 * Happy path: superblock -> names -> two reads per volume, its file opened and closed again -> chain. A volume that was
 * loaded before and has its final TOC is not read again.
 * Failure: damage is a verdict in the row, a device error a `read_error` in the row; only what stops the whole look
 * (no superblock, no memory, no descriptors, a directory that cannot be listed) fails. */
#include <string.h>

#include "base/bits.h"
#include "core/store/state.h"

enum { READER_ATTEMPTS = 4 };

int dw_load_read(struct dw_store *store, struct dw_file *file, void *bytes, size_t size, uint64_t offset, size_t *done)
{
    *done = 0;
    atomic_fetch_add_explicit(&store->read_count, 1, memory_order_relaxed);
    return dw_file_read(file, bytes, size, offset, done);
}

/* ---- header ---- */

/* How much a verdict tells: the better copy of a header is the one that tells more. */
static int rank_of(enum dw_decoded verdict)
{
    switch (verdict) {
    case DW_DECODED_OK:
        return 7;
    case DW_DECODED_BAD_TAG:
        return 6;
    case DW_DECODED_VERSION:
        return 5;
    case DW_DECODED_FOREIGN:
        return 4;
    case DW_DECODED_MISPLACED:
        return 3;
    case DW_DECODED_IMPOSSIBLE:
        return 2;
    case DW_DECODED_BAD_CRC:
        return 1;
    case DW_DECODED_BAD_MAGIC:
        break;
    }
    return 0;
}

static bool infos_are_alike(const struct dw_volume_info *a, const struct dw_volume_info *b)
{
    return a->number == b->number && a->predecessor == b->predecessor && a->predecessor_end == b->predecessor_end &&
           a->cut == b->cut && a->in_flight_blocks == b->in_flight_blocks && a->epoch == b->epoch &&
           a->claim_time == b->claim_time;
}

/* Both copies in one read; one by one when the device complains, so that a bad sector costs one copy only. */
static void read_header_blocks(struct dw_store *store, struct dw_row *row, struct dw_file *file, uint8_t *blocks)
{
    size_t block_size = dw_store_geometry(store)->block_size;
    size_t done;
    memset(blocks, 0, DW_VOLUME_HEADER_BLOCKS * block_size);
    int result = dw_load_read(store, file, blocks, DW_VOLUME_HEADER_BLOCKS * block_size, row->volume.base, &done);
    if (result == 0)
        return;
    row->volume.read_error = result;
    for (size_t i = 0; i < DW_VOLUME_HEADER_BLOCKS; i++) {
        uint8_t *block = blocks + i * block_size;
        memset(block, 0, block_size);
        if (dw_load_read(store, file, block, block_size, row->volume.base + i * block_size, &done) == 0)
            row->volume.read_error = 0; /* one readable copy is enough to go on */
        else
            memset(block, 0, block_size);
    }
}

static void load_header(struct dw_store *store, struct dw_row *row, struct dw_file *file)
{
    const struct dw_geometry *geometry = dw_store_geometry(store);
    const struct dw_identity *identity = &store->superblock.identity;
    uint8_t *blocks = dw_work_blocks(store);
    struct dw_volume_info first = {0}, second = {0};
    read_header_blocks(store, row, file, blocks);
    enum dw_decoded a = dw_volume_header_decode(geometry, identity, blocks, row->volume.number, &first);
    enum dw_decoded b =
        dw_volume_header_decode(geometry, identity, blocks + geometry->block_size, row->volume.number, &second);
    bool is_second_better = rank_of(b) > rank_of(a);
    row->volume.header_verdict = is_second_better ? b : a;
    row->volume.header = is_second_better ? second : first;
    row->volume.is_header_doubled = a == DW_DECODED_OK && b == DW_DECODED_OK && infos_are_alike(&first, &second);
}

/* ---- TOC ---- */

static void load_toc(struct dw_store *store, struct dw_row *row, struct dw_file *file)
{
    const struct dw_geometry *geometry = dw_store_geometry(store);
    size_t size = dw_toc_area_size(geometry), done;
    uint8_t *area = dw_work_area(store);
    memset(area, 0, size);
    int result = dw_load_read(store, file, area, size, row->volume.base + dw_place_of_toc(geometry), &done);
    if (result != 0) {
        row->volume.read_error = result;
        row->volume.toc_verdict = DW_DECODED_BAD_CRC;
        return;
    }
    struct dw_toc_info *toc = &row->volume.toc;
    row->volume.toc_verdict = dw_toc_decode(geometry, &store->superblock.identity, area, size, row->volume.number, toc);
    bool is_good = row->volume.toc_verdict == DW_DECODED_OK || row->volume.toc_verdict == DW_DECODED_BAD_TAG;
    row->volume.is_sealed = is_good && (toc->flags & DW_TOC_OPEN) == 0;
}

void dw_load_row(struct dw_store *store, struct dw_row *row, struct dw_file *file)
{
    row->volume.read_error = 0;
    if (!dw_row_is_sound(row))
        load_header(store, row, file);
    if (!row->volume.is_sealed)
        load_toc(store, row, file);
}

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
        row->place.size = row->volume.file_size = place->size;
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
    while (store->stranger_count > 0)
        dw_free(store->strangers[--store->stranger_count]);
    int result = store->places->ops->list(store->places, take_note, store);
    if (result == -ENOMEM)
        return dw_fail(DWAL_EMEMORY, "no memory for the table of volumes of %s", store->disk->path);
    if (result != 0)
        return dw_fail_system(result, "%s cannot be listed", store->disk->path);
    return 0;
}

/* ---- rows ---- */

static bool is_our_own_shortage(int result)
{
    return result == -EMFILE || result == -ENFILE || result == -ENOMEM;
}

/* *is_gone: the volume was retired between the list and now. */
static int load_one(struct dw_store *store, struct dw_row *row, bool *is_gone)
{
    struct dw_file *file = row->volume.file;
    if (!file) {
        int result = store->places->ops->open(store->places, &row->place, DW_OPEN_READ, &file);
        if (result == -ENOENT) {
            *is_gone = true;
            return 0;
        }
        if (is_our_own_shortage(result))
            return dw_fail_system_at(result, row->volume.number, DWAL_NO_LSN, DWAL_NO_LSN, "%s/%s cannot be opened",
                                     store->disk->path, row->place.name);
        if (result != 0) {
            row->volume.read_error = result;
            return 0;
        }
    }
    dw_load_row(store, row, file);
    if (file != row->volume.file)
        store->places->ops->shut(store->places, file);
    return 0;
}

static int load_rows(struct dw_store *store)
{
    for (size_t i = store->row_count; i > 0; i--) {
        struct dw_row *row = store->rows[i - 1];
        bool is_gone = !row->is_seen;
        bool is_known = row->volume.is_sealed && dw_row_is_sound(row) && row->volume.read_error == 0;
        if (!is_gone && !is_known) {
            int result = load_one(store, row, &is_gone);
            if (result != 0)
                return result;
        }
        if (is_gone && row->volume.pins == 0)
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
    if (result == -ENOENT)
        return refuse_without_superblock(store);
    if (result != 0)
        return dw_fail_system(result, "%s/dwal.super cannot be opened", store->disk->path);
    if (!is_writing)
        return 0;
    /* Taken before anything is read, so that what is read cannot be changed by a writer that is about to end. When
     * somebody has it, dw_store_lock waits for it and has everything read again. */
    result = store->places->ops->super_lock(store->places, DW_LOCK_EXCLUSIVE);
    if (result != 0 && result != -EAGAIN)
        return dw_fail_system(result, "%s/dwal.super cannot be locked", store->disk->path);
    store->is_locked = result == 0;
    return 0;
}

int dw_load_all(struct dw_store *store)
{
    int result = store->is_loaded ? 0 : open_superblock(store);
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
        if (result != 0 || !store->options.is_read_only || !dw_store_has_writer(store))
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
