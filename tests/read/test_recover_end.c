/* test_recover_end.c - where the log ends after a close, a crash or an earlier recovery, and beside a writer. One situation a test. */
#include "tests/read/recover_case.h"

/* ---- closed ---- */

static void a_new_log_is_empty_and_goes_on_in_place(void **state)
{
    (void)state;
    struct dw_image *image = small();
    run(image);
    expect(DWAL_VERDICT_END, 6);
    dw_recover_kit_expect_end(&kit, 0);
    assert_true(kit.recovered.settlement.is_continued);
    assert_int_equal(kit.recovered.settlement.next_block, 0);
    assert_int_equal(kit.recovered.settlement.tail_first_lsn, DWAL_NO_LSN);
    assert_false(kit.recovered.report.is_repairable);
    dw_image_free(image);
}

static void a_closed_log_is_believed_with_two_reads(void **state)
{
    (void)state;
    struct dw_image *image = small();
    dw_image_fill(image, 5);
    uint64_t last = image->entries[4].lsn;
    dw_image_close(image);
    run(image);
    expect(DWAL_VERDICT_CLEAN, 7);
    dw_recover_kit_expect_end(&kit, image->tail);
    const struct dw_settlement *settlement = &kit.recovered.settlement;
    assert_true(settlement->is_continued);
    assert_int_equal(settlement->next_block, 5);
    assert_int_equal(settlement->tail_first_lsn, 0);
    assert_int_equal(settlement->tail_last_start_block, dw_block_of_lsn(&image->geometry, last));
    assert_int_equal(settlement->tail_entry_count, 5);
    assert_int_equal(settlement->durable_block, 5);
    assert_int_equal(settlement->read_volume_count, 0);
    assert_true(kit.recovered.report.blocks_read <= 16 + 2);
    dw_image_free(image);
}

static void a_full_scan_of_a_closed_log_says_the_same(void **state)
{
    (void)state;
    struct dw_image *image = small();
    dw_image_append(image, 10, 90000);
    dw_image_fill(image, 5);
    dw_image_toc(image, 0);
    dw_image_close(image);
    kit.options.is_full = true;
    run(image);
    expect(DWAL_VERDICT_CLEAN, 7);
    dw_recover_kit_expect_end(&kit, image->tail);
    assert_int_equal(kit.recovered.report.entries, 6);
    assert_int_equal(kit.recovered.report.findings, 0);
    dw_image_free(image);
}

static void a_log_closed_at_the_end_of_a_volume_goes_on_in_the_claimed_one(void **state)
{
    (void)state;
    struct dw_image *image = small();
    dw_image_fill(image, 16);
    dw_image_close(image);
    dw_image_claim(image);
    run(image);
    expect(DWAL_VERDICT_CLEAN, 7);
    assert_true(kit.recovered.settlement.is_continued);
    assert_int_equal(kit.recovered.settlement.tail, 1);
    assert_int_equal(kit.recovered.settlement.next_block, 16);
    assert_non_null(dw_recover_kit_toc(&kit, 0));
    assert_int_equal(dw_recover_kit_toc(&kit, 0)->toc.entry_count, 16);
    dw_image_free(image);
}

static void a_log_closed_at_the_end_of_its_last_volume_runs_on_into_the_next(void **state)
{
    (void)state;
    struct dw_image *image = small();
    dw_image_fill(image, 16);
    dw_image_close(image);
    run(image);
    expect(DWAL_VERDICT_CLEAN, 7);
    assert_true(kit.recovered.settlement.is_continued); /* there is none yet: the maker will claim it */
    assert_int_equal(kit.recovered.settlement.tail, 0);
    assert_int_equal(kit.recovered.settlement.next_block, 16);
    assert_int_equal(kit.recovered.settlement.next_number, 1);
    assert_int_equal(kit.recovered.settlement.tail_entry_count, 16);
    assert_int_equal(kit.recovered.settlement.toc_count, 0); /* the maker writes that too */
    dw_image_free(image);
}

static void a_closed_log_that_ends_with_a_marker_is_clean(void **state)
{
    (void)state;
    struct dw_image *image = small();
    dw_image_fill(image, 3);
    dw_image_close(image);
    dw_image_mark(image);
    run(image);
    expect(DWAL_VERDICT_CLEAN, 7);
    assert_int_equal(kit.recovered.settlement.next_block, 4);
    dw_image_free(image);
}

