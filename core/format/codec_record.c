/* codec_record.c - record headers.
 *
 * Called by: read, on any thread. Pure; encoding is inline in codec.h, being on the append path. A record header may be cut by tags, blocks and
 * volumes: the caller gathers its 20 bytes first. */
#include "core/format/codec.h"

#include "core/format/ondisk.h"

static bool is_known(const struct dw_record_info *info)
{
    return info->metadata_size <= DW_RECORD_PART_SIZE_MAX && info->data_size <= DW_RECORD_PART_SIZE_MAX &&
           info->type == DW_RECORD_ENTRY && (info->flags & ~DW_RECORD_MORE) == 0;
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
