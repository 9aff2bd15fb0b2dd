/* cancel.h - a stretch of code in which the calling thread is not cancelled (pthread_cancel): that comes at its next cancellation
 * point behind it. For calls of the C library that are such points, and for callbacks, while the thread holds what nobody else could
 * give back. Owns: nothing. Any thread. Failure: none. */
#ifndef DW_BASE_CANCEL_H
#define DW_BASE_CANCEL_H

#include <pthread.h>

/* Returns what dw_cancel_release wants. */
static inline int dw_cancel_hold(void)
{
    int before;
    (void)pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &before);
    return before;
}

static inline void dw_cancel_release(int before)
{
    (void)pthread_setcancelstate(before, NULL);
}

#endif
