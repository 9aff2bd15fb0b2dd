/* trim.c - dwal trim: drop the front of a log.
 *
 * Happy path: open for writing (recovers if need be) -> dwal_trim -> close. Failure: a live writer holds the log: its
 * program has to trim. */
#include "tools/tool.h"

#include <dwal/dwal.h>

#include "tools/message.h"
#include "tools/options.h"

static int run(int argument_count, char **arguments)
{
    const char *path;
    uint64_t before = DWAL_NO_LSN;
    bool is_unsafe = false;
    const struct dw_option options[] = {
        DW_NUMBER("before", &before, "LSN", 0, DWAL_NO_LSN - 1, "drop the entries that start before this lsn"),
        DW_FLAG("unsafe-buffered", &is_unsafe, "allow a file system without direct I/O"),
    };
    enum dw_parsed parsed =
        dw_options_parse(&dw_command_trim, options, DW_OPTION_COUNT(options), argument_count, arguments, &path);
    if (parsed != DW_PARSED_GO)
        return dw_options_status(parsed);
    if (before == DWAL_NO_LSN) {
        dw_message_error("give the first lsn to keep", "--before is missing");
        return DW_EXIT_WRONG;
    }

    struct dwal_options open = DWAL_OPTIONS_INIT;
    open.is_unsafe_buffered = is_unsafe;
    open.event = dw_message_event;
    dwal *log;
    int result = dwal_open(path, &open, &log);
    if (result)
        return dw_message_library(path, result);
    result = dwal_trim(log, before);
    int status = result ? dw_message_library(path, result) : DW_EXIT_GOOD;
    result = dwal_close(log);
    if (result && status == DW_EXIT_GOOD)
        status = dw_message_library(path, result);
    return status;
}

const struct dw_command dw_command_trim = {
    .name = "trim",
    .summary = "drop the front of a log",
    .arguments = "PATH --before LSN [OPTION...]",
    .about = "Drop the entries that start before LSN, which may be at most the end of the log. The trim point is on\n"
             "stable storage when the command ends; volumes wholly before it are used again later. Opens the log for\n"
             "writing: beside a live writer it answers that the log is busy.",
    .examples = "  dwal trim /var/lib/app/log --before 1048576\n",
    .run = run,
};
