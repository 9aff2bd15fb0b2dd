/* test_crash_garbled.c - devices that are worse than assumed: sectors in flight become garbage or tear inside, and devices
 * that call a write durable when it is not.
 *
 * Garbled: TOLERANT never refuses, never loses; STRICT never loses, and may refuse. Lying: whatever is missing, recovery
 * refuses wherever a witness is left on the disk; the others are the declared undecidable cases, found by the second
 * judge. DWAL_CRASH_STATES and DWAL_CRASH_REPLAY as elsewhere. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "tests/lib/crash_damage.h"
#include "tests/lib/crash_disk.h"
#include "tests/lib/crash_life.h"
#include "tests/lib/crash_model.h"

#ifdef DW_SANITIZED
#define STATES_STANDARD 20000u
#else
#define STATES_STANDARD 400000u
#endif
#define MODEL_WORKLOADS 5000000u
#define LIFE_WORKLOADS  6000000u
#define LYING_WORKLOADS 7000000u
#define PRINTED_MAX     10u

static void explore_model(uint64_t name, bool is_tolerant, struct dw_crash_counts *counts)
{
    struct dw_crash_planned entries[DW_CRASH_PLAN_MAX];
    struct dw_crash_model model;
    struct dw_crash_chooser chooser;
    struct dw_crash_writer writer;
    dw_crash_model_of_seed(name, &model, entries);
    dw_crash_chooser_seed(&chooser, name);
    dw_crash_model_run(&model, &chooser, name, &writer);
    struct dw_crash_plan plan = {.crash = {.tear_unit = model.shape.sector_size, .garbled = 3},
                                 .exhaust_max = 64,
                                 .samples = 40,
                                 .settle_every = is_tolerant ? 16 : 0,
                                 .is_tolerant = is_tolerant,
                                 .workload = name};
    dw_crash_explore(writer.disk, &writer.story, &plan, counts);
    dw_crash_writer_free(&writer);
}

static void explore_life(uint64_t name, bool is_tolerant, struct dw_crash_counts *counts)
{
    struct dw_crash_life life;
    struct dw_crash_outcome outcome;
    dw_crash_life_create(&life, name);
    assert_int_equal(dw_crash_life_open(&life, &outcome), DW_CRASH_FINE);
    dw_crash_life_move(&life, 120);
    if (name % 2)
        dw_crash_life_close(&life);
    else
        dw_crash_life_abandon(&life);
    struct dw_crash_plan plan = {.crash = {.tear_unit = life.options.sector_size, .garbled = 3},
                                 .exhaust_max = 64,
                                 .samples = 24,
                                 .settle_every = is_tolerant ? 16 : 0,
                                 .is_tolerant = is_tolerant,
                                 .workload = name,
                                 .first_event = life.segment_event};
    dw_crash_explore(life.disk, &life.story, &plan, counts);
    dw_crash_life_end(&life);
}

static void explore_garbled(bool is_tolerant, struct dw_crash_counts *counts)
{
    uint64_t wanted = dw_crash_states_wanted(STATES_STANDARD) / 4, name;
    for (name = MODEL_WORKLOADS; counts->states < wanted && name < LIFE_WORKLOADS; name++) {
        if (!dw_crash_is_skipped(name))
            explore_model(name, is_tolerant, counts);
    }
    for (name = LIFE_WORKLOADS; counts->states < 2 * wanted && name < LYING_WORKLOADS; name++) {
        if (!dw_crash_is_skipped(name))
            explore_life(name, is_tolerant, counts);
    }
}

static void tolerant_recovery_of_garbled_sectors_refuses_and_loses_nothing(void **state)
{
    (void)state;
    double since = dw_crash_now();
    struct dw_crash_counts counts = {0};
    explore_garbled(true, &counts);
    dw_crash_counts_print("garbled sectors, TOLERANT", &counts, dw_crash_now() - since);
    assert_int_equal(dw_crash_fault_count(&counts), 0);
}

static void strict_recovery_of_garbled_sectors_loses_nothing(void **state)
{
    (void)state;
    double since = dw_crash_now();
    struct dw_crash_counts counts = {.is_refusal_allowed = true};
    explore_garbled(false, &counts);
    dw_crash_counts_print("garbled sectors, STRICT", &counts, dw_crash_now() - since);
    assert_int_equal(dw_crash_fault_count(&counts) - counts.faults[DW_CRASH_REFUSED], 0);
    assert_true(counts.faults[DW_CRASH_REFUSED] > 0); /* else nothing was garbled that matters */
}

/* ---- devices that lie ---- */
struct lying {
    struct dw_crash_writer writer;
    struct dw_sim_crash *crash;
    struct dw_crash_facts facts;
    uint64_t states, refused, complete, lost, undecidable, silent, wrong;
};

