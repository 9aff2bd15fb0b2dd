/* look.c - see look.h. */
#include "core/read/look.h"

#include <string.h>

const char *dw_block_state_text(enum dw_block_state state)
{
    switch (state) {
    case DW_BLOCK_SOUND:
        return "is sound";
    case DW_BLOCK_BAD:
        return "does not check";
    case DW_BLOCK_MISPLACED:
        return "holds the bytes of another block";
    case DW_BLOCK_IMPOSSIBLE:
        return "checks and yet contradicts what is before it";
    case DW_BLOCK_UNREADABLE:
        return "cannot be read";
    case DW_BLOCK_ABSENT:
        return "is missing";
    }
    return "is unknown";
}

void dw_block_look_at(const struct dw_geometry *geometry, const struct dw_identity *identity,
                      const struct dw_block_view *view, struct dw_block_look *look)
{
    *look = (struct dw_block_look){.block = view->block,
                                   .volume = dw_volume_of_block(geometry, view->block),
                                   .unreadable = view->unreadable,
                                   .unreadable_place = view->unreadable_place,
                                   .system_code = view->system_code,
                                   .bytes = view->bytes};
    if (view->is_absent) {
        look->state = DW_BLOCK_ABSENT;
        return;
    }
    if (view->unreadable > 0) {
        look->state = DW_BLOCK_UNREADABLE;
        dw_tags_count(geometry, identity, view->sectors, look->volume, &look->tags);
        look->tags.blank -= view->unreadable < look->tags.blank ? view->unreadable : look->tags.blank;
        return;
    }
    dw_tags_count(geometry, identity, view->bytes, look->volume, &look->tags);
    switch (dw_block_header_decode(geometry, identity, view->bytes, view->block, &look->info)) {
    case DW_DECODED_OK:
        look->state = DW_BLOCK_SOUND;
        look->is_padding_zero = dw_payload_is_zero_from(geometry, view->bytes, look->info.fill);
        /* Nothing in a block and yet no marker: never of our making. */
        if (look->info.fill == 0 && (look->info.flags & DW_BLOCK_MARKER) == 0)
            look->state = DW_BLOCK_IMPOSSIBLE;
        break;
    case DW_DECODED_MISPLACED:
        look->state = DW_BLOCK_MISPLACED;
        break;
    case DW_DECODED_IMPOSSIBLE:
        look->state = DW_BLOCK_IMPOSSIBLE;
        break;
    default:
        look->state = DW_BLOCK_BAD;
        break;
    }
}

bool dw_block_has_old_sector(const struct dw_geometry *geometry, const struct dw_identity *identity,
                             const struct dw_block_look *look, uint32_t from, uint32_t to)
{
    if (look->tags.current == geometry->sector_count || !look->bytes)
        return false;
    const uint32_t step = geometry->sector_size - DW_TAG_SIZE;
    const uint32_t before = DW_BLOCK_HEADER_SIZE - DW_TAG_SIZE;
    for (uint32_t sector = 1; sector < geometry->sector_count; sector++) {
        uint32_t begin = sector * step - before;
        uint32_t tag;
        if (begin + step <= from || begin >= to)
            continue;
        memcpy(&tag, look->bytes + (size_t)sector * geometry->sector_size, sizeof tag);
        if (dw_tag_classify(identity, tag, look->volume) != DW_TAG_CURRENT)
            return true;
    }
    return false;
}
