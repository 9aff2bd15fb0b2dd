/* test_bitflip.c - every single bit of every file of a small log, flipped one at a time.
 *
 * The log holds every structure: superblock, headers, a TOC, blocks that are full, padded and a marker, records over blocks
 * and over volumes, a batch, a volume that was cut. For each flip: recovery refuses, or what is then read is what was appended,
 * byte for byte and to the end, or the reader names the damage. A full scan must say something of every flip in a byte that
 * means anything. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>
#include <malloc.h>

#include "core/read/reader.h"
#include "core/read/recover.h"
#include "io/sim.h"
#include "tests/lib/image.h"

/* Under a sanitizer every 13th bit, so that each byte has its turn at some bit; all of them otherwise. */
#ifdef DW_SANITIZED
enum { BIT_STEP = 13 };
#else
enum { BIT_STEP = 1 };
#endif

static struct dw_image *image;
static uint64_t flips, refused, repaired, met_by_reader, harmless;

struct range {
    uint64_t from, to;
};

static void flip(struct dw_disk *disk, const char *name, uint64_t bit)
{
    struct dw_sim_damage damage = {
        .kind = DW_SIM_ROT, .name = name, .offset = bit / 4096 * 512, .size = 512, .bit = bit % 4096};
    assert_int_equal(dw_sim_damage(disk, &damage), 0);
}

static uint64_t durable_block(void *context)
{
    return ((struct dw_recovered *)context)->end_block;
}

/* All that was appended, or a refusal at the place. True: the reader met damage. */
static bool read_all(struct dw_store *store, struct dw_recovered *recovered, const char *name, uint64_t bit)
{
    struct dw_recent recent = {.context = recovered, .durable_block = durable_block};
    struct dw_reader *reader;
    struct dwal_record record;
    size_t i = 0;
    int result;
    assert_int_equal(dw_reader_create(store, &recent, 16384, &reader), 0);
    dw_reader_limit(reader, recovered->end);
    while ((result = dw_reader_next(reader, &record)) == 0) {
        const struct dw_image_entry *entry;
        while (i < image->entry_count && image->entries[i].is_dropped)
            i++;
        entry = &image->entries[i++];
        if (i > image->entry_count || record.lsn != entry->lsn || record.metadata_size != entry->metadata_size ||
            record.data_size != entry->data_size || record.user != entry->user ||
            !dw_image_holds(entry, 0, record.metadata, record.metadata_size))
            fail_msg("%s bit %llu: a record that was not appended at lsn %llu", name, (unsigned long long)bit,
                     (unsigned long long)record.lsn);
        result = dw_reader_data(reader, &record, NULL);
        if (result)
            break;
        if (!dw_image_holds(entry, record.metadata_size, record.data, record.data_size))
            fail_msg("%s bit %llu: other bytes", name, (unsigned long long)bit);
    }
    while (i < image->entry_count && image->entries[i].is_dropped)
        i++;
    if (result == DWAL_EEND && i != image->entry_count)
        fail_msg("%s bit %llu: %zu of %zu entries: %s", name, (unsigned long long)bit, i, image->entry_count,
                 recovered->report.text);
    assert_true(result == DWAL_EEND || result == DWAL_ECORRUPT);
    dw_reader_close(reader);
    return result != DWAL_EEND;
}

/* Recover and read. True: somebody said something. */
static bool is_noticed(struct dw_disk *disk, bool is_full, const char *name, uint64_t bit)
{
    struct dw_store_options store_options = {.is_read_only = true, .in_flight_blocks = 4, .clock = &dw_clock_system};
    struct dw_recover_options options = {.is_full = is_full, .look_ahead = -1};
    struct dw_recovered recovered;
    struct dw_store *store;
    if (dw_store_load(disk, &store_options, &store) != 0) {
        refused++;
        return true;
    }
    assert_int_equal(dw_recover(store, &options, &recovered), 0);
    bool is_refused = recovered.error.code != 0;
    bool is_met = !is_refused && !is_full && read_all(store, &recovered, name, bit);
    bool is_told = recovered.report.is_repairable;
    refused += is_refused;
    repaired += !is_refused && is_told;
    met_by_reader += is_met;
    dw_recovered_free(&recovered);
    (void)dw_store_close(store, false, 0);
    return is_refused || is_met || is_told;
}

