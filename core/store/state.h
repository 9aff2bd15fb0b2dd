/* state.h - what is inside a `struct dw_store`, and what the files of core/store ask of each other. Private to the room.
 *
 * Who may touch what:
 *   rows, pins, files of rows, blanks, strangers ...... under `mutex`
 *   superblock (the mutable fields), its buffer ....... under `superblock_mutex`, taken before `mutex`, never after
 *   head, next, space, full, flags .................... atomics, each with its pairing tag
 *   making, work, full_list, names of files ........... the maker's side: settle, then the maker's thread, then close
 * Settle, load, refresh and close are alone by contract. No hook is called under a mutex. */
#ifndef DW_CORE_STORE_STATE_H
#define DW_CORE_STORE_STATE_H

#include <errno.h>
#include <pthread.h>
#include <stdalign.h>
#include <stdatomic.h>

#include "alloc/alloc.h"
#include "alloc/pool.h"
#include "base/assert.h"
#include "core/base/error.h"
#include "core/base/event.h"
#include "core/store/places.h"
#include "core/store/store.h"

#define DW_OPEN_FILES_MAX  16u          /* files of volumes kept open though nobody has them pinned */
#define DW_ROWS_AT_ONCE    64u          /* volumes for which memory is got in one piece */
#define DW_TABLES_AT_ONCE  (64u << 10)  /* bytes of kept tables, likewise */
#define DW_FILL_CHUNK      (1u << 20)   /* bytes of a blank that one step writes */
#define DW_FILL_CHUNK_BUSY (64u << 10)  /* the same beside commits: what one of them may have to wait for */
#define DW_FILL_CHUNK_LATE (256u << 10) /* when the log uses up blanks faster than the pace: fewer, longer pieces */
#define DW_FILL_LOOK_NS    UINT64_C(10000000)  /* however slow the pace: so often is looked whether it is too slow */
#define DW_FILL_IDLE_NS    UINT64_C(20000000)  /* no commit for so long: fill as fast as it goes */
#define DW_STRANGERS_MAX   64u                 /* names kept; more are only warned about */
#define DW_SPACE_RETRY_NS  UINT64_C(100000000) /* after a blank could not be made */
#define DW_RETIRE_RETRY_NS UINT64_C(100000000) /* after a reader elsewhere had the volume pinned */
#define DW_CLAIM_RETRY_NS  UINT64_C(10000000)  /* after every blank was still pinned by late readers */

enum dw_row_state {
    DW_ROW_SETTLED,   /* nothing is owed to it by the maker, or nobody judged it yet (before settle) */
    DW_ROW_ACTIVE,    /* head or next */
    DW_ROW_FULL,      /* left behind by the flusher, waits for its TOC */
    DW_ROW_ABANDONED, /* recovery dropped it: becomes a blank */
    DW_ROW_RETIRING,  /* being taken away: cannot be pinned any more */
};

struct dw_row {
    struct dw_volume volume; /* first: a row is its volume */
    struct dw_place place;
    enum dw_row_state state;
    bool is_in_chain;
    bool is_held;     /* the file belongs to the writing side: the cache of open files leaves it alone */
    bool is_writable; /* the file was opened for writing and carries the writer's lock */
    bool is_pin_locked;
    bool is_proven;     /* ... and since then its header was read and is still that volume's */
    bool is_seen;       /* by the listing that is going on */
    int fetch_error;    /* -errno that ends the load: not a fact about the volume */
    uint64_t end_known; /* where it ends, when its successor went away before it; else UINT64_MAX */
    uint64_t used_at;
    uint64_t retry_ns;        /* do not try to retire it before */
    uint64_t wiped;           /* bytes of it that were overwritten before it goes */
    struct dw_row *next_full; /* link of the list of full volumes */
};

/* One blank on its way. */
struct dw_making {
    struct dw_file *file; /* NULL: none is being made */
    struct dw_place place;
    uint64_t filled;                /* bytes written so far */
    uint64_t not_before_ns;         /* pace */
    uint64_t seen_durable, busy_ns; /* how far the log was durable when last looked at, and when that last moved */
    uint64_t retry_ns;              /* is_blocked: when to try again */
    bool is_blocked;                /* the last try met no space */
};

