/* device_survey.c - looking at a device from outside of any log: is it dwal's, and who has its slots.
 *
 * Called by: creation and tools, on any thread; opens and closes the places for itself. Reads only.
 * Failure: dwal codes; a damaged slot is counted, not an error. */
#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#include "base/bits.h"
#include "core/base/error.h"
#include "core/format/text.h"
#include "core/store/device.h"
#include "core/store/store.h"

/* NULL: no memory. */
static struct dw_device *open_places(struct dw_disk *disk)
{
    struct dw_places *places;
    if (dw_places_device_open(disk, disk->part, NULL, &places) != 0)
        return NULL;
    places->load_threads = DW_LOAD_THREADS;
    return dw_device_of(places);
}

static int refuse_without_memory(const struct dw_disk *disk)
{
    return dw_fail(DWAL_EMEMORY, "no memory to look at %s", disk->path);
}

static int load(struct dw_device *device)
{
    int result = dw_device_open_file(device, DW_OPEN_READ);
    return result == 0 ? dw_device_super_load(device, false) : result;
}

static int explain(const struct dw_device *device, int result)
{
    if (result == 0)
        return 0;
    if (device->places.why[0] != '\0')
        return dw_fail(device->places.code, "%s", device->places.why);
    return dw_fail_system(result, "%s cannot be read", device->places.disk->path);
}

int dw_store_look_at_device(struct dw_disk *disk, struct dw_store_device *found)
{
    struct dw_device *device = open_places(disk);
    *found = (struct dw_store_device){0};
    if (!device)
        return refuse_without_memory(disk);
    int result = explain(device, load(device));
    if (result == 0 && device->is_found)
        *found = (struct dw_store_device){
            .is_dwal = true, .slot_size = device->info.slot_size, .block_size = device->info.block_size};
    dw_places_close(&device->places);
    return result;
}

static void fill_device(const struct dw_device *device, struct dwal_device *facts)
{
    const struct dw_device_info *info = &device->info;
    struct dw_slots_summary summary;
    dw_slots_summarize(device->slots, &summary);
    *facts = (struct dwal_device){
        .size = facts->size,
        .device_size = info->device_size,
        .slot_size = info->slot_size,
        .create_time_ns = info->create_time,
        .block_size = info->block_size,
        .slots = summary.total,
        .slots_free = summary.free,
        .slots_damaged = summary.damaged,
        .slots_never_used = info->slot_count - info->slots_used,
        .longest_free_run = summary.longest_free_run,
        .uses_least = summary.uses_least,
        .uses_most = summary.uses_most,
        .uses_total = summary.uses_total,
        .is_damaged = atomic_load_explicit(&device->places.is_superblock_maimed, memory_order_relaxed),
    };
    memcpy(facts->device_id, info->device_id, sizeof facts->device_id);
    for (uint32_t i = 0; i < DW_DEVICE_LOGS_MAX; i++)
        facts->logs += info->logs[i].state == DW_DEVICE_LOG_READY;
}

static void fill_log(const struct dw_device *device, uint32_t index, struct dwal_device_log *log)
{
    const struct dw_device_log_info *info = &device->info.logs[index];
    struct dw_disk *disk = device->places.disk;
    *log = (struct dwal_device_log){
        .create_time_ns = info->time, .quota = info->quota, .is_complete = info->state == DW_DEVICE_LOG_READY};
    memcpy(log->name, info->name, sizeof log->name);
    memcpy(log->log_id, info->log_id, sizeof log->log_id);
    bool is_held = false;
    int result = disk->ops->lock_test(device->file, dw_device_writer_lock(index), &is_held);
    log->has_live_writer = result == 0 && is_held;
    for (uint32_t slot = 0; slot < device->note_count; slot++) {
        const struct dw_device_slot *found = &device->notes[slot].slot;
        if (found->owner != index)
            continue;
        log->volumes += found->kind == DW_DEVICE_VOLUME;
        log->blanks += found->kind == DW_DEVICE_BLANK;
        log->unfinished += found->kind == DW_DEVICE_FILLING;
    }
}

