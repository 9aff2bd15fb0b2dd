/* uring_files.c - the small table of files that the kernel looks up by index instead of by descriptor.
 *
 * Owns: DW_URING_FILES places in the ring's table, empty at first. A file enters at its first request in this queue.
 * Called by: uring.c, in the queue's thread.
 * A file is known by its generation, not by its address: an address is used again after close, a generation never.
 * The kernel keeps a file in the table alive after its close. So that a closed volume does not hold its space for long,
 * whatever has nothing in flight leaves when another file enters: at most the two files around a change of volume stay.
 * (The locks do not stay: closing a file gives them back by name.)
 * Failure: without a place or without the kernel's help requests use the plain descriptor; that costs nanoseconds.
 * Closing: the table goes at once, because a ring goes away only some time after its descriptor is closed. */
#ifdef DW_HAVE_URING
#include "base/assert.h"
#include "io/uring.h"

void dw_uring_files_open(struct dw_uring *queue)
{
    int none[DW_URING_FILES];
    for (size_t i = 0; i < DW_URING_FILES; i++)
        none[i] = -1;
    queue->has_files = io_uring_register_files(&queue->ring, none, DW_URING_FILES) == 0;
}

/* Put a descriptor (-1: nothing) at a place. */
static bool set_place(struct dw_uring *queue, unsigned index, int descriptor, uint64_t generation)
{
    bool is_set = io_uring_register_files_update(&queue->ring, index, &descriptor, 1) == 1;
    queue->files[index].generation = is_set ? generation : 0;
    return is_set;
}

/* A new file comes: let go of all that rest. Answers a free place or -1. */
static int make_room(struct dw_uring *queue)
{
    int found = -1;
    for (unsigned i = 0; i < DW_URING_FILES; i++) {
        struct dw_uring_file *place = &queue->files[i];
        if (place->generation != 0 && place->in_flight == 0)
            (void)set_place(queue, i, -1, 0);
        if (place->generation == 0 && found < 0)
            found = (int)i;
    }
    return found;
}

int dw_uring_files_use(struct dw_uring *queue, const struct dw_posix_file *file)
{
    if (!queue->has_files)
        return -1;
    int index = -1;
    for (int i = 0; i < DW_URING_FILES; i++)
        if (queue->files[i].generation == file->generation)
            index = i;
    if (index < 0) {
        index = make_room(queue);
        if (index < 0 || !set_place(queue, (unsigned)index, file->descriptor, file->generation))
            return -1;
    }
    queue->files[index].in_flight++;
    return index;
}

void dw_uring_files_done(struct dw_uring *queue, int index)
{
    if (index < 0)
        return;
    dw_assert(queue->files[index].in_flight > 0);
    queue->files[index].in_flight--;
}

void dw_uring_files_close(struct dw_uring *queue)
{
    /* Not place by place: kernels around 6.1 let go of what leaves the table a second later, and an exclusive open of a
     * device would last as long. This call waits until they are let go. */
    if (queue->has_files)
        (void)io_uring_unregister_files(&queue->ring);
    queue->has_files = false;
}
#else
typedef int dw_uring_files_is_not_built; /* a translation unit may not be empty */
#endif
