/* test_space.c - a full file system: refused before it is accepted, nothing lost, healed by a trim, closed and opened as it is.
 *
 * As root on a small ext4 on a loop device; everywhere on a simulated disk of a small capacity, with threads as well. */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include <dwal/dwal.h>

#include "core/log/log.h"
#include "io/sim.h"
#include "tests/lib/shell.h"
#include "tests/lib/tmpdir.h"
#include "tests/lib/watchdog.h"

enum { HANG_SECONDS = 120, ENTRY_SIZE = 3000, IMAGE_KIB = 8192 };

static char directory[DW_TMPDIR_SIZE];
static char mounted[DW_TMPDIR_SIZE + 8]; /* the small file system; "": none, the disk is simulated */
static bool is_on_loop;
static struct dw_disk *disk;
static dwal *log_open;

/* ---- places ---- */

static int set_up(void **state)
{
    (void)state;
    alarm(HANG_SECONDS);
    if (!is_on_loop) {
        struct dw_sim_options options = {.capacity = 2 << 20, .is_history_off = true, .complete_percent = 100};
        assert_int_equal(dw_sim_open(&options, &disk), 0);
        return 0;
    }
    dw_tmpdir_make(directory, "space");
    snprintf(mounted, sizeof mounted, "%s/m", directory);
    dw_shell_good("cd %s && mkdir m && truncate -s %dK image && mkfs.ext4 -q -m 0 -b 4096 -N 64 image && mount -o loop "
                  "image m && mkdir m/log",
                  directory, IMAGE_KIB);
    char path[sizeof mounted + 8];
    snprintf(path, sizeof path, "%s/log", mounted);
    assert_int_equal(dw_disk_posix_open(path, false, &disk), 0);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    if (log_open)
        (void)dwal_close(log_open);
    log_open = NULL;
    disk->ops->close(disk);
    if (is_on_loop) {
        dw_shell_good("umount %s", mounted);
        dw_tmpdir_remove(directory);
    }
    alarm(0);
    return 0;
}

/* Take what is left of the file system away from the log, down to the last block; and give it back. */
static void hog_space(void)
{
    if (is_on_loop)
        (void)dw_shell(
            "dd if=/dev/zero of=%s/hog bs=4096 2>/dev/null; dd if=/dev/zero of=%s/hog2 bs=512 2>/dev/null; sync",
            mounted, mounted);
}

static void free_hogged_space(void)
{
    if (is_on_loop)
        dw_shell_good("rm -f %s/hog %s/hog2; sync", mounted, mounted);
}

static void open_log(void)
{
    struct dw_log_setup setup = {.disk = disk, .is_disk_borrowed = true};
    struct dwal_options options = DWAL_OPTIONS_INIT;
    options.ring_size = 64 << 10;
    options.write_size_max = 32 << 10;
    options.backend = is_on_loop ? "uring" : "sim";
    if (dw_log_open_on(&setup, &options, &log_open) < 0)
        fail_msg("open: %s", dwal_last_error()->text);
}

static void create_log(void)
{
    static const uint8_t log_id[16] = "a full disk";
    struct dwal_options options = DWAL_OPTIONS_INIT;
    options.volume_size = 256 << 10;
    options.blanks = 2;
    if (dw_log_create_on(disk, NULL, log_id, 0x80005555u, &options) < 0)
        fail_msg("create: %s", dwal_last_error()->text);
    open_log();
}

static void close_log(void)
{
    int result = dwal_close(log_open);
    log_open = NULL;
    if (result != 0)
        fail_msg("close: %s", dwal_last_error()->text);
}

/* ---- entries: entry n is its number and filling ---- */

static uint64_t lsns[4096];
static uint64_t count; /* committed */

static int commit_size(uint64_t number, size_t size)
{
    static _Thread_local char bytes[ENTRY_SIZE];
    memset(bytes, (int)(number % 251), sizeof bytes);
    memcpy(bytes, &number, sizeof number);
    struct iovec part = {bytes, size};
    struct dwal_entry entry = {.data = &part, .data_count = 1};
    uint64_t lsn = 0, end;
    int result = dwal_commit(log_open, &entry, &lsn, &end);
    if (result == 0 && number < sizeof lsns / sizeof lsns[0])
        lsns[number] = lsn;
    return result;
}

/* Commit until it is refused. */
static void fill_up(void)
{
    int result = 0;
    while (result == 0) {
        result = commit_size(count, ENTRY_SIZE);
        count += result == 0;
    }
    if (result != DWAL_ENOSPACE)
        fail_msg("refused with %s", dwal_last_error()->text);
    assert_non_null(strstr(dwal_last_error()->text, "free space"));
    assert_int_equal(dwal_failure(log_open, NULL), 0);
}

