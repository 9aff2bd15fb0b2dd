/* aio.c - durable writes in flight through the kernel's older interface (libaio): for where io_uring is forbidden.
 *
 * Owns: a context of the kernel, a control block for every request in flight.
 * Called by: one thread at a time. submit only fills a control block; reap pushes all that wait with one io_submit and takes
 *            the events, so a commit is two system calls.
 * Happy path: IOCB_CMD_PWRITE with RWF_DSYNC on a file with O_DIRECT: io_submit hands the write to the device and returns.
 *             Without O_DIRECT (unsafe disks) io_submit writes by itself: right, but nothing is in flight beside.
 * Failure: an event's error is the request's result and is final; so is what io_submit says of the first control block that
 *          it was given, because then it took none. Short writes above 0 bytes go on with what is left; 0 bytes is -EIO.
 *          EINTR and EAGAIN say that nothing was begun. At creation: -EAGAIN when all contexts of the machine are taken
 *          (sysctl fs.aio-max-nr), -ENOSYS or -EPERM where aio is forbidden.
 *          If io_getevents itself fails for good, the queue is broken: what is in flight and all that is submitted later gets
 *          that error.
 * Closing: nothing may be in flight; the context goes. */
#ifdef DW_HAVE_AIO
#include <errno.h>
#include <libaio.h>
#include <time.h>
#include <unistd.h>

#include "alloc/alloc.h"
#include "base/assert.h"
#include "base/bits.h"
#include "io/posix.h"

enum {
    AIO_SLOTS = 64,    /* deepest queue; one bit each in free_slots */
    AGAIN_MAX = 1000,  /* as often in a row the kernel may say of one write that it was not begun */
    BREATH_US = 100,   /* pause before asking again a kernel that had no memory for a submission */
    BREATHS_MAX = 3000 /* ... and how often */
};
/* The kernel stops at 2^31 - 4096 anyway. */
#define AIO_WRITE_MAX ((size_t)1 << 30)

struct aio_slot {
    struct iocb block;          /* what the kernel reads at io_submit */
    struct dw_request *request; /* NULL: free */
    uint32_t again_count;       /* results in a row that say "not begun" */
};

struct aio_queue {
    struct dw_queue base;
    io_context_t context;
    int broken;               /* 0, or the -errno of an io_getevents that failed for good */
    uint64_t free_slots;      /* bit i: slots[i] is free */
    struct dw_request *first; /* finished, not yet handed out, in completion order */
    struct dw_request **last;
    struct iocb *waiting[AIO_SLOTS]; /* filled, not yet given to the kernel, oldest first */
    uint32_t waiting_count;
    uint32_t kernel_count; /* in the kernel's hands */
    struct aio_slot slots[AIO_SLOTS];
};

static struct aio_queue *queue_of(struct dw_queue *base)
{
    return (struct aio_queue *)(void *)base;
}

/* ---- submit ---- */

/* Fill the slot's control block with what is left of its request, and let it wait for the next reap. */
static void prepare_block(struct aio_queue *queue, struct aio_slot *slot)
{
    const struct dw_request *request = slot->request;
    unsigned char *bytes = (unsigned char *)(uintptr_t)request->bytes + request->done;
    size_t size = dw_min_size(request->size - request->done, AIO_WRITE_MAX);
    uint64_t offset = request->offset + request->done;
    io_prep_pwrite(&slot->block, dw_posix_file_of(request->file)->descriptor, bytes, size, (long long)offset);
    slot->block.aio_rw_flags = request->is_durable ? RWF_DSYNC : 0;
    slot->block.data = slot;
    queue->waiting[queue->waiting_count++] = &slot->block;
}

static void finish_request(struct aio_queue *queue, struct dw_request *request, int result)
{
    request->result = result;
    request->next = NULL;
    *queue->last = request;
    queue->last = &request->next;
}

static void submit_request(struct dw_queue *base, struct dw_request *request)
{
    struct aio_queue *queue = queue_of(base);
    dw_assert(base->in_flight < base->depth);
    dw_assert(request->size > 0);
    if (dw_posix_file_of(request->file)->is_direct)
        dw_assert(dw_is_aligned((uintptr_t)request->bytes | request->size | request->offset, request->file->alignment));
    base->in_flight++;
    request->done = 0;
    if (queue->broken < 0) {
        finish_request(queue, request, queue->broken);
        return;
    }
    struct aio_slot *slot = &queue->slots[__builtin_ctzll(queue->free_slots)];
    queue->free_slots &= queue->free_slots - 1;
    slot->request = request;
    slot->again_count = 0;
    prepare_block(queue, slot);
}

/* ---- reap ---- */

static void finish_slot(struct aio_queue *queue, struct aio_slot *slot, int result)
{
    struct dw_request *request = slot->request;
    slot->request = NULL;
    queue->free_slots |= UINT64_C(1) << (slot - queue->slots);
    finish_request(queue, request, result);
}

