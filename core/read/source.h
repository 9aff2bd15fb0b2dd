/* source.h - blocks of the log as they lie on the device, one at a time, read in larger pieces.
 *
 * Owns: one buffer, and pins on the volume that is read and on those that are read ahead. Called by: recovery, verify, dump and
 * readers, each with a source of its own, on one thread. Changes nothing.
 * Happy path: the block is in the buffer; else its volume is pinned and the buffer filled from the block on. Who goes on reading
 * forwards gets larger pieces, each read beside the look at the one before (core/read/ahead.h).
 * Failure: a read error is tried again sector by sector; what still fails is counted in the view, never filled with zeros
 * and passed on as content. A block behind the end of a file, or of a volume that is not there, is absent. */
#ifndef DW_CORE_READ_SOURCE_H
#define DW_CORE_READ_SOURCE_H

#include "core/format/codec.h"
#include "core/read/ahead.h"
#include "core/store/store.h"

struct dw_block_view {
    uint64_t block;
    const uint8_t *bytes;      /* one block, valid until the next call on the source; NULL: absent or unreadable */
    bool is_absent;            /* no such volume, or its file ends before */
    uint32_t unreadable;       /* sectors that could not be read (then `sectors` has the others) */
    const uint8_t *sectors;    /* unreadable > 0: the block with those sectors zero: for tags only, never content */
    uint64_t unreadable_place; /* byte in the file of the first of them */
    int system_code;           /* -errno of the first of them */
};

#define DW_SOURCE_BEYOND 2u /* in small volumes too two reads can be in flight */

struct dw_source {
    struct dw_store *store; /* NULL: one file only */
    struct dw_arena *arena; /* the buffer's; NULL: it has none */
    struct dw_geometry geometry;
    struct dw_identity identity;
    struct dw_volume *volume; /* pinned, or NULL */
    struct dw_file *file;     /* of volume `number`; NULL: it is not there */
    uint64_t base;            /* byte of the file at which the volume starts */
    uint32_t number;          /* DW_VOLUME_NUMBER_NONE: no volume is open */
    int open_error;           /* dwal code that opening it gave */
    /* Those that follow it, in their order: pinned because their beginnings are among what is read ahead, and not looked at yet. */
    struct dw_volume *beyond[DW_SOURCE_BEYOND];
    uint32_t beyond_count;
    uint64_t limit; /* block at and behind which nothing is read ahead; UINT64_MAX: none */
    uint8_t *buffer;
    uint32_t buffer_blocks; /* its size */
    uint32_t want;          /* 0: fill the buffer with every read; else blocks that the next read should bring: then it
                                   * doubles for as long as the reads follow one another */
    const uint8_t *shown;   /* where the blocks are: the buffer, or one of those ahead */
    uint64_t first;         /* first block there */
    uint32_t count;         /* blocks there */
    uint64_t next;          /* block behind the last that were read: who asks for it reads forwards */
    uint32_t run;           /* blocks of full buffers that followed one another */
    struct dw_ahead *ahead; /* NULL: not long enough at it, or not to be had */
    uint64_t asked;         /* block behind the last piece that is being read ahead */
    struct dw_block_view damaged; /* when count is 0 and `first` is a block that could not be read whole */
    uint64_t reads, blocks_read;  /* device reads: calls, blocks */
};

/* `read_ahead`: bytes to read at once; at least one block, never more than a volume holds. DWAL_EMEMORY. */
DW_NODISCARD int dw_source_open(struct dw_source *source, struct dw_store *store, size_t read_ahead);
/* The blocks of one volume in a file that is open already (borrowed). */
DW_NODISCARD int dw_source_open_file(struct dw_source *source, const struct dw_geometry *geometry,
                                     const struct dw_identity *identity, struct dw_file *file, uint64_t base,
                                     uint32_t number, size_t read_ahead);
void dw_source_close(struct dw_source *source); /* zeroed memory is fine */

/* 0 and a view, also when the block is absent or unreadable. DWAL_EMEMORY when a volume could not be opened for want of it. */
DW_NODISCARD int dw_source_get(struct dw_source *source, uint64_t block, struct dw_block_view *view);
/* Read the next block from the device again, whatever the buffer holds. */
void dw_source_forget(struct dw_source *source);
/* Let go of the pinned volume. */
void dw_source_release(struct dw_source *source);

#endif
