/* sim.c - the simulated disk: its life, its names, its event log.
 *
 * Owns: the disk object, the live directory, the list of open files. Called by: any thread through io.h, the tests through
 * sim.h; each call takes the disk's mutex.
 * Happy path: a call changes what readers see, and is recorded as an event; nothing more. What would be left after a
 * crash is worked out from the events, afterwards (sim_crash.c).
 * Failure: -errno as io.h says; planned faults answer before anything is changed.
 * Closing: a disk of its own is freed with its closed images; an image is kept by the disk it came from, for reuse. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "alloc/alloc.h"
#include "io/sim_internal.h"

#define EVENTS_AT_FIRST 1024u
#define BYTES_AT_FIRST  (192u << 10)

static int sim_list(struct dw_disk *base, dw_list_fn *fn, void *context)
{
    struct dw_sim_disk *disk = dw_sim_of(base);
    int result = 0;
    pthread_mutex_lock(&disk->lock);
    if (dw_sim_fault_hits(disk, DW_SIM_FAULT_LIST, &result)) {
        pthread_mutex_unlock(&disk->lock);
        return result;
    }
    /* The order is nobody's promise: begin anywhere. The callback runs without the mutex, as it may call the disk. */
    size_t begin = disk->live.name_count ? (size_t)dw_sim_below(&disk->random, disk->live.name_count) : 0;
    for (size_t i = 0; i < disk->live.name_count && result == 0; i++) {
        struct dw_sim_name entry = disk->live.names[(begin + i) % disk->live.name_count];
        uint64_t size = disk->live.inodes[entry.inode].size;
        pthread_mutex_unlock(&disk->lock);
        result = fn(context, entry.name, size);
        pthread_mutex_lock(&disk->lock);
    }
    pthread_mutex_unlock(&disk->lock);
    return result;
}

static int record_name(struct dw_sim_disk *disk, enum dw_sim_event_kind kind, const char *name, const char *other_name,
                       uint32_t file)
{
    char *names = dw_sim_arena_take(&disk->arena, 2 * (size_t)DW_SIM_NAME_SIZE_MAX);
    if (!names)
        return -ENOMEM;
    memset(names, 0, 2 * (size_t)DW_SIM_NAME_SIZE_MAX);
    strncpy(names, name, DW_SIM_NAME_SIZE_MAX - 1);
    if (other_name)
        strncpy(names + DW_SIM_NAME_SIZE_MAX, other_name, DW_SIM_NAME_SIZE_MAX - 1);
    struct dw_sim_event event = {
        .kind = kind, .file = file, .name = names, .other_name = other_name ? names + DW_SIM_NAME_SIZE_MAX : NULL};
    int result = dw_sim_medium_name(&disk->live, &event);
    return result ? result : dw_sim_record(disk, &event);
}

static int change_name(struct dw_sim_disk *disk, enum dw_sim_event_kind kind, const char *name, const char *other_name)
{
    if (strlen(name) >= DW_SIM_NAME_SIZE_MAX || (other_name && strlen(other_name) >= DW_SIM_NAME_SIZE_MAX))
        return -ENAMETOOLONG;
    if (disk->base.is_device)
        return -EOPNOTSUPP;
    int result = 0;
    if (dw_sim_fault_hits(disk, DW_SIM_FAULT_NAME, &result))
        return result;
    struct dw_sim_name *found = dw_sim_medium_find(&disk->live, name);
    uint32_t file = found ? found->inode : (uint32_t)disk->live.inode_count;
    return record_name(disk, kind, name, other_name, file);
}

/* Memory first, so that a failure leaves no name behind. */
static struct dw_sim_file *take_file(struct dw_sim_disk *disk)
{
    struct dw_sim_file *file = disk->spare_files;
    if (!file)
        return dw_alloc(sizeof *file);
    disk->spare_files = file->next;
    return file;
}

