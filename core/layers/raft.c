/* raft.c - the life of a Raft log: create, open, reopen, close, statistics.
 *
 * Called by: the application's threads; create, open, reopen and close by one alone.
 * Happy path of create: an empty base log -> the first head and the empty snapshot, as one batch, durable -> ready. Of open:
 * the base log with its recovery -> a look at the first record, whether it reaches back to the snapshot -> read comes next.
 * Failure: what was opened is closed again. An empty base log with this layer's magic number is a creation that a crash
 * interrupted: create goes on with it, open answers DWAL_ENOLOG. Closing: sync, then the base log's own clean close. */
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "core/layers/raft.h"

#define SYNC_REPORT_US 1000000u

/* ---- options -------------------------------------------------------------------------------------------------------- */

static int resolve(const struct dwal_raft_options *given, struct dwal_raft_options *options,
                   struct dwal_options *log_options)
{
    struct dwal_options log_defaults = DWAL_OPTIONS_INIT;
    struct dwal_raft_options defaults = DWAL_RAFT_OPTIONS_INIT;
    *options = defaults;
    *log_options = log_defaults;
    if (given) {
        if (given->size < offsetof(struct dwal_raft_options, segment_size) || given->size > sizeof *given)
            return dw_raft_fail(DWAL_EARGUMENT, DWAL_NO_LSN, "size of the Raft options is %zu", given->size);
        memcpy(options, given, given->size);
    }
    if (options->log) {
        if (options->log->size < sizeof options->log->size || options->log->size > sizeof *log_options)
            return dw_raft_fail(DWAL_EARGUMENT, DWAL_NO_LSN, "size of the log's options is %zu", options->log->size);
        memcpy(log_options, options->log, options->log->size);
    }
    options->size = sizeof *options;
    options->log = NULL; /* the handle has a copy */
    log_options->size = sizeof *log_options;
    if (log_options->magic_number == 0)
        log_options->magic_number = DWAL_RAFT_MAGIC;
    if (options->segment_size == 0)
        options->segment_size = DWAL_RAFT_SEGMENT_SIZE;
    if (options->sync_report_us == 0)
        options->sync_report_us = SYNC_REPORT_US;
    return 0;
}

int dw_raft_open_to_look(const char *path, const struct dwal_raft_options *given, dwal **log)
{
    struct dwal_raft_options options;
    struct dwal_options log_options;
    int result = resolve(given, &options, &log_options);
    if (result < 0)
        return result;
    if (log_options.mode == DWAL_WRITE)
        log_options.mode = DWAL_READ_ONLY;
    return dwal_open(path, &log_options, log);
}

/* ---- the handle ----------------------------------------------------------------------------------------------------- */

static void release_handle(dwal_raft *raft)
{
    if (!raft)
        return;
    pthread_mutex_destroy(&raft->mutex);
    free(raft->path);
    free(raft->backend);
    free(raft->metadata);
    free(raft->segments);
    free(raft->batch);
    free(raft);
}

static int no_memory(void)
{
    return dw_raft_fail(DWAL_EMEMORY, DWAL_NO_LSN, "no memory for the handle of a Raft log");
}

static int copy_text(const char *text, char **copy)
{
    *copy = text ? strdup(text) : NULL;
    return text && !*copy ? no_memory() : 0;
}

/* Without a log yet. `path` may be NULL. */
static int make_handle(const char *path, const struct dwal_raft_options *options, dwal_raft **out)
{
    dwal_raft *raft = calloc(1, sizeof *raft);
    if (!raft)
        return no_memory();
    pthread_mutex_init(&raft->mutex, NULL);
    int result = resolve(options, &raft->options, &raft->log_options);
    if (result == 0)
        result = copy_text(path, &raft->path);
    if (result == 0)
        result = copy_text(raft->log_options.backend, &raft->backend);
    if (result < 0) {
        release_handle(raft);
        return result;
    }
    raft->log_options.backend = raft->backend;
    raft->is_read_only = raft->log_options.mode != DWAL_WRITE;
    *out = raft;
    return 0;
}

/* Close the base log and the handle; the error that led here stays the thread's last one. */
static int give_up(dwal_raft *raft, int result)
{
    struct dwal_error error = *dwal_last_error();
    (void)dwal_close(raft->log);
    release_handle(raft);
    (void)dwal_set_error(&error);
    return result;
}

/* ---- create --------------------------------------------------------------------------------------------------------- */

