/* test_recover_damage.c - what a bad device did to blocks, and what recovery says. One situation a test. */
#include "tests/read/recover_case.h"

/* ---- damage ---- */

static void a_flip_that_a_later_watermark_covers_is_corrupt(void **state)
{
    (void)state;
    struct dw_image *image = small();
    dw_image_fill(image, 6);
    dw_image_flip_payload(image, 2, 1000);
    run(image);
    expect(DWAL_VERDICT_CORRUPT, 1);
    assert_int_equal(kit.recovered.error.block, 2);
    assert_int_equal(kit.recovered.error.volume, 0);
    assert_int_equal(kit.recovered.end, lsn_of_block(image, 2));
    dw_image_free(image);
}

static void a_flip_in_the_last_block_is_refused_unless_tolerant(void **state)
{
    (void)state;
    struct dw_image *image = small();
    dw_image_fill(image, 6);
    dw_image_flip_payload(image, 5, 1000);
    run(image);
    expect(DWAL_VERDICT_UNCERTAIN, 4);
    assert_int_equal(kit.recovered.error.code, DWAL_EUNCERTAIN);
    kit.options.is_tolerant = true;
    run(image);
    expect(DWAL_VERDICT_UNCERTAIN, 4);
    dw_recover_kit_expect_end(&kit, lsn_of_block(image, 5));
    assert_false(kit.recovered.settlement.is_continued);
    dw_image_free(image);
}

static void a_flip_in_a_tag_is_repairable(void **state)
{
    (void)state;
    struct dw_image *image = small();
    dw_image_fill(image, 6);
    dw_image_flip_tag(image, 2, 3);
    dw_image_flip_tag(image, 5, 0);
    run(image);
    expect(DWAL_VERDICT_END, 6);
    dw_recover_kit_expect_end(&kit, image->tail);
    assert_true(kit.recovered.report.is_repairable);
    assert_int_equal(kit.recovered.report.findings, 2);
    assert_int_equal(kit.damages[0].block, 2);
    assert_int_equal(kit.damages[1].block, 5);
    dw_image_free(image);
}

static void a_flip_in_padding_is_repairable(void **state)
{
    (void)state;
    struct dw_image *image = small();
    dw_image_fill(image, 6);
    dw_image_flip_payload(image, 5, image->geometry.payload_size - 4);
    run(image);
    expect(DWAL_VERDICT_END, 6);
    dw_recover_kit_expect_end(&kit, image->tail);
    assert_true(kit.recovered.report.is_repairable);
    dw_image_free(image);
}

static void a_durable_sector_that_went_stale_is_corrupt(void **state)
{
    (void)state;
    struct dw_image *image = recycled();
    dw_image_fill(image, 6);
    uint64_t first = dw_first_block_of_volume(&image->geometry, 4);
    dw_image_lose_sector(image, first + 3, 4);
    run(image);
    expect(DWAL_VERDICT_CORRUPT, 1);
    assert_int_equal(kit.recovered.error.block, first + 3);
    dw_image_free(image);
}

static void a_block_lost_before_the_window_is_corrupt_without_any_watermark(void **state)
{
    (void)state;
    struct dw_image *image = recycled();
    image->is_watermark_fixed = true;
    image->watermark = 0;
    dw_image_fill(image, 8);
    uint64_t first = dw_first_block_of_volume(&image->geometry, 4);
    dw_image_lose(image, first + 3); /* the last current block is at distance 4 = L */
    run(image);
    expect(DWAL_VERDICT_CORRUPT, 2);
    dw_image_lose(image, first + 7);
    run(image);
    expect(DWAL_VERDICT_TORN, 5);
    dw_image_free(image);
}

static void the_last_block_lost_whole_before_any_witness_cannot_be_told(void **state)
{
    (void)state;
    struct dw_image *image = small();
    dw_image_fill(image, 6);
    dw_image_lose(image, 5);
    run(image);
    expect(DWAL_VERDICT_END, 6);
    kit.options.min_lsn = lsn_of_block(image, 5) + 1;
    run(image);
    expect(DWAL_VERDICT_CORRUPT, 1);
    assert_non_null(strstr(kit.recovered.report.text, "min_lsn"));
    dw_image_free(image);
}

static void a_garbled_sector_at_the_end_is_uncertain(void **state)
{
    (void)state;
    struct dw_image *image = small();
    dw_image_fill(image, 4);
    dw_image_lose(image, 3);
    dw_image_garble_sector(image, 3, 2);
    run(image);
    expect(DWAL_VERDICT_UNCERTAIN, 4);
    kit.options.is_tolerant = true;
    run(image);
    dw_recover_kit_expect_end(&kit, lsn_of_block(image, 3));
    dw_image_free(image);
}

