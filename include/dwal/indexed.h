/* dwal/indexed.h - a log whose entries have consecutive numbers: store at the back, get by index, truncate at both ends.
 *
 * The log store that a consensus library asks for, on top of one dwal log. Made for one process that replicates: entries have
 * an index (1 and up, without gaps), are durable when store returns, are read by index, and go away at the front (they are in
 * a snapshot) or at the back (another leader had others). Beside the entries there is a small store of keys and values.
 *
 * WHAT IT PROMISES, besides the promises of dwal/dwal.h
 *  1. An entry is durable when store returned 0, with all before it. A store of many is all or nothing, also after a crash.
 *  2. Readers see durable entries only, never block the writer, and see a truncation at once and whole.
 *  3. A truncation is a record in the log: it has happened when that record is durable. After a crash it has happened or not;
 *     what a truncation that returned 0 took away never comes back.
 *  4. Open reads the tables of contents of the volumes, not the entries; only what no table covers is scanned.
 *  5. After the first failed write nothing more is acknowledged (DWAL_EFAILED); what was acknowledged can still be read.
 *
 * THREADS  Any call from any number of threads, except dwal_indexed_close, which must be the last. Calls that write are
 * ordered one behind another; they wait for the device at the same time where they can. A cursor or a verifier is used by one
 * thread at a time. After fork the child must not touch the handle.
 *
 * MEMORY  Buffers that you pass in are borrowed until the call returns. Bounded: about 4 bytes for each block of the volumes
 * that are being written, 8 bytes for each of `recent` entries, 4 bytes for each block of `tables` old volumes, 24 bytes for
 * each volume, and what the log beneath needs.
 *
 * RESULTS  0, or a negative code of dwal/error.h; dwal_last_error() has the details. Besides the codes named at a call each
 * may answer DWAL_EINDEX_CLOSED (after dwal_indexed_stop), and calls that write DWAL_EFAILED, DWAL_ENOSPACE (nothing was
 * changed: free space or truncate the front, then call again), DWAL_EREADONLY and DWAL_EMEMORY (nothing was changed). */
#ifndef DWAL_INDEXED_H
#define DWAL_INDEXED_H

#include <dwal/dwal.h>

