/* test_io_aio_results.c - what the aio queue makes of every result that an event can carry.
 *
 * No device gives most of them on demand, so this program includes the queue's source and hands it results of its own
 * making; control blocks that it would push to the kernel are looked at and dropped. */
#ifdef DW_HAVE_AIO
/* clang-format off */
#include "io/aio.c"
/* clang-format on */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

enum { UNIT = 4096 };

struct scene {
    struct aio_queue *queue; /* NULL: aio is forbidden here */
    struct dw_posix_file file;
    struct dw_request request;
    unsigned char *bytes;
};

static int setup(void **state)
{
    struct scene *scene = test_calloc(1, sizeof *scene);
    struct dw_queue *queue = NULL;
    scene->bytes = dw_alloc_io(4 * UNIT, UNIT);
    struct dw_queue_options options = {.kind = "aio", .depth = 2};
    if (dw_queue_aio_create(NULL, &options, &queue) == 0)
        scene->queue = queue_of(queue);
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
        print_message("this kernel forbids aio\n");
        skip();
    }
    return scene;
}

/* The one control block that waits to be pushed covers these bytes of the request; then it is dropped. */
static void expect_block(struct scene *scene, size_t from, size_t size)
{
    assert_int_equal(scene->queue->waiting_count, 1);
    const struct iocb *block = scene->queue->waiting[0];
    assert_int_equal(block->aio_lio_opcode, IO_CMD_PWRITE);
    assert_ptr_equal(block->u.c.buf, scene->bytes + from);
    assert_int_equal(block->u.c.nbytes, size);
    assert_int_equal(block->u.c.offset, 8 * UNIT + from);
    assert_int_equal(block->aio_rw_flags, scene->request.is_durable ? RWF_DSYNC : 0);
    scene->queue->waiting_count = 0;
}

static struct aio_slot *submit(struct scene *scene)
{
    scene->request.result = 1;
    scene->queue->base.ops->submit(&scene->queue->base, &scene->request);
    struct aio_slot *slot = scene->queue->waiting[0]->data;
    assert_ptr_equal(slot->request, &scene->request);
    expect_block(scene, 0, 4 * UNIT);
    return slot;
}

static bool is_finished(struct scene *scene)
{
    struct dw_request *finished = scene->queue->first;
    assert_int_equal(scene->queue->waiting_count, 0);
    assert_ptr_equal(scene->queue->base.ops->reap(&scene->queue->base, false), finished);
    return finished == &scene->request;
}

static void a_full_transfer_is_a_success(void **state)
{
    struct scene *scene = scene_or_skip(state);
    complete_slot(scene->queue, submit(scene), 4 * UNIT);
    assert_true(is_finished(scene));
    assert_int_equal(scene->request.result, 0);
    assert_int_equal(scene->request.done, 4 * UNIT);
    scene->request.is_durable = false;
    complete_slot(scene->queue, submit(scene), 4 * UNIT);
    assert_true(is_finished(scene));
}

static void a_short_transfer_goes_on_with_the_rest_and_stays_durable(void **state)
{
    struct scene *scene = scene_or_skip(state);
    struct aio_slot *slot = submit(scene);
    complete_slot(scene->queue, slot, UNIT);
    expect_block(scene, UNIT, 3 * UNIT);
    complete_slot(scene->queue, slot, 2 * UNIT);
    expect_block(scene, 3 * UNIT, UNIT);
    complete_slot(scene->queue, slot, UNIT);
    assert_true(is_finished(scene));
    assert_int_equal(scene->request.result, 0);
}

static void a_transfer_that_was_not_begun_starts_again(void **state)
{
    struct scene *scene = scene_or_skip(state);
    struct aio_slot *slot = submit(scene);
    complete_slot(scene->queue, slot, UNIT);
    expect_block(scene, UNIT, 3 * UNIT);
    for (size_t i = 0; i < 8; i++) {
        complete_slot(scene->queue, slot, i % 2 ? -EINTR : -EAGAIN);
        expect_block(scene, UNIT, 3 * UNIT);
    }
    complete_slot(scene->queue, slot, 3 * UNIT);
    assert_true(is_finished(scene));
    assert_int_equal(scene->request.result, 0);
}

static void zero_bytes_are_an_error_also_after_a_short_transfer(void **state)
{
    struct scene *scene = scene_or_skip(state);
    complete_slot(scene->queue, submit(scene), 0);
    assert_true(is_finished(scene));
    assert_int_equal(scene->request.result, -EIO);
    struct aio_slot *slot = submit(scene);
    complete_slot(scene->queue, slot, UNIT);
    expect_block(scene, UNIT, 3 * UNIT);
    complete_slot(scene->queue, slot, 0);
    assert_true(is_finished(scene));
    assert_int_equal(scene->request.result, -EIO);
}

static void every_other_error_is_final(void **state)
{
    struct scene *scene = scene_or_skip(state);
    static const int errors[] = {-EIO, -ENOSPC, -ENODATA, -EREMOTEIO, -EOPNOTSUPP, -EFBIG, -EINVAL, -ECANCELED};
    for (size_t i = 0; i < DW_COUNT_OF(errors); i++) {
        complete_slot(scene->queue, submit(scene), errors[i]);
        assert_true(is_finished(scene));
        assert_int_equal(scene->request.result, errors[i]);
    }
}

static void a_kernel_that_says_again_for_ever_is_not_believed(void **state)
{
    struct scene *scene = scene_or_skip(state);
    struct aio_slot *slot = submit(scene);
    for (int i = 1; i < AGAIN_MAX; i++) {
        complete_slot(scene->queue, slot, -EAGAIN);
        expect_block(scene, 0, 4 * UNIT);
    }
    complete_slot(scene->queue, slot, -EAGAIN);
    assert_true(is_finished(scene));
    assert_int_equal(scene->request.result, -EAGAIN);
}

/* A real one: the kernel says so of the descriptor when it is given the block. */
static void a_descriptor_that_is_none_fails_its_request(void **state)
{
    struct scene *scene = scene_or_skip(state);
    scene->queue->base.ops->submit(&scene->queue->base, &scene->request);
    assert_ptr_equal(scene->queue->base.ops->reap(&scene->queue->base, true), &scene->request);
    assert_int_equal(scene->request.result, -EBADF);
    assert_int_equal(scene->queue->base.in_flight, 0);
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
        WITH_SCENE(a_descriptor_that_is_none_fails_its_request),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
#else
int main(void)
{
    return 77;
}
#endif
