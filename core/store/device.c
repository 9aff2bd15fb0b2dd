/* device.c - the places of a log that lives on a device, alone or beside others: one slot per volume.
 *
 * Owns: the one open file, which carries all locks, and the map of the slots, filled from their headers.
 * Called by: core/store through struct dw_places_ops (see places.h for threads).
 * Happy path: a free slot is taken under the ADMIN lock, after a look at its header: its own header then says whose it is
 * and that it is being filled. It is filled with zeros whatever lay there, becomes a blank of this log, later a volume (the
 * volume header takes the slot header's place), a blank again, and free again. Each step is a durable write of the header,
 * so there are no names to sync, and a crash leaves every slot in one of these states.
 * Failure: -errno. A slot that two volumes of one number claim is told as a stranger; writers refuse such a log.
 * Closing: closes the file, which drops all locks. */
#include "core/store/device.h"

#include <dwal/error.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "alloc/alloc.h"
#include "alloc/arena.h"
#include "base/assert.h"
#include "base/bits.h"

#define BLOCKS_SIZE ((size_t)2 * DW_BLOCK_SIZE_MAX)

_Static_assert(DW_DEVICE_LOGS_MAX == DW_SLOTS_OWNERS_MAX, "every log is an owner");

static void close_places(struct dw_places *places)
{
    struct dw_device *device = dw_device_of(places);
    dw_device_notes_free(device);
    dw_file_close(device->file);
    if (!device->arena)
        dw_free_io(device->blocks);
    dw_free(device);
}

int dw_device_open_file(struct dw_device *device, unsigned flags)
{
    if (device->file)
        return 0;
    return device->places.disk->ops->open(device->places.disk, DW_DEVICE_NAME, flags, &device->file);
}

/* ---- places of slots ---- */

static uint32_t slot_of(const struct dw_place *place)
{
    dw_assert(place->slot > 0);
    return place->slot - 1;
}

static void name_place(struct dw_place *place, enum dw_device_kind kind, uint32_t number, uint32_t slot)
{
    memset(place->name, 0, sizeof place->name);
    if (kind == DW_DEVICE_VOLUME)
        snprintf(place->name, sizeof place->name, "%010u.vol@%u", number, slot);
    else
        snprintf(place->name, sizeof place->name, "%s@%u",
                 kind == DW_DEVICE_BLANK     ? "blank"
                 : kind == DW_DEVICE_FILLING ? "unfinished"
                                             : "damaged",
                 slot);
}

static void place_of(const struct dw_device *device, uint32_t slot, struct dw_place *place)
{
    const struct dw_device_slot *note = &device->notes[slot].slot;
    *place = (struct dw_place){
        .base = dw_device_place_of_slot(&device->info, slot),
        .size = device->info.slot_size,
        .uses = note->uses,
        .slot = slot + 1,
    };
    name_place(place, note->kind, note->number, slot);
}

/* ---- list ---- */

static int tell_place(struct dw_device *device, uint32_t slot, bool is_second, dw_place_fn *fn, void *context)
{
    const struct dw_device_slot *note = &device->notes[slot].slot;
    struct dw_place place;
    if (note->kind != DW_DEVICE_DAMAGED && !dw_device_is_ours(device, note))
        return 0;
    place_of(device, slot, &place);
    switch (note->kind) {
    case DW_DEVICE_VOLUME:
        return fn(context, is_second ? DW_PLACE_STRANGER : DW_PLACE_VOLUME, note->number, place.name, &place);
    case DW_DEVICE_BLANK:
        return fn(context, DW_PLACE_BLANK, DW_VOLUME_NUMBER_NONE, place.name, &place);
    case DW_DEVICE_FILLING:
        return fn(context, DW_PLACE_TEMPORARY, DW_VOLUME_NUMBER_NONE, place.name, &place);
    case DW_DEVICE_DAMAGED:
        return fn(context, DW_PLACE_STRANGER, DW_VOLUME_NUMBER_NONE, place.name, &place);
    case DW_DEVICE_FREE:
        break;
    }
    return 0;
}

/* Does a slot before this one hold a volume of the same number? Then one of the two was claimed twice. */
static bool is_second_claim(const struct dw_device *device, uint32_t slot)
{
    const struct dw_device_slot *note = &device->notes[slot].slot;
    for (uint32_t i = 0; i < slot && note->kind == DW_DEVICE_VOLUME && dw_device_is_ours(device, note); i++) {
        const struct dw_device_slot *other = &device->notes[i].slot;
        if (other->kind == DW_DEVICE_VOLUME && other->owner == note->owner && other->number == note->number)
            return true;
    }
    return false;
}

