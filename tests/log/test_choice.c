/* test_choice.c - the choice of a backend at open: measured once, remembered, overruled, measured again; and what can go
 * wrong with what is remembered. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "alloc/alloc.h"
#include "core/log/choice.h"
#include "core/log/choice_cache.h"
#include "core/log/choose.h"
#include "core/log/handle.h"
#include "io/sim.h"
#include "tests/lib/log_kit.h"

/* ---- the place: a log, and a directory for the cache beside it ---- */

static char cache[DW_TMPDIR_SIZE + 8];
static char told[8][600]; /* what the event callback got at level INFO and above */
static size_t told_count;

static void keep_event(void *context, enum dwal_event_level level, const char *text)
{
    (void)context;
    if (level <= DWAL_EVENT_INFO && told_count < 8)
        snprintf(told[told_count++], sizeof told[0], "%s", text);
}

static bool was_told(const char *words)
{
    for (size_t i = 0; i < told_count; i++)
        if (strstr(told[i], words))
            return true;
    return false;
}

static int set_up(void **state)
{
    dw_log_kit_set_up(state);
    snprintf(cache, sizeof cache, "%s/cache", dw_log_kit_directory);
    dw_measured_forget();
    struct dwal_options options = dw_log_kit_options();
    return unsetenv("DWAL_BACKEND") != 0 || setenv("DWAL_CACHE_DIR", cache, 1) != 0 ||
           dwal_create(dw_log_kit_path, &options) != 0;
}

static struct dwal_options free_options(void)
{
    struct dwal_options options = DWAL_OPTIONS_INIT;
    options.ring_size = 1 << 20;
    options.event = keep_event;
    return options;
}

/* Open, tell what was chosen, close. Answers how many measurements that took. */
static uint64_t open_and_close(const struct dwal_options *options, struct dwal_choice *choice)
{
    uint64_t before = dw_choice_measurements();
    told_count = 0;
    dwal *log = dw_log_kit_open_with(options);
    choice->size = sizeof *choice;
    assert_int_equal(dwal_get_choice(log, choice), 0);
    assert_string_equal(dwal_backend(log, NULL), choice->backend);
    assert_int_equal(dwal_close(log), 0);
    return dw_choice_measurements() - before;
}

/* The one file in the cache: its path. */
static const char *cache_file(void)
{
    static char path[sizeof cache + 300];
    DIR *stream = opendir(cache);
    assert_non_null(stream);
    int count = 0;
    for (const struct dirent *entry; (entry = readdir(stream)) != NULL;)
        if (entry->d_name[0] != '.') {
            snprintf(path, sizeof path, "%s/%s", cache, entry->d_name);
            count++;
        }
    closedir(stream);
    assert_int_equal(count, 1);
    return path;
}

static size_t read_cache(char text[DW_MEASURED_TEXT_SIZE])
{
    FILE *file = fopen(cache_file(), "r");
    assert_non_null(file);
    size_t size = fread(text, 1, DW_MEASURED_TEXT_SIZE - 1, file);
    text[size] = '\0';
    fclose(file);
    return size;
}

static void write_cache(const char *text, size_t size)
{
    FILE *file = fopen(cache_file(), "w");
    assert_non_null(file);
    assert_int_equal(fwrite(text, 1, size, file), size);
    fclose(file);
}

/* What was remembered in files so far is gone. */
static int unlink_cache(void)
{
    char command[sizeof cache + 16];
    snprintf(command, sizeof command, "rm -rf '%s'", cache);
    return system(command);
}

/* A first open on a machine that is so busy that nothing can be decided leaves no file: try until there is one. */
static bool fill_cache(void)
{
    struct dwal_options options = free_options();
    struct dwal_choice choice;
    for (int i = 0; i < 50; i++) {
        dw_measured_forget();
        (void)open_and_close(&options, &choice);
        if (access(cache, F_OK) == 0)
            return true;
    }
    print_message("too busy to measure anything\n");
    return false;
}

/* ---- measured, remembered ---- */

