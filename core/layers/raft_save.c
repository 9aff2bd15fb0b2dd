/* raft_save.c - the writing half of the Raft log: save, snapshot, cut, sync.
 *
 * Called by: any thread. Happy path: under the mutex check the indexes, append state and entries as one batch, note the new
 * last index; then, without the mutex, wait until it is durable if it has to be.
 * Failure: what is refused before the append leaves log and handle as they were. After the append only the device can fail,
 * and then the base log has stopped. A cut that finds no space waits for a later save: the segment grows meanwhile. */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "core/layers/raft.h"

/* One record on its way into the log. */
struct dw_raft_batch {
    struct dwal_entry entry;
    struct iovec metadata, data;
    union dw_raft_disk disk;
};

static int check_ready(const dwal_raft *raft)
{
    if (raft->is_read_only)
        return dw_raft_fail(DWAL_EREADONLY, DWAL_NO_LSN, "the Raft log is open read-only");
    if (raft->phase != DW_RAFT_READY)
        return dw_raft_fail(DWAL_ERAFT_ORDER, DWAL_NO_LSN,
                            "the Raft log was opened and not read yet: nothing may be saved before");
    return 0;
}

/* ---- records -------------------------------------------------------------------------------------------------------- */

static void fill(struct dw_raft_batch *record, const struct dwal_raft_record *raft)
{
    record->metadata = (struct iovec){.iov_base = &record->disk, .iov_len = dw_raft_encode(raft, &record->disk)};
    record->data = (struct iovec){.iov_base = (void *)(uintptr_t)raft->data, .iov_len = raft->size};
    record->entry = (struct dwal_entry){
        .metadata = &record->metadata,
        .metadata_count = 1,
        .data = &record->data,
        .data_count = raft->size > 0,
        .user = (uint16_t)(DW_RAFT_USER | (unsigned)raft->kind),
    };
}

static int append_one(dwal_raft *raft, const struct dwal_raft_record *what, uint64_t *lsn, uint64_t *end)
{
    struct dw_raft_batch record;
    fill(&record, what);
    int result = dwal_append(raft->log, &record.entry, lsn, end);
    if (result == 0)
        raft->end = *end;
    return result;
}

/* The first head comes with the empty snapshot: both or none, so that the log can be opened at its beginning. */
static int append_first_head(dwal_raft *raft, const struct dwal_raft_record *head, uint64_t *lsn, uint64_t *end)
{
    struct dw_raft_batch records[2];
    fill(&records[0], head);
    fill(&records[1], &(struct dwal_raft_record){.kind = DWAL_RAFT_SNAPSHOT});
    const struct dwal_entry entries[2] = {records[0].entry, records[1].entry};
    uint64_t lsns[2];
    int result = dwal_append_batch(raft->log, entries, 2, lsns, end);
    if (result == 0) {
        *lsn = lsns[0];
        raft->end = *end;
    }
    return result;
}

int dw_raft_append_head(dwal_raft *raft, uint64_t *end)
{
    bool is_first = raft->segment_count == 0;
    const struct dw_raft_segment *last = is_first ? NULL : &raft->segments[raft->segment_count - 1];
    struct dwal_raft_record head = {
        .kind = DWAL_RAFT_HEAD,
        .format_version = DWAL_RAFT_FORMAT_VERSION,
        .sequence = is_first ? 0 : last->sequence + 1,
        .index = is_first ? 0 : raft->last_index + 1,
        .state = raft->state,
        .data = raft->metadata,
        .size = raft->metadata_size,
    };
    struct dw_raft_segment segment = {.sequence = head.sequence, .index = head.index};
    int result = dw_raft_segment_reserve(raft);
    if (result == 0)
        result =
            is_first ? append_first_head(raft, &head, &segment.lsn, end) : append_one(raft, &head, &segment.lsn, end);
    if (result < 0)
        return result;
    segment.end = *end;
    dw_raft_segment_add(raft, &segment);
    return 0;
}

/* ---- waiting -------------------------------------------------------------------------------------------------------- */

static uint64_t now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static void tell_slow(dwal_raft *raft, uint64_t took_ns)
{
    const struct dwal_options *log = &raft->log_options;
    if (!log->event)
        return;
    char text[120];
    (void)snprintf(text, sizeof text, "a sync of the Raft log took %llu us, more than %u us",
                   (unsigned long long)(took_ns / 1000), raft->options.sync_report_us);
    log->event(log->context, DWAL_EVENT_WARNING, text);
}

