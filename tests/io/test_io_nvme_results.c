/* test_io_nvme_results.c - what the NVMe queue makes of requests and of every result, without a device.
 *
 * This program includes the queue's source, gives it a real ring but no generic node, looks at the commands that it would
 * push, drops them, and hands it completions of its own making. */
#ifdef DW_HAVE_URING
/* clang-format off */
#include "io/nvme.c"
/* clang-format on */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

enum { UNIT = 4096, BLOCK = 512, MOST = 4 * UNIT, LARGE = 22 * UNIT, START = 1 << 20 };

struct scene {
    struct nvme_queue *queue; /* NULL: no such ring here */
    struct dw_disk disk;
    struct dw_posix_file file;
    struct dw_request request;
    unsigned char *bytes;
    unsigned taken; /* commands that wait to be pushed and were looked at */
};

static int setup(void **state)
{
    struct scene *scene = test_calloc(1, sizeof *scene);
    struct nvme_queue *queue = dw_alloc(sizeof *queue);
    scene->bytes = dw_alloc_io(LARGE, UNIT);
    scene->file = (struct dw_posix_file){.base = {.disk = &scene->disk, .alignment = BLOCK}, .is_direct = true};
    scene->request = (struct dw_request){
        .file = &scene->file.base, .bytes = scene->bytes, .size = UNIT, .offset = 8 * UNIT, .is_durable = true};
    *queue = (struct nvme_queue){
        .base = {.ops = &nvme_ops, .depth = 2},
        .disk = &scene->disk,
        .target = {.descriptor = -1,
                   .namespace_id = 7,
                   .block_size = BLOCK,
                   .place = {.start = START, .size = 64 * UNIT, .transfer_max = MOST}},
        .free_slots = 3,
    };
    queue->last = &queue->first;
    if (dw_uring_create_ring(&queue->ring, 2 * PIECES, false, IORING_SETUP_SQE128 | IORING_SETUP_CQE32) == 0)
        scene->queue = queue;
    else
        dw_free(queue);
    *state = scene;
    return 0;
}

static int teardown(void **state)
{
    struct scene *scene = *state;
    if (scene->queue) {
        io_uring_queue_exit(&scene->queue->ring);
        dw_free(scene->queue);
    }
    dw_free_io(scene->bytes);
    test_free(scene);
    return 0;
}

static struct scene *scene_or_skip(void **state)
{
    struct scene *scene = *state;
    if (!scene->queue) {
        print_message("this kernel has no passthrough\n");
        skip();
    }
    return scene;
}

/* The next command that waits covers these bytes of the request; then it is dropped. */
static void expect_command(struct scene *scene, uint64_t from, uint32_t size)
{
    struct io_uring_sq *entries = &scene->queue->ring.sq;
    assert_true(entries->sqe_tail - entries->sqe_head > scene->taken);
    const struct io_uring_sqe *entry =
        &entries->sqes[((entries->sqe_head + scene->taken++) & *entries->kring_mask) << 1];
    struct nvme_uring_cmd command;
    memcpy(&command, entry->cmd, sizeof command);
    uint64_t block = (START + scene->request.offset + from) / BLOCK;
    assert_int_equal(entry->opcode, IORING_OP_URING_CMD);
    assert_int_equal(entry->cmd_op, NVME_URING_CMD_IO);
    assert_int_equal(entry->user_data, from << 8);
    assert_int_equal(command.opcode, 1);
    assert_int_equal(command.nsid, 7);
    assert_int_equal(command.addr, (uintptr_t)scene->request.bytes + from);
    assert_int_equal(command.data_len, size);
    assert_int_equal(command.cdw10 | (uint64_t)command.cdw11 << 32, block);
    assert_int_equal(command.cdw12 & 0xffff, size / BLOCK - 1);
    assert_int_equal(command.cdw12 >> 30 & 1, scene->request.is_durable);
    assert_int_equal(command.cdw12 & 0xbfff0000, 0);
    if (entries->sqe_tail - entries->sqe_head == scene->taken) {
        entries->sqe_tail = entries->sqe_head;
        scene->taken = 0;
    }
}

static void expect_no_command(struct scene *scene)
{
    assert_int_equal(scene->queue->ring.sq.sqe_tail, scene->queue->ring.sq.sqe_head);
}

static void submit(struct scene *scene)
{
    scene->request.result = 1;
    scene->queue->base.ops->submit(&scene->queue->base, &scene->request);
}

static bool is_finished(struct scene *scene)
{
    struct dw_request *finished = scene->queue->first;
    expect_no_command(scene);
    assert_ptr_equal(scene->queue->base.ops->reap(&scene->queue->base, false), finished);
    return finished == &scene->request;
}

