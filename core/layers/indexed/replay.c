/* replay.c - what an indexed log holds, found out at open: from the tables of contents, and by scanning what no table covers.
 *
 * Called by: open, alone. Happy path: each full volume's table gives its pieces, from memory; the newest volume has an INDEX
 * record when it was closed clean. Scanned, heads only, is what was written after the last table. Then the bounds and the
 * values: the newest STATE, and what follows it.
 * Failure: records that contradict one another are DWAL_ECORRUPT with their lsn; a volume without a usable table is scanned
 * and its index kept in memory. Nothing is written. */
#include <dwal/inspect.h>
#include <stdlib.h>
#include <string.h>

#include "core/layers/indexed/indexed.h"

struct replay {
    struct dwal_indexed *log;
    struct dw_piece *pieces; /* rising by index and by lsn */
    uint32_t piece_count, piece_capacity;
    bool is_known;        /* a STATE was met, and nothing was passed over since */
    uint64_t first, last; /* valid when known */
    uint64_t state_from;  /* lsn of a STATE that was passed over in a table; 0: none */
    bool is_piece_due;
    uint64_t last_index; /* of the entry scanned last; 0: none */
};

/* A piece begins at this index: whatever had it, or a later one, was truncated away before. */
static int add_piece(struct replay *replay, const struct dw_piece *piece)
{
    while (replay->piece_count > 0 && replay->pieces[replay->piece_count - 1].first_index >= piece->first_index)
        replay->piece_count--;
    if (replay->piece_count == replay->piece_capacity) {
        uint32_t capacity = replay->piece_capacity ? replay->piece_capacity * 2 : 64;
        struct dw_piece *pieces = realloc(replay->pieces, capacity * sizeof *pieces);
        if (!pieces)
            return dw_indexed_fail_memory();
        replay->pieces = pieces;
        replay->piece_capacity = capacity;
    }
    replay->pieces[replay->piece_count++] = *piece;
    return 0;
}

/* ---- from tables ---- */

static int add_table_pieces(struct replay *replay, const void *bytes, uint32_t count, uint32_t volume,
                            struct dw_live *live)
{
    int result = 0;
    for (uint32_t i = 0; i < count && result == 0; i++) {
        struct dw_indexed_table_piece stored;
        dw_table_piece(bytes, i, &stored);
        struct dw_piece piece = {.first_index = dw_get64(stored.first_index),
                                 .start_lsn = dw_get64(stored.start_lsn),
                                 .volume = volume,
                                 .ordinal = dw_get32(stored.ordinal),
                                 .live = live};
        if (dw_indexed_volume_of(replay->log, piece.start_lsn) != volume)
            return dw_indexed_fail(DWAL_ECORRUPT, piece.start_lsn, "the index of volume %u names another volume",
                                   volume);
        result = add_piece(replay, &piece);
    }
    return result;
}

/* *is_used false: it has no index of its own there. */
static int take_table(struct replay *replay, const struct dwal_volume *volume, bool *is_used)
{
    uint8_t kept[DW_INDEXED_KEEP];
    struct dw_indexed_table_head head;
    uint32_t length = 0;
    *is_used = false;
    if (volume->table_length < sizeof head)
        return 0;
    dwal *base = replay->log->base;
    size_t size = volume->table_length < sizeof kept ? volume->table_length : sizeof kept;
    int result = dwal_volume_table(base, volume->number, 0, kept, size, &length);
    if (result < 0 || !dw_table_check(kept, size, volume->number, &head) || dw_get32(head.flags) != 0)
        return result == DWAL_ECORRUPT ? 0 : result;
    uint32_t count = dw_get32(head.piece_count);
    size_t need = sizeof head + (uint64_t)count * sizeof(struct dw_indexed_table_piece);
    if (need > volume->table_length)
        return 0;
    uint8_t *bytes = kept;
    if (need > size) {
        bytes = malloc(need);
        if (!bytes)
            return dw_indexed_fail_memory();
        result = dwal_volume_table(base, volume->number, 0, bytes, need, &length);
    }
    if (result == 0)
        result = add_table_pieces(replay, bytes, count, volume->number, NULL);
    if (bytes != kept)
        free(bytes);
    *is_used = result == 0;
    replay->is_known = false;
    if (dw_get64(head.state_lsn) != 0)
        replay->state_from = dw_get64(head.state_lsn);
    return result;
}

/* ---- by scanning ---- */

