/* test_crash_device.c - a million crash states of logs on a simulated device: superblocks at both ends, slots taken and given
 * back, blanks filled. Whatever a crash leaves, recovery keeps what was acknowledged, takes nothing else for the log's, and
 * refuses nothing; the settled log is looked at again, so a slot that leaks or is claimed twice does not go unseen.
 *
 * Lives of the real log by seed, as in test_crash_states.c; two logs on one device are in test_device_logs_crash.c.
 * DWAL_CRASH_STATES=10000000 for a longer run. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>

#include "tests/lib/crash_life.h"

#define DEVICE_SIZE (UINT64_C(1280) << 10)
#ifdef DW_SANITIZED
#define STATES_STANDARD 20000u
#else
#define STATES_STANDARD 1000000u
#endif
#define LIFE_WORKLOADS 4000000u

static void explore_life(struct dw_crash_life *life, uint64_t name, struct dw_crash_counts *counts)
{
    struct dw_crash_plan plan = {.crash = {.tear_unit = life->options.sector_size},
                                 .exhaust_max = 256,
                                 .samples = 24,
                                 .settle_every = 16,
                                 .workload = name,
                                 .first_event = life->segment_event};
    dw_crash_explore(life->disk, &life->story, &plan, counts);
}

static void run_life(uint64_t name, struct dw_crash_counts *counts)
{
    struct dw_crash_life life;
    struct dw_crash_outcome outcome;
    dw_crash_life_create_on_device(&life, name, DEVICE_SIZE);
    for (uint32_t segment = 0; segment < 3; segment++) {
        assert_int_equal(dw_crash_life_open(&life, &outcome), DW_CRASH_FINE);
        dw_crash_life_move(&life, segment == 0 ? 150 : 60);
        if ((name + segment) % 3 == 0)
            dw_crash_life_close(&life);
        else
            dw_crash_life_abandon(&life);
        explore_life(&life, name, counts);
    }
    dw_crash_life_end(&life);
}

static void lives_of_a_log_on_a_device_recover(void **state)
{
    (void)state;
    double since = dw_crash_now();
    struct dw_crash_counts counts = {0};
    uint64_t wanted = dw_crash_states_wanted(STATES_STANDARD);
    for (uint64_t name = LIFE_WORKLOADS; counts.states < wanted && name < 2 * LIFE_WORKLOADS; name++)
        if (!dw_crash_is_skipped(name))
            run_life(name, &counts);
    dw_crash_counts_print("lives of a log on a device", &counts, dw_crash_now() - since);
    assert_int_equal(dw_crash_fault_count(&counts), 0);
    assert_true(counts.settled > 0);
}

int main(void)
{
    dw_crash_prepare();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lives_of_a_log_on_a_device_recover),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