/* Entries [from, count) and nothing else. */
static void check_entries(uint64_t from)
{
    dwal_cursor *cursor;
    struct dwal_record record;
    uint64_t number = from;
    assert_int_equal(dwal_cursor_open(log_open, 0, &cursor), 0);
    int result;
    while ((result = dwal_cursor_next(cursor, &record)) == 0) {
        uint64_t found;
        memcpy(&found, record.data, sizeof found);
        if (found != number || record.data_size != ENTRY_SIZE)
            fail_msg("entry %llu came where %llu was due", (unsigned long long)found, (unsigned long long)number);
        number++;
    }
    dwal_cursor_close(cursor);
    assert_int_equal(result, DWAL_EEND);
    assert_int_equal(number, count);
}

/* The maker hears of space that others freed within its next try. */
static void commit_when_healed(void)
{
    int result = DWAL_ENOSPACE;
    for (int i = 0; i < 1000 && result == DWAL_ENOSPACE; i++) {
        result = commit_size(count, ENTRY_SIZE);
        if (result == DWAL_ENOSPACE)
            usleep(10000);
    }
    if (result != 0)
        fail_msg("not healed: %s", dwal_last_error()->text);
    count++;
}

/* ---- tests ---- */

static void full_disk_refuses_before_acceptance_and_trim_heals(void **state)
{
    (void)state;
    count = 0;
    create_log();
    fill_up();
    uint64_t first_round = count;
    assert_true(first_round > 100);
    for (int i = 0; i < 20; i++)
        assert_int_equal(commit_size(count, ENTRY_SIZE), DWAL_ENOSPACE);
    check_entries(0);
    uint64_t trimmed = count * 2 / 3;
    assert_int_equal(dwal_trim(log_open, lsns[trimmed]), 0);
    commit_when_healed();
    fill_up();
    assert_true(count > first_round + 50);
    check_entries(trimmed);
    close_log();
    open_log();
    check_entries(trimmed);
}

static void log_closes_and_opens_on_a_full_disk(void **state)
{
    (void)state;
    count = 0;
    create_log();
    fill_up();
    hog_space();
    close_log();
    for (int i = 0; i < 3; i++) {
        open_log();
        check_entries(0);
        int result = commit_size(count, ENTRY_SIZE); /* what the head still has is free to use */
        count += result == 0;
        assert_true(result == 0 || result == DWAL_ENOSPACE);
        assert_int_equal(dwal_failure(log_open, NULL), 0);
        close_log();
    }
    open_log();
    assert_int_equal(dwal_trim(log_open, lsns[count / 2]), 0); /* needs no space */
    commit_when_healed();
    check_entries(count / 2 - (count % 2 == 0)); /* count grew by one */
    free_hogged_space();
}

static void space_that_others_free_is_noticed(void **state)
{
    (void)state;
    if (!is_on_loop) {
        print_message("needs root and a file system on a loop device\n");
        skip();
    }
    count = 0;
    create_log();
    hog_space();
    fill_up();
    uint64_t before = count;
    free_hogged_space();
    commit_when_healed();
    fill_up();
    assert_true(count > before + 50);
    check_entries(0);
}

static void large_entry_is_refused_and_a_small_one_still_fits(void **state)
{
    (void)state;
    count = 0;
    create_log();
    size_t size = is_on_loop ? IMAGE_KIB << 10 : 4 << 20; /* as large as all there is, or larger */
    char *bytes = calloc(1, size);
    struct iovec part = {bytes, size};
    struct dwal_entry entry = {.data = &part, .data_count = 1};
    uint64_t end = dwal_end(log_open), lsn = 0;
    for (int i = 0; i < 3; i++) {
        assert_int_equal(dwal_append(log_open, &entry, &lsn, &end), DWAL_ENOSPACE);
        assert_int_equal(dwal_try_append(log_open, &entry, &lsn, &end) == 0, 0);
    }
    struct dwal_entry batch[3] = {entry, entry, entry};
    assert_int_equal(dwal_append_batch(log_open, batch, 3, NULL, &end), DWAL_ENOSPACE);
    assert_int_equal(dwal_end(log_open), dwal_durable(log_open)); /* nothing was reserved */
    for (; count < 20; count++)
        assert_int_equal(commit_size(count, ENTRY_SIZE), 0);
    part.iov_len = 500 << 10; /* several volumes, and there is room for it */
    assert_int_equal(dwal_commit(log_open, &entry, &lsn, &end), 0);
    free(bytes);
    struct dwal_record record;
    char buffer[ENTRY_SIZE];
    assert_int_equal(dwal_read(log_open, lsn, buffer, sizeof buffer, &record), DWAL_EBUFFER);
    assert_int_equal(record.data_size, 500 << 10);
    assert_int_equal(commit_size(count, ENTRY_SIZE), 0);
    assert_int_equal(dwal_failure(log_open, NULL), 0);
}

