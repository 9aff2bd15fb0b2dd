/* test_quick.c - the shortest ways of an append: whatever tag or block's end lies in a record's way, it reads back. */
#include "core/write/append.h"
#include "core/write/copy.h"
#include "tests/lib/vector.h"
#include "tests/write/writer_kit.h"

static uint64_t next_random(uint64_t *state)
{
    *state = *state * 6364136223846793005u + 1442695040888963407u;
    return *state >> 33;
}

/* Lengths up to `max`; most of them so that records end near the end of a sector. */
static size_t choose_length(uint64_t *random, uint64_t lsn, size_t max)
{
    uint64_t chance = next_random(random);
    if (chance % 4 == 0)
        return next_random(random) % (max + 1);
    uint32_t byte = dw_byte_of_payload(&fake.geometry, dw_offset_of_lsn(&fake.geometry, lsn));
    uint32_t left = fake.geometry.sector_size - byte % fake.geometry.sector_size;
    uint64_t near = left + next_random(random) % 49; /* of the record */
    return near < DW_RECORD_HEADER_SIZE + 24 || near - DW_RECORD_HEADER_SIZE - 24 > max
               ? next_random(random) % 64
               : (size_t)(near - DW_RECORD_HEADER_SIZE - 24);
}

static int append_quick(dw_append_one_fn *way, uint64_t seed, size_t size, uint64_t *lsn, uint64_t *end)
{
    uint8_t *bytes = malloc(size + 1); /* so that a sanitizer sees what is read behind its end */
    fill(bytes, size, seed);
    struct iovec part = {bytes, size};
    struct dwal_entry entry = {.data = &part, .data_count = 1, .user = (uint16_t)seed};
    int result = way(writer, &entry, lsn, end);
    free(bytes);
    return result;
}

/* The shortest ways are open only well below the end of the claimed space. */
static void set_up_with_space(uint32_t sector, uint64_t volume_size, uint32_t volumes, uint64_t ring_blocks)
{
    set_up(sector, volume_size, volumes, ring_blocks, false);
    atomic_store(&fake.claimed, volumes - 1);
    dw_writer_on_space(writer);
    assert_true(atomic_load(&writer->ring.fast_limit) > 0);
}

/* The general way in between: all ways must agree on who stamps what. */
static bool is_general(uint64_t i)
{
    return i % 16 == 5;
}

/* 20,000 records by one way, some of them sealed, and what lies on the disk after them. */
static void check_way(dw_append_one_fn *way, uint32_t sector, size_t one_pass_max, size_t max)
{
    enum { RECORDS = 20000 };
    set_up_with_space(sector, 1 << 20, 60, 64);
    writer->one_pass_max = one_pass_max;
    uint64_t random = sector + max, lsn, end = 0, tail = 0;
    for (uint64_t i = 0; i < RECORDS; i++) {
        size_t length = i <= max ? i : choose_length(&random, tail, max); /* each length, then those that are hard */
        int result =
            is_general(i) ? append(i, 7, (uint32_t)length, &lsn, &end) : append_quick(way, i, length, &lsn, &end);
        assert_int_equal(result, 0);
        if (i % 1000 == 999)
            assert_int_equal(dw_writer_sync(writer, end, UINT64_MAX), 0);
        tail = atomic_load(&writer->ring.tail);
    }
    assert_int_equal(dw_writer_sync(writer, end, UINT64_MAX), 0);
    struct back back = back_start();
    struct dw_record_info info;
    uint8_t *bytes, *expected = malloc(max + 7);
    while (back_next(&back, &info, &bytes, &lsn)) {
        assert_int_equal(info.user, (uint16_t)(back.records - 1));
        assert_int_equal(info.metadata_size, is_general(back.records - 1) ? 7 : 0);
        assert_int_equal(info.flags, 0);
        fill(expected, info.metadata_size + info.data_size, back.records - 1);
        assert_memory_equal(bytes, expected, info.metadata_size + info.data_size);
        free(bytes);
    }
    free(expected);
    assert_int_equal(back.records, RECORDS);
    check_written_once();
    tear_down();
}

static void check_processor(dw_append_one_fn *way)
{
    for (uint32_t sector = 512; sector <= 4096; sector *= 8) {
        check_way(way, sector, DW_CRC32C_SHORT, DW_CRC32C_SHORT);
        check_way(way, sector, DW_QUICK_MAX, DW_QUICK_MAX);
        check_way(way, sector, DW_CRC32C_SHORT, 2500);
    }
}

static void any_processor_writes_records_over_tags_and_blocks(void **state)
{
    (void)state;
    check_processor(dw_append_plain);
}

static void this_processor_writes_records_over_tags_and_blocks(void **state)
{
    (void)state;
    if (dw_append_quickest() == dw_append_plain)
        skip(); /* it has no other way */
    check_processor(dw_append_quickest());
}

