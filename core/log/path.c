/* path.c - from a path to a disk; see path.h. Failure: dwal codes that name the path and what to do. */
#include "core/log/path.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "core/base/error.h"
#include "core/format/codec.h"
#include "io/guard.h"

/* "/dev/ng0n1" -> "/dev/nvme0n1". That both are one namespace is checked by the nvme queue before it writes. */
static bool find_block_device(const char *generic, char *device)
{
    char real[PATH_MAX];
    unsigned controller, number;
    int length = 0;
    if (!realpath(generic, real) || sscanf(real, "/dev/ng%un%u%n", &controller, &number, &length) != 2 ||
        real[length] != '\0')
        return false;
    snprintf(device, PATH_MAX, "/dev/nvme%un%u", controller, number);
    return true;
}

/* Put the path of the device's node into `device`, cut off behind the last '#' if only then it exists. */
static bool find_node(const char *path, char *device, const char **name, bool *is_generic)
{
    struct stat facts;
    int length = snprintf(device, PATH_MAX, "%s", path);
    *name = "";
    *is_generic = false;
    if (length < 0 || length >= PATH_MAX)
        return false;
    if (stat(path, &facts) != 0) {
        char *hash = strrchr(device, '#');
        if (!hash)
            return false;
        *hash = '\0';
        *name = path + (hash - device) + 1;
        if (stat(device, &facts) != 0)
            return false;
    }
    char generic[PATH_MAX];
    memcpy(generic, device, sizeof generic);
    *is_generic = S_ISCHR(facts.st_mode) && find_block_device(generic, device);
    return *is_generic ? stat(device, &facts) == 0 && S_ISBLK(facts.st_mode) : S_ISBLK(facts.st_mode);
}

bool dw_path_is_device(const char *path, char *device, const char **name)
{
    bool is_generic;
    return find_node(path, device, name, &is_generic);
}

bool dw_path_is_generic(const char *path)
{
    char device[PATH_MAX];
    const char *name;
    bool is_generic;
    return find_node(path, device, &name, &is_generic) && is_generic;
}

/* The kernel said no: say who or what is in the way. */
static int refuse_device(const char *device, int result)
{
    struct dw_guard guard;
    char reasons[300] = "";
    if (dw_guard_look(device, -1, &guard) == 0)
        dw_guard_tell(&guard, DW_GUARD_IN_USE, reasons, sizeof reasons);
    if (result == -EBUSY)
        return dw_fail(DWAL_EBUSY, "%s is in use by something that is not dwal: %s", device,
                       reasons[0] ? reasons : "the kernel does not tell by what");
    if (guard.findings & DW_GUARD_READ_ONLY)
        return dw_fail(DWAL_EPERMISSION, "%s cannot be written: it is read-only", device);
    return dw_fail_system(result, "opening %s failed", device);
}

static int open_device(const char *path, const char *device, const char *name, unsigned flags, struct dw_disk **disk)
{
    if (!dw_device_name_is_possible(name))
        return dw_fail(DWAL_EARGUMENT,
                       "\"%.40s\" is no name for a log: up to 31 letters, digits, '.', '_' and '-' are allowed", name);
    int result = dw_disk_device_open(device, flags, false, disk);
    if (result == -EBUSY || result == -EROFS || result == -EACCES)
        return refuse_device(device, result);
    if (result == -EINVAL)
        return dw_fail(DWAL_EUNSUPPORTED, "%s has sectors of a size that dwal cannot use", device);
    if (result < 0)
        return dw_fail_system(result, "opening %s failed", device);
    snprintf((*disk)->part, sizeof(*disk)->part, "%s", name);
    snprintf((*disk)->path, sizeof(*disk)->path, "%s", path);
    return 0;
}

const char *dw_path_obstacle(const char *path)
{
    struct stat facts;
    if (stat(path, &facts) == 0)
        return "is neither a directory nor a block device";
    switch (errno) {
    case ENOTDIR:
        return "does not exist: a part of this path is no directory";
    case ELOOP:
        return "cannot be followed: its symbolic links lead in a circle";
    case ENAMETOOLONG:
        return "is too long for a path, or has a part that is too long";
    default:
        return lstat(path, &facts) == 0 ? "is a symbolic link that points at nothing" : "does not exist";
    }
}

int dw_path_open(const char *path, unsigned flags, bool is_unsafe, struct dw_disk **disk)
{
    char device[PATH_MAX];
    const char *name;
    *disk = NULL;
    if (!path || !path[0])
        return dw_fail(DWAL_EARGUMENT, "the path is empty");
    if (dw_path_is_device(path, device, &name))
        return open_device(path, device, name, flags, disk);
    int result = dw_disk_posix_open(path, is_unsafe, disk);
    if (result == 0)
        return 0;
    if (result == -ENOENT || result == -ENOTDIR || result == -ELOOP || result == -ENAMETOOLONG)
        return dw_fail(DWAL_ENOLOG, "%s %s", path, dw_path_obstacle(path));
    if (result == -EOPNOTSUPP || result == -EINVAL)
        return dw_fail(DWAL_EUNSUPPORTED, "the file system of %s has no direct I/O, or is memory or network", path);
    return dw_fail_system(result, "cannot open %s", path);
}
