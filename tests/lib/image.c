/* image.c - see image.h. */
#include "tests/lib/image.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "alloc/alloc.h"
#include "base/assert.h"
#include "io/sim.h"

#define TAG_KEY 0x9e3779b9u
enum { DATA_BLOCKS = 8, IN_FLIGHT = 4 };

static const uint8_t log_id[16] = "an image's log.";

/* ---- bytes of entries ---- */

static uint64_t word_of(uint64_t seed, uint64_t index)
{
    uint64_t v = (seed + index) * UINT64_C(0x9e3779b97f4a7c15);
    v ^= v >> 29;
    v *= UINT64_C(0xbf58476d1ce4e5b9);
    return v ^ v >> 32;
}

uint8_t dw_image_byte(uint64_t seed, uint64_t at)
{
    return (uint8_t)(word_of(seed, at >> 3) >> (8 * (at & 7)));
}

bool dw_image_holds(const struct dw_image_entry *entry, uint64_t from, const void *bytes, size_t size)
{
    const uint8_t *at = bytes;
    uint64_t word = 0;
    for (size_t i = 0; i < size; i++) {
        if (i == 0 || ((from + i) & 7) == 0)
            word = word_of(entry->seed, (from + i) >> 3);
        if (at[i] != (uint8_t)(word >> (8 * ((from + i) & 7))))
            return false;
    }
    return true;
}

const struct dw_image_entry *dw_image_entry_at(const struct dw_image *image, uint64_t lsn)
{
    for (size_t i = 0; i < image->entry_count; i++)
        if (image->entries[i].lsn == lsn && !image->entries[i].is_dropped)
            return &image->entries[i];
    return NULL;
}

/* ---- volumes ---- */

struct dw_image_volume *dw_image_volume(struct dw_image *image, uint32_t number)
{
    dw_assert(number >= image->shape.first_volume && number - image->shape.first_volume < DW_IMAGE_VOLUMES_MAX);
    return &image->volumes[number - image->shape.first_volume];
}

uint8_t *dw_image_block(struct dw_image *image, uint64_t block)
{
    struct dw_image_volume *volume = dw_image_volume(image, dw_volume_of_block(&image->geometry, block));
    dw_assert(volume->is_used);
    return volume->bytes + dw_place_of_block(&image->geometry, block);
}

/* What lies in a block before it is written under the volume's number. */
void dw_image_make_old_block(const struct dw_image *image, uint64_t block, uint8_t *bytes)
{
    const struct dw_geometry *g = &image->geometry;
    memset(bytes, 0, g->block_size);
    if (!image->shape.is_recycled)
        return;
    uint32_t number = (uint32_t)(dw_volume_of_block(g, block) % 2); /* long trimmed away */
    uint64_t old = dw_first_block_of_volume(g, number) + block % g->data_blocks;
    for (uint32_t at = 0; at < g->payload_size; at++) {
        uint8_t byte = dw_image_byte(old, at);
        dw_payload_write(g, bytes, at, &byte, 1);
    }
    struct dw_block_info info = {
        .block = old, .watermark = old, .fill = g->payload_size, .first_record = DW_FIRST_RECORD_NONE};
    dw_block_stamp_tags(g, &image->identity, bytes, number);
    dw_block_header_encode(&image->identity, &info, number, bytes);
}

static void encode_header(struct dw_image *image, struct dw_image_volume *volume)
{
    dw_volume_header_encode(&image->geometry, &image->identity, &volume->info, volume->bytes);
    memcpy(volume->bytes + image->geometry.block_size, volume->bytes, image->geometry.block_size);
}

static void make_volume(struct dw_image *image, uint32_t number, const struct dw_volume_info *info)
{
    struct dw_image_volume *volume = dw_image_volume(image, number);
    const struct dw_geometry *g = &image->geometry;
    dw_assert(!volume->is_used);
    volume->is_used = true;
    volume->size = g->volume_size;
    volume->info = *info;
    volume->bytes = dw_alloc_io((size_t)g->volume_size, g->block_size);
    dw_assert(volume->bytes != NULL);
    encode_header(image, volume);
    uint64_t first = dw_first_block_of_volume(g, number);
    for (uint64_t block = first; block < first + g->data_blocks; block++)
        dw_image_make_old_block(image, block, dw_image_block(image, block));
}

