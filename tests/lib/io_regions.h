/* io_regions.h - a block device cut into regions with names: lets tests of queues, which want several files, run on a device.
 *
 * Each file is one region of the device, so its writes are requests at an offset of the device's only file. Destroys what the
 * device holds. Only what tests of queues need: no sizes, no renames, locks that always succeed.
 * Threads: one. Its memory comes from alloc/, so that sweeps of dw_alloc_fail_at see it. */
#ifndef DW_TESTS_LIB_IO_REGIONS_H
#define DW_TESTS_LIB_IO_REGIONS_H

#include "io/io.h"

/* A file opened to read comes from a second, read-only descriptor of the device. 0 or -errno; -ENOSPC: below 128 MiB. */
DW_NODISCARD int dw_regions_open(const char *device, struct dw_disk **disk);

#endif
