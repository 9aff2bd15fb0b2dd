/* device_kit.h - a file of fixed size taken for a device, and small logs on it with numbered entries.
 *
 * Owns: a directory with the file, for one test at a time. Every open of a log opens the device anew, as another process
 * would. Called by: tests of logs on devices. Failure: fails the test. */
#ifndef DW_TESTS_LIB_DEVICE_KIT_H
#define DW_TESTS_LIB_DEVICE_KIT_H

#include <dwal/device.h>
#include <dwal/dwal.h>
#include <dwal/inspect.h>

#include "core/store/store.h"
#include "io/io.h"
#include "tests/lib/tmpdir.h"

#define DW_DEVICE_KIT_VOLUME (UINT64_C(64) << 10) /* 13 data blocks */

struct dw_device_kit {
    char directory[DW_TMPDIR_SIZE];
    char path[DW_TMPDIR_SIZE + 16];
};

/* A device with room for `slots` slots. */
void dw_device_kit_make(struct dw_device_kit *kit, uint32_t slots);
void dw_device_kit_remove(struct dw_device_kit *kit);
void dw_device_kit_resize(struct dw_device_kit *kit, uint64_t size);
uint64_t dw_device_kit_size(uint32_t slots);

struct dw_disk *dw_device_kit_disk(struct dw_device_kit *kit, const char *name, unsigned flags);
struct dwal_options dw_device_kit_options(void);
int dw_device_kit_create(struct dw_device_kit *kit, const char *name, const struct dwal_options *options);
/* NULL options: the kit's. *log is NULL unless 0 is answered. */
int dw_device_kit_open(struct dw_device_kit *kit, const char *name, const struct dwal_options *options, dwal **log);
dwal *dw_device_kit_must_open(struct dw_device_kit *kit, const char *name);
void dw_device_kit_must_close(dwal *log);

/* Append and commit entry `number`: its number, then a letter over 11000 bytes; three blocks. What dwal_commit answers. */
int dw_device_kit_commit(dwal *log, char letter, uint64_t number);
/* Entries [from, to). Waits when it is out of space for now. The end of the last one. */
uint64_t dw_device_kit_append(dwal *log, char letter, uint64_t from, uint64_t to);
/* It holds exactly these, or the last part of these when it was trimmed. */
void dw_device_kit_check(dwal *log, char letter, uint64_t from, uint64_t to);

/* All of the device; `logs` may be NULL. The number of logs told. */
struct dw_device_kit_logs {
    struct dwal_device_log logs[32];
    uint32_t count;
};
struct dwal_device dw_device_kit_survey(struct dw_device_kit *kit, struct dw_device_kit_logs *logs);
/* Wait until so many slots are free. */
void dw_device_kit_wait_free(struct dw_device_kit *kit, uint32_t slots);
/* Every slot is accounted for: free, a volume, or a blank of a log. */
void dw_device_kit_check_slots(struct dw_disk *disk);
void dw_device_kit_check_all_slots(struct dw_device_kit *kit); /* of the kit's device */

/* Bytes of the device, past all of dwal. */
void dw_device_kit_read(struct dw_device_kit *kit, uint64_t offset, void *bytes, size_t size);
void dw_device_kit_write(struct dw_device_kit *kit, uint64_t offset, const void *bytes, size_t size);
void dw_device_kit_spoil(struct dw_device_kit *kit, uint64_t offset, size_t size);

#endif
