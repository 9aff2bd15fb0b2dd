/* sim_file.c - bytes of simulated files: read, write, sync, size.
 *
 * Owns: nothing. Called by: any thread through io.h, and by the queues; under the disk's mutex.
 * Happy path: a write begins (ISSUE: from here on a crash may find any of its sectors) and ends (COMPLETE: from here on
 * readers see it, and if it was durable every crash finds it); a call does both at once, a queue lets time pass between.
 * Failure: planned faults; no space; a file opened for reading; misalignment is -EINVAL as from a device. */
#include <errno.h>
#include <string.h>

#include "alloc/alloc.h"
#include "io/sim_internal.h"

static bool is_aligned(const struct dw_sim_file *file, const void *bytes, size_t size, uint64_t offset)
{
    uint32_t alignment = file->base.alignment;
    return size > 0 && dw_is_aligned(size, alignment) && dw_is_aligned(offset, alignment) &&
           dw_is_aligned((uintptr_t)bytes, DW_SIM_SECTOR_SIZE);
}

/* ---- reading ---- */
static int read_sectors(struct dw_sim_disk *disk, const struct dw_sim_file *file, uint8_t *bytes, uint64_t offset,
                        size_t size, size_t *done)
{
    const struct dw_sim_inode *inode = &disk->live.inodes[file->inode];
    while (*done < size && offset + *done < inode->size) {
        uint64_t sector = (offset + *done) / DW_SIM_SECTOR_SIZE;
        int error = disk->bad_count ? dw_sim_bad_sector(disk, file->inode, sector) : 0;
        if (error)
            return error;
        const uint8_t *from = dw_sim_inode_sector(inode, sector);
        if (from)
            memcpy(bytes + *done, from, DW_SIM_SECTOR_SIZE);
        else
            memset(bytes + *done, 0, DW_SIM_SECTOR_SIZE);
        *done += DW_SIM_SECTOR_SIZE;
    }
    if (*done && offset + *done > inode->size) /* a size that is not a multiple of a sector */
        *done = (size_t)(inode->size - offset);
    return 0;
}

int dw_sim_read(struct dw_file *base, void *bytes, size_t size, uint64_t offset, size_t *done)
{
    struct dw_sim_disk *disk = dw_sim_of(base->disk);
    struct dw_sim_file *file = dw_sim_file_of(base);
    *done = 0;
    if (!is_aligned(file, bytes, size, offset))
        return -EINVAL;
    int result = 0;
    pthread_mutex_lock(&disk->lock);
    if (!dw_sim_fault_hits(disk, DW_SIM_FAULT_READ, &result))
        result = read_sectors(disk, file, bytes, offset, size, done);
    pthread_mutex_unlock(&disk->lock);
    return result;
}

/* ---- writing ---- */
static uint64_t used_bytes(const struct dw_sim_disk *disk)
{
    uint64_t used = 0;
    for (size_t i = 0; i < disk->live.inode_count; i++) {
        bool is_used = false;
        for (size_t n = 0; n < disk->live.name_count && !is_used; n++)
            is_used = disk->live.names[n].inode == i;
        for (const struct dw_sim_file *file = disk->files; file && !is_used; file = file->next)
            is_used = file->inode == i;
        used += is_used ? disk->live.inodes[i].size : 0;
    }
    return used;
}

/* May the file grow to `size`? Counts as a call of EXTEND when it would. */
static int check_space(struct dw_sim_disk *disk, uint32_t inode, uint64_t size)
{
    uint64_t now = disk->live.inodes[inode].size;
    int result = 0;
    if (size <= now || dw_sim_fault_hits(disk, DW_SIM_FAULT_EXTEND, &result))
        return result;
    if (size / DW_SIM_SECTOR_SIZE >= UINT32_MAX)
        return -EFBIG;
    if (disk->base.is_device)
        return -ENOSPC;
    uint64_t capacity = disk->options.capacity;
    return capacity && used_bytes(disk) + (size - now) > capacity ? -ENOSPC : 0;
}

/* Without a history nobody else needs the old bytes: they are overwritten in place. */
static int write_in_place(struct dw_sim_disk *disk, struct dw_sim_inode *inode, uint64_t sector, const uint8_t *bytes)
{
    uint8_t *own = NULL;
    if (sector < inode->count && inode->sectors[sector])
        memcpy(&own, &inode->sectors[sector], sizeof own);
    if (own) {
        memcpy(own, bytes ? bytes : dw_sim_zeros, DW_SIM_SECTOR_SIZE);
        return 0;
    }
    if (!bytes || dw_sim_sector_is_zero(bytes))
        return 0;
    own = dw_sim_arena_take(&disk->arena, DW_SIM_SECTOR_SIZE);
    if (!own)
        return -ENOMEM;
    memcpy(own, bytes, DW_SIM_SECTOR_SIZE);
    return dw_sim_inode_set(&disk->arena, inode, sector, own);
}