int dw_raft_wait(dwal_raft *raft, uint64_t end)
{
    if (raft->options.is_unsafe_unsynced)
        return 0;
    uint64_t started = now_ns();
    int result = dwal_sync(raft->log, end);
    uint64_t took = now_ns() - started;
    bool is_slow = took > (uint64_t)raft->options.sync_report_us * 1000;
    pthread_mutex_lock(&raft->mutex);
    struct dwal_raft_stats *stats = &raft->stats;
    stats->syncs++;
    stats->slow_syncs += is_slow;
    stats->sync_ns += took;
    stats->sync_max_ns = took > stats->sync_max_ns ? took : stats->sync_max_ns;
    pthread_mutex_unlock(&raft->mutex);
    if (is_slow)
        tell_slow(raft, took);
    return result;
}

/* Cut if the segment is full. What was saved is saved whatever comes of it: a head that finds no room is tried again. */
static void cut_if_full(dwal_raft *raft, uint64_t *end, bool *is_cut)
{
    const struct dw_raft_segment *segment = &raft->segments[raft->segment_count - 1];
    uint64_t head_end = 0;
    if (raft->end - segment->lsn < raft->options.segment_size)
        return;
    *is_cut = dw_raft_append_head(raft, &head_end) == 0;
    if (*is_cut) {
        raft->stats.cuts++;
        *end = head_end;
    }
}

/* ---- save ----------------------------------------------------------------------------------------------------------- */

static bool is_empty(const struct dwal_raft_state *state)
{
    return !state || (state->term == 0 && state->vote == 0 && state->commit == 0);
}

static int check_entries(const dwal_raft *raft, const struct dwal_raft_entry *entries, size_t count)
{
    if (count > 0 && !entries)
        return dw_raft_fail(DWAL_EARGUMENT, DWAL_NO_LSN, "entries is NULL");
    for (size_t i = 0; i < count; i++) {
        uint64_t index = entries[i].index;
        if (index == 0 || index == UINT64_MAX)
            return dw_raft_fail(DWAL_EARGUMENT, DWAL_NO_LSN, "entry %zu has index %llu, which is reserved", i,
                                (unsigned long long)index);
        if (i > 0 && index != entries[i - 1].index + 1)
            return dw_raft_fail(DWAL_EARGUMENT, DWAL_NO_LSN, "entry %zu has index %llu, and the one before has %llu", i,
                                (unsigned long long)index, (unsigned long long)entries[i - 1].index);
        if (entries[i].size > DWAL_PART_SIZE_MAX)
            return dw_raft_fail(DWAL_ETOOBIG, DWAL_NO_LSN, "the entry with index %llu has %zu bytes",
                                (unsigned long long)index, entries[i].size);
        if (entries[i].size > 0 && !entries[i].data)
            return dw_raft_fail(DWAL_EARGUMENT, DWAL_NO_LSN, "the data of entry %zu is NULL", i);
    }
    if (count > 0 && entries[0].index - 1 > raft->last_index)
        return dw_raft_fail(DWAL_ERAFT_GAP, DWAL_NO_LSN, "index %llu cannot follow %llu, the last one",
                            (unsigned long long)entries[0].index, (unsigned long long)raft->last_index);
    return 0;
}

static int reserve_batch(dwal_raft *raft, size_t count)
{
    if (count <= raft->batch_capacity)
        return 0;
    struct dw_raft_batch *batch = count <= SIZE_MAX / sizeof *batch ? malloc(count * sizeof *batch) : NULL;
    if (!batch)
        return dw_raft_fail(DWAL_EMEMORY, DWAL_NO_LSN, "no memory to save %zu entries at once", count);
    free(raft->batch);
    raft->batch = batch;
    raft->batch_capacity = count;
    return 0;
}

/* The base log takes an array of its own entries. */
static int append_all(dwal_raft *raft, size_t count, uint64_t *end)
{
    if (count == 1)
        return dwal_append(raft->log, &raft->batch[0].entry, NULL, end);
    struct dwal_entry few[16];
    struct dwal_entry *entries = count <= DW_COUNT_OF(few) ? few : malloc(count * sizeof *entries);
    if (!entries)
        return dw_raft_fail(DWAL_EMEMORY, DWAL_NO_LSN, "no memory to save %zu records at once", count);
    for (size_t i = 0; i < count; i++)
        entries[i] = raft->batch[i].entry;
    int result = dwal_append_batch(raft->log, entries, count, NULL, end);
    if (entries != few)
        free(entries);
    return result;
}

