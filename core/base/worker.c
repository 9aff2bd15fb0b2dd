/* worker.c - create and join threads.
 *
 * Owns: nothing but the creation; the struct is its user's.
 * Happy path: all signals are blocked around pthread_create, so that the new thread is born with them blocked and no handler
 *             of the host ever runs on a thread of dwal (nor interrupts its system calls).
 * Failure: -errno of pthread_create; nothing is left behind.
 * Closing: dw_worker_stop joins. */
#include "core/base/worker.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "base/assert.h"

static void *run_worker(void *argument)
{
    struct dw_worker *worker = argument;
    /* Here and not in the starter: then the name is set before the first step. A wish; cannot fail for 15 characters. */
    (void)pthread_setname_np(pthread_self(), worker->name);
    worker->fn(worker->context);
    return NULL;
}

int dw_worker_start(struct dw_worker *worker, const char *name, void (*fn)(void *context), void *context)
{
    dw_assert(!worker->is_running);
    dw_assert(strlen(name) < sizeof worker->name);
    snprintf(worker->name, sizeof worker->name, "%s", name);
    worker->fn = fn;
    worker->context = context;

    sigset_t all, before;
    sigfillset(&all);
    /* Raised by the thread's own fault: blocked, they would kill the process without its crash handler. */
    static const int own[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP, SIGABRT, SIGSYS};
    for (size_t i = 0; i < DW_COUNT_OF(own); i++)
        sigdelset(&all, own[i]);
    int result = pthread_sigmask(SIG_SETMASK, &all, &before);
    dw_assert(result == 0);
    result = pthread_create(&worker->thread, NULL, run_worker, worker);
    int restored = pthread_sigmask(SIG_SETMASK, &before, NULL);
    dw_assert(restored == 0);
    worker->is_running = result == 0;
    return -result;
}

void dw_worker_stop(struct dw_worker *worker)
{
    if (!worker->is_running)
        return;
    int result = pthread_join(worker->thread, NULL);
    dw_assert(result == 0);
    worker->is_running = false;
}
