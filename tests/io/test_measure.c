/* test_measure.c - trials on a made-up disk with a clock of its own: percentiles are exact, ways are interleaved, time and
 * rounds are kept, failures end one row alone; and scratch files on the real one leave nothing. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "alloc/alloc.h"
#include "io/measure.h"
#include "tests/lib/io_place.h"

/* ---- a disk whose writes take as long as the test says ---- */

static uint64_t now_ns;
static uint64_t clock_now(void *context)
{
    (void)context;
    return now_ns;
}
static const struct dw_clock test_clock = {.monotonic_ns = clock_now, .realtime_ns = clock_now};

static char history[4096]; /* 's' or 'u' for each durable write */
static size_t history_size;
static uint64_t sync_ns[8]; /* in turn */
static size_t sync_next;
static int uring_error;    /* of its writes from the third on */
static bool has_bad_place; /* a write left the lent part, or was not zeros */

struct fake_queue {
    struct dw_queue base;
    char kind;
    uint32_t count;
    struct dw_request *done;
};

static void look_at(const struct dw_request *request)
{
    const unsigned char *bytes = request->bytes;
    bool is_zeros = bytes[0] == 0 && memcmp(bytes, bytes + 1, request->size - 1) == 0;
    has_bad_place = has_bad_place || !is_zeros || request->offset < 65536 || request->offset + request->size > 131072;
}

static void fake_submit(struct dw_queue *base, struct dw_request *request)
{
    struct fake_queue *queue = (struct fake_queue *)(void *)base;
    look_at(request);
    if (history_size < sizeof history)
        history[history_size++] = queue->kind;
    now_ns += queue->kind == 's' ? sync_ns[sync_next++ % DW_COUNT_OF(sync_ns)] : 50000;
    queue->count++;
    request->result = queue->kind == 'u' && queue->count >= 3 ? uring_error : 0;
    request->next = NULL;
    queue->done = request;
}
static struct dw_request *fake_reap(struct dw_queue *base, bool is_waiting)
{
    struct fake_queue *queue = (struct fake_queue *)(void *)base;
    (void)is_waiting;
    struct dw_request *done = queue->done;
    queue->done = NULL;
    return done;
}
static void fake_close(struct dw_queue *base)
{
    dw_free(base);
}
static const struct dw_queue_ops fake_queue_ops = {
    .name = "fake", .submit = fake_submit, .reap = fake_reap, .close = fake_close};

static int fake_queue_create(struct dw_disk *disk, const struct dw_queue_options *options, struct dw_queue **out)
{
    (void)disk;
    if (strcmp(options->kind, "aio") == 0)
        return -EPERM;
    struct fake_queue *queue = dw_alloc(sizeof *queue);
    if (!queue)
        return -ENOMEM;
    queue->base.ops = &fake_queue_ops;
    queue->kind = options->kind[0];
    *out = &queue->base;
    return 0;
}
static int fake_write(struct dw_file *file, const void *bytes, size_t size, uint64_t offset)
{
    (void)file;
    look_at(&(struct dw_request){.bytes = bytes, .size = size, .offset = offset});
    return 0;
}
static int fake_sync(struct dw_file *file)
{
    (void)file;
    return 0;
}
static const struct dw_disk_ops fake_ops = {
    .name = "fake", .write = fake_write, .sync = fake_sync, .queue_create = fake_queue_create};
static struct dw_disk fake_disk = {.ops = &fake_ops};
static struct dw_file fake_file = {.disk = &fake_disk, .alignment = 512};

static struct dw_measure_row row_of(const char *backend, uint32_t size, uint32_t every)
{
    struct dw_measure_row row = {.timing = {.size = size}, .every = every};
    snprintf(row.timing.backend, sizeof row.timing.backend, "%s", backend);
    return row;
}

