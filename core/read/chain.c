/* chain.c - which volumes are the log, in which order, and how each ends: from headers, TOCs and the superblock.
 *
 * The predecessor links are the order; they are followed back from the newest volume that the superblock knows until the trim
 * point. A volume that no link reaches was abandoned by an earlier recovery, or is about to be recycled: it is not judged.
 * A volume above `claimed` is a claim that a crash interrupted, as long as nothing was written into it.
 * Failure: what is missing, damaged or contradicts itself becomes a fact with its place. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "alloc/alloc.h"
#include "base/assert.h"
#include "core/base/error.h"
#include "core/read/recovery.h"
#include "core/store/names.h"

bool dw_recovery_is_sound(const struct dw_volume *volume)
{
    return volume->header_verdict == DW_DECODED_OK || volume->header_verdict == DW_DECODED_BAD_TAG;
}

static bool is_toc_sound(const struct dw_volume *volume)
{
    return volume->toc_verdict == DW_DECODED_OK || volume->toc_verdict == DW_DECODED_BAD_TAG;
}

static void see_number(struct dw_recovery *r, uint32_t number)
{
    if (number == DW_VOLUME_NUMBER_NONE)
        return;
    if (r->number_seen == DW_VOLUME_NUMBER_NONE || number > r->number_seen)
        r->number_seen = number;
}

static void see_numbers(struct dw_recovery *r)
{
    see_number(r, r->superblock->claimed);
    for (size_t i = 0; i < dw_store_volume_count(r->store); i++) {
        const struct dw_volume *volume = dw_store_volume_at(r->store, i);
        see_number(r, volume->number);
        if (dw_recovery_is_sound(volume) || volume->header_verdict == DW_DECODED_MISPLACED)
            see_number(r, volume->header.number);
    }
    for (size_t i = 0; i < dw_store_stranger_count(r->store); i++) {
        uint32_t number;
        enum dw_place_kind kind;
        if (dw_name_parse(dw_store_stranger_at(r->store, i), &kind, &number) && kind == DW_PLACE_VOLUME)
            see_number(r, number);
    }
}

/* ---- one volume ---- */

/* Nobody may touch a volume of another log or of a newer dwal, whatever its place in the chain. */
static void judge_owner(struct dw_recovery *r, const struct dw_volume *volume)
{
    if (volume->header_verdict == DW_DECODED_FOREIGN)
        dw_recovery_find(r, DW_FACT_FOREIGN, volume->number, DWAL_NO_LSN, DWAL_NO_LSN, "%s belongs to another log",
                         volume->name);
    if (volume->header_verdict == DW_DECODED_VERSION)
        dw_recovery_find(r, DW_FACT_VERSION, volume->number, DWAL_NO_LSN, DWAL_NO_LSN, "%s was written by a newer dwal",
                         volume->name);
}

/* A volume of the log whose header cannot be used: say why. */
static void refuse_header(struct dw_recovery *r, const struct dw_volume *volume)
{
    if (volume->header_verdict == DW_DECODED_FOREIGN || volume->header_verdict == DW_DECODED_VERSION)
        return;
    if (volume->read_error)
        dw_recovery_find(r, DW_FACT_DARK, volume->number, DWAL_NO_LSN, DWAL_NO_LSN,
                         "neither copy of the header of %s can be read (errno %d)", volume->name, -volume->read_error);
    else if (volume->header_verdict == DW_DECODED_MISPLACED)
        dw_recovery_find(r, DW_FACT_CONTRADICTION, volume->number, DWAL_NO_LSN, DWAL_NO_LSN,
                         "%s holds the header of volume %" PRIu32, volume->name, volume->header.number);
    else
        dw_recovery_find(r, DW_FACT_CONTRADICTION, volume->number, DWAL_NO_LSN, DWAL_NO_LSN,
                         "both copies of the header of %s are damaged (%s)", volume->name,
                         dw_decoded_text(volume->header_verdict));
}

