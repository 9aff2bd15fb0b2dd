/* event.c - tell the caller what a person should know. Called on any thread of dwal, never on the commit path.
 * Without a callback nothing is printed: a library does not write to a host's terminal. */
#include <stdarg.h>
#include <stdio.h>

#include "core/log/handle.h"

void dw_event_tell(const struct dwal *log, enum dwal_event_level level, const char *format, ...)
{
    if (!log->options.event)
        return;
    char text[512];
    va_list list;
    va_start(list, format);
    vsnprintf(text, sizeof text, format, list);
    va_end(list);
    log->options.event(log->options.context, level, text);
}
