/* shell.c - commands run by tests: see shell.h. */
#include "tests/lib/shell.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

/* cmocka.h wants these before it. */
#include <setjmp.h>
#include <stdint.h>

#include <cmocka.h>

static struct dw_shell last;

DW_PRINTF(1, 0) static const struct dw_shell *run(const char *format, va_list arguments)
{
    char command[8192];
    int length = vsnprintf(command, sizeof command, format, arguments);
    assert_true(length > 0 && (size_t)length + 8 < sizeof command);
    char line[8300];
    snprintf(line, sizeof line, "{ %s\n} 2>&1", command);
    FILE *pipe = popen(line, "r"); /* NOLINT(cert-env33-c): a test runs what the test wrote */
    if (!pipe)
        fail_msg("cannot run: %s: %s", command, strerror(errno));
    last.size = fread(last.output, 1, sizeof last.output - 1, pipe);
    last.output[last.size] = 0;
    char rest[4096];
    while (fread(rest, 1, sizeof rest, pipe) > 0)
        ;
    int status = pclose(pipe);
    last.status = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
    return &last;
}

const struct dw_shell *dw_shell(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    const struct dw_shell *result = run(format, arguments);
    va_end(arguments);
    return result;
}

const char *dw_shell_good(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    const struct dw_shell *result = run(format, arguments);
    va_end(arguments);
    if (result->status != 0)
        fail_msg("status %d of: %s\n%s", result->status, format, result->output);
    return result->output;
}

int dw_shell_has(const char *program)
{
    return dw_shell("command -v %s", program)->status == 0;
}

const char *dw_shell_setting(const char *name)
{
    const char *value = getenv(name);
    if (!value)
        dw_shell_skip("%s is not set: run this test with ctest", name);
    return value;
}

char *dw_shell_read_file(const char *format, ...)
{
    char path[4096];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(path, sizeof path, format, arguments);
    va_end(arguments);
    FILE *file = fopen(path, "re");
    if (!file)
        fail_msg("cannot open %s: %s", path, strerror(errno));
    size_t size = 0;
    size_t room = 1 << 16;
    char *text = malloc(room + 1);
    assert_non_null(text);
    for (size_t got = 0; (got = fread(text + size, 1, room - size, file)) > 0;) {
        size += got;
        if (size == room) {
            room *= 2;
            text = realloc(text, room + 1);
            assert_non_null(text);
        }
    }
    fclose(file);
    text[size] = 0;
    return text;
}

void dw_shell_skip(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    printf("skipped: ");
    vprintf(format, arguments); /* NOLINT(clang-diagnostic-format-nonliteral) */
    printf("\n");
    va_end(arguments);
    fflush(stdout);
    exit(77);
}
