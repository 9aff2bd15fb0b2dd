/* format.h - every structure that dwal writes, byte for byte. The rules around them are in core/FORMAT.md.
 *
 * All integers are little-endian, in structs of bytes (base/le.h). Bytes named `zero` are written as zero and checked
 * on read. Sizes and offsets are asserted in core/format/ondisk.h. A checksum is CRC32C; `crc` fields come first, or
 * right after the tag, and cover what follows them (and what the comment names), seeded as codec.h says. */
#ifndef DW_CORE_FORMAT_FORMAT_H
#define DW_CORE_FORMAT_FORMAT_H

#include "base/le.h"

#define DW_FORMAT_VERSION 1u

/* "dwalSUPR", "dwalVOLH", "dwalTOC1" as little-endian u64. */
#define DW_MAGIC_SUPERBLOCK UINT64_C(0x525055536c617764)
#define DW_MAGIC_VOLUME     UINT64_C(0x484c4f566c617764)
#define DW_MAGIC_TOC        UINT64_C(0x31434f546c617764)
/* "dwalDEVS", "dwalSLOT" */
#define DW_MAGIC_DEVICE UINT64_C(0x535645446c617764)
#define DW_MAGIC_SLOT   UINT64_C(0x544f4c536c617764)

/* -- block: 32 bytes at the start of every data block ------------------------------------------------------------ */
struct dw_block_header {
    dw_le32 tag;          /* 00-03 of the first sector; each other sector has one of its own at its bytes 0-3 */
    dw_le32 crc;          /* 04-07 over bytes 08-31, seeded with the log's block seed */
    dw_le64 block;        /* 08-15 block number: volume * D + index */
    dw_le64 watermark;    /* 16-23 first block not known durable when this one was sealed; never above `block` */
    dw_le16 fill;         /* 24-25 payload bytes used, 0..P; those behind are zero */
    dw_le16 first_record; /* 26-27 payload offset at which the first record that starts here starts;
                           *       DW_FIRST_RECORD_NONE when none does */
    dw_le16 flags;        /* 28-29 DW_BLOCK_* */
    dw_le16 zero;         /* 30-31 */
};
#define DW_FIRST_RECORD_NONE 0xffffu
#define DW_BLOCK_MARKER      0x0001u /* carries only the watermark: fill 0, first_record none */

/* -- record: 20 bytes, then metadata, then data; unaligned; may run over tags, blocks and volumes ------------------ */
struct dw_record_header {
    dw_le32 crc;           /* 00-03 over bytes 04-19 and the metadata, seeded with the log's record seed and the lsn */
    dw_le32 data_crc;      /* 04-07 over the data, seed 0 (of no data: 0) */
    dw_le32 metadata_size; /* 08-11 bytes, at most 2^31-5 */
    dw_le32 data_size;     /* 12-15 bytes, at most 2^31-5 */
    uint8_t type;          /* 16    DW_RECORD_ENTRY; others are for dwal's own layers */
    uint8_t flags;         /* 17    DW_RECORD_* */
    dw_le16 user;          /* 18-19 the caller's own */
};
#define DW_RECORD_HEADER_SIZE   20u
#define DW_RECORD_PART_SIZE_MAX 0x7ffffffbu /* 2^31-5 */
#define DW_RECORD_ENTRY         1u
#define DW_RECORD_MORE          0x01u /* more of the same atomic batch follows */

/* -- volume header: block 0 of a volume, and a copy in block 1; the rest of both blocks is zero -------------------- */
struct dw_volume_header {
    dw_le32 tag;              /* 000-003 tag of this volume number (so a header sector too tells its generation) */
    dw_le32 crc;              /* 004-007 over bytes 008-127 */
    dw_le64 magic;            /* 008-015 */
    dw_le32 format_version;   /* 016-019 */
    dw_le32 number;           /* 020-023 volume number */
    uint8_t log_id[16];       /* 024-039 */
    dw_le32 predecessor;      /* 040-043 volume number, DW_VOLUME_NUMBER_NONE for the first */
    dw_le32 predecessor_end;  /* 044-047 enum dw_predecessor_end */
    dw_le64 cut;              /* 048-055 lsn at which the predecessor ends when it was CUT, else 0 */
    dw_le32 block_size;       /* 056-059 */
    dw_le32 sector_size;      /* 060-063 */
    dw_le64 volume_size;      /* 064-071 */
    dw_le32 toc_length;       /* 072-075 */
    dw_le32 in_flight_blocks; /* 076-079 L: no block is written at distance >= L beyond the durable prefix */
    dw_le64 epoch;            /* 080-087 epoch of the writer that claimed it */
    dw_le64 claim_time;       /* 088-095 nanoseconds since 1970 */
    dw_le64 slot_uses; /* 096-103 on a device: how often its slot has been a volume, this time included; else 0 */
    dw_le32 slot;      /* 104-107 on a device: index of its slot, plus 1; else 0 */
    uint8_t zero[20];  /* 108-127 */
};
#define DW_VOLUME_HEADER_SIZE 128u
enum dw_predecessor_end {
    DW_PREDECESSOR_NONE = 0,    /* first volume of the log */
    DW_PREDECESSOR_RUNS_ON = 1, /* filled to its end; its number is this one's minus 1 */
    DW_PREDECESSOR_CUT = 2,     /* recovery ended it at `cut` */
};

