/* test_inspect_verify.c - dwal_verify and dwal_get_info on sound and on damaged logs. */
#include "tests/inspect/inspect.h"

static void info_tells_what_create_was_told(void **state)
{
    struct made *made = *state;
    struct dwal_info info = info_of(made);
    assert_int_equal(info.volume_size, 256 << 10);
    assert_int_equal(info.block_size, 4096);
    assert_int_equal(info.sector_size, 512);
    assert_int_equal(info.blanks, 1);
    assert_int_equal(info.trim, 0);
    assert_true(info.is_clean);
    assert_false(info.has_live_writer);
    assert_true(info.clean_end >= made->ends[ENTRY_COUNT - 1]);
    assert_true(info.volumes > 3);
    assert_int_equal(info.payload_size, 4096 - 32 - 7 * 4);
    assert_true(info.bytes_on_disk >= info.volumes * info.volume_size);
    assert_int_equal(dwal_get_info("/does/not/exist", NULL, &info), DWAL_ENOLOG);
    info.size = 4;
    assert_int_equal(dwal_get_info(made->path, NULL, &info), DWAL_EARGUMENT);
}

static void a_sound_log_is_clean_and_counted(void **state)
{
    struct made *made = *state;
    struct findings findings;
    struct dwal_report report = verify(made, &findings);
    assert_string_equal(dwal_verdict_name(report.verdict), "CLEAN");
    assert_int_equal(findings.count, 0);
    assert_int_equal(report.entries, ENTRY_COUNT);
    assert_int_equal(report.first, 0);
    assert_true(report.end >= made->ends[ENTRY_COUNT - 1]);
    assert_false(report.has_live_writer);
}

static void a_turned_byte_of_an_entry_is_corrupt_with_its_place(void **state)
{
    struct made *made = *state;
    static const size_t indexes[] = {0, 99, 300, 777};
    for (size_t i = 0; i < sizeof indexes / sizeof indexes[0]; i++) {
        uint64_t lsn = made->lsns[indexes[i]];
        struct findings findings;
        turn_lsn(made, lsn + 25, 1);
        struct dwal_report report = verify(made, &findings);
        assert_string_equal(dwal_verdict_name(report.verdict), "CORRUPT");
        assert_true(findings.count > 0);
        struct dwal_info info = info_of(made);
        assert_int_equal(report.break_volume, volume_of(lsn, &info));
        assert_true(report.end <= lsn);
        turn_lsn(made, lsn + 25, 1);
        report = verify(made, &findings);
        assert_string_equal(dwal_verdict_name(report.verdict), "CLEAN");
    }
}

static void damage_in_one_copy_is_repairable(void **state)
{
    struct made *made = *state;
    struct findings findings;
    turn_bytes(made, "0000000001.vol", 40, 8);              /* the first copy of a volume's header */
    turn_bytes(made, "0000000002.vol", 4096 * 10 + 512, 1); /* the tag of a sector */
    struct dwal_report report = verify(made, &findings);
    assert_string_equal(dwal_verdict_name(report.verdict), "CLEAN");
    assert_true(report.is_repairable);
    assert_true(findings.repairable >= 2);
    assert_int_equal(findings.repairable, findings.count);
}

static void one_lost_copy_of_the_superblock_is_repairable(void **state)
{
    struct made *made = *state;
    struct findings findings;
    for (long copy = 0; copy < 4; copy++) {
        turn_bytes(made, "dwal.super", copy * 4096 + 30, 1);
        struct dwal_report report = verify(made, &findings);
        assert_string_equal(dwal_verdict_name(report.verdict), "CLEAN");
        turn_bytes(made, "dwal.super", copy * 4096 + 30, 1);
    }
    for (long copy = 0; copy < 4; copy++)
        turn_bytes(made, "dwal.super", copy * 4096 + 30, 1);
    struct dwal_report report = verify(made, &findings);
    assert_string_equal(dwal_verdict_name(report.verdict), "CORRUPT");
    assert_int_equal(findings.count, 1);
    assert_int_equal(findings.first.volume, DWAL_NO_VOLUME);
}

