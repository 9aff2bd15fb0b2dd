/* device.c - what a device holds, without opening any of its logs; and taking a log off it.
 *
 * Called by: users, on any thread; opens and closes the device for itself, read-only but for dwal_remove. */
#include <dwal/device.h>
#include <limits.h>

#include "core/base/error.h"
#include "core/log/inspect.h"
#include "core/log/path.h"

DW_EXPORT int dwal_get_device(const char *path, struct dwal_device *device, dwal_device_log_fn *fn, void *context)
{
    char node[PATH_MAX];
    const char *name;
    int result = dw_inspect_check_size(device->size, sizeof *device, "device");
    if (result)
        return result;
    if (!path || !path[0])
        return dw_fail(DWAL_EARGUMENT, "the path is empty");
    if (!dw_path_is_device(path, node, &name))
        return dw_fail(DWAL_EUNSUPPORTED, "%s is no block device", path);
    struct dw_disk *disk;
    result = dw_path_open(node, DW_OPEN_READ, false, &disk);
    if (result)
        return result;
    result = dw_store_survey_device(disk, device, fn, context);
    disk->ops->close(disk);
    return result;
}

DW_EXPORT int dwal_remove(const char *path)
{
    char node[PATH_MAX];
    const char *name;
    if (!path || !path[0])
        return dw_fail(DWAL_EARGUMENT, "the path is empty");
    if (!dw_path_is_device(path, node, &name))
        return dw_fail(DWAL_EUNSUPPORTED, "%s is no block device: a log in a directory goes with the directory", path);
    struct dw_disk *disk;
    int result = dw_path_open(path, DW_OPEN_WRITE, false, &disk);
    if (result)
        return result;
    result = dw_store_remove_from_device(disk);
    disk->ops->close(disk);
    return result;
}
