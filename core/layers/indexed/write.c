/* write.c - storing entries: check, append as one batch, note where they are, wait until they are durable, show them.
 *
 * Called by: the user's threads. write_mutex is held from the check to the note, not over the wait: stores of several threads
 * are written by one write where they can be. All memory that noting needs is got before the append, so that what is in the
 * log is always noted. Failure: before the append nothing changed; a failed sync leaves the log FAILED, and readers see what
 * was durable before. */
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "core/layers/indexed/indexed.h"

#define PIECES_AHEAD 64u
#define LIVES_KEPT   8u /* more of them: look which may go */

/* ---- the right to write ---- */

int dw_indexed_begin_write(struct dwal_indexed *log)
{
    pthread_mutex_lock(&log->write_mutex);
    int result = 0;
    if (log->is_closed)
        result = dw_indexed_fail(DWAL_EINDEX_CLOSED, DWAL_NO_LSN, "the indexed log was stopped");
    else if (log->is_read_only)
        result = dw_indexed_fail(DWAL_EREADONLY, DWAL_NO_LSN, "the indexed log is open read-only");
    if (result < 0)
        pthread_mutex_unlock(&log->write_mutex);
    return result;
}

void dw_indexed_end_write(struct dwal_indexed *log)
{
    pthread_mutex_unlock(&log->write_mutex);
}

/* ---- memory, before anything is appended ---- */

static int reserve_lives(struct dwal_indexed *log, uint64_t count)
{
    uint64_t spare = 0;
    for (const struct dw_live *live = log->spare; live; live = live->next)
        spare++;
    for (; spare < count; spare++) {
        struct dw_live *live = dw_live_new(log, 0);
        if (!live)
            return dw_indexed_fail_memory();
        live->next = log->spare;
        log->spare = live;
    }
    return 0;
}

/* Room for the pieces of `count` volumes in the state that readers have. */
static int reserve_pieces(struct dwal_indexed *log, uint64_t count)
{
    struct dw_indexed_state *state = dw_state_acquire(log);
    uint64_t room = state->capacity - atomic_load_explicit(&state->count, memory_order_relaxed);
    bool is_fit = room >= count && log->lives_entered < LIVES_KEPT;
    dw_state_release(log, state);
    if (is_fit)
        return 0;
    log->lives_entered = 0;
    dw_live_retire(log);
    state = dw_state_derive(log, (uint32_t)count + PIECES_AHEAD);
    if (!state)
        return dw_indexed_fail_memory();
    dw_state_publish(log, state);
    return 0;
}

/* `size`: bytes of records that are to be appended in one piece. */
static int reserve(struct dwal_indexed *log, uint64_t size)
{
    uint64_t volumes = size / log->volume_span + 2;
    int result = reserve_lives(log, volumes);
    return result < 0 ? result : reserve_pieces(log, volumes);
}

/* `array`: the address of a pointer to any type. */
static bool grow(void *array, size_t size)
{
    void *at, *grown;
    memcpy(&at, array, sizeof at);
    grown = realloc(at, size);
    if (!grown)
        return false;
    memcpy(array, &grown, sizeof grown);
    // cppcheck-suppress memleak ; it is in *array now
    return true;
}

static int reserve_batch(struct dwal_indexed *log, size_t count)
{
    if (count <= log->batch_capacity)
        return 0;
    if (!grow(&log->entries, count * sizeof *log->entries) || !grow(&log->parts, 2 * count * sizeof *log->parts) ||
        !grow(&log->heads, count * sizeof *log->heads) || !grow(&log->lsns, count * sizeof *log->lsns))
        return dw_indexed_fail_memory();
    log->batch_capacity = count;
    return 0;
}

/* ---- noting ---- */

static void enter_volume(struct dwal_indexed *log, uint32_t volume)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    uint64_t now_ns = (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
    if (log->entered_ns != 0)
        atomic_store_explicit(&log->counts.volume_age_ns, now_ns - log->entered_ns, memory_order_relaxed);
    log->entered_ns = now_ns;
    struct dw_live *live = log->spare;
    dw_assert(live != NULL); /* reserved */
    log->spare = live->next;
    live->volume = volume;
    dw_live_enlist(log, live);
    log->is_piece_due = true;
    log->lives_entered++;
    dw_indexed_count(&log->counts.volumes, 1);
}

