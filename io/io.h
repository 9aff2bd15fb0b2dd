/* io.h - the contract of a disk: bytes <-> files. Knows descriptors, offsets, alignment, durability; nothing of logs.
 *
 * A `dw_disk` is one directory or one device seen through one implementation: `posix` (io/posix.c, with the queues sync,
 * uring and aio), `device` (io/posix_device.c: the same bytes and queues on a block device) or `sim` (io/sim.c: a simulated
 * disk that can yield every crash image). A `dw_queue` is a set of durable writes in flight. A device is a disk with one
 * file of a fixed size, DW_DEVICE_NAME: it cannot be created, renamed, unlinked, allocated or made longer.
 *
 * Results: 0 or -errno, always named; errno is neither set nor trusted. A device that lost power or has a medium
 * error may say ENODATA, ENOSPC, EREMOTEIO, ...: any errno can come from any call that touches the device.
 * Interrupted calls (EINTR) and short transfers above 0 bytes are continued inside; a transfer of 0 bytes is -EIO.
 * Alignment: offset, size and memory of every transfer are multiples of 512 at least and of `file->alignment`;
 * callers in core always use whole blocks in block-aligned memory.
 * Ownership: a buffer lent to a call is untouchable by the caller until it returns (a request: until it is reaped).
 * Threads: all calls on a disk and on a file may come from any thread at any time, except close, which comes last;
 * a queue belongs to the thread that created it, or with `is_shared` to one thread at a time. */
#ifndef DW_IO_IO_H
#define DW_IO_IO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#include "base/compiler.h"

struct dw_disk;
struct dw_file;
struct dw_queue;
struct dw_reads;

/* ---- opening a file ---- */
enum {
    DW_OPEN_READ = 0x01,   /* neither write nor create */
    DW_OPEN_WRITE = 0x02,  /* read and write */
    DW_OPEN_CREATE = 0x04, /* with WRITE: must not exist (O_EXCL); mode 0600 */
};

/* ---- locks: on the very descriptor that carries the I/O; released by close and by the process's end ---- */
enum dw_lock_kind {
    DW_LOCK_WRITER = 0, /* "somebody writes here" (byte 2^62 of the file, OFD lock) */
    DW_LOCK_PIN = 1,    /* "somebody reads here: do not retire" (byte 2^62 + 1) */
    DW_LOCK_HOLDER = 2, /* of a device: "I am dwal, and mine is the exclusive open" (byte 2^62 + 2); the disk's own */
    DW_LOCK_FIRST =
        16, /* from here on (byte 2^62 + n) the meaning is the caller's: a device holds many lockable things */
    DW_LOCK_LAST = 0x7fffffff,
};
enum dw_lock_mode { DW_LOCK_SHARED, DW_LOCK_EXCLUSIVE, DW_LOCK_NONE /* release */ };

/* A file of a disk. Implementations embed it as their first member. */
struct dw_file {
    struct dw_disk *disk;
    uint32_t alignment; /* of offset, size and memory for direct I/O: 512..65536, a power of two */
};

/* One durable write in flight. The caller owns the struct; from submit to reap it belongs to the queue. */
struct dw_request {
    struct dw_file *file;
    const void *bytes;
    size_t size;
    uint64_t offset;
    bool is_durable;         /* false: an ordinary write (fill, marker): completion promises nothing */
    void *user;              /* the caller's own */
    int result;              /* when reaped: 0 or -errno; 0 means that all `size` bytes are written (durably) */
    struct dw_request *next; /* link of the queue's lists */
    size_t done;             /* bytes already written (used by the queue to go on after short writes) */
    uint32_t device_status;  /* what the device itself said, where the queue sees it: an NVMe status; else 0 */
};

/* One directory entry. `size` in bytes. */
typedef int dw_list_fn(void *context, const char *name, uint64_t size);

/* Limits and facts of a queue kind, by name: "sync", "uring", "aio", "sim". */
struct dw_queue_options {
    const char *kind;        /* NULL: the disk's choice */
    uint32_t depth;          /* most requests in flight, 1..64 */
    const void *ring_memory; /* registered as a fixed buffer where possible (else NULL / 0) */
    size_t ring_size;
    bool
        is_shared; /* used by changing threads, one at a time: the caller's lock orders them, and nothing is in flight when
                     * it changes hands */
};

struct dw_disk_ops {
    const char *name; /* "posix", "sim" */
    void (*close)(struct dw_disk *disk);