static int set_up(void **state)
{
    (void)state;
    now_ns = 1000;
    history_size = sync_next = 0;
    uring_error = 0;
    has_bad_place = false;
    for (size_t i = 0; i < DW_COUNT_OF(sync_ns); i++)
        sync_ns[i] = 100000;
    return 0;
}

static void run(struct dw_measure_row *rows, size_t count, uint32_t rounds, uint64_t time_ns,
                struct dw_measure *measure)
{
    static struct dw_scratch scratch;
    assert_int_equal(dw_scratch_borrow(&fake_file, 65536, 65536, &scratch), 0);
    *measure = (struct dw_measure){.scratch = &scratch,
                                   .rows = rows,
                                   .row_count = count,
                                   .rounds_max = rounds,
                                   .time_ns = time_ns,
                                   .clock = &test_clock};
    assert_int_equal(dw_measure_run(measure), 0);
    dw_scratch_close(&scratch);
    assert_false(has_bad_place);
}

static void percentiles_are_those_of_the_samples(void **state)
{
    (void)state;
    /* The first write warms up and is not counted; then 101 counted ones: eight values in turn. */
    for (size_t i = 0; i < DW_COUNT_OF(sync_ns); i++)
        sync_ns[i] = (i + 1) * 1000;
    struct dw_measure_row row = row_of("sync", 4096, 0);
    struct dw_measure measure;
    run(&row, 1, 80, UINT64_MAX, &measure);
    assert_int_equal(row.timing.count, 80);
    assert_int_equal(row.timing.p50_ns, 4000);
    assert_int_equal(row.timing.p90_ns, 8000);
    assert_int_equal(row.timing.p99_ns, 8000);
    assert_int_equal(row.timing.max_ns, 8000);
    assert_int_equal(measure.rounds, 80);
}

static void every_way_is_tried_once_in_each_round_in_changing_order(void **state)
{
    (void)state;
    struct dw_measure_row rows[] = {row_of("sync", 4096, 0), row_of("uring", 4096, 0)};
    struct dw_measure measure;
    run(rows, 2, 200, UINT64_MAX, &measure);
    assert_int_equal(history_size, 2 * 201);
    uint32_t sync_first = 0;
    for (size_t i = 0; i < history_size; i += 2) {
        assert_true(history[i] != history[i + 1]);
        sync_first += history[i] == 's';
    }
    assert_true(sync_first > 50 && sync_first < 150);
    assert_int_equal(rows[1].timing.p50_ns, 50000);
}

static void rows_may_be_tried_less_often(void **state)
{
    (void)state;
    struct dw_measure_row rows[] = {row_of("sync", 4096, 0), row_of("uring", 16384, 4)};
    struct dw_measure measure;
    run(rows, 2, 64, UINT64_MAX, &measure);
    assert_int_equal(rows[0].timing.count, 64);
    assert_int_equal(rows[1].timing.count, 16);
}

static void the_time_ends_the_trials(void **state)
{
    (void)state;
    struct dw_measure_row row = row_of("sync", 4096, 0);
    struct dw_measure measure;
    run(&row, 1, 8192, 1000000, &measure); /* ten writes of 0.1 ms, the first of them to warm up */
    assert_int_equal(row.timing.count, 9);
    assert_true(measure.elapsed_ns >= 1000000 && measure.elapsed_ns <= 1100000);
}

static bool stop_at_once(void *context)
{
    return ++*(int *)context > 5;
}

static void whoever_asks_may_stop_it(void **state)
{
    (void)state;
    struct dw_scratch scratch;
    struct dw_measure_row row = row_of("sync", 4096, 0);
    int asked = 0;
    assert_int_equal(dw_scratch_borrow(&fake_file, 65536, 65536, &scratch), 0);
    struct dw_measure measure = {.scratch = &scratch,
                                 .rows = &row,
                                 .row_count = 1,
                                 .rounds_max = 100,
                                 .time_ns = UINT64_MAX,
                                 .clock = &test_clock,
                                 .is_stopped = stop_at_once,
                                 .context = &asked};
    assert_int_equal(dw_measure_run(&measure), 0);
    assert_int_equal(row.timing.count, 4);
}

