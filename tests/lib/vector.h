/* vector.h - which parts of the vector registers are in use: a thread that sleeps in the kernel with wide ones in use is slow
 * to wake on some machines. */
#ifndef DW_TESTS_LIB_VECTOR_H
#define DW_TESTS_LIB_VECTOR_H

#include <stdbool.h>

enum { DW_VECTOR_UPPER_HALVES = 1 << 2, DW_VECTOR_UPPER_OF_ZMM = 1 << 6 };

#if defined(__x86_64__)
#include <cpuid.h>

/* false: this processor does not tell. */
static inline bool dw_vector_parts_in_use(unsigned *parts)
{
    unsigned a = 0, b = 0, c = 0, d = 0, low = 0;
    if (!__get_cpuid(1, &a, &b, &c, &d) || !(c & (1u << 27)) || !(c & (1u << 28))) /* OSXSAVE, AVX */
        return false;
    if (!__get_cpuid_count(13, 1, &a, &b, &c, &d) || !(a & (1u << 2))) /* XGETBV with ECX = 1 */
        return false;
    __asm__ volatile("xgetbv" : "=a"(low), "=d"(d) : "c"(1));
    *parts = low;
    return true;
}
#else
static inline bool dw_vector_parts_in_use(unsigned *parts)
{
    *parts = 0;
    return false;
}
#endif

#endif
