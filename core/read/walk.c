/* walk.c - see walk.h.
 *
 * What a block must look like follows from where the records before it end: inside a record with `remaining` bytes to come
 * it is full and says that no record starts (first_record none), until the block in which the record ends, whose
 * first_record is that very place; outside one it starts with a record, or it is a marker. As block headers have their own
 * checksum, a disagreement means that the record's lengths are damaged, unless these were proven before. */
#include "core/read/walk.h"

#include <string.h>

#include "base/assert.h"

const char *dw_record_state_text(enum dw_record_state state)
{
    switch (state) {
    case DW_RECORD_SOUND:
        return "is sound";
    case DW_RECORD_BAD_HEADER:
        return "fails the checksum of its header and metadata";
    case DW_RECORD_BAD_DATA:
        return "fails the checksum of its data";
    case DW_RECORD_BROKEN:
        return "runs into a block that does not check";
    case DW_RECORD_UNFINISHED:
        return "is not complete";
    }
    return "is unknown";
}

void dw_walk_start(struct dw_walk *walk, struct dw_source *source, const struct dw_stretch *row, size_t row_count,
                   size_t stretch, bool is_fresh)
{
    dw_assert(stretch < row_count);
    *walk = (struct dw_walk){.source = source,
                             .row = row,
                             .row_count = row_count,
                             .stop_block = UINT64_MAX,
                             .stretch = stretch,
                             .next_block = dw_first_block_of_volume(&source->geometry, row[stretch].number),
                             .is_lost = !is_fresh,
                             .blame = DWAL_NO_LSN};
}

void dw_walk_start_at(struct dw_walk *walk, struct dw_source *source, const struct dw_stretch *row, size_t row_count,
                      size_t stretch, uint64_t lsn)
{
    dw_walk_start(walk, source, row, row_count, stretch, true);
    dw_assert(dw_volume_of_lsn(&source->geometry, lsn) == row[stretch].number);
    walk->next_block = dw_block_of_lsn(&source->geometry, lsn);
    walk->offset = dw_offset_of_lsn(&source->geometry, lsn);
}

/* ---- records ---- */

static uint64_t position(const struct dw_walk *walk)
{
    return dw_lsn_of_block(&walk->source->geometry, walk->block.block) + walk->offset;
}

static void begin_record(struct dw_walk *walk)
{
    walk->is_inside = true;
    walk->stage = DW_STAGE_HEADER;
    walk->gathered = 0;
    walk->remaining = DW_RECORD_HEADER_SIZE;
    walk->header_block = walk->block.block;
    walk->blame = DWAL_NO_LSN;
    walk->record = (struct dw_walk_record){.lsn = position(walk), .stretch = walk->stretch};
}

/* Which block a failed record is blamed on: the first of its span that shows a sector not written under this number; else
 * the block in which the span breaks. All of it being written and yet wrong, `last_block`, the last that the failed check
 * covers: a record that crosses from acknowledged blocks into one under way at a crash was never acknowledged, and where
 * sectors can tear inside that is all that shows. So only a witness of the last block speaks for the record. */
static void end_record(struct dw_walk *walk, enum dw_record_state state, uint64_t last_block)
{
    struct dw_walk_record *record = &walk->record;
    record->state = state;
    record->bad_block = walk->blame != DWAL_NO_LSN ? walk->blame : last_block;
    record->is_written = walk->blame == DWAL_NO_LSN && (state == DW_RECORD_BAD_HEADER || state == DW_RECORD_BAD_DATA);
    if (!record->is_header_sound)
        record->end = state == DW_RECORD_SOUND ? record->end : position(walk);
    walk->is_inside = false;
    walk->is_record_due = true;
    if (state != DW_RECORD_SOUND && state != DW_RECORD_BAD_DATA)
        walk->is_lost = true;
}

/* The record's lengths and a block's header do not fit. The header has its own checksum: so the lengths are damaged, or, when
 * these are proven as well, somebody wrote nonsense. */
static void end_disagreeing(struct dw_walk *walk)
{
    walk->record.is_contradiction = walk->record.is_header_sound;
    end_record(walk, walk->record.is_header_sound ? DW_RECORD_BROKEN : DW_RECORD_BAD_HEADER, walk->header_block);
}

