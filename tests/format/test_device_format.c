/* test_device_format.c - what lies on a device: frozen bytes of version 1 (made by golden.py from FORMAT.md, not by dwal), the
 * layout, and decoders that take any bytes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/bits.h"
#include "core/format/codec.h"
#include "core/format/text.h"

static const char device_hex[] =
    "6477616c44455653bbeebb1b010000000600000000000000c0c1c2c3c4c5c6c7c8c9cacbcccdcecf0000000400000000"
    "000010000000000000001000000000003e00000011000000001000000100000002000000040000000000a0d885573416"
    "ffc9c471fe9c971700000000000000000000000000000000000000000000000000000000000000000000000000000000"
    "000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000"
    "000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000"
    "000000000000000000000000000000000200000000000000a0a1a2a3a4a5a6a7a8a9aaabacadaeaf6f72646572730000"
    "0000000000000000000000000000000000000000000000000100a0d88557341600000000000000000000000000000000"
    "000000000000000000000000000000000100000014000000b0b1b2b3b4b5b6b7b8b9babbbcbdbebf0000000000000000"
    "0000000000000000000000000000000000000000000000000200a0d88557341600000000000000000000000000000000"
    "00000000000000000000000000000000";
static const char slot_free_hex[] =
    "00000000733c7b196477616c534c4f540100000003000000c0c1c2c3c4c5c6c7c8c9cacbcccdcecf0000000000000000"
    "000000000000000001000000000000002900000000000000000000000000000000000000000000000000000000000000"
    "0000000000000000000000000000000000000000000000000000000000000000";
static const char slot_blank_hex[] =
    "00000000ae7229786477616c534c4f540100000004000000c0c1c2c3c4c5c6c7c8c9cacbcccdcecfa0a1a2a3a4a5a6a7"
    "a8a9aaabacadaeaf03000000000000002a00000000000000000000000000000000000000000000000000000000000000"
    "0000000000000000000000000000000000000000000000000000000000000000";
static const char volume_in_slot_hex[] =
    "3a1c39eece4204cc6477616c564f4c480100000008000000a0a1a2a3a4a5a6a7a8a9aaabacadaeaf0700000001000000"
    "0000000000000000001000000002000000001000000000006400000000020000030000000000000016cd853dfe9c9717"
    "05000000000000000d0000000000000000000000000000000000000000000000";

static struct dw_device_info device;
static struct dw_identity identity;
static struct dw_geometry geometry;

static int make(void **state)
{
    (void)state;
    device = (struct dw_device_info){
        .sequence = 6,
        .device_size = 64u << 20,
        .slot_size = 1 << 20,
        .block_size = 4096,
        .slots_used = 17,
        .create_time = UINT64_C(1600000000000000000),
        .write_time = UINT64_C(1700000000999999999),
        .feature_compat = 1,
        .feature_ro_compat = 2,
        .feature_incompat = 4,
        .logs = {{.state = DW_DEVICE_LOG_READY, .name = "orders", .time = UINT64_C(1600000000000000001)},
                 {.state = DW_DEVICE_LOG_CREATING, .quota = 20, .time = UINT64_C(1600000000000000002)}},
    };
    for (size_t i = 0; i < 16; i++) {
        device.device_id[i] = (uint8_t)(0xc0 + i);
        device.logs[0].log_id[i] = (uint8_t)(0xa0 + i);
        device.logs[1].log_id[i] = (uint8_t)(0xb0 + i);
    }
    dw_identity_init(&identity, device.logs[0].log_id, 0x9badcafe);
    return dw_device_layout(&device) && dw_geometry_init(&geometry, 4096, 512, 1 << 20, 100, NULL) == 0 ? 0 : -1;
}

static void bytes_are(const uint8_t *bytes, size_t total, const char *hex)
{
    char text[1000];
    size_t size = strlen(hex) / 2;
    for (size_t i = 0; i < size; i++)
        snprintf(text + 2 * i, 3, "%02x", bytes[i]);
    assert_string_equal(text, hex);
    for (size_t i = size; i < total; i++)
        assert_int_equal(bytes[i], 0);
}

/* ---- frozen ---- */

