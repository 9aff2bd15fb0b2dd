/* pending.h - lsns of entries that are appended and not yet known to be durable, in order; printed when they are. */
#ifndef DW_TOOLS_PENDING_H
#define DW_TOOLS_PENDING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct dw_pending_row {
    uint64_t lsn, end;
};
struct dw_pending {
    struct dw_pending_row *rows;
    size_t first, end, capacity; /* rows[first..end) wait */
    bool is_quiet;               /* print nothing */
};

/* False: no memory. */
bool dw_pending_add(struct dw_pending *pending, uint64_t lsn, uint64_t end);
/* Print and drop those that end at or before `durable`. */
void dw_pending_print(struct dw_pending *pending, uint64_t durable);
void dw_pending_free(struct dw_pending *pending);

#endif
