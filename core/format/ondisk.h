/* ondisk.h - the format, pinned: the size of every structure of format.h and the offset of every field.
 *
 * Included by the codec, so that nothing is compiled if one of them moves. A change here is a new format version. */
#ifndef DW_CORE_FORMAT_ONDISK_H
#define DW_CORE_FORMAT_ONDISK_H

#include <stddef.h>

#include "core/format/format.h"
#include "core/format/geometry.h"

#define DW_PIN_SIZE(type, size) _Static_assert(sizeof(struct type) == (size), "size of " #type)
#define DW_PIN(type, field, at, length)                                                                                \
    _Static_assert(offsetof(struct type, field) == (at) && sizeof(((struct type *)0)->field) == (length),              \
                   #type "." #field)

DW_PIN_SIZE(dw_block_header, 32);
DW_PIN(dw_block_header, tag, 0, 4);
DW_PIN(dw_block_header, crc, 4, 4);
DW_PIN(dw_block_header, block, 8, 8);
DW_PIN(dw_block_header, watermark, 16, 8);
DW_PIN(dw_block_header, fill, 24, 2);
DW_PIN(dw_block_header, first_record, 26, 2);
DW_PIN(dw_block_header, flags, 28, 2);
DW_PIN(dw_block_header, zero, 30, 2);

DW_PIN_SIZE(dw_record_header, 20);
DW_PIN(dw_record_header, crc, 0, 4);
DW_PIN(dw_record_header, data_crc, 4, 4);
DW_PIN(dw_record_header, metadata_size, 8, 4);
DW_PIN(dw_record_header, data_size, 12, 4);
DW_PIN(dw_record_header, type, 16, 1);
DW_PIN(dw_record_header, flags, 17, 1);
DW_PIN(dw_record_header, user, 18, 2);

DW_PIN_SIZE(dw_volume_header, 128);
DW_PIN(dw_volume_header, tag, 0, 4);
DW_PIN(dw_volume_header, crc, 4, 4);
DW_PIN(dw_volume_header, magic, 8, 8);
DW_PIN(dw_volume_header, format_version, 16, 4);
DW_PIN(dw_volume_header, number, 20, 4);
DW_PIN(dw_volume_header, log_id, 24, 16);
DW_PIN(dw_volume_header, predecessor, 40, 4);
DW_PIN(dw_volume_header, predecessor_end, 44, 4);
DW_PIN(dw_volume_header, cut, 48, 8);
DW_PIN(dw_volume_header, block_size, 56, 4);
DW_PIN(dw_volume_header, sector_size, 60, 4);
DW_PIN(dw_volume_header, volume_size, 64, 8);
DW_PIN(dw_volume_header, toc_length, 72, 4);
DW_PIN(dw_volume_header, in_flight_blocks, 76, 4);
DW_PIN(dw_volume_header, epoch, 80, 8);
DW_PIN(dw_volume_header, claim_time, 88, 8);
DW_PIN(dw_volume_header, slot_uses, 96, 8);
DW_PIN(dw_volume_header, slot, 104, 4);
DW_PIN(dw_volume_header, zero, 108, 20);

DW_PIN_SIZE(dw_toc, 128);
DW_PIN(dw_toc, tag, 0, 4);
DW_PIN(dw_toc, crc, 4, 4);
DW_PIN(dw_toc, magic, 8, 8);
DW_PIN(dw_toc, number, 16, 4);
DW_PIN(dw_toc, flags, 20, 4);
DW_PIN(dw_toc, log_id, 24, 16);
DW_PIN(dw_toc, first_lsn, 40, 8);
DW_PIN(dw_toc, last_lsn, 48, 8);
DW_PIN(dw_toc, end, 56, 8);
DW_PIN(dw_toc, entry_count, 64, 8);
DW_PIN(dw_toc, time_first, 72, 8);
DW_PIN(dw_toc, time_last, 80, 8);
DW_PIN(dw_toc, table_length, 88, 4);
DW_PIN(dw_toc, zero32, 92, 4);
DW_PIN(dw_toc, watermark, 96, 8);
DW_PIN(dw_toc, zero, 104, 24);

DW_PIN_SIZE(dw_superblock, 256);
DW_PIN(dw_superblock, magic, 0, 8);
DW_PIN(dw_superblock, crc, 8, 4);
DW_PIN(dw_superblock, format_version, 12, 4);
DW_PIN(dw_superblock, sequence, 16, 8);
DW_PIN(dw_superblock, log_id, 24, 16);
DW_PIN(dw_superblock, tag_key, 40, 4);
DW_PIN(dw_superblock, block_size, 44, 4);
DW_PIN(dw_superblock, volume_size, 48, 8);
DW_PIN(dw_superblock, sector_size, 56, 4);
DW_PIN(dw_superblock, toc_length, 60, 4);
DW_PIN(dw_superblock, epoch, 64, 8);
DW_PIN(dw_superblock, claimed, 72, 4);
DW_PIN(dw_superblock, state, 76, 4);
DW_PIN(dw_superblock, trim, 80, 8);
DW_PIN(dw_superblock, clean_end, 88, 8);
DW_PIN(dw_superblock, watermark, 96, 8);
DW_PIN(dw_superblock, feature_compat, 104, 4);
DW_PIN(dw_superblock, feature_ro_compat, 108, 4);
DW_PIN(dw_superblock, feature_incompat, 112, 4);
DW_PIN(dw_superblock, blanks, 116, 4);
DW_PIN(dw_superblock, fill_mode, 120, 4);
DW_PIN(dw_superblock, in_flight_blocks, 124, 4);
DW_PIN(dw_superblock, magic_number, 128, 4);
DW_PIN(dw_superblock, head, 132, 4);
DW_PIN(dw_superblock, create_time, 136, 8);
DW_PIN(dw_superblock, write_time, 144, 8);
DW_PIN(dw_superblock, zero, 152, 104);

DW_PIN_SIZE(dw_device_log, 96);
DW_PIN(dw_device_log, state, 0, 4);
DW_PIN(dw_device_log, quota, 4, 4);
DW_PIN(dw_device_log, log_id, 8, 16);
DW_PIN(dw_device_log, name, 24, 32);
DW_PIN(dw_device_log, time, 56, 8);
DW_PIN(dw_device_log, zero, 64, 32);

DW_PIN_SIZE(dw_device_superblock, 4096);
DW_PIN(dw_device_superblock, magic, 0, 8);
DW_PIN(dw_device_superblock, crc, 8, 4);
DW_PIN(dw_device_superblock, format_version, 12, 4);
DW_PIN(dw_device_superblock, sequence, 16, 8);
DW_PIN(dw_device_superblock, device_id, 24, 16);
DW_PIN(dw_device_superblock, device_size, 40, 8);
DW_PIN(dw_device_superblock, slot_size, 48, 8);
DW_PIN(dw_device_superblock, slots_at, 56, 8);
DW_PIN(dw_device_superblock, slot_count, 64, 4);
DW_PIN(dw_device_superblock, slots_used, 68, 4);
DW_PIN(dw_device_superblock, block_size, 72, 4);
DW_PIN(dw_device_superblock, feature_compat, 76, 4);
DW_PIN(dw_device_superblock, feature_ro_compat, 80, 4);
DW_PIN(dw_device_superblock, feature_incompat, 84, 4);
DW_PIN(dw_device_superblock, create_time, 88, 8);
DW_PIN(dw_device_superblock, write_time, 96, 8);
DW_PIN(dw_device_superblock, zero, 104, 152);
DW_PIN(dw_device_superblock, logs, 256, 3072);
DW_PIN(dw_device_superblock, zero_tail, 3328, 768);

DW_PIN_SIZE(dw_slot_header, 128);
DW_PIN(dw_slot_header, zero32, 0, 4);
DW_PIN(dw_slot_header, crc, 4, 4);
DW_PIN(dw_slot_header, magic, 8, 8);
DW_PIN(dw_slot_header, format_version, 16, 4);
DW_PIN(dw_slot_header, slot, 20, 4);
DW_PIN(dw_slot_header, device_id, 24, 16);
DW_PIN(dw_slot_header, log_id, 40, 16);
DW_PIN(dw_slot_header, state, 56, 4);
DW_PIN(dw_slot_header, zero60, 60, 4);
DW_PIN(dw_slot_header, uses, 64, 8);
DW_PIN(dw_slot_header, zero, 72, 56);

_Static_assert(sizeof(struct dw_device_log) == DW_DEVICE_LOG_SIZE, "log of a device");
_Static_assert(sizeof(struct dw_device_superblock) == DW_DEVICE_SUPERBLOCK_SIZE, "device superblock");
_Static_assert(sizeof(struct dw_slot_header) == DW_SLOT_HEADER_SIZE, "slot header");
_Static_assert(sizeof(struct dw_block_header) == DW_BLOCK_HEADER_SIZE, "block header");
_Static_assert(sizeof(struct dw_record_header) == DW_RECORD_HEADER_SIZE, "record header");
_Static_assert(sizeof(struct dw_volume_header) == DW_VOLUME_HEADER_SIZE, "volume header");
_Static_assert(sizeof(struct dw_toc) == DW_TOC_SIZE, "TOC");
_Static_assert(sizeof(struct dw_superblock) == DW_SUPERBLOCK_SIZE, "superblock");

#endif
