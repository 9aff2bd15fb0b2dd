/* raft_replay.h - go through the records of a Raft log and work out what counts: read, verify, snapshots and info share it.
 *
 * Owns: the list of entries that count, the metadata, the list of segments seen. One thread. Memory: 16 bytes for each entry
 * that counts, the metadata, and (asked for) the snapshots. */
#ifndef DW_CORE_LAYERS_RAFT_REPLAY_H
#define DW_CORE_LAYERS_RAFT_REPLAY_H

#include "core/layers/raft.h"

struct dw_raft_place {
    uint64_t lsn;
    uint64_t size;
};

struct dw_raft_replay {
    /* Set by the caller. */
    struct dwal_raft_snapshot start; /* entries above its index count */
    bool reads_all;                  /* read the data too, so that their checksums are looked at */
    bool keeps_snapshots;
    bool is_census; /* no snapshot to start from: count, check the order of heads, keep no entries */

    /* What came out. */
    struct dw_raft_place *entries; /* index start.index + 1 + i */
    size_t entry_count, entry_capacity;
    struct dw_raft_segment *segments;
    size_t segment_count, segment_capacity;
    struct dwal_raft_snapshot *snapshots; /* in the order of the log */
    size_t snapshot_count, snapshot_capacity;
    void *metadata;
    size_t metadata_size;
    struct dwal_raft_state state;
    uint64_t last_index, end;
    bool has_snapshot;
    struct dwal_raft_info info;
};

/* 0; DWAL_ERAFT_GAP: stopped there, what came before counts; else an error. DWAL_ERAFT_NO_SNAPSHOT is not answered here: see
 * has_snapshot. Free it in each case. */
DW_NODISCARD int dw_raft_replay(dwal *log, struct dw_raft_replay *replay);
void dw_raft_replay_free(struct dw_raft_replay *replay);

#endif
