/* journal_kit.h - one small log in a fresh directory, a table callback that notes what it was told, and entries whose places are
 * kept. Included by test_journal*.c, once a program. */
#ifndef DW_TESTS_LAYERS_JOURNAL_KIT_H
#define DW_TESTS_LAYERS_JOURNAL_KIT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>
#include <dwal/inspect.h>
#include <dwal/journal.h>
#include <dwal/scan.h>

#include "tests/lib/tmpdir.h"

#define JOURNAL_VOLUME     (256u << 10)
#define JOURNAL_MAGIC      0x4a4f5552u
#define JOURNAL_TEST(name) cmocka_unit_test_setup_teardown(name, journal_set_up, journal_tear_down)

static char directory[DW_TMPDIR_SIZE], path[DW_TMPDIR_SIZE + 32];
static struct {
    uint32_t volume;
    uint64_t first, end;
    bool spill;
} told[64];
static uint32_t calls, table_excess;
static uint64_t lsns[20000], ends[20000];
static size_t lsn_count;

static inline uint64_t journal_table(void *context, uint32_t volume, uint64_t first, uint64_t end, bool spill,
                                     void *table, uint32_t capacity)
{
    (void)context;
    if (calls < 64) {
        told[calls].volume = volume;
        told[calls].first = first;
        told[calls].end = end;
        told[calls].spill = spill;
    }
    calls++;
    int length = snprintf(table, capacity, "table of %u", volume);
    return (uint64_t)length + table_excess;
}

static inline struct dwal_options journal_options(uint32_t toc_length)
{
    struct dwal_options options = DWAL_OPTIONS_INIT;
    options.volume_size = JOURNAL_VOLUME;
    options.magic_number = JOURNAL_MAGIC;
    options.blanks = 2;
    options.ring_size = 1 << 20;
    options.toc_length = toc_length;
    options.table = journal_table;
    options.backend = "sync";
    return options;
}

/* A fresh log, open. sector_size 0: the default. */
static inline dwal *create(uint32_t toc_length, uint32_t sector_size)
{
    struct dwal_options options = journal_options(toc_length);
    options.sector_size = sector_size;
    dwal *log = NULL;
    assert_int_equal(dwal_create(path, &options), 0);
    assert_int_equal(dwal_open(path, &options, &log), 0);
    return log;
}

static inline dwal *open_again(void)
{
    struct dwal_options options = journal_options(0);
    options.volume_size = 0;
    dwal *log = NULL;
    assert_int_equal(dwal_open(path, &options, &log), 0);
    return log;
}

/* Returns the end; the place goes to lsns and ends. */
static inline uint64_t append(dwal *log, const char *metadata, const void *data, size_t size)
{
    struct iovec parts[2] = {{.iov_len = metadata ? strlen(metadata) : 0}, {.iov_len = size}};
    memcpy(&parts[0].iov_base, &metadata, sizeof metadata);
    memcpy(&parts[1].iov_base, &data, sizeof data);
    struct dwal_entry entry = {
        .metadata = &parts[0], .metadata_count = metadata ? 1 : 0, .data = &parts[1], .data_count = data ? 1 : 0};
    assert_true(lsn_count < sizeof lsns / sizeof lsns[0]);
    assert_int_equal(dwal_append(log, &entry, &lsns[lsn_count], &ends[lsn_count]), 0);
    return ends[lsn_count++];
}

static inline uint64_t commit(dwal *log, const char *metadata, const void *data, size_t size)
{
    uint64_t end = append(log, metadata, data, size);
    assert_int_equal(dwal_sync(log, end), 0);
    return lsns[lsn_count - 1];
}

static inline void expect_entry(dwal *log, uint64_t lsn, const char *metadata, const void *data, size_t size)
{
    static char buffer[4 * JOURNAL_VOLUME];
    struct dwal_record record;
    size_t metadata_size = metadata ? strlen(metadata) : 0;
    assert_int_equal(dwal_read(log, lsn, buffer, sizeof buffer, &record), 0);
    assert_int_equal(record.metadata_size, metadata_size);
    assert_int_equal(record.data_size, size);
    if (metadata_size > 0)
        assert_memory_equal(record.metadata, metadata, metadata_size);
    if (size > 0)
        assert_memory_equal(record.data, data, size);
}

/* Append entries of `size` bytes, each full of its number's low byte, until `count` volumes are full; all durable. */
static inline void fill_volumes(dwal *log, uint32_t count, size_t size)
{
    static char bytes[JOURNAL_VOLUME];
    struct dwal_stats *stats = test_calloc(1, sizeof *stats);
    stats->size = sizeof *stats;
    uint64_t end = 0;
    do {
        memset(bytes, (int)(lsn_count & 0xff), size);
        end = append(log, NULL, bytes, size);
        if (lsn_count % 64 == 0)
            assert_int_equal(dwal_sync(log, end), 0);
        assert_int_equal(dwal_get_stats(log, stats), 0);
    } while (stats->tocs_written < count);
    assert_int_equal(dwal_sync(log, end), 0);
    test_free(stats);
}

static inline void wait_for_blanks(dwal *log, uint32_t count)
{
    struct dwal_info info = {.size = sizeof info};
    (void)log;
    for (int i = 0; i < 2000; i++) {
        assert_int_equal(dwal_get_info(path, NULL, &info), 0);
        if (info.blanks_ready >= count)
            return;
        struct timespec pause = {.tv_nsec = 5000000};
        nanosleep(&pause, NULL);
    }
    fail_msg("%u blanks after ten seconds, and not %u", info.blanks_ready, count);
}

static inline int journal_set_up(void **state)
{
    (void)state;
    dw_tmpdir_make(directory, "journal");
    (void)snprintf(path, sizeof path, "%s/log", directory);
    calls = table_excess = 0;
    lsn_count = 0;
    return 0;
}

static inline int journal_tear_down(void **state)
{
    (void)state;
    dw_tmpdir_remove(directory);
    return 0;
}

#endif
