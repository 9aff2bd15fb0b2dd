/* read.c - bounds, reads by index, cursors: without a lock that a writer takes.
 *
 * Called by: the user's threads. Happy path of a get: take the state, find the piece, the place of a recent entry is in the
 * ring of recent places; else count from the piece's beginning to a block and search on from there. Every record that is
 * handed out says itself which index it has.
 * Failure: an entry that went away meanwhile is DWAL_EINDEX_NONE; damage is the log's own error. Closing: nothing stays. */
#include <stdlib.h>
#include <string.h>

#include "core/layers/indexed/indexed.h"

static DW_COLD int refuse_closed(void)
{
    return dw_indexed_fail(DWAL_EINDEX_CLOSED, DWAL_NO_LSN, "the indexed log was stopped");
}

static DW_COLD int refuse_none(uint64_t index, uint64_t first, uint64_t last)
{
    if (last < first)
        first = last = 0;
    return dw_indexed_fail(DWAL_EINDEX_NONE, DWAL_NO_LSN, "there is no entry %llu: the log has %llu to %llu",
                           (unsigned long long)index, (unsigned long long)first, (unsigned long long)last);
}

static inline uint64_t last_of(const struct dw_indexed_state *state)
{
    return atomic_load_explicit(&state->last, memory_order_acquire); /* pairs: INDEXED-LAST */
}

/* ---- bounds ---- */

int dwal_indexed_bounds(dwal_indexed *log, uint64_t *first, uint64_t *last)
{
    if (!first || !last)
        return dw_indexed_fail(DWAL_EARGUMENT, DWAL_NO_LSN, "first or last is NULL");
    *first = *last = 0;
    struct dw_indexed_state *state = dw_state_acquire(log);
    if (!state)
        return refuse_closed();
    uint64_t seen = last_of(state);
    if (seen >= state->first) {
        *first = state->first;
        *last = seen;
    }
    dw_state_release(log, state);
    return 0;
}

uint64_t dwal_indexed_first(dwal_indexed *log)
{
    uint64_t first, last;
    return dwal_indexed_bounds(log, &first, &last) == 0 ? first : 0;
}

uint64_t dwal_indexed_last(dwal_indexed *log)
{
    uint64_t first, last;
    return dwal_indexed_bounds(log, &first, &last) == 0 ? last : 0;
}

bool dwal_indexed_is_monotonic(const dwal_indexed *log)
{
    (void)log;
    return true;
}

uint64_t dwal_indexed_codec(const dwal_indexed *log)
{
    return log->codec;
}

/* ---- one entry ---- */

static bool is_index(const struct dwal_record *record, uint64_t index)
{
    struct dw_indexed_entry_head head;
    if (record->user != DW_INDEXED_ENTRY || record->metadata_size != sizeof head)
        return false;
    memcpy(&head, record->metadata, sizeof head);
    return dw_get64(head.index) == index;
}

static bool matches(void *context, const struct dwal_record *record)
{
    const uint64_t *index = context;
    return is_index(record, *index);
}

static void show(uint64_t index, const struct dwal_record *from, struct dwal_indexed_record *record)
{
    const void *data = from->data ? from->data : ""; /* an empty entry */
    *record = (struct dwal_indexed_record){.index = index, .lsn = from->lsn, .data = data, .size = from->data_size};
}

/* lsn from which a search for `index` finds it first. */
static int locate(struct dwal_indexed *log, const struct dw_piece *piece, uint64_t index, uint64_t *from)
{
    uint32_t ordinal = piece->ordinal + (uint32_t)(index - piece->first_index), block = 0;
    if (piece->live) {
        block = dw_live_find(piece->live, ordinal);
    } else {
        int result = dw_table_locate(log, piece->volume, ordinal, &block);
        if (result < 0)
            return result;
    }
    *from = piece->volume * log->volume_span + (uint64_t)block * log->payload_size;
    if (*from < piece->start_lsn)
        *from = piece->start_lsn;
    return 0;
}

static int get(struct dwal_indexed *log, const struct dw_indexed_state *state, uint64_t index, void *buffer,
               size_t size, struct dwal_indexed_record *record)
{
    uint64_t before, from;
    struct dwal_record found = {0};
    const struct dw_piece *piece = dw_state_find(state, index, &before);
    /* relaxed: the acquire of `last` covers it; pairs: INDEXED-LAST */
    uint64_t lsn = atomic_load_explicit(&log->recent[index & log->recent_mask], memory_order_relaxed);
    int result = DWAL_ENOTFOUND;
    if (lsn >= piece->start_lsn && lsn < before)
        result = dwal_read_match(log->base, lsn, lsn + 1, matches, &index, buffer, size, &found);
    if (result == 0)
        dw_indexed_count(&log->counts.cached_reads, 1);
    if (result == DWAL_ENOTFOUND ||
        result == DWAL_EEND) { /* EEND: the place is that of a later entry, not durable yet */
        result = locate(log, piece, index, &from);
        if (result == 0)
            result = dwal_read_match(log->base, from, before, matches, &index, buffer, size, &found);
    }
    show(index, &found, record);
    return result;
}

/* Why it was not found: it was truncated away while we looked, or the index is wrong about it. */
static DW_COLD int explain(struct dwal_indexed *log, uint64_t index, int result)
{
    struct dwal_error met = *dwal_last_error();
    uint64_t first, last;
    if (result == DWAL_EBUFFER)
        return result;
    if (dwal_indexed_bounds(log, &first, &last) == 0 && (index < first || index > last || result == DWAL_ETRIMMED))
        return refuse_none(index, first, last);
    if (result == DWAL_ENOTFOUND || result == DWAL_EEND)
        return dw_indexed_fail(DWAL_ECORRUPT, result == DWAL_EEND ? DWAL_NO_LSN : met.lsn,
                               "entry %llu is not where the index says", (unsigned long long)index);
    (void)dwal_set_error(&met);
    return result;
}

