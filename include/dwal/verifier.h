/* dwal/verifier.h - notice when the replicas of an indexed log do not hold the same bytes, and where it went wrong.
 *
 * Whoever leads stores a checkpoint now and then: an entry that carries the sum of all entries since the last one. Every
 * replica sums up what it stores. At a checkpoint it compares three sums: what the leader says (expected), what it stored itself
 * (written), and what it reads back from its own log (read, on a thread of yours, later). Expected and written differ: the bytes
 * were changed on the way here. Written and read differ: they were changed here.
 *
 * THREADS  dwal_verifier_store, _checkpoint: one thread at a time, as it is with the stores of one log. dwal_verifier_run: one
 * other thread, as often as it likes. dwal_verifier_get_stats: any. The report callback is called by dwal_verifier_run.
 *
 * BLOCKING  store: as dwal_indexed_store; summing takes about a nanosecond for 8 bytes. At most one range waits to be read
 * back; a further one is dropped, counted, and told as skipped in the next report. So a slow disk never holds up a store. */
#ifndef DWAL_VERIFIER_H
#define DWAL_VERIFIER_H

#include <dwal/indexed.h>

#ifdef __cplusplus
extern "C" {
#endif
#ifdef __GNUC__
#pragma GCC visibility push(default) /* these are exported, also from a library compiled with -fvisibility=hidden */
#endif

typedef struct dwal_verifier dwal_verifier;

/* What a checkpoint entry at index c carries: the sum of the entries first..c-1. How it lies in the entry is up to you. */
struct dwal_checkpoint {
    uint64_t first;
    uint64_t sum;
};

enum dwal_verifier_fault {
    DWAL_VERIFIER_SOUND = 0,
    DWAL_VERIFIER_IN_FLIGHT, /* what was stored here is not what the leader summed */
    DWAL_VERIFIER_STORAGE,   /* what was stored here is right, what is read back is not */
    DWAL_VERIFIER_EITHER, /* what is read back is wrong, and it is not known what was stored (by an earlier process) */
    DWAL_VERIFIER_RANGE,  /* the range is not in the log any more: nothing can be said */
    DWAL_VERIFIER_READ,   /* reading it back failed: `result` is the reason */
};
const char *dwal_verifier_fault_name(enum dwal_verifier_fault fault); /* for people; static text */

struct dwal_verifier_report {
    uint64_t first, last; /* the range, both included */
    uint64_t skipped_first,
        skipped_last; /* ranges dropped since the last report: from the first to the last; 0, 0: none */
    uint64_t expected_sum, written_sum, read_sum;
    bool is_written_known; /* this verifier saw all of the range being stored */
    enum dwal_verifier_fault fault;
    int result; /* 0; DWAL_EINDEX_SUM; DWAL_EINDEX_NONE (RANGE); the code that reading answered (READ) */
    uint64_t elapsed_ns;
};

struct dwal_verifier_options {
    size_t size; /* sizeof(struct dwal_verifier_options) */
    /* Is this entry a checkpoint? Then fill in what it carries and return true. Called in store for each entry; it must not
     * call back. */
    bool (*read_checkpoint)(void *context, const struct dwal_indexed_entry *entry, struct dwal_checkpoint *checkpoint);
    void (*report)(void *context, const struct dwal_verifier_report *report);
    void *context;
};

/* A verifier for `log`, which must outlive it. DWAL_EARGUMENT, DWAL_EMEMORY. */
int dwal_verifier_create(dwal_indexed *log, const struct dwal_verifier_options *options, dwal_verifier **verifier);
void dwal_verifier_close(dwal_verifier *verifier); /* no call may be under way; NULL is fine */

/* dwal_indexed_store, and sum up what was stored. Errors of dwal_indexed_store. */
int dwal_verifier_store(dwal_verifier *verifier, const struct dwal_indexed_entry *entries, size_t count);
/* For the leader: what the next checkpoint has to carry, if it is stored now, right behind the last entry. false: this
 * verifier has not seen the range from its begin; store a checkpoint with first = its own index (an empty range) then. */
bool dwal_verifier_checkpoint(dwal_verifier *verifier, struct dwal_checkpoint *checkpoint);
/* Verify the range that waits, or wait for one up to `timeout_ns`: reads it from the log and calls `report`. 0: one was
 * verified, whatever came out; DWAL_ETIMEOUT. */
int dwal_verifier_run(dwal_verifier *verifier, uint64_t timeout_ns);

/* Go on with a sum over one more entry; 0 begins. The same on every machine. */
uint64_t dwal_verifier_sum(uint64_t sum, uint64_t index, const void *data, size_t size);

struct dwal_verifier_stats {
    size_t size; /* set to sizeof(struct dwal_verifier_stats) before the call */
    uint64_t checkpoints, verified, dropped, in_flight_faults, storage_faults, other_faults;
};
/* A copy of the counters. */
int dwal_verifier_get_stats(dwal_verifier *verifier, struct dwal_verifier_stats *stats);

#ifdef __GNUC__
#pragma GCC visibility pop
#endif
#ifdef __cplusplus
}
#endif
#endif
