/* test_rules.c - the checks of the house find what they are there to find: each rule is broken once in a small tree. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "tests/lib/shell.h"
#include "tests/lib/tmpdir.h"

static char place[DW_TMPDIR_SIZE];

static int make_tree(void **state)
{
    (void)state;
    dw_tmpdir_make(place, "rules");
    dw_shell_good(
        "cd %s && mkdir -p scripts io alloc core/base core/read core/write tests/one tests/two && cp %s/scripts/rooms "
        "%s/scripts/style %s/scripts/atomics scripts/",
        place, dw_shell_setting("DWAL_SOURCE"), dw_shell_setting("DWAL_SOURCE"), dw_shell_setting("DWAL_SOURCE"));
    return 0;
}

static int remove_tree(void **state)
{
    (void)state;
    dw_tmpdir_remove(place);
    return 0;
}

/* The tree with one file of this content; the check must fail and say `wanted`. `check` and what it says when all is well:
 * nothing, status 0. */
static void finds(const char *check, const char *file, const char *content, const char *wanted)
{
    dw_shell_good("cd %s && cat > %s <<'END'\n%s\nEND", place, file, content);
    const struct dw_shell *run = dw_shell("cd %s && scripts/%s", place, check);
    if (run->status != 1 || !strstr(run->output, wanted) || !strstr(run->output, file))
        fail_msg("scripts/%s on %s: status %d, output: %s", check, file, run->status, run->output);
    dw_shell_good("rm %s/%s", place, file);
    run = dw_shell("cd %s && scripts/%s", place, check);
    if (run->status != 0 || run->size != 0)
        fail_msg("scripts/%s finds something in a tree where nothing is wrong: %s", check, run->output);
}

static void rooms_refuses_what_points_up(void **state)
{
    (void)state;
    finds("rooms", "io/a.c", "#include \"core/base/error.h\"", "io may not include core/base");
    finds("rooms", "core/write/a.c", "#include \"core/read/reader.h\"", "core/write may not include core/read");
    finds("rooms", "core/base/a.h", "#include \"b.h\"", "name the room");
    finds("rooms", "core/write/a.c", "#include <liburing.h>", "belongs to io/ and tools/bench/ alone");
}

static void style_refuses_what_the_compiler_lets_pass(void **state)
{
    (void)state;
    finds("style", "io/a.c", "int a;", "no head comment");
    finds("style", "io/a.c", "/* a */\nint f(void) { return atomic_load(&x); }", "implicit order");
    finds("style", "io/a.c", "/* a */\nvolatile int a;", "volatile");
    finds("style", "io/a.c", "/* a */\nvoid f(void) { atomic_thread_fence(memory_order_acquire); }", "fence");
    finds("style", "io/a.c", "/* a */\nvoid f(void) { free(x); }", "memory comes from alloc");
    finds("style", "io/a.c", "/* a */\nvoid f(void) { pthread_create(a, b, c, d); }", "core/base/worker.c only");
    finds("style", "io/a.c", "/* a */\n/* pairs: ALONE */\nint a;", "appears only here");
    /* In two pieces, so that these words do not stand here. */
    finds("style", "io/a.c",
          "/* a */\n/* TO"
          "DO */",
          "unfinished");
    finds("style", "io/a.c",
          "/* a */\n/* see /ho"
          "me/a */",
          "a path of one machine");
}

static void style_refuses_long_files_and_functions(void **state)
{
    (void)state;
    static char text[4000];
    strcpy(text, "/* a */\nvoid f(void)\n{\n");
    for (int i = 0; i < 69; i++)
        strcat(text, "    g();\n");
    strcat(text, "}");
    finds("style", "io/a.c", text, "function of 71 lines");
    strcpy(text, "/* a */\n");
    for (int i = 0; i < 500; i++)
        strcat(text, "//\n");
    finds("style", "io/a.c", text, "more than 500");
}

static void style_refuses_two_tests_of_one_name(void **state)
{
    (void)state;
    dw_shell_good("cd %s && echo '/* a */' > tests/one/test_a.c", place);
    finds("style", "tests/two/test_a.c", "/* a */", "a test of this name exists");
}

static void atomics_refuses_an_access_whose_order_nobody_wrote(void **state)
{
    (void)state;
    if (!dw_shell_has("clang"))
        dw_shell_skip("no clang here");
    finds("atomics", "io/a.c", "_Atomic int a;\nint f(void);\nint f(void)\n{\n    return a;\n}", "a.c:5");
    finds("atomics", "io/a.c", "_Atomic int a;\nvoid f(void);\nvoid f(void)\n{\n    a++;\n}", "a.c:5");
    dw_shell_good("cd %s && printf '#include <stdatomic.h>\\n_Atomic int a;\\nint f(void);\\nint f(void) { return "
                  "atomic_load_explicit(&a, memory_order_seq_cst); }\\n' > io/b.c && scripts/atomics && rm io/b.c",
                  place);
}

int main(void)
{
    if (!dw_shell_has("python3"))
        dw_shell_skip("no python3 here");
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rooms_refuses_what_points_up),
        cmocka_unit_test(style_refuses_what_the_compiler_lets_pass),
        cmocka_unit_test(style_refuses_long_files_and_functions),
        cmocka_unit_test(style_refuses_two_tests_of_one_name),
        cmocka_unit_test(atomics_refuses_an_access_whose_order_nobody_wrote),
    };
    return cmocka_run_group_tests(tests, make_tree, remove_tree);
}
