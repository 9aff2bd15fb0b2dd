/* test_crash_rules.c - the writer keeps the rules that recovery relies on, in every life, judged by what reached the disk.
 *
 * And the judge is no fool: a model writer that breaks each rule on purpose is found out. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <inttypes.h>
#include <stdio.h>

#include "tests/lib/crash_audit.h"
#include "tests/lib/crash_life.h"
#include "tests/lib/crash_model.h"

#define WORKLOADS 10000000u

static void print_counts(const char *title, const struct dw_crash_audit_counts *counts)
{
    printf("%s: %" PRIu64 " blocks, %" PRIu64 " TOCs, %" PRIu64 " superblocks, %" PRIu64 " volumes, %" PRIu64
           " given up, %" PRIu64 " of them wiped; rules broken: %" PRIu64 "\n",
           title, counts->blocks, counts->tocs, counts->superblocks, counts->volumes, counts->retired, counts->wiped,
           counts->broken);
}

static void the_log_keeps_the_rules(void **state)
{
    (void)state;
    struct dw_crash_audit_counts counts = {0};
    for (uint64_t name = WORKLOADS; name < WORKLOADS + 1500; name++) {
        struct dw_crash_life life;
        struct dw_crash_outcome outcome;
        dw_crash_life_create(&life, name);
        assert_int_equal(dw_crash_life_open(&life, &outcome), DW_CRASH_FINE);
        dw_crash_life_move(&life, 400);
        if (name % 2)
            dw_crash_life_close(&life);
        else
            dw_crash_life_abandon(&life);
        counts.is_wiping = life.options.is_wiping;
        dw_crash_audit(life.disk, name, &counts);
        dw_crash_life_end(&life);
    }
    print_counts("the log", &counts);
    assert_int_equal(counts.broken, 0);
    assert_true(counts.blocks > 10000 && counts.tocs > 1000 && counts.retired > 100 && counts.wiped > 20);
}

/* ---- wiping on a disk that leaves out a part of it ---- */

static const struct dw_disk_ops *whole_ops;
static uint64_t left_out;

static int leave_out_sync(struct dw_file *file)
{
    (void)file;
    left_out++;
    return 0;
}

/* The last block of what is wiped at once stays as it was. */
static int leave_out_end(struct dw_file *file, const void *bytes, size_t size, uint64_t offset)
{
    bool is_wipe = size > 4096 && offset == UINT64_C(2) * 4096;
    left_out += is_wipe;
    return whole_ops->write(file, bytes, is_wipe ? size - 4096 : size, offset);
}

static void run_wiping(uint64_t name, const struct dw_disk_ops *broken, struct dw_crash_audit_counts *counts)
{
    struct dw_crash_life life;
    struct dw_crash_outcome outcome;
    dw_crash_life_create(&life, name);
    life.options.is_wiping = counts->is_wiping = true;
    life.options.fill_kib_per_second = UINT32_MAX;
    assert_int_equal(dw_crash_life_open(&life, &outcome), DW_CRASH_FINE);
    whole_ops = life.disk->ops;
    struct dw_disk_ops ops = *whole_ops;
    if (broken) {
        ops.sync = broken->sync ? broken->sync : ops.sync;
        ops.write = broken->write ? broken->write : ops.write;
        life.disk->ops = &ops;
    }
    dw_crash_life_move(&life, 400);
    life.disk->ops = whole_ops;
    dw_crash_life_abandon(&life);
    dw_crash_audit(life.disk, name, counts);
    dw_crash_life_end(&life);
}

static void wiping_that_is_not_whole_or_not_synced_is_seen(void **state)
{
    (void)state;
    const struct dw_disk_ops no_sync = {.sync = leave_out_sync}, no_end = {.write = leave_out_end};
    const struct dw_disk_ops *const broken[] = {NULL, &no_sync, &no_end};
    for (size_t i = 0; i < sizeof broken / sizeof broken[0]; i++) {
        struct dw_crash_audit_counts counts = {.is_quiet = true};
        left_out = 0;
        for (uint64_t name = WORKLOADS; name < WORKLOADS + 40; name++)
            run_wiping(name, broken[i], &counts);
        printf("  %" PRIu64 " wiped, %" PRIu64 " times something was left out: seen %" PRIu64 " times\n", counts.wiped,
               left_out, counts.broken);
        assert_true(counts.wiped > 5);
        assert_true(i == 0 ? counts.broken == 0 : counts.broken > 0);
    }
}

static void run_model(uint64_t name, enum dw_crash_sin sin, struct dw_crash_audit_counts *counts)
{
    struct dw_crash_planned entries[DW_CRASH_PLAN_MAX];
    struct dw_crash_model model;
    struct dw_crash_chooser chooser;
    struct dw_crash_writer writer;
    dw_crash_model_of_seed(name, &model, entries);
    dw_crash_chooser_seed(&chooser, name);
    model.shape.first_volume = 0;
    model.shape.in_flight_blocks = model.run_max;
    model.shape.depth = DW_CRASH_DEPTH_MAX;
    model.shape.sin = sin;
    dw_crash_model_run(&model, &chooser, name, &writer);
    dw_crash_audit(writer.disk, name, counts);
    dw_crash_writer_free(&writer);
}

static void the_model_writer_keeps_the_rules_too(void **state)
{
    (void)state;
    struct dw_crash_audit_counts counts = {0};
    for (uint64_t name = WORKLOADS; name < WORKLOADS + 200; name++)
        run_model(name, DW_CRASH_SIN_NONE, &counts);
    print_counts("the model writer", &counts);
    assert_int_equal(counts.broken, 0);
}

static void every_rule_that_is_broken_on_purpose_is_seen(void **state)
{
    (void)state;
    for (int sin = DW_CRASH_SIN_NONE + 1; sin < DW_CRASH_SINS; sin++) {
        struct dw_crash_audit_counts counts = {.is_quiet = true};
        for (uint64_t name = WORKLOADS; name < WORKLOADS + 40; name++)
            run_model(name, (enum dw_crash_sin)sin, &counts);
        printf("  sin %d: seen %" PRIu64 " times\n", sin, counts.broken);
        assert_true(counts.broken > 0);
    }
}

int main(void)
{
    dw_crash_prepare();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_log_keeps_the_rules),
        cmocka_unit_test(wiping_that_is_not_whole_or_not_synced_is_seen),
        cmocka_unit_test(the_model_writer_keeps_the_rules_too),
        cmocka_unit_test(every_rule_that_is_broken_on_purpose_is_seen),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
