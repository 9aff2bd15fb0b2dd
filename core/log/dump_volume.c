/* dump_volume.c - list one volume: header and its copy, blocks and the records that end in them, table of contents.
 *
 * Owns: the open file while it is listed. Called by: dump.c. Each volume is listed by itself, so that one file alone says
 * the same as in its directory: a record that runs on into the next volume is told here as far as it lies here, and there
 * as a spill; whether it checks as a whole is what verify tells. Blocks in which nothing of this volume was written are
 * told as one run. The walk along the blocks is that of recovery. */
#include "core/log/dump.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "alloc/alloc.h"
#include "base/bits.h"
#include "core/format/text.h"
#include "core/read/walk.h"

enum { READ_AHEAD = 256 << 10, TEXT_SIZE = sizeof((struct dwal_item *)0)->text };

struct volume {
    struct dw_dump *dump;
    const struct dw_geometry *geometry;
    struct dw_file *file;
    struct dw_source source;
    struct dw_stretch stretch;
    struct dw_walk walk;
    bool is_fresh; /* its first block starts with a record */
    uint64_t cut;  /* lsn at which recovery ended this volume; UINT64_MAX: it did not */
    uint8_t *area; /* the TOC area */
    int area_result;
    uint64_t blank_offset, blank_count; /* the run of unwritten blocks under way */
    bool is_in_spill;                   /* the bytes seen so far belong to a record of the volume before */
    uint64_t spill_end;                 /* lsn */
};

/* ---- header ---------------------------------------------------------------------------------------------------------*/

static void dump_header(struct volume *volume, uint32_t copy, void *block)
{
    struct dw_dump *dump = volume->dump;
    uint32_t size = volume->geometry->block_size;
    uint64_t offset = (uint64_t)copy * size;
    int result = dw_dump_read(volume->file, block, size, offset);
    if (result) {
        dw_dump_tell(dump, DWAL_ITEM_VOLUME_HEADER, offset, size, DWAL_NO_LSN, false,
                     "copy %" PRIu32 " cannot be read: %s", copy, dw_dump_read_text(result));
        return;
    }
    struct dw_volume_info info;
    char text[TEXT_SIZE];
    enum dw_decoded verdict = dw_volume_header_decode(volume->geometry, &dump->identity, block, dump->number, &info);
    bool is_filled = verdict != DW_DECODED_BAD_MAGIC && verdict != DW_DECODED_BAD_CRC;
    dw_dump_tell(dump, DWAL_ITEM_VOLUME_HEADER, offset, size, DWAL_NO_LSN, verdict == DW_DECODED_OK,
                 "copy %" PRIu32 "%s%s%s%s", copy, verdict ? ", " : "", verdict ? dw_decoded_text(verdict) : "",
                 is_filled ? ": " : "", is_filled ? dw_text_volume(&info, text, sizeof text) : "");
    if (verdict == DW_DECODED_OK || verdict == DW_DECODED_BAD_TAG)
        volume->is_fresh = info.predecessor_end != DW_PREDECESSOR_RUNS_ON;
}

static int dump_headers(struct volume *volume)
{
    void *block = dw_alloc_io(volume->geometry->block_size, volume->geometry->block_size);
    if (!block)
        return -ENOMEM;
    for (uint32_t copy = 0; copy < DW_VOLUME_HEADER_BLOCKS; copy++)
        dump_header(volume, copy, block);
    dw_free_io(block);
    return 0;
}

/* ---- records --------------------------------------------------------------------------------------------------------*/

/* Byte of the file at which payload of `lsn` lies. */
static uint64_t place_of_lsn(const struct dw_geometry *geometry, uint64_t lsn)
{
    return dw_place_of_block(geometry, dw_block_of_lsn(geometry, lsn)) +
           dw_byte_of_payload(geometry, dw_offset_of_lsn(geometry, lsn));
}

/* Bytes of the file from payload `from` to payload `end`, tags between them included. */
static uint64_t bytes_between(const struct dw_geometry *geometry, uint64_t from, uint64_t end)
{
    return end > from ? place_of_lsn(geometry, end - 1) + 1 - place_of_lsn(geometry, from) : 0;
}

static void dump_record(struct volume *volume)
{
    const struct dw_walk_record *record = &volume->walk.record;
    uint64_t volume_end = dw_end_lsn_of_volume(volume->geometry, volume->dump->number);
    bool is_running_on =
        record->state == DW_RECORD_UNFINISHED && volume->walk.next_block * volume->geometry->payload_size == volume_end;
    uint64_t end = is_running_on ? volume_end : dw_min_u64(record->end, volume_end);
    char text[TEXT_SIZE] = "record";
    if (record->is_header_sound)
        dw_text_record(&record->info, record->lsn, text, sizeof text);
    else
        snprintf(text, sizeof text, "record lsn %" PRIu64, record->lsn);
    dw_dump_tell(volume->dump, DWAL_ITEM_RECORD, place_of_lsn(volume->geometry, record->lsn),
                 bytes_between(volume->geometry, record->lsn, end), record->lsn,
                 record->state == DW_RECORD_SOUND || is_running_on, "%s%s%s%s", text,
                 record->state == DW_RECORD_SOUND ? "" : ", ",
                 is_running_on                      ? "runs on into the next volume"
                 : record->state == DW_RECORD_SOUND ? ""
                                                    : dw_record_state_text(record->state),
                 record->lsn >= volume->cut ? ", dropped by recovery" : "");
}

