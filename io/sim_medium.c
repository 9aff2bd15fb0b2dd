/* sim_medium.c - what a simulated medium holds: inodes, tables of sectors, names; and the memory behind them.
 *
 * Owns: nothing global. Called by: the other parts of the simulated disk, under its mutex.
 * Happy path: tables are shared until somebody changes one; then that one is copied into the changer's arena.
 * Failure: -ENOMEM, and the medium is as before. Closing: arenas are given back whole. */
#include <errno.h>
#include <string.h>

#include "alloc/alloc.h"
#include "io/sim_internal.h"

#define CHUNK_SIZE_MIN (32u << 10)
#define CHUNK_SIZE_MAX (1u << 20)
#define RESET_KEEPS    (256u << 10) /* bytes that an arena keeps for its next use */

struct dw_sim_chunk {
    struct dw_sim_chunk *next;
    size_t size, used;
    _Alignas(16) uint8_t bytes[];
};

const uint8_t dw_sim_zeros[DW_SIM_SECTOR_SIZE];

static struct dw_sim_chunk *add_chunk(struct dw_sim_arena *arena, size_t size)
{
    size_t wanted = arena->held < CHUNK_SIZE_MIN ? CHUNK_SIZE_MIN : dw_min_size(arena->held, CHUNK_SIZE_MAX);
    if (wanted < size)
        wanted = size;
    struct dw_sim_chunk *chunk = dw_alloc(sizeof *chunk + wanted);
    if (!chunk)
        return NULL;
    chunk->size = wanted;
    if (arena->current) {
        chunk->next = arena->current->next;
        arena->current->next = chunk;
    } else {
        chunk->next = arena->first;
        arena->first = chunk;
    }
    arena->held += wanted;
    return chunk;
}

void *dw_sim_arena_take(struct dw_sim_arena *arena, size_t size)
{
    size = dw_align_up(size, 16);
    struct dw_sim_chunk *chunk = arena->current ? arena->current : arena->first;
    while (chunk && chunk->size - chunk->used < size) {
        arena->current = chunk;
        chunk = chunk->next;
    }
    if (!chunk)
        chunk = add_chunk(arena, size);
    if (!chunk)
        return NULL;
    arena->current = chunk;
    void *taken = chunk->bytes + chunk->used;
    chunk->used += size;
    return taken;
}

void dw_sim_arena_reset(struct dw_sim_arena *arena)
{
    struct dw_sim_chunk **link = &arena->first;
    size_t kept = 0;
    while (*link) {
        struct dw_sim_chunk *chunk = *link;
        if (kept + chunk->size > RESET_KEEPS) {
            *link = chunk->next;
            dw_free(chunk);
            continue;
        }
        kept += chunk->size;
        chunk->used = 0;
        link = &chunk->next;
    }
    arena->held = kept;
    arena->current = NULL;
}

void dw_sim_arena_free(struct dw_sim_arena *arena)
{
    while (arena->first) {
        struct dw_sim_chunk *chunk = arena->first;
        arena->first = chunk->next;
        dw_free(chunk);
    }
    *arena = (struct dw_sim_arena){0};
}

int dw_sim_grow(void **array, size_t *capacity, size_t count, size_t size)
{
    if (count <= *capacity)
        return 0;
    size_t wanted = *capacity * 2 > count ? *capacity * 2 : count + 8;
    void *grown = dw_realloc(*array, wanted * size);
    if (!grown)
        return -ENOMEM;
    *array = grown;
    *capacity = wanted;
    return 0;
}

/* ---- media ---- */
int dw_sim_medium_copy(struct dw_sim_medium *target, const struct dw_sim_medium *source)
{
    if (dw_sim_grow((void **)&target->inodes, &target->inode_capacity, source->inode_count, sizeof *target->inodes) ||
        dw_sim_grow((void **)&target->names, &target->name_capacity, source->name_count, sizeof *target->names))
        return -ENOMEM;
    target->inode_count = source->inode_count;
    target->name_count = source->name_count;
    for (size_t i = 0; i < source->inode_count; i++) {
        target->inodes[i] = source->inodes[i];
        target->inodes[i].is_owned = false;
    }
    if (source->name_count)
        memcpy(target->names, source->names, source->name_count * sizeof *source->names);
    return 0;
}

void dw_sim_medium_free(struct dw_sim_medium *medium)
{
    dw_free(medium->inodes);
    dw_free(medium->names);
    *medium = (struct dw_sim_medium){0};
}

