/* parse.h - one record out of the durable log, through a window: header, metadata, data, each checked. For readers.
 *
 * Lengths are believed when the checksum over header and metadata holds; until then memory grows only with bytes that were
 * really there, and a record that claims to go beyond what is durable is believed only while every block agrees. */
#ifndef DW_CORE_READ_PARSE_H
#define DW_CORE_READ_PARSE_H

#include "core/read/window.h"

struct dw_parsed {
    uint64_t lsn, end;
    struct dw_record_info info;
};
/* Memory that grows. */
struct dw_bytes {
    uint8_t *at;
    size_t size;
};
DW_NODISCARD int dw_bytes_reserve(struct dw_bytes *bytes, size_t size); /* DWAL_EMEMORY */

/* The record at `lsn`: header and metadata checked, the metadata into `metadata` unless NULL. DWAL_EEND: not all of it is durable
 * yet. */
DW_NODISCARD int dw_parse_header(struct dw_window *window, uint64_t lsn, struct dw_bytes *metadata,
                                 struct dw_parsed *parsed);
/* Its data, checked, into `target`. */
DW_NODISCARD int dw_parse_data(struct dw_window *window, const struct dw_parsed *parsed, void *target);
/* DWAL_ECORRUPT about the record at `lsn` and the window's current block. */
DW_COLD int dw_parse_refuse(const struct dw_window *window, uint64_t lsn, const char *what);

#endif
