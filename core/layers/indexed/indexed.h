/* indexed.h - what an indexed log is made of: private to core/layers/indexed.
 *
 * The log beneath holds four kinds of records, told apart by the record's 16 user bits: ENTRY, VALUE (one change of a key),
 * STATE (bounds, codec and all values at that place of the log: a truncation is such a record) and INDEX (the index of the
 * newest volume, written at a clean close). Replaying them in order from any STATE on gives the log. Each volume's table of
 * contents holds its index: where its pieces begin, and how many entries start in each block.
 *
 * Who may touch what:
 *   writer (bounds as appended, places) ... under `write_mutex`, held over appends, and over the sync of what is no store
 *   lives and their pieces ................ written under `note_mutex` too; that one is never held over a call of the log
 *   the state (pieces that readers see) ... published by the writer, read without a lock; INDEXED-STATE, -PIECES, -LAST
 *   values ................................ under `values_mutex`; changed with write_mutex held too
 *   tables of old volumes ................. under `tables_mutex`, readers only
 * The table callback (the maker's thread) takes note_mutex alone, and waits a moment for an append that is being noted. */
#ifndef DW_CORE_LAYERS_INDEXED_INDEXED_H
#define DW_CORE_LAYERS_INDEXED_INDEXED_H

#include <dwal/indexed.h>
#include <pthread.h>
#include <stdatomic.h>

#include "base/assert.h"
#include "base/compiler.h"
#include "base/le.h"

/* ---- records ---- */
enum dw_indexed_kind { DW_INDEXED_ENTRY = 1, DW_INDEXED_VALUE = 2, DW_INDEXED_STATE = 3, DW_INDEXED_INDEX = 4 };

struct dw_indexed_entry_head {
    dw_le64 index;
};
_Static_assert(sizeof(struct dw_indexed_entry_head) == 8, "head of an entry");

struct dw_indexed_value_head { /* then the key, then the value, as data */
    dw_le32 key_size;
    dw_le32 is_deleted;
};
_Static_assert(sizeof(struct dw_indexed_value_head) == 8, "head of a value");

struct dw_indexed_state_head { /* then the values as data: key size, value size (32 bits each), key, value */
    dw_le64 first;             /* the log is empty when last < first */
    dw_le64 last;
    dw_le64 codec;
    dw_le64 index_lsn; /* of the newest INDEX record: at a close of the newest volume's, else see chain.c; 0: none */
    dw_le32 version;   /* 1 */
    dw_le32 zero;
};
_Static_assert(sizeof(struct dw_indexed_state_head) == 40, "head of a state");

struct dw_indexed_index_head { /* then the index as data */
    dw_le32 volume;
    dw_le32 zero;
    dw_le64 previous; /* lsn of another INDEX, of a volume that has no table; 0: none. See chain.c */
};
_Static_assert(sizeof(struct dw_indexed_index_head) == 16, "head of an index");

/* ---- the index of one volume, as bytes: the table of contents, or an INDEX record ---- */
#define DW_INDEXED_TABLE_MAGIC 0x54584944u /* "DIXT" */
#define DW_INDEXED_INCOMPLETE  1u          /* scan the volume: this is not all */

struct dw_indexed_table_head { /* then the pieces, then one count for each group of 2^shift blocks */
    dw_le32 magic;
    dw_le32 flags;
    dw_le32 volume;
    dw_le32 piece_count;
    dw_le32 entry_count; /* that start in the volume */
    dw_le32 next_block;  /* blocks from this one on have no entry's start (yet) */
    uint8_t shift;
    uint8_t width; /* bytes of a count: 1, 2 or 4 */
    uint8_t zero[2];
    dw_le32 group_count;
    dw_le64 state_lsn; /* of the last STATE that starts in the volume; 0: none */
};
_Static_assert(sizeof(struct dw_indexed_table_head) == 40, "head of a table");
struct dw_indexed_table_piece {
    dw_le64 first_index;
    dw_le64 start_lsn;
    dw_le32 ordinal;
    dw_le32 zero;
};
_Static_assert(sizeof(struct dw_indexed_table_piece) == 24, "piece of a table");
#define DW_INDEXED_KEEP 520u /* of each table in memory: the head and 20 pieces */

/* ---- in memory ---- */

/* A volume whose index is in memory whole: the one that is being written, those whose table is not durable yet, and those
 * that lost theirs in a crash. */
