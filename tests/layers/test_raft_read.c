/* test_raft_read.c - what the Raft log gives back: open at a snapshot, read all, its errors, and what a crash leaves. The
 * letter and number of each test is the line of the checklist of etcd's wal that it shows. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/layers/raft.h"
#include "tests/lib/raft_kit.h"
#include "tests/lib/shell.h"

/* The answer of read_all; content must be there or not. */
static int read_answer(uint64_t index, uint64_t term, bool has_content, struct dwal_raft_content **out)
{
    struct dwal_raft_content *content = NULL;
    dwal_raft *raft;
    int result = dw_raft_kit_try_open(index, term, &raft);
    if (result == 0) {
        result = dwal_raft_read_all(raft, &content);
        struct dwal_error error = *dwal_last_error();
        dw_raft_kit_close(raft);
        (void)dwal_set_error(&error);
    }
    assert_int_equal(content != NULL, has_content);
    if (out)
        *out = content;
    else
        dwal_raft_content_free(content);
    return result;
}

static int warnings;
static void count_warnings(void *context, enum dwal_event_level level, const char *text)
{
    (void)context;
    (void)text;
    warnings += level == DWAL_EVENT_WARNING;
}

static void E2_other_names_in_the_directory_do_no_harm(void **state)
{
    (void)state;
    dwal_raft *raft = dw_raft_kit_create();
    dw_raft_kit_save(raft, 1, 3, 1);
    dw_raft_kit_close(raft);
    dw_shell_good("cd %s && touch notes 0000000000000000-0000000000000000.wal x.tmp && head -c 262144 /dev/zero > "
                  "00000000001.vol",
                  dw_log_kit_path);
    struct dwal_raft_options options = dw_raft_kit_options();
    dw_raft_kit_log.event = count_warnings;
    warnings = 0;
    assert_int_equal(dwal_raft_open(dw_log_kit_path, NULL, &options, &raft), 0);
    struct dwal_raft_content *content = dw_raft_kit_read(raft);
    dw_raft_kit_check(content, 1, 3, 1);
    dwal_raft_content_free(content);
    dw_raft_kit_close(raft);
    assert_int_equal(warnings, 1); /* the one that looks like a volume and is none */
    dw_shell_good("ls %s/notes %s/x.tmp %s/00000000001.vol", dw_log_kit_path, dw_log_kit_path, dw_log_kit_path);
}

static void E2_segments_are_numbered_and_carry_an_index(void **state)
{
    (void)state;
    dwal_raft *raft = dw_raft_kit_create();
    struct dwal_raft_stats stats = {.size = sizeof stats};
    for (uint64_t sequence = 0; sequence < 4; sequence++) {
        assert_int_equal(dwal_raft_get_stats(raft, &stats), 0);
        assert_int_equal(stats.segment_sequence, sequence);
        assert_int_equal(stats.segment_index, sequence == 0 ? 0 : sequence * 10 + 1); /* 0-0, then the last index + 1 */
        dw_raft_kit_save(raft, sequence * 10 + 1, sequence * 10 + 10, 1);
        assert_int_equal(dwal_raft_cut(raft), 0);
    }
    dw_raft_kit_close(raft);
    struct dwal_raft_info info = {.size = sizeof info};
    struct dwal_raft_options options = dw_raft_kit_options();
    assert_int_equal(dwal_raft_get_info(dw_log_kit_path, &options, &info), 0);
    assert_int_equal(info.segments, 5);
    assert_int_equal(info.last_sequence, 4);
}

