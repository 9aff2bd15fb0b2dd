/* signals.h - "please stop" (SIGINT, SIGTERM, SIGHUP) as something to poll, so that a subcommand ends in its own order. */
#ifndef DW_TOOLS_SIGNALS_H
#define DW_TOOLS_SIGNALS_H

#include <stdbool.h>

/* Block the signals in this and all later threads and open the descriptor. Call it before dwal_open, so that the
 * library's threads inherit the mask. False: not possible (told on standard error). */
bool dw_signals_take(void);
int dw_signals_descriptor(void); /* readable when one came */
/* Has one come? Remembers: true for ever after. */
bool dw_signals_came(void);

#endif
