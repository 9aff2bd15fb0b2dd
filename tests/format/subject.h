/* subject.h - the four structures with a checksum, behind one face, so that each property is stated once for all.
 *
 * Included by the tests of core/format. A subject makes a random allowed image, decodes an image (and, where the
 * decoder accepts it, encodes the result again), and puts a right checksum on a changed image. */
#ifndef DW_TESTS_FORMAT_SUBJECT_H
#define DW_TESTS_FORMAT_SUBJECT_H

#include "core/format/text.h"
#include "tests/format/mend.h"
#include "tests/format/sample.h"

/* One log, and the place at which the decoders are told to expect the structure. */
struct subject_log {
    struct dw_geometry geometry;
    struct dw_identity identity;
    uint64_t block;
    uint32_t number;
    uint32_t table_length;
};
/* Bytes that hold the largest image: one block, or a TOC area of at most one block. */
#define SUBJECT_IMAGE_SIZE 4096u
#define SUBJECT_TEXT_SIZE  1024u

struct subject {
    const char *name;
    bool has_tag;       /* bytes 0-3 are a tag and under no checksum */
    bool is_tag_judged; /* ... and the decoder says BAD_TAG for a wrong one */
    /* Bytes of which none may change unnoticed. */
    size_t (*size)(const struct subject_log *log);
    void (*make)(struct sample_random *random, struct subject_log *log, uint8_t *image, char *text);
    /* For OK and BAD_TAG: what was understood, in words and encoded again. */
    enum dw_decoded (*decode)(const struct subject_log *log, const uint8_t *image, uint8_t *again, char *text);
    void (*mend)(const struct subject_log *log, uint8_t *image);
};

static inline struct subject_log subject_log_make(struct sample_random *random)
{
    struct subject_log log = {
        .geometry = sample_geometry_of(4096, sample_below(random, 2) ? 512 : 4096,
                                       4096 * (20 + sample_below(random, 500)), (uint32_t)sample_below(random, 300)),
        .identity = sample_identity(random),
    };
    return log;
}

static inline size_t subject_block_size(const struct subject_log *log)
{
    (void)log;
    return DW_BLOCK_HEADER_SIZE;
}
static inline void subject_block_make(struct sample_random *random, struct subject_log *log, uint8_t *image, char *text)
{
    struct dw_block_info info = sample_block(random, &log->geometry);
    log->block = info.block;
    log->number = dw_volume_of_block(&log->geometry, info.block);
    dw_block_header_encode(&log->identity, &info, log->number, image);
    dw_text_block(&info, text, SUBJECT_TEXT_SIZE);
}
static inline enum dw_decoded subject_block_decode(const struct subject_log *log, const uint8_t *image, uint8_t *again,
                                                   char *text)
{
    struct dw_block_info info;
    enum dw_decoded verdict = dw_block_header_decode(&log->geometry, &log->identity, image, log->block, &info);
    if (verdict != DW_DECODED_OK)
        return verdict;
    dw_block_header_encode(&log->identity, &info, log->number, again);
    dw_text_block(&info, text, SUBJECT_TEXT_SIZE);
    return verdict;
}
static inline void subject_block_mend(const struct subject_log *log, uint8_t *image)
{
    mend_block_header(&log->identity, image);
}

static inline size_t subject_volume_size(const struct subject_log *log)
{
    (void)log;
    return DW_VOLUME_HEADER_SIZE;
}
static inline void subject_volume_make(struct sample_random *random, struct subject_log *log, uint8_t *image,
                                       char *text)
{
    struct dw_volume_info info = sample_volume(random, &log->geometry);
    log->number = info.number;
    dw_volume_header_encode(&log->geometry, &log->identity, &info, image);
    dw_text_volume(&info, text, SUBJECT_TEXT_SIZE);
}
static inline enum dw_decoded subject_volume_decode(const struct subject_log *log, const uint8_t *image, uint8_t *again,
                                                    char *text)
{
    struct dw_volume_info info;
    enum dw_decoded verdict = dw_volume_header_decode(&log->geometry, &log->identity, image, log->number, &info);
    if (verdict != DW_DECODED_OK && verdict != DW_DECODED_BAD_TAG)
        return verdict;
    dw_volume_header_encode(&info.geometry, &log->identity, &info, again);
    dw_text_volume(&info, text, SUBJECT_TEXT_SIZE);
    return verdict;
}
static inline void subject_volume_mend(const struct subject_log *log, uint8_t *image)
{
    (void)log;
    mend_volume_header(image);
}

