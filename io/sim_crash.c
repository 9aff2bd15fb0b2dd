/* sim_crash.c - walk a simulated disk's history: what is durable for certain at a moment, and what is still open.
 *
 * Owns: the durable medium at one event, and the lists of what is pending. Called by: tests, one thread per walker.
 * Happy path: each event moves bytes from pending to durable, or adds to pending; the pending become a row of
 * independent choices when somebody asks.
 * Failure: -ENOMEM; the walker is then good only for closing. Closing: its images first. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "alloc/alloc.h"
#include "io/sim_internal.h"

/* ---- writes ---- */
static int set_durable(struct dw_sim_crash *crash, const struct dw_sim_event *write, uint64_t sector)
{
    return dw_sim_inode_set(&crash->arena, &crash->durable.inodes[write->file], sector,
                            dw_sim_event_sector(write, sector));
}

static int see_issue(struct dw_sim_crash *crash, const struct dw_sim_event *event, uint64_t index)
{
    uint64_t count = event->size / DW_SIM_SECTOR_SIZE, first = event->offset / DW_SIM_SECTOR_SIZE;
    if (dw_sim_grow((void **)&crash->versions, &crash->version_capacity, crash->version_count + count,
                    sizeof *crash->versions))
        return -ENOMEM;
    for (uint64_t i = 0; i < count; i++)
        crash->versions[crash->version_count++] =
            (struct dw_sim_version){.inode = event->file, .sector = first + i, .issue = index};
    uint64_t end = event->offset + event->size;
    if (end <= crash->durable.inodes[event->file].size)
        return 0;
    if (dw_sim_grow((void **)&crash->sizes, &crash->size_capacity, crash->size_count + 1, sizeof *crash->sizes))
        return -ENOMEM;
    crash->sizes[crash->size_count++] = (struct dw_sim_pending_size){.inode = event->file, .size = end, .issue = index};
    return 0;
}

/* Forget the pending versions of the sectors that `write` covers: those that ended before, and its own. */
static void drop_covered(struct dw_sim_crash *crash, const struct dw_sim_event *write, uint64_t index)
{
    size_t kept = 0;
    for (size_t i = 0; i < crash->version_count; i++) {
        const struct dw_sim_version *version = &crash->versions[i];
        bool is_covered = version->inode == write->file && dw_sim_event_covers(write, version->sector);
        bool is_ended = version->order || version->is_floating || version->issue == index;
        if (!is_covered || !is_ended)
            crash->versions[kept++] = *version;
    }
    crash->version_count = kept;
}

static void drop_write(struct dw_sim_crash *crash, uint64_t index)
{
    size_t kept = 0;
    for (size_t i = 0; i < crash->version_count; i++) {
        if (crash->versions[i].issue != index)
            crash->versions[kept++] = crash->versions[i];
    }
    crash->version_count = kept;
    kept = 0;
    for (size_t i = 0; i < crash->size_count; i++) {
        if (crash->sizes[i].issue != index)
            crash->sizes[kept++] = crash->sizes[i];
    }
    crash->size_count = kept;
}

static void grow_durable_size(struct dw_sim_crash *crash, uint32_t file, uint64_t size)
{
    struct dw_sim_inode *inode = &crash->durable.inodes[file];
    inode->size = dw_max_u64(inode->size, size);
    size_t kept = 0;
    for (size_t i = 0; i < crash->size_count; i++) {
        if (crash->sizes[i].inode != file || crash->sizes[i].size > inode->size)
            crash->sizes[kept++] = crash->sizes[i];
    }
    crash->size_count = kept;
}

/* The cache has it: a sync will make durable the first `applied` bytes; the rest of a failed write may be there or not. */
static void keep_in_cache(struct dw_sim_crash *crash, const struct dw_sim_event *write, uint64_t index,
                          uint64_t applied)
{
    uint64_t order = ++crash->order;
    for (size_t i = 0; i < crash->version_count; i++) {
        struct dw_sim_version *version = &crash->versions[i];
        if (version->issue != index)
            continue;
        if (version->sector * DW_SIM_SECTOR_SIZE < write->offset + applied)
            version->order = order;
        else
            version->is_floating = 1;
    }
    for (size_t i = 0; i < crash->size_count; i++) {
        if (crash->sizes[i].issue == index && applied) {
            crash->sizes[i].is_completed = true;
            crash->sizes[i].size = write->offset + applied;
        }
    }
}

