/* test_atomic_file.c - files that are replaced as a whole: order of calls, damage, what is left behind, what is refused. */
#include <dirent.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>
#include <dwal/atomic_file.h>

#include "tests/lib/tmpdir.h"

static char directory[DW_TMPDIR_SIZE], path[DW_TMPDIR_SIZE + 32];

static int set_up(void **state)
{
    (void)state;
    dw_tmpdir_make(directory, "atomic");
    (void)snprintf(path, sizeof path, "%s/file", directory);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    dw_tmpdir_remove(directory);
    return 0;
}

static void replace(uint32_t magic, const void *bytes, size_t size)
{
    dwal_atomic_writer *writer;
    assert_int_equal(dwal_atomic_create(path, magic, 0, &writer), 0);
    assert_int_equal(dwal_atomic_write(writer, bytes, size), 0);
    assert_int_equal(dwal_atomic_commit(writer), 0);
}

static void expect_content(uint32_t magic, const void *bytes, size_t size)
{
    dwal_atomic_reader *reader;
    uint32_t found;
    assert_int_equal(dwal_atomic_open(path, 0, &reader, &found), 0);
    assert_int_equal(found, magic);
    assert_int_equal(dwal_atomic_size(reader), size);
    char *content = malloc(size + 1);
    size_t done, all = 0;
    do {
        assert_int_equal(dwal_atomic_read(reader, content + all, 1000 < size - all + 1 ? 1000 : size - all + 1, &done),
                         0);
        all += done;
    } while (done > 0);
    assert_int_equal(all, size);
    assert_memory_equal(content, bytes, size);
    free(content);
    dwal_atomic_close(reader);
}

/* Entries of the directory beside the file itself. */
static unsigned count_others(void)
{
    unsigned count = 0;
    DIR *open = opendir(directory);
    assert_non_null(open);
    for (struct dirent *entry; (entry = readdir(open)) != NULL;)
        count += entry->d_name[0] != '.' && strcmp(entry->d_name, "file") != 0;
    closedir(open);
    return count;
}

static void D23_a_file_is_replaced_as_a_whole_or_not_at_all(void **state)
{
    (void)state;
    static char large[300000];
    for (size_t i = 0; i < sizeof large; i++)
        large[i] = (char)(i * 7 + (i >> 9));
    replace(7, "old", 3);
    expect_content(7, "old", 3);
    dwal_atomic_writer *writer;
    assert_int_equal(dwal_atomic_create(path, 8, 0, &writer), 0);
    for (size_t at = 0; at < sizeof large; at += 1000)
        assert_int_equal(dwal_atomic_write(writer, large + at, 1000), 0);
    expect_content(7, "old", 3); /* until the very end */
    assert_int_equal(count_others(), 1);
    assert_int_equal(dwal_atomic_commit(writer), 0);
    expect_content(8, large, sizeof large);
    assert_int_equal(count_others(), 0);
    assert_int_equal(dwal_atomic_create(path, 0, 0, &writer), 0); /* a magic number of zero is allowed */
    assert_int_equal(dwal_atomic_abandon(writer), 0);
    expect_content(8, large, sizeof large);
    assert_int_equal(count_others(), 0);
    assert_int_equal(dwal_atomic_abandon(NULL), 0);
}

static void D24_no_byte_is_given_before_all_were_checked(void **state)
{
    (void)state;
    replace(3, NULL, 0);
    expect_content(3, "", 0);
    struct stat facts;
    assert_int_equal(stat(path, &facts), 0);
    assert_int_equal(facts.st_size, DWAL_ATOMIC_SIZE_MIN);
    replace(3, "content that matters", 20);
    assert_int_equal(stat(path, &facts), 0);
    /* Any bit of it: refused at open (the header's own marks) or at the first read, never given. */
    for (off_t at = 0; at < facts.st_size; at++) {
        char byte, flipped, content[32];
        int file = open(path, O_RDWR);
        assert_int_equal(pread(file, &byte, 1, at), 1);
        flipped = (char)(byte ^ 0x20);
        assert_int_equal(pwrite(file, &flipped, 1, at), 1);
        dwal_atomic_reader *reader;
        size_t done = 1;
        int result = dwal_atomic_open(path, 0, &reader, NULL);
        if (result == 0) {
            result = dwal_atomic_read(reader, content, sizeof content, &done);
            assert_int_equal(done, 0);
            assert_int_equal(dwal_atomic_read(reader, content, 1, &done), DWAL_EATOMIC_DAMAGED);
            dwal_atomic_close(reader);
        }
        assert_int_equal(result, DWAL_EATOMIC_DAMAGED);
        assert_int_equal(pwrite(file, &byte, 1, at), 1);
        close(file);
    }
    expect_content(3, "content that matters", 20);
    for (off_t size = 0; size < facts.st_size; size++) { /* cut off anywhere */
        dwal_atomic_reader *reader;
        char content[32];
        size_t done = 1;
        replace(3, "content that matters", 20);
        assert_int_equal(truncate(path, size), 0);
        int result = dwal_atomic_open(path, 0, &reader, NULL);
        if (result == 0) {
            result = dwal_atomic_read(reader, content, sizeof content, &done);
            dwal_atomic_close(reader);
        }
        assert_int_equal(result, DWAL_EATOMIC_DAMAGED);
    }
}

static void a_reader_keeps_the_version_that_it_opened(void **state)
{
    (void)state;
    replace(1, "first", 5);
    dwal_atomic_reader *reader;
    assert_int_equal(dwal_atomic_open(path, 0, &reader, NULL), 0);
    replace(2, "second", 6);
    char content[8];
    size_t done;
    assert_int_equal(dwal_atomic_read(reader, content, sizeof content, &done), 0);
    assert_int_equal(done, 5);
    assert_memory_equal(content, "first", 5);
    dwal_atomic_close(reader);
    expect_content(2, "second", 6);
}

