/* test_arena.c - the arena of a log's I/O memory: pieces, the borrowed front, what is held, what a fork sees. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "alloc/alloc.h"
#include "alloc/arena.h"

enum { MIB = 1 << 20 };

static bool is_zero(const unsigned char *bytes, size_t size)
{
    for (size_t i = 0; i < size; i++)
        if (bytes[i] != 0)
            return false;
    return true;
}

static void pieces_are_zeroed_aligned_apart_and_counted(void **state)
{
    (void)state;
    uint64_t held = dw_alloc_bytes();
    struct dw_arena *arena = dw_arena_open(0, MIB);
    assert_non_null(arena);
    assert_int_equal(dw_arena_size(arena), 0);
    unsigned char *one = dw_arena_take(arena, 100, 64), *other = dw_arena_take(arena, 5000, 65536);
    assert_int_equal((uintptr_t)one % 4096, 0);
    assert_int_equal((uintptr_t)other % 65536, 0);
    assert_true(is_zero(one, 100) && is_zero(other, 5000));
    memset(one, 1, 100);
    memset(other, 2, 5000);
    assert_int_equal(one[99], 1);
    assert_true(dw_alloc_bytes() - held >= dw_arena_size(arena));
    dw_arena_close(arena);
    assert_int_equal(dw_alloc_bytes(), held);
    dw_arena_close(NULL);
}

static void a_piece_beyond_the_limit_is_refused(void **state)
{
    (void)state;
    struct dw_arena *arena = dw_arena_open(0, MIB);
    assert_null(dw_arena_take(arena, 64 * MIB, 4096));
    assert_null(dw_arena_take(arena, SIZE_MAX - 4096, 4096));
    assert_non_null(dw_arena_take(arena, MIB, 4096));
    dw_arena_close(arena);
    assert_null(dw_arena_open(0, SIZE_MAX));
}

static void the_front_is_lent_until_it_is_claimed_and_zero_then(void **state)
{
    (void)state;
    uint64_t held = dw_alloc_bytes();
    struct dw_arena *arena = dw_arena_open(MIB, MIB);
    unsigned char *piece = dw_arena_take(arena, 4096, 4096);
    assert_int_equal(dw_arena_size(arena), 4096); /* the front costs nothing yet */
    unsigned char *one = dw_arena_borrow(arena, 300000, 4096), *two = dw_arena_borrow(arena, 300000, 65536);
    assert_true(one + 300000 <= two && two + 300000 <= piece);
    unsigned char *large = dw_arena_borrow(arena, 2 * MIB, 4096); /* does not fit: from elsewhere */
    memset(one, 0xaa, 300000);
    memset(two, 0xbb, 300000);
    memset(large, 0xcc, 2 * MIB);
    dw_arena_return(arena, large);
    dw_arena_return(arena, one);
    dw_arena_return(arena, two);
    dw_arena_return(arena, NULL);
    assert_ptr_equal(dw_arena_borrow(arena, MIB, 4096), one);
    dw_arena_return(arena, one);
    unsigned char *front = dw_arena_claim_front(arena);
    assert_ptr_equal(front, one);
    assert_int_equal((uintptr_t)front % (2 * MIB), 0);
    assert_ptr_equal(front + MIB, piece);
    assert_true(is_zero(front, MIB) && is_zero(piece, 4096));
    unsigned char *late = dw_arena_borrow(arena, 4096, 4096); /* claimed: from elsewhere */
    assert_true(late < front || late >= piece);
    dw_arena_return(arena, late);
    dw_arena_close(arena);
    assert_int_equal(dw_alloc_bytes(), held);
    unsigned char *free_memory = dw_arena_borrow(NULL, 4096, 4096);
    assert_non_null(free_memory);
    dw_arena_return(NULL, free_memory);
}

static void memory_is_present_when_it_is_handed_out(void **state)
{
    (void)state;
    struct dw_arena *arena = dw_arena_open(8 * MIB, 8 * MIB);
    unsigned char *front = dw_arena_claim_front(arena), *piece = dw_arena_take(arena, 3 * MIB, 4096);
    unsigned char present[3 * MIB / 4096];
    assert_int_equal(mincore(piece, 3 * MIB, present), 0);
    for (size_t i = 0; i < sizeof present; i++)
        assert_true(present[i] & 1);
    assert_int_equal(mincore(front, 3 * MIB, present), 0);
    for (size_t i = 0; i < sizeof present; i++)
        assert_true(present[i] & 1);
    assert_int_equal(dw_arena_size(arena), 12 * MIB); /* behind a large front in steps of huge pages */
    dw_arena_close(arena);
}

static void a_child_has_no_part_of_it(void **state)
{
    (void)state;
    struct dw_arena *arena = dw_arena_open(MIB, MIB);
    unsigned char *piece = dw_arena_take(arena, 4096, 4096);
    pid_t child = fork();
    if (child == 0) {
        unsigned char present;
        _exit(mincore(piece, 4096, &present) == 0 ? 1 : 0); /* no such mapping */
    }
    int status = 0;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    dw_arena_close(arena);
}

static void each_step_without_memory_is_told_and_leaks_nothing(void **state)
{
    (void)state;
    uint64_t held = dw_alloc_bytes();
    dw_alloc_fail_at(1, false);
    assert_null(dw_arena_open(MIB, MIB));
    dw_alloc_fail_at(2, false);
    assert_null(dw_arena_open(MIB, MIB));
    struct dw_arena *arena = dw_arena_open(MIB, MIB);
    dw_alloc_fail_at(1, false);
    assert_null(dw_arena_take(arena, 4096, 4096));
    dw_alloc_fail_at(1, false);
    assert_null(dw_arena_borrow(arena, 4096, 4096));
    dw_alloc_fail_at(1, false);
    assert_null(dw_arena_claim_front(arena));
    dw_alloc_fail_at(0, false);
    dw_arena_close(arena);
    assert_int_equal(dw_alloc_bytes(), held);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pieces_are_zeroed_aligned_apart_and_counted),
        cmocka_unit_test(a_piece_beyond_the_limit_is_refused),
        cmocka_unit_test(the_front_is_lent_until_it_is_claimed_and_zero_then),
        cmocka_unit_test(memory_is_present_when_it_is_handed_out),
        cmocka_unit_test(a_child_has_no_part_of_it),
        cmocka_unit_test(each_step_without_memory_is_told_and_leaks_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
