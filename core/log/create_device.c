/* create_device.c - what creation on a device needs besides: sizes that suit it, and a look whether it holds something.
 *
 * Called by: create.c, on the caller's thread, before anything is written. A device that dwal formatted is not formatted
 * again: the log is added to it. Only the process of dwal that has the device for itself (the holder of posix_device.c)
 * judges and formats it; others wait until it has, or until it is gone and they are the holder.
 * Failure: DWAL_EEXIST for a device that is not empty, DWAL_EBUSY; nothing was written. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "alloc/alloc.h"
#include "base/bits.h"
#include "core/base/error.h"
#include "core/log/handle.h"
#include "io/guard.h"

#define GUARDED_SIZE        (UINT64_C(1) << 20) /* at either end: where tables, signatures and superblocks lie */
#define DEFAULT_VOLUME_SIZE (UINT64_C(64) << 20)
#define SMALL_VOLUME_SIZE   (UINT64_C(1) << 20)
#define WANTED_SLOTS        16u

enum { HOLDER_ATTEMPTS = 1000, HOLDER_PAUSE_NS = 10000000 }; /* ten seconds */

/* *is_empty: all of [from, to) reads as zeros. */
static int look_at_range(struct dw_file *file, uint8_t *bytes, uint64_t from, uint64_t to, bool *is_empty)
{
    for (uint64_t at = from; at < to && *is_empty; at += GUARDED_SIZE) {
        size_t size = (size_t)dw_min_u64(GUARDED_SIZE, to - at), done;
        int result = dw_file_read(file, bytes, size, at, &done);
        if (result != 0)
            return result;
        *is_empty = bytes[0] == 0 && memcmp(bytes, bytes + 1, size - 1) == 0;
    }
    return 0;
}

static int check_ends(struct dw_file *file, uint64_t size, bool *is_empty)
{
    uint8_t *bytes = dw_alloc_io((size_t)GUARDED_SIZE, file->alignment);
    *is_empty = true;
    if (!bytes)
        return -ENOMEM;
    size = dw_align_down(size, file->alignment);
    uint64_t near = dw_min_u64(size, GUARDED_SIZE);
    int result = look_at_range(file, bytes, 0, near, is_empty);
    if (result == 0)
        result =
            look_at_range(file, bytes, dw_max_u64(near, dw_align_down(size - near, file->alignment)), size, is_empty);
    dw_free_io(bytes);
    return result;
}

static void tell(const struct dwal_options *options, const char *text)
{
    if (options->event)
        options->event(options->context, DWAL_EVENT_WARNING, text);
}

static int refuse(const struct dw_disk *disk, const struct dw_guard *guard, uint32_t findings)
{
    char text[240];
    dw_guard_tell(guard, findings, text, sizeof text);
    int code = (findings & (DW_GUARD_MOUNTED | DW_GUARD_SWAP | DW_GUARD_HELD)) != 0 ? DWAL_EBUSY
               : (findings & DW_GUARD_READ_ONLY) != 0                               ? DWAL_EPERMISSION
               : (findings & DW_GUARD_ZONED) != 0                                   ? DWAL_EUNSUPPORTED
                                                                                    : DWAL_EEXIST;
    if ((findings & DW_GUARD_IN_USE) != 0)
        return dw_fail(code, "%s cannot be formatted: %s", disk->path, text);
    return dw_fail(
        code, "%s holds something: %s. It is left alone; to format it all the same (dwal init --force) destroys that",
        disk->path, text);
}

