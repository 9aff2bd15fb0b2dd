/* test_command_probe.c - dwal probe as a person uses it: what it prints, where it refuses, and that it leaves nothing
 * behind. What needs root and loop devices is skipped without them. */
#include "tests/tools/command.h"

/* The last line of the output, which has to be one JSON object. */
static const char *probe_json(const char *command)
{
    const struct dw_shell *ran = dw_shell("%s", command);
    if (ran->status != 0 || !dw_json_is_object(ran->output, ran->size - 1))
        fail_msg("%s\nstatus %d, output:\n%s", command, ran->status, ran->output);
    return ran->output;
}

static void has(const char *text, const char *words)
{
    if (!strstr(text, words))
        fail_msg("wanted %s in:\n%s", words, text);
}

/* ---- what it says ---- */

static void a_directory_is_told_with_facts_figures_and_a_choice(void **state)
{
    (void)state;
    const char *text = dw_shell_good("$D probe $T --quick");
    has(text, ": a directory\n");
    has(text, "file system  ");
    has(text, "/proc/self/mountinfo");
    has(text, "timer tick (HZ)");
    has(text, "clock_getres(CLOCK_MONOTONIC_COARSE)");
    has(text, "4 KiB    ");
    has(text, "1 MiB    ");
    has(text, "write, then flush");
    has(text, "durable write, unwritten space");
    has(text, "\ndwal would choose here: ");
    for (const char *line = text; *line; line += strcspn(line, "\n") + 1)
        assert_true(strcspn(line, "\n") <= 120);
    expect_output("", "ls -A $T");
}

static void json_is_one_object_with_every_way_and_size(void **state)
{
    (void)state;
    const char *json = probe_json("$D probe $T --quick --json");
    has(json, "\"kind\":\"directory\"");
    has(json, "\"name\":\"file_system\"");
    has(json, "\"name\":\"io_uring\"");
    has(json, "\"backend\":\"sync\",\"way\":\"dsync\",\"extents\":\"written\",\"size\":4096,\"count\":");
    has(json, "\"backend\":\"sync\",\"way\":\"flush\",\"extents\":\"written\",\"size\":1048576,\"count\":");
    has(json, "\"backend\":\"sync\",\"way\":\"dsync\",\"extents\":\"unwritten\",\"size\":4096,\"count\":");
    has(json, "\"choice\":{\"backend\":\"");
    has(json, "\"order\":[\"");
    has(json, "\"reasons\":[\"");
    has(json, "\"chosen_by\":\"measured now\"");
}

static void facts_alone_measure_nothing(void **state)
{
    (void)state;
    const char *json = probe_json("$D probe $T --facts --json");
    has(json, "\"not_measured\":\"facts alone were asked for\"");
    has(json, "\"timings\":[]");
    has(json, "\"chosen_by\":\"chosen by facts, not measured\"");
    expect(0, "Not measured: facts alone", "$D probe $T --facts");
}

static void the_time_given_is_kept(void **state)
{
    (void)state;
    expect(0, "",
           "start=$(date +%s%N); $D probe $T --seconds 1 >/dev/null; "
           "test $(( ($(date +%s%N) - start) / 1000000 )) -lt 5000");
    expect(1, "out of range", "$D probe $T --seconds 601");
    expect(1, "out of range", "$D probe $T --seconds 0");
}

/* ---- where it refuses ---- */

static void wrong_places_are_refused_with_the_reason(void **state)
{
    (void)state;
    expect(1, "missing does not exist: ", "$D probe $T/missing");
    expect(1, "neither a directory nor a block device", "touch $T/file && $D probe $T/file");
    expect(1, "neither a directory nor a block device", "mkfifo $T/pipe && timeout 10 $D probe $T/pipe");
    expect(1, "neither a directory nor a block device", "$D probe /dev/null");
    expect(1, "points at nothing", "ln -s nowhere $T/link && $D probe $T/link");
}

static void memory_is_no_place_for_a_log(void **state)
{
    (void)state;
    if (dw_shell("test $(stat -fc %%T /dev/shm) = tmpfs -a -w /dev/shm")->status != 0) {
        print_message("no tmpfs at /dev/shm\n");
        skip();
    }
    const char *text = dw_shell_good("$D probe /dev/shm --quick");
    has(text, "! it lives in memory and is gone with the power: dwal refuses it");
    has(text, "Not measured: ");
}

static void without_permission_the_facts_are_told(void **state)
{
    (void)state;
    if (geteuid() != 0 || !dw_shell_has("setpriv")) {
        print_message("needs root and setpriv\n");
        skip();
    }
    dw_shell_good("chmod 755 $T && cp $D $T/dwal && mkdir -m 755 $T/ours && mkdir -m 700 $T/closed");
    expect(0, "a temporary file may not be written there",
           "setpriv --reuid 65534 --clear-groups $T/dwal probe $T/ours --quick");
    expect(1, "ermission", "setpriv --reuid 65534 --clear-groups $T/dwal probe $T/closed --quick");
}

