/* probe.c - dwal probe: what a place is like for a log, measured, and what dwal would choose there.
 *
 * Happy path: dwal_probe looks and measures -> facts, figures, choice, as text or JSON. Failure: the library's text.
 * A signal ends the measurement early; what was measured until then is told. */
#include "tools/tool.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <dwal/probe.h>

#include "tools/choice.h"
#include "tools/message.h"
#include "tools/options.h"
#include "tools/output.h"
#include "tools/signals.h"

#define SECOND_NS UINT64_C(1000000000)

enum { LABEL_WIDTH = 30, VALUE_WIDTH = 34, PAGE_WIDTH = 110 };

static bool is_stopped(void *context)
{
    (void)context;
    return dw_signals_came();
}

/* ---- for people ---- */

static const char *colour(enum dw_colour which)
{
    return dw_message_colour(1, which);
}
static const char *plain(void)
{
    return dw_message_colour(1, DW_COLOUR_NONE);
}

static void print_fact(const struct dwal_fact *fact)
{
    enum dw_colour which = fact->mark == DWAL_MARK_ALARM    ? DW_COLOUR_BAD
                           : fact->mark == DWAL_MARK_NOTICE ? DW_COLOUR_WARN
                                                            : DW_COLOUR_NONE;
    dw_output_format("  %-*s %s%-*s%s  %s%s%s\n", LABEL_WIDTH, fact->label, colour(which), VALUE_WIDTH, fact->value,
                     plain(), colour(DW_COLOUR_FAINT), fact->source, plain());
    if (!fact->note[0])
        return;
    const char *sign = fact->mark == DWAL_MARK_ALARM ? "! " : "";
    dw_output_format("  %*s %s%s", LABEL_WIDTH, "", sign, "");
    dw_choice_wrap(fact->note, LABEL_WIDTH + 3 + strlen(sign), PAGE_WIDTH);
}

static void size_text(uint32_t size, char text[16])
{
    (void)snprintf(text, 16, size < 1u << 20 ? "%" PRIu32 " KiB" : "%" PRIu32 " MiB",
                   size < 1u << 20 ? size >> 10 : size >> 20);
}

/* By size, then by the median; rows without figures last. */
static int compare_timings(const void *a, const void *b)
{
    const struct dwal_timing *left = a, *right = b;
    if (left->size != right->size)
        return left->size < right->size ? -1 : 1;
    if ((left->count == 0) != (right->count == 0))
        return left->count == 0 ? 1 : -1;
    return (left->p50_ns > right->p50_ns) - (left->p50_ns < right->p50_ns);
}

static void print_timing(const struct dwal_timing *timing, bool is_first)
{
    char size[16] = "", p50[16], p90[16], p99[16], max[16], way[48];
    if (is_first)
        size_text(timing->size, size);
    (void)snprintf(way, sizeof way, "%s%s", dw_choice_way(timing->backend, timing->way),
                   timing->is_unwritten ? ", unwritten space" : "");
    dw_output_format("  %-8s %-9s %-32s %9s %9s %9s %9s %8" PRIu32 "\n", size, timing->backend, way,
                     dw_choice_time(timing->p50_ns, p50), dw_choice_time(timing->p90_ns, p90),
                     dw_choice_time(timing->p99_ns, p99), dw_choice_time(timing->max_ns, max), timing->count);
}

/* One line for each backend that answered nothing but an error. */
static void print_missing(const struct dwal_probe *probe)
{
    const char *told = "";
    for (uint32_t i = 0; i < probe->timing_count; i++) {
        const struct dwal_timing *timing = &probe->timings[i];
        if (timing->count > 0 || !timing->system_error || strcmp(timing->backend, told) == 0)
            continue;
        told = timing->backend;
        const char *why =
            timing->system_error == EOPNOTSUPP ? "not built in, or not possible here" : strerror(timing->system_error);
        dw_output_format("  %-8s %-9s %s%s%s\n", "", told, colour(DW_COLOUR_FAINT), why, plain());
    }
}

static void print_timings(struct dwal_probe *probe)
{
    if (probe->not_measured[0]) {
        dw_output_text("\nNot measured: ");
        dw_choice_wrap(probe->not_measured, sizeof "Not measured: " - 1, PAGE_WIDTH);
        return;
    }
    char where[320];
    (void)snprintf(where, sizeof where, "How long until a write is on stable storage, one at a time, in %s.",
                   probe->where);
    dw_output_text("\n");
    dw_choice_wrap(where, 0, PAGE_WIDTH);
    dw_output_format("(%" PRIu64 " rounds in %.1f s; every way once in each round, in an order of its own)\n\n",
                     probe->rounds, (double)probe->elapsed_ns / (double)SECOND_NS);
    dw_output_format("  %-8s %-9s %-32s %9s %9s %9s %9s %8s\n", "size", "", "", "median", "90 %", "99 %", "longest",
                     "trials");
    qsort(probe->timings, probe->timing_count, sizeof probe->timings[0], compare_timings);
    uint32_t size = 0;
    for (uint32_t i = 0; i < probe->timing_count; i++) {
        if (probe->timings[i].count == 0)
            continue;
        print_timing(&probe->timings[i], probe->timings[i].size != size);
        size = probe->timings[i].size;
    }
    print_missing(probe);
}

