/* bits.h - small arithmetic that every room needs. Leaf header: C standard headers only. */
#ifndef DW_BASE_BITS_H
#define DW_BASE_BITS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

static inline bool dw_is_power_of_two(uint64_t v)
{
    return v != 0 && (v & (v - 1)) == 0;
}
static inline uint64_t dw_align_up(uint64_t v, uint64_t to)
{
    return (v + to - 1) / to * to;
}
static inline uint64_t dw_align_down(uint64_t v, uint64_t to)
{
    return v / to * to;
}
static inline bool dw_is_aligned(uint64_t v, uint64_t to)
{
    return v % to == 0;
}
static inline uint64_t dw_min_u64(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}
static inline uint64_t dw_max_u64(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}
static inline size_t dw_min_size(size_t a, size_t b)
{
    return a < b ? a : b;
}
static inline bool dw_add_overflows(uint64_t a, uint64_t b, uint64_t *sum)
{
    return __builtin_add_overflow(a, b, sum);
}

/* A bijection of 32-bit words with full avalanche (the finalizer of MurmurHash3); dw_mix32(0) == 0. */
static inline uint32_t dw_mix32(uint32_t v)
{
    v ^= v >> 16;
    v *= 0x85ebca6bu;
    v ^= v >> 13;
    v *= 0xc2b2ae35u;
    v ^= v >> 16;
    return v;
}
static inline uint32_t dw_unmix32(uint32_t v)
{
    v ^= v >> 16;
    v *= 0x7ed1b41du; /* inverse of 0xc2b2ae35 modulo 2^32 */
    v ^= (v >> 13) ^ (v >> 26);
    v *= 0xa5cb9243u; /* inverse of 0x85ebca6b modulo 2^32 */
    v ^= v >> 16;
    return v;
}

/* Index of the lowest bit that is set; `v` is not 0. */
static inline uint32_t dw_lowest_bit(uint64_t v)
{
    return (uint32_t)__builtin_ctzll(v);
}

#endif
