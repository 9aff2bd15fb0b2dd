/* test_crash_recovery.c - a crash inside recovery, at every one of its writes, three deep: it says the same again, and what
 * one recovery dropped no later one shows.
 *
 * A life of the log ends in a crash; the next begins with its recovery, goes on a little, and is crashed at every moment of
 * its own, recovery included; and so on. DWAL_CRASH_REPLAY="workload 0 0" runs one workload alone and tells every level. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "tests/lib/crash_disk.h"
#include "tests/lib/crash_life.h"

#ifdef DW_SANITIZED
#define STATES_STANDARD 6000u
#else
#define STATES_STANDARD 150000u
#endif
#define WORKLOADS   3000000u /* their names begin here */
#define DEPTH_MAX   3u
#define EXHAUST_MAX 16u
#define SAMPLES     6u
#define PRINTED_MAX 10u

/* The lives above each other, and where each was crashed. */
struct ladder {
    struct dw_crash_life lives[DEPTH_MAX + 1];
    struct dw_sim_crash *walkers[DEPTH_MAX];
    uint64_t events[DEPTH_MAX], states[DEPTH_MAX];
    size_t found[DEPTH_MAX + 1]; /* by the recovery with which the life began */
    uint64_t workload;
    struct dw_crash_counts *counts;
    uint64_t recovery_moments[DEPTH_MAX + 1], unequal;
};

static void tell(const struct ladder *ladder, uint32_t depth, const char *what, const struct dw_crash_outcome *outcome)
{
    const struct dw_crash_life *life = &ladder->lives[depth];
    printf("%s: DWAL_CRASH_REPLAY=\"%" PRIu64 " 0 0\", depth %u", what, ladder->workload, depth);
    for (uint32_t i = 0; i < depth; i++)
        printf(", event %" PRIu64 " state %" PRIu64, ladder->events[i], ladder->states[i]);
    printf("\n  code %d, verdict %s, row %u, entries %zu..%zu of %zu, end %" PRIu64 ", acknowledged %" PRIu64 ": %s\n",
           outcome->code, outcome->verdict < DWAL_VERDICT_COUNT ? dwal_verdict_name(outcome->verdict) : "none",
           outcome->row, outcome->first, outcome->found, life->story.count, outcome->end, life->facts.acked,
           outcome->text);
}

/* Was the crash before the recovery of the life above had shown anything? Then it must be repeated to the entry. */
static bool is_inside_recovery(const struct ladder *ladder, uint32_t depth)
{
    return depth >= 2 && ladder->events[depth - 1] < ladder->lives[depth - 1].segment_event;
}

/* Begin life `depth` with the crash at `event`, and recover it. */
static bool rise(struct ladder *ladder, uint32_t depth, uint64_t event, uint64_t state, bool is_sampled)
{
    struct dw_crash_life *life = &ladder->lives[depth];
    struct dw_disk *image = dw_crash_image(ladder->walkers[depth - 1], event, state, is_sampled);
    struct dw_crash_outcome outcome;
    ladder->events[depth - 1] = event;
    ladder->states[depth - 1] = state;
    dw_crash_life_inherit(life, &ladder->lives[depth - 1], image, event, ladder->workload + event * 31 + state);
    enum dw_crash_fault fault = dw_crash_life_open(life, &outcome);
    struct dw_crash_counts *counts = ladder->counts;
    counts->states++;
    counts->settled++;
    counts->sampled += is_sampled;
    counts->faults[fault]++;
    counts->verdicts[outcome.verdict]++;
    counts->dropped += outcome.found < life->facts.appended;
    bool is_unequal =
        fault == DW_CRASH_FINE && is_inside_recovery(ladder, depth) && outcome.found != ladder->found[depth - 1];
    ladder->found[depth] = outcome.found;
    ladder->unequal += is_unequal;
    uint64_t told = dw_crash_fault_count(counts) + ladder->unequal;
    if (fault != DW_CRASH_FINE && told <= PRINTED_MAX)
        tell(ladder, depth, dw_crash_fault_name(fault), &outcome);
    if (is_unequal && told <= PRINTED_MAX)
        tell(ladder, depth, "NOT THE SAME AGAIN", &outcome);
    return fault == DW_CRASH_FINE && !is_unequal;
}

static void walk(struct ladder *ladder, uint32_t depth)
{
    dw_crash_life_abandon(&ladder->lives[depth]);
    assert_int_equal(
        dw_sim_crash_create(ladder->lives[depth].disk,
                            &(struct dw_sim_crash_options){.tear_unit = ladder->lives[0].options.sector_size},
                            &ladder->walkers[depth]),
        0);
}

static void leave(struct ladder *ladder, uint32_t depth)
{
    dw_sim_crash_close(ladder->walkers[depth]);
    dw_crash_life_end(&ladder->lives[depth]);
}

static bool is_mark(const struct ladder *ladder, uint32_t depth, uint64_t event)
{
    struct dw_disk *disk = ladder->lives[depth].disk;
    return event < dw_sim_event_count(disk) && dw_sim_event_at(disk, event)->kind == DW_SIM_MARK;
}

