/* open.c - create, open and close a log: build up and tear down in one visible order.
 *
 * Called by: dwal_create, dwal_open, dwal_close and the tests' seam, on the caller's thread.
 * Happy path of open: disk -> load (reads) -> writer's lock -> recover (reads, gives a value) -> settle (writes) -> writer
 * -> flusher and maker start. Nothing is written before recovery said that it may be.
 * Failure: every step that was taken is undone; the error of the step that failed is what the caller gets.
 * Close: make all durable, stop the flusher, stop the maker, write the clean end, release. */
#include <errno.h>
#include <stddef.h>
#include <string.h>

#include "alloc/alloc.h"
#include "alloc/arena.h"
#include "base/assert.h"
#include "base/bits.h"
#include "core/base/error.h"
#include "core/log/choice.h"
#include "core/log/handle.h"
#include "core/log/path.h"
#include "core/log/place.h"

#define STALL_LOOK_NS UINT64_C(1000000000)
#define CROSSING_NS   UINT64_C(2000000) /* some twenty commits */

/* ---- hooks that the store calls ------------------------------------------------------------------------------------ */

static uint64_t hook_durable_block(void *context)
{
    struct dwal *log = context;
    return log->is_writer_ready ? dw_durable_block(&log->writer.durable) : 0;
}

static void hook_on_space(void *context)
{
    struct dwal *log = context;
    if (log->is_writer_ready)
        dw_writer_on_space(&log->writer);
}

static void hook_on_failure(void *context, const struct dwal_error *error)
{
    struct dwal *log = context;
    dw_event_tell(log, DWAL_EVENT_ERROR, "%s", error->text);
    if (log->is_writer_ready)
        dw_writer_fail(&log->writer, error);
}

static void hook_on_event(void *context, enum dwal_event_level level, const char *text)
{
    dw_event_tell(context, level, "%s", text);
}

/* ---- the maker's thread --------------------------------------------------------------------------------------------- */

/* A write that does not come back is counted and reported while it is still out, once; one that came back late between two
 * looks is reported afterwards. */
static void look_for_stall(struct dwal *log)
{
    uint64_t limit_ns = log->writer.options.stall_report_ns;
    uint64_t started = atomic_load_explicit(&log->writer.write_started_ns, memory_order_relaxed);
    uint64_t now = dw_writer_now(&log->writer);
    bool is_out = started != 0 && now > started && now - started >= limit_ns;
    if (is_out && dw_writer_count_stall(&log->writer, started)) {
        log->stalls_told++;
        dw_event_tell(log, DWAL_EVENT_WARNING, "a write has been out for %llu ms: waiters go on waiting for it",
                      (unsigned long long)((now - started) / 1000000));
    }
    uint64_t stalls = atomic_load_explicit(&log->writer.counts.stalls, memory_order_relaxed);
    if (stalls > log->stalls_told)
        dw_event_tell(log, DWAL_EVENT_WARNING, "%llu writes took longer than %llu ms and came back",
                      (unsigned long long)(stalls - log->stalls_told), (unsigned long long)(limit_ns / 1000000));
    log->stalls_told = stalls;
}

static void maker_run(void *context)
{
    struct dwal *log = context;
    while (!atomic_load_explicit(&log->is_maker_stopping, memory_order_acquire)) { /* pairs: MAKER-STOP */
        uint64_t wait_ns = 0;
        dw_store_step(log->store, &wait_ns);
        look_for_stall(log);
        dw_choice_watch(log, dw_writer_now(&log->writer));
        if (wait_ns > 0)
            dw_store_maker_sleep(log->store, dw_min_u64(wait_ns, STALL_LOOK_NS));
    }
}

/* The queue belongs to the thread that makes it, so open has to wait for that thread's first word. */
static void flusher_run(void *context)
{
    struct dwal *log = context;
    int result = dw_flusher_start(&log->writer);
    if (result < 0)
        log->flusher_error = *dwal_last_error();
    atomic_store_explicit(&log->flusher_start, result < 0 ? result : 1,
                          memory_order_release); /* pairs: FLUSHER-START */
    dw_event_notify(&log->flusher_started);
    if (result == 0)
        dw_flusher_run(&log->writer);
    dw_flusher_finish(&log->writer);
}

