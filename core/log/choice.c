/* choice.c - choose a backend at open; see choice.h.
 *
 * One lock for the process: two opens do not measure beside one another, and the table of figures is behind it. Whoever does
 * not get it soon goes by facts. */
#include "core/log/choice.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "alloc/alloc.h"
#include "base/bits.h"
#include "core/base/error.h"
#include "core/log/choice_cache.h"
#include "core/log/choose.h"
#include "core/log/handle.h"
#include "core/log/path.h"
#include "io/measure.h"

#define SCRATCH_BYTES     (UINT64_C(1) << 20)
#define ROUNDS_MAX        64u
#define DECIDE_TIME_NS    (UINT64_C(80) * 1000 * 1000) /* on a slow device or a busy machine; else half of that */
#define BYSTANDER_EVERY   4u                           /* what the rules exclude is tried for the record only */
#define LARGER_ROUNDS_MAX 16u
#define LARGER_TIME_NS    (UINT64_C(20) * 1000 * 1000)
#define LOCK_TIMEOUT_NS   500000000L

static pthread_mutex_t choice_mutex = PTHREAD_MUTEX_INITIALIZER;
static _Atomic uint64_t measurements; /* relaxed: a count */

uint64_t dw_choice_measurements(void)
{
    return atomic_load_explicit(&measurements, memory_order_relaxed);
}

/* A child of a fork may find it held for ever: do not wait for ever. */
static bool take_lock(void)
{
    struct timespec until;
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_nsec += LOCK_TIMEOUT_NS;
    if (until.tv_nsec >= 1000000000L) {
        until.tv_nsec -= 1000000000L;
        until.tv_sec++;
    }
    return pthread_mutex_timedlock(&choice_mutex, &until) == 0;
}

/* ---- measuring ------------------------------------------------------------------------------------------------------- */

static struct dw_measure_row make_row(const char *backend, enum dwal_way way, uint32_t size)
{
    struct dw_measure_row row = {.timing = {.way = way, .size = size}};
    snprintf(row.timing.backend, sizeof row.timing.backend, "%s", backend);
    return row;
}

static bool run_rows(struct dw_scratch *scratch, struct dw_measure_row *rows, size_t count, uint32_t rounds_max,
                     uint64_t time_ns, struct dw_measured *measured)
{
    while (count > 0 && rows[count - 1].timing.size > scratch->size)
        count--; /* a small slot; the largest come last */
    struct dw_measure measure = {.scratch = scratch,
                                 .rows = rows,
                                 .row_count = count,
                                 .rounds_max = rounds_max,
                                 .time_ns = time_ns,
                                 .clock = &dw_clock_system};
    if (count == 0 || dw_measure_run(&measure) < 0)
        return false;
    for (size_t i = 0; i < count; i++)
        if (rows[i].timing.count > 0 && measured->row_count < DWAL_CHOICE_TIMINGS_MAX)
            measured->rows[measured->row_count++] = rows[i].timing;
    return true;
}

/* First what decides, then how the winner's time grows with the size. */
static bool measure_in(struct dw_scratch *scratch, const struct dw_site *site, struct dw_measured *measured)
{
    measured->row_count = 0;
    struct dw_measure_row rows[] = {make_row("sync", DWAL_WAY_DSYNC, 4096), make_row("uring", DWAL_WAY_DSYNC, 4096),
                                    make_row("aio", DWAL_WAY_DSYNC, 4096), make_row("sync", DWAL_WAY_FLUSH, 4096),
                                    make_row("nvme", DWAL_WAY_DSYNC, 4096)};
    bool has_passthrough = site->is_device && site->has_character_device;
    if (dw_choose_is_synchronous(site))
        rows[1].every = rows[2].every = BYSTANDER_EVERY;
    if (!run_rows(scratch, rows, DW_COUNT_OF(rows) - (has_passthrough ? 0 : 1), ROUNDS_MAX, DECIDE_TIME_NS, measured))
        return false;
    struct dwal_choice *choice = dw_alloc(sizeof *choice);
    if (choice) {
        dw_choose(site, measured->rows, measured->row_count, choice);
        struct dw_measure_row larger[] = {make_row(choice->backend, choice->way, 16384),
                                          make_row(choice->backend, choice->way, 65536),
                                          make_row(choice->backend, choice->way, 1u << 20)};
        (void)!run_rows(scratch, larger, DW_COUNT_OF(larger), LARGER_ROUNDS_MAX, LARGER_TIME_NS, measured);
        dw_free(choice);
    }
    atomic_fetch_add_explicit(&measurements, 1, memory_order_relaxed);
    measured->time_ns = dw_clock_system.realtime_ns(dw_clock_system.context);
    measured->is_stale = false;
    return true;
}

