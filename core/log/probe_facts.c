/* probe_facts.c - say each fact with its source and, where it is not plain, what it means for a log; see probe_facts.h. */
#include "core/log/probe_facts.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/compiler.h"

void dw_fact_add(struct dwal_probe *list, enum dwal_mark mark, const char *name, const char *label, const char *source,
                 const char *note, const char *value, ...)
{
    if (list->fact_count == DWAL_FACTS_MAX)
        return;
    struct dwal_fact *fact = &list->facts[list->fact_count++];
    *fact = (struct dwal_fact){.mark = mark};
    snprintf(fact->name, sizeof fact->name, "%s", name);
    snprintf(fact->label, sizeof fact->label, "%s", label);
    snprintf(fact->source, sizeof fact->source, "%s", source);
    snprintf(fact->note, sizeof fact->note, "%s", note);
    va_list arguments;
    va_start(arguments, value);
    vsnprintf(fact->value, sizeof fact->value, value, arguments);
    va_end(arguments);
}

/* A fact that is yes, no or unknown; `bad` is the answer that deserves the mark and the note. */
static void add_answer(struct dwal_probe *list, const char *name, const char *label, const char *source,
                       enum dw_fact answer, enum dw_fact bad, enum dwal_mark mark, const char *note)
{
    bool is_bad = answer == bad;
    dw_fact_add(list, is_bad ? mark : DWAL_MARK_PLAIN, name, label, source, is_bad ? note : "", "%s",
                dw_fact_text(answer));
}

/* ---- file system ---- */

static void add_mount(const struct dw_probe *probe, struct dwal_probe *list)
{
    const struct dw_probe_mount *mount = &probe->mount;
    const char *source = "/proc/self/mountinfo";
    bool is_refused = mount->is_memory == DW_FACT_YES || mount->is_network == DW_FACT_YES;
    dw_fact_add(list, is_refused ? DWAL_MARK_ALARM : DWAL_MARK_PLAIN, "file_system", "file system", source,
                mount->is_memory == DW_FACT_YES    ? "it lives in memory and is gone with the power: dwal refuses it"
                : mount->is_network == DW_FACT_YES ? "the bytes lie on another machine: dwal refuses it"
                                                   : "",
                "%s", mount->type[0] ? mount->type : "unknown");
    if (mount->type[0])
        dw_fact_add(list, DWAL_MARK_PLAIN, "mount", "mounted", source, "", "%.40s at %.48s", mount->source,
                    mount->point);
    add_answer(list, "read_only", "mounted read-only", source, mount->is_read_only, DW_FACT_YES, DWAL_MARK_ALARM,
               "no log can be written here");
    add_answer(list, "barriers_off", "mounted without barriers", source, mount->is_barrier_off, DW_FACT_YES,
               DWAL_MARK_ALARM, "no flush is sent: what was acknowledged may be lost with the power");
    bool is_in_place = mount->is_copy_on_write == DW_FACT_YES && probe->is_no_cow == DW_FACT_YES;
    dw_fact_add(list, mount->is_copy_on_write == DW_FACT_YES && !is_in_place ? DWAL_MARK_NOTICE : DWAL_MARK_PLAIN,
                "copy_on_write", "copies on write", "file system type, chattr +C",
                is_in_place                              ? "switched off for this directory (chattr +C)"
                : mount->is_copy_on_write == DW_FACT_YES ? "every commit also writes metadata"
                                                         : "",
                "%s", dw_fact_text(mount->is_copy_on_write));
    add_answer(list, "reflink", "can share extents (reflink)", "file system type, XFS_IOC_FSGEOMETRY", probe->can_share,
               DW_FACT_YES, DWAL_MARK_PLAIN,
               "a volume that was cloned is copied piece by piece when it is overwritten");
    add_answer(list, "discard", "discards at once", source, mount->is_discarding, DW_FACT_YES, DWAL_MARK_NOTICE,
               "removing files sends TRIM at once, in bursts; dwal reuses its volumes and rarely removes one");
    add_answer(list, "lazy_time", "lazy time stamps", source, mount->is_lazy_time, DW_FACT_UNKNOWN, DWAL_MARK_PLAIN,
               "");
    add_answer(list, "data_journal", "journals data (data=journal)", source, mount->is_journaling_data, DW_FACT_YES,
               DWAL_MARK_NOTICE, "everything is written twice, and direct I/O is not direct");
}

/* ---- device ---- */

struct text {
    char bytes[160];
};

static struct text join(const char *format, const char *name)
{
    struct text text;
    snprintf(text.bytes, sizeof text.bytes, "/sys/block/%s/%s", name, format);
    return text;
}
#define SYS(file) join(file, device->name).bytes

