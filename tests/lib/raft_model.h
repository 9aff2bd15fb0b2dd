/* raft_model.h - the simplest Raft log there is: a list of records, and what a reader must make of it. For the model test.
 *
 * Owns: the list. Called by: one test thread. Written without a look at core/layers: what both agree on is the manual. */
#ifndef DW_TESTS_LIB_RAFT_MODEL_H
#define DW_TESTS_LIB_RAFT_MODEL_H

#include <dwal/raft.h>

struct dw_raft_model_record {
    enum dwal_raft_kind kind;
    uint32_t type, salt; /* of an entry; its data are made of salt */
    uint64_t index, term, sequence;
    struct dwal_raft_state state;
    bool is_last; /* of what was saved together */
};
struct dw_raft_model {
    struct dw_raft_model_record *records; /* from the oldest head that is left */
    size_t count, capacity;
    size_t acknowledged; /* so many of them are durable for certain */
    uint64_t held;       /* sequence of the oldest segment that is held */
    uint64_t last_index;
    struct dwal_raft_state state;
};
/* What read has to answer. */
struct dw_raft_model_answer {
    int code; /* of open and read together */
    bool is_ready;
    const struct dw_raft_model_record *entries[4096];
    size_t entry_count;
    struct dwal_raft_state state;
    uint64_t last_index;
    bool has_snapshot;
};

#define DW_RAFT_MODEL_DATA_MAX 6000u
size_t dw_raft_model_data(uint32_t salt, uint8_t data[DW_RAFT_MODEL_DATA_MAX]);

void dw_raft_model_add(struct dw_raft_model *model, const struct dw_raft_model_record *record);
/* A head, as a cut writes it; the first one comes with the empty snapshot. */
void dw_raft_model_cut(struct dw_raft_model *model);
/* Forget records behind the first `count`, and work out state and last index again. */
void dw_raft_model_keep(struct dw_raft_model *model, size_t count);
/* Segments that are left, of them held. */
size_t dw_raft_model_segments(const struct dw_raft_model *model, size_t *held);
/* Release, then drop while more than `kept` are left. Returns how many segments were dropped. */
size_t dw_raft_model_release(struct dw_raft_model *model, uint64_t index, size_t kept);
size_t dw_raft_model_purge(struct dw_raft_model *model, size_t kept);
/* After an open at `start`: what is held. */
void dw_raft_model_hold_from(struct dw_raft_model *model, uint64_t start);
void dw_raft_model_read(const struct dw_raft_model *model, const struct dwal_raft_snapshot *start,
                        struct dw_raft_model_answer *answer);
void dw_raft_model_free(struct dw_raft_model *model);

#endif
