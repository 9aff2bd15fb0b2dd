/* io_fault_queue.c - the wrapping disk's queue: every request travels as a shadow through the inner queue.
 *
 * A shadow is FREE, INNER (in the inner queue), WAITING (finished, but late or held) or READY (in the list of the next
 * reap). Only the queue's thread touches shadows; the disk's mutex covers the held count and the release. */
#include <errno.h>
#include <stdlib.h>

#include "base/assert.h"
#include "base/bits.h"
#include "tests/lib/io_fault_internal.h"

enum shadow_state { SHADOW_FREE, SHADOW_INNER, SHADOW_WAITING };

struct shadow {
    struct dw_request request; /* what the inner queue sees */
    struct dw_request *outer;
    enum shadow_state state;
    struct dw_fault_verdict verdict;
    uint64_t release_at; /* HELD: ready when the disk's release_count has passed this */
    uint32_t reaps_left; /* LATE */
};

struct fault_queue {
    struct dw_queue base;
    struct dw_queue_ops ops; /* name and is_synchronous are the inner one's */
    struct dw_fault_disk *disk;
    struct dw_queue *inner;
    struct dw_request *first; /* ready, in completion order */
    struct dw_request **last;
    struct shadow shadows[64];
};

static struct fault_queue *queue_of(struct dw_queue *base)
{
    return (struct fault_queue *)(void *)base;
}

static void make_ready(struct fault_queue *queue, struct dw_request *outer, int result)
{
    outer->result = result;
    outer->next = NULL;
    *queue->last = outer;
    queue->last = &outer->next;
}

static struct shadow *find_free(struct fault_queue *queue)
{
    for (size_t i = 0; i < DW_COUNT_OF(queue->shadows); i++)
        if (queue->shadows[i].state == SHADOW_FREE)
            return &queue->shadows[i];
    dw_assert(!"more in flight than the depth allows");
    return NULL;
}

static void fault_submit(struct dw_queue *base, struct dw_request *outer)
{
    struct fault_queue *queue = queue_of(base);
    struct dw_fault_file *file = dw_fault_file_of(outer->file);
    dw_assert(base->in_flight < base->depth);
    base->in_flight++;
    outer->done = 0;
    struct dw_fault_verdict verdict =
        dw_fault_meet(queue->disk, DW_FAULT_QUEUE_WRITE, file->name, outer->offset, outer->size);
    size_t moved = outer->size;
    if (verdict.is_fault && verdict.action == DW_FAULT_BEFORE)
        moved = 0;
    if (verdict.is_fault && verdict.action == DW_FAULT_HALF_WAY)
        moved = dw_min_size(moved, (size_t)dw_align_down(verdict.bytes, file->base.alignment));
    if (moved == 0) {
        outer->device_status = verdict.device_status;
        make_ready(queue, outer, verdict.error);
        return;
    }
    struct shadow *shadow = find_free(queue);
    *shadow = (struct shadow){.outer = outer, .state = SHADOW_INNER, .verdict = verdict};
    shadow->request = *outer;
    shadow->request.file = file->inner;
    shadow->request.size = moved;
    shadow->request.user = shadow;
    queue->inner->ops->submit(queue->inner, &shadow->request);
}

/* A shadow that is over: its true result, unless the rule says otherwise. */
static void finish_shadow(struct fault_queue *queue, struct shadow *shadow)
{
    bool is_lying = shadow->verdict.is_fault && shadow->verdict.action < DW_FAULT_LATE;
    int result = is_lying && shadow->request.result == 0 ? shadow->verdict.error : shadow->request.result;
    shadow->outer->done = shadow->request.done;
    shadow->state = SHADOW_FREE;
    make_ready(queue, shadow->outer, result);
}

/* The inner queue gave it back: finish it, or let it wait. */
static void settle_shadow(struct fault_queue *queue, struct shadow *shadow)
{
    const struct dw_fault_verdict *verdict = &shadow->verdict;
    if (!verdict->is_fault || verdict->action < DW_FAULT_LATE) {
        finish_shadow(queue, shadow);
        return;
    }
    shadow->state = SHADOW_WAITING;
    shadow->reaps_left = verdict->reaps;
    pthread_mutex_lock(&queue->disk->mutex);
    shadow->release_at = queue->disk->release_count;
    queue->disk->held += verdict->action == DW_FAULT_HELD;
    pthread_mutex_unlock(&queue->disk->mutex);
}

