/* create.c - a directory becomes a log: volume 0 first, the superblock last.
 *
 * Called by: dw_store_create, one thread; a second creation in the same directory is kept out by the locks on what the
 * first one is making.
 * Happy path: nothing there -> one blank is filled -> it becomes volume 0 -> names synced -> the superblock, all copies, under
 * its name at once. Until then there is no log: an interrupted creation leaves temporaries, blanks, or a volume 0 in which
 * nothing was ever written, and the next creation removes them.
 * Failure: what was made is removed again as far as that works, except once the superblock may be there. */
#include <string.h>

#include "base/bits.h"
#include "core/store/state.h"

/* ---- what is there ---- */

struct contents {
    uint32_t volumes, superblocks;
    struct dw_place volume_0;
    struct dw_place leftover; /* one of them */
    bool has_leftover;
};

static int note_contents(void *context, enum dw_place_kind kind, uint32_t number, const char *name,
                         const struct dw_place *place)
{
    struct contents *contents = context;
    (void)name;
    switch (kind) {
    case DW_PLACE_VOLUME:
        contents->volumes++;
        if (number == 0)
            contents->volume_0 = *place;
        break;
    case DW_PLACE_SUPERBLOCK:
        contents->superblocks++;
        break;
    case DW_PLACE_BLANK:
    case DW_PLACE_TEMPORARY:
        contents->leftover = *place;
        contents->has_leftover = true;
        break;
    case DW_PLACE_STRANGER:
        break;
    }
    return 0;
}

static int look(struct dw_places *places, struct contents *contents)
{
    *contents = (struct contents){0};
    return places->ops->list(places, note_contents, contents);
}

/* A volume header that checks by itself: only the superblock would know the log's identity. */
static bool is_first_header(const uint8_t *bytes, uint32_t *block_size)
{
    struct dw_volume_info info;
    if (dw_volume_header_decode(NULL, NULL, bytes, 0, &info) != DW_DECODED_OK)
        return false;
    *block_size = info.geometry.block_size;
    return true;
}

static bool is_all_zero(const uint8_t *bytes, size_t size)
{
    return size == 0 || (bytes[0] == 0 && memcmp(bytes, bytes + 1, size - 1) == 0);
}

/* Nothing but zeros behind the headers: no record of anybody can be in it. */
static int check_untouched(struct dw_file *file, uint8_t *bytes, bool *is_untouched)
{
    uint32_t block_size = 0;
    *is_untouched = false;
    for (uint64_t offset = 0;; offset += DW_FILL_CHUNK) {
        size_t done;
        int result = dw_file_read(file, bytes, DW_FILL_CHUNK, offset, &done);
        if (result != 0)
            return result;
        size_t skip = 0;
        if (offset == 0) {
            if (done < (size_t)2 * DW_BLOCK_SIZE_MIN || !is_first_header(bytes, &block_size))
                return 0;
            skip = dw_min_size(done, (size_t)DW_VOLUME_HEADER_BLOCKS * block_size);
        }
        if (!is_all_zero(bytes + skip, done - skip))
            return 0;
        if (done < DW_FILL_CHUNK)
            break;
    }
    *is_untouched = true;
    return 0;
}

int dw_create_is_unfinished(struct dw_places *places, bool *is_unfinished)
{
    struct contents contents;
    *is_unfinished = false;
    int result = look(places, &contents);
    if (result != 0)
        return result;
    if (contents.superblocks != 0 || contents.volumes != 1 || contents.volume_0.name[0] == 0)
        return 0;
    struct dw_file *file;
    result = places->ops->open(places, &contents.volume_0, DW_OPEN_READ, &file);
    if (result != 0)
        return result;
    uint8_t *bytes = dw_alloc_io(DW_FILL_CHUNK, DW_BLOCK_SIZE_MAX);
    result = bytes ? check_untouched(file, bytes, is_unfinished) : -ENOMEM;
    dw_free_io(bytes);
    places->ops->shut(places, &contents.volume_0, file);
    return result;
}

/* ---- left-overs ---- */

/* -EAGAIN: another process is making it right now. */
static int sweep_one(struct dw_places *places, const struct dw_place *place)
{
    struct dw_file *file;
    int result = places->ops->open(places, place, DW_OPEN_WRITE, &file);
    if (result == -ENOENT)
        return 0;
    if (result != 0)
        return result;
    result = places->ops->lock(places, place, file, DW_LOCK_WRITER, DW_LOCK_EXCLUSIVE);
    if (result == 0)
        result = places->ops->remove(places, place);
    places->ops->shut(places, place, file);
    return result == -ENOENT ? 0 : result;
}

static int sweep(struct dw_places *places, struct contents *contents)
{
    int result = 0;
    if (contents->volumes == 1)
        result = sweep_one(places, &contents->volume_0);
    while (result == 0 && contents->has_leftover) {
        result = sweep_one(places, &contents->leftover);
        if (result == 0)
            result = look(places, contents);
    }
    return result;
}

