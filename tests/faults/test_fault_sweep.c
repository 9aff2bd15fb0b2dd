/* test_fault_sweep.c - a fault at every call of the disk, once and for good, under one story of the whole log.
 *
 * The story (tests/lib/log_story.h) is played once to count the calls of each kind, then again with a fault at every
 * index. Single-stepped on the simulated disk every index is met, and crash images of the moment are looked at too; with
 * threads on a directory of the machine, for the backends sync, uring and aio, as many as the time allows. What must hold
 * is the story's oracle, and here: no write is tried again in place, no memory stays, nothing hangs. */
#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "alloc/alloc.h"
#include "base/bits.h"
#include "io/sim.h"
#include "tests/lib/io_fault.h"
#include "tests/lib/io_place.h"
#include "tests/lib/log_story.h"
#include "tests/lib/tmpdir.h"
#include "tests/lib/watchdog.h"

#if defined(DW_SANITIZED)
enum { THREADED_SECONDS = 8, HANG_SECONDS = 120 };
#else
enum { THREADED_SECONDS = 6, HANG_SECONDS = 60 };
#endif

/* ---- what can go wrong ---- */

struct fault {
    const char *name;
    unsigned kinds;
    enum dw_fault_action action;
    int error;
    size_t bytes;
    uint32_t reaps;
    bool is_harmless; /* no call may fail by it */
};

#define READS (DW_FAULT_READ | DW_FAULT_OPEN | DW_FAULT_LOCK | DW_FAULT_SIZE)

static const struct fault faults[] = {
    {"EIO", DW_FAULT_ANY & ~(unsigned)DW_FAULT_QUEUE_CREATE, DW_FAULT_BEFORE, -EIO, 0, 0, false},
    {"ENOSPC", DW_FAULT_ANY_CHANGE, DW_FAULT_BEFORE, -ENOSPC, 0, 0, false},
    {"512 bytes, then EIO", DW_FAULT_ANY_WRITE | DW_FAULT_READ, DW_FAULT_HALF_WAY, -EIO, 512, 0, false},
    {"4096 bytes, then EIO", DW_FAULT_ANY_WRITE | DW_FAULT_READ, DW_FAULT_HALF_WAY, -EIO, 4096, 0, false},
    {"all done, and EIO", DW_FAULT_ANY_CHANGE, DW_FAULT_AFTER, -EIO, 0, 0, false},
    {"EINTR", DW_FAULT_ANY_WRITE | DW_FAULT_SYNC | DW_FAULT_READ, DW_FAULT_BEFORE, -EINTR, 0, 0, false},
    {"EAGAIN", DW_FAULT_LOCK, DW_FAULT_BEFORE, -EAGAIN, 0, 0, false},
    {"EROFS", DW_FAULT_ANY_CHANGE, DW_FAULT_BEFORE, -EROFS, 0, 0, false},
    {"EMFILE", DW_FAULT_OPEN, DW_FAULT_BEFORE, -EMFILE, 0, 0, false},
    {"ENOMEM", DW_FAULT_QUEUE_CREATE | DW_FAULT_OPEN, DW_FAULT_BEFORE, -ENOMEM, 0, 0, false},
    {"the file seems to end", DW_FAULT_READ, DW_FAULT_HALF_WAY, 0, 0, 0, false},
    {"the file seems to end in the middle", DW_FAULT_READ, DW_FAULT_HALF_WAY, 0, 4096, 0, false},
    {"held until released", DW_FAULT_QUEUE_WRITE, DW_FAULT_HELD, 0, 0, 0, true},
    {"3 reaps late", DW_FAULT_QUEUE_WRITE, DW_FAULT_LATE, 0, 0, 3, true},
};

/* ---- one run, watched ---- */

enum { WRITES_MAX = 2000 };

struct written {
    char name[32];
    uint64_t from, to;
};

