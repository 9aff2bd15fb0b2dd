/* test_command.c - the command `dwal` as a person uses it: help, wrong use, init, append, cat in every format. */
#include "tests/tools/command.h"

static void help_and_version_answer_everywhere(void **state)
{
    (void)state;
    static const char *const names[] = {"init",   "append", "cat",    "info",  "dump",  "verify",
                                        "repair", "trim",   "backup", "probe", "bench", "remove"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        char command[64], usage[64];
        snprintf(usage, sizeof usage, "usage: dwal %s ", names[i]);
        snprintf(command, sizeof command, "$D %s --help", names[i]);
        expect(0, usage, command);
        expect(0, "\nexamples:\n", command);
        snprintf(command, sizeof command, "$D help %s", names[i]);
        expect(0, usage, command);
        snprintf(command, sizeof command, "$D --help");
        expect(0, names[i], command);
    }
    expect(0, "dwal 0.", "$D --version");
}

static void the_manual_page_names_every_option(void **state)
{
    (void)state;
    assert_int_equal(setenv("S", dw_shell_setting("DWAL_SOURCE"), 1), 0);
    if (dw_shell("command -v mandoc")->status == 0) /* errors and warnings; its taste in line lengths is another one */
        expect_output("", "mandoc -Tlint -Wwarning $S/tools/dwal.1");
    expect_output(
        "", "for c in init append cat info dump verify repair trim backup probe bench remove; do grep -q \"Cm $c\" "
            "$S/tools/dwal.1 || "
            "echo $c; for o in $($D $c --help | sed -n 's/^  --\\([a-z-]*\\).*/\\1/p'); do "
            "grep -q -- \"Fl -$o\" $S/tools/dwal.1 || echo $c --$o; done; done");
}

static void wrong_use_is_told_with_the_way_out(void **state)
{
    (void)state;
    expect(1, "dwal: a subcommand is missing: see dwal --help", "$D");
    expect(1, "there is no subcommand \"nothing\"", "$D nothing");
    expect(1, "there is no option \"--nothing\"", "$D --nothing");
    expect(1, "dwal cat: the path of the log is missing: see dwal cat --help", "$D cat");
    expect(1, "one path is enough", "$D cat a b");
    expect(1, "there is no option \"--nothing\"", "$D cat a --nothing");
    expect(1, "there is no option \"-x\"", "$D cat -x a");
    expect(1, "--from needs a value: LSN", "$D cat a --from");
    expect(1, "--follow takes no value", "$D cat a --follow=1");
    expect(1, "--format: there is no \"xml\": choose one of raw|lines|json|hex", "$D cat a --format xml");
    expect(1, "--format: there is no \"\"", "$D cat a --format=");
    expect(1, "exclude each other", "$D append a --whole --lines");
    expect(1, "--cut-at is missing", "$D repair a --save b");
    expect(1, "--save is missing", "$D repair a --cut-at 1");
    expect(1, "--before is missing", "$D trim a");
    expect(1, "dwal probe: DIRECTORY|DEVICE is missing: see dwal probe --help", "$D probe");
    expect(1, "dwal bench: TARGET is missing", "$D bench");
    expect(1, "dwal backup: DESTINATION is missing: ", "$D backup a");
    expect(1, "\"c\" is one argument too many", "$D backup a b c");
    expect(1, "sector_size must be 512 or 4096: see dwal init --help", "$D init $T/odd --sector 1024");
    expect(1, "dwal init: --name is for devices, and ", "$D init $T/odd --name x");
    good("test -z \"$(ls $T)\"");
}

