/* test_io_trouble.c - the queues of the posix disk in trouble: a storm of signals, a limit in the middle of a write, a
 * descriptor that gives short answers. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/time.h>
#include <unistd.h>

#include "alloc/alloc.h"
#include "io/posix.h"
#include "tests/lib/io_place.h"

enum { UNIT = 4096, DEPTH = 8 };

struct scene {
    struct dw_disk *disk;
    struct dw_file *file;
    struct dw_queue *queue; /* NULL: forbidden here */
    unsigned char *bytes;   /* DEPTH units to write, one more to read */
};

static int setup(void **state, const char *kind)
{
    struct scene *scene = test_calloc(1, sizeof *scene);
    if (dw_place_make(&scene->disk) < 0)
        return -1;
    if (scene->disk->ops->open(scene->disk, "a", DW_OPEN_WRITE | DW_OPEN_CREATE, &scene->file) < 0)
        return -1;
    struct dw_queue_options options = {.kind = kind, .depth = DEPTH};
    int result = scene->disk->ops->queue_create(scene->disk, &options, &scene->queue);
    scene->bytes = dw_alloc_io((DEPTH + 1) * UNIT, UNIT);
    for (size_t i = 0; i < DEPTH * UNIT; i++)
        scene->bytes[i] = (unsigned char)(i / UNIT + i);
    *state = scene;
    return result < 0 && result != -EPERM && result != -ENOSYS && result != -EOPNOTSUPP;
}

static int setup_sync(void **state)
{
    return setup(state, "sync");
}

static int setup_uring(void **state)
{
    return setup(state, "uring");
}

static int setup_aio(void **state)
{
    return setup(state, "aio");
}

static int teardown(void **state)
{
    struct scene *scene = *state;
    if (scene->queue)
        scene->queue->ops->close(scene->queue);
    dw_file_close(scene->file);
    dw_place_remove(scene->disk);
    dw_free_io(scene->bytes);
    test_free(scene);
    return 0;
}

static struct scene *scene_or_skip(void **state)
{
    struct scene *scene = *state;
    if (!scene->queue) {
        print_message("this kernel forbids the queue\n");
        skip();
    }
    return scene;
}

static void drain(struct dw_queue *queue)
{
    while (queue->in_flight > 0)
        assert_non_null(queue->ops->reap(queue, true));
}

/* ---- signals ---- */

static volatile sig_atomic_t signals;
static void count_signal(int signal)
{
    (void)signal;
    signals = signals + 1;
}

static void a_storm_of_signals_loses_no_write(void **state)
{
    struct scene *scene = scene_or_skip(state);
    struct sigaction action = {.sa_handler = count_signal}, before; /* no SA_RESTART: calls are interrupted */
    struct itimerval often = {.it_interval.tv_usec = 50, .it_value.tv_usec = 50}, off = {.it_interval.tv_usec = 0};
    signals = 0;
    sigaction(SIGALRM, &action, &before);
    setitimer(ITIMER_REAL, &often, NULL);
    struct dw_request requests[DEPTH];
    int first_error = 0;
    for (int round = 0; round < 60; round++) {
        for (size_t i = 0; i < DEPTH; i++) {
            requests[i] = (struct dw_request){.file = scene->file,
                                              .bytes = scene->bytes + i * UNIT,
                                              .size = UNIT,
                                              .offset = i * UNIT,
                                              .is_durable = true,
                                              .result = 1};
            scene->queue->ops->submit(scene->queue, &requests[i]);
        }
        drain(scene->queue);
        for (size_t i = 0; i < DEPTH && first_error == 0; i++)
            first_error = requests[i].result;
        if (first_error == 0)
            first_error = dw_file_write_durable(scene->file, scene->bytes, UNIT, 0);
        if (first_error == 0)
            first_error = dw_file_sync(scene->file);
    }
    setitimer(ITIMER_REAL, &off, NULL);
    sigaction(SIGALRM, &before, NULL);
    assert_int_equal(first_error, 0);
    assert_true(signals > 20);
    for (size_t i = 0; i < DEPTH; i++) {
        size_t done = 0;
        unsigned char *found = scene->bytes + DEPTH * UNIT;
        assert_int_equal(dw_file_read(scene->file, found, UNIT, i * UNIT, &done), 0);
        assert_memory_equal(found, scene->bytes + i * UNIT, UNIT);
    }
}

/* ---- limits ---- */

/* Write 4 units at `offset` with files limited to `limit` bytes. */
static int write_limited(struct scene *scene, uint64_t limit, uint64_t offset, bool is_queued)
{
    struct rlimit before, now;
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
    now = (struct rlimit){.rlim_cur = limit, .rlim_max = before.rlim_max};
    void (*handler)(int) = signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &now), 0);
    struct dw_request request = {
        .file = scene->file, .bytes = scene->bytes, .size = 4 * UNIT, .offset = offset, .is_durable = true};
    if (is_queued) {
        scene->queue->ops->submit(scene->queue, &request);
        drain(scene->queue);
    } else {
        request.result = dw_file_write_durable(scene->file, request.bytes, request.size, request.offset);
    }
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
    signal(SIGXFSZ, handler);
    return request.result;
}

