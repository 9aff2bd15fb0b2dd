/* test_reader.c - records by lsn and in order: what a reader shows, what it must never show, and what it says of damage. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "alloc/alloc.h"
#include "tests/lib/reader_kit.h"

static struct dw_reader_kit kit;

static struct dw_image *small(void)
{
    return dw_image_new(&(struct dw_image_shape){.data_blocks = 8});
}

/* Entries over blocks and volumes, batches, markers, a cut with a gap of numbers behind it. */
static struct dw_image *varied(void)
{
    struct dw_image *image = small();
    dw_image_append(image, 5, 100);
    dw_image_append(image, 0, 0);
    dw_image_append(image, 0, 30000); /* over a volume's end */
    dw_image_mark(image);
    dw_image_append_more(image, 100, 4000);
    dw_image_append_more(image, 0, 1);
    dw_image_append(image, 300, 0);
    dw_image_seal(image);
    dw_image_append(image, 1, 1);
    uint64_t cut = dw_image_append(image, 0, 9000);
    dw_image_cut(image, cut, 5);
    dw_image_append(image, 7, 7);
    dw_image_mark(image);
    dw_image_mark(image);
    dw_image_append(image, 5000, 70000); /* over three volumes */
    dw_image_append(image, 1, 2);
    dw_image_seal(image);
    return image;
}

static void everything_is_read_in_order(void **state)
{
    (void)state;
    struct dw_image *image = varied();
    for (size_t read_ahead = 4096; read_ahead <= 65536; read_ahead *= 4) {
        dw_reader_kit_open(&kit, image, read_ahead);
        dw_reader_kit_expect_from(&kit, 0, true);
        dw_reader_kit_expect_from(&kit, 0, false);
        dw_reader_kit_close(&kit);
    }
    dw_image_free(image);
}

static void a_seek_to_any_lsn_finds_the_next_start(void **state)
{
    (void)state;
    struct dw_image *image = varied();
    dw_reader_kit_open(&kit, image, 16384);
    for (uint64_t lsn = 0; lsn < image->tail + 100; lsn += 61)
        dw_reader_kit_expect_from(&kit, lsn, false);
    for (size_t i = 0; i < image->entry_count; i++)
        for (uint64_t near = 0; near < 3; near++)
            dw_reader_kit_expect_from(&kit, image->entries[i].lsn + near - (image->entries[i].lsn ? 1 : 0), true);
    dw_reader_kit_close(&kit);
    dw_image_free(image);
}

static void an_exact_seek_finds_starts_only(void **state)
{
    (void)state;
    struct dw_image *image = small();
    dw_image_append(image, 5, 100);
    dw_image_append(image, 0, 5000);
    dw_image_append(image, 0, 300);
    dw_image_mark(image);
    uint64_t cut = dw_image_append(image, 0, 40);
    dw_image_cut(image, cut, 3);
    dw_image_append(image, 9, 9);
    dw_image_seal(image);
    dw_reader_kit_open(&kit, image, 16384);
    uint64_t from = dw_first_lsn_of_volume(&image->geometry, 3);
    for (uint64_t lsn = 0; lsn < from + 5000; lsn = lsn == 16000 ? from - 3 : lsn + 1) {
        const struct dw_image_entry *entry = dw_image_entry_at(image, lsn);
        int result = dw_reader_seek_exact(kit.reader, lsn);
        if (entry) {
            assert_int_equal(result, 0);
            dw_reader_kit_expect_next(&kit, entry, true);
        } else {
            assert_int_equal(result, lsn >= image->tail ? DWAL_EEND : DWAL_ENOTFOUND);
        }
    }
    dw_reader_kit_close(&kit);
    dw_image_free(image);
}

static void nothing_beyond_the_durable_block_is_shown(void **state)
{
    (void)state;
    struct dw_image *image = varied();
    dw_reader_kit_open(&kit, image, 65536);
    uint64_t all = kit.durable;
    for (kit.durable = 0; kit.durable <= all; kit.durable++) {
        dw_reader_kit_expect_from(&kit, 0, true);
        for (size_t i = 0; i < image->entry_count; i++) {
            const struct dw_image_entry *entry = &image->entries[i];
            if (entry->is_dropped || entry->end <= dw_lsn_of_block(&image->geometry, kit.durable))
                continue;
            assert_int_equal(dw_reader_seek_exact(kit.reader, entry->lsn), DWAL_EEND);
        }
    }
    dw_reader_kit_close(&kit);
    dw_image_free(image);
}

