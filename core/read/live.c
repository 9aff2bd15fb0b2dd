/* live.c - recovery beside a live writer: a refusal counts only when it comes again after everything was read anew.
 *
 * Called by: open of a read-only log, verify and scan, on their thread. The blocks and the witnesses are read at different
 * moments: a block that was read before its write landed may be judged by a watermark that was read after, and a volume may be
 * retired in between. Damage stays; such a coincidence does not.
 * Failure: after some attempts the refusal stands, and only then its damage is told to the callback. Harmless damage beside a
 * writer is counted in the report, not told. */
#include <time.h>

#include "core/read/recover.h"

enum { ATTEMPTS = 6, PAUSE_NS = 4000000 };

int dw_recover_beside(struct dw_store *store, const struct dw_recover_options *options, struct dw_recovered *recovered)
{
    struct dw_recover_options quiet = *options;
    quiet.damage = NULL;
    if (!options->has_live_writer)
        return dw_recover(store, options, recovered);
    for (int attempt = 1; attempt < ATTEMPTS; attempt++) {
        int result = dw_recover(store, &quiet, recovered);
        if (result < 0 || dwal_verdict_error(recovered->report.verdict) == 0)
            return result;
        dw_recovered_free(recovered);
        const struct timespec pause = {.tv_nsec = PAUSE_NS};
        nanosleep(&pause, NULL);
        result = dw_store_refresh(store);
        if (result < 0)
            return result;
    }
    return dw_recover(store, options, recovered);
}
