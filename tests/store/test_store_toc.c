/* test_store_toc.c - tables of contents: who is asked, when, in which order, and what is written. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "io/sim.h"
#include "tests/lib/store_kit.h"

static struct dw_disk *disk;
static struct dw_kit kit;

static void start(uint32_t toc_length)
{
    assert_int_equal(dw_sim_open(NULL, &disk), 0);
    dw_kit_init(&kit, disk, toc_length);
    assert_int_equal(dw_kit_create(&kit), 0);
    assert_int_equal(dw_kit_start(&kit), 0);
}

static void finish(void)
{
    dw_kit_abandon(&kit);
    disk->ops->close(disk);
}

static const struct dw_toc_info *reload_toc(uint32_t number)
{
    dw_kit_abandon(&kit);
    assert_int_equal(dw_kit_load(&kit), 0);
    const struct dw_volume *volume = dw_store_find(kit.store, number);
    assert_non_null(volume);
    assert_int_equal(volume->toc_verdict, DW_DECODED_OK);
    return &volume->toc;
}

static void the_caller_is_asked_once_for_each_volume_in_order(void **state)
{
    (void)state;
    start(64);
    kit.table_answer = 20;
    for (uint32_t i = 0; i < 5; i++)
        assert_int_equal(dw_kit_roll(&kit), 0);
    assert_int_equal(kit.table_count, 5);
    const struct dw_geometry *geometry = &kit.create.geometry;
    for (uint32_t i = 0; i < 5; i++) {
        assert_int_equal(kit.tables[i].volume, i);
        assert_int_equal(kit.tables[i].first, dw_first_lsn_of_volume(geometry, i));
        assert_int_equal(kit.tables[i].end, dw_end_lsn_of_volume(geometry, i));
        assert_false(kit.tables[i].is_spilling);
    }
    const struct dw_toc_info *toc = reload_toc(4);
    assert_int_equal(toc->flags, DW_TOC_TABLE);
    assert_int_equal(toc->table_length, 20);
    uint8_t table[21];
    assert_true(dw_sim_peek(disk, "0000000004.vol", dw_place_of_toc(geometry) + DW_TOC_SIZE, table, sizeof table));
    for (int i = 0; i < 20; i++)
        assert_int_equal(table[i], 0x5a);
    assert_int_equal(table[20], 0);
    finish();
}

static void volumes_that_waited_together_are_asked_for_in_order(void **state)
{
    (void)state;
    start(64);
    dw_kit_settle_down(&kit);
    for (uint32_t i = 0; i < 2; i++) {
        assert_int_equal(dw_kit_fill(&kit, 0, kit.create.geometry.data_blocks, 3), 0);
        dw_store_advance(kit.store);
        uint64_t wait_ns;
        assert_int_equal(dw_store_step(kit.store, &wait_ns), DW_STEP_WORKED); /* the claim is more urgent */
        assert_non_null(dw_store_next(kit.store));
        assert_int_equal(kit.table_count, 0);
    }
    dw_kit_settle_down(&kit);
    assert_int_equal(kit.table_count, 2);
    assert_int_equal(kit.tables[0].volume, 0);
    assert_int_equal(kit.tables[1].volume, 1);
    finish();
}

static void close_writes_what_is_due_before_the_open_toc(void **state)
{
    (void)state;
    start(64);
    dw_kit_settle_down(&kit);
    assert_int_equal(dw_kit_fill(&kit, 0, kit.create.geometry.data_blocks, 3), 0);
    dw_store_advance(kit.store);
    assert_int_equal(dw_kit_fill(&kit, 0, 1, 3), 0);
    uint64_t end = dw_lsn_of_block(&kit.create.geometry, kit.durable_block - 1) + 300;
    assert_int_equal(dw_store_close(kit.store, true, end), 0);
    kit.store = NULL;
    assert_int_equal(kit.table_count, 1); /* not for the open one */
    const struct dw_toc_info *toc = reload_toc(1);
    assert_int_equal(toc->flags, DW_TOC_OPEN);
    assert_int_equal(toc->table_length, 0);
    assert_int_equal(toc->end, end);
    assert_int_equal(toc->last_lsn, end - 100);
    assert_int_equal(dw_store_find(kit.store, 0)->toc.flags, DW_TOC_TABLE);
    finish();
}

static void nothing_written_needs_no_open_toc(void **state)
{
    (void)state;
    start(64);
    assert_int_equal(dw_store_close(kit.store, true, 0), 0);
    kit.store = NULL;
    assert_int_equal(dw_kit_load(&kit), 0);
    assert_int_equal(dw_store_find(kit.store, 0)->toc_verdict, DW_DECODED_BAD_MAGIC);
    assert_int_equal(dw_store_superblock(kit.store)->state, DW_SUPERBLOCK_CLEAN);
    finish();
}

