/* inspect_report.c - what recovery said when this log was opened: dwal_get_report and dwal_damage.
 *
 * Called by: any thread, between open and close. Reads what open stored in the handle and nobody changes after. */
#include "base/compiler.h"
#include "core/base/error.h"
#include "core/log/handle.h"
#include "core/log/inspect.h"

DW_EXPORT int dwal_get_report(const dwal *log, struct dwal_report *report)
{
    int result = dw_inspect_check_size(report->size, sizeof *report, "report");
    if (result)
        return result;
    *report = log->report;
    report->size = sizeof *report;
    return 0;
}

DW_EXPORT int dwal_damage(dwal *log, dwal_damage_fn *fn, void *context)
{
    if (!fn)
        return dw_fail(DWAL_EARGUMENT, "a function is needed");
    if (log->options.mode != DWAL_REPORT)
        return dw_fail(DWAL_EARGUMENT, "damage is listed for a log that was opened with DWAL_REPORT");
    for (size_t i = 0; i < log->damage.count; i++)
        fn(context, &log->damage.items[i]);
    return 0;
}
