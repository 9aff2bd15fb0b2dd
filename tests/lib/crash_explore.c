/* crash_explore.c - see crash_explore.h. */
#include "tests/lib/crash_explore.h"

#include <inttypes.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/assert.h"
#include "base/bits.h"

#define PRINTED_MAX 20u

struct replay {
    bool is_on, is_sampled;
    uint64_t workload, event, state;
};

static const struct replay *get_replay(void)
{
    static struct replay replay;
    static bool is_parsed;
    const char *text = getenv("DWAL_CRASH_REPLAY");
    char state[32];
    if (!is_parsed && text &&
        sscanf(text, "%" SCNu64 " %" SCNu64 " %31s", &replay.workload, &replay.event, state) == 3) {
        replay.is_on = true;
        replay.is_sampled = state[0] == 's';
        replay.state = strtoull(state + replay.is_sampled, NULL, 10);
    }
    is_parsed = true;
    return &replay;
}

void dw_crash_prepare(void)
{
    mallopt(M_MMAP_THRESHOLD, 64 << 20);
    mallopt(M_TRIM_THRESHOLD, 512 << 20);
}

bool dw_crash_is_skipped(uint64_t workload)
{
    return get_replay()->is_on && get_replay()->workload != workload;
}

uint64_t dw_crash_states_wanted(uint64_t standard)
{
    const char *text = getenv("DWAL_CRASH_STATES");
    uint64_t wanted = text ? strtoull(text, NULL, 10) : 0;
    return wanted ? wanted : standard;
}

