/* test_recover_volumes.c - volumes, their headers and TOCs: missing, short, foreign, claimed ahead, cut before. One situation a test. */
#include "tests/read/recover_case.h"

/* ---- volumes ---- */

static void a_missing_last_volume_is_lost(void **state)
{
    (void)state;
    struct dw_image *image = small();
    dw_image_fill(image, 20);
    dw_image_remove(image, 1);
    run(image);
    expect(DWAL_VERDICT_LOST, 8);
    assert_int_equal(kit.recovered.error.code, DWAL_ELOST);
    assert_int_equal(kit.recovered.error.volume, 1);
    dw_image_free(image);
}

static void a_missing_middle_volume_is_lost(void **state)
{
    (void)state;
    struct dw_image *image = small();
    dw_image_fill(image, 40);
    dw_image_toc(image, 0);
    dw_image_toc(image, 1);
    dw_image_remove(image, 1);
    run(image);
    expect(DWAL_VERDICT_LOST, 8);
    assert_int_equal(kit.recovered.error.volume, 1);
    dw_image_free(image);
}

static void a_volume_below_the_trim_point_may_be_missing(void **state)
{
    (void)state;
    struct dw_image *image = small();
    dw_image_fill(image, 40);
    dw_image_toc(image, 0);
    dw_image_toc(image, 1);
    dw_image_remove(image, 0);
    image->superblock.trim = dw_first_lsn_of_volume(&image->geometry, 1) + 77;
    run(image);
    expect(DWAL_VERDICT_END, 6);
    assert_int_equal(kit.recovered.report.first, image->superblock.trim);
    dw_image_free(image);
}

static void a_short_file_is_lost(void **state)
{
    (void)state;
    struct dw_image *image = small();
    dw_image_fill(image, 20);
    dw_image_truncate(image, 0, image->geometry.volume_size - 4096);
    run(image);
    expect(DWAL_VERDICT_LOST, 8);
    dw_image_truncate(image, 0, image->geometry.volume_size);
    dw_image_truncate(image, 1, 4096);
    run(image);
    expect(DWAL_VERDICT_LOST, 8);
    dw_image_free(image);
}

static void a_volume_newer_than_the_superblock_with_content_is_a_rollback(void **state)
{
    (void)state;
    struct dw_image *image = small();
    dw_image_fill(image, 20);
    image->superblock.claimed = 0;
    image->superblock.head = 0;
    run(image);
    expect(DWAL_VERDICT_ROLLBACK, 9);
    dw_image_free(image);
}

static void an_interrupted_claim_is_abandoned_and_its_number_never_used(void **state)
{
    (void)state;
    struct dw_image *image = small();
    dw_image_fill(image, 3);
    dw_image_claim(image);
    image->superblock.claimed = 0;
    run(image);
    expect(DWAL_VERDICT_END, 6);
    assert_true(dw_recover_kit_abandons(&kit, 1));
    assert_int_equal(kit.recovered.settlement.next_number, 2);
    assert_false(kit.recovered.settlement.is_continued);
    dw_image_free(image);
}

static void a_torn_header_of_an_interrupted_claim_is_no_damage(void **state)
{
    (void)state;
    struct dw_image *image = small();
    dw_image_fill(image, 3);
    dw_image_claim(image);
    image->superblock.claimed = 0;
    memset(dw_image_volume(image, 1)->bytes, 0xa5, 2 * 4096);
    run(image);
    expect(DWAL_VERDICT_END, 6);
    assert_true(dw_recover_kit_abandons(&kit, 1));
    dw_image_free(image);
}

static void a_volume_claimed_ahead_is_kept(void **state)
{
    (void)state;
    struct dw_image *image = small();
    dw_image_fill(image, 3);
    dw_image_claim(image);
    run(image);
    expect(DWAL_VERDICT_END, 6);
    assert_true(kit.recovered.settlement.is_continued);
    assert_int_equal(kit.recovered.settlement.abandoned_count, 0);
    dw_image_free(image);
}

