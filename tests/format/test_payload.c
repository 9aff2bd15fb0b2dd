/* test_payload.c - payload in and out of blocks, against a copy byte by byte; sector tags. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/compiler.h"
#include "tests/format/sample.h"

#define BLOCK_MAX 65536u

static const uint32_t shapes[][2] = {{4096, 512}, {4096, 4096}, {8192, 512}, {65536, 512}, {65536, 4096}};

static struct dw_geometry shape(size_t at)
{
    return sample_geometry_of(shapes[at][0], shapes[at][1], shapes[at][0] * UINT64_C(10), 0);
}

/* Where each payload byte lies, found by walking over the block. */
static uint32_t walk(const struct dw_geometry *geometry, uint32_t places[BLOCK_MAX])
{
    uint32_t count = 0;
    for (uint32_t byte = DW_BLOCK_HEADER_SIZE; byte < geometry->block_size; byte++)
        if (byte % geometry->sector_size >= DW_TAG_SIZE)
            places[count++] = byte;
    return count;
}

static void payload_skips_header_and_tags(void **state)
{
    (void)state;
    static uint32_t places[BLOCK_MAX];
    for (size_t at = 0; at < DW_COUNT_OF(shapes); at++) {
        struct dw_geometry geometry = shape(at);
        assert_int_equal(walk(&geometry, places), geometry.payload_size);
        for (uint32_t offset = 0; offset < geometry.payload_size; offset++) {
            assert_int_equal(dw_byte_of_payload(&geometry, offset), places[offset]);
            uint32_t run = 1;
            while (offset + run < geometry.payload_size && places[offset + run] == places[offset] + run)
                run++;
            assert_int_equal(dw_payload_run(&geometry, offset), run);
        }
    }
}

static void payload_goes_in_and_out_as_if_byte_by_byte(void **state)
{
    (void)state;
    static uint32_t places[BLOCK_MAX];
    static uint8_t source[BLOCK_MAX], target[BLOCK_MAX + 1], block[BLOCK_MAX], expected[BLOCK_MAX];
    struct sample_random random = {3};
    for (int round = 0; round < 3000; round++) {
        struct dw_geometry geometry = shape((size_t)round % DW_COUNT_OF(shapes));
        walk(&geometry, places);
        uint32_t offset = (uint32_t)sample_below(&random, geometry.payload_size + 1u);
        uint32_t room = geometry.payload_size - offset;
        uint32_t size = (uint32_t)sample_below(&random, round % 2 ? room + 1u : dw_min_u64(room, 600) + 1);
        uint8_t filler = (uint8_t)sample_u32(&random);
        sample_bytes(&random, source, size);
        memset(block, filler, geometry.block_size);
        memset(expected, filler, geometry.block_size);
        for (uint32_t i = 0; i < size; i++)
            expected[places[offset + i]] = source[i];
        dw_payload_write(&geometry, block, offset, source, size);
        assert_memory_equal(block, expected, geometry.block_size);
        target[size] = 0xa5;
        dw_payload_read(&geometry, block, offset, target, size);
        assert_memory_equal(target, source, size);
        assert_int_equal(target[size], 0xa5);
    }
}

static void payload_moves_at_every_offset_with_every_short_size(void **state)
{
    (void)state;
    static uint32_t places[BLOCK_MAX];
    uint8_t source[48], target[48];
    static uint8_t block[4096], expected[4096];
    struct sample_random random = {4};
    sample_bytes(&random, source, sizeof source);
    for (size_t at = 0; at < 2; at++) {
        struct dw_geometry geometry = shape(at);
        walk(&geometry, places);
        for (uint32_t offset = 0; offset <= geometry.payload_size; offset++) {
            uint32_t size = (uint32_t)dw_min_u64(sizeof source, geometry.payload_size - offset);
            if (size > 0 && offset % 3 != 0)
                size = 1 + offset % size;
            memset(block, 0, sizeof block);
            memset(expected, 0, sizeof expected);
            for (uint32_t i = 0; i < size; i++)
                expected[places[offset + i]] = source[i];
            dw_payload_write(&geometry, block, offset, source, size);
            assert_memory_equal(block, expected, sizeof block);
            dw_payload_read(&geometry, block, offset, target, size);
            assert_memory_equal(target, source, size);
        }
    }
}