static void mode_stays_and_a_new_file_is_private(void **state)
{
    (void)state;
    struct stat facts;
    replace(1, "a", 1);
    assert_int_equal(stat(path, &facts), 0);
    assert_int_equal(facts.st_mode & 07777, 0600);
    assert_int_equal(chmod(path, 0640), 0);
    replace(1, "b", 1);
    assert_int_equal(stat(path, &facts), 0);
    assert_int_equal(facts.st_mode & 07777, 0640);
}

static void a_symbolic_link_is_refused_unless_asked_for(void **state)
{
    (void)state;
    char link[DW_TMPDIR_SIZE + 32];
    (void)snprintf(link, sizeof link, "%s/link", directory);
    replace(1, "target", 6);
    assert_int_equal(symlink("file", link), 0);
    dwal_atomic_writer *writer;
    dwal_atomic_reader *reader;
    assert_int_equal(dwal_atomic_create(link, 0, 0, &writer), DWAL_EATOMIC_LINK);
    assert_int_equal(dwal_atomic_open(link, 0, &reader, NULL), DWAL_EATOMIC_LINK);
    assert_int_equal(dwal_atomic_create(link, 2, DWAL_ATOMIC_FOLLOW, &writer), 0);
    assert_int_equal(dwal_atomic_write(writer, "through it", 10), 0);
    assert_int_equal(dwal_atomic_commit(writer), 0);
    struct stat facts;
    assert_int_equal(lstat(link, &facts), 0);
    assert_true(S_ISLNK(facts.st_mode));
    expect_content(2, "through it", 10);
    assert_int_equal(dwal_atomic_open(link, DWAL_ATOMIC_FOLLOW, &reader, NULL), 0);
    dwal_atomic_close(reader);
}

static void what_a_killed_writer_left_goes_and_what_a_living_one_holds_stays(void **state)
{
    (void)state;
    replace(1, "old", 3);
    pid_t child = fork();
    if (child == 0) {
        dwal_atomic_writer *writer;
        if (dwal_atomic_create(path, 9, 0, &writer) != 0 || dwal_atomic_write(writer, "half", 4) != 0)
            _exit(1);
        (void)raise(SIGKILL);
    }
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFSIGNALED(status));
    assert_int_equal(count_others(), 1);
    expect_content(1, "old", 3);
    char stranger[DW_TMPDIR_SIZE + 64];
    (void)snprintf(stranger, sizeof stranger, "%s/file.0123456789abcdeg.dwal", directory); /* one letter is no digit */
    assert_int_equal(close(open(stranger, O_CREAT | O_WRONLY, 0600)), 0);
    dwal_atomic_writer *first, *second;
    assert_int_equal(dwal_atomic_create(path, 2, 0, &first), 0); /* removes the left-over */
    assert_int_equal(count_others(), 2);
    assert_int_equal(dwal_atomic_create(path, 3, 0, &second), 0); /* and leaves the living one's alone */
    assert_int_equal(count_others(), 3);
    assert_int_equal(dwal_atomic_write(first, "first", 5), 0);
    assert_int_equal(dwal_atomic_commit(first), 0);
    assert_int_equal(dwal_atomic_commit(second), 0);
    expect_content(3, "", 0); /* the last rename stands */
    assert_int_equal(count_others(), 1);
}

static void wrong_paths_are_refused_with_a_reason(void **state)
{
    (void)state;
    dwal_atomic_writer *writer;
    dwal_atomic_reader *reader;
    char other[DW_TMPDIR_SIZE + 400], name[300];
    assert_int_equal(dwal_atomic_create("", 0, 0, &writer), DWAL_EARGUMENT);
    assert_int_equal(dwal_atomic_create(NULL, 0, 0, &writer), DWAL_EARGUMENT);
    assert_int_equal(dwal_atomic_create(path, 0, 64, &writer), DWAL_EARGUMENT);
    (void)snprintf(other, sizeof other, "%s/", directory);
    assert_int_equal(dwal_atomic_create(other, 0, 0, &writer), DWAL_EARGUMENT);
    assert_int_equal(dwal_atomic_create(directory, 0, 0, &writer), DWAL_EARGUMENT); /* no regular file */
    assert_int_equal(dwal_atomic_open(directory, 0, &reader, NULL), DWAL_EARGUMENT);
    (void)snprintf(other, sizeof other, "%s/none/file", directory);
    assert_int_equal(dwal_atomic_create(other, 0, 0, &writer), DWAL_EATOMIC_NONE);
    assert_non_null(strstr(dwal_last_error()->text, "none/file"));
    memset(name, 'n', sizeof name);
    name[250] = '\0'; /* a name, but with no room for a temporary one */
    (void)snprintf(other, sizeof other, "%s/%s", directory, name);
    assert_int_equal(dwal_atomic_create(other, 0, 0, &writer), DWAL_EARGUMENT);
    assert_null(writer);
    assert_int_equal(count_others(), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(D23_a_file_is_replaced_as_a_whole_or_not_at_all, set_up, tear_down),
        cmocka_unit_test_setup_teardown(D24_no_byte_is_given_before_all_were_checked, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_reader_keeps_the_version_that_it_opened, set_up, tear_down),
        cmocka_unit_test_setup_teardown(mode_stays_and_a_new_file_is_private, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_symbolic_link_is_refused_unless_asked_for, set_up, tear_down),
        cmocka_unit_test_setup_teardown(what_a_killed_writer_left_goes_and_what_a_living_one_holds_stays, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(wrong_paths_are_refused_with_a_reason, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
