/* codec_superblock.c - superblocks.
 *
 * Called by: store (open, claim, trim, close), tools through it; on any thread. Pure. */
#include "core/format/codec.h"

#include <string.h>

#include "base/assert.h"
#include "core/format/ondisk.h"

#define COVERED_FROM  12u
#define COVERED_SIZE  (DW_SUPERBLOCK_SIZE - COVERED_FROM)
#define BLANKS_MAX    255u
#define FILL_MODE_MAX 3u

static bool is_number_or_none(uint32_t number)
{
    return number <= DW_VOLUME_NUMBER_MAX || number == DW_VOLUME_NUMBER_NONE;
}

/* All but geometry and key, which each side has in its own form. */
static bool is_possible(const struct dw_superblock_info *info)
{
    if (!is_number_or_none(info->claimed) || !is_number_or_none(info->head))
        return false;
    if (info->head != DW_VOLUME_NUMBER_NONE && (info->claimed == DW_VOLUME_NUMBER_NONE || info->head > info->claimed))
        return false;
    if (info->state != DW_SUPERBLOCK_CLEAN && info->state != DW_SUPERBLOCK_OPEN)
        return false;
    return info->blanks <= BLANKS_MAX && info->fill_mode <= FILL_MODE_MAX;
}

void dw_superblock_encode(const struct dw_superblock_info *info, void *block)
{
    dw_assert(is_possible(info) && info->identity.tag_key >> 31 == 1);
    struct dw_superblock superblock = {
        .magic = dw_le64_of(DW_MAGIC_SUPERBLOCK),
        .format_version = dw_le32_of(info->format_version != 0 ? info->format_version : DW_FORMAT_VERSION),
        .sequence = dw_le64_of(info->sequence),
        .tag_key = dw_le32_of(info->identity.tag_key),
        .block_size = dw_le32_of(info->geometry.block_size),
        .volume_size = dw_le64_of(info->geometry.volume_size),
        .sector_size = dw_le32_of(info->geometry.sector_size),
        .toc_length = dw_le32_of(info->geometry.toc_length),
        .epoch = dw_le64_of(info->epoch),
        .claimed = dw_le32_of(info->claimed),
        .state = dw_le32_of((uint32_t)info->state),
        .trim = dw_le64_of(info->trim),
        .clean_end = dw_le64_of(info->clean_end),
        .watermark = dw_le64_of(info->watermark),
        .feature_compat = dw_le32_of(info->feature_compat),
        .feature_ro_compat = dw_le32_of(info->feature_ro_compat),
        .feature_incompat = dw_le32_of(info->feature_incompat),
        .blanks = dw_le32_of(info->blanks),
        .fill_mode = dw_le32_of(info->fill_mode),
        .in_flight_blocks = dw_le32_of(info->in_flight_blocks),
        .magic_number = dw_le32_of(info->magic_number),
        .head = dw_le32_of(info->head),
        .create_time = dw_le64_of(info->create_time),
        .write_time = dw_le64_of(info->write_time),
    };
    memcpy(superblock.log_id, info->identity.log_id, sizeof superblock.log_id);
    superblock.crc = dw_le32_of(dw_crc32c(0, (const uint8_t *)&superblock + COVERED_FROM, COVERED_SIZE));
    memcpy(block, &superblock, sizeof superblock);
    memset((uint8_t *)block + sizeof superblock, 0, info->geometry.block_size - sizeof superblock);
}

/* Unpack; false when geometry, key or the zero bytes are impossible. */
static bool unpack(const struct dw_superblock *superblock, struct dw_superblock_info *info)
{
    static const uint8_t zero[sizeof superblock->zero];
    *info = (struct dw_superblock_info){
        .sequence = dw_get64(superblock->sequence),
        .epoch = dw_get64(superblock->epoch),
        .trim = dw_get64(superblock->trim),
        .clean_end = dw_get64(superblock->clean_end),
        .watermark = dw_get64(superblock->watermark),
        .create_time = dw_get64(superblock->create_time),
        .write_time = dw_get64(superblock->write_time),
        .claimed = dw_get32(superblock->claimed),
        .head = dw_get32(superblock->head),
        .state = (enum dw_superblock_state)dw_get32(superblock->state),
        .feature_compat = dw_get32(superblock->feature_compat),
        .feature_ro_compat = dw_get32(superblock->feature_ro_compat),
        .feature_incompat = dw_get32(superblock->feature_incompat),
        .blanks = dw_get32(superblock->blanks),
        .fill_mode = dw_get32(superblock->fill_mode),
        .in_flight_blocks = dw_get32(superblock->in_flight_blocks),
        .magic_number = dw_get32(superblock->magic_number),
        .format_version = dw_get32(superblock->format_version),
    };
    uint32_t tag_key = dw_get32(superblock->tag_key);
    if (tag_key >> 31 == 0)
        return false;
    dw_identity_init(&info->identity, superblock->log_id, tag_key);
    return dw_geometry_init(&info->geometry, dw_get32(superblock->block_size), dw_get32(superblock->sector_size),
                            dw_get64(superblock->volume_size), dw_get32(superblock->toc_length), NULL) == 0 &&
           memcmp(superblock->zero, zero, sizeof zero) == 0;
}

enum dw_decoded dw_superblock_decode(const void *block, size_t size, struct dw_superblock_info *info)
{
    dw_assert(size >= DW_SUPERBLOCK_SIZE);
    struct dw_superblock superblock;
    memcpy(&superblock, block, sizeof superblock);
    if (dw_get64(superblock.magic) != DW_MAGIC_SUPERBLOCK)
        return DW_DECODED_BAD_MAGIC;
    if (dw_crc32c(0, (const uint8_t *)&superblock + COVERED_FROM, COVERED_SIZE) != dw_get32(superblock.crc))
        return DW_DECODED_BAD_CRC;
    bool is_sane = unpack(&superblock, info);
    if (info->format_version > DW_FORMAT_VERSION)
        return DW_DECODED_VERSION;
    if (info->format_version == 0 || !is_sane || !is_possible(info))
        return DW_DECODED_IMPOSSIBLE;
    return DW_DECODED_OK;
}