static void the_first_open_measures_and_later_ones_remember(void **state)
{
    (void)state;
    struct dwal_options options = free_options();
    struct dwal_choice choice;
    assert_int_equal(open_and_close(&options, &choice), 1);
    assert_int_equal(choice.chosen_by, DWAL_CHOSEN_BY_MEASUREMENT);
    assert_true(was_told("backend "));
    assert_true(choice.reason_count > 0);
    assert_int_equal(open_and_close(&options, &choice), 0); /* from memory */
    assert_int_equal(choice.chosen_by, DWAL_CHOSEN_BY_CACHE);
    if (!fill_cache())
        skip();
    dw_measured_forget();
    assert_int_equal(open_and_close(&options, &choice), 0); /* from the file */
    assert_int_equal(choice.chosen_by, DWAL_CHOSEN_BY_CACHE);
    assert_true(choice.measured_time_ns > 0);
    assert_true(was_told("measured earlier (20") && was_told("UTC): a durable 4 KiB write took sync "));
    struct stat facts;
    assert_int_equal(stat(cache_file(), &facts), 0);
    assert_int_equal(facts.st_mode & 0777, 0600);
    assert_int_equal(stat(cache, &facts), 0);
    assert_int_equal(facts.st_mode & 0777, 0700);
}

static int refuse_odd_name(void *context, const char *name, uint64_t size)
{
    (void)context;
    (void)size;
    return strstr(name, ".vol") || strstr(name, ".bvl") || strcmp(name, "dwal.super") == 0 ? 0 : -EINVAL;
}

static void measuring_leaves_nothing_in_the_log(void **state)
{
    (void)state;
    struct dwal_options options = free_options();
    struct dwal_choice choice;
    assert_int_equal(open_and_close(&options, &choice), 1);
    struct dw_disk *disk;
    assert_int_equal(dw_disk_posix_open(dw_log_kit_path, false, &disk), 0);
    assert_int_equal(disk->ops->list(disk, refuse_odd_name, NULL), 0);
    disk->ops->close(disk);
}

static void what_an_open_would_choose_is_foreseen_without_measuring(void **state)
{
    (void)state;
    struct dwal_choice choice = {.size = sizeof choice};
    uint64_t before = dw_choice_measurements();
    assert_int_equal(dwal_foresee_choice(dw_log_kit_path, NULL, &choice), 0);
    assert_int_equal(choice.chosen_by, DWAL_CHOSEN_BY_FACTS);
    assert_int_equal(dw_choice_measurements(), before);
    struct dwal_options options = free_options();
    struct dwal_choice opened;
    (void)open_and_close(&options, &opened);
    assert_int_equal(dwal_foresee_choice(dw_log_kit_path, NULL, &choice), 0);
    assert_int_equal(choice.chosen_by, DWAL_CHOSEN_BY_CACHE);
    assert_string_equal(choice.backend, opened.backend);
    choice.size = 1;
    assert_int_equal(dwal_foresee_choice(dw_log_kit_path, NULL, &choice), DWAL_EARGUMENT);
}

static void a_device_lends_a_free_slot_which_stays_free(void **state)
{
    (void)state;
    char path[DW_TMPDIR_SIZE + 16];
    snprintf(path, sizeof path, "%s/device", dw_log_kit_directory);
    int descriptor = open(path, O_RDWR | O_CREAT | O_EXCL, 0600);
    assert_true(descriptor >= 0);
    assert_int_equal(ftruncate(descriptor, 16 << 20), 0);
    close(descriptor);
    static const uint8_t id[16] = {3};
    struct dwal_options options = dw_log_kit_options();
    options.backend = NULL;
    options.volume_size = 1 << 20;
    struct dw_log_setup setup = {0};
    assert_int_equal(dw_disk_device_open(path, DW_OPEN_WRITE, true, &setup.disk), 0);
    assert_int_equal(dw_log_create_on(setup.disk, &dw_clock_system, id, 0x80000001u, &options), 0);
    uint64_t before = dw_choice_measurements();
    for (uint64_t i = 0; i < 3; i++) {
        dwal *log = NULL;
        setup.is_disk_borrowed = true;
        options.volume_size = 0;
        if (dw_log_open_on(&setup, &options, &log) != 0)
            fail_msg("open: %s", dwal_last_error()->text);
        struct dwal_choice choice = {.size = sizeof choice};
        assert_int_equal(dwal_get_choice(log, &choice), 0);
        assert_int_equal(choice.chosen_by, i == 0 ? DWAL_CHOSEN_BY_MEASUREMENT : DWAL_CHOSEN_BY_CACHE);
        dw_log_kit_append(log, i * 2000, (i + 1) * 2000); /* many volumes, so every slot is used in the end */
        dw_log_kit_check(log, 0, (i + 1) * 2000);
        assert_int_equal(dwal_close(log), 0);
    }
    assert_int_equal(dw_choice_measurements(), before + 1);
    setup.disk->ops->close(setup.disk);
}