static void add_cache(const struct dw_probe_device *device, struct dwal_probe *list)
{
    bool is_overruled = device->has_volatile_cache == DW_FACT_NO && device->claims_volatile_cache == DW_FACT_YES;
    dw_fact_add(
        list, is_overruled ? DWAL_MARK_ALARM : DWAL_MARK_PLAIN, "write_cache", "write cache", SYS("queue/write_cache"),
        is_overruled ? "the drive says write back: somebody overruled it, and no flush is sent"
        : device->has_volatile_cache == DW_FACT_YES ? "volatile: a durable write needs FUA or a flush"
        : device->has_volatile_cache == DW_FACT_NO
            ? "the kernel sends no flush: right for a cache that survives power loss, wrong if somebody set it so"
            : "",
        "%s",
        device->has_volatile_cache == DW_FACT_YES  ? "write back"
        : device->has_volatile_cache == DW_FACT_NO ? "write through"
                                                   : "unknown");
    bool is_volatile = device->has_volatile_cache == DW_FACT_YES;
    dw_fact_add(list, DWAL_MARK_PLAIN, "fua", "forced unit access (FUA)", SYS("queue/fua"),
                device->has_fua == DW_FACT_YES ? "a durable write is one command"
                : device->has_fua == DW_FACT_NO && is_volatile
                    ? "a durable write is a write and a flush: two round trips"
                    : "",
                "%s",
                device->has_fua == DW_FACT_YES  ? "native"
                : device->has_fua == DW_FACT_NO ? (is_volatile ? "emulated" : "not needed")
                                                : "unknown");
    for (uint32_t i = 0; i < device->member_count; i++) {
        const struct dw_probe_member *member = &device->members[i];
        dw_fact_add(list, DWAL_MARK_PLAIN, "member", "lies on", join("queue/write_cache", member->name).bytes, "",
                    "%s: write cache %s, FUA %s", member->name,
                    member->has_volatile_cache == DW_FACT_YES  ? "write back"
                    : member->has_volatile_cache == DW_FACT_NO ? "write through"
                                                               : "unknown",
                    dw_fact_text(member->has_fua));
    }
}

static void add_sizes(const struct dw_probe *probe, struct dwal_probe *list)
{
    const struct dw_probe_device *device = &probe->device;
    if (device->logical_block_size)
        dw_fact_add(list, DWAL_MARK_PLAIN, "logical_block", "logical block", SYS("queue/logical_block_size"), "",
                    "%u bytes", device->logical_block_size);
    if (device->physical_block_size)
        dw_fact_add(list, DWAL_MARK_PLAIN, "physical_block", "physical block", SYS("queue/physical_block_size"),
                    device->physical_block_size > 4096 ? "larger than 4096: it becomes the block of a new log" : "",
                    "%u bytes", device->physical_block_size);
    if (device->dma_alignment)
        dw_fact_add(list, DWAL_MARK_PLAIN, "dma_alignment", "memory alignment of the device",
                    SYS("queue/dma_alignment"), "", "%u bytes", device->dma_alignment);
    if (probe->offset_alignment)
        dw_fact_add(list, DWAL_MARK_PLAIN, "direct_alignment", "alignment of direct I/O", "statx STATX_DIOALIGN", "",
                    "offset %u bytes, memory %u bytes", probe->offset_alignment, probe->memory_alignment);
    else if (!list->is_device)
        dw_fact_add(list, DWAL_MARK_PLAIN, "direct_alignment", "alignment of direct I/O", "statx STATX_DIOALIGN",
                    "told for files, not for directories, and by kernels from 6.1 on", "unknown");
    uint32_t atomic = probe->atomic_write_max ? probe->atomic_write_max : device->atomic_write_size;
    bool is_software =
        probe->atomic_write_max_hardware != 0 && probe->atomic_write_max > probe->atomic_write_max_hardware;
    dw_fact_add(list, is_software ? DWAL_MARK_NOTICE : DWAL_MARK_PLAIN, "atomic_write", "untorn write",
                probe->atomic_write_max ? "statx STATX_WRITE_ATOMIC" : SYS("queue/atomic_write_unit_max_bytes"),
                is_software   ? "beyond what the device does by itself the file system copies on write: slow"
                : atomic == 0 ? "a power cut may tear any write between sectors; checksums find that"
                              : "",
                atomic ? "up to %u bytes" : "none promised", atomic);
}