void dw_image_claim(struct dw_image *image)
{
    uint32_t number = image->superblock.claimed + 1;
    struct dw_volume_info info = {
        .number = number,
        .predecessor = number - 1,
        .predecessor_end = DW_PREDECESSOR_RUNS_ON,
        .in_flight_blocks = image->shape.in_flight_blocks,
        .epoch = image->superblock.epoch,
        .claim_time = 1000 + number,
        .geometry = image->geometry,
    };
    make_volume(image, number, &info);
    image->superblock.claimed = number;
}

struct dw_image *dw_image_new(const struct dw_image_shape *shape)
{
    struct dw_image *image = dw_alloc(sizeof *image);
    dw_assert(image != NULL);
    image->shape = *shape;
    if (!image->shape.sector_size)
        image->shape.sector_size = 512;
    if (!image->shape.data_blocks)
        image->shape.data_blocks = DATA_BLOCKS;
    if (!image->shape.in_flight_blocks)
        image->shape.in_flight_blocks = IN_FLIGHT;
    dw_assert(!shape->is_recycled || shape->first_volume > 1);
    uint64_t toc_blocks = (shape->toc_length + DW_TOC_SIZE + 4095) / 4096;
    const char *why = NULL;
    int result = dw_geometry_init(&image->geometry, 4096, image->shape.sector_size,
                                  (image->shape.data_blocks + 2 + toc_blocks) * 4096, shape->toc_length, &why);
    dw_assert(result == 0 && image->geometry.data_blocks == image->shape.data_blocks);
    dw_identity_init(&image->identity, log_id, TAG_KEY);
    uint32_t first = shape->first_volume;
    image->superblock = (struct dw_superblock_info){
        .sequence = 7,
        .identity = image->identity,
        .geometry = image->geometry,
        .epoch = 3,
        .trim = dw_first_lsn_of_volume(&image->geometry, first),
        .claimed = first,
        .head = first,
        .state = DW_SUPERBLOCK_OPEN,
        .blanks = 1,
        .fill_mode = 1,
        .in_flight_blocks = image->shape.in_flight_blocks,
        .create_time = 500,
        .write_time = 5000,
        .format_version = DW_FORMAT_VERSION,
    };
    struct dw_volume_info info = {
        .number = first,
        .predecessor = first ? first - 1 : DW_VOLUME_NUMBER_NONE,
        .predecessor_end = first ? DW_PREDECESSOR_RUNS_ON : DW_PREDECESSOR_NONE,
        .in_flight_blocks = image->shape.in_flight_blocks,
        .epoch = 1,
        .claim_time = 1000,
        .geometry = image->geometry,
    };
    make_volume(image, first, &info);
    image->head = first;
    image->tail = image->superblock.trim;
    return image;
}

void dw_image_free(struct dw_image *image)
{
    for (size_t i = 0; i < DW_IMAGE_VOLUMES_MAX; i++)
        dw_free_io(image->volumes[i].bytes);
    dw_free(image->entries);
    dw_free(image);
}

/* ---- blocks and records ---- */

/* The header of the block that ends at payload offset `fill`. */
static void seal_block(struct dw_image *image, uint64_t block, uint32_t fill, uint32_t first_record, uint32_t flags)
{
    uint32_t number = dw_volume_of_block(&image->geometry, block);
    uint64_t watermark = block > image->lag ? block - image->lag : 0;
    if (image->is_watermark_fixed)
        watermark = image->watermark < block ? image->watermark : block;
    struct dw_block_info info = {
        .block = block, .watermark = watermark, .fill = fill, .first_record = first_record, .flags = flags};
    dw_block_stamp_tags(&image->geometry, &image->identity, dw_image_block(image, block), number);
    dw_block_header_encode(&image->identity, &info, number, dw_image_block(image, block));
}