/* A volume that is overwritten before it goes, a piece at a time. */
struct dw_wiping {
    struct dw_row *row;     /* NULL: none */
    uint64_t not_before_ns; /* pace */
};

struct dw_store {
    struct dw_disk *disk;
    struct dw_places *places;
    struct dw_store_options options;
    struct dw_arena *arena;
    bool is_loaded;
    bool is_locked;     /* we are the writer */
    bool is_settled;    /* we may write */
    bool has_leftovers; /* the last list of names showed temporaries of a crashed writer */

    pthread_mutex_t superblock_mutex;
    struct dw_superblock_info superblock; /* identity and geometry never change after load */
    uint32_t superblock_copies;
    void *superblock_block; /* one block of memory for I/O; like all of that kind from the arena */

    pthread_mutex_t mutex;
    struct dw_row **rows; /* rising by number */
    size_t row_count, row_capacity;
    struct dw_pool row_pool;   /* volumes come and go: no allocation while their number stays */
    struct dw_pool table_pool; /* options.table_keep: their tables' beginnings; empty without */
    struct dw_row *spare_row;  /* for the next dw_table_add, or NULL */
    struct dw_place *blanks;
    uint32_t blank_count;
    char **strangers;
    size_t stranger_count;
    uint64_t tick; /* of the cache of open files */
    uint32_t open_count;

    /* the maker's side */
    struct dw_making making;
    struct dw_wiping wiping;
    uint8_t *work; /* memory for I/O: TOC area, two blocks, the caller's table */
    size_t work_size;
    uint8_t *zeros; /* DW_FILL_CHUNK */
    struct dw_row *full_list;
    uint32_t last_number; /* last claimed volume */
    uint32_t seen_head;   /* when last looked at, since when it is that one, and until when it is left alone */
    uint64_t seen_head_ns, quiet_until_ns;
    uint64_t claim_retry_ns;
    bool is_claim_blocked; /* the last claim met a shortage */

    atomic_bool is_retire_due; /* set: trim, unpin; cleared: maker. acquire/release; pairs: STORE-RETIRE */
    atomic_bool is_failed;     /* set once: any; read: any. pairs: STORE-FAILED */
    atomic_bool is_exhausted;  /* maker -> appenders. pairs: STORE-EXHAUSTED */
    atomic_uint_fast64_t read_count;
    atomic_uint_fast64_t claimed, recycled, unlinked, blanks_made, tocs_written; /* counters: relaxed */

    /* Read by every append, written once per volume: a line of its own. */
    alignas(DW_CACHE_LINE) _Atomic uint64_t space; /* maker -> appenders; only grows. release; pairs: STORE-SPACE */
    atomic_bool is_out_of_space;                   /* maker -> appenders. pairs: STORE-OUT */
    _Atomic uint64_t demand; /* appenders raise it, the maker forgets it when out of space. pairs: STORE-DEMAND */
    _Atomic uint64_t trim;   /* trim -> any. pairs: STORE-TRIM */

    /* Written once per volume by flusher and maker. */
    alignas(DW_CACHE_LINE) struct dw_row *_Atomic head; /* flusher -> any. release; pairs: STORE-HEAD */
    struct dw_row *_Atomic next; /* maker sets, flusher clears. release; pairs: STORE-NEXT, STORE-TAKEN */
    struct dw_row *_Atomic full; /* stack: flusher pushes, maker takes all. release; pairs: STORE-FULL */

    /* Written by whoever has news for the maker. */
    alignas(DW_CACHE_LINE) struct dw_event wake_event;
    atomic_bool is_wake_due;     /* any -> maker, cleared when a step begins. pairs: STORE-WAKE */
    atomic_bool is_crossing_due; /* flusher -> maker, who clears it. pairs: STORE-CROSSING */
};

