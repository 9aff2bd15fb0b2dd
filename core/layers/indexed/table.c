/* table.c - the index of a volume as bytes, in its table of contents; and the indexes of old volumes that are in use.
 *
 * Happy path: the maker's thread asks for the table of a full volume: its live is written down with one count for each
 * block, or for each 2^n blocks when there is less room. Later a reader's search reads the table back, sums the counts up and
 * keeps the sums. Called by: the log's table callback; readers; replay.
 * Failure: a table that is no index, or is INCOMPLETE: its volume is scanned at open and kept as a live, so that readers
 * never ask for it. A damaged one is the log's DWAL_ECORRUPT. Closing: dw_table_free_all. */
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "core/layers/indexed/indexed.h"

#define PIECES_FORESEEN 64u
#define NOTE_WAIT_NS    1000000
#define NOTE_WAITS      10

uint32_t dw_table_length_for(uint64_t volume_size, uint32_t block_size)
{
    /* Of the smallest blocks no more than 145 entries start in one; of larger ones more than a byte can say. */
    uint64_t counts = volume_size / block_size * (block_size > 4096 ? 2 : 1);
    return (uint32_t)(sizeof(struct dw_indexed_table_head) + PIECES_FORESEEN * sizeof(struct dw_indexed_table_piece) +
                      counts);
}

/* ---- encoding ---- */

/* Entries before block `block`. */
static uint32_t ordinal_at(const struct dw_live *live, uint32_t block)
{
    if (block >= live->next_block)
        return live->entry_count;
    return atomic_load_explicit(&live->ordinals[block], memory_order_relaxed);
}

static uint32_t group_total(const struct dw_live *live, uint32_t group, uint32_t shift)
{
    uint64_t begin = (uint64_t)group << shift, end = (uint64_t)(group + 1) << shift;
    uint32_t last = end < live->data_blocks ? ordinal_at(live, (uint32_t)end) : live->entry_count;
    return last - ordinal_at(live, (uint32_t)begin);
}

struct shape {
    uint32_t shift, width, group_count;
};

static struct shape shape_of(const struct dw_live *live, uint32_t shift)
{
    struct shape shape = {.shift = shift, .width = 1};
    shape.group_count = (live->data_blocks + (1u << shift) - 1) >> shift;
    for (uint32_t group = 0; group < shape.group_count; group++) {
        uint32_t total = group_total(live, group, shift);
        if (total > UINT8_MAX && shape.width < 2)
            shape.width = 2;
        if (total > UINT16_MAX)
            shape.width = 4;
    }
    return shape;
}

static size_t size_of(const struct dw_live *live, const struct shape *shape)
{
    return sizeof(struct dw_indexed_table_head) + live->piece_count * sizeof(struct dw_indexed_table_piece) +
           (size_t)shape->group_count * shape->width;
}

size_t dw_table_size(const struct dw_live *live)
{
    struct shape shape = shape_of(live, 0);
    return size_of(live, &shape);
}

static void put_head(const struct dw_live *live, const struct shape *shape, uint32_t flags, void *bytes)
{
    struct dw_indexed_table_head head = {
        .magic = dw_le32_of(DW_INDEXED_TABLE_MAGIC),
        .flags = dw_le32_of(flags),
        .volume = dw_le32_of(live->volume),
        .piece_count = dw_le32_of(flags ? 0 : live->piece_count),
        .entry_count = dw_le32_of(live->entry_count),
        .next_block = dw_le32_of(live->next_block),
        .shift = (uint8_t)shape->shift,
        .width = (uint8_t)shape->width,
        .group_count = dw_le32_of(flags ? 0 : shape->group_count),
        .state_lsn = dw_le64_of(live->state_lsn),
    };
    memcpy(bytes, &head, sizeof head);
}

size_t dw_table_encode(const struct dw_live *live, void *bytes, size_t capacity)
{
    struct shape shape = shape_of(live, 0);
    if (capacity < sizeof(struct dw_indexed_table_head))
        return 0;
    while (size_of(live, &shape) > capacity && shape.group_count > 1)
        shape = shape_of(live, shape.shift + 1);
    if (live->is_incomplete || size_of(live, &shape) > capacity) {
        put_head(live, &shape, DW_INDEXED_INCOMPLETE, bytes);
        return sizeof(struct dw_indexed_table_head);
    }
    put_head(live, &shape, 0, bytes);
    uint8_t *at = (uint8_t *)bytes + sizeof(struct dw_indexed_table_head);
    if (live->piece_count > 0)
        memcpy(at, live->pieces, live->piece_count * sizeof *live->pieces);
    at += live->piece_count * sizeof *live->pieces;
    for (uint32_t group = 0; group < shape.group_count; group++, at += shape.width) {
        dw_le32 total = dw_le32_of(group_total(live, group, shape.shift));
        memcpy(at, &total, shape.width); /* little-endian: its low bytes come first */
    }
    return size_of(live, &shape);
}

