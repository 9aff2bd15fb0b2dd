/* test_device_store.c - logs on a device: alone and together, quotas, ends that are destroyed. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "alloc/alloc.h"
#include "core/format/codec.h"
#include "core/log/handle.h"
#include "core/log/log.h"
#include "tests/lib/device_kit.h"

enum { SLOTS = 80, DEVICE_END = 2 * 65536 };

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
    return dw_alloc_bytes() == 0 ? 0 : -1;
}

/* ---- one log ---- */

static void a_log_on_a_device_keeps_its_entries(void **state)
{
    (void)state;
    assert_int_equal(dw_device_kit_create(&kit, "", NULL), 0);
    dwal *log = dw_device_kit_must_open(&kit, "");
    dw_device_kit_append(log, 'a', 0, 100); /* about four to a volume */
    dw_device_kit_check(log, 'a', 0, 100);
    dw_device_kit_must_close(log);
    log = dw_device_kit_must_open(&kit, "");
    dw_device_kit_check(log, 'a', 0, 100);
    dw_device_kit_append(log, 'a', 100, 106);
    dw_device_kit_must_close(log);
    dw_device_kit_check_all_slots(&kit);
}

static void a_device_that_is_full_says_so_and_goes_on_after_a_trim(void **state)
{
    (void)state;
    assert_int_equal(dw_device_kit_create(&kit, "", NULL), 0);
    dwal *log = dw_device_kit_must_open(&kit, "");
    uint64_t count = 0;
    for (int result = 0; result == 0; count++) {
        result = dw_device_kit_commit(log, 'a', count);
        assert_true(result == 0 || result == DWAL_ENOSPACE);
        assert_true(count < 2000);
        if (result != 0)
            break;
    }
    assert_true(count > 300);
    dw_device_kit_check(log, 'a', 0, count);
    assert_int_equal(dwal_trim(log, dwal_durable(log)), 0);
    dw_device_kit_append(log, 'a', count, count + 166);
    assert_int_equal(dwal_failure(log, NULL), 0);
    dw_device_kit_must_close(log);
    dw_device_kit_check_all_slots(&kit);
    struct dwal_device device = dw_device_kit_survey(&kit, NULL);
    assert_true(device.uses_least > 0);
    assert_true(device.uses_most <= device.uses_least + 2); /* wear spreads, even so */
}

/* A log whose end has to be cut: the last of the three blocks of its last entry never reached the device. */
static void tear_end(void)
{
    struct dw_disk *disk = dw_device_kit_disk(&kit, "", DW_OPEN_READ);
    struct dw_store_options options = {.is_read_only = true};
    struct dw_store *store;
    static const uint8_t zeros[4096];
    uint8_t block[4096];
    assert_int_equal(dw_store_load(disk, &options, &store), 0);
    const struct dw_geometry *g = &dw_store_superblock(store)->geometry;
    const struct dw_volume *head = dw_store_volume_at(store, dw_store_volume_count(store) - 1);
    uint64_t last = 0;
    for (uint64_t at = dw_place_of_block(g, 0); at < dw_place_of_toc(g); at += sizeof block) {
        struct dw_block_info info;
        dw_device_kit_read(&kit, head->base + at, block, sizeof block);
        uint64_t number = dw_first_block_of_volume(g, head->number) + at / sizeof block - DW_VOLUME_HEADER_BLOCKS;
        if (dw_block_header_decode(g, &dw_store_superblock(store)->identity, block, number, &info) == DW_DECODED_OK)
            last = head->base + at;
    }
    assert_true(last != 0);
    assert_int_equal(dw_store_close(store, false, 0), 0);
    disk->ops->close(disk);
    dw_device_kit_write(&kit, last, zeros, sizeof zeros);
}

