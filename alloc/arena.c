/* arena.c - one mapping for all I/O memory of a log: see arena.h.
 *
 * The whole range is reserved without access, which costs addresses only; the front and each piece are made accessible and
 * touched when they are handed out. With a front of a huge page or more this goes on in steps of huge pages, so that what lies behind the
 * ring (the zeros of the blanks, a table of contents) shares them.
 * With the address sanitizer what was not handed out is poisoned, with a gap behind each piece. */
#include "alloc/arena.h"

#include <string.h>
#include <sys/mman.h>

#include "alloc/alloc.h"
#include "alloc/pages.h"
#include "base/assert.h"
#include "base/bits.h"

#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/asan_interface.h>
#define POISON(memory, size)   __asan_poison_memory_region(memory, size)
#define UNPOISON(memory, size) __asan_unpoison_memory_region(memory, size)
enum { GAP = DW_PAGE_SIZE };
#else
#define POISON(memory, size)   ((void)(memory), (void)(size))
#define UNPOISON(memory, size) ((void)(memory), (void)(size))
enum { GAP = 0 };
#endif

/* A part of the range that becomes usable from its beginning on. */
struct part {
    size_t start, present, end; /* `present`: end of what can be used */
};

struct dw_arena {
    unsigned char *base;
    size_t reserved; /* bytes of addresses */
    size_t step;     /* in which memory is made usable */
    struct part front, pieces;
    size_t taken;         /* end of the last piece */
    size_t borrowed;      /* of the front, from its beginning */
    size_t borrowed_most; /* so far: what is not zero any more */
    uint32_t borrow_count;
    bool is_front_claimed;
};

/* Make the part usable up to `end`. */
static bool extend(struct dw_arena *arena, struct part *part, size_t end)
{
    if (end <= part->present)
        return true;
    size_t wanted = dw_min_size((size_t)dw_align_up(end, arena->step), part->end);
    if (end > wanted || !dw_pages_commit(arena->base + part->present, wanted - part->present))
        return false;
    POISON(arena->base + part->present, wanted - part->present);
    dw_alloc_count_held(wanted - part->present, 0);
    part->present = wanted;
    return true;
}

struct dw_arena *dw_arena_open(size_t front, size_t limit)
{
    dw_assert(dw_is_aligned(front, DW_PAGE_SIZE));
    struct dw_arena *arena = dw_alloc(sizeof *arena);
    if (!arena)
        return NULL;
    arena->step = front >= DW_HUGE_PAGE_SIZE ? DW_HUGE_PAGE_SIZE : DW_PAGE_SIZE;
    uint64_t reserved = 0;
    if (!dw_add_overflows(front, limit, &reserved) && reserved <= PTRDIFF_MAX - 2 * (uint64_t)DW_HUGE_PAGE_SIZE) {
        arena->reserved = (size_t)dw_align_up(reserved, DW_HUGE_PAGE_SIZE);
        arena->base = dw_alloc_is_failing() ? NULL : dw_pages_reserve(arena->reserved);
    }
    arena->front = (struct part){.start = 0, .present = 0, .end = front};
    arena->pieces = (struct part){.start = front, .present = front, .end = arena->reserved};
    arena->taken = front;
    if (arena->base)
        return arena;
    dw_free(arena);
    return NULL;
}

void dw_arena_close(struct dw_arena *arena)
{
    if (!arena)
        return;
    dw_assert(arena->borrow_count == 0);
    UNPOISON(arena->base, arena->reserved);
    dw_pages_release(arena->base, arena->reserved);
    dw_alloc_count_held(0, dw_arena_size(arena));
    dw_free(arena);
}

void *dw_arena_take(struct dw_arena *arena, size_t size, size_t alignment)
{
    dw_assert(size > 0);
    dw_assert(dw_is_power_of_two(alignment) && alignment <= DW_HUGE_PAGE_SIZE);
    if (alignment < DW_PAGE_SIZE)
        alignment = DW_PAGE_SIZE;
    size_t at = (size_t)dw_align_up(arena->taken, alignment);
    if (dw_alloc_is_failing() || at > arena->reserved || size > arena->reserved - at ||
        !extend(arena, &arena->pieces, at + size))
        return NULL;
    UNPOISON(arena->base + at, size);
    arena->taken = at + size + GAP;
    return arena->base + at;
}

void *dw_arena_borrow(struct dw_arena *arena, size_t size, size_t alignment)
{
    dw_assert(size > 0);
    if (!arena || arena->is_front_claimed)
        return dw_alloc_io(size, alignment);
    size_t at = (size_t)dw_align_up(arena->borrowed, dw_max_u64(alignment, DW_PAGE_SIZE));
    if (at > arena->front.end || size > arena->front.end - at)
        return dw_alloc_io(size, alignment);
    if (dw_alloc_is_failing() || !extend(arena, &arena->front, at + size))
        return NULL;
    UNPOISON(arena->base + at, size);
    arena->borrowed = at + size;
    arena->borrowed_most = dw_max_u64(arena->borrowed_most, arena->borrowed);
    arena->borrow_count++;
    return arena->base + at;
}

void dw_arena_return(struct dw_arena *arena, void *memory)
{
    if (!memory)
        return;
    if (!arena || (uintptr_t)memory - (uintptr_t)arena->base >= arena->front.end) {
        dw_free_io(memory);
        return;
    }
    dw_assert(arena->borrow_count > 0);
    if (--arena->borrow_count == 0)
        arena->borrowed = 0; /* what one of several gives back earlier is not used again before */
}

void *dw_arena_claim_front(struct dw_arena *arena)
{
    dw_assert(arena->borrow_count == 0 && !arena->is_front_claimed);
    arena->is_front_claimed = true;
    if (arena->front.end == 0 || dw_alloc_is_failing() || !extend(arena, &arena->front, arena->front.end))
        return NULL;
    UNPOISON(arena->base, arena->front.end);
    memset(arena->base, 0, arena->borrowed_most);
    return arena->base;
}

size_t dw_arena_size(const struct dw_arena *arena)
{
    return arena->front.present + (arena->pieces.present - arena->pieces.start);
}
