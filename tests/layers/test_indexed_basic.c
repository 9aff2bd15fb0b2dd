/* test_indexed_basic.c - the indexed log's calls, one promise a test. The numbers are those of the table of behaviours in
 * core/layers/README.md. */
#include <stdlib.h>
#include <string.h>

#include "tests/lib/indexed_kit.h"

static int store_one(dwal_indexed *log, uint64_t index, const void *data, size_t size)
{
    struct dwal_indexed_entry entry = {.index = index, .data = data, .size = size};
    return dwal_indexed_store(log, &entry, 1);
}

static void R6_an_empty_log_has_bounds_0_and_outside_is_none(void **state)
{
    (void)state;
    dwal_indexed *log = dw_indexed_kit_create();
    dw_indexed_kit_expect_all(log, 0, 0, 0, 0);
    assert_int_equal(dwal_indexed_first(log), 0);
    assert_int_equal(dwal_indexed_last(log), 0);
    dw_indexed_kit_store(log, 5, 9, 0, 1);
    dw_indexed_kit_expect_all(log, 5, 9, 0, 0);
    assert_int_equal(dwal_indexed_first(log), 5);
    assert_int_equal(dwal_indexed_last(log), 9);
    dw_indexed_kit_expect_none(log, 0);
    dw_indexed_kit_expect_none(log, UINT64_MAX);
    assert_non_null(strstr(dwal_last_error()->text, "5 to 9"));
    dw_indexed_kit_close(log);
}

/* The original checks the length only when it reads: what it acknowledged it cannot give back. */
static void R6_an_entry_above_the_limit_is_refused_at_store(void **state)
{
    (void)state;
    size_t size = DWAL_INDEXED_ENTRY_SIZE_MAX;
    uint8_t *bytes = malloc(size + 1), *buffer = malloc(size);
    assert_true(bytes && buffer);
    memset(bytes, 0x5a, size + 1);
    dwal_indexed *log = dw_indexed_kit_create();
    assert_int_equal(store_one(log, 1, bytes, size + 1), DWAL_ETOOBIG);
    assert_int_equal(dwal_indexed_last(log), 0);
    assert_int_equal(store_one(log, 1, bytes, size), 0); /* exactly 64 MiB, through a ring of 256 KiB */
    struct dwal_indexed_record record;
    assert_int_equal(dwal_indexed_get(log, 1, buffer, 10, &record), DWAL_EBUFFER);
    assert_int_equal(record.size, size);
    assert_int_equal(dwal_indexed_get(log, 1, buffer, size, &record), 0);
    assert_memory_equal(buffer, bytes, size);
    dw_indexed_kit_store(log, 2, 4, 0, 1);
    dw_indexed_kit_close(log);
    log = dw_indexed_kit_open();
    assert_int_equal(dwal_indexed_get(log, 1, buffer, size, &record), 0);
    assert_memory_equal(buffer, bytes, size);
    dw_indexed_kit_expect(log, 4, 0);
    dw_indexed_kit_close(log);
    free(bytes);
    free(buffer);
}

