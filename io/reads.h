/* reads.h - several reads in flight: what a load has many of, one here and one there.
 *
 * A `dw_reads` belongs to one thread, and with nothing in flight it may change hands. Each read answers what dw_file_read would:
 * 0 and *done bytes, fewer only at the end of the file, or -errno. Reads finish in any order; nobody may count on one.
 * Owns: what the kernel is told; a read and its memory are the queue's from submit to reap, the caller's otherwise.
 * Happy path: open -> submit up to `depth` -> reap some -> submit more -> all reaped -> close.
 * Failure: is a read's result; submit and reap cannot fail. Where the disk has no way to have several in flight, or is not
 * to use it, they are done one after another (`is_plain`): the same calls, the same answers.
 * Closing: nothing may be in flight. */
#ifndef DW_IO_READS_H
#define DW_IO_READS_H

#include "io/io.h"

/* One read. Offset, size and memory as for dw_file_read. */
struct dw_read {
    struct dw_file *file;
    void *bytes;
    size_t size;
    uint64_t offset;
    void *user;  /* the caller's own */
    int result;  /* when reaped: 0 or -errno */
    size_t done; /* when reaped: bytes that came */
    struct dw_read *next;
};

struct dw_reads;
struct dw_reads_ops {
    void (*submit)(struct dw_reads *reads, struct dw_read *read);
    struct dw_read *(*reap)(struct dw_reads *reads);
    void (*close)(struct dw_reads *reads);
};

struct dw_reads {
    const struct dw_reads_ops *ops;
    uint32_t depth;
    uint32_t in_flight; /* kept by the queue */
    bool is_plain;      /* one after another: several threads get more out of a device then */
};

/* `depth`: most reads in flight, 1..DW_READS_MAX. `is_plain`: no more than plain reads, whatever the disk could do.
 * -ENOMEM. */
#define DW_READS_MAX 256u
DW_NODISCARD int dw_reads_open(struct dw_disk *disk, uint32_t depth, bool is_plain, struct dw_reads **reads);
void dw_reads_close(struct dw_reads *reads); /* NULL is fine */
/* Start a read, or let it wait for the next reap to be started. */
void dw_reads_submit(struct dw_reads *reads, struct dw_read *read);
/* Those that are finished, at least one, linked by `next`. Something must be in flight. */
struct dw_read *dw_reads_reap(struct dw_reads *reads);

#endif
