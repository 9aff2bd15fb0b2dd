/* test_writer.c - the write room alone: ring, append, flush role, durable lsn, over a store and a disk that are a few lines.
 *
 * What lies on the "disk" afterwards is read back by a reader of its own, written from FORMAT.md's rules: every block's header,
 * tags, fill and first_record, and every record's checksums, in order. */
#include <errno.h>
#include <pthread.h>
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "core/write/flush.h"
#include "core/write/writer.h"

/* ---- a disk of memory, and a store of a few volumes in it ---------------------------------------------------------- */

#define VOLUMES_MAX 64u

static struct fake {
    struct dw_disk disk;
    struct dw_file file;
    struct dw_geometry geometry;
    struct dw_identity identity;
    uint8_t *bytes;
    size_t size;
    struct dw_volume volumes[VOLUMES_MAX];
    _Atomic uint32_t head, claimed;
    uint32_t volume_count;
    bool claims_on_demand;
    _Atomic uint32_t writes;
    int fail_at_write; /* 0: never */
    uint32_t pause_us; /* of each write */
    uint8_t *written;  /* per block of the row: times written */
} fake;

static int fake_write(struct dw_file *file, const void *bytes, size_t size, uint64_t offset)
{
    (void)file;
    uint32_t n = atomic_fetch_add(&fake.writes, 1) + 1;
    if (fake.fail_at_write && n >= (uint32_t)fake.fail_at_write)
        return -EIO;
    if (fake.pause_us)
        usleep(fake.pause_us);
    assert_true(offset + size <= fake.size);
    memcpy(fake.bytes + offset, bytes, size);
    for (uint64_t at = offset; at < offset + size; at += fake.geometry.block_size)
        fake.written[at / fake.geometry.block_size]++;
    return 0;
}
static int fake_queue(struct dw_disk *disk, const struct dw_queue_options *options, struct dw_queue **queue)
{
    return dw_queue_sync_create(disk, options, queue);
}
static const struct dw_disk_ops fake_ops = {
    .name = "fake", .write = fake_write, .write_durable = fake_write, .queue_create = fake_queue};

struct dw_disk *dw_store_disk(const struct dw_store *store)
{
    (void)store;
    return &fake.disk;
}
struct dw_volume *dw_store_head(struct dw_store *store)
{
    (void)store;
    return &fake.volumes[atomic_load(&fake.head)];
}
struct dw_volume *dw_store_next(struct dw_store *store)
{
    (void)store;
    uint32_t head = atomic_load(&fake.head);
    return head < atomic_load(&fake.claimed) ? &fake.volumes[head + 1] : NULL;
}
void dw_store_advance(struct dw_store *store)
{
    (void)store;
    atomic_fetch_add(&fake.head, 1);
}
uint64_t dw_store_space(const struct dw_store *store)
{
    (void)store;
    return dw_end_lsn_of_volume(&fake.geometry, atomic_load(&fake.claimed));
}
void dw_store_demand(struct dw_store *store, uint64_t end)
{
    while (fake.claims_on_demand && dw_store_space(store) < end && atomic_load(&fake.claimed) + 1 < fake.volume_count)
        atomic_fetch_add(&fake.claimed, 1);
}
bool dw_store_is_out_of_space(const struct dw_store *store)
{
    (void)store;
    return true;
}
bool dw_store_is_exhausted(const struct dw_store *store)
{
    (void)store;
    return false;
}

/* ---- a writer over it -------------------------------------------------------------------------------------------------- */

static struct dw_writer *writer;
static pthread_t flusher;
static bool has_flusher;

static void *run_flusher(void *context)
{
    dw_flusher_run(context);
    return NULL;
}

