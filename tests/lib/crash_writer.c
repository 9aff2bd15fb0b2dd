/* crash_writer.c - see crash_writer.h. */
#include "tests/lib/crash_writer.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "alloc/alloc.h"
#include "base/assert.h"
#include "tests/lib/crash_disk.h"

#define BLOCK_SIZE   4096u
#define CONTENT_SIZE (1u << 20)
#define EPOCH        3u

static uint8_t *block_bytes(const struct dw_crash_writer *writer, uint64_t block)
{
    dw_assert(block >= writer->first_block && block < writer->first_block + DW_CRASH_BLOCKS_MAX);
    return writer->bytes + (block - writer->first_block) * BLOCK_SIZE;
}
static struct dw_crash_block *block_at(struct dw_crash_writer *writer, uint64_t block)
{
    dw_assert(block >= writer->first_block && block < writer->first_block + DW_CRASH_BLOCKS_MAX);
    return &writer->blocks[block - writer->first_block];
}

/* ---- superblock and volumes ---- */
static void write_durable(struct dw_file *file, const void *bytes, size_t size, uint64_t offset)
{
    assert_int_equal(dw_file_write_durable(file, bytes, size, offset), 0);
}

static void write_superblock(struct dw_crash_writer *writer)
{
    uint8_t *block = dw_alloc_io(BLOCK_SIZE, BLOCK_SIZE);
    writer->superblock.sequence++;
    writer->superblock.write_time = ++writer->time;
    dw_superblock_encode(&writer->superblock, block);
    uint64_t slot = writer->superblock.sequence & 1;
    write_durable(writer->super_file, block, BLOCK_SIZE, slot * BLOCK_SIZE);
    write_durable(writer->super_file, block, BLOCK_SIZE, (slot + 2) * BLOCK_SIZE);
    dw_free_io(block);
}

/* What a recycled file still holds: sound blocks and a TOC of an earlier number. */
static void fill_with_the_past(struct dw_crash_writer *writer, struct dw_file *file, uint32_t number)
{
    const struct dw_geometry *g = &writer->geometry;
    uint8_t *bytes = dw_alloc_io(g->volume_size, BLOCK_SIZE);
    for (uint32_t i = 0; i < g->data_blocks; i++) {
        uint64_t block = dw_first_block_of_volume(g, number) + i;
        uint8_t *at = bytes + dw_place_of_block(g, block);
        struct dw_block_info info = {
            .block = block, .watermark = block, .fill = g->payload_size, .first_record = DW_FIRST_RECORD_NONE};
        dw_crash_fill(at, BLOCK_SIZE, block);
        dw_block_header_encode(&writer->identity, &info, number, at);
        dw_block_stamp_tags(g, &writer->identity, at, number);
    }
    struct dw_toc_info toc = {.number = number,
                              .first_lsn = dw_first_lsn_of_volume(g, number),
                              .last_lsn = dw_first_lsn_of_volume(g, number),
                              .end = dw_end_lsn_of_volume(g, number),
                              .entry_count = 1,
                              .watermark = dw_first_block_of_volume(g, number + 1)};
    dw_toc_encode(g, &writer->identity, &toc, NULL, bytes + dw_place_of_toc(g));
    assert_int_equal(dw_file_write(file, bytes, g->volume_size, 0), 0);
    dw_free_io(bytes);
}

static void write_header(struct dw_crash_writer *writer, struct dw_file *file, uint32_t number)
{
    struct dw_volume_info info = {.number = number,
                                  .predecessor = number ? number - 1 : DW_VOLUME_NUMBER_NONE,
                                  .predecessor_end = number ? DW_PREDECESSOR_RUNS_ON : DW_PREDECESSOR_NONE,
                                  .in_flight_blocks = writer->shape.in_flight_blocks,
                                  .epoch = EPOCH,
                                  .claim_time = ++writer->time,
                                  .geometry = writer->geometry};
    uint8_t *block = dw_alloc_io(BLOCK_SIZE, BLOCK_SIZE);
    dw_volume_header_encode(&writer->geometry, &writer->identity, &info, block);
    write_durable(file, block, BLOCK_SIZE, 0);
    write_durable(file, block, BLOCK_SIZE, BLOCK_SIZE);
    dw_free_io(block);
}

