/* text.h - one printer per on-disk structure, shared by the command, error texts and tests. Pure.
 *
 * Each writes one line without a newline into `text` (always terminated, cut at `size`) and returns `text`. */
#ifndef DW_CORE_FORMAT_TEXT_H
#define DW_CORE_FORMAT_TEXT_H

#include "core/format/codec.h"

const char *dw_text_superblock(const struct dw_superblock_info *info, char *text, size_t size);
const char *dw_text_volume(const struct dw_volume_info *info, char *text, size_t size);
const char *dw_text_block(const struct dw_block_info *info, char *text, size_t size);
const char *dw_text_record(const struct dw_record_info *info, uint64_t lsn, char *text, size_t size);
const char *dw_text_toc(const struct dw_toc_info *info, char *text, size_t size);
const char *dw_text_device(const struct dw_device_info *info, char *text, size_t size);
const char *dw_text_slot(const struct dw_slot_info *info, char *text, size_t size);
const char *dw_text_log_id(const uint8_t log_id[16], char *text, size_t size); /* 32 hex digits */

#endif
