/* slots.h - who has which slot of a device: a map in memory, without I/O, that chooses the next slot to take.
 *
 * Owns: one entry per slot. Nothing of it is stored: whoever uses it fills it anew from what the slots themselves say.
 * Called by: core/store, one thread at a time; several maps of one device may exist in several processes, so a choice is
 * a proposal: the caller looks at the slot itself before it believes.
 * Happy path: dw_slots_set for every slot -> dw_slots_choose -> (the caller makes it so on the device) -> dw_slots_take ->
 * dw_slots_give. The slot that was used least is chosen first, in turns among equals, so that wear spreads.
 * Fair sharing: an owner below its share (all slots divided by the number of owners, and never above its quota) may
 * always take a free slot; one at or above it leaves DW_SLOTS_KEPT free slots for each owner that is below.
 * Failure: -ENOSPC, -EDQUOT; a slot that two claim is -EEXIST and stays with the first. */
#ifndef DW_ALLOC_SLOTS_H
#define DW_ALLOC_SLOTS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/compiler.h"

#define DW_SLOTS_OWNERS_MAX 32u
#define DW_SLOTS_KEPT       2u
#define DW_SLOT_FREE        0xfffffffeu /* owners that are none */
#define DW_SLOT_DAMAGED     0xffffffffu /* nobody knows whose: never handed out */

struct dw_slots;

struct dw_slots_summary {
    uint32_t total, free, damaged;
    uint32_t owned[DW_SLOTS_OWNERS_MAX];
    uint32_t longest_free_run, longest_free_at; /* slots in a row */
    uint64_t uses_least, uses_most, uses_total;
};

/* All `count` slots are free and unused. NULL: no memory. */
DW_NODISCARD struct dw_slots *dw_slots_create(uint32_t count);
void dw_slots_destroy(struct dw_slots *slots); /* NULL is fine */
/* More slots at the end, free and unused. -ENOMEM: nothing changed. */
DW_NODISCARD int dw_slots_grow(struct dw_slots *slots, uint32_t count);
uint32_t dw_slots_count(const struct dw_slots *slots);

/* How many slots `owner` may have at most; 0: no limit of its own. `is_there`: it counts when shares are made. */
void dw_slots_set_owner(struct dw_slots *slots, uint32_t owner, bool is_there, uint32_t quota);
/* What the slot itself says: its owner (or FREE, DAMAGED) and how often it was a volume. */
void dw_slots_set(struct dw_slots *slots, uint32_t slot, uint32_t owner, uint64_t uses);
uint32_t dw_slots_owner(const struct dw_slots *slots, uint32_t slot);
uint64_t dw_slots_uses(const struct dw_slots *slots, uint32_t slot);

/* The slot that `owner` should take next; nothing changes: the same is proposed until it is taken or set to something
 * else. -EDQUOT: its quota is used up; -ENOSPC: none is free for it. */
DW_NODISCARD int dw_slots_choose(const struct dw_slots *slots, uint32_t owner, uint32_t *slot);
/* A free slot gets an owner. -EEXIST: it has one (or is damaged). */
DW_NODISCARD int dw_slots_take(struct dw_slots *slots, uint32_t slot, uint32_t owner);
/* It was made a volume once more. */
void dw_slots_use(struct dw_slots *slots, uint32_t slot);
/* Back to the free ones. -EPERM: it is not `owner`'s. */
DW_NODISCARD int dw_slots_give(struct dw_slots *slots, uint32_t slot, uint32_t owner);

void dw_slots_summarize(const struct dw_slots *slots, struct dw_slots_summary *summary);

#endif
