/* test_io_uring_results.c - what the ring's queue makes of every result that a completion can carry.
 *
 * No device gives most of them on demand, so this program includes the queue's source and hands it completions of its
 * own making; entries that it would push to the kernel are looked at and dropped. */
#ifdef DW_HAVE_URING
/* clang-format off */
#include "io/uring.c"
/* clang-format on */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <fcntl.h>

enum { UNIT = 4096 };

struct scene {
    struct dw_uring *queue;
    struct dw_posix_file file;
    struct dw_request request;
    unsigned char *bytes;
};

static int setup(void **state)
{
    struct scene *scene = test_calloc(1, sizeof *scene);
    struct dw_queue *queue = NULL;
    scene->bytes = dw_alloc_io(4 * UNIT, UNIT);
    struct dw_queue_options options = {.kind = "uring", .depth = 2};
    if (dw_queue_uring_create(NULL, &options, &queue) == 0)
        scene->queue = uring_of(queue);
    scene->file = (struct dw_posix_file){.base.alignment = 512, .is_direct = true, .descriptor = -1, .generation = 7};
    scene->request = (struct dw_request){
        .file = &scene->file.base, .bytes = scene->bytes, .size = 4 * UNIT, .offset = 8 * UNIT, .is_durable = true};
    *state = scene;
    return 0;
}

static int teardown(void **state)
{
    struct scene *scene = *state;
    if (scene->queue)
        scene->queue->base.ops->close(&scene->queue->base);
    dw_free_io(scene->bytes);
    test_free(scene);
    return 0;
}

static struct scene *scene_or_skip(void **state)
{
    struct scene *scene = *state;
    if (!scene->queue) {
        print_message("this kernel forbids io_uring\n");
        skip();
    }
    return scene;
}

/* The one entry that waits to be pushed covers these bytes of the request; then it is dropped. */
static void expect_entry(struct scene *scene, size_t from, size_t size)
{
    struct io_uring_sq *entries = &scene->queue->ring.sq;
    assert_int_equal(entries->sqe_tail - entries->sqe_head, 1);
    const struct io_uring_sqe *entry = &entries->sqes[entries->sqe_head & *entries->kring_mask];
    assert_int_equal(entry->opcode, IORING_OP_WRITE);
    assert_int_equal(entry->addr, (uintptr_t)scene->bytes + from);
    assert_int_equal(entry->len, size);
    assert_int_equal(entry->off, 8 * UNIT + from);
    assert_int_equal(entry->rw_flags, RWF_DSYNC);
    entries->sqe_tail = entries->sqe_head;
}

static void submit(struct scene *scene)
{
    scene->request.result = 1;
    scene->queue->base.ops->submit(&scene->queue->base, &scene->request);
    expect_entry(scene, 0, 4 * UNIT);
}

/* Hand out what is finished without entering the kernel. */
static bool is_finished(struct scene *scene)
{
    struct dw_request *finished = scene->queue->first;
    assert_int_equal(scene->queue->ring.sq.sqe_tail, scene->queue->ring.sq.sqe_head);
    assert_ptr_equal(scene->queue->base.ops->reap(&scene->queue->base, false), finished);
    return finished == &scene->request;
}

static void a_full_transfer_is_a_success(void **state)
{
    struct scene *scene = scene_or_skip(state);
    submit(scene);
    complete_slot(scene->queue, 0, 4 * UNIT);
    assert_true(is_finished(scene));
    assert_int_equal(scene->request.result, 0);
    assert_int_equal(scene->request.done, 4 * UNIT);
}

static void a_short_transfer_goes_on_with_the_rest_and_stays_durable(void **state)
{
    struct scene *scene = scene_or_skip(state);
    submit(scene);
    complete_slot(scene->queue, 0, UNIT);
    expect_entry(scene, UNIT, 3 * UNIT);
    complete_slot(scene->queue, 0, 2 * UNIT);
    expect_entry(scene, 3 * UNIT, UNIT);
    complete_slot(scene->queue, 0, UNIT);
    assert_true(is_finished(scene));
    assert_int_equal(scene->request.result, 0);
}

static void a_transfer_that_was_not_begun_starts_again(void **state)
{
    struct scene *scene = scene_or_skip(state);
    submit(scene);
    complete_slot(scene->queue, 0, UNIT);
    expect_entry(scene, UNIT, 3 * UNIT);
    static const int not_begun[] = {-EINTR, -EAGAIN, -ECANCELED};
    for (size_t i = 0; i < 9; i++) {
        complete_slot(scene->queue, 0, not_begun[i % 3]);
        expect_entry(scene, UNIT, 3 * UNIT);
    }
    complete_slot(scene->queue, 0, 3 * UNIT);
    assert_true(is_finished(scene));
    assert_int_equal(scene->request.result, 0);
}

static void zero_bytes_are_an_error_also_after_a_short_transfer(void **state)
{
    struct scene *scene = scene_or_skip(state);
    submit(scene);
    complete_slot(scene->queue, 0, 0);
    assert_true(is_finished(scene));
    assert_int_equal(scene->request.result, -EIO);
    submit(scene);
    complete_slot(scene->queue, 0, UNIT);
    expect_entry(scene, UNIT, 3 * UNIT);
    complete_slot(scene->queue, 0, 0);
    assert_true(is_finished(scene));
    assert_int_equal(scene->request.result, -EIO);
}

