/* posix_names.c - the names of a directory: list, open, rename, unlink, make the names durable.
 *
 * Called by: open, the maker, readers; any thread. Nothing here is on the way of a commit.
 * Happy path: a file is opened relative to the directory's descriptor, never through a link, for direct I/O; what was
 *             opened is then looked at (not the name before it), and its alignment is asked from the kernel.
 * Failure: -errno. -EINVAL: direct I/O is refused there, no regular file, or a name that leaves the directory; -EMLINK: to be
 *          written, but it has a second name, through which somebody could write into it; -ELOOP: a symbolic link; -EPERM: to be written,
 *          but another user's. A file that was created and then refused is unlinked again.
 * Closing: posix_file.c. */
#include "io/posix.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/bits.h"

enum { ALIGNMENT_UNKNOWN = 4096, ALIGNMENT_MIN = 512, ALIGNMENT_MAX = 65536 };

static bool is_plain_name(const char *name)
{
    return name[0] != '\0' && strchr(name, '/') == NULL && strcmp(name, ".") != 0 && strcmp(name, "..") != 0;
}

/* ---- list ---- */

static int list_one(struct dw_posix_disk *disk, const struct dirent64 *entry, dw_list_fn *fn, void *context)
{
    if (entry->d_type != DT_REG && entry->d_type != DT_UNKNOWN)
        return 0;
    struct stat facts;
    if (fstatat(disk->directory, entry->d_name, &facts, AT_SYMLINK_NOFOLLOW) < 0)
        return errno == ENOENT ? 0 : -errno; /* gone since the directory was read */
    if (!S_ISREG(facts.st_mode))
        return 0;
    return fn(context, entry->d_name, (uint64_t)facts.st_size);
}