/* ---- never measured ---- */

static void what_is_named_is_taken_and_not_measured(void **state)
{
    (void)state;
    struct dwal_options options = free_options();
    options.backend = "uring";
    struct dwal_choice choice;
    assert_int_equal(open_and_close(&options, &choice), 0);
    assert_string_equal(choice.backend, "uring");
    assert_int_equal(choice.chosen_by, DWAL_CHOSEN_BY_OPTION);
    assert_int_equal(setenv("DWAL_BACKEND", "aio", 1), 0);
    assert_int_equal(open_and_close(&options, &choice), 0);
    assert_string_equal(choice.backend, "uring"); /* the caller knows better than the environment */
    options.backend = NULL;
    assert_int_equal(open_and_close(&options, &choice), 0);
    assert_string_equal(choice.backend, "aio");
    assert_int_equal(choice.chosen_by, DWAL_CHOSEN_BY_ENVIRONMENT);
    assert_true(was_told("DWAL_BACKEND"));
    assert_int_equal(access(cache, F_OK), -1);
}

static void an_environment_that_names_nothing_known_is_refused(void **state)
{
    (void)state;
    struct dwal_options options = free_options();
    dwal *log = NULL;
    assert_int_equal(setenv("DWAL_BACKEND", "telepathy", 1), 0);
    assert_int_equal(dwal_open(dw_log_kit_path, &options, &log), DWAL_EARGUMENT);
    assert_non_null(strstr(dwal_last_error()->text, "DWAL_BACKEND is \"telepathy\""));
    assert_int_equal(setenv("DWAL_BACKEND", "sim", 1), 0);
    assert_int_equal(dwal_open(dw_log_kit_path, &options, &log), DWAL_EARGUMENT);
    assert_int_equal(setenv("DWAL_BACKEND", "", 1), 0);
    struct dwal_choice choice;
    (void)open_and_close(&options, &choice);
}

static void readers_and_simulated_disks_measure_nothing(void **state)
{
    (void)state;
    uint64_t before = dw_choice_measurements();
    struct dwal_options options = free_options();
    options.mode = DWAL_READ_ONLY;
    dwal *log = dw_log_kit_open_with(&options);
    struct dwal_choice choice = {.size = sizeof choice};
    assert_int_equal(dwal_get_choice(log, &choice), DWAL_EREADONLY);
    assert_int_equal(dwal_close(log), 0);
    struct dw_sim_options how = {.seed = 7};
    struct dw_log_setup setup = {0};
    assert_int_equal(dw_sim_open(&how, &setup.disk), 0);
    static const uint8_t id[16] = {1};
    struct dwal_options small = dw_log_kit_options();
    small.backend = NULL;
    assert_int_equal(dw_log_create_on(setup.disk, &dw_clock_system, id, 0x80000001u, &small), 0);
    small.volume_size = 0;
    assert_int_equal(dw_log_open_on(&setup, &small, &log), 0);
    assert_int_equal(dwal_get_choice(log, &choice), 0);
    assert_int_equal(choice.chosen_by, DWAL_CHOSEN_BY_FACTS);
    assert_int_equal(dwal_close(log), 0);
    assert_int_equal(dw_choice_measurements(), before);
}

/* ---- damaged, foreign, impossible caches ---- */

static void a_damaged_file_is_measured_anew_and_replaced(void **state)
{
    (void)state;
    if (!fill_cache())
        skip();
    char text[DW_MEASURED_TEXT_SIZE], again[DW_MEASURED_TEXT_SIZE];
    size_t size = read_cache(text);
    struct dwal_options options = free_options();
    struct dwal_choice choice;
    memcpy(again, text, size);
    again[size / 2] ^= 1;
    const struct {
        const char *bytes;
        size_t size;
    } damages[] = {{again, size}, {text, size - 1}, {text, size / 2}, {text, 0}, {"\0\0\0\0", 4}};
    for (size_t i = 0; i < DW_COUNT_OF(damages); i++) {
        write_cache(damages[i].bytes, damages[i].size);
        dw_measured_forget();
        assert_int_equal(open_and_close(&options, &choice), 1);
        assert_int_equal(choice.chosen_by, DWAL_CHOSEN_BY_MEASUREMENT);
    }
}