/* A log that is stepped by hand, so that a crash can come right behind a trim. */
static dwal *open_stepped(void)
{
    struct dwal_options options = dw_device_kit_options();
    struct dw_log_setup setup = {.disk = dw_device_kit_disk(&kit, "", DW_OPEN_WRITE), .is_single_stepped = true};
    dwal *log;
    options.volume_size = options.blanks = 0;
    if (dw_log_open_on(&setup, &options, &log) != 0)
        fail_msg("open: %s", dwal_last_error()->text);
    return log;
}

/* Until the last volume that can be had has begun. */
static uint64_t fill_stepped(dwal *log)
{
    for (uint64_t count = 0;; count++) {
        bool is_last = dw_store_is_out_of_space(log->store) && !dw_store_next(log->store);
        assert_int_equal(dw_device_kit_commit(log, 'a', count), 0);
        if (is_last)
            return count + 1;
        for (int i = 0; i < 100 && dw_log_step_maker(log); i++)
            continue;
    }
}

static void a_full_device_that_was_trimmed_opens_after_a_crash_right_behind_the_trim(void **state)
{
    (void)state;
    assert_int_equal(dw_device_kit_create(&kit, "", NULL), 0);
    dwal *log = open_stepped();
    uint64_t count = fill_stepped(log);
    assert_true(count > 300);
    dwal_cursor *cursor;
    struct dwal_record record;
    assert_int_equal(dwal_cursor_open(log, 0, &cursor), 0);
    for (int i = 0; i < 100; i++)
        assert_int_equal(dwal_cursor_next(cursor, &record), 0);
    assert_int_equal(dwal_trim(log, record.lsn), 0); /* and the maker has not yet retired anything */
    dwal_cursor_close(cursor);
    dw_log_abandon(log);
    tear_end();
    log = dw_device_kit_must_open(&kit, "");
    dw_device_kit_check(log, 'a', 99, count - 1);
    dw_device_kit_append(log, 'a', count - 1, count + 20);
    dw_device_kit_must_close(log);
    dw_device_kit_check_all_slots(&kit);
}

static void open_reads_each_slot_once_and_each_table_once(void **state)
{
    (void)state;
    assert_int_equal(dw_device_kit_create(&kit, "", NULL), 0);
    dwal *log = dw_device_kit_must_open(&kit, "");
    dw_device_kit_append(log, 'a', 0, 200);
    dw_device_kit_must_close(log);
    struct dw_device_kit_logs logs;
    struct dwal_device device = dw_device_kit_survey(&kit, &logs);
    struct dw_disk *disk = dw_device_kit_disk(&kit, "", DW_OPEN_READ);
    struct dw_store_options options = {.is_read_only = true};
    struct dw_store *store;
    assert_int_equal(dw_store_load(disk, &options, &store), 0);
    uint64_t used = device.slots - device.slots_never_used;
    assert_int_equal(dw_store_volume_count(store), logs.logs[0].volumes);
    /* 4 of the device's superblock to find the log, 4 of the log's, 4 of the device's again to know its slots, one of each
     * slot, one table of each volume */
    assert_int_equal(dw_store_read_count(store), 12 + used + logs.logs[0].volumes);
    assert_int_equal(dw_store_close(store, false, 0), 0);
    disk->ops->close(disk);
}

static void nothing_is_allocated_while_a_log_is_written(void **state)
{
    (void)state;
    assert_int_equal(dw_device_kit_create(&kit, "", NULL), 0);
    dwal *log = dw_device_kit_must_open(&kit, "");
    dw_device_kit_append(log, 'a', 0, 20);
    uint64_t before = dw_alloc_count();
    for (uint64_t i = 20; i < 160; i += 20) { /* through half of the device, and volumes come back */
        dw_device_kit_append(log, 'a', i, i + 20);
        assert_int_equal(dwal_trim(log, dwal_durable(log)), 0);
    }
    assert_int_equal(dw_alloc_count(), before);
    dw_device_kit_must_close(log);
}

