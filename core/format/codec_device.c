/* codec_device.c - the superblock of a device, where its parts lie, and the headers of slots that are no volume.
 *
 * Called by: store (device*.c), tools through it; on any thread. Pure. */
#include <string.h>

#include "base/assert.h"
#include "core/format/codec.h"
#include "core/format/ondisk.h"

#define SUPERBLOCK_FROM 12u
#define SUPERBLOCK_SIZE (DW_DEVICE_SUPERBLOCK_SIZE - SUPERBLOCK_FROM)
#define HEADER_FROM     8u
#define HEADER_SIZE     (DW_SLOT_HEADER_SIZE - HEADER_FROM)
#define AREA_UNIT_LARGE (UINT64_C(1) << 20)

static bool is_zero(const void *bytes, size_t size)
{
    const uint8_t *byte = bytes;
    return size == 0 || (byte[0] == 0 && memcmp(byte, byte + 1, size - 1) == 0);
}

/* ---- layout ---- */

static bool is_block_size(uint32_t size)
{
    return dw_is_power_of_two(size) && size >= DW_BLOCK_SIZE_MIN && size <= DW_BLOCK_SIZE_MAX;
}

/* Both slots of the device and of each log; large slots start at a large boundary. */
static uint64_t area_size(uint32_t block_size, uint64_t slot_size)
{
    uint64_t unit = slot_size >= AREA_UNIT_LARGE ? AREA_UNIT_LARGE : DW_DEVICE_STRIDE;
    return dw_align_up((uint64_t)2 * DW_DEVICE_STRIDE + (uint64_t)2 * DW_DEVICE_LOGS_MAX * block_size, unit);
}

bool dw_device_layout(struct dw_device_info *info)
{
    if (!is_block_size(info->block_size) || info->slot_size == 0 || info->slot_size > DW_VOLUME_SIZE_MAX ||
        info->slot_size % info->block_size != 0)
        return false;
    info->device_size = dw_align_down(info->device_size, DW_DEVICE_STRIDE);
    info->slots_at = area_size(info->block_size, info->slot_size);
    if (info->device_size < 2 * info->slots_at + info->slot_size)
        return false;
    uint64_t count = (info->device_size - 2 * info->slots_at) / info->slot_size;
    info->slot_count = (uint32_t)dw_min_u64(count, DW_DEVICE_SLOTS_MAX);
    return true;
}

uint64_t dw_device_place_of_copy(uint64_t device_size, uint32_t copy)
{
    uint64_t near = (uint64_t)(copy & 1) * DW_DEVICE_STRIDE;
    return copy < 2 ? near : dw_align_down(device_size, DW_DEVICE_STRIDE) - (uint64_t)2 * DW_DEVICE_STRIDE + near;
}

/* Behind the device's own copies at the near end, in front of them at the far end. */
uint64_t dw_device_place_of_log_copy(const struct dw_device_info *info, uint32_t index, uint32_t copy)
{
    uint64_t at = ((uint64_t)2 * index + (copy & 1)) * info->block_size;
    uint64_t near = (uint64_t)2 * DW_DEVICE_STRIDE;
    return copy < 2 ? near + at : info->device_size - info->slots_at + at;
}

/* ---- names ---- */

static bool is_name_letter(char letter)
{
    return (letter >= 'a' && letter <= 'z') || (letter >= 'A' && letter <= 'Z') || (letter >= '0' && letter <= '9') ||
           letter == '.' || letter == '_' || letter == '-';
}

bool dw_device_name_is_possible(const char *name)
{
    size_t length = strnlen(name, DW_DEVICE_LOG_NAME_SIZE);
    if (length == DW_DEVICE_LOG_NAME_SIZE)
        return false;
    for (size_t i = 0; i < length; i++)
        if (!is_name_letter(name[i]))
            return false;
    return true;
}

/* ---- device superblock ---- */

static bool are_logs_possible(const struct dw_device_info *info)
{
    for (size_t i = 0; i < DW_DEVICE_LOGS_MAX; i++) {
        const struct dw_device_log_info *log = &info->logs[i];
        if (log->state > DW_DEVICE_LOG_READY || !dw_device_name_is_possible(log->name))
            return false;
        if ((log->state == DW_DEVICE_LOG_NONE) != (is_zero(log->log_id, sizeof log->log_id)))
            return false;
        for (size_t other = 0; other < i && log->state == DW_DEVICE_LOG_READY; other++)
            if (info->logs[other].state == DW_DEVICE_LOG_READY && strcmp(info->logs[other].name, log->name) == 0)
                return false;
    }
    return true;
}