/* Nothing is written beside the copy, however short it is. */
static void copy_of_any_short_length_is_exact(void **state)
{
    (void)state;
    uint8_t from[512], to[16 + 512 + 16], expected[sizeof to];
    fill(from, sizeof from, 3);
    for (size_t size = 0; size < sizeof from; size++) {
        memset(to, 0xa5, sizeof to);
        memset(expected, 0xa5, sizeof expected);
        memcpy(expected + 16, from, size);
        assert_int_equal(dw_copy_with_crc(to + 16, from, size), dw_crc32c_table(0, from, size));
        assert_memory_equal(to, expected, sizeof to);
        memset(to, 0xa5, sizeof to);
        dw_copy_behind(to + 16, from, size);
        assert_memory_equal(to, expected, sizeof to);
    }
    dw_copy_end();
}

static void record_that_ends_with_a_volume_is_no_spill(void **state)
{
    (void)state;
    for (uint32_t is_long = 0; is_long < 2; is_long++) {
        set_up_with_space(512, 1 << 19, 60, 64);
        writer->one_pass_max = is_long ? 8 : DW_QUICK_MAX;
        uint64_t stop = dw_end_lsn_of_volume(&fake.geometry, 0), end = 0;
        while (end < stop) {
            size_t size = stop - end < 700 ? stop - end : 300;
            assert_int_equal(
                append_quick(writer->append_one, 1, size > 500 ? 150 : size - DW_RECORD_HEADER_SIZE, NULL, &end), 0);
        }
        assert_int_equal(end, stop);
        assert_int_equal(append_quick(writer->append_one, 2, 100, NULL, &end), 0);
        assert_int_equal(dw_writer_sync(writer, end, UINT64_MAX), 0);
        assert_false(fake.volumes[0].is_spilling);
        assert_int_equal(fake.volumes[1].first_lsn, stop);
        assert_int_equal(fake.volumes[1].entry_count, 1);
        tear_down();
    }
}

/* ---- many threads ---------------------------------------------------------------------------------------------------- */

#define THREADS 4
#define EACH    3000

static void *append_many(void *context)
{
    uint64_t id = (uint64_t)(uintptr_t)context;
    for (uint64_t i = 0; i < EACH; i++) {
        uint64_t end, seed = id << 12 | i;
        assert_int_equal(append_quick(dw_append_quickest(), seed, (seed * 7919) % 600, NULL, &end), 0);
        if (i % 100 == 99)
            assert_int_equal(dw_writer_sync(writer, end, UINT64_MAX), 0);
    }
    return NULL;
}

static void many_threads_by_the_shortest_way_lose_nothing(void **state)
{
    (void)state;
    set_up_with_space(512, 1 << 19, 60, 16);
    pthread_t threads[THREADS];
    for (uintptr_t i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, append_many, (void *)i), 0);
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    assert_int_equal(dw_writer_sync(writer, atomic_load(&writer->ring.tail), UINT64_MAX), 0);
    struct back back = back_start();
    struct dw_record_info info;
    uint8_t *bytes, expected[600];
    uint64_t lsn, next[THREADS] = {0};
    while (back_next(&back, &info, &bytes, &lsn)) {
        uint64_t seed = info.user, id = seed >> 12;
        assert_true(id < THREADS);
        assert_int_equal(seed & 0xfff, next[id]++);
        assert_int_equal(info.data_size, (seed * 7919) % 600);
        fill(expected, info.data_size, seed);
        assert_memory_equal(bytes, expected, info.data_size);
        free(bytes);
    }
    assert_int_equal(back.records, THREADS * EACH);
    check_written_once();
    tear_down();
}

/* As for the checksum: a thread that sleeps in the kernel with wide registers in use is slow to wake. */
static void append_leaves_no_upper_halves_in_use(void **state)
{
    (void)state;
    unsigned parts = 0;
    uint64_t end = 0;
    set_up_with_space(512, 1 << 20, 60, 64);
    bool is_told =
        dw_vector_parts_in_use(&parts) && !(parts & DW_VECTOR_UPPER_HALVES); /* nothing else has left them in use */
    static uint8_t bytes[3000];
    for (size_t size = 0; is_told && size < sizeof bytes; size += 29) {
        struct iovec part = {bytes, size};
        struct dwal_entry entry = {.data = &part, .data_count = 1};
        int result = dw_append_quickest()(writer, &entry, NULL, &end);
        (void)dw_vector_parts_in_use(&parts);
        assert_int_equal(result, 0);
        assert_int_equal(parts & DW_VECTOR_UPPER_HALVES, 0);
    }
    assert_int_equal(dw_writer_sync(writer, end, UINT64_MAX), 0);
    tear_down();
    if (!is_told)
        skip();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(any_processor_writes_records_over_tags_and_blocks),
        cmocka_unit_test(this_processor_writes_records_over_tags_and_blocks),
        cmocka_unit_test(copy_of_any_short_length_is_exact),
        cmocka_unit_test(record_that_ends_with_a_volume_is_no_spill),
        cmocka_unit_test(many_threads_by_the_shortest_way_lose_nothing),
        cmocka_unit_test(append_leaves_no_upper_halves_in_use),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