/* Is this volume fit to be a part of the log? */
static bool judge_volume(struct dw_recovery *r, const struct dw_volume *volume)
{
    uint64_t size = r->geometry->volume_size;
    if (!dw_recovery_is_sound(volume)) {
        bool is_cut_short = volume->file_size < 2 * (uint64_t)r->geometry->block_size && volume->read_error == 0;
        if (!is_cut_short) {
            refuse_header(r, volume);
            return false;
        }
    }
    if (volume->file_size < volume->base + size) {
        dw_recovery_find(r, DW_FACT_MISSING, volume->number, DWAL_NO_LSN, DWAL_NO_LSN,
                         "%s has %" PRIu64 " bytes and must have %" PRIu64, volume->name, volume->file_size,
                         volume->base + size);
        return dw_recovery_is_sound(volume);
    }
    if (volume->header.epoch > r->superblock->epoch && !r->options->has_live_writer)
        dw_recovery_find(r, DW_FACT_NEWER, volume->number, DWAL_NO_LSN, DWAL_NO_LSN,
                         "%s was claimed in epoch %" PRIu64 ", the superblock knows only %" PRIu64, volume->name,
                         volume->header.epoch, r->superblock->epoch);
    if (!volume->is_header_doubled || volume->header_verdict == DW_DECODED_BAD_TAG)
        dw_recovery_tell(r, DWAL_VERDICT_CORRUPT, true, volume->number, DWAL_NO_LSN, 0, DWAL_NO_LSN,
                         "%s of the header of %s is damaged; the other one is used",
                         volume->is_header_doubled ? "the tag of a copy" : "one copy", volume->name);
    return true;
}

/* Volumes above `claimed`: a claim that was interrupted holds nothing. */
static int judge_unclaimed(struct dw_recovery *r, const struct dw_volume *volume)
{
    bool is_current = false, is_sealed = is_toc_sound(volume);
    int result = is_sealed ? 0 : dw_recovery_look_for_content(r, volume, &is_current);
    if (result)
        return result;
    if (is_current || is_sealed)
        dw_recovery_find(r, DW_FACT_NEWER, volume->number, DWAL_NO_LSN, DWAL_NO_LSN,
                         "%s holds %s of volume %" PRIu32 ", which the superblock does not know", volume->name,
                         is_sealed ? "the TOC" : "blocks", volume->number);
    r->has_unfinished_claim = true;
    return 0;
}

/* ---- links ---- */

/* lsn at which the predecessor of `volume` ends. */
static uint64_t end_of_predecessor(const struct dw_recovery *r, const struct dw_volume *volume)
{
    const struct dw_volume_info *header = &volume->header;
    if (header->predecessor_end == DW_PREDECESSOR_CUT)
        return header->cut;
    return dw_end_lsn_of_volume(r->geometry, header->predecessor);
}

/* Follow the links back from `number`; links[] is filled from its end. Returns the index of the first. */
static size_t follow(struct dw_recovery *r, uint32_t number, size_t capacity)
{
    size_t at = capacity;
    for (;;) {
        struct dw_volume *volume = dw_store_find(r->store, number);
        if (!volume) {
            dw_recovery_find(r, DW_FACT_MISSING, number, DWAL_NO_LSN, dw_first_lsn_of_volume(r->geometry, number),
                             "volume %" PRIu32 " is missing", number);
            return at;
        }
        if (!judge_volume(r, volume))
            return at;
        dw_assert(at > 0); /* numbers only fall, and each has one row */
        at--;
        r->links[at] = (struct dw_link){.volume = volume};
        r->row[at] = (struct dw_stretch){.number = number, .end = dw_end_lsn_of_volume(r->geometry, number)};
        if (volume->header.predecessor_end == DW_PREDECESSOR_NONE)
            return at;
        if (end_of_predecessor(r, volume) <= r->superblock->trim)
            return at;
        number = volume->header.predecessor; /* smaller than this one: the decoder saw to that */
    }
}

/* Join a volume to the one before it: how does that one end, and does its TOC agree? */
static void join(struct dw_recovery *r, size_t at)
{
    struct dw_link *before = &r->links[at - 1];
    const struct dw_volume_info *header = &r->links[at].volume->header;
    const struct dw_toc_info *toc = &before->volume->toc;
    bool is_cut = header->predecessor_end == DW_PREDECESSOR_CUT;
    r->row[at].is_running = !is_cut;
    if (is_cut)
        r->row[at - 1].end = header->cut;
    if (!is_toc_sound(before->volume) || (toc->flags & DW_TOC_OPEN) != 0)
        return;
    /* A TOC that tells of a cut while the next volume runs on: recovery was interrupted before it decided. */
    bool is_toc_cut = (toc->flags & DW_TOC_CUT) != 0;
    if (is_toc_cut && !is_cut)
        return;
    bool is_agreed = !is_cut      ? true
                     : is_toc_cut ? toc->end == header->cut
                                  : toc->end <= header->cut && (toc->flags & DW_TOC_SPILL) == 0;
    if (!is_agreed)
        dw_recovery_find(r, DW_FACT_CONTRADICTION, before->volume->number, DWAL_NO_LSN, header->cut,
                         "the TOC of %s ends it at lsn %" PRIu64 ", the header of %s at lsn %" PRIu64,
                         before->volume->name, toc->end, r->links[at].volume->name, header->cut);
    before->is_final = is_agreed;
}

