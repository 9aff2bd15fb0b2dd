/* fuzz_image.c - whole damaged logs under libFuzzer: recovery, cursor and reads by lsn on an image with any damage.
 *
 * Called by: libFuzzer, on one thread. The first byte chooses a small sound log; each following group of bytes damages it:
 * overwrites bytes anywhere in a volume, mends the checksum of a structure afterwards (so that the checks behind it are
 * reached), removes or shortens a file, makes a sector unreadable. Then the log is opened in each mode and read.
 * Besides memory errors it looks for entries that nobody appended (as long as no checksum was mended), for lsns that do
 * not grow, and for openings that differ from one time to the next. */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "core/log/log.h"
#include "tests/format/mend.h"
#include "tests/lib/image.h"

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t size);

struct fuzz {
    const uint8_t *at, *end;
    struct dw_image *image;
    bool is_mended;
};

static void must(bool fact)
{
    if (!fact)
        abort();
}

static uint32_t take(struct fuzz *fuzz, uint32_t bytes)
{
    uint32_t value = 0;
    for (uint32_t i = 0; i < bytes; i++)
        value = value << 8 | (fuzz->at < fuzz->end ? *fuzz->at++ : 0);
    return value;
}

/* ---- a sound log ---------------------------------------------------------------------------------------------------*/

static struct dw_image *make_image(uint32_t choice)
{
    struct dw_image_shape shape = {.data_blocks = 4 + choice % 3,
                                   .sector_size = choice & 8 ? 4096 : 512,
                                   .toc_length = choice & 16 ? 100 : 0,
                                   .first_volume = choice & 32 ? 3 : 0,
                                   .is_recycled = (choice & 96) == 96};
    struct dw_image *image = dw_image_new(&shape);
    dw_image_append(image, 10, 3000);
    dw_image_seal(image);
    dw_image_append_more(image, 0, 500);
    dw_image_append(image, 7, 0);
    dw_image_append(image, 0, 21000); /* from one volume into the next */
    dw_image_toc(image, shape.first_volume);
    dw_image_fill(image, 3);
    dw_image_append(image, 0, 0);
    dw_image_seal(image);
    if (choice & 128)
        dw_image_close(image);
    return image;
}

/* ---- damage --------------------------------------------------------------------------------------------------------*/

static struct dw_image_volume *choose_volume(struct fuzz *fuzz, uint32_t *number)
{
    uint32_t count = fuzz->image->head - fuzz->image->shape.first_volume + 1;
    *number = fuzz->image->shape.first_volume + take(fuzz, 1) % count;
    return dw_image_volume(fuzz->image, *number);
}

static void overwrite(struct fuzz *fuzz)
{
    uint32_t number;
    struct dw_image_volume *volume = choose_volume(fuzz, &number);
    uint64_t block = take(fuzz, 1);
    uint64_t offset = block * fuzz->image->geometry.block_size + take(fuzz, 2) % fuzz->image->geometry.block_size;
    for (uint32_t count = take(fuzz, 1) % 16 + 1; count > 0; count--, offset++) {
        uint8_t value = (uint8_t)take(fuzz, 1);
        if (offset < volume->size)
            volume->bytes[offset] = value;
    }
}

/* Put a right checksum on what stands at the start of a block of the file. */
static void mend(struct fuzz *fuzz)
{
    uint32_t number;
    const struct dw_geometry *g = &fuzz->image->geometry;
    struct dw_image_volume *volume = choose_volume(fuzz, &number);
    uint64_t block = take(fuzz, 1) % (DW_VOLUME_HEADER_BLOCKS + g->data_blocks + 1);
    if ((block + 1) * g->block_size > volume->size)
        return;
    uint8_t *bytes = volume->bytes + block * g->block_size;
    fuzz->is_mended = true;
    if (block < DW_VOLUME_HEADER_BLOCKS)
        mend_volume_header(bytes);
    else if (block < DW_VOLUME_HEADER_BLOCKS + g->data_blocks)
        mend_block_header(&fuzz->image->identity, bytes);
    else
        mend_toc(bytes, dw_toc_area_size(g));
}

