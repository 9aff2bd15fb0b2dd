/* test_store_pin.c - readers and writers beside one another, in one process and in two: pins, locks, open files. */
#include <dirent.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/lib/store_kit.h"
#include "tests/lib/tmpdir.h"

static char path[DW_TMPDIR_SIZE];
static struct dw_disk *disk;
static struct dw_kit kit, reader;

static int set_up(void **state)
{
    (void)state;
    dw_tmpdir_make(path, "store-pin");
    assert_int_equal(dw_disk_posix_open(path, false, &disk), 0);
    dw_kit_init(&kit, disk, 0);
    dw_kit_init(&reader, disk, 0);
    reader.options.is_read_only = true;
    assert_int_equal(dw_kit_create(&kit), 0);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    dw_kit_abandon(&reader);
    dw_kit_abandon(&kit);
    disk->ops->close(disk);
    dw_tmpdir_remove(path);
    return 0;
}

static void write_volumes(uint32_t count)
{
    assert_int_equal(dw_kit_start(&kit), 0);
    for (uint32_t i = 0; i < count; i++)
        assert_int_equal(dw_kit_roll(&kit), 0);
}

static uint64_t end_of(uint32_t number)
{
    return dw_end_lsn_of_volume(&kit.create.geometry, number);
}

static bool has_file(const char *name)
{
    char full[DW_TMPDIR_SIZE + 64];
    snprintf(full, sizeof full, "%s/%s", path, name);
    return access(full, F_OK) == 0;
}

static int count_descriptors(void)
{
    int count = 0;
    DIR *directory = opendir("/proc/self/fd");
    assert_non_null(directory);
    while (readdir(directory))
        count++;
    closedir(directory);
    return count;
}

static void a_pinned_volume_is_not_retired_before_the_last_unpin(void **state)
{
    (void)state;
    write_volumes(2);
    struct dw_volume *first, *second;
    assert_int_equal(dw_store_pin(kit.store, 0, &first), 0);
    assert_int_equal(dw_store_pin(kit.store, 0, &second), 0);
    assert_ptr_equal(first, second);
    assert_non_null(first->file);
    assert_int_equal(dw_store_trim(kit.store, end_of(1)), 0);
    dw_kit_settle_down(&kit);
    assert_true(has_file("0000000000.vol"));
    assert_false(has_file("0000000001.vol"));
    uint64_t end; /* where it ends is known though its successor is gone */
    assert_int_equal(dw_store_successor(kit.store, 0, &end), DW_VOLUME_NUMBER_NONE);
    assert_int_equal(end, end_of(0));
    dw_store_unpin(kit.store, first);
    dw_kit_settle_down(&kit);
    assert_true(has_file("0000000000.vol"));
    dw_store_unpin(kit.store, second);
    dw_kit_settle_down(&kit);
    assert_false(has_file("0000000000.vol"));
    assert_int_equal(dw_store_pin(kit.store, 0, &first), DWAL_ETRIMMED);
    assert_int_equal(kit.failure_calls, 0);
}

static void the_cut_of_a_pinned_volume_outlives_its_successor(void **state)
{
    (void)state;
    write_volumes(0);
    assert_int_equal(dw_kit_fill(&kit, 0, 3, 3), 0);
    dw_kit_abandon(&kit);
    assert_int_equal(dw_kit_load(&kit), 0);
    uint64_t cut = dw_lsn_of_block(&kit.create.geometry, 2), end;
    assert_int_equal(dw_kit_cut(&kit, 0, cut, 1, NULL, 0), 0);
    assert_int_equal(dw_kit_roll(&kit), 0);
    struct dw_volume *volume;
    assert_int_equal(dw_store_pin(kit.store, 0, &volume), 0);
    assert_int_equal(dw_store_trim(kit.store, end_of(1)), 0);
    dw_kit_settle_down(&kit);
    assert_false(has_file("0000000001.vol"));
    assert_int_equal(dw_store_successor(kit.store, 0, &end), DW_VOLUME_NUMBER_NONE);
    assert_int_equal(end, cut);
    dw_store_unpin(kit.store, volume);
    dw_kit_settle_down(&kit);
    assert_false(has_file("0000000000.vol"));
}

