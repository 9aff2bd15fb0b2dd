/* crash_life.h - one life of a real log on a simulated disk: from create or from a crash image, through opens, appends and
 * closes, with the story of it; and the next life, that begins with a crash of this one.
 *
 * The log is single-stepped: flusher and maker move when the life says so, all of it from a seed.
 * Owns: the disk (or image), the log's handle, the story and its bytes. Called by: one test thread.
 * Failure: what the log answers to a healthy disk and should not stops the program with the seed. */
#ifndef DW_TESTS_LIB_CRASH_LIFE_H
#define DW_TESTS_LIB_CRASH_LIFE_H

#include "tests/lib/crash_explore.h"

struct dw_crash_life {
    struct dw_disk *disk;
    struct dwal *log; /* NULL: not open */
    struct dwal_options options;
    struct dw_crash_story story;
    struct dw_crash_facts facts; /* of the moment in which this life began */
    uint64_t seed, random;
    uint64_t acked;         /* told so far */
    uint64_t segment_event; /* since the last open or truncation of the story */
    uint8_t *content;       /* one's own; that of earlier lives belongs to them */
    size_t content_used;
    uint32_t entry_size_max;
    bool is_faulty;  /* the disk fails as planned: what the log answers may be an error */
    bool has_failed; /* and it said that it stopped; from then on nothing more may be acknowledged */
};

/* A new disk and a new log on it, not open. The shape is drawn from the seed. */
void dw_crash_life_create(struct dw_crash_life *life, uint64_t seed);
/* The same on a device of so many bytes; 0: in a directory. */
void dw_crash_life_create_on_device(struct dw_crash_life *life, uint64_t seed, uint64_t device_size);
/* The life of an image that was taken from `parent` where `crash` stands. */
void dw_crash_life_inherit(struct dw_crash_life *life, const struct dw_crash_life *parent, struct dw_disk *image,
                           uint64_t event, uint64_t seed);
/* Open for writing, read all, judge; what is not there is dropped from the story for good. */
enum dw_crash_fault dw_crash_life_open(struct dw_crash_life *life, struct dw_crash_outcome *outcome);
/* `moves` random moves: appends, batches, steps of the flusher and the maker, syncs, trims. */
void dw_crash_life_move(struct dw_crash_life *life, uint32_t moves);
void dw_crash_life_close(struct dw_crash_life *life);   /* a clean close of the log */
void dw_crash_life_abandon(struct dw_crash_life *life); /* the process is gone, the disk goes on */
void dw_crash_life_end(struct dw_crash_life *life);     /* the disk too */

#endif