static int write_sector(struct dw_sim_disk *disk, struct dw_sim_inode *inode, uint64_t sector, const uint8_t *bytes)
{
    if (disk->options.is_history_off)
        return write_in_place(disk, inode, sector, bytes);
    return dw_sim_inode_set(&disk->arena, inode, sector, bytes && !dw_sim_sector_is_zero(bytes) ? bytes : NULL);
}

int dw_sim_live_write(struct dw_sim_disk *disk, uint32_t index, uint64_t offset, uint64_t size, const uint8_t *bytes)
{
    struct dw_sim_inode *inode = &disk->live.inodes[index];
    int result = bytes ? dw_sim_inode_own(&disk->arena, inode, (offset + size) / DW_SIM_SECTOR_SIZE) : 0;
    for (uint64_t done = 0; done < size && result == 0; done += DW_SIM_SECTOR_SIZE)
        result = write_sector(disk, inode, (offset + done) / DW_SIM_SECTOR_SIZE, bytes ? bytes + done : NULL);
    if (result == 0 && offset + size > inode->size)
        result = dw_sim_inode_resize(&disk->arena, inode, offset + size);
    if (disk->bad_count)
        dw_sim_bad_heal(disk, index, offset / DW_SIM_SECTOR_SIZE, size / DW_SIM_SECTOR_SIZE);
    return result;
}

static bool are_zeros(const uint8_t *bytes, uint64_t size)
{
    for (uint64_t done = 0; done < size; done += DW_SIM_SECTOR_SIZE) {
        if (!dw_sim_sector_is_zero(bytes + done))
            return false;
    }
    return true;
}

static int record_issue(struct dw_sim_disk *disk, struct dw_sim_write *write)
{
    if (!disk->options.is_history_off && !are_zeros(write->bytes, write->size)) {
        uint8_t *copy = dw_sim_arena_take(&disk->arena, write->size);
        if (!copy)
            return -ENOMEM;
        memcpy(copy, write->bytes, write->size);
        write->copy = copy;
    }
    write->issue = disk->event_count;
    struct dw_sim_event event = {.kind = DW_SIM_ISSUE,
                                 .file = write->file->inode,
                                 .offset = write->offset,
                                 .size = write->size,
                                 .is_durable = write->is_durable,
                                 .bytes = write->copy};
    return dw_sim_record(disk, &event);
}

static const uint8_t *bytes_of(const struct dw_sim_disk *disk, const struct dw_sim_write *write)
{
    return disk->options.is_history_off ? write->bytes : write->copy;
}

/* Readers may see some sectors of what is in flight. */
static int show_some(struct dw_sim_disk *disk, const struct dw_sim_write *write)
{
    const uint8_t *bytes = bytes_of(disk, write);
    struct dw_sim_inode *inode = &disk->live.inodes[write->file->inode];
    int result = 0;
    for (uint64_t done = 0; done < write->size && result == 0; done += DW_SIM_SECTOR_SIZE) {
        uint64_t sector = (write->offset + done) / DW_SIM_SECTOR_SIZE;
        if (sector * DW_SIM_SECTOR_SIZE < inode->size && dw_sim_below(&disk->random, 2))
            result = write_sector(disk, inode, sector, bytes ? bytes + done : NULL);
    }
    return result;
}

void dw_sim_write_begin(struct dw_sim_disk *disk, struct dw_sim_file *file, const void *bytes, uint64_t size,
                        uint64_t offset, bool is_durable, struct dw_sim_write *write)
{
    *write = (struct dw_sim_write){
        .file = file, .bytes = bytes, .offset = offset, .size = size, .is_durable = is_durable, .is_void = true};
    if (!(file->flags & DW_OPEN_WRITE)) {
        write->result = -EBADF;
        return;
    }
    int result = check_space(disk, file->inode, offset + size);
    if (result) {
        write->result = result;
        return;
    }
    if (dw_sim_fault_hits(disk, DW_SIM_FAULT_MISDIRECT, &result)) {
        uint64_t moved = offset + disk->faults[DW_SIM_FAULT_MISDIRECT].value;
        if (moved + size <= disk->live.inodes[file->inode].size && moved + size > moved)
            write->offset = moved;
    }
    write->is_lost = dw_sim_fault_hits(disk, DW_SIM_FAULT_LOSE, &result);
    result = 0;
    write->is_done_all_the_same = dw_sim_fault_hits(disk, DW_SIM_FAULT_WRITE_DONE, &result);
    dw_sim_fault_hits(disk, DW_SIM_FAULT_WRITE, &result);
    write->result = result;
    result = record_issue(disk, write);
    if (result == 0 && disk->options.is_flight_visible)
        result = show_some(disk, write);
    if (result)
        write->result = result;
    else
        write->is_void = false;
}