/* Each of these is told as what it is, by every subcommand, and none of them is touched. */
static void a_wrong_path_is_told_as_what_it_is(void **state)
{
    (void)state;
    static const char *const paths[][2] = {
        {"file", "is neither a directory nor a block device"}, {"pipe", "is neither a directory nor a block device"},
        {"away", "is a symbolic link that points at nothing"}, {"circle", "symbolic links lead in a circle"},
        {"file/log", "a part of this path is no directory"},   {"no/log", "does not exist"},
    };
    static const char *const commands[] = {"init $P",
                                           "append $P < /dev/null",
                                           "cat $P",
                                           "info $P",
                                           "verify $P",
                                           "trim $P --before 1",
                                           "backup $P $T/copy",
                                           "probe $P",
                                           "repair $P --cut-at 1 --save $T/save --yes"};
    good("cd $T && : > file && mkfifo pipe && ln -s nowhere away && ln -s circle circle");
    for (size_t i = 0; i < sizeof paths / sizeof paths[0]; i++)
        for (size_t k = 0; k < sizeof commands / sizeof commands[0]; k++) {
            char command[160];
            snprintf(command, sizeof command, "P=$T/%s; timeout 20 $D %s", paths[i][0], commands[k]);
            bool is_init = strncmp(commands[k], "init", 4) == 0;
            expect(1, is_init && i == 5 ? "the one above it does not exist" : paths[i][1], command);
        }
    expect(1, "no file of a log has such a name", "$D dump $T/file");
    expect(1, "no file of a log has such a name", "timeout 20 $D dump $T/pipe");
    expect(1, "name a directory or a block device", "$D probe $T/no");
    expect_output("away\ncircle\nfile\npipe\n", "ls $T");
}

static void a_long_path_leaves_room_for_the_reason(void **state)
{
    (void)state;
    static const char *const commands[] = {"cat $P", "info $P", "verify $P", "probe $P", "init $P/$P"};
    for (size_t i = 0; i < sizeof commands / sizeof commands[0]; i++) {
        char command[160];
        snprintf(command, sizeof command, "P=$(printf %%0250d 0)/$(printf %%0300d 0); $D %s", commands[i]);
        expect(1, "0...0", command);
        expect(1, strstr(commands[i], "init") ? "the one above it does not exist: " : " not exist: ", command);
    }
}

static void numbers_are_parsed_strictly(void **state)
{
    (void)state;
    static const char *const wrong[] = {
        "",    "-1",  "+1",  " 1", "1 ", "1x", "0x", "0xg", "18446744073709551616", "99999999999999999999999",
        "1e3", "1.5", "1KiB"};
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        char command[96];
        snprintf(command, sizeof command, "$D cat a --from '%s'", wrong[i]);
        expect(1, "is no number", command);
    }
    static const char *const wrong_sizes[] = {"64M", "64mib", "MiB", "64 MiB", "17179869184GiB", "-1KiB", "1TiB"};
    for (size_t i = 0; i < sizeof wrong_sizes / sizeof wrong_sizes[0]; i++) {
        char command[96];
        snprintf(command, sizeof command, "$D init $T/log --volume-size '%s'", wrong_sizes[i]);
        expect(1, "is no size: give bytes", command);
    }
    expect(1, "out of range: give 1 to 255", "$D init $T/log --blanks 256");
    expect(1, "out of range", "$D cat a --limit 0");
    good("test ! -e $T/log");
}

static void a_path_without_a_log_is_refused_and_left_alone(void **state)
{
    (void)state;
    static const char *const commands[] = {"append $T/no < /dev/null",
                                           "cat $T/no",
                                           "info $T/no",
                                           "verify $T/no",
                                           "dump $T/no",
                                           "trim $T/no --before 1",
                                           "repair $T/no --cut-at 1 --save $T/save --yes"};
    for (size_t i = 0; i < sizeof commands / sizeof commands[0]; i++) {
        char command[96];
        snprintf(command, sizeof command, "$D %s", commands[i]);
        expect(1, "dwal init", command);
        good("test -z \"$(ls $T)\"");
        snprintf(command, sizeof command, "mkdir $T/no && : > $T/no/other && $D %s", commands[i]);
        expect(1, "dwal init", command);
        good("test \"$(ls $T/no)\" = other && rm -r $T/no");
    }
    good(": > $T/file");
    expect(1, "dwal info: ", "$D info $T/file");
}

