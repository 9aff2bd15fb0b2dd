/* store.h - the set of volumes of one log: which exist, which is written, which come next, which go away.
 *
 * Owns: the superblock, the table of volumes, the blanks, the TOCs. The place where volumes live is a directory
 * (core/store/directory.c); a raw device gets the same contract.
 * Called by: open and close (one thread); the flusher (head, next, advance: lock-free, no system call); the maker's
 * thread (dw_store_step); readers and trim (any thread, under the store's mutex, never on the commit path).
 *
 * Happy path: load -> recover (core/read, reads only) -> settle -> the maker keeps `blanks` blanks and one claimed
 * volume ahead -> the flusher advances into it -> the maker writes the TOC of the one left behind -> trim -> retire ->
 * recycle into a blank.
 * Failure: no space is met by the maker (dw_store_space tells the appenders); any other failed write or sync of the
 * store is handed to `on_failure` and the log stops.
 * Closing: dw_store_close writes the TOC of the head with DW_TOC_OPEN and the superblock CLEAN when asked to. */
#ifndef DW_CORE_STORE_STORE_H
#define DW_CORE_STORE_STORE_H

#include <dwal/device.h>
#include <dwal/dwal.h>
#include <dwal/inspect.h>
#include <stdatomic.h>

#include "core/format/codec.h"
#include "core/store/places.h"
#include "io/io.h"

/* One volume in use. Rows live from load or claim until they are retired; the pointer stays valid while pinned. */
struct dw_volume {
    uint32_t number;
    char name[32];        /* file name, "0000000007.vol" */
    uint64_t base;        /* byte of the file at which the volume starts (0 in a directory) */
    struct dw_file *file; /* open while head, next, or pinned; else NULL */
    uint64_t file_size;   /* as found at load */

    enum dw_decoded header_verdict; /* of the better copy */
    bool is_header_doubled;         /* both copies are sound and alike */
    struct dw_volume_info header;   /* valid when the verdict is OK or BAD_TAG */
    enum dw_decoded toc_verdict;    /* BAD_MAGIC: none was ever written */
    struct dw_toc_info toc;         /* valid when OK or BAD_TAG */
    int read_error;                 /* -errno if header or TOC could not be read */

    /* Gathered by the flusher while it fills this volume (or by recovery for the tail it continues); read by the maker
     * after dw_store_advance (or at close). */
    uint64_t first_lsn;        /* first record that starts here; DWAL_NO_LSN: none */
    uint64_t last_start_block; /* last block in which a record starts; DWAL_NO_LSN: none */
    uint64_t entry_count;
    uint64_t time_first, time_last;
    bool is_spilling; /* the content runs on into the next volume in the middle of a record */

    uint8_t *table; /* the beginning of the caller's table, as far as it is kept; NULL: not */
    uint32_t table_kept;

    uint32_t pins;  /* readers of this process; under the store's mutex */
    bool is_sealed; /* has its final TOC */
};

struct dw_store;

/* What the store needs from the rest of the log. All may be called from the maker's thread. */
struct dw_store_hooks {
    void *context;
    uint64_t (*durable_block)(void *context); /* first block not known durable: the watermark */
    void (*on_space)(void *context);          /* dw_store_space changed */
    void (*on_failure)(void *context, const struct dwal_error *error); /* a write or sync of the store failed */
    void (*on_event)(void *context, enum dwal_event_level level, const char *text);
    dwal_table_fn *table; /* the caller's, or NULL */
    void *table_context;
};

#define DW_LOAD_THREADS 16u /* keep a device busy: a load of 256 volumes takes a fifth of the time of one thread */
struct dw_store_options {
    bool is_read_only;
    uint32_t in_flight_blocks;      /* L of this writer */
    uint64_t fill_bytes_per_second; /* the fastest while commits run; 0: as fast as it goes */
    uint64_t crossing_ns; /* so long, at most, the maker leaves the device to the commits that begin a volume; or 0 */
    bool keep_retired;
    bool is_wiping;      /* overwrite a volume before it becomes a blank or nothing */
    uint32_t table_keep; /* bytes of each caller's table to keep in memory */
    uint32_t
        load_threads; /* that may read headers and TOCs beside one another at load; 0 or 1: the calling one alone */
    bool is_reading_plainly; /* ... without io_uring, by those threads */
    const struct dw_clock *clock;
    struct dw_arena *arena; /* for all memory of I/O; outlives the store. NULL: the store makes one of its own */
    struct dw_store_hooks hooks;
};
#define DW_STORE_MEMORY_MAX ((size_t)64 << 20) /* what a store takes from its arena at most */

