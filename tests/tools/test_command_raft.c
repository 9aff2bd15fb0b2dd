/* test_command_raft.c - the command on Raft logs: dump, verify and info with --layer raft. */
#include <dwal/raft.h>

#include "core/layers/raft.h"
#include "tests/lib/raft_kit.h"
#include "tests/tools/command.h"

/* A log in $T/log: entries 1 to 20 of types 0 and 1, 11 to 15 once more with term 2, a snapshot at 5, a cut. */
static int make_log(void **state)
{
    struct dwal_raft_options options = DWAL_RAFT_OPTIONS_INIT;
    struct dwal_options log = dw_log_kit_options();
    char path[DW_TMPDIR_SIZE + 8], text[40];
    dwal_raft *raft;
    if (make_directory(state) != 0)
        return 1;
    snprintf(path, sizeof path, "%s/log", (char *)*state);
    options.log = &log;
    assert_int_equal(dwal_raft_create(path, "member 1", 8, &options, &raft), 0);
    for (uint64_t index = 1; index <= 20; index++) {
        struct dwal_raft_entry entry = {.index = index, .term = 1, .type = index % 4 == 0, .data = text};
        entry.size = (size_t)snprintf(text, sizeof text, "entry number %d", (int)index);
        assert_int_equal(dwal_raft_save(raft, NULL, &entry, 1), 0);
        if (index == 5) {
            struct dwal_raft_snapshot snapshot = {.index = 5, .term = 1, .members = "1,2,3", .members_size = 5};
            assert_int_equal(dwal_raft_save_snapshot(raft, &snapshot), 0);
            assert_int_equal(dwal_raft_cut(raft), 0);
        }
    }
    for (uint64_t index = 11; index <= 15; index++) {
        struct dwal_raft_entry entry = {.index = index, .term = 2, .data = "\x01\x02\xff", .size = 3};
        assert_int_equal(dwal_raft_save(raft, &(struct dwal_raft_state){2, 1, 9}, &entry, 1), 0);
    }
    return dwal_raft_close(raft);
}
#define RAFT_TEST(name) cmocka_unit_test_setup_teardown(name, make_log, remove_directory)

static void E28_dump_shows_what_counts(void **state)
{
    (void)state;
    expect_output("16\n", "$D dump $T/log --layer raft | wc -l"); /* 15 entries, and the head */
    expect(0, "index 7 term 1 type 0 14 bytes  \"entry number 7\"", "$D dump $T/log --layer raft");
    expect(0, "index 15 term 2 type 0 3 bytes  0102ff", "$D dump $T/log --layer raft");
    expect(0, "term 2 vote 1 commit 9 8 bytes  \"member 1\"", "$D dump $T/log --layer raft");
    expect_output("", "$D dump $T/log --layer raft | grep 'number 16' || true"); /* overwritten */
}

static void E28_start_and_end_index_limit_what_is_shown(void **state)
{
    (void)state;
    expect_output("9\n10\n11\n", "$D dump $T/log --layer raft --type entry --from 9 --to 11 --json | sed "
                                 "'s/.*\"index\":\\([0-9]*\\).*/\\1/'");
    /* No snapshot is at 8: that does not matter to who gave an index. */
    expect_output("2\n", "$D dump $T/log --layer raft --type entry --from 9 --limit 2 | wc -l");
    expect_output("0\n", "$D dump $T/log --layer raft --type entry --from 100 | wc -l");
}

static void E28_types_of_entries_can_be_chosen(void **state)
{
    (void)state;
    expect_output("2\n", "$D dump $T/log --layer raft --type entry:1 | wc -l"); /* 4 and 8 */
    expect_output("2\n", "$D dump $T/log --layer raft --type 1 | wc -l");
    expect_output("3\n", "$D dump $T/log --layer raft --type 1,head | wc -l");
    expect_output("13\n", "$D dump $T/log --layer raft --type 0 | wc -l");
    expect_output("2\n", "$D dump $T/log --layer raft --raw --type snapshot | wc -l");
}

static void E28_an_external_decoder_makes_text_of_data(void **state)
{
    (void)state;
    expect(0, "type 0 14 bytes  OK|656e747279206e756d6265722037",
           "$D dump $T/log --layer raft --from 7 --to 7 --type entry --decoder \"sed -u 's/^/OK|/'\"");
    expect_output(
        "{\"kind\":\"entry\",\"index\":15,\"term\":2,\"type\":0,\"size\":3,\"decoded\":\"<0102ff>\"}\n",
        "$D dump $T/log --layer raft --type entry --from 15 --json --decoder 'while read x; do echo \"<$x>\"; done'");
    expect(1, "the decoder ended", "$D dump $T/log --layer raft --decoder true");
    expect(1, "the decoder ended", "$D dump $T/log --layer raft --decoder /nowhere/decoder");
}

