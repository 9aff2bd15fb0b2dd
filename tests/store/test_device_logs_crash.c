/* test_device_logs_crash.c - crashes of a simulated device with two logs on it, from the making of the first one on: each log
 * keeps what it acknowledged and sees nothing of the other, and no slot is lost.
 *
 * The logs are single-stepped in one thread and take turns; every entry is marked in the history when it is acknowledged. At
 * moments all over the history crash images are taken: opened, read, written on, closed, and their slots counted. */
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

enum {
    SLOT_SIZE = 7 * 4096, /* four data blocks */
    SLOTS = 14,
    ENTRY_SIZE = 3000,
    ROUNDS = 26,
    MARK_CREATED = 100, /* + log */
    MARK_ACKED = 200,
    MARK_TRIM = 300,
    MAKER_STEPS = 400,
};
#define DEVICE_SIZE (2 * (UINT64_C(384) << 10) + (uint64_t)SLOTS * SLOT_SIZE)
#ifdef DW_SANITIZED
#define STRIDE 41u
#define SEEDS  3u
#else
#define STRIDE 1u
#define SEEDS  12u
#endif

static const char *const names[] = {"a", "b"};

struct seen {
    uint64_t acked[2], trimmed[2]; /* entries */
    bool is_created[2];
};

static struct dwal_options options_of(void)
{
    struct dwal_options options;
    dw_crash_options(&options);
    options.blanks = 1;
    options.in_flight_writes = 2;
    options.write_size_max = 8192;
    return options;
}

static int create(struct dw_disk *disk, int log)
{
    struct dwal_options options = options_of();
    const uint8_t log_id[16] = {1, (uint8_t)(log + 1)};
    options.volume_size = SLOT_SIZE;
    options.block_size = 4096;
    snprintf(disk->part, sizeof disk->part, "%s", names[log]);
    /* The same key on purpose: the tags of one log look like the other's. */
    return dw_log_create_on(disk, &dw_crash_clock, log_id, 0x80000001u, &options);
}

static int open_log(struct dw_disk *disk, int log, enum dwal_mode mode, dwal **handle)
{
    struct dw_log_setup setup = {
        .disk = disk, .clock = &dw_crash_clock, .is_disk_borrowed = true, .is_single_stepped = true};
    struct dwal_options options = options_of();
    options.mode = mode;
    snprintf(disk->part, sizeof disk->part, "%s", names[log]);
    return dw_log_open_on(&setup, &options, handle);
}

static void run_maker(dwal *log)
{
    for (int i = 0; i < MAKER_STEPS && dw_log_step_maker(log); i++)
        continue;
}

static int commit(dwal *log, int which, uint64_t number, uint64_t *end)
{
    char bytes[ENTRY_SIZE];
    memset(bytes, 'a' + which, sizeof bytes);
    memcpy(bytes, &number, sizeof number);
    struct iovec part = {.iov_base = bytes, .iov_len = sizeof bytes};
    struct dwal_entry entry = {.data = &part, .data_count = 1};
    return dwal_commit(log, &entry, NULL, end);
}

/* ---- the history ---- */

static void append_and_trim(struct dw_disk *disk, dwal *log, int which, uint64_t *next)
{
    uint64_t end = 0;
    for (int i = 0; i < 3; i++) {
        assert_int_equal(commit(log, which, *next, &end), 0);
        dw_sim_mark(disk, MARK_ACKED + (uint32_t)which, ++*next);
        for (int step = 0; step < 3; step++)
            dw_log_step_maker(log);
    }
    if (*next % 9 != 0)
        return;
    dw_sim_mark(disk, MARK_TRIM + (uint32_t)which, *next); /* from here on they may be gone */
    assert_int_equal(dwal_trim(log, end), 0);
    run_maker(log);
}

static struct dw_disk *make_history(void)
{
    struct dw_disk *disk = dw_crash_disk(
        &(struct dw_sim_options){.seed = 3, .complete_percent = 40, .alignment = 512, .device_size = DEVICE_SIZE});
    dwal *logs[2] = {0};
    uint64_t next[2] = {0};
    for (int round = 0; round < ROUNDS; round++) {
        for (int which = 0; which < 2; which++) {
            if (round == 4 * which) {
                assert_int_equal(create(disk, which), 0);
                dw_sim_mark(disk, MARK_CREATED + (uint32_t)which, 1);
            }
            if (round < 4 * which)
                continue;
            if (!logs[which])
                assert_int_equal(open_log(disk, which, DWAL_WRITE, &logs[which]), 0);
            append_and_trim(disk, logs[which], which, &next[which]);
            if ((round + which) % 7 == 3) { /* the process ends, cleanly or not */
                if (round % 2 == 0)
                    assert_int_equal(dwal_close(logs[which]), 0);
                else
                    dw_log_abandon(logs[which]);
                logs[which] = NULL;
            }
        }
    }
    for (int which = 0; which < 2; which++)
        if (logs[which])
            dw_log_abandon(logs[which]);
    return disk;
}

