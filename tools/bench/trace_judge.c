/* trace_judge.c - from events to a culprit; see trace_event.h. Pure: the tests give it events of their own.
 *
 * Of everything that was going on between start and end, what took the longest part is named, if it took two fifths at
 * least. Waiting for a CPU is looked at first: a request that is back lies there until somebody runs to see it. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "tools/bench/live.h"
#include "tools/bench/trace_event.h"

enum { WAITERS = 128, REQUESTS = 256, PART_OF_FIVE = 2 };

/* A thread that is ready to run and does not. */
struct waiter {
    int32_t thread;
    uint64_t since_ns; /* 0: it runs, or sleeps */
    uint64_t longest_ns;
    char comm[16];
    uint8_t cpu;
};
struct request {
    uint64_t sector, since_ns;
    uint32_t bytes;
    char flags[12];
};
struct scene {
    uint64_t from_ns, to_ns;
    int32_t thread;
    uint32_t device;
    struct waiter waiters[WAITERS];
    uint32_t waiter_count;
    struct request requests[REQUESTS];
    uint32_t request_count;
    struct request worst;
    uint64_t worst_ns;
    uint64_t journal_since_ns, journal_ns;
    uint32_t punts;
    uint64_t own_wait_ns; /* of the thread itself, all waits together */
    char behind[16];      /* who ran instead of it, or of the worst waiter */
};

const char *dw_bench_culprit_name(enum dw_bench_culprit culprit)
{
    static const char *const names[DW_BENCH_CULPRITS] = {
        [DW_BENCH_CULPRIT_UNKNOWN] = "unknown",
        [DW_BENCH_CULPRIT_CPU] = "no CPU for the caller",
        [DW_BENCH_CULPRIT_WORKER] = "no CPU for a helper",
        [DW_BENCH_CULPRIT_FLUSH] = "device flush",
        [DW_BENCH_CULPRIT_DEVICE] = "device request",
        [DW_BENCH_CULPRIT_JOURNAL] = "journal commit",
    };
    return (unsigned)culprit < DW_BENCH_CULPRITS ? names[culprit] : "unknown";
}

/* The part of [since, until] that lies inside the operation. */
static uint64_t inside(const struct scene *scene, uint64_t since_ns, uint64_t until_ns)
{
    uint64_t from = since_ns > scene->from_ns ? since_ns : scene->from_ns;
    uint64_t to = until_ns < scene->to_ns ? until_ns : scene->to_ns;
    return to > from ? to - from : 0;
}

static struct waiter *find_waiter(struct scene *scene, int32_t thread, const char *comm)
{
    struct waiter *waiter = scene->waiters;
    while (waiter < scene->waiters + scene->waiter_count && waiter->thread != thread)
        waiter++;
    if (waiter == scene->waiters + WAITERS)
        return NULL;
    if (waiter == scene->waiters + scene->waiter_count) {
        scene->waiter_count++;
        *waiter = (struct waiter){.thread = thread};
    }
    if (comm[0])
        (void)snprintf(waiter->comm, sizeof waiter->comm, "%.15s", comm);
    return waiter;
}

static void begin_wait(struct scene *scene, int32_t thread, const char *comm, uint64_t time_ns)
{
    struct waiter *waiter = thread > 0 ? find_waiter(scene, thread, comm) : NULL;
    if (waiter && waiter->since_ns == 0)
        waiter->since_ns = time_ns;
}

static void end_wait(struct scene *scene, int32_t thread, uint64_t time_ns, uint8_t cpu)
{
    struct waiter *waiter = thread > 0 ? find_waiter(scene, thread, "") : NULL;
    if (!waiter || waiter->since_ns == 0)
        return;
    uint64_t waited_ns = inside(scene, waiter->since_ns, time_ns);
    waiter->since_ns = 0;
    waiter->cpu = cpu;
    if (thread == scene->thread)
        scene->own_wait_ns += waited_ns;
    if (waited_ns > waiter->longest_ns)
        waiter->longest_ns = waited_ns;
}

