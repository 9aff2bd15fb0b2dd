/* test_tick.c - the timer that keeps a processor's tick: when it is set, where, and what happens without one. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "core/write/tick.h"

static uint64_t now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

/* What the kernel says is left. */
static uint64_t left_ns(const struct dw_tick *tick)
{
    struct itimerspec left;
    assert_int_equal(timerfd_gettime(tick->fd, &left), 0);
    return (uint64_t)left.it_value.tv_sec * 1000000000u + (uint64_t)left.it_value.tv_nsec;
}

/* On one processor, so that only the test moves it. */
static int stay_here(void **state)
{
    (void)state;
    cpu_set_t here;
    CPU_ZERO(&here);
    CPU_SET((size_t)sched_getcpu(), &here);
    return sched_setaffinity(0, sizeof here, &here);
}

static void timer_is_due_within_a_tick(void **state)
{
    (void)state;
    struct timespec period;
    assert_int_equal(clock_getres(CLOCK_MONOTONIC_COARSE, &period), 0);
    struct dw_tick tick;
    dw_tick_init(&tick, true);
    assert_true(tick.fd >= 0);
    uint64_t start_ns = now_ns();
    dw_tick_keep(&tick, start_ns);
    assert_int_equal(tick.cpu, sched_getcpu());
    assert_true(tick.expires_ns > start_ns && tick.expires_ns < start_ns + (uint64_t)period.tv_nsec);
    assert_true(left_ns(&tick) <= (uint64_t)period.tv_nsec); /* 0 when it went off meanwhile */
    dw_tick_close(&tick);
    assert_int_equal(tick.fd, -1);
}

/* The clock is the caller's word: here it stands in the far future, so that the timer does not go off. */
static void timer_is_set_anew_only_near_its_end_or_elsewhere(void **state)
{
    (void)state;
    struct dw_tick tick;
    dw_tick_init(&tick, true);
    uint64_t start_ns = now_ns() + UINT64_C(3600) * 1000000000u;
    dw_tick_keep(&tick, start_ns);
    uint64_t first_ns = tick.expires_ns;
    dw_tick_keep(&tick, first_ns - tick.reserve_ns);
    assert_int_equal(tick.expires_ns, first_ns);
    dw_tick_keep(&tick, first_ns - tick.reserve_ns + 1);
    assert_true(tick.expires_ns > first_ns);
    uint64_t left = left_ns(&tick);
    assert_true(left > UINT64_C(3500) * 1000000000u);

    uint64_t second_ns = tick.expires_ns;
    tick.cpu++; /* as if the role had come from another processor */
    dw_tick_keep(&tick, first_ns);
    assert_int_equal(tick.cpu, sched_getcpu());
    assert_int_equal(tick.expires_ns, first_ns + tick.ahead_ns);
    assert_true(tick.expires_ns != second_ns);
    dw_tick_close(&tick);
}

static void without_a_timer_nothing_happens(void **state)
{
    (void)state;
    struct dw_tick tick;
    dw_tick_init(&tick, false);
    assert_int_equal(tick.fd, -1);
    dw_tick_keep(&tick, now_ns());
    dw_tick_close(&tick);
    assert_int_equal(tick.fd, -1);
}

/* A sandbox may allow to make a timer and not to set it: nothing fails, and nobody asks again. */
static void refused_timer_is_given_up(void **state)
{
    (void)state;
    struct dw_tick tick;
    dw_tick_init(&tick, true);
    int pipe_ends[2];
    assert_int_equal(pipe(pipe_ends), 0);
    close(tick.fd);
    tick.fd = pipe_ends[0]; /* EINVAL: not a timer */
    dw_tick_keep(&tick, now_ns());
    assert_int_equal(tick.fd, -1);
    dw_tick_keep(&tick, now_ns());
    close(pipe_ends[1]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(timer_is_due_within_a_tick),
        cmocka_unit_test(timer_is_set_anew_only_near_its_end_or_elsewhere),
        cmocka_unit_test(without_a_timer_nothing_happens),
        cmocka_unit_test(refused_timer_is_given_up),
    };
    return cmocka_run_group_tests(tests, stay_here, NULL);
}
