/* error_cases_indexed.h - those cases of test_error_codes.c that the indexed log answers.
 *
 * Owns: nothing. Failure: fails the test. */
#ifndef DW_TESTS_FAULTS_ERROR_CASES_INDEXED_H
#define DW_TESTS_FAULTS_ERROR_CASES_INDEXED_H

#include <dwal/verifier.h>

#include "tests/faults/error_cases.h"
#include "tests/lib/indexed_kit.h"

/* A log with entries 10 to 19. */
static dwal_indexed *indexed_sample(void)
{
    dwal_indexed *log = dw_indexed_kit_create();
    dw_indexed_kit_store(log, 10, 19, 0, 10);
    return log;
}

static struct told throw_DWAL_EINDEX_NONE(void)
{
    char buffer[8];
    struct dwal_indexed_record record;
    dwal_indexed *log = indexed_sample();
    struct told told = {.words = {"entry 7", "10 to 19"}};
    told.result = keep(dwal_indexed_get(log, 7, buffer, sizeof buffer, &record));
    dw_indexed_kit_close(log);
    return told;
}

static struct told throw_DWAL_EINDEX_GAP(void)
{
    struct dwal_indexed_entry entry = {.index = 30};
    dwal_indexed *log = indexed_sample();
    struct told told = {.words = {"index 30", "20 is due"}};
    told.result = keep(dwal_indexed_store(log, &entry, 1));
    dw_indexed_kit_close(log);
    return told;
}

static struct told throw_DWAL_EINDEX_MIDDLE(void)
{
    dwal_indexed *log = indexed_sample();
    struct told told = {.words = {"12 to 13", "10 to 19"}};
    told.result = keep(dwal_indexed_delete_range(log, 12, 13));
    dw_indexed_kit_close(log);
    return told;
}

static struct told throw_DWAL_EINDEX_CLOSED(void)
{
    dwal_indexed *log = indexed_sample();
    assert_int_equal(dwal_indexed_stop(log), 0);
    struct told told = {.words = {"stopped"}};
    told.result = keep(dwal_indexed_reset(log));
    dw_indexed_kit_close(log);
    return told;
}

static struct told throw_DWAL_EINDEX_CODEC(void)
{
    struct dwal_indexed_options options = dw_indexed_kit_options();
    dwal_indexed *log;
    options.codec = 70000;
    assert_int_equal(dwal_indexed_create(dw_log_kit_path, &options), 0);
    assert_int_equal(dwal_indexed_open(dw_log_kit_path, &options, &log), 0);
    assert_int_equal(dwal_indexed_close(log), 0);
    options.codec = 70001;
    return (struct told){.result = dwal_indexed_open(dw_log_kit_path, &options, &log), .words = {"70000", "70001"}};
}

static struct told throw_DWAL_EINDEX_VALUE(void)
{
    uint64_t number;
    dwal_indexed *log = indexed_sample();
    assert_int_equal(dwal_indexed_set(log, "k", 1, "abc", 3), 0);
    struct told told = {.words = {"3 bytes"}};
    told.result = keep(dwal_indexed_value_u64(log, "k", 1, &number));
    dw_indexed_kit_close(log);
    return told;
}

static bool stop_copy(void *context, uint64_t index, uint64_t last, uint64_t bytes)
{
    (void)context, (void)index, (void)last, (void)bytes;
    return false;
}

static struct told throw_DWAL_EINDEX_CANCELLED(void)
{
    char place[DW_TMPDIR_SIZE + 16];
    struct dwal_indexed_options options = dw_indexed_kit_options();
    dwal_indexed *from = indexed_sample(), *to;
    snprintf(place, sizeof place, "%s/copy", dw_log_kit_directory);
    assert_int_equal(dwal_indexed_create(place, &options), 0);
    assert_int_equal(dwal_indexed_open(place, &options, &to), 0);
    struct dwal_indexed_copy copy = {.size = sizeof copy, .batch_bytes = 1, .progress = stop_copy};
    struct told told = {.words = {"entry 10 of 19"}};
    told.result = keep(dwal_indexed_copy_from(to, from, &copy));
    dw_indexed_kit_close(to);
    dw_indexed_kit_close(from);
    return told;
}

/* Every entry of one byte is a checkpoint that says that nothing is there. */
static bool read_wrong_checkpoint(void *context, const struct dwal_indexed_entry *entry,
                                  struct dwal_checkpoint *checkpoint)
{
    (void)context;
    *checkpoint = (struct dwal_checkpoint){.first = 10, .sum = 1};
    return entry->size == 1;
}

static void keep_report(void *context, const struct dwal_verifier_report *report)
{
    int *result = context;
    *result = keep(report->result);
}

static struct told throw_DWAL_EINDEX_SUM(void)
{
    struct told told = {.words = {"10 to 19"}};
    dwal_indexed *log = indexed_sample();
    dwal_verifier *verifier;
    struct dwal_verifier_options options = {.size = sizeof options,
                                            .read_checkpoint = read_wrong_checkpoint,
                                            .report = keep_report,
                                            .context = &told.result};
    struct dwal_indexed_entry entry = {.index = 20, .data = "c", .size = 1};
    assert_int_equal(dwal_verifier_create(log, &options, &verifier), 0);
    assert_int_equal(dwal_verifier_store(verifier, &entry, 1), 0);
    assert_int_equal(dwal_verifier_run(verifier, 0), 0);
    dwal_verifier_close(verifier);
    dw_indexed_kit_close(log);
    return told;
}

#endif
