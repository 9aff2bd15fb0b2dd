/* crash_story.c - see crash_story.h. */
#include "tests/lib/crash_story.h"

#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/bits.h"

static void add(struct dw_crash_entry **list, size_t *count, size_t *capacity, const struct dw_crash_entry *entries,
                size_t more)
{
    if (*count + more > *capacity) {
        *capacity = *capacity * 2 + more + 16;
        *list = realloc(*list, *capacity * sizeof **list);
        dw_assert(*list);
    }
    if (more)
        memcpy(*list + *count, entries, more * sizeof **list);
    *count += more;
}

void dw_crash_story_add(struct dw_crash_story *story, const struct dw_crash_entry *entry)
{
    add(&story->entries, &story->count, &story->capacity, entry, 1);
}

void dw_crash_story_cut(struct dw_crash_story *story, size_t count)
{
    add(&story->dropped, &story->dropped_count, &story->dropped_capacity, story->entries + count, story->count - count);
    story->count = count;
}

void dw_crash_story_copy(struct dw_crash_story *target, const struct dw_crash_story *source)
{
    target->count = target->dropped_count = 0;
    add(&target->entries, &target->count, &target->capacity, source->entries, source->count);
    add(&target->dropped, &target->dropped_count, &target->dropped_capacity, source->dropped, source->dropped_count);
}

void dw_crash_story_free(struct dw_crash_story *story)
{
    free(story->entries);
    free(story->dropped);
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
    case DW_CRASH_DURABLE_BLOCK:
        facts->durable_block = value;
        break;
    case DW_CRASH_CLOSING:
        facts->is_closing = true;
        break;
    case DW_CRASH_CLOSED:
        facts->is_closed = true;
        break;
    case DW_CRASH_OPENING:
        facts->is_closed = false;
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
    for (size_t i = least; i < story->count && story->entries[i].end <= facts->acked; i++) {
        if (!story->entries[i].is_more) /* a batch is acknowledged by its last entry */
            least = i + 1;
    }
    return least;
}
