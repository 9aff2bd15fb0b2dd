/* test_ahead.c - long sequential reads, which read ahead with a thread of their own: the same bytes, and the same errors at the same
 * place, as reading one by one. */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>
#include <dwal/dwal.h>

#include "alloc/alloc.h"
#include "core/format/geometry.h"
#include "core/read/ahead.h"
#include "tests/lib/io_place.h"
#include "tests/lib/tmpdir.h"

#define ENTRIES 20000u
#define SIZE    1000u
#define VOLUME  (8u << 20)

static char directory[256], path[300];
static uint64_t lsns[ENTRIES];

static void fill_entry(uint32_t number, uint8_t *bytes)
{
    for (uint32_t i = 0; i < SIZE; i++)
        bytes[i] = (uint8_t)(number * 31 + i * 7 + (i >> 8));
}

static int make_log(void **state)
{
    (void)state;
    dw_tmpdir_make(directory, "ahead");
    snprintf(path, sizeof path, "%s/log", directory);
    struct dwal_options options = DWAL_OPTIONS_INIT;
    options.volume_size = VOLUME;
    options.backend = "sync";
    dwal *log;
    assert_int_equal(dwal_create(path, &options), 0);
    assert_int_equal(dwal_open(path, &options, &log), 0);
    static uint8_t bytes[SIZE];
    struct iovec part = {.iov_base = bytes, .iov_len = SIZE};
    struct dwal_entry entry = {.data = &part, .data_count = 1};
    for (uint32_t i = 0; i < ENTRIES; i++) {
        fill_entry(i, bytes);
        assert_int_equal(dwal_append(log, &entry, &lsns[i], NULL), 0);
    }
    assert_int_equal(dwal_close(log), 0);
    return 0;
}

static int remove_log(void **state)
{
    (void)state;
    dw_tmpdir_remove(directory);
    return 0;
}

/* Read on until something else than an entry comes; returns how many were good. */
static uint32_t read_on(dwal_cursor *cursor, uint32_t from, int *why)
{
    static uint8_t bytes[SIZE];
    struct dwal_record record;
    uint32_t at = from;
    for (;; at++) {
        *why = dwal_cursor_next(cursor, &record);
        if (*why != 0)
            return at - from;
        assert_true(at < ENTRIES);
        fill_entry(at, bytes);
        assert_int_equal(record.lsn, lsns[at]);
        assert_int_equal(record.data_size, SIZE);
        assert_memory_equal(record.data, bytes, SIZE);
    }
}

static dwal *open_reader(void)
{
    struct dwal_options options = DWAL_OPTIONS_INIT;
    options.mode = DWAL_READ_ONLY;
    dwal *log;
    assert_int_equal(dwal_open(path, &options, &log), 0);
    return log;
}

static void a_long_read_gives_every_entry_in_few_reads(void **state)
{
    (void)state;
    dwal *log = open_reader();
    static struct dwal_stats before, after;
    before.size = after.size = sizeof before;
    assert_int_equal(dwal_get_stats(log, &before), 0);
    dwal_cursor *cursor;
    int why;
    assert_int_equal(dwal_cursor_open(log, 0, &cursor), 0);
    assert_int_equal(read_on(cursor, 0, &why), ENTRIES);
    assert_int_equal(why, DWAL_EEND);
    dwal_cursor_close(cursor); /* only now is its share in the statistics */
    assert_int_equal(dwal_get_stats(log, &after), 0);
    /* 20 MB in pieces of 256 KiB would be 78 reads and more. Eight of those, then pieces of 1.5 MiB, also over the volumes' ends. */
    assert_in_range(after.device_reads - before.device_reads, 8, 24);
    /* In the middle of a read ahead. */
    assert_int_equal(dwal_cursor_open(log, 0, &cursor), 0);
    struct dwal_record record;
    for (uint32_t i = 0; i < 5000; i++)
        assert_int_equal(dwal_cursor_next(cursor, &record), 0);
    dwal_cursor_close(cursor);
    assert_int_equal(dwal_close(log), 0);
}

/* Flip a byte in the block in which entry `number` starts: all of it is records. Done twice it is as it was. */
static void flip(uint32_t number)
{
    const char *why;
    struct dw_geometry g;
    assert_int_equal(dw_geometry_init(&g, 4096, 512, VOLUME, 0, &why), 0);
    uint64_t block = dw_block_of_lsn(&g, lsns[number]);
    off_t place = (off_t)dw_place_of_block(&g, block) + 2200;
    char name[400];
    snprintf(name, sizeof name, "%s/%010u.vol", path, dw_volume_of_block(&g, block));
    int file = open(name, O_RDWR);
    uint8_t byte;
    assert_true(file >= 0);
    assert_int_equal(pread(file, &byte, 1, place), 1);
    byte ^= 0x10;
    assert_int_equal(pwrite(file, &byte, 1, place), 1);
    close(file);
}