static void device_superblock_is_that_of_version_1(void **state)
{
    (void)state;
    uint8_t bytes[4096];
    char text[900];
    struct dw_device_info seen;
    dw_device_encode(&device, bytes);
    bytes_are(bytes, sizeof bytes, device_hex);
    assert_int_equal(dw_device_decode(bytes, &seen), DW_DECODED_OK);
    assert_int_equal(seen.slot_count, 62);
    assert_int_equal(seen.slots_at, 1 << 20);
    assert_string_equal(dw_text_device(&seen, text, sizeof text),
                        "device superblock sequence 6 device c0c1c2c3c4c5c6c7c8c9cacbcccdcecf version 1 device_size "
                        "67108864 slot_size 1048576 slots_at 1048576 slots 62 used 17 block_size 4096 features 1/2/4 "
                        "created 2020-09-13T12:26:40.000000000Z written 2023-11-14T22:13:20.999999999Z; log 0 #orders "
                        "quota 0; log 1 # CREATING quota 20");
}

static void slot_headers_are_those_of_version_1(void **state)
{
    (void)state;
    uint8_t bytes[4096];
    char text[300];
    struct dw_slot_info none = {.state = DW_SLOT_STATE_FREE, .slot = 3, .uses = 41}, seen;
    struct dw_slot_info blank = {.state = DW_SLOT_STATE_BLANK, .slot = 4, .uses = 42};
    memcpy(blank.log_id, device.logs[0].log_id, sizeof blank.log_id);
    dw_slot_header_encode(device.device_id, &none, bytes, sizeof bytes);
    bytes_are(bytes, sizeof bytes, slot_free_hex);
    assert_int_equal(dw_slot_header_decode(device.device_id, bytes, 3, &seen), DW_DECODED_OK);
    assert_int_equal(dw_slot_header_decode(device.device_id, bytes, 4, &seen), DW_DECODED_MISPLACED);
    assert_int_equal(dw_slot_header_decode(device.logs[0].log_id, bytes, 3, &seen), DW_DECODED_FOREIGN);
    dw_slot_header_encode(device.device_id, &blank, bytes, sizeof bytes);
    bytes_are(bytes, sizeof bytes, slot_blank_hex);
    assert_int_equal(dw_slot_header_decode(device.device_id, bytes, 4, &seen), DW_DECODED_OK);
    assert_string_equal(dw_text_slot(&seen, text, sizeof text),
                        "slot 4 BLANK uses 42 log a0a1a2a3a4a5a6a7a8a9aaabacadaeaf");
}

static void a_volume_header_tells_its_slot(void **state)
{
    (void)state;
    uint8_t bytes[4096];
    char text[400];
    struct dw_volume_info seen;
    const struct dw_volume_info info = {.number = 8,
                                        .predecessor = 7,
                                        .predecessor_end = DW_PREDECESSOR_RUNS_ON,
                                        .in_flight_blocks = 512,
                                        .epoch = 3,
                                        .claim_time = UINT64_C(1700000000123456790),
                                        .slot_uses = 5,
                                        .slot = 13};
    dw_volume_header_encode(&geometry, &identity, &info, bytes);
    bytes_are(bytes, sizeof bytes, volume_in_slot_hex);
    assert_int_equal(dw_volume_header_decode(&geometry, &identity, bytes, 8, &seen), DW_DECODED_OK);
    assert_int_equal(seen.slot, 13);
    assert_int_equal(seen.slot_uses, 5);
    assert_non_null(strstr(dw_text_volume(&seen, text, sizeof text), " slot 12 uses 5"));
}

/* ---- any bytes ---- */

