/* target.c - see target.h.
 *
 * Happy path: a directory -> a scratch directory in it -> a file written in full with random bytes, synced, its directory
 * synced -> settle. A device is opened with O_EXCL, so that one in use is refused whatever was asked for.
 * Failure: told with what to do; what was made is removed. */
#include "tools/bench/target.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include <dwal/dwal.h>
#include <dwal/inspect.h>

#include "tools/bench/bench.h"
#include "tools/bench/lane.h"
#include "tools/message.h"
#include "tools/progress.h"
#include "tools/signals.h"

#define FILL_PIECE (1u << 20)

static int complain(const struct dw_bench_target *target, int code, const char *what, const char *action)
{
    dw_message_error(action, "%s: %s: %s", target->path, what, strerror(code));
    return -1;
}

/* ---- what is it? ----------------------------------------------------------------------------------------------------*/

static bool is_zero(const uint8_t *bytes, size_t size)
{
    return bytes[0] == 0 && memcmp(bytes, bytes + 1, size - 1) == 0;
}

/* /dev/nvme0n1 has a generic device, /dev/ng0n1; a partition has none. */
static void find_generic(struct dw_bench_target *target, const char *device)
{
    unsigned controller, space;
    char rest;
    if (sscanf(device, "/dev/nvme%un%u%c", &controller, &space, &rest) != 2)
        return;
    (void)snprintf(target->generic_path, sizeof target->generic_path, "/dev/ng%un%u", controller, space);
    if (access(target->generic_path, R_OK | W_OK) != 0)
        target->generic_path[0] = 0;
}

/* Nothing is written at its ends, where partition tables and superblocks lie. 0, or -errno; *is_blank. */
static int look_at_ends(struct dw_bench_target *target, int fd)
{
    if (ioctl(fd, BLKGETSIZE64, &target->bare_size) != 0)
        return -errno;
    if (target->bare_size < 4 * FILL_PIECE)
        return -EFBIG;
    target->bare_size -= target->bare_size % DW_BENCH_PAGE;
    uint8_t *ends = target->payload;
    if (pread(fd, ends, FILL_PIECE, 0) != FILL_PIECE ||
        pread(fd, ends + FILL_PIECE, FILL_PIECE, (off_t)(target->bare_size - FILL_PIECE)) != FILL_PIECE)
        return errno ? -errno : -EIO;
    target->was_blank = is_zero(ends, 2 * FILL_PIECE);
    return 0;
}

static int make_scratch(struct dw_bench_target *target, const char *parent)
{
    if ((size_t)snprintf(target->scratch, sizeof target->scratch, "%s/dwal-bench-XXXXXX", parent) >=
        sizeof target->scratch)
        return complain(target, ENAMETOOLONG, "the path", "choose a shorter one");
    if (!mkdtemp(target->scratch)) {
        target->scratch[0] = 0;
        return complain(target, errno, "cannot make a directory in it", "choose a directory that you may write");
    }
    (void)snprintf(target->bare_path, sizeof target->bare_path, "%s/bare", target->scratch);
    target->is_bare_made = true;
    target->has_bare = true;
    return 0;
}

static int look_at_log(struct dw_bench_target *target)
{
    target->kind = DW_BENCH_AT_LOG;
    if (!target->may_append) {
        dw_message_error("give --append if the entries of the measurement may stay in it, or choose another directory",
                         "%s: there is a log", target->path);
        return -1;
    }
    target->has_log = true;
    (void)snprintf(target->log_path, sizeof target->log_path, "%s", target->path);
    if (target->is_log_alone)
        return 0;
    char parent[PATH_MAX + 4];
    (void)snprintf(parent, sizeof parent, "%s/..", target->path);
    struct stat here, above;
    /* The bare writes go beside it, on the same file system; without a place there the log runs alone. */
    if (stat(target->path, &here) != 0 || stat(parent, &above) != 0 || here.st_dev != above.st_dev ||
        access(parent, W_OK) != 0)
        return 0;
    return make_scratch(target, parent);
}

static int look_at_device(struct dw_bench_target *target, const char *device)
{
    target->kind = DW_BENCH_AT_DEVICE;
    (void)snprintf(target->bare_path, sizeof target->bare_path, "%s", device);
    if (target->is_log_alone) { /* the library looks by itself, closer than we do */
        struct dwal_info info = {.size = sizeof info};
        bool has_one = dwal_get_info(device, NULL, &info) == 0;
        if (has_one && !target->may_destroy)
            return look_at_log(target);
        target->has_log = target->is_log_made = true;
        (void)snprintf(target->log_path, sizeof target->log_path, "%s", device);
        return 0;
    }
    target->has_bare = true;
    int fd = open(device, O_RDWR | O_EXCL | O_CLOEXEC | O_DIRECT);
    if (fd < 0)
        return complain(target, errno, errno == EBUSY ? "the device is in use" : "cannot open the device",
                        errno == EBUSY ? "unmount it, or choose another one" : "choose a device that you may write");
    int result = look_at_ends(target, fd);
    if (result < 0) {
        close(fd);
        return complain(target, -result, "cannot use the device", "choose one of at least 4 MiB that can be read");
    }
    if (!target->was_blank && !target->may_destroy) {
        close(fd);
        dw_message_error("give --destroy if all that is on it may go", "%s: the device is not blank", target->path);
        return -1;
    }
    target->bare_fd = fd;
    find_generic(target, device);
    return 0;
}

