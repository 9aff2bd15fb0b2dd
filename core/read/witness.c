/* witness.c - what is known to have been durable: the highest of all watermarks and ends that anybody wrote down.
 *
 * A watermark is a block: everything before it was durable. An lsn that was durable proves its whole block, since nothing
 * smaller is ever written; the lsn of a cut proves only the blocks before it, as the rest of its block was cut off. */
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>

#include "core/read/recovery.h"

uint64_t dw_recovery_block_behind(const struct dw_recovery *r, uint64_t lsn)
{
    return lsn == 0 ? 0 : dw_block_of_lsn(r->geometry, lsn - 1) + 1;
}

void dw_recovery_witness(struct dw_recovery *r, uint64_t block, const char *format, ...)
{
    if (block <= r->witness.block)
        return;
    va_list arguments;
    r->witness.block = block;
    va_start(arguments, format);
    vsnprintf(r->witness.text, sizeof r->witness.text, format, arguments);
    va_end(arguments);
}

static void witness_toc(struct dw_recovery *r, size_t at)
{
    const struct dw_volume *volume = r->links[at].volume;
    const struct dw_toc_info *toc = &volume->toc;
    if (volume->toc_verdict != DW_DECODED_OK && volume->toc_verdict != DW_DECODED_BAD_TAG)
        return;
    dw_recovery_witness(r, toc->watermark, "the TOC of %s", volume->name);
    if ((toc->flags & DW_TOC_CUT) != 0)
        dw_recovery_witness(r, dw_block_of_lsn(r->geometry, toc->end), "the TOC of %s", volume->name);
    else if ((toc->flags & DW_TOC_OPEN) != 0)
        dw_recovery_witness(r, dw_recovery_block_behind(r, toc->end), "the TOC of %s", volume->name);
    else
        dw_recovery_witness(r, dw_first_block_of_volume(r->geometry, volume->number) + r->geometry->data_blocks,
                            "the TOC of %s", volume->name);
}

void dw_recovery_witness_chain(struct dw_recovery *r)
{
    const struct dw_superblock_info *superblock = r->superblock;
    dw_recovery_witness(r, dw_recovery_block_behind(r, r->options->min_lsn), "the caller's min_lsn %" PRIu64,
                        r->options->min_lsn);
    dw_recovery_witness(r, superblock->watermark, "the superblock's watermark");
    dw_recovery_witness(r, dw_recovery_block_behind(r, superblock->trim), "the trim point %" PRIu64, superblock->trim);
    if (superblock->state == DW_SUPERBLOCK_CLEAN)
        dw_recovery_witness(r, dw_recovery_block_behind(r, superblock->clean_end), "the clean end %" PRIu64,
                            superblock->clean_end);
    for (size_t i = 0; i < r->count; i++) {
        witness_toc(r, i);
        /* A volume behind a cut was claimed when all that was kept before it was durable. */
        if (i > 0 && !r->row[i].is_running)
            dw_recovery_witness(r, dw_first_block_of_volume(r->geometry, r->row[i].number), "the header of %s",
                                r->links[i].volume->name);
    }
}