static inline struct dw_row *dw_row_of(struct dw_volume *volume)
{
    return (struct dw_row *)(void *)volume;
}
static inline const struct dw_geometry *dw_store_geometry(const struct dw_store *store)
{
    return &store->superblock.geometry;
}
/* Parts of the maker's work memory. */
static inline uint8_t *dw_work_area(const struct dw_store *store)
{
    return store->work;
}
static inline uint8_t *dw_work_blocks(const struct dw_store *store)
{
    return store->work + dw_toc_area_size(dw_store_geometry(store));
}
static inline uint8_t *dw_work_table(const struct dw_store *store)
{
    return dw_work_blocks(store) + (size_t)2 * dw_store_geometry(store)->block_size;
}
static inline uint64_t dw_store_now(const struct dw_store *store)
{
    return store->options.clock->monotonic_ns(store->options.clock->context);
}
static inline uint64_t dw_store_realtime(const struct dw_store *store)
{
    return store->options.clock->realtime_ns(store->options.clock->context);
}

/* ---- store.c ---- */
/* An empty store on `disk`. NULL: no memory. */
struct dw_store *dw_store_new(struct dw_disk *disk, const struct dw_store_options *options);
/* Memory that depends on the geometry. -> DWAL_EMEMORY. */
DW_NODISCARD int dw_store_allocate_work(struct dw_store *store);
/* This thread's last error is the first cause: nothing is written any more; tells `on_failure` once. Returns `code`. */
int dw_store_stop(struct dw_store *store, int code);
bool dw_store_is_stopped(struct dw_store *store);
void dw_store_tell(struct dw_store *store, enum dwal_event_level level, const char *format, ...) DW_PRINTF(3, 4);
uint64_t dw_store_durable_block(struct dw_store *store);
/* The places failed with -errno `result`: say what they explain, or else what the caller says. Returns the code. */
DW_COLD int dw_store_fail_places(struct dw_store *store, int result, const char *format, ...) DW_PRINTF(3, 4);

/* ---- superblock.c ---- */
/* Find the newest of the four copies. DWAL codes as dw_store_load. The file is open. */
DW_NODISCARD int dw_superblock_load(struct dw_store *store);
/* Write `info` with the next sequence into the slot that does not hold the current one, first copy, then second, and
 * make it the current one. Pre: superblock_mutex is held. */
DW_NODISCARD int dw_superblock_write(struct dw_store *store, struct dw_superblock_info *info);

/* ---- table.c: all under `mutex` ---- */
struct dw_row *dw_table_find(const struct dw_store *store, uint32_t number);
size_t dw_table_lower_bound(const struct dw_store *store, uint32_t number);
/* Make sure that the next dw_table_add finds memory. false: there is none. */
DW_NODISCARD bool dw_table_reserve(struct dw_store *store);
/* A new row in its order; the file is not open. NULL: no memory. */
struct dw_row *dw_table_add(struct dw_store *store, uint32_t number, const struct dw_place *place);
void dw_table_remove(struct dw_store *store, struct dw_row *row); /* closes its file and frees it */
void dw_table_clear(struct dw_store *store);
/* Find out which rows are part of the log by following predecessors back from the newest. */
void dw_table_link(struct dw_store *store);
bool dw_row_is_sound(const struct dw_row *row); /* its header can be believed */
struct dw_row *dw_table_successor(const struct dw_store *store, uint32_t number);
/* Where `number` ends, as its successor's header says. */
uint64_t dw_table_end_by(const struct dw_store *store, uint32_t number, const struct dw_row *successor);
uint64_t dw_table_end(const struct dw_store *store, const struct dw_row *row); /* UINT64_MAX: not known yet */

/* ---- blank.c ---- */
void dw_blanks_push(struct dw_store *store, const struct dw_place *place); /* under `mutex` */
void dw_blanks_drop_at(struct dw_store *store, uint32_t index);            /* under `mutex` */
/* One bounded piece of making a blank. 0 or -errno (nothing is left behind); *is_made: there is one more. */
DW_NODISCARD int dw_blank_make(struct dw_store *store, size_t chunk, bool *is_made);
/* Forget the unfinished one and remove its file. */
DW_NODISCARD int dw_blank_unmake(struct dw_store *store);
static inline bool dw_is_no_space(int result)
{
    return result == -ENOSPC || result == -EDQUOT || result == -EFBIG;
}
static inline bool dw_is_shortage(int result) /* of this process or of the disk: may heal, no failure of the log */
{
    return dw_is_no_space(result) || result == -ENOMEM || result == -EMFILE || result == -ENFILE;
}