static void R6_after_stop_every_call_says_closed_and_stop_twice_is_fine(void **state)
{
    (void)state;
    dwal_indexed *log = dw_indexed_kit_create();
    dw_indexed_kit_store(log, 1, 3, 0, 3);
    uint64_t first, last, number;
    uint8_t buffer[DW_INDEXED_KIT_SIZE_MAX];
    size_t size;
    struct dwal_indexed_record record;
    struct dwal_indexed_entry entry = {.index = 4};
    dwal_indexed_cursor *cursor;
    assert_int_equal(dwal_indexed_stop(log), 0);
    assert_int_equal(dwal_indexed_stop(log), 0);
    assert_int_equal(dwal_indexed_bounds(log, &first, &last), DWAL_EINDEX_CLOSED);
    assert_int_equal(dwal_indexed_first(log), 0);
    assert_int_equal(dwal_indexed_get(log, 1, buffer, sizeof buffer, &record), DWAL_EINDEX_CLOSED);
    assert_int_equal(dwal_indexed_cursor_open(log, 1, &cursor), DWAL_EINDEX_CLOSED);
    assert_int_equal(dwal_indexed_store(log, &entry, 1), DWAL_EINDEX_CLOSED);
    assert_int_equal(dwal_indexed_append(log, &entry, 1, NULL), DWAL_EINDEX_CLOSED);
    assert_int_equal(dwal_indexed_sync(log, 1), DWAL_EINDEX_CLOSED);
    assert_int_equal(dwal_indexed_truncate_front(log, 2), DWAL_EINDEX_CLOSED);
    assert_int_equal(dwal_indexed_truncate_back(log, 2), DWAL_EINDEX_CLOSED);
    assert_int_equal(dwal_indexed_delete_range(log, 1, 2), DWAL_EINDEX_CLOSED);
    assert_int_equal(dwal_indexed_reset(log), DWAL_EINDEX_CLOSED);
    assert_int_equal(dwal_indexed_set(log, "k", 1, "v", 1), DWAL_EINDEX_CLOSED);
    assert_int_equal(dwal_indexed_value(log, "k", 1, buffer, 1, &size, NULL), DWAL_EINDEX_CLOSED);
    assert_int_equal(dwal_indexed_value_u64(log, "k", 1, &number), DWAL_EINDEX_CLOSED);
    assert_null(dwal_indexed_base(log));
    assert_int_equal(dwal_indexed_close(log), 0);
    assert_int_equal(dwal_indexed_close(NULL), 0);
}

static void R7_the_first_store_may_be_anywhere_but_not_at_0(void **state)
{
    (void)state;
    dwal_indexed *log = dw_indexed_kit_create();
    assert_int_equal(store_one(log, 0, "x", 1), DWAL_EARGUMENT);
    assert_int_equal(store_one(log, UINT64_MAX, "x", 1), DWAL_EARGUMENT);
    uint64_t at = UINT64_C(1) << 63;
    dw_indexed_kit_store(log, at, at + 20, 0, 7);
    dw_indexed_kit_expect_all(log, at, at + 20, 0, 0);
    dw_indexed_kit_close(log);
    log = dw_indexed_kit_open();
    dw_indexed_kit_expect_all(log, at, at + 20, 0, 0);
    dw_indexed_kit_close(log);
}

static void R7_gaps_are_refused_with_the_index_that_is_due(void **state)
{
    (void)state;
    dwal_indexed *log = dw_indexed_kit_create();
    assert_int_equal(dwal_indexed_store(log, NULL, 0), 0); /* an empty batch is nothing */
    dw_indexed_kit_store(log, 3, 10, 0, 8);
    assert_int_equal(store_one(log, 12, "x", 1), DWAL_EINDEX_GAP);
    assert_non_null(strstr(dwal_last_error()->text, "11 is due"));
    assert_int_equal(store_one(log, 10, "x", 1), DWAL_EINDEX_GAP);
    struct dwal_indexed_entry inner[3] = {{11, "a", 1}, {13, "b", 1}, {14, "c", 1}};
    assert_int_equal(dwal_indexed_store(log, inner, 3), DWAL_EINDEX_GAP);
    dw_indexed_kit_expect_all(log, 3, 10, 0, 0); /* nothing of it was stored */
    dw_indexed_kit_store(log, 11, 12, 0, 1);
    dw_indexed_kit_expect_all(log, 3, 12, 0, 0);
    assert_int_equal(dwal_indexed_reset(log), 0);
    struct dwal_indexed_entry empty[2] = {{7, "a", 1}, {9, "b", 1}};
    assert_int_equal(dwal_indexed_store(log, empty, 2), DWAL_EINDEX_GAP);
    dw_indexed_kit_expect_all(log, 0, 0, 0, 0);
    dw_indexed_kit_close(log);
}

