/* log.c - the writing half of the public calls: check the arguments, then hand on to core/write.
 *
 * Called by: the user's threads. No state of its own. Arguments that are wrong answer DWAL_EARGUMENT; nothing here waits
 * except where the header says so. */
#include "core/base/error.h"
#include "core/log/handle.h"

static DW_COLD int refuse_reader(void)
{
    return dw_fail(DWAL_EREADONLY, "this log is open read-only");
}

static DW_COLD int refuse_null(void)
{
    return dw_fail(DWAL_EARGUMENT, "entry is NULL");
}

int dwal_append(dwal *log, const struct dwal_entry *entry, uint64_t *lsn, uint64_t *end)
{
    if (DW_UNLIKELY(!entry))
        return refuse_null();
    return log->writer.append_one(&log->writer, entry, lsn, end); /* it refuses where nothing may be written */
}

int dwal_try_append(dwal *log, const struct dwal_entry *entry, uint64_t *lsn, uint64_t *end)
{
    if (!log->is_writer)
        return refuse_reader();
    if (!entry)
        return refuse_null();
    int result = dw_writer_append(&log->writer, entry, 1, DW_APPEND_NO_WAIT, lsn, end);
    return result == DWAL_EFULL ? dw_fail(DWAL_EFULL, "there is no room for the entry now") : result;
}

int dwal_append_batch(dwal *log, const struct dwal_entry *entries, size_t count, uint64_t *lsns, uint64_t *end)
{
    if (!log->is_writer)
        return refuse_reader();
    if (!entries || count == 0)
        return dw_fail(DWAL_EARGUMENT, "the batch is empty");
    return dw_writer_append(&log->writer, entries, count, DW_APPEND_WAIT, lsns, end);
}

/* Waiting failed because the log did: say so, with its first cause. */
static DW_COLD int tell_failure(dwal *log, int result)
{
    struct dwal_error cause;
    if (result == DWAL_EFAILED && dw_durable_get_error(&log->writer.durable, &cause))
        return dw_fail_at(DWAL_EFAILED, cause.volume, cause.block, cause.lsn, "the log stopped: %.300s", cause.text);
    return dw_fail(result, "%s", dwal_error_meaning(result));
}

static bool is_short(const struct dwal_entry *entry)
{
    return entry->data_count == 1 && entry->data && entry->data->iov_len <= DW_COMMIT_SHORT;
}

int dwal_commit(dwal *log, const struct dwal_entry *entry, uint64_t *lsn, uint64_t *end)
{
    if (!log->is_writer)
        return refuse_reader();
    if (!entry)
        return refuse_null();
    uint64_t start_ns = dw_writer_now(&log->writer);
    uint64_t record_end;
    dw_append_one_fn *append = is_short(entry) ? log->writer.commit_one : log->writer.append_one;
    int result = append(&log->writer, entry, lsn, &record_end);
    if (result < 0)
        return result;
    if (end)
        *end = record_end;
    result = dw_writer_commit(&log->writer, record_end, start_ns);
    return result < 0 ? tell_failure(log, result) : 0;
}

static int check_end(dwal *log, uint64_t end)
{
    if (!log->is_writer)
        return refuse_reader();
    uint64_t tail = atomic_load_explicit(&log->writer.ring.tail, memory_order_relaxed);
    if (end > tail)
        return dw_fail_at(DWAL_EARGUMENT, DWAL_NO_VOLUME, DWAL_NO_LSN, end,
                          "lsn %llu was never appended: the log ends at %llu", (unsigned long long)end,
                          (unsigned long long)tail);
    return 0;
}

int dwal_sync_for(dwal *log, uint64_t end, uint64_t timeout_ns)
{
    int result = check_end(log, end);
    if (result < 0)
        return result;
    dw_count(&log->writer.counts.syncs, 1);
    result = dw_writer_sync(&log->writer, end, timeout_ns);
    if (result == DWAL_ETIMEOUT)
        return dw_fail_at(DWAL_ETIMEOUT, DWAL_NO_VOLUME, DWAL_NO_LSN, end,
                          "lsn %llu was not durable when the time was over: %llu is", (unsigned long long)end,
                          (unsigned long long)dw_durable_lsn(&log->writer.durable));
    return result < 0 ? tell_failure(log, result) : 0;
}

int dwal_sync(dwal *log, uint64_t end)
{
    return dwal_sync_for(log, end, UINT64_MAX);
}

int dwal_flush(dwal *log, uint64_t end)
{
    int result = check_end(log, end);
    if (result < 0)
        return result;
    if (dw_durable_failure(&log->writer.durable) != 0)
        return tell_failure(log, DWAL_EFAILED);
    dw_writer_flush(&log->writer, end);
    return 0;
}

const char *dwal_backend(const dwal *log, const char **why)
{
    if (why)
        *why = log->is_writer ? log->backend.why : "the log is open read-only";
    return log->is_writer ? log->backend.kind : "none";
}

uint64_t dwal_durable(const dwal *log)
{
    if (log->is_writer)
        return dw_durable_lsn(&log->writer.durable);
    return dw_lsn_of_block(&log->geometry, atomic_load_explicit(&log->visible_block, memory_order_acquire));
}

uint64_t dwal_end(const dwal *log)
{
    return log->is_writer ? atomic_load_explicit(&log->writer.ring.tail, memory_order_relaxed) : dwal_durable(log);
}

uint64_t dwal_first(const dwal *log)
{
    return dw_store_first(log->store);
}

int dwal_failure(const dwal *log, struct dwal_error *error)
{
    struct dwal_error cause;
    if (!log->is_writer || !dw_durable_get_error(&log->writer.durable, &cause))
        return 0;
    if (error)
        *error = cause;
    return cause.code;
}

int dwal_eventfd(dwal *log, int *fd)
{
    if (!log->is_writer)
        return refuse_reader();
    if (!fd)
        return dw_fail(DWAL_EARGUMENT, "fd is NULL");
    int result = dw_durable_event_fd(&log->writer.durable, fd);
    return result < 0 ? dw_fail_system(result, "making an eventfd failed") : 0;
}

int dwal_trim(dwal *log, uint64_t before)
{
    if (!log->is_writer)
        return refuse_reader();
    if (before > dw_durable_lsn(&log->writer.durable))
        return dw_fail_at(DWAL_EARGUMENT, DWAL_NO_VOLUME, DWAL_NO_LSN, before,
                          "lsn %llu is not durable yet (%llu is): sync first, then trim", (unsigned long long)before,
                          (unsigned long long)dw_durable_lsn(&log->writer.durable));
    if (dw_durable_failure(&log->writer.durable) != 0)
        return tell_failure(log, DWAL_EFAILED);
    int result = dw_store_trim(log->store, before);
    if (result == 0)
        dw_log_readers_let_go(log);
    return result;
}
