/* raft_world.h - one Raft log on a simulated disk over its lives, beside its model: for the model test.
 *
 * Owns: the disks (each life begins with a crash of the one before), the log, the model. Called by: one test thread. After each
 * open every record in the log is compared with the model's list, and then what read answers at some snapshot.
 * Failure: fails the test, with the seed. */
#ifndef DW_TESTS_LIB_RAFT_WORLD_H
#define DW_TESTS_LIB_RAFT_WORLD_H

#include "core/layers/raft.h"
#include "io/sim.h"
#include "tests/lib/raft_model.h"

enum { DW_RAFT_LIVES_MAX = 10 };

/* One log over its lives: each begins with a crash of the one before. */
struct dw_raft_world {
    uint64_t seed, random;
    struct dwal_options log_options;
    struct dwal_raft_options options;
    struct dw_disk *disks[DW_RAFT_LIVES_MAX];
    struct dw_sim_crash *crashes[DW_RAFT_LIVES_MAX];
    size_t lives;
    dwal_raft *raft;
    struct dw_raft_model model;
    /* Of the last call: what was on the disk, acknowledged and released before it. */
    uint64_t event_before;
    size_t acknowledged_before;
    struct dw_raft_model before_release; /* with records only while the last call dropped some */
};

struct dw_raft_world_totals {
    uint64_t operations, saves, crashes, reopens, releases, refusals, records_compared;
};
extern struct dw_raft_world_totals dw_raft_world_total;

void dw_raft_world_fail(const struct dw_raft_world *world, const char *what, int code);
/* A random number below `limit`. */
uint64_t dw_raft_world_draw(struct dw_raft_world *world, uint64_t limit);
/* A new log, ready. */
void dw_raft_world_create(struct dw_raft_world *world, uint64_t seed);
void dw_raft_world_end(struct dw_raft_world *world);

/* Up to so many steps of flusher and maker. */
void dw_raft_world_step(struct dw_raft_world *world, int steps);
/* A call that found no room: let the workers make some; true: call again. */
bool dw_raft_world_is_to_repeat(struct dw_raft_world *world, int code, int *attempts);
/* Before each call: from here on it is the last one. */
void dw_raft_world_begin_call(struct dw_raft_world *world);
void dw_raft_world_check_stats(struct dw_raft_world *world);

/* Close and open again; crash in the middle of the last call and open. */
void dw_raft_world_reopen(struct dw_raft_world *world);
void dw_raft_world_crash(struct dw_raft_world *world);

#endif