struct run {
    struct dw_disk *disk; /* with faults */
    struct dw_disk *sim;  /* NULL: a directory */
    struct dw_story *story;
    bool is_write_failing; /* the fault is one of writes, and no harmless one */
    uint64_t seen_fired;
    struct written writes[WRITES_MAX]; /* of this life */
    uint32_t write_count;
    struct written failed; /* single-stepped: the write that met the fault; to 0: none did */
    uint32_t images;
    bool is_repeated; /* told at the end of the life: a failed assertion must not leave another thread */
    char repeated[128];
};

static bool is_of_volume(const char *name)
{
    return strlen(name) > 4 && strcmp(name + strlen(name) - 4, ".vol") == 0;
}

static void note_repeated(struct run *run, const struct written *now, const char *why)
{
    if (run->is_repeated)
        return;
    run->is_repeated = true;
    snprintf(run->repeated, sizeof run->repeated, "%s at byte %llu: %s", now->name, (unsigned long long)now->from, why);
}

static pthread_mutex_t watch_mutex = PTHREAD_MUTEX_INITIALIZER;

/* Every place of a volume is written once in a life; what failed is not written again, wherever it was. */
static void watch(void *context, enum dw_fault_kind kind, const char *name, uint64_t offset, size_t size)
{
    struct run *run = context;
    struct written now = {.from = offset, .to = offset + size};
    snprintf(now.name, sizeof now.name, "%s", name);
    pthread_mutex_lock(&watch_mutex);
    uint64_t fired = dw_fault_fired(run->disk);
    if (run->story->is_single_stepped && fired > run->seen_fired && run->write_count > 0 && run->is_write_failing &&
        run->failed.to == 0)
        run->failed = run->writes[run->write_count - 1];
    run->seen_fired = fired;
    if ((kind & DW_FAULT_ANY_WRITE) && run->write_count < WRITES_MAX) {
        for (uint32_t i = 0; i < run->write_count && is_of_volume(name); i++) {
            const struct written *before = &run->writes[i];
            if (strcmp(before->name, name) == 0 && now.from < before->to && before->from < now.to)
                note_repeated(run, &now, "written twice in one life");
        }
        if (run->failed.to != 0 && strcmp(name, run->failed.name) == 0 && now.from == run->failed.from &&
            strncmp(name, "dwal.tmp.", 9) != 0) /* a new file of the same name */
            note_repeated(run, &now, "tried again after it failed");
        run->writes[run->write_count++] = now;
    }
    pthread_mutex_unlock(&watch_mutex);
}

/* After a life: what would be left had the power gone now? */
static void end_life(void *context)
{
    struct run *run = context;
    if (run->is_repeated)
        fail_msg("%s (%s)", run->repeated, dw_story_context);
    run->write_count = 0;
    run->failed.to = 0;
    if (!run->sim || dw_fault_fired(run->disk) == 0)
        return;
    struct dw_sim_crash *crash;
    struct dw_sim_crash_options options = {0};
    assert_int_equal(dw_sim_crash_create(run->sim, &options, &crash), 0);
    assert_int_equal(dw_sim_crash_seek(crash, dw_sim_event_count(run->sim)), 0);
    size_t choices = dw_sim_crash_choice_count(crash);
    uint32_t *picks = calloc(choices + 1, sizeof *picks);
    for (uint64_t seed = 0; seed < 3; seed++) {
        struct dw_disk *image;
        dw_sim_crash_picks_of_seed(crash, seed, picks);
        assert_int_equal(dw_sim_crash_image(crash, picks, seed, &image), 0);
        dw_story_check_image(run->story, image);
        image->ops->close(image);
        run->images++;
        if (choices == 0)
            break;
    }
    free(picks);
    dw_sim_crash_close(crash);
}

static char directory[DW_TMPDIR_SIZE];

/* Most runs with threads lie in memory, where a sync costs nothing; some on the file system proper. */
static void choose_place(uint64_t n)
{
    static char proper[DW_TMPDIR_SIZE];
    if (proper[0] == 0)
        snprintf(proper, sizeof proper, "%s", getenv("TMPDIR") ? getenv("TMPDIR") : "/var/tmp");
    bool is_in_memory = n % 16 != 0 && access("/dev/shm", W_OK) == 0;
    setenv("TMPDIR", is_in_memory ? "/dev/shm" : proper, 1);
}

