/* sim_fault.c - what goes wrong on a simulated disk: calls that fail, and bytes that change on the medium.
 *
 * Owns: the fault plans and the unreadable ranges. Called by: tests to plan; by every call of the disk to ask.
 * Happy path: nothing planned, nothing happens, calls are counted. A fault hits the n-th call of its kind from when it
 * was planned, once or from then on. Damage is an event of its own, so that it is in every later crash image.
 * Failure: -EINVAL for a range outside the file. Closing: plans end with the disk. */
#include <errno.h>
#include <string.h>

#include "io/sim_internal.h"

/* ---- plans ---- */
bool dw_sim_fault_hits(struct dw_sim_disk *disk, enum dw_sim_fault_kind kind, int *error)
{
    disk->calls[kind]++;
    struct dw_sim_fault *fault = &disk->faults[kind];
    if (fault->at == 0)
        return false;
    if (fault->at > 1) {
        fault->at--;
        return false;
    }
    if (!fault->is_sticky)
        fault->at = 0;
    int standard = kind == DW_SIM_FAULT_EXTEND ? ENOSPC : EIO;
    *error = -(fault->error ? fault->error : standard);
    return true;
}

void dw_sim_fault(struct dw_disk *base, const struct dw_sim_fault *fault)
{
    struct dw_sim_disk *disk = dw_sim_of(base);
    dw_assert(fault->kind < DW_SIM_FAULT_KINDS);
    pthread_mutex_lock(&disk->lock);
    disk->faults[fault->kind] = *fault;
    pthread_mutex_unlock(&disk->lock);
}

uint64_t dw_sim_call_count(struct dw_disk *base, enum dw_sim_fault_kind kind)
{
    struct dw_sim_disk *disk = dw_sim_of(base);
    pthread_mutex_lock(&disk->lock);
    uint64_t count = disk->calls[kind];
    pthread_mutex_unlock(&disk->lock);
    return count;
}

void dw_sim_faults_clear(struct dw_disk *base)
{
    struct dw_sim_disk *disk = dw_sim_of(base);
    pthread_mutex_lock(&disk->lock);
    memset(disk->faults, 0, sizeof disk->faults);
    disk->bad_count = 0;
    pthread_mutex_unlock(&disk->lock);
}

/* ---- unreadable sectors ---- */
int dw_sim_bad_sector(const struct dw_sim_disk *disk, uint32_t inode, uint64_t sector)
{
    for (size_t i = 0; i < disk->bad_count; i++) {
        const struct dw_sim_bad_range *bad = &disk->bad[i];
        if (bad->inode == inode && sector - bad->first < bad->count)
            return -bad->error;
    }
    return 0;
}

/* What was written again can be read again. A range in the middle of a bad one leaves only the part before it bad. */
void dw_sim_bad_heal(struct dw_sim_disk *disk, uint32_t inode, uint64_t first, uint64_t count)
{
    for (size_t i = 0; i < disk->bad_count; i++) {
        struct dw_sim_bad_range *bad = &disk->bad[i];
        uint64_t end = first + count, bad_end = bad->first + bad->count;
        if (bad->inode != inode || end <= bad->first || first >= bad_end)
            continue;
        if (first > bad->first) {
            bad->count = first - bad->first;
        } else if (end < bad_end) {
            bad->count = bad_end - end;
            bad->first = end;
        } else {
            *bad = disk->bad[--disk->bad_count];
            i--;
        }
    }
}

static int make_bad(struct dw_sim_disk *disk, uint32_t inode, uint64_t first, uint64_t count, int error)
{
    if (disk->bad_count == DW_SIM_BAD_RANGES_MAX)
        return -EINVAL;
    disk->bad[disk->bad_count++] =
        (struct dw_sim_bad_range){.inode = inode, .error = error ? error : EIO, .first = first, .count = count};
    return 0;
}

/* ---- damage ---- */
/* Content of a sector before its last change, looked for in this disk's history and in those it came from. */
static const uint8_t *stale_sector(const struct dw_sim_disk *disk, uint32_t inode, uint64_t sector)
{
    const uint8_t *now = dw_sim_inode_sector(&disk->live.inodes[inode], sector);
    uint64_t before = disk->event_count;
    while (disk) {
        for (uint64_t i = before; i-- > 0;) {
            const struct dw_sim_event *event = &disk->events[i];
            if (event->kind != DW_SIM_ISSUE && event->kind != DW_SIM_DAMAGE)
                continue;
            if (event->file != inode || !dw_sim_event_covers(event, sector))
                continue;
            const uint8_t *then = dw_sim_event_sector(event, sector);
            if (!dw_sim_sector_equal(then, now))
                return then;
        }
        if (inode < disk->start.inode_count) {
            const uint8_t *then = dw_sim_inode_sector(&disk->start.inodes[inode], sector);
            if (!dw_sim_sector_equal(then, now))
                return then;
        }
        before = disk->parent_event;
        disk = disk->parent;
    }
    return NULL;
}

static int record_damage(struct dw_sim_disk *disk, uint32_t inode, uint64_t offset, uint64_t size, const uint8_t *bytes)
{
    struct dw_sim_event event = {.kind = DW_SIM_DAMAGE, .file = inode, .offset = offset, .size = size, .bytes = bytes};
    int result = dw_sim_record(disk, &event);
    return result ? result : dw_sim_live_write(disk, inode, offset, size, bytes);
}