static void without_room_for_a_table_nobody_is_asked(void **state)
{
    (void)state;
    start(0);
    kit.options.hooks.table = NULL;
    assert_int_equal(dw_kit_roll(&kit), 0);
    assert_int_equal(kit.table_count, 0);
    assert_int_equal(reload_toc(0)->flags, 0);
    finish();
}

static void a_table_of_exactly_the_length_fits_and_one_byte_more_stops_the_log(void **state)
{
    (void)state;
    start(64);
    kit.table_answer = 64;
    assert_int_equal(dw_kit_roll(&kit), 0);
    assert_int_equal(kit.failure_calls, 0);
    kit.table_answer = 65;
    assert_int_equal(dw_kit_roll(&kit), 0);
    assert_int_equal(kit.failure_calls, 1);
    assert_int_equal(kit.failure.code, DWAL_ETABLE);
    assert_int_equal(kit.failure.volume, 1);
    finish();
}

static void settle_asks_for_tables_that_a_crash_prevented(void **state)
{
    (void)state;
    start(64);
    dw_kit_settle_down(&kit);
    assert_int_equal(dw_kit_fill(&kit, 0, kit.create.geometry.data_blocks, 3), 0);
    dw_store_advance(kit.store);
    dw_kit_abandon(&kit); /* before the maker wrote the TOC */
    kit.table_answer = 8;
    assert_int_equal(dw_kit_load(&kit), 0);
    assert_false(dw_store_find(kit.store, 0)->is_sealed);
    assert_int_equal(dw_kit_recover(&kit, false), 0);
    assert_int_equal(kit.table_count, 1);
    assert_int_equal(kit.tables[0].volume, 0);
    assert_true(dw_store_find(kit.store, 0)->is_sealed);
    assert_int_equal(dw_store_head(kit.store)->number, 1);
    finish();
}

static void a_table_too_long_at_settle_fails_the_open(void **state)
{
    (void)state;
    start(64);
    dw_kit_settle_down(&kit);
    assert_int_equal(dw_kit_fill(&kit, 0, kit.create.geometry.data_blocks, 3), 0);
    dw_store_advance(kit.store);
    dw_kit_abandon(&kit);
    kit.table_answer = 1000;
    assert_int_equal(dw_kit_load(&kit), 0);
    assert_int_equal(dw_kit_recover(&kit, false), DWAL_ETABLE);
    finish();
}

static void a_volume_in_which_no_record_starts_says_so(void **state)
{
    (void)state;
    start(64);
    dw_kit_settle_down(&kit);
    const struct dw_geometry *geometry = &kit.create.geometry;
    assert_int_equal(dw_kit_fill(&kit, 0, geometry->data_blocks, 0), 0);
    dw_store_head(kit.store)->is_spilling = true;
    dw_store_advance(kit.store);
    dw_kit_settle_down(&kit);
    assert_true(kit.tables[0].is_spilling);
    assert_int_equal(kit.tables[0].first, kit.tables[0].end);
    const struct dw_toc_info *toc = reload_toc(0);
    assert_int_equal(toc->flags, DW_TOC_TABLE | DW_TOC_SPILL);
    assert_int_equal(toc->first_lsn, toc->end);
    assert_int_equal(toc->last_lsn, toc->end);
    assert_int_equal(toc->entry_count, 0);
    finish();
}

/* One block whose records have the given sizes, header and all; the last may run out of the block. */
static void write_block_of_records(uint64_t block, const uint32_t *sizes, size_t count, uint32_t *last_offset)
{
    static _Alignas(4096) uint8_t bytes[4096];
    const struct dw_superblock_info *superblock = dw_store_superblock(kit.store);
    const struct dw_geometry *geometry = &superblock->geometry;
    static uint8_t flat[8192];
    memset(flat, 0x77, sizeof flat);
    uint32_t offset = 0;
    for (size_t i = 0; i < count; i++) {
        uint32_t metadata_size = (sizes[i] - DW_RECORD_HEADER_SIZE) / 2;
        struct dw_record_info info = {.type = DW_RECORD_ENTRY,
                                      .metadata_size = metadata_size,
                                      .data_size = sizes[i] - DW_RECORD_HEADER_SIZE - metadata_size};
        struct dw_record_header header;
        dw_record_header_encode(&info, &header);
        uint32_t crc = dw_record_crc_begin(&superblock->identity, dw_lsn_of_block(geometry, block) + offset, &header);
        header.crc = dw_le32_of(dw_crc32c(crc, flat + sizeof header, metadata_size)); /* all payload bytes are alike */
        *last_offset = offset;
        if (offset + sizeof header <= geometry->payload_size)
            memcpy(flat + offset, &header, sizeof header);
        offset += sizes[i];
    }
    uint32_t fill = offset < geometry->payload_size ? offset : geometry->payload_size;
    memset(bytes, 0, sizeof bytes);
    dw_payload_write(geometry, bytes, 0, flat, fill);
    uint32_t number = dw_volume_of_block(geometry, block);
    struct dw_block_info info = {.block = block, .fill = fill};
    dw_block_stamp_tags(geometry, &superblock->identity, bytes, number);
    dw_block_header_encode(&superblock->identity, &info, number, bytes);
    struct dw_volume *head = dw_store_head(kit.store);
    assert_int_equal(dw_file_write_durable(head->file, bytes, sizeof bytes, dw_place_of_block(geometry, block)), 0);
}

