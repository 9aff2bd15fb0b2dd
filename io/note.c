/* note.c - short texts in a directory of one's own; see note.h.
 *
 * Happy path of a write: a temporary file (0600, exclusive) in the same directory, then a rename over the old one. Nothing is
 * followed through a link. Failure: -errno, and no temporary file is left. */
#include "io/note.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* Ours, and nobody else can write to it? */
static int check_owner(int descriptor, mode_t kind)
{
    struct stat facts;
    if (fstat(descriptor, &facts) < 0)
        return -errno;
    bool is_ours = (facts.st_mode & S_IFMT) == kind && facts.st_uid == geteuid() && (facts.st_mode & 022) == 0;
    return is_ours ? 0 : -EPERM;
}

static int open_directory(const char *path)
{
    int descriptor = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (descriptor < 0)
        return -errno;
    int result = check_owner(descriptor, S_IFDIR);
    if (result == 0)
        return descriptor;
    close(descriptor);
    return result;
}

int dw_note_read(const char *directory, const char *name, char *text, size_t room)
{
    int parent = open_directory(directory);
    if (parent < 0)
        return parent;
    int descriptor = openat(parent, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
    int result = descriptor < 0 ? -errno : check_owner(descriptor, S_IFREG);
    size_t size = 0;
    while (result == 0 && size < room) {
        ssize_t got = read(descriptor, text + size, room - size);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            result = -errno;
        if (got <= 0)
            break;
        size += (size_t)got;
    }
    if (result == 0 && size == room)
        result = -EFBIG;
    if (result == 0)
        text[size] = '\0';
    if (descriptor >= 0)
        close(descriptor);
    close(parent);
    return result;
}

static int make_directory(const char *path)
{
    if (mkdir(path, 0700) == 0 || errno == EEXIST)
        return 0;
    if (errno != ENOENT)
        return -errno;
    char above[PATH_MAX];
    int length = snprintf(above, sizeof above, "%s", path);
    char *slash = length > 0 && (size_t)length < sizeof above ? strrchr(above, '/') : NULL;
    if (!slash || slash == above)
        return -ENOENT;
    *slash = '\0';
    if (mkdir(above, 0700) < 0 && errno != EEXIST)
        return -errno;
    return mkdir(path, 0700) == 0 || errno == EEXIST ? 0 : -errno;
}

static int write_all(int descriptor, const char *text, size_t size)
{
    while (size > 0) {
        ssize_t put = write(descriptor, text, size);
        if (put < 0 && errno == EINTR)
            continue;
        if (put <= 0)
            return put < 0 ? -errno : -EIO;
        text += put;
        size -= (size_t)put;
    }
    return 0;
}

int dw_note_write(const char *directory, const char *name, const char *text, size_t size)
{
    static _Atomic unsigned numbers; /* relaxed: only uniqueness matters */
    int result = make_directory(directory);
    if (result < 0)
        return result;
    int parent = open_directory(directory);
    if (parent < 0)
        return parent;
    char temporary[64];
    snprintf(temporary, sizeof temporary, "note.tmp.%ld.%u", (long)getpid(),
             atomic_fetch_add_explicit(&numbers, 1, memory_order_relaxed));
    (void)unlinkat(parent, temporary, 0); /* of a process of the same number that died here */
    int descriptor = openat(parent, temporary, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    result = descriptor < 0 ? -errno : write_all(descriptor, text, size);
    if (descriptor >= 0)
        close(descriptor);
    if (result == 0 && renameat(parent, temporary, parent, name) < 0)
        result = -errno;
    if (result < 0 && descriptor >= 0)
        (void)unlinkat(parent, temporary, 0);
    close(parent);
    return result;
}
