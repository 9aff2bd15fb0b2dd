/* test_device_crash.c - crashes of a log on a simulated device: what was acknowledged is there, no slot is lost, and old
 * content, whoever's it was, is never taken for the log's. A first look with few states; tests/crash has the many. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>

#include "tests/lib/crash_life.h"

#define DEVICE_SIZE (UINT64_C(1280) << 10)
#ifdef DW_SANITIZED
#define LIVES 2u
#else
#define LIVES 10u
#endif

static void explore(struct dw_crash_life *life, struct dw_crash_counts *counts)
{
    struct dw_crash_plan plan = {.crash = {.tear_unit = life->options.sector_size},
                                 .exhaust_max = 16,
                                 .samples = 6,
                                 .settle_every = 4,
                                 .workload = life->seed,
                                 .first_event = life->segment_event};
    dw_crash_explore(life->disk, &life->story, &plan, counts);
}

static void run_life(uint64_t seed, struct dw_crash_counts *counts)
{
    struct dw_crash_life life;
    struct dw_crash_outcome outcome;
    dw_crash_life_create_on_device(&life, seed, DEVICE_SIZE);
    for (int segment = 0; segment < 3; segment++) {
        assert_int_equal(dw_crash_life_open(&life, &outcome), DW_CRASH_FINE);
        dw_crash_life_move(&life, 80);
        if ((seed + (uint64_t)segment) % 3 == 0)
            dw_crash_life_close(&life);
        else
            dw_crash_life_abandon(&life);
        explore(&life, counts);
    }
    dw_crash_life_end(&life);
}

static void a_crash_at_any_moment_keeps_what_was_acknowledged(void **state)
{
    (void)state;
    struct dw_crash_counts counts = {0};
    double since = dw_crash_now();
    for (uint64_t seed = 1; seed <= LIVES; seed++)
        run_life(seed, &counts);
    dw_crash_counts_print("a log on a device", &counts, dw_crash_now() - since);
    assert_int_equal(dw_crash_fault_count(&counts), 0);
    assert_true(counts.settled > 0);
}

int main(void)
{
    dw_crash_prepare();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_crash_at_any_moment_keeps_what_was_acknowledged),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
