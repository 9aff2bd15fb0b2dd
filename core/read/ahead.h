/* ahead.h - the next pieces of a long sequential read, read by a thread beside the one that looks at this piece.
 *
 * Owns: buffers, one thread, and at most DW_AHEAD_PIECES reads that are asked for and not collected. Two of them are in flight at
 * once, through a ring (io/reads.h) where that may be had: the device has the next one before it is done with this one, and a commit
 * beside them waits for no more than these two. Without a ring the thread does one after another. With one there is a thread
 * all the same: completions of a ring interrupt the thread that submitted, which must not be the caller's, and a cursor may be
 * used by one thread after another.
 * Called by: core/read/source.c, on the source's thread.
 * Happy path: ask for pieces while there is room -> look at the one before -> collect the next -> ask for one more. What was
 * collected stays valid until the next collect.
 * Failure: a read that fails or comes short is not collected; the source then reads for itself, and meets the error.
 * Closing: waits for the reads that are out. */
#ifndef DW_CORE_READ_AHEAD_H
#define DW_CORE_READ_AHEAD_H

#include "io/io.h"

#define DW_AHEAD_PIECES 4u

struct dw_ahead;

/* For files of `disk`. `size`: bytes of a piece, a multiple of 4096 and of the alignment of its files. `is_plain`: without a
 * ring. NULL: no memory or no thread; the source does without. */
DW_NODISCARD struct dw_ahead *dw_ahead_open(struct dw_disk *disk, size_t size, bool is_plain);
void dw_ahead_close(struct dw_ahead *ahead); /* NULL is fine */
size_t dw_ahead_size(const struct dw_ahead *ahead);

/* How many pieces are asked for and not collected. */
uint32_t dw_ahead_count(const struct dw_ahead *ahead);
/* Have `size` bytes (at most a piece) at `offset` of `file` read, which stays open until collected or awaited. Fewer than
 * DW_AHEAD_PIECES may be asked for. */
void dw_ahead_ask(struct dw_ahead *ahead, struct dw_file *file, uint64_t offset, size_t size);
/* Was exactly this place asked for first? Then wait for it; the bytes, and how many came (at least `least`). NULL: read it
 * yourself; nothing is asked for any more. */
const uint8_t *dw_ahead_collect(struct dw_ahead *ahead, const struct dw_file *file, uint64_t offset, size_t least,
                                size_t *done);
/* Wait until nothing is out, and forget it. */
void dw_ahead_forget(struct dw_ahead *ahead);

#endif
