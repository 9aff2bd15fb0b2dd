/* dwal/device.h - what a block device that dwal formatted holds: its slots, and the logs that share them, beside
 * live writers too; and taking a log off it. How to make and open logs on a device is in dwal/dwal.h: a path "/dev/X" or "/dev/X#name". */
#ifndef DWAL_DEVICE_H
#define DWAL_DEVICE_H

#include <dwal/dwal.h>

#ifdef __cplusplus
extern "C" {
#endif
#ifdef __GNUC__
#pragma GCC visibility push(default) /* these are exported, also from a library compiled with -fvisibility=hidden */
#endif

/* One log of a device. Slots: of one volume each. */
struct dwal_device_log {
    char name[32]; /* may be empty */
    uint8_t log_id[16];
    uint64_t create_time_ns;
    uint32_t quota;      /* slots that it may have at most; 0: no limit of its own */
    uint32_t volumes;    /* slots with a volume */
    uint32_t blanks;     /* ready to become one */
    uint32_t unfinished; /* being filled, or left so by a crash: its next writer gives them back */
    bool is_complete;    /* false: it is being created, or its creation was interrupted */
    bool has_live_writer;
};
typedef void dwal_device_log_fn(void *context, const struct dwal_device_log *log);

struct dwal_device {
    size_t size; /* set to sizeof(struct dwal_device) before the call */
    uint8_t device_id[16];
    uint64_t device_size; /* bytes in use; a device that was made larger is taken up when a log is opened for writing */
    uint64_t slot_size;
    uint64_t create_time_ns;
    uint32_t block_size;
    uint32_t logs;
    uint32_t slots, slots_free;
    uint32_t slots_damaged;                     /* neither copy of the header is sound: handed out to nobody */
    uint32_t slots_never_used;                  /* of the free ones */
    uint32_t longest_free_run;                  /* free slots in a row */
    uint64_t uses_least, uses_most, uses_total; /* how often slots have been volumes: the spread of wear */
    bool is_damaged;                            /* a copy of the device's superblock is; the next writer mends it */
};

/* The facts of the device, then `fn` (may be NULL) for each log on it. DWAL_ENOLOG: not formatted by dwal; DWAL_EUNSUPPORTED:
 * no block device; DWAL_ELOST: it became smaller; DWAL_EVERSION, DWAL_EDEVICE, DWAL_EPERMISSION, DWAL_EMEMORY. */
int dwal_get_device(const char *path, struct dwal_device *device, dwal_device_log_fn *fn, void *context);

/* Take one log off a device, whatever it holds: all its entries are lost, and its slots are free for the other logs. What they
 * hold is overwritten when they are used again, not now. The name in `path` ("/dev/X#name") has to be the log's whole name. In
 * every crash the log is either whole or gone. Readers beside it are told that the log is gone when they look further.
 * DWAL_ENOLOG: there is none of this name; DWAL_EBUSY: it has a writer; DWAL_EARGUMENT: not the whole name; DWAL_EUNSUPPORTED: no
 * block device (a log in a directory goes with the directory); DWAL_ECORRUPT, DWAL_ELOST, DWAL_EVERSION, DWAL_EDEVICE,
 * DWAL_EPERMISSION, DWAL_EMEMORY. */
int dwal_remove(const char *path);

#ifdef __GNUC__
#pragma GCC visibility pop
#endif
#ifdef __cplusplus
}
#endif
#endif
