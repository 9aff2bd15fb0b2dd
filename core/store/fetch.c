/* fetch.c - headers and TOCs of all volumes that are not known yet, several volumes at a time.
 *
 * Called by: load and refresh, which are alone with the rows; for the time of the call a few helper threads read beside the
 * calling one, each with buffers of its own, each row by one of them only.
 * Happy path: two reads per volume, its file opened and closed again. A volume that was read before and has its final TOC is
 * not read again.
 * Failure: damage is a verdict in the row, a device error a `read_error` in the row; a volume that is gone is not `is_seen`.
 * Only our own shortage (descriptors, memory) ends the load. No memory or no thread for a helper: fewer of them. */
#include <string.h>

#include "alloc/arena.h"
#include "base/bits.h"
#include "core/base/worker.h"
#include "core/store/state.h"

enum {
    HELPERS_MAX = 15,
    ROWS_PER_HELPER = 8,      /* below that, starting a thread costs more than it gives */
    HELPER_MEMORY = 4u << 20, /* for all of them; a large TOC area means fewer */
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

/* Both copies in one read; one by one when the device complains, so that a bad sector costs one copy only. */
static void read_header_blocks(struct dw_store *store, struct dw_row *row, struct dw_file *file, uint8_t *blocks)
{
    size_t block_size = dw_store_geometry(store)->block_size;
    size_t done;
    memset(blocks, 0, DW_VOLUME_HEADER_BLOCKS * block_size);
    int result = dw_load_read(store, file, blocks, DW_VOLUME_HEADER_BLOCKS * block_size, row->volume.base, &done);
    if (result == 0)
        return;
    row->volume.read_error = result;
    for (size_t i = 0; i < DW_VOLUME_HEADER_BLOCKS; i++) {
        uint8_t *block = blocks + i * block_size;
        memset(block, 0, block_size);
        if (dw_load_read(store, file, block, block_size, row->volume.base + i * block_size, &done) == 0)
            row->volume.read_error = 0; /* one readable copy is enough to go on */
        else
            memset(block, 0, block_size);
    }
}

static void load_header(struct dw_store *store, struct dw_row *row, struct dw_file *file, uint8_t *blocks)
{
    const struct dw_geometry *geometry = dw_store_geometry(store);
    const struct dw_identity *identity = &store->superblock.identity;
    struct dw_volume_info first = {0}, second = {0};
    const struct dw_places_ops *ops = store->places->ops;
    if (!ops->recall || !ops->recall(store->places, &row->place, geometry->block_size, blocks))
        read_header_blocks(store, row, file, blocks);
    enum dw_decoded a = dw_volume_header_decode(geometry, identity, blocks, row->volume.number, &first);
    enum dw_decoded b =
        dw_volume_header_decode(geometry, identity, blocks + geometry->block_size, row->volume.number, &second);
    bool is_second_better = rank_of(b) > rank_of(a);
    row->volume.header_verdict = is_second_better ? b : a;
    row->volume.header = is_second_better ? second : first;
    row->volume.is_header_doubled = a == DW_DECODED_OK && b == DW_DECODED_OK && infos_are_alike(&first, &second);
}

/* ---- TOC ---- */

static void load_toc(struct dw_store *store, struct dw_row *row, struct dw_file *file, uint8_t *area)
{
    const struct dw_geometry *geometry = dw_store_geometry(store);
    size_t size = dw_toc_area_size(geometry), done;
    memset(area, 0, size);
    int result = dw_load_read(store, file, area, size, row->volume.base + dw_place_of_toc(geometry), &done);
    if (result != 0) {
        row->volume.read_error = result;
        row->volume.toc_verdict = DW_DECODED_BAD_CRC;
        return;
    }
    struct dw_toc_info *toc = &row->volume.toc;
    row->volume.toc_verdict = dw_toc_decode(geometry, &store->superblock.identity, area, size, row->volume.number, toc);
    bool is_good = row->volume.toc_verdict == DW_DECODED_OK || row->volume.toc_verdict == DW_DECODED_BAD_TAG;
    row->volume.is_sealed = is_good && (toc->flags & DW_TOC_OPEN) == 0;
    if (row->volume.is_sealed)
        dw_table_keep(store, row, area + DW_TOC_SIZE, toc->table_length);
}

/* ---- one row ---- */

struct crew {
    struct dw_store *store;
    atomic_size_t taken; /* rows below it are taken; relaxed: the rows were complete before the threads began */
};

struct helper {
    struct dw_worker worker;
    struct crew *crew;
    uint8_t *memory; /* TOC area, then two blocks */
};

static bool is_our_own_shortage(int result)
{
    return result == -EMFILE || result == -ENFILE || result == -ENOMEM;
}

static void fetch_one(struct dw_store *store, struct dw_row *row, uint8_t *memory)
{
    struct dw_file *file = row->volume.file;
    row->fetch_error = 0;
    if (!file) {
        int result = store->places->ops->open(store->places, &row->place, DW_OPEN_READ, &file);
        if (result == -ENOENT)
            row->is_seen = false; /* retired between the list and now */
        else if (is_our_own_shortage(result))
            row->fetch_error = result;
        else if (result != 0)
            row->volume.read_error = result;
        if (result != 0)
            return;
    }
    row->volume.read_error = 0;
    if (!dw_row_is_sound(row))
        load_header(store, row, file, memory + dw_toc_area_size(dw_store_geometry(store)));
    if (!row->volume.is_sealed)
        load_toc(store, row, file, memory);
    if (file != row->volume.file)
        store->places->ops->shut(store->places, &row->place, file);
}

static bool is_wanted(const struct dw_row *row)
{
    bool is_known = row->volume.is_sealed && dw_row_is_sound(row) && row->volume.read_error == 0;
    return row->is_seen && !is_known;
}

static void fetch_some(struct crew *crew, uint8_t *memory)
{
    struct dw_store *store = crew->store;
    for (;;) {
        size_t at = atomic_fetch_add_explicit(&crew->taken, 1, memory_order_relaxed);
        if (at >= store->row_count)
            return;
        if (is_wanted(store->rows[at]))
            fetch_one(store, store->rows[at], memory);
    }
}

/* ---- all rows ---- */

static void help(void *context)
{
    struct helper *helper = context;
    fetch_some(helper->crew, helper->memory);
}

static size_t count_helpers(const struct dw_store *store)
{
    if (store->options.load_threads < 2)
        return 0;
    size_t wanted = 0;
    for (size_t i = 0; i < store->row_count; i++)
        wanted += is_wanted(store->rows[i]);
    size_t affordable = HELPER_MEMORY / dw_toc_area_size(dw_store_geometry(store));
    size_t count = dw_min_size(dw_min_size(wanted / ROWS_PER_HELPER, affordable), HELPERS_MAX);
    return dw_min_size(count, store->options.load_threads - 1u);
}

static bool start_helper(struct helper *helper, struct crew *crew)
{
    const struct dw_geometry *geometry = dw_store_geometry(crew->store);
    size_t size = dw_toc_area_size(geometry) + (size_t)DW_VOLUME_HEADER_BLOCKS * geometry->block_size;
    helper->crew = crew;
    helper->memory = dw_arena_borrow(crew->store->arena, size, geometry->block_size);
    return helper->memory && dw_worker_start(&helper->worker, "dwal-load", help, helper) == 0;
}

int dw_fetch_rows(struct dw_store *store)
{
    struct crew crew = {.store = store};
    struct helper helpers[HELPERS_MAX] = {0};
    size_t count = count_helpers(store), started = 0;
    while (started < count && start_helper(&helpers[started], &crew))
        started++;
    fetch_some(&crew, dw_work_area(store)); /* this thread reads as well */
    for (size_t i = 0; i < count; i++) {
        dw_worker_stop(&helpers[i].worker);
        dw_arena_return(store->arena, helpers[i].memory);
    }
    for (size_t i = 0; i < store->row_count; i++) {
        struct dw_row *row = store->rows[i];
        if (row->fetch_error != 0)
            return dw_fail_system_at(row->fetch_error, row->volume.number, DWAL_NO_LSN, DWAL_NO_LSN,
                                     "%s/%s cannot be opened", store->disk->path, row->place.name);
    }
    return 0;
}
