/* test_io_posix_aio.c - the posix disk with the aio queue passes the suite. */
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

int main(void)
{
    if (!dw_place_has_queue("aio")) {
        printf("skipped: aio is forbidden or not built\n");
        return 77; /* ctest's "skipped" */
    }
    static const struct dw_io_subject subject = {
        .name = "posix/aio", .queue_kind = "aio", .make = make, .unmake = unmake};
    return dw_io_conformance_run(&subject);
}
