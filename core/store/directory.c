/* directory.c - the places of a log that lives in a directory: one file per volume, blank and superblock.
 *
 * Owns: the open superblock file (it carries the writer's lock) and a map of the blank names that are taken.
 * Called by: core/store through struct dw_places_ops (see places.h for threads).
 * Happy path: a blank is filled under a temporary name, renamed to the first free "NNN.bvl", later renamed to the name
 * of its volume number, and when retired back to a blank's name. No rename ever replaces a file.
 * Failure: -errno to the caller. A name of a blank that somebody else took meanwhile is passed over.
 * Closing: closes the superblock's file, which drops the writer's lock. */
#include <errno.h>
#include <string.h>

#include "alloc/alloc.h"
#include "base/assert.h"
#include "base/bits.h"
#include "core/store/names.h"

struct directory {
    struct dw_places places;
    struct dw_file *super;
    bool is_taken[DW_BLANKS_MAX]; /* names of blanks */
};

static struct directory *directory_of(struct dw_places *places)
{
    return DW_CONTAINER_OF(places, struct directory, places);
}

static void close_directory(struct dw_places *places)
{
    struct directory *directory = directory_of(places);
    dw_file_close(directory->super);
    dw_free(directory);
}

/* ---- names ---- */

struct listing {
    struct directory *directory;
    dw_place_fn *fn;
    void *context;
};

static int list_one(void *context, const char *name, uint64_t size)
{
    struct listing *listing = context;
    enum dw_place_kind kind;
    uint32_t number;
    if (!dw_name_parse(name, &kind, &number))
        return 0;
    if (kind == DW_PLACE_BLANK)
        listing->directory->is_taken[number] = true;
    struct dw_place place = {.size = size};
    strncpy(place.name, name, sizeof place.name - 1);
    return listing->fn(listing->context, kind, number, name, &place);
}

static int list_places(struct dw_places *places, dw_place_fn *fn, void *context)
{
    struct directory *directory = directory_of(places);
    memset(directory->is_taken, 0, sizeof directory->is_taken);
    struct listing listing = {.directory = directory, .fn = fn, .context = context};
    return places->disk->ops->list(places->disk, list_one, &listing);
}

static int sync_names(struct dw_places *places)
{
    return places->disk->ops->sync_names(places->disk);
}

/* ---- superblock ---- */

static int super_open(struct dw_places *places, bool is_writing)
{
    struct directory *directory = directory_of(places);
    dw_assert(directory->super == NULL);
    return places->disk->ops->open(places->disk, DW_NAME_SUPERBLOCK, is_writing ? DW_OPEN_WRITE : DW_OPEN_READ,
                                   &directory->super);
}

static int super_read(struct dw_places *places, uint32_t block_size, uint32_t copy, void *block)
{
    struct directory *directory = directory_of(places);
    if (directory->super->alignment > block_size)
        return -EINVAL;
    memset(block, 0, block_size);
    size_t done = 0;
    return dw_file_read(directory->super, block, block_size, (uint64_t)copy * block_size, &done);
}

static int super_read_all(struct dw_places *places, uint32_t block_size, void *blocks)
{
    struct directory *directory = directory_of(places);
    size_t size = (size_t)DW_SUPERBLOCK_COPIES * block_size, done = 0;
    if (directory->super->alignment > block_size)
        return -EINVAL;
    memset(blocks, 0, size);
    return dw_file_read(directory->super, blocks, size, 0, &done);
}

static int super_write(struct dw_places *places, uint32_t block_size, uint32_t copy, const void *block)
{
    struct directory *directory = directory_of(places);
    return dw_file_write_durable(directory->super, block, block_size, (uint64_t)copy * block_size);
}

static int super_sync(struct dw_places *places)
{
    return dw_file_sync(directory_of(places)->super);
}

static int super_lock(struct dw_places *places, enum dw_lock_mode mode)
{
    return places->disk->ops->lock(directory_of(places)->super, DW_LOCK_WRITER, mode);
}

static int super_lock_test(struct dw_places *places, bool *is_held)
{
    return places->disk->ops->lock_test(directory_of(places)->super, DW_LOCK_WRITER, is_held);
}

/* Under a temporary name first: a directory either has a whole superblock or none. */
static int super_create(struct dw_places *places, uint32_t block_size, const void *copies)
{
    const struct dw_disk_ops *ops = places->disk->ops;
    struct dw_file *file = NULL;
    int result = ops->open(places->disk, DW_NAME_TEMPORARY_SUPERBLOCK, DW_OPEN_WRITE | DW_OPEN_CREATE, &file);
    if (result != 0)
        return result;
    result = ops->lock(file, DW_LOCK_WRITER, DW_LOCK_EXCLUSIVE);
    if (result == 0)
        result = dw_file_write(file, copies, (size_t)DW_SUPERBLOCK_COPIES * block_size, 0);
    if (result == 0)
        result = dw_file_sync(file);
    if (result == 0)
        result = ops->rename(places->disk, DW_NAME_TEMPORARY_SUPERBLOCK, DW_NAME_SUPERBLOCK);
    if (result != 0)
        (void)ops->unlink(places->disk, DW_NAME_TEMPORARY_SUPERBLOCK); /* the first cause counts; create sweeps */
    else
        result = ops->sync_names(places->disk);
    dw_file_close(file);
    return result;
}

