/* test_crash_states.c - a million crash states: whatever a crash leaves, recovery keeps what was acknowledged, shows a
 * prefix of what was appended, and refuses nothing.
 *
 * Workloads of the model writer: every order of moves of a few small plans, then plans and orders by seed; and lives of the
 * real log by seed. At every moment of each, crash images: all of them where that is feasible, else a sample.
 * DWAL_CRASH_STATES=10000000 for a longer run; DWAL_CRASH_REPLAY as the failure says. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "tests/lib/crash_life.h"
#include "tests/lib/crash_model.h"

#ifdef DW_SANITIZED
#define STATES_STANDARD 60000u
#else
#define STATES_STANDARD 1000000u
#endif
#define MODEL_WORKLOADS 1000000u /* names of workloads: from here on by seed, */
#define LIFE_WORKLOADS  2000000u /* and from here on lives of the real log */

static void explore_model(const struct dw_crash_model *model, struct dw_crash_chooser *chooser,
                          const struct dw_crash_plan *plan, struct dw_crash_counts *counts)
{
    struct dw_crash_writer writer;
    dw_crash_model_run(model, chooser, plan->workload, &writer);
    dw_crash_explore(writer.disk, &writer.story, plan, counts);
    dw_crash_writer_free(&writer);
}

static void finish(const char *title, const struct dw_crash_counts *counts, double since)
{
    dw_crash_counts_print(title, counts, dw_crash_now() - since);
    assert_int_equal(dw_crash_fault_count(counts), 0);
}

/* ---- every order of small plans ---- */
static const struct dw_crash_planned blocks_of_one[] = {
    {5, 300, false, true}, {0, 100, true, false}, {9, 50, false, true},
    {3, 700, false, true}, {0, 0, false, true},   {2, 2000, false, true},
};
static const struct dw_crash_planned spills[] = {
    {5, 6000, false, false}, {0, 100, true, false},   {7, 5000, true, false},
    {1, 30, false, true},    {30, 3000, false, true},
};

static void every_order(uint64_t name, const struct dw_crash_model *model, uint32_t tear_unit, uint64_t states_max,
                        struct dw_crash_counts *counts)
{
    struct dw_crash_chooser chooser = {0};
    struct dw_crash_plan plan = {
        .crash = {.tear_unit = tear_unit}, .exhaust_max = 1 << 12, .samples = 64, .settle_every = 16, .workload = name};
    uint64_t begin = counts->states;
    do {
        if (!dw_crash_is_skipped(plan.workload)) {
            plan.first_event = chooser.first_event;
            explore_model(model, &chooser, &plan, counts);
        } else { /* the decisions must be made all the same */
            struct dw_crash_writer writer;
            dw_crash_model_run(model, &chooser, plan.workload, &writer);
            dw_crash_writer_free(&writer);
        }
        plan.workload++;
    } while (dw_crash_chooser_next(&chooser) && counts->states - begin < states_max);
}

static void every_order_of_small_plans_recovers(void **state)
{
    (void)state;
    double since = dw_crash_now();
    struct dw_crash_counts counts = {0};
    uint64_t share = dw_crash_states_wanted(STATES_STANDARD) / 8;
    struct dw_crash_model one = {
        .shape = {.sector_size = 4096, .data_blocks = 4, .depth = 3, .in_flight_blocks = 3, .first_volume = 1},
        .entries = blocks_of_one,
        .entry_count = sizeof blocks_of_one / sizeof blocks_of_one[0],
        .run_max = 1};
    struct dw_crash_model two = {
        .shape = {.sector_size = 512, .data_blocks = 4, .depth = 2, .in_flight_blocks = 3, .first_volume = 1},
        .entries = spills,
        .entry_count = sizeof spills / sizeof spills[0],
        .run_max = 2,
        .may_claim_late = true};
    every_order(1, &one, 4096, share, &counts);
    one.shape.in_flight_blocks = 2;
    one.may_mark = true;
    one.is_closing = true;
    every_order(100000, &one, 4096, share, &counts);
    every_order(200000, &two, 2048, share, &counts);
    finish("every order of moves", &counts, since);
}