static void a_block_in_the_place_of_another_is_misdirected(void **state)
{
    (void)state;
    struct dw_image *image = recycled();
    image->lag = 3;
    dw_image_fill(image, 6);
    uint64_t first = dw_first_block_of_volume(&image->geometry, 4);
    dw_image_misdirect(image, first + 4, first + 6);
    dw_image_lose(image, first + 5);
    run(image);
    expect(DWAL_VERDICT_MISDIRECTED, 3);
    assert_int_equal(kit.recovered.error.code, DWAL_ECORRUPT);
    assert_int_equal(kit.recovered.error.block, first + 6);
    dw_image_free(image);
}

static void a_block_of_a_number_long_gone_in_another_place_is_misdirected(void **state)
{
    (void)state;
    struct dw_image *image = recycled();
    dw_image_fill(image, 6);
    uint64_t first = dw_first_block_of_volume(&image->geometry, 4);
    memcpy(dw_image_block(image, first + 6), dw_image_block(image, first + 9), 4096); /* of an earlier use, index 9 */
    run(image);
    expect(DWAL_VERDICT_MISDIRECTED, 3);
    dw_image_free(image);
}

static void a_bad_tag_before_a_torn_record_does_not_move_the_break(void **state)
{
    (void)state;
    struct dw_image *image = recycled();
    dw_image_append(image, 0, 2000);
    uint64_t cut = dw_image_append(image, 0, 9000);
    dw_image_seal(image);
    uint64_t first = dw_block_of_lsn(&image->geometry, cut);
    dw_image_flip_tag(image, first, 2); /* in the first record, which is sound */
    dw_image_lose_sector(image, first + 2, 1);
    run(image);
    expect(DWAL_VERDICT_TORN, 5);
    dw_recover_kit_expect_end(&kit, cut);
    assert_int_equal(kit.recovered.report.break_block, first + 2);
    dw_image_free(image);
}

static void an_unreadable_sector_that_a_witness_covers_is_refused_by_name(void **state)
{
    (void)state;
    struct dw_image *image = small();
    dw_image_fill(image, 6);
    uint64_t place = dw_place_of_block(&image->geometry, 2) + 1024;
    dw_image_unreadable(image, 0, place);
    run(image);
    expect(DWAL_VERDICT_UNREADABLE, 12);
    assert_int_equal(kit.recovered.error.code, DWAL_EDEVICE);
    assert_int_equal(kit.recovered.error.block, 2);
    dw_image_free(image);
}

static void an_unreadable_sector_at_the_end_is_refused_unless_tolerant(void **state)
{
    (void)state;
    struct dw_image *image = small();
    dw_image_fill(image, 6);
    dw_image_unreadable(image, 0, dw_place_of_block(&image->geometry, 5) + 512);
    run(image);
    expect(DWAL_VERDICT_UNREADABLE, 12);
    kit.options.is_tolerant = true;
    run(image);
    expect(DWAL_VERDICT_UNCERTAIN, 4);
    dw_recover_kit_expect_end(&kit, lsn_of_block(image, 5));
    dw_image_free(image);
}

static void an_impossible_header_is_a_contradiction(void **state)
{
    (void)state;
    struct dw_image *image = small();
    dw_image_fill(image, 4);
    struct dw_block_info info = {.block = 3, .watermark = 3, .fill = 100, .first_record = 50};
    dw_block_header_encode(&image->identity, &info, 0, dw_image_block(image, 3));
    run(image);
    expect(DWAL_VERDICT_CORRUPT, 13);
    dw_image_free(image);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_flip_that_a_later_watermark_covers_is_corrupt),
        TEST(a_flip_in_the_last_block_is_refused_unless_tolerant),
        TEST(a_flip_in_a_tag_is_repairable),
        TEST(a_flip_in_padding_is_repairable),
        TEST(a_durable_sector_that_went_stale_is_corrupt),
        TEST(a_block_lost_before_the_window_is_corrupt_without_any_watermark),
        TEST(the_last_block_lost_whole_before_any_witness_cannot_be_told),
        TEST(a_garbled_sector_at_the_end_is_uncertain),
        TEST(a_block_in_the_place_of_another_is_misdirected),
        TEST(a_block_of_a_number_long_gone_in_another_place_is_misdirected),
        TEST(a_bad_tag_before_a_torn_record_does_not_move_the_break),
        TEST(an_unreadable_sector_that_a_witness_covers_is_refused_by_name),
        TEST(an_unreadable_sector_at_the_end_is_refused_unless_tolerant),
        TEST(an_impossible_header_is_a_contradiction),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
