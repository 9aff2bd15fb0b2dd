/* mend.h - put a right checksum on a structure whose fields were changed, so that the checks behind it are reached.
 *
 * Included by the tests of core/format and by the fuzz target. Written from FORMAT.md, not from the codec: it is also a
 * second opinion on what each checksum covers. */
#ifndef DW_TESTS_FORMAT_MEND_H
#define DW_TESTS_FORMAT_MEND_H

#include <string.h>

#include "core/format/codec.h"
#include "core/format/crc32c.h"

static inline void mend_at(void *structure, size_t place, uint32_t seed, size_t from, size_t to)
{
    uint32_t crc = dw_crc32c_table(seed, (uint8_t *)structure + from, to - from);
    memcpy((uint8_t *)structure + place, &crc, sizeof crc);
}
static inline void mend_block_header(const struct dw_identity *identity, void *block)
{
    mend_at(block, 4, identity->block_seed, 8, 32);
}
static inline void mend_volume_header(void *block)
{
    uint64_t magic = DW_MAGIC_VOLUME;
    memcpy((uint8_t *)block + 8, &magic, sizeof magic);
    mend_at(block, 4, 0, 8, 128);
}
static inline void mend_superblock(void *block)
{
    uint64_t magic = DW_MAGIC_SUPERBLOCK;
    memcpy(block, &magic, sizeof magic);
    mend_at(block, 8, 0, 12, 256);
}
/* A table length that does not fit is brought back into the area. */
static inline void mend_toc(void *area, size_t size)
{
    uint64_t magic = DW_MAGIC_TOC;
    memcpy((uint8_t *)area + 8, &magic, sizeof magic);
    uint32_t length;
    memcpy(&length, (uint8_t *)area + 88, sizeof length);
    if (length > size - 128) {
        length = (uint32_t)(length % (size - 127));
        memcpy((uint8_t *)area + 88, &length, sizeof length);
    }
    mend_at(area, 4, 0, 8, 128 + (size_t)length);
}

#endif
