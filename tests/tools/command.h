/* command.h - what the tests of the command share: a fresh directory for each test, known to the shell as $T, and the
 * command as $D. Small volumes, so that a log is made in milliseconds. */
#ifndef DW_TESTS_TOOLS_COMMAND_H
#define DW_TESTS_TOOLS_COMMAND_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/lib/json_check.h"
#include "tests/lib/shell.h"
#include "tests/lib/tmpdir.h"

#define INIT_SMALL "$D init $T/log --volume-size 256KiB --blanks 1"

static inline int make_directory(void **state)
{
    static char path[DW_TMPDIR_SIZE];
    *state = dw_tmpdir_make(path, "command");
    return setenv("T", path, 1) != 0 || setenv("D", dw_shell_setting("DWAL_COMMAND"), 1) != 0;
}
static inline int remove_directory(void **state)
{
    dw_tmpdir_remove(*state);
    return 0;
}
#define COMMAND_TEST(name) cmocka_unit_test_setup_teardown(name, make_directory, remove_directory)

/* Run, and check the exit status and that the output has `text` in it. */
static inline void expect(int status, const char *text, const char *command)
{
    const struct dw_shell *ran = dw_shell("%s", command);
    if (ran->status != status || !strstr(ran->output, text))
        fail_msg("%s\nstatus %d (wanted %d), output (wanted \"%s\" in it):\n%s", command, ran->status, status, text,
                 ran->output);
}
/* Run, and check that all of the output is `text` and the status good. */
static inline void expect_output(const char *text, const char *command)
{
    const struct dw_shell *ran = dw_shell("%s", command);
    if (ran->status != 0 || strcmp(ran->output, text) != 0)
        fail_msg("%s\nstatus %d, output:\n%s\nwanted:\n%s", command, ran->status, ran->output, text);
}
static inline void good(const char *command)
{
    expect(0, "", command);
}

static inline void wait_ms(long ms)
{
    struct timespec pause = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000};
    nanosleep(&pause, NULL);
}
/* Wait until a shell condition holds; at most twenty seconds. */
static inline void wait_for(const char *condition)
{
    for (int i = 0; i < 1000; i++) {
        if (dw_shell("%s", condition)->status == 0)
            return;
        wait_ms(20);
    }
    fail_msg("did not come true: %s", condition);
}

/* A command that runs beside the test, fed through `in`. */
struct beside {
    pid_t pid;
    int in;
};
/* `command` is run as `exec command`: the process is the command itself, so that signals reach it. */
static inline struct beside start_beside(const char *command)
{
    char line[1024];
    int pipe_ends[2];
    snprintf(line, sizeof line, "exec %s", command);
    assert_int_equal(pipe(pipe_ends), 0);
    struct beside beside = {fork(), pipe_ends[1]};
    assert_true(beside.pid >= 0);
    if (beside.pid == 0) {
        dup2(pipe_ends[0], STDIN_FILENO);
        close(pipe_ends[0]);
        close(pipe_ends[1]);
        execl("/bin/sh", "sh", "-c", line, (char *)NULL);
        _exit(127);
    }
    close(pipe_ends[0]);
    return beside;
}
static inline void feed(const struct beside *beside, const char *text)
{
    assert_int_equal(write(beside->in, text, strlen(text)), strlen(text));
}
/* Send `signal_number` (0: only end its input) and wait. Its exit status, or 128 + the signal that ended it. */
static inline int stop_beside(struct beside *beside, int signal_number)
{
    int status;
    if (signal_number)
        kill(beside->pid, signal_number);
    else
        close(beside->in);
    assert_int_equal(waitpid(beside->pid, &status, 0), beside->pid);
    if (signal_number)
        close(beside->in);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

#endif