/* Of a generic device its block device: that one says whether anybody uses it, and holds the place. */
static int look_at_generic(struct dw_bench_target *target)
{
    unsigned controller, space;
    char rest, device[32];
    if (sscanf(target->path, "/dev/ng%un%u%c", &controller, &space, &rest) != 2)
        return complain(target, EINVAL, "no generic device of an NVMe namespace", "give /dev/ngXnY or a block device");
    (void)snprintf(device, sizeof device, "/dev/nvme%un%u", controller, space);
    return look_at_device(target, device);
}

static int look_at_file(struct dw_bench_target *target, const struct stat *status)
{
    target->kind = DW_BENCH_AT_FILE;
    target->has_bare = true;
    (void)snprintf(target->bare_path, sizeof target->bare_path, "%s", target->path);
    if (status && status->st_size > 0 && !target->may_destroy) {
        dw_message_error("give --destroy if its content may go, or name a file that does not exist",
                         "%s: the file is not empty", target->path);
        return -1;
    }
    target->is_bare_made = !status;
    return 0;
}

static int look_at_directory(struct dw_bench_target *target)
{
    struct dwal_info info = {.size = sizeof info};
    struct dwal_options options = DWAL_OPTIONS_INIT;
    options.is_unsafe_buffered = target->is_unsafe;
    if (access(target->path, W_OK | X_OK) != 0)
        return complain(target, errno, "cannot make files in it", "choose a directory that you may write");
    if (dwal_get_info(target->path, &options, &info) != DWAL_ENOLOG)
        return look_at_log(target);
    target->kind = DW_BENCH_AT_DIRECTORY;
    if (make_scratch(target, target->path) != 0)
        return -1;
    target->has_log = true;
    target->is_log_made = true;
    (void)snprintf(target->log_path, sizeof target->log_path, "%s/log", target->scratch);
    return 0;
}

int dw_bench_target_open(struct dw_bench_target *target)
{
    target->bare_fd = -1;
    size_t size = DW_BENCH_OP_BYTES_MAX + (size_t)DW_BENCH_SHIFTS * DW_BENCH_PAGE;
    if (posix_memalign((void **)&target->payload, DW_BENCH_PAGE, size) != 0) {
        target->payload = NULL;
        return complain(target, ENOMEM, "no memory for the payload", "free memory");
    }
    struct stat status;
    if (stat(target->path, &status) != 0) {
        if (errno != ENOENT)
            return complain(target, errno, "cannot look at it", "choose another place");
        /* A name that does not exist in a directory that does: a file to be made. */
        const char *slash = strrchr(target->path, '/');
        char parent[PATH_MAX];
        (void)snprintf(parent, sizeof parent, "%.*s", slash ? (int)(slash - target->path) + 1 : 1,
                       slash ? target->path : ".");
        if (stat(parent, &status) != 0 || !S_ISDIR(status.st_mode))
            return complain(target, ENOENT, "the target is missing", "make the directory first");
        return look_at_file(target, NULL);
    }
    if (S_ISDIR(status.st_mode))
        return look_at_directory(target);
    if (S_ISBLK(status.st_mode))
        return look_at_device(target, target->path);
    if (S_ISCHR(status.st_mode) && strncmp(target->path, "/dev/ng", 7) == 0)
        return look_at_generic(target);
    if (S_ISREG(status.st_mode))
        return look_at_file(target, &status);
    return complain(target, EINVAL, "neither a directory, a file nor a block device", "choose one of these");
}

/* ---- prefill ---------------------------------------------------------------------------------------------------------*/

static void make_payload(struct dw_bench_target *target)
{
    size_t size = DW_BENCH_OP_BYTES_MAX + (size_t)DW_BENCH_SHIFTS * DW_BENCH_PAGE;
    uint64_t state = 1;
    if (getrandom(&state, sizeof state, GRND_NONBLOCK) != (ssize_t)sizeof state)
        state = 88172645463325252u;
    state |= 1;
    for (size_t at = 0; at < size; at += sizeof state) {
        uint64_t bits = dw_bench_random(&state);
        memcpy(target->payload + at, &bits, sizeof bits);
    }
}