    /* ---- names: atomic each, durable only after sync_names ---- */
    /* Call `fn` for every regular file; stops at its first non-zero result and returns that. */
    int (*list)(struct dw_disk *disk, dw_list_fn *fn, void *context);
    /* -EEXIST (CREATE), -ENOENT, -EINVAL (cannot do direct I/O there), -EACCES, -EROFS, ... */
    int (*open)(struct dw_disk *disk, const char *name, unsigned flags, struct dw_file **file);
    int (*rename)(struct dw_disk *disk, const char *from, const char *to); /* -EEXIST when `to` is there */
    int (*unlink)(struct dw_disk *disk, const char *name);
    int (*sync_names)(struct dw_disk *disk); /* creations, renames and unlinks so far are durable */

    /* ---- one file ---- */
    void (*close_file)(struct dw_file *file);
    int (*size)(struct dw_file *file, uint64_t *size);
    /* Reads up to the end of file; *done tells how many bytes. -EIO etc. with *done = bytes good before the error. */
    int (*read)(struct dw_file *file, void *bytes, size_t size, uint64_t offset, size_t *done);
    int (*write)(struct dw_file *file, const void *bytes, size_t size, uint64_t offset);
    /* Returns 0 only when all bytes are on stable storage: one write with the DSYNC flag. Any thread, beside a queue.
     * This is the one system call of a lone committer. */
    int (*write_durable)(struct dw_file *file, const void *bytes, size_t size, uint64_t offset);
    int (*sync)(struct dw_file *file); /* data and metadata of the file (fsync) */
    /* Allocate and set the file's size without writing. -EOPNOTSUPP where the file system cannot, -ENOSPC, ... */
    int (*allocate)(struct dw_file *file, uint64_t size);
    /* Try once. 0, or -EAGAIN when somebody else's lock conflicts. Through another open file of the same process
     * it conflicts as well. */
    int (*lock)(struct dw_file *file, enum dw_lock_kind kind, enum dw_lock_mode mode);
    /* Would an exclusive lock conflict now? *is_held = true when somebody else holds one. */
    int (*lock_test)(struct dw_file *file, enum dw_lock_kind kind, bool *is_held);
    /* May be NULL. Give the file the time of now, on stable storage: a durable write that follows within the same tick of the
     * kernel's clock then finds nothing of the inode to write. 0, or -errno of a sync that failed. */
    int (*touch)(struct dw_file *file);
    /* May be NULL. Make a range read as zeros, faster than by writing them, with every block of it really allocated; like
     * an ordinary write it is durable after sync. -EOPNOTSUPP: this cannot be had here, or it was tried and did not do
     * what it says: write zeros. */
    int (*zero)(struct dw_file *file, uint64_t offset, uint64_t size);

    /* ---- durable writes in flight ---- */
    /* Create in the thread that will use it. -EPERM, -EACCES, -ENOSYS: this kind is forbidden here; -EAGAIN: all of it is
     * taken; -EOPNOTSUPP: not built, or not possible on this disk; -EINVAL: unknown kind. */
    int (*queue_create)(struct dw_disk *disk, const struct dw_queue_options *options, struct dw_queue **queue);

    /* May be NULL. Several reads in flight: see io/reads.h, which calls this and does without where it fails. */
    int (*reads_create)(struct dw_disk *disk, uint32_t depth, struct dw_reads **reads);
};

struct dw_queue_ops {
    const char *name;    /* "sync", "uring", "aio", "sim" */
    bool is_synchronous; /* submit returns with the request finished: depth 1 is all that makes sense */
    /* Start one request; never fails: an error is the request's result. Fewer than `depth` must be in flight. */
    void (*submit)(struct dw_queue *queue, struct dw_request *request);
    /* Push submitted requests to the kernel (may be merged with wait), then answer a list of finished requests linked
     * by `next`, in completion order, NULL when none is. is_waiting: blocks until at least one is finished (call it so
     * only with something in flight). */
    struct dw_request *(*reap)(struct dw_queue *queue, bool is_waiting);
    /* Nothing may be in flight. */
    void (*close)(struct dw_queue *queue);
};

#define DW_DEVICE_NAME    "device" /* of the only file of a device */
#define DW_DISK_PART_SIZE 32u      /* with its end */

