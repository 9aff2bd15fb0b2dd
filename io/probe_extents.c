/* probe_extents.c - how the bytes of a file lie on its device, as FIEMAP tells.
 *
 * An extent that is allocated and not written costs its first write a change of metadata; a hole costs more; a shared one is
 * copied. A volume whose extents are all written and its own is overwritten in place.
 * The kernel's answers are clipped to the file's size and must move forward, so that odd ones cannot loop. */
#include <errno.h>
#include <fcntl.h>
#include <linux/fiemap.h>
#include <linux/fs.h>
#include <stdbool.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/bits.h"
#include "io/probe.h"

enum { EXTENTS_AT_ONCE = 64 };

/* Add one extent, as far as it lies between `end` (that of the one before) and the file's size. Answers its end. */
static uint64_t add_extent(struct dw_probe_extents *extents, const struct fiemap_extent *extent, uint64_t end)
{
    uint64_t start = dw_max_u64(end, dw_min_u64(extent->fe_logical, extents->size));
    uint64_t stop = 0;
    if (dw_add_overflows(extent->fe_logical, extent->fe_length, &stop))
        stop = UINT64_MAX;
    stop = dw_max_u64(start, dw_min_u64(stop, extents->size));
    extents->hole += start - end;
    extents->count++;
    uint64_t size = stop - start;
    if (extent->fe_flags & (FIEMAP_EXTENT_DELALLOC | FIEMAP_EXTENT_UNKNOWN | FIEMAP_EXTENT_DATA_INLINE |
                            FIEMAP_EXTENT_DATA_TAIL | FIEMAP_EXTENT_NOT_ALIGNED))
        extents->unsettled += size;
    else if (extent->fe_flags & FIEMAP_EXTENT_UNWRITTEN)
        extents->unwritten += size;
    else
        extents->written += size;
    if (extent->fe_flags & FIEMAP_EXTENT_SHARED)
        extents->shared += size;
    return stop;
}

static int walk_extents(int descriptor, struct dw_probe_extents *extents)
{
    uint64_t end = 0, from = 0;
    bool is_last = extents->size == 0;
    while (!is_last) {
        /* Not FIEMAP_FLAG_SYNC: that would write. */
        _Alignas(
            struct fiemap) unsigned char room[sizeof(struct fiemap) + EXTENTS_AT_ONCE * sizeof(struct fiemap_extent)];
        struct fiemap *map = memset(room, 0, sizeof room);
        map->fm_start = from;
        map->fm_length = FIEMAP_MAX_OFFSET - from;
        map->fm_extent_count = EXTENTS_AT_ONCE;
        if (ioctl(descriptor, FS_IOC_FIEMAP, map) < 0) {
            if (errno == EINTR)
                continue;
            return errno == ENOTTY ? -EOPNOTSUPP : -errno;
        }
        is_last = map->fm_mapped_extents == 0;
        for (uint32_t i = 0; i < map->fm_mapped_extents && i < EXTENTS_AT_ONCE; i++) {
            const struct fiemap_extent *extent = &map->fm_extents[i];
            uint64_t stop = extent->fe_logical + extent->fe_length;
            is_last = is_last || (extent->fe_flags & FIEMAP_EXTENT_LAST) || stop >= extents->size || stop <= from;
            end = add_extent(extents, extent, end);
            from = stop;
        }
    }
    extents->hole += extents->size - end;
    return 0;
}

int dw_probe_file_extents(const char *path, struct dw_probe_extents *extents)
{
    *extents = (struct dw_probe_extents){.size = 0};
    int descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    if (descriptor < 0)
        return -errno;
    struct stat facts;
    int result = fstat(descriptor, &facts) < 0 ? -errno : S_ISREG(facts.st_mode) ? 0 : -EINVAL;
    if (result == 0) {
        extents->size = (uint64_t)facts.st_size;
        result = walk_extents(descriptor, extents);
    }
    close(descriptor);
    return result;
}
