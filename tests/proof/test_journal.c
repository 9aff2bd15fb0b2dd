/* test_journal.c - a commit on a prefilled volume is one write of data: the file system writes no metadata and commits no
 * journal for it. Seen in the block layer's tracepoints, on ext4 and XFS, with both backends.
 *
 * Each test makes a file system on a loop device, a log in it, waits until the maker is done, and traces some hundred
 * commits of one thread in a trace instance of its own. The last tests do the same with volumes that were allocated and
 * never written: there the metadata must show, or the instrument is blind. Needs root, loop devices and tracefs. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>
#include <dwal/dwal.h>

#include "tests/lib/shell.h"
#include "tests/lib/tmpdir.h"

enum { COMMITS = 300 };
#define TRACE "/sys/kernel/tracing"

struct bench {
    char place[DW_TMPDIR_SIZE];
    char device[32];
    char instance[64];
};
static struct bench bench;

/* ---- a file system on a loop device --------------------------------------------------------------------------------*/

static void take_line(char *target, size_t size, const char *source)
{
    snprintf(target, size, "%.*s", (int)strcspn(source, "\n"), source);
}

static void make_file_system(const char *kind)
{
    dw_shell_good("cd %s && rm -f image && truncate -s 400M image && mkfs.%s -q image && mkdir -p mount", bench.place,
                  kind);
    take_line(bench.device, sizeof bench.device,
              dw_shell_good("losetup -f --show --direct-io=on %s/image", bench.place));
    dw_shell_good("mount -t %s %s %s/mount", kind, bench.device, bench.place);
}

static int tear_down(void **state)
{
    (void)state;
    dw_shell("umount %s/mount; losetup -d %s; rmdir %s/instances/dwal-%d", bench.place, bench.device, TRACE,
             (int)getpid());
    return 0;
}

/* ---- the trace -----------------------------------------------------------------------------------------------------*/

static void trace_start(void)
{
    struct stat status;
    assert_int_equal(stat(bench.device, &status), 0);
    unsigned device = major(status.st_rdev) << 20 | minor(status.st_rdev);
    snprintf(bench.instance, sizeof bench.instance, TRACE "/instances/dwal-%d", (int)getpid());
    dw_shell_good(
        "mkdir %s && cd %s && echo 8192 > buffer_size_kb && echo 'dev==%u' > events/block/block_rq_issue/filter "
        "&& echo 1 > events/block/block_rq_issue/enable && : > trace && echo 1 > tracing_on",
        bench.instance, bench.instance, device);
}

struct requests {
    unsigned long writes, metadata; /* of data; with the flag M: inodes, extents, journal, log */
};
static struct requests trace_stop(void)
{
    dw_shell_good("cd %s && echo 0 > tracing_on && echo 0 > events/enable", bench.instance);
    struct requests count;
    /* block_rq_issue: MAJOR,MINOR RWBS BYTES ... */
    const char *lines = "sed -nE 's/.*block_rq_issue: [0-9]+,[0-9]+ ([A-Z]+) .*/\\1/p'";
    count.writes = strtoul(dw_shell_good("%s %s/trace | grep W | grep -vc M || true", lines, bench.instance), NULL, 10);
    count.metadata = strtoul(dw_shell_good("%s %s/trace | grep -c M || true", lines, bench.instance), NULL, 10);
    dw_shell_good("rmdir %s", bench.instance);
    return count;
}

/* ---- the commits ---------------------------------------------------------------------------------------------------*/

static void need(int result)
{
    if (result != 0)
        fail_msg("%s", dwal_last_error()->text);
}

static dwal *open_quiet_log(enum dwal_fill fill, const char *backend)
{
    char path[DW_TMPDIR_SIZE + 16];
    snprintf(path, sizeof path, "%s/mount/log", bench.place);
    struct dwal_options options = DWAL_OPTIONS_INIT;
    options.volume_size = 16 << 20;
    options.blanks = 1;
    options.fill = fill;
    options.backend = backend;
    options.marker_delay_ms = UINT32_MAX;
    dwal *log = NULL;
    need(dwal_create(path, &options));
    need(dwal_open(path, &options, &log));
    static struct dwal_stats stats;
    for (int i = 0; i < 500; i++) { /* until the maker has nothing to do, and what it did is in the journal */
        stats.size = sizeof stats;
        need(dwal_get_stats(log, &stats));
        if (stats.volumes_claimed >= 1 && stats.blanks_made >= 1 && i > 20)
            break;
        nanosleep(&(struct timespec){.tv_nsec = 20000000}, NULL);
    }
    dw_shell_good("sync -f %s/mount; sleep 1", bench.place);
    return log;
}

