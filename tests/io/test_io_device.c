/* test_io_device.c - a device as a disk with one file: what it refuses, its locks, its size; and on loop devices the exclusive
 * open, how a second process of ours gets in beside the first, and how it takes over. Needs root for the latter, else skips. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "alloc/alloc.h"
#include "io/io.h"
#include "tests/lib/shell.h"
#include "tests/lib/tmpdir.h"

enum { UNIT = 4096, SIZE = 1 << 20 };

static char directory[DW_TMPDIR_SIZE], image[DW_TMPDIR_SIZE + 8], loop[64];

static int set_up(void **state)
{
    (void)state;
    loop[0] = '\0';
    dw_tmpdir_make(directory, "io-device");
    snprintf(image, sizeof image, "%s/image", directory);
    dw_shell_good("truncate -s %d %s", SIZE, image);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    if (loop[0])
        dw_shell("losetup -d %s", loop);
    dw_tmpdir_remove(directory);
    return dw_alloc_bytes() == 0 ? 0 : -1;
}

static struct dw_disk *open_disk(const char *path, unsigned flags, struct dw_file **file)
{
    struct dw_disk *disk;
    assert_int_equal(dw_disk_device_open(path, flags, true, &disk), 0);
    assert_int_equal(disk->ops->open(disk, DW_DEVICE_NAME, flags, file), 0);
    return disk;
}

static void close_disk(struct dw_disk *disk, struct dw_file *file)
{
    dw_file_close(file);
    disk->ops->close(disk);
}

static void only_block_devices_are_devices(void **state)
{
    (void)state;
    struct dw_disk *disk;
    assert_int_equal(dw_disk_device_open(image, DW_OPEN_WRITE, false, &disk), -ENOTBLK);
    assert_int_equal(dw_disk_device_open("/dev/null", DW_OPEN_WRITE, true, &disk), -ENOTBLK);
    assert_int_equal(dw_disk_device_open(directory, DW_OPEN_READ, true, &disk), -ENOTBLK);
    assert_int_equal(dw_disk_device_open("/dev/nothing-of-the-kind", DW_OPEN_READ, true, &disk), -ENOENT);
}

static int count_one(void *context, const char *name, uint64_t size)
{
    assert_string_equal(name, DW_DEVICE_NAME);
    assert_int_equal(size, SIZE);
    ++*(int *)context;
    return 0;
}

static void a_device_has_one_file_of_a_fixed_size(void **state)
{
    (void)state;
    struct dw_file *file, *other;
    struct dw_disk *disk = open_disk(image, DW_OPEN_WRITE, &file);
    uint64_t size;
    int files = 0;
    assert_true(disk->is_device && !disk->is_shared);
    assert_int_equal(disk->ops->list(disk, count_one, &files), 0);
    assert_int_equal(files, 1);
    assert_int_equal(disk->ops->size(file, &size), 0);
    assert_int_equal(size, SIZE);
    assert_int_equal(disk->ops->open(disk, "other", DW_OPEN_READ, &other), -ENOENT);
    assert_int_equal(disk->ops->open(disk, DW_DEVICE_NAME, DW_OPEN_WRITE | DW_OPEN_CREATE, &other), -EEXIST);
    assert_int_equal(disk->ops->rename(disk, DW_DEVICE_NAME, "b"), -EOPNOTSUPP);
    assert_int_equal(disk->ops->unlink(disk, DW_DEVICE_NAME), -EOPNOTSUPP);
    assert_int_equal(disk->ops->allocate(file, 2 * SIZE), -EOPNOTSUPP);
    close_disk(disk, file);
    disk = open_disk(image, DW_OPEN_READ, &file);
    assert_int_equal(disk->ops->open(disk, DW_DEVICE_NAME, DW_OPEN_WRITE, &other), -EACCES);
    close_disk(disk, file);
}

static void numbered_locks_keep_others_out_and_end_with_the_file(void **state)
{
    (void)state;
    struct dw_file *one, *two;
    struct dw_disk *first = open_disk(image, DW_OPEN_WRITE, &one), *second = open_disk(image, DW_OPEN_WRITE, &two);
    enum dw_lock_kind a = (enum dw_lock_kind)(DW_LOCK_FIRST + 5), b = (enum dw_lock_kind)(DW_LOCK_FIRST + 6);
    bool is_held;
    assert_int_equal(first->ops->lock(one, a, DW_LOCK_EXCLUSIVE), 0);
    assert_int_equal(second->ops->lock(two, a, DW_LOCK_SHARED), -EAGAIN);
    assert_int_equal(second->ops->lock(two, b, DW_LOCK_SHARED), 0);
    assert_int_equal(first->ops->lock(one, b, DW_LOCK_SHARED), 0);
    assert_int_equal(first->ops->lock_test(one, b, &is_held), 0);
    assert_true(is_held);
    assert_true(second->is_shared); /* a regular file knows no exclusive open: the lock says it */
    dw_file_close(one);
    assert_int_equal(second->ops->lock(two, a, DW_LOCK_EXCLUSIVE), 0);
    assert_int_equal(second->ops->lock(two, b, DW_LOCK_EXCLUSIVE), 0);
    first->ops->close(first);
    close_disk(second, two);
}

