/* pages.c - pages from the kernel: reserved, made present, released. Called by: alloc.c and arena.c, at open and close.
 * Failure: NULL or false. What is only a wish (huge pages, no core dump, no copy in a child) may fail in silence. */
#include "alloc/pages.h"

#include <errno.h>
#include <stdint.h>
#include <sys/mman.h>

#include "base/assert.h"
#include "base/bits.h"

unsigned char *dw_pages_reserve(size_t size)
{
    if (size > PTRDIFF_MAX - DW_HUGE_PAGE_SIZE)
        return NULL;
    size_t whole = size + DW_HUGE_PAGE_SIZE;
    unsigned char *raw = mmap(NULL, whole, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (raw == MAP_FAILED)
        return NULL;
    size_t before = (size_t)(dw_align_up((uintptr_t)raw, DW_HUGE_PAGE_SIZE) - (uintptr_t)raw);
    if (before > 0)
        munmap(raw, before);
    if (whole - before > size)
        munmap(raw + before + size, whole - before - size);
    return raw + before;
}

/* Make every page present and writable now, so that no append meets a page fault. */
static bool populate(unsigned char *memory, size_t size)
{
#ifdef MADV_POPULATE_WRITE
    if (madvise(memory, size, MADV_POPULATE_WRITE) == 0)
        return true;
    if (errno != EINVAL) /* EINVAL: a kernel before 5.14 */
        return false;
#endif
    for (size_t at = 0; at < size; at += DW_PAGE_SIZE)
        *(volatile unsigned char *)(memory + at) = 0; /* volatile: the store must happen, for its page fault */
    return true;
}

bool dw_pages_commit(unsigned char *memory, size_t size)
{
    if (mprotect(memory, size, PROT_READ | PROT_WRITE) != 0)
        return false;
    /* Wishes, all of them: the kernel may not know them. The advice comes before the first touch, because a page that
     * is present as a small one stays small (so MAP_POPULATE would come too early). */
    (void)madvise(memory, size, MADV_HUGEPAGE);
    (void)madvise(memory, size, MADV_DONTDUMP);
    /* A fork would make every page copy-on-write: page faults on the way of an append. The child has no business here. */
    (void)madvise(memory, size, MADV_DONTFORK);
    return populate(memory, size);
}

void dw_pages_release(void *memory, size_t size)
{
    int result = munmap(memory, size);
    dw_assert(result == 0);
}