/* ---- making a log ---- */
struct dw_store_create {
    struct dw_geometry geometry;
    uint32_t magic_number, blanks, fill_mode, in_flight_blocks;
    uint8_t log_id[16]; /* random, from the caller */
    uint32_t tag_key;   /* random with bit 31 set, from the caller */
    uint64_t quota;     /* of a device: bytes that the log may have at most; 0: no limit of its own */
    bool is_forced;     /* of a device: format it anew, whatever it holds */
};
/* Make volume 0, sync the names, then write the superblock (all four copies): before that the directory is no log.
 * A crash leaves left-overs (temporaries, blanks) that the next create removes. -> DWAL_EEXIST when a superblock or any
 * volume file is there. Errors are dwal codes (set in dwal_last_error). */
DW_NODISCARD int dw_store_create(struct dw_disk *disk, const struct dw_store_create *what,
                                 const struct dw_clock *clock);

/* What a device says of itself. Reads its superblock only. */
struct dw_store_device {
    bool is_dwal;       /* formatted by dwal: what follows holds */
    uint64_t slot_size; /* the volume size of every log on it */
    uint32_t block_size;
};
DW_NODISCARD int dw_store_look_at_device(struct dw_disk *disk, struct dw_store_device *found);
/* Take the log called disk->part off the device; its slots are free then. DWAL_EBUSY: it has a writer. */
DW_NODISCARD int dw_store_remove_from_device(struct dw_disk *disk);
/* One structure of the device itself: a copy of its superblock, or what a slot's headers say. */
struct dw_store_device_item {
    bool is_slot;
    uint64_t offset, size;
    bool is_sound;
    char text[600];
};
typedef void dw_store_device_item_fn(void *context, const struct dw_store_device_item *item);
DW_NODISCARD int dw_store_list_device(struct dw_disk *disk, dw_store_device_item_fn *fn, void *context);
/* All of it: who has which slots. Reads the superblock and the headers of all slots that were ever used. */
DW_NODISCARD int dw_store_survey_device(struct dw_disk *disk, struct dwal_device *device, dwal_device_log_fn *fn,
                                        void *context);

/* ---- load: reads only, writes nothing, removes nothing ----
 * Reads the superblock's copies, lists the names, reads header (both copies at once) and TOC of each volume: two reads a
 * volume, and four for the superblock. Damage does not fail it: rows carry verdicts for recovery to judge. For a writer it
 * tries (once) to get the superblock's lock before it reads anything; not getting it is no error here, see dw_store_lock.
 * DWAL_ENOLOG: no superblock file and no volume, or only an empty volume 0 (an interrupted creation). DWAL_ELOST: volumes
 * but no superblock file. DWAL_ECORRUPT: no sound
 * copy of the superblock. DWAL_EFOREIGN, DWAL_EVERSION (newer version or an unknown incompatible bit; an unknown
 * ro-compat bit when not read-only), DWAL_EDEVICE, DWAL_EMEMORY. */
DW_NODISCARD int dw_store_load(struct dw_disk *disk, const struct dw_store_options *options, struct dw_store **store);

/* Make sure of the writer's lock on the superblock, and take it on every volume that may still be written (from the
 * superblock's head on); retries for 250 ms. DWAL_EBUSY. Not for read-only stores. Call right after load. When it had to wait
 * for another writer it loads everything again: rows from before are gone. */
DW_NODISCARD int dw_store_lock(struct dw_store *store);
/* Is there a live writer (for read-only stores)? */
bool dw_store_has_writer(struct dw_store *store);
/* Read-only stores: look at superblock and names again. Rows of volumes that went away and are not pinned are dropped. */
DW_NODISCARD int dw_store_refresh(struct dw_store *store);

/* Identity and geometry may be read by any thread; the rest changes with claim, trim and refresh: for open and tools. */
const struct dw_superblock_info *dw_store_superblock(const struct dw_store *store);
/* Copies of the newest superblock that are sound, of those that should hold it (1 or 2): below 2 is REPAIRABLE. 0: both copies
 * of the other slot are destroyed, so it is not known whether this is the newest (only in read-only stores: for a writer
 * that is DWAL_ECORRUPT at load). */