static void a_reader_at_the_end_goes_on_when_more_is_durable(void **state)
{
    (void)state;
    struct dw_image *image = varied();
    dw_reader_kit_open(&kit, image, 65536);
    const struct dw_image_entry *entries[64];
    uint64_t all = kit.durable;
    size_t total = dw_reader_kit_expected(&kit, 0, entries, 64), shown = 0;
    for (kit.durable = 0; kit.durable <= all; kit.durable++) {
        const struct dw_image_entry *unused[64];
        size_t now = dw_reader_kit_expected(&kit, 0, unused, 64);
        for (; shown < now; shown++)
            dw_reader_kit_expect_next(&kit, entries[shown], true);
        struct dwal_record record;
        assert_int_equal(dw_reader_next(kit.reader, &record), DWAL_EEND);
    }
    assert_int_equal(shown, total);
    dw_reader_kit_close(&kit);
    dw_image_free(image);
}

static void a_limit_inside_a_block_holds(void **state)
{
    (void)state;
    struct dw_image *image = small();
    dw_image_append(image, 0, 100);
    uint64_t limit = dw_image_append(image, 0, 100);
    dw_image_append(image, 0, 100);
    dw_image_seal(image);
    dw_image_flip_payload(image, 0, dw_offset_of_lsn(&image->geometry, limit) + 3); /* why it is the limit */
    dw_reader_kit_open(&kit, image, 16384);
    struct dwal_record record;
    dw_reader_limit(kit.reader, limit);
    dw_reader_kit_expect_next(&kit, &image->entries[0], true);
    assert_int_equal(dw_reader_next(kit.reader, &record), DWAL_EEND);
    assert_int_equal(dw_reader_seek_exact(kit.reader, limit), DWAL_EEND);
    dw_reader_limit(kit.reader, UINT64_MAX);
    assert_int_equal(dw_reader_seek_exact(kit.reader, limit), DWAL_ECORRUPT);
    dw_reader_kit_close(&kit);
    dw_image_free(image);
}

static void recent_blocks_come_from_the_ring(void **state)
{
    (void)state;
    struct dw_image *image = varied();
    struct dw_reader_stats stats;
    dw_reader_kit_open(&kit, image, 65536);
    kit.ring_to = kit.durable;
    for (kit.ring_from = 0; kit.ring_from <= kit.ring_to; kit.ring_from += 3)
        dw_reader_kit_expect_from(&kit, 0, true);
    dw_reader_get_stats(kit.reader, &stats);
    assert_int_equal(stats.ring_reads, kit.copies);
    kit.ring_from = 0;
    uint64_t before = stats.device_reads;
    dw_reader_kit_expect_from(&kit, 0, true);
    dw_reader_get_stats(kit.reader, &stats);
    assert_true(stats.device_reads - before <= 1); /* the block it stood in may still be the device's */
    dw_reader_kit_close(&kit);
    dw_image_free(image);
}

static void skipped_data_is_not_read_from_the_device(void **state)
{
    (void)state;
    struct dw_image *image = dw_image_new(&(struct dw_image_shape){.data_blocks = 64});
    for (int i = 0; i < 10; i++)
        dw_image_append(image, 20, 300000);
    dw_image_seal(image);
    struct dw_reader_stats stats;
    dw_reader_kit_open(&kit, image, 4096);
    dw_reader_kit_expect_from(&kit, 0, false);
    dw_reader_get_stats(kit.reader, &stats);
    assert_true(stats.device_read_bytes <= 10 * 3 * 4096);
    dw_reader_kit_close(&kit);
    dw_image_free(image);
}

static void reading_starts_at_the_trim_point(void **state)
{
    (void)state;
    struct dw_image *image = varied();
    image->superblock.trim = image->entries[2].lsn + 1;
    dw_image_remove(image, 0);
    image->superblock.trim = dw_first_lsn_of_volume(&image->geometry, 1);
    dw_reader_kit_open(&kit, image, 16384);
    dw_reader_kit_expect_from(&kit, 0, true);
    assert_int_equal(dw_reader_seek_exact(kit.reader, 0), DWAL_ETRIMMED);
    assert_int_equal(dw_reader_seek_exact(kit.reader, image->superblock.trim), DWAL_ENOTFOUND);
    dw_reader_kit_close(&kit);
    dw_image_free(image);
}

static void what_was_read_ahead_before_it_was_durable_is_read_again(void **state)
{
    (void)state;
    struct dw_image *image = small();
    uint8_t late[4096];
    struct dw_file *file;
    struct dwal_record record;
    dw_image_fill(image, 7);
    memcpy(late, dw_image_block(image, 5), sizeof late);
    dw_image_lose(image, 5);
    dw_reader_kit_open(&kit, image, 65536);
    kit.durable = 5;
    dw_reader_kit_expect_from(&kit, 0, true);
    assert_int_equal(dw_reader_next(kit.reader, &record), DWAL_EEND);
    memcpy(dw_image_block(image, 5), late, sizeof late);
    assert_int_equal(kit.disk->ops->open(kit.disk, "0000000000.vol", DW_OPEN_WRITE, &file), 0);
    assert_int_equal(dw_file_write(file, dw_image_block(image, 5), 4096, dw_place_of_block(&image->geometry, 5)), 0);
    dw_file_close(file);
    kit.durable = 7;
    dw_reader_kit_expect_next(&kit, &image->entries[5], true);
    dw_reader_kit_expect_next(&kit, &image->entries[6], true);
    dw_reader_kit_close(&kit);
    dw_image_free(image);
}