/* In a file without a name beside the log. false: it could not be done here. */
static bool measure_directory(struct dw_disk *disk, const struct dw_site *site, struct dw_measured *measured)
{
    struct dw_scratch scratch;
    if (dw_scratch_open(disk, SCRATCH_BYTES, 0, &scratch) < 0)
        return false;
    bool is_done = measure_in(&scratch, site, measured);
    dw_scratch_close(&scratch);
    return is_done;
}

/* In a slot of the device that nobody has; it stays free, and reads as zeros. */
static bool measure_device(struct dw_store *store, const struct dw_site *site, struct dw_measured *measured)
{
    struct dw_store_trial trial;
    if (dw_store_trial_begin(store, &trial) < 0)
        return false;
    struct dw_scratch scratch;
    bool is_done = dw_scratch_borrow(trial.file, trial.from, dw_min_u64(trial.size, SCRATCH_BYTES), &scratch) == 0 &&
                   measure_in(&scratch, site, measured);
    dw_scratch_close(&scratch);
    /* A slot that cannot be given back is found and freed by the next settle. */
    return dw_store_trial_end(store, &trial) == 0 && is_done;
}

/* Where trials may be made: beside the log (`is_beside`), in a slot of `store`, or (neither) nowhere. */
struct trial_place {
    bool is_beside;
    struct dw_store *store;
};

static bool measure_place(struct dw_disk *disk, const struct trial_place *place, const struct dw_site *site,
                          struct dw_measured *measured)
{
    if (disk->is_device)
        return place->store && measure_device(place->store, site, measured);
    return place->is_beside && measure_directory(disk, site, measured);
}

/* Figures for the place with this key, from the cache or by measuring. */
static enum dwal_chosen_by find_figures(struct dw_disk *disk, const struct trial_place *place,
                                        const struct dw_site *site, struct dw_measured *measured)
{
    char key[DW_MEASURED_KEY_SIZE];
    memcpy(key, measured->key, sizeof key);
    enum dwal_chosen_by by = DWAL_CHOSEN_BY_FACTS;
    if (!take_lock())
        return by;
    if (dw_measured_find(key, measured))
        by = DWAL_CHOSEN_BY_CACHE;
    if (by == DWAL_CHOSEN_BY_FACTS || measured->is_stale) {
        struct dw_measured before = *measured;
        memcpy(measured->key, key, sizeof key);
        if (measure_place(disk, place, site, measured)) {
            dw_measured_keep(measured);
            by = DWAL_CHOSEN_BY_MEASUREMENT;
        } else {
            *measured = before;
        }
    }
    pthread_mutex_unlock(&choice_mutex);
    return by;
}

