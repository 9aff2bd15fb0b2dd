/* crash_audit.c - see crash_audit.h. */
#include "tests/lib/crash_audit.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/bits.h"
#include "core/format/codec.h"

#define BLOCK_SIZE  4096u
#define FILES_MAX   64u
#define VOLUMES_MAX 64u
#define BLOCKS_MAX  64u /* of one volume */
#define PRINTED_MAX 10u

struct volume {
    uint32_t headers; /* copies that are durable: bits */
    bool is_named, is_name_synced, is_claimed, is_retired;
    bool is_wiped, is_wipe_volatile; /* overwritten with zeros; and not all of that is synced */
    uint32_t in_flight_blocks;
    bool is_written[BLOCKS_MAX], is_durable[BLOCKS_MAX];
    bool is_zeroed[BLOCKS_MAX]; /* by a wipe; here the blocks of the TOC count as well */
};
struct file {
    char name[DW_SIM_NAME_SIZE_MAX];
    uint32_t number; /* DW_VOLUME_NUMBER_NONE: no volume */
};
struct audit {
    struct dw_disk *disk;
    uint64_t name, event;
    struct dw_crash_audit_counts *counts;
    bool has_identity;
    struct dw_geometry geometry;
    struct dw_identity identity;
    struct file files[FILES_MAX];
    struct volume volumes[VOLUMES_MAX];
    uint64_t prefix; /* first block that is not durable */
    uint64_t known;  /* and as the writer has said it */
    uint64_t trim;   /* durable */
};

static void complain(struct audit *audit, const char *format, ...) DW_PRINTF(2, 3);
static void complain(struct audit *audit, const char *format, ...)
{
    if (audit->counts->broken++ >= PRINTED_MAX || audit->counts->is_quiet)
        return;
    va_list arguments;
    printf("workload %" PRIu64 ", event %" PRIu64 ": ", audit->name, audit->event);
    va_start(arguments, format);
    vprintf(format, arguments);
    va_end(arguments);
    printf("\n");
}

static const uint8_t zeros[BLOCK_SIZE];
static const uint8_t *block_of(const struct dw_sim_event *event, uint64_t index)
{
    return event->bytes ? event->bytes + index * BLOCK_SIZE : zeros;
}

static struct volume *volume_at(struct audit *audit, uint32_t number)
{
    dw_assert(number < VOLUMES_MAX);
    return &audit->volumes[number];
}

/* ---- data blocks ---- */
static void see_block(struct audit *audit, const struct dw_sim_event *event, uint64_t place, const uint8_t *bytes)
{
    const struct dw_geometry *g = &audit->geometry;
    uint32_t number = audit->files[event->file].number;
    struct volume *volume = volume_at(audit, number);
    uint64_t index = place / BLOCK_SIZE - DW_VOLUME_HEADER_BLOCKS;
    uint64_t block = dw_first_block_of_volume(g, number) + index;
    struct dw_block_info info;
    struct dw_tag_counts tags;
    audit->counts->blocks++;
    if (volume->headers != 3 || !volume->is_name_synced || !volume->is_claimed)
        complain(audit, "block %" PRIu64 " before its volume was there (headers %u, name %d, claimed %d)", block,
                 volume->headers, volume->is_name_synced, volume->is_claimed);
    if (!event->is_durable)
        complain(audit, "block %" PRIu64 " by an ordinary write", block);
    if (volume->is_written[index])
        complain(audit, "block %" PRIu64 " is written again", block);
    if (volume->is_wiped)
        complain(audit, "block %" PRIu64 " is written after its volume was wiped", block);
    volume->is_written[index] = true;
    if (block >= audit->prefix + volume->in_flight_blocks)
        complain(audit, "block %" PRIu64 " is %" PRIu64 " beyond the durable prefix, L is %u", block,
                 block - audit->prefix, volume->in_flight_blocks);
    if (dw_block_header_decode(g, &audit->identity, bytes, block, &info) != DW_DECODED_OK) {
        complain(audit, "block %" PRIu64 " does not check", block);
        return;
    }
    if (info.watermark > audit->prefix)
        complain(audit, "block %" PRIu64 " has watermark %" PRIu64 ", durable is %" PRIu64, block, info.watermark,
                 audit->prefix);
    if (info.watermark < audit->known)
        complain(audit, "block %" PRIu64 " has watermark %" PRIu64 ", and %" PRIu64 " was told", block, info.watermark,
                 audit->known);
    dw_tags_count(g, &audit->identity, bytes, number, &tags);
    if (tags.current != g->sector_count)
        complain(audit, "block %" PRIu64 " has %u sectors tagged", block, tags.current);
    if (!dw_payload_is_zero_from(g, bytes, info.fill))
        complain(audit, "block %" PRIu64 " has a padding that is not zero", block);
}

