/* test_io_fault.c - the fault layer itself: it is invisible without a rule, and does what a rule says, once or for good. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <pthread.h>
#include <string.h>
#include <unistd.h>

#include "alloc/alloc.h"
#include "tests/lib/io_conformance.h"
#include "tests/lib/io_fault.h"
#include "tests/lib/io_place.h"

enum { UNIT = 4096 };
static unsigned char *bytes;

static int make(void *context, struct dw_disk **disk)
{
    (void)context;
    struct dw_disk *inner = NULL;
    int result = dw_place_make(&inner);
    return result < 0 ? result : dw_fault_open(inner, true, disk);
}

/* The wrapper's `inner` is private; open the same place again to remove it. */
static void unmake(void *context, struct dw_disk *disk)
{
    (void)context;
    struct dw_disk *place = NULL;
    char path[sizeof disk->path];
    memcpy(path, disk->path, sizeof path);
    disk->ops->close(disk);
    if (dw_disk_posix_open(path, false, &place) == 0)
        dw_place_remove(place);
}

static int setup(void **state)
{
    struct dw_disk *inner = NULL, *disk = NULL;
    if (dw_place_make(&inner) < 0 || dw_fault_open(inner, true, &disk) < 0)
        return -1;
    bytes = dw_alloc_io(16 * UNIT, UNIT);
    *state = disk;
    return 0;
}

static int teardown(void **state)
{
    dw_free_io(bytes);
    unmake(NULL, *state);
    return 0;
}

static struct dw_file *create(struct dw_disk *disk, const char *name)
{
    struct dw_file *file = NULL;
    assert_int_equal(disk->ops->open(disk, name, DW_OPEN_WRITE | DW_OPEN_CREATE, &file), 0);
    return file;
}

static void add(struct dw_disk *disk, struct dw_fault_rule rule)
{
    dw_fault_add(disk, &rule);
}

static void every_call_fails_when_its_kind_is_named(void **state)
{
    struct dw_disk *disk = *state;
    struct dw_file *file = create(disk, "a"), *other = NULL;
    struct dw_queue *queue = NULL;
    struct dw_queue_options options = {.kind = "sync", .depth = 1};
    add(disk, (struct dw_fault_rule){.kinds = DW_FAULT_ANY, .at = 1, .is_sticky = true, .error = -EREMOTEIO});
    size_t done = 9;
    uint64_t size = 9;
    bool is_held = true;
    assert_int_equal(dw_file_read(file, bytes, UNIT, 0, &done), -EREMOTEIO);
    assert_int_equal(done, 0);
    assert_int_equal(dw_file_write(file, bytes, UNIT, 0), -EREMOTEIO);
    assert_int_equal(dw_file_write_durable(file, bytes, UNIT, 0), -EREMOTEIO);
    assert_int_equal(dw_file_sync(file), -EREMOTEIO);
    assert_int_equal(disk->ops->sync_names(disk), -EREMOTEIO);
    assert_int_equal(disk->ops->open(disk, "b", DW_OPEN_WRITE | DW_OPEN_CREATE, &other), -EREMOTEIO);
    assert_int_equal(disk->ops->rename(disk, "a", "b"), -EREMOTEIO);
    assert_int_equal(disk->ops->unlink(disk, "a"), -EREMOTEIO);
    assert_int_equal(disk->ops->allocate(file, UNIT), -EREMOTEIO);
    assert_int_equal(disk->ops->size(file, &size), -EREMOTEIO);
    assert_int_equal(disk->ops->lock(file, DW_LOCK_PIN, DW_LOCK_SHARED), -EREMOTEIO);
    assert_int_equal(disk->ops->lock_test(file, DW_LOCK_PIN, &is_held), -EREMOTEIO);
    assert_int_equal(disk->ops->list(disk, NULL, NULL), -EREMOTEIO);
    assert_int_equal(disk->ops->queue_create(disk, &options, &queue), -EREMOTEIO);
    assert_int_equal(dw_fault_fired(disk), 14);
    dw_fault_clear(disk);
    assert_int_equal(disk->ops->size(file, &size), 0);
    assert_int_equal(size, 0); /* nothing was written */
    assert_int_equal(dw_fault_count(disk, DW_FAULT_ANY), 16);
    assert_int_equal(dw_fault_count(disk, DW_FAULT_ANY_WRITE), 2);
    dw_file_close(file);
}