/* ---- volumes ---- */

static int open_place(struct dw_places *places, const struct dw_place *place, unsigned flags, struct dw_file **file)
{
    return places->disk->ops->open(places->disk, place->name, flags, file);
}

static void shut_place(struct dw_places *places, const struct dw_place *place, struct dw_file *file)
{
    (void)places;
    (void)place;
    dw_file_close(file);
}

static int lock_place(struct dw_places *places, const struct dw_place *place, struct dw_file *file,
                      enum dw_lock_kind kind, enum dw_lock_mode mode)
{
    (void)place; /* one file, one volume: the file's lock is the volume's */
    return places->disk->ops->lock(file, kind, mode);
}

/* ---- blanks ---- */

static void release_blank_name(struct directory *directory, const char *name)
{
    enum dw_place_kind kind;
    uint32_t index;
    if (dw_name_parse(name, &kind, &index) && kind == DW_PLACE_BLANK)
        directory->is_taken[index] = false;
}

/* Rename to the first free name of a blank. */
static int rename_to_blank(struct directory *directory, struct dw_place *place)
{
    struct dw_disk *disk = directory->places.disk;
    for (uint32_t i = 0; i < DW_BLANKS_MAX; i++) {
        if (directory->is_taken[i])
            continue;
        char name[DW_PLACE_NAME_SIZE];
        dw_name_of_blank(i, name);
        int result = disk->ops->rename(disk, place->name, name);
        if (result == -EEXIST) {
            directory->is_taken[i] = true; /* somebody put it there after the list */
            continue;
        }
        if (result != 0)
            return result;
        directory->is_taken[i] = true;
        memcpy(place->name, name, sizeof place->name);
        return 0;
    }
    return -EEXIST;
}

static int claim_blank(struct dw_places *places, struct dw_place *place, uint32_t number)
{
    char name[DW_PLACE_NAME_SIZE];
    dw_name_of_volume(number, name);
    int result = places->disk->ops->rename(places->disk, place->name, name);
    if (result != 0)
        return result;
    release_blank_name(directory_of(places), place->name);
    memcpy(place->name, name, sizeof place->name);
    return 0;
}

static int recycle_volume(struct dw_places *places, struct dw_place *place)
{
    return rename_to_blank(directory_of(places), place);
}

static int remove_place(struct dw_places *places, const struct dw_place *place)
{
    int result = places->disk->ops->unlink(places->disk, place->name);
    if (result == 0)
        release_blank_name(directory_of(places), place->name);
    return result;
}

static int make_begin(struct dw_places *places, struct dw_place *place, struct dw_file **file)
{
    const struct dw_disk_ops *ops = places->disk->ops;
    *place = (struct dw_place){.name = DW_NAME_TEMPORARY_BLANK};
    int result = ops->open(places->disk, place->name, DW_OPEN_WRITE | DW_OPEN_CREATE, file);
    if (result != 0)
        return result;
    /* So that a second creation in the same directory does not sweep it away. */
    result = ops->lock(*file, DW_LOCK_WRITER, DW_LOCK_EXCLUSIVE);
    if (result != 0) {
        dw_file_close(*file);
        *file = NULL;
        (void)ops->unlink(places->disk, place->name);
    }
    return result;
}

static int make_end(struct dw_places *places, struct dw_place *place)
{
    return rename_to_blank(directory_of(places), place);
}

static const struct dw_places_ops directory_ops = {
    .name = "directory",
    .close = close_directory,
    .list = list_places,
    .sync_names = sync_names,
    .super_open = super_open,
    .super_read = super_read,
    .super_read_all = super_read_all,
    .super_write = super_write,
    .super_sync = super_sync,
    .super_lock = super_lock,
    .super_lock_test = super_lock_test,
    .super_create = super_create,
    .open = open_place,
    .shut = shut_place,
    .lock = lock_place,
    .claim = claim_blank,
    .recycle = recycle_volume,
    .remove = remove_place,
    .make_begin = make_begin,
    .make_end = make_end,
};

int dw_places_directory_open(struct dw_disk *disk, struct dw_places **places)
{
    struct directory *directory = dw_alloc(sizeof *directory);
    if (!directory)
        return -ENOMEM;
    directory->places.ops = &directory_ops;
    directory->places.disk = disk;
    *places = &directory->places;
    return 0;
}
