/* io_place.c - a temporary directory as a disk. */
#include "tests/lib/io_place.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int dw_place_make(struct dw_disk **disk)
{
    char path[256];
    const char *parent = getenv("TMPDIR");
    snprintf(path, sizeof path, "%s/dwal-io-XXXXXX", parent && *parent ? parent : "/var/tmp");
    if (!mkdtemp(path))
        return -errno;
    int result = dw_disk_posix_open(path, false, disk);
    if (result < 0)
        rmdir(path);
    return result;
}

/* One name at a time: a directory must not be changed while it is listed. */
static int take_name(void *context, const char *name, uint64_t size)
{
    (void)size;
    snprintf(context, 256, "%s", name);
    return 1;
}

void dw_place_remove(struct dw_disk *disk)
{
    char name[256], path[sizeof disk->path];
    while (disk->ops->list(disk, take_name, name) == 1 && disk->ops->unlink(disk, name) == 0)
        ;
    memcpy(path, disk->path, sizeof path);
    disk->ops->close(disk);
    if (rmdir(path) < 0)
        fprintf(stderr, "cannot remove %s: %s\n", path, strerror(errno));
}

bool dw_place_has_queue(const char *kind)
{
    struct dw_disk *disk = NULL;
    struct dw_queue *queue = NULL;
    struct dw_queue_options options = {.kind = kind, .depth = 1};
    if (dw_place_make(&disk) < 0 || !disk)
        return false;
    bool has_queue = disk->ops->queue_create(disk, &options, &queue) == 0;
    if (has_queue)
        queue->ops->close(queue);
    dw_place_remove(disk);
    return has_queue;
}
