/* device_take.c - a free slot becomes ours: choose one, make sure that it is free, write whose it is.
 *
 * Called by: make_begin of device.c, under the ADMIN lock, one thread. The map is a proposal, for other processes take and
 * give back slots too; the slot's own header is the truth and is read before it is believed.
 * Happy path: catch up with the device's superblock -> the map proposes -> header read, PIN lock tried (a reader may be late)
 * -> header written: FILLING, ours -> a slot that was never used before is counted as used.
 * Failure: -EDQUOT, -ENOSPC: the maker comes again; each time some slots of others are looked at anew. */
#include <errno.h>

#include "base/assert.h"
#include "core/store/device.h"

enum { LOOK_AGAIN_AT_ONCE = 64, PASSED_OVER_MAX = 16 };

/* What others did since: logs that came and went, slots that were used for the first time. */
static int catch_up(struct dw_device *device)
{
    uint32_t used = device->info.slots_used;
    int result = dw_device_super_load(device, true);
    if (result != 0)
        return result;
    if (!device->is_found || device->note_count != device->info.slot_count)
        return -ESTALE;
    dw_device_set_owners(device);
    return dw_device_scan(device, used, device->info.slots_used);
}

/* Nothing is free as far as we know: look at some slots of others, so that what they gave back is found. */
static int look_again(struct dw_device *device, bool *is_found)
{
    uint32_t looked = 0;
    *is_found = false;
    for (uint32_t i = 0; i < device->info.slots_used && looked < LOOK_AGAIN_AT_ONCE; i++) {
        uint32_t slot = device->look_next++ % device->info.slots_used;
        uint32_t owner = dw_slots_owner(device->slots, slot);
        if (owner == device->log || owner == DW_SLOT_FREE)
            continue;
        int result = dw_device_scan(device, slot, slot + 1);
        if (result != 0)
            return result;
        *is_found = *is_found || dw_slots_owner(device->slots, slot) == DW_SLOT_FREE;
        looked++;
    }
    return 0;
}

/* A proposal of the map that holds: the slot's own header says so, and no late reader has it pinned (-EAGAIN). */
static int try_slot(struct dw_device *device, uint32_t slot)
{
    int result = slot < device->info.slots_used ? dw_device_scan(device, slot, slot + 1) : 0;
    if (result == 0 && dw_slots_owner(device->slots, slot) != DW_SLOT_FREE)
        result = -EEXIST;
    if (result != 0)
        return result;
    const struct dw_disk_ops *ops = device->places.disk->ops;
    result = ops->lock(device->file, dw_device_pin_lock(slot), DW_LOCK_EXCLUSIVE);
    if (result != 0)
        return result;
    result = dw_device_slot_write(device, slot, DW_SLOT_STATE_FILLING, device->notes[slot].slot.uses);
    if (result == 0 && slot >= device->info.slots_used) {
        device->info.slots_used = slot + 1; /* last: until then what lies in the slot means nothing */
        result = dw_device_super_write(device);
    }
    /* From here on a reader that comes late sees by the header that what it wants is gone. */
    (void)ops->lock(device->file, dw_device_pin_lock(slot), DW_LOCK_NONE);
    return result == 0 ? dw_slots_take(device->slots, slot, device->log) : result;
}

static int choose_slot(struct dw_device *device, uint32_t *slot)
{
    int result = dw_slots_choose(device->slots, device->log, slot);
    if (result == -ENOSPC) {
        bool is_found;
        result = look_again(device, &is_found);
        if (result == 0)
            result = is_found ? dw_slots_choose(device->slots, device->log, slot) : -ENOSPC;
    }
    if (result == 0 && *slot > device->info.slots_used) {
        *slot = device->info.slots_used; /* slots are used for the first time in order */
        if (dw_slots_owner(device->slots, *slot) != DW_SLOT_FREE)
            return -ENOSPC; /* passed over just now */
    }
    return result;
}

int dw_device_take(struct dw_device *device, uint32_t *slot)
{
    uint32_t pinned[PASSED_OVER_MAX], count = 0;
    int result = catch_up(device);
    while (result == 0) {
        result = choose_slot(device, slot);
        if (result != 0)
            break;
        result = try_slot(device, *slot);
        if (result == 0)
            break;
        if (result == -EAGAIN && count < PASSED_OVER_MAX) { /* out of sight for the rest of this search */
            pinned[count++] = *slot;
            dw_slots_set(device->slots, *slot, DW_SLOT_DAMAGED, dw_slots_uses(device->slots, *slot));
        }
        if (result == -EEXIST || result == -EAGAIN)
            result = count < PASSED_OVER_MAX ? 0 : -ENOSPC;
    }
    for (uint32_t i = 0; i < count; i++)
        dw_slots_set(device->slots, pinned[i], DW_SLOT_FREE, dw_slots_uses(device->slots, pinned[i]));
    return result;
}
