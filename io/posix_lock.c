/* posix_lock.c - "somebody writes here" and "somebody reads here", as OFD locks on bytes far beyond any data: two of a
 * file, many of a device. The locks of a device live on the inode of its node: two nodes of one device do not see each
 * other's, which is why the exclusive open (posix_device.c) comes first.
 *
 * A lock belongs to the open file description that carries the I/O: it ends when the description does, so a killed
 * writer's lock holds until its last write in flight has ended, and never outlives it. (Classic POSIX locks would be
 * dropped when any other descriptor of the file is closed in the process; flock does not see either kind.)
 * Called by: open, the maker, readers; any thread. Never waits.
 * Failure: -EAGAIN: somebody else's lock conflicts. -EBADF: an exclusive lock needs a file that was opened for writing; a
 *          file opened with DW_OPEN_READ can take shared locks only. Other -errno as the kernel says.
 * Closing: locks are given back by name before the descriptor is closed, because an io_uring may keep a reference to the
 *          description for a while. */
#include "io/posix.h"

#include <errno.h>
#include <fcntl.h>

#include "base/assert.h"

static struct flock lock_of(enum dw_lock_kind kind, short type)
{
    dw_assert((int)kind >= 0 && kind < DW_LOCK_LAST);
    return (struct flock){
        .l_type = type,
        .l_whence = SEEK_SET,
        .l_start = (off_t)((UINT64_C(1) << 62) + (uint64_t)kind),
        .l_len = 1,
    };
}

static int set_lock(struct dw_posix_file *file, enum dw_lock_kind kind, short type)
{
    struct flock lock = lock_of(kind, type);
    int result;
    do
        result = fcntl(file->descriptor, F_OFD_SETLK, &lock);
    while (result < 0 && errno == EINTR);
    if (result == 0)
        return 0;
    return errno == EACCES ? -EAGAIN : -errno;
}

int dw_posix_lock(struct dw_file *base, enum dw_lock_kind kind, enum dw_lock_mode mode)
{
    struct dw_posix_file *file = dw_posix_file_of(base);
    if (mode == DW_LOCK_NONE)
        return set_lock(file, kind, F_UNLCK);
    /* Relaxed: read at close, which comes after every other call on the file. */
    atomic_store_explicit(&file->has_locked, true, memory_order_relaxed);
    return set_lock(file, kind, mode == DW_LOCK_SHARED ? F_RDLCK : F_WRLCK);
}

int dw_posix_lock_test(struct dw_file *base, enum dw_lock_kind kind, bool *is_held)
{
    struct flock lock = lock_of(kind, F_WRLCK);
    *is_held = false;
    int result;
    do
        result = fcntl(dw_posix_file_of(base)->descriptor, F_OFD_GETLK, &lock);
    while (result < 0 && errno == EINTR);
    if (result < 0)
        return -errno;
    *is_held = lock.l_type != F_UNLCK;
    return 0;
}

void dw_posix_unlock_from(struct dw_posix_file *file, enum dw_lock_kind first)
{
    if (!atomic_load_explicit(&file->has_locked, memory_order_relaxed))
        return;
    struct flock lock = lock_of(first, F_UNLCK);
    lock.l_len = 0; /* and all behind it */
    int result;
    do
        result = fcntl(file->descriptor, F_OFD_SETLK, &lock);
    while (result < 0 && errno == EINTR);
}
