/* durable.c - publish, wait, wake, fail. See durable.h. */
#include "core/write/durable.h"

#include <errno.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/bits.h"
#include "base/cancel.h"
#include "core/base/event.h"

void dw_durable_init(struct dw_durable *durable, const struct dw_geometry *geometry, uint64_t block,
                     dwal_durable_fn *callback, void *context)
{
    memset(durable, 0, sizeof *durable);
    durable->geometry = *geometry;
    durable->callback = callback;
    durable->context = context;
    atomic_init(&durable->block, block);
    atomic_init(&durable->event_fd, -1);
    pthread_mutex_init(&durable->failure_mutex, NULL);
}

void dw_durable_destroy(struct dw_durable *durable)
{
    int fd = atomic_load_explicit(&durable->event_fd, memory_order_relaxed);
    if (fd >= 0)
        close(fd);
    pthread_mutex_destroy(&durable->failure_mutex);
}

void dw_durable_publish(struct dw_durable *durable, uint64_t block, uint64_t now_ns)
{
    dw_assert(block > atomic_load_explicit(&durable->block, memory_order_relaxed));
    atomic_store_explicit(&durable->advance_time_ns, now_ns, memory_order_relaxed);
    /* pairs: DURABLE-ADVANCE (the blocks' bytes in the ring, for readers) and DURABLE-WAIT. */
    atomic_store_explicit(&durable->block, block, memory_order_seq_cst);
}

/* Wake up to `count` of those who wait in `buckets`. Returns how many the kernel woke. */
static uint32_t wake_buckets(struct dw_durable *durable, uint32_t buckets, uint32_t count)
{
    uint32_t waiting = 0;
    for (uint32_t left = buckets; left != 0; left &= left - 1) {
        uint32_t index = dw_lowest_bit(left);
        if (atomic_load_explicit(&durable->buckets[index].waiters, memory_order_seq_cst) != 0) /* pairs: DURABLE-WAIT */
            waiting |= UINT32_C(1) << index;
    }
    if (waiting == 0)
        return 0;
    atomic_fetch_add_explicit(&durable->word, 1, memory_order_release); /* pairs: DURABLE-WAIT */
    atomic_fetch_add_explicit(&durable->wake_calls, 1, memory_order_relaxed);
    return dw_futex_wake_group(&durable->word, count, waiting);
}

/* Wake everybody in the buckets that were left to whoever comes by. */
static void take_relay(struct dw_durable *durable)
{
    if (DW_LIKELY(atomic_load_explicit(&durable->relay, memory_order_acquire) == 0)) /* pairs: DURABLE-RELAY */
        return;
    uint32_t buckets = atomic_exchange_explicit(&durable->relay, 0, memory_order_acq_rel); /* pairs: DURABLE-RELAY */
    (void)wake_buckets(durable, buckets, DW_FUTEX_ALL);
}

/* true: there is somebody who is told. */
static bool tell(struct dw_durable *durable, int failure)
{
    int fd = atomic_load_explicit(&durable->event_fd, memory_order_acquire);
    if (fd < 0 && !durable->callback)
        return false;
    int cancel = dw_cancel_hold();
    if (fd >= 0) {
        uint64_t one = 1;
        ssize_t written = write(fd, &one, sizeof one); /* fails only when it is readable already: then it is told */
        (void)written;
    }
    if (durable->callback)
        durable->callback(durable->context, dw_durable_lsn(durable), failure);
    dw_cancel_release(cancel);
    return true;
}

static uint32_t bucket_of(uint64_t block)
{
    return (uint32_t)(block % DW_DURABLE_BUCKETS);
}

/* The buckets of the blocks [from, to). */
static uint32_t buckets_of(uint64_t from, uint64_t to)
{
    uint32_t mask = 0;
    uint64_t count = dw_min_u64(to - from, DW_DURABLE_BUCKETS);
    for (uint64_t block = to - count; block < to; block++)
        mask |= UINT32_C(1) << bucket_of(block);
    return mask;
}

/* Wake one sleeper, who wakes the rest. */
static void start_relay(struct dw_durable *durable, uint32_t buckets)
{
    /* release; pairs: DURABLE-RELAY. */
    atomic_fetch_or_explicit(&durable->relay, buckets, memory_order_acq_rel);
    if (wake_buckets(durable, buckets, 1) > 0)
        return;          /* a sleeper comes out of its futex now, and looks at the relay */
    take_relay(durable); /* nobody slept: those who were about to look for themselves */
}

