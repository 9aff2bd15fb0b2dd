/* dwal/inspect.h - look at a log, verify it, repair it: for operators and tools. All but dwal_repair are read-only and
 * work on damaged logs and beside a live writer. */
#ifndef DWAL_INSPECT_H
#define DWAL_INSPECT_H

#include <dwal/dwal.h>

#ifdef __cplusplus
extern "C" {
#endif
#ifdef __GNUC__
#pragma GCC visibility push(default) /* these are exported, also from a library compiled with -fvisibility=hidden */
#endif

/* The verdict of recovery: one label for one row of the decision table in core/FORMAT.md. */
enum dwal_verdict {
    DWAL_VERDICT_CLEAN = 0,   /* closed, and all there */
    DWAL_VERDICT_END,         /* not closed, and nothing unfinished at the end */
    DWAL_VERDICT_TORN,        /* unfinished writes at the end, never acknowledged: cut off and reported */
    DWAL_VERDICT_UNCERTAIN,   /* the last block neither checks nor looks unwritten (STRICT refuses, TOLERANT cuts) */
    DWAL_VERDICT_CORRUPT,     /* damaged, and a witness says that it was durable, or flow control that it must be */
    DWAL_VERDICT_MISDIRECTED, /* a block was found in a wrong place */
    DWAL_VERDICT_LOST,        /* a volume or its end is missing */
    DWAL_VERDICT_ROLLBACK,    /* the superblock is older than the log */
    DWAL_VERDICT_FOREIGN,     /* another log's, or not dwal's */
    DWAL_VERDICT_VERSION,     /* written by a newer dwal */
    DWAL_VERDICT_UNREADABLE,  /* the device answered with an error where it matters */
    DWAL_VERDICT_COUNT
};
const char *dwal_verdict_name(enum dwal_verdict verdict); /* "CLEAN", "TORN", ... */
/* The code that dwal_open answers for it (0 for CLEAN, END, TORN). */
int dwal_verdict_error(enum dwal_verdict verdict);

/* One thing found. `is_repairable`: harmless (tags, padding, one copy of a doubled structure). */
struct dwal_damage {
    enum dwal_verdict verdict;
    bool is_repairable;
    uint32_t volume; /* DWAL_NO_VOLUME: the superblock */
    uint64_t block;  /* first block concerned, or DWAL_NO_LSN */
    uint64_t blocks; /* how many */
    uint64_t lsn;    /* first lsn concerned, or DWAL_NO_LSN */
    uint64_t offset; /* byte in the file */
    char file[32];   /* name inside the directory */
    char text[200];  /* what is wrong, in one sentence */
};
typedef void dwal_damage_fn(void *context, const struct dwal_damage *damage);

struct dwal_report {
    size_t size; /* sizeof(struct dwal_report) */
    enum dwal_verdict verdict;
    bool is_repairable;   /* harmless damage was found as well */
    bool has_live_writer; /* then the end is the highest watermark seen */
    uint64_t first, end;  /* readable lsns: first <= lsn < end */
    uint64_t durable;     /* what witnesses prove */
    uint64_t break_block; /* P: first block that does not check, when the verdict is not CLEAN or END */
    uint32_t break_volume;
    uint32_t row;                           /* row of the decision table */
    uint64_t dropped_blocks, dropped_bytes; /* unfinished writes behind the cut */
    uint64_t entries;                       /* counted by verify and scan; by open only as far as it read */
    uint64_t volumes;
    uint64_t blocks_read; /* blocks read to find the end; the two reads of each volume at load come on top */
    uint64_t findings;    /* calls of the damage callback */
    char text[240];       /* the verdict in one sentence, with place and reason */
};

/* Read everything, check every checksum, tag, link and table. `full` false: only what dwal_open would read.
 * `options` (may be NULL): `recovery`, which rule to apply at the end, `min_lsn`, and what opening needs. Takes no lock, works beside
 * a writer, writes nothing. report->size is set before the call; `fn` may be NULL. Returns 0 when a report was made, whatever it
 * says. DWAL_ENOLOG, DWAL_EARGUMENT, DWAL_EPERMISSION, DWAL_EUNSUPPORTED, DWAL_EBUSY (a device), DWAL_EMEMORY: none was. */
int dwal_verify(const char *path, const struct dwal_options *options, bool full, dwal_damage_fn *fn, void *context,
                struct dwal_report *report);
/* What recovery decided when this log was opened. DWAL_EARGUMENT: report->size. */
int dwal_get_report(const dwal *log, struct dwal_report *report);
/* Of a log that was opened with DWAL_REPORT (else DWAL_EARGUMENT): call `fn` for each damaged range found at open. */
int dwal_damage(dwal *log, dwal_damage_fn *fn, void *context);

/* Facts of a log without opening it. */
struct dwal_info {
    size_t size;
    uint8_t log_id[16];
    uint32_t format_version, block_size, sector_size, toc_length, blanks, magic_number;
    uint64_t volume_size;
    enum dwal_fill fill;
    uint64_t epoch, trim, clean_end, create_time_ns, write_time_ns;
    uint32_t claimed, head, volumes, blanks_ready;
    bool is_clean, has_live_writer;
    uint64_t bytes_on_disk;
    uint32_t feature_compat, feature_ro_compat, feature_incompat;
    uint32_t payload_size, data_blocks; /* P and D: lsn = (volume * D + block) * P + offset */
};
/* Reads the superblock and the names of the directory; takes no lock, writes nothing. info->size is set before the call. The codes
 * of dwal_open, but for DWAL_EUNCERTAIN and DWAL_EMAGIC: the content is not looked at. */
int dwal_get_info(const char *path, const struct dwal_options *options, struct dwal_info *info);

/* Every structure of a log (directory) or of one volume file, in the order on disk, also of damaged ones. */
enum dwal_item_kind {
    DWAL_ITEM_SUPERBLOCK,
    DWAL_ITEM_VOLUME_HEADER,
    DWAL_ITEM_BLOCK,
    DWAL_ITEM_RECORD,
    DWAL_ITEM_SPILL,
    DWAL_ITEM_TOC,
    DWAL_ITEM_TABLE,
    DWAL_ITEM_BLANK,
    DWAL_ITEM_DEVICE, /* a copy of a device's superblock */
    DWAL_ITEM_SLOT,   /* what the header of one slot of a device says */
};
struct dwal_item {
    enum dwal_item_kind kind;
    char file[32];
    uint64_t offset; /* byte in the file (of DEVICE and SLOT: of the device) at which it starts */
    uint64_t size;   /* bytes in the file */
    uint32_t volume;
    uint64_t lsn;   /* of blocks and records, else DWAL_NO_LSN */
    bool is_sound;  /* its checksum and place hold */
    char text[640]; /* its fields, one line */
};
/* Return false to stop. */
typedef bool dwal_item_fn(void *context, const struct dwal_item *item);
/* `path`: a log's directory; or a device (its own structures, then its log as the directory that it would be); or one volume
 * file in a directory (its superblock is then looked for beside it; without one the volume header's geometry is used and
 * checksums that need the log's key are reported as unknown). Takes no lock, writes nothing; damage is listed and is no error.
 * DWAL_ENOLOG (nothing of dwal's is there), DWAL_EARGUMENT, DWAL_EPERMISSION, DWAL_EUNSUPPORTED, DWAL_EDEVICE, DWAL_EMEMORY. */
int dwal_dump(const char *path, const struct dwal_options *options, dwal_item_fn *fn, void *context);

/* Cut a log at `cut`, a record's start or end, after copying every file that will change to directory `save` (which must
 * not exist). Everything at and after `cut` is dropped for good and the log opens again. Refuses beside a writer
 * (DWAL_EBUSY) and below the trim point (DWAL_ETRIMMED). Never called by open. */
int dwal_repair(const char *path, const struct dwal_options *options, uint64_t cut, const char *save,
                struct dwal_report *report);

#ifdef __GNUC__
#pragma GCC visibility pop
#endif
#ifdef __cplusplus
}
#endif
#endif
