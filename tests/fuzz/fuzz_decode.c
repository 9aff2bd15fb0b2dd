/* fuzz_decode.c - every decoder of core/format under libFuzzer, with the bytes as they come and with a right checksum.
 *
 * Called by: libFuzzer, on one thread. The first bytes of the input choose the decoder, the geometry and whether the
 * checksum is mended; the rest is the structure. Besides memory errors it looks for a structure that is accepted though
 * no encoder would write it. Built apart from the tests:
 *   clang -g -O1 -fsanitize=fuzzer,address,undefined -D_GNU_SOURCE -msse4.2 -I. -Iinclude \
 *       tests/fuzz/fuzz_decode.c core/format/[a-z]*.c -lisal */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "core/format/text.h"
#include "tests/format/mend.h"

#define IMAGE_SIZE 4096u
#define CHOICES    8u

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t size);

struct fuzz {
    struct dw_geometry geometry;
    struct dw_identity identity;
    uint32_t number;
    bool is_mended;
    uint8_t *image; /* exactly `size` bytes: the sanitizer sees one byte more */
    size_t size;
    uint8_t again[IMAGE_SIZE];
    char text[800];
};

static void must(bool fact)
{
    if (!fact)
        abort();
}

static void fuzz_block(struct fuzz *fuzz)
{
    if (fuzz->size < DW_BLOCK_HEADER_SIZE)
        return;
    if (fuzz->is_mended)
        mend_block_header(&fuzz->identity, fuzz->image);
    struct dw_block_info info;
    uint64_t block = dw_first_block_of_volume(&fuzz->geometry, fuzz->number);
    enum dw_decoded verdict = dw_block_header_decode(&fuzz->geometry, &fuzz->identity, fuzz->image, block, &info);
    if (verdict != DW_DECODED_OK && verdict != DW_DECODED_MISPLACED)
        return;
    dw_text_block(&info, fuzz->text, sizeof fuzz->text);
    dw_block_header_encode(&fuzz->identity, &info, fuzz->number, fuzz->again);
    must(memcmp(fuzz->again + 4, fuzz->image + 4, DW_BLOCK_HEADER_SIZE - 4) == 0);
}

static void fuzz_volume(struct fuzz *fuzz)
{
    if (fuzz->size < DW_VOLUME_HEADER_SIZE)
        return;
    if (fuzz->is_mended)
        mend_volume_header(fuzz->image);
    struct dw_volume_info info;
    (void)dw_volume_header_decode(NULL, NULL, fuzz->image, DW_VOLUME_NUMBER_NONE, &info);
    enum dw_decoded verdict =
        dw_volume_header_decode(&fuzz->geometry, &fuzz->identity, fuzz->image, fuzz->number, &info);
    if (verdict != DW_DECODED_OK && verdict != DW_DECODED_BAD_TAG)
        return;
    dw_text_volume(&info, fuzz->text, sizeof fuzz->text);
    dw_volume_header_encode(&fuzz->geometry, &fuzz->identity, &info, fuzz->again);
    must(memcmp(fuzz->again + 4, fuzz->image + 4, DW_VOLUME_HEADER_SIZE - 4) == 0);
}

static void fuzz_toc(struct fuzz *fuzz)
{
    if (fuzz->size < DW_TOC_SIZE)
        return;
    if (fuzz->is_mended)
        mend_toc(fuzz->image, fuzz->size);
    struct dw_toc_info info;
    enum dw_decoded verdict =
        dw_toc_decode(&fuzz->geometry, &fuzz->identity, fuzz->image, fuzz->size, fuzz->number, &info);
    if (verdict != DW_DECODED_OK && verdict != DW_DECODED_BAD_TAG)
        return;
    dw_text_toc(&info, fuzz->text, sizeof fuzz->text);
    dw_toc_encode(&fuzz->geometry, &fuzz->identity, &info, fuzz->image + DW_TOC_SIZE, fuzz->again);
    must(memcmp(fuzz->again + 4, fuzz->image + 4, DW_TOC_SIZE + (size_t)info.table_length - 4) == 0);
}