int dw_posix_list(struct dw_disk *base, dw_list_fn *fn, void *context)
{
    struct dw_posix_disk *disk = dw_posix_disk_of(base);
    /* A description of its own: the position in the directory is shared by all users of one. */
    int directory;
    do
        directory = openat(disk->directory, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    while (directory < 0 && errno == EINTR);
    if (directory < 0)
        return -errno;
    int result = 0;
    _Alignas(struct dirent64) char buffer[8192];
    while (result == 0) {
        ssize_t got = getdents64(directory, buffer, sizeof buffer);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            result = -errno;
        if (got <= 0)
            break;
        for (ssize_t at = 0; at < got && result == 0;) {
            const struct dirent64 *entry = (const struct dirent64 *)(const void *)(buffer + at);
            at += entry->d_reclen;
            result = list_one(disk, entry, fn, context);
        }
    }
    close(directory);
    return result;
}

/* ---- open ---- */

static int open_descriptor(struct dw_posix_disk *disk, const char *name, unsigned flags, bool is_direct)
{
    /* O_NONBLOCK: opening a pipe that somebody put there must not hang; taken off again in accept_descriptor. */
    int how = O_CLOEXEC | O_NOFOLLOW | O_NOCTTY | O_NONBLOCK | (is_direct ? O_DIRECT : 0);
    how |= (flags & DW_OPEN_WRITE) ? O_RDWR : O_RDONLY;
    how |= (flags & DW_OPEN_CREATE) ? O_CREAT | O_EXCL : 0;
    int descriptor;
    do
        descriptor = openat(disk->directory, name, how, 0600);
    while (descriptor < 0 && errno == EINTR);
    if (descriptor >= 0)
        return descriptor;
    int result = -errno;
    /* A file system that refuses O_DIRECT does so after it created the file. */
    if (result == -EINVAL && is_direct && (flags & DW_OPEN_CREATE))
        (void)unlinkat(disk->directory, name, 0);
    return result;
}

/* What was opened, and what direct I/O wants there (6.1 and later), in one call. */
static int look_at(int descriptor, struct statx *facts)
{
#ifdef STATX_DIOALIGN
    const unsigned wanted = STATX_BASIC_STATS | STATX_DIOALIGN;
#else
    const unsigned wanted = STATX_BASIC_STATS;
#endif
    const unsigned needed = STATX_TYPE | STATX_NLINK | STATX_UID;
    if (statx(descriptor, "", AT_EMPTY_PATH, wanted, facts) == 0 && (facts->stx_mask & needed) == needed)
        return 0;
    struct stat older; /* no statx: an old kernel, or a filter that does not know it */
    if (fstat(descriptor, &older) < 0)
        return -errno;
    *facts = (struct statx){
        .stx_mode = (uint16_t)older.st_mode, .stx_uid = older.st_uid, .stx_nlink = (uint32_t)older.st_nlink};
    return 0;
}

/* 4096 satisfies every device of kernels that do not tell. 0 or -EINVAL. */
static int find_alignment(const struct statx *facts, bool is_direct, uint32_t *alignment)
{
    *alignment = is_direct ? ALIGNMENT_UNKNOWN : ALIGNMENT_MIN;
#ifdef STATX_DIOALIGN
    if (!is_direct || !(facts->stx_mask & STATX_DIOALIGN))
        return 0;
    if (facts->stx_dio_offset_align == 0 || facts->stx_dio_mem_align == 0)
        return -EINVAL; /* O_DIRECT is accepted and means nothing */
    uint64_t wanted = dw_max_u64(facts->stx_dio_offset_align, facts->stx_dio_mem_align);
    wanted = dw_max_u64(wanted, ALIGNMENT_MIN);
    if (wanted > ALIGNMENT_MAX || !dw_is_power_of_two(wanted))
        return -EINVAL;
    *alignment = (uint32_t)wanted;
#else
    (void)facts;
#endif
    return 0;
}

/* Is what was opened a file that may be trusted with data? */
static int accept_descriptor(int descriptor, unsigned flags, bool is_direct, uint32_t *alignment)
{
    struct statx facts;
    int result = look_at(descriptor, &facts);
    if (result < 0)
        return result;
    if (!S_ISREG(facts.stx_mode))
        return -EINVAL;
    if ((flags & DW_OPEN_WRITE) && facts.stx_uid != geteuid())
        return -EPERM;
    if (facts.stx_nlink == 0)
        return -ENOENT; /* unlinked since it was opened */
    if ((flags & DW_OPEN_WRITE) && facts.stx_nlink > 1)
        return -EMLINK;
    /* Takes O_NONBLOCK off: of what can be changed here only O_DIRECT was asked for. */
    if (fcntl(descriptor, F_SETFL, is_direct ? O_DIRECT : 0) < 0)
        return -errno;
    return find_alignment(&facts, is_direct, alignment);
}

uint64_t dw_posix_generation(void)
{
    /* Relaxed: only uniqueness matters. */
    static _Atomic uint64_t generations;
    return atomic_fetch_add_explicit(&generations, 1, memory_order_relaxed) + 1;
}

static struct dw_file *make_file(struct dw_posix_disk *disk, int descriptor, bool is_direct, uint32_t alignment)
{
    struct dw_posix_file *file = dw_pool_get(&disk->files);
    if (!file)
        return NULL;
    file->base.disk = &disk->base;
    file->base.alignment = alignment;
    file->descriptor = descriptor;
    file->is_direct = is_direct;
    file->generation = dw_posix_generation();
    return &file->base;
}

static int open_as(struct dw_posix_disk *disk, const char *name, unsigned flags, bool is_direct, struct dw_file **file)
{
    int descriptor = open_descriptor(disk, name, flags, is_direct);
    if (descriptor < 0)
        return descriptor;
    uint32_t alignment = 0;
    int result = accept_descriptor(descriptor, flags, is_direct, &alignment);
    if (result == 0) {
        *file = make_file(disk, descriptor, is_direct, alignment);
        if (*file)
            return 0;
        result = -ENOMEM;
    }
    close(descriptor);
    if (flags & DW_OPEN_CREATE)
        (void)unlinkat(disk->directory, name, 0);
    return result;
}

int dw_posix_open(struct dw_disk *base, const char *name, unsigned flags, struct dw_file **file)
{
    struct dw_posix_disk *disk = dw_posix_disk_of(base);
    *file = NULL;
    dw_assert(flags == DW_OPEN_READ || flags == DW_OPEN_WRITE || flags == (DW_OPEN_WRITE | DW_OPEN_CREATE));
    if (!is_plain_name(name))
        return -EINVAL;
    int result = open_as(disk, name, flags, true, file);
    if (result == -EINVAL && disk->is_unsafe)
        result = open_as(disk, name, flags, false, file);
    return result;
}

/* ---- a file without a name ---- */

/* Where O_TMPFILE is not known: a name for an instant. What a crash leaves in that instant is empty and named so that
 * everybody sees whose it was. */
static int open_and_unlink(struct dw_posix_disk *disk, int how)
{
    char name[48];
    int descriptor = -EEXIST;
    for (unsigned try = 0; descriptor == -EEXIST && try < 64; try++) {
        snprintf(name, sizeof name, ".dwal-trial-%ld-%u", (long)getpid(), try);
        descriptor = openat(disk->directory, name, how | O_CREAT | O_EXCL | O_NOFOLLOW, 0600);
        if (descriptor < 0)
            descriptor = -errno;
    }
    if (descriptor >= 0 || descriptor == -EINVAL)
        (void)unlinkat(disk->directory, name, 0);
    return descriptor;
}

static int open_unnamed(struct dw_posix_disk *disk, bool is_direct)
{
    int how = O_RDWR | O_CLOEXEC | (is_direct ? O_DIRECT : 0);
    int descriptor;
    do
        descriptor = openat(disk->directory, ".", how | O_TMPFILE | O_EXCL, 0600);
    while (descriptor < 0 && errno == EINTR);
    if (descriptor >= 0)
        return descriptor;
    if (errno == EOPNOTSUPP || errno == EISDIR || errno == ENOENT)
        return open_and_unlink(disk, how);
    return -errno;
}

int dw_posix_open_unnamed(struct dw_disk *base, struct dw_file **file)
{
    struct dw_posix_disk *disk = dw_posix_disk_of(base);
    *file = NULL;
    bool is_direct = true;
    int descriptor = open_unnamed(disk, is_direct);
    if (descriptor == -EINVAL && disk->is_unsafe) {
        is_direct = false;
        descriptor = open_unnamed(disk, is_direct);
    }
    if (descriptor < 0)
        return descriptor;
    uint32_t alignment = 0;
    struct statx facts;
    int result = look_at(descriptor, &facts);
    if (result == 0)
        result = find_alignment(&facts, is_direct, &alignment);
    if (result == 0) {
        *file = make_file(disk, descriptor, is_direct, alignment);
        result = *file ? 0 : -ENOMEM;
    }
    if (result < 0)
        close(descriptor);
    return result;
}

/* ---- rename, unlink, sync ---- */

int dw_posix_rename(struct dw_disk *base, const char *from, const char *to)
{
    struct dw_posix_disk *disk = dw_posix_disk_of(base);
    if (!is_plain_name(from) || !is_plain_name(to))
        return -EINVAL;
    if (renameat2(disk->directory, from, disk->directory, to, RENAME_NOREPLACE) == 0)
        return 0;
    if (errno != EINVAL && errno != ENOSYS)
        return -errno;
    /* The file system does not know the flag. Look first, then rename: the move stays atomic, and the look is enough among
     * those who keep the writer's lock. (link + unlink would never replace, but a crash between them leaves a file with two
     * names.) */
    struct stat facts;
    if (fstatat(disk->directory, to, &facts, AT_SYMLINK_NOFOLLOW) == 0)
        return -EEXIST;
    if (errno != ENOENT)
        return -errno;
    return renameat(disk->directory, from, disk->directory, to) == 0 ? 0 : -errno;
}

int dw_posix_unlink(struct dw_disk *base, const char *name)
{
    if (!is_plain_name(name))
        return -EINVAL;
    return unlinkat(dw_posix_disk_of(base)->directory, name, 0) == 0 ? 0 : -errno;
}

int dw_posix_sync_names(struct dw_disk *base)
{
    int result;
    do
        result = fsync(dw_posix_disk_of(base)->directory);
    while (result < 0 && errno == EINTR);
    return result == 0 ? 0 : -errno;
}