static struct dw_disk *make_disk(struct run *run, bool is_simulated)
{
    struct dw_disk *inner, *disk;
    if (is_simulated) {
        struct dw_sim_options options = {.seed = 1, .complete_percent = 100};
        assert_int_equal(dw_sim_open(&options, &inner), 0);
        run->sim = inner;
    } else {
        dw_tmpdir_make(directory, "sweep");
        assert_int_equal(dw_disk_posix_open(directory, true, &inner), 0);
    }
    assert_int_equal(dw_fault_open(inner, true, &disk), 0);
    return disk;
}

struct totals {
    uint64_t runs, fired, images, failed, open_errors, no_space, errors;
};

static struct dw_fault_rule rule_of(const struct fault *fault, unsigned kind, uint64_t at, bool is_sticky)
{
    return (struct dw_fault_rule){
        .kinds = kind,
        .at = at,
        .is_sticky = is_sticky,
        .action = fault->action,
        .error = fault->error,
        .bytes = fault->bytes,
        .reaps = fault->reaps,
    };
}

/* What is held comes back after a while: nothing but that must end the wait. */
struct releaser {
    struct dw_disk *disk;
    pthread_t thread;
    _Atomic bool is_stopping;
};

static void *release_held(void *context)
{
    struct releaser *releaser = context;
    while (!atomic_load(&releaser->is_stopping)) {
        bool is_held = dw_fault_held(releaser->disk) > 0;
        usleep(is_held ? 3000 : 500);
        if (is_held)
            dw_fault_release(releaser->disk);
    }
    return NULL;
}

static void play_story(struct run *run, const struct fault *fault)
{
    struct releaser releaser = {.disk = run->disk};
    bool is_holding = fault && fault->action == DW_FAULT_HELD;
    if (is_holding)
        assert_int_equal(pthread_create(&releaser.thread, NULL, release_held, &releaser), 0);
    dw_story_play(run->story);
    atomic_store(&releaser.is_stopping, true);
    if (is_holding)
        pthread_join(releaser.thread, NULL);
}

/* Is nothing allowed to fail for good by what happened? A full disk is met while blanks are made. */
static void check_outcome(const struct run *run, const struct fault *fault, unsigned kind)
{
    const struct dw_story *story = run->story;
    if (fault->is_harmless && (story->errors != 0 || story->failed != 0))
        fail_msg("a late write is no error (%s)", dw_story_context);
    bool is_short = fault->error == -ENOSPC || fault->error == -EMFILE || fault->error == -ENOMEM;
    unsigned can_wait = DW_FAULT_OPEN | DW_FAULT_WRITE | DW_FAULT_RENAME | DW_FAULT_ALLOCATE;
    if (is_short && (kind & can_wait) && story->failed != 0)
        fail_msg("a shortage stopped the log: \"%s\" (%s)", story->cause.text, dw_story_context);
    bool is_read_only_fault = (kind & (DW_FAULT_READ | DW_FAULT_SIZE | DW_FAULT_LIST)) != 0;
    if (story->failed > 0 && story->cause.system_code != -fault->error && !is_read_only_fault)
        fail_msg("the cause \"%s\" does not carry the system's code %d (%s)", story->cause.text, -fault->error,
                 dw_story_context);
}

