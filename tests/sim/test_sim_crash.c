/* test_sim_crash.c - the simulated disk keeps what is durable, may lose what is not, and tears only between sectors. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <string.h>

#include "tests/lib/crash_disk.h"

#define RW (DW_OPEN_WRITE | DW_OPEN_CREATE)

/* A file "f" of `sectors` durable sectors of 0x01, with a durable name. */
static struct dw_file *make_file(struct dw_disk *disk, uint64_t sectors)
{
    struct dw_file *file = dw_crash_file(disk, "f", RW);
    dw_crash_put(file, 0, sectors, 1, false);
    assert_int_equal(dw_file_sync(file), 0);
    assert_int_equal(disk->ops->sync_names(disk), 0);
    return file;
}

static struct dw_sim_crash *walk(struct dw_disk *disk, const struct dw_sim_crash_options *options)
{
    struct dw_sim_crash *crash;
    assert_int_equal(dw_sim_crash_create(disk, options, &crash), 0);
    assert_int_equal(dw_sim_crash_seek(crash, dw_sim_event_count(disk)), 0);
    return crash;
}

static void finish(struct dw_sim_crash *crash, struct dw_file *file, struct dw_disk *disk)
{
    dw_sim_crash_close(crash);
    dw_file_close(file);
    dw_crash_drop(disk);
}

static void ordinary_writes_are_lost_or_kept_sector_by_sector(void **state)
{
    (void)state;
    struct dw_disk *disk = dw_crash_disk(NULL);
    struct dw_file *file = make_file(disk, 4);
    dw_crash_put(file, 0, 3, 2, false);
    struct dw_sim_crash *crash = walk(disk, NULL);
    assert_int_equal(dw_sim_crash_state_count(crash), 8);
    unsigned seen = 0;
    for (uint64_t s = 0; s < 8; s++) {
        struct dw_disk *image = dw_crash_image(crash, dw_sim_event_count(disk), s, false);
        unsigned mask = 0;
        for (uint64_t i = 0; i < 3; i++) {
            int value = dw_crash_get(image, "f", i);
            assert_true(value == 1 || value == 2);
            mask |= (unsigned)(value == 2) << i;
        }
        assert_int_equal(dw_crash_get(image, "f", 3), 1);
        seen |= 1u << mask;
        dw_crash_drop(image);
    }
    assert_int_equal(seen, 0xff);
    finish(crash, file, disk);
}

static void durable_writes_and_synced_writes_are_in_every_image(void **state)
{
    (void)state;
    struct dw_disk *disk = dw_crash_disk(NULL);
    struct dw_file *file = make_file(disk, 4);
    dw_crash_put(file, 0, 2, 2, true);
    dw_crash_put(file, 2, 1, 3, false);
    assert_int_equal(dw_file_sync(file), 0);
    struct dw_sim_crash *crash = walk(disk, NULL);
    assert_int_equal(dw_sim_crash_state_count(crash), 1);
    struct dw_disk *image = dw_crash_image(crash, dw_sim_event_count(disk), 0, false);
    assert_int_equal(dw_crash_get(image, "f", 0), 2);
    assert_int_equal(dw_crash_get(image, "f", 1), 2);
    assert_int_equal(dw_crash_get(image, "f", 2), 3);
    assert_int_equal(dw_crash_get(image, "f", 3), 1);
    dw_crash_drop(image);
    finish(crash, file, disk);
}

static void a_durable_write_makes_nothing_else_durable(void **state)
{
    (void)state;
    struct dw_disk *disk = dw_crash_disk(NULL);
    struct dw_file *file = make_file(disk, 4);
    dw_crash_put(file, 3, 1, 5, false);
    dw_crash_put(file, 0, 1, 2, true);
    struct dw_sim_crash *crash = walk(disk, NULL);
    assert_int_equal(dw_sim_crash_state_count(crash), 2);
    finish(crash, file, disk);
}

static void every_version_of_a_volatile_sector_may_survive(void **state)
{
    (void)state;
    struct dw_disk *disk = dw_crash_disk(NULL);
    struct dw_file *file = make_file(disk, 1);
    dw_crash_put(file, 0, 1, 2, false);
    dw_crash_put(file, 0, 1, 3, false);
    dw_crash_put(file, 0, 1, 2, false); /* as before: no fourth state */
    struct dw_sim_crash *crash = walk(disk, NULL);
    assert_int_equal(dw_sim_crash_state_count(crash), 3);
    finish(crash, file, disk);
}

