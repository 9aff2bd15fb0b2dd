/* test_choose.c - the rules of the choice, trap by trap: facts and made-up figures in, backend and reasons out. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "core/log/choose.h"

/* ---- places ---- */

static struct dw_site file_on(enum dw_fact cache, enum dw_fact fua, uint32_t minor)
{
    return (struct dw_site){.has_volatile_cache = cache,
                            .has_fua = fua,
                            .claims_volatile_cache = cache,
                            .is_barrier_off = DW_FACT_NO,
                            .is_copy_on_write = DW_FACT_NO,
                            .is_journaling_data = DW_FACT_NO,
                            .kernel_major = 6,
                            .kernel_minor = minor,
                            .cpu_count = 8,
                            .tick_hz = 250,
                            .physical_block_size = 4096};
}
static struct dw_site device_with(enum dw_fact cache, enum dw_fact fua)
{
    struct dw_site site = file_on(cache, fua, 18);
    site.is_device = true;
    return site;
}

/* ---- figures: 4 KiB at the median in microseconds, 0: not there; the 99th percentile is twice that ---- */

struct figures {
    uint32_t sync, uring, aio, nvme, flush, unwritten;
};

static size_t add(struct dwal_timing *rows, size_t count, const char *backend, enum dwal_way way, bool is_unwritten,
                  uint32_t size, uint32_t p50_us)
{
    if (p50_us == 0)
        return count;
    rows[count] = (struct dwal_timing){.way = way,
                                       .is_unwritten = is_unwritten,
                                       .size = size,
                                       .count = 64,
                                       .p50_ns = p50_us * 1000u,
                                       .p90_ns = p50_us * 1500u,
                                       .p99_ns = p50_us * 2000u,
                                       .max_ns = p50_us * 4000u};
    snprintf(rows[count].backend, sizeof rows[count].backend, "%s", backend);
    return count + 1;
}

static struct dwal_choice choose(struct dw_site site, struct figures figures)
{
    struct dwal_timing rows[8];
    size_t count = 0;
    count = add(rows, count, "sync", DWAL_WAY_DSYNC, false, 4096, figures.sync);
    count = add(rows, count, "uring", DWAL_WAY_DSYNC, false, 4096, figures.uring);
    count = add(rows, count, "aio", DWAL_WAY_DSYNC, false, 4096, figures.aio);
    count = add(rows, count, "nvme", DWAL_WAY_DSYNC, false, 4096, figures.nvme);
    count = add(rows, count, "sync", DWAL_WAY_FLUSH, false, 4096, figures.flush);
    count = add(rows, count, "sync", DWAL_WAY_DSYNC, true, 4096, figures.unwritten);
    struct dwal_choice choice;
    dw_choose(&site, rows, count, &choice);
    assert_string_equal(choice.backend, choice.order[0]);
    return choice;
}

static bool says(const struct dwal_choice *choice, const char *words)
{
    for (uint32_t i = 0; i < choice->reason_count; i++)
        if (strstr(choice->reasons[i], words))
            return true;
    return false;
}

/* ---- the table ---- */

