/* choose.c - the rules of the choice; see choose.h. Pure.
 *
 * 1. What is only fast on an idle machine is not chosen. An asynchronous durable write to a file completes in an ordinary
 *    kernel worker unless it is one command to the device and the kernel is 6.19 or later: with busy processors it waits for
 *    a timer tick (4 ms against 60 us where this was measured). No figure of an idle machine shows that.
 * 2. On a raw device with a volatile cache a synchronous durable write is followed by one more flush, so the asynchronous
 *    backends are what the figures have to beat there.
 * 3. Else the median of a durable 4 KiB write decides; what is preferred for its nature is left only for a gain of 10 %
 *    whose tail is not worse than twofold.
 * 4. A device may force one write through more slowly than it flushes: then write + fdatasync, if that gains 15 %.
 * 5. Where nothing was measured, 1 and 2 decide.
 * Passthrough (nvme) is never chosen, whatever it gains: it gets neither the driver's retries nor another path to the device, so
 * that one passing error stops the log. Nor is polling (nvme-poll), which takes a whole processor. The options can name both. */
#include "core/log/choose.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/assert.h"
#include "base/bits.h"

#define UNIT_SIZE        4096u /* what a lone commit writes */
#define WRITE_SIZE_MIN   (64u << 10)
#define WRITE_SIZE_MAX   (1u << 20)
#define POLLING_CPUS_MIN 4u
#define BLOCK_SIZE_MAX   65536u

static void give_reason(struct dwal_choice *choice, const char *format, ...) DW_PRINTF(2, 3);
static void give_reason(struct dwal_choice *choice, const char *format, ...)
{
    if (choice->reason_count == DWAL_REASONS_MAX)
        return;
    va_list list;
    va_start(list, format);
    vsnprintf(choice->reasons[choice->reason_count++], sizeof choice->reasons[0], format, list);
    va_end(list);
}

/* ---- looking at figures ---- */

static const struct dwal_timing *find_any_row(const struct dwal_timing *timings, size_t count, const char *backend,
                                              enum dwal_way way, uint32_t size, bool is_unwritten, uint32_t count_min)
{
    for (size_t i = 0; i < count; i++)
        if (timings[i].size == size && timings[i].way == way && timings[i].is_unwritten == is_unwritten &&
            strcmp(timings[i].backend, backend) == 0 && timings[i].system_error == 0 && timings[i].count >= count_min &&
            timings[i].p50_ns > 0)
            return &timings[i];
    return NULL;
}

/* Of those that may decide. */
static const struct dwal_timing *find_row(const struct dwal_timing *timings, size_t count, const char *backend,
                                          enum dwal_way way, uint32_t size, bool is_unwritten)
{
    return find_any_row(timings, count, backend, way, size, is_unwritten, DW_CHOOSE_COUNT_MIN);
}

/* Better by so many percent at the median, and in the tail not worse than twofold? */
static bool is_better(const struct dwal_timing *challenger, const struct dwal_timing *holder, uint64_t percent)
{
    return challenger->p50_ns * 100 < holder->p50_ns * (100 - percent) && challenger->p99_ns <= 2 * holder->p99_ns;
}

/* For "%.*f us": one place behind the point for what is quick. */
#define MICROSECONDS(ns) (ns) < 10000 ? 1 : 0, (double)(ns) / 1000.0

/* ---- the rules ---- */

static bool is_one_command(const struct dw_site *site)
{
    return site->has_volatile_cache == DW_FACT_NO || site->has_fua == DW_FACT_YES;
}

/* Unknown counts as yes. */
bool dw_choose_is_synchronous(const struct dw_site *site)
{
    if (site->is_device)
        return false;
    bool is_inline = site->kernel_major > 6 || (site->kernel_major == 6 && site->kernel_minor >= 19);
    return !(is_inline && is_one_command(site));
}

static bool has_second_flush(const struct dw_site *site)
{
    return site->is_device && site->has_volatile_cache != DW_FACT_NO;
}

static void add_to_order(struct dwal_choice *choice, const char *backend)
{
    snprintf(choice->order[choice->order_count++], sizeof choice->order[0], "%s", backend);
}

