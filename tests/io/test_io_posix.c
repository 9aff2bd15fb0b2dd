/* test_io_posix.c - what only the posix disk does: which places, files and links it refuses, and how it says so. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <time.h>
#include <unistd.h>

#include "alloc/alloc.h"
#include "io/io.h"

struct place {
    char path[256];
    struct dw_disk *disk;
};

static int make_place(void **state)
{
    struct place *place = calloc(1, sizeof *place);
    const char *parent = getenv("TMPDIR");
    snprintf(place->path, sizeof place->path, "%s/dwal-io-XXXXXX", parent ? parent : "/var/tmp");
    if (!mkdtemp(place->path) || dw_disk_posix_open(place->path, false, &place->disk) < 0)
        return -1;
    *state = place;
    return 0;
}

static int remove_file(void *context, const char *name, uint64_t size)
{
    (void)size;
    const struct place *place = context;
    return place->disk->ops->unlink(place->disk, name);
}

static int remove_place(void **state)
{
    struct place *place = *state;
    place->disk->ops->list(place->disk, remove_file, place);
    place->disk->ops->close(place->disk);
    int result = rmdir(place->path);
    free(place);
    return result;
}

static struct dw_file *create_file(struct dw_disk *disk, const char *name)
{
    struct dw_file *file = NULL;
    assert_int_equal(disk->ops->open(disk, name, DW_OPEN_WRITE | DW_OPEN_CREATE, &file), 0);
    assert_non_null(file);
    return file;
}

static void files_are_private_and_opened_for_direct_io(void **state)
{
    struct place *place = *state;
    struct dw_file *file = create_file(place->disk, "a");
    struct stat facts;
    char path[512];
    snprintf(path, sizeof path, "%s/a", place->path);
    assert_int_equal(stat(path, &facts), 0);
    assert_int_equal(facts.st_mode & 07777, 0600);
    assert_in_range(file->alignment, 512, 65536);
    unsigned char *block = dw_alloc_io(8192, 4096);
    memset(block, 7, 4096);
    assert_int_equal(dw_file_write_durable(file, block, 4096, 4096), 0);
    size_t done = 0;
    assert_int_equal(dw_file_read(file, block + 4096, 4096, 4096, &done), 0);
    assert_int_equal(done, 4096);
    assert_memory_equal(block, block + 4096, 4096);
    dw_free_io(block);
    dw_file_close(file);
}

static void a_touch_gives_the_time_of_now_and_nothing_else(void **state)
{
    const struct place *place = *state;
    struct dw_file *file = create_file(place->disk, "touched");
    char path[512];
    snprintf(path, sizeof path, "%s/touched", place->path);
    const struct timespec old[2] = {{.tv_sec = 1000}, {.tv_sec = 1000}};
    assert_int_equal(utimensat(AT_FDCWD, path, old, 0), 0);
    struct timespec now;
    assert_int_equal(clock_gettime(CLOCK_REALTIME_COARSE, &now), 0);
    assert_int_equal(place->disk->ops->touch(file), 0);
    struct stat facts;
    assert_int_equal(stat(path, &facts), 0);
    assert_true(facts.st_mtim.tv_sec >= now.tv_sec);
    assert_int_equal(facts.st_size, 0);
    dw_file_close(file);
}

static void a_symbolic_link_is_refused(void **state)
{
    struct place *place = *state;
    struct dw_file *file = create_file(place->disk, "target");
    dw_file_close(file);
    char link_path[512];
    snprintf(link_path, sizeof link_path, "%s/link", place->path);
    assert_int_equal(symlink("target", link_path), 0);
    assert_int_equal(place->disk->ops->open(place->disk, "link", DW_OPEN_READ, &file), -ELOOP);
    assert_null(file);
    assert_int_equal(unlink(link_path), 0);
}

static void a_file_with_two_names_is_refused(void **state)
{
    struct place *place = *state;
    struct dw_file *file = create_file(place->disk, "one");
    dw_file_close(file);
    char one[512], two[512];
    snprintf(one, sizeof one, "%s/one", place->path);
    snprintf(two, sizeof two, "%s/two", place->path);
    assert_int_equal(link(one, two), 0);
    assert_int_equal(place->disk->ops->open(place->disk, "one", DW_OPEN_WRITE, &file), -EMLINK);
    assert_null(file);
    assert_int_equal(place->disk->ops->open(place->disk, "one", DW_OPEN_READ, &file), 0); /* backups share volumes so */
    dw_file_close(file);
}