struct dw_disk {
    const struct dw_disk_ops *ops;
    char path[512]; /* for messages */
    /* A durable request of an asynchronous queue costs less than write_durable: on a raw block device the kernel sends a
     * flush behind a synchronous FUA write, and none behind an asynchronous one. */
    bool is_queue_better;
    bool is_device;
    uint32_t physical_block;      /* of a device: what it really writes at once, bytes; 0: unknown */
    bool is_shared;               /* another process of ours has the exclusive open: nothing may be formatted */
    char part[DW_DISK_PART_SIZE]; /* of a device: the user's own name for the part that is meant; "": none was given */
};
struct dw_queue {
    const struct dw_queue_ops *ops;
    uint32_t depth;
    uint32_t in_flight; /* kept by the queue */
};

/* ---- short forms ---- */
static inline int dw_file_read(struct dw_file *f, void *bytes, size_t size, uint64_t offset, size_t *done)
{
    return f->disk->ops->read(f, bytes, size, offset, done);
}
static inline int dw_file_write(struct dw_file *f, const void *bytes, size_t size, uint64_t offset)
{
    return f->disk->ops->write(f, bytes, size, offset);
}
static inline int dw_file_write_durable(struct dw_file *f, const void *bytes, size_t size, uint64_t offset)
{
    return f->disk->ops->write_durable(f, bytes, size, offset);
}
static inline int dw_file_sync(struct dw_file *f)
{
    return f->disk->ops->sync(f);
}
static inline void dw_file_close(struct dw_file *f)
{
    if (f)
        f->disk->ops->close_file(f);
}

/* ---- implementations ---- */
/* A directory of the machine. `path` must exist. O_DIRECT is used on every file; `is_unsafe` allows buffered I/O where
 * direct I/O is refused (tmpfs, some overlays): for tests and experiments, said in the public manual.
 * Keeps a descriptor of the directory: later renames of a parent do no harm. */
DW_NODISCARD int dw_disk_posix_open(const char *path, bool is_unsafe, struct dw_disk **disk);

/* A block device. `path` is resolved once; the descriptor is kept and never opened again by path. DW_OPEN_WRITE opens with
 * O_EXCL: -EBUSY when it is mounted or otherwise in use, except by other processes of dwal (see posix_device.c), with which
 * it is shared. -ENOTBLK: no block device; with `is_file_allowed` (tests only) a regular file of fixed size is taken for
 * one. -EROFS: read-only. */
DW_NODISCARD int dw_disk_device_open(const char *path, unsigned flags, bool is_file_allowed, struct dw_disk **disk);
/* What forbids to format it (io/guard.h), asked of the very descriptor that will write. -ENOTBLK: no block device. */
struct dw_guard;
DW_NODISCARD int dw_disk_device_guard(struct dw_disk *disk, struct dw_guard *guard);

/* Queue kinds of the posix disk (io/sync.c, io/uring.c, io/aio.c); used through queue_create. */
DW_NODISCARD int dw_queue_sync_create(struct dw_disk *disk, const struct dw_queue_options *options,
                                      struct dw_queue **queue);
DW_NODISCARD int dw_queue_uring_create(struct dw_disk *disk, const struct dw_queue_options *options,
                                       struct dw_queue **queue);

DW_NODISCARD int dw_queue_aio_create(struct dw_disk *disk, const struct dw_queue_options *options,
                                     struct dw_queue **queue);

/* A directory or device of this machine, and no simulation or wrapper of one? */
bool dw_disk_is_posix(const struct dw_disk *disk);
/* From now on make durable writes by an ordinary write and a flush instead of one forced write, where this disk is one of this
 * machine. Of the synchronous path only. Before the first durable write. */
void dw_disk_prefer_flush(struct dw_disk *disk);

/* Straight to an NVMe namespace: the disk's only file is a block device (io/nvme.c). */
DW_NODISCARD int dw_queue_nvme_create(struct dw_disk *disk, const struct dw_queue_options *options, bool is_polled,
                                      struct dw_queue **queue);

/* Why creating a queue of this kind gave this result, and what to do, in plain words (io/refusal.c). */
void dw_queue_refusal(const char *kind, int result, char *text, size_t size);

/* ---- clock, injected like the disk ---- */
struct dw_clock {
    uint64_t (*monotonic_ns)(void *context);
    uint64_t (*realtime_ns)(void *context);
    void *context;
};
extern const struct dw_clock dw_clock_system;

#endif