static void a_block_that_says_something_else_than_the_record_before_it_is_damage(void **state)
{
    (void)state;
    struct dw_image *image = small();
    struct dwal_record record;
    dw_image_append(image, 0, 5000);
    dw_image_append(image, 0, 500);
    dw_image_append(image, 0, 500);
    dw_image_seal(image);
    struct dw_block_info info;
    const struct dw_geometry *g = &image->geometry;
    uint8_t *block = dw_image_block(image, 1);
    assert_int_equal(dw_block_header_decode(g, &image->identity, block, 1, &info), DW_DECODED_OK);
    info.first_record = dw_offset_of_lsn(g, image->entries[2].lsn);
    dw_block_header_encode(&image->identity, &info, 0, block);
    dw_reader_kit_open(&kit, image, 16384);
    assert_int_equal(dw_reader_next(kit.reader, &record), 0);
    assert_int_equal(dw_reader_data(kit.reader, &record, NULL), DWAL_ECORRUPT);
    assert_int_equal(dw_reader_next(kit.reader, &record), DWAL_ECORRUPT);
    dw_reader_kit_close(&kit);
    dw_image_free(image);
}

static void damage_is_named_and_what_is_before_and_behind_can_be_read(void **state)
{
    (void)state;
    struct dw_image *image = small();
    dw_image_fill(image, 7);
    dw_image_flip_payload(image, 3, 500);
    dw_reader_kit_open(&kit, image, 16384);
    struct dwal_record record;
    for (size_t i = 0; i < 3; i++)
        dw_reader_kit_expect_next(&kit, &image->entries[i], true);
    assert_int_equal(dw_reader_next(kit.reader, &record), 0);
    assert_int_equal(dw_reader_data(kit.reader, &record, NULL), DWAL_ECORRUPT);
    assert_int_equal(dwal_last_error()->block, 3);
    assert_int_equal(dwal_last_error()->lsn, image->entries[3].lsn);
    for (size_t i = 4; i < 7; i++)
        dw_reader_kit_expect_next(&kit, &image->entries[i], true);
    dw_reader_kit_close(&kit);
    dw_image_free(image);
}

static void a_damaged_length_costs_no_memory(void **state)
{
    (void)state;
    struct dw_image *image = small();
    dw_image_append(image, 100, 100);
    uint64_t lsn = dw_image_append(image, 100, 100);
    dw_image_seal(image);
    dw_image_fill(image, 3);
    for (uint32_t byte = 8; byte < 16; byte++) {
        dw_reader_kit_open(&kit, image, 4096);
        uint32_t at = dw_byte_of_payload(&image->geometry, dw_offset_of_lsn(&image->geometry, lsn) + byte);
        dw_image_block(image, 0)[at] ^= 0x40;
        struct dw_reader_kit damaged;
        dw_reader_kit_open(&damaged, image, 4096);
        uint64_t before = dw_alloc_bytes();
        struct dwal_record record;
        dw_reader_kit_expect_next(&damaged, &image->entries[0], false);
        assert_int_equal(dw_reader_next(damaged.reader, &record), DWAL_ECORRUPT);
        assert_int_equal(dw_reader_next(damaged.reader, &record), DWAL_ECORRUPT);
        assert_int_equal(dw_reader_seek_exact(damaged.reader, lsn), DWAL_ECORRUPT);
        assert_true(dw_alloc_bytes() <= before + 65536);
        dw_reader_kit_close(&damaged);
        dw_image_block(image, 0)[at] ^= 0x40;
        dw_reader_kit_close(&kit);
    }
    dw_image_free(image);
}

