/* test_inspect_scan.c - dwal_scan_log: the callbacks, the ranges, skipping, stopping, and damage on the way. */
#include "tests/inspect/inspect.h"

struct seen {
    size_t metadata, data, volumes, wrong;
    uint64_t first_lsn, last_lsn;
    uint32_t first_volume, last_volume;
    uint64_t volume_end;
    size_t stop_after;
    bool skips;
};

static bool on_metadata(void *context, const struct dwal_record *record)
{
    struct seen *seen = context;
    if (seen->metadata++ == 0)
        seen->first_lsn = record->lsn;
    seen->last_lsn = record->lsn;
    if (record->metadata_size != 1 || ((const char *)record->metadata)[0] != 'm')
        seen->wrong++;
    return !seen->skips;
}
static void on_data(void *context, const struct dwal_record *record)
{
    struct seen *seen = context;
    static char wanted[LONG_SIZE];
    size_t size = fill_entry(record->user, wanted);
    seen->data++;
    if (record->data_size != size || memcmp(record->data, wanted, size) != 0)
        seen->wrong++;
}
static void on_volume(void *context, uint32_t number, uint64_t first, uint64_t end)
{
    struct seen *seen = context;
    if (seen->volumes++ == 0)
        seen->first_volume = number;
    else if (number != seen->last_volume + 1 || first != seen->volume_end)
        seen->wrong++;
    if (end < first)
        seen->wrong++;
    seen->last_volume = number;
    seen->volume_end = end;
}
static bool on_stop(void *context)
{
    struct seen *seen = context;
    return seen->stop_after > 0 && seen->metadata >= seen->stop_after;
}

static struct dwal_scan scan_into(struct seen *seen)
{
    return (struct dwal_scan){.size = sizeof(struct dwal_scan),
                              .context = seen,
                              .metadata = on_metadata,
                              .data = on_data,
                              .volume = on_volume,
                              .stop = on_stop};
}

static void everything_is_delivered_in_order(void **state)
{
    struct made *made = *state;
    struct seen seen = {0};
    struct dwal_scan scan = scan_into(&seen);
    struct dwal_report report = {.size = sizeof report};
    must(dwal_scan_log(made->path, &scan, &report));
    assert_int_equal(seen.wrong, 0);
    assert_int_equal(seen.metadata, ENTRY_COUNT);
    assert_int_equal(seen.data, ENTRY_COUNT);
    assert_int_equal(report.entries, ENTRY_COUNT);
    assert_string_equal(dwal_verdict_name(report.verdict), "CLEAN");
    struct dwal_info info = info_of(made);
    assert_int_equal(seen.first_volume, 0);
    assert_int_equal(seen.last_volume, info.head);
    assert_true(seen.volume_end >= made->ends[ENTRY_COUNT - 1]);
}

static void data_may_be_left_unread(void **state)
{
    struct made *made = *state;
    struct seen seen = {.skips = true};
    struct dwal_scan scan = scan_into(&seen);
    must(dwal_scan_log(made->path, &scan, NULL));
    assert_int_equal(seen.metadata, ENTRY_COUNT);
    assert_int_equal(seen.data, 0);
    scan.metadata = NULL;
    must(dwal_scan_log(made->path, &scan, NULL));
    assert_int_equal(seen.data, ENTRY_COUNT);
    scan = (struct dwal_scan){.size = sizeof scan};
    must(dwal_scan_log(made->path, &scan, NULL));
}

static void a_scan_starts_and_stops_where_it_is_told(void **state)
{
    struct made *made = *state;
    struct seen seen = {.stop_after = 10};
    struct dwal_scan scan = scan_into(&seen);
    scan.lsn_from = made->lsns[400] - 1;
    must(dwal_scan_log(made->path, &scan, NULL));
    assert_int_equal(seen.metadata, 10);
    assert_int_equal(seen.first_lsn, made->lsns[400]);
    assert_int_equal(seen.last_lsn, made->lsns[409]);
}

static void a_range_of_volumes_is_kept(void **state)
{
    struct made *made = *state;
    struct dwal_info info = info_of(made);
    struct seen seen = {0};
    struct dwal_scan scan = scan_into(&seen);
    size_t wanted = 0;
    for (size_t i = 0; i < ENTRY_COUNT; i++)
        wanted += volume_of(made->lsns[i], &info) == 1 || volume_of(made->lsns[i], &info) == 2;
    scan.volume_from = 1;
    scan.volume_to = 3;
    must(dwal_scan_log(made->path, &scan, NULL));
    assert_int_equal(seen.metadata, wanted);
    assert_int_equal(seen.data, wanted);
    assert_int_equal(seen.wrong, 0);
    assert_int_equal(seen.volumes, 2);
    assert_int_equal(seen.first_volume, 1);
    assert_int_equal(seen.last_volume, 2);
}

static void damage_ends_the_scan_with_its_code(void **state)
{
    struct made *made = *state;
    struct seen seen = {0};
    struct dwal_scan scan = scan_into(&seen);
    struct dwal_report report = {.size = sizeof report};
    turn_lsn(made, made->lsns[400] + 25, 1);
    assert_int_equal(dwal_scan_log(made->path, &scan, &report), DWAL_ECORRUPT);
    assert_int_equal(seen.data, 400);
    assert_int_equal(seen.wrong, 0);
    assert_string_equal(dwal_verdict_name(report.verdict), "CORRUPT");
    turn_lsn(made, made->lsns[400] + 25, 1);
    turn_lsn(made, made->lsns[ENTRY_COUNT - 1] + 25, 1);
    seen = (struct seen){0};
    assert_int_equal(dwal_scan_log(made->path, &scan, &report), DWAL_ECORRUPT);
    assert_int_equal(seen.data, ENTRY_COUNT - 1);
}

static void wrong_calls_are_refused(void **state)
{
    struct made *made = *state;
    struct dwal_scan scan = {.size = sizeof scan, .magic_number = 7};
    assert_int_equal(dwal_scan_log(made->path, &scan, NULL), DWAL_EMAGIC);
    scan.magic_number = 0;
    assert_int_equal(dwal_scan_log("/does/not/exist", &scan, NULL), DWAL_ENOLOG);
    scan.size = 3;
    assert_int_equal(dwal_scan_log(made->path, &scan, NULL), DWAL_EARGUMENT);
}

static void a_scan_works_beside_a_writer(void **state)
{
    struct made *made = *state;
    struct seen seen = {0};
    struct dwal_scan scan = scan_into(&seen);
    struct dwal_report report = {.size = sizeof report};
    dwal *log;
    must(dwal_open(made->path, NULL, &log));
    must(dwal_scan_log(made->path, &scan, &report));
    assert_true(report.has_live_writer);
    assert_int_equal(seen.data, ENTRY_COUNT);
    must(dwal_close(log));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        INSPECT_TEST(everything_is_delivered_in_order),
        INSPECT_TEST(data_may_be_left_unread),
        INSPECT_TEST(a_scan_starts_and_stops_where_it_is_told),
        INSPECT_TEST(a_range_of_volumes_is_kept),
        INSPECT_TEST(damage_ends_the_scan_with_its_code),
        INSPECT_TEST(wrong_calls_are_refused),
        INSPECT_TEST(a_scan_works_beside_a_writer),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
