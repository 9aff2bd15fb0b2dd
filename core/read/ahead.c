/* ahead.c - see ahead.h. */
#include "core/read/ahead.h"

#include <pthread.h>

#include "alloc/alloc.h"
#include "base/assert.h"
#include "core/base/worker.h"

enum state { IDLE, ASKED, READ, ENDING };

struct dw_ahead {
    struct dw_worker worker;
    pthread_mutex_t mutex; /* guards `state`; what else the two threads share changes hands with it */
    pthread_cond_t changed;
    enum state state;
    struct dw_file *file;
    uint64_t offset;
    size_t size, done; /* of the read */
    int result;
    size_t piece_size;
    uint8_t *buffers[2];
    uint32_t turn; /* which of them the read goes to */
};

static void run(void *context)
{
    struct dw_ahead *ahead = context;
    pthread_mutex_lock(&ahead->mutex);
    for (;;) {
        while (ahead->state != ASKED && ahead->state != ENDING)
            pthread_cond_wait(&ahead->changed, &ahead->mutex);
        if (ahead->state == ENDING)
            break;
        pthread_mutex_unlock(&ahead->mutex);
        ahead->done = 0;
        ahead->result =
            dw_file_read(ahead->file, ahead->buffers[ahead->turn], ahead->size, ahead->offset, &ahead->done);
        pthread_mutex_lock(&ahead->mutex);
        ahead->state = READ; /* nobody ends us while a read is out */
        pthread_cond_signal(&ahead->changed);
    }
    pthread_mutex_unlock(&ahead->mutex);
}

static void set_state(struct dw_ahead *ahead, enum state state)
{
    pthread_mutex_lock(&ahead->mutex);
    ahead->state = state;
    pthread_cond_signal(&ahead->changed);
    pthread_mutex_unlock(&ahead->mutex);
}

/* Wait for the read that is out. false: none was. */
static bool finish_read(struct dw_ahead *ahead)
{
    pthread_mutex_lock(&ahead->mutex);
    bool was_asked = ahead->state != IDLE;
    while (ahead->state == ASKED)
        pthread_cond_wait(&ahead->changed, &ahead->mutex);
    ahead->state = IDLE;
    pthread_mutex_unlock(&ahead->mutex);
    return was_asked;
}

struct dw_ahead *dw_ahead_open(size_t size, size_t alignment)
{
    struct dw_ahead *ahead = dw_alloc(sizeof *ahead);
    if (!ahead)
        return NULL;
    ahead->piece_size = size;
    ahead->buffers[0] = dw_alloc_io(size, alignment);
    ahead->buffers[1] = dw_alloc_io(size, alignment);
    pthread_mutex_init(&ahead->mutex, NULL);
    pthread_cond_init(&ahead->changed, NULL);
    if (!ahead->buffers[0] || !ahead->buffers[1] || dw_worker_start(&ahead->worker, "dwal-ahead", run, ahead) != 0) {
        dw_ahead_close(ahead);
        return NULL;
    }
    return ahead;
}

void dw_ahead_close(struct dw_ahead *ahead)
{
    if (!ahead)
        return;
    (void)finish_read(ahead);
    set_state(ahead, ENDING);
    dw_worker_stop(&ahead->worker);
    pthread_cond_destroy(&ahead->changed);
    pthread_mutex_destroy(&ahead->mutex);
    dw_free_io(ahead->buffers[0]);
    dw_free_io(ahead->buffers[1]);
    dw_free(ahead);
}

size_t dw_ahead_size(const struct dw_ahead *ahead)
{
    return ahead->piece_size;
}

void dw_ahead_ask(struct dw_ahead *ahead, struct dw_file *file, uint64_t offset, size_t size)
{
    dw_assert(ahead->state == IDLE && size > 0 && size <= ahead->piece_size);
    ahead->file = file;
    ahead->offset = offset;
    ahead->size = size;
    ahead->turn ^= 1;
    set_state(ahead, ASKED);
}

const uint8_t *dw_ahead_collect(struct dw_ahead *ahead, const struct dw_file *file, uint64_t offset, size_t block_size,
                                size_t *done)
{
    if (!finish_read(ahead))
        return NULL;
    if (ahead->file != file || ahead->offset != offset || ahead->done < block_size)
        return NULL;
    *done = ahead->done;
    return ahead->buffers[ahead->turn];
}

void dw_ahead_forget(struct dw_ahead *ahead)
{
    (void)finish_read(ahead);
}
