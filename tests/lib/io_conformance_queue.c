/* io_conformance_queue.c - durable writes in flight: every kind of queue must pass these. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/bits.h"
#include "tests/lib/io_conformance_internal.h"

static struct dw_queue *make_queue(struct dw_conformance *test, uint32_t depth, const void *memory, size_t size)
{
    struct dw_queue *queue = NULL;
    struct dw_queue_options options = {
        .kind = test->subject->queue_kind, .depth = depth, .ring_memory = memory, .ring_size = size};
    assert_int_equal(test->disk->ops->queue_create(test->disk, &options, &queue), 0);
    assert_non_null(queue);
    assert_int_equal(queue->depth, depth);
    assert_int_equal(queue->in_flight, 0);
    assert_string_equal(queue->ops->name, test->subject->queue_kind);
    return queue;
}

/* Reap until all that is in flight came back; answers how many. Every request must come back once: `result` is preset. */
enum { UNTOUCHED = -12345 };
static uint32_t drain(struct dw_queue *queue, struct dw_request **order)
{
    uint32_t count = 0;
    while (queue->in_flight > 0) {
        struct dw_request *finished = queue->ops->reap(queue, true);
        assert_non_null(finished); /* a waiting reap never comes back with nothing */
        for (struct dw_request *next; finished; finished = next) {
            next = finished->next;
            if (order)
                order[count] = finished;
            count++;
        }
    }
    assert_null(queue->ops->reap(queue, false));
    return count;
}

static struct dw_request request_of(struct dw_file *file, const void *bytes, size_t size, uint64_t offset)
{
    return (struct dw_request){
        .file = file, .bytes = bytes, .size = size, .offset = offset, .is_durable = true, .result = UNTOUCHED};
}

static void a_request_is_written_and_handed_out_once(void **state)
{
    struct dw_conformance *test = *state;
    struct dw_queue *queue = make_queue(test, 1, NULL, 0);
    struct dw_file *file = dw_conformance_create(test, "a");
    int mark = 0;
    dw_conformance_fill(test->bytes, CONFORMANCE_UNIT, 1);
    struct dw_request request = request_of(file, test->bytes, CONFORMANCE_UNIT, 0);
    request.user = &mark;
    assert_null(queue->ops->reap(queue, false));
    queue->ops->submit(queue, &request);
    assert_int_equal(queue->in_flight, 1);
    struct dw_request *finished = queue->ops->reap(queue, true);
    assert_ptr_equal(finished, &request);
    assert_null(finished->next);
    assert_int_equal(finished->result, 0);
    assert_ptr_equal(finished->user, &mark);
    assert_int_equal(queue->in_flight, 0);
    dw_conformance_expect(test, file, 0, CONFORMANCE_UNIT, 1);
    dw_file_close(file);
    queue->ops->close(queue);
}

static void a_reap_that_does_not_wait_still_starts_and_finds_the_write(void **state)
{
    struct dw_conformance *test = *state;
    struct dw_queue *queue = make_queue(test, 2, NULL, 0);
    struct dw_file *file = dw_conformance_create(test, "a");
    struct dw_request request = request_of(file, test->bytes, CONFORMANCE_UNIT, 0);
    queue->ops->submit(queue, &request);
    /* Bounded by the program's time limit only: a device may take its time. */
    struct dw_request *finished;
    do
        finished = queue->ops->reap(queue, false);
    while (!finished);
    assert_ptr_equal(finished, &request);
    assert_int_equal(request.result, 0);
    dw_file_close(file);
    queue->ops->close(queue);
}