static void E5_open_starts_at_the_last_segment_that_holds_the_snapshot(void **state)
{
    (void)state;
    dwal_raft *raft = dw_raft_kit_create();
    for (uint64_t i = 0; i < 5; i++) {
        dw_raft_kit_save(raft, i * 10 + 1, i * 10 + 10, 1);
        dw_raft_kit_save_snapshot(raft, i * 10 + 10, 1);
        assert_int_equal(dwal_raft_cut(raft), 0);
    }
    dw_raft_kit_close(raft);
    raft = dw_raft_kit_open(30, 1); /* segments: 0, 11, 21, 31, 41, 51 */
    struct dwal_raft_content *content = dw_raft_kit_read(raft);
    dw_raft_kit_check(content, 31, 50, 1);
    dwal_raft_content_free(content);
    struct dwal_raft_stats stats = {.size = sizeof stats};
    assert_int_equal(dwal_raft_get_stats(raft, &stats), 0);
    assert_int_equal(stats.segments_held, 4); /* 21 and those behind it */
    assert_int_equal(dwal_raft_release(raft, 40), 0);
    dw_raft_kit_close(raft);
    /* None reaches back. */
    assert_int_equal(dw_raft_kit_try_open(20, 1, &raft), DWAL_ERAFT_RELEASED);
    assert_null(raft);
    assert_int_equal(dw_raft_kit_try_open(0, 0, &raft), DWAL_ERAFT_RELEASED);
    assert_non_null(strstr(dwal_last_error()->text, "31"));
    assert_int_equal(read_answer(40, 1, true, NULL), 0);
}

static void E5_a_gap_in_the_row_of_segments_is_an_error(void **state)
{
    (void)state;
    dwal_raft *raft = dw_raft_kit_create();
    struct dw_raft_head_disk head = {
        .format_version = dw_le32_of(1), .sequence = dw_le64_of(2), .index = dw_le64_of(1)};
    dw_raft_kit_append_raw(raft, DWAL_RAFT_HEAD, &head, sizeof head, dw_raft_kit_metadata,
                           strlen(dw_raft_kit_metadata));
    dw_raft_kit_close(raft);
    assert_int_equal(read_answer(0, 0, false, NULL), DWAL_ERAFT_RECORD);
    assert_non_null(strstr(dwal_last_error()->text, "segment 2"));
}

static void E5_a_second_writer_is_refused(void **state)
{
    (void)state;
    dwal_raft *raft = dw_raft_kit_create(), *second;
    assert_int_equal(dw_raft_kit_try_open(0, 0, &second), DWAL_EBUSY);
    assert_null(second);
    dw_raft_kit_save(raft, 1, 1, 1);
    dw_raft_kit_close(raft);
}

static void E6_reading_works_beside_a_writer_and_cannot_write(void **state)
{
    (void)state;
    struct dwal_raft_options options = dw_raft_kit_options();
    dw_raft_kit_log.marker_delay_ms = 1; /* so that readers see the end soon */
    dwal_raft *writer, *reader;
    assert_int_equal(
        dwal_raft_create(dw_log_kit_path, dw_raft_kit_metadata, strlen(dw_raft_kit_metadata), &options, &writer), 0);
    dw_raft_kit_save(writer, 1, 20, 1);
    size_t seen = 0;
    for (int i = 0; i < 500 && seen < 20; i++) {
        reader = dw_raft_kit_open_to_read(0, 0);
        struct dwal_raft_content *content = dw_raft_kit_read(reader);
        seen = content->entry_count;
        dwal_raft_content_free(content);
        struct dwal_raft_entry entry = {.index = 21, .term = 1};
        struct dwal_raft_snapshot snapshot = {.index = 20, .term = 1, .members = "a", .members_size = 1};
        assert_int_equal(dwal_raft_save(reader, NULL, &entry, 1), DWAL_EREADONLY);
        assert_int_equal(dwal_raft_save_snapshot(reader, &snapshot), DWAL_EREADONLY);
        assert_int_equal(dwal_raft_cut(reader), DWAL_EREADONLY);
        assert_int_equal(dwal_raft_sync(reader), DWAL_EREADONLY);
        assert_int_equal(dwal_raft_release(reader, 5), DWAL_EREADONLY);
        dw_raft_kit_close(reader);
        usleep(1000);
    }
    assert_int_equal(seen, 20);
    dw_raft_kit_save(writer, 21, 25, 1);
    dw_raft_kit_close(writer);
}

