/* test_indexed_watch.c - a read-only handle of an indexed log beside its live writer: it shows the moment of its open. */
#include <stdio.h>
#include <string.h>

#include "tests/lib/indexed_kit.h"

static dwal_indexed *open_to_watch(void)
{
    struct dwal_indexed_options options = dw_indexed_kit_options();
    dwal_indexed *log = NULL;
    dw_indexed_kit_base()->volume_size = dw_indexed_kit_base()->blanks = 0;
    dw_indexed_kit_base()->mode = DWAL_READ_ONLY;
    if (dwal_indexed_open(dw_log_kit_path, &options, &log) < 0)
        fail_msg("open: %s", dwal_last_error()->text);
    dw_indexed_kit_base()->mode = DWAL_WRITE;
    return log;
}

static void a_reader_shows_the_moment_of_its_open(void **state)
{
    (void)state;
    dwal_indexed *writer = dw_indexed_kit_create();
    dw_indexed_kit_store(writer, 1, 2000, 0, 20);
    dwal_indexed *reader = open_to_watch();
    uint64_t last = dwal_indexed_last(reader);
    assert_true(last > 0 && last <= 2000);
    dw_indexed_kit_expect_all(reader, 1, last, 0, 0);
    dw_indexed_kit_store(writer, 2001, 2100, 0, 20);
    assert_int_equal(dwal_indexed_last(reader), last);
    dw_indexed_kit_expect_none(reader, 2050);
    dwal_indexed *later = open_to_watch();
    assert_true(dwal_indexed_last(later) > last || last == 2000);
    dw_indexed_kit_close(later);
    dw_indexed_kit_close(reader);
    dw_indexed_kit_close(writer);
}

static void what_the_writer_takes_away_is_gone_or_whole_for_a_reader(void **state)
{
    (void)state;
    uint8_t buffer[DW_INDEXED_KIT_SIZE_MAX], expected[DW_INDEXED_KIT_SIZE_MAX];
    struct dwal_indexed_record record;
    uint32_t gone = 0, whole = 0;
    dwal_indexed *writer = dw_indexed_kit_create();
    dw_indexed_kit_store(writer, 1, 3000, 0, 20);
    dwal_indexed *reader = open_to_watch();
    uint64_t last = dwal_indexed_last(reader), next = 3001;
    for (int round = 0; round < 6; round++, next += 800) { /* volumes are recycled and written anew */
        assert_int_equal(dwal_indexed_truncate_front(writer, next - 10), 0);
        dw_indexed_kit_store(writer, next, next + 799, 0, 20);
        for (uint64_t index = 1; index <= last; index += 37) {
            int result = dwal_indexed_get(reader, index, buffer, sizeof buffer, &record);
            if (result == DWAL_EINDEX_NONE) {
                gone++;
                continue;
            }
            if (result < 0)
                fail_msg("entry %llu: %s", (unsigned long long)index, dwal_last_error()->text);
            assert_int_equal(record.size, dw_indexed_kit_bytes(index, 0, expected));
            assert_memory_equal(record.data, expected, record.size);
            whole++;
        }
    }
    print_message("%u reads whole, %u answered that the entry is gone\n", whole, gone);
    assert_true(gone > 0);
    dw_indexed_kit_close(reader);
    dw_indexed_kit_close(writer);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        DW_LOG_KIT_TEST(a_reader_shows_the_moment_of_its_open),
        DW_LOG_KIT_TEST(what_the_writer_takes_away_is_gone_or_whole_for_a_reader),
    };
    dw_log_kit_backend = "sync";
    return cmocka_run_group_tests(tests, NULL, NULL);
}
