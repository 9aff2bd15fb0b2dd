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
#include "core/format/geometry.h"

#if defined(__AVX2__)
#include <immintrin.h>
#endif

/* gcc saves a frame pointer in each function whose values may be wide, so that it hears nothing of them; sanitizers must. */
#if defined(__AVX2__) && defined(__GNUC__) && !defined(__clang__) && !defined(DW_SANITIZED)
#define DW_COPY_UNHEARD 1
struct __attribute__((may_alias)) dw_copy_wide {
    uint8_t bytes[32];
};
#else
#define DW_COPY_UNHEARD 0
#endif

DW_INLINE void dw_copy_32(uint8_t *to, const uint8_t *from)
{
#if DW_COPY_UNHEARD
    __asm__("vmovdqu %1, %%ymm0\n\t"
            "vmovdqu %%ymm0, %0"
            : "=m"(*(struct dw_copy_wide *)(void *)to)
            : "m"(*(const struct dw_copy_wide *)(const void *)from)
            : "xmm0");
#elif defined(__AVX2__)
    _mm256_storeu_si256((__m256i_u *)(void *)to, _mm256_loadu_si256((const __m256i_u *)(const void *)from));
#else
    memcpy(to, from, 32);
#endif
}

/* To be called behind the last dw_copy_32 of a function, which else leaves upper halves of registers in use. */
DW_INLINE void dw_copy_end(void)
{
#if DW_COPY_UNHEARD
    _mm256_zeroupper();
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

/* At most 64 bytes. */
DW_INLINE void dw_copy_64(uint8_t *to, const uint8_t *from, size_t size)
{
    if (size < 32) {
        dw_copy_few(to, from, size);
    } else {
        dw_copy_32(to, from);
        dw_copy_32(to + size - 32, from + size - 32);
    }
}

/* At most 511 bytes: the first 32, then as many whole steps as end with the last byte, by a jump into straight code. */
DW_INLINE void dw_copy_short(uint8_t *to, const uint8_t *from, size_t size)
{
#define COPY_STEP(n)                                                                                                   \
    case (n):                                                                                                          \
        dw_copy_32(to_end - 32 * (n), from_end - 32 * (n));                                                            \
        __attribute__((fallthrough))
    if (DW_UNLIKELY(size < 32)) {
        dw_copy_few(to, from, size);
        return;
    }
    const uint8_t *from_end = from + size;
    uint8_t *to_end = to + size;
    dw_copy_32(to, from);
    size /= 32;
    if (!__builtin_constant_p(size))
        __asm__("" : "+r"(size)); /* or else the compiler asks whether it is in the table */
    switch (size % 16) {
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
        break;
    default:
        __builtin_unreachable();
    }
#undef COPY_STEP
}

/* At most 256 bytes, without a jump that has to be foreseen. */
DW_INLINE void dw_copy_behind(uint8_t *to, const uint8_t *from, size_t size)
{
    if (size <= 64) {
        dw_copy_64(to, from, size);
        return;
    }
    dw_copy_32(to, from);
    dw_copy_32(to + 32, from + 32);
    if (size > 128) {
        dw_copy_32(to + 64, from + 64);
        dw_copy_32(to + 96, from + 96);
        dw_copy_32(to + size - 128, from + size - 128);
        dw_copy_32(to + size - 96, from + size - 96);
    }
    dw_copy_32(to + size - 64, from + size - 64);
    dw_copy_32(to + size - 32, from + size - 32);
}

/* Any number. Out of line: it is for sectors of more than 512 bytes. */
__attribute__((noinline, unused)) static void dw_copy(uint8_t *to, const uint8_t *from, size_t size)
{
    for (; DW_UNLIKELY(size >= 512); size -= 512, to += 512, from += 512) {
#pragma GCC unroll 16
        for (unsigned at = 0; at < 512; at += 32)
            dw_copy_32(to + at, from + at);
    }
    dw_copy_short(to, from, size);
}

/* The whole payload of a sector of 512 bytes. */
#define DW_COPY_SECTOR      (512u - 4u)
#define DW_COPY_SECTOR_MASK 511u
DW_INLINE void dw_copy_sector(uint8_t *to, const uint8_t *from)
{
#pragma GCC unroll 16
    for (unsigned at = 0; at < DW_COPY_SECTOR - 32; at += 32)
        dw_copy_32(to + at, from + at);
    dw_copy_32(to + DW_COPY_SECTOR - 32, from + DW_COPY_SECTOR - 32);
}

/* Of a sector: `size` bytes, or its whole payload. */
DW_INLINE void dw_copy_any(uint8_t *to, const uint8_t *from, size_t size, size_t sector_mask)
{
    if (sector_mask == DW_COPY_SECTOR_MASK)
        dw_copy_short(to, from, size);
    else
        dw_copy(to, from, size);
}
DW_INLINE void dw_copy_payload(uint8_t *to, const uint8_t *from, size_t sector_mask)
{
    if (sector_mask == DW_COPY_SECTOR_MASK)
        dw_copy_sector(to, from);
    else
        dw_copy(to, from, sector_mask + 1 - DW_TAG_SIZE);
}

/* Copy to `at` in one block of sectors of 512 bytes, stepping over the tags and stamping them; one right behind the last byte is
 * the caller's. Blocks are aligned to their sectors in memory too. Returns where it ended. */
DW_INLINE uint8_t *dw_copy_over_near_tags(uint8_t *at, const uint8_t *from, size_t size, uint32_t tag)
{
    size_t room = (~(uintptr_t)at & (DW_COPY_SECTOR + DW_TAG_SIZE - 1)) + 1;
    if (size > room) {
        dw_copy_short(at, from, room);
        at += room;
        from += room;
        memcpy(at, &tag, sizeof tag);
        at += sizeof tag;
        for (size -= room; size > DW_COPY_SECTOR; size -= DW_COPY_SECTOR) {
            dw_copy_sector(at, from);
            memcpy(at + DW_COPY_SECTOR, &tag, sizeof tag);
            at += DW_COPY_SECTOR + sizeof tag;
            from += DW_COPY_SECTOR;
        }
    }
    dw_copy_short(at, from, size);
    dw_copy_end();
    return at + size;
}

/* The same for larger sectors. */
__attribute__((noinline, unused)) static uint8_t *dw_copy_over_far_tags(uint8_t *at, const uint8_t *from, size_t size,
                                                                        uint32_t tag, size_t sector_mask)
{
    size_t room = (~(uintptr_t)at & sector_mask) + 1;
    for (; size > room; room = sector_mask + 1 - sizeof tag) {
        dw_copy(at, from, room);
        memcpy(at + room, &tag, sizeof tag);
        at += room + sizeof tag;
        from += room;
        size -= room;
    }
    dw_copy(at, from, size);
    dw_copy_end();
    return at + size;
}

/* The same for sectors of any size. Out of line: it needs no memory but what it copies. */
__attribute__((noinline, unused)) static uint8_t *dw_copy_over_tags(uint8_t *at, const uint8_t *from, size_t size,
                                                                    uint32_t tag, size_t sector_mask)
{
    if (DW_LIKELY(sector_mask == DW_COPY_SECTOR + DW_TAG_SIZE - 1))
        return dw_copy_over_near_tags(at, from, size, tag);
    return dw_copy_over_far_tags(at, from, size, tag, sector_mask);
}

#if DW_CRC32C_INSTRUCTION
/* The register from which 8 - n bytes of zeros make the start value, for 1 to 7 bytes n behind them. */
static const uint32_t dw_crc32c_starts[8] = {
    0x20481012, 0xf145ff88, 0x08de2648, 0xcbaa9b55, 0x641f6454, 0x96db52a8, 0x2804363b, 0xa942e6bc,
};

/* The checksum of the first `size` % 8 bytes, not 0: zeros in front of them make `word` of them. */
DW_INLINE uint64_t dw_crc32c_odd(size_t size, uint64_t word)
{
    return DW_CRC32C_8(dw_crc32c_starts[size % 8], word << (-(unsigned)size * 8 & 63));
}

/* The checksum of at least 8 bytes: a jump into straight code of 512 bytes, which is then repeated. */
DW_INLINE uint32_t dw_crc32c_by_words(const uint8_t *from, size_t size)
{
#define SUM_WORD(n)                                                                                                    \
    case (n):                                                                                                          \
        crc = DW_CRC32C_8(crc, dw_crc32c_load(at - 8 - 8 * (n)));                                                      \
        __attribute__((fallthrough))
#define SUM_8_WORDS(n)                                                                                                 \
    SUM_WORD(8 * (n) + 7);                                                                                             \
    SUM_WORD(8 * (n) + 6);                                                                                             \
    SUM_WORD(8 * (n) + 5);                                                                                             \
    SUM_WORD(8 * (n) + 4);                                                                                             \
    SUM_WORD(8 * (n) + 3);                                                                                             \
    SUM_WORD(8 * (n) + 2);                                                                                             \
    SUM_WORD(8 * (n) + 1);                                                                                             \
    SUM_WORD(8 * (n))
    uint64_t crc = UINT32_MAX;
    if (size % 8 != 0)
        crc = dw_crc32c_odd(size, dw_crc32c_load(from));
    __asm__("" : "+r"(crc));         /* or else each word starts with code of its own for a crc that is known */
    size_t first = (size - 8) % 512; /* one word less than stand in front of the last whole 512 bytes */
    const uint8_t *end = from + size, *at = from + 8 + first;
    switch (first / 8) {
        do {
            __attribute__((fallthrough)); /* once more */
            SUM_8_WORDS(7);
            SUM_8_WORDS(6);
            SUM_8_WORDS(5);
            SUM_8_WORDS(4);
            SUM_8_WORDS(3);
            SUM_8_WORDS(2);
            SUM_8_WORDS(1);
            SUM_8_WORDS(0);
        default:
            at += 512;
        } while (at <= end);
    }
#undef SUM_8_WORDS
#undef SUM_WORD
    return ~(uint32_t)crc;
}

/* Copy and checksum fewer than 32 bytes in one pass. The 7 bytes in front of `to` may be read. */
DW_INLINE uint32_t dw_copy_few_with_crc(uint8_t *to, const uint8_t *from, size_t size)
{
    uint64_t crc = UINT32_MAX;
    dw_copy_few(to, from, size);
    if (size % 8 != 0)
        crc = dw_crc32c_odd(size, size > 8 ? dw_crc32c_load(from)
                                           : dw_crc32c_load(to + size - 8) >> (-(unsigned)size * 8 & 63));
    for (size_t at = size % 8; at < size; at += 8)
        crc = DW_CRC32C_8(crc, dw_crc32c_load(from + at));
    return ~(uint32_t)crc;
}

/* Begin to copy and checksum more than 32 bytes, no multiple of 32, in one pass: what is no whole word is summed, what is no whole
 * step of 32 copied. */
DW_INLINE uint64_t dw_copy_odd_with_crc(uint8_t *to, const uint8_t *from, size_t size, uint64_t crc)
{
    dw_copy_32(to, from);
    return size % 8 == 0 ? crc : dw_crc32c_odd(size, dw_crc32c_load(from));
}

/* The rest, at most 511 bytes up to the ends that are given, `words` whole words: a jump into straight code. */
DW_INLINE uint64_t dw_copy_words_with_crc(uint8_t *to_end, const uint8_t *from_end, size_t words, uint64_t crc)
{
#define SUM_WORD(n)                                                                                                    \
    case (n):                                                                                                          \
        crc = DW_CRC32C_8(crc, dw_crc32c_load(from_end - 8 * (n)));                                                    \
        __attribute__((fallthrough))
#define SUM_STEP(n)                                                                                                    \
    case 4 * (n):                                                                                                      \
        dw_copy_32(to_end - 32 * (n), from_end - 32 * (n));                                                            \
        crc = DW_CRC32C_8(crc, dw_crc32c_load(from_end - 32 * (n)));                                                   \
        __attribute__((fallthrough));                                                                                  \
        SUM_WORD(4 * (n)-1);                                                                                           \
        SUM_WORD(4 * (n)-2);                                                                                           \
        SUM_WORD(4 * (n)-3)
    switch (words) {
        SUM_STEP(16);
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
#undef SUM_WORD
    return crc;
}

#else
DW_INLINE uint32_t dw_crc32c_by_words(const uint8_t *from, size_t size)
{
    return dw_crc32c_table(0, from, size);
}
DW_INLINE uint32_t dw_copy_few_with_crc(uint8_t *to, const uint8_t *from, size_t size)
{
    memcpy(to, from, size);
    return dw_crc32c_table(0, from, size);
}
DW_INLINE uint64_t dw_copy_odd_with_crc(uint8_t *to, const uint8_t *from, size_t size, uint64_t crc)
{
    size %= 32;
    memcpy(to, from, size);
    return ~dw_crc32c_table(~(uint32_t)crc, from, size);
}
DW_INLINE uint64_t dw_copy_words_with_crc(uint8_t *to_end, const uint8_t *from_end, size_t words, uint64_t crc)
{
    size_t size = words / 4 * 32;
    memcpy(to_end - size, from_end - size, size);
    return ~dw_crc32c_table(~(uint32_t)crc, from_end - size, size);
}
#endif

/* All of at most 511 bytes. */
DW_INLINE uint32_t dw_copy_with_crc(uint8_t *to, const uint8_t *from, size_t size)
{
    uint64_t crc = UINT32_MAX;
    if (size < 32)
        return dw_copy_few_with_crc(to, from, size);
    if (size % 32 != 0)
        crc = dw_copy_odd_with_crc(to, from, size, crc);
    __asm__("" : "+r"(crc)); /* or else each word starts with code of its own for a crc that is known */
    return ~(uint32_t)dw_copy_words_with_crc(to + size, from + size, size / 8, crc);
}

#endif
