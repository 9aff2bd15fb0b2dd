/* test_cancel.c - a thread that is cancelled in the middle of a commit leaves a log that others go on with. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include <pthread.h>
#include <time.h>
#include <unistd.h>

#include <dwal/dwal.h>

#include "tests/lib/tmpdir.h"
#include "tests/lib/watchdog.h"

#define CANCELLED_THREADS 40

static struct dwal_entry entry_of(struct iovec *data)
{
    return (struct dwal_entry){.data = data, .data_count = 1};
}

static void *commit_for_ever(void *log)
{
    char bytes[100] = "a thread that does not know its end";
    struct iovec data = {bytes, sizeof bytes};
    struct dwal_entry entry = entry_of(&data);
    for (;;) {
        if (dwal_commit(log, &entry, NULL, NULL) != 0)
            return log;
        pthread_testcancel(); /* the one point that is the test's own */
    }
}

static void a_cancelled_committer_does_not_keep_the_role(void **state)
{
    (void)state;
    dw_watchdog_install("test_cancel", NULL);
    alarm(120); /* who keeps the role keeps everybody */
    char path[DW_TMPDIR_SIZE], directory[DW_TMPDIR_SIZE + 8];
    dw_tmpdir_make(path, "cancel");
    (void)snprintf(directory, sizeof directory, "%s/log", path);
    struct dwal_options options = DWAL_OPTIONS_INIT;
    options.volume_size = 1 << 20;
    options.blanks = 1;
    options.backend = "sync";
    dwal *log;
    assert_int_equal(dwal_create(directory, &options), 0);
    assert_int_equal(dwal_open(directory, &options, &log), 0);
    char bytes[] = "somebody else";
    struct iovec data = {bytes, sizeof bytes};
    struct dwal_entry entry = entry_of(&data);
    for (long i = 0; i < CANCELLED_THREADS; i++) {
        pthread_t thread;
        void *result;
        assert_int_equal(pthread_create(&thread, NULL, commit_for_ever, log), 0);
        struct timespec pause = {.tv_nsec = 200000 + i * 37000};
        nanosleep(&pause, NULL);
        assert_int_equal(pthread_cancel(thread), 0);
        assert_int_equal(pthread_join(thread, &result), 0);
        assert_ptr_equal(result, PTHREAD_CANCELED);
        assert_int_equal(dwal_commit(log, &entry, NULL, NULL), 0);
    }
    assert_int_equal(dwal_close(log), 0);
    alarm(0);
    dw_tmpdir_remove(path);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(a_cancelled_committer_does_not_keep_the_role)};
    return cmocka_run_group_tests_name("cancel", tests, NULL, NULL);
}
