/* test_store_life.c - a log's volumes from creation to recycling, on a real directory. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "alloc/alloc.h"
#include "tests/lib/store_kit.h"
#include "tests/lib/tmpdir.h"

struct place {
    char path[DW_TMPDIR_SIZE];
    struct dw_disk *disk;
    struct dw_kit kit;
};

static int set_up(void **state)
{
    static struct place place;
    dw_tmpdir_make(place.path, "store-life");
    assert_int_equal(dw_disk_posix_open(place.path, false, &place.disk), 0);
    dw_kit_init(&place.kit, place.disk, 0);
    *state = &place;
    return 0;
}

static int tear_down(void **state)
{
    struct place *place = *state;
    (void)dw_store_close(place->kit.store, false, 0);
    place->disk->ops->close(place->disk);
    dw_tmpdir_remove(place->path);
    return dw_alloc_bytes() == 0 ? 0 : -1;
}

static bool has_file(const struct place *place, const char *name)
{
    char path[DW_TMPDIR_SIZE + 64];
    snprintf(path, sizeof path, "%s/%s", place->path, name);
    return access(path, F_OK) == 0;
}

static void a_new_log_is_clean_and_empty(void **state)
{
    struct place *place = *state;
    struct dw_kit *kit = &place->kit;
    assert_int_equal(dw_kit_create(kit), 0);
    assert_true(has_file(place, "dwal.super"));
    assert_true(has_file(place, "0000000000.vol"));
    assert_int_equal(dw_kit_load(kit), 0);
    const struct dw_superblock_info *superblock = dw_store_superblock(kit->store);
    assert_int_equal(superblock->state, DW_SUPERBLOCK_CLEAN);
    assert_int_equal(superblock->claimed, 0);
    assert_int_equal(superblock->head, 0);
    assert_int_equal(superblock->clean_end, 0);
    assert_int_equal(superblock->magic_number, 7);
    assert_int_equal(dw_store_superblock_copies(kit->store), 2);
    assert_int_equal(dw_store_volume_count(kit->store), 1);
    const struct dw_volume *volume = dw_store_volume_at(kit->store, 0);
    assert_int_equal(volume->header_verdict, DW_DECODED_OK);
    assert_true(volume->is_header_doubled);
    assert_int_equal(volume->header.predecessor, DW_VOLUME_NUMBER_NONE);
    assert_int_equal(volume->toc_verdict, DW_DECODED_BAD_MAGIC);
    assert_false(volume->is_sealed);
}

static void a_second_creation_is_refused(void **state)
{
    struct place *place = *state;
    assert_int_equal(dw_kit_create(&place->kit), 0);
    assert_int_equal(dw_kit_create(&place->kit), DWAL_EEXIST);
    assert_int_equal(dw_kit_load(&place->kit), 0);
}

static void settle_opens_the_log_for_writing(void **state)
{
    struct place *place = *state;
    struct dw_kit *kit = &place->kit;
    assert_int_equal(dw_kit_create(kit), 0);
    assert_int_equal(dw_kit_start(kit), 0);
    assert_int_equal(dw_store_superblock(kit->store)->state, DW_SUPERBLOCK_OPEN);
    assert_int_equal(dw_store_superblock(kit->store)->epoch, 1);
    assert_int_equal(dw_store_head(kit->store)->number, 0);
    assert_non_null(dw_store_head(kit->store)->file);
    assert_null(dw_store_next(kit->store));
    assert_int_equal(dw_store_space(kit->store), dw_end_lsn_of_volume(&kit->create.geometry, 0));
}

static void the_maker_claims_one_ahead_and_keeps_blanks_ready(void **state)
{
    struct place *place = *state;
    struct dw_kit *kit = &place->kit;
    assert_int_equal(dw_kit_create(kit), 0);
    assert_int_equal(dw_kit_start(kit), 0);
    dw_kit_settle_down(kit);
    struct dw_volume *next = dw_store_next(kit->store);
    assert_non_null(next);
    assert_int_equal(next->number, 1);
    assert_int_equal(next->header.predecessor, 0);
    assert_int_equal(next->header.predecessor_end, DW_PREDECESSOR_RUNS_ON);
    assert_int_equal(dw_store_space(kit->store), dw_end_lsn_of_volume(&kit->create.geometry, 1));
    assert_int_equal(dw_kit_counts(kit).blanks_ready, 2);
    assert_true(has_file(place, "0000000001.vol"));
    assert_true(has_file(place, "000.bvl"));
    assert_true(has_file(place, "001.bvl"));
    assert_false(has_file(place, "dwal.tmp.blank"));
    assert_int_equal(kit->space_calls, 1);
    assert_int_equal(kit->failure_calls, 0);
}

static void a_full_volume_gets_its_table_of_contents(void **state)
{
    struct place *place = *state;
    struct dw_kit *kit = &place->kit;
    assert_int_equal(dw_kit_create(kit), 0);
    assert_int_equal(dw_kit_start(kit), 0);
    assert_int_equal(dw_kit_roll(kit), 0);
    assert_int_equal(kit->failure_calls, 0);
    const struct dw_geometry *geometry = &kit->create.geometry;
    const struct dw_volume *volume = dw_store_find(kit->store, 0);
    assert_true(volume->is_sealed);
    assert_null(volume->file);
    dw_kit_abandon(kit);
    assert_int_equal(dw_kit_load(kit), 0);
    volume = dw_store_find(kit->store, 0);
    assert_int_equal(volume->toc_verdict, DW_DECODED_OK);
    assert_int_equal(volume->toc.first_lsn, 0);
    assert_int_equal(volume->toc.last_lsn, dw_lsn_of_block(geometry, geometry->data_blocks - 1) + 200);
    assert_int_equal(volume->toc.end, dw_end_lsn_of_volume(geometry, 0));
    assert_int_equal(volume->toc.entry_count, 3 * geometry->data_blocks);
    assert_int_equal(volume->toc.watermark, geometry->data_blocks);
    assert_int_equal(volume->toc.flags, 0);
}

static void trimmed_volumes_become_blanks_and_then_volumes_again(void **state)
{
    struct place *place = *state;
    struct dw_kit *kit = &place->kit;
    const struct dw_geometry *geometry = &kit->create.geometry;
    assert_int_equal(dw_kit_create(kit), 0);
    assert_int_equal(dw_kit_start(kit), 0);
    for (uint32_t number = 0; number < 20; number++) {
        assert_int_equal(dw_kit_roll(kit), 0);
        if (kit->failure_calls != 0)
            fail_msg("%s", kit->failure.text);
        assert_int_equal(dw_store_trim(kit->store, dw_end_lsn_of_volume(geometry, number)), 0);
        assert_int_equal(dw_store_first(kit->store), dw_end_lsn_of_volume(geometry, number));
    }
    dw_kit_settle_down(kit);
    assert_int_equal(dw_store_volume_count(kit->store), 2);
    struct dw_store_counts counts = dw_kit_counts(kit);
    assert_true(counts.recycled + counts.unlinked == 20);
    assert_int_equal(counts.claimed, 21);
    assert_int_equal(counts.blanks_ready, 2);
    assert_int_equal(kit->failure_calls, 0);
    dw_kit_abandon(kit);
    assert_int_equal(dw_kit_load(kit), 0);
    assert_int_equal(dw_store_volume_count(kit->store), 2);
    assert_int_equal(dw_store_superblock(kit->store)->claimed, 21);
}

static void a_clean_close_is_recorded_and_the_claimed_volume_is_kept(void **state)
{
    struct place *place = *state;
    struct dw_kit *kit = &place->kit;
    const struct dw_geometry *geometry = &kit->create.geometry;
    assert_int_equal(dw_kit_create(kit), 0);
    assert_int_equal(dw_kit_start(kit), 0);
    dw_kit_settle_down(kit);
    assert_int_equal(dw_kit_fill(kit, 0, 2, 3), 0);
    uint64_t end = dw_lsn_of_block(geometry, 1) + 300;
    assert_int_equal(dw_store_close(kit->store, true, end), 0);
    kit->store = NULL;
    assert_int_equal(dw_kit_load(kit), 0);
    const struct dw_superblock_info *superblock = dw_store_superblock(kit->store);
    assert_int_equal(superblock->state, DW_SUPERBLOCK_CLEAN);
    assert_int_equal(superblock->clean_end, end);
    assert_int_equal(superblock->watermark, 2);
    const struct dw_volume *volume = dw_store_find(kit->store, 0);
    assert_int_equal(volume->toc.flags, DW_TOC_OPEN);
    assert_int_equal(volume->toc.end, end);
    assert_int_equal(volume->toc.last_lsn, dw_lsn_of_block(geometry, 1) + 200);
    assert_false(volume->is_sealed);
    assert_int_equal(dw_kit_continue(kit, 0, 2), 0);
    assert_int_equal(dw_store_next(kit->store)->number, 1);
    assert_int_equal(dw_store_space(kit->store), dw_end_lsn_of_volume(geometry, 1));
    assert_int_equal(dw_store_superblock(kit->store)->state, DW_SUPERBLOCK_OPEN);
    assert_int_equal(dw_store_superblock(kit->store)->clean_end, 0); /* no witness for what a cut may drop */
}

