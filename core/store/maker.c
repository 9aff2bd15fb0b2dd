/* maker.c - the maker's steps: what must be done so that the flusher never has to wait for a file.
 *
 * Called by: the maker's thread, or a test that steps it by hand; one at a time. dw_store_maker_wake: any thread.
 * Happy path: leave the device alone while a volume begins; then, by urgency: claim the next volume -> write a TOC that is due
 * -> retire what trim freed -> fill one chunk of a blank: at the pace that was asked for; without pauses when that lags behind
 * what the log uses up; at full speed when no blank is ready and none is claimed ahead.
 * Failure: no space for a blank is no failure of the log: the temporary goes, appenders are told once the blanks are used
 * up, and it is tried again every 100 ms and whenever a volume was retired. Anything else stops the store.
 * Closing: the thread is gone before dw_store_close. */
#include <string.h>

#include "base/bits.h"
#include "core/store/state.h"

#define BLANKS_FOR_SPARE 4u  /* who wants so many has one to spare */
#define CROSSING_SHARE   16u /* a volume's beginning, during which it is left alone, is that part of its life at most */

/* ---- sleeping ---- */

void dw_store_maker_wake(struct dw_store *store)
{
    atomic_store_explicit(&store->is_wake_due, true, memory_order_release); /* pairs: STORE-WAKE */
    dw_event_notify(&store->wake_event);
}

void dw_store_maker_sleep(struct dw_store *store, uint64_t wait_ns)
{
    if (wait_ns == 0)
        return;
    uint32_t key = dw_event_prepare(&store->wake_event);
    if (atomic_load_explicit(&store->is_wake_due, memory_order_acquire)) /* pairs: STORE-WAKE */
        dw_event_cancel(&store->wake_event);
    else
        (void)dw_event_wait(&store->wake_event, key, wait_ns == UINT64_MAX ? DW_NO_TIMEOUT : wait_ns);
}

/* ---- space ---- */

static void tell_space(struct dw_store *store)
{
    if (store->options.hooks.on_space)
        store->options.hooks.on_space(store->options.hooks.context);
}

/* Out of space is: one more blank could not be made, and those that were there are used up, or cannot be claimed. */
static void judge_space(struct dw_store *store)
{
    bool is_out = store->is_claim_blocked || (store->making.is_blocked && store->blank_count == 0);
    if (is_out) /* those who asked are refused; nobody waits for more than one volume ahead any longer */
        atomic_store_explicit(&store->demand, 0, memory_order_relaxed);
    bool was_out =
        atomic_exchange_explicit(&store->is_out_of_space, is_out, memory_order_acq_rel); /* pairs: STORE-OUT */
    if (is_out != was_out)
        tell_space(store);
}

/* ---- claim ---- */

static int record_claim(struct dw_store *store, uint32_t number)
{
    struct dw_row *head = atomic_load_explicit(&store->head, memory_order_acquire); /* pairs: STORE-HEAD */
    uint64_t watermark = dw_store_durable_block(store);
    pthread_mutex_lock(&store->superblock_mutex);
    struct dw_superblock_info info = store->superblock;
    info.claimed = number;
    info.head = head->volume.number;
    info.watermark = watermark;
    int result = dw_superblock_write(store, &info);
    pthread_mutex_unlock(&store->superblock_mutex);
    return result;
}

static uint64_t current_epoch(struct dw_store *store)
{
    pthread_mutex_lock(&store->superblock_mutex); /* a trim may be writing the superblock */
    uint64_t epoch = store->superblock.epoch;
    pthread_mutex_unlock(&store->superblock_mutex);
    return epoch;
}

