/* test_writer.c - the write room alone: what is appended lies on the disk as the format says, or is refused before it is reserved. */
#include "tests/write/writer_kit.h"

/* ---- tests ------------------------------------------------------------------------------------------------------------------- */

static void append_of_every_size_reads_back_in_order(void **state)
{
    (void)state;
    for (uint32_t sector = 512; sector <= 4096; sector *= 8) {
        set_up(sector, 1 << 20, 8, 64, false);
        uint64_t end = 0, lsn = 0, count = 0;
        for (uint32_t size = 0; size < 9000; size += size < 600 ? 1 : 97) {
            assert_int_equal(append(count, size % 37, size, &lsn, &end), 0);
            if (count % 5 == 0)
                assert_int_equal(dw_writer_sync(writer, end, UINT64_MAX), 0);
            count++;
        }
        assert_int_equal(dw_writer_sync(writer, end, UINT64_MAX), 0);
        struct back back = back_start();
        struct dw_record_info info;
        uint8_t *bytes, expected[16384];
        uint32_t size = 0;
        while (back_next(&back, &info, &bytes, &lsn)) {
            assert_int_equal(info.data_size, size);
            assert_int_equal(info.metadata_size, size % 37);
            fill(expected, info.metadata_size + info.data_size, back.records - 1);
            assert_memory_equal(bytes, expected, info.metadata_size + info.data_size);
            free(bytes);
            size += size < 600 ? 1 : 97;
        }
        assert_int_equal(back.records, count);
        check_written_once();
        tear_down();
    }
}

static void entry_larger_than_the_ring_streams_through_it_and_over_volumes(void **state)
{
    (void)state;
    set_up(512, 1 << 18, 40, 16, false);
    fake.pause_us = 100; /* slower than the copy, so that the appender has to wait for room */
    uint64_t lsn, end, from;
    assert_int_equal(append(1, 10, 100, &lsn, &end), 0);
    assert_int_equal(append(2, 1000, 3 << 20, &from, &end), 0); /* 48 rings, 12 volumes */
    assert_int_equal(append(3, 0, 5, &lsn, &end), 0);
    assert_int_equal(dw_writer_sync(writer, end, UINT64_MAX), 0);
    struct back back = back_start();
    struct dw_record_info info;
    uint8_t *bytes, *expected = malloc(4 << 20);
    for (uint64_t n = 1; back_next(&back, &info, &bytes, &lsn); n++) {
        if (n == 2)
            assert_int_equal(lsn, from);
        fill(expected, info.metadata_size + info.data_size, n);
        assert_memory_equal(bytes, expected, info.metadata_size + info.data_size);
        free(bytes);
    }
    free(expected);
    assert_int_equal(back.records, 3);
    assert_true(fake.volumes[1].is_spilling);
    assert_int_equal(fake.volumes[1].entry_count, 0);
    assert_int_equal(fake.volumes[1].first_lsn, DWAL_NO_LSN);
    assert_int_equal(fake.volumes[0].entry_count, 2);
    assert_true(writer->counts.reserve_waits > 0);
    tear_down();
}

static void batch_carries_more_on_all_but_its_last(void **state)
{
    (void)state;
    set_up(512, 1 << 20, 2, 64, false);
    uint8_t data[3000];
    memset(data, 7, sizeof data);
    struct iovec part = {data, sizeof data};
    struct dwal_entry entries[5];
    for (int i = 0; i < 5; i++)
        entries[i] = (struct dwal_entry){.data = &part, .data_count = 1, .user = (uint16_t)i};
    uint64_t lsns[5], end, lsn;
    assert_int_equal(dw_writer_append(writer, entries, 5, DW_APPEND_WAIT, lsns, &end), 0);
    assert_int_equal(dw_writer_sync(writer, end, UINT64_MAX), 0);
    struct back back = back_start();
    struct dw_record_info info;
    uint8_t *bytes;
    while (back_next(&back, &info, &bytes, &lsn)) {
        assert_int_equal(lsn, lsns[back.records - 1]);
        assert_int_equal(info.flags, back.records < 5 ? DW_RECORD_MORE : 0);
        assert_int_equal(info.user, back.records - 1);
        free(bytes);
    }
    assert_int_equal(back.records, 5);
    tear_down();
}

static void record_that_ends_at_the_end_of_a_block_or_volume_is_no_spill(void **state)
{
    (void)state;
    set_up(512, 1 << 18, 4, 64, false);
    uint32_t p = fake.geometry.payload_size;
    uint64_t lsn, end = 0;
    for (uint32_t block = 0; block < fake.geometry.data_blocks; block++)
        assert_int_equal(append(block, 0, p - DW_RECORD_HEADER_SIZE, &lsn, &end), 0);
    assert_int_equal(end, dw_end_lsn_of_volume(&fake.geometry, 0));
    assert_int_equal(append(99, 0, 1, &lsn, &end), 0);
    assert_int_equal(dw_writer_sync(writer, end, UINT64_MAX), 0);
    assert_false(fake.volumes[0].is_spilling);
    assert_int_equal(fake.volumes[0].entry_count, fake.geometry.data_blocks);
    assert_int_equal(fake.volumes[0].last_start_block, fake.geometry.data_blocks - 1);
    assert_int_equal(fake.volumes[1].first_lsn, lsn);
    assert_int_equal(atomic_load(&fake.head), 1);
    tear_down();
}

