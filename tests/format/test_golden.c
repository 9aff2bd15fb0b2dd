/* test_golden.c - format version 1, frozen: every dwal from now on must write and read exactly these bytes. They were made
 * by golden.py from FORMAT.md, not by dwal. If this test fails, the format has changed: give it a new version. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>

#include "base/compiler.h"
#include "core/format/text.h"
#include "tests/format/sample.h"

static const char block_hex[] = "a5c2eb957571ec73ee06000000000000ec06000000000000c40fd20400000000";
static const char marker_hex[] = "a5c2eb95be69d0a3ef06000000000000ef060000000000000000ffff01000000";
static const char record_hex[] = "ca0e25eed744f6ac040000000900000001013412";
static const char empty_record_hex[] = "73303d2c00000000000000000000000001000000";
static const char volume_cut_hex[] =
    "a5c2eb95d6430b3c6477616c564f4c480100000007000000a0a1a2a3a4a5a6a7a8a9aaabacadaeaf0500000002000000"
    "0c074e0000000000001000000002000000001000000000006400000000020000030000000000000015cd853dfe9c9717"
    "0000000000000000000000000000000000000000000000000000000000000000";
static const char volume_runs_on_hex[] =
    "3a1c39ee384db29f6477616c564f4c480100000008000000a0a1a2a3a4a5a6a7a8a9aaabacadaeaf0700000001000000"
    "0000000000000000001000000002000000001000000000006400000000020000030000000000000016cd853dfe9c9717"
    "0000000000000000000000000000000000000000000000000000000000000000";
static const char toc_hex[] =
    "a5c2eb95b42e44a26477616c544f4331070000000c000000a0a1a2a3a4a5a6a7a8a9aaabacadaeaff6106d0000000000"
    "2c537c0000000000a0a57c0000000000393000000000000001002a36fe9c971702cac471fe9c97170600000000000000"
    "ed070000000000000000000000000000000000000000000000000000000000007461626c6521";
static const char superblock_hex[] =
    "6477616c53555052e6b65c42010000000900000000000000a0a1a2a3a4a5a6a7a8a9aaabacadaeaffecaad9b00100000"
    "000010000000000000020000640000000300000000000000080000000200000084e74d00000000001817161514131211"
    "e807000000000000010000000200000004000000040000000100000000020000efbeedfe070000000000a0d885573416"
    "ffc9c471fe9c971700000000000000000000000000000000000000000000000000000000000000000000000000000000"
    "000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000"
    "00000000000000000000000000000000";

/* One log: 4096-byte blocks of 512-byte sectors, volumes of 1 MiB with 100 bytes for the caller's table. */
#define D UINT64_C(253)
#define P UINT64_C(4036)
static struct dw_geometry geometry;
static struct dw_identity identity;

static const struct dw_block_info block_info = {
    .block = 7 * D + 3, .watermark = 7 * D + 1, .fill = 4036, .first_record = 1234};
static const struct dw_block_info marker_info = {
    .block = 7 * D + 4, .watermark = 7 * D + 4, .first_record = DW_FIRST_RECORD_NONE, .flags = DW_BLOCK_MARKER};
static const struct dw_volume_info cut_info = {.number = 7,
                                               .predecessor = 5,
                                               .predecessor_end = DW_PREDECESSOR_CUT,
                                               .cut = 5 * D * P + 8072,
                                               .in_flight_blocks = 512,
                                               .epoch = 3,
                                               .claim_time = UINT64_C(1700000000123456789)};
static const struct dw_volume_info runs_on_info = {.number = 8,
                                                   .predecessor = 7,
                                                   .predecessor_end = DW_PREDECESSOR_RUNS_ON,
                                                   .in_flight_blocks = 512,
                                                   .epoch = 3,
                                                   .claim_time = UINT64_C(1700000000123456790)};
static const struct dw_toc_info toc_info = {.number = 7,
                                            .flags = DW_TOC_SPILL | DW_TOC_TABLE,
                                            .table_length = 6,
                                            .first_lsn = 7 * D * P + 10,
                                            .last_lsn = 7 * D * P + 1000000,
                                            .end = 8 * D * P,
                                            .entry_count = 12345,
                                            .time_first = UINT64_C(1700000000000000001),
                                            .time_last = UINT64_C(1700000001000000002),
                                            .watermark = 8 * D + 5};