static void backends_are_chosen_as_the_table_says(void **state)
{
    (void)state;
    const enum dw_fact no = DW_FACT_NO, yes = DW_FACT_YES, unknown = DW_FACT_UNKNOWN;
    const struct {
        const char *what;
        struct dw_site site;
        struct figures figures;
        const char *backend;
        enum dwal_way way;
    } rows[] = {
        /* Asynchronous completion of files goes through an ordinary kernel worker: an idle machine's figures do not count. */
        {"file, cache, no FUA, uring looks faster", file_on(yes, no, 18), {84, 58, 60, 0, 0, 0}, "sync", 0},
        {"the same on a newer kernel", file_on(yes, no, 19), {84, 58, 60, 0, 0, 0}, "sync", 0},
        {"the same, FUA, older kernel", file_on(yes, yes, 18), {30, 20, 21, 0, 0, 0}, "sync", 0},
        {"FUA and a kernel that completes at once", file_on(yes, yes, 19), {30, 20, 21, 0, 0, 0}, "uring", 0},
        {"no volatile cache, newer kernel", file_on(no, no, 19), {30, 20, 21, 0, 0, 0}, "uring", 0},
        {"the same, but no gain of 10 %", file_on(no, no, 19), {30, 28, 28, 0, 0, 0}, "sync", 0},
        {"nothing known of the device", file_on(unknown, unknown, 19), {30, 20, 21, 0, 0, 0}, "sync", 0},
        /* Raw devices: the synchronous call flushes once more where there is a volatile cache. */
        {"device, FUA, equal figures", device_with(yes, yes), {30, 30, 30, 0, 0, 0}, "uring", 0},
        {"device, FUA, uring a little slower", device_with(yes, yes), {30, 32, 33, 0, 0, 0}, "uring", 0},
        {"device, FUA, sync clearly faster", device_with(yes, yes), {20, 30, 30, 0, 0, 0}, "sync", 0},
        {"device, cache, no FUA", device_with(yes, no), {120, 80, 82, 0, 0, 0}, "uring", 0},
        {"device without a cache, equal figures", device_with(no, no), {10, 10, 10, 0, 0, 0}, "sync", 0},
        {"device without a cache, uring faster", device_with(no, no), {10, 8, 9, 0, 0, 0}, "uring", 0},
        {"zram: uring goes to a worker thread", device_with(no, no), {4, 30, 12, 0, 0, 0}, "sync", 0},
        {"aio is the fastest", device_with(yes, yes), {30, 30, 20, 0, 0, 0}, "aio", 0},
        {"passthrough is the fastest and not for everybody", device_with(yes, yes), {30, 20, 21, 15, 0, 0}, "uring", 0},
        /* A device may flush faster than it forces one write through. */
        {"FUA slower than flush", file_on(yes, yes, 19), {4000, 4000, 4000, 0, 1600, 0}, "sync", DWAL_WAY_FLUSH},
        {"flush gains 10 %: not enough", file_on(yes, yes, 18), {100, 100, 0, 0, 90, 0}, "sync", 0},
        {"slow FUA of a device", device_with(yes, yes), {4000, 3900, 3900, 0, 1600, 0}, "sync", DWAL_WAY_FLUSH},
        /* Nothing measured. */
        {"file, nothing measured", file_on(yes, no, 18), {0}, "sync", 0},
        {"file, FUA, newest kernel, nothing measured", file_on(yes, yes, 19), {0}, "sync", 0},
        {"device, nothing measured", device_with(yes, yes), {0}, "uring", 0},
        {"device without a cache, nothing measured", device_with(no, no), {0}, "sync", 0},
    };
    for (size_t i = 0; i < DW_COUNT_OF(rows); i++) {
        struct dwal_choice choice = choose(rows[i].site, rows[i].figures);
        if (strcmp(choice.backend, rows[i].backend) != 0 || choice.way != rows[i].way)
            fail_msg("%s: %s, way %d", rows[i].what, choice.backend, (int)choice.way);
        if (choice.reason_count == 0)
            fail_msg("%s: no reason", rows[i].what);
    }
}

static void a_worse_tail_outweighs_a_better_median(void **state)
{
    (void)state;
    struct dw_site site = file_on(DW_FACT_NO, DW_FACT_NO, 19);
    struct dwal_timing rows[2];
    size_t count = add(rows, 0, "sync", DWAL_WAY_DSYNC, false, 4096, 30);
    count = add(rows, count, "uring", DWAL_WAY_DSYNC, false, 4096, 20);
    struct dwal_choice choice;
    dw_choose(&site, rows, count, &choice);
    assert_string_equal(choice.backend, "uring");
    rows[1].p99_ns = 3 * rows[0].p99_ns;
    dw_choose(&site, rows, count, &choice);
    assert_string_equal(choice.backend, "sync");
}

