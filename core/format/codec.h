/* codec.h - bytes <-> meaning, with a verdict. Pure: no I/O, no threads, no allocation, no global state.
 *
 * Called by: store, write, read and inspect, on any thread. Decoders take any bytes whatever: they read only inside
 * the given size, never trust a length before its checksum, and answer with a verdict, never with an assertion.
 * Encoders assert the invariants that the decoders check: what is written can be read. `info` is filled whenever the
 * checksum holds (for FOREIGN and VERSION too, as well as it goes), else it is left alone. */
#ifndef DW_CORE_FORMAT_CODEC_H
#define DW_CORE_FORMAT_CODEC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "base/bits.h"
#include "base/compiler.h"
#include "core/format/crc32c.h"
#include "core/format/format.h"
#include "core/format/geometry.h"

/* The identity of a log: what seeds its checksums and keys its tags. Fixed at creation. */
struct dw_identity {
    uint8_t log_id[16];
    uint32_t tag_key;     /* bit 31 set */
    uint32_t block_seed;  /* CRC32C of log_id, start value 0 */
    uint32_t record_seed; /* CRC32C of log_id, start value 0x9e3779b9 */
    /* The register, not inverted, in which 8 bytes of an lsn and 16 of a record's header end as the checksum itself. */
    uint32_t record_start;
};
/* Asserts bit 31 of tag_key. */
void dw_identity_init(struct dw_identity *identity, const uint8_t log_id[16], uint32_t tag_key);

/* ---- sector tags ---- */
enum dw_tag_kind { DW_TAG_CURRENT, DW_TAG_BLANK, DW_TAG_OLD, DW_TAG_ALIEN };
static inline uint32_t dw_tag_of_volume(const struct dw_identity *identity, uint32_t number)
{
    return dw_mix32(number ^ identity->tag_key);
}
/* What a tag says in a volume whose number is `number`. */
static inline enum dw_tag_kind dw_tag_classify(const struct dw_identity *identity, uint32_t tag, uint32_t number)
{
    if (tag == 0)
        return DW_TAG_BLANK;
    uint32_t seen = dw_unmix32(tag) ^ identity->tag_key;
    if (seen == number)
        return DW_TAG_CURRENT;
    return seen < number ? DW_TAG_OLD : DW_TAG_ALIEN;
}
/* The tags of one block, counted. */
struct dw_tag_counts {
    uint32_t current, blank, old, alien;
};
void dw_tags_count(const struct dw_geometry *geometry, const struct dw_identity *identity, const void *block,
                   uint32_t number, struct dw_tag_counts *counts);

/* ---- verdicts of the decoders ---- */
enum dw_decoded {
    DW_DECODED_OK = 0,
    DW_DECODED_BAD_MAGIC,  /* not such a structure at all */
    DW_DECODED_BAD_CRC,    /* damaged, or never written */
    DW_DECODED_FOREIGN,    /* sound, but of another log */
    DW_DECODED_MISPLACED,  /* sound, but of another place (block number, volume number) */
    DW_DECODED_IMPOSSIBLE, /* checksum holds and yet a field breaks its invariant */
    DW_DECODED_VERSION,    /* a newer format version */
    DW_DECODED_BAD_TAG,    /* all holds except the tag: content is good */
};
const char *dw_decoded_text(enum dw_decoded verdict);

/* ---- block ---- */
struct dw_block_info {
    uint64_t block, watermark;
    uint32_t fill, first_record, flags; /* first_record: DW_FIRST_RECORD_NONE when none */
};
/* Writes all 32 bytes, tag included. */
void dw_block_header_encode(const struct dw_identity *identity, const struct dw_block_info *info, uint32_t number,
                            void *block);
/* `block_number`: where the block was found. OK, BAD_CRC, MISPLACED (info is filled: it says where it belongs),
 * IMPOSSIBLE. Does not look at tags (use dw_tags_count). Invariants: watermark <= block, fill <= P,
 * first_record <= fill or none (equal: the next record would start there, none does), `zero` is zero, no unknown flag,
 * a MARKER has fill 0 and no record. 32 bytes of zeros are never sound, whatever the seed. */
enum dw_decoded dw_block_header_decode(const struct dw_geometry *geometry, const struct dw_identity *identity,
                                       const void *block, uint64_t block_number, struct dw_block_info *info);
/* Stamp tags of `number` on every sector of a block except the first (the header has that one). */
void dw_block_stamp_tags(const struct dw_geometry *geometry, const struct dw_identity *identity, void *block,
                         uint32_t number);
/* Copy payload [offset, offset+size) of a block to or from a flat buffer, stepping over tags. offset+size <= P. */
void dw_payload_read(const struct dw_geometry *geometry, const void *block, uint32_t offset, void *target, size_t size);
void dw_payload_write(const struct dw_geometry *geometry, void *block, uint32_t offset, const void *source,
                      size_t size);
