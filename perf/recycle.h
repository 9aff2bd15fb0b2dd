/* recycle.h - the steady state of an engine that takes checkpoints: a log that is trimmed behind itself, so that volumes come
 * back and nothing has to be filled. Asked for by "+recycle" behind a driver's variant.
 *
 * Owns: a thread that looks each 10 ms and trims, as a checkpoint does; no caller that is measured waits for the two writes of a trim.
 * Called by: the main thread, behind the open and before the close. Failure: a message and status 1. */
#ifndef DW_PERF_RECYCLE_H
#define DW_PERF_RECYCLE_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <string.h>

#include <dwal/dwal.h>

#include "perf/measure.h"

#define RECYCLE_BLANKS 16u
#define RECYCLE_KEEP   (UINT64_C(64) << 20) /* bytes of the log that are not trimmed: one volume */
#define RECYCLE_STEP   (UINT64_C(64) << 20) /* a trim for as many */

/* Cuts "+recycle" off `variant`; true when it was there. */
static inline bool recycle_is_asked(char *variant)
{
    char *at = strstr(variant, "+recycle");
    if (at)
        *at = '\0';
    return at != NULL;
}
/* Until the maker has made all blanks and is quiet: no new one for longer than one takes. */
static inline void perf_wait_for_maker(dwal *log)
{
    static struct dwal_stats stats;
    stats.size = sizeof stats;
    uint64_t made = 0;
    for (int looks = 0; looks < 10 && dwal_get_stats(log, &stats) == 0; looks++) {
        if (stats.blanks_made != made || made == 0)
            looks = 0;
        made = stats.blanks_made;
        perf_sleep_ns(UINT64_C(50000000));
    }
}
static struct recycle {
    pthread_t thread;
    dwal *log;
    _Atomic bool is_stopping; /* relaxed: the join follows */
} recycle_one;

static inline void *recycle_run(void *argument)
{
    struct recycle *recycle = argument;
    uint64_t trimmed = 0;
    while (!atomic_load_explicit(&recycle->is_stopping, memory_order_relaxed)) {
        perf_sleep_ns(UINT64_C(10000000));
        uint64_t durable = dwal_durable(recycle->log);
        if (durable <= trimmed + RECYCLE_KEEP + RECYCLE_STEP)
            continue;
        trimmed = durable - RECYCLE_KEEP;
        if (dwal_trim(recycle->log, trimmed) != 0) {
            fprintf(stderr, "trim: %s\n", dwal_last_error()->text);
            exit(1);
        }
    }
    return NULL;
}

static inline void recycle_start(dwal *log)
{
    recycle_one.log = log;
    if (pthread_create(&recycle_one.thread, NULL, recycle_run, &recycle_one) != 0) {
        fprintf(stderr, "trim: no thread\n");
        exit(1);
    }
}

static inline void recycle_stop(void)
{
    atomic_store_explicit(&recycle_one.is_stopping, true, memory_order_relaxed);
    pthread_join(recycle_one.thread, NULL);
}

#endif
