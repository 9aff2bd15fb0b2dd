/* test_store_trial.c - a slot lent for trial writes: crashes at any moment lose nothing of the log and no slot of the device,
 * and what is written there never looks like content. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <stdio.h>

#include "core/log/handle.h"
#include "io/measure.h"
#include "tests/lib/crash_life.h"

#define DEVICE_SIZE (UINT64_C(6) << 20)
#ifdef DW_SANITIZED
#define LIVES 2u
#else
#define LIVES 8u
#endif

static void explore(struct dw_crash_life *life, struct dw_crash_counts *counts)
{
    struct dw_crash_plan plan = {.crash = {.tear_unit = life->options.sector_size},
                                 .exhaust_max = 8,
                                 .samples = 4,
                                 .settle_every = 2,
                                 .workload = life->seed,
                                 .first_event = life->segment_event};
    dw_crash_explore(life->disk, &life->story, &plan, counts);
}

/* What an open does when it measures. */
static int lend(struct dw_crash_life *life, bool is_given_back)
{
    struct dw_store_trial trial;
    int result = dw_store_trial_begin(life->log->store, &trial);
    if (result < 0)
        return result;
    struct dw_scratch scratch;
    uint64_t size = trial.size < 65536 ? trial.size : 65536;
    assert_int_equal(dw_scratch_borrow(trial.file, trial.from, size, &scratch), 0);
    dw_scratch_close(&scratch);
    return is_given_back ? dw_store_trial_end(life->log->store, &trial) : 0;
}

static void run_life(uint64_t seed, struct dw_crash_counts *counts, uint32_t *lent)
{
    struct dw_crash_life life;
    struct dw_crash_outcome outcome;
    dw_crash_life_create_on_device(&life, seed, DEVICE_SIZE);
    for (uint64_t segment = 0; segment < 6; segment++) {
        bool is_given_back = (seed + segment) % 2 == 0;
        assert_int_equal(dw_crash_life_open(&life, &outcome), DW_CRASH_FINE);
        int result = lend(&life, is_given_back);
        assert_true(result == 0 || result == -ENOSPC || result == -EDQUOT);
        *lent += result == 0;
        if (is_given_back)
            dw_crash_life_move(&life, 30);
        if (is_given_back && segment % 3 == 0)
            dw_crash_life_close(&life);
        else
            dw_crash_life_abandon(&life);
        explore(&life, counts);
    }
    dw_crash_life_end(&life);
}

static void crashes_beside_a_trial_lose_nothing(void **state)
{
    (void)state;
    struct dw_crash_counts counts = {0};
    uint32_t lent = 0;
    double since = dw_crash_now();
    for (uint64_t seed = 1; seed <= LIVES; seed++)
        run_life(seed, &counts, &lent);
    dw_crash_counts_print("a slot lent for trials", &counts, dw_crash_now() - since);
    assert_int_equal(dw_crash_fault_count(&counts), 0);
    assert_true(lent > LIVES);
}

static void slots_of_crashed_trials_are_found_again(void **state)
{
    (void)state;
    struct dw_crash_life life;
    struct dw_crash_outcome outcome;
    dw_crash_life_create_on_device(&life, 77, DEVICE_SIZE);
    for (int i = 0; i < 100; i++) { /* more often than there are slots */
        assert_int_equal(dw_crash_life_open(&life, &outcome), DW_CRASH_FINE);
        assert_int_equal(lend(&life, false), 0);
        dw_crash_life_abandon(&life);
    }
    dw_crash_life_end(&life);
}

static void a_directory_lends_nothing(void **state)
{
    (void)state;
    struct dw_crash_life life;
    struct dw_crash_outcome outcome;
    dw_crash_life_create(&life, 5);
    assert_int_equal(dw_crash_life_open(&life, &outcome), DW_CRASH_FINE);
    assert_int_equal(lend(&life, true), -EOPNOTSUPP);
    dw_crash_life_abandon(&life);
    dw_crash_life_end(&life);
}

int main(void)
{
    dw_crash_prepare();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(crashes_beside_a_trial_lose_nothing),
        cmocka_unit_test(slots_of_crashed_trials_are_found_again),
        cmocka_unit_test(a_directory_lends_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
