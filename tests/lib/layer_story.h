/* layer_story.h - a representative life of each layer, played on any disk while something is made to fail, and its oracle.
 *
 *     dw_layer_indexed.play(story);        // two lives: create, store, truncate, values, checkpoints, read, close, ...
 *     (take the fault away)
 *     dw_layer_indexed.check(story);       // opens without the fault: the log holds one of the contents that it may hold
 *
 * A story goes on after an error as a careful user would: what answers DWAL_EMEMORY or DWAL_ENOSPACE has changed nothing, and
 * that is looked at; after any other failure of a call that writes it is uncertain whether it happened, and the life ends.
 * Owns: the contents that the log may hold; the disk is the test's. Called by: one test thread. Failure: fails the test. */
#ifndef DW_TESTS_LIB_LAYER_STORY_H
#define DW_TESTS_LIB_LAYER_STORY_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <dwal/dwal.h>

#include "core/log/log.h"

enum { DW_LAYER_INDEXES = 400, DW_LAYER_MAYBE = 64, DW_LAYER_SIZE_MAX = 24000 };

struct dw_layer_content {
    uint64_t first, last; /* empty: last < first */
    uint32_t generations[DW_LAYER_INDEXES];
    uint64_t words[3]; /* values of an indexed log; term, vote, commit of a Raft log */
};

struct dw_layer_story {
    struct dw_disk *disk;
    struct dw_clock clock;
    uint64_t now_ns;
    bool may_reads_fail; /* the test makes reads fail, too */
    bool is_created;     /* there is a log, or may be one */
    bool is_over;        /* of this life: a call failed for good */
    dwal *base;
    void *log; /* of the layer */
    uint32_t generation;
    /* contents[0]: acknowledged; up to [maybe]: what came after, each may be there or not. */
    struct dw_layer_content contents[DW_LAYER_MAYBE + 1];
    uint32_t maybe;
    uint64_t snapshot, snapshot_term; /* of a Raft log: acknowledged */
    void (*on_life_end)(struct dw_layer_story *story);
    void *context; /* of the test */
    uint32_t lives, errors, failed, refused_opens;
};

struct dw_layer_kind {
    const char *name;
    void (*play)(struct dw_layer_story *story);
    void (*check)(struct dw_layer_story *story);
    /* A disk that nothing may be written to: a crash image. */
    void (*check_image)(struct dw_layer_story *story, struct dw_disk *image);
};
extern const struct dw_layer_kind dw_layer_indexed, dw_layer_raft;

extern bool dw_layer_is_inside;    /* a call of the layer is under way: what fails now is its affair */
extern char dw_layer_context[256]; /* what the test is doing: told with every failure */

struct dw_layer_story *dw_layer_story_new(struct dw_disk *disk);
/* As `story` stands, over a crash image of its disk: nothing is open there, and every read must be good. */
struct dw_layer_story *dw_layer_story_on_image(const struct dw_layer_story *story, struct dw_disk *image);
void dw_layer_story_free(struct dw_layer_story *story);

/* ---- for the stories themselves ---- */

DW_COLD void __attribute__((noreturn)) DW_PRINTF(1, 2) dw_layer_fail(const char *format, ...);
#define DW_LAYER_CHECK(condition, ...)                                                                                 \
    do {                                                                                                               \
        if (!(condition))                                                                                              \
            dw_layer_fail(__VA_ARGS__);                                                                                \
    } while (0)
/* The call's result, noted: an error has its code, its words and what to do. DWAL_EFULL is called again. */
#define DW_LAYER_CALL(story, call)                                                                                     \
    __extension__({                                                                                                    \
        int called_, attempts_ = 0;                                                                                    \
        do {                                                                                                           \
            dw_layer_is_inside = true;                                                                                 \
            called_ = (call);                                                                                          \
            dw_layer_is_inside = false;                                                                                \
        } while (called_ == DWAL_EFULL && dw_layer_story_pump(story) && ++attempts_ < 100);                            \
        dw_layer_note((story), called_, #call);                                                                        \
    })
int dw_layer_note(struct dw_layer_story *story, int result, const char *what);
bool dw_layer_story_pump(struct dw_layer_story *story);
bool dw_layer_is_harmless(int result); /* nothing was changed */

struct dwal_options dw_layer_options(void);
int dw_layer_open_base(struct dw_layer_story *story, const struct dwal_options *options, dwal **base);
int dw_layer_create_base(struct dw_layer_story *story, const struct dwal_options *options);

/* A call that changes something: the content to change; then what came of it. */
struct dw_layer_content *dw_layer_begin(struct dw_layer_story *story);
void dw_layer_settle(struct dw_layer_story *story, int result, bool is_durable);
struct dw_layer_content *dw_layer_now(struct dw_layer_story *story);
void dw_layer_life_ends(struct dw_layer_story *story);

size_t dw_layer_bytes(uint64_t index, uint32_t generation, uint8_t *bytes);

#endif
