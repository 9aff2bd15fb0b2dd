/* probe.c - dwal_probe: facts, then trials, then what would be chosen and why.
 *
 * Called by: tools, on any thread. Happy path: look at path and machine -> a temporary file in the directory -> trials of
 * every way for the time given -> the rules of choose.c.
 * Failure: what cannot be measured is said in `not_measured`, and the facts stand alone. Closing: the temporary file has no
 * name and goes with its descriptor, also when the process is killed. */
#include <dwal/probe.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "alloc/alloc.h"
#include "base/bits.h"
#include "core/base/error.h"
#include "core/log/choose.h"
#include "core/log/probe_facts.h"
#include "io/measure.h"

#define DEFAULT_TIME_NS     (UINT64_C(5) * 1000 * 1000 * 1000)
#define WRITTEN_BYTES       (UINT64_C(16) << 20)
#define WRITTEN_BYTES_SMALL (UINT64_C(1) << 20) /* where there is little space */
#define UNWRITTEN_BYTES     (UINT64_C(16) << 20)

static const uint32_t sizes[] = {4096, 16384, 65536, 1u << 20};

/* ---- the rows -------------------------------------------------------------------------------------------------------- */

static size_t add_rows(struct dw_measure_row *rows, size_t count, const char *backend, enum dwal_way way,
                       bool is_unwritten)
{
    for (size_t i = 0; i < DW_COUNT_OF(sizes); i++) {
        struct dw_measure_row *row = &rows[count++];
        *row = (struct dw_measure_row){.timing = {.way = way, .is_unwritten = is_unwritten, .size = sizes[i]}};
        snprintf(row->timing.backend, sizeof row->timing.backend, "%s", backend);
    }
    return count;
}

static size_t plan_rows(struct dw_measure_row rows[DWAL_TIMINGS_MAX], bool has_passthrough, bool has_unwritten)
{
    size_t count = 0;
    static const char *const backends[] = {"sync", "uring", "aio"};
    for (size_t i = 0; i < DW_COUNT_OF(backends); i++) {
        count = add_rows(rows, count, backends[i], DWAL_WAY_DSYNC, false);
        count = add_rows(rows, count, backends[i], DWAL_WAY_FLUSH, false);
    }
    if (has_passthrough)
        count = add_rows(rows, count, "nvme", DWAL_WAY_DSYNC, false);
    if (has_unwritten)
        count = add_rows(rows, count, "sync", DWAL_WAY_DSYNC, true);
    return count;
}

/* ---- measuring ------------------------------------------------------------------------------------------------------- */

static int run_trials(struct dw_scratch *scratch, const struct dwal_probe_options *options, struct dwal_probe *probe)
{
    struct dw_measure_row *rows = dw_alloc(DWAL_TIMINGS_MAX * sizeof *rows);
    if (!rows)
        return dw_fail(DWAL_EMEMORY, "no memory for the rows of a measurement");
    struct dw_measure measure = {
        .scratch = scratch,
        .rows = rows,
        .row_count = plan_rows(rows, false, scratch->unwritten != NULL),
        .time_ns = options->time_ns,
        .rounds_max = DW_MEASURE_TRIALS_MAX,
        .clock = &dw_clock_system,
        .is_stopped = options->is_stopped,
        .context = options->context,
    };
    int result = dw_measure_run(&measure);
    for (size_t i = 0; i < measure.row_count; i++)
        probe->timings[probe->timing_count++] = rows[i].timing;
    probe->rounds = measure.rounds;
    probe->elapsed_ns = measure.elapsed_ns;
    dw_free(rows);
    return result < 0 ? dw_fail(DWAL_EMEMORY, "no memory for the samples of a measurement") : 0;
}

static void say_not_measured(struct dwal_probe *probe, int result)
{
    const char *why = strerror(-result);
    if (result == -EOPNOTSUPP || result == -EINVAL)
        why = "no direct I/O there, or a file system in memory or on a network: dwal refuses it too";
    else if (result == -ENOSPC || result == -EDQUOT)
        why = "there is no space for a temporary file of 1 MiB";
    else if (result == -EACCES || result == -EPERM || result == -EROFS)
        why = "a temporary file may not be written there";
    snprintf(probe->not_measured, sizeof probe->not_measured, "%s", why);
}