double dw_crash_now(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

/* ---- one state ---- */
struct visit {
    struct dw_disk *disk;
    const struct dw_crash_story *story;
    const struct dw_crash_plan *plan;
    struct dw_crash_counts *counts;
    struct dw_sim_crash *crash;
    struct dw_crash_facts facts;
    uint32_t *picks;
    size_t picks_capacity;
};

static void tell(const struct visit *visit, uint64_t state, bool is_sampled, const struct dw_crash_outcome *outcome,
                 enum dw_crash_fault fault)
{
    char open[2048];
    dw_sim_crash_describe(visit->crash, visit->picks, open, sizeof open);
    size_t least = dw_crash_facts_least(&visit->facts, visit->story);
    printf("%s: DWAL_CRASH_REPLAY=\"%" PRIu64 " %" PRIu64 " %s%" PRIu64 "\"\n"
           "  code %d, verdict %s, row %u, entries %zu..%zu (of %zu appended, at least %zu), end %" PRIu64
           ", acknowledged %" PRIu64 "\n  %s\n%s",
           dw_crash_fault_name(fault), visit->plan->workload, visit->facts.event, is_sampled ? "s" : "", state,
           outcome->code, outcome->verdict < DWAL_VERDICT_COUNT ? dwal_verdict_name(outcome->verdict) : "none",
           outcome->row, outcome->first, outcome->found, visit->facts.appended, least, outcome->end, visit->facts.acked,
           outcome->text, open);
}

static void visit_state(struct visit *visit, uint64_t state, bool is_sampled)
{
    const struct dw_crash_plan *plan = visit->plan;
    struct dw_crash_counts *counts = visit->counts;
    struct dw_disk *image;
    if (is_sampled)
        dw_sim_crash_picks_of_seed(visit->crash, state, visit->picks);
    else
        dw_sim_crash_picks_of_state(visit->crash, state, visit->picks);
    int result = dw_sim_crash_image(visit->crash, visit->picks, state, &image);
    dw_assert(result == 0);
    bool is_settling = plan->settle_every && counts->states % plan->settle_every == 0;
    struct dw_crash_look look = {.how = is_settling ? DW_CRASH_WRITING : DW_CRASH_READ_ONLY,
                                 .is_tolerant = plan->is_tolerant};
    struct dw_crash_outcome outcome;
    dw_crash_look_at(image, visit->story, &look, &outcome);
    image->ops->close(image);
    enum dw_crash_fault fault = dw_crash_judge(&visit->facts, visit->story, &outcome);
    counts->states++;
    counts->sampled += is_sampled;
    counts->settled += is_settling;
    counts->faults[fault]++;
    counts->verdicts[outcome.verdict]++;
    counts->dropped += outcome.found < visit->facts.appended;
    bool is_news = fault != DW_CRASH_FINE && !(fault == DW_CRASH_REFUSED && counts->is_refusal_allowed);
    counts->news += is_news;
    if (get_replay()->is_on || (is_news && counts->news <= PRINTED_MAX))
        tell(visit, state, is_sampled, &outcome, fault);
}

static void visit_moment(struct visit *visit)
{
    const struct dw_crash_plan *plan = visit->plan;
    const struct replay *replay = get_replay();
    size_t choices = dw_sim_crash_choice_count(visit->crash);
    if (choices > visit->picks_capacity) {
        visit->picks_capacity = choices * 2;
        visit->picks = realloc(visit->picks, visit->picks_capacity * sizeof *visit->picks);
        dw_assert(visit->picks);
    }
    uint64_t states = dw_sim_crash_state_count(visit->crash);
    bool is_exhausted = states <= plan->exhaust_max;
    if (replay->is_on) {
        if (replay->event == visit->facts.event)
            visit_state(visit, replay->state, replay->is_sampled);
        return;
    }
    visit->counts->moments++;
    visit->counts->exhausted += is_exhausted;
    uint64_t count = is_exhausted ? states : plan->samples;
    uint64_t seed = plan->workload * 1000003 + visit->facts.event * 4096;
    for (uint64_t i = 0; i < count; i++) /* of the sampled ones, the first two are nothing and everything */
        visit_state(visit, is_exhausted || i < 2 ? i : seed + i, !is_exhausted);
}

/* Does what is on the medium after this event differ from before, or may it? */
static bool is_moving(const struct dw_sim_event *event)
{
    return event->kind != DW_SIM_MARK;
}

void dw_crash_explore(struct dw_disk *disk, const struct dw_crash_story *story, const struct dw_crash_plan *plan,
                      struct dw_crash_counts *counts)
{
    struct visit visit = {.disk = disk, .story = story, .plan = plan, .counts = counts, .facts = plan->facts};
    int result = dw_sim_crash_create(disk, &plan->crash, &visit.crash);
    dw_assert(result == 0);
    uint64_t end = dw_sim_event_count(disk);
    counts->workloads++;
    for (uint64_t event = 1; event <= end; event++) {
        /* Marks change only what is known: the last of a row of them is the strictest moment. */
        if (event < end && !is_moving(dw_sim_event_at(disk, event)))
            continue;
        dw_crash_facts_advance(&visit.facts, disk, event);
        if (event < plan->first_event || !visit.facts.is_created)
            continue;
        result = dw_sim_crash_seek(visit.crash, event);
        dw_assert(result == 0);
        visit_moment(&visit);
    }
    dw_sim_crash_close(visit.crash);
    free(visit.picks);
}

/* ---- counts ---- */
uint64_t dw_crash_fault_count(const struct dw_crash_counts *counts)
{
    uint64_t count = 0;
    for (size_t i = 1; i < DW_CRASH_FAULTS; i++)
        count += counts->faults[i];
    return count;
}

void dw_crash_counts_print(const char *title, const struct dw_crash_counts *counts, double seconds)
{
    printf("%s: %" PRIu64 " states (%" PRIu64 " sampled, %" PRIu64 " opened for writing), %" PRIu64 " moments (%" PRIu64
           " exhausted) of %" PRIu64 " workloads, %" PRIu64 " with something dropped, "
           "%.1f s, %.0f us each\n ",
           title, counts->states, counts->sampled, counts->settled, counts->moments, counts->exhausted,
           counts->workloads, counts->dropped, seconds, counts->states ? seconds * 1e6 / (double)counts->states : 0.0);
    for (size_t i = 1; i < DW_CRASH_FAULTS; i++)
        printf(" %s %" PRIu64 "%s", dw_crash_fault_name((enum dw_crash_fault)i), counts->faults[i],
               i + 1 < DW_CRASH_FAULTS ? "," : "\n  verdicts:");
    for (size_t i = 0; i < DWAL_VERDICT_COUNT; i++) {
        if (counts->verdicts[i])
            printf(" %s %" PRIu64, dwal_verdict_name((enum dwal_verdict)i), counts->verdicts[i]);
    }
    printf(" none %" PRIu64 "\n", counts->verdicts[DWAL_VERDICT_COUNT]);
    fflush(stdout);
}