static void play(bool is_simulated, const char *backend, const struct fault *fault, unsigned kind, uint64_t at,
                 bool is_sticky, struct totals *totals)
{
    static struct run run;
    uint64_t bytes = dw_alloc_bytes();
    if (fault && fault->error == -EAGAIN && is_sticky && at % 5 != 1)
        return; /* each open waits for a lock for a quarter of a second */
    snprintf(dw_story_context, sizeof dw_story_context, "%s, %s at call %llu of kind 0x%x, %s",
             is_simulated ? "simulated" : backend, fault ? fault->name : "none", (unsigned long long)at, kind,
             is_sticky ? "for good" : "once");
    alarm(HANG_SECONDS);
    memset(&run, 0, sizeof run);
    run.is_write_failing = fault && !fault->is_harmless && (kind & DW_FAULT_ANY_WRITE) != 0;
    run.disk = make_disk(&run, is_simulated);
    run.story = dw_story_new(run.disk, backend);
    run.story->is_single_stepped = is_simulated;
    run.story->is_short = !is_simulated;
    run.story->may_reads_fail = (kind & READS) != 0;
    run.story->on_life_end = end_life;
    run.story->context = &run;
    dw_fault_watch(run.disk, watch, &run);
    if (fault) {
        struct dw_fault_rule rule = rule_of(fault, kind, at, is_sticky);
        dw_fault_add(run.disk, &rule);
    }
    play_story(&run, fault);
    uint64_t fired = dw_fault_fired(run.disk);
    dw_fault_clear(run.disk);
    if (fault && fired > 0)
        check_outcome(&run, fault, kind);
    if (!fault && (run.story->errors != 0 || run.story->failed != 0 || run.story->lives != 2))
        fail_msg("the story fails without a fault: %s", dwal_last_error()->text);
    for (unsigned i = 0; i < 14 && !fault; i++)
        totals[i].runs = dw_fault_count(run.disk, 1u << i);
    dw_story_check(run.story, run.disk);
    if (fault) {
        totals->runs++;
        totals->fired += fired > 0;
        totals->images += run.images;
        totals->failed += run.story->failed;
        totals->open_errors += run.story->open_errors;
        totals->no_space += run.story->no_space;
        totals->errors += run.story->errors;
    }
    dw_fault_watch(run.disk, NULL, NULL);
    dw_story_free(run.story);
    run.disk->ops->close(run.disk);
    if (!is_simulated)
        dw_tmpdir_remove(directory);
    if (dw_alloc_bytes() != bytes)
        fail_msg("%llu bytes are left (%s)", (unsigned long long)(dw_alloc_bytes() - bytes), dw_story_context);
    alarm(0);
}

/* ---- sweeps ---- */

static void say(const char *what, const struct totals *totals, uint64_t planned)
{
    print_message("%s: %llu of %llu faults played, %llu met; %llu logs failed, %llu opens refused, %llu appends met no "
                  "space, %llu errors looked at, %llu crash images\n",
                  what, (unsigned long long)totals->runs, (unsigned long long)planned,
                  (unsigned long long)totals->fired, (unsigned long long)totals->failed,
                  (unsigned long long)totals->open_errors, (unsigned long long)totals->no_space,
                  (unsigned long long)totals->errors, (unsigned long long)totals->images);
}

static uint64_t plan(const uint64_t counts[14])
{
    uint64_t planned = 0;
    for (size_t f = 0; f < DW_COUNT_OF(faults); f++)
        for (unsigned i = 0; i < 14; i++)
            planned += (faults[f].kinds & (1u << i)) ? 2 * counts[i] : 0;
    return planned;
}

static uint64_t now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

static void count_calls(bool is_simulated, const char *backend, uint64_t counts[14])
{
    struct totals kinds[14] = {{0}};
    play(is_simulated, backend, NULL, 0, 0, false, kinds);
    print_message("calls:");
    for (unsigned i = 0; i < 14; i++) {
        counts[i] = kinds[i].runs;
        print_message(" %llu", (unsigned long long)counts[i]);
    }
    print_message(" (read write durable queue sync names open rename unlink allocate size lock list queues)\n");
}

static void every_call_fails_once_and_for_good(void **state)
{
    (void)state;
    uint64_t counts[14];
    struct totals totals = {0};
    count_calls(true, "sim", counts);
    for (size_t f = 0; f < DW_COUNT_OF(faults); f++)
        for (unsigned i = 0; i < 14; i++)
            for (uint64_t at = 1; (faults[f].kinds & (1u << i)) && at <= counts[i]; at++)
                for (int is_sticky = 0; is_sticky < 2; is_sticky++)
                    play(true, "sim", &faults[f], 1u << i, at, is_sticky != 0, &totals);
    say("single-stepped", &totals, plan(counts));
}

