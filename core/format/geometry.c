/* geometry.c - checks the four free parameters of a log and derives the rest.
 *
 * Called by: creation (with what the caller asks for) and the decoders of superblock and volume header (with what the
 * disk says, so nothing here may be asserted). Pure. */
#include "core/format/geometry.h"

#include <errno.h>

#include "base/bits.h"
#include "core/format/format.h"

static int refuse(const char **why, const char *text)
{
    if (why != NULL)
        *why = text;
    return -EINVAL;
}

int dw_geometry_init(struct dw_geometry *geometry, uint32_t block_size, uint32_t sector_size, uint64_t volume_size,
                     uint32_t toc_length, const char **why)
{
    if (!dw_is_power_of_two(block_size) || block_size < DW_BLOCK_SIZE_MIN || block_size > DW_BLOCK_SIZE_MAX)
        return refuse(why, "block_size must be a power of two from 4096 to 65536");
    if (sector_size != 512 && sector_size != 4096)
        return refuse(why, "sector_size must be 512 or 4096");
    if (toc_length > DW_TOC_LENGTH_MAX)
        return refuse(why, "toc_length must be at most 16777216");
    if (volume_size > DW_VOLUME_SIZE_MAX)
        return refuse(why, "volume_size must be at most 4294967296");
    if (!dw_is_aligned(volume_size, block_size))
        return refuse(why, "volume_size must be a multiple of block_size");
    uint32_t toc_blocks = (DW_TOC_SIZE + toc_length + block_size - 1) / block_size;
    uint64_t blocks = volume_size / block_size;
    if (blocks < (uint64_t)DW_VOLUME_HEADER_BLOCKS + DW_DATA_BLOCKS_MIN + toc_blocks)
        return refuse(why, "volume_size must have room for two headers, two data blocks and the table of contents");

    uint32_t sector_count = block_size / sector_size;
    *geometry = (struct dw_geometry){
        .block_size = block_size,
        .sector_size = sector_size,
        .volume_size = volume_size,
        .toc_length = toc_length,
        .payload_size = block_size - DW_BLOCK_HEADER_SIZE - (sector_count - 1) * DW_TAG_SIZE,
        .data_blocks = (uint32_t)(blocks - DW_VOLUME_HEADER_BLOCKS - toc_blocks),
        .toc_blocks = toc_blocks,
        .sector_count = sector_count,
    };
    return 0;
}
