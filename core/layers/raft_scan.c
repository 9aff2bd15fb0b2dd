/* raft_scan.c - every record of a Raft log in its order, on past damage if asked to. For tools.
 *
 * Called by: any thread; opens the log for itself, read-only. Happy path: cursor -> decode -> callbacks.
 * Failure: the first damage ends it, or (raw) is remembered while a new cursor looks for the next record behind the damaged
 * block. Memory: the largest record. */
#include "core/layers/raft.h"

struct scan {
    dwal *log;
    struct dwal_raft_scan *how;
    uint64_t block_payload; /* lsns of one block */
    uint64_t next;          /* nothing before it has to be looked at again */
    bool is_data_damaged;   /* ... and a record starts there */
    struct dwal_error first;
    bool is_stopped;
};

static int deliver(struct scan *scan, dwal_cursor *cursor, struct dwal_record *base)
{
    struct dwal_raft_record record;
    dw_raft_decode(base, &record);
    if (!scan->how->wanted || scan->how->wanted(scan->how->context, &record)) {
        int result = dwal_cursor_data(cursor, base);
        if (result < 0)
            return result;
        record.data = base->data;
        scan->is_stopped = scan->how->record && !scan->how->record(scan->how->context, &record);
    }
    return 0;
}

/* From `from` to the end, or to the first damage; scan->next tells where that was. */
static int run(struct scan *scan, uint64_t from)
{
    dwal_cursor *cursor;
    scan->next = from;
    scan->is_data_damaged = false;
    int result = dwal_cursor_open(scan->log, from, &cursor);
    if (result < 0)
        return result;
    while (result == 0 && !scan->is_stopped) {
        struct dwal_record base;
        result = dwal_cursor_next_metadata(cursor, &base);
        if (result < 0)
            break;
        scan->next = base.end;
        result = deliver(scan, cursor, &base);
        scan->is_data_damaged = result < 0;
    }
    dwal_cursor_close(cursor);
    return result;
}

static bool is_damage(int result)
{
    return result == DWAL_ECORRUPT || result == DWAL_ELOST || result == DWAL_EDEVICE || result == DWAL_EUNCERTAIN;
}

/* Where to look for the next record: behind the damaged data, or behind the block that the error names. Always farther on
 * than where the last run began. */
static uint64_t behind(const struct scan *scan, const struct dwal_error *error)
{
    if (scan->is_data_damaged)
        return scan->next;
    uint64_t block = scan->next / scan->block_payload;
    if (error->block != DWAL_NO_LSN && error->block > block)
        block = error->block;
    return (block + 1) * scan->block_payload;
}

static int scan_on(struct scan *scan)
{
    int result = run(scan, dwal_first(scan->log));
    uint64_t end = dwal_durable(scan->log);
    while (is_damage(result) && scan->how->is_raw) {
        struct dwal_error error = *dwal_last_error();
        if (scan->how->passed_over++ == 0)
            scan->first = error;
        uint64_t from = behind(scan, &error);
        result = from < end ? run(scan, from) : DWAL_EEND;
    }
    if (result < 0 && result != DWAL_EEND)
        return result;
    return scan->how->passed_over > 0 ? dwal_set_error(&scan->first) : 0;
}

int dwal_raft_scan(const char *path, const struct dwal_raft_options *options, struct dwal_raft_scan *how)
{
    if (!path || !how || how->size != sizeof *how)
        return dw_raft_fail(DWAL_EARGUMENT, DWAL_NO_LSN, "%s",
                            path ? "scan is NULL or its size is not set" : "path is NULL");
    struct dwal_raft_options raft_options = DWAL_RAFT_OPTIONS_INIT;
    struct dwal_options log_options = DWAL_OPTIONS_INIT;
    if (options && options->log)
        log_options = *options->log;
    log_options.mode = how->is_raw ? DWAL_REPORT : DWAL_READ_ONLY;
    raft_options.log = &log_options;
    struct scan scan = {.how = how};
    struct dwal_info info = {.size = sizeof info};
    how->passed_over = 0;
    int result = dw_raft_open_to_look(path, &raft_options, &scan.log);
    if (result < 0)
        return result;
    result = dwal_get_info(path, &log_options, &info);
    if (result == 0) {
        scan.block_payload = info.payload_size;
        result = scan_on(&scan);
    }
    struct dwal_error error = *dwal_last_error();
    (void)dwal_close(scan.log);
    return result < 0 ? dwal_set_error(&error) : 0;
}