static int choose_for_disk(struct dw_disk *disk, const struct trial_place *place, char key[DW_MEASURED_KEY_SIZE],
                           struct dwal_choice *choice)
{
    struct dw_probe probe;
    int result = dw_probe_disk(disk, &probe);
    if (result < 0)
        return result;
    struct dw_measured *measured = dw_alloc(sizeof *measured);
    if (!measured)
        return -ENOMEM;
    struct dw_probe_system system;
    dw_probe_machine(&system, false);
    bool is_raw = disk->is_device && disk->is_queue_better; /* and not a file that a test takes for a device */
    dw_measured_key(&probe, &system, is_raw, measured->key);
    memcpy(key, measured->key, DW_MEASURED_KEY_SIZE);
    struct dw_site site = dw_site_of(&probe, &system, is_raw);
    enum dwal_chosen_by by = find_figures(disk, place, &site, measured);
    dw_choose(&site, measured->rows, by == DWAL_CHOSEN_BY_FACTS ? 0 : measured->row_count, choice);
    choice->chosen_by = by;
    choice->measured_time_ns = by == DWAL_CHOSEN_BY_FACTS ? 0 : measured->time_ns;
    choice->is_stale = by == DWAL_CHOSEN_BY_CACHE && measured->is_stale;
    dw_free(measured);
    return 0;
}

/* ---- open ------------------------------------------------------------------------------------------------------------ */

static void set_named(struct dwal_choice *choice, const char *backend, enum dwal_chosen_by by)
{
    *choice = (struct dwal_choice){.size = sizeof *choice, .chosen_by = by, .order_count = 1, .reason_count = 1};
    snprintf(choice->backend, sizeof choice->backend, "%s", backend);
    snprintf(choice->order[0], sizeof choice->order[0], "%s", backend);
    snprintf(choice->reasons[0], sizeof choice->reasons[0], "%s names it.",
             by == DWAL_CHOSEN_BY_OPTION ? "The caller" : "The environment variable DWAL_BACKEND");
}

/* What the environment names; NULL: nothing. */
static int find_environment(const char **backend)
{
    const char *named = secure_getenv("DWAL_BACKEND");
    *backend = named && named[0] ? named : NULL;
    if (*backend && (!dw_options_is_backend(named) || strcmp(named, "sim") == 0))
        return dw_fail(DWAL_EARGUMENT,
                       "the environment variable DWAL_BACKEND is \"%.20s\": choose sync, uring, aio or nvme", named);
    return 0;
}

bool dw_choice_forbids_ring(const struct dwal_options *options)
{
    const size_t needed = offsetof(struct dwal_options, backend) + sizeof options->backend;
    const char *named = options && options->size >= needed ? options->backend : NULL;
    if (!named)
        named = secure_getenv("DWAL_BACKEND");
    return named && (strcmp(named, "sync") == 0 || strcmp(named, "aio") == 0);
}

static void tell_figures(const struct dwal_choice *choice, char *text, size_t room)
{
    size_t used = 0;
    text[0] = '\0';
    for (uint32_t i = 0; i < choice->timing_count && used < room; i++) {
        const struct dwal_timing *row = &choice->timings[i];
        if (row->size != 4096 || row->way != DWAL_WAY_DSYNC)
            continue;
        used += (size_t)snprintf(text + used, room - used, "%s%s %.*f us (99 %%: %.0f)", used ? ", " : "", row->backend,
                                 row->p50_ns < 10000 ? 1 : 0, (double)row->p50_ns / 1000, (double)row->p99_ns / 1000);
    }
}

static void fill_order(const struct dwal_choice *choice, struct dw_backend_order *order)
{
    *order = (struct dw_backend_order){.count = choice->order_count};
    for (uint32_t i = 0; i < choice->order_count; i++)
        order->kinds[i] = choice->order[i];
    order->is_named = choice->chosen_by == DWAL_CHOSEN_BY_ENVIRONMENT || choice->chosen_by == DWAL_CHOSEN_BY_OPTION;
    if (choice->timing_count == 0) {
        snprintf(order->why, sizeof order->why, "%s",
                 choice->reason_count ? choice->reasons[0] : dwal_chosen_by_text(choice->chosen_by));
        return;
    }
    char figures[200];
    tell_figures(choice, figures, sizeof figures);
    char when[48] = "";
    time_t seconds = (time_t)(choice->measured_time_ns / 1000000000u);
    struct tm parts;
    if (choice->chosen_by == DWAL_CHOSEN_BY_CACHE && gmtime_r(&seconds, &parts))
        (void)strftime(when, sizeof when, " (%Y-%m-%d %H:%M UTC)", &parts);
    snprintf(order->why, sizeof order->why, "%s%s: a durable 4 KiB write took %s at the median",
             dwal_chosen_by_text(choice->chosen_by), when, figures);
}