static void visit_lie(struct lying *lying, uint64_t name, uint64_t seed)
{
    static uint32_t picks[8192];
    struct dw_disk *image;
    struct dw_crash_prognosis prognosis;
    struct dw_crash_outcome outcome;
    struct dw_crash_look look = {.how = DW_CRASH_READ_ONLY};
    assert_true(dw_sim_crash_choice_count(lying->crash) <= 8192);
    dw_sim_crash_picks_of_seed(lying->crash, seed, picks);
    assert_int_equal(dw_sim_crash_image(lying->crash, picks, seed, &image), 0);
    dw_crash_foresee(&lying->writer, &lying->facts, image, NULL, 0, 0, &prognosis);
    dw_crash_look_at(image, &lying->writer.story, &look, &outcome);
    image->ops->close(image);
    size_t least = dw_crash_facts_least(&lying->facts, &lying->writer.story);
    bool is_refused = outcome.code < 0 || outcome.read_code == DWAL_ECORRUPT;
    bool is_lost = !is_refused && (outcome.found < least || outcome.read_code < 0);
    bool is_wrong = outcome.is_wrong || (!is_refused && outcome.found > lying->facts.appended);
    lying->states++;
    lying->refused += is_refused;
    lying->complete += !is_refused && !is_lost;
    lying->lost += is_lost;
    lying->undecidable += prognosis.may_lose;
    lying->wrong += is_wrong;
    bool is_silent = is_lost && !prognosis.may_lose;
    lying->silent += is_silent;
    if ((is_silent || is_wrong) && lying->silent + lying->wrong <= PRINTED_MAX)
        printf("%s: workload %" PRIu64 " event %" PRIu64 " state s%" PRIu64
               ": verdict %d, row %u, read code %d, found %zu of at least %zu, end %" PRIu64
               ", %u wounds, the first in block %" PRIu64 ", witnessed %d, far %d, misdirected %d, unwritten %d: %s\n",
               is_wrong ? "WRONG BYTES" : "SILENT LOSS", name, lying->facts.event, seed, (int)outcome.verdict,
               outcome.row, outcome.read_code, outcome.found, least, outcome.end, prognosis.wounds,
               prognosis.first.block, prognosis.first.is_witnessed, prognosis.first.is_far,
               prognosis.first.is_misdirected, prognosis.first.looks_unwritten, outcome.text);
}

static void run_lie(struct lying *lying, uint64_t name)
{
    struct dw_crash_planned entries[DW_CRASH_PLAN_MAX];
    struct dw_crash_model model;
    struct dw_crash_chooser chooser;
    dw_crash_model_of_seed(name, &model, entries);
    dw_crash_chooser_seed(&chooser, name);
    model.is_lying = true;
    dw_crash_model_run(&model, &chooser, name, &lying->writer);
    struct dw_sim_crash_options options = {.tear_unit = model.shape.sector_size};
    assert_int_equal(dw_sim_crash_create(lying->writer.disk, &options, &lying->crash), 0);
    lying->facts = (struct dw_crash_facts){0};
    for (uint64_t event = 1; event <= dw_sim_event_count(lying->writer.disk); event++) {
        dw_crash_facts_advance(&lying->facts, lying->writer.disk, event);
        if (!lying->facts.is_created || event % 3 != name % 3)
            continue;
        assert_int_equal(dw_sim_crash_seek(lying->crash, event), 0);
        for (uint64_t seed = 0; seed < 24; seed++)
            visit_lie(lying, name, seed < 2 ? seed : name * 7 + event * 64 + seed);
    }
    dw_sim_crash_close(lying->crash);
    dw_crash_writer_free(&lying->writer);
}

static void a_device_that_lies_is_found_out_wherever_a_witness_is_left(void **state)
{
    (void)state;
    static struct lying lying;
    double since = dw_crash_now();
    uint64_t wanted = dw_crash_states_wanted(STATES_STANDARD) / 8;
    for (uint64_t name = LYING_WORKLOADS; lying.states < wanted; name++) {
        if (!dw_crash_is_skipped(name))
            run_lie(&lying, name);
    }
    printf("a lying device: %" PRIu64 " states, %.1f s: refused %" PRIu64 ", complete %" PRIu64 ", lost %" PRIu64
           " (undecidable %" PRIu64 "), SILENT LOSS %" PRIu64 ", wrong bytes %" PRIu64 "\n",
           lying.states, dw_crash_now() - since, lying.refused, lying.complete, lying.lost, lying.undecidable,
           lying.silent, lying.wrong);
    assert_int_equal(lying.silent + lying.wrong, 0);
    assert_true(lying.refused > 0 && lying.lost > 0);
}

int main(void)
{
    dw_crash_prepare();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tolerant_recovery_of_garbled_sectors_refuses_and_loses_nothing),
        cmocka_unit_test(strict_recovery_of_garbled_sectors_loses_nothing),
        cmocka_unit_test(a_device_that_lies_is_found_out_wherever_a_witness_is_left),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
