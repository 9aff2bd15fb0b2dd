/* dump.c - dwal dump: every structure of a log or of one volume file, with its place.
 *
 * Happy path: dwal_dump calls back for each structure in the order on disk -> one line each. Nothing is judged: damaged
 * structures are listed as such and the exit status tells that some were met. */
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

struct dump {
    bool is_json, has_records;
    uint64_t limit, printed, unsound;
};

static const char *kind_name(enum dwal_item_kind kind)
{
    switch (kind) {
    case DWAL_ITEM_SUPERBLOCK:
        return "superblock";
    case DWAL_ITEM_VOLUME_HEADER:
        return "header";
    case DWAL_ITEM_BLOCK:
        return "block";
    case DWAL_ITEM_RECORD:
        return "record";
    case DWAL_ITEM_SPILL:
        return "spill";
    case DWAL_ITEM_TOC:
        return "toc";
    case DWAL_ITEM_TABLE:
        return "table";
    case DWAL_ITEM_BLANK:
        return "blank";
    case DWAL_ITEM_DEVICE:
        return "device";
    case DWAL_ITEM_SLOT:
        return "slot";
    }
    return "unknown";
}

static void print_json(const struct dwal_item *item)
{
    struct dw_json json;
    dw_json_begin(&json);
    dw_json_text(&json, "kind", kind_name(item->kind));
    dw_json_text(&json, "file", item->file);
    dw_json_number(&json, "offset", item->offset);
    dw_json_number(&json, "size", item->size);
    dw_json_number_or_null(&json, "volume", item->volume, DWAL_NO_VOLUME);
    dw_json_number_or_null(&json, "lsn", item->lsn, DWAL_NO_LSN);
    dw_json_bool(&json, "is_sound", item->is_sound);
    dw_json_text(&json, "text", item->text);
    dw_json_end(&json);
}

static void print_text(const struct dwal_item *item)
{
    enum dw_colour colour = item->is_sound ? DW_COLOUR_NONE : DW_COLOUR_BAD;
    dw_output_format("%-16s %10" PRIu64 " %8" PRIu64 "  %-10s %s%s%s  %s\n", item->file, item->offset, item->size,
                     kind_name(item->kind), item->is_sound ? "" : dw_message_colour(STDOUT_FILENO, colour),
                     item->is_sound ? "ok " : "BAD",
                     item->is_sound ? "" : dw_message_colour(STDOUT_FILENO, DW_COLOUR_NONE), item->text);
}

static bool print_item(void *context, const struct dwal_item *item)
{
    struct dump *dump = context;
    bool is_record = item->kind == DWAL_ITEM_RECORD || item->kind == DWAL_ITEM_SPILL;
    if (!item->is_sound)
        dump->unsound++;
    if (is_record && !dump->has_records && item->is_sound)
        return true;
    if (dump->is_json)
        print_json(item);
    else
        print_text(item);
    dump->printed++;
    return (dump->limit == 0 || dump->printed < dump->limit) && dw_output_failure() == 0;
}

static int dump_layer(const char *name, const char *path, const struct dwal_options *open, const struct dump *dump,
                      struct dw_layer_request *request)
{
    const struct dw_layer *layer = dw_layer_find(name);
    if (!layer)
        return DW_EXIT_WRONG;
    request->path = path;
    request->open = *open;
    request->is_json = dump->is_json;
    request->limit = dump->limit;
    request->has_from = request->from != UINT64_MAX;
    if (!request->has_from)
        request->from = 0;
    return layer->dump(request);
}

static int run(int argument_count, char **arguments)
{
    const char *path;
    struct dump dump = {0};
    bool is_unsafe = false;
    const char *layer = NULL;
    struct dw_layer_request request = {.from = UINT64_MAX, .to = UINT64_MAX};
    const struct dw_option options[] = {
        DW_FLAG("json", &dump.is_json, "one JSON object per line"),
        DW_FLAG("records", &dump.has_records, "records too, not only damaged ones"),
        DW_NUMBER("limit", &dump.limit, "N", 1, 0, "stop after N lines"),
        DW_TEXT("layer", &layer, "NAME", "what a layer has written, instead: " DW_LAYER_NAMES),
        DW_NUMBER("from", &request.from, "INDEX", 0, UINT64_MAX - 1, "of a layer: from this index on"),
        DW_NUMBER("to", &request.to, "INDEX", 0, 0, "of a layer: up to this index"),
        DW_TEXT("type", &request.types, "LIST",
                "of a layer: only these kinds or types of entries, with commas between"),
        DW_TEXT("decoder", &request.decoder, "COMMAND", "of a layer: answers each line of hex with a line of text"),
        DW_FLAG("raw", &request.is_raw, "of a layer: every record as it lies in the log, on past damage"),
        DW_FLAG("unsafe-buffered", &is_unsafe, "allow a file system without direct I/O"),
    };
    enum dw_parsed parsed =
        dw_options_parse(&dw_command_dump, options, DW_OPTION_COUNT(options), argument_count, arguments, &path);
    if (parsed != DW_PARSED_GO)
        return dw_options_status(parsed);
    struct dwal_options open = DWAL_OPTIONS_INIT;
    open.is_unsafe_buffered = is_unsafe;
    if (layer)
        return dump_layer(layer, path, &open, &dump, &request);
    if (request.from != UINT64_MAX || request.to != UINT64_MAX || request.types || request.decoder || request.is_raw) {
        dw_message_error("give --layer, too", "--from, --to, --type, --decoder and --raw belong to a layer");
        return DW_EXIT_WRONG;
    }
    if (!isatty(STDOUT_FILENO)) {
        struct dwal_info info = {.size = sizeof info};
        dw_progress_begin("reading", dwal_get_info(path, &open, &info) == 0 ? info.bytes_on_disk : 0);
    }
    int result = dwal_dump(path, &open, print_item, &dump);
    dw_progress_end();
    if (result)
        return dw_message_library(path, result);
    return dump.unsound > 0 ? DW_EXIT_DAMAGE : DW_EXIT_GOOD;
}

const struct dw_command dw_command_dump = {
    .name = "dump",
    .summary = "list every structure on disk",
    .arguments = "PATH|VOLUME-FILE [OPTION...]",
    .about =
        "List every structure of a log, or of one volume file, in the order on disk: file, offset, size, kind, "
        "whether\n"
        "it checks, and its fields. Works on damaged logs, on single volume files and without a superblock. Exit\n"
        "status 2 when a structure does not check; whether that is harm or an unfinished write, `dwal verify` tells.\n"
        "With --layer: what a layer on top of the log has written.",
    .examples =
        "  dwal dump /var/lib/app/log\n"
        "  dwal dump /var/lib/app/log/0000000007.vol --records\n"
        "  dwal dump /var/lib/app/log --json | jq -c 'select(.is_sound | not)'\n"
        "  dwal dump /var/lib/member/log --layer raft --from 1000 --to 1999 --type entry:0 --decoder ./decode\n",
    .run = run,
};
