/* test_guard_look.c - what dwal finds to be in the way on real block devices (loop devices; needs root), and on a made-up
 * /sys and /proc where this machine has no such device. After each look the device is the same, byte by byte. */
#include <errno.h>
#include <fcntl.h>
#include <linux/loop.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <cmocka.h>

#include "io/guard.h"
#include "tests/lib/shell.h"
#include "tests/lib/tmpdir.h"

static char place[DW_TMPDIR_SIZE];
static char device[64];
static bool has_loop;
static struct dw_guard guard;

static int tear_down(void **state)
{
    (void)state;
    dw_shell("cd %s; umount mount; test -z '%s' || swapoff %s; for f in image other; do for d in $(losetup -n -O NAME "
             "-j $f); do "
             "losetup -d $d; done; done; rm -rf image other mount made node",
             place, device, device);
    device[0] = '\0';
    return 0;
}

static int set_up(void **state)
{
    (void)state;
    if (!has_loop)
        return 0;
    const char *line = dw_shell_good("cd %s && truncate -s 64M image && losetup -f --show image", place);
    snprintf(device, sizeof device, "%.*s", (int)strcspn(line, "\n"), line);
    return 0;
}

static void need_loop(void)
{
    if (!has_loop) {
        print_message("skipped: needs root and loop devices\n");
        skip();
    }
}

static const char *look_only(int descriptor)
{
    static char text[4096];
    assert_int_equal(dw_guard_look(device, descriptor, &guard), 0);
    dw_guard_tell(&guard, ~0u, text, sizeof text);
    print_message("%s\n", text);
    return text;
}

static const char *look(int descriptor)
{
    char before[41];
    snprintf(before, sizeof before, "%.40s", dw_shell_good("sha1sum < %s", device));
    const char *text = look_only(descriptor);
    assert_memory_equal(dw_shell_good("sha1sum < %s", device), before, 40);
    return text;
}

static void need_text(const char *text, const char *part)
{
    if (!strstr(text, part))
        fail_msg("\"%s\" is not in \"%s\"", part, text);
}

/* ---- real devices ---- */

static void unused_device_has_no_findings(void **state)
{
    (void)state;
    need_loop();
    assert_string_equal(look(-1), "");
    assert_int_equal(guard.findings, 0);
    assert_int_equal(guard.identity.size, 64 << 20);
    struct stat facts;
    assert_int_equal(stat(device, &facts), 0);
    assert_int_equal(guard.identity.major, major(facts.st_rdev));
    assert_int_equal(guard.identity.minor, minor(facts.st_rdev));
}

static void mounted_device_says_where(void **state)
{
    (void)state;
    need_loop();
    dw_shell_good("cd %s && mkdir mount && mkfs.ext4 -q %s && mount -o ro,noload %s mount", place, device, device);
    const char *text = look(-1);
    need_text(text, "mounted at ");
    need_text(text, "/mount (ext4)");
    need_text(text, "ext4 file system");
    assert_true(guard.findings & DW_GUARD_MOUNTED);
    assert_true(guard.findings & DW_GUARD_HELD);
    assert_true(dw_guard_forbidding(&guard, true) & DW_GUARD_MOUNTED);
}

static void swap_in_use_is_found(void **state)
{
    (void)state;
    need_loop();
    if (dw_shell("mkswap %s && swapon %s", device, device)->status != 0) {
        print_message("no swap can be made here\n");
        skip();
    }
    need_text(look_only(-1), "swap space in use"); /* the kernel may write to it meanwhile */
    assert_true(dw_guard_forbidding(&guard, true) & DW_GUARD_SWAP);
}

static void exclusive_opener_is_found(void **state)
{
    (void)state;
    need_loop();
    int holder = open(device, O_RDWR | O_EXCL);
    assert_true(holder >= 0);
    need_text(look(-1), "exclusive use");
    assert_int_equal(dw_guard_forbidding(&guard, true), DW_GUARD_HELD);
    /* The holder itself is in nobody's way. */
    look(holder);
    assert_int_equal(guard.findings, 0);
    close(holder);
}

static void loop_device_on_top_is_found(void **state)
{
    (void)state;
    need_loop();
    char other[64];
    const char *line = dw_shell_good("losetup -f --show %s", device);
    snprintf(other, sizeof other, "%.*s", (int)strcspn(line, "\n"), line);
    const char *text = look(-1);
    dw_shell("losetup -d %s", other);
    need_text(text, "the backing of loop");
    assert_true(dw_guard_forbidding(&guard, true) & DW_GUARD_HELD);
}