/* Fill the queue to its depth again and again, each request at its own place, from its own bytes. */
static void write_in_rounds(struct dw_conformance *test, uint32_t depth, bool is_durable, const unsigned char *memory,
                            unsigned char *bytes)
{
    struct dw_queue *queue = make_queue(test, depth, memory, memory ? CONFORMANCE_BYTES : 0);
    struct dw_file *file = dw_conformance_create(test, "a");
    struct dw_request requests[64];
    for (uint32_t round = 0; round < 3; round++) {
        for (uint32_t i = 0; i < depth; i++) {
            unsigned char *own = bytes + (size_t)i * CONFORMANCE_UNIT;
            dw_conformance_fill(own, CONFORMANCE_UNIT, round * 100 + i);
            /* Backwards, so that the order of places is not the order of submission. */
            uint64_t place = (uint64_t)(round * depth + (depth - 1 - i)) * CONFORMANCE_UNIT;
            requests[i] = request_of(file, own, CONFORMANCE_UNIT, place);
            requests[i].is_durable = is_durable;
            queue->ops->submit(queue, &requests[i]);
            assert_int_equal(queue->in_flight, i + 1);
        }
        assert_int_equal(drain(queue, NULL), depth);
        for (uint32_t i = 0; i < depth; i++)
            assert_int_equal(requests[i].result, 0);
    }
    for (uint32_t round = 0; round < 3; round++)
        for (uint32_t i = 0; i < depth; i++)
            dw_conformance_expect(test, file, (uint64_t)(round * depth + (depth - 1 - i)) * CONFORMANCE_UNIT,
                                  CONFORMANCE_UNIT, round * 100 + i);
    dw_file_close(file);
    queue->ops->close(queue);
}

static void many_in_flight_each_land_in_their_own_place(void **state)
{
    struct dw_conformance *test = *state;
    write_in_rounds(test, 4, true, NULL, test->bytes);
}

static void the_deepest_queue_works(void **state)
{
    struct dw_conformance *test = *state;
    write_in_rounds(test, 64, true, NULL, test->bytes);
}

static void writes_that_are_not_durable_work_too(void **state)
{
    struct dw_conformance *test = *state;
    write_in_rounds(test, 8, false, NULL, test->bytes);
}

static void writes_from_the_ring_memory_work(void **state)
{
    struct dw_conformance *test = *state;
    unsigned char *ring = dw_map(CONFORMANCE_BYTES);
    assert_non_null(ring);
    write_in_rounds(test, 4, true, ring, ring);
    dw_unmap(ring, CONFORMANCE_BYTES);
}

static void writes_from_elsewhere_work_beside_the_ring_memory(void **state)
{
    struct dw_conformance *test = *state;
    unsigned char *ring = dw_map(CONFORMANCE_BYTES);
    assert_non_null(ring);
    write_in_rounds(test, 4, true, ring, test->bytes);
    dw_unmap(ring, CONFORMANCE_BYTES);
}

/* As large as a log's: what is registered of it may be more than one command or one buffer of the kernel can hold. */
static void writes_from_anywhere_in_a_large_ring_work(void **state)
{
    struct dw_conformance *test = *state;
    enum { RING = 8 << 20, UNIT = CONFORMANCE_UNIT };
    static const struct {
        size_t from, size;
    } parts[] = {{0, UNIT}, {UNIT, 3 << 20}, {(3 << 20) + UNIT, 2 << 20}, {RING - UNIT, UNIT}};
    unsigned char *ring = dw_map(RING);
    assert_non_null(ring);
    struct dw_queue *queue = make_queue(test, DW_COUNT_OF(parts), ring, RING);
    struct dw_file *file = dw_conformance_create(test, "a");
    struct dw_request requests[DW_COUNT_OF(parts)];
    for (uint32_t i = 0; i < DW_COUNT_OF(parts); i++) {
        dw_conformance_fill(ring + parts[i].from, parts[i].size, i);
        requests[i] = request_of(file, ring + parts[i].from, parts[i].size, parts[i].from);
        queue->ops->submit(queue, &requests[i]);
    }
    assert_int_equal(drain(queue, NULL), DW_COUNT_OF(parts));
    for (uint32_t i = 0; i < DW_COUNT_OF(parts); i++) {
        assert_int_equal(requests[i].result, 0);
        dw_conformance_expect(test, file, parts[i].from, parts[i].size, i);
    }
    dw_file_close(file);
    queue->ops->close(queue);
    dw_unmap(ring, RING);
}