static void a_volume_claimed_ahead_of_a_torn_one_is_abandoned(void **state)
{
    (void)state;
    struct dw_image *image = small();
    dw_image_fill(image, 3);
    dw_image_claim(image);
    dw_image_lose_sector(image, 2, 1);
    run(image);
    expect(DWAL_VERDICT_TORN, 5);
    assert_true(dw_recover_kit_abandons(&kit, 1));
    assert_int_equal(kit.recovered.settlement.next_number, 2);
    dw_image_free(image);
}

static void one_damaged_header_copy_is_repairable_and_two_are_corrupt(void **state)
{
    (void)state;
    struct dw_image *image = small();
    dw_image_fill(image, 20);
    dw_image_flip(image, 1, 30, 1);
    run(image);
    expect(DWAL_VERDICT_END, 6);
    assert_true(kit.recovered.report.is_repairable);
    dw_image_flip(image, 1, 4096 + 31, 1);
    run(image);
    expect(DWAL_VERDICT_CORRUPT, 13);
    assert_int_equal(kit.recovered.error.volume, 1);
    dw_image_free(image);
}

static void another_logs_volume_is_foreign(void **state)
{
    (void)state;
    struct dw_image *image = small();
    dw_image_fill(image, 20);
    struct dw_identity other;
    dw_identity_init(&other, (const uint8_t *)"quite other log.", image->identity.tag_key);
    struct dw_image_volume *volume = dw_image_volume(image, 1);
    dw_volume_header_encode(&image->geometry, &other, &volume->info, volume->bytes);
    dw_volume_header_encode(&image->geometry, &other, &volume->info, volume->bytes + 4096);
    run(image);
    expect(DWAL_VERDICT_FOREIGN, 10);
    assert_int_equal(kit.recovered.error.code, DWAL_EFOREIGN);
    dw_image_free(image);
}

static void one_bad_superblock_copy_is_repairable(void **state)
{
    (void)state;
    struct dw_image *image = small();
    dw_image_fill(image, 3);
    image->is_super_copy_bad[1] = true;
    run(image);
    expect(DWAL_VERDICT_END, 6);
    assert_true(kit.recovered.report.is_repairable);
    dw_image_free(image);
}

/* ---- spans ---- */

static void a_record_over_volumes_is_kept_or_dropped_whole(void **state)
{
    (void)state;
    struct dw_image *image = small();
    dw_image_fill(image, 14);
    uint64_t lsn = dw_image_append(image, 100, 100000);
    dw_image_toc(image, 0);
    dw_image_toc(image, 1);
    dw_image_seal(image);
    run(image);
    expect(DWAL_VERDICT_END, 6);
    dw_recover_kit_expect_end(&kit, image->tail);
    assert_int_equal(kit.recovered.settlement.tail, 2);
    dw_image_lose(image, dw_block_of_lsn(&image->geometry, image->tail) - 1);
    run(image);
    expect(DWAL_VERDICT_TORN, 5);
    dw_recover_kit_expect_end(&kit, lsn);
    const struct dw_settlement *settlement = &kit.recovered.settlement;
    assert_int_equal(settlement->tail, 0);
    assert_true(dw_recover_kit_abandons(&kit, 1) && dw_recover_kit_abandons(&kit, 2));
    assert_int_equal(settlement->next_number, 3);
    assert_non_null(dw_recover_kit_toc(&kit, 0));
    assert_int_equal(dw_recover_kit_toc(&kit, 0)->toc.flags, DW_TOC_CUT);
    assert_int_equal(dw_recover_kit_toc(&kit, 0)->toc.entry_count, 14);
    dw_image_free(image);
}

static void metadata_over_blocks_and_volumes_is_checked_like_data(void **state)
{
    (void)state;
    struct dw_image *image = small();
    dw_image_fill(image, 14);
    uint64_t lsn = dw_image_append(image, 9000, 5000);
    dw_image_append(image, 4100, 0);
    dw_image_seal(image);
    run(image);
    expect(DWAL_VERDICT_END, 6);
    dw_recover_kit_expect_end(&kit, image->tail);
    dw_image_flip_payload(image, dw_block_of_lsn(&image->geometry, lsn) + 1, 5);
    run(image);
    expect(DWAL_VERDICT_CORRUPT, 1);
    assert_int_equal(kit.recovered.end, lsn);
    dw_image_free(image);
}