static bool is_possible(const struct dw_device_info *info)
{
    struct dw_device_info layout = *info;
    return dw_device_layout(&layout) && layout.device_size == info->device_size && layout.slots_at == info->slots_at &&
           layout.slot_count == info->slot_count && info->slots_used <= info->slot_count && are_logs_possible(info);
}

static void encode_log(const struct dw_device_log_info *info, struct dw_device_log *log)
{
    log->state = dw_le32_of((uint32_t)info->state);
    log->quota = dw_le32_of(info->quota);
    memcpy(log->log_id, info->log_id, sizeof log->log_id);
    memcpy(log->name, info->name, strlen(info->name)); /* zeros behind it */
    log->time = dw_le64_of(info->time);
}

void dw_device_encode(const struct dw_device_info *info, void *bytes)
{
    dw_assert(is_possible(info));
    struct dw_device_superblock superblock = {
        .magic = dw_le64_of(DW_MAGIC_DEVICE),
        .format_version = dw_le32_of(info->format_version != 0 ? info->format_version : DW_FORMAT_VERSION),
        .sequence = dw_le64_of(info->sequence),
        .device_size = dw_le64_of(info->device_size),
        .slot_size = dw_le64_of(info->slot_size),
        .slots_at = dw_le64_of(info->slots_at),
        .slot_count = dw_le32_of(info->slot_count),
        .slots_used = dw_le32_of(info->slots_used),
        .block_size = dw_le32_of(info->block_size),
        .feature_compat = dw_le32_of(info->feature_compat),
        .feature_ro_compat = dw_le32_of(info->feature_ro_compat),
        .feature_incompat = dw_le32_of(info->feature_incompat),
        .create_time = dw_le64_of(info->create_time),
        .write_time = dw_le64_of(info->write_time),
    };
    memcpy(superblock.device_id, info->device_id, sizeof superblock.device_id);
    for (size_t i = 0; i < DW_DEVICE_LOGS_MAX; i++)
        if (info->logs[i].state != DW_DEVICE_LOG_NONE)
            encode_log(&info->logs[i], &superblock.logs[i]);
    superblock.crc = dw_le32_of(dw_crc32c(0, (const uint8_t *)&superblock + SUPERBLOCK_FROM, SUPERBLOCK_SIZE));
    memcpy(bytes, &superblock, sizeof superblock);
}

/* Unpack; false when zero bytes are not zero or a name does not end. */
static bool decode_log(const struct dw_device_log *log, struct dw_device_log_info *info)
{
    *info = (struct dw_device_log_info){
        .state = (enum dw_device_log_state)dw_get32(log->state),
        .quota = dw_get32(log->quota),
        .time = dw_get64(log->time),
    };
    memcpy(info->log_id, log->log_id, sizeof info->log_id);
    memcpy(info->name, log->name, sizeof info->name);
    size_t length = strnlen(info->name, sizeof info->name);
    if (length == sizeof info->name || !is_zero(info->name + length, sizeof info->name - length))
        return false;
    if (info->state == DW_DEVICE_LOG_NONE)
        return is_zero(log, sizeof *log);
    return is_zero(log->zero, sizeof log->zero);
}

static bool decode_superblock(const struct dw_device_superblock *superblock, struct dw_device_info *info)
{
    *info = (struct dw_device_info){
        .sequence = dw_get64(superblock->sequence),
        .device_size = dw_get64(superblock->device_size),
        .slot_size = dw_get64(superblock->slot_size),
        .slots_at = dw_get64(superblock->slots_at),
        .slot_count = dw_get32(superblock->slot_count),
        .slots_used = dw_get32(superblock->slots_used),
        .block_size = dw_get32(superblock->block_size),
        .feature_compat = dw_get32(superblock->feature_compat),
        .feature_ro_compat = dw_get32(superblock->feature_ro_compat),
        .feature_incompat = dw_get32(superblock->feature_incompat),
        .create_time = dw_get64(superblock->create_time),
        .write_time = dw_get64(superblock->write_time),
        .format_version = dw_get32(superblock->format_version),
    };
    memcpy(info->device_id, superblock->device_id, sizeof info->device_id);
    bool is_sane = is_zero(superblock->zero, sizeof superblock->zero) &&
                   is_zero(superblock->zero_tail, sizeof superblock->zero_tail);
    for (size_t i = 0; i < DW_DEVICE_LOGS_MAX; i++)
        is_sane = decode_log(&superblock->logs[i], &info->logs[i]) && is_sane;
    return is_sane;
}

