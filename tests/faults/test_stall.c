/* test_stall.c - a write that does not come back: told and counted, waited for, and never acknowledged before it is there.
 *
 * Two ways: the call of a lone committer is kept from returning (the watcher of tests/lib/io_fault.h sleeps in it), and the
 * completion of a request of the flusher's queue is held back. */
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "core/log/log.h"
#include "tests/lib/io_fault.h"
#include "tests/lib/log_kit.h"
#include "tests/lib/watchdog.h"

enum { STALL_MS = 50, WITHIN_MS = 1900, HANG_SECONDS = 60 };

struct subject {
    struct dw_disk *disk;
    dwal *log;
    pthread_mutex_t mutex; /* guards the gate */
    pthread_cond_t opened;
    bool is_shut, is_inside; /* the gate in front of writes to volumes; somebody stands in it */
    _Atomic uint32_t out_told, late_told, failures_told;
    _Atomic uint64_t durable_told;
};

static void on_event(void *context, enum dwal_event_level level, const char *text)
{
    struct subject *subject = context;
    if (level == DWAL_EVENT_WARNING && strstr(text, "has been out for"))
        subject->out_told++;
    if (level == DWAL_EVENT_WARNING && strstr(text, "and came back"))
        subject->late_told++;
}

static void on_durable(void *context, uint64_t durable, int failure)
{
    struct subject *subject = context;
    atomic_store(&subject->durable_told, durable);
    subject->failures_told += failure != 0;
}

static void watch(void *context, enum dw_fault_kind kind, const char *name, uint64_t offset, size_t size)
{
    struct subject *subject = context;
    (void)offset, (void)size;
    if (!(kind & DW_FAULT_ANY_WRITE) || !strstr(name, ".vol"))
        return;
    pthread_mutex_lock(&subject->mutex);
    subject->is_inside = subject->is_shut;
    while (subject->is_shut)
        pthread_cond_wait(&subject->opened, &subject->mutex);
    subject->is_inside = false;
    pthread_mutex_unlock(&subject->mutex);
}

static void set_gate(struct subject *subject, bool is_shut)
{
    pthread_mutex_lock(&subject->mutex);
    subject->is_shut = is_shut;
    pthread_cond_broadcast(&subject->opened);
    pthread_mutex_unlock(&subject->mutex);
}

static bool is_inside_gate(struct subject *subject)
{
    pthread_mutex_lock(&subject->mutex);
    bool is_inside = subject->is_inside;
    pthread_mutex_unlock(&subject->mutex);
    return is_inside;
}

static void make(struct subject *subject)
{
    struct dw_disk *inner;
    struct dwal_options options = dw_log_kit_options();
    *subject = (struct subject){.mutex = PTHREAD_MUTEX_INITIALIZER, .opened = PTHREAD_COND_INITIALIZER};
    alarm(HANG_SECONDS);
    assert_int_equal(dwal_create(dw_log_kit_path, &options), 0);
    assert_int_equal(dw_disk_posix_open(dw_log_kit_path, false, &inner), 0);
    assert_int_equal(dw_fault_open(inner, true, &subject->disk), 0);
    dw_fault_watch(subject->disk, watch, subject);
    options.event = on_event;
    options.durable = on_durable;
    options.context = subject;
    options.stall_report_ms = STALL_MS;
    options.marker_delay_ms = UINT32_MAX;
    options.ring_size = 64 << 10;
    struct dw_log_setup setup = {.disk = subject->disk};
    assert_int_equal(dw_log_open_on(&setup, &options, &subject->log), 0);
}

static void drop(struct subject *subject, int expected)
{
    assert_int_equal(dwal_close(subject->log), expected);
    dwal *log = dw_log_kit_open(); /* what is there checks */
    assert_int_equal(dwal_close(log), 0);
    pthread_mutex_destroy(&subject->mutex);
    pthread_cond_destroy(&subject->opened);
    alarm(0);
}

static uint64_t stalls_of(dwal *log)
{
    struct dwal_stats *stats = calloc(1, sizeof *stats);
    stats->size = sizeof *stats;
    assert_int_equal(dwal_get_stats(log, stats), 0);
    uint64_t stalls = stats->stalls;
    free(stats);
    return stalls;
}

/* A slow machine may make writes late that nobody held: what was counted before does not matter. */
static void wait_until_told(struct subject *subject, uint32_t before)
{
    for (int ms = 0; subject->out_told == before && ms < WITHIN_MS * 5; ms += 10)
        usleep(10000);
    assert_int_equal(subject->out_told, before + 1);
}

/* ---- threads that wait ---- */

struct waiter {
    struct subject *subject;
    pthread_t thread;
    bool is_committing;   /* else: append, then sync */
    _Atomic bool is_done; /* the call came back */
    int result;
    uint64_t lsn, end;
};

