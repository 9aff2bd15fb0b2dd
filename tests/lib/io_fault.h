/* io_fault.h - a disk around any disk that lets chosen calls fail, stop half way, or come back late.
 *
 * Everything behind it keeps the contract of io.h, so what is above cannot tell it from a bad device. Use:
 *
 *     struct dw_disk *disk;                       // give this to the code under test
 *     dw_fault_open(real, true, &disk);           // true: closing it closes `real` too
 *     dw_fault_add(disk, &(struct dw_fault_rule){.kinds = DW_FAULT_ANY_WRITE, .at = 3, .error = -EIO});
 *
 * To sweep: run the scenario once without a rule, n = dw_fault_count(disk, kinds); then for at = 1..n run it again with a
 * rule at that index, once and sticky. dw_fault_fired tells whether the rule was reached.
 *
 * Threads: as io.h; rules and counts may be touched from any thread at any time. Its own memory comes from libc and
 * not from alloc/, so it does not disturb sweeps of dw_alloc_fail_at. */
#ifndef DW_TESTS_LIB_IO_FAULT_H
#define DW_TESTS_LIB_IO_FAULT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "io/io.h"

/* Which call; bits, so that a rule or a count can name several. */
enum dw_fault_kind {
    DW_FAULT_READ = 0x0001,
    DW_FAULT_WRITE = 0x0002,
    DW_FAULT_WRITE_DURABLE = 0x0004,
    DW_FAULT_QUEUE_WRITE = 0x0008, /* submit, durable or not */
    DW_FAULT_SYNC = 0x0010,
    DW_FAULT_SYNC_NAMES = 0x0020,
    DW_FAULT_OPEN = 0x0040, /* creation too */
    DW_FAULT_RENAME = 0x0080,
    DW_FAULT_UNLINK = 0x0100,
    DW_FAULT_ALLOCATE = 0x0200,
    DW_FAULT_SIZE = 0x0400,
    DW_FAULT_LOCK = 0x0800, /* lock and lock_test */
    DW_FAULT_LIST = 0x1000,
    DW_FAULT_QUEUE_CREATE = 0x2000,
};
#define DW_FAULT_ANY_WRITE (DW_FAULT_WRITE | DW_FAULT_WRITE_DURABLE | DW_FAULT_QUEUE_WRITE)
/* Everything that changes the disk or makes a change durable. */
#define DW_FAULT_ANY_CHANGE                                                                                            \
    (DW_FAULT_ANY_WRITE | DW_FAULT_SYNC | DW_FAULT_SYNC_NAMES | DW_FAULT_OPEN | DW_FAULT_RENAME | DW_FAULT_UNLINK |    \
     DW_FAULT_ALLOCATE)
#define DW_FAULT_ANY 0x3fffu

enum dw_fault_action {
    DW_FAULT_BEFORE = 0, /* the call does nothing and answers `error` */
    /* The first `bytes` bytes of the transfer happen (rounded down to the file's alignment), then it answers `error`. A read
     * tells them in *done; a read with error 0 looks like an early end of the file. Calls that move no bytes: BEFORE. */
    DW_FAULT_HALF_WAY,
    DW_FAULT_AFTER, /* the call happens in full, and then answers `error` all the same */
    /* Of QUEUE_WRITE only; the result is the true one: */
    DW_FAULT_LATE, /* handed out `reaps` calls of reap after it could have been; a waiting reap lets the time pass */
    DW_FAULT_HELD, /* not handed out before dw_fault_release; a waiting reap with nothing else to wait for blocks, so
                    * release from another thread */
};

struct dw_fault_rule {
    unsigned kinds; /* bits of enum dw_fault_kind */
    uint64_t at;    /* 1: the next call that matches, from dw_fault_add on */
    bool is_sticky; /* all later ones too */
    enum dw_fault_action action;
    int error;              /* negative errno; 0 means -EIO, except as said at HALF_WAY */
    size_t bytes;           /* HALF_WAY */
    uint32_t reaps;         /* LATE */
    uint32_t device_status; /* QUEUE_WRITE with an error: what the device said, too */
    const char *name_start; /* only calls on names and files that start so; NULL: all. Must outlive the rule */
};

/* Wrap `inner`; files of the wrapped disk must not be mixed with files of the inner one. 0 or -ENOMEM. */
DW_NODISCARD int dw_fault_open(struct dw_disk *inner, bool is_owner, struct dw_disk **disk);
/* Several rules may be active (at most 16); the first added that matches decides, all that match count on. */
void dw_fault_add(struct dw_disk *disk, const struct dw_fault_rule *rule);
/* Remove all rules. Counts stay; requests that are held stay held. */
void dw_fault_clear(struct dw_disk *disk);
/* Hand out what is held, and hold nothing more (removes HELD rules). */
void dw_fault_release(struct dw_disk *disk);

/* Calls so far of these kinds, failed ones included. */
uint64_t dw_fault_count(struct dw_disk *disk, unsigned kinds);
/* Calls so far that a rule changed. */
uint64_t dw_fault_fired(struct dw_disk *disk);
/* Requests that are held now (their bytes are written, their completion is not told). */
uint32_t dw_fault_held(struct dw_disk *disk);

/* Look at every call before it happens: for tests of order ("header before data"). `name`: of the file, or the (old) name,
 * or "" for calls on the disk. Called under no lock, on the calling thread. NULL: off. Set it while nothing runs. */
typedef void dw_fault_watch_fn(void *context, enum dw_fault_kind kind, const char *name, uint64_t offset, size_t size);
void dw_fault_watch(struct dw_disk *disk, dw_fault_watch_fn *fn, void *context);

#endif