static void head_and_next_can_be_pinned_while_they_are_written(void **state)
{
    (void)state;
    write_volumes(1);
    struct dw_volume *volume;
    assert_int_equal(dw_store_pin(kit.store, 1, &volume), 0);
    assert_ptr_equal(volume, dw_store_head(kit.store));
    assert_int_equal(dw_kit_roll(&kit), 0); /* it is left behind and gets its TOC while pinned */
    assert_true(volume->is_sealed);
    assert_non_null(volume->file);
    assert_int_equal(dw_store_trim(kit.store, end_of(1)), 0);
    dw_kit_settle_down(&kit);
    assert_true(has_file("0000000001.vol"));
    dw_store_unpin(kit.store, volume);
    dw_kit_settle_down(&kit);
    assert_false(has_file("0000000001.vol"));
}

static void few_files_stay_open_however_many_are_read(void **state)
{
    (void)state;
    write_volumes(40);
    int before = count_descriptors();
    struct dw_volume *volume;
    for (int round = 0; round < 2; round++) {
        for (uint32_t number = 0; number < 40; number++) {
            assert_int_equal(dw_store_pin(kit.store, number, &volume), 0);
            dw_store_unpin(kit.store, volume);
        }
    }
    assert_true(count_descriptors() <= before + 16);
    assert_non_null(dw_store_find(kit.store, 39)->file);
    assert_null(dw_store_find(kit.store, 0)->file);
    /* Pinned ones are open, all of them. */
    for (uint32_t number = 0; number < 40; number++)
        assert_int_equal(dw_store_pin(kit.store, number, &volume), 0);
    for (uint32_t number = 0; number < 40; number++)
        assert_non_null(dw_store_find(kit.store, number)->file);
    for (uint32_t number = 0; number < 40; number++)
        dw_store_unpin(kit.store, dw_store_find(kit.store, number));
    assert_true(count_descriptors() <= before + 17);
    assert_int_equal(dw_store_trim(kit.store, end_of(39)), 0);
    dw_kit_settle_down(&kit);
    assert_true(count_descriptors() <= before);
}

static void a_second_writer_is_refused_after_a_moment(void **state)
{
    (void)state;
    write_volumes(1);
    struct dw_kit second;
    dw_kit_init(&second, disk, 0);
    struct timespec from, to;
    clock_gettime(CLOCK_MONOTONIC, &from);
    assert_int_equal(dw_kit_load(&second), DWAL_EBUSY);
    clock_gettime(CLOCK_MONOTONIC, &to);
    int64_t ms = (to.tv_sec - from.tv_sec) * 1000 + (to.tv_nsec - from.tv_nsec) / 1000000;
    assert_true(ms >= 200 && ms < 5000);
    assert_int_equal(dw_kit_roll(&kit), 0);
}

static void readers_come_and_go_beside_a_writer(void **state)
{
    (void)state;
    write_volumes(2);
    assert_int_equal(dw_kit_load(&reader), 0);
    assert_true(dw_store_has_writer(reader.store));
    assert_int_equal(dw_kit_roll(&kit), 0);
    dw_kit_abandon(&kit);
    assert_false(dw_store_has_writer(reader.store));
    assert_int_equal(dw_kit_load(&kit), 0); /* and a reader does not keep a writer out */
    assert_int_equal(dw_kit_recover(&kit, true), 0);
}

static void a_reader_elsewhere_keeps_a_volume_and_its_end_frees_it(void **state)
{
    (void)state;
    write_volumes(2);
    assert_int_equal(dw_kit_load(&reader),
                     0); /* its own open files: the locks see another owner, as in another process */
    struct dw_volume *volume;
    assert_int_equal(dw_store_pin(reader.store, 0, &volume), 0);
    assert_int_equal(dw_store_trim(kit.store, end_of(1)), 0);
    dw_kit_settle_down(&kit);
    assert_true(has_file("0000000000.vol"));
    assert_false(has_file("0000000001.vol")); /* one that is pinned does not hold up the others */
    dw_store_unpin(reader.store, volume);
    uint64_t wait_ns;
    assert_int_equal(dw_store_step(kit.store, &wait_ns), DW_STEP_IDLE);
    assert_true(wait_ns > 0 && wait_ns <= 100000000);
    assert_true(has_file("0000000000.vol"));
    kit.now_ns += 100000000;
    dw_kit_settle_down(&kit);
    assert_false(has_file("0000000000.vol"));
    assert_int_equal(dw_store_pin(reader.store, 1, &volume), DWAL_ETRIMMED);
    assert_int_equal(kit.failure_calls, 0);
}

