/* parse.c - see parse.h. */
#include "core/read/parse.h"

#include <inttypes.h>
#include <string.h>

#include "alloc/alloc.h"
#include "core/base/error.h"

enum { CHUNK = 65536, BUFFER_MIN = 256 };

int dw_bytes_reserve(struct dw_bytes *bytes, size_t size)
{
    if (size <= bytes->size)
        return 0;
    size_t wanted = bytes->size < BUFFER_MIN ? BUFFER_MIN : bytes->size;
    while (wanted < size)
        wanted *= 2;
    uint8_t *at = dw_realloc(bytes->at, wanted);
    if (!at)
        return dw_fail(DWAL_EMEMORY, "no memory for %zu bytes of a record", size);
    bytes->at = at;
    bytes->size = wanted;
    return 0;
}

int dw_parse_refuse(const struct dw_window *window, uint64_t lsn, const char *what)
{
    uint64_t block = window->block;
    const struct dw_geometry *g = &window->source.geometry;
    if (block == DW_NO_BLOCK)
        block = dw_block_of_lsn(g, lsn);
    return dw_fail_at(DWAL_ECORRUPT, dw_volume_of_block(g, block), block, lsn, "the record at lsn %" PRIu64 " %s", lsn,
                      what);
}

/* A place inside a record: where the next byte lies, and where the record is said to end. */
struct spot {
    uint64_t record, at;
    uint64_t end; /* 0: the header is not read yet */
};

/* Must the current block, into which the record runs, look as it does? */
static bool agrees(const struct dw_window *window, const struct spot *spot)
{
    const struct dw_block_info *info = &window->info;
    uint64_t begin = dw_lsn_of_block(&window->source.geometry, window->block);
    if (spot->end == 0) {
        uint64_t rest = spot->record + DW_RECORD_HEADER_SIZE - begin;
        return info->fill >= rest && info->first_record >= rest;
    }
    uint64_t rest = spot->end - begin;
    if (rest >= window->source.geometry.payload_size)
        return info->fill == window->source.geometry.payload_size && info->first_record == DW_FIRST_RECORD_NONE;
    return info->first_record == rest || (info->first_record == DW_FIRST_RECORD_NONE && info->fill == rest);
}

/* Go on in the current block, in which the record began. *size: bytes of it that may be taken; false: it is not so. */
static bool is_entered(const struct dw_window *window, const struct spot *spot, uint32_t *size)
{
    uint64_t offset = spot->at - window->begin;
    if (window->block == DW_NO_BLOCK || window->begin > spot->record || offset >= window->stop ||
        window->number != window->volume)
        return false;
    *size = window->stop - (uint32_t)offset;
    return true;
}

/* Make the block of spot->at the current one; *size: bytes of it that may be taken. */
static int enter(struct dw_window *window, const struct spot *spot, uint32_t *size)
{
    const struct dw_geometry *g = &window->source.geometry;
    uint64_t block = dw_block_of_lsn(g, spot->at);
    uint32_t number = dw_volume_of_block(g, block);
    bool is_behind_seam = number > dw_volume_of_lsn(g, spot->record);
    if (is_behind_seam && number != window->number) {
        dw_window_ask_volume(window, number - 1);
        uint32_t next;
        int result = dw_window_next_volume(window, &next);
        if (result)
            return result;
        if (next != number || window->end != dw_first_lsn_of_volume(g, number))
            return dw_parse_refuse(window, spot->record, "runs on where its volume was cut");
    }
    int result = dw_window_load(window, block);
    if (result)
        return result;
    uint64_t begin = dw_lsn_of_block(g, block);
    if (begin > spot->record && !agrees(window, spot))
        return dw_parse_refuse(window, spot->record, "does not fit the blocks that it runs on to");
    uint32_t offset = (uint32_t)(spot->at - begin);
    if (offset >= window->stop)
        return dw_parse_refuse(window, spot->record, "goes beyond the content of its block");
    *size = window->stop - offset;
    return 0;
}