static int wait_for_flusher(struct dwal *log)
{
    for (;;) {
        uint32_t key = dw_event_prepare(&log->flusher_started);
        int start = atomic_load_explicit(&log->flusher_start, memory_order_acquire); /* pairs: FLUSHER-START */
        if (start != 0) {
            dw_event_cancel(&log->flusher_started);
            return start < 0 ? dw_fail_again(&log->flusher_error) : 0;
        }
        dw_event_wait(&log->flusher_started, key, DW_NO_TIMEOUT);
    }
}

/* ---- open, step by step ------------------------------------------------------------------------------------------------ */

/* All I/O memory of the log. A ring size that cannot be is refused later, when the size of a block is known. */
static int make_arena(struct dwal *log)
{
    uint64_t ring_size = log->options.ring_size;
    bool has_ring = log->is_writer && ring_size <= DW_RING_SIZE_MAX && dw_is_aligned(ring_size, DW_BLOCK_SIZE_MIN);
    size_t front = has_ring ? (size_t)ring_size : 0;
    size_t slots = front / DW_BLOCK_SIZE_MIN * sizeof(struct dw_slot);
    log->arena = dw_arena_open(front, slots + DW_STORE_MEMORY_MAX);
    if (!log->arena)
        return dw_fail(DWAL_EMEMORY, "no memory for a ring of %llu bytes", (unsigned long long)front);
    return 0;
}

static int load(struct dwal *log)
{
    struct dw_store_options options = {
        .is_read_only = !log->is_writer,
        .fill_bytes_per_second =
            log->options.fill_kib_per_second == UINT32_MAX ? 0 : (uint64_t)log->options.fill_kib_per_second << 10,
        .crossing_ns = log->is_single_stepped ? 0 : CROSSING_NS,
        .keep_retired = log->options.keep_retired,
        .is_wiping = log->options.is_wiping,
        .table_keep = log->options.table_keep,
        .load_threads = log->is_single_stepped ? 1 : DW_LOAD_THREADS,
        .is_reading_plainly = dw_choice_forbids_ring(&log->options),
        .clock = log->clock,
        .arena = log->arena,
        .hooks = {.context = log,
                  .durable_block = hook_durable_block,
                  .on_space = hook_on_space,
                  .on_failure = hook_on_failure,
                  .on_event = hook_on_event,
                  .table = log->options.table,
                  .table_context = log->options.context},
    };
    /* L is a number of blocks, and only the superblock tells their size: an upper bound for all sizes will do. */
    struct dw_geometry smallest = {.block_size = DW_BLOCK_SIZE_MIN};
    options.in_flight_blocks = dw_options_in_flight_blocks(&log->options, &smallest);
    int result = dw_store_load(log->disk, &options, &log->store);
    if (result < 0)
        return result;
    log->geometry = dw_store_superblock(log->store)->geometry;
    log->identity = dw_store_superblock(log->store)->identity;
    result = dw_options_agree(&log->options, dw_store_superblock(log->store));
    if (result == 0 && log->is_writer)
        result = dw_store_lock(log->store);
    return result;
}

static void keep_damage(void *context, const struct dwal_damage *damage)
{
    struct dwal *log = context;
    dw_event_tell(log, damage->is_repairable ? DWAL_EVENT_INFO : DWAL_EVENT_WARNING, "%s: %s", damage->file,
                  damage->text);
    if (log->options.mode != DWAL_REPORT)
        return;
    struct dw_damage_list *list = &log->damage;
    if (list->count == list->capacity) {
        size_t capacity = list->capacity ? list->capacity * 2 : 16;
        struct dwal_damage *items = dw_realloc(list->items, capacity * sizeof *items);
        if (!items)
            return; /* the report still counts it */
        list->items = items;
        list->capacity = capacity;
    }
    list->items[list->count++] = *damage;
}