static int compare_numbers(const void *a, const void *b)
{
    const uint32_t *left = a, *right = b;
    return *left < *right ? -1 : *left > *right;
}

/* Is there any number that two slots claim? Looked for in sorted order, since a device may have very many slots. */
static int look_for_second_claims(const struct dw_device *device, bool *has_second)
{
    uint32_t count = 0;
    *has_second = false;
    uint32_t *numbers = dw_alloc((size_t)(device->note_count + 1) * sizeof *numbers);
    if (!numbers)
        return -ENOMEM;
    for (uint32_t slot = 0; slot < device->note_count; slot++)
        if (device->notes[slot].slot.kind == DW_DEVICE_VOLUME && dw_device_is_ours(device, &device->notes[slot].slot))
            numbers[count++] = device->notes[slot].slot.number;
    qsort(numbers, count, sizeof *numbers, compare_numbers);
    for (uint32_t i = 1; i < count; i++)
        *has_second = *has_second || numbers[i] == numbers[i - 1];
    dw_free(numbers);
    return 0;
}

static int tell_slots(struct dw_device *device, dw_place_fn *fn, void *context)
{
    bool has_second;
    int looked = look_for_second_claims(device, &has_second);
    if (looked != 0)
        return looked;
    for (uint32_t slot = 0; slot < device->note_count; slot++) {
        bool is_second = has_second && is_second_claim(device, slot);
        if (is_second && device->is_locked)
            return dw_device_explain(
                device, -EUCLEAN, DWAL_ECORRUPT,
                "volume %u of the log on %s lies in two slots, the second one is %u: one of them was "
                "claimed twice",
                device->notes[slot].slot.number, device->places.disk->path, slot);
        int result = tell_place(device, slot, is_second, fn, context);
        if (result != 0)
            return result;
    }
    return 0;
}

static int find_superblock(struct dw_device *device, bool is_writing)
{
    int result = dw_device_super_load(device, is_writing);
    if (result == 0)
        result = dw_device_find_log(device);
    for (uint32_t copy = 0; copy < DW_SUPERBLOCK_COPIES && result == 0; copy++)
        device->copies[copy] = dw_device_place_of_log_copy(&device->info, device->log, copy);
    return result;
}

/* A writer knows its slots without looking: nobody else changes them. A reader that follows a writer need not look again
 * before the writer's superblock says something new: every claim does. */
static bool is_up_to_date(const struct dw_device *device)
{
    return device->is_scanned && (device->is_locked || device->scanned_sequence == device->seen_sequence);
}

/* The device's own superblock anew, even right after super_open: since then a writer may have used slots for the first time
 * and said so in the log's superblock, and a scan that ends at an older `slots_used` would miss what that one claims. */
static int scan_for_list(struct dw_device *device)
{
    device->scanned_sequence =
        device->seen_sequence; /* before, so that what is claimed meanwhile is looked for again */
    int result = device->is_locked ? 0 : find_superblock(device, false);
    return result == 0 ? dw_device_scan_all(device) : result;
}

static int list_places(struct dw_places *places, dw_place_fn *fn, void *context)
{
    struct dw_device *device = dw_device_of(places);
    uint32_t log = device->log;
    int result = dw_device_open_file(device, DW_OPEN_WRITE);
    if (result == 0 && !device->is_found)
        result = dw_device_super_load(device, false);
    if (result != 0 || !device->is_found)
        return result;
    if (log == DW_DEVICE_NO_LOG) { /* before super_open: is there a log of this name? */
        for (uint32_t i = 0; i < DW_DEVICE_LOGS_MAX && log == DW_DEVICE_NO_LOG; i++)
            if (device->info.logs[i].state == DW_DEVICE_LOG_READY &&
                strcmp(device->info.logs[i].name, device->name) == 0)
                log = i;
        if (log == DW_DEVICE_NO_LOG)
            return 0;
    }
    struct dw_place super = {.name = "superblock", .size = DW_DEVICE_STRIDE};
    result = device->info.logs[log].state == DW_DEVICE_LOG_READY
                 ? fn(context, DW_PLACE_SUPERBLOCK, DW_VOLUME_NUMBER_NONE, super.name, &super)
                 : 0;
    if (result == 0 && device->log != DW_DEVICE_NO_LOG && !is_up_to_date(device))
        result = scan_for_list(device);
    if (result != 0 || device->log == DW_DEVICE_NO_LOG)
        return result;
    return tell_slots(device, fn, context);
}

static int sync_names(struct dw_places *places)
{
    return places->disk->ops->sync_names(places->disk); /* no names; a shared device may become our own here */
}

