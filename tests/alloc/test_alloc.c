/* test_alloc.c - alloc.h: zeroed and aligned memory, counters that balance, the fail-at hook, the pre-faulted map. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "alloc/alloc.h"

static bool is_zero(const unsigned char *bytes, size_t size)
{
    for (size_t i = 0; i < size; i++)
        if (bytes[i] != 0)
            return false;
    return true;
}

static void alloc_gives_zeroed_memory_and_counts_it(void **state)
{
    (void)state;
    uint64_t bytes = dw_alloc_bytes(), count = dw_alloc_count();
    /* Twice, so that libc hands out a used block the second time. */
    for (int round = 0; round < 2; round++) {
        unsigned char *memory = dw_alloc(1000);
        assert_non_null(memory);
        assert_true(is_zero(memory, 1000));
        assert_int_equal((uintptr_t)memory % 16, 0);
        assert_int_equal(dw_alloc_bytes() - bytes, 1000);
        memset(memory, 0xab, 1000);
        dw_free(memory);
    }
    assert_int_equal(dw_alloc_bytes(), bytes);
    assert_int_equal(dw_alloc_count() - count, 2);
    dw_free(NULL);
    dw_free_io(NULL);
    dw_unmap(NULL, 4096);
}

static void realloc_keeps_the_content_and_the_balance(void **state)
{
    (void)state;
    uint64_t bytes = dw_alloc_bytes();
    unsigned char *memory = dw_realloc(NULL, 10);
    assert_non_null(memory);
    memcpy(memory, "0123456789", 10);
    memory = dw_realloc(memory, 100000);
    assert_non_null(memory);
    assert_memory_equal(memory, "0123456789", 10);
    assert_int_equal(dw_alloc_bytes() - bytes, 100000);
    memory = dw_realloc(memory, 5);
    assert_memory_equal(memory, "01234", 5);
    assert_int_equal(dw_alloc_bytes() - bytes, 5);
    dw_free(memory);
    assert_int_equal(dw_alloc_bytes(), bytes);
}

static void alloc_io_is_aligned_and_zeroed(void **state)
{
    (void)state;
    uint64_t bytes = dw_alloc_bytes();
    static const size_t alignments[] = {1, 512, 4096, 65536};
    for (size_t i = 0; i < 4; i++) {
        size_t expected = alignments[i] < 4096 ? 4096 : alignments[i];
        unsigned char *memory = dw_alloc_io(12288, alignments[i]);
        assert_non_null(memory);
        assert_int_equal((uintptr_t)memory % expected, 0);
        assert_true(is_zero(memory, 12288));
        memset(memory, 0xcd, 12288);
        assert_int_equal(dw_alloc_bytes() - bytes, 12288);
        dw_free_io(memory);
    }
    assert_int_equal(dw_alloc_bytes(), bytes);
}

static void map_is_present_before_the_first_touch(void **state)
{
    (void)state;
    uint64_t bytes = dw_alloc_bytes();
    static const size_t sizes[] = {4096, 1 << 20, (8 << 20) + 4096};
    for (size_t i = 0; i < 3; i++) {
        unsigned char *memory = dw_map(sizes[i]);
        assert_non_null(memory);
        unsigned char *present = test_malloc(sizes[i] / 4096);
        assert_int_equal(mincore(memory, sizes[i], present), 0);
        for (size_t page = 0; page < sizes[i] / 4096; page++)
            assert_int_equal(present[page] & 1, 1);
        test_free(present);
        assert_true(is_zero(memory, sizes[i]));
        memset(memory, 1, sizes[i]);
        assert_int_equal(dw_alloc_bytes() - bytes, sizes[i]);
        dw_unmap(memory, sizes[i]);
    }
    assert_int_equal(dw_alloc_bytes(), bytes);
}

static void the_nth_allocation_fails_once(void **state)
{
    (void)state;
    uint64_t bytes = dw_alloc_bytes();
    dw_alloc_fail_at(3, false);
    void *first = dw_alloc(1);
    void *second = dw_alloc_io(4096, 4096);
    void *third = dw_map(4096);
    void *fourth = dw_map(4096);
    assert_non_null(first);
    assert_non_null(second);
    assert_null(third);
    assert_non_null(fourth);
    dw_alloc_fail_at(1, false);
    void *moved = dw_realloc(first, 2);
    assert_null(moved);
    dw_free(first); /* a failed realloc leaves it as it was */
    dw_free_io(second);
    dw_unmap(fourth, 4096);
    assert_int_equal(dw_alloc_bytes(), bytes);
}

static void sticky_failure_lasts_until_switched_off(void **state)
{
    (void)state;
    dw_alloc_fail_at(2, true);
    void *first = dw_alloc(1);
    assert_non_null(first);
    for (int i = 0; i < 5; i++) {
        void *none = dw_alloc(1);
        assert_null(none);
    }
    dw_alloc_fail_at(0, false);
    void *last = dw_alloc(1);
    assert_non_null(last);
    dw_free(first);
    dw_free(last);
}

enum { THREADS = 4, ROUNDS = 2000 };
static _Atomic int failures;

static void *allocate_much(void *unused)
{
    for (int i = 0; i < ROUNDS; i++) {
        void *memory = dw_alloc(16 + (size_t)(i % 100));
        if (!memory)
            atomic_fetch_add(&failures, 1);
        dw_free(memory);
    }
    return unused;
}

static void many_threads_meet_exactly_one_failure(void **state)
{
    (void)state;
    uint64_t bytes = dw_alloc_bytes(), count = dw_alloc_count();
    atomic_store(&failures, 0);
    dw_alloc_fail_at(THREADS * ROUNDS / 2, false);
    pthread_t threads[THREADS];
    for (int i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, allocate_much, NULL), 0);
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    assert_int_equal(atomic_load(&failures), 1);
    assert_int_equal(dw_alloc_bytes(), bytes);
    assert_int_equal(dw_alloc_count() - count, THREADS * ROUNDS);
}

/* Run in a child: it must be stopped by the assertion, not go on. */
static bool is_stopped(void (*mistake)(void))
{
    pid_t child = fork();
    if (child == 0) {
        close(STDERR_FILENO);
        mistake();
        _exit(0);
    }
    int status = 0;
    return waitpid(child, &status, 0) == child && !(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

static void free_io_memory_as_plain(void)
{
    dw_free(dw_alloc_io(4096, 4096));
}

static void giving_back_to_the_wrong_function_stops_the_process(void **state)
{
    (void)state;
    assert_true(is_stopped(free_io_memory_as_plain));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(alloc_gives_zeroed_memory_and_counts_it),
        cmocka_unit_test(realloc_keeps_the_content_and_the_balance),
        cmocka_unit_test(alloc_io_is_aligned_and_zeroed),
        cmocka_unit_test(map_is_present_before_the_first_touch),
        cmocka_unit_test(the_nth_allocation_fails_once),
        cmocka_unit_test(sticky_failure_lasts_until_switched_off),
        cmocka_unit_test(many_threads_meet_exactly_one_failure),
        cmocka_unit_test(giving_back_to_the_wrong_function_stops_the_process),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