static void print_choice(const struct dwal_choice *choice)
{
    dw_output_format("\ndwal would choose here: %s%s%s (%s)\n", colour(DW_COLOUR_GOOD), choice->backend, plain(),
                     dw_choice_way(choice->backend, choice->way));
    for (uint32_t i = 0; i < choice->reason_count; i++) {
        dw_output_text("  - ");
        dw_choice_wrap(choice->reasons[i], 4, PAGE_WIDTH);
    }
    if (choice->order_count > 1) {
        dw_output_text("  - Where that is forbidden, then:");
        for (uint32_t i = 1; i < choice->order_count; i++)
            dw_output_format("%s %s", i > 1 ? "," : "", choice->order[i]);
        dw_output_text(".\n");
    }
    if (choice->write_size_max > 0) {
        char size[16];
        size_text(choice->write_size_max, size);
        dw_output_format("  - Largest single write: %s. Block of a new log: %" PRIu32 " bytes.\n", size,
                         choice->block_size);
    }
}

static void print_text(const char *path, struct dwal_probe *probe)
{
    dw_output_path(path);
    dw_output_format(": %s\n\n", probe->is_device ? "a block device" : "a directory");
    for (uint32_t i = 0; i < probe->fact_count; i++)
        print_fact(&probe->facts[i]);
    print_timings(probe);
    print_choice(&probe->choice);
}

/* ---- for programs ---- */

static const char *mark_name(enum dwal_mark mark)
{
    return mark == DWAL_MARK_ALARM ? "alarm" : mark == DWAL_MARK_NOTICE ? "notice" : "plain";
}

static void print_json(const char *path, const struct dwal_probe *probe)
{
    struct dw_json json;
    dw_json_begin(&json);
    dw_json_text(&json, "path", path);
    dw_json_text(&json, "kind", probe->is_device ? "device" : "directory");
    dw_json_open_list(&json, "facts");
    for (uint32_t i = 0; i < probe->fact_count; i++) {
        const struct dwal_fact *fact = &probe->facts[i];
        dw_json_open_object(&json, NULL);
        dw_json_text(&json, "name", fact->name);
        dw_json_text(&json, "value", fact->value);
        dw_json_text(&json, "source", fact->source);
        dw_json_text(&json, "mark", mark_name(fact->mark));
        dw_json_text(&json, "note", fact->note);
        dw_json_close_object(&json);
    }
    dw_json_close_list(&json);
    if (probe->not_measured[0])
        dw_json_text(&json, "not_measured", probe->not_measured);
    dw_json_number(&json, "rounds", probe->rounds);
    dw_json_number(&json, "elapsed_ns", probe->elapsed_ns);
    dw_json_open_list(&json, "timings");
    for (uint32_t i = 0; i < probe->timing_count; i++)
        dw_choice_timing_json(&json, &probe->timings[i]);
    dw_json_close_list(&json);
    dw_choice_json(&json, &probe->choice);
    dw_json_end(&json);
}

static int run(int argument_count, char **arguments)
{
    const char *path;
    uint64_t seconds = 0;
    bool is_json = false, is_quick = false, is_facts = false, is_unsafe = false;
    const struct dw_option options[] = {
        DW_NUMBER("seconds", &seconds, "N", 1, 600, "measure for so long; default 5"),
        DW_FLAG("quick", &is_quick, "measure for 1 second"),
        DW_FLAG("facts", &is_facts, "measure nothing: the facts alone"),
        DW_FLAG("json", &is_json, "one JSON object"),
        DW_FLAG("unsafe-buffered", &is_unsafe, "allow a file system without direct I/O"),
    };
    enum dw_parsed parsed =
        dw_options_parse(&dw_command_probe, options, DW_OPTION_COUNT(options), argument_count, arguments, &path);
    if (parsed != DW_PARSED_GO)
        return dw_options_status(parsed);
    if (!dw_signals_take())
        return DW_EXIT_WRONG;
    struct dwal_probe_options how = {.size = sizeof how, .is_unsafe_buffered = is_unsafe, .is_stopped = is_stopped};
    how.time_ns = is_facts ? UINT64_MAX : seconds ? seconds * SECOND_NS : is_quick ? SECOND_NS : 0;
    static struct dwal_probe probe; /* large, and there is one of it */
    probe.size = sizeof probe;
    int result = dwal_probe(path, &how, &probe);
    if (result)
        return dw_message_library_instead(path, result, DWAL_ENOLOG, "name a directory or a block device");
    if (dw_signals_came())
        dw_message_warning("stopped early: the figures rest on fewer trials");
    if (is_json)
        print_json(path, &probe);
    else
        print_text(path, &probe);
    return DW_EXIT_GOOD;
}

const struct dw_command dw_command_probe = {
    .name = "probe",
    .summary = "measure a place, tell what dwal would choose there",
    .arguments = "DIRECTORY|DEVICE [OPTION...]",
    .about = "Tell what a directory (of a log, or for one) or a block device is like for a log: how its writes become\n"
             "durable, how long that takes in every way there is, what dwal would choose and why. In a directory a\n"
             "temporary file of 32 MiB is written that has no name and is gone afterwards, whatever happens. A block\n"
             "device is written only when it is proved blank and unused, and then with zeros; else its facts are told.",
    .examples = "  dwal probe /var/lib/app\n"
                "  dwal probe /dev/nvme0n1 --facts\n"
                "  dwal probe . --seconds 30 --json | jq .choice.backend\n",
    .run = run,
};
