/* test_pool.c - the pool: zeroed objects, used again, slabs only when all are in use, none lost. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <string.h>

#include "alloc/alloc.h"
#include "alloc/pool.h"

static void objects_come_zeroed_and_go_without_allocation(void **state)
{
    (void)state;
    uint64_t held = dw_alloc_bytes();
    struct dw_pool pool;
    assert_int_equal(dw_pool_init(&pool, 100, 4), 0);
    uint64_t count = dw_alloc_count();
    unsigned char *objects[4];
    for (int round = 0; round < 50; round++) {
        for (int i = 0; i < 4; i++) {
            objects[i] = dw_pool_get(&pool);
            assert_int_equal((uintptr_t)objects[i] % 16, 0);
            for (int at = 0; at < 100; at++)
                assert_int_equal(objects[i][at], 0);
            memset(objects[i], i + 1, 100);
        }
        for (int i = 0; i < 4; i++)
            assert_int_equal(objects[i][99], i + 1); /* they do not overlap */
        for (int i = 0; i < 4; i++)
            dw_pool_put(&pool, objects[(i + round) % 4]);
    }
    assert_int_equal(dw_alloc_count(), count);
    dw_pool_put(&pool, NULL);
    dw_pool_destroy(&pool);
    assert_int_equal(dw_alloc_bytes(), held);
}

static void one_more_slab_is_got_when_all_are_in_use(void **state)
{
    (void)state;
    uint64_t held = dw_alloc_bytes();
    struct dw_pool pool;
    assert_int_equal(dw_pool_init(&pool, 16, 8), 0);
    uint64_t count = dw_alloc_count();
    for (int i = 0; i < 8; i++)
        assert_non_null(dw_pool_get(&pool));
    dw_alloc_fail_at(1, false);
    assert_null(dw_pool_get(&pool));
    dw_alloc_fail_at(0, false);
    assert_non_null(dw_pool_get(&pool));
    assert_int_equal(dw_alloc_count() - count, 2);
    dw_pool_destroy(&pool); /* what is in use goes too */
    assert_int_equal(dw_alloc_bytes(), held);
    dw_alloc_fail_at(1, false);
    assert_int_equal(dw_pool_init(&pool, 16, 8), -ENOMEM);
    dw_alloc_fail_at(0, false);
    struct dw_pool none = {.slab_count = 0};
    dw_pool_destroy(&none);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(objects_come_zeroed_and_go_without_allocation),
        cmocka_unit_test(one_more_slab_is_got_when_all_are_in_use),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
