/* crash_image.h - what a device may hold after the power went, from the record of its writes.
 *
 * A cut is a place in the record. Before it: on stable storage, all of it. Behind it: a write that had been sent before the next
 * one was on stable storage may be there, or not, or some of its sectors; a write that was sent later is not. Of two writes to one sector
 * the one that completed later wins, whatever order they have in the record.
 * Happy path: init with the image the guest started from, then for growing cuts: advance, make any number of images. Failure: the
 * end of the program. One thread. */
#ifndef DW_TESTS_VM_CRASH_IMAGE_H
#define DW_TESTS_VM_CRASH_IMAGE_H

#include "tests/vm/write_log.h"

enum crash_kind {
    CRASH_KEEPS_ALL,  /* everything sent is on the medium */
    CRASH_KEEPS_NONE, /* nothing that was not acknowledged is */
    CRASH_KEEPS_SOME, /* a random part: whole writes, missing ones, torn ones */
    CRASH_KINDS
};
struct crash_builder {
    const struct write_log *log;
    unsigned char *image; /* what is on stable storage at the cut */
    uint64_t *completed;  /* of each sector: number of the event that completed the last write in `image` */
    size_t size;
    uint32_t sector;
    size_t cut;     /* entries before it are on stable storage */
    uint64_t event; /* when the last of them completed */
    uint64_t random;
    uint64_t whole_below; /* writes that start below this byte are never torn */
};

/* `base`: the device as it was when recording began, `size` bytes; copied. */
void crash_builder_init(struct crash_builder *builder, const struct write_log *log, const unsigned char *base,
                        size_t size, uint32_t sector, uint64_t seed);
void crash_builder_free(struct crash_builder *builder);
/* May the power go right before entry `cut`? Not among plain writes that one flush made durable together; and not between a
 * write and the mark that tells of it, which would ask less of the same image. */
bool crash_cut_is_useful(const struct write_log *log, size_t cut);
void crash_builder_advance(struct crash_builder *builder, size_t cut);
/* Writes that may be there or not, at this cut. */
size_t crash_builder_undecided(const struct crash_builder *builder);
/* Make the image in `target` (`size` bytes). Returns how many undecided writes were left out or torn. */
size_t crash_builder_make(struct crash_builder *builder, enum crash_kind kind, unsigned char *target);

#endif
