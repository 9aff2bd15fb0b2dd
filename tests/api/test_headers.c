/* test_headers.c - the public headers as a stranger's compiler and a stranger's eyes meet them. */
#include <regex.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/lib/shell.h"

static const char *const headers[] = {"error", "dwal",    "scan",     "inspect", "probe",   "device",
                                      "raft",  "indexed", "verifier", "backup",  "journal", "atomic_file"};

static void compile_alone(const char *language, const char *standard, const char *compiler)
{
    if (!dw_shell_has(compiler)) {
        print_message("no %s here: %s is not tried with it\n", compiler, standard);
        return;
    }
    for (size_t i = 0; i < sizeof headers / sizeof *headers; i++)
        dw_shell_good("printf '#include <dwal/%s.h>\\n#include <dwal/%s.h>\\n' | %s -x %s -std=%s -pedantic-errors "
                      "-Wall -Wextra -Wundef -Werror -I%s/include -fsyntax-only -",
                      headers[i], headers[i], compiler, language, standard, dw_shell_setting("DWAL_SOURCE"));
}

static void headers_compile_alone_in_c_and_cxx(void **state)
{
    (void)state;
    static const char *const c[] = {"c99", "c11", "c17"};
    static const char *const cxx[] = {"c++11", "c++17", "c++20"};
    for (size_t i = 0; i < 3; i++) {
        compile_alone("c", c[i], "gcc");
        compile_alone("c", c[i], "clang");
        compile_alone("c++", cxx[i], "g++");
        compile_alone("c++", cxx[i], "clang++");
    }
}

static void options_are_initialised_without_a_warning(void **state)
{
    (void)state;
    static const char *const compilers[] = {"gcc -x c -std=c11", "clang -x c -std=c11", "g++ -x c++ -std=c++17",
                                            "clang++ -x c++ -std=c++17"};
    for (size_t i = 0; i < sizeof compilers / sizeof *compilers; i++)
        if (dw_shell("%s --version", compilers[i])->status == 0)
            dw_shell_good("printf '#include <dwal/dwal.h>\nint main(void) { struct dwal_options options = "
                          "DWAL_OPTIONS_INIT; return options.size == sizeof options ? 0 : 1; }\n' | %s "
                          "-pedantic-errors -Wall -Wextra -Werror -I%s/include -fsyntax-only -",
                          compilers[i], dw_shell_setting("DWAL_SOURCE"));
}

/* True when the line at `at` is a function's declaration; its name goes to `name`. */
static int is_function(const regex_t *pattern, const char *line, char name[64])
{
    regmatch_t found[2];
    if (regexec(pattern, line, 2, found, 0) != 0)
        return 0;
    size_t length = (size_t)(found[1].rm_eo - found[1].rm_so);
    assert_true(length < 64);
    memcpy(name, line + found[1].rm_so, length);
    name[length] = 0;
    return 1;
}

/* A comment above the declaration, or behind it. `end` may lie some lines below. */
static int is_documented(char *const *lines, size_t at, size_t count)
{
    const char *above = at > 0 ? lines[at - 1] : "";
    size_t length = strlen(above);
    if (length >= 2 && strcmp(above + length - 2, "*/") == 0)
        return 1;
    for (size_t i = at; i < count; i++)
        if (strchr(lines[i], ';'))
            return strstr(lines[i], "/*") != NULL;
    return 0;
}

/* What the comment above the declaration at `at`, and the one behind it, say of failures. */
static int names_its_errors(char *const *lines, size_t at, size_t count)
{
    static const char *const words[] = {"DWAL_E",  "rrors of", "As dwal_", "as dwal_",
                                        "code of", "codes of", "code that"};
    size_t from = at, to = at;
    while (from > 0 && lines[from - 1][0] != 0 && !strstr(lines[from], "/*"))
        from--;
    while (to + 1 < count && !strchr(lines[to], ';'))
        to++;
    for (size_t i = from; i <= to; i++)
        for (size_t k = 0; k < sizeof words / sizeof *words; k++)
            if (strstr(lines[i], words[k]))
                return 1;
    return 0;
}

/* The layers' headers say at their heads what any of their calls may answer. */
static void every_public_function_names_its_errors(void **state)
{
    (void)state;
    static const char *const strict[] = {"dwal",   "scan",   "inspect", "probe",
                                         "device", "backup", "journal", "atomic_file"};
    regex_t pattern;
    size_t functions = 0;
    assert_int_equal(regcomp(&pattern, "^int (dwal_[a-z0-9_]+)\\(", REG_EXTENDED), 0);
    for (size_t h = 0; h < sizeof strict / sizeof *strict; h++) {
        char *text = dw_shell_read_file("%s/include/dwal/%s.h", dw_shell_setting("DWAL_SOURCE"), strict[h]);
        char *lines[2000], name[64];
        size_t count = 0;
        for (char *rest = text, *line; (line = strsep(&rest, "\n")) != NULL && count < 2000;)
            lines[count++] = line;
        for (size_t i = 0; i < count; i++) {
            if (!is_function(&pattern, lines[i], name))
                continue;
            functions++;
            if (!names_its_errors(lines, i, count))
                fail_msg("%s in dwal/%s.h: its comment names no error that it may answer", name, strict[h]);
        }
        free(text);
    }
    assert_true(functions > 40);
    regfree(&pattern);
}

static void every_public_function_is_documented_and_exported(void **state)
{
    (void)state;
    const char *source = dw_shell_setting("DWAL_SOURCE");
    char *map = dw_shell_read_file("%s/core/log/dwal.map", source);
    regex_t pattern;
    assert_int_equal(regcomp(&pattern, "^[a-z][a-z0-9_ \\*]*[ \\*](dwal_[a-z0-9_]+)\\(", REG_EXTENDED), 0);
    size_t functions = 0;
    for (size_t h = 0; h < sizeof headers / sizeof *headers; h++) {
        char *text = dw_shell_read_file("%s/include/dwal/%s.h", source, headers[h]);
        char *lines[2000];
        size_t count = 0;
        for (char *rest = text, *line; (line = strsep(&rest, "\n")) != NULL && count < 2000;)
            lines[count++] = line;
        for (size_t i = 0; i < count; i++) {
            char name[64];
            if (strncmp(lines[i], "typedef", 7) == 0 || !is_function(&pattern, lines[i], name))
                continue;
            functions++;
            char entry[80];
            snprintf(entry, sizeof entry, " %s;", name);
            if (!strstr(map, entry))
                fail_msg("%s is declared in dwal/%s.h and missing in core/log/dwal.map", name, headers[h]);
            if (!is_documented(lines, i, count))
                fail_msg("%s in dwal/%s.h has no comment above it or behind it", name, headers[h]);
        }
        free(text);
    }
    size_t exported = 0;
    for (const char *at = map; (at = strstr(at, " dwal_")) != NULL; at++)
        exported++;
    assert_int_equal(exported, functions);
    assert_true(functions > 30);
    regfree(&pattern);
    free(map);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(headers_compile_alone_in_c_and_cxx),
        cmocka_unit_test(options_are_initialised_without_a_warning),
        cmocka_unit_test(every_public_function_is_documented_and_exported),
        cmocka_unit_test(every_public_function_names_its_errors),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