static int see_complete(struct dw_sim_crash *crash, const struct dw_sim_event *event)
{
    const struct dw_sim_event *write = &crash->disk->events[event->of];
    if (event->is_lost) {
        drop_write(crash, event->of);
        return 0;
    }
    if (!event->is_durable) {
        keep_in_cache(crash, write, event->of, event->value);
        return 0;
    }
    uint64_t count = write->size / DW_SIM_SECTOR_SIZE, first = write->offset / DW_SIM_SECTOR_SIZE;
    int result = 0;
    for (uint64_t i = 0; i < count && result == 0; i++)
        result = set_durable(crash, write, first + i);
    drop_covered(crash, write, event->of);
    grow_durable_size(crash, write->file, write->offset + write->size);
    return result;
}

/* ---- sync ---- */
static int by_order(const void *one, const void *other)
{
    const struct dw_sim_version *a = one, *b = other;
    return a->order < b->order ? -1 : a->order > b->order;
}

static bool is_synced_sector(const struct dw_sim_version *synced, size_t count, uint64_t sector)
{
    for (size_t i = 0; i < count; i++) {
        if (synced[i].sector == sector)
            return true;
    }
    return false;
}

static int sync_versions(struct dw_sim_crash *crash, uint32_t file)
{
    size_t count = 0, kept = 0;
    struct dw_sim_version *synced = NULL;
    if (crash->version_count && !(synced = dw_alloc(crash->version_count * sizeof *synced)))
        return -ENOMEM;
    for (size_t i = 0; i < crash->version_count; i++) {
        const struct dw_sim_version *version = &crash->versions[i];
        if (version->inode == file && version->order && !version->is_floating)
            synced[count++] = *version;
        else
            crash->versions[kept++] = *version;
    }
    crash->version_count = kept;
    if (count)
        qsort(synced, count, sizeof *synced, by_order);
    int result = 0;
    for (size_t i = 0; i < count && result == 0; i++)
        result = set_durable(crash, &crash->disk->events[synced[i].issue], synced[i].sector);
    /* What once failed to be written, or to be synced, is overwritten for good by what is durable now. */
    kept = 0;
    for (size_t i = 0; i < crash->version_count; i++) {
        const struct dw_sim_version *version = &crash->versions[i];
        if (!(version->is_floating && version->inode == file && is_synced_sector(synced, count, version->sector)))
            crash->versions[kept++] = *version;
    }
    crash->version_count = kept;
    dw_free(synced);
    return result;
}

static int sync_file(struct dw_sim_crash *crash, const struct dw_sim_event *event)
{
    if (event->result) { /* dropped from the cache as if it were clean: no later sync will write it */
        for (size_t i = 0; i < crash->version_count; i++) {
            struct dw_sim_version *version = &crash->versions[i];
            if (version->inode == event->file && version->order)
                version->is_floating = 1;
        }
        for (size_t i = 0; i < crash->size_count; i++) {
            if (crash->sizes[i].inode == event->file)
                crash->sizes[i].is_completed = false;
        }
        return 0;
    }
    uint64_t size = 0;
    for (size_t i = 0; i < crash->size_count; i++) {
        if (crash->sizes[i].inode == event->file && crash->sizes[i].is_completed)
            size = dw_max_u64(size, crash->sizes[i].size);
    }
    grow_durable_size(crash, event->file, size);
    return sync_versions(crash, event->file);
}

/* ---- the rest ---- */
static int set_size(struct dw_sim_crash *crash, const struct dw_sim_event *event, uint64_t index)
{
    if (!event->is_durable) {
        if (dw_sim_grow((void **)&crash->sizes, &crash->size_capacity, crash->size_count + 1, sizeof *crash->sizes))
            return -ENOMEM;
        crash->sizes[crash->size_count++] = (struct dw_sim_pending_size){
            .inode = event->file, .is_completed = true, .size = event->value, .issue = index};
        return 0;
    }
    size_t kept = 0;
    for (size_t i = 0; i < crash->version_count; i++) {
        const struct dw_sim_version *version = &crash->versions[i];
        if (version->inode != event->file || version->sector * DW_SIM_SECTOR_SIZE < event->value)
            crash->versions[kept++] = *version;
    }
    crash->version_count = kept;
    grow_durable_size(crash, event->file, UINT64_MAX); /* drops what is pending */
    return dw_sim_inode_resize(&crash->arena, &crash->durable.inodes[event->file], event->value);
}

static int see_name(struct dw_sim_crash *crash, const struct dw_sim_event *event, uint64_t index)
{
    struct dw_sim_medium *durable = &crash->durable;
    if (event->kind == DW_SIM_CREATE) { /* the inode is there at once, though no name leads to it */
        if (dw_sim_grow((void **)&durable->inodes, &durable->inode_capacity, event->file + 1u, sizeof *durable->inodes))
            return -ENOMEM;
        while (durable->inode_count <= event->file)
            durable->inodes[durable->inode_count++] = (struct dw_sim_inode){0};
    }
    if (dw_sim_grow((void **)&crash->names, &crash->names_capacity, crash->names_count + 1, sizeof *crash->names))
        return -ENOMEM;
    crash->names[crash->names_count++] = index;
    return 0;
}

