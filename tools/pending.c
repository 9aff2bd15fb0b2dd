/* pending.c - lsns that wait for durability; see pending.h. Its size is bounded by what the log's ring and one read of the
 * input hold. */
#include "tools/pending.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "tools/output.h"

static bool make_room(struct dw_pending *pending)
{
    size_t count = pending->end - pending->first;
    if (pending->first > 0 && pending->first >= count) { /* moving costs no more than what was printed since */
        memmove(pending->rows, pending->rows + pending->first, count * sizeof *pending->rows);
        pending->first = 0;
        pending->end = count;
        return true;
    }
    size_t wanted = pending->capacity ? pending->capacity * 2 : 1024;
    struct dw_pending_row *grown = realloc(pending->rows, wanted * sizeof *grown);
    if (!grown)
        return false;
    pending->rows = grown;
    pending->capacity = wanted;
    return true;
}

bool dw_pending_add(struct dw_pending *pending, uint64_t lsn, uint64_t end)
{
    if (pending->end == pending->capacity && !make_room(pending))
        return false;
    pending->rows[pending->end++] = (struct dw_pending_row){lsn, end};
    return true;
}

void dw_pending_print(struct dw_pending *pending, uint64_t durable)
{
    bool has_printed = false;
    for (; pending->first < pending->end && pending->rows[pending->first].end <= durable; pending->first++) {
        if (!pending->is_quiet)
            dw_output_format("%" PRIu64 "\n", pending->rows[pending->first].lsn);
        has_printed = true;
    }
    if (has_printed)
        (void)dw_output_flush(); /* a failure is kept and looked at by the caller */
}

void dw_pending_free(struct dw_pending *pending)
{
    free(pending->rows);
    *pending = (struct dw_pending){0};
}
