/* probe.c - gather the facts about a path: its mount, then the device behind, then what the file itself says.
 *
 * Happy path: statx gives device number and mount id; mountinfo gives the mount by that id; sysfs gives the whole disk
 *             behind the device number, or behind the mount's source where the number is only a name (btrfs, overlay).
 * Failure: -errno if the path cannot be opened or mountinfo is absurdly large; all other gaps stay UNKNOWN. */
#include "io/probe.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdbool.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "alloc/alloc.h"
#include "io/posix.h"

enum { MOUNTINFO_SIZE_MAX = 16 << 20, MOUNTINFO_SIZE_FIRST = 64 << 10 };

const char *dw_fact_text(enum dw_fact fact)
{
    return fact == DW_FACT_YES ? "yes" : fact == DW_FACT_NO ? "no" : "unknown";
}

/* All of a /proc file: its size is not known beforehand. */
static int read_all(const char *path, char **text, size_t *size)
{
    int descriptor = open(path, O_RDONLY | O_CLOEXEC);
    if (descriptor < 0)
        return -errno;
    size_t room = MOUNTINFO_SIZE_FIRST;
    char *bytes = dw_alloc(room);
    int result = bytes ? 0 : -ENOMEM;
    *size = 0;
    while (result == 0) {
        ssize_t got = read(descriptor, bytes + *size, room - *size);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            result = -errno;
        if (got <= 0)
            break;
        *size += (size_t)got;
        if (*size < room)
            continue;
        char *larger = room < MOUNTINFO_SIZE_MAX ? dw_realloc(bytes, 2 * room) : NULL;
        if (!larger) {
            result = room < MOUNTINFO_SIZE_MAX ? -ENOMEM : -EFBIG;
            break;
        }
        bytes = larger;
        room *= 2;
    }
    close(descriptor);
    if (result < 0) {
        dw_free(bytes);
        bytes = NULL;
    }
    *text = bytes;
    return result;
}

static int probe_mount(const struct statx *facts, struct dw_probe_mount *mount)
{
    char *text = NULL;
    size_t size = 0;
    int result = read_all("/proc/self/mountinfo", &text, &size);
    if (result == -ENOMEM)
        return result;
    if (result < 0)
        return 0; /* no /proc: unknown */
    uint64_t id = 0;
#ifdef STATX_MNT_ID
    if (facts->stx_mask & STATX_MNT_ID)
        id = facts->stx_mnt_id;
#endif
    /* Not found: hidden from this process. All its facts stay unknown. */
    (void)!dw_probe_parse_mounts(text, size, id, facts->stx_dev_major, facts->stx_dev_minor, mount);
    dw_free(text);
    return 0;
}

static void probe_device(const struct statx *facts, struct dw_probe *probe)
{
    if (dw_probe_read_device("/sys", facts->stx_dev_major, facts->stx_dev_minor, &probe->device) == 0)
        return;
    /* A number that no device has: the file system made it up. Its source may be a device. */
    struct stat source;
    if (probe->mount.source[0] != '/' || stat(probe->mount.source, &source) < 0 || !S_ISBLK(source.st_mode))
        return;
    (void)!dw_probe_read_device("/sys", major(source.st_rdev), minor(source.st_rdev), &probe->device);
}

static enum dw_fact find_no_cow(int descriptor)
{
    int flags = 0;
    if (ioctl(descriptor, FS_IOC_GETFLAGS, &flags) < 0)
        return DW_FACT_UNKNOWN;
    return (flags & FS_NOCOW_FL) ? DW_FACT_YES : DW_FACT_NO;
}

/* The kernel's answer as it lies in memory: the C library's struct may be older than what is asked. */
struct kernel_statx {
    unsigned char before[152];
    uint32_t dio_memory, dio_offset;
    uint64_t subvolume;
    uint32_t atomic_min, atomic_max, atomic_segments, dio_read_offset, atomic_max_hardware;
    unsigned char rest[68];
};
_Static_assert(sizeof(struct kernel_statx) == 256, "as the kernel writes it");
#define STATX_MASK_DIOALIGN     0x2000u
#define STATX_MASK_WRITE_ATOMIC 0x10000u

