/* test_layer_faults.c - a fault at every call of the disk, once and for good, under the lives of the layers.
 *
 * The stories of tests/lib/layer_story.h are played once on the simulated disk to count the calls of each kind, then again with
 * a fault at every one of them. What is acknowledged survives, nothing else is ever shown, a shortage stops no log, and what a
 * crash at the end of each life would leave says the same. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "alloc/alloc.h"
#include "base/compiler.h"
#include "io/sim.h"
#include "tests/lib/io_fault.h"
#include "tests/lib/layer_story.h"
#include "tests/lib/watchdog.h"

enum { HANG_SECONDS = 240, KINDS = 14, IMAGES = 2 };
#ifdef DW_SANITIZED
enum { STRIDE = 9 };
#else
enum { STRIDE = 1 };
#endif

struct fault {
    const char *name;
    unsigned kinds;
    enum dw_fault_action action;
    int error;
    size_t bytes;
};

#define READS (DW_FAULT_READ | DW_FAULT_OPEN | DW_FAULT_LOCK | DW_FAULT_SIZE | DW_FAULT_LIST)

static const struct fault faults[] = {
    {"EIO", DW_FAULT_ANY & ~(unsigned)DW_FAULT_QUEUE_CREATE, DW_FAULT_BEFORE, -EIO, 0},
    {"ENOSPC", DW_FAULT_ANY_CHANGE, DW_FAULT_BEFORE, -ENOSPC, 0},
    {"512 bytes, then EIO", DW_FAULT_ANY_WRITE | DW_FAULT_READ, DW_FAULT_HALF_WAY, -EIO, 512},
    {"all done, and EIO", DW_FAULT_ANY_CHANGE, DW_FAULT_AFTER, -EIO, 0},
    {"EROFS", DW_FAULT_ANY_CHANGE, DW_FAULT_BEFORE, -EROFS, 0},
};

struct run {
    struct dw_disk *sim, *disk;
    const struct dw_layer_kind *kind;
    uint64_t images;
};

struct totals {
    uint64_t runs, met, failed, refused, errors, images;
    uint64_t calls[KINDS];
};

/* What would be left had the power gone now? */
static void end_life(struct dw_layer_story *story)
{
    struct run *run = story->context;
    struct dw_sim_crash *crash;
    if (dw_fault_fired(run->disk) == 0)
        return;
    assert_int_equal(dw_sim_crash_create(run->sim, &(struct dw_sim_crash_options){0}, &crash), 0);
    assert_int_equal(dw_sim_crash_seek(crash, dw_sim_event_count(run->sim)), 0);
    uint32_t *picks = calloc(dw_sim_crash_choice_count(crash) + 1, sizeof *picks);
    assert_non_null(picks);
    for (uint64_t seed = 0; seed < IMAGES; seed++, run->images++) {
        struct dw_disk *image;
        dw_sim_crash_picks_of_seed(crash, seed, picks);
        assert_int_equal(dw_sim_crash_image(crash, picks, seed, &image), 0);
        run->kind->check_image(story, image);
        image->ops->close(image);
    }
    free(picks);
    dw_sim_crash_close(crash);
}

static void check_outcome(const struct dw_layer_story *story, const struct fault *fault, unsigned kind)
{
    unsigned can_wait = DW_FAULT_OPEN | DW_FAULT_WRITE | DW_FAULT_RENAME | DW_FAULT_ALLOCATE;
    if (fault->error == -ENOSPC && (kind & can_wait) && story->failed != 0)
        dw_layer_fail("a shortage stopped the log");
}

static void play(const struct dw_layer_kind *kind, const struct fault *fault, unsigned call, uint64_t at,
                 bool is_sticky, struct totals *totals)
{
    uint64_t bytes = dw_alloc_bytes();
    struct run run = {.kind = kind};
    snprintf(dw_layer_context, sizeof dw_layer_context, "%s, %s at call %llu of kind 0x%x, %s", kind->name,
             fault ? fault->name : "nothing", (unsigned long long)at, call, is_sticky ? "for good" : "once");
    alarm(HANG_SECONDS);
    assert_int_equal(dw_sim_open(&(struct dw_sim_options){.seed = 1, .complete_percent = 100}, &run.sim), 0);
    assert_int_equal(dw_fault_open(run.sim, true, &run.disk), 0);
    struct dw_layer_story *story = dw_layer_story_new(run.disk);
    story->may_reads_fail = (call & READS) != 0;
    story->on_life_end = end_life;
    story->context = &run;
    if (fault)
        dw_fault_add(run.disk, &(struct dw_fault_rule){.kinds = call,
                                                       .at = at,
                                                       .is_sticky = is_sticky,
                                                       .action = fault->action,
                                                       .error = fault->error,
                                                       .bytes = fault->bytes});
    kind->play(story);
    totals->met += dw_fault_fired(run.disk) > 0;
    if (fault && dw_fault_fired(run.disk) > 0)
        check_outcome(story, fault, call);
    if (!fault && (story->errors > 0 || story->lives != 2))
        dw_layer_fail("the story fails without a fault: %u errors, %u lives", story->errors, story->lives);
    for (unsigned i = 0; i < KINDS && !fault; i++)
        totals->calls[i] = dw_fault_count(run.disk, 1u << i);
    dw_fault_clear(run.disk);
    story->on_life_end = NULL;
    kind->check(story);
    totals->runs++;
    totals->failed += story->failed;
    totals->refused += story->refused_opens;
    totals->errors += story->errors;
    totals->images += run.images;
    dw_layer_story_free(story);
    run.disk->ops->close(run.disk);
    if (dw_alloc_bytes() != bytes)
        dw_layer_fail("%llu bytes are left", (unsigned long long)(dw_alloc_bytes() - bytes));
    alarm(0);
}

static void sweep(const struct dw_layer_kind *kind)
{
    struct totals counted = {0}, totals = {0};
    play(kind, NULL, 0, 0, false, &counted);
    for (size_t f = 0; f < DW_COUNT_OF(faults); f++)
        for (unsigned i = 0; i < KINDS; i++)
            for (uint64_t at = 1; (faults[f].kinds & (1u << i)) && at <= counted.calls[i]; at += STRIDE)
                for (int is_sticky = 0; is_sticky < 2; is_sticky++)
                    play(kind, &faults[f], 1u << i, at, is_sticky != 0, &totals);
    print_message("%s: %llu faults, %llu met; %llu logs failed, %llu opens refused, %llu errors looked at, %llu crash "
                  "images\n",
                  kind->name, (unsigned long long)totals.runs, (unsigned long long)totals.met,
                  (unsigned long long)totals.failed, (unsigned long long)totals.refused,
                  (unsigned long long)totals.errors, (unsigned long long)totals.images);
    assert_true(totals.failed > 0 && totals.refused > 0 && totals.images > 0);
}

static void every_call_under_the_indexed_log_fails(void **state)
{
    (void)state;
    sweep(&dw_layer_indexed);
}

static void every_call_under_the_raft_log_fails(void **state)
{
    (void)state;
    sweep(&dw_layer_raft);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_call_under_the_indexed_log_fails),
        cmocka_unit_test(every_call_under_the_raft_log_fails),
    };
    dw_watchdog_install("test_layer_faults", dw_layer_context);
    if (getenv("DW_ONLY"))
        cmocka_set_test_filter(getenv("DW_ONLY"));
    return cmocka_run_group_tests(tests, NULL, NULL);
}
