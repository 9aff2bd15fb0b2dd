/* test_io_reads.c - several reads in flight answer what one read after another answers, with and without a ring.
 *
 * Includes the ring's source, so that completions which no device gives on demand can be handed to it. */
/* clang-format off */
#include "io/uring_reads.c"
/* clang-format on */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>

#include "alloc/alloc.h"
#include "io/reads.h"
#include "io/sim.h"
#include "tests/lib/io_fault.h"
#include "tests/lib/io_place.h"
#include "tests/lib/system_script.h"

enum { UNIT = 4096, BLOCKS = 40, READS = 64, DEPTH = 16, UNTOUCHED = -12345 };

struct scene {
    struct dw_disk *disk;
    struct dw_file *file; /* BLOCKS units; each unit is filled with its own number */
    unsigned char *bytes; /* READS units */
    struct dw_read reads[READS];
};

static void fill_file(struct scene *scene)
{
    assert_int_equal(scene->disk->ops->open(scene->disk, "a", DW_OPEN_WRITE | DW_OPEN_CREATE, &scene->file), 0);
    for (uint32_t i = 0; i < BLOCKS; i++) {
        memset(scene->bytes, (int)i + 1, UNIT);
        assert_int_equal(dw_file_write(scene->file, scene->bytes, UNIT, (uint64_t)i * UNIT), 0);
    }
}

