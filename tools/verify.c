/* verify.c - dwal verify: read everything and tell the verdict.
 *
 * Happy path: dwal_verify -> findings -> verdict. Writes nothing, works beside a live writer. Failure: exit status 2 when
 * dwal_open would refuse the log; harmless findings are listed and leave the status good. */
#include "tools/tool.h"

#include <inttypes.h>
#include <unistd.h>

#include <dwal/inspect.h>

#include "tools/json.h"
#include "tools/layer.h"
#include "tools/message.h"
#include "tools/options.h"
#include "tools/output.h"
#include "tools/progress.h"

static void print_finding_json(const struct dwal_damage *damage)
{
    struct dw_json json;
    dw_json_begin(&json);
    dw_json_text(&json, "kind", "finding");
    dw_json_text(&json, "verdict", dwal_verdict_name(damage->verdict));
    dw_json_bool(&json, "is_repairable", damage->is_repairable);
    dw_json_text(&json, "file", damage->file);
    dw_json_number(&json, "offset", damage->offset);
    dw_json_number_or_null(&json, "volume", damage->volume, DWAL_NO_VOLUME);
    dw_json_number_or_null(&json, "block", damage->block, DWAL_NO_LSN);
    dw_json_number(&json, "blocks", damage->blocks);
    dw_json_number_or_null(&json, "lsn", damage->lsn, DWAL_NO_LSN);
    dw_json_text(&json, "text", damage->text);
    dw_json_end(&json);
}

static void print_finding_text(const struct dwal_damage *damage)
{
    dw_output_format("%s%s%s  %s offset %" PRIu64,
                     dw_message_colour(STDOUT_FILENO, damage->is_repairable ? DW_COLOUR_WARN : DW_COLOUR_BAD),
                     damage->is_repairable ? "REPAIRABLE" : dwal_verdict_name(damage->verdict),
                     dw_message_colour(STDOUT_FILENO, DW_COLOUR_NONE), damage->file[0] ? damage->file : "-",
                     damage->offset);
    if (damage->lsn != DWAL_NO_LSN)
        dw_output_format(" lsn %" PRIu64, damage->lsn);
    if (damage->block != DWAL_NO_LSN)
        dw_output_format(" block %" PRIu64 " (%" PRIu64 ")", damage->block, damage->blocks);
    dw_output_format(": %s\n", damage->text);
}

static void print_finding(void *context, const struct dwal_damage *damage)
{
    const bool *is_json = context;
    dw_progress_wipe();
    if (*is_json)
        print_finding_json(damage);
    else
        print_finding_text(damage);
}

static void print_report_json(const struct dwal_report *report)
{
    struct dw_json json;
    dw_json_begin(&json);
    dw_json_text(&json, "kind", "verdict");
    dw_json_text(&json, "verdict", dwal_verdict_name(report->verdict));
    dw_json_text(&json, "error",
                 report->verdict && dwal_verdict_error(report->verdict)
                     ? dwal_error_name(dwal_verdict_error(report->verdict))
                     : "");
    dw_json_number(&json, "row", report->row);
    dw_json_bool(&json, "is_repairable", report->is_repairable);
    dw_json_bool(&json, "has_live_writer", report->has_live_writer);
    dw_json_number(&json, "first", report->first);
    dw_json_number(&json, "end", report->end);
    dw_json_number(&json, "durable", report->durable);
    bool is_whole = report->verdict == DWAL_VERDICT_CLEAN || report->verdict == DWAL_VERDICT_END;
    dw_json_number_or_null(&json, "break_block", is_whole ? DWAL_NO_LSN : report->break_block, DWAL_NO_LSN);
    dw_json_number_or_null(&json, "break_volume", is_whole ? DWAL_NO_VOLUME : report->break_volume, DWAL_NO_VOLUME);
    dw_json_number(&json, "dropped_blocks", report->dropped_blocks);
    dw_json_number(&json, "dropped_bytes", report->dropped_bytes);
    dw_json_number(&json, "entries", report->entries);
    dw_json_number(&json, "volumes", report->volumes);
    dw_json_number(&json, "blocks_read", report->blocks_read);
    dw_json_number(&json, "findings", report->findings);
    dw_json_text(&json, "text", report->text);
    dw_json_end(&json);
}