static void a_small_request_is_one_command_with_the_bit_for_durable(void **state)
{
    struct scene *scene = scene_or_skip(state);
    for (int is_durable = 1; is_durable >= 0; is_durable--) {
        scene->request.is_durable = is_durable != 0;
        submit(scene);
        expect_command(scene, 0, UNIT);
        assert_false(is_finished(scene));
        complete_piece(scene->queue, 0, 0);
        assert_true(is_finished(scene));
        assert_int_equal(scene->request.result, 0);
        assert_int_equal(scene->request.done, UNIT);
        assert_int_equal(scene->queue->base.in_flight, 0);
    }
}

static void a_place_beyond_32_bits_of_blocks_is_told_whole(void **state)
{
    struct scene *scene = scene_or_skip(state);
    scene->queue->target.place.size = UINT64_C(1) << 43;
    scene->request.offset = UINT64_C(5) << 41;
    scene->request.offset = (UINT64_C(1) << 42) + UNIT;
    submit(scene);
    expect_command(scene, 0, UNIT);
    complete_piece(scene->queue, 0, 0);
    assert_true(is_finished(scene));
}

static void a_large_request_goes_out_in_pieces_a_few_at_once(void **state)
{
    struct scene *scene = scene_or_skip(state);
    scene->request.size = LARGE;
    submit(scene);
    for (uint64_t i = 0; i < 4; i++)
        expect_command(scene, i * MOST, MOST);
    expect_no_command(scene);
    complete_piece(scene->queue, (uint64_t)2 * MOST << 8, 0); /* in any order */
    expect_command(scene, 4 * MOST, MOST);
    complete_piece(scene->queue, 0, 0);
    expect_command(scene, 5 * MOST, LARGE - 5 * MOST);
    complete_piece(scene->queue, (uint64_t)5 * MOST << 8, 0);
    complete_piece(scene->queue, (uint64_t)4 * MOST << 8, 0);
    complete_piece(scene->queue, (uint64_t)1 * MOST << 8, 0);
    assert_false(is_finished(scene));
    complete_piece(scene->queue, (uint64_t)3 * MOST << 8, 0);
    assert_true(is_finished(scene));
    assert_int_equal(scene->request.result, 0);
    assert_int_equal(scene->request.done, LARGE);
}

static void the_first_error_of_a_piece_is_the_result_and_ends_the_rest(void **state)
{
    struct scene *scene = scene_or_skip(state);
    scene->request.size = LARGE;
    submit(scene);
    for (uint64_t i = 0; i < 4; i++)
        expect_command(scene, i * MOST, MOST);
    complete_piece(scene->queue, (uint64_t)1 * MOST << 8, 0x4280);
    complete_piece(scene->queue, 0, 0);
    complete_piece(scene->queue, (uint64_t)3 * MOST << 8, -ENODEV);
    assert_false(is_finished(scene)); /* nothing is told while the device may still read the memory */
    complete_piece(scene->queue, (uint64_t)2 * MOST << 8, 0);
    assert_true(is_finished(scene));
    assert_int_equal(scene->request.result, -ENODATA);
    assert_int_equal(scene->request.device_status, 0x4280);
}

static void an_errno_is_final_also_one_that_says_interrupted(void **state)
{
    struct scene *scene = scene_or_skip(state);
    static const int errors[] = {-EINTR, -EIO, -ENODEV, -ENXIO, -ECANCELED, -EINVAL, -EACCES};
    for (size_t i = 0; i < DW_COUNT_OF(errors); i++) {
        submit(scene);
        expect_command(scene, 0, UNIT);
        complete_piece(scene->queue, 0, errors[i]);
        assert_true(is_finished(scene));
        assert_int_equal(scene->request.result, errors[i]);
        assert_int_equal(scene->request.device_status, 0);
    }
}

static void a_command_that_was_not_sent_is_sent_again_but_not_for_ever(void **state)
{
    struct scene *scene = scene_or_skip(state);
    submit(scene);
    expect_command(scene, 0, UNIT);
    for (int i = 1; i < AGAIN_MAX; i++) {
        complete_piece(scene->queue, 0, -EAGAIN);
        expect_command(scene, 0, UNIT);
    }
    complete_piece(scene->queue, 0, -EAGAIN);
    assert_true(is_finished(scene));
    assert_int_equal(scene->request.result, -EAGAIN);
}

/* The kernel would write there: behind a partition lies somebody else's. */
static void a_write_beyond_the_device_is_refused_without_a_command(void **state)
{
    struct scene *scene = scene_or_skip(state);
    static const uint64_t offsets[] = {64 * UNIT, 63 * UNIT + BLOCK, 65 * UNIT, UINT64_MAX - UNIT + 1};
    for (size_t i = 0; i < DW_COUNT_OF(offsets); i++) {
        scene->request.offset = offsets[i];
        submit(scene);
        assert_true(is_finished(scene));
        assert_int_equal(scene->request.result, -ENOSPC);
    }
    scene->request.offset = 63 * UNIT;
    submit(scene);
    expect_command(scene, 0, UNIT);
    complete_piece(scene->queue, 0, 0);
    assert_true(is_finished(scene));
}

