/* device_remove.c - a log is taken off a device: its entry goes, and with that its slots are nobody's.
 *
 * Called by: dwal_remove, on any thread; opens and closes the places for itself.
 * Happy path: the log's WRITER lock, so that nobody writes it -> ADMIN, superblock read anew -> the entry becomes zeros -> one
 * write of the superblock. That write is the decision: before it the log is whole, after it a slot whose header has its id is
 * free, as one of an interrupted creation is.
 * Failure: dwal codes; DWAL_EBUSY beside a live writer. What was written before the superblock: nothing. */
#include <errno.h>
#include <string.h>

#include "core/base/error.h"
#include "core/store/device.h"
#include "core/store/store.h"

static int find_and_lock(struct dw_device *device)
{
    const struct dw_places_ops *ops = device->places.ops;
    int result = ops->super_open(&device->places, true);
    if (result != 0)
        return result;
    if (strcmp(device->info.logs[device->log].name, device->name) != 0) /* "the only one" is too little said */
        return dw_device_explain(device, -EINVAL, DWAL_EARGUMENT, "the log on %s is called #%s: name it to remove it",
                                 device->places.disk->path, device->info.logs[device->log].name);
    result = ops->super_lock(&device->places, DW_LOCK_EXCLUSIVE);
    if (result == -EAGAIN)
        return dw_device_explain(device, result, DWAL_EBUSY, "another writer has the log on %s",
                                 device->places.disk->path);
    return result;
}

static int drop_entry(struct dw_device *device)
{
    int result = dw_device_super_load(device, true);
    if (result != 0)
        return result;
    device->info.logs[device->log] = (struct dw_device_log_info){0}; /* ours alone while we have its WRITER lock */
    return dw_device_super_write(device);
}

int dw_store_remove_from_device(struct dw_disk *disk)
{
    struct dw_places *places;
    if (dw_places_device_open(disk, disk->part, NULL, &places) != 0)
        return dw_fail(DWAL_EMEMORY, "no memory to remove a log from %s", disk->path);
    struct dw_device *device = dw_device_of(places);
    int result = find_and_lock(device);
    if (result == 0)
        result = dw_device_admin_wait(device);
    if (result == 0) {
        result = drop_entry(device);
        dw_device_admin_end(device);
    }
    if (result != 0 && places->why[0] != '\0')
        result = dw_fail(places->code, "%s", places->why);
    else if (result != 0)
        result = dw_fail_system(result, "the log cannot be removed from %s", disk->path);
    dw_places_close(places);
    return result;
}
