/* uring.c - durable writes in flight through io_uring.
 *
 * Owns: a ring, a slot for every request in flight; uring_files.c keeps the table of fixed files.
 * Called by: the thread that created it (SINGLE_ISSUER: the kernel refuses any other), or, if shared, one thread at a time;
 *            one submit and one reap are one system call together: submit only fills an entry, reap pushes it and, if
 *            asked, waits in the same call.
 * Happy path: IORING_OP_WRITE_FIXED from the registered ring memory into a fixed file with RWF_DSYNC; completions are
 *             taken in the order in which the kernel posts them. No busy polling, no kernel polling thread.
 * Failure: a completion's error is the request's result and is final. Results that say that nothing was begun (see
 *          is_not_begun) and short writes above 0 bytes go on with what is left; 0 bytes is -EIO. What cannot be had
 *          (registered memory beyond RLIMIT_MEMLOCK, fixed files) is done without. -EPERM / -ENOSYS at creation:
 *          io_uring is forbidden here.
 *          If io_uring_enter itself fails for good, the queue is broken: what is in flight and all that is submitted
 *          later gets that error. Whether its bytes arrive is then unknown, as after any failed write.
 * Closing: nothing may be in flight; files leave the table, then the ring goes. */
#ifdef DW_HAVE_URING
#include <errno.h>
#include <stdatomic.h>
#include <string.h>
#include <unistd.h>

#include "alloc/alloc.h"
#include "base/assert.h"
#include "base/bits.h"
#include "io/uring.h"

/* Fixed by the kernel's interface; older headers lack the younger ones. */
#define SETUP_COOP_TASKRUN  (1u << 8)  /* 5.19 */
#define SETUP_TASKRUN_FLAG  (1u << 9)  /* 5.19 */
#define SETUP_SINGLE_ISSUER (1u << 12) /* 6.0 */
#define SETUP_DEFER_TASKRUN (1u << 13) /* 6.1 */

/* A kernel that so often in a row does not begin a write that may wait has lost its mind or its memory. */
enum { AGAIN_MAX = 1000 };
/* Pause before asking again a kernel that had no memory for a submission. */
enum { KERNEL_BREATH_US = 100 };

static struct dw_uring *uring_of(struct dw_queue *base)
{
    return (struct dw_uring *)(void *)base;
}

/* ---- submit ---- */

/* Fill a submission entry with what is left of the request. There always is one: at most `depth` are in flight. */
static void prepare_entry(struct dw_uring *queue, uint32_t index)
{
    struct dw_uring_slot *slot = &queue->slots[index];
    struct dw_request *request = slot->request;
    struct io_uring_sqe *entry = io_uring_get_sqe(&queue->ring);
    dw_assert(entry != NULL);
    const unsigned char *bytes = (const unsigned char *)request->bytes + request->done;
    size_t left = request->size - request->done;
    uint32_t size = (uint32_t)dw_min_size(left, DW_URING_WRITE_MAX);
    uint64_t offset = request->offset + request->done;
    uintptr_t from_ring = (uintptr_t)bytes - (uintptr_t)queue->memory; /* huge when it lies before */
    bool is_registered = queue->memory && from_ring <= queue->memory_size && left <= queue->memory_size - from_ring;
    int file = slot->file >= 0 ? slot->file : dw_posix_file_of(request->file)->descriptor;
    if (is_registered)
        io_uring_prep_write_fixed(entry, file, bytes, size, offset, 0);
    else
        io_uring_prep_write(entry, file, bytes, size, offset);
    if (slot->file >= 0)
        entry->flags |= IOSQE_FIXED_FILE;
    entry->rw_flags = request->is_durable ? RWF_DSYNC : 0;
    entry->user_data = index;
}

static void finish_request(struct dw_uring *queue, struct dw_request *request, int result)
{
    request->result = result;
    request->next = NULL;
    *queue->last = request;
    queue->last = &request->next;
}