/* Records that were written, read back. */
static uint64_t count_back(void)
{
    struct back back = back_start();
    struct dw_record_info info;
    uint8_t *bytes;
    uint64_t lsn;
    while (back_next(&back, &info, &bytes, &lsn))
        free(bytes);
    return back.records;
}

/* Commit entries of `blocks` blocks each for as long as they begin in volume 0. Answers the lsn behind the last. */
static uint64_t commit_through_volume_0(uint32_t blocks, uint32_t *count)
{
    uint64_t lsn, end = 0;
    uint32_t size = (blocks - 1) * fake.geometry.payload_size;
    for (*count = 0; atomic_load(&writer->ring.tail) + size < dw_end_lsn_of_volume(&fake.geometry, 0); (*count)++) {
        assert_int_equal(append(*count, 0, size, &lsn, &end), 0);
        assert_int_equal(dw_writer_sync(writer, end, UINT64_MAX), 0);
    }
    return end;
}

static void a_commit_that_none_like_it_could_follow_fills_up_its_volume(void **state)
{
    (void)state;
    set_up(512, 1 << 20, 4, 1024, false);
    uint32_t count, blocks = fake.geometry.data_blocks;
    assert_int_equal(blocks % 5, 3);
    (void)commit_through_volume_0(5, &count);
    assert_int_equal(count, blocks / 5);
    assert_int_equal(atomic_load(&fake.writes), count);
    assert_int_equal(atomic_load(&writer->ring.tail), dw_end_lsn_of_volume(&fake.geometry, 0));
    assert_int_equal(atomic_load(&writer->counts.markers), 3);
    assert_int_equal(back_info(blocks - 4).flags, 0);
    for (uint32_t block = blocks - 3; block < blocks; block++)
        assert_int_equal(back_info(block).flags, DW_BLOCK_MARKER);
    assert_int_equal(atomic_load(&fake.head), 1);
    assert_int_equal(atomic_load(&fake.foreseen), 1);
    assert_false(fake.volumes[0].is_spilling);
    assert_int_equal(fake.volumes[0].entry_count, count);
    assert_int_equal(fake.volumes[0].last_start_block, (uint64_t)(count - 1) * 5);
    uint64_t lsn, end;
    assert_int_equal(append(count, 0, 100, &lsn, &end), 0);
    assert_int_equal(lsn, dw_end_lsn_of_volume(&fake.geometry, 0));
    assert_int_equal(dw_writer_sync(writer, end, UINT64_MAX), 0);
    assert_int_equal(count_back(), count + 1);
    check_written_once();
    tear_down();
}

static void a_volume_is_not_filled_up_for_nothing(void **state)
{
    (void)state;
    uint32_t count;
    uint64_t end;
    set_up(512, 1 << 20, 4, 1024, false); /* the rest is larger than a commit was */
    end = commit_through_volume_0(1, &count);
    assert_int_equal(count, fake.geometry.data_blocks);
    assert_int_equal(atomic_load(&writer->counts.markers), 0);
    assert_int_equal(atomic_load(&fake.foreseen), 1); /* one write before the end, and not again */
    tear_down();
    set_up(512, 1 << 20, 4, 1024, false); /* no next volume: what is left of this one is needed */
    fake.claims_on_demand = false;
    atomic_store(&fake.claimed, 0);
    end = commit_through_volume_0(5, &count);
    assert_int_equal(atomic_load(&writer->counts.markers), 0);
    assert_int_equal(append(99, 0, 100, &end, NULL), 0);
    assert_int_equal(end, dw_lsn_of_block(&fake.geometry, fake.geometry.data_blocks - 3));
    tear_down();
    set_up(512, 1 << 18, 4, 1024, false); /* a large part of a small volume */
    uint32_t blocks = fake.geometry.data_blocks;
    (void)commit_through_volume_0(blocks / 2 - 2, &count);
    assert_int_equal(atomic_load(&writer->counts.markers), 0);
    tear_down();
}

static void no_space_is_an_error_before_anything_is_reserved_and_heals(void **state)
{
    (void)state;
    set_up(512, 1 << 16, 4, 16, false);
    fake.claims_on_demand = false;
    uint64_t lsn, end, last = 0;
    int result = 0;
    uint32_t count = 0;
    while ((result = append(count, 0, 1000, &lsn, &end)) == 0) {
        last = end;
        count++;
    }
    assert_int_equal(result, DWAL_ENOSPACE);
    assert_int_equal(atomic_load(&writer->ring.tail), last);
    assert_int_equal(dw_writer_sync(writer, last, UINT64_MAX), 0);
    assert_int_equal(append(count, 0, 10000, &lsn, &end), DWAL_ENOSPACE);
    atomic_fetch_add(&fake.claimed, 1);
    dw_writer_on_space(writer);
    assert_int_equal(append(count++, 0, 1000, &lsn, &end), 0);
    assert_int_equal(dw_writer_sync(writer, end, UINT64_MAX), 0);
    assert_int_equal(count_back(), count);
    tear_down();
}

