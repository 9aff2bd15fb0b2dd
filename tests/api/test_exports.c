/* test_exports.c - what the built shared library shows to the world: the public functions and nothing else. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/lib/shell.h"

static void shared_library_exports_the_map_and_nothing_else(void **state)
{
    (void)state;
#ifdef DW_SANITIZED
    dw_shell_skip("a sanitizer exports names of its own");
#endif
    const char *source = dw_shell_setting("DWAL_SOURCE");
    const char *build = dw_shell_setting("DWAL_BUILD");
    /* Both as sorted lists of names; diff says what is over and what is missing. */
    dw_shell_good("set -e; scratch=$(mktemp -d); trap 'rm -rf $scratch' EXIT\n"
                  "sed -n 's/^ *\\(dwal_[a-z_0-9]*\\);$/\\1/p' %s/core/log/dwal.map | sort > $scratch/wanted\n"
                  "nm -D --defined-only %s/libdwal.so | awk '$2 != \"A\" { sub(/@.*/, \"\", $3); print $3 }' | sort > "
                  "$scratch/exported\n"
                  "diff $scratch/wanted $scratch/exported",
                  source, build);
}

static void shared_library_names_its_version(void **state)
{
    (void)state;
    const char *build = dw_shell_setting("DWAL_BUILD");
    dw_shell_good("readelf -d %s/libdwal.so | grep -q 'SONAME.*libdwal.so.0'", build);
    dw_shell_good("readelf --version-info %s/libdwal.so | grep -q 'Name: DWAL_0.1'", build);
}

static void shared_library_needs_no_second_malloc_and_no_text_relocation(void **state)
{
    (void)state;
    const char *build = dw_shell_setting("DWAL_BUILD");
    const char *output = dw_shell_good("readelf -d %s/libdwal.so", build);
    assert_null(strstr(output, "jemalloc"));
    assert_null(strstr(output, "TEXTREL"));
    assert_non_null(strstr(output, "BIND_NOW"));
}

static void what_is_installed_is_hardened(void **state)
{
    (void)state;
    const char *build = dw_shell_setting("DWAL_BUILD");
    const char *const files[] = {"libdwal.so", "dwal"};
    for (size_t i = 0; i < sizeof files / sizeof files[0]; i++) {
        const char *output = dw_shell_good("readelf -ld %s/%s", build, files[i]);
        assert_non_null(strstr(output, "GNU_RELRO"));
        assert_non_null(strstr(output, "BIND_NOW"));
        assert_non_null(strstr(output, "DYN (")); /* position independent, the command too */
        dw_shell_good("readelf -lW %s/%s | grep GNU_STACK | grep -q ' RW '", build, files[i]);
        dw_shell_good("nm -D %s/%s | grep -q __stack_chk_fail", build, files[i]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(shared_library_exports_the_map_and_nothing_else),
        cmocka_unit_test(shared_library_names_its_version),
        cmocka_unit_test(shared_library_needs_no_second_malloc_and_no_text_relocation),
        cmocka_unit_test(what_is_installed_is_hardened),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