static void submit_request(struct dw_queue *base, struct dw_request *request)
{
    struct dw_uring *queue = uring_of(base);
    dw_assert(base->in_flight < base->depth);
    dw_assert(request->size > 0);
    dw_debug_assert(queue->is_shared || pthread_equal(queue->owner, pthread_self()));
    if (dw_posix_file_of(request->file)->is_direct)
        dw_assert(dw_is_aligned((uintptr_t)request->bytes | request->size | request->offset, request->file->alignment));
    base->in_flight++;
    request->done = 0;
    if (queue->broken < 0) {
        finish_request(queue, request, queue->broken);
        return;
    }
    uint32_t index = (uint32_t)__builtin_ctzll(queue->free_slots);
    queue->free_slots &= queue->free_slots - 1;
    queue->slots[index] = (struct dw_uring_slot){.request = request};
    queue->slots[index].file = dw_uring_files_use(queue, dw_posix_file_of(request->file));
    prepare_entry(queue, index);
}

/* ---- reap ---- */

static void free_slot(struct dw_uring *queue, uint32_t index)
{
    dw_uring_files_done(queue, queue->slots[index].file);
    queue->slots[index].request = NULL;
    queue->free_slots |= UINT64_C(1) << index;
}

/* The write did not reach the file, so to submit it again is no second try. ECANCELED: a write that may block is handed to
 * a kernel worker, and when none can be made (a signal is pending in this thread, a debugger stops it), the kernel drops
 * what it had not started; nobody else cancels here. */
static bool is_not_begun(int result)
{
    return result == -EINTR || result == -EAGAIN || result == -ECANCELED;
}

static void complete_slot(struct dw_uring *queue, uint32_t index, int result)
{
    struct dw_uring_slot *slot = &queue->slots[index];
    struct dw_request *request = slot->request;
    dw_assert(request != NULL);
    if (result > 0) {
        dw_assert((size_t)result <= request->size - request->done);
        request->done += (size_t)result;
        slot->again_count = 0;
        if (request->done < request->size) {
            prepare_entry(queue, index);
            return;
        }
    }
    if (is_not_begun(result) && ++slot->again_count < AGAIN_MAX) {
        prepare_entry(queue, index);
        return;
    }
    free_slot(queue, index);
    finish_request(queue, request, result > 0 ? 0 : result == 0 ? -EIO : result);
}

/* The ring does not answer any more: everything in flight ends with this error. */
static void break_queue(struct dw_uring *queue, int error)
{
    queue->broken = error;
    for (uint32_t i = 0; i < DW_URING_SLOTS; i++) {
        struct dw_request *request = queue->slots[i].request;
        if (!request)
            continue;
        free_slot(queue, i);
        finish_request(queue, request, error);
    }
}

static void take_completions(struct dw_uring *queue)
{
    struct io_uring_cqe *entry;
    unsigned head, count = 0;
    /* prepare_entry inside complete_slot touches only the submission side. */
    io_uring_for_each_cqe(&queue->ring, head, entry)
    {
        complete_slot(queue, (uint32_t)entry->user_data, entry->res);
        count++;
    }
    io_uring_cq_advance(&queue->ring, count);
}

/* One io_uring_enter, or none when there is nothing to push, to run or to wait for. */
int dw_uring_enter(struct io_uring *ring, bool is_waiting, bool is_polled)
{
    if (is_waiting)
        return io_uring_submit_and_wait(ring, 1);
    if (io_uring_sq_ready(ring) > 0)
        return is_polled ? io_uring_submit_and_get_events(ring) : io_uring_submit(ring);
    /* Completions that wait for this thread to enter the kernel are announced by a flag in shared memory; those of a polled
     * ring come only to who asks. */
    if (is_polled || (IO_URING_READ_ONCE(*ring->sq.kflags) & (IORING_SQ_TASKRUN | IORING_SQ_CQ_OVERFLOW)))
        return io_uring_get_events(ring);
    return 0;
}

/* EINTR: a signal came while waiting; EAGAIN, EBUSY: no memory, or completions must be taken first. */
bool dw_uring_is_broken_by(int result)
{
    return result < 0 && result != -EINTR && result != -EAGAIN && result != -EBUSY;
}

void dw_uring_breathe(int result)
{
    if (result == -EAGAIN || result == -EBUSY)
        usleep(KERNEL_BREATH_US);
}

