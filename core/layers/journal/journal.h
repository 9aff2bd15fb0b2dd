/* journal.h - between the files of the journal's helpers. */
#ifndef DW_CORE_LAYERS_JOURNAL_H
#define DW_CORE_LAYERS_JOURNAL_H

#include <dwal/journal.h>

#include "base/compiler.h"

/* Set the thread's last error and return its code. */
int dw_journal_fail(int code, const char *format, ...) DW_PRINTF(2, 3);

#endif