static void begin_request(struct scene *scene, const struct dw_trace_event *event)
{
    if (scene->request_count == REQUESTS)
        return;
    struct request *request = &scene->requests[scene->request_count++];
    *request = (struct request){.sector = event->sector, .since_ns = event->time_ns, .bytes = event->bytes};
    memcpy(request->flags, event->flags, sizeof request->flags);
}

static void end_request(struct scene *scene, uint32_t index, uint64_t time_ns)
{
    struct request *request = &scene->requests[index];
    uint64_t took_ns = inside(scene, request->since_ns, time_ns);
    if (took_ns > scene->worst_ns) {
        scene->worst_ns = took_ns;
        scene->worst = *request;
    }
    *request = scene->requests[--scene->request_count];
}

static void complete(struct scene *scene, const struct dw_trace_event *event)
{
    for (uint32_t i = 0; i < scene->request_count; i++) {
        if (scene->requests[i].sector == event->sector && scene->requests[i].flags[0] == event->flags[0]) {
            end_request(scene, i, event->time_ns);
            return;
        }
    }
}

static void play(struct scene *scene, const struct dw_trace_event *event)
{
    switch ((enum dw_trace_kind)event->kind) {
    case DW_TRACE_ISSUE:
        if (event->device == scene->device)
            begin_request(scene, event);
        break;
    case DW_TRACE_COMPLETE:
        if (event->device == scene->device)
            complete(scene, event);
        break;
    case DW_TRACE_WAKING:
        begin_wait(scene, event->thread, event->comm, event->time_ns);
        break;
    case DW_TRACE_SWITCH:
        end_wait(scene, event->other, event->time_ns, event->cpu);
        if (event->was_running)
            begin_wait(scene, event->thread, "", event->time_ns);
        break;
    case DW_TRACE_JOURNAL:
        scene->journal_since_ns = event->time_ns;
        break;
    case DW_TRACE_JOURNALED:
        scene->journal_ns += inside(scene, scene->journal_since_ns, event->time_ns);
        scene->journal_since_ns = 0;
        break;
    case DW_TRACE_PUNT:
        scene->punts += event->time_ns >= scene->from_ns && event->time_ns <= scene->to_ns;
        break;
    case DW_TRACE_KINDS:
        break;
    }
}

/* Who ran longest on `cpu` during the operation. */
static void find_runner(struct scene *scene, const struct dw_trace_event *events, size_t count, uint8_t cpu,
                        int32_t but_not)
{
    uint64_t longest_ns = 0, since_ns = scene->from_ns;
    char comm[16] = "";
    int32_t thread = 0;
    for (size_t i = 0; i < count && since_ns < scene->to_ns; i++) {
        if (events[i].kind != DW_TRACE_SWITCH || events[i].cpu != cpu)
            continue;
        uint64_t ran_ns = inside(scene, since_ns, events[i].time_ns);
        if (thread > 0 && thread != but_not && ran_ns > longest_ns) {
            longest_ns = ran_ns;
            memcpy(scene->behind, comm, sizeof scene->behind);
        }
        since_ns = events[i].time_ns;
        thread = events[i].other;
        memcpy(comm, events[i].comm, sizeof comm);
    }
}

/* ---- the verdict -----------------------------------------------------------------------------------------------------------*/

static const struct waiter *worst_helper(const struct scene *scene)
{
    const struct waiter *worst = NULL;
    for (uint32_t i = 0; i < scene->waiter_count; i++) {
        const struct waiter *waiter = &scene->waiters[i];
        /* Only those whose work the operation may hang on: not every thread of the machine that waits for its turn. */
        bool is_helper = strncmp(waiter->comm, "kworker", 7) == 0 || strncmp(waiter->comm, "dwal-", 5) == 0 ||
                         strncmp(waiter->comm, "iou-", 4) == 0 || strncmp(waiter->comm, "jbd2", 4) == 0;
        if (is_helper && waiter->thread != scene->thread && (!worst || waiter->longest_ns > worst->longest_ns))
            worst = waiter;
    }
    return worst;
}

static bool is_much(const struct scene *scene, uint64_t part_ns)
{
    return part_ns * 5 >= (scene->to_ns - scene->from_ns) * PART_OF_FIVE && part_ns > 0;
}