static void the_last_record_is_found_wherever_it_ends(void **state)
{
    (void)state;
    start(0);
    const struct dw_geometry *geometry = &kit.create.geometry;
    uint32_t payload = geometry->payload_size;
    const struct {
        size_t count;
        uint32_t sizes[4];
    } cases[] = {
        {1, {20}},                 /* one empty record */
        {1, {payload}},            /* one that fills the block */
        {1, {payload + 1}},        /* one that runs on by a byte */
        {2, {payload - 20, 20}},   /* the last header ends with the block */
        {2, {payload - 19, 30}},   /* the last header runs on by a byte */
        {2, {payload - 1, 500}},   /* only one byte of the last header is here */
        {3, {700, 20, 5000}},      /* the metadata of the last runs on */
        {4, {600, 601, 602, 603}}, /* all inside, padding behind */
        {4, {20, 20, 20, 20}},
    };
    dw_kit_settle_down(&kit);
    for (uint32_t i = 0; i < DW_COUNT_OF(cases); i++) {
        struct dw_volume *head = dw_store_head(kit.store);
        uint64_t block = dw_first_block_of_volume(geometry, head->number) + geometry->data_blocks - 1;
        uint32_t last_offset = 0;
        assert_int_equal(dw_kit_fill(&kit, 0, geometry->data_blocks - 1, 3), 0);
        write_block_of_records(block, cases[i].sizes, cases[i].count, &last_offset);
        head->last_start_block = block;
        dw_store_advance(kit.store);
        dw_kit_settle_down(&kit);
        if (kit.failure_calls != 0)
            fail_msg("case %u: %s", i, kit.failure.text);
        const struct dw_volume *volume = dw_store_find(kit.store, i);
        assert_true(volume->is_sealed);
        assert_int_equal(volume->toc.last_lsn, dw_lsn_of_block(geometry, block) + last_offset);
    }
    finish();
}

static void a_block_that_does_not_read_back_stops_the_log_and_names_the_place(void **state)
{
    (void)state;
    static const struct {
        uint64_t byte; /* of the last data block */
        int code;
        enum dw_sim_damage_kind kind;
    } cases[] = {{12, DWAL_ECORRUPT, DW_SIM_ROT}, /* block header */
                 {33, DWAL_ECORRUPT, DW_SIM_ROT}, /* first record's header */
                 {12, DWAL_EDEVICE, DW_SIM_UNREADABLE}};
    for (size_t i = 0; i < DW_COUNT_OF(cases); i++) {
        start(0);
        const struct dw_geometry *geometry = &kit.create.geometry;
        dw_kit_settle_down(&kit);
        assert_int_equal(dw_kit_fill(&kit, 0, geometry->data_blocks, 3), 0);
        struct dw_sim_damage damage = {.kind = cases[i].kind,
                                       .name = "0000000000.vol",
                                       .offset = dw_place_of_block(geometry, geometry->data_blocks - 1),
                                       .size = 512,
                                       .bit = cases[i].byte * 8};
        assert_int_equal(dw_sim_damage(disk, &damage), 0);
        dw_store_advance(kit.store);
        dw_kit_settle_down(&kit);
        assert_int_equal(kit.failure_calls, 1);
        assert_int_equal(kit.failure.code, cases[i].code);
        assert_int_equal(kit.failure.volume, 0);
        assert_int_equal(kit.failure.block, geometry->data_blocks - 1);
        finish();
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_caller_is_asked_once_for_each_volume_in_order),
        cmocka_unit_test(volumes_that_waited_together_are_asked_for_in_order),
        cmocka_unit_test(close_writes_what_is_due_before_the_open_toc),
        cmocka_unit_test(nothing_written_needs_no_open_toc),
        cmocka_unit_test(without_room_for_a_table_nobody_is_asked),
        cmocka_unit_test(a_table_of_exactly_the_length_fits_and_one_byte_more_stops_the_log),
        cmocka_unit_test(settle_asks_for_tables_that_a_crash_prevented),
        cmocka_unit_test(a_table_too_long_at_settle_fails_the_open),
        cmocka_unit_test(a_volume_in_which_no_record_starts_says_so),
        cmocka_unit_test(the_last_record_is_found_wherever_it_ends),
        cmocka_unit_test(a_block_that_does_not_read_back_stops_the_log_and_names_the_place),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
