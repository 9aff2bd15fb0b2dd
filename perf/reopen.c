/* reopen.c - what it costs to open a log again, and to scan all of it.
 *
 * Makes a log of VOLUMES full volumes of SIZE bytes in DIRECTORY/log (unless it is there), then opens and closes it ROUNDS
 * times, and reads it through once with a cursor. One JSON line: medians of the opens, and the rate of the scan. Direct I/O:
 * no page cache helps; the file system's own caches are warm, as they are when a process starts again.
 * usage: reopen DIRECTORY [VOLUMES [VOLUME_SIZE [ENTRY_SIZE [ROUNDS]]]] */
#include <dwal/dwal.h>
#include <sys/stat.h>

#include "perf/measure.h"

static void check(int result, const char *what)
{
    if (result == 0)
        return;
    fprintf(stderr, "reopen: %s: %s\n", what, dwal_last_error()->text);
    exit(1);
}

static void fill(const char *path, uint64_t volumes, uint64_t volume_size, size_t size)
{
    struct dwal_options options = DWAL_OPTIONS_INIT;
    options.volume_size = volume_size;
    options.fill = DWAL_FILL_ALLOCATE; /* quick to make: it is only read afterwards */
    options.backend = "sync";
    dwal *log = NULL;
    check(dwal_create(path, &options), "create");
    check(dwal_open(path, &options, &log), "open");
    unsigned char *bytes = malloc(size);
    if (!bytes)
        exit(1);
    perf_fill_random(bytes, size, 7);
    struct iovec part = {.iov_base = bytes, .iov_len = size};
    struct dwal_entry entry = {.data = &part, .data_count = 1};
    static struct dwal_stats stats;
    stats.size = sizeof stats;
    uint64_t end = 0;
    do {
        for (unsigned i = 0; i < 256; i++)
            check(dwal_append(log, &entry, NULL, &end), "append");
        check(dwal_get_stats(log, &stats), "stats");
    } while (stats.volumes_claimed < volumes + 2);
    check(dwal_sync(log, end), "sync");
    check(dwal_close(log), "close");
    free(bytes);
}

static int by_value(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return x < y ? -1 : x > y;
}

static void scan(const char *path, double *seconds, uint64_t *bytes, uint64_t *count)
{
    struct dwal_options options = DWAL_OPTIONS_INIT;
    options.mode = DWAL_READ_ONLY;
    dwal *log = NULL;
    dwal_cursor *cursor = NULL;
    struct dwal_record record;
    check(dwal_open(path, &options, &log), "open to scan");
    check(dwal_cursor_open(log, 0, &cursor), "cursor");
    uint64_t start = perf_now_ns();
    int result;
    while ((result = dwal_cursor_next(cursor, &record)) == 0) {
        *bytes += record.metadata_size + record.data_size;
        ++*count;
    }
    *seconds = (double)(perf_now_ns() - start) / 1e9;
    if (result != DWAL_EEND)
        check(result, "scan");
    dwal_cursor_close(cursor);
    check(dwal_close(log), "close");
}

int main(int argument_count, char **arguments)
{
    if (argument_count < 2) {
        fprintf(stderr, "usage: reopen DIRECTORY [VOLUMES [VOLUME_SIZE [ENTRY_SIZE [ROUNDS]]]]\n");
        return 2;
    }
    uint64_t volumes = argument_count > 2 ? strtoull(arguments[2], NULL, 10) : 256;
    uint64_t volume_size = argument_count > 3 ? strtoull(arguments[3], NULL, 10) : 1 << 20;
    size_t size = argument_count > 4 ? strtoull(arguments[4], NULL, 10) : 1000;
    enum { ROUNDS_MAX = 1000 };
    static uint64_t times[ROUNDS_MAX];
    uint32_t rounds = argument_count > 5 ? (uint32_t)strtoul(arguments[5], NULL, 10) : 15;
    char path[4096];
    struct stat there;
    snprintf(path, sizeof path, "%s/log", arguments[1]);
    if (volumes < 1 || size < 1 || rounds < 1 || rounds > ROUNDS_MAX)
        return 2;
    if (stat(path, &there) != 0)
        fill(path, volumes, volume_size, size);
    for (uint32_t i = 0; i < rounds; i++) {
        struct dwal_options options = DWAL_OPTIONS_INIT;
        dwal *log = NULL;
        uint64_t start = perf_now_ns();
        check(dwal_open(path, &options, &log), "open again");
        times[i] = perf_now_ns() - start;
        check(dwal_close(log), "close again");
    }
    qsort(times, rounds, sizeof times[0], by_value);
    uint64_t median = times[rounds / 2];
    double seconds = 0;
    uint64_t bytes = 0, count = 0;
    scan(path, &seconds, &bytes, &count);
    printf("{\"what\":\"reopen\",\"volumes\":%llu,\"open_ms\":%.2f,\"open_min_ms\":%.2f,\"open_max_ms\":%.2f,"
           "\"scan_mb_s\":%.0f,\"scan_entries_s\":%.0f}\n",
           (unsigned long long)volumes, (double)median / 1e6, (double)times[0] / 1e6, (double)times[rounds - 1] / 1e6,
           (double)bytes / seconds / 1e6, (double)count / seconds);
    return 0;
}
