/* stats.c - the counters of an indexed log, as numbers and as text for Prometheus. Called by: the user's threads. */
#include <stdarg.h>
#include <stdio.h>

#include "core/layers/indexed/indexed.h"

static uint64_t read_count(const _Atomic uint64_t *counter)
{
    return atomic_load_explicit(counter, memory_order_relaxed);
}

int dwal_indexed_get_stats(dwal_indexed *log, struct dwal_indexed_stats *stats)
{
    const struct dw_indexed_counts *counts = &log->counts;
    if (!stats || stats->size != sizeof *stats)
        return dw_indexed_fail(DWAL_EARGUMENT, DWAL_NO_LSN, "stats.size must be sizeof(struct dwal_indexed_stats)");
    *stats = (struct dwal_indexed_stats){
        .size = sizeof *stats,
        .appends = read_count(&counts->appends),
        .entries_written = read_count(&counts->entries_written),
        .bytes_written = read_count(&counts->bytes_written),
        .entries_read = read_count(&counts->entries_read),
        .bytes_read = read_count(&counts->bytes_read),
        .cached_reads = read_count(&counts->cached_reads),
        .table_reads = read_count(&counts->table_reads),
        .volumes = read_count(&counts->volumes),
        .volume_age_ns = read_count(&counts->volume_age_ns),
        .front_truncations = read_count(&counts->front_truncations),
        .back_truncations = read_count(&counts->back_truncations),
        .entries_truncated_front = read_count(&counts->entries_truncated_front),
        .entries_truncated_back = read_count(&counts->entries_truncated_back),
        .value_gets = read_count(&counts->value_gets),
        .value_sets = read_count(&counts->value_sets),
        .records_scanned = read_count(&counts->records_scanned),
    };
    return 0;
}

struct text {
    char *at;
    size_t size, used;
};

static void DW_PRINTF(2, 3) add(struct text *text, const char *format, ...)
{
    size_t room = text->used < text->size ? text->size - text->used : 0;
    va_list arguments;
    va_start(arguments, format);
    int length = vsnprintf(room ? text->at + text->used : NULL, room, format, arguments);
    va_end(arguments);
    text->used += length > 0 ? (size_t)length : 0;
}

static void add_counter(struct text *text, const char *name, const char *help, uint64_t value)
{
    add(text, "# HELP dwal_indexed_%s %s\n# TYPE dwal_indexed_%s counter\ndwal_indexed_%s %llu\n", name, help, name,
        name, (unsigned long long)value);
}

size_t dwal_indexed_stats_text(const struct dwal_indexed_stats *stats, char *text_at, size_t size)
{
    struct text text = {text_at, size, 0};
    add_counter(&text, "appends_total", "Stores.", stats->appends);
    add_counter(&text, "entries_written_total", "Entries stored.", stats->entries_written);
    add_counter(&text, "bytes_written_total", "Bytes of entries stored.", stats->bytes_written);
    add_counter(&text, "entries_read_total", "Entries read.", stats->entries_read);
    add_counter(&text, "bytes_read_total", "Bytes of entries read.", stats->bytes_read);
    add_counter(&text, "cached_reads_total", "Entries found through the table of recent ones.", stats->cached_reads);
    add_counter(&text, "table_reads_total", "Indexes of old volumes read.", stats->table_reads);
    add_counter(&text, "volumes_total", "Volumes entered.", stats->volumes);
    add_counter(&text, "front_truncations_total", "Truncations of the front.", stats->front_truncations);
    add_counter(&text, "back_truncations_total", "Truncations of the back.", stats->back_truncations);
    add_counter(&text, "entries_truncated_front_total", "Entries truncated at the front.",
                stats->entries_truncated_front);
    add_counter(&text, "entries_truncated_back_total", "Entries truncated at the back.", stats->entries_truncated_back);
    add_counter(&text, "value_gets_total", "Values read.", stats->value_gets);
    add_counter(&text, "value_sets_total", "Values set or deleted.", stats->value_sets);
    add(&text,
        "# HELP dwal_indexed_volume_age_seconds Time from entering the last full volume to entering the next.\n"
        "# TYPE dwal_indexed_volume_age_seconds gauge\ndwal_indexed_volume_age_seconds %.9f\n",
        (double)stats->volume_age_ns / 1e9);
    if (size > 0 && text.used >= size)
        text_at[size - 1] = '\0';
    return text.used;
}
