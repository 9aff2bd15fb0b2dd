/* machine.c - the samples: what the machine did meanwhile; see machine.h. The facts are in facts.c. */
#include "tools/bench/machine.h"

#include <inttypes.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "tools/bench/bench.h"

enum { SAMPLES = 8192, PERIOD_MS = 100 };

static struct {
    struct dw_bench_machine *machine;
    pthread_t thread;
    bool is_running; /* main thread only */
    pthread_mutex_t mutex;
    pthread_cond_t over;
    bool is_over;                              /* under the mutex, as all below */
    struct dw_bench_counters samples[SAMPLES]; /* samples[0..count), round */
    uint64_t count;
} sampler = {.mutex = PTHREAD_MUTEX_INITIALIZER, .over = PTHREAD_COND_INITIALIZER};

/* ---- counters -------------------------------------------------------------------------------------------------------*/

static size_t read_text(const char *path, char *text, size_t size)
{
    FILE *file = fopen(path, "re");
    size_t n = file ? fread(text, 1, size - 1, file) : 0;
    text[n] = 0;
    if (file)
        fclose(file);
    return n;
}

/* The number behind `name` at the start of a line; 0 when there is none. */
static uint64_t number_after(const char *text, const char *name)
{
    size_t size = strlen(name);
    for (const char *line = text; line; line = strchr(line, '\n')) {
        line += *line == '\n';
        if (strncmp(line, name, size) == 0)
            return strtoull(line + size, NULL, 10);
    }
    return 0;
}

static void count_cpu(struct dw_bench_counters *counters)
{
    static const unsigned IDLE = 3, WAIT = 4, STEAL = 7;
    char text[16384];
    (void)read_text("/proc/stat", text, sizeof text);
    const char *at = strncmp(text, "cpu ", 4) == 0 ? text + 4 : "";
    for (unsigned i = 0; i < 8; i++) {
        char *end;
        uint64_t value = strtoull(at, &end, 10);
        at = end;
        counters->cpu_all += value;
        if (i != IDLE && i != WAIT)
            counters->cpu_busy += value;
        if (i == WAIT)
            counters->cpu_wait = value;
        if (i == STEAL)
            counters->cpu_steal = value;
    }
    counters->switches = number_after(text, "ctxt ");
    counters->running = number_after(text, "procs_running ");
    counters->blocked = number_after(text, "procs_blocked ");
}

static uint64_t count_pressure(const char *path)
{
    char text[512];
    (void)read_text(path, text, sizeof text);
    const char *total = strstr(text, "total=");
    return total ? strtoull(total + 6, NULL, 10) : 0;
}

static void count_disk(const char *disk, struct dw_bench_counters *counters)
{
    char path[128], text[512];
    if (!disk[0])
        return;
    (void)snprintf(path, sizeof path, "/sys/block/%s/stat", disk);
    (void)read_text(path, text, sizeof text);
    uint64_t fields[17] = {0};
    char *at = text;
    for (size_t i = 0; i < sizeof fields / sizeof fields[0]; i++)
        fields[i] = strtoull(at, &at, 10);
    counters->disk_reads = fields[0];
    counters->disk_writes = fields[4];
    counters->disk_write_sectors = fields[6];
    counters->disk_in_flight = fields[8];
    counters->disk_busy_ms = fields[9];
    counters->disk_flushes = fields[15];
}

void dw_bench_machine_count(const struct dw_bench_machine *machine, struct dw_bench_counters *counters)
{
    char text[8192];
    *counters = (struct dw_bench_counters){.time_ns = dw_bench_real_clock.now(NULL)};
    count_cpu(counters);
    counters->pressure_cpu_us = count_pressure("/proc/pressure/cpu");
    counters->pressure_io_us = count_pressure("/proc/pressure/io");
    counters->pressure_memory_us = count_pressure("/proc/pressure/memory");
    count_disk(machine->disk, counters);
    (void)read_text("/proc/vmstat", text, sizeof text);
    counters->dirty_pages = number_after(text, "nr_dirty ") + number_after(text, "nr_writeback ");
}

/* ---- the thread -----------------------------------------------------------------------------------------------------*/

static void add_sample(const struct dw_bench_machine *machine)
{
    dw_bench_machine_count(machine, &sampler.samples[sampler.count++ % SAMPLES]);
}

