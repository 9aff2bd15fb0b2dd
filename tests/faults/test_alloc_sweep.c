/* test_alloc_sweep.c - no memory, at every allocation; and no allocation at all on the way of a commit.
 *
 * The story of a whole log (tests/lib/log_story.h) and the inspecting calls are played once to count allocations, then
 * again with each of them failing, once and for good: every call answers DWAL_EMEMORY or does its work, nothing acknowledged is
 * lost, nothing is left behind, and a maker without memory waits for some instead of stopping the log. */
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <cmocka.h>

#include <dwal/inspect.h>
#include <dwal/scan.h>

#include "alloc/alloc.h"
#include "base/bits.h"
#include "tests/lib/log_story.h"
#include "tests/lib/tmpdir.h"
#include "tests/lib/watchdog.h"

enum { HANG_SECONDS = 60 };

/* ---- who allocates? -------------------------------------------------------------------------------------------------- */

static _Atomic bool is_armed;
static _Atomic uint64_t maker_count, other_count;

#if !defined(DW_SANITIZED)
/* Every allocation of this process goes through here, also those that alloc/ does not know of. */
void *__libc_malloc(size_t size);
void *__libc_calloc(size_t count, size_t size);
void *__libc_realloc(void *memory, size_t size);
void *__libc_memalign(size_t alignment, size_t size);

static void note_allocation(void)
{
    char name[16] = "";
    if (!atomic_load_explicit(&is_armed, memory_order_relaxed))
        return;
    prctl(PR_GET_NAME, name);
    atomic_fetch_add(strcmp(name, "dwal-maker") == 0 ? &maker_count : &other_count, 1);
}
void *malloc(size_t size)
{
    note_allocation();
    return __libc_malloc(size);
}
void *calloc(size_t count, size_t size)
{
    note_allocation();
    return __libc_calloc(count, size);
}
void *realloc(void *memory, size_t size)
{
    note_allocation();
    return __libc_realloc(memory, size);
}
int posix_memalign(void **memory, size_t alignment, size_t size)
{
    note_allocation();
    *memory = __libc_memalign(alignment, size);
    return *memory ? 0 : 12;
}
#endif

/* ---- the sweep --------------------------------------------------------------------------------------------------------- */

static char directory[DW_TMPDIR_SIZE];

static struct dw_disk *make_place(void)
{
    struct dw_disk *disk;
    if (access("/dev/shm", W_OK) == 0)
        setenv("TMPDIR", "/dev/shm", 1);
    dw_tmpdir_make(directory, "alloc");
    assert_int_equal(dw_disk_posix_open(directory, true, &disk), 0);
    return disk;
}

static bool want_all(void *context, const struct dwal_record *record)
{
    (void)context;
    (void)record;
    return true;
}
static void take_data(void *context, const struct dwal_record *record)
{
    (void)record;
    (*(uint32_t *)context)++;
}
static bool take_item(void *context, const struct dwal_item *item)
{
    (void)item;
    (*(uint32_t *)context)++;
    return true;
}
static void take_damage(void *context, const struct dwal_damage *damage)
{
    (void)damage;
    (*(uint32_t *)context)++;
}

/* Without memory an answer is DWAL_EMEMORY; a file that the device did not give for want of memory may be named as such. */
static void check_answer(int result, const char *what)
{
    if (result == 0)
        return;
    const struct dwal_error *error = dwal_last_error();
    if (error->code != result || (result != DWAL_EMEMORY && error->system_code != 12 && !strstr(error->text, "emory")))
        fail_msg("%s answers %s: %s (%s)", what, dwal_error_name(result), error->text, dw_story_context);
}

/* What looks at a log without opening it, and a reader beside nobody. */
static void inspect(void)
{
    struct dwal_options options = DWAL_OPTIONS_INIT;
    options.is_unsafe_buffered = true;
    uint32_t seen = 0;
    struct dwal_scan scan = {
        .size = sizeof scan, .is_unsafe_buffered = true, .context = &seen, .metadata = want_all, .data = take_data};
    struct dwal_report report = {.size = sizeof report};
    struct dwal_info info = {.size = sizeof info};
    check_answer(dwal_scan_log(directory, &scan, &report), "scan");
    check_answer(dwal_verify(directory, &options, true, take_damage, &seen, &report), "verify");
    check_answer(dwal_dump(directory, &options, take_item, &seen), "dump");
    check_answer(dwal_get_info(directory, &options, &info), "info");
    dwal *log;
    options.mode = DWAL_REPORT;
    int result = dwal_open(directory, &options, &log);
    check_answer(result, "open for a report");
    if (result == 0)
        assert_int_equal(dwal_close(log), 0);
}