static void registered_memory_is_used_only_for_what_lies_wholly_in_it(void **state)
{
    struct scene *scene = scene_or_skip(state);
    scene->queue->memory = scene->bytes + UNIT;
    scene->queue->memory_size = 2 * UNIT;
    scene->queue->chunk_size = UNIT;
    for (size_t i = 0; i < 4; i++) {
        struct io_uring_sq *entries = &scene->queue->ring.sq;
        scene->request.bytes = scene->bytes + i * UNIT;
        submit(scene);
        const struct io_uring_sqe *entry = &entries->sqes[(entries->sqe_head & *entries->kring_mask) << 1];
        bool is_fixed = (entry->uring_cmd_flags & IORING_URING_CMD_FIXED) != 0;
        assert_int_equal(is_fixed, i == 1 || i == 2);
        assert_int_equal(entry->buf_index, is_fixed ? i : 0);
        expect_command(scene, 0, UNIT);
        complete_piece(scene->queue, 0, 0);
        assert_true(is_finished(scene));
    }
}

static void a_piece_ends_where_a_chunk_of_the_ring_ends(void **state)
{
    struct scene *scene = scene_or_skip(state);
    scene->queue->memory = scene->bytes;
    scene->queue->memory_size = 8 * UNIT;
    scene->queue->chunk_size = 4 * UNIT;
    scene->request.bytes = scene->bytes + 3 * UNIT;
    scene->request.size = 5 * UNIT;
    submit(scene);
    expect_command(scene, 0, UNIT);
    expect_command(scene, UNIT, 4 * UNIT);
    complete_piece(scene->queue, (uint64_t)UNIT << 8, 0);
    complete_piece(scene->queue, 0, 0);
    assert_true(is_finished(scene));
    assert_int_equal(scene->request.done, 5 * UNIT);
}

/* Nothing was sent, and ordinary memory does as well; but only once is that the reason. */
static void registered_memory_that_the_kernel_refuses_is_not_used_again(void **state)
{
    struct scene *scene = scene_or_skip(state);
    scene->queue->memory = scene->bytes;
    scene->queue->memory_size = 8 * UNIT;
    scene->queue->chunk_size = 4 * UNIT;
    submit(scene);
    expect_command(scene, 0, UNIT);
    complete_piece(scene->queue, 0, -EINVAL);
    const struct io_uring_sq *entries = &scene->queue->ring.sq;
    assert_int_equal(entries->sqes[(entries->sqe_head & *entries->kring_mask) << 1].uring_cmd_flags, 0);
    expect_command(scene, 0, UNIT);
    complete_piece(scene->queue, 0, -EINVAL);
    assert_true(is_finished(scene));
    assert_int_equal(scene->request.result, -EINVAL);
}

static void a_ring_that_breaks_fails_all_requests(void **state)
{
    struct scene *scene = scene_or_skip(state);
    scene->request.size = LARGE;
    submit(scene);
    for (uint64_t i = 0; i < 4; i++)
        expect_command(scene, i * MOST, MOST);
    break_queue(scene->queue, -EBADFD);
    assert_true(is_finished(scene));
    assert_int_equal(scene->request.result, -EBADFD);
    submit(scene);
    assert_true(is_finished(scene));
    assert_int_equal(scene->request.result, -EBADFD);
}

#define WITH_SCENE(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_SCENE(a_small_request_is_one_command_with_the_bit_for_durable),
        WITH_SCENE(a_place_beyond_32_bits_of_blocks_is_told_whole),
        WITH_SCENE(a_large_request_goes_out_in_pieces_a_few_at_once),
        WITH_SCENE(the_first_error_of_a_piece_is_the_result_and_ends_the_rest),
        WITH_SCENE(an_errno_is_final_also_one_that_says_interrupted),
        WITH_SCENE(a_command_that_was_not_sent_is_sent_again_but_not_for_ever),
        WITH_SCENE(a_write_beyond_the_device_is_refused_without_a_command),
        WITH_SCENE(registered_memory_is_used_only_for_what_lies_wholly_in_it),
        WITH_SCENE(a_piece_ends_where_a_chunk_of_the_ring_ends),
        WITH_SCENE(registered_memory_that_the_kernel_refuses_is_not_used_again),
        WITH_SCENE(a_ring_that_breaks_fails_all_requests),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
#else
int main(void)
{
    return 77;
}
#endif