static void E7_nothing_is_saved_before_all_is_read_and_nothing_read_twice(void **state)
{
    (void)state;
    dwal_raft *raft = dw_raft_kit_create();
    struct dwal_raft_content *content = NULL;
    assert_int_equal(dwal_raft_read_all(raft, &content), DWAL_ERAFT_ORDER); /* created: nothing to read */
    assert_null(content);
    dw_raft_kit_save(raft, 1, 2, 1);
    assert_int_equal(dwal_raft_read_all(raft, &content), DWAL_ERAFT_ORDER);
    dw_raft_kit_close(raft);
    raft = dw_raft_kit_open(0, 0);
    struct dwal_raft_entry entry = {.index = 3, .term = 1};
    struct dwal_raft_snapshot snapshot = {.index = 2, .term = 1, .members = "a", .members_size = 1};
    assert_int_equal(dwal_raft_save(raft, NULL, &entry, 1), DWAL_ERAFT_ORDER);
    assert_int_equal(dwal_raft_save_snapshot(raft, &snapshot), DWAL_ERAFT_ORDER);
    assert_int_equal(dwal_raft_cut(raft), DWAL_ERAFT_ORDER);
    assert_int_equal(dwal_raft_release(raft, 1), DWAL_ERAFT_ORDER);
    content = dw_raft_kit_read(raft);
    dw_raft_kit_check(content, 1, 2, 1);
    dwal_raft_content_free(content);
    assert_int_equal(dwal_raft_read_all(raft, &content), DWAL_ERAFT_ORDER);
    assert_null(content);
    assert_int_equal(dwal_raft_save(raft, NULL, &entry, 1), 0);
    dw_raft_kit_close(raft);
}

static void E8_newer_entries_overwrite_and_truncate(void **state)
{
    (void)state;
    dwal_raft *raft = dw_raft_kit_create();
    dw_raft_kit_save(raft, 1, 10, 1);
    dw_raft_kit_save_state(raft, 1, 1, 2);
    dw_raft_kit_save(raft, 5, 7, 2); /* 8 to 10 are gone */
    dw_raft_kit_save_state(raft, 2, 1, 4);
    dw_raft_kit_close(raft);
    raft = dw_raft_kit_open(0, 0);
    struct dwal_raft_content *content = dw_raft_kit_read(raft);
    assert_int_equal(content->entry_count, 7);
    assert_int_equal(content->last_index, 7);
    assert_int_equal(content->entries[3].term, 1);
    assert_int_equal(content->entries[4].term, 2);
    assert_int_equal(content->entries[6].index, 7);
    dw_raft_kit_check_state(content, 2, 1, 4);
    dwal_raft_content_free(content);
    dw_raft_kit_save(raft, 8, 9, 3);
    dw_raft_kit_close(raft);
}

struct visit {
    uint64_t next, count, limit;
};
static bool visit_entry(void *context, const struct dwal_raft_entry *entry)
{
    struct visit *visit = context;
    char data[300];
    struct dwal_raft_entry wanted = dw_raft_kit_entry(visit->next, 1, data);
    assert_int_equal(entry->index, visit->next++);
    assert_int_equal(entry->size, wanted.size);
    assert_memory_equal(entry->data, data, wanted.size);
    return ++visit->count < visit->limit;
}

