/* probe_system.c - facts about the machine: kernel, processors, timer tick, io_uring.
 *
 * Called by: open and tools; a few dozen system calls, some of which make a ring and close it at once. What cannot be found
 * out stays unknown. */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <time.h>
#include <unistd.h>

#include "base/compiler.h"
#include "io/probe.h"

static bool read_text(const char *path, char *text, size_t room)
{
    int descriptor = open(path, O_RDONLY | O_CLOEXEC);
    if (descriptor < 0)
        return false;
    ssize_t got;
    do
        got = read(descriptor, text, room - 1);
    while (got < 0 && errno == EINTR);
    close(descriptor);
    if (got < 0)
        return false;
    text[got] = '\0';
    return true;
}

static void find_kernel(struct dw_probe_system *system)
{
    struct utsname names;
    if (uname(&names) < 0)
        return;
    snprintf(system->release, sizeof system->release, "%s", names.release);
    char *rest = NULL;
    system->kernel_major = (uint32_t)strtoul(names.release, &rest, 10);
    if (*rest == '.')
        system->kernel_minor = (uint32_t)strtoul(rest + 1, NULL, 10);
}

/* The coarse clock moves once a tick, and says how far. */
static uint32_t find_tick(void)
{
    struct timespec step;
    if (clock_getres(CLOCK_MONOTONIC_COARSE, &step) < 0 || step.tv_sec != 0 || step.tv_nsec < 1000)
        return 0;
    return (uint32_t)((1000000000L + step.tv_nsec / 2) / step.tv_nsec);
}

static int find_seccomp(void)
{
    char text[8192];
    if (!read_text("/proc/self/status", text, sizeof text))
        return -1;
    const char *line = strstr(text, "\nSeccomp:");
    return line ? atoi(line + sizeof "\nSeccomp:" - 1) : -1;
}

#if defined(DW_HAVE_URING) && defined(SYS_io_uring_setup)
#include <linux/io_uring.h>

/* Fixed by the kernel's interface; older headers lack the younger ones. */
#define SETUP_SQPOLL        (1u << 1)
#define SETUP_COOP_TASKRUN  (1u << 8)
#define SETUP_SINGLE_ISSUER (1u << 12)
#define SETUP_DEFER_TASKRUN (1u << 13)

/* 0 or -errno. */
static int try_ring(unsigned flags)
{
    struct io_uring_params parameters = {.flags = flags, .sq_thread_idle = 1};
    long descriptor = syscall(SYS_io_uring_setup, 1, &parameters);
    if (descriptor < 0)
        return -errno;
    close((int)descriptor);
    return 0;
}

static void find_rings(struct dw_probe_system *system)
{
    static const struct {
        unsigned flags, fact;
    } ways[] = {
        {SETUP_COOP_TASKRUN, DW_PROBE_RING_COOP_TASKRUN},
        {SETUP_SINGLE_ISSUER, DW_PROBE_RING_SINGLE_ISSUER},
        {SETUP_SINGLE_ISSUER | SETUP_DEFER_TASKRUN, DW_PROBE_RING_DEFER_TASKRUN},
        {SETUP_SQPOLL, DW_PROBE_RING_SQPOLL},
    };
    system->uring_error = try_ring(0);
    if (system->uring_error < 0)
        return;
    system->uring_flags = DW_PROBE_RING_PLAIN;
    for (size_t i = 0; i < DW_COUNT_OF(ways); i++)
        if (try_ring(ways[i].flags) == 0)
            system->uring_flags |= ways[i].fact;
}
#else
static void find_rings(struct dw_probe_system *system)
{
    system->uring_error = -ENOSYS;
}
#endif

void dw_probe_machine(struct dw_probe_system *system, bool has_rings)
{
    *system = (struct dw_probe_system){.uring_disabled = -1};
    find_kernel(system);
    cpu_set_t cpus;
    if (sched_getaffinity(0, sizeof cpus, &cpus) == 0)
        system->cpu_count = (uint32_t)CPU_COUNT(&cpus);
    system->tick_hz = find_tick();
    char text[32];
    if (read_text("/proc/sys/kernel/io_uring_disabled", text, sizeof text))
        system->uring_disabled = atoi(text);
    system->seccomp = find_seccomp();
    struct rlimit limit;
    if (getrlimit(RLIMIT_MEMLOCK, &limit) == 0)
        system->locked_memory_max = limit.rlim_cur;
    if (has_rings)
        find_rings(system);
    else if (system->uring_disabled == 2)
        system->uring_error = -EPERM;
}
