/* image.h - describe a log in a few lines, whole or damaged, and put it on a disk: for tests of recovery and of readers.
 *
 *     struct dw_image *image = dw_image_new(&(struct dw_image_shape){.data_blocks = 4});
 *     dw_image_append(image, 10, 3000);  dw_image_seal(image);
 *     dw_image_append(image, 0, 90000);                         // runs on over blocks and volumes, claimed as needed
 *     dw_image_toc(image, 0);
 *     dw_image_lose(image, 6);                                  // block 6 was never written
 *     dw_image_flip(image, 0, dw_place_of_block(&image->geometry, 2) + 100, 3);
 *     struct dw_disk *disk = dw_image_disk(image);
 *
 * Owns: the bytes of superblock and volumes, and the story: what was appended, byte for byte. Written from the format with
 * core/format's encoders; shares no code with core/write, core/store and core/read. One thread.
 * Failure: misuse stops the test. */
#ifndef DW_TESTS_LIB_IMAGE_H
#define DW_TESTS_LIB_IMAGE_H

#include "core/format/codec.h"
#include "io/io.h"

#define DW_IMAGE_VOLUMES_MAX 64u

struct dw_image_shape {        /* zero means default */
    uint32_t sector_size;      /* 512 */
    uint32_t data_blocks;      /* 8 */
    uint32_t toc_length;       /* 0 */
    uint32_t in_flight_blocks; /* 4 */
    uint32_t first_volume;     /* number of the first volume that is still there; above 0: the log was trimmed to it */
    bool is_recycled; /* files hold sound blocks of numbers long gone, instead of zeros; first_volume above 1 */
};

struct dw_image_entry {
    uint64_t lsn, end;
    uint32_t metadata_size, data_size;
    uint16_t user;
    bool is_more;
    bool is_dropped; /* by dw_image_cut */
    uint64_t seed;   /* of its bytes: dw_image_byte */
};

struct dw_image_volume {
    uint8_t *bytes;
    uint64_t size; /* of the file; 0: there is no file */
    struct dw_volume_info info;
    bool is_used;
};

struct dw_image {
    struct dw_image_shape shape;
    struct dw_geometry geometry;
    struct dw_identity identity;
    struct dw_superblock_info superblock; /* encoded by dw_image_disk into the slot of its sequence, twice */
    bool is_super_copy_bad[2];            /* first, second copy of that slot: left out */
    uint32_t head;                        /* volume that the tail is in */
    uint64_t tail;                        /* lsn of the next append */
    uint64_t lag; /* blocks are sealed with watermark = own number - lag; 0: all before was known durable */
    bool is_watermark_fixed;
    uint64_t watermark; /* is_watermark_fixed: this one instead (when it is not above the block) */
    struct dw_image_volume volumes[DW_IMAGE_VOLUMES_MAX]; /* by number - first_volume */
    struct dw_image_entry *entries;
    size_t entry_count, entry_capacity;
    struct { /* sectors that cannot be read */
        uint32_t volume;
        uint64_t offset;
    } unreadable[64];
    size_t unreadable_count;
};

/* ---- a sound log ---- */
struct dw_image *dw_image_new(const struct dw_image_shape *shape);
void dw_image_free(struct dw_image *image);
/* Returns the record's lsn. What becomes full is sealed; volumes are claimed as needed. */
uint64_t dw_image_append(struct dw_image *image, uint32_t metadata_size, uint32_t data_size);
uint64_t dw_image_append_more(struct dw_image *image, uint32_t metadata_size, uint32_t data_size); /* batch goes on */
/* Pad the block that the tail is in, if it is partly filled. */
void dw_image_seal(struct dw_image *image);
/* Seal, then a marker block. */
void dw_image_mark(struct dw_image *image);
/* An entry of its own in each block: `count` blocks, nearly full. */
void dw_image_fill(struct dw_image *image, uint32_t count);
/* Claim the volume after the newest, as the maker does ahead of time. */
void dw_image_claim(struct dw_image *image);
/* The TOC of a volume, as it should be: full, or with `flags` (DW_TOC_OPEN, DW_TOC_CUT: it ends at the tail). */
void dw_image_toc(struct dw_image *image, uint32_t number);
void dw_image_toc_as(struct dw_image *image, uint32_t number, uint32_t flags, uint64_t end);
/* What recovery makes durable: the head ends at `cut`, its TOC says so, the log goes on in volume `number`. */
void dw_image_cut(struct dw_image *image, uint64_t cut, uint32_t number);
/* Only the volume of it: header, no TOC, no superblock (a recovery that was interrupted). */
void dw_image_cut_header(struct dw_image *image, uint64_t cut, uint32_t number);
/* Open TOC of the head, CLEAN superblock. */
void dw_image_close(struct dw_image *image);

/* ---- damage ---- */
/* What lies in a block before it is written under its volume's number, into `bytes`. */
void dw_image_make_old_block(const struct dw_image *image, uint64_t block, uint8_t *bytes);
uint8_t *dw_image_block(struct dw_image *image, uint64_t block);
struct dw_image_volume *dw_image_volume(struct dw_image *image, uint32_t number);
/* As it was before it was written: zeros, or what an earlier use left. */
void dw_image_lose(struct dw_image *image, uint64_t block);
void dw_image_lose_sector(struct dw_image *image, uint64_t block, uint32_t sector);
void dw_image_garble_sector(struct dw_image *image, uint64_t block, uint32_t sector); /* nobody's bytes, alien tag */
/* The bytes of `block` lie in the place of `over`, and not in its own. */
void dw_image_misdirect(struct dw_image *image, uint64_t block, uint64_t over);
void dw_image_flip(struct dw_image *image, uint32_t number, uint64_t byte, uint32_t bit);
/* Flip a bit of payload byte `offset` of a block. */
void dw_image_flip_payload(struct dw_image *image, uint64_t block, uint32_t offset);
void dw_image_flip_tag(struct dw_image *image, uint64_t block, uint32_t sector);
void dw_image_remove(struct dw_image *image, uint32_t number);
void dw_image_truncate(struct dw_image *image, uint32_t number, uint64_t size);
void dw_image_unreadable(struct dw_image *image, uint32_t number, uint64_t byte);

/* ---- use ---- */
/* A simulated disk with the log on it, all of it durable. Close it with ops->close. */
struct dw_disk *dw_image_disk(const struct dw_image *image);
uint8_t dw_image_byte(uint64_t seed, uint64_t at); /* byte `at` of an entry: metadata, then data */
/* Does `bytes` hold that part of the entry? */
bool dw_image_holds(const struct dw_image_entry *entry, uint64_t from, const void *bytes, size_t size);
/* The entry that starts at `lsn` and was not dropped, or NULL. */
const struct dw_image_entry *dw_image_entry_at(const struct dw_image *image, uint64_t lsn);

#endif
