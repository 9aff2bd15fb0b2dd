/* test_install.c - dwal as its users meet it: installed, found by pkg-config and CMake, and the README's example. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/lib/shell.h"
#include "tests/lib/tmpdir.h"

static char place[DW_TMPDIR_SIZE];

/* The block of C in README.md, as it stands there. */
static void extract_example(void)
{
    char *readme = dw_shell_read_file("%s/README.md", dw_shell_setting("DWAL_SOURCE"));
    char *start = strstr(readme, "```c\n");
    assert_non_null(start);
    start += strlen("```c\n");
    char *end = strstr(start, "\n```");
    assert_non_null(end);
    end[1] = 0;
    char path[DW_TMPDIR_SIZE + 32];
    snprintf(path, sizeof path, "%s/example.c", place);
    FILE *file = fopen(path, "we");
    assert_non_null(file);
    assert_true(fputs(start, file) >= 0);
    assert_int_equal(fclose(file), 0);
    free(readme);
}

static int install(void **state)
{
    (void)state;
    const char *build = dw_shell_setting("DWAL_BUILD");
    if (!dw_shell_has("cmake") || !dw_shell_has("pkg-config"))
        dw_shell_skip("no cmake or no pkg-config on PATH");
    dw_tmpdir_make(place, "install");
    dw_shell_good("cmake --install %s --prefix %s/prefix > /dev/null", build, place);
    extract_example();
    return 0;
}

static int remove_all(void **state)
{
    (void)state;
    dw_tmpdir_remove(place);
    return 0;
}

/* Run a built example twice: it makes a log, and then finds it again. */
static void run_example(const char *program)
{
    dw_shell_good("rm -rf %s/log", place);
    dw_shell_good("cd %s && LD_LIBRARY_PATH=$(dirname $(find prefix -name libdwal.so)) ./%s log", place, program);
    const char *output =
        dw_shell_good("cd %s && LD_LIBRARY_PATH=$(dirname $(find prefix -name libdwal.so)) ./%s log", place, program);
    assert_non_null(strstr(output, ": hello\n"));
    assert_non_null(strstr(strstr(output, ": hello\n") + 1, ": hello\n"));
}

/* pkg-config of the installed prefix, which knows nothing of the build tree. */
static const char *pkg_config(void)
{
    static char command[DW_TMPDIR_SIZE + 128];
    const char *found = dw_shell_good("dirname $(find %s/prefix -name dwal.pc)", place);
    snprintf(command, sizeof command, "PKG_CONFIG_PATH=%.*s pkg-config", (int)strcspn(found, "\n"), found);
    return command;
}

static void example_of_the_readme_runs_against_the_shared_library(void **state)
{
    (void)state;
    dw_shell_good("cd %s && %s -std=c11 -Wall -Wextra -Werror -o shared example.c $(%s --cflags --libs dwal)", place,
                  dw_shell_setting("DWAL_CC"), pkg_config());
    dw_shell_good("readelf -d %s/shared | grep -q 'NEEDED.*libdwal.so.0'", place);
    run_example("shared");
}

static void example_of_the_readme_runs_against_the_static_library(void **state)
{
    (void)state;
    dw_shell_good("cd %s && %s -std=c11 -Wall -Wextra -Werror -o static example.c $(%s --cflags dwal) "
                  "$(%s --static --libs dwal | sed 's/-ldwal/-l:libdwal.a/')",
                  place, dw_shell_setting("DWAL_CC"), pkg_config(), pkg_config());
    dw_shell_good("! readelf -d %s/static | grep -q libdwal", place);
    run_example("static");
}

static void cmake_finds_the_package(void **state)
{
    (void)state;
    dw_shell_good("cd %s && mkdir -p user && cp example.c user/ && cat > user/CMakeLists.txt <<'END'\n"
                  "cmake_minimum_required(VERSION 3.22)\n"
                  "project(user LANGUAGES C)\n"
                  "find_package(dwal 0.1 REQUIRED)\n"
                  "add_executable(by_shared example.c)\n"
                  "target_link_libraries(by_shared dwal::dwal)\n"
                  "add_executable(by_static example.c)\n"
                  "target_link_libraries(by_static dwal::dwal_static)\n"
                  "END\n"
                  "cmake -S user -B user/build -DCMAKE_PREFIX_PATH=%s/prefix -DCMAKE_C_COMPILER=%s && "
                  "cmake --build user/build && cp user/build/by_shared user/build/by_static .",
                  place, place, dw_shell_setting("DWAL_CC"));
    run_example("by_shared");
    run_example("by_static");
}

static void nothing_private_is_installed(void **state)
{
    (void)state;
    dw_shell_good("cd %s/prefix && test -z \"$(find . -name '*.h' ! -path './include/dwal/*')\"", place);
    dw_shell_good("cd %s/prefix && test $(ls include/dwal | wc -l) = $(ls %s/include/dwal | wc -l)", place,
                  dw_shell_setting("DWAL_SOURCE"));
}

int main(void)
{
#ifdef DW_SANITIZED
    dw_shell_skip("users link no sanitizer: run by the release build");
#endif
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_private_is_installed),
        cmocka_unit_test(example_of_the_readme_runs_against_the_shared_library),
        cmocka_unit_test(example_of_the_readme_runs_against_the_static_library),
        cmocka_unit_test(cmake_finds_the_package),
    };
    return cmocka_run_group_tests(tests, install, remove_all);
}
