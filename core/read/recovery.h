/* recovery.h - one run of recovery: what its steps know of each other. Private to core/read.
 *
 * Steps, in order: chain (which volumes are the log, in which order), scan (where the row of blocks breaks, what lies
 * behind), witness (what was durable), recover (the decision table), settlement (what follows from it), report (say it).
 * Each step adds facts; no step decides. All on one thread; nothing on disk is changed. */
#ifndef DW_CORE_READ_RECOVERY_H
#define DW_CORE_READ_RECOVERY_H

#include "core/read/recover.h"
#include "core/read/walk.h"

/* What recovery can know. The decision table is a total function of these. */
enum dw_fact {
    DW_FACT_FOREIGN = 0,   /* a volume of another log stands in our place */
    DW_FACT_VERSION,       /* a volume in a newer format */
    DW_FACT_DARK,          /* a volume header that the device does not give, in either copy */
    DW_FACT_NEWER,         /* something on disk is newer than the superblock */
    DW_FACT_MISSING,       /* a volume of the log, or the end of its file, is not there */
    DW_FACT_CONTRADICTION, /* sound structures that cannot both be true, or no sound copy of a header */
    DW_FACT_COVERED,       /* a witness says that P was durable */
    DW_FACT_GONE,          /* P lies where there is no volume */
    DW_FACT_LIVE,          /* a writer is at work: what lies beyond the watermark is not judged */
    DW_FACT_FAR,           /* something current at distance >= L beyond P */
    DW_FACT_MISDIRECTED,   /* at P or beyond: a block of another place */
    DW_FACT_CLOSED,        /* the superblock says that the log was closed */
    DW_FACT_LEFTOVER, /* something unfinished: current sectors at P or beyond, an incomplete record or batch before it */
    DW_FACT_UNREADABLE, /* P, or something that recovery had to see beyond it, cannot be read */
    DW_FACT_SUSPECT,    /* P shows no unwritten sector, or an alien one */
    DW_FACT_TOLERANT,   /* the caller asked to cut what STRICT refuses */
    DW_FACT_COUNT
};
#define DW_FACT_BIT(fact) (1u << (unsigned)(fact))

/* Where and how a fact showed, for the report. */
struct dw_finding {
    uint32_t volume;
    uint64_t block, lsn;
    char text[160];
};

/* ---- the decision table (recover.c) ---- */
struct dw_decision {
    uint32_t row; /* number in core/FORMAT.md */
    const char *label;
    uint32_t yes, no; /* facts that must hold, facts that must not; the others do not matter */
    enum dwal_verdict verdict;
    bool is_refused;
    int error;          /* what dwal_open answers; DWAL_OK when not refused */
    enum dw_fact about; /* whose finding the report tells */
};
extern const struct dw_decision dw_decisions[];
extern const size_t dw_decision_count;
const struct dw_decision *dw_decide(uint32_t facts);

/* ---- chain (chain.c) ---- */
struct dw_tally {                 /* records that start in one volume */
    uint64_t first_lsn, last_lsn; /* DWAL_NO_LSN: none */
    uint64_t count;
    uint64_t trimmed; /* of them, those that start before the trim point */
};
struct dw_link {
    struct dw_volume *volume;
    bool is_final;        /* its TOC holds: no need to look at its blocks */
    bool is_scanned;      /* its blocks were walked: the tallies are right */
    bool is_spilling;     /* its content runs on into the next in the middle of a record */
    struct dw_tally kept; /* up to the last complete batch */
    struct dw_tally open; /* of the batch that is not complete yet */
};
#define DW_NO_LINK SIZE_MAX

/* ---- what was durable (witness.c) ---- */
struct dw_witness {
    uint64_t block; /* everything before it was durable; 0: nobody says anything */
    char text[80];  /* who says so */
};

/* ---- what the scan found (scan.c) ---- */
struct dw_break {
    uint64_t block;            /* P */
    size_t link;               /* that holds P; the chain's length when P lies behind all */
    bool is_end;               /* nothing failed: the row came to its end */
    enum dw_block_state state; /* of block P as the walk met it; SOUND when a record fails rather than the block */
    bool is_record;            /* `record` is valid: it fails */
    struct dw_walk_record record;
    bool is_in_record;     /* a record or batch is incomplete */
    bool is_batch_unknown; /* ... and may have begun before the scan did */
    uint64_t cut;          /* lsn of the first thing dropped, else of block P */
};

struct dw_recovery {
    struct dw_store *store;
    const struct dw_superblock_info *superblock;
    const struct dw_geometry *geometry;
    const struct dw_identity *identity;
    const struct dw_recover_options *options;
    struct dw_recovered *recovered;
    struct dw_source source;

