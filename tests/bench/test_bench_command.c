/* test_bench_command.c - dwal bench as a person runs it: arguments, targets, reports, and what goes wrong around it.
 *
 * The machine that tests may be busy: nothing here looks at how long anything took. */
#include "tests/tools/command.h"

#define QUICK " --duration 60ms --rounds 2 --warm-up 5ms --settle 0 --file-size 8MiB --volume-size 1MiB --quiet"

static void help_tells_the_options(void **state)
{
    (void)state;
    expect(0, "--outstanding", "$D bench --help");
    expect(0, "bench ", "$D --help");
}

static void wrong_arguments_are_told_with_what_is_allowed(void **state)
{
    (void)state;
    static const struct {
        const char *arguments, *text;
    } rows[] = {
        {"", "TARGET is missing"},
        {"$T --engines dwal,nonsense", "choose some of dwal,sync,uring,aio,nvme"},
        {"$T --engines ''", "choose some of"},
        {"$T --threads 0", "from 1 to 256"},
        {"$T --threads 1,,2", "from 1 to 256"},
        {"$T --threads 1.5", "from 1 to 256"},
        {"$T --rate -5", "operations a second"},
        {"$T --rate nan", "operations a second"},
        {"$T --size 64:", "give a size"},
        {"$T --size 5MiB", "give a size"},
        {"$T --size 4MiB --batch 2", "smaller batch"},
        {"$T --batch 65", "from 1 to 64"},
        {"$T --outstanding x", "from 1 to 4096"},
        {"$T --arrival late", "poisson or fixed"},
        {"$T --duration 10", "give a time"},
        {"$T --duration 1us", "give a time"},
        {"$T --rounds 0", "from 1 to 400"},
        {"$T --count 0", "from 1 on"},
        {"$T --plan $T/none", "cannot read the plan"},
        {"$T/missing/place", "make the directory first"},
        {"/dev/null", "neither a directory"},
        {"$T --backend carrier-pigeon", "choose one of"},
        {"$T --nonsense", "there is no option"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        char command[256];
        snprintf(command, sizeof command, "$D bench %s", rows[i].arguments);
        expect(1, rows[i].text, command);
    }
    expect_output("", "ls $T"); /* nothing was left behind */
}

static void a_plan_with_a_mistake_names_the_line(void **state)
{
    (void)state;
    expect(1, "plan:2: there is no such key", "printf '[a]\\nthread = 1\\n' > $T/plan; $D bench $T --plan $T/plan");
    expect(1, "plan:1: neither", "printf 'threads\\n' > $T/plan; $D bench $T --plan $T/plan");
    expect(1, "there is no section", "printf 'threads = 1\\n' > $T/plan; $D bench $T --plan $T/plan");
    expect(1, "plan:2: this holds for the whole run",
           "printf '[a]\\nrounds = 2\\n' > $T/plan; $D bench $T --plan $T/plan");
    expect(1, "[a]: threads: \"0\"", "printf '[a]\\nthreads = 0\\n' > $T/plan; $D bench $T --plan $T/plan");
}

static void a_directory_is_measured_and_left_as_it_was(void **state)
{
    (void)state;
    good("$D bench $T" QUICK " > /dev/shm/$$.out 2>&1; s=$?; cat /dev/shm/$$.out; rm /dev/shm/$$.out; exit $s");
    expect_output("", "ls $T");
    expect(0, "issue to durable", "$D bench $T --engines dwal,sync" QUICK);
    expect(0, "dwal       beside sync", "$D bench $T --engines dwal,sync" QUICK);
    if (dw_shell("awk '$5 == \"/\"' /proc/self/mountinfo | grep -q .")->status == 0) /* not so in a chroot */
        expect(0, "mount options", "$D bench $T --engines sync" QUICK);
}

static void check_json(const char *options)
{
    char command[512];
    snprintf(command, sizeof command, "$D bench $T %s" QUICK " --json $T/out.json > $T/text 2>&1 || cat $T/text",
             options);
    good(command);
    char *text = dw_shell_read_file("%s/out.json", getenv("T"));
    if (!dw_json_is_object(text, strlen(text)) && !(strlen(text) > 0 && dw_json_is_object(text, strlen(text) - 1)))
        fail_msg("%s: no JSON object: %.300s", options, text);
    free(text);
}

static void every_kind_of_load_gives_valid_json(void **state)
{
    (void)state;
    check_json("--engines dwal,sync,uring,aio --outstanding 1,8");
    check_json("--engines dwal,sync --threads 1,4 --rate 500");
    check_json("--engines dwal,uring,aio --outstanding 16 --rate 2000 --arrival fixed --size 64:50,4096:50");
    check_json("--engines dwal,aio --batch 8 --size 300");
    check_json("--engines sync,dwal --count 200");
    expect(0, "{\"format\":\"dwal-bench-1\"", "$D bench $T --engines sync --json -" QUICK);
}

static void a_plan_is_run_section_by_section(void **state)
{
    (void)state;
    good(
        "printf 'rounds = 2\\nduration = 40ms\\nengines = dwal # both\\n[small]\\nsize = 64\\n[large]\\nsize = 16KiB\\n"
        "threads = 1,2\\n' > $T/plan");
    expect(0, "large dwal 2T", "$D bench $T --plan $T/plan" QUICK);
    expect(0, "small dwal 1T", "$D bench $T --plan $T/plan" QUICK);
}

static void only_a_blank_file_is_overwritten(void **state)
{
    (void)state;
    good("echo precious > $T/file");
    expect(1, "the file is not empty", "$D bench $T/file" QUICK);
    expect_output("precious\n", "cat $T/file");
    good("$D bench $T/file --destroy" QUICK " --engines sync");
    good("$D bench $T/new" QUICK " --engines sync && test ! -e $T/new");
    good("$D bench $T/new --keep" QUICK " --engines sync && test -s $T/new");
    expect(1, "the log needs a directory or a device", "$D bench $T/new2 --engines dwal" QUICK);
}

static void a_blank_device_is_measured_and_blank_again(void **state)
{
    (void)state;
    if (dw_shell("test $(id -u) = 0 && truncate -s 64M $T/image && losetup -f --show $T/image > $T/device")->status !=
        0) {
        print_message("needs root and loop devices\n");
        skip();
    }
    /* Everything that is to be known goes to files first: whatever fails, the loop device goes before it is told. */
    dw_shell("device=$(cat $T/device); { $D bench $device" QUICK " > $T/bare; echo $? > $T/status; "
             "cmp -n 67108864 $device /dev/zero && echo blank > $T/blank; "
             "$D bench $device --engines dwal" QUICK " > $T/log; echo $? >> $T/status; "
             "$D bench $device" QUICK "; echo $? >> $T/status; $D bench $device --engines dwal" QUICK "; "
             "echo $? >> $T/status; $D bench $device --engines dwal --append" QUICK "; echo $? >> $T/status; "
             "$D bench $device --engines dwal,sync --destroy" QUICK "; echo $? >> $T/status; "
             "$D bench $device --engines sync --destroy" QUICK "; echo $? >> $T/status; "
             "} > $T/out 2>&1 < /dev/null; losetup -d $device");
    expect_output("0\n0\n1\n1\n0\n1\n0\n", "cat $T/status");
    expect_output("blank\n", "cat $T/blank");
    expect(0, "the device is not blank", "cat $T/out");
    expect(0, "there is a log: give --append", "cat $T/out");
    expect(0, "would overwrite each other", "cat $T/out");
    expect(0, "closed loop, backend ", "cat $T/log");
}

static void a_log_is_measured_only_when_the_entries_may_stay(void **state)
{
    (void)state;
    good("$D init $T/log --volume-size 1MiB --blanks 1 && echo one | $D append $T/log");
    expect(1, "give --append", "$D bench $T/log" QUICK);
    good("$D bench $T/log --append --engines dwal,sync" QUICK);
    expect(0, "one\n", "$D cat $T/log | head -c 4");
    expect(0, "CLEAN", "$D verify $T/log");
    expect_output("log\n", "ls $T");
}

static void no_permission_is_told(void **state)
{
    (void)state;
    good("mkdir $T/locked && chmod 500 $T/locked && chmod 711 $T");
    if (dw_shell("test $(id -u) = 0 && command -v setpriv")->status == 0)
        expect(1, "choose a directory that you may write",
               "cp $D $T/dwal && chmod 755 $T/dwal && cd / && setpriv --reuid 65534 --clear-groups "
               "$T/dwal bench $T/locked" QUICK);
    else if (dw_shell("test $(id -u) != 0")->status == 0)
        expect(1, "choose a directory that you may write", "$D bench $T/locked" QUICK);
}

static void a_full_file_system_is_told_and_cleaned_up(void **state)
{
    (void)state;
    if (dw_shell("test $(id -u) = 0 && truncate -s 16M $T/image && mkfs.ext4 -q $T/image && mkdir $T/mounted && "
                 "mount -o loop $T/image $T/mounted")
            ->status != 0) {
        print_message("needs root and a file system on a loop device\n");
        skip();
    }
    dw_shell("{ $D bench $T/mounted --engines sync --settle 0 --file-size 64MiB > $T/prefill; echo $? >> $T/prefill; "
             "$D bench $T/mounted --engines dwal --volume-size 12MiB --settle 0 --size 64KiB --warm-up 0 --rounds 1 "
             "--duration 20s > $T/log; echo $? >> $T/log; "
             "find $T/mounted -name 'dwal-bench*' > $T/left; } > $T/out 2>&1 < /dev/null; umount $T/mounted");
    expect(0, "free space, or choose a smaller --file-size", "cat $T/out");
    expect_output("1\n", "cat $T/prefill");
    expect(0, "dwal STOPPED in round 1: no volume is ready", "cat $T/log");
    expect_output("1\n", "tail -n 1 $T/log");
    expect_output("", "cat $T/left");
}

static void a_report_that_cannot_be_written_is_told(void **state)
{
    (void)state;
    expect(1, "No space left on device", "$D bench $T --engines sync --json /dev/full" QUICK);
    expect(1, "No such file", "$D bench $T --engines sync --hlog $T/none/x" QUICK);
}

static void a_signal_ends_it_with_a_report_of_what_was_measured(void **state)
{
    (void)state;
    static const int signals[] = {SIGINT, SIGTERM};
    for (size_t i = 0; i < sizeof signals / sizeof signals[0]; i++) {
        good("rm -f $T/out $T/err $T/out.json");
        struct beside bench = start_beside("$D bench $T/file --engines sync,uring --duration 40s --rounds 100 "
                                           "--settle 0 --file-size 8MiB --json $T/out.json > $T/out 2> $T/err");
        wait_for("grep -q 'round 1/100' $T/err || grep -q 'round 2/100' $T/err");
        assert_int_equal(stop_beside(&bench, signals[i]), 0);
        expect(0, "INTERRUPTED", "cat $T/out");
        expect(0, "issue to durable", "cat $T/out");
        expect(0, "\"was_interrupted\":true", "cat $T/out.json");
        good("test ! -e $T/file");
    }
}

static void the_self_test_shows_an_honest_recorder(void **state)
{
    (void)state;
    expect(0, "the open loop says so", "$D bench --self-test");
}

/* Nothing from elsewhere, every plot that the loads allow, and well-formed where a parser is there to say so. */
static void the_page_is_one_file_with_its_plots(void **state)
{
    (void)state;
    good("printf 'engines = dwal,sync\n[a <b> & \"c\"]\nthreads = 1,2\n[open]\nrate = 200,400\n' > $T/plan");
    good("$D bench $T --plan $T/plan --report $T/page.html" QUICK);
    static const char *const wanted[] = {"Latency by percentile",
                                         "Latency by offered load",
                                         "Scaling over threads",
                                         "Latency over time",
                                         "Where the time went",
                                         "timer tick",
                                         "prefers-color-scheme",
                                         "The slowest",
                                         "write_cache"};
    for (size_t i = 0; i < sizeof wanted / sizeof wanted[0]; i++)
        expect(0, wanted[i], "cat $T/page.html");
    expect_output("0\n", "grep -cE 'https?://|<script|@import|url\\(|<link|nan|inf[^o]' $T/page.html || true");
    expect_output("0\n", "grep -c '<b>' $T/page.html || true");
    if (dw_shell_has("python3"))
        good("python3 -c 'import re,sys,xml.dom.minidom as m; t=open(sys.argv[1]).read(); "
             "[m.parseString(s) for s in re.findall(\"<svg.*?</svg>\", t, re.S)]' $T/page.html");
}

/* A run with rounds of our own making: p50, p99 and rate around the given values, a few percent up and down. */
static void make_run(const char *name, double p50_us, double bare_us, double itself)
{
    static const double wave[] = {0.98, 1.01, 1.0, 1.02, 0.99, 1.0, 1.01, 0.985};
    char path[256];
    snprintf(path, sizeof path, "%s/%s", getenv("T"), name);
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    fprintf(file, "{\"format\":\"dwal-bench-1\",\"baseline_beside_itself\":%g,\"contenders\":[", itself);
    for (int which = 0; which < 2; which++) {
        double value = which ? bare_us : p50_us;
        fprintf(file, "%s{\"label\":\"%s\",\"beside\":%s,\"rounds\":[", which ? "," : "", which ? "sync" : "dwal",
                which ? "null" : "{\"label\":\"sync\"}");
        for (int i = 0; i < 8; i++)
            fprintf(file, "%s{\"p50\":%g,\"p90\":%g,\"p99\":%g,\"p99_9\":%g,\"rate\":%g,\"cpu\":1000}", i ? "," : "",
                    value * wave[(i + which) % 8] * 1000, value * 1500, value * 2000 * wave[(i + 2 * which) % 8],
                    value * 3000, 1e6 / value / wave[i]);
        fprintf(file, "]}");
    }
    fprintf(file, "]}\n");
    fclose(file);
}

static void compare_tells_a_difference_from_noise(void **state)
{
    (void)state;
    make_run("a", 100, 90, 1.005);
    make_run("same", 100.4, 90.2, 0.995);
    make_run("slow", 120, 90, 1.0);
    make_run("fast", 80, 90, 1.0);
    make_run("machine", 150, 135, 1.0); /* all of the machine is slower */
    make_run("noisy", 120, 90, 1.3);
    expect(0, "no difference shown: noise", "$D bench compare $T/a $T/same");
    expect(3, "B is worse than A", "$D bench compare $T/a $T/slow");
    expect(0, "better", "$D bench compare $T/a $T/fast");
    expect(3, "WORSE", "$D bench compare $T/fast $T/a");
    expect(0, "dwal\n  p50         100 us -> 120 us ", "$D bench compare $T/a $T/noisy | head -n 8");
    expect(0, "smaller than the noise of the runs themselves", "$D bench compare $T/a $T/noisy");
    expect(3, "sync", "$D bench compare $T/a $T/machine"); /* the bare writes are slower, and that is said */
    expect(0, "beside bare writes      1 (0.9", "$D bench compare $T/a $T/machine | sed -n '/^dwal/,/^sync/p'");
    expect(0, "usage", "$D bench compare --help");
}

static void compare_refuses_what_it_cannot_compare(void **state)
{
    (void)state;
    make_run("a", 100, 90, 1);
    good("sed s/dwal-bench-1/other/ $T/a > $T/other; head -c 300 $T/a > $T/torn; sed "
         "'s/\"dwal\"/\"x\"/;s/\"sync\"/\"y\"/g' "
         "$T/a > $T/strange; : > $T/empty; printf '[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[' > $T/deep");
    expect(1, "two files", "$D bench compare $T/a");
    expect(1, "No such file", "$D bench compare $T/a $T/none");
    expect(1, "no JSON", "$D bench compare $T/torn $T/a");
    expect(1, "no JSON", "$D bench compare $T/a $T/empty");
    expect(1, "no JSON", "$D bench compare $T/a $T/deep");
    expect(1, "no result of dwal bench", "$D bench compare $T/a $T/other");
    expect(1, "no contender in common", "$D bench compare $T/a $T/strange");
    expect(1, "Invalid argument", "$D bench compare $T/a /dev/zero");
}

static void what_is_written_can_be_compared(void **state)
{
    (void)state;
    good("$D bench $T --engines sync,dwal" QUICK " --json $T/a.json > $T/text");
    expect(0, "too few rounds to tell", "$D bench compare $T/a.json $T/a.json");
}

static void culprits_are_named_or_the_reason_is_told_why_not(void **state)
{
    (void)state;
    good("$D bench $T --engines sync,dwal --trace 1us --json $T/out.json" QUICK " > $T/text 2>&1");
    if (dw_shell("grep 'no culprits are named' $T/text")->status == 0) {
        print_message("needs root and tracefs\n");
        skip();
    }
    expect(0, "culprits of those above 1.00 us", "cat $T/text");
    expect(0, "\"no CPU for the caller\":", "cat $T/out.json");
    expect(1, "such as 1ms", "$D bench $T --trace 5");
}

/* An independent reader of both formats, in another language. */
static void hdrhistogram_files_hold_the_same_counts(void **state)
{
    (void)state;
    if (!dw_shell_has("python3")) {
        print_message("needs python3\n");
        skip();
    }
    good("$D bench $T --engines sync,dwal" QUICK " --json $T/out.json --hlog $T/out.hlog --hgrm $T/%.hgrm > $T/text");
    good("python3 $DWAL_SOURCE/tests/bench/read_hdr.py $T/out.json $T/out.hlog $T/sync.hgrm $T/dwal.hgrm");
    expect(1, "%", "$D bench $T --engines sync,dwal" QUICK " --hgrm $T/one.hgrm");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        COMMAND_TEST(help_tells_the_options),
        COMMAND_TEST(wrong_arguments_are_told_with_what_is_allowed),
        COMMAND_TEST(a_plan_with_a_mistake_names_the_line),
        COMMAND_TEST(a_directory_is_measured_and_left_as_it_was),
        COMMAND_TEST(every_kind_of_load_gives_valid_json),
        COMMAND_TEST(a_plan_is_run_section_by_section),
        COMMAND_TEST(only_a_blank_file_is_overwritten),
        COMMAND_TEST(a_blank_device_is_measured_and_blank_again),
        COMMAND_TEST(a_log_is_measured_only_when_the_entries_may_stay),
        COMMAND_TEST(no_permission_is_told),
        COMMAND_TEST(a_full_file_system_is_told_and_cleaned_up),
        COMMAND_TEST(a_report_that_cannot_be_written_is_told),
        COMMAND_TEST(a_signal_ends_it_with_a_report_of_what_was_measured),
        COMMAND_TEST(the_self_test_shows_an_honest_recorder),
        COMMAND_TEST(compare_tells_a_difference_from_noise),
        COMMAND_TEST(compare_refuses_what_it_cannot_compare),
        COMMAND_TEST(what_is_written_can_be_compared),
        COMMAND_TEST(culprits_are_named_or_the_reason_is_told_why_not),
        COMMAND_TEST(the_page_is_one_file_with_its_plots),
        COMMAND_TEST(hdrhistogram_files_hold_the_same_counts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
