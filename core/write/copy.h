/* copy.h - the copies of the append path, inline: into the ring, few hundred bytes at a time, with or without the checksum.
 *
 * Called by: appenders, any thread. Pure. In a file that is compiled for AVX2 (core/write/quick_wide.c) they move 32 bytes with
 * one load and one store, elsewhere with two. The spans never overlap. */
#ifndef DW_CORE_WRITE_COPY_H
#define DW_CORE_WRITE_COPY_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "core/format/crc32c.h"

#if defined(__AVX2__)
#include <immintrin.h>
#endif

DW_INLINE void dw_copy_32(uint8_t *to, const uint8_t *from)
{
#if defined(__AVX2__)
    _mm256_storeu_si256((__m256i_u *)(void *)to, _mm256_loadu_si256((const __m256i_u *)(const void *)from));
#else
    memcpy(to, from, 32);
#endif
}

/* Fewer than 32 bytes. Where the number fits no power of two, first and last bytes are copied and may overlap. */
DW_INLINE void dw_copy_few(uint8_t *to, const uint8_t *from, size_t size)
{
    if (size >= 16) {
        memcpy(to, from, 16);
        memcpy(to + size - 16, from + size - 16, 16);
    } else if (size >= 8) {
        memcpy(to, from, 8);
        memcpy(to + size - 8, from + size - 8, 8);
    } else if (size >= 4) {
        memcpy(to, from, 4);
        memcpy(to + size - 4, from + size - 4, 4);
    } else if (size > 0) {
        to[0] = from[0];
        to[size / 2] = from[size / 2];
        to[size - 1] = from[size - 1];
    }
}

/* Any number, best for some hundreds. */
DW_INLINE void dw_copy(uint8_t *to, const uint8_t *from, size_t size)
{
    if (size < 32) {
        dw_copy_few(to, from, size);
        return;
    }
    uint8_t *last = to + size - 32;
    const uint8_t *last_from = from + size - 32;
    for (; to + 96 < last; to += 128, from += 128) {
#pragma GCC unroll 4
        for (unsigned at = 0; at < 128; at += 32)
            dw_copy_32(to + at, from + at);
    }
    for (; to < last; to += 32, from += 32)
        dw_copy_32(to, from);
    dw_copy_32(last, last_from);
}

/* The whole payload of a sector of 512 bytes. */
#define DW_COPY_SECTOR (512u - 4u)
DW_INLINE void dw_copy_sector(uint8_t *to, const uint8_t *from)
{
#pragma GCC unroll 16
    for (unsigned at = 0; at < DW_COPY_SECTOR - 32; at += 32)
        dw_copy_32(to + at, from + at);
    dw_copy_32(to + DW_COPY_SECTOR - 32, from + DW_COPY_SECTOR - 32);
}

#if DW_CRC32C_INSTRUCTION
/* Copy and checksum the last `size` bytes, fewer than 32, in one pass. */
DW_INLINE uint32_t dw_copy_few_with_crc(uint8_t *to, const uint8_t *from, size_t size, uint64_t crc)
{
    for (; size >= 8; size -= 8, from += 8, to += 8) {
        uint64_t word = dw_crc32c_load(from);
        crc = DW_CRC32C_8(crc, word);
        memcpy(to, &word, sizeof word);
    }
    uint32_t last = (uint32_t)crc;
    if (size & 4) {
        uint32_t word;
        memcpy(&word, from, sizeof word);
        last = DW_CRC32C_4(last, word);
        memcpy(to, &word, sizeof word);
        from += 4;
        to += 4;
    }
    for (size &= 3; size > 0; size--, from++, to++) {
        *to = *from;
        last = DW_CRC32C_1(last, *to);
    }
    return last;
}
#endif

/* Copy and checksum, from the start value 0, in one pass. */
DW_INLINE uint32_t dw_copy_with_crc(uint8_t *to, const uint8_t *from, size_t size)
{
#if DW_CRC32C_INSTRUCTION
    uint64_t crc = UINT32_MAX;
    size_t done = 0;
    for (size_t stop = size & ~(size_t)63; done != stop; done += 64) {
#pragma GCC unroll 8
        for (unsigned at = 0; at < 64; at += 8)
            crc = DW_CRC32C_8(crc, dw_crc32c_load(from + done + at));
        dw_copy_32(to + done, from + done);
        dw_copy_32(to + done + 32, from + done + 32);
    }
    from += done;
    to += done;
    if (size & 32) {
#pragma GCC unroll 4
        for (unsigned at = 0; at < 32; at += 8)
            crc = DW_CRC32C_8(crc, dw_crc32c_load(from + at));
        dw_copy_32(to, from);
        from += 32;
        to += 32;
    }
    if ((size & 31) != 0)
        crc = dw_copy_few_with_crc(to, from, size & 31, crc);
    return ~(uint32_t)crc;
#else
    memcpy(to, from, size);
    return dw_crc32c_table(0, from, size);
#endif
}

#endif