static void what_others_could_have_written_is_not_believed(void **state)
{
    (void)state;
    if (!fill_cache())
        skip();
    struct dwal_options options = free_options();
    struct dwal_choice choice;
    dw_measured_forget();
    assert_int_equal(chmod(cache_file(), 0666), 0);
    assert_int_equal(open_and_close(&options, &choice), 1);
    if (!fill_cache())
        skip();
    dw_measured_forget();
    assert_int_equal(chmod(cache, 0777), 0);
    assert_int_equal(open_and_close(&options, &choice), 1);
    assert_int_equal(chmod(cache, 0700), 0);
    if (geteuid() == 0) {
        dw_measured_forget();
        assert_int_equal(chown(cache_file(), 12345, 12345), 0);
        assert_int_equal(open_and_close(&options, &choice), 1);
    }
}

static void without_a_place_for_files_a_process_measures_once(void **state)
{
    (void)state;
    struct dwal_options options = free_options();
    struct dwal_choice choice;
    char path[sizeof cache + 16];
    snprintf(path, sizeof path, "%s/none/none/none", cache);
    const char *const places[] = {"", "/dev/null", "/proc/nothing/here", path};
    for (size_t i = 0; i < DW_COUNT_OF(places); i++) {
        assert_int_equal(setenv("DWAL_CACHE_DIR", places[i], 1), 0);
        dw_measured_forget();
        assert_int_equal(open_and_close(&options, &choice), 1);
        assert_int_equal(open_and_close(&options, &choice), 0);
        assert_int_equal(choice.chosen_by, DWAL_CHOSEN_BY_CACHE);
    }
    assert_int_equal(access(cache, F_OK), -1);
}

static void without_memory_the_facts_decide(void **state)
{
    (void)state;
    static struct dwal log; /* as far as the choice looks at it, and without threads */
    assert_int_equal(dw_disk_posix_open(dw_log_kit_path, false, &log.disk), 0);
    log.geometry.block_size = 4096;
    for (uint64_t at = 1; at <= 12; at++) {
        struct dw_backend_order order;
        dw_measured_forget();
        (void)unlink_cache();
        uint64_t held = dw_alloc_bytes();
        dw_alloc_fail_at(at, at % 2 == 0);
        int result = dw_choice_make(&log, true, &order);
        dw_alloc_fail_at(0, false);
        assert_int_equal(result, 0);
        assert_true(dw_alloc_bytes() == held);
    }
    log.disk->ops->close(log.disk);
}

/* ---- figures ---- */

static void learned_sizes_are_used_where_the_caller_left_them_open(void **state)
{
    (void)state;
    if (!fill_cache())
        skip();
    char text[DW_MEASURED_TEXT_SIZE];
    (void)read_cache(text);
    struct dw_measured measured;
    assert_true(dw_measured_decode(text, &measured));
    static const struct {
        uint32_t size;
        uint64_t p50_ns;
    } rows[] = {{4096, 10000}, {16384, 13000}, {65536, 36000}, {1u << 20, 560000}};
    measured.row_count = 4;
    for (size_t i = 0; i < 4; i++) {
        measured.rows[i] = (struct dwal_timing){.size = rows[i].size, .count = 64, .p50_ns = rows[i].p50_ns};
        measured.rows[i].p90_ns = measured.rows[i].p99_ns = measured.rows[i].max_ns = 2 * rows[i].p50_ns;
        snprintf(measured.rows[i].backend, sizeof measured.rows[i].backend, "sync");
    }
    write_cache(text, dw_measured_encode(&measured, text));
    dw_measured_forget();
    struct dwal_options options = free_options();
    struct dwal_choice choice;
    assert_int_equal(open_and_close(&options, &choice), 0);
    assert_string_equal(choice.backend, "sync");
    assert_int_equal(choice.write_size_max, 64 << 10);
    dwal *log = dw_log_kit_open_with(&options);
    assert_int_equal(log->options.write_size_max, 64 << 10);
    assert_int_equal(dwal_close(log), 0);
    options.write_size_max = 32 << 10;
    log = dw_log_kit_open_with(&options);
    assert_int_equal(log->options.write_size_max, 32 << 10);
    assert_int_equal(dwal_close(log), 0);
}

