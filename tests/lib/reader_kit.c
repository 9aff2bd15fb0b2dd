/* reader_kit.c - see reader_kit.h. */
#include "tests/lib/reader_kit.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

enum { EXPECTED_MAX = 4096 };

static bool copy_block(void *context, uint64_t block, void *target)
{
    struct dw_reader_kit *kit = context;
    if (block < kit->ring_from || block >= kit->ring_to)
        return false;
    memcpy(target, dw_image_block(kit->image, block), kit->image->geometry.block_size);
    kit->copies++;
    return true;
}

static uint64_t durable_block(void *context)
{
    return ((struct dw_reader_kit *)context)->durable;
}

void dw_reader_kit_open(struct dw_reader_kit *kit, struct dw_image *image, size_t read_ahead)
{
    struct dw_store_options options = {.is_read_only = true, .in_flight_blocks = 4, .clock = &dw_clock_system};
    *kit = (struct dw_reader_kit){.image = image};
    kit->disk = dw_image_disk(image);
    kit->durable = dw_block_of_lsn(&image->geometry, image->tail + image->geometry.payload_size - 1);
    kit->recent = (struct dw_recent){.context = kit, .copy_block = copy_block, .durable_block = durable_block};
    assert_int_equal(dw_store_load(kit->disk, &options, &kit->store), 0);
    assert_int_equal(dw_reader_create(kit->store, &kit->recent, read_ahead, &kit->reader), 0);
}

void dw_reader_kit_close(struct dw_reader_kit *kit)
{
    dw_reader_close(kit->reader);
    (void)dw_store_close(kit->store, false, 0);
    kit->disk->ops->close(kit->disk);
}

size_t dw_reader_kit_expected(const struct dw_reader_kit *kit, uint64_t lsn, const struct dw_image_entry **entries,
                              size_t capacity)
{
    const struct dw_image *image = kit->image;
    uint64_t durable = dw_lsn_of_block(&image->geometry, kit->durable);
    size_t count = 0, complete = 0;
    if (lsn < image->superblock.trim)
        lsn = image->superblock.trim;
    for (size_t i = 0; i < image->entry_count; i++) {
        const struct dw_image_entry *entry = &image->entries[i];
        if (entry->is_dropped || entry->lsn < lsn)
            continue;
        if (entry->end > durable)
            break;
        assert_true(count < capacity);
        entries[count++] = entry;
        if (!entry->is_more)
            complete = count;
    }
    return complete;
}

void dw_reader_kit_expect_next(struct dw_reader_kit *kit, const struct dw_image_entry *entry, bool is_with_data)
{
    struct dwal_record record;
    int result = dw_reader_next(kit->reader, &record);
    if (result)
        fail_msg("%s at the entry at lsn %llu: %s", dwal_error_name(result), (unsigned long long)entry->lsn,
                 dwal_last_error()->text);
    assert_int_equal(record.lsn, entry->lsn);
    assert_int_equal(record.end, entry->end);
    assert_int_equal(record.metadata_size, entry->metadata_size);
    assert_int_equal(record.data_size, entry->data_size);
    assert_int_equal(record.user, entry->user);
    assert_int_equal(record.more_of_batch, entry->is_more);
    assert_int_equal(record.volume, dw_volume_of_lsn(&kit->image->geometry, entry->lsn));
    assert_true(dw_image_holds(entry, 0, record.metadata, record.metadata_size));
    if (!is_with_data)
        return;
    assert_int_equal(dw_reader_data(kit->reader, &record, NULL), 0);
    assert_true(dw_image_holds(entry, record.metadata_size, record.data, record.data_size));
    assert_true(dw_image_holds(entry, 0, record.metadata, record.metadata_size));
}

void dw_reader_kit_expect_from(struct dw_reader_kit *kit, uint64_t lsn, bool is_with_data)
{
    static const struct dw_image_entry *entries[EXPECTED_MAX];
    struct dwal_record record;
    size_t count = dw_reader_kit_expected(kit, lsn, entries, EXPECTED_MAX);
    assert_int_equal(dw_reader_seek(kit->reader, lsn), 0);
    for (size_t i = 0; i < count; i++)
        dw_reader_kit_expect_next(kit, entries[i], is_with_data);
    int result = dw_reader_next(kit->reader, &record);
    if (result != DWAL_EEND)
        fail_msg("%s instead of the end, lsn %llu: %s", dwal_error_name(result), (unsigned long long)record.lsn,
                 dwal_last_error()->text);
}
