/* codec_toc.c - tables of contents.
 *
 * Called by: store (when a volume is done, and at load), tools through it; on any thread. Pure. */
#include "core/format/codec.h"

#include <string.h>

#include "base/assert.h"
#include "core/format/ondisk.h"

#define COVERED_FROM 8u
#define FLAGS_KNOWN  (DW_TOC_OPEN | DW_TOC_CUT | DW_TOC_SPILL | DW_TOC_TABLE)

static bool is_possible(const struct dw_geometry *geometry, const struct dw_toc_info *info)
{
    if (info->number > DW_VOLUME_NUMBER_MAX || (info->flags & ~FLAGS_KNOWN) != 0)
        return false;
    if (info->table_length > geometry->toc_length)
        return false;
    if (info->end > dw_end_lsn_of_volume(geometry, info->number))
        return false;
    if (info->first_lsn < dw_first_lsn_of_volume(geometry, info->number))
        return false;
    if (info->first_lsn > info->last_lsn || info->last_lsn > info->end)
        return false;
    /* Entries need a record each, and no two records start within one header's length. */
    return info->entry_count == 0 ||
           (info->first_lsn < info->end &&
            info->entry_count - 1 <= (info->last_lsn - info->first_lsn) / DW_RECORD_HEADER_SIZE);
}

void dw_toc_encode(const struct dw_geometry *geometry, const struct dw_identity *identity,
                   const struct dw_toc_info *info, const void *table, void *area)
{
    dw_assert(is_possible(geometry, info));
    struct dw_toc toc = {
        .tag = dw_le32_of(dw_tag_of_volume(identity, info->number)),
        .magic = dw_le64_of(DW_MAGIC_TOC),
        .number = dw_le32_of(info->number),
        .flags = dw_le32_of(info->flags),
        .first_lsn = dw_le64_of(info->first_lsn),
        .last_lsn = dw_le64_of(info->last_lsn),
        .end = dw_le64_of(info->end),
        .entry_count = dw_le64_of(info->entry_count),
        .time_first = dw_le64_of(info->time_first),
        .time_last = dw_le64_of(info->time_last),
        .table_length = dw_le32_of(info->table_length),
        .watermark = dw_le64_of(info->watermark),
    };
    memcpy(toc.log_id, identity->log_id, sizeof toc.log_id);
    uint8_t *to = area;
    /* The caller may have built its table in place. */
    if (info->table_length > 0)
        memmove(to + DW_TOC_SIZE, table, info->table_length);
    size_t used = (size_t)DW_TOC_SIZE + info->table_length;
    memset(to + used, 0, dw_toc_area_size(geometry) - used);
    memcpy(to, &toc, sizeof toc);
    toc.crc = dw_le32_of(dw_crc32c(0, to + COVERED_FROM, used - COVERED_FROM));
    memcpy(to, &toc, sizeof toc);
}

static bool is_zero_where_due(const struct dw_toc *toc)
{
    static const uint8_t zero[sizeof toc->zero];
    return dw_get32(toc->zero32) == 0 && memcmp(toc->zero, zero, sizeof zero) == 0;
}

enum dw_decoded dw_toc_decode(const struct dw_geometry *geometry, const struct dw_identity *identity, const void *area,
                              size_t size, uint32_t number, struct dw_toc_info *info)
{
    dw_assert(size >= DW_TOC_SIZE);
    struct dw_toc toc;
    memcpy(&toc, area, sizeof toc);
    if (dw_get64(toc.magic) != DW_MAGIC_TOC)
        return DW_DECODED_BAD_MAGIC;
    size_t table_length = dw_get32(toc.table_length);
    if (table_length > size - DW_TOC_SIZE)
        return DW_DECODED_BAD_CRC;
    size_t covered = DW_TOC_SIZE - COVERED_FROM + table_length;
    if (dw_crc32c(0, (const uint8_t *)area + COVERED_FROM, covered) != dw_get32(toc.crc))
        return DW_DECODED_BAD_CRC;
    *info = (struct dw_toc_info){
        .number = dw_get32(toc.number),
        .flags = dw_get32(toc.flags),
        .table_length = (uint32_t)table_length,
        .first_lsn = dw_get64(toc.first_lsn),
        .last_lsn = dw_get64(toc.last_lsn),
        .end = dw_get64(toc.end),
        .entry_count = dw_get64(toc.entry_count),
        .time_first = dw_get64(toc.time_first),
        .time_last = dw_get64(toc.time_last),
        .watermark = dw_get64(toc.watermark),
    };
    if (identity != NULL && memcmp(toc.log_id, identity->log_id, sizeof toc.log_id) != 0)
        return DW_DECODED_FOREIGN;
    if (!is_zero_where_due(&toc) || !is_possible(geometry, info))
        return DW_DECODED_IMPOSSIBLE;
    if (number != DW_VOLUME_NUMBER_NONE && info->number != number)
        return DW_DECODED_MISPLACED;
    if (identity != NULL && dw_get32(toc.tag) != dw_tag_of_volume(identity, info->number))
        return DW_DECODED_BAD_TAG;
    return DW_DECODED_OK;
}