/* The chosen one, then what takes its place where it is forbidden. */
static void set_order(struct dwal_choice *choice, const char *first)
{
    snprintf(choice->backend, sizeof choice->backend, "%s", first);
    add_to_order(choice, first);
    if (strcmp(first, "sync") == 0)
        return; /* is never forbidden */
    if (strcmp(first, "uring") != 0)
        add_to_order(choice, "uring");
    if (strcmp(first, "aio") != 0)
        add_to_order(choice, "aio");
    add_to_order(choice, "sync");
}

/* Files whose asynchronous writes take the detour. */
static const char *choose_synchronous(const struct dw_site *site, const struct dwal_timing *timings, size_t count,
                                      struct dwal_choice *choice)
{
    const struct dwal_timing *sync = find_row(timings, count, "sync", DWAL_WAY_DSYNC, UNIT_SIZE, false);
    const struct dwal_timing *uring = find_row(timings, count, "uring", DWAL_WAY_DSYNC, UNIT_SIZE, false);
    double tick_ms = site->tick_hz ? 1000.0 / site->tick_hz : 4;
    give_reason(
        choice,
        "On files %s an asynchronous durable write ends in an ordinary kernel worker, which waits for a processor "
        "when all are busy: up to a timer tick, %.0f ms here. The synchronous call does not.",
        is_one_command(site) ? "of kernels before 6.19" : "over a volatile cache without FUA", tick_ms);
    if (sync && uring)
        give_reason(choice,
                    "On the machine as it was, a durable 4 KiB write took %.*f us with sync and %.*f us with uring.",
                    MICROSECONDS(sync->p50_ns), MICROSECONDS(uring->p50_ns));
    return "sync";
}

static const char *choose_fastest(const struct dw_site *site, const struct dwal_timing *timings, size_t count,
                                  struct dwal_choice *choice)
{
    static const char *const all[] = {"uring", "aio", "sync"};
    const char *holder = has_second_flush(site) && site->uring_error == 0 ? "uring"
                         : has_second_flush(site)                         ? "aio"
                                                                          : "sync";
    const char *natural = holder;
    const struct dwal_timing *best = find_row(timings, count, holder, DWAL_WAY_DSYNC, UNIT_SIZE, false);
    bool is_measured = best != NULL;
    for (size_t i = 0; i < DW_COUNT_OF(all); i++) {
        const struct dwal_timing *row = find_row(timings, count, all[i], DWAL_WAY_DSYNC, UNIT_SIZE, false);
        if (!row || row == best || (best && !is_better(row, best, 10)))
            continue;
        best = row;
        holder = all[i];
        is_measured = true;
    }
    if (has_second_flush(site))
        give_reason(choice, "On a raw device with a volatile cache the kernel follows a synchronous durable write with "
                            "one more flush; asynchronous backends do without it.");
    if (is_measured && holder == natural)
        give_reason(choice, "Nothing else was faster by 10 %% or more: a durable 4 KiB write takes %.*f us with %s.",
                    MICROSECONDS(best->p50_ns), holder);
    else if (is_measured)
        give_reason(choice, "%s was the fastest: a durable 4 KiB write takes %.*f us (99 %% within %.*f us).", holder,
                    MICROSECONDS(best->p50_ns), MICROSECONDS(best->p99_ns));
    else if (!has_second_flush(site))
        give_reason(choice, "Nothing was measured here: the synchronous call is the one without surprises.");
    const struct dwal_timing *passthrough = find_row(timings, count, "nvme", DWAL_WAY_DSYNC, UNIT_SIZE, false);
    if (best && passthrough && is_better(passthrough, best, 10))
        give_reason(choice,
                    "Passthrough (nvme) would take %.*f us, without the driver's retries and failover: it is "
                    "left to who names it.",
                    MICROSECONDS(passthrough->p50_ns));
    return holder;
}

