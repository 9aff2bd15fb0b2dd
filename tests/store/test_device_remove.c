/* test_device_remove.c - a log is taken off a device: whole or gone in every crash, no slot lost, the other log untouched; and
 * whom it is refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "core/log/log.h"
#include "tests/lib/crash_check.h"
#include "tests/lib/crash_disk.h"
#include "tests/lib/device_kit.h"

enum { SLOTS = 16, SLOT_SIZE = 7 * 4096, SIM_SLOTS = 14, ENTRY_SIZE = 3000, SEEDS = 8 };
#define DEVICE_SIZE (2 * (UINT64_C(384) << 10) + (uint64_t)SIM_SLOTS * SLOT_SIZE)

static struct dw_device_kit kit;

static int set_up(void **state)
{
    (void)state;
    dw_device_kit_make(&kit, SLOTS);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    dw_device_kit_remove(&kit);
    return 0;
}

static int take_off(const char *name)
{
    struct dw_disk *disk = dw_device_kit_disk(&kit, name, DW_OPEN_WRITE);
    int result = dw_store_remove_from_device(disk);
    disk->ops->close(disk);
    return result;
}

static void what_a_removed_log_had_the_others_get(void **state)
{
    (void)state;
    assert_int_equal(dw_device_kit_create(&kit, "a", NULL), 0);
    assert_int_equal(dw_device_kit_create(&kit, "b", NULL), 0);
    dwal *a = dw_device_kit_must_open(&kit, "a"), *b = dw_device_kit_must_open(&kit, "b"), *none;
    dw_device_kit_append(a, 'a', 0, 30);
    dw_device_kit_append(b, 'b', 0, 5);
    assert_int_equal(take_off("a"), DWAL_EBUSY);
    dw_device_kit_must_close(a);
    assert_int_equal(take_off("c"), DWAL_ENOLOG);
    assert_int_equal(take_off(""), DWAL_EARGUMENT); /* several */
    assert_int_equal(take_off("a"), 0);
    assert_int_equal(take_off("a"), DWAL_ENOLOG);
    assert_int_equal(take_off(""), DWAL_EARGUMENT); /* the only one, and not its whole name */
    assert_int_equal(dw_device_kit_open(&kit, "a", NULL, &none), DWAL_ENOLOG);
    dw_device_kit_append(b, 'b', 5, 45); /* its writer lives, and needs slots that were the other's */
    dw_device_kit_check(b, 'b', 0, 45);
    dw_device_kit_must_close(b);
    dw_device_kit_check_all_slots(&kit);
    assert_int_equal(take_off("b"), 0);
    assert_int_equal(dw_device_kit_survey(&kit, NULL).slots_free, SLOTS);
    assert_int_equal(dw_device_kit_create(&kit, "a", NULL), 0);
    a = dw_device_kit_must_open(&kit, "a");
    dw_device_kit_check(a, 'a', 0, 0);
    dw_device_kit_must_close(a);
}

/* ---- crashes ---- */

static const char *const names[] = {"a", "b"};

static struct dwal_options options_of(void)
{
    struct dwal_options options;
    dw_crash_options(&options);
    options.blanks = 1;
    return options;
}

static void create(struct dw_disk *disk, int which)
{
    struct dwal_options options = options_of();
    const uint8_t log_id[16] = {1, (uint8_t)(which + 1)};
    options.volume_size = SLOT_SIZE;
    options.block_size = 4096;
    snprintf(disk->part, sizeof disk->part, "%s", names[which]);
    assert_int_equal(dw_log_create_on(disk, &dw_crash_clock, log_id, 0x80000001u, &options), 0);
}

static int open_log(struct dw_disk *disk, int which, dwal **log)
{
    struct dw_log_setup setup = {
        .disk = disk, .clock = &dw_crash_clock, .is_disk_borrowed = true, .is_single_stepped = true};
    struct dwal_options options = options_of();
    snprintf(disk->part, sizeof disk->part, "%s", names[which]);
    return dw_log_open_on(&setup, &options, log);
}