bool dw_durable_wake(struct dw_durable *durable, uint64_t from, uint64_t to, bool is_hurried)
{
    uint64_t calls = atomic_load_explicit(&durable->wake_calls, memory_order_relaxed);
    take_relay(durable); /* whoever was woken for it has not come by yet: no later than now */
    uint32_t buckets = buckets_of(from, to);
    if (is_hurried)
        start_relay(durable, buckets);
    else
        (void)wake_buckets(durable, buckets, DW_FUTEX_ALL);
    bool has_told = tell(durable, 0);
    return has_told || atomic_load_explicit(&durable->wake_calls, memory_order_relaxed) != calls;
}

void dw_durable_fail(struct dw_durable *durable, const struct dwal_error *error)
{
    dw_assert(error->code != 0);
    pthread_mutex_lock(&durable->failure_mutex);
    bool is_first = atomic_load_explicit(&durable->failure, memory_order_relaxed) == 0;
    if (is_first) {
        durable->error = *error;
        /* pairs: FAILURE (the error's details); seq_cst for DURABLE-WAIT. */
        atomic_store_explicit(&durable->failure, error->code, memory_order_seq_cst);
    }
    pthread_mutex_unlock(&durable->failure_mutex);
    if (!is_first)
        return;
    (void)wake_buckets(durable, DW_FUTEX_ALL, DW_FUTEX_ALL);
    (void)tell(durable, error->code);
}

bool dw_durable_get_error(const struct dw_durable *durable, struct dwal_error *error)
{
    if (dw_durable_failure(durable) == 0)
        return false;
    *error = durable->error; /* written once, before the failure was published */
    return true;
}

static uint64_t now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

/* 0: durable; 1: not yet; DWAL_EFAILED. Durable first: what was durable before the failure is acknowledged. */
static int look(const struct dw_durable *durable, uint64_t end_block)
{
    int failure = atomic_load_explicit(&durable->failure, memory_order_seq_cst);
    if (atomic_load_explicit(&durable->block, memory_order_seq_cst) >= end_block)
        return 0;
    return failure ? DWAL_EFAILED : 1;
}

int dw_durable_wait(struct dw_durable *durable, uint64_t end, uint64_t timeout_ns)
{
    uint64_t end_block = dw_block_of_lsn(&durable->geometry, end + durable->geometry.payload_size - 1);
    int result = look(durable, end_block);
    if (result <= 0)
        return result;
    uint32_t index = bucket_of(end_block - 1);
    uint64_t deadline_ns = UINT64_MAX;
    if (timeout_ns != UINT64_MAX && dw_add_overflows(now_ns(), timeout_ns, &deadline_ns))
        deadline_ns = UINT64_MAX;
    _Atomic uint32_t *waiters = &durable->buckets[index].waiters;
    atomic_fetch_add_explicit(waiters, 1, memory_order_seq_cst); /* pairs: DURABLE-WAIT */
    for (;;) {
        uint32_t word = atomic_load_explicit(&durable->word, memory_order_acquire); /* pairs: DURABLE-WAIT */
        result = look(durable, end_block);
        if (result <= 0)
            break;
        if (deadline_ns != UINT64_MAX && now_ns() >= deadline_ns) {
            result = DWAL_ETIMEOUT;
            break;
        }
        (void)dw_futex_wait_group(&durable->word, word, deadline_ns, UINT32_C(1) << index);
        take_relay(durable); /* before anything else: others sleep until somebody does */
    }
    atomic_fetch_sub_explicit(waiters, 1, memory_order_relaxed);
    return result;
}

int dw_durable_event_fd(struct dw_durable *durable, int *fd)
{
    int seen = atomic_load_explicit(&durable->event_fd, memory_order_acquire);
    if (seen < 0) {
        int made = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
        if (made < 0)
            return -errno;
        if (atomic_compare_exchange_strong_explicit(&durable->event_fd, &seen, made, memory_order_acq_rel,
                                                    memory_order_acquire))
            seen = made;
        else
            close(made);
    }
    *fd = seen;
    return 0;
}