/* Is an ordinary write and a flush quicker than a write that is durable by itself? */
static void consider_flush(const struct dwal_timing *timings, size_t count, const char **backend,
                           struct dwal_choice *choice)
{
    const struct dwal_timing *flush = find_row(timings, count, "sync", DWAL_WAY_FLUSH, UNIT_SIZE, false);
    const struct dwal_timing *chosen = find_row(timings, count, *backend, DWAL_WAY_DSYNC, UNIT_SIZE, false);
    if (!flush || !chosen || !is_better(flush, chosen, 15))
        return;
    give_reason(choice,
                "This device forces a single write through more slowly than it flushes: %.*f us against %.*f us for an "
                "ordinary write and a flush.",
                MICROSECONDS(chosen->p50_ns), MICROSECONDS(flush->p50_ns));
    choice->way = DWAL_WAY_FLUSH;
    *backend = "sync";
}

/* ---- what a person has to know, whatever is chosen ---- */

static void warn_of_doubts(const struct dw_site *site, struct dwal_choice *choice)
{
    if (site->is_barrier_off == DW_FACT_YES)
        give_reason(choice, "ALARM: the file system is mounted without barriers: no flush is sent, and a power cut may "
                            "take what was acknowledged. Mount it without nobarrier / barrier=0.");
    if (site->has_volatile_cache == DW_FACT_NO && site->claims_volatile_cache == DW_FACT_YES)
        give_reason(choice,
                    "ALARM: the drive has a volatile cache, but queue/write_cache was set to \"write through\": "
                    "the kernel sends no flush, and a power cut may take what was acknowledged.");
    if (site->is_copy_on_write == DW_FACT_YES)
        give_reason(choice, "The file system copies on write: every commit also writes metadata. An ext4 or XFS file "
                            "system, a raw device, or chattr +C on the directory avoids that.");
    if (site->is_journaling_data == DW_FACT_YES)
        give_reason(choice, "data=journal writes everything twice and makes direct I/O indirect: take another mount.");
}

static void tell_of_extents(const struct dwal_timing *timings, size_t count, struct dwal_choice *choice)
{
    const struct dwal_timing *written = find_row(timings, count, "sync", DWAL_WAY_DSYNC, UNIT_SIZE, false);
    const struct dwal_timing *unwritten = find_row(timings, count, "sync", DWAL_WAY_DSYNC, UNIT_SIZE, true);
    if (!written || !unwritten)
        return;
    double ratio = (double)unwritten->p50_ns / (double)written->p50_ns;
    if (ratio >= 1.2)
        give_reason(
            choice,
            "The first write into space that was only allocated takes %.1f times as long: keep the default fill, "
            "which writes zeros beforehand.",
            ratio);
}

void dw_choose(const struct dw_site *site, const struct dwal_timing *timings, size_t count, struct dwal_choice *choice)
{
    *choice = (struct dwal_choice){.size = sizeof *choice, .way = DWAL_WAY_DSYNC};
    warn_of_doubts(site, choice);
    const char *backend = dw_choose_is_synchronous(site) ? choose_synchronous(site, timings, count, choice)
                                                         : choose_fastest(site, timings, count, choice);
    consider_flush(timings, count, &backend, choice);
    if (site->uring_error != 0)
        give_reason(choice, "io_uring cannot be used here (%s).",
                    site->uring_error == -EPERM    ? "forbidden by sysctl kernel.io_uring_disabled or a filter"
                    : site->uring_error == -ENOSYS ? "the kernel has none, or a filter hides it"
                                                   : "no ring can be made");
    set_order(choice, backend);
    choice->write_size_max = dw_choose_write_size(timings, count, backend, choice->way);
    choice->block_size = dw_choose_block_size(site->physical_block_size);
    tell_of_extents(timings, count, choice);
    if (choice->write_size_max != 0 && choice->write_size_max < WRITE_SIZE_MAX)
        give_reason(choice, "Writes beyond %u KiB gain little: 90 %% of the full throughput is reached there.",
                    choice->write_size_max >> 10);
    if (choice->block_size > UNIT_SIZE)
        give_reason(choice, "The device's physical block is %u bytes: that is the block of a new log here.",
                    choice->block_size);
    for (size_t i = 0; i < count && choice->timing_count < DWAL_CHOICE_TIMINGS_MAX; i++)
        if (timings[i].count > 0 && (timings[i].size == UNIT_SIZE || strcmp(timings[i].backend, backend) == 0))
            choice->timings[choice->timing_count++] = timings[i];
}

/* ---- sizes ---- */

