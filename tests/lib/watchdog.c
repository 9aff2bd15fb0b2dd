/* watchdog.c - see watchdog.h. The handler runs in a process that is about to abort: what it calls need not be safe for one that
 * goes on. */
#include "tests/lib/watchdog.h"

#include <execinfo.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char *program_name = "", *program_context;

static void say(const char *text)
{
    ssize_t written = write(STDERR_FILENO, text, strlen(text));
    (void)written;
}

static void on_alarm(int number)
{
    (void)number;
    say("\n");
    say(program_name);
    say(" hangs: ");
    say(program_context ? program_context : "");
    say("\n");
    void *frames[40];                                   /* of whichever thread the signal found */
    int count = backtrace(frames, 40);                  /* NOLINT(bugprone-signal-handler): it aborts */
    backtrace_symbols_fd(frames, count, STDERR_FILENO); /* NOLINT(bugprone-signal-handler): it aborts */
    abort();
}

void dw_watchdog_install(const char *program, const char *context)
{
    program_name = program;
    program_context = context;
    signal(SIGALRM, on_alarm);
}