/* Refuse where a log is, remove what an interrupted creation left. */
static int clear_ground(struct dw_store *store)
{
    struct contents contents;
    const char *path = store->disk->path;
    int result = look(store->places, &contents);
    if (result != 0)
        return dw_store_fail_places(store, result, "%s cannot be listed", path);
    bool is_unfinished = false;
    if (contents.volumes != 0 && contents.superblocks == 0) {
        result = dw_create_is_unfinished(store->places, &is_unfinished);
        if (result != 0)
            return dw_fail_system(result, "the volumes of %s cannot be read", path);
    }
    if (contents.superblocks != 0 || (contents.volumes != 0 && !is_unfinished))
        return dw_fail(DWAL_EEXIST, "there is a log, or a part of one, in %s", path);
    result = sweep(store->places, &contents);
    if (result == -EAGAIN)
        return dw_fail(DWAL_EBUSY, "another process is making a log in %s", path);
    if (result != 0)
        return dw_fail_system(result, "the left-overs of an interrupted creation in %s cannot be removed", path);
    return 0;
}

/* ---- making ---- */

static void describe(struct dw_store *store, const struct dw_store_create *what)
{
    struct dw_superblock_info *info = &store->superblock;
    *info = (struct dw_superblock_info){
        .geometry = what->geometry,
        .state = DW_SUPERBLOCK_CLEAN,
        .blanks = what->blanks,
        .fill_mode = what->fill_mode == DWAL_FILL_DEFAULT ? DWAL_FILL_ZERO : what->fill_mode,
        .in_flight_blocks = what->in_flight_blocks,
        .magic_number = what->magic_number,
        .format_version = DW_FORMAT_VERSION,
    };
    dw_identity_init(&info->identity, what->log_id, what->tag_key);
    info->create_time = info->write_time = dw_store_realtime(store);
}

/* A device has to know whose the slots are that are about to be taken. */
static int prepare(struct dw_store *store, const struct dw_store_create *what)
{
    if (!store->places->ops->prepare)
        return 0;
    struct dw_places_creation creation = {
        .superblock = &store->superblock, .quota = what->quota, .is_forced = what->is_forced};
    int result = store->places->ops->prepare(store->places, &creation);
    if (result != 0)
        return dw_store_fail_places(store, result, "a log cannot be made on %s", store->disk->path);
    return 0;
}

static int make_first_volume(struct dw_store *store, struct dw_row **row)
{
    for (bool is_made = false; !is_made;) {
        int result = dw_blank_make(store, DW_FILL_CHUNK, &is_made);
        if (result == -EINVAL)
            return dw_fail(DWAL_EUNSUPPORTED, "%s cannot do direct I/O in blocks of %u bytes", store->disk->path,
                           dw_store_geometry(store)->block_size);
        if (result != 0)
            return dw_fail_system(result, "the first volume cannot be made in %s", store->disk->path);
    }
    struct dw_volume_info info = {
        .number = 0,
        .predecessor = DW_VOLUME_NUMBER_NONE,
        .predecessor_end = DW_PREDECESSOR_NONE,
        .in_flight_blocks = store->superblock.in_flight_blocks,
        .claim_time = dw_store_realtime(store),
        .geometry = *dw_store_geometry(store),
    };
    int result = dw_claim_volume(store, &info, row);
    if (result == 0 && !*row)
        return dw_fail(DWAL_EBUSY, "another process is reading the new log in %s", store->disk->path);
    return result;
}

/* Slot 1 holds sequence 1, slot 0 the newer sequence 2, each twice. */
static int make_superblock(struct dw_store *store)
{
    uint32_t block_size = dw_store_geometry(store)->block_size;
    uint8_t *copies = dw_alloc_io((size_t)DW_SUPERBLOCK_COPIES * block_size, block_size);
    if (!copies)
        return dw_fail(DWAL_EMEMORY, "no memory to make a log in %s", store->disk->path);
    for (uint32_t copy = 0; copy < DW_SUPERBLOCK_COPIES; copy++) {
        store->superblock.sequence = (copy & 1) == 0 ? 2 : 1;
        dw_superblock_encode(&store->superblock, copies + (size_t)copy * block_size);
    }
    int result = store->places->ops->super_create(store->places, block_size, copies);
    dw_free_io(copies);
    if (result == -EEXIST)
        return dw_fail(DWAL_EEXIST, "another process made a log in %s at the same time", store->disk->path);
    if (result != 0)
        return dw_store_fail_places(store, result, "the superblock of the log in %s cannot be made", store->disk->path);
    return 0;
}

/* Best effort: the cause of the failure is what counts, and the next creation sweeps what stays. */
static void remove_made(struct dw_store *store, const struct dw_row *row)
{
    if (row)
        (void)store->places->ops->remove(store->places, &row->place);
    for (uint32_t i = 0; i < store->blank_count; i++)
        (void)store->places->ops->remove(store->places, &store->blanks[i]);
}

int dw_store_create(struct dw_disk *disk, const struct dw_store_create *what, const struct dw_clock *clock)
{
    struct dw_store_options options = {.clock = clock, .in_flight_blocks = what->in_flight_blocks};
    struct dw_store *store = dw_store_new(disk, &options);
    if (!store)
        return dw_fail(DWAL_EMEMORY, "no memory to make a log in %s", disk->path);
    describe(store, what);
    struct dw_row *row = NULL;
    int result = dw_store_allocate_work(store);
    if (result == 0 && !(disk->is_device && what->is_forced))
        result = clear_ground(store);
    if (result == 0)
        result = prepare(store, what);
    if (result == 0) {
        result = make_first_volume(store, &row);
        if (result != 0)
            remove_made(store, row);
    }
    if (result == 0)
        result = make_superblock(store);
    (void)dw_store_close(store, false, 0);
    return result;
}
