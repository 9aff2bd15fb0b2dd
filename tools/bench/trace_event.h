/* trace_event.h - between the reader of tracefs (trace_read.c) and the judge (trace_judge.c): one event, as read. */
#ifndef DW_TOOLS_BENCH_TRACE_EVENT_H
#define DW_TOOLS_BENCH_TRACE_EVENT_H

#include "tools/bench/trace.h"

enum dw_trace_kind {
    DW_TRACE_ISSUE,    /* a request goes to the device */
    DW_TRACE_COMPLETE, /* and is back */
    DW_TRACE_SWITCH,   /* thread -> other, on this CPU */
    DW_TRACE_WAKING,   /* thread becomes ready to run */
    DW_TRACE_JOURNAL,  /* a journal commit begins */
    DW_TRACE_JOURNALED,
    DW_TRACE_PUNT, /* io_uring hands an operation to a worker */
    DW_TRACE_KINDS
};
struct dw_trace_event {
    uint64_t time_ns, sector;
    int32_t thread, other; /* of a switch: who leaves, who comes */
    uint32_t device, bytes;
    uint8_t kind, cpu;
    bool was_running; /* of a switch: who leaves would have gone on */
    char comm[16];    /* of the thread; of a switch: of who comes */
    char flags[12];   /* of a request: "WS", "FF" */
};

/* ---- the reader ---- */
struct dw_trace_reader;
/* NULL: *why tells. */
struct dw_trace_reader *dw_trace_reader_open(const char **why);
/* Read all that there is; events of each CPU in order. */
void dw_trace_reader_read(struct dw_trace_reader *reader, void (*take)(const struct dw_trace_event *event));
uint64_t dw_trace_reader_lost(const struct dw_trace_reader *reader);
void dw_trace_reader_close(struct dw_trace_reader *reader);

/* ---- the judge: pure ---- */
struct dw_trace_verdict {
    enum dw_bench_culprit culprit;
    char text[160];
};
/* `events`: all CPUs', in order of time, from well before `from_ns` on. */
void dw_trace_judge(const struct dw_trace_event *events, size_t count, uint32_t device, int32_t thread,
                    uint64_t from_ns, uint64_t to_ns, struct dw_trace_verdict *verdict);

#endif
