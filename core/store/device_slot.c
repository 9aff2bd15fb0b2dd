/* device_slot.c - the headers of slots: what they say, and writing those of slots that are no volume.
 *
 * A slot's state is what its header says: a volume header, or a slot header (free, being filled, blank), in block 0 and
 * again in block 1. A change writes block 0, then block 1, each durably, so at any moment one of the two is whole; when
 * both are sound the first one decides. Slots at and above slots_used were never used, and what lies there is not looked at.
 * Called by: device.c and device_super.c; a scan keeps the reads of many slots under way at once, or, where they can only be done
 * one after another, has a few helper threads, each with its own slots and memory.
 * Failure: neither header sound, or unreadable, or of another slot: DAMAGED, which is handed out to nobody. */
#include <errno.h>
#include <stdatomic.h>
#include <string.h>

#include "alloc/alloc.h"
#include "alloc/arena.h"
#include "base/assert.h"
#include "base/bits.h"
#include "core/base/worker.h"
#include "core/store/device.h"
#include "io/reads.h"

enum {
    HELPERS_MAX = 15,
    SLOTS_PER_HELPER = 16,
    LOOKS_MAX = 64,        /* slots that are read at once */
    LOOKS_MEMORY = 1 << 20 /* for all of them; large blocks mean fewer */
};

/* ---- judging ---- */

static enum dw_device_kind kind_of_state(enum dw_slot_state state)
{
    return state == DW_SLOT_STATE_BLANK ? DW_DEVICE_BLANK : DW_DEVICE_FILLING;
}

/* Of a log that the device does not know: left by a creation that was interrupted, and so nobody's. */
static void set_owner(const struct dw_device *device, const uint8_t log_id[16], enum dw_device_kind kind,
                      struct dw_device_slot *found)
{
    uint32_t log = dw_device_log_by_id(device, log_id);
    found->owner = log == DW_DEVICE_NO_LOG ? DW_SLOT_FREE : log;
    found->kind = log == DW_DEVICE_NO_LOG ? DW_DEVICE_FREE : kind;
}

static bool judge_header(const struct dw_device *device, uint32_t slot, const uint8_t *bytes,
                         struct dw_device_slot *found)
{
    struct dw_slot_info info;
    if (dw_slot_header_decode(device->info.device_id, bytes, slot, &info) == DW_DECODED_OK) {
        found->uses = info.uses;
        if (info.state == DW_SLOT_STATE_FREE) {
            found->owner = DW_SLOT_FREE;
            found->kind = DW_DEVICE_FREE;
        } else {
            set_owner(device, info.log_id, kind_of_state(info.state), found);
        }
        return true;
    }
    struct dw_volume_info volume;
    struct dw_volume_header header;
    enum dw_decoded verdict = dw_volume_header_decode(NULL, NULL, bytes, DW_VOLUME_NUMBER_NONE, &volume);
    if (verdict != DW_DECODED_OK || volume.slot != slot + 1)
        return false;
    memcpy(&header, bytes, sizeof header);
    found->uses = volume.slot_uses;
    found->number = volume.number;
    set_owner(device, header.log_id, DW_DEVICE_VOLUME, found);
    return true;
}

static void judge_slot(const struct dw_device *device, uint32_t slot, const uint8_t *blocks,
                       struct dw_device_slot *found)
{
    *found = (struct dw_device_slot){.kind = DW_DEVICE_DAMAGED, .owner = DW_SLOT_DAMAGED};
    if (!judge_header(device, slot, blocks, found))
        (void)judge_header(device, slot, blocks + device->info.block_size, found);
}

/* ---- reading ---- */

/* The read of both failed: one by one. What cannot be read is zero, which is no header. */
static void read_copies(struct dw_device *device, uint32_t slot, uint8_t *blocks)
{
    size_t block_size = device->info.block_size, done;
    uint64_t at = dw_device_place_of_slot(&device->info, slot);
    for (size_t copy = 0; copy < 2; copy++) {
        uint8_t *block = blocks + copy * block_size;
        memset(block, 0, block_size);
        if (dw_file_read(device->file, block, block_size, at + copy * block_size, &done) != 0)
            memset(block, 0, block_size);
    }
}

/* Both headers in one read. */
static struct dw_read read_of(struct dw_device *device, uint32_t slot, uint8_t *blocks)
{
    size_t size = (size_t)2 * device->info.block_size;
    memset(blocks, 0, size);
    atomic_fetch_add_explicit(&device->places.read_count, 1, memory_order_relaxed);
    return (struct dw_read){
        .file = device->file, .bytes = blocks, .size = size, .offset = dw_device_place_of_slot(&device->info, slot)};
}