static void read_only_device_is_found(void **state)
{
    (void)state;
    need_loop();
    dw_shell_good("losetup -d %s", device);
    const char *line = dw_shell_good("cd %s && losetup -r -f --show image", place);
    snprintf(device, sizeof device, "%.*s", (int)strcspn(line, "\n"), line);
    need_text(look(-1), "read-only");
    assert_int_equal(dw_guard_forbidding(&guard, true), DW_GUARD_READ_ONLY);
}

static void another_device_under_the_same_path_is_told(void **state)
{
    (void)state;
    need_loop();
    /* A device that can only be read may be given another file while it is there. */
    dw_shell_good("losetup -d %s", device);
    const char *line = dw_shell_good("cd %s && truncate -s 64M other && losetup -r -f --show image", place);
    snprintf(device, sizeof device, "%.*s", (int)strcspn(line, "\n"), line);
    look(-1);
    int descriptor = open(device, O_RDONLY);
    assert_int_equal(dw_guard_confirm(&guard, descriptor), 0);
    char path[DW_TMPDIR_SIZE + 16];
    snprintf(path, sizeof path, "%s/other", place);
    int other = open(path, O_RDONLY);
    assert_int_equal(ioctl(descriptor, LOOP_CHANGE_FD, other), 0);
    close(other);
    struct dw_guard_identity now;
    assert_int_equal(dw_guard_identify(descriptor, &now), 0);
    assert_int_equal(now.minor, guard.identity.minor);
    if (guard.identity.sequence != 0)
        assert_int_equal(dw_guard_confirm(&guard, descriptor), -ESTALE);
    close(descriptor);
    descriptor = open("/dev/null", O_RDONLY);
    assert_int_equal(dw_guard_confirm(&guard, descriptor), -ESTALE);
    assert_int_equal(dw_guard_look(device, descriptor, &guard), -ESTALE);
    close(descriptor);
}

static void resized_device_is_not_the_one_looked_at(void **state)
{
    (void)state;
    need_loop();
    look(-1);
    dw_shell_good("cd %s && truncate -s 32M image && losetup -c %s", place, device);
    int descriptor = open(device, O_RDONLY);
    assert_int_equal(dw_guard_confirm(&guard, descriptor), -ESTALE);
    close(descriptor);
}

static void what_is_no_block_device_is_refused(void **state)
{
    (void)state;
    assert_int_equal(dw_guard_look(place, -1, &guard), -ENOTBLK);
    assert_int_equal(dw_guard_look("/dev/null", -1, &guard), -ENOTBLK);
    assert_int_equal(dw_guard_look("/no/such/thing", -1, &guard), -ENOENT);
}

/* ---- a made-up system ---- */

static void make_disk(void)
{
    dw_shell_good(
        "mkdir -p %s/made/sys/dev/block %s/made/proc/self && cd %s/made/sys && "
        "mkdir -p devices/sdb/queue devices/sdb/holders devices/sdb/sdb1/holders devices/sdb/sdb2/holders && "
        "echo 8:16 > devices/sdb/dev && echo 8:17 > devices/sdb/sdb1/dev && echo 8:18 > devices/sdb/sdb2/dev && "
        "echo 1 > devices/sdb/sdb1/partition && echo 2 > devices/sdb/sdb2/partition && "
        "echo none > devices/sdb/queue/zoned && cd dev/block && ln -s ../../devices/sdb 8:16 && "
        "ln -s ../../devices/sdb/sdb1 8:17 && ln -s ../../devices/sdb/sdb2 8:18 && "
        "cd ../../../proc && : > self/mountinfo && echo 'Filename Type Size Used Priority' > swaps",
        place, place, place);
}

static const char *look_at_made(uint32_t major, uint32_t minor)
{
    static char text[4096], proc[DW_TMPDIR_SIZE + 16], sysfs[DW_TMPDIR_SIZE + 16];
    snprintf(proc, sizeof proc, "%s/made/proc", place);
    snprintf(sysfs, sizeof sysfs, "%s/made/sys", place);
    guard = (struct dw_guard){.identity = {.major = major, .minor = minor}};
    dw_guard_look_at_users(proc, sysfs, &guard);
    dw_guard_tell(&guard, ~0u, text, sizeof text);
    print_message("%s\n", text);
    return text;
}

