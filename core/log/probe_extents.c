/* probe_extents.c - how the volumes of a log lie on the device: one fact for all of them; see probe_facts.h.
 *
 * Happy path: list the directory, add up the extents of every volume and blank. A directory without them adds nothing; a
 * file system that does not tell is said to be one. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>

#include "core/log/probe_facts.h"
#include "core/store/names.h"
#include "io/io.h"

struct sum {
    const char *path;
    struct dw_probe_extents extents;
    uint32_t files;
    int result; /* of the first file that could not be looked at */
};

static int add_file(void *context, const char *name, uint64_t size)
{
    struct sum *sum = context;
    enum dw_place_kind kind;
    uint32_t number;
    (void)size;
    if (!dw_name_parse(name, &kind, &number) || (kind != DW_PLACE_VOLUME && kind != DW_PLACE_BLANK))
        return 0;
    char path[4096];
    int length = snprintf(path, sizeof path, "%s/%s", sum->path, name);
    struct dw_probe_extents extents;
    int result = length > 0 && (size_t)length < sizeof path ? dw_probe_file_extents(path, &extents) : -ENAMETOOLONG;
    if (result < 0) {
        sum->result = sum->result ? sum->result : result;
        return result == -EOPNOTSUPP ? 1 : 0;
    }
    sum->files++;
    sum->extents.size += extents.size;
    sum->extents.count += extents.count;
    sum->extents.written += extents.written;
    sum->extents.unwritten += extents.unwritten;
    sum->extents.hole += extents.hole;
    sum->extents.shared += extents.shared;
    sum->extents.unsettled += extents.unsettled;
    return 0;
}

static uint64_t percent_of(uint64_t part, uint64_t whole)
{
    return whole ? part * 100 / whole : 0;
}

void dw_facts_of_extents(const char *path, struct dwal_probe *list)
{
    struct dw_disk *disk = NULL;
    if (dw_disk_posix_open(path, true, &disk) < 0)
        return;
    struct sum sum = {.path = path};
    (void)disk->ops->list(disk, add_file, &sum);
    disk->ops->close(disk);
    if (sum.result == -EOPNOTSUPP)
        dw_fact_add(list, DWAL_MARK_PLAIN, "extents", "extents of the volumes", "FIEMAP",
                    "this file system does not tell", "unknown");
    if (sum.files == 0)
        return;
    const struct dw_probe_extents *all = &sum.extents;
    bool is_written = all->written == all->size;
    dw_fact_add(list, is_written ? DWAL_MARK_PLAIN : DWAL_MARK_NOTICE, "extents", "extents of the volumes", "FIEMAP",
                is_written ? "" : "the first write into each unwritten piece also changes metadata: slower",
                "%" PRIu64 " in %u files: %" PRIu64 " %% written, %" PRIu64 " %% unwritten", all->count, sum.files,
                percent_of(all->written, all->size), percent_of(all->size - all->written, all->size));
    if (all->shared > 0)
        dw_fact_add(list, DWAL_MARK_NOTICE, "shared_extents", "shared extents", "FIEMAP",
                    "shared with a snapshot or clone: the first write of each copies it", "%" PRIu64 " %% of the bytes",
                    percent_of(all->shared, all->size));
}
