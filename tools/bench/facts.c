/* facts.c - what the machine is: kernel, CPU, timer, file system, device; see machine.h.
 *
 * Everything comes from /proc and /sys; what is not there is told as "unknown". The device is the whole disk below the
 * place: of a partition the disk that it is a part of. */
#include "tools/bench/machine.h"

#include <ctype.h>
#include <inttypes.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/utsname.h>
#include <time.h>
#include <unistd.h>

#include <dwal/dwal.h>

__attribute__((format(printf, 3, 4))) static void add(struct dw_bench_machine *machine, const char *name,
                                                      const char *format, ...)
{
    if (machine->fact_count == DW_BENCH_FACTS_MAX)
        return;
    struct dw_bench_fact *fact = &machine->facts[machine->fact_count++];
    (void)snprintf(fact->name, sizeof fact->name, "%s", name);
    va_list list;
    va_start(list, format);
    (void)vsnprintf(fact->value, sizeof fact->value, format, list);
    va_end(list);
}

/* The first line of a file, or "unknown". */
static const char *first_line(const char *path, char *line, size_t size)
{
    FILE *file = fopen(path, "re");
    if (!file || !fgets(line, (int)size, file))
        (void)snprintf(line, size, "unknown");
    if (file)
        fclose(file);
    line[strcspn(line, "\n")] = 0;
    for (size_t n = strlen(line); n > 0 && isspace((unsigned char)line[n - 1]); n--)
        line[n - 1] = 0;
    return line;
}

static void look_at_cpu(struct dw_bench_machine *machine)
{
    char line[4096], model[128] = "unknown";
    FILE *file = fopen("/proc/cpuinfo", "re");
    while (file && fgets(line, sizeof line, file)) {
        const char *colon = strchr(line, ':');
        if (colon && strncmp(line, "model name", 10) == 0) {
            (void)snprintf(model, sizeof model, "%.120s", colon + 2);
            model[strcspn(model, "\n")] = 0;
        }
        if (colon && strncmp(line, "flags", 5) == 0) {
            machine->is_virtual |= strstr(colon, " hypervisor") != NULL;
            break;
        }
    }
    if (file)
        fclose(file);
    long cpus = sysconf(_SC_NPROCESSORS_ONLN);
    machine->cpus = cpus > 0 ? (uint32_t)cpus : 1;
    add(machine, "cpu", "%s, %u online%s", model, machine->cpus, machine->is_virtual ? ", virtual machine" : "");
}

static void look_at_kernel(struct dw_bench_machine *machine)
{
    struct utsname name;
    struct timespec tick = {0};
    char line[256];
    if (uname(&name) == 0)
        add(machine, "kernel", "%s %s %.100s", name.sysname, name.release, name.version);
    if (clock_getres(CLOCK_MONOTONIC_COARSE, &tick) == 0 && tick.tv_nsec > 0)
        machine->tick_ns = (uint64_t)tick.tv_nsec;
    if (machine->tick_ns)
        add(machine, "HZ", "%" PRIu64 " (a tick of %.2f ms)", UINT64_C(1000000000) / machine->tick_ns,
            (double)machine->tick_ns / 1e6);
    add(machine, "load", "%s", first_line("/proc/loadavg", line, sizeof line));
    add(machine, "pressure io", "%s", first_line("/proc/pressure/io", line, sizeof line));
    add(machine, "pressure cpu", "%s", first_line("/proc/pressure/cpu", line, sizeof line));
    add(machine, "io_uring_disabled", "%s", first_line("/proc/sys/kernel/io_uring_disabled", line, sizeof line));
}

/* ---- file system and device -----------------------------------------------------------------------------------------*/

/* The fields of mountinfo behind " - ": type, source, options of the file system; before: options of the mount. */
static void look_at_mount(struct dw_bench_machine *machine, dev_t device)
{
    char line[2048], wanted[32];
    (void)snprintf(wanted, sizeof wanted, "%u:%u", major(device), minor(device));
    FILE *file = fopen("/proc/self/mountinfo", "re");
    while (file && fgets(line, sizeof line, file)) {
        char id[32] = "", options[256] = "", type[64] = "", source[128] = "", super[512] = "";
        const char *behind = strstr(line, " - ");
        if (!behind || sscanf(line, "%*d %*d %31s %*s %*s %255s", id, options) != 2 || strcmp(id, wanted) != 0)
            continue;
        if (sscanf(behind, " - %63s %127s %511s", type, source, super) < 2)
            continue;
        add(machine, "file system", "%s on %.100s", type, source);
        add(machine, "mount options", "%.90s; %.100s", options, super);
        break;
    }
    if (file)
        fclose(file);
}

static void add_queue_fact(struct dw_bench_machine *machine, const char *name, const char *file)
{
    char path[192], line[200];
    (void)snprintf(path, sizeof path, "/sys/block/%s/%s", machine->disk, file);
    add(machine, name, "%.190s", first_line(path, line, sizeof line));
}

static void look_at_device(struct dw_bench_machine *machine, dev_t device)
{
    char path[96], target[PATH_MAX], number[64];
    (void)snprintf(path, sizeof path, "/sys/dev/block/%u:%u", major(device), minor(device));
    if (!realpath(path, target))
        return; /* no block device of its own: tmpfs, a network */
    char partition[PATH_MAX + 16];
    (void)snprintf(partition, sizeof partition, "%s/partition", target);
    if (access(partition, F_OK) == 0)
        *strrchr(target, '/') = 0;
    const char *name = strrchr(target, '/');
    (void)snprintf(machine->disk, sizeof machine->disk, "%.60s", name ? name + 1 : "");
    (void)snprintf(path, sizeof path, "/sys/block/%.60s/dev", machine->disk);
    if (sscanf(first_line(path, number, sizeof number), "%u:%u", &machine->disk_major, &machine->disk_minor) != 2)
        machine->disk_major = machine->disk_minor = 0;
    add(machine, "device", "%s", machine->disk);
    add_queue_fact(machine, "model", "device/model");
    add_queue_fact(machine, "write_cache", "queue/write_cache");
    add_queue_fact(machine, "fua", "queue/fua");
    add_queue_fact(machine, "scheduler", "queue/scheduler");
    add_queue_fact(machine, "physical block", "queue/physical_block_size");
    add_queue_fact(machine, "largest request KiB", "queue/max_sectors_kb");
    add_queue_fact(machine, "rotational", "queue/rotational");
    add_queue_fact(machine, "requests", "queue/nr_requests");
}

void dw_bench_machine_look(struct dw_bench_machine *machine, const char *place)
{
    struct stat status;
    *machine = (struct dw_bench_machine){0};
    add(machine, "dwal", "%s", dwal_version());
    look_at_kernel(machine);
    look_at_cpu(machine);
    if (stat(place, &status) != 0)
        return;
    if (S_ISBLK(status.st_mode)) {
        look_at_device(machine, status.st_rdev);
        return;
    }
    look_at_mount(machine, status.st_dev);
    look_at_device(machine, status.st_dev);
}
