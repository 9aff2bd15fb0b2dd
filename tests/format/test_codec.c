/* test_codec.c - what is encoded is decoded again, every changed byte is noticed, and each verdict has its cause. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/compiler.h"
#include "tests/format/subject.h"

static void codec_decodes_what_it_encoded(void **state)
{
    (void)state;
    struct sample_random random = {1};
    for (int round = 0; round < 20000; round++) {
        const struct subject *subject = &subjects[round % (int)DW_COUNT_OF(subjects)];
        struct subject_log log = subject_log_make(&random);
        uint8_t image[SUBJECT_IMAGE_SIZE], again[SUBJECT_IMAGE_SIZE];
        char text[SUBJECT_TEXT_SIZE], text_again[SUBJECT_TEXT_SIZE];
        subject->make(&random, &log, image, text);
        assert_int_equal(subject->decode(&log, image, again, text_again), DW_DECODED_OK);
        assert_string_equal(text, text_again);
        assert_memory_equal(image, again, subject->size(&log));
    }
}

static void codec_notices_every_changed_byte(void **state)
{
    (void)state;
    struct sample_random random = {2};
    for (size_t kind = 0; kind < DW_COUNT_OF(subjects) * 8; kind++) {
        const struct subject *subject = &subjects[kind % DW_COUNT_OF(subjects)];
        struct subject_log log = subject_log_make(&random);
        uint8_t image[SUBJECT_IMAGE_SIZE], again[SUBJECT_IMAGE_SIZE];
        char text[SUBJECT_TEXT_SIZE], text_again[SUBJECT_TEXT_SIZE];
        subject->make(&random, &log, image, text);
        for (size_t byte = 0; byte < subject->size(&log); byte++) {
            for (unsigned change = 1; change < 256; change++) {
                image[byte] ^= (uint8_t)change;
                enum dw_decoded verdict = subject->decode(&log, image, again, text_again);
                if (subject->has_tag && byte < 4) {
                    assert_int_equal(verdict, subject->is_tag_judged ? DW_DECODED_BAD_TAG : DW_DECODED_OK);
                    assert_string_equal(text, text_again);
                } else {
                    assert_true(verdict == DW_DECODED_BAD_CRC || verdict == DW_DECODED_BAD_MAGIC);
                }
                image[byte] ^= (uint8_t)change;
            }
        }
    }
}

static void blank_space_is_never_sound(void **state)
{
    (void)state;
    struct sample_random random = {3};
    static const uint8_t zero[SUBJECT_IMAGE_SIZE];
    for (int round = 0; round < 1000; round++) {
        const struct subject *subject = &subjects[round % (int)DW_COUNT_OF(subjects)];
        struct subject_log log = subject_log_make(&random);
        uint8_t again[SUBJECT_IMAGE_SIZE];
        char text[SUBJECT_TEXT_SIZE];
        enum dw_decoded verdict = subject->decode(&log, zero, again, text);
        assert_true(verdict == DW_DECODED_BAD_CRC || verdict == DW_DECODED_BAD_MAGIC);
    }
}

/* A seed for which the checksum of a blank block header happens to be right. Found by undoing CRC: one step back over
 * 24 zero bytes is a product of 192 single-bit steps. */
static uint32_t seed_whose_blank_checks(void)
{
    uint32_t crc = ~0u; /* the value before the final inversion that gives 0 */
    for (int bit = 0; bit < 24 * 8; bit++)
        crc = (crc & 0x80000000u) != 0 ? (crc ^ 0x82f63b78u) << 1 | 1u : crc << 1;
    return ~crc;
}
static void blank_block_is_never_sound_even_when_its_checksum_is(void **state)
{
    (void)state;
    struct sample_random random = {4};
    struct subject_log log = subject_log_make(&random);
    log.identity.block_seed = seed_whose_blank_checks();
    static const uint8_t zero[32];
    assert_int_equal(dw_crc32c(log.identity.block_seed, zero, 24), 0);
    struct dw_block_info info;
    assert_int_equal(dw_block_header_decode(&log.geometry, &log.identity, zero, 0, &info), DW_DECODED_BAD_CRC);
}