static void E8_entries_can_be_read_one_by_one_in_bounded_memory(void **state)
{
    (void)state;
    dwal_raft *raft = dw_raft_kit_create();
    dw_raft_kit_save(raft, 1, 500, 1);
    dw_raft_kit_close(raft);
    raft = dw_raft_kit_open(0, 0);
    struct dwal_raft_content *content = NULL;
    struct visit visit = {.next = 1, .limit = UINT64_MAX};
    assert_int_equal(dwal_raft_read(raft, visit_entry, &visit, &content), 0);
    assert_int_equal(visit.count, 500);
    assert_int_equal(content->entry_count, 0);
    assert_int_equal(content->last_index, 500);
    dwal_raft_content_free(content);
    dw_raft_kit_save(raft, 501, 501, 1);
    dw_raft_kit_close(raft);
    raft = dw_raft_kit_open(0, 0); /* stopping early is reading too */
    visit = (struct visit){.next = 1, .limit = 10};
    assert_int_equal(dwal_raft_read(raft, visit_entry, &visit, &content), 0);
    assert_int_equal(visit.count, 10);
    dwal_raft_content_free(content);
    dw_raft_kit_close(raft);
    struct dwal_raft_options options = dw_raft_kit_options();
    options.read_bytes_max = 10000;
    assert_int_equal(dwal_raft_open(dw_log_kit_path, NULL, &options, &raft), 0);
    assert_int_equal(dwal_raft_read_all(raft, &content), DWAL_EBUFFER);
    assert_null(content);
    visit = (struct visit){.next = 1, .limit = UINT64_MAX};
    assert_int_equal(dwal_raft_read(raft, visit_entry, &visit, &content), 0); /* and then in the other way */
    dwal_raft_content_free(content);
    dw_raft_kit_close(raft);
}

static void E9_a_gap_is_an_error_that_comes_with_the_prefix(void **state)
{
    (void)state;
    dwal_raft *raft = dw_raft_kit_create();
    dw_raft_kit_save(raft, 1, 5, 1);
    dw_raft_kit_save_state(raft, 1, 1, 5);
    dw_raft_kit_save_snapshot(raft, 100, 2); /* came from the leader */
    dw_raft_kit_save(raft, 101, 103, 2);
    dw_raft_kit_close(raft);
    struct dwal_raft_content *content;
    assert_int_equal(read_answer(0, 0, true, &content), DWAL_ERAFT_GAP);
    dw_raft_kit_check(content, 1, 5, 1);
    dwal_raft_content_free(content);
    raft = dw_raft_kit_open(0, 0); /* and nothing may be saved behind it */
    assert_int_equal(dwal_raft_read_all(raft, &content), DWAL_ERAFT_GAP);
    dwal_raft_content_free(content);
    struct dwal_raft_entry entry = {.index = 6, .term = 1};
    assert_int_equal(dwal_raft_save(raft, NULL, &entry, 1), DWAL_ERAFT_ORDER);
    dw_raft_kit_close(raft);
    assert_int_equal(read_answer(100, 2, true, &content), 0); /* from the snapshot on all is well */
    dw_raft_kit_check(content, 101, 103, 2);
    dwal_raft_content_free(content);
}

static void E9_a_gap_near_the_largest_indexes_overflows_nothing(void **state)
{
    (void)state;
    static const uint64_t indexes[] = {INT64_MAX, (uint64_t)INT64_MAX + 1, UINT64_MAX - 1};
    dwal_raft *raft = dw_raft_kit_create();
    dw_raft_kit_save(raft, 1, 2, 1);
    for (size_t i = 0; i < 3; i++) {
        dw_raft_kit_save_snapshot(raft, indexes[i] - 1, 2);
        dw_raft_kit_save(raft, indexes[i], indexes[i], 2);
    }
    dw_raft_kit_close(raft);
    struct dwal_raft_content *content;
    assert_int_equal(read_answer(0, 0, true, &content), DWAL_ERAFT_GAP);
    dw_raft_kit_check(content, 1, 2, 1);
    dwal_raft_content_free(content);
    assert_int_equal(read_answer(UINT64_MAX - 2, 2, true, &content), 0);
    dw_raft_kit_check(content, UINT64_MAX - 1, UINT64_MAX - 1, 2);
    dwal_raft_content_free(content);
}

