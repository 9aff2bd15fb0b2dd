/* choice.h - which backend this open takes, and why: option, environment, what was measured before, or a measurement now.
 *
 * Called by: open (on its thread, with the writer's lock held and before anything is written), info (what open would say;
 * measures nothing), the maker's thread (drift).
 * Happy path: nothing is named -> the place's facts make a key -> figures from the cache, or some tens of milliseconds of
 * trials in a file without a name beside the log -> the rules of choose.c -> an order of backends.
 * Failure: none. What cannot be looked at, measured or remembered leaves the choice to facts and defaults. */
#ifndef DW_CORE_LOG_CHOICE_H
#define DW_CORE_LOG_CHOICE_H

#include <dwal/probe.h>

#include "core/log/backend.h"
#include "io/io.h"

struct dwal;

/* Fill log->choice and the order of kinds to try. false: nothing is chosen here (a simulated disk, single steps): the
 * default order holds. `is_write_size_free`: the caller left write_size_max open, so it may be learned.
 * DWAL_EARGUMENT: DWAL_BACKEND names no backend. */
DW_NODISCARD int dw_choice_make(struct dwal *log, bool is_write_size_free, struct dw_backend_order *order);
/* After settle: a device on which nothing was measured so far lends a free slot. true: figures were made, and `order` is to be
 * taken in place of the one before. */
bool dw_choice_measure_device(struct dwal *log, bool is_write_size_free, struct dw_backend_order *order);
/* The block of a new log in a directory, when the caller left it open: what the device below writes at once. */
void dw_choice_fit_block(struct dw_disk *disk, struct dwal_options *options);
/* After a backend was taken: note which one, and tell the caller's event callback. */
void dw_choice_tell(struct dwal *log);
/* About once a second, by the maker: did latencies drift from what was measured? Then the figures are stale for the next open,
 * and an event says so. */
void dw_choice_watch(struct dwal *log, uint64_t now_ns);

/* Was a backend named that does without io_uring? Then reading does without it too: it may have been named because the place
 * allows no other. `options` as the caller gave them, or NULL. */
bool dw_choice_forbids_ring(const struct dwal_options *options);

/* For tests: measurements made by this process so far. */
uint64_t dw_choice_measurements(void);

#endif