/* ---- by seed ---- */
static void model_workloads_by_seed_recover(void **state)
{
    (void)state;
    double since = dw_crash_now();
    struct dw_crash_counts counts = {0};
    uint64_t wanted = dw_crash_states_wanted(STATES_STANDARD) / 2;
    for (uint64_t name = MODEL_WORKLOADS; counts.states < wanted && name < LIFE_WORKLOADS; name++) {
        struct dw_crash_planned entries[DW_CRASH_PLAN_MAX];
        struct dw_crash_model model;
        struct dw_crash_chooser chooser;
        if (dw_crash_is_skipped(name))
            continue;
        dw_crash_model_of_seed(name, &model, entries);
        dw_crash_chooser_seed(&chooser, name);
        struct dw_crash_plan plan = {.crash = {.tear_unit = model.shape.sector_size, .is_name_subset = name % 2},
                                     .exhaust_max = 256,
                                     .samples = 48,
                                     .settle_every = 16,
                                     .workload = name};
        explore_model(&model, &chooser, &plan, &counts);
    }
    finish("the model writer by seed", &counts, since);
}

static void explore_life(struct dw_crash_life *life, uint64_t name, struct dw_crash_counts *counts)
{
    struct dw_crash_plan plan = {.crash = {.tear_unit = life->options.sector_size, .is_name_subset = name % 2},
                                 .exhaust_max = 256,
                                 .samples = 24,
                                 .settle_every = 16,
                                 .workload = name,
                                 .first_event = life->segment_event};
    dw_crash_explore(life->disk, &life->story, &plan, counts);
}

/* Open; if that is not as it should be, count it as a state. */
static bool open_life(struct dw_crash_life *life, uint64_t name, struct dw_crash_counts *counts)
{
    struct dw_crash_outcome outcome;
    enum dw_crash_fault fault = dw_crash_life_open(life, &outcome);
    if (fault == DW_CRASH_FINE)
        return true;
    printf("%s: workload %llu, an open without a crash: code %d, entries %zu..%zu of %zu: %s\n",
           dw_crash_fault_name(fault), (unsigned long long)name, outcome.code, outcome.first, outcome.found,
           life->story.count, outcome.text);
    counts->states++;
    counts->faults[fault]++;
    return false;
}

static void run_life(uint64_t name, struct dw_crash_counts *counts)
{
    struct dw_crash_life life;
    dw_crash_life_create(&life, name);
    if (open_life(&life, name, counts)) {
        dw_crash_life_move(&life, 150);
        if (name % 3 == 0)
            dw_crash_life_close(&life);
        else
            dw_crash_life_abandon(&life);
        explore_life(&life, name, counts);
        if (name % 2 == 0 && open_life(&life, name, counts)) {
            dw_crash_life_move(&life, 60);
            dw_crash_life_abandon(&life);
            explore_life(&life, name, counts);
        }
    }
    dw_crash_life_end(&life);
}

static void lives_of_the_log_by_seed_recover(void **state)
{
    (void)state;
    double since = dw_crash_now();
    struct dw_crash_counts counts = {0};
    uint64_t wanted = dw_crash_states_wanted(STATES_STANDARD) / 2;
    for (uint64_t name = LIFE_WORKLOADS; counts.states < wanted && name < 2 * LIFE_WORKLOADS; name++) {
        if (!dw_crash_is_skipped(name))
            run_life(name, &counts);
    }
    finish("lives of the log by seed", &counts, since);
}

int main(void)
{
    dw_crash_prepare();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_order_of_small_plans_recovers),
        cmocka_unit_test(model_workloads_by_seed_recover),
        cmocka_unit_test(lives_of_the_log_by_seed_recover),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