struct totals {
    uint64_t runs, errors, failed, open_errors, no_space;
};

static uint64_t play(bool is_single_stepped, const char *backend, uint64_t at, bool is_sticky, struct totals *totals)
{
    uint64_t bytes = dw_alloc_bytes();
    snprintf(dw_story_context, sizeof dw_story_context, "%s%s, allocation %llu fails %s", backend,
             is_single_stepped ? ", single-stepped" : "", (unsigned long long)at, is_sticky ? "for good" : "once");
    alarm(HANG_SECONDS);
    struct dw_disk *disk = make_place();
    struct dw_story *story = dw_story_new(disk, backend);
    story->is_single_stepped = is_single_stepped;
    story->is_short = story->may_reads_fail = true;
    uint64_t count = dw_alloc_count();
    dw_alloc_fail_at(at, is_sticky);
    dw_story_play(story);
    if (story->is_created)
        inspect();
    count = dw_alloc_count() - count;
    dw_alloc_fail_at(0, false);
    if (story->failed > 0)
        fail_msg("the log stopped for want of memory: %s (%s)", story->cause.text, dw_story_context);
    if (at == 0 && story->errors > 0)
        fail_msg("the story fails with memory enough: %s", dwal_last_error()->text);
    dw_story_check(story, disk);
    totals->runs++;
    totals->errors += story->errors;
    totals->failed += story->failed;
    totals->open_errors += story->open_errors;
    totals->no_space += story->no_space;
    dw_story_free(story);
    disk->ops->close(disk);
    dw_tmpdir_remove(directory);
    if (dw_alloc_bytes() != bytes)
        fail_msg("%llu bytes are left (%s)", (unsigned long long)(dw_alloc_bytes() - bytes), dw_story_context);
    alarm(0);
    return count;
}

static void sweep(bool is_single_stepped, const char *backend, uint64_t stride)
{
    struct totals totals = {0};
    uint64_t count = play(is_single_stepped, backend, 0, false, &totals);
    totals = (struct totals){0};
    for (uint64_t at = 1; at <= count; at += stride)
        for (int is_sticky = 0; is_sticky < 2; is_sticky++)
            play(is_single_stepped, backend, at, is_sticky != 0, &totals);
    print_message("%s%s: %llu allocations, %llu runs; %llu errors looked at, %llu opens refused, %llu appends told to "
                  "wait\n",
                  backend, is_single_stepped ? ", single-stepped" : "", (unsigned long long)count,
                  (unsigned long long)totals.runs, (unsigned long long)totals.errors,
                  (unsigned long long)totals.open_errors, (unsigned long long)totals.no_space);
}

static void every_allocation_fails_once_and_for_good(void **state)
{
    (void)state;
    sweep(true, "sync", 1);
}

static void allocations_fail_under_threads(void **state)
{
    (void)state;
    sweep(false, "sync", 3);
    sweep(false, "uring", 3);
    sweep(false, "aio", 3);
}

/* ---- no allocation on the way append -> flush -> acknowledge ------------------------------------------------------------- */

/* Deterministic: what the appender and the flusher do is counted apart from what the maker does. */
static void commits_allocate_nothing_while_volumes_change(void **state)
{
    (void)state;
    struct dw_disk *disk = make_place();
    struct dw_story *story = dw_story_new(disk, "sync");
    story->is_single_stepped = true;
    assert_int_equal(dw_story_create(story), 0);
    assert_int_equal(dw_story_open(story, NULL), 0);
    dw_story_pump(story);
    char bytes[700];
    memset(bytes, 7, sizeof bytes);
    struct iovec part = {bytes, sizeof bytes};
    struct dwal_entry entry = {.data = &part, .data_count = 1};
    uint64_t of_commits = 0, of_maker = 0, commits = 0, reads = 0, lsn, end;
    char buffer[sizeof bytes];
    struct dwal_record record;
    for (int i = 0; i < 3000; i++) {
        uint64_t before = dw_alloc_count();
        int result = i % 3 == 0   ? dwal_append(story->log, &entry, &lsn, &end)
                     : i % 3 == 1 ? dwal_append_batch(story->log, &entry, 1, &lsn, &end)
                                  : dwal_commit(story->log, &entry, &lsn, &end);
        if (result == 0 && i % 5 == 0)
            assert_int_equal(dwal_flush(story->log, end), 0);
        if (result == 0 && i % 7 == 0)
            assert_int_equal(dwal_sync(story->log, end), 0);
        if (result == 0 && i > 300 && dwal_durable(story->log) >= end) { /* from the ring; the reader is made before */
            assert_int_equal(dwal_read(story->log, lsn, buffer, sizeof buffer, &record), 0);
            reads++;
        }
        of_commits += dw_alloc_count() - before;
        commits += result == 0;
        assert_true(result == 0 || result == DWAL_EFULL);
        if (i == 300)
            (void)dwal_read(story->log, lsn, buffer, sizeof buffer, &record);
        before = dw_alloc_count();
        dw_story_pump(story); /* the flusher's part is idle after a sync: what is counted is the maker's */
        of_maker += dw_alloc_count() - before;
    }
    uint64_t claimed = dwal_end(story->log) / (13 * 3940);
    print_message("%llu appends and commits, %llu reads over %llu volumes: %llu allocations; the maker: %llu\n",
                  (unsigned long long)commits, (unsigned long long)reads, (unsigned long long)claimed,
                  (unsigned long long)of_commits, (unsigned long long)of_maker);
    assert_true(claimed > 20 && reads > 500);
    assert_int_equal(of_commits, 0);
    assert_int_equal(dw_story_close(story), 0);
    dw_story_free(story);
    disk->ops->close(disk);
    dw_tmpdir_remove(directory);
}

