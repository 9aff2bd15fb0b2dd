/* ahead.c - see ahead.h. */
#include "core/read/ahead.h"

#include <pthread.h>

#include "alloc/alloc.h"
#include "base/assert.h"
#include "core/base/worker.h"

enum { BUFFERS = DW_AHEAD_PIECES + 1 }; /* and the one that is looked at */

struct piece {
    struct dw_file *file;
    uint64_t offset;
    size_t size, done; /* of the read */
    int result;
};

struct dw_ahead {
    struct dw_worker worker;
    pthread_mutex_t mutex; /* guards `asked`, `read`, `is_ending`; a piece changes hands with them */
    pthread_cond_t has_work, has_read;
    uint32_t asked, read, collected; /* pieces so far; `collected` is the source's own */
    bool is_ending;
    size_t piece_size;
    struct piece pieces[DW_AHEAD_PIECES]; /* piece n: n % DW_AHEAD_PIECES */
    uint8_t *buffers[BUFFERS];            /* of piece n: n % BUFFERS */
};

static void read_piece(const struct dw_ahead *ahead, struct piece *piece, uint32_t number)
{
    piece->done = 0;
    piece->result =
        dw_file_read(piece->file, ahead->buffers[number % BUFFERS], piece->size, piece->offset, &piece->done);
}

static void run(void *context)
{
    struct dw_ahead *ahead = context;
    pthread_mutex_lock(&ahead->mutex);
    for (;;) {
        while (ahead->read == ahead->asked && !ahead->is_ending)
            pthread_cond_wait(&ahead->has_work, &ahead->mutex);
        if (ahead->read == ahead->asked)
            break;
        uint32_t number = ahead->read;
        pthread_mutex_unlock(&ahead->mutex);
        read_piece(ahead, &ahead->pieces[number % DW_AHEAD_PIECES], number);
        pthread_mutex_lock(&ahead->mutex);
        ahead->read = number + 1;
        pthread_cond_signal(&ahead->has_read);
    }
    pthread_mutex_unlock(&ahead->mutex);
}

/* Wait until `count` pieces are read. */
static void wait_for(struct dw_ahead *ahead, uint32_t count)
{
    pthread_mutex_lock(&ahead->mutex);
    while ((int32_t)(ahead->read - count) < 0)
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

struct dw_ahead *dw_ahead_open(size_t size, size_t alignment)
{
    struct dw_ahead *ahead = dw_alloc(sizeof *ahead);
    if (!ahead)
        return NULL;
    ahead->piece_size = size;
    pthread_mutex_init(&ahead->mutex, NULL);
    pthread_cond_init(&ahead->has_work, NULL);
    pthread_cond_init(&ahead->has_read, NULL);
    bool has_all = true;
    for (size_t i = 0; i < BUFFERS; i++) {
        ahead->buffers[i] = dw_alloc_io(size, alignment);
        has_all = has_all && ahead->buffers[i];
    }
    if (!has_all || dw_worker_start(&ahead->worker, "dwal-ahead", run, ahead) != 0) {
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
    pthread_cond_destroy(&ahead->has_read);
    pthread_cond_destroy(&ahead->has_work);
    pthread_mutex_destroy(&ahead->mutex);
    for (size_t i = 0; i < BUFFERS; i++)
        dw_free_io(ahead->buffers[i]);
    dw_free(ahead);
}

size_t dw_ahead_size(const struct dw_ahead *ahead)
{
    return ahead->piece_size;
}

uint32_t dw_ahead_count(const struct dw_ahead *ahead)
{
    return ahead->asked - ahead->collected; /* only this thread writes either */
}

void dw_ahead_ask(struct dw_ahead *ahead, struct dw_file *file, uint64_t offset, size_t size)
{
    dw_assert(dw_ahead_count(ahead) < DW_AHEAD_PIECES && size > 0 && size <= ahead->piece_size);
    ahead->pieces[ahead->asked % DW_AHEAD_PIECES] = (struct piece){.file = file, .offset = offset, .size = size};
    pthread_mutex_lock(&ahead->mutex);
    ahead->asked++;
    pthread_cond_signal(&ahead->has_work);
    pthread_mutex_unlock(&ahead->mutex);
}

bool dw_ahead_is_first(const struct dw_ahead *ahead, const struct dw_file *file, uint64_t offset)
{
    const struct piece *piece = &ahead->pieces[ahead->collected % DW_AHEAD_PIECES];
    return dw_ahead_count(ahead) > 0 && piece->file == file && piece->offset == offset;
}

const uint8_t *dw_ahead_collect(struct dw_ahead *ahead, const struct dw_file *file, uint64_t offset, size_t block_size,
                                size_t *done)
{
    uint32_t number = ahead->collected;
    if (dw_ahead_is_first(ahead, file, offset)) {
        const struct piece *piece = &ahead->pieces[number % DW_AHEAD_PIECES];
        wait_for(ahead, number + 1);
        if (piece->done >= block_size) {
            ahead->collected++;
            *done = piece->done;
            return ahead->buffers[number % BUFFERS];
        }
    }
    dw_ahead_forget(ahead);
    return NULL;
}

void dw_ahead_forget(struct dw_ahead *ahead)
{
    wait_for(ahead, ahead->asked);
    ahead->collected = ahead->asked;
}
