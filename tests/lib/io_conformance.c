/* io_conformance.c - names, bytes and locks of a disk; io_conformance_queue.c has the queues. */
#include "tests/lib/io_conformance_internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* ---- fixtures ---- */

int dw_conformance_setup(void **state)
{
    struct dw_conformance *test = calloc(1, sizeof *test);
    if (!test)
        return -1;
    test->subject = *state;
    test->bytes = dw_alloc_io(CONFORMANCE_BYTES, CONFORMANCE_UNIT);
    int result = test->subject->make(test->subject->context, &test->disk);
    if (result < 0 || !test->bytes)
        return -1;
    *state = test;
    return 0;
}

int dw_conformance_teardown(void **state)
{
    struct dw_conformance *test = *state;
    test->subject->unmake(test->subject->context, test->disk);
    dw_free_io(test->bytes);
    free(test);
    return 0;
}

struct dw_file *dw_conformance_create(struct dw_conformance *test, const char *name)
{
    struct dw_file *file = NULL;
    assert_int_equal(test->disk->ops->open(test->disk, name, DW_OPEN_WRITE | DW_OPEN_CREATE, &file), 0);
    assert_non_null(file);
    assert_ptr_equal(file->disk, test->disk);
    return file;
}

static struct dw_file *open_file(struct dw_conformance *test, const char *name, unsigned flags)
{
    struct dw_file *file = NULL;
    assert_int_equal(test->disk->ops->open(test->disk, name, flags, &file), 0);
    return file;
}

void dw_conformance_fill(unsigned char *bytes, size_t size, uint32_t seed)
{
    for (size_t i = 0; i < size; i++) {
        seed = seed * 1664525u + 1013904223u;
        bytes[i] = (unsigned char)(seed >> 24);
    }
}

void dw_conformance_expect(struct dw_conformance *test, struct dw_file *file, uint64_t offset, size_t size,
                           uint32_t seed)
{
    unsigned char *found = dw_alloc_io(size, CONFORMANCE_UNIT);
    unsigned char *expected = malloc(size);
    size_t done = 0;
    assert_int_equal(dw_file_read(file, found, size, offset, &done), 0);
    assert_int_equal(done, size);
    dw_conformance_fill(expected, size, seed);
    assert_memory_equal(found, expected, size);
    free(expected);
    dw_free_io(found);
    (void)test;
}

/* ---- names ---- */

struct listing {
    uint32_t count;
    char names[8][32];
    uint64_t sizes[8];
    int stop; /* answer this after the first */
};

static int note_name(void *context, const char *name, uint64_t size)
{
    struct listing *listing = context;
    if (listing->count < 8) {
        strncpy(listing->names[listing->count], name, 31);
        listing->sizes[listing->count] = size;
    }
    listing->count++;
    return listing->stop;
}

static bool is_listed(const struct listing *listing, const char *name, uint64_t size)
{
    for (uint32_t i = 0; i < listing->count && i < 8; i++)
        if (strcmp(listing->names[i], name) == 0)
            return listing->sizes[i] == size;
    return false;
}

static void create_refuses_a_name_that_exists(void **state)
{
    struct dw_conformance *test = *state;
    dw_file_close(dw_conformance_create(test, "a"));
    struct dw_file *file = NULL;
    assert_int_equal(test->disk->ops->open(test->disk, "a", DW_OPEN_WRITE | DW_OPEN_CREATE, &file), -EEXIST);
    assert_null(file);
}

static void open_refuses_a_name_that_is_not_there(void **state)
{
    struct dw_conformance *test = *state;
    struct dw_file *file = NULL;
    assert_int_equal(test->disk->ops->open(test->disk, "a", DW_OPEN_READ, &file), -ENOENT);
    assert_int_equal(test->disk->ops->open(test->disk, "a", DW_OPEN_WRITE, &file), -ENOENT);
    assert_null(file);
}

static void list_tells_names_and_sizes(void **state)
{
    struct dw_conformance *test = *state;
    struct listing empty = {0};
    assert_int_equal(test->disk->ops->list(test->disk, note_name, &empty), 0);
    assert_int_equal(empty.count, 0);
    struct dw_file *file = dw_conformance_create(test, "a");
    assert_int_equal(dw_file_write(file, test->bytes, 2 * CONFORMANCE_UNIT, 0), 0);
    dw_file_close(file);
    dw_file_close(dw_conformance_create(test, "b"));
    struct listing both = {0};
    assert_int_equal(test->disk->ops->list(test->disk, note_name, &both), 0);
    assert_int_equal(both.count, 2);
    assert_true(is_listed(&both, "a", 2 * CONFORMANCE_UNIT));
    assert_true(is_listed(&both, "b", 0));
}