static void make_volume(struct dw_crash_writer *writer, uint32_t number)
{
    char blank[32], name[32];
    uint32_t index = number - writer->shape.first_volume;
    dw_assert(index < DW_CRASH_VOLUMES_MAX);
    snprintf(blank, sizeof blank, "%03u.bvl", index);
    snprintf(name, sizeof name, "%010u.vol", number);
    struct dw_file *file = dw_crash_file(writer->disk, blank, DW_OPEN_WRITE | DW_OPEN_CREATE);
    assert_int_equal(writer->disk->ops->allocate(file, writer->geometry.volume_size), 0);
    if (writer->shape.first_volume)
        fill_with_the_past(writer, file, index % writer->shape.first_volume);
    assert_int_equal(dw_file_sync(file), 0);
    assert_int_equal(writer->disk->ops->sync_names(writer->disk), 0);
    write_header(writer, file, number);
    assert_int_equal(writer->disk->ops->rename(writer->disk, blank, name), 0);
    assert_int_equal(dw_file_sync(file), 0);
    assert_int_equal(writer->disk->ops->sync_names(writer->disk), 0);
    writer->volumes[index] = file;
    writer->claimed = number;
    writer->superblock.claimed = number;
}

/* ---- life ---- */
static void init_geometry(struct dw_crash_writer *writer)
{
    const char *why;
    const struct dw_crash_shape *shape = &writer->shape;
    /* header, copy, data, and one block for a TOC without a table of the caller's */
    uint64_t size = (uint64_t)BLOCK_SIZE * (shape->data_blocks + DW_VOLUME_HEADER_BLOCKS + 1);
    assert_int_equal(dw_geometry_init(&writer->geometry, BLOCK_SIZE, shape->sector_size, size, 0, &why), 0);
    assert_int_equal(writer->geometry.data_blocks, shape->data_blocks);
}

void dw_crash_writer_begin(struct dw_crash_writer *writer, const struct dw_crash_shape *shape, uint64_t seed)
{
    static const uint8_t log_id[16] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16};
    *writer = (struct dw_crash_writer){.shape = *shape, .seed = seed};
    init_geometry(writer);
    dw_identity_init(&writer->identity, log_id, 0x9234abcdu);
    writer->disk = dw_crash_disk(&(struct dw_sim_options){.is_manual = true, .seed = seed});
    struct dw_queue_options options = {.kind = "sim", .depth = DW_CRASH_DEPTH_MAX};
    assert_int_equal(writer->disk->ops->queue_create(writer->disk, &options, &writer->queue), 0);
    writer->bytes = dw_alloc_io(DW_CRASH_BLOCKS_MAX * (size_t)BLOCK_SIZE, BLOCK_SIZE);
    writer->content = malloc(CONTENT_SIZE);
    dw_assert(writer->bytes && writer->content);
    for (uint32_t i = 0; i < DW_CRASH_BLOCKS_MAX; i++)
        writer->blocks[i].first_record = DW_FIRST_RECORD_NONE;
    writer->superblock = (struct dw_superblock_info){.identity = writer->identity,
                                                     .geometry = writer->geometry,
                                                     .epoch = EPOCH,
                                                     .claimed = shape->first_volume,
                                                     .head = shape->first_volume,
                                                     .state = DW_SUPERBLOCK_OPEN,
                                                     .blanks = 1,
                                                     .fill_mode = 1,
                                                     .in_flight_blocks = shape->in_flight_blocks,
                                                     .format_version = DW_FORMAT_VERSION};
    writer->superblock.trim = dw_first_lsn_of_volume(&writer->geometry, shape->first_volume);
    writer->first_block = dw_first_block_of_volume(&writer->geometry, shape->first_volume);
    writer->next_block = writer->durable_block = writer->first_block;
    writer->tail = dw_lsn_of_block(&writer->geometry, writer->first_block);
    writer->superblock.watermark = writer->first_block;
    make_volume(writer, shape->first_volume);
    writer->super_file = dw_crash_file(writer->disk, "dwal.super", DW_OPEN_WRITE | DW_OPEN_CREATE);
    assert_int_equal(writer->disk->ops->allocate(writer->super_file, DW_SUPERBLOCK_COPIES * BLOCK_SIZE), 0);
    assert_int_equal(dw_file_sync(writer->super_file), 0);
    write_superblock(writer);
    write_superblock(writer);
    assert_int_equal(writer->disk->ops->sync_names(writer->disk), 0);
    dw_sim_mark(writer->disk, DW_CRASH_CREATED, 0);
    dw_sim_mark(writer->disk, DW_CRASH_OPENED, 0);
}

