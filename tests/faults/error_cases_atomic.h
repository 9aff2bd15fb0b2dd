/* error_cases_atomic.h - how each code of dwal/atomic_file.h is thrown. Included by test_error_codes.c only. */
#ifndef DW_TESTS_FAULTS_ERROR_CASES_ATOMIC_H
#define DW_TESTS_FAULTS_ERROR_CASES_ATOMIC_H

#include <dwal/atomic_file.h>
#include <errno.h>
#include <sys/resource.h>
#include <unistd.h>

#include "tests/lib/tmpdir.h"

static char atomic_directory[DW_TMPDIR_SIZE], atomic_path[DW_TMPDIR_SIZE + 16];

static void atomic_begin(void)
{
    dw_tmpdir_make(atomic_directory, "error-atomic");
    (void)snprintf(atomic_path, sizeof atomic_path, "%s/file", atomic_directory);
}

static struct told atomic_end(int result, struct told told)
{
    told.result = keep(result);
    dw_tmpdir_remove(atomic_directory);
    return told;
}

static struct told throw_DWAL_EATOMIC_NONE(void)
{
    dwal_atomic_reader *reader;
    atomic_begin();
    return atomic_end(dwal_atomic_open(atomic_path, 0, &reader, NULL),
                      (struct told){.system_code = ENOENT, .words = {"/file"}});
}

static struct told throw_DWAL_EATOMIC_LINK(void)
{
    dwal_atomic_writer *writer;
    atomic_begin();
    assert_int_equal(symlink("elsewhere", atomic_path), 0);
    return atomic_end(dwal_atomic_create(atomic_path, 0, 0, &writer), (struct told){.words = {"symbolic link"}});
}

static struct told throw_DWAL_EATOMIC_DAMAGED(void)
{
    dwal_atomic_reader *reader;
    atomic_begin();
    FILE *file = fopen(atomic_path, "w");
    assert_non_null(file);
    (void)fputs("short", file);
    assert_int_equal(fclose(file), 0);
    return atomic_end(dwal_atomic_open(atomic_path, 0, &reader, NULL), (struct told){.words = {"5 bytes", "24"}});
}

static struct told throw_DWAL_EATOMIC_ORDER(void)
{
    dwal_atomic_writer *writer;
    atomic_begin();
    assert_int_equal(dwal_atomic_create(atomic_path, 0, 0, &writer), 0);
    /* The file may not grow: the write fails, and the writer is good for nothing but being abandoned. */
    struct rlimit before, small = {.rlim_cur = 100};
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
    small.rlim_max = before.rlim_max;
    void (*handler)(int) = signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
    static const char bytes[200];
    assert_int_equal(dwal_atomic_write(writer, bytes, sizeof bytes), DWAL_ENOSPACE);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
    (void)signal(SIGXFSZ, handler);
    struct told told = {.words = {"earlier call for file failed"}};
    told.result = keep(dwal_atomic_commit(writer));
    assert_int_equal(dwal_atomic_abandon(writer), 0);
    dw_tmpdir_remove(atomic_directory);
    return told;
}

#endif
