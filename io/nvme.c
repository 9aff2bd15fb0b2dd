/* nvme.c - durable writes in flight straight to an NVMe namespace, past the kernel's block layer.
 *
 * Owns: a ring of 128-byte entries, the generic node of the namespace (/dev/ngXnY), a slot for every request in flight.
 * Called by: the thread that created it, or, if shared, one thread at a time; as uring.c.
 * Happy path: IORING_OP_URING_CMD with an NVMe write that carries the FUA bit, from registered memory; a request that is larger
 *             than one command may be goes out in pieces, up to PIECES at once. Reads and the disk's other calls go through
 *             the block device: both ways pass by every cache, so each sees at once what the other completed.
 * Failure: a negative completion is an errno, a positive one an NVMe status: both are final, the status is kept in the
 *          request. Only EAGAIN says that the command was not sent. (EINTR does not: the driver says so of a command that it
 *          gave up, which the device may have done.) What cannot be had (registered memory, a fixed file) is done without.
 *          Nobody but this file checks the place of a write: one beyond the end of the device is refused here.
 *          At creation: see nvme.h; -ENXIO: no polled queue; what io_uring says when it is forbidden.
 * Closing: nothing may be in flight; the ring goes, then the node. */
#ifdef DW_HAVE_URING
#include <errno.h>
#include <linux/nvme_ioctl.h>
#include <string.h>
#include <unistd.h>

#include "alloc/alloc.h"
#include "base/assert.h"
#include "base/bits.h"
#include "io/nvme.h"
#include "io/uring.h"

enum {
    PIECES = 4,       /* of one request in flight together */
    AGAIN_MAX = 1000, /* as often in a row a command may not have been sent */
    PROBE_SIZE = 65536,
    COMPARISONS = 4,
    PROBE_BUFFER = 0, /* indexes of registered memory: what the way is proved with, then the chunks of the ring */
    FIRST_CHUNK = 1,
    CHUNKS_MAX = 1000, /* the kernel takes 1024 */
};

struct nvme_slot {
    struct dw_request *request; /* NULL: free */
    uint64_t issued;            /* bytes of it that were given to commands */
    uint32_t flying;            /* commands in flight */
    uint32_t again_count;
    int error; /* the first; no further pieces then */
};

struct nvme_queue {
    struct dw_queue base;
    struct dw_disk *disk;
    struct io_uring ring;
    struct dw_nvme_target target;
    const unsigned char *memory; /* the ring, registered in chunks, or NULL */
    size_t memory_size;
    size_t chunk_size;
    bool is_memory_refused; /* the kernel would not take it for a command after all */
    bool is_polled, has_fixed_file;
    int broken;               /* 0, or the -errno of an io_uring_enter that failed for good */
    uint64_t free_slots;      /* bit i: slots[i] is free */
    struct dw_request *first; /* finished, not yet handed out, in completion order */
    struct dw_request **last;
    struct nvme_slot slots[DW_URING_SLOTS];
};

static struct nvme_queue *queue_of(struct dw_queue *base)
{
    return (struct nvme_queue *)(void *)base;
}

/* ---- commands ----------------------------------------------------------------------------------------------------- */

/* Fill an entry with one command; `place` is a byte of the block device. Returns it, for what differs. */
static struct io_uring_sqe *prepare_command(struct nvme_queue *queue, uint8_t code, const void *bytes, uint32_t size,
                                            uint64_t place, bool is_durable)
{
    const struct dw_nvme_target *target = &queue->target;
    struct io_uring_sqe *entry = io_uring_get_sqe(&queue->ring);
    dw_assert(entry != NULL);
    uint64_t block = (target->place.start + place) / target->block_size;
    memset(entry, 0, 2 * sizeof *entry); /* an entry of this ring is twice as long */
    entry->opcode = IORING_OP_URING_CMD;
    entry->fd = queue->has_fixed_file ? 0 : target->descriptor;
    entry->flags = queue->has_fixed_file ? IOSQE_FIXED_FILE : 0;
    entry->cmd_op = NVME_URING_CMD_IO;
    struct nvme_uring_cmd command = {
        .opcode = code,
        .nsid = target->namespace_id,
        .addr = (uintptr_t)bytes,
        .data_len = size,
        .cdw10 = (uint32_t)block,
        .cdw11 = (uint32_t)(block >> 32),
        .cdw12 = (size / target->block_size - 1) | (is_durable ? DW_NVME_FORCE_UNIT_ACCESS : 0),
    };
    memcpy(entry->cmd, &command, sizeof command);
    return entry;
}

