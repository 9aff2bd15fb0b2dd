/* test_codec_fuzz.c - decoders take any bytes: about a million quick cases from one seed.
 *
 * The property: a decoder never reads outside the bytes given (they end at a page that cannot be read), and whatever it
 * accepts is exactly what the encoder would write for it: nothing is accepted that the writer could not have meant. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/compiler.h"
#include "tests/format/subject.h"

#ifdef DW_SANITIZED
#define ROUNDS 100000
#else
#define ROUNDS 500000
#endif

struct tally {
    uint64_t seen[DW_DECODED_BAD_TAG + 1];
};

static void judge(const struct subject *subject, const struct subject_log *log, const uint8_t *image,
                  struct tally *tally)
{
    uint8_t again[SUBJECT_IMAGE_SIZE];
    char text[SUBJECT_TEXT_SIZE];
    enum dw_decoded verdict = subject->decode(log, image, again, text);
    tally->seen[verdict]++;
    if (verdict != DW_DECODED_OK && verdict != DW_DECODED_BAD_TAG)
        return;
    size_t skip = subject->has_tag ? 4 : 0;
    uint32_t length = log->table_length;
    if (subject == &subjects[2])
        memcpy(&length, image + 88, sizeof length);
    const struct subject_log as_read = {.table_length = length};
    assert_memory_equal(image + skip, again + skip, subject->size(&as_read) - skip);
}

/* Values near the limits break more than random ones. */
static uint64_t telling_value(struct sample_random *random, const struct subject_log *log)
{
    const uint64_t values[] = {0,
                               1,
                               2,
                               0x7fffffff,
                               0x80000000,
                               UINT32_MAX,
                               UINT64_MAX,
                               log->number,
                               log->number + 1u,
                               log->block,
                               log->geometry.payload_size,
                               log->geometry.payload_size + 1u,
                               dw_first_lsn_of_volume(&log->geometry, log->number),
                               dw_end_lsn_of_volume(&log->geometry, log->number),
                               sample_u64(random)};
    return values[sample_below(random, DW_COUNT_OF(values))] + sample_below(random, 3) - 1;
}

static void mutate(struct sample_random *random, const struct subject_log *log, uint8_t *image, size_t size)
{
    for (uint64_t count = 1 + sample_below(random, 4); count > 0; count--) {
        size_t length = (size_t)1 << sample_below(random, 4);
        size_t at = sample_below(random, size / length) * length;
        uint64_t value = telling_value(random, log);
        if (sample_below(random, 3) == 0)
            image[at] ^= (uint8_t)(1u << sample_below(random, 8));
        else
            memcpy(image + at, &value, length);
    }
}

/* One image per call, changed, decoded with and without a right checksum. The image ends where its block ends. */
static void fuzz(const struct subject *subject, uint64_t seed, struct tally *tally)
{
    struct sample_random random = {seed};
    uint8_t *image = sample_guarded(SUBJECT_IMAGE_SIZE);
    uint8_t original[SUBJECT_IMAGE_SIZE];
    char text[SUBJECT_TEXT_SIZE];
    struct subject_log log = {0};
    for (int round = 0; round < ROUNDS / (int)DW_COUNT_OF(subjects); round++) {
        if (round % 64 == 0) {
            log = subject_log_make(&random);
            memset(original, 0, sizeof original);
            subject->make(&random, &log, original, text);
        }
        memcpy(image, original, sizeof original);
        mutate(&random, &log, image, subject->size(&log));
        judge(subject, &log, image, tally);
        subject->mend(&log, image);
        judge(subject, &log, image, tally);
    }
    sample_guarded_free(image, SUBJECT_IMAGE_SIZE);
}

static void decoders_accept_only_what_encoders_write(void **state)
{
    (void)state;
    for (size_t kind = 0; kind < DW_COUNT_OF(subjects); kind++) {
        struct tally tally = {{0}};
        fuzz(&subjects[kind], 100 + kind, &tally);
        /* The loop is worth something only if it gets behind the checksum, both ways. */
        assert_true(tally.seen[DW_DECODED_OK] > ROUNDS / 1000);
        assert_true(tally.seen[DW_DECODED_IMPOSSIBLE] > ROUNDS / 1000);
        assert_true(tally.seen[DW_DECODED_BAD_CRC] > ROUNDS / 100);
        if (kind == 1 || kind == 2) {
            assert_true(tally.seen[DW_DECODED_FOREIGN] > ROUNDS / 1000);
            assert_true(tally.seen[DW_DECODED_BAD_TAG] > ROUNDS / 1000);
        }
        if (kind < 2) /* the lsns of a TOC belong to no other volume: IMPOSSIBLE */
            assert_true(tally.seen[DW_DECODED_MISPLACED] > 0);
        if (kind == 1 || kind == 3)
            assert_true(tally.seen[DW_DECODED_VERSION] > 0);
    }
}

static void decoders_take_any_bytes(void **state)
{
    (void)state;
    struct sample_random random = {200};
    uint8_t *image = sample_guarded(SUBJECT_IMAGE_SIZE);
    struct tally tally = {{0}};
    for (int round = 0; round < ROUNDS / 10; round++) {
        const struct subject *subject = &subjects[round % (int)DW_COUNT_OF(subjects)];
        struct subject_log log = subject_log_make(&random);
        sample_bytes(&random, image, 256);
        if (sample_below(&random, 2))
            subject->mend(&log, image);
        judge(subject, &log, image, &tally);
    }
    sample_guarded_free(image, SUBJECT_IMAGE_SIZE);
}

/* Sizes are exact: one byte more read than promised is a crash. */
static void decoders_read_no_more_than_they_say(void **state)
{
    (void)state;
    struct sample_random random = {201};
    uint8_t *bytes = sample_guarded(256);
    for (int round = 0; round < ROUNDS / 10; round++) {
        struct subject_log log = subject_log_make(&random);
        struct dw_block_info block;
        struct dw_volume_info volume;
        struct dw_toc_info toc;
        struct dw_superblock_info superblock;
        struct dw_record_info record;
        struct dw_record_header header;
        sample_bytes(&random, bytes, 256);
        (void)dw_block_header_decode(&log.geometry, &log.identity, bytes + 224, 0, &block);
        uint64_t magic = DW_MAGIC_VOLUME;
        memcpy(bytes + 136, &magic, 8);
        (void)dw_volume_header_decode(&log.geometry, &log.identity, bytes + 128, 0, &volume);
        magic = DW_MAGIC_TOC;
        memcpy(bytes + 136, &magic, 8);
        (void)dw_toc_decode(&log.geometry, &log.identity, bytes + 128, 128, 0, &toc);
        mend_toc(bytes + 128, 128);
        (void)dw_toc_decode(&log.geometry, &log.identity, bytes + 128, 128, 0, &toc);
        mend_superblock(bytes);
        (void)dw_superblock_decode(bytes, 256, &superblock);
        memcpy(&header, bytes + sample_below(&random, 200), sizeof header);
        if (dw_record_header_decode(&header, &record)) {
            struct dw_record_header again;
            dw_record_header_encode(&record, &again);
            assert_memory_equal(&header.data_crc, &again.data_crc, 16);
        }
    }
    sample_guarded_free(bytes, 256);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(decoders_accept_only_what_encoders_write),
        cmocka_unit_test(decoders_take_any_bytes),
        cmocka_unit_test(decoders_read_no_more_than_they_say),
    };
    return cmocka_run_group_tests_name("codec_fuzz", tests, NULL, NULL);
}
