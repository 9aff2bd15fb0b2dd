/* test_text.c - the printers: always terminated, never past the size given, whatever the fields hold. The full lines
 * are pinned in test_golden.c. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/compiler.h"
#include "core/format/text.h"
#include "tests/format/sample.h"

#define TEXT_MAX 1024u

/* Every structure, printed by number. */
static const char *print(size_t kind, const void *info, char *text, size_t size)
{
    switch (kind) {
    case 0:
        return dw_text_superblock(info, text, size);
    case 1:
        return dw_text_volume(info, text, size);
    case 2:
        return dw_text_block(info, text, size);
    case 3:
        return dw_text_record(info, UINT64_MAX, text, size);
    case 4:
        return dw_text_toc(info, text, size);
    default:
        return dw_text_log_id(info, text, size);
    }
}

union any_info {
    struct dw_superblock_info superblock;
    struct dw_volume_info volume;
    struct dw_block_info block;
    struct dw_record_info record;
    struct dw_toc_info toc;
    uint8_t log_id[16];
};

static void text_is_cut_at_its_size_and_terminated(void **state)
{
    (void)state;
    struct sample_random random = {1};
    for (int round = 0; round < 60; round++) {
        union any_info info;
        sample_bytes(&random, &info, sizeof info);
        for (size_t kind = 0; kind < 6; kind++) {
            char whole[TEXT_MAX];
            assert_ptr_equal(print(kind, &info, whole, sizeof whole), whole);
            size_t length = strlen(whole);
            assert_in_range(length, 1, TEXT_MAX - 2);
            assert_null(strchr(whole, '\n'));
            for (size_t size = 1; size < length + 2; size++) {
                char *text = (char *)sample_guarded(size);
                assert_ptr_equal(print(kind, &info, text, size), text);
                assert_true(strlen(text) < size);
                assert_int_equal(strncmp(text, whole, strlen(text)), 0);
                if (size > length)
                    assert_string_equal(text, whole);
                sample_guarded_free((uint8_t *)text, size);
            }
        }
    }
}

static void text_names_what_is_unknown_or_absent(void **state)
{
    (void)state;
    char text[TEXT_MAX];
    const struct dw_superblock_info superblock = {
        .claimed = DW_VOLUME_NUMBER_NONE, .head = DW_VOLUME_NUMBER_NONE, .state = (enum dw_superblock_state)77};
    dw_text_superblock(&superblock, text, sizeof text);
    assert_non_null(strstr(text, "claimed none head none"));
    assert_non_null(strstr(text, "sequence 0 unknown log"));
    assert_non_null(strstr(text, "created never written never"));
    const struct dw_volume_info volume = {.predecessor = DW_VOLUME_NUMBER_NONE, .predecessor_end = DW_PREDECESSOR_NONE};
    assert_non_null(strstr(dw_text_volume(&volume, text, sizeof text), "predecessor none NONE"));
    const struct dw_block_info block = {.flags = 0x8000};
    assert_non_null(strstr(dw_text_block(&block, text, sizeof text), "unknown-flags"));
    const struct dw_record_info record = {.flags = 0x80};
    assert_non_null(strstr(dw_text_record(&record, 0, text, sizeof text), "unknown-flags"));
    const struct dw_toc_info toc = {.flags = DW_TOC_OPEN | DW_TOC_CUT | 0x100};
    assert_non_null(strstr(dw_text_toc(&toc, text, sizeof text), " OPEN CUT unknown-flags"));
}

static void every_verdict_has_a_text_of_its_own(void **state)
{
    (void)state;
    for (int a = DW_DECODED_OK; a <= DW_DECODED_BAD_TAG; a++) {
        assert_string_not_equal(dw_decoded_text((enum dw_decoded)a), "unknown");
        for (int b = a + 1; b <= DW_DECODED_BAD_TAG; b++)
            assert_string_not_equal(dw_decoded_text((enum dw_decoded)a), dw_decoded_text((enum dw_decoded)b));
    }
    assert_string_equal(dw_decoded_text((enum dw_decoded)99), "unknown");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(text_is_cut_at_its_size_and_terminated),
        cmocka_unit_test(text_names_what_is_unknown_or_absent),
        cmocka_unit_test(every_verdict_has_a_text_of_its_own),
    };
    return cmocka_run_group_tests_name("text", tests, NULL, NULL);
}
