/* verify.c - dwal_verify: read everything, check everything, tell the verdict that dwal_open would act on.
 *
 * Called by: tools and applications, on any thread; opens the log read-only for itself and takes no lock, so it works
 * beside a live writer. Happy path: load -> recover with is_full -> report. Failure: what makes loading fail for reasons
 * that lie in the log (not in the environment) is a verdict too. Closing: nothing stays. */
#include "core/log/inspect.h"

#include <stdio.h>

#include "base/compiler.h"
#include "core/base/error.h"
#include "core/read/recover.h"
#include "core/store/names.h"

/* The verdict for a code of dw_store_load; DWAL_VERDICT_COUNT: not the log's fault. */
static enum dwal_verdict verdict_of(int code)
{
    switch (code) {
    case DWAL_ECORRUPT:
        return DWAL_VERDICT_CORRUPT;
    case DWAL_ELOST:
        return DWAL_VERDICT_LOST;
    case DWAL_EROLLBACK:
        return DWAL_VERDICT_ROLLBACK;
    case DWAL_EFOREIGN:
        return DWAL_VERDICT_FOREIGN;
    case DWAL_EVERSION:
        return DWAL_VERDICT_VERSION;
    case DWAL_EDEVICE:
        return DWAL_VERDICT_UNREADABLE;
    default:
        return DWAL_VERDICT_COUNT;
    }
}

/* The log could not even be loaded: that is the one finding. */
static int report_load_failure(int code, dwal_damage_fn *fn, void *context, struct dwal_report *report)
{
    const struct dwal_error *error = dwal_last_error();
    enum dwal_verdict verdict = verdict_of(code);
    if (verdict == DWAL_VERDICT_COUNT)
        return code;
    *report = (struct dwal_report){.size = sizeof *report,
                                   .verdict = verdict,
                                   .break_block = DWAL_NO_LSN,
                                   .break_volume = error->volume,
                                   .findings = 1};
    (void)snprintf(report->text, sizeof report->text, "%.*s", (int)sizeof report->text - 1, error->text);
    struct dwal_damage damage = {.verdict = verdict,
                                 .volume = error->volume,
                                 .block = DWAL_NO_LSN,
                                 .lsn = DWAL_NO_LSN,
                                 .file = DW_NAME_SUPERBLOCK};
    (void)snprintf(damage.text, sizeof damage.text, "%.*s", (int)sizeof damage.text - 1, error->text);
    if (fn)
        fn(context, &damage);
    return 0;
}

DW_EXPORT int dwal_verify(const char *path, const struct dwal_options *options, bool full, dwal_damage_fn *fn,
                          void *context, struct dwal_report *report)
{
    int result = dw_inspect_check_size(report->size, sizeof *report, "report");
    if (result)
        return result;
    struct dw_inspect inspect;
    result = dw_inspect_open(path, options, &inspect);
    if (result)
        return inspect.was_disk_open ? report_load_failure(result, fn, context, report) : result;
    struct dw_recover_options how = {
        .is_tolerant = options && options->recovery == DWAL_TOLERANT,
        .is_full = full,
        .has_live_writer = dw_store_has_writer(inspect.store),
        .min_lsn = options ? options->min_lsn : 0,
        .look_ahead = -1,
        .damage = fn,
        .damage_context = context,
    };
    struct dw_recovered recovered;
    result = dw_recover_beside(inspect.store, &how, &recovered);
    if (result == 0) {
        *report = recovered.report;
        report->size = sizeof *report;
        dw_recovered_free(&recovered);
    }
    dw_inspect_close(&inspect);
    return result;
}
