/* reader.c - records by lsn and in order: see reader.h.
 *
 * Owns: a window, the current record, buffers for its metadata and data. Called by: one thread per reader.
 * A reader stands at an lsn where one record ended and the next may start (after a seek: at an lsn from which it has yet to
 * find out). Padding, markers, the rest of a cut volume and numbers that were never used are passed over by arithmetic.
 * A record is shown when all of it, and of its batch, is durable: its header, metadata and data are checked against their
 * checksums, and each block that it crosses must agree that it runs on.
 * Failure: an error leaves the reader where it was; the same call answers the same. Closing: nothing is left behind. */
#include <inttypes.h>
#include <string.h>

#include "alloc/alloc.h"
#include "base/assert.h"
#include "core/base/error.h"
#include "core/read/parse.h"

/* A boundary between records. */
struct place {
    uint64_t lsn;
    uint64_t start_block; /* in which the record before it starts; DW_NO_BLOCK: not known, or nothing runs in */
};

struct dw_reader {
    struct dw_window window;
    struct place place; /* a boundary between records; is_seeking: where to look for one */
    bool is_seeking;
    uint64_t batch_end;  /* records that end at or before it are known to belong to a complete batch */
    uint64_t batch_seen; /* the batch of record `batch_from` was looked at up to here; 0: not yet */
    uint64_t batch_from; /* record for which batch_seen holds */
    bool has_record;
    struct dw_parsed record;
    struct dw_bytes metadata, data;
};

static void stand_before(struct dw_reader *reader, uint64_t lsn)
{
    reader->place = (struct place){.lsn = lsn, .start_block = DW_NO_BLOCK};
    reader->is_seeking = true;
    reader->has_record = false;
    reader->batch_end = reader->batch_seen = 0;
}

int dw_reader_create(struct dw_store *store, const struct dw_recent *recent, size_t read_ahead,
                     struct dw_reader **reader)
{
    *reader = NULL;
    struct dw_reader *made = dw_alloc(sizeof *made);
    if (!made)
        return dw_fail(DWAL_EMEMORY, "no memory for a reader");
    int result = dw_window_open(&made->window, store, recent, read_ahead);
    if (result) {
        dw_reader_close(made);
        return result;
    }
    stand_before(made, 0);
    *reader = made;
    return 0;
}

void dw_reader_close(struct dw_reader *reader)
{
    if (!reader)
        return;
    dw_window_close(&reader->window);
    dw_free(reader->metadata.at);
    dw_free(reader->data.at);
    dw_free(reader);
}

void dw_reader_want(struct dw_reader *reader, uint32_t blocks)
{
    reader->window.source.want = blocks;
}

void dw_reader_release(struct dw_reader *reader)
{
    dw_source_release(&reader->window.source);
    reader->window.block = DW_NO_BLOCK;
    stand_before(reader, reader->place.lsn);
}

uint32_t dw_reader_volume(const struct dw_reader *reader)
{
    return reader->window.source.volume ? reader->window.source.number : DW_VOLUME_NUMBER_NONE;
}

/* Ask how far the log is durable, and up to where no batch needs to be looked at. */
static void sample(struct dw_reader *reader)
{
    const struct dw_recent *recent = &reader->window.recent;
    /* Before the durable block: what was complete then still is. */
    uint64_t complete = recent->complete_lsn ? recent->complete_lsn(recent->context) : 0;
    dw_window_sample(&reader->window);
    reader->batch_end = dw_max_u64(reader->batch_end, complete);
}

void dw_reader_limit(struct dw_reader *reader, uint64_t limit)
{
    reader->window.limit = limit;
    reader->window.block = DW_NO_BLOCK;
}

void dw_reader_get_stats(const struct dw_reader *reader, struct dw_reader_stats *stats)
{
    const struct dw_source *source = &reader->window.source;
    *stats = (struct dw_reader_stats){.ring_reads = reader->window.ring_reads,
                                      .device_reads = source->reads,
                                      .device_read_bytes = source->blocks_read * source->geometry.block_size};
}