void dw_probe_direct(int descriptor, struct dw_probe *probe)
{
    struct kernel_statx facts;
    uint32_t mask = 0;
    memset(&facts, 0, sizeof facts);
    if (syscall(SYS_statx, descriptor, "", AT_EMPTY_PATH, STATX_MASK_DIOALIGN | STATX_MASK_WRITE_ATOMIC, &facts) < 0)
        return;
    memcpy(&mask, facts.before, sizeof mask);
    if ((mask & STATX_MASK_DIOALIGN) && facts.dio_offset != 0) {
        probe->memory_alignment = facts.dio_memory;
        probe->offset_alignment = facts.dio_offset;
        probe->direct_alignment = facts.dio_offset > facts.dio_memory ? facts.dio_offset : facts.dio_memory;
    }
    if (mask & STATX_MASK_WRITE_ATOMIC) {
        probe->atomic_write_min = facts.atomic_min;
        probe->atomic_write_max = facts.atomic_max;
        probe->atomic_write_max_hardware = facts.atomic_max_hardware;
    }
}

bool dw_probe_is_block_device(const char *path)
{
    struct stat facts;
    return stat(path, &facts) == 0 && S_ISBLK(facts.st_mode);
}

/* XFS tells by an ioctl whether it was made so; its answer as it lies in memory. */
struct xfs_geometry {
    unsigned char before[92];
    uint32_t flags;
    unsigned char rest[160];
};
_Static_assert(sizeof(struct xfs_geometry) == 256, "as the kernel writes it");
#define XFS_GEOMETRY         _IOR('X', 126, struct xfs_geometry)
#define XFS_GEOMETRY_REFLINK (1u << 20)

static enum dw_fact find_sharing(int descriptor, const char *type)
{
    if (strcmp(type, "xfs") == 0) {
        struct xfs_geometry geometry;
        if (ioctl(descriptor, XFS_GEOMETRY, &geometry) < 0)
            return DW_FACT_UNKNOWN;
        return (geometry.flags & XFS_GEOMETRY_REFLINK) ? DW_FACT_YES : DW_FACT_NO;
    }
    if (strcmp(type, "btrfs") == 0 || strcmp(type, "bcachefs") == 0)
        return DW_FACT_YES;
    return strncmp(type, "ext", 3) == 0 ? DW_FACT_NO : DW_FACT_UNKNOWN;
}

static int probe_descriptor(int descriptor, struct dw_probe *probe)
{
    unsigned wanted = STATX_BASIC_STATS;
#ifdef STATX_MNT_ID
    wanted |= STATX_MNT_ID;
#endif
    struct statx facts;
    if (statx(descriptor, "", AT_EMPTY_PATH, wanted, &facts) < 0)
        return -errno;
    dw_probe_direct(descriptor, probe);
    if (S_ISBLK(facts.stx_mode)) {
        (void)!dw_probe_read_device("/sys", facts.stx_rdev_major, facts.stx_rdev_minor, &probe->device);
        return 0;
    }
    if (!S_ISDIR(facts.stx_mode) && !S_ISREG(facts.stx_mode))
        return -EINVAL;
    int result = probe_mount(&facts, &probe->mount);
    if (result < 0)
        return result;
    probe_device(&facts, probe);
    probe->is_no_cow = find_no_cow(descriptor);
    probe->can_share = find_sharing(descriptor, probe->mount.type);
    return 0;
}

int dw_probe_path(const char *path, struct dw_probe *probe)
{
    *probe = (struct dw_probe){.direct_alignment = 0};
    /* O_NONBLOCK: a pipe of that name must not hang us. */
    int descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    if (descriptor < 0)
        return -errno;
    int result = probe_descriptor(descriptor, probe);
    close(descriptor);
    return result;
}

int dw_probe_disk(struct dw_disk *disk, struct dw_probe *probe)
{
    *probe = (struct dw_probe){.direct_alignment = 0};
    if (!dw_disk_is_posix(disk))
        return -EOPNOTSUPP;
    if (!disk->is_device)
        return probe_descriptor(dw_posix_disk_of(disk)->directory, probe);
    struct dw_file *file = NULL;
    int result = disk->ops->open(disk, DW_DEVICE_NAME, DW_OPEN_READ, &file);
    if (result < 0)
        return result;
    result = probe_descriptor(dw_posix_file_of(file)->descriptor, probe);
    dw_file_close(file);
    return result;
}
