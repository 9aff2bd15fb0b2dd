/* test_sim_fault.c - each planned fault of the simulated disk hits the call it names and no other, and damage does to
 * the medium what its name says. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <string.h>

#include "tests/lib/crash_disk.h"

#define RW (DW_OPEN_WRITE | DW_OPEN_CREATE)
static _Alignas(4096) uint8_t sector[DW_CRASH_SECTOR];

static struct dw_file *make_file(struct dw_disk *disk)
{
    struct dw_file *file = dw_crash_file(disk, "f", RW);
    for (uint8_t i = 0; i < 4; i++)
        dw_crash_put(file, i, 1, (uint8_t)(i + 1), true);
    assert_int_equal(disk->ops->sync_names(disk), 0);
    return file;
}

static uint64_t states_now(struct dw_disk *disk)
{
    struct dw_sim_crash *crash;
    assert_int_equal(dw_sim_crash_create(disk, NULL, &crash), 0);
    assert_int_equal(dw_sim_crash_seek(crash, dw_sim_event_count(disk)), 0);
    uint64_t states = dw_sim_crash_state_count(crash);
    dw_sim_crash_close(crash);
    return states;
}

static void the_nth_write_fails_once_or_from_then_on(void **state)
{
    (void)state;
    struct dw_disk *disk = dw_crash_disk(NULL);
    struct dw_file *file = make_file(disk);
    dw_sim_fault(disk, &(struct dw_sim_fault){.kind = DW_SIM_FAULT_WRITE, .at = 2});
    assert_int_equal(dw_file_write_durable(file, sector, sizeof sector, 0), 0);
    assert_int_equal(dw_file_write_durable(file, sector, sizeof sector, 0), -EIO);
    assert_int_equal(dw_file_write_durable(file, sector, sizeof sector, 0), 0);
    dw_sim_fault(disk,
                 &(struct dw_sim_fault){.kind = DW_SIM_FAULT_WRITE, .at = 1, .is_sticky = true, .error = ENODATA});
    assert_int_equal(dw_file_write(file, sector, sizeof sector, 0), -ENODATA);
    assert_int_equal(dw_file_write(file, sector, sizeof sector, 0), -ENODATA);
    dw_sim_faults_clear(disk);
    assert_int_equal(dw_file_write(file, sector, sizeof sector, 0), 0);
    dw_file_close(file);
    dw_crash_drop(disk);
}

static void a_failed_durable_write_may_be_there_or_not(void **state)
{
    (void)state;
    struct dw_disk *disk = dw_crash_disk(NULL);
    struct dw_file *file = make_file(disk);
    static _Alignas(4096) uint8_t bytes[2 * DW_CRASH_SECTOR] = {9};
    dw_sim_fault(disk, &(struct dw_sim_fault){.kind = DW_SIM_FAULT_WRITE, .at = 1});
    assert_int_equal(dw_file_write_durable(file, bytes, sizeof bytes, 0), -EIO);
    assert_int_equal(states_now(disk), 4);
    dw_file_close(file);
    dw_crash_drop(disk);
}

static void what_a_failed_sync_dropped_no_later_sync_makes_durable(void **state)
{
    (void)state;
    struct dw_disk *disk = dw_crash_disk(NULL);
    struct dw_file *file = make_file(disk);
    dw_crash_put(file, 0, 1, 9, false);
    dw_sim_fault(disk, &(struct dw_sim_fault){.kind = DW_SIM_FAULT_SYNC, .at = 1});
    assert_int_equal(dw_file_sync(file), -EIO);
    assert_int_equal(dw_file_sync(file), 0);
    assert_int_equal(states_now(disk), 2);
    dw_crash_put(file, 0, 1, 9, false);
    assert_int_equal(dw_file_sync(file), 0);
    assert_int_equal(states_now(disk), 1);
    dw_file_close(file);
    dw_crash_drop(disk);
}

static void names_reads_and_extensions_fail_as_planned_and_do_nothing(void **state)
{
    (void)state;
    struct dw_disk *disk = dw_crash_disk(NULL);
    struct dw_file *file = make_file(disk), *other;
    size_t done;
    dw_sim_fault(disk, &(struct dw_sim_fault){.kind = DW_SIM_FAULT_NAME, .at = 1, .is_sticky = true, .error = EROFS});
    assert_int_equal(disk->ops->rename(disk, "f", "g"), -EROFS);
    assert_int_equal(disk->ops->unlink(disk, "f"), -EROFS);
    assert_int_equal(disk->ops->open(disk, "g", RW, &other), -EROFS);
    dw_sim_fault(disk, &(struct dw_sim_fault){.kind = DW_SIM_FAULT_READ, .at = 1});
    assert_int_equal(dw_file_read(file, sector, sizeof sector, 0, &done), -EIO);
    assert_int_equal(dw_file_read(file, sector, sizeof sector, 0, &done), 0);
    dw_sim_fault(disk, &(struct dw_sim_fault){.kind = DW_SIM_FAULT_EXTEND, .at = 1, .is_sticky = true});
    assert_int_equal(disk->ops->allocate(file, 1 << 20), -ENOSPC);
    assert_int_equal(dw_file_write(file, sector, sizeof sector, sizeof sector * 4), -ENOSPC);
    assert_int_equal(dw_file_write(file, sector, sizeof sector, 0), 0);
    dw_sim_fault(disk, &(struct dw_sim_fault){.kind = DW_SIM_FAULT_SYNC_NAMES, .at = 1});
    assert_int_equal(disk->ops->sync_names(disk), -EIO);
    dw_sim_fault(disk, &(struct dw_sim_fault){.kind = DW_SIM_FAULT_OPEN, .at = 1, .error = EMFILE});
    assert_int_equal(disk->ops->open(disk, "f", DW_OPEN_READ, &other), -EMFILE);
    dw_file_close(file);
    dw_crash_drop(disk);
}

static void capacity_is_shared_by_all_files_and_comes_back_when_one_is_gone(void **state)
{
    (void)state;
    struct dw_disk *disk = dw_crash_disk(&(struct dw_sim_options){.capacity = 8192});
    struct dw_file *one = dw_crash_file(disk, "one", RW), *two = dw_crash_file(disk, "two", RW);
    assert_int_equal(disk->ops->allocate(one, 8192), 0);
    assert_int_equal(dw_file_write(two, sector, sizeof sector, 0), -ENOSPC);
    assert_int_equal(disk->ops->unlink(disk, "one"), 0);
    assert_int_equal(dw_file_write(two, sector, sizeof sector, 0), -ENOSPC); /* still open */
    dw_file_close(one);
    assert_int_equal(dw_file_write(two, sector, sizeof sector, 0), 0);
    dw_file_close(two);
    dw_crash_drop(disk);
}

