/* pages.h - pages from the kernel, and what alloc.c shares with arena.c. Private to alloc/. */
#ifndef DW_ALLOC_PAGES_H
#define DW_ALLOC_PAGES_H

#include <stdbool.h>
#include <stddef.h>

#include "base/compiler.h"

enum { DW_PAGE_SIZE = 4096, DW_HUGE_PAGE_SIZE = 2 << 20 };

/* Addresses without memory behind them, beginning at a huge page. NULL: none. */
DW_NODISCARD unsigned char *dw_pages_reserve(size_t size);
/* Make a part of them usable: zeroed, present now, on huge pages where that can be had. */
DW_NODISCARD bool dw_pages_commit(unsigned char *memory, size_t size);
void dw_pages_release(void *memory, size_t size);

/* alloc.c: counts one allocation; true when the test hook wants it to fail. */
DW_NODISCARD bool dw_alloc_is_failing(void);
void dw_alloc_count_held(size_t more, size_t less);

#endif
