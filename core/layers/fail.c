/* fail.c - see fail.h. No state. */
#include "core/layers/fail.h"

#include <stdio.h>
#include <string.h>

int dw_layer_fail(int code, int system_code, uint64_t lsn, const char *format, va_list arguments)
{
    struct dwal_error error = {
        .code = code, .system_code = system_code, .volume = DWAL_NO_VOLUME, .block = DWAL_NO_LSN, .lsn = lsn};
    char why[128];
    (void)vsnprintf(error.text, sizeof error.text, format, arguments);
    size_t used = strlen(error.text);
    if (system_code != 0)
        (void)snprintf(error.text + used, sizeof error.text - used, " (%s)", strerror_r(system_code, why, sizeof why));
    used = strlen(error.text);
    (void)snprintf(error.text + used, sizeof error.text - used, "; %s", dwal_error_action(code));
    return dwal_set_error(&error);
}
