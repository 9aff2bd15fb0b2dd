/* device.h - what `dwal info` tells of a device and of the logs that share it. */
#ifndef DW_TOOLS_DEVICE_H
#define DW_TOOLS_DEVICE_H

#include <stdbool.h>

#include "tools/json.h"

/* Is PATH a device that dwal formatted? Then print it: lines, or members of the JSON object under way. */
bool dw_device_print_text(const char *path);
bool dw_device_print_json(const char *path, struct dw_json *json);

#endif
