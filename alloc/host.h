/* host.h - where plain memory comes from: the host program's jemalloc, in an arena of dwal's own, or libc. Private to alloc/.
 *
 * The library never brings a second malloc into a program. It looks for jemalloc's own functions by weak symbols: they are there
 * when the program is linked with jemalloc (or was started with it preloaded), and absent everywhere else.
 * Called by: alloc.c, any thread. Failure: NULL. What one function gave, only give_back and resize of the same process may take. */
#ifndef DW_ALLOC_HOST_H
#define DW_ALLOC_HOST_H

#include <stdbool.h>
#include <stddef.h>

#include "base/compiler.h"

/* `alignment`: 0, or a power of two. */
DW_NODISCARD void *dw_host_allocate(size_t size, size_t alignment, bool is_zeroed);
/* NULL leaves `memory` as it was. Not for memory that was given with an alignment. */
DW_NODISCARD void *dw_host_resize(void *memory, size_t size);
void dw_host_give_back(void *memory); /* NULL is fine */

/* The number of dwal's arena in the host's jemalloc, or -1: there is none. For tests. */
int dw_host_arena(void);

#endif
