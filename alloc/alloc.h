/* alloc.h - all memory of dwal. The only room that calls malloc, free and mmap.
 *
 * Called by: every room, on any thread, at open and close and from calls that are allowed to allocate (cursors, scans);
 * never on the way append -> flush -> acknowledge. dw_alloc_count lets a test prove that.
 * Failure: NULL. Tests make the n-th allocation fail with dw_alloc_fail_at. */
#ifndef DW_ALLOC_ALLOC_H
#define DW_ALLOC_ALLOC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/compiler.h"

/* Zeroed; `size` above 0. */
DW_NODISCARD void *dw_alloc(size_t size);
/* As realloc; new bytes are not zeroed; NULL leaves `memory` as it was. */
DW_NODISCARD void *dw_realloc(void *memory, size_t size);
void dw_free(void *memory); /* NULL is fine */

/* Block-aligned (4096 at least) zeroed memory for direct I/O. */
DW_NODISCARD void *dw_alloc_io(size_t size, size_t alignment);
void dw_free_io(void *memory);

/* A large mapping, zeroed and pre-faulted, on huge pages where the kernel gives them: for the ring. `size` is a multiple of
 * 4096. Not in core dumps, and not there in a child after fork. Free with the same size. */
DW_NODISCARD void *dw_map(size_t size);
void dw_unmap(void *memory, size_t size);

/* Allocations so far, all kinds, and bytes that are held now (as asked for). Relaxed counters. */
uint64_t dw_alloc_count(void);
uint64_t dw_alloc_bytes(void);
/* The most bytes that were held at once since the last dw_alloc_peak_reset. */
uint64_t dw_alloc_peak(void);
void dw_alloc_peak_reset(void);
/* Test hook: the n-th allocation from now on fails (1 = the next); with `is_sticky` all later ones too; 0: off. */
void dw_alloc_fail_at(uint64_t n, bool is_sticky);

#endif
