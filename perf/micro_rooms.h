/* micro_rooms.h - single operations of the private rooms, in a form that C++ can call: their headers are C11 only.
 *
 * Called by micro_*.cpp; made by micro_*.c. Each call does one operation on memory that the caller or this file owns, and answers
 * something that depends on it, so that nothing can be optimised away. */
#ifndef DW_PERF_MICRO_ROOMS_H
#define DW_PERF_MICRO_ROOMS_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define MICRO_BLOCK_SIZE 4096u

void micro_rooms_init(void);
uint32_t micro_crc32c(const void *bytes, size_t size);
/* Header and tags of one block of 512-byte sectors. */
uint32_t micro_block_encode(void *block, uint64_t number);
uint32_t micro_block_decode(const void *block, uint64_t number);
/* A table of contents of `table` bytes (one of the two MICRO_TABLE_*), header and checksum of the whole area; and back. */
#define MICRO_TABLE_NONE  0u
#define MICRO_TABLE_LARGE 65536u
size_t micro_toc_area_size(uint32_t table);
uint32_t micro_toc_encode(void *area, uint32_t table);
uint32_t micro_toc_decode(const void *area, uint32_t table);
/* One copy of the log's superblock, and back. */
uint32_t micro_superblock_encode(void *block, uint64_t sequence);
uint32_t micro_superblock_decode(const void *block);
/* Payload copied into a block, over its tags. */
uint32_t micro_payload_write(void *block, const void *source, size_t size);
/* Header and checksums of a record with `size` bytes of data. */
uint32_t micro_record_encode(uint64_t lsn, const void *data, uint32_t size);
/* A record's header and data behind it, as micro_record_put wrote them: lengths, both checksums. 0: it does not check. */
void micro_record_put(void *record, uint64_t lsn, const void *data, uint32_t size);
uint32_t micro_record_decode(const void *record, uint64_t lsn);

/* ---- what the flusher does between the copy and the write (micro_seal.c) ---- */
void micro_seal_open(void);
/* An entry of `size` bytes stands in a block of its own, as one caller leaves it: seal the block, write its header, give the
 * slot back. Answers the block's number. */
uint64_t micro_seal_padded(uint32_t size);
/* `count` full blocks: look at each, write its header, give the slots back. */
uint64_t micro_seal_full(uint32_t count);
void micro_seal_close(void);

/* ---- walking a volume that lies in memory (micro_walk.c) ---- */
#define MICRO_WALK_VOLUME_SIZE (UINT64_C(16) << 20)
struct micro_walk {
    uint8_t *volume; /* data blocks with nothing but entries of one size */
    uint64_t entries, data_bytes;
};
struct micro_walk micro_walk_make(uint32_t size);
void micro_walk_free(struct micro_walk *walk);
/* Entries that were found sound: header, metadata and data. */
uint64_t micro_walk_count(const struct micro_walk *walk);

void micro_histogram_record(uint64_t value_ns);

#ifdef __cplusplus
}
#endif
#endif
