/* test_syscalls.c - a lone committer makes one system call for each commit: pwritev2, and nothing else; and nobody else
 * makes any for it.
 *
 * The program runs itself under strace as `test_syscalls commit DIRECTORY COUNT BACKEND`: that opens a log, waits until the
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

static int run_commits(const char *path, unsigned long count, const char *backend)
{
    struct dwal_options options = DWAL_OPTIONS_INIT;
    options.volume_size = 8 << 20;
    options.blanks = 1;
    options.backend = backend;
    options.marker_delay_ms = UINT32_MAX;
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

/* Commits under strace, with the backend named; what happened between the marks goes to place/calls, "thread name" a line. */
static void trace(const char *backend)
{
    dw_shell_good("rm -rf %s/log", place);
    dw_shell_good("strace -f -q -o %s/trace /proc/%d/exe commit %s/log %d %s", place, (int)getpid(), place, COMMITS,
                  backend);
    dw_shell_good("cd %s && sed -n '/dwal-begin/,/dwal-end/p' trace > between && "
                  "committer=$(head -n 1 between | cut -d' ' -f1) && "
                  "sed '1d;$d' between | grep -v -e resumed -e '^[0-9]* +++' | "
                  "sed -E -e \"s/^$committer /committer /\" -e 's/^[0-9]+ /other /' "
                  "-e 's/^([a-z]+) +([a-z0-9_]+)\\(.*/\\1 \\2/' > calls",
                  place);
}

static void lone_commit_is_one_pwritev2_and_nothing_else(void **state)
{
    (void)state;
    trace("sync");
    char wanted[64];
    snprintf(wanted, sizeof wanted, "%d committer pwritev2\n", COMMITS);
    assert_string_equal(dw_shell_good("grep committer %s/calls | sort | uniq -c | sed 's/^ *//'", place), wanted);
    /* The other threads sleep; the maker looks at the clock once in a second, for writes that do not come back. */
    const char *others = dw_shell_good("grep other %s/calls | grep -v futex | sort | uniq -c || true", place);
    assert_string_equal(others, "");
    unsigned long waits = strtoul(dw_shell_good("grep -c other %s/calls || true", place), NULL, 10);
    assert_true(waits <= 10);
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
    if (argument_count == 5 && strcmp(arguments[1], "commit") == 0)
        return run_commits(arguments[2], strtoul(arguments[3], NULL, 10), arguments[4]);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lone_commit_is_one_pwritev2_and_nothing_else),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
