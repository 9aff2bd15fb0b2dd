/* choice.c - say a choice and its figures; see choice.h. */
#include "tools/choice.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "tools/output.h"

const char *dw_choice_way(const char *backend, enum dwal_way way)
{
    if (way == DWAL_WAY_FLUSH)
        return "write, then flush";
    return strncmp(backend, "nvme", 4) == 0 ? "durable write (FUA)" : "durable write";
}

const char *dw_choice_time(uint64_t ns, char text[16])
{
    double us = (double)ns / 1000;
    if (us < 1000)
        (void)snprintf(text, 16, us < 100 ? "%.1f us" : "%.0f us", us);
    else
        (void)snprintf(text, 16, us < 100000 ? "%.1f ms" : "%.0f ms", us / 1000);
    return text;
}

void dw_choice_timing_json(struct dw_json *json, const struct dwal_timing *timing)
{
    dw_json_open_object(json, NULL);
    dw_json_text(json, "backend", timing->backend);
    dw_json_text(json, "way", timing->way == DWAL_WAY_FLUSH ? "flush" : "dsync");
    dw_json_text(json, "extents", timing->is_unwritten ? "unwritten" : "written");
    dw_json_number(json, "size", timing->size);
    dw_json_number(json, "count", timing->count);
    if (timing->count > 0) {
        dw_json_number(json, "p50_ns", timing->p50_ns);
        dw_json_number(json, "p90_ns", timing->p90_ns);
        dw_json_number(json, "p99_ns", timing->p99_ns);
        dw_json_number(json, "max_ns", timing->max_ns);
    }
    if (timing->system_error)
        dw_json_text(json, "error", strerror(timing->system_error));
    dw_json_close_object(json);
}

void dw_choice_json(struct dw_json *json, const struct dwal_choice *choice)
{
    dw_json_open_object(json, "choice");
    dw_json_text(json, "backend", choice->backend);
    dw_json_open_list(json, "order");
    for (uint32_t i = 0; i < choice->order_count; i++)
        dw_json_element(json, choice->order[i]);
    dw_json_close_list(json);
    dw_json_text(json, "way", choice->way == DWAL_WAY_FLUSH ? "flush" : "dsync");
    dw_json_text(json, "chosen_by", dwal_chosen_by_text(choice->chosen_by));
    dw_json_number_or_null(json, "measured_time_ns", choice->measured_time_ns, 0);
    dw_json_bool(json, "is_stale", choice->is_stale);
    dw_json_number_or_null(json, "write_size_max", choice->write_size_max, 0);
    dw_json_number_or_null(json, "block_size", choice->block_size, 0);
    dw_json_open_list(json, "reasons");
    for (uint32_t i = 0; i < choice->reason_count; i++)
        dw_json_element(json, choice->reasons[i]);
    dw_json_close_list(json);
    dw_json_close_object(json);
}

void dw_choice_wrap(const char *text, size_t indent, size_t width)
{
    size_t column = indent;
    while (*text) {
        size_t word = strcspn(text, " ");
        if (column > indent && column + 1 + word > width) {
            dw_output_format("\n%*s", (int)indent, "");
            column = indent;
        } else if (column > indent) {
            dw_output_text(" ");
            column++;
        }
        dw_output_bytes(text, word);
        column += word;
        text += word;
        text += strspn(text, " ");
    }
    dw_output_text("\n");
}