static void append(dwal *log, int which, uint64_t from, uint64_t to)
{
    for (uint64_t i = from; i < to; i++) {
        char bytes[ENTRY_SIZE];
        memset(bytes, 'a' + which, sizeof bytes);
        memcpy(bytes, &i, sizeof i);
        struct iovec part = {.iov_base = bytes, .iov_len = sizeof bytes};
        struct dwal_entry entry = {.data = &part, .data_count = 1};
        assert_int_equal(dwal_commit(log, &entry, NULL, NULL), 0);
        for (int step = 0; step < 100 && dw_log_step_maker(log); step++)
            continue;
    }
}

static uint64_t count_entries(dwal *log, int which)
{
    dwal_cursor *cursor;
    struct dwal_record record;
    uint64_t count = 0;
    assert_int_equal(dwal_cursor_open(log, 0, &cursor), 0);
    for (int result; (result = dwal_cursor_next(cursor, &record)) != DWAL_EEND; count++) {
        assert_int_equal(result, 0);
        assert_int_equal(((const char *)record.data)[ENTRY_SIZE - 1], 'a' + which);
    }
    dwal_cursor_close(cursor);
    return count;
}

struct moments {
    uint64_t begun, ended; /* of the removal */
};

/* Log a: 16 entries in 4 volumes of 4 blocks, then it goes; log b: 6 before, and 14 more, which need what was a's. */
static struct dw_disk *make_history(struct moments *moments)
{
    struct dw_disk *disk = dw_crash_disk(
        &(struct dw_sim_options){.seed = 5, .complete_percent = 40, .alignment = 512, .device_size = DEVICE_SIZE});
    dwal *log;
    for (int which = 0; which < 2; which++) {
        create(disk, which);
        assert_int_equal(open_log(disk, which, &log), 0);
        append(log, which, 0, which == 0 ? 16 : 6);
        assert_int_equal(dwal_close(log), 0);
    }
    moments->begun = dw_sim_event_count(disk);
    snprintf(disk->part, sizeof disk->part, "a");
    assert_int_equal(dw_store_remove_from_device(disk), 0);
    moments->ended = dw_sim_event_count(disk);
    assert_int_equal(open_log(disk, 1, &log), 0);
    append(log, 1, 6, 20);
    dw_log_abandon(log);
    return disk;
}

static bool use_image(struct dw_disk *image, bool must_be, bool must_be_gone)
{
    dwal *log;
    int result = open_log(image, 0, &log);
    assert_true(result == 0 || result == DWAL_ENOLOG);
    assert_true(result == 0 ? !must_be_gone : !must_be);
    if (result == 0) {
        assert_int_equal(count_entries(log, 0), 16);
        assert_int_equal(dwal_close(log), 0);
    }
    assert_int_equal(open_log(image, 1, &log), 0);
    assert_true(count_entries(log, 1) >= 6);
    assert_int_equal(dwal_close(log), 0);
    if (result != 0) { /* another one under its name has nothing of it */
        create(image, 0);
        assert_int_equal(open_log(image, 0, &log), 0);
        assert_int_equal(count_entries(log, 0), 0);
        assert_int_equal(dwal_close(log), 0);
    }
    dw_device_kit_check_slots(image);
    return result == 0;
}

static void a_crash_leaves_a_log_whole_or_gone(void **state)
{
    (void)state;
    struct moments moments;
    struct dw_disk *disk = make_history(&moments);
    struct dw_sim_crash *crash;
    uint64_t whole = 0, gone = 0;
    assert_int_equal(dw_sim_crash_create(disk, NULL, &crash), 0);
    for (uint64_t event = moments.begun; event <= dw_sim_event_count(disk); event++) {
        for (uint64_t seed = 0; seed < SEEDS; seed++) {
            struct dw_disk *image = dw_crash_image(crash, event, seed < 2 ? seed : event + 7 * seed, true);
            bool is_whole = use_image(image, event == moments.begun, event >= moments.ended);
            whole += is_whole;
            gone += !is_whole;
            dw_crash_drop(image);
        }
    }
    printf("removal: events %llu to %llu; %llu images with the log, %llu without\n", (unsigned long long)moments.begun,
           (unsigned long long)moments.ended, (unsigned long long)whole, (unsigned long long)gone);
    assert_true(whole > SEEDS && gone > SEEDS);
    dw_sim_crash_close(crash);
    dw_crash_drop(disk);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(what_a_removed_log_had_the_others_get, set_up, tear_down),
        cmocka_unit_test(a_crash_leaves_a_log_whole_or_gone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
