/* test_command_device.c - every command on a block device, with sectors of 512 and of 4096 bytes, and several logs on one.
 * Needs root and loop devices, else skips. */
#include "tests/tools/command.h"

static char device[64]; /* of the running test; also $L */
static const char *sector = "512";

static bool attach(const char *how)
{
    const struct dw_shell *ran = dw_shell("losetup -f --show %s $T/image", how);
    if (ran->status != 0)
        return false;
    snprintf(device, sizeof device, "%.*s", (int)strcspn(ran->output, "\n"), ran->output);
    return setenv("L", device, 1) == 0;
}

static int set_up(void **state)
{
    char how[64];
    device[0] = '\0';
    if (make_directory(state) != 0)
        return -1;
    snprintf(how, sizeof how, "--sector-size %s", sector);
    bool is_possible = geteuid() == 0 && dw_shell_has("losetup") && dw_shell("truncate -s 24M $T/image")->status == 0;
    if (is_possible && attach(how))
        return 0;
    remove_directory(state);
    dw_shell_skip("needs root and loop devices");
}

static int tear_down(void **state)
{
    if (device[0])
        dw_shell("while mountpoint -q $T/mount; do umount $T/mount || sleep 0.1; done; losetup -d %s", device);
    return remove_directory(state);
}

#define INIT "$D init $L --volume-size 256KiB --blanks 1"

static void a_log_on_a_device_takes_every_command(void **state)
{
    (void)state;
    expect_output("", INIT);
    good("seq 30000 | $D append $L > $T/lsns; wc -l < $T/lsns | grep -qx 30000");
    good("seq 30000 > $T/entries; $D cat $L | cmp - $T/entries");
    expect(0, "CLEAN", "$D verify $L");
    expect(0, "30000 entries", "$D verify $L");
    expect(0, "closed cleanly", "$D info $L");
    expect(0, "slots          ", "$D info $L");
    good("$D info $L --json > $T/json");
    char *json = dw_shell_read_file("%s/json", getenv("T"));
    size_t lines = 0;
    assert_true(dw_json_is_lines(json, strlen(json), &lines) && lines == 1);
    assert_non_null(strstr(json, "\"slots_free\":"));
    free(json);
    good("$D dump $L | grep -c ' ok ' > /dev/null; ! $D dump $L | grep ' BAD '");
    expect(0, "device superblock sequence", "$D dump $L --limit 5");
    expect(0, "volume 0 of log #", "$D dump $L");
    expect(0, "record", "$D dump $L --records");
    good("$D trim $L --before $(sed -n 20001p $T/lsns) && tail -n +20001 $T/entries > $T/rest && $D cat $L | cmp - "
         "$T/rest");
    good("echo more | $D append $L --quiet && $D cat $L | tail -1 | grep -qx more");
}

static void a_torn_end_is_cut_and_repair_cuts_where_it_is_told(void **state)
{
    (void)state;
    good(INIT " && seq 5000 | $D append $L > $T/lsns");
    expect(1, "it holds one without a name: ", "$D cat \"$L#other\"");
    /* A flipped byte in acknowledged content is refused, and told with its place. */
    good("at=$($D dump $L | awk '$4 == \"block\" && /first_record/ { n++ } n == 3 { print $2; exit }');"
         "slot=$($D dump $L | awk '$4 == \"slot\" && /volume 0 / { print $2; exit }');"
         "printf X | dd of=$L bs=1 seek=$((slot + at + 100)) conv=notrunc 2>/dev/null");
    expect(2, "CORRUPT", "$D verify $L");
    expect(2, "BAD", "$D dump $L --records");
    good("$D repair $L --cut-at $(sed -n 11p $T/lsns) --save $T/save --yes");
    good("test -s $T/save/dwal.super && test $(stat -c %s $T/save/0000000000.vol) = 262144");
    expect_output("10\n", "$D cat $L | wc -l");
    good("echo on | $D append $L --quiet && $D verify $L");
}

static void several_logs_live_on_one_device(void **state)
{
    (void)state;
    good(INIT " --name a && " INIT " --name b --quota 2MiB");
    good("seq 20000 | $D append \"$L#a\" --quiet & seq 5 9999 | $D append \"$L#b\" --quiet && wait");
    good("seq 20000 > $T/a && seq 5 9999 > $T/b && $D cat \"$L#a\" | cmp - $T/a && $D cat \"$L#b\" | cmp - $T/b");
    expect(1, "holds several logs: name one of #a, #b", "$D cat $L");
    expect(1, "there is no log #c", "$D cat \"$L#c\"");
    expect(1, "there is a log", INIT " --name a");
    expect(0, "#b ", "$D info $L");
    expect(0, "quota 8", "$D info $L");
    expect(1, "every log on it needs this volume_size", "$D init $L --name c --volume-size 512KiB");
    expect(1, "is no name for a log", "$D init $L --name 'c d'");
}