static void *sample_until_over(void *unused)
{
    (void)unused;
    pthread_mutex_lock(&sampler.mutex);
    while (!sampler.is_over) {
        add_sample(sampler.machine);
        struct timespec until;
        clock_gettime(CLOCK_REALTIME, &until);
        until.tv_nsec += PERIOD_MS * 1000000;
        until.tv_sec += until.tv_nsec / 1000000000;
        until.tv_nsec %= 1000000000;
        (void)pthread_cond_timedwait(&sampler.over, &sampler.mutex, &until);
    }
    pthread_mutex_unlock(&sampler.mutex);
    return NULL;
}

void dw_bench_machine_start(struct dw_bench_machine *machine)
{
    sampler.machine = machine;
    sampler.is_over = false;
    sampler.count = 0;
    dw_bench_machine_count(machine, &machine->before);
    sampler.is_running = pthread_create(&sampler.thread, NULL, sample_until_over, NULL) == 0;
}

void dw_bench_machine_stop(struct dw_bench_machine *machine)
{
    if (sampler.is_running) {
        pthread_mutex_lock(&sampler.mutex);
        sampler.is_over = true;
        pthread_cond_signal(&sampler.over);
        pthread_mutex_unlock(&sampler.mutex);
        pthread_join(sampler.thread, NULL);
        sampler.is_running = false;
    }
    dw_bench_machine_count(machine, &machine->after);
}

uint64_t dw_bench_machine_cpu_ns(void)
{
    clockid_t clock;
    struct timespec time;
    if (!sampler.is_running || pthread_getcpuclockid(sampler.thread, &clock) != 0 || clock_gettime(clock, &time) != 0)
        return 0;
    return (uint64_t)time.tv_sec * UINT64_C(1000000000) + (uint64_t)time.tv_nsec;
}

void dw_bench_machine_sample(struct dw_bench_machine *machine)
{
    pthread_mutex_lock(&sampler.mutex);
    add_sample(machine);
    pthread_mutex_unlock(&sampler.mutex);
}

/* ---- telling ----------------------------------------------------------------------------------------------------------*/

static void tell_between(const struct dw_bench_counters *a, const struct dw_bench_counters *b, char *text, size_t size)
{
    uint64_t all = b->cpu_all - a->cpu_all, time_ns = b->time_ns - a->time_ns;
    double percent = all ? 100.0 / (double)all : 0;
    int n = snprintf(text, size, "in %.0f ms: CPU %.0f %%", (double)time_ns / 1e6,
                     (double)(b->cpu_busy - a->cpu_busy) * percent);
    if (n > 0 && (size_t)n < size && b->cpu_steal > a->cpu_steal)
        n += snprintf(text + n, size - (size_t)n, ", stolen %.0f %%", (double)(b->cpu_steal - a->cpu_steal) * percent);
    if (n > 0 && (size_t)n < size && b->running > b->blocked)
        n += snprintf(text + n, size - (size_t)n, ", %" PRIu64 " to run", b->running);
    if (n > 0 && (size_t)n < size)
        n += snprintf(text + n, size - (size_t)n,
                      ", disk %" PRIu64 " writes %.1f MiB %" PRIu64 " flushes %" PRIu64 " reads",
                      b->disk_writes - a->disk_writes, (double)(b->disk_write_sectors - a->disk_write_sectors) / 2048,
                      b->disk_flushes - a->disk_flushes, b->disk_reads - a->disk_reads);
    if (n > 0 && (size_t)n < size && b->pressure_io_us > a->pressure_io_us)
        (void)snprintf(text + n, size - (size_t)n, ", waits for I/O %.0f ms, CPU %.0f ms",
                       (double)(b->pressure_io_us - a->pressure_io_us) / 1e3,
                       (double)(b->pressure_cpu_us - a->pressure_cpu_us) / 1e3);
}

void dw_bench_machine_tell(const struct dw_bench_machine *machine, uint64_t from_ns, uint64_t to_ns, char *text,
                           size_t size)
{
    (void)machine;
    text[0] = 0;
    pthread_mutex_lock(&sampler.mutex);
    const struct dw_bench_counters *from = NULL, *to = NULL;
    uint64_t oldest = sampler.count > SAMPLES ? sampler.count - SAMPLES : 0;
    for (uint64_t i = oldest; i < sampler.count && !to; i++) {
        const struct dw_bench_counters *sample = &sampler.samples[i % SAMPLES];
        if (sample->time_ns <= from_ns)
            from = sample;
        else if (sample->time_ns >= to_ns)
            to = sample;
    }
    if (from && to)
        tell_between(from, to, text, size);
    pthread_mutex_unlock(&sampler.mutex);
}
