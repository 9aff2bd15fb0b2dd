/* sim_image.c - make one crash image: what the medium holds if every open choice went as picked.
 *
 * Owns: nothing; images belong to the caller until closed, then to the disk they came from, for reuse.
 * Called by: tests, one thread per walker.
 * Happy path: copy the inodes and names of the durable medium (their tables stay shared), change the sectors that were
 * picked in tables of the image's own.
 * Failure: -ENOMEM, no image. Closing: sim.c; what an image shares lives as long as its walker and its disk. */
#include <errno.h>
#include <string.h>

#include "io/sim_internal.h"

static struct dw_sim_disk *take_spare(struct dw_sim_disk *disk)
{
    pthread_mutex_lock(&disk->lock);
    struct dw_sim_disk *spare = disk->spares;
    if (spare) {
        disk->spares = spare->next_spare;
        disk->spare_count--;
        spare->next_spare = NULL;
    }
    pthread_mutex_unlock(&disk->lock);
    return spare;
}

static const uint8_t *newest_bytes(const struct dw_sim_crash *crash, const struct dw_sim_open_choice *choice,
                                   uint64_t sector)
{
    const uint8_t *bytes = dw_sim_inode_sector(&crash->durable.inodes[choice->face.file], sector);
    if (choice->versions) {
        const struct dw_sim_event *event =
            &crash->disk->events[crash->alternatives[choice->first + choice->versions - 1]];
        if (dw_sim_event_covers(event, sector))
            bytes = dw_sim_event_sector(event, sector);
    }
    return bytes ? bytes : dw_sim_zeros;
}

/* Garbage of kind 0: random bytes; 1: the new content up to somewhere, then the old; 2: the other way round. */
static const uint8_t *garble(struct dw_sim_arena *arena, const struct dw_sim_crash *crash,
                             const struct dw_sim_open_choice *choice, uint64_t sector, uint32_t kind, uint64_t *random)
{
    uint8_t *bytes = dw_sim_arena_take(arena, DW_SIM_SECTOR_SIZE);
    if (!bytes)
        return NULL;
    if (kind == 0) {
        for (size_t i = 0; i < DW_SIM_SECTOR_SIZE; i += sizeof(uint64_t)) {
            uint64_t word = dw_sim_random(random);
            memcpy(bytes + i, &word, sizeof word);
        }
        return bytes;
    }
    const uint8_t *old = dw_sim_inode_sector(&crash->durable.inodes[choice->face.file], sector);
    const uint8_t *fresh = newest_bytes(crash, choice, sector);
    size_t cut = (size_t)(8 + 8 * dw_sim_below(random, DW_SIM_SECTOR_SIZE / 8 - 1));
    old = old ? old : dw_sim_zeros;
    memcpy(bytes, kind == 1 ? fresh : old, cut);
    memcpy(bytes + cut, (kind == 1 ? old : fresh) + cut, DW_SIM_SECTOR_SIZE - cut);
    return bytes;
}

static int apply_unit(struct dw_sim_disk *image, const struct dw_sim_crash *crash,
                      const struct dw_sim_open_choice *choice, uint32_t pick)
{
    struct dw_sim_inode *inode = &image->start.inodes[choice->face.file];
    uint64_t first = choice->face.offset / DW_SIM_SECTOR_SIZE;
    uint64_t per_unit = crash->options.tear_unit / DW_SIM_SECTOR_SIZE;
    bool is_garbled = pick > choice->versions;
    const struct dw_sim_event *write =
        is_garbled ? NULL : &crash->disk->events[crash->alternatives[choice->first + pick - 1]];
    int result = 0;
    for (uint64_t sector = first; sector < first + per_unit && result == 0; sector++) {
        const uint8_t *bytes;
        if (is_garbled) {
            bytes = garble(&image->arena, crash, choice, sector, pick - choice->versions - 1, &image->random);
            if (!bytes)
                return -ENOMEM;
        } else if (dw_sim_event_covers(write, sector)) {
            bytes = dw_sim_event_sector(write, sector);
        } else {
            continue;
        }
        result = dw_sim_inode_set(&image->arena, inode, sector, bytes);
    }
    return result;
}

