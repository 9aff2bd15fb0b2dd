/* test_device_share.c - a device in the hands of several: readers that pin slots, and two processes that write two logs and
 * take slots from one another's leftovers. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/lib/device_kit.h"

enum { SLOTS = 16, ENTRIES = 240, TRIM_EVERY = 12, PATIENCE_S = 300, PATIENCE_MS = 60000 };

static struct dw_device_kit kit;

static int set_up(void **state)
{
    (void)state;
    dw_device_kit_make(&kit, SLOTS);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    dw_device_kit_remove(&kit);
    return 0;
}

static uint32_t count_volumes(uint32_t log)
{
    struct dw_device_kit_logs logs;
    dw_device_kit_survey(&kit, &logs);
    return logs.logs[log].volumes;
}

/* ---- readers ---- */

static struct dw_store *load_reader(struct dw_disk *disk)
{
    struct dw_store_options options = {.is_read_only = true};
    struct dw_store *store;
    assert_int_equal(dw_store_load(disk, &options, &store), 0);
    return store;
}

static bool has_volume(uint32_t number)
{
    struct dw_disk *disk = dw_device_kit_disk(&kit, "a", DW_OPEN_READ);
    struct dw_store *store = load_reader(disk);
    bool is_there = dw_store_find(store, number) != NULL;
    assert_int_equal(dw_store_close(store, false, 0), 0);
    disk->ops->close(disk);
    return is_there;
}

static void a_slot_that_a_reader_has_pinned_is_not_retired(void **state)
{
    (void)state;
    assert_int_equal(dw_device_kit_create(&kit, "a", NULL), 0);
    dwal *log = dw_device_kit_must_open(&kit, "a");
    dw_device_kit_append(log, 'a', 0, 20); /* five volumes */
    struct dw_disk *disk = dw_device_kit_disk(&kit, "a", DW_OPEN_READ);
    struct dw_store *store = load_reader(disk);
    struct dw_volume *first, *late;
    assert_int_equal(dw_store_pin(store, 0, &first), 0);
    assert_int_equal(dwal_trim(log, dwal_durable(log)), 0);
    for (int i = 0; i < PATIENCE_MS && count_volumes(0) > 3; i++)
        usleep(1000); /* the tail, the one ahead, and the pinned one stay */
    assert_int_equal(count_volumes(0), 3);
    dw_device_kit_append(log, 'a', 20, 60); /* through all other slots */
    static uint8_t bytes[4096] __attribute__((aligned(4096)));
    struct dw_volume_info info;
    size_t done;
    assert_int_equal(dw_file_read(first->file, bytes, sizeof bytes, first->base, &done), 0);
    assert_int_equal(dw_volume_header_decode(NULL, NULL, bytes, 0, &info), DW_DECODED_OK);
    /* A reader that comes too late for another one finds out by the header. */
    assert_int_equal(dw_store_pin(store, 1, &late), DWAL_ETRIMMED);
    assert_true(has_volume(0));
    dw_store_unpin(store, first);
    assert_int_equal(dw_store_close(store, false, 0), 0);
    disk->ops->close(disk);
    for (int i = 0; i < PATIENCE_MS && has_volume(0); i++)
        usleep(1000);
    assert_false(has_volume(0));
    assert_int_equal(dwal_close(log), 0);
}

static void a_reader_beside_a_writer_sees_what_is_durable(void **state)
{
    (void)state;
    assert_int_equal(dw_device_kit_create(&kit, "a", NULL), 0);
    dwal *log = dw_device_kit_must_open(&kit, "a"), *reader;
    struct dwal_options options = dw_device_kit_options();
    options.mode = DWAL_READ_ONLY;
    dw_device_kit_append(log, 'a', 0, 10);
    if (dw_device_kit_open(&kit, "a", &options, &reader) != 0)
        fail_msg("beside the writer: %s", dwal_last_error()->text);
    uint64_t end = dw_device_kit_append(log, 'a', 10, 30);
    while (dwal_durable(reader) < end) /* the idle marker comes after 10 ms, and does not show itself */
        assert_true(dwal_wait(reader, dwal_durable(reader), UINT64_C(60000000000)) == 0);
    dw_device_kit_check(reader, 'a', 0, 30);
    assert_int_equal(dwal_close(reader), 0);
    assert_int_equal(dwal_close(log), 0);
}

static struct dw_disk_ops hooked_ops;
static const struct dw_disk_ops *real_ops;
static dwal *hooked_writer;

/* Between the device's superblock and the log's the writer goes on through slots that were never used before. */
static int read_after_writer(struct dw_file *file, void *bytes, size_t size, uint64_t offset, size_t *done)
{
    enum { LOG_SUPERBLOCK = 131072 };
    dwal *writer = hooked_writer;
    if (writer && offset == LOG_SUPERBLOCK) {
        hooked_writer = NULL;
        dw_device_kit_append(writer, 'a', 4, 24);
        usleep(20000); /* what was claimed last is in the superblock, or not yet: both are fine */
    }
    return real_ops->read(file, bytes, size, offset, done);
}

