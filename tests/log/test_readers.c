/* test_readers.c - cursors, followers, read-only handles and many threads on a live log, both backends. */
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/lib/log_kit.h"

/* ---- readers ----------------------------------------------------------------------------------------------------------------- */

static void *follow(void *context)
{
    dwal *log = context;
    dwal_cursor *cursor;
    struct dwal_record record;
    char expected[1024];
    assert_int_equal(dwal_cursor_open(log, 0, &cursor), 0);
    for (uint64_t i = 0; i < 4000;) {
        int result = dwal_cursor_next(cursor, &record);
        if (result == DWAL_EEND) {
            result = dwal_wait(log, dwal_durable(log), UINT64_C(20000000));
            assert_true(result == 0 || result == DWAL_ETIMEOUT);
            continue;
        }
        if (result < 0)
            fail_msg("follow: %s", dwal_last_error()->text);
        size_t size = dw_log_kit_numbered(i, expected);
        assert_int_equal(record.data_size, size);
        assert_memory_equal(record.data, expected, size);
        assert_true(record.end <= dwal_durable(log));
        i++;
    }
    dwal_cursor_close(cursor);
    return NULL;
}

static void cursor_follows_the_live_tail(void **state)
{
    (void)state;
    dwal *log = dw_log_kit_create();
    pthread_t threads[2];
    for (int i = 0; i < 2; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, follow, log), 0);
    for (uint64_t i = 0; i < 4000; i += 10)
        dw_log_kit_append(log, i, i + 10);
    for (int i = 0; i < 2; i++)
        pthread_join(threads[i], NULL);
    assert_int_equal(dwal_close(log), 0);
}

static void read_only_handle_sees_a_live_writer_and_writes_nothing(void **state)
{
    (void)state;
    dwal *log = dw_log_kit_create();
    dw_log_kit_append(log, 0, 1500);
    struct dwal_options options = dw_log_kit_options();
    options.mode = DWAL_READ_ONLY;
    options.volume_size = options.blanks = 0;
    dwal *reader = dw_log_kit_open_with(&options);
    uint64_t before = dwal_durable(reader);
    uint64_t end;
    assert_int_equal(dwal_append(reader, &(struct dwal_entry){0}, NULL, &end), DWAL_EREADONLY);
    assert_int_equal(dwal_trim(reader, 0), DWAL_EREADONLY);
    assert_int_equal(dwal_sync(reader, 0), DWAL_EREADONLY);
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, follow, reader), 0);
    for (uint64_t i = 1500; i < 4000; i += 10)
        dw_log_kit_append(log, i, i + 10);
    pthread_join(thread, NULL); /* the marker or the next write shows it the last entries */
    assert_true(dwal_durable(reader) > before);
    assert_int_equal(dwal_close(reader), 0);
    assert_int_equal(dwal_close(log), 0);
    reader = dw_log_kit_open_with(&options);
    dw_log_kit_check(reader, 0, 4000);
    assert_int_equal(dwal_close(reader), 0);
}

static void skipped_data_is_not_read_and_can_be_asked_for(void **state)
{
    (void)state;
    dwal *log = dw_log_kit_create();
    dw_log_kit_append(log, 0, 200);
    dwal_cursor *cursor;
    struct dwal_record record;
    char expected[1024];
    assert_int_equal(dwal_cursor_open(log, 0, &cursor), 0);
    for (uint64_t i = 0; i < 200; i++) {
        assert_int_equal(dwal_cursor_next_metadata(cursor, &record), 0);
        if (i % 3 != 0)
            continue;
        assert_int_equal(dwal_cursor_data(cursor, &record), 0);
        size_t size = dw_log_kit_numbered(i, expected);
        assert_int_equal(record.data_size, size);
        assert_memory_equal(record.data, expected, size);
    }
    assert_int_equal(dwal_cursor_next(cursor, &record), DWAL_EEND);
    dwal_cursor_close(cursor);
    assert_int_equal(dwal_close(log), 0);
}

/* ---- many threads -------------------------------------------------------------------------------------------------------------------- */

static dwal *shared_log;

static void *commit_some(void *context)
{
    char bytes[64];
    uint64_t id = (uint64_t)(uintptr_t)context, last = 0;
    for (int i = 0; i < 150; i++) {
        int size = snprintf(bytes, sizeof bytes, "%llu:%d", (unsigned long long)id, i);
        struct iovec part;
        struct dwal_entry entry = dw_log_kit_entry(bytes, (size_t)size, &part);
        uint64_t lsn, end;
        assert_int_equal(dwal_commit(shared_log, &entry, &lsn, &end), 0);
        assert_true(lsn >= last);
        assert_true(dwal_durable(shared_log) >= end);
        last = end;
    }
    return NULL;
}

