/* dwal/raft.h - the log of a Raft member on top of dwal: entries, hard state, snapshots. This header is its manual.
 *
 * WHAT IT KEEPS  metadata: bytes of the application, the same for the life of the log (who this member is). Hard state:
 * term, vote, commit. Entries: index, term, type, data. Snapshots: index and term of a snapshot that the application
 * stores elsewhere, and the members at that point. All promises of dwal/dwal.h hold; one save is all or nothing.
 *
 * ORDER OF CALLS  A created log is ready for saving. An opened one is ready after one dwal_raft_read_all (or _read) that
 * answered 0 or DWAL_ERAFT_NO_SNAPSHOT: what was not read first may not be appended to. A save before that, a read of a
 * created log, and a second read are DWAL_ERAFT_ORDER.
 *
 * SEGMENTS  A segment is a stretch of the log that starts with a head: the metadata, the hard state of that moment, a
 * sequence number (0, 1, 2, ...) and an index: 0 for the first, else last index + 1. The log can be read from any head on,
 * so heads are where the front of the log can be dropped. `cut` starts a segment; save does it by itself when the segment
 * has grown beyond segment_size: a soft limit, what is saved is written first. Segments are not volumes: a head is one
 * more record, and costs no file. A volume is recycled when it lies wholly before the first segment that is left.
 *
 * THREADS  Every call on a `struct dwal_raft` may come from any number of threads, except dwal_raft_close and
 * dwal_raft_reopen, which must be alone. Saves are ordered by a mutex, and wait for the device outside of it: saves of
 * several threads share one write.
 *
 * MEMORY  What you pass in is borrowed until the call returns. What read gives is yours until you free it.
 *
 * RESULTS  0, or a negative code of dwal/error.h with dwal_last_error(); all codes of dwal/dwal.h, besides those named. */
#ifndef DWAL_RAFT_H
#define DWAL_RAFT_H

#include <dwal/dwal.h>
#include <dwal/inspect.h>