static bool recall_headers(struct dw_places *places, const struct dw_place *place, uint32_t block_size, void *blocks)
{
    struct dw_device *device = dw_device_of(places);
    struct dw_device_note *note = &device->notes[slot_of(place)];
    if (!note->headers)
        return false;
    memset(blocks, 0, (size_t)2 * block_size);
    memcpy(blocks, note->headers, DW_VOLUME_HEADER_SIZE);
    memcpy((uint8_t *)blocks + block_size, note->headers + DW_VOLUME_HEADER_SIZE, DW_VOLUME_HEADER_SIZE);
    dw_free(note->headers);
    note->headers = NULL;
    return true;
}

/* ---- superblock of the log ---- */

static int super_open(struct dw_places *places, bool is_writing)
{
    struct dw_device *device = dw_device_of(places);
    int result = dw_device_open_file(device, is_writing ? DW_OPEN_WRITE : DW_OPEN_READ);
    return result == 0 ? find_superblock(device, is_writing) : result;
}

static int super_read(struct dw_places *places, uint32_t block_size, uint32_t copy, void *block)
{
    struct dw_device *device = dw_device_of(places);
    if (device->file->alignment > block_size)
        return -EINVAL;
    memset(block, 0, block_size);
    size_t done = 0;
    int result = dw_file_read(device->file, block, block_size, device->copies[copy], &done);
    struct dw_superblock_info info;
    if (result == 0 && dw_superblock_decode(block, block_size, &info) == DW_DECODED_OK)
        device->seen_sequence = dw_max_u64(device->seen_sequence, info.sequence);
    return result;
}

static int super_write(struct dw_places *places, uint32_t block_size, uint32_t copy, const void *block)
{
    struct dw_device *device = dw_device_of(places);
    return dw_file_write_durable(device->file, block, block_size, device->copies[copy]);
}

static int super_sync(struct dw_places *places)
{
    return dw_file_sync(dw_device_of(places)->file);
}

/* Whoever gets the lock looks at the device anew: it may have been made larger by the writer before. */
static int super_lock(struct dw_places *places, enum dw_lock_mode mode)
{
    struct dw_device *device = dw_device_of(places);
    uint8_t log_id[16];
    memcpy(log_id, device->info.logs[device->log].log_id, sizeof log_id);
    int result = places->disk->ops->lock(device->file, dw_device_writer_lock(device->log), mode);
    if (result != 0 || mode == DW_LOCK_NONE)
        return result;
    result = find_superblock(device, true);
    if (result == 0 && memcmp(device->info.logs[device->log].log_id, log_id, sizeof log_id) != 0)
        result = -ESTALE; /* formatted anew meanwhile */
    device->is_locked = result == 0;
    device->is_scanned = false;
    return result;
}

static int super_lock_test(struct dw_places *places, bool *is_held)
{
    struct dw_device *device = dw_device_of(places);
    return places->disk->ops->lock_test(device->file, dw_device_writer_lock(device->log), is_held);
}

/* The log's copies first; then the device knows the log. */
static int super_create(struct dw_places *places, uint32_t block_size, const void *copies)
{
    struct dw_device *device = dw_device_of(places);
    dw_assert(device->is_locked);
    for (uint32_t copy = 0; copy < DW_SUPERBLOCK_COPIES; copy++) {
        int result = super_write(places, block_size, copy, (const uint8_t *)copies + (size_t)copy * block_size);
        if (result != 0)
            return result;
    }
    int result = dw_device_admin_wait(device);
    if (result != 0)
        return result;
    result = dw_device_super_load(device, true);
    if (result == 0) {
        device->info.logs[device->log].state = DW_DEVICE_LOG_READY;
        result = dw_device_super_write(device);
    }
    dw_device_admin_end(device);
    return result;
}

/* ---- volumes ---- */

static int open_place(struct dw_places *places, const struct dw_place *place, unsigned flags, struct dw_file **file)
{
    struct dw_device *device = dw_device_of(places);
    (void)place;
    (void)flags; /* the one file was opened as this store needs it */
    *file = device->file;
    return 0;
}

/* The WRITER lock of the log is on the descriptor that carries all its writes: no slot needs one of its own. */
static int lock_place(struct dw_places *places, const struct dw_place *place, struct dw_file *file,
                      enum dw_lock_kind kind, enum dw_lock_mode mode)
{
    struct dw_device *device = dw_device_of(places);
    if (kind == DW_LOCK_WRITER)
        return 0;
    int result = places->disk->ops->lock(file, dw_device_pin_lock(slot_of(place)), mode);
    if (result == 0)
        device->notes[slot_of(place)].has_pin = mode != DW_LOCK_NONE;
    return result;
}