/* ---- decoding ---- */

bool dw_table_check(const void *bytes, size_t size, uint32_t volume, struct dw_indexed_table_head *head)
{
    if (size < sizeof *head)
        return false;
    memcpy(head, bytes, sizeof *head);
    return dw_get32(head->magic) == DW_INDEXED_TABLE_MAGIC && dw_get32(head->volume) == volume &&
           (head->width == 1 || head->width == 2 || head->width == 4) && head->shift < 32;
}

bool dw_table_peek(struct dwal_indexed *log, const struct dwal_volume *volume, struct dw_indexed_table_head *head)
{
    uint8_t kept[DW_INDEXED_KEEP];
    if (!volume->is_full || volume->table_length < sizeof *head)
        return false;
    size_t size = volume->table_length < sizeof kept ? volume->table_length : sizeof kept;
    return dwal_volume_table(log->base, volume->number, 0, kept, size, NULL) == 0 &&
           dw_table_check(kept, size, volume->number, head) && dw_get32(head->flags) == 0;
}

void dw_table_piece(const void *bytes, uint32_t at, struct dw_indexed_table_piece *piece)
{
    memcpy(piece, (const uint8_t *)bytes + sizeof(struct dw_indexed_table_head) + at * sizeof *piece, sizeof *piece);
}

/* The counts lie behind the pieces; NULL: they do not fit into `size`. */
static const uint8_t *counts_of(const void *bytes, size_t size, const struct dw_indexed_table_head *head)
{
    uint64_t from = sizeof *head + (uint64_t)dw_get32(head->piece_count) * sizeof(struct dw_indexed_table_piece);
    uint64_t length = (uint64_t)dw_get32(head->group_count) * head->width;
    return from + length <= size ? (const uint8_t *)bytes + from : NULL;
}

static uint32_t count_at(const uint8_t *counts, const struct dw_indexed_table_head *head, uint32_t group)
{
    dw_le32 total = {{0}};
    memcpy(&total, counts + (size_t)group * head->width, head->width);
    return dw_get32(total);
}

bool dw_table_restore(const void *bytes, size_t size, struct dw_live *live)
{
    struct dw_indexed_table_head head;
    if (!dw_table_check(bytes, size, live->volume, &head) || head.shift != 0 || dw_get32(head.flags) != 0 ||
        dw_get32(head.group_count) != live->data_blocks || dw_get32(head.next_block) > live->data_blocks)
        return false;
    const uint8_t *counts = counts_of(bytes, size, &head);
    uint32_t piece_count = dw_get32(head.piece_count), before = 0;
    if (!counts)
        return false;
    if (piece_count > 0) {
        live->pieces = malloc(piece_count * sizeof *live->pieces);
        if (!live->pieces)
            return false;
        live->piece_count = live->piece_capacity = piece_count;
        memcpy(live->pieces, (const uint8_t *)bytes + sizeof head, piece_count * sizeof *live->pieces);
    }
    live->next_block = dw_get32(head.next_block);
    live->entry_count = dw_get32(head.entry_count);
    live->state_lsn = dw_get64(head.state_lsn);
    for (uint32_t block = 0; block < live->next_block; block++) {
        atomic_store_explicit(&live->ordinals[block], before, memory_order_relaxed);
        before += count_at(counts, &head, block);
    }
    return before == live->entry_count;
}

/* ---- old volumes ---- */

static struct dw_indexed_table *find_table(struct dwal_indexed *log, uint32_t volume)
{
    for (uint32_t i = 0; i < log->options.tables; i++)
        if (log->tables[i].ordinals && log->tables[i].volume == volume)
            return &log->tables[i];
    return NULL;
}

static uint32_t search(const struct dw_indexed_table *table, uint32_t ordinal)
{
    uint32_t low = 0, high = table->group_count;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (table->ordinals[middle] <= ordinal)
            low = middle + 1;
        else
            high = middle;
    }
    return (low > 0 ? low - 1 : 0) << table->shift;
}

static int refuse_table(uint32_t volume)
{
    return dw_indexed_fail(DWAL_ECORRUPT, DWAL_NO_LSN, "the table of contents of volume %u is no index of it", volume);
}