#ifdef __cplusplus
extern "C" {
#endif
#ifdef __GNUC__
#pragma GCC visibility push(default) /* these are exported, also from a library compiled with -fvisibility=hidden */
#endif

typedef struct dwal_indexed dwal_indexed;
typedef struct dwal_indexed_cursor dwal_indexed_cursor;

#define DWAL_INDEXED_MAGIC          0x31584944u     /* the log's magic number unless you choose another: "DIX1" */
#define DWAL_INDEXED_ENTRY_SIZE_MAX 0x04000000u     /* 64 MiB: the default limit of an entry's size */
#define DWAL_INDEXED_CODEC_OWN      UINT64_C(65536) /* codec ids below it are reserved */
#define DWAL_INDEXED_KEY_SIZE_MAX   1024u
#define DWAL_INDEXED_VALUES_MAX     65536u /* bytes of all keys and values together, with 8 for each */

/* ---- life ----------------------------------------------------------------------------------------------------------*/

/* Zero means default everywhere. Initialise with DWAL_INDEXED_OPTIONS_INIT, then set what you want. */
struct dwal_indexed_options {
    size_t size;
    /* Of the log beneath; NULL: defaults. `table` and `table_keep` must be 0: they are the layer's. `toc_length` 0: as much as
     * an index of each block takes, about a byte for each block of a volume; with less the index is coarser, and a get of an
     * old entry reads more. `magic_number` 0: DWAL_INDEXED_MAGIC. The callbacks are called as dwal/dwal.h says. */
    const struct dwal_options *base;
    /* Whatever says how your entries are encoded: kept in the log from the first open on, and compared at every open
     * (DWAL_EINDEX_CODEC). 0: not said, agrees with all; 1..65535 are reserved. */
    uint64_t codec;
    uint32_t
        entry_size_max; /* bytes; a longer one is refused (DWAL_ETOOBIG); default 64 MiB, at most DWAL_PART_SIZE_MAX */
    uint32_t recent;    /* entries whose places are remembered one by one, a power of two; default 65536 */
    uint32_t tables;    /* old volumes whose index is kept in memory after its first use; default 16 */
};
#ifdef __cplusplus
#define DWAL_INDEXED_OPTIONS_INIT                                                                                      \
    ([] {                                                                                                              \
        struct dwal_indexed_options dwal_init = {};                                                                    \
        dwal_init.size = sizeof dwal_init;                                                                             \
        return dwal_init;                                                                                              \
    }())
#else
#define DWAL_INDEXED_OPTIONS_INIT                                                                                      \
    {                                                                                                                  \
        .size = sizeof(struct dwal_indexed_options)                                                                    \
    }
#endif

/* Make an empty log in directory `path`: as dwal_create, with a table of contents for the index. Errors of dwal_create. */
int dwal_indexed_create(const char *path, const struct dwal_indexed_options *options);

/* Open it; `options` may be NULL. On 0 *log is yours until dwal_indexed_close; on failure *log is NULL. Reads the table of
 * contents of each volume once; after a crash, and for a volume whose table was lost, the entries' heads of that volume too, and
 * writes down what it found: the next open reads that. A rotation, truncation or deletion that a crash interrupted is finished
 * or undone here, never half.
 * With base->mode DWAL_READ_ONLY: what is durable now, beside a live writer too; calls that write answer DWAL_EREADONLY. Such a
 * handle shows the moment of its open for as long as it lives: what the writer stores or sets later does not show (open anew,
 * which costs little); what it truncates away is shown as long as its volume is there, then DWAL_EINDEX_NONE.
 * Errors of dwal_open, and DWAL_EMAGIC (a log of another kind), DWAL_EINDEX_CODEC, DWAL_ECORRUPT (records that contradict one
 * another), DWAL_EARGUMENT. */
int dwal_indexed_open(const char *path, const struct dwal_indexed_options *options, dwal_indexed **log);

/* Every later call answers DWAL_EINDEX_CLOSED; calls under way end first. Makes all durable, writes the index of the newest
 * volume, closes the log beneath. Cursors must have been closed. Any thread; again: 0 and nothing done. Blocks until the calls
 * under way are done. Returns the first error met in closing. */
int dwal_indexed_stop(dwal_indexed *log);

/* dwal_indexed_stop, then the handle is gone, whatever is returned. NULL is fine. */
int dwal_indexed_close(dwal_indexed *log);

/* The log beneath, for dwal_get_stats, dwal_get_report, dwal_failure, dwal_durable; do not append to it, trim or close it.
 * NULL after stop. Reading from it is fine. */
dwal *dwal_indexed_base(dwal_indexed *log);

/* ---- bounds --------------------------------------------------------------------------------------------------------*/

/* The first and the last index of one moment; 0 and 0 when the log is empty. Never blocks. */
int dwal_indexed_bounds(dwal_indexed *log, uint64_t *first, uint64_t *last);
uint64_t dwal_indexed_first(dwal_indexed *log); /* 0: empty or closed */
uint64_t dwal_indexed_last(dwal_indexed *log);  /* 0: empty or closed */
/* true: after a gap (a snapshot was installed) the caller has to clear the log before it stores on. */
bool dwal_indexed_is_monotonic(const dwal_indexed *log);
/* The codec id that the log carries. */
uint64_t dwal_indexed_codec(const dwal_indexed *log);

/* ---- writing -------------------------------------------------------------------------------------------------------*/

struct dwal_indexed_entry {
    uint64_t index;
    const void *data; /* may be NULL when size is 0 */
    size_t size;
};

/* Store `count` entries (0: nothing is done) and wait until they are durable: one sync for all. Indexes rise by one, the
 * first follows the last index, or is any but 0 when the log is empty. All or nothing; on failure the caller may try again, but
 * after DWAL_EFAILED it is not known whether they are durable: reopen and look.
 * DWAL_EINDEX_GAP (the error's text has the index that was due), DWAL_ETOOBIG (an entry is above entry_size_max),
 * DWAL_EARGUMENT (index 0, or beyond 2^64-2). */
int dwal_indexed_store(dwal_indexed *log, const struct dwal_indexed_entry *entries, size_t count);

/* The same without waiting: *end (may be NULL) is for dwal_indexed_sync. Readers see the entries when somebody synced them or
 * anything behind. */
int dwal_indexed_append(dwal_indexed *log, const struct dwal_indexed_entry *entries, size_t count, uint64_t *end);
/* Wait until what was appended up to `end` is durable and seen by readers. */
int dwal_indexed_sync(dwal_indexed *log, uint64_t end);

/* `index` becomes the first: all before it go away for good. At or below the first: nothing is done. Beyond the last: the log
 * becomes empty, and the next store may be at any index. Durable when it returns 0. Volumes are recycled when no reader needs
 * them. With a full disk it first gives back what it can without writing; then DWAL_ENOSPACE may still come while the maker
 * makes room: a part of the entries that were to go may be gone then, for good. Call again. */
int dwal_indexed_truncate_front(dwal_indexed *log, uint64_t index);
/* `index` becomes the last: all behind it go away for good. At or beyond the last: nothing is done.
 * DWAL_EINDEX_NONE: it is below the first (the text has first, last and index); reset empties the log. Durable when it
 * returns 0. */
int dwal_indexed_truncate_back(dwal_indexed *log, uint64_t index);
/* Delete min..max, both included. min > max, or nothing of it in the log: nothing is done. A range that includes the first
 * entry (it may go on past the last) truncates the front; one that includes the last truncates the back.
 * DWAL_EINDEX_MIDDLE: a range in the middle. */
int dwal_indexed_delete_range(dwal_indexed *log, uint64_t min, uint64_t max);
/* All entries go away; the next store may be at any index. Values stay. */
int dwal_indexed_reset(dwal_indexed *log);

/* ---- reading -------------------------------------------------------------------------------------------------------*/

struct dwal_indexed_record {
    uint64_t index;
    uint64_t lsn;     /* in the log beneath */
    const void *data; /* in the caller's buffer; of a cursor: valid until its next call. Never NULL */
    size_t size;
};

/* Copy the entry at `index` into `buffer` (yours, reused as you like). An entry that is still in the ring costs no read of the
 * device; an old one that is not longer than about 60 KiB one, or two when its volume's index is not in memory.
 * DWAL_EINDEX_NONE: outside of first..last. DWAL_EBUFFER: record->size tells what is needed. DWAL_ECORRUPT, DWAL_EDEVICE: the
 * error has volume, block and lsn. */
int dwal_indexed_get(dwal_indexed *log, uint64_t index, void *buffer, size_t size, struct dwal_indexed_record *record);

/* A cursor that stands before the entry at `index` (it need not exist yet), for reading on in order at the speed of a scan:
 * the device is read in large pieces. It pins the volume it stands in. */
int dwal_indexed_cursor_open(dwal_indexed *log, uint64_t index, dwal_indexed_cursor **cursor);
/* The next entry. DWAL_EEND: there is none yet, call again later. DWAL_EINDEX_NONE: the index it stands at was truncated away
 * at the front. What was truncated away at the back and stored anew is read anew, if the cursor has not passed it. */
int dwal_indexed_cursor_next(dwal_indexed_cursor *cursor, struct dwal_indexed_record *record);
void dwal_indexed_cursor_close(dwal_indexed_cursor *cursor); /* NULL is fine */

/* ---- values --------------------------------------------------------------------------------------------------------
 * A small store of keys and values beside the entries (a vote, a term). In memory whole; each change is a record in the log. */

/* Set `key` to `value`, or delete it when `value` is NULL. Durable when it returns 0.
 * DWAL_ETOOBIG: the key is longer than DWAL_INDEXED_KEY_SIZE_MAX, or there is no room for the value. DWAL_EARGUMENT: no key. */
int dwal_indexed_set(dwal_indexed *log, const void *key, size_t key_size, const void *value, size_t value_size);
/* Copy a value. *value_size: its size, 0 when there is none; *is_found (may be NULL) tells the two apart. DWAL_EBUFFER: it is
 * longer than the buffer. Never blocks on the device. */
int dwal_indexed_value(dwal_indexed *log, const void *key, size_t key_size, void *buffer, size_t size,
                       size_t *value_size, bool *is_found);
/* The same with 8 bytes, little-endian. */
int dwal_indexed_set_u64(dwal_indexed *log, const void *key, size_t key_size, uint64_t value);
/* *value is 0 when there is none. DWAL_EINDEX_VALUE: what is stored there has not 8 bytes. */
int dwal_indexed_value_u64(dwal_indexed *log, const void *key, size_t key_size, uint64_t *value);

/* ---- copying -------------------------------------------------------------------------------------------------------*/

/* Called after each batch that is durable in the target. Return false to stop: DWAL_EINDEX_CANCELLED. */
typedef bool dwal_indexed_progress_fn(void *context, uint64_t index, uint64_t last, uint64_t bytes);

struct dwal_indexed_copy {
    size_t size;          /* sizeof(struct dwal_indexed_copy) */
    uint64_t batch_bytes; /* of entries stored at once; default 1 MiB */
    bool is_without_values;
    dwal_indexed_progress_fn *progress; /* may be NULL */
    void *context;
};
/* Copy entries and values of `from` behind those of `to` (empty, or ending where `from` goes on: so a copy that was stopped
 * can be taken up again). `copy` may be NULL. Errors of reading `from` and of storing into `to`. */
int dwal_indexed_copy_from(dwal_indexed *to, dwal_indexed *from, const struct dwal_indexed_copy *copy);

/* ---- looking at a log at rest, or beside its writer -----------------------------------------------------------------*/

struct dwal_indexed_dump {
    size_t size;    /* sizeof(struct dwal_indexed_dump) */
    uint64_t after; /* entries with after < index < before; 0: no limit */
    uint64_t before;
    void *context;
    /* Each entry in the order of the log: what was truncated away and is still there comes too. Return false to stop. */
    bool (*entry)(void *context, const struct dwal_indexed_record *record);
};
/* Needs no lock and writes nothing. Errors of dwal_scan_log. */
int dwal_indexed_dump_entries(const char *path, const struct dwal_indexed_dump *dump);

/* ---- statistics ----------------------------------------------------------------------------------------------------*/

struct dwal_indexed_stats {
    size_t size;                                      /* set to sizeof(struct dwal_indexed_stats) before the call */
    uint64_t appends, entries_written, bytes_written; /* calls, entries, bytes of their data */
    uint64_t entries_read, bytes_read;
    uint64_t cached_reads;  /* of entries_read: found through the table of recent entries */
    uint64_t table_reads;   /* an old volume's index was read from the device */
    uint64_t volumes;       /* entered since open */
    uint64_t volume_age_ns; /* time from entering the last full volume to entering the next; 0: not yet */
    uint64_t front_truncations, back_truncations; /* calls that took something away */
    uint64_t entries_truncated_front, entries_truncated_back;
    uint64_t value_gets, value_sets;
    uint64_t records_scanned; /* heads read at open because no table had them */
};
/* A copy of the counters; each is exact, together they are not of one instant. */
int dwal_indexed_get_stats(dwal_indexed *log, struct dwal_indexed_stats *stats);
/* The same as text in the exposition format of Prometheus, always terminated. Returns the length that the whole needs. */
size_t dwal_indexed_stats_text(const struct dwal_indexed_stats *stats, char *text, size_t size);

#ifdef __GNUC__
#pragma GCC visibility pop
#endif
#ifdef __cplusplus
}
#endif
#endif