static void a_clean_close_leaves_no_unfinished_blank(void **state)
{
    struct place *place = *state;
    struct dw_kit *kit = &place->kit;
    assert_int_equal(dw_kit_create(kit), 0);
    assert_int_equal(dw_kit_start(kit), 0);
    uint64_t wait_ns;
    assert_int_equal(dw_store_step(kit->store, &wait_ns), DW_STEP_WORKED);
    assert_int_equal(dw_store_step(kit->store, &wait_ns), DW_STEP_WORKED);
    assert_true(has_file(place, "dwal.tmp.blank"));
    assert_int_equal(dw_store_close(kit->store, true, 0), 0);
    kit->store = NULL;
    assert_false(has_file(place, "dwal.tmp.blank"));
}

static void a_volume_goes_only_when_all_of_it_is_trimmed(void **state)
{
    struct place *place = *state;
    struct dw_kit *kit = &place->kit;
    const struct dw_geometry *geometry = &kit->create.geometry;
    assert_int_equal(dw_kit_create(kit), 0);
    assert_int_equal(dw_kit_start(kit), 0);
    assert_int_equal(dw_kit_roll(kit), 0);
    assert_int_equal(dw_store_trim(kit->store, dw_end_lsn_of_volume(geometry, 0) - 1), 0);
    dw_kit_settle_down(kit);
    assert_true(has_file(place, "0000000000.vol"));
    assert_int_equal(dw_store_trim(kit->store, dw_end_lsn_of_volume(geometry, 0)), 0);
    dw_kit_settle_down(kit);
    assert_false(has_file(place, "0000000000.vol"));
}

