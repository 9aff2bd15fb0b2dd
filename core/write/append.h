/* append.h - between the shortest way of an append (quick.c) and the others (append.c). */
#ifndef DW_CORE_WRITE_APPEND_H
#define DW_CORE_WRITE_APPEND_H

#include "core/write/writer.h"

/* Write `entry`, whose data has the checksum `data_crc`, at the reserved `lsn`: over blocks, waiting
 * for room where need be. is_roomy: the ring is known to have room for all of it. DWAL_EFAILED: the log stopped while it
 * waited for room. */
DW_NODISCARD int dw_append_reserved(struct dw_writer *writer, const struct dwal_entry *entry, uint32_t data_crc,
                                    uint64_t lsn, bool is_roomy);
/* The shortest way for any processor. is_single: checksums are made by the crc32 instruction alone, and sectors
 * have 512 bytes. */
dw_append_one_fn *dw_append_plain(bool is_single);
/* The shortest way for processors with wide registers (core/write/quick_wide.c); NULL: there is none. */
dw_append_one_fn *dw_append_wide(bool is_single);

#endif
