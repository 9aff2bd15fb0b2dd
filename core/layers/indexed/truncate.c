/* truncate.c - entries go away: a STATE record with the new bounds, durable; then readers see it; then volumes are freed.
 *
 * Called by: the user's threads, under write_mutex from the check to the end, the sync included: so a truncation and the
 * stores around it are in one order, in the log and for readers. The STATE is the commit point; trimming the log beneath only
 * gives space back, and open repeats it.
 * Failure: before the STATE is appended nothing changed. With a full disk the front is first given back by trimming alone,
 * which writes nothing new; a crash then leaves the log begun where it was trimmed. */
#include <string.h>
#include <time.h>

#include "core/layers/indexed/indexed.h"

#define PIECES_AHEAD  64u
#define SPACE_WAITS   100
#define SPACE_WAIT_NS 10000000

/* ---- giving space back ---- */

/* lsn before which no entry and no STATE is needed, if the log began at `first`. */
static uint64_t needed_from(struct dwal_indexed *log, uint64_t first)
{
    struct dw_indexed_state *state = dw_state_acquire(log);
    uint64_t lsn = log->state_lsn, before;
    if (first <= log->last && atomic_load_explicit(&state->count, memory_order_relaxed) > 0) {
        const struct dw_piece *piece = dw_state_find(state, first, &before);
        lsn = piece->start_lsn < lsn ? piece->start_lsn : lsn;
    }
    dw_state_release(log, state);
    return lsn;
}

static bool is_freeing(struct dwal_indexed *log, uint64_t lsn)
{
    uint64_t first = dwal_first(log->base);
    return lsn > first && dw_indexed_volume_of(log, lsn) > dw_indexed_volume_of(log, first);
}

static int trim_to(struct dwal_indexed *log, uint64_t lsn)
{
    if (!is_freeing(log, lsn))
        return 0;
    uint64_t durable = dwal_durable(log->base);
    return dwal_trim(log->base, lsn < durable ? lsn : durable);
}

int dw_indexed_trim(struct dwal_indexed *log)
{
    return trim_to(log, needed_from(log, log->first));
}

/* ---- the change ---- */

/* The state that readers shall have when the log has these bounds; made before anything is written. */
static struct dw_indexed_state *foresee(struct dwal_indexed *log, uint64_t first, uint64_t last)
{
    uint64_t old_first = log->first, old_last = log->last;
    log->first = first;
    log->last = last;
    log->epoch++;
    struct dw_indexed_state *state = dw_state_derive(log, PIECES_AHEAD);
    log->first = old_first;
    log->last = old_last;
    log->epoch--;
    return state;
}

/* What can be given back by trimming alone, if the log is to begin at `first`: *lsn is where to, *begin the index that the log
 * then begins with. Whole pieces only, so that what stays can be told from the pieces: a part of what is wanted. */
static void look_for_space(struct dwal_indexed *log, uint64_t first, uint64_t *lsn, uint64_t *begin)
{
    uint64_t before, wanted = first <= log->last ? first : log->last;
    struct dw_indexed_state *state = dw_state_acquire(log);
    const struct dw_piece *piece = dw_state_find(state, wanted, &before);
    *begin = piece->first_index;
    *lsn = piece->start_lsn < log->state_lsn ? piece->start_lsn : log->state_lsn;
    if (first > log->last && piece->volume < dw_indexed_volume_of(log, log->state_lsn)) {
        *begin = log->last + 1; /* all of it: no volume with an entry stays */
        *lsn = log->state_lsn;
    }
    dw_state_release(log, state);
}

/* Free the volumes that nothing from `first` on needs. What goes with them is gone for readers too. */
static int give_back(struct dwal_indexed *log, uint64_t first)
{
    uint64_t lsn, begin;
    struct dw_indexed_state *state = NULL;
    look_for_space(log, first, &lsn, &begin);
    if (!is_freeing(log, lsn))
        return 0;
    if (begin > log->first) {
        state = foresee(log, begin, log->last);
        if (!state)
            return dw_indexed_fail_memory();
    }
    /* The STATE that is kept has to be there after a crash. */
    int result = log->state_lsn < dwal_durable(log->base) ? 0 : dwal_sync(log->base, log->end);
    if (result == 0)
        result = trim_to(log, lsn);
    if (!state || result < 0) {
        if (state)
            dw_state_discard(log, state);
        return result;
    }
    log->first = begin;
    log->epoch++;
    log->is_piece_due |= begin > log->last;
    dw_state_publish(log, state);
    return 0;
}

