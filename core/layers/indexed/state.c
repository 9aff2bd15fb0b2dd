/* state.c - what readers see: an immutable piece of memory that the writer replaces at a truncation, and adds to in between.
 *
 * One word holds the address of the current state (48 bits) and how many readers took it and have not given it back (16 bits).
 * A reader takes it with one add. It gives it back by taking its one off again while the state is current, else by one off the
 * state's own count, to which the writer has carried over those that were out when it replaced the state. Whoever brings that
 * count to 0 frees it. Nobody waits for anybody.
 * Called by: readers on any thread; publish and derive by the writer, under write_mutex. Failure: no memory, an answer.
 * Closing: publish(NULL); when states_alive is 0 no reader is left. */
#include <stdlib.h>
#include <string.h>

#include "core/layers/indexed/indexed.h"

#define COUNT_BITS 16u
#define COUNT_MASK ((UINT64_C(1) << COUNT_BITS) - 1)

static struct dw_indexed_state *state_of(uint64_t word)
{
    return (struct dw_indexed_state *)(uintptr_t)(word >> COUNT_BITS); // NOLINT(performance-no-int-to-ptr)
}

static void state_free(struct dwal_indexed *log, struct dw_indexed_state *state)
{
    uint32_t count = atomic_load_explicit(&state->count, memory_order_relaxed);
    for (uint32_t i = 0; i < count; i++)
        dw_live_drop(state->pieces[i].live);
    free(state);
    atomic_fetch_sub_explicit(&log->states_alive, 1, memory_order_release); /* pairs: INDEXED-ALIVE */
}

void dw_state_discard(struct dwal_indexed *log, struct dw_indexed_state *state)
{
    state_free(log, state);
}

struct dw_indexed_state *dw_state_acquire(struct dwal_indexed *log)
{
    uint64_t word = atomic_fetch_add_explicit(&log->current, 1, memory_order_acquire); /* pairs: INDEXED-STATE */
    struct dw_indexed_state *state = state_of(word);
    if (DW_UNLIKELY(!state))
        atomic_fetch_sub_explicit(&log->current, 1, memory_order_relaxed);
    dw_assert((word & COUNT_MASK) < COUNT_MASK - 1); /* 65,534 readers inside at one moment */
    return state;
}

void dw_state_release(struct dwal_indexed *log, struct dw_indexed_state *state)
{
    uint64_t word = atomic_load_explicit(&log->current, memory_order_relaxed);
    while (state_of(word) == state)
        /* release: what was read from the state was read before. pairs: INDEXED-STATE */
        if (atomic_compare_exchange_weak_explicit(&log->current, &word, word - 1, memory_order_release,
                                                  memory_order_relaxed))
            return;
    if (atomic_fetch_sub_explicit(&state->refs, 1, memory_order_acq_rel) == 1)
        state_free(log, state);
}

void dw_state_publish(struct dwal_indexed *log, struct dw_indexed_state *state)
{
    uint64_t made = (uint64_t)(uintptr_t)state << COUNT_BITS;
    dw_assert(state_of(made) == state);
    uint64_t word = atomic_load_explicit(&log->current, memory_order_relaxed);
    /* An acquire that finds nothing adds and takes off again: those must not be lost. */
    while (!atomic_compare_exchange_weak_explicit(&log->current, &word,
                                                  state_of(word) ? made : made + (word & COUNT_MASK),
                                                  memory_order_acq_rel, /* pairs: INDEXED-STATE */
                                                  memory_order_relaxed))
        ;
    struct dw_indexed_state *old = state_of(word);
    if (!old)
        return;
    int64_t out = (int64_t)(word & COUNT_MASK);
    if (atomic_fetch_add_explicit(&old->refs, out, memory_order_acq_rel) + out == 0)
        state_free(log, old);
}

struct dw_indexed_state *dw_state_new(struct dwal_indexed *log, uint64_t first, uint64_t last, uint32_t capacity)
{
    struct dw_indexed_state *state = calloc(1, sizeof *state + capacity * sizeof(struct dw_piece));
    if (!state)
        return NULL;
    state->first = first;
    state->epoch = log->epoch;
    atomic_init(&state->last, last);
    state->capacity = capacity;
    atomic_fetch_add_explicit(&log->states_alive, 1, memory_order_relaxed);
    return state;
}

void dw_state_add_piece(struct dw_indexed_state *state, const struct dw_piece *piece)
{
    uint32_t count = atomic_load_explicit(&state->count, memory_order_relaxed);
    dw_assert(count < state->capacity);
    state->pieces[count] = *piece;
    if (piece->live)
        dw_live_hold(piece->live);
    atomic_store_explicit(&state->count, count + 1, memory_order_release); /* pairs: INDEXED-PIECES */
}

/* Does the log need piece `i`, when its bounds are these? */
static bool is_needed(const struct dw_indexed_state *state, uint32_t count, uint32_t i, uint64_t first, uint64_t last)
{
    if (last < first || state->pieces[i].first_index > last)
        return false;
    return i + 1 == count || state->pieces[i + 1].first_index > first;
}

struct dw_indexed_state *dw_state_derive(struct dwal_indexed *log, uint32_t more)
{
    uint64_t first = log->first, last = log->last;
    struct dw_indexed_state *from = state_of(atomic_load_explicit(&log->current, memory_order_relaxed));
    uint32_t count = atomic_load_explicit(&from->count, memory_order_relaxed), needed = 0;
    for (uint32_t i = 0; i < count; i++)
        needed += is_needed(from, count, i, first, last);
    uint64_t seen = from->epoch == log->epoch ? atomic_load_explicit(&from->last, memory_order_relaxed) : last;
    struct dw_indexed_state *made = dw_state_new(log, first, seen, needed + needed / 4 + more);
    if (!made)
        return NULL;
    for (uint32_t i = 0; i < count; i++) {
        if (!is_needed(from, count, i, first, last))
            continue;
        struct dw_piece piece = from->pieces[i];
        if (piece.live && dw_live_of(log, piece.volume) != piece.live)
            piece.live = NULL; /* it left the list: its table is durable */
        dw_state_add_piece(made, &piece);
    }
    return made;
}

void dw_state_raise(struct dwal_indexed *log, uint64_t epoch, uint64_t last)
{
    for (;;) {
        struct dw_indexed_state *state = dw_state_acquire(log);
        if (!state)
            return;
        uint64_t seen = atomic_load_explicit(&state->last, memory_order_relaxed);
        while (state->epoch == epoch && seen < last &&
               !atomic_compare_exchange_weak_explicit(&state->last, &seen, last, memory_order_release,
                                                      memory_order_relaxed)) /* pairs: INDEXED-LAST */
            ;
        bool is_current = state_of(atomic_load_explicit(&log->current, memory_order_acquire)) == state;
        dw_state_release(log, state);
        if (is_current)
            return; /* else its follower may have been made from what it was before */
    }
}

const struct dw_piece *dw_state_find(const struct dw_indexed_state *state, uint64_t index, uint64_t *before)
{
    uint32_t count = atomic_load_explicit(&state->count, memory_order_acquire); /* pairs: INDEXED-PIECES */
    uint32_t low = 0, high = count; /* pieces below `low` begin at or before it, those from `high` on behind it */
    if (count > 0 && state->pieces[count - 1].first_index <= index)
        low = count; /* nearly always */
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (state->pieces[middle].first_index <= index)
            low = middle + 1;
        else
            high = middle;
    }
    dw_assert(low > 0);
    *before = low < count ? state->pieces[low].start_lsn : UINT64_MAX;
    return &state->pieces[low - 1];
}
