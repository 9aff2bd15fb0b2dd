/* device_view.h - a log on a device, seen as the directory that it would be: for tools that list or copy what is there. */
#ifndef DW_CORE_STORE_DEVICE_VIEW_H
#define DW_CORE_STORE_DEVICE_VIEW_H

#include "io/io.h"

/* A disk that can only be listed and read: dwal.super, 0000000007.vol, 000.bvl, ... `disk` is the device, with the log's name;
 * it stays the caller's and must outlive the view. Errors are dwal codes: no such log, a smaller device, ... */
DW_NODISCARD int dw_device_view_open(struct dw_disk *disk, struct dw_disk **view);

#endif
