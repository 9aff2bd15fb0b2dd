/* raft_record.c - the records of the Raft log <-> their meaning, and this layer's errors. Pure, any thread.
 *
 * The base log has checked every byte before it comes here; lengths and kinds are checked all the same, since anybody may
 * have appended to the log underneath. Failure: kind UNKNOWN, which the callers refuse with DWAL_ERAFT_RECORD. */
#define DW_RAFT_FAIL_IMPLEMENTATION
#include <stdarg.h>
#include <stdio.h>

#include "core/layers/raft.h"

#define DISK_OF(type, record) ((const struct type *)(record)->metadata)

static void decode_head(const struct dwal_record *record, struct dwal_raft_record *raft)
{
    const struct dw_raft_head_disk *disk = DISK_OF(dw_raft_head_disk, record);
    if (record->metadata_size != sizeof *disk || dw_get32(disk->format_version) == 0 ||
        dw_get32(disk->format_version) > DWAL_RAFT_FORMAT_VERSION || dw_get32(disk->zero) != 0)
        return;
    raft->kind = DWAL_RAFT_HEAD;
    raft->format_version = dw_get32(disk->format_version);
    raft->sequence = dw_get64(disk->sequence);
    raft->index = dw_get64(disk->index);
    raft->state = (struct dwal_raft_state){dw_get64(disk->term), dw_get64(disk->vote), dw_get64(disk->commit)};
}

static void decode_entry(const struct dwal_record *record, struct dwal_raft_record *raft)
{
    const struct dw_raft_entry_disk *disk = DISK_OF(dw_raft_entry_disk, record);
    if (record->metadata_size != sizeof *disk || dw_get32(disk->zero) != 0)
        return;
    uint64_t index = dw_get64(disk->index);
    if (index == 0 || index == UINT64_MAX)
        return;
    raft->kind = DWAL_RAFT_ENTRY;
    raft->index = index;
    raft->term = dw_get64(disk->term);
    raft->type = dw_get32(disk->type);
}

static void decode_state(const struct dwal_record *record, struct dwal_raft_record *raft)
{
    const struct dw_raft_state_disk *disk = DISK_OF(dw_raft_state_disk, record);
    if (record->metadata_size != sizeof *disk || record->data_size != 0)
        return;
    raft->kind = DWAL_RAFT_STATE;
    raft->state = (struct dwal_raft_state){dw_get64(disk->term), dw_get64(disk->vote), dw_get64(disk->commit)};
}

static void decode_snapshot(const struct dwal_record *record, struct dwal_raft_record *raft)
{
    const struct dw_raft_snapshot_disk *disk = DISK_OF(dw_raft_snapshot_disk, record);
    if (record->metadata_size != sizeof *disk || dw_get64(disk->index) == UINT64_MAX)
        return;
    raft->kind = DWAL_RAFT_SNAPSHOT;
    raft->index = dw_get64(disk->index);
    raft->term = dw_get64(disk->term);
}

void dw_raft_decode(const struct dwal_record *record, struct dwal_raft_record *raft)
{
    *raft = (struct dwal_raft_record){
        .kind = DWAL_RAFT_UNKNOWN,
        .lsn = record->lsn,
        .end = record->end,
        .volume = record->volume,
        .data = record->data,
        .size = record->data_size,
    };
    switch (record->user) {
    case DW_RAFT_USER | DWAL_RAFT_HEAD:
        decode_head(record, raft);
        break;
    case DW_RAFT_USER | DWAL_RAFT_ENTRY:
        decode_entry(record, raft);
        break;
    case DW_RAFT_USER | DWAL_RAFT_STATE:
        decode_state(record, raft);
        break;
    case DW_RAFT_USER | DWAL_RAFT_SNAPSHOT:
        decode_snapshot(record, raft);
        break;
    default:
        break;
    }
}

size_t dw_raft_encode(const struct dwal_raft_record *raft, union dw_raft_disk *disk)
{
    *disk = (union dw_raft_disk){0};
    switch (raft->kind) {
    case DWAL_RAFT_HEAD:
        disk->head = (struct dw_raft_head_disk){
            .format_version = dw_le32_of(raft->format_version),
            .sequence = dw_le64_of(raft->sequence),
            .index = dw_le64_of(raft->index),
            .term = dw_le64_of(raft->state.term),
            .vote = dw_le64_of(raft->state.vote),
            .commit = dw_le64_of(raft->state.commit),
        };
        return sizeof disk->head;
    case DWAL_RAFT_ENTRY:
        disk->entry = (struct dw_raft_entry_disk){
            .index = dw_le64_of(raft->index), .term = dw_le64_of(raft->term), .type = dw_le32_of(raft->type)};
        return sizeof disk->entry;
    case DWAL_RAFT_STATE:
        disk->state = (struct dw_raft_state_disk){
            .term = dw_le64_of(raft->state.term),
            .vote = dw_le64_of(raft->state.vote),
            .commit = dw_le64_of(raft->state.commit),
        };
        return sizeof disk->state;
    case DWAL_RAFT_SNAPSHOT:
        disk->snapshot =
            (struct dw_raft_snapshot_disk){.index = dw_le64_of(raft->index), .term = dw_le64_of(raft->term)};
        return sizeof disk->snapshot;
    case DWAL_RAFT_UNKNOWN:
        break;
    }
    return 0;
}

int dw_raft_refuse_record(const struct dwal_record *record)
{
    const struct dw_raft_head_disk *head = DISK_OF(dw_raft_head_disk, record);
    if (record->user == (DW_RAFT_USER | DWAL_RAFT_HEAD) && record->metadata_size >= sizeof head->format_version &&
        dw_get32(head->format_version) > DWAL_RAFT_FORMAT_VERSION)
        return dw_raft_fail(DWAL_EVERSION, record->lsn,
                            "the Raft log is of format version %u, this dwal reads up to %u",
                            dw_get32(head->format_version), DWAL_RAFT_FORMAT_VERSION);
    if ((record->user & 0xff00u) != DW_RAFT_USER || (record->user & 0xffu) == 0 ||
        (record->user & 0xffu) > DWAL_RAFT_SNAPSHOT)
        return dw_raft_fail(DWAL_ERAFT_RECORD, record->lsn,
                            "the record at lsn %llu has type %#x, which is none of a Raft log",
                            (unsigned long long)record->lsn, record->user);
    return dw_raft_fail(DWAL_ERAFT_RECORD, record->lsn,
                        "the %s at lsn %llu is malformed: %u bytes of metadata, %u of data",
                        dwal_raft_kind_name((enum dwal_raft_kind)(record->user & 0xffu)),
                        (unsigned long long)record->lsn, record->metadata_size, record->data_size);
}

const char *dwal_raft_kind_name(enum dwal_raft_kind kind)
{
    switch (kind) {
    case DWAL_RAFT_HEAD:
        return "head";
    case DWAL_RAFT_ENTRY:
        return "entry";
    case DWAL_RAFT_STATE:
        return "state";
    case DWAL_RAFT_SNAPSHOT:
        return "snapshot";
    case DWAL_RAFT_UNKNOWN:
        break;
    }
    return "unknown";
}

int dw_raft_fail(int code, uint64_t lsn, const char *format, ...)
{
    struct dwal_error error = {.code = code, .volume = DWAL_NO_VOLUME, .block = DWAL_NO_LSN, .lsn = lsn};
    char what[260];
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(what, sizeof what, format, arguments);
    va_end(arguments);
    (void)snprintf(error.text, sizeof error.text, "%s; %s", what, dwal_error_action(code));
    return dwal_set_error(&error);
}
