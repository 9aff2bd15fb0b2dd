/* crash_image.c - builds crash images in memory: see crash_image.h. */
#include "tests/vm/crash_image.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/proof/kill.h"

enum { UNDECIDED_MAX = 4096 };

static uint64_t draw(struct crash_builder *builder, uint64_t below)
{
    builder->random = kill_mix(builder->random + UINT64_C(0x9e3779b97f4a7c15));
    return builder->random % below;
}

void crash_builder_init(struct crash_builder *builder, const struct write_log *log, const unsigned char *base,
                        size_t size, uint32_t sector, uint64_t seed)
{
    *builder = (struct crash_builder){.log = log, .size = size, .sector = sector, .random = seed};
    builder->image = malloc(size);
    builder->completed = calloc(size / sector, sizeof *builder->completed);
    if (!builder->image || !builder->completed)
        abort();
    memcpy(builder->image, base, size);
}

void crash_builder_free(struct crash_builder *builder)
{
    free(builder->image);
    free(builder->completed);
}

/* Puts one sector of `entry` at its place in `image`. Discarded sectors read as zeros on this device. */
static void put_sector(const struct crash_builder *builder, unsigned char *image, const struct write_entry *entry,
                       uint64_t index)
{
    unsigned char *to = image + entry->offset + index * builder->sector;
    if (entry->bytes)
        memcpy(to, entry->bytes + index * builder->sector, builder->sector);
    else
        memset(to, 0, builder->sector);
}

static void check_place(const struct crash_builder *builder, const struct write_entry *entry)
{
    if (entry->offset > builder->size || entry->size > builder->size - entry->offset ||
        entry->offset % builder->sector != 0 || entry->size % builder->sector != 0) {
        fprintf(stderr, "crash image: a write of %llu bytes at %llu\n", (unsigned long long)entry->size,
                (unsigned long long)entry->offset);
        exit(3);
    }
}

static void apply_for_good(struct crash_builder *builder, const struct write_entry *entry)
{
    check_place(builder, entry);
    uint64_t *completed = builder->completed + entry->offset / builder->sector;
    for (uint64_t i = 0; i < entry->size / builder->sector; i++) {
        if (completed[i] > entry->completed)
            continue;
        completed[i] = entry->completed;
        put_sector(builder, builder->image, entry, i);
    }
}

bool crash_cut_is_useful(const struct write_log *log, size_t cut)
{
    if (cut == 0 || cut > log->count)
        return false;
    const struct write_entry *last = &log->entries[cut - 1];
    if (write_entry_is_data(last) && !(last->flags & WRITE_FUA))
        return false;
    return cut == log->count || !(log->entries[cut].flags & WRITE_MARK);
}

/* The latest moment at which what follows the cut was not yet on stable storage: when the next write with FUA completed, or the
 * last of the plain writes that the next flush took along. */
static uint64_t horizon(const struct crash_builder *builder)
{
    uint64_t event = builder->event;
    for (size_t i = builder->cut; i < builder->log->count && write_entry_is_data(&builder->log->entries[i]); i++) {
        const struct write_entry *entry = &builder->log->entries[i];
        if (entry->completed > event)
            event = entry->completed;
        if (entry->flags & WRITE_FUA)
            break;
    }
    return event;
}

void crash_builder_advance(struct crash_builder *builder, size_t cut)
{
    for (; builder->cut < cut; builder->cut++) {
        const struct write_entry *entry = &builder->log->entries[builder->cut];
        if (write_entry_is_data(entry))
            apply_for_good(builder, entry);
        if (entry->completed > builder->event)
            builder->event = entry->completed;
    }
}

static int by_completion(const void *left, const void *right)
{
    const struct write_entry *a = *(const struct write_entry *const *)left;
    const struct write_entry *b = *(const struct write_entry *const *)right;
    return a->completed < b->completed ? -1 : a->completed > b->completed;
}

/* In the order of their completion. */
static size_t find_undecided(const struct crash_builder *builder, const struct write_entry *found[UNDECIDED_MAX])
{
    size_t count = 0;
    uint64_t event = horizon(builder);
    for (size_t i = builder->cut; i < builder->log->count; i++) {
        const struct write_entry *entry = &builder->log->entries[i];
        if (!write_entry_is_data(entry) || entry->sent > event)
            continue;
        if (count == UNDECIDED_MAX) {
            fprintf(stderr, "crash image: more than %d undecided writes\n", UNDECIDED_MAX);
            exit(3);
        }
        found[count++] = entry;
    }
    qsort(found, count, sizeof(const struct write_entry *), by_completion);
    return count;
}

size_t crash_builder_undecided(const struct crash_builder *builder)
{
    static const struct write_entry *found[UNDECIDED_MAX];
    return find_undecided(builder, found);
}

/* How much of an undecided write is on the medium, in this image. */
enum share { SHARE_NONE, SHARE_ALL, SHARE_SOME };

size_t crash_builder_make(struct crash_builder *builder, enum crash_kind kind, unsigned char *target)
{
    static const struct write_entry *found[UNDECIDED_MAX];
    size_t count = find_undecided(builder, found);
    size_t missing = 0;
    memcpy(target, builder->image, builder->size);
    for (size_t i = 0; i < count; i++) {
        const struct write_entry *entry = found[i];
        check_place(builder, entry);
        enum share share = kind == CRASH_KEEPS_ALL ? SHARE_ALL : SHARE_NONE;
        if (kind == CRASH_KEEPS_SOME)
            share = (enum share)draw(builder, 3);
        if (share == SHARE_SOME && entry->offset < builder->whole_below)
            share = SHARE_NONE;
        missing += share != SHARE_ALL;
        const uint64_t *completed = builder->completed + entry->offset / builder->sector;
        for (uint64_t s = 0; s < entry->size / builder->sector; s++)
            if (share != SHARE_NONE && completed[s] < entry->completed && (share == SHARE_ALL || draw(builder, 2)))
                put_sector(builder, target, entry, s);
    }
    return missing;
}
