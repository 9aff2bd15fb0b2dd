/* fetch.c - headers and TOCs of all volumes that are not known yet, several volumes at a time.
 *
 * Called by: load and refresh, which are alone with the rows. Each volume is opened, its two reads are submitted, and when
 * both are there it is judged by itself and closed; many volumes are under way at once (io/reads.h). Where reads can only be
 * done one after another a few helper threads do the same beside the calling one, each row by one of them only.
 * Happy path: two reads per volume, its file opened and closed again. A volume that was read before and has its final TOC is
 * not read again.
 * Failure: damage is a verdict in the row, a device error a `read_error` in the row; a volume that is gone is not `is_seen`.
 * Only our own shortage (descriptors, memory) ends the load, and that of descriptors only when no volume is under way that
 * would give one back. No memory or no thread for more at once: fewer of them. */
#include <errno.h>
#include <string.h>

#include "alloc/arena.h"
#include "base/bits.h"
#include "core/base/worker.h"
#include "core/store/state.h"
#include "io/reads.h"

enum {
    HELPERS_MAX = 15,
    ROWS_PER_HELPER = 8,   /* below that, starting a thread costs more than it gives */
    ROWS_FOR_RING = 8,     /* ... and so does a ring */
    ROWS_AT_ONCE = 64,     /* two reads each: what keeps a fast device busy */
    ROWS_PLAIN = 2,        /* at once, where reads are done one after another */
    MEMORY_MAX = 4u << 20, /* for all that is under way; a large TOC area means fewer at once */
};

int dw_load_read(struct dw_store *store, struct dw_file *file, void *bytes, size_t size, uint64_t offset, size_t *done)
{
    *done = 0;
    atomic_fetch_add_explicit(&store->read_count, 1, memory_order_relaxed);
    return dw_file_read(file, bytes, size, offset, done);
}

/* ---- header ---- */

/* How much a verdict tells: the better copy of a header is the one that tells more. */
static int rank_of(enum dw_decoded verdict)
{
    switch (verdict) {
    case DW_DECODED_OK:
        return 7;
    case DW_DECODED_BAD_TAG:
        return 6;
    case DW_DECODED_VERSION:
        return 5;
    case DW_DECODED_FOREIGN:
        return 4;
    case DW_DECODED_MISPLACED:
        return 3;
    case DW_DECODED_IMPOSSIBLE:
        return 2;
    case DW_DECODED_BAD_CRC:
        return 1;
    case DW_DECODED_BAD_MAGIC:
        break;
    }
    return 0;
}

static bool infos_are_alike(const struct dw_volume_info *a, const struct dw_volume_info *b)
{
    return a->number == b->number && a->predecessor == b->predecessor && a->predecessor_end == b->predecessor_end &&
           a->cut == b->cut && a->in_flight_blocks == b->in_flight_blocks && a->epoch == b->epoch &&
           a->claim_time == b->claim_time;
}

/* The read of both copies failed: one by one, so that a bad sector costs one copy only. */
static void read_header_copies(struct dw_store *store, struct dw_row *row, struct dw_file *file, uint8_t *blocks,
                               int error)
{
    size_t block_size = dw_store_geometry(store)->block_size;
    size_t done;
    row->volume.read_error = error;
    for (size_t i = 0; i < DW_VOLUME_HEADER_BLOCKS; i++) {
        uint8_t *block = blocks + i * block_size;
        memset(block, 0, block_size);
        if (dw_load_read(store, file, block, block_size, row->volume.base + i * block_size, &done) == 0)
            row->volume.read_error = 0; /* one readable copy is enough to go on */
        else
            memset(block, 0, block_size);
    }
}

static void judge_header(struct dw_store *store, struct dw_row *row, const uint8_t *blocks)
{
    const struct dw_geometry *geometry = dw_store_geometry(store);
    const struct dw_identity *identity = &store->superblock.identity;
    struct dw_volume_info first = {0}, second = {0};
    enum dw_decoded a = dw_volume_header_decode(geometry, identity, blocks, row->volume.number, &first);
    enum dw_decoded b =
        dw_volume_header_decode(geometry, identity, blocks + geometry->block_size, row->volume.number, &second);
    bool is_second_better = rank_of(b) > rank_of(a);
    row->volume.header_verdict = is_second_better ? b : a;
    row->volume.header = is_second_better ? second : first;
    row->volume.is_header_doubled = a == DW_DECODED_OK && b == DW_DECODED_OK && infos_are_alike(&first, &second);
}

/* ---- TOC ---- */

static void judge_toc(struct dw_store *store, struct dw_row *row, const uint8_t *area, int error)
{
    const struct dw_geometry *geometry = dw_store_geometry(store);
    if (error != 0) {
        row->volume.read_error = error;
        row->volume.toc_verdict = DW_DECODED_BAD_CRC;
        return;
    }
    struct dw_toc_info *toc = &row->volume.toc;
    row->volume.toc_verdict =
        dw_toc_decode(geometry, &store->superblock.identity, area, dw_toc_area_size(geometry), row->volume.number, toc);
    bool is_good = row->volume.toc_verdict == DW_DECODED_OK || row->volume.toc_verdict == DW_DECODED_BAD_TAG;
    row->volume.is_sealed = is_good && (toc->flags & DW_TOC_OPEN) == 0;
    if (row->volume.is_sealed)
        dw_table_keep(store, row, area + DW_TOC_SIZE, toc->table_length);
}