/* ---- logs ---- */

static void a_log_with_a_live_writer_is_measured_beside_and_keeps_all(void **state)
{
    (void)state;
    good(INIT_SMALL);
    dw_shell_good(
        "((seq 1 2000; sleep 6; seq 2001 4000) | $D append $T/log --quiet) >/dev/null 2>&1 & echo $! > $T/pid");
    wait_for("$D info $T/log | grep -q 'a writer is at work'");
    const char *text = dw_shell_good("$D probe $T/log --quick");
    has(text, "extents of the volumes");
    if (!strstr(text, "this file system does not tell"))
        has(text, "100 % written, 0 % unwritten");
    has(text, "its commits and these figures disturbed one another");
    wait_for("! kill -0 $(cat $T/pid) 2>/dev/null");
    wait_for("test $($D cat $T/log | wc -l) = 4000");
    expect(0, "", "$D verify $T/log");
    expect_output("", "ls -A $T/log | grep -v -e vol -e bvl -e dwal.super; true");
}

/* ---- nothing is left ---- */

static void a_killed_probe_leaves_nothing(void **state)
{
    (void)state;
    for (int i = 0; i < 5; i++) {
        char command[160];
        snprintf(command, sizeof command,
                 "$D probe $T --seconds 60 >/dev/null & pid=$!; sleep 0.%d; kill -9 $pid; wait $pid", 1 + 2 * i);
        assert_int_equal(dw_shell("%s", command)->status, 137);
        expect_output("", "ls -A $T");
    }
}

static void a_signal_ends_the_measurement_early(void **state)
{
    (void)state;
    const struct dw_shell *ran =
        dw_shell("$D probe $T --seconds 60 & pid=$!; sleep 1; kill -INT $pid; wait $pid; echo status $?");
    has(ran->output, "stopped early");
    has(ran->output, "dwal would choose here: ");
    has(ran->output, "status 0");
    expect_output("", "ls -A $T");
}

/* ---- file systems and devices of our own ---- */

static bool has_loop(void)
{
    return geteuid() == 0 && dw_shell_has("losetup") && dw_shell_has("mkfs.ext4") && dw_shell_has("mkfs.xfs") &&
           dw_shell("truncate -s 1M $T/try && d=$(losetup -f --show $T/try) && losetup -d $d")->status == 0;
}

/* Runs `inside` with $M the mounted file system and $L the loop device; unmounts in any case. */
static const struct dw_shell *on_loop(const char *size, const char *make, const char *options, const char *inside)
{
    return dw_shell("set -e; truncate -s %s $T/image; %s $T/image >/dev/null 2>&1; L=$(losetup -f --show $T/image);"
                    "trap 'mountpoint -q $T/mount && umount $T/mount; losetup -d $L' EXIT; M=$T/mount; mkdir -p $M;"
                    "mount %s $L $M; %s",
                    size, make, options, inside);
}

static void every_file_system_is_told_by_its_name_and_options(void **state)
{
    (void)state;
    if (!has_loop()) {
        print_message("needs root, loop devices and mkfs\n");
        skip();
    }
    const struct dw_shell *ran = on_loop("96M", "mkfs.ext4 -q", "-o nobarrier,lazytime", "$D probe $M --quick");
    assert_int_equal(ran->status, 0);
    has(ran->output, "ext4");
    has(ran->output, "! no flush is sent: what was acknowledged may be lost with the power");
    has(ran->output, "ALARM: the file system is mounted without barriers");
    has(ran->output, "loop device over");
    has(ran->output, "lazy time stamps               yes");
    has(ran->output, "can share extents (reflink)    no");
    dw_shell_good("rm $T/image");
    ran = on_loop("400M", "mkfs.xfs -q -m reflink=1", "-o noatime", "$D probe $M --quick; ls -A $M");
    assert_int_equal(ran->status, 0);
    has(ran->output, "can share extents (reflink)    yes");
    has(ran->output, "xfs");
    has(ran->output, "4 KiB    ");
}

static void a_full_file_system_is_told_and_left_as_it_was(void **state)
{
    (void)state;
    if (!has_loop()) {
        print_message("needs root, loop devices and mkfs\n");
        skip();
    }
    const struct dw_shell *ran =
        on_loop("16M", "mkfs.ext4 -q -m 0", "",
                "dd if=/dev/zero of=$M/all bs=64k 2>/dev/null || true; sync; $D probe $M --quick; ls -A $M");
    has(ran->output, "Not measured: there is no space for a temporary file of 1 MiB");
    has(ran->output, "dwal would choose here: sync");
    assert_int_equal(ran->status, 0);
}

