/* test_store_names.c - names of files: there and back, and everything that only looks like one of ours. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "core/format/geometry.h"
#include "core/store/names.h"

static void check(const char *name, enum dw_place_kind wanted, uint32_t wanted_number)
{
    enum dw_place_kind kind = DW_PLACE_SUPERBLOCK;
    uint32_t number = 0;
    assert_true(dw_name_parse(name, &kind, &number));
    assert_int_equal(kind, wanted);
    if (wanted == DW_PLACE_VOLUME || wanted == DW_PLACE_BLANK)
        assert_int_equal(number, wanted_number);
}

static void check_ignored(const char *name)
{
    enum dw_place_kind kind;
    uint32_t number;
    assert_false(dw_name_parse(name, &kind, &number));
}

static void volumes_come_back_as_the_number_they_were_named_for(void **state)
{
    (void)state;
    char name[DW_PLACE_NAME_SIZE];
    for (uint64_t number = 0; number <= DW_VOLUME_NUMBER_MAX; number = number * 3 + 1) {
        dw_name_of_volume((uint32_t)number, name);
        assert_int_equal(strlen(name), 14);
        check(name, DW_PLACE_VOLUME, (uint32_t)number);
    }
    dw_name_of_volume(DW_VOLUME_NUMBER_MAX, name);
    assert_string_equal(name, "2147483647.vol");
    check(name, DW_PLACE_VOLUME, DW_VOLUME_NUMBER_MAX);
    dw_name_of_volume(0, name);
    assert_string_equal(name, "0000000000.vol");
}

static void blanks_come_back_as_their_index(void **state)
{
    (void)state;
    char name[DW_PLACE_NAME_SIZE];
    for (uint32_t index = 0; index < DW_BLANKS_MAX; index++) {
        dw_name_of_blank(index, name);
        check(name, DW_PLACE_BLANK, index);
    }
    assert_string_equal(name, "999.bvl");
}

static void a_number_above_the_limit_is_a_stranger(void **state)
{
    (void)state;
    check("2147483648.vol", DW_PLACE_STRANGER, 0);
    check("9999999999.vol", DW_PLACE_STRANGER, 0);
    check("4294967296.vol", DW_PLACE_STRANGER, 0); /* 2^32 must not come back as 0 */
}

static void wrong_digits_are_strangers(void **state)
{
    (void)state;
    static const char *const names[] = {
        "1.vol",          "000000001.vol",  "00000000001.vol", "+000000001.vol", " 000000001.vol",
        "0x00000001.vol", "000000000a.vol", "-000000001.vol",  ".vol",           ".bvl",
        "1.bvl",          "0001.bvl",       "-01.bvl",         "a00.bvl",        "copy of 0000000001.vol"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        check(names[i], DW_PLACE_STRANGER, 0);
}

static void other_names_are_no_business_of_ours(void **state)
{
    (void)state;
    static const char *const names[] = {"",
                                        "a",
                                        "lost+found",
                                        "0000000001",
                                        "0000000001.vol.bak",
                                        "001.bvl~",
                                        "dwal",
                                        "dwal.superb",
                                        "xdwal.super",
                                        "dwal.tmp",
                                        "vol",
                                        "0000000001.VOL",
                                        "0000000001vol",
                                        ".0000000001.vol2"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        check_ignored(names[i]);
}

static void superblock_and_temporaries_are_told_apart(void **state)
{
    (void)state;
    check("dwal.super", DW_PLACE_SUPERBLOCK, 0);
    check("dwal.tmp.", DW_PLACE_TEMPORARY, 0);
    check("dwal.tmp.blank", DW_PLACE_TEMPORARY, 0);
    check("dwal.tmp.0000000001.vol", DW_PLACE_TEMPORARY, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(volumes_come_back_as_the_number_they_were_named_for),
        cmocka_unit_test(blanks_come_back_as_their_index),
        cmocka_unit_test(a_number_above_the_limit_is_a_stranger),
        cmocka_unit_test(wrong_digits_are_strangers),
        cmocka_unit_test(other_names_are_no_business_of_ours),
        cmocka_unit_test(superblock_and_temporaries_are_told_apart),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
