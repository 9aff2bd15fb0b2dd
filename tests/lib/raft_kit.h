/* raft_kit.h - a small Raft log in a directory of its own, for tests of the public calls.
 *
 * Owns: nothing; the directory is log_kit's. Called by: test programs, one test at a time. Failure: fails the test. */
#ifndef DW_TESTS_LIB_RAFT_KIT_H
#define DW_TESTS_LIB_RAFT_KIT_H

#include "tests/lib/log_kit.h"

#include <dwal/raft.h>

#define DW_RAFT_KIT_TEST(name) DW_LOG_KIT_TEST(name)
extern const char dw_raft_kit_metadata[];   /* "member 1 of cluster 2" */
extern struct dwal_options dw_raft_kit_log; /* log_kit's, without a marker so that durable writes can be counted */

struct dwal_raft_options dw_raft_kit_options(void); /* leads to dw_raft_kit_log */
dwal_raft *dw_raft_kit_create(void);
dwal_raft *dw_raft_kit_open(uint64_t index, uint64_t term); /* fails the test when it does not */
dwal_raft *dw_raft_kit_open_to_read(uint64_t index, uint64_t term);
int dw_raft_kit_try_open(uint64_t index, uint64_t term, dwal_raft **raft);
/* Read all, free it, ready to save. */
void dw_raft_kit_ready(dwal_raft *raft);
struct dwal_raft_content *dw_raft_kit_read(dwal_raft *raft); /* must answer 0 */
void dw_raft_kit_close(dwal_raft *raft);

/* Entries [from, to] with this term; each one's data is made from index and term, 0 to 299 bytes. */
void dw_raft_kit_save(dwal_raft *raft, uint64_t from, uint64_t to, uint64_t term);
void dw_raft_kit_save_state(dwal_raft *raft, uint64_t term, uint64_t vote, uint64_t commit);
void dw_raft_kit_save_snapshot(dwal_raft *raft, uint64_t index, uint64_t term); /* members: "abc" */
struct dwal_raft_entry dw_raft_kit_entry(uint64_t index, uint64_t term, char data[300]);
/* The content has exactly entries [from, to], with the data of `term`. */
void dw_raft_kit_check(const struct dwal_raft_content *content, uint64_t from, uint64_t to, uint64_t term);
void dw_raft_kit_check_state(const struct dwal_raft_content *content, uint64_t term, uint64_t vote, uint64_t commit);

/* Append a record to the log underneath, as nobody should: `kind` as in dwal_raft_kind. Returns its lsn. */
uint64_t dw_raft_kit_append_raw(dwal_raft *raft, unsigned kind, const void *metadata, size_t metadata_size,
                                const void *data, size_t data_size);
/* Flip one byte of the first place in the log's volumes at which `bytes` stand. */
void dw_raft_kit_damage(const void *bytes, size_t size);
/* The same, but as a write that did not come to its end: the sector of the place is as before it was written. */
void dw_raft_kit_tear(const void *bytes, size_t size);
/* Wait until the maker has done what it does after an open: what is saved then is witnessed by nothing but what comes later. */
void dw_raft_kit_settle(void);
/* Close the log, but leave its files as they were a moment before: as after a crash. */
void dw_raft_kit_crash(dwal_raft *raft);
uint64_t dw_raft_kit_writes(dwal_raft *raft); /* durable writes so far */

#endif
