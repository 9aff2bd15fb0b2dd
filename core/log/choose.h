/* choose.h - from facts and figures to a choice and its reasons: the rules, as one pure function.
 *
 * Called by: `dwal probe`, open and info, on any thread. Changes nothing, asks nobody. The same rules serve a person who
 * reads the reasons and a log that only wants an order of backends. */
#ifndef DW_CORE_LOG_CHOOSE_H
#define DW_CORE_LOG_CHOOSE_H

#include <dwal/probe.h>

#include "io/probe.h"

#define DW_CHOOSE_COUNT_MIN 16u /* trials below which a row decides nothing */
#define DW_CHOOSE_COUNT_FEW 6u  /* ... and below which it does not even tell how time grows with size */

/* What the rules look at, besides the figures. */
struct dw_site {
    bool is_device; /* a raw block device, no file system between */
    enum dw_fact has_volatile_cache, has_fua;
    enum dw_fact claims_volatile_cache; /* what the drive says; has_volatile_cache is what the kernel acts on */
    enum dw_fact is_barrier_off;
    enum dw_fact is_copy_on_write; /* as it matters here: no, where the directory asks for overwriting in place */
    enum dw_fact is_journaling_data;
    enum dw_fact is_discarding;
    uint32_t kernel_major, kernel_minor;
    uint32_t cpu_count;
    uint32_t tick_hz;
    uint32_t physical_block_size;
    int uring_error; /* 0: io_uring may be used; else -errno */
    bool has_character_device;
};

/* What a machine and a probe say, as the rules want it. */
struct dw_site dw_site_of(const struct dw_probe *probe, const struct dw_probe_system *system, bool is_device);

/* `timings` may be empty: then by facts alone. chosen_by, measured_time_ns and is_stale are the caller's to set. */
void dw_choose(const struct dw_site *site, const struct dwal_timing *timings, size_t count, struct dwal_choice *choice);

/* An asynchronous durable write would complete in an ordinary kernel worker here: the synchronous call, whatever the figures
 * say. */
bool dw_choose_is_synchronous(const struct dw_site *site);
/* May a kernel thread poll for submissions here (io_uring's SQPOLL)? Only where a processor can be spared for it. */
bool dw_choose_allows_kernel_polling(const struct dw_site *site);
/* The smallest power of two that reaches 90 % of the throughput of the largest size measured, 64 KiB at least; 0: unknown. */
uint32_t dw_choose_write_size(const struct dwal_timing *timings, size_t count, const char *backend, enum dwal_way way);
/* The block of a new log: the device's physical block when that is larger than 4096 and a power of two up to 64 KiB. */
uint32_t dw_choose_block_size(uint32_t physical_block_size);
/* A durable write of `size` bytes by these figures, nanoseconds at the median, between measured sizes by a straight line,
 * and not far beyond the largest of them; 0: unknown. */
uint64_t dw_choose_expected_ns(const struct dwal_timing *timings, size_t count, const char *backend, enum dwal_way way,
                               uint64_t size);

#endif
