/* test_backend.c - which backend an open takes when io_uring, and then aio too, is forbidden by a real seccomp filter.
 *
 * A filter cannot be taken off again, so each case is a child process: this program, with the errno and the forbidden
 * calls as arguments. The child runs a log's life under the filter; one case is killed in the middle of its commits, and
 * the parent, unfiltered, finds all that was acknowledged. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/log/backend.h"
#include "core/log/log.h"
#include "tests/lib/io_place.h"
#include "tests/lib/log_kit.h"
#include "tests/lib/shell.h"
#include "tests/lib/system_script.h"

enum { ACKNOWLEDGED_FD = 100 };

/* ---- what is told ------------------------------------------------------------------------------------------------- */

static char told[2048];

static void hear(void *context, enum dwal_event_level level, const char *text)
{
    (void)context;
    if (level == DWAL_EVENT_WARNING && strncmp(text, "backend", 7) == 0)
        snprintf(told, sizeof told, "%s", text);
}

/* Open as dwal_open does for a caller who named nothing, with this order of backends. */
static int open_in_order(const struct dw_backend_order *order, dwal **log)
{
    struct dwal_options options = DWAL_OPTIONS_INIT;
    options.ring_size = 256 << 10;
    options.write_size_max = 32 << 10;
    options.event = hear;
    struct dw_log_setup setup = {.order = order};
    told[0] = '\0';
    assert_int_equal(dw_disk_posix_open(dw_log_kit_path, false, &setup.disk), 0);
    int result = dw_log_open_on(&setup, &options, log);
    if (result < 0)
        setup.disk->ops->close(setup.disk);
    return result;
}

static struct dw_backend_order order_of(const char *first, const char *second, const char *third)
{
    struct dw_backend_order order = {.kinds = {first, second, third}, .why = "measured"};
    while (order.count < 3 && order.kinds[order.count])
        order.count++;
    return order;
}

/* ---- the children ------------------------------------------------------------------------------------------------- */

static void forbid(int error, bool is_aio_too)
{
    dw_script_forbid(SYS_io_uring_setup, error);
    if (is_aio_too)
        dw_script_forbid(SYS_io_setup, error);
}

/* A log's whole life: what was written under one backend is found by the next open. */
static void live(const char *expected)
{
    dw_log_kit_backend = NULL;
    struct dw_backend_order order = order_of("uring", "aio", "sync");
    dwal *log = NULL;
    assert_int_equal(dwal_close(dw_log_kit_create()), 0);
    for (uint64_t i = 0; i < 3; i++) {
        const char *why = NULL;
        if (open_in_order(&order, &log) < 0)
            fail_msg("open: %s", dwal_last_error()->text);
        assert_string_equal(dwal_backend(log, &why), expected);
        assert_non_null(strstr(why, "uring cannot be used"));
        assert_non_null(strstr(told, why));
        assert_non_null(strstr(told, "seccomp"));
        dw_log_kit_append(log, i * 2000, (i + 1) * 2000);
        dw_log_kit_check(log, 0, (i + 1) * 2000);
        assert_int_equal(dwal_close(log), 0);
    }
}

/* One who asked for it by name is refused, with the cause, and nothing was changed. */
static void refuse_names(bool is_aio_forbidden)
{
    struct dwal_options options = dw_log_kit_options();
    options.volume_size = 0;
    options.blanks = 0;
    dwal *log = NULL;
    options.backend = "uring";
    assert_int_equal(dwal_open(dw_log_kit_path, &options, &log), DWAL_EUNSUPPORTED);
    assert_null(log);
    assert_non_null(strstr(dwal_last_error()->text, "io_uring is forbidden"));
    assert_non_null(strstr(dwal_last_error()->text, "seccomp"));
    options.backend = "aio";
    int result = dwal_open(dw_log_kit_path, &options, &log);
    if (is_aio_forbidden) {
        assert_int_equal(result, DWAL_EUNSUPPORTED);
#ifdef DW_HAVE_AIO
        assert_non_null(strstr(dwal_last_error()->text, "aio is forbidden"));
#endif
    } else if (result == 0) {
        assert_string_equal(dwal_backend(log, NULL), "aio");
        assert_int_equal(dwal_close(log), 0);
    }
    struct dw_backend_order order = order_of("uring", "uring", NULL);
    assert_int_equal(open_in_order(&order, &log), DWAL_EUNSUPPORTED);
    assert_non_null(strstr(dwal_last_error()->text, "no backend"));
    assert_int_equal(open_in_order(&(struct dw_backend_order){.kinds = {"sync"}, .count = 1, .why = "measured"}, &log),
                     0);
    dw_log_kit_check(log, 0, 6000);
    assert_int_equal(dwal_close(log), 0);
}

