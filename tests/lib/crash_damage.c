/* crash_damage.c - see crash_damage.h. */
#include "tests/lib/crash_damage.h"

#include <stdio.h>
#include <string.h>

#include "base/assert.h"
#include "base/bits.h"

#define BLOCK_SIZE 4096u

struct eye {
    const struct dw_crash_writer *writer;
    const struct dw_geometry *geometry;
    struct dw_disk *image;
    const char *bad_file;
    uint64_t bad_offset, bad_size;
    uint64_t demanded_end;             /* every byte of an entry before it must be there */
    uint64_t durable_block, end_block; /* end_block: behind the last volume that is part of the log */
    struct dw_superblock_info superblock;
};

/* ---- seeing ---- */
static void name_volume(uint32_t number, char name[32])
{
    snprintf(name, 32, "%010u.vol", number);
}

/* False: there is no such volume. Unreadable sectors are seen as they were written: callers ask for them apart. */
static bool see_block(const struct eye *eye, uint64_t block, uint8_t *bytes)
{
    char name[32];
    name_volume(dw_volume_of_block(eye->geometry, block), name);
    return dw_sim_peek(eye->image, name, dw_place_of_block(eye->geometry, block), bytes, BLOCK_SIZE);
}

static bool is_unreadable(const struct eye *eye, uint64_t block)
{
    char name[32];
    uint64_t place = dw_place_of_block(eye->geometry, block);
    name_volume(dw_volume_of_block(eye->geometry, block), name);
    return eye->bad_file && strcmp(eye->bad_file, name) == 0 && eye->bad_offset < place + BLOCK_SIZE &&
           place < eye->bad_offset + eye->bad_size;
}

static void count_tags(const struct eye *eye, const uint8_t *bytes, uint64_t block, struct dw_tag_counts *counts)
{
    uint32_t number = dw_volume_of_block(eye->geometry, block);
    *counts = (struct dw_tag_counts){0};
    for (uint32_t at = 0; at < BLOCK_SIZE; at += eye->geometry->sector_size) {
        uint32_t tag;
        memcpy(&tag, bytes + at, sizeof tag);
        switch (dw_tag_classify(&eye->writer->identity, tag, number)) {
        case DW_TAG_CURRENT:
            counts->current++;
            break;
        case DW_TAG_BLANK:
            counts->blank++;
            break;
        case DW_TAG_OLD:
            counts->old++;
            break;
        case DW_TAG_ALIEN:
            counts->alien++;
            break;
        }
    }
}

/* ---- is a block what it was? Tags do not count, nor padding, nor bytes of entries that nobody was told of. ---- */
static bool is_header_changed(const struct eye *eye, uint64_t block, const uint8_t *bytes)
{
    const uint8_t *was = eye->writer->bytes + (block - eye->writer->first_block) * BLOCK_SIZE;
    return memcmp(bytes + DW_TAG_SIZE, was + DW_TAG_SIZE, DW_BLOCK_HEADER_SIZE - DW_TAG_SIZE) != 0;
}

/* lsn of the first payload byte that is not what it was; UINT64_MAX: none. */
static uint64_t find_change(const struct eye *eye, uint64_t block, const uint8_t *bytes)
{
    const struct dw_geometry *g = eye->geometry;
    const struct dw_crash_writer *writer = eye->writer;
    const uint8_t *was = writer->bytes + (block - writer->first_block) * BLOCK_SIZE;
    uint64_t begin = dw_lsn_of_block(g, block);
    uint32_t fill = writer->blocks[block - writer->first_block].fill;
    uint64_t demanded = eye->demanded_end > begin ? eye->demanded_end - begin : 0;
    uint32_t limit = (uint32_t)dw_min_u64(fill, demanded);
    for (uint32_t offset = 0; offset < limit; offset++) {
        uint32_t at = dw_byte_of_payload(g, offset);
        if (bytes[at] != was[at])
            return begin + offset;
    }
    return UINT64_MAX;
}