static void a_toc_that_goes_beyond_the_cut_is_a_contradiction(void **state)
{
    (void)state;
    struct dw_image *image = recycled();
    dw_image_fill(image, 6);
    uint64_t cut = image->tail;
    dw_image_cut(image, cut, 5);
    dw_image_toc(image, 4);
    run(image);
    expect(DWAL_VERDICT_CORRUPT, 13);
    dw_image_free(image);
}

static void a_closed_log_whose_older_volume_lost_its_toc_is_scanned_there(void **state)
{
    (void)state;
    struct dw_image *image = small();
    dw_image_fill(image, 20);
    dw_image_toc(image, 0);
    dw_image_close(image);
    dw_image_flip(image, 0, dw_place_of_toc(&image->geometry) + 60, 0);
    run(image);
    expect(DWAL_VERDICT_CLEAN, 7);
    assert_true(kit.recovered.report.is_repairable);
    assert_int_equal(dw_recover_kit_toc(&kit, 0)->toc.entry_count, 16);
    assert_int_equal(kit.recovered.settlement.tail_entry_count, 4);
    dw_image_free(image);
}

static void a_batch_that_began_volumes_ago_is_dropped_from_its_start(void **state)
{
    (void)state;
    struct dw_image *image = small();
    dw_image_fill(image, 10);
    dw_image_append(image, 0, 10);
    uint64_t cut = dw_image_append_more(image, 0, 10);
    for (int i = 0; i < 60; i++)
        dw_image_append_more(image, 0, 3000);
    dw_image_toc(image, 0);
    dw_image_toc(image, 1);
    run(image);
    expect(DWAL_VERDICT_TORN, 5);
    dw_recover_kit_expect_end(&kit, cut);
    assert_int_equal(kit.recovered.settlement.tail, 0);
    assert_int_equal(dw_recover_kit_toc(&kit, 0)->toc.entry_count, 11);
    assert_int_equal(kit.recovered.settlement.tocs[kit.recovered.settlement.toc_count - 1].number, 0);
    kit.options.is_full = true; /* the TOCs count what runs on to the break: that is no contradiction */
    run(image);
    expect(DWAL_VERDICT_TORN, 5);
    dw_recover_kit_expect_end(&kit, cut);
    dw_image_free(image);
}

static void a_volume_without_its_toc_gets_one(void **state)
{
    (void)state;
    struct dw_image *image = small();
    dw_image_fill(image, 15);
    dw_image_append(image, 0, 6000);
    dw_image_fill(image, 3);
    run(image);
    expect(DWAL_VERDICT_END, 6);
    const struct dw_settle_toc *toc = dw_recover_kit_toc(&kit, 0);
    assert_non_null(toc);
    assert_int_equal(toc->toc.flags, DW_TOC_SPILL);
    assert_int_equal(toc->toc.entry_count, 16);
    assert_int_equal(toc->toc.first_lsn, 0);
    assert_int_equal(toc->toc.last_lsn, lsn_of_block(image, 15));
    assert_int_equal(toc->toc.end, dw_end_lsn_of_volume(&image->geometry, 0));
    assert_int_equal(kit.recovered.settlement.tail, 1);
    assert_int_equal(kit.recovered.settlement.tail_entry_count, 3);
    dw_image_free(image);
}

static void a_damaged_toc_in_the_middle_is_made_again(void **state)
{
    (void)state;
    struct dw_image *image = small();
    dw_image_fill(image, 15);
    dw_image_append(image, 0, 6000);
    dw_image_fill(image, 14);
    dw_image_append(image, 0, 70000);
    for (uint32_t i = 0; i < 3; i++)
        dw_image_toc(image, i);
    dw_image_flip(image, 1, dw_place_of_toc(&image->geometry) + 60, 0);
    run(image);
    expect(DWAL_VERDICT_END, 6);
    assert_true(kit.recovered.report.is_repairable);
    assert_non_null(dw_recover_kit_toc(&kit, 1));
    assert_int_equal(dw_recover_kit_toc(&kit, 1)->toc.flags, DW_TOC_SPILL);
    assert_int_equal(kit.recovered.settlement.toc_count, 1);
    dw_image_flip_payload(image, 20, 400);
    run(image);
    expect(DWAL_VERDICT_CORRUPT, 1);
    assert_int_equal(kit.recovered.error.block, 20);
    dw_image_free(image);
}

