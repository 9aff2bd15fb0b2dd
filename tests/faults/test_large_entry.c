/* test_large_entry.c - entries larger than the ring, in a log whose volumes were claimed for a larger one.
 *
 * A volume's header tells how many blocks may be in flight in it; a log that is opened with a smaller ring goes on in such a
 * volume, and an entry that streams through the ring reserves more blocks than it has. What lies in a slot then belongs to
 * an earlier block, complete as it is: it must not be written in the place of a later one. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include <dwal/dwal.h>

#include "core/log/log.h"
#include "io/sim.h"
#include "tests/lib/tmpdir.h"

enum { ENTRY_SIZE = 700 << 10, ENTRIES = 4 };

static struct dwal_options options_of(const char *backend)
{
    struct dwal_options options = DWAL_OPTIONS_INIT;
    options.ring_size = 32 << 10;      /* 8 blocks */
    options.write_size_max = 16 << 10; /* 4 blocks: with 4 writes in flight more than the ring has */
    options.backend = backend;
    return options;
}

/* Volumes of 61 data blocks, made for the default ring: 1024 blocks may be in flight. */
static void create(struct dw_disk *disk)
{
    static const uint8_t log_id[16] = "larger than ring";
    struct dwal_options options = DWAL_OPTIONS_INIT;
    options.volume_size = 256 << 10;
    options.blanks = 2;
    assert_int_equal(dw_log_create_on(disk, NULL, log_id, 0x80007777u, &options), 0);
}

static dwal *open_on(struct dw_disk *disk, const char *backend, bool is_single_stepped)
{
    struct dw_log_setup setup = {.disk = disk, .is_disk_borrowed = true, .is_single_stepped = is_single_stepped};
    struct dwal_options options = options_of(backend);
    dwal *log;
    if (dw_log_open_on(&setup, &options, &log) < 0)
        fail_msg("open: %s", dwal_last_error()->text);
    return log;
}

static void fill(uint8_t *bytes, uint32_t seed)
{
    uint32_t word = seed * 2654435761u + 7;
    for (size_t i = 0; i < ENTRY_SIZE; i++) {
        word = word * 1664525u + 1013904223u;
        bytes[i] = (uint8_t)(word >> 24);
    }
}

static int append(dwal *log, const uint8_t *bytes, bool is_single_stepped, uint64_t *lsn, uint64_t *end)
{
    struct iovec part = {(void *)(uintptr_t)bytes, ENTRY_SIZE};
    struct dwal_entry entry = {.data = &part, .data_count = 1};
    int result = DWAL_EFULL;
    for (int i = 0; i < 1000 && result == DWAL_EFULL; i++) {
        result = dwal_append(log, &entry, lsn, end);
        if (is_single_stepped && result == DWAL_EFULL)
            dw_log_step_maker(log);
    }
    return result;
}

static void check_entry(dwal *log, uint64_t lsn, uint8_t *back, const uint8_t *bytes)
{
    struct dwal_record record;
    if (dwal_read(log, lsn, back, ENTRY_SIZE, &record) < 0)
        fail_msg("read: %s", dwal_last_error()->text);
    assert_int_equal(record.data_size, ENTRY_SIZE);
    assert_true(memcmp(record.data, bytes, ENTRY_SIZE) == 0);
}

static void stream(struct dw_disk *disk, const char *backend, bool is_single_stepped)
{
    uint8_t *bytes = malloc(ENTRY_SIZE), *back = malloc(ENTRY_SIZE);
    uint64_t lsns[ENTRIES], end;
    create(disk);
    dwal *log = open_on(disk, backend, is_single_stepped);
    for (uint32_t i = 0; i < ENTRIES; i++) {
        fill(bytes, i);
        if (append(log, bytes, is_single_stepped, &lsns[i], &end) < 0)
            fail_msg("append: %s", dwal_last_error()->text);
        assert_int_equal(dwal_sync(log, end), 0);
        check_entry(log, lsns[i], back, bytes);
    }
    assert_int_equal(dwal_close(log), 0);
    log = open_on(disk, backend, is_single_stepped);
    for (uint32_t i = 0; i < ENTRIES; i++) {
        fill(bytes, i);
        check_entry(log, lsns[i], back, bytes);
    }
    assert_int_equal(dwal_close(log), 0);
    free(bytes);
    free(back);
}

static void writes_in_flight_never_lap_the_ring(void **state)
{
    (void)state;
    for (uint64_t seed = 0; seed < 20; seed++) {
        struct dw_sim_options options = {.seed = seed, .is_history_off = true};
        struct dw_disk *disk;
        assert_int_equal(dw_sim_open(&options, &disk), 0);
        stream(disk, "sim", true);
        disk->ops->close(disk);
    }
}

static void stream_on_directory(const char *backend)
{
    char directory[DW_TMPDIR_SIZE];
    struct dw_disk *disk;
    dw_tmpdir_make(directory, "large");
    assert_int_equal(dw_disk_posix_open(directory, false, &disk), 0);
    stream(disk, backend, false);
    disk->ops->close(disk);
    dw_tmpdir_remove(directory);
}

static void threads_stream_with_sync(void **state)
{
    (void)state;
    stream_on_directory("sync");
}

static void threads_stream_with_uring(void **state)
{
    (void)state;
    stream_on_directory("uring");
}

static void threads_stream_with_aio(void **state)
{
    (void)state;
    stream_on_directory("aio");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(writes_in_flight_never_lap_the_ring),
        cmocka_unit_test(threads_stream_with_sync),
        cmocka_unit_test(threads_stream_with_uring),
        cmocka_unit_test(threads_stream_with_aio),
    };
    alarm(180); /* slots that are filled twice never become complete */
    return cmocka_run_group_tests(tests, NULL, NULL);
}