static void R7_one_sync_for_a_batch(void **state)
{
    (void)state;
    static struct dwal_stats before, after;
    dwal_indexed *log = dw_indexed_kit_create();
    before.size = after.size = sizeof before;
    dw_indexed_kit_store(log, 1, 1, 0, 1);
    assert_int_equal(dwal_get_stats(dwal_indexed_base(log), &before), 0);
    dw_indexed_kit_store(log, 2, 31, 0, 30); /* about 11 KiB */
    assert_int_equal(dwal_get_stats(dwal_indexed_base(log), &after), 0);
    assert_int_equal(after.syncs - before.syncs, 1);
    assert_in_range(after.writes - after.markers - (before.writes - before.markers), 1, 2);
    dw_indexed_kit_close(log);
}

static void R14_truncate_front_moves_the_first_index(void **state)
{
    (void)state;
    dwal_indexed *log = dw_indexed_kit_create();
    assert_int_equal(dwal_indexed_truncate_front(log, 7), 0); /* an empty log stays as it is */
    dw_indexed_kit_store(log, 1, 2000, 0, 100);
    assert_int_equal(dwal_indexed_truncate_front(log, 1), 0);
    dw_indexed_kit_expect_all(log, 1, 2000, 0, 0);
    assert_int_equal(dwal_indexed_truncate_front(log, 1500), 0);
    dw_indexed_kit_expect_all(log, 1500, 2000, 0, 0);
    assert_int_equal(dwal_indexed_truncate_front(log, 3), 0); /* below the first: nothing */
    dw_indexed_kit_expect_all(log, 1500, 2000, 0, 0);
    dw_indexed_kit_close(log);
    log = dw_indexed_kit_open();
    dw_indexed_kit_expect_all(log, 1500, 2000, 0, 0);
    struct dwal_volume volume = {.size = sizeof volume};
    assert_int_equal(dwal_volume_from(dwal_indexed_base(log), 0, &volume), 0);
    assert_true(dwal_first(dwal_indexed_base(log)) > 0); /* volumes were given back */
    dw_indexed_kit_close(log);
}

static void R14_beyond_the_last_the_log_is_empty_and_goes_on_anywhere(void **state)
{
    (void)state;
    dwal_indexed *log = dw_indexed_kit_create();
    dw_indexed_kit_store(log, 1, 100, 0, 10);
    assert_int_equal(dwal_indexed_truncate_front(log, 5000), 0);
    dw_indexed_kit_expect_all(log, 0, 0, 0, 0);
    dw_indexed_kit_close(log);
    log = dw_indexed_kit_open();
    dw_indexed_kit_expect_all(log, 0, 0, 0, 0);
    dw_indexed_kit_store(log, 40, 60, 1, 7);
    dw_indexed_kit_expect_all(log, 40, 60, 40, 1);
    dw_indexed_kit_close(log);
    log = dw_indexed_kit_open();
    dw_indexed_kit_expect_all(log, 40, 60, 40, 1);
    dw_indexed_kit_close(log);
}

static void R15_truncate_back_moves_the_last_index(void **state)
{
    (void)state;
    dwal_indexed *log = dw_indexed_kit_create();
    dw_indexed_kit_store(log, 10, 2000, 0, 100);
    assert_int_equal(dwal_indexed_truncate_back(log, 2000), 0);
    assert_int_equal(dwal_indexed_truncate_back(log, 3000), 0);
    dw_indexed_kit_expect_all(log, 10, 2000, 0, 0);
    assert_int_equal(dwal_indexed_truncate_back(log, 9), DWAL_EINDEX_NONE);
    assert_non_null(strstr(dwal_last_error()->text, "10 to 2000"));
    assert_non_null(strstr(dwal_last_error()->text, "index 9"));
    assert_int_equal(dwal_indexed_truncate_back(log, 700), 0);
    dw_indexed_kit_expect_all(log, 10, 700, 0, 0);
    dw_indexed_kit_store(log, 701, 1200, 1, 50);
    dw_indexed_kit_expect_all(log, 10, 1200, 701, 1);
    dw_indexed_kit_close(log);
    log = dw_indexed_kit_open();
    dw_indexed_kit_expect_all(log, 10, 1200, 701, 1);
    dw_indexed_kit_close(log);
}