static void end_spill(struct volume *volume, const char *remark)
{
    struct dw_dump *dump = volume->dump;
    uint64_t first = dw_first_lsn_of_volume(volume->geometry, dump->number);
    if (volume->is_in_spill && volume->spill_end > first)
        dw_dump_tell(dump, DWAL_ITEM_SPILL, place_of_lsn(volume->geometry, first),
                     bytes_between(volume->geometry, first, volume->spill_end), DWAL_NO_LSN, true,
                     "rest of a record that starts in an earlier volume, %" PRIu64 " bytes%s",
                     volume->spill_end - first, remark);
    volume->is_in_spill = false;
}

/* Follow the rest of a record from the volume before through the blocks, by what their headers say. */
static void follow_spill(struct volume *volume, const struct dw_block_look *look)
{
    if (!volume->is_in_spill)
        return;
    if (look->state != DW_BLOCK_SOUND || (look->info.flags & DW_BLOCK_MARKER) != 0) {
        end_spill(volume, ", breaks off");
        return;
    }
    bool has_end = look->info.first_record != DW_FIRST_RECORD_NONE;
    volume->spill_end =
        dw_lsn_of_block(volume->geometry, look->block) + (has_end ? look->info.first_record : look->info.fill);
    if (has_end || look->info.fill < volume->geometry->payload_size)
        end_spill(volume, "");
}

/* ---- blocks ---------------------------------------------------------------------------------------------------------*/

static void end_blank_run(struct volume *volume)
{
    if (volume->blank_count > 0)
        dw_dump_tell(volume->dump, DWAL_ITEM_BLANK, volume->blank_offset,
                     volume->blank_count * volume->geometry->block_size, DWAL_NO_LSN, true,
                     "%" PRIu64 " blocks without anything of this volume", volume->blank_count);
    volume->blank_count = 0;
}

static bool is_unwritten(const struct dw_block_look *look)
{
    return (look->state == DW_BLOCK_BAD || look->state == DW_BLOCK_MISPLACED) && look->tags.current == 0 &&
           look->tags.alien == 0;
}

/* What is wrong with the sectors and the padding of a block, or "". */
static const char *oddity(const struct volume *volume, const struct dw_block_look *look, char text[120])
{
    text[0] = 0;
    if (look->unreadable > 0)
        snprintf(text, 120, ", %" PRIu32 " sectors cannot be read (%s)", look->unreadable,
                 strerror(-look->system_code));
    else if (look->state != DW_BLOCK_ABSENT && look->tags.current != volume->geometry->sector_count)
        snprintf(text, 120, ", sectors: %" PRIu32 " current, %" PRIu32 " blank, %" PRIu32 " old, %" PRIu32 " alien",
                 look->tags.current, look->tags.blank, look->tags.old, look->tags.alien);
    else if (look->state == DW_BLOCK_SOUND && !look->is_padding_zero)
        snprintf(text, 120, ", padding is not zero");
    return text;
}

static void dump_block(struct volume *volume)
{
    const struct dw_block_look *look = &volume->walk.block;
    uint64_t offset = dw_place_of_block(volume->geometry, look->block);
    uint64_t lsn = dw_lsn_of_block(volume->geometry, look->block);
    if (is_unwritten(look)) {
        end_spill(volume, ", breaks off");
        if (volume->blank_count++ == 0)
            volume->blank_offset = offset;
        return;
    }
    end_blank_run(volume);
    char fields[160] = "", odd[120];
    bool is_filled =
        look->state == DW_BLOCK_SOUND || look->state == DW_BLOCK_MISPLACED || look->state == DW_BLOCK_IMPOSSIBLE;
    if (is_filled)
        dw_text_block(&look->info, fields, sizeof fields);
    else
        snprintf(fields, sizeof fields, "block %" PRIu64, look->block);
    bool is_sound = look->state == DW_BLOCK_SOUND && !dw_block_is_odd(volume->geometry, look);
    dw_dump_tell(volume->dump, DWAL_ITEM_BLOCK, offset, volume->geometry->block_size, lsn, is_sound, "%s%s%s%s%s",
                 fields, look->state == DW_BLOCK_SOUND ? "" : ", ",
                 look->state == DW_BLOCK_SOUND ? "" : dw_block_state_text(look->state), oddity(volume, look, odd),
                 lsn >= volume->cut ? ", dropped by recovery" : "");
    follow_spill(volume, look);
}