/* What became of one control block: bytes, or -errno. */
static void complete_slot(struct aio_queue *queue, struct aio_slot *slot, long result)
{
    struct dw_request *request = slot->request;
    dw_assert(request != NULL);
    if (result > 0) {
        dw_assert((size_t)result <= request->size - request->done);
        request->done += (size_t)result;
        slot->again_count = 0;
        if (request->done < request->size) {
            prepare_block(queue, slot);
            return;
        }
    }
    if ((result == -EINTR || result == -EAGAIN) && ++slot->again_count < AGAIN_MAX) {
        prepare_block(queue, slot);
        return;
    }
    finish_slot(queue, slot, result > 0 ? 0 : result == 0 ? -EIO : (int)result);
}

/* The context does not answer any more: everything in flight ends with this error. */
static void break_queue(struct aio_queue *queue, int error)
{
    queue->broken = error;
    queue->waiting_count = 0;
    queue->kernel_count = 0;
    for (size_t i = 0; i < AIO_SLOTS; i++)
        if (queue->slots[i].request)
            finish_slot(queue, &queue->slots[i], error);
}

static void drop_waiting(struct aio_queue *queue, uint32_t count)
{
    queue->waiting_count -= count;
    for (uint32_t i = 0; i < queue->waiting_count; i++)
        queue->waiting[i] = queue->waiting[i + count];
}

/* Give the kernel what waits. false: it has no room now, and something of ours is in its hands: take events first. */
static bool push_waiting(struct aio_queue *queue)
{
    uint32_t breaths = 0;
    while (queue->waiting_count > 0) {
        int taken = io_submit(queue->context, (long)queue->waiting_count, queue->waiting);
        if (taken > 0) {
            queue->kernel_count += (uint32_t)taken;
            drop_waiting(queue, (uint32_t)taken);
            continue;
        }
        struct aio_slot *slot = queue->waiting[0]->data;
        if (taken == -EAGAIN && queue->kernel_count > 0)
            return false;
        if ((taken == -EAGAIN || taken == -EINTR || taken == 0) && ++breaths < BREATHS_MAX) {
            usleep(BREATH_US);
            continue;
        }
        /* Not one was taken, so this is said of the first: a descriptor or a flag that the kernel refuses. */
        drop_waiting(queue, 1);
        finish_slot(queue, slot, taken == 0 ? -EAGAIN : taken);
        breaths = 0;
    }
    return true;
}

/* Take the events that are there; is_waiting: at least one. */
static void take_events(struct aio_queue *queue, bool is_waiting)
{
    struct io_event events[AIO_SLOTS];
    struct timespec none = {0};
    int count;
    do
        count = io_getevents(queue->context, is_waiting ? 1 : 0, AIO_SLOTS, events, is_waiting ? NULL : &none);
    while (count == -EINTR && is_waiting);
    if (count < 0 && count != -EINTR)
        break_queue(queue, count);
    for (int i = 0; i < count; i++) {
        queue->kernel_count--;
        complete_slot(queue, events[i].data, (long)events[i].res);
    }
}

static struct dw_request *reap_requests(struct dw_queue *base, bool is_waiting)
{
    struct aio_queue *queue = queue_of(base);
    dw_assert(!is_waiting || base->in_flight > 0);
    for (;;) {
        bool is_pushed = push_waiting(queue);
        if (queue->kernel_count > 0)
            take_events(queue, !is_pushed || (is_waiting && !queue->first));
        if (queue->waiting_count == 0 && (queue->first || !is_waiting))
            break;
    }
    struct dw_request *finished = queue->first;
    queue->first = NULL;
    queue->last = &queue->first;
    for (const struct dw_request *request = finished; request; request = request->next)
        base->in_flight--;
    return finished;
}

/* ---- open and close ---- */

static void close_queue(struct dw_queue *base)
{
    struct aio_queue *queue = queue_of(base);
    dw_assert(base->in_flight == 0);
    (void)io_destroy(queue->context);
    dw_free(queue);
}

static const struct dw_queue_ops aio_ops = {
    .name = "aio",
    .is_synchronous = false,
    .submit = submit_request,
    .reap = reap_requests,
    .close = close_queue,
};

int dw_queue_aio_create(struct dw_disk *disk, const struct dw_queue_options *options, struct dw_queue **queue_out)
{
    (void)disk;
    *queue_out = NULL;
    if (options->depth < 1 || options->depth > AIO_SLOTS)
        return -EINVAL;
    struct aio_queue *queue = dw_alloc(sizeof *queue);
    if (!queue)
        return -ENOMEM;
    int result = io_setup((int)options->depth, &queue->context);
    if (result < 0) {
        dw_free(queue);
        return result;
    }
    queue->base.ops = &aio_ops;
    queue->base.depth = options->depth;
    queue->last = &queue->first;
    queue->free_slots = options->depth == 64 ? UINT64_MAX : (UINT64_C(1) << options->depth) - 1;
    *queue_out = &queue->base;
    return 0;
}
#else
typedef int dw_aio_is_not_built; /* a translation unit may not be empty */
#endif
