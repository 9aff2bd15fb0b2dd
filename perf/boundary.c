/* boundary.c - what a commit costs that crosses into a new volume, beside those that do not: one caller, small volumes.
 *
 * Makes a log of volumes of 1 MiB (256 KiB for entries that fit into a block: crossings are then as frequent) in
 * DIRECTORY/log, commits SIZE bytes again and again, and keeps two histograms: commits whose record begins a volume or
 * runs on into one (from lsn and geometry), and all others. Of the others the eight right behind a crossing are also shown
 * alone. The log is trimmed behind itself every eight volumes, and the caller waits, untimed, until they came back: a blank
 * is always there, and no trim is in the figures. With "+behind" in VARIANT nothing is trimmed and one blank is kept: the
 * maker cannot keep pace, and callers wait for it. The front of VARIANT is the backend. A block device in place of DIRECTORY
 * is formatted, whatever it holds, and the log lies on it. One JSON line; PERF_STAGES set: how much of the time was the
 * device's, on standard error. Failure: a message and status 1.
 * usage: boundary DIRECTORY [CALLERS (1) [SIZE [SECONDS [VARIANT]]]] */
#include <stdbool.h>
#include <string.h>
#include <sys/stat.h>

#include <dwal/dwal.h>

#include "perf/measure.h"

#define VOLUME_SIZE  (UINT64_C(1) << 20)
#define SMALL_SIZE   (UINT64_C(256) << 10)
#define SMALL_ENTRY  4000u
#define TRIM_VOLUMES 8u
#define BLANKS       16u
#define BEHIND       8u /* commits after a crossing that are shown alone */
#define WARMING_NS   UINT64_C(500000000)

static void check(int result, const char *what)
{
    if (result == 0)
        return;
    fprintf(stderr, "boundary: %s: %s\n", what, dwal_last_error()->text);
    exit(1);
}

/* Times of one kind of commits. */
struct kind {
    const char *name;
    struct perf_histogram whole, device, rest;
};

struct boundary {
    dwal *log;
    uint64_t volume_lsns; /* lsns of one volume */
    uint64_t volume;      /* in which the last record ended */
    uint64_t since;       /* commits since the last crossing */
    uint64_t trimmed;     /* volume of the last trim */
    uint64_t recycled;    /* volumes that must have come back */
    bool is_behind, is_measuring;
    struct kind crossing, spanning, behind, others;
};

/* Of the commit that is going on: its own thread writes, so nothing else touches these. */
static uint64_t device_ns;

static void written(void *context, const struct dwal_written *write)
{
    (void)context;
    __atomic_fetch_add(&device_ns, write->completed_ns - write->start_ns, __ATOMIC_RELAXED);
}

static struct dwal_stats *stats_of(dwal *log)
{
    static struct dwal_stats stats;
    stats.size = sizeof stats;
    check(dwal_get_stats(log, &stats), "stats");
    return &stats;
}

static void open_log(struct boundary *b, const char *directory, size_t size, char *variant)
{
    char path[4096];
    struct stat facts;
    bool is_device = stat(directory, &facts) == 0 && S_ISBLK(facts.st_mode);
    snprintf(path, sizeof path, "%s%s", directory, is_device ? "" : "/log");
    char *behind = strstr(variant, "+behind");
    b->is_behind = behind != NULL;
    if (behind)
        *behind = '\0';
    struct dwal_options options = DWAL_OPTIONS_INIT;
    options.backend = *variant ? variant : NULL;
    options.volume_size = size < SMALL_ENTRY ? SMALL_SIZE : VOLUME_SIZE;
    options.blanks = b->is_behind ? 1 : BLANKS;
    options.written = getenv("PERF_STAGES") ? written : NULL;
    options.is_forced = is_device;
    check(dwal_create(path, &options), "create");
    check(dwal_open(path, &options, &b->log), "open");
    while (stats_of(b->log)->blanks_made < options.blanks)
        perf_sleep_ns(UINT64_C(10000000));
    perf_sleep_ns(UINT64_C(500000000));
    struct dwal_volume volume = {.size = sizeof volume};
    check(dwal_volume_from(b->log, 0, &volume), "volume");
    b->volume_lsns = (uint64_t)volume.payload_size * volume.data_blocks;
}