static void attach(const char *how)
{
    if (geteuid() != 0 || !dw_shell_has("losetup")) {
        print_message("needs root and losetup\n");
        skip();
    }
    const struct dw_shell *ran = dw_shell("losetup -f --show %s %s", how, image);
    if (ran->status != 0) {
        print_message("no loop device here\n");
        skip();
    }
    snprintf(loop, sizeof loop, "%.*s", (int)strcspn(ran->output, "\n"), ran->output);
}

static bool can_stranger_claim(void)
{
    int descriptor = open(loop, O_RDWR | O_EXCL | O_CLOEXEC);
    if (descriptor >= 0)
        close(descriptor);
    return descriptor >= 0;
}

static void one_of_us_has_the_exclusive_open_and_the_next_takes_over(void **state)
{
    (void)state;
    attach("");
    struct dw_file *one, *two, *three;
    struct dw_disk *first = open_disk(loop, DW_OPEN_WRITE, &one), *second = open_disk(loop, DW_OPEN_WRITE, &two);
    struct dw_disk *third = open_disk(loop, DW_OPEN_WRITE, &three);
    assert_true(!first->is_shared && second->is_shared && third->is_shared);
    assert_false(can_stranger_claim());
    assert_int_equal(second->ops->sync_names(second), 0);
    assert_true(second->is_shared); /* the first one is there still */
    close_disk(first, one);
    assert_true(can_stranger_claim());
    assert_int_equal(second->ops->sync_names(second), 0);
    assert_false(second->is_shared);
    assert_int_equal(third->ops->sync_names(third), 0);
    assert_true(third->is_shared);
    assert_false(can_stranger_claim());
    struct dw_file *four;
    first = open_disk(loop, DW_OPEN_WRITE, &four); /* and newcomers see whose it is */
    assert_true(first->is_shared);
    close_disk(first, four);
    close_disk(second, two);
    close_disk(third, three);
    assert_true(can_stranger_claim());
}

static void a_stranger_keeps_us_out(void **state)
{
    (void)state;
    attach("");
    struct dw_disk *disk;
    struct dw_file *file;
    int descriptor = open(loop, O_RDWR | O_EXCL | O_CLOEXEC);
    assert_true(descriptor >= 0);
    assert_int_equal(dw_disk_device_open(loop, DW_OPEN_WRITE, false, &disk), -EBUSY);
    disk = open_disk(loop, DW_OPEN_READ, &file); /* reading harms nobody */
    close_disk(disk, file);
    close(descriptor);
}

static void links_are_followed_once_and_sectors_are_known(void **state)
{
    (void)state;
    attach("--sector-size 4096");
    char link[DW_TMPDIR_SIZE + 16];
    snprintf(link, sizeof link, "%s/by-id", directory);
    assert_int_equal(symlink(loop, link), 0);
    struct dw_file *file;
    struct dw_disk *disk = open_disk(link, DW_OPEN_WRITE, &file);
    assert_int_equal(file->alignment, 4096);
    assert_true(disk->physical_block >= 4096);
    uint8_t *bytes = dw_alloc_io(2 * UNIT, UNIT);
    size_t done;
    memset(bytes, 0x5a, UNIT);
    assert_int_equal(dw_file_write_durable(file, bytes, UNIT, SIZE - UNIT), 0);
    assert_int_equal(dw_file_read(file, bytes + UNIT, UNIT, SIZE - UNIT, &done), 0);
    assert_int_equal(done, UNIT);
    assert_memory_equal(bytes, bytes + UNIT, UNIT);
    assert_int_equal(dw_file_write(file, bytes, UNIT, SIZE), -ENOSPC); /* behind the end */
    dw_free_io(bytes);
    close_disk(disk, file);
}

static void a_read_only_device_is_read_only(void **state)
{
    (void)state;
    attach("--read-only");
    struct dw_disk *disk;
    struct dw_file *file;
    int result = dw_disk_device_open(loop, DW_OPEN_WRITE, false, &disk);
    assert_true(result == -EROFS || result == -EACCES);
    disk = open_disk(loop, DW_OPEN_READ, &file);
    close_disk(disk, file);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(only_block_devices_are_devices),
        TEST(a_device_has_one_file_of_a_fixed_size),
        TEST(numbered_locks_keep_others_out_and_end_with_the_file),
        TEST(one_of_us_has_the_exclusive_open_and_the_next_takes_over),
        TEST(a_stranger_keeps_us_out),
        TEST(links_are_followed_once_and_sectors_are_known),
        TEST(a_read_only_device_is_read_only),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