static int live_for(struct replay *replay, uint32_t volume, struct dw_live **live)
{
    struct dwal_indexed *log = replay->log;
    *live = dw_live_of(log, volume);
    if (*live)
        return 0;
    *live = dw_live_new(log, volume);
    if (!*live)
        return dw_indexed_fail_memory();
    dw_live_enlist(log, *live);
    replay->is_piece_due = true;
    return 0;
}

static int refuse(const struct dwal_record *record, const char *what)
{
    return dw_indexed_fail(DWAL_ECORRUPT, record->lsn, "a record of the indexed log %s", what);
}

static int follow_entry(struct replay *replay, const struct dwal_record *record, uint64_t index)
{
    bool is_empty = replay->last < replay->first;
    if (!replay->is_known)
        return 0;
    if (is_empty)
        replay->first = index;
    else if (index != replay->last + 1)
        return refuse(record, "has an index that does not follow the one before it");
    replay->last = index;
    return 0;
}

static int see_entry(struct replay *replay, const struct dwal_record *record, struct dw_live *live)
{
    struct dw_indexed_entry_head head;
    if (record->metadata_size != sizeof head)
        return refuse(record, "is no entry");
    memcpy(&head, record->metadata, sizeof head);
    uint64_t index = dw_get64(head.index);
    if (index == 0 || index == UINT64_MAX)
        return refuse(record, "has an impossible index");
    int result = follow_entry(replay, record, index);
    if (result < 0 || !live)
        return result;
    bool is_piece = replay->is_piece_due || index != replay->last_index + 1;
    struct dw_piece piece = {.first_index = index,
                             .start_lsn = record->lsn,
                             .volume = live->volume,
                             .ordinal = live->entry_count,
                             .live = live};
    if (is_piece)
        result = add_piece(replay, &piece);
    dw_live_note(replay->log, live, index, record->lsn, is_piece);
    replay->is_piece_due = false;
    replay->last_index = index;
    return result;
}

static int see_value(struct replay *replay, const struct dwal_record *record)
{
    struct dw_indexed_value_head head;
    if (record->metadata_size != sizeof head)
        return refuse(record, "is no value");
    memcpy(&head, record->metadata, sizeof head);
    uint32_t key_size = dw_get32(head.key_size);
    if (key_size == 0 || key_size > record->data_size)
        return refuse(record, "has no key");
    if (!replay->is_known)
        return 0;
    const uint8_t *bytes = record->data;
    const void *value = dw_get32(head.is_deleted) ? NULL : bytes + key_size;
    return dw_values_apply(replay->log, bytes, key_size, value, record->data_size - key_size);
}

static int see_state(struct replay *replay, const struct dwal_record *record, struct dw_live *live,
                     struct dw_indexed_state_head *head)
{
    if (record->metadata_size != sizeof *head)
        return refuse(record, "is no state");
    memcpy(head, record->metadata, sizeof *head);
    uint64_t first = dw_get64(head->first), last = dw_get64(head->last);
    if (dw_get32(head->version) != 1)
        return dw_indexed_fail(DWAL_EVERSION, record->lsn, "the indexed log was written by a newer dwal");
    if (first == 0 || last + 1 < first || last == UINT64_MAX)
        return refuse(record, "has impossible bounds");
    replay->first = first;
    replay->last = last;
    replay->is_known = true;
    replay->is_piece_due = true; /* it may have been a truncation */
    replay->log->codec = dw_get64(head->codec);
    replay->log->state_lsn = record->lsn;
    replay->log->has_state = true;
    if (live)
        live->state_lsn = record->lsn;
    return dw_values_decode(replay->log, record->data, record->data_size);
}

static int see(struct replay *replay, dwal_cursor *cursor, struct dwal_record *record, bool is_indexed)
{
    struct dw_live *live = NULL;
    struct dw_indexed_state_head head;
    int result = is_indexed ? live_for(replay, record->volume, &live) : 0;
    bool has_data = record->user == DW_INDEXED_VALUE || record->user == DW_INDEXED_STATE;
    if (result == 0 && has_data)
        result = dwal_cursor_data(cursor, record);
    if (result < 0)
        return result;
    dw_indexed_count(&replay->log->counts.records_scanned, 1);
    switch (record->user) {
    case DW_INDEXED_ENTRY:
        return see_entry(replay, record, live);
    case DW_INDEXED_VALUE:
        return see_value(replay, record);
    case DW_INDEXED_STATE:
        return see_state(replay, record, live, &head);
    case DW_INDEXED_INDEX:
        return 0;
    default:
        return refuse(record, "is of an unknown kind");
    }
}

