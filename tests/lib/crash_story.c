/* crash_story.c - see crash_story.h. */
#include "tests/lib/crash_story.h"

#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/bits.h"

void dw_crash_story_add(struct dw_crash_story *story, const struct dw_crash_entry *entry)
{
    if (story->count == story->capacity) {
        story->capacity = story->capacity * 2 + 16;
        story->entries = realloc(story->entries, story->capacity * sizeof *story->entries);
        dw_assert(story->entries);
    }
    story->entries[story->count++] = *entry;
}

void dw_crash_story_copy(struct dw_crash_story *target, const struct dw_crash_story *source)
{
    if (target->capacity < source->count) {
        target->capacity = source->count + 16;
        target->entries = realloc(target->entries, target->capacity * sizeof *target->entries);
        dw_assert(target->entries);
    }
    target->count = source->count;
    if (source->count)
        memcpy(target->entries, source->entries, source->count * sizeof *source->entries);
}

void dw_crash_story_free(struct dw_crash_story *story)
{
    free(story->entries);
    *story = (struct dw_crash_story){0};
}

void dw_crash_fill(uint8_t *bytes, size_t size, uint64_t seed)
{
    uint64_t state = seed * UINT64_C(0x9e3779b97f4a7c15) + 1;
    for (size_t done = 0; done < size; done += sizeof state) {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        memcpy(bytes + done, &state, dw_min_size(sizeof state, size - done));
    }
}

static void see_mark(struct dw_crash_facts *facts, uint32_t mark, uint64_t value)
{
    switch ((enum dw_crash_mark)mark) {
    case DW_CRASH_CREATED:
        facts->is_created = true;
        break;
    case DW_CRASH_APPENDED:
        facts->appended = (size_t)value;
        facts->is_closing = facts->is_closed = false;
        break;
    case DW_CRASH_ACKED:
        facts->acked = dw_max_u64(facts->acked, value);
        break;
    case DW_CRASH_CLOSING:
        facts->is_closing = true;
        break;
    case DW_CRASH_CLOSED:
        facts->is_closed = true;
        break;
    case DW_CRASH_OPENED:
        facts->is_opened = true;
        facts->is_closing = facts->is_closed = false;
        facts->kept = facts->appended = (size_t)value;
        break;
    case DW_CRASH_TRIMMING:
        facts->trimming = dw_max_u64(facts->trimming, value);
        break;
    case DW_CRASH_TRIMMED:
        facts->trimmed = dw_max_u64(facts->trimmed, value);
        break;
    }
}

void dw_crash_facts_advance(struct dw_crash_facts *facts, struct dw_disk *disk, uint64_t event)
{
    dw_assert(event >= facts->event);
    for (; facts->event < event; facts->event++) {
        const struct dw_sim_event *seen = dw_sim_event_at(disk, facts->event);
        if (seen->kind == DW_SIM_MARK)
            see_mark(facts, seen->mark, seen->value);
    }
}

size_t dw_crash_facts_least(const struct dw_crash_facts *facts, const struct dw_crash_story *story)
{
    size_t least = facts->kept;
    while (least < story->count && story->entries[least].end <= facts->acked)
        least++;
    return least;
}
