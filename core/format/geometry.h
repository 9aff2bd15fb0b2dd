/* geometry.h - positions are arithmetic: lsn -> block -> volume -> byte, and back.
 *
 * Owns: nothing; pure functions on a struct that is fixed when a log is created and never changes after.
 * Called by: every room of core, on any thread.
 *
 * The log is an endless row of blocks. Volume v holds data blocks v*D .. v*D+D-1; a block holds P payload bytes;
 * lsn = block*P + offset. A volume lies on disk as
 *
 *     | header | header copy | D data blocks ........................ | TOC area |
 *       block 0   block 1      blocks 2 .. 2+D-1                        the last toc_blocks blocks
 *
 * Inside a block each sector starts with a 4-byte tag, and the first one with the 32-byte block header (whose first
 * 4 bytes are that tag), so payload offset o lies at byte q + 4 + 4*(q / (S-4)) with q = o + 28. */
#ifndef DW_CORE_FORMAT_GEOMETRY_H
#define DW_CORE_FORMAT_GEOMETRY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/compiler.h"

#define DW_TAG_SIZE             4u
#define DW_BLOCK_HEADER_SIZE    32u
#define DW_VOLUME_HEADER_BLOCKS 2u
#define DW_BLOCK_SIZE_MIN       4096u
#define DW_BLOCK_SIZE_MAX       65536u
#define DW_VOLUME_SIZE_MAX      (UINT64_C(1) << 32)
#define DW_VOLUME_NUMBER_MAX    0x7fffffffu /* a tag key has bit 31 set, so no tag of a volume is ever 0 */
#define DW_VOLUME_NUMBER_NONE   0xffffffffu /* "no predecessor" */
#define DW_DATA_BLOCKS_MIN      2u
#define DW_TOC_LENGTH_MAX       (1u << 24)

struct dw_geometry {
    uint32_t block_size;   /* bytes, a power of two, 4096..65536 */
    uint32_t sector_size;  /* bytes, 512 or 4096 */
    uint64_t volume_size;  /* bytes, a multiple of block_size, at most 2^32 */
    uint32_t toc_length;   /* bytes that a caller's own table of contents may have */
    uint32_t payload_size; /* P: payload bytes of one block */
    uint32_t data_blocks;  /* D: data blocks of one volume */
    uint32_t toc_blocks;   /* blocks of the TOC area */
    uint32_t sector_count; /* sectors of one block */
};

/* Fill in and check a geometry from its four free parameters.
 * Returns 0, or -EINVAL with *why pointing to a constant text that names the parameter and its limits. */
DW_NODISCARD int dw_geometry_init(struct dw_geometry *geometry, uint32_t block_size, uint32_t sector_size,
                                  uint64_t volume_size, uint32_t toc_length, const char **why);

static inline uint64_t dw_block_of_lsn(const struct dw_geometry *g, uint64_t lsn)
{
    return lsn / g->payload_size;
}
static inline uint32_t dw_offset_of_lsn(const struct dw_geometry *g, uint64_t lsn)
{
    return (uint32_t)(lsn % g->payload_size);
}
static inline uint64_t dw_lsn_of_block(const struct dw_geometry *g, uint64_t block)
{
    return block * g->payload_size;
}
static inline uint32_t dw_volume_of_block(const struct dw_geometry *g, uint64_t block)
{
    return (uint32_t)(block / g->data_blocks);
}
static inline uint32_t dw_volume_of_lsn(const struct dw_geometry *g, uint64_t lsn)
{
    return dw_volume_of_block(g, dw_block_of_lsn(g, lsn));
}
static inline uint64_t dw_first_block_of_volume(const struct dw_geometry *g, uint32_t number)
{
    return (uint64_t)number * g->data_blocks;
}
static inline uint64_t dw_first_lsn_of_volume(const struct dw_geometry *g, uint32_t number)
{
    return dw_first_block_of_volume(g, number) * g->payload_size;
}
/* One past the last lsn that volume `number` can hold. */
static inline uint64_t dw_end_lsn_of_volume(const struct dw_geometry *g, uint32_t number)
{
    return dw_first_lsn_of_volume(g, number) + (uint64_t)g->data_blocks * g->payload_size;
}
/* Byte offset of a data block from the start of the volume that holds it. */
static inline uint64_t dw_place_of_block(const struct dw_geometry *g, uint64_t block)
{
    return (DW_VOLUME_HEADER_BLOCKS + block % g->data_blocks) * g->block_size;
}
/* Byte offset of the TOC area from the start of a volume. */
static inline uint64_t dw_place_of_toc(const struct dw_geometry *g)
{
    return (uint64_t)(DW_VOLUME_HEADER_BLOCKS + g->data_blocks) * g->block_size;
}
static inline size_t dw_toc_area_size(const struct dw_geometry *g)
{
    return (size_t)g->toc_blocks * g->block_size;
}
/* q / (S-4), with a constant divisor (so, a multiplication) for each sector size: this is on the append path. */
static inline uint32_t dw_sector_of_payload(const struct dw_geometry *g, uint32_t q)
{
    return g->sector_size == 512 ? q / (512 - DW_TAG_SIZE) : q / (4096 - DW_TAG_SIZE);
}
/* Byte of a block at which payload offset `offset` lies (offset < P). */
static inline uint32_t dw_byte_of_payload(const struct dw_geometry *g, uint32_t offset)
{
    uint32_t q = offset + (DW_BLOCK_HEADER_SIZE - DW_TAG_SIZE);
    return q + DW_TAG_SIZE + DW_TAG_SIZE * dw_sector_of_payload(g, q);
}
/* How many payload bytes follow payload offset `offset` (that one included) before the next tag or the block's end. */
static inline uint32_t dw_payload_run(const struct dw_geometry *g, uint32_t offset)
{
    uint32_t q = offset + (DW_BLOCK_HEADER_SIZE - DW_TAG_SIZE);
    uint32_t step = g->sector_size - DW_TAG_SIZE;
    return step - (q - dw_sector_of_payload(g, q) * step);
}

#endif