/* The live of the volume in which a record starts. note_mutex. */
static struct dw_live *live_at(struct dwal_indexed *log, uint64_t lsn)
{
    uint32_t volume = dw_indexed_volume_of(log, lsn);
    if (!log->lives || log->lives->volume != volume)
        enter_volume(log, volume);
    return log->lives;
}

static void add_piece(struct dwal_indexed *log, struct dw_live *live, uint64_t index, uint64_t lsn)
{
    struct dw_piece piece = {
        .first_index = index, .start_lsn = lsn, .volume = live->volume, .ordinal = live->entry_count, .live = live};
    struct dw_indexed_state *state = dw_state_acquire(log);
    dw_state_add_piece(state, &piece);
    dw_state_release(log, state);
}

static void note_entries(struct dwal_indexed *log, const struct dwal_indexed_entry *entries, const uint64_t *lsns,
                         size_t count)
{
    pthread_mutex_lock(&log->note_mutex);
    for (size_t i = 0; i < count; i++) {
        struct dw_live *live = live_at(log, lsns[i]);
        if (log->is_piece_due)
            add_piece(log, live, entries[i].index, lsns[i]);
        dw_live_note(log, live, entries[i].index, lsns[i], log->is_piece_due);
        log->is_piece_due = false;
        /* relaxed; pairs: INDEXED-LAST, by whoever raises it. */
        atomic_store_explicit(&log->recent[entries[i].index & log->recent_mask], lsns[i], memory_order_relaxed);
    }
    pthread_mutex_unlock(&log->note_mutex);
    log->last = entries[count - 1].index;
}

static void begin_append(struct dwal_indexed *log)
{
    atomic_store_explicit(&log->append_from, dwal_end(log->base), memory_order_relaxed);
    atomic_fetch_add_explicit(&log->appending, 1, memory_order_release); /* pairs: INDEXED-NOTE */
}

static void end_append(struct dwal_indexed *log)
{
    atomic_fetch_add_explicit(&log->appending, 1, memory_order_release); /* pairs: INDEXED-NOTE */
}

/* ---- records that are no entries ---- */

int dw_indexed_put(struct dwal_indexed *log, enum dw_indexed_kind kind, const void *head, size_t head_size,
                   const void *data, size_t size, uint64_t *lsn)
{
    union { /* iovec has no const */
        const void *read;
        void *base;
    } heads = {.read = head}, bytes = {.read = data};
    struct iovec metadata = {heads.base, head_size}, part = {bytes.base, size};
    struct dwal_entry entry = {
        .metadata = &metadata, .metadata_count = 1, .data = &part, .data_count = size > 0, .user = (uint16_t)kind};
    int result = reserve(log, head_size + size);
    if (result < 0)
        return result;
    uint64_t at;
    begin_append(log);
    result = dwal_append(log->base, &entry, &at, &log->end);
    if (result == 0) {
        pthread_mutex_lock(&log->note_mutex);
        struct dw_live *live = live_at(log, at);
        if (kind == DW_INDEXED_STATE)
            live->state_lsn = at;
        pthread_mutex_unlock(&log->note_mutex);
    }
    end_append(log);
    if (result == 0 && lsn)
        *lsn = at;
    return result;
}

int dw_indexed_put_state(struct dwal_indexed *log, uint64_t first, uint64_t last, uint64_t index_lsn)
{
    struct dw_indexed_state_head head = {.first = dw_le64_of(first),
                                         .last = dw_le64_of(last),
                                         .codec = dw_le64_of(log->codec),
                                         .index_lsn = dw_le64_of(index_lsn ? index_lsn : log->index_lsn),
                                         .version = dw_le32_of(1)};
    void *values;
    size_t size;
    int result = dw_values_encode(log, &values, &size);
    if (result == 0)
        result = dw_indexed_put(log, DW_INDEXED_STATE, &head, sizeof head, values, size, &log->state_lsn);
    free(values);
    return result;
}