static void rows_with_few_trials_or_errors_say_nothing(void **state)
{
    (void)state;
    struct dw_site site = file_on(DW_FACT_NO, DW_FACT_NO, 19);
    struct dwal_timing rows[2];
    size_t count = add(rows, 0, "sync", DWAL_WAY_DSYNC, false, 4096, 30);
    count = add(rows, count, "uring", DWAL_WAY_DSYNC, false, 4096, 10);
    struct dwal_choice choice;
    rows[1].count = 15;
    dw_choose(&site, rows, count, &choice);
    assert_string_equal(choice.backend, "sync");
    rows[1].count = 64;
    rows[1].system_error = EIO;
    dw_choose(&site, rows, count, &choice);
    assert_string_equal(choice.backend, "sync");
}

static void a_forbidden_ring_is_passed_over_and_said(void **state)
{
    (void)state;
    struct dw_site site = device_with(DW_FACT_YES, DW_FACT_YES);
    site.uring_error = -EPERM;
    struct dwal_choice choice = choose(site, (struct figures){.sync = 30, .aio = 28});
    assert_string_equal(choice.backend, "aio");
    assert_true(says(&choice, "io_uring cannot be used here (forbidden"));
    choice = choose(site, (struct figures){0});
    assert_string_equal(choice.backend, "aio");
}

static void the_order_ends_with_what_is_never_forbidden(void **state)
{
    (void)state;
    struct dwal_choice choice = choose(device_with(DW_FACT_YES, DW_FACT_YES), (struct figures){30, 20, 21, 10, 0, 0});
    assert_true(says(&choice, "Passthrough (nvme) would take 10"));
    assert_int_equal(choice.order_count, 3);
    assert_string_equal(choice.order[0], "uring");
    assert_string_equal(choice.order[1], "aio");
    assert_string_equal(choice.order[2], "sync");
    choice = choose(file_on(DW_FACT_YES, DW_FACT_NO, 18), (struct figures){30, 20, 21, 0, 0, 0});
    assert_int_equal(choice.order_count, 1);
}

/* ---- reasons ---- */

static void doubts_about_durability_come_first(void **state)
{
    (void)state;
    struct dw_site site = file_on(DW_FACT_NO, DW_FACT_NO, 18);
    assert_false(says(&(struct dwal_choice){0}, "ALARM"));
    struct dwal_choice choice = choose(site, (struct figures){.sync = 30});
    assert_false(says(&choice, "ALARM"));
    site.claims_volatile_cache = DW_FACT_YES; /* the administrator wrote "write through" over the drive's word */
    choice = choose(site, (struct figures){.sync = 30});
    assert_non_null(strstr(choice.reasons[0], "ALARM: the drive has a volatile cache"));
    site.is_barrier_off = DW_FACT_YES;
    choice = choose(site, (struct figures){.sync = 30});
    assert_non_null(strstr(choice.reasons[0], "ALARM: the file system is mounted without barriers"));
    assert_non_null(strstr(choice.reasons[1], "ALARM: the drive has a volatile cache"));
}

static void costs_of_the_file_system_are_said(void **state)
{
    (void)state;
    struct dw_site site = file_on(DW_FACT_YES, DW_FACT_NO, 18);
    site.is_copy_on_write = DW_FACT_YES;
    site.is_journaling_data = DW_FACT_YES;
    struct dwal_choice choice = choose(site, (struct figures){.sync = 76, .unwritten = 189});
    assert_true(says(&choice, "copies on write"));
    assert_true(says(&choice, "data=journal"));
    assert_true(says(&choice, "2.5 times as long"));
    choice = choose(file_on(DW_FACT_YES, DW_FACT_NO, 18), (struct figures){.sync = 76, .unwritten = 80});
    assert_false(says(&choice, "times as long"));
}

static void kernel_side_polling_is_refused_on_small_machines(void **state)
{
    (void)state;
    struct dw_site site = file_on(DW_FACT_YES, DW_FACT_NO, 18);
    for (site.cpu_count = 0; site.cpu_count < 4; site.cpu_count++)
        assert_false(dw_choose_allows_kernel_polling(&site));
    assert_true(dw_choose_allows_kernel_polling(&site));
}

/* ---- sizes ---- */