/* How many states of this moment to visit; *is_sampled: they are seeds. */
static uint64_t plan_moment(struct ladder *ladder, uint32_t depth, uint64_t event, bool *is_sampled)
{
    assert_int_equal(dw_sim_crash_seek(ladder->walkers[depth], event), 0);
    uint64_t states = dw_sim_crash_state_count(ladder->walkers[depth]);
    *is_sampled = states > EXHAUST_MAX;
    ladder->counts->moments++;
    ladder->counts->exhausted += !*is_sampled;
    ladder->recovery_moments[depth] += event < ladder->lives[depth].segment_event;
    return *is_sampled ? SAMPLES : states;
}

/* Crash life 2 at every moment, recover, and be content. */
static void crash_third(struct ladder *ladder)
{
    walk(ladder, 2);
    for (uint64_t event = 0; event <= dw_sim_event_count(ladder->lives[2].disk); event++) {
        bool is_sampled;
        if (is_mark(ladder, 2, event))
            continue;
        uint64_t states = plan_moment(ladder, 2, event, &is_sampled);
        /* The whole row of states at level two, one or two of them here. */
        for (uint64_t i = 0; i < states && i < 2; i++) {
            uint64_t state = is_sampled ? event * 97 + i + 2 : (event + i) % states;
            rise(ladder, 3, event, state, is_sampled);
            dw_crash_life_end(&ladder->lives[3]);
        }
    }
    leave(ladder, 2);
}

static void crash_second(struct ladder *ladder)
{
    walk(ladder, 1);
    for (uint64_t event = 0; event <= dw_sim_event_count(ladder->lives[1].disk); event++) {
        bool is_sampled;
        if (is_mark(ladder, 1, event))
            continue;
        uint64_t states = plan_moment(ladder, 1, event, &is_sampled);
        for (uint64_t i = 0; i < states; i++) {
            uint64_t state = is_sampled && i >= 2 ? event * 89 + i : i;
            bool is_fine = rise(ladder, 2, event, state, is_sampled);
            bool is_deeper = (event + i) % 8 == ladder->workload % 8;
            if (is_fine && is_deeper) {
                dw_crash_life_move(&ladder->lives[2], (uint32_t)(event % 3) * 8);
                crash_third(ladder);
            } else {
                dw_crash_life_end(&ladder->lives[2]);
            }
        }
    }
    leave(ladder, 1);
}

/* Crash life 0 at a few moments; let the next life recover and go on, at times to a clean close. */
static void crash_first(struct ladder *ladder, uint64_t limit)
{
    struct dw_disk *disk = ladder->lives[0].disk;
    walk(ladder, 0);
    uint64_t first = ladder->lives[0].segment_event, count = dw_sim_event_count(disk) - first;
    for (uint64_t i = 0; i < 4 && ladder->counts->states < limit; i++) {
        uint64_t event = first + 1 + (ladder->workload * 7919 + i * 104729) % count;
        while (is_mark(ladder, 0, event))
            event++;
        if (!rise(ladder, 1, event, ladder->workload + i * 5, true)) {
            dw_crash_life_end(&ladder->lives[1]);
            continue;
        }
        dw_crash_life_move(&ladder->lives[1], i % 2 ? 30 : 0);
        if (i == 3)
            dw_crash_life_close(&ladder->lives[1]);
        crash_second(ladder);
    }
    leave(ladder, 0);
}

static void recovery_can_be_interrupted_anywhere_any_number_of_times(void **state)
{
    (void)state;
    double since = dw_crash_now();
    struct dw_crash_counts counts = {0};
    uint64_t limit = dw_crash_states_wanted(STATES_STANDARD), moments[DEPTH_MAX + 1] = {0}, unequal = 0;
    struct ladder *ladder = calloc(1, sizeof *ladder);
    for (uint64_t name = WORKLOADS; counts.states < limit && name < WORKLOADS + 100000; name++) {
        struct dw_crash_outcome outcome;
        if (dw_crash_is_skipped(name))
            continue;
        *ladder = (struct ladder){.workload = name, .counts = &counts};
        dw_crash_life_create(&ladder->lives[0], name);
        assert_int_equal(dw_crash_life_open(&ladder->lives[0], &outcome), DW_CRASH_FINE);
        dw_crash_life_move(&ladder->lives[0], 120);
        crash_first(ladder, limit);
        counts.workloads++;
        unequal += ladder->unequal;
        for (uint32_t i = 0; i <= DEPTH_MAX; i++)
            moments[i] += ladder->recovery_moments[i];
    }
    free(ladder);
    dw_crash_counts_print("crashes in recovery", &counts, dw_crash_now() - since);
    printf("  moments inside recovery: %" PRIu64 " in the first, %" PRIu64
           " in the second; not the same again: %" PRIu64 "\n",
           moments[1], moments[2], unequal);
    assert_int_equal(dw_crash_fault_count(&counts) + unequal, 0);
}

int main(void)
{
    dw_crash_prepare();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(recovery_can_be_interrupted_anywhere_any_number_of_times),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
