/* sim.h - a simulated disk behind io.h that remembers everything, and can yield every crash image of every moment.
 *
 * Owns: one directory of files (or one device: its only file, DW_DEVICE_NAME, has been there from the start), kept as 512-byte sectors in memory, and the log of all events since it was made.
 * Called by: tests (and by core through io.h, which cannot tell it from a real disk), any thread; one mutex.
 *
 * The model, all of it driven by a seed:
 *  - ordinary writes are volatile until the file is synced; a durable write is durable when it completes, its own
 *    sectors only; a write in flight, or completed and volatile, leaves any subset of its sectors behind at a crash;
 *  - names are volatile until sync_names and survive as a prefix of their order (or as any consistent subset);
 *  - a file's size is durable after its sync, or up to the end of a durable write;
 *  - requests of the queues finish when the seed or the test says so, in any order.
 * The happy path: run a workload, marking what was acknowledged; then walk the events with a dw_sim_crash, and at each
 * take some or all images: each is a disk of its own that can be read, written and crashed again.
 * Failure: -errno as io.h says; faults and damage are put in with dw_sim_fault and dw_sim_damage. Misuse is asserted.
 * Closing: images first, then the crash walker, then the disk that they came from. */
#ifndef DW_IO_SIM_H
#define DW_IO_SIM_H

#include "io/io.h"

#define DW_SIM_SECTOR_SIZE   512u
#define DW_SIM_NAME_SIZE_MAX 48u /* with its end */

/* ---- a disk ---- */
struct dw_sim_options {
    uint64_t seed;
    uint32_t alignment;        /* of files, and the unit in which a failing write stops half way; 0: 512 */
    uint64_t capacity;         /* bytes of all files together; 0: no limit */
    uint64_t device_size;      /* not 0: a device of so many bytes, all zeros and durable, in place of a directory */
    bool is_manual;            /* requests finish only by dw_sim_complete; else the seed decides */
    uint32_t complete_percent; /* chance that a request finishes in one reap that does not wait; 0: 50; 100: all */
    bool is_flush_lying;       /* sync says 0 and does nothing */
    bool is_fua_lying;         /* a durable write is an ordinary one */
    bool is_flight_visible;    /* readers see some sectors of writes in flight */
    bool is_history_off;       /* remember no events: no crash images, memory bounded by the content */
    void (*on_wait)(void *context); /* manual: called by a reap that must wait; may call dw_sim_complete */
    void *context;
};
/* `options` may be NULL. */
DW_NODISCARD int dw_sim_open(const struct dw_sim_options *options, struct dw_disk **disk);
/* Change the seed, and whatever else of the options can change while it runs (all but alignment,
 * device_size and is_history_off). */
void dw_sim_set_options(struct dw_disk *disk, const struct dw_sim_options *options);

/* ---- requests in flight, oldest first ---- */
struct dw_sim_flight {
    char name[DW_SIM_NAME_SIZE_MAX]; /* of the file when it was submitted */
    uint64_t offset;
    size_t size;
    bool is_durable, is_stalled;
};
size_t dw_sim_flight_count(struct dw_disk *disk);
void dw_sim_flight_at(struct dw_disk *disk, size_t which, struct dw_sim_flight *flight);
/* Finish one. It will be reaped next. Also ends a stall. */
void dw_sim_complete(struct dw_disk *disk, size_t which);