/* -- TOC: at the start of the TOC area; the caller's table follows; the rest is zero ------------------------------- */
struct dw_toc {
    dw_le32 tag;         /* 000-003 */
    dw_le32 crc;         /* 004-007 over bytes 008-127 and the caller's table */
    dw_le64 magic;       /* 008-015 */
    dw_le32 number;      /* 016-019 volume number */
    dw_le32 flags;       /* 020-023 DW_TOC_* */
    uint8_t log_id[16];  /* 024-039 */
    dw_le64 first_lsn;   /* 040-047 first record that starts here; equal to `end` when none does */
    dw_le64 last_lsn;    /* 048-055 last record that starts here; equal to `end` when none does */
    dw_le64 end;         /* 056-063 lsn at which the content of this volume ends (payload bytes; a record may run on) */
    dw_le64 entry_count; /* 064-071 records that start here and are not cut off */
    dw_le64 time_first;  /* 072-079 nanoseconds since 1970: first and last flush */
    dw_le64 time_last;   /* 080-087 */
    dw_le32 table_length; /* 088-091 bytes of the caller's table, at most toc_length */
    dw_le32 zero32;       /* 092-095 */
    dw_le64 watermark;    /* 096-103 first block not known durable when this was written: a witness */
    uint8_t zero[24];     /* 104-127 */
};
#define DW_TOC_SIZE  128u
#define DW_TOC_OPEN  0x01u /* written by a clean close: the volume may be continued at `end` rounded up to a block */
#define DW_TOC_CUT   0x02u /* recovery ended the volume at `end` */
#define DW_TOC_SPILL 0x04u /* the last record runs on into the next volume */
#define DW_TOC_TABLE 0x08u /* the caller's table was made (it may still be 0 bytes) */

/* -- superblock: two slots, each written twice --------------------------------------------------------------------- */
struct dw_superblock {
    dw_le64 magic;             /* 000-007 */
    dw_le32 crc;               /* 008-011 over bytes 012-255 */
    dw_le32 format_version;    /* 012-015 */
    dw_le64 sequence;          /* 016-023 +1 for each write; slot = sequence & 1; the highest valid one holds */
    uint8_t log_id[16];        /* 024-039 */
    dw_le32 tag_key;           /* 040-043 key of the sector tags; bit 31 set */
    dw_le32 block_size;        /* 044-047 */
    dw_le64 volume_size;       /* 048-055 */
    dw_le32 sector_size;       /* 056-059 */
    dw_le32 toc_length;        /* 060-063 */
    dw_le64 epoch;             /* 064-071 +1 for each open for writing */
    dw_le32 claimed;           /* 072-075 highest volume number ever claimed; DW_VOLUME_NUMBER_NONE before the first */
    dw_le32 state;             /* 076-079 enum dw_superblock_state */
    dw_le64 trim;              /* 080-087 trim point: nothing before it is part of the log */
    dw_le64 clean_end;         /* 088-095 with state CLEAN: lsn of the log's end, a witness for all before it */
    dw_le64 watermark;         /* 096-103 first block not known durable when this was written: a witness */
    dw_le32 feature_compat;    /* 104-107 unknown bits: open as usual */
    dw_le32 feature_ro_compat; /* 108-111 unknown bits: open read-only */
    dw_le32 feature_incompat;  /* 112-115 unknown bits: refuse */
    dw_le32 blanks;            /* 116-119 blanks to keep ready */
    dw_le32 fill_mode;         /* 120-123 enum dwal_fill */
    dw_le32 in_flight_blocks;  /* 124-127 L of the writer that wrote this */
    dw_le32 magic_number;      /* 128-131 the application's own magic number */
    dw_le32 head;              /* 132-135 volume that is appended to (with CLEAN: that holds clean_end) */
    dw_le64 create_time;       /* 136-143 */
    dw_le64 write_time;        /* 144-151 */
    uint8_t zero[104];         /* 152-255 */
};
#define DW_SUPERBLOCK_SIZE   256u
#define DW_SUPERBLOCK_COPIES 4u /* slot 0, slot 1, slot 0 again, slot 1 again: one block each */
enum dw_superblock_state {
    DW_SUPERBLOCK_CLEAN = 1, /* closed; clean_end holds */
    DW_SUPERBLOCK_OPEN = 2,  /* a writer has it, or had it and did not close */
};

