/* test_layer_alloc.c - no memory, at every allocation of a layer, and at those of the log beneath.
 *
 * The linker leads malloc and its kin here (see CMakeLists.txt), so that they fail under the sanitizers too, which tell what
 * leaks. The stories of tests/lib/layer_story.h are played once to count the layer's own allocations, then again with each of
 * them failing, once and for good; and the same with the base's, in steps. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "alloc/alloc.h"
#include "alloc/host.h"
#include "tests/lib/layer_story.h"
#include "tests/lib/tmpdir.h"
#include "tests/lib/watchdog.h"

enum { HANG_SECONDS = 240, BASE_STRIDE = 1 };

/* ---- allocations of the layers ---- */

static uint64_t layer_count, layer_fail_at;
static bool is_layer_sticky, is_in_base;

void *__real_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__real_realloc(void *memory, size_t size);
char *__real_strdup(const char *text);
void *__real_dw_host_allocate(size_t size, size_t alignment, bool is_zeroed);
void *__real_dw_host_resize(void *memory, size_t size);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__wrap_realloc(void *memory, size_t size);
char *__wrap_strdup(const char *text);
void *__wrap_dw_host_allocate(size_t size, size_t alignment, bool is_zeroed);
void *__wrap_dw_host_resize(void *memory, size_t size);

static bool is_failing(void)
{
    if (!dw_layer_is_inside || is_in_base)
        return false;
    layer_count++;
    return layer_fail_at != 0 && (is_layer_sticky ? layer_count >= layer_fail_at : layer_count == layer_fail_at);
}
void *__wrap_malloc(size_t size)
{
    return is_failing() ? NULL : __real_malloc(size);
}
void *__wrap_calloc(size_t count, size_t size)
{
    return is_failing() ? NULL : __real_calloc(count, size);
}
void *__wrap_realloc(void *memory, size_t size)
{
    return is_failing() ? NULL : __real_realloc(memory, size);
}
char *__wrap_strdup(const char *text)
{
    return is_failing() ? NULL : __real_strdup(text);
}
void *__wrap_dw_host_allocate(size_t size, size_t alignment, bool is_zeroed)
{
    is_in_base = true;
    void *memory = __real_dw_host_allocate(size, alignment, is_zeroed);
    is_in_base = false;
    return memory;
}
void *__wrap_dw_host_resize(void *memory, size_t size)
{
    is_in_base = true;
    void *moved = __real_dw_host_resize(memory, size);
    is_in_base = false;
    return moved;
}

/* ---- the sweep ---- */

static char directory[DW_TMPDIR_SIZE];

struct totals {
    uint64_t runs, errors, refused, failed;
};

/* Returns how many allocations there were: of the layer, or (is_base) of the log beneath. */
static uint64_t play(const struct dw_layer_kind *kind, bool is_base, uint64_t at, bool is_sticky, struct totals *totals)
{
    struct dw_disk *disk;
    uint64_t bytes = dw_alloc_bytes();
    snprintf(dw_layer_context, sizeof dw_layer_context, "%s, allocation %llu of the %s fails %s", kind->name,
             (unsigned long long)at, is_base ? "base" : "layer", is_sticky ? "for good" : "once");
    alarm(HANG_SECONDS);
    dw_tmpdir_make(directory, "layers");
    assert_int_equal(dw_disk_posix_open(directory, true, &disk), 0);
    struct dw_layer_story *story = dw_layer_story_new(disk);
    story->may_reads_fail = is_base && at != 0; /* a file that cannot be opened for want of memory */
    layer_count = 0;
    layer_fail_at = is_base ? 0 : at;
    is_layer_sticky = is_sticky;
    uint64_t count = dw_alloc_count();
    if (is_base)
        dw_alloc_fail_at(at, is_sticky);
    kind->play(story);
    count = is_base ? dw_alloc_count() - count : layer_count;
    layer_fail_at = 0;
    dw_alloc_fail_at(0, false);
    if (at == 0 && (story->errors > 0 || story->lives != 2))
        dw_layer_fail("the story fails with memory enough: %u errors, %u lives", story->errors, story->lives);
    if (story->failed > 0)
        dw_layer_fail("the log stopped for want of memory");
    kind->check(story);
    totals->runs++;
    totals->errors += story->errors;
    totals->refused += story->refused_opens;
    totals->failed += story->failed;
    dw_layer_story_free(story);
    disk->ops->close(disk);
    dw_tmpdir_remove(directory);
    if (dw_alloc_bytes() != bytes)
        dw_layer_fail("%llu bytes of the log beneath are left", (unsigned long long)(dw_alloc_bytes() - bytes));
    alarm(0);
    return count;
}

static void sweep(const struct dw_layer_kind *kind, bool is_base, uint64_t stride)
{
    struct totals totals = {0};
    uint64_t count = play(kind, is_base, 0, false, &totals);
    totals = (struct totals){0};
    for (uint64_t at = 1; at <= count; at += stride)
        for (int is_sticky = 0; is_sticky < 2; is_sticky++)
            play(kind, is_base, at, is_sticky != 0, &totals);
    print_message("%s, memory of the %s: %llu allocations, %llu runs; %llu errors looked at, %llu opens refused\n",
                  kind->name, is_base ? "base" : "layer", (unsigned long long)count, (unsigned long long)totals.runs,
                  (unsigned long long)totals.errors, (unsigned long long)totals.refused);
    assert_true(count > 10 && totals.errors > 0 && totals.refused > 0);
}

static void every_allocation_of_the_indexed_log_fails(void **state)
{
    (void)state;
    sweep(&dw_layer_indexed, false, 1);
}

static void every_allocation_of_the_raft_log_fails(void **state)
{
    (void)state;
    sweep(&dw_layer_raft, false, 1);
}

static void allocations_beneath_the_layers_fail(void **state)
{
    (void)state;
    sweep(&dw_layer_indexed, true, BASE_STRIDE);
    sweep(&dw_layer_raft, true, BASE_STRIDE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_allocation_of_the_indexed_log_fails),
        cmocka_unit_test(every_allocation_of_the_raft_log_fails),
        cmocka_unit_test(allocations_beneath_the_layers_fail),
    };
    if (access("/dev/shm", W_OK) == 0)
        setenv("TMPDIR", "/dev/shm", 1);
    dw_watchdog_install("test_layer_alloc", dw_layer_context);
    if (getenv("DW_ONLY"))
        cmocka_set_test_filter(getenv("DW_ONLY"));
    return cmocka_run_group_tests(tests, NULL, NULL);
}
