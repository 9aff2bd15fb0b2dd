/* test_command_inspect.c - the commands that look: they change nothing, work beside a writer and on damaged logs, and
 * print valid JSON. And repair, which changes only what it was told to. */
#include "tests/tools/command.h"

static void expect_json_lines(size_t wanted, const char *command)
{
    const struct dw_shell *ran = dw_shell("%s", command);
    size_t lines = 0;
    if (!dw_json_is_lines(ran->output, ran->size, &lines) || (wanted > 0 && lines != wanted) || lines == 0)
        fail_msg("%s\n%zu lines, status %d, output:\n%s", command, lines, ran->status, ran->output);
}

static void make_log(void)
{
    good(INIT_SMALL " && seq 30000 | $D append $T/log > $T/lsns");
}

static void looking_changes_nothing(void **state)
{
    (void)state;
    make_log();
    static const char *const commands[] = {"cat $T/log",
                                           "info $T/log",
                                           "verify $T/log",
                                           "dump $T/log",
                                           "verify $T/log --quick",
                                           "dump $T/log --records",
                                           "cat $T/log --from 100 --format json"};
    good("echo more | $D append $T/log --quiet");
    good("find $T/log -type f -printf '%p %s %T@ %C@\\n' -exec sha256sum {} \\; | sort > $T/before");
    for (size_t i = 0; i < sizeof commands / sizeof commands[0]; i++) {
        char command[128];
        snprintf(command, sizeof command, "$D %s > /dev/null", commands[i]);
        good(command);
    }
    good("find $T/log -type f -printf '%p %s %T@ %C@\\n' -exec sha256sum {} \\; | sort | cmp - $T/before");
}

static void looking_needs_no_right_to_write(void **state)
{
    (void)state;
    if (dw_shell("test $(id -u) = 0 && setpriv --reuid 65534 --clear-groups true")->status != 0) {
        print_message("needs root and setpriv\n");
        skip();
    }
    make_log();
    good("chmod 755 $T && cp $D $T/dwal && chmod 755 $T/dwal && chown -R 65534 $T/log && chmod 500 $T/log && "
         "chmod 400 $T/log/*");
    expect_output("30000\n", "setpriv --reuid 65534 --clear-groups $T/dwal cat $T/log | wc -l");
    expect(0, "CLEAN", "setpriv --reuid 65534 --clear-groups $T/dwal verify $T/log");
    expect(0, "closed cleanly", "setpriv --reuid 65534 --clear-groups $T/dwal info $T/log");
    good("setpriv --reuid 65534 --clear-groups $T/dwal dump $T/log > /dev/null");
    expect(1, "dwal append: ", "echo x | setpriv --reuid 65534 --clear-groups $T/dwal append $T/log");
}

static void json_is_valid_everywhere(void **state)
{
    (void)state;
    make_log();
    expect_json_lines(1, "$D info $T/log --json");
    expect_json_lines(1, "$D verify $T/log --json");
    expect_json_lines(0, "$D dump $T/log --json");
    expect_json_lines(100, "$D dump $T/log --json --records --limit 100");
    expect_json_lines(0, "$D cat $T/log --format json --limit 1000");
    expect(0, "\"verdict\":\"CLEAN\"", "$D verify $T/log --json");
    expect(0, "\"entries\":30000", "$D verify $T/log --json");
    expect_output("30000\n", "$D dump $T/log --json --records | grep -c '\"kind\":\"record\"'");
}

static void colours_are_for_terminals_only(void **state)
{
    (void)state;
    if (!dw_shell_has("script")) {
        print_message("needs the program script\n");
        skip();
    }
    make_log();
    const char *on_terminal =
        "TERM=xterm script -qec \"$D verify $T/log\" /dev/null < /dev/null | grep -c '\033\\[32mCLEAN'";
    expect_output("1\n", on_terminal);
    expect_output("0\n",
                  "NO_COLOR=1 TERM=xterm script -qec \"$D verify $T/log\" /dev/null < /dev/null | grep -c '\033' "
                  "|| true");
    expect_output("0\n", "$D verify $T/log | grep -c '\033' || true");
}

static void follow_sees_what_comes_later(void **state)
{
    (void)state;
    make_log();
    struct beside follow = start_beside("$D cat $T/log --follow --from $(tail -n 1 $T/lsns) > $T/seen 2> $T/err");
    wait_for("test $(wc -l < $T/seen) -eq 1");
    struct beside append = start_beside("$D append $T/log > $T/more");
    feed(&append, "later\n");
    wait_for("test $(wc -l < $T/seen) -eq 2"); /* while the writer is idle and alive */
    good("seq 100000 200000 > $T/many");       /* several volumes */
    for (int i = 0; i < 20; i++)
        feed(&append, "and more and more and more and more and more and more and more and more and more and more\n");
    wait_for("test $(wc -l < $T/seen) -eq 22");
    assert_int_equal(stop_beside(&append, 0), 0);
    good("$D append $T/log --quiet < $T/many");
    wait_for("test $(wc -l < $T/seen) -eq 100023");
    assert_int_equal(stop_beside(&follow, SIGINT), 0);
    expect_output("", "cat $T/err");
    good("$D cat $T/log --from $(tail -n 1 $T/lsns) | cmp - $T/seen");
}

