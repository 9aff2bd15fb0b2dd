/* event.c - futex calls and the eventcount.
 *
 * Why no wake-up is lost. The danger is the Dekker pattern: the waiter writes "I wait" and reads the condition, the
 * notifier writes the condition and reads "does anybody wait?"; without care both may read the old value, and the waiter
 * sleeps for ever.
 *   dw_event_notify: "I wait" and the epoch are one word, and both sides change it by read-modify-write, so one of the two
 *   comes first. If prepare came first, notify sees the waiter and wakes it (and the futex, whose word is the epoch,
 *   refuses to sleep if the epoch moved meanwhile). If notify came first, prepare reads what notify wrote: release and
 *   acquire make the condition visible to the waiter's second look. No order is asked of the condition itself.
 *   dw_event_notify_seq_cst: the notifier only loads the word. Then the four operations must be sequentially consistent:
 *   in their single order either the condition's change precedes the waiter's look at it, or the look, and so prepare,
 *   precedes the notifier's load, which then sees the waiter. (Release and acquire do not give that: x86 lets a load pass an
 *   earlier store.)
 * The epoch wraps after 2^32 notifies; a waiter would have to be stopped for exactly that many between prepare and sleep
 * to miss one: at a million a second that is 71 minutes, to the very notify. */
#include "core/base/event.h"

#include <errno.h>
#include <limits.h>
#include <linux/futex.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "base/assert.h"

#define EPOCH_ONE (UINT64_C(1) << 32)

static int futex_wait(_Atomic uint32_t *word, int operation, uint32_t expected, uint64_t time_ns, uint32_t groups)
{
    struct timespec limit = {.tv_sec = (time_t)(time_ns / 1000000000u), .tv_nsec = (long)(time_ns % 1000000000u)};
    long result = syscall(SYS_futex, word, operation, expected, time_ns == DW_NO_TIMEOUT ? NULL : &limit, NULL, groups);
    if (result == 0)
        return 0;
    dw_assert(errno == EAGAIN || errno == EINTR || errno == ETIMEDOUT);
    return errno == ETIMEDOUT ? -ETIMEDOUT : 0;
}

int dw_futex_wait(_Atomic uint32_t *word, uint32_t expected, uint64_t timeout_ns)
{
    return futex_wait(word, FUTEX_WAIT_PRIVATE, expected, timeout_ns, 0);
}

int dw_futex_wait_group(_Atomic uint32_t *word, uint32_t expected, uint64_t deadline_ns, uint32_t groups)
{
    return futex_wait(word, FUTEX_WAIT_BITSET_PRIVATE, expected, deadline_ns, groups);
}

uint32_t dw_futex_wake_group(_Atomic uint32_t *word, uint32_t count, uint32_t groups)
{
    uint32_t most = count > INT_MAX ? INT_MAX : count;
    long result = syscall(SYS_futex, word, FUTEX_WAKE_BITSET_PRIVATE, most, NULL, NULL, groups);
    dw_assert(result >= 0);
    return (uint32_t)result;
}

uint32_t dw_futex_wake(_Atomic uint32_t *word, uint32_t count)
{
    return dw_futex_wake_group(word, count, DW_FUTEX_ALL);
}

/* The upper half of the state as the futex's word (little-endian hosts only, see base/le.h). */
static _Atomic uint32_t *epoch_word(struct dw_event *event)
{
    return (_Atomic uint32_t *)((uintptr_t)&event->state + 4);
}

uint32_t dw_event_prepare(struct dw_event *event)
{
    /* seq_cst: the Dekker pair with dw_event_notify_seq_cst (pairs: EVENT-DEKKER); includes the acquire of what the last
     * notify released (pairs: EVENT-EPOCH). */
    uint64_t before = atomic_fetch_add_explicit(&event->state, 1, memory_order_seq_cst);
    dw_assert((uint32_t)before != UINT32_MAX);
    return (uint32_t)(before >> 32);
}

void dw_event_cancel(struct dw_event *event)
{
    /* Relaxed: only takes the announcement back. */
    uint64_t before = atomic_fetch_sub_explicit(&event->state, 1, memory_order_relaxed);
    dw_assert((uint32_t)before != 0);
}

int dw_event_wait(struct dw_event *event, uint32_t key, uint64_t timeout_ns)
{
    int result = dw_futex_wait(epoch_word(event), key, timeout_ns);
    /* Acquire: what happened before the notify is visible to the woken (pairs: EVENT-EPOCH). */
    uint64_t before = atomic_fetch_sub_explicit(&event->state, 1, memory_order_acquire);
    dw_assert((uint32_t)before != 0);
    /* A notify that raced with the end of time counts as a notify. */
    return (uint32_t)(before >> 32) != key ? 0 : result;
}

void dw_event_notify(struct dw_event *event)
{
    /* Release for the waiters that come after (pairs: EVENT-EPOCH); acquire, so that it is a full member of the chain of
     * read-modify-writes that orders notify and prepare. */
    uint64_t before = atomic_fetch_add_explicit(&event->state, EPOCH_ONE, memory_order_acq_rel);
    if (DW_UNLIKELY((uint32_t)before != 0))
        dw_futex_wake(epoch_word(event), UINT32_MAX);
}

void dw_event_notify_seq_cst(struct dw_event *event)
{
    /* pairs: EVENT-DEKKER */
    if ((uint32_t)atomic_load_explicit(&event->state, memory_order_seq_cst) != 0)
        dw_event_notify(event);
}
