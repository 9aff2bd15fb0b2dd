/* test_device_size.c - a device that grows, shrinks, is too small, or holds something already. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "alloc/alloc.h"
#include "core/format/codec.h"
#include "core/log/log.h"
#include "tests/lib/device_kit.h"

enum { SLOTS = 80, DEVICE_END = 2 * 65536 };

static struct dw_device_kit kit;

static int set_up(void **state)
{
    (void)state;
    dw_device_kit_make(&kit, SLOTS);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    dw_device_kit_remove(&kit);
    return dw_alloc_bytes() == 0 ? 0 : -1;
}

/* ---- size ---- */

static void a_larger_device_is_taken_up_by_the_next_writer(void **state)
{
    (void)state;
    assert_int_equal(dw_device_kit_create(&kit, "a", NULL), 0);
    assert_int_equal(dw_device_kit_create(&kit, "b", NULL), 0);
    dwal *a = dw_device_kit_must_open(&kit, "a"), *b;
    dw_device_kit_append(a, 'a', 0, 33);
    dw_device_kit_resize(&kit, dw_device_kit_size(SLOTS + 60));
    b = dw_device_kit_must_open(&kit, "b"); /* not while the other one writes */
    assert_int_equal(dw_device_kit_survey(&kit, NULL).slots, SLOTS);
    dw_device_kit_must_close(a);
    dw_device_kit_must_close(b);
    a = dw_device_kit_must_open(&kit, "a");
    assert_int_equal(dw_device_kit_survey(&kit, NULL).slots, SLOTS + 60);
    dw_device_kit_append(a, 'a', 33, 500); /* more than fitted before */
    dw_device_kit_must_close(a);
    dw_device_kit_spoil(&kit, 0, dw_device_kit_size(0) / 2); /* the near end: the far one has moved */
    a = dw_device_kit_must_open(&kit, "a");
    dw_device_kit_check(a, 'a', 0, 500);
    dw_device_kit_must_close(a);
    dw_device_kit_check_all_slots(&kit);
}

static void a_smaller_device_is_refused_and_says_how_much(void **state)
{
    (void)state;
    dwal *log;
    assert_int_equal(dw_device_kit_create(&kit, "", NULL), 0);
    dw_device_kit_resize(&kit, dw_device_kit_size(SLOTS - 1));
    assert_int_equal(dw_device_kit_open(&kit, "", NULL, &log), DWAL_ELOST);
    char text[100];
    snprintf(text, sizeof text, "%llu bytes and had %llu", (unsigned long long)dw_device_kit_size(SLOTS - 1),
             (unsigned long long)dw_device_kit_size(SLOTS));
    assert_non_null(strstr(dwal_last_error()->text, text));
    dw_device_kit_resize(&kit, dw_device_kit_size(SLOTS));
    dw_device_kit_must_close(dw_device_kit_must_open(&kit, ""));
}

static void a_device_too_small_for_a_log_is_refused(void **state)
{
    (void)state;
    dw_device_kit_resize(&kit, dw_device_kit_size(0));
    assert_int_equal(dw_device_kit_create(&kit, "", NULL), DWAL_ENOSPACE);
    dw_device_kit_resize(&kit, 65536);
    assert_int_equal(dw_device_kit_create(&kit, "", NULL), DWAL_ENOSPACE);
}

/* ---- what is there already ---- */

static void a_device_that_holds_something_is_not_formatted(void **state)
{
    (void)state;
    static uint8_t before[DW_DEVICE_KIT_VOLUME], after[DW_DEVICE_KIT_VOLUME];
    dw_device_kit_write(&kit, 1024, "something", 9);
    dw_device_kit_read(&kit, 0, before, sizeof before);
    assert_int_equal(dw_device_kit_create(&kit, "", NULL), DWAL_EEXIST);
    dw_device_kit_read(&kit, 0, after, sizeof after);
    assert_memory_equal(before, after, sizeof after);
    struct dwal_options options = dw_device_kit_options();
    options.is_forced = true;
    assert_int_equal(dw_device_kit_create(&kit, "", &options), 0);
    dw_device_kit_must_close(dw_device_kit_must_open(&kit, ""));
}

static void formatting_by_force_makes_all_slots_new(void **state)
{
    (void)state;
    struct dwal_options options = dw_device_kit_options();
    options.is_forced = true;
    assert_int_equal(dw_device_kit_create(&kit, "a", NULL), 0);
    dwal *log = dw_device_kit_must_open(&kit, "a"), *other;
    dw_device_kit_append(log, 'a', 0, 100);
    assert_int_equal(dw_device_kit_create(&kit, "b", &options), DWAL_EBUSY); /* not under a writer */
    dw_device_kit_must_close(log);
    assert_int_equal(dw_device_kit_create(&kit, "b", &options), 0);
    assert_int_equal(dw_device_kit_open(&kit, "a", NULL, &other), DWAL_ENOLOG);
    log = dw_device_kit_must_open(&kit, "b");
    dw_device_kit_append(log, 'b', 0, 100);
    dw_device_kit_check(log, 'b', 0, 100);
    dw_device_kit_must_close(log);
    dw_device_kit_check_all_slots(&kit);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(a_larger_device_is_taken_up_by_the_next_writer), TEST(a_smaller_device_is_refused_and_says_how_much),
        TEST(a_device_too_small_for_a_log_is_refused),        TEST(a_device_that_holds_something_is_not_formatted),
        TEST(formatting_by_force_makes_all_slots_new),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
