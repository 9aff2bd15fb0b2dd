/* info.c - dwal info: the facts of a log. Reads the superblock and the volumes' headers and tables, writes nothing. */
#include "tools/tool.h"

#include <inttypes.h>
#include <stdio.h>
#include <time.h>

#include <dwal/device.h>
#include <dwal/inspect.h>
#include <dwal/probe.h>

#include "tools/choice.h"
#include "tools/device.h"
#include "tools/json.h"
#include "tools/layer.h"
#include "tools/message.h"
#include "tools/options.h"
#include "tools/output.h"

static const char *fill_name(enum dwal_fill fill)
{
    switch (fill) {
    case DWAL_FILL_ALLOCATE:
        return "fallocate";
    case DWAL_FILL_ALLOCATE_ZERO:
        return "fallocate+zero";
    case DWAL_FILL_DEFAULT:
    case DWAL_FILL_ZERO:
        return "zero";
    }
    return "unknown";
}

static const char *log_id_text(const struct dwal_info *info, char text[33])
{
    for (size_t i = 0; i < sizeof info->log_id; i++)
        (void)snprintf(text + 2 * i, 3, "%02x", info->log_id[i]);
    return text;
}

static const char *time_text(uint64_t time_ns, char text[40])
{
    time_t seconds = (time_t)(time_ns / 1000000000u);
    struct tm parts;
    if (!gmtime_r(&seconds, &parts) || strftime(text, 40, "%Y-%m-%dT%H:%M:%SZ", &parts) == 0)
        (void)snprintf(text, 40, "%" PRIu64 " ns", time_ns);
    return text;
}

/* Of a log opened for writing with default options, as many volumes as there are now, no cursor. */
static uint64_t memory_bound(const struct dwal_info *info)
{
    struct dwal_options options = DWAL_OPTIONS_INIT;
    options.toc_length = info->toc_length;
    return dwal_memory_bound(&options, (uint64_t)info->volumes + info->blanks);
}

static void print_json(const struct dwal_info *info, const struct dwal_choice *choice, const char *path)
{
    char text[40];
    struct dw_json json;
    dw_json_begin(&json);
    dw_json_text(&json, "log_id", log_id_text(info, text));
    dw_json_number(&json, "format_version", info->format_version);
    dw_json_number(&json, "block_size", info->block_size);
    dw_json_number(&json, "sector_size", info->sector_size);
    dw_json_number(&json, "volume_size", info->volume_size);
    dw_json_number(&json, "payload_size", info->payload_size);
    dw_json_number(&json, "data_blocks", info->data_blocks);
    dw_json_number(&json, "toc_length", info->toc_length);
    dw_json_number(&json, "blanks", info->blanks);
    dw_json_number(&json, "magic_number", info->magic_number);
    dw_json_text(&json, "fill", fill_name(info->fill));
    dw_json_number(&json, "epoch", info->epoch);
    dw_json_number(&json, "trim", info->trim);
    dw_json_bool(&json, "is_clean", info->is_clean);
    dw_json_number_or_null(&json, "clean_end", info->is_clean ? info->clean_end : DWAL_NO_LSN, DWAL_NO_LSN);
    dw_json_bool(&json, "has_live_writer", info->has_live_writer);
    dw_json_number_or_null(&json, "claimed", info->claimed, DWAL_NO_VOLUME);
    dw_json_number_or_null(&json, "head", info->head, DWAL_NO_VOLUME);
    dw_json_number(&json, "volumes", info->volumes);
    dw_json_number(&json, "blanks_ready", info->blanks_ready);
    dw_json_number(&json, "bytes_on_disk", info->bytes_on_disk);
    dw_json_number(&json, "memory_bound", memory_bound(info));
    dw_json_number(&json, "create_time_ns", info->create_time_ns);
    dw_json_number(&json, "write_time_ns", info->write_time_ns);
    dw_json_number(&json, "feature_compat", info->feature_compat);
    dw_json_number(&json, "feature_ro_compat", info->feature_ro_compat);
    dw_json_number(&json, "feature_incompat", info->feature_incompat);
    if (choice)
        dw_choice_json(&json, choice);
    (void)dw_device_print_json(path, &json); /* nothing in a directory */
    dw_json_end(&json);
}

/* What an open would take by what is known now. */
static void print_choice(const struct dwal_choice *choice)
{
    char text[40], time[16];
    dw_output_format("backend        %s, %s (%s", choice->backend, dw_choice_way(choice->backend, choice->way),
                     dwal_chosen_by_text(choice->chosen_by));
    if (choice->measured_time_ns > 0)
        dw_output_format(", %s%s", time_text(choice->measured_time_ns, text),
                         choice->is_stale ? "; latencies drifted since: the next open measures again" : "");
    dw_output_text(")\n");
    for (uint32_t i = 0; i < choice->timing_count; i++) {
        const struct dwal_timing *row = &choice->timings[i];
        if (row->size == 4096)
            dw_output_format("               4 KiB %-9s %-20s %8s at the median, 99 %% within %s\n", row->backend,
                             dw_choice_way(row->backend, row->way), dw_choice_time(row->p50_ns, text),
                             dw_choice_time(row->p99_ns, time));
    }
    for (uint32_t i = 0; i < choice->reason_count; i++) {
        dw_output_text("               ");
        dw_choice_wrap(choice->reasons[i], 15, 110);
    }
}