static int find_or_create(struct dw_sim_disk *disk, const char *name, unsigned flags, uint32_t *inode)
{
    const struct dw_sim_name *found = dw_sim_medium_find(&disk->live, name);
    int result = 0;
    if (flags & DW_OPEN_CREATE) {
        if (found)
            return -EEXIST;
        result = change_name(disk, DW_SIM_CREATE, name, NULL);
        found = dw_sim_medium_find(&disk->live, name);
    } else if (dw_sim_fault_hits(disk, DW_SIM_FAULT_OPEN, &result)) {
        return result;
    }
    if (result == 0 && !found)
        return -ENOENT;
    if (result == 0)
        *inode = found->inode;
    return result;
}

static int open_locked(struct dw_sim_disk *disk, const char *name, unsigned flags, struct dw_file **opened)
{
    struct dw_sim_file *file = take_file(disk);
    if (!file)
        return -ENOMEM;
    uint32_t inode = 0;
    int result = find_or_create(disk, name, flags, &inode);
    if (result) {
        file->next = disk->spare_files;
        disk->spare_files = file;
        return result;
    }
    *file = (struct dw_sim_file){.base = {.disk = &disk->base, .alignment = disk->options.alignment},
                                 .inode = inode,
                                 .flags = flags,
                                 .locks = {DW_LOCK_NONE, DW_LOCK_NONE},
                                 .next = disk->files};
    disk->files = file;
    *opened = &file->base;
    return 0;
}

static int sim_open(struct dw_disk *base, const char *name, unsigned flags, struct dw_file **file)
{
    struct dw_sim_disk *disk = dw_sim_of(base);
    *file = NULL;
    if (!(flags & (DW_OPEN_READ | DW_OPEN_WRITE)) || ((flags & DW_OPEN_CREATE) && !(flags & DW_OPEN_WRITE)))
        return -EINVAL;
    pthread_mutex_lock(&disk->lock);
    int result = open_locked(disk, name, flags, file);
    pthread_mutex_unlock(&disk->lock);
    return result;
}

static void sim_close_file(struct dw_file *base)
{
    struct dw_sim_disk *disk = dw_sim_of(base->disk);
    struct dw_sim_file *file = dw_sim_file_of(base);
    pthread_mutex_lock(&disk->lock);
    dw_assert(file->in_flight == 0);
    struct dw_sim_file **link = &disk->files;
    while (*link != file) {
        dw_assert(*link);
        link = &(*link)->next;
    }
    *link = file->next;
    dw_sim_locks_drop(disk, file);
    file->next = disk->spare_files;
    disk->spare_files = file;
    pthread_mutex_unlock(&disk->lock);
}

static int sim_rename(struct dw_disk *base, const char *from, const char *to)
{
    struct dw_sim_disk *disk = dw_sim_of(base);
    pthread_mutex_lock(&disk->lock);
    int result = change_name(disk, DW_SIM_RENAME, from, to);
    pthread_mutex_unlock(&disk->lock);
    return result;
}

static int sim_unlink(struct dw_disk *base, const char *name)
{
    struct dw_sim_disk *disk = dw_sim_of(base);
    pthread_mutex_lock(&disk->lock);
    int result = change_name(disk, DW_SIM_UNLINK, name, NULL);
    pthread_mutex_unlock(&disk->lock);
    return result;
}

static int sim_sync_names(struct dw_disk *base)
{
    struct dw_sim_disk *disk = dw_sim_of(base);
    pthread_mutex_lock(&disk->lock);
    int result = 0;
    dw_sim_fault_hits(disk, DW_SIM_FAULT_SYNC_NAMES, &result);
    int recorded = 0;
    if (!disk->options.is_flush_lying)
        recorded = dw_sim_record(disk, &(struct dw_sim_event){.kind = DW_SIM_SYNC_NAMES, .result = result});
    pthread_mutex_unlock(&disk->lock);
    return result ? result : recorded;
}

