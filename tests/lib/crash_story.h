/* crash_story.h - what a test appended to a log, and what it was told: the truth that a recovered log is held against.
 *
 * Owns: the list of entries with their bytes. What was acknowledged when is in the simulated disk's event log, as marks.
 * Called by: the crash tests, one thread. A story can go on after a recovery: what was dropped is taken out of it, and
 * must never be seen again. */
#ifndef DW_TESTS_LIB_CRASH_STORY_H
#define DW_TESTS_LIB_CRASH_STORY_H

#include "io/sim.h"

struct dw_crash_entry {
    uint64_t lsn, end;
    uint32_t metadata_size, data_size;
    uint16_t user;
    bool is_more;         /* the next one belongs to the same batch */
    const uint8_t *bytes; /* metadata, then data; belongs to the writer of the story */
};

struct dw_crash_story {
    struct dw_crash_entry *entries;
    size_t count, capacity;
    struct dw_crash_entry *dropped; /* by a recovery: never to be seen again */
    size_t dropped_count, dropped_capacity;
};
void dw_crash_story_add(struct dw_crash_story *story, const struct dw_crash_entry *entry);
/* Recovery kept the first `count`. */
void dw_crash_story_cut(struct dw_crash_story *story, size_t count);
void dw_crash_story_copy(struct dw_crash_story *target, const struct dw_crash_story *source); /* the bytes are shared */
void dw_crash_story_free(struct dw_crash_story *story);
/* Bytes that belong to a seed: no two alike at any offset. */
void dw_crash_fill(uint8_t *bytes, size_t size, uint64_t seed);

/* ---- marks in the event log ---- */
enum dw_crash_mark {
    DW_CRASH_CREATED = 1,   /* there is a log from here on */
    DW_CRASH_APPENDED,      /* value: entries appended so far */
    DW_CRASH_ACKED,         /* value: lsn; everything before it was acknowledged */
    DW_CRASH_DURABLE_BLOCK, /* value: first block not acknowledged (model writer) */
    DW_CRASH_CLOSING,       /* a clean close began */
    DW_CRASH_CLOSED,        /* and was told to have succeeded */
    DW_CRASH_OPENING,       /* an open for writing began: what was closed may no longer look so */
    DW_CRASH_OPENED,        /* an open succeeded: what it shows is promised. value: entries shown */
    DW_CRASH_TRIMMING,      /* value: lsn; entries before it may be gone */
    DW_CRASH_TRIMMED,       /* value: lsn; entries before it must be gone */
};

/* What holds at one moment of a disk's history. */
struct dw_crash_facts {
    uint64_t event;  /* marks before it are counted */
    size_t appended; /* no more than so many may be found */
    size_t kept;     /* at least so many must be found: those shown by an open */
    uint64_t acked;  /* and all that end at or before it */
    uint64_t durable_block;
    uint64_t trimming, trimmed;
    bool is_created, is_opened, is_closing, is_closed;
};
/* Go on to `event`; only forwards. Start from a zeroed struct (or from what held when an image was made). */
void dw_crash_facts_advance(struct dw_crash_facts *facts, struct dw_disk *disk, uint64_t event);
/* How many entries must be found at least. */
size_t dw_crash_facts_least(const struct dw_crash_facts *facts, const struct dw_crash_story *story);

#endif