static void list_stops_at_the_first_result_that_is_not_zero(void **state)
{
    struct dw_conformance *test = *state;
    dw_file_close(dw_conformance_create(test, "a"));
    dw_file_close(dw_conformance_create(test, "b"));
    struct listing listing = {.stop = -77};
    assert_int_equal(test->disk->ops->list(test->disk, note_name, &listing), -77);
    assert_int_equal(listing.count, 1);
}

static void rename_moves_and_never_replaces(void **state)
{
    struct dw_conformance *test = *state;
    struct dw_file *file = dw_conformance_create(test, "a");
    dw_conformance_fill(test->bytes, CONFORMANCE_UNIT, 1);
    assert_int_equal(dw_file_write_durable(file, test->bytes, CONFORMANCE_UNIT, 0), 0);
    dw_file_close(dw_conformance_create(test, "b"));
    assert_int_equal(test->disk->ops->rename(test->disk, "a", "b"), -EEXIST);
    assert_int_equal(test->disk->ops->rename(test->disk, "missing", "c"), -ENOENT);
    assert_int_equal(test->disk->ops->rename(test->disk, "a", "c"), 0);
    /* The file that was open under the old name is the same file. */
    dw_conformance_expect(test, file, 0, CONFORMANCE_UNIT, 1);
    dw_file_close(file);
    struct listing listing = {0};
    assert_int_equal(test->disk->ops->list(test->disk, note_name, &listing), 0);
    assert_int_equal(listing.count, 2);
    assert_true(is_listed(&listing, "c", CONFORMANCE_UNIT));
    assert_true(is_listed(&listing, "b", 0));
    assert_int_equal(test->disk->ops->sync_names(test->disk), 0);
}

static void unlink_removes_the_name_and_leaves_open_files_alone(void **state)
{
    struct dw_conformance *test = *state;
    struct dw_file *file = dw_conformance_create(test, "a");
    dw_conformance_fill(test->bytes, CONFORMANCE_UNIT, 2);
    assert_int_equal(dw_file_write_durable(file, test->bytes, CONFORMANCE_UNIT, 0), 0);
    assert_int_equal(test->disk->ops->unlink(test->disk, "a"), 0);
    assert_int_equal(test->disk->ops->unlink(test->disk, "a"), -ENOENT);
    dw_conformance_expect(test, file, 0, CONFORMANCE_UNIT, 2);
    struct dw_file *other = dw_conformance_create(test, "a"); /* the name is free again */
    uint64_t size = 1;
    assert_int_equal(test->disk->ops->size(other, &size), 0);
    assert_int_equal(size, 0);
    dw_file_close(other);
    dw_file_close(file);
}

/* ---- bytes ---- */

static void alignment_is_a_power_of_two_that_one_block_satisfies(void **state)
{
    struct dw_conformance *test = *state;
    struct dw_file *file = dw_conformance_create(test, "a");
    assert_in_range(file->alignment, 512, 65536);
    assert_int_equal(file->alignment & (file->alignment - 1), 0);
    /* The smallest transfer that is allowed works. */
    dw_conformance_fill(test->bytes, file->alignment, 3);
    assert_int_equal(dw_file_write_durable(file, test->bytes, file->alignment, file->alignment), 0);
    dw_conformance_expect(test, file, file->alignment, file->alignment, 3);
    dw_file_close(file);
}

static void what_a_durable_write_wrote_can_be_read_through_another_file(void **state)
{
    struct dw_conformance *test = *state;
    struct dw_file *file = dw_conformance_create(test, "a");
    dw_conformance_fill(test->bytes, CONFORMANCE_BYTES, 4);
    assert_int_equal(dw_file_write_durable(file, test->bytes, CONFORMANCE_BYTES, CONFORMANCE_UNIT), 0);
    dw_conformance_fill(test->bytes, CONFORMANCE_UNIT, 5);
    assert_int_equal(dw_file_write(file, test->bytes, CONFORMANCE_UNIT, 0), 0);
    assert_int_equal(dw_file_sync(file), 0);
    struct dw_file *other = open_file(test, "a", DW_OPEN_READ);
    dw_conformance_expect(test, other, 0, CONFORMANCE_UNIT, 5);
    dw_conformance_expect(test, other, CONFORMANCE_UNIT, CONFORMANCE_BYTES, 4);
    dw_file_close(other);
    dw_file_close(file);
}

