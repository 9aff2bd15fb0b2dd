/* source.c - see source.h. The one place in this room that reads the device. */
#include "core/read/source.h"

#include <errno.h>
#include <string.h>

#include "alloc/arena.h"
#include "base/assert.h"
#include "core/base/error.h"

/* Whoever has read so many full buffers one behind the other reads on for long. */
#define AHEAD_RUN 8u
#define AHEAD_SIZE                                                                                                     \
    ((size_t)3 << 19) /* three of them and the buffer stay below what dwal_memory_bound says of a cursor */

static int make_buffer(struct dw_source *source, size_t read_ahead)
{
    const struct dw_geometry *g = &source->geometry;
    uint64_t blocks = dw_min_u64(read_ahead / g->block_size, g->data_blocks);
    source->buffer_blocks = blocks ? (uint32_t)blocks : 1;
    source->buffer = dw_arena_borrow(source->arena, (size_t)source->buffer_blocks * g->block_size, g->block_size);
    if (!source->buffer)
        return dw_fail(DWAL_EMEMORY, "no memory for a buffer of %u blocks to read the log", source->buffer_blocks);
    return 0;
}

int dw_source_open(struct dw_source *source, struct dw_store *store, size_t read_ahead)
{
    const struct dw_superblock_info *superblock = dw_store_superblock(store);
    *source = (struct dw_source){.store = store,
                                 .arena = dw_store_arena(store),
                                 .geometry = superblock->geometry,
                                 .identity = superblock->identity,
                                 .number = DW_VOLUME_NUMBER_NONE,
                                 .limit = UINT64_MAX};
    return make_buffer(source, read_ahead);
}

int dw_source_open_file(struct dw_source *source, const struct dw_geometry *geometry,
                        const struct dw_identity *identity, struct dw_file *file, uint64_t base, uint32_t number,
                        size_t read_ahead)
{
    *source =
        (struct dw_source){.geometry = *geometry, .identity = *identity, .file = file, .base = base, .number = number};
    return make_buffer(source, read_ahead);
}

void dw_source_release(struct dw_source *source)
{
    if (source->ahead)
        dw_ahead_forget(source->ahead); /* it reads from the files that are let go */
    if (!source->store)
        return;
    if (source->beyond)
        dw_store_unpin(source->store, source->beyond);
    source->beyond = NULL;
    if (source->volume)
        dw_store_unpin(source->store, source->volume);
    source->volume = NULL;
    source->file = NULL;
    source->number = DW_VOLUME_NUMBER_NONE;
    source->count = 0;
}

void dw_source_close(struct dw_source *source)
{
    dw_source_release(source);
    dw_ahead_close(source->ahead);
    source->ahead = NULL;
    dw_arena_return(source->arena, source->buffer);
    source->buffer = NULL;
}

void dw_source_forget(struct dw_source *source)
{
    if (source->ahead)
        dw_ahead_forget(source->ahead);
    source->count = 0;
    source->damaged = (struct dw_block_view){0};
}

/* Go on in the volume that is being read ahead. Unless what is out begins with this block, some of it may still come from the
 * file that is let go. */
static void enter_beyond(struct dw_source *source, uint64_t block)
{
    uint64_t place = source->beyond->base + dw_place_of_block(&source->geometry, block);
    if (source->ahead && !dw_ahead_is_first(source->ahead, source->beyond->file, place))
        dw_ahead_forget(source->ahead);
    dw_store_unpin(source->store, source->volume);
    source->volume = source->beyond;
    source->beyond = NULL;
    source->number = source->volume->number;
    source->file = source->volume->file;
    source->base = source->volume->base;
    source->count = 0;
    source->damaged = (struct dw_block_view){0};
}

