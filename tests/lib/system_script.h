/* system_script.h - let one system call of this process answer by a script, for tests of the layer that calls it.
 *
 * A seccomp filter traps the call, the SIGSYS handler plays the next line of the script. A filter cannot be taken off, so
 * this belongs into a child: dw_script_child runs a function there and answers what it returned. x86-64 only. */
#ifndef DW_TESTS_LIB_SYSTEM_SCRIPT_H
#define DW_TESTS_LIB_SYSTEM_SCRIPT_H

#include <stdbool.h>

/* Lines of a script: a negative errno, or one of these. After its last line the call is real again. */
#define DW_SCRIPT_REAL     1000000L
#define DW_SCRIPT_SHORT(n) (1000000L + (n)) /* really moves n bytes (n > 0), at most */
#define DW_SCRIPT_CLAIM(n) ((long)(n))      /* answers n and does nothing */

/* True where it works. */
bool dw_script_is_supported(void);
/* From now on `call` (SYS_pwritev2, SYS_pwrite64, SYS_pread64, or any call for which only errors and CLAIM are played)
 * plays the script; `count` lines, at most 16. Once for each call of the process. */
void dw_script_play(long call, const long *lines, int count);
/* How often the scripted call was made so far. */
int dw_script_calls(void);
/* From now on `call` answers -`error` at once, for good. */
void dw_script_forbid(long call, int error);

/* Run in a child. 0: fine; else the line of the check that failed (below 250), or 255 if it died. */
int dw_script_child(int (*fn)(void *context), void *context);
/* For use in such a function: leaves with the number of the check's line. */
#define DW_SCRIPT_CHECK(fact)                                                                                          \
    do {                                                                                                               \
        if (!(fact))                                                                                                   \
            return dw_script_failed(#fact, __FILE__, __LINE__);                                                        \
    } while (0)
int dw_script_failed(const char *fact, const char *file, int line);

#endif