struct range {
    uint32_t inode;
    uint64_t offset, size;
};

static int find_range(const struct dw_sim_disk *disk, const char *name, uint64_t offset, uint64_t size,
                      struct range *range)
{
    const struct dw_sim_name *found = name ? dw_sim_medium_find(&disk->live, name) : NULL;
    if (!found)
        return -ENOENT;
    *range = (struct range){.inode = found->inode, .offset = offset, .size = size};
    uint64_t file_size = disk->live.inodes[found->inode].size;
    bool is_inside = size > 0 && offset <= file_size && size <= file_size - offset;
    bool is_whole = dw_is_aligned(offset, DW_SIM_SECTOR_SIZE) && dw_is_aligned(size, DW_SIM_SECTOR_SIZE);
    return is_inside && is_whole ? 0 : -EINVAL;
}

static void content_of(const struct dw_sim_disk *disk, const struct range *range, bool is_stale, uint8_t *bytes)
{
    for (uint64_t done = 0; done < range->size; done += DW_SIM_SECTOR_SIZE) {
        uint64_t sector = (range->offset + done) / DW_SIM_SECTOR_SIZE;
        const uint8_t *from = is_stale ? stale_sector(disk, range->inode, sector)
                                       : dw_sim_inode_sector(&disk->live.inodes[range->inode], sector);
        memcpy(bytes + done, from ? from : dw_sim_zeros, DW_SIM_SECTOR_SIZE);
    }
}

static void make_garbage(uint64_t seed, uint8_t *bytes, uint64_t size)
{
    for (uint64_t done = 0; done < size; done += sizeof(uint64_t)) {
        uint64_t word = dw_sim_random(&seed);
        memcpy(bytes + done, &word, sizeof word);
    }
}

static int damage_pair(struct dw_sim_disk *disk, const struct dw_sim_damage *damage, const struct range *range,
                       uint8_t *bytes)
{
    struct range other;
    int result = find_range(disk, damage->other_name, damage->other_offset, damage->size, &other);
    uint8_t *second = result ? NULL : dw_sim_arena_take(&disk->arena, damage->size);
    if (result || !second)
        return result ? result : -ENOMEM;
    content_of(disk, range, false, bytes);
    if (damage->kind == DW_SIM_SWAP)
        content_of(disk, &other, false, second);
    if (damage->kind == DW_SIM_MISDIRECT)
        content_of(disk, range, true, second);
    if (damage->kind != DW_SIM_COPY)
        result = record_damage(disk, range->inode, range->offset, range->size, second);
    return result ? result : record_damage(disk, other.inode, other.offset, other.size, bytes);
}

static int damage_locked(struct dw_sim_disk *disk, const struct dw_sim_damage *damage)
{
    struct range range;
    int result = find_range(disk, damage->name, damage->offset, damage->size, &range);
    if (result)
        return result;
    if (damage->kind == DW_SIM_UNREADABLE)
        return make_bad(disk, range.inode, range.offset / DW_SIM_SECTOR_SIZE, range.size / DW_SIM_SECTOR_SIZE,
                        damage->error);
    uint8_t *bytes = dw_sim_arena_take(&disk->arena, damage->size);
    if (!bytes)
        return -ENOMEM;
    switch (damage->kind) {
    case DW_SIM_ROT:
        content_of(disk, &range, false, bytes);
        bytes[damage->bit / 8 % damage->size] ^= (uint8_t)(1u << damage->bit % 8);
        break;
    case DW_SIM_STALE:
        content_of(disk, &range, true, bytes);
        break;
    case DW_SIM_GARBAGE:
        make_garbage(damage->seed, bytes, damage->size);
        break;
    case DW_SIM_ZERO:
        memset(bytes, 0, damage->size);
        break;
    case DW_SIM_SWAP:
    case DW_SIM_MISDIRECT:
    case DW_SIM_COPY:
        return damage_pair(disk, damage, &range, bytes);
    case DW_SIM_UNREADABLE:
        break;
    }
    return record_damage(disk, range.inode, range.offset, range.size, bytes);
}

int dw_sim_damage(struct dw_disk *base, const struct dw_sim_damage *damage)
{
    struct dw_sim_disk *disk = dw_sim_of(base);
    pthread_mutex_lock(&disk->lock);
    int result = damage_locked(disk, damage);
    pthread_mutex_unlock(&disk->lock);
    return result;
}

int dw_sim_resize(struct dw_disk *base, const char *name, uint64_t size)
{
    struct dw_sim_disk *disk = dw_sim_of(base);
    pthread_mutex_lock(&disk->lock);
    const struct dw_sim_name *found = dw_sim_medium_find(&disk->live, name);
    int result = found ? 0 : -ENOENT;
    if (found) {
        result = dw_sim_inode_resize(&disk->arena, &disk->live.inodes[found->inode], size);
        struct dw_sim_event event = {.kind = DW_SIM_SIZE, .file = found->inode, .value = size, .is_durable = true};
        if (result == 0)
            result = dw_sim_record(disk, &event);
    }
    pthread_mutex_unlock(&disk->lock);
    return result;
}

int dw_sim_remove(struct dw_disk *base, const char *name)
{
    int result = base->ops->unlink(base, name);
    return result ? result : base->ops->sync_names(base);
}