static void a_volume_claimed_again_is_not_taken_for_the_old_one(void **state)
{
    (void)state;
    kit.options.keep_retired = true;
    write_volumes(2);
    assert_int_equal(dw_kit_load(&reader), 0);
    struct dw_volume *volume;
    assert_int_equal(dw_store_pin(reader.store, 0, &volume), 0);
    dw_store_unpin(reader.store, volume); /* its file stays open in the reader's cache */
    assert_non_null(volume->file);
    assert_int_equal(dw_store_trim(kit.store, end_of(0)), 0);
    dw_kit_settle_down(&kit); /* a blank now */
    assert_int_equal(dw_kit_counts(&kit).recycled, 1);
    for (int i = 0; i < 4; i++)
        assert_int_equal(dw_kit_roll(&kit), 0); /* the recycled one has been claimed */
    assert_int_equal(dw_store_pin(reader.store, 0, &volume), DWAL_ETRIMMED);
}

/* The header of a volume, as a reader brings it who reads on into that volume. */
static const uint8_t *read_header(const struct dw_volume *volume)
{
    static _Alignas(4096) uint8_t blocks[2 * 4096];
    size_t done;
    assert_int_equal(dw_file_read(volume->file, blocks, sizeof blocks, volume->base, &done), 0);
    assert_int_equal(done, sizeof blocks);
    return blocks;
}

static void a_volume_pinned_unread_is_kept_and_its_own_header_proves_it(void **state)
{
    (void)state;
    write_volumes(2);
    assert_int_equal(dw_kit_load(&reader), 0);
    uint64_t before = dw_store_read_count(reader.store);
    struct dw_volume *volume, *again;
    assert_int_equal(dw_store_pin_unread(reader.store, 0, &volume), 0);
    assert_int_equal(dw_store_trim(kit.store, end_of(0)), 0);
    dw_kit_settle_down(&kit);
    assert_true(has_file("0000000000.vol"));
    assert_true(dw_store_prove(reader.store, volume, read_header(volume)));
    assert_int_equal(dw_store_read_count(reader.store), before); /* by the store none */
    assert_int_equal(dw_store_pin(reader.store, 0, &again), 0);  /* proven for all */
    assert_int_equal(dw_store_read_count(reader.store), before);
    dw_store_unpin(reader.store, again);
    dw_store_unpin(reader.store, volume);
    assert_int_equal(dw_store_pin(reader.store, 0, &again), 0); /* and only until the last of them let go */
    assert_int_equal(dw_store_read_count(reader.store), before + 1);
    dw_store_unpin(reader.store, again);
}

static void a_volume_claimed_again_and_pinned_unread_is_found_out(void **state)
{
    (void)state;
    kit.options.keep_retired = true;
    write_volumes(2);
    assert_int_equal(dw_kit_load(&reader), 0);
    struct dw_volume *volume, *other;
    assert_int_equal(dw_store_pin(reader.store, 0, &volume), 0);
    dw_store_unpin(reader.store, volume); /* its file stays open in the reader's cache */
    assert_int_equal(dw_store_trim(kit.store, end_of(0)), 0);
    dw_kit_settle_down(&kit);
    for (int i = 0; i < 4; i++)
        assert_int_equal(dw_kit_roll(&kit), 0);
    assert_int_equal(dw_store_pin_unread(reader.store, 0, &volume), 0);
    /* Who pins it meanwhile does not take the other's pin for a proof, and takes nothing from it. */
    assert_int_equal(dw_store_pin(reader.store, 0, &other), DWAL_ETRIMMED);
    assert_false(dw_store_prove(reader.store, volume, read_header(volume)));
    assert_int_equal(dw_store_pin(reader.store, 0, &other), DWAL_ETRIMMED);
    dw_store_unpin(reader.store, volume);
    assert_int_equal(dw_store_pin(reader.store, 0, &other), DWAL_ETRIMMED);
    /* A writer's own volumes need no proof. */
    assert_int_equal(dw_store_pin_unread(kit.store, 1, &volume), 0);
    static uint8_t nothing[2 * 4096];
    assert_true(dw_store_prove(kit.store, volume, nothing));
    dw_store_unpin(kit.store, volume);
}

