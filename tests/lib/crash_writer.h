/* crash_writer.h - a second, tiny writer of the format, driven move by move: the model that recovery is tested against.
 *
 * Written from the format and from the writer's rules alone, with core/format's encoders: it shares no code with
 * core/write and core/store. Every move is the test's: what is appended, when a block is sealed, which run is written,
 * which of the writes in flight ends next, when a volume is claimed or gets its TOC. It keeps the rules that the writer owes
 * to recovery (dw_crash_writer_can_submit) unless a test breaks them on purpose.
 *
 * Owns: the files it writes, the blocks in memory, the bytes of its story. Called by: one test thread.
 * Failure: the model disk does not fail; a call that must succeed and does not stops the test. */
#ifndef DW_TESTS_LIB_CRASH_WRITER_H
#define DW_TESTS_LIB_CRASH_WRITER_H

#include "core/format/codec.h"
#include "tests/lib/crash_story.h"

#define DW_CRASH_BLOCKS_MAX  64u
#define DW_CRASH_VOLUMES_MAX 12u
#define DW_CRASH_DEPTH_MAX   4u
#define DW_CRASH_FLIGHTS_MAX 16u

/* A rule broken on purpose, so that a judge can show that it sees it. */
enum dw_crash_sin {
    DW_CRASH_SIN_NONE = 0,
    DW_CRASH_SIN_WATERMARK_HIGH, /* one block more than is durable */
    DW_CRASH_SIN_WATERMARK_LOW,  /* never */
    DW_CRASH_SIN_NO_LIMIT,       /* more than L in flight */
    DW_CRASH_SIN_ORDINARY,       /* a block by an ordinary write */
    DW_CRASH_SIN_UNCLAIMED,      /* blocks into a volume that the superblock does not know */
    DW_CRASH_SIN_TOC_EARLY,      /* a TOC before the last block is durable */
    DW_CRASH_SIN_TWICE,          /* a block is written again */
    DW_CRASH_SINS
};

struct dw_crash_shape {
    uint32_t sector_size;      /* 512 or 4096 */
    uint32_t data_blocks;      /* D */
    uint32_t depth;            /* writes in flight */
    uint32_t in_flight_blocks; /* L */
    uint32_t first_volume;     /* above 0: the log was trimmed to there, and its files hold blocks of earlier numbers */
    enum dw_crash_sin sin;     /* none, unless a test wants one */
};

struct dw_crash_block {
    uint32_t fill, first_record;
    bool is_marker, is_sealed;
};
struct dw_crash_flight {
    struct dw_request request;
    uint64_t from, to;
    bool is_used, is_finished;
};

struct dw_crash_writer {
    struct dw_crash_shape shape;
    struct dw_disk *disk; /* manual */
    struct dw_queue *queue;
    struct dw_geometry geometry;
    struct dw_identity identity;
    struct dw_superblock_info superblock;
    struct dw_file *super_file, *volumes[DW_CRASH_VOLUMES_MAX]; /* by number - first_volume */
    uint32_t claimed;                                           /* highest number */
    uint64_t first_block, next_block, durable_block, tail;
    uint8_t *bytes; /* of blocks from first_block on */
    struct dw_crash_block blocks[DW_CRASH_BLOCKS_MAX];
    struct dw_crash_flight flights[DW_CRASH_FLIGHTS_MAX]; /* ended out of order, some wait for older ones */
    uint32_t flight_count;
    uint64_t time;
    struct dw_crash_story story;
    uint8_t *content; /* the story's bytes */
    size_t content_used;
    uint64_t seed;
};

/* A new disk with a log on it: one volume, no blanks. */
void dw_crash_writer_begin(struct dw_crash_writer *writer, const struct dw_crash_shape *shape, uint64_t seed);
/* Finishes what is in flight, closes the files; disk, story and blocks stay until dw_crash_writer_free. */
void dw_crash_writer_end(struct dw_crash_writer *writer);
void dw_crash_writer_free(struct dw_crash_writer *writer);

void dw_crash_writer_append(struct dw_crash_writer *writer, uint32_t metadata_size, uint32_t data_size, bool is_more);
void dw_crash_writer_seal(struct dw_crash_writer *writer);
/* Blocks that are complete and not submitted, from next_block on. */
uint32_t dw_crash_writer_complete_blocks(const struct dw_crash_writer *writer);
/* May the next `count` blocks be written in one write now? */
bool dw_crash_writer_can_submit(const struct dw_crash_writer *writer, uint32_t count);
void dw_crash_writer_submit(struct dw_crash_writer *writer, uint32_t count);
/* End the `which`-th of the writes in flight (by age). */
void dw_crash_writer_finish(struct dw_crash_writer *writer, uint32_t which);
/* A marker block behind everything, as a write in flight. Pre: nothing is unsealed or unwritten, none in flight. */
void dw_crash_writer_mark(struct dw_crash_writer *writer);
/* Claim the next volume: file, header and copy, name, superblock. */
void dw_crash_writer_claim(struct dw_crash_writer *writer);
/* Write the TOC of a volume that is full and durable. */
void dw_crash_writer_toc(struct dw_crash_writer *writer, uint32_t number);
/* Open TOC of the head, superblock CLEAN. Pre: everything durable. */
void dw_crash_writer_close(struct dw_crash_writer *writer);

#endif