#ifdef __cplusplus
extern "C" {
#endif
#ifdef __GNUC__
#pragma GCC visibility push(default) /* these are exported, also from a library compiled with -fvisibility=hidden */
#endif

typedef struct dwal_raft dwal_raft;

struct dwal_raft_state { /* all 0: no state */
    uint64_t term, vote, commit;
};
struct dwal_raft_entry {
    uint64_t index; /* 1 .. 2^64-2 */
    uint64_t term;
    const void *data; /* at most DWAL_PART_SIZE_MAX bytes; may be empty */
    size_t size;
    uint32_t type; /* the application's own: a command, a change of members, ... */
};
struct dwal_raft_snapshot {
    uint64_t index, term;
    const void *members; /* the members at that index, in bytes of the application's own; needed when index > 0 */
    size_t members_size;
};

#define DWAL_RAFT_MAGIC          0x54464152u        /* "RAFT": the log's magic number when the options give none */
#define DWAL_RAFT_SEGMENT_SIZE   UINT64_C(64000000) /* default */
#define DWAL_RAFT_FORMAT_VERSION 1u                 /* newest that this library reads and the one that it writes */

struct dwal_raft_options {
    size_t size;                    /* sizeof(struct dwal_raft_options) */
    const struct dwal_options *log; /* of the log underneath; NULL: defaults. Its mode DWAL_READ_ONLY opens for reading,
                                     * also beside a live writer */
    uint64_t segment_size;          /* bytes of log after which save cuts; default 64,000,000 */
    uint64_t read_bytes_max;        /* most memory for the result of dwal_raft_read_all; 0: as much as it takes */
    uint32_t segments_kept;         /* released segments are dropped only while more than so many are left; default 0 */
    uint32_t sync_report_us;        /* a sync that takes longer is counted and told to log->event; default 1 s */
    bool is_unsafe_unsynced;        /* never wait for the device: a crash loses what was saved last. For tests and
                                     * benchmarks. What is not lost is still a prefix of what was saved */
};
#ifdef __cplusplus
#define DWAL_RAFT_OPTIONS_INIT                                                                                         \
    ([] {                                                                                                              \
        struct dwal_raft_options dwal_init = {};                                                                       \
        dwal_init.size = sizeof dwal_init;                                                                             \
        return dwal_init;                                                                                              \
    }())
#else
#define DWAL_RAFT_OPTIONS_INIT                                                                                         \
    {                                                                                                                  \
        .size = sizeof(struct dwal_raft_options)                                                                       \
    }
#endif

/* ---- life ----------------------------------------------------------------------------------------------------------*/

/* Make a log at `path` with this metadata and an empty snapshot (0, 0), and leave it open, ready for saving. A crash
 * leaves a whole log or none: an unfinished one is DWAL_ENOLOG for open, and the next create finishes it. Blocks for the
 * time of filling a volume and one durable write.
 * DWAL_EEXIST: there is a log of any kind, or files of one; nothing was touched. */
int dwal_raft_create(const char *path, const void *metadata, size_t metadata_size,
                     const struct dwal_raft_options *options, dwal_raft **raft);

/* Open at `snapshot` (NULL: at the very beginning, 0 and 0), one that was saved: reading gives what came after it.
 * Members are not looked at. *raft is yours until dwal_raft_close; NULL on failure. Blocks as dwal_open does.
 * DWAL_ENOLOG; DWAL_EMAGIC: a log, but not a Raft log; DWAL_EBUSY: another writer (not for DWAL_READ_ONLY);
 * DWAL_ERAFT_RELEASED: the log does not reach back to this snapshot any more; DWAL_EVERSION: written by a newer layer;
 * DWAL_EUNCERTAIN, DWAL_ECORRUPT, DWAL_ELOST, ...: see dwal_open; dwal_raft_repair mends what a torn write left.
 * Unfinished writes that nobody was told of are no error, neither for a writer (open cuts them off for good) nor for a
 * reader. */
int dwal_raft_open(const char *path, const struct dwal_raft_snapshot *snapshot, const struct dwal_raft_options *options,
                   dwal_raft **raft);

/* Close and open again at `snapshot`, with the same options. *raft is NULL when that fails. */
int dwal_raft_reopen(dwal_raft **raft, const struct dwal_raft_snapshot *snapshot);

/* Make everything durable, then release all. The handle is gone whatever is returned. NULL is fine. */
int dwal_raft_close(dwal_raft *raft);

/* The log underneath: for statistics, reports, dwal_wait, dwal_eventfd. Append and trim nothing there. */
dwal *dwal_raft_log(dwal_raft *raft);

/* ---- reading -------------------------------------------------------------------------------------------------------*/

/* What was read: one block of memory, yours until dwal_raft_content_free. */
struct dwal_raft_content {
    const void *metadata;
    size_t metadata_size;
    struct dwal_raft_state state;          /* the last one saved; all 0: none */
    const struct dwal_raft_entry *entries; /* index > the snapshot's, without a gap; NULL when there are none */
    size_t entry_count;
    uint64_t last_index; /* of the log: the last entry's, or the snapshot's if that is higher */
    bool has_snapshot;   /* the snapshot that was opened at was found */
};

/* Read all: afterwards a writer may save. Of entries with the same index the one saved last counts, and what was saved
 * before it with that or a higher index is gone. A log open for reading gives what is durable now.
 *  0                         *content has everything
 *  DWAL_ERAFT_NO_SNAPSHOT    the snapshot was never saved, or is not in the log any more: *content has everything all the
 *                            same, and a writer may save. Told to readers and writers alike
 *  DWAL_ERAFT_GAP            an index is missing: *content has what comes before the gap; nothing may be saved
 * With all others *content is NULL and nothing may be saved:
 *  DWAL_ERAFT_METADATA       two heads differ in their metadata
 *  DWAL_ERAFT_SNAPSHOT       a snapshot with this index was saved with another term
 *  DWAL_ERAFT_RECORD         a record that this layer does not write: unknown type, wrong length, out of order
 *  DWAL_EVERSION             written by a newer layer
 *  DWAL_ERAFT_ORDER          read already, or created by this handle
 *  DWAL_EBUFFER              more than read_bytes_max; the text tells how much. Use dwal_raft_read
 *  DWAL_ECORRUPT, ...        damage: place and reason are in dwal_last_error
 * Data of entries that do not count (at or before the snapshot, or saved again later) are not read from the device, and so
 * not checked: that is what dwal_raft_verify is for. */
int dwal_raft_read_all(dwal_raft *raft, struct dwal_raft_content **content);
void dwal_raft_content_free(struct dwal_raft_content *content); /* NULL is fine */

typedef bool dwal_raft_entry_fn(void *context, const struct dwal_raft_entry *entry);
/* The same with a callback for each entry, in order of index: memory is 16 bytes for each entry and the largest one.
 * `entry->data` is valid during the call. Return false to stop early: the log counts as read. *content holds all but
 * entries (entry_count is 0). */
int dwal_raft_read(dwal_raft *raft, dwal_raft_entry_fn *fn, void *context, struct dwal_raft_content **content);

/* ---- writing -------------------------------------------------------------------------------------------------------*/

/* Save hard state and entries, all or nothing. `state` may be NULL or all 0: it stays as it is. Nothing at all to save is
 * 0 at once. Waits until durable when there are entries, or when term or vote changed; a commit alone is only appended, and
 * goes to the device with the next save that waits, with sync or with close. Cuts when the segment is full.
 * The entries' indexes follow one another; the first one is at most last index + 1, and overwrites what was saved from there
 * on. DWAL_EARGUMENT: index 0 or 2^64-1, or indexes that do not follow one another; DWAL_ERAFT_GAP: the first index is
 * beyond last + 1; DWAL_ETOOBIG; DWAL_ENOSPACE; DWAL_ERAFT_ORDER; DWAL_EREADONLY: nothing was saved, and the same call may be
 * made again. DWAL_EFAILED: the log stopped, see dwal_sync. */
int dwal_raft_save(dwal_raft *raft, const struct dwal_raft_state *state, const struct dwal_raft_entry *entries,
                   size_t count);

/* Note that a snapshot was stored. Durable on return. When it lies beyond the last index, that becomes its index: the
 * entries before it came from elsewhere. DWAL_EARGUMENT: index without members, or 2^64-1. */
int dwal_raft_save_snapshot(dwal_raft *raft, const struct dwal_raft_snapshot *snapshot);

/* Start a new segment now. Durable on return. */
int dwal_raft_cut(dwal_raft *raft);

/* Wait until everything saved is durable. */
int dwal_raft_sync(dwal_raft *raft);

/* Entries before `index` are not needed here any more (there is a snapshot at `index` or later): release all segments whose
 * index is below `index`, except the last of them, and drop them while more than segments_kept are left. When all segments
 * are below, the last one stays. A crash may bring back what was dropped, never lose more. Does not wait for readers: a
 * volume that another process has pinned is recycled later. After a reopen only segments from the snapshot's on are held. */
int dwal_raft_release(dwal_raft *raft, uint64_t index);
/* Drop released segments, oldest first, while more than `segments_kept` are left. *dropped may be NULL. */
int dwal_raft_purge(dwal_raft *raft, uint32_t segments_kept, uint32_t *dropped);

/* ---- statistics ----------------------------------------------------------------------------------------------------*/

struct dwal_raft_stats {
    size_t size; /* set to sizeof(struct dwal_raft_stats) before the call */
    uint64_t saves, empty_saves, entries, states, snapshots, cuts;
    uint64_t data_bytes; /* of entries and members */
    uint64_t syncs, slow_syncs, sync_ns, sync_max_ns;
    uint64_t last_index;
    uint64_t segments, segments_held, segments_dropped;
    uint64_t segment_sequence, segment_index; /* of the segment that is written */
};
/* More, with latencies of every stage, comes from dwal_get_stats(dwal_raft_log(raft)). */
int dwal_raft_get_stats(dwal_raft *raft, struct dwal_raft_stats *stats);

/* ---- a log that is not open: all of these but repair read only, take no writer's lock, and work beside a live writer ---*/

struct dwal_raft_snapshots {
    const struct dwal_raft_snapshot *snapshots;
    size_t count;
    struct dwal_raft_state state;
};
/* Every snapshot in the log with an index of at most the last commit, oldest first: those that a member may start from.
 * One block of memory: free it with dwal_raft_snapshots_free. */
int dwal_raft_get_snapshots(const char *path, const struct dwal_raft_options *options,
                            struct dwal_raft_snapshots **snapshots);
void dwal_raft_snapshots_free(struct dwal_raft_snapshots *snapshots); /* NULL is fine */

/* Read every byte, as dwal_raft_read_all would after an open at `snapshot`, and check it: its codes, and those of open.
 * `state` (may be NULL) gets the last hard state. */
int dwal_raft_verify(const char *path, const struct dwal_raft_snapshot *snapshot,
                     const struct dwal_raft_options *options, struct dwal_raft_state *state);

/* Mend what a torn write left at the end, when open answers DWAL_EUNCERTAIN: all files that will change are copied to the
 * directory `save` (NULL: PATH.broken.TIME), then the log is cut behind its last whole save, durably. *is_changed: something
 * was cut. 0: the log is sound now, or was before. DWAL_ECORRUPT and all else: this is no torn end; nothing was changed. Call
 * it at most once for a start: damage that comes back is a device's. Never called by open. */
int dwal_raft_repair(const char *path, const struct dwal_raft_options *options, const char *save, bool *is_changed);

struct dwal_raft_info {
    size_t size;             /* set to sizeof(struct dwal_raft_info) before the call */
    uint32_t format_version; /* the least that a reader of this log must know, by the records in it */
    uint32_t reserved;
    struct dwal_raft_state state;
    uint64_t first_index, last_index;       /* of entries that count; 0: none */
    uint64_t snapshot_index, snapshot_term; /* of the last snapshot */
    uint64_t metadata_size;
    uint64_t segments, first_sequence, last_sequence;
    uint64_t entries, states, snapshots; /* records, those too that were saved again later */
    uint64_t data_bytes;
};
/* Facts, by reading all but the data of entries. */
int dwal_raft_get_info(const char *path, const struct dwal_raft_options *options, struct dwal_raft_info *info);

/* Every record in the order of the log, also those that do not count any more. */
enum dwal_raft_kind {
    DWAL_RAFT_HEAD = 1,
    DWAL_RAFT_ENTRY = 2,
    DWAL_RAFT_STATE = 3,
    DWAL_RAFT_SNAPSHOT = 4,
    DWAL_RAFT_UNKNOWN = 0, /* none of this layer's, or malformed: only lsn and data tell something */
};
const char *dwal_raft_kind_name(enum dwal_raft_kind kind); /* "head", "entry", ...; static text */
struct dwal_raft_record {
    enum dwal_raft_kind kind;
    uint32_t type; /* of an entry */
    uint64_t lsn, end;
    uint32_t volume;
    uint32_t format_version;      /* of a head */
    uint64_t index, term;         /* of entries, snapshots; of a head the index */
    uint64_t sequence;            /* of a head */
    struct dwal_raft_state state; /* of heads and states */
    const void *data;             /* entry: data; head: metadata; snapshot: members. NULL while it is not read */
    size_t size;
};
struct dwal_raft_scan {
    size_t size; /* sizeof(struct dwal_raft_scan) */
    void *context;
    /* Return false to skip the data: it is not read, and `record` is not called. May be NULL: all are wanted. */
    bool (*wanted)(void *context, const struct dwal_raft_record *record);
    /* Return false to end the scan with 0. */
    bool (*record)(void *context, const struct dwal_raft_record *record);
    /* Go on behind damage at the next record that can be found. What was passed over is told once, at the end: the answer is
     * the first damage's code, and dwal_last_error has its place. */
    bool is_raw;
    uint64_t passed_over; /* out: places at which the scan had to start again */
};
/* Go through all of them. */
int dwal_raft_scan(const char *path, const struct dwal_raft_options *options, struct dwal_raft_scan *scan);

#ifdef __GNUC__
#pragma GCC visibility pop
#endif
#ifdef __cplusplus
}
#endif
#endif
