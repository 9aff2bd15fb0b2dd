/* options.c - defaults and limits of struct dwal_options, in one place.
 *
 * Called by: create and open, before anything is touched. Every refusal names the option, what was given and what is
 * allowed. */
#include <string.h>

#include "base/bits.h"
#include "core/base/error.h"
#include "core/log/handle.h"

#define DEFAULT_VOLUME_SIZE (UINT64_C(64) << 20)
#define DEFAULT_RING_SIZE   (UINT64_C(8) << 20)
#define DEFAULT_WRITE_SIZE  (1u << 20)

#define DEFAULT_MARKER_DELAY_MS 10u
#define DEFAULT_FILL_RATE_KIB   (64u << 10)
#define DEFAULT_STALL_MS        1000u

/* Old programs give a shorter struct: what they do not know keeps its default. */
static int copy_given(const struct dwal_options *given, struct dwal_options *resolved)
{
    memset(resolved, 0, sizeof *resolved);
    if (!given)
        return 0;
    if (given->size == 0 || given->size > sizeof *resolved)
        return dw_fail(DWAL_EARGUMENT, "options.size is %zu: set it with DWAL_OPTIONS_INIT (at most %zu here)",
                       given->size, sizeof *resolved);
    memcpy(resolved, given, given->size);
    return 0;
}

static void fill_defaults(struct dwal_options *o)
{
    o->size = sizeof *o;
    if (o->ring_size == 0)
        o->ring_size = DEFAULT_RING_SIZE;
    if (o->in_flight_writes == 0)
        o->in_flight_writes = DW_IN_FLIGHT_MAX;
    if (o->write_size_max == 0)
        o->write_size_max = DEFAULT_WRITE_SIZE;
    if (o->marker_delay_ms == 0)
        o->marker_delay_ms = DEFAULT_MARKER_DELAY_MS;
    if (o->fill_kib_per_second == 0)
        o->fill_kib_per_second = DEFAULT_FILL_RATE_KIB;
    if (o->stall_report_ms == 0)
        o->stall_report_ms = DEFAULT_STALL_MS;
}

/* "sim" is for tests: a disk of this machine has no such queue. */
bool dw_options_is_backend(const char *name)
{
    static const char *const names[] = {"sync", "uring", "aio", "nvme", "nvme-poll", "sim"};
    for (size_t i = 0; i < DW_COUNT_OF(names); i++)
        if (strcmp(name, names[i]) == 0)
            return true;
    return false;
}

static int check_enums(const struct dwal_options *o)
{
    if (o->fill > DWAL_FILL_ALLOCATE_ZERO)
        return dw_fail(DWAL_EARGUMENT, "options.fill is %u: choose one of enum dwal_fill", (unsigned)o->fill);
    if (o->mode > DWAL_REPORT)
        return dw_fail(DWAL_EARGUMENT, "options.mode is %u: choose one of enum dwal_mode", (unsigned)o->mode);
    if (o->recovery > DWAL_TOLERANT)
        return dw_fail(DWAL_EARGUMENT, "options.recovery is %u: choose DWAL_STRICT or DWAL_TOLERANT",
                       (unsigned)o->recovery);
    if (o->backend && !dw_options_is_backend(o->backend))
        return dw_fail(DWAL_EARGUMENT, "options.backend is \"%.20s\": choose sync, uring, aio, nvme or nvme-poll",
                       o->backend);
    return 0;
}

int dw_options_resolve(const struct dwal_options *given, struct dwal_options *resolved)
{
    int result = copy_given(given, resolved);
    if (result < 0)
        return result;
    fill_defaults(resolved);
    if (resolved->in_flight_writes > DW_IN_FLIGHT_MAX)
        return dw_fail(DWAL_EARGUMENT, "options.in_flight_writes is %u: 1 to %u are allowed",
                       resolved->in_flight_writes, DW_IN_FLIGHT_MAX);
    if (resolved->blanks > 255)
        return dw_fail(DWAL_EARGUMENT, "options.blanks is %u: 1 to 255 are allowed", resolved->blanks);
    return check_enums(resolved);
}

int dw_options_geometry(const struct dwal_options *options, struct dw_geometry *geometry)
{
    const char *why = "";
    uint64_t volume_size = options->volume_size ? options->volume_size : DEFAULT_VOLUME_SIZE;
    uint32_t sector_size = options->sector_size ? options->sector_size : 512;
    uint32_t block_size = options->block_size ? options->block_size : DW_BLOCK_SIZE_MIN;
    if (dw_geometry_init(geometry, block_size, sector_size, volume_size, options->toc_length, &why) < 0)
        return dw_fail(DWAL_EARGUMENT, "the geometry is not possible: %s", why);
    return 0;
}

static int differs(const char *name, unsigned long long given, unsigned long long recorded)
{
    return dw_fail(DWAL_EARGUMENT, "options.%s is %llu, but the log was created with %llu: leave it 0", name, given,
                   recorded);
}

int dw_options_agree(const struct dwal_options *given, const struct dw_superblock_info *superblock)
{
    const struct dw_geometry *g = &superblock->geometry;
    if (given->volume_size && given->volume_size != g->volume_size)
        return differs("volume_size", given->volume_size, g->volume_size);
    if (given->sector_size && given->sector_size != g->sector_size)
        return differs("sector_size", given->sector_size, g->sector_size);
    if (given->block_size && given->block_size != g->block_size)
        return differs("block_size", given->block_size, g->block_size);
    if (given->toc_length && given->toc_length != g->toc_length)
        return differs("toc_length", given->toc_length, g->toc_length);
    if (given->magic_number && given->magic_number != superblock->magic_number)
        return dw_fail(DWAL_EMAGIC, "the application's magic number is 0x%08x, but the log was created with 0x%08x",
                       given->magic_number, superblock->magic_number);
    uint64_t slots = given->ring_size / g->block_size;
    if (given->ring_size > DW_RING_SIZE_MAX || slots * g->block_size != given->ring_size ||
        !dw_is_power_of_two(slots) || slots < DW_RING_SLOTS_MIN)
        return dw_fail(
            DWAL_EARGUMENT,
            "options.ring_size is %llu: it must be a power of two of blocks of %u bytes, at least %u of them",
            (unsigned long long)given->ring_size, g->block_size, DW_RING_SLOTS_MIN);
    if (given->write_size_max < g->block_size || given->write_size_max % g->block_size != 0)
        return dw_fail(DWAL_EARGUMENT, "options.write_size_max is %u: it must be a multiple of the block, %u bytes",
                       given->write_size_max, g->block_size);
    return 0;
}

uint32_t dw_options_in_flight_blocks(const struct dwal_options *options, const struct dw_geometry *geometry)
{
    uint64_t write_blocks = options->write_size_max / geometry->block_size;
    uint64_t ring_blocks = options->ring_size / geometry->block_size;
    return (uint32_t)dw_min_u64(ring_blocks, options->in_flight_writes * write_blocks);
}