static void every_other_error_is_final(void **state)
{
    struct scene *scene = scene_or_skip(state);
    static const int errors[] = {-EIO, -ENOSPC, -ENODATA, -EREMOTEIO, -EOPNOTSUPP, -EFBIG, -EINVAL};
    for (size_t i = 0; i < DW_COUNT_OF(errors); i++) {
        submit(scene);
        complete_slot(scene->queue, 0, errors[i]);
        assert_true(is_finished(scene));
        assert_int_equal(scene->request.result, errors[i]);
    }
}

static void a_kernel_that_says_again_for_ever_is_not_believed(void **state)
{
    struct scene *scene = scene_or_skip(state);
    submit(scene);
    for (int i = 1; i < AGAIN_MAX; i++) {
        complete_slot(scene->queue, 0, -EAGAIN);
        expect_entry(scene, 0, 4 * UNIT);
    }
    complete_slot(scene->queue, 0, -EAGAIN);
    assert_true(is_finished(scene));
    assert_int_equal(scene->request.result, -EAGAIN);
}

/* Take the one entry that waits to be pushed; its request ends well. */
static struct io_uring_sqe take_entry(struct scene *scene)
{
    struct io_uring_sq *entries = &scene->queue->ring.sq;
    assert_int_equal(entries->sqe_tail - entries->sqe_head, 1);
    struct io_uring_sqe entry = entries->sqes[entries->sqe_head & *entries->kring_mask];
    entries->sqe_tail = entries->sqe_head;
    complete_slot(scene->queue, 0, (int)scene->request.size);
    assert_true(is_finished(scene));
    return entry;
}

static unsigned opcode_at(struct scene *scene, size_t from, size_t size)
{
    scene->request.bytes = scene->bytes + from;
    scene->request.size = size;
    scene->queue->base.ops->submit(&scene->queue->base, &scene->request);
    return take_entry(scene).opcode;
}

static void only_what_lies_wholly_in_the_ring_memory_is_written_from_it(void **state)
{
    struct scene *scene = scene_or_skip(state);
    scene->queue->memory = scene->bytes + UNIT;
    scene->queue->memory_size = 2 * UNIT;
    assert_int_equal(opcode_at(scene, UNIT, UNIT), IORING_OP_WRITE_FIXED);
    assert_int_equal(opcode_at(scene, UNIT, 2 * UNIT), IORING_OP_WRITE_FIXED);
    assert_int_equal(opcode_at(scene, 2 * UNIT, UNIT), IORING_OP_WRITE_FIXED);
    assert_int_equal(opcode_at(scene, 0, UNIT), IORING_OP_WRITE);
    assert_int_equal(opcode_at(scene, 0, 2 * UNIT), IORING_OP_WRITE);
    assert_int_equal(opcode_at(scene, 2 * UNIT, 2 * UNIT), IORING_OP_WRITE);
    assert_int_equal(opcode_at(scene, 3 * UNIT, UNIT), IORING_OP_WRITE);
    assert_int_equal(opcode_at(scene, 0, 4 * UNIT), IORING_OP_WRITE);
}

static int count_table(const struct dw_uring *queue)
{
    int count = 0;
    for (size_t i = 0; i < DW_URING_FILES; i++)
        count += queue->files[i].generation != 0;
    return count;
}

static void a_file_that_rests_leaves_the_table_when_another_comes(void **state)
{
    struct scene *scene = scene_or_skip(state);
    if (!scene->queue->has_files)
        skip();
    int descriptor = open("/dev/null", O_WRONLY | O_CLOEXEC);
    assert_true(descriptor >= 0);
    scene->file.descriptor = descriptor;
    for (uint64_t generation = 100; generation < 110; generation++) {
        scene->file.generation = generation; /* the same address, each time another file */
        for (int i = 0; i < 2; i++) {
            scene->queue->base.ops->submit(&scene->queue->base, &scene->request);
            struct io_uring_sqe entry = take_entry(scene);
            assert_true(entry.flags & IOSQE_FIXED_FILE);
            assert_int_equal(scene->queue->files[entry.fd].generation, generation);
            assert_int_equal(count_table(scene->queue), 1);
        }
    }
    close(descriptor);
}

#define WITH_SCENE(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_SCENE(a_full_transfer_is_a_success),
        WITH_SCENE(a_short_transfer_goes_on_with_the_rest_and_stays_durable),
        WITH_SCENE(a_transfer_that_was_not_begun_starts_again),
        WITH_SCENE(zero_bytes_are_an_error_also_after_a_short_transfer),
        WITH_SCENE(every_other_error_is_final),
        WITH_SCENE(a_kernel_that_says_again_for_ever_is_not_believed),
        WITH_SCENE(only_what_lies_wholly_in_the_ring_memory_is_written_from_it),
        WITH_SCENE(a_file_that_rests_leaves_the_table_when_another_comes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
#else
int main(void)
{
    return 77;
}
#endif
