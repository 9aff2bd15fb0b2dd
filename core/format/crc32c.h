/* crc32c.h - the checksum of short spans, inline, for the append path; dw_crc32c of codec.h is for any length.
 *
 * Called by: everybody, on any thread. Pure. Both give the same value: CRC32C (Castagnoli, reflected, inverted at start
 * and end), continuing from `crc`, 0 to start. The crc32 instruction takes 8 bytes in 3 cycles of latency, which beats
 * the set-up of the folding code up to about DW_CRC32C_SHORT bytes. */
#ifndef DW_CORE_FORMAT_CRC32C_H
#define DW_CORE_FORMAT_CRC32C_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "base/compiler.h"

#if defined(__SSE4_2__) && defined(__x86_64__)
#include <nmmintrin.h>
#define DW_CRC32C_INSTRUCTION 1
#define DW_CRC32C_8(crc, v)   _mm_crc32_u64((crc), (v))
#define DW_CRC32C_4(crc, v)   _mm_crc32_u32((crc), (v))
#define DW_CRC32C_1(crc, v)   _mm_crc32_u8((crc), (v))
#elif defined(__ARM_FEATURE_CRC32)
#include <arm_acle.h>
#define DW_CRC32C_INSTRUCTION 1
#define DW_CRC32C_8(crc, v)   __crc32cd((uint32_t)(crc), (v))
#define DW_CRC32C_4(crc, v)   __crc32cw((crc), (v))
#define DW_CRC32C_1(crc, v)   __crc32cb((crc), (v))
#else
#define DW_CRC32C_INSTRUCTION 0
#endif

/* Longest span for which the inline path is the faster one. */
#define DW_CRC32C_SHORT 192u

/* Are spans beyond that summed by folding, and not by the crc32 instruction all the same? */
bool dw_crc32c_is_folding(void);

/* The same from a table, byte by byte: where there is no instruction, and as the measure of the others. */
uint32_t dw_crc32c_table(uint32_t crc, const void *bytes, size_t size);

#if DW_CRC32C_INSTRUCTION
DW_INLINE uint64_t dw_crc32c_load(const unsigned char *at)
{
    uint64_t v;
    memcpy(&v, at, sizeof v);
    return v;
}
DW_INLINE uint32_t dw_crc32c_short(uint32_t start, const void *bytes, size_t size)
{
    const unsigned char *at = bytes;
    uint64_t crc = (uint32_t)~start; /* in a wide register: no truncation between the steps */
    const unsigned char *stop = at + (size & ~(size_t)63);
    for (; at != stop; at += 64) {
#pragma GCC unroll 8
        for (unsigned word = 0; word < 64; word += 8)
            crc = DW_CRC32C_8(crc, dw_crc32c_load(at + word));
    }
    stop += size & 56;
    for (; at != stop; at += 8)
        crc = DW_CRC32C_8(crc, dw_crc32c_load(at));
    size &= 7;
    uint32_t last = (uint32_t)crc;
    if (DW_UNLIKELY(size > 0)) {
        if (size & 4) {
            uint32_t v;
            memcpy(&v, at, 4);
            last = DW_CRC32C_4(last, v);
            at += 4;
        }
        for (size &= 3; size > 0; size--)
            last = DW_CRC32C_1(last, *at++);
    }
    return ~last;
}
/* Of one little-endian word, from and to the register that is not inverted. */
DW_INLINE uint64_t dw_crc32c_word(uint64_t crc, uint64_t word)
{
    return DW_CRC32C_8(crc, word);
}
/* Of three little-endian words. */
DW_INLINE uint32_t dw_crc32c_words(uint32_t crc, uint64_t a, uint64_t b, uint64_t c)
{
    return ~(uint32_t)DW_CRC32C_8(DW_CRC32C_8(DW_CRC32C_8((uint32_t)~crc, a), b), c);
}
#else
DW_INLINE uint64_t dw_crc32c_word(uint64_t crc, uint64_t word)
{
    return (uint32_t)~dw_crc32c_table(~(uint32_t)crc, &word, sizeof word);
}
DW_INLINE uint32_t dw_crc32c_words(uint32_t crc, uint64_t a, uint64_t b, uint64_t c)
{
    const uint64_t words[3] = {a, b, c};
    return dw_crc32c_table(crc, words, sizeof words);
}
DW_INLINE uint32_t dw_crc32c_short(uint32_t crc, const void *bytes, size_t size)
{
    return dw_crc32c_table(crc, bytes, size);
}
#endif

#endif
