/* message.c - what a person reads on standard error; see message.h.
 *
 * Threads: errors come from the main thread only; events of the library from any. One message is one write of one line (the progress line is wiped first), so that messages of several processes do not
 * mix inside a line. Bytes of paths that would steer a terminal are shown as '?'. */
#include "tools/message.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tools/output.h"
#include "tools/progress.h"
#include "tools/tool.h"

enum { PATH_SHOWN_MAX = 200 };

static const char *command_name;

void dw_message_set_command(const char *name)
{
    command_name = name;
}

const char *dw_message_command(void)
{
    return command_name ? command_name : "";
}

const char *dw_message_colour(int descriptor, enum dw_colour colour)
{
    static const char *const sequences[] = {"\033[0m", "\033[32m", "\033[33m", "\033[1;31m", "\033[2m"};
    const char *forbidden = getenv("NO_COLOR");
    const char *terminal = getenv("TERM");
    if ((forbidden && forbidden[0]) || (terminal && strcmp(terminal, "dumb") == 0) || !isatty(descriptor))
        return "";
    return sequences[colour];
}

/* Keep bytes that are text; a control byte in a path must not reach a terminal. */
static void make_printable(char *text)
{
    for (char *at = text; *at; at++)
        if ((unsigned char)*at < 0x20 || (unsigned char)*at == 0x7f)
            *at = '?';
}

static void write_line(enum dw_colour colour, char *text, const char *action)
{
    char line[2048];
    make_printable(text);
    int size = snprintf(line, sizeof line, "%sdwal%s%s:%s %s%s%s\n", dw_message_colour(STDERR_FILENO, colour),
                        command_name ? " " : "", command_name ? command_name : "",
                        dw_message_colour(STDERR_FILENO, DW_COLOUR_NONE), text, action && action[0] ? ": " : "",
                        action ? action : "");
    if (size < 0)
        return;
    size_t count = (size_t)size < sizeof line ? (size_t)size : sizeof line - 1;
    dw_progress_wipe();
    if (write(STDERR_FILENO, line, count) < 0)
        return; /* nobody to tell */
}

void dw_message_error(const char *action, const char *format, ...)
{
    char text[1400];
    (void)dw_output_flush(); /* what was printed before happened before */
    va_list list;
    va_start(list, format);
    (void)vsnprintf(text, sizeof text, format, list);
    va_end(list);
    write_line(DW_COLOUR_BAD, text, action);
}

void dw_message_warning(const char *format, ...)
{
    char text[1400];
    va_list list;
    va_start(list, format);
    (void)vsnprintf(text, sizeof text, format, list);
    va_end(list);
    write_line(DW_COLOUR_WARN, text, NULL);
}

int dw_message_status(int code)
{
    switch (code) {
    case DWAL_OK:
        return DW_EXIT_GOOD;
    case DWAL_ECORRUPT:
    case DWAL_ELOST:
    case DWAL_EROLLBACK:
    case DWAL_EFOREIGN:
    case DWAL_EUNCERTAIN:
    case DWAL_ERAFT_METADATA:
    case DWAL_ERAFT_GAP:
    case DWAL_ERAFT_RECORD:
        return DW_EXIT_DAMAGE;
    default:
        return DW_EXIT_WRONG;
    }
}

/* The library's sentence ends with what to do, behind a semicolon: take that off, it gets a part of its own. */
static void strip_action(char *text, const char *action)
{
    size_t size = strlen(text), tail = strlen(action);
    if (size > tail + 2 && strcmp(text + size - tail, action) == 0 && memcmp(text + size - tail - 2, "; ", 2) == 0)
        text[size - tail - 2] = 0;
}

/* The library cuts a long path in its middle: the start is enough to know it by. */
static bool says_path(const char *said, const char *path)
{
    char start[PATH_SHOWN_MAX / 4 + 1];
    (void)snprintf(start, sizeof start, "%s", path);
    return strstr(said, strlen(path) > PATH_SHOWN_MAX ? start : path) != NULL;
}

int dw_message_library(const char *path, int code)
{
    return dw_message_library_instead(path, code, DWAL_OK, NULL);
}

int dw_message_library_instead(const char *path, int code, int special, const char *instead)
{
    const struct dwal_error *error = dwal_last_error();
    bool is_known = error->code == code && error->text[0];
    const char *action = dwal_error_action(code);
    char text[900], help[64];
    const char *said = is_known ? error->text : dwal_error_meaning(code);
    bool has_path = says_path(said, path);
    int shown = strlen(path) > PATH_SHOWN_MAX ? PATH_SHOWN_MAX / 2 : PATH_SHOWN_MAX;
    (void)snprintf(text, sizeof text, "%.*s%s%s%s", has_path ? 0 : shown, path,
                   !has_path && shown < PATH_SHOWN_MAX ? "..." : "", has_path ? "" : ": ", said);
    strip_action(text, action);
    if (code == DWAL_EARGUMENT) { /* the library speaks to a programmer */
        (void)snprintf(help, sizeof help, "see dwal %s --help", dw_message_command());
        action = help;
    } else if (code == DWAL_ETRIMMED) {
        action = "choose a later lsn: dwal info tells the trim point";
    }
    if (instead && code == special)
        action = instead;
    dw_message_error(strstr(text, action) ? NULL : action, "%s", text);
    return dw_message_status(code);
}

void dw_message_event(void *context, enum dwal_event_level level, const char *text)
{
    (void)context;
    if (level == DWAL_EVENT_WARNING || level == DWAL_EVENT_ERROR)
        dw_message_warning("%s", text);
}