/* Ordinary zeros over a volume: only when nobody needs any of it, and for good. No block or TOC of ours is all zero. */
static bool is_wipe(const struct dw_sim_event *event)
{
    for (uint64_t done = 0; done < event->size; done += BLOCK_SIZE)
        if (memcmp(block_of(event, done / BLOCK_SIZE), zeros, BLOCK_SIZE) != 0)
            return false;
    return !event->is_durable && event->offset >= DW_VOLUME_HEADER_BLOCKS * BLOCK_SIZE;
}

static void see_wipe(struct audit *audit, const struct dw_sim_event *event, uint32_t number)
{
    struct volume *volume = volume_at(audit, number);
    volume->is_wiped = volume->is_wipe_volatile = true;
    for (uint64_t at = event->offset / BLOCK_SIZE; at < (event->offset + event->size) / BLOCK_SIZE; at++)
        volume->is_zeroed[at - DW_VOLUME_HEADER_BLOCKS] = true;
    if (dw_end_lsn_of_volume(&audit->geometry, number) > audit->trim)
        complain(audit, "volume %u is wiped, and the trim point is %" PRIu64, number, audit->trim);
}

/* ---- the rest of a volume ---- */
static void see_header(struct audit *audit, const struct dw_sim_event *event, uint64_t copy)
{
    struct dw_volume_info info;
    const uint8_t *block = block_of(event, copy - event->offset / BLOCK_SIZE);
    if (dw_volume_header_decode(&audit->geometry, &audit->identity, block, DW_VOLUME_NUMBER_NONE, &info) !=
        DW_DECODED_OK)
        return; /* a fill */
    struct volume *volume = volume_at(audit, info.number);
    audit->files[event->file].number = info.number;
    audit->counts->volumes += volume->headers == 0;
    volume->in_flight_blocks = info.in_flight_blocks;
    if (event->is_durable)
        volume->headers |= 1u << copy;
}

static void see_toc(struct audit *audit, const struct dw_sim_event *event, uint32_t number)
{
    struct dw_toc_info toc;
    if (dw_toc_decode(&audit->geometry, &audit->identity, block_of(event, 0), event->size, number, &toc) !=
        DW_DECODED_OK)
        return;
    audit->counts->tocs++;
    uint64_t end = dw_first_block_of_volume(&audit->geometry, number) + audit->geometry.data_blocks;
    if ((toc.flags & DW_TOC_OPEN) == 0 && audit->prefix < end)
        complain(audit, "the TOC of volume %u, durable is %" PRIu64, number, audit->prefix);
    if (toc.watermark > audit->prefix || toc.end > dw_lsn_of_block(&audit->geometry, audit->prefix))
        complain(audit, "the TOC of volume %u tells of more than is durable", number);
    if (!event->is_durable)
        complain(audit, "the TOC of volume %u by an ordinary write", number);
}