static struct dw_superblock_info superblock_info(void)
{
    return (struct dw_superblock_info){.sequence = 9,
                                       .identity = identity,
                                       .geometry = geometry,
                                       .epoch = 3,
                                       .trim = 5 * D * P,
                                       .clean_end = UINT64_C(0x1112131415161718),
                                       .watermark = 8 * D,
                                       .create_time = UINT64_C(1600000000000000000),
                                       .write_time = UINT64_C(1700000000999999999),
                                       .claimed = 8,
                                       .head = 7,
                                       .state = DW_SUPERBLOCK_OPEN,
                                       .feature_compat = 1,
                                       .feature_ro_compat = 2,
                                       .feature_incompat = 4,
                                       .blanks = 4,
                                       .fill_mode = 1,
                                       .in_flight_blocks = 512,
                                       .magic_number = 0xfeedbeef};
}

static int log_make(void **state)
{
    (void)state;
    uint8_t log_id[16];
    for (size_t i = 0; i < sizeof log_id; i++)
        log_id[i] = (uint8_t)(0xa0 + i);
    dw_identity_init(&identity, log_id, 0x9badcafe);
    geometry = sample_geometry_of(4096, 512, 1 << 20, 100);
    return geometry.data_blocks == D && geometry.payload_size == P ? 0 : -1;
}

static void bytes_are(const void *bytes, const char *hex)
{
    char text[600];
    size_t size = strlen(hex) / 2;
    for (size_t i = 0; i < size; i++)
        snprintf(text + 2 * i, 3, "%02x", ((const uint8_t *)bytes)[i]);
    assert_string_equal(text, hex);
}
/* The frozen bytes at the start of one block of zeros. */
static uint8_t *frozen(const char *hex)
{
    static uint8_t block[4096];
    memset(block, 0, sizeof block);
    for (size_t i = 0; hex[i] != 0; i += 2) {
        char digits[3] = {hex[i], hex[i + 1], 0};
        block[i / 2] = (uint8_t)strtoul(digits, NULL, 16);
    }
    return block;
}

static void block_header_is_that_of_version_1(void **state)
{
    (void)state;
    uint8_t bytes[32];
    struct dw_block_info seen;
    char text[300];
    dw_block_header_encode(&identity, &block_info, 7, bytes);
    bytes_are(bytes, block_hex);
    assert_int_equal(dw_block_header_decode(&geometry, &identity, frozen(block_hex), 1774, &seen), DW_DECODED_OK);
    assert_string_equal(dw_text_block(&seen, text, sizeof text),
                        "block 1774 watermark 1772 fill 4036 first_record 1234");
    dw_block_header_encode(&identity, &marker_info, 7, bytes);
    bytes_are(bytes, marker_hex);
    assert_int_equal(dw_block_header_decode(&geometry, &identity, frozen(marker_hex), 1775, &seen), DW_DECODED_OK);
    assert_string_equal(dw_text_block(&seen, text, sizeof text),
                        "block 1775 watermark 1775 fill 0 first_record none MARKER");
}

static void record_header_is_that_of_version_1(void **state)
{
    (void)state;
    const struct dw_record_info info = {.data_crc = dw_crc32c(0, "some data", 9),
                                        .metadata_size = 4,
                                        .data_size = 9,
                                        .type = DW_RECORD_ENTRY,
                                        .flags = DW_RECORD_MORE,
                                        .user = 0x1234};
    const struct dw_record_info empty = {.data_crc = dw_crc32c(0, NULL, 0), .type = DW_RECORD_ENTRY};
    const uint64_t lsn = 7 * D * P + 4711;
    struct dw_record_header header;
    dw_record_header_encode(&info, &header);
    header.crc = dw_le32_of(dw_crc32c(dw_record_crc_begin(&identity, lsn, &header), "meta", 4));
    bytes_are(&header, record_hex);
    struct dw_record_info seen;
    char text[300];
    assert_true(dw_record_header_decode(&header, &seen));
    assert_string_equal(dw_text_record(&seen, lsn, text, sizeof text),
                        "record lsn 7152467 end 7152500 metadata 4 data 9 type 1 user 4660 crc ee250eca data_crc "
                        "acf644d7 MORE");
    dw_record_header_encode(&empty, &header);
    header.crc = dw_le32_of(dw_record_crc_begin(&identity, 0, &header));
    bytes_are(&header, empty_record_hex);
}

