/* test_io_zero.c - zeros by a command to the device: on zram, which has it, and on loop devices, where it is not used. Needs
 * root, and the kernel's zram for the first; else skips. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "alloc/alloc.h"
#include "io/io.h"
#include "tests/lib/shell.h"
#include "tests/lib/tmpdir.h"

enum { UNIT = 4096, RANGE = 1 << 20 };

static void fill(struct dw_file *file, uint8_t *bytes, int value)
{
    memset(bytes, value, RANGE);
    assert_int_equal(dw_file_write(file, bytes, RANGE, RANGE), 0);
}

static bool is_all(struct dw_file *file, uint8_t *bytes, uint64_t offset, int value)
{
    size_t done;
    assert_int_equal(dw_file_read(file, bytes, RANGE, offset, &done), 0);
    return bytes[0] == value && memcmp(bytes, bytes + 1, RANGE - 1) == 0;
}

static void zeros_are_made_where_they_were_asked_for(void **state)
{
    (void)state;
    if (geteuid() != 0 || dw_shell("test -w /sys/class/zram-control/hot_remove")->status != 0) {
        print_message("needs root and zram\n");
        skip();
    }
    const struct dw_shell *ran = dw_shell("cat /sys/class/zram-control/hot_add");
    if (ran->status != 0) {
        print_message("no zram device here\n");
        skip();
    }
    int number = atoi(ran->output);
    char path[64];
    snprintf(path, sizeof path, "/dev/zram%d", number);
    bool is_made = dw_shell("echo 16M > /sys/block/zram%d/disksize", number)->status == 0;
    struct dw_disk *disk = NULL;
    uint8_t *bytes = dw_alloc_io(RANGE, UNIT);
    if (is_made && dw_disk_device_open(path, DW_OPEN_WRITE, false, &disk) == 0) {
        struct dw_file *file;
        assert_int_equal(disk->ops->open(disk, DW_DEVICE_NAME, DW_OPEN_WRITE, &file), 0);
        for (int round = 0; round < 3; round++) { /* the first one proves, the others believe */
            fill(file, bytes, 0x5a);
            int result = disk->ops->zero(file, RANGE + UNIT, RANGE - 2 * UNIT);
            assert_true(result == 0 || result == -EOPNOTSUPP);
            assert_int_equal(disk->ops->zero(file, RANGE, RANGE), result);
            if (result == 0)
                assert_true(is_all(file, bytes, RANGE, 0));
        }
        memset(bytes, 0x77, RANGE);
        assert_int_equal(dw_file_write(file, bytes, RANGE, 0), 0);
        (void)disk->ops->zero(file, RANGE, RANGE);
        assert_true(is_all(file, bytes, 0, 0x77)); /* the neighbour */
        dw_file_close(file);
        disk->ops->close(disk);
    }
    dw_free_io(bytes);
    dw_shell("echo %d > /sys/class/zram-control/hot_remove", number);
    if (!disk) {
        print_message("no zram device here\n");
        skip();
    }
    assert_int_equal(dw_alloc_bytes(), 0);
}

static void a_loop_device_is_written_instead(void **state)
{
    (void)state;
    char directory[DW_TMPDIR_SIZE], path[64];
    dw_tmpdir_make(directory, "zero");
    const struct dw_shell *ran =
        dw_shell("truncate -s 4M %s/image && losetup -f --show %s/image", directory, directory);
    if (geteuid() != 0 || ran->status != 0) {
        dw_tmpdir_remove(directory);
        skip();
    }
    snprintf(path, sizeof path, "%.*s", (int)strcspn(ran->output, "\n"), ran->output);
    struct dw_disk *disk = NULL;
    struct dw_file *file;
    int opened = dw_disk_device_open(path, DW_OPEN_WRITE, false, &disk);
    int zeroed = 0;
    if (opened == 0 && disk->ops->open(disk, DW_DEVICE_NAME, DW_OPEN_WRITE, &file) == 0) {
        zeroed = disk->ops->zero(file, RANGE, RANGE);
        dw_file_close(file);
        disk->ops->close(disk);
    }
    dw_shell("losetup -d %s", path);
    dw_tmpdir_remove(directory);
    assert_int_equal(opened, 0);
    assert_int_equal(zeroed, -EOPNOTSUPP);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(zeros_are_made_where_they_were_asked_for),
        cmocka_unit_test(a_loop_device_is_written_instead),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
