/* test_guard_init.c - dwal init on block devices that are in use or hold something: refused in words, not a byte changed; with
 * --force what is lost is named, and then it works, but never on a device that is in use. Needs root and loop devices.
 *
 * Each test has a loop device of its own over a file; the file's checksum before and after is the proof. */
#include <fcntl.h>

#include <dwal/dwal.h>

#include "tests/tools/command.h"

static char device[64];

/* Always a device that the kernel chooses: other tests attach theirs at the same time. */
static int attach(const char *how)
{
    const char *line = dw_shell_good("losetup %s -f --show $T/image", how);
    snprintf(device, sizeof device, "%.*s", (int)strcspn(line, "\n"), line);
    return setenv("DEV", device, 1);
}

static int set_up(void **state)
{
    if (make_directory(state) != 0)
        return -1;
    dw_shell_good("truncate -s 24M $T/image");
    return attach("");
}
static int tear_down(void **state)
{
    dw_shell("umount $T/mount; swapoff $DEV; delpart $DEV 1; delpart $DEV 2; test -s $T/other && losetup -d $(cat "
             "$T/other); "
             "for d in $(losetup -n -O NAME -j $T/image); do losetup -d $d; done");
    return remove_directory(state);
}

static void note_sum(void)
{
    dw_shell_good("sync $T/image; sha1sum < $DEV > $T/sum");
}
/* `command` ends with status 1 and says `text`, and the device is what it was when note_sum was called. */
static void refused(const char *command, const char *text)
{
    expect(1, text, command);
    const struct dw_shell *ran = dw_shell("sha1sum < $DEV | cmp - $T/sum");
    if (ran->status != 0)
        fail_msg("%s changed the device: %s", command, ran->output);
}

#define INIT       "$D init $DEV --volume-size 1MiB"
#define INIT_FORCE INIT " --force"

static void log_is_there(void)
{
    expect(0, "", "printf 'one\\ntwo\\n' | $D append $DEV --lines");
    expect(0, "two", "$D cat $DEV");
    expect(0, "", "$D verify $DEV");
}

/* ---- in use: nothing helps ---- */

static void mounted_device_is_refused_and_the_place_is_named(void **state)
{
    (void)state;
    good("mkfs.ext4 -q $DEV && mkdir $T/mount && mount -o ro,noload $DEV $T/mount");
    note_sum();
    refused(INIT, "/mount (ext4)");
    refused(INIT_FORCE, "/mount (ext4)");
    refused("$D append $DEV < /dev/null", "/mount (ext4)");
    good("umount $T/mount");
    refused(INIT, "ext4 file system");
    expect(0, "ext4 file system", INIT_FORCE);
    log_is_there();
}

static void swap_in_use_is_refused(void **state)
{
    (void)state;
    if (dw_shell("mkswap $DEV && swapon $DEV")->status != 0) {
        print_message("no swap can be made here\n");
        skip();
    }
    /* The kernel may use it meanwhile: only its header has to stay. */
    good("head -c 4096 $DEV > $T/header");
    expect(1, "swap space in use", INIT);
    expect(1, "swap space in use", INIT_FORCE);
    good("head -c 4096 $DEV | cmp - $T/header && swapoff $DEV");
    note_sum();
    refused(INIT, "swap area");
}

static void device_held_by_another_process_is_refused(void **state)
{
    (void)state;
    note_sum();
    int holder = open(device, O_RDWR | O_EXCL | O_CLOEXEC);
    assert_true(holder >= 0);
    refused(INIT, "in exclusive use by another process");
    refused(INIT_FORCE, "in exclusive use by another process");
    close(holder);
    good(INIT);
    log_is_there();
}

static void backing_of_a_loop_device_is_refused(void **state)
{
    (void)state;
    note_sum();
    good("losetup -f --show $DEV > $T/other");
    refused(INIT, "the backing of loop");
    refused(INIT_FORCE, "the backing of loop");
    good("losetup -d $(cat $T/other) && rm $T/other");
    good(INIT);
}

/* Two partitions, from 1 MiB and from 9 MiB, of 8 MiB each, that the kernel knows as ${DEV}p1 and ${DEV}p2. */
static bool make_partitions(void)
{
    if (!dw_shell_has("addpart"))
        return false;
    good("printf '\\0\\0\\0\\0\\203\\0\\0\\0\\0\\10\\0\\0\\0\\100\\0\\0"
         "\\0\\0\\0\\0\\203\\0\\0\\0\\0\\110\\0\\0\\0\\100\\0\\0' | "
         "dd of=$T/image bs=1 seek=446 conv=notrunc status=none && printf '\\125\\252' | "
         "dd of=$T/image bs=1 seek=510 conv=notrunc status=none && addpart $DEV 1 2048 16384 && addpart $DEV 2 18432 "
         "16384");
    for (int i = 0; i < 50; i++) {
        if (dw_shell("test -b ${DEV}p1 && test -b ${DEV}p2")->status == 0)
            return true;
        wait_ms(20);
    }
    return false;
}