/* Take `size` bytes from the spot on: into `target` unless NULL, and into the checksum unless NULL. */
static int take(struct dw_window *window, struct spot *spot, uint8_t *target, uint64_t size, uint32_t *crc)
{
    const struct dw_geometry *g = &window->source.geometry;
    while (size > 0) {
        uint32_t part;
        int result = is_entered(window, spot, &part) ? 0 : enter(window, spot, &part);
        if (result)
            return result;
        uint32_t offset = (uint32_t)(spot->at - window->begin);
        part = (uint32_t)dw_min_u64(dw_min_u64(part, dw_payload_run(g, offset)), size);
        const uint8_t *from = window->bytes + dw_byte_of_payload(g, offset);
        if (target) {
            memcpy(target, from, part);
            target += part;
        }
        if (crc)
            *crc = dw_crc32c(*crc, from, part);
        spot->at += part;
        size -= part;
    }
    return 0;
}

/* The record says that it ends behind what is durable. True, as long as every durable block that it would cross agrees;
 * else its lengths are damaged. */
static int see_unfinished(struct dw_window *window, const struct spot *spot)
{
    const struct dw_geometry *g = &window->source.geometry;
    uint64_t durable = dw_window_durable_lsn(window);
    struct spot at = *spot;
    if (window->unfinished_lsn == spot->record && window->unfinished_end == spot->end)
        at.at = dw_max_u64(at.at, window->unfinished_at);
    while (at.at < durable) {
        uint32_t size;
        int result = enter(window, &at, &size);
        if (result)
            return result;
        at.at += size;
        if (at.at < durable && dw_offset_of_lsn(g, at.at) != 0)
            return dw_parse_refuse(window, spot->record, "goes beyond the content of its block");
    }
    window->unfinished_lsn = spot->record;
    window->unfinished_end = spot->end;
    window->unfinished_at = at.at;
    return DWAL_EEND;
}

static int take_metadata(struct dw_window *window, struct spot *spot, struct dw_bytes *metadata, uint32_t size,
                         uint32_t *crc)
{
    if (!metadata)
        return take(window, spot, NULL, size, crc);
    for (uint32_t done = 0; done < size;) {
        uint32_t part = size - done < CHUNK ? size - done : CHUNK;
        int result = dw_bytes_reserve(metadata, (size_t)done + part);
        if (result == 0)
            result = take(window, spot, metadata->at + done, part, crc);
        if (result)
            return result;
        done += part;
    }
    return 0;
}

int dw_parse_header(struct dw_window *window, uint64_t lsn, struct dw_bytes *metadata, struct dw_parsed *parsed)
{
    struct dw_record_header header;
    struct spot spot = {.record = lsn, .at = lsn};
    uint32_t number = dw_window_volume_of(window, lsn);
    if (number != window->number)
        dw_window_ask_volume(window, number);
    int result = take(window, &spot, (uint8_t *)&header, sizeof header, NULL);
    if (result)
        return result;
    if (!dw_record_header_decode(&header, &parsed->info))
        return dw_parse_refuse(window, lsn, "has a damaged header");
    parsed->lsn = lsn;
    parsed->end = spot.end = lsn + dw_record_size(&parsed->info);
    if (spot.end > dw_window_durable_lsn(window))
        return see_unfinished(window, &spot);
    uint32_t crc = dw_record_crc_begin(&window->source.identity, lsn, &header);
    result = take_metadata(window, &spot, metadata, parsed->info.metadata_size, &crc);
    if (result)
        return result;
    if (crc != parsed->info.crc)
        return dw_parse_refuse(window, lsn, "fails the checksum of its header and metadata");
    return 0;
}

int dw_parse_data(struct dw_window *window, const struct dw_parsed *parsed, void *target)
{
    struct spot spot = {.record = parsed->lsn, .end = parsed->end};
    uint32_t crc = 0;
    spot.at = parsed->lsn + DW_RECORD_HEADER_SIZE + parsed->info.metadata_size;
    int result = take(window, &spot, target, parsed->info.data_size, &crc);
    if (result)
        return result;
    if (crc != parsed->info.data_crc)
        return dw_parse_refuse(window, parsed->lsn, "fails the checksum of its data");
    return 0;
}