static void what_is_no_regular_file_is_refused_and_not_listed(void **state)
{
    struct place *place = *state;
    char path[512];
    struct dw_file *file = NULL;
    snprintf(path, sizeof path, "%s/pipe", place->path);
    assert_int_equal(mkfifo(path, 0600), 0);
    /* Would hang here if it waited for a writer. */
    assert_int_equal(place->disk->ops->open(place->disk, "pipe", DW_OPEN_READ, &file), -EINVAL);
    assert_int_equal(place->disk->ops->list(place->disk, remove_file, place), 0);
    assert_int_equal(unlink(path), 0);
    snprintf(path, sizeof path, "%s/folder", place->path);
    assert_int_equal(mkdir(path, 0700), 0);
    assert_true(place->disk->ops->open(place->disk, "folder", DW_OPEN_READ, &file) < 0);
    assert_int_equal(place->disk->ops->open(place->disk, "folder", DW_OPEN_WRITE, &file), -EISDIR);
    assert_int_equal(place->disk->ops->list(place->disk, remove_file, place), 0);
    assert_int_equal(rmdir(path), 0);
}

static void a_name_that_leaves_the_directory_is_refused(void **state)
{
    struct place *place = *state;
    static const char *const names[] = {"", ".", "..", "../a", "/etc/passwd", "a/b"};
    struct dw_file *file = NULL;
    for (size_t i = 0; i < DW_COUNT_OF(names); i++) {
        assert_int_equal(place->disk->ops->open(place->disk, names[i], DW_OPEN_READ, &file), -EINVAL);
        assert_int_equal(place->disk->ops->unlink(place->disk, names[i]), -EINVAL);
        assert_int_equal(place->disk->ops->rename(place->disk, names[i], "b"), -EINVAL);
        assert_int_equal(place->disk->ops->rename(place->disk, "b", names[i]), -EINVAL);
    }
}

static void the_directory_may_be_renamed_while_open(void **state)
{
    struct place *place = *state;
    char moved[512];
    snprintf(moved, sizeof moved, "%s-moved", place->path);
    assert_int_equal(rename(place->path, moved), 0);
    struct dw_file *file = create_file(place->disk, "a");
    dw_file_close(file);
    assert_int_equal(place->disk->ops->sync_names(place->disk), 0);
    char path[600];
    snprintf(path, sizeof path, "%s/a", moved);
    assert_int_equal(access(path, R_OK), 0);
    assert_int_equal(rename(moved, place->path), 0);
}

static void memory_file_systems_need_the_unsafe_flag(void **state)
{
    (void)state;
    struct statfs facts;
    if (statfs("/dev/shm", &facts) < 0 || facts.f_type != 0x01021994) {
        print_message("no tmpfs at /dev/shm\n");
        skip();
    }
    char path[] = "/dev/shm/dwal-io-XXXXXX";
    assert_non_null(mkdtemp(path));
    struct dw_disk *disk = NULL;
    assert_int_equal(dw_disk_posix_open(path, false, &disk), -EOPNOTSUPP);
    assert_null(disk);
    assert_int_equal(dw_disk_posix_open(path, true, &disk), 0);
    struct dw_file *file = create_file(disk, "a");
    unsigned char *block = dw_alloc_io(4096, 4096);
    assert_int_equal(dw_file_write_durable(file, block, 4096, 0), 0);
    assert_int_equal(dw_file_sync(file), 0);
    dw_free_io(block);
    dw_file_close(file);
    assert_int_equal(disk->ops->unlink(disk, "a"), 0);
    disk->ops->close(disk);
    assert_int_equal(rmdir(path), 0);
}

static void opening_a_place_that_is_no_directory_says_why(void **state)
{
    (void)state;
    struct dw_disk *disk = NULL;
    assert_int_equal(dw_disk_posix_open("/nonexistent/place", false, &disk), -ENOENT);
    assert_int_equal(dw_disk_posix_open("/etc/passwd", false, &disk), -ENOTDIR);
    assert_null(disk);
}

static void an_unknown_kind_of_queue_is_refused(void **state)
{
    struct place *place = *state;
    struct dw_queue *queue = NULL;
    struct dw_queue_options options = {.kind = "pigeon", .depth = 1};
    assert_int_equal(place->disk->ops->queue_create(place->disk, &options, &queue), -EINVAL);
    options = (struct dw_queue_options){.kind = "sync", .depth = 0};
    assert_int_equal(place->disk->ops->queue_create(place->disk, &options, &queue), -EINVAL);
    options.depth = 65;
    assert_int_equal(place->disk->ops->queue_create(place->disk, &options, &queue), -EINVAL);
    assert_null(queue);
}

#define IN_PLACE(test) cmocka_unit_test_setup_teardown(test, make_place, remove_place)

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_PLACE(files_are_private_and_opened_for_direct_io),
        IN_PLACE(a_touch_gives_the_time_of_now_and_nothing_else),
        IN_PLACE(a_symbolic_link_is_refused),
        IN_PLACE(a_file_with_two_names_is_refused),
        IN_PLACE(what_is_no_regular_file_is_refused_and_not_listed),
        IN_PLACE(a_name_that_leaves_the_directory_is_refused),
        IN_PLACE(the_directory_may_be_renamed_while_open),
        cmocka_unit_test(memory_file_systems_need_the_unsafe_flag),
        cmocka_unit_test(opening_a_place_that_is_no_directory_says_why),
        IN_PLACE(an_unknown_kind_of_queue_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
