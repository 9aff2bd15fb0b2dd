/* ahead.c - see ahead.h. */
#include "core/read/ahead.h"

#include <pthread.h>

#include "alloc/alloc.h"
#include "base/assert.h"
#include "core/base/worker.h"
#include "io/reads.h"

enum {
    BUFFERS = DW_AHEAD_PIECES + 1, /* and the one that is looked at */
    IN_FLIGHT = 2,
};

struct piece {
    struct dw_read read; /* the thread's from ask until `is_read` */
    bool is_read;
};

struct dw_ahead {
    struct dw_worker worker;
    struct dw_reads *reads; /* the thread's; opened and closed by the source's, while there is no thread */
    pthread_mutex_t mutex;  /* guards `asked`, `is_read` of the pieces, `is_ending` */
    pthread_cond_t has_work, has_read;
    uint64_t asked, collected; /* pieces so far; `collected` is the source's own */
    bool is_ending;
    size_t piece_size;
    struct piece pieces[DW_AHEAD_PIECES]; /* piece n: n % DW_AHEAD_PIECES */
    uint8_t *buffers;                     /* of piece n: n % BUFFERS */
};

static struct piece *piece_of(struct dw_ahead *ahead, uint64_t number)
{
    return &ahead->pieces[number % DW_AHEAD_PIECES];
}

static uint8_t *buffer_of(const struct dw_ahead *ahead, uint64_t number)
{
    return ahead->buffers + number % BUFFERS * ahead->piece_size;
}

/* ---- the thread ---- */

/* Begin what was asked for, up to `until`, as far as it can be in flight; wait for some of what is. */
static struct dw_read *read_some(struct dw_ahead *ahead, uint64_t *begun, uint64_t until)
{
    while (*begun != until && ahead->reads->in_flight < ahead->reads->depth)
        dw_reads_submit(ahead->reads, &piece_of(ahead, (*begun)++)->read);
    return dw_reads_reap(ahead->reads);
}

static void run(void *context)
{
    struct dw_ahead *ahead = context;
    uint64_t begun = 0;
    pthread_mutex_lock(&ahead->mutex);
    for (;;) {
        while (begun == ahead->asked && ahead->reads->in_flight == 0 && !ahead->is_ending)
            pthread_cond_wait(&ahead->has_work, &ahead->mutex);
        uint64_t until = ahead->asked;
        if (begun == until && ahead->reads->in_flight == 0)
            break;
        pthread_mutex_unlock(&ahead->mutex);
        struct dw_read *read = read_some(ahead, &begun, until);
        pthread_mutex_lock(&ahead->mutex);
        for (; read; read = read->next)
            ((struct piece *)read->user)->is_read = true;
        pthread_cond_signal(&ahead->has_read);
    }
    pthread_mutex_unlock(&ahead->mutex);
}

/* ---- the source's side ---- */

static void wait_for(struct dw_ahead *ahead, uint64_t number)
{
    pthread_mutex_lock(&ahead->mutex);
    while (!piece_of(ahead, number)->is_read)
        pthread_cond_wait(&ahead->has_read, &ahead->mutex);
    pthread_mutex_unlock(&ahead->mutex);
}

static void end_thread(struct dw_ahead *ahead)
{
    pthread_mutex_lock(&ahead->mutex);
    ahead->is_ending = true;
    pthread_cond_signal(&ahead->has_work);
    pthread_mutex_unlock(&ahead->mutex);
    dw_worker_stop(&ahead->worker);
}

/* Where reads are done one after another the first is to be had before the next begins. */
static bool open_reads(struct dw_ahead *ahead, struct dw_disk *disk, bool is_plain)
{
    if (dw_reads_open(disk, IN_FLIGHT, is_plain, &ahead->reads) != 0)
        return false;
    if (ahead->reads->is_plain)
        ahead->reads->depth = 1;
    return true;
}

struct dw_ahead *dw_ahead_open(struct dw_disk *disk, size_t size, bool is_plain)
{
    struct dw_ahead *ahead = dw_alloc(sizeof *ahead);
    if (!ahead)
        return NULL;
    ahead->piece_size = size;
    pthread_mutex_init(&ahead->mutex, NULL);
    pthread_cond_init(&ahead->has_work, NULL);
    pthread_cond_init(&ahead->has_read, NULL);
    ahead->buffers =
        dw_map(BUFFERS * size); /* a fork never sees them: no copy on write below a read that is in flight */
    if (!ahead->buffers || !open_reads(ahead, disk, is_plain) ||
        dw_worker_start(&ahead->worker, "dwal-ahead", run, ahead) != 0) {
        dw_ahead_close(ahead);
        return NULL;
    }
    return ahead;
}

void dw_ahead_close(struct dw_ahead *ahead)
{
    if (!ahead)
        return;
    end_thread(ahead); /* it first reads what was asked for */
    dw_reads_close(ahead->reads);
    pthread_cond_destroy(&ahead->has_read);
    pthread_cond_destroy(&ahead->has_work);
    pthread_mutex_destroy(&ahead->mutex);
    dw_unmap(ahead->buffers, BUFFERS * ahead->piece_size);
    dw_free(ahead);
}

size_t dw_ahead_size(const struct dw_ahead *ahead)
{
    return ahead->piece_size;
}

uint32_t dw_ahead_count(const struct dw_ahead *ahead)
{
    return (uint32_t)(ahead->asked - ahead->collected); /* only this thread writes either */
}

void dw_ahead_ask(struct dw_ahead *ahead, struct dw_file *file, uint64_t offset, size_t size)
{
    dw_assert(dw_ahead_count(ahead) < DW_AHEAD_PIECES && size > 0 && size <= ahead->piece_size);
    struct piece *piece = piece_of(ahead, ahead->asked);
    piece->is_read = false;
    piece->read = (struct dw_read){
        .file = file, .bytes = buffer_of(ahead, ahead->asked), .size = size, .offset = offset, .user = piece};
    pthread_mutex_lock(&ahead->mutex);
    ahead->asked++;
    pthread_cond_signal(&ahead->has_work);
    pthread_mutex_unlock(&ahead->mutex);
}

const uint8_t *dw_ahead_collect(struct dw_ahead *ahead, const struct dw_file *file, uint64_t offset, size_t least,
                                size_t *done)
{
    uint64_t number = ahead->collected;
    const struct dw_read *read = &piece_of(ahead, number)->read;
    if (dw_ahead_count(ahead) > 0 && read->file == file && read->offset == offset) {
        wait_for(ahead, number);
        if (read->result == 0 && read->done >= least) {
            ahead->collected++;
            *done = read->done;
            return buffer_of(ahead, number);
        }
    }
    dw_ahead_forget(ahead);
    return NULL;
}

void dw_ahead_forget(struct dw_ahead *ahead)
{
    for (; ahead->collected != ahead->asked; ahead->collected++)
        wait_for(ahead, ahead->collected);
}
