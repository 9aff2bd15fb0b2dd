/* uring_reads.c - reads in flight through io_uring: one system call for many of them.
 *
 * Owns: a ring of its own, without registered files or memory: it lives for one load.
 * Called by: the thread that opened it (io/reads.c).
 * Happy path: submit fills entries and pushes them a few at a time, so that the device has something to do early; reap pushes
 * the rest and waits for the first completion.
 * Failure: -errno of a completion is the read's result. What was not begun, or came short, is read again by a plain read, which
 * knows what the end of a file looks like. If the ring itself fails for good, what the kernel has not taken is read plainly;
 * what it has taken is waited for: its memory must not be given back while the device may still write there.
 * Closing: nothing is in flight. */
#ifdef DW_HAVE_URING
#include <errno.h>
#include <unistd.h>

#include "alloc/alloc.h"
#include "base/assert.h"
#include "base/bits.h"
#include "io/reads.h"
#include "io/uring.h"

/* As many entries are pushed together. */
enum { PUSH_AT = 8, LOOK_AGAIN_US = 50 };
#define READ_MAX ((size_t)1 << 30)

struct uring_reads {
    struct dw_reads base;
    struct io_uring ring;
    uint32_t out;      /* entries that were prepared and are not completed */
    uint32_t prepared; /* so far; the kernel takes entries in their order */
    bool is_broken;    /* nothing can be pushed any more */
    struct dw_read *finished;
    struct dw_read *order[DW_READS_MAX]; /* the last ones that were prepared */
};

static struct uring_reads *reads_of(struct dw_reads *base)
{
    return (struct uring_reads *)(void *)base;
}

static void finish(struct uring_reads *reads, struct dw_read *read)
{
    read->next = reads->finished;
    reads->finished = read;
}

static void read_plainly(struct uring_reads *reads, struct dw_read *read)
{
    read->result = dw_file_read(read->file, read->bytes, read->size, read->offset, &read->done);
    finish(reads, read);
}

static bool is_not_begun(int result)
{
    return result == -EINTR || result == -EAGAIN || result == -ECANCELED;
}

static void complete(struct uring_reads *reads, struct dw_read *read, int result)
{
    dw_assert(reads->out > 0);
    reads->out--;
    if (is_not_begun(result) || (result >= 0 && (size_t)result < read->size)) {
        read_plainly(reads, read);
        return;
    }
    read->result = result < 0 ? result : 0;
    read->done = result < 0 ? 0 : read->size;
    finish(reads, read);
}

static void take_completions(struct uring_reads *reads)
{
    struct io_uring_cqe *entry;
    unsigned head, count = 0;
    io_uring_for_each_cqe(&reads->ring, head, entry)
    {
        complete(reads, io_uring_cqe_get_data(entry), entry->res);
        count++;
    }
    io_uring_cq_advance(&reads->ring, count);
}

/* What the kernel has not taken are the last ones that were prepared. */
static void give_up_pushing(struct uring_reads *reads)
{
    reads->is_broken = true;
    for (unsigned left = io_uring_sq_ready(&reads->ring); left > 0; left--) {
        reads->out--;
        read_plainly(reads, reads->order[(reads->prepared - left) % DW_READS_MAX]);
    }
}

/* Push, and with `is_waiting` wait for a completion. */
static void enter(struct uring_reads *reads, bool is_waiting)
{
    if (reads->is_broken) {
        if (is_waiting)
            usleep(LOOK_AGAIN_US); /* the device finishes what it has, and any system call lets completions in */
        return;
    }
    int result = dw_uring_enter(&reads->ring, is_waiting, false);
    if (dw_uring_is_broken_by(result))
        give_up_pushing(reads);
    else
        dw_uring_breathe(result);
}

static void submit_read(struct dw_reads *base, struct dw_read *read)
{
    struct uring_reads *reads = reads_of(base);
    const struct dw_posix_file *file = dw_posix_file_of(read->file);
    dw_assert(read->size <= READ_MAX && read->offset <= INT64_MAX - read->size);
    if (file->is_direct)
        dw_assert(dw_is_aligned((uintptr_t)read->bytes | read->size | read->offset, read->file->alignment));
    read->done = 0;
    if (reads->is_broken) {
        read_plainly(reads, read);
        return;
    }
    struct io_uring_sqe *entry = io_uring_get_sqe(&reads->ring);
    dw_assert(entry != NULL); /* the ring is as large as the depth */
    io_uring_prep_read(entry, file->descriptor, read->bytes, (unsigned)read->size, read->offset);
    io_uring_sqe_set_data(entry, read);
    reads->order[reads->prepared++ % DW_READS_MAX] = read;
    reads->out++;
    if (io_uring_sq_ready(&reads->ring) >= PUSH_AT)
        enter(reads, false);
}

static struct dw_read *reap_reads(struct dw_reads *base)
{
    struct uring_reads *reads = reads_of(base);
    take_completions(reads);
    bool has_unpushed = !reads->is_broken && io_uring_sq_ready(&reads->ring) > 0;
    if (has_unpushed && reads->finished)
        enter(reads, false);
    while (!reads->finished) {
        dw_assert(reads->out > 0);
        enter(reads, true);
        take_completions(reads);
    }
    struct dw_read *finished = reads->finished;
    reads->finished = NULL;
    return finished;
}

static void close_reads(struct dw_reads *base)
{
    struct uring_reads *reads = reads_of(base);
    dw_assert(reads->out == 0);
    dw_uring_destroy_ring(&reads->ring);
    dw_free(reads);
}

static const struct dw_reads_ops uring_reads_ops = {.submit = submit_read, .reap = reap_reads, .close = close_reads};

int dw_posix_reads_create(struct dw_disk *disk, uint32_t depth, struct dw_reads **out)
{
    (void)disk;
    struct uring_reads *reads = dw_alloc(sizeof *reads);
    if (!reads)
        return -ENOMEM;
    /* As if shared: completions then come in without being asked for, also into a ring that cannot be entered any more. */
    int result = dw_uring_create_ring(&reads->ring, depth, true, 0);
    if (result == 0 && !(reads->ring.features & IORING_FEAT_RW_CUR_POS)) {
        dw_uring_destroy_ring(&reads->ring);
        result = -ENOSYS; /* IORING_OP_READ came with it (5.6) */
    }
    if (result != 0) {
        dw_free(reads);
        return result;
    }
    reads->base.ops = &uring_reads_ops;
    *out = &reads->base;
    return 0;
}
#else
#include <errno.h>

#include "io/posix.h"

int dw_posix_reads_create(struct dw_disk *disk, uint32_t depth, struct dw_reads **reads)
{
    (void)disk;
    (void)depth;
    (void)reads;
    return -EOPNOTSUPP;
}
#endif