static void tell_wait(struct scene *scene, const struct dw_trace_event *events, size_t count,
                      const struct waiter *waiter, uint64_t waited_ns, struct dw_trace_verdict *verdict)
{
    char time[16];
    find_runner(scene, events, count, waiter->cpu, waiter->thread);
    (void)snprintf(verdict->text, sizeof verdict->text, "%.16s waited %s for CPU %u%s%.16s",
                   waiter->thread == scene->thread ? "the caller" : waiter->comm,
                   dw_bench_time_text(time, (double)waited_ns), waiter->cpu, scene->behind[0] ? " behind " : "",
                   scene->behind);
}

static void decide(struct scene *scene, const struct dw_trace_event *events, size_t count,
                   struct dw_trace_verdict *verdict)
{
    char time[16];
    const struct waiter *helper = worst_helper(scene);
    uint64_t helper_ns = helper ? helper->longest_ns : 0;
    if (is_much(scene, scene->own_wait_ns) && scene->own_wait_ns >= helper_ns) {
        verdict->culprit = DW_BENCH_CULPRIT_CPU;
        tell_wait(scene, events, count, find_waiter(scene, scene->thread, ""), scene->own_wait_ns, verdict);
    } else if (is_much(scene, helper_ns)) {
        verdict->culprit = DW_BENCH_CULPRIT_WORKER;
        tell_wait(scene, events, count, helper, helper_ns, verdict);
    } else if (is_much(scene, scene->worst_ns)) {
        bool is_flush = scene->worst.flags[0] == 'F' && scene->worst.bytes == 0;
        verdict->culprit = is_flush ? DW_BENCH_CULPRIT_FLUSH : DW_BENCH_CULPRIT_DEVICE;
        if (is_flush)
            (void)snprintf(verdict->text, sizeof verdict->text, "the device flushed its cache for %s",
                           dw_bench_time_text(time, (double)scene->worst_ns));
        else
            (void)snprintf(verdict->text, sizeof verdict->text, "the device took %s for a request (%.12s, %u bytes)",
                           dw_bench_time_text(time, (double)scene->worst_ns), scene->worst.flags, scene->worst.bytes);
    } else if (is_much(scene, scene->journal_ns)) {
        verdict->culprit = DW_BENCH_CULPRIT_JOURNAL;
        (void)snprintf(verdict->text, sizeof verdict->text, "the journal committed for %s",
                       dw_bench_time_text(time, (double)scene->journal_ns));
    } else {
        (void)snprintf(verdict->text, sizeof verdict->text, "nothing traced explains it");
    }
    size_t size = strlen(verdict->text);
    if (scene->punts > 0)
        (void)snprintf(verdict->text + size, sizeof verdict->text - size, "; %u io_uring operation%s went to a worker",
                       scene->punts, scene->punts > 1 ? "s" : "");
}

void dw_trace_judge(const struct dw_trace_event *events, size_t count, uint32_t device, int32_t thread,
                    uint64_t from_ns, uint64_t to_ns, struct dw_trace_verdict *verdict)
{
    static _Thread_local struct scene scene; /* too large for a stack */
    memset(&scene, 0, sizeof scene);
    scene.from_ns = from_ns;
    scene.to_ns = to_ns;
    scene.thread = thread;
    scene.device = device;
    *verdict = (struct dw_trace_verdict){.culprit = DW_BENCH_CULPRIT_UNKNOWN};
    for (size_t i = 0; i < count && events[i].time_ns <= to_ns; i++)
        play(&scene, &events[i]);
    while (scene.request_count > 0) /* what was not back by the end was out until then */
        end_request(&scene, 0, to_ns);
    for (uint32_t i = 0; i < scene.waiter_count; i++)
        end_wait(&scene, scene.waiters[i].thread, to_ns, scene.waiters[i].cpu);
    if (scene.journal_since_ns)
        scene.journal_ns += inside(&scene, scene.journal_since_ns, to_ns);
    decide(&scene, events, count, verdict);
}
