/* text.c - one line of text for each structure on disk.
 *
 * Called by: the dump of the command, error texts and tests, on any thread. Pure. What identifies and places a
 * structure comes first, so that a cut line still says what it is about. */
#include "core/format/text.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/assert.h"

/* A volume number, a payload offset or "none"; nanoseconds since 1970 as a UTC time. */
struct short_text {
    char text[40];
};

static struct short_text number_or_none(uint32_t value, uint32_t none)
{
    struct short_text s;
    if (value == none)
        snprintf(s.text, sizeof s.text, "none");
    else
        snprintf(s.text, sizeof s.text, "%" PRIu32, value);
    return s;
}

static struct short_text utc(uint64_t time_ns)
{
    struct short_text s = {"never"};
    time_t seconds = (time_t)(time_ns / UINT64_C(1000000000));
    struct tm parts;
    if (time_ns == 0 || gmtime_r(&seconds, &parts) == NULL)
        return s;
    size_t used = strftime(s.text, sizeof s.text, "%Y-%m-%dT%H:%M:%S", &parts);
    snprintf(s.text + used, sizeof s.text - used, ".%09uZ", (unsigned)(time_ns % UINT64_C(1000000000)));
    return s;
}

static const char *state_text(enum dw_superblock_state state)
{
    switch (state) {
    case DW_SUPERBLOCK_CLEAN:
        return "CLEAN";
    case DW_SUPERBLOCK_OPEN:
        return "OPEN";
    }
    return "unknown";
}

static const char *predecessor_end_text(enum dw_predecessor_end end)
{
    switch (end) {
    case DW_PREDECESSOR_NONE:
        return "NONE";
    case DW_PREDECESSOR_RUNS_ON:
        return "RUNS_ON";
    case DW_PREDECESSOR_CUT:
        return "CUT";
    }
    return "unknown";
}

const char *dw_text_superblock(const struct dw_superblock_info *info, char *text, size_t size)
{
    dw_assert(size > 0);
    char log_id[33];
    snprintf(text, size,
             "superblock sequence %" PRIu64 " %s log %s version %" PRIu32 " epoch %" PRIu64
             " claimed %s head %s trim %" PRIu64 " clean_end %" PRIu64 " watermark %" PRIu64 " block_size %" PRIu32
             " sector_size %" PRIu32 " volume_size %" PRIu64 " toc_length %" PRIu32 " in_flight_blocks %" PRIu32
             " blanks %" PRIu32 " fill_mode %" PRIu32 " magic_number 0x%08" PRIx32 " features %" PRIx32 "/%" PRIx32
             "/%" PRIx32 " tag_key 0x%08" PRIx32 " created %s written %s",
             info->sequence, state_text(info->state), dw_text_log_id(info->identity.log_id, log_id, sizeof log_id),
             info->format_version, info->epoch, number_or_none(info->claimed, DW_VOLUME_NUMBER_NONE).text,
             number_or_none(info->head, DW_VOLUME_NUMBER_NONE).text, info->trim, info->clean_end, info->watermark,
             info->geometry.block_size, info->geometry.sector_size, info->geometry.volume_size,
             info->geometry.toc_length, info->in_flight_blocks, info->blanks, info->fill_mode, info->magic_number,
             info->feature_compat, info->feature_ro_compat, info->feature_incompat, info->identity.tag_key,
             utc(info->create_time).text, utc(info->write_time).text);
    return text;
}

const char *dw_text_volume(const struct dw_volume_info *info, char *text, size_t size)
{
    dw_assert(size > 0);
    snprintf(text, size,
             "volume %" PRIu32 " predecessor %s %s cut %" PRIu64 " epoch %" PRIu64 " claimed %s block_size %" PRIu32
             " sector_size %" PRIu32 " volume_size %" PRIu64 " toc_length %" PRIu32 " in_flight_blocks %" PRIu32,
             info->number, number_or_none(info->predecessor, DW_VOLUME_NUMBER_NONE).text,
             predecessor_end_text(info->predecessor_end), info->cut, info->epoch, utc(info->claim_time).text,
             info->geometry.block_size, info->geometry.sector_size, info->geometry.volume_size,
             info->geometry.toc_length, info->in_flight_blocks);
    size_t used = strlen(text);
    if (info->slot != 0)
        snprintf(text + used, size - used, " slot %" PRIu32 " uses %" PRIu64, info->slot - 1, info->slot_uses);
    return text;
}