static void a_row_that_fails_or_is_forbidden_ends_alone(void **state)
{
    (void)state;
    uring_error = -EIO;
    struct dw_measure_row rows[] = {row_of("sync", 4096, 0), row_of("uring", 4096, 0), row_of("aio", 4096, 0)};
    struct dw_measure measure;
    run(rows, 3, 20, UINT64_MAX, &measure);
    assert_int_equal(rows[0].timing.count, 20);
    assert_int_equal(rows[0].timing.system_error, 0);
    assert_int_equal(rows[1].timing.system_error, EIO);
    assert_int_equal(rows[1].timing.count, 1);
    assert_int_equal(rows[2].timing.system_error, EPERM);
    assert_int_equal(rows[2].timing.count, 0);
}

static void no_memory_is_an_error_and_leaks_nothing(void **state)
{
    (void)state;
    struct dw_scratch scratch;
    assert_int_equal(dw_scratch_borrow(&fake_file, 65536, 65536, &scratch), 0);
    uint64_t held = dw_alloc_bytes();
    for (uint64_t at = 1; at <= 2; at++) {
        struct dw_measure_row row = row_of("sync", 4096, 0);
        struct dw_measure measure = {.scratch = &scratch,
                                     .rows = &row,
                                     .row_count = 1,
                                     .rounds_max = 4,
                                     .time_ns = UINT64_MAX,
                                     .clock = &test_clock};
        dw_alloc_fail_at(at, false);
        assert_int_equal(dw_measure_run(&measure), -ENOMEM);
        dw_alloc_fail_at(0, false);
        assert_true(dw_alloc_bytes() == held);
    }
}

/* ---- the real thing ---- */

static int count_names(void *context, const char *name, uint64_t size)
{
    (void)name;
    (void)size;
    ++*(int *)context;
    return 0;
}

static void a_scratch_file_has_no_name_and_its_extents_are_as_asked(void **state)
{
    (void)state;
    struct dw_disk *disk;
    assert_int_equal(dw_place_make(&disk), 0);
    struct dw_scratch scratch;
    assert_int_equal(dw_scratch_open(disk, 1 << 20, 1 << 20, &scratch), 0);
    int names = 0;
    assert_int_equal(disk->ops->list(disk, count_names, &names), 0);
    assert_int_equal(names, 0);
    struct dw_measure_row rows[] = {row_of("sync", 65536, 0), row_of("sync", 65536, 0)};
    rows[1].timing.is_unwritten = true;
    struct dw_measure measure = {.scratch = &scratch,
                                 .rows = rows,
                                 .row_count = 2,
                                 .rounds_max = 40, /* more than fits: the second file is made anew */
                                 .time_ns = UINT64_MAX,
                                 .clock = &dw_clock_system};
    assert_int_equal(dw_measure_run(&measure), 0);
    assert_int_equal(rows[0].timing.count, 40);
    assert_true(scratch.unwritten == NULL || rows[1].timing.count == 40);
    dw_scratch_close(&scratch);
    dw_place_remove(disk);
}

#define MEASURE_TEST(name) cmocka_unit_test_setup(name, set_up)

int main(void)
{
    const struct CMUnitTest tests[] = {
        MEASURE_TEST(percentiles_are_those_of_the_samples),
        MEASURE_TEST(every_way_is_tried_once_in_each_round_in_changing_order),
        MEASURE_TEST(rows_may_be_tried_less_often),
        MEASURE_TEST(the_time_ends_the_trials),
        MEASURE_TEST(whoever_asks_may_stop_it),
        MEASURE_TEST(a_row_that_fails_or_is_forbidden_ends_alone),
        MEASURE_TEST(no_memory_is_an_error_and_leaks_nothing),
        MEASURE_TEST(a_scratch_file_has_no_name_and_its_extents_are_as_asked),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