static void structures_of_another_log_are_recognised(void **state)
{
    (void)state;
    struct sample_random random = {5};
    for (int round = 0; round < 400; round++) {
        const struct subject *subject = &subjects[round % 3];
        struct subject_log log = subject_log_make(&random);
        uint8_t image[SUBJECT_IMAGE_SIZE], again[SUBJECT_IMAGE_SIZE];
        char text[SUBJECT_TEXT_SIZE];
        subject->make(&random, &log, image, text);
        struct dw_identity other = sample_identity(&random);
        log.identity = other;
        enum dw_decoded verdict = subject->decode(&log, image, again, text);
        /* Block headers are short: the log is in the seed of their checksum. */
        assert_int_equal(verdict, subject == &subjects[0] ? DW_DECODED_BAD_CRC : DW_DECODED_FOREIGN);
    }
}

static void structures_of_another_place_are_recognised(void **state)
{
    (void)state;
    struct sample_random random = {6};
    for (int round = 0; round < 300; round++) {
        const struct subject *subject = &subjects[round % 3];
        struct subject_log log = subject_log_make(&random);
        uint8_t image[SUBJECT_IMAGE_SIZE], again[SUBJECT_IMAGE_SIZE];
        char text[SUBJECT_TEXT_SIZE];
        subject->make(&random, &log, image, text);
        log.number ^= 1u;
        log.block ^= 1u;
        assert_int_equal(subject->decode(&log, image, again, text), DW_DECODED_MISPLACED);
    }
}

static void misplaced_block_says_where_it_belongs(void **state)
{
    (void)state;
    struct sample_random random = {7};
    struct subject_log log = subject_log_make(&random);
    struct dw_block_info info = {.block = 77, .watermark = 70, .fill = 9, .first_record = 3}, seen = {0};
    uint8_t image[32];
    dw_block_header_encode(&log.identity, &info, 0, image);
    assert_int_equal(dw_block_header_decode(&log.geometry, &log.identity, image, 78, &seen), DW_DECODED_MISPLACED);
    assert_int_equal(seen.block, 77);
    assert_int_equal(seen.watermark, 70);
}

/* Set a little-endian field of an image, mend the checksum, decode. */
static enum dw_decoded decode_with(const struct subject *subject, const struct subject_log *log, const uint8_t *image,
                                   size_t at, uint64_t value, size_t size)
{
    uint8_t changed[SUBJECT_IMAGE_SIZE], again[SUBJECT_IMAGE_SIZE];
    char text[SUBJECT_TEXT_SIZE];
    memcpy(changed, image, sizeof changed);
    memcpy(changed + at, &value, size);
    subject->mend(log, changed);
    return subject->decode(log, changed, again, text);
}

