/* path.h - what a path names: a directory, or a device and perhaps one of the logs on it ("/dev/X#name").
 *
 * Called by: everything in core/log that takes a path, on the caller's thread. */
#ifndef DW_CORE_LOG_PATH_H
#define DW_CORE_LOG_PATH_H

#include <dwal/dwal.h>

#include "io/io.h"

/* Is it a block device, with or without a name behind it? `device` (of PATH_MAX bytes) gets the path of its node, *name the
 * part of `path` behind the last '#', or "". An existing path is taken as it is, whatever letters it has. */
bool dw_path_is_device(const char *path, char *device, const char **name);
/* Is it the generic node of an NVMe namespace ("/dev/ng0n1"), with or without a name behind it? It stands for the block device
 * of that namespace, and for the wish to write past the block layer. */
bool dw_path_is_generic(const char *path);
/* Why nothing can be opened at `path`, as the end of a sentence that begins with it. Static text. */
const char *dw_path_obstacle(const char *path);
/* Open what is there. `flags`: DW_OPEN_READ or DW_OPEN_WRITE. Errors are dwal codes: DWAL_ENOLOG, DWAL_EUNSUPPORTED,
 * DWAL_EBUSY (a device in use), DWAL_EPERMISSION, DWAL_EARGUMENT (a name that no log can have), ... */
DW_NODISCARD int dw_path_open(const char *path, unsigned flags, bool is_unsafe, struct dw_disk **disk);

#endif
