/* scan.c - dwal_scan_log: callbacks for every entry of a log that is at rest, or beside its writer.
 *
 * Called by: applications, on any thread, one thread per scan; opens the log read-only for itself.
 * Happy path: load -> recover (where does the log end?) -> reader from the first wanted lsn -> callbacks -> the end.
 * Failure: entries before the first damage are delivered, then its code is the answer; nothing unchecked is delivered.
 * Closing: nothing stays. */
#include <dwal/scan.h>

#include <stdio.h>

#include "base/bits.h"
#include "base/compiler.h"
#include "core/base/error.h"
#include "core/log/inspect.h"
#include "core/read/reader.h"
#include "core/read/recover.h"

enum { READ_AHEAD = 256 << 10 };

struct scan {
    const struct dwal_scan *how;
    struct dw_store *store;
    const struct dw_geometry *geometry;
    struct dw_recovered recovered;
    struct dw_reader *reader;
    uint32_t next_volume; /* the next one to be told as entered; NONE: no more */
    uint64_t delivered;
};

static uint64_t durable_block(void *context)
{
    const struct scan *scan = context;
    return scan->recovered.end_block;
}

static bool is_stopped(const struct scan *scan)
{
    return scan->how->stop && scan->how->stop(scan->how->context);
}

/* Tell the volumes up to `number` as entered, those too in which no entry starts. */
static void enter_volumes(struct scan *scan, uint32_t number)
{
    while (scan->next_volume != DW_VOLUME_NUMBER_NONE && scan->next_volume <= number) {
        uint32_t entered = scan->next_volume;
        uint64_t end;
        scan->next_volume = dw_store_successor(scan->store, entered, &end);
        uint64_t first = dw_max_u64(dw_first_lsn_of_volume(scan->geometry, entered), dw_store_first(scan->store));
        if (scan->how->volume)
            scan->how->volume(scan->how->context, entered, first, dw_min_u64(end, scan->recovered.end));
    }
}

/* Is the record behind what the caller wants? */
static bool is_beyond(const struct scan *scan, uint32_t volume)
{
    return scan->how->volume_to != 0 && volume >= scan->how->volume_to;
}

static int deliver(struct scan *scan, struct dwal_record *record)
{
    enter_volumes(scan, record->volume);
    scan->delivered++;
    bool is_wanted = !scan->how->metadata || scan->how->metadata(scan->how->context, record);
    if (!is_wanted || !scan->how->data)
        return 0;
    int result = dw_reader_data(scan->reader, record, NULL);
    if (result == 0)
        scan->how->data(scan->how->context, record);
    return result;
}

/* 0 at the end and when stopped. */
static int deliver_all(struct scan *scan)
{
    uint64_t from = dw_max_u64(scan->how->lsn_from, dw_first_lsn_of_volume(scan->geometry, scan->how->volume_from));
    from = dw_max_u64(from, dw_store_first(scan->store));
    int result = dw_reader_seek(scan->reader, from);
    scan->next_volume = dw_store_first_from(scan->store, dw_volume_of_lsn(scan->geometry, from));
    while (result == 0 && !is_stopped(scan)) {
        struct dwal_record record;
        result = dw_reader_next(scan->reader, &record);
        if (result == 0 && is_beyond(scan, record.volume))
            return 0;
        if (result == 0)
            result = deliver(scan, &record);
    }
    if (result != DWAL_EEND)
        return result;
    if (scan->recovered.end > dw_store_first(scan->store))
        enter_volumes(scan, dw_volume_of_lsn(scan->geometry, scan->recovered.end - 1));
    return 0;
}

/* The answer of the scan: what the reader met, else what recovery refuses. */
static int conclude(struct scan *scan, int result, struct dwal_report *report)
{
    struct dwal_error met = *dwal_last_error();
    if (report) {
        *report = scan->recovered.report;
        report->size = sizeof *report;
        report->entries = scan->delivered;
    }
    if (result == DWAL_ECORRUPT && report && dwal_verdict_error(report->verdict) == 0) {
        report->verdict = DWAL_VERDICT_CORRUPT; /* inside a volume that recovery took from its table */
        report->break_block = met.block;
        report->break_volume = met.volume;
        (void)snprintf(report->text, sizeof report->text, "%.*s", (int)sizeof report->text - 1, met.text);
    }
    if (result)
        return dw_fail_again(&met);
    return dwal_verdict_error(scan->recovered.report.verdict) ? dw_fail_again(&scan->recovered.error) : 0;
}

static int scan_store(struct scan *scan, struct dwal_report *report)
{
    uint32_t magic = dw_store_superblock(scan->store)->magic_number;
    if (scan->how->magic_number != 0 && scan->how->magic_number != magic)
        return dw_fail(DWAL_EMAGIC, "the log's magic number is %u, not %u", magic, scan->how->magic_number);
    struct dw_recover_options how = {
        .has_live_writer = dw_store_has_writer(scan->store),
        .look_ahead = scan->how->look_ahead > 0 ? scan->how->look_ahead : -1,
    };
    int result = dw_recover_beside(scan->store, &how, &scan->recovered);
    if (result)
        return result;
    struct dw_recent recent = {.context = scan, .durable_block = durable_block};
    result = dw_reader_create(scan->store, &recent, READ_AHEAD, &scan->reader);
    if (result == 0) {
        result = deliver_all(scan);
        dw_reader_close(scan->reader);
        result = conclude(scan, result, report);
    }
    dw_recovered_free(&scan->recovered);
    return result;
}

DW_EXPORT int dwal_scan_log(const char *path, const struct dwal_scan *how, struct dwal_report *report)
{
    int result = dw_inspect_check_size(how->size, sizeof *how, "scan");
    if (result == 0 && report)
        result = dw_inspect_check_size(report->size, sizeof *report, "report");
    if (result)
        return result;
    struct dwal_options options = DWAL_OPTIONS_INIT;
    options.is_unsafe_buffered = how->is_unsafe_buffered;
    struct dw_inspect inspect;
    result = dw_inspect_open(path, &options, &inspect);
    if (result)
        return result;
    struct scan scan = {.how = how, .store = inspect.store, .geometry = &dw_store_superblock(inspect.store)->geometry};
    result = scan_store(&scan, report);
    struct dwal_error error = *dwal_last_error();
    dw_inspect_close(&inspect);
    return result ? dw_fail_again(&error) : 0;
}