/* True when every payload byte from `offset` to P is zero. */
bool dw_payload_is_zero_from(const struct dw_geometry *geometry, const void *block, uint32_t offset);

/* ---- record ---- */
struct dw_record_info {
    uint32_t crc, data_crc, metadata_size, data_size;
    uint8_t type, flags;
    uint16_t user;
};
static inline uint64_t dw_record_size(const struct dw_record_info *info)
{
    return (uint64_t)DW_RECORD_HEADER_SIZE + info->metadata_size + info->data_size;
}
/* Bytes 4..19 come from info; crc is left 0 in `header`: finish with dw_record_crc_* below. Lengths are at most
 * DW_RECORD_PART_SIZE_MAX, type and flags are known ones. Inline: on the append path. */
static inline void dw_record_header_encode(const struct dw_record_info *info, struct dw_record_header *header)
{
    *header = (struct dw_record_header){
        .data_crc = dw_le32_of(info->data_crc),
        .metadata_size = dw_le32_of(info->metadata_size),
        .data_size = dw_le32_of(info->data_size),
        .type = info->type,
        .flags = info->flags,
        .user = dw_le16_of(info->user),
    };
}
/* Unpack; false when a length is above 2^31-5 or type or flags are unknown (never of our making). No checksum yet. */
bool dw_record_header_decode(const struct dw_record_header *header, struct dw_record_info *info);
/* Checksum of bytes 4..19 of the header, seeded with the log and the lsn: continue over the metadata with dw_crc32c. */
static inline uint32_t dw_record_crc_begin(const struct dw_identity *identity, uint64_t lsn,
                                           const struct dw_record_header *header)
{
    uint64_t words[2];
    memcpy(words, &header->data_crc, sizeof words);
    return dw_crc32c_words(identity->record_seed, lsn, words[0], words[1]);
}

/* All 20 bytes of the header of an entry without metadata, written at `to`: the same as the two above, in registers. In two
 * halves, for who has the checksum of the data last: the first returns the register of the checksum, to be given to the second,
 * which reads back what the first wrote: between the two registers are scarce. */
static inline uint64_t dw_record_head_begin(uint8_t *to, const struct dw_identity *identity, uint64_t lsn,
                                            uint64_t data_size, uint16_t user)
{
    uint64_t sizes = data_size | (uint64_t)DW_RECORD_ENTRY << 32 | (uint64_t)user << 48;
    memcpy(to + offsetof(struct dw_record_header, data_size), &sizes, sizeof sizes);
    return dw_crc32c_word(identity->record_start, lsn);
}
static inline void dw_record_head_end(uint8_t *to, uint64_t crc, uint32_t data_crc)
{
    uint64_t word = data_crc, sizes; /* the upper half is the size of the metadata: 0 */
    uint8_t *written = to + offsetof(struct dw_record_header, data_size);
    __asm__("" : "+m"(*(uint8_t(*)[sizeof sizes])written)); /* or else the compiler keeps what was written */
    memcpy(&sizes, written, sizeof sizes);
    crc = dw_crc32c_word(dw_crc32c_word(crc, word), sizes);
    uint32_t narrow = (uint32_t)crc;
    memcpy(to, &narrow, sizeof narrow);
    memcpy(to + sizeof narrow, &word, sizeof word);
}
static inline void dw_record_header_put(uint8_t *to, const struct dw_identity *identity, uint64_t lsn,
                                        uint32_t data_crc, uint32_t data_size, uint16_t user)
{
    dw_record_head_end(to, dw_record_head_begin(to, identity, lsn, data_size, user), data_crc);
}

/* ---- volume header ---- */
struct dw_volume_info {
    uint32_t number, predecessor;
    enum dw_predecessor_end predecessor_end;
    uint64_t cut;
    uint32_t in_flight_blocks;
    uint64_t epoch, claim_time;
    uint64_t slot_uses;          /* on a device: 1 and up */
    uint32_t slot;               /* on a device: index of the slot, plus 1; in a directory both are 0 */
    struct dw_geometry geometry; /* as recorded */
};
/* Fills one whole block (geometry->block_size bytes). */
void dw_volume_header_encode(const struct dw_geometry *geometry, const struct dw_identity *identity,
                             const struct dw_volume_info *info, void *block);
/* OK, BAD_MAGIC, BAD_CRC, FOREIGN (other log_id), VERSION, IMPOSSIBLE (geometry differs, predecessor >= number, ...),
 * BAD_TAG. `number`: as the file name or slot table says; MISPLACED when the header says another one
 * (DW_VOLUME_NUMBER_NONE: do not compare). Reads the first 128 bytes only. For tools: with `geometry` NULL it is not
 * compared (info->geometry holds what is recorded), with `identity` NULL neither log_id nor tag are. */
enum dw_decoded dw_volume_header_decode(const struct dw_geometry *geometry, const struct dw_identity *identity,
                                        const void *block, uint32_t number, struct dw_volume_info *info);