/* As issue 31 of the original was met: a follower clears its last entry alone, the process is restarted, and the first entry
 * cannot be read ("sealed segment has no index block"). */
static void R15_the_first_entry_is_read_after_the_last_was_cleared(void **state)
{
    (void)state;
    dwal_indexed *log = dw_indexed_kit_create();
    dw_indexed_kit_store(log, 1, 424, 0, 1);
    assert_int_equal(dwal_indexed_delete_range(log, 424, 424), 0);
    dw_indexed_kit_close(log);
    log = dw_indexed_kit_open();
    dw_indexed_kit_expect_all(log, 1, 423, 0, 0);
    dw_indexed_kit_store(log, 424, 430, 1, 7);
    dw_indexed_kit_expect_all(log, 1, 430, 424, 1);
    dw_indexed_kit_close(log);
}

/* The original and its fork, issue 31: the volume that a truncation of the back cut inside had no index of its own when it
 * was opened again, and could not be read. */
static void R15_a_volume_cut_inside_is_read_after_reopen(void **state)
{
    (void)state;
    dwal_indexed *log = dw_indexed_kit_create();
    uint64_t last = 0;
    for (uint32_t round = 0; round < 30; round++) {
        dw_indexed_kit_store(log, last + 1, last + 120, 0, 40);
        last += 120 - 37;
        assert_int_equal(dwal_indexed_truncate_back(log, last), 0);
        if (round % 3 == 0) {
            dw_indexed_kit_close(log);
            log = dw_indexed_kit_open();
        }
        dw_indexed_kit_expect_all(log, 1, last, 0, 0);
    }
    dw_indexed_kit_close(log);
}

static void R16_delete_range_takes_a_prefix_or_a_suffix(void **state)
{
    (void)state;
    dwal_indexed *log = dw_indexed_kit_create();
    assert_int_equal(dwal_indexed_delete_range(log, 1, 10), 0);
    dw_indexed_kit_store(log, 10, 100, 0, 10);
    assert_int_equal(dwal_indexed_delete_range(log, 30, 20), 0);
    assert_int_equal(dwal_indexed_delete_range(log, 1, 9), 0);
    assert_int_equal(dwal_indexed_delete_range(log, 101, 200), 0);
    dw_indexed_kit_expect_all(log, 10, 100, 0, 0);
    assert_int_equal(dwal_indexed_delete_range(log, 11, 99), DWAL_EINDEX_MIDDLE);
    assert_non_null(strstr(dwal_last_error()->text, "11 to 99"));
    assert_int_equal(dwal_indexed_delete_range(log, 5, 19), 0);
    dw_indexed_kit_expect_all(log, 20, 100, 0, 0);
    assert_int_equal(dwal_indexed_delete_range(log, 91, 100), 0);
    dw_indexed_kit_expect_all(log, 20, 90, 0, 0);
    assert_int_equal(dwal_indexed_delete_range(log, 81, 500), 0);
    dw_indexed_kit_expect_all(log, 20, 80, 0, 0);
    assert_int_equal(dwal_indexed_delete_range(log, 20, 80), 0);
    dw_indexed_kit_expect_all(log, 0, 0, 0, 0);
    dw_indexed_kit_store(log, 200, 210, 0, 11);
    assert_int_equal(dwal_indexed_delete_range(log, 1, UINT64_MAX), 0);
    dw_indexed_kit_expect_all(log, 0, 0, 0, 0);
    dw_indexed_kit_close(log);
}