static void init_makes_a_log_once(void **state)
{
    (void)state;
    expect_output("", INIT_SMALL);
    expect(1, "open it, or choose another path", INIT_SMALL);
    expect_output("", "$D cat $T/log");
    expect_output("700 600\n", "echo $(stat -c %a $T/log) $(stat -c %a $T/log/*.vol)");
    expect(0, "volumes of 262144 bytes", "$D info $T/log");
    expect(1, "dwal init: ", "$D init $T/odd --volume-size 100001");
    expect(1, "dwal init: ", "$D init $T/odd --sector 1024");
    expect(1, "dwal init: ", "$D init $T/odd --block 5000");
    expect_output("", "$D init $T/other --volume-size=1MiB --sector 4096 --block 8KiB --blanks 2 --fill fallocate+zero "
                      "--toc-length 100 --magic 0x2a");
    expect(0, "\"magic_number\":42,\"fill\":\"fallocate+zero\"", "$D info $T/other --json");
    expect(0, "\"sector_size\":4096,\"volume_size\":1048576", "$D info $T/other --json");
}

static void no_permission_is_told(void **state)
{
    (void)state;
    if (dw_shell("test $(id -u) = 0 && setpriv --reuid 65534 --clear-groups true")->status != 0) {
        print_message("needs root and setpriv\n");
        skip();
    }
    good("chmod 755 $T && mkdir -m 755 $T/other && " INIT_SMALL);
    /* The command may lie where nobody else can reach it. */
    good("cp $D $T/dwal && chmod 755 $T/dwal");
    expect(1, "change owner, mode or mount", "setpriv --reuid 65534 --clear-groups $T/dwal cat $T/log");
    expect(1, "change owner, mode or mount", "setpriv --reuid 65534 --clear-groups $T/dwal init $T/other/log");
    expect(1, "change owner, mode or mount", "setpriv --reuid 65534 --clear-groups $T/dwal append $T/log < /dev/null");
}

static void lines_come_back_as_they_went_in(void **state)
{
    (void)state;
    good(INIT_SMALL);
    good("printf 'one\\n\\ntwo\\0three\\nlast without newline' | $D append $T/log > $T/lsns");
    expect_output("4\n", "wc -l < $T/lsns");
    good("printf 'one\\n\\ntwo\\0three\\nlast without newline\\n' > $T/wanted && $D cat $T/log | cmp - $T/wanted");
    good("sort -n -u $T/lsns | cmp - $T/lsns"); /* they grow */
    good("head -c 1000000 /dev/zero | tr '\\0' x | $D append $T/log --quiet");
    expect_output("1000000\n", "$D cat $T/log --format raw --from $(($(tail -1 $T/lsns) + 1)) | wc -c");
    expect_output("", ": | $D append $T/log");
}

static void other_cuts_of_the_input_work(void **state)
{
    (void)state;
    good(INIT_SMALL " && head -c 300001 /dev/urandom > $T/in");
    expect_output("1\n", "$D append $T/log --whole < $T/in | wc -l");
    good("$D cat $T/log --format raw | cmp - $T/in");
    expect_output("4\n", "$D append $T/log --split 100000 --sync each < $T/in | tee $T/lsns | wc -l");
    good("$D cat $T/log --from $(head -1 $T/lsns) --format raw | cmp - $T/in");
    expect_output("1\n", "$D cat $T/log --from $(tail -1 $T/lsns) --format raw | wc -c");
    expect_output("1\n", ": | $D append $T/log --whole | wc -l");
}

static void every_format_prints_what_it_says(void **state)
{
    (void)state;
    good(INIT_SMALL " && printf 'a\"b\\\\\\tc\\001\\n' | $D append $T/log --meta 'm\xc3\xa4' --quiet");
    good("printf '\\377\\000\\n' | $D append $T/log --quiet");
    expect(0, "\"meta\":\"m\xc3\xa4\",\"data\":\"a\\\"b\\\\\\tc\\u0001\"}\n", "$D cat $T/log --format json --limit 1");
    expect(0, "\"meta\":\"\",\"data_base64\":\"/wA=\"}\n", "$D cat $T/log --format json");
    size_t lines = 0;
    const struct dw_shell *ran = dw_shell("$D cat $T/log --format json");
    assert_true(dw_json_is_lines(ran->output, ran->size, &lines));
    assert_int_equal(lines, 2);
    expect(0, "\t6dc3a4\t6122625c096301\n", "$D cat $T/log --format hex");
    expect(0, "\t\tff00\n", "$D cat $T/log --format hex");
    expect_output("9\n", "$D cat $T/log --format raw | wc -c");
    expect_output("1\n", "$D cat $T/log --limit 1 | wc -l");
}