static void learn_write_size(struct dwal *log, bool is_free)
{
    if (is_free && log->choice.write_size_max >= log->geometry.block_size)
        log->options.write_size_max = log->choice.write_size_max;
}

int dw_choice_make(struct dwal *log, bool is_write_size_free, struct dw_backend_order *order)
{
    struct dwal_choice *choice = &log->choice;
    order->count = 0;
    if (log->options.backend) {
        set_named(choice, log->options.backend, DWAL_CHOSEN_BY_OPTION);
        return 0;
    }
    if (log->is_single_stepped || !dw_disk_is_posix(log->disk))
        return 0;
    const char *named = NULL;
    int result = find_environment(&named);
    if (result < 0)
        return result;
    if (named) {
        set_named(choice, named, DWAL_CHOSEN_BY_ENVIRONMENT);
    } else {
        struct trial_place place = {.is_beside = true};
        if (choose_for_disk(log->disk, &place, log->choice_key, choice) < 0) {
            *choice = (struct dwal_choice){.size = 0};
            return 0;
        }
    }
    fill_order(choice, order);
    learn_write_size(log, is_write_size_free);
    return 0;
}

bool dw_choice_measure_device(struct dwal *log, bool is_write_size_free, struct dw_backend_order *order)
{
    struct dwal_choice *choice = &log->choice;
    bool is_open = choice->chosen_by == DWAL_CHOSEN_BY_FACTS || choice->is_stale;
    if (choice->size == 0 || !is_open || !log->disk->is_device)
        return false;
    struct trial_place place = {.store = log->store};
    struct dwal_choice again;
    if (choose_for_disk(log->disk, &place, log->choice_key, &again) < 0 ||
        again.chosen_by != DWAL_CHOSEN_BY_MEASUREMENT)
        return false;
    *choice = again;
    fill_order(choice, order);
    learn_write_size(log, is_write_size_free);
    return true;
}

void dw_choice_tell(struct dwal *log)
{
    struct dwal_choice *choice = &log->choice;
    if (choice->size == 0)
        return;
    bool is_first = strcmp(log->backend.kind, choice->backend) == 0;
    snprintf(choice->backend, sizeof choice->backend, "%s", log->backend.kind);
    if (choice->way == DWAL_WAY_FLUSH && is_first)
        dw_disk_prefer_flush(log->disk);
    if (choice->chosen_by == DWAL_CHOSEN_BY_OPTION)
        return;
    dw_event_tell(log, DWAL_EVENT_INFO, "backend %s%s: %s", choice->backend,
                  choice->way == DWAL_WAY_FLUSH ? " (write, then flush)" : "", log->backend.why);
    for (uint32_t i = 0; i < choice->reason_count; i++)
        dw_event_tell(log, strncmp(choice->reasons[i], "ALARM", 5) == 0 ? DWAL_EVENT_WARNING : DWAL_EVENT_DEBUG, "%s",
                      choice->reasons[i]);
}

/* ---- while the log runs ---------------------------------------------------------------------------------------------- */

/* The figures in cache and table are of another time: the next open measures again. */
static void mark_stale(struct dwal *log)
{
    struct dw_measured measured;
    if (!take_lock())
        return;
    if (dw_measured_find(log->choice_key, &measured) && measured.time_ns == log->choice.measured_time_ns) {
        measured.is_stale = true;
        dw_measured_keep(&measured);
    }
    pthread_mutex_unlock(&choice_mutex);
}