/* One byte that is not zero, at every payload offset; asked from before, at and behind it. */
static void payload_zero_test_sees_every_byte(void **state)
{
    (void)state;
    static uint8_t block[BLOCK_MAX];
    for (size_t at = 0; at < DW_COUNT_OF(shapes); at++) {
        struct dw_geometry geometry = shape(at);
        /* Header and tags are no payload: their bytes do not count. */
        memset(block, 0, sizeof block);
        memset(block, 0xff, DW_BLOCK_HEADER_SIZE);
        for (uint32_t byte = geometry.sector_size; byte < geometry.block_size; byte += geometry.sector_size)
            memset(block + byte, 0xff, DW_TAG_SIZE);
        assert_true(dw_payload_is_zero_from(&geometry, block, 0));
        uint32_t step = geometry.block_size > 8192 ? 61 : 1;
        for (uint32_t offset = 0; offset < geometry.payload_size; offset += step) {
            uint8_t *byte = &block[dw_byte_of_payload(&geometry, offset)];
            *byte = offset % 2 ? 1 : 0x80;
            assert_false(dw_payload_is_zero_from(&geometry, block, 0));
            assert_false(dw_payload_is_zero_from(&geometry, block, offset));
            assert_true(dw_payload_is_zero_from(&geometry, block, offset + 1));
            *byte = 0;
        }
        assert_true(dw_payload_is_zero_from(&geometry, block, geometry.payload_size));
    }
}

static void payload_full_of_one_value_is_not_zero(void **state)
{
    (void)state;
    static uint8_t block[BLOCK_MAX];
    struct dw_geometry geometry = shape(0);
    memset(block, 7, sizeof block);
    for (uint32_t offset = 0; offset < geometry.payload_size; offset++)
        assert_false(dw_payload_is_zero_from(&geometry, block, offset));
}

static void tags_tell_the_generation_of_each_sector(void **state)
{
    (void)state;
    static uint8_t block[BLOCK_MAX];
    struct sample_random random = {5};
    for (int round = 0; round < 2000; round++) {
        struct dw_geometry geometry = shape((size_t)round % DW_COUNT_OF(shapes));
        struct dw_identity identity = sample_identity(&random);
        uint32_t number = 1 + (sample_number(&random) >> 1);
        memset(block, 0, geometry.block_size);
        struct dw_tag_counts expected = {0}, counts;
        for (uint32_t byte = 0; byte < geometry.block_size; byte += geometry.sector_size) {
            uint32_t tag = 0;
            switch (sample_below(&random, 4)) {
            case 0:
                tag = dw_tag_of_volume(&identity, number);
                expected.current++;
                break;
            case 1:
                expected.blank++;
                break;
            case 2:
                tag = dw_tag_of_volume(&identity, (uint32_t)sample_below(&random, number));
                expected.old++;
                break;
            default:
                tag = dw_tag_of_volume(&identity, number + 1 + (uint32_t)sample_below(&random, 1000));
                expected.alien++;
                break;
            }
            memcpy(block + byte, &tag, sizeof tag);
        }
        dw_tags_count(&geometry, &identity, block, number, &counts);
        assert_int_equal(counts.current, expected.current);
        assert_int_equal(counts.blank, expected.blank);
        assert_int_equal(counts.old, expected.old);
        assert_int_equal(counts.alien, expected.alien);
    }
}

static void tag_of_no_volume_is_zero(void **state)
{
    (void)state;
    struct sample_random random = {6};
    for (int round = 0; round < 100000; round++) {
        struct dw_identity identity = sample_identity(&random);
        assert_int_not_equal(dw_tag_of_volume(&identity, sample_number(&random)), 0);
        uint32_t word = sample_u32(&random);
        assert_int_equal(dw_unmix32(dw_mix32(word)), word);
    }
}

static void stamping_writes_every_tag_but_the_first_and_nothing_else(void **state)
{
    (void)state;
    static uint8_t block[BLOCK_MAX], before[BLOCK_MAX];
    struct sample_random random = {7};
    for (size_t at = 0; at < DW_COUNT_OF(shapes); at++) {
        struct dw_geometry geometry = shape(at);
        struct dw_identity identity = sample_identity(&random);
        uint32_t tag = dw_tag_of_volume(&identity, 9);
        sample_bytes(&random, before, geometry.block_size);
        memcpy(block, before, geometry.block_size);
        dw_block_stamp_tags(&geometry, &identity, block, 9);
        for (uint32_t byte = geometry.sector_size; byte < geometry.block_size; byte += geometry.sector_size)
            memcpy(before + byte, &tag, sizeof tag);
        assert_memory_equal(block, before, geometry.block_size);
        struct dw_tag_counts counts;
        dw_tags_count(&geometry, &identity, block, 9, &counts);
        assert_int_equal(counts.current, geometry.sector_count - 1);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(payload_skips_header_and_tags),
        cmocka_unit_test(payload_goes_in_and_out_as_if_byte_by_byte),
        cmocka_unit_test(payload_moves_at_every_offset_with_every_short_size),
        cmocka_unit_test(payload_zero_test_sees_every_byte),
        cmocka_unit_test(payload_full_of_one_value_is_not_zero),
        cmocka_unit_test(tags_tell_the_generation_of_each_sector),
        cmocka_unit_test(tag_of_no_volume_is_zero),
        cmocka_unit_test(stamping_writes_every_tag_but_the_first_and_nothing_else),
    };
    return cmocka_run_group_tests_name("payload", tests, NULL, NULL);
}
