/* inspect.h - what the inspecting calls share: open a place read-only, read its blocks, turn results into codes.
 *
 * Called by: info, dump, verify, repair and scan, on the caller's thread. Nothing here writes. */
#ifndef DW_CORE_LOG_INSPECT_H
#define DW_CORE_LOG_INSPECT_H

#include <dwal/inspect.h>

#include "core/store/store.h"

/* The directory of a log. DWAL_ENOLOG when it is not there or no directory. */
DW_NODISCARD int dw_inspect_disk_open(const char *path, const struct dwal_options *options, struct dw_disk **disk);

/* A log opened for looking at: the disk and the loaded store. */
struct dw_inspect {
    struct dw_disk *disk;
    struct dw_store *store;
    bool was_disk_open; /* a failure came from what the log holds, or from reading it */
};
/* Errors are those of dw_store_load, as codes with their texts. */
DW_NODISCARD int dw_inspect_open(const char *path, const struct dwal_options *options, struct dw_inspect *inspect);
void dw_inspect_close(struct dw_inspect *inspect); /* half open is fine */

/* A result struct of the caller is at least as long as the oldest one we know? */
DW_NODISCARD int dw_inspect_check_size(size_t size, size_t wanted, const char *what);

#endif
