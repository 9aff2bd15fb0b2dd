/* peer_raft_uv.c - the log of libraft's uv backend: kernel AIO, O_DIRECT, RWF_DSYNC, all on one event loop.
 *
 * THREADS is the number of appends that the loop keeps outstanding: no thread is ever woken, which is in its favour. VARIANT
 * "64": segments of 64 MiB instead of 8. The command line and the output are those of load.h. */
#include <raft.h>
#include <raft/uv.h>

#include "perf/measure.h"

enum { OUTSTANDING_MAX = 4096 };

static struct uv_loop_s loop;
static struct raft_io io;
static struct perf_histogram histogram;
static uint64_t measure_ns, end_ns;
static double cpu_s;
static uint32_t out;
static bool is_measuring, is_over;
static size_t size;
static double seconds;

struct append {
    struct raft_io_append request;
    struct raft_entry entry;
    uint64_t start_ns;
    bool is_counted;
};

static void stop(const char *why)
{
    fprintf(stderr, "raft_uv: %s\n", why);
    exit(1);
}

static void check(int result)
{
    if (result != 0)
        stop(raft_strerror(result));
}

static void start_append(struct append *append);

static void report(void)
{
    double count = histogram.count ? (double)histogram.count : 1;
    printf("{\"what\":\"raft_uv\",\"size\":%zu,\"ops\":%llu,\"ops_s\":%.0f,\"cpu_us_per_op\":%.3f,", size,
           (unsigned long long)histogram.count, (double)histogram.count / seconds,
           (perf_cpu_s() - cpu_s) / count * 1e6);
    perf_histogram_print(&histogram);
    printf("}\n");
    fflush(stdout);
}

static void on_durable(struct raft_io_append *request, int status)
{
    struct append *append = request->data;
    uint64_t now = perf_now_ns();
    check(status);
    out--;
    if (append->is_counted && !is_over)
        perf_histogram_add(&histogram, now - append->start_ns);
    if (!is_measuring && now >= measure_ns) {
        is_measuring = true;
        cpu_s = perf_cpu_s();
        end_ns = now + (uint64_t)(seconds * 1e9);
    }
    if (is_measuring && !is_over && now >= end_ns) {
        is_over = true;
        report();
    }
    if (!is_over)
        start_append(append);
    else if (out == 0)
        _Exit(0);
}

static void start_append(struct append *append)
{
    append->start_ns = perf_now_ns();
    append->is_counted = is_measuring;
    append->request.data = append;
    memcpy(append->entry.buf.base, &append->start_ns, size < 8 ? size : 8);
    out++;
    check(io.append(&io, &append->request, &append->entry, 1, on_durable));
}

static void on_tick(struct raft_io *unused)
{
    (void)unused;
}

static void on_message(struct raft_io *unused, struct raft_message *message)
{
    (void)unused;
    (void)message;
}

int main(int argument_count, char **arguments)
{
    static struct append appends[OUTSTANDING_MAX];
    static struct raft_uv_transport transport;
    uint32_t count = argument_count > 2 ? (uint32_t)strtoul(arguments[2], NULL, 10) : 1;
    size = argument_count > 3 ? strtoul(arguments[3], NULL, 10) : 128;
    seconds = argument_count > 4 ? strtod(arguments[4], NULL) : 2;
    if (argument_count < 2 || count < 1 || count > OUTSTANDING_MAX || size < 1 || seconds <= 0) {
        fprintf(stderr, "usage: peer_raft_uv DIRECTORY [OUTSTANDING [SIZE [SECONDS [VARIANT]]]]\n");
        return 2;
    }
    check(uv_loop_init(&loop));
    check(raft_uv_tcp_init(&transport, &loop));
    check(raft_uv_init(&io, &loop, arguments[1], &transport));
    raft_uv_set_snapshot_compression(&io, false);
    if (argument_count > 5 && strcmp(arguments[5], "64") == 0)
        raft_uv_set_segment_size(&io, 64 << 20);
    check(io.init(&io, 1, "127.0.0.1:0"));
    raft_term term;
    raft_id vote;
    struct raft_snapshot *snapshot;
    raft_index start;
    struct raft_entry *entries;
    size_t entry_count;
    check(io.load(&io, &term, &vote, &snapshot, &start, &entries, &entry_count));
    check(io.set_term(&io, 1));
    check(io.start(&io, 1000, on_tick, on_message));
    measure_ns = perf_now_ns() + UINT64_C(300000000);
    for (uint32_t i = 0; i < count; i++) {
        unsigned char *bytes = malloc(size);
        if (!bytes)
            stop("no memory");
        perf_fill_random(bytes, size, i + 1);
        appends[i].entry = (struct raft_entry){.term = 1, .type = RAFT_COMMAND, .buf = {.base = bytes, .len = size}};
        start_append(&appends[i]);
    }
    return uv_run(&loop, UV_RUN_DEFAULT);
}
