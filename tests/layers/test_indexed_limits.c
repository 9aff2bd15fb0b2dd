/* test_indexed_limits.c - the last indexes that there are, and calls at the edge of what a log holds. */
#include <string.h>

#include "tests/lib/indexed_kit.h"

static const uint64_t highest = UINT64_MAX - 1;

static int store(dwal_indexed *log, uint64_t index)
{
    uint8_t bytes[DW_INDEXED_KIT_SIZE_MAX];
    struct dwal_indexed_entry entry = {.index = index, .data = bytes, .size = dw_indexed_kit_bytes(index, 0, bytes)};
    return dwal_indexed_store(log, &entry, 1);
}

static void expect_end(dwal_indexed *log, uint64_t first)
{
    uint64_t seen_first, seen_last;
    dwal_indexed_cursor *cursor;
    struct dwal_indexed_record record;
    assert_int_equal(dwal_indexed_bounds(log, &seen_first, &seen_last), 0);
    assert_true(seen_first == first && seen_last == highest);
    for (uint64_t index = first; index <= highest; index++)
        dw_indexed_kit_expect(log, index, 0);
    dw_indexed_kit_expect_none(log, UINT64_MAX);
    assert_int_equal(dwal_indexed_cursor_open(log, highest, &cursor), 0);
    assert_int_equal(dwal_indexed_cursor_next(cursor, &record), 0);
    assert_true(record.index == highest);
    assert_int_equal(dwal_indexed_cursor_next(cursor, &record), DWAL_EEND);
    assert_int_equal(dwal_indexed_cursor_next(cursor, &record), DWAL_EEND);
    dwal_indexed_cursor_close(cursor);
}

static void a_log_holds_the_highest_index(void **state)
{
    (void)state;
    dwal_indexed *log = dw_indexed_kit_create();
    for (uint64_t index = highest - 4; index <= highest; index++)
        assert_int_equal(store(log, index), 0);
    assert_int_equal(store(log, UINT64_MAX), DWAL_EARGUMENT);
    assert_int_equal(store(log, 0), DWAL_EARGUMENT);
    assert_int_equal(store(log, 1), DWAL_EINDEX_GAP);
    expect_end(log, highest - 4);
    dw_indexed_kit_close(log);
    log = dw_indexed_kit_open();
    expect_end(log, highest - 4);
    assert_int_equal(dwal_indexed_delete_range(log, 0, highest - 4), 0);
    assert_int_equal(dwal_indexed_truncate_back(log, UINT64_MAX), 0);
    expect_end(log, highest - 3);
    assert_int_equal(dwal_indexed_delete_range(log, highest, UINT64_MAX), 0);
    assert_true(dwal_indexed_last(log) == highest - 1);
    assert_int_equal(store(log, highest), 0);
    expect_end(log, highest - 3);
    dw_indexed_kit_close(log);
    log = dw_indexed_kit_open();
    expect_end(log, highest - 3);
    dw_indexed_kit_close(log);
}

static void a_log_that_was_emptied_at_its_end_goes_on_anywhere(void **state)
{
    (void)state;
    dwal_indexed *log = dw_indexed_kit_create();
    for (int how = 0; how < 4; how++) {
        assert_int_equal(store(log, highest), 0);
        int result = how == 0   ? dwal_indexed_truncate_front(log, UINT64_MAX)
                     : how == 1 ? dwal_indexed_delete_range(log, 0, UINT64_MAX)
                     : how == 2 ? dwal_indexed_delete_range(log, highest, highest)
                                : dwal_indexed_reset(log);
        assert_int_equal(result, 0);
        dw_indexed_kit_expect_all(log, 0, 0, 0, 0);
        dw_indexed_kit_close(log);
        log = dw_indexed_kit_open();
        dw_indexed_kit_expect_all(log, 0, 0, 0, 0);
        assert_int_equal(store(log, 1), 0);
        dw_indexed_kit_expect_all(log, 1, 1, 0, 0);
        dw_indexed_kit_close(log);
        log = dw_indexed_kit_open();
        dw_indexed_kit_expect_all(log, 1, 1, 0, 0);
        assert_int_equal(dwal_indexed_reset(log), 0);
    }
    dw_indexed_kit_close(log);
}

static void empty_entries_are_entries(void **state)
{
    (void)state;
    struct dwal_indexed_entry entries[100] = {{0}};
    struct dwal_indexed_record record;
    dwal_indexed *log = dw_indexed_kit_create();
    for (uint64_t i = 0; i < 100; i++)
        entries[i].index = 7 + i;
    assert_int_equal(dwal_indexed_store(log, entries, 100), 0);
    dw_indexed_kit_close(log);
    log = dw_indexed_kit_open();
    assert_int_equal(dwal_indexed_truncate_front(log, 50), 0);
    for (uint64_t index = 50; index < 107; index++) {
        assert_int_equal(dwal_indexed_get(log, index, NULL, 0, &record), 0);
        assert_true(record.index == index && record.size == 0 && record.data != NULL);
    }
    dw_indexed_kit_expect_none(log, 49);
    dw_indexed_kit_close(log);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        DW_LOG_KIT_TEST(a_log_holds_the_highest_index),
        DW_LOG_KIT_TEST(a_log_that_was_emptied_at_its_end_goes_on_anywhere),
        DW_LOG_KIT_TEST(empty_entries_are_entries),
    };
    dw_log_kit_backend = "sync";
    return cmocka_run_group_tests(tests, NULL, NULL);
}
