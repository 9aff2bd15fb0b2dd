/* test_inspect_repair.c - dwal_repair: what stays, what goes, what is refused, and that the copies are the originals. */
#include "tests/inspect/inspect.h"

static int repair(const struct made *made, uint64_t cut, struct dwal_report *report)
{
    report->size = sizeof *report;
    return dwal_repair(made->path, NULL, cut, made->save, report);
}

static void note_files(const struct made *made)
{
    dw_shell_good("cd %s && sha256sum * > ../before", made->path);
}
static void expect_unchanged(const struct made *made)
{
    dw_shell_good("cd %s && sha256sum * | cmp - ../before && test ! -e ../save", made->path);
}

/* After a repair at entry `kept`: the log opens, holds what it must, takes more, and is sound. */
static void expect_cut(struct made *made, size_t kept)
{
    struct findings findings;
    dwal *log;
    expect_entries(made, 0, kept);
    struct dwal_report report = verify(made, &findings);
    if (dwal_verdict_error(report.verdict))
        fail_msg("%s: %s", dwal_verdict_name(report.verdict), report.text);
    assert_int_equal(report.entries, kept);
    must(dwal_open(made->path, NULL, &log));
    append_entries(log, made, kept, kept + 50);
    must(dwal_close(log));
    expect_entries(made, 0, kept + 50);
    report = verify(made, &findings);
    assert_string_equal(dwal_verdict_name(report.verdict), "CLEAN");
    assert_int_equal(report.entries, kept + 50);
}

static void entries_before_the_cut_stay(void **state)
{
    struct made *made = *state;
    struct dwal_report report;
    note_files(made);
    must(repair(made, made->lsns[321], &report));
    assert_int_equal(dwal_verdict_error(report.verdict), 0);
    /* Every copy is an original; superblock and the volume that was cut are among them. */
    dw_shell_good("cd %s && for f in *; do grep -q \"$(sha256sum < $f | cut -c 1-64)  $f\" ../before || exit 1; done; "
                  "test -e dwal.super && ls *.vol",
                  made->save);
    expect_cut(made, 321);
}

static void every_record_boundary_can_be_a_cut(void **state)
{
    struct made *made = *state;
    struct dwal_report report;
    /* From the back to the front: each cut makes the log shorter. Starts and ends, next to long entries too. */
    static const size_t indexes[] = {899, 800, 799, 700, 650, 500, 499, 300, 100, 99, 1};
    for (size_t i = 0; i < sizeof indexes / sizeof indexes[0]; i++) {
        size_t kept = indexes[i];
        must(repair(made, i % 2 ? made->ends[kept - 1] : made->lsns[kept], &report));
        dw_shell_good("rm -r %s", made->save);
        expect_entries(made, 0, kept);
    }
    expect_cut(made, 1);
}

static void a_cut_at_the_start_leaves_an_empty_log(void **state)
{
    struct made *made = *state;
    struct dwal_report report;
    must(repair(made, 0, &report));
    dwal *log;
    must(dwal_open(made->path, NULL, &log));
    append_entries(log, made, 0, 20);
    must(dwal_close(log));
    expect_entries(made, 0, 20);
}

static void a_damaged_log_opens_again(void **state)
{
    struct made *made = *state;
    struct dwal_report report;
    struct findings findings;
    turn_lsn(made, made->lsns[555] + 30, 3);
    report = verify(made, &findings);
    assert_string_equal(dwal_verdict_name(report.verdict), "CORRUPT");
    assert_int_equal(repair(made, made->lsns[556], &report), DWAL_ECORRUPT); /* the damage would stay */
    must(repair(made, made->lsns[555], &report));
    expect_cut(made, 555);
}

static void a_log_with_a_missing_volume_opens_again(void **state)
{
    struct made *made = *state;
    struct dwal_report report;
    struct dwal_info info = info_of(made);
    size_t kept = 0;
    while (volume_of(made->ends[kept] - 1, &info) < 2)
        kept++;
    dw_shell_good("rm %s/0000000002.vol", made->path);
    assert_int_equal(repair(made, made->ends[kept], &report), DWAL_ENOTFOUND);
    assert_int_equal(repair(made, made->lsns[ENTRY_COUNT - 1], &report), DWAL_ELOST);
    must(repair(made, made->lsns[kept], &report));
    expect_cut(made, kept);
}