static int sum_up(const void *bytes, size_t size, uint32_t volume, struct dw_indexed_table *table)
{
    struct dw_indexed_table_head head;
    if (!dw_table_check(bytes, size, volume, &head))
        return refuse_table(volume);
    const uint8_t *counts = counts_of(bytes, size, &head);
    if (!counts || dw_get32(head.flags) != 0 || dw_get32(head.group_count) == 0)
        return refuse_table(volume);
    *table =
        (struct dw_indexed_table){.volume = volume, .shift = head.shift, .group_count = dw_get32(head.group_count)};
    table->ordinals = malloc(table->group_count * sizeof *table->ordinals);
    if (!table->ordinals)
        return dw_indexed_fail_memory();
    uint32_t before = 0;
    for (uint32_t group = 0; group < table->group_count; group++) {
        table->ordinals[group] = before;
        before += count_at(counts, &head, group);
    }
    return 0;
}

static int read_table(struct dwal_indexed *log, uint32_t volume, struct dw_indexed_table *table)
{
    uint32_t length = 0;
    int result = dwal_volume_table(log->base, volume, 0, NULL, 0, &length);
    if (result < 0)
        return result;
    uint8_t *bytes = malloc(length + 1u);
    if (!bytes)
        return dw_indexed_fail_memory();
    result = dwal_volume_table(log->base, volume, 0, bytes, length, &length);
    if (result == 0)
        result = sum_up(bytes, length, volume, table);
    free(bytes);
    dw_indexed_count(&log->counts.table_reads, 1);
    return result;
}

/* Keep it in place of the one that was not used for the longest time. tables_mutex. */
static void keep_table(struct dwal_indexed *log, struct dw_indexed_table *table)
{
    struct dw_indexed_table *oldest = &log->tables[0];
    for (uint32_t i = 1; i < log->options.tables; i++)
        if (log->tables[i].used_at < oldest->used_at)
            oldest = &log->tables[i];
    free(oldest->ordinals);
    *oldest = *table;
    oldest->used_at = ++log->tables_tick;
}

int dw_table_locate(struct dwal_indexed *log, uint32_t volume, uint32_t ordinal, uint32_t *block)
{
    pthread_mutex_lock(&log->tables_mutex);
    struct dw_indexed_table *table = find_table(log, volume);
    if (table) {
        table->used_at = ++log->tables_tick;
        *block = search(table, ordinal);
    }
    pthread_mutex_unlock(&log->tables_mutex);
    if (table)
        return 0;
    struct dw_indexed_table made = {0};
    int result = read_table(log, volume, &made);
    if (result < 0) {
        free(made.ordinals);
        return result;
    }
    *block = search(&made, ordinal);
    pthread_mutex_lock(&log->tables_mutex);
    if (find_table(log, volume))
        free(made.ordinals); /* somebody else was quicker */
    else
        keep_table(log, &made);
    pthread_mutex_unlock(&log->tables_mutex);
    return 0;
}

void dw_table_free_all(struct dwal_indexed *log)
{
    for (uint32_t i = 0; log->tables && i < log->options.tables; i++)
        free(log->tables[i].ordinals);
    free(log->tables);
    log->tables = NULL;
}

/* ---- the callback ---- */

/* What was written into the volume may have become durable before the writer noted it. Whatever append is under way now, the
 * next one cannot reach into this volume any more; nor one that began behind its end. Else wait, a moment only: the append may
 * itself wait for this thread, when it is larger than the ring or there was no space. */
static bool wait_for_note(struct dwal_indexed *log, uint64_t end)
{
    uint32_t seen = atomic_load_explicit(&log->appending, memory_order_acquire); /* pairs: INDEXED-NOTE */
    bool is_noted = (seen & 1) == 0 || atomic_load_explicit(&log->append_from, memory_order_relaxed) >= end;
    for (int i = 0; i < NOTE_WAITS && !is_noted; i++) {
        const struct timespec pause = {.tv_nsec = NOTE_WAIT_NS};
        nanosleep(&pause, NULL);
        is_noted = atomic_load_explicit(&log->appending, memory_order_acquire) != seen; /* pairs: INDEXED-NOTE */
    }
    return is_noted;
}

uint64_t dw_table_tell(void *context, uint32_t volume, uint64_t first, uint64_t end, bool spill, void *table,
                       uint32_t capacity)
{
    struct dwal_indexed *log = context;
    (void)first, (void)spill;
    bool is_noted = wait_for_note(log, end);
    pthread_mutex_lock(&log->note_mutex);
    struct dw_live *live = dw_live_of(log, volume);
    bool is_empty = log->is_noting && !live;
    uint64_t length = 0;
    struct dw_live none = {.volume = volume};
    if (is_noted && live) {
        length = dw_table_encode(live, table, capacity);
        live->is_told = !live->is_incomplete && length > sizeof(struct dw_indexed_table_head);
    } else if (is_noted && is_empty) { /* nothing starts in it */
        length = dw_table_encode(&none, table, capacity);
    }
    pthread_mutex_unlock(&log->note_mutex);
    return length;
}