static void what_is_missing_is_lost(void **state)
{
    struct made *made = *state;
    struct findings findings;
    dw_shell_good("mv %s/0000000002.vol %s/aside", made->path, made->directory);
    struct dwal_report report = verify(made, &findings);
    assert_string_equal(dwal_verdict_name(report.verdict), "LOST");
    dw_shell_good("mv %s/aside %s/0000000002.vol && truncate -s 200000 %s/0000000002.vol", made->directory, made->path,
                  made->path);
    report = verify(made, &findings);
    assert_string_equal(dwal_verdict_name(report.verdict), "LOST");
    dw_shell_good("mv %s/dwal.super %s/aside", made->path, made->directory);
    report = verify(made, &findings);
    assert_string_equal(dwal_verdict_name(report.verdict), "LOST");
}

static void the_callers_own_witness_is_believed(void **state)
{
    struct made *made = *state;
    struct dwal_options options = DWAL_OPTIONS_INIT;
    struct dwal_report report = {.size = sizeof report};
    options.min_lsn = made->ends[ENTRY_COUNT - 1];
    must(dwal_verify(made->path, &options, true, NULL, NULL, &report));
    assert_string_equal(dwal_verdict_name(report.verdict), "CLEAN");
    options.min_lsn += UINT64_C(1) << 30;
    must(dwal_verify(made->path, &options, true, NULL, NULL, &report));
    assert_int_not_equal(dwal_verdict_error(report.verdict), 0);
    assert_non_null(strstr(report.text, "min_lsn"));
}

static void a_quick_look_reads_little(void **state)
{
    struct made *made = *state;
    struct dwal_report full = {.size = sizeof full}, quick = {.size = sizeof quick};
    must(dwal_verify(made->path, NULL, true, NULL, NULL, &full));
    must(dwal_verify(made->path, NULL, false, NULL, NULL, &quick));
    assert_int_equal(full.verdict, quick.verdict);
    assert_int_equal(full.end, quick.end);
    assert_true(quick.blocks_read < full.blocks_read / 2);
}

static void a_report_and_its_damage_stay_with_the_handle(void **state)
{
    struct made *made = *state;
    struct dwal_options options = DWAL_OPTIONS_INIT;
    struct dwal_report report = {.size = sizeof report};
    struct findings findings = {0};
    dwal *log;
    options.mode = DWAL_READ_ONLY;
    must(dwal_open(made->path, &options, &log));
    must(dwal_get_report(log, &report));
    assert_string_equal(dwal_verdict_name(report.verdict), "CLEAN");
    assert_int_equal(dwal_damage(log, take_finding, &findings), DWAL_EARGUMENT);
    must(dwal_close(log));
    dw_shell_good("rm %s/0000000002.vol", made->path);
    assert_int_equal(dwal_open(made->path, &options, &log), DWAL_ELOST);
    options.mode = DWAL_REPORT;
    must(dwal_open(made->path, &options, &log));
    must(dwal_get_report(log, &report));
    assert_string_equal(dwal_verdict_name(report.verdict), "LOST");
    must(dwal_damage(log, take_finding, &findings));
    assert_true(findings.count > 0);
    must(dwal_close(log));
}

static void every_verdict_has_a_name_and_a_code(void **state)
{
    (void)state;
    for (int i = 0; i < DWAL_VERDICT_COUNT; i++) {
        enum dwal_verdict verdict = (enum dwal_verdict)i;
        assert_string_not_equal(dwal_verdict_name(verdict), "unknown");
        assert_int_equal(dwal_verdict_error(verdict) == 0, verdict <= DWAL_VERDICT_TORN);
    }
    assert_string_equal(dwal_verdict_name(DWAL_VERDICT_COUNT), "unknown");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        INSPECT_TEST(info_tells_what_create_was_told),
        INSPECT_TEST(a_sound_log_is_clean_and_counted),
        INSPECT_TEST(a_turned_byte_of_an_entry_is_corrupt_with_its_place),
        INSPECT_TEST(damage_in_one_copy_is_repairable),
        INSPECT_TEST(one_lost_copy_of_the_superblock_is_repairable),
        INSPECT_TEST(what_is_missing_is_lost),
        INSPECT_TEST(the_callers_own_witness_is_believed),
        INSPECT_TEST(a_quick_look_reads_little),
        INSPECT_TEST(a_report_and_its_damage_stay_with_the_handle),
        cmocka_unit_test(every_verdict_has_a_name_and_a_code),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