/* Where the first record starts in a block, by the story: the smallest start in it, or the end of the one that runs into
 * it. */
static uint32_t first_record_of(const struct dw_image *image, uint64_t block, uint32_t fill)
{
    const struct dw_geometry *g = &image->geometry;
    uint64_t from = dw_lsn_of_block(g, block);
    for (size_t i = 0; i < image->entry_count; i++) {
        const struct dw_image_entry *entry = &image->entries[i];
        if (entry->is_dropped || entry->end <= from)
            continue;
        if (entry->lsn >= from)
            return entry->lsn - from < fill ? (uint32_t)(entry->lsn - from) : DW_FIRST_RECORD_NONE;
        return entry->end - from < g->payload_size ? (uint32_t)(entry->end - from) : DW_FIRST_RECORD_NONE;
    }
    return DW_FIRST_RECORD_NONE;
}

static void enter_volume_of(struct dw_image *image, uint64_t block)
{
    uint32_t number = dw_volume_of_block(&image->geometry, block);
    if (number <= image->head)
        return;
    while (image->superblock.claimed < number)
        dw_image_claim(image);
    image->head = number;
    image->superblock.head = number;
}

static void seal_partly(struct dw_image *image, uint64_t block, uint32_t fill)
{
    if (fill == 0)
        return;
    const struct dw_geometry *g = &image->geometry;
    static const uint8_t zeros[65536];
    dw_payload_write(g, dw_image_block(image, block), fill, zeros, g->payload_size - fill);
    seal_block(image, block, fill, first_record_of(image, block, fill), 0);
}

/* One record's bytes into the blocks from the tail on; each block's header is made anew with what is in it so far. */
static void write_payload(struct dw_image *image, const uint8_t *bytes, size_t size)
{
    const struct dw_geometry *g = &image->geometry;
    while (size > 0) {
        uint64_t block = dw_block_of_lsn(g, image->tail);
        uint32_t offset = dw_offset_of_lsn(g, image->tail);
        size_t part = size < g->payload_size - offset ? size : g->payload_size - offset;
        enter_volume_of(image, block);
        dw_payload_write(g, dw_image_block(image, block), offset, bytes, part);
        seal_partly(image, block, offset + (uint32_t)part);
        image->tail += part;
        bytes += part;
        size -= part;
    }
}

static struct dw_image_entry *add_entry(struct dw_image *image)
{
    if (image->entry_count == image->entry_capacity) {
        image->entry_capacity = image->entry_capacity ? 2 * image->entry_capacity : 64;
        image->entries = dw_realloc(image->entries, image->entry_capacity * sizeof *image->entries);
        dw_assert(image->entries != NULL);
    }
    return &image->entries[image->entry_count++];
}

static uint64_t append(struct dw_image *image, uint32_t metadata_size, uint32_t data_size, bool is_more)
{
    size_t size = (size_t)DW_RECORD_HEADER_SIZE + metadata_size + data_size;
    uint64_t lsn = image->tail, seed = lsn * 977 + image->entry_count;
    uint8_t *bytes = dw_alloc(size);
    dw_assert(bytes != NULL);
    uint8_t *metadata = bytes + DW_RECORD_HEADER_SIZE, *data = metadata + metadata_size;
    for (size_t i = 0; i < (size_t)metadata_size + data_size; i++)
        metadata[i] = dw_image_byte(seed, i);
    struct dw_record_info info = {
        .data_crc = dw_crc32c(0, data, data_size),
        .metadata_size = metadata_size,
        .data_size = data_size,
        .type = DW_RECORD_ENTRY,
        .flags = is_more ? DW_RECORD_MORE : 0,
        .user = (uint16_t)seed,
    };
    struct dw_record_header header;
    dw_record_header_encode(&info, &header);
    header.crc = dw_le32_of(dw_crc32c(dw_record_crc_begin(&image->identity, lsn, &header), metadata, metadata_size));
    memcpy(bytes, &header, sizeof header);
    *add_entry(image) = (struct dw_image_entry){.lsn = lsn,
                                                .end = lsn + size,
                                                .metadata_size = metadata_size,
                                                .data_size = data_size,
                                                .user = info.user,
                                                .is_more = is_more,
                                                .seed = seed};
    write_payload(image, bytes, size);
    dw_free(bytes);
    return lsn;
}