static uint64_t size_of(struct dw_file *file)
{
    uint64_t size = 0;
    assert_int_equal(file->disk->ops->size(file, &size), 0);
    return size;
}

static void a_write_beyond_the_limit_says_too_large(void **state)
{
    struct scene *scene = scene_or_skip(state);
    assert_int_equal(write_limited(scene, 4 * UNIT, 8 * UNIT, true), -EFBIG);
    assert_int_equal(write_limited(scene, 4 * UNIT, 8 * UNIT, false), -EFBIG);
    assert_int_equal(size_of(scene->file), 0);
}

static void a_write_across_the_limit_is_short_and_then_fails(void **state)
{
    struct scene *scene = scene_or_skip(state);
    assert_int_equal(write_limited(scene, 2 * UNIT, 0, true), -EFBIG);
    assert_int_equal(size_of(scene->file), 2 * UNIT); /* the first half came through */
    assert_int_equal(write_limited(scene, 3 * UNIT, 0, false), -EFBIG);
    assert_int_equal(size_of(scene->file), 3 * UNIT);
}

/* ---- descriptors that are no file: the ring must make of their answers what it makes of a device's ---- */

static struct dw_posix_file stand_in(struct scene *scene, int descriptor)
{
    return (struct dw_posix_file){.base = {.disk = scene->disk, .alignment = 512},
                                  .descriptor = descriptor,
                                  .generation = UINT64_MAX - (uint64_t)descriptor};
}

struct drip {
    int descriptor;
    size_t size;
    unsigned char *bytes;
};

static void *read_slowly(void *context)
{
    struct drip *drip = context;
    size_t done = 0;
    while (done < drip->size) {
        usleep(500);
        ssize_t got = read(drip->descriptor, drip->bytes + done, drip->size - done);
        if (got <= 0)
            break;
        done += (size_t)got;
    }
    return NULL;
}

static void short_writes_go_on_with_what_is_left(void **state)
{
    struct scene *scene = scene_or_skip(state);
    int ends[2];
    assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
    assert_int_equal(fcntl(ends[1], F_SETPIPE_SZ, UNIT), UNIT);
    struct dw_posix_file file = stand_in(scene, ends[1]);
    struct drip drip = {.descriptor = ends[0], .size = DEPTH * UNIT, .bytes = test_malloc(DEPTH * UNIT)};
    struct dw_request request = {.file = &file.base, .bytes = scene->bytes, .size = DEPTH * UNIT, .result = 1};
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, read_slowly, &drip), 0);
    scene->queue->ops->submit(scene->queue, &request);
    drain(scene->queue);
    pthread_join(thread, NULL);
    assert_int_equal(request.result, 0);
    assert_int_equal(request.done, DEPTH * UNIT);
    assert_memory_equal(drip.bytes, scene->bytes, DEPTH * UNIT);
    test_free(drip.bytes);
    close(ends[0]);
    close(ends[1]);
}

static void a_full_device_says_no_space(void **state)
{
    struct scene *scene = scene_or_skip(state);
    int full = open("/dev/full", O_WRONLY | O_CLOEXEC);
    if (full < 0) {
        print_message("no /dev/full\n");
        skip();
    }
    struct dw_posix_file file = stand_in(scene, full);
    struct dw_request request = {.file = &file.base, .bytes = scene->bytes, .size = UNIT, .result = 1};
    scene->queue->ops->submit(scene->queue, &request);
    drain(scene->queue);
    assert_int_equal(request.result, -ENOSPC);
    close(full);
}

#define SYNC(test)  cmocka_unit_test_setup_teardown(test, setup_sync, teardown)
#define AIO(test)   cmocka_unit_test_setup_teardown(test, setup_aio, teardown)
#define URING(test) cmocka_unit_test_setup_teardown(test, setup_uring, teardown)

int main(void)
{
    const struct CMUnitTest sync_tests[] = {
        SYNC(a_storm_of_signals_loses_no_write),
        SYNC(a_write_beyond_the_limit_says_too_large),
        SYNC(a_write_across_the_limit_is_short_and_then_fails),
    };
    const struct CMUnitTest uring_tests[] = {
        URING(a_storm_of_signals_loses_no_write),
        URING(a_write_beyond_the_limit_says_too_large),
        URING(a_write_across_the_limit_is_short_and_then_fails),
        URING(short_writes_go_on_with_what_is_left),
        URING(a_full_device_says_no_space),
    };
    const struct CMUnitTest aio_tests[] = {
        AIO(a_storm_of_signals_loses_no_write),
        AIO(a_write_beyond_the_limit_says_too_large),
        AIO(a_write_across_the_limit_is_short_and_then_fails),
    };
    int failed = cmocka_run_group_tests_name("sync", sync_tests, NULL, NULL);
    failed += cmocka_run_group_tests_name("aio", aio_tests, NULL, NULL);
    return failed + cmocka_run_group_tests_name("uring", uring_tests, NULL, NULL);
}