struct appender {
    pthread_t thread;
    uint64_t committed, refused;
    int result;
};

static void *append_until_refused(void *context)
{
    struct appender *appender = context;
    uint64_t number = UINT64_MAX / 2; /* not among those that are compared */
    while (appender->refused < 5 && (appender->result == 0 || appender->result == DWAL_ENOSPACE)) {
        appender->result = commit_size(number++, ENTRY_SIZE);
        appender->committed += appender->result == 0;
        appender->refused += appender->result == DWAL_ENOSPACE;
    }
    return NULL;
}

static void appenders_side_by_side_all_get_an_answer(void **state)
{
    (void)state;
    enum { THREADS = 6 };
    create_log();
    uint64_t committed = 0;
    for (int round = 0; round < 3; round++) {
        struct appender appenders[THREADS] = {{0}};
        for (int i = 0; i < THREADS; i++)
            assert_int_equal(pthread_create(&appenders[i].thread, NULL, append_until_refused, &appenders[i]), 0);
        for (int i = 0; i < THREADS; i++) {
            pthread_join(appenders[i].thread, NULL);
            assert_int_equal(appenders[i].result, DWAL_ENOSPACE);
            committed += appenders[i].committed;
        }
        assert_int_equal(dwal_failure(log_open, NULL), 0);
        uint64_t found = 0;
        dwal_cursor *cursor;
        struct dwal_record record;
        assert_int_equal(dwal_cursor_open(log_open, 0, &cursor), 0);
        while (dwal_cursor_next(cursor, &record) == 0)
            found++;
        dwal_cursor_close(cursor);
        assert_int_equal(found, committed);
        assert_int_equal(dwal_trim(log_open, dwal_durable(log_open)), 0); /* everything: all begin anew */
        committed = 0;
        usleep(300000);
    }
}

/* A writer dies on a full disk, in the middle of commits: what it had told of is there when it is opened again. */
static void killed_writer_on_a_full_disk_loses_nothing(void **state)
{
    (void)state;
    if (!is_on_loop) {
        print_message("needs root and a file system on a loop device\n");
        skip();
    }
    int pipes[2];
    assert_int_equal(pipe(pipes), 0);
    count = 0;
    create_log();
    close_log();
    pid_t child = fork();
    if (child == 0) {
        open_log();
        for (uint64_t number = 0;; number++) {
            int result = commit_size(number, ENTRY_SIZE);
            if (result == DWAL_ENOSPACE)
                number = UINT64_MAX; /* tell, and wait to be killed */
            if (write(pipes[1], &number, sizeof number) != sizeof number || result != 0)
                pause();
        }
    }
    uint64_t number = 0;
    while (read(pipes[0], &number, sizeof number) == sizeof number && number != UINT64_MAX)
        count = number + 1;
    hog_space();
    kill(child, SIGKILL);
    assert_int_equal(waitpid(child, NULL, 0), child);
    close(pipes[0]), close(pipes[1]);
    open_log();
    check_entries(0);
    uint64_t trimmed = count / 2;
    dwal_cursor *cursor;
    struct dwal_record record;
    assert_int_equal(dwal_cursor_open(log_open, 0, &cursor), 0);
    for (uint64_t i = 0; i <= trimmed; i++)
        assert_int_equal(dwal_cursor_next(cursor, &record), 0);
    dwal_cursor_close(cursor);
    assert_int_equal(dwal_trim(log_open, record.lsn), 0);
    commit_when_healed();
    check_entries(trimmed);
    free_hogged_space();
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(full_disk_refuses_before_acceptance_and_trim_heals),
        TEST(log_closes_and_opens_on_a_full_disk),
        TEST(space_that_others_free_is_noticed),
        TEST(large_entry_is_refused_and_a_small_one_still_fits),
        TEST(appenders_side_by_side_all_get_an_answer),
        TEST(killed_writer_on_a_full_disk_loses_nothing),
    };
    dw_watchdog_install("test_space", NULL);
    if (getenv("DW_ONLY"))
        cmocka_set_test_filter(getenv("DW_ONLY"));
    int failed = _cmocka_run_group_tests("simulated disk", tests, sizeof tests / sizeof tests[0], NULL, NULL);
    if (geteuid() != 0 || !dw_shell_has("mkfs.ext4") || access("/dev/loop-control", F_OK) != 0) {
        print_message("no root, no mkfs.ext4 or no loop devices: the file system proper is not tried\n");
        return failed;
    }
    is_on_loop = true;
    return failed + _cmocka_run_group_tests("ext4", tests, sizeof tests / sizeof tests[0], NULL, NULL);
}
