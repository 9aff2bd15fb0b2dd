/* test_backup.c - dwal_backup: a copy at one moment, beside a writer that goes on, complete or not there. */
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <dwal/backup.h>

#include "tests/lib/log_kit.h"
#include "tests/lib/shell.h"

#define PATH dw_log_kit_path
static char target[sizeof dw_log_kit_path + 16];

static int set_up(void **state)
{
    int result = dw_log_kit_set_up(state);
    snprintf(target, sizeof target, "%s/copy", dw_log_kit_directory);
    return result;
}
#define BACKUP_TEST(name) cmocka_unit_test_setup_teardown(name, set_up, dw_log_kit_tear_down)

static struct dwal_backup back_up(bool is_incremental)
{
    struct dwal_backup how = {.size = sizeof how, .is_incremental = is_incremental};
    if (dwal_backup(PATH, target, &how) < 0)
        fail_msg("backup: %s", dwal_last_error()->text);
    dw_shell_good("test ! -e %s.partial", target);
    return how;
}

/* Entries of the copy, which has to hold [from, ...) without a gap and to be sound. */
static uint64_t check_copy(uint64_t from)
{
    struct dwal_options options = DWAL_OPTIONS_INIT;
    struct dwal_report report = {.size = sizeof report};
    assert_int_equal(dwal_verify(target, &options, true, NULL, NULL, &report), 0);
    if (dwal_verdict_error(report.verdict) != 0 || report.findings > 0)
        fail_msg("%llu findings: %s", (unsigned long long)report.findings, report.text);
    dwal *log;
    dwal_cursor *cursor;
    struct dwal_record record;
    char expected[1024];
    options.mode = DWAL_READ_ONLY;
    assert_int_equal(dwal_open(target, &options, &log), 0);
    assert_int_equal(dwal_cursor_open(log, 0, &cursor), 0);
    uint64_t i = from;
    int result;
    for (; (result = dwal_cursor_next(cursor, &record)) == 0; i++) {
        size_t size = dw_log_kit_numbered(i, expected);
        if (record.data_size != size || memcmp(record.data, expected, size) != 0)
            fail_msg("entry %llu differs", (unsigned long long)i);
    }
    assert_int_equal(result, DWAL_EEND);
    dwal_cursor_close(cursor);
    assert_int_equal(dwal_close(log), 0);
    return i;
}

/* Open the copy for writing, go on with it, close it. */
static void write_to_copy(uint64_t from, uint64_t to)
{
    struct dwal_options options = dw_log_kit_options();
    dwal *log;
    options.volume_size = options.blanks = 0;
    if (dwal_open(target, &options, &log) < 0)
        fail_msg("open of the copy: %s", dwal_last_error()->text);
    dw_log_kit_append(log, from, to);
    assert_int_equal(dwal_close(log), 0);
}

/* Wait until the log on disk proves all that was appended: the idle writer's marker is there. */
static void wait_for_marker(dwal *log)
{
    struct dwal_options options = DWAL_OPTIONS_INIT;
    dwal *reader;
    options.mode = DWAL_READ_ONLY;
    assert_int_equal(dwal_open(PATH, &options, &reader), 0);
    assert_int_equal(dwal_wait(reader, dwal_end(log) - 1, UINT64_C(120000000000)), 0); /* long: a busy machine */
    assert_int_equal(dwal_close(reader), 0);
}

/* ---- tests ---- */

static void a_closed_log_is_copied_whole(void **state)
{
    (void)state;
    dwal *log = dw_log_kit_create();
    dw_log_kit_append(log, 0, 3000); /* several volumes */
    uint64_t end = dwal_end(log);
    assert_int_equal(dwal_close(log), 0);
    struct dwal_backup how = back_up(false);
    assert_true(how.volumes_copied >= 4);
    assert_int_equal(how.volumes_kept, 0);
    assert_int_equal(how.first, 0);
    assert_true(how.end <= end);
    assert_int_equal(check_copy(0), 3000);
    struct dwal_report report = {.size = sizeof report};
    assert_int_equal(dwal_verify(target, NULL, true, NULL, NULL, &report), 0);
    assert_int_equal(report.verdict, DWAL_VERDICT_CLEAN);
    write_to_copy(3000, 4000);
    assert_int_equal(check_copy(0), 4000);
    dw_log_kit_check(dw_log_kit_open(), 0, 3000); /* the original is as it was; its handle goes with the process */
}

