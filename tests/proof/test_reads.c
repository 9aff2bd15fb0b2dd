/* test_reads.c - reopening costs a few reads per volume, not a read of the log: counted by the library and by the kernel.
 *
 * A log of some hundred small volumes is made, closed (or left as a crash would leave it), and opened again. Both counts
 * must stay below three blocks a volume and a constant. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>
#include <dwal/dwal.h>
#include <dwal/inspect.h>

#include "tests/lib/shell.h"
#include "tests/lib/tmpdir.h"

enum {
    VOLUMES = 256,
    VOLUME_SIZE = 128 << 10,
    BLOCK = 4096,
    BLOCKS_PER_VOLUME_MAX = 3,
    BLOCKS_BESIDE_CLEAN = 64,   /* the superblock's copies, the last volume's tail */
    BLOCKS_BESIDE_CRASH = 1200, /* ... and the in-flight window behind the end, which must be looked at */
};

static void need(int result)
{
    if (result != 0)
        fail_msg("%s", dwal_last_error()->text);
}

static void fill_log(const char *path, bool is_closing)
{
    struct dwal_options options = DWAL_OPTIONS_INIT;
    options.volume_size = VOLUME_SIZE;
    options.blanks = 16;
    options.ring_size = 1 << 20;
    dwal *log = NULL;
    need(dwal_create(path, &options));
    need(dwal_open(path, &options, &log));
    static char bytes[3000];
    struct iovec part = {.iov_base = bytes, .iov_len = sizeof bytes};
    struct dwal_entry entry = {.data = &part, .data_count = 1};
    static struct dwal_stats stats;
    uint64_t end = 0;
    do {
        for (int i = 0; i < 100; i++) {
            /* No volume ready yet: the maker is behind, nothing is lost. */
            while (dwal_append(log, &entry, NULL, &end) == DWAL_ENOSPACE)
                usleep(1000);
        }
        need(dwal_sync(log, end));
        stats.size = sizeof stats;
        need(dwal_get_stats(log, &stats));
    } while (stats.tocs_written < VOLUMES);
    if (!is_closing)
        _exit(0);
    need(dwal_close(log));
}

/* Bytes that this process had the devices read, as the kernel counts them. */
static uint64_t read_bytes(void)
{
    char *text = dw_shell_read_file("/proc/self/io");
    const char *line = strstr(text, "read_bytes: ");
    uint64_t count = line ? strtoull(line + strlen("read_bytes: "), NULL, 10) : UINT64_MAX;
    free(text);
    return count;
}

static void open_and_count(const char *path, enum dwal_verdict verdict, uint64_t beside)
{
    uint64_t before = read_bytes();
    dwal *log = NULL;
    need(dwal_open(path, NULL, &log));
    uint64_t blocks = (read_bytes() - before) / BLOCK;
    struct dwal_report report = {.size = sizeof report};
    need(dwal_get_report(log, &report));
    print_message("%s: %llu volumes, %llu blocks read by dwal's count, %llu by the kernel's\n",
                  dwal_verdict_name(report.verdict), (unsigned long long)report.volumes,
                  (unsigned long long)report.blocks_read, (unsigned long long)blocks);
    need(dwal_close(log));
    assert_int_equal(report.verdict, verdict);
    assert_true(report.volumes >= VOLUMES);
    uint64_t allowed = report.volumes * BLOCKS_PER_VOLUME_MAX + beside;
    assert_true(report.blocks_read <= allowed);
    assert_true(blocks <= allowed);
    assert_true(blocks >= report.volumes); /* it did look at each */
}

static void opening_after_a_close_reads_a_few_blocks_per_volume(void **state)
{
    (void)state;
    char place[DW_TMPDIR_SIZE], path[DW_TMPDIR_SIZE + 8];
    snprintf(path, sizeof path, "%s/log", dw_tmpdir_make(place, "reads"));
    fill_log(path, true);
    open_and_count(path, DWAL_VERDICT_CLEAN, BLOCKS_BESIDE_CLEAN);
    dw_tmpdir_remove(place);
}

static void opening_after_a_crash_reads_a_few_blocks_per_volume(void **state)
{
    (void)state;
    char place[DW_TMPDIR_SIZE], path[DW_TMPDIR_SIZE + 8];
    snprintf(path, sizeof path, "%s/log", dw_tmpdir_make(place, "reads"));
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0)
        fill_log(path, false);
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    open_and_count(path, DWAL_VERDICT_END, BLOCKS_BESIDE_CRASH);
    dw_tmpdir_remove(place);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(opening_after_a_close_reads_a_few_blocks_per_volume),
        cmocka_unit_test(opening_after_a_crash_reads_a_few_blocks_per_volume),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