static void R20_values_survive_and_missing_ones_are_nothing(void **state)
{
    (void)state;
    char buffer[64];
    size_t size;
    bool is_found;
    uint64_t number;
    dwal_indexed *log = dw_indexed_kit_create();
    assert_int_equal(dwal_indexed_value(log, "none", 4, buffer, sizeof buffer, &size, &is_found), 0);
    assert_int_equal(size, 0);
    assert_false(is_found);
    assert_int_equal(dwal_indexed_value_u64(log, "none", 4, &number), 0);
    assert_int_equal(number, 0);
    assert_int_equal(dwal_indexed_set(log, "vote", 4, "someone", 7), 0);
    assert_int_equal(dwal_indexed_set(log, "empty", 5, "", 0), 0);
    assert_int_equal(dwal_indexed_set(log, "gone", 4, "x", 1), 0);
    assert_int_equal(dwal_indexed_set(log, "gone", 4, NULL, 0), 0);
    assert_int_equal(dwal_indexed_set_u64(log, "term", 4, 41), 0);
    assert_int_equal(dwal_indexed_set_u64(log, "term", 4, 42), 0);
    for (int round = 0; round < 3; round++) {
        assert_int_equal(dwal_indexed_value(log, "vote", 4, buffer, sizeof buffer, &size, &is_found), 0);
        assert_int_equal(size, 7);
        assert_memory_equal(buffer, "someone", 7);
        assert_int_equal(dwal_indexed_value(log, "vote", 4, buffer, 3, &size, NULL), DWAL_EBUFFER);
        assert_int_equal(size, 7);
        assert_int_equal(dwal_indexed_value(log, "empty", 5, buffer, sizeof buffer, &size, &is_found), 0);
        assert_int_equal(size, 0);
        assert_true(is_found);
        assert_int_equal(dwal_indexed_value(log, "gone", 4, buffer, sizeof buffer, &size, &is_found), 0);
        assert_false(is_found);
        assert_int_equal(dwal_indexed_value_u64(log, "term", 4, &number), 0);
        assert_int_equal(number, 42);
        assert_int_equal(dwal_indexed_value_u64(log, "vote", 4, &number), DWAL_EINDEX_VALUE);
        dw_indexed_kit_close(log);
        log = dw_indexed_kit_open();
        if (round == 1) { /* far behind: other volumes hold the values' records */
            dw_indexed_kit_store(log, 1, 3000, 0, 100);
            assert_int_equal(dwal_indexed_reset(log), 0);
        }
    }
    static char large[DWAL_INDEXED_VALUES_MAX];
    assert_int_equal(dwal_indexed_set(log, "vote", 4, large, sizeof large), DWAL_ETOOBIG);
    assert_int_equal(dwal_indexed_set(log, large, DWAL_INDEXED_KEY_SIZE_MAX + 1, "", 0), DWAL_ETOOBIG);
    assert_int_equal(dwal_indexed_set(log, "", 0, "", 0), DWAL_EARGUMENT);
    dw_indexed_kit_close(log);
}

static void R21_the_log_is_monotonic(void **state)
{
    (void)state;
    dwal_indexed *log = dw_indexed_kit_create();
    assert_true(dwal_indexed_is_monotonic(log));
    dw_indexed_kit_store(log, 1, 5, 0, 5);
    assert_int_equal(store_one(log, 9, "x", 1), DWAL_EINDEX_GAP); /* a snapshot brought the caller to 8: */
    assert_int_equal(dwal_indexed_reset(log), 0);                 /* so it clears the log, */
    assert_int_equal(store_one(log, 9, "x", 1), 0);               /* and goes on */
    dw_indexed_kit_close(log);
}

