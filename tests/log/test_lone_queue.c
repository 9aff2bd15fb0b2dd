/* test_lone_queue.c - where a queue's durable write costs less than a synchronous one (raw block devices), a lone committer
 * writes through the log's queue, which then passes from thread to thread with the flush role.
 *
 * A directory stands in for the device: all that differs is the disk's word for it. What it is good for is counted on a
 * loop device, by the block layer. */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "alloc/alloc.h"
#include "core/log/backend.h"
#include "core/log/log.h"
#include "io/posix.h"
#include "tests/lib/io_fault.h"
#include "tests/lib/io_place.h"
#include "tests/lib/log_kit.h"
#include "tests/lib/shell.h"

enum { THREADS = 6, COMMITS = 120, UNIT = 4096 };

/* A log on a directory that says of itself what a device says. `disk` may be wrapped. */
static dwal *open_on(struct dw_disk *disk)
{
    struct dwal_options options = dw_log_kit_options();
    struct dw_log_setup setup = {.disk = disk, .is_disk_borrowed = true};
    options.volume_size = 0;
    options.blanks = 0;
    dwal *log = NULL;
    if (dw_log_open_on(&setup, &options, &log) < 0)
        fail_msg("open: %s", dwal_last_error()->text);
    return log;
}

static struct dw_disk *make_disk(void)
{
    struct dw_disk *disk = NULL, *wrapped = NULL;
    assert_int_equal(dwal_close(dw_log_kit_create()), 0);
    assert_int_equal(dw_disk_posix_open(dw_log_kit_path, false, &disk), 0);
    disk->is_queue_better = true;
    assert_int_equal(dw_fault_open(disk, true, &wrapped), 0);
    return wrapped;
}

static void commit_numbered(dwal *log, uint64_t from, uint64_t to)
{
    for (uint64_t i = from; i < to; i++) {
        char bytes[1024];
        struct iovec part;
        struct dwal_entry entry = dw_log_kit_entry(bytes, dw_log_kit_numbered(i, bytes), &part);
        assert_int_equal(dwal_commit(log, &entry, NULL, NULL), 0);
    }
}

static uint64_t lone_commits(dwal *log)
{
    static struct dwal_stats stats;
    stats.size = sizeof stats;
    assert_int_equal(dwal_get_stats(log, &stats), 0);
    return stats.lone_commits;
}

static void a_lone_committer_writes_through_the_queue(void **state)
{
    (void)state;
    struct dw_disk *disk = make_disk();
    dwal *log = open_on(disk);
    uint64_t queued = dw_fault_count(disk, DW_FAULT_QUEUE_WRITE);
    commit_numbered(log, 0, COMMITS);
    assert_true(lone_commits(log) > COMMITS / 2);
    assert_true(dw_fault_count(disk, DW_FAULT_QUEUE_WRITE) - queued >= COMMITS);
    assert_int_equal(dwal_close(log), 0);
    log = open_on(disk);
    dw_log_kit_check(log, 0, COMMITS);
    assert_int_equal(dwal_close(log), 0);
    disk->ops->close(disk);
}

static void *commit_alone(void *context)
{
    commit_numbered(context, 0, COMMITS);
    return NULL;
}

/* Each thread now commits alone, now waits for the flusher's thread; new threads come while old ones have ended. */
static void the_queue_passes_from_thread_to_thread(void **state)
{
    (void)state;
    struct dw_disk *disk = make_disk();
    dwal *log = open_on(disk);
    for (int round = 0; round < 2; round++) {
        pthread_t threads[THREADS];
        for (int i = 0; i < THREADS; i++)
            assert_int_equal(pthread_create(&threads[i], NULL, commit_alone, log), 0);
        for (int i = 0; i < THREADS; i++)
            pthread_join(threads[i], NULL);
    }
    assert_true(lone_commits(log) > 0);
    assert_int_equal(dwal_close(log), 0);
    log = open_on(disk);
    dwal_cursor *cursor = NULL;
    struct dwal_record record;
    int count = 0;
    assert_int_equal(dwal_cursor_open(log, 0, &cursor), 0);
    while (dwal_cursor_next(cursor, &record) == 0)
        count++;
    dwal_cursor_close(cursor);
    assert_int_equal(count, 2 * THREADS * COMMITS);
    assert_int_equal(dwal_close(log), 0);
    disk->ops->close(disk);
}