void dw_choice_watch(struct dwal *log, uint64_t now_ns)
{
    const struct dwal_choice *choice = &log->choice;
    if (choice->timing_count == 0)
        return;
    const struct dw_writer *writer = &log->writer;
    struct dw_drift_totals totals = {
        .writes = atomic_load_explicit(&writer->counts.writes, memory_order_relaxed),
        .bytes = atomic_load_explicit(&writer->counts.written_bytes, memory_order_relaxed),
        .device_ns = atomic_load_explicit(&writer->stages[DWAL_STAGE_DEVICE].sum, memory_order_relaxed),
    };
    uint64_t bytes = 0;
    if (!dw_drift_is_due(&log->drift, now_ns, &totals, &bytes))
        return;
    uint64_t expected_ns =
        dw_choose_expected_ns(choice->timings, choice->timing_count, choice->backend, choice->way, bytes);
    bool is_alone = strcmp(choice->backend, "sync") == 0;
    if (!dw_drift_close_window(&log->drift, now_ns, &totals, expected_ns, is_alone ? 1 : log->options.in_flight_writes))
        return;
    mark_stale(log);
    /* relaxed: a fact for people. */
    atomic_store_explicit(&log->is_choice_stale, true, memory_order_relaxed);
    dw_event_tell(log, DWAL_EVENT_WARNING,
                  "durable writes take %.1f times as long as when backend %s was chosen: the next open measures again",
                  (double)log->drift.ratio_milli / 1000, choice->backend);
}

/* ---- for people ------------------------------------------------------------------------------------------------------ */

int dwal_get_choice(const dwal *log, struct dwal_choice *choice)
{
    if (!choice || choice->size != sizeof *choice)
        return dw_fail(DWAL_EARGUMENT, "choice.size must be sizeof(struct dwal_choice), %zu", sizeof *choice);
    if (!log->is_writer)
        return dw_fail(DWAL_EREADONLY, "a log that is open read-only has no backend");
    *choice = log->choice;
    choice->size = sizeof *choice;
    if (choice->backend[0] == '\0')
        snprintf(choice->backend, sizeof choice->backend, "%s", log->backend.kind);
    choice->is_stale = choice->is_stale || atomic_load_explicit(&log->is_choice_stale, memory_order_relaxed);
    return 0;
}

void dw_choice_fit_block(struct dw_disk *disk, struct dwal_options *options)
{
    struct dw_probe probe;
    if (options->block_size != 0 || disk->is_device || dw_probe_disk(disk, &probe) < 0)
        return;
    uint32_t block_size = dw_choose_block_size(probe.device.physical_block_size);
    if (options->volume_size % block_size == 0)
        options->block_size = block_size;
}

int dwal_foresee_choice(const char *path, const struct dwal_options *given, struct dwal_choice *choice)
{
    if (!path || !choice || choice->size != sizeof *choice)
        return dw_fail(DWAL_EARGUMENT, "choice.size must be sizeof(struct dwal_choice), %zu", sizeof *choice);
    struct dwal_options options;
    int result = dw_options_resolve(given, &options);
    const char *named = NULL;
    if (result == 0 && !options.backend)
        result = find_environment(&named);
    if (result < 0)
        return result;
    if (options.backend || named) {
        set_named(choice, options.backend ? options.backend : named,
                  options.backend ? DWAL_CHOSEN_BY_OPTION : DWAL_CHOSEN_BY_ENVIRONMENT);
        return 0;
    }
    struct dw_disk *disk = NULL;
    result = dw_path_open(path, DW_OPEN_READ, options.is_unsafe_buffered, &disk);
    if (result < 0)
        return result;
    char key[DW_MEASURED_KEY_SIZE];
    struct trial_place nowhere = {.store = NULL};
    result = choose_for_disk(disk, &nowhere, key, choice);
    disk->ops->close(disk);
    return result < 0 ? dw_fail_system(result, "looking at %.200s failed", path) : 0;
}
