/* chain.c - the indexes of volumes that have no table: written once, by the open that had to scan them.
 *
 * A volume that a crash cut short, or left without its table, gets none any more that says what is in it. The open after the
 * crash writes its index down as an INDEX record, in a later volume. Each INDEX names the one before it, and each STATE the
 * newest: so one STATE leads to all of them.
 * Called by: open, alone. Happy path: nothing is missing, and nothing is read. Else the newest STATE is looked for, from the
 * newest volume back, and the INDEX records are followed from there, heads only.
 * Failure: what cannot be found is scanned again; writing is best effort. Errors of reading are the log's. */
#include <stdlib.h>
#include <string.h>

#include "core/layers/indexed/indexed.h"

/* ---- reading ---- */

/* The head of the record at `lsn`: its metadata, when it is of that kind. False: it is none, or not there. */
static int read_head(struct dwal_indexed *log, uint64_t lsn, enum dw_indexed_kind kind, void *head, size_t size,
                     bool *is_there)
{
    dwal_cursor *cursor;
    struct dwal_record record;
    *is_there = false;
    if (lsn < dwal_first(log->base) || lsn >= dwal_durable(log->base))
        return 0;
    int result = dwal_cursor_open(log->base, lsn, &cursor);
    if (result < 0)
        return result;
    result = dwal_cursor_next_metadata(cursor, &record);
    if (result == 0 && record.lsn == lsn && record.user == kind && record.metadata_size == size) {
        memcpy(head, record.metadata, size);
        *is_there = true;
    }
    dwal_cursor_close(cursor);
    return result == DWAL_EEND ? 0 : result;
}

/* The last STATE in a volume without a table. */
static int scan_for_state(struct dwal_indexed *log, const struct dwal_volume *volume,
                          struct dw_indexed_state_head *head, bool *is_there)
{
    dwal_cursor *cursor;
    struct dwal_record record;
    uint64_t first = dwal_first(log->base);
    int result = dwal_cursor_open(log->base, volume->begin > first ? volume->begin : first, &cursor);
    while (result == 0) {
        result = dwal_cursor_next_metadata(cursor, &record);
        if (result < 0 || record.lsn >= volume->end)
            break;
        if (record.user != DW_INDEXED_STATE || record.metadata_size != sizeof *head)
            continue;
        memcpy(head, record.metadata, sizeof *head);
        *is_there = true;
    }
    dwal_cursor_close(cursor);
    return result == DWAL_EEND ? 0 : result;
}

static int find_state_in(struct dwal_indexed *log, const struct dwal_volume *volume, bool is_clean,
                         struct dw_indexed_state_head *head, bool *is_there)
{
    struct dw_indexed_table_head table;
    uint64_t lsn = 0;
    *is_there = false;
    if (dw_table_peek(log, volume, &table))
        lsn = dw_get64(table.state_lsn);
    else if (is_clean && volume->is_counted && volume->entries > 0)
        lsn = volume->last;
    else
        return scan_for_state(log, volume, head, is_there);
    return lsn == 0 ? 0 : read_head(log, lsn, DW_INDEXED_STATE, head, sizeof *head, is_there);
}

static int follow(struct dwal_indexed *log, uint64_t lsn)
{
    while (lsn != 0) {
        struct dw_indexed_index_head head;
        bool is_there;
        int result = read_head(log, lsn, DW_INDEXED_INDEX, &head, sizeof head, &is_there);
        if (result < 0 || !is_there)
            return result;
        uint64_t previous = dw_get64(head.previous);
        /* Of two the newer counts. One that lies in its own volume was written at a close, and the volume may have gone on. */
        bool is_whole = dw_indexed_volume_of(log, lsn) > dw_get32(head.volume);
        if (is_whole && dw_chain_find(log, dw_get32(head.volume)) == 0) {
            struct dw_chain_link *links = realloc(log->links, (log->link_count + 1u) * sizeof *links);
            if (!links)
                return dw_indexed_fail_memory();
            log->links = links;
            links[log->link_count++] = (struct dw_chain_link){.volume = dw_get32(head.volume), .lsn = lsn};
        }
        if (previous >= lsn)
            return 0;
        lsn = previous;
    }
    return 0;
}

uint64_t dw_chain_find(const struct dwal_indexed *log, uint32_t volume)
{
    for (uint32_t i = 0; i < log->link_count; i++)
        if (log->links[i].volume == volume)
            return log->links[i].lsn;
    return 0;
}

int dw_chain_load(struct dwal_indexed *log, const struct dwal_volume *volumes, uint32_t count, bool is_clean)
{
    struct dw_indexed_state_head state;
    bool is_missing = false, is_there = false;
    for (uint32_t i = 0; i + 1 < count && !is_missing; i++) {
        struct dw_indexed_table_head table;
        is_missing = !dw_table_peek(log, &volumes[i], &table);
    }
    if (!is_missing)
        return 0;
    int result = 0;
    for (uint32_t i = count; i-- > 0 && result == 0 && !is_there;)
        result = find_state_in(log, &volumes[i], is_clean && i + 1 == count, &state, &is_there);
    if (result < 0 || !is_there)
        return result;
    result = follow(log, dw_get64(state.index_lsn));
    if (log->link_count > 0) /* later ones name it */
        log->index_lsn = log->links[0].lsn;
    return result;
}

/* ---- writing ---- */

int dw_chain_put(struct dwal_indexed *log, const struct dw_live *live, uint64_t *lsn)
{
    struct dw_indexed_index_head head = {.volume = dw_le32_of(live->volume), .previous = dw_le64_of(log->index_lsn)};
    size_t size = dw_table_size(live);
    uint8_t *bytes = malloc(size);
    if (!bytes)
        return dw_indexed_fail_memory();
    size = dw_table_encode(live, bytes, size);
    int result = dw_indexed_put(log, DW_INDEXED_INDEX, &head, sizeof head, bytes, size, lsn);
    free(bytes);
    return result;
}

/* The oldest volume behind `after` that was scanned and into which nothing is written any more. */
static struct dw_live *next_missing(struct dwal_indexed *log, int64_t after)
{
    struct dw_live *found = NULL;
    for (struct dw_live *live = log->lives; live; live = live->next)
        if ((int64_t)live->volume > after && live->volume < dw_indexed_volume_of(log, dwal_end(log->base)) &&
            !live->is_incomplete && dw_chain_find(log, live->volume) == 0)
            found = live;
    return found;
}

void dw_chain_mend(struct dwal_indexed *log)
{
    bool is_changed = false;
    int result = 0;
    for (struct dw_live *live = next_missing(log, -1); live && result == 0;) {
        int64_t volume = live->volume;
        uint64_t lsn = 0;
        result = dw_chain_put(log, live, &lsn);
        if (result == 0) {
            log->index_lsn = lsn;
            is_changed = true;
        }
        live = next_missing(log, volume);
    }
    if (is_changed)
        (void)dw_indexed_put_state(log, log->first, log->last, 0);
}