struct dw_live {
    _Atomic int64_t refs; /* pieces of states that name it, and the list of lives */
    struct dw_live *next; /* in the list, newest first */
    uint32_t volume, data_blocks;
    uint32_t entry_count;
    uint32_t next_block;
    uint64_t state_lsn;
    bool is_incomplete; /* its table cannot hold all */
    bool is_told;       /* the table callback has given all of it to the log */
    struct dw_indexed_table_piece *pieces;
    uint32_t piece_count, piece_capacity;
    /* Of each block: how many entries of the volume start before it, UINT32_MAX from next_block on. relaxed: whoever looks for
     * an index has seen `last` cover it (pairs: INDEXED-LAST). */
    _Atomic uint32_t ordinals[];
};

/* Entries with consecutive indexes, one behind another in one volume, up to where the next piece begins. */
struct dw_piece {
    uint64_t first_index;
    uint64_t start_lsn;
    uint32_t volume;
    uint32_t ordinal;     /* of its first entry among those of the volume */
    struct dw_live *live; /* NULL: ask the volume's table */
};

/* What readers see, from one truncation to the next: pieces rise by index and by lsn. */
struct dw_indexed_state {
    _Atomic int64_t refs; /* see state.c */
    uint64_t first;
    uint64_t epoch;         /* grows with every truncation */
    _Atomic uint64_t last;  /* writer -> readers: entries up to it are durable. release; pairs: INDEXED-LAST */
    _Atomic uint32_t count; /* writer -> readers. release; pairs: INDEXED-PIECES */
    uint32_t capacity;
    struct dw_piece pieces[];
};

struct dw_indexed_value {
    size_t key_size, value_size;
    uint8_t *bytes; /* key, then value */
};

/* The index of an old volume. */
struct dw_indexed_table {
    uint32_t volume, shift, group_count;
    uint32_t *ordinals; /* of each group: entries before it */
    uint64_t used_at;
};

/* Where the index of a volume without a table lies. */
struct dw_chain_link {
    uint32_t volume;
    uint64_t lsn;
};

struct dw_indexed_counts { /* relaxed: each exact, together of no one instant */
    _Atomic uint64_t appends, entries_written, bytes_written, entries_read, bytes_read, cached_reads, table_reads,
        volumes, volume_age_ns, front_truncations, back_truncations, entries_truncated_front, entries_truncated_back,
        value_gets, value_sets, records_scanned;
};

struct dwal_indexed {
    dwal *base; /* valid while the state is held, or write_mutex with !is_closed */
    struct dwal_indexed_options options;
    struct dwal_options base_options; /* as the user gave them: for the callbacks */
    bool is_read_only, is_single_stepped;
    uint64_t codec;
    uint32_t payload_size, data_blocks;
    uint64_t volume_span; /* lsns of a volume */

    _Atomic uint64_t current;      /* the state and how many hold it, in one word; pairs: INDEXED-STATE */
    _Atomic uint64_t states_alive; /* for stop */
    _Atomic uint64_t *recent;      /* lsn of entry `index` at index & recent_mask; relaxed: see dw_live.ordinals */
    uint64_t recent_mask;
    _Atomic(struct dwal *) visible; /* base, for dwal_indexed_base; NULL after stop. relaxed */

    pthread_mutex_t write_mutex;
    bool is_closed;
    uint64_t first, last;        /* as appended; empty when last < first */
    uint64_t epoch;              /* of the state to come */
    bool is_piece_due;           /* the next entry begins a piece */
    bool has_state;              /* there is a STATE record; the first of all lies at lsn 0 */
    uint64_t state_lsn;          /* of the newest STATE record */
    uint64_t index_lsn;          /* of the newest INDEX record of a volume that has no table; 0: none */
    struct dw_chain_link *links; /* those INDEX records, as open found them */
    uint32_t link_count;
    uint64_t end;        /* of the last record appended */
    uint64_t entered_ns; /* when the current volume was entered */
    struct dw_live *spare;
    uint32_t lives_entered;     /* since it was last looked which may go */
    struct dwal_entry *entries; /* of a batch; grow with it */
    struct iovec *parts;
    struct dw_indexed_entry_head *heads;
    uint64_t *lsns;
    size_t batch_capacity;

    pthread_mutex_t note_mutex;
    struct dw_live *lives; /* newest first; its head is the one being written */
    bool is_noting;        /* open has replayed all there was */
    /* Odd while an append is under way that is not noted yet. release; pairs: INDEXED-NOTE */
    _Atomic uint32_t appending;
    _Atomic uint64_t append_from; /* end of the log beneath when it began; relaxed: `appending` carries it */