/* There is no space for a STATE: give back what can be given back without one, and wait a moment for the maker. */
static int make_space(struct dwal_indexed *log, uint64_t first, uint64_t last)
{
    int waits = log->is_single_stepped ? 1 : SPACE_WAITS;
    int result = give_back(log, first);
    while (result == 0) {
        result = dw_indexed_put_state(log, first, last, 0);
        if (result != DWAL_ENOSPACE || --waits == 0)
            return result;
        const struct timespec pause = {.tv_nsec = SPACE_WAIT_NS};
        nanosleep(&pause, NULL);
        result = 0;
    }
    return result;
}

/* From now on the log has first..last (empty when last < first). */
static int change_bounds(struct dwal_indexed *log, uint64_t first, uint64_t last)
{
    struct dw_indexed_state *state = foresee(log, first, last);
    if (!state)
        return dw_indexed_fail_memory();
    int result = dw_indexed_put_state(log, first, last, 0);
    if (result == DWAL_ENOSPACE && first > log->first && last == log->last)
        result = make_space(log, first, last);
    if (result == 0)
        result = dwal_sync(log->base, log->end);
    if (result < 0) {
        dw_state_discard(log, state);
        return result;
    }
    log->is_piece_due |= last < log->last || last < first;
    log->first = first;
    log->last = last;
    state->epoch = ++log->epoch;
    dw_state_publish(log, state);
    result = dw_indexed_trim(log);
    /* It has happened; the volumes are given back at the next truncation, or at the next open. */
    return result == DWAL_EMEMORY || result == DWAL_ENOSPACE ? 0 : result;
}

static int empty(struct dwal_indexed *log, uint64_t next)
{
    return change_bounds(log, next, next - 1);
}

static bool is_empty(const struct dwal_indexed *log)
{
    return log->last < log->first;
}

static int truncate_front(struct dwal_indexed *log, uint64_t index)
{
    if (is_empty(log) || index <= log->first)
        return 0;
    uint64_t count = index > log->last ? log->last - log->first + 1 : index - log->first;
    int result = index > log->last ? empty(log, log->last + 1) : change_bounds(log, index, log->last);
    if (result < 0)
        return result;
    dw_indexed_count(&log->counts.front_truncations, 1);
    dw_indexed_count(&log->counts.entries_truncated_front, count);
    return 0;
}

static int truncate_back(struct dwal_indexed *log, uint64_t index)
{
    if (is_empty(log) ? index == 0 : index >= log->last)
        return 0;
    if (is_empty(log) || index < log->first)
        return dw_indexed_fail(DWAL_EINDEX_NONE, DWAL_NO_LSN,
                               "index %llu cannot become the last: the log has %llu to %llu", (unsigned long long)index,
                               (unsigned long long)(is_empty(log) ? 0 : log->first),
                               (unsigned long long)(is_empty(log) ? 0 : log->last));
    uint64_t count = log->last - index;
    int result = change_bounds(log, log->first, index);
    if (result < 0)
        return result;
    dw_indexed_count(&log->counts.back_truncations, 1);
    dw_indexed_count(&log->counts.entries_truncated_back, count);
    return 0;
}

static int delete_range(struct dwal_indexed *log, uint64_t min, uint64_t max)
{
    if (min > max || is_empty(log) || min > log->last || max < log->first)
        return 0;
    if (min <= log->first)
        return truncate_front(log, max >= log->last ? log->last + 1 : max + 1);
    if (max >= log->last)
        return truncate_back(log, min - 1);
    return dw_indexed_fail(DWAL_EINDEX_MIDDLE, DWAL_NO_LSN, "%llu to %llu lie inside of %llu to %llu",
                           (unsigned long long)min, (unsigned long long)max, (unsigned long long)log->first,
                           (unsigned long long)log->last);
}

int dwal_indexed_truncate_front(dwal_indexed *log, uint64_t index)
{
    int result = dw_indexed_begin_write(log);
    if (result < 0)
        return result;
    result = truncate_front(log, index);
    dw_indexed_end_write(log);
    return result;
}

int dwal_indexed_truncate_back(dwal_indexed *log, uint64_t index)
{
    int result = dw_indexed_begin_write(log);
    if (result < 0)
        return result;
    result = truncate_back(log, index);
    dw_indexed_end_write(log);
    return result;
}

int dwal_indexed_delete_range(dwal_indexed *log, uint64_t min, uint64_t max)
{
    int result = dw_indexed_begin_write(log);
    if (result < 0)
        return result;
    result = delete_range(log, min, max);
    dw_indexed_end_write(log);
    return result;
}

int dwal_indexed_reset(dwal_indexed *log)
{
    int result = dw_indexed_begin_write(log);
    if (result < 0)
        return result;
    if (!is_empty(log))
        result = truncate_front(log, log->last + 1);
    dw_indexed_end_write(log);
    return result;
}