static void a_write_replaces_exactly_its_own_bytes(void **state)
{
    struct dw_conformance *test = *state;
    struct dw_file *file = dw_conformance_create(test, "a");
    for (uint32_t i = 0; i < 4; i++) {
        dw_conformance_fill(test->bytes, CONFORMANCE_UNIT, 10 + i);
        assert_int_equal(dw_file_write(file, test->bytes, CONFORMANCE_UNIT, i * CONFORMANCE_UNIT), 0);
    }
    dw_conformance_fill(test->bytes, CONFORMANCE_UNIT, 99);
    assert_int_equal(dw_file_write_durable(file, test->bytes, CONFORMANCE_UNIT, CONFORMANCE_UNIT), 0);
    dw_conformance_expect(test, file, 0, CONFORMANCE_UNIT, 10);
    dw_conformance_expect(test, file, CONFORMANCE_UNIT, CONFORMANCE_UNIT, 99);
    dw_conformance_expect(test, file, 2 * CONFORMANCE_UNIT, CONFORMANCE_UNIT, 12);
    dw_conformance_expect(test, file, 3 * CONFORMANCE_UNIT, CONFORMANCE_UNIT, 13);
    dw_file_close(file);
}

static void read_stops_at_the_end_of_the_file(void **state)
{
    struct dw_conformance *test = *state;
    struct dw_file *file = dw_conformance_create(test, "a");
    size_t done = 99;
    assert_int_equal(dw_file_read(file, test->bytes, CONFORMANCE_UNIT, 0, &done), 0);
    assert_int_equal(done, 0);
    assert_int_equal(dw_file_write(file, test->bytes, 2 * CONFORMANCE_UNIT, 0), 0);
    assert_int_equal(dw_file_read(file, test->bytes, 4 * CONFORMANCE_UNIT, CONFORMANCE_UNIT, &done), 0);
    assert_int_equal(done, CONFORMANCE_UNIT);
    assert_int_equal(dw_file_read(file, test->bytes, CONFORMANCE_UNIT, 2 * CONFORMANCE_UNIT, &done), 0);
    assert_int_equal(done, 0);
    assert_int_equal(dw_file_read(file, test->bytes, CONFORMANCE_UNIT, 64 * CONFORMANCE_UNIT, &done), 0);
    assert_int_equal(done, 0);
    dw_file_close(file);
}

static void a_hole_reads_as_zeros(void **state)
{
    struct dw_conformance *test = *state;
    struct dw_file *file = dw_conformance_create(test, "a");
    assert_int_equal(dw_file_write_durable(file, test->bytes, CONFORMANCE_UNIT, 3 * CONFORMANCE_UNIT), 0);
    memset(test->bytes, 0xee, 3 * CONFORMANCE_UNIT);
    size_t done = 0;
    assert_int_equal(dw_file_read(file, test->bytes, 3 * CONFORMANCE_UNIT, 0, &done), 0);
    assert_int_equal(done, 3 * CONFORMANCE_UNIT);
    for (size_t i = 0; i < 3 * CONFORMANCE_UNIT; i++)
        assert_int_equal(test->bytes[i], 0);
    dw_file_close(file);
}

static void allocate_sets_the_size_and_reads_as_zeros(void **state)
{
    struct dw_conformance *test = *state;
    struct dw_file *file = dw_conformance_create(test, "a");
    int result = test->disk->ops->allocate(file, 16 * CONFORMANCE_UNIT);
    if (result == -EOPNOTSUPP && test->subject->has_no_allocate) {
        dw_file_close(file);
        return;
    }
    assert_int_equal(result, 0);
    uint64_t size = 0;
    assert_int_equal(test->disk->ops->size(file, &size), 0);
    assert_int_equal(size, 16 * CONFORMANCE_UNIT);
    memset(test->bytes, 0xee, CONFORMANCE_UNIT);
    size_t done = 0;
    assert_int_equal(dw_file_read(file, test->bytes, CONFORMANCE_UNIT, 15 * CONFORMANCE_UNIT, &done), 0);
    assert_int_equal(done, CONFORMANCE_UNIT);
    for (size_t i = 0; i < CONFORMANCE_UNIT; i++)
        assert_int_equal(test->bytes[i], 0);
    dw_file_close(file);
}

