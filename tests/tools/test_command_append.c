/* test_command_append.c - dwal append when things go wrong around it: kill, signals, no space, nobody who reads. */
#include "tests/tools/command.h"

#define EVERY_PRINTED_LSN_IS_THERE                                                                                     \
    "$D cat $T/log --format json > $T/json && sed 's/{\"lsn\":\\([0-9]*\\),.*/\\1/' $T/json | sort > $T/there && "     \
    "grep -E '^[0-9]+$' $T/lsns | sort > $T/printed && test -z \"$(comm -13 $T/there $T/printed)\""

static void printed_lsns_survive_a_kill(void **state)
{
    (void)state;
    good(INIT_SMALL " && seq 1 2000000 > $T/in");
    for (int round = 0; round < 6; round++) {
        struct beside append = start_beside(round % 2 ? "$D append $T/log --sync each < $T/in > $T/lsns"
                                                      : "$D append $T/log < $T/in > $T/lsns");
        wait_for("test -s $T/lsns");
        wait_ms(23 * round);
        assert_int_equal(stop_beside(&append, SIGKILL), 128 + SIGKILL);
        /* The kill may cut the last line in its middle: only whole lines count. */
        good("sed -n -z 's/[^\\n]*$//p' $T/lsns > $T/whole && mv $T/whole $T/lsns");
        good(EVERY_PRINTED_LSN_IS_THERE);
        good("$D verify $T/log && $D trim $T/log --before $(tail -n 1 $T/lsns) && rm $T/lsns");
    }
}

static void a_signal_ends_it_in_good_order(void **state)
{
    (void)state;
    static const int signals[] = {SIGTERM, SIGINT, SIGHUP};
    good(INIT_SMALL);
    for (size_t i = 0; i < sizeof signals / sizeof signals[0]; i++) {
        good("rm -f $T/lsns");
        struct beside append = start_beside("$D append $T/log > $T/lsns 2> $T/err");
        feed(&append, "one\ntwo\n");
        wait_for("test $(wc -l < $T/lsns) -eq 2"); /* printed while the input pauses */
        assert_int_equal(stop_beside(&append, signals[i]), 0);
        expect_output("", "cat $T/err");
        expect(0, "\"is_clean\":true", "$D info $T/log --json");
    }
    expect_output("one\ntwo\none\ntwo\none\ntwo\n", "$D cat $T/log");
}

static void a_signal_drops_half_a_line_and_says_so(void **state)
{
    (void)state;
    good(INIT_SMALL);
    struct beside append = start_beside("$D append $T/log > $T/lsns 2> $T/err");
    feed(&append, "one\nhalf");
    wait_for("test $(wc -l < $T/lsns) -eq 1");
    assert_int_equal(stop_beside(&append, SIGINT), 1);
    expect(0, "the last 4 bytes are no whole entry", "cat $T/err");
    expect_output("one\n", "$D cat $T/log");
}

static void every_way_to_sync_prints_every_lsn(void **state)
{
    (void)state;
    good("$D init $T/log --volume-size 1MiB --blanks 1");
    expect_output("500\n", "seq 500 | $D append $T/log --sync each | tee $T/lsns | wc -l");
    good(EVERY_PRINTED_LSN_IS_THERE);
    expect_output("50000\n", "seq 50000 | $D append $T/log --sync group | tee $T/lsns | wc -l");
    good(EVERY_PRINTED_LSN_IS_THERE);
    expect_output("50000\n", "seq 50000 | $D append $T/log --sync end | tee $T/lsns | wc -l");
    good(EVERY_PRINTED_LSN_IS_THERE);
    expect_output("", "seq 10 | $D append $T/log --quiet --backend sync");
}

static void stages_are_told_when_asked_for(void **state)
{
    (void)state;
    good(INIT_SMALL);
    expect(0, "p50        p99      p99.9        max", "seq 100 | $D append $T/log --sync each --quiet --stats");
    expect(0, "100 entries, ", "seq 100 | $D append $T/log --sync each --quiet --stats");
}

