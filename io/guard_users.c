/* guard_users.c - who uses a block device: mounts, swap, devices on top of it; also for its partitions and its whole disk.
 *
 * A device overlaps with the disk that it is a partition of and with its own partitions, so all of these numbers (the family)
 * are looked for. What sits on a sister partition does not overlap and is not a finding.
 * Reads /proc/self/mountinfo, /proc/swaps and sysfs; a file that is missing is UNCHECKED, an entry that does not parse is passed
 * over (O_EXCL, tried by the caller, is the kernel's own word for all of this). */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "alloc/alloc.h"
#include "base/bits.h"
#include "io/guard.h"
#include "io/probe.h"

enum { FAMILY_MAX = 257, NAME_SIZE = 64, TEXT_SIZE_MAX = 16 << 20 };

struct member {
    uint32_t major, minor;
    char name[NAME_SIZE];
    const char *relation; /* "", "partition ", "the whole disk " */
};
struct family {
    struct dw_guard *guard;
    const char *proc, *sysfs;
    uint32_t count;
    struct member members[FAMILY_MAX];
};

static const struct member *find_member(const struct family *family, uint32_t major, uint32_t minor)
{
    for (uint32_t i = 0; i < family->count; i++)
        if (family->members[i].major == major && family->members[i].minor == minor)
            return &family->members[i];
    return NULL;
}

static const struct member *find_path(const struct family *family, const char *path)
{
    struct stat facts;
    if (path[0] != '/' || stat(path, &facts) < 0 || !S_ISBLK(facts.st_mode))
        return NULL;
    return find_member(family, major(facts.st_rdev), minor(facts.st_rdev));
}

/* How a sentence about this member begins: nothing for the device itself. */
static const char *subject(const struct member *member, char text[NAME_SIZE + 32])
{
    text[0] = '\0';
    if (member->relation[0])
        snprintf(text, NAME_SIZE + 32, "%s%s is ", member->relation, member->name);
    return text;
}

/* ---- files ---- */

/* The whole of a file of /proc or sysfs, terminated; NULL if it cannot be had. */
static char *read_text(const char *path)
{
    int descriptor = open(path, O_RDONLY | O_CLOEXEC);
    if (descriptor < 0)
        return NULL;
    size_t room = 16 << 10, size = 0;
    char *text = dw_alloc(room);
    while (text) {
        ssize_t got = read(descriptor, text + size, room - size - 1);
        if (got < 0 && errno == EINTR)
            continue;
        if (got == 0)
            break;
        size += got > 0 ? (size_t)got : 0;
        char *larger = text;
        if (got > 0 && room - size == 1)
            larger = room < TEXT_SIZE_MAX ? dw_realloc(text, room *= 2) : NULL;
        if (got < 0 || !larger) {
            dw_free(text);
            text = NULL;
            break;
        }
        text = larger;
    }
    close(descriptor);
    if (text)
        text[size] = '\0';
    return text;
}

static bool read_small(const char *directory, const char *name, char *line, size_t room)
{
    char path[600];
    if ((size_t)snprintf(path, sizeof path, "%s/%s", directory, name) >= sizeof path)
        return false;
    int descriptor = open(path, O_RDONLY | O_CLOEXEC);
    if (descriptor < 0)
        return false;
    ssize_t got = read(descriptor, line, room - 1);
    close(descriptor);
    if (got < 0)
        return false;
    line[got] = '\0';
    line[strcspn(line, "\n")] = '\0';
    return true;
}

static bool read_number(const char *directory, uint32_t *major, uint32_t *minor)
{
    char line[32];
    return read_small(directory, "dev", line, sizeof line) && sscanf(line, "%u:%u", major, minor) == 2;
}

/* ---- the family ---- */