static void a_lost_write_is_acknowledged_and_never_there(void **state)
{
    (void)state;
    struct dw_disk *disk = dw_crash_disk(NULL);
    struct dw_file *file = make_file(disk);
    dw_sim_fault(disk, &(struct dw_sim_fault){.kind = DW_SIM_FAULT_LOSE, .at = 1});
    dw_crash_put(file, 0, 1, 9, true);
    assert_int_equal(dw_crash_get(disk, "f", 0), 1);
    assert_int_equal(states_now(disk), 1);
    dw_file_close(file);
    dw_crash_drop(disk);
}

static void a_misdirected_write_overwrites_its_neighbour(void **state)
{
    (void)state;
    struct dw_disk *disk = dw_crash_disk(NULL);
    struct dw_file *file = make_file(disk);
    dw_sim_fault(disk, &(struct dw_sim_fault){.kind = DW_SIM_FAULT_MISDIRECT, .at = 1, .value = 2 * DW_CRASH_SECTOR});
    dw_crash_put(file, 0, 1, 9, true);
    assert_int_equal(dw_crash_get(disk, "f", 0), 1);
    assert_int_equal(dw_crash_get(disk, "f", 2), 9);
    dw_file_close(file);
    dw_crash_drop(disk);
}

/* ---- damage ---- */
static void do_damage(struct dw_disk *disk, enum dw_sim_damage_kind kind, uint64_t at, uint64_t other)
{
    struct dw_sim_damage damage = {.kind = kind,
                                   .name = "f",
                                   .offset = at * DW_CRASH_SECTOR,
                                   .size = DW_CRASH_SECTOR,
                                   .other_name = "f",
                                   .other_offset = other * DW_CRASH_SECTOR,
                                   .bit = 13,
                                   .seed = 5};
    assert_int_equal(dw_sim_damage(disk, &damage), 0);
}

static void each_kind_of_damage_does_what_it_says(void **state)
{
    (void)state;
    struct dw_disk *disk = dw_crash_disk(NULL);
    struct dw_file *file = make_file(disk);
    dw_crash_put(file, 0, 1, 7, true);
    do_damage(disk, DW_SIM_STALE, 0, 0);
    assert_int_equal(dw_crash_get(disk, "f", 0), 1);
    do_damage(disk, DW_SIM_SWAP, 0, 3);
    assert_int_equal(dw_crash_get(disk, "f", 0), 4);
    assert_int_equal(dw_crash_get(disk, "f", 3), 1);
    do_damage(disk, DW_SIM_COPY, 0, 1);
    assert_int_equal(dw_crash_get(disk, "f", 0), 4);
    assert_int_equal(dw_crash_get(disk, "f", 1), 4);
    do_damage(disk, DW_SIM_MISDIRECT, 2, 0); /* 3 lies at sector 0 instead, and sector 2 was zeros before it */
    assert_int_equal(dw_crash_get(disk, "f", 0), 3);
    assert_int_equal(dw_crash_get(disk, "f", 2), 0);
    do_damage(disk, DW_SIM_ZERO, 3, 0);
    assert_int_equal(dw_crash_get(disk, "f", 3), 0);
    do_damage(disk, DW_SIM_ROT, 3, 0);
    uint8_t bytes[DW_CRASH_SECTOR];
    assert_true(dw_sim_peek(disk, "f", 3 * DW_CRASH_SECTOR, bytes, sizeof bytes));
    assert_int_equal(bytes[1], 1u << 5);
    do_damage(disk, DW_SIM_GARBAGE, 3, 0);
    assert_int_equal(dw_crash_get(disk, "f", 3), -2);
    assert_int_equal(states_now(disk), 1); /* damage is no open choice */
    dw_file_close(file);
    dw_crash_drop(disk);
}

