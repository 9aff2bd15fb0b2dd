/* test_ahead.c - long sequential reads, which read ahead with a thread of their own: the same bytes, and the same errors at the same
 * place, as reading one by one; with and without a ring, in volumes that hold many pieces and in volumes smaller than one. */
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
#include "base/compiler.h"
#include "core/format/geometry.h"
#include "core/read/ahead.h"
#include "core/read/reader.h"
#include "tests/lib/io_place.h"
#include "tests/lib/tmpdir.h"

#define ENTRIES 20000u
#define SIZE    1000u
/* The same entries in two logs. */
struct sample {
    uint64_t volume_size;
    char path[300];
    uint64_t lsns[ENTRIES];
};
static struct sample large = {.volume_size = 8u << 20}, small = {.volume_size = 256u << 10};
static const char *const backends[] = {"uring", "sync"}; /* who names `sync` forbids a ring */

static char directory[256];

static void fill_entry(uint32_t number, uint8_t *bytes)
{
    for (uint32_t i = 0; i < SIZE; i++)
        bytes[i] = (uint8_t)(number * 31 + i * 7 + (i >> 8));
}

static void make_log(struct sample *sample, const char *name)
{
    snprintf(sample->path, sizeof sample->path, "%s/%s", directory, name);
    struct dwal_options options = DWAL_OPTIONS_INIT;
    options.volume_size = sample->volume_size;
    options.fill = DWAL_FILL_ALLOCATE;
    options.backend = "sync";
    dwal *log;
    assert_int_equal(dwal_create(sample->path, &options), 0);
    assert_int_equal(dwal_open(sample->path, &options, &log), 0);
    static uint8_t bytes[SIZE];
    struct iovec part = {.iov_base = bytes, .iov_len = SIZE};
    struct dwal_entry entry = {.data = &part, .data_count = 1};
    for (uint32_t i = 0; i < ENTRIES; i++) {
        fill_entry(i, bytes);
        assert_int_equal(dwal_append(log, &entry, &sample->lsns[i], NULL), 0);
    }
    assert_int_equal(dwal_close(log), 0);
}

static int make_logs(void **state)
{
    (void)state;
    dw_tmpdir_make(directory, "ahead");
    make_log(&large, "large");
    make_log(&small, "small");
    return 0;
}

static int remove_logs(void **state)
{
    (void)state;
    dw_tmpdir_remove(directory);
    return 0;
}

/* Read on until something else than an entry comes; returns how many were good. */
static uint32_t read_on(const struct sample *sample, dwal_cursor *cursor, uint32_t from, int *why)
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
        assert_int_equal(record.lsn, sample->lsns[at]);
        assert_int_equal(record.data_size, SIZE);
        assert_memory_equal(record.data, bytes, SIZE);
    }
}

static dwal *open_reader(const struct sample *sample, const char *backend)
{
    struct dwal_options options = DWAL_OPTIONS_INIT;
    options.mode = DWAL_READ_ONLY;
    options.backend = backend;
    dwal *log;
    assert_int_equal(dwal_open(sample->path, &options, &log), 0);
    return log;
}

/* Reads all of it; returns how many reads of the device that took. */
static uint64_t read_all(const struct sample *sample, const char *backend)
{
    dwal *log = open_reader(sample, backend);
    static struct dwal_stats before, after;
    before.size = after.size = sizeof before;
    assert_int_equal(dwal_get_stats(log, &before), 0);
    dwal_cursor *cursor;
    int why;
    assert_int_equal(dwal_cursor_open(log, 0, &cursor), 0);
    assert_int_equal(read_on(sample, cursor, 0, &why), ENTRIES);
    assert_int_equal(why, DWAL_EEND);
    dwal_cursor_close(cursor); /* only now is its share in the statistics */
    assert_int_equal(dwal_get_stats(log, &after), 0);
    /* In the middle of a read ahead. */
    assert_int_equal(dwal_cursor_open(log, 0, &cursor), 0);
    struct dwal_record record;
    for (uint32_t i = 0; i < 5000; i++)
        assert_int_equal(dwal_cursor_next(cursor, &record), 0);
    dwal_cursor_close(cursor);
    assert_int_equal(dwal_close(log), 0);
    return after.device_reads - before.device_reads;
}

static void a_long_read_gives_every_entry_in_few_reads(void **state)
{
    (void)state;
    for (size_t i = 0; i < 2; i++) {
        /* 20 MB in pieces of 256 KiB would be 78 reads and more. Eight of those, then pieces of 512 KiB, also over the volumes' ends. */
        assert_in_range(read_all(&large, backends[i]), 30, 52);
        /* Some 80 volumes, each smaller than a piece: one read for each, its header in it. */
        assert_in_range(read_all(&small, backends[i]), 70, 95);
    }
}

static void learn_geometry(const struct sample *sample, struct dw_geometry *g)
{
    const char *why;
    assert_int_equal(dw_geometry_init(g, 4096, 512, sample->volume_size, 0, &why), 0);
}

