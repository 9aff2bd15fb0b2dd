/* test_event.c - event.h: no wake-up is lost, timeouts end, nobody waiting means no system call. Run under TSan too. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <time.h>

#include "core/base/event.h"

static uint64_t now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static void futex_wait_returns_when_the_word_differs_or_time_is_over(void **state)
{
    (void)state;
    _Atomic uint32_t word = 5;
    assert_int_equal(dw_futex_wait(&word, 6, DW_NO_TIMEOUT), 0);
    uint64_t start = now_ns();
    assert_int_equal(dw_futex_wait(&word, 5, 20000000), -ETIMEDOUT);
    assert_true(now_ns() - start >= 19000000);
    assert_int_equal(dw_futex_wake(&word, UINT32_MAX), 0);
}

static void wait_returns_at_once_after_a_notify_since_prepare(void **state)
{
    (void)state;
    struct dw_event event = {0};
    uint32_t key = dw_event_prepare(&event);
    dw_event_notify(&event);
    assert_int_equal(dw_event_wait(&event, key, DW_NO_TIMEOUT), 0);
    assert_int_equal(dw_event_waiters(&event), 0);
}

static void wait_without_notify_times_out(void **state)
{
    (void)state;
    struct dw_event event = {0};
    uint32_t key = dw_event_prepare(&event);
    assert_int_equal(dw_event_waiters(&event), 1);
    assert_int_equal(dw_event_wait(&event, key, 1000000), -ETIMEDOUT);
    dw_event_prepare(&event);
    dw_event_cancel(&event);
    assert_int_equal(dw_event_waiters(&event), 0);
}

/* Two threads hand a number to and fro; a lost wake-up ends in a timeout. */
enum { ROUNDS = 20000 };
struct rally {
    struct dw_event event;
    _Atomic uint32_t ball;
    bool is_seq_cst;
    _Atomic uint32_t lost;
};

static bool has_ball(struct rally *rally, uint32_t wanted)
{
    return atomic_load_explicit(&rally->ball, rally->is_seq_cst ? memory_order_seq_cst : memory_order_relaxed) ==
           wanted;
}

static void await_ball(struct rally *rally, uint32_t wanted)
{
    while (!has_ball(rally, wanted)) {
        uint32_t key = dw_event_prepare(&rally->event);
        if (has_ball(rally, wanted)) {
            dw_event_cancel(&rally->event);
            return;
        }
        if (dw_event_wait(&rally->event, key, 5000000000u) == -ETIMEDOUT)
            atomic_fetch_add(&rally->lost, 1);
    }
}

static void play(struct rally *rally, uint32_t first)
{
    for (uint32_t ball = first; ball < ROUNDS; ball += 2) {
        await_ball(rally, ball);
        if (rally->is_seq_cst) {
            atomic_store_explicit(&rally->ball, ball + 1, memory_order_seq_cst);
            dw_event_notify_seq_cst(&rally->event);
        } else {
            atomic_store_explicit(&rally->ball, ball + 1, memory_order_relaxed);
            dw_event_notify(&rally->event);
        }
    }
}

static void *play_odd(void *rally)
{
    play(rally, 1);
    return NULL;
}

static void run_rally(bool is_seq_cst)
{
    struct rally rally = {.is_seq_cst = is_seq_cst};
    pthread_t other;
    assert_int_equal(pthread_create(&other, NULL, play_odd, &rally), 0);
    play(&rally, 0);
    pthread_join(other, NULL);
    assert_int_equal(atomic_load(&rally.lost), 0);
    assert_int_equal(atomic_load(&rally.ball), ROUNDS);
    assert_int_equal(dw_event_waiters(&rally.event), 0);
}

static void no_wake_up_is_lost_with_a_relaxed_condition(void **state)
{
    (void)state;
    run_rally(false);
}

static void no_wake_up_is_lost_by_the_load_only_notify(void **state)
{
    (void)state;
    run_rally(true);
}

/* One notify wakes all who wait; plain data written before it is visible after. */
struct gate {
    struct dw_event event;
    _Atomic bool is_open;
    int message; /* plain: ordered by the gate alone */
    _Atomic int passed;
};

static void *pass_gate(void *argument)
{
    struct gate *gate = argument;
    while (!atomic_load_explicit(&gate->is_open, memory_order_acquire)) {
        uint32_t key = dw_event_prepare(&gate->event);
        if (atomic_load_explicit(&gate->is_open, memory_order_acquire)) {
            dw_event_cancel(&gate->event);
            break;
        }
        dw_event_wait(&gate->event, key, DW_NO_TIMEOUT);
    }
    if (gate->message == 42)
        atomic_fetch_add(&gate->passed, 1);
    return NULL;
}

static void one_notify_wakes_everybody(void **state)
{
    (void)state;
    for (int round = 0; round < 50; round++) {
        struct gate gate = {0};
        pthread_t threads[6];
        for (int i = 0; i < 6; i++)
            assert_int_equal(pthread_create(&threads[i], NULL, pass_gate, &gate), 0);
        gate.message = 42;
        atomic_store_explicit(&gate.is_open, true, memory_order_release);
        dw_event_notify(&gate.event);
        for (int i = 0; i < 6; i++)
            pthread_join(threads[i], NULL);
        assert_int_equal(atomic_load(&gate.passed), 6);
    }
}

/* Context switches of this thread stand in for system calls that sleep; the cost tells the rest. */
static void notify_is_cheap_when_nobody_waits(void **state)
{
    (void)state;
    struct dw_event event = {0};
    enum { TIMES = 200000 };
    uint64_t start = now_ns();
    for (int i = 0; i < TIMES; i++)
        dw_event_notify(&event);
    uint64_t middle = now_ns();
    for (int i = 0; i < TIMES; i++)
        dw_event_notify_seq_cst(&event);
    uint64_t end = now_ns();
    printf("notify: %.1f ns, load only: %.1f ns\n", (double)(middle - start) / TIMES, (double)(end - middle) / TIMES);
    assert_int_equal(dw_event_waiters(&event), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(futex_wait_returns_when_the_word_differs_or_time_is_over),
        cmocka_unit_test(wait_returns_at_once_after_a_notify_since_prepare),
        cmocka_unit_test(wait_without_notify_times_out),
        cmocka_unit_test(no_wake_up_is_lost_with_a_relaxed_condition),
        cmocka_unit_test(no_wake_up_is_lost_by_the_load_only_notify),
        cmocka_unit_test(one_notify_wakes_everybody),
        cmocka_unit_test(notify_is_cheap_when_nobody_waits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
