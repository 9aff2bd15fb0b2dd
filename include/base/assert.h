/* assert.h - assertions about dwal's own state. Leaf header: C standard headers only.
 *
 * A failed assertion is a programmer's error in dwal or in its caller: the process stops before a wrong byte can
 * reach the log. Damaged bytes on disk and failing devices are never asserted; they get a verdict or a code.
 * dw_assert stays on in release builds (use it for cheap facts); dw_debug_assert is for costly checks. */
#ifndef DW_BASE_ASSERT_H
#define DW_BASE_ASSERT_H

#include <stdio.h>
#include <stdlib.h>

#include "base/compiler.h"

__attribute__((cold, noreturn)) static inline void dw_assert_failed(const char *what, const char *file, int line)
{
    fprintf(stderr, "dwal: assertion failed: %s (%s:%d)\n", what, file, line);
    abort();
}

#define dw_assert(fact) (DW_LIKELY(fact) ? (void)0 : dw_assert_failed(#fact, __FILE__, __LINE__))

#ifdef DW_DEBUG
#define dw_debug_assert(fact) dw_assert(fact)
#else
#define dw_debug_assert(fact) ((void)sizeof((fact) ? 1 : 0))
#endif

#endif