static void a_write_at_the_end_makes_the_file_longer(void **state)
{
    struct dw_conformance *test = *state;
    struct dw_file *file = dw_conformance_create(test, "a");
    uint64_t size = 1;
    assert_int_equal(test->disk->ops->size(file, &size), 0);
    assert_int_equal(size, 0);
    assert_int_equal(dw_file_write_durable(file, test->bytes, CONFORMANCE_UNIT, 0), 0);
    assert_int_equal(dw_file_write(file, test->bytes, CONFORMANCE_UNIT, CONFORMANCE_UNIT), 0);
    assert_int_equal(test->disk->ops->size(file, &size), 0);
    assert_int_equal(size, 2 * CONFORMANCE_UNIT);
    dw_file_close(file);
}

static void a_file_opened_to_read_refuses_writes(void **state)
{
    struct dw_conformance *test = *state;
    dw_file_close(dw_conformance_create(test, "a"));
    struct dw_file *file = open_file(test, "a", DW_OPEN_READ);
    assert_true(dw_file_write(file, test->bytes, CONFORMANCE_UNIT, 0) < 0);
    assert_true(dw_file_write_durable(file, test->bytes, CONFORMANCE_UNIT, 0) < 0);
    uint64_t size = 1;
    assert_int_equal(test->disk->ops->size(file, &size), 0);
    assert_int_equal(size, 0);
    dw_file_close(file);
}

/* ---- locks ---- */

static bool is_held(struct dw_file *file, enum dw_lock_kind kind)
{
    bool answer = false;
    assert_int_equal(file->disk->ops->lock_test(file, kind, &answer), 0);
    return answer;
}

static int lock(struct dw_file *file, enum dw_lock_kind kind, enum dw_lock_mode mode)
{
    return file->disk->ops->lock(file, kind, mode);
}

static void the_second_writer_is_refused_until_the_first_lets_go(void **state)
{
    struct dw_conformance *test = *state;
    struct dw_file *first = dw_conformance_create(test, "a");
    struct dw_file *second = open_file(test, "a", DW_OPEN_WRITE);
    assert_false(is_held(second, DW_LOCK_WRITER));
    assert_int_equal(lock(first, DW_LOCK_WRITER, DW_LOCK_EXCLUSIVE), 0);
    assert_int_equal(lock(first, DW_LOCK_WRITER, DW_LOCK_EXCLUSIVE), 0); /* again: it already is ours */
    assert_int_equal(lock(second, DW_LOCK_WRITER, DW_LOCK_EXCLUSIVE), -EAGAIN);
    assert_int_equal(lock(second, DW_LOCK_WRITER, DW_LOCK_SHARED), -EAGAIN);
    assert_true(is_held(second, DW_LOCK_WRITER));
    assert_false(is_held(first, DW_LOCK_WRITER)); /* one's own lock is nobody else's */
    assert_int_equal(lock(first, DW_LOCK_WRITER, DW_LOCK_NONE), 0);
    assert_false(is_held(second, DW_LOCK_WRITER));
    assert_int_equal(lock(second, DW_LOCK_WRITER, DW_LOCK_EXCLUSIVE), 0);
    dw_file_close(second);
    assert_int_equal(lock(first, DW_LOCK_WRITER, DW_LOCK_EXCLUSIVE), 0); /* close lets go */
    dw_file_close(first);
}

static void closing_another_file_of_the_same_name_keeps_the_lock(void **state)
{
    struct dw_conformance *test = *state;
    struct dw_file *first = dw_conformance_create(test, "a");
    assert_int_equal(lock(first, DW_LOCK_WRITER, DW_LOCK_EXCLUSIVE), 0);
    dw_file_close(open_file(test, "a", DW_OPEN_WRITE));
    struct dw_file *third = open_file(test, "a", DW_OPEN_WRITE);
    assert_true(is_held(third, DW_LOCK_WRITER));
    dw_file_close(third);
    dw_file_close(first);
}

