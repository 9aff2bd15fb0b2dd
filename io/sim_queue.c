/* sim_queue.c - durable writes in flight on a simulated disk, finished in any order.
 *
 * Owns: the queue objects; requests in flight are held by the disk, so that a test sees all of them in one row.
 * Called by: the thread that uses the queue; dw_sim_complete from any thread.
 * Happy path: submit begins a write; a reap finishes some by the seed (or the test has), and hands out what is finished.
 * Failure: a request that stalls stays until dw_sim_complete names it; a reap that waits for nothing but such ones, or
 * on a manual disk, calls on_wait, or sleeps until another thread completes one.
 * Closing: nothing may be in flight. */
#include <errno.h>
#include <string.h>

#include "alloc/alloc.h"
#include "io/sim_internal.h"

#define DEPTH_MAX 64u

struct dw_sim_queue {
    struct dw_queue base;
    struct dw_sim_disk *disk;
    struct dw_request *finished, **finished_end; /* in completion order */
};

static struct dw_sim_queue *queue_of(struct dw_queue *queue)
{
    return (struct dw_sim_queue *)(void *)queue;
}

static void finish(struct dw_sim_queue *queue, struct dw_request *request, int result)
{
    request->result = result;
    request->done = result == 0 ? request->size : 0;
    request->next = NULL;
    *queue->finished_end = request;
    queue->finished_end = &request->next;
}

static void complete(struct dw_sim_disk *disk, size_t which)
{
    struct dw_sim_write write = disk->flights[which];
    disk->flight_count--;
    memmove(disk->flights + which, disk->flights + which + 1, (disk->flight_count - which) * sizeof *disk->flights);
    write.file->in_flight--;
    finish(write.queue, write.request, dw_sim_write_end(disk, &write));
    pthread_cond_broadcast(&disk->completed);
}

static void name_file(const struct dw_sim_disk *disk, struct dw_sim_write *write)
{
    for (size_t i = 0; i < disk->live.name_count; i++) {
        if (disk->live.names[i].inode == write->file->inode)
            memcpy(write->name, disk->live.names[i].name, sizeof write->name);
    }
}

static void sim_submit(struct dw_queue *base, struct dw_request *request)
{
    struct dw_sim_queue *queue = queue_of(base);
    struct dw_sim_disk *disk = queue->disk;
    dw_assert(base->in_flight < base->depth);
    dw_assert(request->file->disk == &disk->base);
    struct dw_sim_file *file = dw_sim_file_of(request->file);
    struct dw_sim_write write = {.is_void = true, .result = -EINVAL};
    base->in_flight++;
    request->done = 0;
    pthread_mutex_lock(&disk->lock);
    uint32_t alignment = file->base.alignment;
    if (request->size > 0 && dw_is_aligned(request->size, alignment) && dw_is_aligned(request->offset, alignment) &&
        dw_is_aligned((uintptr_t)request->bytes, DW_SIM_SECTOR_SIZE))
        dw_sim_write_begin(disk, file, request->bytes, request->size, request->offset, request->is_durable, &write);
    int ignored;
    write.is_stalled = dw_sim_fault_hits(disk, DW_SIM_FAULT_STALL, &ignored);
    write.request = request;
    write.queue = queue;
    write.file = file;
    bool is_kept = !queue->base.ops->is_synchronous || write.is_stalled;
    if (is_kept && dw_sim_grow((void **)&disk->flights, &disk->flight_capacity, disk->flight_count + 1,
                               sizeof *disk->flights) == 0) {
        name_file(disk, &write);
        file->in_flight++;
        disk->flights[disk->flight_count++] = write;
    } else {
        finish(queue, request, dw_sim_write_end(disk, &write));
    }
    pthread_mutex_unlock(&disk->lock);
}

/* A random one in flight of this queue that is not stalled; flight_count: none. */
static size_t choose(struct dw_sim_queue *queue)
{
    struct dw_sim_disk *disk = queue->disk;
    size_t seen = 0, chosen = disk->flight_count;
    for (size_t i = 0; i < disk->flight_count; i++) {
        if (disk->flights[i].queue != queue || disk->flights[i].is_stalled)
            continue;
        if (dw_sim_below(&disk->random, ++seen) == 0)
            chosen = i;
    }
    return chosen;
}

static void complete_some(struct dw_sim_queue *queue)
{
    struct dw_sim_disk *disk = queue->disk;
    size_t tries = disk->flight_count;
    for (size_t i = 0; i < tries; i++) {
        if (dw_sim_below(&disk->random, 100) >= disk->options.complete_percent)
            continue;
        size_t which = choose(queue);
        if (which < disk->flight_count)
            complete(disk, which);
    }
}

