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

/* At most 512 bytes: as many whole steps as fit by a jump into straight code, and the last 32 bytes once more. */
DW_INLINE void dw_copy_short(uint8_t *to, const uint8_t *from, size_t size)
{
#define COPY_STEP(n)                                                                                                   \
    case (n):                                                                                                          \
        dw_copy_32(to - 32 * (n), from - 32 * (n));                                                                    \
        __attribute__((fallthrough))
    if (DW_UNLIKELY(size < 32)) {
        dw_copy_few(to, from, size);
        return;
    }
    size_t last = size - 32;
    size_t steps = (size - 1) / 32;
    uint8_t *last_to = to + last;
    const uint8_t *last_from = from + last;
    to += steps * 32;
    from += steps * 32;
    switch (steps) {
        COPY_STEP(15);
        COPY_STEP(14);
        COPY_STEP(13);
        COPY_STEP(12);
        COPY_STEP(11);
        COPY_STEP(10);
        COPY_STEP(9);
        COPY_STEP(8);
        COPY_STEP(7);
        COPY_STEP(6);
        COPY_STEP(5);
        COPY_STEP(4);
        COPY_STEP(3);
        COPY_STEP(2);
        COPY_STEP(1);
    case 0:
        dw_copy_32(last_to, last_from);
        break;
    default:
        __builtin_unreachable();
    }
#undef COPY_STEP
}

/* Any number. */
DW_INLINE void dw_copy(uint8_t *to, const uint8_t *from, size_t size)
{
    for (; DW_UNLIKELY(size > 512); size -= 512, to += 512, from += 512) {
#pragma GCC unroll 16
        for (unsigned at = 0; at < 512; at += 32)
            dw_copy_32(to + at, from + at);
    }
    dw_copy_short(to, from, size);
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

/* Copy to `at` in one block, stepping over the tags and stamping them; one right behind the last byte is the caller's. Blocks are
 * aligned to their sectors in memory too. Returns where it ended. Out of line: it needs no memory but what it copies. */
__attribute__((noinline, unused)) static uint8_t *dw_copy_over_tags(uint8_t *at, const uint8_t *from, size_t size,
                                                                    uint32_t tag, size_t sector_mask)
{
    size_t room = (~(uintptr_t)at & sector_mask) + 1;
    if (size > room) {
        do {
            dw_copy(at, from, room);
            memcpy(at + room, &tag, sizeof tag);
            at += room + sizeof tag;
            from += room;
            size -= room;
            room = sector_mask + 1 - sizeof tag;
        } while (size > room && room != DW_COPY_SECTOR);
        for (; size > room; size -= DW_COPY_SECTOR) {
            dw_copy_sector(at, from);
            memcpy(at + DW_COPY_SECTOR, &tag, sizeof tag);
            at += DW_COPY_SECTOR + sizeof tag;
            from += DW_COPY_SECTOR;
        }
    }
    dw_copy(at, from, size);
    return at + size;
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

/* Copy and checksum at most 511 bytes, from the start value 0, in one pass: a jump into straight code, then what is no whole step. */
DW_INLINE uint32_t dw_copy_with_crc(uint8_t *to, const uint8_t *from, size_t size)
{
#if DW_CRC32C_INSTRUCTION
#define SUM_STEP(n)                                                                                                    \
    case (n):                                                                                                          \
        crc = DW_CRC32C_8(crc, dw_crc32c_load(from - 32 * (n)));                                                       \
        crc = DW_CRC32C_8(crc, dw_crc32c_load(from - 32 * (n) + 8));                                                   \
        crc = DW_CRC32C_8(crc, dw_crc32c_load(from - 32 * (n) + 16));                                                  \
        crc = DW_CRC32C_8(crc, dw_crc32c_load(from - 32 * (n) + 24));                                                  \
        dw_copy_32(to - 32 * (n), from - 32 * (n));                                                                    \
        __attribute__((fallthrough))
    uint64_t crc = UINT32_MAX;
    __asm__("" : "+r"(crc)); /* or else each step starts with code of its own for a crc that is known */
    size_t whole = size & ~(size_t)31;
    from += whole;
    to += whole;
    switch (size / 32) {
        SUM_STEP(15);
        SUM_STEP(14);
        SUM_STEP(13);
        SUM_STEP(12);
        SUM_STEP(11);
        SUM_STEP(10);
        SUM_STEP(9);
        SUM_STEP(8);
        SUM_STEP(7);
        SUM_STEP(6);
        SUM_STEP(5);
        SUM_STEP(4);
        SUM_STEP(3);
        SUM_STEP(2);
        SUM_STEP(1);
    case 0:
        break;
    default:
        __builtin_unreachable();
    }
#undef SUM_STEP
    if (size != whole)
        crc = dw_copy_few_with_crc(to, from, size & 31, crc);
    return ~(uint32_t)crc;
#else
    memcpy(to, from, size);
    return dw_crc32c_table(0, from, size);
#endif
}

#endif
