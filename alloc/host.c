/* host.c - plain memory from the host's jemalloc or from libc: see host.h.
 *
 * Owns: one arena of the host's jemalloc, made at the first allocation and kept for the process's life, or until this library is
 * unloaded with nothing held. Memory passes by the threads' caches: dwal allocates at open and for cursors, never on the way of a
 * record, and what it gives back should go back to its own arena at once.
 * Failure: an arena that cannot be made (too many, an older jemalloc) means libc, decided once. */
#include "alloc/host.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "alloc/alloc.h"

/* As <jemalloc/jemalloc.h> declares them; that header is not included, because with it a missing library would not link. */
__attribute__((weak)) void *mallocx(size_t size, int flags);
__attribute__((weak)) void *rallocx(void *memory, size_t size, int flags);
__attribute__((weak)) void dallocx(void *memory, int flags);
__attribute__((weak)) int mallctl(const char *name, void *old, size_t *old_size, void *new, size_t new_size);

/* MALLOCX_ZERO, MALLOCX_TCACHE_NONE, MALLOCX_ARENA(a), MALLOCX_LG_ALIGN(la) of jemalloc 4 and 5. */
#define FLAG_ZERO     0x40
#define FLAG_NO_CACHE ((-1 + 2) << 8)
#define FLAG_ARENA(a) ((int)(((unsigned)(a) + 1u) << 20))
enum { ARENA_NUMBER_MAX = 4094 }; /* what fits into the flags */

static pthread_once_t once = PTHREAD_ONCE_INIT;
static _Atomic int arena = -1; /* relaxed: pthread_once orders it; only leave() writes it again */

static void find(void)
{
    if (!mallocx || !rallocx || !dallocx || !mallctl)
        return;
    unsigned made = 0;
    size_t size = sizeof made;
    if (mallctl("arenas.create", &made, &size, NULL, 0) == 0 && made <= ARENA_NUMBER_MAX)
        atomic_store_explicit(&arena, (int)made, memory_order_relaxed);
}

int dw_host_arena(void)
{
    pthread_once(&once, find);
    return atomic_load_explicit(&arena, memory_order_relaxed);
}

static int flags_of(int number)
{
    return FLAG_ARENA(number) | FLAG_NO_CACHE;
}

void *dw_host_allocate(size_t size, size_t alignment, bool is_zeroed)
{
    int number = dw_host_arena();
    if (number >= 0) {
        int align = alignment > 0 ? __builtin_ctzll(alignment) : 0;
        return mallocx(size, flags_of(number) | align | (is_zeroed ? FLAG_ZERO : 0));
    }
    if (alignment == 0)
        return is_zeroed ? calloc(1, size) : malloc(size);
    void *memory = NULL;
    if (posix_memalign(&memory, alignment, size) != 0)
        return NULL;
    return is_zeroed ? memset(memory, 0, size) : memory;
}

void *dw_host_resize(void *memory, size_t size)
{
    int number = dw_host_arena();
    return number >= 0 ? rallocx(memory, size, flags_of(number)) : realloc(memory, size);
}

void dw_host_give_back(void *memory)
{
    if (!memory)
        return;
    int number = dw_host_arena();
    if (number >= 0)
        dallocx(memory, flags_of(number));
    else
        free(memory);
}

/* A program that loads and unloads the library again and again must not lose an arena each time. */
__attribute__((destructor)) static void leave(void)
{
    char name[48];
    int number = atomic_load_explicit(&arena, memory_order_relaxed);
    if (number < 0 || dw_alloc_bytes() > 0)
        return; /* somebody still holds memory: a log that was not closed before the process ends */
    snprintf(name, sizeof name, "arena.%d.destroy", number);
    if (mallctl(name, NULL, NULL, NULL, 0) == 0)
        atomic_store_explicit(&arena, -1, memory_order_relaxed); /* whatever comes now comes from libc */
}