static void wait_for_one(struct dw_sim_queue *queue)
{
    struct dw_sim_disk *disk = queue->disk;
    dw_assert(queue->base.in_flight > 0); /* a wait with nothing in flight would never end */
    while (!queue->finished) {
        size_t which = disk->options.is_manual ? disk->flight_count : choose(queue);
        if (which < disk->flight_count) {
            complete(disk, which);
        } else if (disk->options.on_wait) {
            pthread_mutex_unlock(&disk->lock);
            disk->options.on_wait(disk->options.context);
            pthread_mutex_lock(&disk->lock);
        } else {
            pthread_cond_wait(&disk->completed, &disk->lock);
        }
    }
}

static struct dw_request *sim_reap(struct dw_queue *base, bool is_waiting)
{
    struct dw_sim_queue *queue = queue_of(base);
    struct dw_sim_disk *disk = queue->disk;
    pthread_mutex_lock(&disk->lock);
    if (!disk->options.is_manual)
        complete_some(queue);
    if (is_waiting)
        wait_for_one(queue);
    struct dw_request *list = queue->finished;
    queue->finished = NULL;
    queue->finished_end = &queue->finished;
    for (struct dw_request *request = list; request; request = request->next)
        base->in_flight--;
    pthread_mutex_unlock(&disk->lock);
    return list;
}

static void sim_queue_close(struct dw_queue *base)
{
    struct dw_sim_queue *queue = queue_of(base);
    dw_assert(base->in_flight == 0);
    dw_free(queue);
}

static const struct dw_queue_ops sim_queue_ops = {
    .name = "sim", .submit = sim_submit, .reap = sim_reap, .close = sim_queue_close};
static const struct dw_queue_ops sim_sync_queue_ops = {
    .name = "sync", .is_synchronous = true, .submit = sim_submit, .reap = sim_reap, .close = sim_queue_close};

int dw_sim_queue_create(struct dw_disk *base, const struct dw_queue_options *options, struct dw_queue **queue)
{
    *queue = NULL;
    const char *kind = options->kind ? options->kind : "sim";
    bool is_synchronous = strcmp(kind, "sync") == 0;
    if ((!is_synchronous && strcmp(kind, "sim") != 0) || options->depth == 0 || options->depth > DEPTH_MAX)
        return -EINVAL;
    struct dw_sim_queue *made = dw_alloc(sizeof *made);
    if (!made)
        return -ENOMEM;
    made->base.ops = is_synchronous ? &sim_sync_queue_ops : &sim_queue_ops;
    made->base.depth = options->depth;
    made->disk = dw_sim_of(base);
    pthread_mutex_lock(&made->disk->lock);
    int result = dw_sim_grow((void **)&made->disk->flights, &made->disk->flight_capacity, 2 * (size_t)DEPTH_MAX,
                             sizeof *made->disk->flights);
    pthread_mutex_unlock(&made->disk->lock);
    if (result) {
        dw_free(made);
        return result;
    }
    made->finished_end = &made->finished;
    *queue = &made->base;
    return 0;
}

/* ---- the test's side ---- */
size_t dw_sim_flight_count(struct dw_disk *base)
{
    struct dw_sim_disk *disk = dw_sim_of(base);
    pthread_mutex_lock(&disk->lock);
    size_t count = disk->flight_count;
    pthread_mutex_unlock(&disk->lock);
    return count;
}

void dw_sim_flight_at(struct dw_disk *base, size_t which, struct dw_sim_flight *flight)
{
    struct dw_sim_disk *disk = dw_sim_of(base);
    pthread_mutex_lock(&disk->lock);
    dw_assert(which < disk->flight_count);
    const struct dw_sim_write *write = &disk->flights[which];
    *flight = (struct dw_sim_flight){.offset = write->request->offset,
                                     .size = write->request->size,
                                     .is_durable = write->is_durable,
                                     .is_stalled = write->is_stalled};
    memcpy(flight->name, write->name, sizeof flight->name);
    pthread_mutex_unlock(&disk->lock);
}

void dw_sim_complete(struct dw_disk *base, size_t which)
{
    struct dw_sim_disk *disk = dw_sim_of(base);
    pthread_mutex_lock(&disk->lock);
    dw_assert(which < disk->flight_count);
    complete(disk, which);
    pthread_mutex_unlock(&disk->lock);
}