static void R27_get_fills_the_callers_buffer(void **state)
{
    (void)state;
    dwal_indexed *log = dw_indexed_kit_create();
    assert_int_equal(store_one(log, 1, "hello", 5), 0);
    assert_int_equal(store_one(log, 2, NULL, 0), 0);
    char buffer[8] = "-------";
    struct dwal_indexed_record record;
    assert_int_equal(dwal_indexed_get(log, 1, buffer, sizeof buffer, &record), 0);
    assert_ptr_equal(record.data, buffer);
    assert_int_equal(record.size, 5);
    assert_memory_equal(buffer, "hello--", 7);
    assert_int_equal(dwal_indexed_get(log, 2, buffer, sizeof buffer, &record), 0);
    assert_int_equal(record.size, 0);
    assert_int_equal(dwal_indexed_get(log, 2, NULL, 0, &record), 0);
    assert_int_equal(dwal_indexed_get(log, 1, buffer, 4, &record), DWAL_EBUFFER);
    assert_int_equal(record.size, 5);
    assert_memory_equal(buffer, "hello--", 7);
    dw_indexed_kit_close(log);
}

static void appended_entries_are_seen_when_somebody_synced_them(void **state)
{
    (void)state;
    dwal_indexed *log = dw_indexed_kit_create();
    struct dwal_indexed_entry entry = {.index = 1, .data = "a", .size = 1};
    uint64_t end;
    assert_int_equal(dwal_indexed_append(log, &entry, 1, &end), 0);
    dw_indexed_kit_expect_none(log, 1);
    entry.index = 2;
    assert_int_equal(dwal_indexed_append(log, &entry, 1, NULL), 0);
    assert_int_equal(dwal_indexed_sync(log, end + 100000), DWAL_EARGUMENT);
    assert_int_equal(dwal_indexed_sync(log, end), 0);
    assert_int_equal(dwal_indexed_last(log), 2);
    entry.index = 3;
    assert_int_equal(dwal_indexed_append(log, &entry, 1, NULL), 0);
    entry.index = 4;
    assert_int_equal(dwal_indexed_store(log, &entry, 1), 0);
    assert_int_equal(dwal_indexed_last(log), 4);
    assert_int_equal(dwal_indexed_append(log, &entry, 0, &end), 0);
    assert_int_equal(dwal_indexed_sync(log, end), 0);
    dw_indexed_kit_close(log);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        DW_LOG_KIT_TEST(R6_an_empty_log_has_bounds_0_and_outside_is_none),
        DW_LOG_KIT_TEST(R6_an_entry_above_the_limit_is_refused_at_store),
        DW_LOG_KIT_TEST(R6_after_stop_every_call_says_closed_and_stop_twice_is_fine),
        DW_LOG_KIT_TEST(R7_the_first_store_may_be_anywhere_but_not_at_0),
        DW_LOG_KIT_TEST(R7_gaps_are_refused_with_the_index_that_is_due),
        DW_LOG_KIT_TEST(R7_one_sync_for_a_batch),
        DW_LOG_KIT_TEST(R14_truncate_front_moves_the_first_index),
        DW_LOG_KIT_TEST(R14_beyond_the_last_the_log_is_empty_and_goes_on_anywhere),
        DW_LOG_KIT_TEST(R15_truncate_back_moves_the_last_index),
        DW_LOG_KIT_TEST(R15_the_first_entry_is_read_after_the_last_was_cleared),
        DW_LOG_KIT_TEST(R15_a_volume_cut_inside_is_read_after_reopen),
        DW_LOG_KIT_TEST(R16_delete_range_takes_a_prefix_or_a_suffix),
        DW_LOG_KIT_TEST(R20_values_survive_and_missing_ones_are_nothing),
        DW_LOG_KIT_TEST(R21_the_log_is_monotonic),
        DW_LOG_KIT_TEST(R27_get_fills_the_callers_buffer),
        DW_LOG_KIT_TEST(appended_entries_are_seen_when_somebody_synced_them),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
