/* uring.h - what uring.c (requests) and uring_files.c (the table of fixed files) share. Private to io/. */
#ifndef DW_IO_URING_H
#define DW_IO_URING_H

#include <liburing.h>
#include <pthread.h>

#include "io/posix.h"

enum {
    DW_URING_SLOTS = 64, /* deepest queue; one bit each in free_slots */
    DW_URING_FILES = 4,  /* the volume that is filled, the next one, and what is about to leave */
};
/* The length of one write is 32 bits wide, and the kernel stops at 2^31 - 4096 anyway. */
#define DW_URING_WRITE_MAX ((size_t)1 << 30)

struct dw_uring_slot {
    struct dw_request *request; /* NULL: free */
    int file;                   /* index in the table of fixed files, or -1 */
    uint32_t again_count;       /* results in a row that say "not begun" */
};

struct dw_uring_file {
    uint64_t generation; /* of the dw_posix_file; 0: empty */
    uint32_t in_flight;
};

struct dw_uring {
    struct dw_queue base;
    struct io_uring ring;
    pthread_t owner; /* unless is_shared */
    bool is_shared;
    const unsigned char *memory; /* registered as buffer 0, or NULL */
    size_t memory_size;
    int broken;               /* 0, or the -errno of an io_uring_enter that failed for good */
    uint64_t free_slots;      /* bit i: slots[i] is free */
    struct dw_request *first; /* finished, not yet handed out, in completion order */
    struct dw_request **last;
    struct dw_uring_slot slots[DW_URING_SLOTS];
    bool has_files;
    struct dw_uring_file files[DW_URING_FILES];
};

/* uring.c: a ring with the newest flags that the kernel knows, and `wanted` among them. */
int dw_uring_create_ring(struct io_uring *ring, uint32_t depth, bool is_shared, unsigned wanted);
void dw_uring_destroy_ring(struct io_uring *ring);
/* Push what is prepared and, if asked, wait for a completion: at most one system call. is_polled: of a ring with IOPOLL. */
int dw_uring_enter(struct io_uring *ring, bool is_waiting, bool is_polled);
/* Will the ring never answer again, after this result of enter? */
bool dw_uring_is_broken_by(int result);
/* A short pause if the kernel had no memory or no room. */
void dw_uring_breathe(int result);

/* uring_files.c */
void dw_uring_files_open(struct dw_uring *queue);
/* Index of this file in the table for one more request; -1: use the plain descriptor. */
int dw_uring_files_use(struct dw_uring *queue, const struct dw_posix_file *file);
void dw_uring_files_done(struct dw_uring *queue, int index);
void dw_uring_files_close(struct dw_uring *queue);

#endif