static void E28_raw_shows_every_record_and_goes_on_past_damage(void **state)
{
    (void)state;
    expect_output("25\n", "$D dump $T/log --layer raft --raw --type entry | wc -l"); /* overwritten ones, too */
    expect(0, "head      segment 1 index 6", "$D dump $T/log --layer raft --raw");
    good("printf X | dd of=$T/log/0000000000.vol bs=1 conv=notrunc status=none seek=$(grep -abo 'entry number 3' "
         "$T/log/0000000000.vol | head -1 | cut -d: -f1)");
    expect(2, "", "$D dump $T/log --layer raft --raw > $T/out 2> $T/said");
    expect_output("24\n", "grep -c ' entry ' $T/out");
    expect_output("1\n", "grep -c 'passed over at 1 places' $T/said"); /* told once */
    expect(2, "", "$D dump $T/log --layer raft");
    expect_output("13\n", "$D dump $T/log --layer raft --from 4 | wc -l"); /* what is not asked for is not read */
}

static void E28_json_is_one_object_a_line(void **state)
{
    (void)state;
    static const char *const commands[] = {
        "$D dump $T/log --layer raft --json", "$D dump $T/log --layer raft --raw --json",
        "$D info $T/log --layer raft --json", "$D verify $T/log --layer raft --json"};
    for (size_t i = 0; i < 4; i++) {
        const struct dw_shell *ran = dw_shell("%s", commands[i]);
        size_t lines = 0;
        if (ran->status != 0 || !dw_json_is_lines(ran->output, ran->size, &lines) || lines == 0)
            fail_msg("%s: status %d, %s", commands[i], ran->status, ran->output);
    }
}

static void E24_verify_checks_the_layer_too(void **state)
{
    (void)state;
    expect(0, "raft: sound from the newest valid snapshot on, index 5 term 1", "$D verify $T/log --layer raft");
    char path[DW_TMPDIR_SIZE + 8];
    snprintf(path, sizeof path, "%s/log", (char *)*state);
    struct dwal_options options = DWAL_OPTIONS_INIT;
    dwal *log;
    struct iovec part = {.iov_base = (char[]){"stray"}, .iov_len = 5};
    struct dwal_entry entry = {.data = &part, .data_count = 1, .user = 7};
    assert_int_equal(dwal_open(path, &options, &log), 0);
    assert_int_equal(dwal_commit(log, &entry, NULL, NULL), 0);
    assert_int_equal(dwal_close(log), 0);
    expect(0, "CLEAN", "$D verify $T/log"); /* a good log, but no Raft log */
    expect(2, "none of a Raft log", "$D verify $T/log --layer raft");
}

static void E29_info_tells_the_format_that_is_needed(void **state)
{
    (void)state;
    expect(0, "format 1 is needed", "$D info $T/log --layer raft");
    expect(0, "index 1 to 15; 25 records", "$D info $T/log --layer raft");
    good("$D info $T/log --layer raft --json | grep -q '\"format_version\":1,.*\"commit\":9,.*\"segments\":2,'");
}

static void wrong_use_is_told(void **state)
{
    (void)state;
    expect(1, "there is no layer \"none\"", "$D dump $T/log --layer none");
    expect(1, "there is no layer", "$D verify $T/log --layer none");
    expect(1, "there is no layer", "$D info $T/log --layer none");
    expect(1, "belong to a layer", "$D dump $T/log --from 3");
    good("$D init $T/plain --volume-size 256KiB --blanks 1");
    expect(1, "magic", "$D info $T/plain --layer raft");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        RAFT_TEST(E28_dump_shows_what_counts),
        RAFT_TEST(E28_start_and_end_index_limit_what_is_shown),
        RAFT_TEST(E28_types_of_entries_can_be_chosen),
        RAFT_TEST(E28_an_external_decoder_makes_text_of_data),
        RAFT_TEST(E28_raw_shows_every_record_and_goes_on_past_damage),
        RAFT_TEST(E28_json_is_one_object_a_line),
        RAFT_TEST(E24_verify_checks_the_layer_too),
        RAFT_TEST(E29_info_tells_the_format_that_is_needed),
        RAFT_TEST(wrong_use_is_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