    pthread_mutex_t values_mutex;
    struct dw_indexed_value *values;
    size_t value_count, values_size;

    pthread_mutex_t tables_mutex;
    struct dw_indexed_table *tables;
    uint64_t tables_tick;

    struct dw_indexed_counts counts;
};

static inline uint32_t dw_indexed_volume_of(const struct dwal_indexed *log, uint64_t lsn)
{
    return (uint32_t)(lsn / log->volume_span);
}
static inline void dw_indexed_count(_Atomic uint64_t *counter, uint64_t by)
{
    atomic_fetch_add_explicit(counter, by, memory_order_relaxed);
}

/* ---- fail.c ---- */
DW_COLD int dw_indexed_fail(int code, uint64_t lsn, const char *format, ...) DW_PRINTF(3, 4);
#if defined(__clang_analyzer__) && !defined(DW_INDEXED_FAIL_IMPLEMENTATION)
#define dw_indexed_fail(...) (dw_indexed_fail(__VA_ARGS__), -1)
#endif
int dw_indexed_fail_memory(void);

/* ---- state.c ---- */
/* The state that holds now; NULL: stopped. Each acquire has its release. Never blocks. */
struct dw_indexed_state *dw_state_acquire(struct dwal_indexed *log);
void dw_state_release(struct dwal_indexed *log, struct dw_indexed_state *state);
/* Make `state` (NULL: none any more) the one that holds. write_mutex, or alone. */
void dw_state_publish(struct dwal_indexed *log, struct dw_indexed_state *state);
/* The current one with the bounds and the epoch of the writer, and room for `more` pieces besides: pieces that lie outside are
 * left out, and those whose live's table is durable do not name it any more. Within the same epoch readers go on seeing what
 * they saw (a store that is under way will raise it), else all that was appended. NULL: no memory. write_mutex. */
DW_NODISCARD struct dw_indexed_state *dw_state_derive(struct dwal_indexed *log, uint32_t more);
/* Entries up to `last`, appended in epoch `epoch`, are durable. Any thread. */
void dw_state_raise(struct dwal_indexed *log, uint64_t epoch, uint64_t last);
/* One that was not published. */
void dw_state_discard(struct dwal_indexed *log, struct dw_indexed_state *state);
DW_NODISCARD struct dw_indexed_state *dw_state_new(struct dwal_indexed *log, uint64_t first, uint64_t last,
                                                   uint32_t capacity);
/* Behind all others: pre: there is room. */
void dw_state_add_piece(struct dw_indexed_state *state, const struct dw_piece *piece);
/* The piece that holds `index`; *before: lsn at which the next one begins, or UINT64_MAX. Pre: first <= index <= last. */
const struct dw_piece *dw_state_find(const struct dw_indexed_state *state, uint64_t index, uint64_t *before);

/* ---- live.c ---- */
DW_NODISCARD struct dw_live *dw_live_new(const struct dwal_indexed *log, uint32_t volume);
void dw_live_hold(struct dw_live *live);
void dw_live_drop(struct dw_live *live); /* NULL is fine */
/* Put it at the head of the list; takes the reference. note_mutex, or alone. */
void dw_live_enlist(struct dwal_indexed *log, struct dw_live *live);
struct dw_live *dw_live_of(struct dwal_indexed *log, uint32_t volume); /* NULL: not in memory */
/* An entry starts at `lsn`, behind all noted before. is_piece: it begins a piece. */
void dw_live_note(struct dwal_indexed *log, struct dw_live *live, uint64_t index, uint64_t lsn, bool is_piece);
/* Block of the volume in which the entry with that ordinal starts. */
uint32_t dw_live_find(const struct dw_live *live, uint32_t ordinal);
/* Lives whose tables are durable leave the list. write_mutex. */
void dw_live_retire(struct dwal_indexed *log);
void dw_live_free_all(struct dwal_indexed *log);