/* The first `pick` open sectors, in the order in which they began to be written. */
static int apply_order(struct dw_sim_disk *image, const struct dw_sim_crash *crash, uint32_t pick)
{
    int result = 0;
    for (uint32_t i = 0; i < pick && result == 0; i++) {
        const struct dw_sim_version *version = &crash->versions[i];
        const struct dw_sim_event *write = &crash->disk->events[version->issue];
        result = dw_sim_inode_set(&image->arena, &image->start.inodes[version->inode], version->sector,
                                  dw_sim_event_sector(write, version->sector));
    }
    return result;
}

static int apply_names(struct dw_sim_disk *image, const struct dw_sim_crash *crash, uint64_t mask)
{
    int result = 0;
    for (size_t i = 0; i < crash->names_count && result == 0; i++) {
        if (mask >> i & 1)
            result = dw_sim_medium_name(&image->start, &crash->disk->events[crash->names[i]]);
    }
    dw_assert(result == 0 || result == -ENOMEM);
    return result;
}

static int apply(struct dw_sim_disk *image, const struct dw_sim_crash *crash, const struct dw_sim_open_choice *choice,
                 uint32_t pick)
{
    dw_assert(pick < choice->face.count);
    if (pick == 0)
        return 0;
    uint64_t alternative =
        choice->face.kind == DW_SIM_CHOICE_SECTORS ? 0 : crash->alternatives[choice->first + pick - 1];
    switch (choice->face.kind) {
    case DW_SIM_CHOICE_SECTORS:
        return apply_unit(image, crash, choice, pick);
    case DW_SIM_CHOICE_ORDER:
        return apply_order(image, crash, pick);
    case DW_SIM_CHOICE_SIZE:
        image->start.inodes[choice->face.file].size = alternative;
        return 0;
    case DW_SIM_CHOICE_NAMES:
        return apply_names(image, crash, alternative);
    }
    return 0;
}

static int fill_image(struct dw_sim_disk *image, const struct dw_sim_crash *crash, const uint32_t *picks)
{
    int result = dw_sim_medium_copy(&image->start, &crash->durable);
    for (size_t i = 0; i < crash->choice_count && result == 0; i++)
        result = apply(image, crash, &crash->choices[i], picks[i]);
    /* What lies behind the end of a file is not there. */
    for (size_t i = 0; i < image->start.inode_count && result == 0; i++) {
        struct dw_sim_inode *inode = &image->start.inodes[i];
        if ((uint64_t)inode->count * DW_SIM_SECTOR_SIZE > inode->size)
            result = dw_sim_inode_resize(&image->arena, inode, inode->size);
    }
    return result ? result : dw_sim_medium_copy(&image->live, &image->start);
}

int dw_sim_crash_image(struct dw_sim_crash *crash, const uint32_t *picks, uint64_t seed, struct dw_disk **made)
{
    *made = NULL;
    struct dw_sim_disk *disk = crash->disk, *image = take_spare(disk);
    int result = image ? 0 : dw_sim_disk_make(&image);
    if (result)
        return result;
    struct dw_sim_options options = {
        .seed = seed, .alignment = disk->options.alignment, .device_size = disk->options.device_size};
    image->base.is_device = disk->base.is_device;
    memcpy(image->base.part, disk->base.part, sizeof image->base.part);
    image->options = (struct dw_sim_options){0};
    dw_sim_set(image, &options);
    image->parent = disk;
    image->parent_event = crash->event;
    image->crash = crash;
    result = fill_image(image, crash, picks);
    if (result) {
        dw_sim_disk_free(image);
        return result;
    }
    pthread_mutex_lock(&disk->lock);
    disk->child_count++;
    pthread_mutex_unlock(&disk->lock);
    crash->image_count++;
    *made = &image->base;
    return 0;
}

/* With the parent's mutex. */
void dw_sim_image_released(struct dw_sim_disk *image)
{
    image->parent->child_count--;
    image->crash->image_count--;
    image->crash = NULL;
}
