/* test_crash_create.c - a crash while a log is made leaves a log or none: what is left opens empty, or can be made again.
 *
 * Every moment of a creation, every state or a sample of them; the second creation is crashed as well. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "core/log/log.h"
#include "tests/lib/crash_disk.h"
#include "tests/lib/crash_explore.h"

#define WORKLOADS     24u
#define EXHAUST_MAX   64u
#define SAMPLES       24u
#define ENTRY_COMMITS 3u

static const uint8_t log_id[16] = {1, 4, 9, 16, 25, 36};

struct counts {
    uint64_t states, empty, none;
};

static void shape(uint64_t name, struct dwal_options *options)
{
    dw_crash_options(options);
    options->sector_size = name % 3 ? 512 : 4096;
    options->block_size = 4096;
    options->volume_size = (5 + name % 5) * 4096;
    options->blanks = 1 + (uint32_t)name % 3;
    options->fill = (enum dwal_fill)(1 + name % 3);
}

static int create(struct dw_disk *disk, uint64_t name)
{
    struct dwal_options options;
    shape(name, &options);
    return dw_log_create_on(disk, &dw_crash_clock, log_id, 0x80000001u + (uint32_t)name, &options);
}

/* It opens, is empty, and can be used. */
static void use_it(struct dw_disk *disk)
{
    struct dw_log_setup setup = {
        .disk = disk, .clock = &dw_crash_clock, .is_disk_borrowed = true, .is_single_stepped = true};
    struct dwal_options options;
    dwal *log;
    dw_crash_options(&options);
    assert_int_equal(dw_log_open_on(&setup, &options, &log), 0);
    assert_int_equal(dwal_durable(log), 0);
    for (uint32_t i = 0; i < ENTRY_COMMITS; i++) {
        struct iovec data = {.iov_base = (void *)"hello", .iov_len = 5};
        struct dwal_entry entry = {.data = &data, .data_count = 1};
        for (uint32_t step = 0; step < 64 && dw_log_step_maker(log); step++)
            continue;
        assert_int_equal(dwal_commit(log, &entry, NULL, NULL), 0);
    }
    assert_int_equal(dwal_close(log), 0);
}

static void judge(struct dw_disk *image, uint64_t name, bool is_created, struct counts *counts)
{
    struct dw_log_setup setup = {
        .disk = image, .clock = &dw_crash_clock, .is_disk_borrowed = true, .is_single_stepped = true};
    struct dwal_options options;
    dwal *log = NULL;
    dw_crash_options(&options);
    options.mode = DWAL_READ_ONLY;
    int code = dw_log_open_on(&setup, &options, &log);
    if (log)
        dw_log_abandon(log);
    counts->states++;
    counts->empty += code == 0;
    counts->none += code == DWAL_ENOLOG;
    if (code != 0 && (code != DWAL_ENOLOG || is_created))
        printf("workload %" PRIu64 ": %s: %s\n", name, dwal_error_name(code), dwal_last_error()->text);
    assert_true(code == 0 || (code == DWAL_ENOLOG && !is_created));
    int again = create(image, name);
    if (again != 0 && again != DWAL_EEXIST)
        printf("workload %" PRIu64 ", created again: %s: %s\n", name, dwal_error_name(again), dwal_last_error()->text);
    assert_int_equal(again, code == 0 ? DWAL_EEXIST : 0);
    use_it(image);
}

/* Crash what happened on `disk` at every moment; at one state of each, crash the second creation in its turn. */
static void crash_creation(struct dw_disk *disk, uint64_t name, struct counts *counts)
{
    struct dw_sim_crash *crash;
    uint64_t end = dw_sim_event_count(disk);
    struct dw_sim_crash_options options = {.tear_unit = name % 3 ? 512 : 4096, .is_name_subset = name % 2};
    assert_int_equal(dw_sim_crash_create(disk, &options, &crash), 0);
    for (uint64_t event = 0; event <= end; event++) {
        assert_int_equal(dw_sim_crash_seek(crash, event), 0);
        uint64_t states = dw_sim_crash_state_count(crash);
        bool is_sampled = states > EXHAUST_MAX;
        for (uint64_t i = 0; i < (is_sampled ? SAMPLES : states); i++) {
            struct dw_disk *image = dw_crash_image(crash, event, is_sampled && i > 1 ? event * 64 + i : i, is_sampled);
            if (i == event % 3 && create(image, name) == 0) {
                /* The second creation is the history of the image itself. */
                struct dw_sim_crash *second;
                assert_int_equal(dw_sim_crash_create(image, &options, &second), 0);
                for (uint64_t at = 0; at <= dw_sim_event_count(image); at++) {
                    struct dw_disk *deep = dw_crash_image(second, at, at * 3 + name, true);
                    judge(deep, name, at == dw_sim_event_count(image), counts);
                    dw_crash_drop(deep);
                }
                dw_sim_crash_close(second);
            } else {
                judge(image, name, event == end, counts);
            }
            dw_crash_drop(image);
        }
    }
    dw_sim_crash_close(crash);
}

static void a_crash_in_creation_leaves_a_log_or_none(void **state)
{
    (void)state;
    struct counts counts = {0};
    double since = dw_crash_now();
    for (uint64_t name = 0; name < WORKLOADS; name++) {
        struct dw_disk *disk = dw_crash_disk(&(struct dw_sim_options){.seed = name});
        assert_int_equal(create(disk, name), 0);
        crash_creation(disk, name, &counts);
        dw_crash_drop(disk);
    }
    printf("crashes in creation: %" PRIu64 " states, %" PRIu64 " of them a log, %" PRIu64 " none, %.1f s\n",
           counts.states, counts.empty, counts.none, dw_crash_now() - since);
    assert_true(counts.empty > 0 && counts.none > 0);
}

int main(void)
{
    dw_crash_prepare();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_crash_in_creation_leaves_a_log_or_none),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
