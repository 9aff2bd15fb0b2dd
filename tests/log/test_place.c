/* test_place.c - in which directories a log may be made or opened for writing, and what is said about the others.
 *
 * File systems that are not here are made up as mounts; btrfs and tmpfs are mounted (needs root, else those tests say so). */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>
#include <dwal/dwal.h>

#include "io/guard.h"
#include "io/io.h"
#include "io/probe.h"
#include "tests/lib/log_kit.h"
#include "tests/lib/shell.h"

static char heard[1024];

static void hear(void *context, enum dwal_event_level level, const char *text)
{
    (void)context;
    if (level <= DWAL_EVENT_WARNING)
        snprintf(heard, sizeof heard, "%s", text);
}

static int create(const char *path)
{
    struct dwal_options options = dw_log_kit_options();
    options.event = hear;
    heard[0] = '\0';
    return dwal_create(path, &options);
}

static int open_and_close(const char *path)
{
    struct dwal_options options = dw_log_kit_options();
    options.event = hear;
    heard[0] = '\0';
    dwal *log = NULL;
    int result = dwal_open(path, &options, &log);
    return result ? result : dwal_close(log);
}

static void need_text(const char *text, const char *part)
{
    if (!strstr(text, part))
        fail_msg("\"%s\" is not in \"%s\"", part, text);
}

/* ---- mounts, made up ---- */

static const char *judge(const char *line, enum dw_fact is_no_cow, uint32_t *findings)
{
    static char text[512];
    struct dw_probe probe = {.is_no_cow = is_no_cow};
    struct dw_guard guard = {.findings = 0};
    assert_int_equal(dw_probe_parse_mounts(line, strlen(line), 30, 0, 0, &probe.mount), 0);
    dw_guard_judge_mount(&probe, &guard);
    dw_guard_tell(&guard, ~0u, text, sizeof text);
    *findings = guard.findings;
    return text;
}

static void mounts_are_judged(void **state)
{
    (void)state;
    uint32_t findings;
    judge("30 1 8:1 / / rw - ext4 /dev/sda1 rw", DW_FACT_NO, &findings);
    assert_int_equal(findings, 0);
    judge("30 1 8:1 / / rw - xfs /dev/sda1 rw", DW_FACT_UNKNOWN, &findings);
    assert_int_equal(findings, 0);
    need_text(judge("30 1 0:40 / /far rw - nfs4 server:/x rw", DW_FACT_UNKNOWN, &findings), "network");
    assert_int_equal(findings, DW_GUARD_NETWORK);
    judge("30 1 0:40 / /far rw - fuse.sshfs host:/x rw", DW_FACT_UNKNOWN, &findings);
    assert_int_equal(findings, DW_GUARD_NETWORK);
    judge("30 1 0:40 / /far rw - virtiofs share rw", DW_FACT_UNKNOWN, &findings);
    assert_int_equal(findings, DW_GUARD_NETWORK);
    need_text(judge("30 1 0:40 / /run rw - tmpfs tmpfs rw", DW_FACT_UNKNOWN, &findings), "memory");
    assert_int_equal(findings, DW_GUARD_MEMORY);
    need_text(judge("30 1 0:40 / /data rw - btrfs /dev/sdb rw", DW_FACT_NO, &findings), "chattr +C");
    assert_int_equal(findings, DW_GUARD_COPY_ON_WRITE);
    judge("30 1 0:40 / /data rw - btrfs /dev/sdb rw", DW_FACT_YES, &findings);
    assert_int_equal(findings, 0);
    judge("30 1 0:40 / /data rw - zfs tank rw", DW_FACT_UNKNOWN, &findings);
    assert_int_equal(findings, DW_GUARD_COPY_ON_WRITE);
    need_text(judge("30 1 0:40 / / rw - overlay overlay rw,lowerdir=/a,upperdir=/b,workdir=/c", DW_FACT_NO, &findings),
              "overlay");
    assert_int_equal(findings, DW_GUARD_REMARK);
    need_text(judge("30 1 0:40 / / rw - overlay overlay rw,lowerdir=/a,volatile", DW_FACT_NO, &findings), "volatile");
    assert_int_equal(findings, DW_GUARD_NO_FLUSH);
    need_text(judge("30 1 8:1 / /fast rw - ext4 /dev/sda1 rw,nobarrier", DW_FACT_NO, &findings), "without barriers");
    assert_int_equal(findings, DW_GUARD_REMARK);
    judge("30 1 0:40 / /new rw - somethingnew x rw", DW_FACT_UNKNOWN, &findings);
    assert_int_equal(findings, 0);
}

/* ---- who else may write ---- */

static void directory_is_made_for_its_owner_alone(void **state)
{
    (void)state;
    struct stat facts;
    assert_int_equal(create(dw_log_kit_path), 0);
    assert_int_equal(stat(dw_log_kit_path, &facts), 0);
    assert_int_equal(facts.st_mode & 07777, 0700);
    dw_shell_good("test \"$(stat -c %%a %s/* | sort -u)\" = 600", dw_log_kit_path);
}

static void directory_that_everybody_may_write_to_is_refused(void **state)
{
    (void)state;
    dw_shell_good("mkdir -m 1777 %s", dw_log_kit_path);
    assert_int_equal(create(dw_log_kit_path), DWAL_EPERMISSION);
    need_text(dwal_last_error()->text, "everybody may write into the directory (mode 1777)");
    dw_shell_good("test -z \"$(ls -A %s)\" && chmod 755 %s", dw_log_kit_path, dw_log_kit_path);
    assert_int_equal(create(dw_log_kit_path), 0);
    assert_int_equal(open_and_close(dw_log_kit_path), 0);
    dw_shell_good("chmod 757 %s", dw_log_kit_path);
    assert_int_equal(open_and_close(dw_log_kit_path), DWAL_EPERMISSION);
    struct dwal_options options = dw_log_kit_options();
    options.mode = DWAL_READ_ONLY; /* looking harms nobody */
    dwal *log = NULL;
    assert_int_equal(dwal_open(dw_log_kit_path, &options, &log), 0);
    assert_int_equal(dwal_close(log), 0);
}

