/* tick.h - keeps the processor of a durable write from stopping its clock tick while it waits for the device.
 *
 * Owns: one timer (timerfd). Called by: the holder of the flush role, before each durable write; made and closed with the writer.
 * Why: a processor that falls idle stops its tick unless a timer is due within the next one, and starts it again when it wakes. In
 * a virtual machine both are exits to the host, and a durable write, which is one idle period, took 20 to 35 us longer for them.
 * Happy path: while writes follow each other the timer is set ahead before it goes off, one system call in three quarters of a tick;
 * otherwise it goes off once, in the kernel, and wakes nobody. It belongs to the processor on which it was set: a role that has
 * moved sets it again.
 * Failure: none that matters. No timer (no descriptors left, a sandbox): writes take as long as they did. */
#ifndef DW_CORE_WRITE_TICK_H
#define DW_CORE_WRITE_TICK_H

#include <sched.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/compiler.h"

struct dw_tick {
    int fd;              /* -1: none */
    int cpu;             /* where it was set */
    uint64_t expires_ns; /* when it goes off; by the monotonic clock */
    uint64_t ahead_ns;   /* how far ahead it is set: less than a tick */
    uint64_t reserve_ns; /* set anew when less is left */
};

/* is_wanted: false makes one that does nothing. */
void dw_tick_init(struct dw_tick *tick, bool is_wanted);
void dw_tick_close(struct dw_tick *tick);
void dw_tick_set(struct dw_tick *tick, int cpu, uint64_t now_ns);

/* The calling thread is about to wait for a device. */
static inline void dw_tick_keep(struct dw_tick *tick, uint64_t now_ns)
{
    if (tick->fd < 0)
        return;
    int cpu = sched_getcpu();
    if (DW_UNLIKELY(cpu != tick->cpu || now_ns + tick->reserve_ns > tick->expires_ns))
        dw_tick_set(tick, cpu, now_ns);
}

#endif
