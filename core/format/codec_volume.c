/* codec_volume.c - volume headers.
 *
 * Called by: store (claim, load), tools through it; on any thread. Pure. */
#include "core/format/codec.h"

#include <string.h>

#include "base/assert.h"
#include "core/format/crc32c.h"
#include "core/format/ondisk.h"

#define COVERED_FROM 8u
#define COVERED_SIZE (DW_VOLUME_HEADER_SIZE - COVERED_FROM)

/* How the predecessor ended must agree with which one it is. */
static bool is_link_possible(const struct dw_volume_info *info)
{
    switch (info->predecessor_end) {
    case DW_PREDECESSOR_NONE:
        return info->predecessor == DW_VOLUME_NUMBER_NONE && info->cut == 0;
    case DW_PREDECESSOR_RUNS_ON:
        return info->number > 0 && info->predecessor == info->number - 1 && info->cut == 0;
    case DW_PREDECESSOR_CUT:
        return info->predecessor < info->number &&
               info->cut >= dw_first_lsn_of_volume(&info->geometry, info->predecessor) &&
               info->cut <= dw_end_lsn_of_volume(&info->geometry, info->predecessor);
    }
    return false;
}

static bool is_possible(const struct dw_volume_info *info)
{
    return info->number <= DW_VOLUME_NUMBER_MAX && info->in_flight_blocks > 0 && is_link_possible(info) &&
           (info->slot == 0) == (info->slot_uses == 0);
}

void dw_volume_header_encode(const struct dw_geometry *geometry, const struct dw_identity *identity,
                             const struct dw_volume_info *info, void *block)
{
    struct dw_volume_info checked = *info;
    checked.geometry = *geometry;
    dw_assert(is_possible(&checked));
    struct dw_volume_header header = {
        .tag = dw_le32_of(dw_tag_of_volume(identity, info->number)),
        .magic = dw_le64_of(DW_MAGIC_VOLUME),
        .format_version = dw_le32_of(DW_FORMAT_VERSION),
        .number = dw_le32_of(info->number),
        .predecessor = dw_le32_of(info->predecessor),
        .predecessor_end = dw_le32_of((uint32_t)info->predecessor_end),
        .cut = dw_le64_of(info->cut),
        .block_size = dw_le32_of(geometry->block_size),
        .sector_size = dw_le32_of(geometry->sector_size),
        .volume_size = dw_le64_of(geometry->volume_size),
        .toc_length = dw_le32_of(geometry->toc_length),
        .in_flight_blocks = dw_le32_of(info->in_flight_blocks),
        .epoch = dw_le64_of(info->epoch),
        .claim_time = dw_le64_of(info->claim_time),
        .slot_uses = dw_le64_of(info->slot_uses),
        .slot = dw_le32_of(info->slot),
    };
    memcpy(header.log_id, identity->log_id, sizeof header.log_id);
    header.crc = dw_le32_of(dw_crc32c_short(0, (const uint8_t *)&header + COVERED_FROM, COVERED_SIZE));
    memcpy(block, &header, sizeof header);
    memset((uint8_t *)block + sizeof header, 0, geometry->block_size - sizeof header);
}

static bool is_same_geometry(const struct dw_geometry *a, const struct dw_geometry *b)
{
    return a->block_size == b->block_size && a->sector_size == b->sector_size && a->volume_size == b->volume_size &&
           a->toc_length == b->toc_length;
}

/* Unpack; false when the recorded geometry or the zero bytes are impossible by themselves. */
static bool unpack(const struct dw_volume_header *header, struct dw_volume_info *info)
{
    static const uint8_t zero[sizeof header->zero];
    *info = (struct dw_volume_info){
        .number = dw_get32(header->number),
        .predecessor = dw_get32(header->predecessor),
        .predecessor_end = (enum dw_predecessor_end)dw_get32(header->predecessor_end),
        .cut = dw_get64(header->cut),
        .in_flight_blocks = dw_get32(header->in_flight_blocks),
        .epoch = dw_get64(header->epoch),
        .claim_time = dw_get64(header->claim_time),
        .slot_uses = dw_get64(header->slot_uses),
        .slot = dw_get32(header->slot),
    };
    return dw_geometry_init(&info->geometry, dw_get32(header->block_size), dw_get32(header->sector_size),
                            dw_get64(header->volume_size), dw_get32(header->toc_length), NULL) == 0 &&
           memcmp(header->zero, zero, sizeof zero) == 0;
}

enum dw_decoded dw_volume_header_decode(const struct dw_geometry *geometry, const struct dw_identity *identity,
                                        const void *block, uint32_t number, struct dw_volume_info *info)
{
    struct dw_volume_header header;
    memcpy(&header, block, sizeof header);
    if (dw_get64(header.magic) != DW_MAGIC_VOLUME)
        return DW_DECODED_BAD_MAGIC;
    if (dw_crc32c_short(0, (const uint8_t *)&header + COVERED_FROM, COVERED_SIZE) != dw_get32(header.crc))
        return DW_DECODED_BAD_CRC;
    bool is_sane = unpack(&header, info);
    if (identity != NULL && memcmp(header.log_id, identity->log_id, sizeof header.log_id) != 0)
        return DW_DECODED_FOREIGN;
    if (dw_get32(header.format_version) > DW_FORMAT_VERSION)
        return DW_DECODED_VERSION;
    if (dw_get32(header.format_version) == 0 || !is_sane || !is_possible(info))
        return DW_DECODED_IMPOSSIBLE;
    if (geometry != NULL && !is_same_geometry(geometry, &info->geometry))
        return DW_DECODED_IMPOSSIBLE;
    if (number != DW_VOLUME_NUMBER_NONE && info->number != number)
        return DW_DECODED_MISPLACED;
    if (identity != NULL && dw_get32(header.tag) != dw_tag_of_volume(identity, info->number))
        return DW_DECODED_BAD_TAG;
    return DW_DECODED_OK;
}
