/* test_device_any_bytes.c - whatever bytes lie on a device: opening it, looking at it and writing to it end with an answer, never
 * with an assertion. Superblocks and slot headers are spoiled at random, with and without making their checksums right again. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "alloc/alloc.h"
#include "base/bits.h"
#include "core/log/log.h"
#include "tests/lib/crash_check.h"
#include "tests/lib/crash_disk.h"
#include "tests/lib/device_kit.h"

enum { SLOT_SIZE = 7 * 4096, SLOTS = 8, AREA = 384 << 10 };
#define DEVICE_SIZE (2 * (uint64_t)AREA + (uint64_t)SLOTS * SLOT_SIZE)
#ifdef DW_SANITIZED
#define ROUNDS 300u
#else
#define ROUNDS 2500u
#endif

static uint8_t *image;
static uint64_t random_state = 11;

static uint64_t draw(uint64_t limit)
{
    uint64_t z = (random_state += UINT64_C(0x9e3779b97f4a7c15));
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return (z ^ (z >> 31)) % limit;
}

static struct dw_disk *make_disk(void)
{
    return dw_crash_disk(&(struct dw_sim_options){
        .seed = 5, .complete_percent = 100, .alignment = 512, .device_size = DEVICE_SIZE, .is_history_off = true});
}

static struct dwal_options options_of(enum dwal_mode mode)
{
    struct dwal_options options;
    dw_crash_options(&options);
    options.blanks = 1;
    options.mode = mode;
    return options;
}

static int open_log(struct dw_disk *disk, enum dwal_mode mode, dwal **log)
{
    struct dw_log_setup setup = {
        .disk = disk, .clock = &dw_crash_clock, .is_disk_borrowed = true, .is_single_stepped = true};
    struct dwal_options options = options_of(mode);
    return dw_log_open_on(&setup, &options, log);
}

static void write_some(dwal *log)
{
    char bytes[3000] = "some";
    struct iovec part = {.iov_base = bytes, .iov_len = sizeof bytes};
    struct dwal_entry entry = {.data = &part, .data_count = 1};
    for (int i = 0; i < 8; i++) {
        for (int step = 0; step < 40 && dw_log_step_maker(log); step++)
            continue;
        (void)dwal_commit(log, &entry, NULL, NULL);
    }
}

/* Two logs, the second one with an open end. */
static int make_image(void **state)
{
    (void)state;
    struct dw_disk *disk = make_disk();
    for (uint8_t which = 0; which < 2; which++) {
        struct dwal_options options = options_of(DWAL_WRITE);
        const uint8_t log_id[16] = {9, which};
        dwal *log;
        disk->part[0] = (char)('a' + which);
        options.volume_size = SLOT_SIZE;
        options.block_size = 4096;
        if (dw_log_create_on(disk, &dw_crash_clock, log_id, 0x80000001u + which, &options) != 0 ||
            open_log(disk, DWAL_WRITE, &log) != 0)
            return -1;
        write_some(log);
        if (which == 0)
            (void)dwal_close(log);
        else
            dw_log_abandon(log);
    }
    image = malloc(DEVICE_SIZE);
    if (!image || !dw_sim_peek(disk, DW_DEVICE_NAME, 0, image, DEVICE_SIZE))
        return -1;
    dw_crash_drop(disk);
    return 0;
}

static int free_image(void **state)
{
    (void)state;
    free(image);
    return 0;
}

/* Where something of interest starts, and from where to where its checksum counts. */
static uint64_t draw_place(uint32_t *crc_at, uint32_t *from, uint32_t *size)
{
    uint64_t far = DEVICE_SIZE - (uint64_t)2 * 65536;
    switch (draw(3)) {
    case 0: /* device superblock */
        *crc_at = 8, *from = 12, *size = 4096;
        return (draw(2) ? far : 0) + draw(2) * 65536;
    case 1: /* superblock of a log */
        *crc_at = 8, *from = 12, *size = 256;
        return (draw(2) ? DEVICE_SIZE - AREA : 131072) + draw(4) * 4096;
    default: /* slot or volume header */
        *crc_at = 4, *from = 8, *size = 128;
        return AREA + draw(SLOTS) * SLOT_SIZE + draw(2) * 4096;
    }
}

static void spoil(uint8_t *bytes)
{
    uint32_t crc_at, from, size;
    uint64_t at = draw_place(&crc_at, &from, &size), end = at + size;
    uint64_t changes = 1 + draw(3);
    for (uint64_t i = 0; i < changes; i++) {
        uint64_t field = at + draw(size / 4) * 4;
        uint32_t value = draw(3) == 0 ? (uint32_t)draw(300) : draw(2) ? UINT32_MAX : (uint32_t)draw(UINT32_MAX);
        memcpy(bytes + dw_min_u64(field, end - 4), &value, sizeof value);
    }
    if (draw(8) == 0) { /* one structure over another one */
        uint32_t ignored;
        memcpy(bytes + draw_place(&ignored, &ignored, &ignored), bytes + at, 4096);
    }
    if (draw(4) == 0)
        return;
    uint32_t crc = dw_crc32c(0, bytes + at + from, size - from);
    memcpy(bytes + at + crc_at, &crc, sizeof crc);
}

static void look_at(struct dw_disk *disk)
{
    struct dwal_device device = {.size = sizeof device};
    int surveyed = dw_store_survey_device(disk, &device, NULL, NULL);
    assert_true(surveyed <= 0);
    for (int which = 0; which < 3; which++) {
        static const enum dwal_mode modes[] = {DWAL_READ_ONLY, DWAL_REPORT, DWAL_WRITE};
        for (size_t mode = 0; mode < 3; mode++) {
            dwal *log;
            memset(disk->part, 0, sizeof disk->part);
            disk->part[0] = which < 2 ? (char)('a' + which) : '\0';
            if (open_log(disk, modes[mode], &log) != 0)
                continue;
            if (modes[mode] == DWAL_WRITE)
                write_some(log);
            dw_log_abandon(log);
        }
    }
}

static void any_bytes_get_an_answer(void **state)
{
    (void)state;
    uint8_t *bytes = dw_alloc_io(DEVICE_SIZE, 4096);
    assert_non_null(bytes);
    for (uint32_t round = 0; round < ROUNDS; round++) {
        struct dw_disk *disk = make_disk();
        struct dw_file *file;
        memcpy(bytes, image, DEVICE_SIZE);
        for (uint64_t i = draw(4) + 1; i > 0; i--)
            spoil(bytes);
        assert_int_equal(disk->ops->open(disk, DW_DEVICE_NAME, DW_OPEN_WRITE, &file), 0);
        assert_int_equal(dw_file_write(file, bytes, DEVICE_SIZE, 0), 0);
        dw_file_close(file);
        look_at(disk);
        dw_crash_drop(disk);
    }
    dw_free_io(bytes);
    assert_int_equal(dw_alloc_bytes(), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(any_bytes_get_an_answer),
    };
    return cmocka_run_group_tests(tests, make_image, free_image);
}