static void first_failed_write_stops_the_log_for_good(void **state)
{
    (void)state;
    set_up(512, 1 << 20, 2, 64, false);
    uint64_t lsn, end, kept;
    assert_int_equal(append(1, 0, 100, &lsn, &kept), 0);
    assert_int_equal(dw_writer_sync(writer, kept, UINT64_MAX), 0);
    fake.fail_at_write = 2;
    assert_int_equal(append(2, 0, 100, &lsn, &end), 0);
    assert_int_equal(dw_writer_sync(writer, end, UINT64_MAX), DWAL_EFAILED);
    assert_int_equal(dw_writer_sync(writer, end, 1000), DWAL_EFAILED);
    assert_int_equal(dw_writer_sync(writer, kept, UINT64_MAX), 0); /* what was acknowledged stays so */
    assert_int_equal(append(3, 0, 100, &lsn, &end), DWAL_EFAILED);
    assert_int_equal(atomic_load(&fake.writes), 2); /* never tried again */
    struct dwal_error error;
    assert_true(dw_durable_get_error(&writer->durable, &error));
    assert_int_equal(error.code, DWAL_EDEVICE);
    assert_int_equal(error.system_code, EIO);
    assert_int_equal(error.volume, 0);
    assert_int_equal(error.block, 1);
    tear_down();
}

static void failure_wakes_an_appender_that_waits_for_room(void **state)
{
    (void)state;
    set_up(512, 1 << 20, 2, 8, false);
    fake.fail_at_write = 1;
    uint64_t lsn, end = 0;
    int result = 0;
    for (int i = 0; i < 100 && result == 0; i++)
        result = append((uint64_t)i, 0, 3000, &lsn, &end);
    assert_int_equal(result, DWAL_EFAILED);
    tear_down();
}

static void too_big_parts_are_refused_without_reading_them(void **state)
{
    (void)state;
    set_up(512, 1 << 20, 2, 8, false);
    uint8_t byte = 0;
    struct iovec parts[2] = {{&byte, 0x7ffffffbu}, {&byte, 1}};
    struct dwal_entry entry = {.data = parts, .data_count = 2};
    assert_int_equal(dw_writer_append(writer, &entry, 1, DW_APPEND_WAIT, NULL, NULL), DWAL_ETOOBIG);
    parts[0].iov_len = SIZE_MAX;
    assert_int_equal(dw_writer_append(writer, &entry, 1, DW_APPEND_WAIT, NULL, NULL), DWAL_ETOOBIG);
    struct dwal_entry metadata = {.metadata = parts, .metadata_count = 1};
    assert_int_equal(dw_writer_append(writer, &metadata, 1, DW_APPEND_WAIT, NULL, NULL), DWAL_ETOOBIG);
    tear_down();
}

static void full_ring_answers_full_when_told_not_to_wait(void **state)
{
    (void)state;
    set_up(512, 1 << 20, 2, 8, true);
    uint8_t data[3000] = {0};
    struct iovec part = {data, sizeof data};
    struct dwal_entry entry = {.data = &part, .data_count = 1};
    int result = 0, count = 0;
    uint64_t end = 0;
    while ((result = dw_writer_append(writer, &entry, 1, DW_APPEND_NO_WAIT, NULL, &end)) == 0)
        count++;
    assert_int_equal(result, DWAL_EFULL);
    assert_int_equal(count, 8 * fake.geometry.payload_size / 3020);
    while (dw_flush_step(writer, false))
        ;
    dw_writer_flush(writer, end);
    while (dw_flush_step(writer, false))
        ;
    assert_int_equal(dw_writer_append(writer, &entry, 1, DW_APPEND_NO_WAIT, NULL, &end), 0);
    tear_down();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(append_of_every_size_reads_back_in_order),
        cmocka_unit_test(entry_larger_than_the_ring_streams_through_it_and_over_volumes),
        cmocka_unit_test(batch_carries_more_on_all_but_its_last),
        cmocka_unit_test(record_that_ends_at_the_end_of_a_block_or_volume_is_no_spill),
        cmocka_unit_test(a_commit_that_none_like_it_could_follow_fills_up_its_volume),
        cmocka_unit_test(a_volume_is_not_filled_up_for_nothing),
        cmocka_unit_test(no_space_is_an_error_before_anything_is_reserved_and_heals),
        cmocka_unit_test(first_failed_write_stops_the_log_for_good),
        cmocka_unit_test(failure_wakes_an_appender_that_waits_for_room),
        cmocka_unit_test(too_big_parts_are_refused_without_reading_them),
        cmocka_unit_test(full_ring_answers_full_when_told_not_to_wait),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
