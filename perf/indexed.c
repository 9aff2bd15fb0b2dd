/* indexed.c - what the indexed log costs: beside the log beneath it, side by side in one process, in interleaved rounds.
 *
 * usage: indexed_load commit DIRECTORY [ROUNDS]                 one 128-byte store / one 128-byte commit
 *        indexed_load get DIRECTORY [ROUNDS]                    nanoseconds of a get of a cached entry
 *        indexed_load open DIRECTORY [ENTRIES [VOLUMES [ROUNDS]]] open of a large log / open of the log beneath
 *        indexed_load store DIRECTORY COUNT SIZE BATCH [RATE [PRELOAD]] latencies of stores, with truncation beside them
 * DIRECTORY must exist; the logs in it are made anew and are removed at the end. One line of JSON each. */
#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <sys/stat.h>

#include <dwal/indexed.h>

#include "perf/measure.h"

#define ENTRY_SIZE 128u

static void check(int result, const char *what)
{
    if (result == 0)
        return;
    fprintf(stderr, "%s: %s\n", what, dwal_last_error()->text);
    exit(1);
}

static void remove_log(const char *path)
{
    char command[4200];
    snprintf(command, sizeof command, "rm -rf '%s'", path);
    if (system(command) != 0)
        fprintf(stderr, "%s stays\n", path);
}

static const char *place(const char *directory, const char *name)
{
    static char paths[2][4096];
    static int next;
    next = !next;
    snprintf(paths[next], sizeof paths[next], "%s/%s", directory, name);
    remove_log(paths[next]);
    return paths[next];
}

static int compare_double(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double median(double *values, size_t count)
{
    qsort(values, count, sizeof *values, compare_double);
    return values[count / 2];
}

/* ---- commit ---- */

enum { ROUNDS_MAX = 1000, PAIRS_A_ROUND = 50 };

/* One commit and one store, in turns: the machine is as busy for the one as for the other. */
static void time_pair(dwal *base, dwal_indexed *indexed, uint64_t index, double times[2])
{
    static char bytes[ENTRY_SIZE];
    struct iovec part = {bytes, sizeof bytes};
    struct dwal_entry entry = {.data = &part, .data_count = 1};
    struct dwal_indexed_entry numbered = {.index = index, .data = bytes, .size = sizeof bytes};
    for (uint64_t turn = 0; turn < 2; turn++) {
        bool is_store = (index + turn) % 2;
        uint64_t begin = perf_now_ns();
        if (is_store)
            check(dwal_indexed_store(indexed, &numbered, 1), "store");
        else
            check(dwal_commit(base, &entry, NULL, NULL), "commit");
        times[is_store] = (double)(perf_now_ns() - begin);
    }
}

static void run_commit(const char *directory, size_t rounds)
{
    const char *base_path = place(directory, "base"), *indexed_path = place(directory, "indexed");
    static double ratios[ROUNDS_MAX], bases[ROUNDS_MAX], stores[ROUNDS_MAX], times[2][PAIRS_A_ROUND];
    dwal *base;
    dwal_indexed *indexed;
    uint64_t index = 1;
    check(dwal_create(base_path, NULL), "create");
    check(dwal_indexed_create(indexed_path, NULL), "create");
    check(dwal_open(base_path, NULL, &base), "open");
    check(dwal_indexed_open(indexed_path, NULL, &indexed), "open");
    perf_sleep_ns(UINT64_C(6000000000)); /* the blanks of both are made */
    for (size_t round = 0; round < rounds; round++) {
        for (size_t i = 0; i < PAIRS_A_ROUND; i++) {
            double pair[2];
            time_pair(base, indexed, index++, pair);
            times[0][i] = pair[0];
            times[1][i] = pair[1];
        }
        bases[round] = median(times[0], PAIRS_A_ROUND);
        stores[round] = median(times[1], PAIRS_A_ROUND);
        ratios[round] = stores[round] / bases[round];
    }
    printf("{\"rounds\":%zu,\"base_us\":%.2f,\"store_us\":%.2f,\"ratio\":%.3f}\n", rounds, median(bases, rounds) / 1e3,
           median(stores, rounds) / 1e3, median(ratios, rounds));
    check(dwal_close(base), "close");
    check(dwal_indexed_close(indexed), "close");
    remove_log(base_path);
    remove_log(indexed_path);
}

/* ---- get ---- */

static void store_many(dwal_indexed *log, uint64_t from, uint64_t count, size_t size)
{
    enum { BATCH = 500 };
    static struct dwal_indexed_entry entries[BATCH];
    static char bytes[65536];
    for (uint64_t index = from; index < from + count;) {
        size_t batch = 0;
        for (; batch < BATCH && index < from + count; batch++, index++)
            entries[batch] = (struct dwal_indexed_entry){.index = index, .data = bytes, .size = size};
        check(dwal_indexed_append(log, entries, batch, NULL), "append");
    }
    uint64_t end;
    check(dwal_indexed_append(log, NULL, 0, &end), "append");
    check(dwal_indexed_sync(log, end), "sync");
}

static uint64_t cpu_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return (uint64_t)now.tv_sec * UINT64_C(1000000000) + (uint64_t)now.tv_nsec;
}