/* ---- table.c ---- */
/* Bytes that the index of a volume of `blocks` blocks of `block_size` bytes needs. */
uint32_t dw_table_length_for(uint64_t volume_size, uint32_t block_size);
/* As bytes; with a smaller capacity coarser; when even that is too small, INCOMPLETE. Returns the length. */
size_t dw_table_encode(const struct dw_live *live, void *bytes, size_t capacity);
/* Size of it with every block counted. */
size_t dw_table_size(const struct dw_live *live);
/* Check the head and the length of the pieces against `size` bytes. False: not ours, or too short. */
bool dw_table_check(const void *bytes, size_t size, uint32_t volume, struct dw_indexed_table_head *head);
void dw_table_piece(const void *bytes, uint32_t at, struct dw_indexed_table_piece *piece);
/* The head of the volume's table of contents; false: it has none that can be used. */
bool dw_table_peek(struct dwal_indexed *log, const struct dwal_volume *volume, struct dw_indexed_table_head *head);
/* Fill a live from what dw_table_encode made of one with shift 0. */
DW_NODISCARD bool dw_table_restore(const void *bytes, size_t size, struct dw_live *live);
/* First block of the volume at which a search for the entry has to begin. Reads the table when it is not in memory. */
DW_NODISCARD int dw_table_locate(struct dwal_indexed *log, uint32_t volume, uint32_t ordinal, uint32_t *block);
void dw_table_free_all(struct dwal_indexed *log);
/* The log's table callback. */
uint64_t dw_table_tell(void *context, uint32_t volume, uint64_t first, uint64_t end, bool spill, void *table,
                       uint32_t capacity);

/* ---- values.c ---- */
/* Change the values in memory. value NULL: delete. Alone. */
DW_NODISCARD int dw_values_apply(struct dwal_indexed *log, const void *key, size_t key_size, const void *value,
                                 size_t value_size);
/* All of them as bytes (malloc; NULL when there are none). */
DW_NODISCARD int dw_values_encode(struct dwal_indexed *log, void **bytes, size_t *size);
/* Replace all by what the bytes say. DWAL_ECORRUPT. */
DW_NODISCARD int dw_values_decode(struct dwal_indexed *log, const void *bytes, size_t size);
void dw_values_free(struct dwal_indexed *log);

/* ---- write.c: all under write_mutex, or alone ---- */
/* Open for writing and not stopped? */
DW_NODISCARD int dw_indexed_begin_write(struct dwal_indexed *log); /* takes write_mutex when it answers 0 */
void dw_indexed_end_write(struct dwal_indexed *log);
/* Append one record that is no entry, and note it. */
DW_NODISCARD int dw_indexed_put(struct dwal_indexed *log, enum dw_indexed_kind kind, const void *head, size_t head_size,
                                const void *data, size_t size, uint64_t *lsn);
/* Append a STATE with these bounds; it becomes the newest. */
int dw_indexed_put_state(struct dwal_indexed *log, uint64_t first, uint64_t last, uint64_t index_lsn);
/* A STATE for a volume that was entered, when one is due. Best effort. */
void dw_indexed_refresh_state(struct dwal_indexed *log);

/* ---- truncate.c ---- */
/* Trim the log beneath to what is needed, when that frees a volume. */
DW_NODISCARD int dw_indexed_trim(struct dwal_indexed *log);

/* ---- replay.c ---- */
/* Find out what there is: pieces, lives, bounds, values; publish the first state. Alone. */
DW_NODISCARD int dw_indexed_replay(struct dwal_indexed *log);

/* ---- chain.c ---- */
/* Find the indexes of volumes without a table. `volumes`: all of them, `count`; is_clean: the log was closed clean. Alone. */
DW_NODISCARD int dw_chain_load(struct dwal_indexed *log, const struct dwal_volume *volumes, uint32_t count,
                               bool is_clean);
uint64_t dw_chain_find(const struct dwal_indexed *log, uint32_t volume); /* lsn of its INDEX; 0: none */
/* Append the INDEX of a volume, which names log->index_lsn. */
int dw_chain_put(struct dwal_indexed *log, const struct dw_live *live, uint64_t *lsn);
/* Write down what open had to scan. Best effort. */
void dw_chain_mend(struct dwal_indexed *log);

/* ---- open.c: the seam that the public call and the tests share ---- */
typedef int dw_indexed_open_fn(void *context, const struct dwal_options *options, dwal **base);
int dw_indexed_open_with(dw_indexed_open_fn *open_base, void *context, const struct dwal_indexed_options *options,
                         bool is_single_stepped, dwal_indexed **log);
/* The options of the log beneath, for its creation. */
DW_NODISCARD int dw_indexed_base_options(const struct dwal_indexed_options *options, struct dwal_options *base);
/* Release a handle as a crash would: the log beneath is the caller's to abandon. */
void dw_indexed_abandon(dwal_indexed *log);

#endif
