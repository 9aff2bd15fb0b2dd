/* test_host.c - what becomes of a program's malloc when dwal is in it: it stays what it was. Compiles host_program.c in all its
 * kinds with the compiler that built dwal, and runs them. Not under sanitizers, which bring a malloc themselves. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/lib/shell.h"
#include "tests/lib/tmpdir.h"

static char place[DW_TMPDIR_SIZE];
static bool has_jemalloc;

static void build(const char *kind, const char *libraries)
{
    dw_shell_good("cd %s && %s -std=gnu11 -D_GNU_SOURCE -Wall -Wextra -Werror -O1 -I%s/include %s -o program "
                  "%s/tests/alloc/host_program.c %s",
                  place, dw_shell_setting("DWAL_CC"), dw_shell_setting("DWAL_SOURCE"), kind,
                  dw_shell_setting("DWAL_SOURCE"), libraries);
}

static void run(void)
{
    const char *output = dw_shell_good("cd %s && rm -rf log && LD_LIBRARY_PATH=%s ./program . %s/libdwal.so.0", place,
                                       dw_shell_setting("DWAL_BUILD"), dw_shell_setting("DWAL_BUILD"));
    assert_string_equal(output, "good\n");
}

static const char *linked(const char *more)
{
    static char text[600];
    snprintf(text, sizeof text, "%s/libdwal.so %s", dw_shell_setting("DWAL_BUILD"), more);
    return text;
}

static void a_program_without_jemalloc_keeps_the_malloc_of_libc(void **state)
{
    (void)state;
    build("", linked(""));
    run();
    dw_shell_good("! LD_LIBRARY_PATH=%s ldd %s/program | grep -q jemalloc", dw_shell_setting("DWAL_BUILD"), place);
}

static void the_same_with_the_static_library(void **state)
{
    (void)state;
    char libraries[600];
    snprintf(libraries, sizeof libraries, "%s/libdwal.a $(pkg-config --libs libisal liburing) -laio -lm -lpthread",
             dw_shell_setting("DWAL_BUILD"));
    build("", libraries);
    run();
    dw_shell_good("! nm -D --defined-only %s/program | grep -q mallocx", place);
}

static void a_program_with_its_own_malloc_keeps_it(void **state)
{
    (void)state;
    build("-DOWN_MALLOC -rdynamic", linked(""));
    run();
}

static void need_jemalloc(void)
{
    if (!has_jemalloc) {
        print_message("skipped: no jemalloc to link with\n");
        skip();
    }
}

static void in_a_program_with_jemalloc_dwal_has_an_arena_of_its_own(void **state)
{
    (void)state;
    need_jemalloc();
    build("-DWITH_JEMALLOC", linked("-ljemalloc"));
    run();
}

static void the_library_can_be_loaded_used_and_unloaded_again_and_again(void **state)
{
    (void)state;
    build("-DBY_DLOPEN", "");
    run();
}

static void the_same_in_a_program_with_jemalloc(void **state)
{
    (void)state;
    need_jemalloc();
    build("-DBY_DLOPEN -DWITH_JEMALLOC", "-ljemalloc");
    run();
}

static void the_library_itself_needs_no_allocator(void **state)
{
    (void)state;
    dw_shell_good("! readelf -d %s/libdwal.so | grep -q jemalloc", dw_shell_setting("DWAL_BUILD"));
    /* Neither does it define one, nor a symbol that a host could mistake for one. */
    dw_shell_good("! nm -D --defined-only %s/libdwal.so | grep -qE ' (malloc|calloc|realloc|free|mallocx|je_.*)$'",
                  dw_shell_setting("DWAL_BUILD"));
}

static int set_up(void **state)
{
    (void)state;
    dw_tmpdir_make(place, "host");
    has_jemalloc = dw_shell("cd %s && echo 'int main(void){return 0;}' > probe.c && %s -o probe probe.c -ljemalloc && "
                            "test -e /usr/include/jemalloc/jemalloc.h",
                            place, dw_shell_setting("DWAL_CC"))
                       ->status == 0;
    return 0;
}
static int tear_down(void **state)
{
    (void)state;
    dw_tmpdir_remove(place);
    return 0;
}

int main(void)
{
#ifdef DW_SANITIZED
    dw_shell_skip("a sanitizer brings a malloc of its own");
#endif
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_program_without_jemalloc_keeps_the_malloc_of_libc),
        cmocka_unit_test(the_same_with_the_static_library),
        cmocka_unit_test(a_program_with_its_own_malloc_keeps_it),
        cmocka_unit_test(in_a_program_with_jemalloc_dwal_has_an_arena_of_its_own),
        cmocka_unit_test(the_library_can_be_loaded_used_and_unloaded_again_and_again),
        cmocka_unit_test(the_same_in_a_program_with_jemalloc),
        cmocka_unit_test(the_library_itself_needs_no_allocator),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