/* ---- life ---- */
static void sim_close(struct dw_disk *base)
{
    struct dw_sim_disk *disk = dw_sim_of(base);
    pthread_mutex_lock(&disk->lock);
    dw_assert(!disk->files);
    dw_assert(disk->flight_count == 0);
    dw_assert(disk->child_count == 0);
    pthread_mutex_unlock(&disk->lock);
    if (!disk->parent) {
        dw_sim_disk_free(disk);
        return;
    }
    struct dw_sim_disk *parent = disk->parent;
    dw_sim_arena_reset(&disk->arena);
    disk->event_count = 0;
    disk->bad_count = 0;
    memset(disk->faults, 0, sizeof disk->faults);
    memset(disk->calls, 0, sizeof disk->calls);
    pthread_mutex_lock(&parent->lock);
    dw_sim_image_released(disk);
    bool is_kept = parent->spare_count < DW_SIM_IMAGE_SPARES;
    if (is_kept) {
        disk->next_spare = parent->spares;
        parent->spares = disk;
        parent->spare_count++;
    }
    pthread_mutex_unlock(&parent->lock);
    if (!is_kept)
        dw_sim_disk_free(disk);
}

static const struct dw_disk_ops sim_ops = {
    .name = "sim",
    .close = sim_close,
    .list = sim_list,
    .open = sim_open,
    .rename = sim_rename,
    .unlink = sim_unlink,
    .sync_names = sim_sync_names,
    .close_file = sim_close_file,
    .size = dw_sim_size,
    .read = dw_sim_read,
    .write = dw_sim_write,
    .write_durable = dw_sim_write_durable,
    .sync = dw_sim_sync,
    .allocate = dw_sim_allocate,
    .lock = dw_sim_lock,
    .lock_test = dw_sim_lock_test,
    .queue_create = dw_sim_queue_create,
};

int dw_sim_disk_make(struct dw_sim_disk **made)
{
    struct dw_sim_disk *disk = dw_alloc(sizeof *disk);
    *made = disk;
    if (!disk)
        return -ENOMEM;
    disk->base.ops = &sim_ops;
    snprintf(disk->base.path, sizeof disk->base.path, "sim");
    pthread_mutex_init(&disk->lock, NULL);
    pthread_cond_init(&disk->completed, NULL);
    return 0;
}

static void free_files(struct dw_sim_file *file)
{
    while (file) {
        struct dw_sim_file *next = file->next;
        dw_free(file);
        file = next;
    }
}

/* Spares may have spares of their own: taken apart into one list, without recursion. */
void dw_sim_disk_free(struct dw_sim_disk *disk)
{
    struct dw_sim_disk *list = disk;
    disk->next_spare = NULL;
    while (list) {
        struct dw_sim_disk *gone = list;
        list = gone->next_spare;
        while (gone->spares) {
            struct dw_sim_disk *spare = gone->spares;
            gone->spares = spare->next_spare;
            spare->next_spare = list;
            list = spare;
        }
        dw_sim_arena_free(&gone->arena);
        dw_sim_medium_free(&gone->start);
        dw_sim_medium_free(&gone->live);
        dw_free(gone->events);
        dw_free(gone->flights);
        dw_free(gone->locks);
        free_files(gone->files);
        free_files(gone->spare_files);
        pthread_cond_destroy(&gone->completed);
        pthread_mutex_destroy(&gone->lock);
        dw_free(gone);
    }
}

void dw_sim_set(struct dw_sim_disk *disk, const struct dw_sim_options *options)
{
    static const struct dw_sim_options defaults;
    bool is_first = disk->options.alignment == 0;
    uint32_t alignment = disk->options.alignment;
    uint64_t device_size = disk->options.device_size;
    bool is_history_off = disk->options.is_history_off;
    disk->options = options ? *options : defaults;
    if (!is_first) {
        disk->options.alignment = alignment;
        disk->options.device_size = device_size;
        disk->options.is_history_off = is_history_off;
    } else if (disk->options.alignment == 0) {
        disk->options.alignment = DW_SIM_SECTOR_SIZE;
    }
    dw_assert(dw_is_aligned(disk->options.alignment, DW_SIM_SECTOR_SIZE));
    if (disk->options.complete_percent == 0)
        disk->options.complete_percent = 50;
    disk->random = disk->options.seed;
}

