/* pool.h - objects of one size that come and go for as long as a log is open, without an allocation each.
 *
 * Owns: slabs of objects; they are released together, at close. Called by: any thread (a mutex; never on the commit path).
 * Happy path: get takes an object that was put back, or a fresh one of the last slab. Failure: NULL, when all are in use and there
 * is no memory for one more slab. Closing: all objects were put back, or are forgotten by their users. */
#ifndef DW_ALLOC_POOL_H
#define DW_ALLOC_POOL_H

#include <pthread.h>
#include <stddef.h>
#include <stdint.h>

#include "base/compiler.h"

struct dw_pool_object;
struct dw_pool_slab;
struct dw_pool {
    pthread_mutex_t mutex;
    size_t object_size;
    uint32_t slab_count; /* objects in a slab */
    struct dw_pool_object *free;
    struct dw_pool_slab *slabs;
};

/* A first slab is made now: the first `slab_count` objects need no allocation. -ENOMEM: nothing is owned. */
DW_NODISCARD int dw_pool_init(struct dw_pool *pool, size_t object_size, uint32_t slab_count);
void dw_pool_destroy(struct dw_pool *pool);           /* a zeroed one is fine */
DW_NODISCARD void *dw_pool_get(struct dw_pool *pool); /* zeroed */
void dw_pool_put(struct dw_pool *pool, void *object); /* NULL is fine */

#endif