static void a_closed_log_whose_end_is_damaged_is_corrupt(void **state)
{
    (void)state;
    struct dw_image *image = small();
    dw_image_fill(image, 5);
    dw_image_close(image);
    dw_image_lose(image, 4);
    run(image);
    expect(DWAL_VERDICT_CORRUPT, 1);
    assert_int_equal(kit.recovered.error.code, DWAL_ECORRUPT);
    assert_int_equal(kit.recovered.error.block, 4);
    assert_non_null(strstr(kit.recovered.error.text, "clean end"));
    dw_image_free(image);
}

static void a_closed_log_with_a_damaged_toc_is_scanned_and_repairable(void **state)
{
    (void)state;
    struct dw_image *image = small();
    dw_image_fill(image, 5);
    dw_image_close(image);
    dw_image_flip(image, 0, dw_place_of_toc(&image->geometry) + 50, 2);
    run(image);
    expect(DWAL_VERDICT_CLEAN, 7);
    assert_true(kit.recovered.report.is_repairable);
    assert_int_equal(kit.recovered.settlement.tail_entry_count, 5);
    dw_image_free(image);
}

static void blocks_behind_a_clean_end_are_newer_than_the_superblock(void **state)
{
    (void)state;
    struct dw_image *image = small();
    dw_image_fill(image, 5);
    dw_image_close(image);
    dw_image_fill(image, 1);
    run(image);
    expect(DWAL_VERDICT_ROLLBACK, 9);
    assert_int_equal(kit.recovered.error.code, DWAL_EROLLBACK);
    dw_image_lose_sector(image, 5, 0);
    run(image);
    expect(DWAL_VERDICT_ROLLBACK, 9);
    dw_image_free(image);
}

/* ---- crash ---- */

static void a_crash_when_idle_ends_at_the_marker(void **state)
{
    (void)state;
    struct dw_image *image = recycled();
    dw_image_fill(image, 3);
    dw_image_mark(image);
    run(image);
    expect(DWAL_VERDICT_END, 6);
    dw_recover_kit_expect_end(&kit, image->tail);
    assert_true(kit.recovered.settlement.is_continued);
    assert_int_equal(kit.recovered.settlement.tail_entry_count, 3);
    assert_int_equal(kit.recovered.settlement.read_volume_count, 1);
    dw_image_free(image);
}

static void a_torn_block_is_cut(void **state)
{
    (void)state;
    struct dw_image *image = recycled();
    dw_image_fill(image, 3);
    uint64_t end = image->tail, first = dw_block_of_lsn(&image->geometry, end);
    dw_image_fill(image, 1);
    dw_image_lose_sector(image, first, 5);
    run(image);
    expect(DWAL_VERDICT_TORN, 5);
    dw_recover_kit_expect_end(&kit, end);
    const struct dw_settlement *settlement = &kit.recovered.settlement;
    assert_false(settlement->is_continued);
    assert_int_equal(settlement->tail, 4);
    assert_int_equal(settlement->cut, end);
    assert_int_equal(settlement->next_number, 5);
    assert_int_equal(settlement->toc_count, 1);
    assert_int_equal(settlement->tocs[0].toc.flags, DW_TOC_CUT);
    assert_int_equal(settlement->tocs[0].toc.end, end);
    assert_int_equal(settlement->tocs[0].toc.entry_count, 3);
    assert_int_equal(settlement->durable_block, first);
    assert_int_equal(kit.recovered.report.break_block, first);
    assert_true(kit.recovered.report.dropped_blocks >= 1);
    dw_image_free(image);
}

static void a_torn_block_without_its_header_is_cut(void **state)
{
    (void)state;
    struct dw_image *image = small();
    dw_image_fill(image, 4);
    dw_image_lose_sector(image, 3, 0);
    run(image);
    expect(DWAL_VERDICT_TORN, 5);
    dw_recover_kit_expect_end(&kit, lsn_of_block(image, 3));
    dw_image_free(image);
}