/* The one place where a device that is not dwal's is judged before it is formatted. */
static int guard_device(struct dw_disk *disk, struct dw_file *file, uint64_t size, const struct dwal_options *options)
{
    struct dw_guard guard;
    int result = dw_disk_device_guard(disk, &guard);
    if (result == 0) {
        uint32_t forbidding = dw_guard_forbidding(&guard, options->is_forced);
        if (forbidding != 0)
            return refuse(disk, &guard, forbidding);
        char text[1500];
        int used = snprintf(text, sizeof text, "formatting %.400s destroys: ", disk->path);
        dw_guard_tell(&guard, DW_GUARD_CONTENT, text + used, sizeof text - (size_t)used);
        if ((guard.findings & DW_GUARD_CONTENT) != 0)
            tell(options, text);
        return 0;
    }
    if (result != -ENOTBLK)
        return dw_fail_system(result, "%s cannot be looked at", disk->path);
    if (options->is_forced)
        return 0;
    bool is_empty; /* not a device of this machine: a test's */
    result = check_ends(file, size, &is_empty);
    if (result != 0)
        return dw_fail_system(result, "%s cannot be read", disk->path);
    if (!is_empty)
        return dw_fail(DWAL_EEXIST,
                       "%s holds something (its first or last MiB is not empty): it is left alone unless "
                       "formatting it is forced, which destroys all of it",
                       disk->path);
    return 0;
}

static void choose_sizes(const struct dw_disk *disk, uint64_t size, struct dwal_options *options)
{
    if (options->block_size == 0)
        options->block_size = dw_max_u64(DW_BLOCK_SIZE_MIN, disk->physical_block) <= DW_BLOCK_SIZE_MAX
                                  ? (uint32_t)dw_max_u64(DW_BLOCK_SIZE_MIN, disk->physical_block)
                                  : DW_BLOCK_SIZE_MAX;
    if (options->volume_size != 0)
        return;
    options->volume_size = DEFAULT_VOLUME_SIZE;
    while (options->volume_size > SMALL_VOLUME_SIZE && size / options->volume_size < WANTED_SLOTS)
        options->volume_size /= 2;
}

static int prepare_format(struct dw_disk *disk, struct dw_file *file, struct dwal_options *options)
{
    uint64_t size;
    int result = disk->ops->size(file, &size);
    if (result != 0)
        return dw_fail_system(result, "the size of %s cannot be found out", disk->path);
    choose_sizes(disk, size, options);
    if (options->block_size < disk->physical_block && disk->physical_block <= DW_BLOCK_SIZE_MAX)
        return dw_fail(DWAL_EARGUMENT, "options.block_size is %" PRIu32 ", and %s writes %" PRIu32 " bytes at once",
                       options->block_size, disk->path, disk->physical_block);
    return guard_device(disk, file, size, options);
}

/* Another process of dwal has the device, and it is not dwal's yet: most likely it is being formatted. *is_dwal: it is now;
 * else the device is ours alone. */
static int wait_for_format(struct dw_disk *disk, struct dw_store_device *found)
{
    for (int attempt = 0; attempt < HOLDER_ATTEMPTS; attempt++) {
        int result = disk->ops->sync_names(disk); /* takes the place of a holder that ended */
        if (result != 0)
            return dw_fail_system(result, "%s cannot be had alone", disk->path);
        bool is_ours = !disk->is_shared;
        result = dw_store_look_at_device(disk, found); /* in this order: what the last holder did is seen */
        if (result != 0 || found->is_dwal || is_ours)
            return result;
        struct timespec pause = {.tv_nsec = HOLDER_PAUSE_NS};
        nanosleep(&pause, NULL); /* the kernel's clock on purpose: a real process has it */
    }
    return dw_fail(DWAL_EBUSY, "another process of dwal has had %s for ten seconds and does not format it", disk->path);
}

int dw_create_on_device(struct dw_disk *disk, struct dwal_options *options)
{
    struct dw_store_device found = {0};
    int result = 0;
    if (!options->is_forced)
        result = disk->is_shared ? wait_for_format(disk, &found) : dw_store_look_at_device(disk, &found);
    if (result != 0)
        return result;
    if (found.is_dwal) {
        if (options->volume_size == 0)
            options->volume_size = found.slot_size;
        if (options->block_size == 0)
            options->block_size = found.block_size;
        return 0;
    }
    struct dw_file *file;
    result = disk->ops->open(disk, DW_DEVICE_NAME, DW_OPEN_READ, &file);
    if (result != 0)
        return dw_fail_system(result, "%s cannot be opened", disk->path);
    result = prepare_format(disk, file, options);
    dw_file_close(file);
    return result;
}
