/* micro_walk.c - walk a volume that lies in memory, as recovery, verify and dump walk one that they read: see micro_rooms.h.
 *
 * Owns: the memory of the volumes that it makes. Called by one thread of the micro-benchmarks. The source shows all blocks as if
 * they had just been read, so that nothing but the walk is measured: headers, tags, records, both checksums. */
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "core/read/walk.h"
#include "perf/measure.h"
#include "perf/micro_rooms.h"

#define VOLUME 0u

struct maker {
    struct dw_geometry geometry;
    struct dw_identity identity;
    uint8_t *volume;
    uint64_t lsn; /* of the next byte */
    uint64_t stop;
};

static void begin(struct maker *maker)
{
    static const uint8_t log_id[16] = {1};
    const char *why = NULL;
    dw_assert(dw_geometry_init(&maker->geometry, MICRO_BLOCK_SIZE, 512, MICRO_WALK_VOLUME_SIZE, 0, &why) == 0);
    dw_identity_init(&maker->identity, log_id, 0x80000001u);
    maker->stop = dw_end_lsn_of_volume(&maker->geometry, VOLUME);
}

static uint8_t *block_at(const struct maker *maker, uint64_t block)
{
    return maker->volume + block * maker->geometry.block_size;
}

static void write_header(const struct maker *maker, uint64_t block, uint32_t fill, uint32_t first_record)
{
    const struct dw_block_info info = {.block = block, .watermark = block, .fill = fill, .first_record = first_record};
    dw_block_stamp_tags(&maker->geometry, &maker->identity, block_at(maker, block), VOLUME);
    dw_block_header_encode(&maker->identity, &info, VOLUME, block_at(maker, block));
}

/* Bytes of a record at the end of what is there. Blocks that it fills get their headers; `first_record` is of the current one. */
static void put(struct maker *maker, const void *bytes, size_t size, uint32_t *first_record)
{
    const uint8_t *from = bytes;
    while (size > 0) {
        uint64_t block = dw_block_of_lsn(&maker->geometry, maker->lsn);
        uint32_t offset = (uint32_t)(maker->lsn - dw_lsn_of_block(&maker->geometry, block));
        size_t piece = maker->geometry.payload_size - offset;
        piece = piece < size ? piece : size;
        dw_payload_write(&maker->geometry, block_at(maker, block), offset, from, piece);
        from += piece;
        size -= piece;
        maker->lsn += piece;
        if (offset + piece < maker->geometry.payload_size)
            return;
        write_header(maker, block, maker->geometry.payload_size, *first_record);
        *first_record = DW_FIRST_RECORD_NONE;
    }
}

struct micro_walk micro_walk_make(uint32_t size)
{
    struct maker maker = {0};
    struct micro_walk walk = {0};
    begin(&maker);
    size_t record_size = DW_RECORD_HEADER_SIZE + (size_t)size;
    uint8_t *record = malloc(record_size);
    maker.volume = calloc(1, MICRO_WALK_VOLUME_SIZE);
    dw_assert(record != NULL && maker.volume != NULL);
    perf_fill_random(record + DW_RECORD_HEADER_SIZE, size, 3);
    uint32_t data_crc = dw_crc32c(0, record + DW_RECORD_HEADER_SIZE, size), first_record = DW_FIRST_RECORD_NONE;
    while (maker.lsn + record_size <= maker.stop) {
        if (first_record == DW_FIRST_RECORD_NONE)
            first_record = (uint32_t)(maker.lsn % maker.geometry.payload_size);
        dw_record_header_put(record, &maker.identity, maker.lsn, data_crc, size, 0);
        put(&maker, record, record_size, &first_record);
        walk.entries++;
    }
    uint32_t fill = (uint32_t)(maker.lsn % maker.geometry.payload_size);
    if (fill > 0) /* the rest is zeros already */
        write_header(&maker, dw_block_of_lsn(&maker.geometry, maker.lsn), fill, first_record);
    walk.volume = maker.volume;
    walk.data_bytes = walk.entries * size;
    free(record);
    return walk;
}

void micro_walk_free(struct micro_walk *walk)
{
    free(walk->volume);
    walk->volume = NULL;
}

uint64_t micro_walk_count(const struct micro_walk *made)
{
    struct maker maker = {0};
    begin(&maker);
    struct dw_source source = {
        .geometry = maker.geometry,
        .identity = maker.identity,
        .number = VOLUME,
        .limit = UINT64_MAX,
        .shown = made->volume,
        .count = maker.geometry.data_blocks,
    };
    const struct dw_stretch row = {.number = VOLUME, .end = maker.stop};
    struct dw_walk walk;
    uint64_t count = 0;
    dw_walk_start(&walk, &source, &row, 1, 0, true);
    for (enum dw_walk_event event = dw_walk_next(&walk); event != DW_WALK_END; event = dw_walk_next(&walk))
        count += event == DW_WALK_RECORD && walk.record.state == DW_RECORD_SOUND;
    return count;
}