void dw_crash_writer_end(struct dw_crash_writer *writer)
{
    while (writer->flight_count)
        dw_crash_writer_finish(writer, 0);
    writer->queue->ops->close(writer->queue);
    for (uint32_t i = 0; i < DW_CRASH_VOLUMES_MAX; i++)
        dw_file_close(writer->volumes[i]);
    dw_file_close(writer->super_file);
}

void dw_crash_writer_free(struct dw_crash_writer *writer)
{
    dw_crash_drop(writer->disk);
    dw_crash_story_free(&writer->story);
    free(writer->content);
    dw_free_io(writer->bytes);
}

/* ---- appending ---- */
static void put_payload(struct dw_crash_writer *writer, const void *from, size_t size)
{
    const struct dw_geometry *g = &writer->geometry;
    const uint8_t *bytes = from;
    while (size) {
        uint64_t block = dw_block_of_lsn(g, writer->tail);
        uint32_t offset = dw_offset_of_lsn(g, writer->tail);
        size_t part = dw_min_size(size, g->payload_size - offset);
        dw_payload_write(g, block_bytes(writer, block), offset, bytes, part);
        block_at(writer, block)->fill = offset + (uint32_t)part;
        writer->tail += part;
        bytes += part;
        size -= part;
    }
}

static void start_record(struct dw_crash_writer *writer)
{
    const struct dw_geometry *g = &writer->geometry;
    uint32_t offset = dw_offset_of_lsn(g, writer->tail);
    struct dw_crash_block *block = block_at(writer, dw_block_of_lsn(g, writer->tail));
    if (block->first_record == DW_FIRST_RECORD_NONE)
        block->first_record = offset;
}

void dw_crash_writer_append(struct dw_crash_writer *writer, uint32_t metadata_size, uint32_t data_size, bool is_more)
{
    uint8_t *bytes = writer->content + writer->content_used;
    writer->content_used += metadata_size + data_size;
    dw_assert(writer->content_used <= CONTENT_SIZE);
    dw_crash_fill(bytes, metadata_size + data_size, writer->seed * 1000 + writer->story.count);
    struct dw_crash_entry entry = {.lsn = writer->tail,
                                   .metadata_size = metadata_size,
                                   .data_size = data_size,
                                   .user = (uint16_t)(writer->story.count * 7),
                                   .is_more = is_more,
                                   .bytes = bytes};
    struct dw_record_info info = {.data_crc = dw_crc32c(0, bytes + metadata_size, data_size),
                                  .metadata_size = metadata_size,
                                  .data_size = data_size,
                                  .type = DW_RECORD_ENTRY,
                                  .flags = is_more ? DW_RECORD_MORE : 0,
                                  .user = entry.user};
    struct dw_record_header header;
    dw_record_header_encode(&info, &header);
    uint32_t crc = dw_record_crc_begin(&writer->identity, writer->tail, &header);
    header.crc = dw_le32_of(dw_crc32c(crc, bytes, metadata_size));
    start_record(writer);
    put_payload(writer, &header, sizeof header);
    put_payload(writer, bytes, metadata_size + data_size);
    entry.end = writer->tail;
    dw_crash_story_add(&writer->story, &entry);
    dw_sim_mark(writer->disk, DW_CRASH_APPENDED, writer->story.count);
}

void dw_crash_writer_seal(struct dw_crash_writer *writer)
{
    uint64_t block = dw_block_of_lsn(&writer->geometry, writer->tail);
    if (dw_offset_of_lsn(&writer->geometry, writer->tail) == 0)
        return;
    writer->tail = dw_lsn_of_block(&writer->geometry, block + 1);
}

