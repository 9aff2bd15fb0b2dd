/* reader.h - read records by lsn and in order, from the ring when recent and from volumes when not.
 *
 * Owns: one block-sized window and a growing record buffer per reader. Called by: one thread per reader. Never blocks the
 * writer: takes the store's mutex only to pin a volume.
 * Happy path: position -> block (ring or device) -> check header, place, tags -> record header -> metadata -> data.
 * Failure: any mismatch is DWAL_ECORRUPT with volume, block and lsn; nothing unchecked is ever handed out. */
#ifndef DW_CORE_READ_READER_H
#define DW_CORE_READ_READER_H

#include <dwal/dwal.h>

#include "core/store/store.h"

/* Where recent blocks can be had from memory, and what is durable: implemented by core/write, absent for read-only logs. */
struct dw_recent {
    void *context;
    /* Copy block `block` (one whole block) out of the ring. false: it is not there (any more): read the device. */
    bool (*copy_block)(void *context, uint64_t block, void *target);
    /* First block not durable: nothing at or beyond it may be shown. Acquire. */
    uint64_t (*durable_block)(void *context);
    /* No batch that begins before this lsn runs on beyond what is durable; so of what ends before it no batch needs to be
     * looked at. NULL: look at each. */
    uint64_t (*complete_lsn)(void *context);
};

struct dw_reader;
struct dw_reader_stats {
    uint64_t ring_reads, device_reads, device_read_bytes;
};

/* `read_ahead`: bytes to read from the device at once when going forwards (one block at least). `recent->context` NULL is
 * allowed when copy_block is NULL. */
DW_NODISCARD int dw_reader_create(struct dw_store *store, const struct dw_recent *recent, size_t read_ahead,
                                  struct dw_reader **reader);
void dw_reader_close(struct dw_reader *reader);
/* From now on read for single records: what one needs and not a buffer full; `blocks` at first (1 or more). */
void dw_reader_want(struct dw_reader *reader, uint32_t blocks);
/* Let go of the volume that it stands in; it can be used on. */
void dw_reader_release(struct dw_reader *reader);
/* Number of the volume that it keeps pinned, or DW_VOLUME_NUMBER_NONE. */
uint32_t dw_reader_volume(const struct dw_reader *reader);
/* Show nothing that ends behind `limit`: what recovery said is the end of a log that is only read (there the end may lie
 * inside a block). UINT64_MAX: no limit but the durable block. */
void dw_reader_limit(struct dw_reader *reader, uint64_t limit);
/* Stand before the first record that starts at or after `lsn`. */
DW_NODISCARD int dw_reader_seek(struct dw_reader *reader, uint64_t lsn);
/* Stand before the record that starts exactly at `lsn`. DWAL_ENOTFOUND (checked by the record's own checksum), DWAL_EEND,
 * DWAL_ETRIMMED. */
DW_NODISCARD int dw_reader_seek_exact(struct dw_reader *reader, uint64_t lsn);
/* Header and metadata of the next record; record->metadata points into the reader. Then data (optional), then the next.
 * DWAL_EEND; a record that recovery dropped in a cut volume is passed over silently; so are markers and padding. */
DW_NODISCARD int dw_reader_next(struct dw_reader *reader, struct dwal_record *record);
/* The data of the record that next gave, checked; into `target` (data_size bytes) or, when NULL, into the reader's own buffer. */
DW_NODISCARD int dw_reader_data(struct dw_reader *reader, struct dwal_record *record, void *target);
void dw_reader_get_stats(const struct dw_reader *reader, struct dw_reader_stats *stats);
/* The same, and begin again at 0. */
void dw_reader_take_stats(struct dw_reader *reader, struct dw_reader_stats *stats);

#endif