static void run_get(const char *directory, size_t rounds)
{
    enum { GETS = 20000, COUNT = 30000 };
    const char *path = place(directory, "indexed");
    static double times[ROUNDS_MAX], cpu[ROUNDS_MAX];
    dwal_indexed *log;
    char buffer[ENTRY_SIZE];
    struct dwal_indexed_record record;
    check(dwal_indexed_create(path, NULL), "create");
    check(dwal_indexed_open(path, NULL, &log), "open");
    store_many(log, 1, COUNT, ENTRY_SIZE);
    uint64_t random = 1;
    for (size_t round = 0; round < rounds; round++) {
        uint64_t begin = perf_now_ns(), cpu_begin = cpu_ns();
        for (int i = 0; i < GETS; i++) {
            random = random * UINT64_C(6364136223846793005) + 1442695040888963407u;
            check(dwal_indexed_get(log, 1 + (random >> 33) % COUNT, buffer, sizeof buffer, &record), "get");
        }
        times[round] = (double)(perf_now_ns() - begin) / GETS;
        cpu[round] = (double)(cpu_ns() - cpu_begin) / GETS;
    }
    struct dwal_indexed_stats stats = {.size = sizeof stats};
    static struct dwal_stats base;
    base.size = sizeof base;
    check(dwal_indexed_get_stats(log, &stats), "stats");
    check(dwal_get_stats(dwal_indexed_base(log), &base), "stats");
    printf("{\"rounds\":%zu,\"get_ns\":%.0f,\"get_cpu_ns\":%.0f,\"cached\":%.3f,\"device_reads\":%" PRIu64 "}\n",
           rounds, median(times, rounds), median(cpu, rounds), (double)stats.cached_reads / (double)stats.entries_read,
           base.device_reads);
    check(dwal_indexed_close(log), "close");
    remove_log(path);
}

/* ---- open ---- */

static double time_open(const char *path, bool is_indexed, uint64_t last)
{
    dwal *base;
    dwal_indexed *log;
    uint64_t begin = perf_now_ns();
    struct dwal_options options = DWAL_OPTIONS_INIT;
    if (is_indexed)
        check(dwal_indexed_open(path, NULL, &log), "open");
    else
        check(dwal_open(path, &options, &base), "open");
    double time = (double)(perf_now_ns() - begin);
    if (is_indexed && dwal_indexed_last(log) != last)
        check(-1, "the last index is wrong");
    if (is_indexed)
        check(dwal_indexed_close(log), "close");
    else
        check(dwal_close(base), "close");
    return time;
}

static void run_open(const char *directory, uint64_t entries, uint64_t volumes, size_t rounds)
{
    const char *path = place(directory, "indexed");
    static double bases[ROUNDS_MAX], indexes[ROUNDS_MAX], ratios[ROUNDS_MAX];
    enum { SIZE = 64, RECORD = SIZE + 28 };
    struct dwal_options base = DWAL_OPTIONS_INIT;
    struct dwal_indexed_options options = DWAL_INDEXED_OPTIONS_INIT;
    base.volume_size = (entries * RECORD / volumes * 4096 / 4036 + 40000) / 4096 * 4096;
    base.fill = DWAL_FILL_ALLOCATE;
    options.base = &base;
    dwal_indexed *log;
    check(dwal_indexed_create(path, &options), "create");
    check(dwal_indexed_open(path, NULL, &log), "open");
    store_many(log, 1, entries, SIZE);
    check(dwal_indexed_close(log), "close");
    for (size_t round = 0; round < rounds; round++) { /* in the order base, indexed, indexed, base, ... */
        bool is_first = round % 2 == 0;
        if (is_first)
            bases[round] = time_open(path, false, entries);
        /* Whoever opens the log beneath alone closes it without an index: let the next open write one, untimed. */
        (void)time_open(path, true, entries);
        indexes[round] = time_open(path, true, entries);
        if (!is_first)
            bases[round] = time_open(path, false, entries);
        ratios[round] = indexes[round] / bases[round];
    }
    check(dwal_indexed_open(path, NULL, &log), "open");
    struct dwal_volume volume = {.size = sizeof volume};
    uint64_t found = 0;
    for (uint32_t number = 0; dwal_volume_from(dwal_indexed_base(log), number, &volume) == 0;
         number = volume.number + 1)
        found += volume.is_full;
    check(dwal_indexed_close(log), "close");
    printf("{\"rounds\":%zu,\"entries\":%" PRIu64 ",\"full_volumes\":%" PRIu64
           ",\"base_ms\":%.2f,\"indexed_ms\":%.2f,\"ratio\":%.3f}\n",
           rounds, entries, found, median(bases, rounds) / 1e6, median(indexes, rounds) / 1e6, median(ratios, rounds));
    remove_log(path);
}

