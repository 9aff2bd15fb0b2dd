/* indexed_model_internal.h - what the files of the model of an indexed log share: see indexed_model.h. */
#ifndef DW_TESTS_LIB_INDEXED_MODEL_INTERNAL_H
#define DW_TESTS_LIB_INDEXED_MODEL_INTERNAL_H

#include <inttypes.h>
#include <stdbool.h>

#include "base/assert.h"
#include "core/layers/indexed/indexed.h"
#include "core/log/log.h"
#include "io/sim.h"
#include "tests/lib/indexed_model.h"

enum { WINDOW = 400, KEYS = 3, OPS_MAX = 400, BATCH_MAX = 6, SIZE_MAX_ENTRY = 20000, STEPS_MAX = 100000 };

struct dw_model_content { /* what the log holds */
    uint64_t first, last; /* empty: last < first */
    uint32_t generations[WINDOW];
    uint64_t values[KEYS]; /* 0: none */
};

struct dw_model {
    uint64_t seed, random, life;
    struct dw_disk *disk;
    dwal *base;
    dwal_indexed *log;
    struct dwal_options options;
    uint64_t begin_event;
    uint32_t op_count; /* calls that change something, in this life; contents[0] is what it began with */
    struct dw_model_content contents[OPS_MAX + 1];
    uint64_t begun[OPS_MAX + 1], acked[OPS_MAX + 1]; /* events; UINT64_MAX: not yet */
    uint32_t visible;                                /* the last acknowledged one */
    uint32_t generation;
    bool is_faulty;  /* a write of this life will fail */
    bool has_failed; /* and it did: nothing more is acknowledged */
    struct dw_indexed_model_counts *counts;
    uint8_t *bytes;
};

/* ---- indexed_model_check.c ---- */
uint64_t dw_model_draw(struct dw_model *m, uint64_t limit);
DW_COLD void __attribute__((noreturn)) DW_PRINTF(2, 3)
    dw_model_differs(const struct dw_model *m, const char *format, ...);
void dw_model_must(struct dw_model *m, int result, const char *what);
size_t dw_model_fill(uint64_t index, uint32_t generation, uint8_t *bytes);
bool dw_model_is_empty(const struct dw_model_content *content);
uint32_t *dw_model_generation(struct dw_model_content *content, uint64_t index);
struct dw_model_content *dw_model_now(struct dw_model *m);
void dw_model_acknowledge(struct dw_model *m); /* all calls so far */
void dw_model_check_get(struct dw_model *m, struct dw_model_content *content, uint64_t index);
void dw_model_check_cursor(struct dw_model *m, struct dw_model_content *content, uint64_t from, uint64_t count);
uint64_t dw_model_value(struct dw_model *m, uint32_t key);
bool dw_model_bounds_are(struct dw_model *m, const struct dw_model_content *content);
bool dw_model_log_is(struct dw_model *m, struct dw_model_content *content);
void dw_model_check_all(struct dw_model *m, struct dw_model_content *content);

/* ---- indexed_model_calls.c ---- */
void dw_model_call(struct dw_model *m); /* a random one */

#endif