static void a_lone_write_that_fails_stops_the_log(void **state)
{
    (void)state;
    struct dw_disk *disk = make_disk();
    dwal *log = open_on(disk);
    commit_numbered(log, 0, 10);
    struct iovec part;
    struct dwal_entry entry = dw_log_kit_entry("lost", 4, &part);
    dw_fault_add(disk, &(struct dw_fault_rule){
                           .kinds = DW_FAULT_QUEUE_WRITE, .at = 1, .error = -ENODATA, .device_status = 0x280});
    assert_int_equal(dwal_commit(log, &entry, NULL, NULL), DWAL_EFAILED);
    struct dwal_error cause;
    assert_int_equal(dwal_failure(log, &cause), DWAL_EDEVICE);
    assert_int_equal(cause.system_code, ENODATA);
    assert_non_null(strstr(cause.text, "NVMe status 0x280"));
    uint64_t written = dw_fault_count(disk, DW_FAULT_ANY_WRITE);
    assert_int_equal(dwal_commit(log, &entry, NULL, NULL), DWAL_EFAILED);
    assert_int_equal(dw_fault_count(disk, DW_FAULT_ANY_WRITE), written);
    assert_int_equal(dwal_close(log), DWAL_EFAILED);
    dw_fault_clear(disk);
    log = open_on(disk);
    dw_log_kit_check(log, 0, 10);
    assert_int_equal(dwal_close(log), 0);
    disk->ops->close(disk);
}

/* ---- what it is good for ------------------------------------------------------------------------------------------ */

/* Flushes that a loop device has completed: field 16 of its stat file. */
static unsigned long flushes(const char *device)
{
    const char *name = strrchr(device, '/');
    return strtoul(dw_shell_good("awk '{print $16}' /sys/block%s/stat", name), NULL, 10);
}

static struct dw_request request_at(struct dw_file *file, const void *bytes, size_t unit)
{
    return (struct dw_request){.file = file, .bytes = bytes, .size = UNIT, .offset = unit * UNIT, .is_durable = true};
}

static void count_flushes(const char *device, const char *kind)
{
    struct dw_disk *disk = NULL;
    struct dw_queue *queue = NULL;
    struct dw_queue_options options = {.kind = kind, .depth = 1, .is_shared = true};
    assert_int_equal(dw_disk_posix_open(dw_log_kit_directory, false, &disk), 0);
    assert_int_equal(disk->ops->queue_create(disk, &options, &queue), 0);
    int descriptor = open(device, O_RDWR | O_DIRECT | O_CLOEXEC);
    assert_true(descriptor >= 0);
    struct dw_posix_file file = {
        .base = {.disk = disk, .alignment = UNIT}, .descriptor = descriptor, .is_direct = true, .generation = 1u << 30};
    unsigned char *bytes = dw_alloc_io(UNIT, UNIT);
    unsigned long before = flushes(device);
    for (size_t i = 0; i < 100; i++) {
        struct dw_request request = request_at(&file.base, bytes, i);
        queue->ops->submit(queue, &request);
        assert_ptr_equal(queue->ops->reap(queue, true), &request);
        assert_int_equal(request.result, 0);
    }
    unsigned long queued = flushes(device) - before;
    before = flushes(device);
    for (size_t i = 0; i < 100; i++)
        assert_int_equal(dw_file_write_durable(&file.base, bytes, UNIT, i * UNIT), 0);
    unsigned long synchronous = flushes(device) - before;
    print_message("%s: 100 durable writes of the queue, %lu flushes; 100 of write_durable, %lu\n", kind, queued,
                  synchronous);
    /* Above: somebody else's, a partition scan for instance. */
    assert_true(queued >= 100 && queued < 110);
    assert_true(synchronous >= 200);
    dw_free_io(bytes);
    queue->ops->close(queue);
    close(descriptor);
    disk->ops->close(disk);
}

static void a_queue_saves_a_flush_on_a_raw_device(void **state)
{
    (void)state;
    if (getuid() != 0 || !dw_shell_has("losetup")) {
        print_message("skipped: needs root and losetup\n");
        skip();
    }
    if (dw_shell("truncate -s 4M %s/image", dw_log_kit_directory)->status != 0) {
        print_message("no file for a loop device\n");
        skip();
    }
    const struct dw_shell *made = dw_shell("losetup -f --show %s/image", dw_log_kit_directory);
    if (made->status != 0) {
        print_message("skipped: no loop devices here\n");
        skip();
    }
    char device[64];
    snprintf(device, sizeof device, "%.*s", (int)strcspn(made->output, "\n"), made->output);
    *state = strdup(device); /* for the tear-down, also after a failed check */
    count_flushes(device, dw_log_kit_backend);
}

static int tear_down_device(void **state)
{
    if (*state)
        dw_shell("losetup -d %s", (const char *)*state);
    free(*state);
    *state = NULL;
    return dw_log_kit_tear_down(state);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        DW_LOG_KIT_TEST(a_lone_committer_writes_through_the_queue),
        DW_LOG_KIT_TEST(the_queue_passes_from_thread_to_thread),
        DW_LOG_KIT_TEST(a_lone_write_that_fails_stops_the_log),
        cmocka_unit_test_setup_teardown(a_queue_saves_a_flush_on_a_raw_device, dw_log_kit_set_up, tear_down_device),
    };
    static const char *const backends[] = {"uring", "aio"};
    int failed = 0;
    for (size_t i = 0; i < 2; i++) {
        dw_log_kit_backend = backends[i];
        if (dw_place_has_queue(backends[i]))
            failed += cmocka_run_group_tests_name(backends[i], tests, NULL, NULL);
        else
            printf("skipped: %s is forbidden here, or not built\n", backends[i]);
    }
    return failed;
}