static void blocks_of_every_size_fit(void **state)
{
    (void)state;
    dw_device_kit_resize(&kit, 40u << 20);
    for (uint32_t block_size = 8192; block_size <= 65536; block_size *= 2) {
        struct dwal_options options = dw_device_kit_options();
        options.is_forced = true;
        options.block_size = block_size;
        options.sector_size = 4096;
        options.ring_size = 16 * (uint64_t)block_size;
        options.write_size_max = block_size;
        options.volume_size = 16 * (uint64_t)block_size;
        assert_int_equal(dw_device_kit_create(&kit, "", &options), 0);
        options.is_forced = false;
        dwal *log;
        assert_int_equal(dw_device_kit_open(&kit, "", &options, &log), 0);
        dw_device_kit_append(log, 'a', 0, 60);
        dw_device_kit_must_close(log);
        dw_device_kit_spoil(&kit, 0, 65536 * 2); /* the near copies of the device's superblock */
        assert_int_equal(dw_device_kit_open(&kit, "", &options, &log), 0);
        dw_device_kit_check(log, 'a', 0, 60);
        dw_device_kit_must_close(log);
        dw_device_kit_check_all_slots(&kit);
    }
}

/* ---- several logs ---- */

static void logs_of_one_device_do_not_see_each_other(void **state)
{
    (void)state;
    dwal *a, *b;
    assert_int_equal(dw_device_kit_create(&kit, "a", NULL), 0);
    assert_int_equal(dw_device_kit_create(&kit, "b", NULL), 0);
    a = dw_device_kit_must_open(&kit, "a");
    b = dw_device_kit_must_open(&kit, "b");
    for (uint64_t i = 0; i < 66; i += 6) {
        dw_device_kit_append(a, 'a', i, i + 6);
        dw_device_kit_append(b, 'b', 2 * i, 2 * i + 12);
    }
    dw_device_kit_must_close(b);
    dw_device_kit_check(a, 'a', 0, 66);
    dw_device_kit_must_close(a);
    a = dw_device_kit_must_open(&kit, "a");
    b = dw_device_kit_must_open(&kit, "b");
    dw_device_kit_check(a, 'a', 0, 66);
    dw_device_kit_check(b, 'b', 0, 132);
    dw_device_kit_must_close(a);
    dw_device_kit_must_close(b);
    dw_device_kit_check_all_slots(&kit);
}

static void names_are_needed_unique_and_known(void **state)
{
    (void)state;
    dwal *log;
    assert_int_equal(dw_device_kit_create(&kit, "a", NULL), 0);
    dw_device_kit_must_close(dw_device_kit_must_open(&kit, "")); /* the only one needs no name */
    assert_int_equal(dw_device_kit_create(&kit, "a", NULL), DWAL_EEXIST);
    assert_int_equal(dw_device_kit_create(&kit, "b", NULL), 0);
    assert_int_equal(dw_device_kit_open(&kit, "", NULL, &log), DWAL_EARGUMENT);
    assert_non_null(strstr(dwal_last_error()->text, "#a, #b"));
    assert_int_equal(dw_device_kit_open(&kit, "c", NULL, &log), DWAL_ENOLOG);
    assert_int_equal(dw_device_kit_create(&kit, "", NULL), 0);
    dw_device_kit_must_close(dw_device_kit_must_open(&kit, ""));
    dw_device_kit_check_all_slots(&kit);
}

static void one_log_has_one_writer_and_a_device_many(void **state)
{
    (void)state;
    dwal *a, *b, *second;
    assert_int_equal(dw_device_kit_create(&kit, "a", NULL), 0);
    assert_int_equal(dw_device_kit_create(&kit, "b", NULL), 0);
    a = dw_device_kit_must_open(&kit, "a");
    b = dw_device_kit_must_open(&kit, "b");
    assert_int_equal(dw_device_kit_open(&kit, "a", NULL, &second), DWAL_EBUSY);
    struct dw_device_kit_logs logs;
    dw_device_kit_survey(&kit, &logs);
    assert_true(logs.logs[0].has_live_writer && logs.logs[1].has_live_writer);
    dw_device_kit_must_close(a); /* it had the exclusive open: the other goes on */
    dw_device_kit_append(b, 'b', 0, 33);
    second = dw_device_kit_must_open(&kit, "a");
    dw_device_kit_must_close(second);
    dw_device_kit_must_close(b);
}