static void the_sound_records_of_a_torn_block_are_kept(void **state)
{
    (void)state;
    struct dw_image *image = recycled();
    dw_image_append(image, 0, 300);
    uint64_t cut = dw_image_append(image, 0, 2000);
    dw_image_seal(image);
    dw_image_lose_sector(image, dw_block_of_lsn(&image->geometry, cut), 3);
    run(image);
    expect(DWAL_VERDICT_TORN, 5);
    dw_recover_kit_expect_end(&kit, cut);
    assert_int_equal(kit.recovered.settlement.tocs[0].toc.entry_count, 1);
    /* The rest of the block was not durable: a watermark that covered it would refuse the same evidence next time. */
    assert_int_equal(kit.recovered.settlement.durable_block, dw_block_of_lsn(&image->geometry, cut));
    dw_image_free(image);
}

static void a_hole_inside_the_window_cuts_what_is_behind_it(void **state)
{
    (void)state;
    struct dw_image *image = recycled();
    image->lag = 3;
    dw_image_fill(image, 6);
    uint64_t hole = dw_first_block_of_volume(&image->geometry, 4) + 3;
    dw_image_lose(image, hole);
    run(image);
    expect(DWAL_VERDICT_TORN, 5);
    dw_recover_kit_expect_end(&kit, lsn_of_block(image, hole));
    assert_int_equal(kit.recovered.report.dropped_blocks, 2);
    dw_image_free(image);
}

static void stale_blocks_of_an_earlier_use_are_the_end(void **state)
{
    (void)state;
    struct dw_image *image = recycled();
    dw_image_fill(image, 7);
    run(image);
    expect(DWAL_VERDICT_END, 6);
    dw_recover_kit_expect_end(&kit, image->tail);
    assert_true(kit.recovered.settlement.is_continued);
    assert_false(kit.recovered.report.is_repairable);
    dw_image_free(image);
}

static void a_record_over_blocks_breaks_where_its_block_is_torn(void **state)
{
    (void)state;
    struct dw_image *image = recycled();
    image->lag = 3;
    dw_image_fill(image, 1);
    uint64_t cut = dw_image_append(image, 10, 9000);
    dw_image_seal(image);
    uint64_t first = dw_block_of_lsn(&image->geometry, cut);
    dw_image_lose_sector(image, first + 1, 2);
    run(image);
    expect(DWAL_VERDICT_TORN, 5);
    dw_recover_kit_expect_end(&kit, cut);
    assert_int_equal(kit.recovered.report.break_block, first + 1);
    dw_image_free(image);
}

static void a_watermark_that_covers_part_of_a_torn_record_does_no_harm(void **state)
{
    (void)state;
    struct dw_image *image = recycled();
    dw_image_fill(image, 1);
    uint64_t cut = dw_image_append(image, 10, 9000);
    dw_image_seal(image);
    uint64_t first = dw_block_of_lsn(&image->geometry, cut);
    dw_image_lose_sector(image, first + 2, 1); /* its header is there and says that all before was durable */
    run(image);
    expect(DWAL_VERDICT_TORN, 5);
    dw_recover_kit_expect_end(&kit, cut);
    assert_int_equal(kit.recovered.report.break_block, first + 2);
    dw_image_free(image);
}

static void an_incomplete_batch_is_dropped_whole(void **state)
{
    (void)state;
    struct dw_image *image = small();
    dw_image_append(image, 0, 100);
    uint64_t cut = dw_image_append_more(image, 0, 100);
    dw_image_append_more(image, 0, 5000);
    dw_image_append_more(image, 0, 100);
    dw_image_seal(image);
    run(image);
    expect(DWAL_VERDICT_TORN, 5);
    dw_recover_kit_expect_end(&kit, cut);
    assert_false(kit.recovered.settlement.is_continued);
    assert_int_equal(kit.recovered.settlement.tocs[0].toc.entry_count, 1);
    assert_int_equal(kit.recovered.report.entries, 1);
    dw_image_free(image);
}

static void a_complete_batch_is_kept(void **state)
{
    (void)state;
    struct dw_image *image = small();
    dw_image_append_more(image, 0, 100);
    dw_image_append_more(image, 0, 5000);
    dw_image_append(image, 0, 100);
    dw_image_seal(image);
    run(image);
    expect(DWAL_VERDICT_END, 6);
    dw_recover_kit_expect_end(&kit, image->tail);
    assert_int_equal(kit.recovered.report.entries, 3);
    dw_image_free(image);
}