static void a_rule_fires_at_its_index_and_only_for_its_names(void **state)
{
    struct dw_disk *disk = *state;
    struct dw_file *file = create(disk, "a1"), *other = create(disk, "b1");
    add(disk, (struct dw_fault_rule){.kinds = DW_FAULT_ANY_WRITE, .at = 3, .error = -ENOSPC, .name_start = "a"});
    assert_int_equal(dw_file_write(file, bytes, UNIT, 0), 0);
    for (int i = 0; i < 5; i++)
        assert_int_equal(dw_file_write(other, bytes, UNIT, 0), 0);
    assert_int_equal(dw_file_write_durable(file, bytes, UNIT, 0), 0);
    assert_int_equal(dw_fault_fired(disk), 0);
    assert_int_equal(dw_file_write(file, bytes, UNIT, 0), -ENOSPC);
    assert_int_equal(dw_file_write(file, bytes, UNIT, 0), 0);
    assert_int_equal(dw_fault_fired(disk), 1);
    dw_file_close(other);
    dw_file_close(file);
}

static void half_way_moves_the_first_bytes_and_after_moves_all(void **state)
{
    struct dw_disk *disk = *state;
    struct dw_file *file = create(disk, "a");
    uint64_t size = 0;
    memset(bytes, 1, 4 * UNIT);
    struct dw_fault_rule rule = {
        .kinds = DW_FAULT_WRITE_DURABLE, .at = 1, .action = DW_FAULT_HALF_WAY, .bytes = UNIT + 100};
    add(disk, rule);
    assert_int_equal(dw_file_write_durable(file, bytes, 4 * UNIT, 0), -EIO);
    assert_int_equal(disk->ops->size(file, &size), 0);
    assert_int_equal(size, UNIT);
    rule = (struct dw_fault_rule){.kinds = DW_FAULT_WRITE, .at = 1, .action = DW_FAULT_AFTER};
    add(disk, rule);
    assert_int_equal(dw_file_write(file, bytes, 4 * UNIT, 0), -EIO);
    assert_int_equal(disk->ops->size(file, &size), 0);
    assert_int_equal(size, 4 * UNIT);
    size_t done = 0;
    rule = (struct dw_fault_rule){.kinds = DW_FAULT_READ, .at = 1, .action = DW_FAULT_HALF_WAY, .bytes = UNIT};
    add(disk, rule);
    assert_int_equal(dw_file_read(file, bytes, 4 * UNIT, 0, &done), 0); /* looks like an early end */
    assert_int_equal(done, UNIT);
    rule.error = -EIO;
    add(disk, rule);
    assert_int_equal(dw_file_read(file, bytes, 4 * UNIT, 0, &done), -EIO);
    assert_int_equal(done, UNIT);
    dw_file_close(file);
}

static struct dw_queue *make_queue(struct dw_disk *disk)
{
    struct dw_queue *queue = NULL;
    struct dw_queue_options options = {.kind = "sync", .depth = 4};
    assert_int_equal(disk->ops->queue_create(disk, &options, &queue), 0);
    return queue;
}

static void submit(struct dw_queue *queue, struct dw_file *file, struct dw_request *request, uint64_t block)
{
    *request = (struct dw_request){
        .file = file, .bytes = bytes, .size = 2 * UNIT, .offset = block * UNIT, .is_durable = true, .result = 1};
    queue->ops->submit(queue, request);
}

static void a_queue_write_can_fail_before_half_way_or_after(void **state)
{
    struct dw_disk *disk = *state;
    struct dw_queue *queue = make_queue(disk);
    struct dw_file *file = create(disk, "a");
    uint64_t size = 0;
    struct dw_request requests[3];
    add(disk, (struct dw_fault_rule){.kinds = DW_FAULT_QUEUE_WRITE, .at = 1, .error = -ENODATA});
    add(disk, (struct dw_fault_rule){
                  .kinds = DW_FAULT_QUEUE_WRITE, .at = 2, .action = DW_FAULT_HALF_WAY, .bytes = UNIT, .error = -EIO});
    add(disk, (struct dw_fault_rule){.kinds = DW_FAULT_QUEUE_WRITE, .at = 3, .action = DW_FAULT_AFTER});
    submit(queue, file, &requests[0], 0);
    assert_ptr_equal(queue->ops->reap(queue, true), &requests[0]);
    assert_int_equal(requests[0].result, -ENODATA);
    assert_int_equal(disk->ops->size(file, &size), 0);
    assert_int_equal(size, 0);
    submit(queue, file, &requests[1], 0);
    assert_ptr_equal(queue->ops->reap(queue, true), &requests[1]);
    assert_int_equal(requests[1].result, -EIO);
    assert_int_equal(disk->ops->size(file, &size), 0);
    assert_int_equal(size, UNIT);
    submit(queue, file, &requests[2], 0);
    assert_ptr_equal(queue->ops->reap(queue, true), &requests[2]);
    assert_int_equal(requests[2].result, -EIO);
    assert_int_equal(disk->ops->size(file, &size), 0);
    assert_int_equal(size, 2 * UNIT);
    dw_file_close(file);
    queue->ops->close(queue);
}