static void every_flipped_bit_is_found(void **state)
{
    (void)state;
    uint8_t bytes[4096];
    struct dw_device_info seen;
    struct dw_slot_info slot = {.state = DW_SLOT_STATE_FREE, .slot = 3};
    dw_device_encode(&device, bytes);
    for (size_t bit = 0; bit < 8 * sizeof bytes; bit++) {
        bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
        assert_int_not_equal(dw_device_decode(bytes, &seen), DW_DECODED_OK);
        bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
    }
    dw_slot_header_encode(device.device_id, &slot, bytes, sizeof bytes);
    for (size_t bit = 0; bit < (size_t)8 * DW_SLOT_HEADER_SIZE; bit++) {
        bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
        assert_int_not_equal(dw_slot_header_decode(device.device_id, bytes, 3, &slot), DW_DECODED_OK);
        bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
    }
}

/* Change some bytes and make the checksum right again. */
static enum dw_decoded decode_with(size_t at, uint64_t value, size_t size)
{
    uint8_t bytes[4096];
    struct dw_device_info seen;
    dw_device_encode(&device, bytes);
    memcpy(bytes + at, &value, size);
    uint32_t crc = dw_crc32c(0, bytes + 12, sizeof bytes - 12);
    memcpy(bytes + 8, &crc, sizeof crc);
    return dw_device_decode(bytes, &seen);
}

static void impossible_fields_are_refused(void **state)
{
    (void)state;
    assert_int_equal(decode_with(12, 2, 4), DW_DECODED_VERSION);
    assert_int_equal(decode_with(12, 0, 4), DW_DECODED_IMPOSSIBLE);
    assert_int_equal(decode_with(40, (64u << 20) + 1, 8), DW_DECODED_IMPOSSIBLE); /* device_size */
    assert_int_equal(decode_with(40, UINT64_MAX, 8), DW_DECODED_IMPOSSIBLE);
    assert_int_equal(decode_with(48, 0, 8), DW_DECODED_IMPOSSIBLE); /* slot_size */
    assert_int_equal(decode_with(48, 4097, 8), DW_DECODED_IMPOSSIBLE);
    assert_int_equal(decode_with(56, 4096, 8), DW_DECODED_IMPOSSIBLE); /* slots_at */
    assert_int_equal(decode_with(64, 63, 4), DW_DECODED_IMPOSSIBLE);   /* slot_count */
    assert_int_equal(decode_with(68, 63, 4), DW_DECODED_IMPOSSIBLE);   /* slots_used */
    assert_int_equal(decode_with(68, 62, 4), DW_DECODED_OK);
    assert_int_equal(decode_with(72, 0, 4), DW_DECODED_IMPOSSIBLE); /* block_size */
    assert_int_equal(decode_with(72, 1u << 31, 4), DW_DECODED_IMPOSSIBLE);
    assert_int_equal(decode_with(104, 1, 1), DW_DECODED_IMPOSSIBLE); /* zero */
    assert_int_equal(decode_with(4095, 1, 1), DW_DECODED_IMPOSSIBLE);
    assert_int_equal(decode_with(256, 3, 4), DW_DECODED_IMPOSSIBLE);             /* state of a log */
    assert_int_equal(decode_with(256, 0, 4), DW_DECODED_IMPOSSIBLE);             /* and yet it has an id */
    assert_int_equal(decode_with(256 + 24, '/', 1), DW_DECODED_IMPOSSIBLE);      /* name */
    assert_int_equal(decode_with(256 + 24 + 31, 'x', 1), DW_DECODED_IMPOSSIBLE); /* bytes behind its end */
    assert_int_equal(decode_with(256 + 64, 1, 1), DW_DECODED_IMPOSSIBLE);
    assert_int_equal(decode_with(256 + 2 * 96 + 90, 1, 1), DW_DECODED_IMPOSSIBLE); /* an entry that is none */
}

