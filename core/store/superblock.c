/* superblock.c - the one small truth about a log: choose the newest of four copies, write the next one.
 *
 * Called by: load (one thread); claim, trim, settle and close under superblock_mutex.
 * Happy path of a write: sequence + 1 goes to the other slot, first copy, then second, each one durable write. Until the
 * first copy is whole the old slot holds with both its copies; so a crash or one damaged copy never falls back further
 * than to the state before the write that was interrupted.
 * Failure: a write that failed is not tried again: the caller stops the store.
 * The block size is not known before a copy was read: it is guessed from the smallest up and confirmed by the copy. */
#include <string.h>

#include "alloc/arena.h"
#include "core/store/state.h"

#define KNOWN_RO_COMPAT 0u
#define KNOWN_INCOMPAT  0u

struct choice {
    struct dw_superblock_info newest;
    bool is_found;
    uint32_t copies;         /* sound copies of the newest */
    uint32_t bad[2];         /* unsound copies of each slot, as the confirmed size reads them */
    bool is_newer_version;   /* a copy is sound and of a newer format */
    bool is_dwal;            /* a copy has at least the magic */
    int read_error;          /* first -errno met */
    uint32_t confirmed_size; /* a copy says that blocks have this size; 0: none does */
};

static void judge_copy(struct choice *choice, uint32_t block_size, uint32_t copy, const void *block)
{
    struct dw_superblock_info info;
    enum dw_decoded verdict = dw_superblock_decode(block, block_size, &info);
    if (verdict != DW_DECODED_BAD_MAGIC)
        choice->is_dwal = true;
    if (verdict == DW_DECODED_VERSION)
        choice->is_newer_version = true;
    if (verdict != DW_DECODED_OK)
        return;
    choice->confirmed_size = info.geometry.block_size;
    if (info.geometry.block_size != block_size || (info.sequence & 1) != (copy & 1))
        return; /* a sound superblock in a wrong place: another guess will find it where it belongs, or nothing does */
    if (!choice->is_found || info.sequence > choice->newest.sequence) {
        choice->newest = info;
        choice->copies = 0;
        choice->is_found = true;
    }
    if (info.sequence == choice->newest.sequence)
        choice->copies++;
    choice->bad[copy & 1]--;
}

/* All copies with one read, where they lie together and the device does not complain. */
static bool read_at_once(struct dw_store *store, uint32_t block_size, void *blocks)
{
    const struct dw_places_ops *ops = store->places->ops;
    if (!ops->super_read_all)
        return false;
    atomic_fetch_add_explicit(&store->read_count, 1, memory_order_relaxed);
    return ops->super_read_all(store->places, block_size, blocks) == 0;
}

static void read_copies(struct dw_store *store, struct choice *choice, uint32_t block_size, uint8_t *blocks)
{
    choice->bad[0] = choice->bad[1] = DW_SUPERBLOCK_COPIES / 2;
    bool has_all = read_at_once(store, block_size, blocks);
    for (uint32_t copy = 0; copy < DW_SUPERBLOCK_COPIES; copy++) {
        uint8_t *block = blocks + (size_t)copy * block_size;
        int result = has_all ? 0 : store->places->ops->super_read(store->places, block_size, copy, block);
        if (!has_all)
            atomic_fetch_add_explicit(&store->read_count, 1, memory_order_relaxed);
        if (result != 0) {
            if (choice->read_error == 0 && result != -EINVAL)
                choice->read_error = result;
            continue;
        }
        judge_copy(choice, block_size, copy, block);
        if (choice->confirmed_size != 0 && choice->confirmed_size != block_size)
            return; /* the guess was wrong, and we know the right one */
    }
}

static int check_features(struct dw_store *store, const struct dw_superblock_info *info)
{
    uint32_t incompat = info->feature_incompat & ~KNOWN_INCOMPAT;
    if (incompat != 0)
        return dw_fail(DWAL_EVERSION,
                       "the log in %s uses a feature (incompatible bits %#x) that this dwal does not know",
                       store->disk->path, incompat);
    uint32_t ro_compat = info->feature_ro_compat & ~KNOWN_RO_COMPAT;
    if (ro_compat != 0 && !store->options.is_read_only)
        return dw_fail(DWAL_EVERSION,
                       "the log in %s uses a feature (bits %#x) that this dwal can only read: open it read-only",
                       store->disk->path, ro_compat);
    return 0;
}

