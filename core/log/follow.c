/* follow.c - a read-only log beside a live writer: how far may be shown now?
 *
 * Called by: dwal_wait of a read-only log, under follow_mutex. Happy path: read the blocks from the visible end on; every
 * sound header of the volume in its place carries a watermark, and all blocks below the highest one are durable. After a
 * clean close the superblock says where the log ends. At the end of a volume, or when the writer went on in a new one after
 * a recovery, the store's table is read again.
 * Failure: what does not check beyond the watermark is a write in flight and says nothing. */
#include <string.h>

#include "alloc/alloc.h"
#include "base/bits.h"
#include "core/base/error.h"
#include "core/log/handle.h"

#define FOLLOW_BLOCKS 64u

/* Highest watermark in blocks [from, from + count) of `volume`; `from` when there is none above it. */
static int look_at_blocks(struct dwal *log, struct dw_volume *volume, uint64_t from, uint32_t count, uint8_t *bytes,
                          uint64_t *watermark, bool *is_all_sound)
{
    const struct dw_geometry *g = &log->geometry;
    size_t done = 0;
    int result = dw_file_read(volume->file, bytes, (size_t)count * g->block_size,
                              volume->base + dw_place_of_block(g, from), &done);
    if (result < 0 && done == 0)
        return dw_fail_system_at(result, volume->number, from, dw_lsn_of_block(g, from),
                                 "reading volume %u failed while following it", volume->number);
    *is_all_sound = true;
    for (uint32_t i = 0; i < done / g->block_size; i++) {
        struct dw_block_info info;
        if (dw_block_header_decode(g, &log->identity, bytes + (size_t)i * g->block_size, from + i, &info) !=
            DW_DECODED_OK) {
            *is_all_sound = false;
            continue;
        }
        *watermark = dw_max_u64(*watermark, info.watermark);
    }
    return 0;
}

/* Look on from `from` inside its volume. */
static int look_in_volume(struct dwal *log, uint64_t from, uint64_t end_block, uint64_t *watermark)
{
    const struct dw_geometry *g = &log->geometry;
    struct dw_volume *volume;
    int result = dw_store_pin(log->store, dw_volume_of_block(g, from), &volume);
    if (result < 0)
        return result == DWAL_ENOTFOUND ? 0 : result;
    uint8_t *bytes = dw_alloc_io((size_t)FOLLOW_BLOCKS * g->block_size, g->block_size);
    if (!bytes)
        result = dw_fail(DWAL_EMEMORY, "no memory to follow the log");
    bool is_all_sound = true;
    for (uint64_t block = from; result == 0 && is_all_sound && block < end_block; block += FOLLOW_BLOCKS) {
        uint32_t count = (uint32_t)dw_min_u64(FOLLOW_BLOCKS, end_block - block);
        result = look_at_blocks(log, volume, block, count, bytes, watermark, &is_all_sound);
    }
    dw_free_io(bytes);
    dw_store_unpin(log->store, volume);
    return result;
}

static uint64_t clean_end_block(struct dwal *log)
{
    const struct dw_superblock_info *superblock = dw_store_superblock(log->store);
    uint64_t block = superblock->watermark;
    if (superblock->state == DW_SUPERBLOCK_CLEAN)
        block =
            dw_max_u64(block, dw_block_of_lsn(&log->geometry, superblock->clean_end + log->geometry.payload_size - 1));
    return block;
}

/* Did a later writer cut the volume that we stand in and go on in a new one? Then all before that one is decided. */
static uint64_t pass_cut(struct dwal *log, uint64_t from)
{
    const struct dw_geometry *g = &log->geometry;
    uint64_t end;
    if (from == 0)
        return from;
    uint32_t number = dw_volume_of_block(g, from - 1);
    uint32_t next = dw_store_successor(log->store, number, &end);
    if (next == DW_VOLUME_NUMBER_NONE || end == dw_end_lsn_of_volume(g, number))
        return from; /* a volume that was claimed ahead says nothing */
    return dw_max_u64(from, dw_first_block_of_volume(g, next));
}

int dw_follow(struct dwal *log, bool *has_grown)
{
    const struct dw_geometry *g = &log->geometry;
    *has_grown = false;
    int result = dw_store_refresh(log->store);
    if (result < 0)
        return result;
    uint64_t visible = atomic_load_explicit(&log->visible_block, memory_order_relaxed);
    uint64_t from = pass_cut(log, visible);
    uint64_t end_block = dw_first_block_of_volume(g, dw_volume_of_block(g, from)) + g->data_blocks;
    uint64_t watermark = dw_max_u64(from, dw_min_u64(clean_end_block(log), end_block));
    result = look_in_volume(log, from, end_block, &watermark);
    if (result == 0 && watermark >= end_block - 1) /* the next volume's first headers witness the end of this one */
        result = look_in_volume(log, end_block, end_block + g->data_blocks, &watermark);
    if (result < 0)
        return result;
    if (watermark > visible) {
        atomic_store_explicit(&log->visible_block, watermark, memory_order_release); /* pairs: VISIBLE */
        /* The headers of what the writer wrote since say how all before it ended. */
        atomic_store_explicit(&log->visible_end, UINT64_MAX, memory_order_release); /* pairs: VISIBLE-END */
        *has_grown = true;
    }
    return 0;
}
