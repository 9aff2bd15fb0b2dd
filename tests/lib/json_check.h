/* json_check.h - is a text valid JSON? Strict (RFC 8259), for tests of what the command prints.
 *
 * Owns: nothing. Called by: tests. Depth is bounded; nothing is converted. */
#ifndef DW_TESTS_LIB_JSON_CHECK_H
#define DW_TESTS_LIB_JSON_CHECK_H

#include <stdbool.h>
#include <stddef.h>

/* One object that takes up all of text[0..size). */
bool dw_json_is_object(const char *text, size_t size);
/* Every line of the text is one object, and the text ends with a newline. *lines: how many. */
bool dw_json_is_lines(const char *text, size_t size, size_t *lines);

#endif