static void an_empty_log_is_copied_too(void **state)
{
    (void)state;
    struct dwal_options options = dw_log_kit_options();
    assert_int_equal(dwal_create(PATH, &options), 0);
    back_up(false);
    assert_int_equal(check_copy(0), 0);
    write_to_copy(0, 100);
    assert_int_equal(check_copy(0), 100);
}

static void beside_a_writer_the_copy_ends_where_it_was_begun(void **state)
{
    (void)state;
    dwal *log = dw_log_kit_create();
    dw_log_kit_append(log, 0, 2500);
    wait_for_marker(log);
    back_up(false);
    assert_int_equal(check_copy(0), 2500);
    dw_log_kit_append(log, 2500, 2600);
    assert_int_equal(check_copy(0), 2500);
    write_to_copy(2500, 3500); /* two logs now */
    assert_int_equal(dwal_close(log), 0);
    assert_int_equal(check_copy(0), 3500);
}

enum { BUSY_ENTRIES = 15000 };
struct writer {
    dwal *log;
    _Atomic uint64_t acknowledged;
    _Atomic bool is_stopping;
};
static void *write_on(void *context)
{
    struct writer *writer = context;
    uint64_t i = atomic_load(&writer->acknowledged);
    while (!atomic_load(&writer->is_stopping)) {
        if (i >= BUSY_ENTRIES) { /* enough to read again and again on a slow machine */
            usleep(1000);
            continue;
        }
        dw_log_kit_append(writer->log, i, i + 7);
        i += 7;
        atomic_store(&writer->acknowledged, i);
        usleep(150);
    }
    return NULL;
}

static void a_busy_writer_disturbs_no_backup(void **state)
{
    (void)state;
    struct writer writer = {.log = dw_log_kit_create()};
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, write_on, &writer), 0);
    uint64_t least = 0;
    for (int i = 0; i < 12; i++) {
        usleep(20000);
        uint64_t before = atomic_load(&writer.acknowledged);
        back_up(i > 0);
        uint64_t held = check_copy(0);
        assert_true(held >= least); /* an incremental one never goes back */
        assert_true(held + 500 >= before);
        least = held;
    }
    atomic_store(&writer.is_stopping, true);
    pthread_join(thread, NULL);
    uint64_t all = atomic_load(&writer.acknowledged);
    assert_int_equal(dwal_close(writer.log), 0);
    struct dwal_backup how = back_up(true);
    assert_int_equal(check_copy(0), all);
    assert_true(how.volumes_kept > 0);
}

static dwal *meddled;
static bool has_meddled;
/* While the backup waits here: drop everything, and write enough to use every blank. */
static void meddle(void *context, uint64_t done, uint64_t total)
{
    (void)context;
    (void)total;
    if (has_meddled || done == 0)
        return;
    has_meddled = true;
    assert_int_equal(dwal_trim(meddled, dwal_durable(meddled)), 0);
    dw_log_kit_append(meddled, 2500, 8000);
    assert_int_equal(dwal_trim(meddled, dwal_durable(meddled)), 0);
    usleep(300000); /* time enough to retire whatever can be */
    dw_shell_good("ls %s/0000000000.vol %s/0000000002.vol %s/0000000004.vol", PATH, PATH, PATH);
}