static void print_text(const struct dwal_info *info)
{
    char text[40];
    dw_output_format("log            %s, format %" PRIu32 ", magic number %" PRIu32 "\n", log_id_text(info, text),
                     info->format_version, info->magic_number);
    dw_output_format("state          %s%s\n", info->is_clean ? "closed cleanly" : "open, or not closed",
                     info->has_live_writer ? ", a writer is at work" : "");
    dw_output_format("geometry       volumes of %" PRIu64 " bytes, %" PRIu32 " data blocks of %" PRIu32
                     " bytes (%" PRIu32 " payload), sectors of %" PRIu32 "\n",
                     info->volume_size, info->data_blocks, info->block_size, info->payload_size, info->sector_size);
    dw_output_format("positions      lsn = (volume * %" PRIu32 " + block) * %" PRIu32 " + offset\n", info->data_blocks,
                     info->payload_size);
    dw_output_format("volumes        %" PRIu32 " in use, %" PRIu32 " blank of %" PRIu32 " wanted, %" PRIu64
                     " bytes on disk\n",
                     info->volumes, info->blanks_ready, info->blanks, info->bytes_on_disk);
    if (info->head != DWAL_NO_VOLUME)
        dw_output_format("head           volume %" PRIu32 ", claimed up to %" PRIu32 "\n", info->head, info->claimed);
    dw_output_format("trim           lsn %" PRIu64 "\n", info->trim);
    if (info->is_clean)
        dw_output_format("clean end      lsn %" PRIu64 "\n", info->clean_end);
    dw_output_format("epoch          %" PRIu64 "\n", info->epoch);
    dw_output_format("fill           %s, table of contents %" PRIu32 " bytes\n", fill_name(info->fill),
                     info->toc_length);
    dw_output_format("memory         at most %" PRIu64 " bytes when open for writing with default options\n",
                     memory_bound(info));
    dw_output_format("created        %s\n", time_text(info->create_time_ns, text));
    dw_output_format("written        %s (superblock)\n", time_text(info->write_time_ns, text));
    if (info->feature_compat | info->feature_ro_compat | info->feature_incompat)
        dw_output_format("features       compatible 0x%" PRIx32 ", read-only compatible 0x%" PRIx32
                         ", incompatible 0x%" PRIx32 "\n",
                         info->feature_compat, info->feature_ro_compat, info->feature_incompat);
}

/* The device alone. */
static bool print_device(const char *path, bool is_json)
{
    if (!is_json)
        return dw_device_print_text(path);
    struct dwal_device device = {.size = sizeof device};
    if (dwal_get_device(path, &device, NULL, NULL) != 0)
        return false;
    struct dw_json json;
    dw_json_begin(&json);
    bool is_done = dw_device_print_json(path, &json);
    dw_json_end(&json);
    return is_done;
}

static int run(int argument_count, char **arguments)
{
    const char *path;
    bool is_json = false, is_unsafe = false;
    const char *layer_name = NULL;
    const struct dw_option options[] = {
        DW_FLAG("json", &is_json, "one JSON object"),
        DW_TEXT("layer", &layer_name, "NAME", "the facts of a layer's content, instead: " DW_LAYER_NAMES),
        DW_FLAG("unsafe-buffered", &is_unsafe, "allow a file system without direct I/O"),
    };
    enum dw_parsed parsed =
        dw_options_parse(&dw_command_info, options, DW_OPTION_COUNT(options), argument_count, arguments, &path);
    if (parsed != DW_PARSED_GO)
        return dw_options_status(parsed);
    struct dwal_options open = DWAL_OPTIONS_INIT;
    open.is_unsafe_buffered = is_unsafe;
    if (layer_name) {
        const struct dw_layer *layer = dw_layer_find(layer_name);
        const struct dw_layer_request request = {.path = path, .open = open, .is_json = is_json};
        return layer ? layer->info(&request) : DW_EXIT_WRONG;
    }
    struct dwal_info info = {.size = sizeof info};
    int result = dwal_get_info(path, &open, &info);
    const struct dwal_error first = *dwal_last_error();
    if ((result == DWAL_EARGUMENT || result == DWAL_ENOLOG) && print_device(path, is_json))
        return DW_EXIT_GOOD; /* it holds no log, or several */
    if (result) {
        (void)dwal_set_error(&first); /* what the look for a device says is beside the point */
        return dw_message_library(path, result);
    }
    struct dwal_choice choice = {.size = sizeof choice};
    bool has_choice = dwal_foresee_choice(path, &open, &choice) == 0;
    if (is_json) {
        print_json(&info, has_choice ? &choice : NULL, path);
    } else {
        print_text(&info);
        (void)dw_device_print_text(path); /* nothing in a directory */
    }
    if (!is_json && has_choice)
        print_choice(&choice);
    return DW_EXIT_GOOD;
}

const struct dw_command dw_command_info = {
    .name = "info",
    .summary = "tell the facts of a log",
    .arguments = "PATH [OPTION...]",
    .about =
        "Tell the facts of a log: identity, geometry, state, volumes, trim point. Reads only the superblock and the\n"
        "volumes' headers; whether the log is sound is what `dwal verify` tells. Of a device also its slots, their "
        "wear,\n"
        "and all logs that share it.",
    .examples = "  dwal info /var/lib/app/log\n"
                "  dwal info /var/lib/app/log --json | jq .bytes_on_disk\n",
    .run = run,
};