static struct dw_request *reap_requests(struct dw_queue *base, bool is_waiting)
{
    struct dw_uring *queue = uring_of(base);
    dw_assert(!is_waiting || base->in_flight > 0);
    dw_debug_assert(queue->is_shared || pthread_equal(queue->owner, pthread_self()));
    while (queue->broken == 0) {
        take_completions(queue);
        bool is_enough = queue->first || !is_waiting;
        int result = dw_uring_enter(&queue->ring, !is_enough, false);
        if (dw_uring_is_broken_by(result)) {
            take_completions(queue);
            break_queue(queue, result);
            break;
        }
        take_completions(queue);
        if (io_uring_sq_ready(&queue->ring) == 0 && (queue->first || !is_waiting))
            break;
        dw_uring_breathe(result);
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
    struct dw_uring *queue = uring_of(base);
    dw_assert(base->in_flight == 0);
    dw_uring_files_close(queue);
    dw_uring_destroy_ring(&queue->ring);
    dw_free(queue);
}

static const struct dw_queue_ops uring_ops = {
    .name = "uring",
    .is_synchronous = false,
    .submit = submit_request,
    .reap = reap_requests,
    .close = close_queue,
};

/* Rings that went away. A later one may be given the same addresses, in another thread: the kernel orders that, but in calls that
 * liburing makes past libc, which the thread sanitizer does not see. */
static atomic_uint rings_gone;

void dw_uring_destroy_ring(struct io_uring *ring)
{
    atomic_fetch_add_explicit(&rings_gone, 1, memory_order_release); /* pairs: URING-GONE */
    io_uring_queue_exit(ring);
}

/* Newest first; an older kernel answers -EINVAL to flags that it does not know. The first is for one thread alone. */
int dw_uring_create_ring(struct io_uring *ring, uint32_t depth, bool is_shared, unsigned wanted)
{
    static const unsigned choices[] = {
        SETUP_SINGLE_ISSUER | SETUP_DEFER_TASKRUN | SETUP_TASKRUN_FLAG,
        SETUP_COOP_TASKRUN | SETUP_TASKRUN_FLAG,
        0,
    };
    int result = -EINVAL;
    for (size_t i = is_shared ? 1 : 0; i < DW_COUNT_OF(choices) && result == -EINVAL; i++)
        result = io_uring_queue_init(depth, ring, choices[i] | wanted);
    (void)atomic_load_explicit(&rings_gone, memory_order_acquire); /* pairs: URING-GONE */
    return result;
}

int dw_queue_uring_create(struct dw_disk *disk, const struct dw_queue_options *options, struct dw_queue **queue_out)
{
    (void)disk;
    *queue_out = NULL;
    if (options->depth < 1 || options->depth > DW_URING_SLOTS)
        return -EINVAL;
    struct dw_uring *queue = dw_alloc(sizeof *queue);
    if (!queue)
        return -ENOMEM;
    int result = dw_uring_create_ring(&queue->ring, options->depth, options->is_shared, 0);
    if (result == 0 && !(queue->ring.features & IORING_FEAT_RW_CUR_POS)) {
        /* Came with IORING_OP_WRITE (5.6): without it nothing here would work. */
        dw_uring_destroy_ring(&queue->ring);
        result = -ENOSYS;
    }
    if (result < 0) {
        dw_free(queue);
        return result;
    }
    queue->base.ops = &uring_ops;
    queue->base.depth = options->depth;
    queue->last = &queue->first;
    queue->owner = pthread_self();
    queue->is_shared = options->is_shared;
    queue->free_slots = options->depth == 64 ? UINT64_MAX : (UINT64_C(1) << options->depth) - 1;
    if (options->ring_memory) {
        struct iovec memory = {.iov_base = (void *)(uintptr_t)options->ring_memory, .iov_len = options->ring_size};
        if (io_uring_register_buffers(&queue->ring, &memory, 1) == 0) {
            queue->memory = options->ring_memory;
            queue->memory_size = options->ring_size;
        }
    }
    dw_uring_files_open(queue);
    *queue_out = &queue->base;
    return 0;
}
#else
typedef int dw_uring_is_not_built; /* a translation unit may not be empty */
#endif
