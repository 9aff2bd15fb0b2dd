/* sim_internal.h - the parts of the simulated disk, for io/sim_*.c only.
 *
 * A medium is a set of inodes and names. An inode's sectors are pointers to bytes that never change once written (they
 * belong to an arena, or to that of the disk an image came from), NULL for zeros; so a crash image copies pointers,
 * and of untouched files not even those. Everything is guarded by the disk's mutex. */
#ifndef DW_IO_SIM_INTERNAL_H
#define DW_IO_SIM_INTERNAL_H

#include <pthread.h>

#include "base/assert.h"
#include "base/bits.h"
#include "io/sim.h"

#define DW_SIM_BAD_RANGES_MAX 16u
#define DW_SIM_IMAGE_SPARES   4u

/* ---- memory that is given back all at once ---- */
struct dw_sim_chunk;
struct dw_sim_arena {
    struct dw_sim_chunk *first, *current;
    size_t held;
};
void *dw_sim_arena_take(struct dw_sim_arena *arena, size_t size); /* 16-aligned, not zeroed; NULL: no memory */
void dw_sim_arena_reset(struct dw_sim_arena *arena);
void dw_sim_arena_free(struct dw_sim_arena *arena);
/* Make room for `count` elements of `size` bytes in an array that grows. */
int dw_sim_grow(void **array, size_t *capacity, size_t count, size_t size);

/* ---- what a medium holds ---- */
struct dw_sim_inode {
    uint64_t size;
    const uint8_t **sectors;
    uint32_t count, capacity; /* of `sectors`; those behind are zeros */
    bool is_owned;            /* the table may be changed: it is nobody else's */
};
struct dw_sim_name {
    char name[DW_SIM_NAME_SIZE_MAX];
    uint32_t inode;
};
struct dw_sim_medium {
    struct dw_sim_inode *inodes;
    size_t inode_count, inode_capacity;
    struct dw_sim_name *names;
    size_t name_count, name_capacity;
};
int dw_sim_medium_copy(struct dw_sim_medium *target, const struct dw_sim_medium *source); /* tables become shared */
void dw_sim_medium_free(struct dw_sim_medium *medium);
struct dw_sim_name *dw_sim_medium_find(const struct dw_sim_medium *medium, const char *name);
/* Apply a CREATE, RENAME or UNLINK. -EEXIST, -ENOENT, -ENOMEM: nothing was done. */
int dw_sim_medium_name(struct dw_sim_medium *medium, const struct dw_sim_event *event);
int dw_sim_inode_own(struct dw_sim_arena *arena, struct dw_sim_inode *inode, uint64_t sector_count);
int dw_sim_inode_set(struct dw_sim_arena *arena, struct dw_sim_inode *inode, uint64_t sector, const uint8_t *bytes);
int dw_sim_inode_resize(struct dw_sim_arena *arena, struct dw_sim_inode *inode, uint64_t size);

static inline const uint8_t *dw_sim_inode_sector(const struct dw_sim_inode *inode, uint64_t sector)
{
    return sector < inode->count ? inode->sectors[sector] : NULL;
}
extern const uint8_t dw_sim_zeros[DW_SIM_SECTOR_SIZE];
bool dw_sim_sector_is_zero(const uint8_t *bytes);
bool dw_sim_sector_equal(const uint8_t *one, const uint8_t *other); /* NULL: zeros */
/* Bytes of sector `sector` in the write or damage `event`; NULL: zeros. Pre: it lies in it. */
static inline const uint8_t *dw_sim_event_sector(const struct dw_sim_event *event, uint64_t sector)
{
    return event->bytes ? event->bytes + (sector * DW_SIM_SECTOR_SIZE - event->offset) : NULL;
}
static inline bool dw_sim_event_covers(const struct dw_sim_event *event, uint64_t sector)
{
    return sector * DW_SIM_SECTOR_SIZE - event->offset < event->size; /* wraps to a large value below the offset */
}

static inline uint64_t dw_sim_random(uint64_t *state) /* splitmix64 */
{
    uint64_t z = (*state += UINT64_C(0x9e3779b97f4a7c15));
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}
static inline uint64_t dw_sim_below(uint64_t *state, uint64_t limit)
{
    return dw_sim_random(state) % limit;
}

/* ---- a disk ---- */
struct dw_sim_file {
    struct dw_file base;
    uint32_t inode;
    unsigned flags;
    enum dw_lock_mode locks[2];
    uint32_t in_flight;
    struct dw_sim_file *next;
};

/* A lock beyond the two that every file has room for. */
struct dw_sim_lock_held {
    const struct dw_sim_file *file;
    uint32_t number;
    enum dw_lock_mode mode;
};

/* A write between its beginning and its end. */
struct dw_sim_write {
    struct dw_sim_file *file;
    struct dw_request *request; /* NULL: of a call, not of a queue */
    struct dw_sim_queue *queue;
    const void *bytes;     /* the caller's */
    const uint8_t *copy;   /* the history's; NULL: zeros, or no history */
    uint64_t issue;        /* index of its event */
    uint64_t offset, size; /* where it really goes */
    char name[DW_SIM_NAME_SIZE_MAX];
    int result;
    bool is_durable, is_stalled, is_lost, is_done_all_the_same;
    bool is_void; /* failed before it began: no event */
};

struct dw_sim_bad_range {
    uint32_t inode;
    int error;
    uint64_t first, count; /* sectors */
};