static int recover(struct dwal *log, struct dw_recovered *recovered)
{
    struct dw_recover_options options = {
        .is_tolerant = log->options.recovery == DWAL_TOLERANT,
        .has_live_writer = !log->is_writer && dw_store_has_writer(log->store),
        .min_lsn = log->options.min_lsn,
        .look_ahead = -1,
        .damage = keep_damage,
        .damage_context = log,
    };
    int result = dw_recover_beside(log->store, &options, recovered);
    if (result < 0)
        return result;
    log->report = recovered->report;
    bool is_cut = recovered->report.verdict == DWAL_VERDICT_TORN;
    dw_event_tell(log, is_cut ? DWAL_EVENT_WARNING : DWAL_EVENT_INFO, "recovery: %s", recovered->report.text);
    bool is_sound = dwal_verdict_error(recovered->report.verdict) == 0 ||
                    (options.is_tolerant && recovered->report.verdict == DWAL_VERDICT_UNCERTAIN);
    if (!is_sound && log->options.mode != DWAL_REPORT)
        return dw_fail_again(&recovered->error);
    atomic_store_explicit(&log->visible_block, recovered->end_block, memory_order_release); /* pairs: VISIBLE */
    bool is_ended = is_sound && !log->is_writer && !options.has_live_writer;
    uint64_t end = is_ended ? recovered->end : UINT64_MAX;
    atomic_store_explicit(&log->visible_end, end, memory_order_release); /* pairs: VISIBLE-END */
    return 0;
}

/* Before anything is written: a backend that was named and cannot be had is a refusal. */
static int choose_backend(struct dwal *log, const struct dw_backend_order *given, bool is_write_size_free)
{
    struct dw_backend_order order = {.count = 0};
    int result = 0;
    if (given && !log->options.backend)
        order = *given;
    else
        result = dw_choice_make(log, is_write_size_free, &order);
    if (result == 0 && order.count == 0)
        dw_backend_default_order(log, &order);
    return result < 0 ? result : dw_backend_take(log, &order);
}

/* A device is measured in a slot of its own, so only when the store may write. */
static int measure_backend(struct dwal *log, bool is_write_size_free)
{
    struct dw_backend_order order;
    int result = 0;
    if (dw_choice_measure_device(log, is_write_size_free, &order))
        result = dw_backend_take(log, &order);
    if (result == 0)
        dw_choice_tell(log);
    return result;
}

static void step_maker(void *context)
{
    uint64_t wait_ns;
    (void)dw_store_step(context, &wait_ns);
}

static int start_writer(struct dwal *log, const struct dw_settlement *settlement)
{
    struct dw_writer_options options = {
        .ring_size = log->options.ring_size,
        .arena = log->arena,
        .in_flight_writes = log->options.in_flight_writes,
        .write_blocks_max = log->options.write_size_max / log->geometry.block_size,
        .marker_delay_ns =
            log->options.marker_delay_ms == UINT32_MAX ? UINT64_MAX : (uint64_t)log->options.marker_delay_ms * 1000000u,
        .stall_report_ns = (uint64_t)log->options.stall_report_ms * 1000000u,
        .queue_kind = log->backend.kind,
        .clock = log->clock,
        .is_single_stepped = log->is_single_stepped,
        .lets_tick_stop = log->options.lets_tick_stop,
        .step_maker = step_maker,
        .step_context = log->store,
        .durable_callback = log->options.durable,
        .durable_context = log->options.context,
        .written_callback = log->options.written,
        .written_context = log->options.context,
        .next_block = settlement->is_continued
                          ? settlement->next_block
                          : dw_first_block_of_volume(&log->geometry, dw_store_head(log->store)->number),
    };
    int result = dw_writer_init(&log->writer, log->store, &log->geometry, &log->identity, &options);
    if (result < 0)
        return result;
    log->is_writer_ready = true;
    uint64_t begin = dw_lsn_of_block(&log->geometry, options.next_block); /* what recovery kept are whole batches */
    atomic_store_explicit(&log->complete_lsn, begin, memory_order_relaxed);
    atomic_store_explicit(&log->boundary_lsn, begin, memory_order_relaxed);
    if (log->is_single_stepped)
        return dw_flusher_start(&log->writer);
    result = dw_worker_start(&log->flusher, "dwal-flush", flusher_run, log);
    if (result < 0)
        return dw_fail_system(result, "starting the flusher's thread failed");
    log->has_flusher = true;
    result = wait_for_flusher(log);
    if (result < 0)
        return result;
    result = dw_worker_start(&log->maker, "dwal-maker", maker_run, log);
    if (result < 0)
        return dw_fail_system(result, "starting the maker's thread failed");
    log->has_maker = true;
    return 0;
}

