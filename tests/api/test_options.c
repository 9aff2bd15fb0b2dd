/* test_options.c - what options mean when they are left alone, and that each impossible one is refused by its name. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>
#include <dwal/inspect.h>

#include "tests/lib/tmpdir.h"

static char place[DW_TMPDIR_SIZE];
static char path[DW_TMPDIR_SIZE + 8];

static int set_up(void **state)
{
    (void)state;
    snprintf(path, sizeof path, "%s/log", dw_tmpdir_make(place, "options"));
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    dw_tmpdir_remove(place);
    return 0;
}

static void need(int result)
{
    if (result != 0)
        fail_msg("%s", dwal_last_error()->text);
}

static void defaults_are_those_of_the_header(void **state)
{
    (void)state;
    need(dwal_create(path, NULL));
    struct dwal_info info = {.size = sizeof info};
    need(dwal_get_info(path, NULL, &info));
    assert_int_equal(info.volume_size, 64 << 20);
    assert_int_equal(info.sector_size, 512);
    assert_int_equal(info.block_size, 4096);
    assert_int_equal(info.blanks, 4);
    assert_int_equal(info.fill, DWAL_FILL_ZERO);
    assert_int_equal(info.toc_length, 0);
    assert_int_equal(info.magic_number, 0);
    assert_int_equal(info.payload_size, 4096 - 32 - 7 * 4);
    assert_int_equal(info.data_blocks, (64 << 20) / 4096 - 2 - 1);
}

static void shorter_struct_of_an_old_program_is_understood(void **state)
{
    (void)state;
    struct dwal_options options = DWAL_OPTIONS_INIT;
    options.volume_size = 1 << 20;
    options.size = offsetof(struct dwal_options, mode);
    options.mode = (enum dwal_mode)77; /* behind the end: not ours to read */
    need(dwal_create(path, &options));
    struct dwal_info info = {.size = sizeof info};
    need(dwal_get_info(path, NULL, &info));
    assert_int_equal(info.volume_size, 1 << 20);
}

static void refused(const struct dwal_options *options, const char *name)
{
    assert_int_equal(dwal_create(path, options), DWAL_EARGUMENT);
    assert_int_equal(dwal_last_error()->code, DWAL_EARGUMENT);
    if (!strstr(dwal_last_error()->text, name))
        fail_msg("the text does not name %s: %s", name, dwal_last_error()->text);
    assert_int_not_equal(access(path, F_OK), 0); /* nothing was made */
}

static void struct_of_no_size_or_of_a_newer_program_is_refused(void **state)
{
    (void)state;
    struct dwal_options options = DWAL_OPTIONS_INIT;
    options.size = 0;
    refused(&options, "size");
    options.size = sizeof options + 8;
    refused(&options, "size");
}

#define REFUSED(member, value)                                                                                         \
    do {                                                                                                               \
        struct dwal_options options = DWAL_OPTIONS_INIT;                                                               \
        options.member = (value);                                                                                      \
        refused(&options, #member);                                                                                    \
    } while (0)

static void each_impossible_option_is_refused_by_name(void **state)
{
    (void)state;
    REFUSED(volume_size, 4097);
    REFUSED(volume_size, UINT64_C(8) << 30);
    REFUSED(sector_size, 1000);
    REFUSED(block_size, 1000);
    REFUSED(block_size, 12288);
    REFUSED(toc_length, UINT32_MAX);
    REFUSED(blanks, 256);
    REFUSED(in_flight_writes, 5);
    REFUSED(fill, (enum dwal_fill)9);
    REFUSED(mode, (enum dwal_mode)9);
    REFUSED(recovery, (enum dwal_recovery)9);
    REFUSED(backend, "magnetic");
}

static void options_that_contradict_the_log_are_refused_at_open(void **state)
{
    (void)state;
    struct dwal_options options = DWAL_OPTIONS_INIT;
    options.volume_size = 1 << 20;
    options.magic_number = 7;
    need(dwal_create(path, &options));
    dwal *log = NULL;
    options.volume_size = 2 << 20;
    assert_int_equal(dwal_open(path, &options, &log), DWAL_EARGUMENT);
    assert_null(log);
    options.volume_size = 0;
    options.magic_number = 8;
    assert_int_equal(dwal_open(path, &options, &log), DWAL_EMAGIC);
    options.magic_number = 7;
    options.ring_size = 12345;
    assert_int_equal(dwal_open(path, &options, &log), DWAL_EARGUMENT);
    options.ring_size = 0;
    options.write_size_max = 100;
    assert_int_equal(dwal_open(path, &options, &log), DWAL_EARGUMENT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(defaults_are_those_of_the_header, set_up, tear_down),
        cmocka_unit_test_setup_teardown(shorter_struct_of_an_old_program_is_understood, set_up, tear_down),
        cmocka_unit_test_setup_teardown(struct_of_no_size_or_of_a_newer_program_is_refused, set_up, tear_down),
        cmocka_unit_test_setup_teardown(each_impossible_option_is_refused_by_name, set_up, tear_down),
        cmocka_unit_test_setup_teardown(options_that_contradict_the_log_are_refused_at_open, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