static void *wait_for_durability(void *context)
{
    struct waiter *waiter = context;
    dwal *log = waiter->subject->log;
    struct iovec part;
    struct dwal_entry entry = dw_log_kit_entry("waited for", 10, &part);
    if (waiter->is_committing) {
        waiter->result = dwal_commit(log, &entry, &waiter->lsn, &waiter->end);
    } else {
        waiter->result = dwal_append(log, &entry, &waiter->lsn, &waiter->end);
        if (waiter->result == 0)
            waiter->result = dwal_sync(log, waiter->end);
    }
    waiter->is_done = true;
    return NULL;
}

static void start(struct waiter *waiter, struct subject *subject, bool is_committing)
{
    *waiter = (struct waiter){.subject = subject, .is_committing = is_committing};
    assert_int_equal(pthread_create(&waiter->thread, NULL, wait_for_durability, waiter), 0);
}

/* A lone committer whose write is out, and others who wait behind it. */
static void stall(struct subject *subject, struct waiter waiters[3])
{
    set_gate(subject, true);
    start(&waiters[0], subject, true);
    while (!is_inside_gate(subject))
        usleep(1000);
    start(&waiters[1], subject, false);
    start(&waiters[2], subject, true);
}

static void check_nobody_is_told(struct subject *subject, const struct waiter waiters[3], uint64_t durable)
{
    for (int i = 0; i < 3; i++)
        assert_false(waiters[i].is_done);
    assert_int_equal(dwal_durable(subject->log), durable);
    assert_true(atomic_load(&subject->durable_told) <= durable);
    assert_int_equal(dwal_failure(subject->log, NULL), 0);
}

static void stalled_write_is_told_once_and_waited_for(void **state)
{
    (void)state;
    struct subject subject;
    struct waiter waiters[3];
    make(&subject);
    uint64_t end, durable;
    dw_log_kit_append_text(subject.log, "before", &end);
    assert_int_equal(dwal_sync(subject.log, end), 0);
    durable = dwal_durable(subject.log);
    uint64_t stalls = stalls_of(subject.log);
    uint32_t told = subject.out_told;
    stall(&subject, waiters);
    assert_int_equal(dwal_sync_for(subject.log, dwal_end(subject.log), 20000000), DWAL_ETIMEOUT);
    assert_non_null(strstr(dwal_last_error()->text, "was not durable"));
    wait_until_told(&subject, told);
    check_nobody_is_told(&subject, waiters, durable);
    assert_int_equal(stalls_of(subject.log), stalls + 1); /* while it is out */
    usleep(1300000);                                      /* another look passes */
    assert_int_equal(subject.out_told, told + 1);
    assert_int_equal(stalls_of(subject.log), stalls + 1);
    check_nobody_is_told(&subject, waiters, durable);
    set_gate(&subject, false);
    for (int i = 0; i < 3; i++) {
        pthread_join(waiters[i].thread, NULL);
        assert_int_equal(waiters[i].result, 0);
        assert_true(dwal_durable(subject.log) >= waiters[i].end);
    }
    assert_int_equal(dwal_failure(subject.log, NULL), 0);
    drop(&subject, 0);
}

static void appenders_wait_behind_a_stall_and_can_refuse_to(void **state)
{
    (void)state;
    struct subject subject;
    struct waiter waiters[3];
    static const char bytes[3000];
    struct iovec part;
    struct dwal_entry entry = dw_log_kit_entry(bytes, sizeof bytes, &part);
    make(&subject);
    uint64_t durable = dwal_durable(subject.log), end = 0;
    stall(&subject, waiters);
    int result = 0;
    for (int i = 0; i < 1000 && result == 0; i++)
        result = dwal_try_append(subject.log, &entry, NULL, &end);
    assert_int_equal(result, DWAL_EFULL);
    check_nobody_is_told(&subject, waiters, durable);
    set_gate(&subject, false);
    for (int i = 0; i < 3; i++) {
        pthread_join(waiters[i].thread, NULL);
        assert_int_equal(waiters[i].result, 0);
    }
    assert_int_equal(dwal_append(subject.log, &entry, NULL, &end), 0); /* waits for room, and gets it */
    assert_int_equal(dwal_sync(subject.log, end), 0);
    drop(&subject, 0);
}