static void a_write_is_open_while_it_is_in_flight(void **state)
{
    (void)state;
    struct dw_disk *disk = dw_crash_disk(NULL);
    struct dw_file *file = make_file(disk, 4);
    uint64_t before = dw_sim_event_count(disk);
    dw_crash_put(file, 0, 2, 2, true);
    struct dw_sim_crash *crash = walk(disk, NULL);
    assert_int_equal(dw_sim_crash_seek(crash, before), 0);
    assert_int_equal(dw_sim_crash_state_count(crash), 1);
    assert_int_equal(dw_sim_crash_seek(crash, before + 1), 0);
    assert_int_equal(dw_sim_crash_state_count(crash), 4);
    assert_int_equal(dw_sim_crash_seek(crash, before + 2), 0);
    assert_int_equal(dw_sim_crash_state_count(crash), 1);
    finish(crash, file, disk);
}

static void lying_devices_keep_durable_writes_volatile(void **state)
{
    (void)state;
    struct dw_sim_options options = {.is_flush_lying = true, .is_fua_lying = true};
    struct dw_disk *disk = dw_crash_disk(NULL);
    struct dw_file *file = make_file(disk, 4);
    dw_sim_set_options(disk, &options);
    dw_crash_put(file, 0, 2, 2, true);
    dw_crash_put(file, 2, 1, 2, false);
    assert_int_equal(dw_file_sync(file), 0);
    struct dw_sim_crash *crash = walk(disk, NULL);
    assert_int_equal(dw_sim_crash_state_count(crash), 8);
    finish(crash, file, disk);
}

static void a_larger_tear_unit_comes_whole_or_not(void **state)
{
    (void)state;
    struct dw_disk *disk = dw_crash_disk(NULL);
    struct dw_file *file = make_file(disk, 16);
    dw_crash_put(file, 0, 16, 2, false);
    struct dw_sim_crash *crash = walk(disk, &(struct dw_sim_crash_options){.tear_unit = 4096});
    assert_int_equal(dw_sim_crash_state_count(crash), 4);
    for (uint64_t s = 0; s < 4; s++) {
        struct dw_disk *image = dw_crash_image(crash, dw_sim_event_count(disk), s, false);
        for (uint64_t i = 0; i < 16; i++)
            assert_int_equal(dw_crash_get(image, "f", i), dw_crash_get(image, "f", i / 8 * 8));
        dw_crash_drop(image);
    }
    finish(crash, file, disk);
}

static void garbled_sectors_are_open_sectors_only(void **state)
{
    (void)state;
    struct dw_disk *disk = dw_crash_disk(NULL);
    struct dw_file *file = make_file(disk, 4);
    dw_crash_put(file, 1, 2, 2, false);
    struct dw_sim_crash *crash = walk(disk, &(struct dw_sim_crash_options){.garbled = 3});
    assert_int_equal(dw_sim_crash_state_count(crash), 25);
    int mixed = 0;
    for (uint64_t s = 0; s < 25; s++) {
        struct dw_disk *image = dw_crash_image(crash, dw_sim_event_count(disk), s, false);
        assert_int_equal(dw_crash_get(image, "f", 0), 1);
        assert_int_equal(dw_crash_get(image, "f", 3), 1);
        mixed += dw_crash_get(image, "f", 1) == -2;
        dw_crash_drop(image);
    }
    assert_int_equal(mixed, 15);
    finish(crash, file, disk);
}

static void without_reordering_writes_arrive_in_their_order(void **state)
{
    (void)state;
    struct dw_disk *disk = dw_crash_disk(NULL);
    struct dw_file *file = make_file(disk, 4);
    dw_crash_put(file, 2, 2, 2, false);
    dw_crash_put(file, 0, 1, 3, false);
    struct dw_sim_crash *crash = walk(disk, &(struct dw_sim_crash_options){.is_ordered = true});
    assert_int_equal(dw_sim_crash_state_count(crash), 4);
    for (uint64_t s = 0; s < 4; s++) {
        struct dw_disk *image = dw_crash_image(crash, dw_sim_event_count(disk), s, false);
        assert_int_equal(dw_crash_get(image, "f", 2), s >= 1 ? 2 : 1);
        assert_int_equal(dw_crash_get(image, "f", 3), s >= 2 ? 2 : 1);
        assert_int_equal(dw_crash_get(image, "f", 0), s >= 3 ? 3 : 1);
        dw_crash_drop(image);
    }
    finish(crash, file, disk);
}