static void E22_nothing_is_retired_under_a_backup(void **state)
{
    (void)state;
    meddled = dw_log_kit_create();
    has_meddled = false;
    dw_log_kit_append(meddled, 0, 2500);
    wait_for_marker(meddled);
    struct dwal_backup how = {.size = sizeof how, .progress = meddle};
    assert_int_equal(dwal_backup(PATH, target, &how), 0);
    assert_true(has_meddled);
    assert_int_equal(check_copy(0), 2500); /* of the moment at which it was begun */
    for (int i = 0; i < 2000 && dw_shell("test -e %s/0000000000.vol", PATH)->status == 0; i++)
        usleep(1000);
    dw_shell_good("test ! -e %s/0000000000.vol", PATH); /* and now they may go */
    assert_int_equal(dwal_close(meddled), 0);
}

static void an_incremental_backup_copies_only_what_is_new(void **state)
{
    (void)state;
    dwal *log = dw_log_kit_create();
    dw_log_kit_append(log, 0, 2500);
    wait_for_marker(log);
    struct dwal_backup first = back_up(true); /* there is none: a full one */
    assert_int_equal(first.volumes_kept, 0);
    dw_log_kit_append(log, 2500, 3000);
    wait_for_marker(log);
    struct dwal_backup second = back_up(true);
    assert_true(second.volumes_kept >= first.volumes_copied - 1);
    assert_true(second.volumes_copied <= 3);
    assert_true(second.bytes_copied < first.bytes_copied);
    assert_true(second.end > first.end);
    assert_int_equal(check_copy(0), 3000);
    struct dwal_backup third = back_up(true); /* nothing new */
    assert_int_equal(third.end, second.end);
    /* What the source has dropped is dropped. */
    dwal_cursor *cursor;
    struct dwal_record record;
    assert_int_equal(dwal_cursor_open(log, 0, &cursor), 0);
    for (int i = 0; i <= 2000; i++)
        assert_int_equal(dwal_cursor_next(cursor, &record), 0);
    uint64_t lsn = record.lsn;
    dwal_cursor_close(cursor);
    assert_int_equal(dwal_trim(log, lsn), 0);
    assert_int_equal(back_up(true).first, lsn);
    assert_int_equal(check_copy(2000), 3000);
    assert_int_equal(dwal_close(log), 0);
    back_up(true);
    assert_int_equal(check_copy(2000), 3000);
    write_to_copy(3000, 3010);
    struct dwal_backup how = {.size = sizeof how, .is_incremental = true};
    assert_int_equal(dwal_backup(PATH, target, &how), DWAL_EEXIST); /* it has a life of its own */
    assert_int_equal(check_copy(2000), 3010);
}

static void what_is_at_the_destination_is_never_harmed(void **state)
{
    (void)state;
    struct dwal_options options = dw_log_kit_options();
    struct dwal_backup how = {.size = sizeof how};
    assert_int_equal(dwal_backup(PATH, target, &how), DWAL_ENOLOG);
    assert_int_equal(dwal_create(PATH, &options), 0);
    dw_shell_good("mkdir %s && echo precious > %s/file", target, target);
    assert_int_equal(dwal_backup(PATH, target, &how), DWAL_EEXIST);
    how.is_incremental = true;
    assert_int_equal(dwal_backup(PATH, target, &how), DWAL_EEXIST);
    dw_shell_good("grep precious %s/file && rm -r %s && test ! -e %s.partial", target, target, target);
    assert_int_equal(dwal_create(target, &options), 0); /* a log, but no backup */
    assert_int_equal(dwal_backup(PATH, target, &how), DWAL_EEXIST);
    dw_shell_good("rm -r %s", target);
    /* A backup of another log. */
    back_up(false);
    dw_shell_good("rm -r %s", PATH);
    assert_int_equal(dwal_create(PATH, &options), 0);
    assert_int_equal(dwal_backup(PATH, target, &how), DWAL_EFOREIGN);
    assert_int_equal(check_copy(0), 0);
    /* Something that is none of ours under the partial name. */
    dw_shell_good("rm -r %s && mkdir %s.partial && echo mine > %s.partial/file", target, target, target);
    assert_true(dwal_backup(PATH, target, &how) < 0);
    dw_shell_good("grep mine %s.partial/file", target);
    how.size = 1;
    assert_int_equal(dwal_backup(PATH, target, &how), DWAL_EARGUMENT);
    assert_int_equal(dwal_backup(NULL, target, &how), DWAL_EARGUMENT);
}

