/* sample.h - random but allowed values of every structure, and bytes that end at a page nobody may touch.
 *
 * Included by the tests of core/format. All randomness comes from one seed: a failure repeats. */
#ifndef DW_TESTS_FORMAT_SAMPLE_H
#define DW_TESTS_FORMAT_SAMPLE_H

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "base/assert.h"
#include "core/format/codec.h"

struct sample_random {
    uint64_t state; /* never 0 */
};
static inline uint64_t sample_u64(struct sample_random *random)
{
    random->state ^= random->state >> 12;
    random->state ^= random->state << 25;
    random->state ^= random->state >> 27;
    return random->state * UINT64_C(0x2545f4914f6cdd1d);
}
static inline uint32_t sample_u32(struct sample_random *random)
{
    return (uint32_t)(sample_u64(random) >> 32);
}
/* 0 <= answer < limit */
static inline uint64_t sample_below(struct sample_random *random, uint64_t limit)
{
    return sample_u64(random) % limit;
}
static inline void sample_bytes(struct sample_random *random, void *bytes, size_t size)
{
    uint8_t *at = bytes;
    for (size_t i = 0; i < size; i++)
        at[i] = (uint8_t)(sample_u64(random) >> 40);
}

/* `size` bytes right before a page that cannot be read: a decoder that looks too far dies, in every build. */
static inline uint8_t *sample_guarded(size_t size)
{
    size_t usable = (size + 4095) / 4096 * 4096;
    uint8_t *base = mmap(NULL, usable + 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    dw_assert(base != MAP_FAILED);
    dw_assert(mprotect(base + usable, 4096, PROT_NONE) == 0);
    return base + usable - size;
}
static inline void sample_guarded_free(uint8_t *bytes, size_t size)
{
    size_t usable = (size + 4095) / 4096 * 4096;
    munmap(bytes - (usable - size), usable + 4096);
}

static inline struct dw_geometry sample_geometry_of(uint32_t block_size, uint32_t sector_size, uint64_t volume_size,
                                                    uint32_t toc_length)
{
    struct dw_geometry geometry;
    const char *why = NULL;
    int result = dw_geometry_init(&geometry, block_size, sector_size, volume_size, toc_length, &why);
    dw_assert(result == 0);
    return geometry;
}
static inline struct dw_geometry sample_geometry(struct sample_random *random)
{
    uint32_t block_size = 4096u << sample_below(random, 5);
    uint32_t toc_length = (uint32_t)sample_below(random, 10000);
    uint64_t blocks = 2 + 2 + (128 + toc_length + block_size - 1) / block_size + sample_below(random, 1000);
    return sample_geometry_of(block_size, sample_below(random, 2) ? 512 : 4096, blocks * block_size, toc_length);
}
static inline struct dw_identity sample_identity(struct sample_random *random)
{
    struct dw_identity identity;
    uint8_t log_id[16];
    sample_bytes(random, log_id, sizeof log_id);
    dw_identity_init(&identity, log_id, sample_u32(random) | 0x80000000u);
    return identity;
}
static inline uint32_t sample_number(struct sample_random *random)
{
    return (uint32_t)sample_below(random, (uint64_t)DW_VOLUME_NUMBER_MAX + 1) >> sample_below(random, 31);
}

static inline struct dw_block_info sample_block(struct sample_random *random, const struct dw_geometry *geometry)
{
    struct dw_block_info info = {0};
    info.block =
        dw_first_block_of_volume(geometry, sample_number(random)) + sample_below(random, geometry->data_blocks);
    info.watermark = sample_below(random, info.block + 1);
    info.first_record = DW_FIRST_RECORD_NONE;
    if (sample_below(random, 8) == 0) {
        info.flags = DW_BLOCK_MARKER;
        return info;
    }
    info.fill = (uint32_t)sample_below(random, geometry->payload_size + 1u);
    if (sample_below(random, 2))
        info.first_record = (uint32_t)sample_below(random, info.fill + 1u);
    return info;
}
static inline struct dw_record_info sample_record(struct sample_random *random)
{
    return (struct dw_record_info){
        .data_crc = sample_u32(random),
        .metadata_size = (uint32_t)sample_below(random, (uint64_t)DW_RECORD_PART_SIZE_MAX + 1),
        .data_size = (uint32_t)sample_below(random, (uint64_t)DW_RECORD_PART_SIZE_MAX + 1),
        .type = DW_RECORD_ENTRY,
        .flags = sample_below(random, 2) ? DW_RECORD_MORE : 0,
        .user = (uint16_t)sample_u32(random),
    };
}
static inline struct dw_volume_info sample_volume(struct sample_random *random, const struct dw_geometry *geometry)
{
    struct dw_volume_info info = {
        .number = sample_number(random),
        .predecessor = DW_VOLUME_NUMBER_NONE,
        .predecessor_end = DW_PREDECESSOR_NONE,
        .in_flight_blocks = 1 + (sample_u32(random) >> 1),
        .epoch = sample_u64(random),
        .claim_time = sample_u64(random),
        .geometry = *geometry,
    };
    uint64_t kind = info.number == 0 ? 0 : sample_below(random, 3);
    if (kind == 1) {
        info.predecessor_end = DW_PREDECESSOR_RUNS_ON;
        info.predecessor = info.number - 1;
    } else if (kind == 2) {
        info.predecessor_end = DW_PREDECESSOR_CUT;
        info.predecessor = (uint32_t)sample_below(random, info.number);
        info.cut = dw_first_lsn_of_volume(geometry, info.predecessor) +
                   sample_below(random, (uint64_t)geometry->data_blocks * geometry->payload_size + 1);
    }
    return info;
}
static inline struct dw_toc_info sample_toc(struct sample_random *random, const struct dw_geometry *geometry)
{
    struct dw_toc_info info = {
        .number = sample_number(random),
        .flags = (uint32_t)sample_below(random, 16),
        .table_length = (uint32_t)sample_below(random, geometry->toc_length + 1u),
        .time_first = sample_u64(random),
        .time_last = sample_u64(random),
        .watermark = sample_u64(random),
    };
    uint64_t first = dw_first_lsn_of_volume(geometry, info.number);
    info.end = first + sample_below(random, dw_end_lsn_of_volume(geometry, info.number) - first + 1);
    info.first_lsn = info.last_lsn = info.end;
    if (info.end > first && sample_below(random, 4) != 0) {
        info.first_lsn = first + sample_below(random, info.end - first);
        info.last_lsn = info.first_lsn + sample_below(random, info.end - info.first_lsn);
        info.entry_count = 1 + sample_below(random, (info.last_lsn - info.first_lsn) / DW_RECORD_HEADER_SIZE + 1);
    }
    return info;
}
static inline struct dw_superblock_info sample_superblock(struct sample_random *random)
{
    struct dw_superblock_info info = {
        .sequence = sample_u64(random),
        .identity = sample_identity(random),
        .geometry = sample_geometry(random),
        .epoch = sample_u64(random),
        .trim = sample_u64(random),
        .clean_end = sample_u64(random),
        .watermark = sample_u64(random),
        .create_time = sample_u64(random),
        .write_time = sample_u64(random),
        .claimed = DW_VOLUME_NUMBER_NONE,
        .head = DW_VOLUME_NUMBER_NONE,
        .state = sample_below(random, 2) ? DW_SUPERBLOCK_CLEAN : DW_SUPERBLOCK_OPEN,
        .feature_compat = sample_u32(random),
        .feature_ro_compat = sample_u32(random),
        .feature_incompat = sample_u32(random),
        .blanks = (uint32_t)sample_below(random, 256),
        .fill_mode = (uint32_t)sample_below(random, 4),
        .in_flight_blocks = sample_u32(random),
        .magic_number = sample_u32(random),
        .format_version = DW_FORMAT_VERSION,
    };
    if (sample_below(random, 4) != 0) {
        info.claimed = sample_number(random);
        if (sample_below(random, 4) != 0)
            info.head = (uint32_t)sample_below(random, info.claimed + 1u);
    }
    return info;
}

#endif
