/* log_story.h - one story of a whole log, played on any disk, and the oracle that says what must be there afterwards.
 *
 *     struct dw_story *story = dw_story_new(disk, "sync");
 *     dw_story_play(story);                // create, two lives of append, commit, batch, read, trim, close
 *     dw_fault_clear(disk);
 *     dw_story_check(story, disk);         // open without the fault: all that was acknowledged is there, in order
 *     dw_story_free(story);
 *
 * The story goes on after any error as a careful user would: it looks at dwal_failure, reads what it still can, closes,
 * opens again. Owns: the model (what was appended, what was acknowledged); the disk belongs to the test.
 * Called by: one test thread. Failure: a cmocka failure that tells `dw_story_context`, set by the test. */
#ifndef DW_TESTS_LIB_LOG_STORY_H
#define DW_TESTS_LIB_LOG_STORY_H

#include <dwal/dwal.h>

#include "core/log/log.h"
#include "io/io.h"

#define DW_STORY_ENTRIES_MAX 400u

struct dw_story_entry {
    uint64_t lsn, end;
    uint32_t seed; /* of size and bytes */
    bool is_acknowledged, is_more;
};

struct dw_story {
    struct dw_disk *disk;
    const char *backend;
    bool is_single_stepped;
    bool is_short;       /* fewer entries: for slow disks */
    bool may_reads_fail; /* the test makes reads fail: then an error is an answer */
    uint32_t blanks;
    struct dw_clock clock;
    uint64_t now_ns;
    dwal *log;                          /* open now, or NULL */
    void (*on_life_end)(void *context); /* after every create, close, and open that failed; may be NULL */
    void *context;

    /* the model */
    bool is_created, is_created_durably; /* create said so; else it only was there */
    struct dw_story_entry entries[DW_STORY_ENTRIES_MAX];
    uint32_t entry_count, next_seed;
    uint64_t trim_done, trim_tried;

    /* what happened */
    uint32_t lives;          /* opens that succeeded */
    uint32_t errors;         /* calls that failed, the expected answers aside */
    uint32_t no_space;       /* appends refused with DWAL_ENOSPACE */
    uint32_t failed;         /* lives that ended with a failed log */
    uint32_t open_errors;    /* opens that failed */
    struct dwal_error cause; /* of the last life that failed */
};

extern char dw_story_context[512]; /* what the test is doing: told with every failure */

struct dw_story *dw_story_new(struct dw_disk *disk, const char *backend);
void dw_story_free(struct dw_story *story);
void dw_story_play(struct dw_story *story);
/* Open `disk` without faults, read everything, append once more, close. */
void dw_story_check(struct dw_story *story, struct dw_disk *disk);
/* The same on a disk that nothing may be written to: a crash image. The model stays as it is. */
void dw_story_check_image(const struct dw_story *story, struct dw_disk *disk);

/* Parts, for tests with a story of their own. */
int dw_story_create(struct dw_story *story);
int dw_story_open(struct dw_story *story, const struct dwal_options *options); /* NULL: the story's own */
struct dwal_options dw_story_options(const struct dw_story *story);
/* Let the workers run until they have nothing to do (single-stepped), or for a moment. */
void dw_story_pump(struct dw_story *story);
/* Append `count` entries as one batch; DWAL_EFULL is waited for. The model grows when it succeeds. */
int dw_story_append(struct dw_story *story, uint32_t count);
/* Sync all that was appended; acknowledges. */
int dw_story_sync(struct dw_story *story);
/* Read everything and compare. is_reopened: drop from the model what recovery dropped (never what was acknowledged).
 * false: a read failed. */
bool dw_story_read_all(struct dw_story *story, bool is_reopened);
int dw_story_close(struct dw_story *story);

size_t dw_story_size_of(uint32_t seed);
void dw_story_fill(uint32_t seed, void *bytes);

#endif
