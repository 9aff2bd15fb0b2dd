/* store_kit.h - a small log on a disk, with the hooks of a writer that a test can look into.
 *
 * Owns: the store; the disk belongs to the test. Called by: tests of core/store on one thread (the flusher's and the maker's
 * part alike). Failure: a cmocka assertion, except where a call says that it answers a result. */
#ifndef DW_TESTS_LIB_STORE_KIT_H
#define DW_TESTS_LIB_STORE_KIT_H

#include "core/store/store.h"

#define DW_KIT_VOLUME_SIZE 65536u /* 16 blocks: 2 of headers, 1 of TOC, 13 of data */
#define DW_KIT_TABLES_MAX  64u

struct dw_kit_table {
    uint32_t volume;
    uint64_t first, end;
    bool is_spilling;
};

struct dw_kit {
    struct dw_disk *disk;
    struct dw_store *store;
    struct dw_store_options options;
    struct dw_store_create create;
    struct dw_clock clock;
    uint64_t now_ns;
    /* what the hooks saw */
    uint64_t durable_block;
    uint32_t space_calls, failure_calls, event_calls, warning_calls;
    struct dwal_error failure;
    char event[256];
    struct dw_kit_table tables[DW_KIT_TABLES_MAX];
    uint32_t table_count;
    uint64_t table_answer;  /* bytes that the table hook answers */
    struct dw_disk *marked; /* a simulated disk that is told what was acknowledged, or NULL */
};

/* Marks in the history of `marked`. */
enum dw_kit_mark {
    DW_KIT_MARK_CREATED = 1,
    DW_KIT_MARK_BLOCK, /* the block of that number was written durably */
    DW_KIT_MARK_TRIM_BEGIN,
    DW_KIT_MARK_TRIM_END, /* the trim point is durable */
};

/* Settings of a log with 64 KiB volumes, 4 KiB blocks, 2 blanks. Change kit->create and kit->options before use. */
void dw_kit_init(struct dw_kit *kit, struct dw_disk *disk, uint32_t toc_length);
int dw_kit_create(struct dw_kit *kit);
/* Load and lock. */
int dw_kit_load(struct dw_kit *kit);
/* Settle: go on in volume `tail` at its `block`-th data block. */
int dw_kit_continue(struct dw_kit *kit, uint32_t tail, uint32_t block);
/* Settle: cut `tail` at `cut`, go on in volume `number`; `abandoned` are dropped. */
int dw_kit_cut(struct dw_kit *kit, uint32_t tail, uint64_t cut, uint32_t number, const uint32_t *abandoned,
               size_t abandoned_count);
/* Decide as recovery would, by looking for sound blocks, and settle: go on in the tail, or cut it. */
int dw_kit_recover(struct dw_kit *kit, bool is_cut);
/* The data block `block` reads back as it was written. */
bool dw_kit_block_is_sound(struct dw_kit *kit, uint64_t block);
int dw_kit_trim(struct dw_kit *kit, uint64_t before);
/* load and continue at the start of volume 0. */
int dw_kit_start(struct dw_kit *kit);
/* Step the maker until it is idle; time passes when it asks to wait for the pace, but not when it waits for somebody else (space,
 * a reader's pin). Returns the number of steps. */
uint32_t dw_kit_settle_down(struct dw_kit *kit);
/* Fill data blocks [from, to) of the head, each with `records` records of 100 bytes, as the flusher would. */
int dw_kit_fill(struct dw_kit *kit, uint32_t from, uint32_t to, uint32_t records);
/* Fill the head, advance, let the maker catch up. */
int dw_kit_roll(struct dw_kit *kit);
/* Write nothing, release all: a crash. */
void dw_kit_abandon(struct dw_kit *kit);
struct dw_store_counts dw_kit_counts(struct dw_kit *kit);

#endif