static void directory_of_another_user_is_refused(void **state)
{
    (void)state;
    if (getuid() != 0) {
        print_message("needs root\n");
        skip();
    }
    dw_shell_good("mkdir %s && chown 12345 %s", dw_log_kit_path, dw_log_kit_path);
    assert_int_equal(create(dw_log_kit_path), DWAL_EPERMISSION);
    need_text(dwal_last_error()->text, "belongs to user 12345");
    dw_shell_good("chown 0 %s", dw_log_kit_path);
    assert_int_equal(create(dw_log_kit_path), 0);
}

static void file_of_another_user_is_not_written(void **state)
{
    (void)state;
    if (getuid() != 0) {
        print_message("needs root\n");
        skip();
    }
    assert_int_equal(create(dw_log_kit_path), 0);
    dw_shell_good("chown 12345 %s/0000000000.vol", dw_log_kit_path);
    dw_shell_good("cd %s && sha1sum * > ../sums", dw_log_kit_path);
    assert_int_equal(open_and_close(dw_log_kit_path), DWAL_EPERMISSION);
    dw_shell_good("cd %s && sha1sum -c --quiet ../sums", dw_log_kit_path);
    struct dw_disk *disk;
    struct dw_file *file;
    assert_int_equal(dw_disk_posix_open(dw_log_kit_path, false, &disk), 0);
    assert_int_equal(disk->ops->open(disk, "0000000000.vol", DW_OPEN_WRITE, &file), -EPERM);
    assert_int_equal(disk->ops->open(disk, "0000000000.vol", DW_OPEN_READ, &file), 0);
    dw_file_close(file);
    disk->ops->close(disk);
}

/* ---- file systems, real ---- */

/* Mounts at <directory>/mount. False: cannot be had here. */
static bool mount_here(const char *make, const char *mount)
{
    if (getuid() != 0)
        return false;
    dw_shell_good("cd %s && truncate -s 300M image && mkdir -p mount", dw_log_kit_directory);
    return dw_shell("cd %s && %s && %s", dw_log_kit_directory, make, mount)->status == 0;
}

static int unmount(void **state)
{
    dw_shell("umount %s/mount", dw_log_kit_directory);
    return dw_log_kit_tear_down(state);
}

static void memory_is_refused_unless_asked_for(void **state)
{
    (void)state;
    char path[DW_TMPDIR_SIZE + 16];
    snprintf(path, sizeof path, "%s/mount/log", dw_log_kit_directory);
    if (!mount_here("true", "mount -t tmpfs -o size=64M tmpfs mount")) {
        print_message("skipped: tmpfs cannot be mounted\n");
        skip();
    }
    assert_int_equal(create(path), DWAL_EUNSUPPORTED);
    need_text(dwal_last_error()->text, "tmpfs lies in memory and is gone with the power");
    dw_shell_good("test -z \"$(ls -A %s/mount)\"", dw_log_kit_directory);
    struct dwal_options options = dw_log_kit_options();
    options.is_unsafe_buffered = true;
    options.event = hear;
    assert_int_equal(dwal_create(path, &options), 0);
    need_text(heard, "tmpfs lies in memory");
}

static void btrfs_overwrites_in_place_or_is_refused(void **state)
{
    (void)state;
    char path[DW_TMPDIR_SIZE + 16];
    snprintf(path, sizeof path, "%s/mount/log", dw_log_kit_directory);
    if (!mount_here("mkfs.btrfs -q image", "mount -o loop image mount")) {
        print_message("skipped: needs root, mkfs.btrfs and the file system\n");
        skip();
    }
    /* A directory that was there copies on write: its owner has to decide. */
    dw_shell_good("mkdir -m 700 %s", path);
    assert_int_equal(create(path), DWAL_EUNSUPPORTED);
    need_text(dwal_last_error()->text, "chattr +C");
    dw_shell_good("test -z \"$(ls -A %s)\" && chattr +C %s", path, path);
    assert_int_equal(create(path), 0);
    assert_string_equal(heard, "");
    assert_int_equal(open_and_close(path), 0);
    dw_shell_good("rm -r %s", path);
    /* One that is made for the log is told to overwrite in place. */
    assert_int_equal(create(path), 0);
    dw_shell_good("test \"$(lsattr %s/0000000000.vol | cut -d' ' -f1 | tr -d '-')\" = C", path);
    /* A log that came there otherwise stays within reach, and is spoken of. */
    dw_shell_good("cp -r %s %s2 && mkdir -m 700 %s3 && cp --reflink=never %s/* %s3", path, path, path, path, path);
    strcat(path, "3");
    assert_int_equal(open_and_close(path), 0);
    need_text(heard, "btrfs copies on write");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(mounts_are_judged),
        DW_LOG_KIT_TEST(directory_is_made_for_its_owner_alone),
        DW_LOG_KIT_TEST(directory_that_everybody_may_write_to_is_refused),
        DW_LOG_KIT_TEST(directory_of_another_user_is_refused),
        DW_LOG_KIT_TEST(file_of_another_user_is_not_written),
        cmocka_unit_test_setup_teardown(memory_is_refused_unless_asked_for, dw_log_kit_set_up, unmount),
        cmocka_unit_test_setup_teardown(btrfs_overwrites_in_place_or_is_refused, dw_log_kit_set_up, unmount),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
