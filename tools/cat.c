/* cat.c - dwal cat: entries to standard output.
 *
 * Happy path: open read-only -> cursor -> next, print, ... -> the end. With --follow: at the end flush, wait, go on.
 * Never writes to the log; a live writer is not disturbed. Failure: a log that recovery refuses is told on standard error
 * and then read as far as it can be; the exit status tells of the damage. */
#include "tools/tool.h"

#include <dwal/dwal.h>

#include "tools/cat_format.h"
#include "tools/message.h"
#include "tools/options.h"
#include "tools/output.h"
#include "tools/signals.h"

enum { WAIT_NS = 200 * 1000 * 1000 }; /* how soon a signal or a closed pipe is seen while nothing comes */

struct cat {
    const char *path;
    uint64_t from, limit, printed;
    int format;
    bool is_following, is_unsafe;
    dwal *log;
    int status;
};

static bool is_over(struct cat *cat)
{
    return (cat->limit > 0 && cat->printed >= cat->limit) || dw_output_failure() != 0;
}

static void fail(struct cat *cat, int code)
{
    int status = dw_message_library(cat->path, code);
    if (status > cat->status)
        cat->status = status;
}

/* At the end of what can be read: wait for more. False: stop. `beyond`: the durable lsn from before the end was met. */
static bool wait_for_more(struct cat *cat, uint64_t beyond)
{
    if (!cat->is_following)
        return false;
    dw_output_flush();
    for (;;) {
        if (dw_signals_came() || dw_output_failure() || dw_output_has_no_reader())
            return false;
        int result = dwal_wait(cat->log, beyond, WAIT_NS);
        if (result == 0)
            return true;
        if (result != DWAL_ETIMEOUT) {
            fail(cat, result);
            return false;
        }
    }
}

static void print_entries(struct cat *cat, dwal_cursor *cursor)
{
    while (!is_over(cat)) {
        struct dwal_record record;
        uint64_t durable = dwal_durable(cat->log);
        int result = dwal_cursor_next(cursor, &record);
        if (result == 0) {
            dw_cat_print((enum dw_cat_format)cat->format, &record);
            cat->printed++;
            if (cat->is_following && dw_signals_came())
                return;
        } else if (result != DWAL_EEND) {
            fail(cat, result);
            return;
        } else if (!wait_for_more(cat, durable)) {
            return;
        }
    }
}

/* Read-only; when recovery refuses the log, tell so and open what can be read of it. */
static int open_log(struct cat *cat)
{
    struct dwal_options options = DWAL_OPTIONS_INIT;
    options.mode = DWAL_READ_ONLY;
    options.is_unsafe_buffered = cat->is_unsafe;
    int result = dwal_open(cat->path, &options, &cat->log);
    if (dw_message_status(result) != DW_EXIT_DAMAGE)
        return result;
    fail(cat, result);
    options.mode = DWAL_REPORT;
    result = dwal_open(cat->path, &options, &cat->log);
    if (result == 0)
        dw_message_warning("%s: what can still be read follows", cat->path);
    return result;
}

static int run_parsed(struct cat *cat)
{
    if (cat->is_following && !dw_signals_take())
        return DW_EXIT_WRONG;
    int result = open_log(cat);
    if (result) {
        if (cat->status == DW_EXIT_GOOD)
            fail(cat, result);
        return cat->status;
    }
    dwal_cursor *cursor;
    result = dwal_cursor_open(cat->log, cat->from, &cursor);
    if (result) {
        fail(cat, result);
    } else {
        print_entries(cat, cursor);
        dwal_cursor_close(cursor);
    }
    dw_output_flush();
    result = dwal_close(cat->log);
    if (result && cat->status == DW_EXIT_GOOD)
        fail(cat, result);
    return cat->status;
}

static int run(int argument_count, char **arguments)
{
    struct cat cat = {.format = DW_CAT_LINES};
    const struct dw_option options[] = {
        DW_NUMBER("from", &cat.from, "LSN", 0, DWAL_NO_LSN - 1, "start at the first entry at or after LSN"),
        DW_NUMBER("limit", &cat.limit, "N", 1, 0, "stop after N entries"),
        DW_FLAG("follow", &cat.is_following, "at the end wait for more, until interrupted"),
        DW_CHOICE("format", &cat.format, "HOW", "raw|lines|json|hex",
                  "raw: data only; lines (default): data and a newline; json; hex"),
        DW_FLAG("unsafe-buffered", &cat.is_unsafe, "allow a file system without direct I/O"),
    };
    enum dw_parsed parsed =
        dw_options_parse(&dw_command_cat, options, DW_OPTION_COUNT(options), argument_count, arguments, &cat.path);
    return parsed == DW_PARSED_GO ? run_parsed(&cat) : dw_options_status(parsed);
}

const struct dw_command dw_command_cat = {
    .name = "cat",
    .summary = "print entries",
    .arguments = "PATH [OPTION...]",
    .about = "Print the entries of a log, oldest first. Works beside a live writer (then it sees what the log on disk\n"
             "proves to be durable, a few milliseconds behind) and on a damaged log, of which it prints what can be\n"
             "read. In JSON, bytes that are not valid UTF-8 are given as base64 in \"meta_base64\" or \"data_base64\".",
    .examples = "  dwal cat /var/lib/app/log\n"
                "  dwal cat /var/lib/app/log --from 1048576 --limit 10 --format json\n"
                "  dwal cat /var/lib/app/log --follow --format json | jq -r .data\n"
                "  dwal cat /var/lib/app/log --format raw > state.bin\n",
    .run = run,
};
