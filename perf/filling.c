/* filling.c - what a commit costs while blanks are being filled, beside the same commit without: one caller.
 *
 * Makes a log in DIRECTORY/log, waits until some blanks are there, and commits SIZE bytes again and again. VARIANT says what
 * the maker does meanwhile: "quiet" nothing (a pace that is next to none), "paced" it fills at the pace that is the default,
 * "full" it fills as fast as it can. There are more blanks to make than the time allows; a run in which the maker came to
 * its end, or in which blanks ran out, is an error. Nothing is trimmed, so no volume comes back.
 * One JSON line with the rate of filling and the least blanks that were ready. Failure: a message and status 1.
 * usage: filling DIRECTORY [CALLERS (1) [SIZE [SECONDS [VARIANT]]]] */
#include <stdbool.h>
#include <string.h>

#include <dwal/dwal.h>

#include "perf/measure.h"

#define VOLUME_SIZE  (UINT64_C(32) << 20)
#define BLANKS_MAX   255u
#define BLANKS_READY 8u /* before the first commit */
#define WARMING_NS   UINT64_C(300000000)

static void check(int result, const char *what)
{
    if (result == 0)
        return;
    fprintf(stderr, "filling: %s: %s\n", what, dwal_last_error()->text);
    exit(1);
}

static const struct dwal_stats *stats_of(dwal *log)
{
    static struct dwal_stats stats;
    stats.size = sizeof stats;
    check(dwal_get_stats(log, &stats), "stats");
    return &stats;
}

static dwal *open_log(const char *directory, bool is_quiet, bool is_full)
{
    char path[4096];
    dwal *log;
    snprintf(path, sizeof path, "%s/log", directory);
    struct dwal_options options = DWAL_OPTIONS_INIT;
    options.backend = "sync";
    options.volume_size = VOLUME_SIZE;
    options.blanks = is_quiet ? BLANKS_READY : BLANKS_MAX;
    if (is_quiet)
        options.fill_kib_per_second = 1;
    else if (is_full)
        options.fill_kib_per_second = UINT32_MAX;
    check(dwal_create(path, &options), "create");
    check(dwal_open(path, &options, &log), "open");
    while (stats_of(log)->blanks_made < BLANKS_READY) /* an idle log is filled at full speed, whatever the pace */
        perf_sleep_ns(UINT64_C(2000000));
    if (is_quiet)
        perf_sleep_ns(UINT64_C(300000000));
    return log;
}

static void run(dwal *log, size_t size, uint64_t duration_ns, struct perf_histogram *histogram)
{
    unsigned char *bytes = malloc(size);
    if (!bytes)
        exit(1);
    perf_fill_random(bytes, size, 5);
    struct iovec part = {.iov_base = bytes, .iov_len = size};
    struct dwal_entry entry = {.data = &part, .data_count = 1};
    uint64_t start = perf_now_ns(), stop = start + duration_ns;
    while (start < stop) {
        check(dwal_commit(log, &entry, NULL, NULL), "commit");
        uint64_t end = perf_now_ns();
        perf_histogram_add(histogram, end - start);
        start = end;
    }
    free(bytes);
}

int main(int argument_count, char **arguments)
{
    static struct perf_histogram warming, measured;
    size_t size = argument_count > 3 ? strtoul(arguments[3], NULL, 10) : 4096;
    double seconds = argument_count > 4 ? strtod(arguments[4], NULL) : 1;
    const char *variant = argument_count > 5 ? arguments[5] : "paced";
    bool is_quiet = strcmp(variant, "quiet") == 0, is_full = strcmp(variant, "full") == 0;
    if (argument_count < 2 || size < 1 || size > 65536 || seconds <= 0) {
        fprintf(stderr, "usage: filling DIRECTORY [CALLERS (1) [SIZE [SECONDS [quiet|paced|full]]]]\n");
        return 2;
    }
    dwal *log = open_log(arguments[1], is_quiet, is_full);
    run(log, size, WARMING_NS, &warming);
    uint64_t made = stats_of(log)->blanks_made;
    double cpu = perf_cpu_s();
    run(log, size, (uint64_t)(seconds * 1e9), &measured);
    cpu = perf_cpu_s() - cpu;
    const struct dwal_stats *stats = stats_of(log);
    double filled = (double)((stats->blanks_made - made) * VOLUME_SIZE);
    if (stats->space_waits > 0 || (!is_quiet && stats->blanks_made >= BLANKS_MAX)) {
        fprintf(stderr, "filling: the blanks ran out, or all of them were made: shorter, please\n");
        return 1;
    }
    printf("{\"what\":\"filling\",\"variant\":\"%s\",\"size\":%zu,\"seconds\":%.2f,\"count\":%llu,\"ops_s\":%.0f,"
           "\"filled_mb_s\":%.0f,\"cpu_us_per_op\":%.2f,",
           variant, size, seconds, (unsigned long long)measured.count, (double)measured.count / seconds,
           filled / seconds / 1e6, cpu / (double)measured.count * 1e6);
    perf_histogram_print(&measured);
    printf("}\n");
    check(dwal_close(log), "close");
    return 0;
}
