/* event.h - sleep until something changed: futex calls, and an eventcount on top of them.
 *
 * Owns: nothing; the word or the struct is embedded by its user. Called by: core/write and core/store, any thread.
 *
 * Use of an eventcount. A waiter, for any condition whatever that somebody else makes true:
 *
 *     for (;;) {
 *         if (condition) break;
 *         uint32_t key = dw_event_prepare(&event);
 *         if (condition) { dw_event_cancel(&event); break; }
 *         if (dw_event_wait(&event, key, timeout_ns) == -ETIMEDOUT) ...
 *     }
 *
 * and whoever makes it true: change the condition, then dw_event_notify(&event). No wake-up is lost: see event.c.
 * Failure: none but the timeout. A wait may return early (a signal, somebody else's notify): always look again. */
#ifndef DW_CORE_BASE_EVENT_H
#define DW_CORE_BASE_EVENT_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/compiler.h"

#define DW_NO_TIMEOUT UINT64_MAX

/* ---- futex, private to this process ---- */
#define DW_FUTEX_ALL UINT32_MAX /* every group of sleepers, and of wake-ups every sleeper */
/* Sleep while *word == expected. 0: look again (woken, changed, or no reason at all); -ETIMEDOUT. */
int dw_futex_wait(_Atomic uint32_t *word, uint32_t expected, uint64_t timeout_ns);
/* The same as a sleeper of `groups` (bits, not 0), until the monotonic clock says `deadline_ns` (DW_NO_TIMEOUT: for ever). */
int dw_futex_wait_group(_Atomic uint32_t *word, uint32_t expected, uint64_t deadline_ns, uint32_t groups);
/* Wake at most `count` sleepers (DW_FUTEX_ALL: all) that share a group with `groups`. Always a system call, one for all groups.
 * Returns how many were woken. */
uint32_t dw_futex_wake_group(_Atomic uint32_t *word, uint32_t count, uint32_t groups);
/* Of all groups. */
uint32_t dw_futex_wake(_Atomic uint32_t *word, uint32_t count);

/* ---- eventcount; all zero is a good start ---- */
struct dw_event {
    /* Bits 0..31: waiters between prepare and the end of wait or cancel. Bits 32..63: epoch, grows with every notify.
     * May be stale: no bit, all changes are read-modify-write; the epoch wraps, see event.c. */
    _Atomic uint64_t state;
};

/* Announce a waiter. Must be followed by exactly one cancel or wait. Acquire. */
uint32_t dw_event_prepare(struct dw_event *event);
void dw_event_cancel(struct dw_event *event);
/* Sleep until a notify that came after prepare. 0, or -ETIMEDOUT. */
int dw_event_wait(struct dw_event *event, uint32_t key, uint64_t timeout_ns);

/* Wake every waiter. Works with any memory order on the condition. One read-modify-write; no system call when
 * nobody waits. */
void dw_event_notify(struct dw_event *event);
/* The same for a hot path: only a load when nobody waits. Allowed only if the caller changed the condition by a
 * sequentially consistent operation just before, and the waiters look at it by sequentially consistent loads. */
void dw_event_notify_seq_cst(struct dw_event *event);
/* Waiters now, for statistics and decisions that may be wrong. */
static inline uint32_t dw_event_waiters(const struct dw_event *event)
{
    return (uint32_t)atomic_load_explicit(&event->state, memory_order_relaxed);
}

#endif
