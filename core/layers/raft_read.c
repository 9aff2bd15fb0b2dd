/* raft_read.c - reading a Raft log once, so that it may be appended to: dwal_raft_read_all and dwal_raft_read.
 *
 * Called by: the thread that opened the log. Happy path: replay finds out which entries count and how many bytes they have
 * (one pass over the records without their data) -> one block of memory of exactly that size -> a second pass reads the data
 * of those entries alone -> the handle takes over last index, state, metadata and segments.
 * Failure: with a gap or a missing snapshot there is content all the same; else none. A reader beside a writer that drops the
 * front of the log meanwhile starts again, three times. */
#include <stdlib.h>
#include <string.h>

#include "core/layers/raft_replay.h"

enum { ATTEMPTS = 3, ALIGNMENT = 8 };

/* ---- the second pass ------------------------------------------------------------------------------------------------ */

struct delivery {
    dwal_raft_entry_fn *fn;
    void *context;
};

/* The data of the record at `place`; the cursor stands somewhere before it. */
static int find(dwal_cursor *cursor, const struct dw_raft_place *place, struct dwal_record *record)
{
    int result;
    do
        result = dwal_cursor_next_metadata(cursor, record);
    while (result == 0 && record->lsn < place->lsn);
    if (result == 0 && record->lsn != place->lsn)
        return dw_raft_fail(DWAL_ECORRUPT, place->lsn, "the record that was there a moment ago is gone");
    return result == 0 ? dwal_cursor_data(cursor, record) : result;
}

/* Give every entry that counts to `fn`. */
static int deliver(dwal *log, const struct dw_raft_replay *replay, const struct delivery *delivery)
{
    if (replay->entry_count == 0)
        return 0;
    dwal_cursor *cursor;
    int result = dwal_cursor_open(log, replay->entries[0].lsn, &cursor);
    if (result < 0)
        return result;
    bool is_wanted = true;
    for (size_t i = 0; i < replay->entry_count && result == 0 && is_wanted; i++) {
        struct dwal_record base;
        struct dwal_raft_record record;
        result = find(cursor, &replay->entries[i], &base);
        if (result < 0)
            break;
        dw_raft_decode(&base, &record);
        struct dwal_raft_entry entry = {
            .index = record.index, .term = record.term, .type = record.type, .data = record.data, .size = record.size};
        is_wanted = delivery->fn(delivery->context, &entry);
    }
    dwal_cursor_close(cursor);
    return result;
}

/* ---- the content ---------------------------------------------------------------------------------------------------- */

/* One block: the struct, the array of entries, the metadata, the data. */
struct arena {
    struct dwal_raft_content *content;
    struct dwal_raft_entry *next_entry;
    uint8_t *next;
};