static int sync_names(struct dw_sim_crash *crash, const struct dw_sim_event *event)
{
    if (event->result)
        return 0;
    int result = 0;
    for (size_t i = 0; i < crash->names_count && result == 0; i++)
        result = dw_sim_medium_name(&crash->durable, &crash->disk->events[crash->names[i]]);
    crash->names_count = 0;
    return result;
}

static int see_damage(struct dw_sim_crash *crash, const struct dw_sim_event *event, uint64_t index)
{
    uint64_t count = event->size / DW_SIM_SECTOR_SIZE, first = event->offset / DW_SIM_SECTOR_SIZE;
    int result = 0;
    for (uint64_t i = 0; i < count && result == 0; i++)
        result = set_durable(crash, event, first + i);
    drop_covered(crash, event, index);
    return result;
}

int dw_sim_crash_step(struct dw_sim_crash *crash, const struct dw_sim_event *event, uint64_t index)
{
    switch (event->kind) {
    case DW_SIM_ISSUE:
        return see_issue(crash, event, index);
    case DW_SIM_COMPLETE:
        return see_complete(crash, event);
    case DW_SIM_SYNC:
        return sync_file(crash, event);
    case DW_SIM_SIZE:
        return set_size(crash, event, index);
    case DW_SIM_CREATE:
    case DW_SIM_RENAME:
    case DW_SIM_UNLINK:
        return see_name(crash, event, index);
    case DW_SIM_SYNC_NAMES:
        return sync_names(crash, event);
    case DW_SIM_DAMAGE:
        return see_damage(crash, event, index);
    case DW_SIM_MARK:
        break;
    }
    return 0;
}

/* ---- life ---- */
static int restart(struct dw_sim_crash *crash)
{
    dw_sim_arena_reset(&crash->arena);
    crash->event = crash->order = 0;
    crash->version_count = crash->size_count = crash->names_count = 0;
    crash->is_built = false;
    return dw_sim_medium_copy(&crash->durable, &crash->disk->start);
}

int dw_sim_crash_create(struct dw_disk *base, const struct dw_sim_crash_options *options, struct dw_sim_crash **created)
{
    struct dw_sim_disk *disk = dw_sim_of(base);
    dw_assert(!disk->options.is_history_off);
    struct dw_sim_crash *crash = dw_alloc(sizeof *crash);
    *created = NULL;
    if (!crash)
        return -ENOMEM;
    crash->disk = disk;
    if (options)
        crash->options = *options;
    if (crash->options.tear_unit == 0)
        crash->options.tear_unit = DW_SIM_SECTOR_SIZE;
    dw_assert(dw_is_power_of_two(crash->options.tear_unit) && crash->options.tear_unit >= DW_SIM_SECTOR_SIZE);
    dw_assert(crash->options.garbled <= 3);
    pthread_mutex_lock(&disk->lock);
    disk->child_count++;
    int result = restart(crash);
    pthread_mutex_unlock(&disk->lock);
    *created = crash;
    if (result == 0)
        result = dw_sim_crash_seek(crash, 0);
    if (result) {
        dw_sim_crash_close(crash);
        *created = NULL;
    }
    return result;
}

void dw_sim_crash_close(struct dw_sim_crash *crash)
{
    if (!crash)
        return;
    dw_assert(crash->image_count == 0);
    pthread_mutex_lock(&crash->disk->lock);
    crash->disk->child_count--;
    pthread_mutex_unlock(&crash->disk->lock);
    dw_sim_arena_free(&crash->arena);
    dw_sim_medium_free(&crash->durable);
    dw_free(crash->versions);
    dw_free(crash->sizes);
    dw_free(crash->names);
    dw_free(crash->choices);
    dw_free(crash->alternatives);
    dw_free(crash);
}

int dw_sim_crash_seek(struct dw_sim_crash *crash, uint64_t event)
{
    dw_assert(crash->image_count == 0);
    struct dw_sim_disk *disk = crash->disk;
    pthread_mutex_lock(&disk->lock);
    dw_assert(event <= disk->event_count);
    int result = event < crash->event ? restart(crash) : 0;
    bool is_moved = event != crash->event || !crash->is_built;
    while (crash->event < event && result == 0) {
        result = dw_sim_crash_step(crash, &disk->events[crash->event], crash->event);
        crash->event++;
    }
    if (result == 0 && is_moved)
        result = dw_sim_crash_build(crash);
    crash->is_built = result == 0;
    pthread_mutex_unlock(&disk->lock);
    return result;
}

uint64_t dw_sim_crash_event(const struct dw_sim_crash *crash)
{
    return crash->event;
}
