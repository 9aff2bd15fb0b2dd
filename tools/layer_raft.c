/* layer_raft.c - the Raft log through the command: dump, verify, info.
 *
 * dump shows what counts (metadata, state, entries from an index on), or with --raw every record as it lies in the log. Data
 * is text where it is text, else hex, or what an external decoder makes of it. A snapshot that is not there is no fault of a
 * dump: nobody asked for it. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include <dwal/inspect.h>
#include <dwal/raft.h>

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

static struct dwal_raft_options options_of(const struct dw_layer_request *request)
{
    struct dwal_raft_options options = DWAL_RAFT_OPTIONS_INIT;
    options.log = &request->open;
    return options;
}

/* ---- one record ----------------------------------------------------------------------------------------------------- */

static bool is_in_range(const struct dump *dump, const struct dwal_raft_record *record)
{
    bool has_index = record->kind == DWAL_RAFT_ENTRY || record->kind == DWAL_RAFT_SNAPSHOT;
    return !has_index || (record->index >= dump->request->from && record->index <= dump->request->to);
}

/* --type: a kind's name, or of entries "entry:N" or the number alone. */
static bool is_wanted(const struct dump *dump, const struct dwal_raft_record *record)
{
    const char *types = dump->request->types;
    if (!is_in_range(dump, record))
        return false;
    if (!types || dw_layer_has_word(types, dwal_raft_kind_name(record->kind)))
        return true;
    char number[16], named[24];
    (void)snprintf(number, sizeof number, "%" PRIu32, record->type);
    (void)snprintf(named, sizeof named, "entry:%" PRIu32, record->type);
    return record->kind == DWAL_RAFT_ENTRY && (dw_layer_has_word(types, number) || dw_layer_has_word(types, named));
}

static void print_text(const struct dump *dump, const struct dwal_raft_record *record, const char *decoded)
{
    if (dump->request->is_raw)
        dw_output_format("lsn %-12" PRIu64 " ", record->lsn);
    dw_output_format("%-9s", dwal_raft_kind_name(record->kind));
    if (record->kind == DWAL_RAFT_HEAD && dump->request->is_raw)
        dw_output_format(" segment %" PRIu64 " index %" PRIu64, record->sequence, record->index);
    if (record->kind == DWAL_RAFT_STATE || record->kind == DWAL_RAFT_HEAD)
        dw_output_format(" term %" PRIu64 " vote %" PRIu64 " commit %" PRIu64, record->state.term, record->state.vote,
                         record->state.commit);
    if (record->kind == DWAL_RAFT_ENTRY || record->kind == DWAL_RAFT_SNAPSHOT)
        dw_output_format(" index %" PRIu64 " term %" PRIu64, record->index, record->term);
    if (record->kind == DWAL_RAFT_ENTRY)
        dw_output_format(" type %" PRIu32, record->type);
    dw_output_format(" %zu bytes", record->size);
    dw_layer_print_data(record->data, record->size, decoded);
}

static void print_json(const struct dump *dump, const struct dwal_raft_record *record, const char *decoded)
{
    bool is_head = record->kind == DWAL_RAFT_HEAD, is_entry = record->kind == DWAL_RAFT_ENTRY;
    struct dw_json json;
    dw_json_begin(&json);
    dw_json_text(&json, "kind", dwal_raft_kind_name(record->kind));
    if (dump->request->is_raw)
        dw_json_number(&json, "lsn", record->lsn);
    if (is_head && dump->request->is_raw)
        dw_json_number(&json, "sequence", record->sequence);
    if (is_entry || record->kind == DWAL_RAFT_SNAPSHOT || (is_head && dump->request->is_raw))
        dw_json_number(&json, "index", record->index);
    if (is_entry || record->kind == DWAL_RAFT_SNAPSHOT)
        dw_json_number(&json, "term", record->term);
    if (is_entry)
        dw_json_number(&json, "type", record->type);
    if (is_head || record->kind == DWAL_RAFT_STATE) {
        dw_json_number(&json, "term", record->state.term);
        dw_json_number(&json, "vote", record->state.vote);
        dw_json_number(&json, "commit", record->state.commit);
    }
    dw_json_number(&json, "size", record->size);
    if (decoded)
        dw_json_bytes(&json, "decoded", decoded, strlen(decoded));
    else
        dw_json_bytes(&json, "data", record->data, record->size);
    dw_json_end(&json);
}

