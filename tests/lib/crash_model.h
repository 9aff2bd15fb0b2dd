/* crash_model.h - workloads for the model writer: every order of its moves, or some of them by a seed.
 *
 * A workload is a plan (what is appended and where it is sealed) and a row of decisions (what moves next). A chooser either
 * draws the decisions from a seed or goes through all of them, depth first.
 * Owns: nothing. Called by: the crash tests, one thread. */
#ifndef DW_TESTS_LIB_CRASH_MODEL_H
#define DW_TESTS_LIB_CRASH_MODEL_H

#include "tests/lib/crash_writer.h"

#define DW_CRASH_DECISIONS_MAX 256u

struct dw_crash_chooser {
    bool is_random;
    uint64_t state;
    uint32_t depth, depth_max; /* depth_max: decisions made in the run before, when not random */
    uint16_t taken[DW_CRASH_DECISIONS_MAX], limit[DW_CRASH_DECISIONS_MAX];
    uint64_t event[DW_CRASH_DECISIONS_MAX]; /* of the disk, when the decision was made */
    uint64_t first_event;                   /* what happened before it was the same in the run before */
};
/* One of `count` (at least 1). */
uint32_t dw_crash_choose(struct dw_crash_chooser *chooser, uint32_t count, uint64_t event);
void dw_crash_chooser_seed(struct dw_crash_chooser *chooser, uint64_t seed);
/* The next row of decisions; false: all were gone through. */
bool dw_crash_chooser_next(struct dw_crash_chooser *chooser);

struct dw_crash_planned {
    uint32_t metadata_size, data_size;
    bool is_more, is_sealed; /* is_sealed: the block is closed behind it */
};
struct dw_crash_model {
    struct dw_crash_shape shape;
    const struct dw_crash_planned *entries;
    size_t entry_count;
    uint32_t run_max;    /* most blocks in one write */
    bool may_mark;       /* a marker when idle, if the chooser wants */
    bool may_delay_toc;  /* TOCs when the chooser wants, else at once */
    bool may_claim_late; /* claims when the chooser wants, else at the last moment */
    bool is_closing;     /* a clean close at the end */
    bool is_lying;       /* from here on the device calls writes durable that are not */
};
/* Run it. `writer` must be freed by the caller afterwards (dw_crash_writer_free). */
void dw_crash_model_run(const struct dw_crash_model *model, struct dw_crash_chooser *chooser, uint64_t seed,
                        struct dw_crash_writer *writer);

/* A plan, shape and freedom of choice drawn from a seed. `entries` has room for DW_CRASH_PLAN_MAX. */
#define DW_CRASH_PLAN_MAX 24u
void dw_crash_model_of_seed(uint64_t seed, struct dw_crash_model *model, struct dw_crash_planned *entries);

#endif
