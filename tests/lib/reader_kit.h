/* reader_kit.h - a reader on an image, with a durable block and a ring that the test decides on.
 *
 * Owns: disk, store, reader; the image belongs to the test. One thread. Failure: a cmocka assertion. */
#ifndef DW_TESTS_LIB_READER_KIT_H
#define DW_TESTS_LIB_READER_KIT_H

#include "core/read/reader.h"
#include "tests/lib/image.h"

struct dw_reader_kit {
    struct dw_image *image;
    struct dw_disk *disk;
    struct dw_store *store;
    struct dw_reader *reader;
    struct dw_recent recent;
    uint64_t durable;            /* block */
    uint64_t ring_from, ring_to; /* blocks that the ring still holds */
    uint64_t copies;             /* out of the ring */
};
/* All of the image is durable, the ring is empty. */
void dw_reader_kit_open(struct dw_reader_kit *kit, struct dw_image *image, size_t read_ahead);
void dw_reader_kit_close(struct dw_reader_kit *kit);
/* The entries that a reader must show from `lsn` on, when all before block `durable` is so. */
size_t dw_reader_kit_expected(const struct dw_reader_kit *kit, uint64_t lsn, const struct dw_image_entry **entries,
                              size_t capacity);
/* Read on to the end and compare, byte for byte. */
void dw_reader_kit_expect_from(struct dw_reader_kit *kit, uint64_t lsn, bool is_with_data);
/* The next record is this entry. */
void dw_reader_kit_expect_next(struct dw_reader_kit *kit, const struct dw_image_entry *entry, bool is_with_data);

#endif