static void damage(struct fuzz *fuzz)
{
    uint32_t number;
    switch (take(fuzz, 1) % 8) {
    case 0:
        choose_volume(fuzz, &number);
        dw_image_unreadable(fuzz->image, number, take(fuzz, 2) * UINT64_C(512));
        break;
    case 1: {
        struct dw_image_volume *volume = choose_volume(fuzz, &number);
        uint64_t wanted = take(fuzz, 2) * UINT64_C(512);
        if (wanted < volume->size)
            dw_image_truncate(fuzz->image, number, wanted);
        break;
    }
    case 2:
        choose_volume(fuzz, &number);
        dw_image_remove(fuzz->image, number);
        break;
    case 3:
    case 4:
        mend(fuzz);
        break;
    default:
        overwrite(fuzz);
        break;
    }
}

/* ---- what a reader does --------------------------------------------------------------------------------------------*/

static uint64_t read_all(struct fuzz *fuzz, dwal *log)
{
    uint64_t count = 0;
    uint64_t last_end = 0;
    dwal_cursor *cursor;
    if (dwal_cursor_open(log, 0, &cursor) != 0)
        return 0;
    struct dwal_record record;
    while (dwal_cursor_next(cursor, &record) == 0) {
        must(record.lsn >= last_end && record.end > record.lsn);
        last_end = record.end;
        count++;
        if (fuzz->is_mended)
            continue;
        const struct dw_image_entry *entry = dw_image_entry_at(fuzz->image, record.lsn);
        must(entry && entry->metadata_size == record.metadata_size && entry->data_size == record.data_size);
        must(dw_image_holds(entry, 0, record.metadata, record.metadata_size));
        must(dw_image_holds(entry, record.metadata_size, record.data, record.data_size));
    }
    dwal_cursor_close(cursor);
    return count;
}

struct outcome {
    int result;
    uint64_t count;
};

static struct outcome look(struct fuzz *fuzz, enum dwal_mode mode, enum dwal_recovery recovery)
{
    struct dw_disk *disk = dw_image_disk(fuzz->image);
    struct dw_log_setup setup = {.disk = disk, .is_disk_borrowed = true, .is_single_stepped = true};
    struct dwal_options options = DWAL_OPTIONS_INIT;
    options.mode = mode;
    options.recovery = recovery;
    options.ring_size = 64 << 10;
    dwal *log = NULL;
    struct outcome outcome = {.result = dw_log_open_on(&setup, &options, &log)};
    if (outcome.result == 0) {
        outcome.count = read_all(fuzz, log);
        static uint8_t buffer[32 << 10];
        struct dwal_record record;
        (void)dwal_read(log, dwal_first(log), buffer, sizeof buffer, &record);
        (void)dwal_close(log);
    } else {
        must(log == NULL && dwal_last_error()->code == outcome.result);
    }
    disk->ops->close(disk);
    return outcome;
}

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t size)
{
    struct fuzz fuzz = {.at = input, .end = input + size};
    fuzz.image = make_image(take(&fuzz, 1));
    for (int i = 0; i < 24 && fuzz.at < fuzz.end; i++)
        damage(&fuzz);
    struct outcome first = look(&fuzz, DWAL_READ_ONLY, DWAL_STRICT);
    struct outcome again = look(&fuzz, DWAL_READ_ONLY, DWAL_STRICT);
    must(first.result == again.result && first.count == again.count);
    (void)look(&fuzz, DWAL_REPORT, DWAL_TOLERANT);
    /* What a writer recovers is what a reader saw. */
    struct outcome writer = look(&fuzz, DWAL_WRITE, DWAL_STRICT);
    if (writer.result == 0 && first.result == 0)
        must(writer.count == first.count);
    dw_image_free(fuzz.image);
    return 0;
}
