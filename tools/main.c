/* main.c - the command `dwal`: finds the subcommand and runs it.
 *
 * Owns: the table of subcommands. Happy path: dwal SUBCOMMAND ... -> its run function -> flush standard output -> exit
 * status. Failure: an unknown subcommand names those that exist. A standard output that could not be written to turns a
 * good status into a bad one, so that a full disk behind `dwal cat > file` is never taken for success. */
#include "tools/tool.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <dwal/dwal.h>

#include "tools/message.h"
#include "tools/options.h"
#include "tools/output.h"

const struct dw_command *const dw_commands[] = {
    &dw_command_init,  &dw_command_append, &dw_command_cat,    &dw_command_info,
    &dw_command_dump,  &dw_command_verify, &dw_command_repair, &dw_command_trim,
    &dw_command_probe, &dw_command_bench,  &dw_command_backup, &dw_command_remove,
};
const size_t dw_command_count = sizeof dw_commands / sizeof dw_commands[0];

static void print_usage(void)
{
    dw_output_text("usage: dwal SUBCOMMAND [OPTION...] PATH\n"
                   "\n"
                   "A write-ahead log with direct I/O: make logs, append, read, inspect and repair them.\n"
                   "PATH is the directory of a log, a block device, or DEVICE#NAME for one of several logs on it.\n"
                   "\n"
                   "subcommands:\n");
    for (size_t i = 0; i < dw_command_count; i++)
        dw_output_format("  %-8s %s\n", dw_commands[i]->name, dw_commands[i]->summary);
    dw_output_text(
        "\n"
        "`dwal SUBCOMMAND --help` tells the options and gives examples. `dwal --version` tells the version.\n"
        "Sizes are bytes, or take a suffix: 64KiB, 64MiB, 1GiB.\n"
        "Exit status: 0 good, 1 wrong use or environment, 2 damage found, 3 (bench compare) worse.\n"
        "\n"
        "examples:\n"
        "  dwal init /var/lib/app/log\n"
        "  printf 'first\\nsecond\\n' | dwal append /var/lib/app/log\n"
        "  dwal cat /var/lib/app/log\n"
        "  dwal verify /var/lib/app/log\n");
}

static const struct dw_command *find_command(const char *name)
{
    for (size_t i = 0; i < dw_command_count; i++)
        if (strcmp(dw_commands[i]->name, name) == 0)
            return dw_commands[i];
    return NULL;
}

static int run_help(int argument_count, char **arguments)
{
    if (argument_count == 0) {
        print_usage();
        return DW_EXIT_GOOD;
    }
    const struct dw_command *command = find_command(arguments[0]);
    if (!command) {
        dw_message_error("see dwal --help", "there is no subcommand \"%s\"", arguments[0]);
        return DW_EXIT_WRONG;
    }
    char help[] = "--help";
    char *only_help[] = {help, NULL};
    dw_message_set_command(command->name);
    return command->run(1, only_help);
}

static int dispatch(int argument_count, char **arguments)
{
    if (argument_count < 2) {
        dw_message_error("see dwal --help", "a subcommand is missing");
        return DW_EXIT_WRONG;
    }
    const char *name = arguments[1];
    if (strcmp(name, "--help") == 0 || strcmp(name, "-h") == 0 || strcmp(name, "help") == 0)
        return run_help(argument_count - 2, arguments + 2);
    if (strcmp(name, "--version") == 0 || strcmp(name, "-V") == 0) {
        dw_output_format("dwal %s\n", dwal_version());
        return DW_EXIT_GOOD;
    }
    const struct dw_command *command = find_command(name);
    if (!command) {
        dw_message_error("see dwal --help", "there is no %s \"%s\"", name[0] == '-' ? "option" : "subcommand", name);
        return DW_EXIT_WRONG;
    }
    dw_message_set_command(command->name);
    return command->run(argument_count - 2, arguments + 2);
}

/* A log's file must not get the number of a standard stream that the caller closed: what is printed would go into the log. In its
 * place stands what can be neither read nor written, so that the use of it is told. */
static bool fill_standard_streams(void)
{
    int fd;
    do
        fd = open("/dev/null", O_CLOEXEC | O_PATH);
    while (fd >= 0 && fd <= STDERR_FILENO);
    if (fd < 0)
        return false;
    close(fd);
    return true;
}

int main(int argument_count, char **arguments)
{
    if (!fill_standard_streams())
        return DW_EXIT_WRONG; /* there is nobody to tell */
    /* A closed pipe is an error of one write, not the end of a process that holds a log. A file size limit likewise. */
    signal(SIGPIPE, SIG_IGN);
    signal(SIGXFSZ, SIG_IGN);
    int status = dispatch(argument_count, arguments);
    int failure = dw_output_flush();
    if (failure && !dw_output_is_closed_pipe()) {
        dw_message_error("free space or choose another target", "standard output: %s", strerror(-failure));
        if (status == DW_EXIT_GOOD)
            status = DW_EXIT_WRONG;
    }
    return status;
}