static int is_without_records(dwal *log, bool *is_empty)
{
    dwal_cursor *cursor;
    struct dwal_record record;
    int result = dwal_cursor_open(log, 0, &cursor);
    if (result < 0)
        return result;
    result = dwal_cursor_next_metadata(cursor, &record);
    dwal_cursor_close(cursor);
    *is_empty = result == DWAL_EEND;
    return result == DWAL_EEND ? 0 : result;
}

/* The head and the empty snapshot, without which nothing can be opened. */
static int begin_log(dwal_raft *raft, const void *metadata, size_t size)
{
    bool is_empty = false;
    int result = is_without_records(raft->log, &is_empty);
    if (result < 0)
        return result;
    if (!is_empty)
        return dw_raft_fail(DWAL_EEXIST, DWAL_NO_LSN, "there is a log already%s%s", raft->path ? " in " : "",
                            raft->path ? raft->path : "");
    raft->metadata = malloc(size + 1);
    if (!raft->metadata)
        return no_memory();
    if (size > 0)
        memcpy(raft->metadata, metadata, size);
    raft->metadata_size = size;
    uint64_t end;
    result = dw_raft_append_head(raft, &end);
    if (result < 0)
        return result;
    raft->phase = DW_RAFT_READY;
    raft->is_created = true;
    return dwal_sync(raft->log, end); /* also with the unsafe switch: a log or none */
}

static int check_metadata(const void *metadata, size_t size)
{
    if (size > 0 && !metadata)
        return dw_raft_fail(DWAL_EARGUMENT, DWAL_NO_LSN, "metadata is NULL");
    if (size > DWAL_PART_SIZE_MAX)
        return dw_raft_fail(DWAL_ETOOBIG, DWAL_NO_LSN, "the metadata have %zu bytes", size);
    return 0;
}

/* Is what lies there a creation that a crash interrupted? Looks only: whatever else it is must not be touched. */
static bool is_left_over(dwal_raft *raft)
{
    struct dwal_options look = raft->log_options;
    bool is_empty = false;
    dwal *log;
    look.mode = DWAL_READ_ONLY;
    if (dwal_open(raft->path, &look, &log) < 0)
        return false;
    int result = is_without_records(log, &is_empty);
    (void)dwal_close(log);
    return result == 0 && is_empty;
}

/* Make the base log, or take over one that an interrupted creation left. */
static int create_log(dwal_raft *raft)
{
    int result = dwal_create(raft->path, &raft->log_options);
    if (result == DWAL_EEXIST) {
        struct dwal_error there = *dwal_last_error();
        if (!is_left_over(raft))
            return dwal_set_error(&there);
        result = 0;
    }
    return result == 0 ? dwal_open(raft->path, &raft->log_options, &raft->log) : result;
}

int dwal_raft_create(const char *path, const void *metadata, size_t metadata_size,
                     const struct dwal_raft_options *options, dwal_raft **out)
{
    if (!path || !out)
        return dw_raft_fail(DWAL_EARGUMENT, DWAL_NO_LSN, "%s is NULL", path ? "raft" : "path");
    *out = NULL;
    dwal_raft *raft = NULL;
    int result = check_metadata(metadata, metadata_size);
    if (result == 0)
        result = make_handle(path, options, &raft);
    if (result < 0)
        return result;
    if (raft->is_read_only)
        return give_up(raft, dw_raft_fail(DWAL_EARGUMENT, DWAL_NO_LSN, "mode: a log is created for writing"));
    result = create_log(raft);
    if (result == 0)
        result = begin_log(raft, metadata, metadata_size);
    if (result < 0)
        return give_up(raft, result);
    *out = raft;
    return 0;
}

int dw_raft_create_on(dwal *log, const void *metadata, size_t size, const struct dwal_raft_options *options,
                      dwal_raft **out)
{
    *out = NULL;
    dwal_raft *raft = NULL;
    int result = make_handle(NULL, options, &raft);
    if (result < 0)
        return result;
    raft->log = log;
    result = begin_log(raft, metadata, size);
    if (result < 0) {
        release_handle(raft);
        return result;
    }
    *out = raft;
    return 0;
}

/* ---- open ----------------------------------------------------------------------------------------------------------- */