static void block_header_with_a_broken_invariant_is_impossible(void **state)
{
    (void)state;
    struct sample_random random = {8};
    struct subject_log log = subject_log_make(&random);
    log.block = 1000;
    const struct dw_block_info info = {.block = 1000, .watermark = 990, .fill = 500, .first_record = 500};
    const uint32_t payload = log.geometry.payload_size;
    uint8_t image[SUBJECT_IMAGE_SIZE] = {0};
    dw_block_header_encode(&log.identity, &info, 0, image);
    const struct subject *subject = &subjects[0];
    assert_int_equal(decode_with(subject, &log, image, 16, 1000, 8), DW_DECODED_OK);
    assert_int_equal(decode_with(subject, &log, image, 16, 1001, 8), DW_DECODED_IMPOSSIBLE); /* watermark */
    assert_int_equal(decode_with(subject, &log, image, 24, payload, 2), DW_DECODED_OK);      /* fill */
    assert_int_equal(decode_with(subject, &log, image, 24, payload + 1, 2), DW_DECODED_IMPOSSIBLE);
    assert_int_equal(decode_with(subject, &log, image, 26, 501, 2), DW_DECODED_IMPOSSIBLE); /* first_record */
    assert_int_equal(decode_with(subject, &log, image, 26, DW_FIRST_RECORD_NONE, 2), DW_DECODED_OK);
    assert_int_equal(decode_with(subject, &log, image, 28, DW_BLOCK_MARKER, 2), DW_DECODED_IMPOSSIBLE);
    assert_int_equal(decode_with(subject, &log, image, 28, 2, 2), DW_DECODED_IMPOSSIBLE); /* unknown flag */
    assert_int_equal(decode_with(subject, &log, image, 30, 1, 2), DW_DECODED_IMPOSSIBLE); /* zero */
    uint64_t beyond = dw_first_block_of_volume(&log.geometry, DW_VOLUME_NUMBER_MAX) + log.geometry.data_blocks;
    assert_int_equal(decode_with(subject, &log, image, 8, beyond, 8), DW_DECODED_IMPOSSIBLE);
    assert_int_equal(decode_with(subject, &log, image, 8, beyond - 1, 8), DW_DECODED_MISPLACED);
}

static void volume_header_with_a_broken_invariant_is_impossible(void **state)
{
    (void)state;
    struct sample_random random = {9};
    struct subject_log log = subject_log_make(&random);
    const struct subject *subject = &subjects[1];
    const struct dw_geometry *g = &log.geometry;
    struct dw_volume_info info = {.number = 5,
                                  .predecessor = 3,
                                  .predecessor_end = DW_PREDECESSOR_CUT,
                                  .cut = dw_end_lsn_of_volume(g, 3),
                                  .in_flight_blocks = 1};
    uint8_t image[SUBJECT_IMAGE_SIZE];
    log.number = 5;
    dw_volume_header_encode(g, &log.identity, &info, image);
    assert_int_equal(decode_with(subject, &log, image, 16, 2, 4), DW_DECODED_VERSION);
    assert_int_equal(decode_with(subject, &log, image, 16, 0, 4), DW_DECODED_IMPOSSIBLE);
    assert_int_equal(decode_with(subject, &log, image, 20, DW_VOLUME_NUMBER_MAX + 1u, 4), DW_DECODED_IMPOSSIBLE);
    assert_int_equal(decode_with(subject, &log, image, 20, 6, 4), DW_DECODED_MISPLACED);
    assert_int_equal(decode_with(subject, &log, image, 24, 0, 1), image[24] == 0 ? DW_DECODED_OK : DW_DECODED_FOREIGN);
    assert_int_equal(decode_with(subject, &log, image, 40, 5, 4), DW_DECODED_IMPOSSIBLE); /* predecessor >= number */
    assert_int_equal(decode_with(subject, &log, image, 40, 2, 4), DW_DECODED_IMPOSSIBLE); /* cut beyond its end */
    assert_int_equal(decode_with(subject, &log, image, 40, 4, 4), DW_DECODED_OK);         /* cut at its very start */
    assert_int_equal(decode_with(subject, &log, image, 44, DW_PREDECESSOR_RUNS_ON, 4), DW_DECODED_IMPOSSIBLE);
    assert_int_equal(decode_with(subject, &log, image, 44, DW_PREDECESSOR_NONE, 4), DW_DECODED_IMPOSSIBLE);
    assert_int_equal(decode_with(subject, &log, image, 44, 3, 4), DW_DECODED_IMPOSSIBLE);
    assert_int_equal(decode_with(subject, &log, image, 48, info.cut + 1, 8), DW_DECODED_IMPOSSIBLE);
    assert_int_equal(decode_with(subject, &log, image, 48, dw_first_lsn_of_volume(g, 3), 8), DW_DECODED_OK);
    assert_int_equal(decode_with(subject, &log, image, 48, dw_first_lsn_of_volume(g, 3) - 1, 8), DW_DECODED_IMPOSSIBLE);
    assert_int_equal(decode_with(subject, &log, image, 56, 8192, 4), DW_DECODED_IMPOSSIBLE); /* geometry */
    assert_int_equal(decode_with(subject, &log, image, 60, 1024, 4), DW_DECODED_IMPOSSIBLE);
    assert_int_equal(decode_with(subject, &log, image, 64, g->volume_size + 4096, 8), DW_DECODED_IMPOSSIBLE);
    assert_int_equal(decode_with(subject, &log, image, 72, g->toc_length + 1u, 4), DW_DECODED_IMPOSSIBLE);
    assert_int_equal(decode_with(subject, &log, image, 76, 0, 4), DW_DECODED_IMPOSSIBLE);
    assert_int_equal(decode_with(subject, &log, image, 96, 1, 1), DW_DECODED_IMPOSSIBLE);
    assert_int_equal(decode_with(subject, &log, image, 127, 1, 1), DW_DECODED_IMPOSSIBLE);
}

