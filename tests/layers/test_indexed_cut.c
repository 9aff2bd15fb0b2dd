/* test_indexed_cut.c - opening an indexed log with volumes that a crash left without a table, or cut short. */
#include "tests/lib/indexed_bench.h"

/* A log that was closed clean, went on in the same volume and in the next one, and crashed before the first one had its table:
 * what is known of that one is of the close before. */
static void leave_a_volume_without_table(struct dw_indexed_bench *bench)
{
    dw_indexed_bench_create(bench, dw_indexed_bench_sim());
    dw_indexed_bench_store(bench, 1, 200);
    dw_indexed_kit_close(bench->log); /* an index and a state are its last records */
    dw_indexed_bench_open(bench);
    dw_indexed_bench_pump(bench); /* the next volume is claimed */
    uint64_t last = 200;
    for (; dw_indexed_volume_of(bench->log, dwal_end(bench->base)) == 0; last += 7)
        dw_indexed_bench_store(bench, last + 1, last + 7);
    assert_int_equal(dw_indexed_bench_volumes(bench->base, true), 0);
}

static void a_volume_before_the_trim_point_is_passed_over(void **state)
{
    (void)state;
    struct dw_indexed_bench bench;
    leave_a_volume_without_table(&bench);
    assert_int_equal(dwal_indexed_reset(bench.log), 0);
    assert_int_equal(dw_indexed_volume_of(bench.log, dwal_first(bench.base)), 1); /* and volume 0 is still there */
    dw_indexed_bench_crash(&bench);
    dw_indexed_bench_open(&bench);
    dw_indexed_kit_close(bench.log);
    dw_indexed_bench_open(&bench);
    dw_indexed_kit_expect_all(bench.log, 0, 0, 0, 0);
    dw_indexed_bench_store(&bench, 7, 9);
    dw_indexed_kit_expect_all(bench.log, 7, 9, 0, 0);
    dw_indexed_kit_close(bench.log);
    bench.disk->ops->close(bench.disk);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        DW_LOG_KIT_TEST(a_volume_before_the_trim_point_is_passed_over),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