/* ---- store: rate, size, batch, preload, truncation beside it ---- */

struct truncating {
    dwal_indexed *log;
    _Atomic bool is_over;
};

static void *truncate_now_and_then(void *context)
{
    struct truncating *truncating = context;
    while (!truncating->is_over) {
        perf_sleep_ns(100000000);
        uint64_t last = dwal_indexed_last(truncating->log);
        if (last > 2000)
            check(dwal_indexed_truncate_front(truncating->log, last - 1000), "truncate");
    }
    return NULL;
}

static void run_store(const char *directory, uint64_t count, size_t size, size_t batch, uint64_t rate, uint64_t preload)
{
    const char *path = place(directory, "indexed");
    static struct perf_histogram histogram;
    static struct dwal_indexed_entry entries[4096];
    static char bytes[1 << 20];
    struct truncating truncating = {0};
    pthread_t thread;
    if (batch == 0 || batch > 4096 || size > sizeof bytes)
        check(-1, "batch or size");
    check(dwal_indexed_create(path, NULL), "create");
    check(dwal_indexed_open(path, NULL, &truncating.log), "open");
    store_many(truncating.log, 1, preload, size);
    perf_sleep_ns(UINT64_C(3000000000));
    pthread_create(&thread, NULL, truncate_now_and_then, &truncating);
    uint64_t index = preload + 1, begin = perf_now_ns();
    for (uint64_t i = 0; i < count; i++) {
        /* With a rate the clock starts when the store was due, not when its turn came. */
        uint64_t due = rate ? begin + i * UINT64_C(1000000000) / rate : perf_now_ns(), now = perf_now_ns();
        if (rate && now < due)
            perf_sleep_ns(due - now);
        for (size_t n = 0; n < batch; n++)
            entries[n] = (struct dwal_indexed_entry){.index = index++, .data = bytes, .size = size};
        check(dwal_indexed_store(truncating.log, entries, batch), "store");
        perf_histogram_add(&histogram, perf_now_ns() - due);
    }
    double seconds = (double)(perf_now_ns() - begin) / 1e9;
    truncating.is_over = true;
    pthread_join(thread, NULL);
    printf("{\"stores\":%" PRIu64 ",\"size\":%zu,\"batch\":%zu,\"entries_per_s\":%.0f", count, size, batch,
           (double)(count * batch) / seconds);
    static const double percents[] = {50, 90, 99, 99.9};
    for (size_t i = 0; i < 4; i++)
        printf(",\"p%g_us\":%.1f", percents[i], perf_histogram_us(&histogram, percents[i]));
    printf(",\"max_us\":%.1f}\n", (double)histogram.max / 1e3);
    check(dwal_indexed_close(truncating.log), "close");
    remove_log(path);
}

static uint64_t number(int argc, char **argv, int at, uint64_t standard)
{
    return argc > at ? strtoull(argv[at], NULL, 10) : standard;
}

int main(int argc, char **argv)
{
    const char *what = argc > 2 ? argv[1] : "";
    if (strcmp(what, "commit") == 0)
        run_commit(argv[2], number(argc, argv, 3, 40));
    else if (strcmp(what, "get") == 0)
        run_get(argv[2], number(argc, argv, 3, 20));
    else if (strcmp(what, "open") == 0)
        run_open(argv[2], number(argc, argv, 3, 10000000), number(argc, argv, 4, 256), number(argc, argv, 5, 10));
    else if (strcmp(what, "store") == 0 && argc > 5)
        run_store(argv[2], number(argc, argv, 3, 0), number(argc, argv, 4, 0), number(argc, argv, 5, 1),
                  number(argc, argv, 6, 0), number(argc, argv, 7, 0));
    else
        return fprintf(stderr, "usage: %s commit|get|open|store DIRECTORY ...: see the head of perf/indexed.c\n",
                       argv[0]),
               2;
    return 0;
}
