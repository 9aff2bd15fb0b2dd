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
static void check_way(dw_append_one_fn *way, uint32_t sector, size_t max)
{
    enum { RECORDS = 20000 };
    set_up_with_space(sector, 1 << 20, 60, 64);
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

static void check_processor(dw_append_one_fn *way, uint32_t sector_max)
{
    for (uint32_t sector = 512; sector <= sector_max; sector *= 8) {
        check_way(way, sector, DW_CRC32C_SHORT);
        check_way(way, sector, DW_QUICK_MAX);
        check_way(way, sector, 2500);
    }
}

static void any_processor_writes_records_over_tags_and_blocks(void **state)
{
    (void)state;
    check_processor(dw_append_plain(false), 4096);
    check_processor(dw_append_plain(true), 512);
}

static void this_processor_writes_records_over_tags_and_blocks(void **state)
{
    (void)state;
    if (dw_append_quickest(4096, false) == dw_append_plain(false))
        skip(); /* it has no other way */
    check_processor(dw_append_wide(false), 4096);
    check_processor(dw_append_wide(true), 512);
}

/* ---- every length at every place ------------------------------------------------------------------------------------- */

/* The bytes of a record that was just appended, in the ring, and the tags that it has to stamp. */
static void check_in_ring(uint64_t lsn, const uint8_t *record, size_t size)
{
    const struct dw_geometry *g = &fake.geometry;
    for (size_t done = 0; done < size;) {
        uint64_t block = dw_block_of_lsn(g, lsn + done);
        uint32_t offset = dw_offset_of_lsn(g, lsn + done), run = dw_payload_run(g, offset);
        uint32_t tag = dw_tag_of_volume(&fake.identity, dw_volume_of_block(g, block));
        const uint8_t *bytes = dw_ring_block(&writer->ring, block), *at = bytes + dw_byte_of_payload(g, offset);
        size_t chunk = run < size - done ? run : size - done;
        assert_memory_equal(at, record + done, chunk);
        done += chunk;
        if (chunk == run && at + run != bytes + g->block_size)
            assert_memory_equal(at + run, &tag, DW_TAG_SIZE);
    }
}

/* One record whose header has `left` payload bytes in front of the next tag, behind one that fills up to there. */
static void append_at(dw_append_one_fn *way, uint32_t left, const uint8_t *data, size_t length)
{
    enum { GUARD = 64 };
    uint64_t lsn = atomic_load(&writer->ring.tail), end;
    uint32_t run = dw_payload_run(&fake.geometry, dw_offset_of_lsn(&fake.geometry, lsn));
    size_t filler = (run + 508 - left) % 508;
    if (filler < DW_RECORD_HEADER_SIZE)
        filler += 508; /* where a block begins it is not exact: then it is another place */
    assert_int_equal(append(1, 0, (uint32_t)filler - DW_RECORD_HEADER_SIZE, &lsn, &end), 0);
    uint8_t *guard = dw_ring_block(&writer->ring, dw_block_of_lsn(&fake.geometry, end + length + 20)) +
                     dw_byte_of_payload(&fake.geometry, dw_offset_of_lsn(&fake.geometry, end + length + 20));
    size_t guarded = 4096 - ((uintptr_t)guard & 4095) < GUARD ? 4096 - ((uintptr_t)guard & 4095) : GUARD;
    memset(guard, 0x5a, guarded);
    uint8_t *record = malloc(DW_RECORD_HEADER_SIZE + length);
    uint8_t *source = malloc(length + (length == 0)); /* for sanitizers: not a byte more */
    memcpy(source, data, length);
    struct iovec part = {source, length};
    struct dwal_entry entry = {.data = &part, .data_count = 1, .user = (uint16_t)left};
    assert_int_equal(way(writer, &entry, &lsn, &end), 0);
    dw_record_header_put(record, &fake.identity, lsn, dw_crc32c(0, data, length), (uint32_t)length, (uint16_t)left);
    memcpy(record + DW_RECORD_HEADER_SIZE, data, length);
    check_in_ring(lsn, record, DW_RECORD_HEADER_SIZE + length);
    for (size_t i = 0; i < guarded; i++)
        assert_int_equal(guard[i], 0x5a);
    free(source);
    free(record);
}

/* Each length up to 560, then some up to more than a block, at each place of a sector. The blocks in which they are come by chance. */
static void check_lengths(dw_append_one_fn *way)
{
    static uint8_t data[4600];
    fill(data, sizeof data, 11);
    uint64_t end = UINT64_MAX;
    for (size_t length = 0; length < sizeof data; length += length < 560 ? 1 : 131) {
        if (end > 50 << 20) { /* there is no more space */
            if (end != UINT64_MAX)
                tear_down();
            set_up_with_space(512, 1 << 20, 60, 512);
        }
        for (uint32_t left = 1; left <= 508; left++) {
            append_at(way, left, data, length);
            end = atomic_load(&writer->ring.tail);
            if (left % 127 == 0)
                assert_int_equal(dw_writer_sync(writer, end, UINT64_MAX), 0);
        }
    }
    tear_down();
}

static void each_length_at_each_place_is_written_exactly(void **state)
{
    (void)state;
    check_lengths(dw_append_plain(false));
    check_lengths(dw_append_plain(true));
    if (dw_append_quickest(4096, false) == dw_append_plain(false))
        return;
    check_lengths(dw_append_wide(false));
    check_lengths(dw_append_wide(true));
}

/* Nothing is written beside the copy, however short it is. */
static void copy_of_any_short_length_is_exact(void **state)
{
    (void)state;
    uint8_t from[DW_QUICK_MAX], to[16 + sizeof from + 16], expected[sizeof to];
    fill(from, sizeof from, 3);
    for (size_t size = 0; size <= sizeof from; size++) {
        memset(to, 0xa5, sizeof to);
        memset(expected, 0xa5, sizeof expected);
        memcpy(expected + 16, from, size);
        assert_int_equal(dw_copy_with_crc(to + 16, from, size), dw_crc32c_table(0, from, size));
        assert_memory_equal(to, expected, sizeof to);
        memset(to, 0xa5, sizeof to);
        (size <= 256 ? dw_copy_behind : dw_copy)(to + 16, from, size);
        assert_memory_equal(to, expected, sizeof to);
    }
    dw_copy_end();
}

static void record_that_ends_with_a_volume_is_no_spill(void **state)
{
    (void)state;
    for (uint32_t is_single = 0; is_single < 2; is_single++) {
        set_up_with_space(512, 1 << 19, 60, 64);
        dw_append_one_fn *way = dw_append_plain(is_single);
        uint64_t stop = dw_end_lsn_of_volume(&fake.geometry, 0), end = 0;
        while (end < stop) {
            size_t size = stop - end < 700 ? stop - end : 300;
            assert_int_equal(append_quick(way, 1, size > 500 ? 150 : size - DW_RECORD_HEADER_SIZE, NULL, &end), 0);
        }
        assert_int_equal(end, stop);
        assert_int_equal(append_quick(way, 2, 100, NULL, &end), 0);
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
        assert_int_equal(append_quick(dw_append_quickest(512, seed % 2 != 0), seed, (seed * 7919) % 600, NULL, &end),
                         0);
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
        int result = dw_append_quickest(512, size % 2 != 0)(writer, &entry, NULL, &end);
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
        cmocka_unit_test(each_length_at_each_place_is_written_exactly),
        cmocka_unit_test(copy_of_any_short_length_is_exact),
        cmocka_unit_test(record_that_ends_with_a_volume_is_no_spill),
        cmocka_unit_test(many_threads_by_the_shortest_way_lose_nothing),
        cmocka_unit_test(append_leaves_no_upper_halves_in_use),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
