/* writer_kit.h - a writer over a store and a disk that are a few lines, and a reader of what lies on that disk afterwards.
 *
 * Included by exactly one file of each program: it defines the few calls of core/store that core/write makes, so nothing of
 * the real store is linked. The reader is written from FORMAT.md's rules: every block's header, tags, fill and first_record,
 * and every record's checksums, in order. */
#ifndef DW_TESTS_WRITE_WRITER_KIT_H
#define DW_TESTS_WRITE_WRITER_KIT_H

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
    bool claims_behind_a_look; /* the next volume is claimed just after somebody looked for it in vain */
    _Atomic uint32_t writes;
    _Atomic uint32_t foreseen; /* changes of volume that were announced */
    int fail_at_write;         /* 0: never */
    uint32_t pause_us;         /* of each write */
    uint8_t *written;          /* per block of the row: times written */
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
static struct dw_writer *writer;
struct dw_volume *dw_store_next(struct dw_store *store)
{
    (void)store;
    uint32_t head = atomic_load(&fake.head);
    if (head < atomic_load(&fake.claimed))
        return &fake.volumes[head + 1];
    if (fake.claims_behind_a_look) {
        atomic_fetch_add(&fake.claimed, 1);
        dw_writer_on_space(writer);
    }
    return NULL;
}
void dw_store_advance(struct dw_store *store)
{
    (void)store;
    atomic_fetch_add(&fake.head, 1);
}
void dw_store_foresee(struct dw_store *store)
{
    (void)store;
    atomic_fetch_add(&fake.foreseen, 1);
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

#endif
