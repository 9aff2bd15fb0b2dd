/* test_error.c - each code has a name, a meaning and an action; a failure keeps its place, cause and thread. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "base/compiler.h"
#include "core/base/error.h"

static const struct {
    int code;
    const char *name, *meaning, *action;
} codes[] = {
#define ROW(name, number, meaning, action) {name, #name, meaning, action},
    DWAL_ERRORS(ROW)
#undef ROW
};

static void every_code_has_name_meaning_and_action(void **state)
{
    (void)state;
    for (size_t i = 0; i < DW_COUNT_OF(codes); i++) {
        assert_string_equal(dwal_error_name(codes[i].code), codes[i].name);
        assert_string_equal(dwal_error_meaning(codes[i].code), codes[i].meaning);
        assert_string_equal(dwal_error_action(codes[i].code), codes[i].action);
        assert_in_range(strlen(codes[i].meaning), 5, 120);
        assert_in_range(strlen(codes[i].action), 5, 160);
        assert_int_equal(strncmp(codes[i].name, "DWAL_E", 6), 0);
    }
    assert_string_equal(dwal_error_name(DWAL_OK), "DWAL_OK");
    assert_string_equal(dwal_error_meaning(DWAL_OK), "no error");
    assert_string_equal(dwal_error_action(DWAL_OK), "nothing to do");
    assert_string_equal(dwal_error_name(-1), "unknown");
    assert_string_equal(dwal_error_name(1001), "unknown");
    assert_non_null(dwal_error_meaning(12345));
    assert_non_null(dwal_error_action(12345));
}

static void every_code_is_negative_and_unique(void **state)
{
    (void)state;
    for (size_t a = 0; a < DW_COUNT_OF(codes); a++) {
        assert_true(codes[a].code < 0);
        for (size_t b = a + 1; b < DW_COUNT_OF(codes); b++) {
            assert_int_not_equal(codes[a].code, codes[b].code);
            assert_string_not_equal(codes[a].name, codes[b].name);
        }
    }
}

static void failure_tells_what_where_and_what_to_do(void **state)
{
    (void)state;
    assert_int_equal(dw_fail_at(DWAL_ECORRUPT, 3, 17, 4711, "%s of a block does not check", "the checksum"),
                     DWAL_ECORRUPT);
    const struct dwal_error *error = dwal_last_error();
    assert_int_equal(error->code, DWAL_ECORRUPT);
    assert_int_equal(error->system_code, 0);
    assert_int_equal(error->volume, 3);
    assert_int_equal(error->block, 17);
    assert_int_equal(error->lsn, 4711);
    assert_string_equal(error->text,
                        "the checksum of a block does not check (volume 3, block 17, lsn 4711); restore from a replica "
                        "or backup; dwal verify lists the damage, dwal repair cuts the log at a place that you choose");
}

static void failure_without_a_place_says_none(void **state)
{
    (void)state;
    assert_int_equal(dw_fail(DWAL_EBUSY, "cannot lock %s", "x"), DWAL_EBUSY);
    const struct dwal_error *error = dwal_last_error();
    assert_int_equal(error->volume, DWAL_NO_VOLUME);
    assert_true(error->block == DWAL_NO_LSN && error->lsn == DWAL_NO_LSN);
    assert_string_equal(error->text, "cannot lock x; close the other writer, or open read-only");
    dw_fail_at(DWAL_EBUSY, DWAL_NO_VOLUME, DWAL_NO_LSN, 0, "m");
    assert_string_equal(error->text, "m (lsn 0); close the other writer, or open read-only");
    dw_fail_at(DWAL_EBUSY, 0, DWAL_NO_LSN, DWAL_NO_LSN, "m");
    assert_string_equal(error->text, "m (volume 0); close the other writer, or open read-only");
}

static void system_failure_picks_the_code_and_keeps_the_cause(void **state)
{
    (void)state;
    const struct {
        int system_code, code;
    } cases[] = {{ENOSPC, DWAL_ENOSPACE},    {EDQUOT, DWAL_ENOSPACE},   {EFBIG, DWAL_ENOSPACE},
                 {EACCES, DWAL_EPERMISSION}, {EPERM, DWAL_EPERMISSION}, {EROFS, DWAL_EPERMISSION},
                 {ENOMEM, DWAL_EMEMORY},     {EIO, DWAL_EDEVICE},       {ENODEV, DWAL_EDEVICE},
                 {EAGAIN, DWAL_EDEVICE}};
    for (size_t i = 0; i < DW_COUNT_OF(cases); i++) {
        assert_int_equal(dw_fail_system(-cases[i].system_code, "cannot write"), cases[i].code);
        assert_int_equal(dwal_last_error()->code, cases[i].code);
        assert_int_equal(dwal_last_error()->system_code, cases[i].system_code);
        assert_non_null(strstr(dwal_last_error()->text, strerror(cases[i].system_code)));
        assert_int_equal(dwal_last_error()->volume, DWAL_NO_VOLUME);
    }
    assert_int_equal(dw_fail_system_at(-EIO, 1, 2, DWAL_NO_LSN, "cannot read %s", "0000000001.vol"), DWAL_EDEVICE);
    assert_string_equal(dwal_last_error()->text,
                        "cannot read 0000000001.vol (volume 1, block 2): Input/output error (errno 5); see the error's "
                        "system code; check the device, then close and open again");
    assert_int_equal(dwal_last_error()->volume, 1);
    assert_int_equal(dwal_last_error()->block, 2);
}

static void long_text_is_cut_in_its_middle(void **state)
{
    (void)state;
    char name[5200];
    memset(name, 'n', sizeof name - 1);
    name[sizeof name - 1] = 0;
    const char *const tail =
        " cannot be read (volume 1, block 2, lsn 3): Input/output error (errno 5); see the error's "
        "system code; check the device, then close and open again";
    for (size_t length = 150; length < 4300; length += length < 600 ? 1 : 97) {
        dw_fail_system_at(-EIO, 1, 2, 3, "file %.*s cannot be read", (int)length, name);
        const char *text = dwal_last_error()->text;
        size_t size = strlen(text);
        assert_true(size < sizeof dwal_last_error()->text);
        assert_int_equal(strncmp(text, "file nnnnnnnnnn", 15), 0);
        assert_string_equal(text + size - strlen(tail), tail);
        assert_true((strstr(text, "n...n") != NULL) == (5 + length + strlen(tail) >= sizeof dwal_last_error()->text));
    }
    dw_fail_system_at(-EIO, 1, 2, 3, "%s", name); /* longer than any path */
    assert_non_null(strstr(dwal_last_error()->text, "Input/output error"));
}

