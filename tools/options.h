/* options.h - strict parsing of a subcommand's arguments from a table, and the help that the table gives. */
#ifndef DW_TOOLS_OPTIONS_H
#define DW_TOOLS_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "tools/tool.h"

enum dw_option_kind {
    DW_OPTION_FLAG,   /* bool: true when given */
    DW_OPTION_NUMBER, /* uint64_t: digits, or 0x and hex digits */
    DW_OPTION_SIZE,   /* uint64_t: bytes, or with KiB, MiB, GiB */
    DW_OPTION_TEXT,   /* const char * */
    DW_OPTION_CHOICE, /* int: index in `choices` */
};

struct dw_option {
    const char *name; /* without the two dashes */
    enum dw_option_kind kind;
    void *target;        /* holds the default before parsing */
    const char *value;   /* how the help names the value; NULL for flags */
    const char *help;    /* one line */
    uint64_t minimum;    /* of numbers and sizes */
    uint64_t maximum;    /* 0: UINT64_MAX */
    const char *choices; /* "each|group|end" */
};
/* One row each: what it is called, where it goes, how the help names its value, its limits, its help. */
#define DW_FLAG(name, target, help)                                                                                    \
    {                                                                                                                  \
        name, DW_OPTION_FLAG, target, NULL, help, 0, 0, NULL                                                           \
    }
#define DW_NUMBER(name, target, value, minimum, maximum, help)                                                         \
    {                                                                                                                  \
        name, DW_OPTION_NUMBER, target, value, help, minimum, maximum, NULL                                            \
    }
#define DW_SIZE(name, target, value, minimum, maximum, help)                                                           \
    {                                                                                                                  \
        name, DW_OPTION_SIZE, target, value, help, minimum, maximum, NULL                                              \
    }
#define DW_TEXT(name, target, value, help)                                                                             \
    {                                                                                                                  \
        name, DW_OPTION_TEXT, target, value, help, 0, 0, NULL                                                          \
    }
#define DW_CHOICE(name, target, value, choices, help)                                                                  \
    {                                                                                                                  \
        name, DW_OPTION_CHOICE, target, value, help, 0, 0, choices                                                     \
    }

enum dw_parsed {
    DW_PARSED_GO,   /* run the subcommand */
    DW_PARSED_HELP, /* the help was printed: exit 0 */
    DW_PARSED_WRONG /* the fault was told: exit 1 */
};

#define DW_OPTION_COUNT(options) (sizeof(options) / sizeof((options)[0]))

/* Parse everything; exactly one argument that is no option is expected: *path. `--` ends the options. */
enum dw_parsed dw_options_parse(const struct dw_command *command, const struct dw_option *options, size_t count,
                                int argument_count, char **arguments, const char **path);
/* The exit status for a parse that did not say GO. */
int dw_options_status(enum dw_parsed parsed);

/* Strict numbers: all of `text`, no sign, no blanks, no overflow. */
bool dw_number_parse(const char *text, uint64_t *value);
bool dw_size_parse(const char *text, uint64_t *bytes);

#endif