/* ---- writing ---- */
uint32_t dw_crash_writer_complete_blocks(const struct dw_crash_writer *writer)
{
    return (uint32_t)(dw_block_of_lsn(&writer->geometry, writer->tail) - writer->next_block);
}

bool dw_crash_writer_can_submit(const struct dw_crash_writer *writer, uint32_t count)
{
    const struct dw_geometry *g = &writer->geometry;
    uint64_t last = writer->next_block + count - 1;
    return count > 0 && count <= dw_crash_writer_complete_blocks(writer) &&
           writer->flight_count < writer->shape.depth &&
           dw_volume_of_block(g, last) == dw_volume_of_block(g, writer->next_block) &&
           dw_volume_of_block(g, last) <= writer->claimed &&
           (last < writer->durable_block + writer->shape.in_flight_blocks ||
            writer->shape.sin == DW_CRASH_SIN_NO_LIMIT);
}

void dw_crash_writer_submit(struct dw_crash_writer *writer, uint32_t count)
{
    const struct dw_geometry *g = &writer->geometry;
    uint32_t number = dw_volume_of_block(g, writer->next_block);
    uint64_t watermark = writer->durable_block;
    if (writer->shape.sin == DW_CRASH_SIN_WATERMARK_HIGH)
        watermark = writer->next_block;
    if (writer->shape.sin == DW_CRASH_SIN_WATERMARK_LOW)
        watermark = 0;
    struct dw_crash_flight *flight = writer->flights;
    while (flight->is_used)
        flight++;
    dw_assert(flight < writer->flights + DW_CRASH_FLIGHTS_MAX);
    for (uint64_t block = writer->next_block; block < writer->next_block + count; block++) {
        const struct dw_crash_block *about = block_at(writer, block);
        struct dw_block_info info = {.block = block,
                                     .watermark = watermark,
                                     .fill = about->fill,
                                     .first_record = about->first_record,
                                     .flags = about->is_marker ? DW_BLOCK_MARKER : 0};
        dw_block_header_encode(&writer->identity, &info, number, block_bytes(writer, block));
        dw_block_stamp_tags(g, &writer->identity, block_bytes(writer, block), number);
    }
    *flight = (struct dw_crash_flight){.from = writer->next_block, .to = writer->next_block + count, .is_used = true};
    flight->request = (struct dw_request){.file = writer->volumes[number - writer->shape.first_volume],
                                          .bytes = block_bytes(writer, flight->from),
                                          .size = count * (size_t)BLOCK_SIZE,
                                          .offset = dw_place_of_block(g, flight->from),
                                          .is_durable = writer->shape.sin != DW_CRASH_SIN_ORDINARY,
                                          .user = flight};
    if (writer->shape.sin == DW_CRASH_SIN_TWICE && flight->from % 3 == 2)
        write_durable(flight->request.file, flight->request.bytes, flight->request.size, flight->request.offset);
    writer->next_block += count;
    writer->flight_count++;
    writer->queue->ops->submit(writer->queue, &flight->request);
}

/* The end of the entries that lie wholly before block `block`. */
static uint64_t end_before(const struct dw_crash_writer *writer, uint64_t block)
{
    uint64_t end = 0;
    for (size_t i = 0; i < writer->story.count; i++) {
        if (writer->story.entries[i].end <= dw_lsn_of_block(&writer->geometry, block))
            end = writer->story.entries[i].end;
    }
    return end;
}

static void advance(struct dw_crash_writer *writer)
{
    uint64_t before = writer->durable_block;
    for (bool is_found = true; is_found;) {
        is_found = false;
        for (uint32_t i = 0; i < DW_CRASH_FLIGHTS_MAX; i++) {
            struct dw_crash_flight *flight = &writer->flights[i];
            if (flight->is_used && flight->is_finished && flight->from == writer->durable_block) {
                writer->durable_block = flight->to;
                flight->is_used = false;
                is_found = true;
            }
        }
    }
    if (writer->durable_block == before)
        return;
    dw_sim_mark(writer->disk, DW_CRASH_DURABLE_BLOCK, writer->durable_block);
    dw_sim_mark(writer->disk, DW_CRASH_ACKED, end_before(writer, writer->durable_block));
}