static void fuzz_superblock(struct fuzz *fuzz)
{
    if (fuzz->size < DW_SUPERBLOCK_SIZE)
        return;
    if (fuzz->is_mended)
        mend_superblock(fuzz->image);
    struct dw_superblock_info info;
    if (dw_superblock_decode(fuzz->image, fuzz->size, &info) != DW_DECODED_OK)
        return;
    dw_text_superblock(&info, fuzz->text, sizeof fuzz->text);
    uint8_t *again = malloc(info.geometry.block_size);
    must(again != NULL);
    dw_superblock_encode(&info, again);
    must(memcmp(again, fuzz->image, DW_SUPERBLOCK_SIZE) == 0);
    free(again);
}

static void fuzz_record(struct fuzz *fuzz)
{
    struct dw_record_header header, again;
    if (fuzz->size < sizeof header)
        return;
    memcpy(&header, fuzz->image, sizeof header);
    struct dw_record_info info;
    bool is_known = dw_record_header_decode(&header, &info);
    dw_text_record(&info, fuzz->number, fuzz->text, sizeof fuzz->text);
    (void)dw_record_crc_begin(&fuzz->identity, fuzz->number, &header);
    if (!is_known)
        return;
    must(dw_record_size(&info) <= DW_RECORD_HEADER_SIZE + 2 * (uint64_t)DW_RECORD_PART_SIZE_MAX);
    dw_record_header_encode(&info, &again);
    must(memcmp(&again.data_crc, &header.data_crc, sizeof header - sizeof header.crc) == 0);
}

/* Tags and payload of a whole block. */
static void fuzz_whole_block(struct fuzz *fuzz)
{
    if (fuzz->size < fuzz->geometry.block_size)
        return;
    struct dw_tag_counts counts;
    dw_tags_count(&fuzz->geometry, &fuzz->identity, fuzz->image, fuzz->number, &counts);
    must(counts.current + counts.blank + counts.old + counts.alien == fuzz->geometry.sector_count);
    uint32_t offset = fuzz->number % (fuzz->geometry.payload_size + 1);
    uint32_t rest = fuzz->geometry.payload_size - offset;
    dw_payload_read(&fuzz->geometry, fuzz->image, offset, fuzz->again, rest);
    bool is_zero = true;
    for (uint32_t i = 0; i < rest; i++)
        is_zero = is_zero && fuzz->again[i] == 0;
    must(dw_payload_is_zero_from(&fuzz->geometry, fuzz->image, offset) == is_zero);
    must(dw_crc32c(0, fuzz->again, rest) == dw_crc32c_table(0, fuzz->again, rest));
}

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t size)
{
    static struct fuzz fuzz;
    static const uint8_t log_id[16] = "a log of dwal!!";
    if (size < CHOICES || size > CHOICES + IMAGE_SIZE)
        return 0;
    const char *why = NULL;
    uint32_t toc_length = input[1] * 15u;
    uint64_t volume_size = UINT64_C(4096) * (5u + input[2]);
    if (dw_geometry_init(&fuzz.geometry, 4096, input[0] & 0x10 ? 512 : 4096, volume_size, toc_length, &why) != 0)
        return 0;
    dw_identity_init(&fuzz.identity, log_id, 0x80000001u);
    memcpy(&fuzz.number, input + 4, sizeof fuzz.number);
    fuzz.is_mended = (input[0] & 0x20) != 0;
    fuzz.size = size - CHOICES;
    fuzz.image = malloc(fuzz.size);
    must(fuzz.image != NULL);
    memcpy(fuzz.image, input + CHOICES, fuzz.size);
    static void (*const targets[])(struct fuzz *) = {fuzz_block,      fuzz_volume, fuzz_toc,
                                                     fuzz_superblock, fuzz_record, fuzz_whole_block};
    targets[(input[0] & 15) % (sizeof targets / sizeof targets[0])](&fuzz);
    free(fuzz.image);
    return 0;
}