const char *dw_text_block(const struct dw_block_info *info, char *text, size_t size)
{
    dw_assert(size > 0);
    snprintf(text, size, "block %" PRIu64 " watermark %" PRIu64 " fill %" PRIu32 " first_record %s%s%s", info->block,
             info->watermark, info->fill, number_or_none(info->first_record, DW_FIRST_RECORD_NONE).text,
             (info->flags & DW_BLOCK_MARKER) != 0 ? " MARKER" : "",
             (info->flags & ~DW_BLOCK_MARKER) != 0 ? " unknown-flags" : "");
    return text;
}

const char *dw_text_record(const struct dw_record_info *info, uint64_t lsn, char *text, size_t size)
{
    dw_assert(size > 0);
    snprintf(text, size,
             "record lsn %" PRIu64 " end %" PRIu64 " metadata %" PRIu32 " data %" PRIu32
             " type %u user %u crc %08" PRIx32 " data_crc %08" PRIx32 "%s%s",
             lsn, lsn + dw_record_size(info), info->metadata_size, info->data_size, (unsigned)info->type,
             (unsigned)info->user, info->crc, info->data_crc, (info->flags & DW_RECORD_MORE) != 0 ? " MORE" : "",
             (info->flags & ~DW_RECORD_MORE) != 0 ? " unknown-flags" : "");
    return text;
}

const char *dw_text_toc(const struct dw_toc_info *info, char *text, size_t size)
{
    dw_assert(size > 0);
    const uint32_t known = DW_TOC_OPEN | DW_TOC_CUT | DW_TOC_SPILL | DW_TOC_TABLE;
    snprintf(text, size,
             "TOC of volume %" PRIu32 " first_lsn %" PRIu64 " last_lsn %" PRIu64 " end %" PRIu64 " entries %" PRIu64
             " table %" PRIu32 " watermark %" PRIu64 "%s%s%s%s%s time %s to %s",
             info->number, info->first_lsn, info->last_lsn, info->end, info->entry_count, info->table_length,
             info->watermark, (info->flags & DW_TOC_OPEN) != 0 ? " OPEN" : "",
             (info->flags & DW_TOC_CUT) != 0 ? " CUT" : "", (info->flags & DW_TOC_SPILL) != 0 ? " SPILL" : "",
             (info->flags & DW_TOC_TABLE) != 0 ? " TABLE" : "", (info->flags & ~known) != 0 ? " unknown-flags" : "",
             utc(info->time_first).text, utc(info->time_last).text);
    return text;
}

const char *dw_text_device(const struct dw_device_info *info, char *text, size_t size)
{
    dw_assert(size > 0);
    char device_id[33];
    snprintf(text, size,
             "device superblock sequence %" PRIu64 " device %s version %" PRIu32 " device_size %" PRIu64
             " slot_size %" PRIu64 " slots_at %" PRIu64 " slots %" PRIu32 " used %" PRIu32 " block_size %" PRIu32
             " features %" PRIx32 "/%" PRIx32 "/%" PRIx32 " created %s written %s",
             info->sequence, dw_text_log_id(info->device_id, device_id, sizeof device_id), info->format_version,
             info->device_size, info->slot_size, info->slots_at, info->slot_count, info->slots_used, info->block_size,
             info->feature_compat, info->feature_ro_compat, info->feature_incompat, utc(info->create_time).text,
             utc(info->write_time).text);
    for (size_t i = 0; i < DW_DEVICE_LOGS_MAX; i++) {
        const struct dw_device_log_info *log = &info->logs[i];
        size_t used = strlen(text);
        if (log->state != DW_DEVICE_LOG_NONE)
            snprintf(text + used, size - used, "; log %zu #%s%s quota %" PRIu32, i, log->name,
                     log->state == DW_DEVICE_LOG_CREATING ? " CREATING" : "", log->quota);
    }
    return text;
}

const char *dw_text_slot(const struct dw_slot_info *info, char *text, size_t size)
{
    static const char *const states[] = {"unknown", "FREE", "FILLING", "BLANK"};
    dw_assert(size > 0);
    char log_id[33];
    snprintf(text, size, "slot %" PRIu32 " %s uses %" PRIu64 " log %s", info->slot,
             states[info->state <= DW_SLOT_STATE_BLANK ? info->state : 0], info->uses,
             dw_text_log_id(info->log_id, log_id, sizeof log_id));
    return text;
}

const char *dw_text_log_id(const uint8_t log_id[16], char *text, size_t size)
{
    static const char digits[] = "0123456789abcdef";
    dw_assert(size > 0);
    size_t used = 0;
    for (size_t i = 0; i < 16 && used + 2 < size; i++) {
        text[used++] = digits[log_id[i] >> 4];
        text[used++] = digits[log_id[i] & 15];
    }
    text[used] = 0;
    return text;
}