static void zoned_disk_is_found(void **state)
{
    (void)state;
    make_disk();
    dw_shell_good("echo host-managed > %s/made/sys/devices/sdb/queue/zoned", place);
    need_text(look_at_made(8, 16), "zoned device (host-managed)");
    assert_true(dw_guard_forbidding(&guard, true) & DW_GUARD_ZONED);
    need_text(look_at_made(8, 17), "zoned device (host-managed)"); /* its partitions are as well */
}

static void partitions_that_the_kernel_knows_are_found(void **state)
{
    (void)state;
    make_disk();
    need_text(look_at_made(8, 16), "the kernel knows 2 partitions of it");
    assert_int_equal(guard.findings, DW_GUARD_PARTITIONS);
    look_at_made(8, 17);
    assert_int_equal(guard.findings, 0);
}

static void mounted_partition_is_in_the_way_of_its_disk_and_not_of_its_sister(void **state)
{
    (void)state;
    make_disk();
    dw_shell_good("printf '%%s\\n' '30 1 8:18 / /srv/a\\040b rw - xfs /dev/sdb2 rw' > %s/made/proc/self/mountinfo",
                  place);
    need_text(look_at_made(8, 16), "its partition sdb2 is mounted at /srv/a b (xfs)");
    assert_true(dw_guard_forbidding(&guard, true) & DW_GUARD_MOUNTED);
    need_text(look_at_made(8, 18), "mounted at /srv/a b (xfs)");
    look_at_made(8, 17);
    assert_int_equal(guard.findings, 0);
}

static void mounted_disk_is_in_the_way_of_its_partitions(void **state)
{
    (void)state;
    make_disk();
    dw_shell_good("echo '30 1 8:16 / /srv rw - ext4 /dev/sdb rw' > %s/made/proc/self/mountinfo", place);
    need_text(look_at_made(8, 17), "its whole disk sdb is mounted at /srv (ext4)");
}

static void holders_of_a_partition_are_found_by_name(void **state)
{
    (void)state;
    make_disk();
    dw_shell_good("cd %s/made/sys/devices/sdb/sdb1/holders && mkdir -p dm-0/dm && echo vg-root > dm-0/dm/name", place);
    need_text(look_at_made(8, 16), "its partition sdb1 is held by dm-0 (vg-root)");
    need_text(look_at_made(8, 17), "held by dm-0 (vg-root)");
    assert_true(dw_guard_forbidding(&guard, true) & DW_GUARD_HELD);
    look_at_made(8, 18);
    assert_int_equal(guard.findings, 0);
}

static void what_cannot_be_found_out_is_a_finding(void **state)
{
    (void)state;
    make_disk();
    look_at_made(8, 64);
    assert_true(guard.findings & DW_GUARD_UNCHECKED);
    dw_shell_good("rm %s/made/proc/self/mountinfo", place);
    need_text(look_at_made(8, 17), "mountinfo cannot be read");
    assert_true(guard.findings & DW_GUARD_UNCHECKED);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    dw_tmpdir_make(place, "guard-look");
    has_loop =
        getuid() == 0 && dw_shell_has("losetup") && dw_shell_has("mkfs.ext4") &&
        dw_shell("cd %s && truncate -s 1M probe && d=$(losetup -f --show probe) && losetup -d $d", place)->status == 0;
    const struct CMUnitTest tests[] = {
        TEST(unused_device_has_no_findings),
        TEST(mounted_device_says_where),
        TEST(swap_in_use_is_found),
        TEST(exclusive_opener_is_found),
        TEST(loop_device_on_top_is_found),
        TEST(read_only_device_is_found),
        TEST(another_device_under_the_same_path_is_told),
        TEST(resized_device_is_not_the_one_looked_at),
        TEST(what_is_no_block_device_is_refused),
        cmocka_unit_test_teardown(zoned_disk_is_found, tear_down),
        cmocka_unit_test_teardown(partitions_that_the_kernel_knows_are_found, tear_down),
        cmocka_unit_test_teardown(mounted_partition_is_in_the_way_of_its_disk_and_not_of_its_sister, tear_down),
        cmocka_unit_test_teardown(mounted_disk_is_in_the_way_of_its_partitions, tear_down),
        cmocka_unit_test_teardown(holders_of_a_partition_are_found_by_name, tear_down),
        cmocka_unit_test_teardown(what_cannot_be_found_out_is_a_finding, tear_down),
    };
    int failures = cmocka_run_group_tests(tests, NULL, NULL);
    dw_tmpdir_remove(place);
    return failures;
}
