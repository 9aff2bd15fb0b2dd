/* test_recover_again.c - recovery after recovery: finished, interrupted, damaged since. One situation a test. */
#include "tests/read/recover_case.h"

static void what_an_earlier_recovery_dropped_never_comes_back(void **state)
{
    (void)state;
    struct dw_image *image = recycled();
    image->lag = 3;
    dw_image_fill(image, 6);
    uint64_t cut = lsn_of_block(image, dw_first_block_of_volume(&image->geometry, 4) + 4);
    dw_image_cut(image, cut, 6);
    dw_image_fill(image, 3);
    run(image);
    expect(DWAL_VERDICT_END, 6);
    dw_recover_kit_expect_end(&kit, image->tail);
    dw_image_flip(image, 4, dw_place_of_toc(&image->geometry) + 60, 0); /* the cut volume loses its TOC */
    run(image);
    expect(DWAL_VERDICT_END, 6);
    dw_recover_kit_expect_end(&kit, image->tail);
    assert_int_equal(kit.recovered.report.entries, 7);
    assert_int_equal(dw_recover_kit_toc(&kit, 4)->toc.flags, DW_TOC_CUT);
    assert_int_equal(dw_recover_kit_toc(&kit, 4)->toc.end, cut);
    assert_int_equal(dw_recover_kit_toc(&kit, 4)->toc.entry_count, 4);
    dw_image_free(image);
}

static void damage_before_an_earlier_cut_is_corrupt(void **state)
{
    (void)state;
    struct dw_image *image = recycled();
    image->lag = 3;
    dw_image_fill(image, 6);
    uint64_t first = dw_first_block_of_volume(&image->geometry, 4);
    dw_image_cut(image, lsn_of_block(image, first + 4), 6);
    dw_image_flip(image, 4, dw_place_of_toc(&image->geometry) + 60, 0);
    dw_image_lose(image, first + 3);
    run(image);
    expect(DWAL_VERDICT_CORRUPT, 1);
    assert_int_equal(kit.recovered.error.block, first + 3);
    dw_image_free(image);
}

static void a_recovery_interrupted_after_its_toc_is_done_again(void **state)
{
    (void)state;
    struct dw_image *image = recycled();
    dw_image_append(image, 0, 500);
    uint64_t cut = dw_image_append(image, 0, 2500);
    dw_image_seal(image);
    dw_image_lose_sector(image, dw_block_of_lsn(&image->geometry, cut), 4);
    dw_image_toc_as(image, 4, DW_TOC_CUT, cut);
    run(image);
    expect(DWAL_VERDICT_TORN, 5);
    dw_recover_kit_expect_end(&kit, cut);
    assert_int_equal(kit.recovered.settlement.next_number, 5);
    dw_image_cut_header(image, cut, 5); /* ... and after the claim of the new volume */
    run(image);
    expect(DWAL_VERDICT_TORN, 5);
    dw_recover_kit_expect_end(&kit, cut);
    assert_true(dw_recover_kit_abandons(&kit, 5));
    assert_int_equal(kit.recovered.settlement.next_number, 6);
    dw_image_free(image);
}

static void a_recovery_interrupted_after_its_toc_sees_the_same_behind_the_cut(void **state)
{
    (void)state;
    struct dw_image *image = recycled();
    image->lag = 3;
    dw_image_fill(image, 18); /* volumes 4 and 5 */
    uint64_t hole = dw_first_block_of_volume(&image->geometry, 4) + 15;
    dw_image_lose(image, hole);
    run(image);
    expect(DWAL_VERDICT_TORN, 5);
    assert_int_equal(kit.recovered.report.dropped_blocks, 2);
    dw_image_toc_as(image, 4, DW_TOC_CUT, lsn_of_block(image, hole));
    run(image);
    expect(DWAL_VERDICT_TORN, 5);
    dw_recover_kit_expect_end(&kit, lsn_of_block(image, hole));
    assert_int_equal(kit.recovered.report.dropped_blocks, 2);
    assert_true(dw_recover_kit_abandons(&kit, 5));
    dw_image_free(image);
}

static void a_recovery_interrupted_before_it_recycled_leaves_volumes_that_are_not_judged(void **state)
{
    (void)state;
    struct dw_image *image = recycled();
    image->lag = 3;
    dw_image_fill(image, 18); /* volumes 4 and 5 */
    dw_image_lose(image, dw_first_block_of_volume(&image->geometry, 4) + 15);
    dw_image_cut(image, lsn_of_block(image, dw_first_block_of_volume(&image->geometry, 4) + 15), 6);
    dw_image_fill(image, 2);
    run(image);
    expect(DWAL_VERDICT_END, 6);
    dw_recover_kit_expect_end(&kit, image->tail);
    assert_true(kit.recovered.settlement.is_continued);
    assert_true(dw_recover_kit_abandons(&kit, 5));
    memset(dw_image_volume(image, 5)->bytes, 0, 2 * 4096); /* half recycled */
    run(image);
    expect(DWAL_VERDICT_END, 6);
    dw_image_free(image);
}

static void a_crash_before_anything_was_written_after_a_cut_cuts_at_the_same_place(void **state)
{
    (void)state;
    struct dw_image *image = recycled();
    dw_image_fill(image, 6);
    uint64_t cut = image->tail;
    dw_image_cut(image, cut, 5);
    dw_image_fill(image, 1);
    dw_image_lose_sector(image, dw_first_block_of_volume(&image->geometry, 5), 2);
    run(image);
    expect(DWAL_VERDICT_TORN, 5);
    assert_int_equal(kit.recovered.settlement.tail, 4);
    assert_int_equal(kit.recovered.settlement.cut, cut);
    assert_true(dw_recover_kit_abandons(&kit, 5));
    assert_int_equal(kit.recovered.settlement.next_number, 6);
    assert_int_equal(kit.recovered.settlement.toc_count, 0);
    dw_image_free(image);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(what_an_earlier_recovery_dropped_never_comes_back),
        TEST(damage_before_an_earlier_cut_is_corrupt),
        TEST(a_recovery_interrupted_after_its_toc_is_done_again),
        TEST(a_recovery_interrupted_after_its_toc_sees_the_same_behind_the_cut),
        TEST(a_recovery_interrupted_before_it_recycled_leaves_volumes_that_are_not_judged),
        TEST(a_crash_before_anything_was_written_after_a_cut_cuts_at_the_same_place),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