/* Where in the ring's memory do these bytes lie? SIZE_MAX: elsewhere. */
static size_t place_in_memory(const struct nvme_queue *queue, const unsigned char *bytes)
{
    uintptr_t place = (uintptr_t)bytes - (uintptr_t)queue->memory; /* huge when it lies before */
    return queue->memory && place < queue->memory_size ? place : SIZE_MAX;
}

/* Bytes of the piece of a request that begins at `from`: no longer than a command may be, in one chunk of the ring. */
static uint32_t piece_size(const struct nvme_queue *queue, const struct dw_request *request, uint64_t from)
{
    uint64_t most = queue->target.place.transfer_max;
    size_t place = place_in_memory(queue, (const unsigned char *)request->bytes + from);
    if (place != SIZE_MAX)
        most = dw_min_u64(most, queue->chunk_size - place % queue->chunk_size);
    return dw_nvme_piece_size(from, request->size, (uint32_t)most);
}

/* The piece of the slot's request that begins at byte `from`. */
static void issue_piece(struct nvme_queue *queue, uint32_t index, uint64_t from)
{
    const struct dw_request *request = queue->slots[index].request;
    const unsigned char *bytes = (const unsigned char *)request->bytes + from;
    uint32_t size = piece_size(queue, request, from);
    size_t place = place_in_memory(queue, bytes);
    struct io_uring_sqe *entry =
        prepare_command(queue, DW_NVME_WRITE, bytes, size, request->offset + from, request->is_durable);
    if (!queue->is_memory_refused && place != SIZE_MAX && size <= queue->memory_size - place) {
        entry->uring_cmd_flags = IORING_URING_CMD_FIXED;
        entry->buf_index = (uint16_t)(FIRST_CHUNK + place / queue->chunk_size);
    }
    entry->user_data = from << 8 | index;
}

static void issue_pieces(struct nvme_queue *queue, uint32_t index)
{
    struct nvme_slot *slot = &queue->slots[index];
    while (slot->flying < PIECES && slot->issued < slot->request->size && slot->error == 0) {
        issue_piece(queue, index, slot->issued);
        slot->issued += piece_size(queue, slot->request, slot->issued);
        slot->flying++;
    }
}

/* ---- submit ------------------------------------------------------------------------------------------------------- */

static void finish_request(struct nvme_queue *queue, struct dw_request *request, int result)
{
    request->result = result;
    request->next = NULL;
    *queue->last = request;
    queue->last = &request->next;
}

static void submit_request(struct dw_queue *base, struct dw_request *request)
{
    struct nvme_queue *queue = queue_of(base);
    uint64_t end = queue->target.place.size;
    dw_assert(base->in_flight < base->depth);
    dw_assert(request->size > 0);
    dw_assert(dw_is_aligned(request->size | request->offset, queue->target.block_size));
    dw_assert(dw_is_aligned((uintptr_t)request->bytes, request->file->alignment));
    base->in_flight++;
    request->done = 0;
    request->device_status = 0;
    if (request->file->disk != queue->disk) { /* another description of a device, perhaps one that may only read */
        finish_request(queue, request, -EBADF);
        return;
    }
    if (queue->broken < 0 || request->offset > end || request->size > end - request->offset) {
        finish_request(queue, request, queue->broken < 0 ? queue->broken : -ENOSPC);
        return;
    }
    uint32_t index = (uint32_t)__builtin_ctzll(queue->free_slots);
    queue->free_slots &= queue->free_slots - 1;
    queue->slots[index] = (struct nvme_slot){.request = request};
    issue_pieces(queue, index);
}

/* ---- reap --------------------------------------------------------------------------------------------------------- */

static void finish_slot(struct nvme_queue *queue, uint32_t index, int result)
{
    struct dw_request *request = queue->slots[index].request;
    queue->slots[index].request = NULL;
    queue->free_slots |= UINT64_C(1) << index;
    finish_request(queue, request, result);
}

static void complete_piece(struct nvme_queue *queue, uint64_t tag, int32_t result)
{
    uint32_t index = (uint32_t)(tag & 0xff);
    uint64_t from = tag >> 8;
    struct nvme_slot *slot = &queue->slots[index];
    struct dw_request *request = slot->request;
    dw_assert(request != NULL && slot->flying > 0);
    /* EINVAL: the kernel could not make a command of it. If that was for registered memory, ordinary memory will do. */
    bool is_not_sent = result == -EAGAIN || (result == -EINVAL && queue->memory && !queue->is_memory_refused);
    queue->is_memory_refused |= result == -EINVAL;
    if (is_not_sent && ++slot->again_count < AGAIN_MAX) {
        issue_piece(queue, index, from);
        return;
    }
    slot->flying--;
    if (result == 0) {
        slot->again_count = 0;
        request->done += piece_size(queue, request, from);
    } else if (slot->error == 0) {
        slot->error = result < 0 ? result : dw_nvme_status_error((uint32_t)result);
        request->device_status = result > 0 ? (uint32_t)result : 0;
    }
    issue_pieces(queue, index);
    if (slot->flying == 0)
        finish_slot(queue, index, slot->error);
}

