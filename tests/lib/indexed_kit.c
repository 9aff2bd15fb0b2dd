/* indexed_kit.c - see indexed_kit.h. */
#include "tests/lib/indexed_kit.h"

#include <stdlib.h>
#include <string.h>

static struct dwal_options base;

struct dwal_options *dw_indexed_kit_base(void)
{
    return &base;
}

struct dwal_indexed_options dw_indexed_kit_options(void)
{
    struct dwal_indexed_options options = DWAL_INDEXED_OPTIONS_INIT;
    base = dw_log_kit_options();
    options.base = &base;
    return options;
}

dwal_indexed *dw_indexed_kit_open(void)
{
    struct dwal_indexed_options options = dw_indexed_kit_options();
    dwal_indexed *log = NULL;
    base.volume_size = base.blanks = 0;
    if (dwal_indexed_open(dw_log_kit_path, &options, &log) < 0)
        fail_msg("open: %s", dwal_last_error()->text);
    return log;
}

dwal_indexed *dw_indexed_kit_create(void)
{
    struct dwal_indexed_options options = dw_indexed_kit_options();
    if (dwal_indexed_create(dw_log_kit_path, &options) < 0)
        fail_msg("create: %s", dwal_last_error()->text);
    return dw_indexed_kit_open();
}

void dw_indexed_kit_close(dwal_indexed *log)
{
    if (dwal_indexed_close(log) < 0)
        fail_msg("close: %s", dwal_last_error()->text);
}

size_t dw_indexed_kit_bytes(uint64_t index, uint32_t generation, uint8_t *bytes)
{
    size_t size = 16 + (size_t)(index * 131 % 700);
    memset(bytes, (int)((index + generation * 7u) % 251), size);
    memcpy(bytes, &index, sizeof index);
    memcpy(bytes + sizeof index, &generation, sizeof generation);
    return size;
}

void dw_indexed_kit_store(dwal_indexed *log, uint64_t from, uint64_t to, uint32_t generation, size_t batch)
{
    struct dwal_indexed_entry *entries = calloc(batch, sizeof *entries);
    uint8_t *bytes = malloc(batch * DW_INDEXED_KIT_SIZE_MAX);
    assert_true(entries && bytes);
    for (uint64_t index = from; index <= to;) {
        size_t count = 0;
        for (; count < batch && index <= to; count++, index++) {
            uint8_t *at = bytes + count * DW_INDEXED_KIT_SIZE_MAX;
            entries[count] = (struct dwal_indexed_entry){
                .index = index, .data = at, .size = dw_indexed_kit_bytes(index, generation, at)};
        }
        if (dwal_indexed_store(log, entries, count) < 0)
            fail_msg("store: %s", dwal_last_error()->text);
    }
    free(bytes);
    free(entries);
}

static void expect_bytes(uint64_t index, uint32_t generation, const struct dwal_indexed_record *record)
{
    uint8_t expected[DW_INDEXED_KIT_SIZE_MAX];
    size_t size = dw_indexed_kit_bytes(index, generation, expected);
    if (record->index != index || record->size != size || memcmp(record->data, expected, size) != 0)
        fail_msg("entry %llu differs: index %llu, %zu bytes", (unsigned long long)index,
                 (unsigned long long)record->index, record->size);
}

void dw_indexed_kit_expect(dwal_indexed *log, uint64_t index, uint32_t generation)
{
    uint8_t buffer[DW_INDEXED_KIT_SIZE_MAX];
    struct dwal_indexed_record record;
    if (dwal_indexed_get(log, index, buffer, sizeof buffer, &record) < 0)
        fail_msg("get %llu: %s", (unsigned long long)index, dwal_last_error()->text);
    expect_bytes(index, generation, &record);
}

void dw_indexed_kit_expect_none(dwal_indexed *log, uint64_t index)
{
    uint8_t buffer[DW_INDEXED_KIT_SIZE_MAX];
    struct dwal_indexed_record record;
    assert_int_equal(dwal_indexed_get(log, index, buffer, sizeof buffer, &record), DWAL_EINDEX_NONE);
}

void dw_indexed_kit_expect_all(dwal_indexed *log, uint64_t first, uint64_t last, uint64_t from, uint32_t generation)
{
    uint64_t seen_first, seen_last;
    assert_int_equal(dwal_indexed_bounds(log, &seen_first, &seen_last), 0);
    assert_int_equal(seen_first, first);
    assert_int_equal(seen_last, last);
    if (first > 1)
        dw_indexed_kit_expect_none(log, first - 1);
    dw_indexed_kit_expect_none(log, last + 1);
    if (last == 0)
        return;
    dwal_indexed_cursor *cursor;
    struct dwal_indexed_record record;
    assert_int_equal(dwal_indexed_cursor_open(log, first, &cursor), 0);
    for (uint64_t index = first; index <= last; index++) {
        uint32_t expected = index >= from ? generation : 0;
        if (dwal_indexed_cursor_next(cursor, &record) < 0)
            fail_msg("cursor at %llu: %s", (unsigned long long)index, dwal_last_error()->text);
        expect_bytes(index, expected, &record);
        dw_indexed_kit_expect(log, index, expected);
    }
    assert_int_equal(dwal_indexed_cursor_next(cursor, &record), DWAL_EEND);
    dwal_indexed_cursor_close(cursor);
}

struct dwal_indexed_stats dw_indexed_kit_stats(dwal_indexed *log)
{
    struct dwal_indexed_stats stats = {.size = sizeof stats};
    assert_int_equal(dwal_indexed_get_stats(log, &stats), 0);
    return stats;
}

uint64_t dw_indexed_kit_device_reads(dwal_indexed *log)
{
    static struct dwal_stats stats;
    stats.size = sizeof stats;
    assert_int_equal(dwal_get_stats(dwal_indexed_base(log), &stats), 0);
    return stats.device_reads;
}
