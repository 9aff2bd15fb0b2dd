/* test_io_sim.c - the simulated disk keeps the contract of io.h: names, locks, bytes, and requests in any order. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <pthread.h>
#include <string.h>

#include "tests/lib/crash_disk.h"

#define RW     (DW_OPEN_WRITE | DW_OPEN_CREATE)
#define WRITES 8u
static _Alignas(4096) uint8_t blocks[WRITES][4096];

static int collect(void *context, const char *name, uint64_t size)
{
    uint64_t *sum = context;
    *sum += size + (uint64_t)name[0] * 1000000;
    return 0;
}

static void names_follow_the_contract(void **state)
{
    (void)state;
    struct dw_disk *disk = dw_crash_disk(NULL);
    struct dw_file *file, *other;
    assert_int_equal(disk->ops->open(disk, "a", DW_OPEN_READ, &file), -ENOENT);
    assert_int_equal(disk->ops->open(disk, "a", RW, &file), 0);
    assert_int_equal(disk->ops->open(disk, "a", RW, &other), -EEXIST);
    other = dw_crash_file(disk, "b", RW);
    assert_int_equal(disk->ops->allocate(other, 512), 0);
    assert_int_equal(disk->ops->rename(disk, "a", "b"), -EEXIST);
    assert_int_equal(disk->ops->rename(disk, "c", "d"), -ENOENT);
    assert_int_equal(disk->ops->rename(disk, "a", "c"), 0);
    assert_int_equal(disk->ops->unlink(disk, "a"), -ENOENT);
    uint64_t sum = 0;
    assert_int_equal(disk->ops->list(disk, collect, &sum), 0);
    assert_int_equal(sum, ('b' + 'c') * UINT64_C(1000000) + 512);
    assert_int_equal(disk->ops->unlink(disk, "b"), 0);
    dw_crash_put(other, 0, 1, 3, true); /* an unlinked file lives while it is open */
    dw_file_close(file);
    dw_file_close(other);
    dw_crash_drop(disk);
}

static void reads_end_at_the_end_of_the_file_and_new_space_is_zero(void **state)
{
    (void)state;
    struct dw_disk *disk = dw_crash_disk(NULL);
    struct dw_file *file = dw_crash_file(disk, "f", RW), *reader = dw_crash_file(disk, "f", DW_OPEN_READ);
    size_t done;
    uint64_t size;
    assert_int_equal(disk->ops->allocate(file, 1024), 0);
    dw_crash_put(file, 1, 1, 7, false);
    assert_int_equal(dw_file_read(reader, blocks[0], 4096, 0, &done), 0);
    assert_int_equal(done, 1024);
    assert_int_equal(blocks[0][0], 0);
    assert_int_equal(blocks[0][512], 7);
    assert_int_equal(dw_file_read(reader, blocks[0], 4096, 4096, &done), 0);
    assert_int_equal(done, 0);
    assert_int_equal(disk->ops->size(reader, &size), 0);
    assert_int_equal(size, 1024);
    assert_int_equal(dw_file_write(reader, blocks[0], 512, 0), -EBADF);
    assert_int_equal(dw_file_write(file, blocks[0] + 8, 512, 0), -EINVAL);
    assert_int_equal(dw_file_write(file, blocks[0], 512, 100), -EINVAL);
    dw_file_close(file);
    dw_file_close(reader);
    dw_crash_drop(disk);
}

static void locks_conflict_between_opens_and_end_with_close(void **state)
{
    (void)state;
    struct dw_disk *disk = dw_crash_disk(NULL);
    struct dw_file *one = dw_crash_file(disk, "f", RW), *two = dw_crash_file(disk, "f", DW_OPEN_WRITE);
    bool is_held;
    assert_int_equal(disk->ops->lock(one, DW_LOCK_WRITER, DW_LOCK_EXCLUSIVE), 0);
    assert_int_equal(disk->ops->lock(two, DW_LOCK_WRITER, DW_LOCK_EXCLUSIVE), -EAGAIN);
    assert_int_equal(disk->ops->lock(two, DW_LOCK_WRITER, DW_LOCK_SHARED), -EAGAIN);
    assert_int_equal(disk->ops->lock(two, DW_LOCK_PIN, DW_LOCK_SHARED), 0);
    assert_int_equal(disk->ops->lock(one, DW_LOCK_PIN, DW_LOCK_SHARED), 0);
    assert_int_equal(disk->ops->lock(one, DW_LOCK_PIN, DW_LOCK_EXCLUSIVE), -EAGAIN);
    assert_int_equal(disk->ops->lock_test(two, DW_LOCK_WRITER, &is_held), 0);
    assert_true(is_held);
    assert_int_equal(disk->ops->lock_test(one, DW_LOCK_WRITER, &is_held), 0);
    assert_false(is_held);
    dw_file_close(one);
    assert_int_equal(disk->ops->lock(two, DW_LOCK_WRITER, DW_LOCK_EXCLUSIVE), 0);
    dw_file_close(two);
    dw_crash_drop(disk);
}

/* ---- queues ---- */
struct flight {
    struct dw_disk *disk;
    struct dw_file *file;
    struct dw_queue *queue;
    struct dw_request requests[WRITES];
};