static void cat_starts_at_an_lsn_and_stops_at_a_limit(void **state)
{
    (void)state;
    good(INIT_SMALL " && seq 1000 | $D append $T/log > $T/lsns");
    expect_output("501\n502\n", "$D cat $T/log --from $(sed -n 501p $T/lsns) --limit 2");
    expect_output("502\n", "$D cat $T/log --from $(($(sed -n 501p $T/lsns) + 1)) --limit 1");
    expect_output("", "$D cat $T/log --from 18446744073709551614");
    good("$D cat $T/log --format json | sed 's/{\"lsn\":\\([0-9]*\\),.*/\\1/' | cmp - $T/lsns");
    good("$D trim $T/log --before $(sed -n 900p $T/lsns)");
    expect_output("900\n", "$D cat $T/log --limit 1");
    expect(1, "dwal trim: ", "$D trim $T/log --before 18446744073709551614");
}

/* Who trims with the command wants the space: nothing is left that the log does not keep. */
static void trim_gives_the_space_back_before_it_ends(void **state)
{
    (void)state;
    good(INIT_SMALL " && seq 200000 | $D append $T/log > $T/lsns && test $(ls $T/log | grep -c vol) -gt 15");
    good("$D trim $T/log --before $(tail -1 $T/lsns)");
    good("test $(ls $T/log | grep -c vol$) -le 3");
    expect(0, "; 1 entries, ", "$D verify $T/log"); /* those before the trim point do not count */
    expect_output("200000\n", "$D cat $T/log");
}

static void output_that_cannot_be_written_is_an_error(void **state)
{
    (void)state;
    good(INIT_SMALL " && seq 20000 | $D append $T/log --quiet");
    expect(1, "standard output: No space left on device", "$D cat $T/log > /dev/full");
    expect(1, "standard output: No space left on device", "$D info $T/log > /dev/full");
    expect(1, "", "seq 10 | $D append $T/log > /dev/full");
    expect_output("1\n", "$D cat $T/log | head -n 1"); /* a reader that has seen enough is no error */
}

/* Otherwise a file of the log gets the number of the closed stream, and what is printed goes into it. */
static void closed_standard_streams_are_told_and_touch_no_log(void **state)
{
    (void)state;
    good(INIT_SMALL " --unsafe-buffered && seq 10 | $D append $T/log --quiet");
    expect(1, "standard input: Bad file descriptor", "timeout 20 $D append $T/log <&-");
    expect(1, "standard output: Bad file descriptor", "seq 5 | timeout 20 $D append $T/log --unsafe-buffered >&-");
    expect(1, "", "seq 5 | timeout 20 $D append $T/log --unsafe-buffered >&- 2>&-");
    expect(1, "", "$D cat $T/log --unsafe-buffered <&- >&- 2>&-");
    expect(0, "", "$D trim $T/log --before 0 --unsafe-buffered <&- >&- 2>&-");
    expect(1, "", "$D trim $T/no --before 0 <&- >&- 2>&-");
    expect(0, "CLEAN", "$D verify $T/log");
    expect_output("10\n", "$D cat $T/log | sed -n 10p");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        COMMAND_TEST(help_and_version_answer_everywhere),
        COMMAND_TEST(the_manual_page_names_every_option),
        COMMAND_TEST(wrong_use_is_told_with_the_way_out),
        COMMAND_TEST(a_wrong_path_is_told_as_what_it_is),
        COMMAND_TEST(a_long_path_leaves_room_for_the_reason),
        COMMAND_TEST(numbers_are_parsed_strictly),
        COMMAND_TEST(a_path_without_a_log_is_refused_and_left_alone),
        COMMAND_TEST(init_makes_a_log_once),
        COMMAND_TEST(no_permission_is_told),
        COMMAND_TEST(lines_come_back_as_they_went_in),
        COMMAND_TEST(other_cuts_of_the_input_work),
        COMMAND_TEST(every_format_prints_what_it_says),
        COMMAND_TEST(cat_starts_at_an_lsn_and_stops_at_a_limit),
        COMMAND_TEST(trim_gives_the_space_back_before_it_ends),
        COMMAND_TEST(output_that_cannot_be_written_is_an_error),
        COMMAND_TEST(closed_standard_streams_are_told_and_touch_no_log),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