static void stop_workers(struct dwal *log)
{
    if (log->has_flusher) {
        atomic_store_explicit(&log->writer.is_stopping, true, memory_order_release);
        dw_event_notify(&log->writer.work);
        dw_worker_stop(&log->flusher);
    }
    if (log->has_maker) {
        atomic_store_explicit(&log->is_maker_stopping, true, memory_order_release); /* pairs: MAKER-STOP */
        dw_store_maker_wake(log->store);
        dw_worker_stop(&log->maker);
    }
    if (log->is_writer_ready && log->is_single_stepped)
        dw_flusher_finish(&log->writer);
    log->has_flusher = log->has_maker = false;
}

/* Release everything; `is_clean`: record the clean end too. Returns the first error. */
static int tear_down(struct dwal *log, bool is_clean, uint64_t end)
{
    stop_workers(log);
    dw_log_readers_close(log);
    int result = dw_store_close(log->store, is_clean, end);
    if (log->is_writer_ready)
        dw_writer_destroy(&log->writer);
    if (log->disk && !log->is_disk_borrowed)
        log->disk->ops->close(log->disk);
    dw_arena_close(log->arena);
    dw_free(log->damage.items);
    pthread_mutex_destroy(&log->follow_mutex);
    pthread_mutex_destroy(&log->readers_mutex);
    dw_free_io(log);
    return result;
}

static bool is_write_size_free(const struct dwal_options *given)
{
    const size_t needed = offsetof(struct dwal_options, write_size_max) + sizeof given->write_size_max;
    return !given || given->size < needed || given->write_size_max == 0;
}

int dw_log_open_on(const struct dw_log_setup *setup, const struct dwal_options *given, struct dwal **out)
{
    *out = NULL;
    struct dwal *log = dw_alloc_io(sizeof *log, DW_CACHE_LINE); /* its counters have cache lines of their own */
    if (!log)
        return dw_fail(DWAL_EMEMORY, "no memory for a log's handle");
    pthread_mutex_init(&log->follow_mutex, NULL);
    pthread_mutex_init(&log->readers_mutex, NULL);
    log->disk = setup->disk;
    log->is_disk_borrowed = true; /* until the open succeeded */
    log->clock = setup->clock ? setup->clock : &dw_clock_system;
    dw_writer_init_ways(&log->writer, 0); /* for who only reads; dw_writer_init knows the sector size */
    log->is_single_stepped = setup->is_single_stepped;
    int result = dw_options_resolve(given, &log->options);
    log->is_writer = log->options.mode == DWAL_WRITE;
    struct dw_recovered recovered = {0};
    if (result == 0)
        result = make_arena(log);
    if (result == 0)
        result = load(log);
    if (result == 0 && log->is_writer)
        result = choose_backend(log, setup->order, is_write_size_free(given));
    if (result == 0)
        result = recover(log, &recovered);
    if (result == 0 && log->is_writer)
        result = dw_store_settle(log->store, &recovered.settlement);
    if (result == 0 && log->is_writer)
        result = measure_backend(log, is_write_size_free(given));
    if (result == 0 && log->is_writer)
        result = start_writer(log, &recovered.settlement);
    dw_recovered_free(&recovered);
    if (result < 0) {
        struct dwal_error error = *dwal_last_error(); /* tearing down must not hide the cause */
        tear_down(log, false, 0);
        dw_fail_again(&error);
        return result;
    }
    log->is_disk_borrowed = setup->is_disk_borrowed;
    *out = log;
    return 0;
}