uint64_t dw_choose_expected_ns(const struct dwal_timing *timings, size_t count, const char *backend, enum dwal_way way,
                               uint64_t size)
{
    static const uint32_t sizes[] = {4096, 16384, 65536, 1u << 20};
    const struct dwal_timing *below = NULL, *above = NULL;
    for (size_t i = 0; i < DW_COUNT_OF(sizes); i++) {
        const struct dwal_timing *row =
            find_any_row(timings, count, backend, way, sizes[i], false, DW_CHOOSE_COUNT_FEW);
        if (row && row->size <= size)
            below = row;
        if (row && row->size >= size && !above)
            above = row;
    }
    if (!below)
        return above ? above->p50_ns : 0;
    if (!above)
        return size <= 2 * (uint64_t)below->size ? below->p50_ns : 0; /* nobody knows how it goes on */
    if (above->size == below->size || above->p50_ns <= below->p50_ns)
        return below->p50_ns;
    return below->p50_ns + (above->p50_ns - below->p50_ns) * (size - below->size) / (above->size - below->size);
}

uint32_t dw_choose_write_size(const struct dwal_timing *timings, size_t count, const char *backend, enum dwal_way way)
{
    const struct dwal_timing *largest =
        find_any_row(timings, count, backend, way, WRITE_SIZE_MAX, false, DW_CHOOSE_COUNT_FEW);
    const struct dwal_timing *small = find_any_row(timings, count, backend, way, UNIT_SIZE, false, DW_CHOOSE_COUNT_FEW);
    if (!largest || !small)
        return 0;
    for (uint32_t size = WRITE_SIZE_MIN; size < WRITE_SIZE_MAX; size *= 2) {
        uint64_t expected_ns = dw_choose_expected_ns(timings, count, backend, way, size);
        /* size / expected >= 0.9 * largest size / its time */
        if ((uint64_t)size * largest->p50_ns * 10 >= (uint64_t)WRITE_SIZE_MAX * expected_ns * 9)
            return size;
    }
    return WRITE_SIZE_MAX;
}

uint32_t dw_choose_block_size(uint32_t physical_block_size)
{
    bool is_usable = physical_block_size > UNIT_SIZE && physical_block_size <= BLOCK_SIZE_MAX &&
                     dw_is_power_of_two(physical_block_size);
    return is_usable ? physical_block_size : UNIT_SIZE;
}

bool dw_choose_allows_kernel_polling(const struct dw_site *site)
{
    return site->cpu_count >= POLLING_CPUS_MIN;
}

struct dw_site dw_site_of(const struct dw_probe *probe, const struct dw_probe_system *system, bool is_device)
{
    const struct dw_probe_mount *mount = &probe->mount;
    const struct dw_probe_device *device = &probe->device;
    return (struct dw_site){
        .is_device = is_device,
        .has_volatile_cache = device->has_volatile_cache,
        .has_fua = device->has_fua,
        .claims_volatile_cache = device->claims_volatile_cache,
        .is_barrier_off = mount->is_barrier_off,
        .is_copy_on_write = probe->is_no_cow == DW_FACT_YES ? DW_FACT_NO : mount->is_copy_on_write,
        .is_journaling_data = mount->is_journaling_data,
        .is_discarding = mount->is_discarding,
        .kernel_major = system->kernel_major,
        .kernel_minor = system->kernel_minor,
        .cpu_count = system->cpu_count,
        .tick_hz = system->tick_hz,
        .physical_block_size = device->physical_block_size,
        .uring_error = system->uring_error,
        .has_character_device = device->character[0] != '\0',
    };
}

const char *dwal_chosen_by_text(enum dwal_chosen_by chosen_by)
{
    static const char *const texts[] = {
        [DWAL_CHOSEN_BY_FACTS] = "chosen by facts, not measured",
        [DWAL_CHOSEN_BY_MEASUREMENT] = "measured now",
        [DWAL_CHOSEN_BY_CACHE] = "measured earlier",
        [DWAL_CHOSEN_BY_ENVIRONMENT] = "set by DWAL_BACKEND",
        [DWAL_CHOSEN_BY_OPTION] = "set by the caller",
    };
    return (unsigned)chosen_by < DW_COUNT_OF(texts) ? texts[chosen_by] : "unknown";
}