static void a_new_request_may_start_while_others_are_in_flight(void **state)
{
    struct dw_conformance *test = *state;
    struct dw_queue *queue = make_queue(test, 4, NULL, 0);
    struct dw_file *file = dw_conformance_create(test, "a");
    struct dw_request requests[40];
    uint32_t started = 0, finished_count = 0;
    dw_conformance_fill(test->bytes, DW_COUNT_OF(requests) * CONFORMANCE_UNIT, 5);
    while (finished_count < DW_COUNT_OF(requests)) {
        while (started < DW_COUNT_OF(requests) && queue->in_flight < queue->depth) {
            size_t at = (size_t)started * CONFORMANCE_UNIT;
            requests[started] = request_of(file, test->bytes + at, CONFORMANCE_UNIT, at);
            queue->ops->submit(queue, &requests[started++]);
        }
        struct dw_request *finished = queue->ops->reap(queue, true);
        for (; finished; finished = finished->next) {
            assert_int_equal(finished->result, 0);
            finished_count++;
        }
    }
    assert_int_equal(queue->in_flight, 0);
    dw_conformance_expect(test, file, 0, DW_COUNT_OF(requests) * CONFORMANCE_UNIT, 5);
    dw_file_close(file);
    queue->ops->close(queue);
}

static void a_request_that_fails_carries_its_error_and_harms_no_other(void **state)
{
    struct dw_conformance *test = *state;
    struct dw_queue *queue = make_queue(test, 3, NULL, 0);
    struct dw_file *file = dw_conformance_create(test, "a");
    struct dw_file *read_only = NULL;
    assert_int_equal(test->disk->ops->open(test->disk, "a", DW_OPEN_READ, &read_only), 0);
    dw_conformance_fill(test->bytes, 3 * CONFORMANCE_UNIT, 6);
    struct dw_request requests[3];
    for (uint32_t i = 0; i < 3; i++) {
        size_t at = (size_t)i * CONFORMANCE_UNIT;
        requests[i] = request_of(i == 1 ? read_only : file, test->bytes + at, CONFORMANCE_UNIT, at);
        queue->ops->submit(queue, &requests[i]);
    }
    assert_int_equal(drain(queue, NULL), 3);
    assert_int_equal(requests[0].result, 0);
    assert_true(requests[1].result < 0 && requests[1].result != UNTOUCHED);
    assert_int_equal(requests[2].result, 0);
    /* The queue itself goes on. */
    requests[1] = request_of(file, test->bytes + CONFORMANCE_UNIT, CONFORMANCE_UNIT, CONFORMANCE_UNIT);
    queue->ops->submit(queue, &requests[1]);
    assert_int_equal(drain(queue, NULL), 1);
    assert_int_equal(requests[1].result, 0);
    dw_conformance_expect(test, file, 0, 3 * CONFORMANCE_UNIT, 6);
    dw_file_close(read_only);
    dw_file_close(file);
    queue->ops->close(queue);
}

static void large_requests_are_written_whole(void **state)
{
    struct dw_conformance *test = *state;
    enum { LARGE = 4 << 20 };
    unsigned char *large = dw_alloc_io(2 * LARGE, CONFORMANCE_UNIT);
    dw_conformance_fill(large, LARGE, 7);
    dw_conformance_fill(large + LARGE, LARGE, 8);
    struct dw_queue *queue = make_queue(test, 2, NULL, 0);
    struct dw_file *file = dw_conformance_create(test, "a");
    struct dw_request requests[2] = {request_of(file, large, LARGE, LARGE), request_of(file, large + LARGE, LARGE, 0)};
    queue->ops->submit(queue, &requests[0]);
    queue->ops->submit(queue, &requests[1]);
    assert_int_equal(drain(queue, NULL), 2);
    assert_int_equal(requests[0].result, 0);
    assert_int_equal(requests[1].result, 0);
    dw_conformance_expect(test, file, 0, LARGE, 8);
    dw_conformance_expect(test, file, LARGE, LARGE, 7);
    dw_file_close(file);
    queue->ops->close(queue);
    dw_free_io(large);
}