int dw_sim_write_end(struct dw_sim_disk *disk, struct dw_sim_write *write)
{
    if (write->is_void)
        return write->result;
    /* Lent memory is untouchable until the write has ended. */
    if (!disk->options.is_history_off) {
        dw_assert(write->copy ? memcmp(write->copy, write->bytes, write->size) == 0
                              : are_zeros(write->bytes, write->size));
    }
    uint64_t applied = write->is_lost ? 0 : write->size;
    if (write->result && !write->is_done_all_the_same)
        applied = dw_sim_below(&disk->random, write->size / disk->options.alignment + 1) * disk->options.alignment;
    int result = 0;
    if (applied)
        result = dw_sim_live_write(disk, write->file->inode, write->offset, applied, bytes_of(disk, write));
    struct dw_sim_event event = {.kind = DW_SIM_COMPLETE,
                                 .file = write->file->inode,
                                 .of = write->issue,
                                 .result = write->result,
                                 .value = applied,
                                 .is_durable = write->is_durable && !disk->options.is_fua_lying && !write->result,
                                 .is_lost = write->is_lost};
    int recorded = dw_sim_record(disk, &event);
    if (write->result)
        return write->result;
    return result ? result : recorded;
}

static int write_now(struct dw_file *base, const void *bytes, size_t size, uint64_t offset, bool is_durable)
{
    struct dw_sim_disk *disk = dw_sim_of(base->disk);
    struct dw_sim_file *file = dw_sim_file_of(base);
    if (!is_aligned(file, bytes, size, offset))
        return -EINVAL;
    pthread_mutex_lock(&disk->lock);
    struct dw_sim_write write;
    dw_sim_write_begin(disk, file, bytes, size, offset, is_durable, &write);
    int result = dw_sim_write_end(disk, &write);
    pthread_mutex_unlock(&disk->lock);
    return result;
}

int dw_sim_write(struct dw_file *file, const void *bytes, size_t size, uint64_t offset)
{
    return write_now(file, bytes, size, offset, false);
}

int dw_sim_write_durable(struct dw_file *file, const void *bytes, size_t size, uint64_t offset)
{
    return write_now(file, bytes, size, offset, true);
}

int dw_sim_sync(struct dw_file *base)
{
    struct dw_sim_disk *disk = dw_sim_of(base->disk);
    pthread_mutex_lock(&disk->lock);
    int result = 0, recorded = 0;
    dw_sim_fault_hits(disk, DW_SIM_FAULT_SYNC, &result);
    if (!disk->options.is_flush_lying) {
        recorded = dw_sim_record(
            disk, &(struct dw_sim_event){.kind = DW_SIM_SYNC, .file = dw_sim_file_of(base)->inode, .result = result});
    }
    pthread_mutex_unlock(&disk->lock);
    return result ? result : recorded;
}

int dw_sim_allocate(struct dw_file *base, uint64_t size)
{
    struct dw_sim_disk *disk = dw_sim_of(base->disk);
    struct dw_sim_file *file = dw_sim_file_of(base);
    if (!(file->flags & DW_OPEN_WRITE))
        return -EBADF;
    if (disk->base.is_device)
        return -EOPNOTSUPP;
    pthread_mutex_lock(&disk->lock);
    struct dw_sim_inode *inode = &disk->live.inodes[file->inode];
    int result = check_space(disk, file->inode, size);
    if (result == 0 && size > inode->size) { /* never makes a file shorter */
        inode->size = size;
        result = dw_sim_record(disk, &(struct dw_sim_event){.kind = DW_SIM_SIZE, .file = file->inode, .value = size});
    }
    pthread_mutex_unlock(&disk->lock);
    return result;
}

int dw_sim_size(struct dw_file *base, uint64_t *size)
{
    struct dw_sim_disk *disk = dw_sim_of(base->disk);
    pthread_mutex_lock(&disk->lock);
    *size = disk->live.inodes[dw_sim_file_of(base)->inode].size;
    pthread_mutex_unlock(&disk->lock);
    return 0;
}