static void a_late_completion_comes_after_later_ones(void **state)
{
    struct dw_disk *disk = *state;
    struct dw_queue *queue = make_queue(disk);
    struct dw_file *file = create(disk, "a");
    struct dw_request requests[2];
    add(disk, (struct dw_fault_rule){.kinds = DW_FAULT_QUEUE_WRITE, .at = 1, .action = DW_FAULT_LATE, .reaps = 3});
    submit(queue, file, &requests[0], 0);
    submit(queue, file, &requests[1], 2);
    assert_ptr_equal(queue->ops->reap(queue, false), &requests[1]);
    assert_null(requests[1].next);
    assert_int_equal(queue->in_flight, 1);
    assert_null(queue->ops->reap(queue, false));
    /* A waiting reap lets the rest of the time pass. */
    assert_ptr_equal(queue->ops->reap(queue, true), &requests[0]);
    assert_int_equal(requests[0].result, 0);
    dw_file_close(file);
    queue->ops->close(queue);
}

static void *release_soon(void *disk)
{
    while (dw_fault_held(disk) == 0)
        usleep(1000);
    usleep(10000);
    dw_fault_release(disk);
    return NULL;
}

static void a_held_completion_waits_for_release(void **state)
{
    struct dw_disk *disk = *state;
    struct dw_queue *queue = make_queue(disk);
    struct dw_file *file = create(disk, "a");
    struct dw_request request;
    add(disk,
        (struct dw_fault_rule){.kinds = DW_FAULT_QUEUE_WRITE, .at = 1, .is_sticky = true, .action = DW_FAULT_HELD});
    submit(queue, file, &request, 0);
    for (int i = 0; i < 5; i++)
        assert_null(queue->ops->reap(queue, false));
    assert_int_equal(dw_fault_held(disk), 1);
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, release_soon, disk), 0);
    assert_ptr_equal(queue->ops->reap(queue, true), &request);
    pthread_join(thread, NULL);
    assert_int_equal(request.result, 0);
    assert_int_equal(dw_fault_held(disk), 0);
    submit(queue, file, &request, 0); /* nothing more is held */
    assert_ptr_equal(queue->ops->reap(queue, false), &request);
    dw_file_close(file);
    queue->ops->close(queue);
}

struct watched {
    unsigned kinds[8];
    int count;
};

static void note_call(void *context, enum dw_fault_kind kind, const char *name, uint64_t offset, size_t size)
{
    struct watched *watched = context;
    assert_true(watched->count < 8);
    watched->kinds[watched->count++] = (unsigned)kind;
    if (kind == DW_FAULT_WRITE) {
        assert_string_equal(name, "a");
        assert_int_equal(offset, UNIT);
        assert_int_equal(size, 2 * UNIT);
    }
}

static void the_watcher_sees_every_call_in_order(void **state)
{
    struct dw_disk *disk = *state;
    struct watched watched = {.count = 0};
    dw_fault_watch(disk, note_call, &watched);
    struct dw_file *file = create(disk, "a");
    assert_int_equal(dw_file_write(file, bytes, 2 * UNIT, UNIT), 0);
    assert_int_equal(dw_file_sync(file), 0);
    assert_int_equal(disk->ops->sync_names(disk), 0);
    dw_file_close(file);
    static const unsigned expected[] = {DW_FAULT_OPEN, DW_FAULT_WRITE, DW_FAULT_SYNC, DW_FAULT_SYNC_NAMES};
    assert_int_equal(watched.count, 4);
    assert_memory_equal(watched.kinds, expected, sizeof expected);
}

#define WITH_DISK(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_DISK(every_call_fails_when_its_kind_is_named),
        WITH_DISK(a_rule_fires_at_its_index_and_only_for_its_names),
        WITH_DISK(half_way_moves_the_first_bytes_and_after_moves_all),
        WITH_DISK(a_queue_write_can_fail_before_half_way_or_after),
        WITH_DISK(a_late_completion_comes_after_later_ones),
        WITH_DISK(a_held_completion_waits_for_release),
        WITH_DISK(the_watcher_sees_every_call_in_order),
    };
    static const struct dw_io_subject transparent = {
        .name = "fault/posix/sync", .queue_kind = "sync", .make = make, .unmake = unmake};
    return dw_io_conformance_run(&transparent) + cmocka_run_group_tests(tests, NULL, NULL);
}
