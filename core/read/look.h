/* look.h - one block, judged by itself: header, place, tags, padding. Pure.
 *
 * Called by: the walker, recovery's look ahead, verify and dump. What a record says about the block is not known here. */
#ifndef DW_CORE_READ_LOOK_H
#define DW_CORE_READ_LOOK_H

#include "core/read/source.h"

enum dw_block_state {
    DW_BLOCK_SOUND = 0,
    DW_BLOCK_BAD,        /* the header does not check: torn, damaged or never written */
    DW_BLOCK_MISPLACED,  /* a sound header of another place: misdirected, or left by an earlier use of the file */
    DW_BLOCK_IMPOSSIBLE, /* a sound header that contradicts itself or the records before it */
    DW_BLOCK_UNREADABLE, /* the device answered with an error, twice */
    DW_BLOCK_ABSENT,     /* no such volume, or the file ends before */
};
const char *dw_block_state_text(enum dw_block_state state);

struct dw_block_look {
    uint64_t block;
    uint32_t volume; /* in which it was looked for */
    enum dw_block_state state;
    struct dw_block_info info; /* SOUND, MISPLACED, IMPOSSIBLE: what the header says */
    struct dw_tag_counts tags; /* of the sectors that could be read */
    uint32_t unreadable;       /* sectors */
    uint64_t unreadable_place; /* byte in the file */
    int system_code;           /* -errno of the first unreadable sector */
    bool is_padding_zero;      /* SOUND: nothing behind `fill` */
    const uint8_t *bytes;      /* NULL: absent or unreadable; valid until the next call on the source */
};
void dw_block_look_at(const struct dw_geometry *geometry, const struct dw_identity *identity,
                      const struct dw_block_view *view, struct dw_block_look *look);

/* Does it show anything that was written under the number of its volume? */
static inline bool dw_block_is_current(const struct dw_block_look *look)
{
    return look->tags.current > 0 || look->state == DW_BLOCK_SOUND || look->state == DW_BLOCK_IMPOSSIBLE;
}
/* Sound in itself, and yet something of it that holds no content is damaged: a tag, the padding. */
static inline bool dw_block_is_odd(const struct dw_geometry *geometry, const struct dw_block_look *look)
{
    return look->state == DW_BLOCK_SOUND && (look->tags.current != geometry->sector_count || !look->is_padding_zero);
}
/* Is there a sector whose tag is not CURRENT among those with payload of [from, to)? The first sector of a block is proven by
 * the header's checksum. One that begins before `from` is not proven by the bytes there: zeros may be what was to be written,
 * and what lies where nothing was. */
bool dw_block_has_old_sector(const struct dw_geometry *geometry, const struct dw_identity *identity,
                             const struct dw_block_look *look, uint32_t from, uint32_t to);

#endif