/* ---- TOC ---- */
struct dw_toc_info {
    uint32_t number, flags, table_length;
    uint64_t first_lsn, last_lsn, end, entry_count, time_first, time_last, watermark;
};
/* Fills the whole TOC area (dw_toc_area_size bytes), the table at byte 128 (where it may already be). */
void dw_toc_encode(const struct dw_geometry *geometry, const struct dw_identity *identity,
                   const struct dw_toc_info *info, const void *table, void *area);
/* `size`: bytes of the area that were read, at least 128; with less than 128 + table_length the CRC cannot be checked:
 * give the whole area. OK, BAD_MAGIC, BAD_CRC, FOREIGN, MISPLACED, IMPOSSIBLE, BAD_TAG. `identity` NULL and `number`
 * DW_VOLUME_NUMBER_NONE: not compared, as above. */
enum dw_decoded dw_toc_decode(const struct dw_geometry *geometry, const struct dw_identity *identity, const void *area,
                              size_t size, uint32_t number, struct dw_toc_info *info);

/* ---- superblock ---- */
struct dw_superblock_info {
    uint64_t sequence;
    struct dw_identity identity;
    struct dw_geometry geometry;
    uint64_t epoch, trim, clean_end, watermark, create_time, write_time;
    uint32_t claimed, head;
    enum dw_superblock_state state;
    uint32_t feature_compat, feature_ro_compat, feature_incompat;
    uint32_t blanks, fill_mode, in_flight_blocks, magic_number, format_version;
};
/* Fills one whole block (info->geometry.block_size bytes): the superblock, then zeros. format_version 0: current. */
void dw_superblock_encode(const struct dw_superblock_info *info, void *block);
/* `size` bytes are readable, at least 256. OK, BAD_MAGIC, BAD_CRC, VERSION, IMPOSSIBLE. Unknown feature bits are
 * reported in info, the verdict stays OK: what to refuse is the caller's decision. */
enum dw_decoded dw_superblock_decode(const void *block, size_t size, struct dw_superblock_info *info);

/* ---- device superblock ---- */
struct dw_device_log_info {
    enum dw_device_log_state state;
    uint32_t quota;
    uint8_t log_id[16];
    char name[DW_DEVICE_LOG_NAME_SIZE];
    uint64_t time;
};
struct dw_device_info {
    uint64_t sequence, device_size, slot_size, slots_at, create_time, write_time;
    uint8_t device_id[16];
    uint32_t slot_count, slots_used, block_size;
    uint32_t feature_compat, feature_ro_compat, feature_incompat, format_version;
    struct dw_device_log_info logs[DW_DEVICE_LOGS_MAX];
};
/* Fill in slots_at and slot_count from device_size (which is rounded down), slot_size and block_size. false: no slot fits. */
bool dw_device_layout(struct dw_device_info *info);
/* Byte at which copy 0..3 lies: 0 and 2 are slot 0, near and far; 1 and 3 slot 1. Of the device and of its log `index`. */
uint64_t dw_device_place_of_copy(uint64_t device_size, uint32_t copy);
uint64_t dw_device_place_of_log_copy(const struct dw_device_info *info, uint32_t index, uint32_t copy);
static inline uint64_t dw_device_place_of_slot(const struct dw_device_info *info, uint32_t slot)
{
    return info->slots_at + (uint64_t)slot * info->slot_size;
}
/* Letters, digits, '.', '_' and '-', at most 31 of them; none is fine. */
bool dw_device_name_is_possible(const char *name);
/* Fills 4096 bytes. format_version 0: current. */
void dw_device_encode(const struct dw_device_info *info, void *bytes);
/* Of 4096 bytes. OK, BAD_MAGIC, BAD_CRC, VERSION, IMPOSSIBLE. Unknown feature bits as for a superblock. */
enum dw_decoded dw_device_decode(const void *bytes, struct dw_device_info *info);

/* ---- slot header ---- */
struct dw_slot_info {
    enum dw_slot_state state;
    uint32_t slot;
    uint64_t uses;
    uint8_t log_id[16]; /* zeros when FREE */
};
/* Fills one whole block. */
void dw_slot_header_encode(const uint8_t device_id[16], const struct dw_slot_info *info, void *block,
                           size_t block_size);
/* `slot`: where it was found. OK, BAD_MAGIC, BAD_CRC, VERSION, FOREIGN (another formatting), MISPLACED, IMPOSSIBLE. Reads
 * 128 bytes. */
enum dw_decoded dw_slot_header_decode(const uint8_t device_id[16], const void *block, uint32_t slot,
                                      struct dw_slot_info *info);

/* ---- checksum ---- */
/* CRC32C (Castagnoli) of `size` bytes, continuing from `crc` (0 to start): dw_crc32c(dw_crc32c(0,a),b) is that of ab.
 * The crc32 instruction for short spans, ISA-L for long ones, a table where the CPU has neither. */
uint32_t dw_crc32c(uint32_t crc, const void *bytes, size_t size);

#endif