static int claim_next(struct dw_store *store, bool *is_worked)
{
    struct dw_volume_info info = {
        .number = store->last_number + 1,
        .predecessor = store->last_number,
        .predecessor_end = DW_PREDECESSOR_RUNS_ON,
        .in_flight_blocks = store->options.in_flight_blocks,
        .epoch = current_epoch(store),
        .claim_time = dw_store_realtime(store),
        .geometry = *dw_store_geometry(store),
    };
    struct dw_row *row;
    bool was_blocked = store->is_claim_blocked;
    int result = dw_claim_volume(store, &info, &row);
    if (store->is_claim_blocked) {
        if (!was_blocked)
            dw_store_tell(store, DWAL_EVENT_WARNING, "%s", dwal_last_error()->text);
        judge_space(store);
        return 0;
    }
    if (result != 0 || !row)
        return result;
    result = record_claim(store, info.number);
    if (result != 0)
        return result;
    /* The flusher may have taken `next` while this one was made on demand: then it is the turn of one claimed before. */
    bool has_next = atomic_load_explicit(&store->next, memory_order_acquire) != NULL; /* pairs: STORE-TAKEN */
    struct dw_row *head = atomic_load_explicit(&store->head, memory_order_acquire);   /* pairs: STORE-HEAD */
    if (!has_next && info.number == head->volume.number + 1)
        dw_claim_publish(store, row);
    else
        dw_claim_publish_space(store, row);
    *is_worked = true;
    judge_space(store);
    tell_space(store);
    return 0;
}

/* A large entry asked for more volumes than the one ahead. */
static bool is_more_demanded(const struct dw_store *store)
{
    return atomic_load_explicit(&store->space, memory_order_relaxed) <
           atomic_load_explicit(&store->demand, memory_order_acquire); /* pairs: STORE-DEMAND */
}

/* The volume after the head was claimed before, on demand: the flusher may have it now. */
static bool hand_over_claimed(struct dw_store *store)
{
    struct dw_row *head = atomic_load_explicit(&store->head, memory_order_acquire); /* pairs: STORE-HEAD */
    if (head->volume.number >= store->last_number)
        return false;
    pthread_mutex_lock(&store->mutex);
    struct dw_row *row = dw_table_find(store, head->volume.number + 1);
    pthread_mutex_unlock(&store->mutex);
    dw_assert(row != NULL);
    atomic_store_explicit(&store->next, row, memory_order_release); /* pairs: STORE-NEXT */
    tell_space(store);
    return true;
}

static uint64_t quiet_of(const struct dw_store *store, uint64_t now)
{
    return dw_min_u64(store->options.crossing_ns, (now - store->seen_head_ns) / CROSSING_SHARE);
}

/* Was a volume begun just now? What is to be done then are seven writes and flushes, and a commit that meets one of them waits
 * longer: it is not to be the one that crossed. A volume that fills up quickly is left alone for less, and when somebody waits
 * for space, or no blank is ready, there is no time to lose. */
static bool is_crossing(struct dw_store *store, uint64_t *wait_ns)
{
    struct dw_row *head = atomic_load_explicit(&store->head, memory_order_acquire); /* pairs: STORE-HEAD */
    uint64_t now = dw_store_now(store);
    if (head->volume.number != store->seen_head) {
        store->quiet_until_ns = now + quiet_of(store, now);
        store->seen_head = head->volume.number;
        store->seen_head_ns = now;
    }
    if (now >= store->quiet_until_ns || store->blank_count == 0 || is_more_demanded(store))
        return false;
    *wait_ns = dw_min_u64(*wait_ns, store->quiet_until_ns - now);
    return true;
}

/* The head is about to be full. On some file systems the first durable write to a file in a tick of the clock also writes its
 * inode, for its times: let that be done before the first commit of the next volume comes, and leave the device to that one.
 * Only the maker closes files, so the row stays good although the flusher may take it meanwhile. */
static int touch_step(struct dw_store *store, bool *is_worked)
{
    *is_worked = false;
    if (!atomic_load_explicit(&store->is_crossing_due, memory_order_relaxed) ||
        !atomic_exchange_explicit(&store->is_crossing_due, false, memory_order_acq_rel)) /* pairs: STORE-CROSSING */
        return 0;
    const struct dw_row *row = atomic_load_explicit(&store->next, memory_order_acquire); /* pairs: STORE-NEXT */
    if (!row)                                                                            /* too late */
        return 0;
    uint64_t now = dw_store_now(store);
    store->quiet_until_ns = now + quiet_of(store, now);
    *is_worked = true;
    int result = store->disk->ops->touch(row->volume.file);
    if (result == 0)
        return 0;
    return dw_fail_device_at(result, row->volume.number, DWAL_NO_LSN, DWAL_NO_LSN, "%s/%s cannot be synced",
                             store->disk->path, row->place.name);
}

