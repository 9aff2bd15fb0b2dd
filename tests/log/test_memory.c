/* test_memory.c - the bound on a log's memory that the header states: never passed, at open, in use and in recovery, for rings,
 * tables and volumes of several sizes, cursors included; and not so generous that it says nothing. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <dwal/dwal.h>

#include "alloc/alloc.h"
#include "tests/lib/log_kit.h"
#include "tests/lib/shell.h"

#define MIB (UINT64_C(1) << 20)

static void need(int result)
{
    if (result != 0)
        fail_msg("%s", dwal_last_error()->text);
}

static uint64_t write_table(void *context, uint32_t volume, uint64_t first, uint64_t end, bool spill, void *table,
                            uint32_t capacity)
{
    (void)context, (void)volume, (void)first, (void)end, (void)spill;
    memset(table, 7, capacity);
    return capacity;
}

static uint64_t held_now(dwal *log)
{
    static struct dwal_stats stats;
    stats.size = sizeof stats;
    need(dwal_get_stats(log, &stats));
    return stats.memory_bytes;
}

/* Bytes that an idle process holds before the log is opened are not the log's. */
static void check_peak(const char *when, const struct dwal_options *options, uint64_t volumes, uint64_t before,
                       uint64_t more)
{
    uint64_t peak = dw_alloc_peak() - before, bound = dwal_memory_bound(options, volumes) + more;
    print_message("%-28s peak %8.2f MiB, bound %8.2f MiB\n", when, (double)peak / (double)MIB,
                  (double)bound / (double)MIB);
    assert_true(peak <= bound);
    assert_true(bound <= peak + 12 * MIB + more + volumes * 1024); /* it says something */
}

static void append_many(dwal *log, size_t size, uint64_t count)
{
    static char bytes[300000];
    struct iovec part = {.iov_base = bytes, .iov_len = size};
    struct dwal_entry entry = {.data = &part, .data_count = 1};
    uint64_t end = 0;
    for (uint64_t i = 0; i < count; i++)
        need(dwal_append(log, &entry, NULL, &end));
    need(dwal_sync(log, end));
}

static void live_at(const char *path, struct dwal_options *options, uint64_t volumes)
{
    need(dwal_create(path, options));
    uint64_t before = dw_alloc_bytes();
    dw_alloc_peak_reset();
    dwal *log = NULL;
    need(dwal_open(path, options, &log));
    append_many(log, 100000, (volumes - 4) * options->volume_size / 100500);
    assert_true(held_now(log) - before <= dwal_memory_bound(options, volumes));
    check_peak("open, write", options, volumes, before, 0);
    dwal_cursor *cursors[6];
    struct dwal_record record;
    append_many(log, 300000, 1);
    for (int i = 0; i < 6; i++) {
        need(dwal_cursor_open(log, 0, &cursors[i]));
        int result;
        while ((result = dwal_cursor_next(cursors[i], &record)) == 0)
            ;
        assert_int_equal(result, DWAL_EEND);
    }
    check_peak("six cursors", options, volumes, before, 6 * (4 * MIB + 2 * 300000));
    for (int i = 0; i < 6; i++)
        dwal_cursor_close(cursors[i]);
    need(dwal_close(log));
    assert_int_equal(dw_alloc_bytes(), before);
    dw_alloc_peak_reset();
    need(dwal_open(path, options, &log));
    check_peak("open again", options, volumes, before, 0);
    need(dwal_close(log));
    dw_alloc_peak_reset();
    options->mode = DWAL_READ_ONLY;
    need(dwal_open(path, options, &log));
    check_peak("open read-only", options, volumes, before, 0);
    need(dwal_close(log));
    assert_int_equal(dw_alloc_bytes(), before);
    options->mode = DWAL_WRITE;
}

static void live(struct dwal_options *options, uint64_t volumes)
{
    live_at(dw_log_kit_path, options, volumes);
}

static void the_bound_holds_for_the_defaults(void **state)
{
    (void)state;
    struct dwal_options options = DWAL_OPTIONS_INIT;
    options.volume_size = 1 << 20;
    options.backend = dw_log_kit_backend;
    live(&options, 12);
}

static void the_bound_holds_for_a_small_ring_and_many_volumes(void **state)
{
    (void)state;
    struct dwal_options options = dw_log_kit_options();
    options.volume_size = 128 << 10;
    live(&options, 100);
}

static void the_bound_holds_for_large_tables_that_are_kept(void **state)
{
    (void)state;
    struct dwal_options options = dw_log_kit_options();
    options.volume_size = 4 << 20;
    options.toc_length = 1 << 20;
    options.table_keep = 100000;
    options.table = write_table;
    live(&options, 8);
}

static void the_bound_holds_for_large_blocks(void **state)
{
    (void)state;
    struct dwal_options options = dw_log_kit_options();
    options.volume_size = 2 << 20;
    options.block_size = 65536;
    options.ring_size = 4 << 20;
    options.write_size_max = 1 << 20;
    live(&options, 8);
}

static void the_bound_holds_on_a_device(void **state)
{
    (void)state;
    char device[64];
    const struct dw_shell *made = dw_shell(
        "test $(id -u) = 0 && cd %s && truncate -s 46M image && losetup -f --show image", dw_log_kit_directory);
    if (made->status != 0) {
        print_message("skipped: needs root and loop devices\n");
        skip();
    }
    snprintf(device, sizeof device, "%.*s", (int)strcspn(made->output, "\n"), made->output);
    struct dwal_options options = dw_log_kit_options();
    options.volume_size = 256 << 10;
    live_at(device, &options, 170);
}

static int detach(void **state)
{
    dw_shell("for d in $(losetup -j %s/image | cut -d: -f1); do losetup -d $d; done", dw_log_kit_directory);
    return dw_log_kit_tear_down(state);
}

static void a_bound_of_nonsense_is_no_bound(void **state)
{
    (void)state;
    struct dwal_options options = DWAL_OPTIONS_INIT;
    options.in_flight_writes = 99;
    assert_true(dwal_memory_bound(&options, 1) == UINT64_MAX);
    assert_true(dwal_memory_bound(NULL, UINT64_MAX) == UINT64_MAX);
    assert_true(dwal_memory_bound(NULL, 10) < 24 * MIB);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        DW_LOG_KIT_TEST(the_bound_holds_for_the_defaults),
        DW_LOG_KIT_TEST(the_bound_holds_for_a_small_ring_and_many_volumes),
        DW_LOG_KIT_TEST(the_bound_holds_for_large_tables_that_are_kept),
        DW_LOG_KIT_TEST(the_bound_holds_for_large_blocks),
        cmocka_unit_test_setup_teardown(the_bound_holds_on_a_device, dw_log_kit_set_up, detach),
        DW_LOG_KIT_TEST(a_bound_of_nonsense_is_no_bound),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
