/* posix_device.c - a block device of this machine as a disk with one file; its bytes, queues and locks are posix_*.c's.
 *
 * Owns: one descriptor, opened once, for all I/O and all locks. For writing it is opened with O_EXCL, which mounted file
 * systems, swap, device mapper and RAID respect and demand. Of several processes of dwal on one device only one can have
 * that; it also holds the HOLDER lock, so that the others know whose it is and go on without it: the lock is taken after
 * the exclusive open and ends before it, so whoever sees it knows that no stranger is inside. When the holder ends, another
 * one takes over (at sync_names): it opens the same inode again through /proc/self/fd, never the path.
 * Called by: open and close of a log; the rest through the table of functions, on any thread.
 * Failure: -ENOTBLK, -EBUSY (in use by a stranger), -EROFS, -EINVAL (sectors of a size that nobody can use), else as the
 *          kernel says. What was opened is compared with what was looked at before.
 * Closing: locks by name, then the descriptors. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/fs.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "alloc/alloc.h"
#include "base/assert.h"
#include "base/bits.h"
#include "io/guard.h"
#include "io/posix.h"

enum { CLAIM_ATTEMPTS = 26, CLAIM_PAUSE_NS = 10000000, SECTOR_MIN = 512, SECTOR_MAX = 65536 };

struct device {
    struct dw_posix_disk disk; /* first: posix_file.c keeps what it learned about DSYNC there */
    struct dw_posix_file file;
    _Atomic uint32_t users; /* of the file; relaxed: opened and closed by those who own a store */
    int claim;              /* a second descriptor that only carries O_EXCL and the HOLDER lock, or -1 */
    bool is_block, is_writable;
    struct dw_posix_zero zero;
    dev_t number;        /* st_rdev: the device itself, whatever its node is called */
    char node[PATH_MAX]; /* what the path was resolved to, for the guard's look at its users */
};

static struct device *device_of(struct dw_disk *disk)
{
    return (struct device *)(void *)disk;
}

/* ---- the one file ---- */

static int list_device(struct dw_disk *disk, dw_list_fn *fn, void *context)
{
    uint64_t size;
    int result = disk->ops->size(&device_of(disk)->file.base, &size);
    return result == 0 ? fn(context, DW_DEVICE_NAME, size) : result;
}

static int open_device_file(struct dw_disk *disk, const char *name, unsigned flags, struct dw_file **file)
{
    struct device *device = device_of(disk);
    *file = NULL;
    if (strcmp(name, DW_DEVICE_NAME) != 0)
        return -ENOENT;
    if (flags & DW_OPEN_CREATE)
        return -EEXIST;
    if ((flags & DW_OPEN_WRITE) && !device->is_writable)
        return -EACCES;
    atomic_fetch_add_explicit(&device->users, 1, memory_order_relaxed);
    *file = &device->file.base;
    return 0;
}

/* The descriptor lives as long as the disk; what its last user locked ends here, all but HOLDER. */
static void close_device_file(struct dw_file *file)
{
    struct device *device = device_of(file->disk);
    if (atomic_fetch_sub_explicit(&device->users, 1, memory_order_relaxed) == 1)
        dw_posix_unlock_from(&device->file, DW_LOCK_FIRST);
}

static int size_device(struct dw_file *file, uint64_t *size)
{
    const struct device *device = device_of(file->disk);
    if (!device->is_block)
        return dw_posix_size(file, size);
    *size = 0;
    return ioctl(device->file.descriptor, BLKGETSIZE64, size) < 0 ? -errno : 0;
}

static int refuse_names(struct dw_disk *disk, const char *from, const char *to)
{
    (void)disk;
    (void)from;
    (void)to;
    return -EOPNOTSUPP;
}

static int refuse_unlink(struct dw_disk *disk, const char *name)
{
    return refuse_names(disk, name, NULL);
}

static int refuse_allocate(struct dw_file *file, uint64_t size)
{
    (void)file;
    (void)size;
    return -EOPNOTSUPP;
}