static void see_superblock(struct audit *audit, const struct dw_sim_event *event, bool is_durable)
{
    struct dw_superblock_info info;
    if (dw_superblock_decode(block_of(event, 0), BLOCK_SIZE, &info) != DW_DECODED_OK)
        return;
    if (!audit->has_identity) {
        audit->identity = info.identity;
        audit->geometry = info.geometry;
        audit->has_identity = true;
    }
    if (!is_durable) {
        audit->counts->superblocks++;
        if (info.watermark > audit->prefix)
            complain(audit, "the superblock has watermark %" PRIu64 ", durable is %" PRIu64, info.watermark,
                     audit->prefix);
        if (info.state == DW_SUPERBLOCK_CLEAN && info.clean_end > dw_lsn_of_block(&audit->geometry, audit->prefix))
            complain(audit, "the superblock ends the log at %" PRIu64 ", durable is block %" PRIu64, info.clean_end,
                     audit->prefix);
        for (uint32_t i = 0; info.claimed != DW_VOLUME_NUMBER_NONE && i <= info.claimed; i++) {
            struct volume *volume = volume_at(audit, i);
            if (volume->headers != 3 || !volume->is_name_synced)
                complain(audit, "the superblock claims volume %u, which is not there", i);
        }
        return;
    }
    for (uint32_t i = 0; info.claimed != DW_VOLUME_NUMBER_NONE && i <= info.claimed; i++)
        volume_at(audit, i)->is_claimed = true;
    audit->trim = dw_max_u64(audit->trim, info.trim);
}

static void see_issue(struct audit *audit, const struct dw_sim_event *event)
{
    const struct file *file = &audit->files[event->file];
    if (strcmp(file->name, "dwal.super") == 0) {
        see_superblock(audit, event, false);
        return;
    }
    if (!volume_at(audit, 0)->is_named || !strstr(file->name, ".vol"))
        return; /* a blank is being filled */
    if (is_wipe(event)) {
        see_wipe(audit, event, file->number);
        return;
    }
    for (uint64_t done = 0; done < event->size; done += BLOCK_SIZE) {
        uint64_t place = event->offset + done;
        if (place >= dw_place_of_toc(&audit->geometry)) {
            if (place == dw_place_of_toc(&audit->geometry))
                see_toc(audit, event, file->number);
        } else if (place >= DW_VOLUME_HEADER_BLOCKS * BLOCK_SIZE) {
            see_block(audit, event, place, block_of(event, done / BLOCK_SIZE));
        } else {
            complain(audit, "the header of %s is written again", file->name);
        }
    }
}

static void advance(struct audit *audit)
{
    const struct dw_geometry *g = &audit->geometry;
    while (dw_volume_of_block(g, audit->prefix) < VOLUMES_MAX &&
           audit->volumes[dw_volume_of_block(g, audit->prefix)].is_durable[audit->prefix % g->data_blocks])
        audit->prefix++;
}

static void see_complete(struct audit *audit, const struct dw_sim_event *event)
{
    const struct dw_sim_event *write = dw_sim_event_at(audit->disk, event->of);
    const struct file *file = &audit->files[write->file];
    if (strcmp(file->name, "dwal.super") == 0) {
        see_superblock(audit, write, true);
        return;
    }
    if (!audit->has_identity)
        return;
    uint64_t end = (write->offset + write->size) / BLOCK_SIZE;
    for (uint64_t copy = write->offset / BLOCK_SIZE; copy < end && end <= DW_VOLUME_HEADER_BLOCKS; copy++)
        see_header(audit, write, copy);
    if (!strstr(file->name, ".vol"))
        return;
    for (uint64_t place = write->offset; place < write->offset + write->size; place += BLOCK_SIZE) {
        if (place >= DW_VOLUME_HEADER_BLOCKS * BLOCK_SIZE && place < dw_place_of_toc(&audit->geometry))
            volume_at(audit, file->number)->is_durable[place / BLOCK_SIZE - DW_VOLUME_HEADER_BLOCKS] = true;
    }
    advance(audit);
}

/* ---- names ---- */
/* A volume becomes a blank or goes. */
static void see_given_up(struct audit *audit, uint32_t number)
{
    struct volume *volume = volume_at(audit, number);
    audit->counts->retired++;
    audit->counts->wiped += volume->is_wiped;
    volume->is_retired = true;
    if (volume->is_wipe_volatile)
        complain(audit, "volume %u is given up before its wiping was synced", number);
    if (!audit->has_identity)
        return;
    if (dw_end_lsn_of_volume(&audit->geometry, number) > audit->trim)
        complain(audit, "volume %u is given up, and the trim point is %" PRIu64, number, audit->trim);
    uint64_t blocks = audit->geometry.volume_size / BLOCK_SIZE - DW_VOLUME_HEADER_BLOCKS;
    for (uint64_t i = 0; i < blocks && audit->counts->is_wiping; i++) {
        if (volume->is_zeroed[i])
            continue;
        complain(audit, "volume %u is given up, and block %" PRIu64 " of it was not wiped", number, i);
        break;
    }
}