/* Commit and tell each number once it is acknowledged, until somebody kills us. */
static void commit_until_killed(int acknowledged)
{
    struct dw_backend_order order = order_of("uring", "aio", "sync");
    dwal *log = NULL;
    assert_int_equal(open_in_order(&order, &log), 0);
    for (uint64_t i = 0;; i++) {
        char bytes[1024];
        struct iovec part;
        struct dwal_entry entry = dw_log_kit_entry(bytes, dw_log_kit_numbered(i, bytes), &part);
        assert_int_equal(dwal_commit(log, &entry, NULL, NULL), 0);
        assert_int_equal(write(acknowledged, &i, sizeof i), sizeof i);
    }
}

/* A device that is opened as a user opens it, who names nothing: measured, where that is possible, without what is forbidden. */
static void live_on_device(bool is_aio_forbidden)
{
    struct dwal_options options = dw_log_kit_options();
    dw_log_kit_backend = options.backend = NULL;
    if (dwal_create(dw_log_kit_path, &options) < 0)
        fail_msg("create: %s", dwal_last_error()->text);
    for (uint64_t i = 0; i < 2; i++) {
        const char *why = NULL;
        dwal *log = dw_log_kit_open_with(&options);
        const char *backend = dwal_backend(log, &why);
        print_message("%s: %s\n", backend, why);
        assert_string_not_equal(backend, "uring");
        if (is_aio_forbidden)
            assert_string_equal(backend, "sync");
        dw_log_kit_append(log, i * 500, (i + 1) * 500);
        dw_log_kit_check(log, 0, (i + 1) * 500);
        assert_int_equal(dwal_close(log), 0);
    }
}

static void run_child(void **state)
{
    char **arguments = *state;
    int error = atoi(arguments[2]);
    bool is_aio_too = strcmp(arguments[3], "both") == 0;
    snprintf(dw_log_kit_path, sizeof dw_log_kit_path, "%s", arguments[4]);
    forbid(error, is_aio_too);
    if (strcmp(arguments[1], "kill") == 0)
        commit_until_killed(ACKNOWLEDGED_FD);
    if (strcmp(arguments[1], "device") == 0) {
        live_on_device(is_aio_too);
        return;
    }
    live(is_aio_too || !dw_place_has_queue("aio") ? "sync" : "aio");
    refuse_names(is_aio_too);
}

/* ---- the parent --------------------------------------------------------------------------------------------------- */

static pid_t start_child(const char *what, int error, const char *which, int output)
{
    char number[16];
    snprintf(number, sizeof number, "%d", error);
    pid_t pid = fork();
    if (pid == 0) {
        if (output >= 0)
            dup2(output, ACKNOWLEDGED_FD);
        execl("/proc/self/exe", "test_backend", what, number, which, dw_log_kit_path, (char *)NULL);
        _exit(126);
    }
    assert_true(pid > 0);
    return pid;
}

static void a_log_lives_where_calls_are_forbidden(void **state)
{
    static const int errors[] = {ENOSYS, EPERM, EACCES};
    const char *which = *state;
    char base[sizeof dw_log_kit_path];
    snprintf(base, sizeof base, "%s", dw_log_kit_path);
    for (size_t i = 0; i < 3; i++) {
        int status = -1;
        snprintf(dw_log_kit_path, sizeof dw_log_kit_path, "%.250s%zu", base, i);
        pid_t pid = start_child("live", errors[i], which, -1);
        assert_int_equal(waitpid(pid, &status, 0), pid);
        assert_int_equal(status, 0);
        struct dwal_options options = DWAL_OPTIONS_INIT;
        dwal *log = dw_log_kit_open_with(&options); /* unfiltered again */
        dw_log_kit_check(log, 0, 6000);
        assert_int_equal(dwal_close(log), 0);
    }
}

static void nothing_acknowledged_is_lost_by_a_kill_where_calls_are_forbidden(void **state)
{
    const char *which = *state;
    int ends[2], status = -1;
    dw_log_kit_backend = NULL;
    assert_int_equal(dwal_close(dw_log_kit_create()), 0);
    assert_int_equal(pipe(ends), 0);
    pid_t pid = start_child("kill", EPERM, which, ends[1]);
    close(ends[1]);
    uint64_t last = 0, number = 0;
    while (last < 1500 && read(ends[0], &number, sizeof number) == sizeof number)
        last = number;
    kill(pid, SIGKILL);
    while (read(ends[0], &number, sizeof number) == sizeof number)
        last = number;
    close(ends[0]);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFSIGNALED(status) && last >= 1500);
    struct dwal_options options = DWAL_OPTIONS_INIT;
    dwal *log = dw_log_kit_open_with(&options);
    uint64_t count = 0;
    dwal_cursor *cursor = NULL;
    struct dwal_record record;
    assert_int_equal(dwal_cursor_open(log, 0, &cursor), 0);
    while (dwal_cursor_next(cursor, &record) == 0)
        count++;
    dwal_cursor_close(cursor);
    assert_true(count >= last + 1);
    dw_log_kit_check(log, 0, count);
    assert_int_equal(dwal_close(log), 0);
}

