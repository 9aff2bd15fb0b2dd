/* raft_replay.c - see raft_replay.h.
 *
 * Happy path: a cursor from the trim point to the end; heads, states and snapshots are applied as they come; of entries only
 * the place is kept, so that what is overwritten later is never read. Failure: the first record that contradicts ends it. */
#include "core/layers/raft_replay.h"

#include <stdlib.h>
#include <string.h>

/* Room for one more in an array that grows by doubling. NULL: no memory, told. */
static void *grow(void *array, size_t count, size_t *capacity, size_t item_size)
{
    if (count < *capacity)
        return array;
    size_t wanted = *capacity ? *capacity * 2 : 64;
    void *grown = wanted <= SIZE_MAX / item_size ? realloc(array, wanted * item_size) : NULL;
    if (!grown) {
        (void)dw_raft_fail(DWAL_EMEMORY, DWAL_NO_LSN, "no memory for a list of %zu records", wanted);
        return NULL;
    }
    *capacity = wanted;
    return grown;
}

/* ---- one record of each kind ---------------------------------------------------------------------------------------- */

static int apply_metadata(struct dw_raft_replay *replay, const struct dwal_raft_record *head)
{
    if (replay->segment_count > 0) {
        if (head->size == replay->metadata_size &&
            (head->size == 0 || memcmp(head->data, replay->metadata, head->size) == 0))
            return 0;
        return dw_raft_fail(DWAL_ERAFT_METADATA, head->lsn,
                            "the head of segment %llu has other metadata than the one before it",
                            (unsigned long long)head->sequence);
    }
    replay->metadata = malloc(head->size + 1); /* never of size 0 */
    if (!replay->metadata)
        return dw_raft_fail(DWAL_EMEMORY, head->lsn, "no memory for %zu bytes of metadata", head->size);
    if (head->size > 0)
        memcpy(replay->metadata, head->data, head->size);
    replay->metadata_size = head->size;
    return 0;
}

static int apply_head(struct dw_raft_replay *replay, const struct dwal_raft_record *head)
{
    int result = apply_metadata(replay, head);
    if (result < 0)
        return result;
    if (replay->segment_count == 0) {
        if (dw_raft_is_released(head->index, replay->start.index) && !replay->is_census)
            return dw_raft_fail(DWAL_ERAFT_RELEASED, head->lsn,
                                "the oldest segment starts at index %llu, the snapshot is at %llu",
                                (unsigned long long)head->index, (unsigned long long)replay->start.index);
        replay->last_index = head->index > 0 ? head->index - 1 : 0;
        replay->info.first_sequence = head->sequence;
    } else {
        const struct dw_raft_segment *last = &replay->segments[replay->segment_count - 1];
        if (head->sequence != last->sequence + 1 || head->index != replay->last_index + 1)
            return dw_raft_fail(DWAL_ERAFT_RECORD, head->lsn,
                                "segment %llu with index %llu follows segment %llu and index %llu",
                                (unsigned long long)head->sequence, (unsigned long long)head->index,
                                (unsigned long long)last->sequence, (unsigned long long)replay->last_index);
    }
    struct dw_raft_segment *segments =
        grow(replay->segments, replay->segment_count, &replay->segment_capacity, sizeof *segments);
    if (!segments)
        return DWAL_EMEMORY;
    replay->segments = segments;
    segments[replay->segment_count++] = (struct dw_raft_segment){head->sequence, head->index, head->lsn, head->end};
    replay->state = head->state;
    replay->info.last_sequence = head->sequence;
    if (head->format_version > replay->info.format_version)
        replay->info.format_version = head->format_version;
    return 0;
}

static int apply_entry(struct dw_raft_replay *replay, const struct dwal_raft_record *entry)
{
    replay->info.entries++;
    replay->info.data_bytes += entry->size;
    if (replay->is_census) {
        uint64_t *first = &replay->info.first_index;
        bool is_behind_run = entry->index - 1 > replay->last_index;
        if (*first == 0 || entry->index < *first || is_behind_run)
            *first = entry->index;
        replay->last_index = entry->index;
        return 0;
    }
    if (entry->index <= replay->start.index) {
        replay->entry_count = 0; /* what lay above it is overwritten as well */
        replay->last_index = entry->index;
        return 0;
    }
    uint64_t offset = entry->index - replay->start.index - 1;
    if (offset > replay->entry_count)
        return dw_raft_fail(DWAL_ERAFT_GAP, entry->lsn,
                            "index %llu follows %llu entries behind the snapshot at index %llu",
                            (unsigned long long)entry->index, (unsigned long long)replay->entry_count,
                            (unsigned long long)replay->start.index);
    struct dw_raft_place *entries = grow(replay->entries, (size_t)offset, &replay->entry_capacity, sizeof *entries);
    if (!entries)
        return DWAL_EMEMORY;
    replay->entries = entries;
    entries[offset] = (struct dw_raft_place){.lsn = entry->lsn, .size = entry->size};
    replay->entry_count = (size_t)offset + 1;
    replay->last_index = entry->index;
    return 0;
}

