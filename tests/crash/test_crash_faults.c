/* test_crash_faults.c - a disk that fails: the log stops, what it acknowledged is still there after any crash, and an open
 * that failed half way can be made again.
 *
 * Faults at every call of an open; faults at a drawn call of a running life, once or for good, each life then crashed at
 * every moment. DWAL_CRASH_STATES and DWAL_CRASH_REPLAY as elsewhere. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>

#include "tests/lib/crash_disk.h"
#include "tests/lib/crash_life.h"

#ifdef DW_SANITIZED
#define STATES_STANDARD 15000u
#else
#define STATES_STANDARD 150000u
#endif
#define OPEN_WORKLOADS    8000000u
#define RUNNING_WORKLOADS 9000000u

static const enum dw_sim_fault_kind kinds[] = {
    DW_SIM_FAULT_WRITE,  DW_SIM_FAULT_WRITE_DONE, DW_SIM_FAULT_SYNC, DW_SIM_FAULT_SYNC_NAMES, DW_SIM_FAULT_NAME,
    DW_SIM_FAULT_EXTEND, DW_SIM_FAULT_READ,       DW_SIM_FAULT_OPEN, DW_SIM_FAULT_LIST,
};
static const int errors[] = {EIO, ENOSPC, ENODATA, EROFS};

/* ---- inside an open ---- */
struct opens {
    uint64_t tried, failed, survived;
};

/* A life that ended in a crash, recovered with a fault at the n-th call, then without one. False: the fault was not met. */
static bool open_with_fault(const struct dw_crash_life *parent, struct dw_sim_crash *crash, uint64_t event,
                            const struct dw_sim_fault *fault, struct opens *opens)
{
    struct dw_crash_life life;
    struct dw_crash_outcome outcome;
    struct dw_disk *image = dw_crash_image(crash, event, event, true);
    dw_crash_life_inherit(&life, parent, image, event, event);
    uint64_t before = dw_sim_call_count(image, fault->kind);
    dw_sim_fault(image, fault);
    enum dw_crash_fault judged = dw_crash_life_open(&life, &outcome);
    bool is_met = dw_sim_call_count(image, fault->kind) - before >= fault->at;
    opens->tried++;
    if (outcome.code == 0 && outcome.read_code == 0) { /* it did without, or tried another way */
        opens->survived += is_met;
        assert_int_equal(judged, DW_CRASH_FINE);
    }
    opens->failed += outcome.code < 0;
    assert_false(outcome.is_wrong);
    dw_crash_life_abandon(&life);
    dw_sim_faults_clear(image);
    judged = dw_crash_life_open(&life, &outcome);
    if (judged != DW_CRASH_FINE)
        printf("%s after a fault of kind %d at call %" PRIu64 ": seed %" PRIu64 " event %" PRIu64 ": %s\n",
               dw_crash_fault_name(judged), (int)fault->kind, fault->at, parent->seed, event, outcome.text);
    assert_int_equal(judged, DW_CRASH_FINE);
    dw_crash_life_end(&life);
    return is_met;
}

static void an_open_that_fails_at_any_call_can_be_made_again(void **state)
{
    (void)state;
    struct opens opens = {0};
    double since = dw_crash_now();
    for (uint64_t name = OPEN_WORKLOADS; name < OPEN_WORKLOADS + STATES_STANDARD / 5000; name++) {
        struct dw_crash_life life;
        struct dw_crash_outcome outcome;
        struct dw_sim_crash *crash;
        if (dw_crash_is_skipped(name))
            continue;
        dw_crash_life_create(&life, name);
        assert_int_equal(dw_crash_life_open(&life, &outcome), DW_CRASH_FINE);
        dw_crash_life_move(&life, 80);
        dw_crash_life_abandon(&life);
        struct dw_sim_crash_options options = {.tear_unit = life.options.sector_size}; /* what the format assumes */
        assert_int_equal(dw_sim_crash_create(life.disk, &options, &crash), 0);
        uint64_t event = life.segment_event + name % (dw_sim_event_count(life.disk) - life.segment_event);
        for (size_t kind = 0; kind < sizeof kinds / sizeof kinds[0]; kind++) {
            struct dw_sim_fault fault = {
                .kind = kinds[kind], .at = 1, .is_sticky = name % 2, .error = errors[name % 4]};
            while (open_with_fault(&life, crash, event, &fault, &opens))
                fault.at++;
        }
        dw_sim_crash_close(crash);
        dw_crash_life_end(&life);
    }
    printf("faults inside open: %" PRIu64 " opens, %" PRIu64 " failed, %" PRIu64 " did without, %.1f s\n", opens.tried,
           opens.failed, opens.survived, dw_crash_now() - since);
    assert_true(opens.failed > opens.tried / 4); /* the faults do reach it */
}

/* ---- inside a life ---- */
static void run_life(uint64_t name, struct dw_crash_counts *counts, uint64_t *stopped)
{
    struct dw_crash_life life;
    struct dw_crash_outcome outcome;
    dw_crash_life_create(&life, name);
    assert_int_equal(dw_crash_life_open(&life, &outcome), DW_CRASH_FINE);
    dw_crash_life_move(&life, (uint32_t)(name % 50));
    life.is_faulty = true;
    dw_sim_fault(life.disk, &(struct dw_sim_fault){.kind = kinds[name % (sizeof kinds / sizeof kinds[0])],
                                                   .at = 1 + name / 7 % 20,
                                                   .is_sticky = name / 3 % 2,
                                                   .error = errors[name / 5 % 4]});
    dw_crash_life_move(&life, 80);
    *stopped += life.has_failed;
    if (name % 4 == 0)
        dw_crash_life_close(&life);
    else
        dw_crash_life_abandon(&life);
    struct dw_crash_plan plan = {.crash = {.tear_unit = life.options.sector_size},
                                 .exhaust_max = 64,
                                 .samples = 16,
                                 .settle_every = 16,
                                 .workload = name,
                                 .first_event = life.segment_event};
    dw_crash_explore(life.disk, &life.story, &plan, counts);
    dw_sim_faults_clear(life.disk);
    life.is_faulty = false;
    enum dw_crash_fault fault = dw_crash_life_open(&life, &outcome);
    if (fault != DW_CRASH_FINE)
        printf("%s: workload %" PRIu64 ", open after the fault: code %d, entries %zu..%zu of %zu: %s\n",
               dw_crash_fault_name(fault), name, outcome.code, outcome.first, outcome.found, life.story.count,
               outcome.text);
    counts->faults[fault]++;
    if (fault == DW_CRASH_FINE)
        dw_crash_life_move(&life, 20);
    dw_crash_life_end(&life);
}

static void a_disk_that_fails_stops_the_log_and_loses_nothing(void **state)
{
    (void)state;
    double since = dw_crash_now();
    struct dw_crash_counts counts = {0};
    uint64_t wanted = dw_crash_states_wanted(STATES_STANDARD), stopped = 0;
    for (uint64_t name = RUNNING_WORKLOADS; counts.states < wanted && name < 2 * RUNNING_WORKLOADS; name++) {
        if (!dw_crash_is_skipped(name))
            run_life(name, &counts, &stopped);
    }
    dw_crash_counts_print("lives on a failing disk", &counts, dw_crash_now() - since);
    printf("  %" PRIu64 " of them stopped at the fault\n", stopped);
    assert_int_equal(dw_crash_fault_count(&counts), 0);
    assert_true(stopped > 0);
}

int main(void)
{
    dw_crash_prepare();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_open_that_fails_at_any_call_can_be_made_again),
        cmocka_unit_test(a_disk_that_fails_stops_the_log_and_loses_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
