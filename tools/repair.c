/* repair.c - dwal repair: cut a log at a place that a person chose.
 *
 * Happy path: verify and count -> tell what stays and what goes -> a yes -> dwal_repair (copies aside, then cuts). Failure: without
 * --cut-at, --save and a yes nothing is touched. The cut point is never guessed. */
#include "tools/tool.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <dwal/inspect.h>

#include "tools/message.h"
#include "tools/options.h"
#include "tools/output.h"
#include "tools/progress.h"

struct repair {
    const char *path, *save;
    uint64_t cut;
    bool is_agreed, is_unsafe;
};

/* Records at and behind the cut that still check: what a person gives up. */
struct lost {
    uint64_t cut, count, first, last;
};

static bool count_lost(void *context, const struct dwal_item *item)
{
    struct lost *lost = context;
    if (item->kind != DWAL_ITEM_RECORD || !item->is_sound || item->lsn < lost->cut)
        return true;
    if (lost->count++ == 0)
        lost->first = item->lsn;
    lost->last = item->lsn;
    return true;
}

static void tell_plan(const struct repair *repair, const struct dwal_report *report, const struct lost *lost)
{
    dw_output_format("verdict now: %s  %s\n", dwal_verdict_name(report->verdict), report->text);
    dw_output_format("readable: lsn %" PRIu64 " to %" PRIu64 "\n", report->first, report->end);
    dw_output_format("stays: entries before lsn %" PRIu64 "\n", repair->cut);
    if (lost->count > 0)
        dw_output_format("goes for good: %" PRIu64 " entries that still check, from lsn %" PRIu64 " to %" PRIu64
                         ", and what is damaged\n",
                         lost->count, lost->first, lost->last);
    else
        dw_output_text("goes for good: what lies behind it; no whole entry is among it\n");
    dw_output_text("copies of every file that changes go to: ");
    dw_output_path(repair->save);
    dw_output_text("\n");
}

/* A yes from the command line or from a person at a terminal. */
static bool is_agreed(const struct repair *repair)
{
    if (repair->is_agreed)
        return true;
    if (!isatty(STDIN_FILENO)) {
        dw_message_error("give --yes", "not done: this drops entries for good and nobody was there to agree");
        return false;
    }
    dw_output_text("type yes to go on: ");
    dw_output_flush();
    char answer[16];
    if (fgets(answer, sizeof answer, stdin) && strcmp(answer, "yes\n") == 0)
        return true;
    dw_message_error(NULL, "not done: nothing was changed");
    return false;
}

static int run_parsed(const struct repair *repair)
{
    struct dwal_options options = DWAL_OPTIONS_INIT;
    options.is_unsafe_buffered = repair->is_unsafe;
    options.event = dw_message_event;
    struct dwal_report report = {.size = sizeof report};
    struct dwal_info info = {.size = sizeof info};
    uint64_t bytes = dwal_get_info(repair->path, &options, &info) == 0 ? info.bytes_on_disk : 0;
    struct lost lost = {.cut = repair->cut};
    if (lost.cut < info.trim)
        lost.cut = info.trim; /* what was trimmed is gone already */
    dw_progress_begin("reading", bytes * 2);
    int result = dwal_verify(repair->path, &options, true, NULL, NULL, &report);
    if (result == 0)
        result = dwal_dump(repair->path, &options, count_lost, &lost);
    dw_progress_end();
    if (result)
        return dw_message_library(repair->path, result);
    if (repair->cut > report.end && dwal_verdict_error(report.verdict) == 0) {
        dw_message_error("choose an lsn before its end; dwal verify tells it",
                         "%s is sound and ends at lsn %" PRIu64 ": there is nothing to cut", repair->path, report.end);
        return DW_EXIT_WRONG;
    }
    tell_plan(repair, &report, &lost);
    if (!is_agreed(repair))
        return DW_EXIT_WRONG;
    dw_output_flush();
    dw_progress_begin("copying and cutting", 0);
    result = dwal_repair(repair->path, &options, repair->cut, repair->save, &report);
    dw_progress_end();
    if (result)
        return dw_message_library(repair->path, result);
    dw_output_format("done: the log ends at lsn %" PRIu64 " and opens again\n", repair->cut);
    return DW_EXIT_GOOD;
}

static int run(int argument_count, char **arguments)
{
    struct repair repair = {.cut = DWAL_NO_LSN};
    const struct dw_option options[] = {
        DW_NUMBER("cut-at", &repair.cut, "LSN", 0, DWAL_NO_LSN - 1, "an entry's start or end: what lies behind goes"),
        DW_TEXT("save", &repair.save, "DIR", "where copies of the files that change go; must not exist"),
        DW_FLAG("yes", &repair.is_agreed, "do not ask"),
        DW_FLAG("unsafe-buffered", &repair.is_unsafe, "allow a file system without direct I/O"),
    };
    enum dw_parsed parsed = dw_options_parse(&dw_command_repair, options, DW_OPTION_COUNT(options), argument_count,
                                             arguments, &repair.path);
    if (parsed != DW_PARSED_GO)
        return dw_options_status(parsed);
    if (repair.cut == DWAL_NO_LSN) {
        dw_message_error("run dwal verify, then choose where to cut", "--cut-at is missing");
        return DW_EXIT_WRONG;
    }
    if (!repair.save || !repair.save[0]) {
        dw_message_error("name a directory that does not exist", "--save is missing");
        return DW_EXIT_WRONG;
    }
    return run_parsed(&repair);
}

const struct dw_command dw_command_repair = {
    .name = "repair",
    .summary = "cut a damaged log at a chosen place",
    .arguments = "PATH --cut-at LSN --save DIR [OPTION...]",
    .about =
        "Cut a log at LSN, the start or the end of an entry: entries before it stay, all else goes for good, and the\n"
        "log opens again. Every file that changes is first copied to DIR. Tells what will go and asks, unless --yes\n"
        "is given. Refuses beside a live writer. Restoring from a replica or a backup loses less: try that first.",
    .examples = "  dwal verify /var/lib/app/log\n"
                "  dwal repair /var/lib/app/log --cut-at 1048576 --save /var/lib/app/log.before-repair\n",
    .run = run,
};