static void volume_header_is_that_of_version_1(void **state)
{
    (void)state;
    uint8_t bytes[4096];
    struct dw_volume_info seen;
    char text[300];
    dw_volume_header_encode(&geometry, &identity, &cut_info, bytes);
    bytes_are(bytes, volume_cut_hex);
    assert_int_equal(dw_volume_header_decode(&geometry, &identity, frozen(volume_cut_hex), 7, &seen), DW_DECODED_OK);
    assert_string_equal(dw_text_volume(&seen, text, sizeof text),
                        "volume 7 predecessor 5 CUT cut 5113612 epoch 3 claimed 2023-11-14T22:13:20.123456789Z "
                        "block_size 4096 sector_size 512 volume_size 1048576 toc_length 100 in_flight_blocks 512");
    dw_volume_header_encode(&geometry, &identity, &runs_on_info, bytes);
    bytes_are(bytes, volume_runs_on_hex);
    assert_int_equal(dw_volume_header_decode(&geometry, &identity, frozen(volume_runs_on_hex), 8, &seen),
                     DW_DECODED_OK);
    assert_string_equal(dw_text_volume(&seen, text, sizeof text),
                        "volume 8 predecessor 7 RUNS_ON cut 0 epoch 3 claimed 2023-11-14T22:13:20.123456790Z "
                        "block_size 4096 sector_size 512 volume_size 1048576 toc_length 100 in_flight_blocks 512");
}

static void toc_is_that_of_version_1(void **state)
{
    (void)state;
    uint8_t area[4096];
    struct dw_toc_info seen;
    char text[300];
    dw_toc_encode(&geometry, &identity, &toc_info, "table!", area);
    bytes_are(area, toc_hex);
    assert_int_equal(dw_toc_decode(&geometry, &identity, frozen(toc_hex), 4096, 7, &seen), DW_DECODED_OK);
    assert_string_equal(dw_text_toc(&seen, text, sizeof text),
                        "TOC of volume 7 first_lsn 7147766 last_lsn 8147756 end 8168864 entries 12345 table 6 "
                        "watermark 2029 SPILL TABLE time 2023-11-14T22:13:20.000000001Z to "
                        "2023-11-14T22:13:21.000000002Z");
}

static void superblock_is_that_of_version_1(void **state)
{
    (void)state;
    uint8_t bytes[4096];
    struct dw_superblock_info info = superblock_info(), seen;
    char text[800];
    dw_superblock_encode(&info, bytes);
    bytes_are(bytes, superblock_hex);
    for (size_t byte = 256; byte < sizeof bytes; byte++)
        assert_int_equal(bytes[byte], 0);
    assert_int_equal(dw_superblock_decode(frozen(superblock_hex), 256, &seen), DW_DECODED_OK);
    assert_string_equal(dw_text_superblock(&seen, text, sizeof text),
                        "superblock sequence 9 OPEN log a0a1a2a3a4a5a6a7a8a9aaabacadaeaf version 1 epoch 3 claimed 8 "
                        "head 7 trim 5105540 clean_end 1230066625199609624 watermark 2024 block_size 4096 "
                        "sector_size 512 volume_size 1048576 toc_length 100 in_flight_blocks 512 blanks 4 fill_mode 1 "
                        "magic_number 0xfeedbeef features 1/2/4 tag_key 0x9badcafe created "
                        "2020-09-13T12:26:40.000000000Z written 2023-11-14T22:13:20.999999999Z");
    assert_memory_equal(&seen.identity, &identity, sizeof identity);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(block_header_is_that_of_version_1),  cmocka_unit_test(record_header_is_that_of_version_1),
        cmocka_unit_test(volume_header_is_that_of_version_1), cmocka_unit_test(toc_is_that_of_version_1),
        cmocka_unit_test(superblock_is_that_of_version_1),
    };
    return cmocka_run_group_tests_name("golden", tests, log_make, NULL);
}
