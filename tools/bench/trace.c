/* trace.c - notes of slow operations, and the thread that finds their culprits; see trace.h.
 *
 * Lanes put a note into the next slot (one atomic add) and mark it written (release; the thread acquires). The thread reads
 * the trace every few milliseconds into a ring of events for each CPU, and judges a note when the trace is safely past
 * its end. Everything else is under the mutex. */
#include "tools/bench/trace.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sysmacros.h>
#include <time.h>

#include "tools/bench/bench.h"
#include "tools/bench/trace_event.h"
#include "tools/message.h"

enum { NOTES = 16384, EVENTS = 1 << 18, WINDOW_MAX = 1 << 16, PERIOD_NS = 5000000 };
#define BEFORE_NS UINT64_C(20000000) /* what was already under way when the operation began */
#define PAST_NS   UINT64_C(15000000) /* the trace of all CPUs is there by then */

enum { NOTE_FREE, NOTE_WRITTEN, NOTE_JUDGED };
struct note {
    _Atomic uint32_t state;
    int32_t thread;
    uint64_t issue_ns, done_ns;
    struct dw_trace_verdict verdict;
};

static struct {
    bool is_open; /* main thread, before the lanes */
    struct dw_trace_reader *reader;
    pthread_t thread;
    pthread_mutex_t mutex;
    pthread_cond_t over;
    bool is_over;
    uint32_t device;
    _Atomic uint64_t noted; /* notes given out */
    uint64_t judged;        /* notes[..judged) are */
    struct note *notes;
    struct dw_trace_event *events; /* the last EVENTS of all CPUs, as they were read: in order of time for each CPU */
    uint64_t event_count;
    struct dw_trace_event *window;
} tracer = {.mutex = PTHREAD_MUTEX_INITIALIZER, .over = PTHREAD_COND_INITIALIZER};

/* ---- judging ---------------------------------------------------------------------------------------------------------------*/

static void keep_event(const struct dw_trace_event *event)
{
    tracer.events[tracer.event_count++ % EVENTS] = *event;
}

static int compare_times(const void *a, const void *b)
{
    const struct dw_trace_event *x = a, *y = b;
    return (x->time_ns > y->time_ns) - (x->time_ns < y->time_ns);
}

static void judge(struct note *note)
{
    size_t count = 0;
    uint64_t oldest = tracer.event_count > EVENTS ? tracer.event_count - EVENTS : 0;
    uint64_t from_ns = note->issue_ns > BEFORE_NS ? note->issue_ns - BEFORE_NS : 0;
    /* Backwards: when there are more than fit, those near the end tell more. */
    for (uint64_t i = tracer.event_count; i > oldest && count < WINDOW_MAX; i--) {
        const struct dw_trace_event *event = &tracer.events[(i - 1) % EVENTS];
        if (event->time_ns >= from_ns && event->time_ns <= note->done_ns)
            tracer.window[count++] = *event;
    }
    qsort(tracer.window, count, sizeof *tracer.window, compare_times);
    dw_trace_judge(tracer.window, count, tracer.device, note->thread, note->issue_ns, note->done_ns, &note->verdict);
}

/* True: all that was noted is judged. */
static bool judge_due(uint64_t now_ns)
{
    uint64_t noted = atomic_load_explicit(&tracer.noted, memory_order_relaxed);
    if (noted > NOTES)
        noted = NOTES;
    for (; tracer.judged < noted; tracer.judged++) {
        struct note *note = &tracer.notes[tracer.judged];
        if (atomic_load_explicit(&note->state, memory_order_acquire) != NOTE_WRITTEN ||
            note->done_ns + PAST_NS > now_ns)
            return false;
        judge(note);
        atomic_store_explicit(&note->state, NOTE_JUDGED, memory_order_relaxed);
    }
    return true;
}

static void *follow(void *unused)
{
    (void)unused;
    pthread_mutex_lock(&tracer.mutex);
    while (!tracer.is_over) {
        uint64_t now_ns = dw_bench_real_clock.now(NULL);
        dw_trace_reader_read(tracer.reader, keep_event);
        (void)judge_due(now_ns);
        struct timespec until;
        clock_gettime(CLOCK_REALTIME, &until);
        until.tv_nsec += PERIOD_NS;
        until.tv_sec += until.tv_nsec / 1000000000;
        until.tv_nsec %= 1000000000;
        (void)pthread_cond_timedwait(&tracer.over, &tracer.mutex, &until);
    }
    pthread_mutex_unlock(&tracer.mutex);
    return NULL;
}

/* ---- the lanes and the main thread -------------------------------------------------------------------------------------------*/