/* False: stop. */
static bool show(struct dump *dump, const struct dwal_raft_record *record)
{
    const char *decoded = NULL;
    if (!is_wanted(dump, record))
        return true;
    if (dump->request->decoder && record->kind == DWAL_RAFT_ENTRY) {
        decoded = dw_decoder_ask(&dump->decoder, record->data, record->size);
        dump->has_failed = decoded == NULL;
        if (dump->has_failed)
            return false;
    }
    if (dump->request->is_json)
        print_json(dump, record, decoded);
    else
        print_text(dump, record, decoded);
    dump->printed++;
    bool is_full = dump->request->limit != 0 && dump->printed >= dump->request->limit;
    return !is_full && dw_output_failure() == 0;
}

/* ---- dump ----------------------------------------------------------------------------------------------------------- */

static bool raw_wanted(void *context, const struct dwal_raft_record *record)
{
    return is_wanted(context, record);
}

static bool raw_record(void *context, const struct dwal_raft_record *record)
{
    return show(context, record);
}

static int dump_raw(struct dump *dump)
{
    struct dwal_raft_options options = options_of(dump->request);
    struct dwal_raft_scan scan = {
        .size = sizeof scan, .context = dump, .wanted = raw_wanted, .record = raw_record, .is_raw = true};
    int result = dwal_raft_scan(dump->request->path, &options, &scan);
    if (result == 0)
        return DW_EXIT_GOOD;
    if (scan.passed_over > 0)
        dw_message_warning("damage was passed over at %" PRIu64 " places; the first:", scan.passed_over);
    return dw_message_library(dump->request->path, result);
}

static bool show_entry(void *context, const struct dwal_raft_entry *entry)
{
    struct dump *dump = context;
    struct dwal_raft_record record = {
        .kind = DWAL_RAFT_ENTRY,
        .index = entry->index,
        .term = entry->term,
        .type = entry->type,
        .data = entry->data,
        .size = entry->size,
    };
    return entry->index <= dump->request->to && show(dump, &record);
}

/* Where to open: before the index that was asked for, else before the oldest entry from which none is missing. */
static int choose_start(const struct dw_layer_request *request, struct dwal_raft_snapshot *start)
{
    struct dwal_raft_options options = options_of(request);
    struct dwal_raft_info info = {.size = sizeof info};
    struct dwal_raft_snapshots *snapshots = NULL;
    int result = dwal_raft_get_info(request->path, &options, &info);
    if (result == 0)
        result = dwal_raft_get_snapshots(request->path, &options, &snapshots);
    if (result < 0 || !snapshots)
        return result;
    uint64_t first = info.first_index > 0 ? info.first_index : info.last_index + 1;
    start->index = (request->has_from && request->from > first ? request->from : first) - 1;
    for (size_t i = 0; i < snapshots->count; i++)
        if (snapshots->snapshots[i].index == start->index)
            start->term = snapshots->snapshots[i].term;
    if (start->index == info.snapshot_index)
        start->term = info.snapshot_term;
    dwal_raft_snapshots_free(snapshots);
    return 0;
}

static int dump_counting(struct dump *dump)
{
    const struct dw_layer_request *request = dump->request;
    struct dwal_raft_options options = options_of(request);
    struct dwal_options open = request->open;
    struct dwal_raft_snapshot start = {0};
    struct dwal_raft_content *content = NULL;
    dwal_raft *raft = NULL;
    open.mode = DWAL_READ_ONLY;
    options.log = &open;
    int result = choose_start(request, &start);
    if (result == 0)
        result = dwal_raft_open(request->path, &start, &options, &raft);
    if (result == 0)
        result = dwal_raft_read(raft, show_entry, dump, &content);
    int status =
        result == 0 || result == DWAL_ERAFT_NO_SNAPSHOT ? DW_EXIT_GOOD : dw_message_library(request->path, result);
    if (content) { /* behind the entries: only now they are known */
        struct dwal_raft_record head = {
            .kind = DWAL_RAFT_HEAD, .state = content->state, .data = content->metadata, .size = content->metadata_size};
        bool is_full = request->limit != 0 && dump->printed >= request->limit;
        if (!is_full && !dump->has_failed)
            (void)show(dump, &head);
    }
    dwal_raft_content_free(content);
    (void)dwal_raft_close(raft);
    return status;
}

