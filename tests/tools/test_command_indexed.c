/* test_command_indexed.c - the command on indexed logs: dump, verify and info with --layer indexed. */
#include <dwal/indexed.h>

#include "tests/lib/json_check.h"
#include "tests/lib/log_kit.h"
#include "tests/tools/command.h"

static void store(dwal_indexed *log, uint64_t from, uint64_t to, const char *what)
{
    for (uint64_t index = from; index <= to; index++) {
        char text[40];
        struct dwal_indexed_entry entry = {.index = index, .data = text};
        entry.size = (size_t)snprintf(text, sizeof text, "%s %d", what, (int)index);
        assert_int_equal(dwal_indexed_store(log, &entry, 1), 0);
    }
}

/* A log in $T/log: entries 3 to 30, of which 21 to 30 were stored a second time; one with bytes that are no text. */
static int make_log(void **state)
{
    struct dwal_indexed_options options = DWAL_INDEXED_OPTIONS_INIT;
    struct dwal_options base = dw_log_kit_options();
    char path[DW_TMPDIR_SIZE + 8];
    dwal_indexed *log;
    if (make_directory(state) != 0)
        return 1;
    snprintf(path, sizeof path, "%s/log", (char *)*state);
    options.base = &base;
    options.codec = 70000;
    assert_int_equal(dwal_indexed_create(path, &options), 0);
    base.blanks = 0;
    assert_int_equal(dwal_indexed_open(path, &options, &log), 0);
    store(log, 1, 25, "entry");
    assert_int_equal(dwal_indexed_truncate_front(log, 3), 0);
    assert_int_equal(dwal_indexed_truncate_back(log, 20), 0);
    store(log, 21, 29, "again");
    struct dwal_indexed_entry entry = {.index = 30, .data = "\x01\x02\xff", .size = 3};
    assert_int_equal(dwal_indexed_store(log, &entry, 1), 0);
    return dwal_indexed_close(log);
}
#define INDEXED_TEST(name) cmocka_unit_test_setup_teardown(name, make_log, remove_directory)

static void R23_dump_shows_what_counts_and_raw_what_was_truncated_too(void **state)
{
    (void)state;
    expect_output("28\n", "$D dump $T/log --layer indexed | wc -l");
    expect(0, "entry index 20 8 bytes  \"entry 20\"", "$D dump $T/log --layer indexed");
    expect(0, "entry index 30 3 bytes  0102ff", "$D dump $T/log --layer indexed");
    expect_output("0\n", "$D dump $T/log --layer indexed | grep -c 'entry 21' || true");
    expect_output("35\n", "$D dump $T/log --layer indexed --raw | wc -l");
    expect_output("2\n", "$D dump $T/log --layer indexed --raw --from 21 --to 21 | wc -l");
}

static void R23_a_range_a_limit_and_a_decoder(void **state)
{
    (void)state;
    expect_output("9\n10\n11\n", "$D dump $T/log --layer indexed --from 9 --to 11 --json | sed "
                                 "'s/.*\"index\":\\([0-9]*\\).*/\\1/'");
    expect_output("2\n", "$D dump $T/log --layer indexed --limit 2 | wc -l");
    expect_output("0\n", "$D dump $T/log --layer indexed --from 100 | wc -l");
    expect_output("0\n", "$D dump $T/log --layer indexed --type state | wc -l");
    expect(0, "index 30 3 bytes  OK|0102ff",
           "$D dump $T/log --layer indexed --from 30 --decoder \"sed -u 's/^/OK|/'\"");
    expect(1, "the decoder ended", "$D dump $T/log --layer indexed --decoder true");
}

static void R23_json_is_one_object_a_line(void **state)
{
    (void)state;
    static const char *const commands[] = {
        "$D dump $T/log --layer indexed --json", "$D dump $T/log --layer indexed --raw --json",
        "$D info $T/log --layer indexed --json", "$D verify $T/log --layer indexed --json"};
    for (size_t i = 0; i < 4; i++) {
        const struct dw_shell *ran = dw_shell("%s", commands[i]);
        size_t lines = 0;
        if (ran->status != 0 || !dw_json_is_lines(ran->output, ran->size, &lines) || lines == 0)
            fail_msg("%s: status %d, %s", commands[i], ran->status, ran->output);
    }
}

static void info_and_verify_tell_of_the_entries(void **state)
{
    (void)state;
    expect(0, "entries        index 3 to 30", "$D info $T/log --layer indexed");
    expect(0, "codec          70000", "$D info $T/log --layer indexed");
    expect(0, "indexed: sound, entries 3 to 30", "$D verify $T/log --layer indexed");
    good("$D init $T/plain");
    expect(1, "magic number", "$D dump $T/plain --layer indexed");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        INDEXED_TEST(R23_dump_shows_what_counts_and_raw_what_was_truncated_too),
        INDEXED_TEST(R23_a_range_a_limit_and_a_decoder),
        INDEXED_TEST(R23_json_is_one_object_a_line),
        INDEXED_TEST(info_and_verify_tell_of_the_entries),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
