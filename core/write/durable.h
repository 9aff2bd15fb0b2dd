/* durable.h - how far the log is durable, who waits for it, and whether it has failed.
 *
 * Owns: the durable block, the futex and who sleeps there, the first failure. Called by: the holder of the flush role (advance, fail),
 * the maker (fail), any thread (read, wait).
 *
 * Happy path: the role publishes the new durable block, starts its next write, then wakes. A waiter sleeps as one of the bucket of
 * its block; only those of the buckets that the advance covers are woken, and nobody where nobody waits.
 * Lanes: a futex each. When a write wakes many, those who come from then on sleep in the lane of the processor that they are on,
 * and each lane is woken by one call, that of the waking processor last: the kernel then fills one processor's queue at a time. Few,
 * and those of large runs, sleep in the first lane all together: one call, and the kernel spreads them as it likes.
 * The relay: when the next write is large and ready, the role wakes one sleeper and leaves the others to it (a mask of
 * lanes, and in each of buckets), so that the device has its next write at once. Whoever comes out of a futex looks at the mask; only a
 * sleeper that the kernel says was woken counts as one who will, otherwise the role goes on by itself; and what is still in the
 * mask at the role's next advance, the role does then (pairs: DURABLE-RELAY).
 * No lost wake-up: a waiter sees to it that the bits of its lane and its bucket are set (seq_cst) before it reads the durable block; the
 * role publishes (seq_cst) before it reads the bits; so at least one sees the other (pairs: DURABLE-WAIT). Whoever takes a bucket's bit
 * away moves the lane's word behind that, and wakes; a waiter reads the word before it looks at its bit. So one that found a bit which
 * is being taken away holds an old word, and does not sleep; one with the new word sees that the bit is gone (pairs:
 * DURABLE-SLEEPERS). Most find the bit set, by who came before them, and write nothing that others read.
 * Failure: the first cause is kept for good and everybody is woken with it; waiting then answers DWAL_EFAILED. */
#ifndef DW_CORE_WRITE_DURABLE_H
#define DW_CORE_WRITE_DURABLE_H

#include <dwal/dwal.h>
#include <pthread.h>
#include <stdalign.h>
#include <stdatomic.h>

#include "core/format/geometry.h"

#define DW_DURABLE_BUCKETS 32u /* a bit of a futex each */
#define DW_DURABLE_LANES   8u

/* Those who go to sleep on one processor, or one of a few: they are woken there. */
struct dw_lane {
    alignas(DW_CACHE_LINE) _Atomic uint32_t word; /* futex; +1 for each wake */
    /* Buckets in which somebody sleeps or is about to; a bit too many costs a wake-up of nobody. DURABLE-WAIT, DURABLE-SLEEPERS */
    _Atomic uint32_t sleepers;
    _Atomic uint32_t left; /* buckets that the relay must wake. DURABLE-RELAY */
};

struct dw_durable {
    struct dw_geometry geometry;
    /* First block not durable. Writer: the role. Only grows. seq_cst store; pairs: DURABLE-WAIT. */
    alignas(DW_CACHE_LINE) _Atomic uint64_t block;
    _Atomic uint64_t advance_time_ns; /* when it last grew; relaxed: only statistics */
    _Atomic uint64_t wake_calls;      /* futex calls so far; relaxed: only statistics */
    _Atomic int failure;              /* 0 or the first cause; release; pairs: FAILURE */
    _Atomic int event_fd;             /* -1: none asked for */
    dwal_durable_fn *callback;
    void *context;
    pthread_mutex_t failure_mutex; /* guards `error` until failure is published */
    struct dwal_error error;
    /* What follows changes rarely. */
    alignas(DW_CACHE_LINE) _Atomic uint32_t lanes_used; /* a bit for each in which somebody slept, ever. DURABLE-WAIT */
    _Atomic uint32_t relay; /* lanes with sleepers that whoever comes out of a futex must wake. DURABLE-RELAY */
    _Atomic bool is_split;  /* who comes from now on sleeps in the lane of its processor; relaxed: a hint */
    struct dw_lane lanes[DW_DURABLE_LANES];
};

void dw_durable_init(struct dw_durable *durable, const struct dw_geometry *geometry, uint64_t block,
                     dwal_durable_fn *callback, void *context);
void dw_durable_destroy(struct dw_durable *durable);

static inline uint64_t dw_durable_block(const struct dw_durable *durable)
{
    return atomic_load_explicit(&durable->block, memory_order_acquire); /* pairs: DURABLE-ADVANCE */
}
static inline uint64_t dw_durable_lsn(const struct dw_durable *durable)
{
    return dw_lsn_of_block(&durable->geometry, dw_durable_block(durable));
}
static inline int dw_durable_failure(const struct dw_durable *durable)
{
    return atomic_load_explicit(&durable->failure, memory_order_acquire); /* pairs: FAILURE */
}

/* The role: blocks before `block` are durable. Publishes; wakes nobody yet. */
void dw_durable_publish(struct dw_durable *durable, uint64_t block, uint64_t now_ns);
/* The role: wake those who wait for [from, to), call the callback, write the eventfd. is_hurried: by one futex call, the
 * first of them wakes the rest. true: somebody was woken or told, which takes its time. */
bool dw_durable_wake(struct dw_durable *durable, uint64_t from, uint64_t to, bool is_hurried);
/* Any thread: the log stops. Only the first call counts; everybody is woken. */
void dw_durable_fail(struct dw_durable *durable, const struct dwal_error *error);
/* The first cause; false when there is none. */
bool dw_durable_get_error(const struct dw_durable *durable, struct dwal_error *error);
/* Wait until everything before lsn `end` is durable. 0, DWAL_EFAILED, DWAL_ETIMEOUT (codes only, no text is set). */
int dw_durable_wait(struct dw_durable *durable, uint64_t end, uint64_t timeout_ns);
/* Make the eventfd at the first call. 0 or -errno. */
int dw_durable_event_fd(struct dw_durable *durable, int *fd);

#endif