/* Trim, and let the volumes become blanks before anything is timed again. */
static void trim_behind(struct boundary *b)
{
    if (b->is_behind || b->volume < b->trimmed + TRIM_VOLUMES || b->since != BEHIND)
        return;
    check(dwal_trim(b->log, b->volume * b->volume_lsns), "trim");
    b->recycled += b->volume - b->trimmed;
    b->trimmed = b->volume;
    struct dwal_stats *stats;
    do {
        perf_sleep_ns(UINT64_C(1000000));
        stats = stats_of(b->log);
    } while (stats->volumes_recycled + stats->volumes_unlinked < b->recycled);
    b->since++;
}

static void count(struct kind *kind, uint64_t whole_ns, uint64_t on_device_ns)
{
    perf_histogram_add(&kind->whole, whole_ns);
    perf_histogram_add(&kind->device, on_device_ns);
    perf_histogram_add(&kind->rest, whole_ns > on_device_ns ? whole_ns - on_device_ns : 0);
}

static void commit_one(struct boundary *b, const struct dwal_entry *entry)
{
    uint64_t lsn, end;
    __atomic_store_n(&device_ns, 0, __ATOMIC_RELAXED);
    uint64_t start = perf_now_ns();
    check(dwal_commit(b->log, entry, &lsn, &end), "commit");
    uint64_t time = perf_now_ns() - start, device = __atomic_load_n(&device_ns, __ATOMIC_RELAXED);
    uint64_t volume = (end - 1) / b->volume_lsns;
    bool is_crossing = volume != b->volume;
    b->since = is_crossing ? 0 : b->since + 1;
    b->volume = volume;
    if (!b->is_measuring)
        return;
    count(is_crossing ? &b->crossing : &b->others, time, device);
    if (is_crossing && lsn / b->volume_lsns != volume)
        count(&b->spanning, time, device);
    if (!is_crossing && b->since <= BEHIND)
        count(&b->behind, time, device);
}

static void run(struct boundary *b, size_t size, double seconds)
{
    unsigned char *bytes = malloc(size);
    if (!bytes)
        exit(1);
    perf_fill_random(bytes, size, 5);
    struct iovec part = {.iov_base = bytes, .iov_len = size};
    struct dwal_entry entry = {.data = &part, .data_count = 1};
    uint64_t begin = perf_now_ns() + WARMING_NS, stop = begin + (uint64_t)(seconds * 1e9);
    for (uint64_t now = perf_now_ns(); now < stop; now = perf_now_ns()) {
        b->is_measuring = now >= begin;
        commit_one(b, &entry);
        trim_behind(b);
    }
    free(bytes);
}

static void print(const struct kind *kind, double seconds)
{
    printf("\"%s\":{\"count\":%llu,\"ops_s\":%.0f,", kind->name, (unsigned long long)kind->whole.count,
           (double)kind->whole.count / seconds);
    perf_histogram_print(&kind->whole);
    printf("}");
    if (!getenv("PERF_STAGES"))
        return;
    const struct perf_histogram *parts[] = {&kind->whole, &kind->device, &kind->rest};
    static const char *const names[] = {"whole", "device", "rest"};
    for (int i = 0; i < 3; i++)
        fprintf(stderr, "%-9s %-7s %8llu: p50 %8.1f us, p99 %8.1f us, p99.9 %8.1f us\n", kind->name, names[i],
                (unsigned long long)parts[i]->count, perf_histogram_us(parts[i], 50), perf_histogram_us(parts[i], 99),
                perf_histogram_us(parts[i], 99.9));
}

int main(int argument_count, char **arguments)
{
    static struct boundary b = {
        .crossing.name = "crossing", .spanning.name = "spanning", .behind.name = "behind", .others.name = "others"};
    size_t size = argument_count > 3 ? strtoul(arguments[3], NULL, 10) : 4096;
    double seconds = argument_count > 4 ? strtod(arguments[4], NULL) : 5;
    static char variant[32];
    if (argument_count > 5)
        snprintf(variant, sizeof variant, "%s", arguments[5]);
    if (argument_count < 2 || size < 1 || size > VOLUME_SIZE / 4 || seconds <= 0) {
        fprintf(stderr, "usage: boundary DIRECTORY [CALLERS (1) [SIZE [SECONDS [VARIANT]]]]\n");
        return 2;
    }
    open_log(&b, arguments[1], size, variant);
    run(&b, size, seconds);
    printf("{\"what\":\"boundary\",\"size\":%zu,\"seconds\":%.2f,", size, seconds);
    print(&b.crossing, seconds);
    printf(",");
    print(&b.spanning, seconds);
    printf(",");
    print(&b.behind, seconds);
    printf(",");
    print(&b.others, seconds);
    printf("}\n");
    check(dwal_close(b.log), "close");
    return 0;
}