static void shut_place(struct dw_places *places, const struct dw_place *place, struct dw_file *file)
{
    struct dw_device *device = dw_device_of(places);
    if (file && device->notes[slot_of(place)].has_pin)
        (void)lock_place(places, place, file, DW_LOCK_PIN, DW_LOCK_NONE); /* else the end of the store gives it back */
}

/* ---- blanks ---- */

static int change_place(struct dw_device *device, struct dw_place *place, enum dw_slot_state state)
{
    uint32_t slot = slot_of(place);
    dw_assert(device->notes[slot].slot.owner == device->log);
    int result = dw_device_slot_write(device, slot, state, place->uses);
    if (result == 0)
        name_place(place, device->notes[slot].slot.kind, 0, slot);
    return result;
}

/* The caller has written the volume header, which tells the number and the slot: so it is a volume. */
static int claim_blank(struct dw_places *places, struct dw_place *place, uint32_t number)
{
    struct dw_device *device = dw_device_of(places);
    struct dw_device_slot *note = &device->notes[slot_of(place)].slot;
    dw_assert(note->kind == DW_DEVICE_BLANK && note->owner == device->log);
    dw_slots_use(device->slots, slot_of(place));
    note->kind = DW_DEVICE_VOLUME;
    note->number = number;
    note->uses = ++place->uses;
    name_place(place, DW_DEVICE_VOLUME, number, slot_of(place));
    return 0;
}

static int recycle_volume(struct dw_places *places, struct dw_place *place)
{
    return change_place(dw_device_of(places), place, DW_SLOT_STATE_BLANK);
}

static int make_end(struct dw_places *places, struct dw_place *place)
{
    return change_place(dw_device_of(places), place, DW_SLOT_STATE_BLANK);
}

/* Under ADMIN, so that nobody takes the slot between the two writes of its header. */
static int remove_place(struct dw_places *places, const struct dw_place *place)
{
    struct dw_device *device = dw_device_of(places);
    uint32_t slot = slot_of(place);
    dw_assert(device->notes[slot].slot.owner == device->log);
    int result = dw_device_admin_begin(device);
    if (result != 0)
        return result;
    result = dw_device_slot_write(device, slot, DW_SLOT_STATE_FREE, place->uses);
    if (result == 0)
        result = dw_slots_give(device->slots, slot, device->log);
    dw_device_admin_end(device);
    return result;
}

/* ---- making ---- */

static int make_begin(struct dw_places *places, struct dw_place *place, struct dw_file **file)
{
    struct dw_device *device = dw_device_of(places);
    uint32_t slot = 0;
    int result = dw_device_admin_begin(device);
    if (result == -EAGAIN)
        return -ENOSPC; /* somebody is very slow: the maker comes again */
    if (result != 0)
        return result;
    result = dw_device_take(device, &slot);
    dw_device_admin_end(device);
    if (result != 0)
        return result;
    place_of(device, slot, place);
    place->head_size = (uint64_t)2 * device->info.block_size;
    *file = device->file;
    return 0;
}

static const struct dw_places_ops device_ops = {
    .name = "device",
    .close = close_places,
    .list = list_places,
    .sync_names = sync_names,
    .super_open = super_open,
    .super_read = super_read,
    .super_write = super_write,
    .super_sync = super_sync,
    .super_lock = super_lock,
    .super_lock_test = super_lock_test,
    .super_create = super_create,
    .open = open_place,
    .shut = shut_place,
    .lock = lock_place,
    .claim = claim_blank,
    .recycle = recycle_volume,
    .remove = remove_place,
    .make_begin = make_begin,
    .make_end = make_end,
    .prepare = dw_device_prepare,
    .mend = dw_device_mend,
    .recall = recall_headers,
};

int dw_places_device_open(struct dw_disk *disk, const char *name, struct dw_arena *arena, struct dw_places **places)
{
    struct dw_device *device = dw_alloc(sizeof *device);
    if (!device)
        return -ENOMEM;
    device->places.ops = &device_ops;
    device->places.disk = disk;
    device->log = DW_DEVICE_NO_LOG;
    snprintf(device->name, sizeof device->name, "%s", name);
    device->arena = arena;
    device->blocks =
        arena ? dw_arena_take(arena, BLOCKS_SIZE, DW_BLOCK_SIZE_MAX) : dw_alloc_io(BLOCKS_SIZE, DW_BLOCK_SIZE_MAX);
    if (!device->blocks) {
        dw_free(device);
        return -ENOMEM;
    }
    *places = &device->places;
    return 0;
}
