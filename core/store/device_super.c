/* device_super.c - the device's own superblock: how large it is, which slots were ever used, which logs live here.
 *
 * Called by: device.c, one thread at a time; several processes take turns by the ADMIN lock, and read it anew under it.
 * Happy path of a write: sequence + 1 goes to the other slot, near copy first, then far copy, each one durable write, so a
 * crash, or the loss of one end, never falls back further than to the state before an interrupted write.
 * Growing: the logs' superblocks are copied to the new far end first; then two writes carry the new size, so that both
 * slots lie at the new end. Only when no other log of the device has a writer, since a writer remembers where its copies are.
 * Failure: -errno, explained in places.why where that says more; what was written before stays consistent. */
#include <errno.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include <dwal/error.h>

#include "base/assert.h"
#include "base/bits.h"
#include "core/store/device.h"

enum { ADMIN_ATTEMPTS = 500, ADMIN_PAUSE_NS = 1000000, ADMIN_PATIENCE = 20, READ_ATTEMPTS = 3 };

#define KNOWN_RO_COMPAT 0u
#define KNOWN_INCOMPAT  0u

int dw_device_explain(struct dw_device *device, int result, int code, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(device->places.why, sizeof device->places.why, format, arguments);
    va_end(arguments);
    device->places.code = code;
    return result;
}

/* ---- ADMIN ---- */

int dw_device_admin_begin(struct dw_device *device)
{
    const struct dw_disk_ops *ops = device->places.disk->ops;
    int result = ops->lock(device->file, dw_device_admin_lock(), DW_LOCK_EXCLUSIVE);
    for (int attempt = 0; result == -EAGAIN && attempt < ADMIN_ATTEMPTS; attempt++) {
        struct timespec pause = {.tv_nsec = ADMIN_PAUSE_NS};
        nanosleep(&pause, NULL); /* the kernel's clock on purpose: the lock is held by a real process */
        result = ops->lock(device->file, dw_device_admin_lock(), DW_LOCK_EXCLUSIVE);
    }
    return result;
}

int dw_device_admin_wait(struct dw_device *device)
{
    int result = -EAGAIN;
    for (int attempt = 0; result == -EAGAIN && attempt < ADMIN_PATIENCE; attempt++)
        result = dw_device_admin_begin(device);
    return result;
}

void dw_device_admin_end(struct dw_device *device)
{
    /* Cannot fail; and if it did, the end of the descriptor gives it back. */
    (void)device->places.disk->ops->lock(device->file, dw_device_admin_lock(), DW_LOCK_NONE);
}

/* ---- reading ---- */

struct choice {
    struct dw_device_info newest;
    bool is_found, is_newer_version;
    uint32_t sound[2]; /* copies of each slot */
};

static int read_copy(struct dw_device *device, uint64_t at, struct choice *choice, uint32_t slot)
{
    size_t done, size = dw_max_u64(DW_DEVICE_SUPERBLOCK_SIZE, device->file->alignment);
    struct dw_device_info info;
    memset(device->blocks, 0, size);
    atomic_fetch_add_explicit(&device->places.read_count, 1, memory_order_relaxed);
    int result = dw_file_read(device->file, device->blocks, size, at, &done);
    if (result != 0)
        return result;
    enum dw_decoded verdict = dw_device_decode(device->blocks, &info);
    if (verdict == DW_DECODED_VERSION)
        choice->is_newer_version = true;
    if (verdict != DW_DECODED_OK || (info.sequence & 1) != slot)
        return 0;
    choice->sound[slot]++;
    if (!choice->is_found || info.sequence > choice->newest.sequence)
        choice->newest = info;
    choice->is_found = true;
    return 0;
}

/* The near copies tell where the far ones are; without them the far ones are looked for at the end of the device. */
static int read_copies(struct dw_device *device, uint64_t size, struct choice *choice)
{
    int first_error = 0;
    *choice = (struct choice){0};
    for (uint32_t copy = 0; copy < DW_SUPERBLOCK_COPIES; copy++) {
        uint64_t end = choice->is_found ? choice->newest.device_size : size;
        if (copy >= 2 && (end > size || end < (uint64_t)4 * DW_DEVICE_STRIDE))
            continue;
        int result = read_copy(device, dw_device_place_of_copy(end, copy), choice, copy & 1);
        first_error = first_error ? first_error : result;
    }
    return choice->is_found || choice->is_newer_version ? 0 : first_error;
}