struct committer {
    dwal *log;
    pthread_t thread;
    pthread_barrier_t *barrier;
    uint64_t commits;
    int result;
};

static void *commit_many(void *context)
{
    struct committer *committer = context;
    char bytes[300] = {1};
    struct iovec part = {bytes, sizeof bytes};
    struct dwal_entry entry = {.data = &part, .data_count = 1};
    uint64_t lsn, end;
    pthread_barrier_wait(committer->barrier);
    for (int i = 0; i < 1500 && committer->result == 0; i++) {
        committer->result = i % 4 == 0 ? dwal_commit(committer->log, &entry, &lsn, &end)
                                       : dwal_append(committer->log, &entry, &lsn, &end);
        if (committer->result == 0 && i % 10 == 0)
            committer->result = dwal_sync_for(committer->log, end, UINT64_C(20000000000));
        committer->commits++;
    }
    pthread_barrier_wait(committer->barrier);
    return NULL;
}

static void run_committers(const char *backend)
{
    enum { THREADS = 4 };
    struct dw_disk *disk = make_place();
    struct dw_story *story = dw_story_new(disk, backend);
    story->blanks = 2;
    assert_int_equal(dw_story_create(story), 0);
    assert_int_equal(dw_story_open(story, NULL), 0);
    struct committer committers[THREADS];
    pthread_barrier_t barrier;
    pthread_barrier_init(&barrier, NULL, THREADS + 1);
    for (int i = 0; i < THREADS; i++) {
        committers[i] = (struct committer){.log = story->log, .barrier = &barrier};
        assert_int_equal(pthread_create(&committers[i].thread, NULL, commit_many, &committers[i]), 0);
    }
    uint64_t known = dw_alloc_count();
    atomic_store(&maker_count, 0);
    atomic_store(&other_count, 0);
    atomic_store(&is_armed, true);
    pthread_barrier_wait(&barrier);
    pthread_barrier_wait(&barrier);
    atomic_store(&is_armed, false);
    known = dw_alloc_count() - known;
    uint64_t commits = 0;
    for (int i = 0; i < THREADS; i++) {
        pthread_join(committers[i].thread, NULL);
        if (committers[i].result != 0)
            fail_msg("%s: a committer got %s", backend, dwal_error_name(committers[i].result));
        commits += committers[i].commits;
    }
    print_message(
        "%s: %llu appends by %d threads over %llu volumes: %llu allocations of libc outside the maker, %llu in "
        "it; alloc/ counts %llu\n",
        backend, (unsigned long long)commits, THREADS, (unsigned long long)(dwal_end(story->log) / (13 * 3940)),
        (unsigned long long)atomic_load(&other_count), (unsigned long long)atomic_load(&maker_count),
        (unsigned long long)known);
    assert_int_equal(atomic_load(&other_count), 0);
    pthread_barrier_destroy(&barrier);
    assert_int_equal(dw_story_close(story), 0);
    dw_story_free(story);
    disk->ops->close(disk);
    dw_tmpdir_remove(directory);
}

static void threads_that_commit_allocate_nothing(void **state)
{
    (void)state;
    run_committers("sync");
    run_committers("uring");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_allocation_fails_once_and_for_good),
        cmocka_unit_test(allocations_fail_under_threads),
        cmocka_unit_test(commits_allocate_nothing_while_volumes_change),
        cmocka_unit_test(threads_that_commit_allocate_nothing),
    };
    dw_watchdog_install("test_alloc_sweep", dw_story_context);
    if (getenv("DW_ONLY"))
        cmocka_set_test_filter(getenv("DW_ONLY"));
    return cmocka_run_group_tests(tests, NULL, NULL);
}
