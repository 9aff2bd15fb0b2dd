/* posix.h - what the files of the posix disk share: its structs, and who does which part. Private to io/.
 *
 *     posix.c        open and close a directory, choose a queue          posix_names.c  open, list, rename, unlink
 *     posix_file.c   bytes of one file, allocate, sync                   posix_lock.c   the locks
 *     posix_device.c a block device in place of a directory              posix_zero.c   zeros by a command
 *     sync.c uring.c aio.c  queues                                       clock.c        the system's clocks
 *     uring_reads.c         several reads in flight */
#ifndef DW_IO_POSIX_H
#define DW_IO_POSIX_H

#include <stdatomic.h>
#include <sys/types.h>

#include "alloc/pool.h"
#include "io/io.h"

struct dw_posix_disk {
    struct dw_disk base;
    int directory;        /* descriptor: all names are looked up under it */
    struct dw_pool files; /* struct dw_posix_file: opening one again and again allocates nothing */
    bool is_unsafe;
    /* Does the kernel know RWF_DSYNC? One of enum dw_dsync; written by any thread, relaxed: a stale read only costs one
     * more attempt. */
    _Atomic int dsync;
};

enum dw_dsync {
    DW_DSYNC_UNKNOWN = 0, /* no durable write so far */
    DW_DSYNC_KNOWN = 1,   /* one succeeded: an EOPNOTSUPP from now on is the device's and final */
    DW_DSYNC_MISSING = 2, /* the first one was refused: write + fdatasync instead */
};

struct dw_posix_file {
    struct dw_file base;
    int descriptor;
    bool is_direct;          /* false: page cache, only on an unsafe disk */
    _Atomic bool has_locked; /* a lock was ever taken through it */
    uint64_t generation;     /* never reused in this process: tells a queue that an address holds another file now */
};

static inline struct dw_posix_disk *dw_posix_disk_of(struct dw_disk *disk)
{
    return (struct dw_posix_disk *)(void *)disk;
}
static inline struct dw_posix_file *dw_posix_file_of(struct dw_file *file)
{
    return (struct dw_posix_file *)(void *)file;
}

/* posix.c */
int dw_posix_queue_create(struct dw_disk *disk, const struct dw_queue_options *options, struct dw_queue **queue);

/* posix_names.c */
uint64_t dw_posix_generation(void); /* the next one for a dw_posix_file */
int dw_posix_list(struct dw_disk *disk, dw_list_fn *fn, void *context);
int dw_posix_open(struct dw_disk *disk, const char *name, unsigned flags, struct dw_file **file);
int dw_posix_rename(struct dw_disk *disk, const char *from, const char *to);
int dw_posix_unlink(struct dw_disk *disk, const char *name);
int dw_posix_sync_names(struct dw_disk *disk);
/* A new file of this directory without a name, for trials: gone at close or crash. */
DW_NODISCARD int dw_posix_open_unnamed(struct dw_disk *disk, struct dw_file **file);

/* posix_file.c */
void dw_posix_close_file(struct dw_file *file);
int dw_posix_size(struct dw_file *file, uint64_t *size);
int dw_posix_read(struct dw_file *file, void *bytes, size_t size, uint64_t offset, size_t *done);
int dw_posix_write(struct dw_file *file, const void *bytes, size_t size, uint64_t offset);
int dw_posix_write_durable(struct dw_file *file, const void *bytes, size_t size, uint64_t offset);
int dw_posix_sync(struct dw_file *file);
int dw_posix_touch(struct dw_file *file);
int dw_posix_allocate(struct dw_file *file, uint64_t size);
DW_NODISCARD int dw_posix_resize(struct dw_file *file, uint64_t size); /* of trial files only */
DW_NODISCARD int dw_posix_flush(struct dw_file *file);                 /* fdatasync */

/* uring_reads.c */
int dw_posix_reads_create(struct dw_disk *disk, uint32_t depth, struct dw_reads **reads);

/* posix_zero.c */
struct dw_posix_zero {
    uint8_t *buffer;      /* NULL: the device has no command for it */
    bool has_no_allocate; /* FALLOC_FL_WRITE_ZEROES is unknown or refused */
    bool is_proven;       /* it turned a pattern into zeros */
    bool is_refused;      /* it did not, or is refused: never again */
};
void dw_posix_zero_open(struct dw_posix_zero *zero, dev_t number);
void dw_posix_zero_close(struct dw_posix_zero *zero);
int dw_posix_zero(struct dw_posix_zero *zero, struct dw_file *file, uint64_t offset, uint64_t size);

/* posix_lock.c */
int dw_posix_lock(struct dw_file *file, enum dw_lock_kind kind, enum dw_lock_mode mode);
int dw_posix_lock_test(struct dw_file *file, enum dw_lock_kind kind, bool *is_held);
void dw_posix_unlock_from(struct dw_posix_file *file, enum dw_lock_kind first); /* this one and all above it */

#endif
