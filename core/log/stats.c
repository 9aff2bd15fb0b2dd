/* stats.c - a copy of the counters. Called by: any thread; takes the store's mutex for a moment, never on the commit path. */
#include <stddef.h>
#include <string.h>

#include "alloc/alloc.h"
#include "core/base/error.h"
#include "core/log/handle.h"

static uint64_t read_count(const _Atomic uint64_t *counter)
{
    return atomic_load_explicit(counter, memory_order_relaxed);
}

static void copy_writer(struct dwal *log, struct dwal_stats *stats)
{
    const struct dw_writer_counts *counts = &log->writer.counts;
    stats->appends = read_count(&counts->records);
    stats->batches = read_count(&counts->batches);
    stats->syncs = read_count(&counts->syncs);
    stats->payload_bytes = read_count(&counts->payload_bytes);
    stats->written_bytes = read_count(&counts->written_bytes);
    stats->writes = read_count(&counts->writes);
    stats->blocks = read_count(&counts->blocks);
    stats->padded_blocks = read_count(&counts->padded_blocks);
    stats->markers = read_count(&counts->markers);
    stats->lone_commits = read_count(&counts->lone_commits);
    stats->reserve_waits = read_count(&counts->reserve_waits);
    stats->publish_gaps = read_count(&counts->publish_gaps);
    stats->space_waits = read_count(&counts->space_waits);
    stats->wakes = read_count(&log->writer.durable.wake_calls);
    stats->stalls = read_count(&counts->stalls);
    for (int stage = 0; stage < DWAL_STAGE_COUNT; stage++)
        dw_writer_copy_stage(&log->writer, (enum dwal_stage)stage, &stats->stages[stage]);
    stats->commits = stats->stages[DWAL_STAGE_COMMIT].count;
}

int dwal_get_stats(dwal *log, struct dwal_stats *stats)
{
    if (!stats || stats->size != sizeof *stats)
        return dw_fail(DWAL_EARGUMENT, "stats.size must be sizeof(struct dwal_stats), %zu", sizeof *stats);
    memset(stats, 0, sizeof *stats);
    stats->size = sizeof *stats;
    if (log->is_writer)
        copy_writer(log, stats);
    struct dw_store_counts counts;
    dw_store_get_counts(log->store, &counts);
    stats->volumes_claimed = counts.claimed;
    stats->volumes_recycled = counts.recycled;
    stats->volumes_unlinked = counts.unlinked;
    stats->blanks_made = counts.blanks_made;
    stats->tocs_written = counts.tocs_written;
    stats->ring_reads = read_count(&log->ring_reads);
    stats->device_reads = read_count(&log->device_reads);
    stats->device_read_bytes = read_count(&log->device_read_bytes);
    stats->memory_bytes = dw_alloc_bytes();
    return 0;
}

const char *dwal_stage_name(enum dwal_stage stage)
{
    static const char *const names[DWAL_STAGE_COUNT] = {
        [DWAL_STAGE_RESERVE_WAIT] = "reserve wait",
        [DWAL_STAGE_PUBLISH_GAP] = "publish gap",
        [DWAL_STAGE_QUEUE_WAIT] = "queue wait",
        [DWAL_STAGE_SUBMIT] = "submit",
        [DWAL_STAGE_DEVICE] = "device",
        [DWAL_STAGE_WAKE] = "wake",
        [DWAL_STAGE_COMMIT] = "commit",
    };
    return (unsigned)stage < DWAL_STAGE_COUNT ? names[stage] : "unknown";
}

const char *dwal_version(void)
{
    return "0.1.0";
}