static void add_device(const struct dw_probe *probe, struct dwal_probe *list)
{
    const struct dw_probe_device *device = &probe->device;
    if (device->name[0] == '\0') {
        dw_fact_add(list, DWAL_MARK_PLAIN, "device", "block device", "/sys/dev/block", "", "none found");
        return;
    }
    char numbers[64];
    snprintf(numbers, sizeof numbers, "/sys/dev/block/%u:%u", device->major, device->minor);
    dw_fact_add(list, DWAL_MARK_PLAIN, "device", "block device", numbers,
                device->partition[0] ? "queue and caches belong to the whole disk" : "", "%s%s%s",
                device->partition[0] ? device->partition : device->name, device->partition[0] ? " on " : "",
                device->partition[0] ? device->name : "");
    if (device->backing[0])
        dw_fact_add(list, DWAL_MARK_NOTICE, "loop_file", "loop device over", SYS("loop/backing_file"),
                    "as durable and as quick as the file system below it", "%.90s", device->backing);
    add_cache(device, list);
    add_sizes(probe, list);
    add_answer(list, "rotational", "rotating disk", SYS("queue/rotational"), device->is_rotational, DW_FACT_YES,
               DWAL_MARK_PLAIN, "as the drive says; virtual disks often say so. A true one takes milliseconds a write");
    if (device->scheduler[0])
        dw_fact_add(list, DWAL_MARK_PLAIN, "scheduler", "I/O scheduler", SYS("queue/scheduler"), "", "%s",
                    device->scheduler);
    if (device->is_zoned == DW_FACT_YES)
        dw_fact_add(list, DWAL_MARK_ALARM, "zoned", "zoned device", SYS("queue/zoned"),
                    "zones are written in order only: no place for a log", "yes");
    if (strncmp(device->name, "nvme", 4) == 0)
        dw_fact_add(list, DWAL_MARK_PLAIN, "nvme_character", "NVMe character device", "/sys/class/nvme-generic", "",
                    "%s%s", device->character[0] ? "/dev/" : "", device->character[0] ? device->character : "none");
}

/* ---- machine ---- */

static void add_uring(const struct dw_probe_system *system, struct dwal_probe *list)
{
    char ways[96] = "";
    static const struct {
        uint32_t flag;
        const char *name;
    } names[] = {{DW_PROBE_RING_COOP_TASKRUN, "COOP_TASKRUN"},
                 {DW_PROBE_RING_SINGLE_ISSUER, "SINGLE_ISSUER"},
                 {DW_PROBE_RING_DEFER_TASKRUN, "DEFER_TASKRUN"},
                 {DW_PROBE_RING_SQPOLL, "SQPOLL"}};
    for (size_t i = 0; i < DW_COUNT_OF(names); i++)
        if (system->uring_flags & names[i].flag)
            snprintf(ways + strlen(ways), sizeof ways - strlen(ways), "%s%s", ways[0] ? ", " : "", names[i].name);
    char note[160];
    snprintf(note, sizeof note, "%s%s", system->uring_error ? "aio or sync take its place" : "set-up flags: ",
             system->uring_error ? ""
             : ways[0]           ? ways
                                 : "none");
    dw_fact_add(list, system->uring_error ? DWAL_MARK_NOTICE : DWAL_MARK_PLAIN, "io_uring", "io_uring",
                "io_uring_setup(2)", note, "%s",
                system->uring_error == 0         ? "works"
                : system->uring_error == -ENOSYS ? "not there"
                : system->uring_error == -EPERM  ? "forbidden"
                                                 : strerror(-system->uring_error));
    struct dw_site site = {.cpu_count = system->cpu_count};
    if ((system->uring_flags & DW_PROBE_RING_SQPOLL) && !dw_choose_allows_kernel_polling(&site))
        dw_fact_add(list, DWAL_MARK_PLAIN, "sqpoll", "kernel-side polling (SQPOLL)", "sched_getaffinity(2)",
                    "fewer than 4 processors: a polling kernel thread would take one from the work", "not used");
    if (system->uring_disabled >= 0)
        dw_fact_add(list, system->uring_disabled ? DWAL_MARK_NOTICE : DWAL_MARK_PLAIN, "io_uring_disabled",
                    "io_uring switched off", "/proc/sys/kernel/io_uring_disabled", "", "%s",
                    system->uring_disabled == 0   ? "no"
                    : system->uring_disabled == 1 ? "for all but the privileged and one group"
                                                  : "for everybody");
    if (system->seccomp > 0)
        dw_fact_add(list, DWAL_MARK_PLAIN, "seccomp", "system call filter", "/proc/self/status", "", "%s",
                    system->seccomp == 2 ? "filter" : "strict");
}

static void add_machine(const struct dw_probe_system *system, struct dwal_probe *list)
{
    dw_fact_add(list, DWAL_MARK_PLAIN, "kernel", "kernel", "uname(2)", "", "%s",
                system->release[0] ? system->release : "unknown");
    dw_fact_add(list, DWAL_MARK_PLAIN, "cpus", "processors", "sched_getaffinity(2)", "", "%u", system->cpu_count);
    if (system->tick_hz) {
        char note[96];
        snprintf(note, sizeof note, "delays near %.0f ms come from the scheduler, not from the disk",
                 1000.0 / system->tick_hz);
        dw_fact_add(list, DWAL_MARK_PLAIN, "hz", "timer tick (HZ)", "clock_getres(CLOCK_MONOTONIC_COARSE)", note,
                    "%u a second", system->tick_hz);
    }
    add_uring(system, list);
}

void dw_facts_gather(const char *path, const struct dw_probe *probe, const struct dw_probe_system *system,
                     struct dwal_probe *list)
{
    if (!list->is_device) {
        add_mount(probe, list);
        dw_facts_of_extents(path, list);
    }
    add_device(probe, list);
    add_machine(system, list);
}