static void add_member(struct family *family, uint32_t major, uint32_t minor, const char *name, const char *relation)
{
    if (family->count == FAMILY_MAX) {
        dw_guard_add(family->guard, DW_GUARD_UNCHECKED, "it has more partitions than can be looked at");
        return;
    }
    struct member *member = &family->members[family->count++];
    *member = (struct member){.major = major, .minor = minor, .relation = relation};
    snprintf(member->name, sizeof member->name, "%.*s", NAME_SIZE - 1, name);
}

typedef void entry_fn(struct family *family, const char *directory, const char *name);

/* Call `fn` for each name in a directory; false when there is no such directory. */
static bool for_each(struct family *family, const char *directory, entry_fn *fn)
{
    int descriptor = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (descriptor < 0)
        return false;
    _Alignas(struct dirent64) char buffer[4096];
    ssize_t got;
    while ((got = getdents64(descriptor, buffer, sizeof buffer)) > 0)
        for (ssize_t at = 0; at < got;) {
            const struct dirent64 *entry = (const struct dirent64 *)(const void *)(buffer + at);
            at += entry->d_reclen;
            if (entry->d_name[0] != '.')
                fn(family, directory, entry->d_name);
        }
    close(descriptor);
    return true;
}

static void add_partition(struct family *family, const char *directory, const char *name)
{
    char path[600], line[16];
    uint32_t major, minor;
    if ((size_t)snprintf(path, sizeof path, "%s/%s", directory, name) >= sizeof path)
        return;
    if (read_small(path, "partition", line, sizeof line) && read_number(path, &major, &minor))
        add_member(family, major, minor, name, "its partition ");
}

/* The device itself first, then its partitions, or the disk above it. Answers sysfs' directory of the whole disk. */
static void gather(struct family *family, char *disk, size_t room)
{
    const struct dw_guard_identity *identity = &family->guard->identity;
    char path[512], line[16];
    uint32_t major, minor;
    snprintf(path, sizeof path, "%s/dev/block/%u:%u", family->sysfs, identity->major, identity->minor);
    struct dw_probe_device device;
    if (dw_probe_read_device(family->sysfs, identity->major, identity->minor, &device) < 0) {
        dw_guard_add(family->guard, DW_GUARD_UNCHECKED, "%s does not know it: its partitions and holders are unknown",
                     family->sysfs);
        device = (struct dw_probe_device){.name = "?"};
    }
    bool is_partition = read_small(path, "partition", line, sizeof line);
    add_member(family, identity->major, identity->minor, is_partition ? device.partition : device.name, "");
    if (!is_partition) {
        snprintf(disk, room, "%s", path);
        (void)for_each(family, path, add_partition);
        if (family->count > 1)
            dw_guard_add(family->guard, DW_GUARD_PARTITIONS, "the kernel knows %u partition%s of it", family->count - 1,
                         family->count == 2 ? "" : "s");
        return;
    }
    snprintf(disk, room, "%s/..", path);
    if (read_number(disk, &major, &minor))
        add_member(family, major, minor, device.name, "its whole disk ");
}

/* ---- mounts, swap ---- */

static void look_at_mount(struct family *family, const char *line, size_t size)
{
    unsigned long long id;
    uint32_t major, minor;
    if (sscanf(line, "%llu %*u %u:%u", &id, &major, &minor) != 3)
        return;
    const struct member *member = find_member(family, major, minor);
    if (!member && major != 0)
        return;
    struct dw_probe_mount mount;
    if (dw_probe_parse_mounts(line, size, id, 0, 0, &mount) < 0)
        return;
    /* Major 0: a number that no device has (btrfs and others make one up); the source names the device. */
    if (!member)
        member = find_path(family, mount.source);
    char who[NAME_SIZE + 32];
    if (member)
        dw_guard_add(family->guard, DW_GUARD_MOUNTED, "%smounted at %.100s (%s)", subject(member, who), mount.point,
                     mount.type);
}

