/* load.h - a closed loop of callers: T threads, each commits N bytes again and again and waits until it is durable.
 *
 * A driver defines the three load_* functions below and calls load_main from main. Happy path: open, warm up 0.3 s
 * (not counted), measure S seconds, stop, print one JSON line. Failure: a message and status 1. C11 and C++17.
 * Threads: load_commit is called from all of them; the others from the main thread alone.
 * A closed loop hides what a stall does to callers that would have come meanwhile: compare medians, not tails, with it. */
#ifndef DW_PERF_LOAD_H
#define DW_PERF_LOAD_H

#include <pthread.h>
#include <stdbool.h>

#include "perf/measure.h"

#define LOAD_THREADS_MAX 256
#define LOAD_LOOK_NS     UINT64_C(20000000)
#define LOAD_BYTES_MAX   (UINT64_C(2) << 30) /* of a driver whose file grows; others define LOAD_IS_BOUNDED false */
#ifndef LOAD_IS_BOUNDED
#define LOAD_IS_BOUNDED true
#endif

struct load {
    const char *name, *variant, *directory;
    int threads;
    size_t size;
    double seconds;
    uint64_t bytes_max; /* a bound for what may be written in all */
};

static void load_open(const struct load *load);
/* Returns when these bytes are on stable storage, and not before. */
static void load_commit(const void *bytes, size_t size);
static void load_close(void);

__attribute__((noreturn, unused)) static void load_stop(const char *what, const char *why)
{
    fprintf(stderr, "%s: %s\n", what, why);
    exit(1);
}

enum load_phase { LOAD_WARMING, LOAD_MEASURING, LOAD_STOPPED };

struct load_worker {
    pthread_t thread;
    const struct load *load;
    struct perf_histogram *histogram;
    uint64_t seed;
};
/* Relaxed: a caller that sees a change one commit late makes no difference. Builtins, since this is C++ as well. */
static int load_phase_now;

static inline void *load_run(void *argument)
{
    struct load_worker *worker = (struct load_worker *)argument;
    const struct load *load = worker->load;
    unsigned char *bytes = (unsigned char *)malloc(load->size);
    if (!bytes)
        load_stop("load", "no memory");
    perf_fill_random(bytes, load->size, worker->seed);
    uint64_t left = load->bytes_max / (uint64_t)load->threads / load->size;
    for (uint64_t start = perf_now_ns(); left > 0 && __atomic_load_n(&load_phase_now, __ATOMIC_RELAXED) != LOAD_STOPPED;
         left--) {
        int phase = __atomic_load_n(&load_phase_now, __ATOMIC_RELAXED);
        if (left == 1 && phase == LOAD_WARMING)
            load_stop("load", "too many bytes before the measurement began");
        if (left == 1) /* the bound comes before the time is up: what is measured ends here for all */
            __atomic_store_n(&load_phase_now, (int)LOAD_STOPPED, __ATOMIC_RELAXED);
        memcpy(bytes, &start, load->size < sizeof start ? load->size : sizeof start);
        load_commit(bytes, load->size);
        uint64_t end = perf_now_ns();
        if (phase == LOAD_MEASURING)
            perf_histogram_add(worker->histogram, end - start);
        start = end;
    }
    free(bytes);
    return NULL;
}

static inline void load_report(const struct load *load, const struct perf_histogram *all, double seconds, double cpu_s)
{
    double count = all->count ? (double)all->count : 1;
    printf("{\"what\":\"%s\",\"variant\":\"%s\",\"threads\":%d,\"size\":%zu,\"seconds\":%.2f,\"ops\":%llu,"
           "\"ops_s\":%.0f,\"cpu_us_per_op\":%.2f,",
           load->name, load->variant, load->threads, load->size, seconds, (unsigned long long)all->count,
           (double)all->count / seconds, cpu_s / count * 1e6);
    perf_histogram_print(all);
    printf("}\n");
    fflush(stdout);
}

static inline void load_measure(const struct load *load)
{
    static struct load_worker workers[LOAD_THREADS_MAX];
    for (int i = 0; i < load->threads; i++) {
        workers[i].load = load;
        workers[i].seed = (uint64_t)i + 1;
        workers[i].histogram = (struct perf_histogram *)calloc(1, sizeof(struct perf_histogram));
        if (!workers[i].histogram || pthread_create(&workers[i].thread, NULL, load_run, &workers[i]) != 0)
            load_stop("load", "cannot start a thread");
    }
    perf_sleep_ns(300 * UINT64_C(1000000));
    double cpu = perf_cpu_s();
    uint64_t start = perf_now_ns();
    __atomic_store_n(&load_phase_now, (int)LOAD_MEASURING, __ATOMIC_RELAXED);
    uint64_t length = (uint64_t)(load->seconds * 1e9);
    for (uint64_t now = start;
         now < start + length && __atomic_load_n(&load_phase_now, __ATOMIC_RELAXED) != LOAD_STOPPED;
         now = perf_now_ns())
        perf_sleep_ns(start + length - now < LOAD_LOOK_NS ? start + length - now : LOAD_LOOK_NS);
    __atomic_store_n(&load_phase_now, (int)LOAD_STOPPED, __ATOMIC_RELAXED);
    double seconds = (double)(perf_now_ns() - start) / 1e9;
    cpu = perf_cpu_s() - cpu;
    for (int i = 0; i < load->threads; i++) {
        pthread_join(workers[i].thread, NULL);
        if (i > 0)
            perf_histogram_merge(workers[0].histogram, workers[i].histogram);
    }
    load_report(load, workers[0].histogram, seconds, cpu);
    for (int i = 0; i < load->threads; i++)
        free(workers[i].histogram);
}

/* usage: PROGRAM DIRECTORY [THREADS [SIZE [SECONDS [VARIANT]]]] */
static inline int load_main(int argument_count, char **arguments, const char *name)
{
    struct load load;
    memset(&load, 0, sizeof load);
    load.name = name;
    load.directory = argument_count > 1 ? arguments[1] : NULL;
    load.threads = argument_count > 2 ? (int)strtol(arguments[2], NULL, 10) : 1;
    load.size = argument_count > 3 ? strtoul(arguments[3], NULL, 10) : 128;
    load.seconds = argument_count > 4 ? strtod(arguments[4], NULL) : 2;
    load.variant = argument_count > 5 ? arguments[5] : "";
    bool is_bounded = LOAD_IS_BOUNDED && !strstr(load.variant, "+recycle");
    load.bytes_max = is_bounded ? LOAD_BYTES_MAX : UINT64_MAX;
    if (!load.directory || load.threads < 1 || load.threads > LOAD_THREADS_MAX || load.size < 1 || load.seconds <= 0) {
        fprintf(stderr, "usage: %s DIRECTORY [THREADS [SIZE [SECONDS [VARIANT]]]]\n", name);
        return 2;
    }
    load_open(&load);
    load_measure(&load);
    load_close();
    return 0;
}

#endif