static void a_torn_marker_drops_nothing(void **state)
{
    (void)state;
    struct dw_image *image = recycled();
    dw_image_fill(image, 2);
    uint64_t end = image->tail;
    dw_image_mark(image);
    dw_image_lose_sector(image, dw_block_of_lsn(&image->geometry, end), 0);
    run(image);
    expect(DWAL_VERDICT_TORN, 5);
    dw_recover_kit_expect_end(&kit, end);
    dw_image_free(image);
}

static void padding_that_was_not_written_is_harmless(void **state)
{
    (void)state;
    struct dw_image *image = recycled();
    uint64_t lsn = dw_image_append(image, 0, 100);
    dw_image_seal(image);
    dw_image_lose_sector(image, dw_block_of_lsn(&image->geometry, lsn), 5);
    run(image);
    expect(DWAL_VERDICT_END, 6);
    dw_recover_kit_expect_end(&kit, image->tail);
    assert_true(kit.recovered.report.is_repairable);
    dw_image_free(image);
}

/* ---- beside a writer ---- */

static void beside_a_writer_the_end_is_the_highest_watermark(void **state)
{
    (void)state;
    struct dw_image *image = small();
    image->lag = 2;
    dw_image_fill(image, 8);
    dw_image_flip_payload(image, 6, 77); /* being written */
    kit.options.has_live_writer = true;
    run(image);
    expect(DWAL_VERDICT_END, 6);
    dw_recover_kit_expect_end(&kit, lsn_of_block(image, 5));
    assert_true(kit.recovered.report.has_live_writer);
    dw_image_free(image);
}

static void beside_a_writer_damage_below_the_watermark_is_corrupt(void **state)
{
    (void)state;
    struct dw_image *image = small();
    image->lag = 2;
    dw_image_fill(image, 8);
    dw_image_flip_payload(image, 4, 77);
    kit.options.has_live_writer = true;
    run(image);
    expect(DWAL_VERDICT_CORRUPT, 1);
    dw_image_free(image);
}

static void beside_a_writer_a_record_is_shown_when_all_of_it_is_durable(void **state)
{
    (void)state;
    struct dw_image *image = small();
    image->lag = 1;
    dw_image_fill(image, 2);
    uint64_t lsn = dw_image_append(image, 0, 60000); /* ends in block 16, whose watermark is 15 */
    dw_image_seal(image);
    kit.options.has_live_writer = true;
    run(image);
    expect(DWAL_VERDICT_END, 6);
    dw_recover_kit_expect_end(&kit, lsn);
    dw_image_fill(image, 2);
    run(image);
    dw_recover_kit_expect_end(&kit, lsn_of_block(image, dw_block_of_lsn(&image->geometry, image->tail) - 2));
    dw_image_free(image);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_new_log_is_empty_and_goes_on_in_place),
        TEST(a_closed_log_is_believed_with_two_reads),
        TEST(a_full_scan_of_a_closed_log_says_the_same),
        TEST(a_log_closed_at_the_end_of_a_volume_goes_on_in_the_claimed_one),
        TEST(a_log_closed_at_the_end_of_its_last_volume_runs_on_into_the_next),
        TEST(a_closed_log_that_ends_with_a_marker_is_clean),
        TEST(a_closed_log_whose_end_is_damaged_is_corrupt),
        TEST(a_closed_log_with_a_damaged_toc_is_scanned_and_repairable),
        TEST(blocks_behind_a_clean_end_are_newer_than_the_superblock),
        TEST(a_crash_when_idle_ends_at_the_marker),
        TEST(a_torn_block_is_cut),
        TEST(a_torn_block_without_its_header_is_cut),
        TEST(the_sound_records_of_a_torn_block_are_kept),
        TEST(a_hole_inside_the_window_cuts_what_is_behind_it),
        TEST(stale_blocks_of_an_earlier_use_are_the_end),
        TEST(a_record_over_blocks_breaks_where_its_block_is_torn),
        TEST(a_watermark_that_covers_part_of_a_torn_record_does_no_harm),
        TEST(an_incomplete_batch_is_dropped_whole),
        TEST(a_complete_batch_is_kept),
        TEST(a_torn_marker_drops_nothing),
        TEST(padding_that_was_not_written_is_harmless),
        TEST(beside_a_writer_the_end_is_the_highest_watermark),
        TEST(beside_a_writer_damage_below_the_watermark_is_corrupt),
        TEST(beside_a_writer_a_record_is_shown_when_all_of_it_is_durable),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
