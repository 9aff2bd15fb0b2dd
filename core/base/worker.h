/* worker.h - the threads of dwal. worker.c is the only file that creates one.
 *
 * A worker is a thin shell: it runs one function, which loops over the bounded steps of its room and sleeps in between,
 * until its owner tells it to end. Called by: open and close of a log. */
#ifndef DW_CORE_BASE_WORKER_H
#define DW_CORE_BASE_WORKER_H

#include <pthread.h>
#include <stdbool.h>

#include "base/compiler.h"

struct dw_worker { /* all zero: not running */
    pthread_t thread;
    void (*fn)(void *context);
    void *context;
    char name[16]; /* as ps and gdb show it: "dwal-flush", "dwal-maker"; at most 15 characters */
    bool is_running;
};

/* Run fn(context) in a thread of that name. The thread takes no signal of the host process, except those that say that
 * the thread itself did wrong (SIGSEGV and its like). `worker` must stay where it is until stopped.
 * 0, or -errno (-EAGAIN: too many threads; -ENOMEM). */
DW_NODISCARD int dw_worker_start(struct dw_worker *worker, const char *name, void (*fn)(void *context), void *context);
/* Wait until the function has returned; the caller has told it to before. Does nothing when it is not running. */
void dw_worker_stop(struct dw_worker *worker);

#endif