static void E10_heads_with_other_metadata_conflict(void **state)
{
    (void)state;
    dwal_raft *raft = dw_raft_kit_create();
    struct dw_raft_head_disk head = {
        .format_version = dw_le32_of(1), .sequence = dw_le64_of(1), .index = dw_le64_of(1)};
    dw_raft_kit_append_raw(raft, DWAL_RAFT_HEAD, &head, sizeof head, "member 1 of cluster 3", 21);
    dw_raft_kit_close(raft);
    assert_int_equal(read_answer(0, 0, false, NULL), DWAL_ERAFT_METADATA);
}

static void E10_a_snapshot_with_another_term_does_not_match(void **state)
{
    (void)state;
    dwal_raft *raft = dw_raft_kit_create();
    dw_raft_kit_save(raft, 1, 5, 2);
    dw_raft_kit_save_snapshot(raft, 5, 2);
    dw_raft_kit_close(raft);
    assert_int_equal(read_answer(5, 3, false, NULL), DWAL_ERAFT_SNAPSHOT);
    assert_int_equal(read_answer(5, 2, true, NULL), 0);
}

static void E10_an_unknown_record_is_refused(void **state)
{
    (void)state;
    dwal_raft *raft = dw_raft_kit_create();
    dw_raft_kit_append_raw(raft, 9, "what", 4, NULL, 0);
    dw_raft_kit_close(raft);
    assert_int_equal(read_answer(0, 0, false, NULL), DWAL_ERAFT_RECORD);
    assert_non_null(strstr(dwal_last_error()->text, "0x5209"));
}

/* Whatever bytes stand in a record: it means something, or is refused with a text; nothing is read beyond its end. */
static void E10_any_bytes_are_decoded_or_refused(void **state)
{
    (void)state;
    uint64_t random = 1;
    for (int i = 0; i < 200000; i++) {
        random = random * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
        size_t size = (size_t)(random >> 33) % 64;
        uint8_t *metadata = malloc(size + 1); /* of exactly this size: for the address sanitizer */
        assert_non_null(metadata);
        for (size_t at = 0; at < size; at++)
            metadata[at] = (uint8_t)((random >> 20) * (at + 3) >> (i % 3 ? 4 : 30));
        uint8_t *exact = realloc(metadata, size ? size : 1);
        struct dwal_record base = {.metadata = exact,
                                   .metadata_size = (uint32_t)size,
                                   .data_size = (uint32_t)(random >> 40) % 3,
                                   .user = (uint16_t)(DW_RAFT_USER | (random >> 50) % 6)};
        struct dwal_raft_record record;
        dw_raft_decode(&base, &record);
        if (record.kind == DWAL_RAFT_UNKNOWN) {
            int code = dw_raft_refuse_record(&base);
            assert_true(code == DWAL_ERAFT_RECORD || code == DWAL_EVERSION);
        }
        free(exact);
    }
}

static void E10_a_record_of_a_wrong_length_is_refused(void **state)
{
    (void)state;
    static const unsigned kinds[] = {DWAL_RAFT_HEAD, DWAL_RAFT_ENTRY, DWAL_RAFT_STATE, DWAL_RAFT_SNAPSHOT};
    for (size_t i = 0; i < 4; i++) {
        dwal_raft *raft = dw_raft_kit_create();
        dw_raft_kit_append_raw(raft, kinds[i], "1234567", 7, "x", 1);
        dw_raft_kit_close(raft);
        assert_int_equal(read_answer(0, 0, false, NULL),
                         kinds[i] == DWAL_RAFT_HEAD ? DWAL_EVERSION : DWAL_ERAFT_RECORD);
        dw_shell_good("rm -r %s", dw_log_kit_path);
    }
}

static void E10_a_checksum_that_differs_is_an_error_with_its_place(void **state)
{
    (void)state;
    dwal_raft *raft = dw_raft_kit_create();
    struct dwal_raft_entry entry = {.index = 1, .term = 1, .data = "needle in the log", .size = 17};
    assert_int_equal(dwal_raft_save(raft, NULL, &entry, 1), 0);
    dw_raft_kit_save(raft, 2, 50, 1);
    dw_raft_kit_close(raft);
    dw_raft_kit_damage("needle", 6);
    assert_int_equal(read_answer(0, 0, false, NULL), DWAL_ECORRUPT);
    assert_true(dwal_last_error()->lsn != DWAL_NO_LSN);
    assert_int_equal(dwal_last_error()->volume, 0);
}