uint32_t dw_store_superblock_copies(const struct dw_store *store);
struct dw_disk *dw_store_disk(const struct dw_store *store);
/* May readers start threads of their own? Not where everything is to happen in one, step by step. */
bool dw_store_may_start_threads(const struct dw_store *store);
/* Must they do without io_uring? */
bool dw_store_reads_plainly(const struct dw_store *store);
struct dw_arena *dw_store_arena(const struct dw_store *store);
/* Rows in rising order of number. Indexes are stable until claim, retire or refresh: for open, recovery and tools. */
size_t dw_store_volume_count(const struct dw_store *store);
struct dw_volume *dw_store_volume_at(const struct dw_store *store, size_t index);
struct dw_volume *dw_store_find(const struct dw_store *store, uint32_t number); /* NULL: none */
uint64_t dw_store_read_count(const struct dw_store *store); /* device reads so far, in calls (load and pins) */
/* A file in the directory that has a volume's or blank's shape of name but is none of ours, or is of the wrong size: 0..n. */
size_t dw_store_stranger_count(const struct dw_store *store);
const char *dw_store_stranger_at(const struct dw_store *store, size_t index);

/* ---- settle: make recovery's decision durable, in the order that DESIGN demands ---- */
struct dw_settle_toc { /* a full or cut volume without a final TOC */
    uint32_t number;
    struct dw_toc_info toc; /* all but table_length and watermark; flags CUT, SPILL as they apply */
};
struct dw_settlement {
    /* The row of blocks goes on either in the tail volume itself ... */
    bool is_continued; /* in `tail` at block `next_block`; or right behind it, in a volume that the maker will claim */
    uint32_t tail;     /* last volume with content; DW_VOLUME_NUMBER_NONE: no volume at all is in use */
    uint64_t next_block; /* is_continued: first block to write */
    /* ... or in a new volume whose header says that `tail` ends at `cut`. */
    uint64_t cut;
    uint32_t next_number; /* number for it: above every number claimed or seen */
    /* The tail as far as it is filled (is_continued): what the flusher would have gathered. */
    uint64_t tail_first_lsn, tail_last_start_block, tail_entry_count, tail_time_first, tail_time_last;
    const struct dw_settle_toc *tocs; /* rising order; the cut volume's is the last when not is_continued */
    size_t toc_count;
    const uint32_t *read_volumes; /* volumes of which unsynced content was read: synced first */
    size_t read_volume_count;
    const uint32_t *abandoned; /* volumes that are not part of the log: become blanks, after the superblock */
    size_t abandoned_count;
    uint64_t durable_block; /* watermark to record: first block not (yet) known durable */
};
/* 1 sync what was read; 2 write the TOCs (calling the table hook for each), remove left-over temporaries; 3 claim the new
 * volume (when not is_continued) with epoch+1; 4 superblock: epoch+1, OPEN, claimed, head; 5 abandoned volumes go.
 * A crash between any two leaves the same evidence. Afterwards head is set, and dw_store_space is the end of the last volume
 * claimed: is_continued keeps a sound volume that the last writer had claimed ahead (not in `abandoned`) as next. */
DW_NODISCARD int dw_store_settle(struct dw_store *store, const struct dw_settlement *settlement);

/* ---- the flusher's side: no lock, no system call ---- */
struct dw_volume *dw_store_head(struct dw_store *store); /* the volume being filled */
struct dw_volume *dw_store_next(struct dw_store *store); /* the claimed one, or NULL */
/* The head is full and all its blocks are durable: next becomes head; the old one waits for its TOC. Pre: next != NULL.
 * Wakes the maker (one futex call at most). Split in two so that blocks of both volumes may be in flight: the flusher may
 * write into `next` before it calls this. */
void dw_store_advance(struct dw_store *store);
/* The head is full after the write that is about to begin, or after one more: then `next` is written to. The maker meanwhile
 * does what that file's first write would have to do besides. Wakes the maker (one futex call at most). */
void dw_store_foresee(struct dw_store *store);
/* lsn at which the last claimed volume ends: nothing may be reserved at or beyond it. Acquire. */
uint64_t dw_store_space(const struct dw_store *store);
/* An appender needs space up to lsn `end` (an entry larger than what is claimed ahead): the maker claims volumes until
 * dw_store_space() >= end. Any thread; wakes the maker when it asks for more than before. */
