/* window.c - see window.h. */
#include "core/read/window.h"

#include <inttypes.h>

#include "alloc/alloc.h"
#include "core/base/error.h"

int dw_window_open(struct dw_window *window, struct dw_store *store, const struct dw_recent *recent, size_t read_ahead)
{
    *window = (struct dw_window){.store = store,
                                 .recent = *recent,
                                 .limit = UINT64_MAX,
                                 .block = DW_NO_BLOCK,
                                 .number = DW_VOLUME_NUMBER_NONE,
                                 .successor = DW_VOLUME_NUMBER_NONE};
    int result = dw_source_open(&window->source, store, read_ahead);
    if (result || !recent->copy_block)
        return result;
    uint32_t size = window->source.geometry.block_size;
    window->copy = dw_alloc_io(size, size);
    return window->copy ? 0 : dw_fail(DWAL_EMEMORY, "no memory for a reader's block");
}

void dw_window_close(struct dw_window *window)
{
    dw_source_close(&window->source);
    dw_free_io(window->copy);
    window->copy = NULL;
}

void dw_window_sample(struct dw_window *window)
{
    window->durable = window->recent.durable_block(window->recent.context);
    window->source.limit = window->durable;
}

uint64_t dw_window_durable_lsn(const struct dw_window *window)
{
    return dw_min_u64(dw_lsn_of_block(&window->source.geometry, window->durable), window->limit);
}

void dw_window_ask_volume(struct dw_window *window, uint32_t number)
{
    if (window->number == number && window->end != UINT64_MAX)
        return;
    window->number = number;
    window->successor = dw_store_successor(window->store, number, &window->end);
}

int dw_window_next_volume(const struct dw_window *window, uint32_t *number)
{
    *number = window->successor;
    if (window->successor != DW_VOLUME_NUMBER_NONE)
        return 0;
    if (window->end == UINT64_MAX)
        return DWAL_EEND;
    if (window->end < dw_store_first(window->store))
        return dw_fail_at(DWAL_ETRIMMED, window->number, DWAL_NO_LSN, window->end,
                          "what follows volume %" PRIu32 " was trimmed away", window->number);
    return dw_fail_at(DWAL_ELOST, window->number, DWAL_NO_LSN, window->end,
                      "the volume behind volume %" PRIu32 " is missing", window->number);
}

static int refuse_absent(const struct dw_window *window, uint64_t block)
{
    const struct dw_source *source = &window->source;
    uint64_t lsn = dw_lsn_of_block(&source->geometry, block);
    uint32_t number = dw_volume_of_block(&source->geometry, block);
    bool is_trimmed = dw_end_lsn_of_volume(&source->geometry, number) <= dw_store_first(window->store);
    if (source->open_error == DWAL_ETRIMMED || is_trimmed)
        return dw_fail_at(DWAL_ETRIMMED, number, block, lsn, "volume %" PRIu32 " was trimmed away", number);
    return dw_fail_at(DWAL_ELOST, number, block, lsn, "block %" PRIu64 " is missing", block);
}

static int refuse_block(const struct dw_window *window, const struct dw_block_look *look)
{
    uint64_t lsn = dw_lsn_of_block(&window->source.geometry, look->block);
    if (look->state == DW_BLOCK_ABSENT)
        return refuse_absent(window, look->block);
    if (look->state == DW_BLOCK_UNREADABLE)
        return dw_fail_system_at(look->system_code, look->volume, look->block, lsn,
                                 "block %" PRIu64 " cannot be read at byte %" PRIu64 " of its volume", look->block,
                                 look->unreadable_place);
    return dw_fail_at(DWAL_ECORRUPT, look->volume, look->block, lsn, "block %" PRIu64 " was durable and %s",
                      look->block, dw_block_state_text(look->state));
}

/* From the ring when it is still there, else from the device. */
static int fetch(struct dw_window *window, uint64_t block, struct dw_block_view *view)
{
    if (window->recent.copy_block && window->recent.copy_block(window->recent.context, block, window->copy)) {
        *view = (struct dw_block_view){.block = block, .bytes = window->copy};
        window->ring_reads++;
        return 0;
    }
    return dw_source_get(&window->source, block, view);
}

int dw_window_load(struct dw_window *window, uint64_t block)
{
    const struct dw_geometry *g = &window->source.geometry;
    struct dw_block_view view;
    struct dw_block_look look;
    if (window->block == block)
        return 0;
    uint64_t begin = dw_lsn_of_block(g, block);
    if (block >= window->durable || begin >= window->limit)
        return DWAL_EEND;
    dw_window_ask_volume(window, dw_volume_of_block(g, block));
    window->block = DW_NO_BLOCK;
    int result = fetch(window, block, &view);
    if (result)
        return result;
    dw_block_look_at(g, &window->source.identity, &view, &look);
    if (look.state != DW_BLOCK_SOUND)
        return refuse_block(window, &look);
    uint64_t end = dw_min_u64(window->end, window->limit);
    window->block = block;
    window->begin = begin;
    window->volume = look.volume;
    window->bytes = look.bytes;
    window->info = look.info;
    window->stop = end < begin + look.info.fill ? (uint32_t)(end > begin ? end - begin : 0) : look.info.fill;
    return 0;
}
