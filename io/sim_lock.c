/* sim_lock.c - locks on simulated files: two of every file in the file itself, numbered ones of a device in a list.
 *
 * Owns: nothing. Called by: any thread through io.h. Locks are of this moment: no event, no part of a crash image.
 * Failure: -EAGAIN: another open file's lock conflicts; -EBADF: exclusive needs a file opened for writing; -ENOMEM.
 * Closing: closing a file gives its locks back. */
#include <errno.h>

#include "io/sim_internal.h"

static bool do_conflict(enum dw_lock_mode wanted, enum dw_lock_mode other)
{
    if (wanted == DW_LOCK_NONE || other == DW_LOCK_NONE)
        return false;
    return wanted == DW_LOCK_EXCLUSIVE || other == DW_LOCK_EXCLUSIVE;
}

static bool is_conflicting(const struct dw_sim_disk *disk, const struct dw_sim_file *mine, enum dw_lock_kind kind,
                           enum dw_lock_mode mode)
{
    if (kind <= DW_LOCK_PIN) {
        for (const struct dw_sim_file *file = disk->files; file; file = file->next) {
            if (file != mine && file->inode == mine->inode && do_conflict(mode, file->locks[kind]))
                return true;
        }
        return false;
    }
    for (size_t i = 0; i < disk->lock_count; i++) {
        const struct dw_sim_lock_held *held = &disk->locks[i];
        if (held->file != mine && held->file->inode == mine->inode && held->number == (uint32_t)kind &&
            do_conflict(mode, held->mode))
            return true;
    }
    return false;
}

static int set_numbered(struct dw_sim_disk *disk, const struct dw_sim_file *file, uint32_t number,
                        enum dw_lock_mode mode)
{
    size_t at = 0;
    while (at < disk->lock_count && (disk->locks[at].file != file || disk->locks[at].number != number))
        at++;
    if (at == disk->lock_count) {
        if (mode == DW_LOCK_NONE)
            return 0;
        if (dw_sim_grow((void **)&disk->locks, &disk->lock_capacity, at + 1, sizeof *disk->locks))
            return -ENOMEM;
        disk->lock_count++;
    }
    disk->locks[at] = (struct dw_sim_lock_held){.file = file, .number = number, .mode = mode};
    if (mode == DW_LOCK_NONE)
        disk->locks[at] = disk->locks[--disk->lock_count];
    return 0;
}

void dw_sim_locks_drop(struct dw_sim_disk *disk, const struct dw_sim_file *file)
{
    for (size_t i = disk->lock_count; i > 0; i--) {
        if (disk->locks[i - 1].file == file)
            disk->locks[i - 1] = disk->locks[--disk->lock_count];
    }
}

int dw_sim_lock(struct dw_file *base, enum dw_lock_kind kind, enum dw_lock_mode mode)
{
    struct dw_sim_disk *disk = dw_sim_of(base->disk);
    struct dw_sim_file *file = dw_sim_file_of(base);
    /* As a kernel has it: an exclusive lock needs a descriptor that can write. */
    if (mode == DW_LOCK_EXCLUSIVE && !(file->flags & DW_OPEN_WRITE))
        return -EBADF;
    int result = 0;
    pthread_mutex_lock(&disk->lock);
    if (is_conflicting(disk, file, kind, mode))
        result = -EAGAIN;
    else if (kind <= DW_LOCK_PIN)
        file->locks[kind] = mode;
    else
        result = set_numbered(disk, file, (uint32_t)kind, mode);
    pthread_mutex_unlock(&disk->lock);
    return result;
}

int dw_sim_lock_test(struct dw_file *base, enum dw_lock_kind kind, bool *is_held)
{
    struct dw_sim_disk *disk = dw_sim_of(base->disk);
    pthread_mutex_lock(&disk->lock);
    *is_held = is_conflicting(disk, dw_sim_file_of(base), kind, DW_LOCK_EXCLUSIVE);
    pthread_mutex_unlock(&disk->lock);
    return 0;
}
