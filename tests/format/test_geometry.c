/* test_geometry.c - lsn <-> block <-> volume <-> byte, against a walk over the volumes; limits of the parameters. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>

#include "base/compiler.h"
#include "tests/format/sample.h"

/* Walk over `volumes` volumes byte by byte, as a reader of the format's description would, and count lsns. */
static void check_by_walking(const struct dw_geometry *g, uint32_t volumes)
{
    uint64_t lsn = 0, block = 0;
    for (uint32_t number = 0; number < volumes; number++) {
        assert_int_equal(dw_first_lsn_of_volume(g, number), lsn);
        assert_int_equal(dw_first_block_of_volume(g, number), block);
        for (uint64_t place = UINT64_C(2) * g->block_size; place < dw_place_of_toc(g);
             place += g->block_size, block++) {
            assert_int_equal(dw_lsn_of_block(g, block), lsn);
            assert_int_equal(dw_place_of_block(g, block), place);
            assert_int_equal(dw_volume_of_block(g, block), number);
            uint32_t offset = 0;
            for (uint32_t byte = 32; byte < g->block_size; byte++) {
                if (byte % g->sector_size < 4)
                    continue;
                assert_int_equal(dw_block_of_lsn(g, lsn), block);
                assert_int_equal(dw_offset_of_lsn(g, lsn), offset);
                assert_int_equal(dw_volume_of_lsn(g, lsn), number);
                assert_int_equal(dw_byte_of_payload(g, offset), byte);
                offset++;
                lsn++;
            }
            assert_int_equal(offset, g->payload_size);
        }
        assert_int_equal(dw_end_lsn_of_volume(g, number), lsn);
        assert_int_equal(dw_place_of_toc(g) + dw_toc_area_size(g), g->volume_size);
    }
}

static void lsn_and_place_agree_with_a_walk(void **state)
{
    (void)state;
    const uint32_t sectors[] = {512, 4096}, blocks[] = {4096, 65536}, tocs[] = {0, 1, 3968, 3969, 70000};
    for (size_t s = 0; s < 2; s++)
        for (size_t b = 0; b < 2; b++)
            for (size_t t = 0; t < DW_COUNT_OF(tocs); t++) {
                uint32_t toc_blocks = (128 + tocs[t] + blocks[b] - 1) / blocks[b];
                for (uint32_t data_blocks = 2; data_blocks <= 3; data_blocks++) {
                    uint64_t volume_size = (uint64_t)(2 + data_blocks + toc_blocks) * blocks[b];
                    struct dw_geometry g = sample_geometry_of(blocks[b], sectors[s], volume_size, tocs[t]);
                    assert_int_equal(g.data_blocks, data_blocks);
                    assert_int_equal(g.toc_blocks, toc_blocks);
                    assert_int_equal(g.sector_count, blocks[b] / sectors[s]);
                    check_by_walking(&g, blocks[b] == 4096 ? 4 : 1);
                }
            }
}

static void numbers_of_the_manual_hold(void **state)
{
    (void)state;
    struct dw_geometry g = sample_geometry_of(4096, 512, 64 << 20, 0);
    assert_int_equal(g.payload_size, 4036);
    assert_int_equal(g.data_blocks, 16381);
    g = sample_geometry_of(65536, 4096, 64 << 20, 0);
    assert_int_equal(g.payload_size, 65444);
    assert_int_equal(g.data_blocks, 1021);
}

static void largest_log_does_not_overflow(void **state)
{
    (void)state;
    const uint32_t sectors[] = {512, 4096};
    for (size_t s = 0; s < 2; s++)
        for (uint32_t block_size = 4096; block_size <= 65536; block_size *= 2) {
            struct dw_geometry g = sample_geometry_of(block_size, sectors[s], DW_VOLUME_SIZE_MAX, 0);
            uint64_t end = dw_end_lsn_of_volume(&g, DW_VOLUME_NUMBER_MAX);
            assert_true(end < UINT64_C(1) << 63);
            assert_int_equal(dw_volume_of_lsn(&g, end - 1), DW_VOLUME_NUMBER_MAX);
            assert_int_equal(dw_offset_of_lsn(&g, end - 1), g.payload_size - 1);
            assert_int_equal(dw_place_of_block(&g, dw_block_of_lsn(&g, end - 1)) + block_size, dw_place_of_toc(&g));
            assert_true(g.payload_size < DW_FIRST_RECORD_NONE);
        }
}

static void parameters_out_of_limits_are_refused_by_name(void **state)
{
    (void)state;
    const struct {
        uint32_t block_size, sector_size;
        uint64_t volume_size;
        uint32_t toc_length;
        const char *name;
    } cases[] = {
        {0, 512, 1 << 20, 0, "block_size"},
        {2048, 512, 1 << 20, 0, "block_size"},
        {4095, 512, 1 << 20, 0, "block_size"},
        {12288, 512, 1 << 20, 0, "block_size"},
        {131072, 512, 1 << 20, 0, "block_size"},
        {UINT32_MAX, 512, 1 << 20, 0, "block_size"},
        {4096, 0, 1 << 20, 0, "sector_size"},
        {4096, 1024, 1 << 20, 0, "sector_size"},
        {65536, 8192, 1 << 20, 0, "sector_size"},
        {4096, 512, (1 << 20) + 512, 0, "volume_size"},
        {4096, 512, 0, 0, "volume_size"},
        {4096, 512, 4 * 4096, 0, "volume_size"},
        {4096, 512, 5 * 4096, 3969, "volume_size"},
        {4096, 512, DW_VOLUME_SIZE_MAX + 4096, 0, "volume_size"},
        {4096, 512, UINT64_MAX - 4095, 0, "volume_size"},
        {4096, 512, DW_VOLUME_SIZE_MAX, DW_TOC_LENGTH_MAX + 1, "toc_length"},
        {4096, 512, DW_VOLUME_SIZE_MAX, UINT32_MAX, "toc_length"},
    };
    for (size_t i = 0; i < DW_COUNT_OF(cases); i++) {
        struct dw_geometry g;
        const char *why = "";
        assert_int_equal(dw_geometry_init(&g, cases[i].block_size, cases[i].sector_size, cases[i].volume_size,
                                          cases[i].toc_length, &why),
                         -EINVAL);
        assert_int_equal(strncmp(why, cases[i].name, strlen(cases[i].name)), 0);
        assert_int_equal(dw_geometry_init(&g, cases[i].block_size, cases[i].sector_size, cases[i].volume_size,
                                          cases[i].toc_length, NULL),
                         -EINVAL);
    }
    struct dw_geometry g;
    assert_int_equal(dw_geometry_init(&g, 4096, 512, 5 * 4096, 3968, NULL), 0);
    assert_int_equal(dw_geometry_init(&g, 4096, 4096, DW_VOLUME_SIZE_MAX, DW_TOC_LENGTH_MAX, NULL), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lsn_and_place_agree_with_a_walk),
        cmocka_unit_test(numbers_of_the_manual_hold),
        cmocka_unit_test(largest_log_does_not_overflow),
        cmocka_unit_test(parameters_out_of_limits_are_refused_by_name),
    };
    return cmocka_run_group_tests_name("geometry", tests, NULL, NULL);
}