static bool add_size(uint64_t *sum, uint64_t size)
{
    return !__builtin_add_overflow(sum[0], (size + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT, sum);
}

static int measure(const struct dwal_raft *raft, const struct dw_raft_replay *replay, bool has_entries, uint64_t *total)
{
    *total = 0;
    bool is_possible = add_size(total, sizeof(struct dwal_raft_content)) && add_size(total, replay->metadata_size);
    for (size_t i = 0; i < replay->entry_count && has_entries; i++)
        is_possible = is_possible && add_size(total, sizeof(struct dwal_raft_entry) + ALIGNMENT) &&
                      add_size(total, replay->entries[i].size);
    uint64_t limit = raft->options.read_bytes_max ? raft->options.read_bytes_max : SIZE_MAX;
    if (is_possible && *total <= limit)
        return 0;
    return dw_raft_fail(DWAL_EBUFFER, DWAL_NO_LSN, "%zu entries take %llu bytes of memory, and %llu are allowed",
                        replay->entry_count, (unsigned long long)*total, (unsigned long long)limit);
}

static void *take(struct arena *arena, size_t size)
{
    void *taken = arena->next;
    arena->next += (size + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
    return taken;
}

static int make_content(const struct dwal_raft *raft, const struct dw_raft_replay *replay, bool has_entries,
                        struct arena *arena)
{
    uint64_t total;
    int result = measure(raft, replay, has_entries, &total);
    if (result < 0)
        return result;
    arena->next = malloc((size_t)total);
    if (!arena->next)
        return dw_raft_fail(DWAL_EMEMORY, DWAL_NO_LSN, "no memory for %llu bytes of entries",
                            (unsigned long long)total);
    arena->content = take(arena, sizeof *arena->content);
    arena->next_entry = has_entries ? take(arena, replay->entry_count * sizeof *arena->next_entry) : NULL;
    void *metadata = take(arena, replay->metadata_size);
    if (replay->metadata_size > 0)
        memcpy(metadata, replay->metadata, replay->metadata_size);
    *arena->content = (struct dwal_raft_content){
        .metadata = metadata,
        .metadata_size = replay->metadata_size,
        .state = replay->state,
        .entries = has_entries && replay->entry_count > 0 ? arena->next_entry : NULL,
        .last_index = replay->last_index,
        .has_snapshot = replay->has_snapshot,
    };
    return 0;
}

static bool keep_entry(void *context, const struct dwal_raft_entry *entry)
{
    struct arena *arena = context;
    void *data = take(arena, entry->size);
    if (entry->size > 0)
        memcpy(data, entry->data, entry->size);
    *arena->next_entry = *entry;
    arena->next_entry->data = data;
    arena->next_entry++;
    arena->content->entry_count++;
    return true;
}

/* ---- the handle ----------------------------------------------------------------------------------------------------- */

/* From here on the handle may save. */
static void take_over(dwal_raft *raft, struct dw_raft_replay *replay)
{
    raft->phase = DW_RAFT_READY;
    raft->metadata = replay->metadata;
    raft->metadata_size = replay->metadata_size;
    raft->state = replay->state;
    raft->last_index = replay->last_index;
    raft->end = replay->end;
    raft->segments = replay->segments;
    raft->segment_count = replay->segment_count;
    raft->segment_capacity = replay->segment_capacity;
    replay->metadata = NULL;
    replay->segments = NULL;
    /* The last segment that begins at or before the snapshot, and all behind it; what was overwritten may lower the index. */
    for (size_t i = 0; i < raft->segment_count; i++)
        if (raft->segments[i].index <= raft->start.index)
            raft->held = i;
}

static int read_once(dwal_raft *raft, const struct delivery *delivery, struct dw_raft_replay *replay,
                     struct dwal_raft_content **content)
{
    int found = dw_raft_replay(raft->log, replay);
    if (found != 0 && found != DWAL_ERAFT_GAP)
        return found;
    struct dwal_error gap = *dwal_last_error();
    struct arena arena = {0};
    struct delivery keep = {.fn = keep_entry, .context = &arena};
    int result = make_content(raft, replay, !delivery, &arena);
    if (result == 0)
        result = deliver(raft->log, replay, delivery ? delivery : &keep);
    if (result < 0) {
        free(arena.content);
        return result;
    }
    *content = arena.content;
    if (found == DWAL_ERAFT_GAP)
        return dwal_set_error(&gap);
    if (replay->has_snapshot)
        return 0;
    return dw_raft_fail(DWAL_ERAFT_NO_SNAPSHOT, DWAL_NO_LSN, "no snapshot at index %llu with term %llu is in the log",
                        (unsigned long long)raft->start.index, (unsigned long long)raft->start.term);
}

static int read_locked(dwal_raft *raft, const struct delivery *delivery, struct dwal_raft_content **content)
{
    if (raft->is_created || raft->phase == DW_RAFT_READY)
        return dw_raft_fail(DWAL_ERAFT_ORDER, DWAL_NO_LSN, "the Raft log was %s: there is nothing more to read",
                            raft->is_created ? "created by this handle" : "read already");
    int result = DWAL_ETRIMMED;
    for (int attempt = 0; attempt < ATTEMPTS && result == DWAL_ETRIMMED; attempt++) {
        struct dw_raft_replay replay = {.start = raft->start};
        result = read_once(raft, delivery, &replay, content);
        if (result == 0 || result == DWAL_ERAFT_NO_SNAPSHOT)
            take_over(raft, &replay);
        dw_raft_replay_free(&replay);
        if (!raft->is_read_only || delivery)
            break; /* a writer's log does not shrink under it, and nothing is given twice */
    }
    return result;
}

static int read_and_unlock(dwal_raft *raft, const struct delivery *delivery, struct dwal_raft_content **content)
{
    if (!content)
        return dw_raft_fail(DWAL_EARGUMENT, DWAL_NO_LSN, "content is NULL");
    *content = NULL;
    pthread_mutex_lock(&raft->mutex);
    int result = read_locked(raft, delivery, content);
    pthread_mutex_unlock(&raft->mutex);
    return result;
}

int dwal_raft_read_all(dwal_raft *raft, struct dwal_raft_content **content)
{
    return read_and_unlock(raft, NULL, content);
}

int dwal_raft_read(dwal_raft *raft, dwal_raft_entry_fn *fn, void *context, struct dwal_raft_content **content)
{
    if (!fn)
        return dw_raft_fail(DWAL_EARGUMENT, DWAL_NO_LSN, "fn is NULL");
    struct delivery delivery = {.fn = fn, .context = context};
    return read_and_unlock(raft, &delivery, content);
}

void dwal_raft_content_free(struct dwal_raft_content *content)
{
    free(content);
}