void dw_bench_trace_note(int32_t thread, uint64_t issue_ns, uint64_t done_ns)
{
    if (!tracer.is_open)
        return;
    uint64_t slot = atomic_fetch_add_explicit(&tracer.noted, 1, memory_order_relaxed);
    if (slot >= NOTES)
        return; /* counted by `noted`, not judged */
    struct note *note = &tracer.notes[slot];
    note->thread = thread;
    note->issue_ns = issue_ns;
    note->done_ns = done_ns;
    atomic_store_explicit(&note->state, NOTE_WRITTEN, memory_order_release);
}

static void release(void)
{
    dw_trace_reader_close(tracer.reader);
    free(tracer.notes);
    free(tracer.events);
    free(tracer.window);
    tracer.reader = NULL;
    tracer.notes = NULL;
    tracer.events = tracer.window = NULL;
}

bool dw_bench_trace_open(uint32_t major_number, uint32_t minor_number)
{
    const char *why = "no memory";
    tracer.device = major_number << 20 | minor_number; /* as the kernel has it inside */
    tracer.notes = calloc(NOTES, sizeof *tracer.notes);
    tracer.events = calloc(EVENTS, sizeof *tracer.events);
    tracer.window = calloc(WINDOW_MAX, sizeof *tracer.window);
    if (tracer.notes && tracer.events && tracer.window)
        tracer.reader = dw_trace_reader_open(&why);
    if (tracer.reader && pthread_create(&tracer.thread, NULL, follow, NULL) == 0) {
        tracer.is_open = true;
        return true;
    }
    release();
    dw_message_warning("no culprits are named: %s", why);
    return false;
}

void dw_bench_trace_begin(void)
{
    if (!tracer.is_open)
        return;
    pthread_mutex_lock(&tracer.mutex);
    uint64_t used = atomic_load_explicit(&tracer.noted, memory_order_relaxed);
    for (uint64_t i = 0; i < used && i < NOTES; i++)
        atomic_store_explicit(&tracer.notes[i].state, NOTE_FREE, memory_order_relaxed);
    atomic_store_explicit(&tracer.noted, 0, memory_order_relaxed);
    tracer.judged = 0;
    pthread_mutex_unlock(&tracer.mutex);
}

void dw_bench_trace_settle(uint64_t counts[DW_BENCH_CULPRITS])
{
    memset(counts, 0, DW_BENCH_CULPRITS * sizeof counts[0]);
    if (!tracer.is_open)
        return;
    for (int looks = 0; looks < 200; looks++) { /* a second at most */
        pthread_mutex_lock(&tracer.mutex);
        bool is_done = judge_due(dw_bench_real_clock.now(NULL));
        pthread_mutex_unlock(&tracer.mutex);
        if (is_done)
            break;
        struct timespec pause = {.tv_nsec = PERIOD_NS};
        nanosleep(&pause, NULL);
    }
    pthread_mutex_lock(&tracer.mutex);
    for (uint64_t i = 0; i < tracer.judged; i++)
        counts[tracer.notes[i].verdict.culprit]++;
    /* More than there were slots for. */
    counts[DW_BENCH_CULPRIT_UNKNOWN] += atomic_load_explicit(&tracer.noted, memory_order_relaxed) - tracer.judged;
    pthread_mutex_unlock(&tracer.mutex);
}

void dw_bench_trace_find(uint64_t issue_ns, uint64_t done_ns, char *text, size_t size)
{
    text[0] = 0;
    if (!tracer.is_open)
        return;
    pthread_mutex_lock(&tracer.mutex);
    for (uint64_t i = tracer.judged; i > 0 && !text[0]; i--) {
        const struct note *note = &tracer.notes[i - 1];
        if (note->issue_ns == issue_ns && note->done_ns == done_ns)
            (void)snprintf(text, size, "%s", note->verdict.text);
    }
    pthread_mutex_unlock(&tracer.mutex);
}

uint64_t dw_bench_trace_cpu_ns(void)
{
    clockid_t clock;
    struct timespec time;
    if (!tracer.is_open || pthread_getcpuclockid(tracer.thread, &clock) != 0 || clock_gettime(clock, &time) != 0)
        return 0;
    return (uint64_t)time.tv_sec * UINT64_C(1000000000) + (uint64_t)time.tv_nsec;
}

uint64_t dw_bench_trace_lost(void)
{
    if (!tracer.is_open)
        return 0;
    pthread_mutex_lock(&tracer.mutex);
    uint64_t lost = dw_trace_reader_lost(tracer.reader);
    pthread_mutex_unlock(&tracer.mutex);
    return lost;
}

void dw_bench_trace_close(void)
{
    if (!tracer.is_open)
        return;
    pthread_mutex_lock(&tracer.mutex);
    tracer.is_over = true;
    pthread_cond_signal(&tracer.over);
    pthread_mutex_unlock(&tracer.mutex);
    pthread_join(tracer.thread, NULL);
    tracer.is_open = false;
    release();
}