static void a_log_is_removed_only_by_force_and_by_name(void **state)
{
    (void)state;
    good(INIT " --name a && " INIT
              " --name b && seq 9 | $D append \"$L#a\" --quiet && seq 5 | $D append \"$L#b\" --quiet");
    good("sha256sum < $L > $T/before");
    expect(1, "destroys all of its entries (volumes: ", "$D remove \"$L#a\"");
    expect(1, "there is no log #c", "$D remove \"$L#c\" --force");
    expect(1, "several logs", "$D remove $L --force");
    expect(1, "is no block device", "$D remove $T --force");
    good("sha256sum < $L | cmp - $T/before");
    expect(0, "destroys all of its entries", "$D remove \"$L#a\" --force");
    expect(1, "there is no log #a", "$D cat \"$L#a\"");
    good("seq 5 > $T/b && $D cat \"$L#b\" | cmp - $T/b && $D verify \"$L#b\" && ! $D info $L | grep -q '#a'");
    good(INIT " --name a && test -z \"$($D cat \"$L#a\")\"");
}

static void writers_of_one_device_in_several_processes_share_it(void **state)
{
    (void)state;
    char append_a[160], append_b[160];
    good(INIT " --name a && " INIT " --name b");
    snprintf(append_a, sizeof append_a, "%s append \"%s#a\" --sync each", getenv("D"), device);
    snprintf(append_b, sizeof append_b, "%s append \"%s#b\" --sync each", getenv("D"), device);
    struct beside a = start_beside(append_a);
    feed(&a, "one\n");
    wait_for("$D info $L | grep '#a' | grep -q 'writer is at work'");
    struct beside b = start_beside(append_b);
    feed(&b, "uno\n");
    wait_for("$D info $L | grep '#b' | grep -q 'writer is at work'");
    expect(1, "another writer", "echo x | $D append \"$L#a\"");
    expect(1, "cannot be formatted", "$D init $L --force");
    stop_beside(&a, SIGKILL); /* it had the exclusive open */
    feed(&b, "due\n");
    struct beside again = start_beside(append_a);
    feed(&again, "two\n");
    wait_for("$D cat \"$L#a\" 2>/dev/null | grep -q two");
    assert_int_equal(stop_beside(&again, 0), 0);
    assert_int_equal(stop_beside(&b, 0), 0);
    expect_output("uno\ndue\n", "$D cat \"$L#b\"");
    expect_output("one\ntwo\n", "$D cat \"$L#a\"");
    good("$D verify \"$L#a\" && $D verify \"$L#b\"");
}

static void a_reader_follows_a_writer_on_a_device(void **state)
{
    (void)state;
    good(INIT);
    good("(for i in $(seq 3000); do echo $i; done; sleep 1; seq 3001 6000; sleep 1) | $D append $L --quiet &"
         " timeout 20 $D cat $L --follow 2>/dev/null | head -6000 > $T/seen; seq 6000 > $T/all; cmp $T/seen $T/all && "
         "wait");
}

/* ---- what is refused ---- */

static void refuses(const char *text, const char *command)
{
    good("sha256sum < $L > $T/before");
    const struct dw_shell *ran = dw_shell("%s", command);
    if (ran->status != 1 || !strstr(ran->output, text))
        fail_msg("%s\nstatus %d, wanted \"%s\":\n%s", command, ran->status, text, ran->output);
    good("sha256sum < $L | cmp - $T/before");
}

static void a_read_only_device_is_refused(void **state)
{
    (void)state;
    good("blockdev --setro $L");
    refuses("", "$D init $L");
    refuses("", "$D init $L --force");
    good("blockdev --setrw $L && " INIT " && echo x | $D append $L --quiet && blockdev --setro $L");
    expect_output("x\n", "$D cat $L");
    expect(1, "", "echo y | $D append $L");
    good("blockdev --setrw $L");
}

static void a_device_that_shrank_is_refused(void **state)
{
    (void)state;
    char how[64];
    good(INIT " && echo x | $D append $L --quiet && losetup -d $L && truncate -s 20M $T/image");
    snprintf(how, sizeof how, "--sector-size %s", sector);
    assert_true(attach(how));
    expect(2, "it became smaller", "$D verify $L; $D append $L < /dev/null");
    good("losetup -d $L && truncate -s 40M $T/image");
    assert_true(attach(how));
    expect_output("x\n", "$D cat $L");
    good(
        "echo y | $D append $L --quiet && test $($D info $L --json | sed 's/.*\"slots\":\\([0-9]*\\).*/\\1/') -gt 100");
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(a_log_on_a_device_takes_every_command),
        TEST(a_torn_end_is_cut_and_repair_cuts_where_it_is_told),
        TEST(several_logs_live_on_one_device),
        TEST(writers_of_one_device_in_several_processes_share_it),
        TEST(a_log_is_removed_only_by_force_and_by_name),
        TEST(a_reader_follows_a_writer_on_a_device),
        TEST(a_read_only_device_is_refused),
        TEST(a_device_that_shrank_is_refused),
    };
    int failed = cmocka_run_group_tests_name("sectors of 512 bytes", tests, NULL, NULL);
    sector = "4096";
    return failed + cmocka_run_group_tests_name("sectors of 4096 bytes", tests, NULL, NULL);
}