    struct dw_link *links;  /* the volumes of the log, in order */
    struct dw_stretch *row; /* the same as stretches of blocks */
    size_t count;
    uint32_t number_seen; /* highest number in any name or header; DW_VOLUME_NUMBER_NONE: none */
    bool has_unfinished_claim;

    uint32_t facts;
    struct dw_finding findings[DW_FACT_COUNT];
    struct dw_witness witness;

    struct dw_walk walk;
    struct dw_break stop;
    uint64_t batch_start; /* of the batch that is open; DWAL_NO_LSN: none */
    size_t batch_link;    /* where it starts */
    bool is_batch_known;  /* the beginning of what is open was seen */
    uint64_t kept_end;    /* end of the last record that is kept */
    uint64_t odd_block; /* first block with damage that is harmless if the running record is sound; DWAL_NO_LSN: none */
    uint64_t odd_count;
    uint64_t in_flight;   /* L */
    bool is_look_limited; /* not everything beyond P was looked at */
    bool is_alien_beyond; /* a sector beyond P that no writer of this log left there */
    bool is_clean_quick;  /* a clean close was taken at its word */
};

static inline bool dw_recovery_has(const struct dw_recovery *r, enum dw_fact fact)
{
    return (r->facts & DW_FACT_BIT(fact)) != 0;
}
static inline void dw_recovery_set(struct dw_recovery *r, enum dw_fact fact, bool holds)
{
    if (holds)
        r->facts |= DW_FACT_BIT(fact);
}

/* Facts that judge the names and headers: with one of these the blocks are not looked at. */
#define DW_FACTS_OF_CHAIN                                                                                              \
    (DW_FACT_BIT(DW_FACT_FOREIGN) | DW_FACT_BIT(DW_FACT_VERSION) | DW_FACT_BIT(DW_FACT_DARK) |                         \
     DW_FACT_BIT(DW_FACT_NEWER) | DW_FACT_BIT(DW_FACT_MISSING) | DW_FACT_BIT(DW_FACT_CONTRADICTION))

/* chain.c: fill in links and row; sets facts. DWAL_EMEMORY. */
DW_NODISCARD int dw_recovery_chain(struct dw_recovery *r);
bool dw_recovery_is_sound(const struct dw_volume *volume); /* its header can be believed */
/* scan.c: find P and look beyond it; sets facts. DWAL_EMEMORY. */
DW_NODISCARD int dw_recovery_scan(struct dw_recovery *r);
/* closed.c: is a clean close to be believed without a scan? Then `stop` and the counts are set. *holds. DWAL_EMEMORY. */
DW_NODISCARD int dw_recovery_close_holds(struct dw_recovery *r, bool *holds);
/* beyond.c: look at everything from P on to the end of the chain; sets facts. DWAL_EMEMORY. */
DW_NODISCARD int dw_recovery_look_beyond(struct dw_recovery *r);
/* After a refusal that a witness proves: go on behind P and tell every damage up to the witness. DWAL_EMEMORY. */
DW_NODISCARD int dw_recovery_tell_rest(struct dw_recovery *r);
/* Does any data block of `volume` show something written under its number? -> *is_current. DWAL_EMEMORY. */
DW_NODISCARD int dw_recovery_look_for_content(struct dw_recovery *r, const struct dw_volume *volume, bool *is_current);
/* witness.c */
void dw_recovery_witness(struct dw_recovery *r, uint64_t block, const char *format, ...) DW_PRINTF(3, 4);
void dw_recovery_witness_chain(struct dw_recovery *r);
uint64_t dw_recovery_block_behind(const struct dw_recovery *r,
                                  uint64_t lsn); /* first block that holds nothing before lsn */
/* settlement.c: what follows from a verdict that is no refusal. DWAL_EMEMORY. */
DW_NODISCARD int dw_recovery_settle(struct dw_recovery *r);
/* report.c */
void dw_recovery_find(struct dw_recovery *r, enum dw_fact fact, uint32_t volume, uint64_t block, uint64_t lsn,
                      const char *format, ...) DW_PRINTF(6, 7);
/* Tell one damage to the caller's callback and count it. `blocks` 0: not about blocks. */
void dw_recovery_tell(struct dw_recovery *r, enum dwal_verdict verdict, bool is_repairable, uint32_t volume,
                      uint64_t block, uint64_t blocks, uint64_t lsn, const char *format, ...) DW_PRINTF(8, 9);
void dw_recovery_report(struct dw_recovery *r, const struct dw_decision *decision);

#endif