void dw_store_demand(struct dw_store *store, uint64_t end);
/* True when the maker tried to go on and could not: appends answer DWAL_ENOSPACE instead of waiting. */
bool dw_store_is_out_of_space(const struct dw_store *store);
/* Volume numbers are used up: appends answer DWAL_EEXHAUSTED. */
bool dw_store_is_exhausted(const struct dw_store *store);

/* ---- the maker ---- */
enum dw_step { DW_STEP_WORKED, DW_STEP_IDLE };
/* One bounded piece of work, by urgency: claim the next volume; write a waiting TOC; retire what trim freed; fill one
 * chunk of a blank. Tells in *wait_ns how long to sleep before the next step unless woken (0: at once; UINT64_MAX: until
 * woken). Called by one thread at a time. */
enum dw_step dw_store_step(struct dw_store *store, uint64_t *wait_ns);
/* Sleep until woken or `wait_ns` passed; wake the maker (any thread). */
void dw_store_maker_sleep(struct dw_store *store, uint64_t wait_ns);
void dw_store_maker_wake(struct dw_store *store);

/* ---- readers and trim: any thread ---- */
/* Pin a volume: opens its file if need be, keeps it from being retired. DWAL_ETRIMMED / DWAL_ENOTFOUND when it is not there.
 * In a read-only store also takes the shared PIN lock and checks that the file still is that volume. */
DW_NODISCARD int dw_store_pin(struct dw_store *store, uint32_t number, struct dw_volume **volume);
/* The same for a reader that reads the volume's header itself, with what follows it: opened and locked, but not looked at. Nothing
 * of it counts before dw_store_prove. */
DW_NODISCARD int dw_store_pin_unread(struct dw_store *store, uint32_t number, struct dw_volume **volume);
/* `header`: its first DW_VOLUME_HEADER_BLOCKS blocks, read after that pin. false: it is not that volume any more; unpin it, and
 * dw_store_pin says what became of it. */
DW_NODISCARD bool dw_store_prove(struct dw_store *store, struct dw_volume *volume, const uint8_t *header);
void dw_store_unpin(struct dw_store *store, struct dw_volume *volume);
/* The volume that follows `number` in the chain (its header names `number` as predecessor and is part of the log), or
 * DW_VOLUME_NUMBER_NONE. *end: lsn at which `number` ends: its full end when it runs on, the cut, or UINT64_MAX when it has
 * no successor yet. NONE with an end below that: what followed was trimmed away while `number` was pinned. */
uint32_t dw_store_successor(struct dw_store *store, uint32_t number, uint64_t *end);
/* Smallest number in the chain at or above `number`, or NONE. */
uint32_t dw_store_first_from(struct dw_store *store, uint32_t number);
/* Move the trim point (durable superblock before it returns), then let the maker retire. */
DW_NODISCARD int dw_store_trim(struct dw_store *store, uint64_t before);
uint64_t dw_store_first(const struct dw_store *store); /* trim point */

/* ---- the caller's tables: any thread ---- */
/* What is known of the first volume of the chain with a number at or above `number`. DWAL_EEND. */
DW_NODISCARD int dw_store_describe(struct dw_store *store, uint32_t number, struct dwal_volume *volume);
/* See dwal_volume_table. */
DW_NODISCARD int dw_store_read_table(struct dw_store *store, uint32_t number, uint32_t from, void *buffer, size_t size,
                                     uint32_t *length);

/* A free slot of a device, for trial writes of zeros: taken, written between from and from + size of `file`, given back. For
 * open, after settle and before the maker runs. -EOPNOTSUPP: a directory; -ENOSPC, -EDQUOT: no slot is free. */
struct dw_store_trial {
    struct dw_file *file;
    uint64_t from, size;
    struct dw_place place;
};
DW_NODISCARD int dw_store_trial_begin(struct dw_store *store, struct dw_store_trial *trial);
DW_NODISCARD int dw_store_trial_end(struct dw_store *store, struct dw_store_trial *trial);

struct dw_store_counts {
    uint64_t claimed, recycled, unlinked, blanks_made, tocs_written;
    uint32_t blanks_ready;
};
void dw_store_get_counts(struct dw_store *store, struct dw_store_counts *counts);

/* `is_clean`: all is durable up to the end of `end_block` - 1 and `end` is the log's end: write the head's open TOC and the CLEAN
 * superblock. Then release everything. Returns the first error (dwal code). NULL is fine. */
int dw_store_close(struct dw_store *store, bool is_clean, uint64_t end);

#endif