static struct requests count_requests(const char *file_system, enum dwal_fill fill, const char *backend)
{
    make_file_system(file_system);
    dwal *log = open_quiet_log(fill, backend);
    char bytes[512] = "journal";
    struct iovec part = {.iov_base = bytes, .iov_len = sizeof bytes};
    struct dwal_entry entry = {.data = &part, .data_count = 1};
    need(dwal_commit(log, &entry, NULL, NULL));
    trace_start();
    for (int i = 0; i < COMMITS; i++)
        need(dwal_commit(log, &entry, NULL, NULL));
    struct requests count = trace_stop();
    need(dwal_close(log));
    print_message("%s, %s: %d commits, %lu writes of data, %lu of metadata\n", file_system, backend, COMMITS,
                  count.writes, count.metadata);
    return count;
}

/* The clock ticks: once in a tick a time stamp may be noted, and the journal's own timer may run. Never once a commit. */
static void check_pure(const char *file_system, const char *backend)
{
    struct requests count = count_requests(file_system, DWAL_FILL_ZERO, backend);
    assert_true(count.writes >= COMMITS);
    assert_true(count.writes <= COMMITS + COMMITS / 10);
    assert_true(count.metadata <= COMMITS / 20);
}

static void commit_on_ext4_writes_no_metadata_with_sync(void **state)
{
    (void)state;
    check_pure("ext4", "sync");
}

static void commit_on_ext4_writes_no_metadata_with_uring(void **state)
{
    (void)state;
    check_pure("ext4", "uring");
}

static void commit_on_xfs_writes_no_metadata_with_sync(void **state)
{
    (void)state;
    check_pure("xfs", "sync");
}

static void commit_on_xfs_writes_no_metadata_with_uring(void **state)
{
    (void)state;
    check_pure("xfs", "uring");
}

static void metadata_shows_when_volumes_are_only_allocated(void **state)
{
    (void)state;
    struct requests count = count_requests("ext4", DWAL_FILL_ALLOCATE, "sync");
    assert_true(count.metadata >= COMMITS);
}

int main(void)
{
    if (getuid() != 0)
        dw_shell_skip("needs root, for loop devices and tracefs");
    if (!dw_shell_has("losetup") || !dw_shell_has("mkfs.ext4") || !dw_shell_has("mkfs.xfs"))
        dw_shell_skip("needs losetup, mkfs.ext4 and mkfs.xfs");
    if (dw_shell("test -d %s/events || mount -t tracefs tracefs %s", TRACE, TRACE)->status != 0 ||
        dw_shell("test -d %s/events/block/block_rq_issue", TRACE)->status != 0)
        dw_shell_skip("no tracefs here");
    dw_tmpdir_make(bench.place, "journal");
    if (dw_shell("truncate -s 1M %s/probe && d=$(losetup -f --show %s/probe) && losetup -d $d", bench.place,
                 bench.place)
            ->status != 0) {
        dw_tmpdir_remove(bench.place);
        dw_shell_skip("no loop devices here");
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(commit_on_ext4_writes_no_metadata_with_sync, tear_down),
        cmocka_unit_test_teardown(commit_on_ext4_writes_no_metadata_with_uring, tear_down),
        cmocka_unit_test_teardown(commit_on_xfs_writes_no_metadata_with_sync, tear_down),
        cmocka_unit_test_teardown(commit_on_xfs_writes_no_metadata_with_uring, tear_down),
        cmocka_unit_test_teardown(metadata_shows_when_volumes_are_only_allocated, tear_down),
    };
    int failures = cmocka_run_group_tests(tests, NULL, NULL);
    dw_tmpdir_remove(bench.place);
    return failures;
}
