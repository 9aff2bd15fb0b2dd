/* crash_explore.h - take the crash images of a disk's history one after the other, look at each, count what was found.
 *
 * Called by: the crash tests, one thread. A failure is printed with what is needed to see it again: the name of the
 * workload, the event, the state. DWAL_CRASH_REPLAY="workload event state" runs that one state only and tells what is in
 * it; a state written as s123 is a sampled one with seed 123. DWAL_CRASH_STATES sets how many states a program visits. */
#ifndef DW_TESTS_LIB_CRASH_EXPLORE_H
#define DW_TESTS_LIB_CRASH_EXPLORE_H

#include "tests/lib/crash_check.h"

struct dw_crash_counts {
    uint64_t workloads, moments, exhausted; /* exhausted: moments of which every state was visited */
    uint64_t states, sampled, settled;      /* settled: opened for writing */
    uint64_t faults[DW_CRASH_FAULTS];
    uint64_t verdicts[DWAL_VERDICT_COUNT + 1];
    bool is_refusal_allowed; /* then refusals are counted and not printed */
    uint64_t news;           /* faults that were printed, or would have been */
    uint64_t dropped;        /* states in which something appended was not there (and need not be) */
};
struct dw_crash_plan {
    struct dw_sim_crash_options crash;
    uint64_t exhaust_max;  /* visit all states of a moment that has at most so many */
    uint32_t samples;      /* else so many */
    uint32_t settle_every; /* open every n-th for writing, the others read-only; 0: none */
    bool is_tolerant;
    uint64_t workload; /* its name, for the replay */
    uint64_t first_event;
    struct dw_crash_facts facts; /* of the moment in which the disk began; zeroed for a disk of its own */
};
/* Visit the history of `disk` from plan->first_event to its end. Faults are counted and (the first 20) printed. */
void dw_crash_explore(struct dw_disk *disk, const struct dw_crash_story *story, const struct dw_crash_plan *plan,
                      struct dw_crash_counts *counts);
uint64_t dw_crash_fault_count(const struct dw_crash_counts *counts);
void dw_crash_counts_print(const char *title, const struct dw_crash_counts *counts, double seconds);
double dw_crash_now(void); /* seconds */

/* Call it first: memory that is freed stays in the process, or a state costs more page faults than work. */
void dw_crash_prepare(void);
/* From the environment. */
uint64_t dw_crash_states_wanted(uint64_t standard);
/* True when only one workload is to be run, and it is not this one. */
bool dw_crash_is_skipped(uint64_t workload);

#endif