static void take_off(struct flight *flight, const struct dw_sim_options *options, const char *kind)
{
    flight->disk = dw_crash_disk(options);
    flight->file = dw_crash_file(flight->disk, "f", RW);
    struct dw_queue_options queue_options = {.kind = kind, .depth = WRITES};
    assert_int_equal(flight->disk->ops->queue_create(flight->disk, &queue_options, &flight->queue), 0);
    for (uint8_t i = 0; i < WRITES; i++) {
        memset(blocks[i], i + 1, sizeof blocks[i]);
        flight->requests[i] = (struct dw_request){
            .file = flight->file, .bytes = blocks[i], .size = 4096, .offset = i * 4096u, .is_durable = true};
        flight->queue->ops->submit(flight->queue, &flight->requests[i]);
    }
}

static void land(struct flight *flight)
{
    flight->queue->ops->close(flight->queue);
    dw_file_close(flight->file);
    dw_crash_drop(flight->disk);
}

/* The order in which all requests come back, as one number. */
static uint64_t reap_all(struct flight *flight)
{
    uint64_t order = 0, seen = 0;
    while (flight->queue->in_flight) {
        struct dw_request *request = flight->queue->ops->reap(flight->queue, true);
        assert_non_null(request);
        for (; request; request = request->next, seen++) {
            assert_int_equal(request->result, 0);
            order = order * WRITES + (uint64_t)(request - flight->requests);
        }
    }
    assert_int_equal(seen, WRITES);
    return order;
}

static void requests_finish_in_an_order_that_the_seed_decides(void **state)
{
    (void)state;
    uint64_t orders[4];
    for (uint64_t i = 0; i < 4; i++) {
        struct flight flight;
        take_off(&flight, &(struct dw_sim_options){.seed = i / 2}, "sim");
        orders[i] = reap_all(&flight);
        for (uint8_t k = 0; k < WRITES; k++)
            assert_int_equal(dw_crash_get(flight.disk, "f", k * 8u), k + 1);
        land(&flight);
    }
    assert_true(orders[0] == orders[1] && orders[2] == orders[3]);
    assert_true(orders[0] != orders[2]);
}

static void a_manual_disk_finishes_what_it_is_told_to(void **state)
{
    (void)state;
    struct flight flight;
    take_off(&flight, &(struct dw_sim_options){.is_manual = true}, NULL);
    assert_null(flight.queue->ops->reap(flight.queue, false));
    dw_sim_complete(flight.disk, 3);
    struct dw_sim_flight info;
    dw_sim_flight_at(flight.disk, 3, &info);
    assert_int_equal(info.offset, 4 * 4096);
    assert_string_equal(info.name, "f");
    struct dw_request *request = flight.queue->ops->reap(flight.queue, true);
    assert_ptr_equal(request, &flight.requests[3]);
    assert_null(request->next);
    while (dw_sim_flight_count(flight.disk))
        dw_sim_complete(flight.disk, 0);
    assert_non_null(flight.queue->ops->reap(flight.queue, false));
    land(&flight);
}

static void *complete_later(void *context)
{
    struct dw_disk *disk = context;
    while (dw_sim_flight_count(disk) == 0)
        continue;
    dw_sim_complete(disk, 0);
    return NULL;
}

static void a_stalled_request_comes_back_only_when_named(void **state)
{
    (void)state;
    struct flight flight;
    take_off(&flight, &(struct dw_sim_options){.complete_percent = 100}, "sim");
    reap_all(&flight);
    dw_sim_fault(flight.disk, &(struct dw_sim_fault){.kind = DW_SIM_FAULT_STALL, .at = 1});
    flight.queue->ops->submit(flight.queue, &flight.requests[0]);
    for (int i = 0; i < 100; i++)
        assert_null(flight.queue->ops->reap(flight.queue, false));
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, complete_later, flight.disk), 0);
    assert_ptr_equal(flight.queue->ops->reap(flight.queue, true), &flight.requests[0]);
    pthread_join(thread, NULL);
    land(&flight);
}

static void the_synchronous_kind_finishes_inside_submit(void **state)
{
    (void)state;
    struct flight flight;
    take_off(&flight, NULL, "sync");
    assert_true(flight.queue->ops->is_synchronous);
    assert_int_equal(dw_sim_flight_count(flight.disk), 0);
    reap_all(&flight);
    land(&flight);
}

static void without_history_memory_is_bounded_by_the_content(void **state)
{
    (void)state;
    struct dw_disk *disk = dw_crash_disk(&(struct dw_sim_options){.is_history_off = true});
    struct dw_file *file = dw_crash_file(disk, "f", RW);
    size_t before = dw_sim_memory(disk);
    for (uint32_t i = 0; i < 20000; i++)
        dw_crash_put(file, i % 16, 4, (uint8_t)(i % 251), i % 2);
    assert_true(dw_sim_memory(disk) - before < (64u << 10));
    assert_int_equal(dw_crash_get(disk, "f", 19999 % 16), 19999 % 251);
    dw_file_close(file);
    dw_crash_drop(disk);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_follow_the_contract),
        cmocka_unit_test(reads_end_at_the_end_of_the_file_and_new_space_is_zero),
        cmocka_unit_test(locks_conflict_between_opens_and_end_with_close),
        cmocka_unit_test(requests_finish_in_an_order_that_the_seed_decides),
        cmocka_unit_test(a_manual_disk_finishes_what_it_is_told_to),
        cmocka_unit_test(a_stalled_request_comes_back_only_when_named),
        cmocka_unit_test(the_synchronous_kind_finishes_inside_submit),
        cmocka_unit_test(without_history_memory_is_bounded_by_the_content),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