uint64_t dw_image_append(struct dw_image *image, uint32_t metadata_size, uint32_t data_size)
{
    return append(image, metadata_size, data_size, false);
}

uint64_t dw_image_append_more(struct dw_image *image, uint32_t metadata_size, uint32_t data_size)
{
    return append(image, metadata_size, data_size, true);
}

void dw_image_seal(struct dw_image *image)
{
    const struct dw_geometry *g = &image->geometry;
    if (dw_offset_of_lsn(g, image->tail) != 0)
        image->tail = dw_lsn_of_block(g, dw_block_of_lsn(g, image->tail) + 1);
}

void dw_image_mark(struct dw_image *image)
{
    const struct dw_geometry *g = &image->geometry;
    dw_image_seal(image);
    uint64_t block = dw_block_of_lsn(g, image->tail);
    enter_volume_of(image, block);
    memset(dw_image_block(image, block), 0, g->block_size);
    seal_block(image, block, 0, DW_FIRST_RECORD_NONE, DW_BLOCK_MARKER);
    image->tail += g->payload_size;
}

void dw_image_fill(struct dw_image *image, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        dw_image_seal(image);
        dw_image_append(image, 16, image->geometry.payload_size - DW_RECORD_HEADER_SIZE - 16 - 40);
        dw_image_seal(image);
    }
}

/* ---- TOC, cut, close ---- */

void dw_image_toc_as(struct dw_image *image, uint32_t number, uint32_t flags, uint64_t end)
{
    const struct dw_geometry *g = &image->geometry;
    struct dw_image_volume *volume = dw_image_volume(image, number);
    uint64_t from = dw_first_lsn_of_volume(g, number), full = dw_end_lsn_of_volume(g, number);
    struct dw_toc_info info = {.number = number, .first_lsn = end, .last_lsn = end, .end = end, .flags = flags};
    for (size_t i = 0; i < image->entry_count; i++) {
        const struct dw_image_entry *entry = &image->entries[i];
        if (entry->is_dropped || entry->end <= from || entry->lsn >= end)
            continue;
        if (flags == 0 && entry->end > full)
            info.flags |= DW_TOC_SPILL;
        if (entry->lsn < from)
            continue;
        if (info.entry_count++ == 0)
            info.first_lsn = entry->lsn;
        info.last_lsn = entry->lsn;
    }
    info.time_first = volume->info.claim_time;
    info.time_last = volume->info.claim_time + 1;
    info.watermark = dw_block_of_lsn(g, end);
    dw_toc_encode(g, &image->identity, &info, NULL, volume->bytes + dw_place_of_toc(g));
}

void dw_image_toc(struct dw_image *image, uint32_t number)
{
    dw_image_toc_as(image, number, 0, dw_end_lsn_of_volume(&image->geometry, number));
}

void dw_image_cut_header(struct dw_image *image, uint64_t cut, uint32_t number)
{
    struct dw_volume_info info = {
        .number = number,
        .predecessor = dw_volume_of_lsn(&image->geometry, cut),
        .predecessor_end = DW_PREDECESSOR_CUT,
        .cut = cut,
        .in_flight_blocks = image->shape.in_flight_blocks,
        .epoch = image->superblock.epoch + 1,
        .claim_time = 1000 + number,
        .geometry = image->geometry,
    };
    if (cut == dw_first_lsn_of_volume(&image->geometry, info.predecessor) && info.predecessor > 0 &&
        dw_image_volume(image, info.predecessor)->info.predecessor_end == DW_PREDECESSOR_RUNS_ON)
        info.predecessor--;
    make_volume(image, number, &info);
}