static uint64_t durable_block(void *context)
{
    const struct sample *sample = context;
    struct dw_geometry g;
    learn_geometry(sample, &g);
    return dw_block_of_lsn(&g, sample->lsns[ENTRIES - 1]);
}

/* A reader that jumps forwards and backwards, also into a volume that is being read ahead, and reads on for long at every second place. */
static void jump_about(struct sample *sample, bool is_plain)
{
    static const uint32_t places[] = {5000, 4999, 19500, 0, 10000, 10300, 9900, 1, 14100, 14700};
    const struct dw_store_options options = {
        .is_read_only = true, .load_threads = 2, .is_reading_plainly = is_plain, .clock = &dw_clock_system};
    const struct dw_recent recent = {.context = sample, .durable_block = durable_block};
    struct dw_disk *disk;
    struct dw_store *store;
    struct dw_reader *reader;
    struct dwal_record record;
    assert_int_equal(dw_disk_posix_open(sample->path, false, &disk), 0);
    assert_int_equal(dw_store_load(disk, &options, &store), 0);
    assert_int_equal(dw_reader_create(store, &recent, 256u << 10, &reader), 0);
    for (size_t n = 0; n < DW_COUNT_OF(places); n++) {
        assert_int_equal(dw_reader_seek_exact(reader, sample->lsns[places[n]]), 0);
        for (uint32_t at = places[n]; at < ENTRIES - 5 && at < places[n] + 300 + 4000 * (n % 2); at++) {
            assert_int_equal(dw_reader_next(reader, &record), 0);
            assert_int_equal(record.lsn, sample->lsns[at]);
            assert_int_equal(dw_reader_data(reader, &record, NULL), 0);
        }
    }
    dw_reader_release(reader);
    for (size_t i = 0; i < dw_store_volume_count(store); i++) /* also of what was read ahead */
        assert_int_equal(dw_store_volume_at(store, i)->pins, 0);
    dw_reader_close(reader);
    assert_int_equal(dw_store_close(store, false, 0), 0);
    disk->ops->close(disk);
}

static void a_reader_that_jumps_gives_what_is_there(void **state)
{
    (void)state;
    for (int i = 0; i < 2; i++) {
        jump_about(&large, i != 0);
        jump_about(&small, i != 0);
    }
}

static int open_volume(const struct sample *sample, uint32_t number)
{
    char name[400];
    snprintf(name, sizeof name, "%s/%010u.vol", sample->path, number);
    int file = open(name, O_RDWR);
    assert_true(file >= 0);
    return file;
}

/* Flip a byte in the block in which entry `number` starts: all of it is records. Done twice it is as it was. */
static void flip(const struct sample *sample, uint32_t number)
{
    struct dw_geometry g;
    learn_geometry(sample, &g);
    uint64_t block = dw_block_of_lsn(&g, sample->lsns[number]);
    off_t place = (off_t)dw_place_of_block(&g, block) + 2200;
    int file = open_volume(sample, dw_volume_of_block(&g, block));
    uint8_t byte;
    assert_int_equal(pread(file, &byte, 1, place), 1);
    byte ^= 0x10;
    assert_int_equal(pwrite(file, &byte, 1, place), 1);
    close(file);
}

static uint32_t first_of_volume(const struct sample *sample, uint32_t number)
{
    struct dw_geometry g;
    learn_geometry(sample, &g);
    uint32_t at = 0;
    while (dw_volume_of_lsn(&g, sample->lsns[at]) < number)
        at++;
    return at;
}

static void meet_damage(const struct sample *sample, uint32_t victim, const char *backend)
{
    flip(sample, victim);
    dwal *log = open_reader(sample, backend);
    dwal_cursor *cursor;
    int why;
    assert_int_equal(dwal_cursor_open(log, 0, &cursor), 0);
    uint32_t good = read_on(sample, cursor, 0, &why);
    assert_int_equal(why, DWAL_ECORRUPT);
    assert_in_range(good, victim - 5, victim + 5);
    assert_in_range(dwal_last_error()->lsn, sample->lsns[victim - 5], sample->lsns[victim + 5]);
    dwal_cursor_close(cursor);
    /* Entry by entry, without any read ahead: the same verdict at the same entry. */
    static uint8_t buffer[2 * SIZE];
    struct dwal_record record;
    assert_int_equal(dwal_read(log, sample->lsns[good - 1], buffer, sizeof buffer, &record), 0);
    assert_int_equal(dwal_read(log, sample->lsns[good], buffer, sizeof buffer, &record), DWAL_ECORRUPT);
    assert_int_equal(dwal_close(log), 0);
    flip(sample, victim);
}

static void damage_met_by_a_read_ahead_is_told_where_it_is(void **state)
{
    (void)state;
    for (size_t i = 0; i < 2; i++) {
        meet_damage(&large, 5500, backends[i]); /* in volume 0, behind the point where the read ahead begins */
        meet_damage(&large, first_of_volume(&large, 1), backends[i]);
        meet_damage(&large, first_of_volume(&large, 2) - 8, backends[i]);
        meet_damage(&small, first_of_volume(&small, 20), backends[i]);
        meet_damage(&small, first_of_volume(&small, 30) - 8, backends[i]);
    }
}

