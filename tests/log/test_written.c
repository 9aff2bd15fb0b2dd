/* test_written.c - what the callback for each durable write tells: every lsn once, in order, times in order. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include <dwal/dwal.h>

#include "tests/lib/tmpdir.h"

struct seen {
    uint64_t writes, end; /* the role is held while the callback runs: no two at once */
    bool is_in_order, has_sane_times;
    dwal *log;
};

static void note(void *context, const struct dwal_written *written)
{
    struct seen *seen = context;
    seen->is_in_order &= (seen->writes == 0 || written->first == seen->end) && written->first < written->end;
    seen->has_sane_times &= written->start_ns > 0 && written->start_ns <= written->submitted_ns &&
                            written->submitted_ns <= written->completed_ns &&
                            written->completed_ns <= written->durable_ns;
    /* Told before the durable lsn says so: whoever sees the lsn finds the times. */
    seen->is_in_order &= !seen->log || dwal_durable(seen->log) <= written->first;
    seen->end = written->end;
    seen->writes++;
}

static void each_write_is_told(const char *backend)
{
    char path[DW_TMPDIR_SIZE], directory[DW_TMPDIR_SIZE + 8];
    dw_tmpdir_make(path, "written");
    (void)snprintf(directory, sizeof directory, "%s/log", path);
    struct seen seen = {.is_in_order = true, .has_sane_times = true};
    struct dwal_options options = DWAL_OPTIONS_INIT;
    options.volume_size = 256 << 10;
    options.blanks = 1;
    options.backend = backend;
    options.written = note;
    options.context = &seen;
    assert_int_equal(dwal_create(directory, &options), 0);
    dwal *log;
    assert_int_equal(dwal_open(directory, &options, &log), 0);
    seen.log = log;
    char bytes[700];
    memset(bytes, 'x', sizeof bytes);
    struct iovec data = {bytes, sizeof bytes};
    struct dwal_entry entry = {.data = &data, .data_count = 1};
    uint64_t end = 0;
    for (int i = 0; i < 200; i++) {
        if (i % 3 == 0) { /* some by the committer itself, some by the flusher's thread */
            assert_int_equal(dwal_commit(log, &entry, NULL, &end), 0);
            continue;
        }
        assert_int_equal(dwal_append(log, &entry, NULL, &end), 0);
        assert_int_equal(dwal_flush(log, end), 0);
        assert_int_equal(dwal_sync_for(log, end, UINT64_C(10000000000)), 0);
    }
    assert_int_equal(dwal_close(log), 0);
    assert_true(seen.is_in_order);
    assert_true(seen.has_sane_times);
    assert_true(seen.writes >= 200);
    assert_true(seen.end >= end);
    dw_tmpdir_remove(path);
}

static void every_durable_write_is_told_once_and_in_order(void **state)
{
    (void)state;
    each_write_is_told("sync");
    each_write_is_told("uring");
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(every_durable_write_is_told_once_and_in_order)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
