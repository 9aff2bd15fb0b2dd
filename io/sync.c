/* sync.c - the synchronous queue: a request is written at once, by the thread that submits it.
 *
 * Owns: a list of finished requests.
 * Called by: the thread that created it (the flusher).
 * Happy path: submit writes (durable: one pwritev2 with RWF_DSYNC); the next reap hands the request out.
 * Failure: becomes the request's result; submit itself cannot fail.
 * Closing: frees the queue; nothing may be in flight. Works on every disk, not only on the posix one. */
#include <errno.h>

#include "alloc/alloc.h"
#include "base/assert.h"
#include "io/io.h"

struct sync_queue {
    struct dw_queue base;
    struct dw_request *first; /* finished, not yet handed out, in the order of submission */
    struct dw_request **last;
};

static struct sync_queue *queue_of(struct dw_queue *base)
{
    return (struct sync_queue *)(void *)base;
}

static void submit_request(struct dw_queue *base, struct dw_request *request)
{
    struct sync_queue *queue = queue_of(base);
    dw_assert(base->in_flight < base->depth);
    request->result = request->is_durable
                          ? dw_file_write_durable(request->file, request->bytes, request->size, request->offset)
                          : dw_file_write(request->file, request->bytes, request->size, request->offset);
    request->done = request->result == 0 ? request->size : 0;
    request->next = NULL;
    *queue->last = request;
    queue->last = &request->next;
    base->in_flight++;
}

static struct dw_request *reap_requests(struct dw_queue *base, bool is_waiting)
{
    struct sync_queue *queue = queue_of(base);
    dw_assert(!is_waiting || base->in_flight > 0);
    struct dw_request *finished = queue->first;
    queue->first = NULL;
    queue->last = &queue->first;
    base->in_flight = 0;
    return finished;
}

static void close_queue(struct dw_queue *base)
{
    dw_assert(base->in_flight == 0);
    dw_free(queue_of(base));
}

static const struct dw_queue_ops sync_ops = {
    .name = "sync",
    .is_synchronous = true,
    .submit = submit_request,
    .reap = reap_requests,
    .close = close_queue,
};

int dw_queue_sync_create(struct dw_disk *disk, const struct dw_queue_options *options, struct dw_queue **queue_out)
{
    (void)disk;
    *queue_out = NULL;
    if (options->depth < 1 || options->depth > 64)
        return -EINVAL;
    struct sync_queue *queue = dw_alloc(sizeof *queue);
    if (!queue)
        return -ENOMEM;
    queue->base.ops = &sync_ops;
    queue->base.depth = options->depth;
    queue->last = &queue->first;
    *queue_out = &queue->base;
    return 0;
}
