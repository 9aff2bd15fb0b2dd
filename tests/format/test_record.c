/* test_record.c - record headers: round trip, what is refused, and that a record checks in one place only. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "core/format/crc32c.h"
#include "tests/format/sample.h"

static void record_header_is_decoded_as_encoded(void **state)
{
    (void)state;
    struct sample_random random = {1};
    for (int round = 0; round < 10000; round++) {
        struct dw_record_info info = sample_record(&random), seen;
        struct dw_record_header header;
        dw_record_header_encode(&info, &header);
        assert_int_equal(dw_get32(header.crc), 0);
        assert_true(dw_record_header_decode(&header, &seen));
        assert_int_equal(seen.data_crc, info.data_crc);
        assert_int_equal(seen.metadata_size, info.metadata_size);
        assert_int_equal(seen.data_size, info.data_size);
        assert_int_equal(seen.type, info.type);
        assert_int_equal(seen.flags, info.flags);
        assert_int_equal(seen.user, info.user);
        assert_int_equal(dw_record_size(&seen), UINT64_C(20) + info.metadata_size + info.data_size);
    }
}

static bool decodes_with(size_t at, uint32_t value, size_t size)
{
    const struct dw_record_info info = {.metadata_size = 1, .data_size = 1, .type = DW_RECORD_ENTRY};
    struct dw_record_info seen;
    struct dw_record_header header;
    dw_record_header_encode(&info, &header);
    memcpy((uint8_t *)&header + at, &value, size);
    return dw_record_header_decode(&header, &seen);
}
static void record_header_that_was_never_written_is_refused(void **state)
{
    (void)state;
    assert_true(decodes_with(8, 0x7ffffffb, 4));
    assert_false(decodes_with(8, 0x7ffffffc, 4));
    assert_false(decodes_with(8, UINT32_MAX, 4));
    assert_true(decodes_with(12, 0x7ffffffb, 4));
    assert_false(decodes_with(12, 0x7ffffffc, 4));
    assert_false(decodes_with(12, UINT32_MAX, 4));
    for (uint32_t value = 0; value < 256; value++) {
        assert_int_equal(decodes_with(16, value, 1), value == DW_RECORD_ENTRY);
        assert_int_equal(decodes_with(17, value, 1), value <= 1);
    }
    struct dw_record_header padding;
    struct dw_record_info seen;
    memset(&padding, 0, sizeof padding);
    assert_false(dw_record_header_decode(&padding, &seen));
}

/* The checksum in its plain words: CRC32C, started with the record seed, of the lsn and bytes 4-19. */
static uint32_t crc_by_the_book(const struct dw_identity *identity, uint64_t lsn, const struct dw_record_header *header)
{
    uint8_t covered[24];
    memcpy(covered, &lsn, 8);
    memcpy(covered + 8, (const uint8_t *)header + 4, 16);
    uint32_t seed = dw_crc32c_table(0x9e3779b9u, identity->log_id, 16);
    return dw_crc32c_table(seed, covered, sizeof covered);
}

static void record_checks_in_one_place_of_one_log_only(void **state)
{
    (void)state;
    struct sample_random random = {2};
    for (int round = 0; round < 2000; round++) {
        struct dw_identity identity = sample_identity(&random), other = sample_identity(&random);
        struct dw_record_info info = sample_record(&random);
        struct dw_record_header header;
        dw_record_header_encode(&info, &header);
        uint64_t lsn = sample_u64(&random);
        uint32_t crc = dw_record_crc_begin(&identity, lsn, &header);
        assert_int_equal(crc, crc_by_the_book(&identity, lsn, &header));
        assert_int_not_equal(crc, dw_record_crc_begin(&other, lsn, &header));
        /* A difference that lies within 32 bits changes a CRC for certain. */
        for (int bit = 0; bit < 64; bit++)
            assert_int_not_equal(crc, dw_record_crc_begin(&identity, lsn ^ (UINT64_C(1) << bit), &header));
        assert_int_not_equal(crc, dw_record_crc_begin(&identity, lsn + 4096, &header));
        for (size_t byte = 4; byte < 20; byte++) {
            ((uint8_t *)&header)[byte] ^= 0x10;
            assert_int_not_equal(crc, dw_record_crc_begin(&identity, lsn, &header));
            ((uint8_t *)&header)[byte] ^= 0x10;
        }
        header.crc = dw_le32_of(crc); /* its own place is not covered */
        assert_int_equal(crc, dw_record_crc_begin(&identity, lsn, &header));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(record_header_is_decoded_as_encoded),
        cmocka_unit_test(record_header_that_was_never_written_is_refused),
        cmocka_unit_test(record_checks_in_one_place_of_one_log_only),
    };
    return cmocka_run_group_tests_name("record", tests, NULL, NULL);
}