/* The write is on the device, and nobody knows: it must not be acknowledged, even though it could be read back. */
static void held_completion_is_not_guessed(void **state)
{
    (void)state;
    struct subject subject;
    make(&subject);
    uint64_t end, durable = dwal_durable(subject.log), stalls = stalls_of(subject.log);
    uint32_t told = subject.out_told;
    dw_fault_add(subject.disk,
                 &(struct dw_fault_rule){.kinds = DW_FAULT_QUEUE_WRITE, .at = 1, .action = DW_FAULT_HELD});
    dw_log_kit_append_text(subject.log, "on its way", &end);
    assert_int_equal(dwal_flush(subject.log, end), 0);
    while (dw_fault_held(subject.disk) == 0)
        usleep(1000);
    assert_int_equal(dwal_sync_for(subject.log, end, 20000000), DWAL_ETIMEOUT);
    assert_int_equal(dwal_wait(subject.log, durable, 20000000), DWAL_ETIMEOUT);
    wait_until_told(&subject, told);
    assert_int_equal(stalls_of(subject.log), stalls + 1);
    assert_int_equal(dwal_durable(subject.log), durable);
    dwal_cursor *cursor;
    struct dwal_record record;
    assert_int_equal(dwal_cursor_open(subject.log, 0, &cursor), 0);
    assert_int_equal(dwal_cursor_next(cursor, &record), DWAL_EEND); /* not shown either */
    dw_fault_release(subject.disk);
    assert_int_equal(dwal_sync(subject.log, end), 0);
    assert_int_equal(dwal_cursor_next(cursor, &record), 0);
    dwal_cursor_close(cursor);
    assert_int_equal(stalls_of(subject.log), stalls + 1); /* not counted again when it came back */
    drop(&subject, 0);
}

static void stalled_write_that_fails_wakes_everybody_with_the_cause(void **state)
{
    (void)state;
    struct subject subject;
    struct waiter waiters[3];
    make(&subject);
    uint64_t durable = dwal_durable(subject.log);
    dw_fault_add(
        subject.disk,
        &(struct dw_fault_rule){
            .kinds = DW_FAULT_ANY_WRITE, .at = 1, .is_sticky = true, .error = -EIO, .name_start = "0000000000.vol"});
    uint32_t told = subject.out_told;
    stall(&subject, waiters);
    wait_until_told(&subject, told);
    check_nobody_is_told(&subject, waiters, durable);
    set_gate(&subject, false);
    for (int i = 0; i < 3; i++) {
        pthread_join(waiters[i].thread, NULL);
        assert_int_equal(waiters[i].result, DWAL_EFAILED);
    }
    struct dwal_error error;
    assert_int_equal(dwal_failure(subject.log, &error), DWAL_EDEVICE);
    assert_int_equal(error.system_code, EIO);
    assert_int_equal(dwal_durable(subject.log), durable);
    assert_int_equal(subject.failures_told, 1);
    dw_fault_clear(subject.disk);
    drop(&subject, DWAL_EFAILED);
}

struct closer {
    dwal *log;
    _Atomic bool is_done;
    int result;
};

static void *close_log(void *context)
{
    struct closer *closer = context;
    closer->result = dwal_close(closer->log);
    closer->is_done = true;
    return NULL;
}

static void close_waits_for_a_stalled_write(void **state)
{
    (void)state;
    struct subject subject;
    make(&subject);
    uint64_t end;
    struct closer closer = {.log = subject.log};
    pthread_t thread;
    set_gate(&subject, true);
    dw_log_kit_append_text(subject.log, "the last", &end);
    assert_int_equal(pthread_create(&thread, NULL, close_log, &closer), 0);
    while (!is_inside_gate(&subject))
        usleep(1000);
    usleep(300000);
    assert_false(closer.is_done);
    set_gate(&subject, false);
    pthread_join(thread, NULL);
    assert_int_equal(closer.result, 0);
    subject.log = NULL; /* it is gone */
    drop(&subject, 0);
}

static void write_that_came_back_late_is_told_too(void **state)
{
    (void)state;
    struct subject subject;
    struct waiter waiter;
    make(&subject);
    uint64_t stalls = stalls_of(subject.log);
    uint32_t told = subject.out_told + subject.late_told;
    set_gate(&subject, true);
    start(&waiter, &subject, true);
    while (!is_inside_gate(&subject))
        usleep(1000);
    usleep(2 * STALL_MS * 1000);
    set_gate(&subject, false);
    pthread_join(waiter.thread, NULL);
    assert_int_equal(waiter.result, 0);
    assert_true(stalls_of(subject.log) > stalls);
    for (int ms = 0; subject.out_told + subject.late_told == told && ms < WITHIN_MS * 5; ms += 10)
        usleep(10000);
    assert_true(subject.out_told + subject.late_told > told);
    drop(&subject, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        DW_LOG_KIT_TEST(stalled_write_is_told_once_and_waited_for),
        DW_LOG_KIT_TEST(appenders_wait_behind_a_stall_and_can_refuse_to),
        DW_LOG_KIT_TEST(held_completion_is_not_guessed),
        DW_LOG_KIT_TEST(stalled_write_that_fails_wakes_everybody_with_the_cause),
        DW_LOG_KIT_TEST(close_waits_for_a_stalled_write),
        DW_LOG_KIT_TEST(write_that_came_back_late_is_told_too),
    };
    dw_watchdog_install("test_stall", NULL);
    if (getenv("DW_ONLY"))
        cmocka_set_test_filter(getenv("DW_ONLY"));
    return DW_LOG_KIT_RUN(tests);
}