static void a_blank_that_a_late_reader_still_reads_is_not_claimed(void **state)
{
    (void)state;
    kit.options.keep_retired = true;
    kit.create.blanks = 1;
    dw_kit_abandon(&kit);
    write_volumes(2);
    assert_int_equal(dw_kit_load(&reader), 0);
    struct dw_volume *volume;
    assert_int_equal(dw_store_pin(reader.store, 0, &volume), 0);
    dw_store_unpin(reader.store, volume);
    assert_int_equal(dw_store_trim(kit.store, end_of(0)), 0);
    dw_kit_settle_down(&kit);
    assert_int_equal(dw_kit_counts(&kit).recycled, 1);
    assert_int_equal(dw_store_pin(reader.store, 0, &volume), 0); /* still the old content, under a blank's name */
    uint64_t block = dw_first_block_of_volume(&kit.create.geometry, 0);
    for (int i = 0; i < 5; i++)
        assert_int_equal(dw_kit_roll(&kit), 0); /* other blanks are claimed meanwhile */
    static _Alignas(4096) uint8_t bytes[4096];
    size_t done;
    struct dw_block_info info;
    const struct dw_superblock_info *superblock = dw_store_superblock(reader.store);
    assert_int_equal(
        dw_file_read(volume->file, bytes, sizeof bytes, dw_place_of_block(&superblock->geometry, block), &done), 0);
    assert_int_equal(dw_block_header_decode(&superblock->geometry, &superblock->identity, bytes, block, &info),
                     DW_DECODED_OK);
    dw_store_unpin(reader.store, volume);
    assert_int_equal(kit.failure_calls, 0);
}

/* ---- two processes ---- */

struct child {
    pid_t pid;
    int to_child[2], from_child[2];
};

static void tell(int descriptor)
{
    char byte = 'x';
    if (write(descriptor, &byte, 1) != 1)
        abort();
}

static void hear(int descriptor)
{
    char byte;
    if (read(descriptor, &byte, 1) != 1)
        _exit(3);
}

static void start_child(struct child *child, void (*fn)(struct child *child))
{
    assert_int_equal(pipe(child->to_child), 0);
    assert_int_equal(pipe(child->from_child), 0);
    child->pid = fork();
    assert_true(child->pid >= 0);
    if (child->pid == 0) {
        close(child->to_child[1]);
        close(child->from_child[0]);
        fn(child);
        _exit(0);
    }
    close(child->to_child[0]);
    close(child->from_child[1]);
    hear(child->from_child[0]);
}

static void end_child(struct child *child)
{
    int status;
    close(child->to_child[1]);
    close(child->from_child[0]);
    assert_int_equal(waitpid(child->pid, &status, 0), child->pid);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
}

static void child_reads(struct child *child)
{
    struct dw_disk *own;
    struct dw_volume *volume;
    if (dw_disk_posix_open(path, false, &own) != 0)
        _exit(1);
    dw_kit_init(&reader, own, 0);
    reader.options.is_read_only = true;
    if (dw_kit_load(&reader) != 0 || dw_store_pin(reader.store, 0, &volume) != 0)
        _exit(2);
    tell(child->from_child[1]);
    hear(child->to_child[0]);
    dw_store_unpin(reader.store, volume);
    tell(child->from_child[1]);
    char byte;
    (void)!read(child->to_child[0], &byte, 1); /* until the parent has looked */
}