static int setup(void **state)
{
    struct scene *scene = test_calloc(1, sizeof *scene);
    scene->bytes = dw_alloc_io((size_t)READS * UNIT, UNIT);
    if (!scene->bytes || dw_place_make(&scene->disk) < 0)
        return -1;
    fill_file(scene);
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

/* Read `index` wants one unit, of which the last ones lie behind the end of the file. */
static struct dw_read *prepare(struct scene *scene, uint32_t index)
{
    struct dw_read *read = &scene->reads[index];
    unsigned char *bytes = scene->bytes + (size_t)index * UNIT;
    memset(bytes, 0, UNIT);
    *read = (struct dw_read){.file = scene->file,
                             .bytes = bytes,
                             .size = UNIT,
                             .offset = (uint64_t)index * UNIT,
                             .user = scene,
                             .result = UNTOUCHED};
    return read;
}

static uint32_t take(struct dw_reads *reads)
{
    uint32_t count = 0;
    for (struct dw_read *read = dw_reads_reap(reads); read; read = read->next)
        count++;
    return count;
}

/* All reads, as many at once as may be. */
static void run_all(struct scene *scene, struct dw_reads *reads)
{
    uint32_t back = 0;
    for (uint32_t i = 0; i < READS; i++) {
        while (reads->in_flight == reads->depth)
            back += take(reads);
        dw_reads_submit(reads, prepare(scene, i));
    }
    while (reads->in_flight > 0)
        back += take(reads);
    if (back != READS)
        fprintf(stderr, "%u of %u reads came back\n", back, READS);
}

/* Line of the first fact that does not hold, or 0. */
static int check_all(const struct scene *scene)
{
    for (uint32_t i = 0; i < READS; i++) {
        const struct dw_read *read = &scene->reads[i];
        const unsigned char *bytes = read->bytes;
        if (read->result != 0 || read->user != scene)
            return __LINE__;
        if (read->done != (i < BLOCKS ? UNIT : 0))
            return __LINE__;
        unsigned char wanted = i < BLOCKS ? (unsigned char)(i + 1) : 0;
        if (bytes[0] != wanted || bytes[UNIT - 1] != wanted)
            return __LINE__;
    }
    return 0;
}

static void read_all(struct scene *scene, uint32_t depth, bool is_plain)
{
    struct dw_reads *reads = NULL;
    assert_int_equal(dw_reads_open(scene->disk, depth, is_plain, &reads), 0);
    assert_true(reads->is_plain || !is_plain);
    run_all(scene, reads);
    dw_reads_close(reads);
    assert_int_equal(check_all(scene), 0);
}

static void each_read_comes_back_once_with_its_bytes(void **state)
{
    static const uint32_t depths[] = {1, 2, 7, DEPTH, READS, DW_READS_MAX};
    for (size_t i = 0; i < DW_COUNT_OF(depths); i++) {
        read_all(*state, depths[i], false);
        read_all(*state, depths[i], true);
    }
}

static void the_simulated_disk_answers_the_same(void **state)
{
    struct scene scene = {.bytes = ((struct scene *)*state)->bytes};
    struct dw_sim_options options = {.seed = 1};
    assert_int_equal(dw_sim_open(&options, &scene.disk), 0);
    fill_file(&scene);
    read_all(&scene, DEPTH, false);
    dw_file_close(scene.file);
    scene.disk->ops->close(scene.disk);
}

static void an_error_is_the_result_of_its_own_read(void **state)
{
    struct scene scene = {.bytes = ((struct scene *)*state)->bytes};
    struct dw_sim_options options = {.seed = 1};
    struct dw_disk *sim = NULL;
    assert_int_equal(dw_sim_open(&options, &sim), 0);
    assert_int_equal(dw_fault_open(sim, true, &scene.disk), 0);
    fill_file(&scene);
    dw_fault_add(scene.disk, &(struct dw_fault_rule){.kinds = DW_FAULT_READ, .at = 5, .error = -ENODATA});
    struct dw_reads *reads = NULL;
    assert_int_equal(dw_reads_open(scene.disk, DEPTH, false, &reads), 0);
    run_all(&scene, reads);
    dw_reads_close(reads);
    for (uint32_t i = 0; i < READS; i++)
        assert_int_equal(scene.reads[i].result, i == 4 ? -ENODATA : 0);
    dw_file_close(scene.file);
    scene.disk->ops->close(scene.disk);
}

static void without_memory_there_is_no_queue(void **state)
{
    struct scene *scene = *state;
    struct dw_reads *reads = NULL;
    dw_alloc_fail_at(1, true);
    int result = dw_reads_open(scene->disk, DEPTH, false, &reads);
    dw_alloc_fail_at(0, false);
    assert_int_equal(result, -ENOMEM);
    assert_null(reads);
}

#ifdef DW_HAVE_URING
static int forbid_setup(void *context)
{
    struct scene *scene = context;
    struct dw_reads *reads = NULL;
    dw_script_forbid(SYS_io_uring_setup, EPERM);
    DW_SCRIPT_CHECK(dw_reads_open(scene->disk, DEPTH, false, &reads) == 0);
    DW_SCRIPT_CHECK(reads->is_plain);
    run_all(scene, reads);
    dw_reads_close(reads);
    return check_all(scene);
}

/* With eight in flight the ring can be entered no more. */
static int forbid_enter(void *context)
{
    struct scene *scene = context;
    struct dw_reads *reads = NULL;
    DW_SCRIPT_CHECK(dw_reads_open(scene->disk, DEPTH, false, &reads) == 0);
    if (reads->is_plain)
        return 0;
    for (uint32_t i = 0; i < 10; i++)
        dw_reads_submit(reads, prepare(scene, i));
    dw_script_forbid(SYS_io_uring_enter, ENXIO);
    uint32_t back = 0;
    for (uint32_t i = 10; i < READS; i++) {
        while (reads->in_flight == reads->depth)
            back += take(reads);
        dw_reads_submit(reads, prepare(scene, i));
    }
    while (reads->in_flight > 0)
        back += take(reads);
    DW_SCRIPT_CHECK(back == READS);
    DW_SCRIPT_CHECK(((struct uring_reads *)(void *)reads)->is_broken);
    dw_reads_close(reads);
    return check_all(scene);
}

static void run_child(void **state, int (*fn)(void *))
{
    if (!dw_script_is_supported())
        skip();
    assert_int_equal(dw_script_child(fn, *state), 0);
}

static void a_forbidden_ring_is_done_without(void **state)
{
    run_child(state, forbid_setup);
}

static void a_ring_that_breaks_loses_no_read(void **state)
{
    run_child(state, forbid_enter);
}

static void what_was_not_begun_or_came_short_is_read_again_and_an_error_is_final(void **state)
{
    static const int results[] = {-EINTR, -EAGAIN, -ECANCELED, 0, 512, UNIT, -EIO, -ENODATA};
    struct scene *scene = *state;
    struct dw_reads *base = NULL;
    if (dw_posix_reads_create(scene->disk, DEPTH, &base) != 0)
        skip();
    struct uring_reads *reads = reads_of(base);
    for (uint32_t i = 0; i < DW_COUNT_OF(results); i++) {
        struct dw_read *read = prepare(scene, i);
        bool is_error = results[i] == -EIO || results[i] == -ENODATA;
        reads->out = 1;
        complete(reads, read, results[i]);
        assert_ptr_equal(reads->finished, read);
        reads->finished = NULL;
        assert_int_equal(read->result, is_error ? results[i] : 0);
        assert_int_equal(read->done, is_error ? 0 : UNIT);
        bool is_read_again = !is_error && results[i] != UNIT;
        assert_int_equal(scene->bytes[(size_t)i * UNIT], is_read_again ? i + 1 : 0);
    }
    base->ops->close(base);
}
#endif

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(each_read_comes_back_once_with_its_bytes, setup, teardown),
        cmocka_unit_test_setup_teardown(the_simulated_disk_answers_the_same, setup, teardown),
        cmocka_unit_test_setup_teardown(an_error_is_the_result_of_its_own_read, setup, teardown),
        cmocka_unit_test_setup_teardown(without_memory_there_is_no_queue, setup, teardown),
#ifdef DW_HAVE_URING
        cmocka_unit_test_setup_teardown(a_forbidden_ring_is_done_without, setup, teardown),
        cmocka_unit_test_setup_teardown(a_ring_that_breaks_loses_no_read, setup, teardown),
        cmocka_unit_test_setup_teardown(what_was_not_begun_or_came_short_is_read_again_and_an_error_is_final, setup,
                                        teardown),
#endif
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
