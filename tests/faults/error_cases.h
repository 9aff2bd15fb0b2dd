/* error_cases.h - what the cases of test_error_codes.c share, and those of them that damage files.
 *
 * Owns: the error of a case that has to clean up behind the failing call. Failure: fails the test. */
#ifndef DW_TESTS_FAULTS_ERROR_CASES_H
#define DW_TESTS_FAULTS_ERROR_CASES_H

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "core/format/codec.h"
#include "core/log/log.h"
#include "tests/lib/image.h"
#include "tests/lib/io_fault.h"
#include "tests/lib/log_kit.h"

/* What the error of one code must tell besides. */
struct told {
    int result;
    bool has_volume, has_block, has_lsn;
    int system_code;
    const char *words[3]; /* parts of its text */
    bool is_answer;       /* no failure: dwal_last_error stays as it was */
};

#define path dw_log_kit_path

/* ---- tools ---- */

static int commit_text(dwal *log, const char *text, uint64_t *lsn, uint64_t *end)
{
    struct iovec part;
    struct dwal_entry entry = dw_log_kit_entry(text, strlen(text), &part);
    return dwal_commit(log, &entry, lsn, end);
}

static int read_at(dwal *log, uint64_t lsn, size_t size)
{
    static char buffer[4096];
    struct dwal_record record;
    return dwal_read(log, lsn, buffer, size, &record);
}

static int open_file(const char *name)
{
    char file[sizeof path + 64];
    snprintf(file, sizeof file, "%s/%s", path, name);
    int fd = open(file, O_RDWR | O_CLOEXEC);
    assert_true(fd >= 0);
    return fd;
}

static void flip_byte(const char *name, off_t offset)
{
    int fd = open_file(name);
    unsigned char byte;
    assert_int_equal(pread(fd, &byte, 1, offset), 1);
    byte ^= 0x55;
    assert_int_equal(pwrite(fd, &byte, 1, offset), 1);
    close(fd);
}

static void copy_in_place(const char *from, const char *to)
{
    char command[2 * sizeof path + 160];
    snprintf(command, sizeof command, "cp '%s' '%s'", from, to);
    assert_int_equal(system(command), 0);
}

static struct told open_tells(struct told told)
{
    dwal *log;
    struct dwal_options options = dw_log_kit_options();
    options.volume_size = options.blanks = 0;
    told.result = dwal_open(path, &options, &log);
    return told;
}

/* A log on the same directory, through a disk that can fail. */
struct faulty {
    struct dw_disk *disk;
    dwal *log;
};

static struct faulty open_faulty(bool is_single_stepped)
{
    struct faulty faulty;
    struct dw_disk *inner;
    struct dwal_options options = dw_log_kit_options();
    assert_int_equal(dwal_create(path, &options), 0);
    assert_int_equal(dw_disk_posix_open(path, false, &inner), 0);
    assert_int_equal(dw_fault_open(inner, true, &faulty.disk), 0);
    struct dw_log_setup setup = {.disk = faulty.disk, .is_disk_borrowed = true, .is_single_stepped = is_single_stepped};
    options.marker_delay_ms = UINT32_MAX;
    assert_int_equal(dw_log_open_on(&setup, &options, &faulty.log), 0);
    return faulty;
}

/* Close it without touching what this thread's last error says. */
static void close_quietly(struct faulty *faulty)
{
    (void)dwal_close(faulty->log);
    faulty->disk->ops->close(faulty->disk);
}

static struct dwal_error kept_error; /* of a case that has to clean up behind the failing call */
static bool is_kept;

static int keep(int result)
{
    kept_error = *dwal_last_error();
    is_kept = true;
    return result;
}

/* ---- damaged, mixed up, or worn out ---- */

static struct told throw_DWAL_ECORRUPT(void)
{
    dwal *log = dw_log_kit_create();
    uint64_t lsn, end;
    assert_int_equal(commit_text(log, "what will be damaged", &lsn, &end), 0);
    assert_int_equal(commit_text(log, "what witnesses it", NULL, &end), 0);
    assert_int_equal(dwal_close(log), 0);
    flip_byte("0000000000.vol", 2 * 4096 + 32 + 20 + 5);
    log = dw_log_kit_open(); /* closed clean: the damage is met by whoever reads there */
    struct told told = {.has_volume = true, .has_block = true, .has_lsn = true, .words = {"checksum", "volume 0"}};
    told.result = keep(read_at(log, lsn, 4096));
    assert_int_equal(dwal_close(log), 0);
    return told;
}

