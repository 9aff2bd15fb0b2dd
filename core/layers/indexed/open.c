/* open.c - create, open, stop, close an indexed log.
 *
 * Called by: the public calls, and tests with a log beneath of their own making. Happy path of open: the log beneath with
 * our table callback -> replay -> the first STATE, when the log is new. Of stop: nobody gets in any more -> those inside leave ->
 * INDEX of the newest volume and a last STATE -> close the log beneath.
 * Failure: what was opened is closed again; the first error is the answer. */
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "core/layers/indexed/indexed.h"

#define RECENT_DEFAULT 65536u
#define TABLES_DEFAULT 16u
#define LEAVE_PAUSE_NS 100000

/* ---- options ---- */

static int resolve(const struct dwal_indexed_options *given, struct dwal_indexed_options *options)
{
    memset(options, 0, sizeof *options);
    if (given && (given->size == 0 || given->size > sizeof *options))
        return dw_indexed_fail(DWAL_EARGUMENT, DWAL_NO_LSN,
                               "options.size is %zu: set it with DWAL_INDEXED_OPTIONS_INIT", given->size);
    if (given)
        memcpy(options, given, given->size);
    options->size = sizeof *options;
    if (options->entry_size_max == 0)
        options->entry_size_max = DWAL_INDEXED_ENTRY_SIZE_MAX;
    if (options->recent == 0)
        options->recent = RECENT_DEFAULT;
    if (options->tables == 0)
        options->tables = TABLES_DEFAULT;
    if (options->entry_size_max > DWAL_PART_SIZE_MAX)
        return dw_indexed_fail(DWAL_EARGUMENT, DWAL_NO_LSN, "options.entry_size_max is %u: at most %u",
                               options->entry_size_max, DWAL_PART_SIZE_MAX);
    if ((options->recent & (options->recent - 1)) != 0 || options->recent > (1u << 30))
        return dw_indexed_fail(DWAL_EARGUMENT, DWAL_NO_LSN, "options.recent is %u: a power of two up to 2^30",
                               options->recent);
    if (options->codec != 0 && options->codec < DWAL_INDEXED_CODEC_OWN)
        return dw_indexed_fail(DWAL_EARGUMENT, DWAL_NO_LSN, "options.codec is %llu: ids below 65536 are reserved",
                               (unsigned long long)options->codec);
    return 0;
}

static int copy_base_options(const struct dwal_options *given, struct dwal_options *base)
{
    *base = (struct dwal_options)DWAL_OPTIONS_INIT;
    if (given && (given->size == 0 || given->size > sizeof *base))
        return dw_indexed_fail(DWAL_EARGUMENT, DWAL_NO_LSN, "options.base->size is %zu: set it with DWAL_OPTIONS_INIT",
                               given->size);
    if (given)
        memcpy(base, given, given->size);
    base->size = sizeof *base;
    if (base->table || base->table_keep != 0)
        return dw_indexed_fail(DWAL_EARGUMENT, DWAL_NO_LSN, "options.base->table and table_keep are the layer's own");
    if (base->magic_number == 0)
        base->magic_number = DWAL_INDEXED_MAGIC;
    return 0;
}

int dw_indexed_base_options(const struct dwal_indexed_options *given, struct dwal_options *base)
{
    struct dwal_indexed_options options;
    int result = resolve(given, &options);
    if (result == 0)
        result = copy_base_options(options.base, base);
    if (result == 0 && base->toc_length == 0)
        base->toc_length = dw_table_length_for(base->volume_size ? base->volume_size : UINT64_C(64) << 20,
                                               base->block_size ? base->block_size : 4096);
    return result;
}

/* The log's callbacks have one context, and it is ours: hand on to the user's. */
static void on_event(void *context, enum dwal_event_level level, const char *text)
{
    const struct dwal_indexed *log = context;
    log->base_options.event(log->base_options.context, level, text);
}

static void on_durable(void *context, uint64_t durable, int failure)
{
    const struct dwal_indexed *log = context;
    log->base_options.durable(log->base_options.context, durable, failure);
}

static void on_written(void *context, const struct dwal_written *written)
{
    const struct dwal_indexed *log = context;
    log->base_options.written(log->base_options.context, written);
}

/* ---- open ---- */

static int open_base(dw_indexed_open_fn *open_fn, void *context, struct dwal_indexed *log)
{
    struct dwal_options options = log->base_options;
    options.table = dw_table_tell;
    options.table_keep = DW_INDEXED_KEEP;
    options.context = log;
    options.event = log->base_options.event ? on_event : NULL;
    options.durable = log->base_options.durable ? on_durable : NULL;
    options.written = log->base_options.written ? on_written : NULL;
    return open_fn(context, &options, &log->base);
}

static int learn_shape(struct dwal_indexed *log)
{
    struct dwal_volume volume = {.size = sizeof volume};
    int result = dwal_volume_from(log->base, 0, &volume);
    if (result < 0)
        return dw_indexed_fail(DWAL_ECORRUPT, DWAL_NO_LSN, "the log has no volume");
    log->payload_size = volume.payload_size;
    log->data_blocks = volume.data_blocks;
    log->volume_span = (uint64_t)volume.payload_size * volume.data_blocks;
    return 0;
}

static int check_codec(struct dwal_indexed *log)
{
    uint64_t wanted = log->options.codec;
    if (wanted == 0 || wanted == log->codec)
        return 0;
    if (log->codec != 0)
        return dw_indexed_fail(DWAL_EINDEX_CODEC, DWAL_NO_LSN, "the log's codec is %llu, not %llu",
                               (unsigned long long)log->codec, (unsigned long long)wanted);
    log->codec = wanted;
    if (log->is_read_only || !log->has_state)
        return 0;
    return dw_indexed_put_state(log, log->first, log->last, 0);
}