static void two_ready_logs_cannot_share_a_name(void **state)
{
    (void)state;
    struct dw_device_info twice = device, seen;
    uint8_t bytes[4096];
    memcpy(twice.logs[1].name, "orders", 7);
    dw_device_encode(&twice, bytes); /* one of them is not ready */
    assert_int_equal(dw_device_decode(bytes, &seen), DW_DECODED_OK);
    uint32_t ready = DW_DEVICE_LOG_READY;
    memcpy(bytes + 256 + 96, &ready, sizeof ready);
    uint32_t crc = dw_crc32c(0, bytes + 12, sizeof bytes - 12);
    memcpy(bytes + 8, &crc, sizeof crc);
    assert_int_equal(dw_device_decode(bytes, &seen), DW_DECODED_IMPOSSIBLE);
}

/* ---- layout ---- */

static void nothing_overlaps_whatever_the_sizes(void **state)
{
    (void)state;
    static const uint64_t slot_sizes[] = {8192, 65536, 1 << 20, (1 << 20) + 4096, UINT64_C(1) << 32};
    for (uint32_t block_size = 4096; block_size <= 65536; block_size *= 2)
        for (size_t i = 0; i < sizeof slot_sizes / sizeof slot_sizes[0]; i++)
            for (uint64_t size = UINT64_C(1) << 20; size <= UINT64_C(1) << 44; size = size * 3 + 512) {
                struct dw_device_info info = {
                    .device_size = size, .block_size = block_size, .slot_size = slot_sizes[i]};
                if (!dw_device_layout(&info))
                    continue;
                uint64_t end = info.device_size;
                assert_true(end <= size && info.slot_count > 0 && info.slots_at % block_size == 0);
                assert_true(dw_device_place_of_copy(end, 1) + 65536 <= dw_device_place_of_log_copy(&info, 0, 0));
                assert_true(dw_device_place_of_log_copy(&info, DW_DEVICE_LOGS_MAX - 1, 1) + block_size <=
                            info.slots_at);
                uint64_t last = dw_device_place_of_slot(&info, info.slot_count);
                assert_true(last <= dw_device_place_of_log_copy(&info, 0, 2));
                assert_true(dw_device_place_of_log_copy(&info, DW_DEVICE_LOGS_MAX - 1, 3) + block_size <=
                            dw_device_place_of_copy(end, 2));
                assert_int_equal(dw_device_place_of_copy(end, 3) + 65536, end);
            }
}

static void a_device_without_room_for_a_slot_has_no_layout(void **state)
{
    (void)state;
    struct dw_device_info info = {.device_size = 2u << 20, .block_size = 4096, .slot_size = 1 << 20};
    assert_false(dw_device_layout(&info));
    info.device_size = 3u << 20;
    assert_true(dw_device_layout(&info));
    info.slot_size = 1000;
    assert_false(dw_device_layout(&info));
}

static void names_are_short_and_plain(void **state)
{
    (void)state;
    assert_true(dw_device_name_is_possible(""));
    assert_true(dw_device_name_is_possible("Az09._-"));
    assert_true(dw_device_name_is_possible("0123456789012345678901234567890"));
    assert_false(dw_device_name_is_possible("01234567890123456789012345678901"));
    assert_false(dw_device_name_is_possible("a b"));
    assert_false(dw_device_name_is_possible("a/b"));
    assert_false(dw_device_name_is_possible("a#b"));
    assert_false(dw_device_name_is_possible("\xc3\xa4"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(device_superblock_is_that_of_version_1),
        cmocka_unit_test(slot_headers_are_those_of_version_1),
        cmocka_unit_test(a_volume_header_tells_its_slot),
        cmocka_unit_test(every_flipped_bit_is_found),
        cmocka_unit_test(impossible_fields_are_refused),
        cmocka_unit_test(two_ready_logs_cannot_share_a_name),
        cmocka_unit_test(nothing_overlaps_whatever_the_sizes),
        cmocka_unit_test(a_device_without_room_for_a_slot_has_no_layout),
        cmocka_unit_test(names_are_short_and_plain),
    };
    return cmocka_run_group_tests(tests, make, NULL);
}