static void partitions_stand_in_the_way_of_their_disk_and_not_of_one_another(void **state)
{
    (void)state;
    if (!make_partitions()) {
        print_message("skipped: no partitions of loop devices here\n");
        skip();
    }
    good("mkfs.ext4 -q ${DEV}p1 && mkdir $T/mount && mount -o ro,noload ${DEV}p1 $T/mount");
    note_sum();
    refused(INIT, "p1 is mounted at ");
    refused(INIT_FORCE, "p1 is mounted at ");
    refused("$D init ${DEV}p1 --volume-size 1MiB --force", "mounted at ");
    good("$D init ${DEV}p2 --volume-size 1MiB");
    expect(0, "", "echo one | $D append ${DEV}p2 --lines");
    good("umount $T/mount");
    note_sum();
    refused(INIT, "MBR partition table with 2 partitions");
    struct beside writer = start_beside("$D append ${DEV}p2 --lines > $T/out");
    feed(&writer, "two\n");
    wait_for("test -s $T/out");
    expect(1, "in use by something", INIT_FORCE); /* a part of it is being written */
    assert_int_equal(stop_beside(&writer, 0), 0);
    expect(0, "two", "$D cat ${DEV}p2");
}

static void read_only_device_is_refused(void **state)
{
    (void)state;
    good("blockdev --setro $DEV");
    note_sum();
    refused(INIT, "read-only");
    refused(INIT_FORCE, "read-only");
    good("blockdev --setrw $DEV");
    good(INIT);
    good("losetup -d $DEV");
    attach("-r");
    note_sum();
    expect(0, "", "$D info $DEV");
    refused("echo x | $D append $DEV --lines", "read-only");
}

/* ---- holding something: force names what it destroys ---- */

static void held_content(const char *make, const char *named)
{
    char text[200];
    good(make);
    note_sum();
    refused(INIT, named);
    refused(INIT, "--force");
    snprintf(text, sizeof text, "destroys: %s", named);
    expect(0, text, INIT_FORCE);
    log_is_there();
}

static void ext4_is_refused(void **state)
{
    (void)state;
    held_content("mkfs.ext4 -q -L precious $DEV", "ext4 file system, label precious, UUID ");
}

static void xfs_is_refused(void **state)
{
    (void)state;
    if (dw_shell("truncate -s 320M $T/image && losetup -c $DEV && mkfs.xfs -q -L rows $DEV")->status != 0) {
        print_message("no XFS on a loop device here\n");
        skip();
    }
    held_content("true", "xfs file system, label rows, UUID ");
}

static void swap_area_is_refused(void **state)
{
    (void)state;
    held_content("mkswap -L pages $DEV", "swap area, label pages");
}

static void lvm_volume_is_refused(void **state)
{
    (void)state;
    /* Label and type in sector 1; its checksum does not matter to be seen as one. */
    held_content(
        "printf 'LABELONE\\1\\0\\0\\0\\0\\0\\0\\0\\0\\0\\0\\0\\40\\0\\0\\0LVM2 001abcdefghijklmnopqrstuvwxyzABCDEF' | "
        "dd of=$DEV bs=512 seek=1 conv=notrunc status=none",
        "LVM2 physical volume");
}

static void luks_volume_is_refused(void **state)
{
    (void)state;
    held_content("{ printf 'LUKS\\272\\276\\0\\1aes\\0'; head -c 156 /dev/zero; printf "
                 "'11111111-2222-3333-4444-555555555555\\0'; } | dd of=$DEV conv=notrunc status=none",
                 "crypto_LUKS encrypted volume, UUID 11111111-2222-3333-4444-555555555555");
}

static void mbr_partition_table_is_refused(void **state)
{
    (void)state;
    /* One entry: type 0x83, from sector 2048, 8192 sectors. */
    held_content(
        "printf '\\0\\0\\0\\0\\203\\0\\0\\0\\0\\10\\0\\0\\0\\40\\0\\0' | dd of=$DEV bs=1 seek=446 conv=notrunc "
        "status=none && printf '\\125\\252' | dd of=$DEV bs=1 seek=510 conv=notrunc status=none",
        "MBR partition table with 1 partition");
}

static void unknown_bytes_are_refused(void **state)
{
    (void)state;
    held_content("head -c 4096 /dev/urandom | tr -d '\\0' | dd of=$DEV bs=1M seek=23 conv=notrunc status=none",
                 "bytes other than zero, of no kind that is known");
}

