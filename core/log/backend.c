/* backend.c - take the first kind of queue that can be had here. See backend.h.
 *
 * Happy path: one queue is made and closed again in open's thread (its own is made later by the flusher's thread).
 * Failure: io_uring may be forbidden by a sysctl or by a seccomp filter (ENOSYS, EPERM, EACCES), aio too, or all of its
 * contexts are taken (EAGAIN). An open that named a backend is refused with the cause and the remedy; any other open goes on
 * with the next kind and says so.
 * Closing: nothing is kept but two texts. */
#include "core/log/backend.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/assert.h"
#include "core/base/error.h"
#include "core/log/handle.h"

static void add_kind(struct dw_backend_order *order, const char *kind)
{
    dw_assert(order->count < DW_BACKEND_ORDER_MAX);
    order->kinds[order->count++] = kind;
}

void dw_backend_default_order(const struct dwal *log, struct dw_backend_order *order)
{
    *order = (struct dw_backend_order){0};
    if (log->options.backend) {
        add_kind(order, log->options.backend);
        order->is_named = true;
        snprintf(order->why, sizeof order->why, "named in the options");
        return;
    }
    if (log->disk->is_queue_better) {
        add_kind(order, "uring");
        add_kind(order, "aio");
        add_kind(order, "sync");
        snprintf(order->why, sizeof order->why, "the default here: one write, and no flush behind it");
        return;
    }
    /* Without a measurement the synchronous one is the better bet on files: where the device has no FUA, an asynchronous
     * durable write ends in an ordinary kernel worker. It is forbidden nowhere, so there is nothing behind it. */
    add_kind(order, NULL);
    snprintf(order->why, sizeof order->why, "the default here");
}

static const char *name_of(const char *kind)
{
    return kind ? kind : "default";
}

/* Make one and close it again. 0 or -errno; *kind: its name. */
static int try_kind(struct dwal *log, const char *wanted, const char **kind)
{
    struct dw_queue_options options = {
        .kind = wanted, .depth = log->options.in_flight_writes, .is_shared = log->disk->is_queue_better};
    struct dw_queue *queue = NULL;
    int result = log->disk->ops->queue_create(log->disk, &options, &queue);
    if (result < 0)
        return result;
    *kind = queue->ops->name;
    queue->ops->close(queue);
    return 0;
}

/* Put what stood in the way of one kind behind what is there already. */
static void note_refusal(struct dw_backend *backend, const char *kind, int result)
{
    size_t used = strlen(backend->why);
    char cause[200];
    dw_queue_refusal(kind, result, cause, sizeof cause);
    snprintf(backend->why + used, sizeof backend->why - used, "%s%s cannot be used: %s", used > 0 ? "; " : "",
             name_of(kind), cause);
}

/* The system ran out of something, or the device failed: no word about the kind. */
static bool is_trouble(int result)
{
    return result == -ENOMEM || result == -EMFILE || result == -ENFILE || result == -EIO || result == -ENODATA;
}

static int refuse(const struct dw_backend_order *order, int result, const char *why)
{
    if (is_trouble(result))
        return dw_fail_system(result, "making the %s queue of writes failed", name_of(order->kinds[order->count - 1]));
    if (!order->is_named)
        return dw_fail(DWAL_EUNSUPPORTED, "no backend can be used here: %s", why);
    return dw_fail(DWAL_EUNSUPPORTED, "backend %s. To let open choose what is allowed, name no backend", why);
}

int dw_backend_take(struct dwal *log, const struct dw_backend_order *order)
{
    dw_assert(order->count > 0 && order->count <= DW_BACKEND_ORDER_MAX);
    struct dw_backend *backend = &log->backend;
    *backend = (struct dw_backend){0};
    int result = -EINVAL;
    for (uint32_t i = 0; i < order->count; i++) {
        result = try_kind(log, order->kinds[i], &backend->kind);
        if (result == 0) {
            if (i == 0)
                snprintf(backend->why, sizeof backend->why, "%s", order->why);
            else
                dw_event_tell(log, DWAL_EVENT_WARNING, "backend %s is used, because %s", backend->kind, backend->why);
            return 0;
        }
        note_refusal(backend, order->kinds[i], result);
    }
    return refuse(order, result, backend->why);
}
