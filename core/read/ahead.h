/* ahead.h - the next piece of a long sequential read, read by a thread beside the one that looks at this piece.
 *
 * Owns: two buffers, one thread, and at most one read. Called by: core/read/source.c, on the source's thread.
 * Happy path: ask for a piece -> look at the one before -> collect -> ask for the next: the buffers take turns, so what was
 * collected stays valid until the next ask but one.
 * Failure: a read that fails or comes short is not collected; the source then reads for itself, and meets the error.
 * Closing: waits for the read that is out. */
#ifndef DW_CORE_READ_AHEAD_H
#define DW_CORE_READ_AHEAD_H

#include "io/io.h"

struct dw_ahead;

/* `size`: bytes of a piece, at `alignment` in memory. NULL: no memory or no thread; the source does without. */
DW_NODISCARD struct dw_ahead *dw_ahead_open(size_t size, size_t alignment);
void dw_ahead_close(struct dw_ahead *ahead); /* NULL is fine */
size_t dw_ahead_size(const struct dw_ahead *ahead);

/* Start to read `size` bytes (at most a piece) at `offset` of `file`, which stays open until collected or awaited. Nothing may be
 * out. */
void dw_ahead_ask(struct dw_ahead *ahead, struct dw_file *file, uint64_t offset, size_t size);
/* Was exactly this place asked for? Then wait for it; the bytes, and how many came (at least one block of `block_size`). NULL: read it
 * yourself. Nothing is out afterwards. */
const uint8_t *dw_ahead_collect(struct dw_ahead *ahead, const struct dw_file *file, uint64_t offset, size_t block_size,
                                size_t *done);
/* Wait until nothing is out, and forget it. */
void dw_ahead_forget(struct dw_ahead *ahead);

#endif