struct dw_sim_disk {
    struct dw_disk base;
    pthread_mutex_t lock;
    pthread_cond_t completed;
    struct dw_sim_options options;
    uint64_t random;
    struct dw_sim_arena arena;
    struct dw_sim_medium start; /* durable when the disk was made */
    struct dw_sim_medium live;  /* as readers see it */
    struct dw_sim_event *events;
    size_t event_count, event_capacity;
    struct dw_sim_write *flights; /* of the queues, oldest first */
    size_t flight_count, flight_capacity;
    struct dw_sim_file *files; /* open ones */
    struct dw_sim_file *spare_files;
    struct dw_sim_lock_held *locks; /* numbers from DW_LOCK_HOLDER on */
    size_t lock_count, lock_capacity;
    struct dw_sim_fault faults[DW_SIM_FAULT_KINDS];
    uint64_t calls[DW_SIM_FAULT_KINDS];
    struct dw_sim_bad_range bad[DW_SIM_BAD_RANGES_MAX];
    size_t bad_count;
    size_t child_count; /* images and walkers alive */
    /* An image: */
    struct dw_sim_disk *parent;
    uint64_t parent_event;
    struct dw_sim_crash *crash;
    /* Closed images, to be used again. */
    struct dw_sim_disk *spares;
    size_t spare_count;
    struct dw_sim_disk *next_spare;
};
static inline struct dw_sim_disk *dw_sim_of(struct dw_disk *disk)
{
    return (struct dw_sim_disk *)(void *)disk;
}
static inline struct dw_sim_file *dw_sim_file_of(struct dw_file *file)
{
    return (struct dw_sim_file *)(void *)file;
}

int dw_sim_disk_make(struct dw_sim_disk **made); /* empty, without options */
void dw_sim_disk_free(struct dw_sim_disk *disk); /* for good, with its spares */
void dw_sim_set(struct dw_sim_disk *disk, const struct dw_sim_options *options);

/* Append an event; history off: nothing. -ENOMEM. */
int dw_sim_record(struct dw_sim_disk *disk, const struct dw_sim_event *event);
/* Count a call of this kind; true: it must fail, with *error = -errno. */
bool dw_sim_fault_hits(struct dw_sim_disk *disk, enum dw_sim_fault_kind kind, int *error);
int dw_sim_bad_sector(const struct dw_sim_disk *disk, uint32_t inode, uint64_t sector); /* 0 or -errno */
void dw_sim_bad_heal(struct dw_sim_disk *disk, uint32_t inode, uint64_t first, uint64_t count);

/* Put bytes into the live medium; `bytes` must live as long as the disk, or history is off. */
int dw_sim_live_write(struct dw_sim_disk *disk, uint32_t inode, uint64_t offset, uint64_t size, const uint8_t *bytes);
/* One write: begun, ended. Under the mutex. An error of begin is the write's result, `write` is then void. */
void dw_sim_write_begin(struct dw_sim_disk *disk, struct dw_sim_file *file, const void *bytes, uint64_t size,
                        uint64_t offset, bool is_durable, struct dw_sim_write *write);
int dw_sim_write_end(struct dw_sim_disk *disk, struct dw_sim_write *write);

/* Everything that `file` holds is given back. Under the mutex. */
void dw_sim_locks_drop(struct dw_sim_disk *disk, const struct dw_sim_file *file);

/* io.h, file by file */
int dw_sim_read(struct dw_file *file, void *bytes, size_t size, uint64_t offset, size_t *done);
int dw_sim_write(struct dw_file *file, const void *bytes, size_t size, uint64_t offset);
int dw_sim_write_durable(struct dw_file *file, const void *bytes, size_t size, uint64_t offset);
int dw_sim_sync(struct dw_file *file);
int dw_sim_allocate(struct dw_file *file, uint64_t size);
int dw_sim_size(struct dw_file *file, uint64_t *size);
int dw_sim_lock(struct dw_file *file, enum dw_lock_kind kind, enum dw_lock_mode mode);
int dw_sim_lock_test(struct dw_file *file, enum dw_lock_kind kind, bool *is_held);
int dw_sim_queue_create(struct dw_disk *disk, const struct dw_queue_options *options, struct dw_queue **queue);
void dw_sim_image_released(struct dw_sim_disk *image); /* its crash walker counts it out */

/* ---- the crash walker ---- */
struct dw_sim_version {          /* one sector of one write that may or may not be on the medium */
    uint32_t inode, is_floating; /* floating: no sync will make it durable */
    uint64_t sector, issue;
    uint64_t order; /* of completion; 0: in flight */
};
struct dw_sim_pending_size {
    uint32_t inode;
    bool is_completed;
    uint64_t size, issue;
};
struct dw_sim_open_choice {
    struct dw_sim_choice face;
    size_t first;      /* in `alternatives`: that of alternative 1 */
    uint32_t versions; /* alternatives that are not garbage, without 0 */
};
struct dw_sim_crash {
    struct dw_sim_disk *disk;
    struct dw_sim_crash_options options;
    struct dw_sim_arena arena;
    struct dw_sim_medium durable;
    uint64_t event, order;
    struct dw_sim_version *versions;
    size_t version_count, version_capacity;
    struct dw_sim_pending_size *sizes;
    size_t size_count, size_capacity;
    uint64_t *names; /* events */
    size_t names_count, names_capacity;
    struct dw_sim_open_choice *choices;
    size_t choice_count, choice_capacity;
    uint64_t *alternatives; /* SECTORS: issue event; SIZE: bytes; NAMES: a mask of `names`; ORDER: unused */
    size_t alternative_count, alternative_capacity;
    bool is_built;
    size_t image_count;
};
int dw_sim_crash_step(struct dw_sim_crash *crash, const struct dw_sim_event *event, uint64_t index);
int dw_sim_crash_build(struct dw_sim_crash *crash); /* the choices, from what is pending */

#endif
