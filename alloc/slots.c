/* slots.c - the map of a device's slots; see slots.h. Pure: memory only. */
#include "alloc/slots.h"

#include <errno.h>

#include "alloc/alloc.h"
#include "base/assert.h"
#include "base/bits.h"

struct slot {
    uint64_t uses;
    uint32_t owner;
};

struct owner {
    bool is_there;
    uint32_t quota; /* 0: none */
    uint32_t owned;
};

struct dw_slots {
    struct slot *slots;
    uint32_t count;
    uint32_t free;
    uint32_t turn; /* where the next search among equals begins: behind the slot taken last */
    struct owner owners[DW_SLOTS_OWNERS_MAX];
};

static bool is_owner(uint32_t owner)
{
    return owner < DW_SLOTS_OWNERS_MAX;
}

/* ---- life ---- */

struct dw_slots *dw_slots_create(uint32_t count)
{
    struct dw_slots *slots = dw_alloc(sizeof *slots);
    if (slots && count > 0 && dw_slots_grow(slots, count) != 0) {
        dw_free(slots);
        return NULL;
    }
    return slots;
}

void dw_slots_destroy(struct dw_slots *slots)
{
    if (slots)
        dw_free(slots->slots);
    dw_free(slots);
}

int dw_slots_grow(struct dw_slots *slots, uint32_t count)
{
    dw_assert(count >= slots->count);
    struct slot *grown = dw_realloc(slots->slots, (size_t)count * sizeof *grown);
    if (!grown)
        return -ENOMEM;
    for (uint32_t i = slots->count; i < count; i++)
        grown[i] = (struct slot){.owner = DW_SLOT_FREE};
    slots->free += count - slots->count;
    slots->slots = grown;
    slots->count = count;
    return 0;
}

uint32_t dw_slots_count(const struct dw_slots *slots)
{
    return slots->count;
}

/* ---- what the device says ---- */

void dw_slots_set_owner(struct dw_slots *slots, uint32_t owner, bool is_there, uint32_t quota)
{
    dw_assert(is_owner(owner));
    slots->owners[owner].is_there = is_there;
    slots->owners[owner].quota = quota;
}

static void change_owner(struct dw_slots *slots, uint32_t slot, uint32_t owner)
{
    uint32_t before = slots->slots[slot].owner;
    if (before == DW_SLOT_FREE)
        slots->free--;
    else if (is_owner(before))
        slots->owners[before].owned--;
    if (owner == DW_SLOT_FREE)
        slots->free++;
    else if (is_owner(owner))
        slots->owners[owner].owned++;
    slots->slots[slot].owner = owner;
}

void dw_slots_set(struct dw_slots *slots, uint32_t slot, uint32_t owner, uint64_t uses)
{
    dw_assert(slot < slots->count);
    dw_assert(is_owner(owner) || owner == DW_SLOT_FREE || owner == DW_SLOT_DAMAGED);
    change_owner(slots, slot, owner);
    slots->slots[slot].uses = uses;
}

uint32_t dw_slots_owner(const struct dw_slots *slots, uint32_t slot)
{
    dw_assert(slot < slots->count);
    return slots->slots[slot].owner;
}

uint64_t dw_slots_uses(const struct dw_slots *slots, uint32_t slot)
{
    dw_assert(slot < slots->count);
    return slots->slots[slot].uses;
}

/* ---- sharing ---- */

static uint32_t share_of(const struct dw_slots *slots, const struct owner *owner)
{
    uint32_t owners = 0;
    for (uint32_t i = 0; i < DW_SLOTS_OWNERS_MAX; i++)
        owners += slots->owners[i].is_there;
    uint32_t share = slots->count / (owners > 0 ? owners : 1);
    return owner->quota != 0 && owner->quota < share ? owner->quota : share;
}

/* Free slots that an owner at or above its share has to leave to those below theirs. */
static uint32_t kept_for_others(const struct dw_slots *slots, uint32_t owner)
{
    uint32_t kept = 0;
    for (uint32_t i = 0; i < DW_SLOTS_OWNERS_MAX; i++) {
        const struct owner *other = &slots->owners[i];
        uint32_t share = share_of(slots, other);
        if (i == owner || !other->is_there || other->owned >= share)
            continue;
        uint32_t missing = share - other->owned;
        kept += missing < DW_SLOTS_KEPT ? missing : DW_SLOTS_KEPT;
    }
    return kept;
}

static int may_take(const struct dw_slots *slots, uint32_t owner)
{
    const struct owner *self = &slots->owners[owner];
    if (self->quota != 0 && self->owned >= self->quota)
        return -EDQUOT;
    if (slots->free == 0)
        return -ENOSPC;
    if (self->owned < share_of(slots, self))
        return 0;
    return slots->free > kept_for_others(slots, owner) ? 0 : -ENOSPC;
}

int dw_slots_choose(const struct dw_slots *slots, uint32_t owner, uint32_t *slot)
{
    dw_assert(is_owner(owner));
    int result = may_take(slots, owner);
    if (result != 0)
        return result;
    bool is_found = false;
    for (uint32_t i = 0; i < slots->count; i++) {
        uint32_t at = (uint32_t)(((uint64_t)slots->turn + i) % slots->count);
        if (slots->slots[at].owner != DW_SLOT_FREE)
            continue;
        if (!is_found || slots->slots[at].uses < slots->slots[*slot].uses)
            *slot = at;
        is_found = true;
    }
    dw_assert(is_found);
    return 0;
}

/* ---- changes ---- */

int dw_slots_take(struct dw_slots *slots, uint32_t slot, uint32_t owner)
{
    dw_assert(slot < slots->count && is_owner(owner));
    if (slots->slots[slot].owner != DW_SLOT_FREE)
        return -EEXIST;
    change_owner(slots, slot, owner);
    slots->turn = (slot + 1) % slots->count;
    return 0;
}

void dw_slots_use(struct dw_slots *slots, uint32_t slot)
{
    dw_assert(slot < slots->count && is_owner(slots->slots[slot].owner));
    slots->slots[slot].uses++;
}

int dw_slots_give(struct dw_slots *slots, uint32_t slot, uint32_t owner)
{
    dw_assert(slot < slots->count && is_owner(owner));
    if (slots->slots[slot].owner != owner)
        return -EPERM;
    change_owner(slots, slot, DW_SLOT_FREE);
    return 0;
}

void dw_slots_summarize(const struct dw_slots *slots, struct dw_slots_summary *summary)
{
    *summary = (struct dw_slots_summary){.total = slots->count, .free = slots->free, .uses_least = UINT64_MAX};
    uint32_t run = 0;
    for (uint32_t i = 0; i < slots->count; i++) {
        const struct slot *slot = &slots->slots[i];
        run = slot->owner == DW_SLOT_FREE ? run + 1 : 0;
        if (run > summary->longest_free_run) {
            summary->longest_free_run = run;
            summary->longest_free_at = i + 1 - run;
        }
        if (slot->owner == DW_SLOT_DAMAGED)
            summary->damaged++;
        else if (is_owner(slot->owner))
            summary->owned[slot->owner]++;
        summary->uses_least = dw_min_u64(summary->uses_least, slot->uses);
        summary->uses_most = dw_max_u64(summary->uses_most, slot->uses);
        summary->uses_total += slot->uses;
    }
    if (slots->count == 0)
        summary->uses_least = 0;
}
