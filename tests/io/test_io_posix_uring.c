/* test_io_posix_uring.c - the posix disk with the uring queue passes the suite. */
#include <errno.h>
#include <stdio.h>

#include "tests/lib/io_conformance.h"
#include "tests/lib/io_place.h"

static int make(void *context, struct dw_disk **disk)
{
    (void)context;
    return dw_place_make(disk);
}

static void unmake(void *context, struct dw_disk *disk)
{
    (void)context;
    dw_place_remove(disk);
}

/* 77: ctest's "skipped". */
static int check_ring(void)
{
    struct dw_disk *disk = NULL;
    struct dw_queue *queue = NULL;
    struct dw_queue_options options = {.kind = "uring", .depth = 1};
    if (dw_place_make(&disk) < 0)
        return 1;
    int result = disk->ops->queue_create(disk, &options, &queue);
    if (result == 0)
        queue->ops->close(queue);
    dw_place_remove(disk);
    if (result != -EPERM && result != -ENOSYS && result != -EINVAL)
        return 0;
    printf("skipped: io_uring is forbidden or not built (%d)\n", result);
    return 77;
}

int main(void)
{
    int result = check_ring();
    if (result != 0)
        return result;
    static const struct dw_io_subject subject = {
        .name = "posix/uring", .queue_kind = "uring", .make = make, .unmake = unmake};
    return dw_io_conformance_run(&subject);
}