void dw_image_cut(struct dw_image *image, uint64_t cut, uint32_t number)
{
    for (size_t i = 0; i < image->entry_count; i++)
        if (image->entries[i].lsn >= cut)
            image->entries[i].is_dropped = true;
    dw_image_cut_header(image, cut, number);
    dw_image_toc_as(image, dw_image_volume(image, number)->info.predecessor, DW_TOC_CUT, cut);
    image->superblock.epoch++;
    image->superblock.claimed = number;
    image->superblock.head = number;
    image->head = number;
    image->tail = dw_first_lsn_of_volume(&image->geometry, number);
}

void dw_image_close(struct dw_image *image)
{
    dw_image_seal(image);
    image->superblock.state = DW_SUPERBLOCK_CLEAN;
    image->superblock.clean_end = image->tail;
    image->superblock.head = image->head;
    if (image->tail > dw_first_lsn_of_volume(&image->geometry, image->head))
        dw_image_toc_as(image, image->head, DW_TOC_OPEN, image->tail);
}

/* ---- onto a disk ---- */

static void put_file(struct dw_disk *disk, const char *name, const uint8_t *bytes, uint64_t size)
{
    struct dw_file *file;
    int result = disk->ops->open(disk, name, DW_OPEN_WRITE | DW_OPEN_CREATE, &file);
    if (result == 0 && size > 0)
        result = dw_file_write(file, bytes, (size_t)size, 0);
    if (result == 0)
        result = dw_file_sync(file);
    dw_assert(result == 0);
    dw_file_close(file);
}

static void put_superblock(const struct dw_image *image, struct dw_disk *disk)
{
    uint32_t size = image->geometry.block_size;
    uint8_t *bytes = dw_alloc_io((size_t)DW_SUPERBLOCK_COPIES * size, size);
    dw_assert(bytes != NULL);
    struct dw_superblock_info info = image->superblock;
    for (uint32_t back = 0; back < 2 && back < info.sequence; back++) {
        struct dw_superblock_info written = info;
        written.sequence -= back;
        for (uint32_t copy = 0; copy < 2; copy++)
            if (back == 1 || !image->is_super_copy_bad[copy])
                dw_superblock_encode(&written, bytes + ((written.sequence & 1) + 2 * copy) * size);
    }
    put_file(disk, "dwal.super", bytes, (uint64_t)DW_SUPERBLOCK_COPIES * size);
    dw_free_io(bytes);
}

struct dw_disk *dw_image_disk(const struct dw_image *image)
{
    struct dw_disk *disk;
    struct dw_sim_options options = {.seed = 1, .is_history_off = true};
    int result = dw_sim_open(&options, &disk);
    dw_assert(result == 0);
    put_superblock(image, disk);
    for (uint32_t i = 0; i < DW_IMAGE_VOLUMES_MAX; i++) {
        const struct dw_image_volume *volume = &image->volumes[i];
        char name[32];
        if (!volume->is_used || volume->size == 0)
            continue;
        snprintf(name, sizeof name, "%010" PRIu32 ".vol", i + image->shape.first_volume);
        put_file(disk, name, volume->bytes, volume->size);
    }
    result = disk->ops->sync_names(disk);
    dw_assert(result == 0);
    for (size_t i = 0; i < image->unreadable_count; i++) {
        char name[32];
        uint32_t number = image->unreadable[i].volume;
        if (image->unreadable[i].offset >= image->volumes[number - image->shape.first_volume].size)
            continue; /* the file was cut short before it */
        snprintf(name, sizeof name, "%010" PRIu32 ".vol", number);
        struct dw_sim_damage damage = {
            .kind = DW_SIM_UNREADABLE, .name = name, .offset = image->unreadable[i].offset, .size = 512};
        result = dw_sim_damage(disk, &damage);
        dw_assert(result == 0);
    }
    return disk;
}