static int keep_snapshot(struct dw_raft_replay *replay, const struct dwal_raft_record *record)
{
    struct dwal_raft_snapshot *snapshots =
        grow(replay->snapshots, replay->snapshot_count, &replay->snapshot_capacity, sizeof *snapshots);
    if (!snapshots)
        return DWAL_EMEMORY;
    replay->snapshots = snapshots;
    void *members = malloc(record->size + 1);
    if (!members)
        return dw_raft_fail(DWAL_EMEMORY, record->lsn, "no memory for %zu bytes of members", record->size);
    if (record->size > 0)
        memcpy(members, record->data, record->size);
    snapshots[replay->snapshot_count++] = (struct dwal_raft_snapshot){
        .index = record->index, .term = record->term, .members = members, .members_size = record->size};
    return 0;
}

static int apply_snapshot(struct dw_raft_replay *replay, const struct dwal_raft_record *record)
{
    replay->info.snapshots++;
    replay->info.data_bytes += record->size;
    replay->info.snapshot_index = record->index;
    replay->info.snapshot_term = record->term;
    if (record->index > replay->last_index)
        replay->last_index = record->index;
    if (replay->keeps_snapshots)
        return keep_snapshot(replay, record);
    if (record->index != replay->start.index)
        return 0;
    if (record->term != replay->start.term)
        return dw_raft_fail(DWAL_ERAFT_SNAPSHOT, record->lsn,
                            "the snapshot at index %llu was saved with term %llu, and opened with term %llu",
                            (unsigned long long)record->index, (unsigned long long)record->term,
                            (unsigned long long)replay->start.term);
    replay->has_snapshot = true;
    return 0;
}

static int apply(struct dw_raft_replay *replay, const struct dwal_record *base, const struct dwal_raft_record *record)
{
    if (replay->segment_count == 0 && record->kind != DWAL_RAFT_HEAD && record->kind != DWAL_RAFT_UNKNOWN)
        return dw_raft_fail(DWAL_ERAFT_RECORD, record->lsn, "the log starts with %s, not with the head of a segment",
                            dwal_raft_kind_name(record->kind));
    switch (record->kind) {
    case DWAL_RAFT_HEAD:
        return apply_head(replay, record);
    case DWAL_RAFT_ENTRY:
        return apply_entry(replay, record);
    case DWAL_RAFT_STATE:
        replay->info.states++;
        replay->state = record->state;
        return 0;
    case DWAL_RAFT_SNAPSHOT:
        return apply_snapshot(replay, record);
    case DWAL_RAFT_UNKNOWN:
        break;
    }
    return dw_raft_refuse_record(base);
}

/* ---- all ------------------------------------------------------------------------------------------------------------ */

static bool needs_data(const struct dw_raft_replay *replay, const struct dwal_raft_record *record)
{
    return replay->reads_all || record->kind == DWAL_RAFT_HEAD ||
           (record->kind == DWAL_RAFT_SNAPSHOT && replay->keeps_snapshots);
}

static int step(struct dw_raft_replay *replay, dwal_cursor *cursor)
{
    struct dwal_record base;
    struct dwal_raft_record record;
    int result = dwal_cursor_next_metadata(cursor, &base);
    if (result < 0)
        return result;
    dw_raft_decode(&base, &record);
    if (needs_data(replay, &record)) {
        result = dwal_cursor_data(cursor, &base);
        if (result < 0)
            return result;
        record.data = base.data;
    }
    replay->end = base.end;
    return apply(replay, &base, &record);
}

static void sum_up(struct dw_raft_replay *replay)
{
    struct dwal_raft_info *info = &replay->info;
    info->state = replay->state;
    info->metadata_size = replay->metadata_size;
    info->segments = replay->segment_count;
    info->last_index = replay->last_index;
    if (!replay->is_census)
        info->first_index = replay->entry_count > 0 ? replay->start.index + 1 : 0;
}

int dw_raft_replay(dwal *log, struct dw_raft_replay *replay)
{
    dwal_cursor *cursor;
    int result = dwal_cursor_open(log, 0, &cursor);
    if (result < 0)
        return result;
    while (result == 0)
        result = step(replay, cursor);
    dwal_cursor_close(cursor);
    if (result == DWAL_EEND)
        result =
            replay->segment_count > 0
                ? 0
                : dw_raft_fail(DWAL_ENOLOG, DWAL_NO_LSN, "there is no record in the log: its creation was interrupted");
    sum_up(replay);
    return result;
}

void dw_raft_replay_free(struct dw_raft_replay *replay)
{
    for (size_t i = 0; i < replay->snapshot_count; i++)
        free((void *)(uintptr_t)replay->snapshots[i].members);
    free(replay->snapshots);
    free(replay->entries);
    free(replay->segments);
    free(replay->metadata);
    replay->snapshots = NULL;
    replay->entries = NULL;
    replay->segments = NULL;
    replay->metadata = NULL;
    replay->snapshot_count = replay->entry_count = replay->segment_count = 0;
}