static void set_up(uint32_t sector, uint64_t volume_size, uint32_t volumes, uint64_t ring_blocks, bool stepped)
{
    memset(&fake, 0, sizeof fake);
    const char *why = "";
    assert_int_equal(dw_geometry_init(&fake.geometry, 4096, sector, volume_size, 0, &why), 0);
    uint8_t id[16] = {1, 2, 3};
    dw_identity_init(&fake.identity, id, 0x87654321u);
    fake.disk.ops = &fake_ops;
    fake.file.disk = &fake.disk;
    fake.size = volume_size * volumes;
    fake.bytes = calloc(1, fake.size);
    fake.written = calloc(1, fake.size / 4096);
    fake.volume_count = volumes;
    for (uint32_t i = 0; i < volumes; i++)
        fake.volumes[i] = (struct dw_volume){.number = i,
                                             .file = &fake.file,
                                             .base = volume_size * i,
                                             .first_lsn = DWAL_NO_LSN,
                                             .last_start_block = DWAL_NO_LSN,
                                             .header = {.in_flight_blocks = 1024}};
    atomic_store(&fake.claimed, 1);
    fake.claims_on_demand = true;
    struct dw_writer_options options = {.ring_size = ring_blocks * 4096,
                                        .in_flight_writes = 4,
                                        .write_blocks_max = 16,
                                        .marker_delay_ns = UINT64_MAX,
                                        .stall_report_ns = UINT64_MAX,
                                        .clock = &dw_clock_system,
                                        .is_single_stepped = stepped};
    writer = calloc(1, sizeof *writer);
    assert_int_equal(dw_writer_init(writer, NULL, &fake.geometry, &fake.identity, &options), 0);
    assert_int_equal(dw_flusher_start(writer), 0);
    has_flusher = !stepped;
    if (has_flusher)
        assert_int_equal(pthread_create(&flusher, NULL, run_flusher, writer), 0);
}

static void tear_down(void)
{
    if (has_flusher) {
        atomic_store(&writer->is_stopping, true);
        dw_event_notify(&writer->work);
        pthread_join(flusher, NULL);
    }
    dw_flusher_finish(writer);
    dw_writer_destroy(writer);
    free(writer);
    free(fake.bytes);
    free(fake.written);
}

/* An entry whose bytes follow from its seed, so that a reader can check them. */
static void fill(uint8_t *bytes, size_t size, uint64_t seed)
{
    for (size_t i = 0; i < size; i++) {
        seed = seed * 6364136223846793005u + 1442695040888963407u;
        bytes[i] = (uint8_t)(seed >> 56);
    }
}

static int append(uint64_t seed, uint32_t metadata_size, uint32_t data_size, uint64_t *lsn, uint64_t *end)
{
    uint8_t *bytes = malloc((size_t)metadata_size + data_size + 1);
    fill(bytes, (size_t)metadata_size + data_size, seed);
    struct iovec metadata = {bytes, metadata_size};
    /* two pieces of data, so that the vector form is used */
    struct iovec data[2] = {{bytes + metadata_size, data_size / 3},
                            {bytes + metadata_size + data_size / 3, data_size - data_size / 3}};
    struct dwal_entry entry = {
        .metadata = &metadata, .metadata_count = 1, .data = data, .data_count = 2, .user = (uint16_t)seed};
    int result = dw_writer_append(writer, &entry, 1, DW_APPEND_WAIT, lsn, end);
    free(bytes);
    return result;
}

/* ---- reading the fake disk back -------------------------------------------------------------------------------------------- */

struct back {
    uint64_t block;  /* current */
    uint32_t offset; /* payload offset in it */
    uint64_t end;    /* first block that was not written */
    uint64_t records;
};

static const uint8_t *back_block(uint64_t block)
{
    return fake.bytes + (block / fake.geometry.data_blocks) * fake.geometry.volume_size +
           dw_place_of_block(&fake.geometry, block);
}

static struct dw_block_info back_info(uint64_t block)
{
    struct dw_block_info info;
    struct dw_tag_counts tags;
    assert_int_equal(dw_block_header_decode(&fake.geometry, &fake.identity, back_block(block), block, &info), 0);
    dw_tags_count(&fake.geometry, &fake.identity, back_block(block), dw_volume_of_block(&fake.geometry, block), &tags);
    assert_int_equal(tags.current, fake.geometry.sector_count);
    assert_true(dw_payload_is_zero_from(&fake.geometry, back_block(block), info.fill));
    return info;
}

