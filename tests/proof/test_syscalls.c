/* test_syscalls.c - a lone committer makes one system call for each commit: pwritev2 in a directory, io_uring_enter on a raw
 * device, and nothing else but a timer that it sets now and then; and nobody else makes any for it.
 *
 * The program runs itself under strace as `test_syscalls commit PATH COUNT BACKEND [tickless]`: that opens a log, waits until the
 * blanks are made, marks the beginning and the end of the loop with a call that nobody else makes, and commits between.
 * scripts/strace-commit shows the same to a person. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>
#include <dwal/dwal.h>

#include "tests/lib/io_place.h"
#include "tests/lib/shell.h"
#include "tests/lib/tmpdir.h"

#define MARK_BEGIN "/dwal-begin"
#define MARK_END   "/dwal-end"

/* ---- the traced program --------------------------------------------------------------------------------------------*/

static void stop_unless(int result)
{
    if (result == 0)
        return;
    fprintf(stderr, "%s\n", dwal_last_error()->text);
    exit(1);
}

static void mark(const char *name)
{
    if (chdir(name) == 0) /* fails: there is no such directory; strace shows it */
        exit(1);
}

/* Until the maker has done nothing for a while: the blanks are there. */
static void wait_for_maker(dwal *log)
{
    static struct dwal_stats stats;
    uint64_t seen = 0;
    for (int quiet = 0, turn = 0; quiet < 30 && turn < 600; turn++) {
        stats.size = sizeof stats;
        stop_unless(dwal_get_stats(log, &stats));
        uint64_t made = stats.blanks_made + stats.volumes_claimed + stats.tocs_written;
        quiet = made == seen ? quiet + 1 : 0;
        seen = made;
        nanosleep(&(struct timespec){.tv_nsec = 50000000}, NULL);
    }
}

static int run_commits(const char *path, unsigned long count, const char *backend, bool is_tickless)
{
    struct dwal_options options = DWAL_OPTIONS_INIT;
    options.volume_size = 8 << 20;
    options.blanks = 1;
    options.backend = backend;
    options.marker_delay_ms = UINT32_MAX;
    options.lets_tick_stop = is_tickless; /* under strace a commit takes so long that each would set the timer */
    dwal *log = NULL;
    stop_unless(dwal_create(path, &options));
    stop_unless(dwal_open(path, &options, &log));
    char bytes[128] = "lone";
    struct iovec part = {.iov_base = bytes, .iov_len = sizeof bytes};
    struct dwal_entry entry = {.data = &part, .data_count = 1};
    stop_unless(dwal_commit(log, &entry, NULL, NULL));
    wait_for_maker(log);
    /* The first commit after a rest calls the flusher once, so that it watches for the next rest. */
    stop_unless(dwal_commit(log, &entry, NULL, NULL));
    nanosleep(&(struct timespec){.tv_nsec = 200000000}, NULL);
    mark(MARK_BEGIN);
    for (unsigned long i = 0; i < count; i++)
        stop_unless(dwal_commit(log, &entry, NULL, NULL));
    mark(MARK_END);
    stop_unless(dwal_close(log));
    return 0;
}

/* ---- the test ------------------------------------------------------------------------------------------------------*/

enum { COMMITS = 400 };

static char place[DW_TMPDIR_SIZE];

/* Commits to a new log under strace, with the backend named; what happened between the marks goes to place/calls, "thread name"
 * a line. */
static void trace(const char *path, const char *backend)
{
    dw_shell_good("strace -f -q -o %s/trace /proc/%d/exe commit %s %d %s tickless", place, (int)getpid(), path, COMMITS,
                  backend);
    dw_shell_good("cd %s && sed -n '/dwal-begin/,/dwal-end/p' trace > between && "
                  "committer=$(head -n 1 between | cut -d' ' -f1) && "
                  "sed '1d;$d' between | grep -v -e resumed -e '^[0-9]* +++' | "
                  "sed -E -e \"s/^$committer /committer /\" -e 's/^[0-9]+ /other /' "
                  "-e 's/^([a-z]+) +([a-z0-9_]+)\\(.*/\\1 \\2/' > calls",
                  place);
}

/* The committer's calls and no others'; the other threads sleep. The maker looks at the clock once in a second, for writes that
 * do not come back. */
static void expect_calls(const char *wanted)
{
    assert_string_equal(dw_shell_good("grep committer %s/calls | sort | uniq -c | sed 's/^ *//'", place), wanted);
    const char *others = dw_shell_good("grep other %s/calls | grep -v futex | sort | uniq -c || true", place);
    assert_string_equal(others, "");
    unsigned long waits = strtoul(dw_shell_good("grep -c other %s/calls || true", place), NULL, 10);
    assert_true(waits <= 10);
}

