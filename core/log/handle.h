/* handle.h - what a `struct dwal` is made of: private to core/log.
 *
 * Threads: N callers, one flusher, one maker. The handle itself is written by open and close only; what changes in between
 * lives in the rooms below it, each with its own guard. */
#ifndef DW_CORE_LOG_HANDLE_H
#define DW_CORE_LOG_HANDLE_H

#include <dwal/dwal.h>
#include <dwal/inspect.h>
#include <dwal/probe.h>
#include <pthread.h>

#include "core/base/worker.h"
#include "core/log/backend.h"
#include "core/log/choice_cache.h"
#include "core/log/drift.h"
#include "core/log/log.h"
#include "core/read/reader.h"
#include "core/read/recover.h"
#include "core/store/store.h"
#include "core/write/writer.h"

#define DW_READERS_KEPT  4u
#define DW_RING_SIZE_MAX (UINT64_C(64) << 30)

struct dw_damage_list {
    struct dwal_damage *items;
    size_t count, capacity;
};

struct dwal {
    /* First, so that dwal_append hands its own argument on. Writers only, but for the ways of an append. */
    struct dw_writer writer;
    struct dw_arena *arena; /* memory of ring, store and recovery */
    struct dw_disk *disk;
    bool is_disk_borrowed;
    bool is_single_stepped;
    bool is_writer;
    const struct dw_clock *clock;
    struct dwal_options options; /* resolved: no zero left that means "default" */
    struct dw_geometry geometry;
    struct dw_identity identity;

    struct dw_store *store;
    struct dwal_report report;    /* what recovery decided */
    struct dw_damage_list damage; /* with DWAL_REPORT */

    /* Writers only. */
    struct dw_backend backend; /* what was taken, and why */
    /* Of writers: what was chosen and by what; written by open. */
    struct dwal_choice choice;
    char choice_key[DW_MEASURED_KEY_SIZE];
    struct dw_drift drift;        /* the maker's */
    _Atomic bool is_choice_stale; /* relaxed: the maker tells, anybody reads; a fact for people */
    bool is_writer_ready;         /* the store's hooks may reach the writer; set before any thread starts */
    struct dw_worker flusher;
    struct dw_worker maker;
    _Atomic bool is_maker_stopping; /* release by close, acquire by the maker; pairs: MAKER-STOP */
    bool has_flusher, has_maker;
    struct dw_event flusher_started;
    _Atomic int flusher_start; /* 0: not yet; 1: it runs; negative: its error. flusher -> open; pairs: FLUSHER-START */
    struct dwal_error flusher_error;
    uint64_t stalls_told; /* the maker's: stalls that the event callback knows of */

    /* Read-only logs: first block that may not be shown. Grows with dwal_wait; pairs: VISIBLE. */
    _Atomic uint64_t visible_block;
    /* Read-only logs: lsn at which what recovery accepted ends, perhaps inside a block; UINT64_MAX: no limit but
     * visible_block, since there is a writer. pairs: VISIBLE-END */
    _Atomic uint64_t visible_end;
    pthread_mutex_t follow_mutex; /* one thread at a time looks for new blocks */

    /* Readers for dwal_read, kept between calls. */
    pthread_mutex_t readers_mutex;
    struct dw_reader *readers[DW_READERS_KEPT];
    /* Writers: no batch that begins before complete_lsn runs on behind the durable lsn; it will be moved to boundary_lsn, an end
     * of the log at some moment, when that is durable. relaxed: each value that was ever stored is true for good. */
    _Atomic uint64_t complete_lsn, boundary_lsn;
    _Atomic uint64_t ring_reads, device_reads,
        device_read_bytes; /* relaxed: of cursors when they are closed, of reads by lsn at once */
};

/* core/log/options.c: fill in defaults and check; DWAL_EARGUMENT names the option. `geometry` of an existing log, or NULL. */
DW_NODISCARD int dw_options_resolve(const struct dwal_options *given, struct dwal_options *resolved);
DW_NODISCARD int dw_options_agree(const struct dwal_options *given, const struct dw_superblock_info *superblock);
DW_NODISCARD int dw_options_geometry(const struct dwal_options *options, struct dw_geometry *geometry);
/* core/log/create_device.c: sizes that were not given, as the device wants them; refuse to format what may hold something. */
DW_NODISCARD int dw_create_on_device(struct dw_disk *disk, struct dwal_options *options);
bool dw_options_is_backend(const char *name);
/* L: blocks that may be in flight with these options. */
uint32_t dw_options_in_flight_blocks(const struct dwal_options *options, const struct dw_geometry *geometry);

/* core/log/event.c: tell the caller's event callback, if there is one. */
void dw_event_tell(const struct dwal *log, enum dwal_event_level level, const char *format, ...) DW_PRINTF(3, 4);

/* core/log/follow.c: look for blocks that a live writer made durable since. true when visible_block grew. */
DW_NODISCARD int dw_follow(struct dwal *log, bool *has_grown);

/* core/log/read.c: what readers need from the log. */
struct dw_recent dw_log_recent(struct dwal *log);
void dw_log_readers_close(struct dwal *log);
/* The trim point moved: no idle reader keeps what lies before it. */
void dw_log_readers_let_go(struct dwal *log);

#endif