/* ---- one row ---- */

/* A volume that is under way. */
struct visit {
    struct visit *next;
    struct dw_row *row;
    struct dw_file *file;
    uint8_t *memory; /* TOC area, then two blocks */
    struct dw_read header, toc;
    uint32_t due; /* reads that are still out */
    bool has_header, has_toc;
};

struct crew {
    struct dw_store *store;
    atomic_size_t taken; /* rows below it are taken; relaxed: the rows were complete before the threads began */
};

/* One thread's part in it. */
struct hand {
    struct dw_worker worker;
    struct crew *crew;
    struct dw_reads *reads;
    struct visit *visits; /* owned */
    struct visit *idle;
    uint8_t *memory; /* borrowed from the arena, or NULL */
    size_t busy;
};

static bool is_our_own_shortage(int result)
{
    return result == -EMFILE || result == -ENFILE || result == -ENOMEM;
}

static void submit(struct hand *hand, struct visit *visit, struct dw_read *read, void *bytes, size_t size,
                   uint64_t offset)
{
    struct dw_store *store = hand->crew->store;
    memset(bytes, 0, size);
    *read = (struct dw_read){
        .file = visit->file, .bytes = bytes, .size = size, .offset = visit->row->volume.base + offset, .user = visit};
    atomic_fetch_add_explicit(&store->read_count, 1, memory_order_relaxed);
    visit->due++;
    dw_reads_submit(hand->reads, read);
}

static void end_row(struct hand *hand, struct visit *visit)
{
    struct dw_store *store = hand->crew->store;
    struct dw_row *row = visit->row;
    uint8_t *blocks = visit->memory + dw_toc_area_size(dw_store_geometry(store));
    if (visit->has_header && visit->header.result != 0)
        read_header_copies(store, row, visit->file, blocks, visit->header.result);
    if (visit->has_header)
        judge_header(store, row, blocks);
    if (visit->has_toc)
        judge_toc(store, row, visit->memory, visit->toc.result);
    if (visit->file != row->volume.file)
        store->places->ops->shut(store->places, &row->place, visit->file);
    visit->next = hand->idle;
    hand->idle = visit;
    hand->busy--;
}

static void read_row(struct hand *hand, struct dw_row *row, struct dw_file *file)
{
    struct dw_store *store = hand->crew->store;
    const struct dw_geometry *geometry = dw_store_geometry(store);
    const struct dw_places_ops *ops = store->places->ops;
    size_t area_size = dw_toc_area_size(geometry);
    struct visit *visit = hand->idle;
    hand->idle = visit->next;
    hand->busy++;
    *visit = (struct visit){.row = row, .file = file, .memory = visit->memory};
    row->volume.read_error = 0;
    uint8_t *blocks = visit->memory + area_size;
    visit->has_header = !dw_row_is_sound(row);
    visit->has_toc = !row->volume.is_sealed;
    bool is_recalled =
        visit->has_header && ops->recall && ops->recall(store->places, &row->place, geometry->block_size, blocks);
    if (visit->has_header && !is_recalled)
        submit(hand, visit, &visit->header, blocks, (size_t)DW_VOLUME_HEADER_BLOCKS * geometry->block_size, 0);
    if (visit->has_toc)
        submit(hand, visit, &visit->toc, visit->memory, area_size, dw_place_of_toc(geometry));
    if (visit->due == 0)
        end_row(hand, visit);
}

/* false: not now, because descriptors are short and volumes under way will give some back. */
static bool begin_row(struct hand *hand, struct dw_row *row)
{
    struct dw_store *store = hand->crew->store;
    struct dw_file *file = row->volume.file;
    int result = file ? 0 : store->places->ops->open(store->places, &row->place, DW_OPEN_READ, &file);
    if (is_our_own_shortage(result) && hand->busy > 0)
        return false;
    row->fetch_error = is_our_own_shortage(result) ? result : 0;
    if (result == 0)
        read_row(hand, row, file);
    else if (result == -ENOENT)
        row->is_seen = false; /* retired between the list and now */
    else if (row->fetch_error == 0)
        row->volume.read_error = result;
    return true;
}

static void end_some(struct hand *hand)
{
    struct dw_read *read = dw_reads_reap(hand->reads);
    while (read) {
        struct dw_read *next = read->next;
        struct visit *visit = read->user;
        if (--visit->due == 0)
            end_row(hand, visit);
        read = next;
    }
}

/* ---- some rows ---- */

static bool is_wanted(const struct dw_row *row)
{
    bool is_known = row->volume.is_sealed && dw_row_is_sound(row) && row->volume.read_error == 0;
    return row->is_seen && !is_known;
}

static struct dw_row *take_row(struct crew *crew)
{
    for (;;) {
        size_t at = atomic_fetch_add_explicit(&crew->taken, 1, memory_order_relaxed);
        if (at >= crew->store->row_count)
            return NULL;
        if (is_wanted(crew->store->rows[at]))
            return crew->store->rows[at];
    }
}

