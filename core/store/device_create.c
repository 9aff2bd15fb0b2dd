/* device_create.c - a device is formatted, and gets one more log.
 *
 * Called by: create.c through prepare, one thread; several processes take turns by the ADMIN lock.
 * Happy path: superblock read anew under ADMIN -> formatted when there is none -> an entry in state CREATING, under the log's
 * WRITER lock, so that others see that it is being made -> later, in super_create of device.c, READY.
 * Failure: -errno, explained in places.why. A creation that was interrupted leaves an entry whose lock is free: the next one
 * drops it. */
#include "core/store/device.h"

#include <dwal/error.h>
#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <time.h>

#include "base/bits.h"

enum { MAKING_ATTEMPTS = 1000, MAKING_PAUSE_NS = 10000000 }; /* ten seconds */

static int format(struct dw_device *device, const struct dw_places_creation *creation)
{
    const char *path = device->places.disk->path;
    const struct dw_superblock_info *superblock = creation->superblock;
    if (device->places.disk->is_shared || dw_device_has_other_writer(device))
        return dw_device_explain(device, -EBUSY, DWAL_EBUSY, "another process has %s open: it cannot be formatted",
                                 path);
    uint64_t size;
    int result = device->places.disk->ops->size(device->file, &size);
    if (result != 0)
        return result;
    device->info = (struct dw_device_info){
        .device_size = size,
        .slot_size = superblock->geometry.volume_size,
        .block_size = superblock->geometry.block_size,
        .create_time = superblock->create_time,
    };
    if (!dw_device_layout(&device->info))
        return dw_device_explain(device, -ENOSPC, DWAL_ENOSPACE,
                                 "%s has %llu bytes: not enough for one volume of %llu bytes and the superblocks", path,
                                 (unsigned long long)size, (unsigned long long)superblock->geometry.volume_size);
    /* Random as the log's own id, and never equal to it. */
    for (size_t i = 0; i < sizeof device->info.device_id; i++)
        device->info.device_id[i] = superblock->identity.log_id[i] ^ 0xffu;
    device->is_found = true;
    return dw_device_super_write_twice(device);
}

static int check_geometry(struct dw_device *device, const struct dw_geometry *geometry)
{
    const struct dw_device_info *info = &device->info;
    if (geometry->volume_size != info->slot_size || geometry->block_size != info->block_size)
        return dw_device_explain(
            device, -EINVAL, DWAL_EARGUMENT,
            "%s has slots of %llu bytes and blocks of %u: every log on it needs this volume_size and "
            "block_size",
            device->places.disk->path, (unsigned long long)info->slot_size, info->block_size);
    return 0;
}

/* Is the name taken? An interrupted creation of it does not count; one that goes on is -EINPROGRESS. */
static int check_name(struct dw_device *device)
{
    for (uint32_t i = 0; i < DW_DEVICE_LOGS_MAX; i++) {
        const struct dw_device_log_info *log = &device->info.logs[i];
        if (log->state == DW_DEVICE_LOG_NONE || strcmp(log->name, device->name) != 0)
            continue;
        if (log->state == DW_DEVICE_LOG_READY)
            return dw_device_explain(device, -EEXIST, DWAL_EEXIST, "%s holds a log of this name",
                                     device->places.disk->path);
        return dw_device_explain(device, -EINPROGRESS, DWAL_EBUSY, "another process is making this log on %s",
                                 device->places.disk->path);
    }
    return 0;
}

static int reserve_entry(struct dw_device *device, const struct dw_places_creation *creation)
{
    uint32_t at = 0;
    while (at < DW_DEVICE_LOGS_MAX && device->info.logs[at].state != DW_DEVICE_LOG_NONE)
        at++;
    if (at == DW_DEVICE_LOGS_MAX)
        return dw_device_explain(device, -ENOSPC, DWAL_ENOSPACE, "%s holds %u logs already, and no more fit",
                                 device->places.disk->path, DW_DEVICE_LOGS_MAX);
    int result = device->places.disk->ops->lock(device->file, dw_device_writer_lock(at), DW_LOCK_EXCLUSIVE);
    if (result != 0)
        return result;
    struct dw_device_log_info *log = &device->info.logs[at];
    *log = (struct dw_device_log_info){
        .state = DW_DEVICE_LOG_CREATING,
        .quota = (uint32_t)dw_min_u64(creation->quota / device->info.slot_size, DW_DEVICE_SLOTS_MAX),
        .time = creation->superblock->create_time,
    };
    memcpy(log->log_id, creation->superblock->identity.log_id, sizeof log->log_id);
    memcpy(log->name, device->name, sizeof log->name);
    device->log = at;
    device->is_locked = true;
    dw_device_remember_copies(device);
    return dw_device_super_write(device);
}

/* A new log has no slots; unless its id is that of a creation that was interrupted. */
static int free_own_slots(struct dw_device *device)
{
    int result = 0;
    for (uint32_t slot = 0; slot < device->note_count && result == 0; slot++) {
        if (!dw_device_is_ours(device, &device->notes[slot].slot))
            continue;
        result = dw_device_slot_write(device, slot, DW_SLOT_STATE_FREE, device->notes[slot].slot.uses);
        if (result == 0)
            result = dw_slots_give(device->slots, slot, device->log);
    }
    return result;
}

static int prepare_locked(struct dw_device *device, const struct dw_places_creation *creation)
{
    bool is_changed = false;
    int result = dw_device_super_load(device, true);
    bool is_new = result == 0 && !device->is_found;
    if (is_new || (creation->is_forced && result != -EBUSY))
        result = format(device, creation);
    if (result != 0)
        return result;
    dw_device_drop_unfinished(device, &is_changed); /* written with the new entry */
    result = check_geometry(device, &creation->superblock->geometry);
    if (result == 0)
        result = check_name(device);
    if (result == 0 && creation->quota != 0 && creation->quota / device->info.slot_size < 2)
        result = dw_device_explain(device, -EINVAL, DWAL_EARGUMENT,
                                   "the quota is %llu bytes: a log needs two slots of %llu bytes at least",
                                   (unsigned long long)creation->quota, (unsigned long long)device->info.slot_size);
    if (result == 0)
        result = reserve_entry(device, creation);
    if (result == 0)
        result = dw_device_scan_all(device);
    return result == 0 ? free_own_slots(device) : result;
}

/* While another process makes a log of this name, wait for it: in the end there is one, or there is none. */
int dw_device_prepare(struct dw_places *places, const struct dw_places_creation *creation)
{
    struct dw_device *device = dw_device_of(places);
    /* Nobody looked at what is there before, when formatting is forced. */
    int result = dw_device_open_file(device, DW_OPEN_WRITE);
    if (result != 0)
        return result;
    for (int attempt = 0; attempt < MAKING_ATTEMPTS; attempt++) {
        result = dw_device_admin_wait(device);
        if (result != 0)
            break;
        result = prepare_locked(device, creation);
        dw_device_admin_end(device);
        if (result != -EINPROGRESS)
            break;
        struct timespec pause = {.tv_nsec = MAKING_PAUSE_NS};
        nanosleep(&pause, NULL); /* the kernel's clock on purpose */
    }
    return result;
}