/* No space for it: nothing is left, and an earlier one stays. */
static void a_full_destination_is_told_and_left_as_it_was(void **state)
{
    (void)state;
    dwal *log = dw_log_kit_create();
    dw_log_kit_append(log, 0, 1000);
    assert_int_equal(dwal_close(log), 0);
    struct rlimit limit, small = {.rlim_cur = 100000};
    struct dwal_backup how = {.size = sizeof how};
    signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &limit), 0);
    small.rlim_max = limit.rlim_max;
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0); /* as a file system that ends in the middle of a volume */
    int result = dwal_backup(PATH, target, &how);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
    assert_int_equal(result, DWAL_ENOSPACE);
    dw_shell_good("test ! -e %s -a ! -e %s.partial", target, target);
    back_up(false);
    assert_int_equal(check_copy(0), 1000);
    log = dw_log_kit_open();
    dw_log_kit_append(log, 1000, 1200);
    assert_int_equal(dwal_close(log), 0);
    how.is_incremental = true;
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
    result = dwal_backup(PATH, target, &how);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
    assert_int_equal(result, DWAL_ENOSPACE);
    assert_int_equal(check_copy(0), 1000);
    back_up(true);
    assert_int_equal(check_copy(0), 1200);
}

static void a_damaged_source_gives_no_backup(void **state)
{
    (void)state;
    dwal *log = dw_log_kit_create();
    dw_log_kit_append(log, 0, 2000);
    assert_int_equal(dwal_close(log), 0);
    dw_shell_good("printf x | dd of=%s/0000000001.vol bs=1 seek=40000 conv=notrunc status=none", PATH);
    struct dwal_backup how = {.size = sizeof how};
    assert_int_equal(dwal_backup(PATH, target, &how), DWAL_ECORRUPT);
    assert_non_null(strstr(dwal_last_error()->text, "copy"));
    dw_shell_good("test ! -e %s && test ! -e %s.partial", target, target);
}

/* Append [from, to), then a large entry that a kill cuts in its middle. */
static void live_and_be_killed(uint64_t from, uint64_t to)
{
    pid_t child = fork();
    if (child == 0) {
        struct dwal_options options = dw_log_kit_options();
        static char large[3 << 20];
        struct iovec part;
        struct dwal_entry entry = dw_log_kit_entry(large, sizeof large, &part);
        dwal *log;
        options.volume_size = options.blanks = 0;
        if (dwal_open(PATH, &options, &log) < 0)
            _exit(1);
        dw_log_kit_append(log, from, to);
        struct timespec soon = {.tv_nsec = 3000000};
        timer_t timer;
        struct sigevent event = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGKILL};
        timer_create(CLOCK_MONOTONIC, &event, &timer);
        timer_settime(timer, 0, &(struct itimerspec){.it_value = soon}, NULL);
        for (;;)
            (void)dwal_append(log, &entry, NULL, NULL); /* larger than the ring: it streams */
    }
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFSIGNALED(status));
}

static size_t count_all(const char *path)
{
    struct dwal_options options = DWAL_OPTIONS_INIT;
    dwal *log;
    dwal_cursor *cursor;
    struct dwal_record record;
    size_t count = 0;
    options.mode = DWAL_READ_ONLY;
    assert_int_equal(dwal_open(path, &options, &log), 0);
    assert_int_equal(dwal_cursor_open(log, 0, &cursor), 0);
    while (dwal_cursor_next(cursor, &record) == 0)
        count++;
    dwal_cursor_close(cursor);
    assert_int_equal(dwal_close(log), 0);
    return count;
}