static int judge(struct dw_device *device, const struct choice *choice, uint64_t size, bool is_writing)
{
    const char *path = device->places.disk->path;
    const struct dw_device_info *info = &choice->newest;
    uint32_t ro_compat = info->feature_ro_compat & ~KNOWN_RO_COMPAT;
    if (choice->is_newer_version || (info->feature_incompat & ~KNOWN_INCOMPAT) != 0 || (ro_compat != 0 && is_writing))
        return dw_device_explain(device, -EPROTONOSUPPORT, DWAL_EVERSION,
                                 "%s was formatted by a newer dwal, or uses a feature that this one does not know",
                                 path);
    if (info->device_size > size)
        return dw_device_explain(device, -ENXIO, DWAL_ELOST,
                                 "%s has %llu bytes and had %llu when its superblock was written: it became smaller",
                                 path, (unsigned long long)size, (unsigned long long)info->device_size);
    bool is_blank = info->slots_used == 0; /* a format that was interrupted: nothing is here that could be lost */
    if (is_writing && !is_blank && (choice->sound[0] == 0 || choice->sound[1] == 0))
        return dw_device_explain(
            device, -EUCLEAN, DWAL_ECORRUPT,
            "both copies of one slot of the device superblock of %s are destroyed: it may have been "
            "the newest",
            path);
    return 0;
}

int dw_device_super_load(struct dw_device *device, bool is_writing)
{
    struct choice choice;
    uint64_t size;
    device->places.why[0] = '\0'; /* of an earlier call that did not matter */
    int result = device->places.disk->ops->size(device->file, &size);
    size = dw_align_down(size, DW_DEVICE_STRIDE);
    if (result == 0 && size < (uint64_t)4 * DW_DEVICE_STRIDE)
        return 0; /* no device superblock fits */
    /* Another process may be writing a slot: a second look finds it whole. */
    for (int attempt = 0; attempt < READ_ATTEMPTS && result == 0; attempt++) {
        result = read_copies(device, size, &choice);
        if (result == 0 && choice.sound[0] != 0 && choice.sound[1] != 0)
            break;
    }
    if (result != 0)
        return result;
    device->is_found = false;
    if (!choice.is_found && !choice.is_newer_version)
        return 0;
    result = judge(device, &choice, size, is_writing);
    if (result != 0)
        return result;
    device->info = choice.newest;
    device->is_found = true;
    bool is_maimed = choice.sound[0] + choice.sound[1] < DW_SUPERBLOCK_COPIES;
    atomic_store_explicit(&device->places.is_superblock_maimed, is_maimed, memory_order_relaxed);
    return 0;
}

/* ---- the logs ---- */

uint32_t dw_device_log_by_id(const struct dw_device *device, const uint8_t log_id[16])
{
    for (uint32_t i = 0; i < DW_DEVICE_LOGS_MAX; i++)
        if (device->info.logs[i].state != DW_DEVICE_LOG_NONE &&
            memcmp(device->info.logs[i].log_id, log_id, sizeof device->info.logs[i].log_id) == 0)
            return i;
    return DW_DEVICE_NO_LOG;
}

static uint32_t find_ready(const struct dw_device *device, const char *name, uint32_t *count)
{
    uint32_t found = DW_DEVICE_NO_LOG, only = DW_DEVICE_NO_LOG;
    *count = 0;
    for (uint32_t i = 0; i < DW_DEVICE_LOGS_MAX; i++) {
        if (device->info.logs[i].state != DW_DEVICE_LOG_READY)
            continue;
        ++*count;
        only = i;
        if (strcmp(device->info.logs[i].name, name) == 0)
            found = i;
    }
    return found == DW_DEVICE_NO_LOG && name[0] == '\0' && *count == 1 ? only : found;
}

static void list_names(const struct dw_device *device, char *text, size_t size)
{
    size_t used = 0;
    text[0] = '\0';
    for (uint32_t i = 0; i < DW_DEVICE_LOGS_MAX && used < size; i++) {
        const struct dw_device_log_info *log = &device->info.logs[i];
        if (log->state == DW_DEVICE_LOG_READY)
            used += (size_t)snprintf(text + used, size - used, "%s%s%s", used ? ", " : "",
                                     log->name[0] ? "#" : "one without a name", log->name);
    }
}

int dw_device_find_log(struct dw_device *device)
{
    const char *path = device->places.disk->path;
    uint32_t count;
    if (!device->is_found)
        return dw_device_explain(device, -ENOENT, DWAL_ENOLOG, "there is no log on %s: it has no superblock of dwal",
                                 path);
    device->log = find_ready(device, device->name, &count);
    if (device->log != DW_DEVICE_NO_LOG)
        return 0;
    char names[120];
    list_names(device, names, sizeof names);
    if (count == 0)
        return dw_device_explain(device, -ENOENT, DWAL_ENOLOG, "%s is formatted for dwal and holds no log", path);
    if (device->name[0] == '\0')
        return dw_device_explain(device, -ENOTUNIQ, DWAL_EARGUMENT, "%s holds several logs: name one of %s", path,
                                 names);
    return dw_device_explain(device, -ENOENT, DWAL_ENOLOG, "there is no log #%s on %s, it holds %s", device->name, path,
                             names);
}

/* ---- writing ---- */

