/* volume.c - one volume of a log at rest: its table of contents, and its pieces with their places.
 *
 * Owns: a read-only handle of the log for the time of a call. Called by: any thread. Happy path: open beside whoever writes -> find
 * the volume -> a cursor from the entry that runs into it (or the first that starts in it) to its end.
 * Failure: the base's, unchanged. */
#include <dwal/inspect.h>
#include <dwal/journal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/layers/fail.h"
#include "core/layers/journal/journal.h"

/* The disk format's, core/FORMAT.md: two header blocks come first; a block starts with a header, each further sector with a tag. */
enum { HEADER_BLOCKS = 2, BLOCK_HEADER = 32, TAG = 4, RECORD_HEADER = 20 };

int dw_journal_fail(int code, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    int result = dw_layer_fail(code, 0, DWAL_NO_LSN, format, arguments);
    va_end(arguments);
    return result;
}

static int open_log(const char *path, dwal **log, struct dwal_info *info)
{
    struct dwal_options options = DWAL_OPTIONS_INIT;
    options.mode = DWAL_READ_ONLY;
    *info = (struct dwal_info){.size = sizeof *info};
    int result = dwal_get_info(path, NULL, info);
    return result != 0 ? result : dwal_open(path, &options, log);
}

static int find_volume(dwal *log, uint32_t number, struct dwal_volume *volume)
{
    *volume = (struct dwal_volume){.size = sizeof *volume};
    int result = dwal_volume_from(log, number, volume);
    if (result == DWAL_EEND || (result == 0 && volume->number != number))
        return dw_journal_fail(DWAL_ENOTFOUND, "the log has no volume %u", number);
    return result;
}

/* Close, and keep the first failure. */
static int end(dwal *log, int result)
{
    if (result == 0)
        return dwal_close(log);
    struct dwal_error why = *dwal_last_error();
    (void)dwal_close(log);
    return dwal_set_error(&why);
}

int dwal_read_table(const char *path, uint32_t number, void *buffer, size_t size, uint32_t *length, uint32_t *magic)
{
    dwal *log;
    struct dwal_info info;
    struct dwal_volume volume;
    int result = open_log(path, &log, &info);
    if (result != 0)
        return result;
    uint32_t whole = 0;
    result = find_volume(log, number, &volume);
    if (result == 0 && volume.table_length > 0) {
        size_t wanted = size < volume.table_length ? size : volume.table_length;
        result = dwal_volume_table(log, number, 0, buffer, wanted, &whole);
    }
    if (length)
        *length = whole;
    if (magic)
        *magic = info.magic_number;
    return end(log, result);
}

/* ---- pieces ------------------------------------------------------------------------------------------------------------ */

struct pieces {
    const struct dwal_volume_scan *scan;
    const struct dwal_info *info;
    struct dwal_volume volume;
    uint64_t start, stop; /* lsns: what of the log lies in the volume */
};

/* Bytes from the volume's start at which `lsn` lies. */
static uint64_t place_of(const struct pieces *pieces, uint64_t lsn)
{
    const struct dwal_info *info = pieces->info;
    uint64_t block = lsn / info->payload_size - (uint64_t)pieces->volume.number * info->data_blocks;
    uint64_t q = lsn % info->payload_size + (BLOCK_HEADER - TAG);
    return (HEADER_BLOCKS + block) * info->block_size + q + TAG + TAG * (q / (info->sector_size - TAG));
}

static void give_part(const struct pieces *pieces, bool is_metadata, const void *bytes, uint64_t lsn, uint64_t size)
{
    uint64_t from = lsn > pieces->start ? lsn : pieces->start;
    uint64_t to = lsn + size < pieces->stop ? lsn + size : pieces->stop;
    if (from < to && pieces->scan->segment)
        pieces->scan->segment(pieces->scan->context, is_metadata, (const char *)bytes + (from - lsn), to - from,
                              place_of(pieces, from));
}

static void give_record(const struct pieces *pieces, const struct dwal_record *record)
{
    if (record->lsn >= pieces->start && pieces->scan->entry)
        pieces->scan->entry(pieces->scan->context, record, place_of(pieces, record->lsn));
    uint64_t at = record->lsn + RECORD_HEADER;
    give_part(pieces, true, record->metadata, at, record->metadata_size);
    give_part(pieces, false, record->data, at + record->metadata_size, record->data_size);
}

/* Where to begin so as to meet an entry that runs into the volume: the last that starts in an earlier one. */
static uint64_t find_start(dwal *log, const struct dwal_volume *target)
{
    uint64_t from = dwal_first(log);
    struct dwal_volume volume = {.size = sizeof volume};
    for (uint32_t next = 0; dwal_volume_from(log, next, &volume) == 0 && volume.number < target->number;
         next = volume.number + 1)
        if (volume.is_counted && volume.last < volume.end && volume.last > from)
            from = volume.last;
    return from;
}

static int give_records(dwal *log, const struct pieces *pieces)
{
    dwal_cursor *cursor;
    struct dwal_record record;
    int result = dwal_cursor_open(log, find_start(log, &pieces->volume), &cursor);
    if (result != 0)
        return result;
    while ((result = dwal_cursor_next_metadata(cursor, &record)) == 0 && record.lsn < pieces->stop) {
        if (record.end <= pieces->start)
            continue;
        result = dwal_cursor_data(cursor, &record);
        if (result != 0)
            break;
        give_record(pieces, &record);
    }
    dwal_cursor_close(cursor);
    return result == DWAL_EEND ? 0 : result;
}

static int give_table(dwal *log, const struct pieces *pieces)
{
    const struct dwal_info *info = pieces->info;
    uint32_t length = pieces->volume.table_length;
    if (length == 0 || !pieces->scan->table)
        return 0;
    void *bytes = malloc(length);
    if (!bytes)
        return dw_journal_fail(DWAL_EMEMORY, "no memory for a table of %u bytes", length);
    int result = dwal_volume_table(log, pieces->volume.number, 0, bytes, length, NULL);
    if (result == 0)
        pieces->scan->table(pieces->scan->context, bytes, length,
                            (uint64_t)(HEADER_BLOCKS + info->data_blocks) * info->block_size);
    free(bytes);
    return result;
}

int dwal_scan_volume(const char *path, uint32_t number, const struct dwal_volume_scan *scan)
{
    if (!scan || scan->size != sizeof *scan)
        return dw_journal_fail(DWAL_EARGUMENT, "scan is NULL, or its size is not set");
    dwal *log;
    struct dwal_info info;
    struct pieces pieces = {.scan = scan, .info = &info};
    int result = open_log(path, &log, &info);
    if (result != 0)
        return result;
    result = find_volume(log, number, &pieces.volume);
    if (result == 0) {
        uint64_t span = (uint64_t)info.data_blocks * info.payload_size;
        pieces.start = (uint64_t)number * span;
        pieces.stop = pieces.volume.end < pieces.start + span ? pieces.volume.end : pieces.start + span;
        result = give_records(log, &pieces);
    }
    if (result == 0 && scan->next_volume && pieces.volume.end != UINT64_MAX)
        scan->next_volume(scan->context, pieces.stop > pieces.start ? place_of(&pieces, pieces.stop - 1) + 1
                                                                    : (uint64_t)HEADER_BLOCKS * info.block_size);
    if (result == 0)
        result = give_table(log, &pieces);
    return end(log, result);
}
