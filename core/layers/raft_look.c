/* raft_look.c - a Raft log that nobody here has open: valid snapshots, verify, repair, facts.
 *
 * Called by: tools and applications before they open, on any thread; all but repair open the log read-only and take no
 * writer's lock. Happy path: open -> replay -> what was asked for -> close.
 * Failure: the front may be dropped by a live writer while we read: then all is read again, three times. Repair changes the
 * log only when the base log's verdict is a torn end, and only after the files were copied. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "core/layers/raft_replay.h"

enum { ATTEMPTS = 3, SAVE_PATH_SIZE = 4096 };

/* Fill *replay anew from `wish` until the log does not shrink while it is read. Free it in each case. */
static int look(const char *path, const struct dwal_raft_options *options, const struct dw_raft_replay *wish,
                struct dw_raft_replay *replay)
{
    *replay = *wish;
    if (!path)
        return dw_raft_fail(DWAL_EARGUMENT, DWAL_NO_LSN, "path is NULL");
    int result = DWAL_ETRIMMED;
    for (int attempt = 0; attempt < ATTEMPTS && result == DWAL_ETRIMMED; attempt++) {
        dwal *log;
        dw_raft_replay_free(replay);
        *replay = *wish;
        result = dw_raft_open_to_look(path, options, &log);
        if (result < 0)
            return result;
        result = dw_raft_replay(log, replay);
        struct dwal_error error = *dwal_last_error();
        (void)dwal_close(log);
        if (result < 0)
            (void)dwal_set_error(&error);
    }
    return result;
}

/* ---- valid snapshots ------------------------------------------------------------------------------------------------ */

static size_t round_up(size_t size)
{
    return (size + 7) / 8 * 8;
}

/* Those at or before the last commit, in one block of memory. */
static int copy_snapshots(const struct dw_raft_replay *replay, struct dwal_raft_snapshots **out)
{
    size_t count = 0, size = round_up(sizeof **out);
    for (size_t i = 0; i < replay->snapshot_count; i++) {
        if (replay->snapshots[i].index > replay->state.commit)
            continue;
        size += sizeof *replay->snapshots + round_up(replay->snapshots[i].members_size);
        count++;
    }
    uint8_t *block = malloc(size);
    if (!block)
        return dw_raft_fail(DWAL_EMEMORY, DWAL_NO_LSN, "no memory for %zu snapshots", count);
    struct dwal_raft_snapshots *all = (void *)block;
    struct dwal_raft_snapshot *next = (void *)(block + round_up(sizeof *all));
    uint8_t *bytes = (uint8_t *)(next + count);
    *all = (struct dwal_raft_snapshots){.snapshots = next, .count = count, .state = replay->state};
    for (size_t i = 0; i < replay->snapshot_count; i++) {
        const struct dwal_raft_snapshot *snapshot = &replay->snapshots[i];
        if (snapshot->index > replay->state.commit)
            continue;
        memcpy(bytes, snapshot->members, snapshot->members_size);
        *next = *snapshot;
        next++->members = bytes;
        bytes += round_up(snapshot->members_size);
    }
    *out = all;
    return 0;
}

int dwal_raft_get_snapshots(const char *path, const struct dwal_raft_options *options,
                            struct dwal_raft_snapshots **snapshots)
{
    if (!snapshots)
        return dw_raft_fail(DWAL_EARGUMENT, DWAL_NO_LSN, "snapshots is NULL");
    *snapshots = NULL;
    const struct dw_raft_replay wish = {.is_census = true, .keeps_snapshots = true};
    struct dw_raft_replay replay;
    int result = look(path, options, &wish, &replay);
    if (result == 0)
        result = copy_snapshots(&replay, snapshots);
    dw_raft_replay_free(&replay);
    return result;
}

void dwal_raft_snapshots_free(struct dwal_raft_snapshots *snapshots)
{
    free(snapshots);
}

/* ---- verify, info --------------------------------------------------------------------------------------------------- */

int dwal_raft_verify(const char *path, const struct dwal_raft_snapshot *snapshot,
                     const struct dwal_raft_options *options, struct dwal_raft_state *state)
{
    struct dw_raft_replay wish = {.reads_all = true};
    if (snapshot)
        wish.start = (struct dwal_raft_snapshot){.index = snapshot->index, .term = snapshot->term};
    struct dw_raft_replay replay;
    int result = look(path, options, &wish, &replay);
    if (result == 0 && !replay.has_snapshot)
        result =
            dw_raft_fail(DWAL_ERAFT_NO_SNAPSHOT, DWAL_NO_LSN, "no snapshot at index %llu with term %llu is in the log",
                         (unsigned long long)wish.start.index, (unsigned long long)wish.start.term);
    if (state)
        *state = replay.state;
    dw_raft_replay_free(&replay);
    return result;
}

int dwal_raft_get_info(const char *path, const struct dwal_raft_options *options, struct dwal_raft_info *info)
{
    if (!info || info->size != sizeof *info)
        return dw_raft_fail(DWAL_EARGUMENT, DWAL_NO_LSN, "info is NULL or its size is not set");
    const struct dw_raft_replay wish = {.is_census = true};
    struct dw_raft_replay replay;
    int result = look(path, options, &wish, &replay);
    size_t size = info->size;
    *info = replay.info;
    info->size = size;
    dw_raft_replay_free(&replay);
    return result;
}

/* ---- repair --------------------------------------------------------------------------------------------------------- */

static int cut_end(const char *path, const struct dwal_options *options, const char *save, struct dwal_report *report)
{
    char name[SAVE_PATH_SIZE];
    if (!save) {
        int length = snprintf(name, sizeof name, "%s.broken.%lld", path, (long long)time(NULL));
        if (length < 0 || (size_t)length >= sizeof name)
            return dw_raft_fail(DWAL_EARGUMENT, DWAL_NO_LSN, "path is longer than %d bytes", SAVE_PATH_SIZE - 32);
        save = name;
    }
    return dwal_repair(path, options, report->end, save, report);
}

int dwal_raft_repair(const char *path, const struct dwal_raft_options *options, const char *save, bool *is_changed)
{
    if (!path || !is_changed)
        return dw_raft_fail(DWAL_EARGUMENT, DWAL_NO_LSN, "%s is NULL", path ? "is_changed" : "path");
    *is_changed = false;
    struct dwal_options defaults = DWAL_OPTIONS_INIT;
    const struct dwal_options *log_options = options && options->log ? options->log : &defaults;
    struct dwal_report report = {.size = sizeof report};
    int result = dwal_verify(path, log_options, true, NULL, NULL, &report);
    if (result < 0)
        return result;
    switch (report.verdict) {
    case DWAL_VERDICT_CLEAN:
    case DWAL_VERDICT_END:
        return 0;
    case DWAL_VERDICT_TORN:
    case DWAL_VERDICT_UNCERTAIN:
        result = cut_end(path, log_options, save, &report);
        *is_changed = result == 0;
        return result;
    default:
        break;
    }
    return dw_raft_fail(dwal_verdict_error(report.verdict), DWAL_NO_LSN, "this is no torn end: %s", report.text);
}