static void a_head_that_is_full_and_trimmed_is_still_the_head(void **state)
{
    struct place *place = *state;
    struct dw_kit *kit = &place->kit;
    const struct dw_geometry *geometry = &kit->create.geometry;
    assert_int_equal(dw_kit_create(kit), 0);
    assert_int_equal(dw_kit_start(kit), 0);
    dw_kit_settle_down(kit);
    assert_int_equal(dw_kit_fill(kit, 0, geometry->data_blocks, 3), 0);
    assert_int_equal(dw_store_trim(kit->store, dw_end_lsn_of_volume(geometry, 0)), 0);
    dw_kit_settle_down(kit);
    assert_true(has_file(place, "0000000000.vol"));
    dw_store_advance(kit->store);
    dw_kit_settle_down(kit);
    assert_false(has_file(place, "0000000000.vol"));
    /* The claim of volume 2 recorded what was durable then. */
    assert_int_equal(dw_store_superblock(kit->store)->claimed, 2);
    assert_int_equal(dw_store_superblock(kit->store)->watermark, geometry->data_blocks);
    assert_int_equal(kit->failure_calls, 0);
}

static void a_volume_that_is_not_whole_or_not_ours_is_never_made_a_blank(void **state)
{
    struct place *place = *state;
    struct dw_kit *kit = &place->kit;
    const struct dw_geometry *geometry = &kit->create.geometry;
    kit->options.keep_retired = true;
    assert_int_equal(dw_kit_create(kit), 0);
    assert_int_equal(dw_kit_start(kit), 0);
    for (int i = 0; i < 3; i++)
        assert_int_equal(dw_kit_roll(kit), 0);
    struct dw_volume *pinned; /* so that it is still there after the trim */
    for (uint32_t number = 0; number < 3; number++)
        assert_int_equal(dw_store_pin(kit->store, number, &pinned), 0);
    assert_int_equal(dw_store_trim(kit->store, dw_end_lsn_of_volume(geometry, 2)), 0);
    dw_kit_abandon(kit);
    char path[DW_TMPDIR_SIZE + 64], other[DW_TMPDIR_SIZE + 64];
    snprintf(path, sizeof path, "%s/0000000000.vol", place->path);
    assert_int_equal(truncate(path, 8192), 0);
    snprintf(path, sizeof path, "%s/0000000001.vol", place->path);
    snprintf(other, sizeof other, "%s/0000000002.vol", place->path);
    assert_int_equal(rename(path, other), 0); /* volume 1 under the name of volume 2 */
    assert_int_equal(dw_kit_load(kit), 0);
    assert_int_equal(dw_store_find(kit->store, 2)->header_verdict, DW_DECODED_MISPLACED);
    assert_int_equal(dw_kit_continue(kit, 3, 0), 0);
    dw_kit_settle_down(kit);
    assert_int_equal(dw_kit_counts(kit).recycled, 0);
    assert_int_equal(dw_kit_counts(kit).unlinked, 1);
    assert_false(has_file(place, "0000000000.vol"));
    assert_true(has_file(place, "0000000002.vol"));
}