enum dw_decoded dw_device_decode(const void *bytes, struct dw_device_info *info)
{
    struct dw_device_superblock superblock;
    memcpy(&superblock, bytes, sizeof superblock);
    if (dw_get64(superblock.magic) != DW_MAGIC_DEVICE)
        return DW_DECODED_BAD_MAGIC;
    if (dw_crc32c(0, (const uint8_t *)&superblock + SUPERBLOCK_FROM, SUPERBLOCK_SIZE) != dw_get32(superblock.crc))
        return DW_DECODED_BAD_CRC;
    bool is_sane = decode_superblock(&superblock, info);
    if (info->format_version > DW_FORMAT_VERSION)
        return DW_DECODED_VERSION;
    if (info->format_version == 0 || !is_sane || !is_possible(info))
        return DW_DECODED_IMPOSSIBLE;
    return DW_DECODED_OK;
}

/* ---- slot header ---- */

static bool is_slot_possible(const struct dw_slot_info *info)
{
    if (info->state < DW_SLOT_STATE_FREE || info->state > DW_SLOT_STATE_BLANK)
        return false;
    return (info->state == DW_SLOT_STATE_FREE) == is_zero(info->log_id, sizeof info->log_id);
}

void dw_slot_header_encode(const uint8_t device_id[16], const struct dw_slot_info *info, void *block, size_t block_size)
{
    dw_assert(is_slot_possible(info) && block_size >= DW_SLOT_HEADER_SIZE);
    struct dw_slot_header header = {
        .magic = dw_le64_of(DW_MAGIC_SLOT),
        .format_version = dw_le32_of(DW_FORMAT_VERSION),
        .slot = dw_le32_of(info->slot),
        .state = dw_le32_of((uint32_t)info->state),
        .uses = dw_le64_of(info->uses),
    };
    memcpy(header.device_id, device_id, sizeof header.device_id);
    memcpy(header.log_id, info->log_id, sizeof header.log_id);
    header.crc = dw_le32_of(dw_crc32c_short(0, (const uint8_t *)&header + HEADER_FROM, HEADER_SIZE));
    memcpy(block, &header, sizeof header);
    memset((uint8_t *)block + sizeof header, 0, block_size - sizeof header);
}

enum dw_decoded dw_slot_header_decode(const uint8_t device_id[16], const void *block, uint32_t slot,
                                      struct dw_slot_info *info)
{
    struct dw_slot_header header;
    memcpy(&header, block, sizeof header);
    if (dw_get64(header.magic) != DW_MAGIC_SLOT)
        return DW_DECODED_BAD_MAGIC;
    if (dw_crc32c_short(0, (const uint8_t *)&header + HEADER_FROM, HEADER_SIZE) != dw_get32(header.crc))
        return DW_DECODED_BAD_CRC;
    *info = (struct dw_slot_info){
        .state = (enum dw_slot_state)dw_get32(header.state),
        .slot = dw_get32(header.slot),
        .uses = dw_get64(header.uses),
    };
    memcpy(info->log_id, header.log_id, sizeof info->log_id);
    if (memcmp(header.device_id, device_id, sizeof header.device_id) != 0)
        return DW_DECODED_FOREIGN;
    if (dw_get32(header.format_version) > DW_FORMAT_VERSION)
        return DW_DECODED_VERSION;
    bool are_zero =
        dw_get32(header.zero32) == 0 && dw_get32(header.zero60) == 0 && is_zero(header.zero, sizeof header.zero);
    if (dw_get32(header.format_version) == 0 || !are_zero || !is_slot_possible(info))
        return DW_DECODED_IMPOSSIBLE;
    return info->slot == slot ? DW_DECODED_OK : DW_DECODED_MISPLACED;
}
