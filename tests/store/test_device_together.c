/* test_device_together.c - processes that come to one device at the same moment: logs made on a blank one, the same name twice,
 * and a neighbour that keeps the device's superblock for long. On a file taken for a device, and on a loop device (needs root,
 * else skips). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/log/log.h"
#include "tests/lib/device_kit.h"
#include "tests/lib/shell.h"

enum { SLOTS = 16, MAKERS = 4, ROUNDS = 10, LOOP_ROUNDS = 5, PATIENCE_S = 120, MADE = 0, THERE = 1, FAILED = 2 };

static const char *const names[MAKERS] = {"a", "b", "c", "a"};
static struct dw_device_kit kit;
static char loop[64];

static int set_up(void **state)
{
    (void)state;
    loop[0] = '\0';
    dw_device_kit_make(&kit, SLOTS);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    if (loop[0])
        dw_shell("losetup -d %s", loop);
    dw_device_kit_remove(&kit);
    return 0;
}

/* ---- making logs ---- */

typedef int make_fn(unsigned round, unsigned maker);

static int make_on_file(unsigned round, unsigned maker)
{
    const uint8_t log_id[16] = {5, (uint8_t)round, (uint8_t)maker, 1};
    struct dwal_options options = dw_device_kit_options();
    struct dw_disk *disk;
    int result = dw_disk_device_open(kit.path, DW_OPEN_WRITE, true, &disk);
    if (result != 0)
        return result;
    snprintf(disk->part, sizeof disk->part, "%s", names[maker]);
    result = dw_log_create_on(disk, &dw_clock_system, log_id, 0x87654321u, &options);
    disk->ops->close(disk);
    return result;
}

static int make_on_loop(unsigned round, unsigned maker)
{
    char path[80];
    struct dwal_options options = dw_device_kit_options();
    (void)round;
    snprintf(path, sizeof path, "%s#%s", loop, names[maker]);
    return dwal_create(path, &options);
}

/* In a process of its own, that waits until `gate` is closed. */
static pid_t start_maker(make_fn *make, unsigned round, unsigned maker, const int gate[2])
{
    pid_t child = fork();
    assert_true(child >= 0);
    if (child != 0)
        return child;
    char byte;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    alarm(PATIENCE_S);
    close(gate[1]);
    (void)!read(gate[0], &byte, 1);
    int result = make(round, maker);
    if (result != 0 && result != DWAL_EEXIST)
        fprintf(stderr, "round %u, maker %u of #%s: %d %s\n", round, maker, names[maker], result,
                dwal_last_error()->text);
    _exit(result == 0 ? MADE : result == DWAL_EEXIST ? THERE : FAILED);
}

static void make_all_at_once(make_fn *make, unsigned round)
{
    int gate[2], ends[MAKERS];
    pid_t children[MAKERS];
    assert_int_equal(pipe2(gate, O_CLOEXEC), 0);
    for (unsigned maker = 0; maker < MAKERS; maker++)
        children[maker] = start_maker(make, round, maker, gate);
    close(gate[0]);
    close(gate[1]);
    for (unsigned maker = 0; maker < MAKERS; maker++) {
        int status;
        assert_int_equal(waitpid(children[maker], &status, 0), children[maker]);
        ends[maker] = WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
    }
    assert_int_equal(ends[1], MADE);
    assert_int_equal(ends[2], MADE);
    assert_true((ends[0] == MADE && ends[3] == THERE) || (ends[0] == THERE && ends[3] == MADE));
}

static void logs_that_are_made_at_once_on_a_blank_device_are_all_made(void **state)
{
    (void)state;
    for (unsigned round = 0; round < ROUNDS; round++) {
        make_all_at_once(make_on_file, round);
        for (unsigned maker = 0; maker < MAKERS - 1; maker++) {
            dwal *log = dw_device_kit_must_open(&kit, names[maker]);
            dw_device_kit_append(log, names[maker][0], 0, 5);
            dw_device_kit_must_close(log);
        }
        for (unsigned maker = 0; maker < MAKERS - 1; maker++) {
            dwal *log = dw_device_kit_must_open(&kit, names[maker]);
            dw_device_kit_check(log, names[maker][0], 0, 5);
            dw_device_kit_must_close(log);
        }
        dw_device_kit_check_all_slots(&kit);
        dw_device_kit_remove(&kit);
        dw_device_kit_make(&kit, SLOTS);
    }
}

static void logs_that_are_made_at_once_on_a_blank_block_device_are_all_made(void **state)
{
    (void)state;
    if (geteuid() != 0 || !dw_shell_has("losetup"))
        dw_shell_skip("needs root and loop devices");
    const struct dw_shell *ran = dw_shell("losetup -f --show %s", kit.path);
    if (ran->status != 0)
        dw_shell_skip("needs loop devices");
    snprintf(loop, sizeof loop, "%.*s", (int)strcspn(ran->output, "\n"), ran->output);
    for (unsigned round = 0; round < LOOP_ROUNDS; round++) {
        make_all_at_once(make_on_loop, round);
        dw_shell_good("dd if=/dev/zero of=%s bs=64K oflag=direct 2>/dev/null; sync %s", loop, loop);
    }
}

/* ---- a neighbour ---- */

static void a_neighbour_that_keeps_the_superblock_for_long_stops_nobody(void **state)
{
    (void)state;
    assert_int_equal(dw_device_kit_create(&kit, "a", NULL), 0);
    dwal *log = dw_device_kit_must_open(&kit, "a");
    dw_device_kit_append(log, 'a', 0, 30);
    struct dw_disk *disk = dw_device_kit_disk(&kit, "", DW_OPEN_WRITE);
    struct dw_file *file;
    assert_int_equal(disk->ops->open(disk, DW_DEVICE_NAME, DW_OPEN_WRITE, &file), 0);
    int result = -EAGAIN;
    for (int i = 0; i < 1000 && result == -EAGAIN; i++, usleep(1000))
        result = disk->ops->lock(file, DW_LOCK_FIRST, DW_LOCK_EXCLUSIVE); /* ADMIN, as one that was stopped would */
    assert_int_equal(result, 0);
    assert_int_equal(dwal_trim(log, dwal_durable(log)), 0);
    usleep(1500000);
    assert_int_equal(dwal_failure(log, NULL), 0);
    dw_file_close(file);
    disk->ops->close(disk);
    dw_device_kit_wait_free(&kit, SLOTS - 6);
    dw_device_kit_append(log, 'a', 30, 60);
    dw_device_kit_must_close(log);
    dw_device_kit_check_all_slots(&kit);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(logs_that_are_made_at_once_on_a_blank_device_are_all_made),
        TEST(logs_that_are_made_at_once_on_a_blank_block_device_are_all_made),
        TEST(a_neighbour_that_keeps_the_superblock_for_long_stops_nobody),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
