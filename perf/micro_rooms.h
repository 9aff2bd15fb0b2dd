/* micro_rooms.h - single operations of the private rooms, in a form that C++ can call: their headers are C11 only.
 *
 * Called by micro_rooms.cpp. Each call does one operation on memory that the caller or this file owns, and answers
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
/* Payload copied into a block, over its tags. */
uint32_t micro_payload_write(void *block, const void *source, size_t size);
/* Header and checksums of a record with `size` bytes of data. */
uint32_t micro_record_encode(uint64_t lsn, const void *data, uint32_t size);
void micro_histogram_record(uint64_t value_ns);

#ifdef __cplusplus
}
#endif
#endif
