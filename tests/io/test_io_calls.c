/* test_io_calls.c - what the posix disk makes of every answer that a system call can give: continue, stop, fall back. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <string.h>
#include <sys/syscall.h>

#include "alloc/alloc.h"
#include "tests/lib/io_place.h"
#include "tests/lib/system_script.h"

enum { UNIT = 4096, BLOCKS = 4 };

struct scene {
    struct dw_disk *disk;
    struct dw_file *file;
    unsigned char *bytes; /* 2 * BLOCKS units: the content, then room to read it back */
};

static int setup(void **state)
{
    struct scene *scene = test_calloc(1, sizeof *scene);
    if (dw_place_make(&scene->disk) < 0)
        return -1;
    if (scene->disk->ops->open(scene->disk, "a", DW_OPEN_WRITE | DW_OPEN_CREATE, &scene->file) < 0)
        return -1;
    scene->bytes = dw_alloc_io(2 * BLOCKS * UNIT, UNIT);
    for (size_t i = 0; i < BLOCKS * UNIT; i++)
        scene->bytes[i] = (unsigned char)(i / 512 + i);
    *state = scene;
    return 0;
}

static int teardown(void **state)
{
    struct scene *scene = *state;
    dw_file_close(scene->file);
    dw_place_remove(scene->disk);
    dw_free_io(scene->bytes);
    test_free(scene);
    return 0;
}

/* The first `size` bytes of the file are the content's. */
static bool is_content(struct scene *scene, size_t size)
{
    size_t done = 0;
    unsigned char *found = scene->bytes + BLOCKS * UNIT;
    return dw_file_read(scene->file, found, size, 0, &done) == 0 && done == size &&
           memcmp(found, scene->bytes, size) == 0;
}

static void run(void **state, int (*fn)(void *))
{
    if (!dw_script_is_supported()) {
        print_message("system calls cannot be traced here\n");
        skip();
    }
    assert_int_equal(dw_script_child(fn, *state), 0);
}
#define PLAY(call, ...)                                                                                                \
    do {                                                                                                               \
        static const long lines[] = {__VA_ARGS__};                                                                     \
        dw_script_play(call, lines, (int)DW_COUNT_OF(lines));                                                          \
    } while (0)