static void threads_commit_together_in_one_order(void **state)
{
    (void)state;
    shared_log = dw_log_kit_create();
    pthread_t threads[8];
    for (uintptr_t i = 0; i < 8; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, commit_some, (void *)i), 0);
    for (int i = 0; i < 8; i++)
        pthread_join(threads[i], NULL);
    struct dwal_stats *stats = calloc(1, sizeof *stats);
    stats->size = sizeof *stats;
    assert_int_equal(dwal_get_stats(shared_log, stats), 0);
    assert_int_equal(stats->commits, 1200);
    assert_int_equal(stats->stages[DWAL_STAGE_COMMIT].count, 1200);
    assert_true(stats->writes < 1200);
    free(stats);
    assert_int_equal(dwal_close(shared_log), 0);
    dwal *log = dw_log_kit_open();
    int next[8] = {0}, total = 0;
    dwal_cursor *cursor;
    struct dwal_record record;
    assert_int_equal(dwal_cursor_open(log, 0, &cursor), 0);
    while (dwal_cursor_next(cursor, &record) == 0) {
        char text[64] = {0};
        unsigned id;
        int n;
        memcpy(text, record.data, record.data_size);
        char *rest;
        id = (unsigned)strtoul(text, &rest, 10);
        n = (int)strtol(rest + 1, NULL, 10);
        assert_int_equal(n, next[id]++);
        total++;
    }
    assert_int_equal(total, 1200);
    dwal_cursor_close(cursor);
    assert_int_equal(dwal_close(log), 0);
}

struct busy {
    dwal *log;
    _Atomic bool is_stopping;
};
static void *write_on(void *context)
{
    struct busy *busy = context;
    for (uint64_t i = 0; !atomic_load(&busy->is_stopping); i += 7)
        dw_log_kit_append(busy->log, i, i + 7);
    return NULL;
}

static dwal *open_reader(void)
{
    struct dwal_options options = DWAL_OPTIONS_INIT;
    options.mode = DWAL_READ_ONLY;
    return dw_log_kit_open_with(&options); /* fails the test when it is refused */
}

static void a_busy_writer_keeps_no_reader_out(void **state)
{
    (void)state;
    struct busy busy = {.log = dw_log_kit_create()};
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, write_on, &busy), 0);
    for (int i = 0; i < 60; i++)
        assert_int_equal(dwal_close(open_reader()), 0);
    atomic_store(&busy.is_stopping, true);
    pthread_join(thread, NULL);
    assert_int_equal(dwal_close(busy.log), 0);
}

/* The writer has cut what a crash left and gone on in a new volume, and has written nothing there yet. */
static void a_reader_opens_beside_a_writer_that_has_only_recovered(void **state)
{
    (void)state;
#ifdef __SANITIZE_THREAD__
    skip(); /* the thread sanitizer lets no forked child start threads */
#endif
    dwal *log = dw_log_kit_create();
    dw_log_kit_append(log, 0, 100);
    assert_int_equal(dwal_close(log), 0);
    pid_t child = fork();
    if (child == 0) {
        static char large[3 << 20];
        struct iovec part;
        struct dwal_entry entry = dw_log_kit_entry(large, sizeof large, &part);
        uint64_t lsn;
        log = dw_log_kit_open();
        alarm(1); /* ends the process in the middle of an entry that does not fit into the ring */
        for (;;)
            (void)dwal_append(log, &entry, &lsn, NULL);
    }
    usleep(20000);
    kill(child, SIGKILL);
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    log = dw_log_kit_open();
    dwal *reader = open_reader();
    dwal_cursor *cursor;
    struct dwal_record record;
    assert_int_equal(dwal_cursor_open(reader, 0, &cursor), 0);
    for (int i = 0; i < 100; i++)
        assert_int_equal(dwal_cursor_next(cursor, &record), 0);
    dwal_cursor_close(cursor);
    assert_int_equal(dwal_close(reader), 0);
    assert_int_equal(dwal_close(log), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        DW_LOG_KIT_TEST(cursor_follows_the_live_tail),
        DW_LOG_KIT_TEST(read_only_handle_sees_a_live_writer_and_writes_nothing),
        DW_LOG_KIT_TEST(skipped_data_is_not_read_and_can_be_asked_for),
        DW_LOG_KIT_TEST(threads_commit_together_in_one_order),
        DW_LOG_KIT_TEST(a_busy_writer_keeps_no_reader_out),
        DW_LOG_KIT_TEST(a_reader_opens_beside_a_writer_that_has_only_recovered),
    };
    return DW_LOG_KIT_RUN(tests);
}
