/* probe_device.c - the block device behind a number, as sysfs tells.
 *
 * /sys/dev/block/8:1 is a link into the tree of devices: .../block/sda/sda1. A partition has a file `partition` and its disk is
 * the directory above; queue limits belong to the disk. Every file is small; one that is missing leaves its fact unknown. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "io/probe.h"

/* The first line of a small file under `directory`, without its end; false when there is none. */
static bool read_line(int directory, const char *name, char *line, size_t room)
{
    int descriptor = openat(directory, name, O_RDONLY | O_CLOEXEC);
    if (descriptor < 0)
        return false;
    ssize_t got;
    do
        got = read(descriptor, line, room - 1);
    while (got < 0 && errno == EINTR);
    close(descriptor);
    if (got < 0)
        return false;
    line[got] = '\0';
    line[strcspn(line, "\n")] = '\0';
    return true;
}

static uint32_t read_size(int directory, const char *name)
{
    char line[32], *end = NULL;
    if (!read_line(directory, name, line, sizeof line) || line[0] < '0' || line[0] > '9')
        return 0;
    unsigned long long number = strtoull(line, &end, 10);
    return *end == '\0' && number <= UINT32_MAX ? (uint32_t)number : 0;
}

static enum dw_fact read_fact(int directory, const char *name, const char *yes, const char *no)
{
    char line[32];
    if (!read_line(directory, name, line, sizeof line))
        return DW_FACT_UNKNOWN;
    return strcmp(line, yes) == 0 ? DW_FACT_YES : strcmp(line, no) == 0 ? DW_FACT_NO : DW_FACT_UNKNOWN;
}

static uint32_t count_entries(int directory, const char *name)
{
    int descriptor = openat(directory, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (descriptor < 0)
        return 0;
    uint32_t count = 0;
    _Alignas(struct dirent64) char buffer[4096];
    ssize_t got;
    while ((got = getdents64(descriptor, buffer, sizeof buffer)) > 0)
        for (ssize_t at = 0; at < got;) {
            const struct dirent64 *entry = (const struct dirent64 *)(const void *)(buffer + at);
            at += entry->d_reclen;
            count += entry->d_name[0] != '.';
        }
    close(descriptor);
    return count;
}

/* Cut off what does not fit: a name of a device is short. */
static void copy_name(char *target, size_t room, const char *name)
{
    size_t size = strnlen(name, room - 1);
    memcpy(target, name, size);
    target[size] = '\0';
}

/* The last part of what a link points to, and the one before it. */
static bool read_link_names(const char *path, char *last, char *before, size_t room)
{
    char target[512];
    ssize_t size = readlink(path, target, sizeof target - 1);
    if (size <= 0)
        return false;
    target[size] = '\0';
    char *slash = strrchr(target, '/');
    copy_name(last, room, slash ? slash + 1 : target);
    if (slash)
        *slash = '\0';
    char *other = slash ? strrchr(target, '/') : NULL;
    copy_name(before, room, other ? other + 1 : "");
    return true;
}

static void read_limits(int disk, struct dw_probe_device *device)
{
    device->has_volatile_cache = read_fact(disk, "queue/write_cache", "write back", "write through");
    device->has_fua = read_fact(disk, "queue/fua", "1", "0");
    device->is_rotational = read_fact(disk, "queue/rotational", "1", "0");
    device->logical_block_size = read_size(disk, "queue/logical_block_size");
    device->physical_block_size = read_size(disk, "queue/physical_block_size");
    device->atomic_write_size = read_size(disk, "queue/atomic_write_unit_max_bytes");
    device->lower_count = count_entries(disk, "slaves");
}

int dw_probe_read_device(const char *sysfs, uint32_t major, uint32_t minor, struct dw_probe_device *device)
{
    char path[512], last[32], before[32];
    *device = (struct dw_probe_device){.major = 0};
    snprintf(path, sizeof path, "%s/dev/block/%u:%u", sysfs, major, minor);
    if (!read_link_names(path, last, before, sizeof last))
        return -ENOENT;
    int found = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (found < 0)
        return -ENOENT;
    device->major = major;
    device->minor = minor;
    if (faccessat(found, "partition", F_OK, 0) == 0) {
        copy_name(device->partition, sizeof device->partition, last);
        copy_name(device->name, sizeof device->name, before);
        int disk = openat(found, "..", O_PATH | O_DIRECTORY | O_CLOEXEC);
        if (disk >= 0) {
            read_limits(disk, device);
            close(disk);
        }
    } else {
        copy_name(device->name, sizeof device->name, last);
        read_limits(found, device);
    }
    close(found);
    return 0;
}