static void a_cut_goes_on_in_a_new_volume_and_drops_what_was_claimed_ahead(void **state)
{
    struct place *place = *state;
    struct dw_kit *kit = &place->kit;
    assert_int_equal(dw_kit_create(kit), 0);
    assert_int_equal(dw_kit_start(kit), 0);
    dw_kit_settle_down(kit);
    assert_int_equal(dw_kit_fill(kit, 0, 2, 3), 0);
    dw_kit_abandon(kit);
    assert_int_equal(dw_kit_load(kit), 0);
    uint32_t abandoned = 1;
    assert_int_equal(dw_kit_cut(kit, 0, 300, 2, &abandoned, 1), 0);
    assert_int_equal(dw_store_head(kit->store)->number, 2);
    assert_null(dw_store_find(kit->store, 1));
    assert_false(has_file(place, "0000000001.vol"));
    uint64_t end;
    assert_int_equal(dw_store_successor(kit->store, 0, &end), 2);
    assert_int_equal(end, 300);
    assert_int_equal(dw_store_successor(kit->store, 2, &end), DW_VOLUME_NUMBER_NONE);
    assert_true(end == UINT64_MAX);
    assert_int_equal(dw_store_first_from(kit->store, 1), 2);
    dw_kit_settle_down(kit);
    assert_int_equal(dw_store_next(kit->store)->number, 3);
    dw_kit_abandon(kit);
    assert_int_equal(dw_kit_load(kit), 0);
    assert_int_equal(dw_store_superblock(kit->store)->claimed, 3);
    assert_int_equal(dw_store_superblock(kit->store)->epoch, 2);
    assert_int_equal(dw_store_find(kit->store, 0)->toc.flags, DW_TOC_CUT);
    assert_int_equal(dw_store_find(kit->store, 2)->header.epoch, 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_new_log_is_clean_and_empty, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_second_creation_is_refused, set_up, tear_down),
        cmocka_unit_test_setup_teardown(settle_opens_the_log_for_writing, set_up, tear_down),
        cmocka_unit_test_setup_teardown(the_maker_claims_one_ahead_and_keeps_blanks_ready, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_full_volume_gets_its_table_of_contents, set_up, tear_down),
        cmocka_unit_test_setup_teardown(trimmed_volumes_become_blanks_and_then_volumes_again, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_clean_close_is_recorded_and_the_claimed_volume_is_kept, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_clean_close_leaves_no_unfinished_blank, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_head_that_is_full_and_trimmed_is_still_the_head, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_volume_goes_only_when_all_of_it_is_trimmed, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_volume_that_is_not_whole_or_not_ours_is_never_made_a_blank, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(a_cut_goes_on_in_a_new_volume_and_drops_what_was_claimed_ahead, set_up,
                                        tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
