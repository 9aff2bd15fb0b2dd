/* layer_indexed.c - the indexed log through the command: dump, verify, info.
 *
 * dump shows the entries that count, from one index to another; with --raw every entry in the order of the log, those too that
 * were truncated away since. Data is text where it is text, else hex, or what an external decoder makes of it. */
#include <inttypes.h>
#include <string.h>

#include <dwal/indexed.h>

#include "tools/decoder.h"
#include "tools/json.h"
#include "tools/layer.h"
#include "tools/message.h"
#include "tools/output.h"
#include "tools/tool.h"

struct dump {
    const struct dw_layer_request *request;
    struct dw_decoder decoder;
    uint64_t printed;
    bool has_failed; /* the decoder; told */
};

/* Read-only, also beside a live writer. */
static int open_to_read(const struct dw_layer_request *request, dwal_indexed **log)
{
    struct dwal_options base = request->open;
    struct dwal_indexed_options options = DWAL_INDEXED_OPTIONS_INIT;
    base.mode = DWAL_READ_ONLY;
    options.base = &base;
    return dwal_indexed_open(request->path, &options, log);
}

/* ---- dump ----------------------------------------------------------------------------------------------------------- */

static void print_json(const struct dump *dump, const struct dwal_indexed_record *record, const char *decoded)
{
    struct dw_json json;
    dw_json_begin(&json);
    dw_json_text(&json, "kind", "entry");
    if (dump->request->is_raw)
        dw_json_number(&json, "lsn", record->lsn);
    dw_json_number(&json, "index", record->index);
    dw_json_number(&json, "size", record->size);
    if (decoded)
        dw_json_bytes(&json, "decoded", decoded, strlen(decoded));
    else
        dw_json_bytes(&json, "data", record->data, record->size);
    dw_json_end(&json);
}

/* False: stop. */
static bool show(void *context, const struct dwal_indexed_record *record)
{
    struct dump *dump = context;
    const struct dw_layer_request *request = dump->request;
    const char *decoded = NULL;
    if (request->types && !dw_layer_has_word(request->types, "entry"))
        return true;
    if (request->decoder) {
        decoded = dw_decoder_ask(&dump->decoder, record->data, record->size);
        dump->has_failed = decoded == NULL;
        if (dump->has_failed)
            return false;
    }
    if (request->is_json) {
        print_json(dump, record, decoded);
    } else {
        if (request->is_raw)
            dw_output_format("lsn %-12" PRIu64 " ", record->lsn);
        dw_output_format("entry index %" PRIu64 " %zu bytes", record->index, record->size);
        dw_layer_print_data(record->data, record->size, decoded);
    }
    dump->printed++;
    bool is_full = request->limit != 0 && dump->printed >= request->limit;
    return !is_full && dw_output_failure() == 0;
}

static int dump_raw(struct dump *dump)
{
    const struct dw_layer_request *request = dump->request;
    struct dwal_indexed_dump how = {.size = sizeof how, .context = dump, .entry = show};
    how.after = request->has_from && request->from > 0 ? request->from - 1 : 0;
    how.before = request->to < UINT64_MAX ? request->to + 1 : 0;
    return dwal_indexed_dump_entries(request->path, &how);
}

static int dump_counting(struct dump *dump)
{
    const struct dw_layer_request *request = dump->request;
    struct dwal_indexed_record record;
    dwal_indexed_cursor *cursor = NULL;
    dwal_indexed *log = NULL;
    int result = open_to_read(request, &log);
    if (result < 0)
        return result;
    uint64_t from = dwal_indexed_first(log);
    from = request->has_from && request->from > from ? request->from : from;
    if (from > 0)
        result = dwal_indexed_cursor_open(log, from, &cursor);
    while (result == 0 && cursor) {
        result = dwal_indexed_cursor_next(cursor, &record);
        if (result == 0 && (record.index > request->to || !show(dump, &record)))
            break;
    }
    dwal_indexed_cursor_close(cursor);
    (void)dwal_indexed_close(log);
    return result == DWAL_EEND ? 0 : result;
}

static int dump_log(const struct dw_layer_request *request)
{
    struct dump dump = {.request = request, .decoder = {.pid = -1, .to = -1, .from = -1}};
    if (request->decoder && !dw_decoder_start(&dump.decoder, request->decoder))
        return DW_EXIT_WRONG;
    int result = request->is_raw ? dump_raw(&dump) : dump_counting(&dump);
    dw_decoder_stop(&dump.decoder);
    if (dump.has_failed)
        return DW_EXIT_WRONG;
    return result == 0 ? DW_EXIT_GOOD : dw_message_library(request->path, result);
}

/* ---- verify, info --------------------------------------------------------------------------------------------------- */

/* Every entry from the first to the last is there, and checks. */
static int verify(const struct dw_layer_request *request)
{
    struct dwal_indexed_record record;
    dwal_indexed_cursor *cursor = NULL;
    dwal_indexed *log = NULL;
    uint64_t first = 0, last = 0;
    int result = open_to_read(request, &log);
    if (result == 0)
        result = dwal_indexed_bounds(log, &first, &last);
    if (result == 0 && last > 0)
        result = dwal_indexed_cursor_open(log, first, &cursor);
    for (uint64_t index = first; result == 0 && cursor && index <= last; index++)
        result = dwal_indexed_cursor_next(cursor, &record);
    dwal_indexed_cursor_close(cursor);
    (void)dwal_indexed_close(log);
    if (result < 0)
        return dw_message_library(request->path, result);
    if (request->is_json) {
        struct dw_json json;
        dw_json_begin(&json);
        dw_json_text(&json, "kind", "indexed");
        dw_json_bool(&json, "is_sound", true);
        dw_json_number(&json, "first_index", first);
        dw_json_number(&json, "last_index", last);
        dw_json_end(&json);
    } else if (last > 0) {
        dw_output_format("indexed: sound, entries %" PRIu64 " to %" PRIu64 "\n", first, last);
    } else {
        dw_output_text("indexed: sound, and empty\n");
    }
    return DW_EXIT_GOOD;
}

static int tell_info(const struct dw_layer_request *request)
{
    dwal_indexed *log = NULL;
    uint64_t first = 0, last = 0;
    int result = open_to_read(request, &log);
    if (result == 0)
        result = dwal_indexed_bounds(log, &first, &last);
    uint64_t codec = log ? dwal_indexed_codec(log) : 0;
    (void)dwal_indexed_close(log);
    if (result < 0)
        return dw_message_library(request->path, result);
    if (request->is_json) {
        struct dw_json json;
        dw_json_begin(&json);
        dw_json_text(&json, "layer", "indexed");
        dw_json_number(&json, "first_index", first);
        dw_json_number(&json, "last_index", last);
        dw_json_number(&json, "entries", last > 0 ? last - first + 1 : 0);
        dw_json_number(&json, "codec", codec);
        dw_json_end(&json);
        return DW_EXIT_GOOD;
    }
    if (last > 0)
        dw_output_format("entries        index %" PRIu64 " to %" PRIu64 "\n", first, last);
    else
        dw_output_text("entries        none\n");
    dw_output_format("codec          %" PRIu64 "\n", codec);
    return DW_EXIT_GOOD;
}

const struct dw_layer dw_layer_indexed = {.name = "indexed", .dump = dump_log, .verify = verify, .info = tell_info};