static int zero_range(struct dw_file *file, uint64_t offset, uint64_t size)
{
    return dw_posix_zero(&device_of(file->disk)->zero, file, offset, size);
}

/* ---- whose it is ---- */

static int pause_and_retry(int *attempts)
{
    struct timespec pause = {.tv_nsec = CLAIM_PAUSE_NS};
    if (--*attempts <= 0)
        return -EBUSY;
    nanosleep(&pause, NULL);
    return 0;
}

/* Names do not exist here; this is where a device that was shared is made our own when the holder is gone. */
static int take_over(struct dw_disk *disk)
{
    struct device *device = device_of(disk);
    if (!disk->is_shared || !device->is_writable)
        return 0;
    char path[64];
    snprintf(path, sizeof path, "/proc/self/fd/%d", device->file.descriptor);
    int descriptor = open(path, O_RDWR | O_EXCL | O_CLOEXEC | O_NOCTTY);
    if (descriptor < 0)
        return 0; /* somebody else has it still, or took it over before us */
    struct dw_posix_file file = {.base.disk = disk, .descriptor = descriptor};
    if (dw_posix_lock(&file.base, DW_LOCK_HOLDER, DW_LOCK_EXCLUSIVE) != 0) {
        close(descriptor);
        return 0;
    }
    device->claim = descriptor;
    disk->is_shared = false;
    return 0;
}

static int open_descriptor(const char *path, int how, int *descriptor)
{
    do
        *descriptor = open(path, how | O_DIRECT | O_CLOEXEC | O_NOFOLLOW | O_NOCTTY | O_NONBLOCK);
    while (*descriptor < 0 && errno == EINTR);
    return *descriptor < 0 ? -errno : 0;
}

/* One try. -EBUSY: a stranger has it, or another one of us has opened it and not yet said so. */
static int try_to_claim(struct device *device, const char *path)
{
    struct dw_file *file = &device->file.base;
    int result = open_descriptor(path, O_RDWR | O_EXCL, &device->file.descriptor);
    if (result == 0) {
        result = dw_posix_lock(file, DW_LOCK_HOLDER, DW_LOCK_EXCLUSIVE);
        device->disk.base.is_shared = result == -EAGAIN; /* a regular file knows no O_EXCL: the lock is all there is */
        if (result == 0 || !device->is_block)
            return 0;
        close(device->file.descriptor);
        return result == -EAGAIN ? -EBUSY : result;
    }
    if (result != -EBUSY)
        return result;
    result = open_descriptor(path, O_RDWR, &device->file.descriptor);
    if (result != 0)
        return result;
    bool is_held = false;
    result = dw_posix_lock_test(file, DW_LOCK_HOLDER, &is_held);
    if (result == 0 && is_held) {
        device->disk.base.is_shared = true;
        return 0;
    }
    close(device->file.descriptor);
    return result == 0 ? -EBUSY : result;
}

static int open_by_path(struct device *device, const char *path)
{
    if (!device->is_writable)
        return open_descriptor(path, O_RDONLY, &device->file.descriptor);
    int result, attempts = CLAIM_ATTEMPTS;
    do
        result = try_to_claim(device, path);
    while (result == -EBUSY && pause_and_retry(&attempts) == 0);
    return result;
}

/* ---- what it is ---- */

static int check_sectors(struct device *device)
{
    int descriptor = device->file.descriptor;
    int read_only = 0, logical = 0;
    unsigned physical = 0;
    if (ioctl(descriptor, BLKROGET, &read_only) < 0 || ioctl(descriptor, BLKSSZGET, &logical) < 0 ||
        ioctl(descriptor, BLKPBSZGET, &physical) < 0)
        return -errno;
    if (read_only && device->is_writable)
        return -EROFS;
    if (logical < SECTOR_MIN || logical > SECTOR_MAX || !dw_is_power_of_two((uint64_t)logical))
        return -EINVAL;
    device->file.base.alignment = (uint32_t)logical;
    device->disk.base.physical_block = physical;
    return 0;
}

