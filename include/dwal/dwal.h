/* dwal/dwal.h - a write-ahead log with direct I/O, for files and raw block devices on Linux. This header is the manual.
 *
 * WHAT IT PROMISES
 *  1. Acknowledged (commit or sync returned 0, or dwal_durable() reached an entry's end) = this entry and all before it
 *     are on stable storage.
 *  2. After any crash the log is a prefix of append order that holds every acknowledged entry.
 *  3. A batch is all or nothing.
 *  4. Nothing is returned that was not appended: every read checks place and checksum.
 *  5. What recovery or truncation dropped never comes back.
 *  6. Damage that any witness covers is refused with place and reason, never cut off; every cut is reported.
 *  7. Fail-stop after the first write error: what was acknowledged stays, nothing more is acknowledged.
 *  8. A block with acknowledged bytes is not written again until it is trimmed away.
 *  9. One writer; the second gets DWAL_EBUSY.
 * 10. No allocation and no file-system metadata on the way append -> flush -> acknowledge.
 * 11. A device without a dwal superblock is never written, except by an explicit format; a device in use never.
 * 12. Old formats open for ever.
 * What no log on one device can know: whether the last in_flight_blocks before the very end, acknowledged in the last
 * milliseconds before a crash (before a marker or a later write followed), were lost whole by the device; and whether
 * everything was rolled back to an older, consistent state. Give `min_lsn` at open if you know better.
 *
 * WORDS  entry: metadata and data that you append. record: an entry on disk. lsn: position of a record in the log's
 * payload bytes; it grows for ever, has gaps, and is never reused. end: the lsn just behind a record. durable lsn:
 * everything before it is on stable storage. volume: one fixed-size file. trim: drop the front of the log.
 *
 * THREADS  Every call on a `struct dwal` may come from any number of threads at any time, except dwal_close, which must
 * be the last. A cursor is used by one thread at a time. After fork the child must not touch the handle.
 *
 * MEMORY  Buffers that you pass in are borrowed until the call returns; append copies once. Buffers that a cursor gives
 * out are valid until the next call on that cursor.
 *
 * RESULTS  0, or a negative code of dwal/error.h. Calls that "never block" may still wait for a CPU. */
#ifndef DWAL_DWAL_H
#define DWAL_DWAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#include <dwal/error.h>

