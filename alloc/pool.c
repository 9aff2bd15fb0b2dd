/* pool.c - objects of one size from slabs: see pool.h. A free object holds the link to the next one; with the address sanitizer its
 * rest is poisoned until it is handed out again. */
#include "alloc/pool.h"

#include <errno.h>
#include <stddef.h>
#include <string.h>

#include "alloc/alloc.h"
#include "base/assert.h"
#include "base/bits.h"

#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/asan_interface.h>
#else
#define __asan_poison_memory_region(memory, size)   ((void)(memory), (void)(size))
#define __asan_unpoison_memory_region(memory, size) ((void)(memory), (void)(size))
#endif

struct dw_pool_object {
    struct dw_pool_object *next;
};
struct dw_pool_slab {
    struct dw_pool_slab *next;
    uint64_t spare; /* keeps what follows aligned */
};

static void push(struct dw_pool *pool, void *memory)
{
    struct dw_pool_object *object = memory;
    object->next = pool->free;
    pool->free = object;
    __asan_poison_memory_region(object + 1, pool->object_size - sizeof *object);
}

static bool grow(struct dw_pool *pool)
{
    struct dw_pool_slab *slab = dw_alloc(sizeof *slab + pool->slab_count * pool->object_size);
    if (!slab)
        return false;
    slab->next = pool->slabs;
    pool->slabs = slab;
    for (uint32_t i = pool->slab_count; i-- > 0;)
        push(pool, (unsigned char *)(slab + 1) + i * pool->object_size);
    return true;
}

int dw_pool_init(struct dw_pool *pool, size_t object_size, uint32_t slab_count)
{
    dw_assert(object_size > 0 && slab_count > 0);
    *pool = (struct dw_pool){.slab_count = slab_count};
    pool->object_size = (size_t)dw_align_up(object_size, _Alignof(max_align_t));
    if (!grow(pool))
        return -ENOMEM;
    pthread_mutex_init(&pool->mutex, NULL);
    return 0;
}

void dw_pool_destroy(struct dw_pool *pool)
{
    if (!pool->slabs)
        return;
    while (pool->slabs) {
        struct dw_pool_slab *next = pool->slabs->next;
        __asan_unpoison_memory_region(pool->slabs + 1, pool->slab_count * pool->object_size);
        dw_free(pool->slabs);
        pool->slabs = next;
    }
    pool->free = NULL;
    pthread_mutex_destroy(&pool->mutex);
}

void *dw_pool_get(struct dw_pool *pool)
{
    pthread_mutex_lock(&pool->mutex);
    if (!pool->free)
        (void)grow(pool);
    struct dw_pool_object *object = pool->free;
    if (object)
        pool->free = object->next;
    pthread_mutex_unlock(&pool->mutex);
    if (!object)
        return NULL;
    __asan_unpoison_memory_region(object, pool->object_size);
    return memset(object, 0, pool->object_size);
}

void dw_pool_put(struct dw_pool *pool, void *object)
{
    if (!object)
        return;
    pthread_mutex_lock(&pool->mutex);
    push(pool, object);
    pthread_mutex_unlock(&pool->mutex);
}