static void toc_with_a_broken_invariant_is_impossible(void **state)
{
    (void)state;
    struct sample_random random = {10};
    struct subject_log log = subject_log_make(&random);
    log.geometry = sample_geometry_of(4096, 512, 4096 * 20, 100);
    const struct subject *subject = &subjects[2];
    uint64_t first = dw_first_lsn_of_volume(&log.geometry, 2), end = dw_end_lsn_of_volume(&log.geometry, 2);
    const struct dw_toc_info info = {.number = 2,
                                     .flags = DW_TOC_TABLE,
                                     .table_length = 100,
                                     .first_lsn = first,
                                     .last_lsn = first + 100,
                                     .end = end,
                                     .entry_count = 6};
    uint8_t image[SUBJECT_IMAGE_SIZE], table[100];
    sample_bytes(&random, table, sizeof table);
    log.number = 2;
    dw_toc_encode(&log.geometry, &log.identity, &info, table, image);
    assert_memory_equal(image + 128, table, sizeof table);
    for (size_t byte = 228; byte < SUBJECT_IMAGE_SIZE; byte++)
        assert_int_equal(image[byte], 0);
    assert_int_equal(decode_with(subject, &log, image, 16, 1, 4), DW_DECODED_IMPOSSIBLE); /* lsns of another volume */
    assert_int_equal(decode_with(subject, &log, image, 16, DW_VOLUME_NUMBER_NONE, 4), DW_DECODED_IMPOSSIBLE);
    assert_int_equal(decode_with(subject, &log, image, 20, 16, 4), DW_DECODED_IMPOSSIBLE); /* unknown flag */
    assert_int_equal(decode_with(subject, &log, image, 40, first - 1, 8), DW_DECODED_IMPOSSIBLE);
    assert_int_equal(decode_with(subject, &log, image, 40, first + 101, 8), DW_DECODED_IMPOSSIBLE);
    assert_int_equal(decode_with(subject, &log, image, 48, end + 1, 8), DW_DECODED_IMPOSSIBLE);
    assert_int_equal(decode_with(subject, &log, image, 56, end + 1, 8), DW_DECODED_IMPOSSIBLE);
    assert_int_equal(decode_with(subject, &log, image, 56, first + 99, 8), DW_DECODED_IMPOSSIBLE);
    assert_int_equal(decode_with(subject, &log, image, 64, 7, 8), DW_DECODED_IMPOSSIBLE); /* more than fit */
    assert_int_equal(decode_with(subject, &log, image, 64, 0, 8), DW_DECODED_OK);
    assert_int_equal(decode_with(subject, &log, image, 88, 101, 4), DW_DECODED_IMPOSSIBLE); /* above toc_length */
    assert_int_equal(decode_with(subject, &log, image, 92, 1, 4), DW_DECODED_IMPOSSIBLE);
    assert_int_equal(decode_with(subject, &log, image, 104, 1, 1), DW_DECODED_IMPOSSIBLE);
    assert_int_equal(decode_with(subject, &log, image, 127, 1, 1), DW_DECODED_IMPOSSIBLE);
}