static int check_place(const char *path, const struct dwal_options *options)
{
    struct dwal_options resolved;
    int result = dw_options_resolve(options, &resolved);
    return result < 0 || resolved.mode != DWAL_WRITE ? result : dw_place_check_old(path, &resolved);
}

/* A log that is named by the generic node of its device is written through that, unless the options say otherwise. */
static const struct dwal_options *name_backend(const char *path, const struct dwal_options *given,
                                               struct dwal_options *own)
{
    if (!dw_path_is_generic(path))
        return given;
    *own = (struct dwal_options)DWAL_OPTIONS_INIT;
    if (given) {
        if (given->size == 0 || given->size > sizeof *own)
            return given; /* refused later, with a text */
        memcpy(own, given, given->size);
        own->size = sizeof *own;
    }
    own->backend = own->backend ? own->backend : "nvme";
    return own;
}

int dwal_open(const char *path, const struct dwal_options *options, dwal **log)
{
    if (!path || !log)
        return dw_fail(DWAL_EARGUMENT, "%s is NULL", path ? "log" : "path");
    *log = NULL;
    struct dw_log_setup setup = {0};
    bool is_unsafe = options && options->size >= offsetof(struct dwal_options, is_unsafe_buffered) + sizeof(bool) &&
                     options->is_unsafe_buffered;
    bool is_reading = options && options->size >= offsetof(struct dwal_options, mode) + sizeof options->mode &&
                      options->mode != DWAL_WRITE;
    int result = dw_path_open(path, is_reading ? DW_OPEN_READ : DW_OPEN_WRITE, is_unsafe, &setup.disk);
    if (result < 0)
        return result;
    struct dwal_options own;
    options = name_backend(path, options, &own);
    result = setup.disk->is_device ? 0 : check_place(path, options);
    if (result == 0)
        result = dw_log_open_on(&setup, options, log);
    if (result < 0)
        setup.disk->ops->close(setup.disk);
    return result;
}

int dwal_close(dwal *log)
{
    if (!log)
        return 0;
    if (!log->is_writer)
        return tear_down(log, false, 0);
    uint64_t end = atomic_load_explicit(&log->writer.ring.tail, memory_order_acquire);
    int result = dw_writer_sync(&log->writer, end, UINT64_MAX);
    stop_workers(log); /* before the end is looked at: the flusher may still write a marker, or the maker fail */
    struct dwal_error cause = {.volume = DWAL_NO_VOLUME, .block = DWAL_NO_LSN, .lsn = DWAL_NO_LSN};
    bool is_failed = dw_durable_get_error(&log->writer.durable, &cause) || result < 0;
    int closed = tear_down(log, !is_failed, dw_durable_lsn(&log->writer.durable));
    if (!is_failed)
        return closed;
    return dw_fail_at(DWAL_EFAILED, cause.volume, cause.block, cause.lsn,
                      "the log stopped before it was closed, and is not closed clean: %.300s", cause.text);
}

/* ---- single-stepped ------------------------------------------------------------------------------------------------------ */

bool dw_log_step_flusher(dwal *log)
{
    dw_assert(log->is_single_stepped && log->is_writer);
    return dw_flush_step(&log->writer, false);
}

bool dw_log_step_maker(dwal *log)
{
    dw_assert(log->is_single_stepped && log->is_writer);
    uint64_t wait_ns = 0;
    return dw_store_step(log->store, &wait_ns) == DW_STEP_WORKED;
}

void dw_log_abandon(dwal *log)
{
    dw_assert(log->is_single_stepped);
    tear_down(log, false, 0);
}
