/* device.h - what the files of the device store share. Private to core/store/device*.c.
 *
 *     device.c        the table of functions: list, locks, blanks; one slot, one volume
 *     device_super.c  the device's own superblock: find, write, mend, grow
 *     device_create.c format, and one more log
 *     device_remove.c one log less
 *     device_slot.c   slot headers: read, judge, write
 *     device_take.c   a free slot becomes ours
 *
 * Locks, all on the one descriptor: numbers from DW_LOCK_FIRST on. ADMIN is held for moments, by whoever changes the device's
 * superblock or gives a slot another owner; a log's WRITER for the life of its writer; a slot's PIN by readers of what is
 * in it. "One thread at a time" is what places.h says of the calls that change names; the fields here are theirs. */
#ifndef DW_CORE_STORE_DEVICE_H
#define DW_CORE_STORE_DEVICE_H

#include "alloc/slots.h"
#include "core/store/places.h"

#define DW_DEVICE_NO_LOG UINT32_MAX

enum dw_device_kind {
    DW_DEVICE_FREE,
    DW_DEVICE_VOLUME,
    DW_DEVICE_BLANK,
    DW_DEVICE_FILLING,
    DW_DEVICE_DAMAGED, /* neither header is sound: nobody's until it is mended */
};

/* What the last look at a slot found. */
struct dw_device_slot {
    enum dw_device_kind kind;
    uint32_t owner;  /* index of a log, DW_SLOT_FREE, DW_SLOT_DAMAGED */
    uint32_t number; /* VOLUME */
    uint64_t uses;
};

struct dw_device_note {
    struct dw_device_slot slot;
    uint8_t *headers; /* VOLUME: both headers, 128 bytes each, until they are recalled; or NULL */
    bool has_pin;     /* we hold its PIN lock; touched by whoever has the row */
};

struct dw_device {
    struct dw_places places;
    char name[DW_DEVICE_LOG_NAME_SIZE];
    struct dw_file *file; /* NULL: not opened yet */
    struct dw_device_info info;
    bool is_found;             /* info holds */
    uint32_t log;              /* index in info.logs, or DW_DEVICE_NO_LOG */
    bool is_locked;            /* this log's WRITER lock is ours: only we change its slots */
    bool is_scanned;           /* `slots` and `notes` hold */
    uint64_t seen_sequence;    /* highest one in a copy of the log's superblock that was read */
    uint64_t scanned_sequence; /* that of the moment before the last scan: while they are equal nothing was claimed */
    uint64_t copies[DW_SUPERBLOCK_COPIES]; /* where the log's superblock lies; constant while is_locked */
    struct dw_slots *slots;
    struct dw_device_note *notes;
    uint32_t note_count;
    uint32_t look_next;     /* slot of another log to look at next, when none is free */
    struct dw_arena *arena; /* where that memory comes from; NULL: it is its own */
    uint8_t *blocks;        /* memory for I/O: two blocks of the largest size */
};

static inline struct dw_device *dw_device_of(struct dw_places *places)
{
    return DW_CONTAINER_OF(places, struct dw_device, places);
}
static inline enum dw_lock_kind dw_device_admin_lock(void)
{
    return DW_LOCK_FIRST;
}
static inline enum dw_lock_kind dw_device_writer_lock(uint32_t log)
{
    return (enum dw_lock_kind)((uint32_t)DW_LOCK_FIRST + 16 + log);
}
static inline enum dw_lock_kind dw_device_pin_lock(uint32_t slot)
{
    return (enum dw_lock_kind)((uint32_t)DW_LOCK_FIRST + 1024 + slot);
}

static inline bool dw_device_is_ours(const struct dw_device *device, const struct dw_device_slot *slot)
{
    return device->log != DW_DEVICE_NO_LOG && slot->owner == device->log;
}

/* Open the one file, unless it is open. -errno. */
DW_NODISCARD int dw_device_open_file(struct dw_device *device, unsigned flags);
/* Say more than -errno can. Returns `result`. */
int dw_device_explain(struct dw_device *device, int result, int code, const char *format, ...) DW_PRINTF(4, 5);

/* ---- device_super.c ---- */
/* Wait for ADMIN, not for long (half a second): -EAGAIN. */
DW_NODISCARD int dw_device_admin_begin(struct dw_device *device);
DW_NODISCARD int dw_device_admin_wait(struct dw_device *device); /* ten seconds: for creation */
void dw_device_admin_end(struct dw_device *device);
/* Read the device's superblock anew: is_found, info. 0 also when there is none. */
DW_NODISCARD int dw_device_super_load(struct dw_device *device, bool is_writing);
/* Write `info` with the next sequence. Pre: ADMIN. */
DW_NODISCARD int dw_device_super_write(struct dw_device *device);
/* Both slots, so that all four copies are whole. Pre: ADMIN. */
DW_NODISCARD int dw_device_super_write_twice(struct dw_device *device);
bool dw_device_has_other_writer(struct dw_device *device);
/* Creations that were interrupted: their writer's lock is free. *is_changed: the superblock has to be written. */
void dw_device_drop_unfinished(struct dw_device *device, bool *is_changed);
void dw_device_remember_copies(struct dw_device *device); /* where the superblocks of `log` lie */
/* Find the log that `name` means: device->log. -ENOENT, -ENOTUNIQ, explained. */
DW_NODISCARD int dw_device_find_log(struct dw_device *device);
uint32_t dw_device_log_by_id(const struct dw_device *device, const uint8_t log_id[16]); /* or DW_DEVICE_NO_LOG */
DW_NODISCARD int dw_device_mend(struct dw_places *places);

/* ---- device_create.c ---- */
DW_NODISCARD int dw_device_prepare(struct dw_places *places, const struct dw_places_creation *creation);

/* ---- device_slot.c ---- */
/* Read and judge the headers of slots [first, end) into notes and map. -ENOMEM; a slot that cannot be read is DAMAGED. */
DW_NODISCARD int dw_device_scan(struct dw_device *device, uint32_t first, uint32_t end);
/* Everything: a map of the right size, all slots below slots_used. */
DW_NODISCARD int dw_device_scan_all(struct dw_device *device);
/* What the device's superblock says of its logs, for the map. */
void dw_device_set_owners(struct dw_device *device);
/* The device was made larger, or logs are gone: the map follows, without a look at the slots. -ENOMEM. */
DW_NODISCARD int dw_device_adopt(struct dw_device *device);
/* Write both headers of a slot, durably, one after the other: the first one decides when both are sound. */
DW_NODISCARD int dw_device_slot_write(struct dw_device *device, uint32_t slot, enum dw_slot_state state, uint64_t uses);
void dw_device_notes_free(struct dw_device *device);

/* ---- device_take.c ---- */
/* Take a free slot for this log: its header says FILLING. Pre: ADMIN. -EDQUOT, -ENOSPC. */
DW_NODISCARD int dw_device_take(struct dw_device *device, uint32_t *slot);

#endif