static int check_descriptor(struct device *device, const struct stat *before)
{
    struct stat facts;
    if (fstat(device->file.descriptor, &facts) < 0)
        return -errno;
    bool is_same = facts.st_dev == before->st_dev && facts.st_ino == before->st_ino && facts.st_rdev == before->st_rdev;
    if (!is_same || (facts.st_mode & S_IFMT) != (before->st_mode & S_IFMT))
        return -ENOENT; /* exchanged between the look and the open */
    device->number = facts.st_rdev;
    int how = fcntl(device->file.descriptor, F_GETFL);
    if (how < 0 || fcntl(device->file.descriptor, F_SETFL, how & ~O_NONBLOCK) < 0)
        return -errno;
    device->file.base.alignment = SECTOR_MIN;
    return device->is_block ? check_sectors(device) : 0;
}

/* ---- life ---- */

static void close_device(struct dw_disk *base)
{
    struct device *device = device_of(base);
    dw_posix_unlock_from(&device->file, DW_LOCK_WRITER);
    close(device->file.descriptor);
    if (device->claim >= 0)
        close(device->claim);
    dw_posix_zero_close(&device->zero);
    dw_free(device);
}

static const struct dw_disk_ops device_ops = {
    .name = "device",
    .close = close_device,
    .list = list_device,
    .open = open_device_file,
    .rename = refuse_names,
    .unlink = refuse_unlink,
    .sync_names = take_over,
    .close_file = close_device_file,
    .size = size_device,
    .read = dw_posix_read,
    .write = dw_posix_write,
    .write_durable = dw_posix_write_durable,
    .sync = dw_posix_sync,
    .allocate = refuse_allocate,
    .zero = zero_range,
    .lock = dw_posix_lock,
    .lock_test = dw_posix_lock_test,
    .queue_create = dw_posix_queue_create,
    .reads_create = dw_posix_reads_create,
};

static int open_resolved(struct device *device, const char *path, bool is_file_allowed)
{
    struct stat before;
    if (lstat(path, &before) < 0)
        return -errno;
    device->is_block = S_ISBLK(before.st_mode);
    device->disk.base.is_queue_better = device->is_block;
    if (!device->is_block && !(is_file_allowed && S_ISREG(before.st_mode)))
        return -ENOTBLK;
    int result = open_by_path(device, path);
    if (result != 0)
        return result;
    result = check_descriptor(device, &before);
    if (result != 0)
        close(device->file.descriptor);
    return result;
}

int dw_disk_device_guard(struct dw_disk *disk, struct dw_guard *guard)
{
    struct device *device = device_of(disk);
    if (disk->ops != &device_ops || !device->is_block)
        return -ENOTBLK;
    return dw_guard_look(device->node, device->file.descriptor, guard);
}

int dw_disk_device_open(const char *path, unsigned flags, bool is_file_allowed, struct dw_disk **disk)
{
    *disk = NULL;
    dw_assert(flags == DW_OPEN_READ || flags == DW_OPEN_WRITE);
    struct device *device = dw_alloc(sizeof *device);
    if (!device)
        return -ENOMEM;
    if (!realpath(path, device->node)) { /* links as in /dev/disk/by-id are wanted; they are followed once */
        int result = -errno;
        dw_free(device);
        return result;
    }
    device->disk.base.ops = &device_ops;
    device->disk.base.is_device = true;
    device->disk.directory = -1;
    device->claim = -1;
    device->is_writable = flags == DW_OPEN_WRITE;
    device->file.base.disk = &device->disk.base;
    device->file.is_direct = true;
    device->file.generation = dw_posix_generation();
    snprintf(device->disk.base.path, sizeof device->disk.base.path, "%s", path);
    int result = open_resolved(device, device->node, is_file_allowed);
    if (result != 0) {
        dw_free(device);
        return result;
    }
    if (device->is_block && device->is_writable)
        dw_posix_zero_open(&device->zero, device->number);
    *disk = &device->disk.base;
    return 0;
}
