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

static uint64_t read_number(int directory, const char *name)
{
    char line[32], *end = NULL;
    if (!read_line(directory, name, line, sizeof line) || line[0] < '0' || line[0] > '9')
        return 0;
    unsigned long long number = strtoull(line, &end, 10);
    return *end == '\0' ? number : 0;
}

static uint32_t read_size(int directory, const char *name)
{
    uint64_t number = read_number(directory, name);
    return number <= UINT32_MAX ? (uint32_t)number : 0;
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

/* "none [mq-deadline] kyber": the one in brackets. */
static void read_scheduler(int disk, char *scheduler, size_t room)
{
    char line[128];
    if (!read_line(disk, "queue/scheduler", line, sizeof line))
        return;
    char *open = strchr(line, '['), *close = open ? strchr(open, ']') : NULL;
    if (close)
        *close = '\0';
    copy_name(scheduler, room, close ? open + 1 : line);
}

/* What outlives a new number or name of the device, best first. */
static void read_identity(int disk, struct dw_probe_device *device)
{
    static const char *const files[] = {"dm/uuid", "md/uuid", "wwid",          "device/wwid",
                                        "uuid",    "serial",  "device/serial", "loop/backing_file"};
    for (size_t i = 0; i < DW_COUNT_OF(files) && device->identity[0] == '\0'; i++)
        if (read_line(disk, files[i], device->identity, sizeof device->identity))
            copy_name(device->identity_at, sizeof device->identity_at, files[i]);
    if (!read_line(disk, "loop/backing_file", device->backing, sizeof device->backing))
        device->backing[0] = '\0';
}

/* virtio: cache_type beside the queue; SCSI: one level down. The kernel starts from it, an administrator may overrule it. */
static void read_claim(int disk, struct dw_probe_device *device)
{
    device->claims_volatile_cache = read_fact(disk, "cache_type", "write back", "write through");
    int directory = openat(disk, "device/scsi_disk", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (directory < 0)
        return;
    DIR *stream = fdopendir(directory);
    if (!stream) {
        close(directory);
        return;
    }
    const struct dirent *entry;
    while ((entry = readdir(stream)) != NULL) {
        char name[300];
        if (entry->d_name[0] == '.')
            continue;
        snprintf(name, sizeof name, "%s/cache_type", entry->d_name);
        device->claims_volatile_cache = read_fact(directory, name, "write back", "write through");
    }
    closedir(stream);
}

/* nvme0n1 is served by ng0n1, when the kernel made one. */
static void find_character(const char *sysfs, struct dw_probe_device *device)
{
    char path[512];
    if (strncmp(device->name, "nvme", 4) != 0)
        return;
    int size = snprintf(path, sizeof path, "%s/class/nvme-generic/ng%s", sysfs, device->name + 4);
    if (size > 0 && (size_t)size < sizeof path && access(path, F_OK) == 0)
        snprintf(device->character, sizeof device->character, "ng%.28s", device->name + 4);
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
    /* The kernel keeps a mask there. */
    uint32_t mask = read_size(disk, "queue/dma_alignment");
    device->dma_alignment = mask > 0 && mask < UINT32_MAX ? mask + 1 : 0;
    uint64_t sectors = read_number(disk, "size");
    device->size = sectors <= UINT64_MAX / 512 ? sectors * 512 : 0;
    device->is_read_only = read_fact(disk, "ro", "1", "0");
    char zoned[32];
    if (read_line(disk, "queue/zoned", zoned, sizeof zoned))
        device->is_zoned = strcmp(zoned, "none") == 0 ? DW_FACT_NO : DW_FACT_YES;
    read_scheduler(disk, device->scheduler, sizeof device->scheduler);
    read_identity(disk, device);
    read_claim(disk, device);
}

/* ---- what lies below a stacked device ---- */

enum { BELOW_MAX = 32 };

/* Names in `slaves` of this device, those that are not in the list yet. *is_lowest: there is none. */
static size_t add_lower(const char *sysfs, const char *name, char below[BELOW_MAX][32], size_t count, bool *is_lowest)
{
    char path[512];
    snprintf(path, sizeof path, "%s/class/block/%s/slaves", sysfs, name);
    *is_lowest = true;
    DIR *stream = opendir(path);
    if (!stream)
        return count;
    const struct dirent *entry;
    while ((entry = readdir(stream)) != NULL && count < BELOW_MAX) {
        bool is_known = entry->d_name[0] == '.';
        *is_lowest = *is_lowest && is_known;
        for (size_t i = 0; i < count; i++)
            is_known = is_known || strcmp(below[i], entry->d_name) == 0;
        if (!is_known)
            copy_name(below[count++], sizeof below[0], entry->d_name);
    }
    closedir(stream);
    return count;
}

/* A lowest device: its own limits, or those of the disk that it is a partition of. */
static void add_member(const char *sysfs, const char *name, struct dw_probe_device *device)
{
    if (device->member_count == DW_PROBE_MEMBERS_MAX)
        return;
    char path[512], last[32], before[32];
    snprintf(path, sizeof path, "%s/class/block/%s", sysfs, name);
    int found = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (found < 0)
        return;
    bool is_partition = faccessat(found, "partition", F_OK, 0) == 0;
    struct dw_probe_member *member = &device->members[device->member_count++];
    copy_name(member->name, sizeof member->name, name);
    if (is_partition && read_link_names(path, last, before, sizeof last))
        copy_name(member->name, sizeof member->name, before);
    member->has_volatile_cache =
        read_fact(found, is_partition ? "../queue/write_cache" : "queue/write_cache", "write back", "write through");
    member->has_fua = read_fact(found, is_partition ? "../queue/fua" : "queue/fua", "1", "0");
    close(found);
}

/* Level by level; a device below two others is looked at once, so this ends. */
static void find_members(const char *sysfs, struct dw_probe_device *device)
{
    char below[BELOW_MAX][32];
    copy_name(below[0], sizeof below[0], device->name);
    size_t count = 1;
    for (size_t i = 0; i < count; i++) {
        bool is_lowest = true;
        count = add_lower(sysfs, below[i], below, count, &is_lowest);
        if (is_lowest && i > 0)
            add_member(sysfs, below[i], device);
    }
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
    find_character(sysfs, device);
    if (device->lower_count > 0)
        find_members(sysfs, device);
    return 0;
}