static void visit_some(void *context)
{
    struct hand *hand = context;
    struct dw_row *row = take_row(hand->crew);
    while (row || hand->busy > 0) {
        while (row && hand->idle && begin_row(hand, row))
            row = take_row(hand->crew);
        if (hand->busy > 0)
            end_some(hand);
    }
}

static size_t visit_size(const struct dw_store *store)
{
    const struct dw_geometry *geometry = dw_store_geometry(store);
    return dw_toc_area_size(geometry) + (size_t)DW_VOLUME_HEADER_BLOCKS * geometry->block_size;
}

/* Memory for `count` volumes at once, from `memory` on. */
static bool lay_visits(struct hand *hand, uint8_t *memory, size_t count)
{
    size_t size = visit_size(hand->crew->store);
    hand->visits = dw_alloc(count * sizeof *hand->visits);
    for (size_t i = 0; hand->visits && i < count; i++) {
        hand->visits[i].memory = memory + i * size;
        hand->visits[i].next = hand->idle;
        hand->idle = &hand->visits[i];
    }
    return hand->visits != NULL;
}

static bool open_hand(struct hand *hand, struct crew *crew, size_t most, bool is_plain)
{
    struct dw_store *store = crew->store;
    hand->crew = crew;
    if (dw_reads_open(store->disk, (uint32_t)(2 * most), is_plain, &hand->reads) != 0)
        return false;
    size_t count = hand->reads->is_plain ? dw_min_size(most, ROWS_PLAIN) : most;
    hand->memory = dw_arena_borrow(store->arena, count * visit_size(store), dw_store_geometry(store)->block_size);
    return hand->memory && lay_visits(hand, hand->memory, count);
}

static void close_hand(struct hand *hand)
{
    dw_reads_close(hand->reads);
    dw_free(hand->visits);
    if (hand->memory)
        dw_arena_return(hand->crew->store->arena, hand->memory);
    *hand = (struct hand){0};
}

/* ---- all rows ---- */

static size_t count_wanted(const struct dw_store *store)
{
    size_t wanted = 0;
    for (size_t i = 0; i < store->row_count; i++)
        wanted += is_wanted(store->rows[i]);
    return wanted;
}

/* The calling thread's: many volumes at once if that can be, else one at a time in memory that is there anyway. */
static int open_first(struct hand *hand, struct crew *crew, size_t wanted)
{
    struct dw_store *store = crew->store;
    bool is_plain = store->options.load_threads < 2 || store->options.is_reading_plainly || wanted < ROWS_FOR_RING;
    size_t most = dw_max_u64(dw_min_size(MEMORY_MAX / visit_size(store), ROWS_AT_ONCE), 1);
    if (open_hand(hand, crew, dw_min_size(wanted, most), is_plain))
        return 0;
    close_hand(hand);
    hand->crew = crew;
    int result = dw_reads_open(store->disk, 2, true, &hand->reads);
    if (result == 0 && !lay_visits(hand, dw_work_area(store), 1))
        result = -ENOMEM;
    return result;
}

static size_t count_helpers(const struct dw_store *store, size_t wanted)
{
    if (store->options.load_threads < 2)
        return 0;
    size_t affordable = MEMORY_MAX / (ROWS_PLAIN * visit_size(store));
    size_t count = dw_min_size(dw_min_size(wanted / ROWS_PER_HELPER, affordable), HELPERS_MAX);
    return dw_min_size(count, store->options.load_threads - 1u);
}

static bool start_helper(struct hand *helper, struct crew *crew)
{
    return open_hand(helper, crew, ROWS_PLAIN, true) &&
           dw_worker_start(&helper->worker, "dwal-load", visit_some, helper) == 0;
}

static int visit_all(struct crew *crew, size_t wanted)
{
    struct hand first = {0}, helpers[HELPERS_MAX] = {0};
    int result = open_first(&first, crew, wanted);
    size_t count = result == 0 && first.reads->is_plain ? count_helpers(crew->store, wanted) : 0, started = 0;
    while (started < count && start_helper(&helpers[started], crew))
        started++;
    if (result == 0)
        visit_some(&first); /* this thread reads as well */
    for (size_t i = 0; i < count; i++) {
        dw_worker_stop(&helpers[i].worker);
        close_hand(&helpers[i]);
    }
    close_hand(&first);
    return result;
}

int dw_fetch_rows(struct dw_store *store)
{
    struct crew crew = {.store = store};
    size_t wanted = count_wanted(store);
    if (wanted > 0 && visit_all(&crew, wanted) != 0)
        return dw_fail(DWAL_EMEMORY, "no memory to read the volumes of %s", store->disk->path);
    for (size_t i = 0; i < store->row_count; i++) {
        struct dw_row *row = store->rows[i];
        if (row->fetch_error != 0)
            return dw_fail_system_at(row->fetch_error, row->volume.number, DWAL_NO_LSN, DWAL_NO_LSN,
                                     "%s/%s cannot be opened", store->disk->path, row->place.name);
    }
    return 0;
}
