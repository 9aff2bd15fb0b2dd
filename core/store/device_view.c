/* device_view.c - see device_view.h. Every file is a window onto the device: one slot, or the four superblock copies.
 *
 * Called by: dump and repair, one thread. Failure: -errno as from the device; writing is not possible (-EROFS).
 * Closing: closes what it opened on the device. */
#include "core/store/device_view.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#include "alloc/alloc.h"
#include "base/bits.h"
#include "core/base/error.h"
#include "core/store/device.h"
#include "core/store/names.h"

struct view {
    struct dw_disk disk;
    struct dw_places *places;
};

struct window {
    struct dw_file file;
    bool is_superblock;
    uint64_t base, size; /* of a slot on the device */
};

static struct dw_device *device_of(struct dw_disk *disk)
{
    return dw_device_of(((struct view *)(void *)disk)->places);
}

static void close_view(struct dw_disk *disk)
{
    dw_places_close(((struct view *)(void *)disk)->places);
    dw_free(disk);
}

/* ---- names ---- */

struct listing {
    struct dw_device *device;
    dw_list_fn *fn; /* NULL: look for `wanted` */
    void *context;
    const char *wanted;
    struct window *found;
    uint32_t blanks;
};

static int name_one(void *context, enum dw_place_kind kind, uint32_t number, const char *name,
                    const struct dw_place *place)
{
    struct listing *listing = context;
    char shown[DW_PLACE_NAME_SIZE] = DW_NAME_SUPERBLOCK;
    struct window window = {.base = place->base, .size = place->size};
    (void)name;
    switch (kind) {
    case DW_PLACE_VOLUME:
        dw_name_of_volume(number, shown);
        break;
    case DW_PLACE_BLANK:
        if (listing->blanks == DW_BLANKS_MAX)
            return 0;
        dw_name_of_blank(listing->blanks++, shown);
        break;
    case DW_PLACE_SUPERBLOCK:
        window = (struct window){.is_superblock = true,
                                 .size = (uint64_t)DW_SUPERBLOCK_COPIES * listing->device->info.block_size};
        break;
    case DW_PLACE_TEMPORARY:
    case DW_PLACE_STRANGER:
        return 0;
    }
    if (listing->fn)
        return listing->fn(listing->context, shown, window.size);
    if (strcmp(shown, listing->wanted) != 0)
        return 0;
    *listing->found = window;
    return 1;
}

static int list_view(struct dw_disk *disk, dw_list_fn *fn, void *context)
{
    struct dw_device *device = device_of(disk);
    struct listing listing = {.device = device, .fn = fn, .context = context};
    return device->places.ops->list(&device->places, name_one, &listing);
}

static int open_window(struct dw_disk *disk, const char *name, unsigned flags, struct dw_file **file)
{
    struct dw_device *device = device_of(disk);
    struct window *window = dw_alloc(sizeof *window);
    *file = NULL;
    if (!window)
        return -ENOMEM;
    struct listing listing = {.device = device, .wanted = name, .found = window};
    int result = (flags & DW_OPEN_WRITE) != 0 ? -EROFS : device->places.ops->list(&device->places, name_one, &listing);
    if (result != 1) {
        dw_free(window);
        return result == 0 ? -ENOENT : result;
    }
    window->file.disk = disk;
    window->file.alignment = device->file->alignment;
    *file = &window->file;
    return 0;
}

static void close_window(struct dw_file *file)
{
    dw_free(file);
}

/* ---- bytes ---- */

static int size_of_window(struct dw_file *file, uint64_t *size)
{
    *size = ((struct window *)(void *)file)->size;
    return 0;
}

static int read_window(struct dw_file *file, void *bytes, size_t size, uint64_t offset, size_t *done)
{
    const struct window *window = (struct window *)(void *)file;
    struct dw_device *device = device_of(file->disk);
    uint32_t block_size = device->info.block_size;
    *done = 0;
    if (offset >= window->size)
        return 0;
    size = (size_t)dw_min_u64(size, window->size - offset);
    if (!window->is_superblock)
        return dw_file_read(device->file, bytes, size, window->base + offset, done);
    while (*done < size) { /* copy by copy */
        uint64_t at = offset + *done, inside = at % block_size;
        size_t part = dw_min_size(size - *done, (size_t)(block_size - inside)), got;
        int result =
            dw_file_read(device->file, (uint8_t *)bytes + *done, part, device->copies[at / block_size] + inside, &got);
        *done += got;
        if (result != 0 || got != part)
            return result;
    }
    return 0;
}

static const struct dw_disk_ops view_ops = {
    .name = "view",
    .close = close_view,
    .list = list_view,
    .open = open_window,
    .close_file = close_window,
    .size = size_of_window,
    .read = read_window,
};

int dw_device_view_open(struct dw_disk *disk, struct dw_disk **view_out)
{
    struct view *view = dw_alloc(sizeof *view);
    *view_out = NULL;
    if (!view || dw_places_device_open(disk, disk->part, NULL, &view->places) != 0) {
        dw_free(view);
        return dw_fail(DWAL_EMEMORY, "no memory to look at %s", disk->path);
    }
    view->disk.ops = &view_ops;
    snprintf(view->disk.path, sizeof view->disk.path, "%s", disk->path);
    int result = view->places->ops->super_open(view->places, false);
    if (result != 0) {
        result = view->places->why[0] != '\0' ? dw_fail(view->places->code, "%s", view->places->why)
                                              : dw_fail_system(result, "%s cannot be read", disk->path);
        close_view(&view->disk);
        return result;
    }
    *view_out = &view->disk;
    return 0;
}
