/* slice.c - see slice.h.
 *
 * Happy path: a thread for each lane opens its side of the engine, all meet, the main thread sets the times, all run; the
 * main thread sleeps and now and then shows how it goes. Failure: a lane that cannot open fails the contender; the others
 * of the slice still run. A signal sets `stop`: the lanes end after the operations under way. */
#include "tools/bench/slice.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <time.h>
#include <unistd.h>

#include "tools/bench/lane.h"
#include "tools/bench/live.h"
#include "tools/signals.h"

#define LOOK_MS     50
#define LEAD_NS     UINT64_C(1000000) /* from the meeting of the lanes to their start */
#define DRAIN_TIMES 10                /* an overloaded open loop may take so many times its slice */
#define STACK_SIZE  (256u << 10)

static struct {
    struct dw_bench_lane lanes[DW_BENCH_THREADS_MAX];
    struct dw_bench_record *records[DW_BENCH_THREADS_MAX];
    pthread_t threads[DW_BENCH_THREADS_MAX];
    sem_t open, go; /* each lane posts `open` and waits for `go` */
    bool is_called_off;
    atomic_bool stop;
    _Atomic uint32_t running; /* lanes; release when one has ended, acquire by the main thread */
    int ended_fd;
    uint32_t started;
    uint64_t slices; /* for seeds */
} slices = {.ended_fd = -1};

static void wait_for(sem_t *semaphore, uint32_t times)
{
    while (times > 0)
        if (sem_wait(semaphore) == 0)
            times--;
}

static void *run_lane(void *given)
{
    struct dw_bench_lane *lane = given;
    (void)prctl(PR_SET_TIMERSLACK, 1); /* else the kernel may let a sleeper lie 50 us longer */
    lane->thread = (int32_t)gettid();
    int result = dw_bench_lane_open(lane);
    sem_post(&slices.open);
    wait_for(&slices.go, 1); /* all are open, and the times are set */
    if (result == 0 && !slices.is_called_off)
        dw_bench_lane_run(lane);
    dw_bench_lane_close(lane);
    if (atomic_fetch_sub_explicit(&slices.running, 1, memory_order_acq_rel) == 1 &&
        eventfd_write(slices.ended_fd, 1) != 0)
        return NULL; /* the main thread looks by itself */
    return NULL;
}

/* ---- set-up ------------------------------------------------------------------------------------------------------------*/

static bool prepare_lanes(struct dw_bench_run *run, const struct dw_bench_slice *slice)
{
    const struct dw_bench_load *load = &slice->contender->load;
    slices.slices++;
    for (uint32_t i = 0; i < load->threads; i++) {
        if (!slices.records[i])
            slices.records[i] = malloc(sizeof *slices.records[i]);
        if (!slices.records[i])
            return false;
        dw_bench_record_clear(slices.records[i]);
        /* Each page of the record is touched by now: no page fault is measured. */
        slices.lanes[i] = (struct dw_bench_lane){
            .engine = slice->contender->engine,
            .clock = &dw_bench_real_clock,
            .load = load,
            .payload = run->target.payload,
            .index = i,
            .round = slice->round,
            .seed = (run->seed + slices.slices * 1000003 + i) * UINT64_C(0x9e3779b97f4a7c15),
            .count_max = slice->count ? (slice->count + load->threads - 1) / load->threads : 0,
            .column_first = slice->column_first,
            .column_count = slice->column_count,
            .trace_ns = run->trace_ns,
            .stop = &slices.stop,
            .record = slices.records[i],
        };
    }
    return true;
}

static void set_times(const struct dw_bench_run *run, const struct dw_bench_slice *slice)
{
    uint64_t start_ns = dw_bench_real_clock.now(NULL) + LEAD_NS;
    /* By count: long enough that the count ends it. */
    uint64_t duration_ns = slice->count ? UINT64_C(1000000000000) : slice->duration_ns;
    for (uint32_t i = 0; i < slice->contender->load.threads; i++) {
        struct dw_bench_lane *lane = &slices.lanes[i];
        lane->start_ns = start_ns;
        lane->measure_ns = start_ns + run->warm_up_ns;
        lane->end_ns = lane->measure_ns + duration_ns;
        lane->drain_ns = lane->end_ns + DRAIN_TIMES * duration_ns;
    }
}

/* Start the threads and wait until their lanes are open. False: the system has no more of them; none is to run. */
static bool start_threads(struct dw_bench_contender *contender)
{
    pthread_attr_t attributes;
    pthread_attr_init(&attributes);
    pthread_attr_setstacksize(&attributes, STACK_SIZE);
    sem_init(&slices.open, 0, 0);
    sem_init(&slices.go, 0, 0);
    uint32_t wanted = contender->load.threads, i = 0;
    atomic_store_explicit(&slices.running, wanted, memory_order_relaxed);
    for (; i < wanted; i++)
        if (pthread_create(&slices.threads[i], &attributes, run_lane, &slices.lanes[i]) != 0)
            break;
    pthread_attr_destroy(&attributes);
    slices.started = i;
    wait_for(&slices.open, i);
    if (i == wanted)
        return true;
    atomic_fetch_sub_explicit(&slices.running, wanted - i, memory_order_relaxed);
    contender->failure = -EAGAIN;
    (void)snprintf(contender->failure_text, sizeof contender->failure_text, "the system has only %u threads for it", i);
    return false;
}

/* ---- the wait ------------------------------------------------------------------------------------------------------------*/

