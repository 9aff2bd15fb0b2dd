/* guard.c - look at a block device before it is written: identity, limits, users, content.
 *
 * Called by: see guard.h. Reads only: every descriptor that is opened here is open for reading.
 * Happy path: open the path (not for direct I/O, because libblkid reads small pieces), make sure that it is the caller's device,
 *             try O_EXCL, ask the kernel about limits and users (guard_users.c), read the content (guard_content.c).
 * Failure: -errno if the path cannot be opened or is no block device; everything else becomes a finding.
 * Closing: nothing is kept. */
#include "io/guard.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/bits.h"

#ifndef BLKGETDISKSEQ /* Linux 5.15 */
#define BLKGETDISKSEQ _IOR(0x12, 128, uint64_t)
#endif

/* ---- texts ---- */

void dw_guard_add(struct dw_guard *guard, enum dw_guard_finding finding, const char *format, ...)
{
    guard->findings |= (uint32_t)finding;
    if (guard->text_count == DW_GUARD_TEXTS_MAX) {
        guard->dropped_count++;
        return;
    }
    char *text = guard->texts[guard->text_count].text;
    guard->texts[guard->text_count].finding = finding;
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, DW_GUARD_TEXT_SIZE, format, arguments);
    va_end(arguments);
    for (char *at = text; *at; at++) /* a label may hold anything; a terminal should not obey it */
        if ((unsigned char)*at < 0x20 || *at == 0x7f)
            *at = '?';
    for (uint32_t i = 0; i < guard->text_count; i++)
        if (guard->texts[i].finding == finding && strcmp(guard->texts[i].text, text) == 0)
            return; /* said already */
    guard->text_count++;
}

void dw_guard_tell(const struct dw_guard *guard, uint32_t findings, char *text, size_t size)
{
    dw_assert(size >= sizeof "...");
    size_t used = 0;
    text[0] = '\0';
    for (uint32_t i = 0; i < guard->text_count; i++) {
        if (!(guard->texts[i].finding & findings))
            continue;
        int length = snprintf(text + used, size - used, "%s%s", used > 0 ? "; " : "", guard->texts[i].text);
        if (length < 0 || (size_t)length >= size - used) {
            memcpy(text + size - sizeof "...", "...", sizeof "...");
            return;
        }
        used += (size_t)length;
    }
    if (guard->dropped_count > 0 && used + 40 < size)
        snprintf(text + used, size - used, "; and %u more", guard->dropped_count);
}

/* ---- identity ---- */

int dw_guard_identify(int descriptor, struct dw_guard_identity *identity)
{
    struct stat facts;
    *identity = (struct dw_guard_identity){.major = 0};
    if (fstat(descriptor, &facts) < 0)
        return -errno;
    if (!S_ISBLK(facts.st_mode))
        return -ENOTBLK;
    identity->major = major(facts.st_rdev);
    identity->minor = minor(facts.st_rdev);
    if (ioctl(descriptor, BLKGETSIZE64, &identity->size) < 0)
        return -errno;
    if (ioctl(descriptor, BLKGETDISKSEQ, &identity->sequence) < 0)
        identity->sequence = 0; /* an old kernel: number and size must do */
    return 0;
}

static bool is_same(const struct dw_guard_identity *one, const struct dw_guard_identity *other)
{
    return one->major == other->major && one->minor == other->minor && one->sequence == other->sequence &&
           one->size == other->size;
}

int dw_guard_confirm(const struct dw_guard *guard, int descriptor)
{
    struct dw_guard_identity now;
    int result = dw_guard_identify(descriptor, &now);
    if (result == 0 && !is_same(&now, &guard->identity))
        result = -ESTALE;
    return result == -ENOTBLK ? -ESTALE : result;
}

/* ---- looking ---- */

static int open_to_read(const char *path, int more)
{
    /* O_NONBLOCK: a drive without a medium, or a pipe of that name, must not hang us. */
    int descriptor;
    do
        descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK | more);
    while (descriptor < 0 && errno == EINTR);
    return descriptor < 0 ? -errno : descriptor;
}

/* The kernel gives O_EXCL on a block device to one opener at a time, and mounts, swap, dm and md count as openers. It sees
 * what /proc cannot: users in other namespaces. */
static void try_exclusive(const char *path, struct dw_guard *guard)
{
    int descriptor = open_to_read(path, O_EXCL);
    if (descriptor >= 0)
        close(descriptor);
    else if (descriptor == -EBUSY && !(guard->findings & DW_GUARD_IN_USE))
        dw_guard_add(guard, DW_GUARD_HELD,
                     "in exclusive use by another process (opened with O_EXCL, or mounted in another namespace)");
    else if (descriptor == -EBUSY)
        guard->findings |= DW_GUARD_HELD; /* by those who are named already */
    else
        dw_guard_add(guard, DW_GUARD_UNCHECKED, "opening it for exclusive use failed: %s", strerror(-descriptor));
}

static void look_at_limits(int descriptor, struct dw_guard *guard)
{
    int is_read_only = 0;
    if (ioctl(descriptor, BLKROGET, &is_read_only) < 0)
        dw_guard_add(guard, DW_GUARD_UNCHECKED, "whether it is read-only cannot be found out: %s", strerror(errno));
    else if (is_read_only)
        dw_guard_add(guard, DW_GUARD_READ_ONLY, "read-only");
}

int dw_guard_look(const char *path, int descriptor, struct dw_guard *guard)
{
    *guard = (struct dw_guard){.findings = 0};
    int reader = open_to_read(path, 0);
    if (reader < 0)
        return reader;
    int result = dw_guard_identify(reader, &guard->identity);
    if (result == 0 && descriptor >= 0)
        result = dw_guard_confirm(guard, descriptor);
    if (result == 0) {
        look_at_limits(reader, guard);
        dw_guard_look_at_users("/proc", "/sys", guard);
        if (descriptor < 0)
            try_exclusive(path, guard);
        dw_guard_look_at_content(reader, guard->identity.size, guard);
    }
    close(reader);
    return result;
}
