/* test_worker.c - worker.h: the function runs in a named thread that takes no signal of the host. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>

#include "core/base/event.h"
#include "core/base/worker.h"

struct seen {
    char name[16];
    sigset_t blocked;
    pthread_t thread;
    int runs;
};

static void look_around(void *context)
{
    struct seen *seen = context;
    pthread_getname_np(pthread_self(), seen->name, sizeof seen->name);
    pthread_sigmask(SIG_SETMASK, NULL, &seen->blocked);
    seen->thread = pthread_self();
    seen->runs++;
}

static void worker_runs_in_a_named_thread_with_signals_blocked(void **state)
{
    (void)state;
    struct dw_worker worker = {0};
    struct seen seen = {0};
    sigset_t before, after;
    pthread_sigmask(SIG_SETMASK, NULL, &before);
    assert_int_equal(dw_worker_start(&worker, "dwal-flush", look_around, &seen), 0);
    pthread_sigmask(SIG_SETMASK, NULL, &after);
    dw_worker_stop(&worker);
    assert_string_equal(seen.name, "dwal-flush");
    assert_int_equal(seen.runs, 1);
    assert_false(pthread_equal(seen.thread, pthread_self()));
    static const int host[] = {SIGINT, SIGTERM, SIGALRM, SIGPROF, SIGUSR1, SIGCHLD, SIGXFSZ, SIGPIPE};
    for (size_t i = 0; i < DW_COUNT_OF(host); i++) {
        assert_int_equal(sigismember(&seen.blocked, host[i]), 1);
        assert_int_equal(sigismember(&before, host[i]), sigismember(&after, host[i]));
    }
    assert_int_equal(sigismember(&seen.blocked, SIGSEGV), 0);
    assert_int_equal(sigismember(&seen.blocked, SIGABRT), 0);
}

static void worker_can_be_started_again_and_stop_is_idempotent(void **state)
{
    (void)state;
    struct dw_worker worker = {0};
    struct seen seen = {0};
    dw_worker_stop(&worker);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(dw_worker_start(&worker, "dwal-maker", look_around, &seen), 0);
        dw_worker_stop(&worker);
        dw_worker_stop(&worker);
    }
    assert_int_equal(seen.runs, 3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(worker_runs_in_a_named_thread_with_signals_blocked),
        cmocka_unit_test(worker_can_be_started_again_and_stop_is_idempotent),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