/* A stage has all its bytes: check them and go to the next. */
static void end_stage(struct dw_walk *walk)
{
    struct dw_walk_record *record = &walk->record;
    if (walk->stage == DW_STAGE_HEADER) {
        if (!dw_record_header_decode(&walk->header, &record->info)) {
            end_record(walk, DW_RECORD_BAD_HEADER, walk->block.block);
            return;
        }
        walk->crc = dw_record_crc_begin(&walk->source->identity, record->lsn, &walk->header);
        walk->stage = DW_STAGE_METADATA;
        walk->remaining = record->info.metadata_size;
        if (walk->remaining > 0)
            return;
    }
    if (walk->stage == DW_STAGE_METADATA) {
        if (walk->crc != record->info.crc) {
            end_record(walk, DW_RECORD_BAD_HEADER, walk->block.block);
            return;
        }
        record->is_header_sound = true;
        record->end = record->lsn + dw_record_size(&record->info);
        walk->crc = 0;
        walk->stage = DW_STAGE_DATA;
        walk->remaining = record->info.data_size;
        if (walk->remaining > 0)
            return;
    }
    bool is_sound = walk->crc == record->info.data_crc;
    end_record(walk, is_sound ? DW_RECORD_SOUND : DW_RECORD_BAD_DATA, walk->block.block);
}

/* Take the bytes of the running stage that lie in this block. */
static void take(struct dw_walk *walk)
{
    const struct dw_geometry *g = &walk->source->geometry;
    uint32_t size = (uint32_t)dw_min_u64(walk->remaining, walk->stop - walk->offset);
    if (walk->stage == DW_STAGE_HEADER) {
        dw_payload_read(g, walk->block.bytes, walk->offset, (uint8_t *)&walk->header + walk->gathered, size);
        walk->gathered += size;
        walk->header_block = walk->block.block;
        walk->offset += size;
    } else {
        uint32_t end = walk->offset + size;
        while (walk->offset < end) {
            uint32_t run = dw_payload_run(g, walk->offset);
            if (run > end - walk->offset)
                run = end - walk->offset;
            walk->crc = dw_crc32c(walk->crc, walk->block.bytes + dw_byte_of_payload(g, walk->offset), run);
            walk->offset += run;
        }
    }
    walk->remaining -= size;
}

/* Go on in the current block. True when a record ended (well or badly); false when the block has no more. */
static bool walk_records(struct dw_walk *walk)
{
    const struct dw_geometry *g = &walk->source->geometry;
    while (walk->offset < walk->stop) {
        if (!walk->is_inside)
            begin_record(walk);
        uint32_t from = walk->offset;
        take(walk);
        if (walk->blame == DWAL_NO_LSN &&
            dw_block_has_old_sector(g, &walk->source->identity, &walk->block, from, walk->offset))
            walk->blame = walk->block.block;
        if (walk->remaining == 0)
            end_stage(walk);
        if (walk->is_record_due) {
            if (walk->is_lost) /* where the next one starts in this block cannot be known */
                walk->offset = walk->stop;
            return true;
        }
    }
    if (!walk->is_inside)
        return false;
    if (walk->stop < g->payload_size) { /* the content ends here, the record does not */
        end_disagreeing(walk);
        return true;
    }
    return false;
}

/* ---- blocks ---- */

static uint64_t first_block_of(const struct dw_walk *walk, size_t stretch)
{
    return dw_first_block_of_volume(&walk->source->geometry, walk->row[stretch].number);
}
/* First block that holds nothing of the stretch. */
static uint64_t end_block_of(const struct dw_walk *walk, size_t stretch)
{
    const struct dw_geometry *g = &walk->source->geometry;
    uint64_t first = first_block_of(walk, stretch);
    uint64_t end = walk->row[stretch].end;
    if (end <= dw_lsn_of_block(g, first))
        return first;
    return dw_min_u64(dw_block_of_lsn(g, end - 1) + 1, first + g->data_blocks);
}

/* The row ends, or a volume does that was cut: a record that still runs has no more bytes to come. */
static bool end_running(struct dw_walk *walk, uint64_t block)
{
    if (!walk->is_inside)
        return false;
    end_record(walk, DW_RECORD_UNFINISHED, block);
    return true;
}

/* Step to the next block of the row. False: the row ended (or a record did; then is_record_due). */
static bool find_block(struct dw_walk *walk)
{
    while (walk->next_block >= end_block_of(walk, walk->stretch)) {
        size_t next = walk->stretch + 1;
        if (next == walk->row_count) {
            if (!end_running(walk, walk->next_block))
                walk->is_ended = true;
            return false;
        }
        if (!walk->row[next].is_running) {
            if (end_running(walk, walk->block.block)) {
                walk->record.is_contradiction = walk->record.is_header_sound;
                return false;
            }
            walk->is_lost = false; /* behind a cut a volume starts afresh */
        }
        walk->stretch = next;
        walk->next_block = first_block_of(walk, next);
        walk->offset = 0;
    }
    if (!walk->is_inside && walk->next_block >= walk->stop_block) {
        walk->is_ended = true;
        return false;
    }
    return true;
}