/* One call of reap passes for those that wait. Answers how many late ones still wait. */
static uint32_t pass_time(struct fault_queue *queue)
{
    uint32_t late = 0;
    pthread_mutex_lock(&queue->disk->mutex);
    uint64_t release_count = queue->disk->release_count;
    pthread_mutex_unlock(&queue->disk->mutex);
    for (size_t i = 0; i < DW_COUNT_OF(queue->shadows); i++) {
        struct shadow *shadow = &queue->shadows[i];
        if (shadow->state != SHADOW_WAITING)
            continue;
        if (shadow->verdict.action == DW_FAULT_LATE) {
            if (shadow->reaps_left == 0)
                finish_shadow(queue, shadow);
            else
                shadow->reaps_left--, late++;
        } else if (release_count > shadow->release_at) {
            pthread_mutex_lock(&queue->disk->mutex);
            queue->disk->held--;
            pthread_mutex_unlock(&queue->disk->mutex);
            finish_shadow(queue, shadow);
        }
    }
    return late;
}

/* Nothing is left but what is held: sleep until somebody releases it. */
static void await_release(struct fault_queue *queue)
{
    uint64_t oldest = UINT64_MAX;
    for (size_t i = 0; i < DW_COUNT_OF(queue->shadows); i++)
        if (queue->shadows[i].state == SHADOW_WAITING)
            oldest = dw_min_u64(oldest, queue->shadows[i].release_at);
    dw_assert(oldest != UINT64_MAX);
    pthread_mutex_lock(&queue->disk->mutex);
    while (queue->disk->release_count <= oldest)
        pthread_cond_wait(&queue->disk->released, &queue->disk->mutex);
    pthread_mutex_unlock(&queue->disk->mutex);
}

static struct dw_request *fault_reap(struct dw_queue *base, bool is_waiting)
{
    struct fault_queue *queue = queue_of(base);
    dw_assert(!is_waiting || base->in_flight > 0);
    for (;;) {
        uint32_t late = pass_time(queue);
        /* The inner queue may only be waited for when nothing else can come first. */
        bool is_inner_waiting = is_waiting && !queue->first && late == 0 && queue->inner->in_flight > 0;
        struct dw_request *inner = queue->inner->ops->reap(queue->inner, is_inner_waiting);
        while (inner) {
            struct dw_request *next = inner->next;
            settle_shadow(queue, inner->user);
            inner = next;
        }
        if (queue->first || !is_waiting)
            break;
        if (queue->inner->in_flight == 0 && late == 0 && pass_time(queue) == 0 && !queue->first)
            await_release(queue);
    }
    struct dw_request *ready = queue->first;
    queue->first = NULL;
    queue->last = &queue->first;
    for (struct dw_request *request = ready; request; request = request->next)
        base->in_flight--;
    return ready;
}

static void fault_close_queue(struct dw_queue *base)
{
    struct fault_queue *queue = queue_of(base);
    dw_assert(base->in_flight == 0);
    queue->inner->ops->close(queue->inner);
    free(queue);
}

int dw_fault_queue_create(struct dw_disk *base, const struct dw_queue_options *options, struct dw_queue **queue_out)
{
    struct dw_fault_disk *disk = dw_fault_disk_of(base);
    struct dw_fault_verdict verdict = dw_fault_meet(disk, DW_FAULT_QUEUE_CREATE, "", 0, 0);
    *queue_out = NULL;
    if (verdict.is_fault)
        return verdict.error;
    struct fault_queue *queue = calloc(1, sizeof *queue);
    if (!queue)
        return -ENOMEM;
    int result = disk->inner->ops->queue_create(disk->inner, options, &queue->inner);
    if (result < 0) {
        free(queue);
        return result;
    }
    queue->ops = (struct dw_queue_ops){
        .name = queue->inner->ops->name,
        .is_synchronous = queue->inner->ops->is_synchronous,
        .submit = fault_submit,
        .reap = fault_reap,
        .close = fault_close_queue,
    };
    queue->base = (struct dw_queue){.ops = &queue->ops, .depth = queue->inner->depth};
    queue->disk = disk;
    queue->last = &queue->first;
    *queue_out = &queue->base;
    return 0;
}
