/* durable.c - publish, wait, wake, fail. See durable.h. */
#include "core/write/durable.h"

#include <errno.h>
#include <sched.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/bits.h"
#include "base/cancel.h"
#include "core/base/event.h"

#define SPLIT_FROM  8u /* sleepers woken by one write */
#define SPLIT_WHILE 4u

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

static uint32_t lane_here(void)
{
    return (uint32_t)sched_getcpu() % DW_DURABLE_LANES;
}

/* Of these buckets those in which somebody may sleep: whoever asks owes them a wake-up now. */
static uint32_t take_sleepers(struct dw_lane *lane, uint32_t buckets)
{
    uint32_t sleepers = atomic_load_explicit(&lane->sleepers, memory_order_seq_cst) & buckets; /* pairs: DURABLE-WAIT */
    if (sleepers != 0)
        atomic_fetch_and_explicit(&lane->sleepers, ~sleepers, memory_order_seq_cst); /* pairs: DURABLE-SLEEPERS */
    return sleepers;
}

/* Wake up to `count` of the sleepers that were taken. Returns how many the kernel woke. */
static uint32_t wake_taken(struct dw_durable *durable, struct dw_lane *lane, uint32_t sleepers, uint32_t count)
{
    atomic_fetch_add_explicit(&lane->word, 1, memory_order_release); /* pairs: DURABLE-SLEEPERS */
    atomic_fetch_add_explicit(&durable->wake_calls, 1, memory_order_relaxed);
    return dw_futex_wake_group(&lane->word, count, sleepers);
}

/* Wake everybody who was left to whoever comes by. */
static DW_COLD void run_relay(struct dw_durable *durable)
{
    uint32_t lanes = atomic_exchange_explicit(&durable->relay, 0, memory_order_acq_rel); /* pairs: DURABLE-RELAY */
    for (; lanes != 0; lanes &= lanes - 1) {
        struct dw_lane *lane = &durable->lanes[dw_lowest_bit(lanes)];
        uint32_t sleepers = atomic_exchange_explicit(&lane->left, 0, memory_order_acq_rel); /* pairs: DURABLE-RELAY */
        if (sleepers != 0)
            (void)wake_taken(durable, lane, sleepers, DW_FUTEX_ALL);
    }
}