/* ---- claim.c ---- */
/* Turn a blank into volume `info->number`: header and copy, name, all durable. The row is in the table, its file open and
 * locked; the superblock does not know it yet. 0 with *row NULL: there is no blank that could be had. An error with
 * is_claim_blocked set is a shortage that may heal; the blank still is one. */
DW_NODISCARD int dw_claim_volume(struct dw_store *store, const struct dw_volume_info *info, struct dw_row **row);
/* Open a row's file for writing with the writer's lock (again, when it was open for reading). */
DW_NODISCARD int dw_row_open_writable(struct dw_store *store, struct dw_row *row);
void dw_row_reset_content(struct dw_row *row); /* nothing was written into it yet */
/* Publish a claimed row as next, raise the space; or the space alone, when there is a next one already. */
void dw_claim_publish(struct dw_store *store, struct dw_row *row);
void dw_claim_publish_space(struct dw_store *store, const struct dw_row *row);

/* ---- toc.c ---- */
/* Ask the caller's table (unless OPEN), complete *info, write it durably. `info`: all but table_length and watermark. */
DW_NODISCARD int dw_toc_write(struct dw_store *store, struct dw_row *row, struct dw_toc_info *info, uint64_t watermark);
/* The TOC of a volume that was filled to its end. */
DW_NODISCARD int dw_toc_write_full(struct dw_store *store, struct dw_row *row);
/* The TOC of the head at a clean close; nothing when nothing was written into it. */
DW_NODISCARD int dw_toc_write_open(struct dw_store *store, struct dw_row *row, uint64_t end);
/* Oldest volume that waits for its TOC, or NULL. */
struct dw_row *dw_toc_waiting(struct dw_store *store);
DW_NODISCARD int dw_toc_write_waiting(struct dw_store *store, struct dw_row *row);

/* ---- tables.c ---- */
/* Keep the beginning of a row's table in memory, as options.table_keep says; no memory for it: it is not kept. `row` belongs
 * to the caller alone, or the caller holds `mutex`. */
void dw_table_keep(struct dw_store *store, struct dw_row *row, const void *table, uint32_t length);
void dw_table_forget(struct dw_store *store, struct dw_row *row);

/* ---- retire.c ---- */
/* Take a row out of use: blank or unlink; the row is gone then. *is_retired false: somebody has it pinned. */
DW_NODISCARD int dw_retire_row(struct dw_store *store, struct dw_row *row, bool *is_retired);
/* One volume that trim or recovery freed. *is_worked: something was done; *wait_ns is lowered when one must wait. */
DW_NODISCARD int dw_retire_step(struct dw_store *store, bool *is_worked, uint64_t *wait_ns);

/* ---- fetch.c ---- */
/* A read that is counted. */
DW_NODISCARD int dw_load_read(struct dw_store *store, struct dw_file *file, void *bytes, size_t size, uint64_t offset,
                              size_t *done);
/* Read and judge header and TOC of every row that is seen and not yet fully known. */
DW_NODISCARD int dw_fetch_rows(struct dw_store *store);

/* ---- load.c ---- */
/* Superblock, names and rows anew. */
DW_NODISCARD int dw_load_all(struct dw_store *store);

/* ---- create.c ---- */
/* True when the places hold nothing but an empty volume 0: a creation that was interrupted before its superblock. */
DW_NODISCARD int dw_create_is_unfinished(struct dw_places *places, bool *is_unfinished);

/* ---- pin.c: the cache of open files, under `mutex` ---- */
DW_NODISCARD int dw_row_open(struct dw_store *store, struct dw_row *row); /* for reading, if it is not open. -errno */
void dw_row_shut(struct dw_store *store, struct dw_row *row);             /* if it is open */
/* The writing side is done with it: drop the writer's lock, keep it open only while pinned. */
void dw_row_let_go(struct dw_store *store, struct dw_row *row);

#endif
