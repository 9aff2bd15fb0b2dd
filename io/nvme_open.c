/* nvme_open.c - from a block device to the generic node of its namespace, and the proof that both are the same.
 *
 * Owns: the descriptor of the generic node. Called by: nvme.c, when a queue is made.
 * Happy path: sysfs says which disk a device number is, where a partition begins, and what one command may move; the node
 *             in /dev must have the device number that sysfs says. Then namespace id, length and block size of the two
 *             nodes are compared.
 * Failure: a write through the generic node is checked by nobody: not against the partition's end, not against a mounted
 *          file system. So anything that does not fit is a refusal; see nvme.h for the codes.
 * Closing: closes the descriptor. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/fs.h>
#include <linux/nvme_ioctl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "alloc/alloc.h"
#include "io/nvme.h"

enum { SECTOR = 512, ADMIN_IDENTIFY = 0x06 };

/* ---- sysfs -------------------------------------------------------------------------------------------------------- */

/* The first line of `directory`/`name`. 0 or -errno. */
static int read_line(const char *directory, const char *name, char *line, size_t size)
{
    char path[PATH_MAX];
    if (snprintf(path, sizeof path, "%s/%s", directory, name) >= (int)sizeof path)
        return -ENAMETOOLONG;
    int descriptor = open(path, O_RDONLY | O_CLOEXEC);
    if (descriptor < 0)
        return -errno;
    ssize_t got = read(descriptor, line, size - 1);
    int result = got < 0 ? -errno : 0;
    close(descriptor);
    line[got > 0 ? got : 0] = '\0';
    line[strcspn(line, "\n")] = '\0';
    return result;
}

static int read_number(const char *directory, const char *name, uint64_t *number)
{
    char line[32], *end;
    int result = read_line(directory, name, line, sizeof line);
    if (result < 0)
        return result;
    *number = strtoull(line, &end, 10);
    return end == line ? -EINVAL : 0;
}

/* "nvme0n1": a whole namespace. Not "nvme0c0n1", a path to one that has several. */
static bool is_namespace(const char *name)
{
    unsigned controller, number;
    int length = 0;
    return sscanf(name, "nvme%un%u%n", &controller, &number, &length) == 2 && name[length] == '\0';
}

static int find_generic(const char *sysfs, struct dw_nvme_place *place)
{
    char directory[PATH_MAX], line[32];
    if (snprintf(place->generic, sizeof place->generic, "ng%.20s", place->disk + strlen("nvme")) < 0 ||
        snprintf(directory, sizeof directory, "%s/class/nvme-generic/%s", sysfs, place->generic) >=
            (int)sizeof directory)
        return -ENAMETOOLONG;
    if (read_line(directory, "dev", line, sizeof line) < 0)
        return -EOPNOTSUPP; /* a kernel before 5.13, or a driver without one */
    return sscanf(line, "%u:%u", &place->major, &place->minor) == 2 ? 0 : -EINVAL;
}

/* What one command may move, in bytes of the device and in segments of memory. */
static int find_limits(const char *disk, struct dw_nvme_place *place)
{
    char queue[PATH_MAX];
    uint64_t kib = 0, segments = 0, block_size = 0, is_polled = 0;
    if (snprintf(queue, sizeof queue, "%s/queue", disk) >= (int)sizeof queue)
        return -ENAMETOOLONG;
    int result = read_number(queue, "max_hw_sectors_kb", &kib);
    if (result == 0)
        result = read_number(queue, "max_segments", &segments);
    if (result == 0)
        result = read_number(queue, "logical_block_size", &block_size);
    if (result < 0)
        return result;
    if (block_size < SECTOR || block_size > (1u << 16))
        return -EINVAL;
    place->transfer_max = dw_nvme_transfer_max(kib << 10, segments, (uint32_t)block_size);
    place->has_polled_queue = read_number(queue, "io_poll", &is_polled) == 0 && is_polled != 0;
    return place->transfer_max > 0 ? 0 : -EINVAL;
}

