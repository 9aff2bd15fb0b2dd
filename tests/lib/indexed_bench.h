/* indexed_bench.h - an indexed log on a disk of the test's own, single-stepped: it can be left as a crash would leave it.
 *
 * Owns: nothing; the disk is the test's. Called by: tests of the indexed log, on one thread. Failure: fails the test. */
#ifndef DW_TESTS_LIB_INDEXED_BENCH_H
#define DW_TESTS_LIB_INDEXED_BENCH_H

#include "core/layers/indexed/indexed.h"
#include "core/log/log.h"
#include "tests/lib/indexed_kit.h"

struct dw_indexed_bench {
    struct dw_disk *disk;
    dwal *base;
    dwal_indexed *log;
};

/* With the options of indexed_kit. Create leaves it open. */
void dw_indexed_bench_create(struct dw_indexed_bench *bench, struct dw_disk *disk);
void dw_indexed_bench_open(struct dw_indexed_bench *bench);
int dw_indexed_bench_try_open(struct dw_indexed_bench *bench, const struct dwal_indexed_options *options);
/* Let flusher and maker work until they have nothing to do. */
void dw_indexed_bench_pump(struct dw_indexed_bench *bench);
/* Store from..to in batches of 7, of generation 0; the workers move when a call would wait for them. */
void dw_indexed_bench_store(struct dw_indexed_bench *bench, uint64_t from, uint64_t to);
/* Of the process: what was written stays. */
void dw_indexed_bench_crash(struct dw_indexed_bench *bench);
struct dw_disk *dw_indexed_bench_sim(void);
uint32_t dw_indexed_bench_volumes(dwal *base, bool is_full); /* how many there are that are full, or not */

#endif