/* The volume in which `block` lies. */
static int open_volume(struct dw_source *source, uint64_t block)
{
    uint32_t number = dw_volume_of_block(&source->geometry, block);
    if (source->number == number)
        return 0;
    if (!source->store) /* one file only, and this block is not in it */
        return DWAL_ENOTFOUND;
    if (source->beyond && source->beyond->number == number) {
        enter_beyond(source, block);
        return 0;
    }
    dw_source_release(source);
    dw_source_forget(source);
    int result = dw_store_pin(source->store, number, &source->volume);
    source->number = number;
    source->open_error = result;
    if (result) {
        source->volume = NULL;
        return result;
    }
    source->file = source->volume->file;
    source->base = source->volume->base;
    return 0;
}

/* The buffer's first block, piece by piece: what can be read of it, and what cannot. */
static void read_pieces(struct dw_source *source, uint64_t block, struct dw_block_view *view)
{
    const struct dw_geometry *g = &source->geometry;
    uint64_t place = source->base + dw_place_of_block(g, block);
    uint32_t step = source->file->alignment > g->sector_size ? source->file->alignment : g->sector_size;
    if (step > g->block_size)
        step = g->block_size;
    for (uint32_t at = 0; at < g->block_size; at += step) {
        size_t done = 0;
        int result = dw_file_read(source->file, source->buffer + at, step, place + at, &done);
        source->reads++;
        if (result == 0 && done == step)
            continue;
        memset(source->buffer + at, 0, step);
        if (view->unreadable == 0) {
            view->unreadable_place = place + at;
            view->system_code = result ? result : -EIO;
        }
        view->unreadable += step / g->sector_size;
    }
}

/* A block that one large read did not bring: absent, or read in pieces. */
static void read_hard(struct dw_source *source, uint64_t block, int result, struct dw_block_view *view)
{
    *view = (struct dw_block_view){.block = block};
    if (result == 0) {
        view->is_absent = true;
    } else {
        read_pieces(source, block, view);
        source->blocks_read++;
        if (view->unreadable == 0) { /* the second attempt succeeded */
            source->shown = source->buffer;
            source->first = block;
            source->count = 1;
            view->bytes = source->buffer;
            return;
        }
        view->sectors = source->buffer;
    }
    source->first = block;
    source->count = 0;
    source->damaged = *view;
}

static void no_volume(struct dw_source *source, uint64_t block, struct dw_block_view *view)
{
    const struct dw_geometry *g = &source->geometry;
    *view = (struct dw_block_view){.block = block};
    if (source->open_error == DWAL_EDEVICE || source->open_error == DWAL_EPERMISSION) {
        memset(source->buffer, 0, g->block_size);
        view->unreadable = g->sector_count;
        view->unreadable_place = dw_place_of_block(g, block);
        view->sectors = source->buffer;
        view->system_code = -EIO;
    } else {
        view->is_absent = true;
    }
}

static uint32_t blocks_to_read(struct dw_source *source, uint64_t block)
{
    if (source->want == 0)
        return source->buffer_blocks;
    if (source->count > 0 && block == source->first + source->count && source->want <= source->buffer_blocks / 2)
        source->want *= 2;
    return source->want < source->buffer_blocks ? source->want : source->buffer_blocks;
}

/* Bytes from `block` on that may be read: to the volume's end, and not beyond the limit unless the block itself is. */
static uint64_t bytes_left(const struct dw_source *source, uint64_t block)
{
    const struct dw_geometry *g = &source->geometry;
    uint64_t left = g->data_blocks - block % g->data_blocks;
    if (block < source->limit)
        left = dw_min_u64(left, source->limit - block);
    return left * g->block_size;
}

/* The piece that holds `block`, if it was read ahead. */
static bool take_ahead(struct dw_source *source, uint64_t block)
{
    const struct dw_geometry *g = &source->geometry;
    size_t done;
    if (!source->ahead)
        return false;
    const uint8_t *bytes =
        dw_ahead_collect(source->ahead, source->file, source->base + dw_place_of_block(g, block), g->block_size, &done);
    if (!bytes)
        return false;
    source->shown = bytes;
    source->first = block;
    source->count = (uint32_t)(done / g->block_size);
    return true;
}