/* Both copies of the header of volume `to` become those of `from`; what was there comes back. */
static void exchange_headers(const struct sample *sample, uint32_t from, uint32_t to, uint8_t *before)
{
    static uint8_t header[2 * 4096];
    int source = open_volume(sample, from), target = open_volume(sample, to);
    assert_int_equal(pread(source, header, sizeof header, 0), sizeof header);
    assert_int_equal(pread(target, before, sizeof header, 0), sizeof header);
    assert_int_equal(pwrite(target, header, sizeof header, 0), sizeof header);
    close(source);
    close(target);
}

/* As when the writer's process trimmed a volume and took it for a later one, after this reader had listed it. */
static void a_volume_that_is_another_one_by_now_is_told_as_trimmed(void **state)
{
    (void)state;
    static uint8_t before[2 * 4096];
    const struct sample *samples[] = {&large, &small};
    const uint32_t victims[] = {1, 20};
    for (size_t i = 0; i < 4; i++) {
        const struct sample *sample = samples[i % 2];
        uint32_t victim = victims[i % 2];
        dwal *log = open_reader(sample, backends[i / 2]);
        exchange_headers(sample, victim + 1, victim, before);
        dwal_cursor *cursor;
        int why;
        assert_int_equal(dwal_cursor_open(log, 0, &cursor), 0);
        uint32_t good = read_on(sample, cursor, 0, &why);
        assert_int_equal(why, DWAL_ETRIMMED);
        assert_int_equal(dwal_last_error()->volume, victim);
        assert_in_range(good, first_of_volume(sample, victim) - 1, first_of_volume(sample, victim));
        struct dwal_record record;
        assert_int_equal(dwal_cursor_next(cursor, &record), DWAL_ETRIMMED); /* and again */
        int file = open_volume(sample, victim);
        assert_int_equal(pwrite(file, before, sizeof before, 0), sizeof before);
        close(file);
        dwal_cursor_close(cursor);
        assert_int_equal(dwal_cursor_open(log, 0, &cursor), 0);
        assert_int_equal(read_on(sample, cursor, 0, &why), ENTRIES); /* the store kept nothing of it */
        assert_int_equal(why, DWAL_EEND);
        dwal_cursor_close(cursor);
        assert_int_equal(dwal_close(log), 0);
    }
}

/* ---- the pieces themselves ---- */

enum { UNIT = 4096, UNITS = 20 };

/* Is what was collected unit `number` of the file? */
static void collect(struct dw_ahead *ahead, const struct dw_file *file, uint32_t number)
{
    size_t done = 0;
    const uint8_t *bytes = dw_ahead_collect(ahead, file, (uint64_t)number * UNIT, UNIT, &done);
    assert_non_null(bytes);
    assert_int_equal(done, UNIT);
    assert_int_equal(bytes[0], number + 1);
    assert_int_equal(bytes[UNIT - 1], number + 1);
}

static void ask_and_collect(struct dw_disk *disk, struct dw_file *file, bool is_plain)
{
    size_t done;
    struct dw_ahead *ahead = dw_ahead_open(disk, UNIT, is_plain);
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
    assert_null(dw_ahead_collect(ahead, file, UNIT, UNIT, &done)); /* not the first: all is forgotten */
    assert_int_equal(dw_ahead_count(ahead), 0);
    dw_ahead_ask(ahead, file, (uint64_t)3 * UNIT, UNIT);
    collect(ahead, file, 3);
    dw_ahead_ask(ahead, file, 0, UNIT);
    assert_null(dw_ahead_collect(ahead, file, 0, UNIT + 1, &done)); /* fewer than are of use */
    dw_ahead_ask(ahead, file, 0, UNIT);
    dw_ahead_close(ahead); /* with a read that nobody collects */
}

static void pieces_come_in_the_order_in_which_they_were_asked_for(void **state)
{
    (void)state;
    struct dw_disk *disk;
    struct dw_file *file;
    assert_int_equal(dw_place_make(&disk), 0);
    assert_int_equal(disk->ops->open(disk, "a", DW_OPEN_WRITE | DW_OPEN_CREATE, &file), 0);
    uint8_t *unit = dw_alloc_io(UNIT, UNIT);
    for (uint32_t i = 0; i < UNITS; i++) {
        memset(unit, (int)i + 1, UNIT);
        assert_int_equal(dw_file_write(file, unit, UNIT, (uint64_t)i * UNIT), 0);
    }
    ask_and_collect(disk, file, false);
    ask_and_collect(disk, file, true);
    dw_file_close(file);
    dw_free_io(unit);
    dw_place_remove(disk);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_long_read_gives_every_entry_in_few_reads),
        cmocka_unit_test(a_reader_that_jumps_gives_what_is_there),
        cmocka_unit_test(damage_met_by_a_read_ahead_is_told_where_it_is),
        cmocka_unit_test(a_volume_that_is_another_one_by_now_is_told_as_trimmed),
        cmocka_unit_test(pieces_come_in_the_order_in_which_they_were_asked_for),
    };
    return cmocka_run_group_tests(tests, make_logs, remove_logs);
}