/* Is every sector that entry bytes [from, to) of this block touch written under the number of its volume? */
static bool is_span_current(const struct eye *eye, uint64_t block, const uint8_t *bytes, uint32_t from, uint32_t to)
{
    uint32_t size = eye->geometry->sector_size;
    uint32_t first = dw_byte_of_payload(eye->geometry, from) / size;
    uint32_t last = dw_byte_of_payload(eye->geometry, to - 1) / size;
    for (uint32_t sector = first; sector <= last; sector++) {
        uint32_t tag;
        memcpy(&tag, bytes + sector * size, sizeof tag);
        if (dw_tag_classify(&eye->writer->identity, tag, dw_volume_of_block(eye->geometry, block)) != DW_TAG_CURRENT)
            return false;
    }
    return true;
}

/* The entry in which byte `lsn` lies fails: which of its blocks shows why? UINT64_MAX: none, all of it is written. */
static uint64_t find_blame(const struct eye *eye, uint64_t lsn)
{
    const struct dw_crash_story *story = &eye->writer->story;
    const struct dw_geometry *g = eye->geometry;
    size_t i = 0;
    while (i < story->count && story->entries[i].end <= lsn)
        i++;
    dw_assert(i < story->count && story->entries[i].lsn <= lsn);
    const struct dw_crash_entry *entry = &story->entries[i];
    for (uint64_t block = dw_block_of_lsn(g, entry->lsn); block <= dw_block_of_lsn(g, entry->end - 1); block++) {
        uint8_t bytes[BLOCK_SIZE];
        uint64_t begin = dw_lsn_of_block(g, block), end = begin + g->payload_size;
        uint32_t from = entry->lsn > begin ? (uint32_t)(entry->lsn - begin) : 0;
        uint32_t to = entry->end < end ? (uint32_t)(entry->end - begin) : g->payload_size;
        if (!see_block(eye, block, bytes) || is_unreadable(eye, block) || is_header_changed(eye, block, bytes) ||
            !is_span_current(eye, block, bytes, from, to))
            return block;
    }
    return UINT64_MAX;
}

/* ---- what else the image tells ---- */
/* The newest sound copy. */
static void see_superblock(const struct eye *eye, struct dw_superblock_info *newest)
{
    struct dw_superblock_info info;
    uint8_t bytes[BLOCK_SIZE];
    *newest = (struct dw_superblock_info){0};
    for (uint64_t copy = 0; copy < DW_SUPERBLOCK_COPIES; copy++) {
        if (eye->bad_file && strcmp(eye->bad_file, "dwal.super") == 0 && eye->bad_offset / BLOCK_SIZE == copy)
            continue;
        if (dw_sim_peek(eye->image, "dwal.super", copy * BLOCK_SIZE, bytes, sizeof bytes) &&
            dw_superblock_decode(bytes, sizeof bytes, &info) == DW_DECODED_OK && (info.sequence & 1) == (copy & 1) &&
            info.sequence > newest->sequence)
            *newest = info;
    }
}

static bool superblock_tells(const struct eye *eye, uint64_t block)
{
    const struct dw_superblock_info *info = &eye->superblock;
    if (info->state == DW_SUPERBLOCK_CLEAN && info->clean_end > dw_lsn_of_block(eye->geometry, block))
        return true;
    return info->watermark > block;
}

static bool toc_tells(const struct eye *eye, uint64_t block)
{
    const struct dw_crash_writer *writer = eye->writer;
    for (uint32_t number = writer->shape.first_volume; number <= writer->claimed; number++) {
        char name[32];
        uint8_t area[BLOCK_SIZE];
        struct dw_toc_info toc;
        uint64_t place = dw_place_of_toc(eye->geometry);
        name_volume(number, name);
        if (eye->bad_file && strcmp(eye->bad_file, name) == 0 && eye->bad_offset >= place)
            continue;
        if (!dw_sim_peek(eye->image, name, place, area, sizeof area))
            continue;
        enum dw_decoded verdict = dw_toc_decode(eye->geometry, &writer->identity, area, sizeof area, number, &toc);
        if ((verdict == DW_DECODED_OK || verdict == DW_DECODED_BAD_TAG) && toc.watermark > block)
            return true;
    }
    return false;
}