static void print_report_text(const struct dwal_report *report)
{
    bool is_refused = dwal_verdict_error(report->verdict) != 0;
    enum dw_colour colour = is_refused ? DW_COLOUR_BAD : DW_COLOUR_GOOD;
    dw_output_format("%s%s%s  %s\n", dw_message_colour(STDOUT_FILENO, colour), dwal_verdict_name(report->verdict),
                     dw_message_colour(STDOUT_FILENO, DW_COLOUR_NONE), report->text);
    dw_output_format("lsn %" PRIu64 " to %" PRIu64 ", durable for certain to %" PRIu64 "; %" PRIu64 " entries, %" PRIu64
                     " volumes, %" PRIu64 " blocks read\n",
                     report->first, report->end, report->durable, report->entries, report->volumes,
                     report->blocks_read);
    if (report->dropped_blocks > 0 && !is_refused)
        dw_output_format("unfinished writes behind the end: %" PRIu64 " blocks, %" PRIu64
                         " bytes (never acknowledged)\n",
                         report->dropped_blocks, report->dropped_bytes);
    if (report->has_live_writer)
        dw_output_text("a writer is at work: the end is what the log on disk proves\n");
    if (report->is_repairable)
        dw_output_text("harmless damage was found; opening the log for writing, or time, mends what can be mended\n");
    if (is_refused)
        dw_output_format("to do: %s\n", dwal_error_action(dwal_verdict_error(report->verdict)));
}

static int run(int argument_count, char **arguments)
{
    const char *path;
    bool is_json = false, is_quick = false, is_tolerant = false, is_unsafe = false;
    uint64_t min_lsn = 0;
    const char *layer_name = NULL;
    const struct dw_option options[] = {
        DW_FLAG("json", &is_json, "one JSON object per finding, then one for the verdict"),
        DW_FLAG("quick", &is_quick, "read only what opening the log would read"),
        DW_FLAG("tolerant", &is_tolerant, "cut an uncertain end off, as DWAL_TOLERANT does"),
        DW_TEXT("layer", &layer_name, "NAME", "then check what a layer has written: " DW_LAYER_NAMES),
        DW_NUMBER("min-lsn", &min_lsn, "LSN", 0, DWAL_NO_LSN - 1, "you know that all before LSN was durable"),
        DW_FLAG("unsafe-buffered", &is_unsafe, "allow a file system without direct I/O"),
    };
    enum dw_parsed parsed =
        dw_options_parse(&dw_command_verify, options, DW_OPTION_COUNT(options), argument_count, arguments, &path);
    if (parsed != DW_PARSED_GO)
        return dw_options_status(parsed);
    const struct dw_layer *layer = layer_name ? dw_layer_find(layer_name) : NULL;
    if (layer_name && !layer)
        return DW_EXIT_WRONG;

    struct dwal_options open = DWAL_OPTIONS_INIT;
    open.is_unsafe_buffered = is_unsafe;
    open.min_lsn = min_lsn;
    open.recovery = is_tolerant ? DWAL_TOLERANT : DWAL_STRICT;
    struct dwal_info info = {.size = sizeof info};
    if (!is_quick)
        dw_progress_begin("reading", dwal_get_info(path, &open, &info) == 0 ? info.bytes_on_disk : 0);
    struct dwal_report report = {.size = sizeof report};
    int result = dwal_verify(path, &open, !is_quick, print_finding, &is_json, &report);
    dw_progress_end();
    if (result)
        return dw_message_library(path, result);
    if (is_json)
        print_report_json(&report);
    else
        print_report_text(&report);
    bool is_cut = is_tolerant && report.verdict == DWAL_VERDICT_UNCERTAIN;
    if (dwal_verdict_error(report.verdict) && !is_cut)
        return DW_EXIT_DAMAGE;
    const struct dw_layer_request request = {.path = path, .open = open, .is_json = is_json};
    return layer ? layer->verify(&request) : DW_EXIT_GOOD;
}

const struct dw_command dw_command_verify = {
    .name = "verify",
    .summary = "check everything and tell the verdict",
    .arguments = "PATH [OPTION...]",
    .about =
        "Read everything, check every checksum, tag, link and table, and tell the verdict with its place and reason.\n"
        "Verdicts that dwal_open accepts: CLEAN, END, TORN (an unfinished write at the end, never acknowledged).\n"
        "Verdicts that it refuses (exit status 2): UNCERTAIN, CORRUPT, MISDIRECTED, LOST, ROLLBACK, FOREIGN,\n"
        "VERSION, UNREADABLE. Writes nothing, works beside a live writer.",
    .examples = "  dwal verify /var/lib/app/log\n"
                "  dwal verify /var/lib/app/log --quick --json\n"
                "  dwal verify /var/lib/app/log --min-lsn 1048576\n"
                "  dwal verify /var/lib/member/log --layer raft\n",
    .run = run,
};