/* Does the log reach back to the snapshot, and is it one of this layer's? */
static int look_at_first_head(dwal_raft *raft)
{
    dwal_cursor *cursor;
    struct dwal_record base;
    struct dwal_raft_record record;
    int result = dwal_cursor_open(raft->log, 0, &cursor);
    if (result < 0)
        return result;
    result = dwal_cursor_next_metadata(cursor, &base);
    if (result == DWAL_EEND)
        result = dw_raft_fail(DWAL_ENOLOG, DWAL_NO_LSN, "there is no record in the log: its creation was interrupted");
    if (result == 0) {
        dw_raft_decode(&base, &record);
        if (record.kind == DWAL_RAFT_UNKNOWN)
            result = dw_raft_refuse_record(&base);
        else if (record.kind == DWAL_RAFT_HEAD && dw_raft_is_released(record.index, raft->start.index))
            result = dw_raft_fail(DWAL_ERAFT_RELEASED, record.lsn,
                                  "the oldest segment starts at index %llu, the snapshot is at %llu",
                                  (unsigned long long)record.index, (unsigned long long)raft->start.index);
    }
    dwal_cursor_close(cursor);
    return result;
}

static void set_start(dwal_raft *raft, const struct dwal_raft_snapshot *snapshot)
{
    if (snapshot)
        raft->start = (struct dwal_raft_snapshot){.index = snapshot->index, .term = snapshot->term};
}

int dwal_raft_open(const char *path, const struct dwal_raft_snapshot *snapshot, const struct dwal_raft_options *options,
                   dwal_raft **out)
{
    if (!path || !out)
        return dw_raft_fail(DWAL_EARGUMENT, DWAL_NO_LSN, "%s is NULL", path ? "raft" : "path");
    *out = NULL;
    dwal_raft *raft = NULL;
    int result = make_handle(path, options, &raft);
    if (result < 0)
        return result;
    set_start(raft, snapshot);
    result = dwal_open(path, &raft->log_options, &raft->log);
    if (result == 0)
        result = look_at_first_head(raft);
    if (result < 0)
        return give_up(raft, result);
    *out = raft;
    return 0;
}

int dw_raft_open_on(dwal *log, bool is_read_only, const struct dwal_raft_snapshot *snapshot,
                    const struct dwal_raft_options *options, dwal_raft **out)
{
    *out = NULL;
    dwal_raft *raft = NULL;
    int result = make_handle(NULL, options, &raft);
    if (result < 0)
        return result;
    raft->is_read_only = is_read_only;
    raft->log = log;
    set_start(raft, snapshot);
    result = look_at_first_head(raft);
    if (result < 0) {
        release_handle(raft);
        return result;
    }
    *out = raft;
    return 0;
}

/* ---- close, reopen -------------------------------------------------------------------------------------------------- */

dwal *dw_raft_detach(dwal_raft *raft)
{
    dwal *log = raft->log;
    release_handle(raft);
    return log;
}

int dwal_raft_close(dwal_raft *raft)
{
    return raft ? dwal_close(dw_raft_detach(raft)) : 0;
}

int dwal_raft_reopen(dwal_raft **raft, const struct dwal_raft_snapshot *snapshot)
{
    if (!raft || !*raft)
        return dw_raft_fail(DWAL_EARGUMENT, DWAL_NO_LSN, "raft is NULL");
    dwal_raft *old = *raft;
    if (!old->path)
        return dw_raft_fail(DWAL_EARGUMENT, DWAL_NO_LSN, "this log was not opened by its path");
    struct dwal_raft_options options = old->options;
    char *path = old->path, *backend = old->backend;
    struct dwal_options log_options = old->log_options;
    options.log = &log_options;
    old->path = old->backend = NULL; /* they outlive the handle */
    *raft = NULL;
    int result = dwal_raft_close(old);
    if (result == 0)
        result = dwal_raft_open(path, snapshot, &options, raft);
    free(path);
    free(backend);
    return result;
}

/* ---- questions ------------------------------------------------------------------------------------------------------ */

dwal *dwal_raft_log(dwal_raft *raft)
{
    return raft->log;
}

int dwal_raft_get_stats(dwal_raft *raft, struct dwal_raft_stats *stats)
{
    if (!stats || stats->size != sizeof *stats)
        return dw_raft_fail(DWAL_EARGUMENT, DWAL_NO_LSN, "stats is NULL or its size is not set");
    pthread_mutex_lock(&raft->mutex);
    *stats = raft->stats;
    stats->size = sizeof *stats;
    stats->last_index = raft->last_index;
    stats->segments = raft->segment_count;
    stats->segments_held = raft->segment_count - raft->held;
    if (raft->segment_count > 0) {
        stats->segment_sequence = raft->segments[raft->segment_count - 1].sequence;
        stats->segment_index = raft->segments[raft->segment_count - 1].index;
    }
    pthread_mutex_unlock(&raft->mutex);
    return 0;
}