/* Flip all bits of [0, size); those inside `used` ranges must be noticed by a full scan. */
static void sweep(struct dw_disk *disk, const char *name, uint64_t size, const struct range *used, size_t used_count)
{
    for (uint64_t bit = 0; bit < size * 8; bit += BIT_STEP) {
        bool is_used = false;
        for (size_t i = 0; i < used_count; i++)
            is_used = is_used || (bit / 8 >= used[i].from && bit / 8 < used[i].to);
        flip(disk, name, bit);
        flips++;
        bool is_seen = is_noticed(disk, false, name, bit);
        if (!is_seen && is_used)
            is_seen = is_noticed(disk, true, name, bit);
        if (!is_seen && is_used)
            fail_msg("%s byte %llu bit %llu: nobody noticed", name, (unsigned long long)bit / 8,
                     (unsigned long long)bit % 8);
        harmless += !is_seen;
        flip(disk, name, bit);
    }
}

static void build(bool is_closed)
{
    image = dw_image_new(&(struct dw_image_shape){.data_blocks = 2, .in_flight_blocks = 2});
    dw_image_append(image, 30, 300);
    dw_image_append(image, 0, 6100);
    dw_image_append(image, 9, 2000); /* over the end of volume 0 */
    dw_image_toc(image, 0);
    dw_image_append_more(image, 1, 40);
    dw_image_append(image, 0, 70);
    uint64_t cut = dw_image_append(image, 0, 200); /* dropped, and still there */
    dw_image_seal(image);
    dw_image_cut(image, cut, 3);
    dw_image_append(image, 4, 400);
    dw_image_seal(image);
    if (is_closed)
        dw_image_close(image);
    else
        dw_image_mark(image);
}

/* The bytes of a volume that mean something: headers, the blocks up to `blocks` (of the last one, `fill` payload bytes),
 * the TOC without its magic (a TOC that is not there is made again). */
static size_t used_of_volume(struct range *used, uint64_t blocks, uint64_t last_bytes, bool has_toc)
{
    const struct dw_geometry *g = &image->geometry;
    size_t count = 0;
    used[count++] = (struct range){0, DW_VOLUME_HEADER_SIZE};
    used[count++] = (struct range){4096, 4096 + DW_VOLUME_HEADER_SIZE};
    used[count++] = (struct range){2 * 4096, (2 + blocks - 1) * 4096 + last_bytes};
    if (has_toc) {
        used[count++] = (struct range){dw_place_of_toc(g) + 16, dw_place_of_toc(g) + DW_TOC_SIZE};
        used[count++] = (struct range){dw_place_of_toc(g), dw_place_of_toc(g) + 8};
    }
    return count;
}

static void sweep_all(bool is_closed)
{
    flips = refused = repaired = met_by_reader = harmless = 0;
    build(is_closed);
    struct dw_disk *disk = dw_image_disk(image);
    uint64_t size = image->geometry.volume_size;
    assert_false(is_noticed(disk, true, "", 0));
    struct range used[8];
    uint64_t slot = (image->superblock.sequence & 1) * 4096;
    used[0] = (struct range){slot, slot + DW_SUPERBLOCK_SIZE};
    used[1] = (struct range){slot + 8192, slot + 8192 + DW_SUPERBLOCK_SIZE};
    sweep(disk, "dwal.super", 4 * 4096, used, 2);
    if (!is_closed) /* after a close the other volumes are just the same */
        sweep(disk, "0000000000.vol", size, used, used_of_volume(used, 2, 4096, true));
    /* Of the block that was cut only what lies before the cut. */
    uint64_t cut = image->entries[5].lsn;
    uint64_t last = dw_byte_of_payload(&image->geometry, dw_offset_of_lsn(&image->geometry, cut) - 1);
    if (!is_closed)
        sweep(disk, "0000000001.vol", size, used, used_of_volume(used, 1, last, true));
    sweep(disk, "0000000003.vol", size, used, used_of_volume(used, is_closed ? 1 : 2, 4096, is_closed));
    print_message("%llu flips: %llu refused, %llu repairable, %llu met by the reader, %llu without meaning\n",
                  (unsigned long long)flips, (unsigned long long)refused, (unsigned long long)repaired,
                  (unsigned long long)met_by_reader, (unsigned long long)harmless);
    disk->ops->close(disk);
    dw_image_free(image);
}

static void no_flip_of_a_crashed_log_passes_for_content(void **state)
{
    (void)state;
    sweep_all(false);
}

static void no_flip_of_a_closed_log_passes_for_content(void **state)
{
    (void)state;
    sweep_all(true);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(no_flip_of_a_crashed_log_passes_for_content),
        cmocka_unit_test(no_flip_of_a_closed_log_passes_for_content),
    };
    mallopt(M_MMAP_THRESHOLD, 64 << 20); /* the same few buffers a million times: keep them */
    mallopt(M_TRIM_THRESHOLD, 64 << 20);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
