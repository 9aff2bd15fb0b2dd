/* measure.h - how long durable writes take: trials of every way, interleaved, in a place that may be overwritten.
 *
 * Owns: nothing between calls. Called by: `dwal probe` and open, on any thread; queues are made and used by that thread.
 * Happy path: a temporary file without a name is filled once (dw_scratch_open), then each round tries each row once, in an
 *             order of its own, so that what disturbs one row disturbs all.
 * Failure: a row whose backend is not to be had, or whose write fails, keeps its error and is tried no more; the others go
 *          on. Nothing is retried.
 * Closing: dw_scratch_close gives back file and space. */
#ifndef DW_IO_MEASURE_H
#define DW_IO_MEASURE_H

#include <dwal/probe.h>

#include "io/io.h"
#include "io/probe.h"

#define DW_MEASURE_SIZE_MAX   (1u << 20)
#define DW_MEASURE_TRIALS_MAX 8192u

/* A place of its own for trial writes. */
struct dw_scratch {
    struct dw_disk *disk;
    struct dw_file *file;      /* written in full, and synced */
    struct dw_file *unwritten; /* allocated, never written; NULL: not wanted or not to be had */
    uint64_t from, size;       /* bytes of `file` that may be overwritten */
    uint64_t unwritten_size;
    bool is_zeros;    /* only zeros may be written */
    bool is_borrowed; /* disk and file are somebody else's */
};

/* A file in directory `path` that has no name, or lost it at once: nothing is left after a crash. `disk` is the directory's.
 * `unwritten_size` 0: no second file. -ENOSPC, -EOPNOTSUPP, ... */
DW_NODISCARD int dw_scratch_open(struct dw_disk *disk, uint64_t size, uint64_t unwritten_size,
                                 struct dw_scratch *scratch);
/* A part of a file that somebody lends: filled with zeros, written with zeros only. The file stays the lender's. */
DW_NODISCARD int dw_scratch_borrow(struct dw_file *file, uint64_t from, uint64_t size, struct dw_scratch *scratch);
/* Make the second file unwritten again. */
DW_NODISCARD int dw_scratch_renew_unwritten(struct dw_scratch *scratch);
void dw_scratch_close(struct dw_scratch *scratch);
/* What direct I/O on the file asks for: a directory does not tell. */
void dw_scratch_probe(const struct dw_scratch *scratch, struct dw_probe *probe);
/* Bytes that do not compress, always the same. */
void dw_scratch_payload(unsigned char *bytes, size_t size);

struct dw_measure_row {
    struct dwal_timing timing; /* backend, way, is_unwritten, size: given. The rest: the answer */
    uint32_t every;            /* tried in every n-th round; 0 means 1 */
};
struct dw_measure {
    struct dw_scratch *scratch;
    struct dw_measure_row *rows;
    size_t row_count;
    uint64_t time_ns;    /* no trial begins later */
    uint32_t rounds_max; /* at most DW_MEASURE_TRIALS_MAX */
    const struct dw_clock *clock;
    bool (*is_stopped)(void *context); /* may be NULL */
    void *context;
    uint64_t rounds, elapsed_ns; /* the answer */
};
/* 0 or -ENOMEM. */
DW_NODISCARD int dw_measure_run(struct dw_measure *measure);

#endif