static void a_log_keeps_to_its_quota(void **state)
{
    (void)state;
    struct dwal_options options = dw_device_kit_options();
    options.quota = 4 * DW_DEVICE_KIT_VOLUME;
    assert_int_equal(dw_device_kit_create(&kit, "small", &options), 0);
    assert_int_equal(dw_device_kit_create(&kit, "large", NULL), 0);
    dwal *log = dw_device_kit_must_open(&kit, "small");
    int result = 0;
    for (uint64_t i = 0; i < 100 && result == 0; i++)
        result = dw_device_kit_commit(log, 'x', i);
    assert_int_equal(result, DWAL_ENOSPACE);
    struct dw_device_kit_logs logs;
    dw_device_kit_survey(&kit, &logs);
    assert_int_equal(logs.logs[0].volumes + logs.logs[0].blanks, 4);
    assert_int_equal(logs.logs[0].quota, 4);
    dw_device_kit_must_close(log);
    options.quota = DW_DEVICE_KIT_VOLUME;
    assert_int_equal(dw_device_kit_create(&kit, "tiny", &options), DWAL_EARGUMENT);
}

static void what_one_log_gives_back_another_one_gets(void **state)
{
    (void)state;
    assert_int_equal(dw_device_kit_create(&kit, "a", NULL), 0);
    assert_int_equal(dw_device_kit_create(&kit, "b", NULL), 0);
    dwal *a = dw_device_kit_must_open(&kit, "a"), *b = dw_device_kit_must_open(&kit, "b");
    dw_device_kit_append(a, 'a', 0, 300); /* 70 slots of 80: more than its share, as nobody else needs them */
    assert_int_equal(dwal_trim(a, dwal_durable(a)), 0);
    dw_device_kit_append(b, 'b', 0, 300);
    dw_device_kit_check(b, 'b', 0, 300);
    dw_device_kit_must_close(a);
    dw_device_kit_must_close(b);
    dw_device_kit_check_all_slots(&kit);
}

/* ---- old content ---- */

static void a_slot_of_another_log_is_filled_before_it_is_a_blank(void **state)
{
    (void)state;
    assert_int_equal(dw_device_kit_create(&kit, "a", NULL), 0);
    dwal *a = dw_device_kit_must_open(&kit, "a");
    dw_device_kit_append(a, 'a', 0, 333);
    assert_int_equal(dwal_trim(a, dwal_durable(a)), 0);
    dw_device_kit_wait_free(&kit, 60);
    dw_device_kit_must_close(a);
    assert_int_equal(dw_device_kit_create(&kit, "b", NULL), 0);
    dwal *b = dw_device_kit_must_open(&kit, "b");
    dw_device_kit_append(b, 'b', 0, 133);
    struct dw_device_kit_logs logs;
    struct dwal_device device;
    dw_device_kit_must_close(b);
    for (device = dw_device_kit_survey(&kit, &logs); logs.logs[1].blanks == 0;
         device = dw_device_kit_survey(&kit, &logs)) { /* the maker was at work on one */
        b = dw_device_kit_must_open(&kit, "b");
        usleep(20000);
        dw_device_kit_must_close(b);
    }
    uint64_t slots_at = dw_device_kit_size(0) / 2;
    uint32_t blanks = 0;
    for (uint32_t slot = 0; slot < device.slots; slot++) {
        static uint8_t bytes[DW_DEVICE_KIT_VOLUME], zeros[DW_DEVICE_KIT_VOLUME];
        struct dw_slot_info info;
        dw_device_kit_read(&kit, slots_at + slot * DW_DEVICE_KIT_VOLUME, bytes, sizeof bytes);
        if (dw_slot_header_decode(device.device_id, bytes, slot, &info) != DW_DECODED_OK ||
            info.state != DW_SLOT_STATE_BLANK || memcmp(info.log_id, logs.logs[1].log_id, 16) != 0)
            continue;
        assert_memory_equal(bytes + 8192, zeros, sizeof bytes - 8192);
        blanks++;
    }
    assert_true(blanks > 0);
}

