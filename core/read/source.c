/* source.c - see source.h. The one place in this room that reads the device. */
#include "core/read/source.h"

#include <errno.h>
#include <string.h>

#include "alloc/arena.h"
#include "base/assert.h"
#include "core/base/error.h"

/* Whoever has read so many bytes in full buffers one behind the other reads on for long. */
#define AHEAD_RUN ((size_t)2 << 20)
#define AHEAD_SIZE                                                                                                     \
    ((size_t)512 << 10) /* five of them and the buffer stay below what dwal_memory_bound says of a cursor */

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

/* Nothing is read ahead any more, and no file is kept for it. */
static void forget_ahead(struct dw_source *source)
{
    if (source->ahead)
        dw_ahead_forget(source->ahead);
    while (source->beyond_count > 0)
        dw_store_unpin(source->store, source->beyond[--source->beyond_count]);
}

void dw_source_release(struct dw_source *source)
{
    forget_ahead(source); /* it reads from the files that are let go */
    if (!source->store)
        return;
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
    forget_ahead(source);
    source->count = 0;
    source->damaged = (struct dw_block_view){0};
}

/* What was read ahead, from `block` on. */
static void show_ahead(struct dw_source *source, uint64_t block, const uint8_t *bytes, size_t size)
{
    source->shown = bytes;
    source->first = block;
    source->count = (uint32_t)(size / source->geometry.block_size);
}

/* Go on with the first block of the next volume, whose header came with it. false: another block is wanted, it could not be read, or
 * the volume went away before it was pinned; open_volume then finds out what is there. */
static bool enter_beyond(struct dw_source *source, uint64_t block)
{
    const struct dw_geometry *g = &source->geometry;
    if (source->beyond_count == 0 || block != dw_first_block_of_volume(g, source->beyond[0]->number))
        return false;
    struct dw_volume *volume = source->beyond[0];
    size_t done, header = (size_t)dw_place_of_block(g, block);
    const uint8_t *bytes = dw_ahead_collect(source->ahead, volume->file, volume->base, header + g->block_size, &done);
    if (!bytes || !dw_store_prove(source->store, volume, bytes))
        return false;
    dw_store_unpin(source->store, source->volume);
    source->volume = volume;
    source->beyond_count--;
    for (uint32_t i = 0; i < source->beyond_count; i++)
        source->beyond[i] = source->beyond[i + 1];
    source->number = volume->number;
    source->file = volume->file;
    source->base = volume->base;
    show_ahead(source, block, bytes + header, done - header);
    return true;
}

/* The volume in which `block` lies. */
static int open_volume(struct dw_source *source, uint64_t block)
{
    uint32_t number = dw_volume_of_block(&source->geometry, block);
    if (source->number == number)
        return 0;
    if (!source->store) /* one file only, and this block is not in it */
        return DWAL_ENOTFOUND;
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
    if (bytes)
        show_ahead(source, block, bytes, done);
    else
        forget_ahead(source);
    return bytes != NULL;
}

/* The volume behind `number` is read ahead too. false: there is none, or it cannot be pinned. */
static bool pin_beyond(struct dw_source *source, uint32_t number)
{
    uint64_t end;
    if (source->beyond_count == DW_SOURCE_BEYOND)
        return false;
    uint32_t next = dw_store_successor(source->store, number, &end);
    if (next == DW_VOLUME_NUMBER_NONE || dw_first_block_of_volume(&source->geometry, next) >= source->limit)
        return false;
    struct dwal_error met = *dwal_last_error(); /* whoever really wants that volume tells why not */
    if (dw_store_pin_unread(source->store, next, &source->beyond[source->beyond_count]) == 0) {
        source->beyond_count++;
        return true;
    }
    (void)dw_fail_again(&met);
    return false;
}

/* The next piece, from `*block` on: false when there is none. */
static bool find_piece(struct dw_source *source, uint64_t *block, const struct dw_volume **volume)
{
    const struct dw_geometry *g = &source->geometry;
    *block = dw_ahead_count(source->ahead) > 0 ? source->asked : source->next;
    *volume = source->beyond_count > 0 ? source->beyond[source->beyond_count - 1] : source->volume;
    if (dw_volume_of_block(g, *block) != (*volume)->number) {
        if (!pin_beyond(source, (*volume)->number))
            return false;
        *volume = source->beyond[source->beyond_count - 1];
        *block = dw_first_block_of_volume(g, (*volume)->number);
    }
    return *block < source->limit;
}

/* The first piece of a volume begins with its header: see enter_beyond. */
static void ask_piece(struct dw_source *source, uint64_t block, const struct dw_volume *volume)
{
    const struct dw_geometry *g = &source->geometry;
    uint64_t place = dw_place_of_block(g, block);
    uint64_t before = volume != source->volume && block % g->data_blocks == 0 ? place : 0;
    size_t size = (size_t)dw_min_u64(bytes_left(source, block) + before, dw_ahead_size(source->ahead));
    dw_ahead_ask(source->ahead, volume->file, volume->base + place - before, size);
    source->asked = block + (size - before) / g->block_size;
}

/* Have the pieces behind what is shown read meanwhile, for who has been reading forwards for long. */
static void ask_ahead(struct dw_source *source)
{
    uint32_t block_size = source->geometry.block_size;
    if (source->run < AHEAD_RUN / block_size || !source->volume)
        return;
    if (!source->ahead && dw_store_may_start_threads(source->store)) {
        source->ahead = dw_ahead_open(dw_store_disk(source->store), AHEAD_SIZE, dw_store_reads_plainly(source->store));
        if (!source->ahead)
            source->run = 0; /* no memory or thread now: perhaps later */
    }
    uint64_t block;
    const struct dw_volume *volume;
    while (source->ahead && dw_ahead_count(source->ahead) < DW_AHEAD_PIECES && find_piece(source, &block, &volume))
        ask_piece(source, block, volume);
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
    else if (source->count == source->buffer_blocks && source->run < AHEAD_RUN)
        source->run += source->count;
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
    bool is_shown = enter_beyond(source, block);
    int result = is_shown ? 0 : open_volume(source, block);
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
    if (!is_shown && !take_ahead(source, block))
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