/* The only file of a device has been there since before the first event. */
static int make_device(struct dw_sim_disk *disk, uint64_t size)
{
    dw_assert(dw_is_aligned(size, disk->options.alignment) && size / DW_SIM_SECTOR_SIZE < UINT32_MAX);
    struct dw_sim_event event = {.kind = DW_SIM_CREATE, .name = DW_DEVICE_NAME};
    disk->base.is_device = true;
    int result = dw_sim_medium_name(&disk->start, &event);
    if (result == 0)
        disk->start.inodes[0].size = size;
    return result ? result : dw_sim_medium_copy(&disk->live, &disk->start);
}

int dw_sim_open(const struct dw_sim_options *options, struct dw_disk **disk)
{
    struct dw_sim_disk *made;
    *disk = NULL;
    int result = dw_sim_disk_make(&made);
    if (result)
        return result;
    dw_sim_set(made, options);
    /* So that ordinary use allocates nothing on the way of a write. */
    result = dw_sim_grow((void **)&made->events, &made->event_capacity, EVENTS_AT_FIRST, sizeof *made->events);
    if (result == 0 && !dw_sim_arena_take(&made->arena, BYTES_AT_FIRST))
        result = -ENOMEM;
    if (result == 0 && made->options.device_size != 0)
        result = make_device(made, made->options.device_size);
    if (result) {
        dw_sim_disk_free(made);
        return result;
    }
    dw_sim_arena_reset(&made->arena);
    *disk = &made->base;
    return 0;
}

void dw_sim_set_options(struct dw_disk *base, const struct dw_sim_options *options)
{
    struct dw_sim_disk *disk = dw_sim_of(base);
    pthread_mutex_lock(&disk->lock);
    dw_sim_set(disk, options);
    pthread_mutex_unlock(&disk->lock);
}

/* ---- events ---- */
int dw_sim_record(struct dw_sim_disk *disk, const struct dw_sim_event *event)
{
    if (disk->options.is_history_off)
        return 0;
    if (dw_sim_grow((void **)&disk->events, &disk->event_capacity, disk->event_count + 1, sizeof *disk->events))
        return -ENOMEM;
    disk->events[disk->event_count++] = *event;
    return 0;
}

uint64_t dw_sim_event_count(struct dw_disk *base)
{
    struct dw_sim_disk *disk = dw_sim_of(base);
    pthread_mutex_lock(&disk->lock);
    uint64_t count = disk->event_count;
    pthread_mutex_unlock(&disk->lock);
    return count;
}

const struct dw_sim_event *dw_sim_event_at(struct dw_disk *base, uint64_t index)
{
    struct dw_sim_disk *disk = dw_sim_of(base);
    pthread_mutex_lock(&disk->lock);
    dw_assert(index < disk->event_count);
    const struct dw_sim_event *event = &disk->events[index];
    pthread_mutex_unlock(&disk->lock);
    return event;
}

void dw_sim_mark(struct dw_disk *base, uint32_t mark, uint64_t value)
{
    struct dw_sim_disk *disk = dw_sim_of(base);
    pthread_mutex_lock(&disk->lock);
    int result = dw_sim_record(disk, &(struct dw_sim_event){.kind = DW_SIM_MARK, .mark = mark, .value = value});
    dw_assert(result == 0); /* a test that lost a mark would prove nothing */
    pthread_mutex_unlock(&disk->lock);
}

