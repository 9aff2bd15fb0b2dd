/* indexed_kit.h - a small indexed log in the directory of the running test, and numbered entries to put into it.
 *
 * Owns: nothing; the directory is log_kit's. Called by: tests of the indexed log, one test at a time. Failure: fails the test. */
#ifndef DW_TESTS_LIB_INDEXED_KIT_H
#define DW_TESTS_LIB_INDEXED_KIT_H

#include <dwal/indexed.h>

#include "tests/lib/log_kit.h"

#define DW_INDEXED_KIT_SIZE_MAX 1024u

/* 256 KiB volumes. The base's options are static: change them through the pointer, before use. */
struct dwal_indexed_options dw_indexed_kit_options(void);
struct dwal_options *dw_indexed_kit_base(void);
dwal_indexed *dw_indexed_kit_create(void);
dwal_indexed *dw_indexed_kit_open(void);
void dw_indexed_kit_close(dwal_indexed *log);

/* The bytes of entry `index` in generation `generation`: each index and generation has its own. Returns the size. */
size_t dw_indexed_kit_bytes(uint64_t index, uint32_t generation, uint8_t *bytes);
/* Store from..to, both included, in batches of `batch`. */
void dw_indexed_kit_store(dwal_indexed *log, uint64_t from, uint64_t to, uint32_t generation, size_t batch);
/* Entry `index` is there and is of that generation. */
void dw_indexed_kit_expect(dwal_indexed *log, uint64_t index, uint32_t generation);
void dw_indexed_kit_expect_none(dwal_indexed *log, uint64_t index);
/* The log has first..last (0, 0: it is empty), and get and a cursor show all of it; of generation `generation` from `from` on. */
void dw_indexed_kit_expect_all(dwal_indexed *log, uint64_t first, uint64_t last, uint64_t from, uint32_t generation);
struct dwal_indexed_stats dw_indexed_kit_stats(dwal_indexed *log);
uint64_t dw_indexed_kit_device_reads(dwal_indexed *log);

#endif