static void stale_content_of_an_image_comes_from_the_history_of_its_origin(void **state)
{
    (void)state;
    struct dw_disk *disk = dw_crash_disk(NULL);
    struct dw_file *file = make_file(disk);
    dw_crash_put(file, 1, 1, 8, true);
    struct dw_sim_crash *crash;
    assert_int_equal(dw_sim_crash_create(disk, NULL, &crash), 0);
    struct dw_disk *image = dw_crash_image(crash, dw_sim_event_count(disk), 0, false);
    do_damage(image, DW_SIM_STALE, 1, 0);
    assert_int_equal(dw_crash_get(image, "f", 1), 2);
    assert_int_equal(dw_crash_get(disk, "f", 1), 8);
    dw_crash_drop(image);
    dw_sim_crash_close(crash);
    dw_file_close(file);
    dw_crash_drop(disk);
}

static void unreadable_sectors_answer_an_error_until_written(void **state)
{
    (void)state;
    struct dw_disk *disk = dw_crash_disk(NULL);
    struct dw_file *file = make_file(disk);
    static _Alignas(4096) uint8_t all[4 * DW_CRASH_SECTOR];
    size_t done;
    do_damage(disk, DW_SIM_UNREADABLE, 2, 0);
    assert_int_equal(dw_file_read(file, all, sizeof all, 0, &done), -EIO);
    assert_int_equal(done, 2 * DW_CRASH_SECTOR);
    assert_int_equal(dw_file_read(file, all, DW_CRASH_SECTOR, 3 * DW_CRASH_SECTOR, &done), 0);
    dw_crash_put(file, 2, 1, 6, true);
    assert_int_equal(dw_file_read(file, all, sizeof all, 0, &done), 0);
    assert_int_equal(all[2 * DW_CRASH_SECTOR], 6);
    dw_file_close(file);
    dw_crash_drop(disk);
}

static void a_file_cut_short_for_good_is_short_in_every_image(void **state)
{
    (void)state;
    struct dw_disk *disk = dw_crash_disk(NULL);
    struct dw_file *file = make_file(disk);
    assert_int_equal(dw_sim_resize(disk, "f", DW_CRASH_SECTOR), 0);
    assert_int_equal(states_now(disk), 1);
    assert_int_equal(disk->ops->allocate(file, 4 * DW_CRASH_SECTOR), 0);
    assert_int_equal(dw_file_sync(file), 0);
    assert_int_equal(dw_crash_get(disk, "f", 2), 0);
    struct dw_sim_crash *crash;
    assert_int_equal(dw_sim_crash_create(disk, NULL, &crash), 0);
    struct dw_disk *image = dw_crash_image(crash, dw_sim_event_count(disk), 0, false);
    assert_int_equal(dw_crash_get(image, "f", 0), 1);
    assert_int_equal(dw_crash_get(image, "f", 2), 0);
    dw_crash_drop(image);
    dw_sim_crash_close(crash);
    dw_file_close(file);
    assert_int_equal(dw_sim_remove(disk, "f"), 0);
    assert_false(dw_crash_exists(disk, "f"));
    dw_crash_drop(disk);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_nth_write_fails_once_or_from_then_on),
        cmocka_unit_test(a_failed_durable_write_may_be_there_or_not),
        cmocka_unit_test(what_a_failed_sync_dropped_no_later_sync_makes_durable),
        cmocka_unit_test(names_reads_and_extensions_fail_as_planned_and_do_nothing),
        cmocka_unit_test(capacity_is_shared_by_all_files_and_comes_back_when_one_is_gone),
        cmocka_unit_test(a_lost_write_is_acknowledged_and_never_there),
        cmocka_unit_test(a_misdirected_write_overwrites_its_neighbour),
        cmocka_unit_test(each_kind_of_damage_does_what_it_says),
        cmocka_unit_test(stale_content_of_an_image_comes_from_the_history_of_its_origin),
        cmocka_unit_test(unreadable_sectors_answer_an_error_until_written),
        cmocka_unit_test(a_file_cut_short_for_good_is_short_in_every_image),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
