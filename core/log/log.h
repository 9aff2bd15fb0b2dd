/* log.h - open a log on any disk, with or without threads: the seam that the public calls and the tests share.
 *
 * dwal_open is dw_log_open_on with a posix disk, the system's clock and threads. A deterministic test gives a simulated
 * disk and steps the two workers itself; the code that runs is the same. */
#ifndef DW_CORE_LOG_LOG_H
#define DW_CORE_LOG_LOG_H

#include <dwal/dwal.h>

#include "io/io.h"

struct dw_backend_order;

struct dw_log_setup {
    /* Backends to try when the options name none (core/log/backend.h); NULL: the default order. Read by open only. */
    const struct dw_backend_order *order;
    struct dw_disk *disk; /* owned by the log from a successful open on: closed by dwal_close unless is_disk_borrowed */
    const struct dw_clock *clock; /* NULL: the system's */
    bool is_disk_borrowed;
    bool
        is_single_stepped; /* no threads: the caller calls the two step functions; calls that would have to wait for another
                             * thread answer DWAL_EFULL (append) or step the workers themselves (sync, close) */
};

int dw_log_create_on(struct dw_disk *disk, const struct dw_clock *clock, const uint8_t log_id[16], uint32_t tag_key,
                     const struct dwal_options *options);
int dw_log_open_on(const struct dw_log_setup *setup, const struct dwal_options *options, dwal **log);

/* One bounded piece of work of the flusher or the maker. True when something was done. Only when is_single_stepped. */
bool dw_log_step_flusher(dwal *log);
bool dw_log_step_maker(dwal *log);
/* Release a handle as a crash would: write nothing, wait for nothing. Only when is_single_stepped. */
void dw_log_abandon(dwal *log);

#endif
