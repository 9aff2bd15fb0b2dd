/* recycle.h - the steady state of an engine that takes checkpoints: a log that is trimmed behind itself, so that volumes come
 * back and nothing has to be filled. Asked for by "+recycle" behind a driver's variant. */
#ifndef DW_PERF_RECYCLE_H
#define DW_PERF_RECYCLE_H

#include <stdbool.h>
#include <string.h>

#include <dwal/dwal.h>

#include "perf/measure.h"

#define RECYCLE_BLANKS 16u
#define RECYCLE_KEEP   (UINT64_C(256) << 20) /* bytes of the log that are not trimmed */

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
/* After a commit that ended at `end`; each thread keeps its own `*trimmed`. A result of dwal. */
static inline int recycle_trim(dwal *log, uint64_t end, uint64_t *trimmed)
{
    if (end <= *trimmed + RECYCLE_KEEP + (RECYCLE_KEEP >> 2))
        return 0;
    *trimmed = end - RECYCLE_KEEP;
    return dwal_trim(log, *trimmed);
}

#endif