static int measure_directory(const char *path, const struct dwal_probe_options *options, struct dw_probe *facts,
                             struct dwal_probe *probe, struct dw_scratch *scratch)
{
    struct dw_disk *disk = NULL;
    int result = dw_disk_posix_open(path, options->is_unsafe_buffered, &disk);
    if (result == 0) {
        result = dw_scratch_open(disk, WRITTEN_BYTES, UNWRITTEN_BYTES, scratch);
        if (result == -ENOSPC || result == -EDQUOT)
            result = dw_scratch_open(disk, WRITTEN_BYTES_SMALL, 0, scratch);
        if (result < 0)
            disk->ops->close(disk);
    }
    if (result == -ENOMEM)
        return dw_fail(DWAL_EMEMORY, "no memory for a measurement");
    if (result < 0) {
        say_not_measured(probe, result);
        return 0;
    }
    dw_scratch_probe(scratch, facts);
    result = run_trials(scratch, options, probe);
    snprintf(probe->where, sizeof probe->where, "a temporary file of %llu MiB in %.100s, gone now",
             (unsigned long long)(scratch->size >> 20), path);
    dw_scratch_close(scratch);
    disk->ops->close(disk);
    return result;
}

static int measure(const char *path, const struct dwal_probe_options *options, struct dw_probe *facts,
                   struct dwal_probe *probe)
{
    if (options->time_ns == UINT64_MAX) {
        snprintf(probe->not_measured, sizeof probe->not_measured, "facts alone were asked for");
        return 0;
    }
    if (probe->is_device) {
        snprintf(probe->not_measured, sizeof probe->not_measured,
                 "a block device is not written to unless all of it is proved blank");
        return 0;
    }
    struct dw_scratch scratch = {.disk = NULL};
    return measure_directory(path, options, facts, probe, &scratch);
}

/* ---- the call -------------------------------------------------------------------------------------------------------- */

static int look(const char *path, struct dw_probe *facts, bool *is_device)
{
    int result = dw_probe_path(path, facts);
    if (result == -ENOENT || result == -ENOTDIR)
        return dw_fail(DWAL_ENOLOG, "there is nothing at %.200s", path);
    if (result == -ENOMEM)
        return dw_fail(DWAL_EMEMORY, "no memory for looking at %.200s", path);
    struct stat kind;
    *is_device = dw_probe_is_block_device(path);
    if (result == -EINVAL || (result == 0 && !*is_device && stat(path, &kind) == 0 && !S_ISDIR(kind.st_mode)))
        return dw_fail(DWAL_EARGUMENT, "%.200s is neither a directory nor a block device", path);
    if (result < 0)
        return dw_fail_system(result, "looking at %.200s failed", path);
    return 0;
}

static int take_options(const struct dwal_probe_options *given, struct dwal_probe_options *options)
{
    *options = (struct dwal_probe_options){.size = sizeof *options};
    if (given && (given->size == 0 || given->size > sizeof *options))
        return dw_fail(DWAL_EARGUMENT, "options.size is %zu: set it to sizeof(struct dwal_probe_options)", given->size);
    if (given)
        memcpy(options, given, given->size);
    if (options->time_ns == 0)
        options->time_ns = DEFAULT_TIME_NS;
    return 0;
}

int dwal_probe(const char *path, const struct dwal_probe_options *given, struct dwal_probe *probe)
{
    if (!path || !path[0] || !probe)
        return dw_fail(DWAL_EARGUMENT, "%s", probe ? "the path is empty" : "probe is NULL");
    if (probe->size != sizeof *probe)
        return dw_fail(DWAL_EARGUMENT, "probe.size must be sizeof(struct dwal_probe), %zu", sizeof *probe);
    struct dwal_probe_options options;
    int result = take_options(given, &options);
    if (result < 0)
        return result;
    memset(probe, 0, sizeof *probe);
    probe->size = sizeof *probe;
    struct dw_probe facts;
    result = look(path, &facts, &probe->is_device);
    if (result < 0)
        return result;
    struct dw_probe_system system;
    dw_probe_machine(&system, true);
    result = measure(path, &options, &facts, probe);
    if (result < 0)
        return result;
    dw_facts_gather(path, &facts, &system, probe);
    struct dw_site site = dw_site_of(&facts, &system, probe->is_device);
    dw_choose(&site, probe->timings, probe->timing_count, &probe->choice);
    if (probe->timing_count > 0) {
        probe->choice.chosen_by = DWAL_CHOSEN_BY_MEASUREMENT;
        probe->choice.measured_time_ns = dw_clock_system.realtime_ns(dw_clock_system.context);
    }
    return 0;
}
