/* trim.c - dwal trim: drop the front of a log.
 *
 * Happy path: open for writing (recovers if need be) -> dwal_trim -> wait until the volumes are out of use -> close.
 * Failure: a live writer holds the log: its program has to trim. A reader that holds a volume: told, and no failure. */
#include "tools/tool.h"

#include <time.h>

#include <dwal/dwal.h>

#include "tools/message.h"
#include "tools/options.h"

enum { STEP_MS = 2, PATIENCE_MS = 1000 };

static bool next_to_go(dwal *log, uint64_t before, struct dwal_volume *volume)
{
    return dwal_volume_from(log, 0, volume) == 0 && volume->end <= before;
}

/* The library takes trimmed volumes out of use in the background, one after the other; a close stops that. Who trims by this
 * command wants the space, so wait for it, but not for readers that hold a volume. */
static void wait_for_volumes(dwal *log, uint64_t before)
{
    struct dwal_volume volume = {.size = sizeof volume};
    uint32_t number = DWAL_NO_VOLUME;
    unsigned idle_ms = 0;
    while (idle_ms < PATIENCE_MS && next_to_go(log, before, &volume)) {
        idle_ms = volume.number == number ? idle_ms + STEP_MS : 0;
        number = volume.number;
        (void)nanosleep(&(struct timespec){.tv_nsec = STEP_MS * 1000000L}, NULL);
    }
    if (next_to_go(log, before, &volume))
        dw_message_warning("%s", "trimmed, but a volume is still being read: its space comes back when the log is open "
                                 "for writing and nobody reads there");
}

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
    if (result == 0)
        wait_for_volumes(log, before);
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
             "stable storage when the command ends; volumes wholly before it have become blanks, as many as the log\n"
             "keeps, or are gone, unless somebody reads them. Opens the log for writing: beside a live writer it\n"
             "answers that the log is busy.",
    .examples = "  dwal trim /var/lib/app/log --before 1048576\n",
    .run = run,
};