static void without_libblkid_formatting_needs_force(void **state)
{
    (void)state;
    if (dw_shell("printf 'int nothing;' > $T/empty.c && %s -shared -fPIC -o $T/libblkid.so.1 $T/empty.c",
                 dw_shell_setting("DWAL_CC"))
            ->status != 0) {
        print_message("no shared library can be built here\n");
        skip();
    }
    note_sum();
    refused("LD_LIBRARY_PATH=$T " INIT, "its content cannot be judged");
    expect(0, "its content cannot be judged", "LD_LIBRARY_PATH=$T " INIT_FORCE);
    log_is_there();
}

/* ---- logs ---- */

static void log_that_is_there_is_not_made_again(void **state)
{
    (void)state;
    good(INIT);
    log_is_there();
    note_sum();
    refused(INIT, "there is a log");
    expect(0, "a log of dwal", INIT_FORCE);
    expect(0, "", "$D cat $DEV | cmp - /dev/null");
}

static void second_writer_is_busy_and_cannot_force(void **state)
{
    (void)state;
    good(INIT);
    struct beside writer = start_beside("$D append $DEV --lines > $T/out");
    feed(&writer, "one\n");
    wait_for("test -s $T/out");
    expect(1, "another writer", "echo x | $D append $DEV --lines");
    expect(1, "", INIT_FORCE);
    expect(1, "", "mkfs.ext4 -q -F $DEV"); /* others are kept out as well */
    feed(&writer, "two\n");
    assert_int_equal(stop_beside(&writer, 0), 0);
    expect(0, "two", "$D cat $DEV");
    expect(0, "", "$D verify $DEV");
}

static void device_that_became_smaller_is_refused(void **state)
{
    (void)state;
    good(INIT);
    good("printf 'one\\n' | $D append $DEV --lines");
    good("truncate -s 16M $T/image && losetup -c $DEV");
    note_sum();
    const struct dw_shell *ran = dw_shell("echo x | $D append $DEV --lines");
    assert_int_not_equal(ran->status, 0);
    if (!strstr(ran->output, "smaller"))
        fail_msg("%s", ran->output);
    dw_shell_good("sha1sum < $DEV | cmp - $T/sum");
}

static void open_log_stays_on_its_device_when_the_path_moves(void **state)
{
    (void)state;
    good("truncate -s 24M $T/image2 && losetup -f --show $T/image2 > $T/other && ln -s $DEV $T/link");
    good("$D init $T/link --volume-size 1MiB");
    struct beside writer = start_beside("$D append $T/link --lines > $T/out");
    feed(&writer, "one\n");
    wait_for("test -s $T/out");
    good("ln -sfn $(cat $T/other) $T/link");
    feed(&writer, "two\n");
    wait_for("test $(wc -l < $T/out) = 2");
    assert_int_equal(stop_beside(&writer, 0), 0);
    expect(0, "two", "$D cat $DEV");
    good("cmp -n 25165824 $(cat $T/other) /dev/zero");
    good("losetup -d $(cat $T/other) && rm $T/other");
}

#define DEVICE_TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    if (getuid() != 0)
        dw_shell_skip("needs root, for loop devices");
    if (!dw_shell_has("losetup") || !dw_shell_has("mkfs.ext4") || !dw_shell_has("mkswap"))
        dw_shell_skip("needs losetup, mkfs.ext4 and mkswap");
    char place[DW_TMPDIR_SIZE];
    dw_tmpdir_make(place, "guard-init");
    int status =
        dw_shell("cd %s && truncate -s 1M probe && d=$(losetup -f --show probe) && losetup -d $d", place)->status;
    dw_tmpdir_remove(place);
    if (status != 0)
        dw_shell_skip("no loop devices here");
    const struct CMUnitTest tests[] = {
        DEVICE_TEST(mounted_device_is_refused_and_the_place_is_named),
        DEVICE_TEST(swap_in_use_is_refused),
        DEVICE_TEST(device_held_by_another_process_is_refused),
        DEVICE_TEST(backing_of_a_loop_device_is_refused),
        DEVICE_TEST(partitions_stand_in_the_way_of_their_disk_and_not_of_one_another),
        DEVICE_TEST(read_only_device_is_refused),
        DEVICE_TEST(ext4_is_refused),
        DEVICE_TEST(xfs_is_refused),
        DEVICE_TEST(swap_area_is_refused),
        DEVICE_TEST(lvm_volume_is_refused),
        DEVICE_TEST(luks_volume_is_refused),
        DEVICE_TEST(mbr_partition_table_is_refused),
        DEVICE_TEST(unknown_bytes_are_refused),
        DEVICE_TEST(without_libblkid_formatting_needs_force),
        DEVICE_TEST(log_that_is_there_is_not_made_again),
        DEVICE_TEST(second_writer_is_busy_and_cannot_force),
        DEVICE_TEST(device_that_became_smaller_is_refused),
        DEVICE_TEST(open_log_stays_on_its_device_when_the_path_moves),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
