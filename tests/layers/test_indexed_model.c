/* test_indexed_model.c - random calls on an indexed log, with crashes and reopens, beside a model: no difference is allowed.
 *
 * DWAL_MODEL_OPERATIONS: how many calls (a million unless set); DWAL_MODEL_SEED: from which seed. */
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <time.h>

#include <cmocka.h>

#include "tests/lib/crash_explore.h"
#include "tests/lib/indexed_model.h"

static uint64_t setting(const char *name, uint64_t standard)
{
    const char *text = getenv(name);
    return text ? strtoull(text, NULL, 10) : standard;
}

static void a_million_calls_do_what_the_model_does(void **state)
{
    (void)state;
#ifdef DW_SANITIZED
    uint64_t standard = 20000;
#else
    uint64_t standard = 1000000;
#endif
    struct dw_indexed_model_counts counts;
    double begin = dw_crash_now();
    dw_indexed_model_run(setting("DWAL_MODEL_SEED", 1), setting("DWAL_MODEL_OPERATIONS", standard), &counts);
    print_message(
        "%" PRIu64 " calls in %.1f s: %" PRIu64 " lives, %" PRIu64 " crashes, %" PRIu64 " clean reopens, %" PRIu64
        " entries, %" PRIu64 " truncations, %" PRIu64 " volumes entered, %" PRIu64 " opens without a scan, %" PRIu64
        " heads scanned; unacknowledged calls kept %" PRIu64 ", lost %" PRIu64 "; 0 differences\n",
        counts.operations, dw_crash_now() - begin, counts.lives, counts.crashes, counts.clean, counts.entries,
        counts.truncations, counts.volumes, counts.restored, counts.scanned, counts.unacked_kept, counts.unacked_lost);
    assert_true(counts.crashes > 0 && counts.clean > 0 && counts.unacked_kept > 0 && counts.unacked_lost > 0);
    print_message("%" PRIu64 " lives ended with a failed write\n", counts.failed);
    assert_true(counts.restored > 0 && counts.volumes > 0);
}

int main(void)
{
    dw_crash_prepare();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_million_calls_do_what_the_model_does),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
