/* trace.h - who held a slow operation up, from the kernel's tracepoints.
 *
 * Owns: an instance of its own in tracefs, removed at the end; one thread that reads it; the events of the last moments of
 * each CPU. Called by: the main thread (open, close, find); lanes tell of slow operations (note), without waiting.
 * Happy path: open -> lanes note -> the thread judges each once all its events are there -> find.
 * Failure: no tracefs, no permission: told, and the run goes on without culprits. What was lost when events came faster than
 * they were read is counted. Costs some CPU: absolute times of a traced run are not to be quoted. */
#ifndef DW_TOOLS_BENCH_TRACE_H
#define DW_TOOLS_BENCH_TRACE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum dw_bench_culprit {
    DW_BENCH_CULPRIT_UNKNOWN, /* nothing that was traced explains it */
    DW_BENCH_CULPRIT_CPU,     /* its thread was ready to run and did not get a CPU */
    DW_BENCH_CULPRIT_WORKER,  /* another thread that had to help did not get a CPU */
    DW_BENCH_CULPRIT_FLUSH,   /* the device's cache flush */
    DW_BENCH_CULPRIT_DEVICE,  /* a request of the device */
    DW_BENCH_CULPRIT_JOURNAL, /* a commit of the file system's journal */
    DW_BENCH_CULPRITS
};
const char *dw_bench_culprit_name(enum dw_bench_culprit culprit);

/* False: not possible here; the message was told. `major`, `minor`: of the disk to watch. */
bool dw_bench_trace_open(uint32_t major, uint32_t minor);
/* A lane: this operation was slow. `thread`: who waited for it. Never waits; when too many come at once some are dropped. */
void dw_bench_trace_note(int32_t thread, uint64_t issue_ns, uint64_t done_ns);
/* Before a slice: forget the notes of the one before. */
void dw_bench_trace_begin(void);
/* After the slice: wait until all notes are judged, count them by culprit. */
void dw_bench_trace_settle(uint64_t counts[DW_BENCH_CULPRITS]);
/* What was found for the operation; "" when nothing was noted. */
void dw_bench_trace_find(uint64_t issue_ns, uint64_t done_ns, char *text, size_t size);
/* CPU time that the reading and judging took so far; 0 while nothing is traced. */
uint64_t dw_bench_trace_cpu_ns(void);
/* Events that the kernel dropped. */
uint64_t dw_bench_trace_lost(void);
void dw_bench_trace_close(void);

#endif