static int claim_step(struct dw_store *store, bool *is_worked, uint64_t *wait_ns)
{
    *is_worked = false;
    bool has_next = atomic_load_explicit(&store->next, memory_order_acquire) != NULL; /* pairs: STORE-TAKEN */
    if (!has_next && hand_over_claimed(store)) {
        *is_worked = true;
        return 0;
    }
    if ((has_next && !is_more_demanded(store)) || is_crossing(store, wait_ns))
        return 0;
    if (store->last_number >= DW_VOLUME_NUMBER_MAX) {
        if (!atomic_exchange_explicit(&store->is_exhausted, true, memory_order_acq_rel)) /* pairs: STORE-EXHAUSTED */
            tell_space(store);
        return 0;
    }
    if (store->blank_count == 0)
        return 0;
    uint64_t now = dw_store_now(store);
    if (now >= store->claim_retry_ns) {
        int result = claim_next(store, is_worked);
        if (result != 0 || *is_worked)
            return result;
        /* Readers of recycled volumes are about to find out; space takes longer to come back. */
        store->claim_retry_ns = now + (store->is_claim_blocked ? DW_SPACE_RETRY_NS : DW_CLAIM_RETRY_NS);
    }
    *wait_ns = dw_min_u64(*wait_ns, store->is_claim_blocked ? DW_SPACE_RETRY_NS : DW_CLAIM_RETRY_NS);
    return 0;
}

/* ---- blanks ---- */

static bool is_urgent(const struct dw_store *store)
{
    bool has_next = atomic_load_explicit(&store->next, memory_order_acquire) != NULL; /* pairs: STORE-TAKEN */
    return store->blank_count == 0 && (!has_next || is_more_demanded(store));
}

/* Has nothing become durable for a while? Then nobody is slowed down by filling at full speed. */
static bool is_log_idle(struct dw_store *store, uint64_t now)
{
    struct dw_making *making = &store->making;
    uint64_t durable = dw_store_durable_block(store);
    if (durable != making->seen_durable) {
        making->seen_durable = durable;
        making->busy_ns = now;
    }
    return now - making->busy_ns >= DW_FILL_IDLE_NS;
}

/* Bytes of the blank that is being made. */
static uint64_t filled_of_making(const struct dw_store *store)
{
    return store->making.file ? store->making.filled : 0;
}

/* Bytes of the head that are durable. */
static uint64_t used_of_head(struct dw_store *store)
{
    const struct dw_geometry *geometry = dw_store_geometry(store);
    struct dw_row *head = atomic_load_explicit(&store->head, memory_order_acquire); /* pairs: STORE-HEAD */
    uint64_t first = dw_first_block_of_volume(geometry, head->volume.number), durable = dw_store_durable_block(store);
    return durable > first ? (durable - first) * geometry->block_size : 0;
}

static uint32_t spare_blanks(const struct dw_store *store)
{
    return store->superblock.blanks >= BLANKS_FOR_SPARE ? 1 : 0;
}

/* Does filling not keep up with the log? One blank, where four or more are wanted, should be there beyond the one whose
 * making has come as far as the writing of the head: then blanks are made as fast as they are used, and never all at once. */
static bool is_behind(struct dw_store *store)
{
    uint64_t size = dw_store_geometry(store)->volume_size;
    uint64_t made = store->blank_count * size + filled_of_making(store);
    return made < used_of_head(store) + spare_blanks(store) * size;
}

/* Is there no need yet? For each blank that is missing a share of one is filled as large as the share of the head that is used, so
 * that a slow log is not disturbed by a hurry of ours. Of four or more one may be missing: a trim often brings a volume back. */
static bool is_ahead(struct dw_store *store)
{
    const struct dw_geometry *geometry = dw_store_geometry(store);
    uint32_t enough = store->blank_count + spare_blanks(store), wanted = store->superblock.blanks;
    uint64_t missing = wanted > enough ? wanted - enough : 0, used = used_of_head(store);
    if (missing == 0 || used == 0)
        return true;
    uint64_t rest =
        geometry->volume_size - geometry->data_blocks * geometry->block_size; /* a blank's, never a head's */
    return filled_of_making(store) >= used * missing + rest;
}

static size_t chunk_of(bool is_fast, bool is_late)
{
    if (is_fast)
        return DW_FILL_CHUNK;
    return is_late ? DW_FILL_CHUNK_LATE : DW_FILL_CHUNK_BUSY;
}