int dw_store_survey_device(struct dw_disk *disk, struct dwal_device *facts, dwal_device_log_fn *fn, void *context)
{
    struct dw_device *device = open_places(disk);
    if (!device)
        return refuse_without_memory(disk);
    int result = explain(device, load(device));
    if (result == 0 && !device->is_found)
        result = dw_fail(DWAL_ENOLOG, "%s is not formatted by dwal", disk->path);
    if (result == 0)
        result = explain(device, dw_device_scan_all(device));
    if (result == 0)
        fill_device(device, facts);
    for (uint32_t i = 0; i < DW_DEVICE_LOGS_MAX && fn && result == 0; i++) {
        struct dwal_device_log log;
        if (device->info.logs[i].state == DW_DEVICE_LOG_NONE)
            continue;
        fill_log(device, i, &log);
        fn(context, &log);
    }
    dw_places_close(&device->places);
    return result;
}

/* ---- every structure ---- */

static void list_copies(struct dw_device *device, dw_store_device_item_fn *fn, void *context)
{
    for (uint32_t copy = 0; copy < DW_SUPERBLOCK_COPIES; copy++) {
        struct dw_device_info info;
        size_t done, size = dw_max_u64(DW_DEVICE_SUPERBLOCK_SIZE, device->file->alignment);
        struct dw_store_device_item item = {.offset = dw_device_place_of_copy(device->info.device_size, copy),
                                            .size = DW_DEVICE_SUPERBLOCK_SIZE};
        memset(device->blocks, 0, size);
        int result = dw_file_read(device->file, device->blocks, size, item.offset, &done);
        enum dw_decoded verdict = dw_device_decode(device->blocks, &info);
        item.is_sound = result == 0 && verdict == DW_DECODED_OK;
        int used = snprintf(item.text, sizeof item.text, "copy %u of slot %u%s%s: ", copy / 2, copy % 2,
                            item.is_sound ? "" : ", ", item.is_sound ? "" : dw_decoded_text(verdict));
        if (item.is_sound)
            dw_text_device(&info, item.text + used, sizeof item.text - (size_t)used);
        fn(context, &item);
    }
}

static void list_slots(struct dw_device *device, dw_store_device_item_fn *fn, void *context)
{
    static const char *const kinds[] = {"free", "volume", "blank", "unfinished", "damaged: neither header is sound"};
    for (uint32_t slot = 0; slot < device->info.slots_used; slot++) {
        const struct dw_device_slot *found = &device->notes[slot].slot;
        struct dw_store_device_item item = {.is_slot = true,
                                            .offset = dw_device_place_of_slot(&device->info, slot),
                                            .size = device->info.slot_size,
                                            .is_sound = found->kind != DW_DEVICE_DAMAGED};
        size_t used = (size_t)snprintf(item.text, sizeof item.text, "slot %u %s", slot, kinds[found->kind]);
        if (found->kind == DW_DEVICE_VOLUME)
            used += (size_t)snprintf(item.text + used, sizeof item.text - used, " %u", found->number);
        if (found->owner < DW_DEVICE_LOGS_MAX)
            used += (size_t)snprintf(item.text + used, sizeof item.text - used, " of log #%s",
                                     device->info.logs[found->owner].name);
        if (item.is_sound)
            snprintf(item.text + used, sizeof item.text - used, ", used %llu times", (unsigned long long)found->uses);
        fn(context, &item);
    }
}

int dw_store_list_device(struct dw_disk *disk, dw_store_device_item_fn *fn, void *context)
{
    struct dw_device *device = open_places(disk);
    if (!device)
        return refuse_without_memory(disk);
    int result = explain(device, load(device));
    if (result == 0 && !device->is_found)
        result = dw_fail(DWAL_ENOLOG, "%s is not formatted by dwal", disk->path);
    if (result == 0)
        result = explain(device, dw_device_scan_all(device));
    if (result == 0) {
        list_copies(device, fn, context);
        list_slots(device, fn, context);
    }
    dw_places_close(&device->places);
    return result;
}