static void what_is_no_boundary_is_refused_and_nothing_changes(void **state)
{
    struct made *made = *state;
    struct dwal_report report;
    note_files(made);
    assert_int_equal(repair(made, made->lsns[321] + 1, &report), DWAL_ENOTFOUND);
    assert_int_equal(repair(made, made->lsns[99] + 50000, &report), DWAL_ENOTFOUND);
    assert_int_equal(repair(made, made->ends[ENTRY_COUNT - 1] + 1, &report), DWAL_ENOTFOUND);
    assert_int_equal(repair(made, UINT64_MAX - 1, &report), DWAL_ENOTFOUND);
    report.size = 1;
    assert_int_equal(dwal_repair(made->path, NULL, 0, made->save, &report), DWAL_EARGUMENT);
    report.size = sizeof report;
    assert_int_equal(dwal_repair(made->path, NULL, 0, "", &report), DWAL_EARGUMENT);
    assert_int_equal(dwal_repair("/does/not/exist", NULL, 0, made->save, &report), DWAL_ENOLOG);
    expect_unchanged(made);
    dw_shell_good("mkdir %s", made->save);
    assert_int_equal(repair(made, made->lsns[321], &report), DWAL_EARGUMENT);
    dw_shell_good("rmdir %s", made->save);
    expect_unchanged(made);
    assert_int_equal(dwal_repair(made->path, NULL, made->lsns[321], "/does/not/exist", &report), DWAL_EDEVICE);
    expect_unchanged(made);
}

static void a_trimmed_log_is_cut_behind_the_trim_point_only(void **state)
{
    struct made *made = *state;
    struct dwal_report report;
    dwal *log;
    must(dwal_open(made->path, NULL, &log));
    must(dwal_trim(log, made->lsns[450]));
    must(dwal_close(log));
    note_files(made);
    assert_int_equal(repair(made, made->lsns[449], &report), DWAL_ETRIMMED);
    expect_unchanged(made);
    must(repair(made, made->lsns[600], &report));
    expect_entries(made, 450, 600);
    dw_shell_good("rm -r %s", made->save);
    must(repair(made, made->lsns[450], &report));
    must(dwal_open(made->path, NULL, &log));
    append_entries(log, made, 450, 460);
    must(dwal_close(log));
    expect_entries(made, 450, 460);
}

static void a_cut_inside_a_batch_is_refused(void **state)
{
    struct made *made = *state;
    struct dwal_report report;
    char data[] = "part of a batch";
    struct iovec part = {data, sizeof data};
    struct dwal_entry entries[3] = {{NULL, &part, 0, 1, 0}, {NULL, &part, 0, 1, 0}, {NULL, &part, 0, 1, 0}};
    uint64_t lsns[3], end;
    dwal *log;
    must(dwal_open(made->path, NULL, &log));
    must(dwal_append_batch(log, entries, 3, lsns, &end));
    must(dwal_close(log));
    note_files(made);
    assert_int_equal(repair(made, lsns[1], &report), DWAL_EARGUMENT);
    assert_int_equal(repair(made, lsns[2], &report), DWAL_EARGUMENT);
    expect_unchanged(made);
    must(repair(made, end, &report));
    struct findings findings;
    report = verify(made, &findings);
    assert_int_equal(report.entries, ENTRY_COUNT + 3);
}

static void a_writer_keeps_repair_out(void **state)
{
    struct made *made = *state;
    struct dwal_report report;
    dwal *log;
    must(dwal_open(made->path, NULL, &log));
    assert_int_equal(repair(made, made->lsns[10], &report), DWAL_EBUSY);
    must(dwal_close(log));
    expect_entries(made, 0, ENTRY_COUNT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        INSPECT_TEST(entries_before_the_cut_stay),
        INSPECT_TEST(every_record_boundary_can_be_a_cut),
        INSPECT_TEST(a_cut_at_the_start_leaves_an_empty_log),
        INSPECT_TEST(a_damaged_log_opens_again),
        INSPECT_TEST(a_log_with_a_missing_volume_opens_again),
        INSPECT_TEST(what_is_no_boundary_is_refused_and_nothing_changes),
        INSPECT_TEST(a_trimmed_log_is_cut_behind_the_trim_point_only),
        INSPECT_TEST(a_cut_inside_a_batch_is_refused),
        INSPECT_TEST(a_writer_keeps_repair_out),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