static int fill(struct dw_bench_target *target, bool is_zero_wanted)
{
    if (is_zero_wanted)
        memset(target->payload, 0, FILL_PIECE + (size_t)DW_BENCH_SHIFTS * DW_BENCH_PAGE);
    for (uint64_t at = 0; at < target->bare_size; at += FILL_PIECE) {
        if (!is_zero_wanted && dw_signals_came())
            return -EINTR;
        uint64_t left = target->bare_size - at;
        size_t size = left < FILL_PIECE ? (size_t)left : FILL_PIECE;
        const uint8_t *from = target->payload + (at / FILL_PIECE % DW_BENCH_SHIFTS) * DW_BENCH_PAGE;
        ssize_t n = pwrite(target->bare_fd, from, size, (off_t)at);
        if (n < 0)
            return -errno;
        if ((size_t)n != size)
            return -ENOSPC;
    }
    return fsync(target->bare_fd) == 0 ? 0 : -errno;
}

static int sync_directory(const char *file)
{
    char directory[PATH_MAX + 16];
    const char *slash = strrchr(file, '/');
    (void)snprintf(directory, sizeof directory, "%.*s", slash ? (int)(slash - file) + 1 : 1, slash ? file : ".");
    int fd = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int result = fd >= 0 && fsync(fd) == 0 ? 0 : -errno;
    if (fd >= 0)
        close(fd);
    return result;
}

static int open_bare(struct dw_bench_target *target)
{
    int flags = O_RDWR | O_CREAT | O_CLOEXEC;
    target->bare_fd = open(target->bare_path, flags | O_DIRECT, 0600);
    if (target->bare_fd < 0 && errno == EINVAL && target->is_unsafe)
        target->bare_fd = open(target->bare_path, flags, 0600);
    if (target->bare_fd < 0) {
        const char *action = errno == EINVAL ? "direct I/O is not possible here: choose another file system, or give "
                                               "--unsafe-buffered for an experiment"
                                             : "choose a place that you may write";
        return complain(target, errno, "cannot make the file to write to", action);
    }
    target->bare_size = target->file_size;
    return 0;
}

/* A flush pays for what others left in the cache: let it be written before anything is measured. */
static void sync_file_system(const struct dw_bench_target *target)
{
    int fd = open(target->scratch[0] ? target->scratch : target->bare_path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return;
    (void)syncfs(fd);
    close(fd);
}

static void settle(const struct dw_bench_target *target)
{
    struct pollfd asked = {.fd = dw_signals_descriptor(), .events = POLLIN, .revents = 0};
    if (target->settle_ns > 0)
        (void)poll(&asked, asked.fd >= 0, (int)(target->settle_ns / 1000000));
}

int dw_bench_target_prepare(struct dw_bench_target *target, bool wants_bare)
{
    make_payload(target);
    if (!wants_bare || !target->has_bare) {
        sync_file_system(target);
        settle(target);
        return 0;
    }
    if (target->kind == DW_BENCH_AT_DEVICE && target->bare_size > target->file_size)
        target->bare_size = target->file_size;
    if (target->bare_fd < 0 && open_bare(target) != 0)
        return -1;
    dw_progress_begin("prefilling", target->bare_size);
    int result = fill(target, false);
    if (result == 0 && target->kind != DW_BENCH_AT_DEVICE)
        result = sync_directory(target->bare_path);
    dw_progress_end();
    if (result == -EINTR)
        return -1;
    if (result < 0)
        return complain(target, -result, "prefilling failed", "free space, or choose a smaller --file-size");
    sync_file_system(target);
    settle(target);
    return 0;
}

uint64_t dw_bench_target_place(struct dw_bench_target *target, uint64_t size)
{
    uint64_t at = atomic_fetch_add_explicit(&target->cursor, size, memory_order_relaxed);
    uint64_t whole = target->bare_size / DW_BENCH_PAGE, page = at / DW_BENCH_PAGE % whole, pages = size / DW_BENCH_PAGE;
    return (page + pages <= whole ? page : whole - pages) * DW_BENCH_PAGE;
}

/* ---- closing -----------------------------------------------------------------------------------------------------------*/

/* The log's directory holds only files that the library made. */
static void remove_log(const char *path)
{
    DIR *directory = opendir(path);
    if (!directory)
        return;
    for (const struct dirent *entry; (entry = readdir(directory)) != NULL;)
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
            (void)unlinkat(dirfd(directory), entry->d_name, 0);
    closedir(directory);
    (void)rmdir(path);
}

void dw_bench_target_close(struct dw_bench_target *target)
{
    /* A device that was blank is so again, as far as we wrote. */
    if (target->kind == DW_BENCH_AT_DEVICE && target->was_blank && target->bare_fd >= 0 && !target->is_kept &&
        target->payload && fill(target, true) != 0)
        dw_message_warning("%s: zeros could not be written back: the device is not blank any more", target->path);
    if (target->bare_fd >= 0)
        close(target->bare_fd);
    target->bare_fd = -1;
    free(target->payload);
    target->payload = NULL;
    if (target->is_kept)
        return;
    if (target->is_bare_made && target->bare_path[0])
        (void)unlink(target->bare_path);
    if (target->is_log_made && target->kind != DW_BENCH_AT_DEVICE)
        remove_log(target->log_path);
    if (target->scratch[0])
        (void)rmdir(target->scratch);
}