static void follow_ends_when_nobody_reads(void **state)
{
    (void)state;
    make_log();
    struct beside follow = start_beside("$D cat $T/log --follow | head -n 3 > $T/seen");
    assert_int_equal(stop_beside(&follow, 0), 0);
    expect_output("1\n2\n3\n", "cat $T/seen");
}

/* Turn one byte in the middle of the first volume's data. */
static void damage_first_volume(void)
{
    good("v=$(ls $T/log/*.vol | head -n 1) && printf '\\252' | dd of=$v bs=1 seek=100300 conv=notrunc status=none");
}

static void damage_is_told_with_its_place(void **state)
{
    (void)state;
    make_log();
    damage_first_volume();
    expect(2, "CORRUPT", "$D verify $T/log");
    expect(2, "0000000000.vol", "$D verify $T/log");
    expect_json_lines(0, "$D verify $T/log --json");
    expect(2, "BAD", "$D dump $T/log");
    expect(2, "\"is_sound\":false", "$D dump $T/log --json");
    expect(2, "dwal cat: ", "$D cat $T/log > $T/readable");
    good("test $(wc -l < $T/readable) -gt 1000 && seq 30000 | head -n $(wc -l < $T/readable) | cmp - $T/readable");
}

static void one_volume_file_can_be_dumped_alone(void **state)
{
    (void)state;
    make_log();
    good("mkdir $T/alone && cp $T/log/0000000001.vol $T/alone");
    expect(0, "volume 1 predecessor 0 RUNS_ON", "$D dump $T/alone/0000000001.vol");
    good("cd $T/alone && $D dump 0000000001.vol --records | sed 's/  */ /g' > $T/alone.txt");
    good("$D dump $T/log/0000000001.vol --records | sed 's/  */ /g' | cmp - $T/alone.txt");
    expect(1, "dwal dump: ", "$D dump $T/alone/0000000002.vol");
}

static void repair_does_only_what_it_was_told(void **state)
{
    (void)state;
    make_log();
    damage_first_volume();
    good("$D cat $T/log > $T/readable 2> /dev/null; n=$(wc -l < $T/readable); sed -n ${n}p $T/lsns > $T/cut");
    good("find $T/log -type f -exec sha256sum {} \\; | sort > $T/before");
    expect(1, "give --yes", "$D repair $T/log --cut-at $(cat $T/cut) --save $T/save < /dev/null");
    expect(1, "", "$D repair $T/log --cut-at $(($(cat $T/cut) + 1)) --save $T/save --yes");
    expect(1, "there is nothing to cut: choose an lsn before its end",
           "$D init $T/sound --volume-size 256KiB && "
           "seq 10 | $D append $T/sound --quiet && $D repair $T/sound --cut-at 99999 --save $T/save --yes");
    good("test ! -e $T/save");
    good("test ! -e $T/save && find $T/log -type f -exec sha256sum {} \\; | sort | cmp - $T/before");
    expect(0, "opens again", "$D repair $T/log --cut-at $(cat $T/cut) --save $T/save --yes");
    good("for f in $T/save/*; do grep -q \"$(sha256sum < $f | cut -c 1-64)  $T/log/$(basename $f)\" $T/before || exit "
         "1; done");
    good("test -s $T/save/dwal.super && test -s $T/save/0000000000.vol");
    good("head -n -1 $T/readable > $T/kept && $D cat $T/log | cmp - $T/kept");
    expect(0, "", "$D verify $T/log");
    good("echo after | $D append $T/log --quiet && echo after >> $T/kept && $D cat $T/log | cmp - $T/kept");
    expect(0, "CLEAN", "$D verify $T/log");
    expect(1, "dwal repair: ", "$D repair $T/log --cut-at 0 --save $T/save --yes"); /* `save` is there */
}

static void a_log_cut_short_by_a_missing_file_is_lost(void **state)
{
    (void)state;
    make_log();
    good("rm $T/log/0000000001.vol");
    expect(2, "LOST", "$D verify $T/log");
    expect(2, "dwal cat: ", "$D cat $T/log");
    expect(2, "", "echo x | $D append $T/log");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        COMMAND_TEST(looking_changes_nothing),           COMMAND_TEST(looking_needs_no_right_to_write),
        COMMAND_TEST(json_is_valid_everywhere),          COMMAND_TEST(colours_are_for_terminals_only),
        COMMAND_TEST(follow_sees_what_comes_later),      COMMAND_TEST(follow_ends_when_nobody_reads),
        COMMAND_TEST(damage_is_told_with_its_place),     COMMAND_TEST(one_volume_file_can_be_dumped_alone),
        COMMAND_TEST(repair_does_only_what_it_was_told), COMMAND_TEST(a_log_cut_short_by_a_missing_file_is_lost),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