/* What a TOC says must be possible for its volume. */
static void judge_toc(struct dw_recovery *r, struct dw_link *link)
{
    const struct dw_volume *volume = link->volume;
    const struct dw_toc_info *toc = &volume->toc;
    bool is_damaged = volume->toc_verdict == DW_DECODED_BAD_CRC || volume->toc_verdict == DW_DECODED_BAD_TAG ||
                      volume->toc_verdict == DW_DECODED_FOREIGN;
    if (volume->read_error || is_damaged)
        dw_recovery_tell(r, DWAL_VERDICT_CORRUPT, true, volume->number, DWAL_NO_LSN, 0, DWAL_NO_LSN,
                         "the TOC of %s is damaged (%s); it can be made again", volume->name,
                         volume->read_error ? "unreadable" : dw_decoded_text(volume->toc_verdict));
    if (volume->toc_verdict == DW_DECODED_IMPOSSIBLE)
        dw_recovery_find(r, DW_FACT_CONTRADICTION, volume->number, DWAL_NO_LSN, DWAL_NO_LSN,
                         "the TOC of %s checks and yet is impossible", volume->name);
    if (!is_toc_sound(volume))
        return;
    uint64_t first = dw_first_lsn_of_volume(r->geometry, volume->number);
    uint64_t end = dw_end_lsn_of_volume(r->geometry, volume->number);
    if (toc->end < first || toc->end > end || toc->first_lsn < first || toc->last_lsn > toc->end ||
        toc->first_lsn > toc->last_lsn) {
        dw_recovery_find(r, DW_FACT_CONTRADICTION, volume->number, DWAL_NO_LSN, toc->end,
                         "the TOC of %s tells of lsns outside the volume", volume->name);
        link->is_final = false;
    }
}

static void link_up(struct dw_recovery *r, size_t first, size_t capacity)
{
    r->count = capacity - first;
    memmove(r->links, r->links + first, r->count * sizeof *r->links);
    memmove(r->row, r->row + first, r->count * sizeof *r->row);
    for (size_t i = 1; i < r->count; i++)
        join(r, i);
    if (r->count > 0) { /* of the last, only a TOC without flags of an open or cut end says that it is full */
        struct dw_link *last = &r->links[r->count - 1];
        last->is_final = is_toc_sound(last->volume) && (last->volume->toc.flags & (DW_TOC_OPEN | DW_TOC_CUT)) == 0;
    }
    for (size_t i = 0; i < r->count; i++)
        judge_toc(r, &r->links[i]);
}

/* The newest volume of the log: what the superblock says; beside a live writer, what is there. */
static uint32_t newest(const struct dw_recovery *r)
{
    uint32_t number = r->superblock->claimed;
    if (!r->options->has_live_writer)
        return number;
    for (size_t i = dw_store_volume_count(r->store); i > 0; i--) {
        const struct dw_volume *volume = dw_store_volume_at(r->store, i - 1);
        if (dw_recovery_is_sound(volume))
            return number == DW_VOLUME_NUMBER_NONE || volume->number > number ? volume->number : number;
    }
    return number;
}

int dw_recovery_chain(struct dw_recovery *r)
{
    size_t capacity = dw_store_volume_count(r->store);
    uint32_t claimed = r->superblock->claimed;
    r->number_seen = DW_VOLUME_NUMBER_NONE;
    see_numbers(r);
    r->links = dw_alloc((capacity + 1) * sizeof *r->links);
    r->row = dw_alloc((capacity + 1) * sizeof *r->row);
    if (!r->links || !r->row)
        return dw_fail(DWAL_EMEMORY, "no memory for a chain of %zu volumes", capacity);
    for (size_t i = 0; i < capacity; i++) {
        const struct dw_volume *volume = dw_store_volume_at(r->store, i);
        judge_owner(r, volume);
        bool is_unclaimed = claimed == DW_VOLUME_NUMBER_NONE || volume->number > claimed;
        if (!is_unclaimed || r->options->has_live_writer)
            continue;
        int result = judge_unclaimed(r, volume);
        if (result)
            return result;
    }
    uint32_t last = newest(r);
    if (last == DW_VOLUME_NUMBER_NONE) {
        dw_recovery_find(r, DW_FACT_CONTRADICTION, DWAL_NO_VOLUME, DWAL_NO_LSN, DWAL_NO_LSN,
                         "the superblock knows of no volume");
        return 0;
    }
    link_up(r, follow(r, last, capacity), capacity);
    return 0;
}
