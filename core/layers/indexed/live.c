/* live.c - the index of a volume that is being written: how many entries start before each block, and where pieces begin.
 *
 * Owns: one array of 4 bytes for each block of the volume, made at once so that readers may look while the writer adds.
 * Called by: the writer (note, retire), replay, the table callback through table.c, readers (find). A live goes when its
 * table is durable and no state names it any more. Failure: no memory for a piece: the volume is scanned at the next open. */
#include <stdlib.h>

#include "core/layers/indexed/indexed.h"

struct dw_live *dw_live_new(const struct dwal_indexed *log, uint32_t volume)
{
    struct dw_live *live = calloc(1, sizeof *live + log->data_blocks * sizeof(live->ordinals[0]));
    if (!live)
        return NULL;
    atomic_init(&live->refs, 1);
    live->volume = volume;
    live->data_blocks = log->data_blocks;
    for (uint32_t i = 0; i < live->data_blocks; i++)
        atomic_init(&live->ordinals[i], UINT32_MAX);
    return live;
}

void dw_live_hold(struct dw_live *live)
{
    atomic_fetch_add_explicit(&live->refs, 1, memory_order_relaxed);
}

void dw_live_drop(struct dw_live *live)
{
    if (!live || atomic_fetch_sub_explicit(&live->refs, 1, memory_order_acq_rel) != 1)
        return;
    free(live->pieces);
    free(live);
}

void dw_live_enlist(struct dwal_indexed *log, struct dw_live *live)
{
    live->next = log->lives;
    log->lives = live;
}

struct dw_live *dw_live_of(struct dwal_indexed *log, uint32_t volume)
{
    for (struct dw_live *live = log->lives; live; live = live->next)
        if (live->volume == volume)
            return live;
    return NULL;
}

static void add_piece(struct dw_live *live, uint64_t index, uint64_t lsn)
{
    if (live->piece_count == live->piece_capacity) {
        uint32_t capacity = live->piece_capacity ? live->piece_capacity * 2 : 8;
        struct dw_indexed_table_piece *pieces = realloc(live->pieces, capacity * sizeof *pieces);
        if (!pieces) {
            live->is_incomplete = true;
            return;
        }
        live->pieces = pieces;
        live->piece_capacity = capacity;
    }
    live->pieces[live->piece_count++] = (struct dw_indexed_table_piece){
        .first_index = dw_le64_of(index),
        .start_lsn = dw_le64_of(lsn),
        .ordinal = dw_le32_of(live->entry_count),
    };
}

void dw_live_note(struct dwal_indexed *log, struct dw_live *live, uint64_t index, uint64_t lsn, bool is_piece)
{
    uint32_t block = (uint32_t)((lsn - live->volume * log->volume_span) / log->payload_size);
    dw_assert(block < live->data_blocks);
    if (is_piece)
        add_piece(live, index, lsn);
    for (; live->next_block <= block; live->next_block++)
        atomic_store_explicit(&live->ordinals[live->next_block], live->entry_count, memory_order_relaxed);
    live->entry_count++;
}

uint32_t dw_live_find(const struct dw_live *live, uint32_t ordinal)
{
    uint32_t low = 0, high = live->data_blocks; /* blocks below `low` begin at or before it */
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (atomic_load_explicit(&live->ordinals[middle], memory_order_relaxed) <= ordinal)
            low = middle + 1;
        else
            high = middle;
    }
    return low > 0 ? low - 1 : 0;
}

/* The table callback has told all of it, and the log says that the table is there. */
static bool is_durable(struct dwal_indexed *log, struct dw_live *live)
{
    struct dwal_volume volume = {.size = sizeof volume};
    pthread_mutex_lock(&log->note_mutex);
    bool is_told = live->is_told;
    pthread_mutex_unlock(&log->note_mutex);
    if (!is_told)
        return false;
    int result = dwal_volume_from(log->base, live->volume, &volume);
    return result == DWAL_EEND || volume.number != live->volume || volume.table_length > 0; /* or it is gone */
}

void dw_live_retire(struct dwal_indexed *log)
{
    if (!log->lives)
        return;
    struct dw_live **link = &log->lives->next; /* the first one is being written */
    while (*link) {
        struct dw_live *live = *link;
        if (!is_durable(log, live)) {
            link = &live->next;
            continue;
        }
        pthread_mutex_lock(&log->note_mutex);
        *link = live->next;
        pthread_mutex_unlock(&log->note_mutex);
        dw_live_drop(live);
    }
}

void dw_live_free_all(struct dwal_indexed *log)
{
    while (log->lives) {
        struct dw_live *live = log->lives;
        log->lives = live->next;
        dw_live_drop(live);
    }
    while (log->spare) {
        struct dw_live *live = log->spare;
        log->spare = live->next;
        dw_live_drop(live);
    }
}
