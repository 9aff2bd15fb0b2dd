/* io_regions.c - see io_regions.h. Requests travel as shadows through the device's own queue. */
#include "tests/lib/io_regions.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "alloc/alloc.h"
#include "base/assert.h"
#include "base/bits.h"

enum { REGIONS = 14, REGION_SIZE = 8 << 20, DEVICE_SIZE_MIN = 128 << 20, DEPTH_MAX = 64 };

struct regions_disk {
    struct dw_disk base;
    struct dw_disk *device, *reader; /* the same device: to write, and only to read */
    struct dw_file *file, *read_file;
    char names[REGIONS][16]; /* "": free */
};

struct region_file {
    struct dw_file base;
    struct dw_file *inner;
    uint64_t start;
};

struct regions_queue {
    struct dw_queue base;
    struct dw_queue_ops ops; /* name and is_synchronous are the inner one's */
    struct dw_queue *inner;
    struct shadow {
        struct dw_request request;
        struct dw_request *outer; /* NULL: free */
    } shadows[DEPTH_MAX];
};

static struct regions_disk *disk_of(struct dw_disk *disk)
{
    return (struct regions_disk *)(void *)disk;
}
static struct region_file *file_of(struct dw_file *file)
{
    return (struct region_file *)(void *)file;
}
static struct regions_queue *queue_of(struct dw_queue *queue)
{
    return (struct regions_queue *)(void *)queue;
}

/* ---- files -------------------------------------------------------------------------------------------------------- */

static int find_region(struct regions_disk *disk, const char *name)
{
    for (int i = 0; i < REGIONS; i++)
        if (strcmp(disk->names[i], name) == 0)
            return i;
    return -1;
}

static int open_region(struct dw_disk *base, const char *name, unsigned flags, struct dw_file **out)
{
    struct regions_disk *disk = disk_of(base);
    *out = NULL;
    bool is_new = (flags & DW_OPEN_CREATE) != 0;
    int index = find_region(disk, name);
    if (is_new == (index >= 0))
        return is_new ? -EEXIST : -ENOENT;
    if (is_new)
        index = find_region(disk, "");
    struct region_file *file = index < 0 ? NULL : dw_alloc(sizeof *file);
    if (!file)
        return index < 0 ? -ENOSPC : -ENOMEM;
    snprintf(disk->names[index], sizeof disk->names[index], "%s", name);
    *file = (struct region_file){
        .base = {.disk = base, .alignment = disk->file->alignment},
        .inner = (flags & DW_OPEN_WRITE) ? disk->file : disk->read_file,
        .start = (uint64_t)index * REGION_SIZE,
    };
    *out = &file->base;
    return 0;
}

static void close_region(struct dw_file *file)
{
    dw_free(file_of(file));
}

static int read_region(struct dw_file *file, void *bytes, size_t size, uint64_t offset, size_t *done)
{
    return dw_file_read(file_of(file)->inner, bytes, size, file_of(file)->start + offset, done);
}

static int write_region(struct dw_file *file, const void *bytes, size_t size, uint64_t offset)
{
    return dw_file_write(file_of(file)->inner, bytes, size, file_of(file)->start + offset);
}

static int write_region_durable(struct dw_file *file, const void *bytes, size_t size, uint64_t offset)
{
    return dw_file_write_durable(file_of(file)->inner, bytes, size, file_of(file)->start + offset);
}

static int sync_region(struct dw_file *file)
{
    return dw_file_sync(file_of(file)->inner);
}

static int lock_region(struct dw_file *file, enum dw_lock_kind kind, enum dw_lock_mode mode)
{
    (void)file;
    (void)kind;
    (void)mode;
    return 0;
}

/* ---- the queue ---------------------------------------------------------------------------------------------------- */

static void submit_shadow(struct dw_queue *base, struct dw_request *outer)
{
    struct regions_queue *queue = queue_of(base);
    struct shadow *shadow = queue->shadows;
    while (shadow->outer)
        shadow++;
    dw_assert(shadow < queue->shadows + DEPTH_MAX);
    base->in_flight++;
    shadow->outer = outer;
    shadow->request = *outer;
    shadow->request.file = file_of(outer->file)->inner;
    shadow->request.offset += file_of(outer->file)->start;
    shadow->request.user = shadow;
    queue->inner->ops->submit(queue->inner, &shadow->request);
}

