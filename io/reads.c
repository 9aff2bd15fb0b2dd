/* reads.c - see reads.h; here the way that every disk has: one read after another, by the calling thread.
 *
 * Called by: the thread that opened the queue. Happy path: submit reads at once, reap hands out what was read, the last one
 * first, so that whoever counts on an order is found out on the simulated disk.
 * Failure: becomes the read's result. Closing: frees the queue. */
#include "io/reads.h"

#include <errno.h>

#include "alloc/alloc.h"
#include "base/assert.h"

struct plain_reads {
    struct dw_reads base;
    struct dw_read *finished;
};

static struct plain_reads *plain_of(struct dw_reads *base)
{
    return (struct plain_reads *)(void *)base;
}

static void submit_plain(struct dw_reads *base, struct dw_read *read)
{
    struct plain_reads *reads = plain_of(base);
    read->done = 0;
    read->result = dw_file_read(read->file, read->bytes, read->size, read->offset, &read->done);
    read->next = reads->finished;
    reads->finished = read;
}

static struct dw_read *reap_plain(struct dw_reads *base)
{
    struct plain_reads *reads = plain_of(base);
    struct dw_read *finished = reads->finished;
    reads->finished = NULL;
    return finished;
}

static void close_plain(struct dw_reads *base)
{
    dw_free(plain_of(base));
}

static const struct dw_reads_ops plain_ops = {.submit = submit_plain, .reap = reap_plain, .close = close_plain};

static int open_plain(struct dw_reads **out)
{
    struct plain_reads *reads = dw_alloc(sizeof *reads);
    if (!reads)
        return -ENOMEM;
    reads->base.ops = &plain_ops;
    reads->base.is_plain = true;
    *out = &reads->base;
    return 0;
}

int dw_reads_open(struct dw_disk *disk, uint32_t depth, bool is_plain, struct dw_reads **out)
{
    dw_assert(depth >= 1 && depth <= DW_READS_MAX);
    *out = NULL;
    int result = -EOPNOTSUPP;
    if (!is_plain && disk->ops->reads_create)
        result = disk->ops->reads_create(disk, depth, out);
    if (result != 0) /* whatever forbids the other way */
        result = open_plain(out);
    if (result != 0)
        return result;
    (*out)->depth = depth;
    return 0;
}

void dw_reads_close(struct dw_reads *reads)
{
    if (!reads)
        return;
    dw_assert(reads->in_flight == 0);
    reads->ops->close(reads);
}

void dw_reads_submit(struct dw_reads *reads, struct dw_read *read)
{
    dw_assert(reads->in_flight < reads->depth && read->size > 0);
    reads->in_flight++;
    reads->ops->submit(reads, read);
}

struct dw_read *dw_reads_reap(struct dw_reads *reads)
{
    dw_assert(reads->in_flight > 0);
    struct dw_read *finished = reads->ops->reap(reads);
    dw_assert(finished != NULL);
    for (const struct dw_read *read = finished; read; read = read->next)
        reads->in_flight--;
    return finished;
}
