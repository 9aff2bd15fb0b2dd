/* tool.h - what the parts of the command `dwal` share: the table of subcommands and the exit statuses.
 *
 * The command is a user of the library: it includes include/dwal and its own headers, nothing else. One file per
 * subcommand; options.c parses, output.c and json.c write standard output, message.c standard error, progress.c tells
 * a person at a terminal how far long work is. Everything runs on the main thread, except the progress line. */
#ifndef DW_TOOLS_TOOL_H
#define DW_TOOLS_TOOL_H

#include <stddef.h>

enum dw_exit {
    DW_EXIT_GOOD = 0,
    DW_EXIT_WRONG = 1,  /* wrong use, or the environment: no log, no permission, no space, busy */
    DW_EXIT_DAMAGE = 2, /* the log is damaged */
};

struct dw_command {
    const char *name;
    const char *summary;   /* a few words, for the list of subcommands */
    const char *arguments; /* what follows the name in the usage line */
    const char *about;     /* a paragraph */
    const char *examples;  /* lines */
    int (*run)(int argument_count, char **arguments);
};

extern const struct dw_command dw_command_init;
extern const struct dw_command dw_command_append;
extern const struct dw_command dw_command_cat;
extern const struct dw_command dw_command_dump;
extern const struct dw_command dw_command_info;
extern const struct dw_command dw_command_verify;
extern const struct dw_command dw_command_repair;
extern const struct dw_command dw_command_trim;
extern const struct dw_command dw_command_remove;
extern const struct dw_command dw_command_backup;
extern const struct dw_command dw_command_probe;
extern const struct dw_command dw_command_bench;

extern const struct dw_command *const dw_commands[];
extern const size_t dw_command_count;

#endif