static void take_relay(struct dw_durable *durable)
{
    if (DW_UNLIKELY(atomic_load_explicit(&durable->relay, memory_order_acquire) != 0)) /* pairs: DURABLE-RELAY */
        run_relay(durable);
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

/* The lanes in which somebody slept, that of this processor last: those who slept here run here, and may do so before the caller
 * goes on. Ends when as many were woken as are enough; returns how many. */
typedef uint32_t visit_lane(struct dw_durable *durable, struct dw_lane *lane, uint32_t buckets);
static uint32_t visit_lanes(struct dw_durable *durable, uint32_t buckets, visit_lane *visit, uint32_t enough)
{
    uint32_t used = atomic_load_explicit(&durable->lanes_used, memory_order_seq_cst); /* pairs: DURABLE-WAIT */
    if (used == 0)
        return 0;
    uint32_t here = lane_here(), woken = 0;
    for (uint32_t i = 1; i <= DW_DURABLE_LANES && woken < enough; i++) {
        uint32_t index = (here + i) % DW_DURABLE_LANES;
        if ((used & UINT32_C(1) << index) != 0)
            woken += visit(durable, &durable->lanes[index], buckets);
    }
    return woken;
}

static uint32_t wake_lane(struct dw_durable *durable, struct dw_lane *lane, uint32_t buckets)
{
    uint32_t sleepers = take_sleepers(lane, buckets);
    return sleepers ? wake_taken(durable, lane, sleepers, DW_FUTEX_ALL) : 0;
}

/* Leave the sleepers of a lane to the relay. */
static uint32_t leave_lane(struct dw_durable *durable, struct dw_lane *lane, uint32_t buckets)
{
    uint32_t sleepers = take_sleepers(lane, buckets);
    if (sleepers != 0) {
        /* release, both: the bits in the order in which they are taken; pairs: DURABLE-RELAY. */
        atomic_fetch_or_explicit(&lane->left, sleepers, memory_order_acq_rel);
        atomic_fetch_or_explicit(&durable->relay, UINT32_C(1) << (lane - durable->lanes), memory_order_acq_rel);
    }
    return 0;
}

/* Somebody who is woken comes out of the futex now, and looks at the relay. */
static uint32_t wake_one(struct dw_durable *durable, struct dw_lane *lane, uint32_t buckets)
{
    uint32_t left = atomic_load_explicit(&lane->left, memory_order_relaxed) & buckets;
    return left ? wake_taken(durable, lane, left, 1) : 0;
}

/* Where do those sleep who come from now on? Many who run for a moment only each in the lane of the own processor, few, or
 * such as leave large runs behind, all in the first. */
static void choose_lanes(struct dw_durable *durable, uint32_t woken, bool is_hurried)
{
    bool is_split = atomic_load_explicit(&durable->is_split, memory_order_relaxed);
    bool is_wanted = !is_hurried && woken >= (is_split ? SPLIT_WHILE : SPLIT_FROM);
    if (is_wanted != is_split)
        atomic_store_explicit(&durable->is_split, is_wanted, memory_order_relaxed);
}

bool dw_durable_wake(struct dw_durable *durable, uint64_t from, uint64_t to, bool is_hurried)
{
    uint64_t calls = atomic_load_explicit(&durable->wake_calls, memory_order_relaxed);
    take_relay(durable); /* whoever was woken for it has not come by yet: no later than now */
    uint32_t buckets = buckets_of(from, to);
    uint32_t woken = visit_lanes(durable, buckets, is_hurried ? leave_lane : wake_lane, UINT32_MAX);
    if (is_hurried && visit_lanes(durable, buckets, wake_one, 1) == 0)
        take_relay(durable); /* nobody slept: those who were about to look for themselves */
    choose_lanes(durable, woken, is_hurried);
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
    (void)visit_lanes(durable, DW_FUTEX_ALL, wake_lane, UINT32_MAX);
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

/* The lane to sleep in. */
static struct dw_lane *enter_lane(struct dw_durable *durable)
{
    uint32_t index = atomic_load_explicit(&durable->is_split, memory_order_relaxed) ? lane_here() : 0;
    uint32_t bit = UINT32_C(1) << index;
    if (DW_UNLIKELY((atomic_load_explicit(&durable->lanes_used, memory_order_seq_cst) & bit) == 0))
        atomic_fetch_or_explicit(&durable->lanes_used, bit, memory_order_seq_cst); /* pairs: DURABLE-WAIT */
    return &durable->lanes[index];
}

int dw_durable_wait(struct dw_durable *durable, uint64_t end, uint64_t timeout_ns)
{
    uint64_t end_block = dw_block_of_lsn(&durable->geometry, end + durable->geometry.payload_size - 1);
    int result = look(durable, end_block);
    if (result <= 0)
        return result;
    uint32_t bucket = UINT32_C(1) << bucket_of(end_block - 1);
    uint64_t deadline_ns = UINT64_MAX;
    if (timeout_ns != UINT64_MAX && dw_add_overflows(now_ns(), timeout_ns, &deadline_ns))
        deadline_ns = UINT64_MAX;
    for (;;) {
        struct dw_lane *lane = enter_lane(durable);
        uint32_t word = atomic_load_explicit(&lane->word, memory_order_acquire); /* pairs: DURABLE-SLEEPERS */
        if ((atomic_load_explicit(&lane->sleepers, memory_order_seq_cst) & bucket) == 0)
            atomic_fetch_or_explicit(&lane->sleepers, bucket, memory_order_seq_cst); /* pairs: DURABLE-WAIT */
        result = look(durable, end_block);
        if (result <= 0)
            return result;
        if (deadline_ns != UINT64_MAX && now_ns() >= deadline_ns)
            return DWAL_ETIMEOUT;
        (void)dw_futex_wait_group(&lane->word, word, deadline_ns, bucket);
        take_relay(durable); /* before anything else: others sleep until somebody does */
    }
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
