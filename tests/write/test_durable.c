/* test_durable.c - waiting for the durable lsn: nobody who waits sleeps on, however the waking is passed along. */
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <unistd.h>

#include <cmocka.h>

#include "core/write/durable.h"
#include "tests/lib/watchdog.h"

#define WAITERS 12
#define BLOCKS  60000
#define ALONE   40000

static struct dw_durable durable;
static struct dw_geometry geometry;
static _Atomic uint64_t appended; /* block up to which waiters may wait */

static void set_up(void)
{
    const char *why;
    assert_int_equal(dw_geometry_init(&geometry, 4096, 512, 1 << 20, 0, &why), 0);
    dw_durable_init(&durable, &geometry, 0, NULL, NULL);
    atomic_store(&appended, 0);
}

struct waiter {
    pthread_t thread;
    uint32_t stride; /* blocks between what it waits for */
    uint64_t waits, timeouts;
    bool has_timeout;
};

/* Wait for a block a little ahead of what is durable, again and again, as callers of commit do. */
static void *wait_on(void *context)
{
    struct waiter *waiter = context;
    for (;;) {
        uint64_t block = dw_durable_block(&durable) + waiter->stride;
        if (block > BLOCKS)
            return NULL;
        uint64_t seen = atomic_load_explicit(&appended, memory_order_relaxed);
        while (seen < block && !atomic_compare_exchange_weak_explicit(&appended, &seen, block, memory_order_relaxed,
                                                                      memory_order_relaxed))
            ;
        uint64_t end = dw_lsn_of_block(&geometry, block);
        int result = dw_durable_wait(&durable, end, waiter->has_timeout ? 50000 : UINT64_MAX);
        if (result == DWAL_ETIMEOUT) {
            waiter->timeouts++;
            continue;
        }
        assert_int_equal(result, 0);
        assert_true(dw_durable_block(&durable) >= block);
        waiter->waits++;
    }
}

enum mode { DIRECT, RELAYED, MIXED };

/* Make durable whatever is asked for, in runs; nobody else would wake a sleeper that is forgotten. Mixed: relays over several lanes,
 * and sleepers that are left in lanes which nobody enters any more. */
static void advance_all(enum mode mode)
{
    uint64_t block = 0;
    for (uint32_t round = 0; block < BLOCKS; round++) {
        uint64_t to = atomic_load_explicit(&appended, memory_order_relaxed);
        if (to <= block) {
            sched_yield();
            continue;
        }
        dw_durable_publish(&durable, to, 1);
        dw_durable_wake(&durable, block, to, mode == RELAYED || (mode == MIXED && round % 3 == 0));
        if (mode == MIXED)
            atomic_store_explicit(&durable.is_split, round % 5 < 3, memory_order_relaxed);
        block = to;
    }
}

static void run(enum mode mode)
{
    set_up();
    static struct waiter waiters[WAITERS];
    dw_watchdog_install("durable", mode == RELAYED ? "relayed" : mode == MIXED ? "mixed" : "direct");
    alarm(120);
    for (uint32_t i = 0; i < WAITERS; i++) {
        waiters[i] = (struct waiter){.stride = 1 + i * 7 % 23, .has_timeout = i == 0};
        assert_int_equal(pthread_create(&waiters[i].thread, NULL, wait_on, &waiters[i]), 0);
    }
    /* The last blocks: somebody must ask for them, whatever the strides. */
    pthread_t closer;
    static struct waiter last = {.stride = 1};
    assert_int_equal(pthread_create(&closer, NULL, wait_on, &last), 0);
    advance_all(mode);
    uint64_t waits = 0;
    for (uint32_t i = 0; i < WAITERS; i++) {
        pthread_join(waiters[i].thread, NULL);
        waits += waiters[i].waits;
    }
    pthread_join(closer, NULL);
    alarm(0);
    assert_true(waits > WAITERS);
    assert_int_equal(atomic_load(&durable.relay), 0);
    for (uint32_t i = 0; i < DW_DURABLE_LANES; i++)
        assert_int_equal(atomic_load(&durable.lanes[i].left), 0);
    dw_durable_destroy(&durable);
}

static void every_sleeper_is_woken_by_the_role(void **state)
{
    (void)state;
    run(DIRECT);
}

static void every_sleeper_is_woken_when_one_wakes_the_rest(void **state)
{
    (void)state;
    run(RELAYED);
}

static void every_sleeper_is_woken_whatever_lane_it_is_in(void **state)
{
    (void)state;
    run(MIXED);
}

static void *wait_one_by_one(void *unused)
{
    for (uint64_t block = 1; block <= ALONE; block++) {
        atomic_store(&appended, block);
        assert_int_equal(dw_durable_wait(&durable, dw_lsn_of_block(&geometry, block), UINT64_MAX), 0);
    }
    return unused;
}

