/* shell.h - run a command as a person would, and keep what it said.
 *
 * Owns: nothing. Called by: tests that look at dwal from outside, on one thread at a time. Failure: a command that cannot
 * be started is a failed test, with its text. */
#ifndef DW_TESTS_LIB_SHELL_H
#define DW_TESTS_LIB_SHELL_H

#include <stddef.h>

#include "base/compiler.h"

#define DW_SHELL_OUTPUT_SIZE (256 * 1024)

struct dw_shell {
    int status;                        /* exit status, or 128 + the signal that ended it */
    size_t size;                       /* bytes of output */
    char output[DW_SHELL_OUTPUT_SIZE]; /* both streams, terminated; what is longer is dropped */
};

/* Run `format` with /bin/sh. The result is a static struct: valid until the next call. */
const struct dw_shell *dw_shell(const char *format, ...) DW_PRINTF(1, 2);
/* The same, and fail the test with the output when the status is not 0. Returns the output. */
const char *dw_shell_good(const char *format, ...) DW_PRINTF(1, 2);
/* True when `program` can be found on PATH. */
int dw_shell_has(const char *program);
/* An environment variable that ctest sets for every test (DWAL_SOURCE, DWAL_BUILD, DWAL_CC, DWAL_COMMAND). Without it the
 * test ends as skipped, saying which. */
const char *dw_shell_setting(const char *name);
/* The whole file, terminated; free() it. Fails the test when it cannot be read. */
char *dw_shell_read_file(const char *format, ...) DW_PRINTF(1, 2);
/* End the program as skipped (77), saying why. */
__attribute__((noreturn)) void dw_shell_skip(const char *format, ...) DW_PRINTF(1, 2);

#endif