static struct told throw_DWAL_ELOST(void)
{
    dwal *log = dw_log_kit_create();
    dw_log_kit_append(log, 0, 1500); /* several volumes */
    assert_int_equal(dwal_close(log), 0);
    char file[sizeof path + 32];
    snprintf(file, sizeof file, "%s/0000000001.vol", path);
    assert_int_equal(unlink(file), 0);
    return open_tells((struct told){.has_volume = true, .has_lsn = true, .words = {"volume 1", "missing"}});
}

static struct told throw_DWAL_EROLLBACK(void)
{
    struct dwal_options options = dw_log_kit_options();
    char super[sizeof path + 32], old[sizeof path + 32];
    snprintf(super, sizeof super, "%s/dwal.super", path);
    snprintf(old, sizeof old, "%s.old", path);
    assert_int_equal(dwal_create(path, &options), 0);
    copy_in_place(super, old);
    dwal *log = dw_log_kit_open();
    dw_log_kit_append(log, 0, 1500);
    assert_int_equal(dwal_close(log), 0);
    copy_in_place(old, super);
    return open_tells((struct told){.has_volume = true, .words = {"superblock", ".vol"}});
}

static struct told throw_DWAL_EFOREIGN(void)
{
    struct dwal_options options = dw_log_kit_options();
    char other[sizeof path + 16], from[sizeof other + 32], to[sizeof path + 32];
    snprintf(other, sizeof other, "%s.other", path);
    snprintf(from, sizeof from, "%s/0000000000.vol", other);
    snprintf(to, sizeof to, "%s/0000000000.vol", path);
    assert_int_equal(dwal_create(path, &options), 0);
    assert_int_equal(dwal_create(other, &options), 0);
    copy_in_place(from, to);
    return open_tells((struct told){.has_volume = true, .words = {"0000000000.vol", "another log"}});
}

/* Rewrite all copies of the superblock with an unknown bit. */
static struct told throw_DWAL_EVERSION(void)
{
    struct dwal_options options = dw_log_kit_options();
    struct dw_superblock_info info;
    static uint8_t block[4096];
    assert_int_equal(dwal_create(path, &options), 0);
    int fd = open_file("dwal.super");
    for (uint32_t copy = 0; copy < DW_SUPERBLOCK_COPIES; copy++) {
        assert_int_equal(pread(fd, block, sizeof block, (off_t)(copy * sizeof block)), sizeof block);
        assert_int_equal(dw_superblock_decode(block, sizeof block, &info), DW_DECODED_OK);
        info.feature_incompat = 0x40;
        dw_superblock_encode(&info, block);
        assert_int_equal(pwrite(fd, block, sizeof block, (off_t)(copy * sizeof block)), sizeof block);
    }
    close(fd);
    return open_tells((struct told){.words = {path, "40"}});
}

/* The very last block, which nothing behind it witnesses, is damaged and does not look unwritten. */
static struct told throw_DWAL_EUNCERTAIN(void)
{
    struct faulty faulty = open_faulty(true);
    uint64_t lsn, end;
    assert_int_equal(commit_text(faulty.log, "the end", &lsn, &end), 0);
    dw_log_abandon(faulty.log);
    faulty.disk->ops->close(faulty.disk);
    flip_byte("0000000000.vol", 2 * 4096 + 10);
    return open_tells((struct told){.has_volume = true, .has_block = true, .has_lsn = true, .words = {"block 0"}});
}

/* A log whose last volume number is in use: nothing comes behind it. */
static struct told throw_DWAL_EEXHAUSTED(void)
{
    struct dw_image_shape shape = {.first_volume = DW_VOLUME_NUMBER_MAX};
    struct dw_image *image = dw_image_new(&shape);
    dw_image_append(image, 0, 100);
    dw_image_close(image);
    struct dw_log_setup setup = {.disk = dw_image_disk(image), .is_disk_borrowed = true};
    struct dwal_options options = dw_log_kit_options();
    options.volume_size = 0;
    options.backend = "sim";
    dwal *log;
    assert_int_equal(dw_log_open_on(&setup, &options, &log), 0);
    struct told told = {.words = {"volume numbers", "used up"}};
    for (int i = 0; i < 100 && told.result == 0; i++)
        told.result = commit_text(log, "one block each", NULL, NULL);
    (void)keep(told.result);
    assert_int_equal(dwal_failure(log, NULL), 0); /* what is there stays good */
    assert_int_equal(dwal_close(log), 0);
    setup.disk->ops->close(setup.disk);
    dw_image_free(image);
    return told;
}

#endif