/* Does a sound block agree with a record that runs into it? */
static bool agrees_with_running(const struct dw_walk *walk)
{
    const struct dw_block_info *info = &walk->block.info;
    uint64_t rest = walk->remaining;
    if (walk->stage == DW_STAGE_METADATA && walk->record.info.data_size > 0)
        rest += walk->record.info.data_size;
    if (walk->stage == DW_STAGE_HEADER) /* its lengths are still to come */
        return info->fill >= walk->remaining &&
               (info->first_record == DW_FIRST_RECORD_NONE || info->first_record >= walk->remaining);
    if (rest >= walk->source->geometry.payload_size)
        return info->fill == walk->source->geometry.payload_size && info->first_record == DW_FIRST_RECORD_NONE;
    if (info->first_record == rest)
        return true;
    return info->first_record == DW_FIRST_RECORD_NONE && info->fill == rest;
}

/* Where do records start in a sound block? False when it contradicts what is before it. */
static bool enter_block(struct dw_walk *walk)
{
    struct dw_block_look *look = &walk->block;
    walk->stop = look->info.fill;
    uint64_t begin = dw_lsn_of_block(&walk->source->geometry, look->block);
    uint64_t end = walk->row[walk->stretch].end;
    if (end < begin + walk->stop)
        walk->stop = end > begin ? (uint32_t)(end - begin) : 0;
    if (walk->offset > 0) /* started at a given record */
        return walk->offset < walk->stop && look->info.first_record <= walk->offset;
    if (walk->is_lost) {
        walk->offset = look->info.first_record < walk->stop ? look->info.first_record : walk->stop;
        /* Full and nothing starts: the record that runs through it goes on. Else it ended here, where nothing follows. */
        walk->is_lost =
            look->info.first_record == DW_FIRST_RECORD_NONE && look->info.fill == walk->source->geometry.payload_size;
        return true;
    }
    return look->info.fill == 0 || look->info.first_record == 0;
}

/* Look at the next block and queue what is to be said of it. */
static void load_block(struct dw_walk *walk)
{
    struct dw_block_view view;
    bool is_first = !walk->has_block;
    walk->has_block = true;
    if (!is_first)
        walk->offset = 0;
    walk->error = dw_source_get(walk->source, walk->next_block, &view);
    if (walk->error) {
        walk->is_ended = true;
        return;
    }
    struct dw_block_look *look = &walk->block;
    dw_block_look_at(&walk->source->geometry, &walk->source->identity, &view, look);
    walk->next_block++;
    walk->is_block_due = true;
    walk->stop = 0;
    if (look->state != DW_BLOCK_SOUND) {
        if (walk->is_inside)
            end_record(walk, DW_RECORD_BROKEN, look->block);
        walk->is_lost = true;
        return;
    }
    if (walk->is_inside && !agrees_with_running(walk))
        end_disagreeing(walk);
    if (walk->is_inside) {
        uint64_t begin = dw_lsn_of_block(&walk->source->geometry, look->block);
        uint64_t end = walk->row[walk->stretch].end;
        walk->stop = end < begin + look->info.fill ? (uint32_t)(end - begin) : look->info.fill;
        return;
    }
    if (!enter_block(walk)) {
        look->state = DW_BLOCK_IMPOSSIBLE;
        walk->is_lost = true;
        walk->stop = walk->offset;
    }
}

enum dw_walk_event dw_walk_next(struct dw_walk *walk)
{
    for (;;) {
        if (walk->is_record_due) {
            walk->is_record_due = false;
            return DW_WALK_RECORD;
        }
        if (walk->is_block_due) {
            walk->is_block_due = false;
            return DW_WALK_BLOCK;
        }
        /* A record that ran on over the stop has ended: what follows it is not asked for. */
        if (walk->has_block && !walk->is_inside && walk->block.block >= walk->stop_block)
            walk->is_ended = true;
        if (walk->is_ended)
            return DW_WALK_END;
        if (walk->has_block && walk_records(walk))
            continue;
        if (find_block(walk))
            load_block(walk);
    }
}

int dw_walk_resume(struct dw_walk *walk)
{
    struct dw_block_view view;
    if (!walk->has_block || walk->block.bytes == NULL)
        return 0;
    int result = dw_source_get(walk->source, walk->block.block, &view);
    walk->block.bytes = view.bytes;
    if (result == 0 && view.bytes == NULL) /* it could be read a moment ago: nothing more is known of it */
        walk->offset = walk->stop;
    return result;
}
