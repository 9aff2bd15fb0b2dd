/* choice_cache.h - what was measured for a place, remembered in this process and in a file of the user's.
 *
 * Owns: a small table for the process, and one text file for each place in $DWAL_CACHE_DIR, else /var/cache/dwal (root), else
 * $XDG_CACHE_HOME/dwal or ~/.cache/dwal. An empty DWAL_CACHE_DIR: no files.
 * Called by: open, info, the maker's thread (stale); the caller holds the lock of choice.c for the table.
 * Happy path: key -> table -> file. Kept are the figures, not the choice: the rules may get better.
 * Failure: a file that is damaged, somebody else's, of another format or key is as if it were not there; one that cannot be
 * written is not written. */
#ifndef DW_CORE_LOG_CHOICE_CACHE_H
#define DW_CORE_LOG_CHOICE_CACHE_H

#include <dwal/probe.h>

#include "io/probe.h"

#define DW_MEASURED_KEY_SIZE  512u
#define DW_MEASURED_TEXT_SIZE 8192u

struct dw_measured {
    char key[DW_MEASURED_KEY_SIZE];
    uint64_t time_ns; /* of the real-time clock */
    bool is_stale;    /* latencies drifted since: measure again */
    uint32_t row_count;
    struct dwal_timing rows[DWAL_CHOICE_TIMINGS_MAX];
};

/* Everything that makes figures comparable: dwal, kernel, processors, file system, device and its settings. */
void dw_measured_key(const struct dw_probe *probe, const struct dw_probe_system *system, bool is_device,
                     char key[DW_MEASURED_KEY_SIZE]);

bool dw_measured_find(const char *key, struct dw_measured *measured);
void dw_measured_keep(const struct dw_measured *measured);
/* For tests: what this process remembers is gone; files stay. */
void dw_measured_forget(void);

/* The file's text, both ways; pure. encode: its length. decode: false unless all of it is as encode wrote it. */
size_t dw_measured_encode(const struct dw_measured *measured, char text[DW_MEASURED_TEXT_SIZE]);
bool dw_measured_decode(const char *text, struct dw_measured *measured);

#endif