static void a_device_is_opened_where_calls_are_forbidden(void **state)
{
    const char *which = *state;
    int status = -1;
    const struct dw_shell *made = getuid() == 0 && dw_shell_has("losetup")
                                      ? dw_shell("truncate -s 64M %s/image && losetup -f --show %s/image",
                                                 dw_log_kit_directory, dw_log_kit_directory)
                                      : NULL;
    if (!made || made->status != 0) {
        print_message("skipped: needs root and loop devices\n");
        skip();
        return;
    }
    snprintf(dw_log_kit_path, sizeof dw_log_kit_path, "%.*s", (int)strcspn(made->output, "\n"), made->output);
    setenv("DWAL_CACHE_DIR", dw_log_kit_directory, 1);
    unsetenv("DWAL_BACKEND");
    pid_t pid = start_child("device", EPERM, which, -1);
    pid_t ended = waitpid(pid, &status, 0);
    dw_shell("losetup -d %s", dw_log_kit_path);
    assert_int_equal(ended, pid);
    assert_int_equal(status, 0);
}

/* ---- without a filter --------------------------------------------------------------------------------------------- */

static void the_first_of_the_order_is_taken_in_silence(void **state)
{
    (void)state;
    const char *why = NULL;
    struct dw_backend_order order = order_of("sync", "uring", NULL);
    dwal *log = NULL;
    dw_log_kit_backend = NULL;
    assert_int_equal(dwal_close(dw_log_kit_create()), 0);
    assert_int_equal(open_in_order(&order, &log), 0);
    assert_string_equal(dwal_backend(log, &why), "sync");
    assert_string_equal(why, "measured");
    assert_string_equal(told, "");
    assert_int_equal(dwal_close(log), 0);
}

static void a_name_is_taken_and_said(void **state)
{
    (void)state;
    const char *why = NULL;
    dw_log_kit_backend = "sync";
    dwal *log = dw_log_kit_create();
    assert_string_equal(dwal_backend(log, &why), "sync");
    assert_string_equal(why, "named in the options");
    assert_int_equal(dwal_close(log), 0);
    dw_log_kit_backend = NULL;
    struct dwal_options options = DWAL_OPTIONS_INIT;
    options.mode = DWAL_READ_ONLY;
    log = dw_log_kit_open_with(&options);
    assert_string_equal(dwal_backend(log, &why), "none");
    assert_int_equal(dwal_close(log), 0);
    options = (struct dwal_options)DWAL_OPTIONS_INIT;
    options.backend = "nonsense";
    assert_int_equal(dwal_open(dw_log_kit_path, &options, &log), DWAL_EARGUMENT);
}

static void a_kind_that_the_disk_has_not_is_passed_over(void **state)
{
    (void)state;
    struct dw_backend_order order = order_of("sim", "sync", NULL);
    dwal *log = NULL;
    dw_log_kit_backend = NULL;
    assert_int_equal(dwal_close(dw_log_kit_create()), 0);
    assert_int_equal(open_in_order(&order, &log), 0);
    assert_string_equal(dwal_backend(log, NULL), "sync");
    assert_non_null(strstr(told, "sim cannot be used"));
    assert_int_equal(dwal_close(log), 0);
}

#define FORBIDDEN(test, which)                                                                                         \
    cmocka_unit_test_prestate_setup_teardown(test, set_up_keep, dw_log_kit_tear_down,                                  \
                                             (char *)(uintptr_t)(const void *)(which))

static int set_up_keep(void **state)
{
    void *kept = *state; /* the kit's own set-up has nothing to hand over */
    int result = dw_log_kit_set_up(state);
    *state = kept;
    return result;
}

int main(int argument_count, char **arguments)
{
    if (argument_count == 5) {
        const struct CMUnitTest child[] = {cmocka_unit_test_prestate(run_child, arguments)};
        return cmocka_run_group_tests_name(arguments[3], child, NULL, NULL);
    }
    const struct CMUnitTest tests[] = {
        DW_LOG_KIT_TEST(the_first_of_the_order_is_taken_in_silence),
        DW_LOG_KIT_TEST(a_name_is_taken_and_said),
        DW_LOG_KIT_TEST(a_kind_that_the_disk_has_not_is_passed_over),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    if (!dw_script_is_supported() || !dw_place_has_queue("uring")) {
        printf("skipped: no seccomp filter can be installed here, or there is no io_uring to forbid\n");
        return failed;
    }
    const struct CMUnitTest forbidden[] = {
        FORBIDDEN(a_log_lives_where_calls_are_forbidden, "uring"),
        FORBIDDEN(a_log_lives_where_calls_are_forbidden, "both"),
        FORBIDDEN(nothing_acknowledged_is_lost_by_a_kill_where_calls_are_forbidden, "uring"),
        FORBIDDEN(nothing_acknowledged_is_lost_by_a_kill_where_calls_are_forbidden, "both"),
        FORBIDDEN(a_device_is_opened_where_calls_are_forbidden, "uring"),
        FORBIDDEN(a_device_is_opened_where_calls_are_forbidden, "both"),
    };
    return failed + cmocka_run_group_tests(forbidden, NULL, NULL);
}