static void pace(struct dw_store *store, uint64_t now, uint64_t bytes)
{
    uint64_t rate = store->options.fill_bytes_per_second;
    store->making.not_before_ns = rate == 0 ? 0 : now + (uint64_t)((double)bytes * 1e9 / (double)rate);
}

static int met_shortage(struct dw_store *store, int why, uint64_t now, uint64_t *wait_ns)
{
    char text[128];
    if (!store->making.is_blocked)
        dw_store_tell(store, DWAL_EVENT_WARNING, "no space for one more volume in %s (%s); %u blanks are left",
                      store->disk->path, strerror_r(-why, text, sizeof text), store->blank_count);
    store->making.is_blocked = true;
    store->making.retry_ns = now + DW_SPACE_RETRY_NS;
    *wait_ns = dw_min_u64(*wait_ns, DW_SPACE_RETRY_NS);
    judge_space(store);
    return 0;
}

static int fill_step(struct dw_store *store, bool *is_worked, uint64_t *wait_ns)
{
    struct dw_making *making = &store->making;
    *is_worked = false;
    if (store->blank_count >= store->superblock.blanks && !making->file) {
        making->is_blocked = false;
        return 0;
    }
    uint64_t now = dw_store_now(store);
    uint64_t due = making->is_blocked ? making->retry_ns : making->not_before_ns;
    bool is_fast = is_urgent(store) || is_log_idle(store, now);
    bool is_late = !is_fast && is_behind(store);
    if (now < due && (making->is_blocked || !(is_fast || is_late))) {
        *wait_ns = dw_min_u64(*wait_ns, dw_min_u64(due - now, DW_FILL_LOOK_NS));
        return 0;
    }
    if (!is_fast && !is_late && store->options.fill_bytes_per_second != 0 && is_ahead(store)) {
        *wait_ns = dw_min_u64(*wait_ns, DW_FILL_LOOK_NS);
        return 0;
    }
    uint64_t filled = filled_of_making(store);
    bool is_made;
    int result = dw_blank_make(store, chunk_of(is_fast, is_late), &is_made);
    if (dw_is_shortage(result))
        return met_shortage(store, result, now, wait_ns);
    if (result != 0)
        return dw_fail_system(result, "a blank volume cannot be made in %s", store->disk->path);
    *is_worked = true;
    if (is_made)
        making->is_blocked = false;
    else
        pace(store, now, making->filled - filled);
    judge_space(store);
    return 0;
}

/* ---- one step ---- */

static int toc_step(struct dw_store *store, bool *is_worked)
{
    struct dw_row *row = dw_toc_waiting(store);
    *is_worked = row != NULL;
    return row ? dw_toc_write_waiting(store, row) : 0;
}

static int retire_step(struct dw_store *store, bool *is_worked, uint64_t *wait_ns)
{
    int result = dw_retire_step(store, is_worked, wait_ns);
    if (result == 0 && *is_worked) {
        store->making.retry_ns = store->claim_retry_ns = 0; /* there is space again, perhaps */
        judge_space(store);
    }
    return result;
}

enum dw_step dw_store_step(struct dw_store *store, uint64_t *wait_ns)
{
    dw_assert(store->is_settled);
    *wait_ns = UINT64_MAX;
    /* Before looking at anything: news that comes later keeps us from sleeping. Pairs: STORE-WAKE. */
    (void)atomic_exchange_explicit(&store->is_wake_due, false, memory_order_acq_rel); /* pairs: STORE-WAKE */
    if (dw_store_is_stopped(store))
        return DW_STEP_IDLE;
    bool is_worked;
    int result = touch_step(store, &is_worked);
    if (result == 0 && !is_worked)
        result = claim_step(store, &is_worked, wait_ns);
    if (result == 0 && !is_worked && is_crossing(store, wait_ns))
        return DW_STEP_IDLE;
    if (result == 0 && !is_worked)
        result = toc_step(store, &is_worked);
    if (result == 0 && !is_worked)
        result = retire_step(store, &is_worked, wait_ns);
    if (result == 0 && !is_worked)
        result = fill_step(store, &is_worked, wait_ns);
    if (result != 0) {
        (void)dw_store_stop(store, result);
        *wait_ns = UINT64_MAX;
        return DW_STEP_IDLE;
    }
    if (!is_worked)
        return DW_STEP_IDLE;
    *wait_ns = 0; /* the pace is kept by the step that would fill too early */
    return DW_STEP_WORKED;
}