static void lone_commit_is_one_pwritev2_and_nothing_else(void **state)
{
    (void)state;
    char wanted[64], path[DW_TMPDIR_SIZE + 8];
    snprintf(path, sizeof path, "%s/log", place);
    trace(path, "sync");
    snprintf(wanted, sizeof wanted, "%d committer pwritev2\n", COMMITS);
    expect_calls(wanted);
}

/* Traced alone, which costs the other calls nothing, and on one processor, since the timer is set anew on another. */
static void timer_is_set_once_in_most_of_a_tick(void **state)
{
    (void)state;
    struct timespec tick;
    assert_int_equal(clock_getres(CLOCK_MONOTONIC_COARSE, &tick), 0);
    if (dw_shell("strace -f --seccomp-bpf -e trace=timerfd_settime -o /dev/null true")->status != 0) {
        print_message("skipped: this strace has no --seccomp-bpf\n");
        skip();
    }
    dw_shell_good("taskset 1 strace -f -q -r --seccomp-bpf -e trace=timerfd_settime,chdir -o %s/timers /proc/%d/exe "
                  "commit %s/ticking %d "
                  "sync && sed -n '/dwal-begin/,/dwal-end/p' %s/timers | grep timerfd_settime | sed 1d > %s/between",
                  place, (int)getpid(), place, COMMITS, place, place);
    unsigned long sets = strtoul(dw_shell_good("wc -l < %s/between", place), NULL, 10);
    print_message("%lu timers set in %d commits\n", sets, COMMITS);
    assert_true(sets >= 1 && sets <= COMMITS); /* on a busy machine a commit may take longer than the timer */
    const char *early = dw_shell_good("awk '$2 < %ld / 1e9 / 2' %s/between", tick.tv_nsec, place);
    assert_string_equal(early, "");
}

/* ---- on a device: the queue's calls, made by the committer itself ---- */

static char device[64]; /* a loop device, or "" */

static int make_device(void **state)
{
    (void)state;
    device[0] = '\0';
    if (getuid() != 0 || !dw_shell_has("losetup"))
        return 0;
    const struct dw_shell *made = dw_shell("truncate -s 64M %s/image && losetup -f --show %s/image", place, place);
    if (made->status == 0)
        snprintf(device, sizeof device, "%.*s", (int)strcspn(made->output, "\n"), made->output);
    return 0;
}

static int remove_device(void **state)
{
    (void)state;
    if (device[0])
        dw_shell("losetup -d %s", device);
    dw_shell("rm -f %s/image", place);
    return 0;
}

static void lone_commit_on_a_device_is_one_call_of_the_ring(void **state)
{
    (void)state;
    char wanted[64];
    if (!device[0] || !dw_place_has_queue("uring")) {
        print_message("skipped: needs root, loop devices and io_uring\n");
        skip();
    }
    trace(device, "uring");
    snprintf(wanted, sizeof wanted, "%d committer io_uring_enter\n", COMMITS);
    expect_calls(wanted);
}

static void lone_commit_on_a_device_is_two_calls_of_aio(void **state)
{
    (void)state;
    char wanted[128];
    if (!device[0] || !dw_place_has_queue("aio")) {
        print_message("skipped: needs root, loop devices and aio\n");
        skip();
    }
    trace(device, "aio");
    snprintf(wanted, sizeof wanted, "%d committer io_getevents\n%d committer io_submit\n", COMMITS, COMMITS);
    expect_calls(wanted);
}

static int set_up(void **state)
{
    (void)state;
    dw_tmpdir_make(place, "syscalls");
    if (!dw_shell_has("strace") || dw_shell("strace -o /dev/null true")->status != 0) {
        dw_tmpdir_remove(place);
        dw_shell_skip("no strace here, or it may not trace");
    }
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    dw_tmpdir_remove(place);
    return 0;
}

int main(int argument_count, char **arguments)
{
    if (argument_count >= 5 && strcmp(arguments[1], "commit") == 0)
        return run_commits(arguments[2], strtoul(arguments[3], NULL, 10), arguments[4], argument_count > 5);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lone_commit_is_one_pwritev2_and_nothing_else),
        cmocka_unit_test(timer_is_set_once_in_most_of_a_tick),
        cmocka_unit_test_setup_teardown(lone_commit_on_a_device_is_one_call_of_the_ring, make_device, remove_device),
        cmocka_unit_test_setup_teardown(lone_commit_on_a_device_is_two_calls_of_aio, make_device, remove_device),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