/* ---- the event log ---- */
enum dw_sim_event_kind {
    DW_SIM_ISSUE,      /* a write began: file, offset, size, is_durable */
    DW_SIM_COMPLETE,   /* it ended: `of` is the index of its ISSUE, `result` */
    DW_SIM_SYNC,       /* file, result */
    DW_SIM_SIZE,       /* file, `value`: size set without writing */
    DW_SIM_CREATE,     /* file, name */
    DW_SIM_RENAME,     /* name -> other_name */
    DW_SIM_UNLINK,     /* name */
    DW_SIM_SYNC_NAMES, /* result */
    DW_SIM_DAMAGE,     /* file, offset, size: the medium itself changed */
    DW_SIM_MARK,       /* the test's own: `mark`, `value` */
};
struct dw_sim_event {
    enum dw_sim_event_kind kind;
    uint32_t file; /* a number for the life of the disk and of its images */
    uint32_t mark;
    int result;
    uint64_t offset, size, value;
    uint64_t of;
    bool is_durable, is_lost; /* is_lost: of a COMPLETE, it never reached the medium */
    const char *name, *other_name;
    const uint8_t *bytes; /* of an ISSUE and a DAMAGE; NULL: zeros */
};
uint64_t dw_sim_event_count(struct dw_disk *disk);
/* Valid until the next operation on the disk. */
const struct dw_sim_event *dw_sim_event_at(struct dw_disk *disk, uint64_t index);
void dw_sim_mark(struct dw_disk *disk, uint32_t mark, uint64_t value);
const char *dw_sim_event_kind_name(enum dw_sim_event_kind kind);

/* ---- faults of a running disk ---- */
enum dw_sim_fault_kind {
    DW_SIM_FAULT_WRITE,      /* a write fails (any kind); some of its sectors may have been written */
    DW_SIM_FAULT_WRITE_DONE, /* a write fails though all of it is written */
    DW_SIM_FAULT_SYNC,       /* a sync fails, and no later sync makes good what it should have made durable */
    DW_SIM_FAULT_SYNC_NAMES,
    DW_SIM_FAULT_READ,
    DW_SIM_FAULT_NAME, /* a create, rename or unlink fails and did nothing */
    DW_SIM_FAULT_OPEN, /* an open without create fails */
    DW_SIM_FAULT_LIST,
    DW_SIM_FAULT_EXTEND,    /* an allocate or an extending write fails */
    DW_SIM_FAULT_LOSE,      /* a write is acknowledged and never written */
    DW_SIM_FAULT_MISDIRECT, /* a write lands `value` bytes further (modulo 2^64), inside the same file */
    DW_SIM_FAULT_STALL,     /* a request stays in flight until dw_sim_complete names it */
    DW_SIM_FAULT_KINDS
};
struct dw_sim_fault {
    enum dw_sim_fault_kind kind;
    uint64_t at;    /* the n-th such call from now on, 1: the next; 0: off */
    bool is_sticky; /* and all later ones */
    int error;      /* positive errno; 0: EIO (EXTEND: ENOSPC) */
    uint64_t value;
};
/* One plan of each kind at a time; a new one replaces the old. */
void dw_sim_fault(struct dw_disk *disk, const struct dw_sim_fault *fault);
/* Calls of each kind so far, failed ones too: the indexes for "a fault at every call". */
uint64_t dw_sim_call_count(struct dw_disk *disk, enum dw_sim_fault_kind kind);
/* Every fault to come is called off, and every bad sector healed. */
void dw_sim_faults_clear(struct dw_disk *disk);

/* ---- damage to what lies on the medium ---- */
enum dw_sim_damage_kind {
    DW_SIM_ROT, /* flip bit `bit` of the range */
    DW_SIM_ZERO,
    DW_SIM_STALE,     /* each sector as it was before its last change; zeros where it never was anything else */
    DW_SIM_GARBAGE,   /* from `seed` */
    DW_SIM_SWAP,      /* with the range at `other_offset` of `other_name` */
    DW_SIM_MISDIRECT, /* its content lies at the other range instead, its own place is STALE */
    DW_SIM_COPY,      /* its content lies at the other range as well */
    DW_SIM_UNREADABLE /* reads answer `error` until it is written again */
};
struct dw_sim_damage {
    enum dw_sim_damage_kind kind;
    const char *name;
    uint64_t offset, size; /* whole sectors */
    const char *other_name;
    uint64_t other_offset;
    uint64_t bit, seed;
    int error; /* positive errno; 0: EIO */
};
/* -ENOENT, -EINVAL (outside the file), -ENOMEM. */
DW_NODISCARD int dw_sim_damage(struct dw_disk *disk, const struct dw_sim_damage *damage);
/* Make a file shorter or longer for good, remove it for good, or rename it for good: what careless people do. */
DW_NODISCARD int dw_sim_resize(struct dw_disk *disk, const char *name, uint64_t size);
DW_NODISCARD int dw_sim_remove(struct dw_disk *disk, const char *name);