static void a_reader_in_another_process_keeps_a_volume(void **state)
{
    (void)state;
    write_volumes(2);
    struct child child;
    dw_kit_abandon(&kit); /* no handle goes through fork */
    start_child(&child, child_reads);
    assert_int_equal(dw_kit_load(&kit), 0);
    assert_int_equal(dw_kit_recover(&kit, false), 0);
    assert_int_equal(dw_store_trim(kit.store, end_of(1)), 0);
    dw_kit_settle_down(&kit);
    assert_true(has_file("0000000000.vol"));
    assert_false(has_file("0000000001.vol"));
    tell(child.to_child[1]);
    hear(child.from_child[0]);
    kit.now_ns += 100000000;
    dw_kit_settle_down(&kit);
    assert_false(has_file("0000000000.vol"));
    end_child(&child);
}

static void child_writes(struct child *child)
{
    struct dw_disk *own;
    if (dw_disk_posix_open(path, false, &own) != 0)
        _exit(1);
    dw_kit_init(&kit, own, 0);
    if (dw_kit_load(&kit) != 0 || dw_kit_recover(&kit, true) != 0 || dw_kit_roll(&kit) != 0)
        _exit(2);
    tell(child->from_child[1]);
    hear(child->to_child[0]);
    struct timespec pause = {.tv_nsec = 50000000};
    nanosleep(&pause, NULL); /* by now the parent has loaded, and waits */
    if (dw_store_trim(kit.store, 77) != 0)
        _exit(4);
    _exit(0); /* as if killed */
}

static void a_writer_that_ends_within_the_wait_lets_the_next_one_in(void **state)
{
    (void)state;
    struct child child;
    start_child(&child, child_writes);
    assert_int_equal(dw_kit_load(&reader), 0);
    assert_true(dw_store_has_writer(reader.store));
    tell(child.to_child[1]);
    int result = DWAL_EBUSY;
    for (int i = 0; i < 20 && result == DWAL_EBUSY; i++) /* a machine under load may take longer than the wait */
        result = dw_kit_load(&kit);
    assert_int_equal(result, 0);
    assert_int_equal(dw_store_first(kit.store), 77); /* what was loaded before the wait was loaded again */
    const struct dw_superblock_info *superblock = dw_store_superblock(kit.store);
    assert_int_equal(superblock->epoch, 1);
    assert_non_null(dw_store_find(kit.store, superblock->claimed));
    assert_int_equal(dw_kit_recover(&kit, true), 0);
    end_child(&child);
}

static void child_holds_a_volume(struct child *child)
{
    /* A killed writer's asynchronous writes: its superblock is free, its volume is not. */
    struct dw_disk *own;
    struct dw_file *file;
    if (dw_disk_posix_open(path, false, &own) != 0 ||
        own->ops->open(own, "0000000000.vol", DW_OPEN_WRITE, &file) != 0 ||
        own->ops->lock(file, DW_LOCK_WRITER, DW_LOCK_EXCLUSIVE) != 0)
        _exit(1);
    tell(child->from_child[1]);
    hear(child->to_child[0]);
}

static void writes_of_a_killed_writer_that_are_not_finished_keep_the_log_busy(void **state)
{
    (void)state;
    struct child child;
    start_child(&child, child_holds_a_volume);
    assert_int_equal(dw_kit_load(&kit), DWAL_EBUSY);
    tell(child.to_child[1]);
    end_child(&child);
    assert_int_equal(dw_kit_load(&kit), 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_pinned_volume_is_not_retired_before_the_last_unpin),
        TEST(the_cut_of_a_pinned_volume_outlives_its_successor),
        TEST(head_and_next_can_be_pinned_while_they_are_written),
        TEST(few_files_stay_open_however_many_are_read),
        TEST(a_second_writer_is_refused_after_a_moment),
        TEST(readers_come_and_go_beside_a_writer),
        TEST(a_reader_elsewhere_keeps_a_volume_and_its_end_frees_it),
        TEST(a_volume_claimed_again_is_not_taken_for_the_old_one),
        TEST(a_volume_pinned_unread_is_kept_and_its_own_header_proves_it),
        TEST(a_volume_claimed_again_and_pinned_unread_is_found_out),
        TEST(a_blank_that_a_late_reader_still_reads_is_not_claimed),
        TEST(a_reader_in_another_process_keeps_a_volume),
        TEST(a_writer_that_ends_within_the_wait_lets_the_next_one_in),
        TEST(writes_of_a_killed_writer_that_are_not_finished_keep_the_log_busy),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
