/* micro_rooms.c - single operations of the private rooms for the micro-benchmarks: see micro_rooms.h. */
#include <string.h>

#include "perf/micro_rooms.h"

#include "base/assert.h"
#include "core/base/histogram.h"
#include "core/format/codec.h"

static struct dw_geometry geometry, large_geometry; /* the second with room for a large table of contents */
static struct dw_identity identity;
static struct dw_histogram histogram;

void micro_rooms_init(void)
{
    static const uint8_t log_id[16] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16};
    const char *why = NULL;
    dw_assert(dw_geometry_init(&geometry, MICRO_BLOCK_SIZE, 512, 64u << 20, 0, &why) == 0);
    dw_assert(dw_geometry_init(&large_geometry, MICRO_BLOCK_SIZE, 512, 64u << 20, MICRO_TABLE_LARGE, &why) == 0);
    dw_identity_init(&identity, log_id, 0x80000001u);
}

uint32_t micro_crc32c(const void *bytes, size_t size)
{
    return dw_crc32c(0, bytes, size);
}

uint32_t micro_block_encode(void *block, uint64_t number)
{
    const struct dw_block_info info = {
        .block = number, .watermark = number, .fill = geometry.payload_size, .first_record = 0};
    dw_block_stamp_tags(&geometry, &identity, block, 0);
    dw_block_header_encode(&identity, &info, 0, block);
    return ((const uint8_t *)block)[4];
}

uint32_t micro_block_decode(const void *block, uint64_t number)
{
    struct dw_block_info info;
    struct dw_tag_counts tags;
    dw_assert(dw_block_header_decode(&geometry, &identity, block, number, &info) == DW_DECODED_OK);
    dw_tags_count(&geometry, &identity, block, 0, &tags);
    return info.fill + tags.current;
}

static const struct dw_geometry *geometry_for(uint32_t table)
{
    return table == MICRO_TABLE_NONE ? &geometry : &large_geometry;
}

size_t micro_toc_area_size(uint32_t table)
{
    return dw_toc_area_size(geometry_for(table));
}

uint32_t micro_toc_encode(void *area, uint32_t table)
{
    uint8_t *bytes = area;
    const struct dw_toc_info info = {
        .number = 3,
        .flags = table == MICRO_TABLE_NONE ? 0 : DW_TOC_TABLE,
        .table_length = table,
        .first_lsn = dw_first_lsn_of_volume(geometry_for(table), 3),
        .last_lsn = dw_first_lsn_of_volume(geometry_for(table), 3) + 1000000,
        .end = dw_end_lsn_of_volume(geometry_for(table), 3),
        .entry_count = 1000,
        .watermark = dw_block_of_lsn(geometry_for(table), dw_end_lsn_of_volume(geometry_for(table), 3)),
    };
    dw_toc_encode(geometry_for(table), &identity, &info, bytes + DW_TOC_SIZE, area);
    return bytes[4];
}

uint32_t micro_toc_decode(const void *area, uint32_t table)
{
    struct dw_toc_info info;
    size_t size = dw_toc_area_size(geometry_for(table));
    dw_assert(dw_toc_decode(geometry_for(table), &identity, area, size, 3, &info) == DW_DECODED_OK);
    return (uint32_t)info.entry_count;
}

uint32_t micro_superblock_encode(void *block, uint64_t sequence)
{
    const struct dw_superblock_info info = {
        .sequence = sequence,
        .identity = identity,
        .geometry = geometry,
        .epoch = 1,
        .claimed = 4,
        .head = 3,
        .state = DW_SUPERBLOCK_OPEN,
        .blanks = 4,
        .fill_mode = 1,
        .in_flight_blocks = 1024,
    };
    dw_superblock_encode(&info, block);
    return ((const uint8_t *)block)[8];
}

uint32_t micro_superblock_decode(const void *block)
{
    struct dw_superblock_info info;
    dw_assert(dw_superblock_decode(block, MICRO_BLOCK_SIZE, &info) == DW_DECODED_OK);
    return info.claimed;
}

uint32_t micro_payload_write(void *block, const void *source, size_t size)
{
    dw_payload_write(&geometry, block, 100, source, size);
    return ((const uint8_t *)block)[200];
}

uint32_t micro_record_encode(uint64_t lsn, const void *data, uint32_t size)
{
    struct dw_record_header header;
    const struct dw_record_info info = {
        .data_crc = dw_crc32c(0, data, size), .data_size = size, .type = DW_RECORD_ENTRY};
    dw_record_header_encode(&info, &header);
    return dw_record_crc_begin(&identity, lsn, &header);
}

void micro_record_put(void *record, uint64_t lsn, const void *data, uint32_t size)
{
    uint8_t *bytes = record;
    dw_record_header_put(bytes, &identity, lsn, dw_crc32c(0, data, size), size, 0);
    memcpy(bytes + DW_RECORD_HEADER_SIZE, data, size);
}

uint32_t micro_record_decode(const void *record, uint64_t lsn)
{
    const uint8_t *bytes = record;
    struct dw_record_header header;
    struct dw_record_info info;
    memcpy(&header, bytes, sizeof header);
    if (!dw_record_header_decode(&header, &info) || dw_record_crc_begin(&identity, lsn, &header) != info.crc)
        return 0;
    return dw_crc32c(0, bytes + DW_RECORD_HEADER_SIZE, info.data_size) == info.data_crc ? info.data_size : 0;
}

void micro_histogram_record(uint64_t value_ns)
{
    dw_histogram_record(&histogram, value_ns);
}