/* ---- names and sizes ---- */
static void unsynced_names_survive_as_a_prefix(void **state)
{
    (void)state;
    struct dw_disk *disk = dw_crash_disk(NULL);
    struct dw_file *file = dw_crash_file(disk, "a.tmp", RW);
    assert_int_equal(disk->ops->rename(disk, "a.tmp", "a"), 0);
    struct dw_file *other = dw_crash_file(disk, "b", RW);
    assert_int_equal(disk->ops->unlink(disk, "a"), 0);
    struct dw_sim_crash *crash = walk(disk, NULL);
    assert_int_equal(dw_sim_crash_state_count(crash), 5);
    for (uint64_t s = 0; s < 5; s++) {
        struct dw_disk *image = dw_crash_image(crash, dw_sim_event_count(disk), s, false);
        assert_int_equal(dw_crash_exists(image, "a.tmp"), s == 1);
        assert_int_equal(dw_crash_exists(image, "a"), s == 2 || s == 3);
        assert_int_equal(dw_crash_exists(image, "b"), s >= 3);
        dw_crash_drop(image);
    }
    dw_file_close(other);
    finish(crash, file, disk);
}

static void unsynced_names_may_survive_as_a_consistent_subset(void **state)
{
    (void)state;
    struct dw_disk *disk = dw_crash_disk(NULL);
    struct dw_file *file = dw_crash_file(disk, "a.tmp", RW);
    assert_int_equal(disk->ops->rename(disk, "a.tmp", "a"), 0);
    struct dw_file *other = dw_crash_file(disk, "b", RW);
    struct dw_sim_crash *crash = walk(disk, &(struct dw_sim_crash_options){.is_name_subset = true});
    /* {none, create, create + rename} x {b or not}; a rename alone finds nothing to rename. */
    assert_int_equal(dw_sim_crash_state_count(crash), 6);
    dw_file_close(other);
    finish(crash, file, disk);
}

static void synced_names_are_in_every_image_and_synced_content_may_still_have_no_name(void **state)
{
    (void)state;
    struct dw_disk *disk = dw_crash_disk(NULL);
    struct dw_file *file = dw_crash_file(disk, "f", RW);
    dw_crash_put(file, 0, 1, 7, false);
    assert_int_equal(dw_file_sync(file), 0);
    struct dw_sim_crash *crash = walk(disk, NULL);
    assert_int_equal(dw_sim_crash_state_count(crash), 2);
    assert_int_equal(disk->ops->sync_names(disk), 0);
    assert_int_equal(dw_sim_crash_seek(crash, dw_sim_event_count(disk)), 0);
    assert_int_equal(dw_sim_crash_state_count(crash), 1);
    struct dw_disk *image = dw_crash_image(crash, dw_sim_event_count(disk), 0, false);
    assert_int_equal(dw_crash_get(image, "f", 0), 7);
    dw_crash_drop(image);
    finish(crash, file, disk);
}

static void a_size_is_open_until_synced_and_cuts_what_lies_behind(void **state)
{
    (void)state;
    struct dw_disk *disk = dw_crash_disk(NULL);
    struct dw_file *file = make_file(disk, 2);
    assert_int_equal(disk->ops->allocate(file, 4 * DW_CRASH_SECTOR), 0);
    dw_crash_put(file, 3, 1, 9, false);
    struct dw_sim_crash *crash = walk(disk, NULL);
    assert_int_equal(dw_sim_crash_state_count(crash), 4);
    unsigned seen = 0;
    for (uint64_t s = 0; s < 4; s++) {
        struct dw_disk *image = dw_crash_image(crash, dw_sim_event_count(disk), s, false);
        int value = dw_crash_get(image, "f", 3);
        seen |= value == -1 ? 1u : value == 0 ? 2u : value == 9 ? 4u : 8u;
        dw_crash_drop(image);
    }
    assert_int_equal(seen, 7);
    dw_crash_put(file, 3, 1, 9, true);
    assert_int_equal(dw_sim_crash_seek(crash, dw_sim_event_count(disk)), 0);
    assert_int_equal(dw_sim_crash_state_count(crash), 1);
    finish(crash, file, disk);
}