#define IN_CHILD(name)                                                                                                 \
    static int name##_child(void *context);                                                                            \
    static void name(void **state)                                                                                     \
    {                                                                                                                  \
        run(state, name##_child);                                                                                      \
    }                                                                                                                  \
    static int name##_child(void *context)

/* ---- durable writes ---- */

IN_CHILD(a_good_durable_write_is_one_call)
{
    struct scene *scene = context;
    PLAY(SYS_pwritev2, DW_SCRIPT_REAL);
    DW_SCRIPT_CHECK(dw_file_write_durable(scene->file, scene->bytes, BLOCKS * UNIT, 0) == 0);
    DW_SCRIPT_CHECK(dw_script_calls() == 1);
    DW_SCRIPT_CHECK(is_content(scene, BLOCKS * UNIT));
    return 0;
}

IN_CHILD(a_durable_write_goes_on_after_interruptions_and_short_writes)
{
    struct scene *scene = context;
    PLAY(SYS_pwritev2, -EINTR, -EINTR, DW_SCRIPT_SHORT(UNIT), -EINTR, DW_SCRIPT_SHORT(2 * UNIT), DW_SCRIPT_REAL);
    DW_SCRIPT_CHECK(dw_file_write_durable(scene->file, scene->bytes, BLOCKS * UNIT, 0) == 0);
    DW_SCRIPT_CHECK(dw_script_calls() == 6);
    DW_SCRIPT_CHECK(is_content(scene, BLOCKS * UNIT));
    return 0;
}

IN_CHILD(a_failed_durable_write_is_final)
{
    struct scene *scene = context;
    PLAY(SYS_pwritev2, -EIO, -ENODATA, -ENOSPC, -EAGAIN);
    DW_SCRIPT_CHECK(dw_file_write_durable(scene->file, scene->bytes, UNIT, 0) == -EIO);
    DW_SCRIPT_CHECK(dw_script_calls() == 1);
    DW_SCRIPT_CHECK(dw_file_write_durable(scene->file, scene->bytes, UNIT, 0) == -ENODATA);
    DW_SCRIPT_CHECK(dw_file_write_durable(scene->file, scene->bytes, UNIT, 0) == -ENOSPC);
    DW_SCRIPT_CHECK(dw_file_write_durable(scene->file, scene->bytes, UNIT, 0) == -EAGAIN);
    DW_SCRIPT_CHECK(dw_script_calls() == 4);
    return 0;
}

IN_CHILD(a_durable_write_that_is_short_and_then_fails_has_failed)
{
    struct scene *scene = context;
    PLAY(SYS_pwritev2, DW_SCRIPT_SHORT(UNIT), -EIO);
    DW_SCRIPT_CHECK(dw_file_write_durable(scene->file, scene->bytes, BLOCKS * UNIT, 0) == -EIO);
    DW_SCRIPT_CHECK(dw_script_calls() == 2);
    return 0;
}

IN_CHILD(a_write_of_zero_bytes_is_an_error)
{
    struct scene *scene = context;
    PLAY(SYS_pwritev2, DW_SCRIPT_CLAIM(0), DW_SCRIPT_SHORT(UNIT), DW_SCRIPT_CLAIM(0));
    DW_SCRIPT_CHECK(dw_file_write_durable(scene->file, scene->bytes, UNIT, 0) == -EIO);
    DW_SCRIPT_CHECK(dw_script_calls() == 1);
    DW_SCRIPT_CHECK(dw_file_write_durable(scene->file, scene->bytes, 2 * UNIT, 0) == -EIO);
    DW_SCRIPT_CHECK(dw_script_calls() == 3);
    return 0;
}

IN_CHILD(a_kernel_without_the_flag_gets_write_and_sync)
{
    struct scene *scene = context;
    PLAY(SYS_pwritev2, -EOPNOTSUPP);
    DW_SCRIPT_CHECK(dw_file_write_durable(scene->file, scene->bytes, 2 * UNIT, 0) == 0);
    DW_SCRIPT_CHECK(is_content(scene, 2 * UNIT));
    /* It is not asked again, and the sync is really there: when that fails, the write has failed. */
    dw_script_forbid(SYS_fdatasync, EIO);
    DW_SCRIPT_CHECK(dw_file_write_durable(scene->file, scene->bytes, UNIT, 0) == -EIO);
    DW_SCRIPT_CHECK(dw_script_calls() == 1);
    return 0;
}

IN_CHILD(a_kernel_without_the_call_gets_write_and_sync)
{
    struct scene *scene = context;
    dw_script_forbid(SYS_pwritev2, ENOSYS);
    DW_SCRIPT_CHECK(dw_file_write_durable(scene->file, scene->bytes, 2 * UNIT, 0) == 0);
    DW_SCRIPT_CHECK(is_content(scene, 2 * UNIT));
    return 0;
}

IN_CHILD(a_device_that_says_not_supported_after_a_short_write_has_failed)
{
    struct scene *scene = context;
    PLAY(SYS_pwritev2, DW_SCRIPT_SHORT(UNIT), -EOPNOTSUPP);
    DW_SCRIPT_CHECK(dw_file_write_durable(scene->file, scene->bytes, 2 * UNIT, 0) == -EOPNOTSUPP);
    return 0;
}

IN_CHILD(a_device_that_says_not_supported_after_a_success_has_failed)
{
    struct scene *scene = context;
    PLAY(SYS_pwritev2, DW_SCRIPT_REAL, -EOPNOTSUPP);
    DW_SCRIPT_CHECK(dw_file_write_durable(scene->file, scene->bytes, UNIT, 0) == 0);
    DW_SCRIPT_CHECK(dw_file_write_durable(scene->file, scene->bytes, UNIT, 0) == -EOPNOTSUPP);
    DW_SCRIPT_CHECK(dw_script_calls() == 2);
    return 0;
}

/* ---- ordinary writes, reads, the rest ---- */

IN_CHILD(an_ordinary_write_goes_on_and_fails_alike)
{
    struct scene *scene = context;
    PLAY(SYS_pwrite64, -EINTR, DW_SCRIPT_SHORT(UNIT), -EINTR, DW_SCRIPT_REAL, DW_SCRIPT_CLAIM(0), DW_SCRIPT_SHORT(UNIT),
         -ENOSPC);
    DW_SCRIPT_CHECK(dw_file_write(scene->file, scene->bytes, BLOCKS * UNIT, 0) == 0);
    DW_SCRIPT_CHECK(dw_script_calls() == 4);
    DW_SCRIPT_CHECK(is_content(scene, BLOCKS * UNIT));
    DW_SCRIPT_CHECK(dw_file_write(scene->file, scene->bytes, BLOCKS * UNIT, 0) == -EIO);
    DW_SCRIPT_CHECK(dw_file_write(scene->file, scene->bytes, BLOCKS * UNIT, 0) == -ENOSPC);
    DW_SCRIPT_CHECK(dw_script_calls() == 7);
    return 0;
}

IN_CHILD(a_read_goes_on_and_tells_what_was_good_before_an_error)
{
    struct scene *scene = context;
    size_t done = 0;
    unsigned char *found = scene->bytes + BLOCKS * UNIT;
    DW_SCRIPT_CHECK(dw_file_write(scene->file, scene->bytes, BLOCKS * UNIT, 0) == 0);
    PLAY(SYS_pread64, -EINTR, DW_SCRIPT_SHORT(UNIT), -EINTR, DW_SCRIPT_REAL, DW_SCRIPT_SHORT(2 * UNIT), -EIO,
         DW_SCRIPT_SHORT(100));
    DW_SCRIPT_CHECK(is_content(scene, BLOCKS * UNIT));
    DW_SCRIPT_CHECK(dw_script_calls() == 4);
    memset(found, 0, BLOCKS * UNIT);
    DW_SCRIPT_CHECK(dw_file_read(scene->file, found, BLOCKS * UNIT, 0, &done) == -EIO);
    DW_SCRIPT_CHECK(done == 2 * UNIT && memcmp(found, scene->bytes, done) == 0);
    return 0;
}

IN_CHILD(a_crooked_read_in_the_middle_of_a_file_is_an_error)
{
    struct scene *scene = context;
    size_t done = 0;
    DW_SCRIPT_CHECK(dw_file_write(scene->file, scene->bytes, BLOCKS * UNIT, 0) == 0);
    PLAY(SYS_pread64, DW_SCRIPT_CLAIM(UNIT + 100), DW_SCRIPT_REAL);
    DW_SCRIPT_CHECK(dw_file_read(scene->file, scene->bytes + 4 * UNIT, 4 * UNIT, 0, &done) == -EIO);
    DW_SCRIPT_CHECK(done == UNIT + 100);
    DW_SCRIPT_CHECK(dw_script_calls() == 1);
    return 0;
}

IN_CHILD(a_failed_sync_is_told_once_and_an_interrupted_one_goes_on)
{
    struct scene *scene = context;
    PLAY(SYS_fsync, -EINTR, -EIO, -EINTR, DW_SCRIPT_CLAIM(0), -EIO);
    DW_SCRIPT_CHECK(dw_file_sync(scene->file) == -EIO);
    DW_SCRIPT_CHECK(dw_script_calls() == 2);
    DW_SCRIPT_CHECK(dw_file_sync(scene->file) == 0);
    DW_SCRIPT_CHECK(scene->disk->ops->sync_names(scene->disk) == -EIO);
    DW_SCRIPT_CHECK(dw_script_calls() == 5);
    return 0;
}

static int rename_without_the_flag(struct scene *scene, int error)
{
    struct dw_disk *disk = scene->disk;
    struct dw_file *other = NULL;
    dw_script_forbid(SYS_renameat2, error);
    DW_SCRIPT_CHECK(disk->ops->open(disk, "b", DW_OPEN_WRITE | DW_OPEN_CREATE, &other) == 0);
    DW_SCRIPT_CHECK(disk->ops->rename(disk, "a", "b") == -EEXIST);
    DW_SCRIPT_CHECK(disk->ops->rename(disk, "missing", "c") == -ENOENT);
    DW_SCRIPT_CHECK(disk->ops->rename(disk, "a", "c") == 0);
    DW_SCRIPT_CHECK(disk->ops->open(disk, "a", DW_OPEN_READ, &other) == -ENOENT);
    DW_SCRIPT_CHECK(disk->ops->open(disk, "c", DW_OPEN_READ, &other) == 0);
    return 0;
}

IN_CHILD(rename_never_replaces_on_a_file_system_without_the_flag)
{
    return rename_without_the_flag(context, EINVAL);
}

IN_CHILD(rename_never_replaces_on_a_kernel_without_the_call)
{
    return rename_without_the_flag(context, ENOSYS);
}

IN_CHILD(allocate_says_when_the_file_system_cannot)
{
    struct scene *scene = context;
    dw_script_forbid(SYS_fallocate, EOPNOTSUPP);
    DW_SCRIPT_CHECK(scene->disk->ops->allocate(scene->file, UNIT) == -EOPNOTSUPP);
    return 0;
}

IN_CHILD(alignment_is_a_whole_block_where_the_kernel_does_not_tell)
{
    struct scene *scene = context;
    struct dw_file *other = NULL;
    dw_script_forbid(SYS_statx, ENOSYS);
    DW_SCRIPT_CHECK(scene->disk->ops->open(scene->disk, "a", DW_OPEN_WRITE, &other) == 0);
    DW_SCRIPT_CHECK(other->alignment == 4096);
    return 0;
}

#ifdef DW_HAVE_URING
static int create_ring(struct scene *scene, int error)
{
    struct dw_queue *queue = NULL;
    struct dw_queue_options options = {.kind = "uring", .depth = 4};
    dw_script_forbid(SYS_io_uring_setup, error);
    DW_SCRIPT_CHECK(scene->disk->ops->queue_create(scene->disk, &options, &queue) == -error);
    DW_SCRIPT_CHECK(queue == NULL);
    options.kind = NULL; /* the disk's own choice works all the same */
    DW_SCRIPT_CHECK(scene->disk->ops->queue_create(scene->disk, &options, &queue) == 0);
    queue->ops->close(queue);
    return 0;
}

IN_CHILD(a_forbidden_ring_is_said_to_be_forbidden)
{
    return create_ring(context, EPERM);
}

IN_CHILD(a_missing_ring_is_said_to_be_missing)
{
    return create_ring(context, ENOSYS);
}

IN_CHILD(a_ring_that_may_register_nothing_works_without)
{
    struct scene *scene = context;
    struct dw_queue *queue = NULL;
    struct dw_queue_options options = {
        .kind = "uring", .depth = 4, .ring_memory = scene->bytes, .ring_size = BLOCKS * UNIT};
    dw_script_forbid(SYS_io_uring_register, ENOMEM);
    DW_SCRIPT_CHECK(scene->disk->ops->queue_create(scene->disk, &options, &queue) == 0);
    struct dw_request request = {.file = scene->file, .bytes = scene->bytes, .size = BLOCKS * UNIT, .is_durable = true};
    queue->ops->submit(queue, &request);
    DW_SCRIPT_CHECK(queue->ops->reap(queue, true) == &request && request.result == 0);
    DW_SCRIPT_CHECK(is_content(scene, BLOCKS * UNIT));
    queue->ops->close(queue);
    return 0;
}

IN_CHILD(a_ring_that_stops_answering_fails_all_requests)
{
    struct scene *scene = context;
    struct dw_queue *queue = NULL;
    struct dw_queue_options options = {.kind = "uring", .depth = 4};
    DW_SCRIPT_CHECK(scene->disk->ops->queue_create(scene->disk, &options, &queue) == 0);
    PLAY(SYS_io_uring_enter, -EINTR, -EBUSY, -EAGAIN, -EBADFD);
    struct dw_request requests[3] = {0};
    for (size_t i = 0; i < 3; i++)
        requests[i] = (struct dw_request){.file = scene->file, .bytes = scene->bytes, .size = UNIT, .offset = i * UNIT};
    queue->ops->submit(queue, &requests[0]);
    queue->ops->submit(queue, &requests[1]);
    DW_SCRIPT_CHECK(queue->ops->reap(queue, true) != NULL);
    DW_SCRIPT_CHECK(requests[0].result == -EBADFD && requests[1].result == -EBADFD);
    DW_SCRIPT_CHECK(queue->in_flight == 0 && dw_script_calls() == 4);
    queue->ops->submit(queue, &requests[2]);
    DW_SCRIPT_CHECK(queue->ops->reap(queue, false) == &requests[2]);
    DW_SCRIPT_CHECK(requests[2].result == -EBADFD && dw_script_calls() == 4);
    queue->ops->close(queue);
    return 0;
}
#endif

#ifdef DW_HAVE_AIO
IN_CHILD(aio_says_when_all_of_it_is_taken_and_leaks_nothing)
{
    struct scene *scene = context;
    struct dw_queue *queue = NULL;
    struct dw_queue_options options = {.kind = "aio", .depth = 4};
    uint64_t bytes = dw_alloc_bytes();
    dw_script_forbid(SYS_io_setup, EAGAIN);
    DW_SCRIPT_CHECK(scene->disk->ops->queue_create(scene->disk, &options, &queue) == -EAGAIN);
    DW_SCRIPT_CHECK(queue == NULL && dw_alloc_bytes() == bytes);
    return 0;
}

static struct dw_queue *make_aio(struct scene *scene)
{
    struct dw_queue *queue = NULL;
    struct dw_queue_options options = {.kind = "aio", .depth = 4};
    return scene->disk->ops->queue_create(scene->disk, &options, &queue) == 0 ? queue : NULL;
}

/* All four units at once, each a request of its own; answers how many were handed out by one reap. */
static size_t write_units(struct scene *scene, struct dw_queue *queue, struct dw_request requests[BLOCKS])
{
    size_t count = 0;
    for (size_t i = 0; i < BLOCKS; i++) {
        requests[i] = (struct dw_request){.file = scene->file,
                                          .bytes = scene->bytes + i * UNIT,
                                          .size = UNIT,
                                          .offset = i * UNIT,
                                          .is_durable = true,
                                          .result = 1};
        queue->ops->submit(queue, &requests[i]);
    }
    for (struct dw_request *next = queue->ops->reap(queue, true); next; next = next->next)
        count++;
    return count;
}

IN_CHILD(aio_asks_again_when_the_kernel_has_no_room)
{
    struct scene *scene = context;
    struct dw_request requests[BLOCKS];
    struct dw_queue *queue = make_aio(scene);
    DW_SCRIPT_CHECK(queue != NULL);
    PLAY(SYS_io_submit, -EAGAIN, -EINTR, -EAGAIN, DW_SCRIPT_CLAIM(0), -EFBIG, -EFBIG, -EFBIG, -EAGAIN, -EFBIG);
    DW_SCRIPT_CHECK(write_units(scene, queue, requests) == BLOCKS && queue->in_flight == 0);
    DW_SCRIPT_CHECK(dw_script_calls() == 9);
    for (size_t i = 0; i < BLOCKS; i++)
        DW_SCRIPT_CHECK(requests[i].result == -EFBIG);
    queue->ops->close(queue);
    return 0;
}

IN_CHILD(what_aio_refuses_to_take_is_the_result_of_that_request_alone)
{
    struct scene *scene = context;
    struct dw_request requests[BLOCKS];
    struct dw_queue *queue = make_aio(scene);
    DW_SCRIPT_CHECK(queue != NULL);
    PLAY(SYS_io_submit, -EOPNOTSUPP, -EBADF, -EIO, -EFBIG);
    DW_SCRIPT_CHECK(write_units(scene, queue, requests) == BLOCKS && queue->in_flight == 0);
    DW_SCRIPT_CHECK(requests[0].result == -EOPNOTSUPP && requests[1].result == -EBADF);
    DW_SCRIPT_CHECK(requests[2].result == -EIO && requests[3].result == -EFBIG);
    queue->ops->close(queue);
    return 0;
}

IN_CHILD(an_aio_context_that_stops_answering_fails_all_requests)
{
    struct scene *scene = context;
    struct dw_request requests[BLOCKS];
    struct dw_queue *queue = make_aio(scene);
    DW_SCRIPT_CHECK(queue != NULL);
    PLAY(SYS_io_getevents, -EINTR, -EINTR, -EINVAL);
    DW_SCRIPT_CHECK(write_units(scene, queue, requests) == BLOCKS);
    for (size_t i = 0; i < BLOCKS; i++)
        DW_SCRIPT_CHECK(requests[i].result == -EINVAL);
    DW_SCRIPT_CHECK(queue->in_flight == 0 && dw_script_calls() == 3);
    queue->ops->submit(queue, &requests[2]);
    DW_SCRIPT_CHECK(queue->ops->reap(queue, false) == &requests[2]);
    DW_SCRIPT_CHECK(requests[2].result == -EINVAL);
    queue->ops->close(queue);
    return 0;
}
#endif

#define WITH_SCENE(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_SCENE(a_good_durable_write_is_one_call),
        WITH_SCENE(a_durable_write_goes_on_after_interruptions_and_short_writes),
        WITH_SCENE(a_failed_durable_write_is_final),
        WITH_SCENE(a_durable_write_that_is_short_and_then_fails_has_failed),
        WITH_SCENE(a_write_of_zero_bytes_is_an_error),
        WITH_SCENE(a_kernel_without_the_flag_gets_write_and_sync),
        WITH_SCENE(a_kernel_without_the_call_gets_write_and_sync),
        WITH_SCENE(a_device_that_says_not_supported_after_a_short_write_has_failed),
        WITH_SCENE(a_device_that_says_not_supported_after_a_success_has_failed),
        WITH_SCENE(an_ordinary_write_goes_on_and_fails_alike),
        WITH_SCENE(a_read_goes_on_and_tells_what_was_good_before_an_error),
        WITH_SCENE(a_crooked_read_in_the_middle_of_a_file_is_an_error),
        WITH_SCENE(a_failed_sync_is_told_once_and_an_interrupted_one_goes_on),
        WITH_SCENE(rename_never_replaces_on_a_file_system_without_the_flag),
        WITH_SCENE(rename_never_replaces_on_a_kernel_without_the_call),
        WITH_SCENE(allocate_says_when_the_file_system_cannot),
        WITH_SCENE(alignment_is_a_whole_block_where_the_kernel_does_not_tell),
#ifdef DW_HAVE_URING
        WITH_SCENE(a_forbidden_ring_is_said_to_be_forbidden),
        WITH_SCENE(a_missing_ring_is_said_to_be_missing),
        WITH_SCENE(a_ring_that_may_register_nothing_works_without),
        WITH_SCENE(a_ring_that_stops_answering_fails_all_requests),
#endif
#ifdef DW_HAVE_AIO
        WITH_SCENE(aio_says_when_all_of_it_is_taken_and_leaks_nothing),
        WITH_SCENE(aio_asks_again_when_the_kernel_has_no_room),
        WITH_SCENE(what_aio_refuses_to_take_is_the_result_of_that_request_alone),
        WITH_SCENE(an_aio_context_that_stops_answering_fails_all_requests),
#endif
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