static void no_flipped_bit_is_ever_read_as_content(void **state)
{
    (void)state;
    struct dw_image *image = small();
    dw_image_append(image, 50, 6000);
    dw_image_append(image, 0, 20);
    dw_image_mark(image);
    dw_image_append(image, 3, 300);
    dw_image_seal(image);
    for (uint64_t block = 0; block < 4; block++) {
        for (uint32_t bit = 0; bit < 4096 * 8; bit += 7) {
            uint8_t *byte = dw_image_block(image, block) + bit / 8;
            *byte ^= (uint8_t)(1u << bit % 8);
            dw_reader_kit_open(&kit, image, 16384);
            struct dwal_record record;
            for (size_t i = 0; dw_reader_next(kit.reader, &record) == 0; i++) {
                assert_int_equal(record.lsn, image->entries[i].lsn);
                assert_true(dw_image_holds(&image->entries[i], 0, record.metadata, record.metadata_size));
                if (dw_reader_data(kit.reader, &record, NULL) == 0)
                    assert_true(
                        dw_image_holds(&image->entries[i], record.metadata_size, record.data, record.data_size));
            }
            dw_reader_kit_close(&kit);
            *byte ^= (uint8_t)(1u << bit % 8);
        }
    }
    dw_image_free(image);
}

/* ---- against the model ---- */

static uint64_t next_random(uint64_t *seed)
{
    *seed = *seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return *seed >> 33;
}

static struct dw_image *random_image(uint64_t *seed)
{
    uint64_t kind = next_random(seed);
    struct dw_image *image = dw_image_new(&(struct dw_image_shape){.data_blocks = 2 + (uint32_t)(kind % 7),
                                                                   .sector_size = kind & 64 ? 4096 : 512,
                                                                   .first_volume = 2 + (uint32_t)(kind >> 7) % 3,
                                                                   .is_recycled = true});
    for (int i = 0; i < 60 && image->superblock.claimed < image->shape.first_volume + 30; i++) {
        uint64_t what = next_random(seed) % 32;
        uint32_t metadata = (uint32_t)(next_random(seed) % (what & 1 ? 5000 : 30));
        uint32_t data = (uint32_t)(next_random(seed) % (what & 2 ? 15000 : 200));
        if (what < 20)
            dw_image_append(image, metadata, data);
        else if (what < 24) {
            for (uint64_t more = next_random(seed) % 5; more > 0; more--)
                dw_image_append_more(image, metadata, data);
            dw_image_append(image, 0, data);
        } else if (what < 28)
            dw_image_seal(image);
        else if (what < 31)
            dw_image_mark(image);
        else if (image->entry_count > 0) {
            size_t last = image->entry_count - 1;
            if (!image->entries[last].is_dropped && (last == 0 || !image->entries[last - 1].is_more) &&
                image->entries[last].end > dw_first_lsn_of_volume(&image->geometry, image->head))
                dw_image_cut(image, image->entries[last].lsn,
                             image->superblock.claimed + 1 + (uint32_t)next_random(seed) % 3);
        }
    }
    dw_image_seal(image);
    return image;
}

static void random_logs_are_read_as_the_model_says(void **state)
{
    (void)state;
    for (uint64_t run = 1; run <= 150; run++) {
        uint64_t seed = run;
        struct dw_image *image = random_image(&seed);
        dw_reader_kit_open(&kit, image, 4096u << (run % 4));
        uint64_t first = image->superblock.trim, all = kit.durable;
        dw_reader_kit_expect_from(&kit, 0, true);
        for (int i = 0; i < 20; i++) {
            kit.durable = dw_block_of_lsn(&image->geometry, first) +
                          next_random(&seed) % (all - dw_block_of_lsn(&image->geometry, first) + 1);
            if (i % 3 == 0)
                kit.durable = all;
            kit.ring_to = kit.durable;
            kit.ring_from = kit.durable - next_random(&seed) % 5;
            dw_reader_kit_expect_from(&kit, first + next_random(&seed) % (image->tail - first + 1), i & 1);
        }
        dw_reader_kit_close(&kit);
        dw_image_free(image);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(everything_is_read_in_order),
        cmocka_unit_test(a_seek_to_any_lsn_finds_the_next_start),
        cmocka_unit_test(an_exact_seek_finds_starts_only),
        cmocka_unit_test(nothing_beyond_the_durable_block_is_shown),
        cmocka_unit_test(a_reader_at_the_end_goes_on_when_more_is_durable),
        cmocka_unit_test(a_limit_inside_a_block_holds),
        cmocka_unit_test(recent_blocks_come_from_the_ring),
        cmocka_unit_test(skipped_data_is_not_read_from_the_device),
        cmocka_unit_test(reading_starts_at_the_trim_point),
        cmocka_unit_test(what_was_read_ahead_before_it_was_durable_is_read_again),
        cmocka_unit_test(a_block_that_says_something_else_than_the_record_before_it_is_damage),
        cmocka_unit_test(damage_is_named_and_what_is_before_and_behind_can_be_read),
        cmocka_unit_test(a_damaged_length_costs_no_memory),
        cmocka_unit_test(no_flipped_bit_is_ever_read_as_content),
        cmocka_unit_test(random_logs_are_read_as_the_model_says),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