static inline size_t subject_toc_size(const struct subject_log *log)
{
    return DW_TOC_SIZE + (size_t)log->table_length;
}
static inline void subject_toc_make(struct sample_random *random, struct subject_log *log, uint8_t *image, char *text)
{
    struct dw_toc_info info = sample_toc(random, &log->geometry);
    uint8_t table[SUBJECT_IMAGE_SIZE];
    sample_bytes(random, table, info.table_length);
    log->number = info.number;
    log->table_length = info.table_length;
    dw_toc_encode(&log->geometry, &log->identity, &info, table, image);
    dw_text_toc(&info, text, SUBJECT_TEXT_SIZE);
}
static inline enum dw_decoded subject_toc_decode(const struct subject_log *log, const uint8_t *image, uint8_t *again,
                                                 char *text)
{
    struct dw_toc_info info;
    enum dw_decoded verdict =
        dw_toc_decode(&log->geometry, &log->identity, image, dw_toc_area_size(&log->geometry), log->number, &info);
    if (verdict != DW_DECODED_OK && verdict != DW_DECODED_BAD_TAG)
        return verdict;
    dw_toc_encode(&log->geometry, &log->identity, &info, image + DW_TOC_SIZE, again);
    dw_text_toc(&info, text, SUBJECT_TEXT_SIZE);
    return verdict;
}
static inline void subject_toc_mend(const struct subject_log *log, uint8_t *image)
{
    mend_toc(image, dw_toc_area_size(&log->geometry));
}

static inline size_t subject_superblock_size(const struct subject_log *log)
{
    (void)log;
    return DW_SUPERBLOCK_SIZE;
}
static inline void subject_superblock_make(struct sample_random *random, struct subject_log *log, uint8_t *image,
                                           char *text)
{
    struct dw_superblock_info info = sample_superblock(random);
    info.geometry = log->geometry;
    info.identity = log->identity;
    dw_superblock_encode(&info, image);
    dw_text_superblock(&info, text, SUBJECT_TEXT_SIZE);
}
static inline enum dw_decoded subject_superblock_decode(const struct subject_log *log, const uint8_t *image,
                                                        uint8_t *again, char *text)
{
    struct dw_superblock_info info;
    (void)log;
    enum dw_decoded verdict = dw_superblock_decode(image, DW_SUPERBLOCK_SIZE, &info);
    if (verdict != DW_DECODED_OK)
        return verdict;
    dw_text_superblock(&info, text, SUBJECT_TEXT_SIZE);
    info.geometry.block_size = SUBJECT_IMAGE_SIZE; /* only for the room that the copy takes; put back below */
    dw_superblock_encode(&info, again);
    memcpy(again + 44, image + 44, 4);
    mend_superblock(again);
    return verdict;
}
static inline void subject_superblock_mend(const struct subject_log *log, uint8_t *image)
{
    (void)log;
    mend_superblock(image);
}

static const struct subject subjects[] = {
    {"block header", true, false, subject_block_size, subject_block_make, subject_block_decode, subject_block_mend},
    {"volume header", true, true, subject_volume_size, subject_volume_make, subject_volume_decode, subject_volume_mend},
    {"TOC", true, true, subject_toc_size, subject_toc_make, subject_toc_decode, subject_toc_mend},
    {"superblock", false, false, subject_superblock_size, subject_superblock_make, subject_superblock_decode,
     subject_superblock_mend},
};

#endif