struct dw_sim_name *dw_sim_medium_find(const struct dw_sim_medium *medium, const char *name)
{
    for (size_t i = 0; i < medium->name_count; i++) {
        if (strcmp(medium->names[i].name, name) == 0)
            return &medium->names[i];
    }
    return NULL;
}

static int add_name(struct dw_sim_medium *medium, const char *name, uint32_t inode)
{
    if (dw_sim_grow((void **)&medium->names, &medium->name_capacity, medium->name_count + 1, sizeof *medium->names))
        return -ENOMEM;
    if (inode >= medium->inode_count) {
        if (dw_sim_grow((void **)&medium->inodes, &medium->inode_capacity, inode + 1u, sizeof *medium->inodes))
            return -ENOMEM;
        memset(medium->inodes + medium->inode_count, 0, (inode + 1u - medium->inode_count) * sizeof *medium->inodes);
        medium->inode_count = inode + 1u;
    }
    struct dw_sim_name *added = &medium->names[medium->name_count++];
    *added = (struct dw_sim_name){.inode = inode};
    strncpy(added->name, name, sizeof added->name - 1);
    return 0;
}

int dw_sim_medium_name(struct dw_sim_medium *medium, const struct dw_sim_event *event)
{
    struct dw_sim_name *found = dw_sim_medium_find(medium, event->name);
    if (event->kind == DW_SIM_CREATE)
        return found ? -EEXIST : add_name(medium, event->name, event->file);
    if (!found)
        return -ENOENT;
    if (event->kind == DW_SIM_UNLINK) {
        *found = medium->names[--medium->name_count];
        return 0;
    }
    dw_assert(event->kind == DW_SIM_RENAME);
    if (dw_sim_medium_find(medium, event->other_name))
        return -EEXIST;
    memset(found->name, 0, sizeof found->name);
    strncpy(found->name, event->other_name, sizeof found->name - 1);
    return 0;
}

/* ---- inodes ---- */
int dw_sim_inode_own(struct dw_sim_arena *arena, struct dw_sim_inode *inode, uint64_t sector_count)
{
    uint64_t count = dw_max_u64(sector_count, inode->count);
    if (!inode->is_owned || count > inode->capacity) {
        uint64_t capacity = inode->is_owned ? dw_max_u64(count, 2 * (uint64_t)inode->capacity) : count;
        capacity = dw_align_up(capacity + 1, 8);
        const uint8_t **table = dw_sim_arena_take(arena, (size_t)capacity * sizeof *table);
        if (!table)
            return -ENOMEM;
        if (inode->count)
            memcpy(table, inode->sectors, inode->count * sizeof *table);
        inode->sectors = table;
        inode->capacity = (uint32_t)capacity;
        inode->is_owned = true;
    }
    if (count > inode->count)
        memset(inode->sectors + inode->count, 0, (size_t)(count - inode->count) * sizeof *inode->sectors);
    inode->count = (uint32_t)count;
    return 0;
}

int dw_sim_inode_set(struct dw_sim_arena *arena, struct dw_sim_inode *inode, uint64_t sector, const uint8_t *bytes)
{
    if (sector >= inode->count && !bytes)
        return 0;
    int result = dw_sim_inode_own(arena, inode, sector + 1);
    if (result == 0)
        inode->sectors[sector] = bytes;
    return result;
}

int dw_sim_inode_resize(struct dw_sim_arena *arena, struct dw_sim_inode *inode, uint64_t size)
{
    uint64_t sectors = dw_align_up(size, DW_SIM_SECTOR_SIZE) / DW_SIM_SECTOR_SIZE;
    if (sectors < inode->count) { /* what lay behind must not come back when the file grows again */
        int result = dw_sim_inode_own(arena, inode, 0);
        if (result)
            return result;
        inode->count = (uint32_t)sectors;
    }
    inode->size = size;
    return 0;
}

bool dw_sim_sector_is_zero(const uint8_t *bytes)
{
    return bytes[0] == 0 && memcmp(bytes, dw_sim_zeros, DW_SIM_SECTOR_SIZE) == 0;
}

bool dw_sim_sector_equal(const uint8_t *one, const uint8_t *other)
{
    if (one == other)
        return true;
    return memcmp(one ? one : dw_sim_zeros, other ? other : dw_sim_zeros, DW_SIM_SECTOR_SIZE) == 0;
}
