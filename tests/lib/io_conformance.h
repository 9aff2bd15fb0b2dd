/* io_conformance.h - one suite for every disk and every kind of queue, written against io.h alone.
 *
 * A test program makes a struct dw_io_subject and returns dw_io_conformance_run(&subject) from main:
 *
 *     static const struct dw_io_subject subject = {
 *         .name = "posix/sync", .queue_kind = "sync", .make = make, .unmake = unmake};
 *
 * Every test gets a fresh, empty disk. What a disk may do differently is a field here, so that it is said and not skipped
 * silently. */
#ifndef DW_TESTS_LIB_IO_CONFORMANCE_H
#define DW_TESTS_LIB_IO_CONFORMANCE_H

#include <stdbool.h>

#include "io/io.h"

struct dw_io_subject {
    const char *name;
    const char *queue_kind; /* for queue_create */
    void *context;          /* first argument of make and unmake */
    /* A fresh, empty disk. 0 or -errno. */
    int (*make)(void *context, struct dw_disk **disk);
    /* Close the disk and remove what make created. All files and queues of the test are closed. */
    void (*unmake)(void *context, struct dw_disk *disk);
    bool has_no_allocate; /* allocate may answer -EOPNOTSUPP */
    bool has_only_queues; /* a device: it has no names, no sizes; only the half about queues is run */
};

/* Run all tests; the number of failed ones, for main to return. */
int dw_io_conformance_run(const struct dw_io_subject *subject);

#endif
