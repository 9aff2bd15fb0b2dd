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
#define DIRECTORY_SIZE    (DW_TMPDIR_SIZE + 8)

static struct dwal_entry entry_of(struct iovec *data)
{
    return (struct dwal_entry){.data = data, .data_count = 1};
}

/* A small log in a directory of its own. Returns the options to open it with. */
static struct dwal_options make_log(char path[DW_TMPDIR_SIZE], char directory[DIRECTORY_SIZE])
{
    dw_tmpdir_make(path, "cancel");
    (void)snprintf(directory, DIRECTORY_SIZE, "%s/log", path);
    struct dwal_options options = DWAL_OPTIONS_INIT;
    options.volume_size = 1 << 20;
    options.blanks = 1;
    options.backend = "sync";
    assert_int_equal(dwal_create(directory, &options), 0);
    return options;
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
    char path[DW_TMPDIR_SIZE], directory[DIRECTORY_SIZE];
    struct dwal_options options = make_log(path, directory);
    dwal *log;
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

/* ---- cancelled before the commit begins: the first cancellation point on its way would end the thread ---- */

static void reach_a_point(void *context, uint64_t end, int failure)
{
    (void)context, (void)end, (void)failure;
    pthread_testcancel();
}

static void reach_a_point_too(void *context, const struct dwal_written *written)
{
    (void)context, (void)written;
    pthread_testcancel();
}

struct doomed {
    dwal *log;
    uint64_t commits;
};

static void *commit_while_doomed(void *context)
{
    struct doomed *doomed = context;
    char bytes[100] = "last words";
    struct iovec data = {bytes, sizeof bytes};
    struct dwal_entry entry = entry_of(&data);
    int before;
    (void)pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &before);
    (void)pthread_cancel(pthread_self());
    (void)pthread_setcancelstate(before, NULL); /* pending from here on */
    for (int i = 0; i < 20; i++)
        if (dwal_commit(doomed->log, &entry, NULL, NULL) == 0)
            doomed->commits++;
    pthread_testcancel();
    return NULL;
}

static void a_commit_has_no_cancellation_point(void **state)
{
    (void)state;
    dw_watchdog_install("test_cancel", "pending");
    alarm(60);
    char path[DW_TMPDIR_SIZE], directory[DIRECTORY_SIZE];
    struct dwal_options options = make_log(path, directory);
    for (int variant = 0; variant < 4; variant++) {
        options.durable = variant == 1 ? reach_a_point : NULL;
        options.written = variant == 2 ? reach_a_point_too : NULL;
        struct doomed doomed = {0};
        assert_int_equal(dwal_open(directory, &options, &doomed.log), 0);
        int fd;
        if (variant == 3)
            assert_int_equal(dwal_eventfd(doomed.log, &fd), 0);
        pthread_t thread;
        void *result;
        assert_int_equal(pthread_create(&thread, NULL, commit_while_doomed, &doomed), 0);
        assert_int_equal(pthread_join(thread, &result), 0);
        assert_ptr_equal(result, PTHREAD_CANCELED);
        assert_int_equal(doomed.commits, 20);
        assert_int_equal(dwal_close(doomed.log), 0);
    }
    alarm(0);
    dw_tmpdir_remove(path);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_cancelled_committer_does_not_keep_the_role),
        cmocka_unit_test(a_commit_has_no_cancellation_point),
    };
    return cmocka_run_group_tests_name("cancel", tests, NULL, NULL);
}
