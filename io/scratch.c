/* scratch.c - a temporary file for trial writes; see measure.h.
 *
 * Called by: `dwal probe` and open, before a log is written. Happy path: a file without a name (O_TMPFILE), written once in
 * full with bytes that do not compress, synced: from then on a write there is a pure overwrite, as in a filled volume.
 * Failure: -errno, and nothing is left. Closing: the last descriptor goes, and the file with it. */
#include "io/measure.h"

#include <errno.h>
#include <string.h>

#include "alloc/alloc.h"
#include "base/assert.h"
#include "base/bits.h"
#include "io/posix.h"

#define FILL_CHUNK     ((size_t)1 << 20)
#define SMALLEST_WRITE 4096u /* a device with larger sectors is not measured */

void dw_scratch_payload(unsigned char *bytes, size_t size)
{
    uint64_t word = UINT64_C(0x9e3779b97f4a7c15);
    for (size_t at = 0; at + sizeof word <= size; at += sizeof word) {
        word ^= word << 13;
        word ^= word >> 7;
        word ^= word << 17;
        memcpy(bytes + at, &word, sizeof word);
    }
}

static int fill_file(struct dw_file *file, uint64_t size)
{
    unsigned char *chunk = dw_alloc_io(FILL_CHUNK, 4096);
    if (!chunk)
        return -ENOMEM;
    dw_scratch_payload(chunk, FILL_CHUNK);
    int result = 0;
    for (uint64_t at = 0; at < size && result == 0; at += FILL_CHUNK)
        result = dw_file_write(file, chunk, (size_t)dw_min_u64(FILL_CHUNK, size - at), at);
    dw_free_io(chunk);
    return result < 0 ? result : dw_file_sync(file);
}

int dw_scratch_open(struct dw_disk *disk, uint64_t size, uint64_t unwritten_size, struct dw_scratch *scratch)
{
    dw_assert(size > 0 && size % 4096 == 0 && unwritten_size % 4096 == 0);
    *scratch = (struct dw_scratch){.disk = disk, .size = size};
    int result = dw_posix_open_unnamed(disk, &scratch->file);
    if (result == 0 && scratch->file->alignment > SMALLEST_WRITE)
        result = -EINVAL;
    if (result == 0)
        result = fill_file(scratch->file, size);
    if (result < 0) {
        dw_scratch_close(scratch);
        return result;
    }
    if (unwritten_size == 0)
        return 0;
    /* Without this one the rest is still worth measuring. */
    if (dw_posix_open_unnamed(disk, &scratch->unwritten) < 0)
        return 0;
    scratch->unwritten_size = unwritten_size;
    if (dw_scratch_renew_unwritten(scratch) < 0) {
        dw_file_close(scratch->unwritten);
        scratch->unwritten = NULL;
    }
    return 0;
}

/* Zeros over zeros or over what nobody needs: from then on a trial there is a pure overwrite, as in a filled volume. */
int dw_scratch_borrow(struct dw_file *file, uint64_t from, uint64_t size, struct dw_scratch *scratch)
{
    *scratch = (struct dw_scratch){
        .disk = file->disk, .file = file, .from = from, .size = size, .is_zeros = true, .is_borrowed = true};
    if (file->alignment > SMALLEST_WRITE)
        return -EINVAL;
    size_t chunk = (size_t)dw_min_u64(size, FILL_CHUNK);
    unsigned char *zeros = dw_alloc_io(chunk, 4096);
    if (!zeros)
        return -ENOMEM;
    int result = 0;
    for (uint64_t at = 0; at < size && result == 0; at += chunk)
        result = dw_file_write(file, zeros, (size_t)dw_min_u64(chunk, size - at), from + at);
    dw_free_io(zeros);
    return result < 0 ? result : dw_file_sync(file);
}

int dw_scratch_renew_unwritten(struct dw_scratch *scratch)
{
    int result = dw_posix_resize(scratch->unwritten, 0);
    if (result == 0)
        result = scratch->disk->ops->allocate(scratch->unwritten, scratch->unwritten_size);
    return result < 0 ? result : dw_file_sync(scratch->unwritten);
}

void dw_scratch_probe(const struct dw_scratch *scratch, struct dw_probe *probe)
{
    dw_probe_direct(dw_posix_file_of(scratch->file)->descriptor, probe);
}

void dw_scratch_close(struct dw_scratch *scratch)
{
    if (!scratch->is_borrowed)
        dw_file_close(scratch->file);
    dw_file_close(scratch->unwritten);
    scratch->file = scratch->unwritten = NULL;
}
