/* progress.h - a line on the terminal while long work runs: percent and rate.
 *
 * The library's calls report nothing while they run, so the line comes from what the kernel counts for this process:
 * bytes read from and written to devices. Shown only when standard error is a terminal, and only after half a second. */
#ifndef DW_TOOLS_PROGRESS_H
#define DW_TOOLS_PROGRESS_H

#include <stdint.h>

/* `what`: "filling", "reading"; `bytes_total`: what will be moved, 0: unknown. */
void dw_progress_begin(const char *what, uint64_t bytes_total);
void dw_progress_end(void);
/* Remove the line for a message; it comes back by itself. */
void dw_progress_wipe(void);

#endif
