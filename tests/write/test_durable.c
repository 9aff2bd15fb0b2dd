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

static struct dw_durable durable;
static struct dw_geometry geometry;
static _Atomic uint64_t appended; /* block up to which waiters may wait */

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

/* Make durable whatever is asked for, in runs; nobody else would wake a sleeper that is forgotten. */
static void advance_all(bool is_hurried)
{
    uint64_t block = 0;
    while (block < BLOCKS) {
        uint64_t to = atomic_load_explicit(&appended, memory_order_relaxed);
        if (to <= block) {
            sched_yield();
            continue;
        }
        dw_durable_publish(&durable, to, 1);
        dw_durable_wake(&durable, block, to, is_hurried);
        block = to;
    }
}

static void run(bool is_hurried)
{
    const char *why;
    assert_int_equal(dw_geometry_init(&geometry, 4096, 512, 1 << 20, 0, &why), 0);
    dw_durable_init(&durable, &geometry, 0, NULL, NULL);
    atomic_store(&appended, 0);
    static struct waiter waiters[WAITERS];
    dw_watchdog_install("durable", is_hurried ? "relayed" : "direct");
    alarm(120);
    for (uint32_t i = 0; i < WAITERS; i++) {
        waiters[i] = (struct waiter){.stride = 1 + i * 7 % 23, .has_timeout = i == 0};
        assert_int_equal(pthread_create(&waiters[i].thread, NULL, wait_on, &waiters[i]), 0);
    }
    /* The last blocks: somebody must ask for them, whatever the strides. */
    pthread_t closer;
    static struct waiter last = {.stride = 1};
    assert_int_equal(pthread_create(&closer, NULL, wait_on, &last), 0);
    advance_all(is_hurried);
    uint64_t waits = 0;
    for (uint32_t i = 0; i < WAITERS; i++) {
        pthread_join(waiters[i].thread, NULL);
        waits += waiters[i].waits;
    }
    pthread_join(closer, NULL);
    alarm(0);
    assert_true(waits > WAITERS);
    assert_int_equal(atomic_load(&durable.relay), 0);
    dw_durable_destroy(&durable);
}

static void every_sleeper_is_woken_by_the_role(void **state)
{
    (void)state;
    run(false);
}

static void every_sleeper_is_woken_when_one_wakes_the_rest(void **state)
{
    (void)state;
    run(true);
}

static void a_failure_wakes_everybody(void **state)
{
    (void)state;
    const char *why;
    assert_int_equal(dw_geometry_init(&geometry, 4096, 512, 1 << 20, 0, &why), 0);
    dw_durable_init(&durable, &geometry, 0, NULL, NULL);
    struct dwal_error error = {.code = DWAL_EDEVICE};
    dw_durable_fail(&durable, &error);
    assert_int_equal(dw_durable_wait(&durable, dw_lsn_of_block(&geometry, 5), UINT64_MAX), DWAL_EFAILED);
    assert_int_equal(dw_durable_wait(&durable, 0, UINT64_MAX), 0);
    dw_durable_destroy(&durable);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_sleeper_is_woken_by_the_role),
        cmocka_unit_test(every_sleeper_is_woken_when_one_wakes_the_rest),
        cmocka_unit_test(a_failure_wakes_everybody),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
