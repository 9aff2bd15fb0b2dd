/* probe.c - dwal_probe: facts, then trials, then what would be chosen and why.
 *
 * Called by: tools, on any thread. Happy path: look at path and machine -> a temporary file in the directory -> trials of
 * every way for the time given -> the rules of choose.c.
 * Failure: what cannot be measured is said in `not_measured`, and the facts stand alone. Closing: the temporary file has no
 * name and goes with its descriptor, also when the process is killed. */
#include <dwal/inspect.h>
#include <dwal/probe.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "alloc/alloc.h"
#include "base/bits.h"
#include "core/base/error.h"
#include "core/log/choose.h"
#include "core/log/path.h"
#include "core/log/probe_facts.h"
#include "io/guard.h"
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
    if (has_passthrough) {
        count = add_rows(rows, count, "nvme", DWAL_WAY_DSYNC, false);
        count = add_rows(rows, count, "nvme-poll", DWAL_WAY_DSYNC, false);
    }
    if (has_unwritten)
        count = add_rows(rows, count, "sync", DWAL_WAY_DSYNC, true);
    return count;
}

/* ---- measuring ------------------------------------------------------------------------------------------------------- */

static int run_trials(struct dw_scratch *scratch, bool has_passthrough, const struct dwal_probe_options *options,
                      struct dwal_probe *probe)
{
    struct dw_measure_row *rows = dw_alloc(DWAL_TIMINGS_MAX * sizeof *rows);
    if (!rows)
        return dw_fail(DWAL_EMEMORY, "no memory for the rows of a measurement");
    struct dw_measure measure = {
        .scratch = scratch,
        .rows = rows,
        .row_count = plan_rows(rows, has_passthrough, scratch->unwritten != NULL),
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
    result = run_trials(scratch, false, options, probe);
    snprintf(probe->where, sizeof probe->where, "a temporary file of %llu MiB in %.100s, gone now",
             (unsigned long long)(scratch->size >> 20), path);
    dw_scratch_close(scratch);
    disk->ops->close(disk);
    return result;
}

/* ---- on a device that holds nothing ------------------------------------------------------------------------------------ */

/* Does all of it read as zeros? 1, 0 or -errno. */
static int is_all_zeros(struct dw_file *file, uint64_t from, uint64_t size)
{
    const size_t chunk = (size_t)1 << 20;
    unsigned char *bytes = dw_alloc_io(chunk, 4096);
    if (!bytes)
        return -ENOMEM;
    int result = 1;
    for (uint64_t at = 0; at < size && result == 1; at += chunk) {
        size_t wanted = (size_t)dw_min_u64(chunk, size - at), done = 0;
        int read = dw_file_read(file, bytes, wanted, from + at, &done);
        if (read < 0 || done != wanted)
            result = read < 0 ? read : -EIO;
        else if (bytes[0] != 0 || memcmp(bytes, bytes + 1, wanted - 1) != 0)
            result = 0;
    }
    dw_free_io(bytes);
    return result;
}

/* May zeros be written to [*from, *from + *size) of this device, because nothing is there and nobody uses it? false: said why. */
static bool is_blank(struct dw_disk *disk, struct dw_file *file, uint64_t *from, uint64_t *size,
                     struct dwal_probe *probe)
{
    struct dw_guard guard;
    uint64_t all = 0;
    int result = disk->is_shared ? -EBUSY : dw_disk_device_guard(disk, &guard);
    if (result == 0 && dw_guard_forbidding(&guard, false) != 0) {
        char text[200];
        dw_guard_tell(&guard, dw_guard_forbidding(&guard, false), text, sizeof text);
        snprintf(probe->not_measured, sizeof probe->not_measured, "it is not blank, and left alone: %s", text);
        return false;
    }
    if (result == 0)
        result = disk->ops->size(file, &all);
    *size = dw_min_u64(WRITTEN_BYTES, dw_align_down(all / 4, 1u << 20));
    *from = dw_align_down(all / 2, 1u << 20);
    if (result == 0 && *size == 0)
        result = -ENOSPC;
    int zeros = result < 0 ? result : is_all_zeros(file, *from, *size);
    if (zeros == 1)
        return true;
    snprintf(probe->not_measured, sizeof probe->not_measured, "%s",
             zeros == 0         ? "there are bytes other than zero where it would write: it is left alone"
             : zeros == -ENOSPC ? "it is too small for that"
             : zeros == -EBUSY  ? "a log on it is in use"
                                : strerror(-zeros));
    return false;
}

static int measure_device(const char *path, const struct dwal_probe_options *options, const struct dw_probe *facts,
                          struct dwal_probe *probe)
{
    struct dw_disk *disk = NULL;
    struct dw_file *file = NULL;
    int result = dw_disk_device_open(path, DW_OPEN_WRITE, false, &disk);
    if (result == 0)
        result = disk->ops->open(disk, DW_DEVICE_NAME, DW_OPEN_WRITE, &file);
    if (result != 0 || !file) {
        snprintf(probe->not_measured, sizeof probe->not_measured, "%s",
                 result == -EBUSY ? "it is in use (mounted, swap, RAID, device mapper, ...)" : strerror(-result));
    } else {
        uint64_t from = 0, size = 0;
        struct dw_scratch scratch;
        if (is_blank(disk, file, &from, &size, probe)) {
            result = dw_scratch_borrow(file, from, size, &scratch);
            if (result == 0)
                result = run_trials(&scratch, facts->device.character[0] != '\0', options, probe);
            else
                say_not_measured(probe, result);
            snprintf(probe->where, sizeof probe->where,
                     "%llu MiB in the middle of the device, which was blank and still is: only zeros were written",
                     (unsigned long long)(size >> 20));
        }
        dw_file_close(file);
    }
    if (disk)
        disk->ops->close(disk);
    return probe->not_measured[0] ? 0 : result;
}

static int measure(const char *path, const struct dwal_probe_options *options, struct dw_probe *facts,
                   struct dwal_probe *probe)
{
    if (options->time_ns == UINT64_MAX) {
        snprintf(probe->not_measured, sizeof probe->not_measured, "facts alone were asked for");
        return 0;
    }
    if (probe->is_device)
        return measure_device(path, options, facts, probe);
    struct dw_scratch scratch = {.disk = NULL};
    return measure_directory(path, options, facts, probe, &scratch);
}

/* ---- the call -------------------------------------------------------------------------------------------------------- */

static int look(const char *path, struct dw_probe *facts, bool *is_device)
{
    struct stat kind;
    *is_device = dw_probe_is_block_device(path);
    bool exists = stat(path, &kind) == 0;
    if (exists && !*is_device && !S_ISDIR(kind.st_mode))
        return dw_fail(DWAL_EARGUMENT, "%s is neither a directory nor a block device", path);
    if (!exists && (errno == ENOENT || errno == ENOTDIR || errno == ELOOP || errno == ENAMETOOLONG))
        return dw_fail(DWAL_ENOLOG, "%s %s", path, dw_path_obstacle(path));
    int result = dw_probe_path(path, facts);
    if (result == -ENOMEM)
        return dw_fail(DWAL_EMEMORY, "no memory for looking at %s", path);
    if (result == -EINVAL)
        return dw_fail(DWAL_EARGUMENT, "%s is neither a directory nor a block device", path);
    if (result < 0)
        return dw_fail_system(result, "looking at %s failed", path);
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

static void look_for_writer(const char *path, struct dwal_probe *probe)
{
    struct dwal_info info = {.size = sizeof info};
    if (dwal_get_info(path, NULL, &info) == 0 && info.has_live_writer)
        dw_fact_add(probe, DWAL_MARK_NOTICE, "live_writer", "log being written", "its writer's lock",
                    probe->timing_count > 0 ? "its commits and these figures disturbed one another" : "", "yes");
}

/* Without figures of our own those that an open left behind are the better ground. */
static void foresee(const char *path, struct dwal_choice *choice)
{
    struct dwal_choice known = {.size = sizeof known};
    if (dwal_foresee_choice(path, NULL, &known) == 0 && known.chosen_by == DWAL_CHOSEN_BY_CACHE)
        *choice = known;
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
    char device[PATH_MAX];
    const char *name, *log_path = path;
    if (dw_path_is_device(path, device, &name))
        path = device;
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
    look_for_writer(log_path, probe);
    struct dw_site site = dw_site_of(&facts, &system, probe->is_device);
    dw_choose(&site, probe->timings, probe->timing_count, &probe->choice);
    if (probe->timing_count == 0)
        foresee(log_path, &probe->choice);
    if (probe->timing_count > 0) {
        probe->choice.chosen_by = DWAL_CHOSEN_BY_MEASUREMENT;
        probe->choice.measured_time_ns = dw_clock_system.realtime_ns(dw_clock_system.context);
    }
    return 0;
}
