/* place.c - where an atomic file lies, and how its failures are told.
 *
 * Called by: writer and reader, on the caller's thread. The directory is opened once and everything goes through that
 * descriptor, so that a rename of a parent meanwhile does no harm.
 * Failure: the codes of dwal/atomic_file.h, with the path in the text. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/layers/atomic/atomic.h"
#include "core/layers/fail.h"

int dw_atomic_code_of(int system_code)
{
    switch (system_code) {
    case ENOENT:
    case ENOTDIR:
        return DWAL_EATOMIC_NONE;
    case ELOOP:
        return DWAL_EATOMIC_LINK;
    case EACCES:
    case EPERM:
    case EROFS:
        return DWAL_EPERMISSION;
    case ENOSPC:
    case EDQUOT:
    case EFBIG:
        return DWAL_ENOSPACE;
    case ENOMEM:
    case EMFILE:
    case ENFILE:
        return DWAL_EMEMORY;
    case ENAMETOOLONG:
    case EISDIR:
        return DWAL_EARGUMENT;
    default:
        return DWAL_EDEVICE;
    }
}

int dw_atomic_fail(int code, int system_code, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    int result = dw_layer_fail(code, system_code, DWAL_NO_LSN, format, arguments);
    va_end(arguments);
    return result;
}

/* Split `path` at its last slash and open what comes before. */
static int open_parent(struct dw_atomic_place *place, const char *path)
{
    const char *slash = strrchr(path, '/');
    const char *name = slash ? slash + 1 : path;
    size_t length = strlen(name);
    if (length == 0 || strcmp(name, ".") == 0 || strcmp(name, "..") == 0)
        return dw_atomic_fail(DWAL_EARGUMENT, 0, "%s does not end in the name of a file", *path ? path : "the path");
    if (length >= DW_ATOMIC_NAME_SIZE || (slash && (size_t)(slash - path) >= PATH_MAX))
        return dw_atomic_fail(DWAL_EARGUMENT, ENAMETOOLONG, "%.100s... is too long", path);
    memcpy(place->name, name, length + 1);
    char parent[PATH_MAX] = ".";
    if (slash == path)
        memcpy(parent, "/", 2);
    else if (slash)
        (void)snprintf(parent, sizeof parent, "%.*s", (int)(slash - path), path);
    place->directory = open(parent, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (place->directory < 0)
        return dw_atomic_fail(dw_atomic_code_of(errno), errno, "the directory of %s cannot be opened", path);
    return 0;
}

int dw_atomic_place_open(struct dw_atomic_place *place, const char *path, unsigned flags)
{
    place->directory = -1;
    if (!path || *path == '\0' || (flags & ~(unsigned)DWAL_ATOMIC_FOLLOW) != 0)
        return dw_atomic_fail(DWAL_EARGUMENT, 0, "the path is empty, or a flag is unknown");
    int result = open_parent(place, path);
    struct stat facts;
    if (result < 0 || fstatat(place->directory, place->name, &facts, AT_SYMLINK_NOFOLLOW) != 0 ||
        !S_ISLNK(facts.st_mode))
        return result;
    dw_atomic_place_close(place);
    if (!(flags & DWAL_ATOMIC_FOLLOW))
        return dw_atomic_fail(DWAL_EATOMIC_LINK, 0, "%s is a symbolic link", path);
    char *real = realpath(path, NULL);
    if (!real)
        return dw_atomic_fail(dw_atomic_code_of(errno), errno, "what the link %s leads to cannot be found", path);
    result = open_parent(place, real);
    free(real);
    return result;
}

void dw_atomic_place_close(struct dw_atomic_place *place)
{
    if (place->directory >= 0)
        close(place->directory);
    place->directory = -1;
}
