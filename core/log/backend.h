/* backend.h - which kind of queue a log gets: an order of kinds is tried, the first that can be had is taken.
 *
 * Called by: open, on the caller's thread, with the writer's lock held and before anything is written.
 * The order is somebody else's choice (the options, a default, a measurement); here is only what happens when a kind is
 * forbidden or missing. */
#ifndef DW_CORE_LOG_BACKEND_H
#define DW_CORE_LOG_BACKEND_H

#include <stdbool.h>
#include <stdint.h>

#include "base/compiler.h"
#include "io/io.h"

#define DW_BACKEND_ORDER_MAX 6u
#define DW_BACKEND_WHY_SIZE  400u

/* Kinds of queues, best first. */
struct dw_backend_order {
    const char *kinds[DW_BACKEND_ORDER_MAX]; /* NULL: the disk's own choice */
    uint32_t count;
    bool is_named;                 /* the caller asked for this one: there is no second choice */
    char why[DW_BACKEND_WHY_SIZE]; /* why the first stands first: "named in the options", "measured: ..." */
};

struct dw_backend {
    const char *kind; /* of the queue that was made; static text. NULL: none yet */
    char why[DW_BACKEND_WHY_SIZE];
};

struct dwal;

/* The order of an open: what the options name, else the order that the disk is known to like. */
void dw_backend_default_order(const struct dwal *log, struct dw_backend_order *order);

/* Try the kinds in turn (a queue is made and closed again) and keep the first that works in log->backend. Another one than
 * the first is told by an event. DWAL_EUNSUPPORTED when a named one, or none at all, can be had: the text says what forbids
 * it and what to do. */
DW_NODISCARD int dw_backend_take(struct dwal *log, const struct dw_backend_order *order);

#endif
