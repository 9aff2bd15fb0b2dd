/* crash_disk.c - see crash_disk.h. */
#include "tests/lib/crash_disk.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>
#include <string.h>

#define SECTORS_MAX 256u
#define CHOICES_MAX 4096u

struct dw_disk *dw_crash_disk(const struct dw_sim_options *options)
{
    struct dw_disk *disk;
    assert_int_equal(dw_sim_open(options, &disk), 0);
    return disk;
}

struct dw_file *dw_crash_file(struct dw_disk *disk, const char *name, unsigned flags)
{
    struct dw_file *file;
    assert_int_equal(disk->ops->open(disk, name, flags, &file), 0);
    return file;
}

void dw_crash_put(struct dw_file *file, uint64_t first, uint64_t count, uint8_t value, bool is_durable)
{
    static _Alignas(4096) uint8_t bytes[SECTORS_MAX * DW_CRASH_SECTOR];
    size_t size = (size_t)count * DW_CRASH_SECTOR;
    assert_true(count <= SECTORS_MAX);
    memset(bytes, value, size);
    if (is_durable)
        assert_int_equal(dw_file_write_durable(file, bytes, size, first * DW_CRASH_SECTOR), 0);
    else
        assert_int_equal(dw_file_write(file, bytes, size, first * DW_CRASH_SECTOR), 0);
}

int dw_crash_get(struct dw_disk *disk, const char *name, uint64_t sector)
{
    uint8_t bytes[DW_CRASH_SECTOR];
    if (!dw_sim_peek(disk, name, sector * DW_CRASH_SECTOR, bytes, sizeof bytes))
        return -1;
    for (size_t i = 1; i < sizeof bytes; i++) {
        if (bytes[i] != bytes[0])
            return -2;
    }
    return bytes[0];
}

bool dw_crash_exists(struct dw_disk *disk, const char *name)
{
    return dw_sim_peek(disk, name, 0, NULL, 0);
}

struct dw_disk *dw_crash_image(struct dw_sim_crash *crash, uint64_t event, uint64_t state, bool is_sampled)
{
    static uint32_t picks[CHOICES_MAX];
    struct dw_disk *image;
    assert_int_equal(dw_sim_crash_seek(crash, event), 0);
    assert_true(dw_sim_crash_choice_count(crash) <= CHOICES_MAX);
    if (is_sampled)
        dw_sim_crash_picks_of_seed(crash, state, picks);
    else
        dw_sim_crash_picks_of_state(crash, state, picks);
    assert_int_equal(dw_sim_crash_image(crash, picks, state, &image), 0);
    return image;
}

void dw_crash_drop(struct dw_disk *disk)
{
    disk->ops->close(disk);
}
