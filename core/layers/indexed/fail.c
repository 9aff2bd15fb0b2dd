/* fail.c - say what failed in the indexed log, as the base does: what, which indexes, what to do.
 *
 * Called by: every file of core/layers/indexed, on any thread. No state. */
#define DW_INDEXED_FAIL_IMPLEMENTATION
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "core/layers/indexed/indexed.h"

int dw_indexed_fail(int code, uint64_t lsn, const char *format, ...)
{
    struct dwal_error error = {.code = code, .volume = DWAL_NO_VOLUME, .block = DWAL_NO_LSN, .lsn = lsn};
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(error.text, sizeof error.text, format, arguments);
    va_end(arguments);
    size_t used = strlen(error.text);
    if (lsn != DWAL_NO_LSN)
        (void)snprintf(error.text + used, sizeof error.text - used, " (lsn %llu)", (unsigned long long)lsn);
    used = strlen(error.text);
    (void)snprintf(error.text + used, sizeof error.text - used, "; %s", dwal_error_action(code));
    return dwal_set_error(&error);
}

int dw_indexed_fail_memory(void)
{
    return dw_indexed_fail(DWAL_EMEMORY, DWAL_NO_LSN, "no memory for an indexed log");
}
