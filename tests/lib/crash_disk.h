/* crash_disk.h - short calls for tests that drive a simulated disk by hand.
 *
 * Owns: nothing. Called by: tests of the simulator and of crash recovery. A call that must succeed and does not stops
 * the test through cmocka. */
#ifndef DW_TESTS_LIB_CRASH_DISK_H
#define DW_TESTS_LIB_CRASH_DISK_H

#include "io/sim.h"

#define DW_CRASH_SECTOR DW_SIM_SECTOR_SIZE

struct dw_disk *dw_crash_disk(const struct dw_sim_options *options);
struct dw_file *dw_crash_file(struct dw_disk *disk, const char *name, unsigned flags);
/* `count` sectors whose every byte is `value`, from sector `first`. */
void dw_crash_put(struct dw_file *file, uint64_t first, uint64_t count, uint8_t value, bool is_durable);
/* The first byte of a sector; -1: there is no such file or sector; -2: its bytes are not all alike. */
int dw_crash_get(struct dw_disk *disk, const char *name, uint64_t sector);
bool dw_crash_exists(struct dw_disk *disk, const char *name);
/* The image of state `state` (or, with is_sampled, of that seed) at event `event`. */
struct dw_disk *dw_crash_image(struct dw_sim_crash *crash, uint64_t event, uint64_t state, bool is_sampled);
void dw_crash_drop(struct dw_disk *disk); /* close */

#endif
