/* message.h - what a person reads on standard error: `dwal SUBCOMMAND: what: what to do`. */
#ifndef DW_TOOLS_MESSAGE_H
#define DW_TOOLS_MESSAGE_H

#include <stdbool.h>

#include <dwal/dwal.h>

void dw_message_set_command(const char *name);
const char *dw_message_command(void);
/* `action`: what to do, or NULL. */
void dw_message_error(const char *action, const char *format, ...) __attribute__((format(printf, 2, 3)));
void dw_message_warning(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* A call of the library answered `code`: its text and its action. Returns the exit status for it. */
int dw_message_library(const char *path, int code);
/* The same, but `special` gets the action `instead`: where the library's is not for this subcommand. */
int dw_message_library_instead(const char *path, int code, int special, const char *instead);
/* The exit status for a code, without a text. */
int dw_message_status(int code);
/* The library's event callback: warnings and errors go to standard error. */
dwal_event_fn dw_message_event;

/* Colours of standard output or of standard error: the escape sequence, or "" without a terminal or with NO_COLOR. */
enum dw_colour { DW_COLOUR_NONE, DW_COLOUR_GOOD, DW_COLOUR_WARN, DW_COLOUR_BAD, DW_COLOUR_FAINT };
const char *dw_message_colour(int descriptor, enum dw_colour colour);

#endif
