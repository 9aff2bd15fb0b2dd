/* target.h - the place that is measured: what it is, whether it may be written, the prefilled file, and cleaning up.
 *
 * Owns: the scratch directory or file that it made, the descriptor of the bare file, the random payload. Called by: the
 * main thread. Nothing that was there before is written, unless the user said so. Closing removes what was made. */
#ifndef DW_TOOLS_BENCH_TARGET_H
#define DW_TOOLS_BENCH_TARGET_H

#include <limits.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

enum dw_bench_kind { DW_BENCH_AT_DIRECTORY, DW_BENCH_AT_FILE, DW_BENCH_AT_DEVICE, DW_BENCH_AT_LOG };

struct dw_bench_target {
    /* What the user asked for. */
    const char *path;
    uint64_t file_size, volume_size, settle_ns;
    const char *backend;
    bool may_destroy, may_append, is_kept, is_unsafe;

    enum dw_bench_kind kind;
    bool has_bare, has_log; /* which engines can run here */
    bool is_log_alone;      /* set before open: no bare engine is wanted. On a device that is the log's only chance */
    bool was_blank;         /* the device: it gets its zeros back */
    char log_backend[16];   /* how the log is written */
    char generic_path[32];  /* of an NVMe namespace: its generic device; empty: none */
    char scratch[PATH_MAX]; /* directory made for this run; empty: none */
    char bare_path[PATH_MAX + 16];
    char log_path[PATH_MAX + 16];
    bool is_bare_made, is_log_made;
    int bare_fd; /* -1 until prepared */
    uint64_t bare_size;
    _Atomic uint64_t cursor; /* next byte of the bare file; relaxed: only places, no data hang on it */
    uint8_t *payload;        /* DW_BENCH_OP_BYTES_MAX and DW_BENCH_SHIFTS pages more */
    uint64_t settled_ns;
};

/* Look at the path; refuse what must not be written. 0, or -1 with the message told. */
int dw_bench_target_open(struct dw_bench_target *target);
/* Make and prefill the file for the bare engines with random bytes, sync, and let the file system settle. 0 or -1, told. */
int dw_bench_target_prepare(struct dw_bench_target *target, bool wants_bare);
/* Take the next place for `size` bytes, a multiple of the page. */
uint64_t dw_bench_target_place(struct dw_bench_target *target, uint64_t size);
void dw_bench_target_close(struct dw_bench_target *target);

#endif
