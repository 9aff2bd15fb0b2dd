/* outstanding.c - one thread that keeps N appends outstanding: what the asynchronous calls give to an event loop.
 *
 * Appends until N entries are not durable yet, asks for durability, waits until the oldest is, records for every entry
 * that became durable how long it took from its append on, and goes on. VARIANT says who writes:
 *   sync     dwal_sync to the oldest: the caller writes by itself when nobody else does
 *   flush    dwal_flush, then dwal_wait: the flusher's thread writes
 *   eventfd  dwal_flush, then poll on dwal_eventfd: as an event loop would
 * With "+recycle" behind it the log is trimmed behind itself (perf/recycle.h).
 * usage: outstanding DIRECTORY [OUTSTANDING [SIZE [SECONDS [VARIANT[:BACKEND][+recycle]]]]] */
#include <poll.h>
#include <string.h>
#include <unistd.h>

#include <dwal/dwal.h>

#include "perf/recycle.h"

#define OUTSTANDING_MAX 4096u

static void check(int result, const char *what)
{
    if (result == 0)
        return;
    fprintf(stderr, "outstanding: %s: %s\n", what, dwal_last_error()->text);
    exit(1);
}

struct outstanding {
    dwal *log;
    uint32_t limit;
    size_t size;
    const char *variant;
    int event;
    bool is_recycling;
    uint32_t first, count; /* in the arrays, round */
    uint64_t start_ns[OUTSTANDING_MAX], end[OUTSTANDING_MAX];
    unsigned char *bytes;
};

static void fill_up(struct outstanding *o)
{
    struct iovec part = {.iov_base = o->bytes, .iov_len = o->size};
    struct dwal_entry entry = {.data = &part, .data_count = 1};
    uint64_t now = perf_now_ns(); /* one look for all that can be appended now: early for most, never late */
    for (; o->count < o->limit; o->count++) {
        uint32_t at = (o->first + o->count) % OUTSTANDING_MAX;
        memcpy(o->bytes, &at, o->size < sizeof at ? o->size : sizeof at);
        o->start_ns[at] = now;
        check(dwal_append(o->log, &entry, NULL, &o->end[at]), "append");
    }
}

static void wait_for_oldest(struct outstanding *o)
{
    uint64_t oldest = o->end[o->first];
    uint64_t newest = o->end[(o->first + o->count - 1) % OUTSTANDING_MAX];
    if (strcmp(o->variant, "sync") == 0) {
        check(dwal_sync(o->log, oldest), "sync");
        return;
    }
    check(dwal_flush(o->log, newest), "flush");
    while (dwal_durable(o->log) < oldest) {
        if (strcmp(o->variant, "flush") == 0) {
            check(dwal_wait(o->log, oldest - 1, UINT64_MAX), "wait");
            continue;
        }
        struct pollfd wait = {.fd = o->event, .events = POLLIN};
        uint64_t counter;
        if (poll(&wait, 1, -1) == 1 && read(o->event, &counter, sizeof counter) < 0)
            continue;
        check(dwal_failure(o->log, NULL), "the log");
    }
}

static void take_durable(struct outstanding *o, struct perf_histogram *histogram)
{
    uint64_t durable = dwal_durable(o->log), now = perf_now_ns();
    while (o->count > 0 && o->end[o->first] <= durable) {
        perf_histogram_add(histogram, now - o->start_ns[o->first]);
        o->first = (o->first + 1) % OUTSTANDING_MAX;
        o->count--;
    }
}

static void run_for(struct outstanding *o, double seconds, struct perf_histogram *histogram)
{
    uint64_t stop_ns = perf_now_ns() + (uint64_t)(seconds * 1e9);
    while (perf_now_ns() < stop_ns) {
        fill_up(o);
        wait_for_oldest(o);
        take_durable(o, histogram);
    }
}

int main(int argument_count, char **arguments)
{
    static struct outstanding o;
    static struct perf_histogram warming, measured;
    if (argument_count < 2) {
        fprintf(stderr, "usage: outstanding DIRECTORY [OUTSTANDING [SIZE [SECONDS [VARIANT[:BACKEND]]]]]\n");
        return 2;
    }
    o.limit = argument_count > 2 ? (uint32_t)strtoul(arguments[2], NULL, 10) : 64;
    o.size = argument_count > 3 ? strtoul(arguments[3], NULL, 10) : 128;
    double seconds = argument_count > 4 ? strtod(arguments[4], NULL) : 2;
    static char variant[32] = "sync";
    if (argument_count > 5)
        snprintf(variant, sizeof variant, "%s", arguments[5]);
    o.is_recycling = recycle_is_asked(variant);
    char *backend = strchr(variant, ':');
    if (backend)
        *backend++ = '\0';
    o.variant = variant;
    o.bytes = malloc(o.size + 1);
    if (!o.bytes || o.limit < 1 || o.limit > OUTSTANDING_MAX || o.size < 1)
        return 2;
    perf_fill_random(o.bytes, o.size, 1);
    char path[4096];
    snprintf(path, sizeof path, "%s/log", arguments[1]);
    struct dwal_options options = DWAL_OPTIONS_INIT;
    options.backend = backend;
    options.is_unsafe_buffered = getenv("PERF_UNSAFE") != NULL; /* a log in memory: what dwal itself costs */
    if (o.is_recycling)
        options.blanks = RECYCLE_BLANKS;
    check(dwal_create(path, &options), "create");
    check(dwal_open(path, &options, &o.log), "open");
    check(dwal_eventfd(o.log, &o.event), "eventfd");
    perf_wait_for_maker(o.log);
    if (o.is_recycling)
        recycle_start(o.log);
    run_for(&o, 0.3, &warming);
    double cpu = perf_cpu_s();
    run_for(&o, seconds, &measured);
    cpu = perf_cpu_s() - cpu;
    struct dwal_stats *stats = calloc(1, sizeof *stats);
    stats->size = sizeof *stats;
    check(dwal_get_stats(o.log, stats), "stats");
    printf("{\"what\":\"dwal\",\"variant\":\"%s\",\"outstanding\":%u,\"size\":%zu,\"ops\":%llu,\"ops_s\":%.0f,"
           "\"cpu_us_per_op\":%.3f,\"writes\":%llu,\"lone\":%llu,",
           variant, o.limit, o.size, (unsigned long long)measured.count, (double)measured.count / seconds,
           cpu / (double)(measured.count ? measured.count : 1) * 1e6, (unsigned long long)stats->writes,
           (unsigned long long)stats->lone_commits);
    perf_histogram_print(&measured);
    printf("}\n");
    free(stats);
    if (o.is_recycling)
        recycle_stop();
    check(dwal_close(o.log), "close");
    free(o.bytes);
    return 0;
}
