/* log_kit.h - a small log in a directory of its own, and numbered entries to put into it: for tests of the public calls.
 *
 * Owns: the directory of the running test. Called by: test programs, one test at a time. Failure: fails the test. */
#ifndef DW_TESTS_LIB_LOG_KIT_H
#define DW_TESTS_LIB_LOG_KIT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <dwal/dwal.h>
#include <dwal/inspect.h>

#include "tests/lib/tmpdir.h"

extern char dw_log_kit_directory[DW_TMPDIR_SIZE]; /* of the running test */
extern char dw_log_kit_path[DW_TMPDIR_SIZE + 8];  /* of the log in it; nothing is there yet */
extern const char *dw_log_kit_backend;

/* For cmocka_unit_test_setup_teardown. */
int dw_log_kit_set_up(void **state);
int dw_log_kit_tear_down(void **state);
#define DW_LOG_KIT_TEST(name) cmocka_unit_test_setup_teardown(name, dw_log_kit_set_up, dw_log_kit_tear_down)
/* Run the tests with each backend that can be had here: sync, uring, aio. */
#define DW_LOG_KIT_RUN(tests) dw_log_kit_run((tests), sizeof(tests) / sizeof((tests)[0]))
int dw_log_kit_run(const struct CMUnitTest *tests, size_t count);

struct dwal_options dw_log_kit_options(void); /* 256 KiB volumes, 256 KiB ring, 32 KiB writes, 2 blanks */
dwal *dw_log_kit_open_with(const struct dwal_options *options);
dwal *dw_log_kit_open(void);
dwal *dw_log_kit_create(void);

struct dwal_entry dw_log_kit_entry(const void *bytes, size_t size, struct iovec *part);
uint64_t dw_log_kit_append_text(dwal *log, const char *text, uint64_t *end);
/* Entry `i` is its number, spread over a size of its own (at most 908 bytes). Returns the size. */
size_t dw_log_kit_numbered(uint64_t i, char *bytes);
/* Append entries [from, to) and sync. */
void dw_log_kit_append(dwal *log, uint64_t from, uint64_t to);
/* The log holds exactly entries [from, to). */
void dw_log_kit_check(dwal *log, uint64_t from, uint64_t to);

#endif