static int save_locked(dwal_raft *raft, const struct dwal_raft_state *state, const struct dwal_raft_entry *entries,
                       size_t count, uint64_t *end, bool *must_wait)
{
    bool has_state = !is_empty(state);
    int result = check_ready(raft);
    if (result == 0)
        result = check_entries(raft, entries, count);
    if (result < 0)
        return result;
    if (!has_state && count == 0) {
        raft->stats.empty_saves++;
        return 0;
    }
    result = reserve_batch(raft, count + 1);
    if (result < 0)
        return result;
    uint64_t bytes = 0;
    for (size_t i = 0; i < count; i++) {
        const struct dwal_raft_entry *entry = &entries[i];
        bytes += entry->size;
        fill(&raft->batch[i], &(struct dwal_raft_record){.kind = DWAL_RAFT_ENTRY,
                                                         .index = entry->index,
                                                         .term = entry->term,
                                                         .type = entry->type,
                                                         .data = entry->data,
                                                         .size = entry->size});
    }
    if (has_state)
        fill(&raft->batch[count], &(struct dwal_raft_record){.kind = DWAL_RAFT_STATE, .state = *state});
    result = append_all(raft, count + has_state, end);
    if (result < 0)
        return result;
    raft->end = *end;
    *must_wait = count > 0 || (has_state && (state->term != raft->state.term || state->vote != raft->state.vote));
    if (has_state)
        raft->state = *state;
    if (count > 0)
        raft->last_index = entries[count - 1].index;
    raft->stats.saves++;
    raft->stats.entries += count;
    raft->stats.states += has_state;
    raft->stats.data_bytes += bytes;
    bool is_cut = false;
    cut_if_full(raft, end, &is_cut);
    *must_wait |= is_cut;
    return 0;
}

int dwal_raft_save(dwal_raft *raft, const struct dwal_raft_state *state, const struct dwal_raft_entry *entries,
                   size_t count)
{
    uint64_t end = 0;
    bool must_wait = false;
    pthread_mutex_lock(&raft->mutex);
    int result = save_locked(raft, state, entries, count, &end, &must_wait);
    pthread_mutex_unlock(&raft->mutex);
    return result == 0 && must_wait ? dw_raft_wait(raft, end) : result;
}

/* ---- snapshot, cut, sync -------------------------------------------------------------------------------------------- */

static int snapshot_locked(dwal_raft *raft, const struct dwal_raft_snapshot *snapshot, uint64_t *end)
{
    int result = check_ready(raft);
    if (result < 0)
        return result;
    if (snapshot->index == UINT64_MAX)
        return dw_raft_fail(DWAL_EARGUMENT, DWAL_NO_LSN, "index 2^64-1 is reserved");
    if (snapshot->index > 0 && (!snapshot->members || snapshot->members_size == 0))
        return dw_raft_fail(DWAL_EARGUMENT, DWAL_NO_LSN, "the snapshot at index %llu has no members",
                            (unsigned long long)snapshot->index);
    if (snapshot->members_size > DWAL_PART_SIZE_MAX)
        return dw_raft_fail(DWAL_ETOOBIG, DWAL_NO_LSN, "the members of the snapshot have %zu bytes",
                            snapshot->members_size);
    struct dwal_raft_record record = {
        .kind = DWAL_RAFT_SNAPSHOT,
        .index = snapshot->index,
        .term = snapshot->term,
        .data = snapshot->members,
        .size = snapshot->members_size,
    };
    result = append_one(raft, &record, NULL, end);
    if (result < 0)
        return result;
    if (snapshot->index > raft->last_index)
        raft->last_index = snapshot->index;
    raft->stats.snapshots++;
    raft->stats.data_bytes += snapshot->members_size;
    return 0;
}

int dwal_raft_save_snapshot(dwal_raft *raft, const struct dwal_raft_snapshot *snapshot)
{
    if (!snapshot)
        return dw_raft_fail(DWAL_EARGUMENT, DWAL_NO_LSN, "snapshot is NULL");
    uint64_t end = 0;
    pthread_mutex_lock(&raft->mutex);
    int result = snapshot_locked(raft, snapshot, &end);
    pthread_mutex_unlock(&raft->mutex);
    return result == 0 ? dw_raft_wait(raft, end) : result;
}

int dwal_raft_cut(dwal_raft *raft)
{
    uint64_t end = 0;
    pthread_mutex_lock(&raft->mutex);
    int result = check_ready(raft);
    if (result == 0)
        result = dw_raft_append_head(raft, &end);
    if (result == 0)
        raft->stats.cuts++;
    pthread_mutex_unlock(&raft->mutex);
    return result == 0 ? dw_raft_wait(raft, end) : result;
}

int dwal_raft_sync(dwal_raft *raft)
{
    pthread_mutex_lock(&raft->mutex);
    bool is_reader = raft->is_read_only;
    uint64_t end = raft->end;
    pthread_mutex_unlock(&raft->mutex);
    if (is_reader)
        return dw_raft_fail(DWAL_EREADONLY, DWAL_NO_LSN, "the Raft log is open read-only");
    return dw_raft_wait(raft, end);
}