static int dump_blocks(struct volume *volume)
{
    struct dw_dump *dump = volume->dump;
    int result = dw_source_open_file(&volume->source, volume->geometry, &dump->identity, volume->file, 0, dump->number,
                                     READ_AHEAD);
    if (result)
        return -ENOMEM;
    volume->stretch =
        (struct dw_stretch){.number = dump->number, .end = dw_end_lsn_of_volume(volume->geometry, dump->number)};
    volume->is_in_spill = !volume->is_fresh;
    dw_walk_start(&volume->walk, &volume->source, &volume->stretch, 1, 0, volume->is_fresh);
    for (bool is_ended = false; !is_ended && !dump->is_stopped;) {
        switch (dw_walk_next(&volume->walk)) {
        case DW_WALK_BLOCK:
            dump_block(volume);
            break;
        case DW_WALK_RECORD:
            dump_record(volume);
            break;
        case DW_WALK_END:
            is_ended = true;
            break;
        }
    }
    end_spill(volume, ", runs on into the next volume");
    end_blank_run(volume);
    dw_source_close(&volume->source);
    return volume->walk.error ? -ENOMEM : 0;
}

/* ---- table of contents ----------------------------------------------------------------------------------------------*/

static int load_toc(struct volume *volume)
{
    const struct dw_geometry *geometry = volume->geometry;
    size_t size = dw_toc_area_size(geometry);
    volume->area = dw_alloc_io(size, geometry->block_size);
    if (!volume->area)
        return -ENOMEM;
    volume->area_result = dw_dump_read(volume->file, volume->area, size, dw_place_of_toc(geometry));
    struct dw_toc_info info;
    volume->cut = UINT64_MAX;
    if (volume->area_result == 0 &&
        dw_toc_decode(geometry, &volume->dump->identity, volume->area, size, volume->dump->number, &info) ==
            DW_DECODED_OK &&
        (info.flags & DW_TOC_CUT) != 0)
        volume->cut = info.end;
    return 0;
}

/* Nothing of this volume was written there: the table of a volume that is not full. */
static bool is_toc_unwritten(const struct volume *volume)
{
    struct dw_toc toc;
    memcpy(&toc, volume->area, sizeof toc);
    enum dw_tag_kind kind = dw_tag_classify(&volume->dump->identity, dw_get32(toc.tag), volume->dump->number);
    return kind == DW_TAG_BLANK || kind == DW_TAG_OLD;
}

static void dump_toc(struct volume *volume)
{
    struct dw_dump *dump = volume->dump;
    uint64_t offset = dw_place_of_toc(volume->geometry);
    size_t size = dw_toc_area_size(volume->geometry);
    if (volume->area_result) {
        dw_dump_tell(dump, DWAL_ITEM_TOC, offset, size, DWAL_NO_LSN, false, "cannot be read: %s",
                     dw_dump_read_text(volume->area_result));
        return;
    }
    struct dw_toc_info info;
    char text[TEXT_SIZE];
    enum dw_decoded verdict = dw_toc_decode(volume->geometry, &dump->identity, volume->area, size, dump->number, &info);
    if (verdict != DW_DECODED_OK && is_toc_unwritten(volume)) {
        dw_dump_tell(dump, DWAL_ITEM_BLANK, offset, size, DWAL_NO_LSN, true, "no table of contents of this volume");
        return;
    }
    bool is_filled = verdict != DW_DECODED_BAD_MAGIC && verdict != DW_DECODED_BAD_CRC;
    dw_dump_tell(dump, DWAL_ITEM_TOC, offset, DW_TOC_SIZE, DWAL_NO_LSN, verdict == DW_DECODED_OK, "%s%s%s",
                 verdict ? dw_decoded_text(verdict) : "", verdict && is_filled ? ": " : "",
                 is_filled ? dw_text_toc(&info, text, sizeof text) : "");
    if (is_filled && (info.flags & DW_TOC_TABLE) != 0)
        dw_dump_tell(dump, DWAL_ITEM_TABLE, offset + DW_TOC_SIZE, info.table_length, DWAL_NO_LSN,
                     verdict == DW_DECODED_OK, "the application's table, %" PRIu32 " bytes", info.table_length);
}

/* ---- the volume -----------------------------------------------------------------------------------------------------*/

int dw_dump_volume(struct dw_dump *dump, const char *name, uint32_t number)
{
    struct volume volume = {.dump = dump, .geometry = &dump->geometry};
    dump->number = number;
    int result = dump->disk->ops->open(dump->disk, name, DW_OPEN_READ, &volume.file);
    if (result)
        return result;
    if (!dump->has_facts) {
        dw_dump_tell(dump, DWAL_ITEM_VOLUME_HEADER, 0, DW_BLOCK_SIZE_MIN, DWAL_NO_LSN, false,
                     "neither a superblock nor a volume header checks: geometry and key are unknown");
    } else {
        result = load_toc(&volume);
        if (result == 0)
            result = dump_headers(&volume);
        if (result == 0)
            result = dump_blocks(&volume);
        if (result == 0)
            dump_toc(&volume);
        dw_free_io(volume.area);
    }
    dw_file_close(volume.file);
    return result;
}
