/* flush.h - between the parts of the flush role: flush.c (one piece of work) and role.c (who does it, and when). */
#ifndef DW_CORE_WRITE_FLUSH_H
#define DW_CORE_WRITE_FLUSH_H

#include "core/write/writer.h"

/* Beside a write in flight a further one is started when it has so many blocks: the knee of latency over size lies
 * near 64-128 KiB on the devices measured. */
#define DW_FLUSH_KNEE_BLOCKS 32u

/* One durable write by the calling thread, which holds the role, with nothing in flight. false: nothing could be
 * written now (an appender is still copying, or there is nothing). */
bool dw_flush_write_one(struct dw_writer *writer);
/* Is the next block complete, and its volume there? */
bool dw_flush_can_write(struct dw_writer *writer);
/* The next block is reserved and cannot be written yet: its appender is still copying, or the maker has yet to hand over the
 * volume. Give them the CPU. Counted and timed. */
void dw_flush_wait_for_copy(struct dw_writer *writer);

#endif
