/* device.c - see device.h. Reads the device's superblock and the slots' headers, writes nothing. */
#include "tools/device.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include <dwal/device.h>

#include "tools/output.h"

enum { LOGS_MAX = 64 };

struct found {
    struct dwal_device device;
    struct dwal_device_log logs[LOGS_MAX];
    size_t count;
};

static void keep_log(void *context, const struct dwal_device_log *log)
{
    struct found *found = context;
    if (found->count < LOGS_MAX)
        found->logs[found->count++] = *log;
}

static bool look(const char *path, struct found *found)
{
    memset(found, 0, sizeof *found);
    found->device.size = sizeof found->device;
    return dwal_get_device(path, &found->device, keep_log, found) == 0;
}

static const char *id_text(const uint8_t id[16], char text[33])
{
    for (size_t i = 0; i < 16; i++)
        (void)snprintf(text + 2 * i, 3, "%02x", id[i]);
    return text;
}

static void print_log(const struct dwal_device_log *log)
{
    char quota[40] = "no quota";
    if (log->quota != 0)
        (void)snprintf(quota, sizeof quota, "quota %" PRIu32, log->quota);
    dw_output_format("  #%-12s %" PRIu32 " volumes, %" PRIu32 " blank, %" PRIu32 " unfinished slots, %s%s%s\n",
                     log->name, log->volumes, log->blanks, log->unfinished, quota,
                     log->is_complete ? "" : ", not complete", log->has_live_writer ? ", a writer is at work" : "");
}

bool dw_device_print_text(const char *path)
{
    struct found found;
    const struct dwal_device *device = &found.device;
    char text[33];
    if (!look(path, &found))
        return false;
    dw_output_format("device         %s, %" PRIu64 " bytes in use%s\n", id_text(device->device_id, text),
                     device->device_size, device->is_damaged ? ", a copy of its superblock is damaged" : "");
    dw_output_format("slots          %" PRIu32 " of %" PRIu64 " bytes: %" PRIu32 " free (%" PRIu32
                     " never used, %" PRIu32 " in a row), %" PRIu32 " damaged\n",
                     device->slots, device->slot_size, device->slots_free, device->slots_never_used,
                     device->longest_free_run, device->slots_damaged);
    dw_output_format("wear           slots were volumes %" PRIu64 " to %" PRIu64 " times, %" PRIu64 " in all\n",
                     device->uses_least, device->uses_most, device->uses_total);
    dw_output_format("logs           %" PRIu32 "\n", device->logs);
    for (size_t i = 0; i < found.count; i++)
        print_log(&found.logs[i]);
    return true;
}

static void print_log_json(struct dw_json *json, const struct dwal_device_log *log)
{
    char text[33];
    dw_json_open_object(json, NULL);
    dw_json_text(json, "name", log->name);
    dw_json_text(json, "log_id", id_text(log->log_id, text));
    dw_json_number(json, "quota", log->quota);
    dw_json_number(json, "volumes", log->volumes);
    dw_json_number(json, "blanks", log->blanks);
    dw_json_number(json, "unfinished", log->unfinished);
    dw_json_bool(json, "is_complete", log->is_complete);
    dw_json_bool(json, "has_live_writer", log->has_live_writer);
    dw_json_close_object(json);
}

bool dw_device_print_json(const char *path, struct dw_json *json)
{
    struct found found;
    const struct dwal_device *device = &found.device;
    char text[33];
    if (!look(path, &found))
        return false;
    dw_json_open_object(json, "device");
    dw_json_text(json, "device_id", id_text(device->device_id, text));
    dw_json_number(json, "device_size", device->device_size);
    dw_json_number(json, "slot_size", device->slot_size);
    dw_json_number(json, "block_size", device->block_size);
    dw_json_number(json, "slots", device->slots);
    dw_json_number(json, "slots_free", device->slots_free);
    dw_json_number(json, "slots_never_used", device->slots_never_used);
    dw_json_number(json, "slots_damaged", device->slots_damaged);
    dw_json_number(json, "longest_free_run", device->longest_free_run);
    dw_json_number(json, "uses_least", device->uses_least);
    dw_json_number(json, "uses_most", device->uses_most);
    dw_json_number(json, "uses_total", device->uses_total);
    dw_json_bool(json, "is_damaged", device->is_damaged);
    dw_json_open_list(json, "logs");
    for (size_t i = 0; i < found.count; i++)
        print_log_json(json, &found.logs[i]);
    dw_json_close_list(json);
    dw_json_close_object(json);
    return true;
}
