/* test_drift.c - when latencies count as drifted, and when not: windows that are played without waiting. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "core/log/drift.h"

/* Play windows of a second with `writes` writes of `took_ns` each. Answers in which of them it was told, 0: in none. */
static int play(struct dw_drift *drift, int windows, uint64_t writes, uint64_t took_ns, uint64_t expected_ns,
                uint32_t in_flight)
{
    static uint64_t now_ns = 5000000000u;
    int told_in = 0;
    for (int i = 1; i <= windows; i++) {
        now_ns += 1000000000u;
        struct dw_drift_totals totals = drift->seen;
        totals.writes += writes;
        totals.bytes += writes * 8192;
        totals.device_ns += writes * took_ns;
        uint64_t bytes = 0;
        if (!dw_drift_is_due(drift, now_ns, &totals, &bytes))
            continue;
        assert_int_equal(bytes, 8192);
        if (dw_drift_close_window(drift, now_ns, &totals, expected_ns, in_flight) && told_in == 0)
            told_in = i;
    }
    return told_in;
}

static void latencies_that_stay_outside_the_band_are_told_once(void **state)
{
    (void)state;
    struct dw_drift drift = {.is_drifted = false};
    assert_int_equal(play(&drift, 1000, 100, 100000, 100000, 1), 0);
    assert_int_equal(play(&drift, 1000, 100, 390000, 100000, 1), 0); /* slower, inside */
    int at = play(&drift, 200, 100, 1000000, 100000, 1);
    assert_true(at >= 30 && at < 60);
    assert_int_equal(play(&drift, 1000, 100, 1000000, 100000, 1), 0); /* once is enough */
    drift = (struct dw_drift){.is_drifted = false};
    assert_int_equal(play(&drift, 29, 100, 20000, 100000, 1), 0);
    at = play(&drift, 200, 100, 20000, 100000, 1); /* much quicker than measured is drift as well */
    assert_true(at >= 1 && at < 40);
}

static void stalls_idle_times_and_full_queues_are_no_drift(void **state)
{
    (void)state;
    struct dw_drift drift = {.is_drifted = false};
    for (int i = 0; i < 20; i++) {
        assert_int_equal(play(&drift, 1, 100, 20000000, 100000, 1), 0); /* one window of 200 times the latency */
        assert_int_equal(play(&drift, 25, 100, 100000, 100000, 1), 0);
    }
    drift = (struct dw_drift){.is_drifted = false};
    assert_int_equal(play(&drift, 1000, 63, 1000000, 100000, 1), 0);  /* too few writes to say anything */
    assert_int_equal(play(&drift, 1000, 100, 1000000, 100000, 4), 0); /* four in flight wait for one another */
    assert_int_equal(play(&drift, 1000, 100, 1000000, 0, 1), 0);      /* nothing to compare with */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(latencies_that_stay_outside_the_band_are_told_once),
        cmocka_unit_test(stalls_idle_times_and_full_queues_are_no_drift),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