#ifdef __cplusplus
extern "C" {
#endif
#ifdef __GNUC__
#pragma GCC visibility push(default) /* these are exported, also from a library compiled with -fvisibility=hidden */
#endif

#define DWAL_VERSION_MAJOR 0
#define DWAL_VERSION_MINOR 1
#define DWAL_VERSION_PATCH 0
const char *dwal_version(void); /* "0.1.0" */

typedef struct dwal dwal;
typedef struct dwal_cursor dwal_cursor;

#define DWAL_PART_SIZE_MAX 0x7ffffffbu /* 2^31-5: longest metadata, longest data */

/* ---- options -------------------------------------------------------------------------------------------------------
 * Zero means default everywhere. Initialise with DWAL_OPTIONS_INIT, then set what you want. */

enum dwal_fill { /* how a blank volume is made before it is used */
                 DWAL_FILL_DEFAULT = 0,
                 DWAL_FILL_ZERO = 1,     /* write zeros, sync once: every later write is a pure overwrite (default) */
                 DWAL_FILL_ALLOCATE = 2, /* fallocate only: quick to make, each first write costs about 2.5 x more */
                 DWAL_FILL_ALLOCATE_ZERO = 3, /* fallocate, then write zeros: fewer extents on a busy file system */
};
enum dwal_mode {
    DWAL_WRITE = 0,     /* append and read; takes the writer's lock */
    DWAL_READ_ONLY = 1, /* never writes a byte; works beside a live writer (then it sees entries below the highest
                         * watermark on disk, a few milliseconds behind) and on media that cannot be written */
    DWAL_REPORT = 2,    /* read-only; opens also what recovery refuses and lists the damage instead (dwal_damage) */
};
enum dwal_recovery {
    DWAL_STRICT = 0,   /* a last block that neither checks nor looks unwritten is refused (default) */
    DWAL_TOLERANT = 1, /* ... is cut off: for devices whose sectors can tear. Acknowledged entries are still never lost
                        * where a witness covers them */
};

/* What happened that a person should know (recovery's report, a slow device, a failed callback). Not on the commit
 * path. Called from any of dwal's threads and from open. `text` is valid during the call. */
enum dwal_event_level { DWAL_EVENT_ERROR = 0, DWAL_EVENT_WARNING = 1, DWAL_EVENT_INFO = 2, DWAL_EVENT_DEBUG = 3 };
typedef void dwal_event_fn(void *context, enum dwal_event_level level, const char *text);

/* Called (by the maker thread) once for each volume when all of it is durable, in order, before its table of contents
 * is written. `first` and `end`: lsns of this volume's content; entries with first <= lsn < end start in it; `spill`:
 * the last of them runs on into the next volume. Write at most `capacity` bytes to `table`, return how many; a
 * longer answer is an error: the log stops with DWAL_ETABLE. Must not call back into the log except for dwal_durable,
 * dwal_read and dwal_read_match. After a crash it is called again at open for a volume whose table had not been written. */
typedef uint64_t dwal_table_fn(void *context, uint32_t volume, uint64_t first, uint64_t end, bool spill, void *table,
                               uint32_t capacity);

/* Called (by the thread that flushes) after the durable lsn advanced or the log failed (then durable is unchanged and
 * `failure` is the code). Keep it short, never block, never call append, commit or sync in it. */
typedef void dwal_durable_fn(void *context, uint64_t durable, int failure);

/* One durable write, for who wants to know where the time of a commit went. Times are CLOCK_MONOTONIC nanoseconds. */
struct dwal_written {
    uint64_t first, end;   /* lsns: it made everything in first <= lsn < end durable, markers included */
    uint64_t gap_ns;       /* how long the flusher waited, right before it, for appenders that were still copying */
    uint64_t start_ns;     /* the write was handed to the kernel */
    uint64_t submitted_ns; /* the kernel had taken it (a synchronous write: start_ns) */
    uint64_t completed_ns; /* it was seen to be finished */
    uint64_t durable_ns;   /* all writes before it were finished as well: the durable lsn advances now */
};
/* Called by the thread that flushes, once for each durable write, in order, before the durable lsn advances over it.
 * The same rules as for dwal_durable_fn. One branch for each write when it is NULL. */
typedef void dwal_written_fn(void *context, const struct dwal_written *written);

struct dwal_options {
    size_t size; /* sizeof(struct dwal_options): lets old programs run with new libraries */

    /* Fixed when a log is created; at open they may stay 0, or must agree (else DWAL_EARGUMENT). */
    uint64_t volume_size;  /* bytes; default 64 MiB (less on a small device); multiple of the block; at most 4 GiB */
    uint32_t sector_size;  /* 512 (default) or 4096: the unit that the device is assumed to write whole */
    uint32_t block_size;   /* bytes; default 4096; at least the physical block of the device; unit of flush */
    uint32_t toc_length;   /* bytes for your table of contents in each volume; default 0: no callback */
    uint32_t magic_number; /* your own; checked at open when not 0 (DWAL_EMAGIC) */
    uint32_t blanks;       /* blanks to keep ready, 1..255; default 4 */
    enum dwal_fill fill;

    /* Of one open. */
    enum dwal_mode mode;
    enum dwal_recovery recovery;
    uint64_t min_lsn;          /* a witness of your own: an lsn that you know to have been durable */
    uint64_t ring_size;        /* bytes of the in-memory ring, a power of two of blocks; default 8 MiB */
    uint32_t in_flight_writes; /* durable writes in flight, 1..4; default 4 (the sync backend uses 1) */
    uint32_t write_size_max;   /* largest single write, bytes; default 1 MiB, or less if measured to be as good */
    const char *backend;       /* see dwal_backend; NULL: $DWAL_BACKEND, else measured; see dwal/probe.h */
    uint32_t marker_delay_ms;  /* idle time before a marker block is written; default 10; UINT32_MAX: never */
    /* The fastest at which blanks are filled while commits run; default 65536, that is 64 MiB/s. They are filled no faster than the log
     * is written (twice as fast when two are missing, and so on), and of four or more one may be missing, since a trim often brings a
     * volume back. Full speed when nothing became durable for 20 ms or a blank is needed at once; UINT32_MAX: always. */
    uint32_t fill_kib_per_second;
    uint32_t stall_report_ms; /* report a write that takes longer through `event`; default 1000 */
    bool is_unsafe_buffered;  /* allow a file system without O_DIRECT (tmpfs): for experiments only */
    bool keep_retired;        /* unlink nothing beyond the blanks wanted: retired volumes all become blanks */
    uint32_t table_keep;      /* bytes of each volume's own table of contents (its beginning) to keep in memory, so that
                                   * dwal_volume_table answers them without a read; default 0 */

    dwal_event_fn *event;
    dwal_table_fn *table;
    dwal_durable_fn *durable;
    void *context; /* first argument of all callbacks */
    dwal_written_fn *written;

    /* Of creation on a device. */
    uint64_t quota; /* bytes of the device that this log may have at most; default 0: a fair share with others */
    bool is_forced; /* format the device anew whatever it holds: everything on it is lost */

    /* Of one open: overwrite a volume that was trimmed away (its entries and its table, not its two header blocks) with zeros
     * before it becomes a blank or is given back, at the pace of filling. A crash in between: the next open that wipes does
     * it again from the start. What the device itself keeps of overwritten blocks is out of reach. */
    bool is_wiping;

    /* Of one open: set no timer beside durable writes. By default one (timerfd) keeps the processor that waits for the device from
     * stopping its clock tick: in a virtual machine that saves 20 to 35 us of a durable write, for one system call in three quarters
     * of a tick (3 ms at HZ=250) while writes follow each other. */
    bool lets_tick_stop;
};
#ifdef __cplusplus
#define DWAL_OPTIONS_INIT                                                                                              \
    ([] {                                                                                                              \
        struct dwal_options dwal_init = {};                                                                            \
        dwal_init.size = sizeof dwal_init;                                                                             \
        return dwal_init;                                                                                              \
    }())
#else
#define DWAL_OPTIONS_INIT                                                                                              \
    {                                                                                                                  \
        .size = sizeof(struct dwal_options)                                                                            \
    }
#endif

/* ---- life ----------------------------------------------------------------------------------------------------------*/

/* Make an empty log in directory `path` (made with mode 0700 if missing), or on a block device: "/dev/X", or "/dev/X#name"
 * for one of several logs on it. A device that dwal formatted before gets one more log, with the same volume size; any other
 * device is formatted only when it is empty (or with is_forced). Writes the superblock last, so a crash leaves either a log
 * or no log. Blocks for the time of filling one volume.
 * Refused: a directory that another user owns or everybody may write to (DWAL_EPERMISSION; at open for writing too); a
 * file system that is memory, network, or copies on write (DWAL_EUNSUPPORTED; on btrfs a directory that is made here gets
 * chattr +C, one that is there must have it). A log that lies in such a place opens, with an event that says so.
 * DWAL_EARGUMENT: the options, or a path at which nothing can be made. DWAL_EEXIST, DWAL_EUNSUPPORTED, DWAL_ENOSPACE,
 * DWAL_EPERMISSION, DWAL_EBUSY, DWAL_EDEVICE, DWAL_EMEMORY; of a device that dwal formatted before also what dwal_open says of it. */
int dwal_create(const char *path, const struct dwal_options *options);

/* Open a log, recover what a crash left, start the maker and the flusher. `options` may be NULL. On 0 *log is yours
 * until dwal_close; on failure *log is NULL. Everywhere a path "/dev/ng0n1", the generic node of an NVMe namespace, means
 * its block device /dev/nvme0n1; here it also names the backend "nvme", when the options name none. Blocks: a few reads per volume, and a scan of what no TOC covers.
 * DWAL_ENOLOG, DWAL_EBUSY, DWAL_EARGUMENT, DWAL_EMAGIC, DWAL_EVERSION, DWAL_EFOREIGN, DWAL_ECORRUPT, DWAL_ELOST,
 * DWAL_EROLLBACK, DWAL_EUNCERTAIN, DWAL_EDEVICE, DWAL_EPERMISSION, DWAL_EMEMORY; DWAL_ENOSPACE: a torn end is cut by means of one
 * new volume; DWAL_EUNSUPPORTED: no direct I/O, or the backend that was named; DWAL_EEXHAUSTED. */
int dwal_open(const char *path, const struct dwal_options *options, dwal **log);

/* Make everything durable, write the table of contents, record the clean end, release all. The handle is gone
 * whatever is returned. NULL is fine. Blocks until the device has all of it. Returns the first error met, DWAL_EFAILED or that of
 * the last writes: then the log opens with recovery, and what was acknowledged is there. */
int dwal_close(dwal *log);

/* ---- writing -------------------------------------------------------------------------------------------------------*/

/* What to append. Either part may be empty (count 0). */
struct dwal_entry {
    const struct iovec *metadata;
    const struct iovec *data;
    int metadata_count;
    int data_count;
    uint16_t user; /* 16 bits of your own in the record's header */
};

/* Append one entry to the ring: it is ordered, and will be durable when dwal_durable() >= *end. Copies once; no lock,
 * no allocation, no system call while the ring has room; waits (counted in the statistics) when it has none.
 * `lsn`, `end` may be NULL. DWAL_EARGUMENT, DWAL_ETOOBIG, DWAL_ENOSPACE, DWAL_EFAILED, DWAL_EREADONLY, DWAL_EEXHAUSTED: nothing was
 * appended. An entry that streams through the ring (larger than it) may also get DWAL_EFAILED in its middle: recovery
 * will drop it. */
int dwal_append(dwal *log, const struct dwal_entry *entry, uint64_t *lsn, uint64_t *end);

/* The same, but never waits for ring room: DWAL_EFULL instead. Otherwise as dwal_append. */
int dwal_try_append(dwal *log, const struct dwal_entry *entry, uint64_t *lsn, uint64_t *end);

/* Append `count` entries (at least 1) that recovery keeps or drops together. `lsns` (may be NULL) gets `count` lsns.
 * Errors as dwal_append, for all of them. */
int dwal_append_batch(dwal *log, const struct dwal_entry *entries, size_t count, uint64_t *lsns, uint64_t *end);

/* Append and wait until durable. Returns 0 only when it is. Blocks for a write of the device, its own or one that it shares.
 * DWAL_EFAILED: it is unknown whether it is durable; recovery will tell. The others as dwal_append: nothing was appended. */
int dwal_commit(dwal *log, const struct dwal_entry *entry, uint64_t *lsn, uint64_t *end);

/* Wait until everything before `end` is durable (an `end` that append gave; one beyond the appended is
 * DWAL_EARGUMENT). DWAL_EREADONLY. DWAL_EFAILED: it is unknown whether it is durable; recovery will tell. */
int dwal_sync(dwal *log, uint64_t end);

/* As dwal_sync with a limit in nanoseconds: DWAL_ETIMEOUT. The flush goes on. */
int dwal_sync_for(dwal *log, uint64_t end, uint64_t timeout_ns);

/* Ask that everything before `end` be made durable soon; does not wait. Completion: dwal_durable, the callback, or the
 * eventfd. DWAL_EARGUMENT, DWAL_EREADONLY, DWAL_EFAILED, as dwal_sync. */
int dwal_flush(dwal *log, uint64_t end);

/* Everything before it is on stable storage. Never blocks; only grows. */
uint64_t dwal_durable(const dwal *log);
/* The end of what has been appended (it moves while others append). Never blocks. */
uint64_t dwal_end(const dwal *log);
/* The first lsn that can be read: the trim point. */
uint64_t dwal_first(const dwal *log);
/* 0, or the first cause if the log stopped (a code of dwal/error.h); `error` (may be NULL) gets its details. */
int dwal_failure(const dwal *log, struct dwal_error *error);

/* How the log is written: "sync", "uring", "aio", or on an NVMe device "nvme" (io_uring passthrough, past the block layer)
 * and "nvme-poll" (the same on a polled queue: it burns a CPU while a write is out); "none" when the log is open read-only.
 * `why` (may be NULL) gets the reason in plain words: named in the options, the default, a measurement, or what forbids the
 * better ones; valid until dwal_close. options.backend names one; if it cannot be had here, open answers DWAL_EUNSUPPORTED
 * and says what forbids it. An open that names none takes the next best and says so by an event. */
const char *dwal_backend(const dwal *log, const char **why);

/* An eventfd that becomes readable when the durable lsn advances (or the log fails). Owned by the log: poll and read it,
 * do not close it. Made at the first call. *fd is valid until dwal_close. DWAL_EREADONLY: use dwal_wait. DWAL_EARGUMENT;
 * DWAL_EDEVICE, DWAL_EMEMORY: the system gave none. */
int dwal_eventfd(dwal *log, int *fd);

/* Drop everything before `before` (at most dwal_durable()). The trim point is durable when this returns 0; volumes wholly
 * before it are recycled later, in the background while the log is open, when no reader has them pinned. Trimming to a smaller
 * lsn than before does nothing. Blocks for a write of the superblock. DWAL_EARGUMENT (beyond what is durable), DWAL_EREADONLY,
 * DWAL_EFAILED; the log stops when the superblock cannot be written: the code of that. */
int dwal_trim(dwal *log, uint64_t before);

/* ---- reading -------------------------------------------------------------------------------------------------------*/

struct dwal_record {
    uint64_t lsn;
    uint64_t end;
    uint32_t volume; /* in which it starts */
    uint32_t metadata_size;
    uint32_t data_size;
    uint16_t user;
    uint8_t type;         /* 1: entry */
    bool more_of_batch;   /* the next record belongs to the same batch */
    const void *metadata; /* dwal_cursor_*: valid until the next call on the cursor; NULL when not read */
    const void *data;     /* likewise */
};

/* Read one durable record by its lsn into the caller's buffer: metadata, then data, right behind one another; record
 * points into `buffer`. DWAL_EBUFFER: record->metadata_size and data_size tell what is needed. DWAL_ENOTFOUND,
 * DWAL_ETRIMMED, DWAL_EEND (not durable yet), DWAL_ECORRUPT, DWAL_EDEVICE. Recent entries come from memory. */
int dwal_read(dwal *log, uint64_t lsn, void *buffer, size_t size, struct dwal_record *record);

/* Of each record from the first that starts at or after `from` on: is it the one? Metadata has been read and checked, data
 * has not. Must not call back into the log. */
typedef bool dwal_match_fn(void *context, const struct dwal_record *record);
/* Read the data (alone: `match` has seen the metadata) of the first record with from <= lsn < before for which `match`
 * answers true into `buffer`: for those who know about where it is. With before = from + 1 only the record at `from` is looked
 * at. Reads one block of the device at first, and more at a time the further it goes. DWAL_EBUFFER: record->data_size tells what
 * is needed. DWAL_ENOTFOUND: there is none before `before`; DWAL_EEND: nor before what is durable; else as dwal_read. */
int dwal_read_match(dwal *log, uint64_t from, uint64_t before, dwal_match_fn *match, void *context, void *buffer,
                    size_t size, struct dwal_record *record);

/* A cursor that stands before the first record that starts at or after `lsn` (0: the oldest). It pins what it reads:
 * the volume it stands in is not recycled under it. Never blocks the writer. One that has read forwards for 2 MiB starts
 * a thread and takes 3 MiB of memory to read ahead, until it is closed. *cursor is yours until dwal_cursor_close, which comes
 * before dwal_close. DWAL_EARGUMENT, DWAL_EMEMORY, else as dwal_cursor_next. */
int dwal_cursor_open(dwal *log, uint64_t lsn, dwal_cursor **cursor);
/* The next durable record, with metadata and data. DWAL_EEND when there is none yet; call again later, or dwal_wait. May read
 * the device. DWAL_ECORRUPT, DWAL_ELOST: what was durable is not there; DWAL_ETRIMMED: trimmed away before it was pinned;
 * DWAL_EDEVICE, DWAL_EPERMISSION, DWAL_EMEMORY. */
int dwal_cursor_next(dwal_cursor *cursor, struct dwal_record *record);
/* The next record with its metadata only. Data that is then skipped is not read from the device. As dwal_cursor_next. */
int dwal_cursor_next_metadata(dwal_cursor *cursor, struct dwal_record *record);
/* The data of the record that dwal_cursor_next_metadata gave, into the same `record`. DWAL_EARGUMENT: another record; else as
 * dwal_cursor_next. */
int dwal_cursor_data(dwal_cursor *cursor, struct dwal_record *record);
void dwal_cursor_close(dwal_cursor *cursor); /* NULL is fine */

/* Wait until the durable lsn is above `beyond` (of a read-only log: until more can be read). DWAL_ETIMEOUT;
 * DWAL_EFAILED: the log stopped; DWAL_EARGUMENT; of a read-only log also as dwal_cursor_next. */
int dwal_wait(dwal *log, uint64_t beyond, uint64_t timeout_ns);

/* ---- volumes -------------------------------------------------------------------------------------------------------*/

/* What is known of a volume without reading it. */
struct dwal_volume {
    size_t size; /* set to sizeof(struct dwal_volume) before the call */
    uint32_t number;
    bool is_full;    /* it has its final table of contents: nothing more is written into it */
    bool is_counted; /* first, last, entries and times are known: it is full, or it is the newest and was closed clean
                            * (then they are of that close) */
    uint32_t table_length; /* bytes that the table callback wrote; 0: none */
    uint64_t begin,
        end; /* its content: begin <= lsn < end; end is UINT64_MAX while no volume follows (one that is claimed
                            * ahead and still empty follows too) */
    uint64_t first, last;  /* lsns of the first and the last record that start in it; both are `end` when none does */
    uint64_t entries;      /* that start in it */
    uint32_t payload_size; /* P: payload bytes of a block; the block of an lsn is lsn / P */
    uint32_t data_blocks;  /* D: blocks of a volume; it begins at lsn number * D * P */
    uint64_t time_first, time_last; /* nanoseconds since 1970 when its first and last block were written */
};
/* The first volume of the log with a number at or above `number`. DWAL_EEND: there is none. Never blocks on the device. */
int dwal_volume_from(dwal *log, uint32_t number, struct dwal_volume *volume);
/* Copy bytes from..from+size of what the table callback wrote for volume `number` into `buffer`; *length (may be NULL) gets the
 * length of the whole. From memory as far as `table_keep` goes, else by one device read that checks the whole.
 * DWAL_ENOTFOUND: it has no table (yet); DWAL_ETRIMMED, DWAL_ECORRUPT, DWAL_EDEVICE, DWAL_EMEMORY. */
int dwal_volume_table(dwal *log, uint32_t number, uint32_t from, void *buffer, size_t size, uint32_t *length);

/* ---- statistics ----------------------------------------------------------------------------------------------------*/

/* A log-linear histogram of nanoseconds: 64 counts per power of two, so a value is told to within 1.6 %. */
enum { DWAL_HISTOGRAM_BUCKETS = 64 * 32 };
struct dwal_histogram {
    uint64_t count, sum, max;
    uint64_t buckets[DWAL_HISTOGRAM_BUCKETS];
};
uint64_t dwal_histogram_percentile(const struct dwal_histogram *histogram, double percent); /* e.g. 99.9 */

enum dwal_stage {
    DWAL_STAGE_RESERVE_WAIT, /* append waited for ring room */
    DWAL_STAGE_PUBLISH_GAP,  /* the flusher waited for an appender that had reserved and not yet copied */
    DWAL_STAGE_QUEUE_WAIT,   /* from the request for durability to the start of the write that covers it */
    DWAL_STAGE_SUBMIT,       /* handing the write to the kernel (asynchronous backends) */
    DWAL_STAGE_DEVICE,       /* the write itself */
    DWAL_STAGE_WAKE,         /* from the durable lsn's advance to the waiter's return */
    DWAL_STAGE_COMMIT,       /* whole commit, as the caller saw it */
    DWAL_STAGE_COUNT
};
const char *dwal_stage_name(enum dwal_stage stage); /* for people; static text */

struct dwal_stats {
    size_t size; /* set to sizeof(struct dwal_stats) before the call */
    uint64_t appends, batches, commits, syncs;
    uint64_t payload_bytes; /* record bytes appended */
    uint64_t written_bytes; /* block bytes written, padding and markers included */
    uint64_t writes;        /* durable writes */
    uint64_t blocks, padded_blocks, markers;
    uint64_t lone_commits; /* commits whose caller wrote itself */
    uint64_t reserve_waits, publish_gaps, space_waits;
    uint64_t wakes; /* futex calls that woke somebody */
    uint64_t volumes_claimed, volumes_recycled, volumes_unlinked, blanks_made, tocs_written;
    uint64_t stalls; /* writes that took longer than stall_report_ms */
    uint64_t ring_reads, device_reads, device_read_bytes;
    uint64_t memory_bytes; /* held by this process for dwal now; see dwal_memory_bound */
    struct dwal_histogram stages[DWAL_STAGE_COUNT];
};
/* A copy of the counters; each is exact, together they are not of one instant. Never blocks. DWAL_EARGUMENT: stats->size. */
int dwal_get_stats(dwal *log, struct dwal_stats *stats);

/* The most memory that a log holds between open and close, in bytes, stacks of its two threads aside:
 *     ring_size * 65/64  +  2 * toc_length + table_keep  +  volumes * (1 KiB + table_keep)  +  10 MiB
 * without the ring's part when it is open read-only; and for each open cursor, and each of at most 4 reads that are kept ready
 * for dwal_read, 4 MiB and twice the longest entry that it has read. `options`: as given to dwal_open, with toc_length as the log was
 * created with; NULL: the defaults. `volumes`: the most volumes, blanks included, that the log will have; on a device its slots.
 * From open to close nothing is allocated by appends, commits and trims, nor by the maker while the number of volumes
 * stays below a multiple of 64. Of a process with several logs the sum counts in stats.memory_bytes. UINT64_MAX: such options
 * are refused. */
uint64_t dwal_memory_bound(const struct dwal_options *options, uint64_t volumes);

#ifdef __GNUC__
#pragma GCC visibility pop
#endif
#ifdef __cplusplus
}
#endif
#endif