static void toc_table_may_be_built_in_place(void **state)
{
    (void)state;
    struct sample_random random = {11};
    struct subject_log log = subject_log_make(&random);
    log.geometry = sample_geometry_of(4096, 512, 4096 * 20, 3000);
    const struct dw_toc_info info = {.table_length = 3000};
    uint8_t apart[4096], in_place[4096], table[3000];
    sample_bytes(&random, table, sizeof table);
    sample_bytes(&random, in_place, sizeof in_place);
    memcpy(in_place + 128, table, sizeof table);
    dw_toc_encode(&log.geometry, &log.identity, &info, table, apart);
    dw_toc_encode(&log.geometry, &log.identity, &info, in_place + 128, in_place);
    assert_memory_equal(apart, in_place, sizeof apart);
}

static void toc_of_which_too_little_was_read_cannot_be_checked(void **state)
{
    (void)state;
    struct sample_random random = {12};
    struct subject_log log = subject_log_make(&random);
    log.geometry = sample_geometry_of(4096, 512, 4096 * 20, 3000);
    const struct dw_toc_info info = {.table_length = 3000};
    uint8_t area[4096], table[3000];
    sample_bytes(&random, table, sizeof table);
    dw_toc_encode(&log.geometry, &log.identity, &info, table, area);
    for (size_t size = 128; size <= sizeof area; size += 1) {
        struct dw_toc_info seen;
        uint8_t *guarded = sample_guarded(size);
        memcpy(guarded, area, size);
        assert_int_equal(dw_toc_decode(&log.geometry, &log.identity, guarded, size, 0, &seen),
                         size < 3128 ? DW_DECODED_BAD_CRC : DW_DECODED_OK);
        sample_guarded_free(guarded, size);
    }
}

static void superblock_with_a_broken_invariant_is_impossible(void **state)
{
    (void)state;
    struct sample_random random = {13};
    struct subject_log log = subject_log_make(&random);
    const struct subject *subject = &subjects[3];
    const struct dw_superblock_info info = {.identity = log.identity,
                                            .geometry = log.geometry,
                                            .claimed = 9,
                                            .head = 9,
                                            .state = DW_SUPERBLOCK_OPEN,
                                            .in_flight_blocks = 1};
    uint8_t image[SUBJECT_IMAGE_SIZE];
    dw_superblock_encode(&info, image);
    assert_int_equal(decode_with(subject, &log, image, 12, 2, 4), DW_DECODED_VERSION);
    assert_int_equal(decode_with(subject, &log, image, 12, 0, 4), DW_DECODED_IMPOSSIBLE);
    assert_int_equal(decode_with(subject, &log, image, 40, 0x7fffffff, 4), DW_DECODED_IMPOSSIBLE); /* tag_key */
    assert_int_equal(decode_with(subject, &log, image, 44, 4097, 4), DW_DECODED_IMPOSSIBLE);
    assert_int_equal(decode_with(subject, &log, image, 48, 0, 8), DW_DECODED_IMPOSSIBLE);
    assert_int_equal(decode_with(subject, &log, image, 56, 0, 4), DW_DECODED_IMPOSSIBLE);
    assert_int_equal(decode_with(subject, &log, image, 60, UINT32_MAX, 4), DW_DECODED_IMPOSSIBLE);
    assert_int_equal(decode_with(subject, &log, image, 72, DW_VOLUME_NUMBER_MAX + 1u, 4), DW_DECODED_IMPOSSIBLE);
    assert_int_equal(decode_with(subject, &log, image, 72, 8, 4), DW_DECODED_IMPOSSIBLE); /* head above claimed */
    assert_int_equal(decode_with(subject, &log, image, 72, DW_VOLUME_NUMBER_NONE, 4), DW_DECODED_IMPOSSIBLE);
    assert_int_equal(decode_with(subject, &log, image, 132, DW_VOLUME_NUMBER_NONE, 4), DW_DECODED_OK);
    assert_int_equal(decode_with(subject, &log, image, 76, 0, 4), DW_DECODED_IMPOSSIBLE); /* state */
    assert_int_equal(decode_with(subject, &log, image, 76, 3, 4), DW_DECODED_IMPOSSIBLE);
    assert_int_equal(decode_with(subject, &log, image, 116, 256, 4), DW_DECODED_IMPOSSIBLE); /* blanks */
    assert_int_equal(decode_with(subject, &log, image, 120, 4, 4), DW_DECODED_IMPOSSIBLE);   /* fill_mode */
    assert_int_equal(decode_with(subject, &log, image, 152, 1, 1), DW_DECODED_IMPOSSIBLE);
    assert_int_equal(decode_with(subject, &log, image, 255, 1, 1), DW_DECODED_IMPOSSIBLE);
    /* Feature bits are the caller's decision. */
    assert_int_equal(decode_with(subject, &log, image, 104, UINT32_MAX, 4), DW_DECODED_OK);
    assert_int_equal(decode_with(subject, &log, image, 108, UINT32_MAX, 4), DW_DECODED_OK);
    assert_int_equal(decode_with(subject, &log, image, 112, UINT32_MAX, 4), DW_DECODED_OK);
}

