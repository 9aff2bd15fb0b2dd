/* repair_save.c - copies of all that a repair changes, on stable storage before anything is changed; see repair.h.
 *
 * Plain files in a plain directory: a copy keeps the exact size, also of a file that is not a whole number of sectors, so
 * it does not go through the disk contract, which moves whole sectors only. A log on a device is copied as the directory that
 * it would be. What the device does not give is zero in the
 * copy. Failure: the error; what was copied so far stays for a person to look at. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "alloc/alloc.h"
#include "base/bits.h"
#include "core/base/error.h"
#include "core/log/repair.h"
#include "core/store/device_view.h"
#include "core/store/names.h"

enum { PIECE_SIZE = 1 << 20, SMALL_SIZE = 4096 };

struct copy {
    struct dw_file *window; /* on a device */
    int source, target;     /* source: in a directory */
    uint8_t *piece;
    uint64_t unreadable;
};

static int write_all(int target, const uint8_t *bytes, size_t size, uint64_t offset)
{
    while (size > 0) {
        ssize_t done = pwrite(target, bytes, size, (off_t)offset);
        if (done < 0 && errno == EINTR)
            continue;
        if (done <= 0)
            return done < 0 ? -errno : -EIO;
        bytes += done;
        offset += (uint64_t)done;
        size -= (size_t)done;
    }
    return 0;
}

/* 0 or -errno; *done is short only at the end of the file. */
static int read_piece(const struct copy *copy, uint8_t *bytes, size_t size, uint64_t offset, size_t *done)
{
    *done = 0;
    if (copy->window)
        return dw_file_read(copy->window, bytes, size, offset, done);
    while (*done < size) {
        ssize_t got = pread(copy->source, bytes + *done, size - *done, (off_t)(offset + *done));
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return -errno;
        if (got == 0)
            break;
        *done += (size_t)got;
    }
    return 0;
}

/* A piece that cannot be read as a whole, in small steps. */
static void read_around(struct copy *copy, size_t size, uint64_t offset)
{
    for (size_t at = 0; at < size; at += SMALL_SIZE) {
        size_t step = dw_min_size(SMALL_SIZE, size - at), done;
        if (read_piece(copy, copy->piece + at, step, offset + at, &done) == 0)
            continue;
        memset(copy->piece + at, 0, step);
        copy->unreadable += step;
    }
}

static int copy_bytes(struct copy *copy, uint64_t size)
{
    for (uint64_t offset = 0; offset < size; offset += PIECE_SIZE) {
        size_t wanted = (size_t)dw_min_u64(PIECE_SIZE, size - offset), done;
        if (read_piece(copy, copy->piece, wanted, offset, &done) != 0)
            read_around(copy, wanted, offset);
        int result = write_all(copy->target, copy->piece, wanted, offset);
        if (result)
            return result;
    }
    return fsync(copy->target) < 0 ? -errno : 0;
}

/* ---- all of them ----------------------------------------------------------------------------------------------------*/

struct saving {
    const char *path, *save;
    int from, to;
    struct dw_disk *view; /* of a log on a device: in place of `from` */
    uint8_t *piece;
    uint64_t *unreadable;
};

static int open_source(const struct saving *saving, const char *name, struct copy *copy, uint64_t *size)
{
    if (saving->view) {
        int result = saving->view->ops->open(saving->view, name, DW_OPEN_READ, &copy->window);
        return result == 0 ? saving->view->ops->size(copy->window, size) : result;
    }
    struct stat facts = {0};
    copy->source = openat(saving->from, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (copy->source < 0 || fstat(copy->source, &facts) < 0)
        return -errno;
    *size = (uint64_t)facts.st_size;
    return 0;
}

static int copy_file(const struct saving *saving, const char *name)
{
    struct copy copy = {.piece = saving->piece, .source = -1};
    uint64_t size = 0;
    copy.target = openat(saving->to, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
    int result = copy.target < 0 ? -errno : open_source(saving, name, &copy, &size);
    if (result == 0)
        result = copy_bytes(&copy, size);
    if (copy.target >= 0 && close(copy.target) < 0 && result == 0)
        result = -errno;
    if (copy.source >= 0)
        close(copy.source);
    dw_file_close(copy.window);
    *saving->unreadable += copy.unreadable;
    return result;
}

static int save_one(const struct saving *saving, const char *volume_name)
{
    char name[DW_PLACE_NAME_SIZE];
    snprintf(name, sizeof name, "%s", volume_name);
    name[strcspn(name, "@")] = '\0'; /* the slot: it does not belong to the copy's name */
    int result = copy_file(saving, name);
    if (result == 0)
        return 0;
    return dw_fail_system(result, "cannot copy %s/%s to %s: nothing was changed", saving->path, name, saving->save);
}

static int save_files(const struct saving *saving, const struct dw_repair_plan *plan)
{
    int result = save_one(saving, DW_NAME_SUPERBLOCK);
    for (size_t i = 0; i < plan->toc_count && result == 0; i++)
        result = save_one(saving, dw_store_find(plan->store, plan->tocs[i].number)->name);
    for (size_t i = 0; i < plan->abandoned_count && result == 0; i++)
        result = save_one(saving, dw_store_find(plan->store, plan->abandoned[i])->name);
    return result;
}

/* The names too are on stable storage: those in the new directory, and its own. */
static int sync_names(const struct saving *saving)
{
    int parent = openat(saving->to, "..", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int result = parent < 0 || fsync(saving->to) < 0 || fsync(parent) < 0 ? -errno : 0;
    if (parent >= 0)
        close(parent);
    if (result)
        return dw_fail_system(result, "cannot sync %s: nothing was changed", saving->save);
    return 0;
}

static int open_directories(struct saving *saving)
{
    if (mkdir(saving->save, 0700) < 0) {
        int code = errno;
        return code == EEXIST
                   ? dw_fail(DWAL_EARGUMENT, "%s exists: the copies need a directory of their own", saving->save)
                   : dw_fail_system(-code, "cannot make %s", saving->save);
    }
    saving->to = open(saving->save, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (saving->to >= 0 && saving->view)
        return 0;
    saving->from = saving->to < 0 ? -1 : open(saving->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (saving->from < 0)
        return dw_fail_system(-errno, "cannot open %s and %s", saving->path, saving->save);
    return 0;
}

int dw_repair_save(const struct dw_repair_plan *plan, const char *path, const char *save, uint64_t *unreadable)
{
    struct saving saving = {.path = path, .save = save, .from = -1, .to = -1, .unreadable = unreadable};
    *unreadable = 0;
    saving.piece = dw_alloc_io(PIECE_SIZE, DW_BLOCK_SIZE_MAX);
    if (!saving.piece)
        return dw_fail(DWAL_EMEMORY, "no memory to copy files");
    struct dw_disk *disk = dw_store_disk(plan->store);
    int result = disk->is_device ? dw_device_view_open(disk, &saving.view) : 0;
    if (result == 0)
        result = open_directories(&saving);
    if (result == 0)
        result = save_files(&saving, plan);
    if (result == 0)
        result = sync_names(&saving);
    if (saving.from >= 0)
        close(saving.from);
    if (saving.to >= 0)
        close(saving.to);
    if (saving.view)
        saving.view->ops->close(saving.view);
    dw_free_io(saving.piece);
    return result;
}