/* Keep what a load would read again. No memory for it: then it reads again. */
static void keep_headers(const struct dw_device *device, struct dw_device_note *note, const uint8_t *blocks)
{
    dw_free(note->headers);
    note->headers = NULL;
    if (note->slot.kind != DW_DEVICE_VOLUME || !dw_device_is_ours(device, &note->slot))
        return;
    note->headers = dw_alloc((size_t)2 * DW_VOLUME_HEADER_SIZE);
    if (!note->headers)
        return;
    memcpy(note->headers, blocks, DW_VOLUME_HEADER_SIZE);
    memcpy(note->headers + DW_VOLUME_HEADER_SIZE, blocks + device->info.block_size, DW_VOLUME_HEADER_SIZE);
}

static void take_note(struct dw_device *device, uint32_t slot, uint8_t *blocks, int result)
{
    struct dw_device_note *note = &device->notes[slot];
    if (result != 0)
        read_copies(device, slot, blocks);
    judge_slot(device, slot, blocks, &note->slot);
    keep_headers(device, note, blocks);
}

/* ---- a scan, with many reads at once ---- */

struct look {
    struct dw_read read;
    struct look *next;
    uint32_t slot;
    uint8_t *blocks;
};

struct looks {
    struct dw_reads *reads;
    uint8_t *memory;
    struct look looks[LOOKS_MAX];
    struct look *idle;
};

static void end_some(struct dw_device *device, struct looks *looks)
{
    struct dw_read *read = dw_reads_reap(looks->reads);
    while (read) {
        struct dw_read *next = read->next;
        struct look *look = read->user;
        take_note(device, look->slot, look->blocks, read->result);
        look->next = looks->idle;
        looks->idle = look;
        read = next;
    }
}

static void scan_with(struct dw_device *device, struct looks *looks, uint32_t first, uint32_t end)
{
    for (uint32_t slot = first; slot < end || looks->reads->in_flight > 0;) {
        while (slot < end && looks->idle) {
            struct look *look = looks->idle;
            looks->idle = look->next;
            look->slot = slot++;
            look->read = read_of(device, look->slot, look->blocks);
            look->read.user = look;
            dw_reads_submit(looks->reads, &look->read);
        }
        end_some(device, looks);
    }
}

/* false: nothing was read, because several threads get more out of this device, or for want of memory. */
static bool scan_at_once(struct dw_device *device, uint32_t first, uint32_t end)
{
    size_t size = (size_t)2 * device->info.block_size;
    size_t count = dw_min_size(dw_min_size(LOOKS_MEMORY / size, LOOKS_MAX), end - first);
    bool has_threads = device->places.load_threads > 1;
    struct looks *looks = end - first >= SLOTS_PER_HELPER ? dw_alloc(sizeof *looks) : NULL;
    if (!looks)
        return false;
    bool is_plain = !has_threads || device->places.is_reading_plainly;
    int result = dw_reads_open(device->places.disk, LOOKS_MAX, is_plain, &looks->reads);
    if (result == 0 && !(has_threads && looks->reads->is_plain))
        looks->memory = dw_arena_borrow(device->arena, count * size, device->info.block_size);
    for (size_t i = 0; looks->memory && i < count; i++) {
        looks->looks[i] = (struct look){.blocks = looks->memory + i * size, .next = looks->idle};
        looks->idle = &looks->looks[i];
    }
    bool is_possible = looks->memory != NULL;
    if (is_possible)
        scan_with(device, looks, first, end);
    dw_reads_close(looks->reads);
    dw_arena_return(device->arena, looks->memory);
    dw_free(looks);
    return is_possible;
}

/* ---- a scan, by several threads ---- */

struct crew {
    struct dw_device *device;
    uint32_t end;
    _Atomic uint32_t taken; /* slots below it are taken; relaxed: all else was complete before the threads began */
};

struct helper {
    struct dw_worker worker;
    struct crew *crew;
    uint8_t *blocks;
};

static void scan_some(struct crew *crew, uint8_t *blocks)
{
    struct dw_device *device = crew->device;
    for (;;) {
        uint32_t slot = atomic_fetch_add_explicit(&crew->taken, 1, memory_order_relaxed);
        if (slot >= crew->end)
            return;
        struct dw_read read = read_of(device, slot, blocks);
        take_note(device, slot, blocks, dw_file_read(read.file, read.bytes, read.size, read.offset, &read.done));
    }
}

static void help(void *context)
{
    struct helper *helper = context;
    scan_some(helper->crew, helper->blocks);
}

static bool start_helper(struct helper *helper, struct crew *crew)
{
    uint32_t block_size = crew->device->info.block_size;
    helper->crew = crew;
    helper->blocks = dw_arena_borrow(helper->crew->device->arena, (size_t)2 * block_size, block_size);
    return helper->blocks && dw_worker_start(&helper->worker, "dwal-scan", help, helper) == 0;
}