static int refuse(struct dw_store *store, const struct choice *choice)
{
    const char *path = store->disk->path;
    if (choice->is_newer_version)
        return dw_fail(DWAL_EVERSION, "the superblock of %s is of a newer format", path);
    if (choice->read_error != 0)
        return dw_fail_system(choice->read_error, "no copy of the superblock of %s can be read", path);
    if (!choice->is_dwal)
        return dw_fail(DWAL_EFOREIGN, "the superblock file of %s is not dwal's, or all four copies are destroyed",
                       path);
    return dw_fail(DWAL_ECORRUPT, "none of the four copies of the superblock of %s is sound", path);
}

/* A crash leaves at least one copy of each slot whole: with both gone nobody knows whether they were the newest. A writer
 * must not go on from an older state (what was trimmed or cut off would come back); whoever only reads may look. */
static int check_lost_slot(struct dw_store *store, struct choice *choice)
{
    uint32_t lost = DW_SUPERBLOCK_COPIES / 2;
    if (choice->bad[0] != lost && choice->bad[1] != lost)
        return 0;
    if (!store->options.is_read_only)
        return dw_fail(DWAL_ECORRUPT,
                       "both copies of one slot of the superblock of %s are destroyed: it may have been the newest",
                       store->disk->path);
    choice->copies = 0;
    return 0;
}

/* Keep what does not change untouched, so that other threads may read it without a lock. */
static void apply(struct dw_superblock_info *current, const struct dw_superblock_info *info)
{
    current->sequence = info->sequence;
    current->epoch = info->epoch;
    current->trim = info->trim;
    current->clean_end = info->clean_end;
    current->watermark = info->watermark;
    current->write_time = info->write_time;
    current->claimed = info->claimed;
    current->head = info->head;
    current->state = info->state;
    current->in_flight_blocks = info->in_flight_blocks;
}

int dw_superblock_load(struct dw_store *store)
{
    struct choice choice = {0};
    uint8_t *blocks =
        dw_arena_borrow(store->arena, (size_t)DW_SUPERBLOCK_COPIES * DW_BLOCK_SIZE_MAX, DW_BLOCK_SIZE_MAX);
    if (!blocks)
        return dw_fail(DWAL_EMEMORY, "no memory to read the superblock of %s", store->disk->path);
    for (uint32_t size = DW_BLOCK_SIZE_MIN; size <= DW_BLOCK_SIZE_MAX && !choice.is_found;) {
        read_copies(store, &choice, size, blocks);
        /* Follow a hint upwards only: the loop ends. */
        size = choice.confirmed_size > size ? choice.confirmed_size : size * 2;
    }
    dw_arena_return(store->arena, blocks);
    /* A newer version may have replaced one slot only: the other must not be taken for the newest. */
    if (!choice.is_found || choice.is_newer_version)
        return refuse(store, &choice);
    int result = check_features(store, &choice.newest);
    if (result == 0)
        result = check_lost_slot(store, &choice);
    if (result != 0)
        return result;
    if (store->superblock.geometry.block_size == 0) {
        store->superblock = choice.newest;
    } else {
        if (memcmp(store->superblock.identity.log_id, choice.newest.identity.log_id, 16) != 0)
            return dw_fail(DWAL_EFOREIGN, "the log in %s was replaced by another one", store->disk->path);
        if (choice.newest.sequence < store->superblock.sequence)
            return 0; /* read between two writes of a live writer: what we have is newer */
        apply(&store->superblock, &choice.newest);
    }
    store->superblock_copies = choice.copies;
    atomic_store_explicit(&store->trim, choice.newest.trim, memory_order_release); /* pairs: STORE-TRIM */
    return 0;
}

int dw_superblock_write(struct dw_store *store, struct dw_superblock_info *info)
{
    const struct dw_places_ops *ops = store->places->ops;
    uint32_t block_size = info->geometry.block_size;
    if (store->superblock.sequence == UINT64_MAX) /* it would look like the oldest of all */
        return dw_fail(DWAL_EEXHAUSTED, "the superblock sequences of the log in %s are used up", store->disk->path);
    info->sequence = store->superblock.sequence + 1;
    info->write_time = dw_store_realtime(store);
    info->in_flight_blocks = store->options.in_flight_blocks;
    dw_superblock_encode(info, store->superblock_block);
    uint32_t slot = (uint32_t)(info->sequence & 1);
    for (uint32_t copy = slot; copy < DW_SUPERBLOCK_COPIES; copy += 2) {
        int result = ops->super_write(store->places, block_size, copy, store->superblock_block);
        if (result != 0)
            return dw_fail_device_at(result, DWAL_NO_VOLUME, DWAL_NO_LSN, DWAL_NO_LSN,
                                     "writing copy %u of the superblock of %s failed", copy, store->disk->path);
    }
    apply(&store->superblock, info);
    store->superblock_copies = 2;
    return 0;
}