/* ---- drift ---- */

static uint64_t step_ns;
static uint64_t stepping_clock(void *context)
{
    uint64_t *now_ns = context;
    return *now_ns += step_ns;
}

static void a_log_that_drifts_says_so_and_the_next_open_measures_again(void **state)
{
    (void)state;
    if (!fill_cache())
        skip();
    /* A simulated log on a clock of its own, with the choice of the real place: windows pass without waiting. */
    uint64_t now_ns = 1000000000u;
    struct dw_clock clock = {.monotonic_ns = stepping_clock, .realtime_ns = stepping_clock, .context = &now_ns};
    struct dw_sim_options how = {.seed = 9};
    struct dw_log_setup setup = {.clock = &clock, .is_single_stepped = true};
    assert_int_equal(dw_sim_open(&how, &setup.disk), 0);
    static const uint8_t id[16] = {2};
    struct dwal_options small = dw_log_kit_options();
    small.backend = NULL;
    small.event = keep_event;
    step_ns = 100;
    assert_int_equal(dw_log_create_on(setup.disk, &clock, id, 0x80000001u, &small), 0);
    small.volume_size = 0;
    dwal *log = NULL;
    assert_int_equal(dw_log_open_on(&setup, &small, &log), 0);
    struct dwal_options options = free_options();
    dw_measured_forget();
    dwal *real = dw_log_kit_open_with(&options);
    assert_int_equal(real->choice.chosen_by, DWAL_CHOSEN_BY_CACHE);
    log->choice = real->choice;
    memcpy(log->choice_key, real->choice_key, sizeof log->choice_key);
    assert_int_equal(dwal_close(real), 0);
    told_count = 0;
    step_ns = 10 *
              dw_choose_expected_ns(log->choice.timings, log->choice.timing_count, log->choice.backend, log->choice.way,
                                    4096) *
              8; /* also beyond a backend with four writes in flight */
    assert_true(step_ns > 0);
    struct dwal_choice choice = {.size = sizeof choice};
    for (int i = 0; i < 64 * 80 && !was_told("durable writes take"); i++) {
        uint64_t end;
        (void)dw_log_kit_append_text(log, "x", &end);
        assert_int_equal(dwal_sync(log, end), 0);
        (void)dw_log_step_maker(log);
        dw_choice_watch(log, now_ns);
        assert_int_equal(dwal_get_choice(log, &choice), 0);
    }
    assert_true(was_told("the next open measures again"));
    assert_int_equal(dwal_get_choice(log, &choice), 0);
    assert_true(choice.is_stale);
    dw_log_abandon(log);
    assert_int_equal(dwal_foresee_choice(dw_log_kit_path, NULL, &choice), 0);
    assert_true(choice.is_stale);
    char text[DW_MEASURED_TEXT_SIZE];
    (void)read_cache(text);
    assert_non_null(strstr(text, "\nstale 1\n"));
    dw_measured_forget();
    assert_int_equal(open_and_close(&options, &choice), 1);
    assert_false(choice.is_stale);
}

#define CHOICE_TEST(name) cmocka_unit_test_setup_teardown(name, set_up, dw_log_kit_tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CHOICE_TEST(the_first_open_measures_and_later_ones_remember),
        CHOICE_TEST(measuring_leaves_nothing_in_the_log),
        CHOICE_TEST(what_an_open_would_choose_is_foreseen_without_measuring),
        CHOICE_TEST(a_device_lends_a_free_slot_which_stays_free),
        CHOICE_TEST(what_is_named_is_taken_and_not_measured),
        CHOICE_TEST(an_environment_that_names_nothing_known_is_refused),
        CHOICE_TEST(readers_and_simulated_disks_measure_nothing),
        CHOICE_TEST(a_damaged_file_is_measured_anew_and_replaced),
        CHOICE_TEST(what_others_could_have_written_is_not_believed),
        CHOICE_TEST(without_a_place_for_files_a_process_measures_once),
        CHOICE_TEST(without_memory_the_facts_decide),
        CHOICE_TEST(learned_sizes_are_used_where_the_caller_left_them_open),
        CHOICE_TEST(a_log_that_drifts_says_so_and_the_next_open_measures_again),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