static int dump_log(const struct dw_layer_request *request)
{
    struct dump dump = {.request = request, .decoder = {.pid = -1, .to = -1, .from = -1}};
    if (request->decoder && !dw_decoder_start(&dump.decoder, request->decoder))
        return DW_EXIT_WRONG;
    int status = request->is_raw ? dump_raw(&dump) : dump_counting(&dump);
    dw_decoder_stop(&dump.decoder);
    return dump.has_failed ? DW_EXIT_WRONG : status;
}

/* ---- verify, info --------------------------------------------------------------------------------------------------- */

static int verify(const struct dw_layer_request *request)
{
    struct dwal_raft_options options = options_of(request);
    struct dwal_raft_snapshots *snapshots = NULL;
    struct dwal_raft_snapshot newest = {0};
    struct dwal_raft_state state = {0};
    int result = dwal_raft_get_snapshots(request->path, &options, &snapshots);
    bool has_snapshot = result == 0 && snapshots->count > 0;
    if (has_snapshot) {
        newest = snapshots->snapshots[snapshots->count - 1];
        result = dwal_raft_verify(request->path, &newest, &options, &state);
    }
    dwal_raft_snapshots_free(snapshots);
    if (result < 0)
        return dw_message_library(request->path, result);
    if (request->is_json) {
        struct dw_json json;
        dw_json_begin(&json);
        dw_json_text(&json, "kind", "raft");
        dw_json_bool(&json, "is_sound", true);
        dw_json_number_or_null(&json, "snapshot", has_snapshot ? newest.index : UINT64_MAX, UINT64_MAX);
        dw_json_end(&json);
    } else if (has_snapshot) {
        dw_output_format("raft: sound from the newest valid snapshot on, index %" PRIu64 " term %" PRIu64 "\n",
                         newest.index, newest.term);
    } else {
        dw_output_text("raft: sound; there is no valid snapshot to start from\n");
    }
    return DW_EXIT_GOOD;
}

static void print_info_json(const struct dwal_raft_info *info)
{
    struct dw_json json;
    dw_json_begin(&json);
    dw_json_text(&json, "layer", "raft");
    dw_json_number(&json, "format_version", info->format_version);
    dw_json_number(&json, "term", info->state.term);
    dw_json_number(&json, "vote", info->state.vote);
    dw_json_number(&json, "commit", info->state.commit);
    dw_json_number(&json, "first_index", info->first_index);
    dw_json_number(&json, "last_index", info->last_index);
    dw_json_number(&json, "snapshot_index", info->snapshot_index);
    dw_json_number(&json, "snapshot_term", info->snapshot_term);
    dw_json_number(&json, "segments", info->segments);
    dw_json_number(&json, "first_sequence", info->first_sequence);
    dw_json_number(&json, "last_sequence", info->last_sequence);
    dw_json_number(&json, "entries", info->entries);
    dw_json_number(&json, "states", info->states);
    dw_json_number(&json, "snapshots", info->snapshots);
    dw_json_number(&json, "data_bytes", info->data_bytes);
    dw_json_number(&json, "metadata_size", info->metadata_size);
    dw_json_end(&json);
}

static int tell_info(const struct dw_layer_request *request)
{
    struct dwal_raft_options options = options_of(request);
    struct dwal_raft_info info = {.size = sizeof info};
    int result = dwal_raft_get_info(request->path, &options, &info);
    if (result < 0)
        return dw_message_library(request->path, result);
    if (request->is_json) {
        print_info_json(&info);
        return DW_EXIT_GOOD;
    }
    dw_output_format("raft           format %" PRIu32 " is needed to read it\n", info.format_version);
    dw_output_format("state          term %" PRIu64 ", vote %" PRIu64 ", commit %" PRIu64 "\n", info.state.term,
                     info.state.vote, info.state.commit);
    dw_output_format("entries        index %" PRIu64 " to %" PRIu64 "; %" PRIu64 " records, %" PRIu64 " bytes\n",
                     info.first_index, info.last_index, info.entries, info.data_bytes);
    dw_output_format("snapshots      %" PRIu64 ", the last one at index %" PRIu64 " term %" PRIu64 "\n", info.snapshots,
                     info.snapshot_index, info.snapshot_term);
    dw_output_format("segments       %" PRIu64 ", numbers %" PRIu64 " to %" PRIu64 "\n", info.segments,
                     info.first_sequence, info.last_sequence);
    dw_output_format("metadata       %" PRIu64 " bytes\n", info.metadata_size);
    return DW_EXIT_GOOD;
}

const struct dw_layer dw_layer_raft = {.name = "raft", .dump = dump_log, .verify = verify, .info = tell_info};
