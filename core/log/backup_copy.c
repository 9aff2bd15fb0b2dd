/* backup_copy.c - the bytes of one volume, up to the end of the copy; see backup.h.
 *
 * Reads through the store's disk, writes a plain file. Blocks before the end were durable when the end was found and are
 * never written again while the volume is pinned: whatever is read is what is there. The TOC is the only part that its
 * writer may still change: it is taken if it checks, its watermark lowered to what the copy holds, else left out, which
 * costs the first open of the copy a scan of this volume.
 * Failure: an error with the place; the caller throws the partial copy away. */
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "base/bits.h"
#include "core/base/error.h"
#include "core/log/backup.h"

struct copying {
    const struct dw_backup_source *source;
    const struct dw_volume *volume;
    int target;
    uint8_t *piece;
    dw_backup_moved_fn *moved;
    void *context;
};

static int write_all(const struct copying *copying, const uint8_t *bytes, size_t size, uint64_t offset)
{
    copying->moved(copying->context, size);
    while (size > 0) {
        ssize_t done = pwrite(copying->target, bytes, size, (off_t)offset);
        if (done < 0 && errno == EINTR)
            continue;
        if (done <= 0)
            return dw_fail_system_at(done < 0 ? -errno : -EIO, copying->volume->number, DWAL_NO_LSN, DWAL_NO_LSN,
                                     "writing the copy of %s failed", copying->volume->name);
        bytes += done;
        offset += (uint64_t)done;
        size -= (size_t)done;
    }
    return 0;
}

static int read_all(const struct copying *copying, size_t size, uint64_t offset)
{
    size_t done = 0;
    int result = dw_file_read(copying->volume->file, copying->piece, size, copying->volume->base + offset, &done);
    if (result == 0 && done == size)
        return 0;
    return dw_fail_device_at(result < 0 ? result : -EIO, copying->volume->number, DWAL_NO_LSN, DWAL_NO_LSN,
                             "reading %s at byte %llu failed", copying->volume->name, (unsigned long long)offset);
}

static int copy_bytes(const struct copying *copying, uint64_t from, uint64_t to)
{
    for (uint64_t at = from; at < to; at += DW_BACKUP_PIECE) {
        size_t size = (size_t)dw_min_u64(DW_BACKUP_PIECE, to - at);
        int result = read_all(copying, size, at);
        if (result == 0)
            result = write_all(copying, copying->piece, size, at);
        if (result < 0)
            return result;
    }
    return 0;
}

static int write_zeros(const struct copying *copying, uint64_t from, uint64_t to)
{
    memset(copying->piece, 0, DW_BACKUP_PIECE);
    for (uint64_t at = from; at < to; at += DW_BACKUP_PIECE) {
        int result = write_all(copying, copying->piece, (size_t)dw_min_u64(DW_BACKUP_PIECE, to - at), at);
        if (result < 0)
            return result;
    }
    return 0;
}

/* ---- the TOC -------------------------------------------------------------------------------------------------------- */

/* Is it true of the copy? */
static bool is_usable(const struct copying *copying, const struct dw_toc_info *toc, bool is_whole)
{
    if ((toc->flags & DW_TOC_OPEN) != 0)
        return copying->source->is_closed;
    return is_whole && toc->end <= dw_lsn_of_block(copying->source->geometry, copying->source->end_block);
}

/* Areas larger than a piece (a table of up to 16 MiB): as bytes when the watermark needs no change, else not at all. */
static int copy_large_toc(const struct copying *copying, uint64_t from, uint64_t to)
{
    const struct dw_volume *volume = copying->volume;
    bool is_kept = volume->toc_verdict == DW_DECODED_OK && is_usable(copying, &volume->toc, true) &&
                   volume->toc.watermark <= copying->source->end_block;
    return is_kept ? copy_bytes(copying, from, to) : write_zeros(copying, from, to);
}

static int copy_toc(const struct copying *copying, bool is_whole)
{
    const struct dw_backup_source *source = copying->source;
    const struct dw_geometry *geometry = source->geometry;
    uint64_t from = dw_place_of_toc(geometry), to = geometry->volume_size;
    size_t size = (size_t)(to - from);
    if (!is_whole && !source->is_closed)
        return write_zeros(copying, from, to);
    if (size > DW_BACKUP_PIECE)
        return copy_large_toc(copying, from, to);
    int result = read_all(copying, size, from);
    if (result < 0)
        return result;
    struct dw_toc_info toc;
    enum dw_decoded verdict =
        dw_toc_decode(geometry, source->identity, copying->piece, size, copying->volume->number, &toc);
    if (verdict != DW_DECODED_OK || !is_usable(copying, &toc, is_whole))
        return write_zeros(copying, from, to);
    if (toc.watermark > source->end_block) {
        toc.watermark = source->end_block;
        dw_toc_encode(geometry, source->identity, &toc, copying->piece + DW_TOC_SIZE, copying->piece);
    }
    return write_all(copying, copying->piece, size, from);
}

/* ---- all ------------------------------------------------------------------------------------------------------------ */

int dw_backup_copy(const struct dw_backup_source *source, size_t at, int target, uint8_t *piece,
                   dw_backup_moved_fn *moved, void *context)
{
    const struct dw_geometry *geometry = source->geometry;
    const struct dw_volume *volume = source->volumes[at];
    struct copying copying = {source, volume, target, NULL, moved, context};
    copying.piece = piece;
    uint64_t first = dw_first_block_of_volume(geometry, volume->number);
    uint64_t blocks = source->end_block > first ? dw_min_u64(source->end_block - first, geometry->data_blocks) : 0;
    uint64_t used = dw_place_of_block(geometry, first) + blocks * geometry->block_size;
    bool is_whole = blocks == geometry->data_blocks || at + 1 < source->volume_count;
    int result = copy_bytes(&copying, 0, used);
    if (result == 0)
        result = write_zeros(&copying, used, dw_place_of_toc(geometry));
    if (result == 0)
        result = copy_toc(&copying, is_whole);
    if (result == 0 && fsync(target) < 0)
        result = dw_fail_system_at(-errno, volume->number, DWAL_NO_LSN, DWAL_NO_LSN, "syncing the copy of %s failed",
                                   volume->name);
    return result;
}