static void E11_a_snapshot_never_seen_is_told_in_both_modes_with_the_data(void **state)
{
    (void)state;
    dwal_raft *raft = dw_raft_kit_create();
    dw_raft_kit_save(raft, 1, 6, 1);
    dw_raft_kit_close(raft);
    raft = dw_raft_kit_open_to_read(4, 1);
    struct dwal_raft_content *content = NULL;
    assert_int_equal(dwal_raft_read_all(raft, &content), DWAL_ERAFT_NO_SNAPSHOT);
    assert_false(content->has_snapshot);
    dw_raft_kit_check(content, 5, 6, 1);
    dwal_raft_content_free(content);
    dw_raft_kit_close(raft);
    raft = dw_raft_kit_open(4, 1); /* here the original loses the error */
    assert_int_equal(dwal_raft_read_all(raft, &content), DWAL_ERAFT_NO_SNAPSHOT);
    assert_non_null(strstr(dwal_last_error()->text, "index 4"));
    dw_raft_kit_check(content, 5, 6, 1);
    dwal_raft_content_free(content);
    dw_raft_kit_save(raft, 7, 7, 1); /* who knows better may go on */
    dw_raft_kit_close(raft);
    struct visit visit = {.next = 5, .limit = 10};
    raft = dw_raft_kit_open(4, 1); /* the other way of reading tells it, too */
    assert_int_equal(dwal_raft_read(raft, visit_entry, &visit, &content), DWAL_ERAFT_NO_SNAPSHOT);
    assert_int_equal(visit.count, 3);
    dwal_raft_content_free(content);
    dw_raft_kit_close(raft);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        DW_RAFT_KIT_TEST(E2_other_names_in_the_directory_do_no_harm),
        DW_RAFT_KIT_TEST(E2_segments_are_numbered_and_carry_an_index),
        DW_RAFT_KIT_TEST(E5_open_starts_at_the_last_segment_that_holds_the_snapshot),
        DW_RAFT_KIT_TEST(E5_a_gap_in_the_row_of_segments_is_an_error),
        DW_RAFT_KIT_TEST(E5_a_second_writer_is_refused),
        DW_RAFT_KIT_TEST(E6_reading_works_beside_a_writer_and_cannot_write),
        DW_RAFT_KIT_TEST(E7_nothing_is_saved_before_all_is_read_and_nothing_read_twice),
        DW_RAFT_KIT_TEST(E8_newer_entries_overwrite_and_truncate),
        DW_RAFT_KIT_TEST(E8_entries_can_be_read_one_by_one_in_bounded_memory),
        DW_RAFT_KIT_TEST(E9_a_gap_is_an_error_that_comes_with_the_prefix),
        DW_RAFT_KIT_TEST(E9_a_gap_near_the_largest_indexes_overflows_nothing),
        DW_RAFT_KIT_TEST(E10_heads_with_other_metadata_conflict),
        DW_RAFT_KIT_TEST(E10_a_snapshot_with_another_term_does_not_match),
        DW_RAFT_KIT_TEST(E10_an_unknown_record_is_refused),
        DW_RAFT_KIT_TEST(E10_any_bytes_are_decoded_or_refused),
        DW_RAFT_KIT_TEST(E10_a_record_of_a_wrong_length_is_refused),
        DW_RAFT_KIT_TEST(E10_a_checksum_that_differs_is_an_error_with_its_place),
        DW_RAFT_KIT_TEST(E11_a_snapshot_never_seen_is_told_in_both_modes_with_the_data),
    };
    return DW_LOG_KIT_RUN(tests);
}
