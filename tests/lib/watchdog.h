/* watchdog.h - a test that hangs says where, and ends. Use alarm(SECONDS) around what may hang, alarm(0) behind it. */
#ifndef DW_TESTS_LIB_WATCHDOG_H
#define DW_TESTS_LIB_WATCHDOG_H

/* On SIGALRM: print the program's name, `context` (a text that the test keeps up to date, or NULL) and a stack; abort. */
void dw_watchdog_install(const char *program, const char *context);

#endif