static void see_unlink(struct audit *audit, const struct dw_sim_event *event)
{
    struct file *file = &audit->files[event->file];
    if (strstr(file->name, ".vol") && file->number != DW_VOLUME_NUMBER_NONE)
        see_given_up(audit, file->number);
    file->number = DW_VOLUME_NUMBER_NONE;
}

static void see_rename(struct audit *audit, const struct dw_sim_event *event)
{
    struct file *file = &audit->files[event->file];
    bool was_volume = strstr(file->name, ".vol") != NULL;
    snprintf(file->name, sizeof file->name, "%s", event->other_name);
    if (was_volume) {
        see_given_up(audit, file->number);
        file->number = DW_VOLUME_NUMBER_NONE;
    } else if (strstr(file->name, ".vol")) {
        uint32_t number = (uint32_t)strtoul(file->name, NULL, 10);
        file->number = number;
        volume_at(audit, number)->is_named = true;
        if (audit->has_identity && volume_at(audit, number)->headers != 3)
            complain(audit, "%s has its name before its header", file->name);
    }
}

static void see_names_synced(struct audit *audit)
{
    for (size_t i = 0; i < VOLUMES_MAX; i++)
        audit->volumes[i].is_name_synced |= audit->volumes[i].is_named;
}

static void see(struct audit *audit, const struct dw_sim_event *event)
{
    switch (event->kind) {
    case DW_SIM_ISSUE:
        see_issue(audit, event);
        break;
    case DW_SIM_COMPLETE:
        see_complete(audit, event);
        break;
    case DW_SIM_CREATE:
        dw_assert(event->file < FILES_MAX);
        snprintf(audit->files[event->file].name, sizeof audit->files[event->file].name, "%s", event->name);
        break;
    case DW_SIM_RENAME:
        see_rename(audit, event);
        break;
    case DW_SIM_SYNC_NAMES:
        see_names_synced(audit);
        break;
    case DW_SIM_MARK:
        if (event->mark == DW_CRASH_ACKED)
            audit->known = dw_max_u64(audit->known, dw_block_of_lsn(&audit->geometry, event->value));
        break;
    case DW_SIM_SYNC:
        if (audit->files[event->file].number != DW_VOLUME_NUMBER_NONE)
            volume_at(audit, audit->files[event->file].number)->is_wipe_volatile = false;
        break;
    case DW_SIM_UNLINK:
        see_unlink(audit, event);
        break;
    case DW_SIM_SIZE:
    case DW_SIM_DAMAGE:
        break;
    }
}

/* Volume 0 is made before there is a superblock to tell what it is: look ahead for it. */
static void find_identity(struct audit *audit)
{
    for (uint64_t i = 0; i < dw_sim_event_count(audit->disk) && !audit->has_identity; i++) {
        const struct dw_sim_event *event = dw_sim_event_at(audit->disk, i);
        struct dw_superblock_info info;
        if (event->kind == DW_SIM_ISSUE && event->bytes && event->size >= BLOCK_SIZE &&
            dw_superblock_decode(event->bytes, BLOCK_SIZE, &info) == DW_DECODED_OK)
            see_superblock(audit, event, true);
    }
}

void dw_crash_audit(struct dw_disk *disk, uint64_t name, struct dw_crash_audit_counts *counts)
{
    struct audit *audit = calloc(1, sizeof *audit);
    dw_assert(audit);
    audit->disk = disk;
    audit->name = name;
    audit->counts = counts;
    for (size_t i = 0; i < FILES_MAX; i++)
        audit->files[i].number = DW_VOLUME_NUMBER_NONE;
    find_identity(audit);
    for (size_t i = 0; i < VOLUMES_MAX; i++)
        audit->volumes[i].is_claimed = false;
    for (; audit->event < dw_sim_event_count(disk); audit->event++)
        see(audit, dw_sim_event_at(disk, audit->event));
    free(audit);
}