static void a_damaged_toc_is_made_again_when_a_batch_goes_on_behind_its_volume(void **state)
{
    (void)state;
    struct dw_image *image = small();
    dw_image_fill(image, 14);
    for (int i = 0; i < 25; i++)
        dw_image_append_more(image, 0, 4000);
    dw_image_append(image, 0, 4000);
    dw_image_fill(image, 3);
    dw_image_toc(image, 0);
    dw_image_toc(image, 1);
    uint64_t count = dw_image_volume(image, 0)->bytes[dw_place_of_toc(&image->geometry) + 64];
    dw_image_flip(image, 0, dw_place_of_toc(&image->geometry) + 60, 0);
    run(image);
    expect(DWAL_VERDICT_END, 6);
    assert_int_equal(dw_recover_kit_toc(&kit, 0)->toc.entry_count, count);
    assert_int_equal(kit.recovered.settlement.toc_count, 1);
    dw_image_free(image);
}

static void a_toc_that_contradicts_the_blocks_is_found_by_a_full_scan(void **state)
{
    (void)state;
    struct dw_image *image = small();
    dw_image_fill(image, 20);
    image->entries[3].is_dropped = true; /* the TOC will not count it */
    dw_image_toc(image, 0);
    run(image);
    expect(DWAL_VERDICT_END, 6);
    kit.options.is_full = true;
    run(image);
    expect(DWAL_VERDICT_CORRUPT, 13);
    dw_image_free(image);
}

static void a_full_scan_finds_damage_in_a_volume_that_has_its_toc(void **state)
{
    (void)state;
    struct dw_image *image = small();
    dw_image_fill(image, 40);
    dw_image_toc(image, 0);
    dw_image_toc(image, 1);
    dw_image_flip_payload(image, 3, 50);
    dw_image_flip_payload(image, 9, 50);
    dw_image_lose(image, 20);
    dw_image_lose(image, 21);
    run(image);
    expect(DWAL_VERDICT_END, 6);
    kit.options.is_full = true;
    run(image);
    expect(DWAL_VERDICT_CORRUPT, 1);
    assert_int_equal(kit.recovered.error.block, 3);
    assert_int_equal(kit.damage_count, 3);
    assert_int_equal(kit.damages[1].block, 9);
    assert_int_equal(kit.damages[2].block, 20);
    assert_int_equal(kit.damages[2].blocks, 2);
    dw_image_free(image);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_missing_last_volume_is_lost),
        TEST(a_missing_middle_volume_is_lost),
        TEST(a_volume_below_the_trim_point_may_be_missing),
        TEST(a_short_file_is_lost),
        TEST(a_volume_newer_than_the_superblock_with_content_is_a_rollback),
        TEST(an_interrupted_claim_is_abandoned_and_its_number_never_used),
        TEST(a_torn_header_of_an_interrupted_claim_is_no_damage),
        TEST(a_volume_claimed_ahead_is_kept),
        TEST(a_volume_claimed_ahead_of_a_torn_one_is_abandoned),
        TEST(one_damaged_header_copy_is_repairable_and_two_are_corrupt),
        TEST(another_logs_volume_is_foreign),
        TEST(one_bad_superblock_copy_is_repairable),
        TEST(a_record_over_volumes_is_kept_or_dropped_whole),
        TEST(metadata_over_blocks_and_volumes_is_checked_like_data),
        TEST(a_toc_that_goes_beyond_the_cut_is_a_contradiction),
        TEST(a_closed_log_whose_older_volume_lost_its_toc_is_scanned_there),
        TEST(a_batch_that_began_volumes_ago_is_dropped_from_its_start),
        TEST(a_volume_without_its_toc_gets_one),
        TEST(a_damaged_toc_in_the_middle_is_made_again),
        TEST(a_damaged_toc_is_made_again_when_a_batch_goes_on_behind_its_volume),
        TEST(a_toc_that_contradicts_the_blocks_is_found_by_a_full_scan),
        TEST(a_full_scan_finds_damage_in_a_volume_that_has_its_toc),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
