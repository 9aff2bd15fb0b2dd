/* options.c - strict parsing of a subcommand's arguments from a table; see options.h.
 *
 * Happy path: --name, --name value or --name=value, anywhere; one PATH. Failure: one message that names the option, what
 * was wrong with its value and what is allowed. An option given twice: the last one holds. */
#include "tools/options.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "tools/message.h"
#include "tools/output.h"

static void print_option(const struct dw_option *option)
{
    char left[64];
    (void)snprintf(left, sizeof left, "--%s%s%s", option->name, option->value ? " " : "",
                   option->value ? option->value : "");
    if (strlen(left) <= 24)
        dw_output_format("  %-24s %s\n", left, option->help);
    else
        dw_output_format("  %s\n  %-24s %s\n", left, "", option->help);
}

static void print_help(const struct dw_command *command, const struct dw_option *options, size_t count)
{
    dw_output_format("usage: dwal %s %s\n\n%s\n\noptions:\n", command->name, command->arguments, command->about);
    for (size_t i = 0; i < count; i++)
        print_option(&options[i]);
    dw_output_format("  %-24s %s\n\nexamples:\n%s", "--help", "this text", command->examples);
}

static void complain(const char *format, const char *first, const char *second)
{
    char action[64];
    (void)snprintf(action, sizeof action, "see dwal %s --help", dw_message_command());
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
    dw_message_error(action, format, first, second);
#pragma GCC diagnostic pop
}

static bool set_choice(const struct dw_option *option, const char *text)
{
    const char *at = option->choices;
    for (int index = 0;; index++) {
        size_t size = strcspn(at, "|");
        if (strlen(text) == size && strncmp(at, text, size) == 0) {
            *(int *)option->target = index;
            return true;
        }
        if (!at[size])
            return false;
        at += size + 1;
    }
}

static bool set_number(const struct dw_option *option, const char *text)
{
    uint64_t value;
    bool is_size = option->kind == DW_OPTION_SIZE;
    if (!(is_size ? dw_size_parse(text, &value) : dw_number_parse(text, &value))) {
        char action[96];
        (void)snprintf(action, sizeof action,
                       is_size ? "give bytes, or a size such as 64KiB, 64MiB, 1GiB"
                               : "give digits, or 0x and hex digits, below 2^64");
        dw_message_error(action, "--%s: \"%s\" is no %s", option->name, text, is_size ? "size" : "number");
        return false;
    }
    uint64_t maximum = option->maximum ? option->maximum : UINT64_MAX;
    if (value < option->minimum || value > maximum) {
        char action[96];
        (void)snprintf(action, sizeof action, "give %" PRIu64 " to %" PRIu64, option->minimum, maximum);
        dw_message_error(action, "--%s: %s is out of range", option->name, text);
        return false;
    }
    *(uint64_t *)option->target = value;
    return true;
}

static bool set_value(const struct dw_option *option, const char *text)
{
    switch (option->kind) {
    case DW_OPTION_NUMBER:
    case DW_OPTION_SIZE:
        return set_number(option, text);
    case DW_OPTION_CHOICE:
        if (set_choice(option, text))
            return true;
        char action[128];
        (void)snprintf(action, sizeof action, "choose one of %s", option->choices);
        dw_message_error(action, "--%s: there is no \"%s\"", option->name, text);
        return false;
    case DW_OPTION_TEXT:
        *(const char **)option->target = text;
        return true;
    case DW_OPTION_FLAG:
        break;
    }
    return false;
}

static const struct dw_option *find_option(const struct dw_option *options, size_t count, const char *name, size_t size)
{
    for (size_t i = 0; i < count; i++)
        if (strlen(options[i].name) == size && strncmp(options[i].name, name, size) == 0)
            return &options[i];
    return NULL;
}

/* One option at arguments[*at], and its value; *at moves to the last argument used. */
static bool parse_option(const struct dw_option *options, size_t count, int argument_count, char **arguments, int *at)
{
    const char *text = arguments[*at];
    size_t size = text[1] == '-' ? strcspn(text + 2, "=") : 0;
    const struct dw_option *option = size ? find_option(options, count, text + 2, size) : NULL;
    if (!option) {
        complain("there is no option \"%s\"%s", text, "");
        return false;
    }
    const char *value = text[2 + size] == '=' ? text + 2 + size + 1 : NULL;
    if (option->kind == DW_OPTION_FLAG) {
        if (value)
            complain("--%s takes no value, \"%s\" was given", option->name, value);
        else
            *(bool *)option->target = true;
        return !value;
    }
    if (!value) {
        if (*at + 1 >= argument_count) {
            complain("--%s needs a value: %s", option->name, option->value);
            return false;
        }
        value = arguments[++*at];
    }
    return set_value(option, value);
}

static bool has_one_path(const struct dw_command *command)
{
    return strncmp(command->arguments, "PATH [", 6) == 0;
}

enum dw_parsed dw_options_parse(const struct dw_command *command, const struct dw_option *options, size_t count,
                                int argument_count, char **arguments, const char **path)
{
    bool is_over = false;
    *path = NULL;
    for (int i = 0; i < argument_count; i++) {
        const char *text = arguments[i];
        if (!is_over && (strcmp(text, "--help") == 0 || strcmp(text, "-h") == 0)) {
            print_help(command, options, count);
            return DW_PARSED_HELP;
        }
        if (!is_over && strcmp(text, "--") == 0) {
            is_over = true;
        } else if (!is_over && text[0] == '-' && text[1]) {
            if (!parse_option(options, count, argument_count, arguments, &i))
                return DW_PARSED_WRONG;
        } else if (*path) {
            complain(has_one_path(command) ? "one path is enough: \"%s\" and \"%s\" were given"
                                           : "behind \"%s\", \"%s\" is one argument too many",
                     *path, text);
            return DW_PARSED_WRONG;
        } else {
            *path = text;
        }
    }
    if (!*path || !**path) {
        char wanted[32];
        (void)snprintf(wanted, sizeof wanted, "%.*s", (int)strcspn(command->arguments, " "), command->arguments);
        complain("%s is missing%s", strcmp(wanted, "PATH") == 0 ? "the path of the log" : wanted, "");
        return DW_PARSED_WRONG;
    }
    return DW_PARSED_GO;
}

int dw_options_status(enum dw_parsed parsed)
{
    return parsed == DW_PARSED_HELP ? DW_EXIT_GOOD : DW_EXIT_WRONG;
}