/* ---- damage ---- */

static bool is_repairable(void)
{
    struct dw_disk *disk = dw_device_kit_disk(&kit, "", DW_OPEN_READ);
    struct dw_store_options options = {.is_read_only = true};
    struct dw_store *store;
    assert_int_equal(dw_store_load(disk, &options, &store), 0);
    bool is_half = dw_store_superblock_copies(store) < 2;
    assert_int_equal(dw_store_close(store, false, 0), 0);
    disk->ops->close(disk);
    return is_half;
}

static void either_end_may_be_destroyed_and_is_mended(void **state)
{
    (void)state;
    assert_int_equal(dw_device_kit_create(&kit, "", NULL), 0);
    dwal *log = dw_device_kit_must_open(&kit, "");
    dw_device_kit_append(log, 'a', 0, 33);
    dw_device_kit_must_close(log);
    size_t area = (size_t)dw_device_kit_size(0) / 2;
    for (uint64_t i = 0; i < 4; i++) {
        uint64_t at = i % 2 == 0 ? 0 : dw_device_kit_size(SLOTS) - area;
        dw_device_kit_spoil(&kit, at, area);
        assert_true(is_repairable());
        log = dw_device_kit_must_open(&kit, "");
        dw_device_kit_check(log, 'a', 0, 33 + i);
        dw_device_kit_append(log, 'a', 33 + i, 34 + i);
        dw_device_kit_must_close(log);
        assert_false(is_repairable());
    }
    dw_device_kit_check_all_slots(&kit);
}

static void one_slot_of_the_superblock_lost_at_both_ends_stops_writers(void **state)
{
    (void)state;
    dwal *log;
    assert_int_equal(dw_device_kit_create(&kit, "", NULL), 0);
    dw_device_kit_spoil(&kit, 0, 4096);
    dw_device_kit_spoil(&kit, dw_device_kit_size(SLOTS) - DEVICE_END, 4096);
    assert_int_equal(dw_device_kit_open(&kit, "", NULL, &log), DWAL_ECORRUPT);
    struct dwal_options options = dw_device_kit_options();
    options.mode = DWAL_READ_ONLY;
    if (dw_device_kit_open(&kit, "", &options, &log) == 0) /* the older slot may not know the log yet */
        dw_device_kit_must_close(log);
}

static void a_slot_claimed_twice_is_found(void **state)
{
    (void)state;
    dwal *log;
    assert_int_equal(dw_device_kit_create(&kit, "", NULL), 0);
    log = dw_device_kit_must_open(&kit, "");
    dw_device_kit_append(log, 'a', 0, 66);
    dw_device_kit_must_close(log);
    /* The headers of slot 0, volume 0, in slot 3, as if that one had been claimed for volume 0 as well. */
    uint64_t slots_at = dw_device_kit_size(0) / 2;
    static uint8_t block[4096];
    struct dw_volume_info info;
    struct dw_volume_header header;
    struct dw_identity identity;
    dw_device_kit_read(&kit, slots_at, block, sizeof block);
    assert_int_equal(dw_volume_header_decode(NULL, NULL, block, DW_VOLUME_NUMBER_NONE, &info), DW_DECODED_OK);
    memcpy(&header, block, sizeof header);
    dw_identity_init(&identity, header.log_id, 0x87654321u);
    info.slot = 4;
    dw_volume_header_encode(&info.geometry, &identity, &info, block);
    for (uint64_t copy = 0; copy < 2; copy++)
        dw_device_kit_write(&kit, slots_at + 3 * DW_DEVICE_KIT_VOLUME + copy * 4096, block, sizeof block);
    assert_int_equal(dw_device_kit_open(&kit, "", NULL, &log), DWAL_ECORRUPT);
    assert_non_null(strstr(dwal_last_error()->text, "claimed twice"));
}

