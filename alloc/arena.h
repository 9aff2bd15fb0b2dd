/* arena.h - all I/O memory of one log: one mapping, made at open, pre-faulted, on huge pages where the kernel gives them.
 *
 * Owns: one range of addresses. Its front is for the ring; behind it pieces are handed out for the arena's life, one after another.
 * Called by: open and close, one thread at a time, except that dw_arena_borrow and dw_arena_return may come from any thread once the
 * front is claimed (then they only pass on to dw_alloc_io).
 * Happy path: open -> take pieces, borrow parts of the front for what open has to read -> give them back -> claim the front for the
 * ring. From then on nothing changes until close.
 * Failure: NULL. A piece is zeroed and block-aligned, present and writable; not in core dumps, and not there in a child after fork.
 * Closing: nothing may be in use. */
#ifndef DW_ALLOC_ARENA_H
#define DW_ALLOC_ARENA_H

#include <stddef.h>
#include <stdint.h>

#include "base/compiler.h"

struct dw_arena;

/* `front`: bytes of the front, a multiple of 4096, may be 0. `limit`: most bytes of pieces behind it; costs addresses, not memory. */
DW_NODISCARD struct dw_arena *dw_arena_open(size_t front, size_t limit);
void dw_arena_close(struct dw_arena *arena); /* NULL is fine */

/* A piece for the arena's life; `size` above 0, `alignment` a power of two up to 65536. NULL: no memory, or beyond the limit. */
DW_NODISCARD void *dw_arena_take(struct dw_arena *arena, size_t size, size_t alignment);

/* Memory for a while: from the front as long as nobody claimed it and it is large enough, else from dw_alloc_io. `arena` may be NULL.
 * Not zeroed. */
DW_NODISCARD void *dw_arena_borrow(struct dw_arena *arena, size_t size, size_t alignment);
void dw_arena_return(struct dw_arena *arena, void *memory); /* NULL is fine */

/* The front, zeroed, for good. Everything borrowed was given back. NULL: it has no bytes, or no memory. */
DW_NODISCARD void *dw_arena_claim_front(struct dw_arena *arena);

size_t dw_arena_size(const struct dw_arena *arena); /* bytes that are held now */

#endif