/* A stride that is prime to the number of cases meets them evenly for as long as time allows. */
static void sweep_threaded(const char *backend)
{
    choose_place(0); /* the test before left its own */
    if (!dw_place_has_queue(backend)) {
        print_message("this kernel forbids %s\n", backend);
        skip();
    }
    uint64_t counts[14];
    struct totals totals = {0};
    count_calls(false, backend, counts);
    uint64_t planned = plan(counts), end_ms = now_ms() + (uint64_t)THREADED_SECONDS * 1000;
    uint64_t stride = planned * 382 / 1000;
    while (stride > 1) { /* greatest common divisor 1 */
        uint64_t a = planned, b = stride;
        while (b) {
            uint64_t rest = a % b;
            a = b;
            b = rest;
        }
        if (a == 1)
            break;
        stride++;
    }
    uint64_t wanted = 0;
    for (uint64_t n = 0; n < planned && now_ms() < end_ms; n++, wanted = (wanted + stride) % planned) {
        uint64_t left = wanted;
        choose_place(n);
        for (size_t f = 0; f < DW_COUNT_OF(faults); f++)
            for (unsigned i = 0; i < 14; i++) {
                uint64_t cases = (faults[f].kinds & (1u << i)) ? 2 * counts[i] : 0;
                if (left < cases)
                    play(false, backend, &faults[f], 1u << i, left / 2 + 1, left % 2 != 0, &totals);
                left = left < cases ? UINT64_MAX / 2 : left - cases;
            }
    }
    say(backend, &totals, planned);
}

static void calls_fail_under_threads_with_sync(void **state)
{
    (void)state;
    sweep_threaded("sync");
}

static void calls_fail_under_threads_with_uring(void **state)
{
    (void)state;
    sweep_threaded("uring");
}

static void calls_fail_under_threads_with_aio(void **state)
{
    (void)state;
    sweep_threaded("aio");
}

/* A commit fails, then the maker does, by another errno: the first cause is the one that stays. */
static void first_cause_stays_when_more_fails(void **state)
{
    (void)state;
    static struct run run;
    memset(&run, 0, sizeof run);
    snprintf(dw_story_context, sizeof dw_story_context, "two failures");
    alarm(HANG_SECONDS);
    run.disk = make_disk(&run, true);
    struct dw_story *story = dw_story_new(run.disk, "sim");
    story->is_single_stepped = true;
    assert_int_equal(dw_story_create(story), 0);
    assert_int_equal(dw_story_open(story, NULL), 0);
    dw_fault_add(run.disk, &(struct dw_fault_rule){
                               .kinds = DW_FAULT_QUEUE_WRITE, .at = 1, .error = -EIO, .name_start = "0000000000.vol"});
    dw_fault_add(run.disk,
                 &(struct dw_fault_rule){
                     .kinds = DW_FAULT_OPEN, .at = 1, .is_sticky = true, .error = -EROFS, .name_start = "dwal.tmp."});
    assert_int_equal(dw_story_append(story, 1), 0);
    assert_int_equal(dw_story_sync(story), DWAL_EFAILED);
    assert_int_equal(dw_story_close(story), DWAL_EFAILED); /* lets the workers run, and looks at the cause again */
    assert_int_equal(story->cause.system_code, EIO);
    assert_int_equal(dw_fault_fired(run.disk), 2);
    dw_fault_clear(run.disk);
    dw_story_check(story, run.disk);
    dw_story_free(story);
    run.disk->ops->close(run.disk);
    alarm(0);
}

/* ---- a hang is a failure with a name ---- */

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(first_cause_stays_when_more_fails),  cmocka_unit_test(every_call_fails_once_and_for_good),
        cmocka_unit_test(calls_fail_under_threads_with_sync), cmocka_unit_test(calls_fail_under_threads_with_uring),
        cmocka_unit_test(calls_fail_under_threads_with_aio),
    };
    dw_watchdog_install("test_fault_sweep", dw_story_context);
    if (getenv("DW_ONLY"))
        cmocka_set_test_filter(getenv("DW_ONLY"));
    return cmocka_run_group_tests(tests, NULL, NULL);
}
