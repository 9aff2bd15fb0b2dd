/* posix_file.c - the bytes of one file.
 *
 * Called by: every room of core, any thread; write_durable is the lone committer's commit, and no cancellation point.
 * Happy path: one system call for each call here. A durable write is one pwritev2 with RWF_DSYNC: the kernel answers when the
 *             bytes (and what is needed to find them again) are on stable storage, by a FUA write or write + flush.
 * Failure: -errno of the first failed call; nothing that failed is tried again, because after a failed write or flush an
 *          identical second try can "succeed" with the bytes gone. Not failures: EINTR with nothing done, and a transfer
 *          that is short but above 0 bytes; both go on with what is left. 0 bytes written is -EIO.
 * Closing: gives the locks back by name, then closes the descriptor; the result of close(2) is not looked at, because
 *          whatever had to be durable was made durable by a call with a result. */
#include "io/posix.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/bits.h"
#include "base/cancel.h"

static void check_transfer(const struct dw_posix_file *file, const void *bytes, size_t size, uint64_t offset)
{
    dw_assert(size > 0);
    dw_assert(offset <= INT64_MAX && size <= INT64_MAX - offset);
    if (file->is_direct)
        dw_assert(dw_is_aligned((uintptr_t)bytes | size | offset, file->base.alignment));
}

void dw_posix_close_file(struct dw_file *base)
{
    struct dw_posix_file *file = dw_posix_file_of(base);
    dw_posix_unlock_from(file, DW_LOCK_WRITER);
    close(file->descriptor);
    dw_pool_put(&dw_posix_disk_of(base->disk)->files, file);
}

int dw_posix_size(struct dw_file *file, uint64_t *size)
{
    struct stat facts;
    *size = 0;
    if (fstat(dw_posix_file_of(file)->descriptor, &facts) < 0)
        return -errno;
    *size = (uint64_t)facts.st_size;
    return 0;
}

/* ---- read ---- */

/* A direct read that stops in the middle of a unit can only have met the end of the file. */
static int confirm_end(struct dw_file *file, uint64_t end)
{
    uint64_t size = 0;
    int result = dw_posix_size(file, &size);
    return result < 0 ? result : size <= end ? 0 : -EIO;
}

int dw_posix_read(struct dw_file *base, void *bytes, size_t size, uint64_t offset, size_t *done)
{
    struct dw_posix_file *file = dw_posix_file_of(base);
    *done = 0;
    check_transfer(file, bytes, size, offset);
    while (*done < size) {
        ssize_t got = pread(file->descriptor, (unsigned char *)bytes + *done, size - *done, (off_t)(offset + *done));
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return -errno;
        if (got == 0)
            break;
        *done += (size_t)got;
        if (file->is_direct && !dw_is_aligned(*done, file->base.alignment))
            return confirm_end(base, offset + *done);
    }
    return 0;
}

/* ---- write ---- */

/* pwritev2 of the C library is a cancellation point, and costs a commit in memory 2 % for being one. */
static ssize_t write_with_flags(int descriptor, const struct iovec *part, uint64_t offset, int flags)
{
    return syscall(SYS_pwritev2, (long)descriptor, part, 1L, (long)offset, 0L, (long)flags);
}

/* Write all, with these flags of pwritev2. *done: how many bytes are written, also on failure. */
static int write_all(struct dw_posix_file *file, const void *bytes, size_t size, uint64_t offset, int flags,
                     size_t *done)
{
    while (*done < size) {
        struct iovec part = {.iov_base = (unsigned char *)(uintptr_t)bytes + *done, .iov_len = size - *done};
        ssize_t put = flags ? write_with_flags(file->descriptor, &part, offset + *done, flags)
                            : pwrite(file->descriptor, part.iov_base, part.iov_len, (off_t)(offset + *done));
        if (put < 0 && errno == EINTR)
            continue;
        if (put < 0)
            return -errno;
        if (put == 0)
            return -EIO;
        *done += (size_t)put;
    }
    return 0;
}

int dw_posix_write(struct dw_file *base, const void *bytes, size_t size, uint64_t offset)
{
    struct dw_posix_file *file = dw_posix_file_of(base);
    check_transfer(file, bytes, size, offset);
    size_t done = 0;
    return write_all(file, bytes, size, offset, 0, &done);
}

int dw_posix_flush(struct dw_file *file)
{
    int result;
    do
        result = fdatasync(dw_posix_file_of(file)->descriptor);
    while (result < 0 && errno == EINTR);
    return result == 0 ? 0 : -errno;
}

/* For kernels without RWF_DSYNC, and devices that flush faster than they force one write through. */
static int write_and_sync(struct dw_posix_file *file, const void *bytes, size_t size, uint64_t offset)
{
    size_t done = 0;
    int cancel = dw_cancel_hold(); /* the caller may be a committer who holds the flush role */
    int result = write_all(file, bytes, size, offset, 0, &done);
    if (result == 0)
        result = dw_posix_flush(&file->base);
    dw_cancel_release(cancel);
    return result;
}

int dw_posix_write_durable(struct dw_file *base, const void *bytes, size_t size, uint64_t offset)
{
    struct dw_posix_file *file = dw_posix_file_of(base);
    struct dw_posix_disk *disk = dw_posix_disk_of(base->disk);
    check_transfer(file, bytes, size, offset);
    int dsync = atomic_load_explicit(&disk->dsync, memory_order_relaxed);
    if (DW_UNLIKELY(dsync == DW_DSYNC_MISSING))
        return write_and_sync(file, bytes, size, offset);
    size_t done = 0;
    int result = write_all(file, bytes, size, offset, RWF_DSYNC, &done);
    if (DW_LIKELY(dsync == DW_DSYNC_KNOWN))
        return result;
    if (result == 0)
        atomic_store_explicit(&disk->dsync, DW_DSYNC_KNOWN, memory_order_relaxed);
    if ((result != -EOPNOTSUPP && result != -ENOSYS) || done > 0)
        return result;
    /* The kernel refuses an unknown flag before it looks at the bytes, so this is no second try of a failed write. */
    atomic_store_explicit(&disk->dsync, DW_DSYNC_MISSING, memory_order_relaxed);
    return write_and_sync(file, bytes, size, offset);
}

/* ---- the file as a whole ---- */

int dw_posix_sync(struct dw_file *file)
{
    int result;
    do
        result = fsync(dw_posix_file_of(file)->descriptor);
    while (result < 0 && errno == EINTR);
    return result == 0 ? 0 : -errno;
}

int dw_posix_touch(struct dw_file *file)
{
    /* A file that we may write can be given the time of now; where it cannot, the next write does it, as ever. */
    (void)futimens(dw_posix_file_of(file)->descriptor, NULL);
    return dw_posix_flush(file);
}

int dw_posix_resize(struct dw_file *file, uint64_t size)
{
    dw_assert(size <= INT64_MAX);
    int result;
    do
        result = ftruncate(dw_posix_file_of(file)->descriptor, (off_t)size);
    while (result < 0 && errno == EINTR);
    return result == 0 ? 0 : -errno;
}

int dw_posix_allocate(struct dw_file *file, uint64_t size)
{
    dw_assert(size > 0 && size <= INT64_MAX);
    int result;
    do
        result = fallocate(dw_posix_file_of(file)->descriptor, 0, 0, (off_t)size);
    while (result < 0 && errno == EINTR);
    return result == 0 ? 0 : -errno;
}