/* ---- images are disks ---- */
static void an_image_can_be_written_and_crashed_again_without_changing_its_origin(void **state)
{
    (void)state;
    struct dw_disk *disk = dw_crash_disk(NULL);
    struct dw_file *file = make_file(disk, 4);
    dw_crash_put(file, 0, 2, 2, false);
    uint64_t origin = dw_sim_fingerprint(disk);
    struct dw_sim_crash *crash = walk(disk, NULL);
    struct dw_disk *image = dw_crash_image(crash, dw_sim_event_count(disk), 1, false);
    struct dw_file *inner = dw_crash_file(image, "f", DW_OPEN_WRITE);
    dw_crash_put(inner, 1, 1, 3, false);
    dw_crash_put(inner, 2, 1, 4, true);
    struct dw_sim_crash *second = walk(image, NULL);
    assert_int_equal(dw_sim_crash_state_count(second), 2);
    for (uint64_t s = 0; s < 2; s++) {
        struct dw_disk *deep = dw_crash_image(second, dw_sim_event_count(image), s, false);
        assert_int_equal(dw_crash_get(deep, "f", 0), 2); /* was open before the first crash, is decided now */
        assert_int_equal(dw_crash_get(deep, "f", 1), s ? 3 : 1);
        assert_int_equal(dw_crash_get(deep, "f", 2), 4);
        dw_crash_drop(deep);
    }
    dw_sim_crash_close(second);
    dw_file_close(inner);
    dw_crash_drop(image);
    assert_true(dw_sim_fingerprint(disk) == origin);
    image = dw_crash_image(crash, dw_sim_event_count(disk), 0, false); /* the same memory again: nothing is left over */
    assert_int_equal(dw_crash_get(image, "f", 1), 1);
    assert_int_equal(dw_crash_get(image, "f", 2), 1);
    assert_int_equal(dw_sim_event_count(image), 0);
    dw_crash_drop(image);
    finish(crash, file, disk);
}

static void sampled_states_are_repeatable_and_reach_every_state(void **state)
{
    (void)state;
    struct dw_disk *disk = dw_crash_disk(NULL);
    struct dw_file *file = make_file(disk, 4);
    dw_crash_put(file, 0, 2, 2, false);
    dw_crash_put(file, 1, 2, 3, false);
    struct dw_sim_crash *crash = walk(disk, NULL);
    uint64_t all = dw_sim_crash_state_count(crash), seen = 0;
    assert_int_equal(all, 12);
    for (uint64_t seed = 0; seed < 2000; seed++) {
        uint32_t picks[3], again[3];
        dw_sim_crash_picks_of_seed(crash, seed, picks);
        dw_sim_crash_picks_of_seed(crash, seed, again);
        assert_memory_equal(picks, again, sizeof picks);
        uint64_t number = 0;
        for (size_t i = 3; i-- > 0;) {
            struct dw_sim_choice choice;
            dw_sim_crash_choice_at(crash, i, &choice);
            assert_true(picks[i] < choice.count);
            number = number * choice.count + picks[i];
        }
        seen |= UINT64_C(1) << number;
    }
    assert_int_equal(seen, (UINT64_C(1) << all) - 1);
    finish(crash, file, disk);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ordinary_writes_are_lost_or_kept_sector_by_sector),
        cmocka_unit_test(durable_writes_and_synced_writes_are_in_every_image),
        cmocka_unit_test(a_durable_write_makes_nothing_else_durable),
        cmocka_unit_test(every_version_of_a_volatile_sector_may_survive),
        cmocka_unit_test(a_write_is_open_while_it_is_in_flight),
        cmocka_unit_test(lying_devices_keep_durable_writes_volatile),
        cmocka_unit_test(a_larger_tear_unit_comes_whole_or_not),
        cmocka_unit_test(garbled_sectors_are_open_sectors_only),
        cmocka_unit_test(without_reordering_writes_arrive_in_their_order),
        cmocka_unit_test(unsynced_names_survive_as_a_prefix),
        cmocka_unit_test(unsynced_names_may_survive_as_a_consistent_subset),
        cmocka_unit_test(synced_names_are_in_every_image_and_synced_content_may_still_have_no_name),
        cmocka_unit_test(a_size_is_open_until_synced_and_cuts_what_lies_behind),
        cmocka_unit_test(an_image_can_be_written_and_crashed_again_without_changing_its_origin),
        cmocka_unit_test(sampled_states_are_repeatable_and_reach_every_state),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
