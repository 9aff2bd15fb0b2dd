/* alloc.c - memory from the host program's allocator and from the kernel, counted, with a switch that makes the n-th allocation fail.
 *
 * Owns: four global counters and the fail-at word; every block knows its own size in a small head in front of it.
 * Called by: every room, on any thread.
 * Happy path: the host's allocator (host.h) gives size + head; the head keeps the size and a mark of its kind; the caller gets what follows.
 * Failure: NULL (out of memory, a size that overflows, or the test hook). A block that is given back to the wrong
 *          function, twice, or with an overwritten head stops the process: it is a programmer's error.
 * Closing: nothing to close. */
#include "alloc/alloc.h"

#include <stdatomic.h>

#include "alloc/host.h"
#include "alloc/pages.h"
#include "base/assert.h"
#include "base/bits.h"

/* 32 bytes, so that what follows keeps the alignment that malloc gives (16). */
struct head {
    uint64_t mark;
    size_t size;  /* as asked for */
    void *origin; /* what the allocator gave */
    uint64_t spare;
};
_Static_assert(sizeof(struct head) % _Alignof(max_align_t) == 0, "the head keeps the alignment");

#define MARK_PLAIN UINT64_C(0x6477616c6c6f6331)
#define MARK_IO    UINT64_C(0x6477616c6c6f6332)
#define MARK_FREED UINT64_C(0x6477616c66726565)

/* Relaxed everywhere: counters of their own, nothing is published through them. */
static _Atomic uint64_t allocation_count;
static _Atomic uint64_t held_bytes;
static _Atomic uint64_t peak_bytes;

/* Bit 63: sticky. Bits 0..62: allocations left until one fails (1: the next), 0: off. */
#define FAIL_STICKY (UINT64_C(1) << 63)
static _Atomic uint64_t fail_word;

/* Counts one allocation; true when the test hook wants it to fail. */
bool dw_alloc_is_failing(void)
{
    atomic_fetch_add_explicit(&allocation_count, 1, memory_order_relaxed);
    uint64_t word = atomic_load_explicit(&fail_word, memory_order_relaxed);
    for (;;) {
        uint64_t left = word & ~FAIL_STICKY;
        if (DW_LIKELY(left == 0))
            return false;
        bool is_now = left == 1;
        uint64_t after = !is_now ? word - 1 : (word & FAIL_STICKY) ? word : 0;
        if (atomic_compare_exchange_weak_explicit(&fail_word, &word, after, memory_order_relaxed, memory_order_relaxed))
            return is_now;
    }
}

void dw_alloc_count_held(size_t more, size_t less)
{
    uint64_t change = (uint64_t)more - (uint64_t)less;
    uint64_t now = atomic_fetch_add_explicit(&held_bytes, change, memory_order_relaxed) + change;
    uint64_t peak = atomic_load_explicit(&peak_bytes, memory_order_relaxed);
    while (more > less && now > peak &&
           !atomic_compare_exchange_weak_explicit(&peak_bytes, &peak, now, memory_order_relaxed, memory_order_relaxed))
        ;
}

static struct head *head_of(void *memory, uint64_t mark)
{
    struct head *head = (struct head *)memory - 1;
    dw_assert(head->mark == mark);
    return head;
}

void *dw_alloc(size_t size)
{
    dw_assert(size > 0);
    if (dw_alloc_is_failing() || size > PTRDIFF_MAX - sizeof(struct head))
        return NULL;
    struct head *head = dw_host_allocate(sizeof *head + size, 0, true);
    if (!head)
        return NULL;
    head->mark = MARK_PLAIN;
    head->size = size;
    head->origin = head;
    dw_alloc_count_held(size, 0);
    return head + 1;
}

void *dw_realloc(void *memory, size_t size)
{
    dw_assert(size > 0);
    if (!memory)
        return dw_alloc(size);
    struct head *head = head_of(memory, MARK_PLAIN);
    if (dw_alloc_is_failing() || size > PTRDIFF_MAX - sizeof(struct head))
        return NULL;
    size_t before = head->size;
    struct head *moved = dw_host_resize(head, sizeof *head + size);
    if (!moved)
        return NULL;
    moved->size = size;
    moved->origin = moved;
    dw_alloc_count_held(size, before);
    return moved + 1;
}

static void give_back(void *memory, uint64_t mark)
{
    if (!memory)
        return;
    struct head *head = head_of(memory, mark);
    void *origin = head->origin;
    dw_alloc_count_held(0, head->size);
    head->mark = MARK_FREED;
    dw_host_give_back(origin);
}

void dw_free(void *memory)
{
    give_back(memory, MARK_PLAIN);
}

void *dw_alloc_io(size_t size, size_t alignment)
{
    dw_assert(size > 0);
    dw_assert(dw_is_power_of_two(alignment));
    if (alignment < DW_PAGE_SIZE)
        alignment = DW_PAGE_SIZE;
    if (dw_alloc_is_failing() || size > PTRDIFF_MAX - alignment)
        return NULL;
    /* One unit of alignment in front: its last bytes are the head. */
    void *origin = dw_host_allocate(alignment + size, alignment, true);
    if (!origin)
        return NULL;
    unsigned char *memory = (unsigned char *)origin + alignment;
    struct head *head = (struct head *)(void *)memory - 1;
    *head = (struct head){.mark = MARK_IO, .size = size, .origin = origin};
    dw_alloc_count_held(size, 0);
    return memory;
}

void dw_free_io(void *memory)
{
    give_back(memory, MARK_IO);
}

void *dw_map(size_t size)
{
    dw_assert(size > 0);
    dw_assert(dw_is_aligned(size, DW_PAGE_SIZE));
    if (dw_alloc_is_failing())
        return NULL;
    unsigned char *memory = dw_pages_reserve(size);
    if (!memory)
        return NULL;
    if (!dw_pages_commit(memory, size)) {
        dw_pages_release(memory, size);
        return NULL;
    }
    dw_alloc_count_held(size, 0);
    return memory;
}

void dw_unmap(void *memory, size_t size)
{
    if (!memory)
        return;
    dw_pages_release(memory, size);
    dw_alloc_count_held(0, size);
}

uint64_t dw_alloc_count(void)
{
    return atomic_load_explicit(&allocation_count, memory_order_relaxed);
}

uint64_t dw_alloc_bytes(void)
{
    return atomic_load_explicit(&held_bytes, memory_order_relaxed);
}

uint64_t dw_alloc_peak(void)
{
    return atomic_load_explicit(&peak_bytes, memory_order_relaxed);
}

void dw_alloc_peak_reset(void)
{
    atomic_store_explicit(&peak_bytes, dw_alloc_bytes(), memory_order_relaxed);
}

void dw_alloc_fail_at(uint64_t n, bool is_sticky)
{
    dw_assert((n & FAIL_STICKY) == 0);
    atomic_store_explicit(&fail_word, n == 0 ? 0 : n | (is_sticky ? FAIL_STICKY : 0), memory_order_relaxed);
}