static void create_makes_the_log_when_there_is_none(void **state)
{
    (void)state;
    expect(1, "dwal init", "echo one | $D append $T/log");
    expect(0, "0\n", "echo one | $D append $T/log --create");
    good("echo two | $D append $T/log --create --quiet");
    expect_output("one\ntwo\n", "$D cat $T/log");
}

static void a_full_file_system_is_told_and_loses_nothing(void **state)
{
    (void)state;
    if (dw_shell("test $(id -u) = 0 && truncate -s 8M $T/image && mkfs.ext4 -q $T/image && mkdir $T/mounted && "
                 "mount -o loop $T/image $T/mounted && head -c 1000000 /dev/zero > $T/mounted/ballast")
            ->status != 0) {
        print_message("needs root and a file system on a loop device\n");
        skip();
    }
    /* Everything that is to be known goes to files first: whatever fails, the image is unmounted before it is told. */
    dw_shell(
        "{ $D init $T/mounted/log --volume-size 512KiB --blanks 1 && ln -s mounted/log $T/log; "
        "seq 200000 | sed 's/.*/& a line that takes some room in the log/' > $T/in; "
        "$D append $T/log < $T/in > $T/lsns 2> $T/err; echo $? > $T/status; " EVERY_PRINTED_LSN_IS_THERE
        " && $D verify $T/log > $T/verdict && rm $T/mounted/ballast && echo more | $D append $T/log > $T/more && "
        "$D cat $T/log --from $(cat $T/more) > $T/again && echo all > $T/all; } < /dev/null > /dev/null 2>> $T/err; "
        "umount $T/mounted");
    expect_output("1\n", "cat $T/status");
    expect(0, "free space, or trim the log", "cat $T/err");
    expect_output("all\n", "cat $T/all");
    expect_output("more\n", "cat $T/again");
}

static void a_file_size_limit_is_told(void **state)
{
    (void)state;
    expect(1, "free space, or trim the log", "ulimit -f 100; $D init $T/log --volume-size 1MiB");
    expect(1, "dwal init", "$D cat $T/log");
    good("$D init $T/log --volume-size 256KiB"); /* what the first try left behind is no hindrance */
}

static void a_closed_standard_output_stops_the_reading(void **state)
{
    (void)state;
    good(INIT_SMALL);
    expect(0, "nobody reads the lsns any more",
           "{ seq 100000 | $D append $T/log --sync each; echo status $? >&2; } | head -n 1 > $T/first; cat $T/first");
    expect_output("1\n", "$D cat $T/log | head -n 1");
}

static void a_second_writer_is_told_that_the_log_is_busy(void **state)
{
    (void)state;
    good(INIT_SMALL);
    struct beside append = start_beside("$D append $T/log > $T/lsns");
    feed(&append, "one\n");
    wait_for("test $(wc -l < $T/lsns) -eq 1");
    expect(1, "close the other writer, or open read-only", "echo two | $D append $T/log");
    expect(1, "close the other writer, or open read-only", "$D trim $T/log --before 0");
    expect(1, "close the other writer, or open read-only", "$D repair $T/log --cut-at 0 --save $T/save --yes");
    good("test ! -e $T/save");
    expect(0, "a writer is at work", "$D info $T/log");
    assert_int_equal(stop_beside(&append, 0), 0);
    expect(0, "\"is_clean\":true", "$D info $T/log --json");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        COMMAND_TEST(printed_lsns_survive_a_kill),
        COMMAND_TEST(a_signal_ends_it_in_good_order),
        COMMAND_TEST(a_signal_drops_half_a_line_and_says_so),
        COMMAND_TEST(every_way_to_sync_prints_every_lsn),
        COMMAND_TEST(stages_are_told_when_asked_for),
        COMMAND_TEST(create_makes_the_log_when_there_is_none),
        COMMAND_TEST(a_full_file_system_is_told_and_loses_nothing),
        COMMAND_TEST(a_file_size_limit_is_told),
        COMMAND_TEST(a_closed_standard_output_stops_the_reading),
        COMMAND_TEST(a_second_writer_is_told_that_the_log_is_busy),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
