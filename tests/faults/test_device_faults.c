/* test_device_faults.c - a device that fails, at every call in turn, and memory that runs out, while a log is made on it, opened,
 * written, trimmed and closed: an error or none, never an assertion; what was acknowledged is there when the device is well
 * again, and every slot is accounted for. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "alloc/alloc.h"
#include "core/log/log.h"
#include "tests/lib/crash_check.h"
#include "tests/lib/crash_disk.h"
#include "tests/lib/device_kit.h"

enum { SLOT_SIZE = 7 * 4096, SLOTS = 9, ENTRY_SIZE = 3000, ENTRIES = 40, MAKER_STEPS = 60 };
#define DEVICE_SIZE (2 * (UINT64_C(384) << 10) + (uint64_t)SLOTS * SLOT_SIZE)
#ifdef DW_SANITIZED
#define STRIDE 9u
#else
#define STRIDE 1u
#endif

static struct dwal_options options_of(void)
{
    struct dwal_options options;
    dw_crash_options(&options);
    options.blanks = 1;
    return options;
}

static struct dw_disk *make_disk(void)
{
    return dw_crash_disk(&(struct dw_sim_options){
        .seed = 5, .complete_percent = 100, .alignment = 512, .device_size = DEVICE_SIZE, .is_history_off = true});
}

static int create(struct dw_disk *disk)
{
    struct dwal_options options = options_of();
    const uint8_t log_id[16] = {1, 2, 3};
    options.volume_size = SLOT_SIZE;
    options.block_size = 4096;
    return dw_log_create_on(disk, &dw_crash_clock, log_id, 0x80000001u, &options);
}

static int open_log(struct dw_disk *disk, dwal **log)
{
    struct dw_log_setup setup = {
        .disk = disk, .clock = &dw_crash_clock, .is_disk_borrowed = true, .is_single_stepped = true};
    struct dwal_options options = options_of();
    return dw_log_open_on(&setup, &options, log);
}

static int append(dwal *log, uint64_t number, uint64_t *end)
{
    char bytes[ENTRY_SIZE] = {0};
    memcpy(bytes, &number, sizeof number);
    struct iovec part = {.iov_base = bytes, .iov_len = sizeof bytes};
    struct dwal_entry entry = {.data = &part, .data_count = 1};
    for (int i = 0; i < MAKER_STEPS && dw_log_step_maker(log); i++)
        continue;
    return dwal_commit(log, &entry, NULL, end);
}

struct told {
    bool is_created;
    uint64_t acked, trimmed;
};

/* A life that goes on until something fails. */
static void live(struct dw_disk *disk, struct told *told)
{
    dwal *log;
    *told = (struct told){0};
    if (create(disk) != 0)
        return;
    told->is_created = true;
    for (int part = 0; part < 2; part++) {
        if (open_log(disk, &log) != 0)
            return;
        for (uint64_t i = 0; i < ENTRIES / 2; i++) {
            uint64_t end;
            if (append(log, told->acked, &end) != 0)
                break;
            told->acked++;
            if (told->acked % 10 != 0)
                continue;
            told->trimmed = told->acked;
            if (dwal_trim(log, end) != 0)
                break;
        }
        if (part == 0)
            (void)dwal_close(log);
        else
            dw_log_abandon(log);
    }
}

/* The device is well again. */
static void check(struct dw_disk *disk, const struct told *told)
{
    dwal *log;
    dwal_cursor *cursor;
    struct dwal_record record;
    int result = open_log(disk, &log);
    if (result == DWAL_ENOLOG && !told->is_created) {
        if (create(disk) != 0)
            fail_msg("making it again: %s", dwal_last_error()->text);
        result = open_log(disk, &log);
    }
    if (result != 0)
        fail_msg("after the faults: %s", dwal_last_error()->text);
    uint64_t next = UINT64_MAX, end;
    assert_int_equal(dwal_cursor_open(log, 0, &cursor), 0);
    while (dwal_cursor_next(cursor, &record) == 0) {
        uint64_t number;
        memcpy(&number, record.data, sizeof number);
        assert_true(next == UINT64_MAX ? number <= told->trimmed : number == next);
        next = number + 1;
    }
    dwal_cursor_close(cursor);
    assert_true(next == UINT64_MAX ? told->trimmed == told->acked : next >= told->acked);
    for (uint64_t i = 0; i < 3; i++)
        assert_int_equal(append(log, i, &end), 0);
    assert_int_equal(dwal_close(log), 0);
    dw_device_kit_check_slots(disk);
}

static void sweep(enum dw_sim_fault_kind kind, bool is_sticky)
{
    struct told told;
    uint64_t failed = 0;
    for (uint64_t at = 1;; at += STRIDE) {
        struct dw_disk *disk = make_disk();
        dw_sim_fault(disk, &(struct dw_sim_fault){.kind = kind, .at = at, .is_sticky = is_sticky});
        live(disk, &told);
        bool is_past = dw_sim_call_count(disk, kind) < at;
        dw_sim_faults_clear(disk);
        check(disk, &told);
        dw_crash_drop(disk);
        assert_int_equal(dw_alloc_bytes(), 0);
        if (is_past)
            break;
        failed++;
    }
    printf("%llu calls failed in turn\n", (unsigned long long)failed);
    assert_true(failed > 1);
}

static void a_write_fails_at_every_place(void **state)
{
    (void)state;
    sweep(DW_SIM_FAULT_WRITE, false);
    sweep(DW_SIM_FAULT_WRITE, true);
    sweep(DW_SIM_FAULT_WRITE_DONE, false);
}

static void a_sync_fails_at_every_place(void **state)
{
    (void)state;
    sweep(DW_SIM_FAULT_SYNC, false);
    sweep(DW_SIM_FAULT_SYNC, true);
}

static void a_read_fails_at_every_place(void **state)
{
    (void)state;
    sweep(DW_SIM_FAULT_READ, false);
    sweep(DW_SIM_FAULT_READ, true);
}

static void memory_runs_out_at_every_place(void **state)
{
    (void)state;
    struct told told;
    for (uint64_t at = 1; at < 4000; at += STRIDE) {
        struct dw_disk *disk = make_disk();
        uint64_t before = dw_alloc_count();
        dw_alloc_fail_at(at, at % 2 == 0);
        live(disk, &told);
        bool is_past = dw_alloc_count() - before < at;
        dw_alloc_fail_at(0, false);
        check(disk, &told);
        dw_crash_drop(disk);
        assert_int_equal(dw_alloc_bytes(), 0);
        if (is_past)
            return;
    }
    fail();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_write_fails_at_every_place),
        cmocka_unit_test(a_sync_fails_at_every_place),
        cmocka_unit_test(a_read_fails_at_every_place),
        cmocka_unit_test(memory_runs_out_at_every_place),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