void dw_indexed_refresh_state(struct dwal_indexed *log)
{
    bool is_due = log->lives && dw_indexed_volume_of(log, log->state_lsn) != log->lives->volume;
    if (is_due) /* when it fails the next store tries again; open needs it only to read less */
        (void)dw_indexed_put_state(log, log->first, log->last, 0);
}

/* ---- stores ---- */

static int refuse_index(const struct dwal_indexed *log, uint64_t index, uint64_t due)
{
    return dw_indexed_fail(DWAL_EINDEX_GAP, DWAL_NO_LSN,
                           "index %llu was to be stored, %llu is due (the log has %llu to %llu)",
                           (unsigned long long)index, (unsigned long long)due, (unsigned long long)log->first,
                           (unsigned long long)log->last);
}

/* *size: bytes that their records take. */
static int check(const struct dwal_indexed *log, const struct dwal_indexed_entry *entries, size_t count, uint64_t *size)
{
    bool is_empty = log->last < log->first;
    uint64_t due = is_empty ? entries[0].index : log->last + 1;
    *size = 0;
    for (size_t i = 0; i < count; i++, due++) {
        if (entries[i].index == 0 || entries[i].index == UINT64_MAX)
            return dw_indexed_fail(DWAL_EARGUMENT, DWAL_NO_LSN, "index %llu is not allowed: 1 to 2^64-2 are",
                                   (unsigned long long)entries[i].index);
        if (entries[i].index != due)
            return is_empty && i > 0
                       ? dw_indexed_fail(DWAL_EINDEX_GAP, DWAL_NO_LSN, "index %llu follows %llu in the same store",
                                         (unsigned long long)entries[i].index, (unsigned long long)entries[i - 1].index)
                       : refuse_index(log, entries[i].index, due);
        if (entries[i].size > log->options.entry_size_max)
            return dw_indexed_fail(DWAL_ETOOBIG, DWAL_NO_LSN, "entry %llu has %zu bytes, %u are allowed",
                                   (unsigned long long)due, entries[i].size, log->options.entry_size_max);
        if (!entries[i].data && entries[i].size > 0)
            return dw_indexed_fail(DWAL_EARGUMENT, DWAL_NO_LSN, "entry %llu has no data", (unsigned long long)due);
        *size += entries[i].size + 64;
    }
    return 0;
}

static void describe(const struct dwal_indexed_entry *entry, struct dw_indexed_entry_head *head, struct iovec parts[2],
                     struct dwal_entry *described)
{
    union {
        const void *read;
        void *base;
    } data = {.read = entry->data};
    head->index = dw_le64_of(entry->index);
    parts[0] = (struct iovec){head, sizeof *head};
    parts[1] = (struct iovec){data.base, entry->size};
    *described = (struct dwal_entry){.metadata = &parts[0],
                                     .metadata_count = 1,
                                     .data = &parts[1],
                                     .data_count = entry->size > 0,
                                     .user = DW_INDEXED_ENTRY};
}

static int append_one(struct dwal_indexed *log, const struct dwal_indexed_entry *entry)
{
    struct dwal_entry described;
    struct dw_indexed_entry_head head;
    struct iovec parts[2];
    uint64_t lsn;
    describe(entry, &head, parts, &described);
    begin_append(log);
    int result = dwal_append(log->base, &described, &lsn, &log->end);
    if (result == 0)
        note_entries(log, entry, &lsn, 1);
    end_append(log);
    return result;
}

static int append_many(struct dwal_indexed *log, const struct dwal_indexed_entry *entries, size_t count)
{
    int result = reserve_batch(log, count);
    if (result < 0)
        return result;
    for (size_t i = 0; i < count; i++)
        describe(&entries[i], &log->heads[i], &log->parts[2 * i], &log->entries[i]);
    begin_append(log);
    result = dwal_append_batch(log->base, log->entries, count, log->lsns, &log->end);
    if (result == 0)
        note_entries(log, entries, log->lsns, count);
    end_append(log);
    return result;
}