/* The log has no STATE yet: its first record. Recovery may have left a volume behind in front of it. */
static int begin(struct dwal_indexed *log, bool is_new)
{
    pthread_mutex_lock(&log->note_mutex);
    log->is_noting = true;
    pthread_mutex_unlock(&log->note_mutex);
    if (log->is_read_only)
        return check_codec(log);
    int result = check_codec(log);
    if (result == 0 && is_new)
        result = dw_indexed_put_state(log, log->first, log->last, 0);
    if (result == 0)
        dw_chain_mend(log);
    if (result == 0)
        result = dwal_sync(log->base, log->end);
    return result < 0 ? result : dw_indexed_trim(log);
}

static void release(struct dwal_indexed *log)
{
    dw_state_publish(log, NULL);
    dw_live_free_all(log);
    dw_table_free_all(log);
    dw_values_free(log);
    free(log->recent);
    free(log->entries);
    free(log->parts);
    free(log->heads);
    free(log->lsns);
    free(log->links);
    pthread_mutex_destroy(&log->write_mutex);
    pthread_mutex_destroy(&log->note_mutex);
    pthread_mutex_destroy(&log->values_mutex);
    pthread_mutex_destroy(&log->tables_mutex);
    free(log);
}

static int make(const struct dwal_indexed_options *given, struct dwal_indexed **out)
{
    struct dwal_indexed *log = calloc(1, sizeof *log);
    if (!log)
        return dw_indexed_fail_memory();
    pthread_mutex_init(&log->write_mutex, NULL);
    pthread_mutex_init(&log->note_mutex, NULL);
    pthread_mutex_init(&log->values_mutex, NULL);
    pthread_mutex_init(&log->tables_mutex, NULL);
    *out = log;
    int result = resolve(given, &log->options);
    if (result == 0)
        result = copy_base_options(log->options.base, &log->base_options);
    if (result < 0)
        return result;
    log->options.base = NULL; /* the user's memory */
    log->is_read_only = log->base_options.mode != DWAL_WRITE;
    log->recent_mask = log->options.recent - 1;
    log->recent = calloc(log->options.recent, sizeof *log->recent);
    log->tables = calloc(log->options.tables, sizeof *log->tables);
    return log->recent && log->tables ? 0 : dw_indexed_fail_memory();
}

int dw_indexed_open_with(dw_indexed_open_fn *open_fn, void *context, const struct dwal_indexed_options *options,
                         bool is_single_stepped, dwal_indexed **out)
{
    struct dwal_indexed *log = NULL;
    *out = NULL;
    int result = make(options, &log);
    if (!log)
        return result;
    log->is_single_stepped = is_single_stepped;
    if (result == 0)
        result = open_base(open_fn, context, log);
    if (result == 0)
        result = learn_shape(log);
    if (result == 0)
        result = dw_indexed_replay(log);
    if (result == 0)
        result = begin(log, !log->has_state);
    if (result < 0) {
        struct dwal_error met = *dwal_last_error();
        (void)dwal_close(log->base);
        release(log);
        (void)dwal_set_error(&met);
        return result;
    }
    atomic_store_explicit(&log->visible, log->base, memory_order_relaxed);
    *out = log;
    return 0;
}

static int open_path(void *context, const struct dwal_options *options, dwal **base)
{
    return dwal_open(context, options, base);
}

int dwal_indexed_open(const char *path, const struct dwal_indexed_options *options, dwal_indexed **log)
{
    union {
        const char *read;
        void *context;
    } name = {.read = path};
    if (!path || !log)
        return dw_indexed_fail(DWAL_EARGUMENT, DWAL_NO_LSN, "path or log is NULL");
    return dw_indexed_open_with(open_path, name.context, options, false, log);
}

int dwal_indexed_create(const char *path, const struct dwal_indexed_options *options)
{
    struct dwal_options base;
    int result = dw_indexed_base_options(options, &base);
    return result < 0 ? result : dwal_create(path, &base);
}

dwal *dwal_indexed_base(dwal_indexed *log)
{
    return atomic_load_explicit(&log->visible, memory_order_relaxed);
}

/* ---- stop ---- */

/* Write down the index of the newest volume, so that the next open need not scan it. Best effort: nothing depends on it. */
static void write_index(struct dwal_indexed *log)
{
    struct dw_live *live = log->lives;
    if (!live || dwal_failure(log->base, NULL) != 0)
        return;
    uint64_t lsn = 0;
    if (dw_chain_put(log, live, &lsn) == 0)
        (void)dw_indexed_put_state(log, log->first, log->last, lsn);
}

/* Nobody holds a state any more: no call is inside. */
static void wait_until_left(struct dwal_indexed *log)
{
    while (atomic_load_explicit(&log->states_alive, memory_order_acquire) != 0) { /* pairs: INDEXED-ALIVE */
        const struct timespec pause = {.tv_nsec = LEAVE_PAUSE_NS};
        nanosleep(&pause, NULL);
    }
}

int dwal_indexed_stop(dwal_indexed *log)
{
    pthread_mutex_lock(&log->write_mutex);
    bool is_first = !log->is_closed;
    if (is_first && !log->is_read_only)
        write_index(log);
    log->is_closed = true;
    if (is_first)
        dw_state_publish(log, NULL);
    pthread_mutex_unlock(&log->write_mutex);
    if (!is_first)
        return 0;
    wait_until_left(log);
    atomic_store_explicit(&log->visible, NULL, memory_order_relaxed);
    return dwal_close(log->base);
}

int dwal_indexed_close(dwal_indexed *log)
{
    if (!log)
        return 0;
    int result = dwal_indexed_stop(log);
    release(log);
    return result;
}

void dw_indexed_abandon(dwal_indexed *log)
{
    release(log);
}
