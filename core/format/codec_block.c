/* codec_block.c - the identity of a log, sector tags, block headers.
 *
 * Called by: write (encode, stamp), read (decode, count), on any thread. Pure. Encoders assert what the writer owes;
 * decoders take any bytes and answer with a verdict. */
#include "core/format/codec.h"

#include <string.h>

#include "base/assert.h"
#include "core/format/crc32c.h"
#include "core/format/ondisk.h"

#define RECORD_SEED_START 0x9e3779b9u
/* 24 bytes of zeros make all ones of it. Checksums are linear: with it in the register from the start, the inversion at the end
 * of a record's 24 bytes is done. */
#define INVERTS_OVER_24_BYTES 0xc623cf97u
/* What the checksum of a block header covers: all behind it. */
#define COVERED_FROM 8u
#define COVERED_SIZE (DW_BLOCK_HEADER_SIZE - COVERED_FROM)

void dw_identity_init(struct dw_identity *identity, const uint8_t log_id[16], uint32_t tag_key)
{
    dw_assert(tag_key >> 31 == 1); /* else the tag of some volume would be 0, which means blank */
    memcpy(identity->log_id, log_id, sizeof identity->log_id);
    identity->tag_key = tag_key;
    identity->block_seed = dw_crc32c_short(0, log_id, sizeof identity->log_id);
    identity->record_seed = dw_crc32c_short(RECORD_SEED_START, log_id, sizeof identity->log_id);
    identity->record_start = ~identity->record_seed ^ INVERTS_OVER_24_BYTES;
}

const char *dw_decoded_text(enum dw_decoded verdict)
{
    switch (verdict) {
    case DW_DECODED_OK:
        return "sound";
    case DW_DECODED_BAD_MAGIC:
        return "no such structure";
    case DW_DECODED_BAD_CRC:
        return "damaged, or never written";
    case DW_DECODED_FOREIGN:
        return "of another log";
    case DW_DECODED_MISPLACED:
        return "of another place";
    case DW_DECODED_IMPOSSIBLE:
        return "sound by its checksum, but with an impossible field";
    case DW_DECODED_VERSION:
        return "of a newer format version";
    case DW_DECODED_BAD_TAG:
        return "sound, but with a wrong tag";
    }
    return "unknown";
}

static uint32_t tag_at(const void *block, size_t byte)
{
    uint32_t tag;
    memcpy(&tag, (const uint8_t *)block + byte, sizeof tag);
    return tag;
}

void dw_tags_count(const struct dw_geometry *geometry, const struct dw_identity *identity, const void *block,
                   uint32_t number, struct dw_tag_counts *counts)
{
    const uint32_t expected = dw_tag_of_volume(identity, number);
    uint32_t seen[DW_TAG_ALIEN + 1] = {0};
    for (size_t byte = 0; byte < geometry->block_size; byte += geometry->sector_size) {
        uint32_t tag = tag_at(block, byte);
        seen[DW_LIKELY(tag == expected) ? DW_TAG_CURRENT : dw_tag_classify(identity, tag, number)]++;
    }
    *counts = (struct dw_tag_counts){
        .current = seen[DW_TAG_CURRENT],
        .blank = seen[DW_TAG_BLANK],
        .old = seen[DW_TAG_OLD],
        .alien = seen[DW_TAG_ALIEN],
    };
}

void dw_block_stamp_tags(const struct dw_geometry *geometry, const struct dw_identity *identity, void *block,
                         uint32_t number)
{
    const uint32_t tag = dw_tag_of_volume(identity, number);
    for (size_t byte = geometry->sector_size; byte < geometry->block_size; byte += geometry->sector_size)
        memcpy((uint8_t *)block + byte, &tag, sizeof tag);
}

void dw_block_header_encode(const struct dw_identity *identity, const struct dw_block_info *info, uint32_t number,
                            void *block)
{
    dw_assert(info->watermark <= info->block);
    dw_assert(info->fill <= UINT16_MAX);
    dw_assert(info->first_record <= info->fill || info->first_record == DW_FIRST_RECORD_NONE);
    dw_assert((info->flags & ~DW_BLOCK_MARKER) == 0);
    dw_assert((info->flags & DW_BLOCK_MARKER) == 0 || (info->fill == 0 && info->first_record == DW_FIRST_RECORD_NONE));
    /* Put together in whole words: stores of two bytes that are read back as eight at once would stall. */
    const uint64_t covered[3] = {
        info->block,
        info->watermark,
        (uint64_t)info->fill | (uint64_t)info->first_record << 16 | (uint64_t)info->flags << 32,
    };
    _Static_assert(sizeof covered == COVERED_SIZE && offsetof(struct dw_block_header, fill) == 24 &&
                       offsetof(struct dw_block_header, first_record) == 26 &&
                       offsetof(struct dw_block_header, flags) == 28,
                   "the words are the fields");
    const uint32_t tag = dw_tag_of_volume(identity, number);
    const uint32_t crc = dw_crc32c_short(identity->block_seed, covered, sizeof covered);
    uint8_t *to = block;
    memcpy(to, &tag, sizeof tag);
    memcpy(to + offsetof(struct dw_block_header, crc), &crc, sizeof crc);
    memcpy(to + COVERED_FROM, covered, sizeof covered);
}

/* A blank has zeros here. For one log in 2^32 that even is the right checksum of block 0; it is blank all the same. */
static bool is_never_written(const struct dw_block_header *header)
{
    static const struct dw_block_header blank;
    return memcmp(header, &blank, sizeof blank) == 0;
}

static bool is_possible(const struct dw_geometry *geometry, const struct dw_block_header *header,
                        const struct dw_block_info *info)
{
    if (info->block >= dw_first_block_of_volume(geometry, DW_VOLUME_NUMBER_MAX) + geometry->data_blocks)
        return false;
    if (info->watermark > info->block || info->fill > geometry->payload_size)
        return false;
    if (info->first_record > info->fill && info->first_record != DW_FIRST_RECORD_NONE)
        return false;
    if ((info->flags & ~DW_BLOCK_MARKER) != 0 || dw_get16(header->zero) != 0)
        return false;
    if ((info->flags & DW_BLOCK_MARKER) != 0)
        return info->fill == 0 && info->first_record == DW_FIRST_RECORD_NONE;
    return true;
}

enum dw_decoded dw_block_header_decode(const struct dw_geometry *geometry, const struct dw_identity *identity,
                                       const void *block, uint64_t block_number, struct dw_block_info *info)
{
    struct dw_block_header header;
    memcpy(&header, block, sizeof header);
    uint32_t crc = dw_crc32c_short(identity->block_seed, (const uint8_t *)&header + COVERED_FROM, COVERED_SIZE);
    if (crc != dw_get32(header.crc) || is_never_written(&header))
        return DW_DECODED_BAD_CRC;
    *info = (struct dw_block_info){
        .block = dw_get64(header.block),
        .watermark = dw_get64(header.watermark),
        .fill = dw_get16(header.fill),
        .first_record = dw_get16(header.first_record),
        .flags = dw_get16(header.flags),
    };
    if (!is_possible(geometry, &header, info))
        return DW_DECODED_IMPOSSIBLE;
    return info->block == block_number ? DW_DECODED_OK : DW_DECODED_MISPLACED;
}
