/* micro_rooms.c - single operations of the private rooms for the micro-benchmarks: see micro_rooms.h. */
#include "perf/micro_rooms.h"

#include "base/assert.h"
#include "core/base/histogram.h"
#include "core/format/codec.h"

static struct dw_geometry geometry;
static struct dw_identity identity;
static struct dw_histogram histogram;

void micro_rooms_init(void)
{
    static const uint8_t log_id[16] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16};
    const char *why = NULL;
    dw_assert(dw_geometry_init(&geometry, MICRO_BLOCK_SIZE, 512, 64u << 20, 0, &why) == 0);
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

void micro_histogram_record(uint64_t value_ns)
{
    dw_histogram_record(&histogram, value_ns);
}