/* One sleeper, woken once, at any moment of its way into the futex: nobody comes later who would wake it by chance. */
static void a_lone_sleeper_is_not_missed(void **state)
{
    (void)state;
    set_up();
    dw_watchdog_install("durable", "alone");
    alarm(120);
    pthread_t waiter;
    assert_int_equal(pthread_create(&waiter, NULL, wait_one_by_one, NULL), 0);
    for (uint64_t block = 1; block <= ALONE; block++) {
        while (atomic_load(&appended) < block)
            sched_yield();
        for (volatile uint64_t pause = block % 127 * 4; pause > 0; pause--) /* volatile: or it is optimized away */
            ;
        atomic_store_explicit(&durable.is_split, block % 3 == 0, memory_order_relaxed);
        dw_durable_publish(&durable, block, 1);
        dw_durable_wake(&durable, block - 1, block, block % 2 == 0);
    }
    pthread_join(waiter, NULL);
    alarm(0);
    dw_durable_destroy(&durable);
}

/* Processor by processor those that this process may use. */
static size_t next_processor(size_t processor)
{
    cpu_set_t allowed;
    assert_int_equal(sched_getaffinity(0, sizeof allowed, &allowed), 0);
    do
        processor = (processor + 1) % CPU_SETSIZE;
    while (!CPU_ISSET(processor, &allowed));
    return processor;
}

static void *wait_for_what_never_comes(void *processor)
{
    cpu_set_t one;
    CPU_ZERO(&one);
    CPU_SET(*(size_t *)processor, &one);
    assert_int_equal(pthread_setaffinity_np(pthread_self(), sizeof one, &one), 0);
    assert_int_equal(dw_durable_wait(&durable, dw_lsn_of_block(&geometry, 5), UINT64_MAX), DWAL_EFAILED);
    return NULL;
}

static uint32_t lanes_with_sleepers(void)
{
    uint32_t lanes = 0;
    for (uint32_t i = 0; i < DW_DURABLE_LANES; i++)
        lanes += atomic_load(&durable.lanes[i].sleepers) != 0;
    return lanes;
}

static void a_failure_wakes_everybody(void **state)
{
    (void)state;
    set_up();
    atomic_store_explicit(&durable.is_split, true, memory_order_relaxed);
    dw_watchdog_install("durable", "failure");
    alarm(60);
    static pthread_t threads[WAITERS];
    static size_t processors[WAITERS];
    for (int i = 0; i < WAITERS; i++) {
        processors[i] = next_processor(i > 0 ? processors[i - 1] : CPU_SETSIZE - 1);
        assert_int_equal(pthread_create(&threads[i], NULL, wait_for_what_never_comes, &processors[i]), 0);
    }
    bool has_two = processors[0] % DW_DURABLE_LANES != processors[1] % DW_DURABLE_LANES;
    while (lanes_with_sleepers() < (has_two ? 2 : 1))
        usleep(1000);
    usleep(20000); /* so that most are in their futex; any of them may come later */
    struct dwal_error error = {.code = DWAL_EDEVICE};
    dw_durable_fail(&durable, &error);
    for (int i = 0; i < WAITERS; i++)
        pthread_join(threads[i], NULL);
    alarm(0);
    assert_int_equal(dw_durable_wait(&durable, dw_lsn_of_block(&geometry, 5), UINT64_MAX), DWAL_EFAILED);
    assert_int_equal(dw_durable_wait(&durable, 0, UINT64_MAX), 0);
    dw_durable_destroy(&durable);
}

static void *wait_for_first(void *unused)
{
    assert_int_equal(dw_durable_wait(&durable, dw_lsn_of_block(&geometry, 1), UINT64_MAX), 0);
    return unused;
}

/* Twelve sleepers that one write wakes make the lanes split; one that wakes nobody puts them together again. */
static void lanes_are_split_when_many_are_woken(void **state)
{
    (void)state;
    set_up();
    dw_watchdog_install("durable", "lanes");
    alarm(60);
    static pthread_t threads[WAITERS];
    for (int i = 0; i < WAITERS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, wait_for_first, NULL), 0);
    usleep(200000);
    assert_false(atomic_load(&durable.is_split));
    dw_durable_publish(&durable, 1, 1);
    dw_durable_wake(&durable, 0, 1, false);
    bool is_split = atomic_load(&durable.is_split);
    for (int i = 0; i < WAITERS; i++)
        pthread_join(threads[i], NULL);
    alarm(0);
    assert_true(is_split);
    dw_durable_publish(&durable, 2, 1);
    dw_durable_wake(&durable, 1, 2, false);
    assert_false(atomic_load(&durable.is_split));
    dw_durable_destroy(&durable);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_sleeper_is_woken_by_the_role),
        cmocka_unit_test(every_sleeper_is_woken_when_one_wakes_the_rest),
        cmocka_unit_test(every_sleeper_is_woken_whatever_lane_it_is_in),
        cmocka_unit_test(a_lone_sleeper_is_not_missed),
        cmocka_unit_test(a_failure_wakes_everybody),
        cmocka_unit_test(lanes_are_split_when_many_are_woken),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
