/* codec_record.c - record headers.
 *
 * Called by: write (encode), read (decode), on any thread. Pure. A record header may be cut by tags, blocks and
 * volumes: the caller gathers its 20 bytes first. */
#include "core/format/codec.h"

#include "base/assert.h"
#include "core/format/crc32c.h"
#include "core/format/ondisk.h"

static bool is_known(const struct dw_record_info *info)
{
    return info->metadata_size <= DW_RECORD_PART_SIZE_MAX && info->data_size <= DW_RECORD_PART_SIZE_MAX &&
           info->type == DW_RECORD_ENTRY && (info->flags & ~DW_RECORD_MORE) == 0;
}

void dw_record_header_encode(const struct dw_record_info *info, struct dw_record_header *header)
{
    dw_assert(is_known(info));
    *header = (struct dw_record_header){
        .data_crc = dw_le32_of(info->data_crc),
        .metadata_size = dw_le32_of(info->metadata_size),
        .data_size = dw_le32_of(info->data_size),
        .type = info->type,
        .flags = info->flags,
        .user = dw_le16_of(info->user),
    };
}

bool dw_record_header_decode(const struct dw_record_header *header, struct dw_record_info *info)
{
    *info = (struct dw_record_info){
        .crc = dw_get32(header->crc),
        .data_crc = dw_get32(header->data_crc),
        .metadata_size = dw_get32(header->metadata_size),
        .data_size = dw_get32(header->data_size),
        .type = header->type,
        .flags = header->flags,
        .user = dw_get16(header->user),
    };
    return is_known(info);
}

uint32_t dw_record_crc_begin(const struct dw_identity *identity, uint64_t lsn, const struct dw_record_header *header)
{
    dw_le64 place = dw_le64_of(lsn);
    uint32_t crc = dw_crc32c_short(identity->record_seed, &place, sizeof place);
    return dw_crc32c_short(crc, &header->data_crc, sizeof *header - sizeof header->crc);
}
