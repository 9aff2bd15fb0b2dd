/* stages.c - the log's histograms as a table on standard error; see stages.h. Values are microseconds. */
#include "tools/stages.h"

#include <inttypes.h>
#include <stdio.h>

static void print_stage(const char *name, const struct dwal_histogram *histogram)
{
    fprintf(stderr, "%-14s %10" PRIu64 " %10.1f %10.1f %10.1f %10.1f\n", name, histogram->count,
            (double)dwal_histogram_percentile(histogram, 50) / 1e3,
            (double)dwal_histogram_percentile(histogram, 99) / 1e3,
            (double)dwal_histogram_percentile(histogram, 99.9) / 1e3, (double)histogram->max / 1e3);
}

void dw_stages_print(dwal *log)
{
    static struct dwal_stats stats; /* too large for a stack */
    stats.size = sizeof stats;
    if (dwal_get_stats(log, &stats) != 0)
        return;
    const char *why = "";
    const char *backend = dwal_backend(log, &why);
    fprintf(stderr, "backend %s: %s\n", backend, why);
    fprintf(stderr,
            "%" PRIu64 " entries, %" PRIu64 " bytes of records, %" PRIu64 " bytes written in %" PRIu64
            " writes, %" PRIu64 " waits for ring room\n",
            stats.appends, stats.payload_bytes, stats.written_bytes, stats.writes, stats.reserve_waits);
    fprintf(stderr, "%-14s %10s %10s %10s %10s %10s\n", "stage (us)", "count", "p50", "p99", "p99.9", "max");
    for (int stage = 0; stage < DWAL_STAGE_COUNT; stage++)
        print_stage(dwal_stage_name((enum dwal_stage)stage), &stats.stages[stage]);
}
