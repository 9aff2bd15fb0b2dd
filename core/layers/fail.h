/* fail.h - say what failed in a layer, as the base does: what, where, what to do. Called by: every layer, on any thread. */
#ifndef DW_CORE_LAYERS_FAIL_H
#define DW_CORE_LAYERS_FAIL_H

#include <dwal/error.h>
#include <stdarg.h>

/* Make the text, then why the system refused (`system_code`: an errno, or 0), then what to do the thread's last error.
 * Returns `code`. */
int dw_layer_fail(int code, int system_code, uint64_t lsn, const char *format, va_list arguments)
    __attribute__((format(printf, 4, 0)));

#endif