static void headers_can_be_read_without_knowing_the_log(void **state)
{
    (void)state;
    struct sample_random random = {14};
    struct dw_geometry geometry = sample_geometry_of(16384, 4096, 16384 * 40, 500);
    struct dw_identity identity = sample_identity(&random);
    struct dw_volume_info info = sample_volume(&random, &geometry), seen;
    uint8_t *block = sample_guarded(16384);
    dw_volume_header_encode(&geometry, &identity, &info, block);
    for (size_t byte = 128; byte < 16384; byte++)
        assert_int_equal(block[byte], 0);
    assert_int_equal(dw_volume_header_decode(NULL, NULL, block, DW_VOLUME_NUMBER_NONE, &seen), DW_DECODED_OK);
    assert_int_equal(seen.number, info.number);
    assert_int_equal(seen.geometry.block_size, 16384);
    assert_int_equal(seen.geometry.payload_size, geometry.payload_size);
    sample_guarded_free(block, 16384);

    geometry = sample_geometry_of(4096, 512, 4096 * 20, 300);
    struct dw_toc_info toc = sample_toc(&random, &geometry), toc_seen;
    uint8_t area[4096], table[300] = {1};
    dw_toc_encode(&geometry, &identity, &toc, table, area);
    memset(area, 0xff, 4); /* without the key a tag says nothing */
    assert_int_equal(dw_toc_decode(&geometry, NULL, area, sizeof area, DW_VOLUME_NUMBER_NONE, &toc_seen),
                     DW_DECODED_OK);
    assert_int_equal(toc_seen.number, toc.number);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(codec_decodes_what_it_encoded),
        cmocka_unit_test(codec_notices_every_changed_byte),
        cmocka_unit_test(blank_space_is_never_sound),
        cmocka_unit_test(blank_block_is_never_sound_even_when_its_checksum_is),
        cmocka_unit_test(structures_of_another_log_are_recognised),
        cmocka_unit_test(structures_of_another_place_are_recognised),
        cmocka_unit_test(misplaced_block_says_where_it_belongs),
        cmocka_unit_test(block_header_with_a_broken_invariant_is_impossible),
        cmocka_unit_test(volume_header_with_a_broken_invariant_is_impossible),
        cmocka_unit_test(toc_with_a_broken_invariant_is_impossible),
        cmocka_unit_test(toc_table_may_be_built_in_place),
        cmocka_unit_test(toc_of_which_too_little_was_read_cannot_be_checked),
        cmocka_unit_test(superblock_with_a_broken_invariant_is_impossible),
        cmocka_unit_test(headers_can_be_read_without_knowing_the_log),
    };
    return cmocka_run_group_tests_name("codec", tests, NULL, NULL);
}