static void a_slot_with_damaged_headers_is_left_alone(void **state)
{
    (void)state;
    assert_int_equal(dw_device_kit_create(&kit, "", NULL), 0);
    dwal *log = dw_device_kit_must_open(&kit, "");
    dw_device_kit_append(log, 'a', 0, 333);
    assert_int_equal(dwal_trim(log, dwal_durable(log)), 0);
    dw_device_kit_wait_free(&kit, 60);
    dw_device_kit_must_close(log);
    uint64_t slots_at = dw_device_kit_size(0) / 2;
    struct dwal_device device = dw_device_kit_survey(&kit, NULL);
    uint32_t slot = 0;
    static uint8_t block[4096];
    struct dw_slot_info info;
    do /* any free one */
        dw_device_kit_read(&kit, slots_at + slot * DW_DEVICE_KIT_VOLUME, block, sizeof block);
    while ((dw_slot_header_decode(device.device_id, block, slot, &info) != DW_DECODED_OK ||
            info.state != DW_SLOT_STATE_FREE) &&
           ++slot < SLOTS);
    assert_true(slot < SLOTS);
    dw_device_kit_spoil(&kit, slots_at + slot * DW_DEVICE_KIT_VOLUME, DW_DEVICE_KIT_VOLUME);
    log = dw_device_kit_must_open(&kit, "");
    dw_device_kit_append(log, 'a', 333, 633);
    dw_device_kit_must_close(log);
    assert_int_equal(dw_device_kit_survey(&kit, NULL).slots_damaged, 1);
    dw_device_kit_read(&kit, slots_at + slot * DW_DEVICE_KIT_VOLUME, block, sizeof block);
    for (size_t i = 0; i < sizeof block; i++)
        assert_int_equal(block[i], 0xdb);
}

static void either_header_of_a_slot_is_enough(void **state)
{
    (void)state;
    assert_int_equal(dw_device_kit_create(&kit, "", NULL), 0);
    dwal *log = dw_device_kit_must_open(&kit, "");
    dw_device_kit_append(log, 'a', 0, 100);
    dw_device_kit_must_close(log);
    uint64_t slots_at = dw_device_kit_size(0) / 2;
    for (uint64_t slot = 0; slot < 7; slot++)
        dw_device_kit_spoil(&kit, slots_at + slot * DW_DEVICE_KIT_VOLUME + slot % 2 * 4096, 4096);
    log = dw_device_kit_must_open(&kit, "");
    dw_device_kit_check(log, 'a', 0, 100);
    dw_device_kit_must_close(log);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(a_log_on_a_device_keeps_its_entries),
        TEST(a_device_that_is_full_says_so_and_goes_on_after_a_trim),
        TEST(a_full_device_that_was_trimmed_opens_after_a_crash_right_behind_the_trim),
        TEST(open_reads_each_slot_once_and_each_table_once),
        TEST(blocks_of_every_size_fit),
        TEST(nothing_is_allocated_while_a_log_is_written),
        TEST(logs_of_one_device_do_not_see_each_other),
        TEST(names_are_needed_unique_and_known),
        TEST(one_log_has_one_writer_and_a_device_many),
        TEST(a_log_keeps_to_its_quota),
        TEST(what_one_log_gives_back_another_one_gets),
        TEST(a_slot_of_another_log_is_filled_before_it_is_a_blank),
        TEST(either_end_may_be_destroyed_and_is_mended),
        TEST(one_slot_of_the_superblock_lost_at_both_ends_stops_writers),
        TEST(a_slot_claimed_twice_is_found),
        TEST(a_slot_with_damaged_headers_is_left_alone),
        TEST(either_header_of_a_slot_is_enough),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
