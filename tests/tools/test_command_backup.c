/* test_command_backup.c - dwal backup as a person uses it: beside a writer, again and again, and to places where it must not
 * go. */
#include "tests/tools/command.h"

static void a_backup_is_a_log(void **state)
{
    (void)state;
    good(INIT_SMALL " && seq 30000 | $D append $T/log --quiet");
    expect(0, "verified", "$D backup $T/log $T/copy");
    expect_output("30000\n", "$D cat $T/copy | wc -l");
    expect(0, "CLEAN", "$D verify $T/copy");
    good("$D cat $T/log > $T/a && $D cat $T/copy | cmp - $T/a");
    good("echo more | $D append $T/copy --quiet");
    expect(1, "log of its own", "$D backup $T/log $T/copy --incremental");
}

static void a_backup_is_brought_up_to_date_beside_a_writer(void **state)
{
    (void)state;
    good(INIT_SMALL);
    struct beside writer = start_beside("$D append $T/log --quiet");
    for (int i = 0; i < 3; i++) {
        char lines[64];
        for (int line = 0; line < 8000; line += 8) {
            snprintf(lines, sizeof lines, "%d\n%d\n%d\n%d\n%d\n%d\n%d\n%d\n", line, 1, 2, 3, 4, 5, 6, 7);
            feed(&writer, lines);
        }
        char wanted[64];
        snprintf(wanted, sizeof wanted, "test $($D cat $T/log | wc -l) -ge %d", (i + 1) * 8000);
        wait_for(wanted);
        good("$D backup $T/log $T/copy --incremental --json > $T/out");
        snprintf(wanted, sizeof wanted, "test $($D cat $T/copy | wc -l) -ge %d", (i + 1) * 8000);
        good(wanted);
    }
    good("grep -q '\"volumes_kept\":[1-9]' $T/out");
    assert_int_equal(stop_beside(&writer, 0), 0);
    good("$D backup $T/log $T/copy --incremental");
    expect_output("24000\n", "$D cat $T/copy | wc -l");
}

static void behind_two_dashes_nothing_is_an_option(void **state)
{
    (void)state;
    good("cd $T && $D init --volume-size 256KiB --blanks 1 -- -log && echo 1 | $D append --quiet -- -log");
    good("cd $T && $D backup -- -log -copy && $D backup --incremental -- -log -copy");
    expect_output("1\n", "cd $T && $D cat -- -copy");
    expect(1, "there is no option \"-log\"", "cd $T && $D backup -log -copy");
}

/* Names with all that can trouble a terminal or JSON, and longer than a line. */
static void strange_names_are_shown_harmlessly(void **state)
{
    (void)state;
    good("cd $T && N=$(printf 'n\\377\\033[31m\"\\\\\\t') && $D init \"$N\" --volume-size 256KiB --blanks 1 && echo 1 "
         "| $D append "
         "\"$N\" --quiet && $D backup \"$N\" \"$N.copy\" > text && $D backup \"$N\" \"$N.copy\" --incremental --json > "
         "json && "
         "$D info \"$N\" --json >> json && $D verify \"$N\" --json >> json && $D probe \"$N\" --facts --json >> json");
    expect(0, "?[31m\"\\?.copy: lsn 0 to ", "cat $T/text");
    good("! grep -q \"$(printf '\\033')\" $T/text");
    size_t lines = 0;
    const struct dw_shell *ran = dw_shell("cat $T/json");
    assert_true(dw_json_is_lines(ran->output, ran->size, &lines));
    assert_int_equal(lines, 4);
    good("cd $T && P=$(printf %0240d 0) && P=$P/$P/$P/$P/$P/$P/$P/$P/$P && mkdir -p $P && $D init $P/log --volume-size "
         "256KiB && "
         "$D backup $P/log $P/copy | grep -q verified");
}

static void wrong_use_is_told(void **state)
{
    (void)state;
    expect(1, "DESTINATION is missing", "$D backup $T/log");
    expect(1, "log does not exist: ", "$D backup $T/log $T/copy");
    good(INIT_SMALL " && mkdir $T/copy && echo mine > $T/copy/file");
    expect(1, "there is something", "$D backup $T/log $T/copy");
    expect(1, "is no backup", "$D backup $T/log $T/copy --incremental");
    good("grep mine $T/copy/file");
    expect(0, "DESTINATION.partial", "$D backup --help");
    good("rm -r $T/copy && seq 20000 | $D append $T/log --quiet && printf xxxx | dd of=$T/log/0000000000.vol bs=1 "
         "seek=60000 conv=notrunc status=none");
    expect(2, "thrown away", "$D backup $T/log $T/copy");
    good("test ! -e $T/copy -a ! -e $T/copy.partial");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        COMMAND_TEST(a_backup_is_a_log),
        COMMAND_TEST(a_backup_is_brought_up_to_date_beside_a_writer),
        COMMAND_TEST(behind_two_dashes_nothing_is_an_option),
        COMMAND_TEST(strange_names_are_shown_harmlessly),
        COMMAND_TEST(wrong_use_is_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
