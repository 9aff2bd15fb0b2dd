/* test_choice_uses.c - choices at work: a device that flushes faster than it forces a write through (the figures are made up
 * and put into the cache), and many opens at once. */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/log/choice.h"
#include "core/log/choice_cache.h"
#include "core/log/handle.h"
#include "io/posix.h"
#include "tests/lib/log_kit.h"

static int set_up(void **state)
{
    dw_log_kit_set_up(state);
    dw_measured_forget();
    struct dwal_options options = dw_log_kit_options();
    return unsetenv("DWAL_BACKEND") != 0 || setenv("DWAL_CACHE_DIR", "", 1) != 0 ||
           dwal_create(dw_log_kit_path, &options) != 0;
}

static void add(struct dw_measured *measured, enum dwal_way way, uint64_t p50_us)
{
    struct dwal_timing *row = &measured->rows[measured->row_count++];
    *row = (struct dwal_timing){.way = way, .size = 4096, .count = 64, .p50_ns = p50_us * 1000};
    row->p90_ns = row->p99_ns = row->max_ns = 2 * row->p50_ns;
    snprintf(row->backend, sizeof row->backend, "sync");
}

static void a_log_writes_and_flushes_where_that_is_faster(void **state)
{
    (void)state;
    struct dwal_options options = DWAL_OPTIONS_INIT;
    options.ring_size = 1 << 20;
    dwal *log = dw_log_kit_open_with(&options); /* measures, and so tells the key of this place */
    struct dw_measured measured = {.time_ns = 5};
    memcpy(measured.key, log->choice_key, sizeof measured.key);
    assert_int_equal(dwal_close(log), 0);
    add(&measured, DWAL_WAY_DSYNC, 4000);
    add(&measured, DWAL_WAY_FLUSH, 1600);
    dw_measured_keep(&measured);

    log = dw_log_kit_open_with(&options);
    struct dwal_choice choice = {.size = sizeof choice};
    assert_int_equal(dwal_get_choice(log, &choice), 0);
    assert_int_equal(choice.chosen_by, DWAL_CHOSEN_BY_CACHE);
    assert_string_equal(choice.backend, "sync");
    assert_int_equal(choice.way, DWAL_WAY_FLUSH);
    assert_int_equal(atomic_load(&dw_posix_disk_of(log->disk)->dsync), DW_DSYNC_MISSING);
    dw_log_kit_append(log, 0, 500);
    dw_log_kit_check(log, 0, 500);
    assert_int_equal(dwal_close(log), 0);
    log = dw_log_kit_open();
    dw_log_kit_check(log, 0, 500);
    assert_int_equal(dwal_close(log), 0);
}

/* ---- many opens at once ---- */

enum { OPENERS = 4 };

static void *open_own_log(void *context)
{
    const char *path = context;
    struct dwal_options options = dw_log_kit_options();
    options.backend = NULL;
    for (int i = 0; i < 3; i++) {
        dwal *log = NULL;
        if ((i == 0 && dwal_create(path, &options) != 0) || dwal_open(path, &options, &log) != 0)
            return context;
        struct dwal_choice choice = {.size = sizeof choice};
        if (dwal_get_choice(log, &choice) != 0 || dwal_close(log) != 0)
            return context;
    }
    return NULL;
}

static void opens_at_once_measure_one_after_another_and_once(void **state)
{
    (void)state;
    uint64_t before = dw_choice_measurements();
    pthread_t threads[OPENERS];
    char paths[OPENERS][DW_TMPDIR_SIZE + 16];
    for (int i = 0; i < OPENERS; i++) {
        snprintf(paths[i], sizeof paths[i], "%s/own%d", dw_log_kit_directory, i);
        assert_int_equal(pthread_create(&threads[i], NULL, open_own_log, paths[i]), 0);
    }
    for (int i = 0; i < OPENERS; i++) {
        void *failed = NULL;
        assert_int_equal(pthread_join(threads[i], &failed), 0);
        assert_null(failed);
    }
    assert_int_equal(dw_choice_measurements(), before + 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_log_writes_and_flushes_where_that_is_faster, set_up, dw_log_kit_tear_down),
        cmocka_unit_test_setup_teardown(opens_at_once_measure_one_after_another_and_once, set_up, dw_log_kit_tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