static struct dw_request *reap_shadows(struct dw_queue *base, bool is_waiting)
{
    struct regions_queue *queue = queue_of(base);
    struct dw_request *first = NULL, **last = &first;
    struct dw_request *inner = queue->inner->ops->reap(queue->inner, is_waiting);
    for (; inner; inner = inner->next) {
        struct shadow *shadow = inner->user;
        struct dw_request *outer = shadow->outer;
        outer->result = inner->result;
        outer->done = inner->done;
        outer->device_status = inner->device_status;
        outer->next = NULL;
        *last = outer;
        last = &outer->next;
        shadow->outer = NULL;
        base->in_flight--;
    }
    return first;
}

static void close_queue(struct dw_queue *base)
{
    queue_of(base)->inner->ops->close(queue_of(base)->inner);
    dw_free(queue_of(base));
}

static int create_queue(struct dw_disk *base, const struct dw_queue_options *options, struct dw_queue **out)
{
    struct regions_disk *disk = disk_of(base);
    struct regions_queue *queue = dw_alloc(sizeof *queue);
    *out = NULL;
    if (!queue)
        return -ENOMEM;
    int result = disk->device->ops->queue_create(disk->device, options, &queue->inner);
    if (result < 0) {
        dw_free(queue);
        return result;
    }
    queue->ops = (struct dw_queue_ops){
        .name = queue->inner->ops->name,
        .is_synchronous = queue->inner->ops->is_synchronous,
        .submit = submit_shadow,
        .reap = reap_shadows,
        .close = close_queue,
    };
    queue->base = (struct dw_queue){.ops = &queue->ops, .depth = queue->inner->depth};
    *out = &queue->base;
    return 0;
}

/* ---- life --------------------------------------------------------------------------------------------------------- */

static void close_disk(struct dw_disk *base)
{
    struct regions_disk *disk = disk_of(base);
    dw_file_close(disk->file);
    dw_file_close(disk->read_file);
    if (disk->device)
        disk->device->ops->close(disk->device);
    if (disk->reader)
        disk->reader->ops->close(disk->reader);
    dw_free(disk);
}

static const struct dw_disk_ops regions_ops = {
    .name = "regions",
    .close = close_disk,
    .open = open_region,
    .close_file = close_region,
    .read = read_region,
    .write = write_region,
    .write_durable = write_region_durable,
    .sync = sync_region,
    .lock = lock_region,
    .queue_create = create_queue,
};

static int open_both(struct regions_disk *disk, const char *path)
{
    uint64_t size = 0;
    int result = dw_disk_device_open(path, DW_OPEN_WRITE, false, &disk->device);
    if (result == 0)
        result = dw_disk_device_open(path, DW_OPEN_READ, false, &disk->reader);
    if (result == 0)
        result = disk->device->ops->open(disk->device, DW_DEVICE_NAME, DW_OPEN_WRITE, &disk->file);
    if (result == 0)
        result = disk->reader->ops->open(disk->reader, DW_DEVICE_NAME, DW_OPEN_READ, &disk->read_file);
    if (result == 0)
        result = disk->device->ops->size(disk->file, &size);
    return result < 0 ? result : size < (uint64_t)REGIONS * REGION_SIZE ? -ENOSPC : 0;
}

int dw_regions_open(const char *path, struct dw_disk **out)
{
    struct regions_disk *disk = dw_alloc(sizeof *disk);
    *out = NULL;
    if (!disk)
        return -ENOMEM;
    disk->base.ops = &regions_ops;
    snprintf(disk->base.path, sizeof disk->base.path, "%.500s", path);
    int result = open_both(disk, path);
    if (result < 0) {
        close_disk(&disk->base);
        return result;
    }
    *out = &disk->base;
    return 0;
}