static void pins_are_shared_and_keep_the_exclusive_one_out(void **state)
{
    struct dw_conformance *test = *state;
    struct dw_file *writer = dw_conformance_create(test, "a");
    struct dw_file *reader = open_file(test, "a", DW_OPEN_READ);
    struct dw_file *other = open_file(test, "a", DW_OPEN_READ);
    assert_int_equal(lock(reader, DW_LOCK_PIN, DW_LOCK_SHARED), 0);
    assert_int_equal(lock(other, DW_LOCK_PIN, DW_LOCK_SHARED), 0);
    assert_true(is_held(writer, DW_LOCK_PIN)); /* an exclusive lock would conflict */
    assert_int_equal(lock(writer, DW_LOCK_PIN, DW_LOCK_EXCLUSIVE), -EAGAIN);
    /* The two kinds do not know each other. */
    assert_int_equal(lock(writer, DW_LOCK_WRITER, DW_LOCK_EXCLUSIVE), 0);
    dw_file_close(other);
    assert_int_equal(lock(writer, DW_LOCK_PIN, DW_LOCK_EXCLUSIVE), -EAGAIN);
    assert_int_equal(lock(reader, DW_LOCK_PIN, DW_LOCK_NONE), 0);
    assert_int_equal(lock(writer, DW_LOCK_PIN, DW_LOCK_EXCLUSIVE), 0);
    assert_int_equal(lock(reader, DW_LOCK_PIN, DW_LOCK_SHARED), -EAGAIN);
    dw_file_close(reader);
    dw_file_close(writer);
}

static void locks_go_with_the_file_through_a_rename(void **state)
{
    struct dw_conformance *test = *state;
    struct dw_file *first = dw_conformance_create(test, "a");
    assert_int_equal(lock(first, DW_LOCK_WRITER, DW_LOCK_EXCLUSIVE), 0);
    assert_int_equal(test->disk->ops->rename(test->disk, "a", "b"), 0);
    struct dw_file *second = open_file(test, "b", DW_OPEN_READ);
    assert_true(is_held(second, DW_LOCK_WRITER));
    struct dw_file *fresh = dw_conformance_create(test, "a");
    assert_false(is_held(fresh, DW_LOCK_WRITER));
    dw_file_close(fresh);
    dw_file_close(second);
    dw_file_close(first);
}

/* ---- all ---- */

#define CONFORM(test) cmocka_unit_test_setup_teardown(test, dw_conformance_setup, dw_conformance_teardown)

int dw_io_conformance_run(const struct dw_io_subject *subject)
{
    struct CMUnitTest tests[64] = {
        CONFORM(create_refuses_a_name_that_exists),
        CONFORM(open_refuses_a_name_that_is_not_there),
        CONFORM(list_tells_names_and_sizes),
        CONFORM(list_stops_at_the_first_result_that_is_not_zero),
        CONFORM(rename_moves_and_never_replaces),
        CONFORM(unlink_removes_the_name_and_leaves_open_files_alone),
        CONFORM(alignment_is_a_power_of_two_that_one_block_satisfies),
        CONFORM(what_a_durable_write_wrote_can_be_read_through_another_file),
        CONFORM(a_write_replaces_exactly_its_own_bytes),
        CONFORM(read_stops_at_the_end_of_the_file),
        CONFORM(a_hole_reads_as_zeros),
        CONFORM(allocate_sets_the_size_and_reads_as_zeros),
        CONFORM(a_write_at_the_end_makes_the_file_longer),
        CONFORM(a_file_opened_to_read_refuses_writes),
        CONFORM(the_second_writer_is_refused_until_the_first_lets_go),
        CONFORM(closing_another_file_of_the_same_name_keeps_the_lock),
        CONFORM(pins_are_shared_and_keep_the_exclusive_one_out),
        CONFORM(locks_go_with_the_file_through_a_rename),
    };
    size_t count = 0;
    while (!subject->has_only_queues && tests[count].test_func)
        count++;
    count += dw_conformance_queue_tests(tests + count, DW_COUNT_OF(tests) - count);
    for (size_t i = 0; i < count; i++) {
        /* cmocka hands this to the setup as *state. */
        tests[i].initial_state = (void *)(uintptr_t)subject;
    }
    return _cmocka_run_group_tests(subject->name, tests, count, NULL, NULL);
}