static void break_queue(struct nvme_queue *queue, int error)
{
    queue->broken = error;
    for (uint32_t i = 0; i < DW_URING_SLOTS; i++)
        if (queue->slots[i].request)
            finish_slot(queue, i, error);
}

static void take_completions(struct nvme_queue *queue)
{
    struct io_uring_cqe *entry;
    unsigned head, count = 0;
    io_uring_for_each_cqe(&queue->ring, head, entry)
    {
        complete_piece(queue, entry->user_data, entry->res);
        count++;
    }
    io_uring_cq_advance(&queue->ring, count);
}

static struct dw_request *reap_requests(struct dw_queue *base, bool is_waiting)
{
    struct nvme_queue *queue = queue_of(base);
    dw_assert(!is_waiting || base->in_flight > 0);
    while (queue->broken == 0) {
        take_completions(queue);
        int result = dw_uring_enter(&queue->ring, is_waiting && !queue->first, queue->is_polled);
        take_completions(queue);
        if (dw_uring_is_broken_by(result)) {
            break_queue(queue, result);
            break;
        }
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

/* ---- open and close ----------------------------------------------------------------------------------------------- */

static void close_queue(struct dw_queue *base)
{
    struct nvme_queue *queue = queue_of(base);
    dw_assert(base->in_flight == 0);
    dw_uring_destroy_ring(&queue->ring);
    dw_nvme_close(&queue->target);
    dw_free(queue);
}

static const struct dw_queue_ops nvme_ops = {
    .name = "nvme",
    .is_synchronous = false,
    .submit = submit_request,
    .reap = reap_requests,
    .close = close_queue,
};
static const struct dw_queue_ops nvme_poll_ops = {
    .name = "nvme-poll",
    .is_synchronous = false,
    .submit = submit_request,
    .reap = reap_requests,
    .close = close_queue,
};

/* Read the device's first bytes with one command. 0, -errno, or the errno of a status. */
static int read_first(struct nvme_queue *queue, unsigned char *bytes, uint32_t size, bool is_fixed)
{
    struct io_uring_cqe *completion = NULL;
    struct io_uring_sqe *entry = prepare_command(queue, DW_NVME_READ, bytes, size, 0, false);
    if (is_fixed) {
        entry->uring_cmd_flags = IORING_URING_CMD_FIXED;
        entry->buf_index = PROBE_BUFFER;
    }
    int result;
    do
        result = io_uring_submit_and_wait(&queue->ring, 1);
    while (result == -EINTR || result == -EAGAIN);
    if (result < 0)
        return result;
    do
        result = io_uring_wait_cqe(&queue->ring, &completion);
    while (result == -EINTR);
    if (result < 0)
        return result;
    result = completion->res > 0 ? dw_nvme_status_error((uint32_t)completion->res) : completion->res;
    io_uring_cqe_seen(&queue->ring, completion);
    return result;
}

/* Register the ring's memory in chunks, since kernels up to 6.10 take a command from a registered buffer only if the whole of
 * the buffer would fit into one. false: not possible, use ordinary memory. */
static bool register_memory(struct nvme_queue *queue, const struct dw_queue_options *options, struct iovec probe)
{
    size_t chunk_size = 4096;
    while (2 * chunk_size <= queue->target.place.transfer_max)
        chunk_size *= 2;
    size_t size = dw_min_size(options->ring_size, CHUNKS_MAX * chunk_size);
    size_t count = (size + chunk_size - 1) / chunk_size;
    if (!options->ring_memory)
        return false;
    struct iovec *memory = dw_alloc((FIRST_CHUNK + count) * sizeof *memory);
    if (!memory)
        return false;
    memory[PROBE_BUFFER] = probe;
    for (size_t i = 0; i < count; i++) {
        unsigned char *bytes = (unsigned char *)(uintptr_t)options->ring_memory + i * chunk_size;
        size_t left = size - i * chunk_size;
        memory[FIRST_CHUNK + i] = (struct iovec){.iov_base = bytes, .iov_len = dw_min_size(left, chunk_size)};
    }
    bool is_registered = io_uring_register_buffers(&queue->ring, memory, (unsigned)(FIRST_CHUNK + count)) == 0;
    dw_free(memory);
    if (is_registered) {
        queue->memory = options->ring_memory;
        queue->memory_size = size;
        queue->chunk_size = chunk_size;
    }
    return is_registered;
}

/* Do both nodes show the same bytes? (They can only differ if something about the place is wrong, and then the next write would
 * destroy what is somebody else's.) `bytes`: what the first read through the generic node gave, then room for as much. */
static int compare_ways(struct nvme_queue *queue, int block, unsigned char *bytes, uint32_t size)
{
    for (int attempt = 1;; attempt++) {
        ssize_t got = pread(block, bytes + size, size, 0);
        if (got < 0)
            return -errno;
        if (got == (ssize_t)size && memcmp(bytes, bytes + size, size) == 0)
            return 0;
        if (attempt == COMPARISONS)
            return -ESTALE;
        /* Another log on this device may be writing its superblock. */
        int result = read_first(queue, bytes, size, false);
        if (result < 0)
            return result;
    }
}

/* Try the way before a log relies on it: is it permitted, does it work from registered memory, is the place right? */
static int prove_way(struct nvme_queue *queue, int block, const struct dw_queue_options *options)
{
    uint32_t size =
        dw_nvme_piece_size(0, dw_min_u64(PROBE_SIZE, queue->target.place.size), queue->target.place.transfer_max);
    unsigned char *bytes = dw_alloc_io((size_t)2 * size, queue->target.block_size);
    if (!bytes)
        return -ENOMEM;
    queue->has_fixed_file = io_uring_register_files(&queue->ring, &queue->target.descriptor, 1) == 0;
    bool is_fixed = register_memory(queue, options, (struct iovec){.iov_base = bytes, .iov_len = size});
    int result = read_first(queue, bytes, size, is_fixed);
    if (result == -EINVAL && is_fixed) { /* 6.0: passthrough, but not yet from registered memory */
        queue->is_memory_refused = true;
        result = read_first(queue, bytes, size, false);
    }
    if (result == 0)
        result = compare_ways(queue, block, bytes, size);
    dw_free_io(bytes); /* the ring keeps the pages until it goes, and never looks at them again */
    return result == -EPERM ? -EACCES : result;
}

static int make_ring(struct nvme_queue *queue, int block, const struct dw_queue_options *options)
{
    unsigned wanted = IORING_SETUP_SQE128 | IORING_SETUP_CQE32 | (queue->is_polled ? IORING_SETUP_IOPOLL : 0);
    int result = dw_uring_create_ring(&queue->ring, options->depth * PIECES, options->is_shared, wanted);
    if (result < 0)
        return result == -EINVAL ? -EOPNOTSUPP : result; /* a kernel before 5.19 */
    result = prove_way(queue, block, options);
    if (result < 0)
        dw_uring_destroy_ring(&queue->ring);
    return result;
}

static int open_target(struct nvme_queue *queue, struct dw_disk *disk, const struct dw_queue_options *options)
{
    struct dw_file *file = NULL;
    int result = disk->ops->open(disk, DW_DEVICE_NAME, DW_OPEN_READ, &file);
    if (result < 0)
        return -EOPNOTSUPP; /* a directory */
    int block = dw_posix_file_of(file)->descriptor;
    result = dw_nvme_open(block, &queue->target);
    if (result == 0) {
        result = queue->is_polled && !queue->target.place.has_polled_queue ? -ENXIO : make_ring(queue, block, options);
        if (result < 0)
            dw_nvme_close(&queue->target);
    }
    dw_file_close(file);
    return result;
}

int dw_queue_nvme_create(struct dw_disk *disk, const struct dw_queue_options *options, bool is_polled,
                         struct dw_queue **queue_out)
{
    *queue_out = NULL;
    if (options->depth < 1 || options->depth > DW_URING_SLOTS)
        return -EINVAL;
    struct nvme_queue *queue = dw_alloc(sizeof *queue);
    if (!queue)
        return -ENOMEM;
    queue->disk = disk;
    queue->is_polled = is_polled;
    int result = open_target(queue, disk, options);
    if (result < 0) {
        dw_free(queue);
        return result;
    }
    queue->base.ops = is_polled ? &nvme_poll_ops : &nvme_ops;
    queue->base.depth = options->depth;
    queue->last = &queue->first;
    queue->free_slots = options->depth == 64 ? UINT64_MAX : (UINT64_C(1) << options->depth) - 1;
    *queue_out = &queue->base;
    return 0;
}
#else
typedef int dw_nvme_is_not_built; /* a translation unit may not be empty */
#endif
