/* output.h - standard output with one buffer and a failure that is kept.
 *
 * After the first failed write all later ones are dropped and the failure stays: callers look at it where stopping early
 * makes sense, main looks at it at the end. -EPIPE is told apart: a reader that has seen enough is no error. */
#ifndef DW_TOOLS_OUTPUT_H
#define DW_TOOLS_OUTPUT_H

#include <stdbool.h>
#include <stddef.h>

void dw_output_bytes(const void *bytes, size_t size);
void dw_output_text(const char *text);
void dw_output_format(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* For people: of any length; bytes that would steer a terminal are shown as '?'. */
void dw_output_path(const char *path);
/* Write out what is buffered. 0, or the first failure as -errno. */
int dw_output_flush(void);
int dw_output_failure(void);
bool dw_output_is_closed_pipe(void);
/* True when the other end of a pipe on standard output is gone (asked without writing). */
bool dw_output_has_no_reader(void);

#endif
