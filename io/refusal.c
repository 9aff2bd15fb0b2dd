/* refusal.c - say in plain words why a kind of queue could not be made, and what to do about it.
 *
 * Owns: nothing. Called by: open, when a queue was refused; any thread. Reads two sysctls.
 * Failure: what cannot be read is not mentioned. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "io/io.h"

/* A number from a file of /proc; -1: cannot be told. */
static long read_number(const char *path)
{
    char text[32];
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return -1;
    ssize_t got = read(fd, text, sizeof text - 1);
    close(fd);
    if (got <= 0)
        return -1;
    text[got] = '\0';
    return strtol(text, NULL, 10);
}

static bool is_forbidden(int result)
{
    return result == -EPERM || result == -EACCES || result == -ENOSYS;
}

/* `disabled`: what sysctl kernel.io_uring_disabled says. */
static void tell_uring(int result, long disabled, char *text, size_t size)
{
    const char *name = strerrorname_np(-result);
    if (disabled >= 2)
        snprintf(text, size, "io_uring is forbidden by sysctl kernel.io_uring_disabled=%ld: set it to 0", disabled);
    else if (disabled == 1)
        snprintf(text, size,
                 "io_uring is forbidden by sysctl kernel.io_uring_disabled=1: set it to 0, or join the group of "
                 "sysctl kernel.io_uring_group");
    else
        snprintf(text, size, "io_uring is forbidden (%s), as by a container's seccomp filter: allow io_uring_setup%s",
                 name, result == -ENOSYS ? ", or use a kernel that has it" : "");
}

static void tell_aio(int result, char *text, size_t size)
{
    if (result == -EAGAIN)
        snprintf(text, size, "all %ld aio requests of this machine are taken (%ld): raise sysctl fs.aio-max-nr",
                 read_number("/proc/sys/fs/aio-max-nr"), read_number("/proc/sys/fs/aio-nr"));
    else
        snprintf(text, size, "aio is forbidden (%s), as by a container's seccomp filter: allow io_setup%s",
                 strerrorname_np(-result), result == -ENOSYS ? ", or use a kernel that has it" : "");
}

#ifdef DW_HAVE_URING /* else the kind is not built */
static void tell_nvme(int result, char *text, size_t size)
{
    const char *cause = NULL;
    switch (result) {
    case -EOPNOTSUPP:
        cause = "the log does not lie on an NVMe block device with a generic node (/dev/ngXnY), or the kernel is older "
                "than 5.19";
        break;
    case -EACCES:
        cause = "passthrough is not permitted: give write access to /dev/ngXnY and, before Linux 6.2, CAP_SYS_ADMIN";
        break;
    case -ENXIO:
        cause = "the driver has no polled queue: load it with nvme.poll_queues=1";
        break;
    case -EMEDIUMTYPE:
        cause = "the namespace is formatted with metadata beside its blocks";
        break;
    case -ESTALE:
        cause = "/dev/ngXnY and the block device do not show the same namespace";
        break;
    default:
        break;
    }
    if (cause)
        snprintf(text, size, "%s", cause);
    else
        snprintf(text, size, "%s (%s)", strerrordesc_np(-result), strerrorname_np(-result));
}
#endif

void dw_queue_refusal(const char *kind, int result, char *text, size_t size)
{
    bool is_nvme = kind && strncmp(kind, "nvme", 4) == 0;
    bool is_uring = kind && (strcmp(kind, "uring") == 0 || (is_nvme && result != -EACCES));
    bool is_aio = kind && strcmp(kind, "aio") == 0;
    if (is_uring && is_forbidden(result))
        tell_uring(result, result == -EPERM ? read_number("/proc/sys/kernel/io_uring_disabled") : 0, text, size);
    else if (is_aio && (is_forbidden(result) || result == -EAGAIN))
        tell_aio(result, text, size);
#ifdef DW_HAVE_URING
    else if (is_nvme && result != -EINVAL)
        tell_nvme(result, text, size);
#endif
    else if (result == -EOPNOTSUPP)
        snprintf(text, size, "it is not built into this library");
    else if (result == -EINVAL)
        snprintf(text, size, "this kind of disk has none");
    else
        snprintf(text, size, "%s (%s)", strerrordesc_np(-result), strerrorname_np(-result));
}