static void a_cut_leaves_whole_letters(void **state)
{
    (void)state;
    char name[1201] = "";
    for (size_t i = 0; i < 1200; i += 3)
        memcpy(name + i, "\xe2\x82\xac", 4);
    for (int shift = 0; shift < 3; shift++) {
        dw_fail(DWAL_EARGUMENT, "%.*s%s", shift, "abc", name);
        const char *text = dwal_last_error()->text + shift, *cut = strstr(text, "...");
        assert_non_null(cut);
        assert_int_equal((cut - text) % 3, 0);
        assert_int_equal((strchr(cut, ';') - cut - 3) % 3, 0);
    }
}

static void failure_may_quote_the_one_before(void **state)
{
    (void)state;
    dw_fail(DWAL_EARGUMENT, "first");
    dw_fail(DWAL_EFAILED, "then: %s", dwal_last_error()->text);
    assert_int_equal(strncmp(dwal_last_error()->text, "then: first; correct the call", 29), 0);
}

static void failure_can_be_repeated_from_a_copy(void **state)
{
    (void)state;
    dw_fail_at(DWAL_ELOST, 9, 8, 7, "a file is missing");
    struct dwal_error first = *dwal_last_error();
    dw_fail(DWAL_EARGUMENT, "something else");
    assert_int_equal(dw_fail_again(&first), DWAL_ELOST);
    assert_memory_equal(dwal_last_error(), &first, sizeof first);
    assert_int_equal(dw_fail_again(dwal_last_error()), DWAL_ELOST);
    /* What is built on top does the same through the public call. */
    struct dwal_error layer = {.code = DWAL_EARGUMENT, .volume = DWAL_NO_VOLUME, .lsn = 7, .text = "of a layer"};
    assert_int_equal(dwal_set_error(&layer), DWAL_EARGUMENT);
    assert_string_equal(dwal_last_error()->text, "of a layer");
    assert_int_equal(dwal_last_error()->lsn, 7);
    assert_int_equal(dwal_set_error(&first), DWAL_ELOST);
    assert_memory_equal(dwal_last_error(), &first, sizeof first);
}

static void *fail_in_a_thread(void *context)
{
    (void)context;
    if (dwal_last_error()->code != DWAL_OK || dwal_last_error()->volume != DWAL_NO_VOLUME)
        return "a new thread does not start without an error";
    dw_fail(DWAL_EMEMORY, "in the thread");
    return dwal_last_error()->code == DWAL_EMEMORY ? NULL : "wrong code";
}
static void each_thread_has_its_own_failure(void **state)
{
    (void)state;
    dw_fail(DWAL_EFULL, "in main");
    pthread_t thread;
    void *complaint = NULL;
    assert_int_equal(pthread_create(&thread, NULL, fail_in_a_thread, NULL), 0);
    pthread_join(thread, &complaint);
    assert_null(complaint);
    assert_int_equal(dwal_last_error()->code, DWAL_EFULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_code_has_name_meaning_and_action),
        cmocka_unit_test(every_code_is_negative_and_unique),
        cmocka_unit_test(failure_tells_what_where_and_what_to_do),
        cmocka_unit_test(failure_without_a_place_says_none),
        cmocka_unit_test(system_failure_picks_the_code_and_keeps_the_cause),
        cmocka_unit_test(long_text_is_cut_in_its_middle),
        cmocka_unit_test(a_cut_leaves_whole_letters),
        cmocka_unit_test(failure_may_quote_the_one_before),
        cmocka_unit_test(failure_can_be_repeated_from_a_copy),
        cmocka_unit_test(each_thread_has_its_own_failure),
    };
    return cmocka_run_group_tests_name("error", tests, NULL, NULL);
}