static size_t four_sizes(struct dwal_timing *rows, uint32_t us_4k, uint32_t us_16k, uint32_t us_64k, uint32_t us_1m)
{
    size_t count = add(rows, 0, "sync", DWAL_WAY_DSYNC, false, 4096, us_4k);
    count = add(rows, count, "sync", DWAL_WAY_DSYNC, false, 16384, us_16k);
    count = add(rows, count, "sync", DWAL_WAY_DSYNC, false, 65536, us_64k);
    return add(rows, count, "sync", DWAL_WAY_DSYNC, false, 1u << 20, us_1m);
}

static void the_largest_write_is_where_throughput_levels_off(void **state)
{
    (void)state;
    struct dwal_timing rows[4];
    size_t count = four_sizes(rows, 100, 104, 112, 305); /* the time of a call dominates: all of 1 MiB is wanted */
    assert_int_equal(dw_choose_write_size(rows, count, "sync", DWAL_WAY_DSYNC), 1u << 20);
    count = four_sizes(rows, 10, 13, 36, 560); /* the device's bandwidth dominates early */
    assert_int_equal(dw_choose_write_size(rows, count, "sync", DWAL_WAY_DSYNC), 64u << 10);
    count = four_sizes(rows, 20, 30, 80, 700);
    uint32_t size = dw_choose_write_size(rows, count, "sync", DWAL_WAY_DSYNC);
    assert_true(size >= 64u << 10 && size < 1u << 20);
    assert_int_equal(dw_choose_write_size(rows, count, "uring", DWAL_WAY_DSYNC), 0);
    assert_int_equal(dw_choose_write_size(rows, 3, "sync", DWAL_WAY_DSYNC), 0);
}

static void expected_time_lies_on_a_line_between_sizes(void **state)
{
    (void)state;
    struct dwal_timing rows[4];
    size_t count = four_sizes(rows, 100, 112, 160, 1120);
    assert_int_equal(dw_choose_expected_ns(rows, count, "sync", DWAL_WAY_DSYNC, 4096), 100000);
    assert_int_equal(dw_choose_expected_ns(rows, count, "sync", DWAL_WAY_DSYNC, 10240), 106000);
    assert_int_equal(dw_choose_expected_ns(rows, count, "sync", DWAL_WAY_DSYNC, 65536), 160000);
    assert_int_equal(dw_choose_expected_ns(rows, count, "sync", DWAL_WAY_DSYNC, 512), 100000);
    assert_int_equal(dw_choose_expected_ns(rows, count, "sync", DWAL_WAY_DSYNC, 2u << 20), 1120000);
    assert_int_equal(dw_choose_expected_ns(rows, count, "sync", DWAL_WAY_DSYNC, 8u << 20), 0);
    assert_int_equal(dw_choose_expected_ns(rows, 1, "sync", DWAL_WAY_DSYNC, 65536), 0);
    assert_int_equal(dw_choose_expected_ns(rows, count, "aio", DWAL_WAY_DSYNC, 4096), 0);
}

static void the_block_follows_a_larger_physical_block(void **state)
{
    (void)state;
    assert_int_equal(dw_choose_block_size(0), 4096);
    assert_int_equal(dw_choose_block_size(512), 4096);
    assert_int_equal(dw_choose_block_size(4096), 4096);
    assert_int_equal(dw_choose_block_size(16384), 16384);
    assert_int_equal(dw_choose_block_size(65536), 65536);
    assert_int_equal(dw_choose_block_size(131072), 4096);
    assert_int_equal(dw_choose_block_size(12288), 4096);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(backends_are_chosen_as_the_table_says),
        cmocka_unit_test(a_worse_tail_outweighs_a_better_median),
        cmocka_unit_test(rows_with_few_trials_or_errors_say_nothing),
        cmocka_unit_test(a_forbidden_ring_is_passed_over_and_said),
        cmocka_unit_test(the_order_ends_with_what_is_never_forbidden),
        cmocka_unit_test(doubts_about_durability_come_first),
        cmocka_unit_test(costs_of_the_file_system_are_said),
        cmocka_unit_test(kernel_side_polling_is_refused_on_small_machines),
        cmocka_unit_test(the_largest_write_is_where_throughput_levels_off),
        cmocka_unit_test(expected_time_lies_on_a_line_between_sizes),
        cmocka_unit_test(the_block_follows_a_larger_physical_block),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
