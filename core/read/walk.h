/* walk.h - walk along a row of blocks and its records, and say of each what it is. Shared by recovery, verify and dump.
 *
 * Owns: no memory; borrows a source and a row of stretches. Called by: one thread. Changes nothing, keeps nothing of a
 * record but its checksum, so a record of 2 GiB needs no memory; every block is read once.
 * Happy path: BLOCK, RECORD, RECORD, BLOCK, RECORD ... END. A BLOCK event comes before the records that end in it; a record
 * that does not come to its end in good order is told before the block in which that shows.
 * Failure: damage is an event, never an error. After damage the walker goes on at the next place at which a block says
 * that a record starts. */
#ifndef DW_CORE_READ_WALK_H
#define DW_CORE_READ_WALK_H

#include "core/read/look.h"

/* The blocks of one volume, as far as they are part of the log. */
struct dw_stretch {
    uint32_t number;
    uint64_t end;    /* lsn at which its content ends: its full end, or the cut that the next header tells */
    bool is_running; /* the one before it in the row runs on into it: a record may go over the seam */
};

enum dw_record_state {
    DW_RECORD_SOUND = 0,
    DW_RECORD_BAD_HEADER, /* the checksum over header and metadata fails, or the lengths do not fit the blocks */
    DW_RECORD_BAD_DATA,   /* the checksum over the data fails */
    DW_RECORD_BROKEN,     /* a block of its span does not check */
    DW_RECORD_UNFINISHED, /* the row ends before it does */
};
const char *dw_record_state_text(enum dw_record_state state);

struct dw_walk_record {
    uint64_t lsn, end;          /* `end` is right when is_header_sound, else as far as it was looked at */
    struct dw_record_info info; /* valid when is_header_sound */
    enum dw_record_state state;
    bool is_header_sound;
    bool is_written;       /* a check of it fails though every sector that it covers shows this number */
    bool is_contradiction; /* sound header, sound blocks, and yet they disagree: no fault of a device */
    uint64_t bad_block;    /* not SOUND: the block to blame, see end_record in walk.c */
    size_t stretch;        /* index of the stretch in which it starts */
};

enum dw_walk_event { DW_WALK_BLOCK, DW_WALK_RECORD, DW_WALK_END };
enum dw_walk_stage { DW_STAGE_HEADER, DW_STAGE_METADATA, DW_STAGE_DATA };

struct dw_walk {
    /* set by the caller through dw_walk_start_* */
    struct dw_source *source;
    const struct dw_stretch *row;
    size_t row_count;
    uint64_t stop_block; /* stop at the first record boundary at or behind this block; UINT64_MAX: at the row's end */
    /* what the last event was about */
    struct dw_block_look block;
    struct dw_walk_record record;
    size_t stretch;      /* of the current block */
    uint64_t next_block; /* END: first block behind those walked */
    int error;           /* DWAL_EMEMORY: the walk could not go on; the event is END */
    /* where it stands */
    bool has_block, is_block_due, is_record_due, is_ended;
    bool is_lost;          /* where the next record starts is not known: the next block that says so decides */
    uint32_t offset, stop; /* payload offset in the current block; where its content ends */
    bool is_inside;        /* a record has begun and not ended */
    enum dw_walk_stage stage;
    struct dw_record_header header;
    uint32_t gathered;  /* header bytes so far */
    uint64_t remaining; /* bytes of the current stage still to come */
    uint32_t crc;
    uint64_t blame;        /* first block of the running record with a sector that is not CURRENT; DWAL_NO_LSN: none */
    uint64_t header_block; /* that holds the last byte of its header read so far */
};

/* Begin at stretch `stretch`. At a record that is known to start at `lsn` ... */
void dw_walk_start_at(struct dw_walk *walk, struct dw_source *source, const struct dw_stretch *row, size_t row_count,
                      size_t stretch, uint64_t lsn);
/* ... or at its first block, where a record must start (`is_fresh`), or the first place where a block says that one does. */
void dw_walk_start(struct dw_walk *walk, struct dw_source *source, const struct dw_stretch *row, size_t row_count,
                   size_t stretch, bool is_fresh);
enum dw_walk_event dw_walk_next(struct dw_walk *walk);
/* After the source was used for something else: get the current block back. DWAL_EMEMORY. */
DW_NODISCARD int dw_walk_resume(struct dw_walk *walk);

#endif