int dwal_indexed_get(dwal_indexed *log, uint64_t index, void *buffer, size_t size, struct dwal_indexed_record *record)
{
    if (DW_UNLIKELY(!record || (!buffer && size > 0)))
        return dw_indexed_fail(DWAL_EARGUMENT, DWAL_NO_LSN, "record or buffer is NULL");
    struct dw_indexed_state *state = dw_state_acquire(log);
    if (DW_UNLIKELY(!state))
        return refuse_closed();
    uint64_t last = last_of(state), first = state->first;
    int result = 0;
    if (DW_UNLIKELY(index < first || index > last)) {
        *record = (struct dwal_indexed_record){0};
        result = refuse_none(index, first, last);
    } else {
        result = get(log, state, index, buffer, size, record);
        if (DW_UNLIKELY(result < 0))
            result = explain(log, index, result);
    }
    dw_state_release(log, state);
    if (result == 0) {
        dw_indexed_count(&log->counts.entries_read, 1);
        dw_indexed_count(&log->counts.bytes_read, record->size);
    }
    return result;
}

/* ---- cursors ---- */

struct dwal_indexed_cursor {
    struct dwal_indexed *log;
    dwal_cursor *base;   /* NULL: it does not stand anywhere yet */
    uint64_t index;      /* the next one */
    uint64_t begin, end; /* lsns of the piece that it reads in */
    uint64_t position;   /* lsn that `base` has come to */
};

int dwal_indexed_cursor_open(dwal_indexed *log, uint64_t index, dwal_indexed_cursor **cursor)
{
    if (!cursor)
        return dw_indexed_fail(DWAL_EARGUMENT, DWAL_NO_LSN, "cursor is NULL");
    *cursor = NULL;
    if (index == 0)
        return dw_indexed_fail(DWAL_EARGUMENT, DWAL_NO_LSN, "no entry has index 0");
    struct dw_indexed_state *state = dw_state_acquire(log);
    if (!state)
        return refuse_closed();
    dw_state_release(log, state);
    dwal_indexed_cursor *made = calloc(1, sizeof *made);
    if (!made)
        return dw_indexed_fail_memory();
    made->log = log;
    made->index = index;
    *cursor = made;
    return 0;
}

void dwal_indexed_cursor_close(dwal_indexed_cursor *cursor)
{
    if (!cursor)
        return;
    dwal_cursor_close(cursor->base);
    free(cursor);
}

/* Stand where the entry can be found by reading on: stay when that is ahead, in the same volume or the next. */
static int stand(struct dwal_indexed_cursor *cursor, const struct dw_piece *piece, uint64_t before)
{
    struct dwal_indexed *log = cursor->log;
    bool is_same = cursor->base && cursor->begin == piece->start_lsn;
    cursor->begin = piece->start_lsn;
    cursor->end = before;
    if (is_same)
        return 0;
    bool is_near = cursor->base && cursor->position <= piece->start_lsn &&
                   dw_indexed_volume_of(log, cursor->position) + 1 >= piece->volume;
    if (is_near && piece->first_index == cursor->index)
        return 0;
    uint64_t from;
    int result = locate(log, piece, cursor->index, &from);
    if (result < 0)
        return result;
    dwal_cursor_close(cursor->base);
    cursor->base = NULL;
    cursor->position = from;
    return dwal_cursor_open(log->base, from, &cursor->base);
}

static int read_on(struct dwal_indexed_cursor *cursor, struct dwal_indexed_record *record)
{
    struct dwal_record found;
    for (;;) {
        int result = dwal_cursor_next_metadata(cursor->base, &found);
        if (result < 0)
            return result;
        cursor->position = found.end;
        if (found.lsn >= cursor->end)
            return DWAL_ENOTFOUND;
        if (found.lsn < cursor->begin || !is_index(&found, cursor->index))
            continue;
        result = dwal_cursor_data(cursor->base, &found);
        if (result == 0)
            show(cursor->index, &found, record);
        return result;
    }
}

static int next(struct dwal_indexed_cursor *cursor, const struct dw_indexed_state *state,
                struct dwal_indexed_record *record)
{
    uint64_t before, last = last_of(state);
    if (cursor->index < state->first && last >= state->first)
        return refuse_none(cursor->index, state->first, last);
    if (cursor->index > last || last < state->first)
        return DWAL_EEND;
    const struct dw_piece *piece = dw_state_find(state, cursor->index, &before);
    int result = stand(cursor, piece, before);
    if (result == 0)
        result = read_on(cursor, record);
    if (result < 0) { /* an error leaves it before the same entry */
        dwal_cursor_close(cursor->base);
        cursor->base = NULL;
        return explain(cursor->log, cursor->index, result);
    }
    return 0;
}

int dwal_indexed_cursor_next(dwal_indexed_cursor *cursor, struct dwal_indexed_record *record)
{
    struct dwal_indexed *log = cursor->log;
    struct dw_indexed_state *state = dw_state_acquire(log);
    if (!state)
        return refuse_closed();
    int result = next(cursor, state, record);
    dw_state_release(log, state);
    if (result < 0)
        return result;
    cursor->index++;
    dw_indexed_count(&log->counts.entries_read, 1);
    dw_indexed_count(&log->counts.bytes_read, record->size);
    return 0;
}