static void see(struct dw_disk *disk, uint64_t from, uint64_t to, struct seen *seen)
{
    for (uint64_t i = from; i < to; i++) {
        const struct dw_sim_event *event = dw_sim_event_at(disk, i);
        if (event->kind != DW_SIM_MARK)
            continue;
        for (uint32_t which = 0; which < 2; which++) {
            if (event->mark == MARK_CREATED + which)
                seen->is_created[which] = true;
            if (event->mark == MARK_ACKED + which)
                seen->acked[which] = event->value;
            if (event->mark == MARK_TRIM + which)
                seen->trimmed[which] = event->value;
        }
    }
}

/* ---- looking at an image ---- */

/* Entries from some number at or below `trimmed` to at least `acked`, without a gap, all of this log. Answers the end. */
static uint64_t read_all(dwal *log, int which, const struct seen *seen)
{
    dwal_cursor *cursor;
    struct dwal_record record;
    uint64_t next = UINT64_MAX;
    assert_int_equal(dwal_cursor_open(log, 0, &cursor), 0);
    for (int result; (result = dwal_cursor_next(cursor, &record)) != DWAL_EEND;) {
        uint64_t number;
        const char *bytes = record.data;
        assert_int_equal(result, 0);
        assert_int_equal(record.data_size, ENTRY_SIZE);
        memcpy(&number, bytes, sizeof number);
        assert_int_equal(bytes[ENTRY_SIZE - 1], 'a' + which);
        assert_true(next == UINT64_MAX ? number <= seen->trimmed[which] : number == next);
        next = number + 1;
    }
    dwal_cursor_close(cursor);
    next = next == UINT64_MAX ? seen->acked[which] : next; /* all of it was trimmed away, or nothing was ever there */
    assert_true(next >= seen->acked[which]);
    return next;
}

static void use_log(struct dw_disk *image, int which, const struct seen *seen)
{
    dwal *log;
    uint64_t end = 0;
    int result = open_log(image, which, DWAL_READ_ONLY, &log);
    if (result == DWAL_ENOLOG && !seen->is_created[which]) { /* its making can be begun again */
        if (create(image, which) != 0)
            fail_msg("making log %s: %s", names[which], dwal_last_error()->text);
    } else {
        if (result != 0)
            fail_msg("log %s: %s", names[which], dwal_last_error()->text);
        (void)read_all(log, which, seen);
        dw_log_abandon(log);
    }
    if (open_log(image, which, DWAL_WRITE, &log) != 0)
        fail_msg("log %s: %s", names[which], dwal_last_error()->text);
    uint64_t next = read_all(log, which, seen);
    for (uint64_t i = 0; i < 6; i++) {
        run_maker(log);
        assert_int_equal(commit(log, which, next + i, &end), 0);
    }
    assert_int_equal(dwal_trim(log, end), 0);
    run_maker(log);
    assert_int_equal(dwal_close(log), 0);
}

static void a_crash_loses_no_entry_and_no_slot(void **state)
{
    (void)state;
    struct dw_disk *disk = make_history();
    struct dw_sim_crash *crash;
    struct seen seen = {0};
    uint64_t count = dw_sim_event_count(disk), images = 0;
    assert_int_equal(dw_sim_crash_create(disk, NULL, &crash), 0);
    for (uint64_t event = 0; event <= count; event += STRIDE) {
        see(disk, event > STRIDE ? event - STRIDE : 0, event, &seen);
        for (uint64_t seed = 0; seed < SEEDS; seed++, images++) {
            struct dw_disk *image = dw_crash_image(crash, event, seed < 2 ? seed : event + 7, true);
            use_log(image, 0, &seen);
            use_log(image, 1, &seen);
            dw_device_kit_check_slots(image);
            dw_crash_drop(image);
        }
    }
    printf("%llu events, %llu images\n", (unsigned long long)count, (unsigned long long)images);
    dw_sim_crash_close(crash);
    dw_crash_drop(disk);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_crash_loses_no_entry_and_no_slot),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
