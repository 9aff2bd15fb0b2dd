/* test_no_allocation.c - from open to close the writing of a log allocates nothing: not in dwal's own count, and not in libc's.
 *
 * The program brings a malloc of its own, which counts and passes on to libc's; it sees whatever any library under dwal asks for.
 * Appends, commits, batches, volume changes, tables of contents, trims and recycling all happen while it counts; the log has
 * as many volumes alive as before, because a longer log needs room for what is known of each volume. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>
#include <dwal/dwal.h>

#include "alloc/alloc.h"
#include "tests/lib/log_kit.h"
#include "tests/lib/shell.h"

static atomic_ulong libc_count;

#ifndef DW_SANITIZED
void *__libc_malloc(size_t size);
void *__libc_calloc(size_t count, size_t size);
void *__libc_realloc(void *memory, size_t size);
void *__libc_memalign(size_t alignment, size_t size);

void *malloc(size_t size)
{
    atomic_fetch_add(&libc_count, 1);
    return __libc_malloc(size);
}
void *calloc(size_t count, size_t size)
{
    atomic_fetch_add(&libc_count, 1);
    return __libc_calloc(count, size);
}
void *realloc(void *memory, size_t size)
{
    atomic_fetch_add(&libc_count, 1);
    return __libc_realloc(memory, size);
}
int posix_memalign(void **memory, size_t alignment, size_t size)
{
    atomic_fetch_add(&libc_count, 1);
    *memory = __libc_memalign(alignment, size);
    return *memory ? 0 : ENOMEM;
}
void *aligned_alloc(size_t alignment, size_t size)
{
    atomic_fetch_add(&libc_count, 1);
    return __libc_memalign(alignment, size);
}
#endif

static uint64_t write_table(void *context, uint32_t volume, uint64_t first, uint64_t end, bool spill, void *table,
                            uint32_t capacity)
{
    (void)context, (void)volume, (void)first, (void)end, (void)spill;
    memset(table, 7, capacity);
    return capacity;
}

static void need(int result)
{
    if (result != 0)
        fail_msg("%s", dwal_last_error()->text);
}

static struct dwal_stats stats;

static void look(dwal *log)
{
    stats.size = sizeof stats;
    need(dwal_get_stats(log, &stats));
}

/* One volume's worth of entries in all ways of writing, then trim all but the last 64 KiB. */
static void write_some(dwal *log)
{
    static char bytes[20000];
    struct iovec part = {.iov_base = bytes, .iov_len = 3000};
    struct dwal_entry entries[4];
    uint64_t end = 0;
    for (int i = 0; i < 4; i++)
        entries[i] = (struct dwal_entry){.metadata = &part, .metadata_count = 1};
    for (int i = 0; i < 8; i++) {
        need(dwal_append(log, &entries[0], NULL, &end));
        need(dwal_commit(log, &entries[1], NULL, &end));
        need(dwal_append_batch(log, entries, 4, NULL, &end));
        need(dwal_sync(log, end));
        part.iov_len = sizeof bytes;
        need(dwal_append(log, &entries[0], NULL, &end));
        part.iov_len = 3000;
        need(dwal_flush(log, end));
    }
    need(dwal_sync(log, end));
    if (end > 65536)
        need(dwal_trim(log, end - 65536));
}

static void write_volumes(dwal *log, uint64_t count)
{
    look(log);
    uint64_t claimed = stats.volumes_claimed + count, tocs = stats.tocs_written + count,
             recycled = stats.volumes_recycled;
    for (int i = 0; i < 2000; i++) {
        look(log);
        if (stats.volumes_claimed >= claimed && stats.tocs_written >= tocs && stats.volumes_recycled > recycled)
            return;
        write_some(log);
        nanosleep(&(struct timespec){.tv_nsec = 5000000}, NULL);
    }
    fail_msg("the maker did not follow");
}

static void write_and_count(const char *path)
{
    struct dwal_options options = dw_log_kit_options();
    options.toc_length = 4096;
    options.table = write_table;
    options.table_keep = 1000;
    options.backend = dw_log_kit_backend;
    need(dwal_create(path, &options));
    dwal *log = NULL;
    need(dwal_open(path, &options, &log));
    uint64_t ours = dw_alloc_count();
    unsigned long libc = atomic_load(&libc_count);
    write_volumes(log, 12);
    uint64_t ours_after = dw_alloc_count();
    unsigned long libc_after = atomic_load(&libc_count);
    print_message("%llu volumes claimed, %llu recycled, %llu unlinked: %llu allocations of dwal, %lu of libc\n",
                  (unsigned long long)stats.volumes_claimed, (unsigned long long)stats.volumes_recycled,
                  (unsigned long long)stats.volumes_unlinked, (unsigned long long)(ours_after - ours),
                  libc_after - libc);
    assert_int_equal(ours_after - ours, 0);
    assert_int_equal(libc_after - libc, 0);
    need(dwal_close(log));
}

static void writing_allocates_nothing_between_open_and_close(void **state)
{
    (void)state;
    write_and_count(dw_log_kit_path);
}

static void nor_does_it_on_a_device(void **state)
{
    (void)state;
    static char device[64];
    const struct dw_shell *made = dw_shell(
        "test $(id -u) = 0 && cd %s && truncate -s 32M image && losetup -f --show image", dw_log_kit_directory);
    if (made->status != 0) {
        print_message("skipped: needs root and loop devices\n");
        skip();
    }
    snprintf(device, sizeof device, "%.*s", (int)strcspn(made->output, "\n"), made->output);
    write_and_count(device);
}

static int detach(void **state)
{
    dw_shell("for d in $(losetup -j %s/image | cut -d: -f1); do losetup -d $d; done", dw_log_kit_directory);
    return dw_log_kit_tear_down(state);
}

int main(void)
{
#ifndef DW_SANITIZED
    dw_free(dw_alloc(1));
    if (atomic_load(&libc_count) == 0) {
        print_error("this program's malloc is not the one that is used\n");
        return 1;
    }
#endif
    const struct CMUnitTest tests[] = {
        DW_LOG_KIT_TEST(writing_allocates_nothing_between_open_and_close),
        cmocka_unit_test_setup_teardown(nor_does_it_on_a_device, dw_log_kit_set_up, detach),
    };
    return DW_LOG_KIT_RUN(tests);
}
