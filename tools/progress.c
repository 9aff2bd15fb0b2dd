/* progress.c - a line on the terminal while long work runs; see progress.h.
 *
 * Owns: one thread between begin and end. Failure: where the thread cannot be had or /proc is not there, no line is
 * shown; the work goes on. */
#include "tools/progress.h"

#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "tools/message.h"

enum { STEP_MS = 250, FIRST_STEPS = 2 };

static struct {
    const char *what;
    uint64_t bytes_total, bytes_before, start_ns;
    pthread_t thread;
    pthread_mutex_t mutex;
    pthread_cond_t over;
    bool is_over;    /* under the mutex */
    bool is_running; /* main thread only */
} progress = {.mutex = PTHREAD_MUTEX_INITIALIZER, .over = PTHREAD_COND_INITIALIZER};
static atomic_bool
    is_line_shown; /* written by the thread and by who wipes; a stale read wipes once too often: harmless */

static uint64_t now_ns(clockid_t clock)
{
    struct timespec now;
    clock_gettime(clock, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

/* The number behind `name` in a line of /proc/self/io; 0 when the line tells something else. */
static uint64_t value_of(const char *line, const char *name)
{
    size_t size = strlen(name);
    return strncmp(line, name, size) == 0 ? strtoull(line + size, NULL, 10) : 0;
}

/* Bytes that this process moved from and to devices. 0 when the kernel does not tell. */
static uint64_t device_bytes(void)
{
    FILE *file = fopen("/proc/self/io", "re");
    if (!file)
        return 0;
    char line[128];
    uint64_t sum = 0;
    while (fgets(line, sizeof line, file))
        sum += value_of(line, "read_bytes: ") + value_of(line, "write_bytes: ");
    fclose(file);
    return sum;
}

static void show_line(void)
{
    uint64_t moved = device_bytes() - progress.bytes_before;
    double seconds = (double)(now_ns(CLOCK_MONOTONIC) - progress.start_ns) / 1e9;
    double rate = seconds > 0 ? (double)moved / seconds / (1 << 20) : 0;
    char percent[16] = "", line[160];
    if (progress.bytes_total > 0) {
        uint64_t part = moved < progress.bytes_total ? moved * 100 / progress.bytes_total : 99;
        (void)snprintf(percent, sizeof percent, "%3" PRIu64 " %%  ", part > 99 ? 99 : part);
    }
    int size = snprintf(line, sizeof line, "\rdwal %s: %s %s%" PRIu64 " MiB  %.0f MiB/s\033[K", dw_message_command(),
                        progress.what, percent, moved >> 20, rate);
    if (size > 0 && write(STDERR_FILENO, line, (size_t)size) > 0)
        atomic_store_explicit(&is_line_shown, true, memory_order_relaxed);
}

void dw_progress_wipe(void)
{
    if (atomic_exchange_explicit(&is_line_shown, false, memory_order_relaxed) &&
        write(STDERR_FILENO, "\r\033[K", 4) < 0)
        return;
}

static void *show_until_over(void *unused)
{
    (void)unused;
    pthread_mutex_lock(&progress.mutex);
    for (int steps = 1; !progress.is_over; steps++) {
        uint64_t until = now_ns(CLOCK_REALTIME) + UINT64_C(1000000) * STEP_MS;
        struct timespec deadline = {.tv_sec = (time_t)(until / 1000000000u), .tv_nsec = (long)(until % 1000000000u)};
        int result = pthread_cond_timedwait(&progress.over, &progress.mutex, &deadline);
        if (result == ETIMEDOUT && steps >= FIRST_STEPS)
            show_line();
    }
    pthread_mutex_unlock(&progress.mutex);
    return NULL;
}

void dw_progress_begin(const char *what, uint64_t bytes_total)
{
    if (progress.is_running || !isatty(STDERR_FILENO))
        return;
    progress.what = what;
    progress.bytes_total = bytes_total;
    progress.bytes_before = device_bytes();
    progress.start_ns = now_ns(CLOCK_MONOTONIC);
    progress.is_over = false;
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before); /* signals are the main thread's */
    progress.is_running = pthread_create(&progress.thread, NULL, show_until_over, NULL) == 0;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
}

void dw_progress_end(void)
{
    if (!progress.is_running)
        return;
    pthread_mutex_lock(&progress.mutex);
    progress.is_over = true;
    pthread_cond_signal(&progress.over);
    pthread_mutex_unlock(&progress.mutex);
    pthread_join(progress.thread, NULL);
    progress.is_running = false;
    dw_progress_wipe();
}
