/* tmpdir.h - a fresh directory for one test, on a real file system, and its removal.
 *
 * Owns: nothing but names. Called by: tests, on any thread. The directory lies under $TMPDIR, or under /var/tmp
 * (where O_DIRECT works). Failure: the test program stops with a message, since nothing can be tested.
 * Removing takes everything inside with it, and refuses any directory that dw_tmpdir_make did not make. */
#ifndef DW_TESTS_LIB_TMPDIR_H
#define DW_TESTS_LIB_TMPDIR_H

#define DW_TMPDIR_SIZE 256

/* Make "<base>/dwal-test-<name>-XXXXXX" with mode 0700 and put its path into `path`. Returns `path`. */
char *dw_tmpdir_make(char path[DW_TMPDIR_SIZE], const char *name);
void dw_tmpdir_remove(const char *path);

#endif
