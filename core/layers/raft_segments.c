/* raft_segments.c - the segments of a Raft log: which there are, which are held, and dropping the oldest.
 *
 * Called by: read (builds the list), cut (adds), release and purge, all under the handle's mutex.
 * Happy path: release moves `held` up -> purge trims the log to the head of the oldest segment that stays -> the base log
 * recycles volumes that lie wholly before it, when no reader has them pinned.
 * Failure: a trim that failed has moved nothing here. A crash in between leaves the trim point where it was or where it was
 * going. */
#include <stdlib.h>
#include <string.h>

#include "core/layers/raft.h"

int dw_raft_segment_reserve(dwal_raft *raft)
{
    if (raft->segment_count < raft->segment_capacity)
        return 0;
    size_t capacity = raft->segment_capacity ? raft->segment_capacity * 2 : 16;
    struct dw_raft_segment *segments = realloc(raft->segments, capacity * sizeof *segments);
    if (!segments)
        return dw_raft_fail(DWAL_EMEMORY, DWAL_NO_LSN, "no memory for a list of %zu segments", capacity);
    raft->segments = segments;
    raft->segment_capacity = capacity;
    return 0;
}

void dw_raft_segment_add(dwal_raft *raft, const struct dw_raft_segment *segment)
{
    raft->segments[raft->segment_count++] = *segment;
}

/* Drop released segments while more than `kept` are left. */
static int purge(dwal_raft *raft, uint32_t kept, uint32_t *dropped)
{
    size_t count = 0;
    while (count < raft->held && raft->segment_count - count > kept)
        count++;
    if (count == 0)
        return 0;
    const struct dw_raft_segment *first = &raft->segments[count];
    /* Without this head nothing behind it could be read: it has to be durable before what is in front goes. */
    int result = first->end > dwal_durable(raft->log) ? dwal_sync(raft->log, first->end) : 0;
    if (result == 0)
        result = dwal_trim(raft->log, first->lsn);
    if (result < 0)
        return result;
    raft->segment_count -= count;
    raft->held -= count;
    memmove(raft->segments, raft->segments + count, raft->segment_count * sizeof *raft->segments);
    raft->stats.segments_dropped += count;
    *dropped = (uint32_t)count;
    return 0;
}

/* The number of segments that are not needed for entries from `index` on: all below it but the last of them. */
static size_t releasable(const dwal_raft *raft, uint64_t index)
{
    size_t below = raft->held;
    while (below < raft->segment_count && raft->segments[below].index < index)
        below++;
    return below > raft->held ? below - 1 : raft->held;
}

static int check_writable(const dwal_raft *raft)
{
    if (raft->is_read_only)
        return dw_raft_fail(DWAL_EREADONLY, DWAL_NO_LSN, "the Raft log is open read-only");
    if (raft->phase != DW_RAFT_READY)
        return dw_raft_fail(DWAL_ERAFT_ORDER, DWAL_NO_LSN, "the Raft log was opened and not read yet");
    return 0;
}

int dwal_raft_release(dwal_raft *raft, uint64_t index)
{
    uint32_t dropped = 0;
    pthread_mutex_lock(&raft->mutex);
    int result = check_writable(raft);
    if (result == 0) {
        raft->held = releasable(raft, index);
        result = purge(raft, raft->options.segments_kept, &dropped);
    }
    pthread_mutex_unlock(&raft->mutex);
    return result;
}

int dwal_raft_purge(dwal_raft *raft, uint32_t segments_kept, uint32_t *dropped)
{
    uint32_t count = 0;
    pthread_mutex_lock(&raft->mutex);
    int result = check_writable(raft);
    if (result == 0)
        result = purge(raft, segments_kept, &count);
    pthread_mutex_unlock(&raft->mutex);
    if (dropped)
        *dropped = count;
    return result;
}