static void a_log_that_was_cut_again_and_again_is_copied_with_its_cuts(void **state)
{
    (void)state;
#ifdef __SANITIZE_THREAD__
    skip(); /* the thread sanitizer lets no forked child start threads */
#endif
    struct dwal_options options = dw_log_kit_options();
    assert_int_equal(dwal_create(PATH, &options), 0);
    for (uint64_t life = 0; life < 6; life++) {
        live_and_be_killed(life * 100, life * 100 + 100);
        struct dwal_backup how = back_up(life > 0); /* with the torn end that the kill left */
        assert_true(how.volumes_copied > 0);
        size_t count = count_all(PATH);
        assert_true(count >= (life + 1) * 100);
        assert_int_equal(count_all(target), count);
    }
    dwal *log = dw_log_kit_open();
    wait_for_marker(log);
    back_up(true);
    size_t count = count_all(target);
    assert_int_equal(dwal_close(log), 0);
    assert_int_equal(count_all(PATH), count);
    struct dwal_options writing = dw_log_kit_options();
    writing.volume_size = writing.blanks = 0;
    assert_int_equal(dwal_open(target, &writing, &log), 0);
    dw_log_kit_append(log, 0, 10);
    assert_int_equal(dwal_close(log), 0);
    assert_int_equal(count_all(target), count + 10);
}

/* Kill the process at every step of a backup: the destination is the old one or the new one. */
static void a_killed_backup_leaves_the_old_one_or_the_new_one(void **state)
{
    (void)state;
#ifdef __SANITIZE_THREAD__
    skip(); /* the thread sanitizer lets no forked child start threads */
#endif
    dwal *log = dw_log_kit_create();
    dw_log_kit_append(log, 0, 1500);
    assert_int_equal(dwal_close(log), 0);
    for (int life = 0; life < 14; life++) {
        bool is_first = life < 7;
        if (is_first)
            dw_shell_good("rm -rf %s", target);
        uint64_t before = is_first ? 0 : check_copy(0);
        log = dw_log_kit_open();
        dw_log_kit_append(log, 1500 + (uint64_t)life * 300, 1800 + (uint64_t)life * 300);
        assert_int_equal(dwal_close(log), 0);
        pid_t child = fork();
        if (child == 0) {
            struct dwal_backup how = {.size = sizeof how, .is_incremental = true};
            _exit(dwal_backup(PATH, target, &how) == 0 ? 0 : 1);
        }
        usleep((useconds_t)(life % 7) * 2500 + 500);
        kill(child, SIGKILL);
        int status;
        assert_int_equal(waitpid(child, &status, 0), child);
        if (dw_shell("test -e %s", target)->status == 0) {
            uint64_t held = check_copy(0);
            assert_true(held == before || held == 1800 + (uint64_t)life * 300);
        } else {
            assert_true(is_first);
        }
        back_up(true); /* whatever was left does not stand in its way */
        assert_int_equal(check_copy(0), 1800 + (uint64_t)life * 300);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        BACKUP_TEST(a_closed_log_is_copied_whole),
        BACKUP_TEST(an_empty_log_is_copied_too),
        BACKUP_TEST(beside_a_writer_the_copy_ends_where_it_was_begun),
        BACKUP_TEST(a_busy_writer_disturbs_no_backup),
        BACKUP_TEST(E22_nothing_is_retired_under_a_backup),
        BACKUP_TEST(an_incremental_backup_copies_only_what_is_new),
        BACKUP_TEST(what_is_at_the_destination_is_never_harmed),
        BACKUP_TEST(a_full_destination_is_told_and_left_as_it_was),
        BACKUP_TEST(a_damaged_source_gives_no_backup),
        BACKUP_TEST(a_log_that_was_cut_again_and_again_is_copied_with_its_cuts),
        BACKUP_TEST(a_killed_backup_leaves_the_old_one_or_the_new_one),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