static void a_reader_misses_no_slot_that_is_used_for_the_first_time_meanwhile(void **state)
{
    (void)state;
    assert_int_equal(dw_device_kit_create(&kit, "a", NULL), 0);
    dwal *log = dw_device_kit_must_open(&kit, "a");
    dw_device_kit_append(log, 'a', 0, 4);
    struct dw_disk *disk = dw_device_kit_disk(&kit, "a", DW_OPEN_READ);
    real_ops = disk->ops;
    hooked_ops = *disk->ops;
    hooked_ops.read = read_after_writer;
    disk->ops = &hooked_ops;
    hooked_writer = log;
    struct dw_store *store = load_reader(disk);
    assert_null(hooked_writer);
    uint32_t claimed = dw_store_superblock(store)->claimed;
    assert_true(claimed >= 5);
    for (uint32_t number = 0; number <= claimed; number++)
        assert_non_null(dw_store_find(store, number));
    assert_int_equal(dw_store_close(store, false, 0), 0);
    disk->ops = real_ops;
    disk->ops->close(disk);
    assert_int_equal(dwal_close(log), 0);
}

/* ---- two processes ---- */

/* Append, and keep the last few; 0 when all went well. For a process of its own: no assertions of the test here. What an
 * earlier one left goes first: of several that were killed before their first trim the device would fill up. */
static int write_log(const char *name, char letter)
{
    dwal *log;
    for (int attempt = 0; dw_device_kit_open(&kit, name, NULL, &log) != 0; attempt++) {
        if (attempt == 1000)
            return 2;
        usleep(10000);
    }
    if (dwal_trim(log, dwal_durable(log)) != 0)
        return 6;
    for (uint64_t i = 0; i < ENTRIES; i++) {
        int result = DWAL_ENOSPACE;
        for (int attempt = 0; attempt < 5000 && result == DWAL_ENOSPACE; attempt++) {
            result = dw_device_kit_commit(log, letter, i);
            if (result == DWAL_ENOSPACE)
                usleep(1000);
        }
        if (result != 0)
            return 3;
        if (i % TRIM_EVERY == TRIM_EVERY - 1 && i + 1 < ENTRIES && dwal_trim(log, dwal_durable(log)) != 0)
            return 4;
    }
    return dwal_close(log) == 0 ? 0 : 5;
}

/* In a process that does not outlive the test's. */
static pid_t start_writer(const char *name, char letter)
{
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        alarm(PATIENCE_S);
        _exit(write_log(name, letter));
    }
    return child;
}

static void two_processes_share_the_slots(void **state)
{
    (void)state;
    assert_int_equal(dw_device_kit_create(&kit, "a", NULL), 0);
    assert_int_equal(dw_device_kit_create(&kit, "b", NULL), 0);
    pid_t child = start_writer("b", 'b');
    int own = write_log("a", 'a'), status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(own, 0);
    if (!WIFEXITED(status))
        fail_msg("the other process was ended by signal %d", WTERMSIG(status));
    assert_int_equal(WEXITSTATUS(status), 0);
    dwal *a = dw_device_kit_must_open(&kit, "a"), *b = dw_device_kit_must_open(&kit, "b");
    dw_device_kit_check(a, 'a', 0, ENTRIES);
    dw_device_kit_check(b, 'b', 0, ENTRIES);
    assert_int_equal(dwal_close(a), 0);
    assert_int_equal(dwal_close(b), 0);
    struct dw_disk *disk = dw_device_kit_disk(&kit, "", DW_OPEN_READ);
    dw_device_kit_check_slots(disk);
    disk->ops->close(disk);
}

static void a_process_that_is_killed_leaves_the_other_one_alone(void **state)
{
    (void)state;
    assert_int_equal(dw_device_kit_create(&kit, "a", NULL), 0);
    assert_int_equal(dw_device_kit_create(&kit, "b", NULL), 0);
    for (unsigned round = 0; round < 4; round++) {
        pid_t child = start_writer("b", 'b');
        dwal *a = dw_device_kit_must_open(&kit, "a");
        dw_device_kit_append(a, 'a', round * 4, round * 4 + 4);
        usleep(3000 + round * 7000);
        kill(child, SIGKILL);
        assert_int_equal(waitpid(child, NULL, 0), child);
        dw_device_kit_check(a, 'a', 0, round * 4 + 4);
        assert_int_equal(dwal_close(a), 0);
    }
    dwal *b = dw_device_kit_must_open(&kit, "b"); /* gives back what the killed ones were filling */
    assert_int_equal(dwal_close(b), 0);
    struct dw_disk *disk = dw_device_kit_disk(&kit, "", DW_OPEN_READ);
    dw_device_kit_check_slots(disk);
    disk->ops->close(disk);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(a_slot_that_a_reader_has_pinned_is_not_retired),
        TEST(a_reader_beside_a_writer_sees_what_is_durable),
        TEST(a_reader_misses_no_slot_that_is_used_for_the_first_time_meanwhile),
        TEST(two_processes_share_the_slots),
        TEST(a_process_that_is_killed_leaves_the_other_one_alone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