/* A volume is closed, its name and even its struct's address used again: writes must go to the new file. */
static void files_may_come_and_go_during_the_life_of_a_queue(void **state)
{
    struct dw_conformance *test = *state;
    struct dw_queue *queue = make_queue(test, 2, NULL, 0);
    for (uint32_t round = 0; round < 12; round++) {
        char name[2] = {(char)('a' + (int)round), 0};
        struct dw_file *file = dw_conformance_create(test, name);
        assert_int_equal(file->disk->ops->lock(file, DW_LOCK_WRITER, DW_LOCK_EXCLUSIVE), 0);
        dw_conformance_fill(test->bytes, 2 * CONFORMANCE_UNIT, round);
        struct dw_request requests[2];
        for (size_t i = 0; i < 2; i++) {
            size_t at = i * CONFORMANCE_UNIT;
            requests[i] = request_of(file, test->bytes + at, CONFORMANCE_UNIT, at);
            queue->ops->submit(queue, &requests[i]);
        }
        assert_int_equal(drain(queue, NULL), 2);
        assert_int_equal(requests[0].result, 0);
        assert_int_equal(requests[1].result, 0);
        dw_file_close(file);
        /* The queue may remember the file, but not its lock. */
        assert_int_equal(test->disk->ops->open(test->disk, name, DW_OPEN_WRITE, &file), 0);
        assert_int_equal(file->disk->ops->lock(file, DW_LOCK_WRITER, DW_LOCK_EXCLUSIVE), 0);
        dw_conformance_expect(test, file, 0, 2 * CONFORMANCE_UNIT, round);
        dw_file_close(file);
    }
    queue->ops->close(queue);
}

static void requests_to_several_files_go_where_they_belong(void **state)
{
    struct dw_conformance *test = *state;
    enum { FILES = 7 };
    struct dw_queue *queue = make_queue(test, 2 * FILES, NULL, 0);
    struct dw_file *files[FILES];
    struct dw_request requests[2 * FILES];
    for (uint32_t i = 0; i < FILES; i++) {
        char name[2] = {(char)('a' + (int)i), 0};
        files[i] = dw_conformance_create(test, name);
        dw_conformance_fill(test->bytes + (size_t)i * CONFORMANCE_UNIT, CONFORMANCE_UNIT, i);
    }
    for (uint32_t i = 0; i < 2 * FILES; i++) {
        const unsigned char *bytes = test->bytes + (size_t)(i % FILES) * CONFORMANCE_UNIT;
        requests[i] = request_of(files[i % FILES], bytes, CONFORMANCE_UNIT, (uint64_t)(i / FILES) * CONFORMANCE_UNIT);
        queue->ops->submit(queue, &requests[i]);
    }
    assert_int_equal(drain(queue, NULL), 2 * FILES);
    for (uint32_t i = 0; i < FILES; i++) {
        assert_int_equal(requests[i].result | requests[FILES + i].result, 0);
        dw_conformance_expect(test, files[i], 0, CONFORMANCE_UNIT, i);
        dw_conformance_expect(test, files[i], CONFORMANCE_UNIT, CONFORMANCE_UNIT, i);
        dw_file_close(files[i]);
    }
    queue->ops->close(queue);
}

static void a_lone_durable_write_works_beside_the_queue(void **state)
{
    struct dw_conformance *test = *state;
    struct dw_queue *queue = make_queue(test, 2, NULL, 0);
    struct dw_file *file = dw_conformance_create(test, "a");
    dw_conformance_fill(test->bytes, 2 * CONFORMANCE_UNIT, 9);
    struct dw_request request = request_of(file, test->bytes, CONFORMANCE_UNIT, 0);
    queue->ops->submit(queue, &request);
    assert_int_equal(dw_file_write_durable(file, test->bytes + CONFORMANCE_UNIT, CONFORMANCE_UNIT, CONFORMANCE_UNIT),
                     0);
    assert_int_equal(drain(queue, NULL), 1);
    assert_int_equal(request.result, 0);
    dw_conformance_expect(test, file, 0, 2 * CONFORMANCE_UNIT, 9);
    dw_file_close(file);
    queue->ops->close(queue);
}

