/* window.h - one checked block of the durable log, from the ring or from the device. A reader's only way to bytes.
 *
 * Owns: room for one block out of the ring, and a source. Called by: readers, one thread each.
 * Happy path: the block is in the ring, or in what was read ahead. Nothing at or behind the durable block is ever looked
 * at: so a block that was read once need never be read again.
 * Failure: DWAL_EEND, DWAL_ETRIMMED, or DWAL_ECORRUPT / DWAL_EDEVICE with volume, block and lsn. */
#ifndef DW_CORE_READ_WINDOW_H
#define DW_CORE_READ_WINDOW_H

#include "core/read/look.h"
#include "core/read/reader.h"

#define DW_NO_BLOCK UINT64_MAX

struct dw_window {
    struct dw_store *store;
    struct dw_recent recent;
    struct dw_source source;
    uint8_t *copy;    /* a block from the ring */
    uint64_t durable; /* first block that is not durable, as last sampled */
    uint64_t limit;   /* lsn at and behind which nothing is shown */
    /* the current block */
    uint64_t block;  /* DW_NO_BLOCK: none */
    uint64_t begin;  /* lsn of its first payload byte */
    uint32_t volume; /* that it lies in */
    const uint8_t *bytes;
    struct dw_block_info info;
    uint32_t stop; /* payload offset at which its content ends */
    /* the volume that was asked for last */
    uint32_t number;    /* DW_VOLUME_NUMBER_NONE: none was asked for yet */
    uint32_t successor; /* DW_VOLUME_NUMBER_NONE: none yet */
    uint64_t end;       /* lsn at which it ends; UINT64_MAX: not known yet */
    uint64_t ring_reads;
    /* a record that is not durable to its end: the blocks up to `unfinished_at` agree with it */
    uint64_t unfinished_lsn, unfinished_end, unfinished_at;
};

DW_NODISCARD int dw_window_open(struct dw_window *window, struct dw_store *store, const struct dw_recent *recent,
                                size_t read_ahead);
void dw_window_close(struct dw_window *window); /* zeroed memory is fine */
/* Ask how far the log is durable. */
void dw_window_sample(struct dw_window *window);
/* lsn at and behind which nothing is to be looked at. */
uint64_t dw_window_durable_lsn(const struct dw_window *window);
/* Make `block` the current one. */
DW_NODISCARD int dw_window_load(struct dw_window *window, uint64_t block);
/* Find out how volume `number` ends; kept until another one is asked for, and asked again while it has no end. */
void dw_window_ask_volume(struct dw_window *window, uint32_t number);
/* The volume behind the one last asked for. DWAL_EEND: none yet. DWAL_ETRIMMED, DWAL_ELOST: there was one. */
DW_NODISCARD int dw_window_next_volume(const struct dw_window *window, uint32_t *number);

/* Where an lsn lies, without a division when that is the current block: asked several times for each record. */
static inline bool dw_window_has(const struct dw_window *window, uint64_t lsn)
{
    return window->block != DW_NO_BLOCK && lsn - window->begin < window->source.geometry.payload_size;
}
static inline uint64_t dw_window_block_of(const struct dw_window *window, uint64_t lsn)
{
    return dw_window_has(window, lsn) ? window->block : dw_block_of_lsn(&window->source.geometry, lsn);
}
static inline uint32_t dw_window_offset_of(const struct dw_window *window, uint64_t lsn)
{
    return dw_window_has(window, lsn) ? (uint32_t)(lsn - window->begin)
                                      : dw_offset_of_lsn(&window->source.geometry, lsn);
}
static inline uint32_t dw_window_volume_of(const struct dw_window *window, uint64_t lsn)
{
    return dw_window_has(window, lsn) ? window->volume : dw_volume_of_lsn(&window->source.geometry, lsn);
}

#endif