static void back_take(struct back *back, uint8_t *target, size_t size)
{
    while (size > 0) {
        struct dw_block_info info = back_info(back->block);
        if (back->offset == info.fill) {
            back->block++;
            back->offset = 0;
            assert_true(back->block < back->end);
            info = back_info(back->block);
        }
        size_t chunk = info.fill - back->offset;
        if (chunk > size)
            chunk = size;
        dw_payload_read(&fake.geometry, back_block(back->block), back->offset, target, chunk);
        back->offset += (uint32_t)chunk;
        target += chunk;
        size -= chunk;
    }
}

/* Next record; false at the end. */
static bool back_next(struct back *back, struct dw_record_info *info, uint8_t **bytes, uint64_t *lsn)
{
    while (back->block < back->end && back->offset == back_info(back->block).fill) {
        back->block++;
        back->offset = 0;
    }
    if (back->block >= back->end)
        return false;
    uint64_t block = back->block;
    if (back->offset == 0)
        assert_int_equal(back_info(block).first_record, 0);
    *lsn = dw_lsn_of_block(&fake.geometry, block) + back->offset;
    struct dw_record_header header;
    back_take(back, (uint8_t *)&header, sizeof header);
    assert_true(dw_record_header_decode(&header, info));
    size_t size = (size_t)info->metadata_size + info->data_size;
    *bytes = malloc(size + 1);
    back_take(back, *bytes, size);
    uint32_t crc = dw_crc32c(dw_record_crc_begin(&fake.identity, *lsn, &header), *bytes, info->metadata_size);
    assert_int_equal(crc, info->crc);
    assert_int_equal(dw_crc32c(0, *bytes + info->metadata_size, info->data_size), info->data_crc);
    /* first_record of every block that the record ran into says where it ends */
    for (uint64_t b = block + 1; b <= back->block; b++) {
        struct dw_block_info at = back_info(b);
        if (b < back->block || back->offset == fake.geometry.payload_size)
            assert_int_equal(at.first_record, DW_FIRST_RECORD_NONE);
        else
            assert_int_equal(at.first_record, back->offset);
    }
    back->records++;
    return true;
}

static struct back back_start(void)
{
    return (struct back){.end = dw_durable_block(&writer->durable)};
}

static void check_written_once(void)
{
    for (size_t i = 0; i < fake.size / 4096; i++)
        assert_true(fake.written[i] <= 1);
}

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
    uint64_t lsn, end;
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
    struct back back = back_start();
    struct dw_record_info info;
    uint8_t *bytes;
    while (back_next(&back, &info, &bytes, &lsn))
        free(bytes);
    assert_int_equal(back.records, count);
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
    uint64_t lsn, end;
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

static void marker_is_written_once_on_an_idle_log(void **state)
{
    (void)state;
    set_up(512, 1 << 20, 2, 64, true);
    uint64_t lsn, end;
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
    uint64_t lsn, end;
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
        cmocka_unit_test(append_of_every_size_reads_back_in_order),
        cmocka_unit_test(entry_larger_than_the_ring_streams_through_it_and_over_volumes),
        cmocka_unit_test(batch_carries_more_on_all_but_its_last),
        cmocka_unit_test(record_that_ends_at_the_end_of_a_block_or_volume_is_no_spill),
        cmocka_unit_test(no_space_is_an_error_before_anything_is_reserved_and_heals),
        cmocka_unit_test(first_failed_write_stops_the_log_for_good),
        cmocka_unit_test(failure_wakes_an_appender_that_waits_for_room),
        cmocka_unit_test(too_big_parts_are_refused_without_reading_them),
        cmocka_unit_test(full_ring_answers_full_when_told_not_to_wait),
        cmocka_unit_test(marker_is_written_once_on_an_idle_log),
        cmocka_unit_test(recent_blocks_come_from_the_ring_until_overwritten),
        cmocka_unit_test(many_threads_lose_nothing_and_keep_their_own_order),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