int dw_nvme_find(const char *sysfs, uint32_t major, uint32_t minor, struct dw_nvme_place *place)
{
    char link[PATH_MAX], path[PATH_MAX];
    uint64_t sectors = 0, start = 0, partition = 0;
    memset(place, 0, sizeof *place);
    if (snprintf(link, sizeof link, "%s/dev/block/%u:%u", sysfs, major, minor) >= (int)sizeof link)
        return -ENAMETOOLONG;
    if (!realpath(link, path))
        return -EOPNOTSUPP;
    int result = read_number(path, "size", &sectors);
    if (result == 0 && read_number(path, "partition", &partition) == 0) {
        result = read_number(path, "start", &start);
        *strrchr(path, '/') = '\0'; /* a partition's directory lies in its disk's */
    }
    if (result < 0)
        return result;
    const char *disk = strrchr(path, '/');
    if (!disk || !is_namespace(disk + 1))
        return -EOPNOTSUPP;
    place->start = start * SECTOR;
    place->size = sectors * SECTOR;
    snprintf(place->disk, sizeof place->disk, "%.31s", disk + 1);
    result = find_generic(sysfs, place);
    return result < 0 ? result : find_limits(path, place);
}

/* ---- the node ----------------------------------------------------------------------------------------------------- */

static int open_generic(const struct dw_nvme_place *place, int *descriptor)
{
    char path[64];
    struct stat facts;
    snprintf(path, sizeof path, "/dev/%s", place->generic);
    *descriptor = open(path, O_RDWR | O_CLOEXEC | O_NOFOLLOW | O_NOCTTY);
    if (*descriptor < 0)
        return errno == ENOENT ? -EOPNOTSUPP : errno == EPERM ? -EACCES : -errno;
    if (fstat(*descriptor, &facts) < 0 || !S_ISCHR(facts.st_mode) ||
        facts.st_rdev != makedev(place->major, place->minor)) {
        close(*descriptor);
        return -ESTALE;
    }
    return 0;
}

static int identify_namespace(const struct dw_nvme_target *target, struct dw_nvme_format *format)
{
    unsigned char *identify = dw_alloc_io(DW_NVME_IDENTIFY_SIZE, DW_NVME_IDENTIFY_SIZE);
    if (!identify)
        return -ENOMEM;
    struct nvme_admin_cmd command = {
        .opcode = ADMIN_IDENTIFY,
        .nsid = target->namespace_id,
        .addr = (uintptr_t)identify,
        .data_len = DW_NVME_IDENTIFY_SIZE,
    };
    int result = ioctl(target->descriptor, NVME_IOCTL_ADMIN_CMD, &command);
    if (result < 0)
        result = errno == EPERM ? -EACCES : -errno;
    else if (result > 0)
        result = dw_nvme_status_error((uint32_t)result);
    else
        dw_nvme_parse_format(identify, format);
    dw_free_io(identify);
    return result;
}

/* Both nodes must tell the same story, and it must be one that plain writes fit into. */
static int compare_nodes(int block, struct dw_nvme_target *target)
{
    const struct dw_nvme_place *place = &target->place;
    struct dw_nvme_format format = {0};
    int block_size = 0;
    uint64_t size = 0;
    int generic_id = ioctl(target->descriptor, NVME_IOCTL_ID);
    if (generic_id <= 0 || ioctl(block, BLKSSZGET, &block_size) < 0 || ioctl(block, BLKGETSIZE64, &size) < 0)
        return generic_id < 0 ? -errno : -ESTALE;
    target->namespace_id = (uint32_t)generic_id;
    int block_id = ioctl(block, NVME_IOCTL_ID);
    int result = identify_namespace(target, &format);
    if (result < 0)
        return result;
    if (format.metadata_bytes != 0)
        return -EMEDIUMTYPE;
    bool is_same = block_id == generic_id && format.block_size != 0 && format.block_size == (uint32_t)block_size &&
                   size == place->size && place->start % format.block_size == 0;
    if (!is_same || (place->start + size) / format.block_size > format.block_count)
        return -ESTALE;
    target->block_size = format.block_size;
    return 0;
}

int dw_nvme_open(int block, struct dw_nvme_target *target)
{
    struct stat facts;
    memset(target, 0, sizeof *target);
    target->descriptor = -1;
    if (fstat(block, &facts) < 0)
        return -errno;
    if (!S_ISBLK(facts.st_mode))
        return -EOPNOTSUPP;
    int result = dw_nvme_find("/sys", major(facts.st_rdev), minor(facts.st_rdev), &target->place);
    if (result == 0)
        result = open_generic(&target->place, &target->descriptor);
    if (result < 0)
        return result;
    result = compare_nodes(block, target);
    if (result < 0)
        dw_nvme_close(target);
    return result;
}

void dw_nvme_close(struct dw_nvme_target *target)
{
    close(target->descriptor);
    target->descriptor = -1;
}
