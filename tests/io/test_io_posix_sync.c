/* test_io_posix_sync.c - the posix disk with the sync queue passes the suite. */
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
    static const struct dw_io_subject subject = {
        .name = "posix/sync", .queue_kind = "sync", .make = make, .unmake = unmake};
    return dw_io_conformance_run(&subject);
}