static void see_rest(const struct eye *eye, struct dw_crash_wound *wound)
{
    const struct dw_crash_writer *writer = eye->writer;
    wound->is_witnessed = superblock_tells(eye, wound->block) || toc_tells(eye, wound->block);
    for (uint64_t block = wound->block; block < eye->end_block; block++) {
        uint8_t bytes[BLOCK_SIZE];
        struct dw_block_info info;
        struct dw_tag_counts tags;
        if (is_unreadable(eye, block) || !see_block(eye, block, bytes))
            continue;
        enum dw_decoded verdict = dw_block_header_decode(eye->geometry, &writer->identity, bytes, block, &info);
        count_tags(eye, bytes, block, &tags);
        wound->is_witnessed |= verdict == DW_DECODED_OK && info.watermark > wound->block;
        wound->is_far |= tags.current > 0 && block >= wound->block + writer->shape.in_flight_blocks;
        /* Sound, and of another place: of this use of the files, or at an index at which no earlier use left it. */
        bool is_elsewhere = info.block >= writer->first_block ||
                            info.block % eye->geometry->data_blocks != block % eye->geometry->data_blocks;
        wound->is_misdirected |= verdict == DW_DECODED_MISPLACED && is_elsewhere;
    }
}

static enum dw_crash_expected decide(const struct eye *eye, const struct dw_crash_wound *wound)
{
    if (wound->is_unreadable || wound->is_witnessed || wound->is_far || wound->is_misdirected)
        return DW_CRASH_EXPECT_REFUSAL;
    if (!wound->looks_unwritten || wound->has_alien)
        return DW_CRASH_EXPECT_REFUSAL;
    bool is_behind = eye->demanded_end > dw_lsn_of_block(eye->geometry, wound->block);
    return is_behind ? DW_CRASH_EXPECT_LOSS : DW_CRASH_EXPECT_CUT;
}

/* Look at one acknowledged block; false: it is what it was. */
static bool see_wound(const struct eye *eye, uint64_t block, struct dw_crash_wound *wound)
{
    uint8_t bytes[BLOCK_SIZE];
    struct dw_tag_counts tags;
    *wound = (struct dw_crash_wound){.block = block, .is_unreadable = is_unreadable(eye, block)};
    bool is_there = see_block(eye, block, bytes);
    dw_assert(is_there);
    if (!wound->is_unreadable && !is_header_changed(eye, block, bytes)) {
        uint64_t lsn = find_change(eye, block, bytes);
        if (lsn == UINT64_MAX)
            return false;
        uint64_t blame = find_blame(eye, lsn);
        if (blame == UINT64_MAX) { /* written, and wrong: never the mark of a crash */
            see_rest(eye, wound);
            return true;
        }
        wound->block = blame;
        wound->is_unreadable = is_unreadable(eye, blame);
        (void)see_block(eye, blame, bytes);
    }
    count_tags(eye, bytes, wound->block, &tags);
    wound->looks_unwritten = tags.blank + tags.old > 0;
    wound->has_alien = tags.alien > 0;
    see_rest(eye, wound);
    return true;
}

void dw_crash_foresee(const struct dw_crash_writer *writer, const struct dw_crash_facts *facts, struct dw_disk *image,
                      const char *bad_file, uint64_t bad_offset, uint64_t bad_size,
                      struct dw_crash_prognosis *prognosis)
{
    size_t least = dw_crash_facts_least(facts, &writer->story);
    struct eye eye = {.writer = writer,
                      .geometry = &writer->geometry,
                      .image = image,
                      .bad_file = bad_file,
                      .bad_offset = bad_offset,
                      .bad_size = bad_size,
                      .demanded_end = least ? writer->story.entries[least - 1].end : 0,
                      .durable_block = facts->durable_block};
    see_superblock(&eye, &eye.superblock);
    eye.end_block = dw_first_block_of_volume(&writer->geometry, eye.superblock.claimed + 1);
    *prognosis = (struct dw_crash_prognosis){.expected = DW_CRASH_EXPECT_ALL};
    for (uint64_t block = writer->first_block; block < eye.durable_block; block++) {
        struct dw_crash_wound wound;
        if (!see_wound(&eye, block, &wound))
            continue;
        enum dw_crash_expected expected = decide(&eye, &wound);
        if (prognosis->wounds++ == 0) {
            prognosis->expected = expected;
            prognosis->first = wound;
        }
        prognosis->may_lose |= expected == DW_CRASH_EXPECT_LOSS;
    }
}