int dw_device_super_write(struct dw_device *device)
{
    struct dw_device_info *info = &device->info;
    info->sequence++;
    info->write_time = dw_clock_system.realtime_ns(dw_clock_system.context);
    memset(device->blocks, 0, info->block_size);
    dw_device_encode(info, device->blocks);
    for (uint32_t copy = (uint32_t)(info->sequence & 1); copy < DW_SUPERBLOCK_COPIES; copy += 2) {
        int result = dw_file_write_durable(device->file, device->blocks, info->block_size,
                                           dw_device_place_of_copy(info->device_size, copy));
        if (result != 0)
            return result;
    }
    return 0;
}

int dw_device_super_write_twice(struct dw_device *device)
{
    int result = dw_device_super_write(device);
    if (result == 0)
        result = dw_device_super_write(device);
    if (result == 0)
        atomic_store_explicit(&device->places.is_superblock_maimed, false, memory_order_relaxed);
    return result;
}

/* ---- mending and growing ---- */

void dw_device_drop_unfinished(struct dw_device *device, bool *is_changed)
{
    const struct dw_disk_ops *ops = device->places.disk->ops;
    for (uint32_t i = 0; i < DW_DEVICE_LOGS_MAX; i++) {
        bool is_held = true;
        if (device->info.logs[i].state != DW_DEVICE_LOG_CREATING || i == device->log)
            continue;
        if (ops->lock_test(device->file, dw_device_writer_lock(i), &is_held) != 0 || is_held)
            continue;
        device->info.logs[i] = (struct dw_device_log_info){0};
        *is_changed = true;
    }
}

bool dw_device_has_other_writer(struct dw_device *device)
{
    for (uint32_t i = 0; i < DW_DEVICE_LOGS_MAX; i++) {
        bool is_held = true;
        if (i != device->log &&
            (device->places.disk->ops->lock_test(device->file, dw_device_writer_lock(i), &is_held) != 0 || is_held))
            return true;
    }
    return false;
}

/* From the near end, or from the old far end where the near one is bad, to the new far end. */
static int move_log_copies(struct dw_device *device, const struct dw_device_info *grown)
{
    size_t size = grown->block_size, done;
    for (uint32_t log = 0; log < DW_DEVICE_LOGS_MAX; log++) {
        for (uint32_t slot = 0; slot < 2 && grown->logs[log].state == DW_DEVICE_LOG_READY; slot++) {
            struct dw_superblock_info info;
            int result = -EIO;
            for (uint32_t copy = slot; copy < DW_SUPERBLOCK_COPIES && result != 0; copy += 2) {
                uint64_t at = dw_device_place_of_log_copy(&device->info, log, copy);
                result = dw_file_read(device->file, device->blocks, size, at, &done);
                if (result == 0 && dw_superblock_decode(device->blocks, size, &info) != DW_DECODED_OK)
                    result = -EIO;
            }
            if (result == 0)
                result = dw_file_write_durable(device->file, device->blocks, size,
                                               dw_device_place_of_log_copy(grown, log, slot + 2));
            if (result != 0)
                return result;
        }
    }
    return 0;
}

static int grow(struct dw_device *device, bool *is_grown)
{
    uint64_t size;
    *is_grown = false;
    int result = device->places.disk->ops->size(device->file, &size);
    struct dw_device_info grown = device->info;
    grown.device_size = size;
    if (result != 0 || !dw_device_layout(&grown))
        return result;
    bool is_worth_it = grown.slot_count > device->info.slot_count &&
                       grown.device_size - device->info.device_size >= device->info.slots_at;
    if (!is_worth_it || dw_device_has_other_writer(device))
        return 0;
    result = move_log_copies(device, &grown);
    if (result == -EIO)
        return 0; /* a superblock is damaged at both ends: its own log has to say so first */
    if (result != 0)
        return result;
    device->info = grown;
    *is_grown = true;
    return dw_device_super_write_twice(device);
}

void dw_device_remember_copies(struct dw_device *device)
{
    for (uint32_t copy = 0; copy < DW_SUPERBLOCK_COPIES; copy++)
        device->copies[copy] = dw_device_place_of_log_copy(&device->info, device->log, copy);
}

static int mend_locked(struct dw_device *device)
{
    int result = dw_device_super_load(device, true);
    if (result != 0)
        return result;
    bool is_changed = atomic_load_explicit(&device->places.is_superblock_maimed, memory_order_relaxed);
    bool is_grown = false;
    dw_device_drop_unfinished(device, &is_changed);
    result = grow(device, &is_grown);
    if (result == 0 && is_changed && !is_grown)
        result = dw_device_super_write_twice(device);
    if (result == 0 && (is_grown || is_changed)) {
        dw_device_remember_copies(device);
        result = dw_device_adopt(device);
    }
    return result;
}

int dw_device_mend(struct dw_places *places)
{
    struct dw_device *device = dw_device_of(places);
    int result = dw_device_admin_begin(device);
    if (result == -EAGAIN)
        return 0; /* somebody is busy with it; the next open mends as well */
    if (result != 0)
        return result;
    result = mend_locked(device);
    dw_device_admin_end(device);
    return result;
}