static uint32_t first_of_volume(uint32_t number)
{
    const char *why;
    struct dw_geometry g;
    assert_int_equal(dw_geometry_init(&g, 4096, 512, VOLUME, 0, &why), 0);
    uint32_t at = 0;
    while (dw_volume_of_lsn(&g, lsns[at]) < number)
        at++;
    return at;
}

static void meet_damage(uint32_t victim)
{
    flip(victim);
    dwal *log = open_reader();
    dwal_cursor *cursor;
    int why;
    assert_int_equal(dwal_cursor_open(log, 0, &cursor), 0);
    uint32_t good = read_on(cursor, 0, &why);
    assert_int_equal(why, DWAL_ECORRUPT);
    assert_in_range(good, victim - 5, victim + 5);
    assert_in_range(dwal_last_error()->lsn, lsns[victim - 5], lsns[victim + 5]);
    dwal_cursor_close(cursor);
    /* Entry by entry, without any read ahead: the same verdict at the same entry. */
    static uint8_t buffer[2 * SIZE];
    struct dwal_record record;
    assert_int_equal(dwal_read(log, lsns[good - 1], buffer, sizeof buffer, &record), 0);
    assert_int_equal(dwal_read(log, lsns[good], buffer, sizeof buffer, &record), DWAL_ECORRUPT);
    assert_int_equal(dwal_close(log), 0);
    flip(victim);
}

static void damage_met_by_a_read_ahead_is_told_where_it_is(void **state)
{
    (void)state;
    meet_damage(5500); /* in volume 0, behind the point where the read ahead begins */
    meet_damage(first_of_volume(1));
    meet_damage(first_of_volume(2) - 8);
}

/* ---- the pieces themselves ---- */

enum { UNIT = 4096, UNITS = 6 };

/* Is what was collected unit `number` of the file? */
static void collect(struct dw_ahead *ahead, const struct dw_file *file, uint32_t number)
{
    size_t done = 0;
    uint64_t offset = (uint64_t)number * UNIT;
    assert_true(dw_ahead_is_first(ahead, file, offset));
    const uint8_t *bytes = dw_ahead_collect(ahead, file, offset, UNIT, &done);
    assert_non_null(bytes);
    assert_int_equal(done, UNIT);
    assert_int_equal(bytes[0], number + 1);
    assert_int_equal(bytes[UNIT - 1], number + 1);
}

static void pieces_come_in_the_order_in_which_they_were_asked_for(void **state)
{
    (void)state;
    struct dw_disk *disk;
    struct dw_file *file;
    size_t done;
    assert_int_equal(dw_place_make(&disk), 0);
    assert_int_equal(disk->ops->open(disk, "a", DW_OPEN_WRITE | DW_OPEN_CREATE, &file), 0);
    uint8_t *unit = dw_alloc_io(UNIT, UNIT);
    for (uint32_t i = 0; i < UNITS; i++) {
        memset(unit, (int)i + 1, UNIT);
        assert_int_equal(dw_file_write(file, unit, UNIT, (uint64_t)i * UNIT), 0);
    }
    struct dw_ahead *ahead = dw_ahead_open(UNIT, UNIT);
    assert_non_null(ahead);
    assert_null(dw_ahead_collect(ahead, file, 0, UNIT, &done));
    for (uint32_t i = 0; i < UNITS; i++) {
        while (dw_ahead_count(ahead) < DW_AHEAD_PIECES) /* the last ones lie behind the end */
            dw_ahead_ask(ahead, file, (uint64_t)(i + dw_ahead_count(ahead)) * UNIT, UNIT);
        collect(ahead, file, i);
    }
    assert_int_equal(dw_ahead_count(ahead), DW_AHEAD_PIECES - 1);
    assert_null(dw_ahead_collect(ahead, file, (uint64_t)UNITS * UNIT, UNIT, &done)); /* nothing came */
    assert_int_equal(dw_ahead_count(ahead), 0);
    dw_ahead_ask(ahead, file, 0, UNIT);
    dw_ahead_ask(ahead, file, UNIT, UNIT);
    assert_false(dw_ahead_is_first(ahead, file, UNIT));
    assert_null(dw_ahead_collect(ahead, file, UNIT, UNIT, &done)); /* not the first: all is forgotten */
    assert_int_equal(dw_ahead_count(ahead), 0);
    dw_ahead_ask(ahead, file, (uint64_t)3 * UNIT, UNIT);
    collect(ahead, file, 3);
    dw_ahead_ask(ahead, file, 0, UNIT);
    dw_ahead_close(ahead); /* with a read that nobody collects */
    dw_file_close(file);
    dw_free_io(unit);
    dw_place_remove(disk);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_long_read_gives_every_entry_in_few_reads),
        cmocka_unit_test(damage_met_by_a_read_ahead_is_told_where_it_is),
        cmocka_unit_test(pieces_come_in_the_order_in_which_they_were_asked_for),
    };
    return cmocka_run_group_tests(tests, make_log, remove_log);
}
