/* create.c - make an empty log. Called by: dwal_create and the tests' seam, on the caller's thread.
 *
 * Happy path: directory (0700) or device -> volume 0, filled -> superblock last: a crash leaves a log or none.
 * Failure: left-overs are named so that the next create removes them; a directory made here is removed again if empty. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/base/error.h"
#include "core/log/choice.h"
#include "core/log/handle.h"
#include "core/log/path.h"
#include "core/log/place.h"

#define DEFAULT_BLANKS 4u

int dw_log_create_on(struct dw_disk *disk, const struct dw_clock *clock, const uint8_t log_id[16], uint32_t tag_key,
                     const struct dwal_options *given)
{
    struct dwal_options options;
    int result = dw_options_resolve(given, &options);
    if (result < 0)
        return result;
    if (disk->is_device)
        result = dw_create_on_device(disk, &options);
    if (result < 0)
        return result;
    struct dw_store_create what = {
        .quota = options.quota,
        .is_forced = options.is_forced,
        .magic_number = options.magic_number,
        .blanks = options.blanks ? options.blanks : DEFAULT_BLANKS,
        .fill_mode = options.fill == DWAL_FILL_DEFAULT ? DWAL_FILL_ZERO : options.fill,
        .tag_key = tag_key,
    };
    memcpy(what.log_id, log_id, sizeof what.log_id);
    result = dw_options_geometry(&options, &what.geometry);
    if (result < 0)
        return result;
    what.in_flight_blocks = dw_options_in_flight_blocks(&options, &what.geometry);
    return dw_store_create(disk, &what, clock);
}

/* The new directory itself must survive a crash: sync the one it stands in. */
static int sync_parent(const char *path)
{
    char parent[PATH_MAX];
    int length = snprintf(parent, sizeof parent, "%s/..", path);
    if (length < 0 || (size_t)length >= sizeof parent)
        return -ENAMETOOLONG;
    int fd = open(parent, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return -errno;
    int result = fsync(fd) < 0 ? -errno : 0;
    close(fd);
    return result;
}

static int create_in(const char *path, const struct dwal_options *given)
{
    struct dw_disk *disk;
    int result = dw_path_open(path, DW_OPEN_WRITE, given->is_unsafe_buffered, &disk);
    if (result < 0)
        return result;
    struct dwal_options options = *given;
    dw_choice_fit_block(disk, &options);
    uint8_t random[20];
    uint32_t key = 0;
    if (getrandom(random, sizeof random, 0) != (ssize_t)sizeof random) {
        result = dw_fail_system(-EIO, "the system gave no random bytes for the log's identity");
    } else {
        memcpy(&key, random + 16, sizeof key);
        result = dw_log_create_on(disk, &dw_clock_system, random, key | 0x80000000u, &options);
    }
    disk->ops->close(disk);
    return result;
}

/* A wrong path is the caller's affair, not the device's. */
static int refuse_path(const char *path, int why, const char *obstacle)
{
    (void)dw_fail(DWAL_EARGUMENT, "%s %s", path, obstacle);
    struct dwal_error error = *dwal_last_error();
    error.system_code = why;
    return dwal_set_error(&error);
}

static int make_directory(const char *path, bool *is_new)
{
    struct stat facts;
    *is_new = mkdir(path, 0700) == 0;
    if (*is_new)
        return 0;
    int why = errno;
    switch (why) {
    case EEXIST:
        if (stat(path, &facts) == 0 && S_ISDIR(facts.st_mode))
            return 0;
        return refuse_path(path, why, dw_path_obstacle(path));
    case ENOENT:
        return refuse_path(path, why, "cannot be made: the one above it does not exist");
    case ENOTDIR:
    case ELOOP:
    case ENAMETOOLONG:
        return refuse_path(path, why, dw_path_obstacle(path));
    default:
        return dw_fail_system(-why, "making directory %s failed", path);
    }
}

int dwal_create(const char *path, const struct dwal_options *options)
{
    if (!path)
        return dw_fail(DWAL_EARGUMENT, "path is NULL");
    struct dwal_options checked;
    int result = dw_options_resolve(options, &checked);
    if (result < 0)
        return result;
    char device[PATH_MAX];
    const char *name;
    if (dw_path_is_device(path, device, &name))
        return create_in(path, &checked);
    if (checked.quota != 0 || checked.is_forced)
        return dw_fail(DWAL_EARGUMENT, "options.quota and is_forced are for devices, and %s is none", path);
    bool is_new;
    result = make_directory(path, &is_new);
    if (result < 0)
        return result;
    result = dw_place_check_new(path, &checked, is_new);
    if (result == 0)
        result = create_in(path, &checked);
    if (result == 0 && is_new) {
        int synced = sync_parent(path);
        if (synced < 0)
            result = dw_fail_system(synced, "syncing the directory above %s failed", path);
    }
    if (result < 0 && is_new) {
        struct dwal_error error = *dwal_last_error();
        rmdir(path); /* only if nothing is in it */
        dw_fail_again(&error);
    }
    return result;
}