void dw_reader_take_stats(struct dw_reader *reader, struct dw_reader_stats *stats)
{
    dw_reader_get_stats(reader, stats);
    reader->window.ring_reads = reader->window.source.reads = reader->window.source.blocks_read = 0;
}

/* ---- where the next record starts ---- */

static int at_end(void)
{
    return DWAL_EEND; /* an answer, not a failure: dwal_last_error stays */
}

/* The volume at `place` is gone, and `next` is the first that is there: were its records trimmed away before they were reached? Not
 * when the volume that was read last says that `next` follows it. */
static bool is_passed_by_trim(const struct dw_window *window, const struct place *place, uint32_t next)
{
    return next != window->successor && place->lsn < dw_store_first(window->store);
}

/* Stand in a volume of the log: over numbers that were never part of it, over the rest of a volume that was cut. */
static int settle_in_volume(struct dw_window *window, struct place *place)
{
    const struct dw_geometry *g = &window->source.geometry;
    for (;;) {
        uint32_t number = dw_volume_of_lsn(g, place->lsn), next = number;
        if (number != window->number) {
            next = dw_store_first_from(window->store, number);
            if (next == DW_VOLUME_NUMBER_NONE)
                return at_end();
            if (next != number && is_passed_by_trim(window, place, next))
                return dw_fail_at(DWAL_ETRIMMED, number, DWAL_NO_LSN, place->lsn, "volume %" PRIu32 " was trimmed away",
                                  number);
        }
        if (next == number) {
            dw_window_ask_volume(window, number);
            if (place->lsn < window->end)
                return 0;
            int result = dw_window_next_volume(window, &next);
            if (result)
                return result;
        }
        place->lsn = dw_first_lsn_of_volume(g, next);
        place->start_block = DW_NO_BLOCK;
        window->number = DW_VOLUME_NUMBER_NONE;
    }
}

/* A record ended at payload offset `offset` of the current block, or the block is new: does its header say so too? */
static bool agrees_with_start(const struct dw_window *window, const struct place *place, uint32_t offset)
{
    uint32_t first_record = window->info.first_record;
    bool is_run_in = place->start_block != DW_NO_BLOCK && place->start_block != window->block;
    if (offset == 0 || is_run_in)
        return first_record == offset;
    return first_record <= offset;
}

/* Move over padding, markers and gaps to the start of a record in the current block. */
static int advance(struct dw_window *window, struct place *place)
{
    const struct dw_geometry *g = &window->source.geometry;
    for (;;) {
        if (place->lsn >= dw_window_durable_lsn(window))
            return at_end();
        int result = 0;
        if (!dw_window_has(window, place->lsn))
            result = settle_in_volume(window, place);
        uint64_t block = dw_window_block_of(window, place->lsn);
        uint32_t offset = dw_window_offset_of(window, place->lsn);
        if (result == 0)
            result = dw_window_load(window, block);
        if (result)
            return result;
        if (offset < window->stop) {
            if (!agrees_with_start(window, place, offset))
                return dw_parse_refuse(window, place->lsn, "does not start where the record before it ended");
            return 0;
        }
        place->lsn = dw_lsn_of_block(g, block + 1);
        place->start_block = DW_NO_BLOCK;
    }
}

/* Go on inside a block from its first record to the first start at or after `target`. */
static int walk_to(struct dw_reader *reader, uint64_t target)
{
    struct dw_window *window = &reader->window;
    const struct dw_geometry *g = &window->source.geometry;
    uint64_t block = window->block, begin = dw_lsn_of_block(g, block);
    uint64_t lsn = begin + window->info.first_record;
    while (lsn < target && lsn < begin + window->stop) {
        struct dw_parsed parsed;
        int result = dw_parse_header(window, lsn, NULL, &parsed);
        if (result == 0)
            result = dw_window_load(window, block);
        if (result)
            return result;
        lsn = parsed.end;
    }
    reader->place = (struct place){.lsn = lsn, .start_block = block};
    reader->is_seeking = false;
    return 0;
}