static void a_device_that_holds_a_file_system_is_not_touched(void **state)
{
    (void)state;
    if (!has_loop()) {
        print_message("needs root, loop devices and mkfs\n");
        skip();
    }
    dw_shell_good("truncate -s 32M $T/image && mkfs.ext4 -q $T/image");
    const struct dw_shell *ran =
        dw_shell("L=$(losetup -f --show $T/image); before=$(sha256sum < $T/image); $D probe $L --quick; s=$?; sync;"
                 "losetup -d $L; test \"$before\" = \"$(sha256sum < $T/image)\" && exit $s");
    assert_int_equal(ran->status, 0);
    has(ran->output, ": a block device\n");
    has(ran->output, "Not measured: ");
    has(ran->output, "alignment of direct I/O");
}

static void a_blank_device_is_measured_and_stays_blank(void **state)
{
    (void)state;
    if (!has_loop() || dw_shell("ldconfig -p | grep -q libblkid")->status != 0) {
        print_message("needs root, loop devices, mkfs and libblkid\n");
        skip();
    }
    dw_shell_good("truncate -s 64M $T/image");
    const struct dw_shell *ran = dw_shell(
        "L=$(losetup -f --show $T/image); before=$(sha256sum < $T/image); $D probe $L --quick --json; s=$?; sync;"
        "losetup -d $L; test \"$before\" = \"$(sha256sum < $T/image)\" && exit $s");
    assert_int_equal(ran->status, 0);
    assert_true(dw_json_is_object(ran->output, ran->size - 1));
    has(ran->output, "\"kind\":\"device\"");
    has(ran->output, "\"backend\":\"sync\",\"way\":\"dsync\",\"extents\":\"written\",\"size\":1048576,\"count\":");
    assert_null(strstr(ran->output, "not_measured"));
    /* One byte where it would write, which no signature covers. */
    dw_shell_good("printf x | dd of=$T/image bs=1 seek=40000000 conv=notrunc 2>/dev/null");
    ran = dw_shell("L=$(losetup -f --show $T/image); before=$(sha256sum < $T/image); $D probe $L --quick; s=$?; sync;"
                   "losetup -d $L; test \"$before\" = \"$(sha256sum < $T/image)\" && exit $s");
    assert_int_equal(ran->status, 0);
    has(ran->output, "Not measured: there are bytes other than zero");
}

static void a_log_on_a_device_is_measured_by_its_open_alone(void **state)
{
    (void)state;
    if (!has_loop()) {
        print_message("needs root, loop devices and mkfs\n");
        skip();
    }
    const struct dw_shell *ran =
        dw_shell("truncate -s 64M $T/image; L=$(losetup -f --show $T/image); trap 'losetup -d $L' EXIT;"
                 "unset DWAL_BACKEND; export DWAL_CACHE_DIR=$T/cache; $D init $L --volume-size 1MiB || exit 1;"
                 "for i in $(seq 20); do seq 100 | $D append $L --quiet || exit 2; test -d $T/cache && break; done;"
                 "$D probe $L --quick || exit 3; $D verify $L || exit 4; test $($D cat $L | wc -l) = ${i}00 || exit 5; "
                 "$D info $L");
    assert_int_equal(ran->status, 0);
    has(ran->output, "Not measured: it is not blank, and left alone: ");
    has(ran->output, "CLEAN");
    has(ran->output, "backend        ");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        COMMAND_TEST(a_directory_is_told_with_facts_figures_and_a_choice),
        COMMAND_TEST(json_is_one_object_with_every_way_and_size),
        COMMAND_TEST(facts_alone_measure_nothing),
        COMMAND_TEST(the_time_given_is_kept),
        COMMAND_TEST(wrong_places_are_refused_with_the_reason),
        COMMAND_TEST(memory_is_no_place_for_a_log),
        COMMAND_TEST(without_permission_the_facts_are_told),
        COMMAND_TEST(a_log_with_a_live_writer_is_measured_beside_and_keeps_all),
        COMMAND_TEST(a_killed_probe_leaves_nothing),
        COMMAND_TEST(a_signal_ends_the_measurement_early),
        COMMAND_TEST(every_file_system_is_told_by_its_name_and_options),
        COMMAND_TEST(a_full_file_system_is_told_and_left_as_it_was),
        COMMAND_TEST(a_device_that_holds_a_file_system_is_not_touched),
        COMMAND_TEST(a_blank_device_is_measured_and_stays_blank),
        COMMAND_TEST(a_log_on_a_device_is_measured_by_its_open_alone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
