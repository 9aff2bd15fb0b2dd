/* test_writer_threads.c - the write room alone: markers, recent blocks, and many threads at once. */
#include "tests/write/writer_kit.h"

static void marker_is_written_once_on_an_idle_log(void **state)
{
    (void)state;
    set_up(512, 1 << 20, 2, 64, true);
    uint64_t lsn, end = 0;
    assert_false(dw_flush_marker(writer)); /* nothing to witness */
    assert_int_equal(append(1, 0, 100, &lsn, &end), 0);
    assert_false(dw_flush_marker(writer)); /* not idle */
    assert_int_equal(dw_writer_sync(writer, end, UINT64_MAX), 0);
    assert_true(dw_flush_marker(writer));
    assert_false(dw_flush_marker(writer));
    struct dw_block_info info = back_info(1);
    assert_int_equal(info.flags, DW_BLOCK_MARKER);
    assert_int_equal(info.watermark, 1);
    assert_int_equal(info.fill, 0);
    tear_down();
}

static void recent_blocks_come_from_the_ring_until_overwritten(void **state)
{
    (void)state;
    set_up(512, 1 << 20, 2, 8, false);
    uint64_t lsn, end = 0;
    uint8_t block[4096];
    for (uint64_t i = 0; i < 20; i++) {
        assert_int_equal(append(i, 0, 3000, &lsn, &end), 0);
        assert_int_equal(dw_writer_sync(writer, end, UINT64_MAX), 0);
        assert_true(dw_writer_copy_block(writer, i, block));
        assert_memory_equal(block, back_block(i), 4096);
        if (i >= 8)
            assert_false(dw_writer_copy_block(writer, i - 8, block));
    }
    tear_down();
}

/* The flusher looks, finds no room for the marker, and before it parks the next volume is claimed: nobody calls it then. */
static void marker_comes_when_room_for_it_does(void **state)
{
    (void)state;
    set_up(512, 1 << 18, 3, 64, true);
    fake.claims_on_demand = false;
    uint64_t lsn, end = 0;
    for (uint64_t i = 0; i < 2 * fake.geometry.data_blocks; i++) {
        assert_int_equal(append(i, 0, 3000, &lsn, &end), 0);
        assert_int_equal(dw_writer_sync(writer, end, UINT64_MAX), 0);
    }
    fake.claims_behind_a_look = true;
    writer->options.marker_delay_ns = 1000000;
    has_flusher = true;
    assert_int_equal(pthread_create(&flusher, NULL, run_flusher, writer), 0);
    for (int i = 0; i < 10000 && atomic_load(&writer->counts.markers) == 0; i++)
        usleep(1000);
    assert_int_equal(atomic_load(&writer->counts.markers), 1);
    tear_down();
}

/* ---- many threads -------------------------------------------------------------------------------------------------------------- */

#define THREADS 6
#define EACH    700

static void *commit_many(void *context)
{
    uint64_t id = (uint64_t)(uintptr_t)context;
    for (uint64_t i = 0; i < EACH; i++) {
        uint64_t lsn, end, seed = id << 32 | i;
        assert_int_equal(append(seed, 8, (uint32_t)((seed * 7919) % 1500), &lsn, &end), 0);
        if (i % 3 != 0) {
            assert_int_equal(dw_writer_sync(writer, end, UINT64_MAX), 0);
            assert_true(dw_durable_lsn(&writer->durable) >= end);
        }
    }
    return NULL;
}

static void many_threads_lose_nothing_and_keep_their_own_order(void **state)
{
    (void)state;
    set_up(512, 1 << 19, 30, 32, false);
    pthread_t threads[THREADS];
    for (uintptr_t i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, commit_many, (void *)i), 0);
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    uint64_t end = atomic_load(&writer->ring.tail);
    assert_int_equal(dw_writer_sync(writer, end, UINT64_MAX), 0);
    struct back back = back_start();
    struct dw_record_info info;
    uint8_t *bytes;
    uint64_t lsn, next[THREADS] = {0};
    while (back_next(&back, &info, &bytes, &lsn)) {
        uint8_t expected[2048];
        bool is_found = false;
        for (uint64_t id = 0; id < THREADS && !is_found; id++) {
            uint64_t seed = id << 32 | next[id];
            if ((uint16_t)seed != info.user || (seed * 7919) % 1500 != info.data_size)
                continue;
            fill(expected, info.metadata_size + info.data_size, seed);
            if (memcmp(expected, bytes, info.metadata_size + info.data_size) == 0) {
                next[id]++;
                is_found = true;
            }
        }
        assert_true(is_found);
        free(bytes);
    }
    assert_int_equal(back.records, THREADS * EACH);
    check_written_once();
    tear_down();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(marker_is_written_once_on_an_idle_log),
        cmocka_unit_test(marker_comes_when_room_for_it_does),
        cmocka_unit_test(recent_blocks_come_from_the_ring_until_overwritten),
        cmocka_unit_test(many_threads_lose_nothing_and_keep_their_own_order),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