static void scan_by_threads(struct dw_device *device, uint32_t first, uint32_t end)
{
    struct crew crew = {.device = device, .end = end, .taken = first};
    struct helper helpers[HELPERS_MAX] = {0};
    size_t wanted = dw_min_size((end - first) / SLOTS_PER_HELPER, HELPERS_MAX), started = 0;
    if (device->places.load_threads < 2)
        wanted = 0;
    wanted = dw_min_size(wanted, device->places.load_threads);
    while (started < wanted && start_helper(&helpers[started], &crew))
        started++;
    scan_some(&crew, device->blocks);
    for (size_t i = 0; i < wanted; i++) {
        dw_worker_stop(&helpers[i].worker);
        dw_arena_return(device->arena, helpers[i].blocks);
    }
}

int dw_device_scan(struct dw_device *device, uint32_t first, uint32_t end)
{
    dw_assert(end <= device->note_count);
    if (first >= end)
        return 0;
    if (!scan_at_once(device, first, end))
        scan_by_threads(device, first, end);
    for (uint32_t slot = first; slot < end; slot++)
        dw_slots_set(device->slots, slot, device->notes[slot].slot.owner, device->notes[slot].slot.uses);
    return 0;
}

/* ---- the whole device ---- */

void dw_device_notes_free(struct dw_device *device)
{
    for (uint32_t i = 0; i < device->note_count; i++)
        dw_free(device->notes[i].headers);
    dw_free(device->notes);
    device->notes = NULL;
    device->note_count = 0;
    dw_slots_destroy(device->slots);
    device->slots = NULL;
}

/* The first time, or after the device was made larger; what readers have pinned stays noted. */
static int make_map(struct dw_device *device)
{
    uint32_t count = device->info.slot_count;
    if (device->note_count > count)
        dw_device_notes_free(device); /* formatted anew */
    if (device->slots && device->note_count == count)
        return 0;
    struct dw_device_note *notes = dw_realloc(device->notes, (size_t)count * sizeof *notes);
    if (!notes)
        return -ENOMEM;
    for (uint32_t slot = device->note_count; slot < count; slot++)
        notes[slot] = (struct dw_device_note){.slot = {.kind = DW_DEVICE_FREE, .owner = DW_SLOT_FREE}};
    device->notes = notes;
    device->note_count = count;
    if (device->slots)
        return dw_slots_grow(device->slots, count);
    device->slots = dw_slots_create(count);
    return device->slots ? 0 : -ENOMEM;
}

void dw_device_set_owners(struct dw_device *device)
{
    for (uint32_t i = 0; i < DW_DEVICE_LOGS_MAX; i++) {
        bool is_there = device->info.logs[i].state == DW_DEVICE_LOG_READY || i == device->log;
        dw_slots_set_owner(device->slots, i, is_there, device->info.logs[i].quota);
    }
}

int dw_device_adopt(struct dw_device *device)
{
    int result = make_map(device);
    if (result != 0)
        return result;
    dw_device_set_owners(device);
    for (uint32_t slot = 0; slot < device->info.slots_used; slot++) {
        struct dw_device_slot *note = &device->notes[slot].slot;
        if (note->owner >= DW_DEVICE_LOGS_MAX || device->info.logs[note->owner].state != DW_DEVICE_LOG_NONE)
            continue;
        note->owner = DW_SLOT_FREE;
        note->kind = DW_DEVICE_FREE;
        dw_slots_set(device->slots, slot, DW_SLOT_FREE, note->uses);
    }
    return 0;
}

int dw_device_scan_all(struct dw_device *device)
{
    device->is_scanned = false;
    int result = make_map(device);
    if (result != 0)
        return result;
    dw_device_set_owners(device);
    for (uint32_t slot = device->info.slots_used; slot < device->note_count; slot++) {
        device->notes[slot].slot = (struct dw_device_slot){.kind = DW_DEVICE_FREE, .owner = DW_SLOT_FREE};
        dw_slots_set(device->slots, slot, DW_SLOT_FREE, 0);
    }
    result = dw_device_scan(device, 0, device->info.slots_used);
    device->is_scanned = result == 0;
    return result;
}

/* ---- writing ---- */

int dw_device_slot_write(struct dw_device *device, uint32_t slot, enum dw_slot_state state, uint64_t uses)
{
    struct dw_slot_info info = {.state = state, .slot = slot, .uses = uses};
    if (state != DW_SLOT_STATE_FREE)
        memcpy(info.log_id, device->info.logs[device->log].log_id, sizeof info.log_id);
    size_t block_size = device->info.block_size;
    uint64_t at = dw_device_place_of_slot(&device->info, slot);
    dw_slot_header_encode(device->info.device_id, &info, device->blocks, block_size);
    for (uint64_t copy = 0; copy < 2; copy++) {
        int result = dw_file_write_durable(device->file, device->blocks, block_size, at + copy * block_size);
        if (result != 0)
            return result;
    }
    struct dw_device_slot *note = &device->notes[slot].slot;
    note->uses = uses;
    note->owner = state == DW_SLOT_STATE_FREE ? DW_SLOT_FREE : device->log;
    note->kind = state == DW_SLOT_STATE_FREE ? DW_DEVICE_FREE : kind_of_state(state);
    return 0;
}
