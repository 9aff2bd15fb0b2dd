/* guard_directory.c - what speaks against keeping a log in a directory: the file system below it, and who else may write there.
 *
 * Called by: creating a log and opening one for writing; any thread. Happy path: one look at the directory's owner and mode,
 * one at its mount (probe.h). Failure: -errno when the directory cannot be looked at; what is not known is said as a remark,
 * because a file system of which nothing is known may be as good as any. */
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "io/guard.h"
#include "io/probe.h"

static bool is_type(const struct dw_probe *probe, const char *type)
{
    return strcmp(probe->mount.type, type) == 0;
}

void dw_guard_judge_mount(const struct dw_probe *probe, struct dw_guard *guard)
{
    const struct dw_probe_mount *mount = &probe->mount;
    if (mount->is_network == DW_FACT_YES)
        dw_guard_add(guard, DW_GUARD_NETWORK, "%s is a network file system: another machine decides what is durable",
                     mount->type);
    if (mount->is_memory == DW_FACT_YES)
        dw_guard_add(guard, DW_GUARD_MEMORY, "%s lies in memory and is gone with the power", mount->type);
    if (mount->is_copy_on_write == DW_FACT_YES && probe->is_no_cow != DW_FACT_YES)
        dw_guard_add(guard, DW_GUARD_COPY_ON_WRITE,
                     "%s copies on write, so that each commit rewrites its tree and may run out of space%s",
                     mount->type, is_type(probe, "btrfs") ? ": run 'chattr +C' on the empty directory first" : "");
    bool is_overlay = is_type(probe, "overlay");
    if (is_overlay && mount->is_barrier_off == DW_FACT_YES)
        dw_guard_add(guard, DW_GUARD_NO_FLUSH, "%.100s is an overlay mounted volatile: a flush does nothing there",
                     mount->point);
    else if (is_overlay)
        dw_guard_add(
            guard, DW_GUARD_REMARK,
            "it lies on an overlay (a container's own layer, say) and goes when its upper layer is thrown away");
    else if (mount->is_barrier_off == DW_FACT_YES)
        dw_guard_add(guard, DW_GUARD_REMARK,
                     "%.100s is mounted without barriers: what is acknowledged is as safe as the device's cache is",
                     mount->point);
}

/* Whoever may rename or replace a file of the log may give us another one to write into. */
static void judge_access(const struct stat *facts, struct dw_guard *guard)
{
    if (facts->st_uid != geteuid() && facts->st_uid != 0)
        dw_guard_add(guard, DW_GUARD_STRANGERS,
                     "the directory belongs to user %u, and this process runs as user %u: run it as its owner",
                     (unsigned)facts->st_uid, (unsigned)geteuid());
    if (facts->st_mode & S_IWOTH)
        dw_guard_add(guard, DW_GUARD_STRANGERS,
                     "everybody may write into the directory (mode %04o): run 'chmod o-w' on it",
                     (unsigned)facts->st_mode & 07777u);
}

int dw_guard_look_at_directory(const char *path, struct dw_guard *guard)
{
    struct stat facts;
    *guard = (struct dw_guard){.findings = 0};
    if (stat(path, &facts) < 0)
        return -errno;
    if (!S_ISDIR(facts.st_mode))
        return -ENOTDIR;
    struct dw_probe probe;
    int result = dw_probe_path(path, &probe);
    if (result < 0)
        return result;
    judge_access(&facts, guard);
    dw_guard_judge_mount(&probe, guard);
    return 0;
}

int dw_guard_set_in_place(const char *path)
{
    int directory = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (directory < 0)
        return -errno;
    int flags = 0, result = 0;
    if (ioctl(directory, FS_IOC_GETFLAGS, &flags) < 0)
        result = -EOPNOTSUPP;
    if (result == 0 && !(flags & FS_NOCOW_FL)) {
        flags |= FS_NOCOW_FL;
        result = ioctl(directory, FS_IOC_SETFLAGS, &flags) < 0 ? -EOPNOTSUPP : 0;
    }
    close(directory);
    return result;
}