void dw_crash_writer_finish(struct dw_crash_writer *writer, uint32_t which)
{
    dw_sim_complete(writer->disk, which);
    struct dw_request *request = writer->queue->ops->reap(writer->queue, false);
    assert_non_null(request);
    assert_int_equal(request->result, 0);
    struct dw_crash_flight *flight = request->user;
    flight->is_finished = true;
    writer->flight_count--;
    advance(writer);
}

void dw_crash_writer_mark(struct dw_crash_writer *writer)
{
    const struct dw_geometry *g = &writer->geometry;
    dw_assert(dw_offset_of_lsn(g, writer->tail) == 0 && dw_crash_writer_complete_blocks(writer) == 0);
    struct dw_crash_block *block = block_at(writer, writer->next_block);
    *block = (struct dw_crash_block){.first_record = DW_FIRST_RECORD_NONE, .is_marker = true};
    writer->tail = dw_lsn_of_block(g, writer->next_block + 1);
    dw_crash_writer_submit(writer, 1);
}

/* ---- volumes ---- */
void dw_crash_writer_claim(struct dw_crash_writer *writer)
{
    make_volume(writer, writer->claimed + 1);
    writer->superblock.watermark = writer->durable_block;
    writer->superblock.head = dw_volume_of_block(&writer->geometry, writer->durable_block);
    if (writer->shape.sin != DW_CRASH_SIN_UNCLAIMED)
        write_superblock(writer);
}

static void write_toc(struct dw_crash_writer *writer, uint32_t number, uint64_t end, uint32_t flags)
{
    const struct dw_geometry *g = &writer->geometry;
    struct dw_toc_info toc = {.number = number,
                              .flags = flags,
                              .first_lsn = end,
                              .last_lsn = end,
                              .end = end,
                              .time_first = 1,
                              .time_last = ++writer->time,
                              .watermark = writer->durable_block};
    for (size_t i = 0; i < writer->story.count; i++) {
        const struct dw_crash_entry *entry = &writer->story.entries[i];
        if (dw_volume_of_lsn(g, entry->lsn) != number)
            continue;
        if (toc.entry_count++ == 0)
            toc.first_lsn = entry->lsn;
        toc.last_lsn = entry->lsn;
        if (entry->end > dw_end_lsn_of_volume(g, number))
            toc.flags |= DW_TOC_SPILL;
    }
    uint8_t *area = dw_alloc_io(dw_toc_area_size(g), BLOCK_SIZE);
    dw_toc_encode(g, &writer->identity, &toc, NULL, area);
    write_durable(writer->volumes[number - writer->shape.first_volume], area, dw_toc_area_size(g), dw_place_of_toc(g));
    dw_free_io(area);
}

void dw_crash_writer_toc(struct dw_crash_writer *writer, uint32_t number)
{
    dw_assert(writer->durable_block >= dw_first_block_of_volume(&writer->geometry, number + 1) ||
              writer->shape.sin == DW_CRASH_SIN_TOC_EARLY);
    write_toc(writer, number, dw_end_lsn_of_volume(&writer->geometry, number), 0);
}

void dw_crash_writer_close(struct dw_crash_writer *writer)
{
    const struct dw_geometry *g = &writer->geometry;
    dw_assert(writer->flight_count == 0 && dw_crash_writer_complete_blocks(writer) == 0);
    dw_sim_mark(writer->disk, DW_CRASH_CLOSING, 0);
    uint64_t end = writer->story.count ? writer->story.entries[writer->story.count - 1].end : writer->tail;
    uint32_t head = dw_volume_of_block(g, writer->durable_block ? writer->durable_block - 1 : 0);
    end = dw_max_u64(end, dw_first_lsn_of_volume(g, head));
    write_toc(writer, head, end, DW_TOC_OPEN);
    writer->superblock.state = DW_SUPERBLOCK_CLEAN;
    writer->superblock.clean_end = end;
    writer->superblock.head = head;
    writer->superblock.watermark = writer->durable_block;
    write_superblock(writer);
    dw_sim_mark(writer->disk, DW_CRASH_CLOSED, end);
}