const char *dw_sim_event_kind_name(enum dw_sim_event_kind kind)
{
    static const char *const names[] = {"issue",  "complete", "sync",       "size",   "create",
                                        "rename", "unlink",   "sync names", "damage", "mark"};
    return (size_t)kind < DW_COUNT_OF(names) ? names[kind] : "?";
}

/* ---- looking in ---- */
static void copy_out(const struct dw_sim_inode *inode, uint64_t offset, uint8_t *bytes, size_t size)
{
    size_t done = 0;
    while (done < size) {
        uint64_t at = offset + done;
        size_t part = DW_SIM_SECTOR_SIZE - (size_t)(at % DW_SIM_SECTOR_SIZE);
        part = dw_min_size(part, size - done);
        const uint8_t *sector = dw_sim_inode_sector(inode, at / DW_SIM_SECTOR_SIZE);
        memcpy(bytes + done, (sector ? sector : dw_sim_zeros) + at % DW_SIM_SECTOR_SIZE, part);
        done += part;
    }
}

bool dw_sim_peek(struct dw_disk *base, const char *name, uint64_t offset, void *bytes, size_t size)
{
    struct dw_sim_disk *disk = dw_sim_of(base);
    pthread_mutex_lock(&disk->lock);
    const struct dw_sim_name *found = dw_sim_medium_find(&disk->live, name);
    const struct dw_sim_inode *inode = found ? &disk->live.inodes[found->inode] : NULL;
    bool is_inside = inode && offset <= inode->size && size <= inode->size - offset;
    if (is_inside)
        copy_out(inode, offset, bytes, size);
    pthread_mutex_unlock(&disk->lock);
    return is_inside;
}

static uint64_t mix_bytes(uint64_t hash, const void *bytes, size_t size)
{
    const uint8_t *from = bytes;
    uint64_t word = 0;
    for (size_t i = 0; i < size; i += sizeof word) {
        memcpy(&word, from + i, dw_min_size(sizeof word, size - i));
        hash = (hash ^ word) * UINT64_C(0x9fb21c651e98df25);
        hash ^= hash >> 32;
    }
    return hash;
}

static uint64_t inode_fingerprint(const struct dw_sim_inode *inode, uint64_t hash)
{
    hash = mix_bytes(hash, &inode->size, sizeof inode->size);
    for (uint64_t sector = 0; sector < inode->count && sector * DW_SIM_SECTOR_SIZE < inode->size; sector++) {
        if (inode->sectors[sector] && !dw_sim_sector_is_zero(inode->sectors[sector])) {
            hash = mix_bytes(hash, &sector, sizeof sector);
            hash = mix_bytes(hash, inode->sectors[sector], DW_SIM_SECTOR_SIZE);
        }
    }
    return hash;
}

uint64_t dw_sim_fingerprint(struct dw_disk *base)
{
    struct dw_sim_disk *disk = dw_sim_of(base);
    uint64_t sum = 0; /* names in any order */
    pthread_mutex_lock(&disk->lock);
    for (size_t i = 0; i < disk->live.name_count; i++) {
        const struct dw_sim_name *entry = &disk->live.names[i];
        sum += inode_fingerprint(&disk->live.inodes[entry->inode],
                                 mix_bytes(UINT64_C(0x51ed270b), entry->name, sizeof entry->name));
    }
    pthread_mutex_unlock(&disk->lock);
    return sum;
}

size_t dw_sim_memory(struct dw_disk *base)
{
    struct dw_sim_disk *disk = dw_sim_of(base);
    pthread_mutex_lock(&disk->lock);
    size_t held = sizeof *disk + disk->arena.held + disk->event_capacity * sizeof *disk->events;
    for (const struct dw_sim_disk *spare = disk->spares; spare; spare = spare->next_spare)
        held += sizeof *spare + spare->arena.held + spare->event_capacity * sizeof *spare->events;
    pthread_mutex_unlock(&disk->lock);
    return held;
}
