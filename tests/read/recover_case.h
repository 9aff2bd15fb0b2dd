/* recover_case.h - what the tests of recovery share: one kit, short forms. Included by each once. */
#ifndef DW_TESTS_READ_RECOVER_CASE_H
#define DW_TESTS_READ_RECOVER_CASE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "tests/lib/recover_kit.h"

static struct dw_recover_kit kit;

static inline struct dw_image *small(void)
{
    return dw_image_new(&(struct dw_image_shape){.data_blocks = 16});
}
static inline struct dw_image *recycled(void)
{
    return dw_image_new(&(struct dw_image_shape){.data_blocks = 16, .first_volume = 4, .is_recycled = true});
}

static inline void run(struct dw_image *image)
{
    dw_recover_kit_run(&kit, image);
}
static inline void expect(enum dwal_verdict verdict, uint32_t row)
{
    dw_recover_kit_expect(&kit, verdict, row);
}
static inline uint64_t lsn_of_block(const struct dw_image *image, uint64_t block)
{
    return dw_lsn_of_block(&image->geometry, block);
}

static int set_up(void **state)
{
    (void)state;
    dw_recover_kit_init(&kit);
    return 0;
}
static int tear_down(void **state)
{
    (void)state;
    dw_recover_kit_free(&kit);
    return 0;
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

#endif