/* The volume behind the one that is read is read ahead too. false: there is none, it is pinned already, or cannot be. */
static bool pin_beyond(struct dw_source *source)
{
    uint64_t end;
    if (source->beyond)
        return false;
    uint32_t number = dw_store_successor(source->store, source->number, &end);
    if (number == DW_VOLUME_NUMBER_NONE || dw_first_block_of_volume(&source->geometry, number) >= source->limit)
        return false;
    struct dwal_error met = *dwal_last_error(); /* whoever really wants that volume tells why not */
    if (dw_store_pin(source->store, number, &source->beyond) == 0)
        return true;
    source->beyond = NULL;
    (void)dw_fail_again(&met);
    return false;
}

/* Where the next piece starts, in which volume. */
static bool find_piece(struct dw_source *source, uint64_t *block, const struct dw_volume **volume)
{
    const struct dw_geometry *g = &source->geometry;
    *block = dw_ahead_count(source->ahead) > 0 ? source->asked : source->next;
    bool is_behind = dw_volume_of_block(g, *block) != source->number;
    if (is_behind && source->beyond && dw_volume_of_block(g, *block) == source->beyond->number) {
        *volume = source->beyond;
    } else if (is_behind) {
        if (!pin_beyond(source))
            return false;
        *block = dw_first_block_of_volume(g, source->beyond->number);
        *volume = source->beyond;
    } else {
        *volume = source->volume;
    }
    return *block < source->limit;
}

/* Have the pieces behind what is shown read meanwhile, for who has been reading forwards for long. */
static void ask_ahead(struct dw_source *source)
{
    const struct dw_geometry *g = &source->geometry;
    if (source->run < AHEAD_RUN || !source->volume)
        return;
    if (!source->ahead && dw_store_may_start_threads(source->store)) {
        source->ahead = dw_ahead_open(AHEAD_SIZE, g->block_size);
        if (!source->ahead)
            source->run = 0; /* no memory or thread now: perhaps later */
    }
    uint64_t block;
    const struct dw_volume *volume;
    while (source->ahead && dw_ahead_count(source->ahead) < DW_AHEAD_PIECES && find_piece(source, &block, &volume)) {
        size_t size = (size_t)dw_min_u64(bytes_left(source, block), dw_ahead_size(source->ahead));
        dw_ahead_ask(source->ahead, volume->file, volume->base + dw_place_of_block(g, block), size);
        source->asked = block + size / g->block_size;
    }
}

/* One large read by this thread. */
static int read_here(struct dw_source *source, uint64_t block)
{
    const struct dw_geometry *g = &source->geometry;
    bool is_next = block == source->next;
    size_t size =
        (size_t)dw_min_u64(bytes_left(source, block), (uint64_t)blocks_to_read(source, block) * g->block_size);
    size_t done = 0;
    int result = dw_file_read(source->file, source->buffer, size, source->base + dw_place_of_block(g, block), &done);
    source->shown = source->buffer;
    source->first = block;
    source->count = (uint32_t)(done / g->block_size);
    if (!is_next)
        source->run = 0;
    else if (source->count == source->buffer_blocks)
        source->run++;
    return result;
}

int dw_source_get(struct dw_source *source, uint64_t block, struct dw_block_view *view)
{
    const struct dw_geometry *g = &source->geometry;
    if (block - source->first < source->count) {
        *view = (struct dw_block_view){.block = block,
                                       .bytes = source->shown + (size_t)(block - source->first) * g->block_size};
        return 0;
    }
    int result = open_volume(source, block);
    if (result == DWAL_EMEMORY)
        return result;
    if (result || !source->file) {
        no_volume(source, block, view);
        return 0;
    }
    if (source->damaged.block == block && (source->damaged.is_absent || source->damaged.unreadable)) {
        *view = source->damaged;
        return 0;
    }
    source->damaged = (struct dw_block_view){0};
    if (!take_ahead(source, block))
        result = read_here(source, block);
    source->reads++;
    source->blocks_read += source->count;
    if (source->count == 0) {
        read_hard(source, block, result, view);
        return 0;
    }
    source->next = block + source->count;
    ask_ahead(source);
    *view = (struct dw_block_view){.block = block, .bytes = source->shown};
    return 0;
}