/* Records with from <= lsn < before. is_indexed: their volumes get lives. */
static int scan(struct replay *replay, uint64_t from, uint64_t before, bool is_indexed)
{
    dwal_cursor *cursor;
    struct dwal_record record;
    int result = dwal_cursor_open(replay->log->base, from, &cursor);
    while (result == 0) {
        result = dwal_cursor_next_metadata(cursor, &record);
        if (result < 0 || record.lsn >= before)
            break;
        result = see(replay, cursor, &record, is_indexed);
    }
    dwal_cursor_close(cursor);
    return result == DWAL_EEND ? 0 : result;
}

/* ---- the newest volume, when it was closed clean ---- */

static int read_whole(dwal *base, uint64_t lsn, uint8_t **bytes, struct dwal_record *record)
{
    *bytes = NULL;
    int result = dwal_read(base, lsn, NULL, 0, record);
    if (result != 0 && result != DWAL_EBUFFER)
        return result;
    size_t size = (size_t)record->metadata_size + record->data_size;
    *bytes = malloc(size + 1);
    if (!*bytes)
        return dw_indexed_fail_memory();
    return dwal_read(base, lsn, *bytes, size, record);
}

static int restore_live(struct replay *replay, uint64_t index_lsn, uint32_t volume, struct dw_live **live)
{
    struct dwal_indexed *log = replay->log;
    struct dwal_record record;
    uint8_t *bytes;
    *live = NULL;
    int result = read_whole(log->base, index_lsn, &bytes, &record);
    if (result == 0 && record.user == DW_INDEXED_INDEX) {
        struct dw_live *made = dw_live_new(log, volume);
        if (made && dw_table_restore(record.data, record.data_size, made))
            *live = made;
        else
            dw_live_drop(made);
    }
    free(bytes);
    return result;
}

static int take_live(struct replay *replay, struct dw_live *live)
{
    int result = 0;
    dw_live_enlist(replay->log, live);
    for (uint32_t i = 0; i < live->piece_count && result == 0; i++) {
        const struct dw_indexed_table_piece *stored = &live->pieces[i];
        struct dw_piece piece = {.first_index = dw_get64(stored->first_index),
                                 .start_lsn = dw_get64(stored->start_lsn),
                                 .volume = live->volume,
                                 .ordinal = dw_get32(stored->ordinal),
                                 .live = live};
        result = add_piece(replay, &piece);
    }
    return result;
}

/* Its last record is the STATE of the close, which knows where the index is. *is_used false: scan the volume. */
static int take_clean_end(struct replay *replay, const struct dwal_volume *volume, bool *is_used)
{
    struct dwal_indexed *log = replay->log;
    struct dwal_record record;
    struct dw_indexed_state_head head;
    uint8_t *bytes;
    *is_used = false;
    int result = read_whole(log->base, volume->last, &bytes, &record);
    if (result == 0 && record.user == DW_INDEXED_STATE)
        result = see_state(replay, &record, NULL, &head);
    else
        record.user = 0;
    free(bytes);
    uint64_t index_lsn = result == 0 && record.user == DW_INDEXED_STATE ? dw_get64(head.index_lsn) : 0;
    if (result < 0 || index_lsn == 0 || dw_indexed_volume_of(log, index_lsn) != volume->number)
        return result;
    struct dw_live *live;
    result = restore_live(replay, index_lsn, volume->number, &live);
    if (result < 0 || !live)
        return result;
    live->state_lsn = volume->last;
    result = take_live(replay, live);
    *is_used = result == 0;
    return result;
}

/* An earlier open wrote down what is in it. */
static int take_chained(struct replay *replay, const struct dwal_volume *volume, bool *is_used)
{
    struct dw_live *live;
    uint64_t lsn = dw_chain_find(replay->log, volume->number);
    *is_used = false;
    if (lsn == 0)
        return 0;
    int result = restore_live(replay, lsn, volume->number, &live);
    if (result < 0 || !live)
        return result;
    result = take_live(replay, live);
    *is_used = result == 0;
    replay->is_known = false;
    if (live->state_lsn != 0)
        replay->state_from = live->state_lsn;
    return result;
}

/* ---- all of it ---- */

/* is_clean: the log was closed clean, and ends in this volume. */
static int take_volume(struct replay *replay, const struct dwal_volume *volume, bool is_clean)
{
    bool is_used = false;
    int result = 0;
    if (volume->is_full)
        result = take_table(replay, volume, &is_used);
    else if (is_clean && volume->is_counted && volume->entries > 0)
        result = take_clean_end(replay, volume, &is_used);
    if (result == 0 && !is_used && !is_clean)
        result = take_chained(replay, volume, &is_used);
    if (result == 0 && !is_used && !volume->is_full && volume->is_counted)
        replay->is_known = false; /* what the end may have told is told again */
    if (result == 0 && !is_used)
        result = scan(replay, volume->begin, volume->end, true);
    return result;
}