/* Find the first record that starts at or after `position`. */
static int find(struct dw_reader *reader)
{
    struct dw_window *window = &reader->window;
    const struct dw_geometry *g = &window->source.geometry;
    uint64_t target = dw_max_u64(reader->place.lsn, dw_store_first(window->store));
    uint32_t number = dw_store_first_from(window->store, dw_volume_of_lsn(g, target));
    while (number != DW_VOLUME_NUMBER_NONE) {
        target = dw_max_u64(target, dw_first_lsn_of_volume(g, number));
        dw_window_ask_volume(window, number);
        uint64_t last = dw_first_block_of_volume(g, number) + g->data_blocks;
        for (uint64_t block = dw_block_of_lsn(g, target); block < last; block++) {
            if (dw_lsn_of_block(g, block) >= window->end)
                break;
            int result = dw_window_load(window, block);
            if (result)
                return result;
            if (window->info.first_record < window->stop)
                return walk_to(reader, target);
            reader->place.lsn = dw_max_u64(target, dw_lsn_of_block(g, block + 1)); /* never to be looked at again */
        }
        dw_window_ask_volume(window, number);
        int result = dw_window_next_volume(window, &number);
        if (result)
            return result;
    }
    return at_end();
}

static int go_to_start(struct dw_reader *reader)
{
    if (reader->is_seeking) {
        int result = find(reader);
        if (result)
            return result;
    }
    return advance(&reader->window, &reader->place);
}

int dw_reader_seek(struct dw_reader *reader, uint64_t lsn)
{
    stand_before(reader, lsn);
    return 0;
}

/* ---- batches ---- */

/* Is the batch that goes on behind `record` complete? Looks at headers only, and goes on where it stopped the last time. */
static int see_batch(struct dw_reader *reader, const struct dw_parsed *record)
{
    struct dw_window *window = &reader->window;
    struct dw_parsed parsed = *record;
    struct place place = {.lsn = record->end, .start_block = dw_block_of_lsn(&window->source.geometry, record->lsn)};
    if (reader->batch_from == record->lsn && reader->batch_seen > record->end)
        place = (struct place){.lsn = reader->batch_seen, .start_block = DW_NO_BLOCK};
    do {
        int result = advance(window, &place);
        reader->batch_from = record->lsn;
        reader->batch_seen = place.lsn;
        if (result == 0)
            result = dw_parse_header(window, place.lsn, NULL, &parsed);
        if (result)
            return result;
        place = (struct place){.lsn = parsed.end, .start_block = dw_block_of_lsn(&window->source.geometry, parsed.lsn)};
    } while ((parsed.info.flags & DW_RECORD_MORE) != 0);
    reader->batch_end = parsed.end;
    return 0;
}

/* ---- records ---- */

static void show(const struct dw_reader *reader, struct dwal_record *record)
{
    const struct dw_parsed *parsed = &reader->record;
    *record = (struct dwal_record){
        .lsn = parsed->lsn,
        .end = parsed->end,
        .volume = dw_window_volume_of(&reader->window, parsed->lsn),
        .metadata_size = parsed->info.metadata_size,
        .data_size = parsed->info.data_size,
        .user = parsed->info.user,
        .type = parsed->info.type,
        .more_of_batch = (parsed->info.flags & DW_RECORD_MORE) != 0,
        .metadata = reader->metadata.at,
    };
}

/* Reading for single records: the rest of a long one is to come with one read. */
static void want_rest(struct dw_reader *reader, const struct dw_parsed *parsed)
{
    struct dw_source *source = &reader->window.source;
    if (source->want == 0)
        return;
    uint64_t rest = dw_block_of_lsn(&source->geometry, parsed->end - 1) - reader->window.block;
    if (rest > source->want)
        source->want = (uint32_t)dw_min_u64(rest, source->buffer_blocks);
}