/* -- device superblock: two slots, each written twice, at both ends of a device ------------------------------------ */
struct dw_device_log {  /* one named log of a device */
    dw_le32 state;      /* 00-03 enum dw_device_log_state */
    dw_le32 quota;      /* 04-07 slots that it may have at most; 0: no limit of its own */
    uint8_t log_id[16]; /* 08-23 */
    uint8_t name[32];   /* 24-55 letters, digits, '.', '_', '-'; the rest zero; may be empty */
    dw_le64 time;       /* 56-63 of its creation, nanoseconds since 1970 */
    uint8_t zero[32];   /* 64-95 */
};
#define DW_DEVICE_LOG_SIZE      96u
#define DW_DEVICE_LOGS_MAX      32u
#define DW_DEVICE_LOG_NAME_SIZE 32u /* with its end */
enum dw_device_log_state {
    DW_DEVICE_LOG_NONE = 0,     /* the entry is free: all of it is zero */
    DW_DEVICE_LOG_CREATING = 1, /* being made, or its creation was interrupted: no log yet */
    DW_DEVICE_LOG_READY = 2,
};

struct dw_device_superblock {
    dw_le64 magic;             /* 000-007 */
    dw_le32 crc;               /* 008-011 over bytes 012-4095 */
    dw_le32 format_version;    /* 012-015 */
    dw_le64 sequence;          /* 016-023 +1 for each write; slot = sequence & 1; the highest valid one holds */
    uint8_t device_id[16];     /* 024-039 random, of this formatting */
    dw_le64 device_size;       /* 040-047 bytes in use: the far end; a multiple of 65536 */
    dw_le64 slot_size;         /* 048-055 the volume size of every log here */
    dw_le64 slots_at;          /* 056-063 byte at which slot 0 starts: the size of the near and of the far area */
    dw_le32 slot_count;        /* 064-067 */
    dw_le32 slots_used;        /* 068-071 slots from here on were never used: what lies in them means nothing */
    dw_le32 block_size;        /* 072-075 the block size of every log here */
    dw_le32 feature_compat;    /* 076-079 */
    dw_le32 feature_ro_compat; /* 080-083 */
    dw_le32 feature_incompat;  /* 084-087 */
    dw_le64 create_time;       /* 088-095 nanoseconds since 1970 */
    dw_le64 write_time;        /* 096-103 */
    uint8_t zero[152];         /* 104-255 */
    struct dw_device_log logs[DW_DEVICE_LOGS_MAX]; /* 256-3327 */
    uint8_t zero_tail[768];                        /* 3328-4095 */
};
#define DW_DEVICE_SUPERBLOCK_SIZE 4096u
#define DW_DEVICE_STRIDE          65536u /* between the two slots, at either end */
#define DW_DEVICE_SLOTS_MAX       (1u << 24)

/* -- slot header: block 0 of a slot that is no volume, and a copy in block 1; the rest of both blocks is zero ------- */
struct dw_slot_header {
    dw_le32 zero32;         /* 000-003 where a volume has its tag: BLANK */
    dw_le32 crc;            /* 004-007 over bytes 008-127 */
    dw_le64 magic;          /* 008-015 */
    dw_le32 format_version; /* 016-019 */
    dw_le32 slot;           /* 020-023 its index */
    uint8_t device_id[16];  /* 024-039 */
    uint8_t log_id[16];     /* 040-055 whose it is; zeros when FREE */
    dw_le32 state;          /* 056-059 enum dw_slot_state */
    dw_le32 zero60;         /* 060-063 */
    dw_le64 uses;           /* 064-071 how often it has been a volume */
    uint8_t zero[56];       /* 072-127 */
};
#define DW_SLOT_HEADER_SIZE 128u
enum dw_slot_state {
    DW_SLOT_STATE_FREE = 1,    /* nobody's; the content is what an earlier owner left */
    DW_SLOT_STATE_FILLING = 2, /* taken, and not filled yet */
    DW_SLOT_STATE_BLANK = 3,   /* a blank: all of it was filled, or written by its own log before */
};

#endif