/* Those that hold something that counts. What lies before the trim point cannot be read: it waits for being recycled. */
static int list_volumes(struct dwal_indexed *log, struct dwal_volume **volumes, uint32_t *count)
{
    struct dwal_volume volume = {.size = sizeof volume};
    uint64_t durable = dwal_durable(log->base), first = dwal_first(log->base);
    int result = 0;
    for (uint32_t number = 0, capacity = 0;; number = volume.number + 1) {
        result = dwal_volume_from(log->base, number, &volume);
        if (result < 0 || volume.begin >= durable)
            break;
        if (volume.end <= first)
            continue;
        if (*count == capacity) {
            capacity = capacity ? capacity * 2 : 64;
            struct dwal_volume *grown = realloc(*volumes, capacity * sizeof *grown);
            if (!grown)
                return dw_indexed_fail_memory();
            *volumes = grown;
        }
        (*volumes)[(*count)++] = volume;
    }
    return result == DWAL_EEND ? 0 : result;
}

static int take_volumes(struct replay *replay)
{
    struct dwal_indexed *log = replay->log;
    struct dwal_volume *volumes = NULL;
    uint32_t count = 0;
    struct dwal_report report = {.size = sizeof report};
    int result = dwal_get_report(log->base, &report);
    if (result == 0)
        result = list_volumes(log, &volumes, &count);
    bool is_clean =
        report.verdict == DWAL_VERDICT_CLEAN && count > 0 && dwal_durable(log->base) <= volumes[count - 1].end;
    if (result == 0 && count > 0)
        result = dw_chain_load(log, volumes, count, is_clean);
    for (uint32_t i = 0; i < count && result == 0; i++)
        result = take_volume(replay, &volumes[i], is_clean && i + 1 == count);
    free(volumes);
    return result;
}

/* The newest volumes had no STATE: replay on from the last one that a table knows of, or from the first record. */
static int look_back(struct replay *replay)
{
    if (replay->is_known)
        return 0;
    int result = scan(replay, replay->state_from, UINT64_MAX, false);
    if (result < 0 || replay->is_known)
        return result;
    if (replay->piece_count > 0 || replay->state_from != 0 || dwal_first(replay->log->base) > 0)
        return dw_indexed_fail(DWAL_ECORRUPT, DWAL_NO_LSN, "the indexed log has no state record");
    replay->first = 1; /* nothing was ever written */
    replay->last = 0;
    return 0;
}

/* The bounds clip the pieces; pieces that were trimmed away (a truncation that a full disk interrupted) clip the bounds. */
static int conclude(struct replay *replay)
{
    struct dwal_indexed *log = replay->log;
    struct dw_piece *pieces = replay->pieces;
    bool is_empty = replay->last < replay->first;
    uint32_t from = 0, to = is_empty ? 0 : replay->piece_count;
    while (to > 0 && pieces[to - 1].first_index > replay->last)
        to--;
    while (from + 1 < to && pieces[from + 1].first_index <= replay->first)
        from++;
    if (!is_empty && replay->piece_count == 0 && dwal_first(log->base) > 0) {
        replay->first = replay->last + 1; /* given back to the last one by a truncation that found no space */
        is_empty = true;
    }
    if (!is_empty && from == to)
        return dw_indexed_fail(DWAL_ECORRUPT, log->state_lsn, "no index has entries %llu to %llu",
                               (unsigned long long)replay->first, (unsigned long long)replay->last);
    if (!is_empty && pieces[from].first_index > replay->first)
        replay->first = pieces[from].first_index;
    log->first = replay->first;
    log->last = replay->last;
    log->is_piece_due = true;
    struct dw_indexed_state *state = dw_state_new(log, log->first, log->last, to - from + 64);
    if (!state)
        return dw_indexed_fail_memory();
    for (; from < to; from++)
        dw_state_add_piece(state, &pieces[from]);
    dw_state_publish(log, state);
    return 0;
}

int dw_indexed_replay(struct dwal_indexed *log)
{
    struct replay replay = {.log = log, .is_piece_due = true};
    int result = take_volumes(&replay);
    if (result == 0)
        result = look_back(&replay);
    if (result == 0)
        result = conclude(&replay);
    free(replay.pieces);
    return result;
}