/* An empty log may go on anywhere: readers see it as empty until the first of these is durable. */
static int begin_anywhere(struct dwal_indexed *log, uint64_t index)
{
    uint64_t first = log->first, last = log->last;
    if (last >= first || first == index)
        return 0;
    log->first = index;
    log->last = index - 1;
    log->epoch++;
    struct dw_indexed_state *state = dw_state_derive(log, PIECES_AHEAD);
    if (state) {
        dw_state_publish(log, state);
        return 0;
    }
    log->first = first;
    log->last = last;
    log->epoch--; /* that of the state which readers have: what is stored next has to show there */
    return dw_indexed_fail_memory();
}

static int append_entries(struct dwal_indexed *log, const struct dwal_indexed_entry *entries, size_t count)
{
    uint64_t size;
    int result = check(log, entries, count, &size);
    if (result == 0)
        result = begin_anywhere(log, entries[0].index);
    if (result == 0)
        result = reserve(log, size);
    if (result == 0)
        result = count == 1 ? append_one(log, entries) : append_many(log, entries, count);
    if (result < 0)
        return result;
    dw_indexed_refresh_state(log);
    dw_indexed_count(&log->counts.appends, 1);
    dw_indexed_count(&log->counts.entries_written, count);
    dw_indexed_count(&log->counts.bytes_written, size - count * 64);
    return 0;
}

struct appended {
    uint64_t end, last, epoch;
};

static int append_locked(struct dwal_indexed *log, const struct dwal_indexed_entry *entries, size_t count,
                         struct appended *appended)
{
    if (!entries)
        return dw_indexed_fail(DWAL_EARGUMENT, DWAL_NO_LSN, "entries is NULL");
    int result = dw_indexed_begin_write(log);
    if (result < 0)
        return result;
    result = append_entries(log, entries, count);
    *appended = (struct appended){.end = log->end, .last = log->last, .epoch = log->epoch};
    dw_indexed_end_write(log);
    return result;
}

int dwal_indexed_store(dwal_indexed *log, const struct dwal_indexed_entry *entries, size_t count)
{
    if (count == 0)
        return 0;
    struct dw_indexed_state *state = dw_state_acquire(log); /* the log beneath stays open while we wait */
    if (!state)
        return dw_indexed_fail(DWAL_EINDEX_CLOSED, DWAL_NO_LSN, "the indexed log was stopped");
    struct appended appended = {0};
    int result = append_locked(log, entries, count, &appended);
    if (result == 0)
        result = dwal_sync(log->base, appended.end);
    dw_state_release(log, state);
    if (result == 0)
        dw_state_raise(log, appended.epoch, appended.last);
    return result;
}

int dwal_indexed_append(dwal_indexed *log, const struct dwal_indexed_entry *entries, size_t count, uint64_t *end)
{
    struct appended appended = {0};
    int result = 0;
    if (count > 0) {
        result = append_locked(log, entries, count, &appended);
    } else {
        result = dw_indexed_begin_write(log);
        appended.end = log->end;
        if (result == 0)
            dw_indexed_end_write(log);
    }
    if (result == 0 && end)
        *end = appended.end;
    return result;
}

int dwal_indexed_sync(dwal_indexed *log, uint64_t end)
{
    int result = dw_indexed_begin_write(log);
    if (result < 0)
        return result;
    /* All that was appended up to now; `end` may be older. */
    struct appended appended = {.end = log->end, .last = log->last, .epoch = log->epoch};
    dw_indexed_end_write(log);
    if (end > appended.end)
        return dw_indexed_fail(DWAL_EARGUMENT, end, "this was never appended");
    struct dw_indexed_state *state = dw_state_acquire(log);
    if (!state)
        return dw_indexed_fail(DWAL_EINDEX_CLOSED, DWAL_NO_LSN, "the indexed log was stopped");
    result = dwal_sync(log->base, appended.end);
    dw_state_release(log, state);
    if (result == 0)
        dw_state_raise(log, appended.epoch, appended.last);
    return result;
}
