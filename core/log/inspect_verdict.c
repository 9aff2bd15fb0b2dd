/* inspect_verdict.c - the names of recovery's verdicts and the codes that dwal_open answers for them.
 *
 * Called by: open, verify, tools and tests, on any thread. Pure. */
#include <dwal/inspect.h>

#include "base/compiler.h"

static const struct {
    const char *name;
    int error;
} verdicts[DWAL_VERDICT_COUNT] = {
    [DWAL_VERDICT_CLEAN] = {"CLEAN", DWAL_OK},
    [DWAL_VERDICT_END] = {"END", DWAL_OK},
    [DWAL_VERDICT_TORN] = {"TORN", DWAL_OK},
    [DWAL_VERDICT_UNCERTAIN] = {"UNCERTAIN", DWAL_EUNCERTAIN},
    [DWAL_VERDICT_CORRUPT] = {"CORRUPT", DWAL_ECORRUPT},
    [DWAL_VERDICT_MISDIRECTED] = {"MISDIRECTED", DWAL_ECORRUPT},
    [DWAL_VERDICT_LOST] = {"LOST", DWAL_ELOST},
    [DWAL_VERDICT_ROLLBACK] = {"ROLLBACK", DWAL_EROLLBACK},
    [DWAL_VERDICT_FOREIGN] = {"FOREIGN", DWAL_EFOREIGN},
    [DWAL_VERDICT_VERSION] = {"VERSION", DWAL_EVERSION},
    [DWAL_VERDICT_UNREADABLE] = {"UNREADABLE", DWAL_EDEVICE},
};

DW_EXPORT const char *dwal_verdict_name(enum dwal_verdict verdict)
{
    return (unsigned)verdict < DWAL_VERDICT_COUNT ? verdicts[verdict].name : "unknown";
}

DW_EXPORT int dwal_verdict_error(enum dwal_verdict verdict)
{
    return (unsigned)verdict < DWAL_VERDICT_COUNT ? verdicts[verdict].error : DWAL_EARGUMENT;
}
