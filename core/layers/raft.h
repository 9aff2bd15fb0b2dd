/* raft.h - what a `struct dwal_raft` is made of, and what the files of the Raft log ask of each other. Private.
 *
 * Owns: the log underneath (from a successful create or open on), the list of segments, buffers that save reuses.
 * Threads: any caller; everything that changes lies under `mutex`, which is not held while a save waits for the device.
 * Failure: codes of dwal/error.h, with texts of this layer made by dw_raft_fail. Nothing is retried. */
#ifndef DW_CORE_LAYERS_RAFT_H
#define DW_CORE_LAYERS_RAFT_H

#include <pthread.h>

#include <dwal/raft.h>

#include "base/compiler.h"
#include "base/le.h"

/* ---- records: entries of the log with a `user` of this layer ---- */

#define DW_RAFT_USER 0x5200u /* "R" in the upper byte, the kind in the lower one */

/* Metadata of the records as they lie on disk. The data behind them: of a head the application's metadata, of an entry its
 * data, of a snapshot the members. */
struct dw_raft_head_disk {
    dw_le32 format_version; /* what a reader must know to go on from here */
    dw_le32 zero;
    dw_le64 sequence, index;
    dw_le64 term, vote, commit;
};
struct dw_raft_entry_disk {
    dw_le64 index, term;
    dw_le32 type;
    dw_le32 zero;
};
struct dw_raft_state_disk {
    dw_le64 term, vote, commit;
};
struct dw_raft_snapshot_disk {
    dw_le64 index, term;
};
_Static_assert(sizeof(struct dw_raft_head_disk) == 48, "on disk");
_Static_assert(sizeof(struct dw_raft_entry_disk) == 24, "on disk");
_Static_assert(sizeof(struct dw_raft_state_disk) == 24, "on disk");
_Static_assert(sizeof(struct dw_raft_snapshot_disk) == 16, "on disk");

/* Large enough for the metadata of each. */
union dw_raft_disk {
    struct dw_raft_head_disk head;
    struct dw_raft_entry_disk entry;
    struct dw_raft_state_disk state;
    struct dw_raft_snapshot_disk snapshot;
};

/* From what a cursor gave (with or without data) to what it means; kind UNKNOWN when it is none of ours. */
void dw_raft_decode(const struct dwal_record *record, struct dwal_raft_record *raft);
/* Returns the bytes used of `disk`. Only the fields of its kind are looked at. */
size_t dw_raft_encode(const struct dwal_raft_record *raft, union dw_raft_disk *disk);
/* What is wrong with a record that dw_raft_decode calls UNKNOWN: DWAL_EVERSION or DWAL_ERAFT_RECORD, as this thread's error. */
int dw_raft_refuse_record(const struct dwal_record *record);

/* Does a log whose oldest segment has index `head` lack what follows the snapshot at `start`? */
static inline bool dw_raft_is_released(uint64_t head, uint64_t start)
{
    return head > start && head - start > 1;
}

/* ---- errors ---- */

/* This thread's last error: the text, then what to do. `lsn`: DWAL_NO_LSN when there is none. Returns `code`. */
DW_COLD int dw_raft_fail(int code, uint64_t lsn, const char *format, ...) DW_PRINTF(3, 4);

/* clang-tidy's analyzer cannot see into it: tell it that a failure is never 0. */
#if defined(__clang_analyzer__) && !defined(DW_RAFT_FAIL_IMPLEMENTATION)
#define dw_raft_fail(...) (dw_raft_fail(__VA_ARGS__), -1)
#endif

/* ---- the handle ---- */

struct dw_raft_segment {
    uint64_t sequence, index;
    uint64_t lsn, end; /* of its head */
};

enum dw_raft_phase {
    DW_RAFT_UNREAD, /* opened: read first */
    DW_RAFT_READY,  /* read or created */
};

struct dwal_raft {
    dwal *log;
    bool is_read_only, is_created;
    struct dwal_raft_options options; /* resolved; its pointer leads to log_options */
    struct dwal_options log_options;  /* a copy, for reopen */
    char *path, *backend;             /* copies; path NULL: the log was handed over open, and cannot be reopened */
    struct dwal_raft_snapshot start;  /* opened at; members unused */

    pthread_mutex_t mutex; /* of all below */
    enum dw_raft_phase phase;
    void *metadata; /* a copy: each head carries it */
    size_t metadata_size;
    struct dwal_raft_state state;
    uint64_t last_index;
    uint64_t end;                     /* of what this handle appended last: what sync waits for */
    struct dw_raft_segment *segments; /* oldest first; those below `held` are released */
    size_t segment_count, segment_capacity, held;
    struct dw_raft_batch *batch; /* of save, reused */
    size_t batch_capacity;
    struct dwal_raft_stats stats;
};

/* ---- raft.c ---- */
/* Put a layer on a log that is open; `log` is owned by *raft when 0 is returned. For tests that bring their own disk. */
DW_NODISCARD int dw_raft_create_on(dwal *log, const void *metadata, size_t size,
                                   const struct dwal_raft_options *options, dwal_raft **raft);
DW_NODISCARD int dw_raft_open_on(dwal *log, bool is_read_only, const struct dwal_raft_snapshot *snapshot,
                                 const struct dwal_raft_options *options, dwal_raft **raft);
/* Give the log back, open as it is; the handle is gone. */
dwal *dw_raft_detach(dwal_raft *raft);
/* A log for looking at: read-only, whatever mode the options say. */
DW_NODISCARD int dw_raft_open_to_look(const char *path, const struct dwal_raft_options *options, dwal **log);

/* ---- raft_save.c, under `mutex` ---- */
/* Append a head. *end is what to wait for. */
DW_NODISCARD int dw_raft_append_head(dwal_raft *raft, uint64_t *end);
/* Wait for what was appended, without the mutex. */
DW_NODISCARD int dw_raft_wait(dwal_raft *raft, uint64_t end);

/* ---- raft_segments.c, under `mutex` ---- */
DW_NODISCARD int dw_raft_segment_reserve(dwal_raft *raft); /* room for one more */
void dw_raft_segment_add(dwal_raft *raft, const struct dw_raft_segment *segment);

#endif