/* ---- crash images ---- */
struct dw_sim_crash_options {
    uint32_t tear_unit;  /* bytes written whole: 512 (0 means that) or 4096 */
    uint32_t garbled;    /* kinds of garbage that each open unit may become besides: 0..3 (random bytes; new before
                               * old; old before new) */
    bool is_ordered;     /* no reordering: writes reach the medium in the order they began, sector by sector */
    bool is_name_subset; /* any consistent subset of the unsynced names, not only prefixes */
};
struct dw_sim_crash;
/* A walker over the history of `disk`, at event 0. While it lives the disk may go on, but see dw_sim_crash_seek. */
DW_NODISCARD int dw_sim_crash_create(struct dw_disk *disk, const struct dw_sim_crash_options *options,
                                     struct dw_sim_crash **crash);
void dw_sim_crash_close(struct dw_sim_crash *crash);
/* Stand after the first `event` events (0..event_count); going forwards is cheap. Images of this walker must be closed.
 * -ENOMEM. */
DW_NODISCARD int dw_sim_crash_seek(struct dw_sim_crash *crash, uint64_t event);
uint64_t dw_sim_crash_event(const struct dw_sim_crash *crash);

/* What is open at this moment: independent choices, each with `count` >= 2 alternatives; alternative 0 is always the
 * durable state. */
enum dw_sim_choice_kind { DW_SIM_CHOICE_SECTORS, DW_SIM_CHOICE_SIZE, DW_SIM_CHOICE_NAMES, DW_SIM_CHOICE_ORDER };
struct dw_sim_choice {
    enum dw_sim_choice_kind kind;
    uint32_t file;
    uint32_t count;
    uint64_t offset; /* of the unit (SECTORS) */
};
size_t dw_sim_crash_choice_count(const struct dw_sim_crash *crash);
void dw_sim_crash_choice_at(const struct dw_sim_crash *crash, size_t index, struct dw_sim_choice *choice);
/* The product of all counts; UINT64_MAX: that many or more. */
uint64_t dw_sim_crash_state_count(const struct dw_sim_crash *crash);
/* Alternatives of state `state` (below the count, mixed radix), or of a sampled state: seeds 0 and 1 are "nothing open
 * arrived" and "the newest of everything arrived"; others are drawn, structured ones (whole writes, all but one, only
 * one, cuts) among them. `picks` has room for choice_count. */
void dw_sim_crash_picks_of_state(const struct dw_sim_crash *crash, uint64_t state, uint32_t *picks);
void dw_sim_crash_picks_of_seed(const struct dw_sim_crash *crash, uint64_t seed, uint32_t *picks);
/* The image that `picks` describes. A disk of its own with no events; its options are defaults with seed `seed`.
 * Closed with ops->close like any disk; cheap. -ENOMEM. */
DW_NODISCARD int dw_sim_crash_image(struct dw_sim_crash *crash, const uint32_t *picks, uint64_t seed,
                                    struct dw_disk **image);
/* One line per choice that was not left at 0: for the report of a failure. Cut at `size`. */
void dw_sim_crash_describe(const struct dw_sim_crash *crash, const uint32_t *picks, char *text, size_t size);

/* ---- looking in, without going through io.h (no event, no fault) ---- */
/* Content as readers see it. False: no such name, or outside. */
bool dw_sim_peek(struct dw_disk *disk, const char *name, uint64_t offset, void *bytes, size_t size);
/* A fingerprint of names, sizes and content as readers see them: equal disks have equal ones. */
uint64_t dw_sim_fingerprint(struct dw_disk *disk);
/* Bytes of memory held for it. */
size_t dw_sim_memory(struct dw_disk *disk);

#endif