static void look_at_swap(struct family *family, char *line)
{
    line[strcspn(line, " \t")] = '\0';
    const struct member *member = find_path(family, line);
    char who[NAME_SIZE + 32];
    if (member)
        dw_guard_add(family->guard, DW_GUARD_SWAP, "%sswap space in use", subject(member, who));
}

/* Each line of the file; those of /proc/swaps after its heading. */
static void look_at_lines(struct family *family, const char *name, bool is_swap)
{
    char path[512];
    snprintf(path, sizeof path, "%s/%s", family->proc, name);
    char *text = read_text(path);
    if (!text) {
        /* A kernel without swap has no such file. */
        if (!is_swap || faccessat(AT_FDCWD, path, F_OK, 0) == 0)
            dw_guard_add(family->guard, DW_GUARD_UNCHECKED, "%.100s cannot be read", path);
        return;
    }
    for (char *line = text, *next; *line; line = next) {
        size_t size = strcspn(line, "\n");
        next = line + size + (line[size] == '\n');
        line[size] = '\0';
        if (is_swap)
            look_at_swap(family, line);
        else
            look_at_mount(family, line, size);
    }
    dw_free(text);
}

/* ---- devices on top ---- */

static void add_holder(struct family *family, const char *directory, const char *name)
{
    /* .../dev/block/M:m/holders: the number says which member. */
    uint32_t major = 0, minor = 0;
    const char *number = strstr(directory, "/dev/block/");
    if (!number || sscanf(number, "/dev/block/%u:%u", &major, &minor) != 2)
        return;
    const struct member *member = find_member(family, major, minor);
    char who[NAME_SIZE + 32], path[600], mapped[64] = "";
    snprintf(path, sizeof path, "%.400s/%.64s/dm", directory, name);
    bool is_mapped = read_small(path, "name", mapped, sizeof mapped);
    if (member)
        dw_guard_add(family->guard, DW_GUARD_HELD, "%sheld by %.40s%s%s%s", subject(member, who), name,
                     is_mapped ? " (" : "", mapped, is_mapped ? ")" : "");
}

static void look_at_holders(struct family *family)
{
    char path[512];
    for (uint32_t i = 0; i < family->count; i++) {
        snprintf(path, sizeof path, "%s/dev/block/%u:%u/holders", family->sysfs, family->members[i].major,
                 family->members[i].minor);
        (void)for_each(family, path, add_holder);
    }
}

/* A loop device over a block device neither claims it nor is among its holders. */
static void look_at_loop(struct family *family, const char *directory, const char *name)
{
    char path[600], backing[512], who[NAME_SIZE + 32];
    if (strncmp(name, "loop", 4) != 0)
        return;
    snprintf(path, sizeof path, "%.400s/%.64s/loop", directory, name);
    if (!read_small(path, "backing_file", backing, sizeof backing))
        return;
    const struct member *member = find_path(family, backing);
    if (member)
        dw_guard_add(family->guard, DW_GUARD_HELD, "%sthe backing of %.40s", subject(member, who), name);
}

void dw_guard_look_at_users(const char *proc, const char *sysfs, struct dw_guard *guard)
{
    struct family *family = dw_alloc(sizeof *family);
    if (!family) {
        dw_guard_add(guard, DW_GUARD_UNCHECKED, "no memory to look for its users");
        return;
    }
    family->guard = guard;
    family->proc = proc;
    family->sysfs = sysfs;
    char disk[520], line[64];
    gather(family, disk, sizeof disk);
    if (read_small(disk, "queue/zoned", line, sizeof line) && strcmp(line, "none") != 0)
        dw_guard_add(guard, DW_GUARD_ZONED, "a zoned device (%s): its zones must be written in order", line);
    look_at_lines(family, "self/mountinfo", false);
    look_at_lines(family, "swaps", true);
    look_at_holders(family);
    snprintf(disk, sizeof disk, "%s/block", sysfs);
    (void)for_each(family, disk, look_at_loop);
    dw_free(family);
}