static void wait_for_lanes(struct dw_bench_run *run, const struct dw_bench_slice *slice)
{
    struct pollfd asked[2] = {{.fd = slices.ended_fd, .events = POLLIN},
                              {.fd = dw_signals_descriptor(), .events = POLLIN}};
    const struct dw_bench_engine *engine = slice->contender->engine;
    while (atomic_load_explicit(&slices.running, memory_order_acquire) > 0) {
        /* A signal once seen is no reason to turn round and round until the last operation is back. */
        (void)poll(asked, run->was_interrupted || asked[1].fd < 0 ? 1 : 2, LOOK_MS);
        if (!run->was_interrupted && dw_signals_came()) {
            run->was_interrupted = true;
            atomic_store_explicit(&slices.stop, true, memory_order_relaxed);
        }
        if (engine->ops->tidy)
            engine->ops->tidy(slice->contender->engine, true);
        dw_bench_live_show(run, slice->contender, slice->round, slices.records, slice->contender->load.threads);
    }
    eventfd_t unused;
    (void)eventfd_read(slices.ended_fd, &unused);
}

static uint64_t clock_ns(clockid_t clock)
{
    struct timespec time = {0};
    (void)clock_gettime(clock, &time);
    return (uint64_t)time.tv_sec * UINT64_C(1000000000) + (uint64_t)time.tv_nsec;
}

/* CPU time of the lanes and of the library's threads: not of those that only look on. */
static uint64_t working_cpu_ns(void)
{
    return clock_ns(CLOCK_PROCESS_CPUTIME_ID) - clock_ns(CLOCK_THREAD_CPUTIME_ID) - dw_bench_machine_cpu_ns() -
           dw_bench_trace_cpu_ns();
}

/* ---- what came of it -----------------------------------------------------------------------------------------------------*/

static void take_failure(struct dw_bench_contender *contender, const struct dw_bench_lane *lane)
{
    if (!lane->failure || contender->failure)
        return;
    contender->failure = lane->failure;
    (void)snprintf(contender->failure_text, sizeof contender->failure_text, "%s", lane->failure_text);
}

static void gather(struct dw_bench_run *run, const struct dw_bench_slice *slice, struct dw_bench_record *part,
                   struct dw_bench_round *round, uint64_t *measured_ns, uint64_t cpu_ns)
{
    struct dw_bench_contender *contender = slice->contender;
    uint64_t last_ns = 0, finished = 0, recorded = 0;
    for (uint32_t i = 0; i < contender->load.threads; i++) {
        const struct dw_bench_lane *lane = &slices.lanes[i];
        dw_bench_record_merge(part, slices.records[i]);
        contender->unissued += lane->unissued;
        finished += lane->finished;
        recorded += lane->recorded;
        last_ns = lane->last_done_ns > last_ns ? lane->last_done_ns : last_ns;
        take_failure(contender, lane);
    }
    uint64_t from_ns = slices.lanes[0].measure_ns;
    if (last_ns > from_ns)
        *measured_ns += last_ns - from_ns;
    round->count += recorded;
    if (finished > 0) /* the warm-up's share of the CPU time is that of its operations */
        round->values[DW_BENCH_CPU] += (double)cpu_ns * (double)recorded / (double)finished;
    uint64_t counts[DW_BENCH_CULPRITS];
    dw_bench_trace_settle(counts);
    for (int i = 0; i < DW_BENCH_CULPRITS; i++)
        contender->culprits[i] += counts[i];
    for (uint32_t i = 0; i < part->slow_count; i++) {
        struct dw_bench_slow *slow = &part->slow[i];
        if (!slow->culprit[0])
            dw_bench_trace_find(slow->issue_ns, slow->done_ns, slow->culprit, sizeof slow->culprit);
        if (!slow->then[0])
            dw_bench_machine_tell(&run->machine, slow->intended_ns, slow->done_ns, slow->then, sizeof slow->then);
    }
}

void dw_bench_slice_run(struct dw_bench_run *run, const struct dw_bench_slice *slice, struct dw_bench_record *part,
                        struct dw_bench_round *round, uint64_t *measured_ns)
{
    struct dw_bench_contender *contender = slice->contender;
    if (slices.ended_fd < 0)
        slices.ended_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (slices.ended_fd < 0 || !prepare_lanes(run, slice)) {
        contender->failure = -ENOMEM;
        (void)snprintf(contender->failure_text, sizeof contender->failure_text, "no memory for the records");
        return;
    }
    dw_bench_trace_begin();
    atomic_store_explicit(&slices.stop, false, memory_order_relaxed);
    slices.is_called_off = !start_threads(contender);
    struct dw_bench_counters before, after;
    dw_bench_machine_count(&run->machine, &before);
    uint64_t cpu_ns = working_cpu_ns();
    set_times(run, slice);
    for (uint32_t i = 0; i < slices.started; i++)
        sem_post(&slices.go);
    wait_for_lanes(run, slice);
    cpu_ns = working_cpu_ns() - cpu_ns;
    for (uint32_t i = 0; i < slices.started; i++)
        pthread_join(slices.threads[i], NULL);
    dw_bench_machine_count(&run->machine, &after);
    dw_bench_machine_sample(&run->machine);
    if (after.cpu_all > before.cpu_all) {
        round->busy = (double)(after.cpu_busy - before.cpu_busy) / (double)(after.cpu_all - before.cpu_all);
        round->steal = (double)(after.cpu_steal - before.cpu_steal) / (double)(after.cpu_all - before.cpu_all);
    }
    gather(run, slice, part, round, measured_ns, cpu_ns);
}

void dw_bench_slice_free(void)
{
    for (uint32_t i = 0; i < DW_BENCH_THREADS_MAX; i++) {
        free(slices.records[i]);
        slices.records[i] = NULL;
    }
    if (slices.ended_fd >= 0)
        close(slices.ended_fd);
    slices.ended_fd = -1;
}