static void nothing_is_allocated_between_create_and_close(void **state)
{
    struct dw_conformance *test = *state;
    struct dw_queue *queue = make_queue(test, 4, NULL, 0);
    struct dw_file *file = dw_conformance_create(test, "a");
    assert_int_equal(dw_file_write(file, test->bytes, 8 * CONFORMANCE_UNIT, 0), 0);
    struct dw_request request = request_of(file, test->bytes, CONFORMANCE_UNIT, 0);
    uint64_t before = dw_alloc_count();
    for (uint32_t i = 0; i < 8; i++) {
        request.offset = (uint64_t)i * CONFORMANCE_UNIT;
        queue->ops->submit(queue, &request);
        assert_ptr_equal(queue->ops->reap(queue, true), &request);
        assert_int_equal(dw_file_write_durable(file, test->bytes, CONFORMANCE_UNIT, request.offset), 0);
    }
    assert_int_equal(dw_alloc_count(), before);
    dw_file_close(file);
    queue->ops->close(queue);
}

enum { FILES_IN_RESERVE = 200 };

static void creation_without_memory_fails_and_leaks_nothing(void **state)
{
    struct dw_conformance *test = *state;
    struct dw_queue_options options = {.kind = test->subject->queue_kind, .depth = 4};
    uint64_t bytes = dw_alloc_bytes();
    struct dw_queue *queue = NULL;
    dw_alloc_fail_at(1, false);
    int result = test->disk->ops->queue_create(test->disk, &options, &queue);
    dw_alloc_fail_at(0, false);
    assert_int_equal(result, -ENOMEM);
    assert_null(queue);
    /* A disk may have memory for some files in reserve. */
    struct dw_file *files[FILES_IN_RESERVE] = {NULL};
    char name[16];
    uint32_t count = 0;
    result = 0;
    for (; result == 0 && count < FILES_IN_RESERVE; count++) {
        snprintf(name, sizeof name, "a%u", count);
        dw_alloc_fail_at(1, true);
        result = test->disk->ops->open(test->disk, name, DW_OPEN_WRITE | DW_OPEN_CREATE, &files[count]);
        dw_alloc_fail_at(0, false);
    }
    assert_int_equal(result, -ENOMEM);
    assert_null(files[count - 1]);
    for (uint32_t i = 0; i < count; i++)
        dw_file_close(files[i]);
    assert_int_equal(dw_alloc_bytes(), bytes);
    dw_file_close(dw_conformance_create(test, name)); /* and the failed creation left no name behind */
}

#define CONFORM(test) cmocka_unit_test_setup_teardown(test, dw_conformance_setup, dw_conformance_teardown)

size_t dw_conformance_queue_tests(struct CMUnitTest *tests, size_t room)
{
    const struct CMUnitTest own[] = {
        CONFORM(a_request_is_written_and_handed_out_once),
        CONFORM(a_reap_that_does_not_wait_still_starts_and_finds_the_write),
        CONFORM(many_in_flight_each_land_in_their_own_place),
        CONFORM(the_deepest_queue_works),
        CONFORM(writes_that_are_not_durable_work_too),
        CONFORM(writes_from_the_ring_memory_work),
        CONFORM(writes_from_elsewhere_work_beside_the_ring_memory),
        CONFORM(writes_from_anywhere_in_a_large_ring_work),
        CONFORM(a_new_request_may_start_while_others_are_in_flight),
        CONFORM(a_request_that_fails_carries_its_error_and_harms_no_other),
        CONFORM(large_requests_are_written_whole),
        CONFORM(files_may_come_and_go_during_the_life_of_a_queue),
        CONFORM(requests_to_several_files_go_where_they_belong),
        CONFORM(a_lone_durable_write_works_beside_the_queue),
        CONFORM(nothing_is_allocated_between_create_and_close),
        CONFORM(creation_without_memory_fails_and_leaks_nothing),
    };
    assert_true(DW_COUNT_OF(own) <= room);
    memcpy(tests, own, sizeof own);
    return DW_COUNT_OF(own);
}