int dw_reader_next(struct dw_reader *reader, struct dwal_record *record)
{
    struct dw_parsed parsed;
    reader->has_record = false;
    sample(reader);
    int result = go_to_start(reader);
    if (result == 0)
        result = dw_parse_header(&reader->window, reader->place.lsn, &reader->metadata, &parsed);
    if (result == 0 && (parsed.info.flags & DW_RECORD_MORE) != 0 && parsed.end > reader->batch_end)
        result = see_batch(reader, &parsed);
    if (result)
        return result;
    reader->record = parsed;
    reader->has_record = true;
    want_rest(reader, &parsed);
    reader->place = (struct place){.lsn = parsed.end, .start_block = dw_window_block_of(&reader->window, parsed.lsn)};
    show(reader, record);
    return 0;
}

int dw_reader_data(struct dw_reader *reader, struct dwal_record *record, void *target)
{
    const struct dw_parsed *parsed = &reader->record;
    if (!reader->has_record || record->lsn != parsed->lsn)
        return dw_fail(DWAL_EARGUMENT, "dw_reader_data: this is not the record that the reader gave last");
    if (!target) {
        int result = dw_bytes_reserve(&reader->data, parsed->info.data_size);
        if (result)
            return result;
        target = reader->data.at;
    }
    int result = dw_parse_data(&reader->window, parsed, target);
    if (result)
        return result;
    record->data = target;
    record->metadata = reader->metadata.at;
    return 0;
}

/* ---- exactly there ---- */

/* Nothing checks at `lsn`. Is that a damaged record, or no record's start? Count from the block's first record. */
static int explain_miss(struct dw_reader *reader, uint64_t lsn, int result)
{
    struct dw_window *window = &reader->window;
    uint64_t block = dw_block_of_lsn(&window->source.geometry, lsn);
    struct dwal_error first = *dwal_last_error();
    int loaded = dw_window_load(window, block);
    if (loaded)
        return loaded;
    uint64_t begin = dw_lsn_of_block(&window->source.geometry, block);
    if (window->info.first_record < window->stop && begin + window->info.first_record <= lsn) {
        int walked = walk_to(reader, lsn);
        if (walked)
            return walked;
        if (reader->place.lsn == lsn)
            return result == DWAL_ECORRUPT ? dw_fail_again(&first) : result;
    }
    return dw_fail_at(DWAL_ENOTFOUND, dw_volume_of_block(&window->source.geometry, block), block, lsn,
                      "no record starts at lsn %" PRIu64, lsn);
}

int dw_reader_seek_exact(struct dw_reader *reader, uint64_t lsn)
{
    struct dw_window *window = &reader->window;
    const struct dw_geometry *g = &window->source.geometry;
    uint32_t number = dw_volume_of_lsn(g, lsn);
    struct dw_parsed parsed;
    stand_before(reader, lsn);
    sample(reader);
    if (lsn < dw_store_first(window->store))
        return dw_fail_at(DWAL_ETRIMMED, number, DWAL_NO_LSN, lsn, "lsn %" PRIu64 " is before the trim point", lsn);
    if (lsn >= dw_window_durable_lsn(window))
        return at_end();
    dw_window_ask_volume(window, number);
    if (dw_store_first_from(window->store, number) != number || lsn >= window->end)
        return dw_fail_at(DWAL_ENOTFOUND, number, DWAL_NO_LSN, lsn, "lsn %" PRIu64 " lies in a gap of the log", lsn);
    int result = dw_window_load(window, dw_block_of_lsn(g, lsn));
    if (result)
        return result;
    uint32_t offset = dw_offset_of_lsn(g, lsn);
    if (offset >= window->stop || window->info.first_record > offset)
        return dw_fail_at(DWAL_ENOTFOUND, number, window->block, lsn, "no record starts at lsn %" PRIu64, lsn);
    result = dw_parse_header(window, lsn, NULL, &parsed);
    if (result == DWAL_ECORRUPT || result == DWAL_EEND) {
        result = explain_miss(reader, lsn, result);
        stand_before(reader, lsn);
    }
    if (result)
        return result;
    if ((parsed.info.flags & DW_RECORD_MORE) != 0 && parsed.end > reader->batch_end)
        result = see_batch(reader, &parsed);
    reader->is_seeking = false;
    return result;
}
